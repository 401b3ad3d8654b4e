//! The clock hands: for each distance where every hand stands, and the head's score there.
//!
//! Invariant: a hand is the nearest eighth of a turn; where there is no room for all, every second or fourth is
//! drawn, from the fastest on.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{SCORE, Shown};
use crate::inspect::rotation::DISTANCES;
use crate::theme::{Role, Symbols, Theme};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{Row, Signed};
use crate::ui::widgets::{number, text};

/// Hands at eighths of a turn, counted against the clock from three.
const HANDS: [&str; 8] = ["→", "↗", "↑", "↖", "←", "↙", "↓", "↘"];

/// Where the columns stand.
struct HandColumns {
    /// Every how many hands one is drawn, and cells of one.
    every: usize,
    each: u16,
    bars: u16,
    cells: u16,
}

/// Columns of the distance, its gap included.
const LEFT: u16 = 7;

impl HandColumns {
    fn of(width: u16, hands: usize, degrees: bool) -> Self {
        let cells = if width >= INSPECTOR.0 { 17 } else { 13 };
        let room = width.saturating_sub(LEFT + cells + 9).max(4);
        let each = match (degrees, width >= INSPECTOR.0) {
            (true, _) => 4,
            (false, true) => 2,
            (false, false) => 1,
        };
        let fit = usize::from(room / each).max(1);
        let every = hands.div_ceil(fit).next_power_of_two();
        let drawn = if hands == 0 { 0 } else { hands.div_ceil(every) };
        let bars = LEFT + drawn as u16 * each + 2;
        Self { every, each, bars, cells }
    }

    fn figure(&self) -> u16 {
        self.bars + self.cells + 6
    }
}

/// Draws heads, a row a distance, and what the mark means; gives the rows it took.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let frequencies = &shown.rotation.frequencies;
    let columns = HandColumns::of(area.width, frequencies.len(), shown.app.inspector.position.degrees);
    if area.height < 4 {
        return 0;
    }
    heads(shown, &columns, area, buf);
    let room = area.height - 3;
    let distances = distances(shown, usize::from(room));
    let scale = Signed { low: SCORE.0, high: SCORE.1, cells: columns.cells };
    let mut at = 2;
    for distance in distances {
        let real = distance == shown.distance();
        let selected = distance == shown.apart();
        let style = theme.style(if real || selected { Role::Strong } else { Role::Text });
        let mut row = Row::default().until(6, distance.to_string(), style);
        let hands = frequencies.iter().step_by(columns.every);
        for (frequency, place) in hands.zip(0..) {
            let eighth = eighth(*frequency, distance);
            let style = theme.style(if eighth == 0 { Role::Muted } else { Role::Text });
            let at = LEFT + place * columns.each;
            row = if shown.app.inspector.position.degrees {
                row.until(at + 3, whole_degrees(*frequency, distance), style)
            } else {
                row.and(at, hand(eighth, theme), style)
            };
        }
        if let Some(score) = shown.rotation.by_distance.get(distance as usize) {
            row = scale.row(row, columns.bars, *score, theme);
            row = row.until(columns.figure(), number::decimals(f64::from(*score), 1), style);
        }
        if real {
            row = row.and(columns.figure() + 1, "◂", style);
        }
        row.marked(selected, theme).draw(area, at, buf);
        at += 1;
    }
    let name = shown.token(shown.rotation.other);
    let more = if area.width >= INSPECTOR.0 { "; score: q·k scaled, before softmax" } else { "" };
    let words = if shown.distance() == shown.apart() {
        format!("◂ where {name} really is{more}")
    } else {
        told(shown, shown.apart())
    };
    let words = text::cut(&words, area.width.saturating_sub(2));
    Row::of(1, words, theme.style(Role::Muted)).draw(area, at, buf);
    at + 1
}

