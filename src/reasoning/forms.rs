//! The marks that models put around what they think.
//!
//! Invariant: a mark is spelt the same whether it is text or made of control tokens; of several that begin alike the
//! longest counts.

use std::borrow::Cow;

/// Marks that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub(super) open: Cow<'static, str>,
    /// What ends the thinking, each mark whole.
    pub(super) closes: Vec<Cow<'static, str>>,
    /// What is written to end the thinking before the model does.
    pub(super) forced: Cow<'static, str>,
    /// What may begin the thinking again after an answer, of control tokens only.
    pub(super) again: Vec<Cow<'static, str>>,
}

/// How a text compares with the marks that could stand at its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// With a mark of so many bytes, after which the model thinks.
    Thought(usize, Form),
    /// With a mark of so many bytes, after which the model answers.
    Answer(usize),
    /// More text must decide.
    Perhaps,
    /// With none.
    No,
}

/// `open`, `close`, and what is forced where that is more.
const PAIRS: [(&str, &[&str]); 7] = [
    ("<|START_THINKING|>", &["<|END_THINKING|><|START_RESPONSE|>", "<|END_THINKING|>"]),
    ("<|begin_of_thought|>", &["<|end_of_thought|>"]),
    ("<|inner_prefix|>", &["<|inner_suffix|>"]),
    ("<|channel>thought", &["<channel|>"]),
    ("◁think▷", &["◁/think▷"]),
    ("<|think|>", &["<|/think|>"]),
    ("Here is my thought process:", &["Here is my response:"]),
];
const CHANNEL: &str = "<|channel|>analysis<|message|>";
const CHANNEL_ENDS: [&str; 5] = [
    "<|end|><|start|>assistant<|channel|>final<|message|>",
    "<|end|><|start|>assistant<|channel|>commentary<|message|>",
    "<|start|>assistant<|channel|>final<|message|>",
    "<|channel|>final<|message|>",
    "<|end|>",
];
const CHANNEL_AGAIN: [&str; 2] = [
    "<|end|><|start|>assistant<|channel|>analysis<|message|>",
    "<|start|>assistant<|channel|>analysis<|message|>",
];
/// Marks before an answer that nothing was thought for.
const ANSWERS: [&str; 4] = [
    "<|channel|>final<|message|>",
    "<|channel|>commentary<|message|>",
    "<|START_RESPONSE|>",
    "<|begin_of_solution|>",
];
/// Longest name of a mark such as `<think>`.
const NAME: usize = 24;

impl Form {
    fn pair(open: &'static str, closes: &[&'static str]) -> Self {
        Self {
            open: open.into(),
            closes: closes.iter().map(|close| Cow::Borrowed(*close)).collect(),
            forced: closes[0].into(),
            again: Vec::new(),
        }
    }

    fn channel() -> Self {
        Self {
            again: CHANNEL_AGAIN.iter().chain([&CHANNEL]).map(|mark| Cow::Borrowed(*mark)).collect(),
            ..Self::pair(CHANNEL, &CHANNEL_ENDS)
        }
    }

    /// `<name>` or `[name]` as a whole, where its name is one for thinking.
    fn named(open: &str) -> Option<Self> {
        let (name, brackets) = match open.as_bytes() {
            [b'<', .., b'>'] => (&open[1..open.len() - 1], ('<', '>')),
            [b'[', .., b']'] => (&open[1..open.len() - 1], ('[', ']')),
            _ => return None,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-');
        let lower = name.to_ascii_lowercase();
        let thinking = ["think", "thought", "reason"].iter().any(|word| lower.contains(word));
        if !thinking || name.len() > NAME || !name.chars().all(plain) {
            return None;
        }
        let close = format!("{}/{name}{}", brackets.0, brackets.1);
        let forced = if brackets.0 == '<' { format!("\n{close}\n\n") } else { close.clone() };
        let open: Cow<'static, str> = open.to_owned().into();
        Some(Self { again: vec![open.clone()], open, closes: vec![close.into()], forced: forced.into() })
    }

    /// The form of most models, in which one may think that has begun with its answer.
    pub(super) fn usual() -> Option<Self> {
        Self::named("<think>")
    }

    /// The form whose open mark ends a prompt: the model goes on thinking.
    #[must_use]
    pub fn opened_by(prompt: &str) -> Option<Self> {
        let prompt = prompt.trim_end();
        if let Some(start) = prompt.rfind(['<', '[']).filter(|start| prompt.len() - start <= NAME + 2)
            && let Some(form) = Self::named(&prompt[start..])
        {
            return Some(form);
        }
        let mut pairs = PAIRS.iter().map(|(open, closes)| Self::pair(open, closes)).chain([Self::channel()]);
        pairs.find(|form| prompt.ends_with(form.open.as_ref()))
    }

    /// Whether a token that is spelt so begins a mark that stands before thoughts or before an answer.
    #[must_use]
    pub fn may_open(token: &[u8]) -> bool {
        let known = PAIRS.iter().map(|(open, _)| *open).chain([CHANNEL]).chain(ANSWERS);
        match begins(token) {
            Begins::Thought(length, _) | Begins::Answer(length) => length == token.len(),
            // A bracket alone begins too much.
            Begins::Perhaps => {
                token.len() > 2 && known.into_iter().any(|mark| mark.as_bytes().starts_with(token))
            }
            Begins::No => false,
        }
    }

    /// What is written to end the thinking before the model does.
    #[must_use]
    pub fn forced(&self) -> &str {
        &self.forced
    }
}

/// Which mark a text begins with.
pub(super) fn begins(text: &[u8]) -> Begins {
    let known = PAIRS.iter().map(|(open, closes)| Form::pair(open, closes)).chain([Form::channel()]);
    let mut perhaps = text.is_empty();
    for form in known {
        let open = form.open.as_bytes();
        if text.starts_with(open) {
            return Begins::Thought(open.len(), form);
        }
        perhaps |= open.starts_with(text);
    }
    for mark in ANSWERS {
        if text.starts_with(mark.as_bytes()) {
            return Begins::Answer(mark.len());
        }
        perhaps |= mark.as_bytes().starts_with(text);
    }
    if let Some(close) = text.iter().position(|byte| matches!(byte, b'>' | b']')).filter(|at| *at <= NAME + 2)
    {
        let named = std::str::from_utf8(&text[..=close]).ok().and_then(Form::named);
        if let Some(form) = named {
            return Begins::Thought(close + 1, form);
        }
    } else if matches!(text.first(), Some(b'<' | b'[')) && text.len() < NAME + 2 {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
        perhaps |= text[1..].iter().all(plain);
    }
    if perhaps { Begins::Perhaps } else { Begins::No }
}

/// Where the first of these marks stands in a text, the longest that begins there, or where one may have begun.
pub(super) fn first_of(marks: &[Cow<'static, str>], text: &[u8], end: bool) -> Result<(usize, usize), usize> {
    for start in 0..text.len() {
        let rest = &text[start..];
        let open = |mark: &&Cow<'_, str>| mark.len() > rest.len() && mark.as_bytes().starts_with(rest);
        if !end && marks.iter().any(|mark| open(&mark)) {
            return Err(start);
        }
        let whole =
            marks.iter().filter(|mark| rest.starts_with(mark.as_bytes())).map(|mark| mark.len()).max();
        if let Some(length) = whole {
            return Ok((start, length));
        }
    }
    Err(text.len())
}
