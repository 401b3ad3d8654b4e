//! Opening a database: who else uses it, whether it is sound, which journal, migrations, what was left unfinished.
//!
//! Invariant: a file that is newer or not ours is not written to; a damaged one is set aside before anything
//! else is written, and only while no other process uses it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::instance::{self, Instance, Opening};
use super::schema::{self, LADDER, Migration, Version};
use super::{purge, read, rescue, write};

/// The oldest SQLite without the bug that can corrupt a database in WAL mode.
pub(super) const OLDEST_SQLITE: i32 = 3_051_003;
/// How long one statement waits for another process.
pub(super) const BUSY: Duration = Duration::from_secs(5);
/// Databases up to this size are checked at every start: it takes milliseconds.
const ALWAYS_CHECKED: u64 = 8 << 20;

/// Where a database is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file, and the SQLite VFS to use (`None` is the usual one).
    File(PathBuf, Option<&'static str>),
    /// Memory that several connections of this process share by name.
    Memory(String),
}

impl Place {
    /// A new database in memory.
    pub(super) fn memory() -> Self {
        Self::Memory(format!("file:/glassbox-{:x}?vfs=memdb", instance::random_id()))
    }

    /// A connection to it.
    pub(super) fn connect(&self, access: OpenFlags) -> rusqlite::Result<Connection> {
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = match self {
            Self::File(path, None) => Connection::open_with_flags(path, flags)?,
            Self::File(path, Some(vfs)) => Connection::open_with_flags_and_vfs(path, flags, *vfs)?,
            Self::Memory(uri) => Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?,
        };
        conn.busy_timeout(BUSY)?;
        conn.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;",
        )?;
        Ok(conn)
    }
}

/// A database ready for the writer.
pub(super) struct Opened {
    /// The writing connection.
    pub(super) conn: Connection,
    /// For further connections.
    pub(super) place: Place,
    /// This process's claim.
    pub(super) instance: Instance,
    /// Turns marked interrupted.
    pub(super) interrupted: usize,
    /// Draft of the chat that has no conversation yet.
    pub(super) draft: String,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

/// Why a database cannot be used; in words, for the user.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Another program holds it for now.
    Busy,
    /// It stays as it is until somebody does something.
    Lasting(String),
}

impl From<write::WriteError> for Refusal {
    fn from(error: write::WriteError) -> Self {
        if error.is_busy() { Self::Busy } else { Self::Lasting(error.reason()) }
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        write::WriteError::from(error).into()
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::TimedOut {
            Self::Busy
        } else {
            Self::Lasting(error.to_string())
        }
    }
}

/// Opens a database that lives only as long as this process.
pub(super) fn memory() -> Result<Opened, Refusal> {
    let mut opened = memory_without_schema()?;
    schema::migrate(&mut opened.conn, LADDER)?;
    Ok(opened)
}

/// The same, holding what is in a file that cannot be written, if it is sound and not newer.
pub(super) fn copy_in_memory(path: &Path) -> Result<Opened, Refusal> {
    let mut opened = memory_without_schema()?;
    let Place::Memory(target) = &opened.place else { return Ok(opened) };
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    // In a read-only folder SQLite cannot read a database that used write-ahead logging, except as `immutable`.
    let unchanging = format!("file:{}?immutable=1", uri_path(path));
    let from = Connection::open_with_flags(path, flags)
        .and_then(|from| schema::version(&from, LADDER).map(|_| from))
        .or_else(|_| Connection::open_with_flags(&unchanging, flags))?;
    if !matches!(schema::version(&from, LADDER)?, Version::Known(_)) || rescue::complaint(&from)?.is_some() {
        return Err(Refusal::Lasting("it cannot be read".to_owned()));
    }
    from.execute("VACUUM INTO ?1", [target])?;
    schema::migrate(&mut opened.conn, LADDER)?;
    opened.interrupted = write::interrupt(&opened.conn, &[])?;
    opened.draft = read::draft(&opened.conn)?;
    Ok(opened)
}

fn memory_without_schema() -> Result<Opened, Refusal> {
    let place = Place::memory();
    let conn = place.connect(OpenFlags::default())?;
    let instance = Instance::alone();
    Ok(Opened { conn, place, instance, interrupted: 0, draft: String::new(), notes: Vec::new() })
}

/// A path as SQLite reads it in a URI.
fn uri_path(path: &Path) -> String {
    use std::fmt::Write;
    path.to_string_lossy().bytes().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}

