//! The depths of many passes: colours by layer of decision, and the layers station's grid.
//!
//! Invariants: everything else goes first: a reading gives way to a reply and to what the open station asks, and goes
//! on from what has come; what is on the screen is read before the rest. Nothing is read twice from one model.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::state::{Depths, Grid, Reading, ReadingOf, Settled};
use crate::app::{
    App, Asker, ChatView, Colouring, Confirm, ConfirmAction, Display, Geometry, Inspector, Origin, Outbox,
    Station, TokenCursor, Transcript,
};
use crate::chat::{RunId, Turn, TurnId};
use crate::engine::protocol::{self, Event, FailureKind, Job, Request, RequestId};
use crate::inspect::depth::Depth;
use crate::token::TokenId;

/// Columns of a grid.
const COLUMNS: usize = 16;
/// Of them after the token on display.
const AHEAD: usize = 4;
/// Grids that are kept.
const GRIDS: usize = 16;
/// What a decision takes before it was measured, ms.
const GUESS_MS: f32 = 15.0;
/// From so long on it is asked before, ms.
const ASK_MS: f32 = 3000.0;

/// A stretch of a message whose decisions are not known.
struct Stretch {
    turn: TurnId,
    ids: Vec<TokenId>,
    from: u32,
    places: BTreeMap<u32, usize>,
    run: RunId,
}

impl<'a> Display<'a> {
    /// The layer at which a token was decided, if that is known: `Some(None)` for one that was not the model's first
    /// choice.
    #[expect(clippy::option_option, reason = "not known, and known to be never, are two answers")]
    pub fn decided(&self, at: TokenCursor) -> Option<Option<u32>> {
        let depths = &self.inspector.depths;
        depths.decided.get(&at).copied().or_else(|| {
            let passes = self.inspector.inside.passes.iter().rev();
            let lens = passes
                .filter(|pass| pass.at == at && !pass.own)
                .find_map(|pass| pass.seen.trace.lens.as_ref())?;
            let followed = lens.rows.first()?.followed.first()?.id;
            (self.view.step_at(at)?.id == Some(followed)).then_some(lens.decided)
        })
    }

    /// How deep a token was decided, 1 to 8 eighths of the layers; 0 where it was not the model's first choice.
    pub fn depth_eighths(&self, at: TokenCursor) -> Option<u8> {
        let layers = self.inspector.depths.layers.max(1);
        Some(self.decided(at)?.map_or(0, |layer| ((layer + 1) * 8).div_ceil(layers).min(8) as u8))
    }

    /// The grid that has a column for the token on display, with that column's index.
    pub fn shown_grid(&self) -> Option<(&'a Grid, usize)> {
        let pass = self.view.pass(self.shown_step()?.cursor())?;
        let grids = self.inspector.depths.grids.iter().rev();
        let grid = grids.into_iter().find(|grid| grid.covers(&pass.ids, pass.chosen))?;
        Some((grid, pass.ids.len() - grid.from as usize))
    }

    /// How many tokens of the shown chat could be judged and are not yet.
    fn undecided(&self) -> usize {
        let turns = self.view.shown_turns();
        let turns = turns.iter().filter_map(|turn| self.view.shown_turn(*turn));
        turns.map(|turn| self.open_tokens(turn).len()).sum()
    }

    /// Tokens of a message that could be judged and are not: index, run, and place in what was read.
    fn open_tokens(&self, turn: &Turn) -> Vec<(usize, RunId, usize, TokenId)> {
        let tokens = self.view.turn_tokens(turn);
        let known =
            |index: usize| self.inspector.depths.decided.contains_key(&TokenCursor { turn: turn.id, index });
        let open = tokens.iter().enumerate().filter_map(|(index, token)| {
            let (Origin::Written { run, .. } | Origin::Scored { run, .. }) = token.origin;
            let place = self.view.place_in_context(token).filter(|place| *place > 0)?;
            (!known(index) && self.view.can_read_again(run)).then_some((index, run, place, token.step.id?))
        });
        open.collect()
    }

