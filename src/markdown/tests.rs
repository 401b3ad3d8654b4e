//! Claims about pages: what is seen, that growing is the same as being whole, that the map is total and in order, and
//! that the words are those of pulldown-cmark's own HTML.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::corpus::CORPUS;
use super::*;
use crate::sanitize::Kind;

const STYLE: Style = Style { width: 40, wrap_code: true, ascii: false };

pub(super) fn drawn(page: &Page) -> Vec<String> {
    let row = |row| {
        page.row(row)
            .map(|glyph| {
                if glyph.kind == Kind::Space {
                    " ".repeat(usize::from(glyph.width))
                } else {
                    glyph.shown.to_owned()
                }
            })
            .collect::<String>()
    };
    (0..page.rows()).map(|at| row(at).trim_end().to_owned()).collect()
}

fn rows(text: &str, width: u16) -> Vec<String> {
    drawn(&Page::of(text.as_bytes(), Style { width, ..STYLE }))
}

fn check(text: &str, width: u16, expected: &[&str]) {
    assert_eq!(rows(text, width), expected, "{text:?} at {width}");
}

#[test]
fn blocks_are_laid_out_as_they_read() {
    check("# Title\ntext *it* **b** ~~s~~ `c`\n\nnext", 40, &["Title", "text it b s c", "", "next"]);
    check("Title\n=====\nand\n---\nx", 40, &["Title", "and", "x"]);
    check("- a\n- b\n  - c\n\n- d", 40, &["• a", "• b", "  ◦ c", "", "• d"]);
    check("1. a\n1. b\n   more\n1. c", 40, &["1. a", "2. b", "   more", "3. c"]);
    check("- [ ] to do\n- [x] done\n1. [x] n", 40, &["☐ to do", "☑ done", "1. ☑ n"]);
    check("> quoted words here\n> more\n>\n> end", 12, &["│ quoted", "│ words here", "│ more", "│", "│ end"]);
    check("a\n\n> b\n>\n> > c\n\nd", 40, &["a", "", "│ b", "│", "│ │ c", "", "d"]);
    check("> [!WARNING]\n> hot", 40, &["│ Warning", "│ hot"]);
    check("a\n\n---\n\nb", 6, &["a", "", "──────", "", "b"]);
    check("so:\n```py\nx = 1\n\ny\n```\nend", 40, &["so:", "py", "x = 1", "", "y", "end"]);
    check("- a\n  ```\n  x\n    y\n  ```\n- b", 40, &["• a", "  x", "    y", "• b"]);
    check("a long line of words", 8, &["a long", "line of", "words"]);
    check("", 8, &[""]);
    check("a[^1]\n\n[^1]: note", 40, &["a[1]", "", "[1] note"]);
    check(
        "see [the site](https://a.b/c) and <https://d.e>",
        60,
        &["see the site (https://a.b/c) and https://d.e"],
    );
    check("see [the site][s]\n\n[s]: https://a.b", 60, &["see the site (https://a.b)"]);
    check("so $x^2$:\n\n$$\\frac{a}{b}$$\n\nend \\(y_1\\)", 60, &["so x²:", "", "a/b", "", "end y₁"]);
    check("<b>x</b>", 40, &["<b>x</b>"]);
    check("日本語の文章です。", 8, &["日本語の", "文章で", "す。"]);
}

#[test]
fn a_note_is_referred_to_by_its_mark_wherever_it_is_defined() {
    check("a[^1] b[^0]\n\n***\n\n[^1]: note\n", 10, &["a[1] b[^0]", "", "──────────", "", "[1] note"]);
    check(
        "- one[^x]\n- two\n\nmore[^X]!\n\n[^x]: note\n\nend",
        40,
        &["• one[x]", "• two", "", "more[X]!", "", "[x] note", "", "end"],
    );
    // What a reference stands in that is no text stays as it is.
    check("`a[^1]`\n\n```\n[^1]\n```\n\n[^1]: note\n", 40, &["a[^1]", "", "[^1]", "", "[1] note"]);
}

