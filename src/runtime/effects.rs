//! What the app asked for, done.
//!
//! Invariant: nothing here waits for long; what takes time runs beside the loop and comes back as a message.

use std::io::Write as _;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::shell::Shell;
use super::{engine_command, files, heads, log, terminal};
use crate::app::{Effect, EngineId, FilesWanted, Msg};
use crate::config::{self, Notify};
use crate::elsewhere::Elsewhere;
use crate::engine::protocol::{Envelope, Event, Exit, RequestId};
use crate::engine::snapshot;
use crate::engine::transport::child::ChildEngine;
use crate::model_entry::{ModelEntry, Source};
use crate::models::machine::Machine;
use crate::models::{self, FetchEvent, Places};
use crate::sanitize;
use crate::store;

impl Shell {
    /// Performs one effect.
    pub(super) fn perform(&mut self, effect: Effect) -> anyhow::Result<()> {
        match effect {
            Effect::Store(command) => {
                if let store::Command::PurgeConversation(chat) = command {
                    snapshot::forget(&snapshot::folder(&self.folders.cache), chat);
                }
                self.store.send(command);
            }
            Effect::StartEngine(id, entry) => self.start_engine(id, &entry),
            Effect::StopEngine(id) => self.engine = self.engine.take().filter(|(running, _)| *running != id),
            Effect::Engine(id, request, body) => {
                if let Some((running, engine)) = &self.engine
                    && *running == id
                {
                    // An engine that has ended says so itself.
                    let _ = engine.send(request, *body);
                }
            }
            Effect::Fetch(entry) => self.fetch(*entry),
            Effect::StopFetch(name) => {
                if let Some((cancel, _)) = self.fetches.get(&name) {
                    cancel.cancel();
                }
            }
            Effect::DiscardFetch(entry) => {
                if let Err(models::RemoveError::Io { path, source }) = self.models.discard(&entry) {
                    let message = format!("{} is still there: {source}", path.display());
                    self.say(FetchEvent::Noted { name: entry.name, message });
                }
            }
            Effect::RemoveModel(entry) => {
                if let Err(error) = self.models.remove(&entry) {
                    let message = format!("{} was not removed: {error}", entry.name);
                    self.say(FetchEvent::Failed { name: entry.name.clone(), message, cancelled: false });
                }
                self.read_catalogue();
            }
            Effect::ReadCatalogue => self.read_catalogue(),
            Effect::MeasureMachine => {
                let messages = self.messages.clone();
                tokio::task::spawn_blocking(move || {
                    let _ = messages.send(Msg::Machine(Machine::measured())); // the app may have ended meanwhile
                });
            }
            Effect::ReadConfig => {
                self.look.forget();
                let (config, warnings) = self.config_file.read(&self.app.config);
                let _ = self.messages.send(Msg::Config(Box::new(config), warnings));
            }
            Effect::WriteConfig { key, value } => self.write_config(&key, &value),
            Effect::Copy(text) => {
                let result = self.clipboard.copy(&text);
                let _ = self.messages.send(Msg::Copied(result));
            }
            Effect::WriteFile { name, text } => {
                let _ = self.messages.send(Msg::Copied(write_file(&name, text.as_bytes())));
            }
            Effect::WriteVector { name, bytes, said } => {
                let written = write_file(&name, &bytes).map(|written| format!("{written}: {said}"));
                let _ = self.messages.send(Msg::Copied(written));
            }
            Effect::ReadHub(name) => self.read_hub(name),
            Effect::ReadServed(entry) => self.read_served(*entry),
            Effect::AddModel(entry) => match config::add_model_to(&self.config_file.path, &entry) {
                Ok(()) => self.config_file.seen(),
                Err(problem) => {
                    let _ = self.messages.send(Msg::Copied(Err(problem)));
                }
            },
            Effect::ReadGrammar(name) => {
                let _ = self.messages.send(Msg::Grammar(read_grammar(&name)));
            }
            Effect::DrawStation { name, picture, size } => {
                let text = crate::ui::picture::draw(&self.app, &self.theme, picture, size);
                let _ = self.messages.send(Msg::Copied(write_file(&name, text.as_bytes())));
            }
            Effect::Edit(text) => self.edit(text),
            Effect::ReadFiles(names, wanted) => {
                let messages = self.messages.clone();
                tokio::task::spawn_blocking(move || {
                    let read = names.iter().map(|name| files::read(name));
                    let is_word =
                        |file: &crate::app::FileRead| wanted == FilesWanted::Sent && files::is_folder(file);
                    let _ =
                        messages.send(Msg::FilesRead(read.filter(|file| !is_word(file)).collect(), wanted));
                });
            }
            Effect::ListPaths(typed) => {
                let messages = self.messages.clone();
                tokio::task::spawn_blocking(move || {
                    let found = files::offers(&typed);
                    let _ = messages.send(Msg::Paths(typed, found));
                });
            }
            Effect::HashModel(id, entry) => self.hash_model(id, *entry),
            Effect::RecallHeads(hash) => {
                let scores = heads::recall(&self.folders.cache, &hash).map(Box::new);
                let _ = self.messages.send(Msg::Heads(hash, scores));
            }
            Effect::KeepHeads(hash, scores) => {
                if let Err(error) = heads::keep(&self.folders.cache, &hash, &scores) {
                    tracing::warn!(%error, "what the heads usually do was not kept");
                }
            }
            Effect::Title(title) => {
                self.title = sanitize::for_display(&title);
                terminal::set_title(&self.title);
            }
            Effect::Notify(how, text) => notify(how, &text),
            Effect::ShowText(messages) => self.show_text(&messages)?,
            Effect::Mouse(on) => terminal::set_mouse(on),
            Effect::Redraw => {
                self.links.forget();
                terminal::wipe(&mut self.screen)?;
                self.app.out.dirty = true;
            }
            Effect::Suspend => self.suspend()?,
            Effect::Quit => self.ended = true,
        }
        Ok(())
    }

