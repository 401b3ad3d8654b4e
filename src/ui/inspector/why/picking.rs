//! Choosing where a patch comes from, and the cards that were pinned.
//!
//! Invariant: the position that is chosen is always on the screen, marked by more than a colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Picking, Pin, change_words, part_name};
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::text;

/// Rows that choosing takes.
pub const ROWS: u16 = 6;

/// Draws the text with the chosen position, and the keys.
pub fn draw(app: &App, theme: &Theme, picking: &Picking, area: Rect, buf: &mut Buffer) {
    let source = &picking.source;
    let ids = app.display().source_text(source).unwrap_or_default();
    let at = (source.position as usize).min(ids.len().saturating_sub(1));
    let named = |index: usize| ids.get(index).map(|id| frame::name(app, theme, *id)).unwrap_or_default();
    let of = if source.text.is_empty() { "" } else { " of the other version" };
    let words = format!(
        "patch {}: what it gave at position {} {}{of}",
        part_name(picking.part),
        source.position,
        named(at)
    );
    let mut y = row::stack(&row::wrapped(&words, 1, area.width, theme.style(Role::Strong)), area, 0, buf);
    strip(theme, &named, (at, ids.len()), area, y, buf);
    y += 2;
    let keys = ["←→ position", "s its stream", "v other version", "p patch", "Esc leave"].map(String::from);
    row::stack(&row::packed(&keys, 1, area.width, theme.style(Role::Muted)), area, y, buf);
}

/// The tokens around the chosen one, as many as fit, the chosen one in brackets.
fn strip(
    theme: &Theme,
    named: &dyn Fn(usize) -> String,
    (at, count): (usize, usize),
    area: Rect,
    y: u16,
    buf: &mut Buffer,
) {
    let room = area.width.saturating_sub(2);
    let chosen = format!("[{}]", named(at));
    let (mut before, mut after) = (String::new(), String::new());
    let (mut first, mut last) = (at, at);
    let width = |before: &str, after: &str| text::width(before) + text::width(&chosen) + text::width(after);
    loop {
        let left = (first > 0).then(|| format!("{}{before}", named(first - 1)));
        let fits = left.filter(|left| width(left, &after) <= room);
        if let Some(left) = &fits {
            (before, first) = (left.clone(), first - 1);
        }
        let right = (last + 1 < count).then(|| format!("{after}{}", named(last + 1)));
        let right = right.filter(|right| width(&before, right) <= room);
        if let Some(right) = &right {
            (after, last) = (right.clone(), last + 1);
        }
        if fits.is_none() && right.is_none() {
            break;
        }
    }
    let middle = 1 + text::width(&before);
    Row::of(1, before, theme.style(Role::Text))
        .and(middle, chosen.clone(), theme.style(Role::Cursor))
        .and(middle + text::width(&chosen), after, theme.style(Role::Text))
        .draw(area, y, buf);
}

/// Draws the pinned cards, a row each, newest first; gives the rows used.
pub fn pins(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) -> u16 {
    let muted = theme.style(Role::Muted);
    let rows = app.inspector.why.pins.iter().rev().map(|pin| {
        let figures = figures(pin);
        let end = area.width.saturating_sub(1);
        let room = end.saturating_sub(text::width(&figures) + 5);
        let words = text::cut(&change_words(&pin.tried, area.width >= INSPECTOR.0), room);
        Row::of(1, "=", muted).and(3, words, theme.style(Role::Text)).until(end, figures, muted)
    });
    row::stack(&rows.collect::<Vec<_>>(), area, 0, buf)
}

/// `77.25→14.66  KL 1.17`: the chosen token's odds before and after.
fn figures(pin: &Pin) -> String {
    let trace = &pin.seen.trace;
    let share = |followed: &[crate::inspect::trace::Followed]| {
        followed.first().map_or_else(|| "?".to_owned(), |first| format!("{:.2}", 100.0 * first.logprob.exp()))
    };
    let before = trace.original.as_ref().map_or_else(|| "?".to_owned(), |(_, before)| share(before));
    let kl = trace.kl_from_original.map_or_else(String::new, |kl| format!("  KL {kl:.2}"));
    format!("{before}→{}{kl}", share(&trace.followed))
}
