//! The models of a server, and the choice of one of them.
//!
//! Invariant: rows are indices into the server's list; what is chosen is named so that its name finds it again.

use crossterm::event::KeyEvent;

use super::list::{self, Listed, as_a_list};
use super::{Models, OverlayUnit};
use crate::app::{App, Effect, Picker, input::fuzzy};
use crate::command::{Command, Context};
use crate::model_entry::ModelEntry;

/// The models of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Name of the entry whose server it is.
    pub name: String,
    /// Machine and port of the server.
    pub host: String,
    /// The models' ids, once the server has said them; or why it does not.
    pub models: Option<Result<Vec<String>, String>>,
    /// Filter and rows.
    pub picker: Picker,
}

impl OverlayUnit for Served {
    as_a_list!(all);
}

impl Served {
    /// The models that the server named.
    #[must_use]
    pub fn all(&self) -> &[String] {
        self.models.as_ref().and_then(|models| models.as_deref().ok()).unwrap_or_default()
    }
}

impl Listed for Served {
    fn picker(&mut self) -> &mut Picker {
        &mut self.picker
    }

    fn rows(app: &App, filter: &str) -> Vec<usize> {
        let all = app.overlays.top::<Self>().map_or(&[][..], Self::all);
        fuzzy::rank(filter, &all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn choose(app: &mut App, row: usize) {
        let chosen = app.overlays.top::<Self>();
        let chosen = chosen.and_then(|open| Some(app.config.served_name(&open.name, open.all().get(row)?)));
        let Some(name) = chosen else { return };
        app.overlays.pop();
        if app.overlays.top::<Models>().is_some() {
            app.overlays.pop();
        }
        app.switch_model(&name);
    }
}

impl App {
    /// Asks the server of an entry for its models.
    pub(super) fn open_served(&mut self, entry: ModelEntry) {
        let host = entry.server().map_or_else(String::new, |server| server.host().to_owned());
        self.overlays.push(Served { name: entry.name.clone(), host, ..Served::default() });
        self.out.emit(Effect::ReadServed(Box::new(entry)));
    }

    /// The server has answered, or it cannot; the model in use is selected.
    pub(crate) fn served_read(&mut self, name: &str, models: Result<Vec<String>, String>) {
        let in_use = |id: &String| self.config.served_name(name, id) == self.model.name;
        let at = models.as_ref().ok().and_then(|ids| ids.iter().position(in_use));
        let Some(open) = self.overlays.top_mut::<Served>().filter(|open| open.name == name) else { return };
        open.models = Some(models);
        Served::refill(self);
        list::select::<Served>(self, at);
    }
}
