//! `/compact`: the model sums older messages up, and the summary takes their place as another version of the chat.
//!
//! Invariant: nothing is changed before the user has said yes to what it costs, and what it replaces stays in the tree.

use super::prompt::setting_of;
use crate::app::{App, Asker, Confirm, ConfirmAction};
use crate::chat::{Conversation, ConversationId, Piece, Role, Run, Span, Turn, TurnId};
use crate::command::Command;
use crate::engine::protocol::{
    Event, Generate, Immediate, Job, Message, Prompt, Request, RequestId, Rescore, Rescored,
};
use crate::store;
use crate::token::Step;

/// So many messages at the end stay as they are, or one fewer, so that a question is the first.
const KEPT: usize = 4;
/// A summary is cut at this many tokens.
const MOST: u32 = 400;
/// What the model is asked for.
const ASKED: &str = "Sum up our conversation so far: facts, names, figures, decisions, open questions. At most 150 words, \
                     nothing else.";

/// A summary under way, or waiting for the user's yes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Compact {
    chat: ConversationId,
    /// The branch that it is about, by its last turn.
    leaf: TurnId,
    /// The first message that stays.
    first_kept: TurnId,
    /// How many messages it stands for.
    replaced: usize,
    request: RequestId,
    run: Run,
    summary: Vec<Step>,
}

impl App {
    /// Asks the model for a summary; a second time, stops that.
    pub(crate) fn compact(&mut self) {
        if let Some(open) = self.compact.take().filter(|open| self.out.requests.is_in_flight(open.request)) {
            self.out.requests.tell(Request::Immediate(Immediate::Cancel { target: open.request }));
            self.out.requests.forget(open.request);
            return self.out.say("the summary is not written; nothing was changed");
        }
        if self.talk.run.is_some() {
            return self.out.say_busy(view!(self));
        }
        if self.view().ready().is_none() {
            return self.out.say("the model is not ready yet");
        }
        match self.begin_compact() {
            Some(open) => {
                let (messages, how) =
                    (open.replaced, self.view().way(crate::app::Focus::Composer, Command::Compact));
                self.out.say(format!("the model sums {messages} messages up; {how} again stops it"));
                self.compact = Some(Box::new(open));
            }
            None => self.out.say("there is too little here to be summed up"),
        }
    }

    fn begin_compact(&mut self) -> Option<Compact> {
        let chat = self.talk.chat.head.id;
        let branch: Vec<(TurnId, Role)> =
            self.talk.chat.branch().iter().map(|turn| (turn.id, turn.role)).collect();
        let mut cut = branch.len().checked_sub(KEPT)?;
        while branch.get(cut)?.1 != Role::User {
            cut += 1;
        }
        let read = self.view().left_out(chat, self.talk.chat.leaf).cloned().unwrap_or_default();
        let old: Vec<TurnId> =
            branch[..cut].iter().map(|(id, _)| *id).filter(|id| !read.contains(id)).collect();
        if old.len() < 2 {
            return None;
        }
        let mut messages: Vec<Message> = old
            .iter()
            .filter_map(|id| self.talk.chat.turn(*id))
            .map(|turn| self.view().message(&self.talk.chat, turn))
            .collect();
        messages.push(Message::new(Role::User, ASKED));
        let mut run = self.talk.begin(with!(self), &mut self.out, chat);
        run.sampling.max_tokens = MOST;
        run.sampling.grammar.clear(); // that is for replies
        let mut sampling = run.sampling.clone();
        sampling.seed = Some(run.seed);
        let request = self.out.requests.ask(
            Asker::Compact,
            Request::Job(Job::Generate(Box::new(Generate {
                prompt: Prompt::Chat { messages, continue_last: false, setting: setting_of(&run) },
                sampling,
                top_logprobs: self.config.inspector.candidates,
                begun: 0,
                interventions: run.interventions.clone(),
                allow: None,
            }))),
        );
        let (leaf, first_kept) = (branch.last()?.0, branch[cut].0);
        Some(Compact { chat, leaf, first_kept, replaced: cut, request, run, summary: Vec::new() })
    }

    /// The summary goes on, is done, or was weighed.
    pub(crate) fn compact_event(&mut self, id: RequestId, event: Event) {
        let Some(open) = self.compact.as_mut().filter(|open| open.request == id) else { return };
        match event {
            Event::Prompt(facts) => {
                open.run.seed = facts.seed;
                open.run.usage.prompt_tokens = facts.ids.len() as u32;
                open.run.prompt_ids = facts.ids;
            }
            Event::Token(written) => open.summary.push(written.step),
            Event::Done { stop, usage, timings } => {
                (open.run.stop, open.run.usage, open.run.timings) = (Some(stop), usage, timings);
                self.weigh_summary();
            }
            Event::Rescored(scored) => self.offer_summary(Some(&scored)),
            Event::Failed(failure) => {
                self.compact = None;
                self.out.warn(format!("no summary: {}", failure.message));
            }
            _ => {}
        }
    }

