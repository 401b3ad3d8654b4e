//! The app's state, and how messages change it: `update(now, msg) -> Vec<Effect>`.
//!
//! Invariants: no IO, no clock, no channel, no ratatui drawing type here. Effects are data that the runtime
//! performs; what drawing learned comes back as [`Geometry`]. A run that is over ignores late events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};

use crate::chat::{Conversation, ConversationHead, ConversationId, Run, RunId, TurnId};
use crate::config::{Config, Warning};
use crate::engine::protocol::{Envelope, Loaded, PromptFacts, Request, RequestId};
use crate::model_entry::{LoadParams, ModelEntry};
use crate::models::{CatalogueItem, FetchEvent, FetchStage};
use crate::store;
use crate::token::{Step, TokenId, Vocabulary};

/// What time it is, told to `update` by the runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never jumps.
    pub mono_ms: u64,
    /// Milliseconds since 1970, UTC.
    pub wall_ms: i64,
    /// Minutes to add for local time.
    pub offset_minutes: i32,
}

/// Something that happened.
#[derive(Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted (line ends already as the terminal sent them).
    Paste(String),
    /// The mouse did something (only while it is on).
    Mouse(MouseEvent),
    /// The terminal has this size now.
    Resize(u16, u16),
    /// The terminal gained or lost the focus.
    Focus(bool),
    /// The engine said something.
    Engine(EngineId, Envelope),
    /// The store said something.
    Store(store::Event),
    /// A fetch went on.
    Fetch(FetchEvent),
    /// The catalogue was read.
    Catalogue(Vec<CatalogueItem>),
    /// The configuration was read again.
    Config(Box<Config>, Vec<Warning>),
    /// `$EDITOR` came back: the text, or what went wrong.
    Edited(Result<String, String>),
    /// A copy was made (or not): what to say.
    Copied(Result<String, String>),
    /// Free memory, bytes, asked for now and then.
    Memory(u64),
    /// Time passed that the app had asked for (see [`App::wakes_at`]).
    Tick,
    /// A signal asks the app to end.
    Terminate,
}

/// Which of the engines started so far; a late event of an old one is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineId(pub u64);

/// Something the runtime is asked to do.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Ask the store.
    Store(store::Command),
    /// Start an engine (ending the one before).
    StartEngine(EngineId, Box<ModelEntry>),
    /// End the engine.
    StopEngine(EngineId),
    /// Ask the engine.
    Engine(EngineId, RequestId, Box<Request>),
    /// Fetch a model.
    Fetch(Box<ModelEntry>),
    /// Stop the fetch.
    CancelFetch,
    /// Remove a model's file.
    RemoveModel(Box<ModelEntry>),
    /// Read the catalogue → [`Msg::Catalogue`].
    ReadCatalogue,
    /// Read the configuration again → [`Msg::Config`].
    ReadConfig,
    /// Write one key of the configuration file (dotted), keeping comments.
    WriteConfig {
        /// e.g. `ui.theme`.
        key: String,
        /// A TOML value.
        value: String,
    },
    /// Put text on the clipboard.
    Copy(String),
    /// Let the user edit a text in `$EDITOR` → [`Msg::Edited`].
    Edit(String),
    /// Set the window's title.
    Title(String),
    /// Ring the bell, or OSC 9 with this text.
    Notify(crate::config::Notify, String),
    /// Turn the mouse on or off.
    Mouse(bool),
    /// Clear and draw anew.
    Redraw,
    /// Put the app in the background.
    Suspend,
    /// End, after what waits has been written.
    Quit,
}

/// The whole state. Panes own their part; what several need is here.
pub struct App {
    /// The configuration in use.
    pub config: Config,
    /// Width and height of the terminal, cells.
    pub size: (u16, u16),
    /// Where keys go first.
    pub focus: Focus,
    /// Open overlays, the last on top.
    pub overlays: Vec<Overlay>,
    /// The list of chats.
    pub chats: Chats,
    /// The chat that is shown; it has no entry in the store until something was sent.
    pub chat: Conversation,
    /// Other chats in memory: those that still write, and those just left.
    pub others: BTreeMap<ConversationId, Conversation>,
    /// The reply being written, wherever its chat is.
    pub run: Option<ActiveRun>,
    /// What waits for the model or for the reply before it, by chat.
    pub queued: Option<Queued>,
    /// The transcript's own state.
    pub transcript: Transcript,
    /// The composer.
    pub composer: Composer,
    /// The inspector.
    pub inspector: Inspector,
    /// The model.
    pub model: ModelState,
    /// The fetch under way.
    pub fetch: Option<Fetch>,
    /// The catalogue, as last read.
    pub catalogue: Vec<CatalogueItem>,
    /// Names of the themes there are.
    pub themes: Vec<String>,
    /// Vocabularies by hash.
    pub vocabularies: BTreeMap<String, Arc<Vocabulary>>,
    /// The notice row: the newest is shown.
    pub notice: Option<Notice>,
    /// Runs of the loaded chats, by id.
    pub runs: BTreeMap<RunId, Run>,
    /// What drawing learned last.
    pub geometry: Geometry,
    /// The keymap made of the command table and `[keys]`.
    pub keymap: crate::config::keymap::Keymap,
    /// Time of the last message.
    pub now: Now,
    /// Free memory at the last look, bytes.
    pub free_memory: Option<u64>,
    /// Whether nothing is being saved (store failed), and why.
    pub unsaved: Option<String>,
    /// Whether the app is on its way out.
    pub quitting: bool,
    /// Whether drawing is worth it (state changed since the last frame).
    pub dirty: bool,
    /// Private bookkeeping: ids, pending requests.
    pub(crate) book: Book,
}

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
    /// All chats, newest first.
    pub heads: Vec<ConversationHead>,
    /// The row under the cursor.
    pub selected: usize,
    /// Chats with a finished reply that was not looked at yet.
    pub unseen: BTreeSet<ConversationId>,
    /// A rename under way: the chat and the new title.
    pub rename: Option<(ConversationId, LineEdit)>,
    /// The chat deleted last, to take back.
    pub deleted: Option<ConversationHead>,
}

