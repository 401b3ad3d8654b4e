//! The why station: who pushed the chosen token above its rival, and what is left when a part is switched off.
//!
//! Invariants: pushes are logits and add up to the difference, but for the closure error that is printed; a figure of
//! the `off` column is asked for, never worked out from the push.

mod card;
mod picking;
mod pushes;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::inspect::trace::{Attribution, AttributionPart, Component};
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::text;

/// Logits that the rounding of quantised products explains: twice the largest error of the default models.
const CLOSES: f32 = 0.25;

const CAPTION: &str = "Which parts pushed the chosen token above its rival: █ for, ▒ against. off: its share with that \
                       part off, read again.";

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some(frame) = Frame::of(app, theme, area, CAPTION) else { return };
    let area = frame.area;
    let seen = app.display().shown_inside();
    let Some(attribution) = seen.and_then(|seen| seen.trace.attribution.as_ref()) else {
        return frame.empty(&frame::chose(app, theme, area.width), &frame::missing(app), buf);
    };
    let rival = frame::name(app, theme, attribution.rival);
    let subject = format!("{} over {rival}", frame::chose(app, theme, area.width));
    frame::subject(theme, area, &[(subject.as_str(), Role::Text)], "", buf);
    let price = frame::read_otherwise(app)
        .or_else(|| frame::live_price(app))
        .or_else(|| seen.map(|seen| format!("{:.0} ms", seen.ms)));
    let (_, rest) = text::split(area, text::width(&subject) + 3);
    let price = price.filter(|_| area.width >= INSPECTOR.0).unwrap_or_default();
    closure(theme, attribution, &price, rest, buf);
    let under = frame.close_under(buf);
    // The card needs its rows; the pushes take what is left.
    let card = match &app.inspector.why.picking {
        Some(_) => picking::ROWS,
        None if app.inspector.why.tried.is_empty() => 2,
        None => card::ROWS.min(area.height / 2),
    };
    let pinned = (app.inspector.why.pins.len() as u16).min(area.height / 6);
    let room = under.height.saturating_sub(card + pinned);
    let under =
        text::below(under, pushes::draw(app, theme, attribution, Rect { height: room, ..under }, buf));
    let words = in_words(app, theme, attribution, area.width);
    let under = text::below(under, row::stack(&words, under, 0, buf));
    let pins = Rect { height: pinned.min(under.height), ..under };
    let under = text::below(under, picking::pins(app, theme, pins, buf));
    match &app.inspector.why.picking {
        Some(picking) => picking::draw(app, theme, picking, under, buf),
        None => card::draw(app, theme, under, buf),
    }
}

/// The closure error and, where it fits, the price, at the right end of the subject; a warning above what rounding explains.
fn closure(theme: &Theme, attribution: &Attribution, price: &str, area: Rect, buf: &mut Buffer) {
    let error = attribution.closure_error;
    let open = error > CLOSES;
    let closes = format!("{}missing {error:.2}", if open { "! " } else { "" });
    let whole = format!("{closes}   {price}");
    let row = text::row(area, 0, 0);
    let words = if price.is_empty() || text::width(&whole) >= row.width { closes } else { whole };
    let until = Rect { width: row.width.saturating_sub(1), ..row };
    text::put_right(buf, until, &words, theme.style(if open { Role::Warn } else { Role::Muted }));
}

/// The top movers in plain words, and the heads inside a selected attention part.
fn in_words(app: &App, theme: &Theme, attribution: &Attribution, width: u16) -> Vec<Row> {
    let chosen = frame::name(app, theme, attribution.token);
    let parts = app.display().ranked_parts();
    let selected = app.display().selected_part();
    let words = if let Some(Component::Attention(layer)) = selected {
        let mut heads: Vec<&AttributionPart> = attribution
            .heads
            .iter()
            .filter(|part| matches!(part.part, Component::Head(of, _) if of == layer))
            .collect();
        heads.sort_by(|a, b| b.logit_difference.abs().total_cmp(&a.logit_difference.abs()));
        let named = heads.iter().take(3).map(|part| match part.part {
            Component::Head(_, head) => format!("{head} {}", pushes::signed(part.logit_difference)),
            other => other.to_string(),
        });
        let room = width.saturating_sub(3);
        named.fold(format!("L{layer} attn by head:"), |line, head| {
            let longer =
                if line.ends_with(':') { format!("{line} {head}") } else { format!("{line}   {head}") };
            if text::width(&longer) <= room { longer } else { line }
        })
    } else {
        movers(&chosen, &parts, width.saturating_sub(3))
    };
    row::wrapped(&words, 2, width, theme.style(Role::Text)).into_iter().take(1).collect()
}

/// Who pushed the token up most, and who held it down; in few words where there are few columns.
fn movers(chosen: &str, parts: &[AttributionPart], width: u16) -> String {
    let named = |part: Option<&AttributionPart>| {
        part.map(|part| format!("{} ({})", short(part.part), pushes::signed(part.logit_difference)))
    };
    let up = named(parts.iter().find(|part| part.logit_difference > 0.0));
    let down = named(parts.iter().find(|part| part.logit_difference < 0.0));
    match (up, down) {
        (Some(up), Some(down)) => {
            let whole = format!("{chosen} was pushed up most by {up} and held down by {down}");
            let few = format!("pushed up most by {up}, down by {down}");
            let less = format!("up most: {up}   down most: {down}");
            let fits = |words: &String| text::width(words) <= width;
            let fewest = || format!("{up} up, {down} down");
            [whole, few, less].into_iter().find(fits).unwrap_or_else(fewest)
        }
        (Some(up), None) => format!("{chosen} was pushed up most by {up}"),
        (None, Some(down)) => format!("{chosen} was held down most by {down}"),
        (None, None) => String::new(),
    }
}

fn short(part: Component) -> String {
    match part {
        Component::Embedding => "embedding".into(),
        Component::Attention(layer) => format!("L{layer} attn"),
        Component::Head(layer, head) => format!("L{layer} head {head}"),
        Component::Ffn(layer) => format!("L{layer} ffn"),
        Component::Neuron(layer, neuron) => format!("L{layer} n{neuron}"),
        Component::Stream(layer) => format!("L{layer} stream"),
        Component::AttentionBias(layer) => format!("L{layer} bias"),
        Component::NormBias => "norm bias".into(),
        Component::OutputBias => "output bias".into(),
    }
}
