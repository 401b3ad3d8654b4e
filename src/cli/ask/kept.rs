//! A question and its reply as part of a stored chat: a new one, or one that goes on.
//!
//! Invariant: the question is with the store before the engine is asked for the reply, and what came of the reply is
//! kept however it ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;

use super::super::chats::Chats;
use super::super::setup::Setup;
use crate::app::{empty_chat, message_of, stop_note};
use crate::attachment;
use crate::chat::{
    self, Adapter, ChatSettings, Conversation, ConversationHead, ConversationId, Piece, Role, Run, RunId,
    Span, Turn, TurnId, TurnState, Typed, Vocabularies, title_of,
};
use crate::engine::protocol::{Message, PromptFacts};
use crate::store::{Command, random_id};
use crate::token::{Step, Vocabulary};

/// Which chat it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// A new one.
    New,
    /// The one written in last.
    Last,
    /// The one looked at last.
    Looked,
    /// The one of that id.
    Id(&'a str),
}

/// A chat that a question and its reply are added to.
pub struct Kept {
    chats: Chats,
    conversation: Conversation,
    runs: BTreeMap<RunId, Run>,
    /// The reply and what it is made under, once it was asked for.
    reply: Option<(TurnId, Run)>,
}

impl Kept {
    /// Opens the chat.
    ///
    /// # Errors
    /// When there is no such chat, or the database cannot be opened.
    pub fn open(setup: &Setup, which: Which<'_>) -> anyhow::Result<Self> {
        let database = setup.folders.database();
        match which {
            Which::New => {
                let new = empty_chat(ConversationId(random_id()));
                Ok(Self::with(Chats::open(&database)?, new, BTreeMap::new()))
            }
            Which::Last => Self::stored(&database, |chats| chats.find("last")),
            Which::Looked => Self::stored(&database, Chats::looked_at_last),
            Which::Id(id) => Self::stored(&database, |chats| chats.find(id)),
        }
    }

    fn stored(
        database: &Path,
        find: impl FnOnce(&Chats) -> anyhow::Result<ConversationId>,
    ) -> anyhow::Result<Self> {
        let chats = Chats::existing(database)?;
        let (conversation, runs) = opened(&chats, find(&chats)?)?;
        Ok(Self::with(chats, conversation, runs))
    }

    fn with(chats: Chats, conversation: Conversation, runs: BTreeMap<RunId, Run>) -> Self {
        Self { chats, conversation, runs, reply: None }
    }

    /// What the chat sets for itself.
    pub fn settings(&mut self) -> &mut ChatSettings {
        &mut self.conversation.settings
    }

    /// Adds the question.
    pub fn ask(&mut self, question: &str, now_ms: i64) {
        let parent = self.conversation.leaf;
        if parent.is_none() {
            self.conversation.head.title = title_of(question);
            self.conversation.head.created_ms = now_ms;
        }
        self.put(now_ms);
        let Typed { text, inserts } = attachment::typed(question.to_owned());
        let spans = vec![Span::Written { text }];
        let turn = Turn { spans, inserts, ..turn(parent, Role::User, now_ms) };
        self.add(turn, now_ms);
    }

    /// The messages of the shown branch, oldest first.
    pub fn messages(&self, vocabulary: &Vocabulary) -> Vec<Message> {
        let known = (vocabulary.hash.clone(), Arc::new(vocabulary.clone()));
        let vocabularies: Vocabularies = [known].into_iter().collect();
        let turns = self.conversation.branch().into_iter();
        turns.map(|turn| message_of(&self.conversation, &self.runs, &vocabularies, turn)).collect()
    }

    /// Adds the reply, which is about to be asked for.
    pub fn begin(&mut self, run: Run, now_ms: i64) {
        let reply = Turn {
            spans: vec![Span::Generated { run: run.id, steps: Vec::new() }],
            state: TurnState::Streaming,
            model: Some(run.model.clone()),
            ..turn(self.conversation.leaf, Role::Assistant, now_ms)
        };
        self.chats.store.send(Command::PutRun(Box::new(run.clone())));
        self.reply = Some((reply.id, run));
        self.add(reply, now_ms);
    }

    /// Which chat it is.
    pub fn chat(&self) -> ConversationId {
        self.conversation.head.id
    }

    /// What the reply is conditioned on.
    pub fn prompt(&mut self, facts: &PromptFacts) {
        let Some((_, run)) = &mut self.reply else { return };
        let others: Vec<RunId> = self.runs.keys().copied().collect();
        chat::condition(run, &facts.ids, &self.runs, others);
        run.seed = facts.seed;
        run.usage.prompt_tokens = facts.ids.len() as u32;
        run.usage.reused_tokens = facts.reused;
        let left_out = |adapter: &Adapter| facts.left_out.iter().any(|other| other.is_same_file(adapter));
        run.interventions.retain(|change| !change.adapter().is_some_and(left_out));
        self.chats.store.send(Command::PutRun(Box::new(run.clone())));
    }

