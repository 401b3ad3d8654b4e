//! The real engine on the two default models: figures against transformers' (see
//! `data/reference/README.md`), reuse of the cache, cancelling, limits.
//!
//! Invariant: one loaded model per file and process, behind one lock; no test depends on another's cache.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use crate::kit::{
    Model as Fixture, SMOLLM, exact_gemma, exact_smollm, file, gemma, load, loading, locked, work,
};
use crate::noise::ORDER;
use glassbox::chat::{Role, StopReason, Usage};
use glassbox::engine::jobs::shared::Shared;
use glassbox::engine::jobs::worker::{Hooks, Worker};
use glassbox::engine::probe::Plan;
use glassbox::engine::protocol::{
    Event, Failure, FailureKind, Generate, Job, Message, Prompt, PromptFacts, Request, RequestId,
    StoredTokens, TemplateSetting,
};
use glassbox::engine::session::Session;
use glassbox::model_entry::{LoadParams, ModelEntry, ModelFacts};
use glassbox::models::gguf::SharedHeader;
use glassbox::sampling::{LogitBias, Sampling};
use glassbox::token::{Step, TokenId};

/// A reply with everything that was said about it.
#[derive(Debug)]
struct Reply {
    facts: PromptFacts,
    steps: Vec<Step>,
    stop: StopReason,
    usage: Usage,
}

