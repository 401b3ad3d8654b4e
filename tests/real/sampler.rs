//! The sampler station's figures on the real model: stages recorded live against those of a pass read again,
//! branches by id, pacing, and that none of it disturbs the chat.
//!
//! Invariant: a model is loaded once, behind one lock; no test depends on another's cache.

use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::kit::{self, Beside as Fixture, GEMMA, SMOLLM, locked};
use crate::noise::ORDER;
use glassbox::chat::{StopReason, Usage};
use glassbox::engine::protocol::{
    CapturePlan, ChainSetup, Event, Failure, FailureKind, Generate, Immediate, Job, Prompt, PromptFacts,
    Replay, Replayed, Request,
};
use glassbox::inspect::chain::{self, Input, Outcome};
use glassbox::inspect::distribution::Distribution;
use glassbox::inspect::stages::{SamplerTrace, TraceSource};
use glassbox::model_entry::LoadParams;
use glassbox::sampling::{LogitBias, Sampling, Stage};
use glassbox::token::{Candidate, Step, TokenId};

const STORY: &str = "Once upon a time, in a small town by the sea, there lived an old clockmaker who";

/// A reply with everything that was said about it.
#[derive(Debug, Default)]
struct Reply {
    facts: PromptFacts,
    steps: Vec<Step>,
    stages: Vec<SamplerTrace>,
    watched: Vec<(u32, f32, u32)>,
    pauses: usize,
    usage: Usage,
    stop: Option<StopReason>,
}

impl Reply {
    fn ids(&self) -> Vec<TokenId> {
        self.steps.iter().filter_map(|step| step.id).collect()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Prompt(facts) => self.facts = facts,
            Event::Token(written) => {
                let told = |(token, rank): &(Candidate, u32)| (written.index, token.logprob, *rank);
                self.watched.extend(written.watched.iter().map(told));
                self.stages.extend(written.stages.map(|stages| *stages));
                assert!(written.recording_ms.is_none_or(|ms| ms >= 0.0));
                self.steps.push(written.step);
            }
            Event::Paused => self.pauses += 1,
            Event::PromptProgress { done, total } => assert!(done <= total),
            Event::Done { stop, usage, .. } => (self.stop, self.usage) = (Some(stop), usage),
            other => panic!("{other:?}"),
        }
    }
}

impl Fixture {
    fn capture(&mut self, plan: CapturePlan) -> Event {
        self.ask(Request::Immediate(Immediate::SetCapture(plan))).pop().unwrap()
    }

    fn generate(&mut self, request: Generate) -> Reply {
        let mut reply = Reply::default();
        self.ask(Request::Job(Job::Generate(Box::new(request))))
            .into_iter()
            .for_each(|event| reply.take(event));
        assert_eq!(reply.usage.completion_tokens as usize, reply.steps.len());
        reply
    }

    /// Generates with every stage recorded.
    fn record(&mut self, request: Generate) -> Reply {
        self.capture(CapturePlan { stages: 20, ..CapturePlan::default() });
        let reply = self.generate(request);
        self.capture(CapturePlan::default());
        assert_eq!(reply.stages.len(), reply.steps.len());
        reply
    }

    fn look(&mut self, look: Replay) -> Result<Replayed, Failure> {
        match self.ask(Request::Job(Job::Replay(Box::new(look)))).pop() {
            Some(Event::Replayed(looked)) => Ok(*looked),
            Some(Event::Failed(failure)) => Err(failure),
            other => panic!("{other:?}"),
        }
    }

