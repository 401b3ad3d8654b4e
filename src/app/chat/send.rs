//! Sending: from the draft to a stored message, and from there to a generation.
//!
//! Invariant: what the user wrote is handed to the store before the engine is asked for anything.

use crate::app::input::completion::{self, Line};
use crate::app::view::With;
use crate::app::{ActiveRun, App, Asker, ChatView, Outbox, Phase, Queued, Talk, chat::prompt};
use crate::chat::{
    Conversation, ConversationId, Role, Run, RunId, Span, Turn, TurnId, TurnState, Typed, title_of,
};
use crate::command::Command;
use crate::engine::protocol::{Capability, Generate, Job, Loaded, Prompt, Request};
use crate::store;

/// What a generation adds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A new reply to this turn.
    ReplyTo(TurnId),
    /// A new span of this reply.
    Continue(TurnId),
}

/// The part of a kept draft that is not waiting to be sent.
pub(crate) fn without_waiting(draft: &str, waiting: &str) -> String {
    draft.strip_prefix(waiting).map_or(draft, |rest| rest.trim_start_matches('\n')).to_owned()
}

impl<'a> ChatView<'a> {
    /// The loaded model, when it is ready.
    pub fn ready(&self) -> Option<&'a Loaded> {
        self.model.ready()
    }

    /// A chat in memory.
    pub fn conversation(&self, id: ConversationId) -> Option<&'a Conversation> {
        if self.chat.head.id == id { Some(self.chat) } else { self.others.get(&id) }
    }

    /// Whether a reply is written or waited for in the shown chat.
    pub fn busy_here(&self) -> bool {
        self.is_busy(self.chat.head.id)
    }

    pub(crate) fn is_busy(&self, chat: ConversationId) -> bool {
        self.run.as_ref().is_some_and(|run| run.chat == chat)
            || self.queued.as_ref().is_some_and(|queued| queued.chat == chat)
    }

    /// Whether the run goes on with text that its turn has already.
    fn continues(&self, active: &ActiveRun) -> bool {
        let turn = self.conversation(active.chat).and_then(|conversation| conversation.turn(active.turn));
        turn.is_some_and(|turn| turn.spans.len() > 1)
    }

    /// How many tokens of its turn stand before what a run writes; none where some of that was typed.
    pub(crate) fn begun(&self, turn: TurnId, run: RunId) -> u32 {
        let is_its = |span: &&Span| matches!(span, Span::Generated { run: of, .. } if *of == run);
        let mut chats = std::iter::once(self.chat).chain(self.others.values());
        let spans = chats.find_map(|chat| chat.turn(turn)).map_or(&[][..], |turn| &turn.spans);
        let mut tokens = 0;
        for span in spans.iter().take_while(|span| !is_its(span)) {
            tokens += match span {
                Span::Generated { steps, .. } => steps.len() as u32,
                Span::Kept { steps, .. } => *steps,
                Span::Written { .. } => return 0,
            };
        }
        tokens
    }
}

impl Talk {
    pub(crate) fn conversation_mut(&mut self, id: ConversationId) -> Option<&mut Conversation> {
        if self.chat.head.id == id { Some(&mut self.chat) } else { self.others.get_mut(&id) }
    }

    /// Stores a message of the user as a turn.
    pub(crate) fn post(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        chat: ConversationId,
        parent: Option<TurnId>,
        typed: &Typed,
    ) -> TurnId {
        let id = TurnId(out.id());
        let now = out.now.wall_ms;
        let Some(conversation) = self.conversation_mut(chat) else { return id };
        let is_new = conversation.turns.is_empty();
        if is_new {
            conversation.head.title = title_of(&typed.text);
            conversation.head.created_ms = now;
        }
        conversation.head.updated_ms = now;
        let spans = vec![Span::Written { text: typed.text.clone() }];
        let inserts = typed.inserts.clone();
        let turn = Turn { spans, inserts, ..Turn::new(id, parent, Role::User, now) };
        if is_new {
            self.put_conversation(with, out, chat);
            out.show_title(self.view(with));
        }
        if let Some(conversation) = self.conversation_mut(chat) {
            conversation.turns.push(turn.clone());
            conversation.leaf = Some(id);
        }
        out.touch(id);
        out.store(store::Command::PutTurn(chat, Box::new(turn)));
        self.put_conversation(with, out, chat);
        if self.chats.find(chat).is_some_and(|head| head.marks.archived) {
            self.mark(out, chat, |marks| marks.archived = false);
        }
        id
    }

