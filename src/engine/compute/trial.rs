//! A little multiplying in every arithmetic that ggml's CPU backend has here: each format of weights, in each of the
//! arrangements that the backend would give them. What the processor cannot run ends the process by a trap.
//!
//! Invariant: only what the backend says it supports is asked of it, so that nothing but a trap ends the process.

use std::ffi::{CStr, OsStr, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use llama_cpp_sys_2 as sys;

use super::graph::{Graphs, Operand, Shelf};

/// Formats whose products differ in their instructions.
const FORMATS: [sys::ggml_type; 9] = [
    sys::GGML_TYPE_F32,
    sys::GGML_TYPE_F16,
    sys::GGML_TYPE_BF16,
    sys::GGML_TYPE_Q4_0,
    sys::GGML_TYPE_Q5_0,
    sys::GGML_TYPE_Q8_0,
    sys::GGML_TYPE_Q4_K,
    sys::GGML_TYPE_Q5_K,
    sys::GGML_TYPE_Q6_K,
];

/// Values of a row and rows of the weights: whole blocks of every format and whole tiles of every kernel.
const SHAPE: [i64; 2] = [256, 64];

/// Multiplies one column and many in each of them; gives how many products were made.
#[must_use]
pub fn multiply() -> usize {
    // SAFETY: asks ggml's registry; the device lives as long as the program.
    let device = unsafe { sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU) };
    if device.is_null() {
        return 0;
    }
    let mut graphs = Graphs::new(1);
    let pairs = arrangements(device).into_iter().flat_map(|kind| FORMATS.map(|format| (kind, format)));
    pairs.map(|(kind, format)| weigh(&mut graphs, device, kind, format)).sum()
}

/// The CPU's plain memory, and the arrangements that its kernels want weights in.
fn arrangements(device: sys::ggml_backend_dev_t) -> Vec<sys::ggml_backend_buffer_type_t> {
    // SAFETY: the device is one of ggml's own; the name is terminated. What comes back under it is a function of this
    // type, or null; it gives a list that ends with null, or null.
    unsafe {
        let mut kinds = vec![sys::ggml_backend_dev_buffer_type(device)];
        let registry = sys::ggml_backend_dev_backend_reg(device);
        let found =
            sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_dev_get_extra_bufts".as_ptr());
        let more: sys::ggml_backend_dev_get_extra_bufts_t = std::mem::transmute::<*mut c_void, _>(found);
        let mut next = more.map_or(std::ptr::null_mut(), |more| more(device));
        while !next.is_null() && !(*next).is_null() {
            kinds.push(*next);
            next = next.add(1);
        }
        kinds
    }
}

/// Multiplies with weights of one format in one arrangement, where the backend does that.
fn weigh(
    graphs: &mut Graphs,
    device: sys::ggml_backend_dev_t,
    kind: sys::ggml_backend_buffer_type_t,
    format: sys::ggml_type,
) -> usize {
    let (Ok(shelf), [length, rows]) = (Shelf::new(), SHAPE) else { return 0 };
    // SAFETY: the shelf has room for these tensors; the weights' buffer is as large as they are and is freed after the
    // last product. All bytes zero are a valid block of every format: its scale is nought.
    unsafe {
        let weights = sys::ggml_new_tensor_2d(shelf.0, format, length, rows);
        if !supported(device, kind, weights) {
            return 0;
        }
        let buffer = sys::ggml_backend_alloc_ctx_tensors_from_buft(shelf.0, kind);
        if buffer.is_null() {
            return 0;
        }
        let nothing = vec![0_u8; sys::ggml_nbytes(weights)];
        sys::ggml_backend_tensor_set(weights, nothing.as_ptr().cast(), 0, nothing.len());
        let columns = [1, 2, 40].map(|count| vec![0.5_f32; count * SHAPE[0] as usize]);
        let made =
            columns.iter().filter(|columns| graphs.multiply(Operand(weights), columns).is_ok()).count();
        sys::ggml_backend_buffer_free(buffer);
        made
    }
}

/// Whether weights of this shape and format may lie in such a buffer: asked with an empty one, as llama.cpp asks.
///
/// # Safety
/// The tensor has no buffer yet, and the device and kind are ggml's own.
unsafe fn supported(
    device: sys::ggml_backend_dev_t,
    kind: sys::ggml_backend_buffer_type_t,
    weights: *mut sys::ggml_tensor,
) -> bool {
    let Ok(shelf) = Shelf::new() else { return false };
    // SAFETY: as documented; the buffer is taken from the tensor again before it is freed.
    unsafe {
        let empty = sys::ggml_backend_buft_alloc_buffer(kind, 0);
        if empty.is_null() {
            return false;
        }
        (*weights).buffer = empty;
        let input = sys::ggml_new_tensor_2d(shelf.0, sys::GGML_TYPE_F32, (*weights).ne[0], 40);
        let answer = sys::ggml_backend_dev_supports_op(device, sys::ggml_mul_mat(shelf.0, weights, input));
        (*weights).buffer = std::ptr::null_mut();
        sys::ggml_backend_buffer_free(empty);
        answer
    }
}

/// The name of the library that the CPU's backend was loaded from; `None` where it is part of the program.
#[must_use]
pub fn variant() -> Option<String> {
    // SAFETY: asks the registry for a function of the CPU's backend; `dladdr` fills in what it knows of where the
    // function lies, with a terminated name that lives as long as the library.
    let file = unsafe {
        let device = sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU);
        if device.is_null() {
            return None;
        }
        let registry = sys::ggml_backend_dev_backend_reg(device);
        let function =
            sys::ggml_backend_reg_get_proc_address(registry, c"ggml_backend_set_n_threads".as_ptr());
        let mut found: libc::Dl_info = std::mem::zeroed();
        if function.is_null() || libc::dladdr(function, &raw mut found) == 0 || found.dli_fname.is_null() {
            return None;
        }
        Path::new(OsStr::from_bytes(CStr::from_ptr(found.dli_fname).to_bytes())).file_name()?.to_owned()
    };
    file.into_string().ok().filter(|name| name.contains("ggml-cpu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_multiplied_with_in_plain_memory_at_least() {
        crate::engine::model::load::backend().unwrap();
        assert!(multiply() >= FORMATS.len() * 3, "{}", multiply());
    }

    #[test]
    fn a_backend_that_is_part_of_the_program_is_no_variant() {
        crate::engine::model::load::backend().unwrap();
        assert_eq!(variant().is_some(), cfg!(feature = "dynamic-backends"));
    }
}