    fn tokenize(&mut self, text: &str) -> Vec<TokenId> {
        let request =
            Request::Immediate(Immediate::Tokenize { text: text.to_string(), special: false, begin: true });
        match self.ask(request).pop() {
            Some(Event::Tokenized { tokens }) => tokens.into_iter().map(|(id, _)| id).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// The pass that chose step `index` of a reply, with the chain run on it again.
    fn replayed(&mut self, run: &Reply, sampling: &Sampling, index: usize) -> SamplerTrace {
        *self.looked_at(run, sampling, index, false).0.stages.unwrap()
    }

    /// The same with its logits if wanted, and what was read.
    fn looked_at(
        &mut self,
        run: &Reply,
        sampling: &Sampling,
        index: usize,
        logits: bool,
    ) -> (Replayed, Vec<TokenId>) {
        let chain = ChainSetup {
            sampling: sampling.clone(),
            seed: run.facts.seed,
            prompt: run.facts.ids.len() as u32,
            taken: 0,
            begun: 0,
            drawn: run.ids()[index],
            list: 20,
        };
        let ids = [&run.facts.ids, &run.ids()[..index]].concat();
        let look =
            Replay { ids: ids.clone(), interventions: Vec::new(), logits, chain: Some(Box::new(chain)) };
        (self.look(look).unwrap(), ids)
    }
}

fn load(variable: &str, context: u32) -> Fixture {
    Fixture::load(variable, LoadParams { context, ..LoadParams::default() })
}

fn smollm() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    locked(&FIXTURE, || load(SMOLLM, 2048))
}

fn exact() -> MutexGuard<'static, Fixture> {
    static FIXTURE: OnceLock<Mutex<Fixture>> = OnceLock::new();
    locked(&FIXTURE, || Fixture::load(SMOLLM, kit::dequantized()))
}

fn request(prompt: Prompt, sampling: Sampling) -> Generate {
    Generate { prompt, sampling, top_logprobs: 20, begun: 0, interventions: Vec::new(), allow: None }
}

fn raw(text: &str, sampling: Sampling) -> Generate {
    request(Prompt::Raw { text: text.to_string() }, sampling)
}

fn ids(ids: &[TokenId], taken: &[TokenId], sampling: Sampling) -> Generate {
    request(Prompt::Ids { ids: ids.to_vec(), taken: taken.to_vec(), chat: false }, sampling)
}

fn greedy(max_tokens: u32) -> Sampling {
    Sampling { temperature: 0.0, max_tokens, ..Sampling::default() }
}

fn plain_look(ids: &[TokenId]) -> Replay {
    Replay { ids: ids.to_vec(), interventions: Vec::new(), logits: true, chain: None }
}

/// No stage but the draw.
fn nothing() -> Sampling {
    Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() }
}

/// How two records of one step differ beyond what the size of a batch moves; `None` if they do not.
fn difference(live: &SamplerTrace, again: &SamplerTrace) -> Option<String> {
    let names = |trace: &SamplerTrace| trace.stages.iter().map(|stage| stage.name).collect::<Vec<_>>();
    if (live.index, live.vocabulary, names(live)) != (again.index, again.vocabulary, names(again)) {
        return Some(format!("{} {:?} against {} {:?}", live.index, names(live), again.index, names(again)));
    }
    if again.u != live.u {
        return Some(format!("drawn with {:?} against {:?}", live.u, again.u));
    }
    let same_place = |id: &TokenId| again.tokens.iter().position(|token| token == id);
    let shared: Vec<(usize, usize)> =
        live.tokens.iter().enumerate().filter_map(|(i, id)| Some((i, same_place(id)?))).collect();
    if shared.len() * 2 < live.tokens.len() {
        return Some(format!("only {} of {} tokens are in both", shared.len(), live.tokens.len()));
    }
    for (i, j) in shared {
        let columns = live.stages.iter().zip(&again.stages).take_while(|(a, b)| a.left == b.left);
        let pairs = columns.filter_map(|(a, b)| Some((a.probabilities[i]?, b.probabilities[j]?)));
        for (p, q) in pairs.chain([(live.model[i], again.model[j])]) {
            if (p - q).abs() > ORDER.share() {
                return Some(format!("{:?}: {p} against {q}", live.tokens[i]));
            }
        }
    }
    let edge = match (live.u, live.interval) {
        (Some(u), Some((from, to))) => (u - from).min(to - u),
        _ => 0.0,
    };
    let counts = |trace: &SamplerTrace| trace.stages.iter().map(|stage| stage.left).collect::<Vec<_>>();
    (live.drawn != again.drawn && counts(live) == counts(again) && edge > f64::from(ORDER.share()))
        .then(|| format!("drew {:?} against {:?}", live.drawn, again.drawn))
}

