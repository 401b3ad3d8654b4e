//! The feed-forward station: what each block's neurons add.
//!
//! Invariant: pushes are between the chosen token and its rival of now.

mod neurons;
mod state;

use super::{About, Hints, Keys, StationUnit, arrow};
use crate::app::inspector::{Exported, NEIGHBOURS, Wish};
use crate::app::{App, Display};
use crate::command::{Command, Context};
use crate::engine::protocol::{Capability, Live, Want};
use crate::inspect::trace::Component;
pub use state::FfnView;

/// 5
pub(crate) struct Ffn;

impl StationUnit for Ffn {
    fn about(&self) -> About {
        About {
            name: "ffn",
            title: "Feed-forward",
            strip: "ffn",
            shows: "what each layer added",
            contexts: &[Context::Ffn],
            page: include_str!("ffn.md"),
        }
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::OpensPasses)
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        on.pass_wish(|mut asked| {
            on.want_ffn(on.opened_layer(), &mut asked.want)?;
            Some(asked)
        })
    }

    fn wants_live(&self, on: &Display<'_>, live: &mut Live) -> bool {
        live.want =
            Want { ffn: vec![on.opened_layer()], neurons: NEIGHBOURS, words: true, ..Want::default() };
        true
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::SortNeurons => app.inspector.sort_neurons(&mut app.out),
            Command::FfnList => app.inspector.ffn.on_neurons = !app.inspector.ffn.on_neurons,
            Command::NextRival => app.inspector.next_rival(view!(app)),
            Command::OpenSelected => app.inspector.show_selected_alone(),
            _ => {
                let Some((down, right)) = arrow(command) else { return false };
                app.inspector.move_neuron(view!(app), down, right);
            }
        }
        true
    }

    fn selected(&self, on: &Display<'_>) -> Option<Component> {
        Some(on.selected_neuron().unwrap_or(Component::Ffn(on.opened_layer())))
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        vec![
            (keys.rows(), if on.inspector.ffn.on_neurons { "neuron" } else { "layer" }),
            (keys.of(Command::FfnList), "list"),
            (keys.of(Command::OpenSelected), "open"),
            (keys.of(Command::SortNeurons), "by push"),
            (keys.of(Command::NextRival), "rival"),
            (keys.of(Command::SwitchOff), "switch off"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.take_trace(on, |own, whole| own.ffn.clone_from(&whole.ffn));
        let Some(seen) = on.shown_inside() else { return };
        file.ffns.clone_from(&seen.ffns);
        file.ffn_layers.clone_from(&seen.ffn_layers);
    }
}
