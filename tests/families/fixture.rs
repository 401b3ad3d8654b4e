//! A tiny model loaded by the program's own worker, and what its figures are held against.
//!
//! Invariant: the file lives as long as the fixture; nothing is shared between fixtures.

use std::collections::BTreeMap;

use glassbox::engine::protocol::{Inspect, switched_off};
use glassbox::inspect::trace::{Component, ForwardTrace};
use glassbox::model_entry::LoadParams;
use glassbox::token::TokenId;
use tempfile::TempDir;

use crate::gguf::{Meta, Tensors, write};
use crate::kit::{Model, With};

/// A model, and the folder that its file is in.
pub type Fixture = With<Box<Model>, TempDir>;

impl Fixture {
    pub fn new(
        architecture: &str,
        meta: Vec<(String, Meta)>,
        tensors: &Tensors,
        params: &LoadParams,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.gguf");
        write(&path, architecture, meta, tensors);
        Self { model: Box::new(Model::open(&path, params.clone())), with: folder }
    }

    pub fn ablated(&mut self, ids: &[TokenId], parts: &[Component], everywhere: bool) -> ForwardTrace {
        let ablations = parts.iter().map(|part| switched_off(*part).unwrap()).collect();
        let request = Inspect { ids: ids.to_vec(), ablations, everywhere, ..Inspect::default() };
        self.try_inspect(request).unwrap().trace
    }
}

/// How far a figure may be from the reference's, of 1 or of the figure: what 32-bit floats make of three blocks.
const TOLERANCE: f64 = 1e-3;
/// From so many figures on their mean counts.
const MANY: f64 = 10.0;

/// The worst disagreement of each figure of a family.
pub struct Worst {
    pub family: &'static str,
    /// How far one figure may be off.
    pub most: f64,
    /// How far [`MANY`] of a kind may be off in the mean.
    pub mean: f64,
    figures: BTreeMap<String, Off>,
}

/// How far a kind of figure is off.
#[derive(Default)]
struct Off {
    most: f64,
    ours: f64,
    theirs: f64,
    sum: f64,
    count: f64,
}

impl Worst {
    pub fn new(family: &'static str) -> Self {
        Self { family, most: TOLERANCE, mean: TOLERANCE, figures: BTreeMap::new() }
    }

    /// Notes a figure with the reference's; they differ by at most the tolerance, of 1 or of the reference.
    pub fn hold(&mut self, what: &str, ours: f32, theirs: f64) {
        let ours = f64::from(ours);
        let off = (ours - theirs).abs() / theirs.abs().max(1.0);
        let off = if off.is_nan() { f64::INFINITY } else { off };
        let worst = self.figures.entry(what.to_owned()).or_default();
        (worst.sum, worst.count) = (worst.sum + off, worst.count + 1.0);
        if off > worst.most {
            (worst.most, worst.ours, worst.theirs) = (off, ours, theirs);
        }
    }

    pub fn hold_all(&mut self, what: &str, ours: &[f32], theirs: &[f64]) {
        assert_eq!(ours.len(), theirs.len(), "{}: {what}", self.family);
        ours.iter().zip(theirs).for_each(|(ours, theirs)| self.hold(what, *ours, *theirs));
    }

    /// Says what was measured.
    pub fn finish(self) {
        for (what, off) in &self.figures {
            let mean = off.sum / off.count;
            println!("{}: {what} off by {:.2e}, in the mean {mean:.2e}", self.family, off.most);
            let message = format!("{}: {what}: {}, reference {}", self.family, off.ours, off.theirs);
            assert!(off.most <= self.most, "{message}");
            assert!(mean <= self.mean || off.count < MANY, "{}: {what}: in the mean {mean}", self.family);
        }
    }
}
