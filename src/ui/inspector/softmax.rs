//! The softmax station: what could have come at this step, with the network's odds, and after the samplers.
//!
//! Invariants: percentages are over the whole vocabulary before the samplers; rows and ‹others› add up to
//! 100; a step has always the same number of rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::live::Live;
use super::plan::{Plan, plan};
use super::{Form, rows};
use crate::app::{ActiveRun, App, Keys, Station, Watched};
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{bar, chart, number, text, token};

/// Bits of a full bar of uncertainty or surprise.
const MOST_BITS: f64 = 16.0;
/// Bits of a full column of the strip chart.
const STRIP_BITS: f32 = 8.0;

/// What stands in place of a figure that did not come.
const UNTOLD: &str = "not told by this server";

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let form = Form::of(area.width);
    let area = Rect { width: form.width.min(area.width), ..area };
    if area.height < 4 {
        return;
    }
    let caption = caption(app, form);
    let watched = u16::try_from(app.inspector.watch.len()).unwrap_or(u16::MAX);
    let plan = plan(area.height, u16::try_from(caption.len()).unwrap_or(0), watched);
    if let Some((at, lines)) = plan.caption {
        for (line, row) in caption.iter().zip(at..at + lines) {
            text::put(buf, text::row(area, row, 1), line, theme.style(Role::Muted));
        }
    }
    let Some(live) = Live::of(app) else {
        let keys = Keys(&app.keymap);
        let opens = match (keys.of(Command::StationTokens), keys.of(Command::StationWhy)) {
            (first, last) if first.is_empty() && last.is_empty() => String::new(),
            (first, last) if last.is_empty() => format!("{first} opens the first."),
            (first, last) if first.is_empty() => format!("{last} opens the last."),
            (first, last) => format!("{first} opens the first, {last} the last."),
        };
        return idle(theme, &opens, &plan, area, buf);
    };
    subject(app, theme, &live, text::row(area, 0, 1), buf);
    if live.step.step.candidates.is_empty() && live.step.step.logprob.is_nan() {
        let words = "no odds came with this token; a llama.cpp server, vLLM, SGLang or a glassbox engine on that \
                     machine tells them";
        let under = Rect { height: plan.candidates.1, ..text::below(area, plan.candidates.0) };
        row::stack(&row::wrapped(words, 1, form.width, theme.style(Role::Text)), under, 0, buf);
        return;
    }
    rows::heads(app, theme, form, text::row(area, plan.heads, 0), buf);
    rows::candidates(app, theme, form, &live, area, plan.candidates, buf);
    if let Some(at) = plan.margin {
        margin(theme, form, &live).draw(area, at, buf);
    }
    if let Some(at) = plan.summary {
        row::stack(&summary(theme, form, &live), area, at, buf);
    }
    let uncertainty = app.inspector.uncertainty_strip && plan.second_chart.is_none();
    if let Some((at, lines)) = plan.chart {
        strip(theme, &live, uncertainty, area, (at, lines), buf);
    }
    if let Some((at, lines)) = plan.second_chart {
        strip(theme, &live, true, area, (at, lines), buf);
    }
    if let Some((at, lines)) = plan.watch {
        let rows = watch(app, theme, form, &live);
        row::stack(&rows[..rows.len().min(usize::from(lines) + 1)], area, at, buf);
    }
    if let Some(at) = plan.showing {
        let row = text::row(area, at, 1);
        text::put(buf, row, &text::cut(&showing(app, &live), row.width), theme.style(Role::Muted));
    }
}

fn caption(app: &App, form: Form) -> Vec<String> {
    if !app.config.inspector.captions {
        return Vec::new();
    }
    let words = if form.full {
        "What could come next: the network's odds, and after the samplers."
    } else {
        "What could come next. model: the odds the network gave; after: once samplers cut."
    };
    text::wrap(words, form.width - 2)
}

