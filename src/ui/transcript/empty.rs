//! What an empty chat says: which model listens, and the few keys that matter.
//!
//! Invariant: it tells how the model stands, never more than the app knows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::MEASURE;
use super::head::short;
use crate::app::{App, ModelStatus};
use crate::command::Command;
use crate::config::DEFAULT_MODEL;
use crate::elsewhere::Elsewhere;
use crate::model_entry::ModelEntry;
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::ui::text::Lines;

/// What the built-in model answered rightly in most tries at its own settings, and no more than that: it is drawn anew each
/// time, and other processors round otherwise.
const QUESTIONS: [&str; 3] =
    ["What is the capital of Japan?", "What is photosynthesis?", "Give me a tip for sleeping better."];

/// Rows from which on there is room for them.
const ROOMY: u16 = 16;

/// Draws the hint.
pub(super) fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let indent = if area.width >= 50 { 3 } else { 1 };
    let width = (area.width - 1 - indent).min(MEASURE);
    let (words, role) = model(app);
    let mut paragraphs =
        vec![("glassbox".to_owned(), Role::Strong), (String::new(), Role::Text), (words, role)];
    // On low screens the keys matter more.
    let has_room = area.height >= ROOMY;
    if has_room && app.model.name == DEFAULT_MODEL && !matches!(app.model.status, ModelStatus::Failed { .. })
    {
        let small =
            "It is small: often wrong, and good for looking inside. It does well on questions such as";
        paragraphs.extend([(String::new(), Role::Text), (small.to_owned(), Role::Muted)]);
        paragraphs.extend(QUESTIONS.map(|question| (format!("  {question}"), Role::Text)));
    }
    let keys = keys(app);
    if !keys.is_empty() {
        paragraphs.extend([(String::new(), Role::Text), (keys, Role::Muted)]);
    }
    let mut y = area.y + (area.height / 6).min(3);
    for (words, role) in paragraphs {
        let lines = Lines::of(words.as_bytes(), width);
        for row in 0..lines.rows() {
            if y >= area.bottom() {
                return;
            }
            lines.draw_row(row, buf, area.x + indent, y, |_, _| theme.style(role));
            y += 1;
        }
    }
}

fn model(app: &App) -> (String, Role) {
    let name = app.config.model_title(&app.model.name);
    let name = short(&name);
    let open = where_it_runs(app);
    let words = match &app.model.status {
        ModelStatus::Ready(_) => format!("Ask {name} anything. {open}"),
        ModelStatus::Loading(done) => {
            format!("{name} is being loaded, {:.0} %. You can type already. {open}", done * 100.0)
        }
        ModelStatus::Fetching => format!("{name} is being fetched. You can type already. {open}"),
        ModelStatus::Unloaded => format!("Ask {name} anything: it is loaded when you send. {open}"),
        ModelStatus::None => "Ask anything; a model is loaded when you send.".to_owned(),
        ModelStatus::Failed { message, .. } => return (format!("error: {message}"), Role::Error),
    };
    (words, Role::Text)
}

/// Where the model runs, and what can be seen of it there.
fn where_it_runs(app: &App) -> String {
    let entry = app.config.model_named(&app.model.name);
    let host = |host: &str| sanitize::for_display(host);
    if let Some(server) = entry.as_ref().and_then(ModelEntry::server) {
        return format!(
            "A server at {} runs it, which tells how likely its words were; what happens inside a model is shown where \
             glassbox runs it.",
            host(server.host())
        );
    }
    match entry.as_ref().and_then(Elsewhere::of) {
        Some(place) => {
            format!("It runs on {}, and every word of its replies can be opened.", host(&place.host))
        }
        None => "It runs on this machine, and every word of its replies can be opened.".to_owned(),
    }
}

fn keys(app: &App) -> String {
    let offered = [
        (Command::Send, "send"),
        (Command::Newline, "new line"),
        (Command::Models, "models"),
        (Command::Palette, "commands"),
        (Command::Help, "help"),
    ];
    let shown: Vec<String> = offered
        .iter()
        .filter_map(|(command, word)| {
            let key = app.keymap.shown(*command);
            (!key.is_empty()).then(|| format!("{key}\u{A0}{}", word.replace(' ', "\u{A0}")))
        })
        .chain(std::iter::once(format!("/{}\u{A0}how\u{A0}it\u{A0}works", Command::Tour.entry().name)))
        .collect();
    shown.join("   ")
}
