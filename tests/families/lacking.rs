//! What a model lacks: named where it is asked for, refused where it is to be changed.
//!
//! Invariant: nothing is left out silently, and what was refused has changed nothing.

use glassbox::chat::Intervention;
use glassbox::engine::protocol::{
    Attend, Attending, Depths, Embed, Event, Failure, Generate, Inspect, Job, Prompt, Request, Want,
};
use glassbox::inspect::trace::{ForwardTrace, PositionKind};
use glassbox::model_entry::LoadParams;
use glassbox::sampling::Sampling;

use crate::family::{LLAMA, families};
use crate::fixture::{Fixture, Worst};
use crate::reference::length;
use crate::{
    attention_holds, attention_of, exact, gguf, id, ids, load, log_softmax, plain, recurrent, tokens,
};

fn mamba() -> (Fixture, gguf::Tensors) {
    let tensors = recurrent::tensors();
    (Fixture::new("mamba", recurrent::metadata(), &tensors, &exact()), tensors)
}

/// Everything that a pass can be asked for.
fn everything() -> Want {
    Want {
        lens: true,
        overview: true,
        attention: vec![0, 1, 2],
        rotation: Some((1, 0, 3)),
        attribution: Some((id(3), id(4))),
        pushing_neurons: 8,
        ffn: vec![0, 2],
        neurons: 8,
        words: true,
        ffn_layers: true,
        follow: vec![id(3), id(4)],
        ..Want::default()
    }
}

#[test]
fn the_lens_of_a_recurrent_model_is_the_references() {
    let (mut model, tensors) = mamba();
    let trace = model.inspect(&ids(&tokens()), Want { lens: true, ..Want::default() }).trace;
    let streams = recurrent::streams(&tensors, &tokens());
    let mut worst = Worst::new("mamba");
    let last = log_softmax(&recurrent::logits(&tensors, streams.last().unwrap()));
    for next in &trace.next {
        worst.hold("next", next.logprob, last[next.id.0 as usize]);
    }
    let rows = trace.lens.unwrap().rows;
    assert_eq!(rows.len(), recurrent::LAYERS + 1);
    for (row, stream) in rows.iter().zip(&streams) {
        let here = log_softmax(&recurrent::logits(&tensors, stream));
        worst.hold("residual norm", row.norm, length(stream));
        for top in &row.top {
            worst.hold("lens", top.logprob, here[top.id.0 as usize]);
        }
    }
    worst.finish();
}

#[test]
fn every_station_of_a_recurrent_model_names_what_there_is_not() {
    let (mut model, _) = mamba();
    let seen = model.inspect(&ids(&tokens()), everything());
    let trace = &seen.trace;
    assert!(trace.lens.is_some() && trace.next.len() == 20);
    let rotation = trace.rotation.as_ref().unwrap();
    assert_eq!(rotation.kind, PositionKind::None, "positions are told without heads too");
    assert!(trace.attention.is_none() && trace.attribution.is_none() && seen.ffns.is_empty());
    let halves = "block 0 of this model has no attention and feed-forward that can be told apart";
    for missing in [
        format!("what attention and feed-forward add: {halves}"),
        "attention: this model's graph does not show its attention weights".to_owned(),
        format!("attribution: {halves}"),
        "feed-forward neurons: this model's graph does not show its feed-forward".to_owned(),
    ] {
        assert!(trace.missing.contains(&missing), "{missing}: {:?}", trace.missing);
    }
    let attend = Attend { ids: ids(&tokens()), of: Attending::Head(1, 0), ..Attend::default() };
    let said = failure(model.answer(Request::Job(Job::Attend(Box::new(attend))))).message;
    assert_eq!(said, "There is no head 0: this model has no heads.");
    let calibrated = failure(model.answer(Request::Job(Job::Calibrate))).message;
    assert_eq!(calibrated, "This model's graph does not show its attention weights.");
    let depths = Depths { ids: ids(&tokens()), from: 40, cells: true, ..Depths::default() };
    let answer = model.answer(Request::Job(Job::Depths(Box::new(depths))));
    assert!(!matches!(answer, Event::Failed(_)), "{answer:?}");
    assert_eq!(
        model.embed(Embed { sum: vec![(id(7), 1.0)], neighbours: 4, ..Embed::default() }).neighbours.len(),
        4
    );
}