/// 200 steps recorded live, each draw in its interval and the token of its step.
fn recorded(fixture: &mut Fixture, name: &str, sampling: &Sampling) -> Reply {
    let reply = fixture.record(raw(STORY, Sampling { seed: Some(11), ..sampling.clone() }));
    assert_eq!(reply.steps.len(), 200, "{name}");
    for (index, (live, step)) in reply.stages.iter().zip(&reply.steps).enumerate() {
        assert_eq!((live.index as usize, live.source), (index, TraceSource::Live), "{name}");
        assert_eq!(Some(live.drawn), step.id, "{name} {index}");
        if let Some((from, to)) = live.interval {
            let u = live.u.unwrap_or_else(|| panic!("{name} {index}: no number in {from}..{to}"));
            assert!(u > from - 1e-6 && u < to + 1e-6, "{name} {index}: {u} outside {from}..{to}");
        }
    }
    reply
}

/// Settings for 200 steps: the tokens that would end the reply early are banned.
fn endless(sampling: Sampling) -> Sampling {
    let ban = |id| LogitBias { text: None, id: Some(id), bias: f32::NEG_INFINITY };
    Sampling { max_tokens: 200, logit_bias: vec![ban(0), ban(2)], ..sampling }
}

/// Steps recorded live and again afterwards, every `every`th of 200: the same to the last digit. For that the
/// pass has to be computed as it was: the chat is taken back to the token before, so that the one that is
/// read again lands in the cell it had.
fn check(name: &str, sampling: Sampling, every: usize) {
    let mut fixture = smollm();
    check_live(&mut fixture, name, &endless(sampling), every);
}

fn check_live(fixture: &mut Fixture, name: &str, sampling: &Sampling, every: usize) -> Reply {
    let reply = recorded(fixture, name, sampling);
    let whole = [reply.facts.ids.clone(), reply.ids()].concat();
    for index in (1..200).step_by(every).collect::<Vec<_>>().into_iter().rev() {
        let before = &whole[..reply.facts.ids.len() + index - 1];
        fixture.generate(ids(before, &[], greedy(1)));
        let again = fixture.replayed(&reply, sampling, index);
        assert_eq!(again.source, TraceSource::Replayed);
        let again = SamplerTrace { source: TraceSource::Live, ..again };
        assert_eq!(again, reply.stages[index], "{name}, step {index}");
    }
    reply
}

/// As [`check`], and: the engine's stages are llama.cpp's own samplers; those of the sandbox are worked out again from
/// the same logits. Both have to say the same.
fn check_by_arithmetic_too(name: &str, sampling: Sampling, every: usize) {
    let mut fixture = smollm();
    let sampling = endless(sampling);
    let reply = check_live(&mut fixture, name, &sampling, every);
    let biases = [(TokenId(0), f32::NEG_INFINITY), (TokenId(2), f32::NEG_INFINITY)];
    for index in (1..200).step_by(18) {
        let (looked, recent) = fixture.looked_at(&reply, &sampling, index, true);
        let whole = Distribution::new(looked.unpack()).unwrap();
        let theirs = *looked.stages.unwrap();
        let input = Input {
            index: index as u32,
            recent: &recent,
            biases: &biases,
            u: theirs.u,
            ..Input::whole(&whole, theirs.drawn)
        };
        let Outcome::Exact(own) = chain::run(&input, &sampling) else {
            panic!("{name}, step {index}: not exact")
        };
        let said = format!("{name}, step {index}: {theirs:?}\n{own:?}");
        assert_eq!(
            (own.drawn, own.vocabulary, &own.tokens),
            (theirs.drawn, theirs.vocabulary, &theirs.tokens),
            "{said}"
        );
        let close = |a: f32, b: f32| (a - b).abs() < 2e-3;
        assert!(close(own.entropy, theirs.entropy), "{said}");
        assert_eq!(own.stages.len(), theirs.stages.len(), "{said}");
        for (a, b) in own.stages.iter().zip(&theirs.stages) {
            assert_eq!((a.name, a.left), (b.name, b.left), "{said}");
            assert!(
                close(a.removed, b.removed) && close(a.kept, b.kept) && close(a.entropy, b.entropy),
                "{said}"
            );
            for (p, q) in a.probabilities.iter().zip(&b.probabilities) {
                assert_eq!(p.is_some(), q.is_some(), "{said}");
                assert!(close(p.unwrap_or_default(), q.unwrap_or_default()), "{said}");
            }
        }
        if let (Some(a), Some(b)) = (own.interval, theirs.interval) {
            assert!((a.0 - b.0).abs() < 2e-3 && (a.1 - b.1).abs() < 2e-3, "{said}");
        }
    }
}

