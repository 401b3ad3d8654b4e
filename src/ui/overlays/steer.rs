//! The steering panel: two texts, where and how hard, the next token's odds plain and steered, and the twin's figures.
//!
//! Invariant: odds are matched by id and on one scale; what is not known yet is said, never shown as 0.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body};
use crate::app::{Keys, SteerField, SteerPanel};
use crate::chat::AdapterKind;
use crate::command::Command;
use crate::sanitize;
use crate::theme::Role;
use crate::token::Candidate;
use crate::ui::inspector::frame;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{edit, text};

/// Where the values begin.
const VALUE: u16 = 16;
/// Cells of the slider.
const SLIDER: u16 = 21;
/// Tokens that the twin's strip shows.
const TOLD: usize = 12;
/// Beyond this strength, in hundredths, small models fall into repeating themselves.
const HARD: i32 = 25;
/// Nats that a bar of the twin's strip spans.
const KL: f32 = 8.0;
/// Tokens that the preview lists.
const TOKENS: usize = 8;

impl Draw for SteerPanel {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let app = canvas.app;
        let kept = app.view().steering().map_or_else(
            || "not steered".to_owned(),
            |push| {
                format!(
                    "in force: {} at {:+.2} after L{}",
                    push.name,
                    push.strength,
                    push.layers.first().copied().unwrap_or(0)
                )
            },
        );
        let vectors = app
            .view()
            .adapters()
            .into_iter()
            .filter(|(adapter, usable)| *usable && adapter.kind == AdapterKind::ControlVector);
        let kept = vectors
            .fold(kept, |kept, (adapter, _)| format!("{kept}, +{}", sanitize::for_display(&adapter.label())));
        let inside = canvas.frame("Steer", &kept, 84, 24);
        let words = "Pushes all states but the first from one text to another: h += α ‖h‖ d̂";
        canvas.cell(inside, 1, inside.width, words, Role::Muted);
        let help = format!("{} explains this", app.keymap.shown(Command::Help));
        canvas.cell_right(text::row(inside, 1, 0), inside.width.saturating_sub(1), &help, Role::Muted);
        let cursor = texts(canvas, inside);
        where_and_how_hard(canvas, inside);
        let list = body(inside, 8, 4);
        preview(canvas, list);
        twin(canvas, text::row(inside, inside.height.saturating_sub(3), 0));
        said(canvas, text::row(inside, inside.height.saturating_sub(2), 0));
        let key = Keys(&app.keymap);
        let other = if app.view().steering().is_some() { Command::SteerEnd } else { Command::SteerSwap };
        let offered = vec![
            (key.list(), "field"),
            (key.together(&[Command::ValueLess, Command::ValueMore]), "value"),
            (key.of(Command::Choose), "steer"),
            (key.of(other), if app.view().steering().is_some() { "off" } else { "swap" }),
            (key.of(Command::SteerTwin), "twin"),
            (
                if app.display().can_write_vector() { key.of(Command::SteerWrite) } else { String::new() },
                "to a file",
            ),
            (key.of(Command::Escape), "close"),
        ];
        canvas.keys(inside, offered);
        cursor
    }
}

fn texts(canvas: &mut Canvas<'_>, inside: Rect) -> Option<(u16, u16)> {
    let steer = &canvas.app.inspector.steer;
    let mut cursor = None;
    for (row, name, line, field) in
        [(2, "towards", &steer.towards, SteerField::Towards), (3, "away from", &steer.away, SteerField::Away)]
    {
        let at = text::row(inside, row, 0);
        label(canvas, at, name, steer.field == field);
        let to = text::row(inside, row, VALUE);
        let to = Rect { width: to.width.saturating_sub(1), ..to };
        let muted = canvas.theme.style(Role::Muted);
        let place = edit::draw(
            canvas.buf,
            to,
            (line.text.as_str(), line.cursor),
            ("type a text, or select a message and open this again", muted),
            canvas.theme.style(Role::Text),
        );
        if steer.field == field {
            cursor = place;
        }
    }
    cursor
}

