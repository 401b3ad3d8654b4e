//! What looking inside costs the token loop: the probe left out, empty, and copying; and the lens of one pass.
//!
//! Invariant: each round measures everything once on the same text, so that a ratio is of neighbours in time.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::{PROMPT, bare_loop, halted, median_ratio, other};
use crate::engine::analysis::Inside;
use crate::engine::compute::numbers;
use crate::engine::jobs::inspect;
use crate::engine::jobs::shared::Shared;
use crate::engine::probe::{Layers, Plan};
use crate::engine::protocol::{Event, Failure, Inspect, Want};
use crate::engine::session::Session;
use crate::model_entry::{LoadParams, ModelFacts, ModelFile};

/// Passes whose lens is measured in a round.
const LENSES: u32 = 6;

/// What was measured, a figure a round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InsideReport {
    /// Tokens a second without the probe's callback.
    pub without: Vec<f64>,
    /// With it and an empty plan.
    pub empty: Vec<f64>,
    /// With attention, residual stream and feed-forward of all layers copied at each token.
    pub captured: Vec<f64>,
    /// The lens of all layers of one token, ms.
    pub lens_ms: Vec<f64>,
    /// Decoding one token, ms.
    pub step_ms: Vec<f64>,
}

impl InsideReport {
    /// Speed with an empty plan over the speed without the callback.
    pub(crate) fn empty_ratio(&self) -> f64 {
        median_ratio(&self.empty, &self.without)
    }

    /// Speed with everything copied over the speed without the callback.
    pub(crate) fn captured_ratio(&self) -> f64 {
        median_ratio(&self.captured, &self.without)
    }

    /// The lens in decode steps.
    pub(crate) fn lens_ratio(&self) -> f64 {
        median_ratio(&self.lens_ms, &self.step_ms)
    }
}

/// Measures `rounds` times `tokens` tokens of each kind.
///
/// # Errors
/// When the model cannot be loaded, decoding fails, or the model has no lens.
pub fn inside(
    path: &Path,
    facts: &ModelFacts,
    file: Arc<dyn ModelFile>,
    tokens: u32,
    rounds: u32,
) -> Result<InsideReport, Failure> {
    let shared = Shared::new();
    let params = LoadParams::default();
    let mut bare = Session::load_bare(path, facts, &params, shared.stop_flag())?;
    let (mut session, loaded) = Session::load(path, facts, &params, shared.stop_flag(), |_| {})?;
    drop(session.model().file.set(file));
    let mut opened = Inside::new(session.model(), loaded.threads)?;
    let everything = Plan { residual: true, pattern: Layers::All, ..Plan::default() };
    let mut report = InsideReport::default();
    bare_loop(&mut bare, 8)?;
    bare_loop(&mut session, 8)?;
    captured_loop(&mut session, 8, &everything)?;
    for _ in 0..rounds {
        report.without.push(bare_loop(&mut bare, tokens)?);
        report.empty.push(bare_loop(&mut session, tokens)?);
        report.captured.push(captured_loop(&mut session, tokens, &everything)?);
        let speed = bare_loop(&mut session, tokens.min(64))?;
        report.step_ms.push(1000.0 / speed);
        report.lens_ms.push(lens(&mut session, &mut opened)?);
    }
    Ok(report)
}

/// As [`bare_loop`], with the plan on at each token and what it showed taken.
fn captured_loop(session: &mut super::Session, tokens: u32, plan: &Plan) -> Result<f64, Failure> {
    let prompt = session.model().tokenize(PROMPT, false);
    let from = session.reuse(&prompt, &[]);
    session.read(&prompt, from, |_, _| {}).map_err(halted)?;
    let mut id = numbers::likeliest(session.logits());
    session.probe().plan(plan.clone());
    let started = Instant::now();
    let mut decoded = Ok(());
    for _ in 0..tokens {
        decoded = session.step(id);
        if decoded.is_err() {
            break;
        }
        std::hint::black_box(session.probe().take());
        id = numbers::likeliest(session.logits());
    }
    let seconds = started.elapsed().as_secs_f64();
    session.probe().plan(Plan::default());
    decoded.map_err(halted)?;
    Ok(f64::from(tokens) / seconds)
}

/// The mean time of the lens of a pass, ms.
fn lens(session: &mut super::Session, inside: &mut Inside) -> Result<f64, Failure> {
    let ids = session.cached().to_vec();
    let mut sum = 0.0;
    for back in 0..LENSES {
        let end = ids.len().saturating_sub(back as usize).max(1);
        let want = Want { lens: true, ..Want::default() };
        let request = Inspect { ids: ids[..end].to_vec(), want, ..Inspect::default() };
        match inspect::inspect(session, inside, &request, &|_| {}) {
            Event::Inspected(seen) => {
                let lens = seen.trace.lens.ok_or_else(|| other(seen.trace.missing.join("; ")))?;
                sum += f64::from(lens.ms);
            }
            Event::Failed(failure) => return Err(failure),
            _ => return Err(other("a pass was not opened".to_owned())),
        }
    }
    Ok(sum / f64::from(LENSES))
}
