//! Scores of typed text: what the model thought of the user's words and of the system prompt.
//!
//! Invariants: a text is asked for once for a load of a model, never while a reply is written or waited for, and gives
//! way when one is asked for; what the store holds is read before anything is asked of the engine.

pub(crate) mod align;

pub(crate) use align::align;

use std::collections::{BTreeMap, BTreeSet};

use crate::app::requests::Answer;
use crate::app::view::With;
use crate::app::{
    Asker, ChatView, Colouring, EngineId, Outbox, Query, Question, Talk, Transcript, TurnScore,
};
use crate::chat::{ConversationId, Role, RunId, Span, Turn, TurnId};
use crate::engine::protocol::{Capability, Event, Job, Request, RequestId, Score};
use crate::store;
use crate::token::{Step, with_blanks};
use align::Place;

/// What was asked, and what for.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    /// The chat and the model whose kept scores are in [`crate::app::Talk::scores`] or on their way.
    of: Option<(ConversationId, String)>,
    /// Whether they have come.
    read: bool,
    /// The texts that are being scored.
    reading: Query<Batch>,
    /// What has come of them.
    under_way: Option<UnderWay>,
    /// What the engine has told all of, or cannot tell.
    asked: BTreeSet<(TurnId, String)>,
    /// What things were like when it was last worked out what is to be asked.
    seen_under: Option<Circumstances>,
}

/// Texts that are scored together.
#[derive(Clone, Debug, PartialEq)]
struct Batch {
    run: RunId,
    turns: Vec<TurnId>,
}

impl Question for Batch {
    const ASKER: Asker = Asker::Scores;
}

/// What has come of the texts that are being scored.
#[derive(Debug)]
struct UnderWay {
    chat: ConversationId,
    run: RunId,
    model: String,
    /// Index of the first token that is scored.
    from: usize,
    /// The texts that wait, each with its tokens.
    waiting: Vec<(TurnId, Vec<Place>)>,
    /// What has come.
    steps: Vec<Step>,
}

/// All that decides about what is to be asked. While it stays the same there is nothing to work out.
#[derive(Clone, Debug, PartialEq)]
struct Circumstances {
    chat: (ConversationId, Option<TurnId>, usize),
    engine: (EngineId, bool, bool),
    busy: (bool, bool, bool),
    read: bool,
    known: (usize, usize),
    seeking: Option<TurnId>,
    system: Option<u64>,
}

impl ChatView<'_> {
    /// The id under which the shown chat's system prompt is scored; no turn has a negative one.
    pub(crate) fn system_id(&self) -> TurnId {
        TurnId(-self.chat.head.id.0)
    }

    pub(crate) fn system_text(&self) -> String {
        match self.config.model_named(&self.model.name) {
            Some(entry) => self.config.system_for(&entry, &self.chat.settings),
            None => self.chat.settings.system.clone().unwrap_or_default(),
        }
    }

    /// The newest run of the shown branch whose prompt is known, and the messages before its reply.
    fn scored_run(&self) -> Option<(RunId, Vec<TurnId>)> {
        let branch = self.chat.branch();
        let (at, run) = branch.iter().enumerate().rev().find_map(|(at, turn)| {
            let runs = turn.spans.iter().rev().filter_map(crate::app::inspector::run_of);
            let known = |run: &RunId| self.runs.get(run).is_some_and(|run| run.prompt_len() > 0);
            Some((at, runs.into_iter().find(known)?))
        })?;
        Some((run, branch[..at].iter().map(|turn| turn.id).collect()))
    }
}

impl Transcript {
    /// Shows or hides tokens without text of their own and the system prompt.
    pub(crate) fn toggle_special(&mut self, out: &mut Outbox) {
        self.special = !self.special;
        out.say(if self.special { "special tokens are shown" } else { "special tokens are hidden" });
    }
}

impl Talk {
    /// Keeps [`crate::app::Talk::system`] what the chat's settings say.
    fn sync_system(&mut self, with: With<'_>, out: &mut Outbox, transcript: &mut Transcript) {
        if !transcript.special {
            self.system = None;
            return;
        }
        let text = self.view(with).system_text();
        let id = self.view(with).system_id();
        let same = |turn: &Turn| {
            turn.id == id
                && matches!(turn.spans.as_slice(), [Span::Written { text: shown }] if *shown == text)
        };
        if text.is_empty() {
            self.system = None;
        } else if !self.system.as_ref().is_some_and(same) {
            if self.scores.get(&id).is_some_and(|score| !fits(text.as_bytes(), &score.tokens)) {
                self.scores.remove(&id);
                self.scoring.asked.retain(|(turn, _)| *turn != id);
            }
            out.touch(id);
            self.system = Some(Turn {
                spans: vec![Span::Written { text }],
                ..Turn::new(id, None, Role::System, self.chat.head.created_ms)
            });
        }
    }

