//! Looking ahead: the likeliest continuations at a place of a reply, and taking one as a branch.
//!
//! Invariant: a path becomes a branch only with its tokens' own numbers, which are scored first.

use crate::app::chat::branch::Fork;
use crate::app::requests::Answer;
use crate::app::{Ahead, AheadOf, App, ChatView, Focus, Outbox, Query, TokenCursor};
use crate::chat::Role;
use crate::engine::protocol::{Beam, BeamPaths, Event, Job, Request, RequestId, Score};
use crate::token::{Step, TokenId};

/// One row of the look ahead: a stretch of tokens that no other path leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct AheadRow {
    /// How many stretches lie before it.
    pub depth: usize,
    /// For each of those and itself: whether a sibling follows below.
    pub more: Vec<bool>,
    /// Its tokens.
    pub tokens: Vec<TokenId>,
    /// ln p of its first token, nats.
    pub logprob: f32,
    /// ln p of everything up to its end, nats.
    pub total: f32,
    /// The paths that go through it, by their place among the paths.
    pub paths: Vec<usize>,
}

impl Ahead {
    /// Brings what is asked in line with what is shown.
    pub(crate) fn sync(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let wanted = self.next().filter(|_| view.run.is_none() && view.ready().is_some());
        let mut asking = std::mem::take(&mut self.asking);
        asking.follow(wanted, &mut out.requests, |of| Ok(self.request(view, of)));
        self.asking = asking;
    }

    fn request(&self, view: ChatView<'_>, of: &AheadOf) -> Request {
        let source = view.fork(self.at).ok().and_then(|fork| view.runs.get(&fork.run));
        let interventions = source.map(|run| run.interventions.clone()).unwrap_or_default();
        match of {
            AheadOf::Paths => Request::Job(Job::Beam(Box::new(Beam {
                ids: self.ids.to_vec(),
                width: view.config.inspector.look_ahead_width,
                depth: view.config.inspector.look_ahead_depth,
                interventions,
            }))),
            AheadOf::Numbers(path) => Request::Job(Job::Score(Box::new(Score {
                ids: view.ids_along(self, *path),
                from: u32::try_from(self.ids.len()).unwrap_or(u32::MAX),
                top_logprobs: view.config.inspector.candidates,
                interventions,
            }))),
        }
    }

    /// Asks for the numbers of a path's tokens, then takes it.
    pub(in crate::app) fn take_path(&mut self, view: ChatView<'_>, out: &mut Outbox, path: usize) {
        let is_being_taken = self.taking.is_some() && self.refused().is_none();
        if is_being_taken || path >= self.found.paths.len() {
            return;
        }
        if view.ids_along(self, path).len() == self.ids.len() {
            out.say("this path ends the reply at once; there is nothing to take");
            return;
        }
        self.taking = Some((path, Vec::new()));
    }
}

impl App {
    /// `L`: looks ahead at the token under the cursor, else after the last token of the last reply.
    pub(crate) fn look_ahead_here(&mut self) {
        let branch = self.talk.chat.branch();
        let last = branch.iter().rev().find(|turn| turn.role == Role::Assistant);
        let head = last.map(|turn| TokenCursor { turn: turn.id, index: self.view().turn_tokens(turn).len() });
        match self.transcript.cursor.or(head) {
            Some(at) => self.open_look_ahead(at),
            None => self.out.say("there is no reply yet"),
        }
    }

    /// Asks for the likeliest continuations at a place.
    pub(crate) fn open_look_ahead(&mut self, at: TokenCursor) {
        if self.talk.run.is_some() {
            self.out.say("looking ahead waits for the reply; Esc stops it");
            return;
        }
        let fork = match self.view().fork(at) {
            Ok(fork) => fork,
            Err(why) => return self.out.say(why),
        };
        let vocabulary = self.talk.runs.get(&fork.run).and_then(|run| run.vocabulary.clone());
        self.overlays.push(Ahead {
            at: fork.at,
            vocabulary,
            ids: fork.ids,
            asking: Query::default(),
            looked: false,
            found: BeamPaths::default(),
            selected: 0,
            taking: None,
        });
    }

    /// An event of the look ahead, or of the scores of the path being taken.
    pub(crate) fn look_ahead_event(&mut self, id: RequestId, event: Event) {
        let Some(open) = self.overlays.find_mut::<Ahead>() else { return };
        match open.asking.event(id, event) {
            Some(Answer::Whole(AheadOf::Paths, Event::BeamPaths(found))) => {
                open.looked = true;
                open.found = *found;
            }
            Some(Answer::Part(_, Event::Scores { steps, .. })) => {
                if let Some((_, all)) = &mut open.taking {
                    all.extend(steps);
                }
            }
            Some(Answer::Whole(AheadOf::Numbers(_), Event::Scored { .. })) => self.path_scored(),
            _ => {}
        }
    }

