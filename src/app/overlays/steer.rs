//! The keys of the steering panel; its state is [`crate::app::Steer`], which outlives it.

use crossterm::event::KeyEvent;

use super::{Opens, OverlayUnit};
use crate::app::{App, ChatView, Edit, Inspector, SteerField};
use crate::command::{Command, Context};

/// The strongest push, hundredths of the stream's length.
const MOST: i32 = 200;
/// How far a key moves the strength.
const STEP: i32 = 5;

/// The steering panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteerPanel;

impl OverlayUnit for SteerPanel {
    const CONTEXTS: &'static [Context] = &[Context::Steer, Context::Overlay];
    const OPENS: Opens = &[(Command::Steer, App::open_steer)];

    fn types(&self, app: &App) -> bool {
        matches!(app.inspector.steer.field, SteerField::Towards | SteerField::Away)
    }

    fn command(app: &mut App, command: Command) -> bool {
        match command {
            Command::ListDown | Command::SteerNext => app.inspector.steer.steer_field(1),
            Command::ListUp | Command::SteerPrevious => app.inspector.steer.steer_field(3),
            Command::Choose => app.keep_steering(),
            Command::SteerTwin => app.talk.toggle_twin(with!(app), &mut app.out),
            Command::SteerEnd => app.talk.steer_off(with!(app), &mut app.out),
            Command::SteerWrite => app.open_write_vector(),
            Command::SteerRead => app.open_read_vector(),
            Command::SteerSwap => app.inspector.steer.swap_texts(),
            Command::ValueLess => return app.inspector.step_steer_value(view!(app), -1),
            Command::ValueMore => return app.inspector.step_steer_value(view!(app), 1),
            _ => return false,
        }
        true
    }

    fn key(app: &mut App, key: KeyEvent) -> bool {
        let steer = &mut app.inspector.steer;
        let line = match steer.field {
            SteerField::Towards => &mut steer.towards,
            SteerField::Away => &mut steer.away,
            SteerField::Layer | SteerField::Strength => return false,
        };
        line.key(key) != Edit::Ignored
    }
}

impl Inspector {
    /// The layer or the strength is moved; false in a field that is a text.
    fn step_steer_value(&mut self, view: ChatView<'_>, by: i32) -> bool {
        let layer = self.display(view).steer_layer();
        let last = view.ready().map_or(0, |loaded| loaded.facts.layers.saturating_sub(1));
        let steer = &mut self.steer;
        match steer.field {
            SteerField::Towards | SteerField::Away => return false,
            SteerField::Layer => steer.layer = Some(layer.saturating_add_signed(by).min(last)),
            SteerField::Strength => steer.percent = (steer.percent + by * STEP).clamp(-MOST, MOST),
        }
        true
    }
}
