//! Where a pass is stopped, so that all that is wanted of it is read in few stops.
//!
//! Each stop ends a graph split: the threads meet and start over, which on a small model costs more than the copy.
//! Memory is given to another tensor only once its readers have run, so most values are still there some nodes later
//! and several can be read at one stop. Which, and how late, is learnt from a pass that stopped at each of them: from
//! the addresses that its nodes wrote to.
//!
//! Invariant: a value is read late only if every node since it was computed is the one of the learnt pass (by address,
//! shape, operation, sources and name) and none of them wrote into its memory. Where a pass turns out to be another
//! one, what is still there is read at once, and the rest is not told.

use llama_cpp_sys_2 as sys;

use super::kind::Kind;
use super::plan::Plan;
use super::{Mark, Node};
use crate::engine::compute::graph::Operand;

/// Addresses, from the first to one past the last; equal ones mean none.
pub(super) type Span = (usize, usize);

/// A node of the learnt pass.
#[derive(Clone, Copy, Debug)]
struct Seen {
    mark: Mark,
    /// What it writes.
    writes: Span,
    /// Whether that lies in main memory, where nothing but the nodes writes.
    host: bool,
    /// What it is, if its values are wanted.
    wanted: Option<Kind>,
    /// Where those lie; `None` where they are read as soon as it was computed.
    reads: Option<[Span; 2]>,
    /// Whether the pass stops after it.
    stop: bool,
}

/// A value that was computed and is not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// Its node.
    node: Operand,
    /// What it is.
    pub(super) kind: Kind,
    reads: [Span; 2],
}

impl Waiting {
    /// Its node, alive while the pass runs.
    pub(super) fn node(&self) -> Node {
        Node(self.node.0)
    }
}

/// How the pass at hand goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    /// Each wanted value is read where it is computed.
    #[default]
    Plain,
    /// Likewise, and what comes is noted.
    Learning,
    /// As it was learnt.
    Following,
}

/// What is known of a node before it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is the learnt pass's: whether to stop after it.
    Known(bool),
    /// Nothing; `hurry` is whether values wait that have to be read after it.
    New {
        /// Whether values wait.
        hurry: bool,
    },
}

/// The learnt pass, and how far the one at hand has followed it.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    seen: Vec<Seen>,
    /// Whether stops were chosen for all of `seen`.
    chosen: bool,
    mode: Mode,
    at: usize,
    waiting: Vec<Waiting>,
    lost: usize,
}

impl Schedule {
    /// Something else is wanted from now on.
    pub(super) fn forget(&mut self) {
        self.seen.clear();
        self.chosen = false;
    }

    /// A pass begins; `suits` is whether it is of one token and copies nothing that has to be read at once.
    pub(super) fn begin(&mut self, suits: bool) {
        self.waiting.clear();
        (self.at, self.lost) = (0, 0);
        self.mode = match suits {
            false => Mode::Plain,
            true if self.seen.is_empty() => Mode::Learning,
            true => Mode::Following,
        };
        if self.mode == Mode::Following && !self.chosen {
            choose(&mut self.seen);
            self.chosen = true;
        }
    }

    /// A node's turn comes.
    pub(super) fn ask(&mut self, node: Node) -> Asked {
        if self.mode != Mode::Following {
            return Asked::New { hurry: false };
        }
        let mark = node.mark();
        if let Some(seen) = self.seen.get(self.at).filter(|seen| seen.mark == mark) {
            self.at += 1;
            if let Some(kind) = seen.wanted {
                let reads = seen.reads.unwrap_or_default();
                self.waiting.push(Waiting { node: Operand(node.0), kind, reads });
            }
            return Asked::Known(seen.stop);
        }
        self.seen.truncate(self.at);
        self.chosen = false;
        self.mode = Mode::Learning;
        let (before, writes) = (self.waiting.len(), node.writes());
        self.waiting.retain(|waiting| !waiting.reads.iter().any(|read| meet(*read, writes)));
        self.lost += before - self.waiting.len();
        Asked::New { hurry: !self.waiting.is_empty() }
    }

    /// Notes a node that was not known, and what it is if it is wanted.
    pub(super) fn learn(&mut self, node: Node, wanted: Option<Kind>, plan: &Plan) {
        if self.mode != Mode::Learning {
            return;
        }
        let reads = wanted.filter(|kind| may_wait(*kind, node.op(), plan)).map(|kind| {
            let mask = node.source(1).filter(|_| matches!(kind, Kind::Softmax(_)));
            [node.span(), mask.map(Node::span).unwrap_or_default()]
        });
        let (mark, writes) = (node.mark(), node.writes());
        let host = writes.0 == writes.1 || node.is_host();
        self.seen.push(Seen { mark, writes, host, wanted, reads, stop: false });
    }

