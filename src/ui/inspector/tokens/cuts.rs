//! Where the text was cut before anything was merged: `The│␣capital│␣of│…`.
//!
//! Invariant: cuts are those that the tokenizer told; where there are more than fit, those around the word stay.

use super::message::{self, Message};
use super::said;
use crate::inspect::pieces::TokenizerKind;
use crate::theme::Role;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::text;

/// Rows that the cuts may take.
const ROWS: u16 = 3;

/// What was cut, and what that means; nothing where it is not told.
pub fn rows(message: &Message<'_>, width: u16) -> Vec<Row> {
    let Some((asked, pieces, word)) = &message.around else { return Vec::new() };
    let means = match pieces.kind {
        TokenizerKind::SentencePiece => {
            let words = "before merging nothing was cut: each blank became a letter of its own, and the whole text \
                         was merged";
            return said(message, words, width, Role::Muted);
        }
        TokenizerKind::ByteLevel | TokenizerKind::Characters => "merges never cross a cut",
        TokenizerKind::WordPiece | TokenizerKind::Unigram | TokenizerKind::Other => "",
    };
    if pieces.words.len() < 2 {
        return Vec::new();
    }
    let bytes = |from: u32, to: u32| asked.as_bytes().get(from as usize..to as usize).unwrap_or_default();
    let names: Vec<String> = pieces
        .words
        .iter()
        .map(|each| message::visible(bytes(each.span.0, each.span.1), message.theme))
        .collect();
    let at = pieces.words.partition_point(|each| each.span.1 as usize <= word.start).min(names.len() - 1);
    let between = message.theme.symbols.vertical;
    let lines = lines(&names, at, between, width.saturating_sub(5));
    let mut rows = said(message, "before merging, the text was cut at", width, Role::Text);
    rows.extend(lines.into_iter().map(|line| Row::of(3, line, message.theme.style(Role::TokenChosen))));
    if !means.is_empty() {
        rows.extend(said(message, means, width, Role::Muted));
    }
    rows
}

/// As many of the pieces around one of them as fit into [`ROWS`] lines, none broken.
fn lines(names: &[String], at: usize, between: &str, room: u16) -> Vec<String> {
    let cells = |name: &String| text::width(name) + 1;
    let most = ROWS * room.saturating_sub(12).max(1);
    let (mut first, mut last, mut used) = (at, at + 1, cells(&names[at]));
    loop {
        let left = first.checked_sub(1).filter(|left| used + cells(&names[*left]) <= most);
        if let Some(left) = left {
            first = left;
            used += cells(&names[left]);
        }
        let right = names.get(last).filter(|right| used + cells(right) <= most);
        if let Some(right) = right {
            last += 1;
            used += cells(right);
        }
        if left.is_none() && right.is_none() {
            break;
        }
    }
    let mut lines = vec![if first > 0 { format!("…{between}") } else { String::new() }];
    for (index, name) in names.iter().enumerate().take(last).skip(first) {
        let more = if index + 1 < names.len() { between } else { "" };
        let piece = format!("{}{more}", text::cut(name, room.saturating_sub(2)));
        match lines.last_mut() {
            Some(line) if text::width(line) + text::width(&piece) <= room => line.push_str(&piece),
            _ => lines.push(piece),
        }
    }
    if last < names.len()
        && let Some(line) = lines.last_mut()
    {
        line.push('…');
    }
    lines.retain(|line| !line.is_empty());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(String::from).collect()
    }

    #[test]
    fn all_pieces_stand_where_they_fit() {
        assert_eq!(lines(&names("The ␣cat ␣sat ."), 1, "|", 40), ["The|␣cat|␣sat|."]);
        assert_eq!(lines(&names("The ␣cat ␣sat ."), 1, "|", 24), ["The|␣cat|␣sat|."]);
    }

    #[test]
    fn of_many_pieces_those_around_the_word_stay() {
        let many: Vec<String> = (100..200).map(|number| number.to_string()).collect();
        let seen = lines(&many, 50, "|", 30);
        assert!(seen.len() <= usize::from(ROWS), "{seen:?}");
        assert!(seen[0].starts_with("…|") && seen[seen.len() - 1].ends_with("|…"), "{seen:?}");
        assert!(seen.concat().contains("|150|"), "{seen:?}");
        assert!(seen.iter().all(|line| text::width(line) <= 31), "{seen:?}");
    }
}
