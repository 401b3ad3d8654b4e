//! The tree of branches: rows at the token where versions part, walking it, comparing, deleting.
//!
//! Invariant: rows are worked out from the turns, so they are true while a branch is being written.

use crate::app::{App, ChatView, Outbox, TokenCursor, Tree, TreeRow};
use crate::chat::TurnId;
use crate::token::{Candidate, TokenId};

/// Labels of candidates that were not taken: letters that are not keys of the tree.
pub const LETTERS: &str = "abcefgijkmnopqrstvwxy";
/// Candidates listed that were not taken.
const UNTAKEN: usize = 6;
/// Bytes of what follows a token that a row can show.
const TAIL: usize = 64;

/// Two versions side by side from the token where they part: which step of each stands in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Index among the first version's tokens.
    pub left: Option<usize>,
    /// Index among the second's.
    pub right: Option<usize>,
    /// Whether they are the same token.
    pub same: bool,
}

impl Tree {
    /// Lays the selected branch beside the shown one, or puts it away.
    pub(crate) fn compare_with(&mut self, view: ChatView<'_>, out: &mut Outbox, row: Option<&TreeRow>) {
        let at = self.at;
        // On the shown path it is the newest other version that goes through the same token.
        let through = |id: TokenId| view.versions_at(at).into_iter().filter(move |(token, _)| *token == id);
        let other = row.filter(|row| row.turn.is_some()).and_then(|row| match row.turn {
            Some(turn) if turn != at.turn => Some(turn),
            _ => through(row.id).map(|(_, turn)| turn).rfind(|turn| *turn != at.turn),
        });
        let Some(other) = other else {
            let shown = self.compare.take().is_some();
            self.comparing = false;
            if !shown {
                out.say("choose another branch than the shown one to compare it with");
            }
            return;
        };
        let put_away = self.compare == Some(other);
        self.compare = (!put_away).then_some(other);
        self.comparing = !put_away;
        self.scroll = 0;
    }

    /// Goes to where the selected branch parts again.
    pub(crate) fn down(&mut self, view: ChatView<'_>, out: &mut Outbox, row: Option<&TreeRow>) {
        let turn = row.and_then(|row| row.turn);
        match turn.and_then(|turn| view.further_down(turn, self.at.index)) {
            Some(next) => self.go(view, next),
            None => out.say("this branch does not part again"),
        }
    }

    /// Goes to where the shown version parted before.
    pub(crate) fn up(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let at = self.at;
        let mut before = None;
        while let Some(next) = view.parting(at.turn, before).filter(|next| next.index < at.index) {
            before = Some(next.index);
        }
        match before {
            Some(index) => self.go(view, TokenCursor { index, ..at }),
            None => out.say("these versions do not part earlier"),
        }
    }

    /// Goes to another token.
    fn go(&mut self, view: ChatView<'_>, at: TokenCursor) {
        (self.at, self.compare, self.comparing, self.scroll) = (at, None, false, 0);
        let rows = view.tree_rows(self);
        self.selected = rows.iter().position(|row| row.turn == Some(at.turn)).unwrap_or(0);
    }
}

impl App {
    /// Opens the tree where the shown version of a reply parts from others; at the cursor where it stands.
    pub(crate) fn open_tree(&mut self, compare: bool) {
        let Some(turn) = self
            .transcript
            .cursor
            .map(|at| at.turn)
            .or_else(|| self.transcript.selected_or_last(view!(self)))
        else {
            self.out.say("there is no reply yet");
            return;
        };
        let at = self.transcript.cursor.or_else(|| self.view().parting(turn, None));
        let at = at.unwrap_or(TokenCursor { turn, index: 0 });
        if self.view().pass(at).is_none() {
            self.out.say("only replies have branches, and only where what they read is known");
            return;
        }
        let mut tree =
            Tree { at, selected: 0, compare: None, comparing: false, scroll: 0, renormalised: false };
        let rows = self.view().tree_rows(&tree);
        tree.selected = rows.iter().position(|row| row.turn == Some(at.turn)).unwrap_or(0);
        if compare {
            let other = rows.iter().filter_map(|row| row.turn).find(|turn| *turn != at.turn);
            if other.is_none() {
                self.out.say("there is one version here; Enter on a token takes another");
                return;
            }
            (tree.compare, tree.comparing) = (other, true);
        }
        self.overlays.push(tree);
    }

