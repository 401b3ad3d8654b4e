//! One reply: the prompt's ids, what of them is still cached, reading the rest, and the token loop.
//!
//! Invariant: every reply ends with exactly one final event; all numbers of a step are of the model's own
//! distribution over the whole vocabulary, before the samplers.

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::decode::{Halt, Session};
use super::numbers::{self, Reader, Scored};
use super::protocol::{Event, Failure, FailureKind, Generate, Prompt, PromptFacts};
use super::sampler::{Chain, Need, Setting};
use super::shared::LoadedModel;
use super::stop::HoldBack;
use super::vocabulary;
use crate::chat::{StopReason, Timings, Usage};
use crate::token::{Candidate, Step, TokenId};

/// Makes a reply; `emit` gets everything but the final event, which is returned.
pub fn generate(session: &mut Session, request: &Generate, load_ms: f32, emit: &dyn Fn(Event)) -> Event {
    if !request.interventions.is_empty() {
        let message = "This version cannot change the network while it runs.".to_string();
        return Event::Failed(Failure { message, kind: FailureKind::Other });
    }
    match Reply::begin(session, request, emit) {
        Ok(reply) => reply.run(load_ms),
        Err(failure) => Event::Failed(failure),
    }
}

/// A prompt as ids.
struct Encoded {
    ids: Vec<TokenId>,
    text: String,
    notes: Vec<String>,
}

struct Reply<'a> {
    session: &'a mut Session,
    request: &'a Generate,
    emit: &'a dyn Fn(Event),
    prompt: Vec<TokenId>,
    reused: usize,
    chain: Chain,
    hold: HoldBack,
    written: u32,
}

impl<'a> Reply<'a> {
    /// Everything up to the point where the prompt is known to fit.
    fn begin(
        session: &'a mut Session,
        request: &'a Generate,
        emit: &'a dyn Fn(Event),
    ) -> Result<Self, Failure> {
        let model = session.model().clone();
        let Encoded { ids: prompt, text, mut notes } = encode(&model, &request.prompt)?;
        if prompt.is_empty() {
            let message = "There is nothing to go on from: the prompt is empty.".to_string();
            return Err(Failure { message, kind: FailureKind::Other });
        }
        if prompt.len() >= session.limit() {
            return Err(too_long(prompt.len(), session.limit()));
        }

        let seed = seed(request.sampling.seed);
        let suppressed: Vec<TokenId> =
            model.model.vocab().suppress_tokens().iter().map(|token| TokenId(token.0)).collect();
        let setting = Setting {
            model: Some(&model.model),
            vocabulary: &model.vocabulary,
            context: session.limit() as u32,
            suppressed: &suppressed,
        };
        let (mut chain, about_chain) = Chain::new(&request.sampling, seed, &setting);
        for id in &prompt {
            chain.accept(*id);
        }
        notes.extend(about_chain);

        let reused = session.reuse(&prompt, &request.interventions);
        emit(Event::Prompt(PromptFacts { ids: prompt.clone(), reused: reused as u32, seed, text, notes }));
        let hold = HoldBack::new(stops(request, &model));
        Ok(Self { session, request, emit, prompt, reused, chain, hold, written: 0 })
    }

    fn run(mut self, load_ms: f32) -> Event {
        let started = Instant::now();
        let emit = self.emit;
        let progress = |done, total| emit(Event::PromptProgress { done: done as u32, total: total as u32 });
        let read = self.session.read(&self.prompt, self.reused, progress);
        let prompt_ms = milliseconds(started);
        let started = Instant::now();
        let stop = match read {
            Ok(()) => self.write(),
            Err(Halt::Cancelled) => Ok(StopReason::Cancelled),
            Err(halt) => Err(failed(halt)),
        };
        let decode_ms = milliseconds(started);

        for step in self.hold.finish() {
            emit(Event::Token(Box::new(step)));
        }
        let usage = Usage {
            prompt_tokens: self.prompt.len() as u32,
            completion_tokens: self.written,
            reused_tokens: self.reused as u32,
        };
        let tokens_per_second = if decode_ms > 0.0 { self.written as f32 * 1000.0 / decode_ms } else { 0.0 };
        match stop {
            Ok(stop) => Event::Done {
                stop,
                usage,
                timings: Timings { load_ms, prompt_ms, decode_ms, tokens_per_second },
            },
            Err(failure) => Event::Failed(failure),
        }
    }

    /// The token loop.
    fn write(&mut self) -> Result<StopReason, Failure> {
        let model = self.session.model().clone();
        let vocab = model.model.vocab();
        let mut reader = Reader::default();
        let mut last = Instant::now();
        loop {
            let mut step = self.draw(&mut reader)?;
            let id = step.id.expect("a drawn token has an id");
            if vocab.is_eog(llama_cpp_2::token::LlamaToken(id.0)) {
                return Ok(StopReason::Eos);
            }
            step.bytes = vocabulary::text_bytes(&model.vocabulary, id).to_vec();
            step.ms = milliseconds(last);
            last = Instant::now();
            if self.release(step) {
                return Ok(StopReason::Stop);
            }
            if self.written == self.request.sampling.max_tokens {
                return Ok(StopReason::Length);
            }
            if self.session.cached().len() >= self.session.limit() {
                return Ok(StopReason::Context);
            }
            match self.session.step(id) {
                Ok(()) => {}
                Err(Halt::Cancelled) => return Ok(StopReason::Cancelled),
                Err(halt) => return Err(failed(halt)),
            }
        }
    }

