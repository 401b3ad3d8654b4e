//! The evaluation callback: asked about every node of every graph before it is computed and told after, it copies
//! what a [`Plan`] names out of the running network and writes over what an [`Intervention`] changes.
//!
//! Nodes are known by the names of the weights they multiply with (the same in every family's files) and by
//! llama.cpp's own names where there is no weight. Tensors are read and written through their backend, wherever they
//! live.
//!
//! Invariant: with an empty plan and no changes it answers "no" to everything, which costs nothing measurable on the
//! CPU; all it does then is to note in which cells of the cache keys are stored. A node answered with "yes" ends a
//! graph split. Only the last token of a batch is copied, but for [`Plan::residuals`] and [`Plan::rows`]; changes reach
//! every token of it.

mod cells;
mod change;
mod families;
mod kind;
mod plan;
mod row;
mod rows;
mod state;

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use llama_cpp_sys_2 as sys;
use sys::ggml_tensor;

pub use plan::{Captured, LayerCapture, Layers, Operands, Plan, Rope, Rows, Tail};

use self::state::State;
use super::graph::Operand;
use crate::chat::Intervention;
use crate::inspect::position::Yarn;
use crate::inspect::trace::PositionKind;

/// What the callback works with. Shared with native code by address, so it stays where it was made.
#[derive(Debug, Default)]
pub struct Probe {
    /// Nodes it was asked about.
    asked: AtomicU64,
    /// Whether something is to be copied or changed.
    active: AtomicBool,
    /// Whether the callback is left out altogether, to measure without it.
    absent: bool,
    /// Whether the operands are known.
    known: AtomicBool,
    state: Mutex<State>,
}

impl Probe {
    /// One that is never installed.
    #[must_use]
    pub fn absent() -> Self {
        Self { absent: true, ..Self::default() }
    }

    /// Whether it is never installed.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.absent
    }

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
        state.visible.clear();
        if !state.plan.is_empty() {
            state.captured = Captured::default();
        }
    }

    /// Whether the inputs of the down projections are known by name, which switching neurons off needs.
    #[must_use]
    pub fn knows_inputs(&self) -> bool {
        !self.state().inputs.is_empty()
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
        if node.name() == "result_output" {
            self.state().operands.tail = Some(families::tail(node));
        }
        let Some(weight) = node.source(0) else { return };
        let mut state = self.state();
        if let Some((layer, input)) = change::input_of(node, op, weight) {
            state.inputs.insert(layer, input);
            return;
        }
        let operands = &mut state.operands;
        match (op, weight.name()) {
            (sys::GGML_OP_GET_ROWS, "token_embd.weight") => operands.table = Some(Operand(weight.0)),
            (sys::GGML_OP_MUL_MAT, "output.weight" | "token_embd.weight") => {
                operands.output = Some(Operand(weight.0));
            }
            _ => return,
        }
        let known = operands.table.is_some() && operands.output.is_some() && operands.tail.is_some();
        self.known.store(known, Ordering::Relaxed);
    }

    /// The node was computed.
    fn computed(&self, node: Node) {
        if self.active.load(Ordering::Relaxed) {
            self.state().computed(node, node.op());
        }
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
        self.column(self.count(1).saturating_sub(1))
    }

    /// A token's column of `[values, tokens]`.
    fn column(self, token: usize) -> Vec<f32> {
        self.floats(token * self.tensor().nb[1], self.count(0))
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

    /// Every token's column of `[values, tokens]`, one behind the other.
    fn columns(self) -> Vec<f32> {
        let tokens = self.count(1);
        (0..tokens).flat_map(|token| self.floats(token * self.tensor().nb[1], self.count(0))).collect()
    }

    /// What a norm in front of a multiplication was taken of.
    fn normed(self) -> Option<Self> {
        let is_norm = |node: &Self| [sys::GGML_OP_RMS_NORM, sys::GGML_OP_NORM].contains(&node.op());
        let norm = self.source(0).filter(is_norm).or_else(|| self.source(1).filter(is_norm));
        norm.and_then(|norm| norm.source(0))
    }

    /// The last token's stream in front of a norm.
    fn normed_stream(self) -> Vec<f32> {
        self.normed().map(Self::last_column).unwrap_or_default()
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
                let scattered = kind == sys::GGML_TYPE_F32 || first != 2;
                match kind {
                    sys::GGML_TYPE_F32 | sys::GGML_TYPE_F16 | sys::GGML_TYPE_BF16 if scattered => {
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
        let long = self.tensor().type_ == sys::GGML_TYPE_I64;
        let index = |index: Option<usize>| index.unwrap_or(usize::MAX >> 8);
        if long {
            let bytes = self.bytes(0, 8 * count);
            let each = bytes.as_chunks().0.iter().map(|eight| i64::from_le_bytes(*eight));
            return each.map(|cell| index(usize::try_from(cell).ok())).collect();
        }
        let bytes = self.bytes(0, 4 * count);
        let each = bytes.as_chunks().0.iter().map(|four| i32::from_le_bytes(*four));
        each.map(|cell| index(usize::try_from(cell).ok())).collect()
    }

    /// The last token's row of a list of whole numbers a token.
    fn last_indices(self) -> Vec<u32> {
        let last = self.count(1).saturating_sub(1);
        let bytes = self.bytes(last * self.tensor().nb[1], 4 * self.count(0));
        bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
    }

    /// How a rotation turns its input.
    fn rope(self) -> (Option<Rope>, PositionKind) {
        let params = self.tensor().op_params;
        // NeoX's own mode, and those of several position axes, which pair the same way.
        let neox = params[2] & (2 | 8) != 0;
        let rope = Rope {
            dims: usize::try_from(params[1]).unwrap_or_default(),
            neox,
            base: self.float(5),
            scale: self.float(6),
            factors: self.source(2).map(Self::whole).unwrap_or_default(),
            yarn: Yarn {
                trained: u32::try_from(params[4]).unwrap_or_default(),
                mix: self.float(7),
                stretch: self.float(8),
                fast: self.float(9),
                slow: self.float(10),
            },
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
