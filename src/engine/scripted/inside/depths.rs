//! The made-up lens of many passes of one text.
//!
//! Invariant: each token is judged by the same made-up depths as when its pass is opened alone.

use std::time::{Duration, Instant};

use super::super::model::{Control, Model};
use super::super::network::{LAYERS, Stack};
use super::super::reading::{self, Reading};
use super::super::{ScriptedOptions, cancelled, other};
use crate::engine::milliseconds;
use crate::engine::protocol::{Depths, Event, Failure};
use crate::inspect::depth::{Depth, DepthCell};
use crate::inspect::distribution::Distribution;
use crate::inspect::lens;
use crate::token::TokenId;

/// Tokens told at once.
const CHUNK: usize = 32;

impl Model {
    /// The lens of many passes of one text.
    pub(in super::super) fn depths(
        &self,
        request: &Depths,
        options: &ScriptedOptions,
        control: &Control<'_>,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        self.fits(&request.ids)?;
        let from = request.from as usize;
        if from == 0 || from >= request.ids.len() {
            return Err(other(
                "There is nothing to judge: a text's first token has no pass before it.".into(),
            ));
        }
        let mut reading = Reading::of(&self.pieces, &request.ids[..from]);
        let total = (request.ids.len() - from) as u32;
        for (index, chunk) in request.ids[from..].chunks(CHUNK).enumerate() {
            if (control.pause)(Instant::now() + Duration::from_millis(options.slice_ms)) {
                return Err(cancelled());
            }
            let mut tokens = Vec::new();
            for id in chunk {
                tokens.push(judge(&reading, *id, request.cells));
                reading.push(*id);
            }
            let first = (from + index * CHUNK) as u32;
            (control.emit)(Event::Depths { first, tokens });
            let done = (index * CHUNK + chunk.len()) as u32;
            (control.emit)(Event::PromptProgress { done, total });
        }
        Ok(Event::DepthsDone { decoded: total, ms: milliseconds(begun) })
    }
}

fn judge(reading: &Reading, id: TokenId, cells: bool) -> Depth {
    let whole = reading::distribution(reading);
    let stack = Stack { reading, whole: &whole };
    let depth = |depth: usize| {
        let here = Distribution::new(stack.logits(depth)).expect("made-up logits are finite");
        let best = here.top(1)[0];
        let logprob = here.logprob(id).unwrap_or(f32::NEG_INFINITY);
        DepthCell { best: best.id, best_logprob: best.logprob, logprob }
    };
    let all: Vec<DepthCell> = (0..=LAYERS as usize).map(depth).collect();
    let on_top: Vec<bool> = all.iter().skip(1).map(|cell| cell.best == id).collect();
    Depth { id, decided: lens::decided(&on_top), cells: if cells { all } else { Vec::new() } }
}
