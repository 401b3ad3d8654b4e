//! Exports of our own, as one object or one object a line, whole: turns by id, tokens with their figures, runs.

use serde::Deserialize;
use serde_json::Value;

use super::{ImportError, Imported, Words};
use crate::chat::{
    ChatSettings, Conversation, ConversationHead, ConversationId, Insert, Place, Role, Run, RunId, Span,
    Turn, TurnId, TurnState,
};
use crate::token::{Candidate, Entry, Step, TokenId, TokenKind};

/// Whether it is an export of ours.
pub(super) fn is(value: &Value) -> bool {
    value["format"].as_str() == Some("glassbox")
}

/// The chat of an export with one object a line; `None` where it is none.
pub(super) fn lines(text: &str) -> Option<Result<Vec<Imported>, ImportError>> {
    let first: Value = serde_json::from_str(text.lines().next()?).ok()?;
    (is(&first) && first["type"].as_str() == Some("conversation")).then(|| gathered(text))
}

fn gathered(text: &str) -> Result<Vec<Imported>, ImportError> {
    let mut chats: Vec<Value> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let damaged = |why: String| ImportError::Damaged(format!("line {} {why}", number + 1));
        let value: Value =
            serde_json::from_str(line).map_err(|error| damaged(format!("is not JSON: {error}")))?;
        let kind = value["type"].as_str().unwrap_or_default().to_owned();
        if kind == "conversation" {
            chats.push(value);
            continue;
        }
        let chat = chats.last_mut().ok_or_else(|| damaged("comes before its conversation".into()))?;
        match kind.as_str() {
            "run" => put(&mut chat["runs"], value),
            "turn" => put(&mut chat["turns"], value),
            "token" => {
                let turns = chat["turns"].as_array_mut().into_iter().flatten();
                let mut turn = turns.filter(|turn| turn["id"] == value["turn"]);
                put(
                    &mut turn.next_back().ok_or_else(|| damaged("is a token of no turn".into()))?["tokens"],
                    value,
                );
            }
            _ => {} // of a later version
        }
    }
    chats.iter().map(chat).collect()
}

/// Adds to a list, which begins with its first entry.
fn put(list: &mut Value, value: Value) {
    match list {
        Value::Array(values) => values.push(value),
        other => *other = Value::Array(vec![value]),
    }
}

/// A turn as it is exported.
#[derive(Deserialize)]
struct Exported {
    id: TurnId,
    parent: Option<TurnId>,
    role: Role,
    model: Option<String>,
    created_ms: i64,
    note: Option<String>,
    #[serde(default)]
    deleted: bool,
    state: String,
    spans: Vec<Value>,
    #[serde(default)]
    tokens: Vec<Token>,
    #[serde(default)]
    inserts: Vec<Insert>,
}

#[derive(Deserialize)]
struct Token {
    id: Option<TokenId>,
    stand_in: Option<TokenId>,
    bytes: Option<Vec<u8>>,
    /// Of a token without text.
    name: Option<String>,
    logprob: Option<f32>,
    rank: Option<u32>,
    entropy: Option<f32>,
    #[serde(default)]
    top_logprobs: Vec<Token>,
    ms: Option<f32>,
}

