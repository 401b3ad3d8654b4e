//! The tokens station with the design's word: ␣Reykjavík in five tokens.

use std::sync::Arc;

use ratatui::style::{Color, Style};

use crate::app::App;
use crate::inspect::pieces::{Merge, Pieces, TokenizerKind, Word};
use crate::theme::Theme;
use crate::token::{Entry, TokenId, Vocabulary};
use crate::ui::testing::design::{bare_theme, empty, replied, step, theme};
use crate::ui::testing::{self, as_drawn, holds};

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

/// A theme whose fills can be told from nothing.
fn filled() -> Theme {
    let fill = |step: u8| Style::new().bg(Color::Indexed(100 + step));
    Theme { mag: std::array::from_fn(|step| fill(step as u8)), ..theme() }
}

fn reykjavik() -> App {
    let steps = REPLY.iter().map(|(id, text, bits, rank)| step(*id, text.as_bytes(), *bits, *rank));
    let mut app = replied(steps.collect(), 7);
    app.inspector.tokens.pieces.push(("v".into(), LINE.into(), Arc::new(pieces())));
    app.inspector.inside.row = 5;
    app
}

/// What is asked about the word: its whole line.
const LINE: &str = " capital of Iceland is Reykjavík.";

/// The line's pieces, with the word's merges.
fn pieces() -> Pieces {
    let merge = |rank, from: u32, meet: u32, to: u32| Merge {
        rank: Some(rank),
        score: None,
        span: (22 + from, 22 + meet, 22 + to),
    };
    let token = |id, from, to| (TokenId(id), (from, to));
    let word = |id, from, to| Word { span: (from, to), tokens: vec![token(id, from, to)], ..Word::default() };
    let long = Word {
        span: (22, 33),
        start: (22..33).map(|at| (at, at + 1)).collect(),
        merges: vec![
            merge(176, 0, 1, 2),
            merge(313, 6, 7, 8),
            merge(690, 0, 2, 3),
            merge(5908, 8, 9, 10),
            merge(44_198, 5, 6, 8),
            merge(45_551, 0, 3, 4),
        ],
        tokens: vec![
            token(45_803, 22, 26),
            token(91, 26, 27),
            token(44_450, 27, 30),
            token(6160, 30, 32),
            token(91, 32, 33),
        ],
    };
    Pieces {
        kind: TokenizerKind::ByteLevel,
        vocabulary: 49_152,
        merges: 48_900,
        words: vec![
            word(3575, 0, 8),
            word(282, 8, 11),
            word(17_300, 11, 19),
            word(314, 19, 22),
            long,
            word(30, 33, 34),
        ],
        doubt: None,
    }
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn the_word_under_the_cursor_is_the_designs() {
    let app = reykjavik();
    let (text, tokens) = app.display().word_on_display().unwrap();
    assert_eq!((text.as_str(), tokens), (" Reykjavík.", 4..10));
}

#[test]
fn a_word_is_made_of_whole_tokens_and_whole_characters() {
    let word = |steps: &[&[u8]], at| {
        let steps = steps.iter().map(|bytes| step(7, bytes, 1.0, 1)).collect();
        replied(steps, at).display().word_on_display()
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
fn table_and_staircase_are_as_drawn_in_every_form() {
    as_drawn!("narrow", drawn(&reykjavik(), &theme(), 46, 40));
    as_drawn!("full", drawn(&reykjavik(), &theme(), 67, 40));
    as_drawn!("wide", drawn(&reykjavik(), &theme(), 120, 36));
    as_drawn!("full_ascii", drawn(&reykjavik(), &bare_theme(), 67, 40));
}

#[test]
fn a_low_screen_shows_the_table_or_what_is_opened() {
    let mut app = reykjavik();
    as_drawn!("low", drawn(&app, &theme(), 80, 18));
    app.inspector.inside.opened = true;
    as_drawn!("low_opened", drawn(&app, &theme(), 80, 18));
}

#[test]
fn special_tokens_are_named_and_have_no_bytes() {
    let steps = vec![step(9, b"Hi", 1.0, 1), step(2, b"", 0.5, 1)];
    as_drawn!("special", drawn(&replied(steps, 1), &theme(), 67, 24));
}

#[test]
fn what_is_not_known_is_said() {
    let mut app = reykjavik();
    app.inspector.tokens.pieces.clear();
    as_drawn!("not_read", drawn(&app, &theme(), 67, 24));
    as_drawn!("nothing_on_display", drawn(&empty(), &theme(), 46, 8));
}

#[test]
fn the_size_of_a_vocabulary_that_is_known_in_part_is_not_given() {
    let mut app = with_a_model(reykjavik());
    app.inspector.tokens.pieces.clear();
    let mut met = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    met.learn(REPLY.map(|(id, text, ..)| (TokenId(id), Entry { bytes: text.into(), ..Entry::default() })));
    app.talk.vocabularies.insert("v".into(), Arc::new(met));
    let rows = drawn(&app, &theme(), 67, 40).join("\n");
    assert!(rows.contains("Reykjav") && !rows.contains("vocabulary:"), "{rows}");
}

#[test]
fn a_doubt_and_other_pieces_than_the_models_are_said_before_the_merges() {
    let mut app = reykjavik();
    let (_, _, pieces) = app.inspector.tokens.pieces.last_mut().unwrap();
    Arc::make_mut(pieces).doubt = Some("the ids of the reply are others".into());
    as_drawn!("doubt", drawn(&app, &theme(), 67, 38));
    let mut app = reykjavik();
    let (_, _, pieces) = app.inspector.tokens.pieces.last_mut().unwrap();
    Arc::make_mut(pieces).words[4].tokens.truncate(4);
    as_drawn!("other_pieces", drawn(&app, &theme(), 120, 36));
}

#[test]
fn everything_that_was_read_can_be_listed() {
    let mut app = reykjavik();
    app.inspector.tokens.all = true;
    as_drawn!("everything", drawn(&app, &theme(), 120, 24));
}

#[test]
fn wide_and_partial_characters_do_not_shift_columns() {
    let steps = vec![
        step(10, "漢字漢字漢字漢字".as_bytes(), 1.0, 1),
        step(11, b"\xF0\x9F", 2.0, 3),
        step(12, b" a", 3.0, 4),
    ];
    for (width, rank) in [(46, 46), (67, 67)] {
        let app = replied(steps.clone(), 2);
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
    holds(&drawn(&replied(steps, 1), &theme(), 67, 30), "‹F0›‹9F›");
}

#[test]
fn no_size_is_too_small() {
    testing::at_every_size(super::draw, vec![reykjavik()]);
}

/// The model that is loaded has the vocabulary of the reply.
fn with_a_model(mut app: App) -> App {
    let Some(loaded) = app.view().ready().cloned() else { panic!("the drawn chat has a model") };
    let loaded = crate::engine::protocol::Loaded { vocabulary: "v".into(), ..loaded };
    app.model.status = crate::app::ModelStatus::Ready(Box::new(loaded));
    app
}

fn try_the_word(app: &mut App, word: &str) {
    app.inspector.shown = true;
    app.inspector.station = crate::app::Station::Tokens;
    app.inspector.tokens.trying = Some(crate::app::LineEdit::new(word));
}

#[test]
fn a_word_that_is_tried_splits_and_has_the_staircase() {
    let mut app = with_a_model(reykjavik());
    try_the_word(&mut app, " Reykjavík");
    let within = Pieces { words: vec![pieces().within(22, 33).words.remove(0)], ..pieces() };
    app.inspector.tokens.pieces.push(("v".into(), " Reykjavík".into(), Arc::new(within.clone())));
    app.inspector.tokens.tried.push(("v".into(), " Reykjavík".into(), Arc::new(within)));
    as_drawn!("tried_narrow", drawn(&app, &theme(), 46, 36));
    as_drawn!("tried_wide", drawn(&app, &theme(), 120, 36));
}

#[test]
fn a_word_that_is_not_told_yet_shows_the_line_alone() {
    let mut app = empty();
    try_the_word(&mut app, " Zzyzx");
    as_drawn!("tried_not_told", drawn(&app, &theme(), 120, 8));
}

#[test]
fn the_draft_is_listed_as_it_is_typed() {
    let mut app = with_a_model(reykjavik());
    app.focus = crate::app::Focus::Composer;
    app.inspector.shown = true;
    app.inspector.station = crate::app::Station::Tokens;
    app.composer.set(LINE);
    app.inspector.tokens.draft = Some(("v".into(), LINE.into(), Arc::new(pieces())));
    let seen = drawn(&app, &theme(), 120, 36);
    holds(&seen, "#4–9 ␣Reykjavík. in the draft: 6 tokens, 12 bytes");
    holds(&seen, "      0    3575  ␣capital");
    holds(&seen, "10 tokens   34 bytes");
    // The next key: what stood before stays until the longer draft is told.
    app.composer.set(&format!("{LINE} I"));
    let later = drawn(&app, &theme(), 120, 36);
    let table = |rows: &[String]| {
        rows.iter()
            .filter(|row| row.contains("20 63 61") || row.contains("20 6F 66"))
            .map(|row| row.chars().skip(1).take(50).collect::<String>())
            .collect::<Vec<_>>()
    };
    assert_eq!(table(&later), table(&seen));
}

#[test]
fn special_tokens_are_listed_whole_or_not_at_all() {
    for theme in [theme(), bare_theme()] {
        for (width, height) in [(46, 37), (46, 40), (67, 37), (67, 40)] {
            let seen = drawn(&reykjavik(), &theme, width, height);
            holds(&seen, "special tokens, never made from typed");
            holds(&seen, "endoftext");
        }
    }
    let mut with_head = 0;
    for height in 8..42 {
        let seen = drawn(&reykjavik(), &theme(), 67, height);
        let headed = seen.iter().any(|row| row.contains("special tokens"));
        assert_eq!(headed, seen.iter().any(|row| row.contains("‹endoftext›")), "{height}: {seen:#?}");
        with_head += usize::from(headed);
    }
    assert!((3..34).contains(&with_head), "{with_head} of 34 heights have the list");
}