    fn start_engine(&mut self, id: EngineId, entry: &ModelEntry) {
        self.engine = None; // ends the one before
        let messages = self.messages.clone();
        let sink = Box::new(move |envelope| {
            let _ = messages.send(Msg::Engine(id, envelope)); // the app may have ended
        });
        let log = log::of_engine(&self.folders.state);
        let started = engine_command(entry, &self.app.config.models, &self.engine_choice, &self.app.config)
            .and_then(|command| ChildEngine::spawn_at(command, Elsewhere::of(entry), sink, log));
        match started {
            Ok(engine) => self.engine = Some((id, Box::new(engine))),
            Err(error) => {
                let program = entry.engine.as_deref().and_then(<[String]>::first);
                let how = match program {
                    Some(program) => format!("could not be started, since {program} could not: {error}"),
                    None => format!("its process could not be started: {error}"),
                };
                let exit = Event::Exited(Exit { how, ..Exit::default() });
                let _ = self.messages.send(Msg::Engine(id, Envelope { id: RequestId(0), event: exit }));
            }
        }
    }

    /// Fetches a model; the app asks for it only once its terms, if any, were accepted.
    fn fetch(&mut self, entry: ModelEntry) {
        if needs_no_file(&self.engine_choice, &entry) {
            return self.say(FetchEvent::Finished { name: entry.name, path: PathBuf::new() });
        }
        if entry.licence.as_ref().is_some_and(|licence| licence.terms.is_some())
            && let Err(error) = self.models.accept_licence(&entry)
        {
            tracing::warn!(%error, "the acceptance of the terms was not kept");
        }
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let before = self.fetches.remove(&entry.name);
        let (name, messages, folder) = (entry.name.clone(), self.messages.clone(), self.models.clone());
        let task = tokio::spawn(async move {
            // One that was just stopped may still write what it has.
            if let Some((cancel, task)) = before {
                cancel.cancel();
                let _ = task.await;
            }
            let show = move |event| {
                let _ = messages.send(Msg::Fetch(event)); // the app may have ended
            };
            // How it ended was among what it showed.
            if let Err(error) = models::fetch(&entry, &folder, show, cancel).await {
                tracing::warn!(name = entry.name, %error, "a fetch failed");
            }
        });
        self.fetches.insert(name, (stop, task));
    }

    /// Finds the hash of a loaded model's file, in the background; it is remembered.
    fn hash_model(&self, id: EngineId, entry: ModelEntry) {
        if needs_no_file(&self.engine_choice, &entry) {
            return; // the scripted engine tells its own
        }
        let (folder, messages) = (self.models.clone(), self.messages.clone());
        tokio::task::spawn_blocking(move || {
            let Ok((_, facts)) = folder.resolve(&entry) else { return };
            match folder.hash_cached(&facts.files, |_| Ok(())) {
                Ok(hash) => {
                    let event = Event::ModelHash(hash);
                    let _ = messages.send(Msg::Engine(id, Envelope { id: RequestId(0), event }));
                }
                Err(error) => tracing::warn!(name = entry.name, %error, "the model's hash is not known"),
            }
        });
    }

    fn read_catalogue(&self) {
        let (folder, mut entries, messages) =
            (self.models.clone(), self.app.config.models.clone(), self.messages.clone());
        // One that the command line names by an address, or of a server's models another than its entry names.
        let in_use = self.app.config.model_named(&self.app.model.name);
        let in_use = in_use.filter(|entry| entry.server().is_some() && !entries.contains(entry));
        entries.splice(0..0, in_use);
        let engine = self.engine_choice.clone();
        let places = Places::of(&self.app.config.model_folders, self.app.config.other_apps);
        tokio::task::spawn_blocking(move || {
            let mut items = folder.catalogue_with(&entries, places.scan());
            for item in items.iter_mut().filter(|item| needs_no_file(&engine, &item.entry)) {
                item.path.get_or_insert_default();
            }
            let _ = messages.send(Msg::Catalogue(items));
            if let Some((free, _)) = super::memory() {
                let _ = messages.send(Msg::Memory(free));
            }
        });
    }

