//! The attention station with a head that reads ␣France, as the design draws it.

use std::sync::Arc;

use ratatui::style::{Color, Style};

use crate::app::{App, AttentionPicture, InsidePass};
use crate::engine::protocol::{Attend, Attended, Attending, Inspected};
use crate::inspect::scores::{HeadScore, HeadScores};
use crate::inspect::trace::{
    Attention, AttentionLayer, ForwardTrace, HeadClass, HeadReading, HeadRow, HeadTold,
};
use crate::theme::Theme;
use crate::token::TokenId;
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
    let told = HeadTold {
        layer: 23,
        head: 4,
        share: 0.27,
        promotes: vec![(TokenId(1002), 9.0), (TokenId(1004), 2.8)],
        suppresses: vec![(TokenId(1001), -3.0)],
        followed: vec![(TokenId(1004), 2.82), (TokenId(1003), -0.33)],
    };
    Attention { overview, layers, told: vec![told], flash: true }
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
    holds(&seen, "mask 0 or /−∞");
    holds(&seen, "softmax 0…1");
    holds(&seen, "mix ‖·‖ 0…1");
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
    holds(&seen, "rests on token 0 .49");
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
    holds(&drawn(&app_of(9, Some(attention), " France"), &theme(), 67, 40), "reads ␣France .90");
}

/// The design's matrix of L23 head 4, as shares.
fn matrix(seen_from: Vec<u32>) -> Attended {
    let rows = [
        vec![1.0],
        vec![0.97, 0.03],
        vec![0.89, 0.06, 0.05],
        vec![0.80, 0.02, 0.06, 0.11],
        vec![0.07, 0.01, 0.01, 0.903, 0.01],
    ];
    Attended::new(0, &rows, seen_from)
}

/// The app with rows that were read for the opened head and the rollout.
fn with_rows(seen_from: &[u32]) -> App {
    let mut app = app();
    for of in [Attending::Head(23, 4), Attending::Rollout] {
        let pass = app.pass(app.transcript.cursor.unwrap()).unwrap();
        let asked = Attend { ids: pass.ids.to_vec(), of, ..Attend::default() };
        app.inspector.attention.stretches.push((asked, Arc::new(matrix(seen_from.to_vec()))));
    }
    app
}

#[test]
fn the_matrix_has_every_row_and_tells_the_selected_cell() {
    let mut app = with_rows(&[0, 0, 0, 0, 2]);
    app.inspector.attention.picture = AttentionPicture::Matrix;
    app.inspector.attention.cell = Some((4, 3));
    let seen = drawn(&app, &theme(), 67, 24);
    holds(&seen, "L23 head 4, kv 1: every row");
    holds(&seen, "80   2   6  11   ·");
    // Positions 0 and 1 are outside the window of the last row.
    holds(&seen, "/   /   1  90   1");
    holds(&seen, "#4 ␣is reads #3 ␣France: 90.3 %");
    holds(&seen, "/ outside the window");
    let bare = drawn(&app, &bare_theme(), 46, 14);
    holds(&bare, "80   2   6  11   .");
    assert!(!bare.iter().any(|row| row.contains(['·', '→', '↓', '›'])), "{bare:#?}");
    for width in [0, 20, 30, 46, 67, 120] {
        for height in 0..20 {
            drawn(&app, &theme(), width, height);
        }
    }
}

#[test]
fn the_rollout_says_that_it_is_no_cause() {
    let mut app = with_rows(&[0; 5]);
    app.inspector.attention.picture = AttentionPicture::Rollout;
    let seen = drawn(&app, &theme(), 67, 24);
    holds(&seen, "rollout of all layers: mixing, not cause");
    holds(&seen, "97   3   ·   ·   ·");
}

#[test]
fn who_reads_a_token_is_listed_with_the_largest_weight_first() {
    let mut app = with_rows(&[0; 5]);
    app.inspector.attention.read_by = true;
    let seen = drawn(&app, &theme(), 67, 30);
    holds(&seen, "who reads #4 ␣is");
}

