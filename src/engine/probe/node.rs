//! A node of the graph that is computed: its fields, its values through its backend, and the memory they lie in.
//!
//! Invariant: nothing is read beyond a tensor's bytes, and nothing of one that lies in no backend's buffer.

use std::ffi::{CStr, c_char};

use llama_cpp_sys_2 as sys;
use sys::ggml_tensor;

use super::plan::Rope;
use super::schedule::Span;
use crate::engine::compute::graph::Operand;
use crate::inspect::position::Yarn;
use crate::inspect::trace::PositionKind;

/// A tensor's values with their shape; the first three dimensions, innermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Strided {
    pub(super) values: Vec<f32>,
    pub(super) shape: [usize; 3],
}

impl Strided {
    pub(super) fn at(&self, first: usize, second: usize, third: usize) -> f32 {
        self.values[first + self.shape[0] * (second + self.shape[1] * third)]
    }
}

/// What tells a node from others: where it and its sources are kept, what it does, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    tensor: usize,
    data: usize,
    op: sys::ggml_op,
    shape: [i64; 4],
    sources: [usize; 2],
    name: [c_char; 64],
}

impl Default for Mark {
    fn default() -> Self {
        Self { tensor: 0, data: 0, op: 0, shape: [0; 4], sources: [0; 2], name: [0; 64] }
    }
}

/// A node of the graph that is computed, or a source of one; alive while the callback runs.
#[derive(Clone, Copy)]
pub(super) struct Node(pub(super) *mut ggml_tensor);

impl Node {
    pub(super) fn tensor(&self) -> &ggml_tensor {
        // SAFETY: nodes come from the callback and their sources, which the graph keeps while it runs; nothing
        // changes a node's fields then.
        unsafe { &*self.0 }
    }

    /// The buffer it lies in, or what it is a view of.
    fn buffer(&self) -> Option<sys::ggml_backend_buffer_t> {
        let tensor = self.tensor();
        let buffer = if tensor.buffer.is_null() && !tensor.view_src.is_null() {
            // SAFETY: a view's source is kept by the graph or the cache as long as the view.
            unsafe { (*tensor.view_src).buffer }
        } else {
            tensor.buffer
        };
        (!buffer.is_null()).then_some(buffer)
    }

    /// Bytes from the tensor's first to one past its last.
    pub(super) fn size(self) -> usize {
        // SAFETY: the tensor is alive; only its shape is read.
        unsafe { sys::ggml_nbytes(self.tensor()) }
    }

    /// The addresses it lies at.
    pub(super) fn span(self) -> Span {
        let start = self.tensor().data.addr();
        (start, start + self.size())
    }

    /// The addresses that computing it writes to: none where it is a view of another.
    pub(super) fn writes(self) -> Span {
        let views = [
            sys::GGML_OP_NONE,
            sys::GGML_OP_VIEW,
            sys::GGML_OP_RESHAPE,
            sys::GGML_OP_PERMUTE,
            sys::GGML_OP_TRANSPOSE,
        ];
        if views.contains(&self.op()) { (0, 0) } else { self.span() }
    }

    /// Whether it lies in main memory.
    pub(super) fn is_host(self) -> bool {
        // SAFETY: the buffer of a tensor that is alive.
        self.buffer().is_some_and(|buffer| unsafe { sys::ggml_backend_buffer_is_host(buffer) })
    }

    /// What tells it from other nodes.
    pub(super) fn mark(self) -> Mark {
        let tensor = self.tensor();
        Mark {
            tensor: self.0.addr(),
            data: tensor.data.addr(),
            op: tensor.op,
            shape: tensor.ne,
            sources: [tensor.src[0].addr(), tensor.src[1].addr()],
            name: tensor.name,
        }
    }

    pub(super) fn op(self) -> sys::ggml_op {
        self.tensor().op
    }

    pub(super) fn name<'a>(self) -> &'a str {
        // SAFETY: as above; the name is terminated, lies in the tensor, and is not kept beyond the callback.
        original(unsafe { CStr::from_ptr((*self.0).name.as_ptr()) }.to_str().unwrap_or_default())
    }

    /// It as an operand of other graphs, if it is the model's own and not a copy made for this graph.
    pub(super) fn operand(self) -> Option<Operand> {
        // SAFETY: the buffer of a tensor that is alive.
        let usage = self.buffer().map(|buffer| unsafe { sys::ggml_backend_buffer_get_usage(buffer) });
        (usage == Some(sys::GGML_BACKEND_BUFFER_USAGE_WEIGHTS)).then_some(Operand(self.0))
    }

    /// Its values for many small reads.
    pub(super) fn near(self) -> Near {
        let copy = (!self.is_host()).then(|| self.bytes(0, self.size()));
        Near { node: self, copy }
    }

    pub(super) fn source(self, index: usize) -> Option<Self> {
        let source = self.tensor().src[index];
        (!source.is_null()).then_some(Self(source))
    }

    /// Elements along a dimension.
    pub(super) fn count(self, dimension: usize) -> usize {
        usize::try_from(self.tensor().ne[dimension]).unwrap_or_default()
    }

