//! Attention weights of every token of a batch, and position 0's values.
//!
//! Invariant: rows are in the order of the batch's tokens, whatever micro-batches they went through; each has one entry
//! a position, from 0 to the token's own.

use super::cells::NOWHERE;
use super::flash::Operands;
use super::plan::Rows;
use super::state::State;
use super::visible::Visible;
use super::{Node, Strided, dequantised, row};
use crate::engine::compute::parallel;

impl State {
    /// The next tokens' rows out of `[cell, token, head]`.
    pub(super) fn keep_rows(&mut self, softmax: Node, layer: u32) {
        let (cells, tokens, heads) = (softmax.count(0), softmax.count(1), softmax.count(2));
        let [by_cell, by_token, by_head, _] = softmax.tensor().nb;
        let masks = self.masks(softmax.source(1), layer, cells, tokens);
        let near = softmax.near();
        for head in self.wanted_heads(heads) {
            let rows = masks.iter().enumerate().map(|(token, visible)| {
                let start = head * by_head + token * by_token;
                let read = |cell: usize, count: usize| near.floats(start + cell * by_cell, count);
                row::of_runs(&visible.runs, visible.position, read)
            });
            let rows: Vec<Vec<f32>> = rows.collect();
            self.add_rows(layer, head, heads, rows);
        }
        self.end_rows(layer, &masks);
    }

    /// The next tokens' rows, worked out of flash attention's operands.
    pub(super) fn keep_flash_rows(&mut self, node: Node, layer: u32, keys: &Strided) {
        let Some(query) = node.source(0) else { return };
        let (tokens, heads) = (query.count(1), query.count(2));
        let [size, cells, _] = keys.shape;
        let operands = Operands::of(node, keys, heads);
        let masks = self.masks(node.source(3), layer, cells, tokens);
        let ([_, by_token, by_head, _], near) = (query.tensor().nb, query.near());
        for head in self.wanted_heads(heads) {
            let query = |token: usize| near.floats(token * by_token + head * by_head, size);
            let queries: Vec<Vec<f32>> = (0..masks.len()).map(query).collect();
            let rows = parallel::each_worth(tokens * cells * size, masks.len(), |token| {
                let visible = &masks[token];
                operands.row(head, &queries[token], &visible.places, visible.position)
            });
            self.add_rows(layer, head, heads, rows);
        }
        self.end_rows(layer, &masks);
    }

    /// Position 0's values: `[cell, dimension, head]` if turned, else `[dimension, cell, head]`.
    pub(super) fn keep_first(&mut self, values: Node, layer: u32, turned: bool) {
        let cells = values.count(usize::from(!turned));
        let places = self.places(layer, cells, &self.visible);
        self.layer(layer).first.clear();
        let Some(cell) = places.iter().position(|place| *place == 0) else { return };
        let [by_first, by_second, by_head, _] = values.tensor().nb;
        let size = values.count(usize::from(turned));
        let near = turned.then(|| values.near());
        let heads = (0..values.count(2)).map(|head| {
            let start = head * by_head;
            if let Some(near) = &near {
                let start = start + cell * by_first;
                return (0..size).flat_map(|dim| near.floats(start + dim * by_second, 1)).collect();
            }
            values.row_at(start + cell * by_second)
        });
        self.layer(layer).first = heads.collect();
    }

    fn wanted_heads(&self, heads: usize) -> std::ops::Range<usize> {
        match self.plan.rows {
            Rows::None => 0..0,
            Rows::Head(_, head) => head as usize..(head as usize + 1).min(heads),
            Rows::Mean | Rows::Every => 0..heads,
        }
    }

    /// Adds a head's rows after those of the tokens before, or into the mean.
    fn add_rows(&mut self, layer: u32, head: usize, heads: usize, rows: Vec<Vec<f32>>) {
        let mean = self.plan.rows == Rows::Mean;
        let place = if self.plan.rows == Rows::Every { head } else { 0 };
        let here = self.layer(layer);
        if here.rows.len() <= place {
            here.rows.resize_with(place + 1, Vec::new);
        }
        let kept = &mut here.rows[place];
        if !mean {
            kept.extend(rows);
            return;
        }
        let part = 1.0 / heads as f32;
        if head == 0 {
            kept.extend(rows.iter().map(|row| vec![0.0; row.len()]));
        }
        let first = kept.len() - rows.len();
        for (sum, row) in kept[first..].iter_mut().zip(rows) {
            sum.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight * part);
        }
    }

    fn end_rows(&mut self, layer: u32, masks: &[Visible]) {
        let first = |places: &Vec<usize>| places.iter().copied().filter(|place| *place != NOWHERE).min();
        let seen = masks.iter().map(|visible| first(&visible.places).unwrap_or_default() as u32);
        let seen: Vec<u32> = seen.collect();
        self.layer(layer).seen_from.extend(seen);
    }
}

impl Node {
    /// The values of a row that begins at a byte, dequantised where its format is one of blocks.
    fn row_at(self, offset: usize) -> Vec<f32> {
        let plain = self.floats(offset, self.count(0));
        if !plain.is_empty() {
            return plain;
        }
        // SAFETY: the format is that of a living tensor, so ggml knows it.
        let size = unsafe {
            llama_cpp_sys_2::ggml_row_size(self.tensor().type_, i64::try_from(self.count(0)).unwrap_or(0))
        };
        dequantised(&self.bytes(offset, size), self.tensor().type_, self.count(0))
    }
}
