//! The why station: who pushed the chosen token above its rival, and what is left when a part is switched off.
//!
//! Invariants: pushes are logits and add up to the difference, but for the closure error that is printed; a figure of
//! the `off` column is asked for, never worked out from the push.

mod card;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::own::{self, Row};
use crate::app::App;
use crate::inspect::trace::{Attribution, AttributionPart, Part};
use crate::theme::{Role, Theme};
use crate::ui::layout::INSPECTOR;

const CAPTION: &str = "Which parts pushed the chosen token above its rival: █ for it, ▒ against it. off: what it would \
                       get with that part off, read again.";

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = Rect { width: area.width.min(own::WIDEST), ..area };
    if area.height < 4 || area.width < 20 {
        return;
    }
    let caption = own::caption(app, theme, area, CAPTION);
    let seen = app.shown_inside();
    let Some(attribution) = seen.and_then(|seen| seen.trace.attribution.as_ref()) else {
        let subject = own::chose(app, theme, area.width);
        return own::empty(theme, area, &subject, &caption, &own::missing(app), buf);
    };
    let rival = own::name(app, theme, attribution.rival);
    let subject = format!("{} over {rival}", own::chose(app, theme, area.width));
    let closure = match own::live_price(app) {
        Some(price) => format!("closure ±{:.2}   {price}", attribution.closure_error),
        None => format!("closure ±{:.2}", attribution.closure_error),
    };
    own::subject(theme, area, &[(subject.as_str(), Role::Text)], &closure, buf);
    let mut at = 1 + own::stack(&caption, area, 1, buf);
    // The card needs its rows; the pushes take what is left.
    let card = if app.inspector.inside.off.is_empty() { 2 } else { card::ROWS.min(area.height / 2) };
    let room = area.height.saturating_sub(at + card);
    at += pushes(app, theme, attribution, Rect { y: area.y + at, height: room, ..area }, buf);
    at += own::stack(&in_words(app, theme, attribution, area.width), area, at, buf).min(2);
    let under = Rect { y: area.y + at, height: area.height.saturating_sub(at), ..area };
    card::draw(app, theme, under, buf);
}

/// The strongest pushes, what is left of the others, and their sum; gives the rows used.
fn pushes(app: &App, theme: &Theme, attribution: &Attribution, area: Rect, buf: &mut Buffer) -> u16 {
    if area.height < 4 {
        return 0;
    }
    let muted = theme.style(Role::Muted);
    let full = area.width >= INSPECTOR.0;
    let cells: u16 = if full { 24 } else { 12 };
    let (push, bar_at) = (18, 20);
    let (sum_end, off_end) = (bar_at + cells + 8, bar_at + cells + 14);
    let parts = app.ranked_parts();
    let fit = usize::from(area.height.saturating_sub(3)).min(parts.len());
    let row = app.inspector.inside.row.min(parts.len().saturating_sub(1));
    // What is selected is always among the shown ones.
    let first = (row + 1).saturating_sub(fit).min(parts.len() - fit);
    let shown = &parts[first..first + fit];
    let mut most = 0.0_f32;
    let mut least = 0.0_f32;
    let mut sum = 0.0;
    for part in shown {
        sum += part.logit_difference;
        most = most.max(sum);
        least = least.min(sum);
    }
    most = most.max(attribution.difference);
    least = least.min(attribution.difference);
    // The scale is the smallest of a fixed few that holds the sums.
    let scale =
        [4.0, 8.0, 16.0, 32.0, 64.0].into_iter().find(|scale| *scale >= most - least).unwrap_or(128.0);
    let cell = |value: f32| {
        (((value - least.min(0.0)) / scale) * f32::from(cells)).round().clamp(0.0, f32::from(cells))
    };
    Row::of(2, if app.inspector.inside.by_heads { "head" } else { "part" }, muted)
        .until(push, "push", muted)
        .and(bar_at, format!("scale {scale:.0} logits"), muted)
        .until(sum_end, "sum", muted)
        .until(off_end, "off %", muted)
        .draw(area, 0, buf);
    let selected = row - first;
    let mut running = 0.0;
    for (index, part) in shown.iter().enumerate() {
        let from = running;
        running += part.logit_difference;
        let (low, high) = (cell(from.min(running)) as u16, cell(from.max(running)) as u16);
        let (glyph, role) =
            if part.logit_difference >= 0.0 { ("█", Role::TokenChosen) } else { ("▒", Role::RivalBar) };
        let is_off = app.inspector.inside.off.contains(&part.part);
        let mark = if index == selected {
            "›"
        } else if is_off {
            "×"
        } else {
            " "
        };
        let off =
            off_share(app, part.part).map_or_else(|| "–".to_owned(), |share| format!("{:.1}", 100.0 * share));
        Row::of(0, mark, theme.style(Role::Strong))
            .and(2, short(part.part), theme.style(if is_off { Role::TokenCut } else { Role::Text }))
            .until(push, format!("{:+.2}", part.logit_difference).replace('-', "−"), theme.style(Role::Text))
            .and(bar_at + low, glyph.repeat(usize::from((high - low).max(1))), theme.style(role))
            .until(sum_end, format!("{running:+.2}").replace('-', "−"), muted)
            .until(off_end, off, theme.style(Role::Text))
            .draw(area, index as u16 + 1, buf);
    }
    let mut at = shown.len() as u16 + 1;
    let all = if app.inspector.inside.by_heads { &attribution.heads } else { &attribution.parts };
    let others = all.len() - shown.len();
    let rest: f32 = all.iter().map(|part| part.logit_difference).sum::<f32>() - running;
    Row::of(2, own::counted(others, "other"), muted)
        .until(push, format!("{rest:+.2}").replace('-', "−"), muted)
        .until(sum_end, format!("{:+.2}", running + rest).replace('-', "−"), muted)
        .draw(area, at, buf);
    at += 1;
    let blocks = if app.inspector.inside.by_heads { "  (with feed-forwards and embedding)" } else { "" };
    Row::of(2, "logits", theme.style(Role::Strong))
        .until(push, format!("{:+.2}", attribution.difference).replace('-', "−"), theme.style(Role::Strong))
        .and(bar_at, format!("= chosen − rival{blocks}"), muted)
        .draw(area, at, buf);
    at + 1
}

