//! The tokens through the stages: heads, one row a token, ‹more›, ‹others›, and the figures of each column.
//!
//! Invariant: there are always as many rows; every column of them adds up to 100.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::columns::StageColumns;
use super::{Shown, parameter, ruler};
use crate::inspect::stages::{SamplerTrace, StageName};
use crate::sampling::Stage;
use crate::theme::Role;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};

/// Draws the two rows of heads.
pub fn heads(shown: &Shown<'_>, columns: &StageColumns, area: Rect, at: u16, buf: &mut Buffer) {
    let style = shown.theme.style(Role::Muted);
    let mut names = Row::of(3, "token", style).until(columns.model, "model", style);
    let mut units = Row::default().until(columns.model, "%", style);
    for (stage, end) in &columns.stages {
        let name = shown.trace.stages[*stage].name;
        names = names.until(*end, head(name), style);
        let set = shown.sampling.as_ref().map(|sampling| parameter(sampling, name));
        units = units.until(*end, set.unwrap_or_default(), style);
    }
    if let Some((count, end)) = columns.folded {
        names = names.until(end, format!("+{count}"), style);
    }
    if let Some(draw) = columns.draw.filter(|_| !shown.trace.stages.is_empty()) {
        let greedy = shown.trace.stages.last().is_some_and(|last| last.name == StageName::Greedy);
        let number = match shown.trace.u {
            Some(u) => format!("u = {u:.4}"),
            None if greedy => "the likeliest".into(),
            None => "u not known".into(),
        };
        names = names.and(draw, "draw", style);
        units = units.and(draw, number, style);
    }
    row::stack(&[names, units], area, at, buf);
}

/// A stage's name in seven letters.
fn head(stage: StageName) -> &'static str {
    match stage {
        StageName::Chain(Stage::Penalties) => "penal",
        StageName::Mirostat => "miro",
        other => other.label(),
    }
}

/// The listed tokens that get a row: the likeliest, or those likeliest at the end; the drawn one always.
fn listed(trace: &SamplerTrace, by_last: bool, rows: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..trace.tokens.len()).collect();
    if let Some(last) = trace.stages.last().filter(|_| by_last) {
        let weight = |at: usize| last.probabilities.get(at).copied().flatten().unwrap_or(-1.0);
        order.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)));
    }
    let drawn = trace.tokens.iter().position(|id| *id == trace.drawn);
    if let Some(at) = drawn.and_then(|drawn| order.iter().position(|other| *other == drawn))
        && at >= rows
        && rows > 0
    {
        order.swap(at, rows - 1);
    }
    order.truncate(rows);
    order
}

/// A row of the table before it is drawn: the model's own probability, then that after each stage; `Cut` once.
struct Cells {
    model: Option<f64>,
    stages: Vec<Cell>,
}

#[derive(Clone, Copy)]
enum Cell {
    Share(f64),
    Cut,
    Empty,
}

/// The row of a listed token.
fn token_cells(trace: &SamplerTrace, at: usize) -> Cells {
    let mut gone = false;
    let stages = trace.stages.iter().map(|stage| {
        let cell = match stage.probabilities.get(at).copied().flatten() {
            Some(probability) => Cell::Share(probability.into()),
            None if gone => Cell::Empty,
            None => Cell::Cut,
        };
        gone |= matches!(cell, Cell::Cut);
        cell
    });
    Cells { model: trace.model.get(at).map(|probability| f64::from(*probability)), stages: stages.collect() }
}

/// The rows of everything that has no row of its own: what the first cut left, and how many, then what it
/// threw out.
fn rest_cells(trace: &SamplerTrace, rows: &[usize]) -> (u64, Cells, Cells) {
    let model: f64 = rows.iter().map(|at| f64::from(trace.model[*at])).sum();
    let rest = (1.0 - model).max(0.0);
    let first = trace.stages.iter().position(|stage| stage.left < trace.vocabulary);
    let survives =
        |stage: usize, at: usize| trace.stages[stage].probabilities.get(at).is_some_and(Option::is_some);
    let mut more = Cells { model: None, stages: Vec::new() };
    let mut others = Cells { model: Some(rest), stages: Vec::new() };
    let mut count = 0;
    for (nth, stage) in trace.stages.iter().enumerate() {
        let alive: Vec<usize> = rows.iter().copied().filter(|at| survives(nth, *at)).collect();
        let shares: f64 = alive.iter().filter_map(|at| stage.probabilities[*at]).map(f64::from).sum();
        let unlisted = u64::from(stage.left).saturating_sub(alive.len() as u64);
        let share = Cell::Share((1.0 - shares).max(0.0));
        match first {
            Some(first) if nth >= first => {
                if nth == first {
                    count = unlisted;
                    let kept: f64 = alive.iter().map(|at| f64::from(trace.model[*at])).sum();
                    let inside = (f64::from(stage.kept) - kept).clamp(0.0, rest);
                    more.model = (unlisted > 0).then_some(inside);
                    others.model = Some(rest - more.model.unwrap_or_default());
                }
                let before = more.stages.last().is_none_or(|cell| matches!(cell, Cell::Share(_)));
                more.stages.push(match (unlisted, before && count > 0) {
                    (0, true) => Cell::Cut,
                    (0, false) => Cell::Empty,
                    _ => share,
                });
                others.stages.push(if nth == first { Cell::Cut } else { Cell::Empty });
            }
            _ => {
                more.stages.push(Cell::Empty);
                others.stages.push(share);
            }
        }
    }
    (count, more, others)
}

