//! What an [`Intervention`] does to a node that was just computed: zeros, other values, a push along a direction.
//!
//! Invariant: a node is written before anything that reads it has run, and only where a change names its block; what
//! is copied out of it afterwards is what the network goes on with.

use llama_cpp_sys_2 as sys;

use super::kind::Kind;
use super::names::weight_of;
use super::state::State;
use super::{Node, leading_number};
use crate::chat::{HookPoint, Intervention, Steering};

/// The block of a down projection and the name of what it is given; `None` for other nodes.
pub(super) fn input_of(node: Node, op: sys::ggml_op, weight: Node) -> Option<(u32, String)> {
    if op != sys::GGML_OP_MUL_MAT && op != sys::GGML_OP_MUL_MAT_ID {
        return None;
    }
    let (layer, name) = weight_of(weight.name())?;
    let is_down = matches!(name, "ffn_down.weight" | "ffn_down_exps.weight");
    let input = node.source(1).filter(|_| is_down)?;
    Some((layer, input.name().to_owned()))
}

impl State {
    fn changes(&self, layer: u32) -> impl Iterator<Item = &Intervention> {
        self.changes.iter().filter(move |change| change.is_in(layer))
    }

    /// Whether some change writes over a node of that kind.
    pub(super) fn changes_node(&self, kind: Kind) -> bool {
        if self.changes.is_empty() {
            return false;
        }
        let Some(layer) = kind.written() else { return false };
        self.changes(layer).any(|change| writes(change, kind))
    }

    /// Does to a node what the changes ask.
    pub(super) fn change(&mut self, node: Node, kind: Kind) {
        let Some(layer) = kind.written() else { return };
        let positions = match kind {
            Kind::After(_) => self.cells.columns(layer, node.count(1)),
            _ => Vec::new(),
        };
        for change in self.changes(layer).filter(|change| writes(change, kind)) {
            match change {
                Intervention::ZeroHead { head, .. } => {
                    let count = self.heads.get(layer as usize).copied().unwrap_or_default();
                    node.fill(slice(node, *head, count), None);
                }
                Intervention::Replace { site: HookPoint::Head { head, .. }, values } => {
                    let count = self.heads.get(layer as usize).copied().unwrap_or_default();
                    node.fill(slice(node, *head, count), Some(values));
                }
                Intervention::Replace { values, .. } => node.fill(Some((0, node.count(0))), Some(values)),
                Intervention::Steer(push) => node.push(push, &positions),
                Intervention::ZeroAttention { .. }
                | Intervention::ZeroFfn { .. }
                | Intervention::ZeroNeuron { .. } => node.zero(),
                Intervention::Adapter(_) => {}
            }
        }
    }

    /// The block whose down projection is given this node, if some change writes over one of its values.
    pub(super) fn changed_input(&self, node: Node) -> Option<u32> {
        let of = |change: &Intervention| match change {
            Intervention::ZeroNeuron { layer, .. }
            | Intervention::Replace { site: HookPoint::Neuron { layer, .. }, .. } => Some(*layer),
            _ => None,
        };
        // Most decodes change no neuron, and a name is not worth comparing then.
        self.changes.iter().filter_map(of).find(|layer| {
            let name = node.name();
            let here = name.rsplit_once('-').and_then(|(_, layer)| leading_number(layer)) == Some(*layer);
            here && self.inputs.get(layer).is_some_and(|input| input == name)
        })
    }

    /// Writes over the changed inputs of a block's down projection.
    pub(super) fn change_neurons(&self, node: Node, layer: u32) {
        for change in self.changes(layer) {
            match change {
                Intervention::ZeroNeuron { neuron, .. } => node.fill(Some((*neuron as usize, 1)), None),
                Intervention::Replace { site: HookPoint::Neuron { neuron, .. }, values } => {
                    node.fill(Some((*neuron as usize, 1)), Some(values));
                }
                _ => {}
            }
        }
    }
}

