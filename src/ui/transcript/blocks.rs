//! Messages as blocks of rows: speaker line, text, status, note, a blank row.
//!
//! Invariant: [`Block::row_of`] undoes [`Block::anchor_of`] at any width, so a resize keeps the place. An
//! anchor is 0 for the speaker line, 1 + byte for the text, and counts on after its end.

use crate::app::{App, Phase};
use crate::chat::{StopReason, Turn, TurnState, Typed};
use crate::theme::Role;
use crate::ui::cache::{Branch, Cache};
use crate::ui::text::Lines;

/// One message.
pub(super) struct Block<'a> {
    /// The turn; `None` for a message that waits to be sent.
    pub turn: Option<&'a Turn>,
    /// Its first row, counted over the whole transcript.
    pub start: usize,
    text_rows: usize,
    /// Rows of the screen that a row of text takes: 2 where its levels stand under it.
    deep: usize,
    /// Which of how many versions it is, where it has others.
    pub version: Option<(usize, usize)>,
    /// What the reply waits for.
    pub status: Option<String>,
    pub note: Option<Note>,
}

/// What stands under a message.
pub(super) struct Note {
    pub lines: Lines,
    pub role: Role,
}

/// What a row of a block shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    Text(usize),
    /// The levels of a row of text.
    Levels(usize),
    Status,
    Note(usize),
    Blank,
}

/// The messages around what is in view as blocks, and a message that waits below the last.
pub(super) struct Blocks<'a> {
    pub list: Vec<Block<'a>>,
    /// Messages above the first, and below the last.
    pub above: usize,
    pub below: usize,
}

/// What the blocks are laid out for.
pub(super) struct Wanted<'w> {
    /// The message that is in view for sure.
    pub around: usize,
    /// So many rows are needed above it and below it.
    pub rows: usize,
    /// A message that waits to be sent.
    pub waiting: &'w [Typed],
    pub width: u16,
    /// Rows of the screen that a row of text takes.
    pub deep: usize,
}

/// Lays out messages from one on, up and down, until there are rows enough.
pub(super) fn around<'a>(
    app: &App,
    cache: &mut Cache,
    branch: &Branch<'a>,
    wanted: &Wanted<'_>,
) -> Blocks<'a> {
    let around = wanted.around.min(branch.len().saturating_sub(1));
    let mut lay = |index: usize| {
        let turn = branch.get(index)?;
        Some(Block { version: branch.version(turn), ..block(app, cache, turn, wanted) })
    };
    let mut list = Vec::new();
    let (mut above, mut rows) = (around, 0);
    while rows < wanted.rows
        && let Some(before) = above.checked_sub(1)
        && let Some(block) = lay(before)
    {
        rows += block.rows();
        list.push(block);
        above = before;
    }
    list.reverse();
    let (mut next, mut rows) = (around, 0);
    while rows < wanted.rows
        && let Some(block) = lay(next)
    {
        // The message itself may begin far above.
        rows += if next == around { 0 } else { block.rows() };
        list.push(block);
        next += 1;
    }
    let below = branch.len() - next;
    for (at, typed) in wanted.waiting.iter().enumerate().filter(|_| below == 0) {
        let first = typed.text.lines().next().unwrap_or_default();
        let when = if at == 0 { "sent when this reply is done" } else { "sent after that" };
        let words = format!("{first}   ({when})");
        let note = Note { lines: Lines::of(words.as_bytes(), wanted.width), role: Role::Muted };
        let deep = wanted.deep;
        let block =
            Block { turn: None, start: 0, text_rows: 0, deep, version: None, status: None, note: Some(note) };
        list.push(block);
    }
    let mut start = 0;
    for block in &mut list {
        block.start = start;
        start += block.rows();
    }
    let near: Vec<_> = list.iter().filter_map(|block| Some(block.turn?.id)).collect();
    cache.keep(&near);
    Blocks { list, above, below }
}

fn block<'a>(app: &App, cache: &mut Cache, turn: &'a Turn, wanted: &Wanted<'_>) -> Block<'a> {
    let revision = app.out.revisions.get(&turn.id).copied().unwrap_or(0);
    let body = cache.lay(app, turn, revision, wanted.width);
    let status = status(app, turn);
    let text_rows = match (turn.state, body.bytes()) {
        (TurnState::Streaming, 0) => usize::from(status.is_none()),
        (TurnState::Streaming, _) => body.rows(),
        (_, 0) => usize::from(app.transcript.cursor.is_some_and(|at| at.turn == turn.id)),
        _ => body.shown_rows(),
    };
    let (deep, note) = (wanted.deep, note(app, turn, wanted.width));
    Block { turn: Some(turn), start: 0, text_rows: text_rows * deep, deep, version: None, status, note }
}

