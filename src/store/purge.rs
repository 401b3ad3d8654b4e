//! Removing a conversation for good, with all that it alone had.
//!
//! Invariant: what another conversation names stays: runs, entries of vocabularies, messages of the prompt history.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::{BIN_DAYS, pack};
use crate::chat::Run;
use crate::token::{Step, TokenId};

/// Removes for good what has been in the bin for [`BIN_DAYS`].
pub(super) fn empty_bin(conn: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    let over: Vec<i64> = conn
        .prepare("SELECT id FROM conversations WHERE binned_ms < ?1")?
        .query_map([now_ms - BIN_DAYS * 24 * 60 * 60 * 1000], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    purge(conn, &over)
}

/// Removes conversations for good.
pub(super) fn purge(conn: &Connection, conversations: &[i64]) -> rusqlite::Result<()> {
    if conversations.is_empty() {
        return Ok(());
    }
    conversations.iter().try_for_each(|conversation| one(conn, *conversation))?;
    forget_words(conn)
}

fn one(conn: &Connection, conversation: i64) -> rusqlite::Result<()> {
    conn.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS gone (run INTEGER PRIMARY KEY); DELETE FROM gone;
         CREATE TEMP TABLE IF NOT EXISTS said (text TEXT PRIMARY KEY); DELETE FROM said;",
    )?;
    conn.execute(
        "INSERT OR IGNORE INTO gone
         SELECT spans.run FROM turns JOIN spans ON spans.turn = turns.seq
         WHERE turns.conversation = ?1 AND spans.run IS NOT NULL
         UNION SELECT run FROM scores WHERE conversation = ?1",
        [conversation],
    )?;
    conn.execute(
        "INSERT OR IGNORE INTO said SELECT text FROM texts JOIN turns ON turns.seq = texts.turn
         WHERE turns.conversation = ?1 AND turns.role = 1",
        [conversation],
    )?;
    conn.execute("DELETE FROM conversations WHERE id = ?1", [conversation])?;
    conn.execute("DELETE FROM drafts WHERE conversation = ?1", [conversation])?;
    conn.execute(
        "DELETE FROM history WHERE text IN (SELECT text FROM said) AND text NOT IN (
            SELECT text FROM texts JOIN turns ON turns.seq = texts.turn WHERE turns.role = 1)",
        [],
    )?;
    conn.execute(
        "WITH RECURSIVE needed (run) AS (
            SELECT prefix_run FROM runs WHERE prefix_run IS NOT NULL AND id NOT IN (SELECT run FROM gone)
            UNION SELECT runs.prefix_run FROM runs JOIN needed ON runs.id = needed.run
            WHERE runs.prefix_run IS NOT NULL)
         DELETE FROM runs WHERE id IN (SELECT run FROM gone) AND id NOT IN (SELECT run FROM needed)
            AND id NOT IN (SELECT run FROM spans WHERE run IS NOT NULL) AND id NOT IN (SELECT run FROM scores)",
        [],
    )?;
    Ok(())
}

/// Removes entries of vocabularies that nothing names any more. Of a whole vocabulary, which is the model's, nothing is.
fn forget_words(conn: &Connection) -> rusqlite::Result<()> {
    let words: Vec<(String, i32)> = conn
        .prepare("SELECT vocabulary, id FROM words")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    if words.is_empty() {
        return Ok(());
    }
    let named = named(conn, &words.iter().map(|(vocabulary, _)| vocabulary.as_str()).collect())?;
    let mut forget = conn.prepare_cached("DELETE FROM words WHERE vocabulary = ?1 AND id = ?2")?;
    for (vocabulary, id) in &words {
        if !named.get(vocabulary).is_some_and(|ids| ids.contains(&TokenId(*id))) {
            forget.execute((vocabulary, id))?;
        }
    }
    Ok(())
}

/// The ids of these vocabularies that prompts, replies and scores name.
fn named(
    conn: &Connection,
    vocabularies: &HashSet<&str>,
) -> rusqlite::Result<HashMap<String, HashSet<TokenId>>> {
    let mut named: HashMap<String, HashSet<TokenId>> = HashMap::new();
    conn.execute_batch(
        "CREATE TEMP TABLE IF NOT EXISTS told (run INTEGER PRIMARY KEY, vocabulary TEXT); DELETE FROM told;",
    )?;
    let mut statement = conn.prepare("SELECT id, prompt_ids, data FROM runs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let run = rmp_serde::from_slice::<Run>(row.get_ref(2)?.as_blob()?).ok();
        let vocabulary =
            run.and_then(|run| run.vocabulary).filter(|hash| vocabularies.contains(hash.as_str()));
        let Some(vocabulary) = vocabulary else { continue };
        conn.prepare_cached("INSERT INTO told VALUES (?1, ?2)")?
            .execute((row.get::<_, i64>(0)?, &vocabulary))?;
        named.entry(vocabulary).or_default().extend(pack::unpack_ids(row.get_ref(1)?.as_blob()?));
    }
    for steps in [
        "SELECT told.vocabulary, steps.data FROM told JOIN spans ON spans.run = told.run
         JOIN steps ON steps.span = spans.id",
        "SELECT told.vocabulary, scores.data FROM told JOIN scores ON scores.run = told.run",
    ] {
        let mut statement = conn.prepare(steps)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let steps = pack::unpack(row.get_ref(1)?.as_blob()?);
            named.entry(row.get(0)?).or_default().extend(steps.iter().flat_map(ids_of));
        }
    }
    Ok(named)
}

fn ids_of(step: &Step) -> impl Iterator<Item = TokenId> {
    step.id.into_iter().chain(step.candidates.iter().map(|candidate| candidate.id))
}
