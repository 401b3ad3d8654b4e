//! The transcript: selecting, scrolling, copying, finding.
//!
//! Invariant: the selected message is on the shown branch.

mod bare;
pub(super) mod cursor;
pub(super) mod ledger;
pub(super) mod scores;
mod selection;
pub(super) mod tokens;
pub(super) mod word;

use std::ops::Range;

use crossterm::event::{KeyCode, KeyEvent};

use super::{App, ChatView, Edit, Effect, Find, Focus, Geometry, LineEdit, Outbox, Scroll, Transcript};
use crate::chat::{self, Insert, Role, Turn, TurnId};
use crate::fold::{Folded, fold};
use crate::markdown;
use crate::reasoning::{Kind, Split};

/// An anchor that is not a turn: drawing counts from the end of the transcript.
const NO_TURN: TurnId = TurnId(0);

impl Transcript {
    /// Moves the view by rows, down positive.
    pub(crate) fn scroll_rows(&mut self, rows: i32) {
        self.scroll = match self.scroll {
            Scroll::Anchor { turn, row, moved } => {
                Scroll::Anchor { turn, row, moved: moved.saturating_add(rows) }
            }
            Scroll::Bottom if rows >= 0 => Scroll::Bottom,
            Scroll::Bottom => Scroll::Anchor { turn: NO_TURN, row: 0, moved: rows },
        };
    }

    pub(crate) fn scroll_bottom(&mut self) {
        self.scroll = Scroll::Bottom;
    }

    /// A key of the find line.
    pub(crate) fn find_key(&mut self, view: ChatView<'_>, focus: &mut Focus, key: KeyEvent) -> bool {
        let Some(find) = &mut self.find else { return false };
        let count = find.matches.len();
        match key.code {
            KeyCode::Esc => {
                let found = find.matches.get(find.current).map(|(turn, range)| (*turn, range.start));
                self.find = None;
                match found {
                    Some((turn, byte)) => self.go_to(view, focus, turn, byte),
                    None => self.selected = None,
                }
                return true;
            }
            KeyCode::Enter | KeyCode::Up if count > 0 => find.current = (find.current + count - 1) % count,
            KeyCode::Down if count > 0 => find.current = (find.current + 1) % count,
            KeyCode::Enter | KeyCode::Up | KeyCode::Down => return true,
            _ => {
                return match find.input.key(key) {
                    Edit::Changed => {
                        self.find_matches(view);
                        true
                    }
                    Edit::Moved => true,
                    Edit::Ignored => false,
                };
            }
        }
        let turn = find.matches[find.current].0;
        self.show_match(Some(turn));
        true
    }

    /// Shows the selected message as it was written, or as Markdown again.
    pub(crate) fn toggle_raw(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(id) = self.selected_or_last(view) else {
            out.say("there is no message yet");
            return;
        };
        let raw = self.raw_turns.insert(id);
        if !raw {
            self.raw_turns.remove(&id);
        }
        self.reveal = true;
        out.say(if raw { "this message as it was written" } else { "this message as Markdown" });
    }

    /// Shows all messages as they were written, or as Markdown again.
    pub(crate) fn toggle_raw_all(&mut self, out: &mut Outbox) {
        self.raw = !self.raw;
        self.raw_turns.clear();
        self.reveal = self.selected.is_some();
        out.say(if self.raw { "messages as they were written" } else { "messages as Markdown" });
    }

    /// Whether a message is shown as it was written.
    pub(crate) fn is_raw(&self, turn: TurnId) -> bool {
        self.raw || self.raw_turns.contains(&turn)
    }

    /// Whether what was thought for a message is shown.
    pub(crate) fn shows_thoughts(&self, turn: TurnId) -> bool {
        self.thoughts != self.other_thoughts.contains(&turn)
    }

