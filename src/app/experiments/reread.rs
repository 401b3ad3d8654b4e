//! Reading replies again on trial: what is asked of the engine for it, one request at a time.
//!
//! Invariants: the chat, its turns and the store stay as they are; a reply, and whatever else is asked of the engine,
//! goes before what runs in the background; what was given up is asked for again.

mod sentences;
mod weights;
mod what_if;

use crate::app::view::With;
use crate::app::{App, Asker, ChatView, Origin, Outbox, Overlay, Talk, Transcript, chat::prompt};
use crate::chat::{Piece, Role, Turn, TurnId};
use crate::engine::protocol::{Message, Prompt, Rescore, Rescored, StoredTokens};
use crate::token::TokenId;

/// A message as it is on trial.
pub(crate) struct Changed<'a> {
    turn: TurnId,
    text: &'a str,
    stored: Option<StoredTokens>,
}

/// Why a reply cannot be read again after all.
const GONE: &str = "what the reply answers is no longer there";

impl<'a> ChatView<'a> {
    /// The ids of a reply that can be scored: its tokens up to the first typed stretch.
    pub(crate) fn reply_ids(&self, turn: &Turn) -> Vec<TokenId> {
        let pieces = self.chat.pieces(turn);
        let steps = pieces.iter().map_while(|piece| match piece {
            Piece::Step { step, .. } => step.id,
            Piece::Written(_) => None,
        });
        steps.collect()
    }

    /// Whether a reply can be read again now; an error says why not.
    pub(crate) fn can_reread(&self, turn: &Turn) -> Result<(), String> {
        let tokens = self.turn_tokens(turn);
        if self.reply_ids(turn).is_empty() {
            return Err("no reply of a model is there to be read again".into());
        }
        if self.ready().is_none() {
            return Err("no model is loaded; F5 loads it".into());
        }
        let foreign = tokens.iter().find_map(|token| match token.origin {
            Origin::Written { run, .. } if !self.can_read_again(run) => Some(run),
            _ => None,
        });
        foreign.map_or(Ok(()), |run| self.why_run_unreadable(Some(run)).map_or(Ok(()), Err))
    }

    /// The messages before a reply. One that was emptied stays, so that no template puts its own in its place.
    fn messages_before(&self, reply: &Turn, changed: Option<&Changed<'_>>) -> Vec<Message> {
        let of = |id: TurnId| changed.filter(|changed| changed.turn == id);
        let mut messages = Vec::new();
        let system = self.system_text();
        match of(self.system_id()) {
            Some(changed) if !system.is_empty() || !changed.text.is_empty() => {
                messages.push(Message::new(Role::System, changed.text));
            }
            None if !system.is_empty() => {
                messages.push(Message::new(Role::System, system));
            }
            _ => {}
        }
        for turn in self.turns_before(reply) {
            messages.push(match of(turn.id) {
                Some(changed) => {
                    let message = Message::new(turn.role, changed.text);
                    Message { stored: changed.stored.clone(), ..message }
                }
                None => self.message(self.chat, turn),
            });
        }
        messages
    }

    /// The turns that a reply answers and the model still reads, the first of the chat first.
    fn turns_before(&self, reply: &Turn) -> Vec<&'a Turn> {
        let left_out = self.left_out(self.chat.head.id, reply.parent);
        let read = |turn: &&Turn| !left_out.is_some_and(|gone| gone.contains(&turn.id));
        let before = reply.parent.map(|parent| prompt::branch_to(self.chat, parent)).unwrap_or_default();
        before.into_iter().filter(read).collect()
    }

    /// Why a trial of these replies does not go on: another model was loaded meanwhile.
    fn foreign(&self, replies: impl IntoIterator<Item = TurnId>) -> Option<String> {
        self.ready()?;
        replies.into_iter().find_map(|reply| self.can_reread(self.chat.turn(reply)?).err())
    }
}

impl Talk {
    /// What scores a reply after its own prompt, or after that with one message changed. Both are rendered again,
    /// with the clock that the reply was written under.
    fn reread_of(&self, with: With<'_>, reply: TurnId, changed: Option<&Changed<'_>>) -> Option<Rescore> {
        let turn = self.chat.turn(reply)?;
        let runs = self.view(with).turn_tokens(turn).into_iter().filter_map(|token| match token.origin {
            Origin::Written { run, .. } => self.runs.get(&run),
            Origin::Scored { .. } => None,
        });
        let runs: Vec<_> = runs.collect();
        let (first, last) = (runs.first()?, runs.last()?);
        let messages = self.view(with).messages_before(turn, changed);
        Some(Rescore {
            prompt: Prompt::Chat { messages, continue_last: false, setting: prompt::setting_of(first) },
            reply: self.view(with).reply_ids(turn),
            top_logprobs: with.config.inspector.candidates.min(5),
            interventions: last.interventions.clone(),
        })
    }
}

