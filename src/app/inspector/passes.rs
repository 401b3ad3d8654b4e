//! Opening the pass on display: what the stations 1 to 6 and 9 are shown.
//!
//! Invariant: asked only for what the open station shows; the newest wish cancels the one before, and a reply goes
//! before any. What several requests told of one pass is kept together.

use std::sync::Arc;

use super::merge;
use crate::app::requests::Answer;
use crate::app::{ChatView, Display, InsidePass, Inspector, LiveStep, Outbox, Pass, TokenCursor, Wish};
use crate::engine::protocol::{
    Capability, Event, Immediate, Inspect, Inspected, Inspection, Request, RequestId, Want,
};
use crate::token::TokenId;

/// Passes that are kept, at most; see also [`super::kept`].
const PASSES: usize = 64;
/// Questions to the embedding table, and texts, that are kept.
const ANSWERS: usize = 64;
/// What is being done, for a station that waits for it.
fn reading(wish: &Wish) -> &'static str {
    match wish {
        Wish::Pass(..) => "the model reads it again",
        Wish::Embed(_) => "the table of tokens is searched",
        Wish::Pieces(_) => "the text is cut again",
    }
}

impl<'a> Display<'a> {
    /// Whether the pass at the token itself is on display, rather than the one that chose it. Position begins with
    /// the token's own, as tokens and embedding do, but while a reply is written, when a token's own pass is still
    /// to come; the other stations begin with the one that chose it.
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
    pub fn shown_inside(&self) -> Option<&'a Arc<Inspected>> {
        self.inside_pass().map(|pass| &pass.seen)
    }

    /// The token that the chosen one is held against.
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
    pub fn opened_layer(&self) -> u32 {
        let read = self.shown_inside().map_or(0, |seen| seen.trace.layers);
        let last = self.view.ready().map_or(read, |loaded| loaded.facts.layers).max(read).saturating_sub(1);
        let inside = &self.inspector.inside;
        if inside.aimed { inside.layer.min(last) } else { last }
    }
}

impl Display<'_> {
    /// What the open station shows and is not known yet.
    fn inside_wish(&self) -> Option<Wish> {
        let open = self.inspector.shown && self.closed().is_none();
        let wish = open.then(|| self.inspector.station.unit().wants(self)).flatten()?;
        self.view.lacking(needed(&wish)).is_none().then_some(wish)
    }

    /// Why the loaded model has nothing to show in the open station, and what would have it; `None` where it has.
    pub fn closed(&self) -> Option<String> {
        self.view.lacking(self.inspector.station.unit().needs()?)
    }

    /// Why nothing more is known of the pass on display, in one line; `None` where nothing is missing.
    pub fn inside_missing(&self) -> Option<String> {
        if let Some(why) = self.closed() {
            return Some(why);
        }
        let wish = self.inspector.station.unit().wants(self);
        if let Some(why) = wish.as_ref().and_then(|wish| self.view.lacking(needed(wish))) {
            return Some(why);
        }
        let wish = wish.filter(|_| self.inspector.shown);
        let told = |wish: &Wish| self.inspector.inside.asking.status(wish).sentence(reading(wish));
        if let Some(told) = wish.as_ref().and_then(told) {
            return Some(told);
        }
        let at = self.shown_step()?.cursor();
        if let Some(why) = self.view.why_unreadable(at) {
            return Some(why);
        }
        if !self.may_ask() {
            return Some("it is opened with the next token that is looked at".into());
        }
        wish.map(|wish| format!("{}…", reading(&wish)))
    }
}

/// What an engine must be able to do to grant a wish.
fn needed(wish: &Wish) -> Capability {
    match wish {
        Wish::Pass(..) => Capability::OpensPasses,
        Wish::Embed(_) => Capability::Embeddings,
        Wish::Pieces(_) => Capability::Pieces,
    }
}

impl Inspector {
    /// Brings what is asked of the engine in line with what the open station shows.
    pub(crate) fn sync_inside(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let wish = self.display(view).inside_wish();
        self.inside.asking.follow(wish, &mut out.requests, |wish| {
            Ok(match wish {
                Wish::Pass(_, inspect) => Request::Inspection(Inspection::Inspect(inspect.clone())),
                Wish::Embed(embed) => Request::Inspection(Inspection::Embed(embed.clone())),
                Wish::Pieces(text) => {
                    Request::Immediate(Immediate::Pieces { text: text.clone(), special: false, inside: true })
                }
            })
        });
    }

    /// The engine answered a wish, or told how far it is.
    pub(crate) fn station_event(&mut self, view: ChatView<'_>, id: RequestId, event: Event) {
        let Some(Answer::Whole(wish, event)) = self.inside.asking.event(id, event) else { return };
        match (event, wish) {
            (Event::Inspected(seen), Wish::Pass(at, request)) => {
                let why = seen.trace.missing.first().cloned();
                self.pass_opened(view, at, &request, *seen);
                self.asked_in_vain(view, Wish::Pass(at, request), why);
            }
            (Event::Embedded(mut facts), Wish::Embed(embed)) => {
                let Some(vocabulary) = view.ready().map(|loaded| loaded.vocabulary.clone()) else { return };
                self.display(view).turn_map(&vocabulary, &mut facts);
                let known = &mut self.embedding.embeddings;
                known.push((vocabulary, *embed, Arc::from(facts)));
                let surplus = known.len().saturating_sub(ANSWERS);
                known.drain(..surplus);
            }
            (Event::Pieces(pieces), Wish::Pieces(text)) => self.pieces_told(view, text, pieces),
            _ => {}
        }
    }

    /// An answer that left the wish as it was will not be another the next time: it is not asked for again.
    fn asked_in_vain(&mut self, view: ChatView<'_>, wish: Wish, why: Option<String>) {
        if self.display(view).inside_wish().as_ref() == Some(&wish) {
            let why = why.unwrap_or_else(|| "this model does not show it".into());
            self.inside.asking.refuse(wish, format!("not known: {why}"));
        }
    }

    fn pass_opened(&mut self, view: ChatView<'_>, at: TokenCursor, request: &Inspect, seen: Inspected) {
        // What was asked, not what is open by now.
        let own = view.pass(at).is_some_and(|pass| request.ids.len() > pass.ids.len());
        if request.ablations.is_empty() && request.patches.is_empty() {
            return self.keep_seen(view, at, own, seen);
        }
        let tried = self.why.tried.clone();
        self.inside_slot(view, at, own).cards.push((tried, Arc::new(seen)));
        self.trim_kept();
    }

    /// Adds to what is known of a pass.
    pub(crate) fn keep_seen(&mut self, view: ChatView<'_>, at: TokenCursor, own: bool, seen: Inspected) {
        self.set_write_scale(view, &seen);
        merge::merge(Arc::make_mut(&mut self.inside_slot(view, at, own).seen), seen);
        self.trim_kept();
        self.station.unit().pass_opened(self, view);
    }

    /// Where what is known of a pass is kept; the oldest go.
    fn inside_slot(&mut self, view: ChatView<'_>, at: TokenCursor, own: bool) -> &mut InsidePass {
        let model = view.model.hash.clone().unwrap_or_else(|| view.model.name.clone());
        let passes = &mut self.inside.passes;
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
