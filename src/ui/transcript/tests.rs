//! Transcripts as drawn: rows as text, key cells as roles.

use super::*;
use crate::app::{ActiveRun, Colouring, Find, LineEdit, Phase, Queued, TokenCursor, Writing};
use crate::chat::RunId;
use crate::engine::protocol::RequestId;
use crate::ui::testing::{app, buffer, contrast, ink, reply, rows, streaming, theme, user};

fn paint(app: &App, width: u16, height: u16, ascii: bool) -> (Buffer, TranscriptGeometry) {
    contrast::check(|theme| painted(app, theme, width, height).0);
    painted(app, &theme(ascii), width, height)
}

fn drawn(app: &App, width: u16, height: u16) -> Vec<String> {
    rows(&paint(app, width, height, false).0)
}

fn running(app: &mut App, turn: TurnId, phase: Phase) {
    app.talk.run = Some(ActiveRun {
        chat: app.talk.chat.head.id,
        turn,
        run: RunId(1),
        request: RequestId(1),
        phase,
        prompt: None,
        written: 0,
        started_at: 0,
        stopping: false,
        made_room: false,
    });
}

/// Two turns and a reply that is being written.
fn capitals() -> App {
    let mut app = app();
    user(&mut app, "What is the capital of France?");
    reply(&mut app, &["The", " capital", " of", " France", " is", " Paris", "."]);
    user(&mut app, "And what is Paris known for?");
    let turn = streaming(
        &mut app,
        &["Paris is renowned for its iconic landmarks,", " including the Eiffel Tower,", " Notre"],
    );
    running(&mut app, turn, Phase::Writing(Writing::default()));
    app
}

#[test]
fn a_chat_reads_as_in_the_drawing() {
    assert_eq!(
        drawn(&capitals(), 52, 13),
        [
            " You                                          14:02",
            " What is the capital of France?",
            "",
            " SmolLM2-135M              7 tokens   1.00 bit each",
            " The capital of France is Paris.",
            "",
            " You                                          14:02",
            " And what is Paris known for?",
            "",
            " SmolLM2-135M              3 tokens   1.00 bit each",
            " Paris is renowned for its iconic landmarks,",
            " including the Eiffel Tower, Notre█",
            "",
        ]
    );
    let (buf, _) = paint(&capitals(), 52, 13, false);
    let roles = [buf[(1, 3)].fg, buf[(40, 3)].fg, buf[(1, 4)].fg, buf[(34, 11)].fg];
    assert_eq!(roles, [ink(Role::Strong), ink(Role::Muted), ink(Role::Text), ink(Role::Strong)]);
    assert_eq!(rows(&paint(&capitals(), 52, 13, true).0)[11], " including the Eiffel Tower, Notre#");
}

#[test]
fn a_narrow_pane_drops_figures_before_the_name() {
    let mut app = app();
    reply(&mut app, &["字", "a"]);
    assert_eq!(drawn(&app, 28, 2), [" SmolLM2-135M      2 tokens", " 字a"]);
    assert_eq!(drawn(&app, 14, 2)[0], " SmolLM2-135M");
    assert_eq!(drawn(&app, 200, 2)[0].chars().count(), 1 + usize::from(MEASURE));
}

#[test]
fn versions_are_counted() {
    let mut app = app();
    user(&mut app, "hi");
    let first = reply(&mut app, &["a"]);
    app.talk.chat.leaf = app.talk.chat.turn(first).unwrap().parent;
    reply(&mut app, &["b"]);
    assert_eq!(drawn(&app, 52, 5)[3], " SmolLM2-135M       ‹2/2›   1 token   1.00 bit each");
    assert_eq!(rows(&paint(&app, 52, 5, true).0)[3], " SmolLM2-135M       <2/2>   1 token   1.00 bit each");
}