impl App {
    /// Brings what is asked of the engine in line with what is wanted: what the user waits for, then what goes on in the
    /// background.
    pub(crate) fn sync_reread(&mut self) {
        self.drop_stale_trials();
        let free = self.talk.run.is_none() && self.talk.queued.is_none() && self.view().ready().is_some();
        match &mut self.what_if {
            Some(what_if) => what_if.sync(&self.talk, with!(self), &mut self.out, free),
            None => self.out.requests.give_up_all(Asker::WhatIf),
        }
        match &mut self.microscope {
            Some(microscope) => microscope.sync(&self.talk, with!(self), &mut self.out, free),
            None => self.out.requests.give_up_all(Asker::Microscope),
        }
        let idle = free && self.out.requests.of(Asker::WhatIf).is_none();
        match &mut self.weights {
            Some(weights) => weights.sync(&self.talk, with!(self), &mut self.out, idle),
            None => self.out.requests.give_up_all(Asker::Weights),
        }
    }

    /// The words of a turn that are inked while a trial is open: bytes from and to, and a step of the signed ramp,
    /// −4 to 4. Likelier is positive.
    pub fn signed_ink(&self, turn: TurnId) -> Vec<(usize, usize, i8)> {
        let inked = match self.overlays.docked() {
            Some(Overlay::WeightsPanel(_)) => {
                self.weights.as_ref().map(|weights| weights.ink(turn, weights.token(&self.transcript)))
            }
            Some(Overlay::MicroscopePanel(_)) => Some(self.microscope_ink(turn)),
            Some(_) => self.what_if.as_ref().map(|what_if| what_if.ink(self.view(), turn)),
            None => None,
        };
        inked.unwrap_or_default()
    }

    /// What the inked words say, and how many bits a step of the ramp stands for.
    pub fn ink_scale(&self) -> Option<(&'static str, u32)> {
        Some(match self.overlays.docked()? {
            Overlay::WeightsPanel(_) => {
                let token = self.weights.as_ref().and_then(|weights| weights.token(&self.transcript));
                ("weight, bit", if token.is_some() { 1 } else { 4 })
            }
            _ => ("change, bit", 1),
        })
    }

    /// Trials end with the chat, the branch or the reply that they are about.
    fn drop_stale_trials(&mut self) {
        let branch: Vec<TurnId> = match (&self.what_if, &self.weights, &self.microscope) {
            (None, None, None) => return,
            _ => self.talk.chat.branch().iter().map(|turn| turn.id).collect(),
        };
        let chat = self.talk.chat.head.id;
        let stale = |of, turns: &[TurnId]| of != chat || turns.iter().any(|turn| !branch.contains(turn));
        let replies = |what_if: &crate::app::WhatIf| -> Vec<TurnId> {
            what_if.replies.iter().map(|reply| reply.turn).collect()
        };
        if self.what_if.as_ref().is_some_and(|what_if| stale(what_if.chat, &replies(what_if))) {
            self.leave_what_if();
        }
        let system = self.view().system_id();
        let read = |open: &crate::app::Microscope| -> Vec<TurnId> {
            open.texts.iter().map(|text| text.turn).filter(|turn| *turn != system).collect()
        };
        if self.microscope.as_ref().is_some_and(|open| stale(open.chat, &read(open))) {
            self.leave_microscope();
        }
        let weights = self.weights.as_ref();
        if weights.is_some_and(|weights| stale(weights.chat, &[weights.reply]))
            || weights.is_some_and(|weights| weights.system_was_changed(self.view()))
        {
            self.drop_weights();
        }
    }
}

impl Outbox {
    /// Says once how much of the chat had to make room.
    fn say_displaced(&mut self, scored: &Rescored, told: bool) {
        if scored.displaced > 0 && !told {
            let tokens = scored.displaced;
            self.warn(format!(
                "the context has no room for both: the next reply reads {tokens} tokens of the chat again"
            ));
        }
    }
}

impl Transcript {
    /// The message that a trial is about: the selected one, else the last of the user.
    fn message_on_trial(&self, view: ChatView<'_>) -> Option<TurnId> {
        let branch = view.chat.branch();
        let last = branch.iter().rev().find(|turn| turn.role == Role::User).map(|turn| turn.id);
        self.selected.or(last)
    }
}

/// A step of the signed ramp.
pub(super) fn ink_step(bits: f64, a_step: u32) -> i8 {
    (bits / f64::from(a_step)).round().clamp(-4.0, 4.0) as i8
}
