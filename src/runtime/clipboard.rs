//! Copying: to the desktop's clipboard, to tmux's buffer, or through the terminal.
//!
//! Invariant: whoever copies is told what was copied and which way it went, or why it did not and what to set.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crossterm::clipboard::CopyToClipboard;
use crossterm::execute;

use crate::sanitize;

/// Terminals cut what they are sent through OSC 52 at about this many bytes.
const OSC52_MOST: usize = 74_000;
/// screen passes on so many bytes of a string at a time.
const SCREEN_PIECE: usize = 700;
/// So many characters of what was copied are shown.
const SHOWN: usize = 24;

/// The clipboard: the desktop's own where there is one, tmux's buffer inside tmux, and OSC 52.
#[derive(Default)]
pub(super) struct Clipboard {
    /// Kept for the whole run: on X11 the text lives only as long as its owner.
    desktop: Option<Desktop>,
}

#[cfg(feature = "clipboard")]
type Desktop = arboard::Clipboard;

/// A build without it has none.
#[cfg(not(feature = "clipboard"))]
enum Desktop {}

/// What stands between the app and whoever sits before the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// A tmux that runs on this machine.
    Tmux,
    /// screen.
    Screen,
    /// A terminal on another machine, in which a multiplexer runs.
    RemoteMultiplexer,
    /// A terminal that takes no clipboard from programs.
    Refuses(&'static str),
    /// A terminal.
    Terminal,
}

impl Way {
    fn find(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let term = variable("TERM").unwrap_or_default();
        let multiplexed = term.starts_with("tmux") || term.starts_with("screen");
        match () {
            () if set("TMUX") => Self::Tmux,
            () if set("STY") => Self::Screen,
            () if multiplexed => Self::RemoteMultiplexer,
            () if variable("TERM_PROGRAM").as_deref() == Some("Apple_Terminal") => {
                Self::Refuses("Terminal.app")
            }
            () if variable("VTE_VERSION").and_then(|v| v.parse().ok()).is_some_and(|v: u32| v < 7800) => {
                Self::Refuses("this version of GNOME's terminal")
            }
            () => Self::Terminal,
        }
    }
}

impl Clipboard {
    /// Copies a text; says how, or why not.
    pub(super) fn copy(&mut self, text: &str) -> Result<String, String> {
        let what = described(text);
        let remote = std::env::var_os("SSH_CONNECTION").is_some();
        if !remote && desktop_takes(&mut self.desktop, text) {
            return Ok(format!("copied {what}"));
        }
        let way = Way::find(|name| std::env::var(name).ok());
        if way == Way::Tmux && tmux_takes(text) {
            return Ok(in_tmux(&what, tmux_option().as_deref()));
        }
        if text.len() > OSC52_MOST {
            let bytes = text.len();
            return Err(format!(
                "{bytes} bytes are too long to hand to the terminal (it takes about {OSC52_MOST}); /export writes a file"
            ));
        }
        let sent = if way == Way::Screen { through_screen(text) } else { osc52(text) };
        sent.map(|()| said(way, &what)).map_err(|error| format!("not copied: {error}"))
    }
}

#[cfg(feature = "clipboard")]
fn desktop_takes(desktop: &mut Option<Desktop>, text: &str) -> bool {
    if desktop.is_none() {
        *desktop = arboard::Clipboard::new().ok();
    }
    desktop.as_mut().is_some_and(|desktop| desktop.set_text(text).is_ok())
}

#[cfg(not(feature = "clipboard"))]
fn desktop_takes(_: &mut Option<Desktop>, _: &str) -> bool {
    false
}

/// What is said once tmux has a text, by its option set-clipboard.
fn in_tmux(what: &str, option: Option<&str>) -> String {
    let next = match option {
        Some("off") => "; for the terminal's clipboard too: tmux set -s set-clipboard external",
        Some(_) => ", which hands it on to the terminal's clipboard",
        None => "; tmux hands it on if its set-clipboard is not off",
    };
    format!("copied {what} to tmux's buffer{next}")
}

/// tmux's option set-clipboard: on, external or off.
fn tmux_option() -> Option<String> {
    let shown = Command::new("tmux").args(["show-options", "-sv", "set-clipboard"]).output().ok()?;
    let option = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
    (shown.status.success() && !option.is_empty()).then_some(option)
}