/// The same for chains that have to draw at every pass again, which come in batches: the same but for what
/// the size of a batch moves.
fn check_in_batches(name: &str, sampling: Sampling) {
    let mut fixture = exact();
    let sampling = endless(sampling);
    let reply = recorded(&mut fixture, name, &sampling);
    for index in [0, 1, 20, 63, 64, 65, 130, 199] {
        let again = fixture.replayed(&reply, &sampling, index);
        let live = &reply.stages[index];
        if let Some(difference) = difference(live, &again) {
            panic!("{name}, step {index}: {difference}\n{live:?}\n{again:?}");
        }
    }
}

#[test]
fn a_greedy_run_comes_back() {
    check_by_arithmetic_too("greedy", Sampling { temperature: 0.0, ..Sampling::default() }, 1);
}

#[test]
fn the_default_chain_comes_back() {
    check_by_arithmetic_too("default", Sampling::default(), 1);
}

#[test]
fn the_default_chain_with_penalties_that_count_the_prompt_comes_back() {
    let sampling =
        Sampling { repeat_penalty: 1.3, presence_penalty: 0.4, penalty_last_n: -1, ..Sampling::default() };
    check("default and penalties", sampling, 1);
}

#[test]
fn each_cut_alone_comes_back() {
    check("no stage", nothing(), 10);
    check_by_arithmetic_too("top-k", Sampling { top_k: 12, ..nothing() }, 10);
    check_by_arithmetic_too("top-p", Sampling { top_p: 0.8, ..nothing() }, 10);
    check_by_arithmetic_too("min-p", Sampling { min_p: 0.08, ..nothing() }, 10);
    check_by_arithmetic_too("typical", Sampling { typical_p: 0.7, ..nothing() }, 10);
    check_by_arithmetic_too("top-n-sigma", Sampling { top_n_sigma: 1.2, ..nothing() }, 10);
}

#[test]
fn each_change_alone_comes_back() {
    check("temperature", Sampling { temperature: 0.6, ..nothing() }, 10);
    let dynamic = Sampling { temperature: 0.8, dynatemp_range: 0.5, ..nothing() };
    check_by_arithmetic_too("dynamic temperature", dynamic, 10);
    let penalties = Sampling { repeat_penalty: 1.2, frequency_penalty: 0.3, penalty_last_n: 64, ..nothing() };
    check_by_arithmetic_too("penalties", penalties, 10);
    check("dry", Sampling { dry_multiplier: 0.8, ..nothing() }, 10);
}

#[test]
fn chains_whose_state_hangs_on_earlier_logits_come_back() {
    check_in_batches("xtc", Sampling { xtc_probability: 0.5, xtc_threshold: 0.08, top_k: 40, ..nothing() });
    check_in_batches("mirostat", Sampling { mirostat: 2, mirostat_tau: 4.0, ..nothing() });
}

#[test]
fn an_order_of_ones_own_comes_back() {
    let order = vec![Stage::Temperature, Stage::MinP, Stage::TopK, Stage::TopP];
    check("other order", Sampling { order, temperature: 1.3, ..Sampling::default() }, 10);
}

