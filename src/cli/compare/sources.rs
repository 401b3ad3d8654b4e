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

/// At most so many bytes of a text are taken for those of one token whose bytes are not told.
const UNTOLD: usize = 32;

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

    /// Where the texts stand among the tokens, in order: the tokens of each. Where the bytes of some are not told, they stand
    /// for what lies between those of the others.
    pub fn places(&self, texts: &[&str]) -> Vec<Option<Vec<Piece>>> {
        let mut from = self.at(self.from);
        let mut place = |text: &&str| {
            let text = text.trim().as_bytes();
            let blank = with_blanks(text).0;
            let ways = [(text, false), (&blank, false), (text, true), (&blank, true)];
            let (pieces, end) = ways.into_iter().find_map(|(text, gaps)| self.find(text, from, gaps))?;
            from = end;
            Some(pieces)
        };
        texts.iter().map(&mut place).collect()
    }

    /// The token, and its byte, in front of which there are so many bytes.
    fn at(&self, bytes: usize) -> (usize, usize) {
        let mut left = bytes;
        for (token, (_, own)) in self.all.iter().enumerate() {
            if left == 0 || left < own.len() {
                return (token, left);
            }
            left -= own.len();
        }
        (self.all.len(), 0)
    }

    /// Whether there are tokens whose bytes are not told.
    pub fn has_untold(&self) -> bool {
        self.all.iter().any(|(_, bytes)| bytes.is_empty())
    }

    /// The first place of a text, and where it ends: in which token, at which of its bytes.
    fn find(&self, text: &[u8], from: (usize, usize), gaps: bool) -> Option<(Vec<Piece>, (usize, usize))> {
        let first = *text.first()?;
        let starts = (from.0..self.all.len()).flat_map(|token| {
            let skip = if token == from.0 { from.1 } else { 0 };
            let bytes = &self.all[token].1;
            let starts = (skip..bytes.len()).filter(move |at| bytes[*at] == first).map(move |at| (token, at));
            starts.chain((gaps && bytes.is_empty()).then_some((token, 0)))
        });
        starts.into_iter().find_map(|start| self.align(text, start, gaps))
    }

    fn align(
        &self,
        text: &[u8],
        (mut token, mut skip): (usize, usize),
        gaps: bool,
    ) -> Option<(Vec<Piece>, (usize, usize))> {
        let (mut pieces, mut at, mut untold) = (Vec::<Piece>::new(), 0, 0);
        let mut is_told = false;
        while at < text.len() {
            let bytes = self.all.get(token).map(|(_, bytes)| &bytes[skip..]);
            if bytes.is_some_and(<[u8]>::is_empty) && skip == 0 {
                if !gaps {
                    return None;
                }
                pieces.push(Piece { token, from: at, to: at, is_told: false });
                (token, untold) = (token + 1, untold + 1);
                continue;
            }
            let goes_on = |from: usize| {
                let bytes = bytes.unwrap_or_default();
                let length = bytes.len().min(text.len() - from);
                length > 0 && bytes[..length] == text[from..from + length]
            };
            let next = match untold {
                0 => Some(at).filter(|at| goes_on(*at)),
                _ => (at + 1..text.len().min(at + untold * UNTOLD + 1)).find(|from| goes_on(*from)),
            };
            // A text may end in tokens that are not told.
            let next = next.or((untold > 0 && text.len() - at <= untold * UNTOLD).then_some(text.len()))?;
            pieces.iter_mut().rev().take(untold).for_each(|piece| piece.to = next);
            (at, untold) = (next, 0);
            if at == text.len() {
                break;
            }
            let length = bytes.unwrap_or_default().len();
            let held = length.min(text.len() - at);
            is_told = true;
            // One that goes on behind the text is none of its own.
            if held == length {
                pieces.push(Piece { token, from: at, to: at + held, is_told });
            }
            at += held;
            (token, skip) = if held == length { (token + 1, 0) } else { (token, skip + held) };
        }
        is_told.then_some((pieces, (token, skip)))
    }
}

/// What a token holds of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its place among all that the model reads.
    pub token: usize,
    /// Where in the trimmed text, bytes. Tokens that are not told share what lies between those that are.
    pub from: usize,
    /// Behind its last byte there.
    pub to: usize,
    /// Whether its bytes are told.
    pub is_told: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens of these bytes; none of a token whose bytes are not told.
    fn tokens(pieces: &[&str]) -> Tokens {
        let all = pieces.iter().map(|piece| (TokenId(1), ByteBuf::from(piece.as_bytes()))).collect();
        Tokens { all, begins: false, end: pieces.len(), from: 0, ends: None }
    }

    #[test]
    fn messages_are_found_one_behind_the_other() {
        let read = tokens(&["<s>", "user", "\n", "Hi", " there", "<e>", "me", "\n", "Hi", "<e>"]);
        let places = read.places(&["Hi there", "Hi", "gone", ""]);
        let told = |token, from, to| Piece { token, from, to, is_told: true };
        assert_eq!(places[0], Some(vec![told(3, 0, 2), told(4, 2, 8)]));
        assert_eq!(places[1], Some(vec![told(8, 0, 2)]));
        assert_eq!(&places[2..], [None, None]);
        // A message that is spelt as something of the template before it.
        let read = Tokens { from: 9, ..tokens(&["<user>", "user", "\n", "user"]) };
        assert_eq!(read.places(&["user"]), [Some(vec![told(3, 0, 4)])]);
    }

    #[test]
    fn a_token_of_a_message_has_its_place_in_the_file() {
        let text = "\nsome text\n";
        let read = Tokens::of(Read::of_message(text, &["<s>", "<user>", " some", " text", "<e>"]), text);
        assert_eq!([0, 1, 2, 3].map(|at| read.offset(at)), [None, None, Some(1), Some(5)]);
        let read = Tokens::of(Read::whole("Oh no", &["<s>", " Oh", " no"], true), "Oh no");
        assert_eq!([0, 1, 2].map(|at| read.offset(at)), [None, Some(0), Some(2)]);
    }

    #[test]
    fn tokens_whose_bytes_are_not_told_stand_for_what_lies_between() {
        let told = |token, from, to| Piece { token, from, to, is_told: true };
        let untold = |token, from, to| Piece { token, from, to, is_told: false };
        let read = tokens(&["<s>", "Hi ", "", "", " you", "<e>", "", "<e>", "Bye ", "", "<e>"]);
        let places = read.places(&["Hi 🦀 you", "Bye 🦀", "gone"]);
        let first = vec![told(1, 0, 3), untold(2, 3, 7), untold(3, 3, 7), told(4, 7, 11)];
        assert_eq!(places, [Some(first), Some(vec![told(8, 0, 4), untold(9, 4, 8)]), None]);
        // Nothing but such tokens says nowhere where a text stands.
        assert_eq!(tokens(&["<s>", "", "<e>"]).places(&["🦀"]), [None]);
    }
}
