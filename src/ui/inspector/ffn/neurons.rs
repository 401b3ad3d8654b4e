//! The list of neurons, and the selected one in full.
//!
//! Invariant: a neuron's row keeps its columns whatever its tokens are: as many whole names as fit, and a single one
//! that does not is cut with `…`.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::Shown;
use crate::inspect::trace::Neuron;
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::inspector::own::{self, Row, Signed};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::{number, text};

/// Lowest and highest activation on the scale.
const FIRES: (f32, f32) = (-20.0, 20.0);

/// Where the columns stand.
struct Columns {
    /// Columns before which number, activation and length end.
    index: u16,
    fires: u16,
    bar: u16,
    cells: u16,
    written: u16,
    /// The tokens: those promoted, then those suppressed.
    toward: u16,
    away: u16,
    full: bool,
}

impl Columns {
    fn of(width: u16, mixture: bool) -> Self {
        let full = width + 1 >= INSPECTOR.0;
        let index = if mixture { 11 } else { 7 };
        let fires = index + 7;
        let bar = fires + 1;
        let cells = if full { 11 } else { 5 };
        let written = bar + cells + 6;
        let toward = written + 1;
        let away = toward + width.saturating_sub(toward) * 11 / 20;
        Self { index, fires, bar, cells, written, toward, away, full }
    }
}

/// Draws heads and the neurons that fit, the selected one among them; gives the rows it took.
pub fn draw(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) -> u16 {
    let theme = shown.theme;
    let muted = theme.style(Role::Muted);
    let mixture = shown.ffn.neurons.iter().any(|neuron| neuron.expert.is_some());
    let columns = Columns::of(area.width, mixture);
    let mut head = Row::default()
        .until(columns.index, "neuron", muted)
        .until(columns.fires, "fires", muted)
        .until(columns.written, "write", muted)
        .and(columns.toward, "+ toward", muted);
    head = head.and(columns.away, if columns.full { "− away from" } else { "− away" }, muted);
    head = if columns.full {
        head.and(columns.bar, "−20", muted).until(columns.bar + columns.cells, "20", muted)
    } else {
        head.and(columns.bar, "±20", muted)
    };
    head.draw(area, 0, buf);
    let room = usize::from(area.height.saturating_sub(1));
    let first = (shown.selected() + 1).saturating_sub(room);
    let listed = shown.ffn.neurons.iter().enumerate().skip(first).take(room);
    let mut at = 1;
    for (index, neuron) in listed {
        row(shown, &columns, neuron, index == shown.selected(), area.width).draw(area, at, buf);
        at += 1;
    }
    at
}

fn row(shown: &Shown<'_>, columns: &Columns, neuron: &Neuron, here: bool, width: u16) -> Row {
    let theme = shown.theme;
    let style = theme.style(if here { Role::Strong } else { Role::Text });
    let scale = Signed { low: FIRES.0, high: FIRES.1, cells: columns.cells };
    let mut row = Row::default()
        .until(columns.index, numbered(neuron), style)
        .until(columns.fires, number::decimals(neuron.activation.into(), 1), style)
        .until(columns.written, number::decimals(neuron.added.into(), 1), style);
    if here {
        row = row.and(0, theme.symbols.here, style);
    }
    row = scale.row(row, columns.bar, neuron.activation, theme);
    let names = |tokens: &[(TokenId, f32)], sign: &str, room: u16| {
        let mut words = String::new();
        for (id, _) in tokens {
            let next =
                if words.is_empty() { sign.to_owned() } else { format!("{words} ") } + &shown.name(*id);
            if !words.is_empty() && text::width(&next) > room {
                break;
            }
            words = next;
        }
        text::cut(&words, room)
    };
    row = row.and(
        columns.toward,
        names(&neuron.promotes, "+", columns.away.saturating_sub(columns.toward + 1)),
        style,
    );
    let words = names(&neuron.suppresses, "−", width.saturating_sub(columns.away + 1));
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
    let words = format!(
        "neuron {} of L{}{expert}: fires {}, its write is {} long",
        neuron.index,
        shown.ffn.layer,
        number::decimals(neuron.activation.into(), 2),
        number::decimals(neuron.added.into(), 1),
    );
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
pub fn legend(theme: &Theme, width: u16) -> Vec<Row> {
    let texts = ["fires: activation", "write: length of what is added", "+ − logits, final norm frozen"];
    own::packed(&texts.map(str::to_owned), 1, width, theme.style(Role::Muted))
}
