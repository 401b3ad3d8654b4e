//! The inspector: which step is on display, live and from the past.
//!
//! Invariant: a live display changes at most every `refresh_ms`, and then to the least certain step since.

use super::{App, LiveStep, Station};
use crate::chat::{Piece, RunId, Span, TurnId, whole_text};
use crate::token::Step;

/// Characters of the text before the shown token.
const TAIL: usize = 48;

/// The run of a generated span.
pub(crate) fn run_of(span: &Span) -> Option<RunId> {
    match span {
        Span::Generated { run, .. } => Some(*run),
        Span::Written { .. } | Span::Kept { .. } => None,
    }
}

impl App {
    /// A token was written in the shown chat.
    pub(crate) fn live_step(&mut self, turn: TurnId, index: usize, step: Step) {
        for watched in &mut self.inspector.watch {
            if let Some(candidate) = step.candidates.iter().find(|candidate| candidate.id == watched.id) {
                watched.peak = watched.peak.max(candidate.logprob.exp());
            }
        }
        if self.inspector.held {
            return;
        }
        let Some(live) = self.inspector.live.as_mut().filter(|live| live.turn == turn) else {
            self.show_step(turn, index, step, 1);
            return;
        };
        live.since += 1;
        if live.pending.as_ref().is_none_or(|(_, pending)| step.entropy > pending.entropy) {
            live.pending = Some((index, step));
        }
    }

    /// Shows the least certain step since the last change, when its time has come.
    pub(crate) fn refresh_live(&mut self) {
        if self.refreshes_at().is_none_or(|at| at > self.now.mono_ms) {
            return;
        }
        let Some(live) = &mut self.inspector.live else { return };
        let (turn, of) = (live.turn, live.since);
        if let Some((index, step)) = live.pending.take() {
            self.show_step(turn, index, step, of);
            self.dirty = true;
        }
    }

    /// When the display may change next, ms.
    pub(crate) fn refreshes_at(&self) -> Option<u64> {
        let live = self.inspector.live.as_ref().filter(|_| !self.inspector.held)?;
        live.pending.as_ref()?;
        Some(live.shown_at + u64::from(self.config.inspector.refresh_ms))
    }

    fn show_step(&mut self, turn: TurnId, index: usize, step: Step, of: u32) {
        let run = self.run_of_step(turn, index);
        let vocabulary = run.and_then(|run| self.runs.get(&run)).and_then(|run| run.vocabulary.clone());
        for watched in &mut self.inspector.watch {
            let at = step.candidates.iter().position(|candidate| candidate.id == watched.id);
            watched.now = at.map(|at| step.candidates[at].logprob.exp());
            watched.rank = at.map(|at| at as u32 + 1);
            watched.peak = watched.peak.max(watched.now.unwrap_or_default());
        }
        self.inspector.live = Some(LiveStep {
            chat: self.chat.head.id,
            turn,
            index,
            step,
            vocabulary,
            context_tail: self.text_before(turn, index),
            shown_at: self.now.mono_ms,
            of,
            pending: None,
            since: 0,
        });
    }

    fn run_of_step(&self, turn: TurnId, index: usize) -> Option<RunId> {
        let turn = self.chat.turn(turn)?;
        let mut steps = self.chat.pieces(turn).into_iter().filter_map(|piece| match piece {
            Piece::Step { run, .. } => Some(run),
            Piece::Written(_) => None,
        });
        steps.nth(index)
    }

    /// The end of the text that was read before a step, from the message before where the reply begins.
    pub(crate) fn text_before(&self, turn: TurnId, index: usize) -> String {
        let Some(turn) = self.chat.turn(turn) else { return String::new() };
        let pieces = self.chat.pieces(turn);
        let steps = pieces.iter().filter(|piece| matches!(piece, Piece::Step { .. }));
        let bytes: Vec<u8> = steps.take(index).flat_map(|step| step.bytes().iter().copied()).collect();
        let mut text = whole_text(&bytes, true);
        if text.chars().count() < TAIL
            && let Some(parent) = turn.parent
        {
            text = format!("{}\n{text}", self.turn_text(parent));
        }
        let skipped = text.chars().count().saturating_sub(TAIL);
        text.chars().skip(skipped).collect()
    }

    /// Shows the last step of the shown branch: what is seen when no reply is written.
    pub(crate) fn show_last_step(&mut self) {
        self.inspector.held = false;
        let branch = self.chat.branch();
        let last = branch.iter().rev().find_map(|turn| {
            let last = (turn.kept_steps() + turn.steps().count()).checked_sub(1)?;
            Some((turn.id, last, turn.steps().next_back()?.clone()))
        });
        match last {
            Some((turn, index, step)) => self.show_step(turn, index, step, 1),
            None => self.inspector.live = None,
        }
    }

    /// Holds the shown step, or lets it go.
    pub(crate) fn hold(&mut self) {
        self.inspector.held = !self.inspector.held && self.inspector.live.is_some();
    }

    /// Opens a station of the strip.
    pub(crate) fn station(&mut self, station: Station) {
        if Station::AVAILABLE.contains(&station) {
            self.inspector.station = station;
            self.inspector.shown = true;
        }
    }

    pub(crate) fn station_digit(&mut self, digit: char) {
        if let Some(station) = Station::of_digit(digit) {
            self.station(station);
        }
    }
}
