//! The models folder: where fetched files live, what is there, and what an entry stands for on this machine.
//!
//! Invariant: a file name is made of safe characters and of the entry's name and source together, so an
//! entry whose source was changed never gets the old source's file.

use std::path::{Path, PathBuf};

use super::gguf::{GgufError, Header, part_names, part_paths};
use super::unfinished::{Unfinished, with_suffix};
use super::{CatalogueItem, FoundModel, built_in, hash, licence};
use crate::elsewhere::Elsewhere;
use crate::model_entry::{ModelEntry, ModelFacts, Source, at_home};

/// The folder that fetched models are kept in, `models/` of the data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelsFolder {
    folder: PathBuf,
}

/// Why an entry gives no model.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It is to be fetched first.
    #[error("The model {name} is not on this machine yet. Fetch it with `glassbox models pull {name}`.")]
    NotFetched {
        /// The entry's name.
        name: String,
    },
    /// A server runs it.
    #[error("{name} runs on the server at {host}; it has no file on this machine.")]
    OnServer {
        /// The entry's name.
        name: String,
        /// Machine and port.
        host: String,
    },
    /// Its file is not a usable model.
    #[error("{0}")]
    Bad(#[from] GgufError),
    /// Its file is something else than a chat model.
    #[error("{path} {what}", path = path.display())]
    NotAChat {
        /// The file.
        path: PathBuf,
        /// What it is, as the rest of a sentence and another.
        what: String,
    },
    /// Its file has a header and no weights.
    #[error("{path} holds no weights, only a header (a vocabulary, perhaps). Name a whole model.", path = .0.display())]
    NoWeights(PathBuf),
}

