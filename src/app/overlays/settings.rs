//! The list of settings: stepping, typing a value, going back to the default, undoing.
//!
//! Invariant: rows are indices into [`crate::app::setting_keys`] and keep the order of its sections.

use crossterm::event::KeyEvent;

use super::list::{self, Listed};
use super::{Opens, OverlayUnit};
use crate::app::{App, Edit, LineEdit, Picker, input::fuzzy, setting_keys, setting_label, setting_section};
use crate::command::{Command, Context};

/// Settings in use and where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Filter, rows, and a value that is being typed.
    pub picker: Picker,
}

impl OverlayUnit for Settings {
    const CONTEXTS: &'static [Context] = &[Context::Settings, Context::Picker, Context::Overlay];
    const OPENS: Opens = &[(Command::Settings, open), (Command::Preset, open), (Command::Set, open)];

    fn types(&self, _app: &App) -> bool {
        true
    }

    fn command(app: &mut App, command: Command) -> bool {
        let Some(setting) = app.selected_setting() else { return list::command::<Self>(app, command) };
        let Some(Self { picker }) = app.overlays.top_mut::<Self>() else { return false };
        if let (Some(value), Command::Choose) = (&picker.value, command) {
            let text = value.text.clone();
            picker.value = None;
            app.put_setting(&setting, Some(text.trim()));
            return true;
        }
        let typing = picker.value.is_some();
        let filtered = !picker.filter.text.is_empty();
        match command {
            Command::Undo if !typing => app.undo_setting(),
            Command::ValueLess if !typing => app.step_setting(&setting, -1),
            Command::ValueMore if !typing => app.step_setting(&setting, 1),
            Command::SaveSetting if !typing => app.save_setting(&setting),
            Command::ValueDefault if !typing && !filtered => app.put_setting(&setting, None),
            _ => return list::command::<Self>(app, command),
        }
        true
    }

    fn key(app: &mut App, key: KeyEvent) -> bool {
        let value = app.overlays.top_mut::<Self>().and_then(|open| open.picker.value.as_mut());
        match value {
            Some(value) => value.key(key) != Edit::Ignored,
            None => list::key::<Self>(app, key),
        }
    }

    fn paste(app: &mut App, text: &str) {
        let value = app.overlays.top_mut::<Self>().and_then(|open| open.picker.value.as_mut());
        match value {
            Some(value) => value.insert(&text.replace('\n', " ")),
            None => list::paste::<Self>(app, text),
        }
    }

    fn refill(app: &mut App) {
        list::refill::<Self>(app);
        // Sections keep their order, so the best match is where the selection goes, not the first row.
        if let Some(Self { picker }) = app.overlays.top_mut::<Self>() {
            let chosen = picker.rows.get(picker.selected).copied();
            picker.rows.sort_unstable();
            picker.selected = picker.rows.iter().position(|row| Some(*row) == chosen).unwrap_or_default();
        }
    }

    fn leave(&mut self) -> bool {
        self.picker.value.take().is_some()
    }
}

impl App {
    /// Opens the settings at one of them.
    pub(super) fn open_setting(&mut self, key: &str) {
        open(self);
        let at = setting_keys(self).iter().position(|other| other == key);
        list::select::<Settings>(self, at);
    }
}

fn open(app: &mut App) {
    if app.overlays.top::<Settings>().is_none() {
        app.book.settings_before.clear();
    }
    list::open(app, Settings::default());
}

impl Listed for Settings {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let named = |key: &String| format!("{key} {} {}", setting_label(key), setting_section(key));
        let texts: Vec<String> = setting_keys(app).iter().map(named).collect();
        fuzzy::rank(filter, &texts.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Enter begins a value.
    fn choose(app: &mut App, _row: usize) {
        let Some(setting) = app.selected_setting() else { return };
        let value = LineEdit::new(app.view().setting_value(&setting));
        if let Some(open) = app.overlays.top_mut::<Self>() {
            open.picker.value = Some(value);
        }
    }
}

impl App {
    fn selected_setting(&self) -> Option<String> {
        let picker = &self.overlays.top::<Settings>()?.picker;
        setting_keys(self).get(*picker.rows.get(picker.selected)?).cloned()
    }
}
