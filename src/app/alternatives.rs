//! The alternatives of a token: listing, filtering the vocabulary, taking, banning, boosting.
//!
//! Invariant: a token is taken only with its true odds; where they are not kept they are read again first.

use super::missing::NOT_STORED;
use super::requests::Answer;
use super::{Alternatives, App, LineEdit, Query, TokenCursor, Tree, WholeOf};
use crate::engine::protocol::{Event, Look, Request, RequestId};
use crate::inspect::distribution::Distribution;
use crate::token::{Step, TokenId, TokenKind, Vocabulary};

/// Rows listed at most.
const MOST: usize = 500;

impl App {
    /// Opens the alternatives of the token under the cursor.
    pub(crate) fn open_alternatives(&mut self) {
        let Some(at) = self.transcript.cursor else {
            self.out.say("put the cursor on a token first: h and l");
            return;
        };
        let Some(step) = self.view().step_at(at).cloned() else { return };
        let pass = self.view().pass(at);
        let run = pass.as_ref().and_then(|pass| self.talk.runs.get(&pass.run));
        let vocabulary = run.and_then(|run| run.vocabulary.clone());
        let versions = self.view().versions_at(at);
        self.overlays.push(Alternatives {
            at,
            step,
            vocabulary,
            versions,
            whole: None,
            asking: Query::default(),
            wanted: None,
            filter: LineEdit::default(),
            typing: false,
            rows: Vec::new(),
            selected: 0,
        });
        self.refill_alternatives();
    }

    fn alternatives(&self) -> Option<&Alternatives> {
        self.overlays.find()
    }

    fn alternatives_mut(&mut self) -> Option<&mut Alternatives> {
        self.overlays.find_mut()
    }

    /// The distribution that is to be read for the open list: where the loaded model made it, and without a reply.
    fn whole_wanted(&self) -> Option<WholeOf> {
        let open = self.alternatives().filter(|open| open.whole.is_none())?;
        (self.talk.run.is_none() && self.view().can_read_token_again(open.at)).then_some(WholeOf(open.at))
    }

    /// Brings what is asked in line with the open list.
    pub(crate) fn settle_alternatives(&mut self) {
        let wanted = self.whole_wanted();
        self.sync_query(
            |app| app.alternatives_mut().map(|open| &mut open.asking),
            wanted,
            |app, at| {
                let pass = app.view().pass(at.0).ok_or(NOT_STORED)?;
                let run = app.talk.runs.get(&pass.run);
                let interventions = run.map(|run| run.interventions.clone()).unwrap_or_default();
                let look = Look { ids: pass.ids.to_vec(), interventions, logits: true, replay: None };
                Ok(Request::Look(Box::new(look)))
            },
        );
    }

    /// The whole distribution came, or it could not be read.
    pub(crate) fn alternatives_event(&mut self, id: RequestId, event: Event) {
        let Some(open) = self.alternatives_mut() else { return };
        match open.asking.event(id, event) {
            Some(Answer::Whole(of, Event::Looked(looked))) => {
                open.whole = Distribution::new(looked.unpack()).map(Into::into);
                if open.whole.is_none() {
                    open.asking.refuse(of, "there is no distribution here".into());
                }
            }
            Some(Answer::Refused(..)) => {}
            _ => return,
        }
        let wanted = open.wanted.take();
        self.refill_alternatives();
        if let Some(id) = wanted {
            if self.alternatives().is_some_and(|open| open.whole.is_some()) {
                self.take_alternative(id);
            } else {
                self.out.warn("the odds of this token could not be read, so it cannot be taken");
            }
        }
    }

    /// Works the rows out: the likeliest tokens, or those of the vocabulary that match what was typed.
    pub(crate) fn refill_alternatives(&mut self) {
        let Some(open) = self.alternatives() else { return };
        let vocabulary = open.vocabulary.as_ref().and_then(|hash| self.talk.vocabularies.get(hash));
        let rows = match vocabulary.filter(|_| !open.filter.text.is_empty()) {
            Some(vocabulary) => matching(open, vocabulary),
            None => likeliest(open),
        };
        if let Some(open) = self.alternatives_mut() {
            open.selected = open.selected.min(rows.len().saturating_sub(1));
            open.rows = rows;
        }
    }

