//! What every command needs first: folders, configuration, the model's entry, its file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, anyhow, bail};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::ending::CtrlC;
use super::progress::Progress;
use crate::app::FETCHED_AT_ONCE;
use crate::config::{self, Config, Flags, Folders, Sources, Warning};
use crate::model_entry::{ModelEntry, Server, Source};
use crate::models::{self, ModelsFolder};

/// Whether the command line says `--larger-than-memory`, which every command that loads a model takes.
static LARGER_THAN_MEMORY: AtomicBool = AtomicBool::new(false);

/// Remembers what the command line says for every configuration that is read.
pub fn insist_on_large_models(insist: bool) {
    LARGER_THAN_MEMORY.store(insist, Ordering::Relaxed);
}

/// Folders and configuration.
pub struct Setup {
    /// Where things are kept.
    pub folders: Folders,
    /// The configuration in use.
    pub config: Config,
    /// What was wrong with it.
    pub warnings: Vec<Warning>,
    /// The configuration file, whether it exists or not.
    pub config_file: PathBuf,
    /// What the command line said, for reading the file again.
    pub flags: Flags,
}

impl Setup {
    /// Reads the configuration; `model` and `theme` come from flags. A path as `model` becomes an entry.
    ///
    /// # Errors
    /// When `file` was named and cannot be read, or there is no home folder.
    pub fn read(file: Option<&Path>, model: Option<&str>, theme: Option<&str>) -> anyhow::Result<Self> {
        let folders = Folders::find().context("there is no home folder; set GLASSBOX_HOME to a folder")?;
        let config_file = file.map_or_else(|| folders.config_file(), Path::to_path_buf);
        if file.is_some() && config_file.is_dir() {
            let (folder, inside) = (config_file.display(), config_file.join("config.toml"));
            bail!("{folder} is a folder; name the configuration file itself, such as {}", inside.display());
        }
        if file.is_some() && !config_file.is_file() {
            bail!("the configuration file {} is not there", config_file.display());
        }
        let flags = Flags {
            model: model.map(str::to_owned),
            theme: theme.map(str::to_owned),
            system: None,
            larger_than_memory: LARGER_THAN_MEMORY.load(Ordering::Relaxed),
        };
        let (config, warnings) = read_config(&config_file, &flags);
        Ok(Self { folders, config, warnings, config_file, flags })
    }

    /// Prints what is wrong with the configuration, to standard error.
    pub fn print_warnings(&self) {
        // A model that the command line names and that is not there is an error: see [`Setup::entry`].
        let unknown = self.flags.model.as_ref().filter(|name| self.config.model_named(name).is_none());
        let said = |warning: &&Warning| unknown.is_none() || warning.file != config::MODEL_FLAG;
        for warning in self.warnings.iter().filter(said) {
            super::note(&warning.to_string());
        }
    }

    /// The entry of the model in use: of the one that the command line names, else of the configuration's.
    ///
    /// # Errors
    /// When there is none of that name; names those there are. No other model answers in its place.
    pub fn entry(&self) -> anyhow::Result<ModelEntry> {
        self.entry_named(self.flags.model.as_ref().unwrap_or(&self.config.model))
    }

