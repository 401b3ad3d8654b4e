//! The attention station with a head that reads ␣France, as the design draws it.

use std::sync::Arc;

use crate::app::{App, InsidePass};
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{Attention, AttentionLayer, ForwardTrace, HeadClass, HeadReading, HeadRow};
use crate::theme::Theme;
use crate::ui::frame_testing::{bare_theme, empty, theme};
use crate::ui::inspector::tokens::tests::{step, with};
use crate::ui::testing;

const WEIGHTS: [f32; 5] = [0.067, 0.012, 0.008, 0.903, 0.010];
const CLASSES: [HeadClass; 7] = [
    HeadClass::Sink,
    HeadClass::Previous,
    HeadClass::Induction,
    HeadClass::Duplicate,
    HeadClass::Own,
    HeadClass::Local,
    HeadClass::Other,
];

fn head() -> HeadRow {
    HeadRow {
        weights: WEIGHTS.to_vec(),
        scores: vec![2.28, 0.57, 0.19, 4.88, 0.27],
        value_norms: vec![0.5, 0.7, 0.4, 89.8, 0.4],
        sink: 0.0,
    }
}

fn attention(heads: usize) -> Attention {
    let reading = |layer: usize, head: usize| HeadReading {
        class: CLASSES[(layer + head) % CLASSES.len()],
        strength: 0.5,
        top: vec![(3, 0.903), (0, 0.067)],
        written: Some(0.03 * (head % 9) as f32),
    };
    let overview: Vec<Vec<HeadReading>> =
        (0..30).map(|layer| (0..heads).map(|head| reading(layer, head)).collect()).collect();
    let layers = vec![AttentionLayer { layer: 23, window: Some(512), heads: vec![head(); heads] }];
    Attention { overview, layers, flash: true }
}

fn app_of(heads: u32, attention: Option<Attention>, third: &str) -> App {
    let names = [" capital", " of", third, " is", " Paris"];
    let steps = names.iter().zip(1000..).map(|(text, id)| step(id, text.as_bytes(), 1.0, 1)).collect();
    let mut app = with(steps, 4);
    let trace =
        ForwardTrace { position: 4, layers: 30, heads, kv_heads: 3, attention, ..ForwardTrace::default() };
    app.inspector.inside.passes.push(InsidePass {
        at: app.transcript.cursor.unwrap(),
        own: false,
        model: "m".into(),
        seen: Arc::new(Inspected { trace, ms: 2.0, ..Inspected::default() }),
        cards: Vec::new(),
    });
    (app.inspector.inside.layer, app.inspector.inside.head) = (23, 4);
    app.inspector.inside.aimed = true;
    app
}

fn app() -> App {
    app_of(9, Some(attention(9)), " France")
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    let mut buf = testing::buffer(width, height);
    let area = buf.area;
    super::draw(app, theme, area, &mut buf);
    testing::rows(&buf)
}

fn holds(seen: &[String], what: &str) {
    assert!(seen.iter().any(|row| row.contains(what)), "{what}\n{}", seen.join("\n"));
}

#[test]
fn grid_and_head_stand_side_by_side_where_there_is_room() {
    for theme in [theme(), bare_theme()] {
        for (width, height) in [(67, 12), (67, 24), (67, 40), (100, 24), (100, 40)] {
            let seen = drawn(&app(), &theme, width, height);
            for what in ["L23 head 4, kv 1", "90.3%", "89.8", "France", "Paris", "window of 512", "flash"] {
                holds(&seen, what);
            }
            let opened = seen.iter().find(|row| row.contains('[')).unwrap();
            assert!(opened.contains("23") && opened.contains(']'), "{opened}");
        }
    }
}

#[test]
fn narrow_screens_hold_the_grid_or_the_opened_head() {
    for theme in [theme(), bare_theme()] {
        for height in [12, 24, 40] {
            let mut app = app();
            let grid = drawn(&app, &theme, 46, height);
            holds(&grid, "[");
            holds(&grid, "L23 head 4, kv 1");
            assert!(!grid.iter().any(|row| row.contains("90.3%")), "{grid:#?}");
            app.inspector.inside.opened = true;
            let head = drawn(&app, &theme, 46, height);
            for what in ["L23 head 4, kv 1", "90.3%", "4.88"] {
                holds(&head, what);
            }
        }
    }
}

