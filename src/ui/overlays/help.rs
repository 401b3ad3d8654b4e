//! Help pages: one a group of commands, made of the command table, one a station, and one for steering.
//!
//! Invariants: keys shown are those in use, never the defaults; every line is wrapped to the width, and what
//! is below the last row can be scrolled to.

use super::page::{EVERYWHERE, Page, STEERING, filled};
use super::{Canvas, Draw, body};
use crate::app::{App, HELP_PAGES, Help, HelpPage, Keys};
use crate::command::{Command, Group, TABLE};
use crate::theme::Role;
use crate::ui::widgets::text;

/// From this width on the typed form of a command has a column of its own.
const WIDE: u16 = 90;

/// A line: its label, at which column its words begin, the words.
struct Line {
    label: String,
    left: u16,
    words: String,
    role: Role,
}

impl Draw for Help {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let page = self.page.min(HELP_PAGES - 1);
        let right = format!("page {} of {HELP_PAGES}", page + 1);
        let inside = canvas.frame("Help", &right, 112, 26);
        let list = body(inside, 0, 2);
        let room = list.width.saturating_sub(2);
        let lines = match HelpPage::at(page) {
            HelpPage::Group(group, title) => group_page(canvas.app, group, title, room),
            HelpPage::Station(station) => station_page(canvas.app, &Page::read(station.about().page), room),
            HelpPage::Steering => station_page(canvas.app, &Page::read(STEERING), room),
        };
        let first = canvas.scrolled(self.scroll, lines.len(), list.height);
        for (line, row) in lines.iter().skip(first).zip(0..list.height) {
            let at = text::row(list, row, 1);
            canvas.cell(at, 0, line.left.saturating_sub(1), &line.label, Role::Strong);
            canvas.cell(at, line.left, at.width, &line.words, line.role);
        }
        let more =
            if first + usize::from(list.height) < lines.len() { "scroll: there is more" } else { "scroll" };
        let key = Keys(&canvas.app.keymap);
        let pages = key.together(&[Command::HelpPrevious, Command::HelpNext]);
        canvas.keys(
            inside,
            vec![
                (pages, "page"),
                (key.together(&[Command::ScrollUp, Command::ScrollDown]), more),
                (key.of(Command::Escape), "close"),
            ],
        );
        None
    }
}

/// Words wrapped beside their label.
fn labelled(lines: &mut Vec<Line>, label: &str, words: &str, left: u16, room: u16) {
    let mut label = label.to_owned();
    for words in text::wrap(words, room.saturating_sub(left).max(1)) {
        lines.push(Line { label: std::mem::take(&mut label), left, words, role: Role::Text });
    }
}

fn title(lines: &mut Vec<Line>, words: String) {
    lines.push(Line { label: String::new(), left: 0, words, role: Role::Strong });
}

fn blank(lines: &mut Vec<Line>) {
    title(lines, String::new());
}

fn group_page(app: &App, group: Group, name: &str, room: u16) -> Vec<Line> {
    let rows: Vec<_> = TABLE
        .iter()
        .filter(|entry| entry.group == group)
        .map(|entry| (app.keymap.shown_all(entry.command).join(", "), entry))
        .collect();
    let widest = rows.iter().map(|(keys, _)| text::width(keys)).max().unwrap_or(0);
    let left = widest.min(room / 3) + 2;
    let mut lines = Vec::new();
    title(&mut lines, name.to_owned());
    blank(&mut lines);
    for (keys, entry) in rows {
        let keys = if text::width(&keys) < left { keys } else { app.keymap.shown(entry.command) };
        let words = if room >= WIDE {
            format!("{:<52} /{}", entry.help(), entry.name)
        } else {
            format!("{}   /{}", entry.help(), entry.name)
        };
        labelled(&mut lines, &keys, &words, left, room);
    }
    if let Some(note) = note(group) {
        blank(&mut lines);
        labelled(&mut lines, "", note, 0, room);
    }
    lines
}

