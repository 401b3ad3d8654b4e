//! Copying: to the desktop's clipboard, or through the terminal.
//!
//! Invariant: whoever copies is told which way the text went, or why it did not.

use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;

/// Terminals cut what they are sent through OSC 52 at about this many bytes.
const OSC52_MOST: usize = 74_000;

/// The clipboard: the desktop's own where there is one, and OSC 52.
#[derive(Default)]
pub(super) struct Clipboard {
    /// Kept for the whole run: on X11 the text lives only as long as its owner.
    #[cfg(feature = "clipboard")]
    desktop: Option<arboard::Clipboard>,
}

impl Clipboard {
    /// Copies a text; says how, or why not.
    pub(super) fn copy(&mut self, text: &str) -> Result<String, String> {
        let remote = std::env::var_os("SSH_CONNECTION").is_some();
        if !remote && self.desktop_takes(text) {
            return Ok("copied".to_owned());
        }
        if text.len() > OSC52_MOST {
            return Err(format!(
                "{} bytes are too long to hand to the terminal (it takes about {OSC52_MOST})",
                text.len()
            ));
        }
        execute!(std::io::stdout(), CopyToClipboard::to_clipboard_from(text))
            .map(|()| "handed to the terminal's clipboard".to_owned())
            .map_err(|error| format!("not copied: {error}"))
    }

    #[cfg(feature = "clipboard")]
    fn desktop_takes(&mut self, text: &str) -> bool {
        if self.desktop.is_none() {
            self.desktop = arboard::Clipboard::new().ok();
        }
        self.desktop.as_mut().is_some_and(|desktop| desktop.set_text(text).is_ok())
    }

    #[cfg(not(feature = "clipboard"))]
    fn desktop_takes(&mut self, _text: &str) -> bool {
        false
    }
}
