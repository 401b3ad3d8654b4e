//! The composer: editing by whole characters, pastes as labels, the prompt history, drafts.
//!
//! Invariant: the message is [`Composer::text`]; what the editor shows may hold labels for long pastes.

use std::ops::Range;

use crossterm::event::KeyEvent;
use tui_textarea::{AtomicRange, CursorMove};

use crate::app::{App, Asker, Composer, ModelState, Outbox, Paste, Talk, input::text_edit};
use crate::chat::{Insert, Typed};
use crate::engine::protocol::{Capability, Event, Immediate, Request};
use crate::{attachment, store};

/// A paste is cut at this many bytes.
pub const PASTE_LIMIT: usize = 1_000_000;
/// A paste of more lines than this is shown as a label.
const LABEL_LINES: usize = 20;
/// Likewise one of more bytes.
const LABEL_BYTES: usize = 8000;
/// A draft is kept this long after its last change, ms.
pub(crate) const DRAFT_MS: u64 = 200;
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
            waited_at: None,
            sent_unread: None,
            counting: String::new(),
        }
    }
}

impl Composer {
    /// The message: what the editor holds with the pastes in place of their labels.
    pub fn text(&self) -> String {
        self.typed().text
    }

    /// The message, and where the files and pastes lie in it.
    pub fn typed(&self) -> Typed {
        let shown = self.area.lines().join("\n");
        let mut text = String::with_capacity(shown.len());
        let mut inserts = Vec::new();
        let mut rest = shown.as_str();
        while let Some((at, paste)) = self.first_label(rest) {
            text.push_str(&rest[..at]);
            let apart = paste.file && !(text.is_empty() || text.ends_with('\n'));
            text.extend(apart.then_some('\n'));
            let start = text.len();
            text.push_str(&paste.text);
            let file = paste.file.then(|| attachment::name(&paste.text).to_owned());
            let tokens = paste.tokens.and_then(|tokens| u32::try_from(tokens).ok());
            inserts.push(Insert { start, end: text.len(), file, tokens });
            rest = &rest[at + paste.label.len()..];
            let more = rest.strip_prefix(' ').unwrap_or(rest);
            if paste.file && !more.starts_with('\n') {
                text.extend((!more.is_empty()).then_some('\n'));
                rest = more;
            }
        }
        Typed { text: text + rest, inserts }
    }

    /// Whether nothing but blanks is in it.
    pub fn is_blank(&self) -> bool {
        self.area.lines().iter().all(|line| line.trim().is_empty())
    }

    /// Whether nothing at all is in it.
    pub fn is_empty(&self) -> bool {
        self.area.lines().iter().all(String::is_empty)
    }

    /// Puts another text in place, cursor at its end; files in it stand as labels.
    pub fn set(&mut self, text: &str) {
        self.set_typed(attachment::typed(text.to_owned()));
    }

    /// Puts another message in place, cursor at its end; files and pastes in it stand as labels.
    fn set_typed(&mut self, typed: Typed) {
        // Messages of earlier versions do not say where their files are.
        let typed = if typed.inserts.is_empty() { attachment::typed(typed.text) } else { typed };
        let Typed { text, inserts } = typed;
        self.pastes.clear();
        self.completion = None;
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for insert in inserts {
            let inside = &text[insert.bytes()];
            let label = match &insert.file {
                Some(name) => {
                    let lines = inside.lines().count().saturating_sub(3);
                    format!("{}, {lines} lines", name.rsplit('/').next().unwrap_or(name))
                }
                None => pasted(inside),
            };
            shown.push_str(&text[from..insert.start]);
            shown.push_str(&self.new_label(&label, inside.to_owned()));
            from = insert.end;
        }
        shown.push_str(&text[from..]);
        text_edit::set(&mut self.area, &shown);
        self.mark_labels();
    }

    /// Puts cleaned text in at the cursor, as a label where it is long.
    pub fn insert(&mut self, text: &str) {
        let lines = text.lines().count();
        if lines <= LABEL_LINES && text.len() <= LABEL_BYTES {
            self.area.insert_str(text);
        } else {
            let label = self.new_label(&pasted(text), text.to_owned());
            self.area.insert_str(&label);
        }
        self.mark_labels();
    }