    /// Goes to a branch, or takes a candidate.
    pub(in crate::app) fn take_row(&mut self, at: TokenCursor, row: Option<&TreeRow>) {
        let Some(row) = row else { return };
        if let Some(turn) = row.turn {
            self.overlays.pop();
            self.go_to(turn);
            return;
        }
        let Some(step) = self.view().step_at(at).cloned() else { return };
        let vocabulary = self.view().vocabulary_at(at);
        match self.try_take(at, row.id, &step, vocabulary.as_ref(), None) {
            Err(crate::app::chat::alternatives::Refusal::Words(why)) => self.out.say(why),
            Err(crate::app::chat::alternatives::Refusal::Unknown) => {
                self.out.say("the vocabulary is not there yet");
            }
            Ok(()) => {}
        }
    }

    /// Hides a branch and what answers it.
    pub(in crate::app) fn delete_branch(&mut self, turn: TurnId) {
        if self.talk.run.as_ref().is_some_and(|run| self.view().leads_to(turn, run.turn)) {
            self.out.say("a reply is being written there; Esc stops it");
            return;
        }
        let before = self.talk.chat.leaf;
        let shown = self.talk.chat.branch().iter().any(|other| other.id == turn);
        let parent = self.talk.chat.turn(turn).and_then(|turn| turn.parent);
        self.talk.hide(&mut self.out, turn, true);
        self.transcript.deleted.push((turn, before));
        let other = self.talk.chat.versions(turn).last().copied();
        if shown {
            let leaf = other.map(|other| self.talk.chat.newest_leaf(other)).or(parent);
            self.show_leaf(leaf);
        }
        let view = view!(self);
        let there = |turn: TurnId| view.chat.turn(turn).is_some_and(|turn| !turn.deleted);
        match (self.overlays.find_mut::<Tree>(), other) {
            (Some(tree), Some(other)) if !there(tree.at.turn) => {
                let at = view.parting(other, None).unwrap_or(TokenCursor { turn: other, index: 0 });
                tree.go(view, at);
            }
            (Some(tree), Some(_)) => {
                tree.compare = tree.compare.filter(|turn| there(*turn));
                tree.comparing &= tree.compare.is_some();
                tree.selected = tree.selected.saturating_sub(1);
            }
            _ => {
                self.overlays.pop();
            }
        }
        self.out.say("deleted; u takes it back");
    }

    pub(in crate::app) fn undelete_branch(&mut self) {
        let Some((turn, leaf)) = self.transcript.deleted.pop() else {
            self.out.say("nothing was deleted here");
            return;
        };
        self.talk.hide(&mut self.out, turn, false);
        self.show_leaf(leaf);
    }
}

impl ChatView<'_> {
    /// The rows: versions by falling probability of their token here, then candidates that were not taken.
    pub fn tree_rows(&self, tree: &Tree) -> Vec<TreeRow> {
        let versions = self.versions_at(tree.at);
        let mut rows: Vec<TreeRow> = Vec::new();
        for (id, turn) in &versions {
            match rows.iter_mut().find(|row| row.id == *id) {
                Some(row) => {
                    row.versions += 1;
                    if row.turn != Some(tree.at.turn) {
                        row.turn = Some(*turn);
                    }
                }
                None => rows.push(TreeRow {
                    id: *id,
                    logprob: 0.0,
                    turn: Some(*turn),
                    versions: 1,
                    tail: Vec::new(),
                    tokens: 0,
                    total: 0.0,
                }),
            }
        }
        for row in &mut rows {
            self.measure(row, tree.at.index);
        }
        rows.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
        let candidates = self.step_at(tree.at).map(|step| step.candidates.clone()).unwrap_or_default();
        let taken = rows.len();
        for Candidate { id, logprob } in candidates {
            if rows.len() < taken + UNTAKEN && !rows[..taken].iter().any(|row| row.id == id) {
                let (tail, tokens, total) = (Vec::new(), 0, 0.0);
                rows.push(TreeRow { id, logprob, turn: None, versions: 0, tail, tokens, total });
            }
        }
        rows
    }

    /// Fills in what a branch writes from its token on.
    fn measure(&self, row: &mut TreeRow, index: usize) {
        let Some(turn) = row.turn.and_then(|id| self.chat.turn(id)) else { return };
        let tokens = self.turn_tokens(turn);
        let Some((first, rest)) = tokens.get(index..).and_then(<[_]>::split_first) else { return };
        row.logprob = first.step.logprob;
        row.tokens = rest.len() + 1;
        row.total = first.step.logprob + rest.iter().map(|token| token.step.logprob).sum::<f32>();
        row.tail = rest.iter().flat_map(|token| token.step.bytes.iter().copied()).take(TAIL).collect();
    }

    /// The next place after `after` (from the start: the first) where versions that are the same up to there
    /// part from this one.
    pub fn parting(&self, turn: TurnId, after: Option<usize>) -> Option<TokenCursor> {
        let ids = |turn: TurnId| -> Option<Vec<Option<TokenId>>> {
            let turn = self.chat.turn(turn)?;
            Some(self.turn_tokens(turn).iter().map(|token| token.step.id).collect())
        };
        let own = ids(turn)?;
        let first = after.map_or(0, |after| after + 1);
        let others = self.chat.versions(turn).into_iter().filter(|other| *other != turn);
        let parts = others.filter_map(|other| {
            let other = ids(other)?;
            let same = own.iter().zip(&other).take_while(|(own, other)| own == other).count();
            (same < own.len() && same < other.len()).then_some(same)
        });
        let index = parts.filter(|index| *index >= first).min()?;
        Some(TokenCursor { turn, index })
    }

    /// Where the tree goes on below a branch: where its versions part, else its next uncertain token.
    pub fn further_down(&self, turn: TurnId, index: usize) -> Option<TokenCursor> {
        self.parting(turn, Some(index)).or_else(|| {
            let least = self.config.inspector.uncertain_bits;
            let tokens = self.turn_tokens(self.chat.turn(turn)?);
            let unsure = |token: &crate::app::TurnToken| token.step.surprisal_bits() >= least;
            let at = tokens.get(index + 1..)?.iter().position(unsure)?;
            Some(TokenCursor { turn, index: index + 1 + at })
        })
    }

    /// Two versions laid side by side from a token on.
    pub fn compared(&self, left: TurnId, right: TurnId, from: usize) -> Vec<Pair> {
        let ids = |turn: TurnId| -> Vec<Option<TokenId>> {
            let turn = self.chat.turn(turn);
            let tokens = turn.map(|turn| self.turn_tokens(turn)).unwrap_or_default();
            tokens.iter().skip(from).map(|token| token.step.id).collect()
        };
        let pairs = align(&ids(left), &ids(right));
        let shift = |index: Option<usize>| index.map(|index| index + from);
        pairs
            .into_iter()
            .map(|pair| Pair { left: shift(pair.left), right: shift(pair.right), ..pair })
            .collect()
    }

    /// Whether a turn is another one or one of those that it answers.
    fn leads_to(&self, turn: TurnId, end: TurnId) -> bool {
        let mut next = Some(end);
        for _ in 0..=self.chat.turns.len() {
            match next {
                Some(at) if at == turn => return true,
                Some(at) => next = self.chat.turn(at).and_then(|turn| turn.parent),
                None => return false,
            }
        }
        false
    }
}

