//! The command that starts an engine's process, with what it may read.
//!
//! Invariant: every file that a model's entry names is among them, since an engine is started for one entry and takes no
//! rights back that it gave up.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::config::{Config, Folders};
use crate::engine::containment::driver_caches;
use crate::model_entry::{ModelEntry, at_home};
use crate::models::{ModelsFolder, gguf};

/// The command that starts an engine process for a model: its own, or this program's.
///
/// # Errors
/// When this program's own file cannot be found.
pub fn engine_command(entry: &ModelEntry, choice: &str, config: &Config) -> io::Result<Command> {
    if let Some([program, arguments @ ..]) = entry.engine.as_deref() {
        let mut command = Command::new(program);
        command.args(arguments);
        return Ok(command);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["engine", "--engine", choice]);
    command.env("GGML_NO_BACKTRACE", "1");
    let folders = Folders::find();
    match folders.filter(|_| config.engine.contain) {
        Some(folders) => {
            for path in files_of(entry, &folders) {
                command.arg("--read").arg(path);
            }
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
    all.extend(gguf::part_paths(&models.path_of(entry)));
    all.extend(entry.template.as_deref().map(at_home));
    all.extend(entry.adapters.iter().map(|adapter| at_home(&adapter.path)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Adapter, AdapterKind};
    use crate::model_entry::Source;

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
    fn an_engine_is_free_only_where_the_configuration_has_it_so() {
        let entry = ModelEntry::new("x", Source::Path("/x.gguf".into()));
        let mut config = Config::default();
        let free = |config: &Config| {
            let command = engine_command(&entry, "scripted", config).unwrap();
            command.get_args().any(|argument| argument == "--free")
        };
        assert!(!free(&config));
        config.engine.contain = false;
        assert!(free(&config));
    }
}
