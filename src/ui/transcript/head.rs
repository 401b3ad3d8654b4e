//! The speaker line: who, which version, when or how sure; while the text is coloured, a strip of surprises.
//!
//! Invariant: the name always shows; of what stands at the right the least needed goes first where there is
//! no room, and the strip takes only what is left.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Colouring};
use crate::chat::{Role as Speaker, Turn, labels_of};
use crate::sanitize::{self, cell_width};
use crate::theme::{Role, Theme};
use crate::ui::marks::Marks;
use crate::ui::widgets::number;
use crate::ui::{shade, text};

/// Cells that a strip needs at least.
const LEAST_STRIP: usize = 6;
/// And takes at most.
const MOST_STRIP: usize = 40;

/// What is known of a message beside its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub turn: &'a Turn,
    pub marks: Option<&'a Marks>,
    /// Which of how many versions it is, where it has others.
    pub version: Option<(usize, usize)>,
    /// Whether the model reads it no longer.
    pub left_out: bool,
}

/// Draws the line into one row.
pub(super) fn draw(app: &App, theme: &Theme, of: Of<'_>, area: Rect, buf: &mut Buffer) {
    let Of { turn, marks, .. } = of;
    let mut facts = facts(app, theme, of);
    let name = name(app, turn);
    let room = usize::from(area.width);
    let least_name = cell_width(&text::fit(&name, room.min(12), theme.symbols.ascii));
    let joined =
        |facts: &[(u8, String)]| facts.iter().map(|(_, fact)| fact.as_str()).collect::<Vec<_>>().join("   ");
    while !facts.is_empty() && least_name + 2 + cell_width(&joined(&facts)) > room {
        let least = facts.iter().enumerate().max_by_key(|(_, (goes, _))| *goes).map_or(0, |(at, _)| at);
        facts.remove(least);
    }
    let facts = joined(&facts);
    let facts_width = cell_width(&facts);
    let name_room = if facts.is_empty() { room } else { room - facts_width - 2 };
    let name = text::fit(&name, name_room, theme.symbols.ascii);
    text::put(buf, area.x, area.y, &name, area.width, theme.style(Role::Strong));
    let x = area.x + (room - facts_width) as u16;
    text::put(buf, x, area.y, &facts, facts_width as u16, theme.style(Role::Muted));
    let from = cell_width(&name) + 3;
    let left = room.saturating_sub(from + facts_width + 3);
    if let Some(marks) = marks.filter(|_| app.transcript.colouring != Colouring::Off && left >= LEAST_STRIP) {
        let strip = shade::strip(&marks.tokens, theme, left.min(MOST_STRIP));
        text::put(buf, area.x + from as u16, area.y, &strip, left as u16, theme.style(Role::Muted));
    }
}

/// `You`, or the model's name without what it was tuned for.
pub(super) fn name(app: &App, turn: &Turn) -> String {
    match turn.role {
        _ if app.tour.is_some() => "Text".to_owned(),
        Speaker::User => "You".to_owned(),
        Speaker::System => "System".to_owned(),
        Speaker::Assistant => match &turn.model {
            Some(model) => short(&app.config.model_title(model)).to_owned(),
            None => "Model".to_owned(),
        },
    }
}

/// A model's name without its last, well-known part: `SmolLM2-135M-Instruct` is `SmolLM2-135M`.
pub fn short(model: &str) -> &str {
    let cut = model.rfind(['-', ' ', '_']).filter(|at| {
        let ending = model[at + 1..].to_ascii_lowercase();
        *at > 0 && ["instruct", "it", "chat"].contains(&ending.as_str())
    });
    &model[..cut.unwrap_or(model.len())]
}

/// What stands at the right, each with how early it goes where there is no room.
fn facts(app: &App, theme: &Theme, of: Of<'_>) -> Vec<(u8, String)> {
    let Of { turn, marks, .. } = of;
    let mut facts = Vec::new();
    if let Some((at, all)) = of.version {
        let (open, close) = if theme.symbols.ascii { ("<", ">") } else { ("‹", "›") };
        facts.push((0, format!("{open}{at}/{all}{close}")));
    }
    let adapters = labels_of(turn, &app.talk.runs);
    if !adapters.is_empty() {
        facts.push((1, sanitize::for_display(&adapters)));
    }
    if of.left_out {
        facts.push((0, "left out: the model no longer reads it".to_owned()));
    }
    let tokens = marks.map_or(0, |marks| marks.tokens.len());
    if tokens > 0 {
        let mean = marks.and_then(Marks::mean_bits);
        facts.extend(mean.map(|mean| (4, format!("perplexity {}", perplexity(mean)))));
        facts.push((2, number::counted(tokens, "token")));
        facts.extend(mean.map(|mean| {
            (3, if mean < 0.005 { "<.01 bit each".to_owned() } else { format!("{mean:.2} bit each") })
        }));
    }
    // The tour's text has no time.
    if turn.created_ms != 0 && (tokens == 0 || turn.role == Speaker::User) {
        facts.push((1, clock(turn.created_ms, app.out.now.offset_minutes)));
    }
    facts
}

/// 2 to the power of the mean surprise.
fn perplexity(mean_bits: f64) -> String {
    match mean_bits.exp2() {
        large if large >= 1e9 => ">1e9".to_owned(),
        large if large >= 1000.0 => number::grouped(large.round() as u64),
        small => format!("{small:.2}"),
    }
}

/// `14:02`, local time.
fn clock(wall_ms: i64, offset_minutes: i32) -> String {
    let minutes = (wall_ms.div_euclid(60_000) + i64::from(offset_minutes)).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}
