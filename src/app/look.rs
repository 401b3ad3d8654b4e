//! Looking at the shown token closer than its step was kept: the pass is read again, the stages are recorded.
//!
//! Invariant: asked only for what an open station shows; the newest wish cancels the one before, and a reply
//! goes before any.

use std::sync::Arc;

use super::missing::NOT_STORED;
use super::requests::Answer;
use super::{ChatView, Display, Inspector, LiveStep, LookAt, LookedAt, Origin, Outbox, Station, TokenCursor};
use crate::chat::Run;
use crate::engine::protocol::{
    Capability, CapturePlan, ChainSetup, Event, Immediate, Job, Replay, Request, RequestId,
};
use crate::inspect::chain::{self, Input, Outcome};
use crate::inspect::distribution::Distribution;
use crate::inspect::stages::{SamplerTrace, StageName, TraceSource};
use crate::sampling::{Sampling, Stage};
use crate::token::{Step, TokenId};

/// The likeliest tokens that a record of the stages lists.
pub(crate) const LISTED: u32 = 20;

/// The chain's way through what a step keeps, where that determines every column. `recent` is what had been
/// read; without it settings that look back have no answer.
pub(crate) fn stored_trace(
    step: &Step,
    run: &Run,
    vocabulary: usize,
    index: u32,
    recent: Option<&[TokenId]>,
    biases: &[(TokenId, f32)],
) -> Option<SamplerTrace> {
    // The server's own stages are in such odds already.
    if run.odds().are_sampled() || (recent.is_none() && looks_back(&run.sampling)) {
        return None;
    }
    if vocabulary == 0 {
        return trace_of_told(step, &run.sampling, index, biases);
    }
    let mut input = Input::kept(step, vocabulary, recent.unwrap_or_default())?;
    input.index = index;
    input.biases = biases;
    match chain::run(&input, &run.sampling) {
        Outcome::Exact(trace) => Some(*trace),
        Outcome::NotDetermined(_) => None,
    }
}

/// The chain among the candidates that a server told: the model's column is of the whole vocabulary, the stages' columns
/// are of these candidates alone.
fn trace_of_told(
    step: &Step,
    sampling: &Sampling,
    index: u32,
    biases: &[(TokenId, f32)],
) -> Option<SamplerTrace> {
    let mut input =
        Input::kept(step, 0, &[]).filter(|input| input.tokens.iter().all(|one| !one.1.is_nan()))?;
    (input.index, input.biases, input.source) = (index, biases, TraceSource::Came);
    let Outcome::Exact(trace) = chain::run(&input, sampling) else { return None };
    let told =
        |id: &TokenId| input.tokens.iter().find(|one| one.0 == *id).map_or(f32::NAN, |one| one.1.exp());
    Some(SamplerTrace {
        model: trace.tokens.iter().map(told).collect(),
        entropy: f32::NAN,
        u: None,
        interval: None,
        ..*trace
    })
}

/// Whether some stage of these settings needs what was read before.
pub(crate) fn looks_back(sampling: &Sampling) -> bool {
    let back = [Stage::Penalties, Stage::Dry].map(StageName::Chain);
    chain::active(sampling, false).iter().any(|stage| back.contains(stage))
}

impl Inspector {
    /// Whether a station is on the screen.
    pub fn station_open(&self, station: Station) -> bool {
        self.shown && self.station == station
    }

    /// Whether a watched token's figures are not in the shown step.
    pub(crate) fn watches_unlisted(&self, shown: &LiveStep) -> bool {
        let told = self.looks.record(shown.cursor()).map(|record| record.watched.as_slice());
        let told = told.unwrap_or_default();
        let known = |id: TokenId| {
            shown
                .step
                .candidates
                .iter()
                .chain(told.iter().map(|(candidate, _)| candidate))
                .any(|c| c.id == id)
        };
        self.watch.iter().any(|watched| !known(watched.id))
    }

