//! Texts laid out and their tokens, kept from frame to frame by turn, revision and shape.
//!
//! Invariant: a text is laid out when it is first drawn in a shape and when its revision changed; of a reply
//! that is being written only the last block and what is new is laid out, and only new tokens are gathered. Tokens are
//! gathered only of messages that come into view. The runtime owns the cache.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::app::{App, InkPlace};
use crate::chat::{Conversation, ConversationId, Role, RunId, Turn, TurnId, TurnState};
use crate::reasoning::Splitter;
use crate::token::TokenId;
use crate::ui::colours::Colours;
use crate::ui::marks::{self, DrawnPiece, Marks};
use crate::ui::shape::shape;
use crate::ui::text::{Body, Sections, Shape};

/// The laid out texts of one chat.
#[derive(Debug, Default)]
pub struct Cache {
    chat: Option<ConversationId>,
    texts: HashMap<TurnId, Text>,
    marks: HashMap<TurnId, Marked>,
    ink: Option<(InkKey, Rc<Places>)>,
    /// The shown branch, for a leaf and a number of turns.
    path: Option<(PathKey, Rc<Path>)>,
    colours: Colours,
    walked: usize,
    /// Whether texts are laid out for a terminal that draws ASCII only.
    ascii: bool,
}

/// What a walked branch holds for: the leaf and the number of turns.
type PathKey = (Option<TurnId>, usize);

/// A branch: where its turns stand in the chat's list, and each turn's place on it.
#[derive(Debug, Default)]
struct Path {
    places: Vec<usize>,
    index: HashMap<TurnId, usize>,
    /// Where turns of the chat stand that are versions of each other, deleted ones among them, by what they answer.
    versions: HashMap<Asked, Vec<usize>>,
}

/// What versions have in common: the turn before, and who speaks.
type Asked = (Option<TurnId>, Role);

impl Path {
    /// Unlike [`Conversation::branch`], linear in its length.
    fn of(chat: &Conversation) -> Self {
        let at: HashMap<TurnId, usize> =
            chat.turns.iter().enumerate().map(|(at, turn)| (turn.id, at)).collect();
        let mut places = Vec::new();
        let mut next = chat.leaf;
        while let Some(place) = next.and_then(|id| at.get(&id).copied()) {
            if places.len() > chat.turns.len() {
                break; // a damaged tree must not hang the app
            }
            next = chat.turns[place].parent;
            places.push(place);
        }
        places.retain(|place| !chat.turns[*place].deleted);
        places.reverse();
        let index = places.iter().enumerate().map(|(index, place)| (chat.turns[*place].id, index)).collect();
        Self { places, index, versions: versions(&chat.turns) }
    }
}

/// Turns that have other versions. Most have none, so that what answers a turn first is noted before it has a list.
fn versions(turns: &[Turn]) -> HashMap<Asked, Vec<usize>> {
    let mut first: HashMap<Asked, usize> = HashMap::with_capacity(turns.len());
    let mut versions: HashMap<Asked, Vec<usize>> = HashMap::new();
    for (at, turn) in turns.iter().enumerate() {
        let asked = (turn.parent, turn.role);
        match first.get(&asked) {
            Some(before) => versions.entry(asked).or_insert_with(|| vec![*before]).push(at),
            None => drop(first.insert(asked, at)),
        }
    }
    versions
}

/// The shown branch.
pub(crate) struct Branch<'a> {
    turns: &'a [Turn],
    system: Option<&'a Turn>,
    path: Rc<Path>,
}

impl<'a> Branch<'a> {
    /// How many messages it has.
    pub fn len(&self) -> usize {
        self.path.places.len() + usize::from(self.system.is_some())
    }

