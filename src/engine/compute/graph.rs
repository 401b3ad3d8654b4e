//! Small ggml graphs beside llama.cpp's own, with the loaded model's weights as operands, computed where the
//! weights lie.
//!
//! Invariant: a weight is only ever an operand. It is not read, since it may lie rearranged, and not written; a
//! graph whose backend cannot compute it is an error, since computing it would end the process.

use std::ffi::{c_int, c_void};

use llama_cpp_sys_2 as sys;

/// A weight tensor inside the loaded model, found by the probe as a source of a node; valid as long as the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand(pub(crate) *mut sys::ggml_tensor);

// SAFETY: the tensor belongs to the model, which any thread may use, and is only read.
unsafe impl Send for Operand {}

/// Why a graph gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// The operands do not fit each other.
    #[error("The numbers do not fill whole columns of the matrix.")]
    Shape,
    /// The weight is not a plain matrix in a buffer.
    #[error("The weight is not a matrix that a graph can be made with.")]
    NoMatrix,
    /// The weight's backend cannot be used beside llama.cpp, or has no such operation.
    #[error("The backend that holds the weight cannot multiply with it on its own.")]
    Backend,
    /// No memory for the graph.
    #[error("There is not enough memory for the multiplication.")]
    Memory,
    /// The backend gave up.
    #[error("The backend could not finish the multiplication.")]
    Compute,
}

/// What computes the graphs: one backend for each device that weights were found on, made when first needed.
pub struct Graphs {
    threads: u32,
    runners: Vec<Runner>,
}

impl Operand {
    /// Values of a row, and the number of rows, if it is a plain matrix.
    #[must_use]
    pub fn shape(self) -> Option<(usize, usize)> {
        // SAFETY: the tensor lives as long as the model, as documented.
        let [length, rows, outer, outermost] = unsafe { (*self.0).ne };
        if outer != 1 || outermost != 1 {
            return None;
        }
        Some((usize::try_from(length).ok()?, usize::try_from(rows).ok()?))
    }

    /// The buffer it lies in; null where it has none.
    fn buffer(self) -> *mut sys::ggml_backend_buffer {
        // SAFETY: as above; a view's source is a tensor of the same model.
        unsafe {
            match (*self.0).view_src {
                source if source.is_null() => (*self.0).buffer,
                source => (*source).buffer,
            }
        }
    }
}

impl Graphs {
    /// Nothing is made yet; on the CPU so many threads will be used.
    #[must_use]
    pub fn new(threads: u32) -> Self {
        Self { threads: threads.max(1), runners: Vec::new() }
    }

    /// The weight times each of `columns`, which lie one after the other, each as long as a row of the weight. For
    /// each column comes one value a row, again one column after the other.
    ///
    /// The products are the backend's own: on the CPU a quantised weight meets numbers rounded to 8 bits.
    ///
    /// # Errors
    /// Where the shapes do not fit or the backend cannot do it.
    pub fn multiply(&mut self, weight: Operand, columns: &[f32]) -> Result<Vec<f32>, GraphError> {
        let (length, rows) = weight.shape().ok_or(GraphError::NoMatrix)?;
        if length == 0 || !columns.len().is_multiple_of(length) {
            return Err(GraphError::Shape);
        }
        let count = columns.len() / length;
        if count == 0 || rows == 0 {
            return Ok(Vec::new());
        }
        self.runner(weight)?.multiply(weight, columns, [length, rows, count])
    }

    fn runner(&mut self, weight: Operand) -> Result<&Runner, GraphError> {
        let device = device_of(weight)?;
        let known = self.runners.iter().position(|runner| runner.device == device);
        if known.is_none() {
            self.runners.push(Runner::new(device, self.threads)?);
        }
        let at = known.unwrap_or(self.runners.len() - 1);
        Ok(&self.runners[at])
    }
}

