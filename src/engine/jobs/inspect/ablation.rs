//! Many parts, each switched off alone: what the followed tokens get then.
//!
//! Invariant: every part is off at the pass's position alone, with everything else as it was read; the tokens before
//! it are read once, and each part costs one decode of one token.

use super::{Opening, failed};
use crate::engine::analysis::output::Output;
use crate::engine::protocol::{Failure, switched_off};
use crate::inspect::trace::{Component, Followed};

impl Opening<'_> {
    /// The followed tokens with each of the wanted parts off.
    pub(crate) fn ablated(&mut self) -> Result<Vec<(Component, Vec<Followed>)>, Failure> {
        let request = self.request;
        if request.want.off.is_empty() {
            return Ok(Vec::new());
        }
        let mut lane = self.lane(&request.ids, &request.interventions)?;
        let mut ablated = Vec::with_capacity(request.want.off.len());
        for part in &request.want.off {
            let Some(off) = switched_off(*part) else { continue };
            let mut changes = request.interventions.clone();
            changes.push(off);
            lane.try_last(&changes).map_err(failed)?;
            let output = Output::of(lane.session().logits(), &request.want.follow)?;
            ablated.push((*part, output.followed));
        }
        let decoded = lane.decoded();
        drop(lane);
        self.decoded += decoded;
        Ok(ablated)
    }
}