    /// A message by its place.
    pub fn get(&self, index: usize) -> Option<&'a Turn> {
        match (self.system, index.checked_sub(usize::from(self.system.is_some()))) {
            (system, None) => system,
            (_, Some(index)) => self.path.places.get(index).map(|place| &self.turns[*place]),
        }
    }

    /// The place of a message.
    pub fn position(&self, id: TurnId) -> Option<usize> {
        if self.system.is_some_and(|system| system.id == id) {
            return Some(0);
        }
        self.path.index.get(&id).map(|index| index + usize::from(self.system.is_some()))
    }

    /// Which of its versions a turn is, from 1, and how many there are; `None` where it is the only one. What
    /// [`Conversation::versions`] says, without a walk through the chat for every message in view.
    pub fn version(&self, turn: &Turn) -> Option<(usize, usize)> {
        let places = self.path.versions.get(&(turn.parent, turn.role))?;
        let there = || places.iter().map(|place| &self.turns[*place]).filter(|turn| !turn.deleted);
        let at = there().position(|other| other.id == turn.id)?;
        Some((at + 1, there().count())).filter(|(_, count)| *count > 1)
    }

    /// All messages.
    pub fn all(&self) -> Vec<&'a Turn> {
        (0..self.len()).filter_map(|index| self.get(index)).collect()
    }
}

/// Coloured stretches by message.
pub type Places = HashMap<TurnId, Vec<InkPlace>>;
/// What an alignment holds for: the run, how much was read, the messages that are finished.
type InkKey = (RunId, usize, Vec<(TurnId, u64)>);

#[derive(Debug)]
struct Text {
    revision: u64,
    special: bool,
    body: Body,
    /// Pieces of the turn that the body holds.
    pieces: usize,
    /// What tells thoughts from the answer, where the message may hold both.
    splitter: Option<Splitter>,
    /// Vocabularies that were known: names of control tokens come from them.
    vocabularies: usize,
}

#[derive(Debug)]
struct Marked {
    revision: u64,
    /// Whether they are of a reply that is being written.
    growing: bool,
    marks: Marks,
}

impl Cache {
    /// Has code coloured on a thread of its own; `wake` is called when a frame would show more of it.
    #[must_use]
    pub fn coloured_aside(wake: impl Fn() + Send + 'static) -> Self {
        Self { colours: Colours::aside(wake), ..Self::default() }
    }

    /// Whether texts are laid out for a terminal that draws ASCII only.
    pub(crate) fn draw_in_ascii(&mut self, ascii: bool) {
        self.ascii = ascii;
    }

    /// The shown branch without deleted turns, first turn first, below the system prompt where that is shown. Walked
    /// again when the chat has another leaf or more turns.
    pub(crate) fn branch<'a>(&mut self, chat: &'a Conversation, system: Option<&'a Turn>) -> Branch<'a> {
        if self.chat != Some(chat.head.id) {
            let colours = std::mem::take(&mut self.colours);
            *self = Self { chat: Some(chat.head.id), colours, ascii: self.ascii, ..Self::default() };
        }
        let key = (chat.leaf, chat.turns.len());
        if self.path.as_ref().is_none_or(|(known, _)| *known != key) {
            self.path = Some((key, Rc::new(Path::of(chat))));
        }
        let path = self.path.as_ref().map(|(_, path)| Rc::clone(path)).unwrap_or_default();
        Branch { turns: &chat.turns, system: system.filter(|_| !path.places.is_empty()), path }
    }

    /// Lets go of laid out texts that are far from what is in view, once there are many.
    pub fn keep(&mut self, near: &[TurnId]) {
        const MOST: usize = 400;
        if self.texts.len() > MOST + near.len() {
            let near: HashSet<TurnId> = near.iter().copied().collect();
            self.texts.retain(|turn, text| near.contains(turn) || text.body.is_growing());
            self.marks.retain(|turn, marks| near.contains(turn) || marks.growing);
        }
    }

