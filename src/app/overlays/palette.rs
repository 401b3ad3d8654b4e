//! The command palette: every command that can be run from anywhere; once something is typed, also the chats, models,
//! personas, themes and settings that hold it.
//!
//! Invariant: rows are indices into the command table, then into all the others.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Opens, OverlayUnit};
use crate::app::{App, Focus, Picker, input::fuzzy, setting_keys, setting_label};
use crate::chat::ConversationId;
use crate::command::{Command, Context, Entry, TABLE};
use crate::fold::fold;

/// The command palette.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Palette {
    const OPENS: Opens = &[(Command::Palette, |app| list::open(app, Self::default()))];

    as_a_list!(all);
}

impl Listed for Palette {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let filter = filter.trim_start().trim_start_matches('/');
        let offered: Vec<usize> = (0..TABLE.len()).filter(|at| TABLE[*at].is_offered()).collect();
        let mut texts: Vec<(usize, String)> =
            offered.iter().map(|at| (*at, format!("{} {}", TABLE[*at].help(), TABLE[*at].name))).collect();
        if !filter.trim().is_empty() {
            texts.extend(others(app, filter));
        }
        let said: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        // What takes something away is found by its words alone.
        let meant = |at: &usize| {
            let destroys = TABLE.get(texts[*at].0).is_some_and(|entry| entry.command.destroys());
            !destroys || fuzzy::names_words(filter, said[*at])
        };
        let ranked = fuzzy::rank(filter, &said).into_iter().filter(meant);
        let mut rows: Vec<usize> = ranked.map(|at| texts[at].0).collect();
        // A command's own name means that command.
        rows.sort_by_key(|at| TABLE.get(*at).is_none_or(|entry| entry.name != filter));
        rows
    }

    /// A command that needs an argument goes on in the composer, if that is free.
    fn choose(app: &mut App, row: usize) {
        let Some(item) = Item::at(app, row) else { return };
        app.overlays.pop();
        match item {
            Item::Command(entry) if entry.command.needs_argument() && app.composer.is_empty() => {
                app.set_focus(Focus::Composer);
                app.composer.replace(&app.model, &mut app.out, &format!("/{} ", entry.name));
                app.complete();
            }
            Item::Command(entry) => app.run_command(entry.command),
            Item::Chat(chat, _) => app.open_chat(chat, None),
            Item::Model(name) => app.switch_model(&name),
            Item::Persona(name) => {
                app.persona_named(&name);
            }
            Item::Theme(name) => app.config.set_theme(&mut app.out, &name),
            Item::Setting(key) => app.open_setting(&key),
        }
    }
}

/// What a row of the palette stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A command.
    Command(&'static Entry),
    /// A chat and its title.
    Chat(ConversationId, String),
    /// A model by its name.
    Model(String),
    /// A persona.
    Persona(String),
    /// A theme.
    Theme(String),
    /// A setting by its key.
    Setting(String),
}

impl Item {
    /// What a row stands for: the rows are the command table's, then all the others.
    pub fn at(app: &App, row: usize) -> Option<Self> {
        match row.checked_sub(TABLE.len()) {
            None => TABLE.get(row).map(Self::Command),
            Some(other) => Self::others(app).nth(other),
        }
    }

    /// What is not a command, in the order of the rows.
    fn others(app: &App) -> impl Iterator<Item = Self> + use<'_> {
        let chats = app.talk.chats.heads.iter().chain(&app.talk.chats.archived);
        let chats = chats.map(|head| Self::Chat(head.id, head.title.clone()));
        let models = app.config.models.iter().map(|entry| Self::Model(entry.name.clone()));
        let personas = app.config.personas.keys().cloned().map(Self::Persona);
        let themes = app.themes.iter().cloned().map(Self::Theme);
        let settings = setting_keys(app).into_iter().map(Self::Setting);
        models.chain(personas).chain(themes).chain(settings).chain(chats)
    }

    /// What stands at the right: what it is.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Chat(..) => "chat",
            Self::Model(_) => "model",
            Self::Persona(_) => "persona",
            Self::Theme(_) => "theme",
            Self::Setting(_) => "setting",
        }
    }

    /// What it is called.
    pub fn label(&self) -> String {
        match self {
            Self::Command(entry) => entry.help().to_owned(),
            Self::Chat(_, name) | Self::Model(name) | Self::Persona(name) | Self::Theme(name) => name.clone(),
            Self::Setting(key) => setting_label(key),
        }
    }
}

/// Rows that are no commands and hold every word of the filter, with the texts they are ranked by.
fn others(app: &App, filter: &str) -> Vec<(usize, String)> {
    let words = fold(filter);
    let rows = Item::others(app)
        .enumerate()
        .map(|(at, item)| (TABLE.len() + at, format!("{} {}", item.label(), item.kind())));
    let holds = |text: &str| {
        let text = fold(text);
        words.split(' ').all(|word| text.contains(word))
    };
    rows.filter(|(_, text)| holds(text)).collect()
}