/// Greedy tokens and their probabilities with and without looks in between.
fn looks_leave_the_chat_alone(fixture: &mut Fixture, text: &str) {
    let first = fixture.generate(raw(text, greedy(12)));
    let whole = [first.facts.ids.clone(), first.ids()].concat();
    let go_on = |fixture: &mut Fixture| {
        let reply = fixture.generate(ids(&whole, &[], greedy(20)));
        assert_eq!(reply.usage.prompt_tokens - reply.usage.reused_tokens, 1);
        reply
    };
    fixture.generate(ids(&whole, &[], greedy(1)));
    let without = go_on(fixture);
    let stranger = fixture.tokenize("Something else entirely: the price of fish in Lisbon");
    let half = &whole[..whole.len() / 2];
    let looked = fixture.look(plain_look(half)).unwrap();
    assert_eq!(looked.decoded, 1);
    fixture.look(plain_look(&stranger)).unwrap();
    let branch = [half, &stranger].concat();
    assert_eq!(fixture.look(plain_look(&branch)).unwrap().decoded as usize, stranger.len());
    let with = go_on(fixture);
    assert_eq!(with.ids(), without.ids());
    for (a, b) in with.steps.iter().zip(&without.steps) {
        assert!((a.logprob - b.logprob).abs() < 1e-3, "{} {}", a.logprob, b.logprob);
    }
    // And the pass is the one that was made live.
    let at = first.facts.ids.len() + 6;
    let live = &first.steps[6];
    let pass = Distribution::new(fixture.look(plain_look(&whole[..at])).unwrap().unpack()).unwrap();
    for candidate in &live.candidates {
        let p = pass.logprob(candidate.id).unwrap().exp();
        assert!((p - candidate.logprob.exp()).abs() < ORDER.share(), "{candidate:?} {p}");
    }
}

#[test]
fn a_look_leaves_the_chat_alone() {
    looks_leave_the_chat_alone(&mut exact(), STORY);
}

#[test]
fn a_look_beyond_the_sliding_window_leaves_the_chat_alone() {
    let text = "One two three four five six seven eight nine ten. ".repeat(70);
    looks_leave_the_chat_alone(&mut Fixture::load(GEMMA, kit::dequantized()), &text);
}

#[test]
fn a_look_at_more_than_fits_beside_the_chat_is_read_in_its_place() {
    let mut fixture = Fixture::load(SMOLLM, LoadParams { context: 1024, ..kit::dequantized() });
    let story = STORY.repeat(45);
    let chat = fixture.generate(raw(&story, greedy(5)));
    let text = "The quick brown fox jumps over the lazy dog while nine wizards watch. ".repeat(58);
    let long = fixture.tokenize(&text);
    // More than the context's cells and those beside it.
    assert!(chat.usage.prompt_tokens as usize + long.len() > 1024 + 512, "{:?} {}", chat.usage, long.len());
    let events = fixture.ask(Request::Job(Job::Replay(Box::new(plain_look(&long)))));
    let progress = |event: &Event| match event {
        Event::PromptProgress { done, total } => Some((*done, *total)),
        _ => None,
    };
    let told: Vec<_> = events.iter().filter_map(progress).collect();
    assert!(told.len() > 1 && told.is_sorted() && told.last() == Some(&(told[0].1, told[0].1)), "{told:?}");
    let looked = match events.last() {
        Some(Event::Replayed(looked)) => looked.unpack(),
        other => panic!("{other:?}"),
    };
    // The cache knows what it holds now.
    let reply = fixture.generate(ids(&long, &[], greedy(1)));
    assert_eq!(reply.usage.reused_tokens as usize + 1, long.len());
    let pass = Distribution::new(looked).unwrap();
    assert!((pass.entropy() - reply.steps[0].entropy).abs() < ORDER.nats());
    let chat_again = fixture.generate(raw(&story, greedy(5)));
    assert_eq!(chat_again.ids(), chat.ids());
}

#[test]
fn a_replay_in_the_chats_place_is_the_one_beside_it() {
    let mut fixture = exact();
    let sampling = Sampling { mirostat: 2, mirostat_tau: 4.0, max_tokens: 90, seed: Some(3), ..nothing() };
    let text = "The quick brown fox jumps over the lazy dog while nine wizards watch. ".repeat(45);
    let reply = fixture.record(raw(&text, sampling.clone()));
    assert!(reply.facts.ids.len() > 520);
    let last = reply.steps.len() - 1;
    let beside = fixture.replayed(&reply, &sampling, last);
    fixture.generate(raw(STORY, greedy(1)));
    let instead = fixture.replayed(&reply, &sampling, last);
    assert_eq!(difference(&reply.stages[last], &beside), None);
    assert_eq!(difference(&beside, &instead), None);
}