/// The device that computes with a weight where it lies: the CPU for anything in main memory.
fn device_of(weight: Operand) -> Result<sys::ggml_backend_dev_t, GraphError> {
    let buffer = weight.buffer();
    if buffer.is_null() {
        return Err(GraphError::NoMatrix);
    }
    // SAFETY: the buffer belongs to the model; its type and devices live as long as the program.
    let device = unsafe {
        let kind = sys::ggml_backend_buffer_get_type(buffer);
        if sys::ggml_backend_buft_is_host(kind) {
            sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU)
        } else {
            sys::ggml_backend_buft_get_device(kind)
        }
    };
    if device.is_null() { Err(GraphError::Backend) } else { Ok(device) }
}

/// A backend of our own on one device, and what allots memory for its graphs, which grows and is used again.
struct Runner {
    device: sys::ggml_backend_dev_t,
    backend: sys::ggml_backend_t,
    memory: sys::ggml_gallocr_t,
}

// SAFETY: both are used by one thread at a time, and neither is bound to the one that made it.
unsafe impl Send for Runner {}

impl Runner {
    fn new(device: sys::ggml_backend_dev_t, threads: u32) -> Result<Self, GraphError> {
        // SAFETY: the device is one of ggml's own; a backend without parameters is always allowed.
        let backend = unsafe { sys::ggml_backend_dev_init(device, std::ptr::null()) };
        if backend.is_null() {
            return Err(GraphError::Backend);
        }
        set_threads(device, backend, threads);
        // SAFETY: the backend was just made; its buffer type lives as long as the program.
        let memory = unsafe { sys::ggml_gallocr_new(sys::ggml_backend_get_default_buffer_type(backend)) };
        let runner = Self { device, backend, memory };
        if memory.is_null() { Err(GraphError::Memory) } else { Ok(runner) }
    }

    /// `[length, rows, count]`: of the weight's rows, how many there are, and columns.
    fn multiply(
        &self,
        weight: Operand,
        columns: &[f32],
        [length, rows, count]: [usize; 3],
    ) -> Result<Vec<f32>, GraphError> {
        let size = |size: usize| i64::try_from(size).map_err(|_| GraphError::Memory);
        let mut out = vec![0.0_f32; rows.checked_mul(count).ok_or(GraphError::Memory)?];
        let context = Shelf::new()?;
        // SAFETY: the shelf has room for a graph of this many nodes. The weight is a leaf of the graph with data of
        // its own, so memory is allotted for the other two alone; the input is `length * count` floats and the
        // product `rows * count`, which is what is copied in and out.
        unsafe {
            let input = sys::ggml_new_tensor_2d(context.0, sys::GGML_TYPE_F32, size(length)?, size(count)?);
            sys::ggml_set_input(input);
            let product = sys::ggml_mul_mat(context.0, weight.0, input);
            sys::ggml_set_output(product);
            let graph = sys::ggml_new_graph_custom(context.0, NODES, false);
            sys::ggml_build_forward_expand(graph, product);
            if !sys::ggml_gallocr_alloc_graph(self.memory, graph) {
                return Err(GraphError::Memory);
            }
            if !sys::ggml_backend_supports_op(self.backend, product) {
                return Err(GraphError::Backend);
            }
            sys::ggml_backend_tensor_set(input, columns.as_ptr().cast(), 0, size_of_val(columns));
            if sys::ggml_backend_graph_compute(self.backend, graph) != sys::GGML_STATUS_SUCCESS {
                return Err(GraphError::Compute);
            }
            let bytes = size_of_val(out.as_slice());
            sys::ggml_backend_tensor_get(product, out.as_mut_ptr().cast(), 0, bytes);
        }
        Ok(out)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // SAFETY: both were made by `new` and are used by nothing else; freeing nothing is allowed for neither.
        unsafe {
            if !self.memory.is_null() {
                sys::ggml_gallocr_free(self.memory);
            }
            sys::ggml_backend_free(self.backend);
        }
    }
}

