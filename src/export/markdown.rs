//! Markdown: the shown branch, to read.
//!
//! Invariant: the headings of the first two levels are ours alone; a message is Markdown already, and stands as it is but
//! for what would make it more than a message ([`markdown::contained`]) and labels that others have too
//! ([`markdown::apart`]). What was thought is left out unless asked for.

use std::fmt::Write as _;

use super::{Document, mean_surprisal};
use crate::chat::Turn;
use crate::model_entry::without_folders;
use crate::{markdown, sanitize};

pub(super) fn page(document: &Document<'_>) -> String {
    let title = sanitize::for_copy(&document.conversation.head.title).replace('\n', " ");
    let mut messages = messages(document, &title).into_iter();
    let mut next = || messages.next().unwrap_or_default();
    let mut page = format!("# {title}\n");
    if system(document).is_some() {
        let _ = write!(page, "\n## System prompt\n\n{}\n", next());
    }
    for turn in document.shown() {
        let _ = write!(page, "\n## {}\n\n", speaker(document, turn));
        if let Some((tokens, _)) = document.thought(turn) {
            let thought = next();
            let _ = write!(
                page,
                "<details>\n<summary>thought: {tokens} tokens</summary>\n\n{thought}\n\n</details>\n\n"
            );
        }
        page.push_str(&next());
        page.push('\n');
        if let Some(note) = &turn.note {
            let _ = write!(page, "\n*{}*\n", self::note(note));
        }
        if let Some((count, nats)) = mean_surprisal(&document.tokens(turn)) {
            let bits = nats / std::f64::consts::LN_2;
            let perplexity = nats.exp();
            let told = document.told_by(turn).map_or_else(String::new, |told| format!("; figures of {told}"));
            let _ = write!(
                page,
                "\n<sub>{count} tokens, {bits:.2} bit each, perplexity {perplexity:.2}{told}</sub>\n"
            );
        }
    }
    page
}

/// The texts of the page in their order, none of which acts on another.
fn messages(document: &Document<'_>, title: &str) -> Vec<String> {
    let mut texts: Vec<String> = system(document).map(message).into_iter().collect();
    let mut around = vec![title.to_owned()];
    for turn in document.shown() {
        texts.extend(document.thought(turn).map(|(_, text)| message(&text)));
        texts.push(message(&document.answer(turn)));
        around.push(speaker(document, turn));
        around.extend(turn.note.as_deref().map(note));
    }
    markdown::apart(texts, &around.join("\n"))
}

fn system<'a>(document: &Document<'a>) -> Option<&'a str> {
    document.conversation.settings.system.as_deref().filter(|text| !text.is_empty())
}

fn speaker(document: &Document<'_>, turn: &Turn) -> String {
    sanitize::for_copy(&document.speaker(turn)).replace('\n', " ")
}

fn note(note: &str) -> String {
    sanitize::for_copy(&without_folders(note))
}

/// A text as a message among others.
fn message(text: &str) -> String {
    markdown::contained(sanitize::for_copy(text).trim_end())
}
