//! Passes of many families opened, on tiny models whose files the tests write, against a transformer written out
//! plainly in 64-bit floats over the same weights.
//!
//! Invariant: every figure is held against one that the program had no part in; what a family lacks is named.

#![cfg(feature = "llama")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "every function here is part of a test, and tells what it measured"
)]

mod adapted;
mod family;
mod file;
mod fixture;
mod gguf;
#[path = "../real/kit.rs"]
mod kit;
mod lacking;
mod mtp;
mod prompts;
mod recurrent;
mod reference;
mod thinking;

use std::ops::DerefMut;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use glassbox::engine::protocol::{Embed, Want};
use glassbox::inspect::trace::{Attention, Component, PositionKind};
use glassbox::model_entry::{CacheType, FlashAttention, LoadParams};
use glassbox::token::TokenId;

use self::family::{Family, Position, VOCABULARY, families};
use self::fixture::{Fixture, Worst};
use self::gguf::Tensors;
use self::reference::{Block, Off, Pass, Reference, Vector, centred, dot, length, softmax};

/// Tokens of the pass; more than a window, than a micro-batch of 32 and than a tile of flash attention.
const TOKENS: usize = 70;

/// A position that every window at the last still holds.
const NEAR: usize = TOKENS - 5;

/// How far single figures of flash attention may be off: a number that lies between two halves goes to either, and
/// what follows differs by a half's last bit.
const TIES: f64 = 5e-3;

fn exact() -> LoadParams {
    LoadParams {
        context: 200,
        threads: Some(1),
        cache_type_k: CacheType::F32,
        cache_type_v: CacheType::F32,
        flash_attention: FlashAttention::Off,
        ..LoadParams::default()
    }
}

fn tokens() -> Vec<usize> {
    let mut state = 5_usize;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % 300
    };
    (0..TOKENS).map(|_| draw()).collect()
}

fn id(token: usize) -> TokenId {
    TokenId(i32::try_from(token).unwrap())
}

fn ids(tokens: &[usize]) -> Vec<TokenId> {
    tokens.iter().copied().map(id).collect()
}

type Loaded = (Fixture, Reference);

fn load(family: Family, params: &LoadParams) -> Loaded {
    load_with(family, &gguf::tensors(&family), params)
}

fn load_with(family: Family, tensors: &Tensors, params: &LoadParams) -> Loaded {
    let fixture = Fixture::new(family.architecture, gguf::metadata(&family), tensors, params);
    let mut reference = Reference::new(family, tensors);
    reference.flash = params.flash_attention == FlashAttention::On;
    (fixture, reference)
}

/// Runs a claim on every family as it is loaded with [`exact`].
fn on_each(claim: impl Fn(&mut Fixture, &Reference, &mut Worst)) {
    static LOADED: OnceLock<Vec<Mutex<Loaded>>> = OnceLock::new();
    let loaded = LOADED
        .get_or_init(|| families().into_iter().map(|family| Mutex::new(load(family, &exact()))).collect());
    hold(loaded.iter().map(|one| one.lock().unwrap_or_else(PoisonError::into_inner)), claim);
}

/// Runs a claim on every family, loaded again.
fn on_each_with(params: &LoadParams, claim: impl Fn(&mut Fixture, &Reference, &mut Worst)) {
    hold(families().into_iter().map(|family| Box::new(load(family, params))), claim);
}

