//! The baseline: while a changed network writes, the unchanged one reads the same tokens on a sequence beside it, so that
//! each step's distance from it is known.
//!
//! Invariants: the baseline never touches the chat's sequence; its cells are its own, so it ends where both no longer fit
//! into the cache. The changes are off while it reads and on again afterwards, however that ends.

use std::time::Instant;

use crate::engine::compute::numbers::Reader;
use crate::engine::milliseconds;
use crate::engine::protocol::Distance;
use crate::engine::session::{Halt, Rows, Session};
use crate::inspect::lens;
use crate::token::TokenId;

/// What the baseline has read.
#[derive(Debug, Default)]
pub struct Baseline {
    read: Vec<TokenId>,
    reader: Reader,
}

impl Baseline {
    /// How far the pass that the chat just made, with the logits `changed`, lies from the unchanged network's: `D(p unchanged ‖ p changed)`, nats,
    /// with what it cost. The baseline reads what it lacks, at first the whole prompt. Fails where the request was
    /// cancelled meanwhile, or llama.cpp failed.
    pub fn tell(&mut self, session: &mut Session, changed: &[f32]) -> Result<Distance, Halt> {
        let started = Instant::now();
        if !session.fits_twice() {
            self.end(session);
            return Ok(Distance::default());
        }
        let caught_up = self.catch_up(session);
        if caught_up.is_err() {
            self.read.clear();
        }
        caught_up?;
        let kl = self.divergence(session.logits(), changed);
        Ok(Distance { kl, ms: milliseconds(started) })
    }

    /// Gives its cells back.
    pub fn end(&mut self, session: &mut Session) {
        session.forget_unchanged();
        self.read.clear();
    }

    fn catch_up(&mut self, session: &mut Session) -> Result<(), Halt> {
        let cached = session.cached().to_vec();
        if self.read.is_empty() || !cached.starts_with(&self.read) || self.read.len() == cached.len() {
            session.forget_unchanged();
            self.read.clear();
        }
        while self.read.len() < cached.len() {
            let start = self.read.len();
            let end = (start + session.slice()).min(cached.len());
            let rows = if end == cached.len() { Rows::Last } else { Rows::None };
            session.read_unchanged(start, &cached[start..end], rows)?;
            self.read.extend_from_slice(&cached[start..end]);
        }
        Ok(())
    }

    fn divergence(&mut self, unchanged: &[f32], changed: &[f32]) -> Option<f32> {
        let p = self.reader.read(unchanged, 1)?.log_normaliser;
        let q = self.reader.read(changed, 1)?.log_normaliser;
        Some(lens::divergence(unchanged, p, changed, q))
    }
}
