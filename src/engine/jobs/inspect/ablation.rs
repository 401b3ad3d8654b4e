//! Many parts, each switched off alone: what the followed tokens get then.
//!
//! Invariant: every part is off at the pass's position alone, with everything else as it was read; the tokens before
//! it are read once, and each part costs one decode of one token.

use super::{Opening, failed};
use crate::chat::Intervention;
use crate::engine::analysis::output::Output;
use crate::engine::probe::Plan;
use crate::engine::protocol::{Failure, switched_off};
use crate::engine::session::Rows;
use crate::engine::session::lane::SCRATCH;
use crate::inspect::trace::{Followed, Part};

/// The sequence of the changed token.
const ASIDE: u8 = SCRATCH + 1;

impl Opening<'_> {
    /// The followed tokens with each of the wanted parts off.
    pub(crate) fn offs(&mut self) -> Result<Vec<(Part, Vec<Followed>)>, Failure> {
        let request = self.request;
        let (ids, base) = (&request.ids, &request.interventions);
        let end = ids.len() - 1;
        if request.want.off.is_empty() {
            return Ok(Vec::new());
        }
        let from = self.session.beginning(ids, end, base);
        if let Some(from) = from {
            self.session.probe().change(base);
            let read = self.session.read_from(SCRATCH, &ids[..end], from, |_, _| ());
            self.session.probe().change(&[]);
            read.map_err(failed)?;
            self.decoded += end - from.count;
        }
        let mut offs = Vec::with_capacity(request.want.off.len());
        for part in &request.want.off {
            let Some(off) = switched_off(*part) else { continue };
            let mut changes = base.clone();
            changes.push(off);
            let output = if from.is_some() { self.aside(&changes)? } else { self.again(&changes)? };
            offs.push((*part, output.followed));
        }
        self.session.drop_sequence(ASIDE);
        Ok(offs)
    }

    /// The pass under these changes, on a sequence that shares what was read before it.
    fn aside(&mut self, changes: &[Intervention]) -> Result<Output, Failure> {
        let ids = &self.request.ids;
        let end = ids.len() - 1;
        self.session.fork(SCRATCH, ASIDE, end);
        self.session.probe().change(changes);
        let decoded = self.session.decode_on(ASIDE, end, &ids[end..], Rows::Last);
        self.session.probe().change(&[]);
        decoded.map_err(failed)?;
        self.decoded += 1;
        self.output()
    }

    /// The same where there is no room beside the chat: everything is read on its sequence.
    fn again(&mut self, changes: &[Intervention]) -> Result<Output, Failure> {
        let request = self.request;
        self.read(&request.ids, &request.interventions, changes, &Plan::default())?;
        self.output()
    }
}
