//! Chats, transcript and composer, and what drawing them learned.
//!
//! Invariant: scroll positions are anchored to text, never to rows of a width that may be gone.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use super::LineEdit;
use crate::app::TokenCursor;
use crate::chat::{ConversationHead, ConversationId, TurnId};

/// Which pane has the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Focus {
    /// The composer.
    #[default]
    Composer,
    /// The transcript.
    Transcript,
    /// The list of chats.
    Chats,
    /// The inspector.
    Inspector,
}

/// The list of chats.
#[derive(Debug, Default)]
pub struct Chats {
    /// Whether the pane is wanted (it also needs room).
    pub shown: bool,
    /// Those neither archived nor in the bin: the pinned ones, then the newest.
    pub heads: Vec<ConversationHead>,
    /// The archived ones.
    pub archived: Vec<ConversationHead>,
    /// The bin, the one deleted last first.
    pub bin: Vec<ConversationHead>,
    /// Which of these is listed.
    pub list: ChatList,
    /// What the list is narrowed to; while it is there it takes the keys.
    pub filter: Option<LineEdit>,
    /// The row under the cursor.
    pub selected: usize,
    /// Chats with a finished reply that was not looked at yet.
    pub unseen: BTreeSet<ConversationId>,
    /// A chat's title or tags, being typed in its row.
    pub line: Option<ChatLine>,
}

/// What is typed in a chat's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// The chat.
    pub chat: ConversationId,
    /// What of it.
    pub of: LineOf,
    /// The line.
    pub input: LineEdit,
}

/// What of a chat a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOf {
    /// Its title.
    Title,
    /// Its tags.
    Tags,
}

impl Chats {
    /// The line that takes what is typed: a row's, or where the pane has the keys what narrows the list.
    pub(crate) fn typed_line(&mut self, focus: Focus) -> Option<&mut LineEdit> {
        let filter = self.filter.as_mut().filter(|_| focus == Focus::Chats);
        self.line.as_mut().map(|line| &mut line.input).or(filter)
    }

    /// Whether there is such a line.
    pub(crate) fn types(&self, focus: Focus) -> bool {
        self.line.is_some() || self.narrows(focus)
    }

    /// Whether that line narrows the list.
    pub(crate) fn narrows(&self, focus: Focus) -> bool {
        self.line.is_none() && focus == Focus::Chats && self.filter.is_some()
    }
}

/// What the pane of chats lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChatList {
    /// The chats in use.
    #[default]
    Chats,
    /// The archived ones.
    Archive,
    /// The deleted ones.
    Bin,
}

/// The transcript.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Where it is scrolled to.
    pub scroll: Scroll,
    /// The message under the cursor, while the transcript has the focus.
    pub selected: Option<TurnId>,
    /// Keep the selected message in view at the next frame.
    pub reveal: bool,
    /// Find in this chat: what is looked for, and which match is current.
    pub find: Option<Find>,
    /// Messages hidden last, to take back: turn and the leaf before.
    pub deleted: Vec<(TurnId, Option<TurnId>)>,
    /// The token under the cursor; its turn is the selected one.
    pub cursor: Option<TokenCursor>,
    /// The token from which on text is marked, up to the one under the cursor.
    pub mark: Option<TokenCursor>,
    /// The message that gets the cursor as soon as its tokens are known.
    pub seeking: Option<TurnId>,
    /// The byte of that message whose token is sought; 0 for its first token.
    pub sought_byte: usize,
    /// What the text is coloured by.
    pub colouring: Colouring,
    /// Whether tokens without text of their own, and the system prompt, are shown.
    pub special: bool,
    /// Whether all messages are shown as they were written, Markdown or not.
    pub raw: bool,
    /// Messages that are shown so alone.
    pub raw_turns: HashSet<TurnId>,
    /// Whether what can be folded (what was thought, files, long pastes) is shown in all messages, and the messages where
    /// it is otherwise.
    pub thoughts: bool,
    /// See [`Self::thoughts`].
    pub other_thoughts: HashSet<TurnId>,
    /// The message and the code block in it that was copied last.
    pub copied_code: Option<(TurnId, usize)>,
    /// Cells that are passed over in rows longer than the pane.
    pub sideways: u16,
}

/// What the tokens of the transcript are coloured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Colouring {
    /// Nothing.
    #[default]
    Off,
    /// −log₂ p, bits.
    Surprisal,
    /// p.
    Probability,
    /// Rank, in the buckets 1, 10, 100, 1000 and beyond (GLTR, Gehrmann et al. 2019).
    Rank,
    /// Entropy of the distribution it was drawn from, bits.
    Entropy,
    /// The layer of decision, in eighths of the depth.
    Layer,
}

impl Colouring {
    /// All of them, in the order in which a key walks them.
    pub const ALL: [Self; 6] =
        [Self::Off, Self::Surprisal, Self::Probability, Self::Rank, Self::Entropy, Self::Layer];

