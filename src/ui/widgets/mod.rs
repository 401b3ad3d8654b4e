//! Pieces of drawing that know nothing of the app: text, bars, charts, frames, lists.
//!
//! Invariant: nothing is drawn outside the given rectangle, however small it is.

pub mod bar;
pub mod chart;
pub mod edit;
pub mod number;
pub mod popup;
pub mod row;
pub mod table;
pub mod text;
pub mod token;
