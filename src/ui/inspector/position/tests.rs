//! The position station with the design's figures of the default model's first pairs.

use std::sync::Arc;

use crate::app::{App, InsidePass, Station};
use crate::engine::protocol::Inspected;
use crate::inspect::position::{LearnedPosition, Yarn};
use crate::inspect::trace::{ForwardTrace, PositionKind, Rotation};
use crate::theme::Theme;
use crate::ui::inspector::tokens::tests::{step, with};
use crate::ui::testing::design::{bare_theme, empty, theme};
use crate::ui::testing::{self, holds};

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
    let names = [" capital", " of", " France", " is", " Paris"];
    let steps = names.iter().zip(1000..).map(|(text, id)| step(id, text.as_bytes(), 1.0, 1)).collect();
    let mut app = with(steps, 3);
    let trace = ForwardTrace { position: 4, layers: 30, heads: 9, rotation, ..ForwardTrace::default() };
    let pass = InsidePass {
        at: app.transcript.cursor.unwrap(),
        own: true,
        model: "m".into(),
        seen: Arc::new(Inspected { trace, ms: 2.0, ..Inspected::default() }),
        cards: Vec::new(),
    };
    app.inspector.station = Station::Position;
    app.inspector.inside.passes.push(pass);
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
fn every_form_holds_scores_hands_and_pairs() {
    for (width, height) in [(46, 40), (67, 40), (80, 24), (120, 40)] {
        for theme in [theme(), bare_theme()] {
            let seen = drawn(&app(Some(rotation())), &theme, width, height);
            holds(&seen, "L16 head 0");
            for what in ["−13.8", "−30.0", "2.8", "3.50", "−1.25", "57 deg", "1 apart", "best distance 1"]
            {
                holds(&seen, what);
            }
            // Σ pairs, and Σ with all hands at rest.
            holds(&seen, "4.70");
            holds(&seen, "1.70");
            assert!(height < 30 || seen.iter().any(|row| row.contains("base 100 000")), "{seen:#?}");
            assert!(!theme.symbols.ascii || !seen.iter().any(|row| row.contains(['↗', '▒', '┊', '█'])));
        }
    }
}

#[test]
fn the_real_distance_is_marked_and_both_tokens_are_named() {
    let seen = drawn(&app(Some(rotation())), &theme(), 120, 36);
    assert!(seen[0].starts_with(" #4 ␣is itself, reading #3 ␣France: 1 apart"), "{}", seen[0]);
    let marked: Vec<&String> = seen.iter().filter(|row| row.starts_with('›') && row.contains('◂')).collect();
    assert_eq!(marked.len(), 1, "{seen:#?}");
    assert!(marked[0].starts_with("›    1"), "{}", marked[0]);
}

#[test]
fn scaling_is_told_with_its_factor() {
    let scaled = Rotation { scale: 0.25, ..rotation() };
    holds(&drawn(&app(Some(scaled)), &theme(), 120, 40), "positions scaled by 0.250");
}

#[test]
fn other_kinds_of_position_have_their_own_form() {
    let of = |kind, by_distance: &[f32]| {
        let rotation = Rotation {
            kind,
            head: (3, 2),
            other: 1,
            by_distance: by_distance.to_vec(),
            ..Rotation::default()
        };
        drawn(&app(Some(rotation)), &theme(), 67, 30)
    };
    holds(&of(PositionKind::Learned, &[]), "learned: a vector of its own for position 4");
    let alibi = of(PositionKind::Alibi, &[1.0, 0.5, 0.0, -0.5]);
    holds(&alibi, "ALiBi");
    holds(&alibi, "−0.5");
    holds(&of(PositionKind::None, &[]), "the network is told no positions");
    let learned = LearnedPosition {
        norm: 3.25,
        count: 1024,
        nearest: vec![(5, 0.91), (3, 0.9)],
        cosines: vec![0.1, 0.4, 1.0],
    };
    let form = |rotation| drawn(&app(Some(rotation)), &theme(), 67, 30);
    let seen = form(Rotation { kind: PositionKind::Learned, learned: Some(learned), ..Rotation::default() });
    for what in ["length 3.25   one of 1 024 such vectors", "#5 (+1)", "0.910", "cosine with #0 to #4"] {
        holds(&seen, what);
    }
    let seen = form(Rotation {
        kind: PositionKind::Alibi,
        slopes: vec![0.5, 0.25],
        other: 2,
        ..Rotation::default()
    });
    for what in ["0.5000", "at 2 apart", "−1.00", "−0.50"] {
        holds(&seen, what);
    }
}

#[test]
fn another_distance_tells_its_score_and_degrees_stand_for_hands() {
    let mut app = app(Some(rotation()));
    app.inspector.position.apart = Some(4);
    let seen = drawn(&app, &theme(), 120, 36);
    holds(&seen, "4 apart: hand 0 turned 229 deg, score −13.8, −16.6 from where it is");
    assert!(seen.iter().any(|row| row.starts_with("›    4")), "{seen:#?}");
    app.inspector.position.degrees = true;
    let seen = drawn(&app, &theme(), 120, 36);
    assert!(seen.iter().any(|row| row.starts_with("›    4") && row.contains("229")), "{seen:#?}");
}

#[test]
fn yarn_is_told_with_its_parameters() {
    let yarn = Yarn { mix: 1.0, stretch: 1.0, fast: 32.0, slow: 1.0, trained: 2048 };
    let scaled = Rotation { scale: 0.25, yarn: Some(yarn), ..rotation() };
    let seen = drawn(&app(Some(scaled)), &theme(), 120, 40).join(" ");
    assert!(seen.contains("YaRN: trained on 2 048 tokens") && seen.contains("stretched by 1.139"), "{seen}");
}

#[test]
fn what_is_not_known_is_said() {
    let seen = drawn(&app(None), &theme(), 67, 30);
    holds(&seen, "␣is itself");
    holds(&seen, "the model reads it again");
    holds(&drawn(&empty(), &theme(), 46, 20), "no token on display");
}

#[test]
fn no_size_is_too_small_and_odd_numbers_are_no_harm() {
    let mut odd = rotation();
    odd.frequencies = vec![f32::NAN, 0.0, f32::INFINITY, -1.0];
    odd.by_distance = vec![f32::NAN; 900];
    odd.pairs[1] = f32::NAN;
    (odd.base, odd.other) = (f32::NAN, 99);
    let (odd, good) = (app(Some(odd)), app(Some(rotation())));
    for width in [0, 1, 19, 20, 33, 46, 66, 67, 80, 114, 120, 200] {
        for height in 0..42 {
            drawn(&odd, &theme(), width, height);
            drawn(&good, &theme(), width, height);
        }
    }
}
