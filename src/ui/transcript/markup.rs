//! How Markdown looks in a theme, and how rows that are longer than the pane are shown in part.
//!
//! Invariant: without fills nothing is told by colour alone; code is bold in a line, and its blocks have a bar.

use ratatui::style::{Modifier, Style};

use crate::markdown::{Look, Tone};
use crate::theme::{Role, Theme};
use crate::ui::text::Body;

/// The style of a look on top of plain text.
pub(in crate::ui) fn style(theme: &Theme, plain: Style, look: Look) -> Style {
    let ink = |role| Style { fg: theme.style(role).fg, ..Style::new() };
    let style = match look.tone {
        Tone::Text | Tone::Code => plain,
        Tone::Heading => plain.patch(theme.style(Role::Strong)),
        Tone::Muted | Tone::Bullet | Tone::Label => plain.patch(theme.style(Role::Muted)),
        Tone::Line => plain.patch(theme.style(Role::Rule)),
        Tone::Link => plain.patch(theme.style(Role::Link)),
        Tone::Note => plain.patch(theme.style(Role::TokenChosen)),
        Tone::Caution => plain.patch(theme.style(Role::Warn)),
        Tone::Keyword => plain.patch(ink(Role::Link)),
        Tone::Quoted | Tone::Number => plain.patch(ink(Role::TokenRival)),
        Tone::Comment => plain.patch(ink(Role::Muted)).add_modifier(Modifier::ITALIC),
        Tone::Function => plain.patch(ink(Role::Strong)),
        Tone::Type => plain.patch(ink(Role::AttnStrong)),
    };
    let fill = Style { bg: theme.style(Role::Code).bg, ..Style::new() };
    let style = if look.is_code() { style.patch(fill) } else { style };
    let tells = look.has(Look::IN_LINE) || look.tone == Tone::Keyword;
    let bare_code = tells && !theme.has_fills();
    let faces = [
        (look.has(Look::STRONG) || bare_code, Modifier::BOLD),
        (look.has(Look::EMPHASIS), Modifier::ITALIC),
        (look.has(Look::STRUCK), Modifier::CROSSED_OUT),
        (look.has(Look::UNDERLINED), Modifier::UNDERLINED),
    ];
    faces.into_iter().filter(|(on, _)| *on).fold(style, |style, (_, face)| style.add_modifier(face))
}

/// Which cells of a row are in view, where it is longer than the pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The first.
    pub from: u16,
    /// How many.
    pub width: u16,
    /// Whether more follow.
    pub more: bool,
}

impl Part {
    /// `sideways` cells are passed over, but never the cells `wanted`.
    pub fn of(body: &Body, row: usize, width: u16, sideways: u16, wanted: Option<(u16, u16)>) -> Self {
        let whole = body.row_width(row);
        let mut from = sideways.min(whole.saturating_sub(width));
        if let Some((first, end)) = wanted {
            from = from.max(end.saturating_sub(width)).min(first).min(whole.saturating_sub(width));
        }
        Self { from, width, more: whole > from + width }
    }

    /// Where a glyph stands in the pane, if all of it does.
    pub fn place(self, column: u16, width: u16) -> Option<u16> {
        let at = column.checked_sub(self.from)?;
        (at + width <= self.width).then_some(at)
    }
}
