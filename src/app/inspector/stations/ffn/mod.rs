//! The feed-forward station: what each block's neurons add.
//!
//! Invariant: pushes are between the chosen token and its rival of now.

mod neurons;
mod state;

use super::{Hints, Keys, StationUnit, arrow};
use crate::app::App;
use crate::app::inspector::{Exported, NEIGHBOURS, Wish};
use crate::command::{Command, Context};
use crate::engine::protocol::{Live, Want};
use crate::inspect::trace::Part;
pub use state::FfnView;

/// 5
pub(crate) struct Ffn;

impl StationUnit for Ffn {
    fn name(&self) -> &'static str {
        "ffn"
    }

    fn title(&self) -> &'static str {
        "Feed-forward"
    }

    fn strip(&self) -> [&'static str; 2] {
        ["ffn", "ffn"]
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Ffn]
    }

    fn wants(&self, app: &App) -> Option<Wish> {
        app.display().pass_wish(|mut asked| {
            app.display().want_ffn(app.display().opened_layer(), &mut asked.want)?;
            Some(asked)
        })
    }

    fn wants_live(&self, app: &App, live: &mut Live) -> bool {
        live.want = Want {
            ffn: vec![app.display().opened_layer()],
            neurons: NEIGHBOURS,
            words: true,
            ..Want::default()
        };
        true
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::SortNeurons => app.sort_neurons(),
            Command::FfnList => app.inspector.ffn.on_neurons = !app.inspector.ffn.on_neurons,
            Command::NextRival => app.next_rival(),
            Command::OpenSelected => app.show_selected_alone(),
            _ => {
                let Some((down, right)) = arrow(command) else { return false };
                app.move_neuron(down, right);
            }
        }
        true
    }

    fn selected(&self, app: &App) -> Option<Part> {
        Some(app.display().selected_neuron().unwrap_or(Part::Ffn(app.display().opened_layer())))
    }

    fn hints(&self, app: &App) -> Hints {
        let keys = Keys(app);
        vec![
            (keys.rows(), if app.inspector.ffn.on_neurons { "neuron" } else { "layer" }),
            (keys.of(Command::FfnList), "list"),
            (keys.of(Command::OpenSelected), "open"),
            (keys.of(Command::SortNeurons), "by push"),
            (keys.of(Command::NextRival), "rival"),
            (keys.of(Command::SwitchOff), "switch off"),
        ]
    }

    fn page(&self) -> &'static str {
        include_str!("ffn.md")
    }

    fn export(&self, app: &App, file: &mut Exported) {
        file.take_trace(app, |own, whole| own.ffn.clone_from(&whole.ffn));
        let Some(seen) = app.display().shown_inside() else { return };
        file.ffns.clone_from(&seen.ffns);
        file.ffn_layers.clone_from(&seen.ffn_layers);
    }
}
