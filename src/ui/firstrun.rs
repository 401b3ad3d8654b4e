//! The screen while the first model is fetched: what is happening, how far, what to do if it fails.
//!
//! Invariant: the composer stays, so that typing is allowed from the first second.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Fetch, ModelStatus};
use crate::command::Command;
use crate::config::DEFAULT_MODEL;
use crate::models::FetchStage;
use crate::models::recommended::Offered;
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::ui::layout::LEAST;
use crate::ui::widgets::{bar, number, text};
use crate::ui::{composer, rows};

/// Cells of a full bar.
const BAR: u16 = 46;

/// The fetch to show instead of an empty chat, if that is what happens now.
pub fn wanted(app: &App, screen: Rect) -> Option<&Fetch> {
    let fits = screen.width >= LEAST.0 && screen.height >= LEAST.1;
    let no_model =
        matches!(app.model.status, ModelStatus::None | ModelStatus::Fetching | ModelStatus::Failed { .. });
    app.model.fetch().filter(|_| fits && no_model && app.talk.chat.turns.is_empty())
}

/// Draws the screen; gives the composer's area and the cursor's cell.
pub fn draw(
    app: &App,
    theme: &Theme,
    fetch: &Fetch,
    screen: Rect,
    buf: &mut Buffer,
) -> (Rect, Option<(u16, u16)>) {
    let most = (screen.height / 4).max(2);
    let height = composer::height(app, screen.width, most).clamp(2, most);
    let composer = Rect { y: screen.bottom() - 1 - height, height, ..screen };
    let above = Rect { height: composer.y - screen.y, ..screen };
    words(app, theme, fetch, above, buf);
    if app.out.notice.is_some() {
        rows::notice(app, theme, text::row(above, above.height - 1, 0), 0, buf);
    }
    hints(app, theme, fetch, text::row(screen, screen.height - 1, 0), buf);
    (composer, composer::draw(app, theme, composer, buf))
}

fn words(app: &App, theme: &Theme, fetch: &Fetch, area: Rect, buf: &mut Buffer) {
    let style = |role| theme.style(role);
    let room = area.width.saturating_sub(6);
    let mut lines: Vec<(String, Role)> = vec![
        ("glassbox".into(), Role::Strong),
        (String::new(), Role::Text),
        ("A chat with a model that runs on this machine, in which".into(), Role::Text),
        ("every word can be opened.".into(), Role::Text),
        (String::new(), Role::Text),
        (model_line(app, fetch), Role::Text),
        (small(fetch).into(), Role::Muted),
        (String::new(), Role::Text),
    ];
    // On low screens what happens now matters more than the blank rows.
    let mut y = if area.height >= 20 { 3 } else { 0 };
    if area.height < 20 {
        lines.retain(|(line, _)| !line.is_empty());
    }
    for (line, role) in lines {
        text::put(buf, text::row(area, y, 3), &text::cut(&line, room), style(role));
        y += 1;
    }
    for (index, stage) in
        [FetchStage::Download, FetchStage::Unpack, FetchStage::Check].into_iter().enumerate()
    {
        stage_row(app, theme, fetch, (index, stage), text::row(area, y, 0), buf);
        y += 1;
    }
    let gap = u16::from(area.height >= 17);
    y += gap;
    let (said, role) = outcome(app, fetch);
    for line in text::wrap(&said, room) {
        text::put(buf, text::row(area, y, 3), &line, style(role));
        y += 1;
    }
    let better = better(app, usize::from(area.height.saturating_sub(y + 5)));
    let rest = [
        "You can type already: your first message is sent when the model is ready.".to_owned(),
        "no network?  glassbox --model /path/to/file.gguf".to_owned(),
    ];
    // What can be fetched beside it takes the blank row between the two.
    for (part, gap) in
        [(&better[..], gap), (&rest[..1], gap), (&rest[1..], gap * u16::from(better.is_empty()))]
    {
        y += if part.is_empty() { 0 } else { gap };
        for line in part {
            text::put(buf, text::row(area, y, 3), &text::cut(line, room), style(Role::Muted));
            y += 1;
        }
    }
}

/// What the built-in model is.
fn small(fetch: &Fetch) -> &'static str {
    if fetch.entry.name == DEFAULT_MODEL {
        "It is small: often wrong, and good for looking inside."
    } else {
        ""
    }
}

