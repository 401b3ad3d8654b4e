//! Write commands as SQL, and batches of them as one transaction.
//!
//! Invariant: a batch is on disk whole and in order or not at all; a single command that can never succeed
//! (a turn that does not exist) is left out and reported, so that it never holds up those after it.

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::answer::{Answer, Names};
use super::{Command, Scores, index, pack, purge, random_id, read, rescue};
use crate::chat::{
    ChatSettings, ConversationHead, ConversationId, Marks, Place, Role, Run, Span, Turn, TurnId, TurnState,
};
use crate::token::{Entry, Step, TokenId, Vocabulary};

/// Steps in one packed stretch at most, so that one can be read without the whole reply.
const STRETCH: usize = 256;
/// The role of a model's turns in the database.
const ASSISTANT: i64 = 2;
/// Messages kept in the prompt history.
const HISTORY: i64 = 1000;

/// Why a command was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// SQLite refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Settings or a run could not be turned into bytes.
    #[error("settings could not be packed: {0}")]
    Pack(#[from] rmp_serde::encode::Error),
    /// Steps came for a turn that has no generated span, or does not exist.
    #[error("turn {0} has no reply that tokens could be added to")]
    NoReply(i64),
    /// A turn does not exist.
    #[error("there is no turn {0}")]
    NoTurn(i64),
}

impl WriteError {
    /// Whether the database is at fault, so that trying again later can help.
    pub(super) fn may_pass(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        !matches!(
            error.sqlite_error_code(),
            None | Some(
                ErrorCode::ConstraintViolation
                    | ErrorCode::TypeMismatch
                    | ErrorCode::TooBig
                    | ErrorCode::ApiMisuse
                    | ErrorCode::Unknown
            )
        )
    }

    /// Whether another connection holds the database.
    pub(super) fn is_busy(&self) -> bool {
        let Self::Sqlite(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
    }

    /// What happened, as a person would say it.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Sqlite(error) => sqlite_reason(error),
            other => other.to_string(),
        }
    }
}

/// What SQLite met, as a person would say it.
pub(super) fn sqlite_reason(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the database".to_owned()
        }
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "the database or its folder is read-only".to_owned()
        }
        Some(ErrorCode::CannotOpen) => "the database cannot be opened".to_owned(),
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error, or is full".to_owned(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the database is damaged; start glassbox again to have it checked".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Writes all commands in one transaction. What comes back are the commands left out, in words.
pub(super) fn batch<'a>(
    conn: &mut Connection,
    instance: i64,
    commands: impl Iterator<Item = &'a Command>,
) -> Result<Vec<String>, WriteError> {
    let mut left_out = Vec::new();
    let mut transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for command in commands {
        let savepoint = transaction.savepoint()?;
        match apply(&savepoint, instance, command) {
            Ok(()) => savepoint.commit()?,
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => left_out.push(error.reason()),
        }
    }
    transaction.commit()?;
    Ok(left_out)
}

fn apply(conn: &Connection, instance: i64, command: &Command) -> Result<(), WriteError> {
    match command {
        Command::PutConversation { head, settings, leaf } => put_conversation(conn, head, settings, *leaf),
        Command::PutTurn(conversation, turn) => put_turn(conn, instance, *conversation, turn),
        Command::AppendSteps(turn, steps) => append_steps(conn, *turn, steps),
        Command::FinishTurn(turn, state, note) => finish_turn(conn, instance, *turn, *state, note.as_deref()),
        Command::PutRun(run) => put_run(conn, run),
        Command::SetDeleted(turn, deleted) => set_deleted(conn, *turn, *deleted),
        Command::DeleteConversation(id, deleted) => delete_conversation(conn, *id, *deleted),
        Command::PurgeConversation(id) => Ok(purge::purge(conn, &[id.0])?),
        Command::DuplicateConversation(from, to, title) => duplicate(conn, instance, *from, *to, title),
        Command::PutMarks(id, marks) => put_marks(conn, *id, marks),
        Command::PutPlace(id, place) => put_place(conn, *id, place),
        Command::PutDraft(conversation, text) => put_draft(conn, *conversation, text),
        Command::PutHistory(text) => put_history(conn, text),
        Command::PutVocabulary(vocabulary) => put_vocabulary(conn, vocabulary),
        Command::PutWords(vocabulary, entries) => {
            put_words(conn, vocabulary, entries.iter().map(|(id, entry)| (id, entry)))
        }
        Command::PutScores(conversation, scores) => put_scores(conn, *conversation, scores),
        // Read by the reader, or handled by the thread itself.
        Command::List
        | Command::Open(_)
        | Command::History
        | Command::Vocabulary(_)
        | Command::Scores(_)
        | Command::Search(_)
        | Command::Close => Ok(()),
    }
}

