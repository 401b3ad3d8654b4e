//! The attention station with a head that reads ␣France, as the design draws it.

use std::sync::Arc;

use ratatui::style::{Color, Style};

use crate::app::{App, AttentionPicture};
use crate::engine::protocol::{Attend, Attended, Attending, Inspected};
use crate::inspect::scores::{HeadScore, HeadScores};
use crate::inspect::trace::{
    Attention, AttentionLayer, ForwardTrace, HeadClass, HeadLogits, HeadReading, HeadRow,
};
use crate::theme::Theme;
use crate::token::TokenId;
use crate::ui::testing::design::{bare_theme, empty, opened, theme};
use crate::ui::testing::{self, as_drawn};

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
    let told = HeadLogits {
        layer: 23,
        head: 4,
        share: 0.27,
        promotes: vec![(TokenId(1002), 9.0), (TokenId(1004), 2.8)],
        suppresses: vec![(TokenId(1001), -3.0)],
        followed: vec![(TokenId(1004), 2.82), (TokenId(1003), -0.33)],
    };
    Attention { overview, layers, head_logits: vec![told], flash: true }
}

fn app_of(heads: u32, attention: Option<Attention>, third: &str) -> App {
    let names = [" capital", " of", third, " is", " Paris"];
    let trace =
        ForwardTrace { position: 4, layers: 30, heads, kv_heads: 3, attention, ..ForwardTrace::default() };
    let mut app = opened(names, 4, Inspected { trace, ms: 2.0, ..Inspected::default() });
    (app.inspector.inside.layer, app.inspector.inside.head) = (23, 4);
    app.inspector.inside.aimed = true;
    app
}

