//! Which nodes of a graph are wanted, and what is kept of each.
//!
//! Invariant: what a node is ([`Kind`]) does not depend on what is wanted of it.

use std::collections::HashMap;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use super::cells::{Cells, Held, NOWHERE};
use super::kind::Kind;
use super::schedule::{Asked, Schedule};
use super::visible::{Mask, Visible};
use super::{Captured, LayerCapture, Node, Operands, Plan, Strided, families, row};
use crate::chat::Intervention;
use crate::engine::compute::parallel;

/// What is to be copied and changed, and what was.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) changes: Vec<Intervention>,
    pub(super) cells: Cells,
    pub(super) captured: Captured,
    pub(super) operands: Operands,
    /// Where the keys of the graph's last layer were stored: which list said so, the layer, and the cells.
    stored: Option<(usize, u32, Vec<usize>)>,
    /// What each block's down projection is given, by llama.cpp's name, once its graph was seen.
    pub(super) inputs: HashMap<u32, String>,
    /// Query heads of each layer, once its graph was seen.
    pub(super) heads: Vec<usize>,
    /// Raw q·k, `[head][cell]`, of the layer whose softmax is next.
    pub(super) products: Vec<Vec<f32>>,
    /// The cache's keys of that layer, `[dimension, cell, head]`, until its mask is known.
    pub(super) unsorted: Strided,
    /// The streams that enter block 0, as far as they are named.
    pub(super) entering: Vec<f32>,
    /// The cells that the mask of the layer at hand lets through.
    pub(super) visible: Vec<bool>,
    /// What the tokens at hand may see.
    pub(super) mask: Mask,
    /// Where passes are stopped.
    pub(super) schedule: Schedule,
    /// The plan that it was learnt under.
    pub(super) learnt: Plan,
    /// Whether the pass stops here for what waits alone.
    pub(super) hurried: bool,
}

impl State {
    pub(super) fn layer(&mut self, layer: u32) -> &mut LayerCapture {
        let index = layer as usize;
        if self.captured.layers.len() <= index {
            self.captured.layers.resize_with(index + 1, LayerCapture::default);
        }
        &mut self.captured.layers[index]
    }

    pub(super) fn wants(&mut self, node: Node, op: sys::ggml_op) -> bool {
        self.note_position(node, op);
        let hurry = match self.schedule.ask(node) {
            Asked::Known(stop) => return stop,
            Asked::New { hurry } => hurry,
        };
        let wanted = self.wants_now(node, op);
        let kind = if wanted { Kind::of(node, op) } else { None };
        self.schedule.learn(node, kind, &self.plan);
        self.hurried = hurry && !wanted;
        wanted || hurry
    }

    /// Whether a node of which nothing was learnt is wanted.
    fn wants_now(&mut self, node: Node, op: sys::ggml_op) -> bool {
        if self.changed_input(node).is_some() {
            return true;
        }
        let Some(kind) = Kind::of(node, op) else { return false };
        if self.changes_node(kind) {
            return true;
        }
        let (plan, captured) = (&self.plan, &self.captured);
        let empty = |layer: u32, of: fn(&LayerCapture) -> &Vec<f32>| {
            captured.layers.get(layer as usize).is_none_or(|layer| of(layer).is_empty())
        };
        let streams = plan.residual || plan.head_contribution;
        match kind {
            Kind::After(_) => streams || plan.residual_of_all,
            Kind::Embedding | Kind::Before(0) => plan.residual || plan.residual_of_all,
            Kind::Between(_) | Kind::StateOut(_) => plan.residual,
            // Only where the graph did not name the stream itself.
            Kind::Before(layer) => {
                (streams || plan.residual_of_all) && empty(layer - 1, |layer| &layer.resid_post)
            }
            Kind::Middle(layer) => plan.residual && empty(layer, |layer| &layer.resid_mid),
            Kind::Heads(_) => plan.z || plan.head_contribution,
            Kind::AttentionOut(layer) => {
                if plan.queries.has(layer) && op == sys::GGML_OP_MUL_MAT {
                    self.layer(layer).altered = families::is_altered(node);
                }
                streams
            }
            Kind::Down(layer) | Kind::DownExperts(layer) => plan.residual || plan.neurons.has(layer),
            Kind::DownShared(layer) | Kind::ExpertWeights(layer) | Kind::SharedGate(layer) => {
                plan.neurons.has(layer)
            }
            Kind::Mixture(layer) => {
                plan.residual && captured.layers.get(layer as usize).is_some_and(|layer| layer.mixture)
            }
            Kind::Products(layer) => {
                let wanted = plan.attn_scores.has(layer) || plan.queries.has(layer);
                self.note_heads(layer, node.count(2));
                self.note_rotation(layer, node.source(1));
                wanted
            }
            Kind::Softmax(layer) => self.wants_weights(layer),
            Kind::Mixed(layer) => plan.queries.has(layer) || plan.head_contribution,
            Kind::Flash(layer) => {
                let wanted = self.wants_weights(layer) || plan.head_contribution;
                self.note_heads(layer, node.source(0).map_or(0, |query| query.count(2)));
                self.note_rotation(layer, node.source(0));
                wanted
            }
            Kind::Rotated(layer) => {
                self.note_rope(layer, node);
                false
            }
        }
    }