/// Opens a database file, whatever state it is in.
pub(super) fn file(path: &Path, vfs: Option<&'static str>, ladder: &[Migration]) -> Result<Opened, Refusal> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(Refusal::Lasting(format!("SQLite {} can damage databases", rusqlite::version())));
    }
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    let _one_at_a_time = Opening::wait(path, BUSY * 2)?;
    let alive = instance::alive(path);
    let place = Place::File(path.to_owned(), vfs);
    let mut notes = Vec::new();
    let network = network_file_system(path);
    create_private_file(path)?;

    let conn = match sound(&place, path, &alive, ladder)? {
        Soundness::Sound(conn) => conn,
        Soundness::Damaged(why) if alive.is_empty() => {
            notes.push(rescue::set_aside(path, &why)?);
            create_private_file(path)?;
            match sound(&place, path, &alive, ladder)? {
                Soundness::Sound(conn) => conn,
                Soundness::Damaged(why) => {
                    return Err(Refusal::Lasting(format!("the backup is damaged too: {why}")));
                }
            }
        }
        Soundness::Damaged(why) => {
            return Err(Refusal::Lasting(format!(
                "it is damaged ({why}); close the other glassbox that uses it and start again to have it set aside"
            )));
        }
    };
    let journal = if network.is_some() { "delete" } else { "wal" };
    notes.extend(set_journal(&conn, journal, network.as_deref()));
    settle(conn, place, path, &alive, ladder, notes)
}

enum Soundness {
    Sound(Connection),
    Damaged(String),
}

/// Connects, and checks where there is a reason to.
fn sound(place: &Place, path: &Path, alive: &[i64], ladder: &[Migration]) -> Result<Soundness, Refusal> {
    let size = std::fs::metadata(path)?.len();
    if size == 0 && !rescue::backups(path).is_empty() {
        return Ok(Soundness::Damaged("it is empty".to_owned()));
    }
    let examined = place.connect(OpenFlags::default()).and_then(|conn| {
        let version = schema::version(&conn, ladder)?;
        let doubtful =
            matches!(version, Version::Known(_)) && (size <= ALWAYS_CHECKED || ended_badly(&conn, alive)?);
        let complaint = if doubtful { rescue::complaint(&conn)? } else { None };
        Ok((conn, version, complaint))
    });
    match examined {
        Ok((_, Version::Refused(why), _)) => Err(Refusal::Lasting(why)),
        Ok((_, _, Some(complaint))) => Ok(Soundness::Damaged(complaint)),
        Ok((conn, ..)) => Ok(Soundness::Sound(conn)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Ok(Soundness::Damaged("it is not a database".to_owned())),
            Some(ErrorCode::DatabaseCorrupt) => Ok(Soundness::Damaged("its pages are damaged".to_owned())),
            _ => Err(error.into()),
        },
    }
}

/// Whether an instance that is gone never took its row away.
fn ended_badly(conn: &Connection, alive: &[i64]) -> rusqlite::Result<bool> {
    let ids: Vec<i64> = conn
        .prepare("SELECT id FROM instances")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids.iter().any(|id| !alive.contains(id)))
}

/// Asks for a journal mode and reads the answer back. What the user should know of it.
fn set_journal(conn: &Connection, mode: &str, network: Option<&str>) -> Option<String> {
    let answer = |mode: &str| {
        conn.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get::<_, String>(0))
            .unwrap_or_default()
    };
    let got = answer(mode);
    if let Some(kind) = network {
        return Some(format!(
            "The database is on a network file system ({kind}), where SQLite is not safe against two machines writing at once."
        ));
    }
    if got.eq_ignore_ascii_case(mode) {
        return None;
    }
    let kept = answer("delete");
    Some(format!("The file system refused write-ahead logging; the database uses the slower mode `{kept}`."))
}

/// Migrates, and puts in order what instances that are gone left behind.
fn settle(
    mut conn: Connection,
    place: Place,
    path: &Path,
    alive: &[i64],
    ladder: &[Migration],
    notes: Vec<String>,
) -> Result<Opened, Refusal> {
    if let Version::Known(version) = schema::version(&conn, ladder)?
        && version < ladder.len()
    {
        rescue::back_up(&conn, path, version)?;
    }
    schema::migrate(&mut conn, ladder)?;

    let instance = Instance::begin(path)?;
    let interrupted = {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let interrupted = write::interrupt(&transaction, alive)?;
        purge::empty_bin(&transaction, rescue::now_ms())?;
        let gone: Vec<i64> = transaction
            .prepare("SELECT id FROM instances")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in gone.into_iter().filter(|id| !alive.contains(id)) {
            transaction.execute("DELETE FROM instances WHERE id = ?1", [id])?;
        }
        transaction.execute(
            "INSERT INTO instances (id, pid, started_ms) VALUES (?1, ?2, ?3)",
            params![instance.id, std::process::id(), rescue::now_ms()],
        )?;
        transaction.commit()?;
        interrupted
    };
    let draft = read::draft(&conn)?;
    Ok(Opened { conn, place, instance, interrupted, draft, notes })
}

