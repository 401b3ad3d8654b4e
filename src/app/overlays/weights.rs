//! The keys of what each sentence weighs; what is known of it is [`crate::app::App::weights`].

use super::{Opens, OverlayUnit, list};
use crate::app::App;
use crate::app::transcript::cursor::Move;
use crate::command::{Command, Context};

/// What each sentence weighs, beside the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsPanel;

impl OverlayUnit for WeightsPanel {
    const CONTEXTS: &'static [Context] = &[Context::Weights, Context::Overlay];
    const DOCKS: bool = true;
    const OPENS: Opens = &[(Command::Weights, App::open_weights)];

    fn command(app: &mut App, command: Command) -> bool {
        let Some(weights) = &mut app.weights else { return false };
        let rows = weights.parts.len();
        match command {
            Command::ListUp | Command::ListDown => {
                app.select_part(|row| list::moved(command, row, rows).unwrap_or(row));
            }
            Command::Choose if !weights.started => weights.started = true,
            Command::WeightsGrain if !weights.started => {
                let (reply, by_message) = (weights.reply, !weights.by_message);
                app.weights = Some(Box::new(app.view().weights_of(reply, by_message)));
            }
            Command::WeightsDrop => {
                app.drop_weights();
                app.out.say("the weights are dropped");
            }
            Command::WhatIf => app.try_without_selected(),
            Command::WeightsWhole => app.transcript.leave_cursor(),
            Command::TokenNext | Command::SelectRight => app.move_weighed(Move::Next),
            Command::TokenPrevious | Command::SelectLeft => app.move_weighed(Move::Previous),
            Command::WordNext => app.move_weighed(Move::NextWord),
            Command::WordPrevious => app.move_weighed(Move::PreviousWord),
            _ => return false,
        }
        true
    }

    fn closed(self, app: &mut App) {
        app.close_weights();
    }
}
