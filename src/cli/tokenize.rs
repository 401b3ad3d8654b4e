//! `glassbox tokenize`: the tokens of a text, as the model itself cuts it; with `--json` also each cut and merge.

use std::fmt::Write as _;

use anyhow::bail;
use serde_bytes::ByteBuf;
use serde_json::json;

use super::LastLineEnd;
use super::args::TokenizeArgs;
use super::session::Session;
use super::setup::Setup;
use crate::engine::protocol::{Capability, Event, Immediate, Request};
use crate::sanitize;
use crate::token::{BLANK_SIGN, SIGNS_ARE_BLANKS, TokenId, Vocabulary, with_blanks};

/// Runs the command.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: TokenizeArgs, engine: &str) -> anyhow::Result<u8> {
    // As `score` has it: the last line end is of the text.
    let text = super::text_or_stdin(&args.text, LastLineEnd::Kept)?;
    let setup = Setup::read(args.common.config.as_deref(), args.common.model.as_deref(), None)?;
    setup.print_warnings();
    let entry = setup.entry()?;
    setup.fetch_if_missing(&entry, engine).await?;
    let mut session = Session::start(&entry, engine, &setup.config)?;
    let mut params = setup.config.load_params_for(&entry);
    params.context = params.context.min(256); // the vocabulary alone is needed
    let loaded = session.load(&entry, &params).await?;
    loaded.notes_for(false).for_each(super::note);
    let tells_pieces = loaded.capabilities.has(Capability::Pieces);
    let asked =
        Request::Immediate(Immediate::Pieces { text: text.clone(), special: args.special, inside: false });
    let tokens = session.tokenize(&text, args.special, args.special).await?;
    if args.json {
        let list: Vec<_> = tokens
            .iter()
            .map(|(id, bytes)| json!({"id": id, "token": String::from_utf8_lossy(bytes), "bytes": bytes.as_slice()}))
            .collect();
        let mut told = json!({"tokens": list, "count": tokens.len()});
        // A server's tokenizer does its work out of sight.
        if tells_pieces {
            let Event::Pieces(pieces) = session.call(asked, |_| {}).await? else {
                bail!("the engine did not tell how the text is cut");
            };
            told["kind"] = json!(pieces.kind);
            told["words"] = json!(pieces.words);
            told["doubt"] = json!(pieces.doubt);
        }
        super::print(&told.to_string());
        return Ok(0);
    }
    doubt(&tokens, &text).into_iter().for_each(super::note);
    let mut table = String::new();
    for (index, (id, bytes)) in tokens.iter().enumerate() {
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        let _ = writeln!(table, "{index:>5} {:>7}  {:<20} {}", id.0, piece(bytes), hex.join(" "));
    }
    let _ = write!(table, "{}", counted(tokens.len()));
    super::print(&table);
    Ok(0)
}

/// What is in doubt of a text that these tokens are: whether they spell blanks where it has signs for them.
pub(super) fn doubt(tokens: &[(TokenId, ByteBuf)], text: &str) -> Option<&'static str> {
    if !text.contains(BLANK_SIGN) {
        return None;
    }
    let whole: Vec<u8> = tokens.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let is = |text: &[u8]| whole.windows(text.len()).any(|part| part == text);
    (!is(text.as_bytes()) && is(&with_blanks(text.as_bytes()).0)).then_some(SIGNS_ARE_BLANKS)
}

/// `1 token`, `8 tokens`.
pub(super) fn counted(tokens: usize) -> String {
    format!("{tokens} token{}", if tokens == 1 { "" } else { "s" })
}

/// An entry of a vocabulary on one line: its text, or its number where that is not known.
pub(super) fn entry(id: TokenId, vocabulary: &Vocabulary) -> String {
    match (vocabulary.bytes(id), id.number()) {
        (Some(bytes), _) => piece(bytes),
        (None, Some(number)) => format!("#{number}"),
        (None, None) => "?".to_owned(),
    }
}

/// A token's text on one line: blanks and line ends made visible, lone bytes as `‹F0›`.
pub(super) fn piece(bytes: &[u8]) -> String {
    let mut shown = String::new();
    match std::str::from_utf8(bytes) {
        Ok(text) => shown = text.replace(' ', "␣").replace('\n', "↵").replace('\t', "⇥"),
        Err(_) => bytes.iter().for_each(|byte| {
            let _ = write!(shown, "‹{byte:02X}›"); // writing to a string cannot fail
        }),
    }
    sanitize::for_display(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_for_a_blank_that_became_one_is_in_doubt() {
        let tokens = |pieces: &[&str]| -> Vec<_> {
            pieces.iter().map(|piece| (TokenId(1), ByteBuf::from(piece.as_bytes()))).collect()
        };
        let said = |pieces: &[&str], text| doubt(&tokens(pieces), text);
        assert_eq!(said(&["<s>", " a", " ", "b"], "a▁b"), Some(SIGNS_ARE_BLANKS));
        assert_eq!(said(&["<user>", "a b", "<end>"], "a▁b"), Some(SIGNS_ARE_BLANKS));
        assert_eq!(said(&["<s>", "a▁", "b"], "a▁b"), None);
        assert_eq!(said(&["<s>", " a", " b"], "a b"), None);
        assert_eq!(said(&["<s>", "a b"], "c▁d"), None, "what is changed otherwise is another matter");
    }

    #[test]
    fn tokens_are_counted_in_words() {
        assert_eq!([0, 1, 2].map(counted), ["0 tokens", "1 token", "2 tokens"]);
    }
}