/// Before the first step: what will be here.
fn idle(theme: &Theme, key: &str, plan: &Plan, area: Rect, buf: &mut Buffer) {
    let room = text::row(area, 0, 1);
    text::put(buf, room, "no token written yet", theme.style(Role::Text));
    let words = "Each time the model writes a token, the twelve likeliest are listed here with their odds, \
                 the one it drew, and how sure it was.";
    let muted = theme.style(Role::Muted);
    let lines = text::wrap(words, room.width.saturating_sub(1));
    let mut row = plan.heads;
    for line in lines.iter().take(area.height.saturating_sub(row).into()) {
        text::put(buf, text::row(area, row, 1), line, muted);
        row += 1;
    }
    let under = text::below(area, row + 1);
    // All nine or none.
    let names = stations(theme, key, room.width.saturating_sub(1));
    if usize::from(under.height) >= names.len() {
        row::stack(&names, under, 0, buf);
    }
}

/// The stations above, by their whole names.
fn stations(theme: &Theme, key: &str, width: u16) -> Vec<Row> {
    let muted = theme.style(Role::Muted);
    let words = format!("Above: nine views of one word, in the order of its way. {key}");
    let mut rows = row::wrapped(words.trim_end(), 1, width + 1, muted);
    rows.extend((1..).zip(Station::ALL).map(|(digit, station)| {
        let about = station.about();
        Row::of(1, format!("{digit} {}", about.title), theme.style(Role::Text)).and(17, about.shows, muted)
    }));
    rows
}

/// `read "…Tower," → chose ␣Notre   % of 49 152`: what was read is cut to whole words that fit.
fn subject(app: &App, theme: &Theme, live: &Live<'_>, at: Rect, buf: &mut Buffer) {
    let chosen = text::cut(&live.chosen(&theme.symbols), 14);
    let unit = match (app.inspector.logits, live.entries) {
        _ if live.odds.mark().is_some() => live.odds.mark().unwrap_or_default(),
        (true, _) => "logit − largest".to_owned(),
        (false, 0) => "%".to_owned(),
        (false, entries) => format!("% of {}", number::grouped(entries)),
    };
    let fixed = text::width("read \"\" → chose ") + text::width(&chosen) + 3 + text::width(&unit) + 1;
    let read = token::one_line(&live.step.context_tail, &theme.symbols);
    let read = text::tail(&read, at.width.saturating_sub(fixed));
    let before = format!("read \"{read}\" → chose ");
    let muted = theme.style(Role::Muted);
    let unit = format!("   {unit}");
    let pieces = [
        (before.as_str(), theme.style(Role::Text)),
        (chosen.as_str(), theme.style(Role::TokenChosen)),
        (unit.as_str(), muted),
    ];
    text::put_all(buf, at, &pieces);
}

/// How far the likeliest token leads.
fn margin(theme: &Theme, form: Form, live: &Live<'_>) -> Row {
    let [first, second, ..] = live.step.step.candidates.as_slice() else { return Row::default() };
    let lead = f64::from(first.logprob).exp() - f64::from(second.logprob).exp();
    let row = label_and_figure(theme, form, "margin", number::percent(lead));
    row.and(form.figure, " %   p₁ − p₂", theme.style(Role::Muted))
}

/// Uncertainty and surprise with their bars, and the rank.
fn summary(theme: &Theme, form: Form, live: &Live<'_>) -> [Row; 3] {
    let step = &live.step.step;
    let muted = theme.style(Role::Muted);
    let bits = |name, bits: f32| {
        let bar = bar::glyphs(f64::from(bits) / MOST_BITS, form.bits, &theme.symbols.bar);
        label_and_figure(theme, form, name, number::decimals(bits.into(), 2))
            .and(form.figure, " bit", muted)
            .and(form.figure + 5, bar, theme.style(Role::ProbBar))
    };
    let rank = label_and_figure(theme, form, "rank", number::rank(step.rank));
    let of = format!("of {} tokens", number::grouped(live.entries));
    let untold = |name| {
        let row = Row::of(1, name, theme.style(Role::Text));
        row.and(form.figure - 5, UNTOLD, muted)
    };
    [
        if step.entropy.is_nan() {
            untold("uncertainty H")
        } else {
            let even = choices(step.entropy, form.full);
            bits("uncertainty H", step.entropy_bits()).until(form.width - 1, even, muted)
        },
        if step.logprob.is_nan() {
            untold("surprise s")
        } else {
            bits("surprise s", step.surprisal_bits()).until(form.width - 1, "0–16", muted)
        },
        match (step.rank, live.entries) {
            (0, _) => untold("rank"),
            (_, 0) => rank,
            _ => rank.and(form.figure + 1, of, muted),
        },
    ]
}

