//! The tokens of a message as they are drawn: which bytes of the shown text each is, and its numbers in short.
//!
//! Invariant: the bytes are those of the shown text, which holds the names of special tokens while they are
//! shown; tokens are in order and do not overlap.

use std::borrow::Cow;
use std::ops::Range;

use crate::app::App;
use crate::chat::{self, Piece, RunId, Turn};
use crate::reasoning::Splitter;
use crate::theme::Symbols;
use crate::token::Step;
use crate::ui::text;
use crate::ui::widgets::token;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    start: u32,
    end: u32,
    /// ln p, nats.
    pub logprob: f32,
    /// Entropy of what it was drawn from, nats.
    pub entropy: f32,
    /// 1 + how many were likelier.
    pub rank: u32,
    /// Whether it is shown by its name, having no text of its own.
    pub special: bool,
}

/// The tokens of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// Whether special tokens are shown.
    pub special: bool,
    /// The tokens, in order.
    pub tokens: Vec<Mark>,
    /// Names put into the text: where in the turn's own bytes, how many bytes, and how many with those before.
    inserted: Vec<(usize, usize, usize)>,
    /// Where the tokens of each run begin.
    runs: Vec<(usize, RunId)>,
    /// Pieces and bytes of the turn that these hold.
    pieces: usize,
    bytes: usize,
    /// Whether these are of typed text.
    scored: bool,
    /// Tokens whose surprise is finite, and the sum of their surprises, bits.
    known: (u32, f64),
}

impl Mark {
    /// Its bytes of the shown text; empty for a token that shows nothing.
    pub fn bytes(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// −log₂ p, bits.
    pub fn surprisal_bits(&self) -> f32 {
        -self.logprob / std::f32::consts::LN_2
    }
}

impl Marks {
    /// Gathers them; linear in the message.
    pub fn of(app: &App, turn: &Turn) -> Self {
        let mut marks = Self { special: app.transcript.special, ..Self::default() };
        marks.grow(app, turn);
        if let ([Piece::Written(_)], true) = (app.talk.chat.pieces(turn).as_slice(), marks.tokens.is_empty())
        {
            // Typed text that was scored; its tokens have no place of their own among the pieces.
            let scored = app.view().turn_tokens(turn);
            for token in &scored {
                marks.push(token.start, token.end, token.step, None);
            }
            marks.scored = !scored.is_empty();
        }
        marks
    }

    /// Adds the tokens that came since; gives how many pieces of the turn were walked.
    pub fn grow(&mut self, app: &App, turn: &Turn) -> usize {
        let new = app.talk.chat.pieces_from(turn, self.pieces);
        self.pieces += new.len();
        for piece in &new {
            let start = self.bytes;
            self.bytes += piece.bytes().len();
            let Piece::Step { run, step } = *piece else { continue };
            if self.runs.last().is_none_or(|(_, last)| *last != run) {
                self.runs.push((self.tokens.len(), run));
            }
            let name = if self.special { special_name(app, run, step) } else { None };
            self.push(start, self.bytes, step, name.as_deref());
        }
        new.len()
    }

    /// Whether [`Self::grow`] makes these the tokens of the turn as it is now.
    pub fn can_grow(&self, app: &App, turn: &Turn) -> bool {
        self.special == app.transcript.special
            && !self.scored
            && self.pieces <= app.talk.chat.piece_count(turn)
    }

    fn push(&mut self, start: usize, end: usize, step: &Step, name: Option<&str>) {
        let inserted = name.map_or(0, str::len);
        let shift = self.inserted.last().map_or(0, |(_, _, shift)| *shift);
        if inserted > 0 {
            self.inserted.push((start, inserted, shift + inserted));
        }
        let surprisal = f64::from(step.surprisal_bits());
        if surprisal.is_finite() {
            self.known.0 += 1;
            self.known.1 += surprisal;
        }
        self.tokens.push(Mark {
            start: (start + shift) as u32,
            end: (end + shift + inserted) as u32,
            logprob: step.logprob,
            entropy: step.entropy,
            rank: step.rank,
            special: inserted > 0,
        });
    }

