//! What search looks in: each turn's text folded, as trigrams, and as pairs of characters for short words.
//!
//! Invariant: the indexes hold every turn that `texts` holds, under the same number.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rusqlite::{Connection, params};

use crate::fold::fold;

/// Puts a turn's text where it is searched, unless it is there already.
pub(super) fn put(conn: &Connection, seq: i64, text: &str) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached("INSERT OR IGNORE INTO texts (turn, text) VALUES (?1, ?2)")?;
    if insert.execute(params![seq, text])? == 0 {
        let same = conn
            .prepare_cached("SELECT text = ?2 FROM texts WHERE turn = ?1")?
            .query_row(params![seq, text], |row| row.get(0))?;
        if same {
            return Ok(());
        }
        conn.prepare_cached("DELETE FROM texts WHERE turn = ?1")?.execute([seq])?;
        insert.execute(params![seq, text])?;
    }
    fill(conn, seq, text)
}

/// Makes the indexes anew from the texts.
pub(super) fn rebuild(conn: &Connection) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT turn, text FROM texts ORDER BY turn")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        fill(conn, row.get(0)?, row.get_ref(1)?.as_str()?)?;
    }
    Ok(())
}

fn fill(conn: &Connection, seq: i64, text: &str) -> rusqlite::Result<()> {
    let folded = fold(text);
    conn.prepare_cached("INSERT INTO search (rowid, text) VALUES (?1, ?2)")?.execute(params![seq, folded])?;
    conn.prepare_cached("INSERT INTO short (rowid, grams) VALUES (?1, ?2)")?
        .execute(params![seq, grams(&folded)])?;
    Ok(())
}

/// Every character and every pair of neighbours of a folded text, each once, as words that a tokenizer takes whole.
fn grams(folded: &str) -> String {
    let mut found = BTreeSet::new();
    for word in folded.split(' ') {
        let mut before = None;
        for c in word.chars() {
            found.insert((None, c));
            found.insert((before, c));
            before = Some(c);
        }
    }
    found.into_iter().fold(String::new(), |mut grams, (first, second)| {
        push(&mut grams, first.into_iter().chain([second]));
        grams.push(' ');
        grams
    })
}

/// The word that stands for a folded word of one or two characters.
pub(super) fn gram(word: &str) -> String {
    let mut gram = String::new();
    push(&mut gram, word.chars());
    gram
}

fn push(gram: &mut String, chars: impl Iterator<Item = char>) {
    for c in chars {
        let _ = write!(gram, "u{:x}", u32::from(c));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_word_stands_where_its_text_has_it() {
        let held = grams(&fold("Да, 猫が C#"));
        let has = |word: &str| held.split(' ').any(|gram| gram == super::gram(&fold(word)));
        for word in ["да", "ДА", "猫", "が", "c#", "#", ","] {
            assert!(has(word), "{word}");
        }
        for word in ["ад", "猫c", "#c", ",猫"] {
            assert!(!has(word), "{word}");
        }
    }
}
