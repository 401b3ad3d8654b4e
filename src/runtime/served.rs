//! The models of a server, asked for by an engine's process of its own: what a server sends is read there, and the key is
//! read there too.
//!
//! Invariant: nothing waits for it, and it ends: with an answer, with its process, or after [`PATIENCE`].

use std::time::Duration;

use tokio::sync::mpsc;

use super::engine_command;
use super::shell::Shell;
use crate::app::Msg;
use crate::elsewhere::Elsewhere;
use crate::engine::Engine as _;
use crate::engine::protocol::{Envelope, Event, Immediate, Request, RequestId};
use crate::engine::transport::child::ChildEngine;
use crate::model_entry::ModelEntry;

/// How long is waited for all of it.
const PATIENCE: Duration = Duration::from_secs(45);
/// The only request.
const ASKED: RequestId = RequestId(1);

impl Shell {
    /// Asks beside the loop; the answer comes as a message.
    pub(super) fn read_served(&self, entry: ModelEntry) {
        let (out, events) = mpsc::unbounded_channel();
        let sink = Box::new(move |envelope| {
            let _ = out.send(envelope); // nobody may wait any more
        });
        let started = engine_command(&entry, &[], &self.engine_choice, &self.app.config)
            .and_then(|command| ChildEngine::spawn_at(command, Elsewhere::of(&entry), sink, None));
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let (name, entry) = (entry.name.clone(), Box::new(entry));
            let models = match started {
                Err(error) => Err(format!("the process that asks could not be started: {error}")),
                Ok(engine) => match engine.send(ASKED, Request::Immediate(Immediate::Served { entry })) {
                    Err(error) => Err(error.to_string()),
                    Ok(()) => answer(events).await,
                },
            };
            let _ = messages.send(Msg::Served(name, models)); // the app may have ended
        });
    }
}

async fn answer(mut events: mpsc::UnboundedReceiver<Envelope>) -> Result<Vec<String>, String> {
    let answer = async {
        while let Some(Envelope { id, event }) = events.recv().await {
            match event {
                Event::Served { ids, .. } if id == ASKED => return Ok(ids),
                Event::Failed(failure) if id == ASKED => return Err(failure.message),
                Event::Exited(exit) => return Err(exit.sentence(None)),
                _ => {}
            }
        }
        Err("the process that asked has ended".to_owned())
    };
    let late = || Err(format!("nothing came for {} seconds", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| late())
}
