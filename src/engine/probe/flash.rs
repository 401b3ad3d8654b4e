//! Attention weights where flash attention keeps none.
//!
//! Invariant: they are worked out of the operation's own operands, mask, cap, slopes and sinks included, as llama.cpp
//! states it: softmax(mask + cap · tanh(scale · q·k ÷ cap)).

use super::cells::NOWHERE;
use super::state::State;
use super::{Node, Strided, families, row};
use crate::engine::compute::parallel;

impl State {
    /// Flash attention keeps no weights: softmax(mask + scale · q·k) is worked out from its operands.
    pub(super) fn flash(&mut self, node: Node, layer: u32) {
        self.captured.flash = true;
        let (scale, slope, cap) = (node.float(0), node.float(1), node.float(2));
        let (Some(query), Some(keys), Some(values)) = (node.source(0), node.source(1), node.source(2)) else {
            return;
        };
        let token = query.count(1).saturating_sub(1);
        let visible = node.source(3).map(|mask| mask.visible(token)).unwrap_or_default();
        let sinks = node.source(4).map(Node::whole);
        let query = query.last_rows();
        let keys = keys.strided();
        let values = if self.plan.queries.has(layer) { values.strided() } else { Strided::default() };
        self.see(layer, &visible);
        self.visible.clone_from(&visible);
        if self.plan.head_contribution
            && let Some(values) = node.source(2)
        {
            self.keep_first(values, layer, false);
        }
        if !self.wants_weights(layer) {
            return;
        }
        if self.plan.rows.has(layer) {
            self.keep_flash_rows(node, layer, &keys);
        }
        if !self.plan.queries.has(layer) && !self.plan.attn_scores.has(layer) {
            if self.plan.pattern.has(layer) && keys.shape[1] > 0 {
                self.flash_weights(node, layer, &keys, &query);
            }
            return;
        }
        self.keep_keys(layer, &keys);
        self.keep_values(layer, &values, false);
        let mut held = self.places(layer, keys.shape[1], &visible);
        held.retain(|place| *place != NOWHERE);
        let last = self.cells.last();
        let (attention, scores) = (self.plan.pattern.has(layer), self.plan.attn_scores.has(layer));
        let here = self.layer(layer);
        here.scale = scale;
        here.slope = slope;
        here.window = row::window(held.iter().copied(), last);
        if !here.keys.is_empty() {
            let mut all = row::attend(&query, &here.keys, &held, last, scale, cap, sinks.as_deref());
            if slope > 0.0 {
                let each = all.scores.iter().enumerate();
                all.weights = each
                    .map(|(head, scores)| families::sloped(scores, &held, slope, head, query.len()))
                    .collect();
            }
            if attention {
                here.pattern = all.weights;
                here.sink = all.sinks;
            }
            if scores {
                here.attn_scores = all.scores;
            }
        }
        let wanted = self.plan.queries.has(layer);
        let here = self.layer(layer);
        if wanted {
            here.query = query.concat();
        } else {
            here.keys.clear();
        }
    }

    /// The weights of a layer of which nothing else is shown: out of its keys as they lie in the cache.
    fn flash_weights(&mut self, node: Node, layer: u32, keys: &Strided, query: &[Vec<f32>]) {
        let ([size, cells, _], heads) = (keys.shape, query.len());
        let operands = Operands::of(node, keys, heads);
        let (places, last) = (self.places(layer, cells, &self.visible), self.cells.last());
        let pattern = parallel::each_worth(heads * cells * size, heads, |head| {
            operands.row(head, &query[head], &places, last)
        });
        let held = places.iter().copied().filter(|place| *place != NOWHERE);
        let here = self.layer(layer);
        (here.scale, here.slope, here.window) = (operands.scale, operands.slope, row::window(held, last));
        if operands.sinks.is_some() {
            here.sink = pattern.iter().map(|row| 1.0 - row.iter().sum::<f32>()).collect();
        }
        here.pattern = pattern;
    }
}

/// What flash attention works on, for one row of weights at a time.
pub(super) struct Operands<'a> {
    keys: &'a Strided,
    heads: usize,
    scale: f32,
    /// The largest slope; 0 without.
    slope: f32,
    cap: f32,
    sinks: Option<Vec<f32>>,
}

impl<'a> Operands<'a> {
    /// Of the operation, its keys and its number of query heads.
    pub(super) fn of(node: Node, keys: &'a Strided, heads: usize) -> Self {
        let (scale, slope, cap) = (node.float(0), node.float(1), node.float(2));
        Self { keys, heads, scale, slope, cap, sinks: node.source(4).map(Node::whole) }
    }

    /// A head's weights at a position, by position from 0; `places` are those of the cells.
    pub(super) fn row(&self, head: usize, query: &[f32], places: &[usize], position: usize) -> Vec<f32> {
        let [size, cells, kv_heads] = self.keys.shape;
        let group = (self.heads / kv_heads.max(1)).max(1);
        let kv_head = (head / group).min(kv_heads.saturating_sub(1));
        let key = |cell: usize| &self.keys.values[size * (cell + cells * kv_head)..][..size];
        let slope = if self.slope > 0.0 { families::slope(self.slope, head, self.heads) } else { 0.0 };
        let sink = self.sinks.as_ref().and_then(|sinks| sinks.get(head)).copied();
        row::attend_cells(query, key, places, position, (self.scale, self.cap, slope), sink)
    }
}
