//! One engine for a headless command: start it, load a model, ask, and see every event.
//!
//! Invariant: a call returns with the final event of its request; an engine that ends in between is an error
//! that carries its last words.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_bytes::ByteBuf;
use tokio::sync::mpsc;

use super::ending;
use crate::chat::ConversationId;
use crate::config::Config;
use crate::elsewhere::Elsewhere;
use crate::engine::protocol::{
    Capabilities, Containment, Envelope, Event, Failure, FailureKind, Immediate, Job, Loaded, Prompt,
    Rendered, Request, RequestId, Runner,
};
use crate::engine::transport::child::ChildEngine;
use crate::engine::{Engine as _, Gone};
use crate::model_entry::{LoadParams, ModelEntry, Source};
use crate::runtime::engine_command;
use crate::token::{Entry, TokenId, Vocabulary};

/// How long an engine that takes nothing any more may take to say why: as long as its handle waits for its end and its log.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A running engine and what it says.
pub struct Session {
    engine: ChildEngine,
    events: mpsc::UnboundedReceiver<Envelope>,
    last: u64,
    /// SHA-256 of the loaded file, once it has been computed.
    hash: Option<String>,
    /// What it told of a vocabulary that is not known as a whole.
    words: Vec<(TokenId, Entry)>,
    /// What it can do and what it is, once a model is loaded.
    can: Option<(Capabilities, Runner)>,
    /// The model whose file is being loaded, as the user named it.
    loading: Option<String>,
}