    /// Takes a token in the place of the one under the cursor: as a new branch, or where one has it already,
    /// by going there.
    pub(super) fn take_alternative(&mut self, id: TokenId) {
        let Some(open) = self.alternatives().cloned() else { return };
        if let Some((_, turn)) = newest_with(&open.versions, id, open.at) {
            self.overlays.pop();
            self.go_to(turn);
            self.out.say(if turn == open.at.turn {
                "this version has that token already"
            } else {
                "that branch is there already; ← → walk the versions"
            });
            return;
        }
        let whole = open.whole.as_deref();
        if let Err(why) = self.try_take(open.at, id, &open.step, open.vocabulary.as_ref(), whole) {
            match why {
                Refusal::Words(why) => self.out.say(why),
                Refusal::Unknown => self.want_alternative(id, &open),
            }
        }
    }

    /// The token's odds are not kept: they are read again, then it is taken.
    fn want_alternative(&mut self, id: TokenId, open: &Alternatives) {
        if self.talk.run.is_some() {
            self.out.say("the odds of this token can be read once the reply has ended; Esc stops it");
            return;
        }
        if self.whole_wanted().is_none_or(|of| open.asking.refusal(&of).is_some()) {
            self.out.warn("the odds of this token could not be read, so it cannot be taken");
            return;
        }
        if let Some(open) = self.alternatives_mut() {
            open.wanted = Some(id);
        }
        self.out.say("reading the odds of this token");
    }

    /// Begins a branch with one token in the place of another.
    pub(crate) fn try_take(
        &mut self,
        at: TokenCursor,
        id: TokenId,
        step: &Step,
        vocabulary: Option<&String>,
        whole: Option<&Distribution>,
    ) -> Result<(), Refusal> {
        let fork = self.view().fork(at).map_err(Refusal::Words)?;
        self.view().free_for(at.turn).map_err(Refusal::Words)?;
        if self.view().is_mark(id, vocabulary) {
            let words = "a mark ends or orders the text; a branch goes on from a token that is text";
            return Err(Refusal::Words(words.into()));
        }
        let taken = self.view().step_instead(step, id, vocabulary, whole).ok_or(Refusal::Unknown)?;
        if self.start_branch(&fork, vec![taken]) {
            self.overlays.remove::<Alternatives>();
            self.overlays.remove::<Tree>();
            self.focus = super::Focus::Transcript;
        }
        Ok(())
    }
}

/// Why a token was not taken.
pub(crate) enum Refusal {
    /// In words.
    Words(String),
    /// Its odds are not known.
    Unknown,
}

/// The version to go to for a token: the shown one, else the newest.
fn newest_with(
    versions: &[(TokenId, crate::chat::TurnId)],
    id: TokenId,
    at: TokenCursor,
) -> Option<(TokenId, crate::chat::TurnId)> {
    let with = || versions.iter().filter(|(token, _)| *token == id);
    with().find(|(_, turn)| *turn == at.turn).or_else(|| with().next_back()).copied()
}

/// Without a filter: the candidates, and the token itself wherever it ranks.
fn likeliest(open: &Alternatives) -> Vec<TokenId> {
    let mut rows: Vec<TokenId> = match &open.whole {
        Some(whole) => whole.order().iter().take(MOST).copied().collect(),
        None => open.step.candidates.iter().map(|candidate| candidate.id).collect(),
    };
    let others = open.versions.iter().map(|(id, _)| *id).chain(open.step.id);
    for id in others {
        if !rows.contains(&id) {
            rows.push(id);
        }
    }
    rows
}

/// Tokens that hold what was typed: exact ones first, then those that begin with it, each likeliest first.
fn matching(open: &Alternatives, vocabulary: &Vocabulary) -> Vec<TokenId> {
    let typed = open.filter.text.replace('␣', " ").replace("\\n", "\n").replace("\\t", "\t").to_lowercase();
    let matches = |id: TokenId| {
        if vocabulary.kind(id) == TokenKind::Unused {
            return None;
        }
        let text = String::from_utf8_lossy(vocabulary.bytes(id)?).to_lowercase();
        let bare = if typed.starts_with(' ') { text.as_str() } else { text.trim_start_matches(' ') };
        if bare == typed {
            Some(0)
        } else if bare.starts_with(&typed) {
            Some(1)
        } else {
            text.contains(&typed).then_some(2)
        }
    };
    let all: Vec<TokenId> = if let Some(whole) = &open.whole {
        whole.order().to_vec()
    } else {
        let known = open.step.candidates.iter().map(|candidate| candidate.id);
        known.chain((0..i32::MAX).take(vocabulary.len()).map(TokenId)).collect()
    };
    let mut by_kind: [Vec<TokenId>; 3] = Default::default();
    for id in all {
        if let Some(kind) =
            matches(id).filter(|kind| by_kind[*kind].len() < MOST && !by_kind[*kind].contains(&id))
        {
            by_kind[kind].push(id);
        }
    }
    let mut rows = by_kind.concat();
    rows.truncate(MOST);
    rows
}
