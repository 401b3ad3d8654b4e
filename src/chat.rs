//! Conversations: a tree of turns, each a list of spans, and the runs that generated them. Plain data.
//!
//! Invariants: nothing is overwritten (editing and regenerating add a sibling); a generated span keeps
//! the ids and bytes it was made of, so no reply is ever tokenised again to find out what it was; a turn's
//! text is the concatenation of its spans' bytes. Turns are kept in order of creation, not by clock.

mod adapter;
mod conditioning;
mod insert;
mod intervention;
mod parts;
mod teller;
#[cfg(test)]
mod tests;

pub use adapter::{Adapter, AdapterKind, in_use, named as named_adapter};
pub use conditioning::{condition, prompt_of};
pub use insert::{Insert, Typed};
pub use intervention::{HookPoint, Intervention, Steering};
pub use parts::{Vocabularies, labels_of, marks_are_text, name_of, split_of, splitter_for};
pub use teller::Teller;

use serde::{Deserialize, Serialize};

use crate::sampling::{Sampling, SamplingOverrides};
use crate::token::{Step, TokenId};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
    };
}

id!(
    /// A conversation. Random and positive, so two instances on one database never collide.
    ConversationId
);
id!(
    /// A turn. Random and positive.
    TurnId
);
id!(
    /// One generation. Random and positive.
    RunId
);

/// Values that a chat template is given beside the messages, by name; any JSON value.
pub type TemplateValues = std::collections::BTreeMap<String, serde_json::Value>;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that come before the chat.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// Part of a turn, with the truth about how it came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// Typed, edited or imported.
    Written {
        /// The text as entered.
        text: String,
    },
    /// Written by a model.
    Generated {
        /// What it was made under.
        run: RunId,
        /// Its tokens.
        steps: Vec<Step>,
    },
    /// The first tokens of another turn's reply, of which this turn is a branch.
    Kept {
        /// The turn whose steps these are.
        turn: TurnId,
        /// How many of its steps, counted over all its spans.
        steps: u32,
    },
}

/// How many turns deep kept stretches are followed: a chain of branches of branches is no longer, and a damaged
/// one ends.
pub const KEPT_DEEPEST: usize = 512;

/// How a turn stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// Finished; how is in its run's [`StopReason`].
    #[default]
    Done,
    /// Being written. Found at start, it becomes [`TurnState::Interrupted`].
    Streaming,
    /// The app or the engine ended while it was written.
    Interrupted,
}

/// One turn of the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Its id.
    pub id: TurnId,
    /// The turn it answers; `None` for a first turn.
    pub parent: Option<TurnId>,
    /// Who speaks.
    pub role: Role,
    /// Its parts, in order.
    pub spans: Vec<Span>,
    /// How it stands.
    pub state: TurnState,
    /// Hidden by the user; can be taken back.
    pub deleted: bool,
    /// Why it ended, or what went wrong, in words; shown under the turn.
    pub note: Option<String>,
    /// Name of the model that wrote it.
    pub model: Option<String>,
    /// When it was begun, milliseconds since 1970, UTC.
    pub created_ms: i64,
    /// The files and long pastes in its text, if it was typed; none in messages of versions that did not keep that.
    #[serde(default)]
    pub inserts: Vec<Insert>,
}

/// A title for a chat: the first line of its first message, at most 60 characters.
#[must_use]
pub fn title_of(message: &str) -> String {
    /// Longest title made of a first message, characters.
    const TITLE: usize = 60;
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= TITLE {
        return line;
    }
    let cut: String = line.chars().take(TITLE - 1).collect();
    format!("{}…", cut.trim_end())
}

impl Turn {
    /// A finished turn that says nothing yet.
    #[must_use]
    pub fn new(id: TurnId, parent: Option<TurnId>, role: Role, created_ms: i64) -> Self {
        Self {
            id,
            parent,
            role,
            spans: Vec::new(),
            state: TurnState::Done,
            deleted: false,
            note: None,
            model: None,
            created_ms,
            inserts: Vec::new(),
        }
    }

