//! Speculative decoding. By prompt look-up: where the last tokens stood before, in the prompt or in the reply itself, what
//! followed them there is decoded together with the next token, in one pass. A reply that quotes its prompt is read in
//! stretches instead of token by token. By a smaller model with the same vocabulary, where there is one: what it is sure
//! of is decoded likewise. By the file's own layer for multi-token prediction, the same.
//!
//! Nothing is accepted unseen: each token is drawn by the chain from its own row of logits, which is that of a pass of its
//! own but for how a batch rounds; as long as the draws are what was drafted, no pass is needed. Whether and how much
//! is drafted depends on the tokens alone, never on the clock, so that the same prompt and seed draft the same.
//!
//! Invariant: outside [`Drafts::decode`] the cache holds at most the drafted tokens beyond what was written, and none of
//! them after [`Drafts::settle`], which comes before anything else uses the session and when the reply ends.

use std::collections::{HashMap, VecDeque};

use crate::engine::session::{Halt, Rows, Session};
use crate::token::TokenId;

/// The shortest stretch that counts as having stood before, tokens.
const SHORTEST: usize = 3;
/// The longest that is asked for after drafts that failed.
const LONGEST: usize = 24;
/// Most tokens of a draft.
const MOST: usize = 31;
/// Most tokens that the smaller model guesses, each of which is a pass of its own there: at first, and where what it
/// guessed came true.
const FIRST_GUESS: usize = 4;
const MOST_GUESSED: usize = 16;

/// The drafts of one reply.
#[derive(Default)]
pub struct Drafts {
    history: History,
    /// Drafted tokens that were decoded and are not written yet.
    ahead: VecDeque<TokenId>,
    /// How many there were at first.
    drafted: usize,
    /// Which row of the last batch is the next token's, where there are several.
    row: Option<usize>,
    /// How long a stretch has to be; grows while drafts fail.
    wanted: usize,
    /// How many tokens the smaller model may guess; shrinks while its drafts fail.
    reach: usize,
    /// Whether it made the last draft.
    by_model: bool,
    /// Whether what stood before is looked up.
    look_up: bool,
    on: bool,
}

impl Drafts {
    /// For a reply to a prompt. A model whose past cannot be cut has none.
    pub fn new(session: &Session, prompt: &[TokenId]) -> Self {
        let look_up = session.drafts();
        let on = (look_up || session.guesses()) && session.most_taken_back() > 0;
        let mut history = History::default();
        if on {
            history.extend(prompt);
        }
        Self { history, wanted: SHORTEST, reach: FIRST_GUESS, look_up, on, ..Self::default() }
    }

    /// The logits that the next token is drawn from.
    pub fn logits<'s>(&self, session: &'s Session) -> &'s [f32] {
        self.row.map_or_else(|| session.logits(), |row| session.row(row))
    }

    /// Whether this token was drafted and is decoded already.
    pub fn foresaw(&self, id: TokenId) -> bool {
        self.ahead.front() == Some(&id)
    }

    /// How many tokens are in the cache, what is not written yet aside.
    pub fn written(&self, session: &Session) -> usize {
        session.cached().len() - self.ahead.len()
    }

    /// A token was written.
    pub fn wrote(&mut self, id: TokenId) {
        if self.on {
            self.history.push(id);
        }
    }

    /// Decodes a token that was just written, unless a draft had it, with a draft of what may come: at most `most` tokens
    /// more. `None` where nothing is to be drafted, so that the caller decodes it alone.
    ///
    /// # Errors
    /// See [`Halt`]; the token is then not in the cache.
    pub fn decode(&mut self, session: &mut Session, id: TokenId, most: usize) -> Option<Result<(), Halt>> {
        if !self.on {
            return None;
        }
        if self.foresaw(id) {
            self.ahead.pop_front();
            self.row = self.row.map(|row| row + 1);
            if self.ahead.is_empty() {
                self.judge(self.drafted);
            }
            return Some(Ok(()));
        }
        if !self.ahead.is_empty() {
            self.judge(self.drafted - self.ahead.len());
        }
        self.settle(session);
        if let Err(halt) = self.read_again(session) {
            return Some(Err(halt));
        }
        let most = most.min(MOST).min(session.most_rows() - 1).min(session.most_taken_back());
        let draft = match self.draft(session, most) {
            Ok(draft) if draft.is_empty() => return None,
            Ok(draft) => draft,
            Err(halt) => return Some(Err(halt)),
        };
        let ids: Vec<TokenId> = std::iter::once(id).chain(draft.iter().copied()).collect();
        let decoded = session.append(&ids, Rows::All);
        if decoded.is_ok() {
            (self.drafted, self.row) = (draft.len(), Some(0));
            self.ahead = draft.into();
        }
        Some(decoded)
    }

    /// What may come next: what came before after the same tokens, else what the smaller model is sure of.
    fn draft(&mut self, session: &mut Session, most: usize) -> Result<Vec<TokenId>, Halt> {
        let looked_up = if self.look_up { self.history.guess(self.wanted, most) } else { Vec::new() };
        self.by_model = looked_up.is_empty();
        if self.by_model { session.guess(&self.history.ids, most.min(self.reach)) } else { Ok(looked_up) }
    }

    /// Takes what is not written out of the cache. The logits of the last pass are gone with it.
    pub fn settle(&mut self, session: &mut Session) {
        if !self.ahead.is_empty() {
            session.keep(self.written(session));
            self.ahead.clear();
        }
        self.row = None;
    }

    /// Reads again what was written but for the last token, where taking drafts out has cost the whole cache.
    ///
    /// # Errors
    /// See [`Halt`].
    pub fn read_again(&self, session: &mut Session) -> Result<(), Halt> {
        let (held, written) = (session.cached().len(), self.history.ids.len().saturating_sub(1));
        if !self.on || held >= written {
            return Ok(());
        }
        session.read(&self.history.ids[..written], held, |_, _| {})
    }

    /// A draft of which so many tokens came true is over.
    fn judge(&mut self, came: usize) {
        if self.by_model {
            let all = came == self.drafted;
            self.reach = if all { (2 * self.reach).min(MOST_GUESSED) } else { came + 1 };
            return;
        }
        self.wanted = if came * 2 >= self.drafted {
            (self.wanted / 2).max(SHORTEST)
        } else {
            (self.wanted * 2).min(LONGEST)
        };
    }
}

