//! Why the tokens of a model may be wrong: what its vocabulary leaves out, or says that cannot be.
//!
//! Source: llama.cpp, `llama_vocab::impl::load`, for what it does then: it goes on with defaults, mostly in silence.
//! Invariant: only the header is read; a doubt is a sentence for the user and never keeps a model from loading.

use super::Header;
use super::parse::{Array, Value};

/// What a token's type is called by that is plain text.
const PLAIN: i64 = 1;
/// Vocabularies have about a rule for each token that is no single byte; one with fewer than one in so many lacks them.
const FEWEST_MERGES: u64 = 4;
/// Tokens that a vocabulary names by their ids.
const NAMED: &[&str] = &["bos", "eos", "eot", "eom", "unknown", "seperator", "padding"];

/// What is to be doubted; nothing of a file whose vocabulary is of no known kind.
pub(super) fn doubts(header: &Header) -> Vec<String> {
    let text = |key: &str| match header.metadata(&format!("tokenizer.ggml.{key}")) {
        Ok(Some(Value::Text(text))) => text,
        _ => String::new(),
    };
    let has_list =
        |key: &str| header.list_len(&format!("tokenizer.ggml.{key}")).is_some_and(|count| count > 0);
    let kind = text("model");
    let (merges, scores) = (kind == "gpt2", matches!(kind.as_str(), "llama" | "t5"));
    if !merges && !scores && kind != "gemma4" {
        return Vec::new();
    }
    let mut doubts = Vec::new();
    if merges && text("pre").is_empty() {
        doubts.push(
            "The file does not say how text is cut (no tokenizer.ggml.pre), so llama.cpp cuts it by a default and tokens \
             may be wrong; a newer conversion of the model says it."
                .to_owned(),
        );
    }
    if !has_list("token_type") {
        doubts.push(
            "The file does not say which tokens are control tokens (no tokenizer.ggml.token_type), so the template's \
             marks are cut as plain text; a newer conversion of the model says it."
                .to_owned(),
        );
    }
    if merges && has_list("tokens") {
        let (tokens, count) = (count_of(header, "tokens"), count_of(header, "merges"));
        if count < tokens / FEWEST_MERGES {
            doubts.push(format!(
                "The file has {count} rules to merge pieces by (tokenizer.ggml.merges) for {tokens} tokens, so text is cut \
                 into far more tokens than the model was made with; a newer conversion of the model has them."
            ));
        }
    }
    if scores && !has_list("scores") {
        doubts.push(
            "The file has no scores for its tokens (no tokenizer.ggml.scores), so pieces are merged in the wrong order; a \
             newer conversion of the model has them."
                .to_owned(),
        );
    }
    doubts.extend(ends(header, merges));
    doubts
}

fn count_of(header: &Header, list: &str) -> u64 {
    header.list_len(&format!("tokenizer.ggml.{list}")).unwrap_or(0)
}

/// What is to be doubted of the tokens that the file names by their ids.
fn ends(header: &Header, merges: bool) -> Vec<String> {
    let count = header.list_len("tokenizer.ggml.tokens").unwrap_or(0);
    let id = |name: &str| match header.metadata(&format!("tokenizer.ggml.{name}_token_id")) {
        Ok(Some(Value::Unsigned(id))) => Some(id),
        Ok(Some(Value::Signed(id))) => Some(u64::try_from(id).unwrap_or(u64::MAX)),
        _ => None,
    };
    let mut doubts = Vec::new();
    if merges && id("eos").is_none() {
        doubts.push(
            "The file does not say which token ends a reply (no tokenizer.ggml.eos_token_id), so llama.cpp takes token 11 \
             for it and replies may end too soon or not at all; a newer conversion of the model says it."
                .to_owned(),
        );
    }
    let begins = matches!(header.metadata("tokenizer.ggml.add_bos_token"), Ok(Some(Value::Bool(true))));
    if merges && begins && id("bos").is_none() {
        doubts.push(
            "The file has prompts begin with a token that it does not name (no tokenizer.ggml.bos_token_id), so llama.cpp \
             begins them with token 11; a newer conversion of the model says it."
                .to_owned(),
        );
    }
    let kind_of = |id: u64| match header.metadata("tokenizer.ggml.token_type") {
        Ok(Some(Value::Array(Array::Signed(kinds)))) => kinds.get(id as usize).copied(),
        Ok(Some(Value::Array(Array::Unsigned(kinds)))) => {
            kinds.get(id as usize).and_then(|kind| i64::try_from(*kind).ok())
        }
        _ => None,
    };
    if id("eos").and_then(kind_of) == Some(PLAIN) {
        doubts.push(
            "The file calls the token that ends a reply plain text (in tokenizer.ggml.token_type), so the template's marks \
             are cut as plain text; a newer conversion of the model says what they are."
                .to_owned(),
        );
    }
    // -1 stands for none.
    let outside = |id: &u64| *id >= count && !matches!(*id, u64::MAX | 0xffff_ffff);
    for (name, id) in NAMED.iter().filter_map(|name| Some((name, id(name).filter(outside)?))) {
        doubts.push(format!(
            "The file's tokenizer.ggml.{name}_token_id is {id}, and its vocabulary has {count} tokens, so llama.cpp takes \
             another one; a newer conversion of the model says the right one."
        ));
    }
    doubts
}
