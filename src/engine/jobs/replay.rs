//! A forward pass of the past, read again: its whole distribution, and the sampler chain run on it again.
//!
//! A chain's state comes back from the ids alone; where it depends on the logits of earlier draws (mirostat's
//! target, XTC's generator), those passes are read again too and the chain draws at each.
//!
//! Invariant: the chat's sequence stays as it was, unless more is missing than fits beside it (or the model
//! has no sequences beside it); then the text is read there, and [`Session::cached`] says so.

use std::time::Instant;

use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::model::fit::OUTPUT_ROWS;
use crate::engine::prompt;
use crate::engine::protocol::{Event, Failure, FailureKind, Look, Looked, Replay};
use crate::engine::sampler::{Chain, Need, Pass, Recorder};
use crate::engine::session::branch_cache::Beginning;
use crate::engine::session::lane::SCRATCH;
use crate::engine::session::{Halt, Rows, Session};
use crate::inspect::stages::{SamplerTrace, TraceSource};

/// Answers a look; `emit` gets the progress, the answer is returned.
pub fn look(session: &mut Session, request: &Look, emit: &dyn Fn(Event)) -> Event {
    let looked = check(session, request).and_then(|()| Looking::new(session, request, emit).run());
    session.drop_sequence(SCRATCH);
    looked.map_or_else(Event::Failed, |looked| Event::Looked(Box::new(looked)))
}

/// What is said where the request was cancelled.
#[must_use]
pub fn cancelled() -> Failure {
    Failure { message: "The look was cancelled.".to_string(), kind: FailureKind::Cancelled }
}

fn check(session: &Session, request: &Look) -> Result<(), Failure> {
    let other = |message: &str| Err(Failure { message: message.to_string(), kind: FailureKind::Other });
    if request.ids.is_empty() {
        return other("There is no pass to look at: nothing has been read.");
    }
    if request.ids.len() > session.limit() {
        return Err(prompt::too_long(request.ids.len(), session.limit()));
    }
    if let Some(replay) = &request.replay {
        let prompt = replay.prompt as usize;
        if prompt == 0 || prompt + replay.taken as usize > request.ids.len() {
            return other("The sampler cannot run again here: the pass lies before the run's first draw.");
        }
    }
    prompt::check(session.model(), &request.ids)
}

/// Where the tokens are decoded.
#[derive(Clone, Copy)]
enum Place {
    /// Beside the chat, beginning with what is held already.
    Scratch(Beginning),
    /// On the chat's own sequence.
    Chat,
}

struct Looking<'a> {
    session: &'a mut Session,
    request: &'a Look,
    emit: &'a dyn Fn(Event),
    place: Place,
    decoded: usize,
    /// How many will have been decoded at the end.
    total: usize,
}

impl<'a> Looking<'a> {
    fn new(session: &'a mut Session, request: &'a Look, emit: &'a dyn Fn(Event)) -> Self {
        let most = request.ids.len() - 1;
        let place = session.beginning(&request.ids, most, &request.interventions);
        let place = place.map_or(Place::Chat, Place::Scratch);
        Self { session, request, emit, place, decoded: 0, total: 0 }
    }

    fn run(mut self) -> Result<Looked, Failure> {
        let started = Instant::now();
        let stages = if let Some(replay) = &self.request.replay {
            Some(Box::new(self.replay(replay)?))
        } else {
            self.read_last()?;
            None
        };
        let logits = if self.request.logits { Looked::pack(self.session.logits()) } else { Vec::new() };
        let ms = milliseconds(started);
        Ok(Looked { logits, stages, decoded: self.decoded as u32, ms })
    }