    /// A token of the reply.
    pub fn token(&mut self, step: &Step) {
        let Some((id, _)) = &self.reply else { return };
        self.chats.store.send(Command::AppendSteps(*id, vec![step.clone()]));
        let spans = self.conversation.turn_mut(*id).map(|turn| turn.spans.as_mut_slice());
        if let Some([.., Span::Generated { steps, .. }]) = spans {
            steps.push(step.clone());
        }
    }

    /// The tokens of the last reply of the shown branch.
    pub fn last_steps(&self) -> Vec<Step> {
        let branch = self.conversation.branch();
        let reply = branch.iter().rev().find(|turn| turn.role == Role::Assistant);
        let pieces = reply.map(|turn| self.conversation.pieces(turn)).into_iter().flatten();
        pieces
            .filter_map(|piece| match piece {
                Piece::Step { step, .. } => Some(step.clone()),
                Piece::Written(_) => None,
            })
            .collect()
    }

    /// Goes back before the last reply, so that the next is another version of it; whether there is one.
    pub fn again(&mut self) -> bool {
        let last = self.conversation.leaf.and_then(|id| self.conversation.turn(id));
        let before = last.filter(|turn| turn.role == Role::Assistant).and_then(|turn| turn.parent);
        self.conversation.leaf = before.or(self.conversation.leaf);
        before.is_some()
    }

    /// A new chat instead, with the settings of this one.
    pub fn renew(&mut self) {
        let settings = self.conversation.settings.clone();
        self.conversation = Conversation { settings, ..empty_chat(ConversationId(random_id())) };
        self.runs.clear();
    }

    /// Another stored chat instead.
    ///
    /// # Errors
    /// When there is no such chat, or another glassbox writes a reply in it.
    pub fn reopen(&mut self, id: &str) -> anyhow::Result<()> {
        (self.conversation, self.runs) = opened(&self.chats, self.chats.find(id)?)?;
        Ok(())
    }

    /// The chat is looked at now; one that is not stored yet is so with its first reply.
    pub fn looked_at(&self) {
        if !self.conversation.turns.is_empty() {
            let Conversation { head, place, .. } = &self.conversation;
            self.chats.store.send(Command::PutPlace(head.id, place.clone()));
        }
    }

    /// The stored chats, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub fn heads(&self) -> anyhow::Result<Vec<ConversationHead>> {
        self.chats.heads()
    }

    /// The chat's title.
    pub fn title(&self) -> &str {
        &self.conversation.head.title
    }

    /// The reply has ended, and so does this; as [`Self::finish`] and [`Self::close`].
    pub fn end(
        mut self,
        change: impl FnOnce(&mut Run),
        vocabulary: Option<&Vocabulary>,
        now_ms: i64,
    ) -> (Result<(), String>, i64) {
        self.finish(change, vocabulary, now_ms);
        self.close()
    }

    /// Ends; whether all was saved (or what was not), and in which chat.
    pub fn close(self) -> (Result<(), String>, i64) {
        let id = self.conversation.head.id.0;
        (self.chats.close(), id)
    }

    /// The reply has ended; `change` says how, in its run.
    pub fn finish(&mut self, change: impl FnOnce(&mut Run), vocabulary: Option<&Vocabulary>, now_ms: i64) {
        if let Some((turn, mut run)) = self.reply.take() {
            change(&mut run);
            let note = run.stop.and_then(|stop| stop_note(stop, &run.sampling));
            let state = if run.stop.is_some() { TurnState::Done } else { TurnState::Interrupted };
            self.chats.store.send(Command::FinishTurn(turn, state, note.clone()));
            self.chats.store.send(Command::PutRun(Box::new(run.clone())));
            if let Some(turn) = self.conversation.turn_mut(turn) {
                (turn.state, turn.note) = (state, note);
            }
            self.runs.insert(run.id, run);
            if let Some(vocabulary) = vocabulary {
                self.chats.store.send(Command::PutVocabulary(Box::new(vocabulary.clone())));
            }
            self.put(now_ms);
        }
    }

    fn add(&mut self, turn: Turn, now_ms: i64) {
        self.conversation.leaf = Some(turn.id);
        self.chats.store.send(Command::PutTurn(self.conversation.head.id, Box::new(turn.clone())));
        self.conversation.turns.push(turn);
        self.put(now_ms);
    }

    fn put(&mut self, now_ms: i64) {
        let Conversation { head, settings, leaf, .. } = &mut self.conversation;
        head.updated_ms = now_ms;
        self.chats.store.send(Command::PutConversation {
            head: head.clone(),
            settings: settings.clone(),
            leaf: *leaf,
        });
    }
}

/// A stored chat and what its replies were made under.
fn opened(chats: &Chats, id: ConversationId) -> anyhow::Result<(Conversation, BTreeMap<RunId, Run>)> {
    let (conversation, runs) = chats.conversation(id)?;
    if conversation.turns.iter().any(|turn| turn.state == TurnState::Streaming) {
        bail!("a reply is being written in this chat by another glassbox; ask again when it has ended");
    }
    Ok((conversation, runs))
}

fn turn(parent: Option<TurnId>, role: Role, now_ms: i64) -> Turn {
    Turn::new(TurnId(random_id()), parent, role, now_ms)
}
