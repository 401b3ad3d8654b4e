//! The list of neurons, and the selected one in full.
//!
//! Invariant: a neuron's row keeps its columns whatever its tokens are: as many whole names as fit, and a single one
//! that does not is cut with `…`. Many promote scraps: they are shown as they are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, signed};
use crate::inspect::feed_forward::NeuronOrder;
use crate::inspect::trace::Neuron;
use crate::theme::Role;
use crate::token::TokenId;
use crate::ui::inspector::own::{self, Row};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::{bar, number, text};

/// Columns from which on what a neuron writes away from has a column.
const AWAY: u16 = 76;

/// Where the columns stand; 0 is one that has no room.
struct Columns {
    /// Columns before which number, activation, length and push end.
    index: u16,
    fires: u16,
    write: u16,
    bar: (u16, u16),
    push: u16,
    /// The tokens: those promoted, then those suppressed.
    toward: u16,
    away: u16,
}

impl Columns {
    fn of(width: u16, mixture: bool) -> Self {
        let index = if mixture { 11 } else { 7 };
        let full = width + 1 >= INSPECTOR.0;
        let fires = if full { index + 7 } else { 0 };
        let write = fires.max(index) + 7;
        let bar = if full { (write + 1, if width >= AWAY { 10 } else { 8 }) } else { (0, 0) };
        let push = if full { bar.0 + bar.1 + 6 } else { write + 7 };
        let toward = push + 2;
        let away = if width >= AWAY { toward + width.saturating_sub(toward) * 11 / 20 } else { 0 };
        Self { index, fires, write, bar, push, toward, away }
    }
}

/// Draws heads and the neurons that fit, the selected one among them; gives the rows it took.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let muted = theme.style(Role::Muted);
    let mixture = shown.ffn.neurons.iter().any(|neuron| neuron.expert.is_some());
    let columns = Columns::of(area.width, mixture);
    let sorted = |order| if shown.ffn.order == order { theme.style(Role::Strong) } else { muted };
    let mut head = Row::default()
        .until(columns.index, "neuron", muted)
        .until(columns.write, "write", sorted(NeuronOrder::Write))
        .until(columns.push, "push", sorted(NeuronOrder::Push))
        .and(columns.toward, "writes toward", muted);
    if columns.fires > 0 {
        head = head
            .until(columns.fires, "fires", sorted(NeuronOrder::Activation))
            .and(columns.bar.0, "0", muted)
            .until(columns.bar.0 + columns.bar.1, format!("{:.0}", shown.neuron_scale()), muted);
    }
    if columns.away > 0 {
        head = head.and(columns.away, "and away from", muted);
    }
    head.draw(area, 0, buf);
    let rest = shown.ffn.rest.filter(|(count, ..)| *count > 0 && area.height > 6);
    let room = usize::from(area.height.saturating_sub(1 + u16::from(rest.is_some())));
    let first = (shown.selected() + 1).saturating_sub(room);
    let listed = shown.ffn.neurons.iter().enumerate().skip(first).take(room);
    let mut at = 1;
    for (index, neuron) in listed {
        row(shown, &columns, neuron, index == shown.selected(), area.width).draw(area, at, buf);
        at += 1;
    }
    if let Some((count, write, push)) = rest {
        let style = muted;
        let row = Row::default()
            .until(columns.index, number::grouped(count.into()), style)
            .until(columns.write, number::decimals(write.into(), 1), style)
            .and_push(columns.push, push, theme)
            .and(columns.toward, "taken together", style);
        let row = if columns.fires > 0 { row.until(columns.fires, "more", style) } else { row };
        written(row, &columns, write, shown).draw(area, at, buf);
        at += 1;
    }
    at
}

/// With the bar of a length.
fn written(row: Row, columns: &Columns, write: f32, shown: &Shown<'_>) -> Row {
    let theme = shown.theme;
    if columns.bar.1 == 0 {
        return row;
    }
    let scale = shown.neuron_scale();
    let glyphs = bar::glyphs(f64::from(write / scale), columns.bar.1, &theme.symbols.bar);
    let row = row.and(columns.bar.0, glyphs, theme.style(Role::PartFfn));
    if write > scale {
        row.and(columns.bar.0 + columns.bar.1 - 1, "▸", theme.style(Role::PartFfn))
    } else {
        row
    }
}

