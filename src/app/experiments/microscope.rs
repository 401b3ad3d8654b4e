//! The microscope: another model reads this chat's replies beside the loaded one.
//!
//! Invariants: nothing is written and the chat stays as it is; a reply goes before it, and it begins anew afterwards.

use super::reread::ink_step;
use crate::app::requests::Answer;
use crate::app::state::{HoldAgainst, ReadReply};
use crate::app::view::With;
use crate::app::{App, ChatView, Microscope, MicroscopePanel, ModelState, Origin, Outbox, Query, Talk};
use crate::chat::{Role, Turn, TurnId};
use crate::engine::protocol::{Capability, Contrasting, Event, Job, Part, Request, RequestId};
use crate::model_entry::ModelEntry;
use crate::models::CatalogueItem;
use crate::token::TokenId;

impl App {
    /// Opens the list of models to hold against the loaded one, or says why there is nothing to hold against.
    pub(crate) fn open_others(&mut self) {
        match self.view().microscope_parts() {
            Err(why) => self.out.say(why),
            Ok(_) if self.model.others().next().is_none() => {
                self.out.say("no other model is on this machine; Ctrl+L fetches one");
            }
            Ok(_) => crate::app::overlays::open_others(self),
        }
    }

    /// `/microscope NAME`: holds a model against the loaded one.
    pub(crate) fn hold_against(&mut self, name: &str) -> bool {
        let parts = match self.view().microscope_parts() {
            Ok(parts) => parts,
            Err(why) => {
                self.out.say(why);
                return true;
            }
        };
        let Some(other) = self.config.model_named(name) else {
            self.out.warn(format!("there is no model {name}; Ctrl+L shows all"));
            return false;
        };
        // A process joins its model's workers before it loads anything, and has no network without any.
        if other.rpc.iter().any(|worker| !self.model.workers.contains(worker)) {
            let own = &self.model.name;
            self.out.warn(format!(
                "{name} has layers on machines that {own} does not use; chat with {name} and hold {own} against it"
            ));
            return false;
        }
        self.microscope = Some(Box::new(Microscope {
            chat: self.talk.chat.head.id,
            other: name.to_owned(),
            replies: parts.into_iter().map(|(turn, _)| ReadReply { turn, tokens: Vec::new() }).collect(),
            is_done: false,
            selected: 0,
            reading: Query::default(),
        }));
        self.overlays.remove::<MicroscopePanel>();
        self.overlays.push(MicroscopePanel);
        true
    }

    /// The engine answers.
    pub(crate) fn microscope_event(&mut self, id: RequestId, event: Event) {
        let Some(open) = &mut self.microscope else { return };
        match open.reading.event(id, event) {
            Some(Answer::Part(_, Event::Contrasts { part, tokens, .. })) => {
                if let Some(reply) = open.replies.get_mut(part as usize) {
                    self.out.touch(reply.turn);
                    reply.tokens.extend(tokens);
                }
            }
            Some(Answer::Whole(_, Event::Contrasted(_))) => open.is_done = true,
            _ => {}
        }
    }

    /// Ends the comparison.
    pub(crate) fn leave_microscope(&mut self) {
        self.microscope = None;
        self.overlays.remove::<MicroscopePanel>();
    }

    /// The words of a turn by how much more likely the other model finds them: bytes from and to, and a step of the
    /// signed ramp.
    pub(crate) fn microscope_ink(&self, turn: TurnId) -> Vec<(usize, usize, i8)> {
        let Some(open) = &self.microscope else { return Vec::new() };
        let reply = open.replies.iter().find(|reply| reply.turn == turn);
        let Some((reply, turn)) = reply.zip(self.talk.chat.turn(turn)) else { return Vec::new() };
        let tokens = self.view().turn_tokens(turn);
        let pairs = tokens.iter().zip(&reply.tokens);
        pairs
            .map(|(token, found)| (token.start, token.end, ink_step(-f64::from(found.more_bits()), 1)))
            .collect()
    }
}

impl ModelState {
    /// The models that could be held against the loaded one: those that are on this machine.
    pub fn others(&self) -> impl Iterator<Item = &ModelEntry> {
        let here = |item: &&CatalogueItem| item.path.is_some() && item.entry.name != self.name;
        self.catalogue.iter().filter(here).map(|item| &item.entry)
    }
}

impl Microscope {
    /// Brings what is asked in line with what is wanted.
    pub(super) fn sync(&mut self, talk: &Talk, with: With<'_>, out: &mut Outbox, free: bool) {
        let wanted = (free && !self.is_done).then_some(HoldAgainst);
        let Self { other, replies, reading, .. } = self;
        reading.follow(wanted, &mut out.requests, |_| {
            let other = with.config.model_named(other).ok_or("that model is no longer configured")?;
            let params = with.config.load_params_for(&other);
            let parts = talk.view(with).microscope_parts()?;
            *replies = parts.iter().map(|(turn, _)| ReadReply { turn: *turn, tokens: Vec::new() }).collect();
            let parts = parts.into_iter().map(|(_, part)| part).collect();
            let request = Contrasting { other: Box::new(other), params, parts, interventions: Vec::new() };
            Ok(Request::Job(Job::Contrast(Box::new(request))))
        });
    }

    /// Why the comparison does not go on, in one line.
    pub fn missing(&self) -> Option<&str> {
        self.reading.refusal(&HoldAgainst)
    }
}

impl ChatView<'_> {
    /// The replies of the shown branch whose tokens are the loaded model's, each with what both models read of it; an
    /// error says why there is none.
    fn microscope_parts(&self) -> Result<Vec<(TurnId, Part)>, String> {
        if self.ready().is_none() {
            return Err(self.model.not_ready().to_owned());
        }
        if let Some(why) = self.lacking(Capability::Contrast) {
            return Err(why);
        }
        let branch = self.chat.branch();
        let replies = branch.iter().filter(|turn| turn.role == Role::Assistant);
        let parts: Vec<_> = replies.filter_map(|turn| Some((turn.id, self.microscope_part(turn)?))).collect();
        if parts.is_empty() {
            return Err("no reply is here yet that this model's tokens were written in".to_owned());
        }
        Ok(parts)
    }

    fn microscope_part(&self, turn: &Turn) -> Option<Part> {
        let vocabulary = &self.ready()?.vocabulary;
        let tokens = self.turn_tokens(turn);
        let reply = self.reply_ids(turn);
        let runs = tokens.iter().take(reply.len()).map(|token| match token.origin {
            Origin::Written { run, .. } => self.runs.get(&run),
            Origin::Scored { .. } => None,
        });
        let runs: Vec<_> = runs.collect::<Option<_>>()?;
        let first = runs.first()?;
        if runs.iter().any(|run| run.vocabulary.as_ref() != Some(vocabulary)) {
            return None;
        }
        let prompt = self.prompt_of(first.id).filter(|ids| !ids.is_empty())?;
        let from = prompt.len() as u32;
        let ids: Vec<TokenId> = prompt.into_iter().chain(reply).collect();
        Some(Part { ids, from })
    }
}