impl Block<'_> {
    /// Its rows, the blank one at the end included.
    pub fn rows(&self) -> usize {
        1 + self.text_rows + usize::from(self.status.is_some()) + self.note_rows() + 1
    }

    pub fn part(&self, row: usize) -> Part {
        let mut rest = row;
        if rest == 0 {
            return Part::Head;
        }
        rest -= 1;
        if rest < self.text_rows {
            let row = rest / self.deep;
            return if rest.is_multiple_of(self.deep) { Part::Text(row) } else { Part::Levels(row) };
        }
        rest -= self.text_rows;
        if self.status.is_some() {
            if rest == 0 {
                return Part::Status;
            }
            rest -= 1;
        }
        match self.note_rows() {
            0 => Part::Blank,
            rows if rest < rows => rest.checked_sub(self.note_gap()).map_or(Part::Blank, Part::Note),
            _ => Part::Blank,
        }
    }

    /// Row of the block that an anchor means.
    pub fn row_of(&self, anchor: usize, cache: &Cache) -> usize {
        let Some(lines) = self.turn.and_then(|turn| cache.body(turn.id)) else { return 0 };
        let row = match anchor.checked_sub(1) {
            None => 0,
            Some(byte) if byte <= lines.bytes() => {
                1 + (lines.place_of(byte).0 * self.deep).min(self.text_rows.saturating_sub(self.deep))
            }
            Some(after) => 1 + self.text_rows + (after - lines.bytes() - 1),
        };
        row.min(self.rows() - 1)
    }

    /// The anchor of a row of the block.
    pub fn anchor_of(&self, row: usize, cache: &Cache) -> usize {
        let Some(lines) = self.turn.and_then(|turn| cache.body(turn.id)) else { return 0 };
        match row.checked_sub(1) {
            None => 0,
            Some(row) if row < self.text_rows => 1 + lines.row_start(row / self.deep),
            Some(row) => 2 + lines.bytes() + (row - self.text_rows),
        }
    }

    /// Rows of text.
    pub fn lines(&self) -> usize {
        self.text_rows / self.deep
    }

    /// Row of the block at which a row of text stands.
    pub fn row_of_line(&self, line: usize) -> usize {
        1 + line * self.deep
    }

    /// A note keeps a blank row from the text.
    fn note_gap(&self) -> usize {
        usize::from(self.text_rows > 0)
    }

    fn note_rows(&self) -> usize {
        self.note.as_ref().map_or(0, |note| note.lines.shown_rows() + self.note_gap())
    }
}

/// What a reply waits for before its first token.
fn status(app: &App, turn: &Turn) -> Option<String> {
    let run = app.talk.run.as_ref().filter(|run| run.turn == turn.id)?;
    match &run.phase {
        Phase::Asked => Some("waiting for the model".to_owned()),
        Phase::Reading { done, total } => Some(format!("reading {done} of {total} tokens")),
        Phase::Writing(_) => None,
    }
}

fn note(app: &App, turn: &Turn, width: u16) -> Option<Note> {
    let words = match (&turn.note, turn.state) {
        (Some(note), _) => note.as_str(),
        (None, TurnState::Interrupted) => "the app ended while this was written",
        (None, _) => return None,
    };
    let run = turn.spans.iter().rev().find_map(|span| match span {
        crate::chat::Span::Generated { run, .. } => app.talk.runs.get(run),
        _ => None,
    });
    let failed = run.is_some_and(|run| run.stop == Some(StopReason::Error));
    let (mark, role) = match turn.state {
        _ if words.starts_with("error:") => ("", Role::Error),
        _ if failed => ("error: ", Role::Error),
        _ if words.starts_with('!') => ("", Role::Warn),
        TurnState::Interrupted => ("! ", Role::Warn),
        _ => ("", Role::Muted),
    };
    Some(Note { lines: Lines::of(format!("{mark}{words}").as_bytes(), width), role })
}