    /// The entry of that name, or for that path.
    ///
    /// # Errors
    /// As [`Setup::entry`].
    pub fn entry_named(&self, name: &str) -> anyhow::Result<ModelEntry> {
        self.config.model_named(name).ok_or_else(|| {
            if let Some(Err(must)) = name.contains("://").then(|| Server::at(name)) {
                return anyhow!("an address of a server {must}");
            }
            let port = name.split(['/', '#']).next().and_then(|host| host.rsplit_once(':'));
            if port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
                return anyhow!(
                    "there is no model named {name}. If it is the address of a server, write {}",
                    Server::with_scheme(name)
                );
            }
            let names: Vec<&str> = self.config.models.iter().map(|entry| entry.name.as_str()).collect();
            anyhow!("there is no model named {name}. There are: {}", names.join(", "))
        })
    }

    /// The entry with what its file recommends of the sampler, where that is here.
    pub fn advised(&self, entry: ModelEntry) -> ModelEntry {
        match self.models().resolve(&entry) {
            Ok((_, facts)) if entry.engine.is_none() => entry.advised_by(&facts),
            _ => entry,
        }
    }

    /// Where model files are kept.
    pub fn models(&self) -> ModelsFolder {
        ModelsFolder::new(self.folders.models())
    }

    /// Fetches a model that is not here yet, with its progress on standard error.
    ///
    /// # Errors
    /// With a sentence for the user; terms of use must have been accepted before.
    pub async fn fetch_if_missing(&self, entry: &ModelEntry, engine: &str) -> anyhow::Result<()> {
        let folder = self.models();
        if engine != "llama"
            || entry.engine.is_some()
            || entry.server().is_some()
            || folder.locate(entry).is_some()
        {
            return Ok(());
        }
        if let Some(path) = named_by_its_path(entry) {
            bail!("there is no file {}; check the path", path.display());
        }
        let terms = entry.licence.as_ref().is_some_and(|licence| licence.terms.is_some());
        if terms && !folder.licence_accepted(entry) {
            bail!(
                "{} is not in {}, and it comes with terms of use to accept before it is fetched: glassbox models \
                 pull {} --accept-licence",
                entry.name,
                folder.path().display(),
                entry.name
            );
        }
        self.fetch(entry).await.map(drop)
    }

    /// Fetches a model, with its progress on standard error.
    ///
    /// # Errors
    /// With a sentence for the user.
    pub async fn fetch(&self, entry: &ModelEntry) -> anyhow::Result<PathBuf> {
        let mut fetched = self.fetch_all(std::slice::from_ref(entry)).await;
        Ok(fetched.pop().map(|(_, result)| result).ok_or_else(|| anyhow!("nothing was fetched"))??)
    }

    /// Fetches models, several at once, with their progress on standard error; what came of each. Ctrl+C stops all and
    /// keeps what has arrived.
    pub async fn fetch_all<'a>(
        &self,
        entries: &'a [ModelEntry],
    ) -> Vec<(&'a ModelEntry, Result<PathBuf, models::FetchError>)> {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let mut ctrl_c = CtrlC::take();
        let watcher = tokio::spawn(async move {
            ctrl_c.pressed().await;
            stop.cancel();
        });
        let progress = Progress::new(entries);
        let folder = self.models();
        let fetch = async |entry: &'a ModelEntry| {
            let result = models::fetch(entry, &folder, |event| progress.show(event), cancel.clone()).await;
            (entry, result)
        };
        let all = futures_util::stream::iter(entries).map(fetch).buffer_unordered(FETCHED_AT_ONCE);
        let results: Vec<_> = all.collect().await;
        watcher.abort();
        progress.end();
        results
    }
}

/// The file of an entry that is called by it, so that its name is not said beside it.
fn named_by_its_path(entry: &ModelEntry) -> Option<&Path> {
    match &entry.source {
        Source::Path(path) if path.to_str() == Some(entry.name.as_str()) => Some(path),
        _ => None,
    }
}

/// Reads the configuration file with the environment and the flags over it.
pub fn read_config(file: &Path, flags: &Flags) -> (Config, Vec<Warning>) {
    let (text, trouble) = match config::read_file(file) {
        Ok(text) => (text, None),
        Err(warning) => (None, Some(warning)),
    };
    let (mut config, mut warnings) = config::load(&Sources {
        builtin_models: models::built_in(),
        file: text,
        env: std::env::vars().filter(|(name, _)| config::is_of_environment(name)).collect(),
        flags: flags.clone(),
    });
    warnings.extend(trouble);
    let folder = file.parent().unwrap_or(Path::new(".")).join("personas");
    let (personas, said) = config::personas(&folder);
    config.personas = personas;
    warnings.extend(said);
    (config, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "").unwrap();
        let setup = Setup::read(Some(&file), Some("b/missing.gguf"), None).unwrap();
        let entry = setup.entry().unwrap();
        let fetched = super::super::block_on(setup.fetch_if_missing(&entry, "llama"));
        assert_eq!(fetched.unwrap_err().to_string(), "there is no file b/missing.gguf; check the path");
    }
}
