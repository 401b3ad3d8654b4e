//! LoRA adapters and control vectors on the default model: what they do to replies, and which files are left out.
//!
//! Invariant: what a control vector does is held against the program's own push, in which llama.cpp's way of adding it has
//! no part; on dequantised weights.

use std::path::{Path, PathBuf};

use crate::file::{self, Meta, Tensor, Tensors};
use crate::kit::{Model as Fixture, SMOLLM, exact_smollm, file as model_file};
use crate::noise::ORDER;
use glassbox::chat::{Adapter, AdapterKind, Intervention, Steering};
use glassbox::engine::protocol::{
    Directed, Direction, Event, Generate, Inspect, Job, Prompt, PromptFacts, Request,
};
use glassbox::inspect::trace::ForwardTrace;
use glassbox::models::gguf::control_vector;
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;
use tempfile::TempDir;

/// Width of the default model's stream.
const WIDTH: usize = 576;

fn adapter(kind: AdapterKind, path: &Path, scale: f32) -> Intervention {
    Intervention::Adapter(Adapter { kind, path: path.to_owned(), scale })
}

/// A LoRA adapter of rank 1 for one matrix of the default model, whose values all are as told.
fn lora(
    folder: &TempDir,
    architecture: &str,
    name: &str,
    (length, rows): (usize, usize),
    value: f32,
) -> PathBuf {
    let text = |key: &str, value: &str| (key.to_owned(), Meta::Text(value.to_owned()));
    let meta = [
        text("general.architecture", architecture),
        text("general.type", "adapter"),
        text("adapter.type", "lora"),
        ("adapter.lora.alpha".to_owned(), Meta::Float(1.0)),
    ];
    // Of both signs, so that norms do not take it away again.
    let signs = |count: usize| (0..count).map(|at| if at % 3 == 0 { value } else { -value / 2.0 }).collect();
    let tensor = |shape: [usize; 2]| Tensor {
        shape: shape.to_vec(),
        values: signs(shape[0] * shape[1]),
        halves: false,
    };
    let tensors = Tensors::from([
        (format!("{name}.lora_a"), tensor([length, 1])),
        (format!("{name}.lora_b"), tensor([1, rows])),
    ]);
    let path = folder.path().join(format!("{architecture}-{name}-{length}.gguf"));
    file::write(&path, &meta, &tensors);
    path
}

fn vector(folder: &TempDir, name: &str, directions: &[(u32, Vec<f32>)]) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, control_vector::file(name, "llama", directions)).unwrap();
    path
}

