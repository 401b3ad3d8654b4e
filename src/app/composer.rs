//! The composer: editing by whole characters, pastes as labels, the prompt history, drafts.
//!
//! Invariant: the message is [`Composer::text`]; what the editor shows may hold labels for long pastes.

use std::ops::Range;

use crossterm::event::KeyEvent;
use tui_textarea::{AtomicRange, CursorMove};

use super::{App, Asker, Composer, Paste, text_edit};
use crate::engine::protocol::{Event, Request};
use crate::store;

/// A paste is cut at this many bytes.
pub const PASTE_LIMIT: usize = 1_000_000;
/// A paste of more lines than this is shown as a label.
const LABEL_LINES: usize = 20;
/// A draft is kept this long after its last change, ms.
pub(crate) const DRAFT_MS: u64 = 300;
/// How many messages the prompt history holds.
const HISTORY: usize = 1000;

impl Default for Composer {
    fn default() -> Self {
        Self {
            area: text_edit::empty_area(),
            tokens: Some(0),
            history: Vec::new(),
            walking: None,
            editing: None,
            completion: None,
            changed_at: None,
            pastes: Vec::new(),
            kept: None,
        }
    }
}

impl Composer {
    /// The message: what the editor holds with the pastes in place of their labels.
    #[must_use]
    pub fn text(&self) -> String {
        let shown = self.area.lines().join("\n");
        let mut text = String::with_capacity(shown.len());
        let mut rest = shown.as_str();
        while let Some((at, paste)) = self.first_label(rest) {
            text.push_str(&rest[..at]);
            text.push_str(&paste.text);
            rest = &rest[at + paste.label.len()..];
        }
        text + rest
    }

    /// Whether nothing but blanks is in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.area.lines().iter().all(|line| line.trim().is_empty())
    }

    /// Whether nothing at all is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.area.lines().iter().all(String::is_empty)
    }

    /// Puts another text in place, cursor at its end.
    pub fn set(&mut self, text: &str) {
        text_edit::set(&mut self.area, text);
        self.pastes.clear();
        self.completion = None;
    }

    /// Puts cleaned text in at the cursor, as a label where it is long.
    pub fn insert(&mut self, text: &str) {
        let lines = text.lines().count();
        if lines <= LABEL_LINES {
            self.area.insert_str(text);
        } else {
            let label = (1..=self.pastes.len() + 1)
                .map(|n| match n {
                    1 => format!("[pasted {lines} lines]"),
                    n => format!("[pasted {lines} lines, {n}]"),
                })
                .find(|label| self.pastes.iter().all(|paste| paste.label != *label))
                .expect("one more number than labels is free");
            self.area.insert_str(&label);
            self.pastes.push(Paste { label, text: text.to_owned() });
        }
        self.mark_labels();
    }

    fn first_label<'a>(&'a self, text: &str) -> Option<(usize, &'a Paste)> {
        self.pastes
            .iter()
            .filter_map(|paste| Some((text.find(&paste.label)?, paste)))
            .min_by_key(|&(at, _)| at)
    }

    /// Marks labels as indivisible; every edit forgets them.
    fn mark_labels(&mut self) {
        let mut ranges = Vec::new();
        for (row, line) in self.area.lines().iter().enumerate() {
            let mut from = 0;
            while let Some((at, paste)) = self.first_label(&line[from..]) {
                let bytes = from + at..from + at + paste.label.len();
                let columns = columns(line, &bytes);
                ranges.push(AtomicRange { row, start_col: columns.start, end_col: columns.end });
                from = bytes.end;
            }
        }
        self.area.set_atomic_ranges(ranges);
    }
}

fn columns(line: &str, bytes: &Range<usize>) -> Range<usize> {
    let start = line[..bytes.start].chars().count();
    start..start + line[bytes.clone()].chars().count()
}

/// Pasted text made harmless: line ends as `\n`, no control characters but tab, no bidirectional
/// overrides, at most [`PASTE_LIMIT`] bytes. Says whether it was cut.
#[must_use]
pub fn clean(text: &str) -> (String, bool) {
    let mut cleaned = String::with_capacity(text.len().min(PASTE_LIMIT));
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let kept = match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                '\n'
            }
            '\u{2028}' | '\u{2029}' => '\n',
            '\n' | '\t' => character,
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => continue,
            other if other.is_control() => continue,
            other => other,
        };
        if cleaned.len() + kept.len_utf8() > PASTE_LIMIT {
            return (cleaned, true);
        }
        cleaned.push(kept);
    }
    (cleaned, false)
}

impl App {
    /// A key that edits the draft.
    pub(crate) fn compose(&mut self, key: KeyEvent) {
        let before = self.composer.area.lines().to_vec();
        text_edit::key(&mut self.composer.area, key);
        self.composer.mark_labels();
        if before != self.composer.area.lines() {
            self.draft_changed();
        }
    }

    /// Bracketed paste, wherever the input is.
    pub(crate) fn paste(&mut self, text: &str) {
        let (text, cut) = clean(text);
        if cut {
            self.out.warn("the paste was longer than 1 MB; the rest was left out");
        }
        if self.line_paste(&text) {
            return;
        }
        self.focus = super::Focus::Composer;
        self.composer.insert(&text);
        self.draft_changed();
    }

