//! One reply: what of its prompt is still cached, reading the rest, and the token loop.
//!
//! Invariant: every reply ends with exactly one final event; all numbers of a step are of the model's own
//! distribution over the whole vocabulary, before the samplers.

pub mod baseline;
pub mod budget;
pub mod drafts;
pub mod interleave;
pub mod live_capture;
pub mod pacing;

use std::time::{Duration, Instant};

use self::baseline::Baseline;
use self::budget::Budget;
use self::drafts::Drafts;
use self::interleave::Interleaved;
use self::live_capture::Looks;
use self::pacing::Pacing;
use crate::chat::{Adapter, Intervention, StopReason, ThreadCount, Timings, Usage};
use crate::engine::analysis::output::no_numbers;
use crate::engine::compute::numbers::{self, Distribution, Reader, Scored};
use crate::engine::jobs::control::Control;
use crate::engine::milliseconds;
use crate::engine::model::vocabulary;
use crate::engine::prompt::encode::{self, Encoded};
use crate::engine::prompt::stop::HoldBack;
use crate::engine::protocol::{
    Distance, Event, Failure, FailureKind, Generate, LiveInside, PromptFacts, RequestId, Written,
};
use crate::engine::sampler::{Chain, Draw, Need, Pass};
use crate::engine::session::{Halt, Session};
use crate::inspect::stages::{SamplerTrace, TraceSource};
use crate::token::{Candidate, Step, TokenId};

/// What a reply needs beside its request.
pub struct Conditions<'a> {
    /// Its own id, which a pace names.
    pub id: RequestId,
    /// What is recorded, and how far it may go.
    pub control: &'a Control,
    /// How long the model took to load, for the reply's timings, ms.
    pub load_ms: f32,
    /// Adapters that were asked for and cannot be used, and why.
    pub left_out: Vec<(Adapter, String)>,
}

/// Makes a reply; `emit` gets everything but the final event, which is returned.
pub fn generate(
    session: &mut Session,
    request: &Generate,
    conditions: &Conditions<'_>,
    interleaved: &mut Interleaved<'_>,
    emit: &dyn Fn(Event),
) -> Event {
    match Reply::begin(session, request, conditions, interleaved, emit) {
        Ok(reply) => reply.run(conditions.load_ms),
        Err(failure) => Event::Failed(failure),
    }
}

struct Reply<'a, 'b> {
    session: &'a mut Session,
    interleaved: &'a mut Interleaved<'b>,
    request: &'a Generate,
    emit: &'a dyn Fn(Event),
    prompt: Vec<TokenId>,
    /// How many of the prompt's last tokens the user took.
    taken: u32,
    reused: usize,
    chain: Chain,
    pacing: Pacing<'a>,
    baseline: Baseline,
    hold: HoldBack,
    budget: Budget,
    drafts: Drafts,
    written: u32,
    looks: Looks,
    /// What sending the last token with recorded stages or watched tokens took, ms.
    sending_ms: f32,
    /// The last pass's logits, where something else was decoded since.
    kept: Option<Vec<f32>>,
    /// With how many threads its tokens' passes were computed.
    threads: Option<ThreadCount>,
}

/// What was drawn from one pass.
struct Drawn {
    /// The numbers of the token, still without bytes.
    step: Step,
    id: TokenId,
    /// The likeliest other token.
    next: Option<TokenId>,
    distribution: Distribution,
    /// Whether it was written for the model rather than drawn.
    forced: bool,
    /// The chain's way to it with what noting that took, where it is recorded.
    stages: Option<(Box<SamplerTrace>, Duration)>,
}

