//! `glassbox export`: a chat as Markdown, JSON, JSON Lines or one HTML page; without an id, the list of chats.
//!
//! Invariant: the database is only read from, and never made by asking for an export.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use super::args::ExportArgs;
use crate::chat::{Conversation, ConversationHead, ConversationId, Run, RunId};
use crate::config::Folders;
use crate::export::{Document, Format};
use crate::store::{Command, Event, Store};
use crate::token::Vocabulary;

/// A read takes longer than this only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// Exports a chat; gives the exit code.
///
/// # Errors
/// When there is no such chat, or the file cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    let folders = Folders::find().context("there is no home folder; set GLASSBOX_HOME to a folder")?;
    let reader = Reader::open(&folders.database())?;
    let Some(wanted) = &args.id else {
        list(&reader.heads()?);
        return Ok(0);
    };
    let format = args.format();
    let id = reader.find(wanted)?;
    let (conversation, runs) = reader.conversation(id)?;
    let vocabularies = reader.vocabularies(&runs)?;
    let document = Document { conversation: &conversation, runs: &runs, vocabularies: &vocabularies };
    let text = document.export(format);
    if let Some(path) = args.output.as_deref().filter(|path| *path != Path::new("-")) {
        write_new(path, &text, args.force)?;
        super::note(&format!("wrote {}", path.display()));
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output was closed")?;
    }
    Ok(0)
}

/// Writes a file that is not there yet, or any with `force`.
fn write_new(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow!("{} is there already; --force writes over it", path.display())
        }
        _ => anyhow!("{} cannot be written: {error}", path.display()),
    });
    file?.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

fn list(heads: &[ConversationHead]) {
    if heads.is_empty() {
        super::note("there is no chat yet");
    }
    for head in heads {
        let title = crate::sanitize::for_copy(&head.title).replace('\n', " ");
        super::print(&format!("{:>20}  {title}", head.id.0));
    }
}

/// The store, asked one thing at a time.
pub(super) struct Reader {
    pub(super) store: Store,
    events: Receiver<Event>,
}

impl Reader {
    pub(super) fn open(database: &Path) -> anyhow::Result<Self> {
        if !database.is_file() {
            bail!("there is no chat yet: {} is not there", database.display());
        }
        let (sender, events) = channel();
        let store = Store::open(
            database,
            Box::new(move |event| {
                let _ = sender.send(event); // the command may have ended already
            }),
        );
        let reader = Self { store, events };
        reader.wait(|event| match event {
            Event::Ready { .. } => Some(()),
            _ => None,
        })?;
        Ok(reader)
    }

    /// The first event that `wanted` takes.
    pub(super) fn wait<T>(&self, wanted: impl Fn(Event) -> Option<T>) -> anyhow::Result<T> {
        loop {
            let event = self.events.recv_timeout(PATIENCE).context("the database does not answer")?;
            if let Event::Trouble { message, .. } = &event {
                bail!("{message}");
            }
            if let Some(answer) = wanted(event) {
                return Ok(answer);
            }
        }
    }

    pub(super) fn heads(&self) -> anyhow::Result<Vec<ConversationHead>> {
        self.store.send(Command::List);
        self.wait(|event| match event {
            Event::Listed(heads) => Some(heads),
            _ => None,
        })
    }

    /// The chat of that id; `last` is the newest.
    pub(super) fn find(&self, wanted: &str) -> anyhow::Result<ConversationId> {
        let heads = self.heads()?;
        let found = match wanted {
            "last" => heads.first(),
            id => heads.iter().find(|head| head.id.0.to_string() == id),
        };
        found
            .map(|head| head.id)
            .with_context(|| format!("there is no chat {wanted}; `glassbox export` without an id lists them"))
    }

    pub(super) fn conversation(
        &self,
        id: ConversationId,
    ) -> anyhow::Result<(Conversation, BTreeMap<RunId, Run>)> {
        self.store.send(Command::Open(id));
        let conversation = self.wait(|event| match event {
            Event::Opened(of, conversation) if of == id => Some(conversation),
            _ => None,
        })?;
        let conversation = conversation.with_context(|| format!("there is no chat {}", id.0))?;
        let runs = self.wait(|event| match event {
            Event::Runs(of, runs) if of == id => Some(runs),
            _ => None,
        })?;
        Ok((*conversation, runs.into_iter().map(|run| (run.id, run)).collect()))
    }

    pub(super) fn vocabularies(
        &self,
        runs: &BTreeMap<RunId, Run>,
    ) -> anyhow::Result<BTreeMap<String, Arc<Vocabulary>>> {
        let mut vocabularies = BTreeMap::new();
        for hash in runs.values().filter_map(|run| run.vocabulary.as_ref()) {
            if vocabularies.contains_key(hash) {
                continue;
            }
            self.store.send(Command::Vocabulary(hash.clone()));
            let vocabulary = self.wait(|event| match event {
                Event::Vocabulary(of, vocabulary) if of == *hash => Some(vocabulary),
                _ => None,
            })?;
            if let Some(vocabulary) = vocabulary {
                vocabularies.insert(hash.clone(), Arc::from(vocabulary));
            }
        }
        Ok(vocabularies)
    }
}

impl ExportArgs {
    /// The format asked for; else the one of the file's ending, else Markdown.
    fn format(&self) -> Format {
        let by_ending = || {
            let ending = self.output.as_deref()?.extension()?.to_str()?;
            Format::named(ending)
        };
        self.format.or_else(by_ending).unwrap_or(Format::Markdown)
    }
}