    /// The first stretch of a message that is to be read: of one run, up to its last token.
    fn stretch(&self, turn: &Turn) -> Option<Stretch> {
        let open = self.open_tokens(turn);
        let &(first, run, from, _) = open.first()?;
        let last = open.iter().rev().find(|token| token.1 == run)?.0;
        let pass = self.view.pass(TokenCursor { turn: turn.id, index: last })?;
        let mut ids = pass.ids.to_vec();
        ids.push(pass.chosen);
        let of_run = open.iter().filter(|token| token.0 >= first && token.1 == run);
        let places = of_run.filter(|(.., place, id)| ids.get(*place) == Some(id));
        let places: BTreeMap<u32, usize> =
            places.map(|(index, _, place, _)| (*place as u32, *index)).collect();
        (!places.is_empty()).then_some(Stretch { turn: turn.id, ids, from: from as u32, places, run })
    }
}

impl Inspector {
    /// Shows the grid of layers over tokens, or the list of layers again.
    pub(crate) fn toggle_grid(&mut self, out: &mut Outbox) {
        let grid = &mut self.depths.shows_grid;
        *grid = !*grid || self.station != Station::Layers;
        let shown = *grid;
        self.depths.failed = None;
        let price = self.depths.price.1;
        out.say(match (shown, price) {
            (false, _) => "the layers of one token".to_owned(),
            (true, Some(ms)) => format!("layers over {COLUMNS} tokens, about {ms:.0} ms each"),
            (true, None) => format!("layers over {COLUMNS} tokens: each is read through every layer"),
        });
    }

    /// The long reading was agreed to.
    pub(crate) fn agree_to_layers(&mut self) {
        self.depths.agreed = true;
    }

    /// The grid that the station shows and is not there, as the text and its first column.
    fn grid_wanted(&self, view: ChatView<'_>) -> Option<(Arc<Vec<TokenId>>, u32)> {
        let depths = &self.depths;
        if !depths.shows_grid || !self.station_open(Station::Layers) {
            return None;
        }
        if matches!(depths.failed, Some((_, None, _))) {
            return None;
        }
        let shown = self.display(view).shown_step().filter(|shown| shown.chat == view.chat.head.id)?;
        let at = shown.cursor();
        view.run_at(at).filter(|run| view.can_read_again(*run))?;
        let pass = view.pass(at)?;
        if let Some((grid, column)) = self.display(view).shown_grid() {
            // One that is still coming stays wanted.
            let coming = grid.tokens.len() < grid.ids.len() - grid.from as usize;
            return (coming || column >= grid.tokens.len()).then(|| (Arc::clone(&grid.ids), grid.from));
        }
        let mut ids = pass.ids.to_vec();
        ids.push(pass.chosen);
        ids.extend((1..=AHEAD).map_while(|by| {
            let next = view.pass(TokenCursor { index: at.index + by, ..at })?;
            (next.run == pass.run && next.ids.len() == pass.ids.len() + by).then_some(next.chosen)
        }));
        let from = ids.len().saturating_sub(COLUMNS).max(1).min(pass.ids.len());
        Some((Arc::new(ids), from as u32))
    }

    fn ask_grid(&mut self, view: ChatView<'_>, out: &mut Outbox, ids: &Arc<Vec<TokenId>>, from: u32) {
        let run = self.display(view).shown_step().and_then(|shown| view.run_at(shown.cursor()));
        let grids = &mut self.depths.grids;
        grids.retain(|grid| (&grid.ids, grid.from) != (ids, from));
        grids.push(Grid { ids: Arc::clone(ids), from, tokens: Vec::new() });
        let surplus = grids.len().saturating_sub(GRIDS);
        grids.drain(..surplus);
        let of = ReadingOf::Grid(Arc::clone(ids), from);
        self.ask_depths(view, out, run, ids_from(ids.to_vec(), from, true), of);
    }

    fn ask_depths(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        run: Option<RunId>,
        request: protocol::Depths,
        of: ReadingOf,
    ) {
        let run = run.and_then(|run| view.runs.get(&run));
        let interventions = run.map(|run| run.interventions.clone()).unwrap_or_default();
        let request = protocol::Depths { interventions, ..request };
        let request = out.requests.ask(Asker::Depths, Request::Job(Job::Depths(Box::new(request))));
        let engine = out.requests.engine();
        self.depths.pending = Some(Reading { engine, request, of, came: 0 });
    }

