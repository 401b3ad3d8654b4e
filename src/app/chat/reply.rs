//! The reply being written: tokens into the turn, into the store within half a second, and its end.
//!
//! Invariant: an event counts only under the engine and the request that the active run was asked of.

use crate::app::chat::adapters;
use crate::app::inspector::run_of;
use crate::app::view::With;
use crate::app::{
    ActiveRun, App, Asker, ChatView, Doing, EngineId, Level, ModelStatus, Notice, Outbox, Phase, Talk,
    TokenCursor, Writing,
};
use crate::chat::{self, ConversationId, RunId, Span, StopReason, Timings, Turn, TurnId, TurnState, Usage};
use crate::config::Notify;
use crate::engine::protocol::{Envelope, Event, Exit, Failure, FailureKind, PromptFacts, RequestId, Written};
use crate::sampling::Sampling;
use crate::store;
use crate::token::Step;

/// What a run wrote of a turn last.
fn steps_of(turn: &mut Turn, of: RunId) -> Option<&mut Vec<Step>> {
    turn.spans.iter_mut().rev().find_map(|span| match span {
        Span::Generated { run, steps } if *run == of => Some(steps),
        _ => None,
    })
}

/// Steps reach the store this long after they came, ms.
pub(crate) const FLUSH_MS: u64 = 200;
/// The speed is measured over this long, ms.
const SPEED_MS: u64 = 1000;

impl App {
    /// The engine said something; the one place where what is stale is dropped.
    pub(crate) fn engine(&mut self, engine: EngineId, envelope: Envelope) {
        if engine != self.out.requests.engine() {
            return;
        }
        let Envelope { id, event } = envelope;
        match event {
            Event::Ready { version, containment } => {
                self.model.containment = containment;
                self.model.engine_ready(&self.config, &mut self.out, version);
            }
            Event::ModelHash(hash) => {
                self.talk.model_hashed(&hash);
                self.model.hash = Some(hash);
            }
            Event::Words { vocabulary, entries } => self.talk.learn(&vocabulary, entries),
            Event::SlowLine { waited, taken } => self.line_is_slow(waited, taken),
            Event::Exited(exit) => self.engine_exited(exit),
            event => {
                if let Some(asker) = self.out.requests.answered(id, &event) {
                    self.answer(asker, id, event);
                }
            }
        }
    }

    /// Hands an event to the one who asked.
    pub(crate) fn answer(&mut self, asker: Asker, id: RequestId, event: Event) {
        match asker {
            Asker::Load => self.load_event(event),
            Asker::Vocabulary => {
                if let Event::Vocabulary(vocabulary) = event {
                    self.talk.keep_vocabulary(&mut self.out, *vocabulary);
                    self.inspector.resolve_watch(view!(self), &mut self.out);
                }
            }
            Asker::Watched => self.inspector.watched_told(view!(self), &mut self.out, event),
            Asker::DraftCount => self.composer.counted(&self.model, &mut self.out, event),
            Asker::ChipCount => self.composer.chip_counted(&self.model, &mut self.out, event),
            Asker::InsertCount => self.talk.insert_counted(&mut self.out, event),
            Asker::Reply => self.reply_event(id, event),
            Asker::Compact => {
                if let Some(question) = self.talk.compact_event(with!(self), &mut self.out, id, event) {
                    self.ask_about_summary(question);
                }
            }
            Asker::Scores => self.talk.score_event(&mut self.out, id, event),
            Asker::Look => self.inspector.look_event(view!(self), id, event),
            Asker::Alternatives => self.alternatives_event(id, event),
            Asker::LookAhead => self.look_ahead_event(id, event),
            Asker::Steering => self.inspector.steer.steer_event(id, event),
            Asker::WhatIf => self.what_if_event(id, event),
            Asker::Microscope => self.microscope_event(id, event),
            Asker::Weights => self.weights_event(id, event),
            Asker::Station => self.inspector.station_event(view!(self), id, event),
            Asker::Attention => self.inspector.attention_event(view!(self), &mut self.out, id, event),
            Asker::Depths => {
                self.inspector.depths_event(&mut self.out, id, event);
            }
        }
    }

