//! The state of each pane, as data that drawing reads.
//!
//! Invariant: no method here changes two panes; what concerns several is in `app`'s own modules.

mod branch;
mod inspector;
mod overlay;
mod panes;
mod work;

pub use branch::{Ahead, Alternatives, StepMode, Tree, TreeRow};
pub use inspector::{Inspector, LiveStep, Station, Watched};
pub use overlay::{ConfirmAction, Edit, Level, LineEdit, Notice, Overlay, Picker, PromptAction};
pub use panes::{
    Area, Chats, Colouring, Completion, Composer, Find, Focus, Geometry, Paste, Scroll, Transcript,
};
pub use work::{ActiveRun, Fetch, ModelState, ModelStatus, Phase, Queued};
