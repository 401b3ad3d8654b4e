//! The roles, their names in theme files, and how each is drawn.
//!
//! Invariant: one row a role, in the order of [`Role`].

use ratatui::style::{Color, Modifier};

use super::Role;

/// Whether a role's colour is ink or what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text: a contrast of at least 4.5 is asked for.
    Ink,
    /// Bars and signs drawn in ink: at least 3.
    Mark,
    /// Lines between panes: any contrast.
    Line,
    /// A fill behind text of the terminal's own colour.
    Fill,
    /// A fill with reversed ink on it.
    Cursor,
}

/// One role's row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The role.
    pub role: Role,
    /// Its name in theme files.
    pub name: &'static str,
    /// How its colour is used.
    pub paint: Paint,
    /// What is added whatever the colours.
    pub always: Modifier,
    /// What stands for the colour where there are 16 or none.
    pub instead: Modifier,
    /// The tint with 16 colours.
    pub tint: Option<Color>,
}

const NONE: Modifier = Modifier::empty();

const fn row(role: Role, name: &'static str, paint: Paint, always: Modifier, instead: Modifier) -> Row {
    Row { role, name, paint, always, instead, tint: None }
}

const fn tinted(role: Role, name: &'static str, tint: Color) -> Row {
    Row { role, name, paint: Paint::Mark, always: NONE, instead: NONE, tint: Some(tint) }
}

/// All roles. With 16 colours text keeps the terminal's own: bright black and yellow are unreadable on many
/// palettes.
pub const ROWS: [Row; 25] = [
    row(Role::Text, "text", Paint::Ink, NONE, NONE),
    row(Role::TokenWatch, "token.watch", Paint::Ink, Modifier::UNDERLINED, NONE),
    row(Role::Strong, "strong", Paint::Ink, Modifier::BOLD, NONE),
    row(Role::FocusBorder, "focus.border", Paint::Ink, NONE, Modifier::BOLD),
    row(Role::DepthMark, "depth.mark", Paint::Ink, NONE, Modifier::BOLD),
    row(Role::Muted, "muted", Paint::Ink, NONE, NONE),
    row(Role::TokenCut, "token.cut", Paint::Ink, Modifier::CROSSED_OUT, NONE),
    row(Role::TokenSpecial, "token.special", Paint::Ink, Modifier::ITALIC, NONE),
    row(Role::Rule, "rule", Paint::Line, NONE, NONE),
    row(Role::Cursor, "cursor.bg", Paint::Cursor, NONE, Modifier::REVERSED),
    row(Role::Select, "select.bg", Paint::Fill, NONE, Modifier::UNDERLINED),
    row(Role::Code, "code.bg", Paint::Fill, NONE, NONE),
    tinted(Role::ProbBar, "prob.bar", Color::Blue),
    row(Role::ProbTrack, "prob.track", Paint::Fill, NONE, NONE),
    row(Role::TokenChosen, "token.chosen", Paint::Ink, NONE, Modifier::BOLD),
    row(Role::Link, "link", Paint::Ink, Modifier::UNDERLINED, NONE),
    row(Role::TokenRival, "token.rival", Paint::Ink, NONE, Modifier::UNDERLINED),
    tinted(Role::RivalBar, "rival.bar", Color::Yellow),
    row(Role::AttnStrong, "attn.strong", Paint::Mark, NONE, NONE),
    row(Role::AttnOutside, "attn.outside", Paint::Fill, NONE, NONE),
    row(Role::PartAttn, "part.attn", Paint::Mark, NONE, NONE),
    row(Role::PartFfn, "part.ffn", Paint::Mark, NONE, NONE),
    row(Role::KlBar, "kl.bar", Paint::Mark, NONE, NONE),
    row(Role::Warn, "warn", Paint::Ink, NONE, Modifier::BOLD),
    row(Role::Error, "error", Paint::Ink, NONE, Modifier::BOLD),
];
