//! The evaluation callback: asked about every node of every graph before it is computed and told after, it copies
//! what a [`Plan`] names out of the running network and writes over what an [`Intervention`] changes.
//!
//! Nodes are known by the names of the weights they multiply with (the same in every family's files) and by
//! llama.cpp's own names where there is no weight. Tensors are read and written through their backend, wherever they
//! live.
//!
//! Invariant: with an empty plan and no changes it is not there ([`Probe::is_needed`]), or answers "no" to everything
//! once the operands are known. With it llama.cpp hands a graph over piece by piece, none of which a worker elsewhere or
//! a GPU knows again, so that each pass is sent anew. A node answered with "yes" ends a graph split; `schedule` keeps
//! those few. Only the last token of a batch is copied, but for [`Plan::residual_of_all`] and [`Plan::rows`]; changes reach
//! every token of it.

mod cells;
mod change;
mod families;
mod flash;
mod kind;
mod names;
mod node;
mod plan;
mod row;
mod rows;
mod schedule;
mod state;
mod visible;

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use llama_cpp_sys_2 as sys;
use sys::ggml_tensor;

pub use cells::Held;
pub use plan::{Captured, LayerCapture, Layers, Operands, Plan, Rope, Rows, Tail};

use self::names::leading_number;
use self::node::{Mark, Node, Strided, dequantised};
use self::state::State;
use crate::chat::Intervention;

/// What the callback works with. Shared with native code by address, so it stays where it was made.
#[derive(Debug, Default)]
pub struct Probe {
    /// Nodes it was asked about.
    asked: AtomicU64,
    /// Nodes it stopped after.
    stops: AtomicU64,
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
    pub(crate) fn absent() -> Self {
        Self { absent: true, ..Self::default() }
    }

    /// Whether it is never installed.
    pub(crate) fn is_absent(&self) -> bool {
        self.absent
    }

    /// How many nodes it was asked about so far; 0 means that it is not installed.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many nodes the passes stopped after so far; each stop costs the threads a meeting.
    #[must_use]
    pub fn stops(&self) -> u64 {
        self.stops.load(Ordering::Relaxed)
    }

    /// What the decodes from now on are to show; an empty plan ends it. What was copied before is dropped.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.state();
        if !plan.is_empty() && state.learnt != plan {
            state.schedule.forget();
            state.learnt = plan.clone();
        }
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
        let mut state = self.state();
        let mut captured = std::mem::take(&mut state.captured);
        if state.schedule.lost() > 0 {
            captured.missing.push("some values were written over before they were read".to_owned());
        }
        captured
    }

    /// Whether the next batch is of interest: something is to be copied or changed, or the operands are not known yet.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.active.load(Ordering::Relaxed) || !self.known.load(Ordering::Relaxed)
    }

    /// Whether it matters which cell of the cache holds which token.
    #[must_use]
    pub fn asks_where(&self) -> bool {
        self.state().plan.asks_where()
    }

    /// A batch is about to be decoded, with tokens at these positions of their sequences, each with whether it gives
    /// logits, after what the last one's sequence holds, if that matters.
    pub fn begin_batch(&self, tokens: impl Iterator<Item = (u32, bool)>, held: Held) {
        let mut state = self.state();
        state.begin(tokens, held);
        state.products.clear();
        state.visible.clear();
        state.hurried = false;
        state.mask = visible::Mask::default();
        let suits = state.cells.batch() == 1 && state.plan.may_wait() && state.changes.is_empty();
        state.schedule.begin(suits);
        if !state.plan.is_empty() {
            state.captured = Captured::default();
        }
    }

    /// Weight tensors seen so far.
    pub(crate) fn operands(&self) -> Operands {
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
        let active = self.active.load(Ordering::Relaxed);
        if op == sys::GGML_OP_SET_ROWS {
            let layer = || node.name().strip_prefix("cache_k_l").and_then(leading_number);
            if active && let Some((layer, list)) = layer().zip(node.source(1)) {
                self.state().store(layer, list);
            }
            return false;
        }
        if !self.known.load(Ordering::Relaxed) {
            self.learn(node, op);
        }
        active && self.state().wants(node, op)
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
            (sys::GGML_OP_GET_ROWS, "token_embd.weight") => operands.table = weight.operand(),
            (sys::GGML_OP_MUL_MAT, "output.weight" | "token_embd.weight") => {
                operands.output = weight.operand();
            }
            _ => return,
        }
        let known = operands.table.is_some() && operands.output.is_some() && operands.tail.is_some();
        self.known.store(known, Ordering::Relaxed);
    }

    /// The node was computed.
    fn computed(&self, node: Node) {
        self.stops.fetch_add(1, Ordering::Relaxed);
        if self.active.load(Ordering::Relaxed) {
            self.state().computed(node, node.op());
        }
    }
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
