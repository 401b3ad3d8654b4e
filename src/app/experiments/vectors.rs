//! The steering panel's push as a control vector of llama.cpp's, and one of those for the chat.
//!
//! Invariant: a push that grows with the stream becomes one that is added as it is, of the length that it has where the
//! stream is as long as in the texts; that is said where it is written.

use std::path::Path;

use crate::app::transcript::ledger::file_name;
use crate::app::{App, Display, Effect, PromptAction, TextBox, TextEdit};
use crate::chat::Steering;
use crate::models::gguf::control_vector;

impl App {
    /// Asks where the panel's push is to be written.
    pub(in crate::app) fn open_write_vector(&mut self) {
        let Some(push) = self.display().push() else {
            return self.out.say("two texts give the direction first");
        };
        if let Some(why) = refused(&push) {
            return self.out.warn(why);
        }
        let name = format!("{}.gguf", file_name(&push.name));
        self.ask_for_file("Write this push as a control vector (GGUF)", &name, PromptAction::WriteVector);
    }

    /// Asks which control vector is to be used in this chat.
    pub(in crate::app) fn open_read_vector(&mut self) {
        let title = "A control vector (GGUF) for this chat, and its scale";
        self.ask_for_file(title, "", PromptAction::ReadVector);
    }

    fn ask_for_file(&mut self, title: &str, name: &str, action: PromptAction) {
        let path = if self.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", self.folder) };
        self.overlays.push(TextBox { title: title.into(), input: TextEdit::new(&path), action });
    }

    /// Writes the panel's push to a file.
    pub(in crate::app) fn write_vector(&mut self, name: &str) {
        let Some(push) = self.display().push().filter(|push| refused(push).is_none()) else {
            return self.out.say("two texts give the direction first");
        };
        let Some(layer) = push.layers.first().copied().filter(|_| !name.is_empty()) else { return };
        let architecture = self.view().ready().map_or("", |loaded| loaded.facts.architecture.as_str());
        let length = push.strength * push.stream;
        let values = push.direction.iter().map(|along| length * along).collect();
        let bytes = control_vector::file(&push.name, architecture, &[(layer, values)]);
        let said = format!(
            "{:+.2} ‖h‖ after L{layer} as a vector of length {:.1}, ‖h‖ being {:.1} on average in the texts; it is added \
             as it is, at position 0 too",
            push.strength,
            length.abs(),
            push.stream
        );
        let is_named = Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
        let name = if is_named { name.to_owned() } else { format!("{name}.gguf") };
        self.out.emit(Effect::WriteVector { name, bytes, said });
    }
}

impl Display<'_> {
    /// Whether the panel's push can be written to a file.
    pub fn can_write_vector(&self) -> bool {
        self.push().is_some_and(|push| refused(&push).is_none())
    }
}

/// Why a push cannot be a control vector.
fn refused(push: &Steering) -> Option<&'static str> {
    if push.strength == 0.0 {
        return Some("the strength is 0: ↓ to it, then → pushes towards the first text");
    }
    if push.layers.first() == Some(&0) {
        return Some("a control vector cannot push after L0: choose a later layer");
    }
    (push.stream <= 0.0)
        .then_some("how long the stream is there is not known: type the two texts again to measure it")
}
