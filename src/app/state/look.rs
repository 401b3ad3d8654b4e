//! What the inspector knows of a token beyond its stored step: recorded stages, passes read again, the list's
//! place and filter, and the settings that are tried out.
//!
//! Invariant: everything is found by cursor, so nothing of one token is ever shown for another.

use std::collections::VecDeque;
use std::sync::Arc;

use super::LineEdit;
use crate::app::{Asker, EngineId, Query, Question, TokenCursor};
use crate::chat::RunId;
use crate::engine::protocol::CapturePlan;
use crate::inspect::chain::Last;
use crate::inspect::distribution::Distribution;
use crate::inspect::stages::{SamplerTrace, StageName};
use crate::sampling::SamplingOverrides;
use crate::token::{Candidate, TokenId};

/// Passes read again that are kept.
const PASSES: usize = 32;
/// Live records that are kept.
const RECORDS: usize = 512;

/// What was read again, recorded and asked for.
#[derive(Debug, Default)]
pub struct Looks {
    /// The token that is read again.
    pub asking: Query<LookAt>,
    /// Passes that were read again, the newest last.
    passes: VecDeque<(TokenCursor, LookedAt)>,
    /// What was recorded while tokens were written, the newest last.
    records: VecDeque<(TokenCursor, Record)>,
    /// The plan that an engine was given last.
    pub plan: Option<(EngineId, CapturePlan)>,
}

/// The pass that chose a token, read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookAt(pub TokenCursor);

impl Question for LookAt {
    const ASKER: Asker = Asker::Look;
}

/// A pass that was read again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LookedAt {
    /// Its whole distribution.
    pub distribution: Option<Arc<Distribution>>,
    /// The chain's way through it; `None` for a token that was not drawn.
    pub trace: Option<Arc<SamplerTrace>>,
    /// How long it took, ms.
    pub ms: f32,
}

/// What was recorded when a token was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The chain's way through its distribution.
    pub trace: Option<Arc<SamplerTrace>>,
    /// Watched tokens with ln p and rank.
    pub watched: Vec<(Candidate, u32)>,
}

impl Looks {
    /// The pass of a token, if it was read again.
    pub fn pass(&self, at: TokenCursor) -> Option<&LookedAt> {
        self.passes.iter().rev().find(|(of, _)| *of == at).map(|(_, pass)| pass)
    }

    /// What was recorded at a token.
    pub fn record(&self, at: TokenCursor) -> Option<&Record> {
        self.records.iter().rev().find(|(of, _)| *of == at).map(|(_, record)| record)
    }

    /// Keeps a pass; the oldest go.
    pub fn keep_pass(&mut self, at: TokenCursor, pass: LookedAt) {
        self.passes.retain(|(of, _)| *of != at);
        self.passes.push_back((at, pass));
        if self.passes.len() > PASSES {
            self.passes.pop_front();
        }
    }

    /// How many passes are kept.
    pub fn count(&self) -> usize {
        self.passes.len()
    }

    /// What the kept passes take, bytes.
    pub fn bytes(&self) -> usize {
        let distributions = self.passes.iter().filter_map(|(_, pass)| pass.distribution.as_ref());
        distributions.map(|whole| whole.bytes()).sum()
    }

    /// Lets the oldest pass go.
    pub fn drop_oldest(&mut self) {
        self.passes.pop_front();
    }

    /// Keeps what was recorded at a token; the oldest go.
    pub fn keep_record(&mut self, at: TokenCursor, record: Record) {
        self.records.push_back((at, record));
        if self.records.len() > RECORDS {
            self.records.pop_front();
        }
    }
}

/// Where the softmax station's list is.
#[derive(Debug, Default)]
pub struct TokenList {
    /// The selected row, counted from the likeliest token or the first match.
    pub selected: Option<usize>,
    /// The first row in view, likewise.
    pub first: usize,
    /// The filter.
    pub filter: Option<LineEdit>,
    /// Whether keys go into the filter.
    pub typing: bool,
    /// The tokens that match it, likeliest first.
    pub matches: Vec<TokenId>,
    /// What `matches` was worked out of: the token, whether the whole vocabulary was there, the text.
    pub matches_of: Option<(TokenCursor, bool, String)>,
}

/// Sampler settings that are tried out on tokens that are there already; nothing is decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandbox {
    /// Whether its keys and columns are in use; closed, it only says what came out.
    pub open: bool,
    /// Which of [`crate::app::SANDBOX_KEYS`] is selected.
    pub key: usize,
    /// What is typed for it so far.
    pub typed: String,
    /// What differs from the settings of the run.
    pub changed: SamplingOverrides,
    /// The token, whether its whole distribution was there, and what the settings make of it: the stages, or
    /// why that cannot be known.
    pub tried: Option<(TokenCursor, bool, Result<Arc<SamplerTrace>, String>)>,
    /// The last column alone, where only that is known.
    pub last: Option<Last>,
    /// The run that was judged and how likely its reply is.
    pub reply: Option<(RunId, ReplyOdds)>,
}

/// How likely a reply is under the settings it was written with, and under others.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyOdds {
    /// Tokens that were drawn.
    pub tokens: usize,
    /// Tokens that the settings would have cut.
    pub cut: usize,
    /// Tokens of which that is not known under either.
    pub open: usize,
    /// The first that would have been cut: its index among the turn's tokens, its bytes, and the stage.
    pub first_cut: Option<(usize, Vec<u8>, Option<StageName>)>,
    /// Σ ln p of the tokens that both settings allow, nats: as written, and as tried.
    pub logprob: (f64, f64),
    /// How many these are.
    pub both: usize,
}
