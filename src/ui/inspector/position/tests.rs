//! The position station with the design's figures of the default model's first pairs.

use crate::app::{App, Station};
use crate::engine::protocol::Inspected;
use crate::inspect::position::{LearnedPosition, Yarn};
use crate::inspect::trace::{ForwardTrace, PositionKind, Rotation};
use crate::theme::Theme;
use crate::ui::testing::design::{FRANCE, bare_theme, empty, opened, theme};
use crate::ui::testing::{self, as_drawn};

fn rotation() -> Rotation {
    let frequencies: Vec<f32> = (0..32).map(|pair| 100_000_f32.powf(-2.0 * pair as f32 / 64.0)).collect();
    let mut pairs = vec![0.05; 32];
    (pairs[0], pairs[22], pairs[25]) = (3.5, -1.25, 1.0);
    let mut unrotated = pairs.clone();
    unrotated[0] = 0.5;
    Rotation {
        kind: PositionKind::RopeNeox,
        base: 100_000.0,
        scale: 1.0,
        frequencies,
        head: (16, 0),
        other: 3,
        pairs,
        unrotated,
        by_distance: vec![-2.2, 2.8, 0.4, -7.2, -13.8, -14.3, -9.4, -7.0, -30.0],
        ..Rotation::default()
    }
}

fn app(rotation: Option<Rotation>) -> App {
    let trace = ForwardTrace { position: 4, layers: 30, heads: 9, rotation, ..ForwardTrace::default() };
    let mut app = opened(FRANCE, 3, Inspected { trace, ms: 2.0, ..Inspected::default() });
    app.inspector.inside.passes[0].own = true;
    app.inspector.station = Station::Position;
    app
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn hands_turn_as_drawn() {
    let frequencies = rotation().frequencies;
    let hands = |distance: u32| -> String {
        let drawn = frequencies
            .iter()
            .take(6)
            .map(|f| super::hands::hand(super::hands::eighth(*f, distance), &theme()));
        drawn.collect()
    };
    assert_eq!(hands(0), "→→→→→→");
    assert_eq!(hands(1), "↗↗↗→→→");
    assert_eq!(hands(2), "↖↑↗↗↗→");
    assert_eq!(hands(3), "←↖↑↗↗↗");
    assert_eq!(super::hands::turn(frequencies[0]), "6");
    assert_eq!(super::hands::turn(frequencies[12]), "471");
    assert_eq!(super::hands::turn(frequencies[24]), "35k");
}

#[test]
fn scores_hands_and_pairs_are_as_drawn_in_every_form() {
    let app = app(Some(rotation()));
    as_drawn!("narrow", drawn(&app, &theme(), 46, 40));
    as_drawn!("full", drawn(&app, &theme(), 67, 40));
    as_drawn!("low", drawn(&app, &theme(), 80, 24));
    as_drawn!("wide", drawn(&app, &theme(), 120, 36));
    as_drawn!("wide_ascii", drawn(&app, &bare_theme(), 120, 36));
}

#[test]
fn scaling_is_told_with_its_factor_and_yarn_with_its_parameters() {
    let scaled = Rotation { scale: 0.25, ..rotation() };
    as_drawn!("scaled", drawn(&app(Some(scaled.clone())), &theme(), 120, 12));
    let yarn = Yarn { mix: 1.0, stretch: 1.0, fast: 32.0, slow: 1.0, trained: 2048 };
    as_drawn!("yarn", drawn(&app(Some(Rotation { yarn: Some(yarn), ..scaled })), &theme(), 120, 40));
}

#[test]
fn other_kinds_of_position_have_their_own_form() {
    let of = |kind| Rotation { kind, head: (3, 2), other: 1, ..Rotation::default() };
    let form = |rotation| drawn(&app(Some(rotation)), &theme(), 67, 20);
    as_drawn!("learned", form(of(PositionKind::Learned)));
    let learned = LearnedPosition {
        norm: 3.25,
        count: 1024,
        nearest: vec![(5, 0.91), (3, 0.9)],
        cosines: vec![0.1, 0.4, 1.0],
    };
    as_drawn!("learned_vectors", form(Rotation { learned: Some(learned), ..of(PositionKind::Learned) }));
    as_drawn!("alibi", form(Rotation { by_distance: vec![1.0, 0.5, 0.0, -0.5], ..of(PositionKind::Alibi) }));
    as_drawn!(
        "alibi_slopes",
        form(Rotation { slopes: vec![0.5, 0.25], other: 2, ..of(PositionKind::Alibi) })
    );
    as_drawn!("none", form(of(PositionKind::None)));
}

#[test]
fn another_distance_tells_its_score_and_degrees_stand_for_hands() {
    let mut app = app(Some(rotation()));
    app.inspector.position.apart = Some(4);
    as_drawn!("another_distance", drawn(&app, &theme(), 120, 24));
    app.inspector.position.degrees = true;
    as_drawn!("degrees", drawn(&app, &theme(), 120, 24));
}

#[test]
fn what_is_not_known_is_said() {
    as_drawn!("not_read", drawn(&app(None), &theme(), 67, 8));
    as_drawn!("nothing_on_display", drawn(&empty(), &theme(), 46, 8));
}

#[test]
fn no_size_is_too_small_and_odd_numbers_are_no_harm() {
    let mut odd = rotation();
    odd.frequencies = vec![f32::NAN, 0.0, f32::INFINITY, -1.0];
    odd.by_distance = vec![f32::NAN; 900];
    odd.pairs[1] = f32::NAN;
    (odd.base, odd.other) = (f32::NAN, 99);
    testing::at_every_size(super::draw, vec![app(Some(odd)), app(Some(rotation()))]);
}