/// The chat of one object.
pub(super) fn chat(value: &Value) -> Result<Imported, ImportError> {
    let damaged =
        |what: &str, error: &dyn std::fmt::Display| ImportError::Damaged(format!("{what}: {error}"));
    let id = value["id"].as_i64().ok_or_else(|| ImportError::Damaged("it has no id".into()))?;
    let list = |name: &str| value[name].as_array().into_iter().flatten();
    let runs = list("runs").map(Run::deserialize).collect::<Result<Vec<_>, _>>();
    let runs = runs.map_err(|error| damaged("a run", &error))?;
    let mut turns = Vec::new();
    let mut words = Words::new();
    for (number, turn) in list("turns").enumerate() {
        let read = Exported::deserialize(turn).map_err(|error| damaged(&format!("turn {number}"), &error))?;
        read.words(&runs, &mut words);
        turns.push(turn_of(read).map_err(|error| damaged(&format!("turn {number}"), &error))?);
    }
    let leaf = value["leaf"].as_i64().map(TurnId).filter(|leaf| turns.iter().any(|turn| turn.id == *leaf));
    let ms = |name: &str| value[name].as_i64().unwrap_or_default();
    let head = ConversationHead {
        title: value["title"].as_str().unwrap_or_default().to_owned(),
        created_ms: ms("created_ms"),
        updated_ms: ms("updated_ms"),
        ..ConversationHead::new(ConversationId(id))
    };
    let system = value["system"].as_str().map(str::to_owned);
    let settings = ChatSettings { system, ..ChatSettings::default() };
    let conversation = Conversation { head, settings, leaf, turns, place: Place::default() };
    Ok(Imported { conversation, runs, words })
}

impl Exported {
    /// Adds what the tokens are, of the vocabularies that they belong to.
    fn words(&self, runs: &[Run], words: &mut Words) {
        let mut tokens = self.tokens.iter();
        for span in &self.spans {
            let count = span["tokens"].as_u64().unwrap_or_default() as usize;
            let of = span["run"].as_i64().and_then(|id| runs.iter().find(|run| run.id == RunId(id)));
            let stretch = tokens.by_ref().take(count);
            let Some(hash) = of.and_then(|run| run.vocabulary.as_ref()) else {
                stretch.for_each(drop);
                continue;
            };
            let words = words.entry(hash.clone()).or_default();
            words.extend(stretch.flat_map(|token| token.top_logprobs.iter().chain([token])).filter_map(word));
        }
    }
}

impl Token {
    fn known_id(&self) -> Option<TokenId> {
        self.id.or(self.stand_in)
    }
}

fn word(token: &Token) -> Option<(TokenId, Entry)> {
    let (bytes, kind) = match (&token.bytes, &token.name) {
        (Some(bytes), None) if !bytes.is_empty() => (bytes.clone(), TokenKind::Normal),
        (_, Some(name)) => (name.clone().into_bytes(), TokenKind::Control),
        _ => return None,
    };
    Some((token.known_id()?, Entry { bytes, kind }))
}

fn turn_of(turn: Exported) -> Result<Turn, String> {
    let mut tokens = turn.tokens.into_iter();
    let mut spans = Vec::new();
    for span in &turn.spans {
        let count = span["tokens"].as_u64().unwrap_or_default();
        if let Some(text) = span["written"].as_str() {
            spans.push(Span::Written { text: text.to_owned() });
        } else if let Some(from) = span["kept_from"].as_i64() {
            let passed = tokens.by_ref().take(count as usize).count();
            let steps = u32::try_from(passed).unwrap_or_default();
            spans.push(Span::Kept { turn: TurnId(from), steps });
        } else if let Some(run) = span["run"].as_i64() {
            let steps: Vec<Step> = tokens.by_ref().take(count as usize).map(step).collect();
            if (steps.len() as u64) < count {
                return Err(format!("it has {} tokens of {count}", steps.len()));
            }
            spans.push(Span::Generated { run: RunId(run), steps });
        }
    }
    let state = if turn.state == "done" { TurnState::Done } else { TurnState::Interrupted };
    let Exported { id, parent, role, model, created_ms, note, deleted, inserts, .. } = turn;
    Ok(Turn { id, parent, role, spans, state, deleted, note, model, created_ms, inserts })
}

fn step(token: Token) -> Step {
    let candidate = |other: &Token| Some(Candidate { id: other.known_id()?, logprob: other.logprob? });
    Step {
        id: token.known_id(),
        bytes: token.bytes.unwrap_or_default(),
        logprob: token.logprob.unwrap_or(f32::NAN),
        rank: token.rank.unwrap_or_default(),
        entropy: token.entropy.unwrap_or(f32::NAN),
        candidates: token.top_logprobs.iter().filter_map(candidate).collect(),
        ms: token.ms.unwrap_or_default(),
        survivors: 0,
    }
}