    /// Asks for the scores that are wanted and missing, when they can be had.
    pub(crate) fn sync_scores(&mut self, with: With<'_>, out: &mut Outbox, transcript: &mut Transcript) {
        self.sync_system(with, out, transcript);
        if transcript.colouring == Colouring::Off && transcript.seeking.is_none() {
            return;
        }
        self.scoring.reading.forget_gone(&out.requests);
        let seen_under = self.circumstances(with, out, transcript);
        if self.scoring.seen_under.as_ref() == Some(&seen_under) {
            return;
        }
        self.scoring.seen_under = Some(seen_under);
        if let Err(why) = self.ask_scores(with, out, transcript)
            && let Some(sought) = transcript.seeking
            && self.view(with).shown_turn(sought).is_some()
        {
            out.say(why);
        }
    }

    fn circumstances(&self, with: With<'_>, out: &Outbox, transcript: &Transcript) -> Circumstances {
        let system = self.system.as_ref().and_then(|turn| out.revisions.get(&turn.id).copied());
        Circumstances {
            chat: (self.chat.head.id, self.chat.leaf, self.chat.turns.len()),
            engine: (out.requests.engine(), self.view(with).ready().is_some(), with.model.hash.is_some()),
            busy: (self.run.is_some(), self.queued.is_some(), self.scoring.reading.pending().is_some()),
            read: self.scoring.read,
            known: (self.runs.len(), self.vocabularies.len()),
            seeking: transcript.seeking,
            system,
        }
    }

    /// Asks store or engine; an error says, for the user, why the sought message's tokens are not there yet.
    fn ask_scores(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        transcript: &mut Transcript,
    ) -> Result<(), String> {
        let Some((run, before)) = self.view(with).scored_run() else {
            return Err("its tokens are known once a reply was written here".into());
        };
        let model =
            self.runs.get(&run).map(|run| run.model_hash.clone().unwrap_or_else(|| run.model.clone()));
        let Some(model) = model else { return Ok(()) };
        let of = (self.chat.head.id, model.clone());
        if self.scoring.of.as_ref() != Some(&of) {
            self.scoring.reading.give_up(&mut out.requests);
            self.clear_scores(out, transcript);
            self.scoring.of = Some(of);
            self.scoring.read = false;
            out.store(store::Command::Scores(self.chat.head.id));
            return Ok(());
        }
        if !self.scoring.read {
            return Ok(());
        }
        if let Some(why) = self.view(with).lacking(Capability::Scores) {
            return Err(why);
        }
        if self.run.is_some() || self.queued.is_some() {
            return Err("read when the reply is done".into());
        }
        if self.scoring.reading.pending().is_some() {
            return Err("the model reads the words again".into());
        }
        if !self.view(with).can_read_again(run) {
            let made_by =
                self.runs.get(&run).map(|run| with.config.model_title(&run.model)).unwrap_or_default();
            return Err(format!("only {made_by} can say what it thought of this; Ctrl+L loads it"));
        }
        if self.ask_engine(with, out, run, &model, &before) {
            Ok(())
        } else {
            Err("the model has not read this message".into())
        }
    }

    /// Asks the engine for the texts that have no scores; says whether there was anything to ask.
    fn ask_engine(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        run: RunId,
        model: &str,
        before: &[TurnId],
    ) -> bool {
        let Some((ids, interventions)) =
            self.view(with).prompt_of(run).zip(self.runs.get(&run).map(|run| run.interventions.clone()))
        else {
            return false;
        };
        let vocabulary = self.runs.get(&run).and_then(|run| run.vocabulary.as_ref());
        let Some(vocabulary) = vocabulary.and_then(|hash| self.vocabularies.get(hash)) else {
            return false;
        };
        let system = self.system.as_ref().map(|turn| turn.id);
        let turns: Vec<&Turn> =
            system.iter().chain(before).filter_map(|id| self.view(with).shown_turn(*id)).collect();
        let missing = |turn: &Turn| {
            matches!(turn.spans.as_slice(), [Span::Written { .. }])
                && !self.scores.contains_key(&turn.id)
                && !self.scoring.asked.contains(&(turn.id, model.to_owned()))
        };
        if !turns.iter().any(|turn| missing(turn)) {
            return false;
        }
        let texts: Vec<Vec<u8>> = turns.iter().map(|turn| self.chat.bytes(turn)).collect();
        let batch =
            Batch { run, turns: turns.iter().filter(|turn| missing(turn)).map(|turn| turn.id).collect() };
        if self.scoring.reading.refusal(&batch).is_some() {
            return false;
        }
        let places = align(&ids, vocabulary, &texts);
        let found = turns.iter().zip(places).filter(|(turn, _)| missing(turn));
        let all: Vec<(TurnId, Vec<Place>)> = found.map(|(turn, places)| (turn.id, places)).collect();
        // A text's first token has no probability.
        let waiting: Vec<(TurnId, Vec<Place>)> = all
            .into_iter()
            .map(|(turn, places)| (turn, places.into_iter().filter(|place| place.2 > 0).collect::<Vec<_>>()))
            .filter(|(_, places)| !places.is_empty())
            .collect();
        let indices = || waiting.iter().flat_map(|(_, places)| places.iter().map(|place| place.2));
        let (Some(from), Some(last)) = (indices().min(), indices().max()) else {
            self.close_scores(&batch.turns, model);
            return false;
        };
        let request = Score {
            ids: ids[..=last].to_vec(),
            from: from as u32,
            top_logprobs: with.config.inspector.candidates,
            interventions,
        };
        let id = out.requests.ask(Batch::ASKER, Request::Job(Job::Score(Box::new(request))));
        self.scoring.reading.asked(batch, id);
        let (chat, model) = (self.chat.head.id, model.to_owned());
        self.scoring.under_way = Some(UnderWay { chat, run, model, from, waiting, steps: Vec::new() });
        true
    }