#[test]
fn the_ink_line_says_whose_reading_it_is_and_what_token_0_held() {
    let mut app = app();
    app.inspector.shown = true;
    app.inspector.station = crate::app::Station::Attention;
    let line = |app: &App| super::ink_line(app, &theme()).unwrap();
    assert_eq!(line(&app), "ink: written by L23 head 4 at ␣is, token 0 included, 0–100 %");
    app.inspector.inside.raw = true;
    app.inspector.attention.hides_first = true;
    app.inspector.attention.contrast = 1;
    assert_eq!(
        line(&app),
        "ink: weights of L23 head 4 at ␣is, token 0 left out, it held 6.7 %, 0–100 %, γ 2"
    );
    app.inspector.attention.ink = crate::app::Ink::Off;
    assert_eq!(super::ink_line(&app, &theme()), None);
}

#[test]
fn the_opened_head_says_what_it_writes_and_shows_its_last_rows() {
    for theme in [theme(), bare_theme()] {
        let mut app = app();
        let seen = drawn(&app, &theme, 67, 36);
        for what in ["writes toward", "and away from", "+2.82", "−0.33", "of ‖h‖ 27 %"] {
            holds(&seen, what);
        }
        holds(&seen, "text by share read");
        app = with_rows(&[0; 5]);
        let seen = drawn(&app, &theme, 67, 36);
        holds(&seen, "every row (");
        holds(&seen, "   7   1   1  90   1");
        holds(&seen, "of ‖h‖ 27 %");
        assert!(!seen.iter().any(|row| row.contains("text by share read")), "{seen:#?}");
        // Where there is little room, the list goes first.
        let low = drawn(&app, &theme, 67, 14);
        holds(&low, "90.3%");
        assert!(!low.iter().any(|row| row.contains("writes toward")), "{low:#?}");
    }
}

#[test]
fn more_layers_than_rows_stand_two_in_a_row() {
    let app = app();
    let mut buf = testing::buffer(67, 23);
    let area = buf.area;
    let fill = |step: usize| Style::new().bg(Color::Indexed(100 + step as u8));
    let theme = Theme { mag: std::array::from_fn(fill), ..theme() };
    super::draw(&app, &theme, area, &mut buf);
    let seen = testing::rows(&buf);
    holds(&seen, "two layers a row");
    // L22 and L23 share the row in which head 4 is open; what they write is in the two halves of the cell.
    let at = seen.iter().position(|row| row.starts_with("›23")).unwrap();
    assert!(seen[at].contains("[▀▀]"), "{seen:#?}");
    let row = seen[at].chars().position(|glyph| glyph == '▀').unwrap() as u16;
    let cell = &buf[(row + 3, at as u16)];
    assert_eq!((cell.symbol(), Some(cell.fg), Some(cell.bg)), ("▀", theme.mag(1).bg, theme.mag(1).bg));
    assert_eq!(seen.iter().filter(|row| row.contains('▀') && !row.contains("layers")).count(), 15);
    // Without fills the letters stay, scrolled.
    let bare = drawn(&app, &bare_theme(), 67, 23);
    assert!(!bare.iter().any(|row| row.contains("two layers")), "{bare:#?}");
}

#[test]
fn what_a_head_usually_does_stands_beside_what_it_does_here() {
    let mut app = app();
    let rests = HeadScore { sink: 0.49, ..HeadScore::default() };
    app.model.hash = Some("abc".into());
    let scores = HeadScores { layers: vec![vec![rests; 9]; 30], ms: 1.0 };
    app.inspector.attention.heads = Some(("abc".into(), Arc::new(scores)));
    for width in [46, 67] {
        let seen = drawn(&app, &theme(), width, 38);
        holds(&seen, "usually rests on token 0 (.49)");
        holds(&seen, "reads ␣France");
    }
}