    /// Whether a run wrote any of these tokens.
    pub fn has_run(&self, run: RunId) -> bool {
        self.runs.iter().any(|(_, other)| *other == run)
    }

    /// Which token of a run the token of that index is.
    pub fn index_in_run(&self, token: usize, run: RunId) -> Option<usize> {
        let at = self.runs.partition_point(|(first, _)| *first <= token).checked_sub(1)?;
        let (first, of) = self.runs[at];
        (of == run).then(|| token - first)
    }

    /// The tokens that share bytes with a stretch of the shown text, with their indices.
    pub fn over(&self, start: usize, end: usize) -> impl Iterator<Item = (usize, &Mark)> {
        let first = self.tokens.partition_point(|mark| (mark.end as usize) <= start);
        let sharing = self.tokens[first..].iter().take_while(move |mark| (mark.start as usize) < end);
        (first..).zip(sharing).filter(|(_, mark)| mark.end > mark.start)
    }

    /// Where a byte of the turn stands in the shown text.
    pub fn shown(&self, byte: usize) -> usize {
        let before = self.inserted.partition_point(|(at, ..)| *at <= byte);
        byte + before.checked_sub(1).map_or(0, |last| self.inserted[last].2)
    }

    /// Mean surprise, bits; `None` where no token has a finite one. 2 to its power is the perplexity.
    pub fn mean_bits(&self) -> Option<f64> {
        (self.known.0 > 0).then(|| self.known.1 / f64::from(self.known.0))
    }
}

/// A piece of a turn as it is drawn.
pub struct DrawnPiece<'a> {
    /// What is shown of it.
    pub text: Cow<'a, [u8]>,
    /// The name of a control token.
    pub name: Option<&'a [u8]>,
    ms: f32,
}

impl DrawnPiece<'_> {
    /// The same for a reply that is taken apart.
    pub fn as_piece(&self) -> text::Piece<'_> {
        text::Piece { shown: &self.text, name: self.name, ms: self.ms }
    }
}

/// The text of a turn as it is drawn, in pieces, but for the first so many.
pub fn shown_pieces<'a>(app: &'a App, turn: &'a Turn, skip: usize) -> Vec<DrawnPiece<'a>> {
    let pieces = app.talk.chat.pieces_from(turn, skip).into_iter();
    let shown = pieces.map(|piece| match piece {
        Piece::Step { run, step } => {
            let name = chat::name_of(&app.talk.runs, &app.talk.vocabularies, &piece);
            let special = name.filter(|_| app.transcript.special).and_then(|_| special_name(app, run, step));
            let shown =
                special.map_or(Cow::Borrowed(step.bytes.as_slice()), |name| Cow::Owned(name.into_bytes()));
            DrawnPiece { text: shown, name, ms: step.ms }
        }
        Piece::Written(text) => DrawnPiece { text: Cow::Borrowed(text.as_bytes()), name: None, ms: 0.0 },
    });
    shown.collect()
}

/// What takes a reply apart, with nothing of it yet.
pub fn splitter(app: &App, turn: &Turn) -> Splitter {
    let pieces = app.talk.chat.pieces(turn);
    chat::splitter_for(&app.talk.runs, &app.talk.vocabularies, pieces.first())
}

/// `‹end›` for a token that has no text of its own.
fn special_name(app: &App, run: RunId, step: &Step) -> Option<String> {
    let id = step.id.filter(|_| step.bytes.is_empty())?;
    let vocabulary = app.talk.runs.get(&run)?.vocabulary.as_ref()?;
    let vocabulary = app.talk.vocabularies.get(vocabulary)?;
    Some(token::shown(vocabulary.bytes(id)?, vocabulary.kind(id), &Symbols::FULL))
}