/// Says how many threads a backend may use, where that means something.
fn set_threads(device: sys::ggml_backend_dev_t, backend: sys::ggml_backend_t, threads: u32) {
    // SAFETY: the registry of a device of ggml's own; the name is terminated. What comes back under it is a function
    // of this type in every backend that has it, or null.
    unsafe {
        let registry = sys::ggml_backend_dev_backend_reg(device);
        let found = sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_set_n_threads".as_ptr());
        let set: Option<unsafe extern "C" fn(sys::ggml_backend_t, c_int)> =
            std::mem::transmute::<*mut c_void, _>(found);
        if let Some(set) = set {
            set(backend, c_int::try_from(threads).unwrap_or(c_int::MAX));
        }
    }
}

/// Nodes and leaves that a graph here has at most.
const NODES: usize = 8;

/// Where the descriptions of a graph's tensors stand; the numbers themselves lie elsewhere.
pub(super) struct Shelf(pub(super) *mut sys::ggml_context);

impl Shelf {
    pub(super) fn new() -> Result<Self, GraphError> {
        // SAFETY: the sizes are constants of the build; without a buffer of ours ggml makes and frees its own.
        let context = unsafe {
            sys::ggml_init(sys::ggml_init_params {
                mem_size: NODES * sys::ggml_tensor_overhead() + sys::ggml_graph_overhead_custom(NODES, false),
                mem_buffer: std::ptr::null_mut(),
                no_alloc: true,
            })
        };
        if context.is_null() { Err(GraphError::Memory) } else { Ok(Self(context)) }
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // SAFETY: made by `new`; no tensor of it is used any more.
        unsafe { sys::ggml_free(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 3 × 2 matrix of floats in a buffer of the CPU's, for as long as the closure runs.
    fn with_matrix(rows: &[[f32; 3]; 2], then: impl FnOnce(Operand)) {
        let shelf = Shelf::new().unwrap();
        // SAFETY: the tensor's buffer holds its six floats and is freed after its last use.
        unsafe {
            let tensor = sys::ggml_new_tensor_2d(shelf.0, sys::GGML_TYPE_F32, 3, 2);
            let buffer =
                sys::ggml_backend_alloc_ctx_tensors_from_buft(shelf.0, sys::ggml_backend_cpu_buffer_type());
            sys::ggml_backend_tensor_set(tensor, rows.as_ptr().cast(), 0, size_of_val(rows));
            then(Operand(tensor));
            sys::ggml_backend_buffer_free(buffer);
        }
    }

    #[test]
    fn each_column_is_multiplied_with_each_row() {
        with_matrix(&[[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]], |matrix| {
            assert_eq!(matrix.shape(), Some((3, 2)));
            let mut graphs = Graphs::new(2);
            assert_eq!(graphs.multiply(matrix, &[1.0, 1.0, 1.0]), Ok(vec![6.0, -0.5]));
            let two = graphs.multiply(matrix, &[1.0, 0.0, 0.0, 0.0, 2.0, 2.0]);
            assert_eq!(two, Ok(vec![1.0, 0.0, 10.0, -1.0]));
            assert_eq!(graphs.multiply(matrix, &[]), Ok(Vec::new()));
        });
    }

    #[test]
    fn numbers_that_fill_no_whole_column_are_refused() {
        with_matrix(&[[0.0; 3]; 2], |matrix| {
            assert_eq!(Graphs::new(1).multiply(matrix, &[1.0, 2.0]), Err(GraphError::Shape));
        });
    }

    #[test]
    fn a_weight_outside_any_buffer_is_refused() {
        let shelf = Shelf::new().unwrap();
        // SAFETY: there is room for one tensor.
        let tensor = unsafe { sys::ggml_new_tensor_2d(shelf.0, sys::GGML_TYPE_F32, 1, 1) };
        assert_eq!(Graphs::new(1).multiply(Operand(tensor), &[1.0]), Err(GraphError::NoMatrix));
    }
}
