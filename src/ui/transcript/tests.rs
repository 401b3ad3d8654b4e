//! Transcripts as drawn: rows as text, key cells as roles.

use super::*;
use crate::app::{ActiveRun, Find, LineEdit, Phase, Queued};
use crate::chat::RunId;
use crate::engine::protocol::RequestId;
use crate::ui::testing::{app, buffer, ink, reply, rows, streaming, theme, user};

fn paint(app: &App, width: u16, height: u16, ascii: bool) -> (Buffer, TranscriptGeometry) {
    let mut buf = buffer(width, height);
    let geometry = draw(app, &theme(ascii), &mut Cache::default(), buf.area, &mut buf);
    (buf, geometry)
}

fn drawn(app: &App, width: u16, height: u16) -> Vec<String> {
    rows(&paint(app, width, height, false).0)
}

fn running(app: &mut App, turn: TurnId, phase: Phase) {
    app.run = Some(ActiveRun {
        chat: app.chat.head.id,
        turn,
        run: RunId(1),
        request: RequestId(1),
        phase,
        prompt: None,
        written: 0,
        started_at: 0,
        first_token_at: None,
        speed: 0.0,
        stopping: false,
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
    running(&mut app, turn, Phase::Writing);
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
    app.chat.leaf = app.chat.turn(first).unwrap().parent;
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
    assert_eq!((rows(&buf)[0].as_str(), geometry.rows_below), (" The capital of France is Paris.", 6));
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
    app.chat.turns[1].note = Some("stopped by you".into());
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
        matches: vec![(TurnId(1), 1000)],
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
    running(&mut app, turn, Phase::Writing);
    assert_eq!(drawn(&app, 40, 6)[4], " █");
    app.queued = Some(Queued { chat: app.chat.head.id, reply_to: None, text: Some("and\nthen?".into()) });
    assert_eq!(drawn(&app, 60, 8)[6..], [" You", " and   (sent when this reply is done)"]);
}

#[test]
fn notes_say_how_bad_it_was() {
    let check = |note: Option<&str>, state, row: &str, role| {
        let mut app = app();
        reply(&mut app, &["text"]);
        app.chat.turns[0].note = note.map(str::to_owned);
        app.chat.turns[0].state = state;
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
    app.chat.turns[0].deleted = true;
    app.transcript.find = Some(Find {
        input: LineEdit { text: "Paris".into(), cursor: 5 },
        matches: vec![(TurnId(2), 25), (TurnId(3), 12)],
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
            "   Ctrl+P\u{A0}commands   F1\u{A0}help",
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
