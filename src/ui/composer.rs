//! The composer: the draft, wrapped and sanitised as the transcript is, under a rule with its token count.
//!
//! Invariant: the cursor's row is always in view. The area is the whole pane: the rule in its first row
//! (where it has more than one), `›` and the text below, one blank column at the right for the cursor.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_textarea::TextArea;

use crate::app::{App, Focus};
use crate::sanitize::cell_width;
use crate::theme::{Role, Theme};
use crate::ui::shade;
use crate::ui::text::{self, Lines};
use crate::ui::widgets::number;

/// Cells of the rule that are left to the draft's token count.
const COUNT: u16 = 12;
/// Columns before the text: blank, `›`, blank.
const INDENT: u16 = 3;

/// Rows that the composer wants in a pane of this width: the rule and the draft's, 2 to `most`.
pub fn height(app: &App, width: u16, most: u16) -> u16 {
    let rows = 1 + Draft::of(&app.composer.area, text_width(width)).lines.rows();
    u16::try_from(rows).unwrap_or(u16::MAX).min(most.max(2))
}

/// Draws rule and draft; gives back where the terminal's cursor belongs while the composer has the focus.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
    let area = area.intersection(buf.area);
    if area.width <= INDENT + 1 || area.height == 0 {
        return None;
    }
    let ruled = u16::from(area.height > 1);
    if ruled == 1 {
        rule(app, theme, area, buf);
    }
    let view = Rect::new(area.x, area.y + ruled, area.width, area.height - ruled);
    let focused = app.focus == Focus::Composer;
    let mark = if focused { Role::Strong } else { Role::Muted };
    text::put(buf, view.x + 1, view.y, theme.symbols.here, 1, theme.style(mark));
    let at = Rect { x: view.x + INDENT, width: view.width - INDENT - 1, ..view };
    let cursor = draw_text(&app.composer.area, theme, at, placeholder(app), buf);
    cursor.filter(|_| focused && app.overlays.is_empty())
}

/// Draws a text being edited, wrapped, its cursor's row in view; gives the cursor's cell, which may lie in the
/// column after the area.
pub fn draw_text(
    area: &TextArea<'_>,
    theme: &Theme,
    at: Rect,
    placeholder: &str,
    buf: &mut Buffer,
) -> Option<(u16, u16)> {
    if at.is_empty() {
        return None;
    }
    let draft = Draft::of(area, at.width);
    let (row, column) = draft.lines.place_of(draft.cursor);
    let top = top(row, draft.lines.rows(), usize::from(at.height));
    if draft.text_is_empty() {
        text::put(buf, at.x, at.y, placeholder, at.width, theme.style(Role::Muted));
    }
    for shown in 0..at.height {
        let style = |start: usize, end: usize| {
            let role = match () {
                () if draft.selected.start < end && draft.selected.end > start => Role::Select,
                () if draft.chips.iter().any(|chip| chip.start < end && chip.end > start) => {
                    Role::TokenSpecial
                }
                () => Role::Text,
            };
            theme.style(Role::Text).patch(theme.style(role))
        };
        draft.lines.draw_row(top + usize::from(shown), buf, at.x, at.y + shown, style);
    }
    Some((at.x + column, at.y + (row - top) as u16))
}

fn text_width(width: u16) -> u16 {
    width.saturating_sub(INDENT + 1).max(1)
}

/// The first row in view: the cursor's row in the middle where there are rows on both sides.
fn top(cursor: usize, rows: usize, height: usize) -> usize {
    cursor.saturating_sub(height / 2).min(rows.saturating_sub(height))
}

fn placeholder(app: &App) -> &'static str {
    let writing = app.talk.run.as_ref().is_some_and(|run| run.chat == app.talk.chat.head.id);
    match app.composer.editing {
        Some(_) => "edit the message; Esc leaves it as it was",
        None if writing => "ask anything; sent when this reply is done",
        None => "ask anything",
    }
}

fn rule(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let style = theme.style(Role::Rule);
    for x in area.left()..area.right() {
        text::put(buf, x, area.y, theme.symbols.rule, 1, style);
    }
    let muted = theme.style(Role::Muted);
    let mut taken = 1;
    if app.composer.editing.is_some() {
        taken += text::put(buf, area.x + 1, area.y, " editing a message ", area.width - 1, muted);
    }
    if let Some(chips) = chips(app) {
        let room = area.width.saturating_sub(taken + COUNT);
        taken += text::put(buf, area.x + taken, area.y, &chips, room, muted);
    }
    let room = area.width.saturating_sub(taken + COUNT);
    match app.ink_scale() {
        Some(scale) => shade::signed_legend(scale, theme, buf, (area.x + taken, area.y), room),
        None => shade::legend(app.transcript.colouring, theme, buf, area.x + taken, area.y, room),
    };
    let Some(tokens) = app.composer.tokens else { return };
    let label = format!(" {} ", number::counted(tokens, "token"));
    let width = cell_width(&label) as u16;
    if width < area.width {
        text::put(buf, area.right() - 1 - width, area.y, &label, width, muted);
    }
}

/// What the labels of the draft stand for, in tokens.
fn chips(app: &App) -> Option<String> {
    let said = |(name, tokens): &(&str, Option<usize>)| {
        let name = crate::sanitize::for_display(name);
        tokens.map_or_else(|| name.clone(), |tokens| format!("{name}: {}", number::counted(tokens, "token")))
    };
    let chips: Vec<String> = app.composer.chips().iter().map(said).collect();
    (!chips.is_empty()).then(|| format!(" {} ", chips.join(" · ")))
}