#[test]
fn tables_fit_the_width() {
    let table = "| a | bb |\n|---|---:|\n| 1 | 2 |\n| one two | 3 |";
    check(table, 40, &["a       │ bb", "────────┼───", "1       │  2", "one two │  3"]);
    let wide = "| name | what it is |\n|---|---|\n| x | some long words that wrap |";
    check(
        wide,
        22,
        &["name │ what it is", "─────┼────────────────", "x    │ some long words", "     │ that wrap"],
    );
    check(
        "| aaaaaaaaaaaa | bbbbbbbbbbbb |\n|---|---|\n| c | d |",
        14,
        &["aaaaaaaaaaaa │", "bbbbbbbbbbbb", "────────", "aaaaaaa: c", "bbbbbbb: d"],
    );
}

#[test]
fn long_code_is_wrapped_or_runs_over_the_edge() {
    let text = "```\n0123456789\n```";
    check(text, 8, &["01234567", "89"]);
    let page = Page::of(text.as_bytes(), Style { width: 8, wrap_code: false, ascii: false });
    assert_eq!(drawn(&page), ["0123456789"]);
    assert_eq!(page.fill(0), Some(0));
}

#[test]
fn hidden_marks_have_a_place() {
    let page = Page::of(b"a **b** c", STYLE);
    assert_eq!(page.cells_of(2..4), []);
    assert_eq!(page.place_of(2), (0, 2));
    assert_eq!(page.cells_of(4..5), [Stretch { row: 0, columns: 2..3 }]);
    assert_eq!(page.place_of(5), (0, 3));
    let page = Page::of(b"x\n\n```\ny\n```\n\nz", STYLE);
    assert_eq!(drawn(&page), ["x", "", "y", "", "z"]);
    assert_eq!((page.place_of(3), page.place_of(9), page.place_of(13)), ((2, 0), (2, 1), (3, 0)));
}

#[test]
fn bytes_that_are_no_text_keep_their_own_offsets() {
    let page = Page::of(b"a\xF0\x9F\xFFb **c**", STYLE);
    assert_eq!(drawn(&page), ["a��b c"]);
    assert_eq!(page.source_at(0, 1), Some(1..3));
    assert_eq!(page.source_at(0, 3), Some(4..5));
    assert_eq!(page.cells_of(8..9), [Stretch { row: 0, columns: 5..6 }]);
}

/// A text added in steps.
fn grown(text: &str, style: Style, ends: impl Iterator<Item = usize>) -> Page {
    let mut page = Page::growing(style);
    let mut from = 0;
    for end in ends {
        page.append(&text.as_bytes()[from..end]);
        from = end;
    }
    page.append(&text.as_bytes()[from..]);
    page.finish();
    page
}

fn assert_same(grown: &Page, whole: &Page, what: &str) {
    assert_eq!(drawn(grown), drawn(whole), "{what}");
    for row in 0..whole.rows() {
        let glyphs = |page: &Page| page.row(row).map(|glyph| format!("{glyph:?}")).collect::<Vec<_>>();
        assert_eq!(glyphs(grown), glyphs(whole), "row {row} of {what}");
    }
}

#[test]
fn a_reply_that_streams_byte_by_byte_ends_as_the_whole() {
    for (name, text) in CORPUS {
        for width in [24, 80] {
            let style = Style { width, ..STYLE };
            let whole = Page::of(text.as_bytes(), style);
            assert_same(&grown(text, style, 1..text.len()), &whole, &format!("{name} at {width}"));
        }
    }
}