/// What else this machine can run, once that is known: as many as there are rows for, the recommended one in any case.
fn better(app: &App, rows: usize) -> Vec<String> {
    let offers: Vec<&Offered> =
        app.model.catalogue.iter().filter_map(|item| item.offered.as_deref()).collect();
    let fitting: Vec<&Offered> = offers.into_iter().filter(|offer| offer.fits() == Some(true)).collect();
    let Some(best) = fitting.iter().find(|offer| offer.recommended) else { return Vec::new() };
    let key = app.keymap.shown(Command::Models);
    let line = |offer: &Offered| {
        let (size, licence) = (number::bytes(offer.model.bytes), &offer.model.licence);
        format!("{}, {size}, about {:.0} tokens/s, {licence}", offer.model.title, offer.speed)
    };
    if rows < fitting.len() + 2 {
        return vec![format!("{key}, better here: {}", line(best))];
    }
    let mark = |offer: &&Offered| if offer.recommended { "   recommended" } else { "" };
    let head = format!("{key} fetches better ones meanwhile. What fits here, by its memory:");
    let rows = fitting.iter().map(|offer| format!("  {}{}", line(offer), mark(offer)));
    std::iter::once(head).chain(rows).collect()
}

fn model_line(app: &App, fetch: &Fetch) -> String {
    let entry =
        app.model.catalogue.iter().map(|item| &item.entry).find(|entry| entry.name == fetch.entry.name);
    let licence = entry.and_then(|entry| entry.licence.as_ref());
    let licence = licence.map(|licence| format!(", {}", sanitize::for_display(&licence.name)));
    format!(
        "The model to start with: {}{}",
        sanitize::for_display(&app.config.model_title(&fetch.entry.name)),
        licence.unwrap_or_default()
    )
}

fn stage_row(
    app: &App,
    theme: &Theme,
    fetch: &Fetch,
    (index, stage): (usize, FetchStage),
    at: Rect,
    buf: &mut Buffer,
) {
    let name = match stage {
        FetchStage::Download => "fetch",
        FetchStage::Unpack => "unpack",
        FetchStage::Check => "check",
    };
    let role = if fetch.stage == stage { Role::Text } else { Role::Muted };
    text::put(buf, text::row(at, 0, 3), name, theme.style(role));
    let (_, done, total) = fetch.stages[index];
    let size = app
        .model
        .catalogue
        .iter()
        .find(|item| item.entry.name == fetch.entry.name)
        .and_then(|i| i.entry.size);
    let total = match (total, stage, size) {
        (0, FetchStage::Download, Some(size)) => size.download,
        (0, FetchStage::Unpack, Some(size)) => size.file,
        (known, ..) => known,
    };
    let cells = BAR.min(at.width.saturating_sub(34));
    if total > 0 {
        let share = done as f64 / total as f64;
        let style = theme.style(Role::ProbBar);
        bar::draw(buf, text::row(at, 0, 13), share, cells, &theme.symbols.bar, style);
    }
    let figures = match (stage, done, total) {
        (FetchStage::Check, 0, _) => "  SHA-256".to_owned(),
        (_, _, 0) => format!("{:>5} MiB", number::mebibytes(done)),
        _ => format!("{:>5} of {:>5} MiB", number::mebibytes(done), number::mebibytes(total)),
    };
    text::put(buf, text::row(at, 0, cells + 15), &figures, theme.style(role));
}

/// How fast and how long, or why not and what to do.
fn outcome(app: &App, fetch: &Fetch) -> (String, Role) {
    if let Some(why) = fetch.failed() {
        let again = app.keymap.shown(Command::Reload);
        let other = app.keymap.shown(Command::Models);
        let why = sanitize::for_display(why);
        let why = why.trim_end_matches('.');
        return (format!("error: {why}. {again} tries again, {other} chooses another model."), Role::Error);
    }
    let (_, done, total) = fetch.stages[0];
    let kept = "Kept in the data folder; never fetched again.";
    if fetch.stage != FetchStage::Download || fetch.speed <= 0.0 {
        return (kept.into(), Role::Muted);
    }
    let speed = number::mebibytes(fetch.speed as u64);
    let left = (total.saturating_sub(done) as f64 / f64::from(fetch.speed)).round() as u64;
    let more = match (total, left) {
        (0, _) => String::new(),
        (_, 0..=99) => format!(", about {} s more", left.max(1)),
        _ => format!(", about {} min more", left.div_ceil(60)),
    };
    (format!("{speed} MiB/s{more}. {kept}"), Role::Muted)
}

fn hints(app: &App, theme: &Theme, fetch: &Fetch, at: Rect, buf: &mut Buffer) {
    let key = |command| app.keymap.shown(command);
    let first = if fetch.failed().is_some() {
        (key(Command::Reload), "try again")
    } else {
        (key(Command::Escape), "stop the download")
    };
    let offered = [
        first,
        (key(Command::Models), "another model"),
        (key(Command::Quit), "quit"),
        (key(Command::Help), "help"),
    ];
    rows::keys(buf, theme, at, &offered);
}