impl<'a, 'b> Reply<'a, 'b> {
    /// Everything up to the point where the prompt is known to fit.
    fn begin(
        session: &'a mut Session,
        request: &'a Generate,
        conditions: &Conditions<'a>,
        interleaved: &'a mut Interleaved<'b>,
        emit: &'a dyn Fn(Event),
    ) -> Result<Self, Failure> {
        let model = session.model().clone();
        let encoded = encode::prompt(&model, &request.prompt, session.limit())?;
        let given = encoded.given().to_vec();
        let Encoded { ids: prompt, taken, text, mut notes, stops } = encoded;

        let seed = encode::seed(request.sampling.seed);
        let (mut chain, about_chain) = encode::chain(&model, &request.sampling, seed, session.limit())?;
        let begun = given.len() - (request.begun as usize).min(given.len());
        notes.extend(about_chain);
        notes.extend(chain.begin(&prompt[..begun], &prompt[begun..]));
        let (left_out, why): (Vec<_>, Vec<_>) = conditions.left_out.iter().cloned().unzip();
        notes.extend(why);

        let recalled = session.recall(&prompt, &request.interventions).is_some();
        let reused = session.reuse(&prompt, &request.interventions);
        let told = reused as u32;
        emit(Event::Prompt(PromptFacts { ids: given, reused: told, recalled, seed, text, notes, left_out }));
        let hold = HoldBack::new(encode::stops(request, &stops));
        let budget =
            Budget::new(request.sampling.thinking_budget, &model, &prompt[..begun], &prompt[begun..]);
        let pacing = Pacing::new(conditions.control, conditions.id, request.allow);
        let taken = taken as u32;
        let drafts = Drafts::new(session, &prompt);
        let mut looks = Looks::default();
        looks.follow(pacing.live(), &mut interleaved.internals.price);
        Ok(Self {
            session,
            interleaved,
            request,
            emit,
            prompt,
            taken,
            reused,
            chain,
            pacing,
            baseline: Baseline::default(),
            hold,
            budget,
            drafts,
            written: 0,
            looks,
            sending_ms: 0.0,
            kept: None,
            threads: None,
        })
    }

    fn run(mut self, load_ms: f32) -> Event {
        let started = Instant::now();
        let emit = self.emit;
        let total = self.prompt.len() - self.reused;
        let progress = |done| emit(Event::PromptProgress { done: done as u32, total: total as u32 });
        let read = match self.ended_by_taken() {
            Some(stop) => Ok(Some(stop)),
            None => self.read(progress).map(|()| None),
        };
        let prompt_ms = milliseconds(started);
        let started = Instant::now();
        let stop = match read {
            Ok(Some(stop)) => Ok(stop),
            Ok(None) => self.write(),
            Err(Halt::Cancelled) => Ok(StopReason::Cancelled),
            Err(halt) => Err(failed(halt)),
        };
        let decode_ms = milliseconds(started);
        self.baseline.end(self.session);
        self.drafts.settle(self.session);

        for written in self.hold.finish() {
            self.send(written);
        }
        let usage = Usage {
            prompt_tokens: self.prompt.len() as u32,
            completion_tokens: self.written,
            reused_tokens: self.reused as u32,
        };
        // The first token comes from the prompt's own pass.
        let tokens_per_second =
            if decode_ms > 0.0 && self.written > 1 { self.written as f32 * 1000.0 / decode_ms } else { 0.0 };
        match stop {
            Ok(stop) => Event::Done {
                stop,
                usage,
                timings: Timings { load_ms, prompt_ms, decode_ms, tokens_per_second, threads: self.threads },
            },
            Err(failure) => Event::Failed(failure),
        }
    }

    /// Reads what is not cached. The last token is read alone where it is looked at, so that one column is copied, and
    /// where a look must make no difference.
    fn read(&mut self, progress: impl Fn(usize)) -> Result<(), Halt> {
        let (ids, new) = (&self.prompt, self.prompt.len() - self.reused);
        if !self.looks.is_on() && !self.session.is_reproducible() {
            return self.session.read(ids, self.reused, |done, _| progress(done));
        }
        let last = ids.len() - 1;
        self.session.read(&ids[..last], self.reused, |done, _| progress(done))?;
        let price = &mut self.interleaved.internals.price;
        self.looks.step(self.session, ids[last], price, self.pacing.is_paced())?;
        progress(new);
        Ok(())
    }

    /// Where what the user took leaves nothing to write.
    fn ended_by_taken(&self) -> Option<StopReason> {
        let last = *self.prompt.last().filter(|_| self.taken > 0)?;
        let max = self.request.sampling.max_tokens;
        if self.session.model().model.vocab().is_eog(llama_cpp_2::token::LlamaToken(last.0)) {
            return Some(StopReason::Eos);
        }
        (max > 0 && self.taken >= max).then_some(StopReason::Length)
    }