#[test]
fn a_line_ends_at_a_carriage_return_as_commonmark_says() {
    let texts = [
        "b\n```co\r\n```\rnd\r\n\n",
        "```\na\n```\rb",
        "```\ra\rb\r\n```\r",
        "# a\rb\r\rc\r",
        "- a\r- b\r\r1. c\r",
        "a\r",
    ];
    for text in texts {
        let whole = Page::of(text.as_bytes(), STYLE);
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(drawn(&whole), drawn(&Page::of(lines.as_bytes(), STYLE)), "{text:?}");
        for piece in 1..4 {
            let ends = (piece..text.len()).step_by(piece);
            assert_same(&grown(text, STYLE, ends), &whole, &format!("{text:?} in pieces of {piece}"));
        }
        assert_sound(text.as_bytes(), STYLE.width, text);
    }
}

#[test]
fn what_stands_below_a_fence_that_only_looks_like_the_end_is_not_lost() {
    let page = Page::of(b"x\n\n```\na\n```\t\nbb\n```\n\nc\n", STYLE);
    assert!(drawn(&page).iter().any(|row| row == "bb"), "{:?}", drawn(&page));
}

/// What holds of any page: every byte has a place, in the order of the bytes wherever no table turned it around (its
/// cells stand beside each other, row by row); what is seen has cells, which lead back to it, and nothing else has; rows fit.
fn assert_sound(text: &[u8], width: u16, what: &str) {
    let page = Page::of(text, Style { width, ..STYLE });
    let mut seen = vec![false; text.len()];
    for row in 0..page.rows() {
        assert!(page.row_width(row) <= width, "row {row} of {what} is {} wide", page.row_width(row));
        for glyph in page.row(row) {
            if glyph.width > 0 {
                seen[glyph.source.0..glyph.source.1].fill(true);
            }
            if glyph.width > 0 && glyph.source.0 < glyph.source.1 {
                let cells = page.cells_of(glyph.source.0..glyph.source.1);
                let holds = |s: &Stretch| s.row == row && s.columns.contains(&glyph.column);
                assert!(cells.iter().any(holds), "{glyph:?} in row {row} of {what}: {cells:?}");
            }
        }
    }
    let mut last = (0, 0);
    let in_order = !has_table(&String::from_utf8_lossy(text));
    for (byte, has_cell) in seen.iter().chain([&true]).enumerate() {
        let place = page.place_of(byte);
        assert!(place.0 < page.rows() && place.1 <= page.row_width(place.0), "{byte} of {what}: {place:?}");
        assert!(!in_order || place >= last, "{byte} of {what}: {place:?} after {last:?}");
        last = place;
        if byte < text.len() {
            assert_eq!(*has_cell, !page.cells_of(byte..byte + 1).is_empty(), "{byte} of {what}");
        }
    }
}

fn has_table(text: &str) -> bool {
    use pulldown_cmark::{Event, Parser, Tag};
    Parser::new_ext(text, OPTIONS).any(|event| matches!(event, Event::Start(Tag::Table(_))))
}

#[test]
fn every_byte_of_the_corpus_has_its_place() {
    for (name, text) in CORPUS {
        for width in [9, 24, 80] {
            assert_sound(text.as_bytes(), width, &format!("{name} at {width}"));
        }
    }
}

/// Words without what is only drawn: in the order they stand.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn visible(text: &str) -> String {
    let page = Page::of(text.as_bytes(), Style { width: u16::MAX / 4, ..STYLE });
    let mut seen = String::new();
    for row in 0..page.rows() {
        for glyph in page.row(row) {
            let drawn_only = glyph.source.0 == glyph.source.1
                || matches!(glyph.look.tone, Tone::Label | Tone::Bullet | Tone::Line | Tone::Muted);
            let alert = matches!(glyph.look.tone, Tone::Note | Tone::Caution);
            if !drawn_only && !alert && glyph.kind != Kind::Revealed {
                seen.push_str(glyph.shown);
            }
        }
    }
    letters(&seen)
}

