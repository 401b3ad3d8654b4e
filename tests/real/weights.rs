//! Weights of the two default models, read from their files: neighbours in the embedding table against
//! transformers' (see `data/reference/README.md`), columns against rows.
//!
//! Invariant: no model is loaded; everything comes from the files.

use crate::kit;
use std::sync::Arc;

use glassbox::engine::analysis::embeddings::{MAX_SPAN, TABLE, Table, embed};
use glassbox::engine::model::weights::Weights;
use glassbox::engine::protocol::Embed;
use glassbox::inspect::embedding::{dot, norm};
use glassbox::inspect::trace::EmbeddingFacts;
use glassbox::models::gguf::SharedHeader;
use glassbox::token::TokenId;

fn weights(variable: &str) -> Arc<Weights> {
    Arc::new(Weights::new(Arc::new(SharedHeader::open(&kit::file(variable)).unwrap())))
}

fn smollm() -> Arc<Weights> {
    weights(kit::SMOLLM)
}

fn gemma() -> Arc<Weights> {
    weights(kit::GEMMA)
}

fn reference(file: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(kit::references().join(file)).unwrap()).unwrap()
}

fn id(value: &serde_json::Value) -> TokenId {
    TokenId(i32::try_from(value.as_i64().unwrap()).unwrap())
}

fn ask(table: &mut Table, sum: &[(TokenId, f32)], neighbours: u32, span: &[TokenId]) -> EmbeddingFacts {
    embed(table, None, &Embed { sum: sum.to_vec(), neighbours, span: span.to_vec(), ..Embed::default() })
        .unwrap()
}

fn neighbours_are_transformers(weights: &Arc<Weights>, file: &str) {
    let reference = reference(file);
    let words = reference["embedding_neighbours"].as_array().unwrap();
    let mut table = Table::new(Arc::clone(weights));
    let mut worst = 0.0_f64;
    for word in words {
        let nearest = word["nearest"].as_array().unwrap();
        let facts = ask(&mut table, &[(id(&word["id"]), 1.0)], nearest.len() as u32, &[]);
        let wanted = word["norm"].as_f64().unwrap();
        assert!(
            (f64::from(facts.norm) / wanted - 1.0).abs() < 0.03,
            "{}: {} {wanted}",
            word["word"],
            facts.norm
        );
        assert_eq!(facts.neighbours.len(), nearest.len());
        for (found, wanted) in facts.neighbours.iter().zip(nearest) {
            let difference = (f64::from(found.1) - wanted["cosine"].as_f64().unwrap()).abs();
            assert!(difference < 0.01, "{}: {found:?} {wanted}", word["word"]);
            worst = worst.max(difference);
            let known = nearest.iter().any(|other| id(&other["id"]) == found.0);
            assert!(known, "{}: {found:?} {nearest:?}", word["word"]);
        }
        println!("{file} {}: {} ms", word["word"], facts.ms);
    }
    println!("{file}: largest difference of a cosine {worst:.6}");
}

#[test]
fn smollm_neighbours_are_transformers() {
    neighbours_are_transformers(&smollm(), "smollm2-135m-instruct-q4_1.json");
}

#[test]
fn gemma_neighbours_are_transformers() {
    neighbours_are_transformers(&gemma(), "gemma-3-270m-q4_k_m.json");
}

#[test]
fn columns_are_those_of_the_rows_in_every_format_of_the_two_models() {
    for (weights, layers) in [(smollm(), 30), (gemma(), 18)] {
        for layer in [0, layers - 1] {
            for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"] {
                let name = format!("blk.{layer}.{name}.weight");
                let (length, rows) = weights.shape(&name).unwrap();
                let whole = weights.vector(&name).unwrap();
                assert_eq!(whole.len(), length * rows);
                assert!(whole.iter().all(|value| value.is_finite()), "{name}");
                let asked = [0, 31, 32, length / 2, length - 1];
                for (column, values) in asked.iter().zip(weights.columns(&name, &asked).unwrap()) {
                    let wanted: Vec<f32> = whole.iter().skip(*column).step_by(length).copied().collect();
                    assert_eq!(values, wanted, "{name} column {column}");
                }
                assert_eq!(weights.row(&name, rows - 1).unwrap(), whole[(rows - 1) * length..]);
            }
        }
    }
}

