//! The evaluation callback: asked about every node of every graph before and after it is computed, it is
//! how the inspector will read and change the inside of the network.
//!
//! Invariant: while nothing is to be captured it answers "no" to everything, which costs nothing measurable
//! on the CPU. A node answered with "yes" ends a graph split.

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use llama_cpp_sys_2::ggml_tensor;

/// What the callback works with. Shared with native code by address, so it stays where it was made.
#[derive(Debug, Default)]
pub struct Probe {
    /// Nodes it was asked about.
    asked: AtomicU64,
}

impl Probe {
    /// How many nodes it was asked about so far; 0 means that it is not installed.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether this node's values are wanted.
    fn wants(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// With `ask`, whether the node's values are wanted; without, whether to go on after it was computed.
///
/// # Safety
/// `user_data` is the address of a [`Probe`] that lives as long as the context.
pub(super) unsafe extern "C" fn evaluate(_: *mut ggml_tensor, ask: bool, user_data: *mut c_void) -> bool {
    // SAFETY: guaranteed by the owner of the context, who keeps the probe.
    let probe = unsafe { &*user_data.cast::<Probe>() };
    if ask { probe.wants() } else { true }
}
