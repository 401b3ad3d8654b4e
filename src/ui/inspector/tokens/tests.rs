//! The tokens station with the design's word: ␣Reykjavík in five tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

use crate::app::{App, Msg, Now, TokenCursor};
use crate::chat::{RunId, Span, TurnId};
use crate::inspect::pieces::{Merge, Pieces, TokenizerKind, Word};
use crate::theme::Theme;
use crate::token::{Step, TokenId, TokenKind, Vocabulary};
use crate::ui::frame_testing::{bare_theme, capitals, theme};
use crate::ui::testing;

const REPLY: [(i32, &str, f32, u32); 10] = [
    (3575, " capital", 16.65, 2923),
    (282, " of", 0.49, 1),
    (17300, " Iceland", 8.84, 65),
    (314, " is", 0.99, 1),
    (45803, " Rey", 1.17, 1),
    (91, "k", 0.01, 1),
    (44450, "jav", 0.03, 1),
    (6160, "í", 4.34, 2),
    (91, "k", 0.50, 1),
    (30, ".", 1.05, 1),
];

pub fn step(id: i32, bytes: &[u8], bits: f32, rank: u32) -> Step {
    Step {
        id: Some(TokenId(id)),
        bytes: bytes.to_vec(),
        logprob: -bits * std::f32::consts::LN_2,
        rank,
        ..Step::default()
    }
}

/// A reply of these steps after a prompt of one token; the cursor stands on one.
pub fn with(steps: Vec<Step>, cursor: usize) -> App {
    let mut app = capitals();
    app.run = None;
    let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    for name in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
        vocabulary.push(name.as_bytes(), TokenKind::Control);
    }
    let texts: BTreeMap<_, _> = steps.iter().map(|step| (step.id, &step.bytes)).collect();
    for id in 3..49_152 {
        vocabulary.push(texts.get(&Some(TokenId(id))).map_or(b"x", |bytes| bytes), TokenKind::Normal);
    }
    app.vocabularies.insert("v".into(), Arc::new(vocabulary));
    app.runs.get_mut(&RunId(1)).unwrap().prompt_ids = vec![TokenId(504)];
    app.chat.turns[1].parent = None;
    app.chat.turns[1].spans = vec![Span::Generated { run: RunId(1), steps }];
    app.transcript.selected = Some(TurnId(2));
    app.transcript.cursor = Some(TokenCursor { turn: TurnId(2), index: cursor });
    app.update(Now::default(), Msg::Tick);
    app
}

/// A theme whose fills can be told from nothing.
fn filled() -> Theme {
    let fill = |step: u8| Style::new().bg(Color::Indexed(100 + step));
    Theme { mag: std::array::from_fn(|step| fill(step as u8)), ..theme() }
}

fn reykjavik() -> App {
    let steps = REPLY.iter().map(|(id, text, bits, rank)| step(*id, text.as_bytes(), *bits, *rank));
    let mut app = with(steps.collect(), 7);
    let merge = |rank, from, meet, to| Merge { rank: Some(rank), score: None, span: (from, meet, to) };
    let token = |id, from, to| (TokenId(id), (from, to));
    let word = Word {
        span: (0, 11),
        start: (0..11).map(|at| (at, at + 1)).collect(),
        merges: vec![
            merge(176, 0, 1, 2),
            merge(313, 6, 7, 8),
            merge(690, 0, 2, 3),
            merge(5908, 8, 9, 10),
            merge(44_198, 5, 6, 8),
            merge(45_551, 0, 3, 4),
        ],
        tokens: vec![
            token(45_803, 0, 4),
            token(91, 4, 5),
            token(44_450, 5, 8),
            token(6160, 8, 10),
            token(91, 10, 11),
        ],
    };
    let stop = Word { span: (11, 12), tokens: vec![token(30, 11, 12)], ..Word::default() };
    let pieces = Pieces {
        kind: TokenizerKind::ByteLevel,
        vocabulary: 49_152,
        merges: 48_900,
        words: vec![word, stop],
        doubt: None,
    };
    app.inspector.inside.pieces.push(("v".into(), " Reykjavík.".into(), Arc::new(pieces)));
    app.inspector.inside.row = 5;
    app
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    let mut buf: Buffer = testing::buffer(width, height);
    let area = buf.area;
    super::draw(app, theme, area, &mut buf);
    testing::rows(&buf)
}

fn holds(seen: &[String], what: &str) {
    assert!(seen.iter().any(|row| row.contains(what)), "{what}\n{}", seen.join("\n"));
}

#[test]
fn the_word_under_the_cursor_is_the_designs() {
    let app = reykjavik();
    let (text, tokens) = app.word_on_display().unwrap();
    assert_eq!((text.as_str(), tokens), (" Reykjavík.", 4..10));
}

#[test]
fn a_word_is_made_of_whole_tokens_and_whole_characters() {
    let word = |steps: &[&[u8]], at| {
        let steps = steps.iter().map(|bytes| step(7, bytes, 1.0, 1)).collect();
        with(steps, at).word_on_display()
    };
    assert_eq!(word(&[b"one", b" two th", b"ree"], 2), Some((" two three".into(), 1..3)));
    assert_eq!(word(&[b"a.\n\n", b"b"], 1), Some(("b".into(), 1..2)));
    assert_eq!(word(&[b" \xC3", b"\xAD", b"k"], 0), Some((" ík".into(), 0..3)));
    assert_eq!(word(&[b"a \xC3"], 0), None);
    assert_eq!(word(&[b"a", b""], 1), None);
    let long = ["漢字".as_bytes(); 200];
    let (text, tokens) = word(&long, 100).unwrap();
    assert!(tokens.contains(&100) && tokens.len() < 60, "{tokens:?}");
    assert_eq!(text.len(), tokens.len() * 6);
}