    /// Probability and rank of a token at a shown step, where known.
    fn odds_of(&self, shown: &LiveStep, id: TokenId) -> Option<(f32, Option<u32>)> {
        let looks = &self.looks;
        if let Some(whole) = looks.pass(shown.cursor()).and_then(|pass| pass.distribution.as_ref()) {
            return Some((whole.logprob(id)?.exp(), Some(whole.rank(id)?)));
        }
        let place = shown.step.candidates.iter().position(|candidate| candidate.id == id);
        let among = place.map(|place| place as u32 + 1);
        let told = looks.record(shown.cursor()).map(|record| record.watched.as_slice()).unwrap_or_default();
        if let Some((candidate, rank)) = told.iter().find(|(candidate, _)| candidate.id == id) {
            return Some((candidate.logprob.exp(), Some(*rank).filter(|rank| *rank > 0).or(among)));
        }
        Some((shown.step.candidates[place?].logprob.exp(), among))
    }
}

impl<'a> Display<'a> {
    /// The whole distribution that the shown token was chosen from, if it is at hand.
    pub fn shown_distribution(&self) -> Option<&'a Arc<Distribution>> {
        self.inspector.looks.pass(self.shown_step()?.cursor())?.distribution.as_ref()
    }

    /// The samplers' work on the shown token: as recorded, as read again, or from its kept candidates.
    pub fn shown_trace(&self) -> Option<Arc<SamplerTrace>> {
        let shown = self.shown_step()?;
        let at = shown.cursor();
        let looks = &self.inspector.looks;
        let recorded = looks.record(at).and_then(|record| record.trace.as_ref());
        let known = recorded.or_else(|| looks.pass(at).and_then(|pass| pass.trace.as_ref()));
        known.cloned().or_else(|| self.view.trace_of_candidates(shown).map(Arc::new))
    }

    /// Why the shown token has no more figures than its step, in one line; `None` where nothing is missing.
    pub fn look_missing(&self) -> Option<String> {
        let at = self.shown_step()?.cursor();
        if self.inspector.looks.pass(at).is_some() {
            return None;
        }
        if let Some(why) = self.view.lacking(Capability::Replay) {
            return Some(why);
        }
        let waits = || self.view.run.is_some().then(|| "it is read again when the reply is done".to_owned());
        let status = || self.inspector.looks.asking.status(&LookAt(at)).sentence("the model reads it again");
        self.view.why_unreadable(at).or_else(waits).or_else(status)
    }
}

impl ChatView<'_> {
    fn trace_of_candidates(&self, shown: &LiveStep) -> Option<SamplerTrace> {
        let Origin::Written { run, index } = self.origin(shown.cursor())? else { return None };
        let run = self.runs.get(&run).filter(|run| index >= run.taken as usize)?;
        let vocabulary = self.vocabularies.get(shown.vocabulary.as_ref()?)?;
        let pass = looks_back(&run.sampling).then(|| self.pass(shown.cursor())).flatten();
        let recent = pass.as_ref().map(|pass| chain::looked_back(&pass.ids, &run.sampling, vocabulary));
        let biases = chain::biases(&run.sampling, vocabulary);
        stored_trace(&shown.step, run, vocabulary.len(), index as u32, recent.as_deref(), &biases)
    }

    fn look_of(&self, at: TokenCursor) -> Option<Replay> {
        let run = self.run_at(at).filter(|run| self.can_read_again(*run))?;
        let pass = self.pass(at)?;
        let run = self.runs.get(&run)?;
        let replay = ChainSetup {
            sampling: run.sampling.clone(),
            seed: run.seed,
            prompt: pass.prompt as u32,
            taken: run.taken,
            begun: self.begun(at.turn, run.id),
            drawn: pass.chosen,
            list: LISTED,
        };
        Some(Replay {
            ids: pass.ids.to_vec(),
            interventions: run.interventions.clone(),
            logits: true,
            chain: pass.drawn.then(|| Box::new(replay)),
        })
    }
}

