//! Conversations as files: JSON Lines and JSON with every number, Markdown to read, and one HTML page in which
//! every word can be opened.
//!
//! Invariants: probabilities are the model's own, over the whole vocabulary, as natural logarithms, and true
//! values: no number stands for "unknown" (that is `null`). Text that is shown (Markdown, HTML) is made safe;
//! in JSON it is as it was. Nothing here reads or writes a file.

pub mod figures;
mod html;
pub mod json;
mod markdown;
pub mod station;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::chat::{self, Conversation, Piece, Role, Run, RunId, Span, Teller, Turn};
use crate::model_entry::public_name;
use crate::reasoning::{Kind, Split};
use crate::token::{Step, TokenId, TokenKind, Vocabulary};

/// A format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The shown branch, to read.
    Markdown,
    /// Everything in one object.
    Json,
    /// One object a line: the conversation, then each turn followed by its tokens.
    JsonLines,
    /// The shown branch as one page that needs nothing else.
    Html,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 4] = [Self::Markdown, Self::Json, Self::JsonLines, Self::Html];

    /// The name on the command line, and the ending of a file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Html => "html",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// What is exported.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// The conversation.
    pub conversation: &'a Conversation,
    /// What its turns were generated under.
    pub runs: &'a BTreeMap<RunId, Run>,
    /// Vocabularies by hash; a token whose vocabulary is missing has its own bytes, its candidates none.
    pub vocabularies: &'a BTreeMap<String, Arc<Vocabulary>>,
    /// Whether what was thought stands in what is to be read; JSON holds it in any case.
    pub thinking: bool,
}

impl<'a> Document<'a> {
    /// The file's text.
    pub fn export(&self, format: Format) -> String {
        match format {
            Format::Markdown => markdown::page(self),
            Format::Json => json::object(self),
            Format::JsonLines => json::lines(self),
            Format::Html => html::page(self),
        }
    }

    /// The shown branch without deleted turns.
    fn shown(&self) -> impl Iterator<Item = &'a Turn> {
        self.conversation.branch().into_iter().filter(|turn| !turn.deleted)
    }

    /// The tokens of a turn with the run that each belongs to, kept stretches of other turns included.
    fn tokens(&self, turn: &'a Turn) -> Vec<(RunId, &'a Step)> {
        let pieces = self.conversation.pieces(turn);
        pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Step { run, step } => Some((run, step)),
                Piece::Written(_) => None,
            })
            .collect()
    }

    /// Who a turn is of: the model by its name, with the adapters that it wrote with.
    fn speaker(&self, turn: &Turn) -> String {
        match turn.role {
            Role::System => "System".to_owned(),
            Role::User => "You".to_owned(),
            Role::Assistant => {
                let model = turn.model.as_deref().map_or("Model", public_name);
                format!("{model} {}", chat::labels_of(turn, self.runs)).trim_end().to_owned()
            }
        }
    }

    /// A turn taken apart.
    fn split(&self, turn: &Turn) -> Split {
        chat::split_of(self.conversation, self.runs, self.vocabularies, turn)
    }

    /// What was thought in a turn and how many tokens that took, the marks among them, if anything was and it is wanted.
    fn thought(&self, turn: &'a Turn) -> Option<(usize, String)> {
        let split = self.split(turn);
        let whole: Vec<u8> = self.conversation.pieces(turn).iter().flat_map(Piece::bytes).copied().collect();
        let text = String::from_utf8_lossy(&split.text(&whole, Kind::Thought)).into_owned();
        (self.thinking && !text.trim().is_empty()).then(|| (split.thought_pieces(), text))
    }

    /// The answer of a turn without what was thought, control tokens in it by name.
    fn answer(&self, turn: &'a Turn) -> String {
        let split = self.split(turn);
        let mut bytes = Vec::new();
        let mut at = 0;
        for (index, piece) in self.conversation.pieces(turn).iter().enumerate() {
            let (from, own) = (at, piece.bytes());
            at += own.len();
            if !split.is_split() {
                bytes.extend_from_slice(own);
            }
            for range in split.ranges(Kind::Answer).filter(|_| split.is_split()) {
                let (start, end) = (range.start.max(from), range.end.min(at));
                bytes.extend_from_slice(
                    own.get(start.saturating_sub(from)..end.saturating_sub(from)).unwrap_or_default(),
                );
            }
            if let Piece::Step { run, step } = piece
                && let Some(id) = step.id.filter(|_| own.is_empty() && split.is_answer(index))
                && self.vocabulary(*run).is_some()
            {
                bytes.extend_from_slice(self.label(*run, id).as_bytes());
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The name of a control token.
    fn control_name(&self, run: RunId, step: &Step) -> Option<&'a [u8]> {
        let id = step.id.filter(|_| step.bytes.is_empty())?;
        self.vocabulary(run)?.bytes(id)
    }

    /// The server that told the figures of a reply, in words.
    fn told_by(&self, turn: &Turn) -> Option<String> {
        let written = |span: &Span| match span {
            Span::Generated { run, .. } => Some(*run),
            Span::Written { .. } | Span::Kept { .. } => None,
        };
        let teller = |run: RunId| self.runs.get(&run)?.told_by.as_ref().map(Teller::in_words);
        turn.spans.iter().filter_map(written).find_map(teller)
    }

    fn vocabulary(&self, run: RunId) -> Option<&'a Vocabulary> {
        let hash = self.runs.get(&run)?.vocabulary.as_ref()?;
        self.vocabularies.get(hash).map(Arc::as_ref)
    }

    /// The bytes that a token writes: none for a control token, whose entry holds its name.
    fn bytes(&self, run: RunId, id: TokenId) -> Option<&'a [u8]> {
        let vocabulary = self.vocabulary(run)?;
        let bytes = vocabulary.bytes(id)?;
        Some(if vocabulary.kind(id) == TokenKind::Control { &[] } else { bytes })
    }

    /// A token as it is shown: control tokens by name, bytes that form no character as `‹F0 9F›`.
    fn label(&self, run: RunId, id: TokenId) -> String {
        let Some(vocabulary) = self.vocabulary(run) else { return format!("token {}", id.0) };
        let bytes = vocabulary.bytes(id).unwrap_or_default();
        if vocabulary.kind(id) == TokenKind::Control {
            let name = String::from_utf8_lossy(bytes);
            return format!("‹{}›", name.trim_start_matches(['<', '|']).trim_end_matches(['>', '|']));
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            return visible(&crate::sanitize::for_copy(text));
        }
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("‹{}›", bytes.join(" "))
    }
}

/// White space by its marks.
fn visible(text: &str) -> String {
    text.replace(' ', "␣").replace('\n', "↵").replace('\t', "⇥")
}

/// Figures of a reply: tokens, mean −ln p in nats of those whose odds are known; `None` where none's are.
fn mean_surprisal(tokens: &[(RunId, &Step)]) -> Option<(usize, f64)> {
    let told: Vec<f64> = tokens
        .iter()
        .map(|(_, step)| -f64::from(step.logprob))
        .filter(|surprisal| !surprisal.is_nan())
        .collect();
    (!told.is_empty()).then(|| (tokens.len(), told.iter().sum::<f64>() / told.len() as f64))
}