    /// Reads the distribution, draws, and tells the chain what came.
    fn draw(&mut self, reader: &mut Reader) -> Result<Step, Failure> {
        let logits = self.session.logits();
        let shown = self.request.top_logprobs as usize;
        let wanted = match self.chain.need() {
            Need::Top(count) => count.max(shown),
            Need::All => shown,
        };
        let distribution = reader.read(logits, wanted).ok_or_else(no_numbers)?;
        let draw = self.chain.draw(logits, reader.top());
        self.chain.accept(draw.id);

        let logit = usize::try_from(draw.id.0).ok().and_then(|index| logits.get(index)).copied();
        let logit = logit.ok_or_else(no_numbers)?;
        let candidates = reader.top().iter().take(shown);
        Ok(Step {
            id: Some(draw.id),
            logprob: distribution.logprob(logit),
            rank: rank(reader.top(), draw.id).unwrap_or_else(|| numbers::rank(logits, logit)),
            entropy: distribution.entropy,
            candidates: candidates
                .map(|s| Candidate { id: s.id, logprob: distribution.logprob(s.logit) })
                .collect(),
            survivors: draw.survivors,
            ..Step::default()
        })
    }

    /// Gives what is certain to the app; whether a stop text is complete.
    fn release(&mut self, step: Step) -> bool {
        self.written += 1;
        let released = self.hold.push(step);
        for step in released.steps {
            (self.emit)(Event::Token(Box::new(step)));
        }
        released.stopped
    }
}

/// The rank of a token that is among the likeliest, which it nearly always is.
pub(super) fn rank(top: &[Scored], id: TokenId) -> Option<u32> {
    let logit = top.iter().find(|scored| scored.id == id)?.logit;
    Some(1 + top.iter().take_while(|scored| scored.logit > logit).count() as u32)
}

fn encode(model: &LoadedModel, prompt: &Prompt) -> Result<Encoded, Failure> {
    let (mut ids, text, notes) = match prompt {
        Prompt::Raw { text } => (model.tokenize(text, false), text.clone(), Vec::new()),
        Prompt::Ids { ids, taken, .. } => {
            let ids: Vec<TokenId> = ids.iter().chain(taken).copied().collect();
            let bytes: Vec<u8> =
                ids.iter().flat_map(|id| model.vocabulary.bytes(*id).unwrap_or_default().to_vec()).collect();
            return Ok(Encoded {
                ids,
                text: String::from_utf8_lossy(&bytes).into_owned(),
                notes: Vec::new(),
            });
        }
        Prompt::Chat { messages, continue_last, clock_ms } => {
            let vocabulary = &model.vocabulary;
            let encoded = model.template.encode(
                messages,
                *continue_last,
                *clock_ms,
                &vocabulary.hash,
                &mut |text, special| Ok(model.tokenize(text, special)),
                &|id| vocabulary::text_bytes(vocabulary, id).to_vec(),
            )?;
            (encoded.ids, encoded.text, encoded.notes)
        }
    };
    model.begin(&mut ids);
    Ok(Encoded { ids, text, notes })
}

fn stops(request: &Generate, model: &LoadedModel) -> Vec<String> {
    let mut stops = request.sampling.stop.clone();
    if matches!(request.prompt, Prompt::Chat { .. } | Prompt::Ids { chat: true, .. }) {
        stops.extend(model.template.stop_texts());
    }
    stops
}

/// llama.cpp takes the largest number to mean "random", so it stands for its neighbour.
fn seed(asked: Option<u32>) -> u32 {
    asked.unwrap_or_else(|| RandomState::new().hash_one(Instant::now()) as u32).min(u32::MAX - 1)
}

fn too_long(length: usize, limit: usize) -> Failure {
    let over = length + 1 - limit;
    let message = format!(
        "The prompt is {length} tokens long, {over} more than the context of {limit} has room for. \
         Shorten the chat or raise `context`."
    );
    Failure { message, kind: FailureKind::ContextFull }
}

pub(super) fn no_numbers() -> Failure {
    let message =
        "The model gave logits that are no numbers; its file or the device may be faulty.".to_string();
    Failure { message, kind: FailureKind::Other }
}

fn failed(halt: Halt) -> Failure {
    Failure { message: format!("The reply stopped: {halt}."), kind: FailureKind::Other }
}

pub(super) fn milliseconds(since: Instant) -> f32 {
    since.elapsed().as_secs_f32() * 1000.0
}
