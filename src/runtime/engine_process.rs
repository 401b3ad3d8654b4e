//! The command that starts an engine's process, with what it may read.
//!
//! Invariants: every file that a model's entry names is among them, since an engine is started for one entry and takes no
//! rights back that it gave up. What starts one elsewhere has no terminal, so that it can ask nothing there.

use std::path::PathBuf;
use std::process::Command;
use std::{io, iter};

use super::native;
use crate::config::{Config, Folders};
use crate::elsewhere;
use crate::engine::containment::driver_caches;
use crate::model_entry::{Key, ModelEntry, Source, at_home};
use crate::models::{ModelsFolder, gguf};

/// The command that starts an engine process for a model: its own, or this program's. It may also read the files of models
/// that could be held against it.
///
/// # Errors
/// When this program's own file cannot be found.
pub fn engine_command(
    entry: &ModelEntry,
    beside: &[ModelEntry],
    choice: &str,
    config: &Config,
) -> io::Result<Command> {
    if let Some([program, arguments @ ..]) =
        entry.engine.as_deref().map(elsewhere::without_questions).as_deref()
    {
        let mut command = Command::new(program);
        command.args(arguments);
        native::without_terminal(&mut command);
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    let is_asked = entry.server().is_some() && choice == "llama";
    command.args(["engine", "--engine", if is_asked { "server" } else { choice }]);
    // A server and workers are on other machines.
    if is_asked || !entry.rpc.is_empty() {
        command.arg("--network");
    }
    command.env("GGML_NO_BACKTRACE", "1");
    let folders = Folders::find();
    match folders.filter(|_| config.engine.contain) {
        Some(folders) => {
            // Never the key of a server.
            let files = beside.iter().filter(|other| other.server().is_none() && entry.server().is_none());
            for path in iter::once(entry).chain(files).flat_map(|entry| files_of(entry, &folders)) {
                command.arg("--read").arg(path);
            }
            command.arg("--read-openly");
            command.envs(driver_caches(&folders.engine()[0]));
        }
        None if config.engine.contain => {}
        None => {
            command.arg("--free");
        }
    }
    Ok(command)
}

/// The files that an entry names, and the folder of fetched models.
fn files_of(entry: &ModelEntry, folders: &Folders) -> Vec<PathBuf> {
    let models = ModelsFolder::new(folders.models());
    let mut all = vec![models.path().to_path_buf()];
    match &entry.source {
        Source::Server(server) => all.extend(match &server.key {
            Some(Key::File(path)) => Some(at_home(path)),
            Some(Key::Env(_)) | None => None,
        }),
        _ => all.extend(gguf::part_paths(&models.path_of(entry))),
    }
    all.extend(entry.draft_model.iter().flat_map(|draft| files_of(draft, folders)));
    all.extend(entry.template.as_deref().map(at_home));
    all.extend(entry.adapters.iter().map(|adapter| at_home(&adapter.path)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Adapter, AdapterKind};
    use crate::model_entry::Server;

    #[test]
    fn every_file_of_an_entry_may_be_read() {
        let mut entry = ModelEntry::new("x", Source::Path("/m/.x/a-00001-of-00002.gguf".into()));
        entry.template = Some("/t/own.jinja".into());
        entry.adapters = vec![Adapter { kind: AdapterKind::Lora, path: "/a/l.gguf".into(), scale: 1.0 }];
        let read = files_of(&entry, &Folders::under("/home".as_ref()));
        let expected = [
            "/home/data/models",
            "/m/.x/a-00001-of-00002.gguf",
            "/m/.x/a-00002-of-00002.gguf",
            "/t/own.jinja",
            "/a/l.gguf",
        ];
        assert_eq!(read, expected.map(PathBuf::from));
    }

    #[test]
    fn a_server_is_asked_by_a_process_with_a_network_and_its_key() {
        let key = Some(Key::File("/k/key".into()));
        let server = Server { key, ..Server::at("http://127.0.0.1:1/v1").unwrap() };
        let entry = ModelEntry::new("x", Source::Server(server));
        assert_eq!(files_of(&entry, &Folders::under("/home".as_ref()))[1..], [PathBuf::from("/k/key")]);
        let arguments = |choice: &str| {
            let command = engine_command(&entry, &[], choice, &Config::default()).unwrap();
            command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(arguments("llama")[..4], ["engine", "--engine", "server", "--network"]);
        assert_eq!(arguments("scripted")[..3], ["engine", "--engine", "scripted"]);
        assert!(!arguments("scripted").contains(&"--network".to_owned()));
    }

    #[test]
    fn an_engine_is_free_only_where_the_configuration_has_it_so() {
        let entry = ModelEntry::new("x", Source::Path("/x.gguf".into()));
        let mut config = Config::default();
        let free = |config: &Config| {
            let command = engine_command(&entry, &[], "scripted", config).unwrap();
            command.get_args().any(|argument| argument == "--free")
        };
        assert!(!free(&config));
        config.engine.contain = false;
        assert!(free(&config));
    }
}