    /// The reply goes on, or is over.
    fn reply_event(&mut self, id: RequestId, event: Event) {
        if self.talk.run.as_ref().is_none_or(|run| run.request != id) {
            return;
        }
        match event {
            Event::Prompt(facts) if self.make_room(&facts) => {}
            Event::Prompt(facts) => {
                let run = self.talk.run.as_ref().and_then(|active| self.talk.runs.get(&active.run));
                self.model.note_left_out(run, &facts.left_out);
                if let Some(used) = self.talk.prompt(with!(self), &mut self.out, facts) {
                    self.model.used = used;
                }
            }
            Event::PromptProgress { done, total } => self.talk.prompt_progress(done, total),
            Event::Token(written) => self.token(*written),
            Event::Done { stop, usage, timings } => self.reply_done(stop, usage, timings),
            Event::Failed(failure) => self.reply_failed(&failure),
            Event::Paused => self.reply_paused(),
            _ => {}
        }
    }

    fn token(&mut self, written: Written) {
        let now = self.out.now.mono_ms;
        let Some(active) = &mut self.talk.run else { return };
        active.written += 1;
        let first = !matches!(active.phase, Phase::Writing(_));
        if first {
            self.out.succeeded_at(Doing::Reply);
            active.phase = Phase::Writing(Writing::default());
        }
        if let Phase::Writing(writing) = &mut active.phase {
            writing.came(now, SPEED_MS);
            writing.machine_busy = written.machine_busy;
        }
        let (chat, turn, run) = (active.chat, active.turn, active.run);
        if first {
            self.talk.say_reused(&mut self.out);
        }
        if written.forced {
            self.talk.forced(&mut self.out, run, written.index);
        }
        if let Some(run) = self.talk.runs.get_mut(&run).filter(|_| written.drafted) {
            run.drafted.push(written.index);
        }
        if let Some(ms) = written.recording_ms {
            self.inspector.recorded(ms);
        }
        if let Some(unchanged) = written.unchanged {
            self.inspector.steer.twin_told(written.index, unchanged);
        }
        let Some(index) = self.talk.append(chat, turn, run, written.step.clone()) else { return };
        self.out.touch(turn);
        if chat == self.talk.chat.head.id {
            self.model.used += 1;
            self.inspector.live_step(view!(self), &mut self.out, TokenCursor { turn, index }, written);
        }
    }

    fn reply_done(&mut self, stop: StopReason, usage: Usage, timings: Timings) {
        if let Some(run) = self.talk.run.as_ref().and_then(|active| self.talk.runs.get_mut(&active.run)) {
            run.usage = usage;
            run.timings = timings;
            let untold = run.told_by.is_some() && run.prompt_ids.is_empty() && run.prefix.is_none();
            let shown = self.talk.run.as_ref().is_some_and(|run| run.chat == self.talk.chat.head.id);
            if untold && shown {
                // How long the prompt was is known only now.
                self.model.used = usage.prompt_tokens + usage.completion_tokens;
            }
        }
        let wordless = self.wordless().filter(|_| stop == StopReason::Cancelled);
        let run = self.talk.run.as_ref().and_then(|active| self.talk.runs.get(&active.run));
        let note = run.and_then(|run| stop_note(stop, &run.sampling));
        let ended = self.talk.run.clone();
        self.talk.finish_run(with!(self), &mut self.out, stop, TurnState::Done, note);
        if self.go_on_at_the_wall(stop, ended) {
            return;
        }
        self.inspector.come_to_rest(view!(self), &mut self.out);
        if let Some(reply) = wordless {
            self.give_back(reply);
        }
        self.talk.offer_tour(&mut self.out, &self.keymap, self.size.0 >= 80);
        self.send_waiting();
    }

    /// The reply that is asked for in the shown chat, while nothing is in it.
    fn wordless(&self) -> Option<TurnId> {
        let run = self.talk.run.as_ref().filter(|run| run.written == 0)?;
        let turn = self.talk.chat.turn(run.turn)?;
        self.talk.chat.bytes(turn).is_empty().then_some(run.turn)
    }

    fn reply_failed(&mut self, failure: &Failure) {
        let wordless = self.wordless();
        match failure.kind {
            FailureKind::Cancelled => {
                self.talk.finish_run(
                    with!(self),
                    &mut self.out,
                    StopReason::Cancelled,
                    TurnState::Done,
                    Some("stopped by you".into()),
                );
            }
            FailureKind::ContextFull if self.talk.leave_out_more(with!(self), &mut self.out) => {
                self.talk.ask_reply(with!(self), &mut self.out);
                return;
            }
            _ => {
                self.talk.finish_run(
                    with!(self),
                    &mut self.out,
                    StopReason::Error,
                    TurnState::Done,
                    Some(failure.message.clone()),
                );
                self.out.fail_at(Doing::Reply, failure.message.clone());
            }
        }
        self.inspector.come_to_rest(view!(self), &mut self.out);
        if let Some(reply) = wordless {
            self.give_back(reply);
        }
        self.send_waiting();
    }