fn said(way: Way, what: &str) -> String {
    match way {
        Way::Tmux => format!("{what} handed to tmux, which drops it unless its set-clipboard is on"),
        Way::RemoteMultiplexer => {
            format!("{what} handed to the terminal; a tmux there takes it with: set -s set-clipboard on")
        }
        Way::Screen => format!("{what} handed through screen to the terminal's clipboard"),
        Way::Refuses(terminal) => {
            format!(
                "{what} handed over, but {terminal} takes no clipboard from programs; /export writes a file"
            )
        }
        Way::Terminal => format!("{what} handed to the terminal's clipboard"),
    }
}

/// What was copied, in few words: its beginning, and how much it is.
fn described(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut shown: String = sanitize::for_display(&line).chars().take(SHOWN).collect();
    if line.chars().count() > SHOWN {
        shown = format!("{}…", shown.trim_end());
    }
    match text.lines().count() {
        0 | 1 => format!("“{shown}”"),
        lines => format!("“{shown}”, {lines} lines,"),
    }
}

fn osc52(text: &str) -> std::io::Result<()> {
    execute!(super::output::Output::default(), CopyToClipboard::to_clipboard_from(text))
}

/// tmux's own buffer: by default it takes none from the sequences of programs. `-w` hands it on to the terminal.
fn tmux_takes(text: &str) -> bool {
    [&["load-buffer", "-w", "-"][..], &["load-buffer", "-"]].iter().any(|arguments| {
        let child = Command::new("tmux")
            .args(*arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.is_ok_and(|mut child| {
            let written = child.stdin.take().is_some_and(|mut pipe| pipe.write_all(text.as_bytes()).is_ok());
            child.wait().is_ok_and(|status| status.success()) && written
        })
    })
}

fn through_screen(text: &str) -> std::io::Result<()> {
    let mut out = super::output::Output::default();
    out.write_all(for_screen(text)?.as_bytes())?;
    out.flush()
}

/// screen passes strings between `ESC P` and `ESC \` on, in short pieces. The sequence in them must end in another way, or
/// the terminal would wait for its end and swallow what is drawn meanwhile.
fn for_screen(text: &str) -> std::io::Result<String> {
    let mut sequence = String::new();
    crossterm::Command::write_ansi(&CopyToClipboard::to_clipboard_from(text), &mut sequence)
        .map_err(std::io::Error::other)?;
    let inner = sequence.strip_suffix("\x1b\\").unwrap_or(&sequence).trim_end_matches('\x07');
    Ok(in_pieces(&format!("{inner}\x07")))
}

fn in_pieces(sequence: &str) -> String {
    let characters: Vec<char> = sequence.chars().collect();
    let mut pieces = String::new();
    for piece in characters.chunks(SCREEN_PIECE) {
        pieces.push_str("\x1bP");
        pieces.extend(piece);
        pieces.push_str("\x1b\\");
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(variables: &[(&str, &str)]) -> Way {
        Way::find(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_lies_between_is_found_and_what_to_set_is_said() {
        assert_eq!(way(&[("TMUX", "/tmp/t,1,0"), ("TERM", "screen-256color")]), Way::Tmux);
        assert_eq!(way(&[("STY", "1.pts"), ("TERM", "screen")]), Way::Screen);
        assert_eq!(way(&[("TERM", "tmux-256color")]), Way::RemoteMultiplexer);
        assert_eq!(way(&[("TERM", "xterm"), ("TMUX", "")]), Way::Terminal);
        assert_eq!(way(&[("TERM_PROGRAM", "Apple_Terminal")]), Way::Refuses("Terminal.app"));
        assert!(said(Way::RemoteMultiplexer, "“a”").contains("set -s set-clipboard on"));
        assert!(in_tmux("“a”", Some("off")).ends_with("tmux set -s set-clipboard external"));
        assert_eq!(
            in_tmux("“a”", Some("external")),
            "copied “a” to tmux's buffer, which hands it on to the terminal's clipboard"
        );
    }

    #[test]
    fn what_was_copied_is_said() {
        assert_eq!(described("a b\n"), "“a b”");
        assert_eq!(described(&"word ".repeat(20)), "“word word word word word…”");
        assert_eq!(described("one\ntwo\n"), "“one two”, 2 lines,");
    }

    #[test]
    fn what_goes_through_screen_ends_inside_of_what_screen_passes_on() {
        assert_eq!(for_screen("a").unwrap(), "\x1bP\x1b]52;c;YQ==\x07\x1b\\");
    }

    #[test]
    fn screen_gets_it_in_pieces_that_together_are_the_sequence() {
        let sequence = "x".repeat(1500);
        let pieces = in_pieces(&sequence);
        assert_eq!(pieces.matches("\x1bP").count(), 3);
        assert_eq!(pieces.replace("\x1bP", "").replace("\x1b\\", ""), sequence);
    }
}