fn hold(
    loaded: impl Iterator<Item = impl DerefMut<Target = Loaded>>,
    claim: impl Fn(&mut Fixture, &Reference, &mut Worst),
) {
    let mut failed = Vec::new();
    for mut one in loaded {
        let (fixture, reference) = &mut *one;
        let name = reference.family.name;
        let held = catch_unwind(AssertUnwindSafe(|| {
            let mut worst = Worst::new(name);
            claim(fixture, reference, &mut worst);
            worst.finish();
        }));
        if held.is_err() {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "fails for {failed:?}");
}

#[test]
fn with_a_lora_adapter_every_figure_is_that_of_the_merged_weights() {
    let adapted = families().into_iter().map(|family| Box::new(adapted::load(family)));
    hold(adapted, |fixture, reference, worst| {
        (0..3).for_each(|_| lens_holds(fixture, reference, worst));
        attention_holds(&attention_of(fixture), &plain(reference), &reference.family, worst);
        pushes_hold(fixture, reference, worst);
        parts_off_hold(fixture, reference, worst);
        neurons_hold(fixture, reference, worst);
    });
}

fn plain(reference: &Reference) -> Pass {
    reference.pass(&tokens(), &|_, _| false)
}

fn log_softmax(logits: &[f64]) -> Vector {
    softmax(logits.iter().copied()).iter().map(|p| p.ln()).collect()
}

#[test]
fn the_logits_and_every_depth_of_the_lens_are_the_references() {
    // The first pass stops at each value; by what it shows of the graph the next ones read several at one stop.
    on_each(|fixture, reference, worst| (0..3).for_each(|_| lens_holds(fixture, reference, worst)));
}

fn lens_holds(fixture: &mut Fixture, reference: &Reference, worst: &mut Worst) {
    let pass = plain(reference);
    let trace = fixture.inspect(&ids(&tokens()), Want { lens: true, ..Want::default() }).trace;
    assert_eq!(trace.missing, Vec::<String>::new(), "{}", worst.family);
    let logprobs = log_softmax(&pass.logits);
    for next in &trace.next {
        worst.hold("next", next.logprob, logprobs[next.id.0 as usize]);
    }
    let streams = std::iter::once(&pass.embedding).chain(pass.blocks.iter().map(|block| &block.after));
    let lens = trace.lens.unwrap();
    assert_eq!(lens.rows.len(), reference.family.layers + 1);
    for (depth, (row, stream)) in lens.rows.iter().zip(streams).enumerate() {
        let (_, logits) = reference.unembed(stream);
        let here = log_softmax(&logits);
        for top in &row.top {
            worst.hold("lens", top.logprob, here[top.id.0 as usize]);
        }
        let kl: f64 = logprobs.iter().zip(&here).map(|(p, q)| p.exp() * (p - q)).sum();
        worst.hold("KL", row.kl, kl);
        worst.hold("residual norm", row.norm, length(stream));
        if let Some(block) = depth.checked_sub(1).map(|layer| &pass.blocks[layer]) {
            worst.hold("attention norm", row.attention_norm, length(&block.attention_out));
            worst.hold("feed-forward norm", row.ffn_norm, length(&block.ffn_out));
            worst.hold("attention added", row.attention_added, length(&block.attention_added));
            worst.hold("feed-forward added", row.ffn_added, length(&block.ffn_added));
        }
    }
    assert!(lens.rows.last().unwrap().kl < 1e-6, "{}", worst.family);
}

fn attention_holds(attention: &Attention, pass: &Pass, family: &Family, worst: &mut Worst) {
    assert_eq!(attention.overview.len(), family.layers, "{}", family.name);
    for (layer, block) in attention.layers.iter().zip(&pass.blocks) {
        let window = family.window(layer.layer as usize);
        assert_eq!(layer.window, window.map(|window| window as u32), "{}", family.name);
        assert_eq!(layer.heads.len(), family.heads);
        for (head, row) in layer.heads.iter().enumerate() {
            assert_eq!(row.weights.len(), TOKENS);
            assert!((row.weights.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{}", family.name);
            let hidden = window.map_or(0, |window| TOKENS - window);
            assert!(row.weights[..hidden].iter().all(|weight| *weight == 0.0));
            worst.hold_all("weights", &row.weights, &block.weights[head]);
            worst.hold_all("scores", &row.scores, &block.scores[head]);
            worst.hold_all("value norms", &row.value_norms, &block.value_norms[head]);
        }
    }
}

fn attention_of(fixture: &mut Fixture) -> Attention {
    let want = Want { attention: vec![0, 1, 2], overview: true, ..Want::default() };
    fixture.inspect(&ids(&tokens()), want).trace.attention.unwrap()
}

#[test]
fn attention_is_the_references() {
    on_each(|fixture, reference, worst| {
        let attention = attention_of(fixture);
        assert!(!attention.flash);
        attention_holds(&attention, &plain(reference), &reference.family, worst);
    });
}

#[test]
fn attention_is_the_references_with_flash_attention_too() {
    let params = LoadParams { flash_attention: FlashAttention::On, ..exact() };
    on_each_with(&params, |fixture, reference, worst| {
        worst.most = TIES;
        let attention = attention_of(fixture);
        assert!(attention.flash);
        attention_holds(&attention, &plain(reference), &reference.family, worst);
    });
}

#[test]
fn a_prompt_in_micro_batches_gives_the_same() {
    let params = LoadParams { batch: 32, ..exact() };
    on_each_with(&params, |fixture, reference, worst| {
        let pass = plain(reference);
        attention_holds(&attention_of(fixture), &pass, &reference.family, worst);
        let logprobs = log_softmax(&pass.logits);
        for next in &fixture.inspect(&ids(&tokens()), Want::default()).trace.next {
            worst.hold("next", next.logprob, logprobs[next.id.0 as usize]);
        }
    });
}

#[test]
fn a_file_whose_matrices_are_halves_gives_the_references_numbers() {
    let families = families().into_iter().map(|family| {
        let mut tensors = gguf::tensors(&family);
        gguf::in_halves(&mut tensors);
        Box::new(load_with(family, &tensors, &exact()))
    });
    hold(families, |fixture, reference, worst| {
        let (most, mean) = rounding(reference);
        (worst.most, worst.mean) = (most.max(TIES), mean.max(worst.mean));
        lens_holds(fixture, reference, worst);
        attention_holds(&attention_of(fixture), &plain(reference), &reference.family, worst);
        pushes_hold(fixture, reference, worst);
        parts_off_hold(fixture, reference, worst);
        neurons_hold(fixture, reference, worst);
    });
}

/// How far figures of one pass may lie apart where what is multiplied with halves is rounded to halves, of 1 or of the
/// figure. A number that lies between two halves goes to either with the processor's order of sums, and all that
/// follows moves; both passes lie about as far from the one without rounding as the reference does, so they differ by
/// at most twice that.
///
/// Gives that of a single figure, and the mean of the kind of figure that is moved most.
fn rounding(reference: &Reference) -> (f64, f64) {
    let name = reference.family.name;
    let family = families().into_iter().find(|family| family.name == name).unwrap();
    let mut tensors = gguf::tensors(&family);
    gguf::in_halves(&mut tensors);
    for tensor in tensors.values_mut() {
        tensor.halves = false;
    }
    let (rounded, whole) = (figures(&plain(reference)), figures(&plain(&Reference::new(family, &tensors))));
    let (mut most, mut mean) = (0.0_f64, 0.0_f64);
    for (rounded, whole) in rounded.iter().zip(&whole) {
        assert_eq!(rounded.len(), whole.len(), "{name}");
        let off: Vector =
            rounded.iter().zip(whole).map(|(a, b)| 2.0 * (a - b).abs() / b.abs().max(1.0)).collect();
        most = off.iter().copied().fold(most, f64::max);
        mean = mean.max(off.iter().sum::<f64>() / off.len() as f64);
    }
    println!("{name}: rounding moves figures by up to {most:.2e}, a kind of them by {mean:.2e} in the mean");
    (most, mean)
}

/// What is worked out on the way through the blocks, and the logits, each kind of figure by itself.
fn figures(pass: &Pass) -> [Vector; 5] {
    let all = |of: fn(&Block) -> Vector| pass.blocks.iter().flat_map(of).collect::<Vector>();
    [
        all(|block| [&block.attention_out[..], &block.ffn_out].concat()),
        all(|block| block.after.clone()),
        all(|block| block.neurons.iter().flat_map(|(_, neurons)| neurons.clone()).collect()),
        all(|block| block.scores.concat()),
        pass.logits.clone(),
    ]
}

#[test]
fn pushes_are_the_references_and_close() {
    on_each(pushes_hold);
}

fn pushes_hold(fixture: &mut Fixture, reference: &Reference, worst: &mut Worst) {
    let pass = plain(reference);
    let family = &reference.family;
    let mut order: Vec<usize> = (0..VOCABULARY).collect();
    order.sort_by(|a, b| pass.logits[*b].total_cmp(&pass.logits[*a]));
    let (token, rival) = (order[0], order[1]);
    let pair = (id(token), id(rival));
    let trace = fixture
        .inspect(&ids(&tokens()), Want { attribution: Some(pair), pushing_neurons: 20, ..Want::default() })
        .trace;
    assert_eq!(trace.missing, Vec::<String>::new(), "{}", family.name);
    let found = trace.attribution.unwrap();
    worst.hold("difference", found.difference, pass.raw[token] - pass.raw[rival]);
    worst.hold("closure", found.closure_error, 0.0);
    let push = pushes(reference, &pass, token, rival);
    let shown: f64 = found.parts.iter().map(|part| f64::from(part.logit_difference)).sum();
    worst.hold("rows", shown as f32, pass.raw[token] - pass.raw[rival]);
    let biases = usize::from(family.layer_norm);
    assert_eq!(found.parts.len(), 2 * family.layers + 1 + biases, "{}", family.name);
    let heads = family.heads + usize::from(family.bias);
    assert_eq!(found.heads.len(), family.layers * heads, "{}", family.name);
    assert_eq!(found.neurons.len(), if family.experts.is_some() { 0 } else { 20 }, "{}", family.name);
    for part in found.parts.iter().chain(&found.heads).chain(&found.neurons) {
        let theirs = match part.part {
            Component::Embedding => push(&pass.embedding),
            Component::Attention(layer) => push(&pass.blocks[layer as usize].attention_added),
            Component::Ffn(layer) => push(&pass.blocks[layer as usize].ffn_added),
            Component::Head(layer, head) => {
                push(&head_added(reference, &pass, layer as usize, head as usize))
            }
            Component::Neuron(layer, neuron) => {
                push(&neuron_added(reference, &pass, layer as usize, neuron as usize))
            }
            Component::AttentionBias(layer) => push(&attention_bias_added(reference, &pass, layer as usize)),
            Component::NormBias => norm_bias_push(reference, token, rival),
            Component::OutputBias => panic!("no family here has a bias on its logits"),
            Component::Stream(_) => panic!("a stream is not part of itself"),
        };
        worst.hold(&part.part.to_string(), part.logit_difference, theirs);
    }
}

/// What a vector in the stream pushes, the final norm's divisor frozen.
fn pushes<'a>(
    reference: &'a Reference,
    pass: &Pass,
    token: usize,
    rival: usize,
) -> impl Fn(&[f64]) -> f64 + use<'a> {
    let centre = |x: &[f64]| if reference.family.layer_norm { centred(x) } else { x.to_vec() };
    let last = centre(&pass.blocks.last().unwrap().after);
    let root = (dot(&last, &last) / last.len() as f64 + family::EPSILON).sqrt();
    let (name, weight) = (reference.output_name(), reference.vector("output_norm.weight"));
    let rows = reference.row(name, token).iter().zip(reference.row(name, rival));
    let direction: Vector = rows.zip(weight).map(|((a, b), weight)| (a - b) * weight).collect();
    move |part| dot(&direction, &centre(part)) / root / reference.family.logit_scale
}

/// What a head adds to the stream, any norm after attention frozen.
fn head_added(reference: &Reference, pass: &Pass, layer: usize, head: usize) -> Vector {
    let block = &pass.blocks[layer];
    let norm = format!("blk.{layer}.post_attention_norm.weight");
    through(reference, &norm, &block.attention_out, block.heads[head].clone())
}

/// What the bias of a block's output projection adds to the stream, any norm after attention frozen.
fn attention_bias_added(reference: &Reference, pass: &Pass, layer: usize) -> Vector {
    let norm = format!("blk.{layer}.post_attention_norm.weight");
    let bias = reference.vector(&format!("blk.{layer}.attn_output.bias")).to_vec();
    through(reference, &norm, &pass.blocks[layer].attention_out, bias)
}

/// What the final norm's bias pushes.
fn norm_bias_push(reference: &Reference, token: usize, rival: usize) -> f64 {
    let (name, bias) = (reference.output_name(), reference.vector("output_norm.bias"));
    let rows = reference.row(name, token).iter().zip(reference.row(name, rival));
    let push: f64 = rows.zip(bias).map(|((a, b), bias)| (a - b) * bias).sum();
    push / reference.family.logit_scale
}

/// What a neuron adds to the stream, any norm after the feed-forward frozen.
fn neuron_added(reference: &Reference, pass: &Pass, layer: usize, neuron: usize) -> Vector {
    let block = &pass.blocks[layer];
    let name = format!("blk.{layer}.ffn_down.weight");
    let activation = block.neurons[0].1[neuron];
    let rows = (0..reference.family.width).map(|row| reference.row(&name, row)[neuron] * activation);
    let norm = format!("blk.{layer}.post_ffw_norm.weight");
    through(reference, &norm, &block.ffn_out, rows.collect())
}

/// A part of what a projection gave on its way into the stream.
fn through(reference: &Reference, norm: &str, out: &[f64], mut part: Vector) -> Vector {
    if reference.family.post_norm {
        let root = (dot(out, out) / out.len() as f64 + family::EPSILON).sqrt();
        let weight = reference.vector(norm);
        part.iter_mut().zip(weight).for_each(|(value, weight)| *value *= weight / root);
    }
    reference::scaled(&part, reference.family.residual_scale)
}

#[test]
fn parts_switched_off_give_the_references_numbers() {
    on_each(parts_off_hold);
}

fn parts_off_hold(fixture: &mut Fixture, reference: &Reference, worst: &mut Worst) {
    for (part, off) in [
        (Component::Head(0, 1), Off::Head(0, 1)),
        (Component::Head(1, 3), Off::Head(1, 3)),
        (Component::Attention(1), Off::Attention(1)),
        (Component::Attention(2), Off::Attention(2)),
        (Component::Ffn(0), Off::Ffn(0)),
        (Component::Ffn(2), Off::Ffn(2)),
        (Component::Neuron(1, 7), Off::Neuron(1, 7)),
    ] {
        if matches!(part, Component::Neuron(..)) && reference.family.experts.is_some() {
            continue;
        }
        for everywhere in [true, false] {
            let last = TOKENS - 1;
            let theirs = reference.pass(&tokens(), &|at, it| it == off && (everywhere || at == last));
            let logprobs = log_softmax(&theirs.logits);
            let trace = fixture.ablated(&ids(&tokens()), &[part], everywhere);
            assert_eq!(trace.missing, Vec::<String>::new(), "{}", worst.family);
            for next in &trace.next {
                worst.hold(&part.to_string(), next.logprob, logprobs[next.id.0 as usize]);
            }
        }
    }
}

#[test]
fn a_block_s_half_off_takes_its_bias_along_and_all_that_it_is_made_of_off_leaves_it() {
    on_each(|fixture, reference, worst| {
        let family = reference.family;
        if !family.bias {
            return;
        }
        let heads: Vec<Component> = (0..family.heads as u32).map(|head| Component::Head(1, head)).collect();
        let neurons: Vec<Component> =
            (0..family.neurons as u32).map(|neuron| Component::Neuron(1, neuron)).collect();
        for (whole, off, parts) in
            [(Component::Attention(1), Off::Attention(1), heads), (Component::Ffn(1), Off::Ffn(1), neurons)]
        {
            let of =
                |off: &dyn Fn(Off) -> bool| log_softmax(&reference.pass(&tokens(), &|_, it| off(it)).logits);
            let without = of(&|it| it == off);
            let bias_left = of(&|it| match whole {
                Component::Attention(_) => matches!(it, Off::Head(1, _)),
                _ => matches!(it, Off::Neuron(1, _)),
            });
            for next in &fixture.ablated(&ids(&tokens()), &[whole], true).next {
                worst.hold(&whole.to_string(), next.logprob, without[next.id.0 as usize]);
            }
            for next in &fixture.ablated(&ids(&tokens()), &parts, true).next {
                worst.hold(&format!("parts of {whole}"), next.logprob, bias_left[next.id.0 as usize]);
            }
            let apart = without.iter().zip(&bias_left).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart > 0.05, "{}: the bias hardly counts: {apart}", family.name);
        }
    });
}

