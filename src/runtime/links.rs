//! Links that a terminal lets one click (OSC 8), written over what was drawn.
//!
//! ratatui's cells cannot carry a link: its escape sequence in a cell's symbol would count as width, and what is drawn
//! again would lose it. So cells that link are written once more behind each frame that changed them.
//!
//! Invariant: only addresses that the Markdown's own layout let through are written, and only to terminals that are known
//! to take them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::rc::Rc;

use ratatui::backend::Backend as _;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use super::backend::Placed;
use crate::app::Area;
use crate::sanitize;

/// Where the cursor is and how it writes, kept and given back.
const KEEP: &str = "\x1b7";
const BACK: &str = "\x1b8";

/// Cells that are to be written again, with the address that they lead to or none.
pub(super) struct Change {
    address: Option<Rc<str>>,
    cells: Vec<(u16, u16, Cell)>,
}

/// The links on the screen.
#[derive(Default)]
pub(super) struct Links {
    on: bool,
    area: Rect,
    drawn: BTreeMap<(u16, u16), (Cell, Rc<str>)>,
}

impl Links {
    /// None on a terminal that is not known to take them.
    pub(super) fn find(variable: impl Fn(&str) -> Option<String>) -> Self {
        Self { on: knows(variable), ..Self::default() }
    }

    /// The screen was cleared.
    pub(super) fn forget(&mut self) {
        self.drawn.clear();
    }

    /// What has to be written after a frame: a cell that links now and did not, or was drawn again, and one that no longer
    /// does though it looks the same.
    pub(super) fn changes(&mut self, frame: &Buffer, links: &[(Area, String)]) -> Vec<Change> {
        if !self.on {
            return Vec::new();
        }
        if self.area != frame.area {
            (self.area, self.drawn) = (frame.area, BTreeMap::new());
        }
        let mut changes = Vec::new();
        let mut now = BTreeMap::new();
        for (area, address) in links {
            let address: Rc<str> = address.as_str().into();
            let mut cells = Vec::new();
            let mut covered = 0;
            for x in area.x..(area.x + area.width).min(frame.area.right()) {
                if covered > 0 {
                    covered -= 1; // the second cell of what is two wide
                    continue;
                }
                let Some(cell) = frame.cell((x, area.y)) else { continue };
                covered = sanitize::cell_width(cell.symbol()).saturating_sub(1);
                let linked = (cell.clone(), Rc::clone(&address));
                if self.drawn.remove(&(x, area.y)).as_ref() != Some(&linked) {
                    cells.push((x, area.y, cell.clone()));
                }
                now.insert((x, area.y), linked);
            }
            if !cells.is_empty() {
                changes.push(Change { address: Some(address), cells });
            }
        }
        let left = std::mem::replace(&mut self.drawn, now).into_iter();
        let same = left.filter(|(at, (cell, _))| frame.cell(*at) == Some(cell));
        let cells: Vec<_> = same.map(|((x, y), (cell, _))| (x, y, cell)).collect();
        if !cells.is_empty() {
            changes.push(Change { address: None, cells });
        }
        changes
    }
}

/// Writes cells once more, inside their links.
pub(super) fn write<W: Write>(screen: &mut Placed<W>, changes: &[Change]) -> io::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    Write::write_all(screen, KEEP.as_bytes())?;
    for Change { address, cells } in changes {
        let address = address.as_deref().unwrap_or_default();
        write!(screen, "\x1b]8;;{address}\x1b\\")?;
        screen.draw(cells.iter().map(|(x, y, cell)| (*x, *y, cell)))?;
        write!(screen, "\x1b]8;;\x1b\\")?;
    }
    Write::write_all(screen, BACK.as_bytes())
}

/// Whether a terminal is known to take links, by what it says of itself.
pub fn knows(variable: impl Fn(&str) -> Option<String>) -> bool {
    let value = |name: &str| variable(name).unwrap_or_default();
    let set = |name: &str| !value(name).is_empty();
    let at_least = |name: &str, least: u32| {
        let digits: String = value(name).chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().is_ok_and(|version| version >= least)
    };
    let (term, program) = (value("TERM"), value("TERM_PROGRAM"));
    let within_tmux = set("TMUX") || term.starts_with("tmux");
    if set("STY") || (term.starts_with("screen") && !within_tmux) {
        return false; // screen drops them, or prints them
    }
    if within_tmux {
        // It has known them since 3.4; on another machine there is no telling.
        let version: Vec<u32> = value("TERM_PROGRAM_VERSION").split('.').map(number).collect();
        return program == "tmux" && version >= vec![3, 4];
    }
    if term.is_empty() || term == "dumb" || term.starts_with("linux") || term.starts_with("vt") {
        return false;
    }
    let programs =
        ["iTerm.app", "WezTerm", "vscode", "ghostty", "Hyper", "mintty", "rio", "zed", "Tabby", "contour"];
    let terms = ["kitty", "alacritty", "foot", "ghostty", "wezterm", "contour", "rio"];
    at_least("VTE_VERSION", 5000)
        || at_least("KONSOLE_VERSION", 201_200)
        || set("WT_SESSION")
        || set("DOMTERM")
        || programs.contains(&program.as_str())
        || terms.iter().any(|name| term.contains(name))
}

