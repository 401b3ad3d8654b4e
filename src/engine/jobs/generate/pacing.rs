//! What the app asked of a running reply: what to record, what to watch, how far to go.
//!
//! Invariant: while nothing is recorded, watched or held back, a token costs one look at a counter.

use crate::engine::compute::numbers::{self, Distribution};
use crate::engine::jobs::control::{Allowance, Control, Woken};
use crate::engine::protocol::{CapturePlan, Live, RequestId};
use crate::engine::sampler::Recorder;
use crate::engine::session::Session;
use crate::token::{Candidate, TokenId};

/// A reply's view of [`Control`].
pub struct Pacing<'a> {
    control: &'a Control,
    id: RequestId,
    seen: u64,
    plan: CapturePlan,
    allow: Allowance,
    recorder: Recorder,
}

impl<'a> Pacing<'a> {
    /// For the reply of that id, which may write `allow` tokens before it waits.
    pub fn new(control: &'a Control, id: RequestId, allow: Allowance) -> Self {
        let seen = control.changes();
        let allow = control.take_pace(id).unwrap_or(allow);
        Self { control, id, seen, plan: control.capture(), allow, recorder: Recorder::default() }
    }

    /// Takes up what has changed; whether anything has.
    pub fn refresh(&mut self) -> bool {
        let changes = self.control.changes();
        if changes == self.seen {
            return false;
        }
        self.seen = changes;
        self.plan = self.control.capture();
        if let Some(allow) = self.control.take_pace(self.id) {
            self.allow = allow;
        }
        true
    }

    /// How many of the likeliest tokens are listed, and with what; `None` while nothing is recorded.
    pub fn recording(&mut self) -> Option<(usize, &mut Recorder)> {
        let list = self.plan.stages as usize;
        (list > 0).then_some((list, &mut self.recorder))
    }

    /// Whether a baseline reads along.
    pub fn baseline(&self) -> bool {
        self.plan.baseline
    }

    /// The watched tokens at a step.
    pub fn watched(&self, logits: &[f32], distribution: &Distribution) -> Vec<(Candidate, u32)> {
        let tell = |id: &TokenId| {
            let logit = *logits.get(usize::try_from(id.0).ok()?)?;
            Some((Candidate { id: *id, logprob: distribution.logprob(logit) }, numbers::rank(logits, logit)))
        };
        self.plan.watch.iter().filter_map(tell).collect()
    }

    /// So many tokens were given to the app.
    pub fn wrote(&mut self, count: usize) {
        if let Some(allow) = &mut self.allow {
            *allow = allow.saturating_sub(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    /// What is opened of each token.
    pub fn live(&self) -> Option<&Live> {
        self.plan.inside.as_deref()
    }

    /// Whether the reply goes token by token.
    pub fn is_paced(&self) -> bool {
        self.allow.is_some()
    }

    /// Waits while the reply may write no more; `pausing` is called once before each wait, `beside` whenever
    /// something else was asked for, also between tokens that follow each other. Whether it may go on; otherwise it
    /// was cancelled.
    pub fn may_write(
        &mut self,
        session: &mut Session,
        pausing: impl Fn(),
        mut interleaved: impl FnMut(&mut Session) -> bool,
    ) -> bool {
        let mut said = false;
        while self.allow == Some(0) {
            if !std::mem::replace(&mut said, true) {
                pausing();
            }
            match self.control.wait_for_pace(self.id, session.stop_flag()) {
                Woken::Pace(allow) => {
                    self.allow = allow;
                    said = false;
                }
                Woken::Interleaved => {
                    interleaved(session);
                }
                Woken::Stopped => return false,
            }
        }
        if self.refresh() {
            while interleaved(session) {}
        }
        !session.stop_flag().load(std::sync::atomic::Ordering::Relaxed)
    }
}
