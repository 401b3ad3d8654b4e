//! Chats to prompts: the model's own Jinja template, and the ids of what it renders.
//!
//! Invariants: no text of a message ever becomes a control token, whatever it spells; ids that a reply was
//! generated as stand in for its text only where the rendered bytes equal theirs; apart from such places the
//! prompt is tokenised as one string, since splitting changes ids. A template can fail, but not hang.

mod clock;
mod jinja;
mod json;
mod marks;

use sha2::{Digest, Sha256};

use self::jinja::{Jinja, Line};
use self::marks::{Marked, Specials, Stretch};
use crate::chat::Role;
use crate::engine::protocol::{Failure, FailureKind, Message, StoredTokens, TemplateKind};
use crate::token::TokenId;

/// What stands in for a template that cannot be used, where the vocabulary has ChatML's marks.
const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + \
    message['content'] + '<|im_end|>\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// What base models get. A reply begins with its own space, so none is put before it.
const PLAIN: &str = "{% for message in messages %}\
    {% if message['role'] == 'user' %}{{ 'User: ' }}\
    {% elif message['role'] == 'assistant' %}{{ 'Assistant:' }}\
    {% if not message['content'].startswith(' ') %}{{ ' ' }}{% endif %}{% endif %}\
    {{ message['content'] + '\\n\\n' }}{% endfor %}\
    {% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";

/// Tokenises a text; the flag says whether marks in it become control tokens.
pub type Tokenize<'a> = dyn FnMut(&str, bool) -> Result<Vec<TokenId>, Failure> + 'a;

/// How a chat becomes a prompt.
#[derive(Debug)]
pub struct Template {
    /// Whose template it is.
    pub kind: TemplateKind,
    /// SHA-256 of its text, hexadecimal; `None` for the plain transcript.
    pub hash: Option<String>,
    /// Whether a system message has a place of its own; otherwise it goes in front of the first message.
    pub takes_system: bool,
    /// What the user should know, such as why the model's own template is not used.
    pub notes: Vec<String>,
    jinja: Jinja,
    specials: Specials,
}

/// A chat as a model reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The prompt. Holds a begin-of-sequence token only where the template writes one.
    pub ids: Vec<TokenId>,
    /// The rendered prompt, marks included.
    pub text: String,
    /// What the user should know, such as a reply that had to be tokenised again.
    pub notes: Vec<String>,
}

impl Template {
    /// A template that works: the model's own if it passes a trial, else ChatML if `specials` (the spellings
    /// of all control tokens) hold its marks, else the plain transcript. The notes say which and why.
    pub fn new(source: Option<&str>, bos: &str, eos: &str, specials: Vec<String>) -> Self {
        let specials = Specials::new(specials);
        let mut notes = Vec::new();
        if let Some(source) = source.filter(|source| !source.trim().is_empty()) {
            let jinja = Jinja::new(source, bos, eos);
            match jinja.trial() {
                Ok(()) => return Self::with(TemplateKind::Model, jinja, source, specials, notes),
                Err(error) => notes.push(format!("The model's chat template cannot be used: {error}.")),
            }
        }
        if specials.contains(b"<|im_start|>") {
            notes.push("The chat is put into the ChatML template instead of the model's own.".into());
            return Self::with(TemplateKind::ChatMl, Jinja::new(CHATML, bos, eos), CHATML, specials, notes);
        }
        notes.push(
            "The model has no chat template: it reads a plain transcript (User: …, Assistant: …).".into(),
        );
        Self::with(TemplateKind::Plain, Jinja::new(PLAIN, bos, eos), PLAIN, specials, notes)
    }

    fn with(kind: TemplateKind, jinja: Jinja, source: &str, specials: Specials, notes: Vec<String>) -> Self {
        let hash = (kind != TemplateKind::Plain).then(|| hex::encode(Sha256::digest(source.as_bytes())));
        let takes_system = jinja.takes_system();
        Self { kind, hash, takes_system, notes, jinja, specials }
    }

    /// Texts that end a reply, besides the model's own end-of-generation tokens.
    pub fn stop_texts(&self) -> Vec<String> {
        match self.kind {
            TemplateKind::Model => Vec::new(),
            TemplateKind::ChatMl => vec!["<|im_end|>".into()],
            TemplateKind::Plain => vec!["\nUser:".into()],
        }
    }

