//! Branches: another token in the place of one, and the reply goes on from there as a sibling.
//!
//! Invariants: a branch goes on from ids, never from text; its run's prompt and its own tokens are together
//! exactly what the model has read; every number of a taken token is the model's own.

use std::sync::Arc;

use crate::app::view::With;
use crate::app::{Ahead, Alternatives, App, ChatView, Outbox, Overlays, Talk, TokenCursor, Tree};
use crate::chat::{self, KEPT_DEEPEST, Role, RunId, Span, StopReason, Turn, TurnId, TurnState};
use crate::engine::protocol::{Capability, Prompt};
use crate::inspect::distribution::Distribution;
use crate::sampling::LogitBias;
use crate::token::{Step, TokenId, TokenKind};

/// How far one press moves a token's logit.
const BOOST: f32 = 1.0;

/// A place in a reply from which another continuation can begin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fork {
    /// The reply, and how many of its tokens stay.
    pub at: TokenCursor,
    /// The run that made the token there, or the last one.
    pub run: RunId,
    /// Everything read before the place.
    pub ids: Arc<Vec<TokenId>>,
}

impl ChatView<'_> {
    /// The place of a token, or the one after the last; where nothing can go on from there, why.
    pub(crate) fn fork(&self, at: TokenCursor) -> Result<Fork, String> {
        let turn = self.chat.turn(at.turn).filter(|turn| turn.role == Role::Assistant);
        let turn = turn.ok_or("only a reply can go on from another token; e edits your own message")?;
        if let Some(why) = self.lacking(Capability::Ids) {
            return Err(why);
        }
        let tokens = self.turn_tokens(turn).len();
        let last = tokens.checked_sub(1).ok_or("this reply has no token yet")?;
        let index = at.index.min(tokens);
        let pass = self.pass(TokenCursor { index: index.min(last), ..at });
        let pass = pass.ok_or("what was read before this token is not known, so nothing goes on from it")?;
        self.readable(pass.run)?;
        let mut ids = pass.ids;
        if index == tokens {
            Arc::make_mut(&mut ids).push(pass.chosen);
        }
        Ok(Fork { at: TokenCursor { index, ..at }, run: pass.run, ids })
    }

    /// Whether the loaded model is the one that made a run; if not, which one did and how to load it.
    pub(crate) fn readable(&self, run: RunId) -> Result<(), String> {
        if self.can_read_again(run) {
            return Ok(());
        }
        let made = self.runs.get(&run).map_or("another model", |run| run.model.as_str());
        Err(match self.ready() {
            None if made == self.model.name => self.model.not_ready().into(),
            _ if made == self.model.name => {
                format!("{made} was another file when it wrote this; only that one can go on from here")
            }
            _ => format!("{made} wrote this; /model {made} loads it, then it can go on from here"),
        })
    }

    /// Whether a branch of this turn can begin now: a reply elsewhere is not stopped for it.
    pub(crate) fn free_for(&self, turn: TurnId) -> Result<(), String> {
        match self.run {
            Some(run) if run.chat != self.chat.head.id => {
                Err("a reply is being written in another chat; let it end, or /stop it first".into())
            }
            Some(run) if run.turn != turn => Err("another reply is being written; Esc stops it".into()),
            _ => Ok(()),
        }
    }

    /// Versions of a reply that were conditioned alike and are the same before this token: each one's token
    /// here. The reply itself is among them.
    pub(crate) fn versions_at(&self, at: TokenCursor) -> Vec<(TokenId, TurnId)> {
        let Some(own) = self.pass(at) else { return Vec::new() };
        let made_by = |run: RunId| self.runs.get(&run).map(|run| (&run.model, &run.vocabulary));
        let same = |turn: TurnId| {
            let pass = self.pass(TokenCursor { turn, ..at })?;
            (pass.ids == own.ids && made_by(pass.run) == made_by(own.run)).then_some((pass.chosen, turn))
        };
        self.chat.versions(at.turn).into_iter().filter_map(same).collect()
    }

    /// The step of another token drawn from the same distribution; `None` while its odds are not known.
    pub(crate) fn step_instead(
        &self,
        step: &Step,
        id: TokenId,
        vocabulary: Option<&String>,
        whole: Option<&Distribution>,
    ) -> Option<Step> {
        let (logprob, rank) = match whole {
            Some(whole) => (whole.logprob(id)?, whole.rank(id)?),
            None if step.id == Some(id) => (step.logprob, step.rank),
            None => {
                let logprob = step.candidates.iter().find(|candidate| candidate.id == id)?.logprob;
                let larger = step.candidates.iter().filter(|candidate| candidate.logprob > logprob).count();
                (logprob, u32::try_from(larger + 1).ok()?)
            }
        };
        let bytes = self.vocabularies.get(vocabulary?)?.bytes(id)?.to_vec();
        Some(Step {
            id: Some(id),
            bytes,
            logprob,
            rank,
            entropy: step.entropy,
            candidates: step.candidates.clone(),
            ..Step::default()
        })
    }

    /// Why a token cannot be taken, if it is none that a text holds.
    pub(crate) fn is_mark(&self, id: TokenId, vocabulary: Option<&String>) -> bool {
        let vocabulary = vocabulary.and_then(|hash| self.vocabularies.get(hash));
        vocabulary.is_some_and(|all| matches!(all.kind(id), TokenKind::Control | TokenKind::Unused))
    }

    /// Whose first tokens a branch keeps, and how many: the oldest turn that has them all, so that chains of
    /// branches stay short. `None` where the chain is too long all the same.
    fn kept_of(&self, at: TokenCursor) -> Option<(TurnId, u32)> {
        let steps = u32::try_from(at.index).ok()?;
        let mut owner = at.turn;
        let kept = |turn: TurnId| match self.chat.turn(turn)?.spans.first()? {
            Span::Kept { turn, steps } => Some((*turn, *steps)),
            Span::Written { .. } | Span::Generated { .. } => None,
        };
        for _ in 0..KEPT_DEEPEST {
            match kept(owner).filter(|(_, kept)| *kept >= steps) {
                Some((turn, _)) => owner = turn,
                None => break,
            }
        }
        let mut depth = 1;
        let mut next = owner;
        while let Some((turn, _)) = kept(next) {
            depth += 1;
            next = turn;
            if depth >= KEPT_DEEPEST {
                return None;
            }
        }
        Some((owner, steps))
    }

    /// What a branch that is being begun is conditioned on; `None` for any other reply.
    pub(crate) fn branch_prompt(&self) -> Option<Prompt> {
        let active = self.run.as_ref()?;
        let turn = self.conversation(active.chat)?.turn(active.turn)?;
        let [.., Span::Kept { .. }, Span::Generated { run, steps }] = turn.spans.as_slice() else {
            return None;
        };
        let made = self.runs.get(run).filter(|run| run.id == active.run)?;
        Some(Prompt::Ids {
            ids: self.prompt_of(made.id).unwrap_or_default(),
            taken: steps.iter().take(made.taken as usize).filter_map(|step| step.id).collect(),
            chat: true,
        })
    }

    /// What is added to a token's logit in the shown chat.
    pub fn bias_of(&self, id: TokenId) -> f32 {
        let biases = self.sampling().logit_bias;
        biases.iter().find(|bias| bias.id == Some(id.0)).map_or(0.0, |bias| bias.bias)
    }
}

