//! The configuration on disk, its personas included: read again when it has changed.
//!
//! Invariant: what the app itself wrote does not count as a change.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::config::{Config, Warning};

/// The configuration file, and how it was when last read.
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    read: Box<dyn Fn() -> (Config, Vec<Warning>) + Send>,
    stamp: Option<Stamp>,
    /// The personas beside it.
    personas: Vec<(PathBuf, Option<Stamp>)>,
    /// Whether it was ever there.
    known: bool,
}

impl ConfigFile {
    pub(super) fn new(path: PathBuf, read: Box<dyn Fn() -> (Config, Vec<Warning>) + Send>) -> Self {
        let (stamp, personas) = (stamp(&path), personas(&path));
        Self { path, read, stamp, personas, known: stamp.is_some() }
    }

    /// Reads it again. One that is gone or cannot be used as a whole leaves what is in use.
    pub(super) fn read(&mut self, in_use: &Config) -> (Config, Vec<Warning>) {
        self.seen();
        let (config, mut warnings) = (self.read)();
        let file = self.path.display().to_string();
        if self.known && self.stamp.is_none() {
            let (key, message) = (String::new(), "the file is gone".to_owned());
            warnings.push(Warning { file: file.clone(), line: 0, key, message });
        }
        let mut kept = false;
        for warning in warnings.iter_mut().filter(|warning| warning.key.is_empty() && warning.file == file) {
            warning.message = format!("the settings in use stay: {}", warning.message);
            kept = true;
        }
        (if kept { in_use.clone() } else { config }, warnings)
    }

    /// Takes it as it is now for the one in use.
    pub(super) fn seen(&mut self) {
        (self.stamp, self.personas) = (stamp(&self.path), personas(&self.path));
        self.known |= self.stamp.is_some();
    }

    /// Reads it again if it changed.
    pub(super) fn read_if_changed(&mut self, in_use: &Config) -> Option<(Config, Vec<Warning>)> {
        let changed = stamp(&self.path) != self.stamp || personas(&self.path) != self.personas;
        changed.then(|| self.read(in_use))
    }
}

/// When a file was written, and its size.
type Stamp = (SystemTime, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

/// The personas beside a configuration file.
fn personas(path: &Path) -> Vec<(PathBuf, Option<Stamp>)> {
    let files = path.parent().map(|folder| std::fs::read_dir(folder.join("personas")));
    let files = files.into_iter().flatten().flatten().flatten().map(|file| file.path());
    let mut stamps: Vec<_> = files.map(|file| (file.clone(), stamp(&file))).collect();
    stamps.sort();
    stamps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persona_that_is_written_or_changed_counts_as_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        std::fs::write(&config, "").unwrap();
        let mut file = ConfigFile::new(config, Box::new(|| (Config::default(), Vec::new())));
        assert!(file.read_if_changed(&Config::default()).is_none());
        let persona = folder.path().join("personas").join("pirate.toml");
        std::fs::create_dir(persona.parent().unwrap()).unwrap();
        std::fs::write(&persona, "system = \"Arr\"").unwrap();
        assert!(file.read_if_changed(&Config::default()).is_some(), "one that is new");
        assert!(file.read_if_changed(&Config::default()).is_none());
        std::fs::write(&persona, "system = \"Ahoy\"").unwrap();
        assert!(file.read_if_changed(&Config::default()).is_some(), "one that was changed");
        std::fs::remove_file(&persona).unwrap();
        assert!(file.read_if_changed(&Config::default()).is_some(), "one that is gone");
    }
}