#[test]
fn wide_screens_have_the_staircase_beside_the_table() {
    let seen = drawn(&reykjavik(), &theme(), 120, 36);
    assert!(seen[0].starts_with(" #5–10 ␣Reykjavík. itself: 6 tokens, 12 bytes"), "{}", seen[0]);
    holds(&seen, "▐     5   45803  ␣Rey         20 52 65 79               1.17      1     #313 a+v");
}

#[test]
fn both_forms_hold_every_fact() {
    for (width, rank) in [(46, "2923"), (67, "2 923"), (100, "2 923"), (120, "2 923")] {
        for theme in [theme(), bare_theme()] {
            let seen = drawn(&reykjavik(), &theme, width, 40);
            for what in ["45803", "44450", "16.65", rank, "4.34", "#44198", "#176", "48 900 merges"] {
                holds(&seen, what);
            }
            holds(&seen, "10 tokens");
            holds(&seen, if theme.symbols.ascii { "+--" } else { "├──" });
            holds(&seen, "no rule joins");
            assert!(!theme.symbols.ascii || !seen.iter().any(|row| row.contains(['▐', '├', '┤', '─'])));
        }
    }
}

#[test]
fn a_low_screen_shows_the_table_or_what_is_opened() {
    let mut app = reykjavik();
    let seen = drawn(&app, &theme(), 80, 18);
    holds(&seen, "▐›    8    6160  í");
    app.inspector.inside.opened = true;
    let seen = drawn(&app, &theme(), 80, 18);
    holds(&seen, "How ␣Reykjavík. became 6 tokens");
    holds(&seen, "#45551");
}

#[test]
fn brackets_stand_over_the_bytes_that_they_join() {
    let seen = drawn(&reykjavik(), &theme(), 120, 36);
    let column = |row: &str, what: &str| row.find(what).map(|at| row[..at].chars().count());
    let bytes = seen.iter().find(|row| row.contains("bytes    ") && row.contains("C3 AD")).unwrap();
    let at = column(bytes, "C3 AD").unwrap();
    let merge = seen.iter().find(|row| row.contains("#5908")).unwrap();
    assert_eq!(column(merge, "├───┤"), Some(at), "{bytes}\n{merge}");
}

#[test]
fn wide_and_partial_characters_do_not_shift_columns() {
    let steps = vec![
        step(10, "漢字漢字漢字漢字".as_bytes(), 1.0, 1),
        step(11, b"\xF0\x9F", 2.0, 3),
        step(12, b" a", 3.0, 4),
    ];
    for (width, rank) in [(46, 46), (67, 67)] {
        let app = with(steps.clone(), 2);
        let mut buf = testing::buffer(width, 30);
        let area = buf.area;
        super::draw(&app, &filled(), area, &mut buf);
        let lines: Vec<u16> =
            (0..30).filter(|y| ["1", "3", "4"].contains(&buf[(rank - 1, *y)].symbol())).collect();
        assert_eq!(lines.len(), 3, "{:#?}", testing::rows(&buf));
        let fills: Vec<Color> =
            lines.iter().map(|y| buf[(if width == 46 { 39 } else { 59 }, *y)].bg).collect();
        assert_eq!(fills, [Color::Indexed(101), Color::Indexed(102), Color::Indexed(103)]);
    }
    holds(&drawn(&with(steps, 1), &theme(), 67, 30), "‹F0›‹9F›");
}

#[test]
fn special_tokens_are_named_and_have_no_bytes() {
    let steps = vec![step(9, b"Hi", 1.0, 1), step(2, b"", 0.5, 1)];
    let seen = drawn(&with(steps, 1), &theme(), 67, 30);
    holds(&seen, "‹end›");
    holds(&seen, "How ‹end› became 1 token");
    holds(&seen, "0 ‹endoftext›");
}

#[test]
fn what_is_not_known_is_said() {
    let mut app = reykjavik();
    app.inspector.inside.pieces.clear();
    let seen = drawn(&app, &theme(), 67, 36);
    holds(&seen, "How ␣Reykjavík. became 6 tokens");
    assert!(seen.iter().any(|row| row.contains("not known") || row.contains("not read")), "{seen:#?}");
    let idle = drawn(&crate::ui::frame_testing::empty(), &theme(), 46, 20);
    holds(&idle, "no token on display");
}

#[test]
fn a_doubt_is_said_before_the_merges() {
    let mut app = reykjavik();
    let (_, _, pieces) = app.inspector.inside.pieces.last_mut().unwrap();
    Arc::make_mut(pieces).doubt = Some("the ids of the reply are others".into());
    let seen = drawn(&app, &theme(), 67, 38);
    holds(&seen, "! the ids of the reply are others");
    assert!(!seen.iter().any(|row| row.contains("no rule joins")));
}

#[test]
fn no_size_is_too_small() {
    let app = reykjavik();
    for width in [0, 1, 19, 20, 33, 46, 66, 67, 80, 113, 114, 120, 200] {
        for height in 0..42 {
            drawn(&app, &theme(), width, height);
        }
    }
}