    pub(super) fn float(self, index: usize) -> f32 {
        f32::from_bits(self.tensor().op_params[index].cast_unsigned())
    }

    /// Bytes of the tensor from `offset` on, through its backend; nothing where it has none or is smaller.
    pub(super) fn bytes(self, offset: usize, size: usize) -> Vec<u8> {
        if !self.holds(offset, size) {
            return Vec::new();
        }
        let mut bytes = vec![0_u8; size];
        // SAFETY: the range lies within the tensor, as just checked, and `bytes` has `size` bytes. Weights, whose
        // buffers may not be readable, are never asked for.
        unsafe { sys::ggml_backend_tensor_get(self.0, bytes.as_mut_ptr().cast(), offset, size) };
        bytes
    }

    /// Whether the tensor has a backend and so many bytes from `offset` on.
    pub(super) fn holds(self, offset: usize, size: usize) -> bool {
        let readable = self.buffer().is_some() && !self.tensor().data.is_null();
        readable && offset.checked_add(size).is_some_and(|end| end <= self.size())
    }

    /// The values at these bytes: f32, f16 or bf16; nothing for other formats.
    pub(super) fn floats(self, offset: usize, count: usize) -> Vec<f32> {
        let kind = self.tensor().type_;
        match kind {
            sys::GGML_TYPE_F32 if self.holds(offset, 4 * count) => {
                let mut values = vec![0.0_f32; count];
                // SAFETY: as in `bytes`; any four bytes are a float.
                unsafe {
                    sys::ggml_backend_tensor_get(self.0, values.as_mut_ptr().cast(), offset, 4 * count);
                }
                values
            }
            sys::GGML_TYPE_F16 | sys::GGML_TYPE_BF16 => {
                let bytes = self.bytes(offset, 2 * count);
                bytes.as_chunks().0.iter().map(|two| half(u16::from_le_bytes(*two), kind)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The last token's column of `[values, tokens]`.
    pub(super) fn last_column(self) -> Vec<f32> {
        self.column(self.count(1).saturating_sub(1))
    }

    /// A token's column of `[values, tokens]`.
    pub(super) fn column(self, token: usize) -> Vec<f32> {
        self.floats(token * self.tensor().nb[1], self.count(0))
    }

    /// The last token's part of `[values, tokens, heads]`, a row each head.
    pub(super) fn last_rows(self) -> Vec<Vec<f32>> {
        let last = self.count(1).saturating_sub(1);
        let [_, token, head, _] = self.tensor().nb;
        (0..self.count(2)).map(|index| self.floats(last * token + index * head, self.count(0))).collect()
    }

    /// The last token's part of `[values, groups, tokens]`, one group after the other.
    pub(super) fn last_group(self) -> Vec<f32> {
        let last = self.count(2).saturating_sub(1);
        let [_, group, token, _] = self.tensor().nb;
        let rows = (0..self.count(1)).map(|index| self.floats(last * token + index * group, self.count(0)));
        rows.collect::<Vec<_>>().concat()
    }

    /// Every token's column of `[values, tokens]`, one after the other.
    pub(super) fn columns(self) -> Vec<f32> {
        let (tokens, near) = (self.count(1), self.near());
        (0..tokens).flat_map(|token| near.floats(token * self.tensor().nb[1], self.count(0))).collect()
    }

    /// What a norm in front of a multiplication was taken of.
    pub(super) fn normed(self) -> Option<Self> {
        let is_norm = |node: &Self| [sys::GGML_OP_RMS_NORM, sys::GGML_OP_NORM].contains(&node.op());
        let norm = self.source(0).filter(is_norm).or_else(|| self.source(1).filter(is_norm));
        norm.and_then(|norm| norm.source(0))
    }

    /// The last token's stream in front of a norm.
    pub(super) fn normed_stream(self) -> Vec<f32> {
        self.normed().map(Self::last_column).unwrap_or_default()
    }

    /// All values, dense; of a cache in a format of blocks its rows are dequantised.
    pub(super) fn strided(self) -> Strided {
        let shape = [self.count(0), self.count(1), self.count(2)];
        let tensor = self.tensor();
        let kind = tensor.type_;
        let bytes = self.bytes(0, self.size());
        if bytes.is_empty() {
            return Strided::default();
        }
        let [first, second, third, _] = tensor.nb;
        let mut values = Vec::with_capacity(shape.iter().product());
        let halves = [sys::GGML_TYPE_F16, sys::GGML_TYPE_BF16].contains(&kind);
        // All at once: a call for each row of a long cache takes longer than the rows.
        let flat = if halves { dequantised(&bytes, kind, bytes.len() / 2) } else { Vec::new() };
        for outer in 0..shape[2] {
            for middle in 0..shape[1] {
                let row = outer * third + middle * second;
                match kind {
                    sys::GGML_TYPE_F32 => {
                        values.extend((0..shape[0]).map(|at| scalar(&bytes, row + at * first, kind)));
                    }
                    _ if halves => {
                        let own = flat.get(row / 2..).unwrap_or_default().iter().step_by((first / 2).max(1));
                        values.extend(own.take(shape[0]));
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
    pub(super) fn visible(self, token: usize) -> Vec<bool> {
        let row = self.floats(token * self.tensor().nb[1], self.count(0));
        row.iter().map(|value| value.is_finite() && *value > f32::MIN / 2.0).collect()
    }

    /// All values of a small tensor in one piece.
    pub(super) fn whole(self) -> Vec<f32> {
        self.floats(0, self.count(0) * self.count(1))
    }

    /// Whole numbers of a list, i32 or i64.
    pub(super) fn indices(self) -> Vec<usize> {
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
    pub(super) fn last_indices(self) -> Vec<u32> {
        let last = self.count(1).saturating_sub(1);
        let bytes = self.bytes(last * self.tensor().nb[1], 4 * self.count(0));
        bytes.as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
    }

    /// How a rotation turns its input.
    pub(super) fn rope(self) -> (Option<Rope>, PositionKind) {
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

/// A tensor's values where reading them costs little: in main memory those of the tensor, else a copy of them all,
/// since each read from a GPU waits for it.
pub(super) struct Near {
    node: Node,
    copy: Option<Vec<u8>>,
}

impl Near {
    /// As [`Node::floats`].
    pub(super) fn floats(&self, offset: usize, count: usize) -> Vec<f32> {
        let Some(copy) = &self.copy else { return self.node.floats(offset, count) };
        let kind = self.node.tensor().type_;
        let size = match kind {
            sys::GGML_TYPE_F32 => 4,
            sys::GGML_TYPE_F16 | sys::GGML_TYPE_BF16 => 2,
            _ => return Vec::new(),
        };
        let Some(bytes) = copy.get(offset..).and_then(|rest| rest.get(..size * count)) else {
            return Vec::new();
        };
        (0..count).map(|at| scalar(bytes, size * at, kind)).collect()
    }
}

/// What a tensor is a copy of on another backend: the scheduler calls that `BACKEND#NAME#NUMBER`.
fn original(name: &str) -> &str {
    let copied = name.split_once('#').and_then(|(_, rest)| rest.rsplit_once('#'));
    copied.map_or(name, |(name, _)| name)
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
pub(super) fn dequantised(bytes: &[u8], kind: sys::ggml_type, count: usize) -> Vec<f32> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_on_another_backend_goes_by_the_name_of_what_it_copies() {
        assert_eq!(original("CUDA0#blk.3.attn_output.weight#0"), "blk.3.attn_output.weight");
        assert_eq!(original("Vulkan1# leaf #2"), " leaf ");
        for own in ["blk.3.attn_output.weight", "l_out-3", "", "a#b"] {
            assert_eq!(original(own), own);
        }
    }

    /// A 3 × 2 tensor of this type in a buffer of the CPU's, with these bytes.
    fn with_tensor(kind: sys::ggml_type, bytes: &[u8], then: impl FnOnce(Node)) {
        // SAFETY: there is room for one tensor, whose buffer holds the bytes and is freed after its last use.
        unsafe {
            let context = sys::ggml_init(sys::ggml_init_params {
                mem_size: sys::ggml_tensor_overhead(),
                mem_buffer: std::ptr::null_mut(),
                no_alloc: true,
            });
            let tensor = sys::ggml_new_tensor_2d(context, kind, 3, 2);
            let buffer =
                sys::ggml_backend_alloc_ctx_tensors_from_buft(context, sys::ggml_backend_cpu_buffer_type());
            assert_eq!(sys::ggml_nbytes(tensor), bytes.len());
            sys::ggml_backend_tensor_set(tensor, bytes.as_ptr().cast(), 0, bytes.len());
            then(Node(tensor));
            sys::ggml_backend_buffer_free(buffer);
            sys::ggml_free(context);
        }
    }

    #[test]
    fn a_copy_is_read_as_the_tensor_is() {
        let floats: Vec<u8> = (0..6_u8).flat_map(|value| f32::from(value).to_le_bytes()).collect();
        // 0, 0.5, 1, 1.5, 2, -2 in half precision.
        let halves: Vec<u8> = [0, 0x3800, 0x3c00, 0x3e00, 0x4000, 0xc000_u16]
            .iter()
            .flat_map(|half| half.to_le_bytes())
            .collect();
        for (kind, bytes) in [(sys::GGML_TYPE_F32, floats), (sys::GGML_TYPE_F16, halves)] {
            with_tensor(kind, &bytes, |node| {
                let [size, row, ..] = node.tensor().nb;
                let far = Near { node, copy: Some(node.bytes(0, node.size())) };
                for (offset, count) in [(0, 6), (row, 3), (size, 1), (row, 4), (0, 0)] {
                    assert_eq!(far.floats(offset, count), node.floats(offset, count), "{offset} {count}");
                    assert_eq!(node.near().floats(offset, count), node.floats(offset, count));
                }
                assert_eq!(far.floats(row, 3).len(), 3);
                assert_eq!(node.columns(), node.floats(0, 6));
            });
        }
    }

    #[test]
    fn what_is_no_weight_is_no_operand() {
        with_tensor(sys::GGML_TYPE_F32, &[0; 24], |node| assert_eq!(node.operand(), None));
    }
}
