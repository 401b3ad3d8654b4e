//! The help: a line to search it by, and below a page or what was found.
//!
//! Invariant: keys shown are those in use, never the defaults; every line is wrapped to the width, and what
//! is below the last row can be scrolled to.

use super::{Canvas, Draw, body};
use crate::app::{App, Help, HelpPage, HelpPart, Keys};
use crate::command::{Command, Context, Entry};
use crate::sanitize;
use crate::theme::Role;
use crate::ui::inspector::live::Live;
use crate::ui::widgets::{number, text};

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
        let pages = HelpPage::count();
        let page = self.page.min(pages - 1);
        let found = self.found(canvas.app);
        let right = match (self.searches(), found.len()) {
            (false, _) => format!("page {} of {pages}", page + 1),
            (true, 0) => "nothing found".into(),
            (true, found) => format!("{found} found"),
        };
        let inside = canvas.frame("Help", &right, 112, 30);
        let cursor = canvas.filter(inside, &self.search, "type to search: a key, a command, a word");
        let list = body(inside, 1, 2);
        let room = list.width.saturating_sub(2);
        let lines =
            if self.searches() { results(canvas.app, &found, room) } else { whole(canvas.app, page, room) };
        let first = canvas.scrolled(self.scroll, lines.len(), list.height);
        for (line, row) in lines.iter().skip(first).zip(0..list.height) {
            let at = text::row(list, row, 1);
            canvas.cell(at, 0, line.left.saturating_sub(1), &line.label, Role::Strong);
            canvas.cell(at, line.left, at.width, &line.words, line.role);
        }
        let more = first + usize::from(list.height) < lines.len();
        self.keys(canvas, inside, more);
        cursor
    }
}

impl Help {
    fn keys(&self, canvas: &mut Canvas<'_>, inside: ratatui::layout::Rect, more: bool) {
        let key = Keys(&canvas.app.keymap);
        let scroll = (
            key.together(&[Command::ScrollUp, Command::ScrollDown]),
            if more { "scroll: there is more" } else { "scroll" },
        );
        let offered = if self.searches() {
            vec![
                (key.of(Command::Choose), "the first one's page"),
                scroll,
                (key.of(Command::Escape), "back to the pages"),
            ]
        } else {
            let pages = key.together(&[Command::HelpPrevious, Command::HelpNext]);
            vec![(pages, "page"), scroll, (key.of(Command::Escape), "close")]
        };
        canvas.keys(inside, offered);
    }
}

/// A page with its title.
fn whole(app: &App, page: usize, room: u16) -> Vec<Line> {
    let page = HelpPage::at(page);
    let title = match page {
        HelpPage::Station(_) | HelpPage::Steering => format!("What am I looking at? {}", page.title()),
        _ => page.title().to_owned(),
    };
    let parts = page.parts(app);
    let left = left(app, parts.iter(), room);
    let mut lines = vec![heading(title)];
    if !matches!(page, HelpPage::Station(_) | HelpPage::Steering) {
        lines.push(heading(String::new()));
    }
    for part in &parts {
        put(&mut lines, app, part, (left, room));
    }
    lines
}

/// What was found, each with the page it stands on or where its key counts.
fn results(app: &App, found: &[(usize, HelpPart)], room: u16) -> Vec<Line> {
    let shown: Vec<(HelpPart, &str)> = found.iter().map(|(page, part)| placed(*page, part)).collect();
    let left = left(app, shown.iter().map(|(part, _)| part), room);
    let mut lines = Vec::new();
    for (part, place) in &shown {
        put(&mut lines, app, part, (left, room));
        suffix(&mut lines, place, room);
    }
    lines
}

/// A part that was found, and what stands behind it: its page, or where its key counts. What has no label has its page's.
fn placed(page: usize, part: &HelpPart) -> (HelpPart, &'static str) {
    let title = HelpPage::at(page).title();
    let labelled = |words: String| (HelpPart::Term(title.to_owned(), words), "");
    match part {
        HelpPart::Text(words) => labelled(words.clone()),
        HelpPart::Formula(formula, source) => labelled(format!("{formula}   {source}")),
        HelpPart::Command(entry) => (part.clone(), entry.contexts().next().map_or("", Context::place)),
        _ => (part.clone(), title),
    }
}

/// Adds a few words to the last line, or below it.
fn suffix(lines: &mut Vec<Line>, words: &str, room: u16) {
    let Some(last) = lines.last_mut().filter(|_| !words.is_empty()) else { return };
    let joined = format!("{}   {words}", last.words);
    if last.left + text::width(&joined) <= room {
        last.words = joined;
    } else {
        let left = last.left;
        lines.push(Line { label: String::new(), left, words: words.to_owned(), role: Role::Text });
    }
}

