//! A forward pass opened: read again beside the chat with the probe on, and put into a [`ForwardTrace`].
//!
//! The tokens before the pass are read without the probe, the last one alone with it, so every captured tensor has
//! one column, whatever micro-batches or padding the prompt went through. With ablations the pass is read twice; the
//! trace is the changed model's, beside the distribution of the unchanged one.
//!
//! Invariant: the chat's sequence stays as it was, unless more is missing than fits beside it (or the model has no
//! sequences beside it); then the text is read there, and [`Session::cached`] says so. The probe is off and nothing
//! is changed afterwards, however it ends.

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
use crate::engine::prompt;
use crate::engine::protocol::{Event, Failure, FailureKind, Inspect, Inspected, switched_off};
use crate::engine::session::lane::SCRATCH;
use crate::engine::session::{Halt, Rows, Session};
use crate::inspect::lens;
#[cfg(doc)]
use crate::inspect::trace::ForwardTrace;
use crate::token::TokenId;

/// Answers an inspection; `emit` gets the progress, the answer is returned.
pub fn inspect(session: &mut Session, inside: &mut Inside, request: &Inspect, emit: &dyn Fn(Event)) -> Event {
    let event = Opening { session, inside, request, emit, decoded: 0, beside: false }.answer();
    session.drop_sequence(SCRATCH);
    event
}

/// Answers an inspection while a reply is being written: like [`inspect`], but never on the chat's sequence, and
/// refused where it would need that.
pub fn inspect_beside(
    session: &mut Session,
    inside: &mut Inside,
    request: &Inspect,
    emit: &dyn Fn(Event),
) -> Event {
    let event = Opening { session, inside, request, emit, decoded: 0, beside: true }.answer();
    session.drop_sequence(SCRATCH);
    event
}

fn check(session: &Session, request: &Inspect) -> Result<(), Failure> {
    if request.ids.is_empty() {
        return Err(other("There is no pass to open: nothing has been read."));
    }
    prompt::readable(session, &request.ids)?;
    let want = &request.want;
    let pair = want.attribution.map(|(token, rival)| [token, rival]);
    let named: Vec<TokenId> = want.follow.iter().copied().chain(pair.into_iter().flatten()).collect();
    prompt::check(session.model(), &named)?;
    changes::check(session.model(), &request.ablations)?;
    changes::check(session.model(), &request.interventions)?;
    let offs: Vec<_> = want.off.iter().filter_map(|part| switched_off(*part)).collect();
    changes::check(session.model(), &offs)?;
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
            return Err(other(format!("Position {position} lies behind the pass.")));
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
    beside: bool,
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
            self.read(&request.ids, &base, &base, &Plan::default())?;
            Some(self.output()?)
        };
        let mut changes = base.clone();
        changes.extend(request.ablations.iter().cloned());
        let before = if request.everywhere { changes.clone() } else { base };
        // A patch is of one position; the tokens before it stay as they are.
        changes.extend(patches);
        let captured = self.read(&request.ids, &before, &changes, &plan(&request.want))?;
        let output = self.output()?;
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
        opened.off = self.offs()?;
        opened.decoded = self.decoded as u32;
        opened.ms = milliseconds(started);
        Ok(opened)
    }

    /// Reads all these under `before`, the last token under `last` with the probe on.
    fn read(
        &mut self,
        ids: &[TokenId],
        before: &[Intervention],
        last: &[Intervention],
        plan: &Plan,
    ) -> Result<Captured, Failure> {
        if self.beside && self.session.shared_if_rest_fits(ids, before).is_none() {
            let message =
                "This needs more reading than fits beside the reply; it is opened when the reply is done.";
            return Err(Failure { message: message.to_owned(), kind: FailureKind::Busy });
        }
        let result = self.read_changed(ids, before, last, plan);
        self.session.probe().change(&[]);
        self.session.probe().plan(Plan::default());
        result.map_err(failed)?;
        Ok(self.session.probe().take())
    }

    fn read_changed(
        &mut self,
        ids: &[TokenId],
        before: &[Intervention],
        last: &[Intervention],
        plan: &Plan,
    ) -> Result<(), Halt> {
        let end = ids.len() - 1;
        self.session.probe().change(before);
        let aside = self.session.beginning(ids, end, before);
        let total = ids.len() - aside.map_or(0, |from| from.count);
        if let Some(from) = aside {
            let emit = self.emit;
            self.session.read_from(SCRATCH, &ids[..end], from, |done, _| {
                emit(Event::PromptProgress { done: done as u32, total: total as u32 });
            })?;
            if !self.beside {
                self.session.keep_beside(&ids[..end], from, before);
            }
        } else {
            let kept = self.session.reuse_at_most(ids, end, before);
            let emit = self.emit;
            self.session.read(&ids[..end], kept, |done, _| {
                emit(Event::PromptProgress { done: done as u32, total: total as u32 });
            })?;
        }
        self.decoded += total;
        self.session.probe().change(last);
        self.session.probe().plan(plan.clone());
        if aside.is_some() {
            return self.session.decode_on(SCRATCH, end, &ids[end..], Rows::Last);
        }
        self.session.append(&ids[end..], Rows::Last)?;
        if before != last {
            // The last token's keys were computed under changes that the prefix does not name.
            self.session.keep(end);
        }
        Ok(())
    }

    /// The distribution of the pass that was just decoded.
    fn output(&self) -> Result<Output, Failure> {
        Output::of(self.session.logits(), &self.request.want.follow)
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