/// What the chosen token gets with that part alone off, at the pass's own position, where it has been asked.
fn off_share(app: &App, part: Part) -> Option<f32> {
    let at = app.shown_step()?.cursor();
    let inside = &app.inspector.inside;
    let pass = inside.passes.iter().rev().find(|pass| pass.at == at && pass.own == inside.own_pass)?;
    let (.., card) =
        pass.cards.iter().find(|(parts, everywhere, _)| parts.as_slice() == [part] && !everywhere)?;
    card.trace.followed.first().map(|chosen| chosen.logprob.exp())
}

/// The top movers in plain words, and the heads inside a selected attention part.
fn in_words(app: &App, theme: &Theme, attribution: &Attribution, width: u16) -> Vec<Row> {
    let chosen = own::name(app, theme, attribution.token);
    let parts = app.ranked_parts();
    let selected = app.selected_part();
    let words = if let Some(Part::Attention(layer)) = selected {
        let mut heads: Vec<&AttributionPart> = attribution
            .heads
            .iter()
            .filter(|part| matches!(part.part, Part::Head(of, _) if of == layer))
            .collect();
        heads.sort_by(|a, b| b.logit_difference.abs().total_cmp(&a.logit_difference.abs()));
        let named = heads.iter().take(3).map(|part| match part.part {
            Part::Head(_, head) => format!("head {head} {:+.2}", part.logit_difference).replace('-', "−"),
            other => other.to_string(),
        });
        format!("inside L{layer} attn: {}", named.collect::<Vec<_>>().join("   "))
    } else if let Some(first) = parts.first() {
        let does = if first.logit_difference >= 0.0 { "pushed up" } else { "held down" };
        format!("{chosen} was {does} most by {}", crate::app::part_name(first.part))
    } else {
        return Vec::new();
    };
    own::wrapped(&words, 2, width, theme.style(Role::Text)).into_iter().take(1).collect()
}

fn short(part: Part) -> String {
    match part {
        Part::Embedding => "embedding".into(),
        Part::Attention(layer) => format!("L{layer} attn"),
        Part::Head(layer, head) => format!("L{layer} head {head}"),
        Part::Ffn(layer) => format!("L{layer} ffn"),
        Part::Neuron(layer, neuron) => format!("L{layer} n{neuron}"),
        Part::Stream(layer) => format!("L{layer} stream"),
    }
}