/// The column at which words begin beside the labels of some parts.
fn left<'a>(app: &App, parts: impl Iterator<Item = &'a HelpPart>, room: u16) -> u16 {
    let label = |part: &HelpPart| match part {
        HelpPart::Term(term, _) => text::width(term),
        HelpPart::Command(entry) => text::width(&all_keys(app, entry)),
        _ => 0,
    };
    parts.map(label).max().unwrap_or(0).clamp(12, (room / 3).max(12)) + 2
}

fn all_keys(app: &App, entry: &Entry) -> String {
    app.keymap.shown_all(entry.command).join(", ")
}

/// The lines of a part.
fn put(lines: &mut Vec<Line>, app: &App, part: &HelpPart, (left, room): (u16, u16)) {
    match part {
        HelpPart::Title(words) => lines.push(heading(words.clone())),
        HelpPart::Blank => lines.push(heading(String::new())),
        HelpPart::Text(words) => labelled(lines, "", &filled(app, words), 0, room),
        HelpPart::Term(term, words) => labelled(lines, term, &filled(app, words), left, room),
        HelpPart::Formula(formula, source) => {
            let one = format!("{formula:<52}  {source}");
            let fits = text::width(&one) + 4 <= room;
            labelled(lines, "", if fits { &one } else { formula }, 4, room);
            if !fits {
                labelled(lines, "", source, 8, room);
            }
        }
        HelpPart::Command(entry) => {
            let all = all_keys(app, entry);
            let keys = if text::width(&all) < left { all } else { app.keymap.shown(entry.command) };
            let (help, name) = (entry.help(), entry.name);
            let words =
                if room >= WIDE { format!("{help:<52} /{name}") } else { format!("{help}   /{name}") };
            labelled(lines, &keys, &words, left, room);
        }
    }
}

fn heading(words: String) -> Line {
    Line { label: String::new(), left: 0, words, role: Role::Strong }
}

/// Words wrapped beside their label.
fn labelled(lines: &mut Vec<Line>, label: &str, words: &str, left: u16, room: u16) {
    let mut label = label.to_owned();
    for words in text::wrap(&sanitize::for_display(words), room.saturating_sub(left).max(1)) {
        lines.push(Line { label: std::mem::take(&mut label), left, words, role: Role::Text });
    }
}

/// A text with the figures of the vocabulary of the shown step in place.
fn filled(app: &App, text: &str) -> String {
    let (tokens, even) = match Live::of(app).map_or(0, |live| live.entries) {
        0 => ("tokens".to_owned(), "its most when all are even".to_owned()),
        entries => {
            let count = number::grouped(entries);
            (format!("{count} tokens"), format!("{:.1} when all {count} are even", (entries as f64).log2()))
        }
    };
    text.replace("{tokens}", &tokens).replace("{even}", &even)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Station;
    use crate::command::TABLE;
    use crate::ui::testing::design::{capitals, theme};
    use crate::ui::testing::{as_drawn, buffer, holds, overlay, rows};

    /// A page as drawn at a size, all rows that scrolling shows, in order.
    fn page(app: &App, page: usize, width: u16, height: u16) -> (Vec<String>, u16) {
        let mut seen = Vec::new();
        let mut scroll = 0;
        loop {
            let mut buf = buffer(width, height);
            let (screen, overlay) = (buf.area, Help { scroll, ..Help::at_page(page) }.into());
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
            let (all, _): (Vec<_>, Vec<_>) =
                (0..HelpPage::count()).map(|at| page(&app, at, width, height)).unzip();
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
        let softmax = HelpPage::Station(Station::Softmax).number();
        as_drawn!("softmax_page", overlay(&capitals(), &theme(), Help::at_page(softmax), 112, 24)[1..]);
        as_drawn!("first_page", overlay(&capitals(), &theme(), Help::at_page(0), 80, 24)[1..]);
        as_drawn!("guide", overlay(&capitals(), &theme(), Help::at_page(1), 120, 40)[1..]);
        let search = crate::app::LineEdit::new("copy");
        as_drawn!("found", overlay(&capitals(), &theme(), Help { search, ..Help::default() }, 80, 24)[1..]);
    }

    #[test]
    fn the_first_page_fits_a_small_screen() {
        let (_, furthest) = page(&capitals(), 0, 80, 24);
        assert_eq!(furthest, 0);
    }

    #[test]
    fn keys_follow_the_configuration() {
        let mut app = capitals();
        let changed = [("hold".to_owned(), vec!["f9".to_owned()])].into();
        app.keymap = crate::config::keymap::Keymap::build(crate::command::TABLE, &changed).0;
        let (seen, _) = page(&app, HelpPage::Station(Station::Softmax).number(), 120, 40);
        holds(&seen, "Keys here     F9 hold");
    }
}
