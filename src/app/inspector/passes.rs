//! Opening the pass on display: what the stations 1 to 6 and 9 are shown.
//!
//! Invariant: asked only for what the open station shows; the newest wish cancels the one before, and a reply goes
//! before any. What several requests told of one pass is kept together.

use std::sync::Arc;

use super::merge;
use crate::app::{App, Asker, Display, EngineId, InsidePass, LiveStep, Pass, TokenCursor, Wish};
use crate::engine::protocol::{Event, Failure, FailureKind, Inspect, Inspected, Request, RequestId, Want};
use crate::inspect::pieces::Pieces;
use crate::inspect::trace::EmbeddingFacts;
use crate::token::TokenId;

/// Passes that are kept, at most; see also [`super::kept`].
const PASSES: usize = 64;
/// Questions to the embedding table, and texts, that are kept.
const ANSWERS: usize = 64;
/// What the engine says to a wish.
enum EventOfInside {
    /// How many tokens were read, of how many.
    Progress(u32, u32),
    /// A pass was opened.
    Pass(Box<Inspected>),
    /// The embedding table was asked.
    Embedded(Box<EmbeddingFacts>),
    /// A text was cut and merged.
    Pieces(Box<Pieces>),
    /// It could not be done.
    Failed(Failure),
}

/// What is being done, for a station that waits for it.
fn reading(wish: &Wish) -> &'static str {
    match wish {
        Wish::Pass(..) => "the model reads it again…",
        Wish::Embed(_) => "the table of tokens is searched…",
        Wish::Pieces(_) => "the text is cut again…",
    }
}

impl<'a> Display<'a> {
    /// Whether the pass at the token itself is on display, rather than the one that chose it. Position begins with
    /// the token's own, as tokens and embedding do, but while a reply is written, when a token's own pass is still
    /// to come; the other stations begin with the one that chose it.
    #[must_use]
    pub fn own_pass(&self) -> bool {
        let begins = self.inspector.station.unit().begins_with_own_pass() && self.view.run.is_none();
        self.inspector.inside.other_pass != begins
    }

    pub(crate) fn inside_pass(&self) -> Option<&'a InsidePass> {
        let at = self.shown_step()?.cursor();
        let inside = &self.inspector.inside;
        inside.passes.iter().rev().find(|pass| pass.at == at && pass.own == self.own_pass())
    }

    /// All that is known of the inside of the pass on display.
    #[must_use]
    pub fn shown_inside(&self) -> Option<&'a Arc<Inspected>> {
        self.inside_pass().map(|pass| &pass.seen)
    }

    /// The token that the chosen one is held against.
    #[must_use]
    pub fn rival(&self) -> Option<TokenId> {
        let step = &self.shown_step()?.step;
        let inside = &self.inspector.inside;
        let runner_up =
            || step.candidates.iter().map(|candidate| candidate.id).find(|id| Some(*id) != step.id);
        inside.rival.filter(|rival| Some(*rival) != step.id).or_else(runner_up)
    }

    /// The step on display, where the loaded model has its vocabulary and may be asked now.
    pub(crate) fn askable(&self) -> Option<&'a LiveStep> {
        let loaded = self.view.ready()?;
        let shown = self.shown_step().filter(|shown| shown.chat == self.view.chat.head.id)?;
        (shown.vocabulary.as_ref() == Some(&loaded.vocabulary) && self.may_ask()).then_some(shown)
    }

    /// What a station asks of the pass on display, where that can be read again; `inspect` adds what it lacks.
    pub(crate) fn pass_wish(&self, inspect: impl FnOnce(Inspect) -> Option<Inspect>) -> Option<Wish> {
        let at = self.askable()?.cursor();
        let run = self.view.run_at(at).filter(|run| self.view.can_read_again(*run))?;
        let pass = self.view.pass(at)?;
        let mut ids = pass.ids.to_vec();
        ids.extend(self.own_pass().then_some(pass.chosen));
        let want = Want { follow: self.followed(&pass), ..Want::default() };
        let request = inspect(Inspect { ids, want, ..Inspect::default() })?;
        let interventions = self.view.runs.get(&run).map(|run| run.interventions.clone()).unwrap_or_default();
        Some(Wish::Pass(at, Box::new(Inspect { interventions, ..request })))
    }

    /// The token whose pass is shown, and the one it is held against. Of the pass at the token itself nothing has
    /// been chosen yet that is known here, so its own likeliest is followed.
    fn followed(&self, pass: &Pass) -> Vec<TokenId> {
        if !self.own_pass() {
            return std::iter::once(pass.chosen).chain(self.rival()).collect();
        }
        let next = self.shown_step().map(|shown| TokenCursor { turn: shown.turn, index: shown.index + 1 });
        let step = next.and_then(|next| self.view.step_at(next));
        let id = step.and_then(|step| step.id);
        let rival =
            step.and_then(|step| step.candidates.iter().map(|c| c.id).find(|other| Some(*other) != id));
        id.into_iter().chain(rival).collect()
    }

    /// The block that is opened: as chosen, else the last.
    #[must_use]
    pub fn opened_layer(&self) -> u32 {
        let read = self.shown_inside().map_or(0, |seen| seen.trace.layers);
        let last = self.view.ready().map_or(read, |loaded| loaded.facts.layers).max(read).saturating_sub(1);
        let inside = &self.inspector.inside;
        if inside.aimed { inside.layer.min(last) } else { last }
    }
}

