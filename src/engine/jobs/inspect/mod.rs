//! A forward pass opened: read again beside the chat with the probe on, and put into a [`ForwardTrace`].
//!
//! The tokens before the pass are read without the probe, the last one alone with it, so every captured tensor has
//! one column, whatever micro-batches or padding the prompt went through. With ablations the pass is read twice; the
//! trace is the changed model's, beside the distribution of the unchanged one.
//!
//! Invariant: each pass is read on a [`Lane`], so the chat's sequence stays as it was
//! where that fits beside it, the probe is off and nothing is changed afterwards.

mod ablation;
mod patching;

use std::time::Instant;

use crate::chat::Intervention;
use crate::engine::analysis::output::Output;
use crate::engine::analysis::pass::{self, Pass, plan};
use crate::engine::analysis::{Inside, other};
use crate::engine::milliseconds;
use crate::engine::model::changes;
use crate::engine::probe::{Captured, Plan};
use crate::engine::prompt::encode;
use crate::engine::protocol::{Event, Failure, FailureKind, Inspect, Inspected, switched_off};
use crate::engine::session::{Halt, Lane, Rows, Session, Text};
use crate::inspect::lens;
#[cfg(doc)]
use crate::inspect::trace::ForwardTrace;
use crate::token::TokenId;

/// Answers an inspection; `emit` gets the progress, the answer is returned.
pub fn inspect(session: &mut Session, inside: &mut Inside, request: &Inspect, emit: &dyn Fn(Event)) -> Event {
    Opening { session, inside, request, emit, decoded: 0, interleaved: false }.answer()
}

/// Answers an inspection while a reply is being written: like [`inspect`], but never on the chat's sequence, and
/// refused where it would need that.
pub fn inspect_interleaved(
    session: &mut Session,
    inside: &mut Inside,
    request: &Inspect,
    emit: &dyn Fn(Event),
) -> Event {
    Opening { session, inside, request, emit, decoded: 0, interleaved: true }.answer()
}

fn check(session: &mut Session, request: &Inspect) -> Result<(), Failure> {
    if request.ids.is_empty() {
        return Err(other("There is no pass to open: nothing has been read."));
    }
    encode::readable(session, &request.ids)?;
    let want = &request.want;
    let pair = want.attribution.map(|(token, rival)| [token, rival]);
    let named: Vec<TokenId> = want.follow.iter().copied().chain(pair.into_iter().flatten()).collect();
    encode::check(session.model(), &named)?;
    session.check(&request.ablations)?;
    session.check(&request.interventions)?;
    let ablated: Vec<_> = want.off.iter().filter_map(|part| switched_off(*part)).collect();
    changes::check(session.model(), &ablated)?;
    patching::check(session, request)?;
    let single = want.rotation.map(|(layer, ..)| layer).into_iter().chain(want.head.map(|(layer, _)| layer));
    let blocks = want.attention.iter().chain(&want.ffn).copied().chain(single);
    blocks.into_iter().try_for_each(|layer| changes::layer(session.model(), layer))?;
    if let Some((_, head)) = want.head {
        changes::head(session.model(), head)?;
    }
    if let Some((_, head, position)) = want.rotation {
        // Without heads there is still to tell how it knows positions.
        if session.model().model.n_head() > 0 {
            changes::head(session.model(), head)?;
        }
        if position as usize >= request.ids.len() {
            return Err(other(format!("Position {position} comes after the pass.")));
        }
    }
    Ok(())
}

struct Opening<'a> {
    session: &'a mut Session,
    inside: &'a mut Inside,
    request: &'a Inspect,
    emit: &'a dyn Fn(Event),
    decoded: usize,
    /// Whether the chat's sequence has to stay, since a reply is being written on it.
    interleaved: bool,
}

impl Opening<'_> {
    fn answer(self) -> Event {
        let opened = check(self.session, self.request).and_then(|()| self.run());
        opened.map_or_else(Event::Failed, |opened| Event::Inspected(Box::new(opened)))
    }

    fn run(mut self) -> Result<Inspected, Failure> {
        let started = Instant::now();
        let request = self.request;
        let base = request.interventions.clone();
        let patches = self.patches()?;
        let original = if request.ablations.is_empty() && patches.is_empty() {
            None
        } else {
            Some(self.read(&request.ids, &base, &base, Plan::default())?.1)
        };
        let mut changes = base.clone();
        changes.extend(request.ablations.iter().cloned());
        let before = if request.everywhere { changes.clone() } else { base };
        // A patch is of one position; the tokens before it stay as they are.
        changes.extend(patches);
        let (captured, output) = self.read(&request.ids, &before, &changes, plan(&request.want))?;
        let pass = Pass { want: &request.want, ids: &request.ids, captured: &captured, output: &output };
        let mut opened = pass::open(self.inside, self.session.probe().operands(), &pass);
        if let Some(original) = original {
            let kl = lens::divergence(
                &original.logits,
                original.log_normaliser,
                &output.logits,
                output.log_normaliser,
            );
            opened.trace.kl_from_original = Some(kl);
            opened.trace.original = Some((original.next, original.followed));
        }
        opened.off = self.ablated()?;
        opened.decoded = self.decoded as u32;
        opened.ms = milliseconds(started);
        Ok(opened)
    }

    /// Reads all these under `before`, the last token under `last` with the probe on: what it showed, and its
    /// distribution.
    fn read(
        &mut self,
        ids: &[TokenId],
        before: &[Intervention],
        last: &[Intervention],
        plan: Plan,
    ) -> Result<(Captured, Output), Failure> {
        let (emit, end) = (self.emit, ids.len() - 1);
        let follow = &self.request.want.follow;
        let mut lane = self.lane(ids, before)?;
        lane.read_to(end, |done, total| {
            emit(Event::PromptProgress { done: done as u32, total: total as u32 });
        })
        .map_err(failed)?;
        lane.keep();
        lane.change(last);
        lane.probe(plan);
        lane.decode_to(end + 1, Rows::Last).map_err(failed)?;
        let (captured, decoded) = (lane.captured(), lane.decoded());
        let output = Output::of(lane.session().logits(), follow)?;
        drop(lane);
        self.decoded += decoded;
        Ok((captured, output))
    }

    /// Where a text is read whose last pass is wanted.
    fn lane<'s>(&'s mut self, ids: &'s [TokenId], changes: &'s [Intervention]) -> Result<Lane<'s>, Failure> {
        let text = Text::last(ids, changes);
        if !self.interleaved {
            return Ok(self.session.lane(text));
        }
        self.session.lane_beside(text).ok_or_else(|| Failure {
            message:
                "This needs more reading than fits beside the reply; it is opened when the reply is done."
                    .to_owned(),
            kind: FailureKind::Busy,
        })
    }
}

pub(crate) fn failed(halt: Halt) -> Failure {
    if halt == Halt::Cancelled {
        return Failure {
            message: "The inspection was cancelled.".to_string(),
            kind: FailureKind::Cancelled,
        };
    }
    Failure { message: format!("The pass could not be read again: {halt}."), kind: FailureKind::Other }
}