    /// The message as it was typed, with the files and pastes in it; without any where it was not typed in one piece.
    #[must_use]
    pub fn typed(&self) -> Typed {
        match self.spans.as_slice() {
            [Span::Written { text }] => Typed::new(text.clone(), self.inserts.clone()),
            _ => self.text().into(),
        }
    }

    /// The raw bytes of all spans ([`Span::Kept`] is resolved by [`Conversation::bytes`]).
    #[must_use]
    pub fn own_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for span in &self.spans {
            match span {
                Span::Written { text } => bytes.extend_from_slice(text.as_bytes()),
                Span::Generated { steps, .. } => steps.iter().for_each(|s| bytes.extend_from_slice(&s.bytes)),
                Span::Kept { .. } => {}
            }
        }
        bytes
    }

    /// How many tokens of other turns this one keeps.
    #[must_use]
    pub fn kept_steps(&self) -> usize {
        let kept = |span: &Span| match span {
            Span::Kept { steps, .. } => *steps as usize,
            Span::Written { .. } | Span::Generated { .. } => 0,
        };
        self.spans.iter().map(kept).sum()
    }

    /// All generated steps of this turn's own spans, in order.
    #[must_use = "iterators are lazy"]
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.spans.iter().flat_map(|span| match span {
            Span::Generated { steps, .. } => steps.as_slice(),
            Span::Written { .. } | Span::Kept { .. } => &[],
        })
    }

    /// The text, whole characters only: while streaming an unfinished last character is held back,
    /// afterwards bytes that form none become `�`.
    #[must_use]
    pub fn text(&self) -> String {
        whole_text(&self.own_bytes(), self.state == TurnState::Streaming)
    }
}

/// Bytes to text. With `growing`, an unfinished last character is held back; otherwise it becomes `�`.
#[must_use]
pub fn whole_text(bytes: &[u8], growing: bool) -> String {
    let held = if growing { unfinished_tail(bytes) } else { 0 };
    String::from_utf8_lossy(&bytes[..bytes.len() - held]).into_owned()
}

/// How many bytes at the end begin a character that more bytes could finish (0 to 3).
#[must_use]
pub fn unfinished_tail(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let tail = &bytes[bytes.len() - back..];
        if tail[0] & 0b1100_0000 == 0b1000_0000 {
            continue;
        }
        return match std::str::from_utf8(tail) {
            Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => back,
            _ => 0,
        };
    }
    0
}

/// What a chat sets for itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChatSettings {
    /// Model that goes on with this chat; `None` is the app's current one.
    pub model: Option<String>,
    /// System prompt; `None` is the model's or the default one, an empty text is none.
    pub system: Option<String>,
    /// Name of a sampler preset.
    pub preset: Option<String>,
    /// Sampler settings of this chat.
    pub sampling: SamplingOverrides,
    /// Changes to the network that stay in this chat's replies.
    pub interventions: Vec<Intervention>,
    /// Whether a twin without them reads along, so that their effect on each token is known.
    pub twin: bool,
    /// Values of the chat template that are set for this chat.
    pub template_values: TemplateValues,
}

/// A conversation's entry in the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConversationHead {
    /// Its id.
    pub id: ConversationId,
    /// Its title: from the first message, or as renamed.
    pub title: String,
    /// When it was begun, milliseconds since 1970, UTC.
    pub created_ms: i64,
    /// When a turn was last added.
    pub updated_ms: i64,
    /// The text in its composer.
    pub draft: String,
    /// What the user said of it.
    #[serde(default)]
    pub marks: Marks,
    /// When it was put into the bin, milliseconds since 1970; `None` where it is not there.
    #[serde(default)]
    pub binned_ms: Option<i64>,
    /// Orders chats by when they were looked at last; 0 is never.
    #[serde(default)]
    pub looked: i64,
}

impl ConversationHead {
    /// Orders chats by when they were looked at last; those that never were, as of earlier versions, by their last change.
    #[must_use]
    pub fn last_look(&self) -> (i64, i64) {
        (self.looked, self.updated_ms)
    }