    /// Asks what the last reply would have cost after the summary.
    fn weigh_summary(&mut self) {
        let Some(open) = self.compact.clone() else { return };
        if open.summary.is_empty() || self.is_elsewhere(&open) {
            self.compact = None;
            return self.out.say("no summary: the chat went on meanwhile, or the model wrote nothing");
        }
        let chat = &self.talk.chat;
        let last = chat.turn(open.leaf).filter(|turn| self.view().can_reread(turn).is_ok());
        let Some(last) = last else { return self.offer_summary(None) };
        let text = crate::chat::whole_text(&bytes(&open.summary), false);
        let text = crate::reasoning::answer_of(&text).into_owned();
        let mut messages = vec![Message::new(Role::User, ASKED), Message::new(Role::Assistant, text)];
        let kept = kept(chat, &open).into_iter().filter(|turn| turn.id != last.id);
        messages.extend(kept.map(|turn| self.view().message(chat, turn)));
        let rescore = Rescore {
            prompt: Prompt::Chat { messages, continue_last: false, setting: setting_of(&open.run) },
            reply: self.view().reply_ids(last),
            top_logprobs: 1,
            interventions: open.run.interventions.clone(),
        };
        let request = self.out.requests.ask(Asker::Compact, Request::Job(Job::Rescore(Box::new(rescore))));
        if let Some(open) = &mut self.compact {
            open.request = request;
        }
    }

    /// Says what the summary costs and asks.
    fn offer_summary(&mut self, scored: Option<&Rescored>) {
        let Some(open) = &self.compact else { return };
        let read = open.run.usage.prompt_tokens;
        let tokens = open.summary.len();
        let mut question =
            format!("{tokens} tokens in place of {} messages ({read} with the request). ", open.replaced);
        if let Some(scored) = scored {
            let chat = &self.talk.chat;
            let bits = |piece: &Piece<'_>| match piece {
                Piece::Step { step, .. } => Some(step.surprisal_bits()),
                Piece::Written(_) => None,
            };
            let pieces = chat.turn(open.leaf).map(|turn| chat.pieces(turn)).unwrap_or_default();
            let before: f32 = pieces.iter().filter_map(bits).take(scored.steps.len()).sum();
            let after: f32 = scored.steps.iter().map(Step::surprisal_bits).sum();
            let (more, each) = (after - before, (after - before) / scored.steps.len().max(1) as f32);
            let cost = format!("After it the last reply costs {more:+.1} bit ({each:+.2} a token). ");
            question.push_str(&cost);
        }
        let text = crate::chat::whole_text(&bytes(&open.summary), false);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
        let asked =
            format!("Use it? What it replaces stays as the other version of the first message. “{text}…”");
        question.push_str(&asked);
        self.overlays.push(Confirm { question, action: ConfirmAction::Compact });
    }

    /// The user said yes: a request and its summary, then what stays, as another branch.
    pub(crate) fn use_summary(&mut self) {
        let Some(open) = self.compact.take() else { return };
        if self.is_elsewhere(&open) {
            return self.out.say("the chat went on meanwhile; /compact asks again");
        }
        let now = self.out.now.wall_ms;
        let kept: Vec<Turn> = kept(&self.talk.chat, &open).into_iter().cloned().collect();
        let asked = Turn {
            spans: vec![Span::Written { text: ASKED.to_owned() }],
            ..Turn::new(TurnId(self.out.id()), None, Role::User, now)
        };
        let summary = Turn {
            spans: vec![Span::Generated { run: open.run.id, steps: open.summary.clone() }],
            model: Some(open.run.model.clone()),
            ..Turn::new(TurnId(self.out.id()), Some(asked.id), Role::Assistant, now)
        };
        let mut turns = vec![asked, summary];
        for turn in kept {
            let parent = turns.last().map(|turn| turn.id);
            let count = turn.kept_steps() + turn.steps().count();
            let spans = match u32::try_from(count) {
                Ok(steps) if steps > 0 => vec![Span::Kept { turn: turn.id, steps }],
                _ => turn.spans.clone(),
            };
            turns.push(Turn { id: TurnId(self.out.id()), parent, spans, ..turn });
        }
        self.out.store(store::Command::PutRun(Box::new(open.run.clone())));
        self.talk.runs.insert(open.run.id, open.run.clone());
        let leaf = turns.last().map(|turn| turn.id);
        for turn in turns {
            self.out.store(store::Command::PutTurn(open.chat, Box::new(turn.clone())));
            self.out.touch(turn.id);
            self.talk.chat.turns.push(turn);
        }
        self.show_leaf(leaf);
        self.transcript.scroll_bottom();
        self.out.say("summed up; the first message's other version is the chat as it was");
    }

    fn is_elsewhere(&self, open: &Compact) -> bool {
        self.talk.chat.head.id != open.chat
            || self.talk.chat.leaf != Some(open.leaf)
            || self.talk.run.is_some()
    }
}

fn bytes(steps: &[Step]) -> Vec<u8> {
    steps.iter().flat_map(|step| step.bytes.iter().copied()).collect()
}

/// The messages that stay.
fn kept<'a>(chat: &'a Conversation, open: &Compact) -> Vec<&'a Turn> {
    chat.branch().into_iter().skip_while(|turn| turn.id != open.first_kept).collect()
}
