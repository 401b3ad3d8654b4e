//! What a reply is made of: what was thought, the answer, and the marks between them.
//!
//! Invariant: where a part begins depends on what the tokens spell alone, not on how they come; parts are in order and
//! together cover the reply, of which the end may be undecided while it is written.

mod forms;
#[cfg(test)]
mod tests;

pub use forms::Form;

use self::forms::{Begins, begins, first_of};

/// What a part of a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Marks, and the line ends beside them.
    Mark,
    /// What was thought.
    Thought,
    /// The answer.
    Answer,
}

/// A part of a reply; it ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// Its first byte in the reply's text, which holds nothing of control tokens.
    pub at: usize,
    /// The first token or written stretch that begins in it.
    pub piece: usize,
}

#[derive(Clone, Debug)]
enum State {
    /// At the beginning, where a mark may stand.
    Start,
    /// After a mark; line ends still belong to it.
    AfterMark { thinks: bool },
    /// Between the marks.
    Thinking,
    /// After them.
    Answering,
}

/// Takes a reply apart while it is written.
#[derive(Clone, Debug)]
pub struct Splitter {
    state: State,
    form: Option<Form>,
    /// What is spelt and not decided yet.
    held: Vec<u8>,
    /// For each piece that is held: how much it spells, how much text it has, whether it is a control token.
    pieces: Vec<(usize, usize, bool)>,
    /// How much of the first held piece is decided: spelt bytes.
    into: usize,
    /// Text and pieces that are decided.
    at: usize,
    piece: usize,
    parts: Vec<Part>,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Splitter {
    /// For a reply to a prompt that ends with an open mark, if it does ([`Form::opened_by`]).
    #[must_use]
    pub fn new(opened: Option<Form>) -> Self {
        let state = if opened.is_some() { State::AfterMark { thinks: true } } else { State::Start };
        Self {
            state,
            form: opened,
            held: Vec::new(),
            pieces: Vec::new(),
            into: 0,
            at: 0,
            piece: 0,
            parts: Vec::new(),
        }
    }

    /// Takes a token or a written stretch: its text, and its name if it is a control token without one.
    pub fn push(&mut self, text: &[u8], name: Option<&[u8]>) {
        match name.filter(|_| text.is_empty()) {
            Some(name) => self.push_named(name, 0),
            None => self.push_piece(text, text.len(), false),
        }
    }

    /// Takes a control token that is shown as so many bytes of text.
    pub fn push_named(&mut self, name: &[u8], shown: usize) {
        self.push_piece(name, shown, true);
    }

    fn push_piece(&mut self, spelt: &[u8], text: usize, control: bool) {
        self.held.extend_from_slice(spelt);
        self.pieces.push((spelt.len(), text, control));
        self.decide(false);
    }

    /// Whether there is nothing but an answer so far.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| part.kind == Kind::Answer)
    }

    /// No more comes.
    pub fn finish(&mut self) {
        self.decide(true);
    }

    /// The parts that are known.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How much of the text is decided, bytes.
    #[must_use]
    pub fn decided(&self) -> usize {
        self.at
    }

    /// The marks that the model thinks between, while it does.
    #[must_use]
    pub fn thinking(&self) -> Option<&Form> {
        let thinks = matches!(self.state, State::Thinking | State::AfterMark { thinks: true });
        self.form.as_ref().filter(|_| thinks)
    }

