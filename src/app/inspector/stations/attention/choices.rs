//! Keys of the attention station: pictures, direction, ink.
//!
//! Invariant: a choice is clamped to what was read.

use super::state::{AttentionPicture, Grain, Ink};
use crate::app::{ChatView, Display, Inspector, Outbox, Station};
use crate::engine::protocol::ROWS;

impl Inspector {
    /// The next picture: heads, one head's matrix, the rollout.
    pub(crate) fn next_picture(&mut self, out: &mut Outbox) {
        let next = match self.attention.picture {
            AttentionPicture::Heads => AttentionPicture::Matrix,
            AttentionPicture::Matrix => AttentionPicture::Rollout,
            AttentionPicture::Rollout => AttentionPicture::Heads,
        };
        self.show_picture(out, next);
    }

    /// Shows a picture at the attention station, or the heads again where it is there already.
    pub(crate) fn show_picture(&mut self, out: &mut Outbox, picture: AttentionPicture) {
        let there = self.station_open(Station::Attention) && self.attention.picture == picture;
        let picture = if there { AttentionPicture::Heads } else { picture };
        let view = &mut self.attention;
        view.picture = picture;
        view.cell = None;
        out.say(match picture {
            AttentionPicture::Heads => "all heads at this token".to_owned(),
            AttentionPicture::Matrix => {
                format!("one head at the last {ROWS} tokens: they are read again as one batch")
            }
            AttentionPicture::Rollout => {
                "the rollout: how all layers mix tokens, not what causes what".to_owned()
            }
        });
    }

    /// What this token reads, or who reads it.
    pub(crate) fn turn_direction(&mut self, out: &mut Outbox) {
        let view = &mut self.attention;
        view.read_by = !view.read_by;
        let said = if view.read_by { "which later tokens read this one" } else { "what this token reads" };
        out.say(said);
    }

    /// Colours the text by the opened head, its layer, all layers, or not at all.
    pub(crate) fn next_ink(&mut self, out: &mut Outbox) {
        let view = &mut self.attention;
        view.ink = match view.ink {
            Ink::Head => Ink::Layer,
            Ink::Layer => Ink::All,
            Ink::All => Ink::Off,
            Ink::Off => Ink::Head,
        };
        let ink = view.ink;
        out.say(match ink {
            Ink::Head => "ink: the opened head",
            Ink::Layer => "ink: all heads of the opened layer",
            Ink::All => "ink: the rollout of all layers, mixing, not cause",
            Ink::Off => "no ink",
        });
    }

    /// Leaves token 0 out of the ink, or takes it in again.
    pub(crate) fn hide_first(&mut self, out: &mut Outbox) {
        let view = &mut self.attention;
        view.hides_first = !view.hides_first;
        let said = if view.hides_first { "token 0 is left out of the ink" } else { "token 0 is in the ink" };
        out.say(said);
    }

    /// Sums the ink over words, sentences, or nothing.
    pub(crate) fn next_grain(&mut self, out: &mut Outbox) {
        let view = &mut self.attention;
        view.grain = match view.grain {
            Grain::Token => Grain::Word,
            Grain::Word => Grain::Sentence,
            Grain::Sentence => Grain::Token,
        };
        let grain = view.grain;
        out.say(match grain {
            Grain::Token => "ink by token",
            Grain::Word => "ink by word",
            Grain::Sentence => "ink by sentence",
        });
    }

    /// Lifts small shares in the ink: share^(1 ÷ γ).
    pub(crate) fn next_contrast(&mut self, out: &mut Outbox) {
        let view = &mut self.attention;
        view.contrast = (view.contrast + 1) % 3;
        let said = match view.contrast {
            0 => "ink as large as the share".to_owned(),
            more => format!("small shares are lifted: γ {}", more + 1),
        };
        out.say(said);
    }

    /// Moves the selected cell of a matrix; whether one is shown.
    pub(crate) fn moves_cell(&mut self, view: ChatView<'_>, down: i32, right: i32) -> bool {
        let rows = match self.attention.picture {
            AttentionPicture::Heads => return false,
            AttentionPicture::Matrix => self.display(view).shown_matrix(),
            AttentionPicture::Rollout => self.display(view).shown_rollout(),
        };
        let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { return true };
        let first = rows.first as usize;
        let last = first + rows.len() - 1;
        let (reader, read) = self.display(view).shown_cell(last);
        let reader = reader.saturating_add_signed(down as isize).clamp(first, last);
        let read = read.saturating_add_signed(right as isize).min(reader);
        self.attention.cell = Some((reader, read));
        true
    }
}

impl Display<'_> {
    /// The selected cell of a matrix whose last row is `last`: reader and read.
    pub fn shown_cell(&self, last: usize) -> (usize, usize) {
        let cell = self.inspector.attention.cell.filter(|(reader, _)| *reader <= last);
        cell.unwrap_or((last, last))
    }
}
