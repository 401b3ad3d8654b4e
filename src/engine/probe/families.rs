//! Where families' graphs differ: biases after projections, how positions and caps enter, which block a nameless
//! node belongs to, and what is done to the output matrix's products.
//!
//! Invariant: all is read off the graph itself, not off the family's name, so that a family nobody has looked at is
//! read the same way.

use llama_cpp_sys_2 as sys;

use super::names::weight_of;
use super::plan::Tail;
use super::{Node, leading_number};
use crate::inspect::trace::PositionKind;

/// What a bias after a projection belongs to: the block and the name of its weight.
pub(super) fn biased<'a>(node: Node, op: sys::ggml_op) -> Option<(u32, &'a str)> {
    let bias = [sys::GGML_OP_ADD, sys::GGML_OP_ADD_ID].contains(&op).then(|| node.source(1)).flatten()?;
    weight_of(bias.name())
}

/// What a LoRA adapter's part is added to: the block and the name of the weight.
pub(super) fn adapted<'a>(node: Node, op: sys::ggml_op) -> Option<(u32, &'a str)> {
    let scaled = (op == sys::GGML_OP_ADD).then(|| node.source(1)).flatten()?;
    let product = scaled.source(0).filter(|_| scaled.op() == sys::GGML_OP_SCALE)?;
    let (layer, name) = weight_of(product.source(0)?.name())?;
    Some((layer, name.strip_suffix(".lora_b")?))
}

/// The block that flash attention is of: its node has no name, its keys come from the block's cache.
pub(super) fn flash_layer(node: Node) -> Option<u32> {
    let mut keys = node.source(1)?;
    for _ in 0..4 {
        if let Some(layer) = keys.name().strip_prefix("cache_k_l").and_then(leading_number) {
            return Some(layer);
        }
        keys = keys.source(0)?;
    }
    None
}

/// The rotation that a query came out of, before it was laid out or scaled for its products with keys.
pub(super) fn rotated(query: Node) -> Option<Node> {
    let apart = [sys::GGML_OP_MUL_MAT, sys::GGML_OP_GET_ROWS, sys::GGML_OP_CONCAT];
    let before = |node: &Node| node.source(0).filter(|_| !apart.contains(&node.op()));
    let mut way = std::iter::successors(Some(query), before).take(12);
    way.find(|node| node.op() == sys::GGML_OP_ROPE)
}

/// Whether what heads give is multiplied with something, a gate or a norm's weight, before it is projected.
pub(super) fn is_altered(projection: Node) -> bool {
    let laid_out = [sys::GGML_OP_RESHAPE, sys::GGML_OP_VIEW, sys::GGML_OP_CONT, sys::GGML_OP_PERMUTE];
    let before = |node: &Node| node.source(0).filter(|_| laid_out.contains(&node.op()));
    let way = std::iter::successors(projection.source(1), before).take(8);
    way.last().is_some_and(|node| node.op() == sys::GGML_OP_MUL)
}

/// Positions other than by rotation: a learned vector a position, or a slope a head.
pub(super) fn position(node: Node, op: sys::ggml_op) -> Option<PositionKind> {
    let slopes = |parameter: usize| (node.float(parameter) > 0.0).then_some(PositionKind::Alibi);
    match op {
        sys::GGML_OP_GET_ROWS => {
            let table = node.source(0)?;
            (table.name() == "position_embd.weight").then_some(PositionKind::Learned)
        }
        sys::GGML_OP_SOFT_MAX | sys::GGML_OP_FLASH_ATTN_EXT => slopes(1),
        _ => None,
    }
}

/// The stream that enters block 0, as llama.cpp names it on its way there; the last of these is it.
pub(super) fn is_embedding(name: &str) -> bool {
    ["embd", "inp_embd", "inp_scaled", "inpL", "inp_norm-0"].contains(&name)
}

/// What a family does to q·k in front of softmax: `(a, b)` for `a · tanh(b · q·k)`.
pub(super) fn cap(softmax: Node) -> Option<(f32, f32)> {
    let outer = softmax.source(0).filter(|node| node.op() == sys::GGML_OP_SCALE)?;
    let tanh = outer.source(0).filter(|node| is_tanh(*node))?;
    let inner = tanh.source(0).filter(|node| node.op() == sys::GGML_OP_SCALE)?;
    Some((outer.float(0), inner.float(0)))
}