impl Kind {
    /// The block whose part this is, for the kinds that changes write over.
    fn written(self) -> Option<u32> {
        match self {
            Self::After(layer)
            | Self::Heads(layer)
            | Self::AttentionOut(layer)
            | Self::StateOut(layer)
            | Self::Down(layer)
            | Self::DownExperts(layer)
            | Self::DownShared(layer) => Some(layer),
            _ => None,
        }
    }
}

/// Whether a change of that block writes over a node of that kind.
fn writes(change: &Intervention, kind: Kind) -> bool {
    match change {
        Intervention::ZeroHead { .. } | Intervention::Replace { site: HookPoint::Head { .. }, .. } => {
            matches!(kind, Kind::Heads(_))
        }
        Intervention::ZeroAttention { .. }
        | Intervention::Replace { site: HookPoint::Attention { .. }, .. } => {
            matches!(kind, Kind::AttentionOut(_) | Kind::StateOut(_))
        }
        Intervention::ZeroFfn { .. } => {
            matches!(kind, Kind::Down(_) | Kind::DownExperts(_) | Kind::DownShared(_))
        }
        Intervention::Replace { site: HookPoint::Ffn { .. }, .. } => matches!(kind, Kind::Down(_)),
        Intervention::Steer(_) | Intervention::Replace { site: HookPoint::Stream { .. }, .. } => {
            matches!(kind, Kind::After(_))
        }
        Intervention::ZeroNeuron { .. }
        | Intervention::Replace { site: HookPoint::Neuron { .. }, .. }
        | Intervention::Adapter(_) => false,
    }
}

/// Where a head's values begin in every token's column, and how many they are.
fn slice(node: Node, head: u32, count: usize) -> Option<(usize, usize)> {
    let (head, size) = (head as usize, node.count(0).checked_div(count)?);
    (head < count).then_some((head * size, size))
}

impl Node {
    /// Writes zeros over all values.
    fn zero(self) {
        self.write(0, &vec![0_u8; self.size()]);
    }

    /// Writes over a stretch (first value, how many) of every token's column: zeros, or these values where they are
    /// as many.
    fn fill(self, stretch: Option<(usize, usize)>, values: Option<&[f32]>) {
        let Some((first, count)) = stretch else { return };
        if self.tensor().type_ != sys::GGML_TYPE_F32 || first + count > self.count(0) {
            return;
        }
        let bytes = match values {
            None => vec![0_u8; 4 * count],
            Some(values) if values.len() == count => bytes(values),
            Some(_) => return,
        };
        for token in 0..self.count(1) {
            self.write(token * self.tensor().nb[1] + 4 * first, &bytes);
        }
    }

    /// Adds α ‖h‖ d̂ to every token's column h, at these positions.
    fn push(self, push: &Steering, positions: &[u32]) {
        let Steering { strength, direction, first_position, .. } = push;
        if self.tensor().type_ != sys::GGML_TYPE_F32 || direction.len() != self.count(0) || *strength == 0.0 {
            return;
        }
        for token in (0..self.count(1)).filter(|token| *first_position || positions.get(*token) != Some(&0)) {
            let mut column = self.column(token);
            let squares: f64 = column.iter().map(|value| f64::from(*value).powi(2)).sum();
            let length = strength * squares.sqrt() as f32;
            column.iter_mut().zip(direction).for_each(|(value, along)| *value += length * along);
            self.write(token * self.tensor().nb[1], &bytes(&column));
        }
    }

    fn write(self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() || offset.checked_add(bytes.len()).is_none_or(|end| end > self.size()) {
            return;
        }
        // SAFETY: the range lies within the tensor, which was just computed and whose readers have not run yet; it is
        // no weight.
        unsafe { sys::ggml_backend_tensor_set(self.0, bytes.as_ptr().cast(), offset, bytes.len()) };
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
