//! Where things are kept: configuration, data, state and cache.
//!
//! Invariant: with `GLASSBOX_HOME` set, nothing lies outside that folder.

use std::path::{Path, PathBuf};

/// The four folders. None is created here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// `config.toml`, `themes/` and `personas/`.
    pub config: PathBuf,
    /// The database and the models.
    pub data: PathBuf,
    /// Logs.
    pub state: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
}

impl Folders {
    /// The folders of this user: under `GLASSBOX_HOME`, else where the system keeps such things.
    /// `None` where the user has no home folder; then nothing can be kept.
    #[must_use]
    pub fn find() -> Option<Self> {
        match std::env::var_os("GLASSBOX_HOME").filter(|home| !home.is_empty()) {
            Some(home) => std::path::absolute(home).ok().map(|home| Self::under(&home)),
            None => Self::of_system(),
        }
    }

    /// All four under one folder.
    #[must_use]
    pub fn under(home: &Path) -> Self {
        Self {
            config: home.join("config"),
            data: home.join("data"),
            state: home.join("state"),
            cache: home.join("cache"),
        }
    }

    fn of_system() -> Option<Self> {
        let project = directories::ProjectDirs::from("", "", "glassbox")?;
        Some(Self {
            config: project.config_dir().into(),
            data: project.data_dir().into(),
            // macOS knows no state folder.
            state: project.state_dir().unwrap_or_else(|| project.data_local_dir()).into(),
            cache: project.cache_dir().into(),
        })
    }

    /// The configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The user's own themes.
    #[must_use]
    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data.join("glassbox.db")
    }

    /// Fetched models.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.data.join("models")
    }

    /// What an engine may write in, all of which can be made again: the first is for anything, the second holds
    /// snapshots of chats.
    #[must_use]
    pub fn engine(&self) -> [PathBuf; 2] {
        ["engine", "snapshots"].map(|name| self.cache.join(name))
    }

    /// The folder of the log files.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_home_holds_everything() {
        let home = Path::new("/somewhere");
        let folders = Folders::under(home);
        let all =
            [folders.config_file(), folders.themes(), folders.database(), folders.models(), folders.logs()];
        assert!(all.iter().all(|path| path.starts_with(home)));
        assert_eq!(folders.database(), Path::new("/somewhere/data/glassbox.db"));
    }
}
