//! Measurements of the engine against a loop that does nothing but decode.
//!
//! Invariant: what is compared runs in one process, on one loaded model, in turns, so that a busy machine
//! slows both alike. Memory is the exception: each figure needs a process of its own.

mod inside;

use std::path::Path;
use std::time::Instant;

use super::compute::numbers;
use super::jobs::control::Control;
use super::jobs::generate::interleave::{Interleaved, ModelInternals};
use super::jobs::generate::{self, Conditions};
use super::jobs::shared::Shared;
use super::model::vocabulary;
use super::protocol::{CapturePlan, Envelope, Event, Failure, FailureKind, Generate, Prompt, RequestId};
use super::session::{Halt, Session};
use crate::model_entry::{LoadParams, ModelFacts};
use crate::sampling::{LogitBias, Sampling};
use crate::token::TokenId;
use llama_cpp_2::token::LlamaToken;

pub use inside::{InsideReport, inside};

const PROMPT: &str = "Once upon a time, in a small town by the sea, there lived an old clockmaker who";

/// Tokens a second of each round, in the order they were run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopReport {
    /// Decoding and the likeliest token, nothing else.
    pub bare_tokens_per_second: Vec<f64>,
    /// The engine's loop: default sampler chain, numbers, 20 candidates, events encoded as frames.
    pub full_tokens_per_second: Vec<f64>,
    /// The same with every stage of the sampler chain recorded, 20 tokens listed.
    pub recorded_tokens_per_second: Vec<f64>,
    /// Bans on the tokens that would end a reply before it was measured.
    pub no_end: Vec<LogitBias>,
}

impl LoopReport {
    /// Median of the full loop's speed over the bare loop's, round by round.
    pub(crate) fn ratio(&self) -> f64 {
        median_ratio(&self.full_tokens_per_second, &self.bare_tokens_per_second)
    }

    /// Median of the speed with recording over the speed without, round by round.
    pub(crate) fn recording_ratio(&self) -> f64 {
        median_ratio(&self.recorded_tokens_per_second, &self.full_tokens_per_second)
    }
}

fn median_ratio(above: &[f64], below: &[f64]) -> f64 {
    let mut ratios: Vec<f64> = above.iter().zip(below).map(|(above, below)| above / below).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Which loop's memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// llama.cpp alone.
    Bare,
    /// The engine.
    Full,
}

/// A model that does nothing but decode, to measure others against.
pub struct Bare(Session);

impl Bare {
    /// Loads it.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn load(path: &Path, facts: &ModelFacts) -> Result<Self, Failure> {
        let shared = Shared::new();
        Ok(Self(Session::load(path, facts, &LoadParams::default(), shared.stop_flag(), |_| {})?.0))
    }

    /// Decodes a prompt, then so many times the likeliest token; tokens a second without the prompt.
    ///
    /// # Errors
    /// When decoding fails.
    pub fn run(&mut self, tokens: u32) -> Result<f64, Failure> {
        bare_loop(&mut self.0, tokens)
    }
}

/// Runs the loops in turns, `rounds` times `tokens` tokens each.
///
/// # Errors
/// When the model cannot be loaded or decoding fails.
pub fn token_loop_ratio(
    path: &Path,
    facts: &ModelFacts,
    tokens: u32,
    rounds: u32,
) -> Result<LoopReport, Failure> {
    let shared = Shared::new();
    let (mut session, _) = Session::load(path, facts, &LoadParams::default(), shared.stop_flag(), |_| {})?;
    let mut report = LoopReport { no_end: no_end(&session), ..LoopReport::default() };
    bare_loop(&mut session, tokens.min(8))?;
    for _ in 0..rounds {
        report.bare_tokens_per_second.push(bare_loop(&mut session, tokens)?);
        report.full_tokens_per_second.push(full_loop(&mut session, tokens, 0)?);
        report.recorded_tokens_per_second.push(full_loop(&mut session, tokens, 20)?);
    }
    Ok(report)
}

