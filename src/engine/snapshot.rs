//! What a model had read of a chat, as a file: the tokens and the state of llama.cpp's cache after them, so that coming
//! back to the chat reads nothing again.
//!
//! A file is a magic number, the header's length and checksum, the header (MessagePack: the shape, the ids, the state's
//! length and checksum), then the state. Its name is the chat's number and a hash of the shape: what the state may be
//! given back to. The files are as private as the chats: they hold the chat's tokens.
//!
//! Invariant: a state is handed out only where the file is whole, its checksums agree and its shape is the one asked
//! for, since llama.cpp trusts what it is given. A file appears under its name only when it is complete.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::chat::ConversationId;
use crate::token::TokenId;

const MAGIC: [u8; 8] = *b"glassKV1";
/// Longest header that is read, bytes; ids take at most five each.
const HEADER_MOST: u32 = 64 << 20;
const ENDING: &str = "kv";
/// A chat leaves the bin for good after as many days, so that nothing of it outlives it here.
const UNUSED: Duration = Duration::from_hours(24 * 30);
/// What a write that was broken off has left may go after a while.
const BROKEN_OFF: Duration = Duration::from_hours(1);

/// What is kept of a chat, beside the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// All that shapes the state: model, versions, settings. See `session::recall`.
    pub shape: String,
    /// The tokens that were read.
    pub ids: Vec<TokenId>,
    /// How many of the first were read in whole batches.
    pub whole: u32,
    /// Length of the state, bytes.
    length: u64,
    /// CRC-32 of the state.
    checksum: u32,
}

/// The folder of all snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    /// Bytes that all of them may take.
    most: u64,
}

/// A snapshot whose header was read and found sound.
#[derive(Debug)]
pub struct Found {
    /// What is told before the state is read.
    pub header: Header,
    file: File,
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not there, or cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is cut, damaged or no snapshot.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It was made by another model, version or setting.
    #[error("it was made under other settings")]
    Foreign,
}

/// Where snapshots are, under the cache folder.
#[must_use]
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("snapshots")
}

/// Removes all that is kept of a chat.
pub fn forget(folder: &Path, chat: ConversationId) {
    let prefix = format!("{}-", chat.0);
    for (path, ..) in listed(folder) {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(&prefix))
            && let Err(error) = fs::remove_file(&path)
        {
            tracing::warn!(%error, "a snapshot was not removed");
        }
    }
}

impl Folder {
    /// A folder that may hold so many bytes. It is made when the first snapshot is written.
    #[must_use]
    pub fn new(path: PathBuf, most: u64) -> Self {
        Self { path, most }
    }

    /// Whether a state of so many bytes may be kept at all.
    #[must_use]
    pub fn takes(&self, bytes: u64) -> bool {
        bytes > 0 && bytes <= self.most
    }

    /// Removes all that is kept of a chat.
    pub fn forget(&self, chat: ConversationId) {
        forget(&self.path, chat);
    }

    fn place(&self, chat: ConversationId, shape: &str) -> PathBuf {
        let hash = hex::encode(&Sha256::digest(shape.as_bytes())[..8]);
        self.path.join(format!("{}-{hash}.{ENDING}", chat.0))
    }

