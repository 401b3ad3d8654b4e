//! Full text over all turns: trigrams for words of three characters and more, pairs of characters for shorter ones.
//!
//! Invariant: the newest turns that hold all words are ranked, so many at most that a search takes no longer in a larger
//! database.

use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::answer::{Answer, Names};
use super::{Hit, index, write};
use crate::chat::{ConversationId, Role, TurnId};
use crate::fold::{Folded, fold};
use crate::search::Query;

/// Hits given at most.
const MOST: usize = 50;
/// Turns that are ranked at most, the newest ones.
const RANKED: usize = 1000;
/// Characters of context before and after the match.
const BEFORE: usize = 40;
const AFTER: usize = 120;

/// The turns that hold every word of the query and fit its filters, best first; none for an empty query. What is
/// deleted is left out.
pub(super) fn search(conn: &Connection, typed: &str) -> rusqlite::Result<Vec<Hit>> {
    let query = Query::read(&typed.replace('\0', " "));
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let (sql, values) = statement(&query);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        // The newest come first, so that of two that are as good the newer one stays before.
        found.push((score(&fold(row.get_ref(1)?.as_str()?), &query), row.get::<_, i64>(0)?));
    }
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut names = Names::new(conn);
    found.iter().take(MOST).map(|(_, seq)| hit(&mut names, conn, *seq, &query)).collect()
}

/// The newest turns that hold the words, with their texts.
fn statement(query: &Query) -> (String, Vec<Value>) {
    let (long, short): (Vec<&String>, Vec<&String>) =
        query.words.iter().partition(|word| word.chars().count() >= 3);
    let mut values = Vec::new();
    let mut conditions = String::new();
    let mut condition = |sql: &str, value: Value| {
        conditions.push_str(sql);
        values.push(value);
    };
    let phrases = long.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\"")));
    let phrases = phrases.collect::<Vec<_>>().join(" AND ");
    let grams = short.iter().map(|word| index::gram(word)).collect::<Vec<_>>().join(" AND ");
    let table = match (phrases.is_empty(), grams.is_empty()) {
        (false, true) => "search",
        (false, false) => {
            condition(
                " AND search.rowid IN (SELECT rowid FROM short WHERE short MATCH ?)",
                Value::Text(grams),
            );
            "search"
        }
        (true, false) => {
            condition(" AND short MATCH ?", Value::Text(grams));
            "short"
        }
        (true, true) => "texts",
    };
    let seq = if table == "texts" { "texts.turn".to_owned() } else { format!("{table}.rowid") };
    if !phrases.is_empty() {
        condition(" AND search MATCH ?", Value::Text(phrases));
    }
    filters(query, &mut condition);
    let sql = format!(
        "SELECT hits.seq, texts.text
         FROM (SELECT {seq} AS seq FROM {table}
               JOIN turns ON turns.seq = {seq} AND turns.deleted = 0
               JOIN conversations ON conversations.id = turns.conversation AND binned_ms IS NULL
               WHERE 1 {conditions} ORDER BY {seq} DESC LIMIT {RANKED}) AS hits
         JOIN texts ON texts.turn = hits.seq ORDER BY hits.seq DESC"
    );
    (sql, values)
}

fn filters(query: &Query, condition: &mut impl FnMut(&str, Value)) {
    if let Some(role) = query.role {
        condition(" AND turns.role = ?", Value::Integer(write::role_number(role)));
    }
    for model in &query.models {
        condition(" AND instr(lower(turns.model), ?) > 0", Value::Text(model.clone()));
    }
    for tag in &query.tags {
        condition(" AND instr(conversations.tags, ?) > 0", Value::Text(format!(" {tag} ")));
    }
    if let Some(ms) = query.after.and_then(begins_ms) {
        condition(" AND turns.created_ms >= ?", Value::Integer(ms));
    }
    if let Some(ms) = query.before.and_then(begins_ms) {
        condition(" AND turns.created_ms < ?", Value::Integer(ms));
    }
}

/// When a day begins where the user is, milliseconds since 1970.
fn begins_ms(day: Date) -> Option<i64> {
    Some(day.to_zoned_datetime(TimeZone::system()).ok()?.timestamp().as_millisecond())
}

/// How well a folded text answers: the words as one stretch, as whole words, at the beginning of words, often, and not
/// lost in a long text.
fn score(folded: &str, query: &Query) -> f64 {
    let whole = if query.words.len() > 1 && folded.contains(&query.phrase) { 4.0 } else { 0.0 };
    let words: f64 = query.words.iter().map(|word| word_score(folded, word)).sum();
    whole + words - (folded.len() as f64 + 64.0).log2() / 8.0
}

