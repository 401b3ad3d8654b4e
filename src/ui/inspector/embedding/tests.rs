//! The embedding station with the design's neighbours of ␣Paris.

use std::sync::Arc;

use crate::app::{App, Arithmetic};
use crate::engine::protocol::Embed;
use crate::inspect::trace::EmbeddingFacts;
use crate::theme::Theme;
use crate::token::TokenId;
use crate::ui::testing::design::{bare_theme, empty, replied, step, theme};
use crate::ui::testing::{self, as_drawn};

const SPAN: [(i32, &str); 6] =
    [(504, "The"), (3575, " capital"), (282, " of"), (4649, " France"), (314, " is"), (7042, " Paris")];

const NEIGHBOURS: [(i32, f32); 6] =
    [(91, 0.813), (95, 0.611), (4649, 0.595), (97, 0.595), (98, 0.581), (99, -0.02)];

fn facts() -> EmbeddingFacts {
    let cosine = |row: usize, column: usize| match (row.min(column), row.max(column)) {
        (a, b) if a == b => 1.0,
        (3, 5) => 0.59,
        (4, 5) => -0.20,
        _ => 0.09,
    };
    EmbeddingFacts {
        norm: 2.20,
        neighbours: NEIGHBOURS.iter().map(|(id, value)| (TokenId(*id), *value)).collect(),
        cosines: (0..36).map(|at| cosine(at / 6, at % 6)).collect(),
        map: vec![(-1.0, 1.0), (-0.5, 0.1), (0.0, -1.0), (0.9, 0.4), (0.1, -0.9), (1.0, 0.5)],
        explained: (0.21, 0.12),
        ms: 18.0,
        mapped: SPAN.iter().map(|(id, _)| TokenId(*id)).collect(),
        centred: (0..36).map(|at| cosine(at / 6, at % 6)).collect(),
        median: 0.33,
        lengths: (1.79, 7.49),
        values: (-0.49, 0.28),
        largest: vec![(322, -0.49), (481, -0.32)],
        tied: true,
    }
}

fn app(mut facts: EmbeddingFacts, span: &[i32]) -> App {
    facts.mapped = span.iter().map(|id| TokenId(*id)).collect();
    let steps = SPAN.iter().map(|(id, text)| step(*id, text.as_bytes(), 1.0, 1)).collect();
    let mut app = replied(steps, 5);
    let embed = Embed {
        sum: vec![(TokenId(7042), 1.0)],
        neighbours: 6,
        span: span.iter().map(|id| TokenId(*id)).collect(),
        ..Embed::default()
    };
    app.inspector.embedding.embeddings.push(("v".into(), embed, Arc::new(facts)));
    app
}

fn paris() -> App {
    app(facts(), &SPAN.map(|(id, _)| id))
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    testing::drawn(super::draw, app, theme, (width, height))
}

#[test]
fn list_map_and_matrix_are_as_drawn_in_every_form() {
    as_drawn!("narrow", drawn(&paris(), &theme(), 46, 40));
    as_drawn!("full", drawn(&paris(), &theme(), 67, 40));
    as_drawn!("wide", drawn(&paris(), &theme(), 120, 36));
    as_drawn!("full_ascii", drawn(&paris(), &bare_theme(), 67, 40));
}

#[test]
fn a_sum_of_words_is_named_and_its_choices_are_said() {
    let mut app = paris();
    let terms = vec![(TokenId(4649), 1.0), (TokenId(7042), -1.0), (TokenId(504), 1.0)];
    let notes = vec!["The: ␣The is taken".to_owned()];
    app.inspector.embedding.arithmetic = Some(Arithmetic { text: "a".into(), terms: terms.clone(), notes });
    let (_, embed, _) = app.inspector.embedding.embeddings.last_mut().unwrap();
    embed.sum = terms;
    as_drawn!("sum", drawn(&app, &theme(), 120, 24));
}

#[test]
fn centred_cosines_are_named_so() {
    let mut app = paris();
    app.inspector.embedding.centred = true;
    as_drawn!("centred", drawn(&app, &theme(), 120, 36));
}

#[test]
fn a_low_screen_shows_the_list_and_opened_the_pictures() {
    let mut app = paris();
    as_drawn!("low_narrow", drawn(&app, &theme(), 46, 18));
    as_drawn!("low", drawn(&app, &theme(), 80, 18));
    app.inspector.inside.opened = true;
    as_drawn!("low_narrow_opened", drawn(&app, &theme(), 46, 20));
    as_drawn!("low_opened", drawn(&app, &theme(), 80, 20));
}

#[test]
fn names_on_the_map_never_overlap_and_those_left_out_are_counted() {
    let mut crowded = facts();
    crowded.map = vec![(0.0, 0.0); 6];
    crowded.map[0] = (0.1, 0.0);
    let app = app(crowded, &SPAN.map(|(id, _)| id));
    as_drawn!("crowded", drawn(&app, &theme(), 120, 30));
}

#[test]
fn a_token_twice_in_the_span_is_one_point_and_of_a_long_span_the_last_are_compared() {
    let twice = app(facts(), &[504, 504, 282, 4649, 314, 7042]);
    as_drawn!("twice", drawn(&twice, &theme(), 120, 30));
    let mut long = facts();
    long.cosines = vec![0.5; 400];
    long.map = vec![(0.0, 0.0); 20];
    let long = app(long, &(0..20).map(|at| 400 + at).collect::<Vec<i32>>());
    as_drawn!("long_span", drawn(&long, &theme(), 46, 40));
}

#[test]
fn without_a_span_or_without_facts_the_station_says_so() {
    let alone = EmbeddingFacts { cosines: Vec::new(), map: Vec::new(), ..facts() };
    as_drawn!("no_span", drawn(&app(alone, &[]), &theme(), 67, 30));
    let mut nothing = paris();
    nothing.inspector.embedding.embeddings.clear();
    as_drawn!("not_read", drawn(&nothing, &theme(), 67, 8));
    as_drawn!("nothing_on_display", drawn(&empty(), &theme(), 46, 8));
}

#[test]
fn no_size_is_too_small_and_odd_numbers_are_no_harm() {
    let odd = EmbeddingFacts {
        norm: f32::NAN,
        map: vec![(f32::NAN, 0.0), (9.0, -9.0), (0.0, f32::INFINITY)],
        cosines: vec![f32::NAN; 36],
        ..facts()
    };
    let odd = app(odd, &SPAN.map(|(id, _)| id));
    let mut opened = paris();
    opened.inspector.inside.opened = true;
    testing::at_every_size(super::draw, vec![odd, opened, paris()]);
}
