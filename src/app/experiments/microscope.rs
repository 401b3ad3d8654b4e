//! The microscope: another model reads this chat beside the loaded one, its replies and what was typed before them.
//!
//! Invariants: nothing is written and the chat stays as it is; a reply goes before it, and it begins anew afterwards.

use super::reread::ink_step;
use crate::app::requests::Answer;
use crate::app::state::{HoldAgainst, ReadText, ReadToken};
use crate::app::transcript::scores::align;
use crate::app::view::With;
use crate::app::{App, ChatView, Microscope, MicroscopePanel, ModelState, Origin, Outbox, Query, Talk};
use crate::chat::{Role, Span, Turn, TurnId};
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
        let texts = match self.view().microscope_parts() {
            Ok((_, texts)) => texts,
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
            texts,
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
            Some(Answer::Part(_, Event::Contrasts { part, first, tokens })) => {
                for text in open.texts.iter_mut().filter(|text| text.part == part) {
                    self.out.touch(text.turn);
                    for token in &mut text.tokens {
                        let came = token.at.checked_sub(first as usize).and_then(|index| tokens.get(index));
                        token.found = came.copied().or(token.found);
                    }
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
        let texts = self.microscope.iter().flat_map(|open| &open.texts);
        let tokens = texts.filter(|text| text.turn == turn).flat_map(|text| &text.tokens);
        let inked = tokens.filter_map(|token| {
            Some((token.start, token.end, ink_step(-f64::from(token.found?.more_bits()), 1)))
        });
        inked.collect()
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
        let Self { other, texts, reading, .. } = self;
        reading.follow(wanted, &mut out.requests, |_| {
            let other = with.config.model_named(other).ok_or("that model is no longer configured")?;
            let params = with.config.load_params_for(&other);
            let (parts, read) = talk.view(with).microscope_parts()?;
            *texts = read;
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
    /// The replies of the shown branch whose tokens are the loaded model's, each with what both models read of it, and
    /// the texts in them that are held against each other; an error says why there is none.
    fn microscope_parts(&self) -> Result<(Vec<Part>, Vec<ReadText>), String> {
        if self.ready().is_none() {
            return Err(self.model.not_ready().to_owned());
        }
        if let Some(why) = self.lacking(Capability::Contrast) {
            return Err(why);
        }
        let branch = self.chat.branch();
        let (mut parts, mut texts) = (Vec::new(), Vec::<ReadText>::new());
        for (at, turn) in branch.iter().enumerate().filter(|(_, turn)| turn.role == Role::Assistant) {
            let Some((ids, prompt)) = self.microscope_ids(turn) else { continue };
            let part = parts.len() as u32;
            let tokens = self.turn_tokens(turn).into_iter().zip(prompt..).zip(&ids[prompt..]);
            let read = tokens.map(|((token, at), id)| ReadToken {
                start: token.start,
                end: token.end,
                at,
                id: *id,
                found: None,
            });
            let reply = ReadText { turn: turn.id, part, is_reply: true, tokens: read.collect() };
            let before: Vec<&Turn> = self.system.iter().chain(branch[..at].iter().copied()).collect();
            let new = |typed: &ReadText| texts.iter().all(|text| text.turn != typed.turn);
            let typed: Vec<_> =
                self.typed_in(&ids[..prompt], &before, part).into_iter().filter(new).collect();
            let first = typed.iter().flat_map(|typed| &typed.tokens).map(|token| token.at).min();
            parts.push(Part { ids, from: first.unwrap_or(prompt) as u32 });
            texts.push(reply);
            texts.extend(typed);
        }
        if parts.is_empty() {
            return Err("no reply is here yet that this model's tokens were written in".to_owned());
        }
        Ok((parts, texts))
    }

    /// What a reply was conditioned on and what it is, where all of it are the loaded model's tokens, and how many of
    /// them are the prompt.
    fn microscope_ids(&self, turn: &Turn) -> Option<(Vec<TokenId>, usize)> {
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
        let mut ids = self.prompt_of(first.id).filter(|ids| !ids.is_empty())?;
        let prompt = ids.len();
        ids.extend(reply);
        Some((ids, prompt))
    }

    /// The typed texts among the messages before a reply, where they stand in its prompt; none where the vocabulary has
    /// not come yet.
    fn typed_in(&self, ids: &[TokenId], before: &[&Turn], part: u32) -> Vec<ReadText> {
        let vocabulary = self.ready().and_then(|loaded| self.vocabularies.get(&loaded.vocabulary));
        let Some(vocabulary) = vocabulary else { return Vec::new() };
        let texts: Vec<Vec<u8>> = before.iter().map(|turn| self.chat.bytes(turn)).collect();
        let is_typed = |turn: &Turn| matches!(turn.spans.as_slice(), [Span::Written { .. }]);
        let typed = before.iter().zip(align(ids, vocabulary, &texts)).filter(|(turn, _)| is_typed(turn));
        // Nothing is read before a prompt's first token, so that no model can expect it.
        let read = |(start, end, at): (usize, usize, usize)| {
            (at > 0).then(|| ReadToken { start, end, at, id: ids[at], found: None })
        };
        let texts = typed.map(|(turn, places)| {
            let tokens = places.into_iter().filter_map(read).collect();
            ReadText { turn: turn.id, part, is_reply: false, tokens }
        });
        texts.filter(|text| !text.tokens.is_empty()).collect()
    }
}
