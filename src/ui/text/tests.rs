//! Claims about wrapping and the map, for any text, any split into tokens and any width.

use proptest::prelude::*;
use ratatui::buffer::{Buffer, CellWidth};
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::*;
use crate::markdown::Stretch;
use crate::sanitize::Kind;

fn rows(text: &str, width: u16) -> Vec<String> {
    let lines = Lines::of(text.as_bytes(), width);
    (0..lines.rows()).map(|row| lines.row(row).map(|glyph| glyph.shown).collect()).collect()
}

#[test]
fn words_stay_whole_and_blanks_hang() {
    let check =
        |text: &str, width, expected: &[&str]| assert_eq!(rows(text, width), expected, "{text:?} at {width}");
    check("", 10, &[""]);
    check("The capital of France", 11, &["The capital ", "of France"]);
    check("one   two", 4, &["one   ", "two"]);
    check("abcdefghij", 4, &["abcd", "efgh", "ij"]);
    check("ab cdefghij", 4, &["ab ", "cdef", "ghij"]);
    check("a\n\nb\n", 4, &["a", "", "b", ""]);
    check("  indented", 6, &["  inde", "nted"]);
    check("世界世界", 5, &["世界", "世界"]);
    check("hello世界", 6, &["hello", "世界"]);
    check("世界。", 4, &["世", "界。"]);
    check("字", 1, &["?"]);
    check("a\u{202E}b", 4, &["a⟨U+", "202E", "⟩b"]);
}

#[test]
fn a_split_emoji_belongs_to_all_its_tokens() {
    let text = "a👩\u{200D}🚀b";
    let lines = Lines::of(text.as_bytes(), 20);
    let ends = [1, 3, 5, 8, 10, 12, 13];
    for token in 1..=5 {
        let bytes = ends[token - 1]..ends[token];
        assert_eq!(lines.cells_of(bytes), [Stretch { row: 0, columns: 1..3 }], "token {token}");
    }
    assert_eq!(lines.token_at(0, 0, &ends), Some(0));
    assert_eq!(lines.token_at(0, 2, &ends), Some(1));
    assert_eq!(lines.token_at(0, 3, &ends), Some(6));
    assert_eq!(lines.token_at(0, 4, &ends), None);
}

#[test]
fn tokens_without_a_cell_have_a_place() {
    let lines = Lines::of(b"ab\ncd", 20);
    assert_eq!(lines.cells_of(2..3), []);
    assert_eq!(lines.place_of(2), (0, 2));
    assert_eq!(lines.place_of(3), (1, 0));
    assert_eq!(lines.place_of(5), (1, 2));
}

#[test]
fn bytes_that_are_no_text_keep_their_own_offsets() {
    let lines = Lines::of(b"a\xF0\x9F\xFFb", 20);
    assert_eq!(lines.row(0).map(|glyph| glyph.shown).collect::<String>(), "a��b");
    assert_eq!(lines.source_at(0, 1), Some(1..3));
    assert_eq!(lines.source_at(0, 2), Some(3..4));
    assert_eq!(lines.source_at(0, 3), Some(4..5));
}

#[test]
fn an_unfinished_character_is_held_back_until_it_is_whole() {
    let mut lines = Lines::growing(20);
    lines.append(b"a\xE2\x82");
    assert_eq!((lines.row_width(0), lines.bytes()), (1, 3));
    lines.append(b"\xAC");
    assert_eq!(lines.row(0).map(|glyph| glyph.shown).collect::<String>(), "a€");
    lines.append(b"\xE2");
    lines.finish();
    assert_eq!(lines.row(0).map(|glyph| glyph.shown).collect::<String>(), "a€�");
}

#[test]
fn a_line_end_that_comes_in_two_halves_is_one() {
    let mut lines = Lines::growing(3);
    lines.append(b"abc\r");
    assert_eq!(lines.rows(), 2);
    lines.append(b"\nd");
    assert_eq!(lines, {
        let mut whole = Lines::growing(3);
        whole.append(b"abc\r\nd");
        whole
    });
}

#[test]
fn lines_are_cut_with_an_ellipsis() {
    assert_eq!(fit("Rust lifetimes", 20, false), "Rust lifetimes");
    assert_eq!(fit("Rust lifetimes", 8, false), "Rust li…");
    assert_eq!(fit("Rust lifetimes", 6, true), "Rust~");
    assert_eq!(fit("世界世界", 4, false), "世…");
    assert_eq!(fit("a\u{1B}[2J", 9, false), "a␛[2J");
    assert_eq!(fit("abc", 0, false), "");
}

#[test]
fn one_line_is_drawn_within_its_room() {
    let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
    assert_eq!(put(&mut buf, 0, 0, "a\u{1B}世界b", 5, Style::new()), 4);
    assert_eq!(buf, Buffer::with_lines(["a␛世  "]));
}