    #[cfg(feature = "remote")]
    fn read_hub(&self, name: String) {
        use crate::models::{fetch::Remote, hub};
        let messages = self.messages.clone();
        tokio::spawn(async move {
            let found = hub::repository(&Remote::from_env(), &name).await.map_err(|error| error.to_string());
            let offer = match found {
                Ok(found) => {
                    // Measuring takes a moment of every core.
                    let measured = tokio::task::spawn_blocking(move || hub::Offer::of(found)).await;
                    measured.map(Box::new).map_err(|error| error.to_string())
                }
                Err(problem) => Err(problem),
            };
            let _ = messages.send(Msg::Hub(name, offer));
        });
    }

    #[cfg(not(feature = "remote"))]
    fn read_hub(&self, name: String) {
        let why = "this glassbox was built without downloads over HTTPS (the feature `remote`)";
        let _ = self.messages.send(Msg::Hub(name, Err(why.to_owned())));
    }

    fn write_config(&mut self, key: &str, value: &str) {
        let path = self.config_file.path.clone();
        // A file that is there and cannot be read is not written over.
        let written = config::read_file(&path)
            .map_err(|warning| warning.message)
            .and_then(|text| {
                let text = text.map(|(_, text)| text).unwrap_or_default();
                config::set_key(&text, key, value).map_err(|error| error.to_string())
            })
            .and_then(|text| config::write_atomically(&path, &text).map_err(|error| error.to_string()));
        match written {
            // What was written is what is in use already: no need to read it again.
            Ok(()) => self.config_file.seen(),
            Err(error) => {
                let warning = config::Warning {
                    file: path.display().to_string(),
                    line: 0,
                    key: key.to_owned(),
                    message: format!("was not written: {error}"),
                };
                let config = Box::new(self.app.config.clone());
                let _ = self.messages.send(Msg::Config(config, vec![warning]));
            }
        }
    }

    /// Tells the app what came of editing.
    pub(super) fn edited(&self, result: Result<super::editor::Edited, String>) {
        let (text, note) = match result {
            Ok(edited) => (edited.text.map(Ok), edited.note),
            Err(message) => (Some(Err(message)), None),
        };
        if let Some(text) = text {
            let _ = self.messages.send(Msg::Edited(text));
        }
        if let Some(note) = note {
            let _ = self.messages.send(Msg::Noted(note));
        }
    }

    fn say(&self, event: FetchEvent) {
        let _ = self.messages.send(Msg::Fetch(event));
    }
}

/// What an engine elsewhere needs lies there. The scripted engine makes its models up; only what comes over the network
/// comes for it too.
fn needs_no_file(engine: &str, entry: &ModelEntry) -> bool {
    Elsewhere::of(entry).is_some()
        || engine != "llama" && !matches!(entry.source, Source::Hf(_) | Source::Url(_))
}

/// Writes a new file: under the name, or under `name-2`… where there is one already. Says where it is.
fn write_file(name: &str, bytes: &[u8]) -> Result<String, String> {
    let wanted = files::at(name);
    let stem = wanted.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = wanted.extension().unwrap_or_default().to_string_lossy().into_owned();
    let others = (2..1000).map(|number| wanted.with_file_name(format!("{stem}-{number}.{ending}")));
    for path in std::iter::once(wanted.clone()).chain(others) {
        let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
        let written = file.and_then(|mut file| {
            // Half a file is none: it would pass for the whole.
            file.write_all(bytes).inspect_err(|_| drop(std::fs::remove_file(&path)))
        });
        match written {
            Ok(()) => {
                let whole = std::path::absolute(&path).unwrap_or(path);
                return Ok(format!("wrote {}", sanitize::for_display(&whole.to_string_lossy())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("{} was not written: {error}", path.display())),
        }
    }
    Err(format!("{} was not written: there are a thousand of it already", wanted.display()))
}

fn read_grammar(name: &str) -> Result<(String, String), String> {
    let path = files::at(name);
    let (grammar, notes) = crate::attachment::grammar(crate::attachment::Attachment::read(&path), None)?;
    let mut said = vec![format!("replies in this chat follow {}", sanitize::for_display(name))];
    said.extend(notes);
    Ok((grammar, said.join("; ")))
}

fn notify(how: Notify, text: &str) {
    let text = sanitize::for_display(text);
    let bytes = match how {
        Notify::Bell => "\x07".to_owned(),
        Notify::Osc9 => format!("\x1b]9;{text}\x1b\\"),
        Notify::Title => format!("\x1b]0;{text}\x1b\\"),
        Notify::None => return,
    };
    let mut out = super::output::Output::default();
    let _ = out.write_all(bytes.as_bytes()).and_then(|()| out.flush());
}