/// The digits that a part of a version begins with.
fn number(part: &str) -> u32 {
    let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn knows_with(variables: &[(&str, &str)]) -> bool {
        knows(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn only_terminals_that_are_known_to_take_links_get_them() {
        for known in [
            &[("TERM", "xterm-kitty")][..],
            &[("TERM", "xterm-256color"), ("VTE_VERSION", "7600")],
            &[("TERM", "xterm-256color"), ("TERM_PROGRAM", "WezTerm")],
            &[
                ("TERM", "tmux-256color"),
                ("TMUX", "x"),
                ("TERM_PROGRAM", "tmux"),
                ("TERM_PROGRAM_VERSION", "3.5a"),
            ],
        ] {
            assert!(knows_with(known), "{known:?}");
        }
        for unknown in [
            &[][..],
            &[("TERM", "dumb"), ("VTE_VERSION", "7600")],
            &[("TERM", "linux")],
            &[("TERM", "xterm-256color")],
            &[("TERM", "screen-256color"), ("STY", "1.pts"), ("VTE_VERSION", "7600")],
            &[("TERM", "screen-256color"), ("KITTY_WINDOW_ID", "1")],
            &[("TERM", "screen"), ("TMUX", "x"), ("TERM_PROGRAM", "tmux"), ("TERM_PROGRAM_VERSION", "3.3a")],
            &[("TERM", "tmux-256color"), ("VTE_VERSION", "7600")],
        ] {
            assert!(!knows_with(unknown), "{unknown:?}");
        }
    }

    fn frame(text: &str) -> Buffer {
        Buffer::with_lines([text])
    }

    fn link(x: u16, width: u16, address: &str) -> (Area, String) {
        (Area { x, y: 0, width, height: 1 }, address.to_owned())
    }

    /// What is written after a frame, without where the cursor goes and colours.
    fn written(links: &mut Links, frame: &Buffer, linked: &[(Area, String)]) -> Vec<(String, String)> {
        let changes = links.changes(frame, linked);
        let cells =
            |change: &Change| change.cells.iter().map(|(.., cell)| cell.symbol().to_owned()).collect();
        changes
            .iter()
            .map(|change| (change.address.as_deref().unwrap_or("-").to_owned(), cells(change)))
            .collect()
    }

    #[test]
    fn a_cell_is_written_again_when_it_or_its_link_changed() {
        let mut links = Links { on: true, ..Links::default() };
        let come = |text: &str, address: &str| vec![(address.to_owned(), text.to_owned())];
        let first = [link(2, 4, "https://a")];
        assert_eq!(written(&mut links, &frame("a link b"), &first), come("link", "https://a"));
        assert_eq!(written(&mut links, &frame("x link y"), &first), []);
        assert_eq!(written(&mut links, &frame("x lynk y"), &first), come("y", "https://a"));
        assert_eq!(
            written(&mut links, &frame("x lynk y"), &[link(2, 4, "https://b")]),
            come("lynk", "https://b")
        );
        // No link any more: cells that look the same lose it, all others were drawn without it.
        assert_eq!(written(&mut links, &frame("x lyZZ y"), &[]), come("ly", "-"));
        assert_eq!(written(&mut links, &frame("x lyZZ y"), &[]), []);
        written(&mut links, &frame("a link b"), &first);
        links.forget();
        assert_eq!(written(&mut links, &frame("a link b"), &first), come("link", "https://a"));
        let mut off = Links::default();
        assert_eq!(written(&mut off, &frame("a link b"), &first), []);
    }

    #[test]
    fn what_is_written_opens_and_closes_the_link_and_gives_the_cursor_back() {
        let mut links = Links { on: true, ..Links::default() };
        let mut buffer = frame("a link b");
        buffer.set_style(Rect::new(2, 0, 4, 1), Style::new().blue());
        let changes = links.changes(&buffer, &[link(2, 4, "https://a")]);
        let mut sent = Vec::new();
        write(&mut Placed::new(&mut sent), &changes).unwrap();
        let sent = String::from_utf8(sent).unwrap();
        assert!(
            sent.starts_with("\x1b7\x1b]8;;https://a\x1b\\") && sent.ends_with("\x1b]8;;\x1b\\\x1b8"),
            "{sent:?}"
        );
        assert!(sent.contains("\x1b[1;3H") && sent.contains("link"), "{sent:?}");
    }
}
