//! How a word became its tokens: its bytes, a row a merge with a bracket over what it joined, the pieces left.
//!
//! Invariant: every bracket stands over the bytes that it joined, in all rows at the same columns.

use super::message::{self, Message};
use super::said;
use crate::inspect::pieces::{Merge, Pieces, TokenizerKind, Word};
use crate::theme::{Role, Theme};
use crate::ui::inspector::frame;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};

/// Column before which a rule's number ends.
const NUMBER: u16 = 8;
/// Most cells of the two pieces that a rule joins.
const RULE: u16 = 12;

/// Neighbours that are named where no rule joins them.
const PAIRS: usize = 6;
/// Merges that are shown before anything is said under them.
const LEAST: usize = 4;

/// Where the bytes of the word stand.
struct Ruler<'a> {
    theme: &'a Theme,
    text: &'a str,
    left: u16,
    /// Cells of a byte: two digits, and a blank where there is room.
    each: u16,
    /// First byte in view, and the one after the last.
    view: (usize, usize),
}

impl<'a> Ruler<'a> {
    fn of(message: &'a Message<'_>, text: &'a str, rule: u16, width: u16, around: Option<&Merge>) -> Self {
        let left = NUMBER + 1 + rule + 1;
        let room = width.saturating_sub(left + 1).max(6);
        let bytes = text.len();
        let each = if usize::from(room) >= bytes * 3 { 3 } else { 2 };
        let fit = usize::from(room / each);
        let middle = around.map_or(0, |merge| merge.span.1 as usize);
        let first = middle.saturating_sub(fit / 2).min(bytes.saturating_sub(fit));
        Self { theme: message.theme, text, left, each, view: (first, (first + fit).min(bytes)) }
    }

    fn column(&self, byte: usize) -> u16 {
        self.left + self.each * (byte.saturating_sub(self.view.0) as u16)
    }

    /// Cells of a stretch that is in view: where it begins, and how many; the blank after it left out.
    fn cells(&self, from: usize, to: usize) -> Option<(u16, u16)> {
        let (from, to) = (from.max(self.view.0), to.min(self.view.1));
        let gap = self.each - 2;
        (from < to).then(|| (self.column(from), self.column(to) - self.column(from) - gap))
    }

    fn is_whole(&self) -> bool {
        self.view == (0, self.text.len())
    }

    fn bytes(&self) -> Row {
        let muted = self.theme.style(Role::Muted);
        let label = if self.is_whole() {
            "bytes".to_owned()
        } else {
            format!("{}–{} of {}", self.view.0 + 1, self.view.1, self.text.len())
        };
        let row = Row::of(1, label, muted);
        (self.view.0..self.view.1)
            .zip(&self.text.as_bytes()[self.view.0..])
            .fold(row, |row, (at, byte)| row.and(self.column(at), format!("{byte:02X}"), muted))
    }

    /// Each character over its first byte.
    fn letters(&self) -> Row {
        let seen = self.text.char_indices().filter(|(at, _)| *at >= self.view.0 && *at < self.view.1);
        seen.fold(Row::default(), |row, (at, character)| {
            let letter = message::visible(character.encode_utf8(&mut [0; 4]).as_bytes(), self.theme);
            let fits = (1..=self.each).contains(&text::width(&letter));
            if fits { row.and(self.column(at), letter, self.theme.style(Role::Text)) } else { row }
        })
    }

    /// `├───┤` over a stretch.
    fn bracket(&self, row: Row, from: usize, to: usize, role: Role) -> Row {
        let Some((at, cells)) = self.cells(from, to) else { return row };
        let ends = if self.theme.symbols.ascii { ("+", "+") } else { ("├", "┤") };
        let inner = self.theme.symbols.rule.repeat(usize::from(cells.saturating_sub(2)));
        row.and(at, format!("{}{inner}{}", ends.0, ends.1), self.theme.style(role))
    }
}