    /// What each of the next tokens may see. Most layers share a mask and lie in the same cells.
    pub(super) fn masks(
        &mut self,
        mask: Option<Node>,
        layer: u32,
        cells: usize,
        tokens: usize,
    ) -> Arc<Vec<Visible>> {
        let done = self.captured.layers.get(layer as usize).map_or(0, |layer| layer.seen_from.len());
        let address = mask.map_or(0, |mask| mask.span().0);
        let known = |(mask, before, other)| {
            (mask, before) == (address, done) && self.cells.stored_alike(layer, other)
        };
        if self.mask.of.is_some_and(known) {
            return Arc::clone(&self.mask.each);
        }
        // The first of them sees the most of what was held before.
        self.see(layer, &mask.map(|mask| mask.visible(0)).unwrap_or_default());
        let one = |token: usize| {
            let visible = mask.map(|mask| mask.visible(token)).unwrap_or_default();
            let (position, places) = (self.cells.at(done + token), self.places(layer, cells, &visible));
            Visible { runs: row::runs(&places, position), position, places }
        };
        let each = Arc::new((0..tokens).map(one).collect::<Vec<_>>());
        self.mask = Mask { of: Some((address, done, layer)), each: Arc::clone(&each) };
        each
    }

    /// Has the streams that entered block 0, where no norm in front of it showed them.
    fn enter(&mut self, layer: u32) {
        if layer == 0 && self.captured.embedding.len() == self.layer(0).resid_post.len() {
            self.captured.embedding.append(&mut self.entering);
        }
    }

    /// The next tokens' keys are stored in these cells. The layers of a graph share the list, which is read once.
    pub(super) fn store(&mut self, layer: u32, list: Node) {
        let address = list.0.addr();
        let read = match self.stored.take() {
            Some((of, before, read)) if of == address && before < layer => read,
            _ => list.indices(),
        };
        self.cells.store(layer, read.iter().copied());
        self.stored = Some((address, layer, read));
    }

    /// A new batch with tokens at these positions, and whether each gives logits, after what its sequence holds.
    pub(super) fn begin(&mut self, tokens: impl Iterator<Item = (u32, bool)>, held: Held) {
        self.cells.begin(tokens, held);
        self.stored = None;
    }

    /// One of the tokens at hand sees these cells of a layer.
    pub(super) fn see(&mut self, layer: u32, visible: &[bool]) {
        if !self.cells.see(layer, visible) {
            let words = "which cell of the cache holds which token could not be told";
            if !self.captured.missing.iter().any(|missing| missing == words) {
                self.captured.missing.push(words.to_owned());
            }
        }
    }

    fn note_position(&mut self, node: Node, op: sys::ggml_op) {
        if let Some(kind) = families::position(node, op) {
            self.captured.position_kind = kind;
        }
    }

    /// Whether the attention weights of that layer matter.
    pub(super) fn wants_weights(&self, layer: u32) -> bool {
        let plan = &self.plan;
        plan.pattern.has(layer)
            || plan.attn_scores.has(layer)
            || plan.queries.has(layer)
            || plan.rows.has(layer)
    }

    fn note_heads(&mut self, layer: u32, heads: usize) {
        let index = layer as usize;
        if self.heads.len() <= index {
            self.heads.resize(index + 1, 0);
        }
        self.heads[index] = heads;
    }

    /// How the query of a block was turned, where the graph did not name the rotation.
    fn note_rotation(&mut self, layer: u32, query: Option<Node>) {
        if self.plan.queries.has(layer)
            && self.layer(layer).rope.is_none()
            && let Some(rotated) = query.and_then(families::rotated)
        {
            self.note_rope(layer, rotated);
        }
    }

    fn note_rope(&mut self, layer: u32, rotated: Node) {
        if self.plan.queries.has(layer) {
            let (rope, kind) = rotated.rope();
            self.captured.position_kind = kind;
            self.layer(layer).rope = rope;
        }
    }

    pub(super) fn computed(&mut self, node: Node, op: sys::ggml_op) {
        for waiting in self.schedule.due() {
            self.keep(waiting.node(), waiting.kind);
        }
        if self.schedule.follows() || std::mem::take(&mut self.hurried) {
            return;
        }
        if let Some(layer) = self.changed_input(node) {
            self.change_neurons(node, layer);
        }
        let Some(kind) = Kind::of(node, op) else { return };
        self.change(node, kind);
        self.keep(node, kind);
    }