    /// Shows or folds what can be folded: in the selected message, or in all where none is.
    pub(crate) fn toggle_thoughts(&mut self, view: ChatView<'_>, focus: Focus, out: &mut Outbox) {
        let selected = self.selected.filter(|_| focus == Focus::Transcript);
        let shown = if let Some(id) = selected {
            if !self.other_thoughts.insert(id) {
                self.other_thoughts.remove(&id);
            }
            // Inside of what is folded there is no place for a cursor.
            self.cursor = self.cursor.filter(|_| self.shows_thoughts(id));
            self.shows_thoughts(id)
        } else {
            self.other_thoughts.clear();
            self.thoughts = !self.thoughts;
            self.thoughts
        };
        self.reveal = selected.is_some();
        let of = |id| view.chat.turn(id).is_some_and(|turn| !turn.inserts.is_empty());
        let what = match selected {
            None => "thoughts and files in messages are",
            Some(id) if of(id) => "what lies in this message is",
            Some(_) => "what was thought is",
        };
        out.say(format!("{what} {}", if shown { "shown" } else { "folded" }));
    }

    /// Where the files and pastes of a message lie in its text, while they are folded.
    pub(crate) fn folded_inserts(&self, view: ChatView<'_>, id: TurnId) -> Vec<Range<usize>> {
        if self.shows_thoughts(id) || self.is_raw(id) {
            return Vec::new();
        }
        let turn = view.chat.turn(id).filter(|turn| !turn.inserts.is_empty());
        turn.map(|turn| turn.typed().inserts.iter().map(Insert::bytes).collect()).unwrap_or_default()
    }

    /// Opens the file or paste that a byte of a message is in.
    pub(crate) fn open_insert(&mut self, view: ChatView<'_>, id: TurnId, byte: usize) {
        if self.folded_inserts(view, id).iter().any(|insert| insert.contains(&byte))
            && !self.other_thoughts.insert(id)
        {
            self.other_thoughts.remove(&id);
        }
    }

    /// The message of the match that find shows, and the byte at which it begins.
    pub fn current_match(&self) -> Option<(TurnId, usize)> {
        let find = self.find.as_ref()?;
        find.matches.get(find.current).map(|(turn, range)| (*turn, range.start))
    }

    /// Shows more of the beginning or the end of rows that are longer than the pane.
    pub(crate) fn scroll_sideways(&mut self, right: bool) {
        const STEP: u16 = 8;
        const MOST: u16 = 4096;
        let moved = if right { self.sideways + STEP } else { self.sideways.saturating_sub(STEP) };
        self.sideways = moved.min(MOST);
    }

    /// Where what was thought for a message lies in its text, while it is folded.
    fn folded_thoughts(&self, view: ChatView<'_>, id: TurnId) -> Vec<Range<usize>> {
        if self.shows_thoughts(id) || self.is_raw(id) {
            return Vec::new();
        }
        let split = view.chat.turn(id).map(|turn| view.split(turn)).unwrap_or_default();
        split.ranges(Kind::Thought).collect()
    }

    fn show_match(&mut self, turn: Option<TurnId>) {
        if let Some(turn) = turn {
            self.selected = Some(turn);
            self.reveal = true;
        }
    }
}

impl App {
    /// What drawing learned.
    pub fn absorb(&mut self, geometry: Geometry) {
        self.transcript.scroll = geometry.scroll;
        self.transcript.reveal = false;
        self.geometry = geometry;
    }

    pub(crate) fn scroll_page(&mut self, down: bool) {
        let page = i32::from(self.geometry.view_rows).saturating_sub(2).max(1);
        self.transcript.scroll_rows(if down { page } else { -page });
    }
}

impl Transcript {
    /// The message under the cursor, else the last reply of the branch.
    pub(crate) fn selected_or_last(&self, view: ChatView<'_>) -> Option<TurnId> {
        self.selected.or_else(|| {
            let branch = view.chat.branch();
            branch.iter().rev().find(|turn| turn.role == Role::Assistant).map(|turn| turn.id)
        })
    }

