//! Markdown: the shown branch, to read.
//!
//! Invariant: messages stand as they are, since they are Markdown already; only the lines between them are ours, and the
//! end of what a message leaves open, so that the next is not part of it. What was thought is left out.

use std::fmt::Write as _;

use super::{Document, mean_surprisal};
use crate::model_entry::without_folders;
use crate::{markdown, sanitize};

pub(super) fn page(document: &Document<'_>) -> String {
    let title = sanitize::for_copy(&document.conversation.head.title).replace('\n', " ");
    let mut page = format!("# {title}\n");
    if let Some(system) = document.conversation.settings.system.as_deref().filter(|text| !text.is_empty()) {
        let _ = write!(page, "\n## System prompt\n\n{}\n", sanitize::for_copy(system));
    }
    for turn in document.shown() {
        let speaker = sanitize::for_copy(&document.speaker(turn)).replace('\n', " ");
        let _ = write!(page, "\n## {speaker}\n\n");
        let text = sanitize::for_copy(&document.answer(turn));
        page.push_str(text.trim_end());
        page.push('\n');
        if let Some(end) = markdown::closing(&text) {
            let _ = writeln!(page, "{end}");
        }
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