/// What the engine says of a prompt, and the ids of a greedy reply.
fn reply(model: &mut Fixture, text: &str, interventions: Vec<Intervention>) -> (PromptFacts, Vec<TokenId>) {
    let sampling = Sampling { temperature: 0.0, max_tokens: 6, seed: Some(1), ..Sampling::default() };
    let prompt = Prompt::Ids { ids: model.ids(text), taken: Vec::new(), chat: false };
    let request = Generate { prompt, sampling, top_logprobs: 1, begun: 0, interventions, allow: None };
    let (mut facts, mut ids) = (None, Vec::new());
    for event in model.handle(Request::Job(Job::Generate(Box::new(request)))) {
        match event {
            Event::Prompt(told) => facts = Some(told),
            Event::Token(written) => ids.extend(written.step.id),
            Event::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
    (facts.unwrap(), ids)
}

fn trace(
    model: &mut Fixture,
    ids: &[TokenId],
    base: Vec<Intervention>,
    push: Vec<Intervention>,
) -> ForwardTrace {
    let request = Inspect {
        ids: ids.to_vec(),
        interventions: base,
        ablations: push,
        everywhere: true,
        ..Inspect::default()
    };
    model.try_inspect(request).unwrap().trace
}

fn same(a: &ForwardTrace, b: &ForwardTrace) {
    assert_eq!(a.next[0].id, b.next[0].id);
    for one in a.next.iter().take(10) {
        let other = b.next.iter().find(|other| other.id == one.id).unwrap();
        assert!((one.logprob.exp() - other.logprob.exp()).abs() < ORDER.share(), "{one:?} {other:?}");
    }
    assert!((a.entropy - b.entropy).abs() < ORDER.nats(), "{} {}", a.entropy, b.entropy);
}

fn direct(model: &mut Fixture, towards: &str, away: &str, layer: u32) -> Directed {
    let request = Direction { towards: model.ids(towards), away: model.ids(away), layer };
    match model.answer(Request::Job(Job::Direction(Box::new(request)))) {
        Event::Directed(directed) => *directed,
        other => panic!("{other:?}"),
    }
}

fn push(directed: &Directed, layer: u32, strength: f32, first_position: bool) -> Intervention {
    Intervention::Steer(Steering {
        name: "test".into(),
        layers: vec![layer],
        strength,
        direction: directed.direction.clone(),
        first_position,
        stream: directed.stream,
    })
}

fn raw(directed: &Directed, length: f32) -> Vec<f32> {
    directed.direction.iter().map(|along| length * along).collect()
}

#[test]
fn a_control_vector_does_what_as_long_a_push_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = exact_smollm();
    for layer in [1, 12, 29] {
        // Of a text of one token the mean is the state itself, so the push's length is known.
        let directed = direct(&mut model, "warm", "cold", layer);
        let word = model.ids("warm");
        assert_eq!(word.len(), 1);
        assert!((directed.norms.0 / directed.stream - 1.0).abs() < 0.2, "{directed:?}");
        for strength in [1.0, -1.0] {
            let raw = raw(&directed, strength * directed.norms.0);
            let path = vector(&folder, &format!("{layer}{strength}.gguf"), &[(layer, raw)]);
            let by_file =
                trace(&mut model, &word, vec![adapter(AdapterKind::ControlVector, &path, 1.0)], Vec::new());
            let by_push = trace(&mut model, &word, Vec::new(), vec![push(&directed, layer, strength, true)]);
            same(&by_file, &by_push);
            assert!(by_push.kl_from_original.unwrap() > 0.05, "L{layer}: {:?}", by_push.kl_from_original);
        }
    }
}

#[test]
fn two_files_and_their_scales_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = exact_smollm();
    let ids = model.ids("The capital of France is");
    let directed = direct(&mut model, "warm summer days", "cold winter nights", 12);
    let whole = vector(&folder, "whole.gguf", &[(12, raw(&directed, 20.0)), (20, raw(&directed, -10.0))]);
    let parts = [
        vector(&folder, "one.gguf", &[(12, raw(&directed, 40.0))]),
        vector(&folder, "other.gguf", &[(20, raw(&directed, 5.0))]),
    ];
    let of = |path: &Path, scale: f32| adapter(AdapterKind::ControlVector, path, scale);
    let one = trace(&mut model, &ids, vec![of(&whole, 1.0)], Vec::new());
    let two = trace(&mut model, &ids, vec![of(&parts[0], 0.5), of(&parts[1], -2.0)], Vec::new());
    same(&one, &two);
    let plain = trace(&mut model, &ids, Vec::new(), Vec::new());
    assert!((plain.entropy - one.entropy).abs() > 10.0 * ORDER.nats());
}

#[test]
fn the_panel_s_push_written_to_a_file_leads_where_the_push_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = exact_smollm();
    let (towards, away) =
        ("I love this, it is wonderful and I am happy", "I hate this, it is terrible and I am sad");
    for layer in [10, 15] {
        let directed = direct(&mut model, towards, away, layer);
        let path =
            vector(&folder, &format!("{layer}.gguf"), &[(layer, raw(&directed, 0.2 * directed.stream))]);
        for text in ["The weather today is", "My new neighbour says that"] {
            let ids = model.ids(text);
            let by_push = trace(&mut model, &ids, Vec::new(), vec![push(&directed, layer, 0.2, false)]);
            let by_file = trace(
                &mut model,
                &ids,
                vec![adapter(AdapterKind::ControlVector, &path, 1.0)],
                vec![push(&directed, layer, 0.0, false)],
            );
            let plain = trace(&mut model, &ids, Vec::new(), Vec::new());
            let apart = |a: &ForwardTrace, b: &ForwardTrace| {
                let share = |of: &ForwardTrace, id| {
                    of.next.iter().find(|one| one.id == id).map_or(0.0, |one| one.logprob.exp())
                };
                a.next.iter().map(|one| (one.logprob.exp() - share(b, one.id)).abs()).sum::<f32>()
            };
            let (left, moved) = (apart(&by_push, &by_file), apart(&by_push, &plain));
            println!("L{layer} {text}: the push moves {moved:.3}, the file leaves {left:.3} of it");
            assert!(left < 0.25 * moved, "L{layer} {text}: {left} of {moved}");
        }
    }
}

