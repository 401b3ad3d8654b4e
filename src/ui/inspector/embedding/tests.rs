//! The embedding station with the design's neighbours of ␣Paris.

use std::sync::Arc;

use crate::app::{App, Arithmetic};
use crate::engine::protocol::Embed;
use crate::inspect::trace::EmbeddingFacts;
use crate::theme::Theme;
use crate::token::TokenId;
use crate::ui::inspector::tokens::tests::{step, with};
use crate::ui::testing::design::{bare_theme, empty, theme};
use crate::ui::testing::{self, holds};

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
    let mut app = with(steps, 5);
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

/// A point of the map: one dot of a braille character, or its ASCII twin.
fn is_dot(symbol: char) -> bool {
    ('\u{2801}'..='\u{2880}').contains(&symbol) || symbol == 'o'
}

#[test]
fn a_sum_of_words_is_named_and_its_choices_are_said() {
    let mut app = paris();
    let terms = vec![(TokenId(4649), 1.0), (TokenId(7042), -1.0), (TokenId(504), 1.0)];
    let notes = vec!["The: ␣The is taken".to_owned()];
    app.inspector.embedding.arithmetic = Some(Arithmetic { text: "a".into(), terms: terms.clone(), notes });
    let (_, embed, _) = app.inspector.embedding.embeddings.last_mut().unwrap();
    embed.sum = terms;
    let seen = drawn(&app, &theme(), 120, 40);
    holds(&seen, "␣France − ␣Paris + The");
    holds(&seen, "nearest to the sum");
    holds(&seen, "␣The is taken");
}

#[test]
fn centred_cosines_are_named_so() {
    let mut app = paris();
    app.inspector.embedding.centred = true;
    holds(&drawn(&app, &theme(), 120, 40), "centred cosines within the span");
}

#[test]
fn every_form_holds_list_map_and_matrix() {
    for width in [46, 67, 100, 120] {
        for theme in [theme(), bare_theme()] {
            let seen = drawn(&paris(), &theme, width, 40);
            let blank = theme.symbols.space;
            holds(&seen, "row 7042 of the token table");
            for what in [".81", ".61", ".59", "−.20", "−.02", "length 2.20", "21 + 12 %"] {
                holds(&seen, what);
            }
            let map: Vec<&String> = seen.iter().filter(|row| row.contains(theme.symbols.decided)).collect();
            assert_eq!(map.len(), 1, "{seen:#?}");
            assert!(!seen.iter().any(|row| row.contains("unnamed")), "{seen:#?}");
            holds(&seen, &format!("{blank}Paris"));
            let dot = |row: &String| {
                row.chars().zip(row.chars().skip(1)).any(|(dot, next)| next == 'T' && is_dot(dot))
            };
            assert!(seen.iter().any(dot), "{seen:#?}");
            holds(&seen, if theme.symbols.ascii { "in table 1.79" } else { "in table 1.79–7.49" });
            holds(&seen, ".33 is what a random token gets");
            holds(&seen, "most alike");
        }
    }
}

#[test]
fn a_low_screen_shows_the_list_and_opened_the_pictures() {
    let mut app = paris();
    for (width, first) in [(46, "nearest in the whole table"), (80, "map: 6 tokens")] {
        app.inspector.inside.opened = false;
        holds(&drawn(&app, &theme(), width, 18), first);
        app.inspector.inside.opened = true;
        holds(&drawn(&app, &theme(), width, 20), "cosines within the span");
    }
}

#[test]
fn heads_are_whole_at_every_width() {
    for width in [46, 67, 80, 120] {
        let seen = drawn(&paris(), &theme(), width, 36);
        for head in ["nearest in the", "map: 6 tokens", "of the spread"] {
            let row =
                seen.iter().find(|row| row.contains(head)).unwrap_or_else(|| panic!("{head}\n{seen:#?}"));
            assert!(!row.contains('…'), "{width}: {row}");
        }
    }
}

#[test]
fn names_on_the_map_never_overlap_and_those_left_out_are_counted() {
    let mut crowded = facts();
    crowded.map = vec![(0.0, 0.0); 6];
    crowded.map[0] = (0.1, 0.0);
    let app = app(crowded, &SPAN.map(|(id, _)| id));
    let seen = drawn(&app, &theme(), 120, 30);
    assert!(seen.iter().any(|row| row.contains("The") && row.chars().any(is_dot)), "{seen:#?}");
    holds(&seen, "◆");
    holds(&seen, "2 unnamed");
}

#[test]
fn a_token_twice_in_the_span_is_one_point() {
    let app = app(facts(), &[504, 504, 282, 4649, 314, 7042]);
    holds(&drawn(&app, &theme(), 120, 30), "map: 5 tokens");
}

#[test]
fn of_a_long_span_the_last_tokens_that_fit_are_compared() {
    let mut long = facts();
    long.cosines = vec![0.5; 400];
    long.map = vec![(0.0, 0.0); 20];
    let app = app(long, &(0..20).map(|at| 400 + at).collect::<Vec<i32>>());
    holds(&drawn(&app, &theme(), 46, 40), "cosines among the last 6 of 20 tokens");
}

#[test]
fn without_a_span_or_without_facts_the_station_says_so() {
    let alone = EmbeddingFacts { cosines: Vec::new(), map: Vec::new(), ..facts() };
    holds(&drawn(&app(alone, &[]), &theme(), 67, 30), "map: no tokens to put on it");
    let mut nothing = paris();
    nothing.inspector.embedding.embeddings.clear();
    let seen = drawn(&nothing, &theme(), 67, 30);
    holds(&seen, "␣Paris itself");
    assert!(seen.iter().any(|row| row.contains("not known") || row.contains("not read")), "{seen:#?}");
    holds(&drawn(&empty(), &theme(), 46, 20), "no token on display");
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
    let good = paris();
    for width in [0, 1, 19, 20, 33, 46, 66, 67, 80, 113, 114, 120, 200] {
        for height in 0..42 {
            drawn(&odd, &theme(), width, height);
            drawn(&opened, &theme(), width, height);
            drawn(&good, &theme(), width, height);
        }
    }
}