    /// The turn's text, laid out at this width.
    pub fn lay(&mut self, app: &App, turn: &Turn, revision: u64, width: u16) -> &Body {
        let (shape, special) = (shape(app, turn, width, self.ascii), app.transcript.special);
        let vocabularies = app.talk.vocabularies.len();
        let raw = app.transcript.is_raw(turn.id);
        let split = turn.role == Role::Assistant && !raw;
        let parted = !turn.inserts.is_empty() && !raw;
        let same = |text: &Text| {
            let shown = text.special == special && text.vocabularies == vocabularies;
            let parts = split || parted == matches!(text.body, Body::Sections(_));
            shown && text.splitter.is_some() == split && parts && text.body.shape() == shape
        };
        let current = |text: &Text| {
            let finished = !text.body.is_growing() && turn.state != TurnState::Streaming;
            finished && text.revision == revision && same(text)
        };
        if !self.texts.get(&turn.id).is_some_and(current) {
            let before = self.texts.remove(&turn.id).filter(|text| text.special == special);
            let grows = |text: &Text| {
                let pieces = text.pieces <= app.talk.chat.piece_count(turn);
                text.body.is_growing() && same(text) && pieces
            };
            let mut text = match before {
                Some(text) if grows(&text) => Text { revision, ..text },
                _ if parted => Text {
                    revision,
                    special,
                    body: Body::Sections(Box::new(Sections::typed(shape, &turn.typed()))),
                    pieces: app.talk.chat.piece_count(turn),
                    splitter: None,
                    vocabularies,
                },
                before => Text {
                    revision,
                    special,
                    body: fresh(shape, before),
                    pieces: 0,
                    splitter: split.then(|| marks::splitter(app, turn)),
                    vocabularies,
                },
            };
            let walked = text.grow(app, turn);
            self.walked += walked;
            self.texts.insert(turn.id, text);
            self.colour(turn.id);
        }
        self.unfold(app, turn);
        &self.texts[&turn.id].body
    }

    /// Opens or folds what can be folded: as is wanted, and wherever the cursor or what was found is.
    fn unfold(&mut self, app: &App, turn: &Turn) {
        let Some(Text { body: Body::Sections(sections), .. }) = self.texts.get_mut(&turn.id) else { return };
        let cursor = app.transcript.cursor.filter(|at| at.turn == turn.id);
        let inside = if turn.inserts.is_empty() {
            cursor.is_some_and(|at| sections.is_thought(at.index))
        } else {
            let token = cursor.and_then(|at| app.view().token_at(at)).map(|token| token.start);
            let found = app.transcript.current_match().filter(|(of, _)| *of == turn.id);
            [token, found.map(|(_, byte)| byte)].into_iter().flatten().any(|byte| sections.is_inserted(byte))
        };
        sections.unfold(inside || app.transcript.shows_thoughts(turn.id));
    }

    /// Has the code of a message coloured that waits for it.
    fn colour(&mut self, turn: TurnId) {
        let Some(Text { body, .. }) = self.texts.get_mut(&turn) else { return };
        for line in body.take_wanted() {
            let at = line.at;
            if let Some(spans) = self.colours.line(turn, line) {
                body.colour(at, spans);
            }
        }
    }

    /// Takes the colours that have come since.
    pub fn take_colours(&mut self) {
        for (turn, at, spans) in self.colours.come() {
            if let Some(Text { body, .. }) = self.texts.get_mut(&turn) {
                body.colour(at, spans);
            }
        }
    }

    /// Gathers the tokens of a turn, if they are not those of this revision; of a growing reply those that are new.
    pub fn mark(&mut self, app: &App, turn: &Turn) {
        let revision = app.out.revisions.get(&turn.id).copied().unwrap_or(0);
        let streaming = turn.state == TurnState::Streaming;
        let (walked, marked) = match self.marks.remove(&turn.id) {
            Some(mut kept) if streaming && kept.growing && kept.marks.can_grow(app, turn) => {
                (kept.marks.grow(app, turn), kept)
            }
            Some(kept)
                if !streaming
                    && !kept.growing
                    && kept.revision == revision
                    && kept.marks.special == app.transcript.special =>
            {
                (0, kept)
            }
            _ => {
                let marks = Marks::of(app, turn);
                (marks.tokens.len(), Marked { revision, growing: streaming, marks })
            }
        };
        self.walked += walked;
        self.marks.insert(turn.id, Marked { revision, ..marked });
    }

