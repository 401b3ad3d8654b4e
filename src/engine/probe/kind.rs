//! What a node of a graph is: the map from a family's graph to the parts that are copied and changed.
//!
//! Invariant: a node is known by the weight that it multiplies with, the same in every family's files, or by
//! llama.cpp's own name where there is none; several nodes of one kind replace each other, the last counts.

use llama_cpp_sys_2 as sys;

use super::names::weight_of;
use super::{Node, families};

/// What a node is to the probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The stream that enters block 0.
    Embedding,
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
    /// The output projection of attention that keeps a state in place of a past (a gated delta net), without heads.
    StateOut(u32),
    /// The down projection.
    Down(u32),
    /// The down projection of a mixture's experts.
    DownExperts(u32),
    /// The down projection of the experts that a mixture always uses.
    DownShared(u32),
    /// What a mixture gives.
    Mixture(u32),
    /// The gate on what the experts give that are always used.
    SharedGate(u32),
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

/// llama.cpp's name for what attention with a state adds.
const LINEAR: &str = "linear_attn_out";

impl Kind {
    /// What a node is; `None` for one that nothing is done with.
    pub(super) fn of(node: Node, op: sys::ggml_op) -> Option<Self> {
        if op == sys::GGML_OP_MUL_MAT || op == sys::GGML_OP_MUL_MAT_ID {
            if let Some((layer, weight)) = node.source(0).and_then(|weight| weight_of(weight.name())) {
                return match weight {
                    "attn_output.weight" => Some(Self::AttentionOut(layer)),
                    "ffn_down.weight" => Some(Self::Down(layer)),
                    "ffn_down_exps.weight" => Some(Self::DownExperts(layer)),
                    "ffn_down_shexp.weight" => Some(Self::DownShared(layer)),
                    // The weight alone does not tell: blocks may have such a state beside attention.
                    "ssm_out.weight" if node.name().starts_with(LINEAR) => Some(Self::StateOut(layer)),
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
        if op == sys::GGML_OP_FLASH_ATTN_EXT {
            return families::flash_layer(node).map(Self::Flash);
        }
        match families::biased(node, op) {
            Some((layer, "attn_output.bias")) => return Some(Self::AttentionOut(layer)),
            Some((layer, "ffn_down.bias")) => return Some(Self::Down(layer)),
            Some((layer, "ffn_down_exps.bias")) => return Some(Self::DownExperts(layer)),
            _ => {}
        }
        match families::adapted(node, op) {
            Some((layer, "attn_output.weight")) => return Some(Self::AttentionOut(layer)),
            Some((layer, "ffn_down.weight")) => return Some(Self::Down(layer)),
            Some((layer, "ffn_down_exps.weight")) => return Some(Self::DownExperts(layer)),
            Some((layer, "ffn_down_shexp.weight")) => return Some(Self::DownShared(layer)),
            _ => {}
        }
        if families::is_embedding(node.name()) {
            return Some(Self::Embedding);
        }
        let (name, layer) = node.name().rsplit_once('-')?;
        let layer = layer.parse().ok()?;
        match (name, op) {
            ("l_out", _) => Some(Self::After(layer)),
            ("ffn_inp" | "sa_out" | "attn_residual", _) => Some(Self::Between(layer)),
            (LINEAR, _) => Some(Self::StateOut(layer)),
            ("kqv_out", _) => Some(Self::Heads(layer)),
            ("kq", sys::GGML_OP_MUL_MAT) => Some(Self::Products(layer)),
            ("kq_soft_max", sys::GGML_OP_SOFT_MAX) => Some(Self::Softmax(layer)),
            ("kqv", sys::GGML_OP_MUL_MAT) => Some(Self::Mixed(layer)),
            ("Qcur", sys::GGML_OP_ROPE) => Some(Self::Rotated(layer)),
            ("ffn_moe_weights" | "ffn_moe_weights_norm" | "ffn_moe_weights_scaled", _) => {
                Some(Self::ExpertWeights(layer))
            }
            ("ffn_moe_out" | "ffn_out", _) => Some(Self::Mixture(layer)),
            ("ffn_shexp_gate", _) => Some(Self::SharedGate(layer)),
            _ => None,
        }
    }
}
