//! The evaluation callback: asked about every node of every graph before it is computed and told after, it copies
//! what a [`Plan`] names out of the running network and writes zeros over what an [`Intervention`] switches off.
//!
//! Nodes are known by the names of the weights they multiply with (the same in every family's files) and by
//! llama.cpp's own names where there is no weight. Tensors are read and written through their backend, wherever they
//! live.
//!
//! Invariant: with an empty plan and no changes it answers "no" to everything, which costs nothing measurable on the
//! CPU; all it does then is to note in which cells of the cache keys are stored. A node answered with "yes" ends a
//! graph split. Only the last token of a batch is copied; changes reach every token of it.

mod cells;
mod plan;
mod row;

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use llama_cpp_sys_2 as sys;
use sys::ggml_tensor;

pub use plan::{Captured, LayerCapture, Layers, Operands, Plan, Rope};

use self::cells::Cells;
use super::graph::Operand;
use crate::chat::Intervention;
use crate::inspect::trace::PositionKind;

/// What the callback works with. Shared with native code by address, so it stays where it was made.
#[derive(Debug, Default)]
pub struct Probe {
    /// Nodes it was asked about.
    asked: AtomicU64,
    /// Whether something is to be copied or changed.
    active: AtomicBool,
    /// Whether the operands are known.
    known: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Plan,
    changes: Vec<Intervention>,
    cells: Cells,
    captured: Captured,
    operands: Operands,
    /// Query heads of each layer, once its graph was seen.
    heads: Vec<usize>,
    /// Raw q·k, `[head][cell]`, of the layer whose softmax is next.
    products: Vec<Vec<f32>>,
}

impl Probe {
    /// How many nodes it was asked about so far; 0 means that it is not installed.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// What the decodes from now on are to show; an empty plan ends it. What was copied before is dropped.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.state();
        state.plan = plan;
        self.arm(&state);
    }

    /// What is changed in the decodes from now on, at all their tokens; nothing ends it.
    pub fn change(&self, changes: &[Intervention]) {
        let mut state = self.state();
        state.changes = changes.to_vec();
        self.arm(&state);
    }

    /// What the last decode showed of its last token.
    pub fn take(&self) -> Captured {
        std::mem::take(&mut self.state().captured)
    }

    /// A batch is about to be decoded, with tokens at these positions of their sequences.
    pub fn begin_batch(&self, positions: impl Iterator<Item = u32>) {
        let mut state = self.state();
        state.cells.begin(positions);
        state.products.clear();
        if !state.plan.is_empty() {
            state.captured = Captured::default();
        }
    }

    /// Weight tensors seen so far.
    #[must_use]
    pub fn operands(&self) -> Operands {
        self.state().operands
    }

    fn arm(&self, state: &State) {
        let active = !state.plan.is_empty() || !state.changes.is_empty();
        self.active.store(active, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this node's values are wanted.
    fn wants(&self, node: Node) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let op = node.op();
        if op == sys::GGML_OP_SET_ROWS {
            if let Some(layer) = node.name().strip_prefix("cache_k_l").and_then(leading_number) {
                self.state()
                    .cells
                    .store(layer, node.source(1).map(Node::indices).unwrap_or_default().into_iter());
            }
            return false;
        }
        if !self.known.load(Ordering::Relaxed) {
            self.learn(node, op);
        }
        self.active.load(Ordering::Relaxed) && self.state().wants(node, op)
    }

    /// Notes the weights that other graphs will multiply with.
    fn learn(&self, node: Node, op: sys::ggml_op) {
        let Some(weight) = node.source(0) else { return };
        let mut state = self.state();
        let operands = &mut state.operands;
        match (op, weight.name()) {
            (sys::GGML_OP_GET_ROWS, "token_embd.weight") => operands.table = Some(Operand(weight.0)),
            (sys::GGML_OP_MUL_MAT, "output.weight" | "token_embd.weight") => {
                operands.output = Some(Operand(weight.0));
            }
            _ => return,
        }
        self.known.store(operands.table.is_some() && operands.output.is_some(), Ordering::Relaxed);
    }

    /// The node was computed.
    fn computed(&self, node: Node) {
        if self.active.load(Ordering::Relaxed) {
            self.state().computed(node, node.op());
        }
    }
}

