//! The list of neurons, and the selected one in full.
//!
//! Invariant: a neuron's row keeps its columns whatever its tokens are: as many whole names as fit, and a single one
//! that does not is cut with `…`. Many promote scraps: they are shown as they are.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, layers, signed};
use crate::inspect::feed_forward::NeuronOrder;
use crate::inspect::trace::Neuron;
use crate::theme::Role;
use crate::token::TokenId;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text};

/// Columns from which on what a neuron writes away from has a column.
const AWAY: u16 = 76;

/// The table: number, activation, length with its bar, push, the tokens promoted, those suppressed.
fn table<'a>(shown: &Shown<'a>, width: u16) -> Table<'a, 7> {
    let theme = shown.theme;
    let sorted = |order| theme.style(if shown.ffn.order == order { Role::Strong } else { Role::Muted });
    let mixture = shown.ffn.neurons.iter().any(|neuron| neuron.expert.is_some());
    let full = width + 1 >= INSPECTOR.0;
    let index = if mixture { 11 } else { 7 };
    let fires = index + if full { 7 } else { 0 };
    let write = fires + 7;
    let bar = if width >= AWAY { 10 } else { 8 };
    let push = write + if full { bar + 7 } else { 7 };
    let toward = push + 2;
    let away = if width >= AWAY { toward + width.saturating_sub(toward) * 11 / 20 } else { width };
    let columns = [
        Column::right("neuron", index),
        Column::right("fires", fires).when(full).styled(sorted(NeuronOrder::Activation)),
        Column::right("write", write).styled(sorted(NeuronOrder::Write)),
        Column::bar(("0", format!("{:.0}", shown.neuron_scale())), write + 1, bar).when(full),
        Column::right("push", push).styled(sorted(NeuronOrder::Push)),
        Column::left("writes toward", toward, away.saturating_sub(toward + 1)),
        Column::left("and away from", away, width.saturating_sub(away + 1)).when(width >= AWAY),
    ];
    Table::of(theme, columns)
}

/// Draws heads and the neurons that fit, the selected one among them; gives the rows it took.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let table = table(shown, area.width);
    table.heads().draw(area, 0, buf);
    let rest = shown.ffn.rest.filter(|(count, ..)| *count > 0 && area.height > 6);
    let room = usize::from(area.height.saturating_sub(1 + u16::from(rest.is_some())));
    let first = (shown.selected() + 1).saturating_sub(room);
    let listed = shown.ffn.neurons.iter().enumerate().skip(first).take(room);
    let mut at = 1;
    for (index, neuron) in listed {
        row(shown, &table, neuron, index == shown.selected()).draw(area, at, buf);
        at += 1;
    }
    if let Some((count, write, push)) = rest {
        let muted = theme.style(Role::Muted);
        let row = table.row([
            Cell::of(number::grouped(count.into()), muted),
            Cell::of("more", muted),
            Cell::of(number::decimals(write.into(), 1), muted),
            written(shown, write),
            layers::push(push, theme),
            Cell::of("taken together", muted),
            Cell::Empty,
        ]);
        row.draw(area, at, buf);
        at += 1;
    }
    at
}

/// The bar of a length.
fn written(shown: &Shown<'_>, write: f32) -> Cell {
    Cell::Bar(f64::from(write / shown.neuron_scale()), shown.theme.style(Role::PartFfn))
}

fn row(shown: &Shown<'_>, table: &Table<'_, 7>, neuron: &Neuron, here: bool) -> Row {
    let theme = shown.theme;
    let (style, muted) =
        (theme.style(if here { Role::Strong } else { Role::Text }), theme.style(Role::Muted));
    let [toward, away] = if shown.ffn.words {
        let names = |tokens, column| {
            table.place(column).map_or_else(String::new, |(_, room)| names(shown, tokens, room))
        };
        [Cell::of(names(&neuron.promotes, 5), style), Cell::of(names(&neuron.suppresses, 6), muted)]
    } else {
        [Cell::of("…", muted), Cell::Empty]
    };
    let row = table.row([
        Cell::of(numbered(neuron), style),
        Cell::of(number::decimals(neuron.activation.into(), 1), style),
        Cell::of(number::decimals(neuron.added.into(), 1), style),
        written(shown, neuron.added),
        layers::push(neuron.push, theme),
        toward,
        away,
    ]);
    let active = shown.app.inspector.ffn.on_neurons || shown.seen.ffn_layers.is_empty();
    if here { row.and(0, if active { theme.symbols.here } else { theme.symbols.other }, style) } else { row }
}

/// As many whole names as fit, and a single one that does not cut.
fn names(shown: &Shown<'_>, tokens: &[(TokenId, f32)], room: u16) -> String {
    let mut words = String::new();
    for (id, _) in tokens {
        let next = if words.is_empty() { String::new() } else { format!("{words} ") } + &shown.name(*id);
        if !words.is_empty() && text::width(&next) > room {
            break;
        }
        words = next;
    }
    text::cut(&words, room)
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
    let mut rows = row::wrapped(&words, 1, width, theme.style(Role::Text));
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
        rows.extend(row::packed(&texts, 3, width, theme.style(role)));
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
    row::packed(&texts, 1, width, shown.theme.style(Role::Muted))
}
