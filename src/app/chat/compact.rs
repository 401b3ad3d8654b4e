//! `/compact`: the model sums older messages up, and the summary takes their place as another version of the chat.
//!
//! Invariant: nothing is changed before the user has said yes to what it costs, and what it replaces stays in the tree.

use super::prompt::setting_of;
use crate::app::view::With;
use crate::app::{App, Asker, Confirm, ConfirmAction, Focus, Outbox, Talk};
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
    /// What the user is to be asked, where that waits until they want to be.
    waits: Option<String>,
}

impl App {
    /// Asks for a summary, or shows the one that waits.
    pub(crate) fn compact(&mut self) {
        let fits = self.talk.compact.as_ref().is_some_and(|open| !self.talk.went_on(open));
        let waits = self.talk.compact.as_mut().filter(|_| fits).and_then(|open| open.waits.take());
        match waits {
            Some(question) => self.overlays.push(Confirm { question, action: ConfirmAction::Compact }),
            None => self.talk.compact(with!(self), &mut self.out),
        }
    }

    /// A summary is written: asks whether it is to be used, unless somebody is typing, whose letters would answer.
    pub(crate) fn ask_about_summary(&mut self, question: String) {
        let how = self.view().way(Focus::Composer, Command::Compact);
        if self.composer.is_empty() && self.overlays.is_empty() {
            self.overlays.push(Confirm { question, action: ConfirmAction::Compact });
        } else if let Some(open) = &mut self.talk.compact {
            open.waits = Some(question);
            self.out.say(format!("the summary is written; {how} shows it"));
        }
    }

    /// The user said yes: a request and its summary, then what stays, as another branch.
    pub(crate) fn use_summary(&mut self) {
        if let Some(leaf) = self.talk.use_summary(&mut self.out) {
            self.show_leaf(Some(leaf));
            self.transcript.scroll_bottom();
            self.out.say("summed up; the first message's other version is the chat as it was");
        }
    }
}

impl Talk {
    /// Asks the model for a summary; a second time, stops that.
    pub(crate) fn compact(&mut self, with: With<'_>, out: &mut Outbox) {
        if let Some(open) = self.compact.take().filter(|open| out.requests.is_in_flight(open.request)) {
            out.requests.tell(Request::Immediate(Immediate::Cancel { target: open.request }));
            out.requests.forget(open.request);
            return out.say("the summary is not written; nothing was changed");
        }
        if self.run.is_some() {
            return out.say_busy(self.view(with));
        }
        if with.model.ready().is_none() {
            return out.say(with.model.not_ready());
        }
        match self.begin_compact(with, out) {
            Some(open) => {
                let how = self.view(with).way(Focus::Composer, Command::Compact);
                out.say(format!("the model sums {} messages up; {how} again stops it", open.replaced));
                self.compact = Some(Box::new(open));
            }
            None => out.say("there is too little here to be summed up"),
        }
    }

    fn begin_compact(&self, with: With<'_>, out: &mut Outbox) -> Option<Compact> {
        let view = self.view(with);
        let chat = self.chat.head.id;
        let branch: Vec<(TurnId, Role)> =
            self.chat.branch().iter().map(|turn| (turn.id, turn.role)).collect();
        let mut cut = branch.len().checked_sub(KEPT)?;
        while branch.get(cut)?.1 != Role::User {
            cut += 1;
        }
        let read = view.left_out(chat, self.chat.leaf).cloned().unwrap_or_default();
        let old: Vec<TurnId> =
            branch[..cut].iter().map(|(id, _)| *id).filter(|id| !read.contains(id)).collect();
        if old.len() < 2 {
            return None;
        }
        let old = old.iter().filter_map(|id| self.chat.turn(*id));
        let mut messages: Vec<Message> = old.map(|turn| view.message(&self.chat, turn)).collect();
        messages.push(Message::new(Role::User, ASKED));
        let mut run = self.begin(with, out, chat);
        run.sampling.max_tokens = MOST;
        run.sampling.grammar.clear(); // that is for replies
        let mut sampling = run.sampling.clone();
        sampling.seed = Some(run.seed);
        self.reads_for(with, out, None);
        let request = out.requests.ask(
            Asker::Compact,
            Request::Job(Job::Generate(Box::new(Generate {
                prompt: Prompt::Chat { messages, continue_last: false, setting: setting_of(&run) },
                sampling,
                top_logprobs: with.config.inspector.candidates,
                begun: 0,
                interventions: run.interventions.clone(),
                allow: None,
            }))),
        );
        let (leaf, first_kept) = (branch.last()?.0, branch[cut].0);
        Some(Compact {
            chat,
            leaf,
            first_kept,
            replaced: cut,
            request,
            run,
            summary: Vec::new(),
            waits: None,
        })
    }

    /// The summary goes on, is done, or was weighed; gives what the user is to be asked then.
    pub(crate) fn compact_event(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        id: RequestId,
        event: Event,
    ) -> Option<String> {
        let open = self.compact.as_mut().filter(|open| open.request == id)?;
        match event {
            Event::Prompt(facts) => {
                open.run.seed = facts.seed;
                open.run.usage.prompt_tokens = facts.ids.len() as u32;
                open.run.prompt_ids = facts.ids;
            }
            Event::Token(written) => open.summary.push(written.step),
            Event::Done { stop, usage, timings } => {
                (open.run.stop, open.run.usage, open.run.timings) = (Some(stop), usage, timings);
                return self.weigh_summary(with, out);
            }
            Event::Rescored(scored) => return Some(open.question(&self.chat, Some(&scored))),
            Event::Failed(failure) => {
                self.compact = None;
                out.warn(format!("no summary: {}", failure.message));
            }
            _ => {}
        }
        None
    }