    /// Writes a snapshot in the place of the one before, then removes the oldest until all fit.
    ///
    /// # Errors
    /// Where the folder cannot be written; nothing is left behind then.
    pub fn write(
        &self,
        chat: ConversationId,
        shape: &str,
        ids: &[TokenId],
        whole: u32,
        state: &[u8],
    ) -> io::Result<()> {
        private_folder(&self.path)?;
        let header = Header {
            shape: shape.to_owned(),
            ids: ids.to_vec(),
            whole,
            length: state.len() as u64,
            checksum: crc32fast::hash(state),
        };
        let header = rmp_serde::to_vec_named(&header).map_err(io::Error::other)?;
        let length = u32::try_from(header.len()).ok().filter(|length| *length <= HEADER_MOST);
        let length = length.ok_or_else(|| io::Error::other("the text is too long"))?;
        // Only the user may read it, as temporary files always are.
        let mut file = tempfile::Builder::new().prefix("writing-").tempfile_in(&self.path)?;
        file.write_all(&MAGIC)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&crc32fast::hash(&header).to_le_bytes())?;
        file.write_all(&header)?;
        file.write_all(state)?;
        file.persist(self.place(chat, shape)).map_err(|failed| failed.error)?;
        self.tidy(SystemTime::now());
        Ok(())
    }

    /// The snapshot of a chat under this shape, its state still unread.
    ///
    /// # Errors
    /// See [`Unusable`]; where there is none, [`io::ErrorKind::NotFound`].
    pub fn find(&self, chat: ConversationId, shape: &str) -> Result<Found, Unusable> {
        let mut file = File::open(self.place(chat, shape))?;
        let size = file.metadata()?.len();
        let mut lead = [0; 16];
        file.read_exact(&mut lead)?;
        let number = |at: usize| u32::from_le_bytes([lead[at], lead[at + 1], lead[at + 2], lead[at + 3]]);
        let (length, checksum) = (number(8), number(12));
        if lead[..8] != MAGIC {
            return Err(Unusable::Damaged("it does not begin like a snapshot"));
        }
        if length > HEADER_MOST || u64::from(length) + 16 > size {
            return Err(Unusable::Damaged("its header is cut"));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact(&mut bytes)?;
        if crc32fast::hash(&bytes) != checksum {
            return Err(Unusable::Damaged("its header's checksum is wrong"));
        }
        let header: Header =
            rmp_serde::from_slice(&bytes).map_err(|_| Unusable::Damaged("its header is not readable"))?;
        if u64::from(length).checked_add(16).and_then(|at| at.checked_add(header.length)) != Some(size) {
            return Err(Unusable::Damaged("its length is wrong"));
        }
        if header.shape != shape {
            return Err(Unusable::Foreign);
        }
        Ok(Found { header, file })
    }

    /// Removes what was not used for long, what a broken write has left, and the oldest until the others fit.
    pub fn tidy(&self, now: SystemTime) {
        let mut kept = listed(&self.path);
        kept.sort_by_key(|(_, used, _)| std::cmp::Reverse(*used));
        let mut bytes = 0;
        for (path, used, size) in kept {
            let age = now.duration_since(used).unwrap_or_default();
            let whole = path.extension().is_some_and(|ending| ending == ENDING);
            let goes = if whole { bytes + size > self.most || age > UNUSED } else { age > BROKEN_OFF };
            if !goes {
                bytes += size;
            } else if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(%error, "an old snapshot was not removed");
            }
        }
    }
}

impl Found {
    /// The state, with its checksum verified. The snapshot counts as used now.
    ///
    /// # Errors
    /// Where it cannot be read or is damaged.
    pub fn state(mut self) -> Result<Vec<u8>, Unusable> {
        let length = usize::try_from(self.header.length).map_err(|_| Unusable::Damaged("it is too long"))?;
        let mut state = Vec::with_capacity(length);
        (&mut self.file).take(self.header.length).read_to_end(&mut state)?;
        if state.len() != length || crc32fast::hash(&state) != self.header.checksum {
            return Err(Unusable::Damaged("its checksum is wrong"));
        }
        // The age decides only what is removed first.
        let _ = self.file.set_modified(SystemTime::now());
        Ok(state)
    }
}