#[test]
fn a_sum_of_one_row_and_its_negative_is_near_nothing() {
    let mut table = Table::new(smollm());
    let facts = ask(&mut table, &[(TokenId(4197), 1.0), (TokenId(4197), -1.0)], 5, &[]);
    assert!(facts.norm <= 0.0);
    assert!(facts.neighbours.is_empty());
}

#[test]
fn a_sum_of_rows_has_the_neighbours_of_the_sum() {
    let weights = smollm();
    let ids = [TokenId(4197), TokenId(7042)];
    let rows: Vec<Vec<f32>> = ids.iter().map(|id| weights.row(TABLE, id.0 as usize).unwrap()).collect();
    let sum: Vec<f32> = rows[0].iter().zip(&rows[1]).map(|(a, b)| a - b).collect();
    let facts = ask(&mut Table::new(Arc::clone(&weights)), &[(ids[0], 1.0), (ids[1], -1.0)], 8, &[]);
    assert!((facts.norm - norm(&sum)).abs() < 1e-4);
    assert!(facts.neighbours.is_sorted_by(|a, b| a.1 >= b.1));
    for (near, cosine) in facts.neighbours {
        assert!(!ids.contains(&near));
        let row = weights.row(TABLE, near.0 as usize).unwrap();
        assert!((dot(&row, &sum) / norm(&row) / norm(&sum) - cosine).abs() < 1e-4);
    }
}

#[test]
fn a_span_has_its_cosines_and_a_map_and_needs_no_neighbours() {
    let king = TokenId(4197);
    let span = [king, TokenId(3261), TokenId(7042), king];
    let facts = ask(&mut Table::new(smollm()), &[(king, 1.0)], 0, &span);
    assert!(facts.neighbours.is_empty());
    assert_eq!(facts.cosines.len(), 16);
    assert_eq!(facts.mapped, span[..3], "a token is mapped once, however often it stands in the span");
    assert_eq!(facts.map.len(), 3);
    // The nearest of the reference.
    assert!((facts.cosines[1] - 0.81539).abs() < 0.01 && facts.cosines[3] > 0.9999, "{:?}", facts.cosines);
    assert!(facts.map[0] != facts.map[1] && facts.map[0] != facts.map[2], "{:?}", facts.map);
    let (first, second) = facts.explained;
    assert!(first >= second && first + second > 0.999, "three points lie in a plane: {:?}", facts.explained);
}

#[test]
fn what_the_table_does_not_have_is_refused_in_a_sentence() {
    let mut table = Table::new(smollm());
    for id in [-1, 49_152, i32::MAX] {
        let request = Embed { sum: vec![(TokenId(id), 1.0)], neighbours: 1, ..Embed::default() };
        let failure = embed(&mut table, None, &request).unwrap_err();
        assert!(failure.message.contains(&id.to_string()), "{failure}");
    }
    let request = Embed { span: vec![TokenId(0); MAX_SPAN + 1], ..Embed::default() };
    assert!(embed(&mut table, None, &request).is_err());
}

#[test]
fn a_span_as_long_as_is_allowed_is_mapped_at_once() {
    let span: Vec<TokenId> = (0..).map(|at| TokenId(at * 7)).take(MAX_SPAN).collect();
    let facts = ask(&mut Table::new(smollm()), &[], 0, &span);
    println!("a map of {MAX_SPAN} tokens: {} ms", facts.ms);
    assert_eq!(facts.map.len(), MAX_SPAN);
    assert!(facts.map.iter().all(|(x, y)| x.abs() <= 1.0 && y.abs() <= 1.0));
    assert!(facts.map.iter().any(|(x, y)| x.abs().max(y.abs()) > 0.9999));
}
