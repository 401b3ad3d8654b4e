//! What of a turn is looked through: all that a user wrote, and of a reply the answer, without what was thought and
//! without marks.
//!
//! Invariant: a reply is taken apart as the screen takes it apart, with the names of its control tokens and by the end of
//! its prompt, as far as its run and vocabulary are stored; else by its text alone.

use std::collections::HashMap;
use std::ops::Range;

use rusqlite::{Connection, OptionalExtension as _};

use super::{pack, read};
use crate::chat::{Run, RunId, whole_text};
use crate::reasoning::{Form, Kind, Split};
use crate::token::{TokenId, Vocabulary};

/// Tokens at the end of a prompt that can hold an open mark.
const END: usize = 12;

/// What stands in every reply that has an end of its thinking in its text.
const MARKS: [&str; 6] = ["</", "[/", "◁", "<|", "|>", "Here is my response:"];

/// A turn's text and the bytes of it that are looked through.
pub(super) struct Answer {
    text: String,
    /// None where that is the whole text.
    ranges: Option<Vec<Range<usize>>>,
}

impl Answer {
    /// Of a reply.
    pub fn of_reply(names: &mut Names<'_>, seq: i64) -> rusqlite::Result<Self> {
        let pieces = read::pieces(names.conn, seq)?;
        let bytes: Vec<u8> = pieces.iter().flat_map(|(bytes, _)| bytes).copied().collect();
        let text = whole_text(&bytes, false);
        let marked = pieces.iter().any(|(bytes, step)| bytes.is_empty() && step.is_some());
        let marked = marked || MARKS.iter().any(|mark| text.contains(mark));
        if !marked && !text.trim_start().starts_with(['<', '[']) {
            return Ok(Self { text, ranges: None });
        }
        let opened = match pieces.first() {
            Some((_, Some((run, _)))) => names.opened(*run)?,
            _ => None,
        };
        let mut spelt = Vec::new();
        for (bytes, step) in &pieces {
            let name = match step.filter(|_| bytes.is_empty()) {
                Some((run, id)) => names.name(run, id)?,
                None => None,
            };
            spelt.push((bytes.as_slice(), name));
        }
        let split = Split::of(opened, spelt.iter().map(|(bytes, name)| (*bytes, name.as_deref())));
        // Offsets are those of bytes; where some are no text, all of it is looked through.
        let same = text.len() == bytes.len();
        let ranges = (split.is_split() && same).then(|| split.ranges(Kind::Answer).collect());
        Ok(Self { text, ranges })
    }

    /// Of any other turn.
    pub fn whole(conn: &Connection, seq: i64) -> rusqlite::Result<Self> {
        Ok(Self { text: whole_text(&read::bytes(conn, seq)?, false), ranges: None })
    }

    /// What is looked through.
    pub fn text(&self) -> String {
        match &self.ranges {
            None => self.text.clone(),
            Some(ranges) => ranges.iter().filter_map(|range| self.text.get(range.clone())).collect(),
        }
    }

    /// Where a byte of what is looked through stands in the turn.
    pub fn place(&self, at: usize) -> usize {
        let mut left = at;
        for range in self.ranges.iter().flatten() {
            if left < range.len() {
                return range.start + left;
            }
            left -= range.len();
        }
        at
    }
}

/// Finds the names of control tokens; each vocabulary is read once.
pub(super) struct Names<'c> {
    conn: &'c Connection,
    /// The vocabulary of a run, and the end of its prompt.
    runs: HashMap<RunId, (Option<String>, Vec<TokenId>)>,
    vocabularies: HashMap<String, Option<Vocabulary>>,
}

impl<'c> Names<'c> {
    /// None are known yet.
    pub fn new(conn: &'c Connection) -> Self {
        Self { conn, runs: HashMap::new(), vocabularies: HashMap::new() }
    }

    fn name(&mut self, run: RunId, id: TokenId) -> rusqlite::Result<Option<Vec<u8>>> {
        Ok(self.vocabulary(run)?.and_then(|vocabulary| vocabulary.bytes(id)).map(<[u8]>::to_vec))
    }

    /// The form whose open mark ends the prompt.
    fn opened(&mut self, run: RunId) -> rusqlite::Result<Option<Form>> {
        self.vocabulary(run)?;
        let end = self.runs.get(&run).map(|(_, end)| end.clone()).unwrap_or_default();
        let Some(vocabulary) = self.vocabulary(run)? else { return Ok(None) };
        let bytes: Vec<u8> =
            end.iter().flat_map(|id| vocabulary.bytes(*id).unwrap_or_default()).copied().collect();
        Ok(Form::opened_by(&String::from_utf8_lossy(&bytes)))
    }

    fn vocabulary(&mut self, run: RunId) -> rusqlite::Result<Option<&Vocabulary>> {
        if !self.runs.contains_key(&run) {
            let found = self.read(run)?;
            self.runs.insert(run, found);
        }
        let Some(hash) = self.runs.get(&run).and_then(|(hash, _)| hash.clone()) else { return Ok(None) };
        if !self.vocabularies.contains_key(&hash) {
            let found = read::vocabulary(self.conn, &hash)?;
            self.vocabularies.insert(hash.clone(), found);
        }
        Ok(self.vocabularies.get(&hash).and_then(Option::as_ref))
    }

    fn read(&self, run: RunId) -> rusqlite::Result<(Option<String>, Vec<TokenId>)> {
        let mut statement = self.conn.prepare_cached("SELECT prompt_ids, data FROM runs WHERE id = ?1")?;
        let found: Option<(Vec<u8>, Vec<u8>)> =
            statement.query_row([run.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((ids, data)) = found else { return Ok((None, Vec::new())) };
        let ids = pack::unpack_ids(&ids);
        let hash = rmp_serde::from_slice::<Run>(&data).ok().and_then(|run| run.vocabulary);
        Ok((hash, ids[ids.len().saturating_sub(END)..].to_vec()))
    }
}