    /// Copies what is wanted of a node.
    fn keep(&mut self, node: Node, kind: Kind) {
        let op = node.op();
        match kind {
            Kind::After(layer) if self.plan.residual_of_all => {
                self.enter(layer);
                self.layer(layer).resid_post.extend(node.columns());
            }
            Kind::Before(layer) if self.plan.residual_of_all => {
                let streams = node.normed().map(Node::columns).unwrap_or_default();
                match layer.checked_sub(1) {
                    None => self.captured.embedding.extend(streams),
                    Some(before) => self.layer(before).resid_post.extend(streams),
                }
            }
            Kind::Embedding if self.plan.residual_of_all => self.entering = node.columns(),
            Kind::Embedding => self.captured.embedding = node.last_column(),
            Kind::After(layer) => self.layer(layer).resid_post = node.last_column(),
            Kind::Between(layer) => self.layer(layer).resid_mid = node.last_column(),
            Kind::Before(layer) => {
                let stream = node.normed_stream();
                match layer.checked_sub(1) {
                    None => self.captured.embedding = stream,
                    Some(before) => self.layer(before).resid_post = stream,
                }
            }
            Kind::Middle(layer) => self.layer(layer).resid_mid = node.normed_stream(),
            Kind::Heads(layer) => {
                if self.plan.z || self.plan.head_contribution {
                    self.layer(layer).z = node.last_column();
                }
            }
            Kind::AttentionOut(layer) => {
                if self.plan.residual || self.plan.head_contribution {
                    self.layer(layer).attn_out = node.last_column();
                }
                if (self.plan.z || self.plan.head_contribution) && op == sys::GGML_OP_MUL_MAT {
                    self.layer(layer).projection = node.source(0).and_then(Node::operand);
                }
                // Some families gate the heads or norm them before they are projected.
                if let Some(heads) = node
                    .source(1)
                    .filter(|_| (self.plan.z || self.plan.head_contribution) && op == sys::GGML_OP_MUL_MAT)
                {
                    self.layer(layer).z = heads.last_column();
                }
            }
            Kind::StateOut(layer) => {
                if self.plan.residual {
                    self.layer(layer).attn_out = node.last_column();
                }
            }
            Kind::Down(layer) | Kind::DownExperts(layer) | Kind::DownShared(layer) => {
                self.down(node, layer, kind);
            }
            Kind::Mixture(layer) => self.layer(layer).ffn_out = node.last_column(),
            Kind::SharedGate(layer) => self.layer(layer).shared_gate = node.last_column().first().copied(),
            Kind::ExpertWeights(layer) => {
                let weights = node.last_group();
                let experts = &mut self.layer(layer).experts;
                experts.resize(weights.len(), (0, 0.0));
                experts.iter_mut().zip(weights).for_each(|(expert, weight)| expert.1 = weight);
            }
            Kind::Products(layer) => self.products(node, layer),
            Kind::Softmax(layer) => self.softmax(node, layer),
            Kind::Mixed(layer) => {
                // The cache's values: [cell, dimension, head].
                let values = node.source(0).filter(|_| self.plan.queries.has(layer));
                if let Some(values) = values.map(Node::strided) {
                    self.keep_values(layer, &values, true);
                }
                if let Some(values) = node.source(0).filter(|_| self.plan.head_contribution) {
                    self.keep_first(values, layer, true);
                }
            }
            Kind::Flash(layer) => self.flash(node, layer),
            Kind::Rotated(_) => {}
        }
    }

    fn down(&mut self, node: Node, layer: u32, kind: Kind) {
        let (streams, neurons) = (self.plan.residual, self.plan.neurons.has(layer));
        let experts = kind == Kind::DownExperts(layer);
        self.layer(layer).mixture |= kind != Kind::Down(layer);
        if streams && kind == Kind::Down(layer) {
            self.layer(layer).ffn_out = node.last_column();
        }
        // A bias after the projection is known by the same name; it has no inputs.
        if !neurons || ![sys::GGML_OP_MUL_MAT, sys::GGML_OP_MUL_MAT_ID].contains(&node.op()) {
            return;
        }
        let Some(inputs) = node.source(1) else { return };
        if kind == Kind::DownShared(layer) {
            self.layer(layer).shared = inputs.last_column();
        } else if experts {
            self.layer(layer).neurons = inputs.last_group();
            let used = node.source(2).map(Node::last_indices).unwrap_or_default();
            let known = &mut self.layer(layer).experts;
            known.resize(used.len(), (0, 1.0));
            known.iter_mut().zip(used).for_each(|(expert, index)| expert.0 = index);
        } else {
            self.layer(layer).neurons = inputs.last_column();
        }
    }

