//! Replies drafted by a file's own layer for multi-token prediction.
//!
//! Invariant: a reply of the likeliest tokens is the one without drafts, whatever the layer guesses; where it guesses
//! right it is used, on a model whose past can be cut and on one whose past is one state.

use glassbox::engine::protocol::Want;
use glassbox::inspect::trace::{Component, PositionKind};
use glassbox::model_entry::{LoadParams, Speculative};
use glassbox::sampling::Sampling;

use crate::family::{Family, families};
use crate::fixture::{Fixture, Worst};
use crate::gguf::{self, Maker, Meta, Tensor, Tensors};
use crate::reference::Reference;
use crate::thinking::{Reply, reply};
use crate::{exact, id, ids, log_softmax, tokens};

/// Tokens of a reply.
const TOKENS: u32 = 48;

fn drafting() -> LoadParams {
    LoadParams { speculative: Speculative::Mtp, ..exact() }
}

/// A family whose file holds such a layer, and whose matrix of the output is its own.
fn family() -> Family {
    let found = families().into_iter().find(|family| family.foreseeing > 0).unwrap();
    Family { tied: false, ..found }
}

/// Has each token be followed by one that hangs on it alone, and the layer know which: blocks add next to nothing, and
/// the layer reads the token and leaves the state aside.
fn foreseeable(tensors: &mut Tensors, layers: usize, width: usize) {
    for (name, tensor) in tensors.iter_mut() {
        let adds =
            ["attn_output.weight", "ffn_down.weight", "ssm_out.weight"].iter().any(|end| name.ends_with(end));
        let factor = match name.as_str() {
            "output.weight" => 8.0,
            _ if adds => 0.02,
            _ => continue,
        };
        tensor.values.iter_mut().for_each(|value| *value *= factor);
    }
    let own = |part: &str| format!("blk.{layers}.nextn.{part}.weight");
    tensors.get_mut(&own("enorm")).unwrap().values.fill(1.0);
    let last = tensors["output_norm.weight"].values.clone();
    tensors.get_mut(&own("shared_head_norm")).unwrap().values = last;
    let project = tensors.get_mut(&own("eh_proj")).unwrap();
    for (at, value) in project.values.iter_mut().enumerate() {
        *value = f32::from(u8::from(at % (2 * width) == at / (2 * width)));
    }
}

/// The likeliest tokens, of a prompt in which nothing stands twice, so that nothing is looked up in it.
fn likeliest(model: &mut Fixture) -> Reply {
    let sampling = Sampling { temperature: 0.0, max_tokens: TOKENS, ..Sampling::default() };
    reply(model, &tokens(), &[], sampling)
}

fn drafted(reply: &Reply) -> usize {
    reply.written.iter().filter(|one| one.drafted).count()
}

/// The same reply with and without drafts; gives how many of its tokens were drafted.
fn stays(architecture: &str, meta: &[(String, Meta)], tensors: &Tensors) -> usize {
    let open = |params: &LoadParams| Fixture::new(architecture, meta.to_vec(), tensors, params);
    let plain = likeliest(&mut open(&exact()));
    let mut model = open(&drafting());
    assert!(!model.loaded.notes.iter().any(|note| note.contains("multi-token")), "{:?}", model.loaded.notes);
    let foreseen = likeliest(&mut model);
    assert_eq!(foreseen.ids(), plain.ids(), "{architecture}");
    assert_eq!(drafted(&plain), 0);
    // The past is in place afterwards: the same again, and a pass of it opened.
    let again = likeliest(&mut model);
    assert_eq!(again.ids(), plain.ids(), "{architecture}, again");
    let seen = model.inspect(&ids(&tokens()), Want { lens: true, ..Want::default() }).trace;
    assert_eq!(Some(seen.next[0].id), plain.written[0].step.id);
    drafted(&foreseen)
}

#[test]
fn what_the_layer_foresees_is_used_and_changes_no_reply() {
    let family = family();
    let meta = gguf::metadata(&family);
    let mut tensors = gguf::tensors(&family);
    // Random weights: hardly anything is foreseen, and what is drafted is taken back.
    stays(family.architecture, &meta, &tensors);
    foreseeable(&mut tensors, family.layers, family.width);
    let drafted = stays(family.architecture, &meta, &tensors);
    assert!(drafted > TOKENS as usize / 2, "{drafted} of {TOKENS} were drafted");
}

/// Two blocks as Qwen3.5's files have them: one with a state (gated delta net), one with gated attention.
fn hybrid() -> (Family, Vec<(String, Meta)>, Tensors) {
    const STATE: usize = 16;
    const VALUES: usize = 2;
    let family = Family { architecture: "qwen35", layers: 2, gated_attention: true, ..family() };
    let mut tensors = gguf::tensors(&family);
    tensors.retain(|name, _| !name.starts_with("blk.0.attn_") || name == "blk.0.attn_norm.weight");
    let mut maker = Maker::new("delta");
    let (inner, mixed) = (VALUES * STATE, 2 * VALUES * STATE + VALUES * STATE);
    maker.matrix("blk.0.attn_qkv", &[family.width, mixed], 1.4);
    maker.matrix("blk.0.attn_gate", &[family.width, inner], 1.4);
    maker.matrix("blk.0.ssm_conv1d", &[4, mixed], 1.4);
    maker.bias("blk.0.ssm_dt", VALUES, true);
    maker.put("blk.0.ssm_a", &[VALUES], -1.0, 0.2);
    maker.matrix("blk.0.ssm_beta", &[family.width, VALUES], 1.0);
    maker.matrix("blk.0.ssm_alpha", &[family.width, VALUES], 1.0);
    maker.norm("blk.0.ssm_norm", STATE, false);
    maker.matrix("blk.0.ssm_out", &[inner, family.width], 1.4);
    tensors.extend(maker.tensors);
    let mut meta = gguf::metadata(&family);
    meta.retain(|(name, _)| !name.ends_with("full_attention_interval"));
    meta.push(("qwen35.full_attention_interval".to_owned(), Meta::Count(2)));
    (family, meta, tensors)
}