fn nasty() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => "[ a-z]{1,9}".prop_map(String::into_bytes),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
        3 => prop::sample::select(vec![
            "世", "界", "。", "「", " ", "    ", "\n", "\r\n", "\r", "\t", "👩", "\u{200D}", "🚀", "🇫", "🇷", "\u{301}",
            "\u{202E}", "\u{E0041}", "\u{200B}", "न", "\u{94D}", "\u{1B}[2J", "\u{17D8}", "\u{1100}", "🏴", "\u{2028}",
        ])
        .prop_map(|text: &str| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// Cumulative ends that split `length` bytes at arbitrary places, with empty tokens among them.
fn ends(length: usize, cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    ends.push(length);
    ends.sort_unstable();
    ends
}

proptest! {
    #[test]
    fn rows_fit_and_cover_the_bytes(bytes in nasty(), width in 1u16..30) {
        let lines = Lines::of(&bytes, width);
        let mut at = 0;
        for row in 0..lines.rows() {
            prop_assert!(lines.row_width(row) <= width);
            for glyph in lines.row(row) {
                prop_assert!(glyph.source.0 <= at && glyph.source.1 >= at, "{:?} at {}", glyph, at);
                prop_assert!(glyph.source.1 > glyph.source.0);
                at = glyph.source.1;
            }
        }
        prop_assert_eq!(at, bytes.len());
        prop_assert_eq!(lines.bytes(), bytes.len());
    }

    #[test]
    fn what_is_shown_does_not_depend_on_the_width(bytes in nasty(), width in 2u16..30) {
        let all = |width| {
            let lines = Lines::of(&bytes, width);
            (0..lines.rows()).flat_map(|row| lines.row(row).map(|g| g.shown.to_owned()).collect::<Vec<_>>()).collect::<String>()
        };
        prop_assert_eq!(all(width), all(u16::MAX));
    }

    #[test]
    fn growing_text_is_wrapped_as_whole_text(bytes in nasty(), width in 1u16..30, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9)) {
        let mut lines = Lines::growing(width);
        let mut start = 0;
        for end in ends(bytes.len(), &cuts) {
            lines.append(&bytes[start..end]);
            start = end;
        }
        lines.finish();
        let whole = Lines::of(&bytes, width);
        prop_assert_eq!(lines.rows(), whole.rows());
        for row in 0..whole.rows() {
            prop_assert_eq!(lines.row(row).collect::<Vec<_>>(), whole.row(row).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_cell_belongs_to_the_tokens_that_wrote_it(bytes in nasty(), width in 1u16..30, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let lines = Lines::of(&bytes, width);
        let ends = ends(bytes.len(), &cuts);
        let starts: Vec<usize> = std::iter::once(0).chain(ends.iter().copied()).collect();
        let cells: Vec<Vec<Stretch>> = (0..ends.len()).map(|token| lines.cells_of(starts[token]..ends[token])).collect();
        for row in 0..lines.rows() {
            for glyph in lines.row(row).filter(|glyph| glyph.width > 0) {
                for column in glyph.column..glyph.column + glyph.width {
                    let owners: Vec<usize> = (0..ends.len())
                        .filter(|token| cells[*token].iter().any(|s| s.row == row && s.columns.contains(&column)))
                        .collect();
                    let expected: Vec<usize> = (0..ends.len())
                        .filter(|token| starts[*token] < ends[*token])
                        .filter(|token| starts[*token] < glyph.source.1 && ends[*token] > glyph.source.0)
                        .collect();
                    prop_assert_eq!(&owners, &expected);
                    prop_assert_eq!(lines.token_at(row, column, &ends), expected.first().copied());
                }
            }
        }
        for token in 0..ends.len() {
            let (row, column) = lines.place_of(starts[token]);
            prop_assert!(row < lines.rows() && column <= lines.row_width(row));
            if let Some(first) = cells[token].first() {
                let hidden_before = lines.row(row).any(|g| g.width == 0 && g.source.0 <= starts[token] && starts[token] < g.source.1);
                prop_assert!(hidden_before || (first.row, first.columns.start) == (row, column));
            }
        }
    }

    #[test]
    fn drawn_rows_hold_what_ratatui_counts(bytes in nasty(), width in 1u16..30) {
        let lines = Lines::of(&bytes, width);
        for row in 0..lines.rows() {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
            lines.draw_row(row, &mut buf, 0, 0, |_, _| Style::new());
            for glyph in lines.row(row).filter(|glyph| glyph.width > 0 && glyph.kind != Kind::Space) {
                prop_assert_eq!(buf[(glyph.column, 0)].symbol(), glyph.shown);
                prop_assert_eq!(glyph.shown.cell_width(), glyph.width);
            }
        }
    }
}