impl Overlays {
    /// Closes what shows branches of a chat that is being left.
    pub(super) fn close_branching(&mut self) {
        self.remove::<Alternatives>();
        self.remove::<Tree>();
        self.remove::<Ahead>();
    }
}

impl App {
    /// Shows a version of a reply, and what answers it.
    pub(crate) fn go_to(&mut self, turn: TurnId) {
        if !self.talk.chat.branch().iter().any(|other| other.id == turn) {
            let leaf = self.talk.chat.newest_leaf(turn);
            self.show_leaf(Some(leaf));
        }
        self.transcript.cursor = None;
        self.transcript.select(view!(self), &mut self.focus, turn);
    }

    /// Begins a branch: the tokens before the place stay, these follow, then the model goes on. With none
    /// the model draws at the place again. The reply itself is stopped if it is being written.
    pub(crate) fn start_branch(&mut self, fork: &Fork, taken: Vec<Step>) -> bool {
        if let Err(why) = self.view().free_for(fork.at.turn) {
            self.out.say(why);
            return false;
        }
        let Some((owner, steps)) = self.view().kept_of(fork.at) else {
            self.out.warn("this is a branch of too many branches; regenerate or write on from here");
            return false;
        };
        let steps_before = self.talk.steps;
        self.talk.stop_for_branch(with!(self), &mut self.out);
        self.talk.steps.on = steps_before.on;
        let chat = self.talk.chat.head.id;
        let mut run = self.talk.begin(with!(self), &mut self.out, chat);
        let last = taken.last().cloned().map(|step| (fork.at.index + taken.len() - 1, step));
        chat::condition(&mut run, &fork.ids, &self.talk.runs, [fork.run]);
        run.taken = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        if let Some(source) = self.talk.runs.get(&fork.run) {
            run.interventions.clone_from(&source.interventions);
            run.template_hash.clone_from(&source.template_hash);
            run.template_clock_ms = source.template_clock_ms;
            run.template_offset_minutes = source.template_offset_minutes;
            run.template_values.clone_from(&source.template_values);
        }
        let Some(parent) = self.talk.chat.turn(fork.at.turn).map(|turn| turn.parent) else { return false };
        let turn = Turn {
            spans: vec![Span::Kept { turn: owner, steps }, Span::Generated { run: run.id, steps: taken }],
            state: TurnState::Streaming,
            model: Some(self.model.name.clone()),
            ..Turn::new(TurnId(self.out.id()), parent, Role::Assistant, self.out.now.wall_ms)
        };
        self.talk.chat.turns.push(turn.clone());
        self.talk.chat.leaf = Some(turn.id);
        self.transcript.cursor = None;
        self.transcript.selected = Some(turn.id);
        self.transcript.scroll_bottom();
        let id = turn.id;
        self.talk.begin_run(with!(self), &mut self.out, chat, &turn, run);
        if let Some((index, step)) = last {
            self.inspector.live_step(
                view!(self),
                &mut self.out,
                TokenCursor { turn: id, index },
                step.into(),
            );
        }
        true
    }
}

