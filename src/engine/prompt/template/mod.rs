//! Chats to prompts: the model's own Jinja template, and the ids of what it renders.
//!
//! Invariants: no text of a message ever becomes a control token, whatever it spells; ids that a reply was
//! generated as stand in for its text only where the rendered bytes equal theirs; apart from such places the
//! prompt is tokenised as one string, since splitting changes ids. A template can fail, but not hang.

mod clock;
mod file;
mod filters;
mod jinja;
mod json;
mod marks;
mod mend;
mod percent;
mod python;
mod thinking;

use sha2::{Digest, Sha256};

pub use self::file::{fault, replace};
use self::jinja::{Jinja, Line, Refusal};
#[cfg(feature = "llama")]
pub use self::marks::After;
pub use self::marks::Tokenize;
use self::marks::{Marked, Pieces, Specials, Stretch};
use self::thinking::Wants;
use crate::chat::Role;
use crate::engine::protocol::{
    Failure, FailureKind, Message, StoredTokens, Switches, TemplateKind, TemplateSetting,
};
use crate::token::{TokenId, whole_characters};

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
    /// What it can be told beside the messages.
    pub switches: Switches,
    jinja: Jinja,
    /// What stands in where it cannot be followed.
    spare: Option<(TemplateKind, Jinja)>,
    /// How it wants what was thought in earlier replies.
    wants: Wants,
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
    /// Texts that end a reply to it, besides the model's own end-of-generation tokens.
    pub stops: Vec<String>,
    /// Whether replies in it hold control tokens, which its text leaves out.
    pub holds_marks: bool,
}

/// A chat as a template took it.
struct Taken<'a, 't> {
    lines: Vec<Line<'a>>,
    text: String,
    jinja: &'t Jinja,
    kind: TemplateKind,
}

impl Template {
    /// A template that works: the model's own if it passes a trial, else ChatML if `specials` (the spellings
    /// of all control tokens) hold its marks, else the plain transcript. The notes say which and why.
    pub fn new(source: Option<&str>, bos: &str, eos: &str, specials: Vec<String>) -> Self {
        let specials = Specials::new(specials);
        let mut notes = Vec::new();
        let source = source.filter(|source| !source.trim().is_empty());
        if let Some(source) = source {
            match Jinja::new(source, bos, eos).tried() {
                Ok(jinja) => {
                    let spare = stand_in(&specials, bos, eos);
                    let spare = Some((spare.0, spare.1));
                    return Self { spare, ..Self::with(TemplateKind::Model, jinja, source, specials, notes) };
                }
                Err(error) => notes.push(format!("The model's chat template cannot be used: {error}.")),
            }
        }
        let has_own = source.is_some();
        let (kind, jinja, source) = stand_in(&specials, bos, eos);
        notes.push(match (kind, has_own) {
            (TemplateKind::Plain, true) => {
                "The chat is a plain transcript instead (User: …, Assistant: …).".into()
            }
            (TemplateKind::Plain, false) => {
                "The model has no chat template: it reads a plain transcript (User: …, Assistant: …).".into()
            }
            (_, true) => "The chat is put into the ChatML template instead of the model's own.".into(),
            (_, false) => {
                "The model has no chat template: its marks are ChatML's, so that one is used.".into()
            }
        });
        Self::with(kind, jinja, source, specials, notes)
    }

    fn with(kind: TemplateKind, jinja: Jinja, source: &str, specials: Specials, notes: Vec<String>) -> Self {
        let hash = (kind != TemplateKind::Plain).then(|| hex::encode(Sha256::digest(source.as_bytes())));
        let takes_system = jinja.takes_system();
        let (switches, wants) = (thinking::switches(&jinja), Wants::of(&jinja));
        Self { kind, hash, takes_system, notes, switches, jinja, spare: None, wants, specials }
    }

    /// Texts that end a reply, besides the model's own end-of-generation tokens.
    pub fn stop_texts(&self) -> Vec<String> {
        stops_of(self.kind)
    }