impl Session {
    /// Starts an engine process for that model. `choice` is `llama` or `scripted…`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(entry: &ModelEntry, choice: &str, config: &Config) -> anyhow::Result<Self> {
        Self::start_beside(entry, &[], choice, config)
    }

    /// The same for an engine that another model is to be loaded in too, `beside` the first.
    ///
    /// # Errors
    /// As [`Session::start`].
    pub fn start_beside(
        entry: &ModelEntry,
        beside: &[ModelEntry],
        choice: &str,
        config: &Config,
    ) -> anyhow::Result<Self> {
        ending::listen();
        let (sender, events) = mpsc::unbounded_channel();
        let command = engine_command(entry, beside, choice, config)
            .context("this program's own file cannot be found")?;
        let sink = Box::new(move |envelope| {
            let _ = sender.send(envelope); // the command may have ended already
        });
        let engine = ChildEngine::spawn_at(command, Elsewhere::of(entry), sink, None).with_context(|| {
            let program = entry.engine.as_deref().and_then(<[String]>::first);
            program.map_or_else(
                || "the engine's process could not be started".to_owned(),
                |program| format!("the engine of {} could not be started: {program}", entry.name),
            )
        })?;
        Ok(Self { engine, events, last: 0, hash: None, words: Vec::new(), can: None, loading: None })
    }

    /// What the engine is held to, which is the first that it says.
    ///
    /// # Errors
    /// When it ends before.
    pub async fn greeting(&mut self) -> anyhow::Result<Containment> {
        match self.events.recv().await.map(|envelope| envelope.event) {
            Some(Event::Ready { containment, .. }) => Ok(containment),
            Some(Event::Exited(exit)) => bail!("{}", exit.sentence(None)),
            _ => bail!("the engine has ended"),
        }
    }

    /// Loads a model.
    ///
    /// # Errors
    /// With the engine's own sentence.
    pub async fn load(&mut self, entry: &ModelEntry, params: &LoadParams) -> anyhow::Result<Loaded> {
        let request = Request::Job(Job::Load { entry: Box::new(entry.clone()), params: params.clone() });
        let place = Elsewhere::of(entry);
        self.loading = Some(match &entry.source {
            Source::Path(path) => path.display().to_string(),
            _ => entry.name.clone(),
        });
        let answer = self.call(request, |_| {}).await;
        self.loading = None;
        let answer = answer.map_err(|error| match (&place, error.downcast_ref::<Failure>()) {
            (Some(place), Some(Failure { message, kind })) => {
                anyhow!(place.not_loaded(entry, *kind == FailureKind::NotFetched, message))
            }
            _ => error,
        })?;
        match answer {
            Event::Loaded(loaded) => {
                self.can = Some((loaded.capabilities.clone(), loaded.runner.clone()));
                Ok(place.map_or(*loaded.clone(), |place| loaded.at(&place.host)))
            }
            other => bail!("the engine answered a load with {other:?}"),
        }
    }

    /// Says which chat the replies from here on belong to, where the engine keeps what it has read.
    ///
    /// # Errors
    /// When the engine has ended.
    pub async fn reads_for(&mut self, loaded: &Loaded, chat: ConversationId) -> anyhow::Result<()> {
        if loaded.keeps_states {
            self.call(Request::Job(Job::Chat(Some(chat))), |_| {}).await?;
        }
        Ok(())
    }

    /// The loaded model's vocabulary.
    ///
    /// # Errors
    /// With the engine's own sentence.
    pub async fn vocabulary(&mut self) -> anyhow::Result<Vocabulary> {
        match self.call(Request::Immediate(Immediate::Vocabulary), |_| {}).await? {
            Event::Vocabulary(vocabulary) => Ok(*vocabulary),
            other => bail!("the engine answered with {other:?} instead of its vocabulary"),
        }
    }

    /// The tokens of a text with their bytes: with `special`, marks in it are control tokens; with `begin`, the
    /// begin-of-sequence token comes first where the model wants it.
    ///
    /// # Errors
    /// With the engine's own sentence.
    pub async fn tokenize(
        &mut self,
        text: &str,
        special: bool,
        begin: bool,
    ) -> anyhow::Result<Vec<(TokenId, ByteBuf)>> {
        let request = Immediate::Tokenize { text: text.to_owned(), special, begin };
        match self.call(Request::Immediate(request), |_| {}).await? {
            Event::Tokenized { tokens } => Ok(tokens),
            other => bail!("the engine answered with {other:?} instead of tokens"),
        }
    }

    /// A prompt as a reply would read it.
    ///
    /// # Errors
    /// With the engine's own sentence.
    pub async fn render(&mut self, prompt: Prompt) -> anyhow::Result<Rendered> {
        match self.call(Request::Immediate(Immediate::Render(Box::new(prompt))), |_| {}).await? {
            Event::Rendered(rendered) => Ok(*rendered),
            other => bail!("the engine answered with {other:?} instead of a prompt"),
        }
    }

    /// Asks, shows each event on the way, and gives the final one.
    ///
    /// # Errors
    /// When the request fails or the engine ends.
    pub async fn call(
        &mut self,
        request: Request,
        mut on_event: impl FnMut(&Event),
    ) -> anyhow::Result<Event> {
        let id = self.begin(request).await?;
        loop {
            let event = self.next(id).await?;
            if event.is_final() {
                return Ok(event);
            }
            on_event(&event);
        }
    }

    /// Asks without waiting for an answer; the events come from [`Session::next`].
    ///
    /// # Errors
    /// When the engine has ended, or cannot do that: then with what would give it.
    pub async fn begin(&mut self, request: Request) -> anyhow::Result<RequestId> {
        if let Some((capabilities, runner)) = &self.can
            && let Some(lacking) = capabilities.lacks(&request)
        {
            bail!("{}", lacking.why_not(runner));
        }
        self.last += 1;
        let id = RequestId(self.last);
        match self.engine.send(id, request) {
            Ok(()) => Ok(id),
            Err(gone) => Err(self.last_words(gone).await),
        }
    }

    /// Why an engine takes nothing any more, which it says a moment later.
    async fn last_words(&mut self, gone: Gone) -> anyhow::Error {
        match tokio::time::timeout(LAST_WORDS, self.next_of(&[])).await {
            Ok(Err(error)) => error,
            _ => gone.into(),
        }
    }

    /// SHA-256 of the loaded file, hexadecimal, if it has come.
    #[must_use]
    pub fn model_hash(&self) -> Option<&str> {
        self.hash.as_deref()
    }

    /// Adds what the engine has told of a vocabulary that is not known as a whole.
    pub fn teach(&mut self, vocabulary: &mut Vocabulary) {
        vocabulary.learn(self.words.drain(..));
    }

    /// Stops a request; it still ends with its own final event.
    pub fn cancel(&mut self, target: RequestId) {
        self.last += 1;
        let _ = self.engine.send(RequestId(self.last), Request::Immediate(Immediate::Cancel { target }));
    }

    /// The next event of that request.
    ///
    /// # Errors
    /// When the request failed or the engine ended.
    pub async fn next(&mut self, id: RequestId) -> anyhow::Result<Event> {
        self.next_of(&[id]).await
    }

    /// The next event of any of these requests.
    ///
    /// # Errors
    /// When one of them failed or the engine ended.
    pub async fn next_of(&mut self, ids: &[RequestId]) -> anyhow::Result<Event> {
        loop {
            let Some(envelope) = self.events.recv().await else { bail!("the engine has ended") };
            match envelope.event {
                Event::Exited(exit) => bail!("{}", exit.sentence(self.loading.as_deref())),
                Event::Failed(failure) if ids.contains(&envelope.id) => return Err(failure.into()),
                Event::ModelHash(hash) => self.hash = Some(hash),
                Event::Words { entries, .. } => self.words.extend(entries),
                event if ids.contains(&envelope.id) => return Ok(event),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::Source;

    #[test]
    fn an_engine_that_ended_before_it_was_asked_says_why() {
        let entry = ModelEntry {
            engine: Some(["sh", "-c", "echo no such host >&2; exit 3"].map(str::to_owned).into()),
            ..ModelEntry::new("big", Source::Path("/m/big.gguf".into()))
        };
        let mut session = Session::start(&entry, "llama", &Config::default()).unwrap();
        let is_there =
            || session.engine.send(RequestId(0), Request::Immediate(Immediate::Vocabulary)).is_ok();
        while is_there() {
            std::thread::yield_now();
        }
        let error = crate::cli::block_on(session.load(&entry, &LoadParams::default())).unwrap_err();
        assert_eq!(error.to_string(), "the engine on sh did not start (exit code 3 (no such host))");
    }
}
