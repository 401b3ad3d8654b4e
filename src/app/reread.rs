//! Reading replies again on trial: what is asked of the engine for it, one request at a time.
//!
//! Invariants: the chat, its turns and the store stay as they are; a reply, and whatever else is asked of the engine,
//! goes before what runs in the background; what was given up is asked for again.

mod sentences;
mod weights;
mod what_if;

use std::sync::Arc;

use super::{App, EngineId, Origin, Overlay, prompt};
use crate::chat::{Piece, Role, Turn, TurnId};
use crate::command::Command;
use crate::engine::protocol::{Event, Message, Prompt, Request, RequestId, Reread, Rescored, StoredTokens};
use crate::token::TokenId;

/// A message as it is on trial.
pub(crate) struct Changed<'a> {
    turn: TurnId,
    text: &'a str,
    stored: Option<StoredTokens>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A reply of the open trial, by its place, behind the text as it is or as edited.
    WhatIf { reply: usize, edited: bool },
    /// The weighed reply, without a part or behind the whole prompt.
    Weights(Option<usize>),
}

/// The request under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rereading {
    engine: EngineId,
    request: RequestId,
    purpose: Purpose,
}

impl App {
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
        let Some(run) = foreign else { return Ok(()) };
        let key = self.keymap.shown(Command::Models);
        Err(match self.runs.get(&run) {
            Some(run) => {
                format!("{} made this; {key} loads it to read it again", self.model_title(&run.model))
            }
            None => "how this was written is not stored".into(),
        })
    }

    /// What scores a reply behind its own prompt, or behind that with one message changed. Both are rendered anew,
    /// with the clock that the reply was written under.
    fn reread_of(&self, reply: TurnId, changed: Option<&Changed<'_>>) -> Option<Reread> {
        let turn = self.chat.turn(reply)?;
        let runs = self.turn_tokens(turn).into_iter().filter_map(|token| match token.origin {
            Origin::Written { run, .. } => self.runs.get(&run),
            Origin::Scored { .. } => None,
        });
        let runs: Vec<_> = runs.collect();
        let (first, last) = (runs.first()?, runs.last()?);
        let messages = self.messages_before(turn, changed);
        let left_out = self.book.left_out.get(&self.chat.head.id).copied().unwrap_or_default();
        Some(Reread {
            prompt: Prompt::Chat {
                messages: prompt::without_oldest(messages, left_out),
                continue_last: false,
                clock_ms: first.template_clock_ms.unwrap_or_default(),
            },
            reply: self.reply_ids(turn),
            top_logprobs: self.config.inspector.candidates.min(5),
            interventions: last.interventions.clone(),
        })
    }

    /// The messages before a reply. One that was emptied stays, so that no template puts its own in its place.
    fn messages_before(&self, reply: &Turn, changed: Option<&Changed<'_>>) -> Vec<Message> {
        let of = |id: TurnId| changed.filter(|changed| changed.turn == id);
        let mut messages = Vec::new();
        let system = self.system_text();
        match of(self.system_id()) {
            Some(changed) if !system.is_empty() || !changed.text.is_empty() => {
                messages.push(Message { role: Role::System, text: changed.text.to_owned(), stored: None });
            }
            None if !system.is_empty() => {
                messages.push(Message { role: Role::System, text: system, stored: None });
            }
            _ => {}
        }
        for turn in self.turns_before(reply) {
            messages.push(match of(turn.id) {
                Some(changed) => {
                    Message { role: turn.role, text: changed.text.to_owned(), stored: changed.stored.clone() }
                }
                None => self.message(&self.chat, turn),
            });
        }
        messages
    }

    /// The turns that a reply answers, the first of the chat first.
    fn turns_before(&self, reply: &Turn) -> Vec<&Turn> {
        reply.parent.map(|parent| prompt::branch_to(&self.chat, parent)).unwrap_or_default()
    }

    /// Brings what is asked of the engine in line with what is wanted.
    pub(crate) fn settle_reread(&mut self) {
        self.drop_stale_trials();
        self.fail_foreign_trials();
        let busy = self.run.is_some() || self.queued.is_some() || self.ready().is_none();
        let wanted = if busy { None } else { self.reread_wanted() };
        if let Some(under_way) = self.book.rereading {
            let here = under_way.engine == self.model.engine && self.ready().is_some();
            if here && wanted == Some(under_way.purpose) {
                return;
            }
            self.stop_rereading();
        }
        let Some(purpose) = wanted else { return };
        let Some(request) = self.request_for(purpose) else {
            return self.reread_failed(purpose, "what the reply answers is no longer there");
        };
        let request = self.ask(Request::Reread(Box::new(request)));
        self.book.last_use = self.now.mono_ms;
        self.book.rereading = Some(Rereading { engine: self.model.engine, request, purpose });
    }

    /// The next thing to read: what the user waits for, then what goes on in the background.
    fn reread_wanted(&self) -> Option<Purpose> {
        self.what_if_wanted().or_else(|| self.weights_wanted())
    }

    fn request_for(&self, purpose: Purpose) -> Option<Reread> {
        match purpose {
            Purpose::WhatIf { reply, edited } => self.what_if_request(reply, edited),
            Purpose::Weights(part) => self.part_request(part),
        }
    }

    fn reread_failed(&mut self, purpose: Purpose, why: &str) {
        match purpose {
            Purpose::WhatIf { .. } => {
                if let Some(what_if) = &mut self.what_if {
                    what_if.failed = Some(why.to_owned());
                }
            }
            Purpose::Weights(_) => {
                if let Some(weights) = &mut self.weights {
                    weights.failed = Some(why.to_owned());
                }
            }
        }
    }

    /// Gives up what is under way; it is asked for again if it is still wanted.
    fn stop_rereading(&mut self) {
        let Some(under_way) = self.book.rereading.take() else { return };
        if let Some(what_if) = &mut self.what_if {
            what_if.progress = None;
        }
        if under_way.engine == self.model.engine && self.ready().is_some() {
            self.ask(Request::Cancel { target: under_way.request });
        }
    }

    /// Something else is asked of the engine: the background gives way.
    pub(crate) fn give_way(&mut self, request: &Request) {
        let waits = matches!(
            request,
            Request::Generate(_)
                | Request::Score(_)
                | Request::Look(_)
                | Request::LookAhead(_)
                | Request::Inspect(_)
                | Request::Depths(_)
                | Request::Embed(_)
        );
        let in_background = |under_way: &Rereading| matches!(under_way.purpose, Purpose::Weights(_));
        if waits && self.book.rereading.as_ref().is_some_and(in_background) {
            self.stop_rereading();
        }
    }

    /// Whether an event answers the request under way.
    pub(crate) fn is_rereading(&self, id: RequestId) -> bool {
        self.book
            .rereading
            .as_ref()
            .is_some_and(|under_way| under_way.engine == self.model.engine && under_way.request == id)
    }

    /// The engine answers.
    pub(crate) fn reread_event(&mut self, event: Event) {
        let Some(Rereading { purpose, .. }) = self.book.rereading else { return };
        self.book.last_use = self.now.mono_ms;
        if event.is_final() {
            self.book.rereading = None;
        }
        match (event, purpose) {
            (Event::PromptProgress { done, total }, Purpose::WhatIf { .. }) => {
                if let Some(what_if) = &mut self.what_if {
                    what_if.progress = Some((done, total));
                }
            }
            (Event::Rescored(scored), purpose) => self.rescored(purpose, Arc::from(scored)),
            (Event::Failed(failure), purpose) => self.reread_failed(purpose, &failure.message),
            _ => {}
        }
    }

    fn rescored(&mut self, purpose: Purpose, scored: Arc<Rescored>) {
        let told = matches!(purpose, Purpose::Weights(_))
            && self.weights.as_ref().is_some_and(|weights| weights.displaced > 0);
        if scored.displaced > 0 && !told {
            let tokens = scored.displaced;
            self.warn(format!(
                "the context has no room for both: the next reply reads {tokens} tokens of the chat again"
            ));
        }
        match purpose {
            Purpose::WhatIf { reply, edited } => self.what_if_read(reply, edited, scored),
            Purpose::Weights(part) => self.part_read(part, &scored),
        }
    }

    /// Another model was loaded meanwhile: it cannot go on with what the one before began.
    fn fail_foreign_trials(&mut self) {
        if self.ready().is_none() {
            return;
        }
        let why = |reply: TurnId| self.chat.turn(reply).and_then(|turn| self.can_reread(turn).err());
        let what_if = self.what_if.as_ref().filter(|what_if| what_if.failed.is_none() && !what_if.is_done());
        let what_if = what_if.and_then(|what_if| what_if.replies.iter().find_map(|reply| why(reply.turn)));
        let weights = self.weights.as_ref().filter(|weights| weights.failed.is_none() && !weights.is_done());
        let weights = weights.and_then(|weights| why(weights.reply));
        if let (Some(open), Some(why)) = (&mut self.what_if, what_if) {
            open.failed = Some(why);
        }
        if let (Some(open), Some(why)) = (&mut self.weights, weights) {
            open.failed = Some(why);
        }
    }

    /// Trials end with the chat, the branch or the reply that they are about.
    fn drop_stale_trials(&mut self) {
        let branch: Vec<TurnId> = match (&self.what_if, &self.weights) {
            (None, None) => return,
            _ => self.chat.branch().iter().map(|turn| turn.id).collect(),
        };
        let chat = self.chat.head.id;
        let stale = |of, turns: &[TurnId]| of != chat || turns.iter().any(|turn| !branch.contains(turn));
        let replies = |what_if: &super::WhatIf| -> Vec<TurnId> {
            what_if.replies.iter().map(|reply| reply.turn).collect()
        };
        if self.what_if.as_ref().is_some_and(|what_if| stale(what_if.chat, &replies(what_if))) {
            self.leave_what_if();
        }
        let weights = self.weights.as_ref();
        if weights.is_some_and(|weights| stale(weights.chat, &[weights.reply])) || self.system_was_changed() {
            self.drop_weights();
        }
    }

    /// Whether the weighed sentences of the system prompt are no longer its own.
    fn system_was_changed(&self) -> bool {
        let Some(weights) = &self.weights else { return false };
        let id = self.system_id();
        let mut parts = weights.parts.iter().filter(|part| part.turn == id).peekable();
        if parts.peek().is_none() {
            return false;
        }
        let text = self.system_text();
        parts.any(|part| !text.get(part.cut.clone()).is_some_and(|cut| cut.contains(&part.text)))
    }

    /// The open trial: it stands beside the transcript instead of over it, and inks its words.
    fn trial(&self) -> Option<&Overlay> {
        self.overlays.iter().rev().find(|overlay| matches!(overlay, Overlay::WhatIf | Overlay::Weights))
    }

    /// Whether a trial is open beside the transcript.
    #[must_use]
    pub fn docks(&self) -> bool {
        self.trial().is_some()
    }

    /// The words of a turn that are inked while a trial is open: bytes from and to, and a step of the signed ramp,
    /// −4 to 4. Likelier is positive.
    #[must_use]
    pub fn signed_ink(&self, turn: TurnId) -> Vec<(usize, usize, i8)> {
        match self.trial() {
            Some(Overlay::WhatIf) => self.what_if_ink(turn),
            Some(Overlay::Weights) => self.weights_ink(turn),
            _ => Vec::new(),
        }
    }

    /// What the inked words say, and how many bits a step of the ramp stands for.
    #[must_use]
    pub fn ink_scale(&self) -> Option<(&'static str, u32)> {
        match self.trial() {
            Some(Overlay::WhatIf) => Some(("change, bit", 1)),
            Some(Overlay::Weights) if self.weighed_token().is_some() => Some(("weight, bit", 1)),
            Some(Overlay::Weights) => Some(("weight, bit", 4)),
            _ => None,
        }
    }

    /// The message that a trial is about: the selected one, else the last of the user.
    fn message_on_trial(&self) -> Option<TurnId> {
        let branch = self.chat.branch();
        let last = branch.iter().rev().find(|turn| turn.role == Role::User).map(|turn| turn.id);
        self.transcript.selected.or(last)
    }
}

/// A step of the signed ramp.
fn ink_step(bits: f64, a_step: u32) -> i8 {
    (bits / f64::from(a_step)).round().clamp(-4.0, 4.0) as i8
}