#[test]
fn the_end_is_followed_and_an_anchor_stays() {
    let mut app = capitals();
    let (buf, geometry) = paint(&app, 52, 5, false);
    assert_eq!(rows(&buf)[4], " including the Eiffel Tower, Notre█");
    assert_eq!((geometry.scroll, geometry.total_rows, geometry.rows_below), (Scroll::Bottom, 12, 0));
    app.transcript.scroll = Scroll::Anchor { turn: TurnId(4), row: 0, moved: -5 };
    let (buf, geometry) = paint(&app, 52, 5, false);
    assert_eq!(rows(&buf)[0], " The capital of France is Paris.");
    assert_eq!(geometry.scroll, Scroll::Anchor { turn: TurnId(2), row: 1, moved: 0 });
    assert_eq!(geometry.rows_below, 3);
    app.transcript.scroll = geometry.scroll;
    crate::ui::testing::write(&mut app, TurnId(4), &["\n\n\nmore"]);
    let (buf, geometry) = paint(&app, 52, 5, false);
    assert_eq!((rows(&buf)[0].as_str(), geometry.rows_below), (" The capital of France is Paris.", 5));
}

#[test]
fn a_resize_keeps_the_place_in_the_text() {
    let mut app = app();
    user(&mut app, &"word ".repeat(200));
    app.transcript.scroll = Scroll::Anchor { turn: TurnId(1), row: 1 + 500, moved: 0 };
    let (_, wide) = paint(&app, 52, 5, false);
    let (_, narrow) = paint(&app, 22, 5, false);
    assert_eq!(wide.scroll, Scroll::Anchor { turn: TurnId(1), row: 501, moved: 0 });
    assert_eq!(narrow.scroll, Scroll::Anchor { turn: TurnId(1), row: 501, moved: 0 });
}

#[test]
fn every_row_can_be_scrolled_to_and_told_back() {
    let mut app = capitals();
    app.talk.chat.turns[1].note = Some("stopped by you".into());
    let (_, geometry) = paint(&app, 30, 1, false);
    let mut scroll = Scroll::Anchor { turn: TurnId(1), row: 0, moved: 0 };
    for top in 0..geometry.total_rows {
        app.transcript.scroll = scroll;
        let (_, seen) = paint(&app, 30, 1, false);
        assert_eq!(seen.rows_below, geometry.total_rows - 1 - top);
        match seen.scroll {
            Scroll::Anchor { turn, row, .. } => scroll = Scroll::Anchor { turn, row, moved: 1 },
            Scroll::Bottom => assert_eq!(top, geometry.total_rows - 1),
        }
    }
}

#[test]
fn an_anchor_that_is_gone_moves_from_the_end() {
    let mut app = capitals();
    app.transcript.scroll = Scroll::Anchor { turn: TurnId(0), row: 0, moved: -2 };
    assert_eq!(paint(&app, 52, 5, false).1.rows_below, 2);
}

#[test]
fn the_selected_message_comes_into_view_and_is_marked() {
    let mut app = capitals();
    app.focus = Focus::Transcript;
    app.transcript.selected = Some(TurnId(1));
    app.transcript.reveal = true;
    let (buf, geometry) = paint(&app, 52, 4, false);
    assert_eq!(rows(&buf)[0], "›You                                          14:02");
    assert_eq!((buf[(0, 0)].fg, buf[(20, 0)].fg), (ink(Role::Select), ink(Role::Select)));
    assert_eq!(
        geometry.turns,
        [
            (TurnId(1), Area { x: 0, y: 0, width: 52, height: 2 }),
            (TurnId(2), Area { x: 0, y: 3, width: 52, height: 1 })
        ]
    );
    app.transcript.scroll = geometry.scroll;
    app.transcript.selected = Some(TurnId(2));
    assert_eq!(rows(&paint(&app, 52, 4, false).0)[3], " The capital of France is Paris.");
}