/// How many hands there are, the head, and tokens a whole turn.
fn heads(shown: &Shown<'_>, columns: &HandColumns, area: Rect, buf: &mut Buffer) {
    let theme = shown.theme;
    let (style, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let frequencies = &shown.rotation.frequencies;
    let all = frequencies.len();
    let thinned = if columns.every > 1 { format!(", 1 in {}", columns.every) } else { String::new() };
    let words = match (columns.each, are_arrows(theme)) {
        _ if all == 0 => String::new(),
        (1, true) => format!("{all} hands{thinned}"),
        (1, false) => format!("hand{thinned}, 0–7"),
        (4, _) => format!("{all} hands{thinned}, degrees"),
        (_, true) => format!("{all} hands{thinned}, fast to slow"),
        (_, false) => format!("{all} hands{thinned}, eighths 0–7"),
    };
    Row::of(1, "apart", style)
        .and(LEFT, text::cut(&words, columns.bars - LEFT - 1), style)
        .and(columns.bars, shown.head(), style)
        .draw(area, 0, buf);
    let mut row = Row::default();
    if all > 0 {
        row = row.and(1, "turn", muted);
    }
    let mut free = LEFT;
    for (frequency, place) in frequencies.iter().step_by(columns.every).zip(0..) {
        let turn = turn(*frequency);
        let at = LEFT + place * columns.each;
        let end = at + text::width(&turn);
        if at >= free && end < columns.bars {
            row = row.and(at, turn, muted);
            free = end + 3;
        }
    }
    row.and(columns.bars, "−24", muted).until(columns.bars + columns.cells, "8", muted).draw(area, 1, buf);
}

/// The distances that have a row: 0 and the real one among them, the others evenly thinned out.
fn distances(shown: &Shown<'_>, rows: usize) -> Vec<u32> {
    let known = shown.rotation.by_distance.len();
    let most = if known == 0 { u32::MAX } else { u32::try_from(known - 1).unwrap_or(u32::MAX) };
    let (real, selected) = (shown.distance(), shown.apart());
    let mut others: Vec<u32> = DISTANCES
        .into_iter()
        .filter(|distance| *distance <= most && *distance != real && *distance != selected)
        .collect();
    let keep = rows.saturating_sub(2);
    if others.len() > keep {
        let of = others.len();
        others = (0..keep).map(|at| others[at * of / keep.max(1)]).collect();
    }
    others.extend([real, selected]);
    others.sort_unstable();
    others.dedup();
    others
}

/// `24 apart: hand 22 turned 18 deg, score −16.8, −19.6 from where it is`
fn told(shown: &Shown<'_>, apart: u32) -> String {
    let pair = shown.pair();
    let frequency = shown.rotation.frequencies.get(pair).copied().unwrap_or(f32::NAN);
    let score =
        |distance: u32| shown.rotation.by_distance.get(distance as usize).copied().unwrap_or(f32::NAN);
    let more = f64::from(score(apart)) - f64::from(score(shown.distance()));
    let sign = if more > 0.0 { "+" } else { "" };
    let turned = whole_degrees(frequency, apart);
    let score = number::decimals(score(apart).into(), 1);
    format!(
        "{apart} apart: hand {pair} turned {turned} deg, score {score}, {sign}{} from where it is",
        number::decimals(more, 1)
    )
}

/// How far a hand has turned, whole turns left out.
fn whole_degrees(frequency: f32, distance: u32) -> String {
    let angle = (f64::from(frequency) * f64::from(distance)).to_degrees().rem_euclid(360.0);
    if angle.is_finite() { (angle.round() as u32 % 360).to_string() } else { "–".into() }
}

/// The nearest eighth of a turn, 0 to 7.
pub fn eighth(frequency: f32, distance: u32) -> usize {
    let turns = f64::from(frequency) * f64::from(distance) / std::f64::consts::TAU;
    let eighths = (turns * 8.0).round().rem_euclid(8.0);
    if eighths.is_finite() { eighths as usize % 8 } else { 0 }
}

/// A hand; a digit where slanting arrows are not safe to draw.
pub fn hand(eighth: usize, theme: &Theme) -> String {
    if are_arrows(theme) { HANDS[eighth % 8].into() } else { (eighth % 8).to_string() }
}

fn are_arrows(theme: &Theme) -> bool {
    theme.symbols.drawn == Symbols::FULL.drawn
}

/// Tokens of a whole turn: `6`, `8379`, `35k`.
pub fn turn(frequency: f32) -> String {
    let tokens = std::f64::consts::TAU / f64::from(frequency);
    match tokens {
        tokens if !tokens.is_finite() || tokens < 0.0 => "–".into(),
        tokens if tokens < 10_000.0 => format!("{tokens:.0}"),
        tokens if tokens < 1e6 => format!("{:.0}k", tokens / 1e3),
        tokens => format!("{:.0}M", tokens / 1e6),
    }
}