/// Why a model was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The user's own file.
    #[error("{name} is your own file, {path}; glassbox removes only what it fetched. Delete it yourself if you mean to.", path = path.display())]
    Own {
        /// The entry's name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// Nothing is there.
    #[error("{0} is not on this machine; there is nothing to remove.")]
    NotThere(String),
    /// The system refused.
    #[error("{path} cannot be removed ({source}). Check the permissions of its folder.", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl ModelsFolder {
    /// The folder itself; it is made when something is first written.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Where the entry's file is or would be; of a split model, its first part.
    #[must_use]
    pub fn path_of(&self, entry: &ModelEntry) -> PathBuf {
        if let Source::Path(path) = &entry.source {
            return at_home(path);
        }
        let stem = file_stem(entry);
        let parts = part_names(remote_name(&entry.source));
        if parts.len() == 1 {
            return self.folder.join(format!("{stem}.gguf"));
        }
        self.folder.join(format!("{stem}-00001-of-{:05}.gguf", parts.len()))
    }

    /// The entry's file, if all of it is there.
    #[must_use]
    pub fn locate(&self, entry: &ModelEntry) -> Option<PathBuf> {
        let path = self.path_of(entry);
        let there = match entry.source {
            Source::Server(_) => false,
            Source::Path(_) => path.exists(),
            _ => part_paths(&path).iter().all(|part| part.is_file()),
        };
        there.then_some(path)
    }

    /// The entry's file and what its header says; what the engine does before it loads.
    ///
    /// # Errors
    /// [`ResolveError`], a sentence for the user.
    pub fn resolve(&self, entry: &ModelEntry) -> Result<(PathBuf, ModelFacts), ResolveError> {
        let path = match (&entry.source, self.locate(entry)) {
            (_, Some(path)) => path,
            (Source::Path(_), None) => return Err(GgufError::Missing(self.path_of(entry)).into()),
            (Source::Server(server), None) => {
                let (name, host) = (entry.name.clone(), server.host().to_owned());
                return Err(ResolveError::OnServer { name, host });
            }
            (_, None) => return Err(ResolveError::NotFetched { name: entry.name.clone() }),
        };
        let header = Header::read(&path)?;
        if let Some(what) = header.not_a_chat() {
            return Err(ResolveError::NotAChat { path, what });
        }
        let facts = header.facts().clone();
        if facts.parameters == 0 {
            return Err(ResolveError::NoWeights(path));
        }
        Ok((path, facts))
    }

    /// Every entry with what is known of its file.
    #[must_use]
    pub fn catalogue(&self, entries: &[ModelEntry]) -> Vec<CatalogueItem> {
        entries.iter().map(|entry| self.item(entry)).collect()
    }

    /// The same, with the models that were found behind them; those that an entry names are left out.
    #[must_use]
    pub fn catalogue_with(&self, entries: &[ModelEntry], found: Vec<FoundModel>) -> Vec<CatalogueItem> {
        let mut items = self.catalogue(entries);
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let known: Vec<PathBuf> = items.iter().filter_map(|item| item.path.as_deref()).map(real).collect();
        for model in found.into_iter().filter(|model| !known.contains(&real(&model.path))) {
            // By its path it can be named from everywhere.
            let mut entry =
                ModelEntry::new(model.path.display().to_string(), Source::Path(model.path.clone()));
            entry.title = Some(if model.app.is_empty() {
                model.title
            } else {
                format!("{} ({})", model.title, model.app)
            });
            items.push(self.item(&entry));
        }
        items
    }

    /// What a download of the entry that was broken off has left, where it can go on.
    #[must_use]
    pub fn unfinished(&self, entry: &ModelEntry) -> Option<Unfinished> {
        if !matches!(entry.source, Source::Hf(_) | Source::Url(_)) {
            return None;
        }
        Unfinished::of(&part_paths(&self.path_of(entry)))
    }

    /// Removes what a download that was broken off has left; gives the bytes that are free again.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn discard(&self, entry: &ModelEntry) -> Result<u64, RemoveError> {
        self.remove_all(entry, |file| vec![with_suffix(file, ".part"), with_suffix(file, ".part.toml")])
    }

    /// Removes a fetched model, its unfinished parts included; gives the bytes that are free again.
    ///
    /// # Errors
    /// [`RemoveError`]; the user's own files are never removed.
    pub fn remove(&self, entry: &ModelEntry) -> Result<u64, RemoveError> {
        let path = self.path_of(entry);
        if let Source::Path(_) = entry.source {
            return Err(RemoveError::Own { name: entry.name.clone(), path });
        }
        self.remove_all(entry, |file| {
            vec![with_suffix(file, ".part"), with_suffix(file, ".part.toml"), file.to_owned()]
        })
    }

    fn remove_all(
        &self,
        entry: &ModelEntry,
        names: impl Fn(&Path) -> Vec<PathBuf>,
    ) -> Result<u64, RemoveError> {
        let mut freed = None;
        for path in part_paths(&self.path_of(entry)).iter().flat_map(|file| names(file)) {
            let Ok(about) = std::fs::metadata(&path) else { continue };
            std::fs::remove_file(&path).map_err(|source| RemoveError::Io { path: path.clone(), source })?;
            *freed.get_or_insert(0) += about.len();
        }
        freed.ok_or_else(|| RemoveError::NotThere(entry.name.clone()))
    }

    /// Whether the entry's terms, if any, were accepted.
    #[must_use]
    pub fn licence_accepted(&self, entry: &ModelEntry) -> bool {
        licence::accepted(&self.licences(), entry)
    }

    /// Remembers that the user accepted the entry's terms.
    ///
    /// # Errors
    /// If the models folder cannot be written.
    pub fn accept_licence(&self, entry: &ModelEntry) -> std::io::Result<()> {
        licence::accept(&self.licences(), entry)
    }

    /// SHA-256 of a model's files ([`ModelFacts::files`]) in order, hexadecimal, remembered for the next time. Reads
    /// the whole model the first time: seconds to minutes. `advance` is told the bytes read and may stop it
    /// with an error.
    ///
    /// # Errors
    /// If a file cannot be read, or `advance` said so.
    pub fn hash_cached(
        &self,
        files: &[PathBuf],
        advance: impl FnMut(u64) -> std::io::Result<()>,
    ) -> std::io::Result<String> {
        let memory = self.hashes();
        if let Some(sha256) = hash::recall(&memory, files) {
            return Ok(sha256);
        }
        let sha256 = hash::hash_files(files, advance)?;
        self.remember_hash(files, &sha256);
        Ok(sha256)
    }

    /// Keeps a hash that was just computed.
    pub(super) fn remember_hash(&self, files: &[PathBuf], sha256: &str) {
        if let Err(error) = hash::remember(&self.hashes(), files, sha256) {
            tracing::info!(%error, "the model's hash could not be remembered");
        }
    }

    fn item(&self, entry: &ModelEntry) -> CatalogueItem {
        if Elsewhere::of(entry).is_some() {
            // Its file lies there; one of the same name here is another.
            let (entry, terms_accepted) = (entry.clone(), true);
            return CatalogueItem {
                entry,
                path: None,
                facts: Ok(None),
                terms_accepted,
                unfinished: None,
                offered: None,
            };
        }
        let path = self.locate(entry);
        let facts = match (&path, &entry.source) {
            (None, Source::Path(_)) => Err(GgufError::Missing(self.path_of(entry)).to_string()),
            (None, _) => Ok(None),
            (Some(path), _) => match Header::read(path) {
                Ok(header) => match header.not_a_chat() {
                    Some(what) => Err(what),
                    None if header.facts().parameters == 0 => {
                        Err(ResolveError::NoWeights(path.clone()).to_string())
                    }
                    None => Ok(Some(header.facts().clone())),
                },
                Err(error) => Err(error.to_string()),
            },
        };
        let unfinished = if path.is_none() { self.unfinished(entry) } else { None };
        let terms_accepted = self.licence_accepted(entry);
        CatalogueItem { entry: entry.clone(), path, facts, terms_accepted, unfinished, offered: None }
    }

    fn licences(&self) -> PathBuf {
        self.folder.join("accepted-licences.toml")
    }

    fn hashes(&self) -> PathBuf {
        self.folder.join("hashes.toml")
    }
}

/// The name a source gives its file; parts are counted by it.
fn remote_name(source: &Source) -> &str {
    match source {
        Source::Hf(address) => address.rsplit(['/', ':']).next().unwrap_or_default(),
        Source::Url(address) => {
            let path = address.split(['?', '#']).next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default()
        }
        Source::Path(_) | Source::Pip(_) | Source::Server(_) => "",
    }
}

/// The entry's name in safe characters; with a mark of its source, unless it is a built-in entry.
fn file_stem(entry: &ModelEntry) -> String {
    let safe: String = entry
        .name
        .chars()
        .take(80)
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let safe = safe.trim_start_matches(['.', '-']);
    if built_in().iter().any(|known| known.name == entry.name && known.source == entry.source) {
        return safe.to_owned();
    }
    let mark = hash::hash_bytes(format!("{}\n{:?}", entry.name, entry.source).as_bytes());
    format!("{safe}-{}", &mark[..8])
}