#[test]
fn the_current_match_comes_into_view() {
    let mut app = app();
    user(&mut app, &format!("{}here{}", "word ".repeat(200), " word".repeat(200)));
    app.transcript.selected = Some(TurnId(1));
    app.transcript.reveal = true;
    app.transcript.find = Some(Find {
        input: LineEdit { text: "here".into(), cursor: 4 },
        matches: vec![(TurnId(1), 1000..1004)],
        current: 0,
    });
    let (buf, _) = paint(&app, 52, 5, false);
    assert!(rows(&buf).iter().any(|row| row.contains("here")), "{:?}", rows(&buf));
}

#[test]
fn a_reply_that_waits_says_what_for() {
    let mut app = app();
    user(&mut app, "hi");
    let turn = streaming(&mut app, &[]);
    running(&mut app, turn, Phase::Reading { done: 17, total: 62 });
    assert_eq!(drawn(&app, 40, 6)[4], " reading 17 of 62 tokens");
    running(&mut app, turn, Phase::Writing(Writing::default()));
    assert_eq!(drawn(&app, 40, 6)[4], " █");
    app.talk.queued = Some(Queued {
        chat: app.talk.chat.head.id,
        reply_to: None,
        texts: vec!["and\nthen?".to_owned().into()],
    });
    assert_eq!(drawn(&app, 60, 8)[6..], [" You", " and   (sent when this reply is done)"]);
}

#[test]
fn notes_say_how_bad_it_was() {
    let check = |note: Option<&str>, state, row: &str, role| {
        let mut app = app();
        reply(&mut app, &["text"]);
        app.talk.chat.turns[0].note = note.map(str::to_owned);
        app.talk.chat.turns[0].state = state;
        let (buf, _) = paint(&app, 60, 4, false);
        assert_eq!((rows(&buf)[2].as_str(), rows(&buf)[3].as_str()), ("", row));
        assert_eq!(buf[(1, 3)].fg, ink(role));
    };
    check(Some("stopped by you"), TurnState::Done, " stopped by you", Role::Muted);
    check(Some("error: the engine ended"), TurnState::Done, " error: the engine ended", Role::Error);
    check(Some("! the context is full"), TurnState::Done, " ! the context is full", Role::Warn);
    check(None, TurnState::Interrupted, " ! the app ended while this was written", Role::Warn);
}

#[test]
fn what_was_found_is_marked_and_deleted_turns_are_not_shown() {
    let mut app = capitals();
    app.talk.chat.turns[0].deleted = true;
    app.transcript.find = Some(Find {
        input: LineEdit { text: "Paris".into(), cursor: 5 },
        matches: vec![(TurnId(2), 25..30), (TurnId(3), 12..17)],
        current: 1,
    });
    let (buf, _) = paint(&app, 52, 9, false);
    assert_eq!(rows(&buf)[1], " The capital of France is Paris.");
    assert_eq!(
        [buf[(25, 1)].fg, buf[(26, 1)].fg, buf[(31, 1)].fg],
        [ink(Role::Text), ink(Role::Select), ink(Role::Text)]
    );
    assert_eq!([buf[(13, 4)].fg, buf[(18, 4)].fg], [ink(Role::Cursor), ink(Role::Text)]);
}

#[test]
fn an_empty_chat_says_what_to_do() {
    let mut app = app();
    app.model.status = crate::app::ModelStatus::Loading(0.25);
    assert_eq!(
        drawn(&app, 60, 12),
        [
            "",
            "",
            "   glassbox",
            "",
            "   smollm2-135m is being loaded, 25 %. You can type",
            "   already. It runs on this machine, and every word of its",
            "   replies can be opened.",
            "",
            "   Enter\u{A0}send   Alt+Enter\u{A0}new\u{A0}line   Ctrl+L\u{A0}models",
            "   Ctrl+P\u{A0}commands   F1\u{A0}help   /tour\u{A0}how\u{A0}it\u{A0}works",
            "",
            ""
        ]
    );
}

