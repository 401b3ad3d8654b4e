//! What every command needs first: folders, configuration, the model's entry, its file.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Flags, Folders, Sources, Warning};
use crate::model_entry::ModelEntry;
use crate::models::{self, FetchEvent, FetchStage, ModelsFolder};

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
        if file.is_some() && !config_file.is_file() {
            bail!("the configuration file {} is not there", config_file.display());
        }
        let flags = Flags { model: model.map(str::to_owned), theme: theme.map(str::to_owned), system: None };
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
            let names: Vec<&str> = self.config.models.iter().map(|entry| entry.name.as_str()).collect();
            anyhow!("there is no model named {name}. There are: {}", names.join(", "))
        })
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
        if engine != "llama" || entry.engine.is_some() || folder.locate(entry).is_some() {
            return Ok(());
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
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let watcher = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        });
        let progress = Progress::new();
        let result = models::fetch(entry, &self.models(), |event| progress.show(&event), cancel).await;
        watcher.abort();
        progress.end();
        Ok(result?)
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

/// Progress of a fetch on standard error: one line that grows on a terminal, a line a stage elsewhere.
struct Progress {
    terminal: bool,
    shown: std::sync::Mutex<Option<(FetchStage, u64)>>,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: std::sync::Mutex::new(None) }
    }

    fn show(&self, event: &FetchEvent) {
        let FetchEvent::Progress { name, stage, done, total } = event else { return };
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let percent = if *total > 0 { done * 100 / total } else { 0 };
        let what = match stage {
            FetchStage::Download => "fetching",
            FetchStage::Unpack => "unpacking",
            FetchStage::Check => "checking",
        };
        let new_stage = shown.is_none_or(|(before, _)| before != *stage);
        if self.terminal {
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            let line =
                format!("\r\x1b[K{what} {name}  {percent:>3} %  {:.1} of {:.1} MiB", mib(*done), mib(*total));
            let _ = std::io::stderr().write_all(line.as_bytes());
        } else if new_stage {
            super::note(&format!("{what} {name} …"));
        }
        *shown = Some((*stage, percent));
    }

    fn end(&self) {
        let shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_some();
        if self.terminal && shown {
            let _ = std::io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