    /// Renders a chat and tokenises it. `tokenize` takes a text, whether marks in it become control tokens and what
    /// it comes after (and adds nothing of its own); `bytes_of` gives the text of a token. With `continue_last` the
    /// prompt ends inside the last message, if that is the model's.
    ///
    /// # Errors
    /// [`FailureKind::Template`] when the template refuses this chat, and what `tokenize` fails with.
    pub fn encode(
        &self,
        messages: &[Message],
        continue_last: bool,
        setting: &TemplateSetting,
        vocabulary_hash: &str,
        tokenize: &mut Tokenize<'_>,
        bytes_of: &dyn Fn(TokenId) -> Vec<u8>,
    ) -> Result<Encoded, Failure> {
        let (rest, last) = match messages.split_last() {
            Some((last, rest)) if continue_last && last.role == Role::Assistant => (rest, Some(last)),
            _ => (messages, None),
        };
        let mut notes = Vec::new();
        let Taken { lines: turns, text: plain, jinja, kind } = self.render(rest, setting, &mut notes)?;
        let mut marked = Marked::locate(&plain, &turns, &self.specials, |lines| jinja.render(lines, setting));
        if marked.is_none() && marks::any_spelt(&turns, &self.specials) {
            // The template reads the text it is given, so what it does to a mark cannot be followed.
            notes.push("Marks such as <|im_end|> in messages were broken up with a space.".into());
            let broken = marks::broken_up(&turns, &self.specials);
            let text = jinja.render(&broken, setting).map_err(|refusal| refused(&refusal))?;
            marked = Some(Marked { text, messages: Vec::new(), wrapped: Vec::new() });
        }
        let Marked { mut text, messages: mut places, wrapped } =
            marked.unwrap_or(Marked { text: plain, messages: Vec::new(), wrapped: Vec::new() });
        let mut stored: Vec<Option<&StoredTokens>> =
            turns.iter().map(|turn| turn.stored.as_deref()).collect();
        if let Some(last) = last {
            let start = text.len();
            text.push_str(&last.text);
            places.resize(turns.len(), None);
            places.push(Some(start..text.len()));
            stored.push(last.stored.as_ref());
        }
        let whole = turns.iter().map(|turn| turn.text.as_ref()).chain(last.map(|last| last.text.as_str()));
        let mut stretches = Vec::new();
        let (mut dropped, mut holds_marks) = (0, false);
        for ((whole, stored), place) in
            whole.zip(stored).zip(places.iter().cloned().chain(std::iter::repeat(None)))
        {
            let Some(stored) = stored.filter(|stored| stored.vocabulary == vocabulary_hash) else { continue };
            if whole.is_empty() && stored.tokens.iter().all(|(_, length)| *length == 0) {
                continue;
            }
            let place = place.filter(|place| text.get(place.clone()) == Some(whole));
            let next = place.as_ref().map_or("", |place| &text[place.end..]);
            let ids = place.as_ref().and_then(|_| self.kept_ids(stored, whole, next, bytes_of));
            match place.zip(ids) {
                Some((place, ids)) => {
                    holds_marks |= ids.iter().any(|id| bytes_of(*id).is_empty());
                    stretches.push(Stretch::Stored { place, ids });
                }
                None => dropped += 1,
            }
        }
        if dropped > 0 {
            notes.push(read_again(dropped));
        }
        let guarded = places.iter().flatten().chain(&wrapped).cloned().collect::<Vec<_>>();
        stretches
            .extend(marks::spelt_within(&text, &guarded, &self.specials).into_iter().map(Stretch::Guarded));
        let pieces = Pieces { specials: &self.specials, bytes_of };
        let ids = marks::tokens(&text, stretches, pieces, tokenize)?;
        Ok(Encoded { ids, text, notes, stops: stops_of(kind), holds_marks })
    }

    /// The chat as the template takes it, and rendered: the system text folded in where it has no place, and what it
    /// refuses mended; where it cannot be followed at all, in what stands in.
    fn render<'a, 't>(
        &'t self,
        messages: &'a [Message],
        setting: &TemplateSetting,
        notes: &mut Vec<String>,
    ) -> Result<Taken<'a, 't>, Failure> {
        let mut lines: Vec<Line<'a>> = messages.iter().map(|message| self.wants.line(message)).collect();
        if !self.takes_system {
            lines = mend::system_folded(lines);
        }
        let taken = |lines, text| Taken { lines, text, jinja: &self.jinja, kind: self.kind };
        let refusal = match self.jinja.render(&lines, setting) {
            Ok(text) => return Ok(taken(lines, text)),
            Err(refusal) => refusal,
        };
        for (mended, said) in mended(&lines) {
            if let Ok(text) = self.jinja.render(&mended, setting) {
                notes.push(said.into());
                return Ok(taken(mended, text));
            }
        }
        let Some((kind, jinja)) = self.spare.as_ref().filter(|_| !refusal.meant) else {
            return Err(refused(&refusal));
        };
        let text = jinja.render(&lines, setting).map_err(|_| refused(&refusal))?;
        notes.push(format!("The chat template fails on this chat ({}); {}.", refusal.why, instead(*kind)));
        Ok(Taken { lines, text, jinja, kind: *kind })
    }

