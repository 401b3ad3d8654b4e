//! The position station: how far apart two tokens are, as the chosen head reads it.
//!
//! Invariants: hands depend on the model alone, scores on the pass and the head; the scale of a score is fixed;
//! what a model does not have is said, never drawn.

mod hands;
mod otherwise;
mod pairs;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{PositionKind, Rotation};
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row, Signed};
use crate::ui::widgets::{chart, number, text};

/// Lowest and highest score on the scale.
const SCORE: (f32, f32) = (-24.0, 8.0);

const TURNED: &str = "Position enters as clock hands: each pair of numbers in q and k is turned by the distance, \
                      some fast, some slow.";
const OTHERWISE: &str = "How this model knows which token came where.";

/// What is on display.
struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    seen: &'a Inspected,
    rotation: &'a Rotation,
    /// Everything the pass has read.
    ids: Vec<TokenId>,
}

impl<'a> Shown<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let seen = app.display().shown_inside()?.as_ref();
        let rotation = seen.trace.rotation.as_ref()?;
        Some(Self { app, theme, seen, rotation, ids: frame::read_ids(app) })
    }

    /// `#3 ␣France`
    fn token(&self, position: u32) -> String {
        let name = self.ids.get(position as usize).map(|id| frame::name(self.app, self.theme, *id));
        name.map_or_else(|| format!("#{position}"), |name| format!("#{position} {name}"))
    }

    /// Tokens between what reads and what is read.
    fn distance(&self) -> u32 {
        self.seen.trace.position.saturating_sub(self.rotation.other)
    }

    /// The distance that is selected: as chosen, else the real one.
    fn apart(&self) -> u32 {
        let known = u32::try_from(self.rotation.by_distance.len()).unwrap_or(u32::MAX).saturating_sub(1);
        self.app.inspector.position.apart.map_or(self.distance(), |apart| apart.min(known))
    }

    /// The pairs, those with the largest part first.
    fn strongest(&self) -> Vec<usize> {
        let pairs = &self.rotation.pairs;
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by(|a, b| pairs[*b].abs().total_cmp(&pairs[*a].abs()));
        order
    }

    /// The pair that is selected, by its frequency.
    fn pair(&self) -> usize {
        let order = self.strongest();
        let selected = self.app.inspector.position.pair.min(order.len().saturating_sub(1));
        order.get(selected).copied().unwrap_or_default()
    }

    fn head(&self) -> String {
        format!("L{} head {}", self.rotation.head.0, self.rotation.head.1)
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = Shown::of(app, theme);
    let turns =
        |shown: &Shown<'_>| matches!(shown.rotation.kind, PositionKind::RopeNormal | PositionKind::RopeNeox);
    let rotary = shown.as_ref().is_none_or(turns);
    let caption = if rotary { TURNED } else { OTHERWISE };
    let Some(frame) = Frame::of(app, theme, area, caption) else { return };
    let Some(shown) = shown else { return frame.empty_of_token("", " itself", &frame::missing(app), buf) };
    subject(&shown, frame.area, buf);
    let under = frame.under(buf);
    if rotary {
        turned(&shown, under, buf);
    } else {
        otherwise(&shown, under, buf);
    }
}

/// `#4 ␣is itself, reading #3 ␣France: 1 apart`
fn subject(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let full = area.width >= INSPECTOR.0;
    let this = shown.token(shown.seen.trace.position);
    let other = shown.token(shown.rotation.other);
    let room = (area.width.saturating_sub(if full { 40 } else { 24 }) / 2).max(6);
    let (this, other) = (text::cut(&this, room), text::cut(&other, room));
    let apart = format!(": {} apart", shown.distance());
    let words = if full { " itself, reading " } else { " reads " };
    let pieces = [
        (this.as_str(), Role::TokenChosen),
        (words, Role::Text),
        (other.as_str(), Role::Text),
        (apart.as_str(), Role::Text),
    ];
    let price = frame::live_price(shown.app)
        .unwrap_or_else(|| format!("q and k as recorded {:.0} ms", shown.seen.ms));
    frame::subject(shown.theme, area, &pieces, &price, buf);
}

/// Rotary models: hands and score by distance, then what each pair gives.
fn turned(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let facts = model(shown, area.width);
    let figures = figures(shown, area.width);
    // The figures, and the row that says what the model is.
    let fixed = figures.len() as u16 + 1;
    let roomy = area.height >= fixed + facts.len() as u16 + 18;
    let pairs = match area.height.saturating_sub(fixed) {
        0..=9 => 0,
        10..=16 => 3,
        rest => (rest / 3).min(9),
    };
    let strip = if roomy { 3 } else { 0 };
    let said = if roomy { facts.len() } else { 1 };
    let rows = area.height.saturating_sub(fixed + pairs + strip + said as u16 - 1);
    let mut at = hands::draw(shown, Rect { height: rows, ..area }, buf);
    if strip > 0 {
        by_distance(shown, area, at, buf);
        at += strip;
    }
    at += row::stack(&figures, area, at, buf);
    at += pairs::draw(shown, Rect { height: area.height.min(at + pairs), ..area }, at, buf);
    row::stack(&facts[..said], area, at, buf);
}