    /// Writes a chat's entry and settings, and brings its row in the list up to date.
    pub(crate) fn put_conversation(&mut self, with: With<'_>, out: &mut Outbox, id: ConversationId) {
        if out.on_tour {
            return;
        }
        let Some(conversation) = self.view(with).conversation(id) else { return };
        let (head, settings, leaf) =
            (conversation.head.clone(), conversation.settings.clone(), conversation.leaf);
        self.chats.put(head.clone());
        out.store(store::Command::PutConversation { head, settings, leaf });
    }

    /// Begins a generation; the model is ready and nothing else is written.
    pub(crate) fn start_run(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        chat: ConversationId,
        target: Target,
    ) {
        let run = self.begin(with, out, chat);
        let turn = match target {
            Target::ReplyTo(to) => {
                self.count_inserts(out, chat, to);
                self.begin_reply(with, out, chat, to, run.id)
            }
            Target::Continue(turn) => self.begin_span(chat, turn, run.id),
        };
        if let Some(turn) = turn {
            self.begin_run(with, out, chat, &turn, run);
        }
    }

    /// Stores a turn and its run and asks for what the run is to write; the turn is in its chat already.
    pub(crate) fn begin_run(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        chat: ConversationId,
        turn: &Turn,
        run: Run,
    ) {
        out.store(store::Command::PutTurn(chat, Box::new(turn.clone())));
        out.store(store::Command::PutRun(Box::new(run.clone())));
        self.put_conversation(with, out, chat);
        out.touch(turn.id);
        out.last_use = out.now.mono_ms;
        self.run = Some(ActiveRun {
            chat,
            turn: turn.id,
            run: run.id,
            request: crate::engine::RequestId::default(),
            phase: Phase::Asked,
            prompt: None,
            written: 0,
            started_at: out.now.mono_ms,
            stopping: false,
            made_room: false,
        });
        self.runs.insert(run.id, run);
        self.ask_reply(with, out);
    }

    /// Asks the engine for the active run's reply, without the messages that do not fit.
    pub(crate) fn ask_reply(&mut self, with: With<'_>, out: &mut Outbox) {
        let Some(active) = self.run.clone() else { return };
        let Some(run) = self.runs.get(&active.run) else { return };
        let mut sampling = run.sampling.clone();
        sampling.seed = Some(run.seed);
        let setting = prompt::setting_of(run);
        let interventions = run.interventions.clone();
        let prompt =
            out.on_tour.then(prompt::of_tour).or_else(|| self.view(with).branch_prompt()).unwrap_or_else(
                || {
                    let messages = self.view(with).messages(active.chat, active.turn);
                    Prompt::Chat { messages, continue_last: self.view(with).continues(&active), setting }
                },
            );
        self.reads_for(with, out, Some(active.chat));
        let request = Request::Job(Job::Generate(Box::new(Generate {
            prompt,
            sampling,
            top_logprobs: with.config.inspector.candidates,
            begun: self.view(with).begun(active.turn, active.run),
            interventions,
            allow: (self.steps.on || self.steps.every_ms.is_some()).then_some(1),
        })));
        let id = out.requests.ask(Asker::Reply, request);
        if let Some(run) = &mut self.run {
            run.request = id;
        }
    }

    /// What a new generation is made under.
    pub(crate) fn begin(&self, with: With<'_>, out: &mut Outbox, chat: ConversationId) -> Run {
        let settings = self.view(with).conversation(chat).map(|conversation| conversation.settings.clone());
        let settings = settings.unwrap_or_default();
        let entry = with.model.entry(with.config);
        let sampling = match &entry {
            Some(entry) => with.config.sampling_for(entry, &settings),
            None => with.config.sampling.clone(),
        };
        let template_values = match &entry {
            Some(entry) => with.config.template_values_for(entry, &settings),
            None => settings.template_values.clone(),
        };
        let mut interventions = with.config.interventions_for(entry.as_ref(), &settings);
        if let Some(why) = self.view(with).lacking(Capability::Changes).filter(|_| !interventions.is_empty())
        {
            interventions.clear();
            out.warn(format!("without what is changed in this chat: {why}"));
        }
        let seed = sampling.seed.unwrap_or_else(|| out.sampler_seed());
        let ready = self.view(with).ready();
        let (vocabulary, template_hash) = match ready {
            Some(loaded) => (Some(loaded.vocabulary.clone()), loaded.template_hash.clone()),
            None => (None, None),
        };
        let told_by = ready.and_then(Loaded::teller);
        Run {
            model_hash: with.model.hash.clone(),
            vocabulary,
            template_hash,
            told_by,
            interventions,
            template_clock_ms: Some(out.now.wall_ms),
            template_offset_minutes: out.now.offset_minutes,
            template_values,
            ..Run::new(RunId(out.id()), with.model.name.clone(), sampling, seed)
        }
    }

