//! The schema as a ladder of numbered migrations over `PRAGMA user_version`.
//!
//! Invariant: a database is at exactly one version at any moment, since each migration and its number are one
//! transaction; a published migration is never changed, only followed by another.

use rusqlite::{Connection, TransactionBehavior};

use super::index;

/// One step up: takes a database of version n (its index in the ladder) to n + 1.
pub(super) type Migration = fn(&Connection) -> rusqlite::Result<()>;

/// All migrations, oldest first.
pub(super) const LADDER: &[Migration] = &[
    |conn| conn.execute_batch(include_str!("schema_1.sql")),
    |conn| conn.execute_batch(include_str!("schema_2.sql")),
    |conn| conn.execute_batch(include_str!("schema_3.sql")),
    |conn| {
        conn.execute_batch(include_str!("schema_4.sql"))?;
        index::rebuild(conn)
    },
    |conn| conn.execute_batch(include_str!("schema_5.sql")),
    |conn| conn.execute_batch(include_str!("schema_6.sql")),
];

/// Marks a file as ours: "glbx". A database of another program is never touched.
pub(super) const APPLICATION_ID: i64 = 0x676c_6278;

/// What a database file says it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// It holds nothing yet.
    Fresh,
    /// It can be used after the migrations from this version on.
    Known(usize),
    /// It was written by a newer glassbox, or by another program.
    Refused(String),
}

/// Reads what a database is, without writing.
pub(super) fn version(conn: &Connection, ladder: &[Migration]) -> rusqlite::Result<Version> {
    let number: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if number == 0 && tables == 0 {
        return Ok(Version::Fresh);
    }
    if application != APPLICATION_ID {
        return Ok(Version::Refused("it belongs to another program".to_owned()));
    }
    Ok(match usize::try_from(number) {
        Ok(known) if known <= ladder.len() => Version::Known(known),
        _ => Version::Refused(format!(
            "it was written by a newer glassbox (format {number}, this one knows {}): install that one again",
            ladder.len()
        )),
    })
}

/// Climbs the ladder from where the database stands. Two processes may call it at once.
pub(super) fn migrate(conn: &mut Connection, ladder: &[Migration]) -> rusqlite::Result<()> {
    loop {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        let Some(step) = usize::try_from(number).ok().and_then(|at| ladder.get(at)) else {
            return Ok(());
        };
        step(&transaction)?;
        transaction.pragma_update(None, "user_version", number + 1)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.commit()?;
    }
}