/// A one-line input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineEdit {
    /// The text.
    pub text: String,
    /// Cursor, in bytes, on a character's edge.
    pub cursor: usize,
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
    /// Revision of each turn's text, raised by every change, for the render cache.
    pub revisions: BTreeMap<TurnId, u64>,
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
        /// The turn.
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
    /// Turns with a match, in order of the branch, with the byte of the match.
    pub matches: Vec<(TurnId, usize)>,
    /// Which is current.
    pub current: usize,
}

/// The composer.
pub struct Composer {
    /// The editor widget's state.
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
}

/// What the composer offers after `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// Full lines to take, best first, with their help.
    pub items: Vec<(String, String)>,
    /// Which is selected.
    pub selected: usize,
}

/// A station of the inspector, in the order of the strip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Station {
    /// 1
    Tokens,
    /// 2
    Embedding,
    /// 3
    Position,
    /// 4
    Attention,
    /// 5
    Ffn,
    /// 6
    Layers,
    /// 7
    #[default]
    Softmax,
    /// 8
    Sampler,
    /// 9
    Why,
}

/// The inspector.
#[derive(Debug, Default)]
pub struct Inspector {
    /// Whether the pane is wanted.
    pub shown: bool,
    /// The open station.
    pub station: Station,
    /// Alone, at full width.
    pub zoomed: bool,
    /// Show logits (relative to the largest) rather than percent.
    pub logits: bool,
    /// The user holds the shown step.
    pub held: bool,
    /// What the softmax station shows.
    pub live: Option<LiveStep>,
    /// Watched tokens with their last probability, peak and rank.
    pub watch: Vec<Watched>,
    /// What the open station costs, ms a token, once measured.
    pub price_ms: Option<f32>,
}

/// The step on display and what surrounds it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveStep {
    /// The chat it belongs to.
    pub chat: ConversationId,
    /// The turn.
    pub turn: TurnId,
    /// Index among the turn's steps.
    pub index: usize,
    /// The step.
    pub step: Step,
    /// Hash of the vocabulary its ids belong to.
    pub vocabulary: Option<String>,
    /// Text before it, for "read "…" → chose".
    pub context_tail: String,
    /// When it was put on display.
    pub shown_at: u64,
    /// One of how many steps since the last change of display.
    pub of: u32,
    /// The least certain step since then, shown next, with its index.
    pub pending: Option<(usize, Step)>,
    /// Steps since the last change of display.
    pub since: u32,
}

/// A watched token.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// The token.
    pub id: TokenId,
    /// Probability at the shown step if it is among its candidates.
    pub now: Option<f32>,
    /// Largest seen.
    pub peak: f32,
    /// Rank at the shown step if known.
    pub rank: Option<u32>,
}

/// The reply being written.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRun {
    /// The chat.
    pub chat: ConversationId,
    /// The turn being written.
    pub turn: TurnId,
    /// The run.
    pub run: RunId,
    /// The request.
    pub request: RequestId,
    /// What it does now.
    pub phase: Phase,
    /// What it started from, once known.
    pub prompt: Option<PromptFacts>,
    /// Tokens written.
    pub written: u32,
    /// When it was asked for, ms.
    pub started_at: u64,
    /// When the first token came, ms.
    pub first_token_at: Option<u64>,
    /// Tokens a second over the last second or so.
    pub speed: f32,
    /// The user asked to stop it.
    pub stopping: bool,
}

/// What a run does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asked for.
    Waiting,
    /// Reading the prompt.
    Reading {
        /// Tokens read.
        done: u32,
        /// Tokens to read.
        total: u32,
    },
    /// Writing.
    Writing,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The chat it belongs to.
    pub chat: ConversationId,
    /// The turn it answers once stored, i.e. what must be generated: reply to this turn.
    pub reply_to: Option<TurnId>,
    /// Text not yet stored as a turn (typed while another reply was written).
    pub text: Option<String>,
}