    /// Whether the pass is the learnt one so far.
    pub(super) fn follows(&self) -> bool {
        self.mode == Mode::Following
    }

    /// What waits to be read, which is to be read now.
    pub(super) fn due(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    /// How many values of the pass were written over before they were read.
    pub(super) fn lost(&self) -> usize {
        self.lost + self.waiting.len()
    }
}

/// Whether a value may be read later than at its own node. Norms may be computed together with the node after them and
/// then leave nothing; what is read of a node's inputs may be gone.
fn may_wait(kind: Kind, op: sys::ggml_op, plan: &Plan) -> bool {
    if [sys::GGML_OP_RMS_NORM, sys::GGML_OP_NORM].contains(&op) {
        return false;
    }
    match kind {
        Kind::After(_) | Kind::Between(_) | Kind::Heads(_) | Kind::Softmax(_) | Kind::Mixture(_) => true,
        Kind::AttentionOut(_) => !plan.z,
        Kind::Down(layer) => !plan.neurons.has(layer),
        _ => false,
    }
}

/// Chooses the fewest stops at which each wanted value is still there: each as early as those before it allow.
fn choose(seen: &mut [Seen]) {
    let host = seen.iter().all(|seen| seen.host);
    // The stop that is being put together: after which node, and after which at the latest.
    let mut open: Option<(usize, usize)> = None;
    for at in 0..seen.len() {
        seen[at].stop = false;
        if seen[at].wanted.is_none() {
            continue;
        }
        let latest = match seen[at].reads.filter(|_| host) {
            Some(reads) => intact(seen, at, reads),
            None => at,
        };
        open = match open {
            Some((_, until)) if at <= until => Some((at, until.min(latest))),
            Some((before, _)) => {
                seen[before].stop = true;
                Some((at, latest))
            }
            None => Some((at, latest)),
        };
    }
    if let Some((last, _)) = open {
        seen[last].stop = true;
    }
}

/// The last node after which the values of the node at `at` are still there.
fn intact(seen: &[Seen], at: usize, reads: [Span; 2]) -> usize {
    let written = |later: &Seen| reads.iter().any(|read| meet(*read, later.writes));
    at + seen[at + 1..].iter().position(written).unwrap_or(seen.len() - 1 - at)
}

fn meet(a: Span, b: Span) -> bool {
    a.0.max(b.0) < a.1.min(b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that writes there; wanted ones may wait.
    fn node(writes: Span, wanted: bool) -> Seen {
        Seen {
            mark: Mark::default(),
            writes,
            host: true,
            wanted: wanted.then_some(Kind::After(0)),
            reads: wanted.then_some([writes, (0, 0)]),
            stop: false,
        }
    }

    fn check(nodes: &[Seen], stops: &[usize]) {
        let mut nodes = nodes.to_vec();
        choose(&mut nodes);
        let chosen: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].stop).collect();
        assert_eq!(chosen, stops);
    }

    #[test]
    fn values_that_stay_are_read_together_and_before_any_is_written_over() {
        let (a, b, c) = ((0, 8), (8, 16), (16, 24));
        // Nothing is written over.
        check(&[node(a, true), node(b, true), node(c, true)], &[2]);
        // The third node is computed in place of the first.
        check(&[node(a, true), node(b, true), node(a, true)], &[1, 2]);
        // A node nobody wants takes the memory of the first before the second is there.
        check(&[node(a, true), node((4, 6), false), node(b, true)], &[0, 2]);
        // A view writes nothing.
        check(&[node(a, true), node((0, 0), false), node(b, true)], &[2]);
        check(&[node(a, false)], &[]);
    }

    #[test]
    fn what_cannot_wait_is_read_at_once_with_all_that_waits() {
        let at_once = |writes| Seen { reads: None, ..node(writes, true) };
        check(&[node((0, 8), true), at_once((8, 16)), node((16, 24), true)], &[1, 2]);
    }

    #[test]
    fn another_memory_than_the_main_one_is_read_node_by_node() {
        let far = Seen { host: false, ..node((24, 32), false) };
        check(&[node((0, 8), true), node((8, 16), true), far], &[0, 1]);
    }

    #[test]
    fn a_value_hangs_on_all_that_is_read_for_it() {
        let masked = Seen { reads: Some([(0, 8), (32, 40)]), ..node((0, 8), true) };
        check(&[masked, node((36, 44), false), node((8, 16), true)], &[0, 2]);
    }
}