    /// The numbers of the path are there: the branch begins.
    fn path_scored(&mut self) {
        let Some(open) = self.overlays.find_mut::<Ahead>() else { return };
        let (at, vocabulary) = (open.at, open.vocabulary.clone());
        let Some((_, mut steps)) = open.taking.take() else { return };
        let vocabulary = vocabulary.and_then(|hash| self.talk.vocabularies.get(&hash)).cloned();
        for step in &mut steps {
            if let Some(bytes) = vocabulary.as_ref().zip(step.id).and_then(|(all, id)| all.bytes(id)) {
                step.bytes = bytes.to_vec();
            }
        }
        match self.view().fork(at) {
            Ok(fork) => self.branch_along(&fork, steps),
            Err(why) => self.out.say(why),
        }
    }

    fn branch_along(&mut self, fork: &Fork, steps: Vec<Step>) {
        let twin = self.view().versions_at(fork.at).into_iter().map(|(_, turn)| turn).find(|turn| {
            let turn = self.talk.chat.turn(*turn);
            let tokens = turn.map(|turn| self.view().turn_tokens(turn)).unwrap_or_default();
            let there = tokens.iter().skip(fork.at.index).map(|token| token.step.id);
            there.take(steps.len()).eq(steps.iter().map(|step| step.id))
        });
        self.overlays.remove::<Ahead>();
        match twin {
            Some(turn) => {
                self.go_to(turn);
                self.out.say("a version begins with this path already");
            }
            None if !steps.is_empty() && self.start_branch(fork, steps) => self.focus = Focus::Transcript,
            None => {}
        }
    }
}

impl ChatView<'_> {
    /// What has been read, and the tokens of a path up to one that ends the reply.
    fn ids_along(&self, open: &Ahead, path: usize) -> Vec<TokenId> {
        let path = open.found.paths.get(path).into_iter().flat_map(|path| &path.tokens).map(|token| token.id);
        let text = path.take_while(|id| !self.is_mark(*id, open.vocabulary.as_ref()));
        open.ids.iter().copied().chain(text).collect()
    }
}

impl Ahead {
    /// The paths as a tree, what they share merged.
    pub fn rows(&self) -> Vec<AheadRow> {
        let mut rows = Vec::new();
        let all: Vec<usize> = (0..self.found.paths.len()).collect();
        self.branch_rows(&all, 0, 0.0, &mut Vec::new(), &mut rows);
        rows
    }

    fn token(&self, path: usize, at: usize) -> Option<TokenId> {
        self.found.paths[path].tokens.get(at).map(|token| token.id)
    }

    /// The rows of paths that are the same up to `at`.
    fn branch_rows(
        &self,
        paths: &[usize],
        at: usize,
        before: f32,
        more: &mut Vec<bool>,
        out: &mut Vec<AheadRow>,
    ) {
        let mut groups: Vec<(TokenId, Vec<usize>)> = Vec::new();
        for path in paths {
            let Some(id) = self.token(*path, at) else { continue };
            match groups.iter_mut().find(|(other, _)| *other == id) {
                Some((_, group)) => group.push(*path),
                None => groups.push((id, vec![*path])),
            }
        }
        let count = groups.len();
        for (place, (_, group)) in groups.into_iter().enumerate() {
            let tokens = &self.found.paths[group[0]].tokens;
            let shared = |end: usize| {
                let next = self.token(group[0], end);
                next.is_some() && group.iter().all(|path| self.token(*path, end) == next)
            };
            let end = (at + 1..tokens.len()).find(|end| !shared(*end)).unwrap_or(tokens.len());
            let total = before + tokens[at..end].iter().map(|token| token.logprob).sum::<f32>();
            more.push(place + 1 < count);
            out.push(AheadRow {
                depth: more.len() - 1,
                more: more.clone(),
                tokens: tokens[at..end].iter().map(|token| token.id).collect(),
                logprob: tokens[at].logprob,
                total,
                paths: group.clone(),
            });
            self.branch_rows(&group, end, total, more, out);
            more.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chat::TurnId;
    use crate::engine::protocol::Path;
    use crate::token::Candidate;

    #[test]
    fn paths_share_what_they_begin_with() {
        let path = |ids: &[i32]| Path {
            tokens: ids.iter().map(|id| Candidate { id: TokenId(*id), logprob: -1.0 }).collect(),
        };
        let ahead = Ahead {
            at: TokenCursor { turn: TurnId(1), index: 0 },
            vocabulary: None,
            ids: Arc::new(Vec::new()),
            asking: Query::default(),
            looked: true,
            found: BeamPaths {
                paths: vec![path(&[1, 2, 3]), path(&[7, 8]), path(&[1, 2, 4])],
                ..BeamPaths::default()
            },
            selected: 0,
            taking: None,
        };
        let rows: Vec<(usize, Vec<i32>, f32, Vec<usize>)> = ahead
            .rows()
            .into_iter()
            .map(|row| (row.depth, row.tokens.iter().map(|id| id.0).collect(), row.total, row.paths))
            .collect();
        assert_eq!(
            rows,
            [
                (0, vec![1, 2], -2.0, vec![0, 2]),
                (1, vec![3], -3.0, vec![0]),
                (1, vec![4], -3.0, vec![2]),
                (0, vec![7, 8], -2.0, vec![1]),
            ]
        );
    }
}
