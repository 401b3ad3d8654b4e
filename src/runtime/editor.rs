//! A text in the user's own editor, on the whole terminal.
//!
//! Invariants: the loop goes on while an editor has the terminal: replies are saved, signals are heard. What was saved in it
//! is not lost: an editor that comes back at once may still be open beside the app, so its file
//! stays, and what is saved in it later is taken as soon as the app looks.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::open_file::{Editing, OpenFile};
use super::shell::Shell;

/// An editor that ends sooner than this without a change was hardly seen by anybody.
const AT_ONCE: Duration = Duration::from_millis(700);

/// What came of editing.
pub(super) struct Edited {
    /// The text, if it is to be taken.
    pub(super) text: Option<String>,
    /// What is to be said.
    pub(super) note: Option<String>,
}

impl Shell {
    /// Gives the terminal to the user's `$VISUAL` or `$EDITOR` with a text. Replies are written and saved meanwhile.
    pub(super) fn edit(&mut self, text: String) {
        if let Some(saved) = self.saved_later() {
            return self.edited(Ok(saved));
        }
        match self.begin_editing(text) {
            Ok(editing) => self.editing = Some(editing),
            Err(problem) => self.edited(Err(problem)),
        }
    }

    fn begin_editing(&mut self, text: String) -> Result<Editing, String> {
        let editor =
            editor(|name| std::env::var(name).ok()).ok_or("no editor: set $EDITOR (to nano, vim, hx …)")?;
        let mut file = tempfile::Builder::new()
            .prefix("glassbox-")
            .suffix(".md")
            .tempfile()
            .map_err(|error| format!("no temporary file for the editor: {error}"))?;
        file.write_all(text.as_bytes()).map_err(|error| format!("the draft was not written: {error}"))?;
        self.leave();
        // Through the shell, since $EDITOR may carry arguments; the path is a parameter, not part of the text.
        let started = tokio::process::Command::new("sh")
            .arg("-c")
            .arg(format!("{editor} \"$1\""))
            .arg("sh")
            .arg(file.path())
            .spawn();
        match started {
            Ok(child) => Ok(Editing { child, editor, file, text, begun: Instant::now() }),
            Err(error) => {
                self.come_back().map_err(|error| error.to_string())?;
                Err(format!("{editor} could not be started: {error}"))
            }
        }
    }

    /// The editor has ended: the terminal is the app's again, and what was saved is taken.
    pub(super) fn editor_ended(&mut self, ended: std::io::Result<ExitStatus>) -> anyhow::Result<()> {
        let Some(editing) = self.editing.take() else { return Ok(()) };
        self.come_back()?;
        let result = match ended {
            Ok(status) => self.came_of(editing, status),
            Err(error) => Err(format!("{} could not be waited for: {error}", editing.editor)),
        };
        self.edited(result);
        Ok(())
    }

    fn came_of(&mut self, editing: Editing, status: ExitStatus) -> Result<Edited, String> {
        let Editing { editor, file, text, begun, .. } = editing;
        // What a shell answers for a command that is not there.
        if status.code() == Some(127) {
            return Err(format!("$EDITOR is {editor}, which is not there; the draft is as it was"));
        }
        if !status.success() {
            return Err(format!("{editor} ended with {status}; the draft is as it was"));
        }
        let bytes =
            std::fs::read(file.path()).map_err(|error| format!("the edited text cannot be read: {error}"))?;
        if bytes != text.as_bytes() {
            return Ok(taken(&bytes, None));
        }
        if begun.elapsed() >= AT_ONCE {
            return Ok(Edited { text: None, note: Some("nothing was changed".to_owned()) });
        }
        let (_, path) = file.keep().map_err(|error| format!("the editor's file was not kept: {error}"))?;
        let note = format!(
            "{editor} came back at once; if it is still open, save there and come back here. To have it waited for, \
             give $EDITOR its flag (such as code --wait)"
        );
        self.open_file = Some(OpenFile { path, held: bytes });
        Ok(Edited { text: None, note: Some(note) })
    }

    /// The app ends while the editor is open: its file stays, so that what is saved in it is not lost.
    pub(super) fn leave_editor(&mut self) {
        if let Some(editing) = self.editing.take() {
            let _ = editing.file.keep(); // where that fails there is nothing left to do
        }
    }

    /// What was saved in a file whose editor had come back at once.
    pub(super) fn saved_later(&mut self) -> Option<Edited> {
        let open = self.open_file.as_mut()?;
        let bytes =
            std::fs::read(&open.path).ok().filter(|bytes| !bytes.is_empty() && *bytes != open.held)?;
        open.held.clone_from(&bytes);
        Some(taken(&bytes, Some("what the editor saved is here")))
    }

    /// The file is not needed any more; what was saved in it and not taken stays.
    pub(super) fn forget_file(&mut self) {
        if let Some(open) = self.open_file.take() {
            forget(&open.path, &open.held);
        }
    }
}

fn forget(path: &Path, held: &[u8]) {
    if std::fs::read(path).is_ok_and(|bytes| bytes == held) {
        let _ = std::fs::remove_file(path); // a file that stays does no harm
    }
}

/// The first of `$VISUAL` and `$EDITOR` that names something.
fn editor(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    ["VISUAL", "EDITOR"].iter().filter_map(|name| variable(name)).find(|editor| !editor.trim().is_empty())
}

/// What an editor saved, in whatever encoding.
fn taken(bytes: &[u8], said: Option<&str>) -> Edited {
    let (text, encoding) = decoded(bytes);
    let note = encoding.map(|encoding| format!("the editor saved {encoding}; it was read as that"));
    Edited { text: Some(text), note: note.or(said.map(str::to_owned)) }
}

/// Bytes as the text that they most likely are, and the encoding's name if it is not UTF-8.
fn decoded(bytes: &[u8]) -> (String, Option<&'static str>) {
    let wide = |little: bool| {
        let unit = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        };
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(unit).collect();
        (String::from_utf16_lossy(&units), Some("UTF-16"))
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(true),
        [0xfe, 0xff, ..] => wide(false),
        [0xef, 0xbb, 0xbf, rest @ ..] if std::str::from_utf8(rest).is_ok() => {
            (String::from_utf8_lossy(rest).into_owned(), None)
        }
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (bytes.iter().map(|byte| char::from(*byte)).collect(), Some("Latin-1")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_visual_does_not_hide_the_editor() {
        let of = |visual: &str, editor_is: &str| {
            editor(|name| Some(if name == "VISUAL" { visual.to_owned() } else { editor_is.to_owned() }))
        };
        assert_eq!(of("", "vim"), Some("vim".into()));
        assert_eq!(of(" ", "vim"), Some("vim".into()));
        assert_eq!(of("code --wait", "vim"), Some("code --wait".into()));
        assert_eq!(editor(|_| None), None);
    }

    #[test]
    fn a_text_saved_in_another_encoding_is_read() {
        assert_eq!(decoded("né".as_bytes()), ("né".into(), None));
        assert_eq!(decoded(b"\xef\xbb\xbfa"), ("a".into(), None));
        assert_eq!(decoded(b"n\xe9"), ("né".into(), Some("Latin-1")));
        assert_eq!(decoded(b"\xff\xfen\0\xe9\0"), ("né".into(), Some("UTF-16")));
    }

    #[test]
    fn a_file_with_something_new_in_it_is_not_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.md");
        std::fs::write(&path, "new").unwrap();
        forget(&path, b"old");
        assert!(path.exists());
        forget(&path, b"new");
        assert!(!path.exists());
    }
}
