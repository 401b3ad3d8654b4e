//! The feed-forward station with neuron 1005 of block 24, as the design draws it.

use std::sync::Arc;

use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::inspect::feed_forward::FfnLayer;
use crate::inspect::trace::{FeedForward, ForwardTrace, Neuron};
use crate::theme::Theme;
use crate::token::TokenId;
use crate::ui::testing::design::{bare_theme, empty, opened, theme};
use crate::ui::testing::{self, as_drawn, holds};

fn ffn() -> FeedForward {
    let neuron = |index: u32, activation: f32| Neuron {
        index,
        expert: None,
        activation,
        added: activation.abs() * 5.0,
        push: Some(activation / -10.0),
        promotes: vec![(TokenId(1000), 1.79), (TokenId(1001), 0.4)],
        suppresses: vec![(TokenId(1003), -0.66)],
    };
    let mut neurons = vec![neuron(1005, -19.2), neuron(276, 5.9)];
    neurons.extend((0..20).map(|index| neuron(index, 1.0)));
    FeedForward {
        layer: 24,
        width: 1536,
        neurons,
        words: true,
        write: 140.2,
        half: 172,
        push: Some(1.55),
        rest: Some((1514, 59.6, Some(0.2))),
        histogram: vec![1, 0, 1, 14, 46, 152, 284, 500, 297, 177, 48, 12, 3, 1],
        ..FeedForward::default()
    }
}

fn app_of(ffns: Vec<FeedForward>, first: &str, missing: &[&str]) -> App {
    let names = [first, " of", " France", " is", " Paris"];
    let missing = missing.iter().map(|what| (*what).to_owned()).collect();
    let trace = ForwardTrace { position: 4, layers: 30, heads: 9, missing, ..ForwardTrace::default() };
    let mut app = opened(names, 4, Inspected { trace, ffns, ms: 2.0, ..Inspected::default() });
    app.inspector.inside.layer = 24;
    app.inspector.inside.aimed = true;
    app
}

fn app() -> App {
    app_of(vec![ffn()], " capital", &[])
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn the_neurons_are_as_drawn_in_every_form() {
    as_drawn!("narrow", drawn(&app(), &theme(), 46, 24));
    as_drawn!("narrow_low", drawn(&app(), &theme(), 46, 12));
    as_drawn!("full", drawn(&app(), &theme(), 67, 40));
    as_drawn!("full_ascii", drawn(&app(), &bare_theme(), 67, 24));
    as_drawn!("wide", drawn(&app(), &theme(), 100, 24));
}

#[test]
fn layers_and_neurons_stand_side_by_side_where_there_is_room() {
    let mut app = app();
    let line = |layer: u32| FfnLayer { layer, write: 40.0 + layer as f32, half: Some(172), push: Some(-0.5) };
    let (of, lines) = (app.transcript.cursor.unwrap(), (0..30).map(line).collect());
    let pass = app.inspector.inside.passes.iter_mut().find(|pass| pass.at == of).unwrap();
    let seen = Arc::make_mut(&mut pass.seen);
    (seen.ffn_layers, seen.pushes_of) = (lines, Some((TokenId(1004), TokenId(1003))));
    app.inspector.ffn.write_scale = Some(("m".into(), 420.0));
    as_drawn!("layers_beside", drawn(&app, &theme(), 120, 40));
    as_drawn!("layers_in_a_line", drawn(&app, &theme(), 67, 24));
    as_drawn!("layers_in_a_line_narrow", drawn(&app, &theme(), 46, 24));
    app.inspector.ffn.on_neurons = true;
    as_drawn!("arrows_in_the_neurons", drawn(&app, &theme(), 120, 40));
}

#[test]
fn a_mixture_names_its_experts() {
    let mut ffn = ffn();
    ffn.experts = vec![(3, 0.61), (7, 0.39)];
    ffn.neurons[0].expert = Some(3);
    as_drawn!("experts", drawn(&app_of(vec![ffn], " capital", &[]), &theme(), 67, 12));
}

#[test]
fn what_is_not_known_is_said() {
    let unknown = app_of(Vec::new(), "a", &["feed-forward neurons: the shape is not known"]);
    as_drawn!("shape_not_known", drawn(&unknown, &theme(), 67, 8));
    as_drawn!("not_read", drawn(&app_of(Vec::new(), "a", &[]), &theme(), 67, 8));
    as_drawn!("nothing_on_display", drawn(&empty(), &theme(), 46, 8));
}

#[test]
fn the_selected_neuron_is_in_view_and_told_in_full() {
    let mut app = app();
    app.inspector.inside.row = 21;
    for height in [12, 24, 40] {
        let seen = drawn(&app, &theme(), 67, height);
        assert_eq!(seen.iter().filter(|row| row.starts_with("›    19")).count(), 1, "{seen:#?}");
    }
    holds(&drawn(&app, &theme(), 67, 24), "neuron 19 of L24: fires 1.00");
}

#[test]
fn wide_characters_do_not_shift_the_columns() {
    let away = |first: &str| {
        let mut buf = testing::buffer(100, 24);
        let area = buf.area;
        super::draw(&app_of(vec![ffn()], first, &[]), &theme(), area, &mut buf);
        let is = |x: u16, y: u16| buf[(x, y)].symbol() == "␣" && buf[(x + 1, y)].symbol() == "i";
        (0..24).find_map(|y| (0..99).find(|x| is(*x, y)))
    };
    assert!(away(" capital").is_some());
    assert_eq!(away(" capital"), away(" 漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"));
}

#[test]
fn no_size_is_too_small_and_odd_numbers_are_no_harm() {
    let mut odd = ffn();
    odd.neurons[0].activation = f32::NAN;
    odd.neurons[1].activation = f32::INFINITY;
    odd.neurons[2].promotes.clear();
    odd.experts = vec![(1, f32::NAN); 40];
    let none = FeedForward { layer: 24, ..FeedForward::default() };
    let apps = vec![app(), app_of(vec![odd], "漢字", &[]), app_of(vec![none], "a", &[])];
    testing::at_every_size(super::draw, apps);
}
