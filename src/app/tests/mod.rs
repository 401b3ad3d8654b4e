//! Journeys through `update`: what is there, what comes, what is there then.

mod adapters;
mod asked;
mod branches;
mod chats;
mod clock;
mod composing;
mod endurance;
mod engines;
mod inside;
mod live;
mod microscope;
mod models;
mod overlays;
mod properties;
mod replies;
mod reread;
mod sending;
mod slow;
pub(crate) mod stations;
mod steer;
mod thinking;
mod tokens;
mod tour;
mod written;

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub(crate) use super::{App, Asker, Effect, EngineId, ModelStatus, Msg, Now};
pub(crate) use crate::chat::{ConversationId, Role, Span, StopReason, Timings, Turn, TurnId, Usage};
use crate::config::Config;
use crate::config::keymap::Keymap;
pub(crate) use crate::engine::protocol::{
    Envelope, Event, Generate, Immediate, Inspection, Job, Loaded, Message, Prompt, PromptFacts, Request,
    RequestId,
};
use crate::model_entry::{Licence, ModelEntry, Source};
use crate::models::CatalogueItem;
use crate::sampling::SamplingOverrides;
use crate::store;
pub(crate) use crate::token::{Candidate, Step, TokenId, Vocabulary};

/// The app on a bench: time stands still unless it is moved.
pub(crate) struct Bench {
    pub app: App,
    pub now: Now,
}

impl Bench {
    /// Right after start, before anything has answered.
    pub(crate) fn bare() -> Self {
        Self::with(config())
    }

    pub(crate) fn with(config: Config) -> Self {
        let keymap = Keymap::build(crate::command::TABLE, &config.keys).0;
        let (app, _) = App::new(config, keymap, 1, (120, 40));
        Self { app, now: Now { mono_ms: 1000, wall_ms: 1_700_000_000_000, offset_minutes: 0 } }
    }

    /// With the first model loaded.
    pub(crate) fn ready() -> Self {
        let mut bench = Self::bare();
        bench.load();
        bench
    }

    /// With a message sent.
    pub(crate) fn asked(message: &str) -> Self {
        let mut bench = Self::ready();
        bench.say(message);
        bench
    }

    /// With a message and its whole reply.
    pub(crate) fn answered(message: &str, reply: &str) -> Self {
        let mut bench = Self::ready();
        bench.exchange(message, reply);
        bench
    }

    /// The catalogue is read, the engine starts and loads.
    pub(crate) fn load(&mut self) {
        self.send(Msg::Catalogue(catalogue(&self.app.config)));
        self.loaded();
    }

    pub(crate) fn loaded(&mut self) {
        self.event(0, Event::ready());
        let request = self.app.out.requests.of(Asker::Load).expect("a load was asked for").0;
        self.event(request, Event::Loaded(Box::new(loaded())));
        let request = self.app.out.requests.of(Asker::Vocabulary).map(|request| request.0);
        if let Some(request) = request {
            self.event(request, Event::Vocabulary(Box::new(vocabulary())));
        }
    }

    pub(crate) fn send(&mut self, msg: Msg) -> Vec<Effect> {
        self.app.update(self.now, msg)
    }

