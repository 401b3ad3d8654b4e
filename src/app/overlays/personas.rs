//! The persona picker, and what choosing one does.
//!
//! Invariant: rows are indices into the personas of the configuration, in the order of their names.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Opens, OverlayUnit};
use crate::app::{App, ModelStatus, Picker, input::fuzzy};
use crate::command::{Command, Context};
use crate::config::NO_PERSONA;

/// The persona picker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Personas {
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Personas {
    const OPENS: Opens = &[(Command::Persona, open)];

    as_a_list!(all);
}

fn open(app: &mut App) {
    if app.config.personas.is_empty() {
        app.out.say(NO_PERSONA);
    } else {
        list::open(app, Personas::default());
    }
}

impl Listed for Personas {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let said = app.config.personas.iter().map(|(name, persona)| format!("{name} {}", persona.about));
        fuzzy::rank(filter, &said.collect::<Vec<_>>())
    }

    fn choose(app: &mut App, row: usize) {
        app.overlays.pop();
        if let Some(name) = app.config.personas.keys().nth(row).cloned() {
            app.persona_named(&name);
        }
    }
}

impl App {
    /// Begins with a persona.
    pub fn begin_as(&mut self, name: &str) -> Vec<crate::app::Effect> {
        self.persona_named(name);
        self.out.take_effects()
    }

    /// `/persona NAME`: the chat takes its system prompt, settings and model; `none` takes them away.
    pub(crate) fn persona_named(&mut self, name: &str) -> bool {
        let persona = match self.config.persona_or_none(name) {
            Ok(persona) => persona,
            Err(why) => {
                self.out.warn(why);
                return false;
            }
        };
        let model = self.config.put_on(name, &persona, &mut self.talk.chat.settings);
        self.talk.settings_changed(with!(self), &mut self.out);
        self.out.say(match name {
            "none" => "no persona in this chat".to_owned(),
            _ => format!("{name} in this chat"),
        });
        match model {
            Err(why) => self.out.warn(why),
            Ok(Some(model)) if self.model.status == ModelStatus::None => {
                self.talk.chat.settings.model = Some(model);
                self.talk.opening.model_of = Some(self.talk.chat.head.id);
            }
            Ok(Some(model)) => self.switch_model(&model),
            Ok(None) => {}
        }
        true
    }
}