/// What a node is to the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The residual stream after a block.
    After(u32),
    /// The residual stream between attention and feed-forward.
    Between(u32),
    /// A norm's product with the weight in front of attention: its stream is what the block before left.
    Before(u32),
    /// A norm's product with the weight in front of the feed-forward.
    Middle(u32),
    /// The heads, before the output projection.
    Heads(u32),
    /// The output projection.
    AttentionOut(u32),
    /// The down projection.
    Down(u32),
    /// The down projection of a mixture's experts.
    DownExperts(u32),
    /// The experts' weights.
    ExpertWeights(u32),
    /// q·k.
    Products(u32),
    /// The attention weights.
    Softmax(u32),
    /// The values, mixed.
    Mixed(u32),
    /// Flash attention.
    Flash(u32),
    /// The query's rotation.
    Rotated(u32),
}

impl Kind {
    fn of(node: Node, op: sys::ggml_op) -> Option<Self> {
        if op == sys::GGML_OP_MUL_MAT || op == sys::GGML_OP_MUL_MAT_ID {
            if let Some((layer, weight)) = node.source(0).and_then(|weight| weight_of(weight.name())) {
                return match weight {
                    "attn_output.weight" => Some(Self::AttentionOut(layer)),
                    "ffn_down.weight" => Some(Self::Down(layer)),
                    "ffn_down_exps.weight" => Some(Self::DownExperts(layer)),
                    _ => None,
                };
            }
        } else if op == sys::GGML_OP_MUL {
            let named = |index| node.source(index).and_then(|weight| weight_of(weight.name()));
            if let Some((layer, weight)) = named(1).or_else(|| named(0)) {
                return match weight {
                    "attn_norm.weight" => Some(Self::Before(layer)),
                    "ffn_norm.weight" => Some(Self::Middle(layer)),
                    _ => None,
                };
            }
        }
        let (name, layer) = node.name().rsplit_once('-')?;
        let layer = layer.parse().ok()?;
        match (name, op) {
            ("l_out", _) => Some(Self::After(layer)),
            ("ffn_inp" | "sa_out", _) => Some(Self::Between(layer)),
            ("kqv_out", _) => Some(Self::Heads(layer)),
            ("kq", sys::GGML_OP_MUL_MAT) => Some(Self::Products(layer)),
            ("kq_soft_max", sys::GGML_OP_SOFT_MAX) => Some(Self::Softmax(layer)),
            ("kqv", sys::GGML_OP_MUL_MAT) => Some(Self::Mixed(layer)),
            ("Qcur", sys::GGML_OP_ROPE) => Some(Self::Rotated(layer)),
            ("ffn_moe_weights" | "ffn_moe_weights_norm" | "ffn_moe_weights_scaled", _) => {
                Some(Self::ExpertWeights(layer))
            }
            (_, sys::GGML_OP_FLASH_ATTN_EXT) => Some(Self::Flash(layer)),
            _ => None,
        }
    }
}

impl State {
    fn layer(&mut self, layer: u32) -> &mut LayerCapture {
        let index = layer as usize;
        if self.captured.layers.len() <= index {
            self.captured.layers.resize_with(index + 1, LayerCapture::default);
        }
        &mut self.captured.layers[index]
    }