/// Resident memory of this process in bytes after one loop. To be called in a process that did nothing else.
///
/// # Errors
/// When the model cannot be loaded, decoding fails, or the system does not say.
pub fn memory(
    path: &Path,
    facts: &ModelFacts,
    params: &LoadParams,
    tokens: u32,
    which: Loop,
) -> Result<u64, Failure> {
    let shared = Shared::new();
    match which {
        Loop::Bare => {
            let mut session = Session::load_bare(path, facts, params, shared.stop_flag())?;
            bare_loop(&mut session, tokens)?;
            resident()
        }
        Loop::Full => {
            let (mut session, _) = Session::load(path, facts, params, shared.stop_flag(), |_| {})?;
            full_loop(&mut session, tokens, 0)?;
            resident()
        }
    }
}

/// Decodes a prompt, then always the likeliest token; gives tokens a second without the prompt.
///
/// # Errors
/// When decoding fails.
pub fn bare_loop(session: &mut Session, tokens: u32) -> Result<f64, Failure> {
    let prompt = session.model().tokenize(PROMPT, false);
    let from = session.reuse(&prompt, &[]);
    session.read(&prompt, from, |_, _| {}).map_err(halted)?;
    let mut id = numbers::likeliest(session.logits());
    let started = Instant::now();
    for _ in 0..tokens {
        session.step(id).map_err(halted)?;
        id = numbers::likeliest(session.logits());
    }
    Ok(f64::from(tokens) / started.elapsed().as_secs_f64())
}

/// The same number of tokens through the engine's own loop; with `stages`, that many tokens are listed at
/// every stage of the chain.
fn full_loop(session: &mut Session, tokens: u32, stages: u32) -> Result<f64, Failure> {
    let control = Control::default();
    control.set_capture(CapturePlan { stages, ..CapturePlan::default() });
    let conditions = Conditions { id: RequestId(1), control: &control, load_ms: 0.0, left_out: Vec::new() };
    let request = Generate {
        prompt: Prompt::Raw { text: PROMPT.to_string() },
        sampling: Sampling {
            seed: Some(1),
            max_tokens: tokens + 1,
            logit_bias: no_end(session),
            ..Sampling::default()
        },
        top_logprobs: 20,
        begun: 0,
        interventions: Vec::new(),
        allow: None,
    };
    let encode = |event: Event| {
        let frame = rmp_serde::to_vec_named(&Envelope { id: RequestId(1), event });
        std::hint::black_box(frame.map_or(0, |bytes| bytes.len()));
    };
    let shared = Shared::new();
    let mut internals = ModelInternals::default();
    let mut interleaved = Interleaved { internals: &mut internals, shared: &shared, emit: &|_| {} };
    match generate::generate(session, &request, &conditions, &mut interleaved, &encode) {
        Event::Done { timings, .. } => Ok(f64::from(tokens) / f64::from(timings.decode_ms) * 1000.0),
        Event::Failed(failure) => Err(failure),
        _ => Err(other("the reply had no end".to_string())),
    }
}

/// Bans the tokens that would end the reply early.
fn no_end(session: &Session) -> Vec<LogitBias> {
    let model = session.model();
    let vocab = model.model.vocab();
    let ends = vocabulary::ids(&model.vocabulary).filter(|TokenId(id)| vocab.is_eog(LlamaToken(*id)));
    ends.map(|TokenId(id)| LogitBias { text: None, id: Some(id), bias: f32::NEG_INFINITY }).collect()
}

/// What this process has in memory, bytes.
fn resident() -> Result<u64, Failure> {
    use sysinfo::{ProcessesToUpdate, System, get_current_pid};
    let unknown = || other("the system does not say how much memory this process has".to_string());
    let pid = get_current_pid().map_err(|_| unknown())?;
    let mut system = System::new().map_err(|_| unknown())?;
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), false);
    system.process(pid).map(sysinfo::Process::memory).ok_or_else(unknown)
}

fn halted(halt: Halt) -> Failure {
    other(halt.to_string())
}

fn other(message: String) -> Failure {
    Failure { message, kind: FailureKind::Other }
}