    /// The entry of a chat that holds nothing yet.
    #[must_use]
    pub fn new(id: ConversationId) -> Self {
        Self {
            id,
            title: String::new(),
            created_ms: 0,
            updated_ms: 0,
            draft: String::new(),
            marks: Marks::default(),
            binned_ms: None,
            looked: 0,
        }
    }
}

/// What the user said of a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// Stands before the others.
    pub pinned: bool,
    /// Is listed only among the archived ones.
    pub archived: bool,
    /// Words to find it by, sorted, each once.
    pub tags: Vec<String>,
}

impl Marks {
    /// The tags in a line that somebody typed: words, with or without `#`, in small letters.
    #[must_use]
    pub fn tags_in(line: &str) -> Vec<String> {
        let words =
            line.split(|c: char| c.is_whitespace() || c == ',').map(|word| word.trim_start_matches('#'));
        let words =
            words.map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>().to_lowercase());
        let tags: std::collections::BTreeSet<String> = words.filter(|word| !word.is_empty()).collect();
        tags.into_iter().collect()
    }
}

/// Where one left a chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// The turn at the top of the view and the byte of it there; `None` is the end.
    pub top: Option<(TurnId, usize)>,
    /// The open station's name.
    pub station: Option<String>,
}

/// A whole conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its entry in the list.
    pub head: ConversationHead,
    /// What it sets for itself.
    pub settings: ChatSettings,
    /// The last turn of the shown branch; `None` while empty.
    pub leaf: Option<TurnId>,
    /// All turns, in order of creation.
    pub turns: Vec<Turn>,
    /// Where one left it.
    #[serde(default)]
    pub place: Place,
}

impl Conversation {
    /// The same under other ids, that of each turn given by `id`; what wrote its replies is shared with the first.
    #[must_use]
    pub fn duplicate(mut self, new: ConversationId, mut id: impl FnMut() -> TurnId) -> Self {
        let ids: std::collections::HashMap<TurnId, TurnId> =
            self.turns.iter().map(|turn| (turn.id, id())).collect();
        let other = |turn: TurnId| ids.get(&turn).copied().unwrap_or(turn);
        for turn in &mut self.turns {
            turn.id = other(turn.id);
            turn.parent = turn.parent.map(other);
            for span in &mut turn.spans {
                if let Span::Kept { turn, .. } = span {
                    *turn = other(*turn);
                }
            }
        }
        self.leaf = self.leaf.map(other);
        self.place.top = self.place.top.map(|(turn, row)| (other(turn), row));
        self.head.id = new;
        self
    }

    /// The turn of that id.
    #[must_use]
    pub fn turn(&self, id: TurnId) -> Option<&Turn> {
        self.turns.iter().rev().find(|turn| turn.id == id)
    }

    /// The same, to change.
    pub fn turn_mut(&mut self, id: TurnId) -> Option<&mut Turn> {
        self.turns.iter_mut().rev().find(|turn| turn.id == id)
    }

    /// The shown branch, first turn first.
    #[must_use]
    pub fn branch(&self) -> Vec<&Turn> {
        let mut path: Vec<&Turn> = self.upwards().collect();
        path.reverse();
        path
    }

    /// The shown branch from its last turn on, for what is near the end.
    pub fn upwards(&self) -> impl Iterator<Item = &Turn> {
        self.upwards_from(self.leaf)
    }

