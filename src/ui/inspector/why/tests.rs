//! The why station with figures like those of the default model.

use std::sync::Arc;

use crate::app::{App, Picking, Pin, Source, Trial, Unit};
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{Attribution, AttributionPart, Component, Followed, ForwardTrace};
use crate::theme::Theme;
use crate::token::{Candidate, TokenId};
use crate::ui::testing::design::{FRANCE, bare_theme, empty, opened, theme};
use crate::ui::testing::{self, as_drawn};

fn attribution() -> Attribution {
    let part = |part, logit_difference| AttributionPart { part, logit_difference };
    Attribution {
        token: TokenId(1004),
        rival: TokenId(1000),
        parts: vec![
            part(Component::Embedding, 0.02),
            part(Component::Ffn(28), 4.17),
            part(Component::Attention(23), 3.65),
            part(Component::Ffn(21), -2.26),
            part(Component::Ffn(0), -3.1),
        ],
        heads: vec![
            part(Component::Head(23, 4), 3.15),
            part(Component::Head(23, 3), -0.7),
            part(Component::Head(0, 0), 0.1),
        ],
        neurons: Vec::new(),
        difference: 2.48,
        closure_error: 0.004,
    }
}

fn card() -> Inspected {
    let list = |shares: [f32; 3]| -> Vec<Candidate> {
        let ids = [1004, 1000, 1001].map(TokenId);
        ids.into_iter().zip(shares).map(|(id, share)| Candidate { id, logprob: share.ln() }).collect()
    };
    let followed = |share: f32| vec![Followed { id: TokenId(1004), logprob: share.ln(), rank: 1 }];
    let trace = ForwardTrace {
        next: list([0.1466, 0.1251, 0.1061]),
        entropy: 4.2,
        followed: followed(0.1466),
        kl_from_original: Some(1.17),
        original: Some((list([0.7725, 0.0645, 0.0125]), followed(0.7725))),
        ..ForwardTrace::default()
    };
    Inspected { trace, ..Inspected::default() }
}

fn app(attribution: Option<Attribution>, off: &[Component]) -> App {
    let trace = ForwardTrace { position: 4, layers: 30, heads: 9, attribution, ..ForwardTrace::default() };
    let mut app = opened(FRANCE, 4, Inspected { trace, ..Inspected::default() });
    app.inspector.station = crate::app::Station::Why;
    let tried = Trial { off: off.iter().copied().collect(), ..Trial::default() };
    app.inspector.why.tried = tried.clone();
    app.inspector.inside.passes[0].cards.push((tried, Arc::new(card())));
    app
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn pushes_are_as_drawn_in_every_form() {
    let app = app(Some(attribution()), &[]);
    as_drawn!("narrow", drawn(&app, &theme(), 46, 30));
    as_drawn!("full", drawn(&app, &theme(), 67, 30));
    as_drawn!("full_ascii", drawn(&app, &bare_theme(), 67, 30));
}

#[test]
fn a_part_that_is_off_has_its_figure_and_its_card() {
    as_drawn!("off", drawn(&app(Some(attribution()), &[Component::Attention(23)]), &theme(), 67, 36));
}

#[test]
fn heads_stand_alone_when_asked_and_inside_their_block() {
    let mut app = app(Some(attribution()), &[]);
    app.inspector.inside.row = 1;
    as_drawn!("heads_inside", drawn(&app, &theme(), 67, 24));
    app.inspector.why.unit = Unit::Heads;
    as_drawn!("heads", drawn(&app, &theme(), 67, 24));
}

#[test]
fn what_is_not_known_is_said_and_no_size_is_too_small() {
    as_drawn!("not_read", drawn(&app(None, &[]), &theme(), 67, 8));
    testing::at_every_size(super::draw, vec![empty(), app(Some(attribution()), &[Component::Attention(23)])]);
}

#[test]
fn a_closure_error_beyond_rounding_is_a_warning() {
    let mut open = attribution();
    open.closure_error = 0.9;
    as_drawn!("not_closed", drawn(&app(Some(open), &[]), &theme(), 67, 12));
}

#[test]
fn a_source_that_is_being_picked_stands_in_brackets() {
    let mut app = app(Some(attribution()), &[]);
    let text = [1000, 1002, 1003].map(TokenId).to_vec();
    let source = Source { position: 1, text };
    app.inspector.why.picking = Some(Picking { part: Component::Head(23, 4), source });
    as_drawn!("picking_narrow", drawn(&app, &theme(), 46, 24));
    as_drawn!("picking", drawn(&app, &theme(), 67, 24));
}

#[test]
fn pins_stack_with_the_odds_before_and_after() {
    let mut app = app(Some(attribution()), &[Component::Attention(23)]);
    for part in [Component::Head(23, 4), Component::Ffn(21)] {
        let tried = Trial { off: [part].into(), ..Trial::default() };
        app.inspector.why.pins.push(Pin { tried, seen: Arc::new(card()) });
    }
    as_drawn!("pins", drawn(&app, &theme(), 67, 38));
}

#[test]
fn the_subject_and_what_closes_it_never_meet() {
    let mut compared = 0;
    for width in 40..=114 {
        let seen = drawn(&app(Some(attribution()), &[]), &theme(), width, 30);
        let row = seen.iter().find(|row| row.contains(" over ")).expect("the subject");
        if let Some((subject, _)) = row.split_once("missing") {
            assert!(subject.trim_end_matches('!').trim_end_matches("! ").ends_with("  "), "{width}: {row}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared} of 75 widths have room for what closes it");
    as_drawn!("few_columns", drawn(&app(Some(attribution()), &[]), &theme(), 57, 30));
}

#[test]
fn the_scale_holds_every_running_sum() {
    let scale = |rows: &[String]| rows.iter().find(|row| row.contains(" push ")).unwrap().clone();
    let with = |push: f32| {
        let mut attribution = attribution();
        attribution.parts[1].logit_difference = push;
        attribution
    };
    for width in [46, 67] {
        for (push, ends) in [(41.7, ["0", "64"]), (-5.0, ["−8", "8"]), (-12.0, ["−16", "16"])] {
            let seen = drawn(&app(Some(with(push)), &[]), &theme(), width, 30);
            let heads = scale(&seen);
            let shown: Vec<&str> = heads.split_whitespace().collect();
            assert!(ends.iter().all(|end| shown.contains(end)), "{push}: {heads}");
            assert!(!seen.iter().any(|row| row.contains(['▸', '◂'])), "{push}: {seen:#?}");
        }
    }
    let beyond = drawn(&app(Some(with(900.0)), &[]), &theme(), 67, 30);
    assert!(beyond.iter().any(|row| row.contains("+900.00") && row.contains('▸')), "{beyond:#?}");
}