    fn changes(&self, layer: u32) -> impl Iterator<Item = Intervention> + '_ {
        self.changes.iter().copied().filter(move |change| match *change {
            Intervention::ZeroHead { layer: of, .. }
            | Intervention::ZeroAttention { layer: of }
            | Intervention::ZeroFfn { layer: of } => of == layer,
        })
    }

    fn wants(&mut self, node: Node, op: sys::ggml_op) -> bool {
        let Some(kind) = Kind::of(node, op) else { return false };
        let (plan, captured) = (&self.plan, &self.captured);
        let empty = |layer: u32, of: fn(&LayerCapture) -> &Vec<f32>| {
            captured.layers.get(layer as usize).is_none_or(|layer| of(layer).is_empty())
        };
        match kind {
            Kind::After(_) | Kind::Between(_) => plan.streams,
            Kind::Before(0) => plan.streams,
            // Only where the graph did not name the stream itself.
            Kind::Before(layer) => plan.streams && empty(layer - 1, |layer| &layer.after),
            Kind::Middle(layer) => plan.streams && empty(layer, |layer| &layer.after_attention),
            Kind::Heads(layer) => {
                plan.heads || self.changes(layer).any(|c| matches!(c, Intervention::ZeroHead { .. }))
            }
            Kind::AttentionOut(layer) => {
                plan.streams || self.changes(layer).any(|c| matches!(c, Intervention::ZeroAttention { .. }))
            }
            Kind::Down(layer) | Kind::DownExperts(layer) => {
                let changed = self.changes(layer).any(|c| matches!(c, Intervention::ZeroFfn { .. }));
                plan.streams || plan.neurons.has(layer) || changed
            }
            Kind::ExpertWeights(layer) => plan.neurons.has(layer),
            Kind::Products(layer) => {
                let wanted = plan.scores.has(layer) || plan.queries.has(layer);
                self.note_heads(layer, node.count(2));
                wanted
            }
            Kind::Softmax(layer) => {
                plan.attention.has(layer) || plan.scores.has(layer) || plan.queries.has(layer)
            }
            Kind::Mixed(layer) => plan.queries.has(layer),
            Kind::Flash(layer) => {
                let wanted = plan.attention.has(layer) || plan.scores.has(layer) || plan.queries.has(layer);
                self.note_heads(layer, node.source(0).map_or(0, |query| query.count(2)));
                wanted
            }
            Kind::Rotated(layer) => {
                if plan.queries.has(layer) {
                    let (rope, kind) = node.rope();
                    self.captured.position_kind = kind;
                    self.layer(layer).rope = rope;
                }
                false
            }
        }
    }

    fn note_heads(&mut self, layer: u32, heads: usize) {
        let index = layer as usize;
        if self.heads.len() <= index {
            self.heads.resize(index + 1, 0);
        }
        self.heads[index] = heads;
    }

    fn computed(&mut self, node: Node, op: sys::ggml_op) {
        let Some(kind) = Kind::of(node, op) else { return };
        match kind {
            Kind::After(layer) => self.layer(layer).after = node.last_column(),
            Kind::Between(layer) => self.layer(layer).after_attention = node.last_column(),
            Kind::Before(layer) => {
                let stream = node.normed_stream();
                match layer.checked_sub(1) {
                    None => self.captured.embedding = stream,
                    Some(before) => self.layer(before).after = stream,
                }
            }
            Kind::Middle(layer) => self.layer(layer).after_attention = node.normed_stream(),
            Kind::Heads(layer) => {
                let count = self.heads.get(layer as usize).copied().unwrap_or_default();
                for change in self.changes(layer) {
                    if let Intervention::ZeroHead { head, .. } = change {
                        node.zero_slice(head as usize, count);
                    }
                }
                if self.plan.heads {
                    self.layer(layer).heads = node.last_column();
                }
            }
            Kind::AttentionOut(layer) => {
                if self.changes(layer).any(|change| matches!(change, Intervention::ZeroAttention { .. })) {
                    node.zero();
                }
                if self.plan.streams {
                    self.layer(layer).attn_out = node.last_column();
                }
            }
            Kind::Down(layer) | Kind::DownExperts(layer) => self.down(node, layer, kind),
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
                let values = node.source(0).map(Node::strided).unwrap_or_default();
                self.keep_values(layer, &values, true);
            }
            Kind::Flash(layer) => self.flash(node, layer),
            Kind::Rotated(_) => {}
        }
    }

    fn down(&mut self, node: Node, layer: u32, kind: Kind) {
        if self.changes(layer).any(|change| matches!(change, Intervention::ZeroFfn { .. })) {
            node.zero();
        }
        let (streams, neurons) = (self.plan.streams, self.plan.neurons.has(layer));
        let experts = kind == Kind::DownExperts(layer);
        if streams && !experts {
            self.layer(layer).ffn_out = node.last_column();
        }
        if !neurons {
            return;
        }
        let Some(inputs) = node.source(1) else { return };
        if experts {
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
        // [dimension, cell, head].
        let keys = node.source(0).map(Node::strided).unwrap_or_default();
        self.keep_keys(layer, &keys);
    }

    fn softmax(&mut self, node: Node, layer: u32) {
        let scale = node.float(0);
        let token = node.count(1).saturating_sub(1);
        let visible = node.source(1).map(|mask| mask.visible(token)).unwrap_or_default();
        let rows = node.last_rows();
        let products = std::mem::take(&mut self.products);
        let (attention, scores) = (self.plan.attention.has(layer), self.plan.scores.has(layer));
        let has_sink = node.source(2).is_some();
        let by_position = |state: &Self, row: &[f32], factor: f32| {
            row::by_position(
                row,
                |cell| {
                    let seen = visible.get(cell).copied().unwrap_or(true);
                    state.cells.position(layer, cell).filter(|_| seen)
                },
                state.cells.last(),
                factor,
            )
        };
        let weights: Vec<Vec<f32>> = rows.iter().map(|row| by_position(self, row, 1.0)).collect();
        let scored: Vec<Vec<f32>> = products.iter().map(|row| by_position(self, row, scale)).collect();
        let window = row::window(
            visible
                .iter()
                .enumerate()
                .filter(|(_, seen)| **seen)
                .filter_map(|(cell, _)| self.cells.position(layer, cell)),
            self.cells.last(),
        );
        let here = self.layer(layer);
        here.scale = scale;
        here.window = window;
        if attention {
            if has_sink {
                here.sink = weights.iter().map(|row| 1.0 - row.iter().sum::<f32>()).collect();
            }
            here.weights = weights;
        }
        if scores {
            here.scores = scored;
        }
    }

    /// Flash attention keeps no weights: softmax(mask + scale · q·k) is worked out from its operands.
    fn flash(&mut self, node: Node, layer: u32) {
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
        if slope > 0.0 {
            let said = "attention weights: this model's slopes are inside flash attention; switch that off";
            if !self.captured.missing.iter().any(|missing| missing == said) {
                self.captured.missing.push(said.to_owned());
            }
        }
        self.keep_keys(layer, &keys);
        self.keep_values(layer, &values, false);
        let held: Vec<usize> = (0..keys.shape[1])
            .filter(|cell| visible.get(*cell).copied().unwrap_or(true))
            .filter_map(|cell| self.cells.position(layer, cell))
            .collect();
        let last = self.cells.last();
        let (attention, scores) = (self.plan.attention.has(layer), self.plan.scores.has(layer));
        let here = self.layer(layer);
        here.scale = scale;
        here.window = row::window(held.iter().copied(), last);
        if slope <= 0.0 && !here.keys.is_empty() {
            let all = row::attend(&query, &here.keys, &held, last, scale, cap, sinks.as_deref());
            if attention {
                here.weights = all.weights;
                here.sink = all.sinks;
            }
            if scores {
                here.scores = all.scores;
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

    /// Sorts the cache's keys, `[dimension, cell, head]`, by head and position.
    fn keep_keys(&mut self, layer: u32, keys: &Strided) {
        let [size, cells, heads] = keys.shape;
        let sorted = self.sorted(layer, size, cells, heads, |head, cell, dim| keys.at(dim, cell, head));
        self.layer(layer).keys = sorted;
    }

    /// Sorts the cache's values by head and position; `[cell, dimension, head]` if turned, else as keys lie.
    fn keep_values(&mut self, layer: u32, values: &Strided, turned: bool) {
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
        at: impl Fn(usize, usize, usize) -> f32,
    ) -> Vec<Vec<f32>> {
        let last = self.cells.last();
        if size == 0 || cells == 0 {
            return Vec::new();
        }
        let mut sorted = vec![vec![0.0; (last + 1) * size]; heads];
        for cell in 0..cells {
            let Some(position) = self.cells.position(layer, cell).filter(|position| *position <= last) else {
                continue;
            };
            for (head, row) in sorted.iter_mut().enumerate() {
                for dim in 0..size {
                    row[position * size + dim] = at(head, cell, dim);
                }
            }
        }
        sorted
    }
}

/// A tensor's values with their shape; the first three dimensions, innermost first.
#[derive(Clone, Debug, Default)]
struct Strided {
    values: Vec<f32>,
    shape: [usize; 3],
}

impl Strided {
    fn at(&self, first: usize, second: usize, third: usize) -> f32 {
        self.values[first + self.shape[0] * (second + self.shape[1] * third)]
    }
}

/// The number that a text begins with.
fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

/// `blk.L.NAME` taken apart.
fn weight_of(name: &str) -> Option<(u32, &str)> {
    let (layer, name) = name.strip_prefix("blk.")?.split_once('.')?;
    Some((layer.parse().ok()?, name))
}

/// A node of the graph that is computed, or a source of one; alive while the callback runs.
#[derive(Clone, Copy)]
struct Node(*mut ggml_tensor);

impl Node {
    fn tensor(&self) -> &ggml_tensor {
        // SAFETY: nodes come from the callback and their sources, which the graph keeps while it runs; nothing
        // changes a node's fields then.
        unsafe { &*self.0 }
    }

    fn op(self) -> sys::ggml_op {
        self.tensor().op
    }

    fn name<'a>(self) -> &'a str {
        // SAFETY: as above; the name is terminated, lies in the tensor, and is not kept beyond the callback.
        unsafe { CStr::from_ptr((*self.0).name.as_ptr()) }.to_str().unwrap_or_default()
    }

    fn source(self, index: usize) -> Option<Self> {
        let source = self.tensor().src[index];
        (!source.is_null()).then_some(Self(source))
    }

    /// Elements along a dimension.
    fn count(self, dimension: usize) -> usize {
        usize::try_from(self.tensor().ne[dimension]).unwrap_or_default()
    }

    fn float(self, index: usize) -> f32 {
        f32::from_bits(self.tensor().op_params[index].cast_unsigned())
    }

    /// Bytes of the tensor from `offset` on, through its backend; nothing where it has none or is smaller.
    fn bytes(self, offset: usize, size: usize) -> Vec<u8> {
        let tensor = self.tensor();
        // SAFETY: the tensor is alive; ggml_nbytes only reads its shape.
        let whole = unsafe { sys::ggml_nbytes(tensor) };
        let has_buffer = !tensor.buffer.is_null()
            || (!tensor.view_src.is_null() && {
                // SAFETY: a view's source is kept by the graph or the cache as long as the view.
                unsafe { !(*tensor.view_src).buffer.is_null() }
            });
        if !has_buffer || tensor.data.is_null() || offset.checked_add(size).is_none_or(|end| end > whole) {
            return Vec::new();
        }
        let mut bytes = vec![0_u8; size];
        // SAFETY: the range lies within the tensor, as just checked, and `bytes` has `size` bytes. Weights, whose
        // buffers may not be readable, are never asked for.
        unsafe { sys::ggml_backend_tensor_get(tensor, bytes.as_mut_ptr().cast(), offset, size) };
        bytes
    }

    /// The values at these bytes: f32, f16 or bf16; nothing for other formats.
    fn floats(self, offset: usize, count: usize) -> Vec<f32> {
        let kind = self.tensor().type_;
        match kind {
            sys::GGML_TYPE_F32 => {
                let bytes = self.bytes(offset, 4 * count);
                bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
            }
            sys::GGML_TYPE_F16 | sys::GGML_TYPE_BF16 => {
                let bytes = self.bytes(offset, 2 * count);
                bytes.as_chunks().0.iter().map(|two| half(u16::from_le_bytes(*two), kind)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The last token's column of `[values, tokens]`.
    fn last_column(self) -> Vec<f32> {
        let last = self.count(1).saturating_sub(1);
        self.floats(last * self.tensor().nb[1], self.count(0))
    }

    /// The last token's part of `[values, tokens, heads]`, a row each head.
    fn last_rows(self) -> Vec<Vec<f32>> {
        let last = self.count(1).saturating_sub(1);
        let [_, token, head, _] = self.tensor().nb;
        (0..self.count(2)).map(|index| self.floats(last * token + index * head, self.count(0))).collect()
    }

    /// The last token's part of `[values, groups, tokens]`, one group behind the other.
    fn last_group(self) -> Vec<f32> {
        let last = self.count(2).saturating_sub(1);
        let [_, group, token, _] = self.tensor().nb;
        let rows = (0..self.count(1)).map(|index| self.floats(last * token + index * group, self.count(0)));
        rows.collect::<Vec<_>>().concat()
    }

    /// The stream that a norm in front of a multiplication was taken of.
    fn normed_stream(self) -> Vec<f32> {
        let is_norm = |node: &Self| [sys::GGML_OP_RMS_NORM, sys::GGML_OP_NORM].contains(&node.op());
        let norm = self.source(0).filter(is_norm).or_else(|| self.source(1).filter(is_norm));
        norm.and_then(|norm| norm.source(0)).map(Self::last_column).unwrap_or_default()
    }

    /// All values, dense; of a cache in a format of blocks its rows are dequantised.
    fn strided(self) -> Strided {
        let shape = [self.count(0), self.count(1), self.count(2)];
        let tensor = self.tensor();
        let kind = tensor.type_;
        // SAFETY: only reads the tensor's shape.
        let whole = unsafe { sys::ggml_nbytes(tensor) };
        let bytes = self.bytes(0, whole);
        if bytes.is_empty() {
            return Strided::default();
        }
        let [first, second, third, _] = tensor.nb;
        let mut values = Vec::with_capacity(shape.iter().product());
        for outer in 0..shape[2] {
            for middle in 0..shape[1] {
                let row = outer * third + middle * second;
                match kind {
                    sys::GGML_TYPE_F32 | sys::GGML_TYPE_F16 | sys::GGML_TYPE_BF16 => {
                        values.extend((0..shape[0]).map(|at| scalar(&bytes, row + at * first, kind)));
                    }
                    _ => values.extend(dequantised(&bytes[row..], kind, shape[0])),
                }
            }
        }
        if values.len() == shape.iter().product::<usize>() {
            Strided { values, shape }
        } else {
            Strided::default()
        }
    }

    /// Which cells a token's row of a mask lets through.
    fn visible(self, token: usize) -> Vec<bool> {
        let row = self.floats(token * self.tensor().nb[1], self.count(0));
        row.iter().map(|value| value.is_finite() && *value > f32::MIN / 2.0).collect()
    }

    /// All values of a small tensor in one piece.
    fn whole(self) -> Vec<f32> {
        self.floats(0, self.count(0) * self.count(1))
    }

    /// Whole numbers of a list, i32 or i64.
    fn indices(self) -> Vec<usize> {
        let count = self.count(0);
        match self.tensor().type_ {
            sys::GGML_TYPE_I64 => {
                let bytes = self.bytes(0, 8 * count);
                let each = bytes.as_chunks().0.iter().map(|eight| i64::from_le_bytes(*eight));
                each.map(|index| usize::try_from(index).unwrap_or(usize::MAX >> 8)).collect()
            }
            _ => {
                let bytes = self.bytes(0, 4 * count);
                let each = bytes.as_chunks().0.iter().map(|four| i32::from_le_bytes(*four));
                each.map(|index| usize::try_from(index).unwrap_or(usize::MAX >> 8)).collect()
            }
        }
    }

    /// The last token's row of a list of whole numbers a token.
    fn last_indices(self) -> Vec<u32> {
        let last = self.count(1).saturating_sub(1);
        let bytes = self.bytes(last * self.tensor().nb[1], 4 * self.count(0));
        bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
    }

    /// Writes zeros over all values.
    fn zero(self) {
        // SAFETY: only reads the tensor's shape.
        let whole = unsafe { sys::ggml_nbytes(self.tensor()) };
        self.write_zeros(0, whole);
    }

    /// Writes zeros over one of `count` equal slices of every token's column.
    fn zero_slice(self, slice: usize, count: usize) {
        if count == 0 || slice >= count || self.tensor().type_ != sys::GGML_TYPE_F32 {
            return;
        }
        let size = 4 * self.count(0) / count;
        for token in 0..self.count(1) {
            self.write_zeros(token * self.tensor().nb[1] + slice * size, size);
        }
    }

    fn write_zeros(self, offset: usize, size: usize) {
        // SAFETY: only reads the tensor's shape.
        let whole = unsafe { sys::ggml_nbytes(self.tensor()) };
        if offset.checked_add(size).is_none_or(|end| end > whole) {
            return;
        }
        let zeros = vec![0_u8; size];
        // SAFETY: the range lies within the tensor, which was just computed and whose readers have not run yet; it is
        // no weight.
        unsafe { sys::ggml_backend_tensor_set(self.0, zeros.as_ptr().cast(), offset, size) };
    }

    /// How a rotation turns its input.
    fn rope(self) -> (Option<Rope>, PositionKind) {
        let params = self.tensor().op_params;
        let neox = params[2] & 2 != 0;
        let rope = Rope {
            dims: usize::try_from(params[1]).unwrap_or_default(),
            neox,
            base: self.float(5),
            scale: self.float(6),
            factors: self.source(2).map(Self::whole).unwrap_or_default(),
        };
        (Some(rope), if neox { PositionKind::RopeNeox } else { PositionKind::RopeNormal })
    }
}

/// The value at a byte.
fn scalar(bytes: &[u8], at: usize, kind: sys::ggml_type) -> f32 {
    if kind == sys::GGML_TYPE_F32 {
        bytes.get(at..at + 4).map_or(0.0, |four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    } else {
        bytes.get(at..at + 2).map_or(0.0, |two| half(u16::from_le_bytes([two[0], two[1]]), kind))
    }
}

/// A half or a brain float.
fn half(bits: u16, kind: sys::ggml_type) -> f32 {
    if kind == sys::GGML_TYPE_BF16 {
        return f32::from_bits(u32::from(bits) << 16);
    }
    // SAFETY: a conversion of numbers.
    unsafe { sys::ggml_fp16_to_fp32(bits) }
}

/// A row in a format of blocks, as floats; nothing where ggml cannot.
fn dequantised(bytes: &[u8], kind: sys::ggml_type, count: usize) -> Vec<f32> {
    // SAFETY: the format is that of a living tensor, so ggml knows it.
    let (traits, size) = unsafe {
        (&*sys::ggml_get_type_traits(kind), sys::ggml_row_size(kind, i64::try_from(count).unwrap_or(0)))
    };
    let Some(convert) = traits.to_float.filter(|_| bytes.len() >= size) else { return Vec::new() };
    let mut values = vec![0.0_f32; count];
    // SAFETY: `bytes` holds a whole row of that format, and `values` has its `count` values.
    unsafe { convert(bytes.as_ptr().cast(), values.as_mut_ptr(), i64::try_from(count).unwrap_or(0)) };
    values
}

/// With `ask`, whether the node's values are wanted; without, whether to go on after it was computed.
///
/// # Safety
/// `user_data` is the address of a [`Probe`] that lives as long as the context.
pub(super) unsafe extern "C" fn evaluate(node: *mut ggml_tensor, ask: bool, user_data: *mut c_void) -> bool {
    // SAFETY: guaranteed by the owner of the context, who keeps the probe.
    let probe = unsafe { &*user_data.cast::<Probe>() };
    if ask {
        return probe.wants(Node(node));
    }
    probe.computed(Node(node));
    true
}
