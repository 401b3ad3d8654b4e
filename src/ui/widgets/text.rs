//! One line of styled text in a rectangle: clipped, cut with `…`, aligned right, wrapped at words.
//!
//! Invariant: widths are cells, so wide characters are never cut in half.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Cells that a text takes.
pub fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// Row `row` of an area, from column `left` on; empty where there is none.
pub fn row(area: Rect, row: u16, left: u16) -> Rect {
    if row >= area.height || left >= area.width {
        return Rect::new(area.x, area.y, 0, 0);
    }
    Rect::new(area.x + left, area.y + row, area.width - left, 1)
}

/// What is left of an area under so many rows.
pub fn below(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect { y: area.y + rows, height: area.height - rows, ..area }
}

/// The first so many columns of an area, and the others.
pub fn split(area: Rect, columns: u16) -> (Rect, Rect) {
    let columns = columns.min(area.width);
    (Rect { width: columns, ..area }, Rect { x: area.x + columns, width: area.width - columns, ..area })
}

/// Puts a text at the left of a row; gives the cells it took.
pub fn put(buf: &mut Buffer, at: Rect, text: &str, style: Style) -> u16 {
    let at = at.intersection(buf.area);
    if at.is_empty() {
        return 0;
    }
    let (end, _) = buf.set_stringn(at.x, at.y, text, usize::from(at.width), style);
    end - at.x
}

/// Puts pieces one after the other; gives the cells they took.
pub fn put_all(buf: &mut Buffer, at: Rect, pieces: &[(&str, Style)]) -> u16 {
    let mut taken = 0;
    for (text, style) in pieces {
        taken += put(buf, row(at, 0, taken), text, *style);
    }
    taken
}

/// Puts a text at the right end of a row, cut at its left end if it does not fit.
pub fn put_right(buf: &mut Buffer, at: Rect, text: &str, style: Style) {
    let left = at.width.saturating_sub(width(text));
    put(buf, row(at, 0, left), text, style);
}

/// The first of these, longest first, that fits in so many cells; the last, cut, where none does.
pub fn widest<T: AsRef<str>>(texts: &[T], most: u16) -> String {
    let fits = texts.iter().find(|text| width(text.as_ref()) <= most);
    fits.or(texts.last()).map_or_else(String::new, |text| cut(text.as_ref(), most))
}

/// At most so many cells of a text, with `…` where something was cut.
pub fn cut(text: &str, most: u16) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let Some(room) = most.checked_sub(1) else { return String::new() };
    let mut kept = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        used += width(grapheme);
        if used > room {
            break;
        }
        kept.push_str(grapheme);
    }
    kept.push('…');
    kept
}

/// As many of a text's last words as fit into so many cells, with `…` before them; at least part of the
/// last word.
pub fn tail(text: &str, most: u16) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let Some(room) = most.checked_sub(1) else { return String::new() };
    let word = text.unicode_word_starts().rev().take_while(|start| width(&text[*start..]) <= room).last();
    if let Some(start) = word {
        return format!("…{}", &text[start..]);
    }
    let mut kept = Vec::new();
    let mut used = 0;
    for grapheme in text.graphemes(true).rev() {
        used += width(grapheme);
        if used > room {
            break;
        }
        kept.push(grapheme);
    }
    kept.push("…");
    kept.reverse();
    kept.concat()
}

trait WordStarts {
    /// Bytes at which a word begins: the start of the text, and after each blank.
    fn unicode_word_starts(&self) -> std::vec::IntoIter<usize>;
}

impl WordStarts for str {
    fn unicode_word_starts(&self) -> std::vec::IntoIter<usize> {
        let after_blank = self.match_indices([' ', '␣', '_']).map(|(at, blank)| at + blank.len());
        let starts: Vec<usize> =
            std::iter::once(0).chain(after_blank).filter(|at| *at < self.len()).collect();
        starts.into_iter()
    }
}

/// Lines of at most so many cells, broken at blanks; a longer word is cut.
pub fn wrap(text: &str, most: u16) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut words = paragraph.split(' ');
        let mut line = words.next().unwrap_or_default().to_owned();
        for word in words {
            let joined = format!("{line} {word}");
            if width(&joined) <= most || line.trim().is_empty() {
                line = joined;
            } else {
                lines.push(std::mem::replace(&mut line, word.to_owned()));
            }
        }
        lines.push(line);
    }
    lines.iter().map(|line| cut(line, most)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_cells_and_never_halves_a_wide_character() {
        let check = |text: &str, most, expected: &str| assert_eq!(cut(text, most), expected);
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("漢字漢字", 4, "漢…");
        check("漢字漢字", 5, "漢字…");
        check("abc", 0, "");
    }

    #[test]
    fn the_longest_form_that_fits_is_taken() {
        let check =
            |most, expected: &str| assert_eq!(widest(&["as a whole", "whole", "all"], most), expected);
        check(10, "as a whole");
        check(9, "whole");
        check(3, "all");
        check(2, "a…");
        assert_eq!(widest::<&str>(&[], 5), "");
    }

    #[test]
    fn the_tail_keeps_whole_words_where_it_can() {
        assert_eq!(tail("including the Eiffel Tower,", 8), "…Tower,");
        assert_eq!(tail("including the Eiffel Tower,", 14), "…Eiffel Tower,");
        assert_eq!(tail("antidisestablishment", 5), "…ment");
        assert_eq!(tail("short", 9), "short");
    }

    #[test]
    fn wrapping_breaks_at_blanks_and_keeps_indents() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a\n\n  b", 7), ["a", "", "  b"]);
    }

    #[test]
    fn nothing_is_drawn_outside_the_row() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
        put(&mut buf, Rect::new(2, 0, 9, 1), "wide", Style::new());
        put(&mut buf, Rect::new(0, 3, 4, 1), "below", Style::new());
        assert_eq!(buf, Buffer::with_lines(["  wi"]));
    }
}
