//! The attention station: which earlier tokens each head reads, over a stretch of text, and in the text itself.
//!
//! Invariant: asked only for what is shown; the pass goes before rows, rows before what heads usually do.

mod choices;
mod ink;
mod rows;
mod state;

#[cfg(test)]
mod tests;

use super::{Hints, Keys, StationUnit, arrow};
use crate::app::App;
use crate::app::inspector::{Exported, Wish};
use crate::command::{Command, Context};
use crate::engine::protocol::{Live, Want};
use crate::inspect::trace::Part;
pub use ink::{InkPlace, Inked};
pub use state::{AttentionPicture, AttentionView, Grain, Ink, Stretched};

/// 4
pub(crate) struct Attention;

impl StationUnit for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn title(&self) -> &'static str {
        "Attention"
    }

    fn strip(&self) -> [&'static str; 2] {
        ["att", "attn"]
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Attention]
    }

    fn wants(&self, app: &App) -> Option<Wish> {
        app.display().pass_wish(|mut asked| {
            let (layer, head) = (app.display().opened_layer(), app.inspector.inside.head);
            let known = app.display().shown_inside().and_then(|seen| seen.trace.attention.as_ref());
            let there = known.is_some_and(|known| known.layers.iter().any(|known| known.layer == layer));
            let told = app.display().told_head().is_some_and(|told| told.tells_of(&asked.want.follow));
            let overview = known.is_none_or(|known| known.overview.is_empty());
            if !overview && there && told {
                return None;
            }
            asked.want.overview = overview;
            asked.want.attention = if there { Vec::new() } else { vec![layer] };
            asked.want.head = Some((layer, head)).filter(|_| !told);
            Some(asked)
        })
    }

    fn wants_live(&self, app: &App, live: &mut Live) -> bool {
        live.want = Want { overview: true, attention: vec![app.display().opened_layer()], ..Want::default() };
        true
    }

    fn pass_opened(&self, app: &mut App) {
        app.aim();
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::AttentionPicture => app.next_picture(),
            Command::AttentionMatrix => app.show_picture(AttentionPicture::Matrix),
            Command::AttentionRollout => app.show_picture(AttentionPicture::Rollout),
            Command::AttentionReaders => app.turn_direction(),
            Command::AttentionRaw => app.inspector.attention.raw = !app.inspector.attention.raw,
            Command::AttentionFirstToken => app.hide_first(),
            Command::AttentionGrain => app.next_grain(),
            Command::AttentionContrast => app.next_contrast(),
            Command::OpenSelected => app.show_selected_alone(),
            Command::WatchToken => app.watch_selected(),
            _ => {
                let Some((down, right)) = arrow(command) else { return false };
                if !app.moves_cell(down, right) {
                    app.aim_by(down, right);
                }
            }
        }
        true
    }

    fn leave(&self, app: &mut App) -> bool {
        if app.inspector.attention.picture == AttentionPicture::Heads {
            return std::mem::take(&mut app.inspector.inside.opened);
        }
        app.show_picture(AttentionPicture::Heads);
        true
    }

    fn selected(&self, app: &App) -> Option<Part> {
        Some(Part::Head(app.display().opened_layer(), app.inspector.inside.head))
    }

    fn hints(&self, app: &App) -> Hints {
        let keys = Keys(app);
        let (moves, next) = match app.inspector.attention.picture {
            AttentionPicture::Heads => ("head", "matrix"),
            AttentionPicture::Matrix => ("cell", "rollout"),
            AttentionPicture::Rollout => ("cell", "heads"),
        };
        vec![
            (keys.cells(), moves),
            (keys.of(Command::AttentionPicture), next),
            (keys.of(Command::AttentionReaders), "reads / is read by"),
            (keys.of(Command::AttentionInk), "ink"),
            (keys.of(Command::AttentionRaw), "weight / written"),
            (keys.of(Command::AttentionFirstToken), "token 0"),
            (keys.of(Command::SwitchOff), "switch off"),
        ]
    }

    fn page(&self) -> &'static str {
        include_str!("attention.md")
    }

    fn export(&self, app: &App, file: &mut Exported) {
        file.take_trace(app, |own, whole| own.attention.clone_from(&whole.attention));
        file.rows = app.display().rows_on_display();
    }
}
