//! Logs in the state folder: the app's, one file a day, seven kept; the engine's, one file and the one before.
//!
//! Invariants: at the default level no text of a chat is written; no log grows without bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

/// Starts logging into `folder`; what is returned must live as long as the app. `GLASSBOX_LOG` sets the
/// level (`debug`, `glassbox::engine=trace`). Where the folder cannot be written there is no log.
pub fn start(folder: &Path) -> Option<WorkerGuard> {
    std::fs::create_dir_all(folder).ok()?;
    let files = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("glassbox")
        .filename_suffix("log")
        .max_log_files(7)
        .build(folder)
        .ok()?;
    let (writer, guard) = tracing_appender::non_blocking(files);
    let filter = EnvFilter::try_from_env("GLASSBOX_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_writer(writer).with_ansi(false).with_env_filter(filter).try_init().ok()?;
    Some(guard)
}

/// How long the engine's log may get, bytes, before it becomes the one before.
const LONGEST: u64 = 2 << 20;

/// Where the engine's standard error goes; `None` where the folder cannot be written.
pub fn of_engine(folder: &Path) -> Option<Box<dyn Write + Send>> {
    let log = EngineLog::open(folder.join("engine.log")).ok()?;
    Some(Box::new(log))
}

struct EngineLog {
    path: PathBuf,
    file: File,
    length: u64,
}

impl EngineLog {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let length = file.metadata()?.len();
        Ok(Self { path, file, length })
    }
}

impl Write for EngineLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length > LONGEST {
            std::fs::rename(&self.path, self.path.with_extension("old.log"))?;
            *self = Self::open(std::mem::take(&mut self.path))?;
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_log_keeps_the_newest_and_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let line = vec![b'x'; 1 << 16];
        for _ in 0..2 {
            // As after a restart, too.
            let mut log = of_engine(folder.path()).unwrap();
            (0..80).for_each(|_| log.write_all(&line).unwrap());
            log.write_all(b"the last line").unwrap();
        }
        let newest = std::fs::read(folder.path().join("engine.log")).unwrap();
        assert!(newest.ends_with(b"the last line"));
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
        let all: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(files.len() == 2 && all < 2 * LONGEST + (1 << 18), "{} files, {all} bytes", files.len());
    }
}