    /// A branch from its last turn on.
    pub fn upwards_from(&self, last: Option<TurnId>) -> impl Iterator<Item = &Turn> {
        // A damaged tree must not hang the app.
        let mut left = self.turns.len() + 1;
        let (mut next, mut place) = (last, self.turns.len());
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            place = self.place_before(place, next?)?;
            next = self.turns[place].parent;
            Some(&self.turns[place])
        })
    }

    /// Where a turn stands, looked for from a place backwards first: a parent is older than its children, so
    /// that a long branch is walked once and not searched again at every turn.
    fn place_before(&self, place: usize, id: TurnId) -> Option<usize> {
        let is = |turn: &Turn| turn.id == id;
        self.turns[..place].iter().rposition(is).or_else(|| self.turns.iter().rposition(is))
    }

    /// The versions of a turn that are not deleted: turns with the same parent and role, oldest first.
    #[must_use]
    pub fn versions(&self, id: TurnId) -> Vec<TurnId> {
        let Some(turn) = self.turn(id) else { return Vec::new() };
        self.turns
            .iter()
            .filter(|other| other.parent == turn.parent && other.role == turn.role && !other.deleted)
            .map(|other| other.id)
            .collect()
    }

    /// The newest leaf under a turn, itself if nothing answers it.
    #[must_use]
    pub fn newest_leaf(&self, id: TurnId) -> TurnId {
        let mut leaf = id;
        while let Some(child) =
            self.turns.iter().rev().find(|turn| turn.parent == Some(leaf) && !turn.deleted)
        {
            leaf = child.id;
        }
        leaf
    }

    /// A turn's raw bytes, kept stretches of other turns included.
    #[must_use]
    pub fn bytes(&self, turn: &Turn) -> Vec<u8> {
        let pieces = self.pieces(turn);
        let mut bytes = Vec::with_capacity(pieces.iter().map(|piece| piece.bytes().len()).sum());
        for piece in &pieces {
            bytes.extend_from_slice(piece.bytes());
        }
        bytes
    }

    /// A turn as pieces: written text and single steps, kept stretches of other turns resolved.
    #[must_use]
    pub fn pieces<'a>(&'a self, turn: &'a Turn) -> Vec<Piece<'a>> {
        self.pieces_from(turn, 0)
    }

    /// The same without the first so many, which are passed over by the span, not walked.
    #[must_use]
    pub fn pieces_from<'a>(&'a self, turn: &'a Turn, mut skip: usize) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        self.collect(turn, usize::MAX, 0, &mut skip, &mut pieces);
        pieces
    }

    /// How many pieces a turn has, told by its spans.
    #[must_use]
    pub fn piece_count(&self, turn: &Turn) -> usize {
        let mut left = usize::MAX;
        self.collect(turn, usize::MAX, 0, &mut left, &mut Vec::new());
        usize::MAX - left
    }

    /// Appends a turn's pieces up to `most` steps but for the first `skip`; gives how many steps those were.
    fn collect<'a>(
        &'a self,
        turn: &'a Turn,
        most: usize,
        depth: usize,
        skip: &mut usize,
        out: &mut Vec<Piece<'a>>,
    ) -> usize {
        let mut left = most;
        for span in &turn.spans {
            match span {
                Span::Written { .. } if *skip > 0 => *skip -= 1,
                Span::Written { text } => out.push(Piece::Written(text)),
                Span::Generated { run, steps } => {
                    let taken = steps.len().min(left);
                    let skipped = taken.min(*skip);
                    *skip -= skipped;
                    out.extend(steps[skipped..taken].iter().map(|step| Piece::Step { run: *run, step }));
                    left -= taken;
                }
                Span::Kept { turn, steps } => {
                    if let Some(other) = self.turn(*turn).filter(|_| depth < KEPT_DEEPEST) {
                        left -= self.collect(other, (*steps as usize).min(left), depth + 1, skip, out);
                    }
                }
            }
            if left == 0 {
                break;
            }
        }
        most - left
    }
}

/// A stretch of a turn with one origin: typed text, or one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece<'a> {
    /// Typed text.
    Written(&'a str),
    /// One generated token.
    Step {
        /// The run it belongs to.
        run: RunId,
        /// Its numbers.
        step: &'a Step,
    },
}

impl Piece<'_> {
    /// The raw bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Written(text) => text.as_bytes(),
            Self::Step { step, .. } => &step.bytes,
        }
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended its turn.
    Eos,
    /// A stop text was about to be written.
    Stop,
    /// `max_tokens` was reached.
    Length,
    /// The context is full.
    Context,
    /// The server's filter cut it.
    ContentFilter,
    /// The model called a tool instead of going on.
    ToolCalls,
    /// The user stopped it.
    Cancelled,
    /// Something failed.
    Error,
}

