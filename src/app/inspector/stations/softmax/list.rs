//! The softmax station's list: its rows, the selected one, the filter, and the watch list that `w` edits.
//!
//! Invariant: rows are in the order of probability; beyond the kept candidates there are rows only once the
//! whole distribution is there.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{ChatView, Display, Edit, Inspector, LineEdit, LiveStep, Watched};
use crate::token::{TokenId, Vocabulary};

/// Rows that a page of the list moves by, and that it shows where there is room.
pub const LIST_ROWS: usize = 12;

/// A row of the list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Listed {
    /// The token.
    pub id: TokenId,
    /// ln p over the whole vocabulary, before the samplers.
    pub logprob: f32,
    /// Its place among the step's kept candidates, if it is one.
    pub candidate: Option<usize>,
}

impl Display<'_> {
    /// How many rows the list has.
    pub fn list_len(&self) -> usize {
        if self.is_filtered() {
            return self.inspector.list.matches.len();
        }
        let kept = self.shown_step().map_or(0, |shown| shown.step.candidates.len());
        self.shown_distribution().map_or(kept, |whole| whole.len())
    }

    /// Rows of the list, from one on.
    pub fn list_rows(&self, first: usize, count: usize) -> Vec<Listed> {
        let Some(shown) = self.shown_step() else { return Vec::new() };
        let candidates = &shown.step.candidates;
        let place = |id: TokenId| candidates.iter().position(|candidate| candidate.id == id);
        let whole = self.shown_distribution();
        let listed = |id: TokenId| {
            let candidate = place(id);
            let kept = candidate.map(|at| candidates[at].logprob);
            let logprob = kept.or_else(|| whole.and_then(|whole| whole.logprob(id)))?;
            Some(Listed { id, logprob, candidate })
        };
        if self.is_filtered() {
            let matches = self.inspector.list.matches.iter().skip(first).take(count);
            return matches.filter_map(|id| listed(*id)).collect();
        }
        match whole {
            Some(whole) if first + count > candidates.len() => {
                whole.order().iter().skip(first).take(count).filter_map(|id| listed(*id)).collect()
            }
            _ => candidates.iter().skip(first).take(count).filter_map(|c| listed(c.id)).collect(),
        }
    }

    /// Whether a filter with a text is on.
    pub fn is_filtered(&self) -> bool {
        self.inspector.list.filter.as_ref().is_some_and(|filter| !filter.text.is_empty())
    }

    /// The selected token of the list.
    pub fn selected_token(&self) -> Option<TokenId> {
        self.list_rows(self.inspector.list.selected?, 1).first().map(|row| row.id)
    }

    /// Whether more is wanted of the list than the step keeps.
    pub(crate) fn list_is_deep(&self, shown: &LiveStep) -> bool {
        let kept = shown.step.candidates.len();
        self.is_filtered() || self.inspector.list.selected.is_some_and(|selected| selected + 1 >= kept)
    }

    /// The tokens whose text holds another in either case, likeliest first.
    fn matching(&self, text: &str) -> Vec<TokenId> {
        let Some(shown) = self.shown_step() else { return Vec::new() };
        let vocabulary = shown.vocabulary.as_ref().and_then(|hash| self.view.vocabularies.get(hash));
        let Some(vocabulary) = vocabulary else { return Vec::new() };
        let holds = |id: &TokenId| token_holds(vocabulary, *id, text);
        match self.shown_distribution() {
            Some(whole) => whole.order().iter().copied().filter(holds).collect(),
            None => shown.step.candidates.iter().map(|candidate| candidate.id).filter(holds).collect(),
        }
    }
}

impl Inspector {
    /// A key while the filter is typed; false where it has no meaning there.
    pub(crate) fn filter_key(&mut self, key: KeyEvent) -> bool {
        let list = &mut self.list;
        let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        let Some(filter) = list.filter.as_mut().filter(|_| list.typing && plain) else { return false };
        match key.code {
            KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown | KeyCode::Esc => return false,
            KeyCode::Enter => list.typing = false,
            _ => match filter.key(key) {
                Edit::Changed => self.reset_list(),
                Edit::Moved => {}
                Edit::Ignored => return false,
            },
        }
        true
    }

    /// Esc at the list: the filter goes, then the selection; whether there was one.
    pub(crate) fn leave_list(&mut self) -> bool {
        let list = &mut self.list;
        if list.filter.take().is_none() && list.selected.is_none() {
            return false;
        }
        list.typing = false;
        self.reset_list();
        true
    }

    fn reset_list(&mut self) {
        self.list.selected = None;
        self.list.first = 0;
    }

    /// Moves the selected row; a live display is held, so that the row stays what it is.
    pub(crate) fn move_in_list(&mut self, view: ChatView<'_>, by: isize) {
        let Some(end) = self.display(view).list_len().checked_sub(1) else { return };
        if self.past.is_none() && view.run.is_some() {
            self.held = true;
        }
        let list = &mut self.list;
        let next = match list.selected {
            None if by > 0 => by.unsigned_abs() - 1,
            None => 0,
            Some(at) => at.saturating_add_signed(by),
        };
        let next = next.min(end);
        list.selected = Some(next);
        list.first = list.first.min(next).max((next + 1).saturating_sub(LIST_ROWS));
    }

    /// Opens the filter of the list.
    pub(crate) fn open_filter(&mut self) {
        self.list.filter.get_or_insert_with(LineEdit::default);
        self.list.typing = true;
    }

    /// Works out the matches again if filter, token or what is known of it have changed.
    pub(crate) fn find_matching(&mut self, view: ChatView<'_>) {
        let of = match (self.display(view).shown_step(), &self.list.filter) {
            (Some(shown), Some(filter)) if !filter.text.is_empty() => {
                Some((shown.cursor(), self.display(view).shown_distribution().is_some(), filter.text.clone()))
            }
            _ => None,
        };
        if of == self.list.matches_of {
            return;
        }
        let matches = match &of {
            Some((_, _, text)) => self.display(view).matching(text),
            None => Vec::new(),
        };
        let list = &mut self.list;
        list.selected = list.selected.filter(|selected| *selected < matches.len() || of.is_none());
        list.matches = matches;
        list.matches_of = of;
    }

    /// Watches the selected token (or the chosen one), or stops watching it.
    pub(crate) fn watch_selected(&mut self, view: ChatView<'_>) {
        let chosen = || self.display(view).shown_step().and_then(|shown| shown.step.id);
        let Some(id) = self.display(view).selected_token().or_else(chosen) else { return };
        let watch = &mut self.watch;
        if let Some(at) = watch.iter().position(|watched| watched.id == id) {
            watch.remove(at);
        } else {
            watch.push(Watched { id, now: None, peak: 0.0, rank: None });
            self.fill_watch(view);
        }
    }
}

/// Whether a token's bytes hold a text; ASCII letters count in either case.
fn token_holds(vocabulary: &Vocabulary, id: TokenId, text: &str) -> bool {
    let bytes = vocabulary.bytes(id).unwrap_or_default();
    bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenKind;

    #[test]
    fn a_filter_finds_tokens_in_either_case_and_at_any_place() {
        let mut vocabulary = Vocabulary::default();
        for text in [" Paris", "par", "é", ""] {
            vocabulary.push(text.as_bytes(), TokenKind::Normal);
        }
        let found = |text: &str| -> Vec<i32> {
            (0..4).filter(|id| token_holds(&vocabulary, TokenId(*id), text)).collect()
        };
        assert_eq!(found("PAR"), [0, 1]);
        assert_eq!(found(" p"), [0]);
        assert_eq!(found("é"), [2]);
    }
}
