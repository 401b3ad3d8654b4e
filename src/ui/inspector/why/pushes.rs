//! The pushes of the why station: the strongest parts, floating on their running sum, and what the others add.
//!
//! Invariant: the scale is 16 logits, moved or doubled by whole steps until every running sum lies on it, so that a bar
//! always shows where it begins and ends.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::short;
use crate::app::{App, Unit};
use crate::inspect::trace::Attribution;
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::{number, text};

/// Logits that the bars span, if that is enough.
const SCALE: f32 = 16.0;
/// The widest scale; what lies beyond it is marked.
const WIDEST: f32 = 16.0 * SCALE;
/// Column before which the pushes end.
const PUSH: u16 = 18;
/// Column of the bars.
const BAR: u16 = 20;

/// The logits at both ends of the bars.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    from: f32,
    span: f32,
}

impl Scale {
    /// The smallest that holds 0 and these sums; it begins at a whole quarter.
    fn of(sums: impl Iterator<Item = f32>) -> Self {
        let (low, high) = sums.fold((0.0_f32, 0.0_f32), |(low, high), sum| (low.min(sum), high.max(sum)));
        let mut scale = Self { from: 0.0, span: SCALE };
        loop {
            let step = scale.span / 4.0;
            // A hair below 0 is not worth a quarter.
            scale.from = if low < -step / 16.0 { step * (low / step).floor() } else { 0.0 };
            if scale.from + scale.span >= high || scale.span >= WIDEST {
                return scale;
            }
            scale.span *= 2.0;
        }
    }

    /// What stands above the bars: at quarters where there is room, else at the ends and at 0, or in the middle.
    fn labels(self, cells: u16) -> Vec<f32> {
        let at = |quarter: f32| self.from + self.span * quarter / 4.0;
        match cells {
            30.. => vec![at(0.0), at(1.0), at(2.0), at(3.0), at(4.0)],
            _ if self.from < 0.0 => vec![at(0.0), 0.0, at(4.0)],
            _ => vec![at(0.0), at(2.0), at(4.0)],
        }
    }
}

/// Where the columns stand.
struct PushColumns {
    scale: Scale,
    cells: u16,
    sum: u16,
    off: u16,
}

impl PushColumns {
    fn of(width: u16, scale: Scale) -> Self {
        if width >= INSPECTOR.0 {
            Self { scale, cells: 30, sum: BAR + 38, off: BAR + 46 }
        } else {
            Self { scale, cells: 12, sum: BAR + 19, off: BAR + 25 }
        }
    }

    /// The cell that a sum ends at.
    fn cell(&self, sum: f32) -> u16 {
        let share = (sum - self.scale.from) / self.scale.span;
        (share * f32::from(self.cells)).round().clamp(0.0, f32::from(self.cells)) as u16
    }

    fn heads(&self, app: &App, theme: &Theme) -> Row {
        let muted = theme.style(Role::Muted);
        let unit = match app.inspector.why.unit {
            Unit::Blocks => "part",
            Unit::Heads => "head",
            Unit::Neurons => "neuron",
        };
        let mut row = Row::of(2, unit, muted).until(PUSH, "push", muted);
        let labels = self.scale.labels(self.cells);
        for (index, logits) in labels.iter().enumerate() {
            let words = format!("{logits:.0}").replace('-', "−");
            let at = BAR + self.cell(*logits);
            row = match index {
                0 => row.and(at, words, muted),
                _ if index + 1 == labels.len() => row.until(at, words, muted),
                // Below its first digit.
                _ => row.and(at.saturating_sub(text::width(&words) - 1), words, muted),
            };
        }
        row.until(self.sum, "sum", muted).until(self.off, "off %", muted)
    }

    /// A bar from one sum to the next.
    fn bar(&self, row: Row, theme: &Theme, from: f32, to: f32) -> Row {
        let (glyph, role) = if to >= from { ("█", Role::TokenChosen) } else { ("▒", Role::RivalBar) };
        let style = theme.style(role);
        let (low, high) = (self.cell(from.min(to)), self.cell(from.max(to)));
        let length = (high - low).max(1);
        let low = low.min(self.cells - 1);
        let mut row = row.and(BAR + low, glyph.repeat(usize::from(length.min(self.cells - low))), style);
        if from.max(to) > self.scale.from + self.scale.span {
            row = row.and(BAR + self.cells - 1, "▸", style);
        }
        if from.min(to) < self.scale.from - self.scale.span / 2.0 / f32::from(self.cells) {
            row = row.and(BAR, "◂", style);
        }
        row
    }
}