#[test]
fn a_cancelled_look_says_so_and_leaves_the_cache_true() {
    let mut fixture = exact();
    let text = "The quick brown fox jumps over the lazy dog while nine wizards watch. ".repeat(110);
    let long = fixture.tokenize(&text);
    fixture.generate(raw("Hello", greedy(1)));
    let id = fixture.send(Request::Job(Job::Replay(Box::new(plain_look(&long)))));
    fixture.until(id, |event| matches!(event, Event::PromptProgress { .. }));
    fixture.send(Request::Immediate(Immediate::Cancel { target: id }));
    let Event::Failed(failure) = fixture.until(id, Event::is_final).pop().unwrap() else { panic!() };
    assert_eq!(failure.kind, FailureKind::Cancelled);
    let waiting = fixture.send(Request::Job(Job::Generate(Box::new(raw(&text, greedy(1))))));
    let cancelled = fixture.send(Request::Job(Job::Replay(Box::new(plain_look(&long[..5])))));
    fixture.send(Request::Immediate(Immediate::Cancel { target: cancelled }));
    fixture.send(Request::Immediate(Immediate::Cancel { target: waiting }));
    let last = |events: Vec<Event>| events.into_iter().next_back().unwrap();
    assert!(matches!(last(fixture.until(waiting, Event::is_final)), Event::Done { .. }));
    let Event::Failed(failure) = last(fixture.until(cancelled, Event::is_final)) else { panic!() };
    assert_eq!(failure.kind, FailureKind::Cancelled);

    let pass = Distribution::new(fixture.look(plain_look(&long[..40])).unwrap().unpack()).unwrap();
    let fresh = fixture.generate(ids(&long[..40], &[], greedy(1)));
    assert!((pass.entropy() - fresh.steps[0].entropy).abs() < ORDER.nats());
}

#[test]
fn what_cannot_be_looked_at_is_refused() {
    let mut fixture = smollm();
    let failed = |fixture: &mut Fixture, look: Replay| fixture.look(look).unwrap_err().message;
    let message = failed(&mut fixture, plain_look(&[]));
    assert!(message.contains("nothing has been read"), "{message}");
    let message = failed(&mut fixture, plain_look(&[TokenId(1), TokenId(70_000)]));
    assert!(message.contains("no token 70000"), "{message}");
    let message = failed(&mut fixture, plain_look(&[TokenId(1); 3000]));
    assert!(message.contains("3000 tokens long"), "{message}");
    let replay = ChainSetup {
        sampling: Sampling::default(),
        seed: 1,
        prompt: 2,
        taken: 1,
        begun: 0,
        drawn: TokenId(1),
        list: 20,
    };
    let before = Replay { chain: Some(Box::new(replay)), ..plain_look(&[TokenId(1), TokenId(2)]) };
    assert!(failed(&mut fixture, before).contains("before the run's first draw"));
}

#[test]
fn a_branch_decodes_only_the_token_that_was_taken() {
    let mut fixture = exact();
    let sampling = Sampling { seed: Some(4), max_tokens: 30, ..Sampling::default() };
    let first = fixture.record(raw(STORY, sampling.clone()));
    let kept = [&first.facts.ids, &first.ids()[..10]].concat();
    let taken = first.steps[10].candidates[1].id;
    let branch = fixture.record(ids(&kept, &[taken], Sampling { max_tokens: 12, ..sampling.clone() }));
    assert_eq!(branch.facts.ids, kept);
    assert_eq!(branch.facts.reused as usize, kept.len());
    assert_eq!(branch.usage.prompt_tokens - branch.usage.reused_tokens, 1);
    assert_eq!(
        branch.stages.iter().map(|trace| trace.index).collect::<Vec<_>>(),
        (1..12).collect::<Vec<_>>()
    );

    // Its passes come back too: the taken token was not drawn.
    let replay = ChainSetup {
        sampling,
        seed: branch.facts.seed,
        prompt: kept.len() as u32,
        taken: 1,
        begun: 0,
        drawn: branch.ids()[5],
        list: 20,
    };
    let read = [kept.clone(), vec![taken], branch.ids()[..5].to_vec()].concat();
    let look = Replay { chain: Some(Box::new(replay)), ..plain_look(&read) };
    let again = *fixture.look(look).unwrap().stages.unwrap();
    assert_eq!(difference(&branch.stages[5], &again), None);

    // Back at the place where they part, the logits are those of the first time.
    let rewound = fixture.generate(ids(&kept, &[], greedy(1)));
    for (a, b) in rewound.steps[0].candidates.iter().zip(&first.steps[10].candidates) {
        assert!((a.logprob.exp() - b.logprob.exp()).abs() < ORDER.share(), "{a:?} {b:?}");
    }
}

