//! Which messages are laid out as Markdown, and which as they were written.
//!
//! Invariant: what was asked for with a key goes before what the configuration says.

use crate::app::App;
use crate::chat::{Role, Turn};
use crate::config::Markdown;
use crate::markdown::Style;
use crate::ui::text::Shape;

/// How a message is laid out at a width: a user's as it was typed, unless that is wanted otherwise.
pub fn shape(app: &App, turn: &Turn, width: u16, ascii: bool) -> Shape {
    let width = width.max(1);
    let wanted = match app.config.ui.markdown {
        Markdown::Off => false,
        Markdown::Replies => turn.role == Role::Assistant,
        Markdown::All => true,
    };
    if wanted && !app.transcript.is_raw(turn.id) {
        Shape::Markdown(Style { width, wrap_code: app.config.ui.wrap_code, ascii })
    } else {
        Shape::Plain(width)
    }
}
