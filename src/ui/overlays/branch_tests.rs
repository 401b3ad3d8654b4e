//! The tree, the comparison, the alternatives and the look ahead against the design's drawing.
//!
//! Invariant: figures of the tree are the default model's own, as drawn.

use std::sync::Arc;

use crate::app::{Ahead, Alternatives, App, LineEdit, Query, StepMode, TokenCursor, Tree};
use crate::chat::{Role as Speaker, RunId, Span, Turn, TurnId, TurnState};
use crate::engine::protocol::{BeamPaths, Path};
use crate::theme::Role;
use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};
use crate::ui::testing::design::{bare_theme, capitals, theme};
use crate::ui::testing::{as_drawn, ink, rows, screen};

/// The first branch of the drawing and its second: each token with its surprise in bits.
const PARIS: [(&str, f32); 19] = [
    (" Paris", 0.37),
    (".", 0.55),
    ("\n", 1.46),
    ("\n", 1.27),
    ("The", 2.79),
    (" answer", 4.63),
    (" is", 0.51),
    (":", 0.67),
    (" ", 1.0),
    ("2", 1.78),
    ("0", 2.54),
    ("1", 2.29),
    ("8", 2.07),
    ("-", 0.86),
    ("0", 0.46),
    ("1", 2.7),
    ("-", 0.0),
    ("2", 1.42),
    ("2", 2.53),
];
const THE: [(&str, f32); 19] = [
    (" the", 3.95),
    (" capital", 0.42),
    (" of", 0.10),
    (" the", 1.38),
    (" French", 2.99),
    (" Republic", 1.37),
    (".", 0.52),
    ("\n", 1.83),
    ("\n", 0.92),
    ("The", 2.75),
    (" French", 3.77),
    (" language", 3.18),
    (" is", 0.91),
    (" a", 2.32),
    (" language", 3.11),
    (" spoken", 1.44),
    (" primarily", 1.60),
    (" in", 1.04),
    (" France", 0.45),
];
const CANDIDATES: [(&str, f32); 11] = [
    (" Paris", 77.25),
    (" the", 6.45),
    (" London", 1.25),
    (" Le", 0.99),
    (" New", 0.93),
    (" La", 0.89),
    (" ", 0.73),
    (" not", 0.72),
    (" Mon", 0.64),
    (" capital", 0.41),
    (" a", 0.40),
];

fn vocabulary() -> Vocabulary {
    let mut all = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    let texts = CANDIDATES.iter().chain(&PARIS).chain(&THE).map(|(text, _)| *text);
    let mut seen: Vec<&str> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
            all.push(text.as_bytes(), TokenKind::Normal);
        }
    }
    while all.len() < 49_152 {
        all.push(b"x", TokenKind::Normal);
    }
    all
}

fn id(all: &Vocabulary, text: &str) -> TokenId {
    (0..49_152).map(TokenId).find(|id| all.bytes(*id) == Some(text.as_bytes())).unwrap()
}

fn steps(all: &Vocabulary, tokens: &[(&str, f32)]) -> Vec<Step> {
    let first: Vec<Candidate> = CANDIDATES
        .iter()
        .map(|(text, percent)| Candidate { id: id(all, text), logprob: (percent / 100.0).ln() })
        .collect();
    let mut candidates = first;
    tokens
        .iter()
        .map(|(text, bits)| Step {
            id: Some(id(all, text)),
            bytes: text.as_bytes().to_vec(),
            logprob: -bits * std::f32::consts::LN_2,
            rank: 1,
            entropy: 2.14 * std::f32::consts::LN_2,
            candidates: std::mem::take(&mut candidates),
            ..Step::default()
        })
        .collect()
}

/// "The capital of France is", answered five times.
fn branched() -> App {
    let mut app = capitals();
    (app.talk.run, app.out.notice, app.inspector.live) = (None, None, None);
    let all = vocabulary();
    let prompt: Vec<TokenId> = (100..105).map(TokenId).collect();
    let made = app.talk.runs[&RunId(1)].clone();
    app.talk.chat.turns[0].spans = vec![Span::Written { text: "The capital of France is".into() }];
    let reply = app.talk.chat.turns.remove(1);
    let others: [&[(&str, f32)]; 5] = [
        &PARIS,
        &THE,
        &[(" London", 6.32), (".", 0.2), ("\n", 0.1), ("\n", 0.1)],
        &[(" Le", 6.66), (".", 1.9)],
        &[(" New", 6.75), (" ", 0.02), (".", 0.02), ("\n", 1.93)],
    ];
    for (number, tokens) in (1..).zip(others) {
        let run = crate::chat::Run { id: RunId(number), prompt_ids: prompt.clone(), ..made.clone() };
        app.talk.runs.insert(run.id, run);
        let mut steps = steps(&all, tokens);
        let odds = steps[0].candidates.iter().find(|candidate| Some(candidate.id) == steps[0].id);
        steps[0].logprob = odds.unwrap().logprob;
        let mut spans = vec![Span::Generated { run: RunId(number), steps }];
        if number > 1 {
            spans.insert(0, Span::Kept { turn: TurnId(2), steps: 0 });
        }
        let id = TurnId(1 + number);
        let state = TurnState::Done;
        app.talk.chat.turns.push(Turn { id, role: Speaker::Assistant, spans, state, ..reply.clone() });
    }
    app.model.used = 24;
    app.talk.vocabularies.insert("v".into(), Arc::new(all));
    app
}

