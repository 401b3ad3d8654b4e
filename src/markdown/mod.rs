//! Markdown that is laid out while it streams, every cell knowing the bytes that it stands for.
//!
//! A message's text becomes **units** (`split`: blocks of the top level, and the items of its lists), a unit becomes
//! **rows of cells** (`flow` walks the parser's events, `build` wraps words and puts prefixes before rows, `table`,
//! `math` and `fence` have their own), and all units together are a [`Page`]. Finished units are laid out once; only
//! the last one, the tail, again when text comes. What a later line changes is right in the end: a heading's underline,
//! a table's second row, a closing fence fall into the tail, and a link's definition lays out again those units that
//! asked for it. An open fence at the top level, which has no bound, is laid out a line at a time.
//!
//! Every byte is in the source of some cell. Marks that are not shown (`**`, a fence, the dashes under a table's head)
//! are cells of no width at the place where they would stand, so that the cursor on tokens reaches them. What is shown
//! without a source (the bar of a quote, an address named elsewhere) is decoration and belongs to no token. Inside a
//! table whose cells are wrapped the order of cells is not that of their sources; such a unit has an index by source.
//!
//! The parser is pulldown-cmark. Line ends of a paragraph stay line ends, as chats have them; raw HTML is shown as
//! text. Input may be hostile: nothing calls itself, prefixes are bounded, a unit is at most 32 KiB (but for a fence),
//! and a table of more than some thousand cells stays as it was written.
//!
//! Invariant: a page that grew is the page of the whole text, whatever the steps; see the tests.

mod address;
mod build;
mod contained;
#[cfg(test)]
pub(crate) mod corpus;
mod fence;
mod flow;
mod highlight;
mod inline;
mod labels;
mod look;
mod math;
mod math_signs;
mod notes;
mod open_fence;
mod page;
mod source;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod unit;

use std::collections::HashMap;

use pulldown_cmark::Options;

pub use contained::contained;
pub use fence::{CodeBlock, closing, code_blocks};
pub use highlight::{Highlighter, Spans};
pub use labels::apart;
pub use look::{Look, Tone};
pub use page::{Glyph, Page, Stretch};
pub use unit::CodeLine;

/// What is read beyond `CommonMark`.
const OPTIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_MATH)
    .union(Options::ENABLE_GFM);

/// How a page is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Cells of a row; at least 1.
    pub width: u16,
    /// Whether long lines of code are wrapped; otherwise their rows are longer than the width.
    pub wrap_code: bool,
    /// Whether marks of the layout are ASCII and mathematics stays as it was written.
    pub ascii: bool,
}

/// Addresses by label.
type Labels = HashMap<String, String>;

/// A label as it is compared: in lower case, blanks as one.
fn label_key(label: &str) -> String {
    label.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}