    /// The chain again, with the state it had.
    fn replay(&mut self, replay: &Replay) -> Result<SamplerTrace, Failure> {
        let (ids, prompt) = (&self.request.ids, replay.prompt as usize);
        let (sampling, limit) = (&replay.sampling, self.session.limit());
        let (mut chain, _) = prompt::chain(&self.session.model().clone(), sampling, replay.seed, limit);
        let drawn_from = prompt + replay.taken as usize;
        ids[..drawn_from].iter().for_each(|id| chain.accept(*id));
        if chain.depends_on_past_logits() {
            self.draw_again(&mut chain, drawn_from)?;
        } else {
            ids[drawn_from..].iter().for_each(|id| chain.accept(*id));
            chain.skip(ids.len() - drawn_from);
            self.read_last()?;
        }
        let mut reader = Reader::default();
        let list = replay.list as usize;
        let logits = self.session.logits();
        let distribution = reader.read(logits, wanted(&chain).max(list)).ok_or_else(no_numbers)?;
        let pass = Pass {
            logits,
            top: reader.top(),
            distribution,
            list,
            index: (ids.len() - prompt) as u32,
            source: TraceSource::Replayed,
        };
        Ok(chain.draw_recorded(&pass, &mut Recorder::default()).1)
    }

    /// Draws at every pass from the run's first draw up to the last but one, so that the chain's state is what
    /// it was; leaves the last pass's logits. Each draw is followed by the token that the run really wrote.
    fn draw_again(&mut self, chain: &mut Chain, drawn_from: usize) -> Result<(), Failure> {
        let (ids, first) = (&self.request.ids, drawn_from - 1);
        self.read_up_to(first)?;
        let mut reader = Reader::default();
        let mut end = first;
        while end < ids.len() {
            let start = end;
            end = self.slice_end(start).min(ids.len());
            self.decode(start, end, Rows::All)?;
            // The last pass is the caller's.
            for index in start..end.min(ids.len() - 1) {
                let logits = self.session.row(index - start);
                reader.read(logits, wanted(chain)).ok_or_else(no_numbers)?;
                chain.draw(logits, reader.top());
                chain.accept(ids[index + 1]);
            }
        }
        Ok(())
    }

    /// Where a slice from `start` on ends. What the chat has and what it lacks do not mix, so that never more
    /// than what it lacks takes cells.
    fn slice_end(&self, start: usize) -> usize {
        let end = start + OUTPUT_ROWS as usize;
        match self.place {
            Place::Scratch(from) if start < from.count => end.min(from.count),
            _ => end,
        }
    }

    /// Reads everything; the last pass's logits are there afterwards.
    fn read_last(&mut self) -> Result<(), Failure> {
        let last = self.request.ids.len() - 1;
        self.read_up_to(last)?;
        self.decode(last, last + 1, Rows::Last)
    }

    /// Sees to it that the sequence holds the first `count` tokens.
    fn read_up_to(&mut self, count: usize) -> Result<(), Failure> {
        let held = match self.place {
            Place::Scratch(from) => from.count.min(count),
            Place::Chat => self.session.reuse(&self.request.ids[..=count], &self.request.interventions),
        };
        self.total = self.request.ids.len() - held;
        for start in (held..count).step_by(self.session.slice()) {
            self.decode(start, (start + self.session.slice()).min(count), Rows::None)?;
        }
        if let Place::Scratch(from) = self.place {
            self.session.keep_beside(&self.request.ids[..count], from, &self.request.interventions);
        }
        Ok(())
    }

    /// Decodes the tokens from `start` to `end` behind those held.
    fn decode(&mut self, start: usize, end: usize, rows: Rows) -> Result<(), Failure> {
        let ids = &self.request.ids;
        let decoded = match self.place {
            Place::Scratch(from) => {
                // Cells that are held come first: they cost nothing, and the chat's are what the run drew from.
                if start <= from.count {
                    self.session.fork(from.sequence, SCRATCH, start);
                }
                self.session.decode_on(SCRATCH, start, &ids[start..end], rows)
            }
            Place::Chat => self.session.append(&ids[start..end], rows),
        };
        decoded.map_err(failed)?;
        self.decoded += end - start;
        let (done, total) = (self.decoded as u32, self.total as u32);
        (self.emit)(Event::PromptProgress { done, total });
        Ok(())
    }
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
        "The model gave logits that are no numbers; its file or the device may be faulty.".to_string();
    Failure { message, kind: FailureKind::Other }
}