    /// Where a run's prompt stands in messages, aligned once for the messages as they are; see `ChatView::ink_places`.
    pub fn ink_places(&mut self, app: &App, ids: &[TokenId], run: RunId, turns: &[&Turn]) -> Rc<Places> {
        let finished = turns.iter().filter(|turn| turn.state != TurnState::Streaming);
        let known: Vec<(TurnId, u64)> =
            finished.map(|turn| (turn.id, app.out.revisions.get(&turn.id).copied().unwrap_or(0))).collect();
        let key = (run, ids.len(), known);
        if let Some((_, places)) = self.ink.as_ref().filter(|(other, _)| *other == key) {
            return Rc::clone(places);
        }
        self.walked += ids.len();
        let places: Rc<Places> = Rc::new(app.view().ink_places(ids, run, turns).into_iter().collect());
        self.ink = Some((key, Rc::clone(&places)));
        places
    }

    /// Tokens and written stretches walked so far: what frames cost, counted rather than timed.
    #[cfg(test)]
    pub(crate) fn walked(&self) -> usize {
        self.walked
    }

    /// The tokens of a turn as they were last gathered.
    pub(crate) fn marks(&self, turn: TurnId) -> Option<&Marks> {
        self.marks.get(&turn).map(|marked| &marked.marks)
    }

    /// The turn's text as it was last laid out.
    pub(crate) fn body(&self, turn: TurnId) -> Option<&Body> {
        self.texts.get(&turn).map(|text| &text.body)
    }
}

/// No text yet, in a shape; the colours of code are kept from how it was laid out before.
fn fresh(shape: Shape, before: Option<Text>) -> Body {
    match (Body::growing(shape), before.map(|text| text.body)) {
        (Body::Sheet(sheet), Some(Body::Sheet(before))) => Body::Sheet(sheet.coloured_as(before)),
        (body, _) => body,
    }
}

impl Text {
    /// Adds the pieces of the turn that the body does not hold yet; gives how many were walked. Once the turn is
    /// finished its length is held against the body's: one that lost something at its end is laid out again.
    fn grow(&mut self, app: &App, turn: &Turn) -> usize {
        let finished = turn.state != TurnState::Streaming;
        if finished && self.pieces > 0 {
            let total: usize = marks::shown_pieces(app, turn, 0).iter().map(|piece| piece.text.len()).sum();
            if total < self.body.bytes() {
                self.again(app, turn);
            }
        }
        let new = marks::shown_pieces(app, turn, self.pieces);
        let walked = new.len();
        self.pieces += walked;
        self.append(&new);
        if self.splitter.as_ref().is_some_and(|splitter| !splitter.is_plain())
            && !matches!(self.body, Body::Sections(_))
        {
            // Something was thought after all: from now on it is laid out apart.
            self.again(app, turn);
            let splitter = marks::splitter(app, turn);
            self.body =
                Body::Sections(Box::new(Sections::growing(self.body.shape(), splitter, self.special)));
            let all = marks::shown_pieces(app, turn, 0);
            self.pieces = all.len();
            self.append(&all);
        }
        if finished {
            self.body.finish();
        }
        walked
    }

    fn again(&mut self, app: &App, turn: &Turn) {
        (self.body, self.pieces) = (Body::growing(self.body.shape()), 0);
        if let Some(splitter) = &mut self.splitter {
            *splitter = marks::splitter(app, turn);
        }
    }

