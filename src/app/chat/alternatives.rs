//! The alternatives of a token: listing, filtering the vocabulary, taking, banning, boosting.
//!
//! Invariant: a token is taken only with its true odds; where they are not kept they are read again first.

use crate::app::missing::NOT_STORED;
use crate::app::requests::Answer;
use crate::app::{Alternatives, App, ChatView, LineEdit, Outbox, Query, TokenCursor, Tree, WholeOf};
use crate::engine::protocol::{Capability, Event, Job, Replay, Request, RequestId};
use crate::inspect::distribution::Distribution;
use crate::token::{Step, TokenId, TokenKind, Vocabulary};

/// Rows listed at most.
const MOST: usize = 500;

impl Alternatives {
    /// The distribution that is to be read: where the loaded model made it, and without a reply.
    fn whole_wanted(&self, view: ChatView<'_>) -> Option<WholeOf> {
        let free = self.whole.is_none() && view.run.is_none();
        let can = view.lacking(Capability::Replay).is_none() && view.can_read_token_again(self.at);
        (free && can).then_some(WholeOf(self.at))
    }

    /// Brings what is asked in line with the list.
    pub(crate) fn sync(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let wanted = self.whole_wanted(view);
        self.asking.follow(wanted, &mut out.requests, |at| {
            let pass = view.pass(at.0).ok_or(NOT_STORED)?;
            let run = view.runs.get(&pass.run);
            let interventions = run.map(|run| run.interventions.clone()).unwrap_or_default();
            let look = Replay { ids: pass.ids.to_vec(), interventions, logits: true, chain: None };
            Ok(Request::Job(Job::Replay(Box::new(look))))
        });
    }

    /// Works the rows out: the likeliest tokens, or those of the vocabulary that match what was typed.
    pub(crate) fn refill(&mut self, view: ChatView<'_>) {
        let vocabulary = self.vocabulary.as_ref().and_then(|hash| view.vocabularies.get(hash));
        self.rows = match vocabulary.filter(|_| !self.filter.text.is_empty()) {
            Some(vocabulary) => matching(self, vocabulary),
            None => likeliest(self),
        };
        self.selected = self.selected.min(self.rows.len().saturating_sub(1));
    }

    /// The token's odds are not kept: they are read again, then it is taken.
    fn want(&mut self, view: ChatView<'_>, out: &mut Outbox, id: TokenId) {
        if view.run.is_some() {
            out.say("the odds of this token can be read once the reply has ended; Esc stops it");
        } else if self.whole_wanted(view).is_none_or(|of| self.asking.refusal(&of).is_some()) {
            out.warn("the odds of this token could not be read, so it cannot be taken");
        } else {
            self.wanted = Some(id);
            out.say("reading the odds of this token");
        }
    }
}

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
        let mut open = Alternatives {
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
        };
        open.refill(self.view());
        self.overlays.push(open);
    }

    /// The whole distribution came, or it could not be read.
    pub(crate) fn alternatives_event(&mut self, id: RequestId, event: Event) {
        let Some(open) = self.overlays.find_mut::<Alternatives>() else { return };
        match open.asking.event(id, event) {
            Some(Answer::Whole(of, Event::Replayed(looked))) => {
                open.whole = Distribution::new(looked.unpack()).map(Into::into);
                if open.whole.is_none() {
                    open.asking.refuse(of, "there is no distribution here".into());
                }
            }
            Some(Answer::Refused(..)) => {}
            _ => return,
        }
        let (wanted, known) = (open.wanted.take(), open.whole.is_some());
        open.refill(view!(self));
        if let Some(id) = wanted {
            if known {
                self.take_alternative(id);
            } else {
                self.out.warn("the odds of this token could not be read, so it cannot be taken");
            }
        }
    }

    /// Takes a token in the place of the one under the cursor: as a new branch, or where one has it already,
    /// by going there.
    pub(in crate::app) fn take_alternative(&mut self, id: TokenId) {
        let Some(open) = self.overlays.find::<Alternatives>().cloned() else { return };
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
                Refusal::Unknown => {
                    if let Some(open) = self.overlays.find_mut::<Alternatives>() {
                        open.want(view!(self), &mut self.out, id);
                    }
                }
            }
        }
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
            self.focus = crate::app::Focus::Transcript;
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