#[test]
fn strips_and_text_are_there_where_the_area_is_high() {
    let mut app = app();
    app.inspector.inside.opened = true;
    let seen = drawn(&app, &theme(), 46, 40);
    holds(&seen, "q·k −24…8");
    holds(&seen, "softmax 0…1");
    holds(&seen, "␣capital␣of␣France␣is");
    let bare = drawn(&app, &bare_theme(), 46, 40);
    let text = bare.iter().position(|row| row.contains("capital_of_France")).unwrap();
    let at = bare[text].find("_France").unwrap();
    assert_eq!(&bare[text + 1][at..=at], "8", "{bare:#?}");
    assert!(!bare.iter().any(|row| row.contains(['▁', '█', '•', '›', '␣', '→'])), "{bare:#?}");
}

#[test]
fn a_head_that_rests_leaves_the_first_token_out_and_says_so() {
    let mut attention = attention(9);
    attention.overview[23][4] =
        HeadReading { class: HeadClass::Sink, strength: 0.49, ..HeadReading::default() };
    let seen = drawn(&app_of(9, Some(attention), " France"), &theme(), 67, 40);
    holds(&seen, "rests on the first token .49");
    holds(&seen, "first token, left out: 6.7%");
}

#[test]
fn raw_shows_the_weights_and_otherwise_what_is_written() {
    let mut app = app();
    holds(&drawn(&app, &theme(), 100, 40), "of ‖·‖");
    app.inspector.inside.raw = true;
    holds(&drawn(&app, &theme(), 100, 40), "of weight");
}

#[test]
fn wide_characters_do_not_shift_the_figures() {
    let column = |third: &str| {
        let app = app_of(9, Some(attention(9)), third);
        let mut buf = testing::buffer(100, 30);
        let area = buf.area;
        super::draw(&app, &theme(), area, &mut buf);
        let figure =
            |y: u16| (0..96).find(|x| (0..5).map(|i| buf[(x + i, y)].symbol()).eq(["9", "0", ".", "3", "%"]));
        (0..30).find_map(figure)
    };
    assert!(column(" France").is_some());
    assert_eq!(column(" France"), column(" 漢字漢字漢字漢字漢字漢字"));
}

#[test]
fn many_heads_take_a_cell_each_and_the_opened_one_stays_in_view() {
    let mut app = app_of(48, Some(attention(48)), " France");
    app.inspector.inside.head = 47;
    for (width, height) in [(46, 12), (67, 24), (100, 40)] {
        let seen = drawn(&app, &theme(), width, height);
        holds(&seen, "47");
        holds(&seen, "L23 head 47, kv 2");
        assert!(seen.iter().any(|row| row.starts_with("›23")), "{seen:#?}");
    }
}

#[test]
fn what_is_not_known_is_said() {
    let seen = drawn(&app_of(9, None, " France"), &theme(), 67, 30);
    holds(&seen, "attention at ␣Paris");
    assert!(seen.iter().any(|row| row.contains("not known") || row.contains("not read")), "{seen:#?}");
    holds(&drawn(&empty(), &theme(), 46, 20), "no token on display");
    let mut app = app();
    app.inspector.inside.layer = 3;
    let seen = drawn(&app, &theme(), 67, 30);
    holds(&seen, "90.3%");
    assert!(seen.iter().any(|row| row.contains("not known") || row.contains("not read")), "{seen:#?}");
}

#[test]
fn no_size_is_too_small_and_odd_numbers_are_no_harm() {
    let mut odd = attention(9);
    odd.overview[22].clear();
    odd.overview[23][2].strength = f32::NAN;
    odd.layers[0].heads[4] = HeadRow {
        weights: vec![f32::NAN; 900],
        scores: vec![f32::INFINITY; 3],
        value_norms: vec![0.0; 900],
        sink: 0.3,
    };
    let mut bare = attention(9);
    bare.overview.clear();
    let mut opened = app();
    opened.inspector.inside.opened = true;
    (opened.inspector.inside.layer, opened.inspector.inside.head) = (99, 99);
    opened.inspector.inside.aimed = true;
    let apps = vec![
        app_of(0, Some(odd), "漢"),
        app_of(9, Some(bare), "漢"),
        app_of(48, Some(attention(48)), "a"),
        opened,
    ];
    for app in &apps {
        for width in [0, 1, 19, 20, 33, 46, 65, 66, 67, 100, 200] {
            for height in 0..42 {
                drawn(app, &theme(), width, height);
            }
        }
    }
}

#[test]
fn a_head_of_no_sort_names_the_token_it_reads_most() {
    let mut attention = attention(9);
    attention.overview[23][4] =
        HeadReading { strength: 0.9, top: vec![(0, 0.95), (3, 0.9)], ..HeadReading::default() };
    holds(&drawn(&app_of(9, Some(attention), " France"), &theme(), 67, 40), "most on ␣France .90");
}
