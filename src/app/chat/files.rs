//! Files that go with a message: `@name` in the draft, and `/attach`.
//!
//! Invariants: a file is read when it is taken and before anything is sent; what is refused is said with its reason, the
//! draft stays as it was and nothing is sent. What names no file is text.

use std::ops::Range;

use crate::app::chat::composer::clean;
use crate::app::input::fuzzy;
use crate::app::{
    App, Asker, Completion, Composer, Effect, FileRead, FilesWanted as Wanted, Focus, ModelState, Offers,
    Outbox, Paste, PathOffer, Talk,
};
use crate::attachment::Attachment;
use crate::chat::{ConversationId, Turn, TurnId};
use crate::engine::protocol::{Event, Immediate, Request};
use crate::store;

/// A name after `@`: its bytes with the sign, and the name itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mention {
    bytes: Range<usize>,
    name: String,
}

/// The names of files in a text. `@@` is no name.
fn mentions(text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut before = ' ';
    let mut skip = 0;
    for (at, character) in text.char_indices() {
        let begins = before.is_whitespace() || "([{".contains(before);
        before = character;
        if character != '@' || !begins || at < skip {
            continue;
        }
        let rest = &text[at + 1..];
        let (name, length) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find(['"', '\n']).unwrap_or(quoted.len());
            (&quoted[..end], 1 + end + usize::from(quoted[end..].starts_with('"')))
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            (&rest[..end], end)
        };
        skip = at + 1 + length;
        if !name.is_empty() && !name.starts_with('@') {
            found.push(Mention { bytes: at..skip, name: name.to_owned() });
        }
    }
    found
}

/// A path as it is written after `@`.
fn written(path: &str) -> String {
    if path.contains(char::is_whitespace) { format!("@\"{path}\"") } else { format!("@{path}") }
}

impl Composer {
    /// The name of a file that the cursor stands behind, with where it begins in its line, in characters.
    fn mention_at_cursor(&self) -> Option<(usize, String)> {
        let (row, column) = self.area.cursor();
        let line: String = self.area.lines().get(row)?.chars().take(column).collect();
        let mention = mentions(&line).pop().filter(|mention| mention.bytes.end == line.len());
        let bare = || {
            line.ends_with('@').then(|| Mention { bytes: line.len() - 1..line.len(), name: String::new() })
        };
        let is_begun =
            |at: usize| line[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "([{".contains(c));
        let mention = mention.or_else(bare).filter(|mention| is_begun(mention.bytes.start))?;
        Some((line[..mention.bytes.start].chars().count(), mention.name))
    }

    /// Puts a path in place of the name at the cursor.
    fn complete_mention(&mut self, path: &str) {
        let Some((start, _)) = self.mention_at_cursor() else { return };
        let (_, column) = self.area.cursor();
        for _ in start..column {
            self.area.move_cursor(tui_textarea::CursorMove::Back);
        }
        self.area.delete_str(column - start);
        let whole = written(path);
        // A folder goes on, also inside quotes.
        let open = path.ends_with('/').then(|| whole.strip_suffix('"')).flatten();
        self.area.insert_str(open.unwrap_or(&whole));
        self.mark_labels();
    }

    /// Puts a label in place of a file's name; whether the name is there.
    fn replace_mention(&mut self, name: &str, file: &Attachment) -> bool {
        let forms = [format!("@\"{name}\""), format!("@\"{name}"), format!("@{name}")];
        let place = self.area.lines().iter().enumerate().find_map(|(row, line)| {
            let mention = mentions(line).into_iter().find(|mention| {
                let shown = &line[mention.bytes.clone()];
                forms.iter().any(|form| shown.starts_with(form.as_str()))
            })?;
            let form = forms.iter().find(|form| line[mention.bytes.start..].starts_with(form.as_str()))?;
            Some((row, line[..mention.bytes.start].chars().count(), form.chars().count()))
        });
        let Some((row, column, length)) = place else { return false };
        let to = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let cursor = self.area.cursor();
        self.area.move_cursor(tui_textarea::CursorMove::Jump(to(row), to(column)));
        self.area.delete_str(length);
        let label = self.chip_of(file);
        let longer = label.chars().count();
        self.area.insert_str(&label);
        if cursor.0 != row {
            self.area.move_cursor(tui_textarea::CursorMove::Jump(to(cursor.0), to(cursor.1)));
        } else if cursor.1 > column {
            let behind = cursor.1.saturating_sub(length) + longer;
            self.area.move_cursor(tui_textarea::CursorMove::Jump(to(row), to(behind)));
        }
        self.mark_labels();
        true
    }

