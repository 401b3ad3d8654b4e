//! The inspector: which step is on display, live and from the past.
//!
//! Invariant: a live display changes at most every `refresh_ms`, and then to the least certain step since; where the
//! station shows the inside of passes, to the newest that was opened.

pub(crate) mod export;
mod kept;
mod live;
mod merge;
mod passes;
mod passes_state;
pub(crate) mod state;
pub(crate) mod stations;
mod watch;

use crate::app::{ChatView, Display, Outbox};
use std::sync::Arc;

use super::WIDE;
use super::{App, Origin, Record, TokenCursor};
use crate::chat::{Piece, RunId, Span, TurnId, unfinished_tail, whole_text};
use crate::config::Motion;
use crate::engine::protocol::Written;
use crate::token::Step;
pub(crate) use export::Exported;
pub use passes_state::{InsidePass, Wish};
pub use state::{Inspector, LiveStep, Watched};
pub use stations::Station;

/// Rows of the screen from which on a narrow one has a rail, with the softmax or the samplers.
const RAIL_ROWS: u16 = 18;
/// Neighbours and neurons that are shown.
pub(crate) const NEIGHBOURS: u32 = 12;
/// Characters of the text before the shown token.
const TAIL: usize = 48;

/// The run of a generated span.
pub(crate) fn run_of(span: &Span) -> Option<RunId> {
    match span {
        Span::Generated { run, .. } => Some(*run),
        Span::Written { .. } | Span::Kept { .. } => None,
    }
}

impl Inspector {
    /// A token was written in the shown chat; what was recorded of it is kept with it.
    pub(crate) fn live_step(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        at: TokenCursor,
        written: Written,
    ) {
        let Written { step, stages, watched, inside, .. } = written;
        let TokenCursor { turn, index } = at;
        let trace = stages.map(|stages| Arc::new(*stages));
        self.record(at, Record { trace, watched }, &step);
        let opened = inside.is_some();
        if let Some(inside) = inside {
            self.keep_live(view, at, *inside);
        }
        if self.held {
            return;
        }
        let by_looks = self.display(view).follows_looks();
        let by_table = self.display(view).follows_table();
        let Some(live) = self.live.as_mut().filter(|live| live.turn == turn) else {
            self.show_step(view, out, turn, index, step, 1);
            return;
        };
        live.since += 1;
        let uncertain = || {
            live.pending
                .as_ref()
                .is_none_or(|(_, pending)| step.entropy.is_nan() || step.entropy > pending.entropy)
        };
        if !(by_table && live.pending.is_some()) && if by_looks { opened } else { uncertain() } {
            live.pending = Some((index, step));
        }
    }

    /// Recording a token took so long; the price is the mean of the last ones.
    pub(crate) fn recorded(&mut self, ms: f32) {
        const NEWEST: f32 = 0.1;
        let price = &mut self.price_ms;
        *price = Some(price.map_or(ms, |mean| mean + NEWEST * (ms - mean)));
    }

    /// Keeps what came with a token, and the largest probability of each watched one.
    fn record(&mut self, at: TokenCursor, record: Record, step: &Step) {
        for watched in &mut self.watch {
            let told = record.watched.iter().map(|(candidate, _)| candidate);
            if let Some(now) = told.chain(&step.candidates).find(|candidate| candidate.id == watched.id) {
                watched.peak = watched.peak.max(now.logprob.exp());
            }
        }
        if record != Record::default() {
            self.looks.keep_record(at, record);
        }
    }

    /// Shows the least certain step since the last change, when its time has come.
    pub(crate) fn refresh_live(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if self.refreshes_at(view).is_none_or(|at| at > out.now.mono_ms) {
            return;
        }
        let Some(live) = &mut self.live else { return };
        let (turn, of) = (live.turn, live.since);
        if let Some((index, step)) = live.pending.take() {
            self.show_step(view, out, turn, index, step, of);
            out.dirty = true;
        }
    }

    /// When the display may change next, ms.
    pub(crate) fn refreshes_at(&self, view: ChatView<'_>) -> Option<u64> {
        let live = self.live.as_ref().filter(|_| !self.held)?;
        live.pending.as_ref().filter(|_| !self.awaits_table(view))?;
        let still = if view.config.ui.motion == Motion::Reduced { 1000 } else { 0 };
        Some(live.shown_at + u64::from(view.config.inspector.refresh_ms).max(still))
    }

    fn show_step(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        turn: TurnId,
        index: usize,
        step: Step,
        of: u32,
    ) {
        self.live = Some(view.displayed(TokenCursor { turn, index }, step, of, out.now.mono_ms));
        self.fill_watch(view);
    }

    /// A reply has ended: its last word is shown, whatever the live display stood at, but what is held stays.
    pub(crate) fn come_to_rest(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if !self.held && view.run.is_none() {
            self.show_last_step(view, out);
        }
    }

    /// Shows the last word of the shown branch: what is seen when no reply is written.
    pub(crate) fn show_last_step(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        self.held = false;
        let branch = view.chat.branch();
        let last = branch.iter().rev().find_map(|turn| {
            let pieces = view.chat.pieces(turn);
            let steps = pieces.iter().filter_map(|piece| match piece {
                Piece::Step { step, .. } => Some(*step),
                Piece::Written(_) => None,
            });
            let steps: Vec<&Step> = steps.collect();
            // A mark or a line's end would be on display without being seen in the text.
            let seen = |at: &usize| view.is_seen(TokenCursor { turn: turn.id, index: *at }, steps[*at]);
            let at = (0..steps.len()).rev().find(seen).or(steps.len().checked_sub(1))?;
            Some((turn.id, at, steps[at].clone()))
        });
        match last {
            Some((turn, index, step)) => self.show_step(view, out, turn, index, step, 1),
            None => self.live = None,
        }
    }

