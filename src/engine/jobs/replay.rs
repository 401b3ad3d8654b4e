//! A forward pass of the past, read again: its whole distribution, and the sampler chain run on it again.
//!
//! A chain's state comes back from the ids alone; where it depends on the logits of earlier draws (mirostat's
//! target, XTC's generator), those passes are read again too and the chain draws at each.
//!
//! Invariant: the text is read on a [`Lane`], so the chat's sequence stays as it was where it fits beside it.

use std::time::Instant;

use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::prompt::encode;
use crate::engine::protocol::{ChainSetup, Event, Failure, FailureKind, Replay, Replayed};
use crate::engine::sampler::{Chain, Need, Pass, Recorder};
use crate::engine::session::{Halt, Lane, Rows, Session, Text};
use crate::inspect::stages::{SamplerTrace, TraceSource};

/// Answers a look; `emit` gets the progress, the answer is returned.
pub fn replay(session: &mut Session, request: &Replay, emit: &dyn Fn(Event)) -> Event {
    let looked = check(session, request).and_then(|()| Looking::new(session, request, emit)?.run());
    looked.map_or_else(Event::Failed, |looked| Event::Replayed(Box::new(looked)))
}

/// What is said where the request was cancelled.
pub fn cancelled() -> Failure {
    Failure { message: "The look was cancelled.".to_string(), kind: FailureKind::Cancelled }
}

fn check(session: &Session, request: &Replay) -> Result<(), Failure> {
    let other = |message: &str| Err(Failure { message: message.to_string(), kind: FailureKind::Other });
    if request.ids.is_empty() {
        return other("There is no pass to look at: nothing has been read.");
    }
    if request.ids.len() > session.limit() {
        return Err(encode::too_long(request.ids.len(), session.limit()));
    }
    if let Some(replay) = &request.chain {
        let prompt = replay.prompt as usize;
        if prompt == 0 || prompt + replay.taken as usize > request.ids.len() {
            return other("The sampler cannot run again here: the pass lies before the run's first draw.");
        }
    }
    encode::check(session.model(), &request.ids)
}

struct Looking<'a> {
    lane: Lane<'a>,
    request: &'a Replay,
    emit: &'a dyn Fn(Event),
    /// The run's chain, and its first token that was drawn, where the chain is to run again.
    chain: Option<(Chain, usize)>,
}

impl<'a> Looking<'a> {
    fn new(session: &'a mut Session, request: &'a Replay, emit: &'a dyn Fn(Event)) -> Result<Self, Failure> {
        let chain = match request.chain.as_deref() {
            None => None,
            Some(replay) => {
                let (model, limit) = (session.model().clone(), session.limit());
                let (chain, _) = encode::chain(&model, &replay.sampling, replay.seed, limit)?;
                Some((chain, (replay.prompt + replay.taken) as usize))
            }
        };
        let last = request.ids.len() - 1;
        let first = match &chain {
            Some((chain, drawn_from)) if chain.depends_on_past_logits() => drawn_from - 1,
            _ => last,
        };
        let lane = session.lane(Text::from(first, &request.ids, &request.interventions));
        Ok(Self { lane, request, emit, chain })
    }

    fn run(mut self) -> Result<Replayed, Failure> {
        let started = Instant::now();
        let stages =
            if let (Some((chain, drawn_from)), Some(replay)) = (self.chain.take(), &self.request.chain) {
                Some(Box::new(self.replay(replay, chain, drawn_from)?))
            } else {
                self.read_last()?;
                None
            };
        let logits =
            if self.request.logits { Replayed::pack(self.lane.session().logits()) } else { Vec::new() };
        let ms = milliseconds(started);
        Ok(Replayed { logits, stages, decoded: self.lane.decoded() as u32, ms })
    }

    /// The chain again, with the state it had.
    fn replay(
        &mut self,
        replay: &ChainSetup,
        mut chain: Chain,
        drawn_from: usize,
    ) -> Result<SamplerTrace, Failure> {
        let ids = &self.request.ids;
        let begun = drawn_from.saturating_sub((replay.taken + replay.begun) as usize);
        chain.begin(&ids[..begun], &ids[begun..drawn_from]);
        if chain.depends_on_past_logits() {
            self.draw_again(&mut chain, drawn_from)?;
        } else {
            ids[drawn_from..].iter().for_each(|id| chain.accept(*id));
            chain.skip(ids.len() - drawn_from);
            self.read_last()?;
        }
        let mut reader = Reader::default();
        let list = replay.list as usize;
        let logits = self.lane.session().logits();
        let distribution = reader.read(logits, wanted(&chain).max(list)).ok_or_else(no_numbers)?;
        let pass = Pass {
            logits,
            top: reader.top(),
            distribution,
            list,
            index: ids.len() as u32 - replay.prompt,
            source: TraceSource::Replayed,
        };
        Ok(chain.draw_recorded(&pass, &mut Recorder::default()).1)
    }

    /// Draws at every pass from the run's first draw up to the last but one, so that the chain's state is what
    /// it was; leaves the last pass's logits. Each draw is followed by the token that the run really wrote.
    fn draw_again(&mut self, chain: &mut Chain, drawn_from: usize) -> Result<(), Failure> {
        let (ids, emit) = (&self.request.ids, self.emit);
        self.read_up_to(drawn_from - 1)?;
        let mut reader = Reader::default();
        while self.lane.at() < ids.len() {
            let passes = self.lane.read_rows(ids.len(), ids.len()).map_err(failed)?;
            progress(emit, self.lane.decoded(), self.lane.total());
            // The last pass is the caller's.
            for index in passes.start..passes.end.min(ids.len() - 1) {
                let logits = self.lane.session().row(index - passes.start);
                reader.read(logits, wanted(chain)).ok_or_else(no_numbers)?;
                chain.draw(logits, reader.top());
                chain.accept(ids[index + 1]);
            }
        }
        Ok(())
    }

    /// Reads everything; the last pass's logits are there afterwards.
    fn read_last(&mut self) -> Result<(), Failure> {
        let (count, emit) = (self.request.ids.len(), self.emit);
        self.read_up_to(count - 1)?;
        self.lane.decode_to(count, Rows::Last).map_err(failed)?;
        progress(emit, self.lane.decoded(), self.lane.total());
        Ok(())
    }

    /// Sees to it that the lane holds the first `count` tokens.
    fn read_up_to(&mut self, count: usize) -> Result<(), Failure> {
        let emit = self.emit;
        self.lane.read_to(count, |done, total| progress(emit, done, total)).map_err(failed)?;
        self.lane.keep();
        Ok(())
    }
}

fn progress(emit: &dyn Fn(Event), done: usize, total: usize) {
    emit(Event::PromptProgress { done: done as u32, total: total as u32 });
}

fn wanted(chain: &Chain) -> usize {
    match chain.need() {
        Need::Top(count) => count,
        Need::All => 0,
    }
}

fn failed(halt: Halt) -> Failure {
    if halt == Halt::Cancelled {
        return cancelled();
    }
    Failure { message: format!("The pass could not be read again: {halt}."), kind: FailureKind::Other }
}

fn no_numbers() -> Failure {
    let message =
        "The model gave logits that are not numbers; its file or the device may be faulty.".to_string();
    Failure { message, kind: FailureKind::Other }
}