/// The whole staircase in at most so many rows: merges are left out around the selected one.
pub fn rows(message: &Message<'_>, width: u16, most: usize) -> Vec<Row> {
    let theme = message.theme;
    let stair = &message.stair;
    let became = if stair.count > 0 { number::counted(stair.count, "token") } else { "tokens".to_owned() };
    let room = width.saturating_sub(text::width(&became) + 14);
    let title = format!("How {} became {became}", text::cut(&stair.name, room));
    let mut rows = vec![Row::of(1, text::cut(&title, width.saturating_sub(2)), theme.style(Role::Strong))];
    let Some(text) = &stair.text else {
        let words = "It shows no text of its own: no text is ever cut into this token.";
        rows.extend(said(message, words, width, Role::Text));
        return rows;
    };
    let Some(pieces) = &stair.told else {
        rows.extend(said(message, &frame::missing(message.app), width, Role::Text));
        return rows;
    };
    if let Some(doubt) = &pieces.doubt {
        let doubt = crate::sanitize::for_display(doubt);
        rows.extend(said(message, &format!("! {doubt}"), width, Role::Warn));
    }
    if stair.differs && pieces.doubt.is_none() {
        let words = "! the model wrote this word as other tokens; this is how the tokenizer cuts it";
        rows.extend(said(message, words, width, Role::Warn));
    }
    let merges: Vec<&Merge> = pieces.words.iter().flat_map(|word| &word.merges).collect();
    let joins: Vec<String> = merges.iter().map(|merge| rule(text, merge, theme)).collect();
    let cells = joins.iter().map(|rule| text::width(rule)).max().unwrap_or(4).clamp(4, RULE);
    let selected = message.app.inspector.inside.row.min(merges.len().saturating_sub(1));
    let ruler = Ruler::of(message, text, cells, width, merges.get(selected).copied());
    rows.extend([ruler.bytes(), ruler.letters()]);
    let mut foot = foot(message, pieces, &ruler, width);
    // On low screens what is said last goes before the merges do.
    foot.truncate(most.saturating_sub(rows.len() + 1 + merges.len().min(LEAST)).max(2));
    let head = usize::from(!merges.is_empty());
    let room = most.saturating_sub(rows.len() + head + foot.len()).max(1);
    if !merges.is_empty() {
        let left_out = merges.len().saturating_sub(room);
        let head = if left_out > 0 {
            format!("merge rule, {room} of {}", merges.len())
        } else {
            "merge rule".into()
        };
        rows.push(Row::of(3, text::cut(&head, ruler.left.max(24)), theme.style(Role::Muted)));
    }
    let first = selected.saturating_sub(room / 2).min(merges.len().saturating_sub(room));
    for (index, merge) in merges.iter().enumerate().skip(first).take(room) {
        let here = index == selected;
        let role = if here { Role::Strong } else { Role::Text };
        let mut row = Row::default();
        if here {
            row = row.and(0, theme.symbols.here, theme.style(Role::Strong));
        }
        row = row.until(NUMBER, number_of(merge), theme.style(Role::Muted));
        row = row.and(NUMBER + 1, text::cut(&joins[index], cells), theme.style(role));
        let (from, _, to) = merge.span;
        let bracket = if here { Role::Strong } else { Role::Rule };
        rows.push(ruler.bracket(row, from as usize, to as usize, bracket));
    }
    rows.extend(foot);
    rows
}

/// `#176`, or the score where the tokenizer has scores.
fn number_of(merge: &Merge) -> String {
    match (merge.rank, merge.score) {
        (Some(rank), _) => format!("#{rank}"),
        (None, Some(score)) => number::decimals(score.into(), 1),
        (None, None) => "–".into(),
    }
}

/// `␣R+e`
fn rule(text: &str, merge: &Merge, theme: &Theme) -> String {
    let (from, meet, to) = merge.span;
    let piece = |from: u32, to: u32| {
        let bytes = text.as_bytes().get(from as usize..to as usize);
        bytes.map_or_else(String::new, |bytes| message::visible(bytes, theme))
    };
    format!("{}+{}", piece(from, meet), piece(meet, to))
}

/// The tokens over their bytes, with their ids, and why it ended there.
fn foot(message: &Message<'_>, pieces: &Pieces, ruler: &Ruler<'_>, width: u16) -> Vec<Row> {
    let theme = message.theme;
    let label = |words: &str| Row::of(1, words, theme.style(Role::Muted));
    let (mut names, mut brackets) = (label("tokens"), label(""));
    let mut listed = Vec::new();
    for (id, (from, to)) in pieces.words.iter().flat_map(|word| &word.tokens) {
        let (from, to) = (*from as usize, *to as usize);
        let name = ruler.text.as_bytes().get(from..to).map(|bytes| message::visible(bytes, theme));
        let name = name.unwrap_or_default();
        if let Some((at, cells)) = ruler.cells(from, to) {
            names = names.and(at, text::cut(&name, cells), theme.style(Role::TokenChosen));
            brackets = ruler.bracket(brackets, from, to, Role::Text);
        }
        listed.push(format!("{name} {}", id.0));
    }
    let mut rows = vec![brackets, names];
    rows.extend(row::packed(&listed, 1, width, theme.style(Role::Text)));
    if let Some(words) = done(pieces, ruler.text, theme) {
        rows.extend(said(message, &words, width, Role::Muted));
    }
    rows
}

/// `no rule joins ␣Rey+k or k+jav: done`
fn done(pieces: &Pieces, text: &str, theme: &Theme) -> Option<String> {
    let says = match pieces.kind {
        TokenizerKind::ByteLevel | TokenizerKind::Characters => "no rule joins",
        TokenizerKind::SentencePiece => "no piece is",
        TokenizerKind::WordPiece | TokenizerKind::Unigram | TokenizerKind::Other => return None,
    };
    if pieces.doubt.is_some() {
        return None;
    }
    if let [Word { start, merges, tokens, .. }] = pieces.words.as_slice()
        && merges.is_empty()
        && start.len() == 1
        && tokens.len() == 1
    {
        return (text.len() > 1).then(|| "the whole word is a piece: it is taken without merging".into());
    }
    let pairs = pieces.words.iter().flat_map(|word| word.tokens.windows(2));
    let mut pairs: Vec<String> = pairs
        .filter_map(|pair| match pair {
            [(_, (from, meet)), (_, (_, to))] => {
                Some(rule(text, &Merge { span: (*from, *meet, *to), ..Merge::default() }, theme))
            }
            _ => None,
        })
        .collect();
    if pairs.len() > PAIRS {
        let more = pairs.len() - PAIRS + 1;
        pairs.truncate(PAIRS - 1);
        pairs.push(format!("any of {more} more"));
    }
    let (last, before) = pairs.split_last()?;
    let joined = if before.is_empty() { last.clone() } else { format!("{} or {last}", before.join(", ")) };
    Some(format!("{says} {joined}: done"))
}