#[test]
fn a_reply_with_an_adapter_shares_nothing_with_one_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = exact_smollm();
    let path = lora(&folder, "llama", "blk.10.ffn_down.weight", (1536, WIDTH), 0.2);
    let with = |scale: f32| vec![adapter(AdapterKind::Lora, &path, scale)];
    let text = "Once upon a time there was a king who";
    let (_, plain) = reply(&mut model, text, Vec::new());
    let (again, _) = reply(&mut model, text, Vec::new());
    let (facts, adapted) = reply(&mut model, text, with(30.0));
    assert!(again.reused > 0);
    assert_eq!((facts.reused, facts.left_out, facts.notes), (0, Vec::new(), Vec::new()));
    assert_ne!(adapted, plain);
    assert_eq!(reply(&mut model, text, with(15.0)).0.reused, 0, "another scale is another model");
    assert_eq!(reply(&mut model, text, Vec::new()), (PromptFacts { reused: 0, ..again }, plain));
}

#[test]
fn a_file_written_anew_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = exact_smollm();
    let text = "Once upon a time there was a king who";
    let path = lora(&folder, "llama", "blk.10.ffn_down.weight", (1536, WIDTH), 0.2);
    let with = vec![adapter(AdapterKind::Lora, &path, 10.0)];
    let ids = model.ids(text);
    let first = trace(&mut model, &ids, with.clone(), Vec::new());
    reply(&mut model, text, with.clone());
    let (kept, _) = reply(&mut model, text, with.clone());
    assert!(kept.reused > 0);
    let other = lora(&folder, "llama", "blk.12.attn_output.weight", (WIDTH, WIDTH), 0.3);
    std::fs::rename(other, &path).unwrap();
    let (facts, _) = reply(&mut model, text, with.clone());
    assert_eq!(facts.reused, 0);
    let second = trace(&mut model, &ids, with, Vec::new());
    let moved = (first.next[0].logprob - second.next[0].logprob).abs();
    assert!(moved > 2.0 * ORDER.nats() || first.next[0].id != second.next[0].id, "{moved}");
}

#[test]
fn a_file_that_cannot_be_used_costs_itself_and_says_why() {
    use AdapterKind::{ControlVector, Lora};

    let folder = tempfile::tempdir().unwrap();
    let mut model = exact_smollm();
    let (_, plain) = reply(&mut model, "The capital of France is", Vec::new());
    let missing = folder.path().join("missing.gguf");
    let text = folder.path().join("text.gguf");
    std::fs::write(&text, "no GGUF at all").unwrap();
    let gemma = lora(&folder, "gemma3", "blk.0.attn_q.weight", (WIDTH, WIDTH), 1.0);
    let narrow = lora(&folder, "llama", "blk.0.attn_q.weight", (64, WIDTH), 1.0);
    let unknown = lora(&folder, "llama", "blk.99.attn_q.weight", (WIDTH, WIDTH), 1.0);
    let tied = lora(&folder, "llama", "token_embd.weight", (WIDTH, 49_152), 1.0);
    let early = vector(&folder, "early.gguf", &[(0, vec![1.0; WIDTH])]);
    let wide = vector(&folder, "wide.gguf", &[(3, vec![1.0; 640])]);
    let broken = vector(&folder, "broken.gguf", &[(3, vec![f32::NAN; WIDTH])]);
    for (kind, path, says) in [
        (Lora, &missing, "there is no such file"),
        (Lora, &text, "not a GGUF file"),
        (Lora, &model_file(SMOLLM), "it is a model, not a LoRA adapter"),
        (Lora, &gemma, "architecture gemma3, and this is llama"),
        (Lora, &narrow, "made for another model"),
        (Lora, &unknown, "which this model does not have"),
        (Lora, &tied, "also makes its logits with"),
        (Lora, &wide, "it is a control vector"),
        (ControlVector, &early, "after layer 0"),
        (ControlVector, &wide, "have 640 values"),
        (ControlVector, &broken, "not a number"),
        (ControlVector, &narrow, "it is a LoRA adapter"),
    ] {
        let change = adapter(kind, path, 1.0);
        let (facts, ids) = reply(&mut model, "The capital of France is", vec![change.clone()]);
        assert_eq!(ids, plain);
        assert_eq!(facts.left_out.first(), change.adapter());
        assert!(facts.notes.iter().any(|note| note.contains(says)), "{path:?}: {:?}", facts.notes);
        let request = Inspect { ids: model.ids("a"), interventions: vec![change], ..Inspect::default() };
        let refused = model.try_inspect(request).unwrap_err().message;
        assert!(refused.contains(says), "a figure without it would be of another model: {refused}");
    }
}