    /// Puts the token under the cursor on display, or goes back to the live one.
    pub(crate) fn follow_cursor(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        wanted: Option<TokenCursor>,
    ) {
        let shown = self.past.as_ref().filter(|past| past.chat == view.chat.head.id);
        if shown.map(LiveStep::cursor) == wanted {
            return;
        }
        self.past = wanted
            .and_then(|at| Some((at, view.step_at(at)?.clone())))
            .map(|(at, step)| view.displayed(at, step, 1, out.now.mono_ms));
        self.fill_watch(view);
    }

    /// Holds the shown step, or lets it go.
    pub(crate) fn hold(&mut self) {
        self.held = !self.held && self.live.is_some();
    }
}

impl App {
    /// Opens a station of the strip; where there is no pane for it and the rail does not show it, alone.
    pub(crate) fn station(&mut self, station: Station) {
        self.inspector.station = station;
        self.inspector.shown = true;
        let on_rail = station.unit().on_rail() && self.size.1 >= RAIL_ROWS;
        if self.size.0 < WIDE && !on_rail && !self.inspector.zoomed && self.tour.is_none() {
            self.zoom();
        }
    }

    /// Opens the station of that name or number; says whether there is one.
    pub(crate) fn station_named(&mut self, name: &str) -> bool {
        let known = Station::named(name).or_else(|| Station::of_digit(name.parse().ok()?));
        if let Some(station) = known {
            self.station(station);
        } else {
            let names: Vec<&str> = Station::ALL.iter().map(|station| station.about().name).collect();
            self.out.warn(format!("there is no station {name}; there are {}", names.join(", ")));
        }
        known.is_some()
    }
}

impl Inspector {
    /// Whether the open station has a line that takes characters now, if it has the focus.
    pub(crate) fn types(&self) -> bool {
        match self.station {
            Station::Tokens => self.tokens.trying.is_some(),
            Station::Softmax => self.list.typing,
            Station::Sampler => self.sandbox.as_ref().is_some_and(|sandbox| sandbox.open),
            _ => false,
        }
    }
}

impl ChatView<'_> {
    /// A step as the stations show it from now on.
    fn displayed(&self, at: TokenCursor, step: Step, of: u32, shown_at: u64) -> LiveStep {
        let run = self.run_at(at);
        let vocabulary = run.and_then(|run| self.runs.get(&run)).and_then(|run| run.vocabulary.clone());
        let (context_tail, partial) = self.text_before(at);
        LiveStep {
            chat: self.chat.head.id,
            turn: at.turn,
            index: at.index,
            step,
            vocabulary,
            context_tail,
            partial,
            shown_at,
            of,
            pending: None,
            since: 0,
        }
    }

    /// Whether a token has a glyph in the text.
    fn is_seen(&self, at: TokenCursor, step: &Step) -> bool {
        let run = self.run_at(at).and_then(|run| self.runs.get(&run));
        let vocabulary = run.and_then(|run| run.vocabulary.as_ref());
        let marked = step.id.is_some_and(|id| self.is_mark(id, vocabulary));
        !marked && step.bytes.iter().any(|byte| !byte.is_ascii_whitespace())
    }

    /// How a token came to be.
    pub(crate) fn origin(&self, at: TokenCursor) -> Option<Origin> {
        let turn = self.shown_turn(at.turn)?;
        self.turn_tokens(turn).get(at.index).map(|token| token.origin)
    }

    /// The run that wrote or scored a token.
    pub(crate) fn run_at(&self, at: TokenCursor) -> Option<RunId> {
        self.origin(at).map(|origin| match origin {
            Origin::Written { run, .. } | Origin::Scored { run, .. } => run,
        })
    }

    /// The end of the text that was read before a token, from the message before where its turn begins, and
    /// the bytes at its end that are not a whole character.
    pub(crate) fn text_before(&self, at: TokenCursor) -> (String, Vec<u8>) {
        let Some(turn) = self.shown_turn(at.turn) else { return (String::new(), Vec::new()) };
        let tokens = self.turn_tokens(turn);
        let end = tokens.get(at.index).map(|token| token.start);
        let mut bytes = self.chat.bytes(turn);
        bytes.truncate(end.unwrap_or(usize::MAX));
        let held = unfinished_tail(&bytes);
        let partial = bytes.split_off(bytes.len() - held);
        let mut text = whole_text(&bytes, true);
        if text.chars().count() < TAIL
            && let Some(parent) = turn.parent
        {
            text = format!("{}\n{text}", self.turn_text(parent));
        }
        let skipped = text.chars().count().saturating_sub(TAIL);
        (text.chars().skip(skipped).collect(), partial)
    }
}

impl<'a> Display<'a> {
    /// The step that the stations show: that of the token under the cursor, else the live one.
    pub fn shown_step(&self) -> Option<&'a LiveStep> {
        self.inspector.past.as_ref().or(self.inspector.live.as_ref())
    }
}
