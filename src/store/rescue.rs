//! Backups before migrations, and what is done with a file that cannot be used: set aside, never deleted.
//!
//! Invariant: nothing here overwrites or deletes a database; only the fourth-newest backup and older go.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use super::instance::{all_beside, beside};
use crate::durable;

/// Backups kept.
const BACKUPS: usize = 3;

/// Copies the whole database beside it, under its version and the date.
pub(super) fn back_up(conn: &Connection, database: &Path, version: usize) -> rusqlite::Result<()> {
    let stamp = stamp(now_ms());
    let finished = unused(database, &format!(".backup-{stamp}-v{version}"));
    let unfinished = beside(database, ".backup.part");
    let _ = std::fs::remove_file(&unfinished);
    conn.execute("VACUUM INTO ?1", [unfinished.to_string_lossy()])?;
    durable::rename(&unfinished, &finished)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    for old in backups(database).into_iter().skip(BACKUPS) {
        let _ = std::fs::remove_file(old);
    }
    Ok(())
}

/// All backups, newest first.
pub(super) fn backups(database: &Path) -> Vec<PathBuf> {
    let mut all = all_beside(database, ".backup-");
    all.retain(|(name, _)| !["-wal", "-shm", "-journal"].iter().any(|journal| name.ends_with(journal)));
    all.sort_by(|left, right| right.0.cmp(&left.0));
    all.into_iter().map(|(_, path)| path).collect()
}

/// Moves an unusable database and its journal files aside, puts the newest good backup in its place, and
/// says so. Only when no other process uses the database.
pub(super) fn set_aside(database: &Path, why: &str) -> std::io::Result<String> {
    let aside = unused(database, &format!(".damaged-{}", stamp(now_ms())));
    for suffix in ["-wal", "-shm", "-journal"] {
        let journal = beside(database, suffix);
        if journal.exists() {
            std::fs::rename(&journal, beside(&aside, suffix))?;
        }
    }
    std::fs::rename(database, &aside)?;
    durable::name(database)?;
    let said = format!("{} is unusable ({why}). It was kept as {}", database.display(), aside.display());
    let good = backups(database).into_iter().find(|backup| is_good(backup));
    Ok(match good {
        Some(backup) => {
            let unfinished = beside(database, ".restored.part");
            std::fs::copy(&backup, &unfinished)?;
            durable::rename(&unfinished, database)?;
            format!("{said}; glassbox goes on with the backup {}.", backup.display())
        }
        None => format!("{said}; glassbox goes on with an empty one, since there is no backup."),
    })
}

/// What `PRAGMA quick_check` complains about; `None` if nothing.
pub(super) fn complaint(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let first: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((first != "ok").then(|| first.lines().last().unwrap_or_default().trim().to_owned()))
}

fn is_good(backup: &Path) -> bool {
    Connection::open_with_flags(backup, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(|conn| complaint(&conn))
        .is_ok_and(|complaint| complaint.is_none())
}

/// A name that no file has yet.
fn unused(database: &Path, suffix: &str) -> PathBuf {
    (1..u32::MAX)
        .map(|number| match number {
            1 => beside(database, suffix),
            _ => beside(database, &format!("{suffix}-{number}")),
        })
        .find(|path| !path.exists())
        .expect("a folder holds fewer files")
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-23T19-26-21`, UTC. Days to date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn stamp(ms: i64) -> String {
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let moved_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * moved_month + 2) / 5 + 1;
    let month = if moved_month < 10 { moved_month + 3 } else { moved_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}-{:02}-{:02}", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_calendar_dates() {
        for (ms, expected) in [
            (0, "1970-01-01T00-00-00"),
            (951_782_400_000, "2000-02-29T00-00-00"),
            (1_795_462_021_000, "2026-11-23T19-27-01"),
        ] {
            assert_eq!(stamp(ms), expected);
        }
    }

    #[test]
    fn copies_and_what_is_set_aside_are_written_through_with_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let conn = Connection::open(&database).unwrap();
        conn.execute_batch("CREATE TABLE t (x)").unwrap();
        back_up(&conn, &database, 1).unwrap();
        assert_eq!(durable::times(&beside(&database, ".backup.part")), 1, "SQLite does not do it for a copy");
        assert_eq!(durable::times(folder.path()), 1);
        drop(conn);
        set_aside(&database, "a test").unwrap();
        assert_eq!(durable::times(&beside(&database, ".restored.part")), 1);
        assert_eq!(durable::times(folder.path()), 3, "what was set aside, and what stands in its place");
    }

    #[test]
    fn three_backups_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("x.db");
        let conn = Connection::open(&database).unwrap();
        conn.execute_batch("CREATE TABLE t (x)").unwrap();
        for version in 1..6 {
            back_up(&conn, &database, version).unwrap();
        }
        let kept = backups(&database);
        assert_eq!(kept.len(), 3);
        assert!(kept[0].to_string_lossy().contains("-v5"), "{kept:?}");
        assert!(kept.iter().all(|backup| is_good(backup)));
    }
}