/// All files of the folder, with when they were used last and their sizes.
fn listed(folder: &Path) -> Vec<(PathBuf, SystemTime, u64)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let about = |entry: fs::DirEntry| {
        let facts = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((entry.path(), facts.modified().ok()?, facts.len()))
    };
    entries.flatten().filter_map(about).collect()
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: ConversationId = ConversationId(7);

    fn ids(count: i32) -> Vec<TokenId> {
        (0..count).map(TokenId).collect()
    }

    fn folder(most: u64) -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::new(super::folder(home.path()), most);
        (home, folder)
    }

    fn reread(folder: &Folder, shape: &str) -> Result<(Vec<TokenId>, Vec<u8>), Unusable> {
        let found = folder.find(CHAT, shape)?;
        let ids = found.header.ids.clone();
        Ok((ids, found.state()?))
    }

    fn only_file(folder: &Folder) -> PathBuf {
        let mut files = listed(&folder.path);
        assert_eq!(files.len(), 1, "{files:?}");
        files.pop().unwrap().0
    }

    #[test]
    fn what_is_written_comes_back_and_under_another_shape_nothing_does() {
        let (_home, folder) = folder(1 << 20);
        assert!(matches!(reread(&folder, "a"), Err(Unusable::Io(_))));
        folder.write(CHAT, "a", &ids(3), 0, b"old").unwrap();
        folder.write(CHAT, "a", &ids(5), 4, b"the state").unwrap();
        assert_eq!(reread(&folder, "a").unwrap(), (ids(5), b"the state".to_vec()));
        assert!(matches!(reread(&folder, "b"), Err(Unusable::Io(_))));
        // Even where two shapes had one name.
        let place = only_file(&folder);
        fs::rename(&place, folder.place(CHAT, "b")).unwrap();
        assert!(matches!(reread(&folder, "b"), Err(Unusable::Foreign)));
    }

    #[test]
    fn a_snapshot_with_any_byte_changed_missing_or_added_is_refused() {
        let (_home, folder) = folder(1 << 20);
        folder.write(CHAT, "shape", &ids(9), 8, &[3; 200]).unwrap();
        let place = only_file(&folder);
        let sound = fs::read(&place).unwrap();
        for at in 0..sound.len() {
            let mut changed = sound.clone();
            changed[at] ^= 0x10;
            fs::write(&place, changed).unwrap();
            assert!(reread(&folder, "shape").is_err(), "byte {at} changed");
            fs::write(&place, &sound[..at]).unwrap();
            assert!(reread(&folder, "shape").is_err(), "cut at {at}");
        }
        fs::write(&place, [&sound[..], b"x"].concat()).unwrap();
        assert!(reread(&folder, "shape").is_err(), "longer");
        fs::write(&place, &sound).unwrap();
        assert!(reread(&folder, "shape").is_ok());
    }

    #[test]
    fn the_oldest_go_first_and_what_nobody_used_for_a_month() {
        let (_home, folder) = folder(700);
        let chats = [1, 2, 3].map(ConversationId);
        let now = SystemTime::now();
        for (chat, days) in chats.into_iter().zip([3, 2, 1]) {
            folder.write(chat, "s", &ids(2), 0, &[0; 200]).unwrap();
            let file = File::options().write(true).open(folder.place(chat, "s")).unwrap();
            file.set_modified(now - Duration::from_hours(24 * days)).unwrap();
        }
        folder.tidy(now);
        let there = |folder: &Folder| chats.map(|chat| folder.find(chat, "s").is_ok());
        assert_eq!(there(&folder), [false, true, true]);
        // Reading one is using it, and writing one makes room.
        folder.find(chats[1], "s").unwrap().state().unwrap();
        let at = |chat| fs::metadata(folder.place(chat, "s")).unwrap().modified().unwrap();
        assert!(at(chats[1]) >= now && at(chats[2]) < now);
        folder.write(chats[0], "s", &ids(2), 0, &[0; 200]).unwrap();
        assert_eq!(there(&folder), [true, true, false]);
        for (chat, days) in [(chats[0], 2), (chats[1], 1)] {
            let file = File::options().write(true).open(folder.place(chat, "s")).unwrap();
            file.set_modified(now - Duration::from_hours(24 * days)).unwrap();
        }
        fs::write(folder.path.join("writing-x"), b"half").unwrap();
        folder.tidy(now + Duration::from_hours(24 * 29));
        assert_eq!(there(&folder), [false, true, false]);
        assert_eq!(listed(&folder.path).len(), 1);
    }

    #[test]
    fn a_chat_is_forgotten_under_every_shape_and_others_stay() {
        let (_home, folder) = folder(1 << 20);
        let other = ConversationId(77);
        for (chat, shape) in [(CHAT, "a"), (CHAT, "b"), (other, "a")] {
            folder.write(chat, shape, &ids(2), 0, b"state").unwrap();
        }
        folder.forget(CHAT);
        let there = [(CHAT, "a"), (CHAT, "b"), (other, "a")].map(|(chat, s)| folder.find(chat, s).is_ok());
        assert_eq!(there, [false, false, true]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_user_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_home, folder) = folder(1 << 20);
        folder.write(CHAT, "a", &ids(2), 0, b"state").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.path), mode(&only_file(&folder))), (0o700, 0o600));
    }
}