    /// Renders a chat and tokenises it. `tokenize` takes a text and whether marks in it become control tokens
    /// (and adds nothing of its own); `bytes_of` gives a token's bytes. With `continue_last` the prompt ends
    /// inside the last message, if that is the model's.
    ///
    /// # Errors
    /// [`FailureKind::Template`] when the template refuses this chat, and what `tokenize` fails with.
    #[allow(clippy::too_many_arguments)] // they are the prompt's parts, and one call site has them
    pub fn encode(
        &self,
        messages: &[Message],
        continue_last: bool,
        clock_ms: i64,
        vocabulary_hash: &str,
        tokenize: &mut Tokenize<'_>,
        bytes_of: &dyn Fn(TokenId) -> Vec<u8>,
    ) -> Result<Encoded, Failure> {
        let (rest, last) = match messages.split_last() {
            Some((last, rest)) if continue_last && last.role == Role::Assistant => (rest, Some(last)),
            _ => (messages, None),
        };
        let mut notes = Vec::new();
        let (turns, plain) = self.render(rest, clock_ms, &mut notes)?;
        let mut marked =
            Marked::locate(&plain, &turns, &self.specials, |lines| self.jinja.render(lines, clock_ms));
        if marked.is_none() && marks::any_spelt(&turns, &self.specials) {
            // The template reads the text it is given, so what it does to a mark cannot be followed.
            notes.push("Marks such as <|im_end|> in messages were broken up with a space.".into());
            let broken = marks::broken_up(&turns, &self.specials);
            let text = self.jinja.render(&broken, clock_ms).map_err(|error| refused(&error))?;
            marked = Some(Marked { text, messages: Vec::new(), wrapped: Vec::new() });
        }
        let Marked { mut text, messages: mut places, wrapped } =
            marked.unwrap_or(Marked { text: plain, messages: Vec::new(), wrapped: Vec::new() });
        let mut stored: Vec<Option<&StoredTokens>> = turns.iter().map(|turn| turn.stored).collect();
        if let Some(last) = last {
            let start = text.len();
            text.push_str(&last.text);
            places.resize(turns.len(), None);
            places.push(Some(start..text.len()));
            stored.push(last.stored.as_ref());
        }
        let whole = turns.iter().map(|turn| turn.text.as_ref()).chain(last.map(|last| last.text.as_str()));
        let mut stretches = Vec::new();
        let mut dropped = 0;
        for ((whole, stored), place) in
            whole.zip(stored).zip(places.iter().cloned().chain(std::iter::repeat(None)))
        {
            let Some(stored) = stored.filter(|stored| stored.vocabulary == vocabulary_hash) else { continue };
            let place = place.filter(|place| text.get(place.clone()) == Some(whole));
            let ids = place.as_ref().and_then(|_| self.kept_ids(stored, whole, bytes_of));
            match place.zip(ids) {
                Some((place, ids)) => stretches.push(Stretch::Stored { place, ids }),
                None => dropped += 1,
            }
        }
        if dropped > 0 {
            notes.push(read_again(dropped));
        }
        let guarded = places.iter().flatten().chain(&wrapped).cloned().collect::<Vec<_>>();
        stretches
            .extend(marks::spelt_within(&text, &guarded, &self.specials).into_iter().map(Stretch::Guarded));
        let ids = marks::tokens(&text, stretches, tokenize)?;
        Ok(Encoded { ids, text, notes })
    }

    /// The chat as the template takes it, and rendered: the system text folded in where it has no place, and
    /// where the template refuses two messages of one role in a row, those joined.
    fn render<'a>(
        &self,
        messages: &'a [Message],
        clock_ms: i64,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<Line<'a>>, String), Failure> {
        let mut turns: Vec<Line<'a>> = messages.iter().map(Line::from).collect();
        if !self.takes_system {
            turns = jinja::system_folded(turns);
        }
        let error = match self.jinja.render(&turns, clock_ms) {
            Ok(text) => return Ok((turns, text)),
            Err(error) => error,
        };
        let joined = jinja::same_roles_joined(&turns);
        if joined.len() == turns.len() {
            return Err(refused(&error));
        }
        let text = self.jinja.render(&joined, clock_ms).map_err(|error| refused(&error))?;
        notes.push("The template wants turns to alternate, so messages in a row were joined.".into());
        Ok((joined, text))
    }

    /// The ids a reply was generated as, if they spell exactly `text`. Tokens without text (the mark that
    /// ended it) are left out: the template writes its own.
    fn kept_ids(
        &self,
        stored: &StoredTokens,
        text: &str,
        bytes_of: &dyn Fn(TokenId) -> Vec<u8>,
    ) -> Option<Vec<TokenId>> {
        let mut left = text.as_bytes();
        let mut ids = Vec::with_capacity(stored.tokens.len());
        for &(id, length) in stored.tokens.iter().filter(|(_, length)| *length > 0) {
            let (token, rest) = left.split_at_checked(length as usize)?;
            if self.specials.contains(token) || bytes_of(id) != token {
                return None;
            }
            ids.push(id);
            left = rest;
        }
        left.is_empty().then_some(ids)
    }
}

fn read_again(replies: u32) -> String {
    let which = if replies == 1 { "One earlier reply is" } else { &format!("{replies} earlier replies are") };
    format!("{which} tokenised again: in the prompt the text differs from what was generated.")
}

fn refused(reason: &str) -> Failure {
    Failure {
        message: format!("The model's chat template refuses this chat: {reason}."),
        kind: FailureKind::Template,
    }
}

#[cfg(test)]
mod tests;
