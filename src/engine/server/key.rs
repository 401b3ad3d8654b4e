//! The key that a server wants, read where the entry says it is.
//!
//! Invariant: a key is never shown ([`Bearer`]), and what a server says back is told without it ([`Key::hidden_in`]).

use std::path::Path;

use reqwest::header::HeaderValue;

use crate::bearer::Bearer;
use crate::model_entry::{self, at_home};

/// A key, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Bearer);

impl Key {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence: it is not there, others may read its file, or it cannot be sent.
    pub fn read(from: &model_entry::Key) -> Result<Self, String> {
        let (text, origin) = match from {
            model_entry::Key::Env(name) => {
                let text = std::env::var_os(name).filter(|text| !text.is_empty());
                let text = text.ok_or_else(|| {
                    format!("The key is looked for in the environment as {name}, which is not set: set it and start again.")
                })?;
                (text.to_string_lossy().into_owned(), name.clone())
            }
            model_entry::Key::File(path) => {
                let path = at_home(path);
                (of_file(&path)?, path.display().to_string())
            }
        };
        Self::new(&text, &origin).ok_or_else(|| {
            format!("{origin} holds no key that can be sent (a key has no blanks, line breaks or accents).")
        })
    }

    /// `None` if it is empty or cannot stand in a header.
    pub fn new(text: &str, origin: &str) -> Option<Self> {
        Bearer::new(text, origin).map(Self)
    }

    /// Where it is from, for a sentence.
    pub fn origin(&self) -> &str {
        self.0.origin()
    }

    /// The header that it goes in.
    pub fn header(&self) -> HeaderValue {
        self.0.header()
    }

    /// A text of somebody else's without it.
    pub fn hidden_in(&self, text: &str) -> String {
        self.0.hidden_in(text)
    }
}

/// The text of a file that only its owner can read.
fn of_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unread = |error: std::io::Error| format!("The key's file {shown} cannot be read ({error}).");
    let about = std::fs::metadata(path).map_err(unread)?;
    if is_open(&about) {
        return Err(format!(
            "The key's file {shown} can be read by others, so the key is not used: chmod 600 '{shown}'"
        ));
    }
    std::fs::read_to_string(path).map_err(unread)
}

#[cfg(unix)]
fn is_open(about: &std::fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open(_: &std::fs::Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_and_never_shown() {
        let key = Key::new(" sk-secret\n", "X").unwrap();
        assert_eq!(key.header(), "Bearer sk-secret");
        assert_eq!(format!("{key:?} {:?}", key.header()), "Key(…) Sensitive");
        assert_eq!(key.hidden_in("Incorrect API key provided: sk-secret."), "Incorrect API key provided: ….");
        for text in ["", "a b", "a\nb", "ä"] {
            assert_eq!(Key::new(text, "X"), None, "{text:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "sk-secret\n").unwrap();
        let read = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Key::read(&model_entry::Key::File(path.clone()))
        };
        assert_eq!(read(0o600).unwrap().header(), "Bearer sk-secret");
        for mode in [0o644, 0o640, 0o604] {
            let said = read(mode).unwrap_err();
            assert!(said.contains("chmod 600") && !said.contains("sk-"), "{said}");
        }
        let missing = Key::read(&model_entry::Key::Env("GLASSBOX_NO_SUCH_KEY".into())).unwrap_err();
        assert!(missing.contains("GLASSBOX_NO_SUCH_KEY") && missing.contains("not set"), "{missing}");
    }
}