impl Display<'_> {
    /// The token to read again, if the open station needs more than is there.
    fn look_wanted(&self) -> Option<TokenCursor> {
        let shown = self.shown_step().filter(|shown| shown.chat == self.view.chat.head.id)?;
        let at = shown.cursor();
        let free = self.view.run.is_none() && self.view.ready().is_some();
        if !free || self.view.lacking(Capability::Replay).is_some() || self.inspector.looks.pass(at).is_some()
        {
            return None;
        }
        let needed = self.inspector.station.unit().wants_replay(self, shown);
        (self.inspector.shown && needed && self.view.can_read_token_again(at)).then_some(at)
    }

    /// What the open station wants recorded.
    fn capture_plan(&self) -> CapturePlan {
        let mut plan = CapturePlan { baseline: self.view.chat.settings.twin, ..CapturePlan::default() };
        if self.inspector.shown {
            self.inspector.station.unit().records(self, &mut plan);
        }
        plan.inside = self.live_wanted();
        // Nothing is asked for that the engine has not.
        if self.view.lacking(Capability::Stages).is_some() {
            plan.stages = 0;
        }
        if self.view.lacking(Capability::Watches).is_some() {
            plan.watch.clear();
        }
        plan.baseline &= self.view.lacking(Capability::Changes).is_none();
        plan
    }
}

impl Inspector {
    /// Brings what is asked of the engine in line with what is shown.
    pub(crate) fn sync_look(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        self.plan_capture(view, out);
        let wanted = self.display(view).look_wanted().map(LookAt);
        self.looks.asking.follow(wanted, &mut out.requests, |at| {
            let look = view.look_of(at.0).ok_or(NOT_STORED)?;
            Ok(Request::Job(Job::Replay(Box::new(look))))
        });
        self.find_matching(view);
        self.sync_sandbox(view);
    }

    /// Tells the engine what the open station wants recorded, when that has changed.
    fn plan_capture(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if view.ready().is_none() {
            return;
        }
        let plan = self.display(view).capture_plan();
        let given = self.looks.plan.as_ref().filter(|(engine, _)| *engine == out.requests.engine());
        let unchanged = given.map_or_else(|| plan == CapturePlan::default(), |(_, given)| *given == plan);
        if !unchanged {
            self.looks.plan = Some((out.requests.engine(), plan.clone()));
            self.price_ms = None;
            out.requests.tell(Request::Immediate(Immediate::SetCapture(plan)));
        }
    }
}

impl Inspector {
    /// A pass was read again.
    pub(crate) fn look_event(&mut self, view: ChatView<'_>, id: RequestId, event: Event) {
        let answer = self.looks.asking.event(id, event);
        let Some(Answer::Whole(LookAt(at), Event::Replayed(looked))) = answer else { return };
        let written = view.step_at(at).and_then(|step| step.id);
        let of_draw = |trace: Box<SamplerTrace>| match written {
            Some(id) => trace.of_draw(id),
            None => *trace,
        };
        let pass = LookedAt {
            distribution: Distribution::new(looked.unpack()).map(Arc::new),
            trace: looked.stages.clone().map(of_draw).map(Arc::new),
            ms: looked.ms,
        };
        self.looks.keep_pass(at, pass);
        self.trim_kept();
        self.fill_watch(view);
    }

    /// Works out what the watch list says of the shown step.
    pub(crate) fn fill_watch(&mut self, view: ChatView<'_>) {
        let figures: Vec<Option<(f32, Option<u32>)>> = match self.display(view).shown_step() {
            Some(shown) => self.watch.iter().map(|watched| self.odds_of(shown, watched.id)).collect(),
            None => vec![None; self.watch.len()],
        };
        for (watched, figures) in self.watch.iter_mut().zip(figures) {
            watched.now = figures.map(|(probability, _)| probability);
            watched.rank = figures.and_then(|(_, rank)| rank);
            watched.peak = watched.peak.max(watched.now.unwrap_or_default());
        }
    }
}