fn html(text: &str) -> String {
    use pulldown_cmark::{Event, Parser, Tag, TagEnd, html};
    // An image's words are an attribute in HTML, and notes are numbered there.
    let named = |event| match event {
        Event::FootnoteReference(name) => Event::Text(name),
        other => other,
    };
    let events = Parser::new_ext(text, OPTIONS).map(named).filter(|event| {
        !matches!(
            event,
            Event::Html(_)
                | Event::InlineHtml(_)
                | Event::Start(Tag::Image { .. } | Tag::FootnoteDefinition(_))
                | Event::End(TagEnd::Image | TagEnd::FootnoteDefinition)
        )
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    let mut shown = String::new();
    let mut tag = false;
    for c in out.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            c if !tag => shown.push(c),
            _ => {}
        }
    }
    let plain = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    letters(&plain)
}

#[test]
fn the_words_are_those_of_the_parsers_own_html() {
    for (name, text) in CORPUS {
        // Mathematics is said otherwise on purpose.
        if ["math", "hostile table"].iter().any(|other| name.contains(other)) {
            continue;
        }
        assert_eq!(visible(text), html(text), "{name}");
    }
}

#[test]
fn hostile_texts_are_laid_out_in_time() {
    let mut list = String::new();
    for deep in 0..400 {
        let _ = writeln!(list, "{}- x", "  ".repeat(deep));
    }
    for text in [
        ">".repeat(20_000),
        "[".repeat(50_000),
        "*a ".repeat(50_000),
        list,
        format!("|{}\n|{}\n", "a|".repeat(5000), "-|".repeat(5000)),
        "`".repeat(40_000),
        "$\\frac{".repeat(5000),
        "\u{202E}\u{1B}[2J\n".repeat(2000),
    ] {
        let page = Page::of(text.as_bytes(), STYLE);
        assert!((0..page.rows()).all(|row| page.row_width(row) <= STYLE.width));
    }
}

#[test]
fn code_asks_for_its_colours_once_and_takes_them() {
    let mut page = Page::growing(STYLE);
    page.append(b"1. so\n   ```rust\n   let x;\n");
    let wanted = page.take_wanted();
    assert_eq!(
        wanted.iter().map(|line| (line.number, line.code.as_str())).collect::<Vec<_>>(),
        [(0, "let x;\n")]
    );
    page.colour(wanted[0].at, vec![(0..3, Tone::Keyword)]);
    page.append(b"   let y;\n   ```\n");
    assert_eq!(page.take_wanted().len(), 1);
    let row = page.row(2).filter(|glyph| glyph.width > 0 && glyph.look.tone == Tone::Keyword);
    assert_eq!(row.map(|glyph| glyph.shown).collect::<String>(), "let");
}

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => "[ a-z]{1,9}",
        1 => any::<char>().prop_map(String::from),
        6 => prop::sample::select(vec![
            "\n", "\n\n", "# ", "- ", "  - ", "1. ", "> ", "```", "```rust\n", "~~~", "**", "*", "_", "~~", "`", "``",
            "[a]", "[a](b)", "[a]: /u\n", "![i](j)", "| a | b |\n", "|---|---|\n", "---\n", "===\n", "    ", "\t", "<b>",
            "<!-- ", "-->", "&amp;", "\\", "$x^2$", "$$", "\\(", "\\)", "[^1]", "[^1]: n\n", "> [!NOTE]\n", "- [x] ",
            "世界", "👩\u{200D}🚀", "\u{301}", "\u{202E}", "\u{200B}", "\r\n", "\r", "```\r", "```\t\n", "https://a.b", "  \n", "\u{1B}[2J",
        ]).prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_that_grows_ends_as_the_whole(text in nasty(), width in 1u16..40, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        ends.sort_unstable();
        let style = Style { width, ..STYLE };
        let whole = Page::of(text.as_bytes(), style);
        assert_same(&grown(&text, style, ends.into_iter()), &whole, &text);
    }

    #[test]
    fn any_text_has_a_sound_map(text in nasty(), width in 1u16..40) {
        assert_sound(text.as_bytes(), width, &format!("{text:?} at {width}"));
    }
}
