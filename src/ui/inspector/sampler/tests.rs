//! The sampler station against the design's drawing of "The capital of France is".

use std::sync::Arc;

use ratatui::layout::Rect;

use super::table::tests::paris;
use crate::app::{App, Focus, Msg, Now, Record, Sandbox, Station, TokenCursor};
use crate::chat::{RunId, Span, TurnId};
use crate::inspect::stages::{SamplerTrace, StageName, StageTrace};
use crate::sampling::{SamplingOverrides, Stage};
use crate::theme::{Role, Theme};
use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};
use crate::ui::testing::design::{bare_theme, capitals, theme};
use crate::ui::testing::{as_drawn, ink, part, screen};

const NAMES: [&str; 12] =
    [" Paris", " the", " London", " Le", " New", " La", " ", " not", " Mon", " capital", " a", " L"];

/// The cursor stands on ␣Paris, whose stages were recorded.
fn paris_app() -> App {
    let mut app = capitals();
    let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    for name in NAMES {
        vocabulary.push(name.as_bytes(), TokenKind::Normal);
    }
    while vocabulary.len() < 49_152 {
        vocabulary.push(b"x", TokenKind::Normal);
    }
    app.talk.vocabularies.insert("v".into(), Arc::new(vocabulary));
    let trace = paris();
    let candidates = trace.tokens.iter().zip(&trace.model);
    let candidates = candidates.map(|(id, p)| Candidate { id: *id, logprob: p.ln() }).collect();
    let step = Step {
        id: Some(TokenId(0)),
        bytes: b" Paris".to_vec(),
        logprob: 0.7725_f32.ln(),
        rank: 1,
        entropy: trace.entropy,
        candidates,
        ms: 6.0,
        survivors: 2,
    };
    app.talk.run = None;
    app.talk.chat.turns[1].spans = vec![
        Span::Written { text: "The capital of France is".into() },
        Span::Generated { run: RunId(1), steps: vec![step] },
    ];
    app.talk.chat.turns[1].parent = None;
    app.transcript.selected = Some(TurnId(2));
    app.transcript.cursor = Some(TokenCursor { turn: TurnId(2), index: 0 });
    app.inspector.station = Station::Sampler;
    app.inspector.watch.clear();
    record(&mut app, trace);
    // Another plan has no price yet: this one was measured since.
    app.inspector.price_ms = Some(0.02);
    app
}

fn record(app: &mut App, trace: SamplerTrace) {
    let at = TokenCursor { turn: TurnId(2), index: 0 };
    let record = Record { trace: Some(Arc::new(trace)), watched: Vec::new() };
    app.inspector.looks.keep_record(at, record);
    app.update(Now::default(), Msg::Tick);
}

/// The station over the whole inspector of a screen of 120 columns, but for the row of stages that are off.
fn wide(app: &App, theme: &Theme) -> Vec<String> {
    part(&screen(app, theme, 120, 40), Rect::new(53, 3, 67, 34))
}

/// The same, with the arrows in it.
fn focused(mut app: App) -> Vec<String> {
    app.focus = Focus::Inspector;
    wide(&app, &theme())
}

#[test]
fn the_station_is_as_drawn_in_every_form() {
    as_drawn!("full", focused(paris_app()));
    as_drawn!("narrow", part(&screen(&paris_app(), &theme(), 120, 40), Rect::new(74, 3, 46, 34)));
    as_drawn!("rail", part(&screen(&paris_app(), &theme(), 80, 24), Rect::new(0, 17, 80, 3)));
    let mut app = paris_app();
    app.focus = Focus::Inspector;
    as_drawn!("full_80x24", part(&screen(&app, &theme(), 80, 24), Rect::new(0, 4, 80, 19)));
    as_drawn!("full_ascii", wide(&app, &bare_theme()));
    let on = [Stage::TopK, Stage::TopP, Stage::MinP, Stage::Temperature];
    let off = Stage::DEFAULT_ORDER.iter().filter(|stage| !on.contains(stage));
    let off: Vec<&str> = off.map(|stage| stage.about().wide).collect();
    let last = part(&screen(&app, &theme(), 120, 40), Rect::new(53, 37, 67, 1));
    assert!(last[0].starts_with(&format!(" off: {} ", off.join(" "))), "{last:?}");
}

#[test]
fn cut_rows_are_struck_in_the_first_column_and_marked_by_the_stage() {
    let mut app = paris_app();
    app.focus = Focus::Inspector;
    let buf = screen(&app, &theme(), 120, 40);
    let check = |x: u16, y: u16, role: Role| assert_eq!(buf[(53 + x, 2 + y)].fg, ink(role), "{x} {y}");
    check(3, 7, Role::TokenChosen);
    check(16, 7, Role::TokenChosen);
    check(3, 9, Role::TokenCut);
    check(17, 9, Role::Text);
    check(43, 9, Role::TokenCut);
    check(16, 5, Role::Muted);
    check(5, 22, Role::Text);
}

#[test]
fn a_greedy_choice_has_no_draw() {
    let mut app = paris_app();
    let mut trace = paris();
    let top: Vec<Option<f32>> = std::iter::once(Some(1.0)).chain(std::iter::repeat(None)).take(12).collect();
    trace.stages = vec![StageTrace {
        name: StageName::Greedy,
        left: 1,
        probabilities: top,
        removed: 0.2275,
        kept: 0.7725,
        entropy: 0.0,
    }];
    (trace.u, trace.interval) = (None, None);
    record(&mut app, trace);
    as_drawn!("greedy", focused(app));
}

#[test]
fn without_the_model_the_station_says_what_is_missing_and_how_to_get_it() {
    let mut app = paris_app();
    app.inspector.looks = crate::app::Looks::default();
    app.talk.runs.get_mut(&RunId(1)).unwrap().model_hash = Some("another".into());
    app.model.hash = Some("this".into());
    as_drawn!("without_the_model", focused(app));
}

/// With settings that are tried.
fn tried(mut app: App, changed: SamplingOverrides) -> App {
    app.inspector.sandbox = Some(Sandbox { open: true, changed, ..Sandbox::default() });
    app.update(Now::default(), Msg::Tick);
    app
}

#[test]
fn tried_settings_change_the_columns_and_closed_they_say_what_came_out() {
    let hot = SamplingOverrides { temperature: Some(1.2), top_k: Some(12), ..SamplingOverrides::default() };
    let mut app = tried(paris_app(), hot);
    app.focus = Focus::Inspector;
    as_drawn!("tried", wide(&app, &theme()));
    app.inspector.sandbox.as_mut().unwrap().open = false;
    as_drawn!("tried_closed", wide(&app, &theme()));
}

#[test]
fn where_the_kept_tokens_settle_only_the_last_column_that_is_said() {
    let mut app = paris_app();
    app.talk.chat.turns[1].spans[1..].iter_mut().for_each(|span| {
        if let Span::Generated { steps, .. } = span {
            steps[0].survivors = 0;
        }
    });
    let cool = SamplingOverrides { min_p: Some(0.06), ..SamplingOverrides::default() };
    as_drawn!("last_column_alone", focused(tried(app, cool)));
}

#[test]
fn a_draw_that_would_fall_elsewhere_now_is_said_in_the_place_of_the_line() {
    let mut app = paris_app();
    record(&mut app, SamplerTrace { drawn: TokenId(1), ..paris() }.of_draw(TokenId(0)));
    as_drawn!("another_draw", focused(app));
}
