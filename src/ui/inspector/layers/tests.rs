//! The layers station with rows like those of the default model.

use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{Followed, ForwardTrace, Lens, LensRow};
use crate::theme::Theme;
use crate::token::{Candidate, TokenId};
use crate::ui::testing::design::{FRANCE, bare_theme, empty, opened, theme};
use crate::ui::testing::{self, as_drawn};

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
    let trace = ForwardTrace { position: 4, layers: 30, heads: 9, lens, ..ForwardTrace::default() };
    opened(FRANCE, 4, Inspected { trace, ..Inspected::default() })
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn the_lens_is_as_drawn_in_every_form() {
    let app = app(Some(lens()));
    as_drawn!("narrow", drawn(&app, &theme(), 46, 40));
    as_drawn!("folded", drawn(&app, &theme(), 67, 24));
    as_drawn!("whole", drawn(&app, &theme(), 67, 44));
    as_drawn!("folded_ascii", drawn(&app, &bare_theme(), 46, 24));
}

#[test]
fn a_pass_that_was_read_again_otherwise_says_so() {
    // Each token was drawn at one bit: 50 %.
    let said = |logprob: f32, width: u16| {
        let followed = vec![Followed { id: TokenId(1004), logprob, rank: 1 }];
        let trace =
            ForwardTrace { layers: 30, heads: 9, lens: Some(lens()), followed, ..ForwardTrace::default() };
        let app = opened(FRANCE, 4, Inspected { trace, ..Inspected::default() });
        drawn(&app, &theme(), width, 40).join("\n")
    };
    for width in [46, 120] {
        assert!(said(0.45_f32.ln(), width).contains("read again 45.00 %, drawn at 50.00 %"), "{width}");
        assert!(!said(0.5_f32.ln() + 0.001, width).contains("drawn at"), "{width}");
    }
}

#[test]
fn ranks_of_a_large_vocabulary_stand_apart() {
    let mut lens = lens();
    for row in &mut lens.rows {
        row.followed.iter_mut().for_each(|followed| followed.rank = 32_257);
    }
    as_drawn!("large_ranks", drawn(&app(Some(lens)), &theme(), 46, 24));
    assert_eq!([super::short(9999, 4), super::short(247_000, 4)], ["9999", "247k"]);
    assert_eq!(super::short(32_257, 5), "32257");
}

#[test]
fn layers_left_out_that_had_it_on_top_say_so() {
    let mut lens = lens();
    lens.rows[3].followed[0].rank = 1;
    for (width, expected) in
        [(67, "em–13 left out: ␣Paris was on top in one of them"), (46, "em–13 left out: ␣Paris was on top")]
    {
        let rows = drawn(&app(Some(lens.clone())), &theme(), width, 24);
        assert!(rows.iter().any(|row| row.trim_start().starts_with(expected)), "{rows:#?}");
    }
}

#[test]
fn what_is_not_known_is_said_and_no_size_is_too_small() {
    as_drawn!("not_read", drawn(&app(None), &theme(), 67, 8));
    testing::at_every_size(super::draw, vec![empty(), app(Some(lens()))]);
}