    fn reads_depths(&self, out: &Outbox, id: RequestId) -> bool {
        let pending = self.depths.pending.as_ref();
        pending.is_some_and(|pending| pending.engine == out.requests.engine() && pending.request == id)
    }
}

/// What is asked of a text from one of its tokens on, under the network as it is.
fn ids_from(ids: Vec<TokenId>, from: u32, cells: bool) -> protocol::Depths {
    protocol::Depths { ids, from, cells, interventions: Vec::new() }
}

impl App {
    /// Colours by layer of decision: says what it takes, or asks where that is long.
    pub(crate) fn colour_by_layer(&mut self) -> String {
        self.inspector.depths.failed = None;
        let count = self.display().undecided();
        let ms = count as f32 * self.inspector.depths.price.0.unwrap_or(GUESS_MS);
        let seconds = format!("{:.0} s", (ms / 1000.0).ceil());
        self.inspector.depths.agreed = ms <= ASK_MS;
        if !self.inspector.depths.agreed {
            let question = format!(
                "To colour by layer of decision the model reads {count} tokens again, about {seconds} beside \
                 everything else. Replies go first, and m ends it. Read them?"
            );
            self.overlays.push(Confirm { question, action: ConfirmAction::ColourByLayer });
        }
        let name = Colouring::Layer.help();
        if count == 0 {
            format!("coloured by layer: {name}")
        } else {
            format!("coloured by layer: {name}; {count} tokens are read again, about {seconds}")
        }
    }
}

impl Inspector {
    /// Brings what is read in line with what is shown.
    pub(crate) fn sync_depths(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        transcript: &Transcript,
        geometry: &Geometry,
    ) {
        self.keep_one_model(view, out);
        let engine = out.requests.engine();
        self.depths.pending.take_if(|pending| pending.engine != engine);
        self.depths.failed.take_if(|(of, ..)| *of != engine);
        let looking = self.looks.asking.pending().is_some();
        let yields = view.run.is_some()
            || view.queued.is_some()
            || self.inside.asking.pending().is_some()
            || looking
            || view.ready().is_none();
        let grid = if yields { None } else { self.grid_wanted(view) };
        let colours =
            !yields && grid.is_none() && transcript.colouring == Colouring::Layer && self.depths.agreed;
        let goes_on = match self.depths.pending.as_ref().map(|pending| &pending.of) {
            Some(ReadingOf::Grid(ids, from)) => {
                let here = |ids_of: &Arc<Vec<TokenId>>, from_of: u32| (ids_of, from_of) == (ids, *from);
                match &grid {
                    Some((ids, from)) => here(ids, *from),
                    // All has come but the word that it is done.
                    None => {
                        !yields
                            && self
                                .display(view)
                                .shown_grid()
                                .is_some_and(|(grid, _)| here(&grid.ids, grid.from))
                    }
                }
            }
            Some(ReadingOf::Colours(..)) => colours,
            None => false,
        };
        if goes_on {
            return;
        }
        if let Some(pending) = self.depths.pending.take() {
            out.requests.give_up(pending.request);
        }
        if let Some((ids, from)) = grid {
            self.ask_grid(view, out, &ids, from);
        } else if colours {
            self.ask_colours(view, out, transcript, geometry);
        }
    }

    /// What was read of another model says nothing of this one.
    fn keep_one_model(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(layers) = view.ready().map(|loaded| loaded.facts.layers) else { return };
        let model = view.model.hash.clone().unwrap_or_else(|| view.model.name.clone());
        let depths = &mut self.depths;
        if depths.model == view.model.name && Some(&depths.model) != view.model.hash.as_ref() {
            // The same file, whose hash is now known.
            depths.model.clone_from(&model);
        }
        if depths.model != model {
            let shows_grid = depths.shows_grid;
            let turns: Vec<TurnId> = depths.decided.keys().map(|at| at.turn).collect();
            let pending = depths.pending.take();
            *depths = Depths { model, shows_grid, pending, agreed: depths.agreed, ..Depths::default() };
            for turn in turns {
                out.touch(turn);
            }
        }
        self.depths.layers = layers;
    }

