//! Slow motion: the reply is written at a pace that an eye can follow, the open station with it.
//!
//! Invariant: the engine writes one token and waits; the next is let go when its time has come, never while the shown
//! step is held. Step mode goes before.

use crate::app::view::With;
use crate::app::{Outbox, StepMode, Talk};
use crate::engine::protocol::{Immediate, Request};

/// Tokens a second without a number.
const USUAL: f64 = 2.0;
/// Slowest and fastest, tokens a second.
const PACES: std::ops::RangeInclusive<f64> = 0.1..=50.0;

impl StepMode {
    /// What is left of it when a reply has ended: the pace.
    pub fn ended(self) -> Self {
        Self { every_ms: self.every_ms, ..Self::default() }
    }
}

impl Talk {
    /// `/slow`: on at the usual pace, or off.
    pub(crate) fn toggle_slow(&mut self, with: With<'_>, out: &mut Outbox) {
        match self.steps.every_ms {
            Some(_) => self.full_speed(out),
            None => self.pace(with, out, USUAL),
        }
    }

    /// `/slow N` or `/slow off`; says whether it was one of both.
    pub(crate) fn slow_down(&mut self, with: With<'_>, out: &mut Outbox, pace: &str) -> bool {
        if pace == "off" {
            self.full_speed(out);
            return true;
        }
        match pace.parse::<f64>().ok().filter(|pace| PACES.contains(pace)) {
            Some(pace) => self.pace(with, out, pace),
            None => out.warn(format!("/slow {pace}: a pace is 0.1 to 50 tokens a second, or off")),
        }
        self.steps.every_ms.is_some()
    }

    fn pace(&mut self, with: With<'_>, out: &mut Outbox, tokens_a_second: f64) {
        let free = self.steps.every_ms.is_none() && !self.steps.on;
        self.steps.every_ms = Some((1000.0 / tokens_a_second).round() as u64);
        if let Some(target) = self.run.as_ref().map(|run| run.request).filter(|_| free) {
            out.requests.tell(Request::Immediate(Immediate::Pace { target, allow: Some(1) }));
        }
        let hold = with.keymap.shown(crate::command::Command::Hold);
        let step = with.keymap.shown(crate::command::Command::Step);
        let unit = if (tokens_a_second - 1.0).abs() < f64::EPSILON { "token" } else { "tokens" };
        out.say(format!(
            "{tokens_a_second} {unit} a second; in the inspector {hold} pauses, {step} goes by key, /slow off ends it"
        ));
    }

    fn full_speed(&mut self, out: &mut Outbox) {
        self.steps.every_ms = None;
        self.steps.next_at = None;
        if let Some(target) = self.run.as_ref().map(|run| run.request).filter(|_| !self.steps.on) {
            out.requests.tell(Request::Immediate(Immediate::Pace { target, allow: None }));
        }
        out.say("replies are written at full speed");
    }

    /// The engine waits: whether for the clock, which is set then.
    pub(crate) fn waits_for_clock(&mut self, out: &mut Outbox) -> bool {
        let Some(every) = self.steps.every_ms.filter(|_| !self.steps.on) else { return false };
        self.steps.next_at = Some(out.now.mono_ms + every);
        true
    }

    /// When the next token is let go; never while the step on display is held.
    pub(crate) fn slow_at(&self, held: bool) -> Option<u64> {
        self.steps.next_at.filter(|_| !held)
    }

    /// Lets the next token go when its time has come.
    pub(crate) fn sync_pace(&mut self, out: &mut Outbox, held: bool) {
        if self.slow_at(held).is_none_or(|at| at > out.now.mono_ms) {
            return;
        }
        self.steps.next_at = None;
        if let Some(target) = self.run.as_ref().map(|run| run.request) {
            out.requests.tell(Request::Immediate(Immediate::Pace { target, allow: Some(1) }));
        }
    }
}
