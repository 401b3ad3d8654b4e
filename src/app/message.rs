//! What `update` is told and what it answers: messages and effects, as data.
//!
//! Invariant: nothing here holds a channel, a handle or a clock, so both sides compare with `==` in tests.

use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};

use super::{FileRead, FilesWanted, PathOffer};
use crate::config::{Config, Warning};
use crate::engine::protocol::{Envelope, Request, RequestId};
use crate::inspect::scores::HeadScores;
use crate::model_entry::ModelEntry;
use crate::models::hub::Offer;
use crate::models::machine::Machine;
use crate::models::{CatalogueItem, FetchEvent};
use crate::store;

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
    /// Keys that came all at once, without the marks of a paste, or letters typed as a sentence where letters are commands.
    Burst(String),
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
    /// What this machine can run.
    Machine(Machine),
    /// The catalogue was read.
    Catalogue(Vec<CatalogueItem>),
    /// The configuration was read again.
    Config(Box<Config>, Vec<Warning>),
    /// `$EDITOR` came back: the text, or what went wrong.
    Edited(Result<String, String>),
    /// Files were read for the draft.
    FilesRead(Vec<FileRead>, FilesWanted),
    /// What the path that is being typed could go on to.
    Paths(String, Vec<PathOffer>),
    /// Something that the user should know, with time to read it.
    Noted(String),
    /// A copy was made or a file written (or not): what to say.
    Copied(Result<String, String>),
    /// The grammar in a file, or that of its JSON schema, with what is to be said of it; or what is wrong with it.
    Grammar(Result<(String, String), String>),
    /// What the repository of that name offers, or why the hub does not say.
    Hub(String, Result<Box<Offer>, String>),
    /// The ids of the models of that entry's server, or why it does not say.
    Served(String, Result<Vec<String>, String>),
    /// What was kept of the heads of the model whose file has this hash.
    Heads(String, Option<Box<HeadScores>>),
    /// Free memory, bytes, asked for now and then.
    Memory(u64),
    /// Colours of code were found that a frame would show.
    Coloured,
    /// Time passed that the app had asked for (see [`super::App::wakes_at`]).
    Tick,
    /// A signal asks the app to end.
    Terminate,
}

/// Which of the engines started so far; a late event of an old one is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EngineId(pub u64);

/// Something the runtime is asked to do.
#[derive(Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "moved once, a few times a second at most")]
pub enum Effect {
    /// Ask the store.
    Store(store::Command),
    /// Start an engine (ending the one before).
    StartEngine(EngineId, Box<ModelEntry>),
    /// End the engine.
    StopEngine(EngineId),
    /// Ask the engine.
    Engine(EngineId, RequestId, Box<Request>),
    /// Fetch a model, beside those that are being fetched → [`Msg::Fetch`].
    Fetch(Box<ModelEntry>),
    /// Stop the fetch of the model of that name → [`Msg::Fetch`].
    StopFetch(String),
    /// Drop what has arrived of a model.
    DiscardFetch(Box<ModelEntry>),
    /// Remove a model's file.
    RemoveModel(Box<ModelEntry>),
    /// Find out what this machine can run → [`Msg::Machine`].
    MeasureMachine,
    /// Read the catalogue → [`Msg::Catalogue`].
    ReadCatalogue,
    /// Read the configuration again → [`Msg::Config`].
    ReadConfig,
    /// Write one key of the configuration file (dotted), keeping comments.
    WriteConfig {
        /// e.g. `ui.theme`.
        key: String,
        /// A TOML value; empty takes the key out.
        value: String,
    },
    /// Put text on the clipboard.
    Copy(String),
    /// Write a file in the working folder, under another name if there is one of this → [`Msg::Copied`].
    WriteFile {
        /// Its name, or a path.
        name: String,
        /// What it holds.
        text: String,
    },
    /// Write a control vector, likewise, and say more of it → [`Msg::Copied`].
    WriteVector {
        /// Its name, or a path.
        name: String,
        /// The file.
        bytes: Vec<u8>,
        /// What is said after where it is.
        said: String,
    },
    /// Read a grammar or a JSON schema from this file → [`Msg::Grammar`].
    ReadGrammar(String),
    /// Ask the hub what the repository of that name offers → [`Msg::Hub`].
    ReadHub(String),
    /// Ask the server of an entry for its models → [`Msg::Served`].
    ReadServed(Box<ModelEntry>),
    /// Write a model into the configuration file.
    AddModel(Box<ModelEntry>),
    /// Draw the open station into a file, likewise → [`Msg::Copied`].
    DrawStation {
        /// Its name, or a path.
        name: String,
        /// As text or as a picture.
        picture: super::Picture,
        /// Columns and rows.
        size: (u16, u16),
    },
    /// Let the user edit a text in `$EDITOR` → [`Msg::Edited`].
    Edit(String),
    /// Read the files of these names for the draft → [`Msg::FilesRead`].
    ReadFiles(Vec<String>, FilesWanted),
    /// List what a path could go on to → [`Msg::Paths`].
    ListPaths(String),
    /// Find the hash of the loaded model's file → [`crate::engine::protocol::Event::ModelHash`] of this engine.
    HashModel(EngineId, Box<ModelEntry>),
    /// Look up what was kept of the heads of the model whose file has this hash → [`Msg::Heads`].
    RecallHeads(String),
    /// Keep what its heads do.
    KeepHeads(String, Arc<HeadScores>),
    /// Set the window's title.
    Title(String),
    /// Ring the bell, or OSC 9 with this text.
    Notify(crate::config::Notify, String),
    /// Give the screen to nothing but these messages, each with its speaker, until a key comes.
    ShowText(Vec<(String, String)>),
    /// Turn the mouse on or off.
    Mouse(bool),
    /// Clear and redraw.
    Redraw,
    /// Put the app in the background.
    Suspend,
    /// End, after what waits has been written.
    Quit,
}