/// Rows for two lists of tokens: shared stretches beside each other, what differs beside what it replaces.
fn align(left: &[Option<TokenId>], right: &[Option<TokenId>]) -> Vec<Pair> {
    let mut rows = Vec::with_capacity(left.len().max(right.len()));
    for change in similar::capture_diff_slices(similar::Algorithm::Myers, left, right) {
        let (old, new) = (change.old_range(), change.new_range());
        let same = change.tag() == similar::DiffTag::Equal;
        rows.extend((0..old.len().max(new.len())).map(|row| {
            let of = |range: &std::ops::Range<usize>| (row < range.len()).then(|| range.start + row);
            Pair { left: of(&old), right: of(&new), same }
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shared_tokens_stand_beside_each_other() {
        let ids =
            |text: &str| -> Vec<Option<TokenId>> { text.bytes().map(|b| Some(TokenId(b.into()))).collect() };
        let rows: Vec<String> = align(&ids("P.nnT"), &ids("tco.nT"))
            .iter()
            .map(|pair| {
                let side = |at: Option<usize>| at.map_or("-".to_owned(), |at| at.to_string());
                format!("{}{}{}", side(pair.left), if pair.same { "=" } else { " " }, side(pair.right))
            })
            .collect();
        assert_eq!(rows, ["0 0", "- 1", "- 2", "1=3", "2 -", "3=4", "4=5"]);
    }

    proptest! {
        #[test]
        fn every_token_of_both_stands_once_and_in_order(
            left in prop::collection::vec(0..4_i32, 0..40),
            right in prop::collection::vec(0..4_i32, 0..40),
        ) {
            let ids = |ids: &[i32]| -> Vec<Option<TokenId>> { ids.iter().map(|id| Some(TokenId(*id))).collect() };
            let rows = align(&ids(&left), &ids(&right));
            let lefts: Vec<usize> = rows.iter().filter_map(|pair| pair.left).collect();
            let rights: Vec<usize> = rows.iter().filter_map(|pair| pair.right).collect();
            prop_assert_eq!(lefts, (0..left.len()).collect::<Vec<_>>());
            prop_assert_eq!(rights, (0..right.len()).collect::<Vec<_>>());
            for pair in rows.iter().filter(|pair| pair.same) {
                prop_assert_eq!(left[pair.left.unwrap()], right[pair.right.unwrap()]);
            }
        }
    }
}
