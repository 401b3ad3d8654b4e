//! What attention and feed-forward add to the stream, and how what their projections give becomes that.
//!
//! Invariant: how a family puts its blocks together is never assumed: a way is taken only if the captured numbers
//! follow it, otherwise the part is named as missing.

use super::Inside;
use crate::engine::probe::{Captured, LayerCapture};
use crate::inspect::lens::{self, Norm};

/// How far what a way gives may lie from what was captured, as a part of it; quantised products are not exact.
const CLOSE: f64 = 0.02;

/// What a block's two halves added to the stream.
pub(crate) struct Added {
    /// Attention.
    pub attention: Vec<f32>,
    /// Feed-forward.
    pub ffn: Vec<f32>,
}

/// What the halves of every block added. Fails where the graph does not tell them apart, in words.
pub(crate) fn apart(captured: &Captured, width: usize) -> Result<Vec<Added>, String> {
    let unnamed = "this model's graph does not name its residual stream";
    let mut before = &captured.embedding;
    let mut blocks = Vec::with_capacity(captured.layers.len());
    for (number, layer) in captured.layers.iter().enumerate() {
        if before.len() != width || layer.resid_post.len() != width {
            return Err(unnamed.into());
        }
        let added = halves(before, layer).ok_or_else(|| {
            format!("block {number} of this model has no attention and feed-forward that can be told apart")
        })?;
        blocks.push(added);
        before = &layer.resid_post;
    }
    if blocks.is_empty() { Err(unnamed.into()) } else { Ok(blocks) }
}

fn halves(before: &[f32], layer: &LayerCapture) -> Option<Added> {
    let between = &layer.resid_mid;
    let silent = layer.attn_out.len() == before.len() && layer.attn_out.iter().all(|value| *value == 0.0);
    if between.len() == before.len() && (between != before || silent) {
        return Some(Added { attention: less(between, before), ffn: less(&layer.resid_post, between) });
    }
    // Side by side, both reading the stream in front of the block.
    let (attention, ffn) = (&layer.attn_out, &layer.ffn_out);
    if attention.len() != before.len() || ffn.len() != before.len() {
        return None;
    }
    let whole = less(&layer.resid_post, before);
    let sum: Vec<f32> = attention.iter().zip(ffn).map(|(a, b)| a + b).collect();
    let close = f64::from(lens::distance(&whole, &sum)) <= CLOSE * f64::from(lens::length(&whole));
    close.then(|| Added { attention: attention.clone(), ffn: ffn.clone() })
}

fn less(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// What lies between a projection and the stream: a norm whose divisor is frozen, or nothing, and a factor.
pub(crate) struct Behind {
    norm: Option<(Norm, f64)>,
    factor: f64,
}

impl Behind {
    /// What stands after a projection that gave `out`, of which `added` reached the stream; `norm` names the weight
    /// of the norm that may follow it. Fails where neither way leads from the one to the other.
    fn of(inside: &Inside, norm: &str, out: &[f32], added: &[f32]) -> Result<Self, String> {
        let normed = inside.facts.norm_of(&inside.weights, norm).map(|norm| {
            let divisor = norm.divisor(out);
            (norm, divisor)
        });
        let ways = normed.into_iter().map(Some).chain([None]);
        let measured = ways.filter_map(|norm| Self { norm, factor: 1.0 }.fitted(out, added));
        let best = measured.min_by(|a, b| a.1.total_cmp(&b.1));
        best.filter(|(_, off)| *off <= CLOSE)
            .map(|(way, _)| way)
            .ok_or_else(|| "what follows the projection in this model's blocks is not known".to_owned())
    }

    /// What stands after the attention of a block, of which `added` reached the stream. Fails as [`Self::of`].
    pub(crate) fn attention(
        inside: &Inside,
        (number, layer): (u32, &LayerCapture),
        added: &[f32],
    ) -> Result<Self, String> {
        Self::of(inside, &format!("blk.{number}.post_attention_norm.weight"), &layer.attn_out, added)
    }

    /// The same of its feed-forward. Fails as [`Self::of`].
    pub(crate) fn feed_forward(
        inside: &Inside,
        (number, layer): (u32, &LayerCapture),
        added: &[f32],
    ) -> Result<Self, String> {
        Self::of(inside, &format!("blk.{number}.post_ffw_norm.weight"), &layer.ffn_out, added)
    }

    /// The factor that brings this way nearest, and how far from it that stays.
    fn fitted(mut self, out: &[f32], added: &[f32]) -> Option<(Self, f64)> {
        if out.len() != added.len() || out.is_empty() {
            return None;
        }
        let through = self.forward(out);
        let square = lens::dot(&through, &through);
        if square == 0.0 {
            return Some((self, 0.0));
        }
        self.factor = lens::dot(&through, added) / square;
        let off = f64::from(lens::distance(&self.forward(out), added));
        let length = f64::from(lens::length(added)).max(f64::MIN_POSITIVE);
        Some((self, off / length))
    }

    /// A part of the projection's output on its way into the stream.
    pub(crate) fn forward(&self, part: &[f32]) -> Vec<f32> {
        let mut part = match &self.norm {
            Some((norm, divisor)) => norm.frozen(part, *divisor),
            None => part.to_vec(),
        };
        self.scale(&mut part);
        part
    }

    /// A direction in the stream, taken back in front of it.
    pub(crate) fn pull_back(&self, direction: &[f32]) -> Vec<f32> {
        let mut direction = match &self.norm {
            Some((norm, divisor)) => norm.pull_back(direction, *divisor),
            None => direction.to_vec(),
        };
        self.scale(&mut direction);
        direction
    }

    fn scale(&self, vector: &mut [f32]) {
        for value in vector {
            *value = (f64::from(*value) * self.factor) as f32;
        }
    }
}