    /// The token loop.
    fn write(&mut self) -> Result<StopReason, Failure> {
        let model = self.session.model().clone();
        let vocab = model.model.vocab();
        let mut reader = Reader::default();
        let mut last = Instant::now();
        loop {
            if !self.may_write() {
                return Ok(StopReason::Cancelled);
            }
            let drawn = self.draw(&mut reader)?;
            let id = drawn.id;
            if !drawn.forced && vocab.is_eog(llama_cpp_2::token::LlamaToken(id.0)) {
                return Ok(StopReason::Eos);
            }
            let drafted = self.drafts.foresaw(id);
            let mut written = self.observe(drawn);
            written.drafted = drafted;
            match self.distance() {
                Ok(distance) => written.unchanged = distance,
                Err(Halt::Cancelled) => return Ok(StopReason::Cancelled),
                Err(halt) => return Err(failed(halt)),
            }
            written.step.bytes = vocabulary::text_bytes(&model.vocabulary, id).to_vec();
            self.budget.wrote(&model, id, &written.step.bytes);
            written.step.ms = milliseconds(last);
            last = Instant::now();
            if self.release(written) {
                return Ok(StopReason::Stop);
            }
            if self.taken + self.written == self.request.sampling.max_tokens {
                return Ok(StopReason::Length);
            }
            if self.drafts.written(self.session) >= self.session.limit() {
                return Ok(StopReason::Context);
            }
            let threads = self.session.threads().now();
            self.threads = Some(ThreadCount::with(self.threads, threads));
            match self.decode(id) {
                Ok(()) => {}
                Err(Halt::Cancelled) => return Ok(StopReason::Cancelled),
                Err(halt) => return Err(failed(halt)),
            }
        }
    }

    /// Decodes a token that was written. What may come after it is drafted only where nobody looks into passes.
    fn decode(&mut self, id: TokenId) -> Result<(), Halt> {
        self.kept = None;
        let Self { session, pacing, looks, drafts, interleaved, .. } = self;
        let price = &mut interleaved.internals.price;
        looks.follow(pacing.live(), price);
        drafts.wrote(id);
        if looks.is_on() || pacing.is_paced() || pacing.baseline() {
            drafts.settle(session);
            drafts.read_again(session)?;
            return looks.step(session, id, price, pacing.is_paced());
        }
        let max = self.request.sampling.max_tokens;
        let left =
            if max > 0 { (max - self.taken - self.written).saturating_sub(1) as usize } else { usize::MAX };
        let room = session.limit() - drafts.written(session) - 1;
        match drafts.decode(session, id, left.min(room)) {
            Some(decoded) => decoded,
            None => looks.step(session, id, price, false),
        }
    }

    /// Waits while the reply is held back, and answers what else is asked for.
    fn may_write(&mut self) -> bool {
        let Self { session, interleaved, pacing, kept, drafts, emit, .. } = self;
        let serve = |session: &mut Session| {
            // Another pass takes the place of the last one's logits, and what was drafted is in its way.
            kept.get_or_insert_with(|| drafts.logits(session).to_vec());
            drafts.settle(session);
            interleaved.serve(session)
        };
        pacing.may_write(session, || emit(Event::Paused), serve)
    }

    /// Which token of the run comes next, those that the user took included.
    fn index(&self) -> u32 {
        self.taken + self.written
    }

    /// Reads the distribution, draws, and tells the chain what came.
    fn draw(&mut self, reader: &mut Reader) -> Result<Drawn, Failure> {
        let index = self.index();
        let forced = self.budget.force();
        let Self { session, chain, pacing, kept, drafts, .. } = self;
        let logits = kept.as_deref().unwrap_or_else(|| drafts.logits(session));
        let shown = self.request.top_logprobs as usize;
        let list = pacing.recording().map_or(0, |(list, _)| list);
        let wanted = match chain.need() {
            Need::Top(count) => count.max(shown).max(list),
            Need::All => shown.max(list),
        };
        let distribution = reader.read(logits, wanted).ok_or_else(no_numbers)?;
        let (top, source) = (reader.top(), TraceSource::Live);
        let (mut draw, mut stages) = match pacing.recording() {
            None => (chain.draw(logits, top), None),
            Some((list, recorder)) => {
                let pass = Pass { logits, top, distribution, list, index, source };
                let (draw, trace) = chain.draw_recorded(&pass, recorder);
                (draw, Some((Box::new(trace), recorder.took())))
            }
        };
        match forced {
            // The draw was made all the same, so that the ones after it are what they would have been.
            Some(id) => (draw, stages) = (Draw { id, survivors: 0 }, None),
            None if draw.survivors == 0 => return Err(dead_end()),
            None => {}
        }
        let id = draw.id;
        chain.accept(id);
        let next = top.iter().map(|scored| scored.id).find(|other| *other != id);
        let step = step(logits, top, &distribution, draw, shown).ok_or_else(no_numbers)?;
        Ok(Drawn { step, id, next, distribution, forced: forced.is_some(), stages })
    }

