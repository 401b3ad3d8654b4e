//! Queries that give back what was written, as the plain data of `chat` and `token`.
//!
//! Invariant: one read sees one moment of the database (a read transaction); a damaged or newer value costs
//! that value (settings become default ones, a run is left out), never the conversation around it.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Scores, pack};
use crate::chat::{
    Conversation, ConversationHead, ConversationId, KEPT_DEEPEST, Marks, Role, Run, RunId, Span, Turn,
    TurnId, TurnState,
};
use crate::token::{Entry, TokenId, Vocabulary};

const HEAD: &str =
    "SELECT conversations.id, title, created_ms, updated_ms, coalesce(drafts.text, ''), pinned, archived, tags,
        binned_ms, looked, settings, leaf, place
     FROM conversations LEFT JOIN drafts ON drafts.conversation = conversations.id";

/// All conversations, those in the bin too, the one with the newest turn first, whatever the clock said.
pub(super) fn list(conn: &Connection) -> rusqlite::Result<Vec<ConversationHead>> {
    conn.prepare_cached(&format!("{HEAD} ORDER BY touched DESC"))?.query_map([], head)?.collect()
}

/// A conversation with all its turns in order of creation, and the runs that wrote them with those they build on.
pub(super) fn conversation(
    conn: &Connection,
    id: ConversationId,
) -> rusqlite::Result<Option<(Conversation, Vec<Run>)>> {
    let moment = conn.unchecked_transaction()?;
    match without_runs(&moment, id)? {
        Some(conversation) => Ok(Some((conversation, runs(&moment, id)?))),
        None => Ok(None),
    }
}

/// A conversation that is not in the bin, with all its turns in order of creation.
pub(super) fn without_runs(conn: &Connection, id: ConversationId) -> rusqlite::Result<Option<Conversation>> {
    let found = conn
        .prepare_cached(&format!("{HEAD} WHERE conversations.id = ?1 AND binned_ms IS NULL"))?
        .query_row([id.0], |row| {
            let place: Option<Vec<u8>> = row.get(12)?;
            Ok(Conversation {
                head: head(row)?,
                settings: rmp_serde::from_slice(row.get_ref(10)?.as_blob()?).unwrap_or_default(),
                leaf: row.get::<_, Option<i64>>(11)?.map(TurnId),
                turns: Vec::new(),
                place: place.and_then(|place| rmp_serde::from_slice(&place).ok()).unwrap_or_default(),
            })
        })
        .optional()?;
    let Some(conversation) = found else { return Ok(None) };
    Ok(Some(Conversation { turns: turns(conn, id)?, ..conversation }))
}

