//! The layers station with rows like those of the default model.

use std::sync::Arc;

use crate::app::{App, InsidePass};
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{Followed, ForwardTrace, Lens, LensRow};
use crate::theme::Theme;
use crate::token::{Candidate, TokenId};
use crate::ui::inspector::tokens::tests::{step, with};
use crate::ui::testing;
use crate::ui::testing::design::{bare_theme, empty, theme};

fn lens() -> Lens {
    let row = |depth: u32| {
        let near = depth as f32 / 30.0;
        let followed = |id, rank| Followed { id: TokenId(id), logprob: -20.0 * (1.0 - near), rank };
        LensRow {
            layer: depth.checked_sub(1),
            top: vec![Candidate { id: TokenId(if depth > 28 { 1004 } else { 1001 }), logprob: -0.5 }],
            followed: vec![followed(1004, 1 + (30 - depth) * 300), followed(1000, 7)],
            final_best: 0.0,
            kl: 30.0 * (1.0 - near),
            norm: 100.0 + 10.0 * depth as f32,
            attention_norm: 1.0,
            ffn_norm: 2.0,
            attention_added: if depth == 0 { 0.0 } else { 10.0 },
            ffn_added: if depth == 0 { 0.0 } else { 20.0 },
        }
    };
    Lens { rows: (0..=30).map(row).collect(), decided: Some(28), ms: 15.0 }
}

fn app(lens: Option<Lens>) -> App {
    let names = [" capital", " of", " France", " is", " Paris"];
    let steps = names.iter().zip(1000..).map(|(text, id)| step(id, text.as_bytes(), 1.0, 1)).collect();
    let mut app = with(steps, 4);
    let trace = ForwardTrace { position: 4, layers: 30, heads: 9, lens, ..ForwardTrace::default() };
    app.inspector.inside.passes.push(InsidePass {
        at: app.transcript.cursor.unwrap(),
        own: false,
        model: "m".into(),
        seen: Arc::new(Inspected { trace, ..Inspected::default() }),
        cards: Vec::new(),
    });
    app
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn every_form_has_the_layer_of_decision_and_the_last_row() {
    for (width, height) in [(46, 24), (46, 40), (67, 24), (67, 40), (100, 40)] {
        for theme in [theme(), bare_theme()] {
            let seen = drawn(&app(Some(lens())), &theme, width, height).join("\n");
            assert!(seen.contains("decided at layer 28 of 29"), "{width}×{height}\n{seen}");
            assert!(seen.contains(" 29 "), "{width}×{height}\n{seen}");
        }
    }
}

#[test]
fn early_layers_fold_into_one_line_that_says_what_it_hides() {
    let seen = drawn(&app(Some(lens())), &theme(), 67, 24);
    let folded = seen.iter().find(|row| row.contains("folded")).unwrap();
    assert!(folded.contains("␣Paris is never better than rank"), "{folded}");
    let all = drawn(&app(Some(lens())), &theme(), 67, 44);
    assert!(!all.iter().any(|row| row.contains("folded")) && all.iter().any(|row| row.contains(" em ")));
}

#[test]
fn what_is_not_known_is_said_and_no_size_is_too_small() {
    let seen = drawn(&app(None), &theme(), 67, 24).join("\n");
    assert!(seen.contains("not read") || seen.contains("stored") || seen.contains("again"), "{seen}");
    drawn(&empty(), &theme(), 46, 20);
    for width in 1..50 {
        for height in 1..16 {
            drawn(&app(Some(lens())), &theme(), width, height);
        }
    }
}

#[test]
fn ranks_of_a_large_vocabulary_stand_apart() {
    let mut lens = lens();
    for row in &mut lens.rows {
        row.followed.iter_mut().for_each(|followed| followed.rank = 32_257);
    }
    let seen = drawn(&app(Some(lens)), &theme(), 46, 40).join("\n");
    assert!(seen.contains(" 32k  32k "), "{seen}");
    assert_eq!([super::short(9999, 4), super::short(247_000, 4)], ["9999", "247k"]);
    assert_eq!(super::short(32_257, 5), "32257");
}