    pub(crate) fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.now.mono_ms += ms;
        self.send(Msg::Tick)
    }

    pub(crate) fn event(&mut self, request: u64, event: Event) -> Vec<Effect> {
        let engine = self.app.out.requests.engine();
        self.send(Msg::Engine(engine, Envelope { id: RequestId(request), event }))
    }

    /// An event of the reply being written.
    pub(crate) fn reply(&mut self, event: Event) -> Vec<Effect> {
        let request = self.app.talk.run.as_ref().expect("a reply is being written").request.0;
        self.event(request, event)
    }

    pub(crate) fn write(&mut self, text: &str) -> Vec<Effect> {
        self.reply(Event::Token(Box::new(step(text, 1.0).into())))
    }

    pub(crate) fn done(&mut self, stop: StopReason) -> Vec<Effect> {
        self.reply(Event::Done { stop, usage: Usage::default(), timings: Timings::default() })
    }

    /// Presses keys: `enter`, `ctrl+c`, or single characters.
    pub(crate) fn press(&mut self, keys: &[&str]) -> Vec<Effect> {
        keys.iter().flat_map(|name| self.send(Msg::Key(key(name)))).collect()
    }

    pub(crate) fn type_text(&mut self, text: &str) -> Vec<Effect> {
        text.chars()
            .flat_map(|c| self.send(Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))))
            .collect()
    }

    /// Types a message and sends it.
    pub(crate) fn say(&mut self, text: &str) -> Vec<Effect> {
        self.type_text(text);
        self.press(&["enter"])
    }

    /// A message and its whole reply.
    pub(crate) fn exchange(&mut self, message: &str, reply: &str) {
        self.say(message);
        self.write(reply);
        self.done(StopReason::Eos);
    }

    pub(crate) fn notice(&self) -> &str {
        self.app.out.notice.as_ref().map_or("", |notice| notice.text.as_str())
    }

    pub(crate) fn draft(&self) -> String {
        self.app.composer.text()
    }

    /// The shown branch as `role: text`.
    pub(crate) fn branch(&self) -> Vec<String> {
        self.app.talk.chat.branch().iter().map(|turn| format!("{:?}: {}", turn.role, turn.text())).collect()
    }
}

pub(crate) fn key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.rsplit_once('+') {
        Some(("ctrl", name)) => (KeyModifiers::CONTROL, name),
        Some(("alt", name)) => (KeyModifiers::ALT, name),
        _ => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "backspace" => KeyCode::Backspace,
        "delete" => KeyCode::Delete,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "space" => KeyCode::Char(' '),
        "f1" => KeyCode::F(1),
        "f2" => KeyCode::F(2),
        "f3" => KeyCode::F(3),
        "f4" => KeyCode::F(4),
        "f5" => KeyCode::F(5),
        "f6" => KeyCode::F(6),
        "f8" => KeyCode::F(8),
        other => KeyCode::Char(other.chars().next().expect("a key has a name")),
    };
    KeyEvent::new(code, modifiers)
}

pub(crate) fn entry(name: &str, licence: Option<&str>) -> ModelEntry {
    ModelEntry {
        licence: licence.map(|terms| Licence { name: "Gemma".into(), terms: Some(terms.into()) }),
        built_in: true,
        ..ModelEntry::new(name, Source::Pip(vec![format!("{name}==1:model.gguf")]))
    }
}

pub(crate) fn config() -> Config {
    Config {
        model: "small".into(),
        models: vec![entry("small", None), entry("large", None), entry("gemma", Some("be good"))],
        ..Config::default()
    }
}

/// The first two models are on this machine.
pub(crate) fn catalogue(config: &Config) -> Vec<CatalogueItem> {
    let item = |(at, entry): (usize, &ModelEntry)| CatalogueItem {
        entry: entry.clone(),
        path: (at < 2).then(|| PathBuf::from(format!("/models/{}.gguf", entry.name))),
        facts: Ok(None),
        terms_accepted: false,
        unfinished: None,
        offered: None,
    };
    config.models.iter().enumerate().map(item).collect()
}

pub(crate) fn loaded() -> Loaded {
    Loaded {
        facts: crate::model_entry::ModelFacts::default(),
        vocabulary: "words".into(),
        marks: Vec::new(),
        suppressed: Vec::new(),
        device: "CPU ×2".into(),
        gpu_layers: 0,
        context: 8192,
        flash_attention: false,
        threads: 2,
        memory: crate::engine::protocol::Memory::default(),
        load_ms: 100.0,
        dequantized: false,
        template: crate::engine::protocol::TemplateKind::Model,
        template_hash: Some("template".into()),
        takes_system: true,
        switches: crate::engine::protocol::Switches::default(),
        runner: crate::engine::protocol::Runner::Glassbox,
        odds: crate::engine::protocol::Odds::Whole,
        capabilities: crate::engine::protocol::Capabilities::all(),
        notes: Vec::new(),
        template_notes: Vec::new(),
        left_out: Vec::new(),
        keeps_states: false,
    }
}

