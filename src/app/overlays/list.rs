//! What overlays that are lists have in common: moving the selected row, the filter, choosing.
//!
//! Invariant: rows are indices into the list's own source, never copies of it.

use crossterm::event::KeyEvent;

use super::OverlayUnit;
use crate::app::{App, Edit, Picker};
use crate::command::{Command, Context};

/// The contexts of a list without keys of its own.
pub(super) const CONTEXTS: &[Context] = &[Context::Picker, Context::Overlay];

/// Where a command moves the selected one of so many rows; `None` for another command.
pub(super) fn moved(command: Command, selected: usize, rows: usize) -> Option<usize> {
    let last = rows.saturating_sub(1);
    let to = match command {
        Command::ListUp | Command::ScrollUp => selected.saturating_sub(1),
        Command::ListDown | Command::ScrollDown => selected + 1,
        Command::ListPageUp => selected.saturating_sub(10),
        Command::ListPageDown => selected + 10,
        Command::ListFirst => 0,
        Command::ListLast => last,
        _ => return None,
    };
    Some(to.min(last))
}

/// Scrolls a text, whose last first row is `furthest`; whether the command is one that does.
pub(super) fn scrolled(command: Command, scroll: &mut u16, furthest: u16) -> bool {
    let to = moved(command, (*scroll).into(), usize::from(furthest) + 1);
    *scroll = to.and_then(|to| u16::try_from(to).ok()).unwrap_or(*scroll);
    to.is_some()
}

/// A list with a filter.
pub(super) trait Listed: OverlayUnit {
    /// Filter and rows.
    fn picker(&mut self) -> &mut Picker;

    /// The rows that the filter leaves, best first.
    fn rows(app: &App, filter: &str) -> Vec<usize>;

    /// Another row is selected.
    fn selected(_app: &mut App) {}

    /// Enter on a row, by its index in the source.
    fn choose(app: &mut App, row: usize);
}

/// Opens a list, unless it is on top already.
pub(super) fn open<T: Listed>(app: &mut App, list: T) {
    if app.overlays.top::<T>().is_none() {
        app.overlays.push(list);
    }
    T::refill(app);
}

/// Selects a row by its index in the source.
pub(super) fn select<T: Listed>(app: &mut App, source: Option<usize>) {
    if let Some(picker) = app.overlays.top_mut::<T>().map(T::picker)
        && let Some(at) = picker.rows.iter().position(|row| Some(*row) == source)
    {
        picker.selected = at;
    }
}

/// The selected row's index in the source.
pub(super) fn chosen<T: Listed>(app: &mut App) -> Option<usize> {
    let picker = app.overlays.top_mut::<T>()?.picker();
    picker.rows.get(picker.selected).copied()
}

pub(super) fn refill<T: Listed>(app: &mut App) {
    let Some(filter) = app.overlays.top_mut::<T>().map(|list| list.picker().filter.text.clone()) else {
        return;
    };
    let rows = T::rows(app, &filter);
    if let Some(picker) = app.overlays.top_mut::<T>().map(T::picker) {
        picker.selected = picker.selected.min(rows.len().saturating_sub(1));
        picker.rows = rows;
    }
}

pub(super) fn command<T: Listed>(app: &mut App, command: Command) -> bool {
    let Some(picker) = app.overlays.top_mut::<T>().map(T::picker) else { return false };
    if let Some(to) = moved(command, picker.selected, picker.rows.len()) {
        picker.selected = to;
        T::selected(app);
    } else if command == Command::Choose {
        if let Some(row) = chosen::<T>(app) {
            T::choose(app, row);
        }
    } else {
        return false;
    }
    true
}

pub(super) fn key<T: Listed>(app: &mut App, key: KeyEvent) -> bool {
    let Some(picker) = app.overlays.top_mut::<T>().map(T::picker) else { return false };
    match picker.filter.key(key) {
        Edit::Changed => {
            picker.selected = 0;
            T::refill(app);
            T::selected(app);
            true
        }
        Edit::Moved => true,
        Edit::Ignored => false,
    }
}

pub(super) fn paste<T: Listed>(app: &mut App, text: &str) {
    if let Some(list) = app.overlays.top_mut::<T>() {
        list.picker().filter.insert(&text.replace('\n', " "));
        T::refill(app);
    }
}

/// What a list with a filter answers where it has nothing of its own to say; `all` of it where it has no keys of its own.
macro_rules! as_a_list {
    (all) => {
        const CONTEXTS: &'static [Context] = list::CONTEXTS;

        fn command(app: &mut App, command: Command) -> bool {
            list::command::<Self>(app, command)
        }

        as_a_list!();
    };
    () => {
        fn types(&self, _app: &App) -> bool {
            true
        }

        fn key(app: &mut App, key: KeyEvent) -> bool {
            list::key::<Self>(app, key)
        }

        fn paste(app: &mut App, text: &str) {
            list::paste::<Self>(app, text);
        }

        fn refill(app: &mut App) {
            list::refill::<Self>(app);
        }
    };
}
pub(super) use as_a_list;