    /// A drawn token with everything that is to be seen of the pass it was drawn from.
    fn observe(&mut self, drawn: Drawn) -> Written {
        let index = self.index();
        let Self { session, request, interleaved, pacing, looks, kept, drafts, sending_ms, .. } = self;
        let logits = kept.as_deref().unwrap_or_else(|| drafts.logits(session));
        let watching = Instant::now();
        let watched = pacing.watched(logits, &drawn.distribution);
        let watching = (!watched.is_empty()).then(|| watching.elapsed());
        let (stages, noting) = drawn.stages.unzip();
        let recording = noting.into_iter().chain(watching).reduce(|noting, watching| noting + watching);
        let recording_ms = recording.map(|took| 1000.0 * took.as_secs_f32() + *sending_ms);
        let pass = live_capture::Drawn { token: drawn.id, next: drawn.next, logits };
        let inside = look(session, &request.interventions, interleaved, looks, &pass).map(Box::new);
        let forced = drawn.forced;
        let machine_busy = session.threads().giving_way().is_some();
        Written {
            step: drawn.step,
            index,
            forced,
            stages,
            watched,
            recording_ms,
            inside,
            machine_busy,
            ..Written::default()
        }
    }

    /// How far the pass that was drawn from lies from the unchanged network's, where that is wanted.
    fn distance(&mut self) -> Result<Option<Distance>, Halt> {
        // Adapters are part of the model that changes are held against.
        let mut changes = self.request.interventions.iter().map(Intervention::adapter);
        if changes.all(|adapter| adapter.is_some()) || !self.pacing.baseline() {
            self.baseline.end(self.session);
            return Ok(None);
        }
        let logits = self.kept.take().unwrap_or_else(|| self.drafts.logits(self.session).to_vec());
        self.drafts.settle(self.session);
        self.baseline.tell(self.session, &logits).map(Some)
    }

    /// Gives what is certain to the app; whether a stop text is complete.
    fn release(&mut self, written: Written) -> bool {
        self.written += 1;
        let vocabulary = &self.session.model().vocabulary;
        let name = written.step.id.and_then(|id| vocabulary.bytes(id)).unwrap_or_default();
        let released = self.hold.push(written, name);
        self.pacing.wrote(released.steps.len());
        for written in released.steps {
            self.send(written);
        }
        released.stopped
    }

    /// Sends a token. What that takes counts as a part of recording it, and of looking into its pass.
    fn send(&mut self, written: Written) {
        let looked = written.inside.as_ref().map(|inside| inside.seen.ms);
        let is_recorded = written.recording_ms.is_some();
        let started = Instant::now();
        (self.emit)(Event::Token(Box::new(written)));
        let took = milliseconds(started);
        if let Some(looked) = looked {
            self.interleaved.internals.price.looked(looked + took);
        } else if is_recorded {
            self.sending_ms = took;
        }
    }
}

/// The pass that led to a token, opened if it was looked at.
fn look(
    session: &Session,
    changes: &[Intervention],
    interleaved: &mut Interleaved<'_>,
    looks: &mut Looks,
    drawn: &live_capture::Drawn<'_>,
) -> Option<LiveInside> {
    let price = interleaved.internals.price;
    let inside = looks.is_on().then(|| interleaved.internals.inside(session, changes).ok()).flatten()?;
    looks.open(session, inside, drawn, &price)
}

/// The numbers of a drawn token, still without bytes.
fn step(
    logits: &[f32],
    top: &[Scored],
    distribution: &Distribution,
    draw: Draw,
    shown: usize,
) -> Option<Step> {
    let logit = *logits.get(usize::try_from(draw.id.0).ok()?)?;
    let candidates = top.iter().take(shown);
    Some(Step {
        id: Some(draw.id),
        logprob: distribution.logprob(logit),
        rank: numbers::rank_among(top, draw.id).unwrap_or_else(|| numbers::rank(logits, logit)),
        entropy: distribution.entropy,
        candidates: candidates
            .map(|s| Candidate { id: s.id, logprob: distribution.logprob(s.logit) })
            .collect(),
        survivors: draw.survivors,
        ..Step::default()
    })
}

fn dead_end() -> Failure {
    let message =
        "The reply stopped: the grammar allows no token here that the other settings leave.".to_string();
    Failure { message, kind: FailureKind::Other }
}

fn failed(halt: Halt) -> Failure {
    Failure { message: format!("The reply stopped: {halt}."), kind: FailureKind::Other }
}