fn row(shown: &Shown<'_>, columns: &Columns, neuron: &Neuron, here: bool, width: u16) -> Row {
    let theme = shown.theme;
    let style = theme.style(if here { Role::Strong } else { Role::Text });
    let mut row = Row::default()
        .until(columns.index, numbered(neuron), style)
        .until(columns.write, number::decimals(neuron.added.into(), 1), style)
        .and_push(columns.push, neuron.push, theme);
    if columns.fires > 0 {
        row = row.until(columns.fires, number::decimals(neuron.activation.into(), 1), style);
    }
    row = written(row, columns, neuron.added, shown);
    if here {
        let active = shown.app.inspector.ffn.on_neurons || shown.seen.ffn_layers.is_empty();
        row = row.and(0, if active { theme.symbols.here } else { theme.symbols.other }, style);
    }
    let names = |tokens: &[(TokenId, f32)], room: u16| {
        let mut words = String::new();
        for (id, _) in tokens {
            let next = if words.is_empty() { String::new() } else { format!("{words} ") } + &shown.name(*id);
            if !words.is_empty() && text::width(&next) > room {
                break;
            }
            words = next;
        }
        text::cut(&words, room)
    };
    let end = if columns.away > 0 { columns.away } else { width };
    if !shown.ffn.words {
        return row.and(columns.toward, "…", theme.style(Role::Muted));
    }
    row = row.and(columns.toward, names(&neuron.promotes, end.saturating_sub(columns.toward + 1)), style);
    if columns.away == 0 {
        return row;
    }
    let words = names(&neuron.suppresses, width.saturating_sub(columns.away + 1));
    row.and(columns.away, words, theme.style(Role::Muted))
}

/// `1005`, and in a mixture `e3 1005`.
fn numbered(neuron: &Neuron) -> String {
    match neuron.expert {
        Some(expert) => format!("e{expert} {}", neuron.index),
        None => neuron.index.to_string(),
    }
}

/// The selected neuron: what it adds, and how much each token gains or loses by it.
pub fn detail(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let Some(neuron) = shown.ffn.neurons.get(shown.selected()) else { return Vec::new() };
    let theme = shown.theme;
    let expert = neuron.expert.map_or_else(String::new, |expert| format!(", expert {expert}"));
    let mut words = format!(
        "neuron {} of L{}{expert}: fires {}, its write is {} long, the layer's {}",
        neuron.index,
        shown.ffn.layer,
        number::decimals(neuron.activation.into(), 2),
        number::decimals(neuron.added.into(), 1),
        number::decimals(shown.ffn.write.into(), 1),
    );
    if let Some((push, (chosen, rival))) = neuron.push.zip(shown.pair()) {
        let whole = shown
            .ffn
            .push
            .map_or_else(String::new, |push| format!("; the layer as a whole by {}", signed(push)));
        let push = signed(push);
        words = format!("{words}; pushes {chosen} over {rival} by {push}{whole}");
    }
    let mut rows = own::wrapped(&words, 1, width, theme.style(Role::Text));
    let lists = [
        ("toward", &neuron.promotes, Role::TokenChosen),
        ("away from", &neuron.suppresses, Role::TokenRival),
    ];
    for (label, tokens, role) in lists {
        if tokens.is_empty() {
            continue;
        }
        rows.push(Row::of(1, label, theme.style(Role::Muted)));
        let gain = |(id, by): &(TokenId, f32)| {
            let sign = if *by > 0.0 { "+" } else { "" };
            let name = text::cut(&shown.name(*id), width.saturating_sub(14));
            format!("{name} {sign}{}", number::decimals((*by).into(), 2))
        };
        let texts: Vec<String> = tokens.iter().map(gain).collect();
        rows.extend(own::packed(&texts, 3, width, theme.style(role)));
    }
    rows
}

/// What the columns mean.
pub fn legend(shown: &Shown<'_>, width: u16) -> Vec<Row> {
    let push = shown.pair().map_or_else(
        || "push: not known without a rival".to_owned(),
        |(chosen, rival)| format!("push: logits, {chosen} over {rival}"),
    );
    let texts = [
        "fires: activation".to_owned(),
        "write: length of what is added".to_owned(),
        "half: neurons that make half of it".to_owned(),
        push,
    ];
    own::packed(&texts, 1, width, shown.theme.style(Role::Muted))
}