/// The tokens so far, and where each stretch of [`SHORTEST`] stood last.
#[derive(Default)]
struct History {
    ids: Vec<TokenId>,
    /// What came after such a stretch, as a place in `ids`.
    after: HashMap<[TokenId; SHORTEST], usize>,
    /// Where what may come next stood before.
    found: Option<usize>,
}

impl History {
    fn extend(&mut self, ids: &[TokenId]) {
        for id in ids {
            self.push(*id);
        }
    }

    fn push(&mut self, id: TokenId) {
        // As long as the text goes on as it did there, the same place is followed.
        let followed = self.found.filter(|place| self.ids[*place] == id).map(|place| place + 1);
        self.ids.push(id);
        let Some(stretch) = self.ids.last_chunk::<SHORTEST>() else { return };
        let before = self.after.insert(*stretch, self.ids.len());
        self.found = followed.or(before).filter(|place| *place < self.ids.len());
    }

    /// What followed there, at most as much as had stood there before it, if that was `wanted` at least.
    fn guess(&self, wanted: usize, most: usize) -> Vec<TokenId> {
        let Some(place) = self.found else { return Vec::new() };
        let (here, there) = (self.ids.iter().rev(), self.ids[..place].iter().rev());
        let same = here.zip(there).take(LONGEST.max(most)).take_while(|(here, there)| here == there).count();
        if same < wanted {
            return Vec::new();
        }
        // What repeats itself goes on beyond its end.
        let mut guess: Vec<TokenId> = Vec::new();
        for place in (place..).take(most.min(same + 1)) {
            let next = self.ids.get(place).copied().unwrap_or_else(|| guess[place - self.ids.len()]);
            guess.push(next);
        }
        guess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(ids: &[i32]) -> History {
        let mut history = History::default();
        history.extend(&ids.iter().map(|id| TokenId(*id)).collect::<Vec<_>>());
        history
    }

    fn guess(ids: &[i32], wanted: usize, most: usize) -> Vec<i32> {
        history(ids).guess(wanted, most).into_iter().map(|TokenId(id)| id).collect()
    }

    #[test]
    fn what_followed_the_same_tokens_before_is_guessed() {
        assert_eq!(guess(&[1, 2, 3, 4, 5, 6, 7, 9, 1, 2, 3], 3, 8), [4, 5, 6, 7]);
        assert_eq!(guess(&[1, 2, 3, 4, 5, 6, 7, 9, 1, 2, 3], 3, 2), [4, 5]);
        assert_eq!(guess(&[1, 2, 3, 4, 9, 2, 3], 3, 8), [0; 0], "too short");
        assert_eq!(guess(&[1, 2, 3, 4, 9, 1, 2, 3], 4, 8), [0; 0], "shorter than is wanted");
        assert_eq!(guess(&[], 3, 8), [0; 0]);
    }

    #[test]
    fn a_place_is_followed_as_long_as_the_text_goes_on_as_there() {
        // 1 2 3 stood twice; the text follows the second, and goes on following it.
        let text = [1, 2, 3, 4, 4, 4, 8, 1, 2, 3, 5, 6, 7, 8, 0, 1, 2, 3, 5];
        assert_eq!(guess(&text, 3, 3), [6, 7, 8]);
    }

    #[test]
    fn what_repeats_itself_is_guessed_to_go_on_doing_so() {
        assert_eq!(guess(&[7, 7, 7, 7, 7], 3, 8), [7; 5]);
        assert_eq!(guess(&[1, 2, 1, 2, 1, 2], 3, 8), [1, 2, 1, 2, 1]);
    }

    #[test]
    fn drafts_that_fail_ask_for_more_and_those_that_come_true_for_less() {
        let mut drafts = Drafts { wanted: SHORTEST, drafted: 8, on: true, ..Drafts::default() };
        drafts.judge(3);
        assert_eq!(drafts.wanted, 2 * SHORTEST);
        (0..9).for_each(|_| drafts.judge(0));
        assert_eq!(drafts.wanted, LONGEST);
        (0..9).for_each(|_| drafts.judge(8));
        assert_eq!(drafts.wanted, SHORTEST);
    }
}