    /// A new label that stands for a file.
    fn chip_of(&mut self, file: &Attachment) -> String {
        let short = std::path::Path::new(&file.name).file_name();
        let short = short.map_or_else(|| file.name.clone(), |name| name.to_string_lossy().into_owned());
        let lines = file.text.lines().count();
        let of = if lines == 1 { "1 line".to_owned() } else { format!("{lines} lines") };
        self.new_label(&format!("{short}, {of}"), file.block())
    }

    /// The labels in the draft with the tokens that each stands for, once they are counted.
    pub fn chips(&self) -> Vec<(&str, Option<usize>)> {
        let there = |paste: &&Paste| self.area.lines().iter().any(|line| line.contains(&paste.label));
        self.pastes
            .iter()
            .filter(there)
            .map(|paste| (paste.label.trim_matches(['[', ']']), paste.tokens))
            .collect()
    }

    /// Asks the engine how many tokens the labels stand for, one at a time.
    pub(crate) fn count_chips(&mut self, model: &ModelState, out: &mut Outbox) {
        if model.ready().is_none() || out.requests.of(Asker::ChipCount).is_some() {
            return;
        }
        if let Some(paste) = self.pastes.iter().find(|paste| paste.tokens.is_none()) {
            let text = paste.text.clone();
            let request = Immediate::Tokenize { text, special: false, begin: false };
            out.requests.ask(Asker::ChipCount, Request::Immediate(request));
        }
    }

    /// The answer: it is about the first label that is not counted yet.
    pub(crate) fn chip_counted(&mut self, model: &ModelState, out: &mut Outbox, event: Event) {
        let Event::Tokenized { tokens } = event else { return };
        if let Some(paste) = self.pastes.iter_mut().find(|paste| paste.tokens.is_none()) {
            paste.tokens = Some(tokens.len());
        }
        self.count_chips(model, out);
    }
}

impl Talk {
    /// Asks how many tokens what lies in a message is, one file or paste at a time.
    pub(crate) fn count_inserts(&mut self, out: &mut Outbox, chat: ConversationId, turn: TurnId) {
        if out.requests.of(Asker::InsertCount).is_some() {
            return;
        }
        let Some(typed) = self.conversation_mut(chat).and_then(|chat| chat.turn(turn)).map(Turn::typed)
        else {
            return;
        };
        self.counting = typed.inserts.iter().find(|insert| insert.tokens.is_none()).map(|insert| {
            let text = typed.text[insert.bytes()].to_owned();
            let request = Immediate::Tokenize { text, special: false, begin: false };
            out.requests.ask(Asker::InsertCount, Request::Immediate(request));
            (chat, turn, insert.start)
        });
    }

    /// The answer to [`Self::count_inserts`].
    pub(crate) fn insert_counted(&mut self, out: &mut Outbox, event: Event) {
        let Event::Tokenized { tokens } = event else { return };
        let Some((chat, id, start)) = self.counting.take() else { return };
        let Some(turn) = self.conversation_mut(chat).and_then(|chat| chat.turn_mut(id)) else { return };
        let Some(insert) = turn.inserts.iter_mut().find(|insert| insert.start == start) else { return };
        insert.tokens = Some(u32::try_from(tokens.len()).unwrap_or(u32::MAX));
        out.store(store::Command::PutTurn(chat, Box::new(turn.clone())));
        self.count_inserts(out, chat, id);
    }
}

impl Composer {
    /// Asks for what the name at the cursor could go on to; whether there is one.
    pub(crate) fn offer_paths(&self, out: &mut Outbox) -> bool {
        let typed = self.typed_path();
        if let Some(typed) = &typed {
            out.emit(Effect::ListPaths(typed.clone()));
        }
        typed.is_some()
    }

    /// The path being typed: behind `@`, or as the argument of `/attach`.
    fn typed_path(&self) -> Option<String> {
        let line = self.area.lines().first()?;
        let attached = line.strip_prefix("/attach ").filter(|_| self.area.lines().len() == 1);
        attached.map(str::to_owned).or_else(|| Some(self.mention_at_cursor()?.1))
    }

    /// Whether what is typed begins a path.
    pub(crate) fn names_path(&self, path: &str) -> bool {
        self.typed_path().is_some_and(|typed| !typed.is_empty() && fuzzy::begins(path, &typed))
    }