#[test]
fn no_size_is_too_small() {
    let app = capitals();
    for width in 0..12 {
        for height in 0..4 {
            paint(&app, width, height, false);
        }
    }
}

/// A theme with fills: step n of the ramp has the background n.
fn filled(ascii: bool) -> Theme {
    let mag = std::array::from_fn(|step| Style::new().bg(ratatui::style::Color::Indexed(100 + step as u8)));
    Theme { mag, ..theme(ascii) }
}

fn bare(ascii: bool) -> Theme {
    Theme { depth: crate::config::ColorDepth::None, ..theme(ascii) }
}

fn painted(app: &App, theme: &Theme, width: u16, height: u16) -> (Buffer, TranscriptGeometry) {
    let mut buf = buffer(width, height);
    let geometry = draw(app, theme, &mut Cache::default(), buf.area, &mut buf);
    (buf, geometry)
}

/// A reply whose tokens have these surprises, bits.
fn surprised(tokens: &[(&str, f32)]) -> App {
    let mut app = app();
    let words: Vec<&str> = tokens.iter().map(|(word, _)| *word).collect();
    reply(&mut app, &words);
    if let crate::chat::Span::Generated { steps, .. } = &mut app.talk.chat.turns[0].spans[0] {
        for (step, (_, bits)) in steps.iter_mut().zip(tokens) {
            step.logprob = -bits * std::f32::consts::LN_2;
            step.rank = 1 + (*bits * 10.0) as u32;
        }
    }
    app
}

fn at(app: &mut App, turn: i64, index: usize) {
    app.focus = Focus::Transcript;
    app.transcript.selected = Some(TurnId(turn));
    app.transcript.cursor = Some(TokenCursor { turn: TurnId(turn), index });
    app.transcript.reveal = true;
}

/// Columns of a row that are drawn as the cursor.
fn under_cursor(buf: &Buffer, row: u16) -> Vec<u16> {
    (0..buf.area.width).filter(|x| buf[(*x, row)].fg == ink(Role::Cursor)).collect()
}

#[test]
fn marked_text_is_underlined_up_to_the_cursor() {
    let mut app = app();
    let turn = reply(&mut app, &["The", " cap", "ital", " is"]);
    app.focus = Focus::Transcript;
    app.transcript.selected = Some(turn);
    app.transcript.mark = Some(TokenCursor { turn, index: 2 });
    app.transcript.cursor = Some(TokenCursor { turn, index: 1 });
    let buf = painted(&app, &theme(false), 30, 6).0;
    let underlined = |x: &u16| buf[(*x, 1)].modifier.contains(Modifier::UNDERLINED);
    assert_eq!((0..30).filter(underlined).collect::<Vec<u16>>(), (4..12).collect::<Vec<u16>>());
}

#[test]
fn the_token_that_the_inspector_shows_is_underlined_where_no_cursor_is() {
    let mut app = surprised(&[("ab", 0.0), (" cd", 0.0), ("e", 0.0)]);
    let underlined = |app: &App| -> Vec<u16> {
        let buf = painted(app, &theme(false), 30, 6).0;
        (0..30).filter(|x| buf[(*x, 1)].modifier.contains(Modifier::UNDERLINED)).collect()
    };
    app.inspector.shown = true;
    let design = crate::ui::testing::design::capitals().inspector.live.unwrap();
    app.inspector.live = Some(crate::app::LiveStep { turn: TurnId(1), index: 1, ..design });
    assert_eq!(underlined(&app), [3, 4, 5]);
    app.inspector.shown = false;
    assert_eq!(underlined(&app), [0_u16; 0], "nothing is on display");
    app.inspector.shown = true;
    at(&mut app, 1, 0);
    assert_eq!(underlined(&app), [0_u16; 0], "the cursor says it");
    app.transcript.cursor = None;
    app.talk.chat.turns[0].state = TurnState::Streaming;
    assert_eq!(underlined(&app), [0_u16; 0], "a mark would jump about");
}

