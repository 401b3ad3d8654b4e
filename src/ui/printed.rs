//! Markdown printed on a terminal while it streams: what is final is printed once, the last block is drawn again over
//! itself until it is.
//!
//! Invariant: nothing that may still change is ever higher above the cursor than the screen is, so the terminal's own
//! scrollback holds only what is final.

use std::fmt::Write as _;

use ratatui::style::Style as Look;

use super::transcript::{MEASURE, markup};
use super::{ansi, ascii};
use crate::markdown::{Glyph, Highlighter, Page, Style, Tone};
use crate::sanitize::{self, Kind};
use crate::theme::{Role, Theme};

/// Frames what belongs together, for terminals that know it.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
/// How far code is set in where it has no fill.
const INDENT: &str = "  ";

/// A text that is being printed.
pub struct Printed {
    theme: Theme,
    bytes: Vec<u8>,
    page: Page,
    highlighter: Highlighter,
    /// Blocks that are printed, and rows of the next.
    done: (usize, usize),
    /// Cells that each row takes which may still change, as they stand on the screen.
    live: Vec<u16>,
    /// Whether anything is printed.
    begun: bool,
    /// Whether the terminal takes links.
    links: bool,
}

impl Printed {
    /// Nothing yet; `links` where the terminal takes them.
    pub fn new(theme: Theme, links: bool) -> Self {
        let page = Page::growing(style(&theme, 1));
        Self {
            theme,
            bytes: Vec::new(),
            page,
            highlighter: Highlighter::default(),
            done: (0, 0),
            live: Vec::new(),
            begun: false,
            links,
        }
    }

    /// Takes text; gives what is to be written to a screen of this size.
    pub fn append(&mut self, bytes: &[u8], screen: (u16, u16)) -> String {
        self.fit(screen.0);
        self.bytes.extend_from_slice(bytes);
        self.page.append(bytes);
        self.update(screen)
    }

    /// No more comes; the cursor is left at the beginning of a line.
    pub fn finish(&mut self, screen: (u16, u16)) -> String {
        self.fit(screen.0);
        self.page.finish();
        let mut out = self.update(screen);
        if !std::mem::replace(&mut self.begun, true) {
            out.push('\n');
        }
        out
    }

    /// Lays out again where the screen has another width. Where blocks and lines begin does not rest on that.
    fn fit(&mut self, width: u16) {
        let wanted = style(&self.theme, width);
        if self.page.style() != wanted {
            let before = std::mem::replace(&mut self.page, Page::growing(wanted));
            self.page = Page::growing(wanted).coloured_as(before);
            self.page.append(&self.bytes);
            self.done = self.page.settled();
        }
    }

    fn update(&mut self, (width, height): (u16, u16)) -> String {
        for line in self.page.take_wanted() {
            let spans = self.highlighter.line(0, &line);
            self.page.colour(line.at, spans);
        }
        let (width, height) = (width.max(1), usize::from(height.max(2)));
        let above = self.live.iter().map(|cells| physical(*cells, width)).sum::<usize>();
        let mut out = String::from(BEGIN);
        if above > 0 {
            out.push('\r');
        }
        if above > 1 {
            let _ = write!(out, "\x1b[{}A", above - 1); // a string takes all
        }
        self.print_final(&mut out);
        self.draw_live(&mut out, width, height);
        out.push_str(END);
        out
    }

    /// Prints what is final and is not printed yet.
    fn print_final(&mut self, out: &mut String) {
        let settled = self.page.settled();
        for block in self.done.0..=settled.0 {
            let rows = self.page.rows_of(block);
            let from = if block == self.done.0 { self.done.1 } else { 0 };
            let to = if block < settled.0 { rows.len() } else { settled.1 };
            for row in rows.start + from.min(to)..rows.start + to {
                let line = self.row(row);
                self.begun = true;
                out.extend(["\x1b[K", &line, "\n"]);
            }
            if block < settled.0 {
                self.print_definitions(block, out);
            }
        }
        self.done = settled;
    }

    /// What was printed above could not name an address that is defined only here.
    fn print_definitions(&self, block: usize, out: &mut String) {
        let muted = ansi::style(self.theme.style(Role::Muted));
        for (label, address) in self.page.definitions(block) {
            let line = sanitize::for_display(&format!("[{label}]: {address}"));
            let _ = writeln!(out, "\x1b[K{muted}{line}{muted:#}"); // a string takes all
        }
    }

