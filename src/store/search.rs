//! Full text over all turns: trigrams for words of three characters and more, a plain scan for shorter ones.
//!
//! Invariant: whatever is typed is searched for as it stands; nothing in a query is syntax.

use rusqlite::{Connection, params_from_iter, types::Value};

use super::Hit;
use crate::chat::{ConversationId, TurnId};

/// Hits given at most.
const MOST: usize = 50;
/// Characters of context before and after the match.
const BEFORE: usize = 40;
const AFTER: usize = 120;

/// The turns that hold every word of the query, best first; none for an empty query. Deleted turns and
/// conversations are left out.
pub(super) fn search(conn: &Connection, query: &str) -> rusqlite::Result<Vec<Hit>> {
    let words: Vec<String> = query.replace('\0', " ").split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let (sql, values) = statement(&words);
    conn.prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            let text = row.get_ref(3)?.as_str()?;
            let (snippet, matched) = snippet(text, query.trim(), &words);
            Ok(Hit {
                conversation: ConversationId(row.get(0)?),
                turn: TurnId(row.get(1)?),
                title: row.get(2)?,
                snippet,
                matched,
                created_ms: row.get(4)?,
            })
        })?
        .collect()
}

/// The texts themselves are fetched only for the hits that are shown.
fn statement(words: &[String]) -> (String, Vec<Value>) {
    let (long, short): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.chars().count() >= 3);
    let mut values = Vec::new();
    let mut conditions = String::new();
    let (table, seq, order) = if long.is_empty() {
        ("texts", "texts.turn", "-texts.turn")
    } else {
        let phrases: Vec<String> =
            long.iter().map(|word| format!("\"{}\"", word.replace('"', "\"\""))).collect();
        values.push(Value::Text(phrases.join(" AND ")));
        conditions.push_str(" AND search MATCH ?");
        ("search", "search.rowid", "search.rank")
    };
    for word in short {
        let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        values.push(Value::Text(format!("%{escaped}%")));
        conditions.push_str(" AND ");
        conditions.push_str(table);
        conditions.push_str(".text LIKE ? ESCAPE '\\'");
    }
    let sql = format!(
        "SELECT turns.conversation, turns.id, conversations.title, texts.text, turns.created_ms
         FROM (SELECT {seq} AS seq, {order} AS place FROM {table}
               JOIN turns ON turns.seq = {seq} AND turns.deleted = 0
               JOIN conversations ON conversations.id = turns.conversation AND deleted_by IS NULL
               WHERE 1 {conditions} ORDER BY 2 LIMIT {MOST}) AS hits
         JOIN texts ON texts.turn = hits.seq
         JOIN turns ON turns.seq = hits.seq
         JOIN conversations ON conversations.id = turns.conversation
         ORDER BY hits.place"
    );
    (sql, values)
}

/// The text around the whole query, or else its first word, on one line; and where the match is in it.
fn snippet(text: &str, query: &str, words: &[String]) -> (String, std::ops::Range<usize>) {
    let found = find(text, query).or_else(|| words.iter().find_map(|word| find(text, word))).unwrap_or(0..0);
    let start = text[..found.start].char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
    let end = text[found.end..].char_indices().nth(AFTER).map_or(text.len(), |(at, _)| found.end + at);
    let lead = if start > 0 { "…" } else { "" };
    let tail = if end < text.len() { "…" } else { "" };
    let line: String =
        text[start..end].chars().map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c }).collect();
    let shift = |at: usize| at - start + lead.len();
    (format!("{lead}{line}{tail}"), shift(found.start)..shift(found.end))
}

/// Byte range of the first place where `needle` stands in `text`, whatever the case.
fn find(text: &str, needle: &str) -> Option<std::ops::Range<usize>> {
    let fold = |c: char| c.to_lowercase().next().unwrap_or(c);
    let wanted: Vec<char> = needle.chars().map(fold).collect();
    let first = *wanted.first()?;
    text.char_indices().filter(|&(_, c)| fold(c) == first).find_map(|(start, _)| {
        let mut rest = text[start..].char_indices();
        let matches = wanted.iter().all(|&w| rest.next().is_some_and(|(_, c)| fold(c) == w));
        matches.then(|| start..rest.next().map_or(text.len(), |(at, _)| start + at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, query: &str, snippet_is: &str, marked: &str) {
        let words: Vec<String> = query.split_whitespace().map(str::to_owned).collect();
        let (snippet, matched) = snippet(text, query, &words);
        assert_eq!((snippet.as_str(), &snippet[matched]), (snippet_is, marked));
    }

    #[test]
    fn a_snippet_marks_the_match_on_one_line() {
        check("one\ntwo", "TWO", "one two", "two");
        check("中文字幕很好", "字幕", "中文字幕很好", "字幕");
        check("Ünder", "üNd", "Ünder", "Ünd");
        check("b a", "a b", "b a", "a");
        check("nothing", "absent", "nothing", "");
    }

    #[test]
    fn a_long_text_is_cut_on_both_sides() {
        let text = format!("{}needle{}", "ä".repeat(500), "ö".repeat(500));
        check(&text, "needle", &format!("…{}needle{}…", "ä".repeat(40), "ö".repeat(120)), "needle");
    }
}