/// Puts such a cap on scores, which are `scale · q·k`.
pub(super) fn capped(mut scores: Vec<Vec<f32>>, cap: Option<(f32, f32)>, scale: f32) -> Vec<Vec<f32>> {
    if let Some((outer, inner)) = cap.filter(|_| scale != 0.0) {
        for score in scores.iter_mut().flatten() {
            *score = scale * outer * (inner * *score / scale).tanh();
        }
    }
    scores
}

/// Adds to a row of scores what a head's slope takes off for distance, and gives their softmax over the positions
/// `seen` (Press et al. 2022, with ggml's slopes for heads that are not a power of two).
pub(super) fn sloped(scores: &[f32], seen: &[usize], largest: f32, head: usize, heads: usize) -> Vec<f32> {
    let slope = f64::from(slope(largest, head, heads));
    let last = scores.len().saturating_sub(1);
    let biased = |at: usize| f64::from(scores[at]) - slope * (last - at) as f64;
    let seen: Vec<usize> = seen.iter().copied().filter(|at| *at <= last).collect();
    let most = seen.iter().map(|at| biased(*at)).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = seen.iter().map(|at| (biased(*at) - most).exp()).sum();
    let mut weights = vec![0.0; scores.len()];
    for at in seen {
        weights[at] = ((biased(at) - most).exp() / sum) as f32;
    }
    weights
}

/// What a head takes off a score for each position of distance.
pub(super) fn slope(largest: f32, head: usize, heads: usize) -> f32 {
    let power = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    if head < power {
        2.0_f32.powf(-largest / power as f32 * (head + 1) as f32)
    } else {
        2.0_f32.powf(-largest / 2.0 / power as f32 * (2 * (head - power) + 1) as f32)
    }
}

/// What is done to the products of the output matrix until they are the logits.
pub(super) fn tail(output: Node) -> Tail {
    let (mut outer, mut inner, mut cap) = (1.0_f32, 1.0_f32, false);
    let mut node = Some(output);
    while let Some(here) = node {
        match here.op() {
            sys::GGML_OP_SCALE if cap => inner *= here.float(0),
            sys::GGML_OP_SCALE => outer *= here.float(0),
            sys::GGML_OP_ADD | sys::GGML_OP_RESHAPE | sys::GGML_OP_VIEW | sys::GGML_OP_CONT => {}
            _ if is_tanh(here) => cap = true,
            _ => break,
        }
        node = here.source(0);
    }
    if cap { Tail { scale: inner * outer, cap: Some(outer) } } else { Tail { scale: outer, cap: None } }
}

fn is_tanh(node: Node) -> bool {
    node.op() == sys::GGML_OP_UNARY && node.tensor().op_params[0].cast_unsigned() == sys::GGML_UNARY_OP_TANH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_halve_from_head_to_head_where_there_are_eight() {
        let slopes: Vec<f32> = (0..8).map(|head| slope(8.0, head, 8)).collect();
        assert_eq!(slopes, [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015_625, 0.007_812_5, 0.003_906_25]);
        // Of twelve heads the last four lie between those of the first eight.
        assert!((slope(8.0, 8, 12) - 2.0_f32.powf(-0.5)).abs() < 1e-6);
    }

    #[test]
    fn a_slope_moves_weight_to_what_is_near() {
        let weights = sloped(&[0.0; 4], &[1, 2, 3], 8.0, 0, 8);
        assert!(weights[0] == 0.0);
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((weights[2] / weights[3] - (-0.5_f32).exp()).abs() < 1e-6);
    }

    #[test]
    fn a_cap_bends_scores_and_none_leaves_them() {
        let scores = vec![vec![-9.0, 0.5]];
        assert_eq!(capped(scores.clone(), None, 1.0), scores);
        let bent = capped(scores, Some((3.0, 1.0 / 3.0)), 1.0);
        assert!((bent[0][0] - 3.0 * (-3.0_f32).tanh()).abs() < 1e-6);
    }
}
