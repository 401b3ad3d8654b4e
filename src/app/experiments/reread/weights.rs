//! What each sentence of the prompt weighs: the reply read again with one left out at a time.
//!
//! Invariant: it goes on in the background and one pass at a time; the reply, the stations and whatever else is asked
//! of the model go first.

use std::sync::Arc;

use super::sentences::{sentences, without};
use super::{Changed, GONE, ink_step};
use crate::app::requests::Answer;
use crate::app::state::ReadWithout;
use crate::app::transcript::cursor::Move;
use crate::app::transcript::scores::align;
use crate::app::view::With;
use crate::app::{App, ChatView, Outbox, Part, Query, Scroll, Talk, Transcript, Weights, WeightsPanel};
use crate::chat::{Role, Turn, TurnId};
use crate::engine::protocol::{Event, Job, Message, Request, RequestId, Rescore, Rescored, StoredTokens};

/// Bytes of a token, about, where the prompt's own are not known.
const BYTES_PER_TOKEN: usize = 4;

impl Weights {
    /// The next pass.
    pub(super) fn wanted(&self, view: ChatView<'_>) -> Option<ReadWithout> {
        (self.started && view.foreign([self.reply]).is_none()).then(|| self.next())?
    }

    /// Why they are not worked out, in one line.
    pub fn missing(&self, view: ChatView<'_>) -> Option<String> {
        let next = self.next()?;
        self.reading.refusal(&next).map(str::to_owned).or_else(|| view.foreign([self.reply]))
    }

    /// Brings what is asked in line with what is wanted.
    pub(super) fn sync(&mut self, talk: &Talk, with: With<'_>, out: &mut Outbox, idle: bool) {
        let wanted = self.wanted(talk.view(with)).filter(|_| idle);
        let mut reading = std::mem::take(&mut self.reading);
        reading.follow(wanted, &mut out.requests, |part| {
            Ok(Request::Job(Job::Rescore(Box::new(self.reread(talk, with, *part).ok_or(GONE)?))))
        });
        self.reading = reading;
    }

    /// The token of the reply that the list is about; `None` for the whole reply.
    pub fn token(&self, transcript: &Transcript) -> Option<usize> {
        transcript.cursor.filter(|at| at.turn == self.reply).map(|at| at.index)
    }

    /// Whether the weighed sentences of the system prompt are no longer its own.
    pub(super) fn system_was_changed(&self, view: ChatView<'_>) -> bool {
        let id = view.system_id();
        let mut parts = self.parts.iter().filter(|part| part.turn == id).peekable();
        if parts.peek().is_none() {
            return false;
        }
        let text = view.system_text();
        parts.any(|part| !text.get(part.cut.clone()).is_some_and(|cut| cut.contains(&part.text)))
    }

    fn reread(&self, talk: &Talk, with: With<'_>, ReadWithout(part): ReadWithout) -> Option<Rescore> {
        let view = talk.view(with);
        let Some(at) = part else { return talk.reread_of(with, self.reply, None) };
        let part = self.parts.get(at)?;
        let text = if part.turn == view.system_id() { view.system_text() } else { view.turn_text(part.turn) };
        if part.cut.end > text.len() {
            return None;
        }
        let stored = view.chat.turn(part.turn).and_then(|turn| view.kept_tokens(turn, part));
        let changed = Changed { turn: part.turn, text: &without(&text, &part.cut), stored };
        talk.reread_of(with, self.reply, Some(&changed))
    }

    fn part_read(&mut self, part: Option<usize>, scored: &Arc<Rescored>) {
        self.spent.0 += u64::from(scored.decoded);
        self.spent.1 += f64::from(scored.ms);
        self.displaced = self.displaced.max(scored.displaced);
        match part {
            None => self.whole = Some(Arc::clone(scored)),
            Some(at) => {
                if let Some(part) = self.parts.get_mut(at) {
                    part.without = Some(Arc::new(scored.steps.iter().map(|step| step.logprob).collect()));
                }
            }
        }
        if self.is_done() {
            self.selected = 0;
        }
    }

    pub(super) fn ink(&self, turn: TurnId, token: Option<usize>) -> Vec<(usize, usize, i8)> {
        let a_step = if token.is_some() { 1 } else { 4 };
        let parts = self.parts.iter().filter(|part| part.turn == turn);
        let inked = parts.filter_map(|part| {
            let bits = self.bits(part, token)?;
            Some((part.cut.start, part.cut.end, ink_step(bits, a_step)))
        });
        inked.collect()
    }
}