fn put_conversation(
    conn: &Connection,
    head: &ConversationHead,
    settings: &ChatSettings,
    leaf: Option<TurnId>,
) -> Result<(), WriteError> {
    conn.prepare_cached(
        "INSERT INTO conversations (id, title, created_ms, updated_ms, settings, leaf, touched)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(touched), 0) + 1 FROM conversations))
         ON CONFLICT (id) DO UPDATE SET title = ?2, created_ms = ?3, updated_ms = ?4, settings = ?5, leaf = ?6",
    )?
    .execute(params![
        head.id.0,
        head.title,
        head.created_ms,
        head.updated_ms,
        rmp_serde::to_vec_named(settings)?,
        leaf.map(|turn| turn.0)
    ])?;
    Ok(())
}

/// A turn whose conversation was never put gets an untitled one: a message is never refused for that.
fn ensure_conversation(conn: &Connection, id: ConversationId, created_ms: i64) -> Result<(), WriteError> {
    let known = conn.prepare_cached("SELECT 1 FROM conversations WHERE id = ?1")?.exists([id.0])?;
    if known {
        return Ok(());
    }
    let head = ConversationHead {
        title: String::new(),
        created_ms,
        updated_ms: created_ms,
        ..ConversationHead::new(id)
    };
    put_conversation(conn, &head, &ChatSettings::default(), None)
}