    /// A label that no other is like, and what it stands for.
    pub(crate) fn new_label(&mut self, name: &str, text: String) -> String {
        let label = (1..=self.pastes.len() + 1)
            .map(|n| if n == 1 { format!("[{name}]") } else { format!("[{name}, {n}]") })
            .find(|label| self.pastes.iter().all(|paste| paste.label != *label))
            .expect("one more number than labels is free");
        let file = attachment::blocks(&text).first() == Some(&(0..text.len()));
        self.pastes.push(Paste { label: label.clone(), text, file, tokens: None });
        label
    }

    fn first_label<'a>(&'a self, text: &str) -> Option<(usize, &'a Paste)> {
        self.pastes
            .iter()
            .filter_map(|paste| Some((text.find(&paste.label)?, paste)))
            .min_by_key(|&(at, _)| at)
    }

    /// Marks labels as indivisible; every edit forgets them.
    pub(crate) fn mark_labels(&mut self) {
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

/// What a long paste is called.
fn pasted(text: &str) -> String {
    match text.lines().count() {
        1 => format!("pasted {} characters", text.chars().count()),
        lines => format!("pasted {lines} lines"),
    }
}

fn columns(line: &str, bytes: &Range<usize>) -> Range<usize> {
    let start = line[..bytes.start].chars().count();
    start..start + line[bytes.clone()].chars().count()
}

/// Pasted text made harmless: line ends as `\n`, no control characters but tab, no bidirectional
/// overrides, at most [`PASTE_LIMIT`] bytes. Says whether it was cut.
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

impl Composer {
    /// A key that edits the draft; whether it did.
    pub(crate) fn compose(&mut self, key: KeyEvent) -> bool {
        let before = self.area.lines().to_vec();
        text_edit::key(&mut self.area, key);
        self.mark_labels();
        before != self.area.lines()
    }

    fn touched(&mut self, model: &ModelState, out: &mut Outbox) {
        self.changed_at = Some(out.now.mono_ms);
        out.quit_asked = false;
        self.count(model, out);
        self.count_chips(model, out);
    }

    /// Replaces the draft.
    pub(crate) fn replace(&mut self, model: &ModelState, out: &mut Outbox, text: &str) {
        self.replace_typed(model, out, text.to_owned().into());
    }

    /// Replaces the draft by a message with what lies in it.
    pub(crate) fn replace_typed(&mut self, model: &ModelState, out: &mut Outbox, typed: Typed) {
        self.set_typed(typed);
        self.walking = None;
        self.touched(model, out);
    }

    /// Asks the engine how many tokens the draft has, one question at a time.
    pub(crate) fn count(&mut self, model: &ModelState, out: &mut Outbox) {
        if self.is_empty() {
            self.tokens = Some(0);
        } else if !model.ready().is_some_and(|loaded| loaded.capabilities.has(Capability::Tokenizes)) {
            self.tokens = None;
        } else if out.requests.of(Asker::DraftCount).is_none() {
            let text = self.text();
            self.counting.clone_from(&text);
            out.requests.ask(
                Asker::DraftCount,
                Request::Immediate(Immediate::Tokenize { text, special: false, begin: false }),
            );
        }
    }

    /// The answer to [`Self::count`]; the draft may have changed since.
    pub(crate) fn counted(&mut self, model: &ModelState, out: &mut Outbox, event: Event) {
        let Event::Tokenized { tokens } = event else { return };
        if self.counting == self.text() {
            self.tokens = Some(tokens.len());
        } else {
            self.count(model, out);
        }
    }

    /// Keeps a message in the prompt history.
    pub(crate) fn remember(&mut self, out: &mut Outbox, text: &str) {
        self.history.retain(|old| old != text);
        self.history.insert(0, text.to_owned());
        self.history.truncate(HISTORY);
        out.store(store::Command::PutHistory(text.to_owned()));
    }

    /// Up: an earlier message, but only from the first line; else the line above.
    pub(crate) fn history_back(&mut self, model: &ModelState, out: &mut Outbox) {
        if self.area.cursor().0 > 0 {
            self.area.move_cursor(CursorMove::Up);
            return;
        }
        let (next, draft) = match self.walking.take() {
            Some((at, draft)) => (at + 1, draft),
            None => (0, self.text()),
        };
        let Some(text) = self.history.get(next).cloned() else {
            self.walking = next.checked_sub(1).map(|at| (at, draft));
            return;
        };
        self.replace(model, out, &text);
        self.area.move_cursor(CursorMove::Top);
        self.walking = Some((next, draft));
    }

    /// Down: a later message, but only from the last line; else the line below.
    pub(crate) fn history_forward(&mut self, model: &ModelState, out: &mut Outbox) {
        if self.area.cursor().0 + 1 < self.area.lines().len() {
            self.area.move_cursor(CursorMove::Down);
            return;
        }
        let Some((at, draft)) = self.walking.take() else { return };
        match at.checked_sub(1).and_then(|at| Some((at, self.history.get(at)?.clone()))) {
            Some((at, text)) => {
                self.replace(model, out, &text);
                self.walking = Some((at, draft));
            }
            None => self.replace(model, out, &draft),
        }
    }

    /// Redo, or what was cut last once more; whether there was something.
    pub(crate) fn redo_or_yank(&mut self) -> bool {
        let changed = self.undo(true) || self.area.paste();
        self.mark_labels();
        changed
    }

    /// Undo or redo in the draft; whether there was something.
    pub(crate) fn undo(&mut self, redo: bool) -> bool {
        let changed = if redo { self.area.redo() } else { self.area.undo() };
        self.mark_labels();
        changed
    }
}

impl App {
    /// Bracketed paste, wherever the input is.
    pub(crate) fn paste(&mut self, text: &str) {
        let (text, cut) = clean(text);
        if cut {
            self.out.warn("the paste was longer than 1 MB; the rest was left out");
        }
        if self.line_paste(&text) {
            return;
        }
        self.focus = crate::app::Focus::Composer;
        self.edit_draft(|composer| {
            composer.insert(&text);
            true
        });
    }

    /// Text that came as keys: it goes where text goes, and no line end in it sends anything.
    pub(crate) fn burst(&mut self, text: &str) {
        let elsewhere = self.focus != crate::app::Focus::Composer && self.overlays.is_empty();
        self.paste(text);
        if text.contains('\n') || text.is_empty() {
            let how = self.keymap.shown(crate::command::Command::Send);
            self.out.say(format!("what comes all at once is a paste: {how} sends it"));
        } else if elsewhere && self.focus == crate::app::Focus::Composer {
            self.out.say("text goes into the message; Tab leads back to the transcript");
        }
    }

    /// Edits the draft; whatever depends on it follows where it was changed.
    pub(crate) fn edit_draft(&mut self, edit: impl FnOnce(&mut Composer) -> bool) {
        if edit(&mut self.composer) {
            self.composer.walking = None;
            self.composer.touched(&self.model, &mut self.out);
            self.complete();
        }
    }

    /// `$EDITOR` came back.
    pub(crate) fn edited(&mut self, result: Result<String, String>) {
        match result {
            Ok(text) => {
                let (text, cut) = clean(text.trim_end_matches('\n'));
                if !self.prompt_edited(&text) {
                    self.composer.replace(&self.model, &mut self.out, &text);
                }
                if cut {
                    self.out.warn("the text was longer than 1 MB; the rest was left out");
                }
            }
            Err(message) => self.out.fail(message),
        }
    }
}

impl Talk {
    /// Hands the draft to the store if it is another than the one kept.
    pub(crate) fn keep_draft(&mut self, composer: &mut Composer, out: &mut Outbox) {
        composer.changed_at = None;
        let draft = self.draft(composer);
        let stored = !self.chat.turns.is_empty() || out.unstored.has(self.chat.head.id);
        let kept = if stored { &mut self.chat.head.draft } else { &mut self.new_draft };
        if *kept == draft {
            return;
        }
        kept.clone_from(&draft);
        let chat = stored.then_some(self.chat.head.id);
        if let Some(head) = chat.and_then(|chat| self.chats.find_mut(chat)) {
            head.draft.clone_from(&draft);
        }
        out.store(store::Command::PutDraft(chat, draft));
    }

    /// What is kept as the shown chat's draft: what waits unsent there, then the composer.
    fn draft(&self, composer: &Composer) -> String {
        let waiting = self.queued.as_ref().filter(|queued| queued.chat == self.chat.head.id);
        let waiting = waiting.map(|queued| Typed::joined(&queued.texts).text).unwrap_or_default();
        let typed = composer.kept.clone().unwrap_or_else(|| composer.text());
        match (waiting.is_empty(), typed.is_empty()) {
            (true, _) => typed,
            (false, true) => waiting,
            (false, false) => format!("{waiting}\n\n{typed}"),
        }
    }
}
