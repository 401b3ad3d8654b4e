//! A reply scored after another prompt.
//!
//! Invariant: the chat's cache stays; an unchanged prompt gives the numbers with which the reply was written.

use std::time::Instant;

use super::model::{Control, Model};
use super::passes::no_token;
use super::reading::{self, Reading};
use super::{ScriptedOptions, other};
use crate::engine::milliseconds;
use crate::engine::protocol::{Event, Failure, Reread, Rescored};
use crate::token::TokenId;

impl Model {
    pub(super) fn reread(
        &self,
        request: &Reread,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        let prompt = self.encode(&request.prompt)?.ids;
        let all: Vec<TokenId> = prompt.iter().chain(&request.reply).copied().collect();
        self.fits(&all)?;
        if request.reply.is_empty() {
            return Err(other("There is no reply to score: it has no tokens.".into()));
        }
        let decoded = self.read_new(&all[..all.len() - 1], prompt.len(), options, control)?;
        let mut reading = Reading::of(&self.pieces, &prompt);
        let mut steps = Vec::with_capacity(request.reply.len());
        for id in &request.reply {
            let distribution = reading::distribution(&reading);
            let step = distribution.step(*id, self.pieces.written(*id), request.top_logprobs as usize);
            steps.push(step.ok_or_else(|| no_token(*id))?);
            reading.push(*id);
        }
        Ok(Event::Rescored(Box::new(Rescored {
            prompt,
            steps,
            decoded,
            displaced: 0,
            ms: milliseconds(begun),
        })))
    }
}
