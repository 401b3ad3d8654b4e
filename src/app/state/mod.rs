//! The state of each pane, as data that drawing reads.
//!
//! Invariant: no method here changes two panes; what concerns several is in `app`'s own modules.

mod attention;
mod branch;
mod depths;
mod inside;
mod inspector;
mod ledger;
mod look;
mod overlay;
mod panes;
mod pieced;
mod reread;
mod steer;
mod tried;
mod work;

pub use attention::{AttentionPicture, AttentionView, Grain, Ink, Stretched};
pub use branch::{Ahead, Alternatives, StepMode, Tree, TreeRow};
pub use depths::{Depths, Grid, Reading, ReadingOf, Settled};
pub use inside::{Arithmetic, Inside, InsidePass, Wish};
pub use inspector::{Inspector, LiveStep, Station, Watched};
pub use ledger::{Ledger, LedgerOrder};
pub use look::{LookedAt, Looks, Record, ReplyOdds, Sandbox, TokenList};
pub use overlay::{ConfirmAction, Edit, Level, LineEdit, Notice, Overlay, Picker, PromptAction, TextEdit};
pub use panes::{
    Area, Chats, Colouring, Completion, Composer, Find, Focus, Geometry, Paste, Scroll, Transcript,
};
pub use pieced::Pieced;
pub use reread::{Change, Part, RereadReply, Weights, WhatIf};
pub use steer::{Steer, SteerField, SteerWish};
pub use tried::{Picking, Pin, Source, Trial, Unit};
pub use work::{ActiveRun, Fetch, ModelState, ModelStatus, Phase, Queued};
