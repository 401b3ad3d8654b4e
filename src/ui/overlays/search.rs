//! Search over all chats: what was found, the match marked in its line.
//!
//! Invariant: snippets are someone's text; they are made safe piece by piece, so the mark stays right.

use super::{Canvas, Draw, body};
use crate::app::{Keys, Search};
use crate::chat::Role as Speaker;
use crate::command::Command;
use crate::sanitize;
use crate::search::FILTERS;
use crate::store::Hit;
use crate::theme::Role;
use crate::ui::widgets::text;

impl Draw for Search {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let Self { input, hits, selected } = self;
        let found = if input.text.is_empty() { String::new() } else { format!("{} found", hits.len()) };
        let inside = canvas.frame("Search all chats", &found, 100, 20);
        let cursor = canvas.filter(inside, input, "words to look for");
        let list = body(inside, 2, 2);
        if input.text.is_empty() {
            canvas.cell(
                text::row(list, 0, 0),
                3,
                list.width,
                "Words in any script; these narrow it:",
                Role::Muted,
            );
            canvas.cell(text::row(list, 1, 0), 3, list.width, FILTERS, Role::Muted);
        }
        if hits.is_empty() && !input.text.is_empty() {
            canvas.cell(text::row(list, 0, 0), 3, list.width, "nothing found", Role::Muted);
        }
        let title_width = (inside.width / 4).min(24);
        for (index, at, _) in canvas.list(list, hits.len(), *selected) {
            let hit = &hits[index];
            canvas.cell(at, 3, title_width, &sanitize::for_display(&hit.title), Role::Text);
            let own = if hit.role == Speaker::User { "you" } else { "" };
            canvas.cell(at, title_width + 4, 3, own, Role::Muted);
            snippet(canvas, text::row(at, 0, title_width + 8), hit);
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![
            (key.list(), "choose"),
            (key.of(Command::Choose), "go there"),
            (key.of(Command::Escape), "close"),
        ];
        canvas.keys(inside, offered);
        cursor
    }
}

fn snippet(canvas: &mut Canvas<'_>, at: ratatui::layout::Rect, hit: &Hit) {
    let part = |range: std::ops::Range<usize>| sanitize::for_display(hit.snippet.get(range).unwrap_or(""));
    let end = hit.matched.end.min(hit.snippet.len());
    let start = hit.matched.start.min(end);
    let matched = text::cut(&part(start..end), at.width);
    let room = at.width.saturating_sub(text::width(&matched));
    let before = text::tail(&part(0..start), room / 2);
    let after = text::cut(&part(end..hit.snippet.len()), room.saturating_sub(text::width(&before)));
    let muted = canvas.theme.style(Role::Muted);
    let strong = canvas.theme.style(Role::Strong);
    text::put_all(canvas.buf, at, &[(&before, muted), (&matched, strong), (&after, muted)]);
}
