//! The open station as a file: the cells that the screen would show, as plain text or as an SVG.
//!
//! Invariant: what is drawn is sanitised already, so neither form carries anything that could act.

use std::fmt::Write as _;

use anstyle::RgbColor;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

use super::widgets::text;
use super::{ansi, ascii, inspector, rows};
use crate::app::{App, Picture};
use crate::theme::Theme;

/// The station at a size, its title above it.
pub fn draw(app: &App, theme: &Theme, picture: Picture, (width, height): (u16, u16)) -> String {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height.saturating_add(1)));
    let title = text::row(buf.area, 0, 0);
    rows::title(&mut buf, theme, title, inspector::title(app), "", false);
    inspector::draw(app, theme, Rect::new(0, 1, width, height), &mut buf);
    if theme.symbols.ascii {
        ascii::fold(&mut buf);
    }
    match picture {
        Picture::Text => plain(&buf),
        Picture::Svg => svg(&buf, theme.light),
    }
}

/// The cells of a row, those after a wide character left out.
fn cells(buf: &Buffer, row: u16) -> impl Iterator<Item = &Cell> {
    let mut covered = 0;
    (0..buf.area.width).filter_map(move |column| {
        if covered > 0 {
            covered -= 1;
            return None;
        }
        let cell = &buf[(column, row)];
        covered = cell.symbol().width().saturating_sub(1);
        Some(cell)
    })
}

/// Rows without what is blank at their ends, and without blank rows at the end.
fn plain(buf: &Buffer) -> String {
    let rows = (0..buf.area.height).map(|row| {
        let row: String = cells(buf, row).map(Cell::symbol).collect();
        row.trim_end().to_owned()
    });
    let rows: Vec<String> = rows.collect();
    let used = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
    rows[..used].join("\n") + "\n"
}

fn svg(buf: &Buffer, light: bool) -> String {
    let mut styled = String::new();
    for row in 0..buf.area.height {
        let mut stretch = (anstyle::Style::new(), String::new());
        for cell in cells(buf, row) {
            let style = ansi::style(cell.style());
            if style != stretch.0 {
                put(&mut styled, &stretch);
                stretch = (style, String::new());
            }
            stretch.1.push_str(cell.symbol());
        }
        put(&mut styled, &stretch);
        styled.push('\n');
    }
    let (ink, paper) = if light {
        ((0x22, 0x27, 0x2c), (0xfb, 0xfa, 0xf7))
    } else {
        ((0xdb, 0xde, 0xe2), (0x15, 0x18, 0x1c))
    };
    let color = |(r, g, b): (u8, u8, u8)| anstyle::Color::Rgb(RgbColor(r, g, b));
    anstyle_svg::Term::new().fg_color(color(ink)).bg_color(color(paper)).render_svg(&styled)
}

/// Appends a stretch of one style.
fn put(styled: &mut String, (style, words): &(anstyle::Style, String)) {
    let _ = write!(styled, "{style}{words}{style:#}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Station;
    use crate::ui::testing::design::{bare_theme, capitals, theme};

    #[test]
    fn every_station_is_written_as_text_and_as_a_picture() {
        let mut app = capitals();
        for station in Station::ALL {
            app.inspector.station = station;
            for size in [(46, 20), (67, 36), (120, 40)] {
                let text = draw(&app, &theme(), Picture::Text, size);
                let title = inspector::title(&app);
                assert!(text.starts_with(&format!("─ {title} ─")), "{text}");
                assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
                assert!(text.lines().all(|line| line.width() <= usize::from(size.0)));
                let svg = draw(&app, &theme(), Picture::Svg, size);
                assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
                assert!(!svg.contains('\u{1b}') && svg.contains(title));
            }
        }
    }

    #[test]
    fn the_softmax_as_text_has_the_rows_of_the_screen() {
        let text = draw(&capitals(), &theme(), Picture::Text, (67, 36));
        assert!(text.contains("▶ ␣Notre"), "{text}");
        assert!(text.contains("‹others›"), "{text}");
        let bare = draw(&capitals(), &bare_theme(), Picture::Text, (67, 36));
        assert!(bare.is_ascii(), "{bare}");
    }

    #[test]
    fn a_colour_of_the_theme_is_in_the_picture() {
        let svg = draw(&capitals(), &theme(), Picture::Svg, (67, 36));
        assert!(svg.contains("fg-ansi256"), "{}", &svg[..2000.min(svg.len())]);
    }
}