#[test]
fn a_taken_end_ends_the_reply() {
    let mut fixture = smollm();
    let story = fixture.tokenize(STORY);
    let reply = fixture.generate(ids(&story, &[TokenId(2)], greedy(5)));
    assert_eq!((reply.steps.len(), reply.stop), (0, Some(StopReason::Eos)));
}

#[test]
fn a_paced_reply_waits_and_goes_on() {
    let mut fixture = exact();
    let paced = Generate { allow: Some(1), ..raw(STORY, greedy(12)) };
    let free = fixture.generate(raw(STORY, greedy(12)));
    let id = fixture.send(Request::Job(Job::Generate(Box::new(paced.clone()))));
    let mut reply = Reply::default();
    let is_paused = |event: &Event| matches!(event, Event::Paused);
    fixture.until(id, is_paused).into_iter().for_each(|event| reply.take(event));
    assert_eq!((reply.steps.len(), reply.pauses), (1, 1));
    // The watch list can change while it waits.
    let watch = vec![reply.steps[0].candidates[0].id];
    fixture.capture(CapturePlan { watch, ..CapturePlan::default() });
    fixture.send(Request::Immediate(Immediate::Pace { target: id, allow: Some(2) }));
    fixture.until(id, is_paused).into_iter().for_each(|event| reply.take(event));
    assert_eq!((reply.steps.len(), reply.pauses), (3, 2));
    assert_eq!(reply.watched.iter().map(|(index, ..)| *index).collect::<Vec<_>>(), [1, 2]);
    fixture.send(Request::Immediate(Immediate::Pace { target: id, allow: None }));
    fixture.until(id, Event::is_final).into_iter().for_each(|event| reply.take(event));
    fixture.capture(CapturePlan::default());
    assert_eq!((reply.ids(), reply.pauses), (free.ids(), 2));

    let id = fixture.send(Request::Job(Job::Generate(Box::new(paced))));
    fixture.until(id, is_paused);
    fixture.send(Request::Immediate(Immediate::Cancel { target: id }));
    let Some(Event::Done { stop, .. }) = fixture.until(id, Event::is_final).pop() else { panic!() };
    assert_eq!(stop, StopReason::Cancelled);
}

#[test]
fn a_waiting_engine_ends_when_asked() {
    let mut fixture = load(SMOLLM, 512);
    let id = fixture
        .send(Request::Job(Job::Generate(Box::new(Generate { allow: Some(0), ..raw(STORY, greedy(9)) }))));
    fixture.until(id, |event| matches!(event, Event::Paused));
    let started = std::time::Instant::now();
    fixture.send(Request::Immediate(Immediate::Shutdown));
    fixture.hear(|envelope| matches!(envelope.event, Event::Exited(_)));
    assert!(started.elapsed().as_millis() < 800, "{:?}", started.elapsed());
}

/// Every token that ends in one of these letters is held back until the next one comes.
#[test]
fn a_held_back_token_keeps_its_own_stages() {
    let mut model = smollm();
    let stop = ["a", "e", "s", "t", "y"].map(|letter| format!("{letter}\u{1}")).to_vec();
    let reply = model.record(raw(STORY, Sampling { stop, ..greedy(24) }));
    assert_eq!(reply.steps.len(), 24);
    for (index, (step, trace)) in reply.steps.iter().zip(&reply.stages).enumerate() {
        assert_eq!((trace.index as usize, Some(trace.drawn)), (index, step.id));
        assert!((trace.entropy - step.entropy).abs() < 1e-3);
    }
}