    /// An engine here writes through a pipe, which is slow only where this program is.
    fn line_is_slow(&mut self, waited: f32, taken: f32) {
        let Some(place) = self.model.place(&self.config) else { return };
        let (share, kilobytes) = (100.0 * waited, taken / 1000.0);
        self.out.warn(format!(
            "the line to {} is slow: the engine waited for it {share:.0} % of the last seconds, and it took \
             {kilobytes:.0} kB a second; replies come at its pace",
            place.host
        ));
    }

    fn engine_exited(&mut self, exit: Exit) {
        let loading = match &self.model.status {
            ModelStatus::Loading(_) => Some(self.model.name.clone()),
            _ => None,
        };
        let (what, detail) = exit.parts(loading.as_deref());
        let why = format!("{what}{detail}");
        if let Some(run) = self.talk.run.clone() {
            self.talk.finish_run(
                with!(self),
                &mut self.out,
                StopReason::Error,
                TurnState::Interrupted,
                Some(why.clone()),
            );
            if run.written == 0 && run.chat == self.talk.chat.head.id {
                self.give_back(run.turn);
            }
        }
        self.out.requests.engine_is_gone();
        self.composer.tokens = None;
        if exit.expected {
            self.model.status = ModelStatus::Unloaded;
            return;
        }
        let message = match &exit.told {
            Some(told) => format!("{told}; F5 (or /reload) connects again"),
            None => format!("{what}; F5 (or /reload) loads it again{detail}"),
        };
        self.out.fail(message.clone());
        self.model.status = ModelStatus::Failed { message, log_tail: exit.log_tail };
    }
}

/// What stands under a reply that did not end by itself; under a grammar, that it is not whole.
#[must_use]
pub fn stop_note(stop: StopReason, sampling: &Sampling) -> Option<String> {
    let is_held = !sampling.grammar.trim().is_empty();
    let said = match stop {
        StopReason::Stop if is_held => "ended at a stop text",
        StopReason::Eos | StopReason::Stop => return None,
        StopReason::Length => "ended at max_tokens",
        StopReason::Context => "context is full: the reply ends here",
        StopReason::ContentFilter => "cut by the server's content filter",
        StopReason::ToolCalls => "ended with a call of a tool, of which there are none here",
        StopReason::Cancelled => "stopped by you",
        StopReason::Error => return Some("the engine could not go on".into()),
    };
    Some(if is_held { format!("{said}, before the grammar's end: not whole") } else { said.to_owned() })
}

impl Talk {
    /// The hash of the model that writes the reply is known.
    fn model_hashed(&mut self, hash: &str) {
        if let Some(run) = self.run.as_ref().and_then(|active| self.runs.get_mut(&active.run)) {
            run.model_hash = Some(hash.to_owned());
        }
    }

    /// What the model reads before it writes; gives how much of the context that is, where the chat is shown.
    fn prompt(&mut self, with: With<'_>, out: &mut Outbox, facts: PromptFacts) -> Option<u32> {
        let active = self.run.as_mut()?;
        active.phase =
            Phase::Reading { done: 0, total: (facts.ids.len() as u32).saturating_sub(facts.reused) };
        let (run, chat, turn) = (active.run, active.chat, active.turn);
        let used = facts.ids.len() as u32 + self.runs.get(&run).map_or(0, |run| run.taken);
        let others = self.view(with).runs_near(chat, turn);
        if let Some(mut made) = self.runs.remove(&run) {
            chat::condition(&mut made, &facts.ids, &self.runs, others);
            made.seed = facts.seed;
            made.usage.prompt_tokens = facts.ids.len() as u32;
            made.usage.reused_tokens = facts.reused;
            adapters::leave_out(&mut made, &facts.left_out);
            self.runs.insert(run, made.clone());
            if !out.keeps_nothing_of(chat) {
                self.put_words_of(out, run, facts.ids.iter().copied());
            }
            out.store(store::Command::PutRun(Box::new(made)));
        }
        if !facts.notes.is_empty() {
            out.warn(facts.notes.join("; "));
        }
        if let Some(active) = &mut self.run {
            active.prompt = Some(facts);
        }
        (chat == self.chat.head.id).then_some(used)
    }