#[test]
fn the_cursor_is_on_the_cells_of_its_token() {
    let mut app = surprised(&[("字", 0.0), (" é", 0.0), ("ab\n", 0.0), ("\n", 0.0), ("c", 0.0)]);
    let check = |app: &mut App, index, row, columns: &[u16]| {
        at(app, 1, index);
        assert_eq!(under_cursor(&painted(app, &theme(false), 30, 6).0, row), columns, "token {index}");
    };
    check(&mut app, 0, 1, &[1, 2]);
    check(&mut app, 1, 1, &[3, 4]);
    check(&mut app, 2, 1, &[5, 6]);
    check(&mut app, 3, 2, &[1]);
    check(&mut app, 4, 3, &[1]);
    at(&mut app, 1, 3);
    assert_eq!(rows(&painted(&app, &theme(false), 30, 6).0)[2], " ↵");
}

#[test]
fn a_long_message_scrolls_to_the_token_under_the_cursor() {
    let words: Vec<String> = (0..200).map(|n| format!("{n:04} ")).collect();
    let mut app = surprised(&words.iter().map(|word| (word.as_str(), 0.0)).collect::<Vec<_>>());
    at(&mut app, 1, 100);
    let (buf, geometry) = painted(&app, &theme(false), 32, 5);
    assert!(rows(&buf).iter().any(|row| row.contains("0100")), "{:?}", rows(&buf));
    app.transcript.scroll = geometry.scroll;
    at(&mut app, 1, 101);
    assert_eq!(painted(&app, &theme(false), 32, 5).1.scroll, geometry.scroll);
}

#[test]
fn colours_follow_the_fixed_scale_and_the_text_stays_where_it_was() {
    let mut app = surprised(&[("a", 0.2), (" b", 3.4), (" c", 40.0)]);
    let plain = rows(&painted(&app, &filled(false), 40, 4).0);
    for (colouring, expected) in [
        (Colouring::Surprisal, [100, 103, 108]),
        (Colouring::Probability, [107, 101, 100]),
        (Colouring::Rank, [102, 104, 106]),
        (Colouring::Entropy, [100, 100, 100]),
    ] {
        app.transcript.colouring = colouring;
        let (buf, _) = painted(&app, &filled(false), 40, 4);
        let fills = [1, 2, 4].map(|x| buf[(x, 1)].bg);
        assert_eq!(fills, expected.map(ratatui::style::Color::Indexed), "{colouring:?}");
        assert_eq!(rows(&buf)[1..], plain[1..]);
    }
}

#[test]
fn without_colours_a_row_of_levels_stands_under_each_line() {
    let mut app = surprised(&[("a", 0.2), (" 字", 3.4), (" c", 40.0)]);
    app.transcript.colouring = Colouring::Surprisal;
    let shown = |ascii| rows(&painted(&app, &bare(ascii), 40, 4).0)[1..3].to_vec();
    assert_eq!(shown(false), [" a 字 c", "  ▃▃▃██"]);
    assert_eq!(shown(true), [" a 字 c", " 033388"]);
    at(&mut app, 1, 2);
    assert_eq!(under_cursor(&painted(&app, &bare(false), 40, 4).0, 1), [5, 6]);
}

#[test]
fn a_strip_and_the_perplexity_take_only_free_room() {
    let mut app = surprised(&[("a", 0.0), (" b", 4.0), (" c", 8.0)]);
    app.transcript.colouring = Colouring::Surprisal;
    assert_eq!(
        rows(&painted(&app, &theme(false), 80, 3).0)[0],
        " SmolLM2-135M   ▁▄█                 perplexity 16.00   3 tokens   4.00 bit each"
    );
    assert_eq!(rows(&painted(&app, &theme(false), 40, 3).0)[0], " SmolLM2-135M  3 tokens   4.00 bit each");
}