    fn begin_reply(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        chat: ConversationId,
        to: TurnId,
        run: RunId,
    ) -> Option<Turn> {
        let turn = Turn {
            spans: vec![Span::Generated { run, steps: Vec::new() }],
            state: TurnState::Streaming,
            model: Some(with.model.name.clone()),
            ..Turn::new(TurnId(out.id()), Some(to), Role::Assistant, out.now.wall_ms)
        };
        let conversation = self.conversation_mut(chat)?;
        conversation.turns.push(turn.clone());
        conversation.leaf = Some(turn.id);
        Some(turn)
    }

    pub(crate) fn begin_span(&mut self, chat: ConversationId, turn: TurnId, run: RunId) -> Option<Turn> {
        let turn = self.conversation_mut(chat)?.turn_mut(turn)?;
        turn.spans.push(Span::Generated { run, steps: Vec::new() });
        turn.state = TurnState::Streaming;
        turn.note = None;
        Some(turn.clone())
    }
}

impl App {
    /// Enter: a command is run, a message is sent or waits for its turn.
    pub(crate) fn submit(&mut self) {
        let typed = self.composer.typed();
        let text = typed.text.clone();
        if text.trim().is_empty() {
            return;
        }
        self.composer.completion = None;
        self.out.line_done();
        if self.view().is_word_of_model(&text) {
            self.send(typed);
            return;
        }
        match completion::read(&text, &self.inspector.station_contexts()) {
            Line::Command(command, argument) => {
                if self.run_line(command, argument) && self.composer.text() == text {
                    self.composer.replace(&self.model, &mut self.out, "");
                }
            }
            Line::Unknown(word) => self.out.unknown_command(word),
            Line::Message if self.composer.read_named(&mut self.out, &text) => {}
            Line::Message => self.send(typed),
        }
    }

    fn send(&mut self, typed: Typed) {
        let chat = self.talk.chat.head.id;
        if self.view().busy_here() {
            if self.composer.editing.is_some() {
                self.out.say_busy(view!(self));
            } else {
                self.wait_behind(chat, typed);
            }
            return;
        }
        if self.talk.queued.is_some() {
            self.out.warn("a message of another chat waits already; the draft is kept");
            return;
        }
        let parent = match self.composer.editing {
            Some(edited) => self.talk.chat.turn(edited).and_then(|turn| turn.parent),
            None => self.talk.chat.leaf,
        };
        let back = self.composer.kept.take().filter(|_| self.composer.editing.is_some());
        self.composer.editing = None;
        let was_new = self.talk.chat.turns.is_empty();
        let turn = self.talk.post(with!(self), &mut self.out, chat, parent, &typed);
        self.composer.remember(&mut self.out, &typed.text);
        self.composer.replace(&self.model, &mut self.out, &back.unwrap_or_default());
        if was_new && !self.out.unstored.has(chat) && !self.talk.new_draft.is_empty() {
            self.talk.new_draft.clear();
            self.out.store(store::Command::PutDraft(None, String::new()));
        }
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        self.transcript.selected = None;
        self.transcript.scroll_bottom();
        self.reply(chat, turn);
    }

    /// Keeps a message until the reply before it is done; as part of the draft it survives a crash.
    fn wait_behind(&mut self, chat: ConversationId, typed: Typed) {
        if self.talk.queued.as_ref().is_some_and(|queued| queued.chat != chat) {
            self.out.warn("a message of another chat waits already; the draft is kept");
            return;
        }
        self.composer.remember(&mut self.out, &typed.text);
        let queued = self.talk.queued.get_or_insert(Queued { chat, reply_to: None, texts: Vec::new() });
        let at = self.composer.waited_at.take().unwrap_or(queued.texts.len()).min(queued.texts.len());
        queued.texts.insert(at, typed);
        self.composer.replace(&self.model, &mut self.out, "");
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        let how = self.keymap.shown(Command::HistoryBack);
        self.out.say(format!("sent when this reply is done; {how} takes it back to edit"));
    }