#[test]
fn watched_tokens_are_told_however_unlikely() {
    let mut fixture = exact();
    fixture.capture(CapturePlan { watch: vec![TokenId(5), TokenId(99_999)], ..CapturePlan::default() });
    let reply = fixture.generate(raw(STORY, greedy(3)));
    fixture.capture(CapturePlan::default());
    let look = fixture.look(plain_look(&reply.facts.ids)).unwrap();
    let pass = Distribution::new(look.unpack()).unwrap();
    assert_eq!(reply.watched.len(), 3);
    let (index, logprob, rank) = reply.watched[0];
    assert!((index, logprob < -5.0) == (0, true) && rank > 20, "{logprob} {rank}");
    assert!((pass.logprob(TokenId(5)).unwrap() - logprob).abs() < ORDER.nats());
    assert!(reply.stages.is_empty());
}

const PERSON: &str = r#"{"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
    "age": {"type": "integer", "minimum": 1, "maximum": 120}, "tags": {"type": "array", "maxItems": 2,
    "items": {"enum": ["red", "blue"]}}}, "required": ["name", "age"]}"#;

fn person(seed: u32) -> Sampling {
    let (grammar, _) = glassbox::grammar::read(PERSON, glassbox::grammar::Form::Schema).unwrap();
    Sampling { seed: Some(seed), temperature: 1.0, max_tokens: 200, grammar, ..Sampling::default() }
}

fn text(steps: &[Step]) -> String {
    String::from_utf8(steps.iter().flat_map(|step| step.bytes.clone()).collect()).unwrap()
}

#[test]
fn a_reply_under_a_schema_that_ends_by_itself_fits_it() {
    let mut model = smollm();
    let mut ended = 0;
    for seed in 0..6 {
        let reply = model.record(raw("A person as JSON:\n", person(seed)));
        let masked = |trace: &SamplerTrace| {
            assert_eq!(trace.stages[0].name, glassbox::inspect::stages::StageName::Grammar);
            trace.stages[0].removed
        };
        let most = reply.stages.iter().map(masked).fold(0.0, f32::max);
        assert!((0.01..=1.0).contains(&most), "{most}");
        if reply.stop == Some(StopReason::Eos) {
            ended += 1;
            let value: serde_json::Value = serde_json::from_str(&text(&reply.steps)).unwrap();
            assert!(value["name"].as_str().is_some_and(|name| name.chars().count() <= 20), "{value}");
            assert!(value["age"].as_u64().is_some_and(|age| (1..=120).contains(&age)), "{value}");
        }
    }
    assert!(ended >= 3, "{ended} of 6 ended by themselves");
}

#[test]
fn a_reply_under_a_grammar_goes_on_from_where_it_is_and_is_read_again() {
    let mut model = exact();
    let reply = model.record(raw("A person as JSON:\n", person(3)));
    let again = model.replayed(&reply, &person(3), 6);
    assert_eq!(difference(&reply.stages[6], &again), None);

    // Six tokens stand there, the seventh is taken: the grammar has seen all of them.
    let kept = [&reply.facts.ids, &reply.ids()[..6]].concat();
    let branch = model.generate(Generate { begun: 6, ..ids(&kept, &[reply.ids()[6]], person(4)) });
    assert_eq!(branch.facts.notes, [""; 0]);
    if branch.stop == Some(StopReason::Eos) {
        let whole = text(&reply.steps[..7]) + &text(&branch.steps);
        serde_json::from_str::<serde_json::Value>(&whole).unwrap_or_else(|error| panic!("{error}: {whole}"));
    }

    // What does not follow it is said, and the process lives.
    let odd = model.tokenize(" the the").pop().unwrap();
    let branch = model.generate(ids(&reply.facts.ids, &[odd], Sampling { max_tokens: 3, ..person(4) }));
    assert!(branch.facts.notes[0].contains("does not follow the grammar"), "{:?}", branch.facts.notes);
}