fn label(canvas: &mut Canvas<'_>, at: Rect, name: &str, selected: bool) {
    if selected {
        canvas.cell(at, 1, 2, canvas.theme.symbols.here, Role::Strong);
    }
    canvas.cell(at, 3, 12, name, if selected { Role::Strong } else { Role::Muted });
}

fn where_and_how_hard(canvas: &mut Canvas<'_>, inside: Rect) {
    let app = canvas.app;
    let steer = &app.inspector.steer;
    let layers = app.view().ready().map_or(0, |loaded| loaded.facts.layers);
    let at = text::row(inside, 4, 0);
    label(canvas, at, "after layer", steer.field == SteerField::Layer);
    canvas.cell(
        at,
        VALUE,
        30,
        &format!("L{} of 0–{}", app.display().steer_layer(), layers.saturating_sub(1)),
        Role::Text,
    );
    let at = text::row(inside, 5, 0);
    label(canvas, at, "strength α", steer.field == SteerField::Strength);
    let mut slider: Vec<char> = "─".repeat(usize::from(SLIDER)).chars().collect();
    let middle = usize::from(SLIDER / 2);
    slider[middle] = '┊';
    let place = (steer.percent + 200) * i32::from(SLIDER - 1) / 400;
    if let Some(cell) = usize::try_from(place).ok().and_then(|place| slider.get_mut(place)) {
        *cell = '█';
    }
    let slider: String = slider.into_iter().collect();
    canvas.cell(at, VALUE, SLIDER, &slider, Role::ProbBar);
    let value = format!("{:+.2}", steer.strength()).replace('-', "−");
    canvas.cell(at, VALUE + SLIDER + 2, 24, &format!("{value} ‖h‖   −2 to +2"), Role::Text);
    let direction = app.display().steer_direction();
    let found = steer.found.as_ref().filter(|(of, _)| Some(of) == direction.as_ref());
    let words = match found {
        Some((_, found)) => {
            let apart = found.separation.map_or_else(String::new, |d| format!("   d′ {d:.1}"));
            format!(
                "‖difference‖ {:.1}   ‖means‖ {:.1}, {:.1}   cosine {:.2}{apart}   {:.0} ms",
                found.distance, found.norms.0, found.norms.1, found.cosine, found.ms
            )
        }
        None if app.display().kept_push().is_some() => {
            "the direction in force is used: change how hard, or type two new texts".to_owned()
        }
        None => "two texts give the direction: the difference of their mean states".to_owned(),
    };
    canvas.cell(text::row(inside, 6, 0), 3, inside.width.saturating_sub(4), &words, Role::Muted);
    if steer.percent.abs() > HARD {
        let words = "so hard a push breaks small models' language; try 0.10 to 0.25 first";
        canvas.cell(text::row(inside, 7, 0), 3, inside.width.saturating_sub(4), words, Role::Warn);
    }
}

