//! Looking into each token while a reply is written: when the probe is on, what it costs, and how often it may be.
//!
//! Invariant: without a wish the probe's plan stays empty and a token costs nothing more; with one, a look takes no
//! more than its share of the time that decoding takes, unless the reply goes token by token.

use std::time::Instant;

use crate::engine::analysis::Inside;
use crate::engine::analysis::output::Output;
use crate::engine::analysis::pass::{self, Pass};
use crate::engine::milliseconds;
use crate::engine::probe::{Captured, Plan};
use crate::engine::protocol::{Failure, Inspected, Live, LiveInside, Want, every};
use crate::engine::session::{Halt, Session};
use crate::token::TokenId;

/// How much a new measurement counts.
const NEWEST: f32 = 0.25;
/// Every so many tokens one is decoded without the probe, so that the price can be told.
const PLAIN: u32 = 64;

/// A running mean of milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean(Option<f32>);

impl Mean {
    fn add(&mut self, ms: f32) {
        self.0 = Some(self.0.map_or(ms, |mean| mean + NEWEST * (ms - mean)));
    }
}

/// What decoding and looking take on this model; kept from reply to reply.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// Decoding a token with the probe off.
    plain: Mean,
    /// What a look adds.
    look: Mean,
}

impl Price {
    /// A look took so long, decoding, opening and sending it included, ms.
    pub fn looked(&mut self, ms: f32) {
        self.look.add(ms);
    }

    /// Every how many tokens a look fits into its budget.
    fn every(&self, budget: f32) -> u32 {
        every(self.look.0.unwrap_or_default(), self.plain.0.unwrap_or_default(), budget)
    }
}

/// The looks of one reply.
#[derive(Debug, Default)]
pub struct Looks {
    live: Option<Box<Live>>,
    /// What the last decoding showed, if it was looked at, and what it cost beyond plain decoding.
    captured: Option<(Captured, f32)>,
    /// Tokens since the last look.
    since: u32,
    /// Tokens since one was decoded without the probe.
    watched: u32,
}

impl Looks {
    /// Takes up what the open station shows now; another wish begins at the next token.
    pub fn follow(&mut self, live: Option<&Live>, price: &mut Price) {
        if self.live.as_deref() == live {
            return;
        }
        self.live = live.filter(|live| !live.is_empty()).cloned().map(Box::new);
        self.since = u32::MAX;
        price.look = Mean::default();
    }

    /// Whether anything is looked at.
    pub fn is_on(&self) -> bool {
        self.live.is_some()
    }

    /// Decodes a token, with the probe on if it is to be looked at; `paced` is whether the reply goes token by token.
    ///
    /// # Errors
    /// See [`Halt`].
    pub fn step(
        &mut self,
        session: &mut Session,
        id: TokenId,
        price: &mut Price,
        paced: bool,
    ) -> Result<(), Halt> {
        self.captured = None;
        let due = self.live.as_deref().filter(|live| self.is_due(live, price, paced));
        let Some(plan) = due.map(pass::live_plan) else {
            let started = Instant::now();
            session.step(id)?;
            self.since = self.since.saturating_add(1);
            self.watched = 0;
            price.plain.add(milliseconds(started));
            return Ok(());
        };
        session.probe().plan(plan);
        let started = Instant::now();
        let decoded = session.step(id);
        let took = milliseconds(started);
        session.probe().plan(Plan::default());
        let captured = session.probe().take();
        decoded?;
        self.since = 1;
        self.watched += 1;
        self.captured = Some((captured, price.plain.0.map_or(0.0, |plain| (took - plain).max(0.0))));
        Ok(())
    }

    fn is_due(&self, live: &Live, price: &Price, paced: bool) -> bool {
        if paced {
            return true;
        }
        // Without plain tokens in between nobody knows what a look costs.
        let unknown = price.plain.0.is_none() && self.watched > 0;
        !unknown && self.watched < PLAIN && self.since >= price.every(live.budget)
    }

    /// The pass that chose `token`, opened if it was looked at; `next` is the likeliest other token.
    pub fn open(
        &mut self,
        session: &Session,
        inside: &mut Inside,
        drawn: &Drawn<'_>,
        price: &Price,
    ) -> Option<LiveInside> {
        let (captured, decoding) = self.captured.take()?;
        let live = self.live.as_deref()?;
        let started = Instant::now();
        let position = session.cached().len().saturating_sub(1) as u32;
        let want = live.of(drawn.token, drawn.next, position);
        let mut seen = open_captured(session, inside, &want, &captured, drawn.logits).ok()?;
        seen.ms = decoding + milliseconds(started);
        let ms = price.look.0.unwrap_or(seen.ms);
        let every = every(ms, price.plain.0.unwrap_or_default(), live.budget);
        Some(LiveInside { seen, ms, every })
    }
}

/// Opens a pass that was just decoded with the probe on. Fails where its logits are not numbers.
fn open_captured(
    session: &Session,
    inside: &mut Inside,
    want: &Want,
    captured: &Captured,
    logits: &[f32],
) -> Result<Inspected, Failure> {
    let output = Output::of(logits, &want.follow)?;
    let pass = Pass { want, ids: session.cached(), captured, output: &output };
    Ok(pass::open(inside, session.probe().operands(), &pass))
}

/// The token that a pass led to.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    /// Which.
    pub token: TokenId,
    /// The likeliest other one.
    pub next: Option<TokenId>,
    /// The pass's logits.
    pub logits: &'a [f32],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lens(budget: f32) -> Live {
        Live { want: Want { lens: true, ..Want::default() }, budget, ..Live::default() }
    }

    #[test]
    fn a_look_comes_as_often_as_its_price_allows_and_always_in_step_mode() {
        let price = Price { plain: Mean(Some(6.0)), look: Mean(Some(15.0)) };
        let live = lens(0.25);
        let mut looks = Looks::default();
        looks.follow(Some(&live), &mut price.clone());
        assert!(looks.is_due(&live, &price, false), "the first token is looked at");
        looks.since = 9;
        assert!(!looks.is_due(&live, &price, false) && looks.is_due(&live, &price, true));
        looks.since = 10;
        assert!(looks.is_due(&live, &price, false));
    }

    #[test]
    fn what_decoding_costs_is_measured_between_looks() {
        let cheap = Price { plain: Mean(Some(6.0)), look: Mean(Some(0.5)) };
        let live = lens(0.25);
        let mut looks = Looks { live: Some(Box::new(live.clone())), since: 1, ..Looks::default() };
        assert!(looks.is_due(&live, &cheap, false));
        looks.watched = PLAIN;
        assert!(!looks.is_due(&live, &cheap, false));
        looks.watched = 1;
        assert!(!looks.is_due(&live, &Price::default(), false));
    }

    #[test]
    fn an_empty_wish_is_none() {
        let mut looks = Looks::default();
        looks.follow(Some(&Live::default()), &mut Price::default());
        assert!(!looks.is_on());
    }
}