/// What the commands of a group do not say.
fn note(group: Group) -> Option<&'static str> {
    match group {
        Group::Writing => Some(
            "@ and a name put a text file into the message. Shift and the arrows select, Alt+B and Alt+F go by words, \
             Ctrl+W and Ctrl+K cut, Ctrl+Y puts back. Keys that come all at once are a paste: no line end in it sends.",
        ),
        Group::Inspector => Some(
            "Alt and a digit open a station where the terminal passes Alt on. On a Mac, let the terminal send Option as \
             Meta (Esc+), or type /station and the number.",
        ),
        _ => None,
    }
}

fn station_page(app: &App, page: &Page, room: u16) -> Vec<Line> {
    let mut lines = Vec::new();
    title(&mut lines, format!("What am I looking at? {}", page.title));
    labelled(&mut lines, "", &filled(app, &page.plain), 0, room);
    for (formula, source) in &page.formulas {
        let one = format!("{formula:<52}  {source}");
        let fits = text::width(&one) + 4 <= room;
        labelled(&mut lines, "", if fits { &one } else { formula }, 4, room);
        if !fits {
            labelled(&mut lines, "", source, 8, room);
        }
    }
    blank(&mut lines);
    for (term, meaning) in &page.terms {
        labelled(&mut lines, term, &filled(app, meaning), 14, room);
    }
    labelled(&mut lines, "Not shown", &page.absent, 14, room);
    blank(&mut lines);
    labelled(&mut lines, "Keys here", &keys(app, &page.keys), 14, room);
    labelled(&mut lines, "Everywhere", &keys(app, EVERYWHERE), 14, room);
    lines
}

/// Commands with the keys in use; what has no key is not named.
fn keys<S: std::fmt::Display>(app: &App, commands: &[(Command, S)]) -> String {
    let with_key = commands.iter().filter_map(|(command, does)| {
        let key = app.keymap.shown(*command);
        (!key.is_empty()).then(|| format!("{key} {does}"))
    });
    with_key.collect::<Vec<_>>().join("   ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Station;
    use crate::ui::testing::design::{capitals, theme};
    use crate::ui::testing::{as_drawn, buffer, holds, overlay, rows};

    /// A page as drawn at a size, all rows that scrolling shows, in order.
    fn page(app: &App, page: usize, width: u16, height: u16) -> (Vec<String>, u16) {
        let mut seen = Vec::new();
        let mut scroll = 0;
        loop {
            let mut buf = buffer(width, height);
            let (screen, overlay) = (buf.area, Help { page, scroll }.into());
            let drawn = super::super::draw(app, &theme(), &overlay, (screen, screen), &mut buf);
            seen.extend(rows(&buf));
            if scroll >= drawn.furthest {
                return (seen, drawn.furthest);
            }
            scroll += 1;
        }
    }

    #[test]
    fn every_command_and_its_keys_can_be_read_at_every_size() {
        let app = capitals();
        for (width, height) in [(120, 40), (80, 24), (60, 16)] {
            let (all, _): (Vec<_>, Vec<_>) = (0..HELP_PAGES).map(|at| page(&app, at, width, height)).unzip();
            let all = all.concat().join("\n");
            for entry in TABLE {
                assert!(all.contains(&format!("/{}", entry.name)), "{} at {width}×{height}", entry.name);
                let key = app.keymap.shown(entry.command);
                assert!(all.contains(&key), "{key} at {width}×{height}");
            }
            assert!(!all.contains('…'), "something is cut at {width}×{height}:\n{all}");
        }
    }

    #[test]
    fn pages_are_as_drawn() {
        let softmax = HelpPage::of_station(Station::Softmax);
        as_drawn!(
            "softmax_page",
            overlay(&capitals(), &theme(), Help { page: softmax, scroll: 0 }, 112, 24)[1..]
        );
        as_drawn!("first_page", overlay(&capitals(), &theme(), Help { page: 0, scroll: 2 }, 80, 24)[1..]);
    }

    #[test]
    fn keys_follow_the_configuration() {
        let mut app = capitals();
        let changed = [("hold".to_owned(), vec!["f9".to_owned()])].into();
        app.keymap = crate::config::keymap::Keymap::build(crate::command::TABLE, &changed).0;
        let (seen, _) = page(&app, HelpPage::of_station(Station::Softmax), 120, 40);
        holds(&seen, "Keys here     F9 hold");
    }
}
