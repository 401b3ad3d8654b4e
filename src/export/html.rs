//! One HTML page: the shown branch, tokens coloured, what else could have come under the pointer. It needs no
//! other file, and no script from elsewhere; its own policy forbids loading any.
//!
//! Invariant: text of chats and models reaches the page escaped, in the markup and in the data.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Document, json::number, mean_surprisal};
use crate::chat::{Piece, Role, RunId, Turn};
use crate::model_entry::without_folders;
use crate::sanitize;
use crate::token::{Step, TokenId};

const PAGE: &str = include_str!("page.html");

pub(super) fn page(document: &Document<'_>) -> String {
    let mut data = Data::default();
    let mut body = String::new();
    for turn in document.shown() {
        article(document, turn, &mut data, &mut body);
    }
    let title = escaped(&sanitize::for_copy(&document.conversation.head.title));
    let shown: Vec<&Turn> = document.shown().collect();
    let tokens: Vec<_> = shown.iter().flat_map(|turn| document.tokens(turn)).collect();
    let mut about = format!("{} messages", shown.len());
    if let Some((count, mean)) = mean_surprisal(&tokens) {
        let bits = mean / std::f64::consts::LN_2;
        let _ = write!(about, ", {count} tokens written, {bits:.2} bit each, perplexity {:.2}", mean.exp());
    }
    fill(&[("@TITLE@", &title), ("@ABOUT@", &about), ("@BODY@", &body), ("@DATA@", &data.text())])
}

/// Puts the parts into the page, in one pass, so that a text which spells a placeholder stays text.
fn fill(parts: &[(&str, &str)]) -> String {
    let mut page =
        String::with_capacity(PAGE.len() + parts.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut rest = PAGE;
    loop {
        let next = parts.iter().filter_map(|(mark, text)| Some((rest.find(mark)?, *mark, *text))).min();
        let Some((at, mark, text)) = next else {
            page.push_str(rest);
            return page;
        };
        page.push_str(&rest[..at]);
        page.push_str(text);
        rest = &rest[at + mark.len()..];
    }
}

fn article(document: &Document<'_>, turn: &Turn, data: &mut Data, body: &mut String) {
    let class = match turn.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let speaker = sanitize::for_copy(&document.speaker(turn));
    let figures = mean_surprisal(&document.tokens(turn)).map_or_else(String::new, |(count, nats)| {
        let bits = nats / std::f64::consts::LN_2;
        format!("<span>{count} tokens   {bits:.2} bit each   perplexity {:.2}</span>", nats.exp())
    });
    let told = document.told_by(turn);
    let told = told.map_or_else(String::new, |told| format!("<span>figures of {}</span>", escaped(&told)));
    let _ = writeln!(
        body,
        "<article class=\"turn {class}\">\n<header>{}{figures}{told}</header>",
        escaped(&speaker)
    );
    body.push_str("<div class=\"text\">");
    text(document, turn, data, body);
    body.push_str("</div>\n");
    if let Some(note) = &turn.note {
        let _ = writeln!(
            body,
            "<div class=\"note\">{}</div>",
            escaped(&sanitize::for_copy(&without_folders(note)))
        );
    }
    body.push_str("</article>\n");
}

/// The text of a turn; tokens that share a character share a span.
fn text(document: &Document<'_>, turn: &Turn, data: &mut Data, body: &mut String) {
    let mut held = Held::default();
    let split = document.split(turn);
    let thought = |piece: usize| split.is_split() && !split.is_answer(piece);
    let mut open = false;
    for (index, piece) in document.conversation.pieces(turn).into_iter().enumerate() {
        if thought(index) && !document.thinking {
            continue;
        }
        if thought(index) != open {
            held.release(body);
            open = !open;
            let tokens = split.thought_pieces();
            let title = format!("<details class=\"thought\"><summary>thought: {tokens} tokens</summary>");
            body.push_str(if open { &title } else { "</details>" });
        }
        match piece {
            Piece::Written(text) => {
                held.release(body);
                body.push_str(&escaped(&sanitize::for_copy(text)));
            }
            Piece::Step { run, step } => {
                held.tokens.push(data.token(document, run, step));
                held.bytes.extend_from_slice(&step.bytes);
                if crate::chat::unfinished_tail(&held.bytes) == 0 {
                    held.release(body);
                }
            }
        }
    }
    held.release(body);
    if open {
        body.push_str("</details>");
    }
}

/// Tokens whose bytes do not end on a character yet.
#[derive(Default)]
struct Held {
    tokens: Vec<usize>,
    bytes: Vec<u8>,
}

impl Held {
    fn release(&mut self, body: &mut String) {
        if self.tokens.is_empty() {
            return;
        }
        let indices: Vec<String> = self.tokens.drain(..).map(|index| index.to_string()).collect();
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let text = escaped(&sanitize::for_copy(&text));
        let _ =
            write!(body, "<span class=\"t\" tabindex=\"0\" data-t=\"{}\">{text}</span>", indices.join(" "));
        self.bytes.clear();
    }
}

/// What the page's script shows: names once, tokens by index of their name.
#[derive(Default)]
struct Data {
    names: Vec<String>,
    by_id: HashMap<(Option<String>, TokenId), usize>,
    tokens: Vec<Value>,
}

impl Data {
    /// Adds a token; gives its index.
    fn token(&mut self, document: &Document<'_>, run: RunId, step: &Step) -> usize {
        let name = match step.id {
            Some(id) => self.name(document, run, id),
            None => self.new_name(super::visible(&sanitize::for_copy(&String::from_utf8_lossy(&step.bytes)))),
        };
        let candidates = step.candidates.iter();
        let candidates: Vec<Value> =
            candidates.map(|c| json!([self.name(document, run, c.id), number(c.logprob)])).collect();
        let rank = (step.rank > 0).then_some(step.rank);
        self.tokens.push(json!([name, number(step.logprob), rank, number(step.entropy), candidates]));
        self.tokens.len() - 1
    }

    fn name(&mut self, document: &Document<'_>, run: RunId, id: TokenId) -> usize {
        let vocabulary = document.runs.get(&run).and_then(|run| run.vocabulary.clone());
        if let Some(known) = self.by_id.get(&(vocabulary.clone(), id)) {
            return *known;
        }
        let name = self.new_name(document.label(run, id));
        self.by_id.insert((vocabulary, id), name);
        name
    }

    fn new_name(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    /// As JSON that cannot end its script element.
    fn text(&self) -> String {
        json!({"names": self.names, "tokens": self.tokens}).to_string().replace('<', "\\u003c")
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