/// Draws the tokens, ‹more› and ‹others›.
pub fn rows(
    shown: &Shown<'_>,
    columns: &StageColumns,
    area: Rect,
    (at, lines): (u16, u16),
    buf: &mut Buffer,
) {
    let (trace, theme) = (&shown.trace, shown.theme);
    let listed = listed(trace, shown.app.inspector.by_last, usize::from(lines));
    let places = ruler::places(trace).unwrap_or_default();
    for (index, row) in listed.iter().zip(at..) {
        let cells = token_cells(trace, *index);
        let drawn = trace.tokens[*index] == trace.drawn;
        let is_cut = cells.stages.iter().any(|cell| matches!(cell, Cell::Cut));
        let style = match (drawn, is_cut) {
            (true, _) => theme.style(Role::TokenChosen).add_modifier(Modifier::BOLD),
            (false, true) => theme.style(Role::TokenCut),
            (false, false) => theme.style(Role::Text),
        };
        let mark = if drawn { theme.symbols.drawn } else { "" };
        let mut drawn_row = figures(shown, columns, (mark, &shown.name(*index), 3), &cells, style);
        if let (Some(draw), Some((_, from, to))) =
            (columns.draw, places.iter().find(|(place, ..)| place == index))
        {
            drawn_row = drawn_row.and(draw, format!("{from:.3}–{to:.3}"), style);
        }
        drawn_row.draw(area, row, buf);
    }
    let (count, more, others) = rest_cells(trace, &listed);
    let muted = theme.style(Role::Muted);
    let rest = if columns.units.is_some() { 3 } else { 1 };
    if count > 0 {
        let name = format!("‹{} more›", number::grouped(count));
        figures(shown, columns, ("", &name, rest), &more, muted).draw(area, at + lines, buf);
    }
    figures(shown, columns, ("", "‹others›", rest), &others, muted).draw(area, at + lines + 1, buf);
}

/// A token's mark and name, and its figure in each column.
fn figures(
    shown: &Shown<'_>,
    columns: &StageColumns,
    (mark, name, start): (&str, &str, u16),
    cells: &Cells,
    style: Style,
) -> Row {
    let theme = shown.theme;
    // A cut token is struck in the first column; its figures stay readable up to the cut.
    let plain = if style == theme.style(Role::TokenCut) { theme.style(Role::Text) } else { style };
    let cut = theme.style(Role::TokenCut).remove_modifier(Modifier::CROSSED_OUT);
    let mut row = Row::default();
    if let Some(model) = cells.model {
        row = row.until(columns.model, number::percent(model), plain);
    }
    for (stage, end) in &columns.stages {
        row = match cells.stages[*stage] {
            Cell::Share(probability) => row.until(*end, number::percent(probability), plain),
            Cell::Cut => row.until(*end, theme.symbols.cut, cut),
            Cell::Empty => row,
        };
    }
    row.and(1, mark, style).and(start, text::cut(name, columns.name + 3 - start), style)
}

/// A column's figure, by its stage.
type Figure<'a> = Box<dyn Fn(usize) -> String + 'a>;

/// Draws what each column leaves, throws out, still has of the model's own, and how uncertain it is.
pub fn summary(
    shown: &Shown<'_>,
    columns: &StageColumns,
    area: Rect,
    (at, lines): (u16, u16),
    buf: &mut Buffer,
) {
    let trace = &shown.trace;
    let style = shown.theme.style(Role::Text);
    let muted = shown.theme.style(Role::Muted);
    let bits = |nats: f32| number::decimals(f64::from(nats) / std::f64::consts::LN_2, 2);
    let share = |share: f32| number::decimals(f64::from(share) * 100.0, 2);
    let before = |stage: usize| match stage.checked_sub(1) {
        Some(before) => trace.stages[before].left,
        None => trace.vocabulary,
    };
    let thrown = |nth: usize| {
        let stage = &trace.stages[nth];
        if stage.left < before(nth) { number::percent(stage.removed.into()) } else { "–".into() }
    };
    let narrow = columns.units.is_none();
    let mut rows: Vec<(&str, String, Figure<'_>, &str)> = vec![
        (
            "left",
            number::grouped(trace.vocabulary.into()),
            Box::new(|nth| number::grouped(trace.stages[nth].left.into())),
            "tokens",
        ),
        ("thrown out", "–".into(), Box::new(thrown), "% of column"),
        (
            if narrow { "still in" } else { "model's own" },
            "100.00".into(),
            Box::new(|nth| share(trace.stages[nth].kept)),
            "% still in",
        ),
        ("uncertainty", bits(trace.entropy), Box::new(|nth| bits(trace.stages[nth].entropy)), "bit"),
    ];
    if lines < 4 {
        drop(rows.remove(2));
    }
    for ((label, model, of_stage, unit), row) in rows.into_iter().zip(at..at + lines) {
        // "model's own" is as long as its room: the figure stands one further right.
        let end = columns.model + u16::from(label.len() == 11 && model.len() == 6);
        let drawn = Row::default().until(end, model, style);
        let drawn =
            columns.stages.iter().fold(drawn, |row, (stage, end)| row.until(*end, of_stage(*stage), style));
        let drawn = drawn.and(if narrow { 1 } else { 3 }, label, style);
        match columns.units {
            Some(units) => drawn.and(units, unit, muted),
            None => drawn,
        }
        .draw(area, row, buf);
    }
}