fn put_turn(
    conn: &Connection,
    instance: i64,
    conversation: ConversationId,
    turn: &Turn,
) -> Result<(), WriteError> {
    ensure_conversation(conn, conversation, turn.created_ms)?;
    let known: Option<i64> = seq_of(conn, turn.id)?;
    let has_inserts = !turn.inserts.is_empty();
    let inserts = has_inserts.then(|| rmp_serde::to_vec_named(&turn.inserts)).transpose()?;
    let seq: i64 = conn
        .prepare_cached(
            "INSERT INTO turns
                (id, conversation, parent, role, state, deleted, note, model, created_ms, writer, inserts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (id) DO UPDATE SET conversation = ?2, parent = ?3, role = ?4, state = ?5,
                deleted = ?6, note = ?7, model = ?8, created_ms = ?9, writer = ?10, inserts = ?11
             RETURNING seq",
        )?
        .query_row(
            params![
                turn.id.0,
                conversation.0,
                turn.parent.map(|parent| parent.0),
                role_number(turn.role),
                state_number(turn.state),
                turn.deleted,
                turn.note,
                turn.model,
                turn.created_ms,
                writer(turn.state, instance),
                inserts,
            ],
            |row| row.get(0),
        )?;
    if known.is_none() {
        conn.prepare_cached(
            "UPDATE conversations SET updated_ms = max(updated_ms, ?2),
                touched = (SELECT max(touched) + 1 FROM conversations) WHERE id = ?1",
        )?
        .execute(params![conversation.0, turn.created_ms])?;
        // Whoever has a reply written looks at the chat. It may end before it says so.
        if turn.state == TurnState::Streaming {
            conn.prepare_cached(
                "UPDATE conversations SET looked = (SELECT max(looked) + 1 FROM conversations) WHERE id = ?1",
            )?
            .execute([conversation.0])?;
        }
    } else {
        conn.prepare_cached("DELETE FROM spans WHERE turn = ?1")?.execute([seq])?;
    }
    for (number, span) in (0_i64..).zip(&turn.spans) {
        put_span(conn, seq, number, span)?;
    }
    make_searchable(conn, seq, turn.state)
}

fn put_span(conn: &Connection, seq: i64, number: i64, span: &Span) -> Result<(), WriteError> {
    let (kind, text, run, kept) = match span {
        Span::Written { text } => (0, Some(text), None, None),
        Span::Generated { run, .. } => (1, None, Some(run.0), None),
        Span::Kept { turn, steps } => (2, None, None, Some((turn.0, *steps))),
    };
    let id = conn
        .prepare_cached(
            "INSERT INTO spans (turn, number, kind, text, run, kept_turn, kept_steps)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert(params![seq, number, kind, text, run, kept.map(|kept| kept.0), kept.map(|kept| kept.1)])?;
    if let Span::Generated { steps, .. } = span {
        put_steps(conn, id, 0, steps)?;
    }
    Ok(())
}

fn put_steps(conn: &Connection, span: i64, mut first: i64, steps: &[Step]) -> Result<(), WriteError> {
    let mut insert =
        conn.prepare_cached("INSERT INTO steps (span, first, count, data) VALUES (?1, ?2, ?3, ?4)")?;
    for stretch in steps.chunks(STRETCH) {
        let count = i64::try_from(stretch.len()).expect("a stretch is at most STRETCH long");
        insert.execute(params![span, first, count, pack::pack(stretch)])?;
        first += count;
    }
    Ok(())
}

fn append_steps(conn: &Connection, turn: TurnId, steps: &[Step]) -> Result<(), WriteError> {
    let found: Option<(i64, i64)> = conn
        .prepare_cached(
            "SELECT id, (SELECT coalesce(max(first + count), 0) FROM steps WHERE span = spans.id)
             FROM spans WHERE turn = (SELECT seq FROM turns WHERE id = ?1) AND kind = 1
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row([turn.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (span, first) = found.ok_or(WriteError::NoReply(turn.0))?;
    put_steps(conn, span, first, steps)
}

fn finish_turn(
    conn: &Connection,
    instance: i64,
    turn: TurnId,
    state: TurnState,
    note: Option<&str>,
) -> Result<(), WriteError> {
    let seq = seq_of(conn, turn)?.ok_or(WriteError::NoTurn(turn.0))?;
    conn.prepare_cached("UPDATE turns SET state = ?2, note = ?3, writer = ?4 WHERE seq = ?1")?
        .execute(params![seq, state_number(state), note, writer(state, instance)])?;
    make_searchable(conn, seq, state)
}

/// Marks as interrupted what was being written by instances that are gone, and makes it searchable.
pub(super) fn interrupt(conn: &Connection, alive: &[i64]) -> Result<usize, WriteError> {
    let streaming: Vec<(i64, Option<i64>)> = conn
        .prepare("SELECT seq, writer FROM turns WHERE state = 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for (seq, writer) in streaming {
        if writer.is_some_and(|writer| alive.contains(&writer)) {
            continue;
        }
        conn.execute("UPDATE turns SET state = 2, writer = NULL WHERE seq = ?1", [seq])?;
        make_searchable(conn, seq, TurnState::Interrupted)?;
        count += 1;
    }
    Ok(count)
}

/// A growing reply enters the index once, at its end: indexing it again twice a second would take time quadratic in its length.
fn make_searchable(conn: &Connection, seq: i64, state: TurnState) -> Result<(), WriteError> {
    if state == TurnState::Streaming {
        return Ok(());
    }
    let role: i64 =
        conn.prepare_cached("SELECT role FROM turns WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?;
    let answer = if role == ASSISTANT {
        Answer::of_reply(&mut Names::new(conn), seq)
    } else {
        Answer::whole(conn, seq)
    };
    Ok(index::put(conn, seq, &answer?.text())?)
}

fn put_run(conn: &Connection, run: &Run) -> Result<(), WriteError> {
    let data = rmp_serde::to_vec_named(&Run { prompt_ids: Vec::new(), prefix: None, ..run.clone() })?;
    conn.prepare_cached(
        "INSERT INTO runs (id, prefix_run, prefix_count, prompt_ids, data) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET prefix_run = ?2, prefix_count = ?3, prompt_ids = ?4, data = ?5",
    )?
    .execute(params![
        run.id.0,
        run.prefix.map(|(prefix, _)| prefix.0),
        run.prefix.map(|(_, count)| count),
        pack::pack_ids(&run.prompt_ids),
        data
    ])?;
    Ok(())
}

fn set_deleted(conn: &Connection, turn: TurnId, deleted: bool) -> Result<(), WriteError> {
    conn.prepare_cached("UPDATE turns SET deleted = ?2 WHERE id = ?1")?.execute(params![turn.0, deleted])?;
    Ok(())
}

fn delete_conversation(conn: &Connection, id: ConversationId, deleted: bool) -> Result<(), WriteError> {
    conn.prepare_cached("UPDATE conversations SET binned_ms = ?2 WHERE id = ?1")?
        .execute(params![id.0, deleted.then(rescue::now_ms)])?;
    Ok(())
}

fn put_marks(conn: &Connection, id: ConversationId, marks: &Marks) -> Result<(), WriteError> {
    let tags = marks.tags.iter().fold(String::from(" "), |line, tag| line + tag + " ");
    conn.prepare_cached("UPDATE conversations SET pinned = ?2, archived = ?3, tags = ?4 WHERE id = ?1")?
        .execute(params![id.0, marks.pinned, marks.archived, tags])?;
    Ok(())
}

fn put_place(conn: &Connection, id: ConversationId, place: &Place) -> Result<(), WriteError> {
    conn.prepare_cached(
        "UPDATE conversations SET place = ?2, looked = (SELECT max(looked) + 1 FROM conversations) WHERE id = ?1",
    )?
    .execute(params![id.0, rmp_serde::to_vec_named(place)?])?;
    Ok(())
}

/// The copy's replies name the runs of the first: one that is named stays when the first is removed.
fn duplicate(
    conn: &Connection,
    instance: i64,
    from: ConversationId,
    to: ConversationId,
    title: &str,
) -> Result<(), WriteError> {
    let Some(conversation) = read::without_runs(conn, from)? else { return Ok(()) };
    let copy = conversation.duplicate(to, || TurnId(random_id()));
    let head = ConversationHead { title: title.to_owned(), ..copy.head };
    put_conversation(conn, &head, &copy.settings, copy.leaf)?;
    for turn in &copy.turns {
        put_turn(conn, instance, to, turn)?;
    }
    put_marks(conn, to, &Marks { pinned: false, ..head.marks })
}

fn put_draft(conn: &Connection, conversation: Option<ConversationId>, text: &str) -> Result<(), WriteError> {
    let id = conversation.map_or(0, |id| id.0);
    if text.is_empty() {
        conn.prepare_cached("DELETE FROM drafts WHERE conversation = ?1")?.execute([id])?;
    } else {
        conn.prepare_cached("INSERT OR REPLACE INTO drafts (conversation, text) VALUES (?1, ?2)")?
            .execute(params![id, text])?;
    }
    Ok(())
}

fn put_history(conn: &Connection, text: &str) -> Result<(), WriteError> {
    let seq = conn
        .prepare_cached(
            "INSERT INTO history (text) SELECT ?1
             WHERE ?1 IS NOT (SELECT text FROM history ORDER BY seq DESC LIMIT 1) RETURNING seq",
        )?
        .query_row([text], |row| row.get::<_, i64>(0))
        .optional()?;
    if let Some(seq) = seq {
        conn.prepare_cached("DELETE FROM history WHERE seq <= ?1")?.execute([seq - HISTORY])?;
    }
    Ok(())
}

fn put_vocabulary(conn: &Connection, vocabulary: &Vocabulary) -> Result<(), WriteError> {
    let Vocabulary { hash, blob, learned, .. } = vocabulary;
    if !vocabulary.is_whole() {
        return put_words(conn, hash, learned);
    }
    let (sizes, kinds) = pack::pack_entries(vocabulary);
    conn.prepare_cached(
        "INSERT OR IGNORE INTO vocabularies (hash, blob, sizes, kinds) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![hash, blob, sizes, kinds])?;
    conn.prepare_cached("DELETE FROM words WHERE vocabulary = ?1")?.execute([hash])?;
    Ok(())
}

/// Of a vocabulary that is kept as a whole there is nothing to add.
fn put_words<'a>(
    conn: &Connection,
    vocabulary: &str,
    entries: impl IntoIterator<Item = (impl std::borrow::Borrow<TokenId>, &'a Entry)>,
) -> Result<(), WriteError> {
    let mut put = conn.prepare_cached(
        "INSERT OR IGNORE INTO words (vocabulary, id, bytes, kind) SELECT ?1, ?2, ?3, ?4
         WHERE NOT EXISTS (SELECT 1 FROM vocabularies WHERE hash = ?1)",
    )?;
    for (id, entry) in entries {
        put.execute(params![vocabulary, id.borrow().0, entry.bytes, entry.kind as u8])?;
    }
    Ok(())
}

/// A conversation that was never put has no scores either.
fn put_scores(conn: &Connection, conversation: ConversationId, scores: &Scores) -> Result<(), WriteError> {
    conn.prepare_cached(
        "INSERT INTO scores (conversation, turn, model, run, places, data)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE EXISTS (SELECT 1 FROM conversations WHERE id = ?1)
         ON CONFLICT (turn, model) DO UPDATE SET run = ?4, places = ?5, data = ?6",
    )?
    .execute(params![
        conversation.0,
        scores.turn.0,
        scores.model,
        scores.run.0,
        pack::pack_places(&scores.tokens),
        pack::pack(scores.tokens.iter().map(|token| &token.3)),
    ])?;
    Ok(())
}

fn seq_of(conn: &Connection, turn: TurnId) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT seq FROM turns WHERE id = ?1")?
        .query_row([turn.0], |row| row.get(0))
        .optional()
}

fn writer(state: TurnState, instance: i64) -> Option<i64> {
    (state == TurnState::Streaming).then_some(instance)
}

pub(super) fn role_number(role: Role) -> i64 {
    match role {
        Role::System => 0,
        Role::User => 1,
        Role::Assistant => 2,
    }
}

fn state_number(state: TurnState) -> i64 {
    match state {
        TurnState::Done => 0,
        TurnState::Streaming => 1,
        TurnState::Interrupted => 2,
    }
}