fn failure(event: Event) -> Failure {
    match event {
        Event::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn opened(model: &mut Fixture) -> ForwardTrace {
    model.inspect(&ids(&tokens()), Want::default()).trace
}

/// A change is refused by a pass and by a reply, in these words, and the model goes on as before.
fn refused(model: &mut Fixture, change: Intervention, words: &str) {
    let before = opened(model);
    for everywhere in [false, true] {
        let ablations = vec![change.clone()];
        let request = Inspect { ids: ids(&tokens()), ablations, everywhere, ..Inspect::default() };
        let said = model.try_inspect(request).unwrap_err().message;
        assert!(said.contains(words), "{change:?}: {said}");
    }
    let prompt = Prompt::Ids { ids: ids(&tokens()), taken: Vec::new(), chat: false };
    let sampling = Sampling { temperature: 0.0, max_tokens: 2, ..Sampling::default() };
    let generate =
        Generate { prompt, sampling, top_logprobs: 1, begun: 0, interventions: vec![change], allow: None };
    let said = failure(model.answer(Request::Job(Job::Generate(Box::new(generate))))).message;
    assert!(said.contains(words), "{said}");
    let after = opened(model);
    assert_eq!((before.next, before.entropy), (after.next, after.entropy));
}

#[test]
fn parts_that_a_recurrent_model_lacks_are_refused() {
    let (mut model, _) = mamba();
    let attention = "Layer 1 of this model has no attention that could be changed.";
    refused(&mut model, Intervention::ZeroAttention { layer: 1 }, attention);
    refused(&mut model, Intervention::ZeroHead { layer: 1, head: 0 }, attention);
    let ffn = "Layer 2 of this model has no feed-forward that could be changed.";
    refused(&mut model, Intervention::ZeroFfn { layer: 2 }, ffn);
    refused(&mut model, Intervention::ZeroNeuron { layer: 2, neuron: 0 }, ffn);
    let layers = "There is no layer 3: this model has layers 0 to 2.";
    refused(&mut model, Intervention::ZeroAttention { layer: 3 }, layers);
}

#[test]
fn parts_beyond_those_there_are_and_a_mixtures_neurons_are_refused() {
    let (mut model, _) = load(LLAMA, &exact());
    let heads = "There is no head 4: a layer of this model has heads 0 to 3.";
    refused(&mut model, Intervention::ZeroHead { layer: 0, head: 4 }, heads);
    let layers = "There is no layer 3: this model has layers 0 to 2.";
    refused(&mut model, Intervention::ZeroHead { layer: 3, head: 0 }, layers);
    refused(&mut model, Intervention::ZeroFfn { layer: 3 }, layers);
    let neurons = "There is no neuron 80: a layer of this model has neurons 0 to 79.";
    refused(&mut model, Intervention::ZeroNeuron { layer: 2, neuron: 80 }, neurons);
    for family in families().into_iter().filter(|family| family.experts.is_some()) {
        let (mut model, _) = load(family, &exact());
        let mixture = "Layer 1's feed-forward is a mixture of experts";
        refused(&mut model, Intervention::ZeroNeuron { layer: 1, neuron: 0 }, mixture);
    }
}

/// llama.cpp knows no window for the architecture that Mistral's files have, whatever they say.
#[test]
fn a_window_that_the_file_names_and_the_graph_does_not_have_is_not_told() {
    let family = families().into_iter().find(|family| family.name == "mistral").unwrap();
    let tensors = gguf::tensors(&family);
    let mut metadata = gguf::metadata(&family);
    metadata.push(("llama.attention.sliding_window".to_owned(), gguf::Meta::Count(12)));
    let mut model = Fixture::new(family.architecture, metadata, &tensors, &exact());
    let reference = crate::reference::Reference::new(family, &tensors);
    let mut worst = Worst::new(family.name);
    attention_holds(&attention_of(&mut model), &plain(&reference), &family, &mut worst);
    worst.finish();
}

#[test]
fn a_file_that_fails_to_load_is_called_what_the_user_called_it() {
    let mut tensors = gguf::tensors(&LLAMA);
    tensors.remove("output_norm.weight");
    for params in [exact(), LoadParams::default()] {
        let load = || Fixture::new(LLAMA.architecture, gguf::metadata(&LLAMA), &tensors, &params);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(load)).err().unwrap();
        let said = failed.downcast_ref::<String>().unwrap();
        assert!(said.contains("/tiny.gguf cannot be loaded: "), "{said}");
        assert!(said.contains("tensor 'output_norm.weight' not found"), "{said}");
        assert!(!said.contains("dequantised"), "{said}");
    }
}

#[test]
fn what_makes_tokens_wrong_is_said_when_the_model_is_loaded() {
    let notes = |left_out: &str| {
        let mut meta = [gguf::metadata(&LLAMA), gguf::sentencepiece()].concat();
        meta.retain(|(name, _)| name != left_out);
        let model = Fixture::new(LLAMA.architecture, meta, &gguf::tensors(&LLAMA), &exact());
        model.loaded.notes.join("\n")
    };
    assert!(!notes("").contains("tokenizer"), "{}", notes(""));
    let said = notes("tokenizer.ggml.token_type");
    assert!(said.contains("no tokenizer.ggml.token_type"), "{said}");
}