impl Reply {
    fn ids(&self) -> Vec<TokenId> {
        self.steps.iter().filter_map(|step| step.id).collect()
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.steps.iter().flat_map(|step| step.bytes.clone()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Fixture {
    fn generate(&mut self, request: Generate) -> Result<Reply, Failure> {
        let mut events = self.handle(Request::Job(Job::Generate(Box::new(request))));
        let last = events.pop().unwrap();
        assert!(last.is_final() && !events.iter().any(Event::is_final));
        let (stop, usage) = match last {
            Event::Done { stop, usage, .. } => (stop, usage),
            Event::Failed(failure) => return Err(failure),
            other => panic!("{other:?}"),
        };
        let mut reply = Reply { facts: PromptFacts::default(), steps: Vec::new(), stop, usage };
        for event in events {
            match event {
                Event::Prompt(facts) => reply.facts = facts,
                Event::Token(written) => reply.steps.push(written.step),
                Event::PromptProgress { done, total } => assert!(done <= total),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reply.usage.completion_tokens as usize, reply.steps.len());
        Ok(reply)
    }

    /// The reply, cancelled at the first event that `when` picks, and how long it took to end.
    fn stopped(&mut self, request: Generate, when: fn(&Event) -> bool) -> (Reply, Duration) {
        self.cancelled(when, |model| model.generate(request).unwrap())
    }
}

fn smollm() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    locked(&FIXTURE, || Fixture::load(SMOLLM, LoadParams { context: 4096, ..LoadParams::default() }))
}

fn greedy(max_tokens: u32) -> Sampling {
    Sampling { temperature: 0.0, max_tokens, ..Sampling::default() }
}

fn raw(text: &str, sampling: Sampling) -> Generate {
    let prompt = Prompt::Raw { text: text.to_string() };
    Generate { prompt, sampling, top_logprobs: 20, begun: 0, interventions: Vec::new(), allow: None }
}

fn said(role: Role, text: &str) -> Message {
    Message::new(role, text)
}

fn chat(messages: Vec<Message>, sampling: Sampling) -> Generate {
    let prompt = Prompt::Chat { messages, continue_last: false, setting: TemplateSetting::default() };
    Generate { prompt, sampling, top_logprobs: 20, begun: 0, interventions: Vec::new(), allow: None }
}

fn long_text() -> String {
    "The quick brown fox jumps over the lazy dog while nine wizards watch. ".repeat(220)
}

/// Every prompt of a reference file: ids equal, probabilities of the likeliest within the tolerance that
/// 8-bit activations need.
fn agrees_with_reference(fixture: &mut Fixture, reference: &str) {
    let reference: serde_json::Value = serde_json::from_str(reference).unwrap();
    let mut decided = 0;
    for prompt in reference["prompts"].as_array().unwrap() {
        let text = prompt["prompt"].as_str().unwrap();
        let reply = fixture.generate(raw(text, greedy(1))).unwrap();
        let ids: Vec<i64> = reply.facts.ids.iter().map(|id| i64::from(id.0)).collect();
        let expected: Vec<i64> =
            prompt["ids"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
        assert_eq!(ids, expected, "{text:?}");

        let step = &reply.steps[0];
        let entropy = prompt["entropy_nats"].as_f64().unwrap();
        assert!(
            (f64::from(step.entropy) - entropy).abs() < 0.06,
            "{text:?}: {} against {entropy}",
            step.entropy
        );
        let next = prompt["next"].as_array().unwrap();
        let p = |entry: &serde_json::Value| entry["p"].as_f64().unwrap();
        if p(&next[0]) - p(&next[1]) > 0.05 {
            decided += 1;
            assert_eq!(i64::from(step.id.unwrap().0), next[0]["id"].as_i64().unwrap(), "{text:?}");
        }
        // What the reference lists and is not among our 20 is less likely than our last.
        let last = f64::from(step.candidates.last().unwrap().logprob.exp());
        for entry in next {
            let id = TokenId(entry["id"].as_i64().unwrap() as i32);
            let ours = step.candidates.iter().find(|candidate| candidate.id == id);
            let ours = ours.map_or(last, |candidate| f64::from(candidate.logprob.exp()));
            assert!((ours - p(entry)).abs() < 0.03, "{text:?} {id:?}: {ours} against {}", p(entry));
        }
    }
    assert!(decided > 0, "no prompt has one likeliest token");
}

#[test]
fn the_default_model_agrees_with_transformers() {
    agrees_with_reference(&mut smollm(), include_str!("../data/reference/smollm2-135m-instruct-q4_1.json"));
}

#[test]
fn gemma_agrees_with_transformers() {
    agrees_with_reference(&mut gemma(), include_str!("../data/reference/gemma-3-270m-q4_k_m.json"));
}

#[test]
fn the_capital_of_france_is_paris() {
    let reply = smollm().generate(raw("The capital of France is", greedy(1))).unwrap();
    let step = &reply.steps[0];
    assert_eq!(reply.text(), " Paris");
    assert!((step.logprob.exp() - 0.77).abs() < 0.03, "{}", step.logprob.exp());
    assert!((step.entropy - 1.48).abs() < 0.06, "{}", step.entropy);
    assert_eq!((step.rank, step.chosen_index(), step.candidates.len()), (1, Some(0), 20));
    assert_eq!(reply.stop, StopReason::Length);
}

#[test]
fn probabilities_of_the_whole_vocabulary_sum_to_one() {
    let mut fixture = smollm();
    let all = fixture.shared.vocabulary().unwrap().len() as u32;
    let request = Generate { top_logprobs: all, ..raw("Once upon a time", greedy(1)) };
    let step = fixture.generate(request).unwrap().steps.remove(0);
    let sum: f64 = step.candidates.iter().map(|candidate| f64::from(candidate.logprob).exp()).sum();
    assert_eq!(step.candidates.len(), all as usize);
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert!(step.candidates.is_sorted_by(|a, b| a.logprob >= b.logprob));
}

#[test]
fn the_load_is_reported() {
    let loaded = smollm().loaded.clone();
    assert!(loaded.device.starts_with("CPU ×"), "{}", loaded.device);
    assert_eq!((loaded.context, loaded.gpu_layers, loaded.flash_attention), (4096, 0, false));
    assert!(loaded.takes_system && loaded.template_hash.is_some());
    assert!(loaded.memory.weights > 80 << 20, "{:?}", loaded.memory);
    // 4,096 tokens and 512 scratch cells of 22.5 KiB.
    assert_eq!(loaded.memory.context, 4608 * 23040);
    assert!(loaded.memory.compute > 0 && loaded.load_ms > 0.0);
    assert_eq!(loaded.notes, Vec::<String>::new());
}

#[test]
fn a_second_turn_decodes_only_what_is_new() {
    let mut fixture = smollm();
    let system = said(Role::System, "You answer briefly.");
    let question = said(Role::User, "Name a river in Egypt.");
    let first = fixture.generate(chat(vec![system.clone(), question.clone()], greedy(24))).unwrap();
    let answer = Message {
        stored: Some(StoredTokens {
            vocabulary: fixture.loaded.vocabulary.clone(),
            tokens: first.steps.iter().map(|step| (step.id.unwrap(), step.bytes.len() as u32)).collect(),
        }),
        ..Message::new(Role::Assistant, first.text())
    };
    let messages = vec![system, question, answer, said(Role::User, "And in France?")];
    let second = fixture.generate(chat(messages, greedy(8))).unwrap();

    let before: Vec<TokenId> = [first.facts.ids.clone(), first.ids()].concat();
    assert_eq!(second.facts.ids[..before.len()], before[..]);
    // The last token of a reply that ran to its limit was drawn but never decoded.
    let decoded = if first.stop == StopReason::Eos { before.len() } else { before.len() - 1 };
    assert_eq!(second.usage.reused_tokens as usize, decoded);
    assert_eq!(second.usage.prompt_tokens as usize, second.facts.ids.len());
}

#[test]
fn regenerating_decodes_one_token() {
    let mut fixture = exact_smollm();
    let request = || chat(vec![said(Role::User, "Say something about bees.")], greedy(12));
    fixture.generate(request()).unwrap();
    let first = fixture.generate(request()).unwrap();
    let second = fixture.generate(request()).unwrap();
    assert_eq!(first.usage.reused_tokens + 1, first.usage.prompt_tokens);
    assert_eq!(second.usage.reused_tokens, first.usage.reused_tokens);
    // Two replies from the same reused prefix; the very first read it in one batch, which moves last bits.
    assert_eq!(first.ids(), second.ids());
}

#[test]
fn a_reused_prefix_gives_the_numbers_of_a_fresh_one() {
    let mut fixture = exact_smollm();
    let fresh = fixture.generate(raw("Water boils at a temperature of", greedy(1))).unwrap();
    fixture.generate(raw("Water boils at a pressure of one", greedy(30))).unwrap();
    let reused = fixture.generate(raw("Water boils at a temperature of", greedy(1))).unwrap();
    assert!(reused.usage.reused_tokens >= 3);
    for (a, b) in fresh.steps[0].candidates.iter().zip(&reused.steps[0].candidates) {
        assert!((a.logprob.exp() - b.logprob.exp()).abs() < ORDER.share(), "{a:?} {b:?}");
    }
}

#[test]
fn a_prompt_beyond_the_sliding_window_is_reused_rightly() {
    let mut fixture = exact_gemma();
    let text = "One two three four five six seven eight nine ten. ".repeat(70);
    let fresh = fixture.generate(raw(&text, greedy(1))).unwrap();
    fixture.generate(raw(&format!("{text}Eleven twelve"), greedy(40))).unwrap();
    let again = fixture.generate(raw(&text, greedy(1))).unwrap();
    assert!(fresh.facts.ids.len() > 700);
    assert_eq!(again.usage.reused_tokens + 1, again.usage.prompt_tokens);
    let (fresh, again) = (&fresh.steps[0], &again.steps[0]);
    assert!((fresh.entropy - again.entropy).abs() < ORDER.nats(), "{} {}", fresh.entropy, again.entropy);
}

#[test]
fn the_same_seed_writes_the_same_reply() {
    let mut fixture = smollm();
    let request = |seed| {
        let sampling = Sampling { seed: Some(seed), max_tokens: 24, temperature: 1.2, ..Sampling::default() };
        raw("My favourite animal is", sampling)
    };
    // Both with a reused prefix of the same length, since batch size moves the last bits.
    fixture.generate(request(1)).unwrap();
    let first = fixture.generate(request(5)).unwrap();
    let second = fixture.generate(request(5)).unwrap();
    let other = fixture.generate(request(6)).unwrap();
    assert_eq!(first.facts.seed, 5);
    assert_eq!(first.ids(), second.ids());
    assert_ne!(first.ids(), other.ids());
}

#[test]
fn cancelling_in_the_prompt_answers_within_100_ms() {
    let mut fixture = smollm();
    let request = raw(&long_text(), greedy(4));
    let (reply, took) = fixture.stopped(request, |event| matches!(event, Event::Prompt(_)));
    assert_eq!((reply.stop, reply.steps.len()), (StopReason::Cancelled, 0));
    assert!(took < Duration::from_millis(100), "{took:?}");
    // The cache is what it claims to be: the same prompt can be read after all.
    let reply = fixture.generate(raw("The capital of France is", greedy(1))).unwrap();
    assert_eq!(reply.text(), " Paris");
}

#[test]
fn cancelling_between_slices_keeps_what_was_read() {
    let mut fixture = smollm();
    let after_one = |event: &Event| matches!(event, Event::PromptProgress { .. });
    let (reply, took) = fixture.stopped(raw(&long_text(), greedy(4)), after_one);
    assert_eq!(reply.stop, StopReason::Cancelled);
    assert!(took < Duration::from_millis(100), "{took:?}");
    let again = fixture.generate(raw(&long_text(), greedy(1))).unwrap();
    assert!(again.usage.reused_tokens >= 512, "{:?}", again.usage);
}

#[test]
fn cancelling_while_writing_answers_within_100_ms() {
    let mut fixture = smollm();
    let request = raw("Here is a very long story. Once upon a time", greedy(2000));
    let (reply, took) = fixture.stopped(request, |event| matches!(event, Event::Token(_)));
    assert_eq!(reply.stop, StopReason::Cancelled);
    assert!(!reply.steps.is_empty() && took < Duration::from_millis(100), "{took:?}");
}

#[test]
fn a_reply_cancelled_before_it_starts_still_ends() {
    let mut fixture = smollm();
    fixture.cancel_next();
    let reply = fixture.generate(raw("Hello", greedy(5))).unwrap();
    assert_eq!((reply.stop, reply.steps.len()), (StopReason::Cancelled, 0));
}

#[test]
fn a_prompt_longer_than_the_context_is_refused_with_the_excess() {
    let mut fixture = smollm();
    let text = long_text().repeat(2);
    let length = fixture.shared.tokenize(&text, false, true).unwrap().len();
    let failure = fixture.generate(raw(&text, greedy(5))).unwrap_err();
    assert_eq!(failure.kind, FailureKind::ContextFull);
    let over = format!("The prompt is {length} tokens long, {} more than the context of 4096", length - 4095);
    assert!(failure.message.starts_with(&over), "{failure}");
}

#[test]
fn a_full_context_ends_the_reply_and_says_so() {
    let mut fixture = gemma();
    let text = "word ".repeat(2035);
    let prompt = fixture.shared.tokenize(&text, false, true).unwrap().len();
    let end_bias = LogitBias { text: None, id: Some(1), bias: f32::NEG_INFINITY };
    let sampling = Sampling { logit_bias: vec![end_bias], ..greedy(0) };
    let reply = fixture.generate(raw(&text, sampling)).unwrap();
    assert_eq!(reply.stop, StopReason::Context);
    assert_eq!(prompt + reply.steps.len(), 2048 + 1);
}

#[test]
fn a_stop_text_is_never_shown() {
    let mut fixture = smollm();
    let sampling = Sampling { stop: vec!["five".to_string()], ..greedy(60) };
    let reply = fixture.generate(raw("Count: one, two, three,", sampling)).unwrap();
    assert_eq!(reply.stop, StopReason::Stop);
    assert!(reply.text().contains("four") && !reply.text().contains("fiv"), "{:?}", reply.text());
}

#[test]
fn the_models_own_end_is_not_a_step() {
    let mut fixture = smollm();
    let reply = fixture.generate(chat(vec![said(Role::User, "Say only: yes")], greedy(200))).unwrap();
    assert_eq!(reply.stop, StopReason::Eos);
    assert!(!reply.text().contains("<|im_end|>") && !reply.text().is_empty());
}

#[test]
fn marks_in_a_raw_prompt_stay_text() {
    let mut fixture = smollm();
    let reply = fixture.generate(raw("<|im_start|>", greedy(1))).unwrap();
    assert!(reply.facts.ids.len() > 1, "{:?}", reply.facts.ids);
    let marks = fixture.shared.tokenize("<|im_start|>", true, false).unwrap();
    assert_eq!(marks, [(TokenId(1), b"<|im_start|>".to_vec())]);
}

#[test]
fn every_way_of_sampling_writes() {
    let mut fixture = smollm();
    let base = || Sampling { seed: Some(3), max_tokens: 6, ..Sampling::default() };
    for sampling in [
        Sampling { mirostat: 2, ..base() },
        Sampling { dry_multiplier: 0.8, ..base() },
        Sampling { repeat_penalty: 1.1, penalty_last_n: -1, ..base() },
        Sampling { top_n_sigma: 1.0, top_k: 0, ..base() },
        Sampling { typical_p: 0.5, xtc_probability: 0.5, dynatemp_range: 0.3, ..base() },
        Sampling { top_k: 0, top_p: 1.0, min_p: 0.0, ..base() },
    ] {
        let reply = fixture.generate(raw("The weather today is", sampling.clone())).unwrap();
        assert!(!reply.steps.is_empty(), "{sampling:?}");
        assert!(reply.steps.iter().all(|step| step.survivors > 0 && step.logprob <= 0.0), "{sampling:?}");
    }
}

#[test]
fn a_token_outside_the_candidates_has_its_true_rank() {
    let mut fixture = smollm();
    let force = LogitBias { text: Some(" zebra".to_string()), id: None, bias: 200.0 };
    let sampling = Sampling { logit_bias: vec![force], ..greedy(1) };
    let reply = fixture.generate(raw("The capital of France is", sampling)).unwrap();
    let step = &reply.steps[0];
    assert_eq!(reply.text(), " zebra");
    assert!(step.rank > 20 && step.chosen_index().is_none() && step.logprob < -5.0, "{step:?}");
}

#[test]
fn the_vocabulary_gives_bytes_and_kinds() {
    let fixture = smollm();
    let vocabulary = fixture.shared.vocabulary().unwrap();
    assert_eq!(vocabulary.len(), 49152);
    assert_eq!(vocabulary.bytes(TokenId(7042)), Some(b" Paris".as_slice()));
    assert_eq!(vocabulary.kind(TokenId(1)), glassbox::token::TokenKind::Control);
    assert_eq!((vocabulary.hash.len(), &vocabulary.hash), (64, &fixture.loaded.vocabulary));
}

#[test]
fn a_file_that_is_no_model_is_refused_with_the_reason() {
    let folder = std::env::temp_dir().join(format!("glassbox-real-engine-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("broken.gguf");
    std::fs::write(&path, b"GGUF\x03\0\0\0 and nothing more").unwrap();
    let resolve = {
        let path = path.clone();
        Box::new(move |_: &ModelEntry| Ok((path.clone(), ModelFacts::default())))
    };
    let (sender, events) = channel();
    let emit = Arc::new(move |envelope| sender.send(envelope).unwrap());
    let mut worker = Worker::new(
        Arc::new(Hooks {
            resolve,
            open: Box::new(|path| Ok(Arc::new(SharedHeader::open(path).unwrap()))),
            states: None,
        }),
        Shared::new(),
        emit,
    );
    let load = || load(LoadParams::default());
    let _alone = loading();
    work(&mut worker, RequestId(1), load());
    let Event::Failed(failure) = events.recv().unwrap().event else { panic!() };
    assert_eq!(failure.kind, FailureKind::BadModel);
    assert!(failure.message.contains("broken.gguf cannot be loaded: "), "{failure}");

    std::fs::remove_dir_all(&folder).unwrap();
    work(&mut worker, RequestId(2), load());
    let Event::Failed(failure) = events.recv().unwrap().event else { panic!() };
    assert!(failure.message.ends_with("there is no such file."), "{failure}");
    work(&mut worker, RequestId(3), Request::Job(Job::Generate(Box::new(raw("a", greedy(1))))));
    let Event::Failed(failure) = events.recv().unwrap().event else { panic!() };
    assert_eq!(failure.kind, FailureKind::NoModel);
}

#[test]
fn the_probe_is_asked_about_passes_that_are_opened_and_no_others() {
    let others = smollm();
    let path = file(SMOLLM);
    let params = LoadParams { context: 512, ..LoadParams::default() };
    let _alone = loading();
    let (mut session, _) =
        Session::load(&path, &others.loaded.facts, &params, Arc::default(), |_| {}).unwrap();
    let asked_of = |session: &mut Session| {
        let before = session.probe_asked();
        session.step(TokenId(28)).unwrap();
        session.probe_asked() - before
    };
    // At the least the residual stream, attention and feed-forward of each of the 30 blocks: what the operands are is
    // learnt from the first pass.
    let first = asked_of(&mut session);
    assert!(first > 90, "{first}");
    // The next may build the graph for one token after another, which those behind it use again.
    asked_of(&mut session);
    assert_eq!([asked_of(&mut session), asked_of(&mut session)], [0, 0]);
    session.probe().plan(Plan { residual: true, ..Plan::default() });
    let opened = asked_of(&mut session);
    assert!(opened > 90, "{opened}");
    assert_eq!(session.probe().take().layers.len(), 30);
    session.probe().plan(Plan::default());
    assert_eq!(asked_of(&mut session), 0);
}