fn with_tree(compare: bool) -> App {
    let mut app = branched();
    let tree = Tree {
        at: TokenCursor { turn: TurnId(2), index: 0 },
        selected: 1,
        compare: compare.then_some(TurnId(3)),
        comparing: compare,
        scroll: 0,
        renormalised: false,
    };
    app.overlays.push(tree);
    app
}

#[test]
fn tree_and_comparison_stand_side_by_side_as_drawn() {
    as_drawn!("tree_beside_comparison", rows(&screen(&with_tree(true), &theme(), 120, 40)));
}

#[test]
fn at_80_columns_the_tree_stands_alone() {
    as_drawn!("tree_alone", rows(&screen(&with_tree(false), &theme(), 80, 24)));
}

#[test]
fn at_80_columns_the_comparison_takes_the_trees_place() {
    as_drawn!("comparison_alone", rows(&screen(&with_tree(true), &theme(), 80, 24)));
}

#[test]
fn in_ascii_the_tree_is_all_ascii() {
    for compare in [false, true] {
        for (width, height) in [(120, 40), (80, 24), (60, 16)] {
            let drawn = rows(&screen(&with_tree(compare), &bare_theme(), width, height)).join("\n");
            assert!(drawn.is_ascii(), "{drawn}");
        }
    }
}

#[test]
fn the_paths_have_their_roles() {
    let buf = screen(&with_tree(true), &theme(), 120, 40);
    assert_eq!(
        (buf[(7, 6)].fg, buf[(8, 7)].fg, buf[(7, 8)].fg),
        (ink(Role::TokenChosen), ink(Role::TokenRival), ink(Role::Text))
    );
    assert_eq!((buf[(63, 5)].fg, buf[(92, 5)].fg), (ink(Role::TokenChosen), ink(Role::TokenRival)));
    assert_eq!((buf[(63, 11)].fg, buf[(89, 11)].symbol()), (ink(Role::Muted), "="));
}

fn alternatives() -> App {
    let mut app = branched();
    let at = TokenCursor { turn: TurnId(2), index: 0 };
    let step = app.view().step_at(at).unwrap().clone();
    let mut rows: Vec<TokenId> = step.candidates.iter().map(|candidate| candidate.id).collect();
    rows.push(TokenId(40_000));
    app.talk.chat.settings.sampling.logit_bias =
        Some(vec![crate::sampling::LogitBias { text: None, id: Some(rows[2].0), bias: f32::NEG_INFINITY }]);
    let open = Alternatives {
        at,
        step,
        vocabulary: Some("v".into()),
        versions: app.view().versions_at(at),
        whole: None,
        asking: Query::default(),
        wanted: None,
        filter: LineEdit::default(),
        typing: false,
        rows,
        selected: 1,
    };
    app.overlays.push(open);
    app
}

#[test]
fn alternatives_say_what_is_here_taken_banned_and_unknown() {
    as_drawn!("alternatives", rows(&screen(&alternatives(), &theme(), 80, 24)));
}

fn ahead() -> App {
    let mut app = branched();
    let all = app.talk.vocabularies["v"].clone();
    let path = |tokens: &[(&str, f32)]| Path {
        tokens: tokens
            .iter()
            .map(|(text, percent)| Candidate { id: id(&all, text), logprob: (percent / 100.0).ln() })
            .collect(),
    };
    let paths = vec![
        path(&[(" Paris", 77.25), (".", 68.0), ("\n", 36.0)]),
        path(
            &[(" Paris", 77.25), (".", 68.0), (" The", 20.0)]
                .map(|(text, p)| (if text == " The" { "The" } else { text }, p)),
        ),
        path(&[(" the", 6.45), (" capital", 75.0), (" of", 93.0)]),
    ];
    let open = Ahead {
        at: TokenCursor { turn: TurnId(2), index: 0 },
        vocabulary: Some("v".into()),
        ids: Arc::new(Vec::new()),
        asking: Query::default(),
        looked: true,
        found: BeamPaths { paths, decoded: 12, ms: 310.0 },
        selected: 1,
        taking: None,
    };
    app.overlays.push(open);
    app
}

#[test]
fn a_look_ahead_draws_what_paths_share_once() {
    as_drawn!("look_ahead", rows(&screen(&ahead(), &theme(), 80, 24)));
}

#[test]
fn a_reply_that_waits_says_so_and_names_its_keys() {
    let mut app = capitals();
    app.talk.steps = StepMode { on: true, paused: true, ..StepMode::default() };
    app.focus = crate::app::Focus::Transcript;
    let rows = rows(&screen(&app, &theme(), 120, 40));
    assert!(rows[0].contains("◐ paused"), "{}", rows[0]);
    assert_eq!(rows[39], " Space next token   1…9 another   b ban, draw again   g let it run");
}
