//! The state of each pane, as data that drawing reads.
//!
//! Invariant: no method here changes two panes; what concerns several is in `app`'s own modules.

mod branch;
mod fetch;
mod files;
mod ledger;
mod look;
mod microscope;
mod overlay;
mod panes;
mod reread;
mod steer;
mod work;

pub use branch::{Ahead, AheadOf, Alternatives, StepMode, Tree, TreeRow, WholeOf};
pub use fetch::{AfterStop, Fetch, FetchState};
pub use files::{FileRead, FilesWanted, PathOffer};
pub use ledger::{Ledger, LedgerOrder};
pub use look::{LookAt, LookedAt, Looks, Record, ReplyOdds, Sandbox, TokenList};
pub use microscope::{Apart, HoldAgainst, Microscope, ReadText, ReadToken};
pub use overlay::{ConfirmAction, Edit, Level, LineEdit, Notice, Picker, PromptAction, TextEdit};
pub use panes::{
    Area, ChatLine, ChatList, Chats, Colouring, Completion, Composer, Find, Focus, Geometry, LineOf, Offers,
    Paste, Scroll, Transcript, WIDE,
};
pub use reread::{Change, Part, ReadAgain, ReadWithout, RereadReply, Weights, WhatIf};
pub use steer::{Preview, Steer, SteerField, SteerWish};
pub use work::{ActiveRun, LeftOut, ModelState, ModelStatus, Phase, Queued, Writing};
