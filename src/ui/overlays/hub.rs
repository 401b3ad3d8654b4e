//! The files of a repository of the hub: how large, whether they fit, how fast they would be.
//!
//! Invariant: rows are indices into the offer's files; speeds are called predictions.

use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{Hub, Keys};
use crate::command::Command;
use crate::sanitize;
use crate::theme::Role;
use crate::ui::widgets::number;

impl Draw for Hub {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let offer = self.offer.as_ref().and_then(|offer| offer.as_ref().ok());
        let all = offer.map_or(0, |offer| offer.repository.files.len());
        let title = sanitize::for_display(&self.name);
        let inside = canvas.frame(&title, &count(picker, all), 100, rows_for(all, 12) + 8);
        let cursor = canvas.filter(inside, &picker.filter, "type to filter");
        let rows = body(inside, 1, 4);
        if let Some(offer) = offer {
            let wide = inside.width >= 70;
            let recommended = offer.recommended();
            for (index, at, _) in canvas.list(rows, picker.rows.len(), picker.selected) {
                let Some(file) = offer.repository.files.get(picker.rows[index]) else { continue };
                let (fits, role) = match offer.fits(file) {
                    Some(false) => ("too large", Role::Warn),
                    Some(true) if recommended == Some(picker.rows[index]) => ("suits", Role::Strong),
                    Some(true) => ("fits", Role::Text),
                    None => ("", Role::Text),
                };
                canvas.cell(at, 3, 10, &file.quantisation(), Role::Text);
                canvas.cell(at, 14, 10, &number::bytes(file.bytes), Role::Text);
                canvas.cell(at, 25, 10, fits, role);
                canvas.cell(at, 36, 12, &format!("{}/s", offer.speed_in_words(file)), Role::Text);
                if wide {
                    let path = sanitize::for_display(&file.path);
                    canvas.cell(at, 50, inside.width.saturating_sub(51), &path, Role::Muted);
                }
            }
            let licence = offer.repository.licence.as_deref().unwrap_or("not stated");
            let settings = if offer.repository.sampling.is_empty() {
                ""
            } else {
                "; its makers\' sampler settings come along"
            };
            let line = format!("licence {}{settings}", sanitize::for_display(licence));
            let below = ratatui::layout::Rect { y: rows.bottom(), height: 1, ..inside };
            canvas.cell(below, 3, inside.width.saturating_sub(4), &line, Role::Muted);
        } else {
            let (said, role) = match &self.offer {
                Some(Err(why)) => (sanitize::for_display(why), Role::Error),
                _ => ("asking the hub …".to_owned(), Role::Muted),
            };
            let words = crate::ui::widgets::text::wrap(&said, inside.width.saturating_sub(6));
            for (line, y) in words.iter().zip(rows.y..rows.bottom() + 2) {
                let at = ratatui::layout::Rect { y, height: 1, ..inside };
                canvas.cell(at, 3, inside.width.saturating_sub(4), line, role);
            }
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![(key.of(Command::Choose), "fetch"), (key.of(Command::Escape), "close")];
        canvas.keys(inside, offered);
        cursor
    }
}