    /// To be called after every change of the draft.
    pub(crate) fn draft_changed(&mut self) {
        self.composer.walking = None;
        self.draft_touched();
        self.complete();
    }

    fn draft_touched(&mut self) {
        self.composer.changed_at = Some(self.out.now.mono_ms);
        self.out.quit_asked = false;
        self.count_draft();
    }

    /// Replaces the draft.
    pub(crate) fn set_draft(&mut self, text: &str) {
        self.composer.set(text);
        self.composer.walking = None;
        self.draft_touched();
    }

    /// Asks the engine how many tokens the draft has, one question at a time.
    pub(crate) fn count_draft(&mut self) {
        if self.composer.is_empty() {
            self.composer.tokens = Some(0);
        } else if self.view().ready().is_none() {
            self.composer.tokens = None;
        } else if self.out.requests.of(Asker::DraftCount).is_none() {
            let text = self.composer.text();
            self.book.counting.clone_from(&text);
            self.out
                .requests
                .ask(Asker::DraftCount, Request::Tokenize { text, special: false, begin: false });
        }
    }

    /// The answer to [`Self::count_draft`]; the draft may have changed since.
    pub(crate) fn counted(&mut self, event: Event) {
        let Event::Tokenized { tokens } = event else { return };
        if self.book.counting == self.composer.text() {
            self.composer.tokens = Some(tokens.len());
        } else {
            self.count_draft();
        }
    }

    /// What is kept as the shown chat's draft: what waits unsent there, then the composer.
    fn draft(&self) -> String {
        let waiting = self.talk.queued.as_ref().filter(|queued| queued.chat == self.talk.chat.head.id);
        let waiting = waiting.and_then(|queued| queued.text.clone()).unwrap_or_default();
        let typed = self.composer.kept.clone().unwrap_or_else(|| self.composer.text());
        match (waiting.is_empty(), typed.is_empty()) {
            (true, _) => typed,
            (false, true) => waiting,
            (false, false) => format!("{waiting}\n\n{typed}"),
        }
    }

    /// Hands the draft to the store if it is another than the one kept.
    pub(crate) fn keep_draft(&mut self) {
        self.composer.changed_at = None;
        let draft = self.draft();
        let stored = !self.talk.chat.turns.is_empty();
        let kept = if stored { &mut self.talk.chat.head.draft } else { &mut self.talk.new_draft };
        if *kept == draft {
            return;
        }
        kept.clone_from(&draft);
        let chat = stored.then_some(self.talk.chat.head.id);
        if let Some(head) = self.talk.chats.heads.iter_mut().find(|head| Some(head.id) == chat) {
            head.draft.clone_from(&draft);
        }
        self.out.store(store::Command::PutDraft(chat, draft));
    }

    /// Keeps a message in the prompt history.
    pub(crate) fn remember(&mut self, text: &str) {
        self.composer.history.retain(|old| old != text);
        self.composer.history.insert(0, text.to_owned());
        self.composer.history.truncate(HISTORY);
        self.out.store(store::Command::PutHistory(text.to_owned()));
    }

    /// Up: an earlier message, but only from the first line; else the line above.
    pub(crate) fn history_back(&mut self) {
        if self.composer.area.cursor().0 > 0 {
            self.composer.area.move_cursor(CursorMove::Up);
            return;
        }
        let (next, draft) = match self.composer.walking.take() {
            Some((at, draft)) => (at + 1, draft),
            None => (0, self.composer.text()),
        };
        let Some(text) = self.composer.history.get(next).cloned() else {
            self.composer.walking = next.checked_sub(1).map(|at| (at, draft));
            return;
        };
        self.set_draft(&text);
        self.composer.area.move_cursor(CursorMove::Top);
        self.composer.walking = Some((next, draft));
    }

    /// Down: a later message, but only from the last line; else the line below.
    pub(crate) fn history_forward(&mut self) {
        if self.composer.area.cursor().0 + 1 < self.composer.area.lines().len() {
            self.composer.area.move_cursor(CursorMove::Down);
            return;
        }
        let Some((at, draft)) = self.composer.walking.take() else { return };
        match at.checked_sub(1).and_then(|at| Some((at, self.composer.history.get(at)?.clone()))) {
            Some((at, text)) => {
                self.set_draft(&text);
                self.composer.walking = Some((at, draft));
            }
            None => self.set_draft(&draft),
        }
    }

    /// Undo or redo in the draft.
    pub(crate) fn undo_draft(&mut self, redo: bool) {
        let changed = if redo { self.composer.area.redo() } else { self.composer.area.undo() };
        self.composer.mark_labels();
        if changed {
            self.draft_changed();
        }
    }

    /// `$EDITOR` came back.
    pub(crate) fn edited(&mut self, result: Result<String, String>) {
        match result {
            Ok(text) => {
                let (text, cut) = clean(text.trim_end_matches('\n'));
                if !self.prompt_edited(&text) {
                    self.set_draft(&text);
                }
                if cut {
                    self.out.warn("the text was longer than 1 MB; the rest was left out");
                }
            }
            Err(message) => self.out.fail(message),
        }
    }
}