/// The last messages sent, newest first.
pub(super) fn history(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare_cached("SELECT text FROM history ORDER BY seq DESC")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Draft of the chat that has no conversation yet.
pub(super) fn draft(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("SELECT coalesce((SELECT text FROM drafts WHERE conversation = 0), '')", [], |row| {
        row.get(0)
    })
}

/// A kept vocabulary, with what was met of it where it is not known as a whole.
pub(super) fn vocabulary(conn: &Connection, hash: &str) -> rusqlite::Result<Option<Vocabulary>> {
    let learned: BTreeMap<TokenId, Entry> = conn
        .prepare_cached("SELECT id, bytes, kind FROM words WHERE vocabulary = ?1")?
        .query_map([hash], |row| {
            let entry = Entry { bytes: row.get(1)?, kind: pack::kind(row.get(2)?) };
            Ok((TokenId(row.get(0)?), entry))
        })?
        .collect::<rusqlite::Result<_>>()?;
    let whole = whole_vocabulary(conn, hash)?;
    if learned.is_empty() {
        return Ok(whole);
    }
    let empty = || Vocabulary { hash: hash.to_owned(), ..Vocabulary::default() };
    Ok(Some(Vocabulary { learned, ..whole.unwrap_or_else(empty) }))
}

fn whole_vocabulary(conn: &Connection, hash: &str) -> rusqlite::Result<Option<Vocabulary>> {
    conn.prepare_cached("SELECT blob, sizes, kinds FROM vocabularies WHERE hash = ?1")?
        .query_row([hash], |row| {
            let (sizes, kinds): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
            Ok(pack::unpack_vocabulary(hash.to_owned(), row.get(0)?, &sizes, &kinds))
        })
        .optional()
}

/// The scores of a conversation's typed texts.
pub(super) fn scores(conn: &Connection, id: ConversationId) -> rusqlite::Result<Vec<Scores>> {
    conn.prepare_cached(
        "SELECT turn, model, run, places, data FROM scores WHERE conversation = ?1 ORDER BY id",
    )?
    .query_map([id.0], |row| {
        Ok(Scores {
            turn: TurnId(row.get(0)?),
            model: row.get(1)?,
            run: RunId(row.get(2)?),
            tokens: pack::unpack_scored(row.get_ref(3)?.as_blob()?, row.get_ref(4)?.as_blob()?),
        })
    })?
    .collect()
}

/// The raw bytes of a turn (given by its place in the order of creation), kept stretches included.
pub(super) fn bytes(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<u8>> {
    let mut out = Vec::new();
    collect(conn, seq, usize::MAX, 0, &mut |bytes, _| out.extend_from_slice(bytes))?;
    Ok(out)
}

/// The same by tokens and written stretches, with the token and its run where it is known.
pub(super) fn pieces(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<Piece>> {
    let mut out = Vec::new();
    collect(conn, seq, usize::MAX, 0, &mut |bytes, step| out.push((bytes.to_vec(), step)))?;
    Ok(out)
}

/// A token's bytes, or those of a written stretch.
pub(super) type Piece = (Vec<u8>, Option<(RunId, TokenId)>);

/// Takes a piece's bytes, and of which run's token they are.
type TakePiece<'a> = dyn FnMut(&[u8], Option<(RunId, TokenId)>) + 'a;

/// Gives a turn's bytes on up to `most` steps; gives how many steps those were. As `Conversation::pieces`.
fn collect(
    conn: &Connection,
    seq: i64,
    most: usize,
    depth: usize,
    out: &mut TakePiece<'_>,
) -> rusqlite::Result<usize> {
    let mut left = most;
    for (span_id, span) in spans_of(conn, seq)? {
        match span {
            Span::Written { text } => out(text.as_bytes(), None),
            Span::Generated { run, .. } => {
                let mut stretches =
                    conn.prepare_cached("SELECT data FROM steps WHERE span = ?1 ORDER BY first")?;
                let mut rows = stretches.query([span_id])?;
                while let Some(row) = rows.next()?.filter(|_| left > 0) {
                    for step in pack::unpack(row.get_ref(0)?.as_blob()?).iter().take(left) {
                        out(&step.bytes, step.id.map(|id| (run, id)));
                        left -= 1;
                    }
                }
            }
            Span::Kept { turn, steps } if depth < KEPT_DEEPEST => {
                let other: Option<i64> = conn
                    .prepare_cached("SELECT seq FROM turns WHERE id = ?1")?
                    .query_row([turn.0], |row| row.get(0))
                    .optional()?;
                if let Some(other) = other {
                    left -= collect(conn, other, left.min(steps as usize), depth + 1, out)?;
                }
            }
            Span::Kept { .. } => {}
        }
        if left == 0 {
            break;
        }
    }
    Ok(most - left)
}

fn spans_of(conn: &Connection, seq: i64) -> rusqlite::Result<Vec<(i64, Span)>> {
    conn.prepare_cached(
        "SELECT turn, id, kind, text, run, kept_turn, kept_steps FROM spans WHERE turn = ?1 ORDER BY number",
    )?
    .query_map([seq], |row| Ok((row.get(1)?, span(row)?)))?
    .collect()
}

fn turns(conn: &Connection, id: ConversationId) -> rusqlite::Result<Vec<Turn>> {
    let mut place_of_turn = HashMap::new();
    let mut turns = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT seq, id, parent, role, state, deleted, note, model, created_ms, inserts FROM turns
         WHERE conversation = ?1 ORDER BY seq",
    )?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        place_of_turn.insert(row.get::<_, i64>(0)?, turns.len());
        turns.push(turn(row)?);
    }

    let mut place_of_span = HashMap::new();
    let mut statement = conn.prepare_cached(
        "SELECT spans.turn, spans.id, kind, text, run, kept_turn, kept_steps
         FROM turns JOIN spans ON spans.turn = turns.seq
         WHERE turns.conversation = ?1 ORDER BY turns.seq, spans.number",
    )?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        let Some(&place) = place_of_turn.get(&row.get::<_, i64>(0)?) else { continue };
        place_of_span.insert(row.get::<_, i64>(1)?, (place, turns[place].spans.len()));
        turns[place].spans.push(span(row)?);
    }

    let mut statement = conn.prepare_cached(
        "SELECT steps.span, steps.data
         FROM turns JOIN spans ON spans.turn = turns.seq JOIN steps ON steps.span = spans.id
         WHERE turns.conversation = ?1 AND spans.kind = 1 ORDER BY turns.seq, spans.number, steps.first",
    )?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        let Some(&(turn, number)) = place_of_span.get(&row.get::<_, i64>(0)?) else { continue };
        if let Span::Generated { steps, .. } = &mut turns[turn].spans[number] {
            steps.extend(pack::unpack(row.get_ref(1)?.as_blob()?));
        }
    }
    Ok(turns)
}

