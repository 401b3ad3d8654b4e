//! An open station as JSON: every figure behind the picture, at full precision, with what it was made under.
//!
//! Invariants: names and units are those of `glassbox inspect --json`; logarithms are natural and true values, and what
//! is not known is `null`; characters that could act on a terminal stand as `\uXXXX`, so the file is safe to print and
//! still exact.

mod parts;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use super::json::{Token, number, object_of};
use crate::chat::{Intervention, Run};
use crate::inspect::depth::Depth;
use crate::inspect::distribution::Distribution;
use crate::inspect::feed_forward::FfnLayer;
use crate::inspect::pieces::Pieces;
use crate::inspect::stages::SamplerTrace;
use crate::inspect::trace::{Component, EmbeddingFacts, FeedForward, Followed, ForwardTrace};
use crate::model_entry::public_name;
use crate::token::{Step, TokenId, Vocabulary};
use parts::Names;

/// Likeliest tokens that are listed where the whole distribution is known.
const LISTED: usize = 100;

/// What a station shows, and of what.
#[derive(Clone, Debug, Default)]
pub struct StationFacts<'a> {
    /// The station's name, as its command spells it.
    pub station: &'a str,
    /// What the token's text was generated or scored under.
    pub run: Option<&'a Run>,
    /// The vocabulary that ids belong to.
    pub vocabulary: Option<&'a Vocabulary>,
    /// What the pass has read, in order; empty where that is not known.
    pub ids: &'a [TokenId],
    /// The token on display, with its own numbers.
    pub step: Option<&'a Step>,
    /// Whether the pass is the one at the token itself rather than the one that chose it.
    pub own_pass: bool,
    /// The text that was cut, and how.
    pub pieces: Option<(&'a str, &'a Pieces)>,
    /// Rows of the embedding table, and the tokens that the map and the cosines are of.
    pub embedding: Option<(&'a EmbeddingFacts, &'a [TokenId])>,
    /// The tokens, with their signs, that were added up in place of the token on display; empty where none were.
    pub sum: &'a [(TokenId, f32)],
    /// The pass.
    pub trace: Option<&'a ForwardTrace>,
    /// Its feed-forwards.
    pub ffns: &'a [FeedForward],
    /// Every block's feed-forward in one line.
    pub ffn_layers: &'a [FfnLayer],
    /// The followed tokens with single parts off.
    pub off: &'a [(Component, Vec<Followed>)],
    /// The grid of layers over tokens: the position of the first column, and the columns.
    pub grid: Option<(u32, &'a [Depth])>,
    /// Attention over a stretch of the text.
    pub rows: Vec<StretchRows>,
    /// The pass with parts switched off: which, whether at every position, and what it gave.
    pub card: Option<(Vec<Component>, bool, &'a ForwardTrace)>,
    /// The whole distribution.
    pub distribution: Option<&'a Distribution>,
    /// The sampler chain's work.
    pub sampler: Option<&'a SamplerTrace>,
}

/// Attention of every token of a stretch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StretchRows {
    /// Block and query head; `None` for the rollout of all.
    pub head: Option<(u32, u32)>,
    /// Position of the first row.
    pub first: u32,
    /// The first position that each row may see.
    pub seen_from: Vec<u32>,
    /// A row a token, from position 0 to its own.
    pub rows: Vec<Vec<f32>>,
}

impl StationFacts<'_> {
    /// The file's text.
    pub fn json(&self) -> String {
        let names = Names(self.vocabulary);
        let mut object = self.head(names);
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        if let Some((text, pieces)) = self.pieces {
            put("text", json!(text));
            put("tokenizer", parts::pieces(names, pieces));
        }
        if let (Some((facts, span)), Some(step)) = (self.embedding, self.step) {
            put("embedding_neighbours", json!([parts::neighbours(names, step, self.sum, facts)]));
            put("span", parts::span(names, facts, span));
        }
        if let Some(sampler) = self.sampler {
            put("sampler", parts::sampler(names, sampler));
        }
        if let Some(trace) = self.trace {
            parts::pass(names, trace, self.ffns, &mut put);
            if !self.ffn_layers.is_empty() {
                put("ffn_layers", parts::ffn_layers(self.ffn_layers));
            }
            if !self.off.is_empty() {
                put("with_part_off", parts::offs(names, self.off));
            }
        } else {
            self.odds(names, &mut put);
        }
        if let Some((from, columns)) = self.grid {
            put("layers_over_tokens", parts::grid(names, from, columns));
        }
        if !self.rows.is_empty() {
            put("attention_of_every_row", self.rows.iter().map(parts::rows).collect());
        }
        if let Some((off, everywhere, card)) = &self.card {
            put("switched_off", parts::card(names, off, *everywhere, card));
        }
        let text = serde_json::to_string_pretty(&Value::Object(object)).expect("plain data becomes JSON");
        escaped(&text) + "\n"
    }

    /// What it is of, and what that was made under.
    fn head(&self, names: Names<'_>) -> Map<String, Value> {
        let run = self.run;
        let pass = if self.own_pass { "at the token" } else { "that chose the token" };
        let token = self.step.map(|step| {
            let mut token = object_of(&Token::new(step.id, Some(&step.bytes), step.logprob));
            token.insert("rank".into(), json!((step.rank > 0).then_some(step.rank)));
            token
        });
        let Value::Object(head) = json!({
            "format": "glassbox-station",
            "version": 1,
            "station": self.station,
            "model": run.map(|run| public_name(&run.model)),
            "model_sha256": run.and_then(|run| run.model_hash.as_ref()),
            "vocabulary_sha256": run.and_then(|run| run.vocabulary.as_ref()),
            "template_sha256": run.and_then(|run| run.template_hash.as_ref()),
            "told_by": run.and_then(|run| run.told_by.as_ref()),
            "sampling": run.map(|run| &run.sampling),
            "seed": run.map(|run| run.seed),
            "interventions": run.map(|run| run.interventions.iter().map(Intervention::public).collect::<Vec<_>>()),
            "pass": pass,
            "position": self.ids.len().checked_sub(1),
            "ids": self.ids,
            "tokens": self.ids.iter().map(|id| names.text(*id)).collect::<Vec<_>>(),
            "token": token,
        }) else {
            unreachable!("an object was written");
        };
        head
    }

    /// The likeliest next tokens where no pass was opened: of the whole distribution, else as kept with the token.
    fn odds(&self, names: Names<'_>, put: &mut impl FnMut(&str, Value)) {
        let Some(step) = self.step else { return };
        let (list, entropy) = match self.distribution {
            Some(whole) => (whole.top(LISTED), whole.entropy()),
            None => (step.candidates.clone(), step.entropy),
        };
        let outside = Step { candidates: list.clone(), ..Step::default() }.outside(list.len());
        put("next", list.iter().map(|candidate| names.likely(*candidate)).collect());
        put("p_of_others", json!((!outside.is_nan()).then_some(outside)));
        put("entropy_nats", number(entropy));
    }
}

/// JSON text in which every character that could act on a terminal is written as `\uXXXX`; the value stays the same.
fn escaped(json: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        let acts = character.is_control() && character != '\n'
            || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        if !acts {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}
