//! JSON: a token as the object that the command line prints, and whole conversations.
//!
//! Invariant: a token's object is `{id, token, bytes, logprob, rank, entropy, top_logprobs}`; `token` is the
//! bytes as text with � for what forms no character, `bytes` are the truth.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Document;
use crate::chat::{Intervention, Piece, Role, Run, RunId, Span, Turn, TurnState};
use crate::model_entry::{public_name, without_folders};
use crate::token::{Step, TokenId};

/// A float as it is, not widened to sixteen digits of noise; what is not a finite number is `null`.
pub fn number(value: f32) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or(Value::Null)
}

/// A token with its probability. It is written out as it stands: `ask --json` makes twenty of them for each word, beside the
/// threads that compute the next one.
#[derive(Debug, Serialize)]
pub struct Token<'a> {
    id: Option<TokenId>,
    /// By this the same token is found again in this file, and in no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    stand_in: Option<TokenId>,
    #[serde(rename = "token")]
    text: Option<Cow<'a, str>>,
    bytes: Option<&'a [u8]>,
    logprob: Value,
}

impl<'a> Token<'a> {
    /// `bytes` where they are known.
    pub fn new(id: Option<TokenId>, bytes: Option<&'a [u8]>, logprob: f32) -> Self {
        let is_stand_in = |id: &TokenId| id.is_stand_in();
        Self {
            id: id.filter(|id| !is_stand_in(id)),
            stand_in: id.filter(is_stand_in),
            text: bytes.map(String::from_utf8_lossy),
            bytes,
            logprob: number(logprob),
        }
    }
}

/// A step with its candidates.
#[derive(Debug, Serialize)]
pub struct OneStep<'a> {
    #[serde(flatten)]
    token: Token<'a>,
    rank: Option<u32>,
    entropy: Value,
    top_logprobs: Vec<Token<'a>>,
}

impl<'a> OneStep<'a> {
    /// `bytes_of` gives the bytes of a candidate where they are known.
    pub fn new(step: &'a Step, bytes_of: impl Fn(TokenId) -> Option<&'a [u8]>) -> Self {
        let candidates = step.candidates.iter();
        Self {
            token: Token::new(step.id, Some(&step.bytes), step.logprob),
            rank: (step.rank > 0).then_some(step.rank),
            entropy: number(step.entropy),
            top_logprobs: candidates.map(|c| Token::new(Some(c.id), bytes_of(c.id), c.logprob)).collect(),
        }
    }
}

/// An object to which more is added.
pub(super) fn object_of(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Everything in one object, indented.
pub(super) fn object(document: &Document<'_>) -> String {
    let mut whole = head(document);
    let turns = document.conversation.turns.iter().map(|turn| {
        let mut object = self::turn(document, turn);
        let tokens = document.tokens(turn);
        let tokens = tokens.into_iter().map(|(run, step)| Value::Object(self::of_run(document, run, step)));
        object.insert("tokens".into(), tokens.collect());
        Value::Object(object)
    });
    whole.insert("turns".into(), turns.collect());
    whole.insert("runs".into(), runs(document).into_iter().map(Value::Object).collect());
    let mut text = serde_json::to_string_pretty(&whole).expect("plain data becomes JSON");
    text.push('\n');
    text
}

/// One object a line.
pub(super) fn lines(document: &Document<'_>) -> String {
    let mut text = String::new();
    let mut line = |kind: &str, rest: Map<String, Value>| {
        let mut object = Map::new();
        object.insert("type".into(), json!(kind));
        object.extend(rest);
        text.push_str(&Value::Object(object).to_string());
        text.push('\n');
    };
    line("conversation", head(document));
    for run in runs(document) {
        line("run", run);
    }
    for turn in &document.conversation.turns {
        line("turn", self::turn(document, turn));
        for (index, (run, step)) in document.tokens(turn).into_iter().enumerate() {
            let mut object = Map::new();
            object.insert("turn".into(), json!(turn.id.0));
            object.insert("index".into(), json!(index));
            object.extend(of_run(document, run, step));
            line("token", object);
        }
    }
    text
}

fn head(document: &Document<'_>) -> Map<String, Value> {
    let chat = document.conversation;
    let Value::Object(head) = json!({
        "format": "glassbox",
        "version": 1,
        "id": chat.head.id.0,
        "title": chat.head.title,
        "created_ms": chat.head.created_ms,
        "updated_ms": chat.head.updated_ms,
        "system": chat.settings.system,
        "leaf": chat.leaf,
    }) else {
        unreachable!("an object was written");
    };
    head
}

fn turn(document: &Document<'_>, turn: &Turn) -> Map<String, Value> {
    let role = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let state = match turn.state {
        TurnState::Done => "done",
        TurnState::Streaming => "streaming",
        TurnState::Interrupted => "interrupted",
    };
    let spans = turn.spans.iter().map(|span| match span {
        Span::Written { text } => json!({"written": text}),
        Span::Generated { run, steps } => json!({"run": run.0, "tokens": steps.len()}),
        Span::Kept { turn, steps } => json!({"kept_from": turn.0, "tokens": steps}),
    });
    let shown = document.shown().any(|other| other.id == turn.id);
    let Value::Object(mut object) = json!({
        "id": turn.id.0,
        "parent": turn.parent,
        "role": role,
        "model": turn.model.as_deref().map(public_name),
        "created_ms": turn.created_ms,
        "state": state,
        "note": turn.note.as_deref().map(without_folders),
        "shown": shown,
        "deleted": turn.deleted,
        "text": text(document, turn),
        "spans": spans.collect::<Vec<_>>(),
    }) else {
        unreachable!("an object was written");
    };
    if !turn.inserts.is_empty() {
        object.insert("inserts".into(), json!(turn.inserts));
    }
    object
}

fn text(document: &Document<'_>, turn: &Turn) -> String {
    let pieces = document.conversation.pieces(turn);
    let bytes: Vec<u8> = pieces.iter().flat_map(Piece::bytes).copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn of_run(document: &Document<'_>, run: RunId, of: &Step) -> Map<String, Value> {
    let mut object = object_of(&OneStep::new(of, |id| document.bytes(run, id)));
    object.insert("ms".into(), number(of.ms));
    object.insert("run".into(), json!(run.0));
    if let Some(name) = document.control_name(run, of) {
        object.insert("name".into(), json!(String::from_utf8_lossy(name)));
    }
    object
}

/// The runs of the conversation's turns: what each was made under.
fn runs(document: &Document<'_>) -> Vec<Map<String, Value>> {
    let spans = document.conversation.turns.iter().flat_map(|turn| &turn.spans);
    let ids = spans.filter_map(|span| match span {
        Span::Generated { run, .. } => Some(run),
        Span::Written { .. } | Span::Kept { .. } => None,
    });
    let runs = ids.filter_map(|id| document.runs.get(id));
    runs.map(|run| {
        // The file stands alone: each run has its whole prompt, whatever it shares with another.
        let prompt_ids = crate::chat::prompt_of(document.runs, run.id).unwrap_or_default();
        object_of(&Run {
            model: public_name(&run.model).to_owned(),
            prefix: None,
            prompt_ids,
            interventions: run.interventions.iter().map(Intervention::public).collect(),
            ..run.clone()
        })
    })
    .collect()
}
