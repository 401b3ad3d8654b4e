//! Layers on two workers of this machine, each with half of them: the figures of the reference, and a worker that dies.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kit::{self, Beside, SMOLLM, file, references};
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

fn lens(model: &mut Beside, prompt: &Value) -> Inspected {
    let ids =
        prompt["ids"].as_array().unwrap().iter().map(|id| TokenId(id.as_i64().unwrap() as i32)).collect();
    let inspect = Inspect { ids, want: Want { lens: true, ..Want::default() }, ..Inspect::default() };
    match model.answer(Request::Inspection(Inspection::Inspect(Box::new(inspect)))) {
        Event::Inspected(inspected) => *inspected,
        other => panic!("{other:?}"),
    }
}

#[test]
fn half_the_layers_on_each_of_two_workers_give_the_figures_of_the_reference() {
    let home = tempfile::tempdir().unwrap();
    let (one, two) = (Worker::start(), Worker::start());
    let (mut model, loaded) = on(&[&one, &two], kit::dequantized(), home.path());
    let halves: Vec<u32> = loaded.device.split(' ').filter_map(|word| word.parse().ok()).skip(1).collect();
    assert!(halves.len() == 2 && halves.iter().all(|count| (13..=17).contains(count)), "{}", loaded.device);
    assert!(
        loaded.device.contains(&one.address) && loaded.device.contains(&two.address),
        "{}",
        loaded.device
    );

    let text = std::fs::read_to_string(references().join("smollm2-135m-instruct-q4_1.json")).unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let float = |value: &Value| value.as_f64().unwrap() as f32;
    for prompt in reference["prompts"].as_array().unwrap() {
        let rows = lens(&mut model, prompt).trace.lens.unwrap().rows;
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