#[test]
fn a_head_switched_off_under_flash_attention_is_off() {
    let params = LoadParams { flash_attention: FlashAttention::On, ..exact() };
    on_each_with(&params, |fixture, reference, worst| {
        worst.most = TIES;
        let theirs = reference.pass(&tokens(), &|_, it| it == Off::Head(1, 2));
        let logprobs = log_softmax(&theirs.logits);
        for next in &fixture.ablated(&ids(&tokens()), &[Component::Head(1, 2)], true).next {
            worst.hold("next", next.logprob, logprobs[next.id.0 as usize]);
        }
    });
}

#[test]
fn neurons_and_experts_are_the_references() {
    on_each(neurons_hold);
}

fn neurons_hold(fixture: &mut Fixture, reference: &Reference, worst: &mut Worst) {
    let pass = plain(reference);
    let want = Want { ffn: vec![0, 1, 2], neurons: 500, words: true, ..Want::default() };
    let inspected = fixture.inspect(&ids(&tokens()), want);
    assert_eq!(inspected.trace.missing, Vec::<String>::new(), "{}", worst.family);
    for (ffn, block) in inspected.ffns.iter().zip(&pass.blocks) {
        assert_eq!(ffn.width as usize, reference.family.neurons);
        let all: usize = block.neurons.iter().map(|(_, inputs)| inputs.len()).sum();
        assert_eq!(ffn.neurons.len(), all + block.shared.len(), "{}", worst.family);
        for neuron in &ffn.neurons {
            let of = block.neurons.iter().find(|(expert, _)| *expert == neuron.expert.map(|e| e as usize));
            let inputs = of.map_or(&block.shared, |(_, inputs)| inputs);
            worst.hold("activation", neuron.activation, inputs[neuron.index as usize]);
        }
        assert_eq!(ffn.experts.len(), block.experts.len());
        for ((ours, weight), (expert, theirs)) in ffn.experts.iter().zip(&block.experts) {
            assert_eq!(*ours as usize, *expert);
            worst.hold("expert", *weight, *theirs);
        }
    }
}