    /// Copies what is marked, else the message.
    pub(crate) fn copy(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if self.copy_marked(view, out) {
            return;
        }
        match self.selected_or_last(view) {
            Some(id) => {
                let text = if self.shows_thoughts(id) { view.turn_text(id) } else { view.answer_text(id) };
                out.emit(Effect::Copy(crate::sanitize::for_copy(&text)));
            }
            None => out.say("there is nothing to copy yet"),
        }
    }

    /// Copies the code block under the cursor; elsewhere the first one, and the next each time.
    pub(crate) fn copy_code(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(id) = self.selected_or_last(view) else {
            out.say("there is nothing to copy yet");
            return;
        };
        let mut blocks = markdown::code_blocks(&view.turn_text(id));
        let folded = self.folded_thoughts(view, id);
        blocks.retain(|block| folded.iter().all(|thought| !thought.contains(&block.range.start)));
        let cursor = self.cursor.filter(|at| at.turn == id).and_then(|at| view.token_at(at));
        let under =
            cursor.and_then(|token| blocks.iter().position(|block| block.range.contains(&token.start)));
        let next = match self.copied_code {
            Some((turn, block)) if turn == id && block + 1 < blocks.len() => block + 1,
            _ => 0,
        };
        let chosen = under.unwrap_or(next);
        match blocks.get(chosen) {
            Some(block) => {
                self.copied_code = Some((id, chosen));
                out.emit(Effect::Copy(crate::sanitize::for_copy(&block.code)));
            }
            None => out.say("this message has no code block"),
        }
    }

    pub(crate) fn scroll_top(&mut self, view: ChatView<'_>) {
        if let Some(first) = view.chat.branch().first() {
            self.scroll = Scroll::Anchor { turn: first.id, row: 0, moved: 0 };
        }
    }

    /// Opens the find line; with a text, at its last match.
    pub(crate) fn find(&mut self, view: ChatView<'_>, text: &str) {
        self.find = Some(Find { input: LineEdit::new(text), ..Find::default() });
        self.find_matches(view);
    }

    pub(crate) fn find_matches(&mut self, view: ChatView<'_>) {
        let Some(find) = &self.find else { return };
        let needle = fold(&find.input.text);
        let mut matches = Vec::new();
        if !needle.is_empty() {
            for turn in view.chat.branch() {
                let text = Folded::new(&String::from_utf8_lossy(&view.chat.bytes(turn)));
                let thoughts = self.folded_thoughts(view, turn.id);
                let seen = text
                    .find(&needle)
                    .filter(|range| thoughts.iter().all(|thought| !thought.contains(&range.start)));
                matches.extend(seen.map(|range| (turn.id, range)));
            }
        }
        let current = matches.len().saturating_sub(1);
        let selected = matches.last().map(|(turn, _)| *turn);
        if let Some(find) = &mut self.find {
            find.matches = matches;
            find.current = current;
        }
        self.show_match(selected);
    }
}

impl Outbox {
    pub(crate) fn copied(&mut self, result: Result<String, String>) {
        match result {
            Ok(said) => self.say(said),
            Err(message) => self.fail(message),
        }
    }
}

impl ChatView<'_> {
    /// A turn of the shown chat taken apart.
    pub(crate) fn split(&self, turn: &Turn) -> Split {
        chat::split_of(self.chat, self.runs, self.vocabularies, turn)
    }

    /// The text of a turn without what was thought.
    pub(crate) fn answer_text(&self, id: TurnId) -> String {
        let Some(turn) = self.chat.turn(id) else { return self.turn_text(id) };
        let split = self.split(turn);
        if !split.is_split() {
            return self.turn_text(id);
        }
        String::from_utf8_lossy(&split.text(&self.chat.bytes(turn), Kind::Answer)).into_owned()
    }

    /// The text of a turn of the shown chat, whole characters only.
    pub fn turn_text(&self, id: TurnId) -> String {
        let Some(turn) = self.shown_turn(id) else { return String::new() };
        let growing = turn.state == crate::chat::TurnState::Streaming;
        crate::chat::whole_text(&self.chat.bytes(turn), growing)
    }
}