#[test]
fn special_tokens_show_their_names_and_take_the_cursor() {
    let mut app = surprised(&[("a", 0.0), ("", 1.0), ("b", 0.0)]);
    let mut vocabulary = crate::token::Vocabulary { hash: "v".into(), ..Default::default() };
    vocabulary.push(b"<|im_end|>", crate::token::TokenKind::Control);
    app.talk.vocabularies.insert("v".into(), std::sync::Arc::new(vocabulary));
    app.talk
        .runs
        .insert(RunId(1), crate::ui::testing::design::capitals().talk.runs.remove(&RunId(1)).unwrap());
    if let crate::chat::Span::Generated { steps, .. } = &mut app.talk.chat.turns[0].spans[0] {
        steps[1].id = Some(crate::token::TokenId(0));
    }
    at(&mut app, 1, 1);
    let (buf, _) = painted(&app, &theme(false), 40, 3);
    assert_eq!((rows(&buf)[1].as_str(), under_cursor(&buf, 1)), (" a•", vec![2]));
    app.transcript.special = true;
    let (buf, _) = painted(&app, &theme(false), 40, 3);
    assert_eq!((rows(&buf)[1].as_str(), under_cursor(&buf, 1)), (" a‹end›b", (2..7).collect()));
    app.transcript.find = Some(Find {
        input: LineEdit { text: "b".into(), cursor: 1 },
        matches: vec![(TurnId(1), 1..2)],
        current: 0,
    });
    app.transcript.cursor = None;
    assert_eq!(under_cursor(&painted(&app, &theme(false), 40, 3).0, 1), [7]);
}

#[test]
fn with_the_mouse_on_cells_tell_their_token() {
    let mut app = surprised(&[("ab", 0.0), (" 字", 0.0)]);
    assert_eq!(painted(&app, &theme(false), 40, 3).1.tokens, []);
    app.config.ui.mouse = true;
    let token = |index| TokenCursor { turn: TurnId(1), index };
    let area = |x, width| Area { x, y: 1, width, height: 1 };
    assert_eq!(
        painted(&app, &theme(false), 40, 3).1.tokens,
        [(token(0), area(1, 2)), (token(1), area(3, 3))]
    );
}

proptest::proptest! {
    #[test]
    fn the_cursor_shows_somewhere_for_any_token_text_and_width(
        thought in "(<think>\n?[a é\n]{0,8}(\n?</think>\n{0,2})?)?",
        text in "[a 字é\n\t🦀👍🏽\u{200B}*#`>|.1-]{0,24}",
        cuts in proptest::collection::btree_set(0_usize..90, 0..30),
        empty in 0_usize..8,
        width in 4_u16..20,
    ) {
        let text = thought + &text;
        let bytes = text.as_bytes();
        let mut app = app();
        reply(&mut app, &[]);
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
        ends.push(bytes.len());
        ends.insert(empty.min(ends.len()), ends.get(empty.wrapping_sub(1)).copied().unwrap_or(0));
        ends.sort_unstable();
        let mut start = 0;
        let steps = ends.iter().map(|end| {
            let step = crate::token::Step { bytes: bytes[start..*end].to_vec(), ..Default::default() };
            start = *end;
            step
        });
        app.talk.chat.turns[0].spans = vec![crate::chat::Span::Generated { run: RunId(1), steps: steps.collect() }];
        app.config.ui.mouse = true;
        let mut cache = Cache::default();
        for index in 0..ends.len() {
            at(&mut app, 1, index);
            let mut buf = buffer(width, 6);
            let geometry = draw(&app, &theme(false), &mut cache, buf.area, &mut buf);
            let shown: Vec<(u16, u16)> = (0..6)
                .flat_map(|row| under_cursor(&buf, row).into_iter().map(move |x| (x, row)))
                .collect();
            proptest::prop_assert!(!shown.is_empty(), "token {} of {:?} {:?}", index, text, ends);
            // A click on a cell of the token gives a token that shares the cell.
            let lines = cache.body(TurnId(1)).unwrap();
            let bytes = ends[..index].last().copied().unwrap_or(0)..ends[index];
            for stretch in lines.cells_of(bytes.clone()) {
                let glyph = lines.row(stretch.row).find(|glyph| glyph.width > 0 && glyph.column == stretch.columns.start);
                let (start, end) = glyph.expect("a cell of a token shows something").source;
                let source = start..end;
                let hit = ends.partition_point(|end| *end <= source.start);
                let from = ends[..hit].last().copied().unwrap_or(0);
                proptest::prop_assert!(from < source.end && ends[hit] > source.start);
            }
            for (token, area) in &geometry.tokens {
                proptest::prop_assert!(token.index < ends.len() && area.width > 0);
            }
        }
    }
}