#[test]
fn what_neurons_add_amounts_to_what_the_feed_forward_gives() {
    on_each(|fixture, reference, worst| {
        let name = |part: &str| format!("blk.1.{part}.weight");
        let want = Want { ffn: vec![1], neurons: 500, words: true, ..Want::default() };
        let ffn = fixture.inspect(&ids(&tokens()), want).ffns.remove(0);
        let block = &plain(reference).blocks[1];
        let mut compared = 0;
        for neuron in ffn.neurons.iter().take(12) {
            let shared = reference.family.experts.is_some() && neuron.expert.is_none();
            if shared {
                continue;
            }
            let (rows, weight) = match neuron.expert {
                Some(expert) => {
                    let (_, weight) = block.experts.iter().find(|(it, _)| *it == expert as usize).unwrap();
                    (expert as usize * reference.family.width, *weight)
                }
                None => (0, 1.0),
            };
            let matrix = if neuron.expert.is_some() { name("ffn_down_exps") } else { name("ffn_down") };
            let column: Vector = (0..reference.family.width)
                .map(|row| reference.row(&matrix, rows + row)[neuron.index as usize])
                .collect();
            let added = f64::from(neuron.activation) * weight * length(&column);
            worst.hold("added", neuron.added, added.abs());
            compared += 1;
        }
        assert!(compared > 0, "{}", reference.family.name);
    });
}