#[test]
fn a_past_that_is_one_state_is_taken_back_as_far_as_the_layer_guesses() {
    let (family, meta, mut tensors) = hybrid();
    stays("qwen35", &meta, &tensors);
    foreseeable(&mut tensors, family.layers, family.width);
    let drafted = stays("qwen35", &meta, &tensors);
    assert!(drafted > TOKENS as usize / 2, "{drafted} of {TOKENS} were drafted");
}

#[test]
fn a_file_without_such_a_layer_says_so_and_writes_all_the_same() {
    let (mut model, _) = crate::load(crate::family::LLAMA, &drafting());
    let said = model.loaded.notes.iter().filter(|note| note.contains("no layer for multi-token prediction"));
    assert_eq!(said.count(), 1, "{:?}", model.loaded.notes);
    assert_eq!(likeliest(&mut model).written.len(), TOKENS as usize);
}

#[test]
fn what_a_block_with_a_state_adds_is_told_apart_and_can_be_switched_off() {
    let (family, meta, tensors) = hybrid();
    let mut model = Fixture::new("qwen35", meta, &tensors, &exact());
    let wanted = Want { lens: true, attribution: Some((id(3), id(4))), ..Want::default() };
    let trace = model.inspect(&ids(&tokens()), wanted).trace;
    assert_eq!(trace.missing, Vec::<String>::new());
    let mut worst = Worst::new("qwen35");
    let found = trace.attribution.unwrap();
    assert_eq!((found.parts.len(), found.heads.len()), (2 * family.layers + 1, family.heads));
    let shown: f64 = found.parts.iter().map(|part| f64::from(part.logit_difference)).sum();
    worst.hold("rows", shown as f32, f64::from(found.difference));
    worst.hold("closure", found.closure_error, 0.0);
    assert!(trace.lens.unwrap().rows[1..].iter().all(|row| row.attention_added > 0.0 && row.ffn_added > 0.0));
    let parts = [
        (Component::Attention(0), "blk.0.ssm_out.weight"),
        (Component::Ffn(0), "blk.0.ffn_down.weight"),
        (Component::Attention(1), "blk.1.attn_output.weight"),
    ];
    for (part, weight) in parts {
        let off = model.ablated(&ids(&tokens()), &[part], true);
        let (_, meta, mut without) = hybrid();
        without.get_mut(weight).unwrap().values.fill(0.0);
        let mut file = Fixture::new("qwen35", meta, &without, &exact());
        let plain = file.inspect(&ids(&tokens()), Want::default()).trace;
        for (ours, theirs) in off.next.iter().zip(&plain.next) {
            assert_eq!(ours.id, theirs.id, "{part}");
            worst.hold(&part.to_string(), ours.logprob, f64::from(theirs.logprob));
        }
    }
    worst.finish();
}

#[test]
fn gated_attention_beside_a_state_is_the_references() {
    // The block with a state adds nothing, so that the other one alone is a model that the reference knows.
    let (family, meta, mut tensors) = hybrid();
    for name in ["blk.0.ssm_out.weight", "blk.0.ffn_down.weight"] {
        tensors.get_mut(name).unwrap().values.fill(0.0);
    }
    let mut model = Fixture::new("qwen35", meta, &tensors, &exact());
    let alone = Family { layers: 1, ..family };
    let renamed = tensors.iter().filter_map(|(name, tensor)| {
        let name = match name.strip_prefix("blk.1.") {
            Some(part) => format!("blk.0.{part}"),
            None => Some(name.clone()).filter(|name| !name.starts_with("blk."))?,
        };
        Some((name, Tensor { shape: tensor.shape.clone(), values: tensor.values.clone(), halves: false }))
    });
    let reference = Reference::new(alone, &renamed.collect());
    let pass = reference.pass(&tokens(), &|_, _| false);
    let mut worst = Worst::new("qwen35");
    let everything = Want { lens: true, overview: true, attention: vec![1], ..Want::default() };
    let seen = model.inspect(&ids(&tokens()), everything).trace;
    assert_eq!(seen.missing, Vec::<String>::new());
    let rows = &seen.lens.as_ref().unwrap().rows;
    worst.hold_all(
        "nothing added",
        &[rows[1].attention_norm, rows[1].ffn_norm, rows[1].attention_added],
        &[0.0; 3],
    );
    let logprobs = log_softmax(&pass.logits);
    for next in &seen.next {
        worst.hold("next", next.logprob, logprobs[next.id.0 as usize]);
    }
    let attention = seen.attention.unwrap();
    for (head, row) in attention.layers[0].heads.iter().enumerate() {
        worst.hold_all("weights", &row.weights, &pass.blocks[0].weights[head]);
        worst.hold_all("scores", &row.scores, &pass.blocks[0].scores[head]);
        // A gate stands between a value and its way into the stream.
        assert_eq!(row.value_norms, Vec::<f32>::new());
    }
    worst.finish();
    let rotation = Want { rotation: Some((1, 0, 60)), ..Want::default() };
    let rotation = model.inspect(&ids(&tokens()), rotation).trace.rotation.unwrap();
    assert_eq!(rotation.kind, PositionKind::RopeNeox);
}