const MARKDOWN: &[&str] = &["It is **Paris**:\n\n```rust\n", "let x = 1;\n", "```\n- one\n", "- *two*"];

#[test]
fn a_reply_is_drawn_as_markdown_and_what_a_user_typed_as_typed() {
    let mut app = app();
    user(&mut app, "**why**?");
    reply(&mut app, MARKDOWN);
    let (buf, _) = paint(&app, 40, 11, false);
    assert_eq!(
        rows(&buf)[1..],
        [
            " **why**?",
            "",
            " SmolLM2-135M  4 tokens   1.00 bit each",
            " It is Paris:",
            "",
            " rust",
            " let x = 1;",
            " • one",
            " • two",
            ""
        ]
    );
    let bold = |x: u16, y: u16| buf[(x, y)].modifier.contains(ratatui::style::Modifier::BOLD);
    assert!(bold(7, 4) && !bold(1, 4));
    assert_eq!([buf[(1, 7)].fg, buf[(9, 7)].fg], [ink(Role::Link), ink(Role::TokenRival)]);
    let dark = crate::theme::load("dark", None).0;
    let dark =
        crate::theme::resolve(&dark, crate::config::ColorDepth::TrueColor, crate::config::SymbolSet::Full);
    let mut buf = buffer(40, 11);
    draw(&app, &dark, &mut Cache::default(), buf.area, &mut buf);
    let filled = |x: u16, y: u16| Some(buf[(x, y)].bg) == dark.style(Role::Code).bg;
    assert!(filled(1, 6) && filled(30, 7) && !filled(30, 8) && !filled(0, 7));
    app.config.ui.markdown = crate::config::Markdown::All;
    assert_eq!(drawn(&app, 40, 11)[1], " why?");
    app.transcript.raw_turns.insert(TurnId(2));
    assert_eq!(drawn(&app, 40, 11)[4], " It is **Paris**:");
    app.transcript.raw = true;
    assert_eq!(drawn(&app, 40, 11)[1], " **why**?");
}

#[test]
fn every_look_of_markdown_can_be_read_in_every_theme() {
    let mut app = app();
    let text = "# Title\n*a* **b** ~~c~~ `d` [e](https://example.org) $x^2$\n\n> [!NOTE]\n> f\n\n> [!CAUTION]\n> g\n\n\
                - [x] h\n1. i[^1]\n\n| j | k |\n|---|---|\n| l | m |\n\n[^1]: n\n\n```rust\n/// Says.\n#[test]\npub fn so(of: &str) -> \
                Vec<u8> {\n    let n = 12; // why\n    println!(\"{n}\\n\");\n}\n```\n";
    let tokens: Vec<&str> = text.split_inclusive(' ').collect();
    let turn = reply(&mut app, &tokens);
    paint(&app, 80, 40, false);
    app.focus = Focus::Transcript;
    app.transcript.selected = Some(turn);
    app.transcript.cursor = Some(TokenCursor { turn, index: 2 });
    for colouring in [Colouring::Surprisal, Colouring::Probability, Colouring::Entropy, Colouring::Rank] {
        app.transcript.colouring = colouring;
        paint(&app, 80, 40, false);
    }
    app.transcript.colouring = Colouring::Off;
    let matches = text.match_indices('n').map(|(at, _)| (turn, at..at + 1)).collect();
    app.transcript.find = Some(Find { input: LineEdit::new("n"), matches, current: 1 });
    paint(&app, 80, 40, false);
}