/// Draws them; gives the rows used.
pub fn draw(app: &App, theme: &Theme, attribution: &Attribution, area: Rect, buf: &mut Buffer) -> u16 {
    if area.height < 4 {
        return 0;
    }
    let muted = theme.style(Role::Muted);
    let inside = &app.inspector.inside;
    let parts = app.display().ranked_parts();
    let fit = usize::from(area.height.saturating_sub(3)).min(parts.len());
    let row = inside.row.min(parts.len().saturating_sub(1));
    // What is selected is always among the shown ones.
    let first = (row + 1).saturating_sub(fit).min(parts.len() - fit);
    let shown = &parts[first..first + fit];
    let sums = shown.iter().scan(0.0, |sum, part| {
        *sum += part.logit_difference;
        Some(*sum)
    });
    let scale = Scale::of(sums.chain([attribution.difference]));
    let columns = PushColumns::of(area.width, scale);
    columns.heads(app, theme).draw(area, 0, buf);
    let mut running = 0.0;
    for (index, part) in shown.iter().enumerate() {
        let from = running;
        running += part.logit_difference;
        let is_off = app.inspector.why.tried.off.contains(&part.part);
        let mark =
            match (first + index == row, is_off, app.inspector.why.tried.patches.contains_key(&part.part)) {
                (true, ..) => theme.symbols.here,
                (_, true, _) => theme.symbols.cut,
                (.., true) => "p",
                _ => " ",
            };
        let off = app.display().off_logprob(part.part).map(|logprob| format!("{:.1}", 100.0 * logprob.exp()));
        let line = Row::of(0, mark, theme.style(Role::Strong))
            .and(2, short(part.part), theme.style(if is_off { Role::TokenCut } else { Role::Text }))
            .until(PUSH, signed(part.logit_difference), theme.style(Role::Text));
        columns
            .bar(line, theme, from, running)
            .until(columns.sum, signed(running), muted)
            .until(columns.off, off.unwrap_or_else(|| "–".to_owned()), theme.style(Role::Text))
            .draw(area, index as u16 + 1, buf);
    }
    let under = Rect { y: area.y + 1 + fit as u16, height: area.height - 1 - fit as u16, ..area };
    1 + fit as u16 + rest(app, theme, attribution, &columns, (fit, running), under, buf)
}

/// What the others add, and the difference that all add up to.
fn rest(
    app: &App,
    theme: &Theme,
    attribution: &Attribution,
    columns: &PushColumns,
    (shown, running): (usize, f32),
    area: Rect,
    buf: &mut Buffer,
) -> u16 {
    let muted = theme.style(Role::Muted);
    let unit = app.inspector.why.unit;
    let others = match unit {
        Unit::Blocks => number::counted(attribution.parts.len().saturating_sub(shown), "other"),
        Unit::Heads => number::counted(attribution.heads.len().saturating_sub(shown), "other"),
        Unit::Neurons => "all else".to_owned(),
    };
    // Heads alone do not add up to the difference; everything else is in the row of the others.
    let rest = attribution.difference - running;
    let line = Row::of(2, others, muted).until(PUSH, signed(rest), muted);
    columns
        .bar(line, theme, running, attribution.difference)
        .until(columns.sum, signed(attribution.difference), muted)
        .until(columns.off, "–", muted)
        .draw(area, 0, buf);
    let strong = theme.style(Role::Strong);
    let rival = frame::name(app, theme, attribution.rival);
    let chosen = frame::name(app, theme, attribution.token);
    let line = Row::of(2, "sum", strong).until(PUSH, signed(attribution.difference), strong);
    let bar = columns.bar(line, theme, 0.0, attribution.difference);
    let after = BAR + columns.cell(attribution.difference).max(1) + 1;
    let words = format!("= logit {chosen} − logit {rival}");
    let words = match unit {
        Unit::Heads => [format!("{words}, blocks' feed-forwards in others"), words],
        _ => [words.clone(), words],
    };
    // What is cut off says nothing that the subject does not.
    let fitting = words.into_iter().find(|words| after + text::width(words) < area.width);
    match fitting {
        Some(words) => bar.and(after, words, muted),
        None => bar,
    }
    .draw(area, 1, buf);
    2
}

/// `+4.17`, `−2.26`.
pub fn signed(value: f32) -> String {
    format!("{value:+.2}").replace('-', "−")
}
