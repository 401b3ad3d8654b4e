//! Real servers, named by `GLASSBOX_TEST_LLAMA_SERVER`, `GLASSBOX_TEST_VLLM_SERVER` and `GLASSBOX_TEST_SGLANG_SERVER` (such
//! as `http://127.0.0.1:8080`); without its name a test passes over it. With `GLASSBOX_TEST_LLAMA_SERVER_PID` and the like
//! it is killed in the middle of the last reply.

use super::*;
use crate::chat::StopReason;
use crate::engine::protocol::Capability;

#[test]
fn a_real_llama_cpp_server_is_chatted_with_branched_cancelled_and_killed() {
    check("GLASSBOX_TEST_LLAMA_SERVER", "llama.cpp server");
}

#[test]
fn a_real_vllm_is_chatted_with_branched_cancelled_and_killed() {
    check("GLASSBOX_TEST_VLLM_SERVER", "vLLM");
}

#[test]
fn a_real_sglang_is_chatted_with_branched_cancelled_and_killed() {
    check("GLASSBOX_TEST_SGLANG_SERVER", "SGLang");
}

fn check(name: &str, title: &str) {
    let Ok(address) = std::env::var(name) else { return };
    let mut bench = Bench::new(Limits::default());
    let loaded = bench.try_load(entry(&address, Api::Auto)).unwrap();
    assert!(loaded.device.starts_with(&format!("{title} at ")) && loaded.capabilities.has(Capability::Ids));
    let short = |generate: Generate, most| {
        let sampling = Sampling { max_tokens: most, temperature: 0.0, seed: Some(7), ..Sampling::default() };
        Generate { sampling, ..generate }
    };
    let answer = bench.generate(short(chat("What is the capital of France?"), 12));
    let text = answer.text();
    assert!(!text.is_empty() && !answer.prompt.ids.is_empty(), "{answer:?}");
    for written in answer.written.iter().filter(|written| written.step.id.is_some()) {
        let step = &written.step;
        assert!(step.logprob <= 0.0 && step.candidates.len() == 3, "{step:?}");
        assert_eq!((step.rank, step.candidates[0].id), (1, step.id.unwrap()), "temperature 0");
    }

    // Another word in the place of the first, by its id.
    let first = &answer.written[0].step;
    let other = first.candidates[1].id;
    let ids: Vec<i32> = answer.prompt.ids.iter().map(|id| id.0).collect();
    let branch = bench.generate(short(go_on(&ids, &[other.0]), 4));
    assert_eq!((branch.written[0].index, branch.prompt.ids.len()), (1, ids.len()));
    let again = bench.generate(short(go_on(&ids, &[first.id.unwrap().0]), 12));
    assert!(text.ends_with(&again.text()), "{text:?} {:?}", again.text());

    let id = bench.send(Request::Job(Job::Generate(Box::new(short(chat("Count to a thousand."), 0)))));
    while !matches!(bench.next(id), Event::Token(_)) {}
    bench.send(Request::Immediate(Immediate::Cancel { target: id }));
    assert!(matches!(bench.all(id).pop(), Some(Event::Done { stop: StopReason::Cancelled, .. })));

    let Ok(pid) = std::env::var(format!("{name}_PID")) else { return };
    let id = bench.send(Request::Job(Job::Generate(Box::new(short(chat("Count to a thousand."), 0)))));
    while !matches!(bench.next(id), Event::Token(_)) {}
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let Some(Event::Failed(failure)) = bench.all(id).pop() else { panic!("it is gone") };
    assert!(
        failure.message.contains("broke off") || failure.message.contains("ended"),
        "{}",
        failure.message
    );
}