impl Talk {
    /// Stops the reply of this chat at once; what was written stays, what the engine still says is late.
    pub(crate) fn stop_for_branch(&mut self, with: With<'_>, out: &mut Outbox) {
        let Some(run) = &self.run else { return };
        let (target, stopping) = (run.request, run.stopping);
        if !stopping {
            out.requests.give_up(target);
        }
        self.finish_run(with, out, StopReason::Cancelled, TurnState::Done, Some("stopped by you".into()));
    }

    /// Bans a token for this chat, or takes that back; says whether it is banned now.
    pub(crate) fn toggle_ban(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        id: TokenId,
        vocabulary: Option<&String>,
    ) -> bool {
        let bias = self.view(with).bias_of(id);
        let ban = bias != f32::NEG_INFINITY;
        let name = self.put_bias(with, out, id, vocabulary, if ban { f32::NEG_INFINITY } else { 0.0 });
        out.say(if ban {
            format!("{name} is banned in this chat from the next reply on; b takes it back")
        } else {
            format!("{name} is allowed again")
        });
        ban
    }

    /// Makes a token likelier or less likely in this chat.
    pub(crate) fn boost(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        id: TokenId,
        vocabulary: Option<&String>,
        more: bool,
    ) {
        let now = self.view(with).bias_of(id);
        let now = if now.is_finite() { now } else { 0.0 };
        let bias = if more { now + BOOST } else { now - BOOST };
        let name = self.put_bias(with, out, id, vocabulary, bias);
        let back = if more { "-" } else { "+" };
        out.say(if bias == 0.0 {
            format!("{name} has its own odds again")
        } else {
            format!("{name}: logit {bias:+} in this chat from the next reply on; {back} takes it back")
        });
    }

    /// Sets a token's bias; 0 takes it away. Gives the token's text in quotes.
    fn put_bias(
        &mut self,
        with: With<'_>,
        out: &mut Outbox,
        id: TokenId,
        vocabulary: Option<&String>,
        bias: f32,
    ) -> String {
        let bytes = vocabulary.and_then(|hash| self.vocabularies.get(hash)).and_then(|all| all.bytes(id));
        let text = bytes.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let mut biases = self.view(with).sampling().logit_bias;
        biases.retain(|bias| bias.id != Some(id.0));
        let name = text.as_ref().map_or_else(|| format!("token {}", id.0), |text| format!("“{text}”"));
        if bias != 0.0 {
            biases.push(LogitBias { text, id: Some(id.0), bias });
        }
        self.chat.settings.sampling.logit_bias = Some(biases);
        self.settings_changed(with, out);
        name
    }
}
