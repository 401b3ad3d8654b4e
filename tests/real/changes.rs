//! The network changed while it runs, on the default model: parts off, patched, steered, and the twin beside it.
//!
//! Invariant: each figure is held against another way of getting it, on dequantised weights; the tolerance is that of
//! batch sizes and graph splits, never of the effect itself.

use crate::kit::{Model as Fixture, exact_smollm};
use crate::noise::ORDER;
use glassbox::chat::{Intervention, Steering};
use glassbox::engine::protocol::{
    CapturePlan, Directed, Direction, Event, Generate, Inspect, Job, Patch, Prompt, Request, Want,
};
use glassbox::inspect::trace::{Component, ForwardTrace};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;

const PARIS: TokenId = TokenId(7042);

impl Fixture {
    fn trace(&mut self, request: Inspect) -> ForwardTrace {
        self.try_inspect(request).unwrap().trace
    }

    fn direct(&mut self, towards: &str, away: &str, layer: u32) -> Directed {
        let request = Direction { towards: self.ids(towards), away: self.ids(away), layer };
        match self.handle(Request::Job(Job::Direction(Box::new(request)))).pop().unwrap() {
            Event::Directed(directed) => *directed,
            other => panic!("{other:?}"),
        }
    }

    /// The tokens of a greedy reply, and what its twin said of each.
    fn written(
        &mut self,
        ids: &[TokenId],
        count: u32,
        interventions: Vec<Intervention>,
    ) -> (Vec<TokenId>, Vec<f32>) {
        let sampling = Sampling { temperature: 0.0, max_tokens: count, ..Sampling::default() };
        let prompt = Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false };
        let request = Generate { prompt, sampling, top_logprobs: 1, begun: 0, interventions, allow: None };
        let (mut ids, mut kls) = (Vec::new(), Vec::new());
        for event in self.handle(Request::Job(Job::Generate(Box::new(request)))) {
            match event {
                Event::Token(written) => {
                    ids.extend(written.step.id);
                    kls.extend(written.unchanged.and_then(|unchanged| unchanged.kl));
                }
                Event::Failed(failure) => panic!("{failure}"),
                _ => {}
            }
        }
        (ids, kls)
    }
}

fn france(model: &Fixture) -> Vec<TokenId> {
    model.ids("The capital of France is")
}

fn off(ids: &[TokenId], ablations: Vec<Intervention>, everywhere: bool) -> Inspect {
    Inspect { ids: ids.to_vec(), ablations, everywhere, ..Inspect::default() }
}

fn patched(ids: &[TokenId], part: Component, position: u32, text: Vec<TokenId>) -> Inspect {
    let patches = vec![Patch { part, position, text }];
    Inspect { ids: ids.to_vec(), patches, ..Inspect::default() }
}

fn same(a: &ForwardTrace, b: &ForwardTrace) {
    for (a, b) in a.next.iter().zip(&b.next).take(5) {
        assert!((a.logprob.exp() - b.logprob.exp()).abs() < ORDER.share(), "{a:?} {b:?}");
    }
    assert_eq!(a.next[0].id, b.next[0].id);
    assert!((a.entropy - b.entropy).abs() < ORDER.nats(), "{} {}", a.entropy, b.entropy);
}

fn steer(directed: &Directed, layer: u32, strength: f32) -> Intervention {
    let direction = directed.direction.clone();
    let (name, layers, stream) = ("test".into(), vec![layer], directed.stream);
    let push = Steering { name, layers, strength, direction, first_position: false, stream };
    Intervention::Steer(push)
}

#[test]
fn a_part_patched_with_its_own_values_changes_nothing() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let last = ids.len() as u32 - 1;
    for part in [
        Component::Head(23, 4),
        Component::Attention(10),
        Component::Ffn(28),
        Component::Stream(12),
        Component::Neuron(20, 7),
    ] {
        let trace = model.trace(patched(&ids, part, last, Vec::new()));
        let kl = trace.kl_from_original.unwrap();
        assert!(kl.abs() < 1e-3, "{part}: {kl}");
    }
}

#[test]
fn the_last_stream_of_another_position_gives_that_position_s_output() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let elsewhere = model.trace(off(&ids[..4], Vec::new(), false));
    let trace = model.trace(patched(&ids, Component::Stream(29), 3, Vec::new()));
    same(&trace, &elsewhere);
    assert!(trace.kl_from_original.unwrap() > 1.0);
}