    /// Draws what may still change, as much of its end as the screen has room for.
    fn draw_live(&mut self, out: &mut String, width: u16, height: usize) {
        let rows = self.page.rows_of(self.done.0);
        let mut first = rows.end;
        let mut taken = 0;
        while first > rows.start + self.done.1 {
            taken += physical(self.cells(first - 1), width);
            if taken >= height {
                break;
            }
            first -= 1;
        }
        self.live.clear();
        for row in first..rows.end {
            self.live.push(self.cells(row));
            let last = row + 1 == rows.end;
            // Cleared before a row is written: behind one that fills the screen its last cell would go too.
            out.extend([
                if last { "\x1b[J" } else { "\x1b[K" },
                &self.row(row),
                if last { "" } else { "\n" },
            ]);
        }
        if self.live.is_empty() {
            out.push_str("\x1b[J");
        }
    }

    /// Cells that a row takes on the screen.
    fn cells(&self, row: usize) -> u16 {
        let shown = self.shown(row);
        self.indent(row).len() as u16 + shown.iter().map(|glyph| glyph.width).sum::<u16>()
    }

    /// What a row shows, without blanks at its end.
    fn shown(&self, row: usize) -> Vec<Glyph<'_>> {
        let mut glyphs: Vec<Glyph<'_>> = self.page.row(row).filter(|glyph| glyph.width > 0).collect();
        let shown = glyphs.iter().rposition(|glyph| glyph.kind != Kind::Space).map_or(0, |last| last + 1);
        glyphs.truncate(shown);
        glyphs
    }

    fn indent(&self, row: usize) -> &'static str {
        if self.page.fill(row).is_some() && !self.theme.has_fills() { INDENT } else { "" }
    }

    /// A row with its escape sequences, without blanks at its end.
    fn row(&self, row: usize) -> String {
        let mut out = String::from(self.indent(row));
        if self.page.fill(row) == Some(0) && self.theme.has_fills() {
            let fill = ansi::style(self.theme.style(Role::Code));
            let _ = write!(out, "{fill}\x1b[K{fill:#}"); // a string takes all
        }
        let mut open = anstyle::Style::new();
        let mut link = None;
        let glyphs = self.shown(row);
        for glyph in &glyphs {
            let leads = self.leads_to(glyph);
            if leads != link {
                let _ = write!(out, "\x1b]8;;{}\x1b\\", leads.unwrap_or_default()); // a string takes all
                link = leads;
            }
            let style = ansi::style(markup::style(&self.theme, Look::new(), glyph.look));
            if style != open {
                let _ = write!(out, "{open:#}{style}"); // a string takes all
                open = style;
            }
            match glyph.kind {
                Kind::Space => out.push_str(&" ".repeat(usize::from(glyph.width))),
                _ if self.theme.symbols.ascii => out.push_str(ascii::shown(glyph.shown)),
                _ => out.push_str(glyph.shown),
            }
        }
        let _ = write!(out, "{open:#}");
        if link.is_some() {
            out.push_str("\x1b]8;;\x1b\\");
        }
        out
    }

    /// Where a glyph leads: a link's words, or its address.
    fn leads_to(&self, glyph: &Glyph<'_>) -> Option<&str> {
        let may = self.links && matches!(glyph.look.tone, Tone::Link | Tone::Muted);
        let byte = Some(glyph.source.0).filter(|start| may && *start < glyph.source.1)?;
        self.page.leads_to(byte)
    }
}

fn style(theme: &Theme, width: u16) -> Style {
    Style { width: width.clamp(1, MEASURE), wrap_code: false, ascii: theme.symbols.ascii }
}