impl App {
    /// `W`: opens the weights of the selected reply, else of the last one.
    pub(crate) fn open_weights(&mut self) {
        let branch = self.talk.chat.branch();
        let selected = self.transcript.selected.and_then(|id| branch.iter().find(|turn| turn.id == id));
        let reply = selected.filter(|turn| turn.role == Role::Assistant);
        let reply = reply.or_else(|| branch.iter().rev().find(|turn| turn.role == Role::Assistant));
        let Some(reply) = reply else {
            return self.out.say("there is no reply yet");
        };
        if let Err(why) = self.view().can_reread(reply) {
            return self.out.say(why);
        }
        let id = reply.id;
        if self.weights.as_ref().is_none_or(|weights| weights.reply != id) {
            self.weights = Some(Box::new(self.view().weights_of(id, false)));
        }
        if self.overlays.top::<WeightsPanel>().is_none() {
            self.overlays.push(WeightsPanel);
        }
        self.transcript.selected = Some(id);
    }

    /// The engine answers.
    pub(crate) fn weights_event(&mut self, id: RequestId, event: Event) {
        let Some(weights) = &mut self.weights else { return };
        let told = weights.displaced > 0;
        if let Some(Answer::Whole(ReadWithout(part), Event::Rescored(scored))) =
            weights.reading.event(id, event)
        {
            self.out.say_displaced(&scored, told);
            weights.part_read(part, &Arc::from(scored));
            if weights.is_done() && self.overlays.top::<WeightsPanel>().is_none() {
                self.out.say("every sentence of the prompt is weighed; /weights shows it");
            }
        }
    }

    /// Stops the reading and forgets it.
    pub(crate) fn drop_weights(&mut self) {
        self.weights = None;
        self.overlays.remove::<WeightsPanel>();
    }

    /// The weights are closed; what is under way goes on.
    pub(crate) fn close_weights(&mut self) {
        let Some(weights) = &self.weights else { return };
        if !weights.started {
            self.weights = None;
        } else if !weights.is_done() && weights.missing(self.view()).is_none() {
            self.out.say("the sentences are weighed in the background; /weights shows them");
        }
    }

    /// Moves over the reply's tokens; before the first one stands the whole reply.
    pub(in crate::app) fn move_weighed(&mut self, how: Move) {
        let Some(weights) = &self.weights else { return };
        let (reply, token) = (weights.reply, weights.token(&self.transcript));
        let back = matches!(how, Move::Previous | Move::PreviousWord);
        if back && token.is_none_or(|index| index == 0) {
            return self.transcript.leave_cursor();
        }
        self.transcript.selected = Some(reply);
        self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, how);
    }

    /// Selects another row and brings its sentence into view.
    pub(in crate::app) fn select_part(&mut self, to: impl FnOnce(usize) -> usize) {
        let Some(weights) = &mut self.weights else { return };
        weights.selected = to(weights.selected);
        let ranked = weights.ranked(weights.token(&self.transcript));
        let Some(part) = ranked.get(weights.selected).and_then(|(at, _)| weights.parts.get(*at)) else {
            return;
        };
        if self.talk.chat.turn(part.turn).is_some() {
            self.transcript.scroll = Scroll::Anchor { turn: part.turn, row: part.cut.start + 1, moved: -3 };
        }
    }

    /// Lays the selected sentence's absence out as an edit on trial, to be changed further.
    pub(in crate::app) fn try_without_selected(&mut self) {
        let Some(weights) = &self.weights else { return };
        let ranked = weights.ranked(weights.token(&self.transcript));
        let Some(part) = ranked.get(weights.selected).map(|(at, _)| weights.parts[*at].clone()) else {
            return;
        };
        let text = if part.turn == self.view().system_id() {
            self.view().system_text()
        } else {
            self.view().turn_text(part.turn)
        };
        if part.cut.end <= text.len() {
            self.edit_on_trial(part.turn, &without(&text, &part.cut));
        }
    }
}