    /// A token was written for the model: kept with its run, and said once.
    fn forced(&mut self, out: &mut Outbox, run: RunId, index: u32) {
        let Some(run) = self.runs.get_mut(&run) else { return };
        if run.forced.is_empty() {
            let budget = run.sampling.thinking_budget;
            out.say(format!("{budget} tokens were thought: the mark that ends it was written for the model"));
        }
        run.forced.push(index);
    }

    fn prompt_progress(&mut self, done: u32, total: u32) {
        if let Some(active) = &mut self.run {
            active.phase = Phase::Reading { done, total };
        }
    }

    /// Puts a step into its turn; gives its index among the turn's steps.
    fn append(&mut self, chat: ConversationId, turn: TurnId, of: RunId, step: Step) -> Option<usize> {
        let turn = self.conversation_mut(chat)?.turn_mut(turn)?;
        let index = turn.kept_steps() + turn.steps().count();
        steps_of(turn, of)?.push(step);
        Some(index)
    }

    /// "reused 45 tokens of 62, read 17 in 0.06 s", unless something more important stands there.
    fn say_reused(&mut self, out: &mut Outbox) {
        let Some(active) = &self.run else { return };
        let Some(facts) = &active.prompt else { return };
        let told = matches!(&out.notice, Some(Notice { level: Level::Warn | Level::Error, .. }));
        // In step mode each choice starts over, and what the key did is worth more.
        if told || self.steps.on {
            return;
        }
        let all = facts.ids.len() as u32;
        if all == 0 {
            return; // a server that does not say what it read
        }
        let seconds = out.now.mono_ms.saturating_sub(active.started_at) as f32 / 1000.0;
        let read = all.saturating_sub(facts.reused);
        let text = match facts.reused {
            0 => format!("read {read} tokens in {seconds:.2} s"),
            reused if facts.recalled => {
                format!(
                    "{reused} tokens of {all} read from a snapshot, {read} read anew, {seconds:.2} s in all"
                )
            }
            reused => format!("reused {reused} tokens of {all}, read {read} in {seconds:.2} s"),
        };
        out.say(text);
    }

    /// Hands the steps that wait to the store.
    pub(crate) fn flush_steps(&mut self, out: &mut Outbox) {
        let Some(ActiveRun { chat, turn, run, phase: Phase::Writing(writing), .. }) = &mut self.run else {
            return;
        };
        writing.unsaved_since = None;
        let unsaved = std::mem::take(&mut writing.unsaved);
        let (chat, turn, run) = (*chat, *turn, *run);
        let steps = self.conversation_mut(chat).and_then(|chat| steps_of(chat.turn_mut(turn)?, run));
        if let Some(steps) = steps.filter(|_| unsaved > 0) {
            let steps = steps[steps.len().saturating_sub(unsaved)..].to_vec();
            if !out.keeps_nothing_of(chat) {
                self.put_words(out, run, &steps);
            }
            out.store(store::Command::AppendSteps(turn, steps));
        }
    }

    /// A reply ended in a chat that is not shown: marked, announced, and let go of when nothing waits there.
    pub(crate) fn finished_elsewhere(&mut self, with: With<'_>, out: &mut Outbox, chat: ConversationId) {
        self.chats.unseen.insert(chat);
        let title = self.view(with).conversation(chat).map(|conversation| conversation.head.title.clone());
        if with.config.ui.notify != Notify::None {
            let text = format!("reply finished: {}", title.unwrap_or_default());
            out.emit(crate::app::Effect::Notify(with.config.ui.notify, text));
        }
        if !self.view(with).is_busy(chat) && !out.unstored.has(chat) {
            self.others.remove(&chat);
        }
    }
}

impl ChatView<'_> {
    /// Runs whose prompts begin like that of a reply: its own before, its versions', and the reply's before it.
    fn runs_near(&self, chat: ConversationId, turn: TurnId) -> Vec<RunId> {
        let Some(chat) = self.conversation(chat) else { return Vec::new() };
        let before = chat.turn(turn).and_then(|turn| chat.turn(turn.parent?)?.parent);
        let turns = chat.versions(turn).into_iter().chain(before);
        turns.filter_map(|id| chat.turn(id)).flat_map(|turn| &turn.spans).filter_map(run_of).collect()
    }
}