fn word_score(folded: &str, word: &str) -> f64 {
    /// Occurrences looked at; more say nothing more.
    const SEEN: usize = 5;
    let mut best = 0.0;
    let mut count = 0.0;
    for (at, _) in folded.match_indices(word).take(SEEN) {
        let begins = !folded[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        let ends = !folded[at + word.len()..].chars().next().is_some_and(char::is_alphanumeric);
        best = f64::max(best, 1.0 + f64::from(u8::from(begins)) + f64::from(u8::from(begins && ends)));
        count += 0.1;
    }
    best + count
}

fn hit(names: &mut Names<'_>, conn: &Connection, seq: i64, query: &Query) -> rusqlite::Result<Hit> {
    let read = |row: &Row| {
        let text = row.get_ref(3)?.as_str()?;
        let found = place(text, query);
        let (snippet, matched) = snippet(text, &found);
        Ok(Hit {
            conversation: ConversationId(row.get(0)?),
            turn: TurnId(row.get(1)?),
            title: row.get(2)?,
            role: super::read::role(row.get(5)?),
            snippet,
            matched,
            at: in_turn(names, seq, (row.get(5)?, text), found.start)?,
            created_ms: row.get(4)?,
        })
    };
    conn.prepare_cached(
        "SELECT conversations.id, turns.id, conversations.title, texts.text, turns.created_ms, turns.role
         FROM texts JOIN turns ON turns.seq = texts.turn
         JOIN conversations ON conversations.id = turns.conversation WHERE texts.turn = ?1",
    )?
    .query_row([seq], read)
}

/// Where a byte of what was looked through stands in its turn. What an earlier version took up may be more than the answer.
fn in_turn(names: &mut Names<'_>, seq: i64, (role, text): (i64, &str), at: usize) -> rusqlite::Result<usize> {
    if super::read::role(role) != Role::Assistant {
        return Ok(at);
    }
    let answer = Answer::of_reply(names, seq)?;
    Ok(if answer.text() == text { answer.place(at) } else { at })
}

/// Where the whole query stands in a text, or else the first of its words that begins one.
fn place(text: &str, query: &Query) -> Range<usize> {
    let folded = Folded::new(text);
    let first = |wanted: &str| {
        let begins = |range: &Range<usize>| {
            !text[..range.start].chars().next_back().is_some_and(char::is_alphanumeric)
        };
        folded.find(wanted).find(begins).or_else(|| folded.find(wanted).next())
    };
    first(&query.phrase).or_else(|| query.words.iter().find_map(|word| first(word))).unwrap_or(0..0)
}

/// The text around a match, on one line; and where the match is in it.
fn snippet(text: &str, found: &Range<usize>) -> (String, Range<usize>) {
    let start = text[..found.start].char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
    let end = text[found.end..].char_indices().nth(AFTER).map_or(text.len(), |(at, _)| found.end + at);
    let lead = if start > 0 { "…" } else { "" };
    let tail = if end < text.len() { "…" } else { "" };
    let line: String =
        text[start..end].chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }).collect();
    let shift = |at: usize| at - start + lead.len();
    (format!("{lead}{line}{tail}"), shift(found.start)..shift(found.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, query: &str, snippet_is: &str, marked: &str) {
        let (snippet, matched) = snippet(text, &place(text, &Query::read(query)));
        assert_eq!((snippet.as_str(), &snippet[matched]), (snippet_is, marked));
    }

    #[test]
    fn a_snippet_marks_the_match_on_one_line() {
        check("one\ntwo", "TWO", "one two", "two");
        check("中文字幕很好", "字幕", "中文字幕很好", "字幕");
        check("Ünder", "üNd", "Ünder", "Ünd");
        check("b a", "a b", "b a", "a");
        check("nothing", "absent", "nothing", "");
        check("undone, done", "done", "undone, done", "done");
    }

    #[test]
    fn a_long_text_is_cut_on_both_sides() {
        let text = format!("{}needle{}", "ä".repeat(500), "ö".repeat(500));
        check(&text, "needle", &format!("…{}needle{}…", "ä".repeat(40), "ö".repeat(120)), "needle");
    }

    #[test]
    fn whole_words_and_whole_queries_come_first() {
        let mut texts = ["undone undone", "all is done", "is all done", "doneness of all it is"];
        let query = Query::read("all is done");
        texts.sort_by(|one, other| score(other, &query).total_cmp(&score(one, &query)));
        assert_eq!(texts, ["all is done", "is all done", "doneness of all it is", "undone undone"]);
    }
}
