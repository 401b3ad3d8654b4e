//! What two models are held against each other on: files, and a chat.
//!
//! Invariant: a chat is put into each model's own template; what is compared of it by stretches is its messages alone.

use serde_bytes::ByteBuf;

use super::super::args::{CompareArgs, Reading};
use super::super::chats::Chats;
use super::super::reading::{self, Read};
use super::super::score::Text;
use super::super::session::Session;
use super::super::setup::Setup;
use super::super::{offset_minutes, wall_ms};
use crate::app::message_of;
use crate::chat::Role;
use crate::engine::protocol::{Message, Prompt, TemplateSetting};
use crate::token::{TokenId, Vocabulary, with_blanks};

/// One text to compare on.
pub enum Source {
    /// A file, or standard input.
    File(Text),
    /// A chat's shown branch.
    Chat { title: String, messages: Vec<Message> },
}

/// The texts that the command line names.
///
/// # Errors
/// With a sentence for the user; when it names none, too.
pub fn all(args: &CompareArgs, setup: &Setup) -> anyhow::Result<Vec<Source>> {
    let mut all = Vec::new();
    for file in &args.files {
        all.push(Source::File(Text::read(file, "compare")?));
    }
    if let Some(wanted) = &args.chat {
        all.push(chat(wanted, setup)?);
    }
    if all.is_empty() {
        anyhow::bail!("compare reads files (- is standard input), or a chat: --chat last");
    }
    Ok(all)
}

fn chat(wanted: &str, setup: &Setup) -> anyhow::Result<Source> {
    let chats = Chats::existing(&setup.folders.database())?;
    let id = chats.find(wanted)?;
    let (conversation, runs) = chats.conversation(id)?;
    let vocabularies = chats.vocabularies(&runs)?;
    let branch = conversation.branch().into_iter();
    let messages: Vec<Message> =
        branch.map(|turn| message_of(&conversation, &runs, &vocabularies, turn)).collect();
    if messages.is_empty() {
        anyhow::bail!("the chat {wanted} has no message yet");
    }
    Ok(Source::Chat { title: conversation.head.title.clone(), messages })
}

/// A text as one model reads it.
pub struct Tokens {
    /// The tokens with their bytes; a control token's are its name.
    pub all: Vec<(TokenId, ByteBuf)>,
    /// Whether the first only begins every text of this model.
    pub begins: bool,
    /// Behind the last that counts.
    pub end: usize,
    /// Where in the joined bytes the texts may begin.
    pub from: usize,
    /// Of a file: where in it each token ends, and the first that is its own.
    pub ends: Option<(Vec<usize>, usize)>,
}

impl Source {
    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::File(text) => text.name(),
            Self::Chat { title, .. } => title,
        }
    }

    /// The text itself, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::File(text) => Some(&text.text),
            Self::Chat { .. } => None,
        }
    }

    /// What of it is compared, in order.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::File(text) => vec![&text.text],
            Self::Chat { messages, .. } => messages.iter().map(|message| message.text.as_str()).collect(),
        }
    }

    /// What a model reads of it.
    ///
    /// # Errors
    /// With the engine's own sentence, or when the template leaves the text out.
    pub async fn read(
        &self,
        session: &mut Session,
        vocabulary: &Vocabulary,
        how: Reading,
    ) -> anyhow::Result<Tokens> {
        match self {
            Self::File(text) => {
                let read = reading::read(session, vocabulary, &text.text, how).await?;
                Ok(Tokens::of(read, &text.text))
            }
            Self::Chat { messages, .. } => {
                let continue_last = messages.last().is_some_and(|message| message.role == Role::Assistant);
                let (clock_ms, offset_minutes) = (wall_ms(), offset_minutes());
                let setting = TemplateSetting { clock_ms, offset_minutes, ..TemplateSetting::default() };
                let prompt = Prompt::Chat { messages: messages.clone(), continue_last, setting };
                let reading::Rendered { tokens, begins, .. } =
                    reading::rendered(session, vocabulary, prompt).await?;
                Ok(Tokens { end: tokens.len(), all: tokens, begins, from: 0, ends: None })
            }
        }
    }
}

impl Tokens {
    /// Those of a file's text.
    fn of(read: Read, text: &str) -> Self {
        let ends = Some((read.ends(text), read.own.start.max(usize::from(read.begins))));
        Self { all: read.tokens, begins: read.begins, end: read.own.end, from: read.from, ends }
    }

    /// Where in a file's text a token begins; `None` for what is not of it.
    pub fn offset(&self, at: usize) -> Option<usize> {
        let (ends, own) = self.ends.as_ref()?;
        (at >= *own).then(|| at.checked_sub(1).map_or(0, |before| ends[before]))
    }

    /// Where the texts stand among the tokens, in order: for each, the byte at which it begins.
    pub fn places(&self, texts: &[&str]) -> Vec<Option<Place>> {
        let whole: Vec<u8> = self.all.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let mut from = self.from;
        let mut place = |text: &&str| {
            let text = text.trim().as_bytes();
            let blank = with_blanks(text).0;
            let found = find(&whole, text, from).map(|at| (at, text.len()));
            let (at, length) = found.or_else(|| find(&whole, &blank, from).map(|at| (at, blank.len())))?;
            from = at + length;
            Some(Place { from: at, to: from })
        };
        texts.iter().map(&mut place).collect()
    }
}

/// Where a text stands in what a model reads, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first byte.
    pub from: usize,
    /// Behind its last byte.
    pub to: usize,
}

fn find(whole: &[u8], text: &[u8], from: usize) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    whole[from..].windows(text.len()).position(|part| part == text).map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_one_behind_the_other() {
        let tokens = |pieces: &[&str]| Tokens {
            all: pieces.iter().map(|piece| (TokenId(1), ByteBuf::from(piece.as_bytes()))).collect(),
            begins: false,
            end: pieces.len(),
            from: 0,
            ends: None,
        };
        let read = tokens(&["<s>", "user", "\n", "Hi", " there", "<e>", "me", "\n", "Hi", "<e>"]);
        let places = read.places(&["Hi there", "Hi", "gone", ""]);
        assert_eq!(places[0], Some(Place { from: 8, to: 16 }));
        assert_eq!(places[1], Some(Place { from: 22, to: 24 }));
        assert_eq!(&places[2..], [None, None]);
        // A message that is spelt as something of the template before it.
        let read = Tokens { from: 9, ..tokens(&["<user>", "user", "\n", "user"]) };
        assert_eq!(read.places(&["user"]), [Some(Place { from: 11, to: 15 })]);
    }

    #[test]
    fn a_token_of_a_message_has_its_place_in_the_file() {
        let text = "\nsome text\n";
        let read = Tokens::of(Read::of_message(text, &["<s>", "<user>", " some", " text", "<e>"]), text);
        assert_eq!([0, 1, 2, 3].map(|at| read.offset(at)), [None, None, Some(1), Some(5)]);
        let read = Tokens::of(Read::whole("Oh no", &["<s>", " Oh", " no"], true), "Oh no");
        assert_eq!([0, 1, 2].map(|at| read.offset(at)), [None, Some(0), Some(2)]);
    }
}