fn runs(conn: &Connection, id: ConversationId) -> rusqlite::Result<Vec<Run>> {
    let mut statement = conn.prepare_cached(
        "WITH RECURSIVE wanted (run) AS (
            SELECT spans.run FROM turns JOIN spans ON spans.turn = turns.seq
            WHERE turns.conversation = ?1 AND spans.run IS NOT NULL
            UNION SELECT runs.prefix_run FROM runs JOIN wanted ON runs.id = wanted.run
            WHERE runs.prefix_run IS NOT NULL)
         SELECT prefix_run, prefix_count, prompt_ids, data FROM wanted JOIN runs ON runs.id = wanted.run",
    )?;
    let mut rows = statement.query([id.0])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let Ok(run) = rmp_serde::from_slice::<Run>(row.get_ref(3)?.as_blob()?) else { continue };
        let prefix = row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<u32>>(1)?);
        runs.push(Run {
            prefix: prefix.map(|(run, count)| (RunId(run), count)),
            prompt_ids: pack::unpack_ids(row.get_ref(2)?.as_blob()?),
            ..run
        });
    }
    Ok(runs)
}

fn head(row: &Row) -> rusqlite::Result<ConversationHead> {
    Ok(ConversationHead {
        id: ConversationId(row.get(0)?),
        title: row.get(1)?,
        created_ms: row.get(2)?,
        updated_ms: row.get(3)?,
        draft: row.get(4)?,
        marks: Marks {
            pinned: row.get(5)?,
            archived: row.get(6)?,
            tags: row.get_ref(7)?.as_str()?.split_whitespace().map(str::to_owned).collect(),
        },
        binned_ms: row.get(8)?,
        looked: row.get(9)?,
    })
}

pub(super) fn role(number: i64) -> Role {
    match number {
        0 => Role::System,
        1 => Role::User,
        _ => Role::Assistant,
    }
}

fn turn(row: &Row) -> rusqlite::Result<Turn> {
    let inserts: Option<Vec<u8>> = row.get(9)?;
    Ok(Turn {
        id: TurnId(row.get(1)?),
        parent: row.get::<_, Option<i64>>(2)?.map(TurnId),
        role: role(row.get(3)?),
        spans: Vec::new(),
        state: match row.get(4)? {
            0 => TurnState::Done,
            1 => TurnState::Streaming,
            _ => TurnState::Interrupted,
        },
        deleted: row.get(5)?,
        note: row.get(6)?,
        model: row.get(7)?,
        created_ms: row.get(8)?,
        inserts: inserts.and_then(|inserts| rmp_serde::from_slice(&inserts).ok()).unwrap_or_default(),
    })
}

/// A span from columns 2 to 6: kind, text, run, kept turn, kept steps.
fn span(row: &Row) -> rusqlite::Result<Span> {
    Ok(match row.get(2)? {
        0 => Span::Written { text: row.get(3)? },
        1 => Span::Generated { run: RunId(row.get(4)?), steps: Vec::new() },
        _ => Span::Kept { turn: TurnId(row.get(5)?), steps: row.get(6)? },
    })
}