#[test]
fn position_is_told_as_the_family_has_it() {
    on_each(|fixture, reference, worst| {
        let want = Want { rotation: Some((2, 1, NEAR as u32)), attention: vec![2], ..Want::default() };
        let trace = fixture.inspect(&ids(&tokens()), want).trace;
        let rotation = trace.rotation.unwrap();
        let kind = match reference.family.position {
            Position::RopeNormal(_) => PositionKind::RopeNormal,
            Position::RopeNeox(_) => PositionKind::RopeNeox,
            Position::Learned => PositionKind::Learned,
            Position::Alibi => PositionKind::Alibi,
        };
        assert_eq!(rotation.kind, kind, "{}", worst.family);
        if matches!(kind, PositionKind::RopeNormal | PositionKind::RopeNeox) {
            worst.hold("base", rotation.base, reference.family.base(2));
            let sum: f32 = rotation.pairs.iter().sum();
            if reference.family.score_cap.is_none() {
                worst.hold("sum of pairs", sum, plain(reference).blocks[2].scores[1][NEAR]);
            }
        }
    });
}

#[test]
fn neighbours_are_those_of_the_table() {
    on_each(|fixture, reference, worst| {
        let token = 77;
        let embed = Embed { sum: vec![(TokenId(token), 1.0)], neighbours: 8, ..Embed::default() };
        let facts = fixture.embed(embed);
        let row = |row: usize| reference.row("token_embd.weight", row);
        let own = row(token as usize);
        worst.hold("norm", facts.norm, length(own));
        let cosine = |other: usize| dot(own, row(other)) / length(own) / length(row(other));
        let mut all: Vec<(usize, f64)> =
            (0..VOCABULARY).filter(|it| *it != token as usize).map(|it| (it, cosine(it))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        for ((ours, near), (theirs, cosine)) in facts.neighbours.iter().zip(&all) {
            assert_eq!(ours.0 as usize, *theirs, "{}", worst.family);
            worst.hold("cosine", *near, *cosine);
        }
    });
}