/// The draft laid out, with its cursor, selection and chips as bytes.
struct Draft {
    lines: Lines,
    cursor: usize,
    selected: Range<usize>,
    chips: Vec<Range<usize>>,
}

impl Draft {
    fn of(area: &TextArea, width: u16) -> Self {
        let rows = area.lines();
        let mut starts = Vec::with_capacity(rows.len());
        let mut text = String::new();
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            starts.push(text.len());
            text.push_str(row);
        }
        let byte = |(row, column): (usize, usize)| {
            let line = rows.get(row).map_or("", String::as_str);
            let within = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
            starts.get(row).copied().unwrap_or(text.len()) + within
        };
        let selected = area.selection_range().map_or(0..0, |(start, end)| byte(start)..byte(end));
        let chips = area
            .atomic_ranges()
            .iter()
            .map(|chip| byte((chip.row, chip.start_col))..byte((chip.row, chip.end_col)))
            .collect();
        Self { cursor: byte(area.cursor()), selected, chips, lines: Lines::of(text.as_bytes(), width) }
    }

    fn text_is_empty(&self) -> bool {
        self.lines.bytes() == 0
    }
}

#[cfg(test)]
mod tests {
    use tui_textarea::{AtomicRange, CursorMove};

    use super::*;
    use crate::chat::TurnId;
    use crate::ui::testing::{self, buffer, ink, rows, theme};

    fn with(text: &str) -> App {
        let mut app = testing::app();
        app.composer.area = TextArea::from(text.split('\n'));
        app.composer.area.move_cursor(CursorMove::Bottom);
        app.composer.area.move_cursor(CursorMove::End);
        app.composer.tokens = Some(12);
        app
    }

    fn drawn(app: &App, width: u16, height: u16, ascii: bool) -> (Vec<String>, Option<(u16, u16)>) {
        let mut buf = buffer(width, height);
        let cursor = draw(app, &theme(ascii), buf.area, &mut buf);
        (rows(&buf), cursor)
    }

    #[test]
    fn an_empty_draft_shows_what_it_is_for() {
        let mut app = testing::app();
        assert_eq!(drawn(&app, 30, 2, false).0, ["─────────────────── 0 tokens ─", " › ask anything"]);
        app.talk.run = Some(testing::run(app.talk.chat.head.id));
        assert_eq!(drawn(&app, 60, 2, false).0[1], " › ask anything; sent when this reply is done");
        app.composer.editing = Some(TurnId(1));
        let (shown, cursor) = drawn(&app, 60, 2, true);
        assert_eq!(shown[0], "- editing a message ----------------------------- 0 tokens -");
        assert_eq!(shown[1], " > edit the message; Esc leaves it as it was");
        assert_eq!(cursor, Some((3, 1)));
    }

    #[test]
    fn the_draft_wraps_and_the_cursor_follows() {
        let app = with("What is the capital\nof 日本?");
        let (shown, cursor) = drawn(&app, 16, 5, false);
        assert_eq!(shown, ["──── 12 tokens ─", " › What is the", "   capital", "   of 日本?", ""]);
        assert_eq!(cursor, Some((3 + 8, 3)));
        assert_eq!(height(&app, 16, 8), 4);
        assert_eq!(height(&app, 16, 3), 3);
        assert_eq!(height(&with(""), 16, 8), 2);
    }

    #[test]
    fn a_long_draft_is_scrolled_to_the_cursor() {
        let mut app = with("1\n2\n3\n4\n5\n6");
        assert_eq!(drawn(&app, 30, 4, false).0[1..], [" › 4", "   5", "   6"]);
        app.composer.area.move_cursor(CursorMove::Jump(0, 0));
        let (shown, cursor) = drawn(&app, 30, 4, false);
        assert_eq!((&shown[1..], cursor), (&[" › 1", "   2", "   3"].map(String::from)[..], Some((3, 1))));
    }

    #[test]
    fn what_is_typed_cannot_act_either() {
        let (shown, cursor) = drawn(&with("a\u{1B}[2J\u{202E}b"), 30, 2, false);
        assert_eq!(shown[1], " › a␛[2J⟨U+202E⟩b");
        assert_eq!(cursor, Some((3 + 14, 1)));
    }

    #[test]
    fn selection_and_chips_are_marked() {
        let mut app = with("see [pasted 120 lines] now");
        app.composer.area.set_atomic_ranges([AtomicRange { row: 0, start_col: 4, end_col: 22 }]);
        app.composer.area.start_selection();
        app.composer.area.move_cursor(CursorMove::Back);
        let mut buf = buffer(40, 2);
        draw(&app, &theme(false), buf.area, &mut buf);
        let ink_of = |x: u16| buf[(x, 1)].fg;
        assert_eq!(
            [ink_of(3), ink_of(7), ink_of(24), ink_of(28)],
            [ink(Role::Text), ink(Role::TokenSpecial), ink(Role::TokenSpecial), ink(Role::Select)]
        );
    }

    #[test]
    fn the_cursor_is_elsewhere_without_the_focus() {
        let mut app = with("draft");
        app.focus = Focus::Transcript;
        let mut buf = buffer(40, 2);
        assert_eq!(draw(&app, &theme(false), buf.area, &mut buf), None);
        assert_eq!(buf[(1, 1)].fg, ink(Role::Muted));
    }
}