/// Tokens counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, the reused ones included.
    pub prompt_tokens: u32,
    /// Tokens written.
    pub completion_tokens: u32,
    /// Prompt tokens that were still in the KV cache.
    pub reused_tokens: u32,
}

/// Milliseconds spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Loading the model.
    pub load_ms: f32,
    /// Reading the prompt.
    pub prompt_ms: f32,
    /// Writing.
    pub decode_ms: f32,
    /// `completion_tokens` a second of `decode_ms`.
    pub tokens_per_second: f32,
    /// With how many threads they were computed; `None` where it is not known, or nothing was computed.
    #[serde(default)]
    pub threads: Option<ThreadCount>,
}

/// With how many threads a reply was written; these differ where the machine was busy for a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadCount {
    /// The fewest.
    pub least: u32,
    /// The most.
    pub most: u32,
}

impl ThreadCount {
    /// That, and these too.
    #[must_use]
    pub fn with(before: Option<Self>, threads: u32) -> Self {
        let Self { least, most } = before.unwrap_or(Self { least: threads, most: threads });
        Self { least: least.min(threads), most: most.max(threads) }
    }
}

/// What one generation was made under; enough to make it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the model's file; `None` until it has been computed.
    pub model_hash: Option<String>,
    /// [`crate::token::Vocabulary::hash`] the ids belong to.
    pub vocabulary: Option<String>,
    /// SHA-256 of the chat template; `None` for a plain transcript.
    pub template_hash: Option<String>,
    /// All sampler settings.
    pub sampling: Sampling,
    /// The seed that was really used.
    pub seed: u32,
    /// Changes made to the network.
    pub interventions: Vec<Intervention>,
    /// The clock given to the template, milliseconds since 1970.
    pub template_clock_ms: Option<i64>,
    /// By how many minutes local time was ahead of UTC then.
    #[serde(default)]
    pub template_offset_minutes: i32,
    /// Values given to the template.
    #[serde(default)]
    pub template_values: TemplateValues,
    /// Run whose prompt begins this one's, and how many of that prompt's ids are shared; see [`prompt_of`].
    pub prefix: Option<(RunId, u32)>,
    /// Ids it was conditioned on, after the shared prefix.
    pub prompt_ids: Vec<TokenId>,
    /// How many of its first tokens were taken by the user instead of drawn (a branch's first one).
    #[serde(default)]
    pub taken: u32,
    /// Which of its tokens were written for the model, since its budget for thinking was used up.
    #[serde(default)]
    pub forced: Vec<u32>,
    /// Which of its tokens were drafted: guessed from what stood before, and decoded together with the token before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drafted: Vec<u32>,
    /// The server that told its figures; `None` for a glassbox engine, which tells all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_by: Option<Teller>,
    /// Why it ended; `None` while it runs or when the app ended first.
    pub stop: Option<StopReason>,
    /// Tokens counted.
    pub usage: Usage,
    /// Milliseconds spent.
    pub timings: Timings,
}

impl Run {
    /// A run that has written nothing yet, of a model of which only the name is known.
    #[must_use]
    pub fn new(id: RunId, model: String, sampling: Sampling, seed: u32) -> Self {
        Self {
            id,
            model,
            model_hash: None,
            vocabulary: None,
            template_hash: None,
            sampling,
            seed,
            interventions: Vec::new(),
            template_clock_ms: None,
            template_offset_minutes: 0,
            template_values: TemplateValues::new(),
            prefix: None,
            prompt_ids: Vec::new(),
            taken: 0,
            forced: Vec::new(),
            drafted: Vec::new(),
            told_by: None,
            stop: None,
            usage: Usage::default(),
            timings: Timings::default(),
        }
    }

    /// A run of a model with the vocabulary "v", under seed 7 and the default settings.
    #[cfg(test)]
    pub(crate) fn of_tests(id: i64, model: &str) -> Self {
        let run = Self::new(RunId(id), model.into(), Sampling::default(), 7);
        Self { vocabulary: Some("v".into()), ..run }
    }
}