impl App {
    /// Why nothing more is known of the pass on display, in one line; `None` where nothing is missing.
    #[must_use]
    pub fn inside_missing(&self) -> Option<String> {
        let inside = &self.inspector.inside;
        if let Some((.., wish)) = &inside.pending
            && self.inside_wish().as_ref() == Some(wish)
        {
            return Some(match inside.progress {
                Some((done, of)) => format!("the model reads it again: {done} of {of} tokens"),
                None => reading(wish).into(),
            });
        }
        let wish = self.inside_wish();
        match (&inside.failed, &wish) {
            (Some((engine, failed, why)), Some(wish))
                if *engine == self.requests.engine() && failed == wish =>
            {
                return Some(why.clone());
            }
            _ => {}
        }
        let at = self.display().shown_step()?.cursor();
        if let Some(why) = self.view().why_unreadable(at) {
            return Some(why);
        }
        if !self.display().may_ask() {
            return Some("it is opened with the next token that is looked at".into());
        }
        wish.map(|wish| reading(&wish).into())
    }

    /// Brings what is asked of the engine in line with what the open station shows.
    pub(crate) fn settle_inside(&mut self) {
        self.forget_busy();
        let wish = self.inside_wish();
        let refused = |(engine, failed, _): &(_, Wish, String)| {
            *engine == self.requests.engine() && wish.as_ref() == Some(failed)
        };
        let wish = if self.inspector.inside.failed.as_ref().is_some_and(refused) { None } else { wish };
        let engine = self.requests.engine();
        if let Some((of, target, pending)) = &self.inspector.inside.pending {
            if *of == engine && self.view().ready().is_some() && wish.as_ref() == Some(pending) {
                return;
            }
            let target = *target;
            self.inspector.inside.pending = None;
            self.inspector.inside.progress = None;
            self.requests.give_up(target);
        }
        let Some(wish) = wish else { return };
        let request = match &wish {
            Wish::Pass(_, inspect) => Request::Inspect(inspect.clone()),
            Wish::Embed(embed) => Request::Embed(embed.clone()),
            Wish::Pieces(text) => Request::Pieces { text: text.clone(), special: false, inside: true },
        };
        let id = self.requests.ask(Asker::Station, request);
        self.inspector.inside.pending = Some((engine, id, wish));
    }

    /// What the open station shows and is not known yet.
    fn inside_wish(&self) -> Option<Wish> {
        self.inspector.shown.then(|| self.inspector.station.unit().wants(self)).flatten()
    }

    fn opens(&self, id: RequestId) -> bool {
        let pending = self.inspector.inside.pending.as_ref();
        pending.is_some_and(|(engine, pending, _)| *engine == self.requests.engine() && *pending == id)
    }

