//! What a template knows of thinking: how it wants what was thought before, and what it can be told.
//!
//! Invariant: what a template does to a reply is found by trying, not by its name.

use std::borrow::Cow;

use super::jinja::{Jinja, Line};
use crate::chat::Role;
use crate::engine::protocol::{Message, StoredTokens, Switches, TemplateSetting};

/// How a template wants what was thought in earlier replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    /// Beside the answer, in a field of its own; it then leaves out what it does.
    Beside,
    /// In the text between its marks, which it takes away itself.
    Inside,
    /// Not at all.
    Nothing,
}

const THOUGHT: &str = "Glasshouses.";

impl Wants {
    pub(super) fn of(jinja: &Jinja) -> Self {
        let source = jinja.source();
        let field = [
            "reasoning_content",
            ".thinking",
            "['thinking']",
            "[\"thinking\"]",
            "'thinking' in",
            "\"thinking\" in",
        ];
        let question = Line::plain(Role::User, "Glass?");
        let rendered = |answer: Line<'_>| {
            jinja.render(&[question.clone(), answer, question.clone()], &TemplateSetting::default()).ok()
        };
        let beside = Line { reasoning: Some(THOUGHT.into()), ..Line::plain(Role::Assistant, "Box.") };
        if field.iter().any(|field| source.contains(field)) && rendered(beside).is_some() {
            return Self::Beside;
        }
        let inside = format!("<think>\n{THOUGHT}\n</think>\n\nBox.");
        let inside = rendered(Line::plain(Role::Assistant, &inside));
        let taken_away = inside.is_some_and(|text| text.contains("Box.") && !text.contains(THOUGHT));
        if taken_away { Self::Inside } else { Self::Nothing }
    }

    /// A message as the template takes it.
    pub(super) fn line(self, message: &Message) -> Line<'_> {
        let whole = || Line {
            role: message.role,
            text: Cow::Borrowed(message.text.as_str()),
            reasoning: None,
            stored: message.stored.as_ref().map(Cow::Borrowed),
        };
        let Some(reasoned) = &message.reasoned else { return whole() };
        if self == Self::Inside && reasoned.marks_are_text {
            return whole();
        }
        let from = reasoned.answer_from as usize;
        let text = message.text.get(from..).unwrap_or_default();
        let reasoning = (self == Self::Beside && !reasoned.thought.is_empty())
            .then_some(Cow::Borrowed(reasoned.thought.as_str()));
        let stored = message.stored.as_ref().and_then(|stored| after(stored, from)).map(Cow::Owned);
        Line { role: message.role, text: Cow::Borrowed(text), reasoning, stored }
    }
}

/// The tokens from a byte of the text on, if one begins there.
fn after(stored: &StoredTokens, byte: usize) -> Option<StoredTokens> {
    let mut at = 0;
    let first = stored.tokens.iter().position(|(_, length)| {
        let here = at == byte && *length > 0;
        at += *length as usize;
        here
    })?;
    Some(StoredTokens { vocabulary: stored.vocabulary.clone(), tokens: stored.tokens[first..].to_vec() })
}

/// What a template can be told beside the messages.
pub(super) fn switches(jinja: &Jinja) -> Switches {
    const GIVEN: [&str; 14] = [
        "messages",
        "tools",
        "documents",
        "add_generation_prompt",
        "bos_token",
        "eos_token",
        "raise_exception",
        "strftime_now",
        "namespace",
        "range",
        "dict",
        "debug",
        "loop",
        "joiner",
    ];
    let values: Vec<String> =
        jinja.reads().into_iter().filter(|name| !GIVEN.contains(&name.as_str())).collect();
    let mut words = slash_words(jinja.source());
    let thinks = jinja.source().contains("think");
    for word in ["/no_think", "/think"] {
        if thinks && words.iter().all(|known| known != word) {
            words.push(word.into());
        }
    }
    Switches { values, words }
}

/// `/no_think` and the like, as they stand in the template.
fn slash_words(source: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, _) in source.match_indices('/') {
        let quoted = source[..at].ends_with(['\'', '"', ' ']);
        let word: String =
            source[at + 1..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let whole = source[at + 1 + word.len()..].starts_with(['\'', '"', ' ']);
        let word = format!("/{word}");
        if quoted && whole && word.len() > 3 && !words.contains(&word) {
            words.push(word);
        }
    }
    words
}