#[test]
fn the_last_stream_of_another_text_gives_that_text_s_output() {
    let mut model = exact_smollm();
    let (ids, other) = (france(&model), model.ids("My favourite colour is"));
    let elsewhere = model.trace(off(&other, Vec::new(), false));
    let last = other.len() as u32 - 1;
    same(&model.trace(patched(&ids, Component::Stream(29), last, other)), &elsewhere);
}

#[test]
fn the_head_that_carries_france_carries_italy_when_patched_from_italy() {
    let mut model = exact_smollm();
    let (ids, italy) = (france(&model), model.ids("The capital of Italy is"));
    let rome = model.ids(" Rome")[0];
    let last = ids.len() as u32 - 1;
    let mut request = patched(&ids, Component::Attention(23), last, italy);
    request.want.follow = vec![PARIS, rome];
    let trace = model.trace(request);
    let (_, before) = trace.original.unwrap();
    assert!(trace.followed[0].logprob < before[0].logprob - 0.5, "{trace:?}", trace = trace.followed);
    assert!(trace.followed[1].logprob > before[1].logprob + 0.5, "{trace:?}", trace = trace.followed);
}

#[test]
fn a_patch_from_where_nothing_is_says_which_positions_there_are() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let said = model.try_inspect(patched(&ids, Component::Ffn(3), 5, Vec::new())).unwrap_err().message;
    assert!(said.contains("positions 0 to 4"), "{said}");
    let said = model.try_inspect(patched(&ids, Component::Embedding, 1, Vec::new())).unwrap_err().message;
    assert!(said.contains("embedding"), "{said}");
}

#[test]
fn all_heads_of_a_block_off_are_its_attention_off() {
    let mut model = exact_smollm();
    let ids = france(&model);
    for everywhere in [false, true] {
        let heads = (0..9).map(|head| Intervention::ZeroHead { layer: 23, head }).collect();
        let heads = model.trace(off(&ids, heads, everywhere));
        let attention = vec![Intervention::ZeroAttention { layer: 23 }];
        same(&heads, &model.trace(off(&ids, attention, everywhere)));
    }
}

#[test]
fn all_neurons_of_a_block_off_are_its_feed_forward_off() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let neurons = (0..1536).map(|neuron| Intervention::ZeroNeuron { layer: 28, neuron }).collect();
    let neurons = model.trace(off(&ids, neurons, true));
    assert!(neurons.kl_from_original.unwrap() > 0.001);
    same(&neurons, &model.trace(off(&ids, vec![Intervention::ZeroFfn { layer: 28 }], true)));
    let said = model.try_inspect(off(&ids, vec![Intervention::ZeroNeuron { layer: 0, neuron: 1536 }], true));
    assert!(said.unwrap_err().message.contains("neurons 0 to 1535"));
}

#[test]
fn the_neurons_of_a_block_add_up_to_its_push_and_one_off_takes_its_own_away() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let want =
        Want { attribution: Some((PARIS, TokenId(260))), pushing_neurons: 30 * 1536, ..Want::default() };
    let request = Inspect { ids: ids.clone(), want, ..Inspect::default() };
    let all = model.trace(request.clone()).attribution.unwrap();
    assert_eq!(all.neurons.len(), 30 * 1536);
    for part in &all.parts {
        let Component::Ffn(layer) = part.part else { continue };
        let of = |part: Component| matches!(part, Component::Neuron(of, _) if of == layer);
        let sum: f32 = all.neurons.iter().filter(|n| of(n.part)).map(|n| n.logit_difference).sum();
        assert!((sum - part.logit_difference).abs() < 0.12, "{layer}: {sum} {}", part.logit_difference);
    }
    // In the last block nothing makes up for a neuron: the difference of the logits loses its push, but for the final
    // norm's divisor, which follows.
    let strongest = all.neurons.iter().find(|n| matches!(n.part, Component::Neuron(29, _))).unwrap();
    let Component::Neuron(layer, neuron) = strongest.part else { unreachable!() };
    let ablations = vec![Intervention::ZeroNeuron { layer, neuron }];
    let without = model.trace(Inspect { ablations, ..request }).attribution.unwrap();
    let lost = all.difference - without.difference;
    assert!(
        (lost - strongest.logit_difference).abs() < 0.15 * strongest.logit_difference.abs() + 0.1,
        "{lost}"
    );
}