    /// ↑ where nothing is written: the message that waits last comes back to be edited; whether one does.
    pub(crate) fn edit_waiting(&mut self) -> bool {
        let chat = self.talk.chat.head.id;
        let free = self.composer.is_empty() && self.composer.editing.is_none();
        let queued = self.talk.queued.as_mut().filter(|queued| free && queued.chat == chat);
        let Some(queued) = queued else { return false };
        let at = self.composer.waited_at.unwrap_or(queued.texts.len()).min(queued.texts.len());
        let Some(at) = at.checked_sub(1) else { return false };
        let typed = queued.texts.remove(at);
        if queued.texts.is_empty() && queued.reply_to.is_none() {
            self.talk.queued = None;
        }
        self.composer.replace_typed(&self.model, &mut self.out, typed);
        self.composer.waited_at = Some(at);
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        let (send, stop) = (self.keymap.shown(Command::Send), self.keymap.shown(Command::Interrupt));
        self.out.say(format!("{send} lets it wait again; cleared, it is not sent ({stop} stops the reply)"));
        true
    }

    /// A reply that was stopped or failed before it had a word gives its message back, to be sent again.
    pub(crate) fn give_back(&mut self, reply: TurnId) {
        let Some(turn) = self.talk.chat.turn(reply) else { return };
        let asked =
            turn.parent.and_then(|id| self.talk.chat.turn(id)).filter(|asked| asked.role == Role::User);
        let Some((asked, typed)) = asked.map(|asked| (asked.id, asked.typed())) else { return };
        let only = self.talk.chat.versions(reply).len() == 1 && self.talk.chat.leaf == Some(reply);
        let free = self.composer.is_empty() && self.composer.editing.is_none() && self.talk.queued.is_none();
        if !(only && free && self.overlays.is_empty()) {
            return;
        }
        self.composer.replace_typed(&self.model, &mut self.out, typed);
        self.composer.kept = Some(String::new());
        self.composer.editing = Some(asked);
    }

    /// Asks for a reply to a stored turn: at once, or when the model or the reply before it is done.
    pub(crate) fn reply(&mut self, chat: ConversationId, to: TurnId) {
        let wanted = self.view().goes_on_with(chat);
        if let Some(name) = wanted.filter(|_| self.talk.run.is_none()) {
            self.want(&name);
        }
        if self.talk.run.is_none() && self.view().ready().is_some() {
            self.talk.start_run(with!(self), &mut self.out, chat, Target::ReplyTo(to));
            self.transcript.keep_selection(view!(self));
            return;
        }
        if self.talk.queued.as_ref().is_some_and(|queued| queued.chat != chat) {
            self.out.warn("a message of another chat waits already; Ctrl+R asks again");
            return;
        }
        let texts = self.talk.queued.take().map(|queued| queued.texts).unwrap_or_default();
        self.talk.queued = Some(Queued { chat, reply_to: Some(to), texts });
        if self.talk.run.is_none() {
            self.wake_model();
        }
    }

    /// Sends what waits, if it can go now.
    pub(crate) fn send_waiting(&mut self) {
        if self.talk.run.is_some() || self.view().ready().is_none() {
            return;
        }
        let Some(mut queued) = self.talk.queued.take() else { return };
        if self.view().conversation(queued.chat).is_none() {
            return;
        }
        if let Some(turn) = queued.reply_to.take() {
            let chat = queued.chat;
            self.talk.queued = (!queued.texts.is_empty()).then_some(queued);
            self.reply(chat, turn);
            return;
        }
        if queued.texts.is_empty() {
            return;
        }
        let typed = queued.texts.remove(0);
        if !queued.texts.is_empty() {
            self.talk.queued = Some(Queued { chat: queued.chat, reply_to: None, texts: queued.texts });
        }
        self.composer.waited_at = self.composer.waited_at.map(|at| at.saturating_sub(1));
        let leaf = self.view().conversation(queued.chat).and_then(|conversation| conversation.leaf);
        let turn = self.talk.post(with!(self), &mut self.out, queued.chat, leaf, &typed);
        if queued.chat == self.talk.chat.head.id {
            self.talk.keep_draft(&mut self.composer, &mut self.out);
        } else if let Some(conversation) = self.talk.conversation_mut(queued.chat) {
            let draft = without_waiting(&conversation.head.draft, &typed.text);
            conversation.head.draft.clone_from(&draft);
            self.out.store(store::Command::PutDraft(Some(queued.chat), draft));
        }
        self.reply(queued.chat, turn);
    }
}