    /// The ids a reply was generated as, if they spell exactly `text`, control tokens in it among them. Those that
    /// ended it are left out where the template writes its own (`next`).
    fn kept_ids(
        &self,
        stored: &StoredTokens,
        text: &str,
        next: &str,
        bytes_of: &dyn Fn(TokenId) -> Vec<u8>,
    ) -> Option<Vec<TokenId>> {
        let mut spelt = Vec::with_capacity(text.len());
        let mut ids = Vec::with_capacity(stored.tokens.len());
        for &(id, length) in &stored.tokens {
            let token = bytes_of(id);
            if token.len() != length as usize || self.specials.contains(&token) {
                return None;
            }
            ids.push(id);
            spelt.extend(token);
        }
        let ends = self.specials.at_start(next.trim_start());
        let with_text = stored.tokens.iter().rposition(|(_, length)| *length > 0).map_or(0, |last| last + 1);
        if ends {
            ids.truncate(with_text);
        }
        (whole_characters(&spelt) == text && !ids.is_empty()).then_some(ids)
    }
}

/// What stands in for a template: ChatML where the vocabulary has its marks, else the plain transcript.
fn stand_in(specials: &Specials, bos: &str, eos: &str) -> (TemplateKind, Jinja, &'static str) {
    let (kind, source) = if specials.contains(b"<|im_start|>") {
        (TemplateKind::ChatMl, CHATML)
    } else {
        (TemplateKind::Plain, PLAIN)
    };
    (kind, Jinja::new(source, bos, eos), source)
}

fn stops_of(kind: TemplateKind) -> Vec<String> {
    match kind {
        TemplateKind::Model => Vec::new(),
        TemplateKind::ChatMl => vec!["<|im_end|>".into()],
        TemplateKind::Plain => vec!["\nUser:".into()],
    }
}

fn instead(kind: TemplateKind) -> &'static str {
    match kind {
        TemplateKind::Plain => "it reads a plain transcript instead",
        _ => "it is put into the ChatML template instead",
    }
}

/// The chat as a template may take it that refuses it as it is, each with what is then said.
fn mended<'a>(lines: &[Line<'a>]) -> Vec<(Vec<Line<'a>>, &'static str)> {
    const JOINED: &str = "The template wants turns to alternate, so messages in a row were joined.";
    const FIRST: &str = "The template wants the user to begin, so an empty message was put first.";
    const FOLDED: &str = "The template refuses a system message here, so it stands in the first message.";
    let joined = mend::same_roles_joined(lines);
    let first = mend::user_first(&joined);
    let folded = mend::same_roles_joined(&mend::user_first(&mend::system_folded(lines.to_vec())));
    let changed = |other: &[Line<'a>]| other.len() != lines.len();
    let mut all = Vec::new();
    if changed(&joined) {
        all.push((joined.clone(), JOINED));
    }
    if first.len() != joined.len() {
        all.push((first, FIRST));
    }
    if lines.iter().any(|line| line.role == Role::System) {
        all.push((folded, FOLDED));
    }
    all
}

fn read_again(replies: u32) -> String {
    let which = if replies == 1 { "One earlier reply is" } else { &format!("{replies} earlier replies are") };
    format!("{which} tokenised again: in the prompt the text differs from what was generated.")
}

fn refused(refusal: &Refusal) -> Failure {
    let Refusal { meant, why, .. } = refusal;
    let does = if *meant { "refuses" } else { "fails on" };
    Failure { message: format!("The chat template {does} this chat: {why}."), kind: FailureKind::Template }
}

#[cfg(test)]
mod parity_tests;
#[cfg(test)]
mod tests;