    /// The engine answered a wish, or told how far it is.
    pub(crate) fn station_event(&mut self, id: RequestId, event: Event) {
        if !self.opens(id) {
            return;
        }
        match event {
            Event::Inspected(seen) => self.inside_event(EventOfInside::Pass(seen)),
            Event::Embedded(facts) => self.inside_event(EventOfInside::Embedded(facts)),
            Event::Pieces(pieces) => self.inside_event(EventOfInside::Pieces(pieces)),
            Event::PromptProgress { done, total } => {
                self.inside_event(EventOfInside::Progress(done, total));
            }
            Event::Failed(failure) => self.inside_event(EventOfInside::Failed(failure)),
            _ => {}
        }
    }

    fn inside_event(&mut self, event: EventOfInside) {
        let inside = &mut self.inspector.inside;
        if let EventOfInside::Progress(done, total) = event {
            inside.progress = Some((done, total));
            return;
        }
        let Some((engine, _, wish)) = inside.pending.take() else { return };
        inside.progress = None;
        match (event, wish) {
            (EventOfInside::Failed(failure), wish) => self.inside_failed(engine, wish, failure),
            (EventOfInside::Pass(seen), Wish::Pass(at, request)) => {
                let why = seen.trace.missing.first().cloned();
                self.pass_opened(at, &request, *seen);
                self.asked_in_vain(engine, Wish::Pass(at, request), why);
            }
            (EventOfInside::Embedded(facts), Wish::Embed(embed)) => {
                let Some(vocabulary) = self.view().ready().map(|loaded| loaded.vocabulary.clone()) else {
                    return;
                };
                let mut facts = facts;
                self.display().turn_map(&vocabulary, &mut facts);
                let known = &mut self.inspector.embedding.embeddings;
                known.push((vocabulary, *embed, Arc::from(facts)));
                let surplus = known.len().saturating_sub(ANSWERS);
                known.drain(..surplus);
            }
            (EventOfInside::Pieces(pieces), Wish::Pieces(text)) => self.pieces_told(text, pieces),
            _ => {}
        }
    }

    /// An answer that left the wish as it was will not be another the next time: it is not asked for again.
    fn asked_in_vain(&mut self, engine: EngineId, wish: Wish, why: Option<String>) {
        if self.inside_wish().as_ref() == Some(&wish) {
            let why = why.unwrap_or_else(|| "this model does not show it".into());
            self.inspector.inside.failed = Some((engine, wish, format!("not known: {why}")));
        }
    }

    fn inside_failed(&mut self, engine: EngineId, wish: Wish, failure: Failure) {
        if failure.kind != FailureKind::Cancelled {
            self.inspector.inside.live.busy = failure.kind == FailureKind::Busy;
            self.inspector.inside.failed = Some((engine, wish, failure.message));
        }
    }

    fn pass_opened(&mut self, at: TokenCursor, request: &Inspect, seen: Inspected) {
        // What was asked, not what is open by now.
        let own = self.view().pass(at).is_some_and(|pass| request.ids.len() > pass.ids.len());
        if request.ablations.is_empty() && request.patches.is_empty() {
            return self.keep_seen(at, own, seen);
        }
        let tried = self.inspector.why.tried.clone();
        self.inside_slot(at, own).cards.push((tried, Arc::new(seen)));
        self.inspector.trim_kept();
    }

    /// Adds to what is known of a pass.
    pub(crate) fn keep_seen(&mut self, at: TokenCursor, own: bool, seen: Inspected) {
        self.set_write_scale(&seen);
        merge::merge(Arc::make_mut(&mut self.inside_slot(at, own).seen), seen);
        self.inspector.trim_kept();
        self.inspector.station.unit().pass_opened(self);
    }

    /// Where what is known of a pass is kept; the oldest go.
    fn inside_slot(&mut self, at: TokenCursor, own: bool) -> &mut InsidePass {
        let model = self.model.hash.clone().unwrap_or_else(|| self.model.name.clone());
        let passes = &mut self.inspector.inside.passes;
        passes.retain(|pass| pass.model == model);
        let index = passes.iter().position(|pass| pass.at == at && pass.own == own);
        let pass = match index {
            Some(index) => passes.remove(index),
            None => InsidePass { at, own, model, seen: Arc::default(), cards: Vec::new() },
        };
        let surplus = (passes.len() + 1).saturating_sub(PASSES);
        passes.drain(..surplus);
        passes.push(pass);
        let last = passes.len() - 1;
        &mut passes[last]
    }
}