pub(crate) fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary { hash: "words".into(), ..Vocabulary::default() };
    for word in ["a", "b", "c"] {
        vocabulary.push(word.as_bytes(), crate::token::TokenKind::Normal);
    }
    vocabulary
}

/// A token of that text; `entropy` in nats.
pub(crate) fn step(text: &str, entropy: f32) -> Step {
    Step {
        id: Some(TokenId(1)),
        bytes: text.as_bytes().to_vec(),
        logprob: -1.0,
        rank: 1,
        entropy,
        candidates: vec![Candidate { id: TokenId(1), logprob: -1.0 }],
        ms: 5.0,
        survivors: 1,
    }
}

/// Effects in short: what is stored, what is asked of the engine.
pub(crate) fn brief(effects: &[Effect]) -> Vec<String> {
    effects.iter().map(brief_one).collect()
}

pub(crate) fn brief_one(effect: &Effect) -> String {
    use store::Command as C;
    match effect {
        Effect::Store(C::PutTurn(_, turn)) => format!("put {:?} {:?}", turn.role, turn.state),
        Effect::Store(C::PutConversation { head, .. }) => format!("put chat {}", head.title),
        Effect::Store(C::PutRun(run)) => format!("put run {:?}", run.stop),
        Effect::Store(C::AppendSteps(_, steps)) => format!("append {}", steps.len()),
        Effect::Store(C::FinishTurn(_, state, note)) => {
            format!("finish {state:?} {}", note.as_deref().unwrap_or("-"))
        }
        Effect::Store(C::PutDraft(chat, text)) => {
            format!("draft {} {text:?}", if chat.is_some() { "chat" } else { "new" })
        }
        Effect::Store(C::PutHistory(text)) => format!("history {text}"),
        Effect::Store(other) => format!("store {}", word(&format!("{other:?}"))),
        Effect::Engine(_, _, request) => match &**request {
            Request::Job(Job::Generate(_)) => "generate".into(),
            other => format!("ask {}", asked_for(other)),
        },
        Effect::StartEngine(id, entry) => format!("start {} {}", id.0, entry.name),
        Effect::StopEngine(id) => format!("stop {}", id.0),
        Effect::Fetch(entry) => format!("fetch {}", entry.name),
        other => word(&format!("{other:?}")),
    }
}

/// What is asked for, without who answers it.
pub(crate) fn asked_for(request: &Request) -> String {
    word(&match request {
        Request::Immediate(request) => format!("{request:?}"),
        Request::Job(job) => format!("{job:?}"),
        Request::Inspection(inspection) => format!("{inspection:?}"),
    })
}

pub(crate) fn word(text: &str) -> String {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// Of the newest request of one form among effects: what an expression makes of it and of its id.
macro_rules! asked_in {
    ($effects:expr, $id:pat, $request:pat => $what:expr) => {
        $effects.iter().rev().find_map(|effect| match effect {
            Effect::Engine(_, $id, request) => match &**request {
                $request => Some($what),
                _ => None,
            },
            _ => None,
        })
    };
}
pub(crate) use asked_in;

/// The generation asked for among effects.
pub(crate) fn generated(effects: &[Effect]) -> &Generate {
    asked_in!(effects, _, Request::Job(Job::Generate(generate)) => &**generate)
        .expect("a generation was asked for")
}

/// Its messages.
pub(crate) fn messages(effects: &[Effect]) -> Vec<(Role, String)> {
    let Prompt::Chat { messages, .. } = &generated(effects).prompt else { panic!("a chat is a chat") };
    messages.iter().map(|Message { role, text, .. }| (*role, text.clone())).collect()
}