    /// What a path could go on to is known.
    pub(crate) fn paths_listed(&mut self, focus: Focus, typed: &str, found: &[PathOffer]) {
        if focus != Focus::Composer || self.typed_path().as_deref() != Some(typed) {
            return;
        }
        let size = |offer: &PathOffer| offer.size.map_or("folder".to_owned(), bytes);
        let items: Vec<_> = found.iter().map(|offer| (offer.path.clone(), size(offer))).collect();
        let attaches = self.area.lines()[0].starts_with("/attach ");
        let of = if attaches { Offers::Attached } else { Offers::Named };
        self.completion = (!items.is_empty()).then_some(Completion { items, selected: 0, walked: false, of });
    }

    /// Asks for the files that the draft names before it is sent; whether it names any.
    pub(crate) fn read_named(&mut self, out: &mut Outbox, text: &str) -> bool {
        let shown = self.area.lines().join("\n");
        let names: Vec<String> = mentions(&shown).into_iter().map(|mention| mention.name).collect();
        let unread = !names.is_empty() && self.sent_unread.as_deref() != Some(text);
        if unread {
            self.sent_unread = Some(text.to_owned());
            out.emit(Effect::ReadFiles(names, Wanted::Sent));
        }
        unread
    }
}

impl Outbox {
    /// `/attach`: asks for a file, whose name may have blanks.
    pub(crate) fn attach(&mut self, argument: &str) {
        let path = argument.trim().trim_start_matches('@').trim_matches('"').to_owned();
        self.emit(Effect::ReadFiles(vec![path], Wanted::Attached));
    }
}

impl App {
    /// A path was chosen: a folder goes on, a file is read.
    pub(crate) fn take_path(&mut self, path: &str, of: Offers) {
        self.composer.completion = None;
        if of == Offers::Attached {
            let line = format!("/attach {path}");
            self.composer.replace(&self.model, &mut self.out, &line);
            if path.ends_with('/') {
                self.complete();
            } else {
                self.submit();
            }
            return;
        }
        self.edit_draft(|composer| {
            composer.complete_mention(path);
            true
        });
        if !path.ends_with('/') {
            self.composer.completion = None;
            self.out.emit(Effect::ReadFiles(vec![path.to_owned()], Wanted::Named));
        }
    }

    /// Files were read, or are not there.
    pub(crate) fn files_read(&mut self, files: Vec<FileRead>, wanted: Wanted) {
        // Whoever typed on meanwhile sends it anew.
        let sends = wanted == Wanted::Sent && self.composer.sent_unread.take() == Some(self.composer.text());
        let mut refused = None;
        for FileRead { name, file } in files {
            match (file, wanted) {
                (Some(Ok(file)), _) => self.put_file(&name, &file, wanted),
                (Some(Err(why)), _) => refused = Some(why.to_string()),
                (None, Wanted::Sent) => {}
                (None, _) => refused = Some(format!("{name} is not there")),
            }
        }
        self.composer.count_chips(&self.model, &mut self.out);
        match (refused, wanted) {
            (Some(why), Wanted::Sent) => {
                self.out.warn(format!("not sent: {why} (@@ in place of @ is text)"));
            }
            (Some(why), _) => self.out.warn(why),
            (None, _) if sends => {
                self.composer.sent_unread = Some(self.composer.text());
                self.submit();
                self.composer.sent_unread = None;
            }
            (None, _) => {}
        }
    }

    fn put_file(&mut self, name: &str, file: &Attachment, wanted: Wanted) {
        let (text, cut) = clean(&file.text);
        if cut {
            return self.out.warn(format!("{name} is longer than 1 MB"));
        }
        let file = Attachment { name: file.name.clone(), text };
        self.edit_draft(|composer| {
            if wanted == Wanted::Attached {
                let label = composer.chip_of(&file);
                composer.area.insert_str(format!("{label} "));
                composer.mark_labels();
                true
            } else {
                composer.replace_mention(name, &file)
            }
        });
        if wanted == Wanted::Attached {
            self.set_focus(Focus::Composer);
        }
    }
}

fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size.div_ceil(1024)),
        _ => format!("{} MiB", size.div_ceil(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_behind_an_at_sign_that_begins_a_word() {
        let names = |text: &str| mentions(text).into_iter().map(|m| m.name).collect::<Vec<_>>();
        assert_eq!(
            names("see @src/a.rs and (@b.txt) @\"my file.md\"x"),
            ["src/a.rs", "b.txt)", "my file.md"]
        );
        assert_eq!(names("me@example.org @@x @ \"@\""), [""; 0]);
        assert_eq!(names("@a\n@b"), ["a", "b"]);
    }
}