    fn append(&mut self, pieces: &[DrawnPiece<'_>]) {
        if let Body::Sections(sections) = &mut self.body {
            for piece in pieces {
                sections.append(piece.as_piece());
            }
            return;
        }
        if let Some(splitter) = &mut self.splitter {
            for piece in pieces {
                splitter.push(&piece.text, piece.name);
            }
        }
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.text.iter().copied()).collect();
        if !bytes.is_empty() {
            self.body.append(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing;

    #[test]
    fn a_reply_that_grows_keeps_what_was_laid_out() {
        let mut app = testing::app();
        let turn = testing::streaming(&mut app, &["Paris ", "is"]);
        let mut cache = Cache::default();
        let shown = |body: &Body| body.row(0).map(|glyph| glyph.shown).collect::<String>();
        assert_eq!(shown(cache.lay(&app, app.talk.chat.turn(turn).unwrap(), 1, 20)), "Paris is");
        testing::write(&mut app, turn, &[" big", "\u{1F600}"]);
        assert_eq!(shown(cache.lay(&app, app.talk.chat.turn(turn).unwrap(), 2, 20)), "Paris is big\u{1F600}");
        app.talk.chat.turn_mut(turn).unwrap().state = TurnState::Done;
        assert!(!cache.lay(&app, app.talk.chat.turn(turn).unwrap(), 3, 20).is_growing());
    }

    #[test]
    fn versions_are_counted_as_the_chat_counts_them() {
        let mut app = testing::app();
        for text in ["a", "b", "c", "d", "e", "f"] {
            testing::reply(&mut app, &[text]);
        }
        let parents = [None, None, Some(1), Some(1), Some(1), Some(3)];
        for (turn, parent) in app.talk.chat.turns.iter_mut().zip(parents) {
            turn.parent = parent.map(TurnId);
        }
        app.talk.chat.turns[3].deleted = true;
        let chat = &app.talk.chat;
        let mut cache = Cache::default();
        let branch = cache.branch(chat, None);
        for turn in &chat.turns {
            let versions = chat.versions(turn.id);
            let at = versions.iter().position(|other| *other == turn.id);
            let expected = at.map(|at| (at + 1, versions.len())).filter(|(_, count)| *count > 1);
            assert_eq!(branch.version(turn), expected, "{:?}", turn.id);
        }
    }

    #[test]
    fn a_frame_of_a_growing_reply_walks_what_is_new_not_the_whole_turn() {
        let walked_by_a_frame = |tokens: usize| {
            let mut app = testing::app();
            let turn = testing::streaming(&mut app, &vec![" word"; tokens]);
            let mut cache = Cache::default();
            let frame = |app: &App, cache: &mut Cache| {
                let turn = app.talk.chat.turn(turn).unwrap();
                cache.lay(app, turn, 1, 40);
                cache.mark(app, turn);
                cache.walked()
            };
            let before = frame(&app, &mut cache);
            testing::write(&mut app, turn, &[" and", " more"]);
            let walked = frame(&app, &mut cache) - before;
            assert_eq!(cache.marks(turn).unwrap().tokens.len(), tokens + 2);
            walked
        };
        assert_eq!((walked_by_a_frame(10), walked_by_a_frame(1000)), (4, 4), "two tokens, text and numbers");
    }

    #[test]
    fn the_branch_is_that_of_the_chat_without_deleted_turns() {
        let mut app = testing::app();
        let first = testing::user(&mut app, "one");
        let second = testing::user(&mut app, "two");
        let mut cache = Cache::default();
        let ids = |turns: Vec<&Turn>| turns.iter().map(|turn| turn.id).collect::<Vec<_>>();
        assert_eq!(ids(cache.branch(&app.talk.chat, None).all()), [first, second]);
        app.talk.chat.turn_mut(first).unwrap().deleted = true;
        let third = testing::user(&mut app, "three");
        assert_eq!(ids(cache.branch(&app.talk.chat, None).all()), [second, third]);
    }
}
