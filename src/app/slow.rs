//! Slow motion: the reply is written at a pace that an eye can follow, the open station with it.
//!
//! Invariant: the engine writes one token and waits; the next is let go when its time has come, never while the shown
//! step is held. Step mode goes before.

use super::{App, StepMode};
use crate::engine::protocol::Request;

/// Tokens a second without a number.
const USUAL: f64 = 2.0;
/// Slowest and fastest, tokens a second.
const PACES: std::ops::RangeInclusive<f64> = 0.1..=50.0;

impl StepMode {
    /// What is left of it when a reply has ended: the pace.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { every_ms: self.every_ms, ..Self::default() }
    }
}

impl App {
    /// `/slow`: on at the usual pace, or off.
    pub(crate) fn toggle_slow(&mut self) {
        match self.talk.steps.every_ms {
            Some(_) => self.full_speed(),
            None => self.pace(USUAL),
        }
    }

    /// `/slow N` or `/slow off`; says whether it was one of both.
    pub(crate) fn slow_down(&mut self, pace: &str) -> bool {
        if pace == "off" {
            self.full_speed();
            return true;
        }
        match pace.parse::<f64>().ok().filter(|pace| PACES.contains(pace)) {
            Some(pace) => self.pace(pace),
            None => self.out.warn(format!("/slow {pace}: a pace is 0.1 to 50 tokens a second, or off")),
        }
        self.talk.steps.every_ms.is_some()
    }

    fn pace(&mut self, tokens_a_second: f64) {
        let free = self.talk.steps.every_ms.is_none() && !self.talk.steps.on;
        self.talk.steps.every_ms = Some((1000.0 / tokens_a_second).round() as u64);
        if let Some(target) = self.talk.run.as_ref().map(|run| run.request).filter(|_| free) {
            self.out.requests.tell(Request::Pace { target, allow: Some(1) });
        }
        let hold = self.keymap.shown(crate::command::Command::Hold);
        let step = self.keymap.shown(crate::command::Command::Step);
        let unit = if (tokens_a_second - 1.0).abs() < f64::EPSILON { "token" } else { "tokens" };
        self.out.say(format!(
            "{tokens_a_second} {unit} a second; in the inspector {hold} pauses, {step} goes by key, /slow off ends it"
        ));
    }

    fn full_speed(&mut self) {
        self.talk.steps.every_ms = None;
        self.talk.steps.next_at = None;
        if let Some(target) = self.talk.run.as_ref().map(|run| run.request).filter(|_| !self.talk.steps.on) {
            self.out.requests.tell(Request::Pace { target, allow: None });
        }
        self.out.say("replies are written at full speed");
    }

    /// The engine waits: whether for the clock, which is set then.
    pub(crate) fn waits_for_clock(&mut self) -> bool {
        let Some(every) = self.talk.steps.every_ms.filter(|_| !self.talk.steps.on) else { return false };
        self.talk.steps.next_at = Some(self.out.now.mono_ms + every);
        true
    }

    /// When the next token is let go; never while the step on display is held.
    pub(crate) fn slow_at(&self) -> Option<u64> {
        self.talk.steps.next_at.filter(|_| !self.inspector.held)
    }

    /// Lets the next token go when its time has come.
    pub(crate) fn settle_slow(&mut self) {
        if self.slow_at().is_none_or(|at| at > self.out.now.mono_ms) {
            return;
        }
        self.talk.steps.next_at = None;
        if let Some(target) = self.talk.run.as_ref().map(|run| run.request) {
            self.out.requests.tell(Request::Pace { target, allow: Some(1) });
        }
    }
}