#[test]
fn a_neuron_of_the_last_block_off_is_its_column_taken_out_of_the_stream() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let want = Want {
        attribution: Some((PARIS, TokenId(260))),
        pushing_neurons: 30 * 1536,
        lens: true,
        ..Want::default()
    };
    let request = Inspect { ids, want, everywhere: true, ..Inspect::default() };
    let plain = model.trace(request.clone());
    let norm = |trace: &ForwardTrace| f64::from(trace.lens.as_ref().unwrap().rows[30].norm);
    let all = plain.attribution.as_ref().unwrap();
    let pushing: Vec<_> = all.neurons.iter().filter(|n| matches!(n.part, Component::Neuron(29, _))).collect();
    assert_eq!(pushing.len(), 1536);
    // The strongest ones, one that pushes the other way, and a weak one.
    let against = pushing.iter().find(|n| n.logit_difference < 0.0).unwrap();
    for neuron in pushing[..3].iter().chain([against, &pushing[700]]) {
        let named: Component = neuron.part.to_string().parse().unwrap();
        let ablations = vec![glassbox::engine::protocol::switched_off(named).unwrap()];
        let without = model.trace(Inspect { ablations, ..request.clone() });
        // (h − a w) · g (W_U[t] − W_U[r]) over its own divisor: what is left of the difference, at the new length.
        let left = f64::from(all.difference) - f64::from(neuron.logit_difference);
        let expected = left * norm(&plain) / norm(&without);
        let measured = f64::from(without.attribution.as_ref().unwrap().difference);
        assert!(
            (measured - expected).abs() < 0.005 + 0.002 * expected.abs(),
            "{named}: {measured} {expected}"
        );
    }
}

#[test]
fn parts_off_one_by_one_are_what_each_gives_when_asked_alone() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let parts =
        [Component::Ffn(28), Component::Attention(23), Component::Head(23, 4), Component::Neuron(27, 3)];
    let want = Want { follow: vec![PARIS], off: parts.to_vec(), ..Want::default() };
    let seen = model.try_inspect(Inspect { ids: ids.clone(), want, ..Inspect::default() }).unwrap();
    assert_eq!(seen.off.iter().map(|(part, _)| *part).collect::<Vec<_>>(), parts);
    for (part, followed) in &seen.off {
        let change = glassbox::engine::protocol::switched_off(*part).unwrap();
        let want = Want { follow: vec![PARIS], ..Want::default() };
        let alone = model.trace(Inspect { want, ..off(&ids, vec![change], false) });
        let (many, alone) = (followed[0].logprob.exp(), alone.followed[0].logprob.exp());
        assert!((many - alone).abs() < ORDER.share(), "{part}: {many} {alone}");
    }
    let plain = seen.trace.followed[0].logprob.exp();
    assert!(plain > 0.7 && seen.off[2].1[0].logprob.exp() < plain - 0.3, "{plain}");
}

#[test]
fn a_push_of_no_length_is_the_identity_and_others_follow_the_parallelogram() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let directed = model.direct("I love this, it is wonderful!", "I hate this, it is terrible!", 12);
    let length: f32 = directed.direction.iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-4 && directed.distance > 0.0 && directed.separation.is_some());
    let mut norm = |strength: f32| {
        let want = Want { lens: true, ..Want::default() };
        let change = vec![steer(&directed, 12, strength)];
        let trace = model.trace(Inspect { want, ..off(&ids, change, false) });
        (trace.lens.unwrap().rows[13].norm, trace.kl_from_original.unwrap())
    };
    let ((plain, zero), (more, _), (less, far)) = (norm(0.0), norm(0.5), norm(-0.5));
    assert!(zero.abs() < 1e-4, "{zero}");
    assert!(far > 0.01, "{far}");
    // |h + v|² + |h − v|² = 2 |h|² + 2 |v|².
    let (both, expected) = (more.powi(2) + less.powi(2), 2.0 * plain.powi(2) * 1.25);
    assert!((both / expected - 1.0).abs() < 0.01, "{both} {expected}");
}

#[test]
fn position_0_is_left_out_of_a_push_which_else_drowns_it() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let directed = model.direct("I love this, it is wonderful!", "I hate this, it is terrible!", 12);
    let mut kl = |ids: &[TokenId], layer: u32, first_position: bool| {
        let Intervention::Steer(push) = steer(&directed, layer, 0.1) else { unreachable!() };
        let push = Intervention::Steer(Steering { first_position, ..push });
        model.trace(off(ids, vec![push], true)).kl_from_original.unwrap()
    };
    let (without, with) = (kl(&ids, 12, false), kl(&ids, 12, true));
    assert!(with > 2.0 * without && without > 0.0, "{with} {without}");
    // The last block computes the last token alone, and a text of one token has nothing else to push.
    assert!(kl(&ids, 29, false) > 1e-4);
    for layer in [12, 29] {
        assert!(kl(&ids[..1], layer, false).abs() < 1e-6);
        assert!(kl(&ids[..1], layer, true) > 1e-4);
    }
}