    /// Nothing more can be known of texts from this model.
    fn close_scores(&mut self, turns: &[TurnId], model: &str) {
        self.scoring.asked.extend(turns.iter().map(|turn| (*turn, model.to_owned())));
    }

    /// The engine answers.
    pub(crate) fn score_event(&mut self, out: &mut Outbox, id: RequestId, event: Event) {
        match self.scoring.reading.event(id, event) {
            Some(Answer::Part(_, Event::Scores { first, steps })) => {
                self.scores_came(out, first as usize, steps);
            }
            Some(Answer::Refused(_, why)) => out.warn(format!("typed text could not be scored: {why}")),
            Some(Answer::Whole(batch, _)) => {
                if let Some(under_way) = self.scoring.under_way.take() {
                    self.close_scores(&batch.turns, &under_way.model);
                }
            }
            _ => {}
        }
    }

    fn scores_came(&mut self, out: &mut Outbox, first: usize, steps: Vec<Step>) {
        let Some(under_way) = &mut self.scoring.under_way else { return };
        if first != under_way.from + under_way.steps.len() {
            return;
        }
        under_way.steps.extend(steps);
        let (from, known) = (under_way.from, under_way.from + under_way.steps.len());
        let complete =
            |(_, places): &(TurnId, Vec<Place>)| places.last().is_some_and(|place| place.2 < known);
        let (complete, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut under_way.waiting).into_iter().partition(complete);
        under_way.waiting = waiting;
        let (chat, run, model) = (under_way.chat, under_way.run, under_way.model.clone());
        let steps = &under_way.steps;
        let token = |(start, end, index): Place| (start, end, index, steps[index - from].clone());
        let scored: Vec<(TurnId, TurnScore)> = complete
            .into_iter()
            .map(|(turn, places)| (turn, TurnScore { run, tokens: places.into_iter().map(token).collect() }))
            .collect();
        for (turn, score) in scored {
            if !out.keeps_nothing_of(chat) {
                let steps: Vec<Step> = score.tokens.iter().map(|(_, _, _, step)| step.clone()).collect();
                self.put_words(out, run, &steps);
            }
            let kept = store::Scores { turn, model: model.clone(), run, tokens: score.tokens.clone() };
            out.store(store::Command::PutScores(chat, Box::new(kept)));
            self.scores.insert(turn, score);
            out.touch(turn);
        }
    }

    /// The store gives what it holds of a chat.
    pub(crate) fn scores_read(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        chat: ConversationId,
        kept: Vec<store::Scores>,
    ) {
        let Some((_, model)) = self.scoring.of.clone().filter(|(of, _)| *of == chat) else { return };
        self.scoring.read = true;
        for scores in kept.into_iter().filter(|scores| scores.model == model) {
            let turn = scores.turn;
            // A system prompt may be another one by now.
            if turn == self.view(with).system_id()
                && !fits(self.view(with).system_text().as_bytes(), &scores.tokens)
            {
                continue;
            }
            self.scores.entry(turn).or_insert(TurnScore { run: scores.run, tokens: scores.tokens });
            out.touch(turn);
        }
    }

    /// The chat is left.
    pub(crate) fn leave_scores(&mut self, out: &mut Outbox) {
        self.scoring.reading.give_up(&mut out.requests);
        self.scores = BTreeMap::new();
        self.system = None;
        self.scoring = Asking::default();
    }

    fn clear_scores(&mut self, out: &mut Outbox, transcript: &mut Transcript) {
        for turn in std::mem::take(&mut self.scores).into_keys() {
            out.touch(turn);
            if transcript.cursor.is_some_and(|at| at.turn == turn) {
                transcript.cursor = None;
                transcript.seeking = Some(turn);
            }
        }
    }
}

/// Whether scored tokens are those of a text: in its bounds, and of its bytes.
fn fits(text: &[u8], tokens: &[(usize, usize, usize, Step)]) -> bool {
    let holds = |bytes: &[u8], part: &[u8]| part.is_empty() || bytes.windows(part.len()).any(|it| it == part);
    let is_part = |(start, end, _, step): &(usize, usize, usize, Step)| {
        text.get(*start..*end)
            .is_some_and(|part| holds(&step.bytes, part) || holds(&step.bytes, &with_blanks(part).0))
    };
    let covered: usize = tokens.iter().map(|(start, end, ..)| end.saturating_sub(*start)).sum();
    covered >= text.trim_ascii().len() && tokens.iter().all(is_part)
}
