//! Themes: named colour roles, two ramps, and the glyphs, adapted to what the terminal can show.
//!
//! Invariant: widgets ask for a role and never name a colour; losing colour never loses a fact.

mod color;
mod file;
mod resolve;
mod role;
mod symbols;
#[cfg(test)]
mod tests;

use ratatui::style::{Color, Modifier, Style};

pub use color::{Rgb, contrast};
pub use file::{Swatch, ThemeFile, list, load, name_for, parse};
pub use resolve::{detect_depth, detect_symbols, resolve};
pub use role::{Paint, ROWS, Row};

use crate::config::ColorDepth;

/// What a piece of text or fill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reading.
    Text,
    /// Watched tokens, underlined.
    TokenWatch,
    /// Titles, here, speaker lines.
    Strong,
    /// The focused pane's heavy rule.
    FocusBorder,
    /// `◆`.
    DepthMark,
    /// Captions, units.
    Muted,
    /// Cut tokens, struck.
    TokenCut,
    /// Template tokens.
    TokenSpecial,
    /// Lines between panes.
    Rule,
    /// Token under the cursor.
    Cursor,
    /// Selected row.
    Select,
    /// Code blocks.
    Code,
    /// Probability bars.
    ProbBar,
    /// Unfilled part of a gauge.
    ProbTrack,
    /// The token written.
    TokenChosen,
    /// Links.
    Link,
    /// The rival token.
    TokenRival,
    /// The rival's bars.
    RivalBar,
    /// Bar of the opened head.
    AttnStrong,
    /// Beyond a sliding window.
    AttnOutside,
    /// Written by attention.
    PartAttn,
    /// Written by feed-forward.
    PartFfn,
    /// Distance to the end.
    KlBar,
    /// Caution, always with `!`.
    Warn,
    /// Failure, always with the word.
    Error,
}

/// A theme resolved for one terminal: styles ready to use.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// Whether it is made for light backgrounds.
    pub light: bool,
    /// The depth it was resolved for (never `Auto`).
    pub depth: ColorDepth,
    /// One style a role, in the order of [`Role`].
    pub styles: Vec<Style>,
    /// `mag.0`–`mag.8`: background and ink, as a style.
    pub mag: [Style; 9],
    /// `div.−4`–`div.+4`: background and ink, as a style.
    pub div: [Style; 9],
    /// Glyphs.
    pub symbols: Symbols,
}

impl Theme {
    /// Whether levels can be told by the background of a cell.
    #[must_use]
    pub fn has_fills(&self) -> bool {
        !matches!(self.depth, ColorDepth::C16 | ColorDepth::None)
    }

    /// The style of a role.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles.get(role as usize).copied().unwrap_or_default()
    }

    /// Step 0 to 8 of the magnitude ramp, as fill and ink.
    #[must_use]
    pub fn mag(&self, step: usize) -> Style {
        self.mag[step.min(8)]
    }

    /// Step −4 to +4 of the signed ramp, as fill and ink.
    #[must_use]
    pub fn div(&self, step: i8) -> Style {
        self.div[usize::try_from(step.clamp(-4, 4) + 4).unwrap_or(4)]
    }
}

/// The glyphs of one symbol set. All are one cell wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbols {
    /// Whether only ASCII is drawn.
    pub ascii: bool,
    /// Drawn token: `▶` or `>`.
    pub drawn: &'static str,
    /// Selected row: `›` or `>`.
    pub here: &'static str,
    /// Cut: `×` or `x`.
    pub cut: &'static str,
    /// Decided: `◆` or `*`.
    pub decided: &'static str,
    /// Other: `•` or `o`.
    pub other: &'static str,
    /// Writing: `●` or `*`.
    pub writing: &'static str,
    /// Ready: `○` or `o`.
    pub ready: &'static str,
    /// Reading: `◐` or `:`.
    pub reading: &'static str,
    /// Blank, newline, tab inside token text: `␣ ↵ ⇥` or `_ \n \t`.
    pub space: &'static str,
    /// See `space`.
    pub newline: &'static str,
    /// See `space`.
    pub tab: &'static str,
    /// Thin and heavy horizontal rules, `─ ━` or `- =`.
    pub rule: &'static str,
    /// See `rule`.
    pub heavy_rule: &'static str,
    /// Vertical rule, `│` or `|`.
    pub vertical: &'static str,
    /// Horizontal bar in eighths, empty to full, nine entries.
    pub bar: [&'static str; 9],
    /// Vertical bar in eighths, nine entries (strip charts).
    pub column: [&'static str; 9],
}

/// Only for building styles in tests and defaults.
#[must_use]
pub fn plain(color: Color, modifier: Modifier) -> Style {
    Style::new().fg(color).add_modifier(modifier)
}