#[test]
fn a_direction_is_the_difference_of_what_the_lens_measured() {
    let mut model = exact_smollm();
    // Of one token each, so that each mean is that token's stream.
    let directed = model.direct("France", "Italy", 5);
    let norm = |model: &mut Fixture, text: &str| {
        let want = Want { lens: true, ..Want::default() };
        let ids = model.ids(text);
        assert_eq!(ids.len(), 1);
        model.trace(Inspect { ids, want, ..Inspect::default() }).lens.unwrap().rows[6].norm
    };
    let (one, other) = (norm(&mut model, "France"), norm(&mut model, "Italy"));
    assert!((directed.norms.0 / one - 1.0).abs() < 0.01 && (directed.norms.1 / other - 1.0).abs() < 0.01);
    // The law of cosines ties distance, norms and cosine together.
    let (a, b) = (f64::from(directed.norms.0), f64::from(directed.norms.1));
    let squared = a * a + b * b - 2.0 * a * b * f64::from(directed.cosine);
    let distance = f64::from(directed.distance);
    assert!((squared.max(0.0).sqrt() - distance).abs() < 0.05 * distance + 0.001 * a, "{squared} {distance}");
    assert_eq!(directed.separation, None);
    let nowhere = Direction { towards: model.ids("same"), away: model.ids("same"), layer: 3 };
    let events = model.handle(Request::Job(Job::Direction(Box::new(nowhere))));
    assert!(matches!(events.last(), Some(Event::Failed(_))));
}

#[test]
fn the_twin_says_what_two_separate_passes_say() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let directed = model.direct("I love this, it is wonderful!", "I hate this, it is terrible!", 12);
    let change = vec![steer(&directed, 12, 0.4)];
    let (_, none) = model.written(&ids, 6, change.clone());
    assert_eq!(none, [0.0_f32; 0], "no twin where none was asked for");
    model.shared.control().set_capture(CapturePlan { baseline: true, ..CapturePlan::default() });
    let (written, kls) = model.written(&ids, 6, change.clone());
    let (_, plain) = model.written(&ids, 2, Vec::new());
    model.shared.control().set_capture(CapturePlan::default());
    assert_eq!((kls.len(), plain.len()), (6, 0), "one a token, and none without changes");
    let mut read = ids.clone();
    for (id, kl) in written.iter().zip(&kls) {
        let trace = model.trace(off(&read, change.clone(), true));
        let expected = trace.kl_from_original.unwrap();
        assert!((kl - expected).abs() < 0.002 + 0.02 * expected, "{kl} {expected}");
        read.push(*id);
    }
}

#[test]
fn a_twin_leaves_what_is_written_alone_and_steered_never_mixes_with_plain() {
    let mut model = exact_smollm();
    let ids = model.ids("Once upon a time there was a little robot who wanted to");
    let directed = model.direct("I love this, it is wonderful!", "I hate this, it is terrible!", 12);
    let change = vec![steer(&directed, 12, 0.5)];
    let (plain, _) = model.written(&ids, 10, Vec::new());
    let (steered, _) = model.written(&ids, 10, change.clone());
    model.shared.control().set_capture(CapturePlan { baseline: true, ..CapturePlan::default() });
    let (again, kls) = model.written(&ids, 10, change.clone());
    model.shared.control().set_capture(CapturePlan::default());
    assert_eq!(again, steered);
    assert_eq!(kls.len(), 10);
    assert_ne!(steered, plain);
    assert_eq!(model.written(&ids, 10, Vec::new()).0, plain);
    // What is tried beside the chat does not reach it.
    model.trace(off(&ids[..6], change, true));
    model.trace(patched(&ids[..8], Component::Stream(4), 2, Vec::new()));
    let longer: Vec<TokenId> = ids.iter().chain(&plain[..4]).copied().collect();
    assert_eq!(model.written(&longer, 6, Vec::new()).0, plain[4..]);
}

#[test]
fn a_direction_of_another_model_is_refused() {
    let mut model = exact_smollm();
    let ids = france(&model);
    let push = Steering { layers: vec![3], strength: 0.2, direction: vec![1.0; 640], ..Steering::default() };
    let said = model.try_inspect(off(&ids, vec![Intervention::Steer(push)], true)).unwrap_err().message;
    assert!(said.contains("another model"), "{said}");
}