/// The next token's odds without and with the push.
fn preview(canvas: &mut Canvas<'_>, list: Rect) {
    let app = canvas.app;
    let Some(trace) = app.display().shown_preview().map(|seen| &seen.trace) else {
        let words = match () {
            () if app.inspector.steer.asking.pending().is_some() => "the model reads it…",
            () if app.display().shown_step().is_none() => {
                "put the token cursor on a word to see its odds steered and plain"
            }
            () if app.inspector.steer.percent == 0 => "at strength 0 nothing changes",
            () => "no preview: this model cannot read again what led to the token shown",
        };
        return canvas.cell(list, 3, list.width.saturating_sub(4), words, Role::Muted);
    };
    let Some((plain, _)) = &trace.original else { return };
    let theme = canvas.theme;
    let columns = [
        Column::left("next token", 3, 16),
        Column::right("plain %", 28),
        Column::right("steered %", 38),
        Column::left("0    100", 40, 12),
    ];
    let table = Table::of(theme, columns);
    table.heads().draw(list, 0, canvas.buf);
    let yardstick = app.display().shown_yardstick();
    let yardstick = yardstick.map_or_else(String::new, |kl| format!(", at random {kl:.2}"));
    let kl = trace.kl_from_original.map_or_else(String::new, |kl| format!("KL {kl:.2} nat{yardstick}"));
    canvas.cell_right(list, list.width.saturating_sub(1), &kl, Role::Text);
    let share = |of: &[Candidate], id| of.iter().find(|one| one.id == id).map(|one| one.logprob.exp());
    let mut ids: Vec<_> = trace.next.iter().take(TOKENS / 2).map(|one| one.id).collect();
    for one in plain.iter().chain(&trace.next) {
        if ids.len() < TOKENS && !ids.contains(&one.id) {
            ids.push(one.id);
        }
    }
    // What is not among the listed has less than the least of them.
    let percent = |of: &[Candidate], share: Option<f32>| match (share, of.last()) {
        (Some(share), _) => format!("{:.2}", 100.0 * share),
        (None, Some(least)) => format!("<{:.2}", (100.0 * least.logprob.exp()).max(0.01)),
        (None, None) => "–".to_owned(),
    };
    for (id, line) in ids.into_iter().zip(1..list.height) {
        let (before, after) = (share(plain, id), share(&trace.next, id));
        let row = table.row([
            Cell::of(frame::name(app, theme, id), theme.style(Role::Text)),
            Cell::of(percent(plain, before), theme.style(Role::Muted)),
            Cell::of(percent(&trace.next, after), theme.style(Role::Text)),
            Cell::Bar(after.unwrap_or_default().into(), theme.style(Role::ProbBar)),
        ]);
        row.draw(list, line, canvas.buf);
    }
}

/// How far the newest steered reply went from the plain network, token by token, and what knowing that costs.
fn twin(canvas: &mut Canvas<'_>, at: Rect) {
    let app = canvas.app;
    let steer = &app.inspector.steer;
    let words = match (app.inspector.steer.steered_kl(), app.talk.chat.settings.twin) {
        (Some((mean, count)), _) => {
            let levels = &canvas.theme.symbols.column;
            let cells = steer.kls.iter().rev().take(TOLD).rev().map(|kl| {
                let share = kl.unwrap_or_default() / KL;
                levels[((share * 8.0).round() as usize).min(8)]
            });
            let strip: String = cells.collect();
            format!(
                "last reply: KL {mean:.2} nat/token over {count}   {strip} 0–8   +{:.1} ms/token",
                steer.twin_ms
            )
        }
        (None, true) => "twin on: how far each reply is pushed is measured, at twice the time".into(),
        (None, false) => "twin off: Ctrl+T measures how far replies are pushed, at twice the time".into(),
    };
    canvas.cell(at, 3, at.width.saturating_sub(4), &words, Role::Muted);
}

fn said(canvas: &mut Canvas<'_>, at: Rect) {
    if let Some(why) = canvas.app.display().steer_refused() {
        canvas.cell(at, 3, at.width.saturating_sub(4), &format!("! {why}"), Role::Warn);
    }
}

#[cfg(test)]
mod tests {
    use crate::app::SteerPanel;
    use crate::ui::testing::design::{bare_theme, empty, theme};
    use crate::ui::testing::{as_drawn, overlay};

    #[test]
    fn the_panel_is_whole_on_any_screen() {
        let mut app = empty();
        app.inspector.steer.kls = vec![Some(0.4), None, Some(1.6)];
        app.inspector.steer.percent = 35;
        as_drawn!("steer", overlay(&app, &theme(), SteerPanel, 120, 40));
        as_drawn!("steer_80x24", overlay(&app, &bare_theme(), SteerPanel, 80, 24));
        for (width, height) in [(120, 40), (80, 24), (60, 16), (20, 6)] {
            for theme in [theme(), bare_theme()] {
                let seen = overlay(&app, &theme, SteerPanel, width, height).join("\n");
                assert!(width < 80 || !seen.contains('…'), "{seen}");
            }
        }
    }
}