/// Models whose positions enter otherwise, or not at all.
fn otherwise(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let at = otherwise::draw(shown, area, buf) + 1;
    if !shown.rotation.by_distance.is_empty() {
        let room = Rect { y: area.y + at, height: area.height.saturating_sub(at + 4), ..area };
        let at = at + hands::draw(shown, room, buf);
        by_distance(shown, area, at, buf);
    }
}

/// The score at each distance, a column a token.
fn by_distance(shown: &Shown<'_>, area: Rect, at: u16, buf: &mut Buffer) {
    let theme = shown.theme;
    let scores = &shown.rotation.by_distance;
    let fits = scores.len().min(usize::from(area.width.saturating_sub(2)));
    if fits == 0 || area.height < at + 2 {
        return;
    }
    let words = format!("score at distance 0 to {}, −24 to 8", fits - 1);
    Row::of(1, words, theme.style(Role::Muted)).draw(area, at, buf);
    let room = Rect { x: area.x + 1, y: area.y + at + 1, width: area.width - 2, height: 1 };
    let above = scores[..fits].iter().map(|score| (score - SCORE.0).max(0.0));
    chart::draw(buf, room, above, SCORE.1 - SCORE.0, &theme.symbols.column, theme.style(Role::ProbBar));
}

/// The score with and without the turning, and what distance makes of it.
fn figures(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let rotation = shown.rotation;
    let theme = shown.theme;
    let (text, muted) = (theme.style(Role::Text), theme.style(Role::Muted));
    let cells = if width >= INSPECTOR.0 { 24 } else { 13 };
    let scale = Signed { low: SCORE.0, high: SCORE.1, cells };
    let sum = |parts: &[f32]| if parts.is_empty() { f32::NAN } else { parts.iter().sum::<f32>() };
    let line = |label: String, value: f32| {
        let row = Row::of(1, label, text).until(31, number::decimals(value.into(), 2), text);
        scale.row(row, 32, value, theme)
    };
    let mut rows = vec![
        line(format!("score, {} apart", shown.distance()), sum(&rotation.pairs)),
        line("without turning".into(), sum(&rotation.unrotated)),
    ];
    let best = rotation.by_distance.iter().enumerate().filter(|(_, score)| score.is_finite());
    if let Some((at, best)) = best.max_by(|a, b| a.1.total_cmp(b.1)) {
        let after = rotation.by_distance[at..].iter().position(|score| *score < best - 1.0);
        let after = after.map_or_else(String::new, |after| format!("; one less {after} further on"));
        let row = Row::of(1, format!("best distance {at}{after}"), text);
        let scale = "scale −24…8";
        rows.push(if width >= INSPECTOR.0 { row.and(46, scale, muted) } else { row });
    }
    rows
}

/// Base, scaling, and how slow the slowest hand is.
fn model(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let rotation = shown.rotation;
    let layout = match rotation.kind {
        PositionKind::RopeNormal => "Neighbouring numbers form a pair",
        _ => "A number and the one half a head away form a pair",
    };
    let scaling = if (rotation.scale - 1.0).abs() < 1e-6 || rotation.scale <= 0.0 {
        "no scaling".to_owned()
    } else {
        format!("positions scaled by {}", number::decimals(rotation.scale.into(), 3))
    };
    let base = number::grouped(rotation.base.max(0.0).round() as u64);
    let muted = shown.theme.style(Role::Muted);
    let hands = rotation.frequencies.len();
    let mut rows = vec![Row::of(1, format!("rotary, base {base}, {scaling}, {hands} hands"), muted)];
    if let Some(yarn) = rotation.yarn {
        let stretch = number::decimals(yarn.magnitude(rotation.scale).into(), 3);
        let trained = number::grouped(yarn.trained.into());
        let words = format!(
            "YaRN: trained on {trained} tokens; hands that turn more than {} times in them keep their angles, those \
             that turn less than {} are scaled; q and k are stretched by {stretch}.",
            number::decimals(yarn.fast.into(), 0),
            number::decimals(yarn.slow.into(), 0),
        );
        rows.extend(row::wrapped(&words, 1, width, muted));
    }
    let slowest = rotation.frequencies.last().filter(|slowest| **slowest > 0.0);
    let slowest = slowest.map_or_else(String::new, |slowest| {
        format!("The slowest hand turns once in {} tokens. ", hands::turn(*slowest))
    });
    let words = format!("{slowest}{layout}. Only q and k are turned; what is passed on is not.");
    rows.extend(row::wrapped(&words, 1, width, muted));
    rows
}