/// Rows of the screen that so many cells take.
fn physical(cells: u16, width: u16) -> usize {
    usize::from(cells.div_ceil(width.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use vt100::Parser;

    use super::*;
    use crate::ui::testing::theme;

    const TEXT: &str = "# Cities\n\nSome **bold**, `code` and a [link][1] that goes on over the row's end.\n\n- one\n\
        - [x] two, wrapped because it is so very long for a row\n  1. deep\n\n```rust\nfn main() {\n    let answer = 6 * 7; // \
        a line longer than the screen is wide\n}\n```\n\n| a | b |\n|---|--:|\n| 1 | 世界 |\n\n> A quotation\n\nNot yet\n===\n\n\
        [1]: https://example.com/x\n";

    fn terminal(width: u16, height: u16) -> Parser {
        let size = |cells| std::num::NonZero::new(cells).unwrap();
        Parser::new(size(height), size(width), 1000)
    }

    /// All rows of a terminal, those scrolled out of it included.
    fn rows(parser: &mut Parser) -> Vec<String> {
        let width = parser.screen().size().1.get();
        parser.screen_mut().set_scrollback(usize::MAX);
        let mut out = Vec::new();
        loop {
            let left = parser.screen().scrollback();
            if left == 0 {
                break;
            }
            out.extend(parser.screen().rows(0, width).next());
            parser.screen_mut().set_scrollback(left - 1);
        }
        out.extend(parser.screen().rows(0, width));
        out
    }

    fn printed(pieces: &[&[u8]], (width, height): (u16, u16), ascii: bool) -> Vec<String> {
        let mut parser = terminal(width, height);
        let mut printed = Printed::new(theme(ascii), true);
        let mut feed = |text: String| parser.process(text.replace('\n', "\r\n").as_bytes());
        for piece in pieces {
            feed(printed.append(piece, (width, height)));
        }
        feed(printed.finish((width, height)));
        let mut rows = rows(&mut parser);
        rows.truncate(rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1));
        rows
    }

    #[test]
    fn what_comes_byte_by_byte_stands_there_as_what_comes_at_once() {
        for size in [(40, 50), (30, 6), (12, 4), (88, 3)] {
            for ascii in [false, true] {
                let bytes: Vec<&[u8]> = TEXT.as_bytes().chunks(1).collect();
                // The address of a link that is defined later stands where it is defined: that is on no row of the page.
                let streamed = printed(&bytes, size, ascii);
                let lines: Vec<&[u8]> = TEXT.split_inclusive("\n\n").map(str::as_bytes).collect();
                assert_eq!(streamed, printed(&lines, size, ascii), "{size:?}");
            }
        }
    }

    #[test]
    fn marks_are_gone_and_structure_is_there() {
        let rows = printed(&[TEXT.as_bytes()], (60, 50), false);
        let text = rows.join("\n");
        for part in
            ["Cities\n\nSome bold, code and a link", "• one\n☑ two", "\nfn main() {\n", " │", "│ A quotation"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(
            text.contains("https://example.com/x") && !text.contains("**") && !text.contains("```"),
            "{text}"
        );
    }

    #[test]
    fn an_address_that_is_defined_after_its_link_was_printed_is_printed_where_it_is_defined() {
        let rows = printed(&[b"A [link][1].\n\nMore.\n\n", b"[1]: https://example.com/x\n"], (60, 20), false);
        assert_eq!(rows, ["A [link][1].", "", "More.", "[1]: https://example.com/x"]);
    }

    #[test]
    fn a_screen_that_grows_narrower_or_wider_loses_no_word() {
        let mut printed = Printed::new(theme(false), true);
        let mut out = String::new();
        for (at, width) in [40_u16, 20, 60].into_iter().enumerate() {
            out += &printed.append(format!("Paragraph {at} has words.\n\nAnd mo").as_bytes(), (width, 20));
            out += &printed.append(b"re.\n\n", (width, 20));
        }
        out += &printed.finish((60, 20));
        let mut parser = terminal(60, 40);
        parser.process(out.replace('\n', "\r\n").as_bytes());
        let text = parser.screen().contents();
        for at in 0..3 {
            assert_eq!(text.matches(&format!("Paragraph {at}")).count(), 1, "{text}");
        }
        assert_eq!(text.matches("And more.").count(), 3, "{text}");
    }

    #[test]
    fn a_text_without_a_word_ends_its_line() {
        assert_eq!(Printed::new(theme(false), true).finish((80, 24)), format!("{BEGIN}\x1b[J{END}\n"));
    }

    #[test]
    fn links_lead_somewhere_where_the_terminal_takes_them() {
        let text = "A [way](https://example.com/ä) and [not](javascript:x).\n";
        let out = |links: bool| {
            let mut printed = Printed::new(theme(false), links);
            printed.append(text.as_bytes(), (80, 24)) + &printed.finish((80, 24))
        };
        assert!(out(true).contains("\x1b]8;;https://example.com/%C3%A4\x1b\\"), "{:?}", out(true));
        assert!(
            out(true).contains("\x1b]8;;\x1b\\") && !out(true).contains("8;;javascript"),
            "{:?}",
            out(true)
        );
        assert!(!out(false).contains("\x1b]8"), "{:?}", out(false));
    }

    #[test]
    fn nothing_of_the_models_acts_on_the_terminal() {
        let hostile = "a\x1b[2J\x1b]0;t\x07 [x](javascript:\x1b]8;;) \u{9b}2J\n\n[l]: \x1b[2J\n\n```\x1b[1m\n\x1b[2J\n```\n";
        let mut printed = Printed::new(theme(false), true);
        let out = printed.append(hostile.as_bytes(), (80, 24)) + &printed.finish((80, 24));
        for part in ["\x1b[2J", "\x1b]0", "8;;j", "\u{9b}", "\x07"] {
            assert!(!out.contains(part), "{part:?} in {out:?}");
        }
    }
}