    /// Its name in `/colour` and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Surprisal => "surprise",
            Self::Probability => "probability",
            Self::Rank => "rank",
            Self::Entropy => "uncertainty",
            Self::Layer => "layer",
        }
    }

    /// What it shows, in words.
    pub fn help(self) -> &'static str {
        match self {
            Self::Off => "no colours",
            Self::Surprisal => "how unlikely each token was, 0 to 8 bit",
            Self::Probability => "how likely each token was, 0 to 100 %",
            Self::Rank => "how many tokens were likelier: the first, 10, 100, 1000, more",
            Self::Entropy => "how unsure the model was before each token, 0 to 8 bit",
            Self::Layer => "how deep in the network each token was decided, in eighths",
        }
    }
}

/// Where the transcript is scrolled to: anchored to text, so that a resize keeps the place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scroll {
    /// At the end, following new text.
    #[default]
    Bottom,
    /// The row that shows this byte of this turn is the first one, moved by so many rows.
    /// Drawing clamps it and gives back the anchor with `rows` = 0 (or `Bottom`) in [`Geometry`].
    Anchor {
        /// The turn; one that is not there counts from the end of the transcript.
        turn: TurnId,
        /// Byte of its text; the turn's head line is byte 0 too, hence `row`.
        row: usize,
        /// Rows asked for since the last frame, down positive.
        moved: i32,
    },
}

/// Find in this chat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Find {
    /// What is looked for.
    pub input: LineEdit,
    /// Turns with a match, in order of the branch, with the bytes of the match.
    pub matches: Vec<(TurnId, Range<usize>)>,
    /// Which is current.
    pub current: usize,
}

/// The composer.
pub struct Composer {
    /// The editor widget's state. Long pastes are short labels in it: the message is [`Composer::text`].
    pub area: tui_textarea::TextArea<'static>,
    /// Tokens of the draft, as the engine counted them; `None` while unknown.
    pub tokens: Option<usize>,
    /// Prompt history, newest first, and where in it the user is.
    pub history: Vec<String>,
    /// Index into `history` while walking it, and the draft to come back to.
    pub walking: Option<(usize, String)>,
    /// The message being edited (its resend becomes a sibling); `None` for a new one.
    pub editing: Option<TurnId>,
    /// `/` completion: what is offered and which is selected.
    pub completion: Option<Completion>,
    /// When the draft last changed and has not been kept yet.
    pub changed_at: Option<u64>,
    /// Long pastes, shown as one short label each in `area`.
    pub pastes: Vec<Paste>,
    /// The draft to come back to when an edit is given up.
    pub kept: Option<String>,
    /// Where among the messages that wait the edited one was.
    pub(crate) waited_at: Option<usize>,
    /// The draft whose files were asked for to send it.
    pub(crate) sent_unread: Option<String>,
    /// The text whose tokens are being counted.
    pub(crate) counting: String,
}

/// A long paste or a file that the editor shows as one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paste {
    /// What the editor shows, e.g. `[pasted 120 lines]`.
    pub label: String,
    /// What was pasted, or a file with its name.
    pub text: String,
    /// Whether it is a file, which stands in lines of its own.
    pub file: bool,
    /// How many tokens that is, once they are counted.
    pub tokens: Option<usize>,
}

/// What the composer offers after `/` and `@`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Full lines to take, or paths, best first, with their help.
    pub items: Vec<(String, String)>,
    /// Which is selected.
    pub selected: usize,
    /// Whether it was walked to with the arrows.
    pub walked: bool,
    /// What is offered.
    pub of: Offers,
}

/// What the composer offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Offers {
    /// Lines that begin with a command.
    #[default]
    Lines,
    /// Paths of files, behind `@`.
    Named,
    /// Paths of files, behind `/attach`.
    Attached,
}

/// From this width on the side panes stand beside the transcript, cells.
pub const WIDE: u16 = 110;

/// What drawing learned: the runtime hands it back before the next message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// The resolved anchor.
    pub scroll: Scroll,
    /// Rows of the transcript's view.
    pub view_rows: u16,
    /// Rows of the whole transcript.
    pub total_rows: usize,
    /// Rows hidden below the view.
    pub rows_below: usize,
    /// How far the overlay on top can be scrolled, rows.
    pub overlay_rows: u16,
    /// Panes on the screen, for the mouse.
    pub areas: Vec<(Focus, Area)>,
    /// Messages on the screen, for the mouse.
    pub turns: Vec<(TurnId, Area)>,
    /// Tokens on the screen, a stretch of one row each; empty while the mouse is off.
    pub tokens: Vec<(TokenCursor, Area)>,
    /// Lines on the screen that stand for what can be folded, for the mouse.
    pub folds: Vec<(TurnId, Area)>,
    /// Rows of the list of chats on the screen, for the mouse.
    pub chats: Vec<(ConversationId, Area)>,
    /// Links on the screen, a stretch of one row each, and where they lead.
    pub links: Vec<(Area, String)>,
}

/// A rectangle of cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// Left.
    pub x: u16,
    /// Top.
    pub y: u16,
    /// Width.
    pub width: u16,
    /// Height.
    pub height: u16,
}