impl ChatView<'_> {
    pub(in crate::app) fn weights_of(&self, reply: TurnId, by_message: bool) -> Weights {
        Weights {
            chat: self.chat.head.id,
            reply,
            by_message,
            started: false,
            parts: self.chat.turn(reply).map(|reply| self.parts(reply, by_message)).unwrap_or_default(),
            whole: None,
            selected: 0,
            spent: (0, 0.0),
            displaced: 0,
            reading: Query::default(),
        }
    }

    /// The parts of what a reply answers, in the order of the prompt.
    fn parts(&self, reply: &Turn, by_message: bool) -> Vec<Part> {
        let system = self.system_text();
        let system = (!system.is_empty()).then(|| (self.system_id(), Role::System, system));
        let before = self.turns_before(reply);
        let all = before.iter().map(|turn| (turn.id, turn.role, self.turn_text(turn.id)));
        let texts: Vec<(TurnId, Role, String)> = system.into_iter().chain(all).collect();
        let tokens = self.reply_ids(reply).len();
        let behind = self.tokens_behind(reply, &texts);
        let mut parts = Vec::new();
        for ((turn, role, text), behind) in texts.iter().zip(behind) {
            let cuts = if by_message {
                vec![(0..text.len(), text.trim())].into_iter().filter(|(_, text)| !text.is_empty()).collect()
            } else {
                sentences(text)
            };
            parts.extend(cuts.into_iter().map(|(cut, sentence)| Part {
                turn: *turn,
                role: *role,
                tokens: behind(cut.start) + tokens,
                cut,
                text: sentence.to_owned(),
                without: None,
            }));
        }
        parts
    }

    /// For each text, how many tokens of the prompt stand after a byte of it: those that are read again without it.
    fn tokens_behind<'t>(
        &self,
        reply: &Turn,
        texts: &'t [(TurnId, Role, String)],
    ) -> Vec<Box<dyn Fn(usize) -> usize + 't>> {
        let run = self.turn_tokens(reply).first().and_then(|token| match token.origin {
            crate::app::Origin::Written { run, .. } => Some(run),
            crate::app::Origin::Scored { .. } => None,
        });
        let ids = run.and_then(|run| self.prompt_of(run));
        let vocabulary = self.ready().and_then(|loaded| self.vocabularies.get(&loaded.vocabulary));
        let bytes: Vec<Vec<u8>> = texts.iter().map(|(.., text)| text.clone().into_bytes()).collect();
        let places = ids.as_ref().zip(vocabulary).map(|(ids, all)| (ids.len(), align(ids, all, &bytes)));
        let after = |at: usize| texts[at..].iter().map(|(.., text)| text.len()).sum::<usize>();
        (0..texts.len())
            .map(|at| -> Box<dyn Fn(usize) -> usize> {
                let bytes_left = after(at);
                match places.as_ref().map(|(all, places)| (*all, places[at].clone())) {
                    Some((all, places)) if !places.is_empty() => Box::new(move |byte| {
                        let first = places.iter().find(|place| place.1 > byte);
                        all - first.map_or(all, |place| place.2)
                    }),
                    _ => Box::new(move |byte| bytes_left.saturating_sub(byte) / BYTES_PER_TOKEN),
                }
            })
            .collect()
    }

    /// The tokens of a reply that stay when a part of it is left out; `None` where one would be cut in two.
    fn kept_tokens(&self, turn: &Turn, part: &Part) -> Option<StoredTokens> {
        let Message { stored, .. } = self.message(self.chat, turn);
        let stored = stored?;
        let mut at = 0;
        let mut tokens = Vec::with_capacity(stored.tokens.len());
        for (id, bytes) in stored.tokens {
            let (start, end) = (at, at + bytes as usize);
            at = end;
            if end <= part.cut.start || start >= part.cut.end {
                tokens.push((id, bytes));
            } else if start < part.cut.start || end > part.cut.end {
                return None;
            }
        }
        Some(StoredTokens { vocabulary: stored.vocabulary, tokens })
    }

    /// Tokens of a prompt that the model reads in a millisecond, as when it began this reply; `None` where too few
    /// were read to tell.
    pub fn reading_speed(&self, reply: TurnId) -> Option<f64> {
        let turn = self.chat.turn(reply)?;
        let run =
            turn.spans.iter().find_map(crate::app::inspector::run_of).and_then(|run| self.runs.get(&run))?;
        let read = run.usage.prompt_tokens.saturating_sub(run.usage.reused_tokens);
        (read >= 16 && run.timings.prompt_ms > 0.0)
            .then(|| f64::from(read) / f64::from(run.timings.prompt_ms))
    }
}
