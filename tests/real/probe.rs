//! Values copied out of passes on the two default models: those that are read late, at few stops, are those that are
//! read as soon as they are computed.
//!
//! Invariant: one model at a time, in this process's own memory; nothing is kept from test to test.

use std::sync::Arc;

use crate::kit::{GEMMA, SMOLLM, file, loading};
use glassbox::engine::probe::{Captured, Layers, Plan};
use glassbox::engine::session::Session;
use glassbox::model_entry::LoadParams;
use glassbox::models::gguf::Header;
use glassbox::token::TokenId;

/// Both test models on their own, with room for a text that goes beyond Gemma's window of 512 tokens.
fn on_both_models(claim: impl Fn(&mut Session, &str)) {
    for variable in [SMOLLM, GEMMA] {
        let path = file(variable);
        let facts = Header::read(&path).unwrap().facts().clone();
        let params = LoadParams { context: 1024, ..LoadParams::default() };
        let alone = loading();
        let (mut session, _) = Session::load(&path, &facts, &params, Arc::default(), |_| {}).unwrap();
        drop(alone);
        claim(&mut session, variable);
    }
}

/// What the pass over the last of these tokens shows, and after how many nodes it stopped.
fn captured(session: &mut Session, ids: &[TokenId], plan: &Plan) -> (Captured, u64) {
    let (last, before) = ids.split_last().unwrap();
    let from = session.reuse(before, &[]);
    session.read(before, from, |_, _| {}).unwrap();
    session.probe().plan(plan.clone());
    let stops = session.probe().stops();
    session.step(*last).unwrap();
    let stops = session.probe().stops() - stops;
    session.probe().plan(Plan::default());
    (session.probe().take(), stops)
}

#[test]
fn values_that_are_read_late_are_those_read_at_once() {
    let plan = Plan { residual: true, pattern: Layers::All, ..Plan::default() };
    on_both_models(|session, name| {
        let ids: Vec<TokenId> =
            session.model().tokenize(&"The sea is wide, and so is the sky. ".repeat(70), false);
        for length in [9, 200, 600] {
            // Another plan makes what was learnt void.
            captured(session, &ids[..length], &Plan { z: true, ..Plan::default() });
            let (at_once, stops) = captured(session, &ids[..length], &plan);
            for _ in 0..2 {
                let (late, fewer) = captured(session, &ids[..length], &plan);
                println!("{name}, {length} tokens: {fewer} stops instead of {stops}");
                assert!(late == at_once, "{name}, {length} tokens");
                assert!(3 * fewer <= 2 * stops, "{name}: {fewer} stops instead of {stops}");
            }
        }
    });
}

#[test]
fn a_growing_text_keeps_what_is_captured_whole() {
    let plan = Plan { residual: true, pattern: Layers::All, ..Plan::default() };
    on_both_models(|session, name| {
        let ids: Vec<TokenId> =
            session.model().tokenize(&"The sea is wide, and so is the sky. ".repeat(70), false);
        let from = session.reuse(&ids[..240], &[]);
        session.read(&ids[..240], from, |_, _| {}).unwrap();
        session.probe().plan(plan.clone());
        // Past 256 cells llama.cpp makes another graph, in other memory.
        for (at, id) in ids[240..280].iter().enumerate() {
            session.step(*id).unwrap();
            let captured = session.probe().take();
            assert_eq!(captured.missing, Vec::<String>::new(), "{name}");
            let mut stream = &captured.embedding;
            for (number, layer) in captured.layers.iter().enumerate() {
                let place = format!("{name}, token {}, layer {number}", 240 + at);
                let width = stream.len();
                let all = [&layer.attn_out, &layer.resid_mid, &layer.ffn_out, &layer.resid_post];
                assert!(width > 0 && all.iter().all(|values| values.len() == width), "{place}");
                // Gemma norms what a block gives before it is added.
                if name == SMOLLM {
                    let sum =
                        |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
                    assert_eq!(layer.resid_mid, sum(&layer.attn_out, stream), "{place}");
                    assert_eq!(layer.resid_post, sum(&layer.ffn_out, &layer.resid_mid), "{place}");
                }
                for row in &layer.pattern {
                    assert_eq!(row.len(), 241 + at, "{place}");
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{place}");
                }
                stream = &layer.resid_post;
            }
        }
        session.probe().plan(Plan::default());
    });
}