/// The model and its engine.
#[derive(Debug, Default)]
pub struct ModelState {
    /// Name of the entry wanted or loaded.
    pub name: String,
    /// Which engine.
    pub engine: EngineId,
    /// How it stands.
    pub status: ModelStatus,
    /// SHA-256 of the file, once known.
    pub hash: Option<String>,
    /// Tokens in the context: prompt and reply so far of the shown chat.
    pub used: u32,
}

/// How the model stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ModelStatus {
    /// None wanted yet.
    #[default]
    None,
    /// Its file is being fetched, or its terms wait to be accepted.
    Fetching,
    /// The engine is loading it; how far, 0 to 1.
    Loading(f32),
    /// Ready.
    Ready(Box<Loaded>),
    /// Unloaded because idle, or by the user; loads again when needed.
    Unloaded,
    /// It could not be loaded, or its engine died: what happened and what to do.
    Failed {
        /// For the user.
        message: String,
        /// Last lines of the engine's log.
        log_tail: Vec<String>,
    },
}

/// A fetch under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// The model.
    pub name: String,
    /// Stage by stage: bytes done and in all.
    pub stages: [(FetchStage, u64, u64); 3],
    /// Which stage is under way.
    pub stage: FetchStage,
    /// When it began, ms.
    pub started_at: u64,
    /// Bytes a second of the download.
    pub speed: f32,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

/// A line in the notice row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The text.
    pub text: String,
    /// How it is marked.
    pub level: Level,
    /// When it goes; `None` stays until replaced.
    pub until: Option<u64>,
}

/// How a notice is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Plain.
    Info,
    /// With `!`.
    Warn,
    /// With "error:".
    Error,
}

/// An overlay.
#[derive(Clone, Debug, PartialEq)]
pub enum Overlay {
    /// The command palette.
    Palette(Picker),
    /// The model picker.
    Models(Picker),
    /// The theme picker, with the theme to come back to.
    Themes(Picker, String),
    /// Settings in use and where they come from.
    Settings(Picker),
    /// Help pages.
    Help {
        /// Which page.
        page: usize,
        /// First row shown.
        scroll: u16,
    },
    /// Search over all chats.
    Search {
        /// The input.
        input: LineEdit,
        /// What was found.
        hits: Vec<store::Hit>,
        /// Which is selected.
        selected: usize,
    },
    /// Terms to accept before a model is fetched.
    Licence {
        /// The model.
        entry: Box<ModelEntry>,
        /// First row shown.
        scroll: u16,
    },
    /// A text to edit in one line or more: the system prompt.
    Prompt {
        /// Title of the box.
        title: String,
        /// What is edited.
        input: LineEdit,
        /// What happens on Enter.
        action: PromptAction,
    },
    /// A question with yes and no.
    Confirm {
        /// The question.
        question: String,
        /// What yes does.
        action: ConfirmAction,
    },
}

/// A list with a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picker {
    /// The filter.
    pub filter: LineEdit,
    /// Rows by index into the overlay's own source, best match first.
    pub rows: Vec<usize>,
    /// Which row is selected.
    pub selected: usize,
}

/// What an edited line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptAction {
    /// System prompt of the chat.
    System,
}

/// What a yes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmAction {
    /// Quit.
    Quit,
    /// Remove a model's file; index into the catalogue.
    RemoveModel(usize),
}

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
    /// Panes on the screen, for the mouse.
    pub areas: Vec<(Focus, Area)>,
    /// Messages on the screen, for the mouse.
    pub turns: Vec<(TurnId, Area)>,
    /// Rows of the list of chats on the screen, for the mouse.
    pub chats: Vec<(ConversationId, Area)>,
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

/// Bookkeeping of `update`.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// State of the id generator (splitmix64).
    pub seed: u64,
    /// Last request id given out.
    pub last_request: u64,
    /// Last engine id given out.
    pub last_engine: u64,
    /// The draft's token count under way.
    pub counting: Option<(RequestId, String)>,
    /// Files of a chat that should be opened once listed.
    pub open_next: Option<ConversationId>,
    /// Steps not handed to the store yet, and since when.
    pub unsaved_steps: Vec<Step>,
    /// When `unsaved_steps` began.
    pub unsaved_since: Option<u64>,
    /// Load parameters of the loading model.
    pub params: LoadParams,
    /// Last use of the model, for unloading when idle.
    pub last_use: u64,
    /// Arrival times of the last tokens, for the speed.
    pub arrivals: std::collections::VecDeque<u64>,
    /// Whether quitting was asked for once already.
    pub quit_asked: bool,
    /// Last key press counted as wheel burst, etc.
    pub last_key: u64,
}
