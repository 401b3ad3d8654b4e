//! The speaker line: who, which version, when or how sure.
//!
//! Invariant: the name always shows; what stands at the right goes from the right end inwards where there
//! is no room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::chat::{Piece, Role as Speaker, Turn};
use crate::sanitize::cell_width;
use crate::theme::{Role, Theme};
use crate::ui::text;

/// Draws the line into one row.
pub(super) fn draw(app: &App, theme: &Theme, turn: &Turn, area: Rect, buf: &mut Buffer) {
    let mut facts = facts(app, theme, turn);
    let name = name(app, turn);
    let room = usize::from(area.width);
    let least_name = cell_width(&text::fit(&name, room.min(12), theme.symbols.ascii));
    while !facts.is_empty() && least_name + 2 + cell_width(&facts.join("   ")) > room {
        facts.pop();
    }
    let facts = facts.join("   ");
    let facts_width = cell_width(&facts);
    let name_room = if facts.is_empty() { room } else { room - facts_width - 2 };
    let name = text::fit(&name, name_room, theme.symbols.ascii);
    text::put(buf, area.x, area.y, &name, area.width, theme.style(Role::Strong));
    let x = area.x + (room - facts_width) as u16;
    text::put(buf, x, area.y, &facts, facts_width as u16, theme.style(Role::Muted));
}

/// `You`, or the model's name without what it was tuned for.
pub(super) fn name(app: &App, turn: &Turn) -> String {
    match turn.role {
        Speaker::User => "You".to_owned(),
        Speaker::System => "System".to_owned(),
        Speaker::Assistant => match &turn.model {
            Some(model) => short(&app.model_title(model)).to_owned(),
            None => "Model".to_owned(),
        },
    }
}

/// A model's name without its last, well-known part: `SmolLM2-135M-Instruct` is `SmolLM2-135M`.
#[must_use]
pub fn short(model: &str) -> &str {
    let cut = model.rfind(['-', ' ', '_']).filter(|at| {
        let ending = model[at + 1..].to_ascii_lowercase();
        *at > 0 && ["instruct", "it", "chat"].contains(&ending.as_str())
    });
    &model[..cut.unwrap_or(model.len())]
}

fn facts(app: &App, theme: &Theme, turn: &Turn) -> Vec<String> {
    let mut facts = Vec::new();
    let versions = app.chat.versions(turn.id);
    if let (2.., Some(at)) = (versions.len(), versions.iter().position(|id| *id == turn.id)) {
        let (open, close) = if theme.symbols.ascii { ("<", ">") } else { ("‹", "›") };
        facts.push(format!("{open}{}/{}{close}", at + 1, versions.len()));
    }
    let pieces = app.chat.pieces(turn);
    let surprises = pieces.iter().filter_map(|piece| match piece {
        Piece::Step { step, .. } => Some(step.surprisal_bits()),
        Piece::Written(_) => None,
    });
    let (mut tokens, mut known, mut sum) = (0_usize, 0_u32, 0.0_f64);
    for surprise in surprises {
        tokens += 1;
        if surprise.is_finite() {
            known += 1;
            sum += f64::from(surprise);
        }
    }
    if tokens == 0 {
        facts.push(clock(turn.created_ms, app.now.offset_minutes));
        return facts;
    }
    facts.push(text::counted(tokens, "token"));
    if known > 0 {
        facts.push(match sum / f64::from(known) {
            mean if mean < 0.005 => "<.01 bit each".to_owned(),
            mean => format!("{mean:.2} bit each"),
        });
    }
    facts
}

/// `14:02`, local time.
fn clock(wall_ms: i64, offset_minutes: i32) -> String {
    let minutes = (wall_ms.div_euclid(60_000) + i64::from(offset_minutes)).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}