#[test]
fn without_fills_code_has_a_bar_and_is_bold_in_a_line() {
    let mut app = app();
    reply(&mut app, &["a `b`\n```rust\nlet x;\n```\n- c\n  ```\n  d\n  ```"]);
    let mut buf = buffer(40, 8);
    let bare = crate::ui::testing::design::bare_theme();
    draw(&app, &bare, &mut Cache::default(), buf.area, &mut buf);
    assert_eq!(rows(&buf)[1..6], [" a b", "|rust", "|let x;", " * c", "  |d"]);
    let bold = |x: u16, y: u16| buf[(x, y)].modifier.contains(ratatui::style::Modifier::BOLD);
    assert_eq!([bold(1, 1), bold(3, 1), bold(1, 3), bold(5, 3)], [false, true, true, false]);
}

#[test]
fn the_cursor_finds_tokens_inside_markdown_and_those_that_are_not_shown() {
    let mut app = app();
    let turn = reply(&mut app, &["It is ", "**", "Pa", "ris", "**", "."]);
    app.focus = Focus::Transcript;
    app.transcript.selected = Some(turn);
    let under = |app: &mut App, index: usize| {
        app.transcript.cursor = Some(TokenCursor { turn, index });
        let (buf, _) = paint(app, 40, 3, false);
        let cells = under_cursor(&buf, 1).into_iter().map(|x| buf[(x, 1)].symbol().to_owned());
        cells.collect::<String>()
    };
    assert_eq!([under(&mut app, 2), under(&mut app, 3), under(&mut app, 5)], ["Pa", "ris", "."]);
    assert_eq!([under(&mut app, 1), under(&mut app, 4)], ["•", "•"], "a mark stands where they would");
}

#[test]
fn long_code_is_scrolled_sideways_and_follows_the_cursor() {
    let mut app = app();
    let turn = reply(&mut app, &["```\n", "0123456789", "abcdefghij", "\n```"]);
    app.config.ui.wrap_code = false;
    assert_eq!(drawn(&app, 14, 3)[1], " 0123456789ab›");
    app.transcript.sideways = 8;
    assert_eq!(drawn(&app, 14, 3)[1], "‹89abcdefghij");
    app.transcript.sideways = 0;
    app.focus = Focus::Transcript;
    app.transcript.selected = Some(turn);
    app.transcript.cursor = Some(TokenCursor { turn, index: 2 });
    assert_eq!(drawn(&app, 14, 3)[1], "‹89abcdefghij");
}

#[test]
fn every_row_of_markdown_can_be_scrolled_to_and_stays() {
    let mut app = app();
    let table = "| a | b |\n|---|---|\n| some long words here | and more of them |\n\n[x][y] [y][y]\n\n[y]: https://example.org/a/long/way\n";
    reply(&mut app, &[table, "> [!NOTE]\n> so\n\n---\n", "end\n\n$$\\frac{a}{b}$$"]);
    let total = paint(&app, 24, 4, false).1.total_rows;
    app.transcript.scroll = Scroll::Anchor { turn: TurnId(1), row: 0, moved: 0 };
    let mut tops = Vec::new();
    for _ in 4..total {
        let (buf, geometry) = paint(&app, 24, 4, false);
        app.transcript.scroll = geometry.scroll;
        assert_eq!(rows(&paint(&app, 24, 4, false).0), rows(&buf), "it stays at {:?}", geometry.scroll);
        tops.push(rows(&buf)[0].clone());
        app.transcript.scroll_rows(1);
    }
    let whole = drawn(&app, 24, total as u16);
    assert_eq!(tops, whole[..total - 4]);
}
