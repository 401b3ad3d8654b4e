//! Layers on two workers of this machine, each with half of them: the figures of the reference, and a worker that dies.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{self, Beside, SMOLLM, file, references};
use crate::reference::{change_of, float, ids_of, layers_of};
use glassbox::engine::protocol::{
    Event, Exit, Generate, Inspect, Inspected, Inspection, Job, Loaded, Prompt, Request, Want,
};
use glassbox::model_entry::{LoadParams, ModelEntry, Source};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;
use serde_json::Value;

/// `glassbox rpc-worker`, until it is dropped.
struct Worker {
    process: Child,
    address: String,
}

impl Worker {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command.args(["rpc-worker", "--threads", "1", "--port", &port.to_string()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let address = format!("127.0.0.1:{port}");
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "no worker at {address}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { process, address }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn entry(workers: &[&Worker]) -> ModelEntry {
    let rpc = workers.iter().map(|worker| worker.address.clone()).collect();
    ModelEntry { rpc, ..ModelEntry::new("spread", Source::Path(file(SMOLLM))) }
}

fn on(workers: &[&Worker], params: LoadParams, home: &std::path::Path) -> (Beside, Loaded) {
    let alone = kit::loading();
    let (model, loaded) = Beside::child_of(home, entry(workers), params, &["--network"]);
    drop(alone);
    let Event::Loaded(loaded) = loaded else { panic!("{loaded:?}") };
    (model, *loaded)
}

fn inspect(model: &mut Beside, inspect: Inspect) -> Inspected {
    match model.answer(Request::Inspection(Inspection::Inspect(Box::new(inspect)))) {
        Event::Inspected(inspected) => *inspected,
        other => panic!("{other:?}"),
    }
}

/// The reference's prompts.
fn prompts() -> Vec<Value> {
    let text = std::fs::read_to_string(references().join("smollm2-135m-instruct-q4_1.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    reference["prompts"].as_array().unwrap().clone()
}

/// Two workers, and the default model as the reference computes it with half of its layers on each.
struct Spread {
    model: Beside,
    loaded: Loaded,
    workers: [Worker; 2],
    _home: tempfile::TempDir,
}

fn spread() -> Spread {
    let home = tempfile::tempdir().unwrap();
    let workers = [Worker::start(), Worker::start()];
    let (model, loaded) = on(&[&workers[0], &workers[1]], kit::dequantized(), home.path());
    Spread { model, loaded, workers, _home: home }
}

/// Each head's weights in a layer are these.
fn weights_are(ours: &Inspected, layer: u32, theirs: &[Vec<f32>], what: &str) {
    let attention = ours.trace.attention.as_ref().unwrap();
    let ours = &attention.layers.iter().find(|ours| ours.layer == layer).unwrap().heads;
    assert_eq!(ours.len(), theirs.len());
    for (head, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert_eq!(ours.weights.len(), theirs.len());
        for (at, (ours, theirs)) in ours.weights.iter().zip(theirs).enumerate() {
            assert!(
                (ours - theirs).abs() <= 0.03,
                "{what} layer {layer} head {head} at {at}: {ours} {theirs}"
            );
        }
    }
}

#[test]
fn half_the_layers_on_each_of_two_workers_give_the_figures_of_the_reference() {
    let mut spread = spread();
    let Spread { model, loaded, workers: [one, two], .. } = &mut spread;
    let halves: Vec<u32> = loaded.device.split(' ').filter_map(|word| word.parse().ok()).skip(1).collect();
    assert!(halves.len() == 2 && halves.iter().all(|count| (13..=17).contains(count)), "{}", loaded.device);
    assert!(
        loaded.device.contains(&one.address) && loaded.device.contains(&two.address),
        "{}",
        loaded.device
    );
    for prompt in prompts() {
        let want = Want { lens: true, ..Want::default() };
        let seen = inspect(model, Inspect { ids: ids_of(&prompt), want, ..Inspect::default() });
        let rows = seen.trace.lens.unwrap().rows;
        for (row, theirs) in rows.iter().skip(1).zip(prompt["logit_lens"].as_array().unwrap()) {
            let what = format!("{} layer {}", prompt["prompt"], theirs["layer"]);
            let norm = float(&theirs["residual_norm"]);
            assert!((row.norm - norm).abs() <= 0.03 * norm, "{what}: {} {norm}", row.norm);
            let top = theirs["top"].as_array().unwrap();
            if float(&top[0]["p"]) - float(&top[1]["p"]) > 0.05 {
                assert_eq!(row.top[0].id.0, top[0]["id"].as_i64().unwrap() as i32, "{what}");
                let (ours, theirs) = (row.top[0].logprob.exp(), float(&top[0]["p"]));
                assert!((ours - theirs).abs() <= 0.03, "{what}: {ours} {theirs}");
            }
        }
    }
}

#[test]
fn attention_neurons_and_parts_switched_off_on_two_workers_are_those_of_the_reference() {
    let mut spread = spread();
    for prompt in prompts() {
        let (attention, ffn) = (
            layers_of(&prompt["attention_last_query"]),
            layers_of(&prompt["ffn_top_neurons_by_abs_activation"]),
        );
        let want = Want { attention: attention.clone(), ffn, neurons: 8, ..Want::default() };
        let seen = inspect(&mut spread.model, Inspect { ids: ids_of(&prompt), want, ..Inspect::default() });
        let name = prompt["prompt"].to_string();
        for layer in attention {
            let theirs = prompt["attention_last_query"][layer.to_string()].as_array().unwrap();
            let theirs = theirs.iter().map(|row| row.as_array().unwrap().iter().map(float).collect());
            weights_are(&seen, layer, &theirs.collect::<Vec<_>>(), &name);
        }
        for ffn in &seen.ffns {
            let theirs = &prompt["ffn_top_neurons_by_abs_activation"][ffn.layer.to_string()][0];
            let (index, activation) =
                (theirs["neuron"].as_u64().unwrap() as u32, float(&theirs["activation"]));
            let ours = ffn.neurons.iter().find(|ours| ours.index == index).unwrap().activation;
            assert!((ours - activation).abs() <= 0.03 * activation.abs(), "{name}: {ours} {activation}");
        }
        for ablation in prompt["ablations_all_positions"].as_array().unwrap() {
            let change = change_of(ablation);
            let (ids, what) = (ids_of(&prompt), format!("{name} {change:?}"));
            let request = Inspect { ids, ablations: vec![change], everywhere: true, ..Inspect::default() };
            let ours = inspect(&mut spread.model, request).trace.kl_from_original.unwrap();
            let kl = float(&ablation["kl_from_original_nats"]);
            assert!((ours - kl).abs() <= 0.03_f32.max(0.05 * kl), "{what}: KL {ours} {kl}");
        }
    }
}

/// Tokens of a reply are decoded without anything watching where their keys are stored.
#[test]
fn attention_over_a_reply_that_two_workers_wrote_is_that_of_one_machine() {
    let mut spread = spread();
    let ids = ids_of(&prompts()[0]);
    let prompt = Prompt::Ids { ids: ids.clone(), taken: Vec::new(), chat: false };
    let sampling = Sampling { temperature: 0.0, max_tokens: 60, ..Sampling::default() };
    let request =
        Generate { prompt, sampling, top_logprobs: 1, begun: 0, interventions: Vec::new(), allow: None };
    let mut text = ids;
    for event in spread.model.ask(Request::Job(Job::Generate(Box::new(request)))) {
        match event {
            Event::Token(written) => text.extend(written.step.id),
            Event::Failed(failure) => panic!("{failure}"),
            _ => {}
        }
    }
    assert!(text.len() > 25, "{}", text.len());
    let want = || Want { attention: (0..30).collect(), ..Want::default() };
    let seen = inspect(&mut spread.model, Inspect { ids: text.clone(), want: want(), ..Inspect::default() });
    assert!(seen.decoded <= 2, "the rest is held: {}", seen.decoded);
    let here = kit::exact_smollm().inspect(&text, want());
    for layer in here.trace.attention.unwrap().layers {
        let theirs: Vec<Vec<f32>> = layer.heads.into_iter().map(|head| head.weights).collect();
        weights_are(&seen, layer.layer, &theirs, "a reply");
    }
}

#[test]
fn a_worker_that_is_killed_in_the_middle_of_a_reply_is_named_by_how_the_engine_ends() {
    let home = tempfile::tempdir().unwrap();
    let (one, mut two) = (Worker::start(), Worker::start());
    let (mut model, _) = on(&[&one, &two], kit::plain(), home.path());
    let prompt = Prompt::Ids { ids: (100..140).map(TokenId).collect(), taken: Vec::new(), chat: false };
    let sampling = Sampling { max_tokens: 400, ..Sampling::default() };
    let request =
        Generate { prompt, sampling, top_logprobs: 5, begun: 0, interventions: Vec::new(), allow: None };
    model.send(Request::Job(Job::Generate(Box::new(request))));
    model.hear(|envelope| matches!(envelope.event, Event::Token(_)));
    two.process.kill().unwrap();
    two.process.wait().unwrap();
    let ended = model.hear(|envelope| matches!(envelope.event, Event::Exited(_))).event;
    let Event::Exited(Exit { expected: false, log_tail, .. }) = ended else { panic!("{ended:?}") };
    let last = log_tail.last().unwrap();
    assert!(last.contains(&format!("the worker {} is gone", two.address)), "{log_tail:?}");
}

#[test]
fn a_worker_that_does_not_answer_is_named_before_anything_is_loaded() {
    let home = tempfile::tempdir().unwrap();
    let mut worker = Worker::start();
    worker.process.kill().unwrap();
    worker.process.wait().unwrap();
    let (_model, loaded) = Beside::child_of(home.path(), entry(&[&worker]), kit::plain(), &["--network"]);
    let Event::Failed(failure) = loaded else { panic!("{loaded:?}") };
    assert!(
        failure.message.starts_with(&format!("The worker {} does not answer", worker.address)),
        "{failure}"
    );
}
