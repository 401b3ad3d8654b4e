//! `&App` to a ratatui buffer. Nothing here changes the state; what drawing learns, it gives back.
//!
//! Invariant: whatever the size and the state, every cell drawn lies on the screen.

pub(crate) mod ansi;
mod ascii;
pub mod cache;
pub(crate) mod chats;
mod colours;
pub(crate) mod composer;
pub(crate) mod firstrun;
#[cfg(test)]
mod frame_tests;
pub(crate) mod header;
pub(crate) mod inspector;
pub(crate) mod layout;
pub(crate) mod marks;
pub(crate) mod overlays;
pub(crate) mod picture;
pub(crate) mod printed;
pub(crate) mod rows;
pub(crate) mod shade;
mod shape;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;
mod tour;
pub(crate) mod transcript;
pub(crate) mod widgets;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Area, Focus, Geometry};
use crate::theme::{Role, Theme};
use cache::Cache;
use layout::{LEAST, Layout, Wants};

/// Draws the whole screen, sets the cursor, and gives back what was learned.
pub fn draw(frame: &mut Frame<'_>, app: &App, theme: &Theme, cache: &mut Cache) -> Geometry {
    let screen = frame.area();
    let (geometry, cursor) = render(app, theme, cache, screen, frame.buffer_mut());
    if let Some((x, y)) = cursor.filter(|(x, y)| screen.contains((*x, *y).into())) {
        frame.set_cursor_position((x, y));
    }
    geometry
}

/// The same into a buffer; the cursor's cell comes back with it.
pub fn render(
    app: &App,
    theme: &Theme,
    cache: &mut Cache,
    screen: Rect,
    buf: &mut Buffer,
) -> (Geometry, Option<(u16, u16)>) {
    let screen = screen.intersection(buf.area);
    if screen.is_empty() {
        return (Geometry::default(), None);
    }
    let (mut geometry, over, mut cursor) = match firstrun::wanted(app, screen) {
        Some(fetch) => {
            let (composer, cursor) = firstrun::draw(app, theme, fetch, screen, buf);
            let geometry = Geometry { areas: vec![(Focus::Composer, area(composer))], ..Geometry::default() };
            (geometry, Places { transcript: screen, composer, dock: screen }, cursor)
        }
        None => panes(app, theme, cache, screen, buf),
    };
    if !app.overlays.is_empty() || app.composer.completion.is_some() {
        geometry.links.clear(); // something may stand over them
    }
    if let Some(completion) = app.composer.completion.as_ref().filter(|_| app.overlays.is_empty()) {
        overlays::completion::draw(app, theme, completion, (screen, over.composer), buf);
    }
    for overlay in app.overlays.iter() {
        let at = if overlay.docks() { over.dock } else { over.transcript };
        let drawn = overlays::draw(app, theme, overlay, (screen, at), buf);
        (cursor, geometry.overlay_rows) = (drawn.cursor, drawn.furthest);
    }
    if theme.symbols.ascii {
        ascii::fold(buf);
    }
    (geometry, cursor)
}

/// Where overlays stand.
struct Places {
    transcript: Rect,
    composer: Rect,
    /// Beside the transcript.
    dock: Rect,
}

/// Everything but overlays; gives what was learned, where overlays stand, and the cursor.
fn panes(
    app: &App,
    theme: &Theme,
    cache: &mut Cache,
    screen: Rect,
    buf: &mut Buffer,
) -> (Geometry, Places, Option<(u16, u16)>) {
    let wants = Wants {
        chats: app.talk.chats.shown,
        inspector: app.inspector.shown,
        zoomed: app.inspector.zoomed,
        focus: app.focus,
        tour: app.tour.is_some(),
    };
    let wants = if app.overlays.dock() { wants.docked(screen) } else { wants };
    let mut layout = layout::compute(screen, wants, |width, most| match app.tour.as_deref() {
        Some(_) => tour::height(width).min(most),
        None => composer::height(app, width, most),
    });
    let dock = if app.overlays.dock() { layout.dock(screen) } else { screen };
    let mut geometry = Geometry { scroll: app.transcript.scroll, ..Geometry::default() };
    let mut cursor = None;
    if let Some(at) = layout.too_small {
        let words =
            format!("glassbox needs {} × {}; this is {} × {}", LEAST.0, LEAST.1, screen.width, screen.height);
        widgets::text::put(buf, at, &widgets::text::cut(&words, at.width), theme.style(Role::Warn));
    }
    if let Some(at) = layout.header {
        header::draw(app, theme, at, buf);
    }
    if let Some(at) = layout.chats {
        geometry.chats = chats::draw(app, theme, at, buf, app.out.now);
        geometry.areas.push((Focus::Chats, area(at)));
    }
    if let Some(at) = layout.transcript {
        let drawn = transcript::draw(app, theme, cache, at, buf);
        geometry.scroll = drawn.scroll;
        geometry.view_rows = drawn.view_rows;
        geometry.total_rows = drawn.total_rows;
        geometry.rows_below = drawn.rows_below;
        geometry.turns = drawn.turns;
        geometry.tokens = drawn.tokens;
        geometry.folds = drawn.folds;
        geometry.links = drawn.links;
        geometry.areas.push((Focus::Transcript, area(at)));
    }
    if let (Some(at), Some(tour)) = (layout.composer, app.tour.as_deref()) {
        tour::draw(app, theme, tour, at, buf);
    } else if let Some(at) = layout.composer {
        let cell = composer::draw(app, theme, at, buf);
        cursor = cell.filter(|_| app.focus == Focus::Composer);
        geometry.areas.push((Focus::Composer, area(at)));
    }
    inspector_parts(app, theme, &layout, &mut geometry, buf);
    rows::titles(app, theme, cache, &layout, buf);
    rows::separators(theme, &layout, buf);
    if let (Some(at), None) = (layout.notice, &app.transcript.find) {
        rows::notice(app, theme, at, geometry.rows_below, buf);
    }
    rows::hints(app, theme, &layout, buf);
    // Under an open station of a low screen it takes the place of the keys, as a notice does.
    if let (Some(find), Some(at)) = (&app.transcript.find, layout.notice.or(layout.hints)) {
        cursor = rows::find(theme, find, at, buf);
    }
    let places = Places {
        transcript: layout.transcript.unwrap_or(screen),
        composer: layout.composer.unwrap_or(screen),
        dock,
    };
    (geometry, places, cursor)
}

fn inspector_parts(app: &App, theme: &Theme, layout: &Layout, geometry: &mut Geometry, buf: &mut Buffer) {
    if let Some(at) = layout.station_title {
        rows::title(buf, theme, at, inspector::title(app), "", app.focus == Focus::Inspector);
    }
    if let Some(at) = layout.station {
        inspector::draw(app, theme, at, buf);
        geometry.areas.push((Focus::Inspector, area(at)));
    }
    if let Some(at) = layout.rail {
        inspector::rail::draw(app, theme, at, buf);
        geometry.areas.push((Focus::Inspector, area(at)));
    }
}

fn area(rect: Rect) -> Area {
    Area { x: rect.x, y: rect.y, width: rect.width, height: rect.height }
}
