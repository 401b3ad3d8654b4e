//! The notice row: one line, the newest wins, and it goes by itself unless it is an error.

use super::{App, Level, Notice};

/// How long a plain notice stays, ms.
const PLAIN_MS: u64 = 4000;
/// How long a caution stays, ms.
const WARN_MS: u64 = 8000;

impl App {
    /// Shows a plain notice.
    pub(crate) fn say(&mut self, text: impl Into<String>) {
        self.notice =
            Some(Notice { text: text.into(), level: Level::Info, until: Some(self.now.mono_ms + PLAIN_MS) });
    }

    /// Shows a caution.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.notice =
            Some(Notice { text: text.into(), level: Level::Warn, until: Some(self.now.mono_ms + WARN_MS) });
    }

    /// Shows a failure; it stays until something replaces it.
    pub(crate) fn fail(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), level: Level::Error, until: None });
    }

    /// Lets a notice go whose time is over.
    pub(crate) fn expire_notice(&mut self) {
        let over = self.notice.as_ref().and_then(|notice| notice.until);
        if over.is_some_and(|until| until <= self.now.mono_ms) {
            self.notice = None;
            self.book.quit_asked = false;
            self.dirty = true;
        }
    }
}
