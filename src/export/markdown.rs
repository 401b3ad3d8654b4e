//! Markdown: the shown branch, to read.
//!
//! Invariant: the headings of the first two levels are ours alone; a message is Markdown already, and stands as it is but
//! for what would make it more than a message ([`markdown::contained`]). What was thought is left out unless asked for.

use std::fmt::Write as _;

use super::{Document, mean_surprisal};
use crate::model_entry::without_folders;
use crate::{markdown, sanitize};

pub(super) fn page(document: &Document<'_>) -> String {
    let title = sanitize::for_copy(&document.conversation.head.title).replace('\n', " ");
    let mut page = format!("# {title}\n");
    if let Some(system) = document.conversation.settings.system.as_deref().filter(|text| !text.is_empty()) {
        let _ = write!(page, "\n## System prompt\n\n{}\n", message(system));
    }
    for turn in document.shown() {
        let speaker = sanitize::for_copy(&document.speaker(turn)).replace('\n', " ");
        let _ = write!(page, "\n## {speaker}\n\n");
        if let Some((tokens, text)) = document.thought(turn) {
            let thought = message(&text);
            let _ = write!(
                page,
                "<details>\n<summary>thought: {tokens} tokens</summary>\n\n{thought}\n\n</details>\n\n"
            );
        }
        page.push_str(&message(&document.answer(turn)));
        page.push('\n');
        if let Some(note) = &turn.note {
            let _ = write!(page, "\n*{}*\n", sanitize::for_copy(&without_folders(note)));
        }
        if let Some((count, nats)) = mean_surprisal(&document.tokens(turn)) {
            let bits = nats / std::f64::consts::LN_2;
            let perplexity = nats.exp();
            let _ =
                write!(page, "\n<sub>{count} tokens, {bits:.2} bit each, perplexity {perplexity:.2}</sub>\n");
        }
    }
    page
}

/// A text as a message among others.
fn message(text: &str) -> String {
    markdown::contained(sanitize::for_copy(text).trim_end())
}