    /// q·k of the last token; the query and the cache's keys are its sources.
    fn products(&mut self, node: Node, layer: u32) {
        self.products = node.last_rows();
        if !self.plan.queries.has(layer) {
            return;
        }
        if let Some(query) = node.source(1) {
            self.layer(layer).query = query.last_rows().concat();
        }
        self.unsorted = node.source(0).map(Node::strided).unwrap_or_default();
    }

    /// The position of each cell that a mask lets through, [`NOWHERE`] for the others.
    pub(super) fn places(&self, layer: u32, cells: usize, visible: &[bool]) -> Vec<usize> {
        let mut places = self.cells.positions(layer, cells);
        for (place, seen) in places.iter_mut().zip(visible) {
            if !seen {
                *place = NOWHERE;
            }
        }
        places
    }

    fn softmax(&mut self, node: Node, layer: u32) {
        if self.plan.rows.has(layer) {
            self.keep_rows(node, layer);
        }
        let (scale, slope) = (node.float(0), node.float(1));
        let token = node.count(1).saturating_sub(1);
        let visible = node.source(1).map(|mask| mask.visible(token)).unwrap_or_default();
        self.see(layer, &visible);
        self.visible.clone_from(&visible);
        if self.plan.queries.has(layer) {
            let keys = std::mem::take(&mut self.unsorted);
            self.keep_keys(layer, &keys);
        }
        let products = std::mem::take(&mut self.products);
        let (attention, scores) = (self.plan.pattern.has(layer), self.plan.attn_scores.has(layer));
        let has_sink = node.source(2).is_some();
        let (places, last) = (self.places(layer, node.count(0), &visible), self.cells.last());
        let (runs, [by_cell, by_token, by_head, _]) = (row::runs(&places, last), node.tensor().nb);
        let by_position = |row: &Vec<f32>| row::by_position(row, &places, last, scale);
        let in_order: Vec<Vec<f32>> = products.iter().map(by_position).collect();
        let weights = (0..node.count(2)).map(|head| {
            let start = head * by_head + token * by_token;
            row::of_runs(&runs, last, |cell, count| node.floats(start + cell * by_cell, count))
        });
        let weights: Vec<Vec<f32>> = weights.collect();
        let window = row::window(places.iter().copied().filter(|place| *place != NOWHERE), last);
        let here = self.layer(layer);
        here.scale = scale;
        here.slope = slope;
        here.window = window;
        if attention {
            if has_sink {
                here.sink = weights.iter().map(|row| 1.0 - row.iter().sum::<f32>()).collect();
            }
            here.pattern = weights;
        }
        if scores {
            here.attn_scores = families::capped(in_order, families::cap(node), scale);
        }
    }

    /// Sorts the cache's keys, `[dimension, cell, head]`, by head and position.
    pub(super) fn keep_keys(&mut self, layer: u32, keys: &Strided) {
        let [size, cells, heads] = keys.shape;
        let sorted = self.sorted(layer, size, cells, heads, |head, cell, dim| keys.at(dim, cell, head));
        self.layer(layer).keys = sorted;
    }

    /// Sorts the cache's values by head and position; `[cell, dimension, head]` if turned, else as keys lie.
    pub(super) fn keep_values(&mut self, layer: u32, values: &Strided, turned: bool) {
        let [first, second, heads] = values.shape;
        let sorted = if turned {
            self.sorted(layer, second, first, heads, |head, cell, dim| values.at(cell, dim, head))
        } else {
            self.sorted(layer, first, second, heads, |head, cell, dim| values.at(dim, cell, head))
        };
        self.layer(layer).values = sorted;
    }

    fn sorted(
        &self,
        layer: u32,
        size: usize,
        cells: usize,
        heads: usize,
        at: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Vec<Vec<f32>> {
        let last = self.cells.last();
        if size == 0 || cells == 0 {
            return Vec::new();
        }
        // Cells of other sequences, or freed ones, may name the same position; the mask knows which is read.
        let seen = |cell: &usize| self.visible.get(*cell).copied().unwrap_or(true);
        let place = |cell: usize| Some((cell, self.cells.position(layer, cell).filter(|at| *at <= last)?));
        let places: Vec<(usize, usize)> = (0..cells).filter(seen).filter_map(place).collect();
        parallel::each_worth(places.len() * size * heads, heads, |head| {
            let mut row = vec![0.0; (last + 1) * size];
            for (cell, position) in &places {
                for dim in 0..size {
                    row[position * size + dim] = at(head, *cell, dim);
                }
            }
            row
        })
    }
}