fn create_private_folder(folder: &Path) -> Result<(), Refusal> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| Refusal::Lasting(format!("the folder {} cannot be made: {error}", folder.display())))
}

/// Chats are nobody else's business: SQLite gives its journals the mode of the database.
fn create_private_file(path: &Path) -> Result<(), Refusal> {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// The name of the network file system that a path is on, where the system tells (Linux).
fn network_file_system(path: &Path) -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let folder = path.parent()?.canonicalize().ok()?;
    network_mount(&mounts, &folder)
}

fn network_mount(mounts: &str, folder: &Path) -> Option<String> {
    const NETWORK: [&str; 9] =
        ["nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs"];
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?.replace("\\040", " "), fields.next()?))
        })
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.len())?
        .1;
    NETWORK.contains(&kind).then(|| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_sqlite_has_no_wal_bug() {
        assert!(rusqlite::version_number() >= OLDEST_SQLITE, "{}", rusqlite::version());
    }

    #[test]
    fn the_nearest_mount_decides_about_the_network() {
        let mounts =
            "/dev/sda / ext4 rw 0 0\nhost:/x /home nfs4 rw 0 0\n/dev/sdb /home/my\\040disk ext4 rw 0 0\n";
        for (folder, expected) in [("/etc", None), ("/home/me", Some("nfs4")), ("/home/my disk/a", None)] {
            assert_eq!(network_mount(mounts, Path::new(folder)).as_deref(), expected);
        }
    }

    #[test]
    fn a_file_system_without_shared_memory_gets_the_delete_journal_and_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let opened = file(&path, Some("unix-dotfile"), LADDER).unwrap();
        let mode: String = opened.conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), opened.notes.len()), ("delete", 1), "{:?}", opened.notes);
    }

    #[test]
    fn an_upgrade_backs_up_and_climbs_and_an_older_binary_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let second: Migration = |conn| conn.execute_batch("CREATE TABLE second (x INTEGER) STRICT");
        let third: Migration = |conn| conn.execute_batch("CREATE TABLE third (x INTEGER) STRICT");
        let ladder = [LADDER, &[second, third]].concat();
        for from in LADDER.len()..ladder.len() {
            let path = folder.path().join(format!("{from}.db"));
            file(&path, None, &ladder[..from]).unwrap().instance.end();
            let opened = file(&path, None, &ladder).unwrap();
            opened
                .conn
                .execute_batch("INSERT INTO second VALUES (1); INSERT INTO third VALUES (1);")
                .unwrap();
            assert_eq!(schema::version(&opened.conn, &ladder).unwrap(), Version::Known(ladder.len()));
            let backup = &rescue::backups(&path)[0];
            let kept = Connection::open(backup).unwrap();
            assert_eq!(schema::version(&kept, &ladder).unwrap(), Version::Known(from));
        }
        file(&path, None, &ladder).unwrap().instance.end();
        let before = std::fs::read(&path).unwrap();
        let Err(Refusal::Lasting(why)) = file(&path, None, LADDER) else { panic!("a newer file was opened") };
        assert!(why.contains("newer glassbox"), "{why}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_read_into_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a #1 ?%ü.db");
        let opened = file(&path, None, LADDER).unwrap();
        opened.conn.execute("INSERT INTO drafts VALUES (0, 'kept')", []).unwrap();
        drop(opened.conn);
        let before = std::fs::read(&path).unwrap();
        let copy = copy_in_memory(&path).unwrap();
        assert_eq!(copy.draft, "kept");
        copy.conn.execute("DELETE FROM drafts", []).unwrap();
        let second = copy.place.connect(OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        assert_eq!(read::draft(&second).unwrap(), "");
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let unchanging = format!("file:{}?immutable=1", uri_path(&path));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let read_only = Connection::open_with_flags(unchanging, flags).unwrap();
        assert_eq!(read::draft(&read_only).unwrap(), "kept");
        assert!(copy_in_memory(&folder.path().join("absent.db")).is_err());
    }

    #[test]
    fn a_failed_migration_leaves_the_old_version_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        file(&path, None, LADDER).unwrap().instance.end();
        let mut broken: Vec<Migration> = LADDER.to_vec();
        broken.push(|conn| conn.execute_batch("CREATE TABLE half (x INTEGER); SELECT nonsense;"));
        assert!(file(&path, None, &broken).is_err());
        let opened = file(&path, None, LADDER).unwrap();
        assert!(opened.conn.prepare("SELECT * FROM half").is_err());
    }
}