/// The likeliest tokens with their odds before and after, as many as fit into a row.
pub fn in_one_row(shown: &Shown<'_>, at: Rect, buf: &mut Buffer) {
    let (trace, theme) = (&shown.trace, shown.theme);
    let mut x = 0;
    for index in listed(trace, false, 4) {
        let drawn = trace.tokens[index] == trace.drawn;
        let cut =
            trace.stages.iter().find(|stage| stage.probabilities.get(index).is_some_and(Option::is_none));
        let end = match (cut, trace.stages.last()) {
            (Some(stage), _) => format!(" {}{}", theme.symbols.cut, stage.name.label()),
            (None, Some(last)) => {
                let last = last.probabilities.get(index).copied().flatten().unwrap_or_default();
                format!(" → {}", number::percent(last.into()))
            }
            (None, None) => String::new(),
        };
        let mark = if drawn { theme.symbols.drawn } else { " " };
        let name = text::cut(&shown.name(index), 10);
        let words = format!("{mark} {name} {}{end}   ", number::percent(trace.model[index].into()));
        if x + text::width(words.trim_end()) > at.width {
            break;
        }
        let style = match (drawn, cut) {
            (true, _) => theme.style(Role::TokenChosen).add_modifier(Modifier::BOLD),
            (false, Some(_)) => theme.style(Role::TokenCut).remove_modifier(Modifier::CROSSED_OUT),
            (false, None) => theme.style(Role::Text),
        };
        x += text::put(buf, text::row(at, 0, x), &words, style);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::inspect::stages::{StageTrace, TraceSource};
    use crate::token::TokenId;

    const PARIS: [f32; 12] = [77.25, 6.45, 1.25, 0.99, 0.93, 0.89, 0.73, 0.72, 0.64, 0.41, 0.40, 0.33];

    /// The design's drawing: the figures of "The capital of France is".
    pub(crate) fn paris() -> SamplerTrace {
        let column = |figures: &[f32]| {
            let known = figures.iter().map(|percent| Some(percent / 100.0));
            known.chain(std::iter::repeat(None)).take(12).collect::<Vec<Option<f32>>>()
        };
        let bits = |bits: f32| bits * std::f32::consts::LN_2;
        let stage = |name, left, figures: &[f32], removed: f32, kept: f32, entropy: f32| StageTrace {
            name: StageName::Chain(name),
            left,
            probabilities: column(figures),
            removed: removed / 100.0,
            kept: kept / 100.0,
            entropy: bits(entropy),
        };
        let top_k = [81.50, 6.81, 1.32, 1.04, 0.98, 0.94, 0.77, 0.76, 0.68, 0.43, 0.42, 0.35];
        let top_p = [85.59, 7.15, 1.38, 1.09, 1.03, 0.98, 0.81, 0.80, 0.71, 0.45];
        SamplerTrace {
            index: 0,
            tokens: (0..12).map(TokenId).collect(),
            model: PARIS.iter().map(|percent| percent / 100.0).collect(),
            vocabulary: 49_152,
            entropy: bits(2.14),
            stages: vec![
                stage(Stage::TopK, 40, &top_k, 5.21, 94.79, 1.41),
                stage(Stage::TopP, 10, &top_p, 4.78, 90.26, 0.95),
                stage(Stage::MinP, 2, &[92.29, 7.71], 7.26, 83.70, 0.39),
                stage(Stage::Temperature, 2, &[95.70, 4.30], 0.0, 83.70, 0.26),
            ],
            drawn: TokenId(0),
            u: Some(0.4127),
            interval: Some((0.0, 0.957)),
            source: TraceSource::Live,
            redrawn: None,
        }
    }

    fn model(cells: &Cells) -> String {
        number::percent(cells.model.unwrap())
    }

    #[test]
    fn what_has_no_row_is_split_by_the_first_cut() {
        let (count, more, others) = rest_cells(&paris(), &(0..12).collect::<Vec<usize>>());
        assert_eq!((count, model(&more), model(&others)), (28, "3.80".into(), "5.21".into()));
        let (count, more, _) = rest_cells(&paris(), &[0, 1, 2, 3, 4, 5]);
        assert_eq!((count, model(&more)), (34, "7.03".into()));
    }

    #[test]
    fn the_drawn_token_has_a_row_however_unlikely_it_was() {
        let trace = SamplerTrace { drawn: TokenId(11), ..paris() };
        assert_eq!(listed(&trace, false, 4), [0, 1, 2, 11]);
    }
}