fn app() -> App {
    app_of(9, Some(attention(9)), " France")
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn grid_and_head_stand_side_by_side_where_there_is_room() {
    as_drawn!("side_by_side_67x24", drawn(&app(), &theme(), 67, 24));
    as_drawn!("side_by_side_100x40", drawn(&app(), &theme(), 100, 40));
    as_drawn!("side_by_side_low", drawn(&app(), &theme(), 67, 12));
    as_drawn!("side_by_side_ascii", drawn(&app(), &bare_theme(), 67, 40));
}

#[test]
fn narrow_screens_hold_the_grid_or_the_opened_head() {
    let mut app = app();
    as_drawn!("narrow_grid", drawn(&app, &theme(), 46, 24));
    as_drawn!("narrow_grid_low", drawn(&app, &bare_theme(), 46, 12));
    app.inspector.inside.opened = true;
    as_drawn!("narrow_head", drawn(&app, &theme(), 46, 24));
    as_drawn!("narrow_head_low", drawn(&app, &bare_theme(), 46, 12));
}

#[test]
fn strips_and_text_are_there_where_the_area_is_high() {
    let mut app = app();
    app.inspector.inside.opened = true;
    as_drawn!("strips", drawn(&app, &theme(), 46, 40));
    // Without fills a token's step stands under its first cell.
    as_drawn!("strips_ascii", drawn(&app, &bare_theme(), 46, 40));
}

#[test]
fn a_head_that_rests_leaves_the_first_token_out_and_says_so() {
    let mut attention = attention(9);
    attention.overview[23][4] =
        HeadReading { class: HeadClass::Sink, strength: 0.49, ..HeadReading::default() };
    as_drawn!("resting_head", drawn(&app_of(9, Some(attention), " France"), &theme(), 67, 40));
}

#[test]
fn raw_shows_the_weights_and_otherwise_what_is_written() {
    let mut app = app();
    app.inspector.attention.raw = true;
    as_drawn!("raw_weights", drawn(&app, &theme(), 100, 40));
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
    as_drawn!("many_heads_46x12", drawn(&app, &theme(), 46, 12));
    as_drawn!("many_heads_67x24", drawn(&app, &theme(), 67, 24));
    as_drawn!("many_heads_100x40", drawn(&app, &theme(), 100, 40));
}

#[test]
fn the_caption_tells_what_a_cell_of_the_grid_is() {
    let caption = |heads, width, height| {
        let rows = drawn(&app_of(heads, Some(attention(heads as usize)), " France"), &theme(), width, height);
        rows[1].trim().to_owned()
    };
    assert_eq!(caption(9, 100, 44), "A cell is a head: letter, how it reads; bar, how much it writes.");
    assert_eq!(caption(48, 100, 44), "A cell is a head: its bar is how much it writes.");
    let halves = "Half a cell is a head: its fill is how much it writes.";
    assert_eq!(caption(48, 67, 24), halves);
    assert_eq!(caption(9, 67, 24), halves);
}

#[test]
fn what_is_not_known_is_said() {
    as_drawn!("not_known", drawn(&app_of(9, None, " France"), &theme(), 67, 30));
    as_drawn!("no_token", drawn(&empty(), &theme(), 46, 20));
    let mut app = app();
    app.inspector.inside.layer = 3;
    as_drawn!("block_not_read", drawn(&app, &theme(), 67, 30));
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
    let mut beyond = app();
    beyond.inspector.inside.opened = true;
    (beyond.inspector.inside.layer, beyond.inspector.inside.head) = (99, 99);
    beyond.inspector.inside.aimed = true;
    let apps = vec![
        app_of(0, Some(odd), "漢"),
        app_of(9, Some(bare), "漢"),
        app_of(48, Some(attention(48)), "a"),
        beyond,
    ];
    testing::at_every_size(super::draw, apps);
}

#[test]
fn a_head_of_no_sort_names_the_token_it_reads_most() {
    let mut attention = attention(9);
    attention.overview[23][4] =
        HeadReading { strength: 0.9, top: vec![(0, 0.95), (3, 0.9)], ..HeadReading::default() };
    as_drawn!("head_of_no_sort", drawn(&app_of(9, Some(attention), " France"), &theme(), 67, 40));
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
        let pass = app.view().pass(app.transcript.cursor.unwrap()).unwrap();
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
    // Positions 0 and 1 are outside the window of the last row.
    as_drawn!("matrix", drawn(&app, &theme(), 67, 24));
    as_drawn!("matrix_ascii", drawn(&app, &bare_theme(), 46, 14));
    testing::at_every_size(super::draw, vec![app]);
}

#[test]
fn the_rollout_says_that_it_is_no_cause() {
    let mut app = with_rows(&[0; 5]);
    app.inspector.attention.picture = AttentionPicture::Rollout;
    as_drawn!("rollout", drawn(&app, &theme(), 67, 24));
}

#[test]
fn who_reads_a_token_is_listed_with_the_largest_weight_first() {
    let mut app = with_rows(&[0; 5]);
    app.inspector.attention.read_by = true;
    as_drawn!("who_reads", drawn(&app, &theme(), 67, 30));
}

#[test]
fn the_ink_line_says_whose_reading_it_is_and_what_token_0_held() {
    let mut app = app();
    app.inspector.shown = true;
    app.inspector.station = crate::app::Station::Attention;
    let line = |app: &App| super::ink_line(app, &theme()).unwrap();
    assert_eq!(line(&app), "ink: written by L23 head 4 at ␣is, token 0 included, 0–100 %");
    app.inspector.attention.raw = true;
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
    as_drawn!("head_writes", drawn(&app(), &theme(), 67, 36));
    let app = with_rows(&[0; 5]);
    as_drawn!("head_with_rows", drawn(&app, &theme(), 67, 36));
    as_drawn!("head_with_rows_ascii", drawn(&app, &bare_theme(), 67, 36));
    // Where there is little room, the list goes first.
    as_drawn!("head_with_rows_low", drawn(&app, &theme(), 67, 14));
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
    as_drawn!("two_layers_a_row", seen);
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
    as_drawn!("usual_head_46x38", drawn(&app, &theme(), 46, 38));
    as_drawn!("usual_head_67x38", drawn(&app, &theme(), 67, 38));
}