    /// Whether what comes next belongs to the answer, as far as is decided.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self.state, State::Answering | State::AfterMark { thinks: false })
    }

    fn decide(&mut self, end: bool) {
        while self.step(end) {}
        if end {
            self.take(self.held.len(), Kind::Answer);
        }
    }

    /// Decides what it can; whether there may be more.
    fn step(&mut self, end: bool) -> bool {
        match self.state {
            State::Start => self.start(end),
            State::AfterMark { thinks } => {
                let breaks = self.held.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
                self.take(breaks, Kind::Mark);
                self.take_empty();
                let more = !self.held.is_empty();
                if more {
                    self.state = if thinks { State::Thinking } else { State::Answering };
                }
                more
            }
            State::Thinking => self.think(end),
            State::Answering => self.answer(end),
        }
    }

    fn start(&mut self, end: bool) -> bool {
        let blanks = self.held.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        match begins(&self.held[blanks..]) {
            Begins::Thought(length, form) => {
                self.form = Some(form);
                self.take(blanks + length, Kind::Mark);
                self.state = State::AfterMark { thinks: true };
            }
            Begins::Answer(length) => {
                self.take(blanks + length, Kind::Mark);
                self.state = State::AfterMark { thinks: false };
            }
            Begins::Perhaps if !end => return false,
            Begins::Perhaps | Begins::No => self.state = State::Answering,
        }
        true
    }

    fn think(&mut self, end: bool) -> bool {
        let Some(form) = &self.form else { return false };
        let trimmed =
            |until: usize| self.held[..until].iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        match first_of(&form.closes, &self.held, end) {
            Ok((start, length)) => {
                let text = trimmed(start).map_or(0, |last| last + 1);
                self.take(text, Kind::Thought);
                self.take(start + length - text, Kind::Mark);
                self.state = State::AfterMark { thinks: false };
                true
            }
            Err(undecided) => {
                // Line ends may belong to the mark.
                let text = if end { self.held.len() } else { trimmed(undecided).map_or(0, |last| last + 1) };
                self.take(text, Kind::Thought);
                false
            }
        }
    }

    fn answer(&mut self, end: bool) -> bool {
        let form = self.form.clone().or_else(Form::usual);
        let again = form.as_ref().map_or(&[][..], |form| &form.again);
        let mut until = self.held.len();
        if !again.is_empty() {
            let mut from = 0;
            let control = self.pieces.iter().find_map(|(spelt, _, control)| {
                from += spelt;
                control.then(|| from - spelt)
            });
            let control = control.map(|at| at.saturating_sub(self.into)).filter(|at| *at < self.held.len());
            if let Some(at) = control {
                match first_of(again, &self.held[at..], end) {
                    Ok((0, length)) => {
                        self.take(at, Kind::Answer);
                        self.take(length, Kind::Mark);
                        self.form = form;
                        self.state = State::AfterMark { thinks: true };
                        return true;
                    }
                    Err(0) if !end => until = at,
                    _ => until = at + 1,
                }
            }
        }
        self.take(until, Kind::Answer);
        until > 0 && !self.held.is_empty()
    }

    /// Decides what so many spelt bytes are.
    fn take(&mut self, mut bytes: usize, kind: Kind) {
        if bytes == 0 {
            return;
        }
        if self.parts.last().is_none_or(|last| last.kind != kind) {
            let piece = self.piece + usize::from(self.into > 0);
            self.parts.push(Part { kind, at: self.at, piece });
        }
        self.held.drain(..bytes);
        while bytes > 0 {
            let Some(&(spelt, text, control)) = self.pieces.first() else { break };
            let now = bytes.min(spelt - self.into);
            bytes -= now;
            self.into += now;
            let whole = self.into == spelt;
            self.at += match control {
                true if whole => text,
                true => 0,
                false => now,
            };
            if whole {
                self.pieces.remove(0);
                (self.into, self.piece) = (0, self.piece + 1);
            }
        }
        self.take_empty();
    }

    /// Tokens that spell nothing go with what is before them.
    fn take_empty(&mut self) {
        while self.pieces.first().is_some_and(|(spelt, ..)| *spelt == 0) {
            self.pieces.remove(0);
            self.piece += 1;
        }
    }
}

/// A whole reply taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Bytes of the whole.
    pub bytes: usize,
    /// Pieces of the whole.
    pub pieces: usize,
}

impl Split {
    /// Takes pieces apart: each its text, and its name if it is a control token.
    pub fn of<'a>(
        opened: Option<Form>,
        pieces: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Self {
        let mut splitter = Splitter::new(opened);
        let mut count = 0;
        for (text, name) in pieces {
            splitter.push(text, name);
            count += 1;
        }
        splitter.finish();
        Self { bytes: splitter.at, pieces: count, parts: splitter.parts }
    }

    /// Whether there is more than an answer.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.parts.iter().any(|part| part.kind != Kind::Answer)
    }

    /// Where the parts of a kind lie in the text.
    pub fn ranges(&self, kind: Kind) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let ends = self.parts.iter().skip(1).map(|part| part.at).chain([self.bytes]);
        self.parts.iter().zip(ends).filter(move |(part, _)| part.kind == kind).map(|(part, end)| part.at..end)
    }

    /// Whether a piece belongs to the answer.
    #[must_use]
    pub fn is_answer(&self, piece: usize) -> bool {
        let next = self.parts.partition_point(|part| part.piece <= piece);
        next.checked_sub(1).is_none_or(|at| self.parts[at].kind == Kind::Answer)
    }

    /// How many tokens were spent on thinking, the marks among them.
    #[must_use]
    pub fn thought_pieces(&self) -> usize {
        let ends = self.parts.iter().skip(1).map(|part| part.piece).chain([self.pieces]);
        let parts = self.parts.iter().zip(ends).filter(|(part, _)| part.kind != Kind::Answer);
        parts.map(|(part, end)| end.saturating_sub(part.piece)).sum()
    }

    /// The text of a kind out of the whole text.
    #[must_use]
    pub fn text(&self, whole: &[u8], kind: Kind) -> Vec<u8> {
        self.ranges(kind).filter_map(|range| whole.get(range)).collect::<Vec<_>>().concat()
    }
}

/// The answer of a reply of which only the text is known.
#[must_use]
pub fn answer_of(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.trim_start().starts_with(['<', '[', '◁', 'H']) {
        return text.into();
    }
    let split = Split::of(None, [(text.as_bytes(), None)]);
    if !split.ranges(Kind::Thought).any(|range| !range.is_empty()) {
        return text.into();
    }
    String::from_utf8_lossy(&split.text(text.as_bytes(), Kind::Answer)).into_owned().into()
}