/// How many tokens of equal odds would be as uncertain: e^H.
fn choices(entropy: f32, full: bool) -> String {
    let choices = f64::from(entropy).exp();
    let decimals = usize::from(choices < 10.0);
    if full {
        format!("like {choices:.decimals$} even choices")
    } else {
        format!("= 1 of {choices:.decimals$}")
    }
}

fn label_and_figure(theme: &Theme, form: Form, label: &str, figure: String) -> Row {
    let style = theme.style(Role::Text);
    Row::of(1, label, style).until(form.figure, figure, style)
}

/// The surprise or the uncertainty of each token so far, two rows of half a bit a step, or one of a bit.
fn strip(
    theme: &Theme,
    live: &Live<'_>,
    uncertainty: bool,
    area: Rect,
    (at, lines): (u16, u16),
    buf: &mut Buffer,
) {
    let (words, values) = if uncertainty {
        ("uncertainty at each token", &live.entropies)
    } else {
        ("surprise of each token", &live.surprises)
    };
    let label = text::row(area, at, 1);
    text::put(buf, label, words, theme.style(Role::Text));
    text::put_right(buf, label, "0–8 bit", theme.style(Role::Muted));
    let room = Rect {
        x: area.x + 1,
        y: area.y + at + 1,
        width: area.width.saturating_sub(2),
        height: lines.min(area.height.saturating_sub(at + 1)),
    };
    let values = values.iter().copied();
    chart::draw(buf, room, values, STRIP_BITS, &theme.symbols.column, theme.style(Role::ProbBar));
}

/// The watched tokens under their heads.
fn watch(app: &App, theme: &Theme, form: Form, live: &Live<'_>) -> Vec<Row> {
    let style = theme.style(Role::Text);
    let columns = [
        Column::left("", 3, form.figure - 10),
        Column::right("model", form.figure),
        Column::right("peak", form.width - 11),
        Column::right("rank", form.width),
    ];
    let table = Table::of(theme, columns);
    let watched = |Watched { id, now, peak, rank }: &Watched| {
        let unknown = || "–".to_owned();
        table.row([
            Cell::of(live.name(*id, &theme.symbols), theme.style(Role::TokenWatch)),
            Cell::of(now.map_or_else(unknown, |p| number::percent(p.into())), style),
            Cell::of(number::percent((*peak).into()), style),
            Cell::of(rank.map_or_else(unknown, |rank| number::grouped(rank.into())), style),
        ])
    };
    let heads = table.heads().and(1, "watch", style);
    std::iter::once(heads).chain(app.inspector.watch.iter().map(watched)).collect()
}

fn showing(app: &App, live: &Live<'_>) -> String {
    let list = &app.inspector.list;
    let wanted = list.selected.is_some() || list.filter.is_some();
    if let Some(missing) = app.display().look_missing().filter(|_| wanted) {
        return format!("the {} kept tokens; {missing}", live.step.step.candidates.len());
    }
    if app.display().is_filtered() {
        let (matches, all) = (list.matches.len() as u64, live.entries);
        return format!("{} of {} match; Esc closes", number::grouped(matches), number::grouped(all));
    }
    if let Some(selected) = list.selected {
        let (at, all) = (selected as u64 + 1, app.display().list_len() as u64);
        return format!("row {} of {}", number::grouped(at), number::grouped(all));
    }
    let shown = match (app.inspector.held, live.step.of) {
        _ if app.inspector.past.is_some() => "the token under the cursor".to_owned(),
        (true, _) => "held".to_owned(),
        _ if app.talk.run.is_none() => "the token that is underlined".to_owned(),
        (false, 0 | 1) => "showing every token".to_owned(),
        (false, of) if live.step.step.entropy.is_nan() => format!("one of {of}"),
        (false, of) => format!("least certain of {of}"),
    };
    match (app.inspector.price_ms, app.talk.run.as_ref().and_then(ActiveRun::speed)) {
        (Some(price), Some(speed)) => {
            format!("{shown}   {}/token ({:.0} %)", number::milliseconds(price), price * speed / 10.0)
        }
        (Some(price), _) => format!("{shown}   {}/token", number::milliseconds(price)),
        // Every step keeps its odds, whether they are shown or not.
        (None, _) if app.inspector.watch.is_empty() => format!("{shown}   costs no time"),
        (None, _) => shown,
    }
}