    /// Asks what the last reply would have cost after the summary; gives the question for the user where that cannot be
    /// known.
    fn weigh_summary(&mut self, with: With<'_>, out: &mut Outbox) -> Option<String> {
        let mut open = self.compact.take()?;
        if open.summary.is_empty() || self.went_on(&open) {
            out.say("no summary: the chat went on meanwhile, or the model wrote nothing");
            return None;
        }
        let (chat, view) = (&self.chat, self.view(with));
        let question = match chat.turn(open.leaf).filter(|turn| view.can_reread(turn).is_ok()) {
            None => Some(open.question(chat, None)),
            Some(last) => {
                let text = crate::chat::whole_text(&bytes(&open.summary), false);
                let text = crate::reasoning::answer_of(&text).into_owned();
                let mut messages = vec![Message::new(Role::User, ASKED), Message::new(Role::Assistant, text)];
                let kept = open.kept(chat).into_iter().filter(|turn| turn.id != last.id);
                messages.extend(kept.map(|turn| view.message(chat, turn)));
                let rescore = Rescore {
                    prompt: Prompt::Chat { messages, continue_last: false, setting: setting_of(&open.run) },
                    reply: view.reply_ids(last),
                    top_logprobs: 1,
                    interventions: open.run.interventions.clone(),
                };
                open.request =
                    out.requests.ask(Asker::Compact, Request::Job(Job::Rescore(Box::new(rescore))));
                None
            }
        };
        self.compact = Some(open);
        question
    }

    /// Puts the summary and what stays into the chat as another branch; gives its last turn.
    fn use_summary(&mut self, out: &mut Outbox) -> Option<TurnId> {
        let open = self.compact.take()?;
        if self.went_on(&open) {
            out.say("the chat went on meanwhile; /compact asks again");
            return None;
        }
        let turns = open.branch(&self.chat, out);
        out.store(store::Command::PutRun(Box::new(open.run.clone())));
        self.runs.insert(open.run.id, open.run);
        let leaf = turns.last().map(|turn| turn.id);
        for turn in turns {
            out.store(store::Command::PutTurn(open.chat, Box::new(turn.clone())));
            out.touch(turn.id);
            self.chat.turns.push(turn);
        }
        leaf
    }

    /// Whether the chat is not what was summed up any more.
    fn went_on(&self, open: &Compact) -> bool {
        self.chat.head.id != open.chat || self.chat.leaf != Some(open.leaf) || self.run.is_some()
    }
}

impl Compact {
    /// What the summary costs, and whether it is to be used.
    fn question(&self, chat: &Conversation, scored: Option<&Rescored>) -> String {
        let read = self.run.usage.prompt_tokens;
        let tokens = self.summary.len();
        let mut question =
            format!("{tokens} tokens in place of {} messages ({read} with the request). ", self.replaced);
        if let Some(scored) = scored {
            let bits = |piece: &Piece<'_>| match piece {
                Piece::Step { step, .. } => Some(step.surprisal_bits()),
                Piece::Written(_) => None,
            };
            let pieces = chat.turn(self.leaf).map(|turn| chat.pieces(turn)).unwrap_or_default();
            let before: f32 = pieces.iter().filter_map(bits).take(scored.steps.len()).sum();
            let after: f32 = scored.steps.iter().map(Step::surprisal_bits).sum();
            let (more, each) = (after - before, (after - before) / scored.steps.len().max(1) as f32);
            let cost = format!("After it the last reply costs {more:+.1} bit ({each:+.2} a token). ");
            question.push_str(&cost);
        }
        let text = crate::chat::whole_text(&bytes(&self.summary), false);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
        let asked =
            format!("Use it? What it replaces stays as the other version of the first message. “{text}…”");
        question + &asked
    }

    /// The messages that stay.
    fn kept<'a>(&self, chat: &'a Conversation) -> Vec<&'a Turn> {
        chat.branch().into_iter().skip_while(|turn| turn.id != self.first_kept).collect()
    }

    /// The request, its summary, and what stays after them.
    fn branch(&self, chat: &Conversation, out: &mut Outbox) -> Vec<Turn> {
        let now = out.now.wall_ms;
        let asked = Turn {
            spans: vec![Span::Written { text: ASKED.to_owned() }],
            ..Turn::new(TurnId(out.id()), None, Role::User, now)
        };
        let summary = Turn {
            spans: vec![Span::Generated { run: self.run.id, steps: self.summary.clone() }],
            model: Some(self.run.model.clone()),
            ..Turn::new(TurnId(out.id()), Some(asked.id), Role::Assistant, now)
        };
        let mut turns = vec![asked, summary];
        for turn in self.kept(chat) {
            let parent = turns.last().map(|turn| turn.id);
            let count = turn.kept_steps() + turn.steps().count();
            let spans = match u32::try_from(count) {
                Ok(steps) if steps > 0 => vec![Span::Kept { turn: turn.id, steps }],
                _ => turn.spans.clone(),
            };
            turns.push(Turn { id: TurnId(out.id()), parent, spans, ..turn.clone() });
        }
        turns
    }
}

fn bytes(steps: &[Step]) -> Vec<u8> {
    steps.iter().flat_map(|step| step.bytes.iter().copied()).collect()
}
