//! A second model held against the loaded one: figures against distributions that were read one by one, and nothing left
//! behind in the chat's cache.
//!
//! Invariant: both models are the default one with exact arithmetic, so that what they differ by is the change alone.

use glassbox::chat::Intervention;
use glassbox::engine::protocol::{Contrasting, Event, FailureKind, Job, Part, Replay, Request};
use glassbox::inspect::contrast::{Contrast, Summary};
use glassbox::model_entry::{LoadParams, ModelEntry, Source};
use glassbox::token::TokenId;

use crate::kit::{Model as Fixture, dequantized, exact_smollm};

const TEXT: &str = "The capital of France is Paris, and the capital of Italy is Rome.";

fn against(parts: Vec<Part>, params: LoadParams, interventions: Vec<Intervention>) -> Request {
    let other = Box::new(ModelEntry::new("other", Source::Path("other.gguf".into())));
    Request::Job(Job::Contrast(Box::new(Contrasting { other, params, parts, interventions })))
}

/// What came of each part, in order.
fn contrasts(model: &mut Fixture, request: Request) -> Vec<Vec<Contrast>> {
    let mut events = model.handle(request);
    assert!(matches!(events.pop(), Some(Event::Contrasted(_))), "{events:?}");
    let mut parts: Vec<Vec<Contrast>> = Vec::new();
    for event in events {
        if let Event::Contrasts { part, tokens, .. } = event {
            parts.resize_with((part as usize + 1).max(parts.len()), Vec::new);
            parts[part as usize].extend(tokens);
        }
    }
    parts
}

/// ln p of every token after these.
fn logprobs(model: &mut Fixture, ids: &[TokenId], interventions: &[Intervention]) -> Vec<f64> {
    let request =
        Replay { ids: ids.to_vec(), interventions: interventions.to_vec(), logits: true, chain: None };
    let Some(Event::Replayed(replayed)) = model.handle(Request::Job(Job::Replay(Box::new(request)))).pop()
    else {
        panic!("no distribution came")
    };
    let logits: Vec<f64> = replayed.unpack().into_iter().map(f64::from).collect();
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let normaliser = most + logits.iter().map(|logit| (logit - most).exp()).sum::<f64>().ln();
    logits.into_iter().map(|logit| logit - normaliser).collect()
}

#[test]
fn a_divergence_is_that_of_the_two_distributions_read_one_by_one() {
    let mut model = exact_smollm();
    let ids = model.ids(TEXT);
    let changes = vec![Intervention::ZeroFfn { layer: 12 }];
    let part = Part { ids: ids.clone(), from: 4 };
    let found = contrasts(&mut model, against(vec![part], dequantized(), changes.clone())).remove(0);
    assert_eq!(found.len(), ids.len() - 4);
    for (index, token) in found.iter().enumerate() {
        let (read, drawn) = (&ids[..index + 4], ids[index + 4].0 as usize);
        let p = logprobs(&mut model, read, &changes);
        let q = logprobs(&mut model, read, &[]);
        let kl: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
        assert!((f64::from(token.kl) - kl).abs() < 1e-4 + kl * 1e-3, "{index}: {token:?}, {kl}");
        assert!((f64::from(token.logprob[0]) - p[drawn]).abs() < 1e-3, "{index}: {token:?}");
        assert!((f64::from(token.logprob[1]) - q[drawn]).abs() < 1e-3, "{index}: {token:?}");
        for (first, all) in token.first.iter().zip([&p, &q]) {
            let most = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!((all[first.id.0 as usize] - most).abs() < 1e-3, "{index}: {token:?}");
        }
    }
    let summary = Summary::of(&found).unwrap();
    assert!(summary.mean_kl > 0.001, "a block without its feed-forward part is another model: {summary:?}");
}

#[test]
fn a_model_held_against_itself_parts_nowhere_and_leaves_the_chat_alone() {
    let mut model = exact_smollm();
    let ids = model.ids(TEXT);
    let before = model.handle(Request::Job(Job::Replay(Box::new(Replay {
        ids: ids.clone(),
        interventions: Vec::new(),
        logits: true,
        chain: None,
    }))));
    let parts = vec![Part { ids: ids.clone(), from: 0 }, Part { ids: ids[..6].to_vec(), from: 3 }];
    let found = contrasts(&mut model, against(parts, dequantized(), Vec::new()));
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [ids.len() - 1, 3]);
    let most = found.iter().flatten().map(|token| token.kl).fold(0.0, f32::max);
    assert!(most < 1e-4, "{most}");
    assert!(found.iter().flatten().all(|token| !token.is_changed()));
    assert!(matches!(before.last(), Some(Event::Replayed(_))));
}

#[test]
fn what_cannot_be_held_against_is_refused_with_why() {
    let mut model = exact_smollm();
    let long = Part { ids: vec![TokenId(1); 5000], from: 1 };
    let foreign = Part { ids: vec![TokenId(1), TokenId(1 << 30)], from: 1 };
    for (part, kind) in [(long, FailureKind::ContextFull), (foreign, FailureKind::Other)] {
        let events = model.handle(against(vec![part], dequantized(), Vec::new()));
        let Some(Event::Failed(failure)) = events.last() else { panic!("{events:?}") };
        assert_eq!(failure.kind, kind, "{failure}");
    }
}