    fn ask_colours(
        &mut self,
        view: ChatView<'_>,
        out: &mut Outbox,
        transcript: &Transcript,
        geometry: &Geometry,
    ) {
        let engine = out.requests.engine();
        let known = (view.scores.len(), self.depths.decided.len());
        let seen_under = Settled { engine, leaf: view.chat.leaf, special: transcript.special, known };
        if self.depths.settled.as_ref() == Some(&seen_under) {
            return;
        }
        let turns = view.turns_in_order(geometry);
        for turn in turns {
            if self.depths.closed.contains(&(engine, turn)) {
                continue;
            }
            let stretch = view.shown_turn(turn).and_then(|turn| self.display(view).stretch(turn));
            let Some(stretch) = stretch else { continue };
            let Stretch { turn, ids, from, places, run } = stretch;
            self.ask_depths(
                view,
                out,
                Some(run),
                ids_from(ids, from, false),
                ReadingOf::Colours(turn, places),
            );
            return;
        }
        self.depths.settled = Some(seen_under);
    }

    /// The engine answered a reading.
    pub(crate) fn depths_event(&mut self, out: &mut Outbox, id: RequestId, event: Event) {
        if !self.reads_depths(out, id) {
            return;
        }
        match event {
            Event::Depths { first, tokens } => self.depths_came(out, first, tokens),
            Event::DepthsDone { ms, .. } => {
                let Some(done) = self.depths.pending.take() else { return };
                let price = ms / done.came.max(1) as f32;
                match done.of {
                    ReadingOf::Colours(turn, _) if done.came == 0 => {
                        self.depths.closed.insert((done.engine, turn));
                    }
                    ReadingOf::Colours(..) => self.depths.price.0 = Some(price),
                    ReadingOf::Grid(..) => self.depths.price.1 = Some(price),
                }
            }
            Event::Failed(failure) => {
                let Some(failed) = self.depths.pending.take() else { return };
                if failure.kind == FailureKind::Cancelled {
                    return;
                }
                let turn = match failed.of {
                    ReadingOf::Colours(turn, _) => Some(turn),
                    ReadingOf::Grid(..) => None,
                };
                if let Some(turn) = turn {
                    self.depths.closed.insert((failed.engine, turn));
                    out.warn(format!("not coloured: {}", failure.message));
                }
                self.depths.failed = Some((failed.engine, turn, failure.message));
            }
            _ => {}
        }
    }

    fn depths_came(&mut self, out: &mut Outbox, first: u32, tokens: Vec<Depth>) {
        let depths = &mut self.depths;
        let Some(pending) = &mut depths.pending else { return };
        pending.came += tokens.len() as u32;
        match &pending.of {
            ReadingOf::Grid(ids, from) => {
                let grid = depths.grids.iter_mut().find(|grid| grid.ids == *ids && grid.from == *from);
                if let Some(grid) =
                    grid.filter(|grid| grid.from as usize + grid.tokens.len() == first as usize)
                {
                    grid.tokens.extend(tokens);
                }
            }
            ReadingOf::Colours(turn, places) => {
                let turn = *turn;
                for (place, token) in (first..).zip(tokens) {
                    if let Some(index) = places.get(&place) {
                        depths.decided.insert(TokenCursor { turn, index: *index }, token.decided);
                    }
                }
                out.touch(turn);
            }
        }
    }
}

impl ChatView<'_> {
    /// The shown messages, those on the screen first, then from the newest back.
    fn turns_in_order(&self, geometry: &Geometry) -> Vec<TurnId> {
        let mut order: Vec<TurnId> = geometry.turns.iter().map(|(turn, _)| *turn).collect();
        order.extend(self.shown_turns().into_iter().rev());
        let mut seen = std::collections::BTreeSet::new();
        order.retain(|turn| seen.insert(*turn));
        order
    }
}

impl Display<'_> {
    /// Why the grid is not there, in words.
    pub fn grid_missing(&self) -> Option<String> {
        if let Some(why) = self.closed() {
            return Some(why);
        }
        match &self.inspector.depths.failed {
            Some((_, None, why)) => Some(why.clone()),
            _ if self.view.run.is_some() => Some("it is read when the reply is done".into()),
            _ => self.inside_missing(),
        }
    }
}
