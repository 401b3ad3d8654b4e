//! A recurrent model (Mamba, Gu & Dao 2023) as a GGUF file, and what it computes written out plainly in 64-bit floats.
//!
//! Invariant: as for the families: the reference shares nothing with the program but the weights in the file.

use crate::family::{CONTEXT, EPSILON, VOCABULARY};
use crate::gguf::{Maker, Meta, Tensors};
use crate::reference::{Vector, dot};

pub const LAYERS: usize = 3;
const WIDTH: usize = 32;
/// Channels of the recurrence; llama.cpp knows twice the width alone.
const INNER: usize = 2 * WIDTH;
/// Numbers that each channel remembers.
const STATE: usize = 8;
/// Tokens that the convolution sees.
const KERNEL: usize = 4;
/// Width of what the steps' lengths come from.
const RANK: usize = 2;

pub fn tensors() -> Tensors {
    let mut maker = Maker::new("mamba");
    maker.put("token_embd.weight", &[WIDTH, VOCABULARY], 0.0, 0.7);
    maker.norm("output_norm", WIDTH, false);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("blk.{layer}.{part}");
        maker.norm(&name("attn_norm"), WIDTH, false);
        maker.matrix(&name("ssm_in"), &[WIDTH, 2 * INNER], 1.4);
        maker.matrix(&name("ssm_conv1d"), &[KERNEL, INNER], 1.4);
        maker.bias(&name("ssm_conv1d"), INNER, true);
        maker.matrix(&name("ssm_x"), &[INNER, RANK + 2 * STATE], 1.4);
        maker.matrix(&name("ssm_dt"), &[RANK, INNER], 1.0);
        maker.bias(&name("ssm_dt"), INNER, true);
        maker.put(&name("ssm_a"), &[STATE, INNER], -1.0, 0.2);
        maker.put(&name("ssm_d"), &[INNER], 1.0, 0.2);
        maker.matrix(&name("ssm_out"), &[INNER, WIDTH], 1.4);
    }
    maker.tensors
}

pub fn metadata() -> Vec<(String, Meta)> {
    let counts = [
        ("context_length", CONTEXT),
        ("embedding_length", WIDTH),
        ("feed_forward_length", 0),
        ("attention.head_count", 0),
        ("block_count", LAYERS),
        ("ssm.conv_kernel", KERNEL),
        ("ssm.inner_size", INNER),
        ("ssm.state_size", STATE),
        ("ssm.time_step_rank", RANK),
    ];
    let mut list: Vec<_> =
        counts.into_iter().map(|(name, count)| (format!("mamba.{name}"), Meta::Count(count))).collect();
    list.push(("mamba.attention.layer_norm_rms_epsilon".to_owned(), Meta::Float(EPSILON)));
    list
}

/// The stream of the last token: its embedding, then after each block.
pub fn streams(tensors: &Tensors, tokens: &[usize]) -> Vec<Vector> {
    let model = Model(tensors);
    let mut text: Vec<Vector> = tokens.iter().map(|token| model.row("token_embd.weight", *token)).collect();
    let mut streams = vec![text.last().unwrap().clone()];
    for layer in 0..LAYERS {
        let added = model.block(layer, &text);
        text = text.iter().zip(&added).map(|(stream, added)| sum(stream, added)).collect();
        streams.push(text.last().unwrap().clone());
    }
    streams
}

/// The logits of a stream.
pub fn logits(tensors: &Tensors, stream: &[f64]) -> Vector {
    let model = Model(tensors);
    model.through("token_embd.weight", &model.norm("output_norm.weight", stream))
}

struct Model<'a>(&'a Tensors);

impl Model<'_> {
    fn values(&self, name: &str) -> Vector {
        self.0[name].values.iter().map(|value| f64::from(*value)).collect()
    }

    fn row(&self, name: &str, row: usize) -> Vector {
        let length = self.0[name].shape[0];
        self.values(name)[row * length..(row + 1) * length].to_vec()
    }

    fn through(&self, name: &str, x: &[f64]) -> Vector {
        self.values(name).chunks(x.len()).map(|row| dot(row, x)).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vector {
        let root = (dot(x, x) / x.len() as f64 + EPSILON).sqrt();
        x.iter().zip(self.values(name)).map(|(x, weight)| x / root * weight).collect()
    }

    /// What a block adds to each token's stream.
    fn block(&self, layer: usize, text: &[Vector]) -> Vec<Vector> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let normed = text.iter().map(|stream| self.norm(&name("attn_norm.weight"), stream));
        let read: Vec<Vector> = normed.map(|x| self.through(&name("ssm_in.weight"), &x)).collect();
        let (kernel, bias) = (self.values(&name("ssm_conv1d.weight")), self.values(&name("ssm_conv1d.bias")));
        let (rates, skip) = (self.values(&name("ssm_a")), self.values(&name("ssm_d")));
        let mut state = vec![0.0; INNER * STATE];
        let mut added = Vec::new();
        for at in 0..text.len() {
            let seen = |channel: usize| -> f64 {
                let weights = &kernel[channel * KERNEL..(channel + 1) * KERNEL];
                let back =
                    (0..KERNEL.min(at + 1)).map(|back| weights[KERNEL - 1 - back] * read[at - back][channel]);
                silu(back.sum::<f64>() + bias[channel])
            };
            let x: Vector = (0..INNER).map(seen).collect();
            let all = self.through(&name("ssm_x.weight"), &x);
            let (steps, writes, reads) = (&all[..RANK], &all[RANK..RANK + STATE], &all[RANK + STATE..]);
            let steps = sum(&self.through(&name("ssm_dt.weight"), steps), &self.values(&name("ssm_dt.bias")));
            let mut out = Vec::new();
            for (channel, own) in state.chunks_mut(STATE).enumerate() {
                let step = steps[channel].exp().ln_1p();
                for (number, held) in own.iter_mut().enumerate() {
                    let kept = (step * rates[channel * STATE + number]).exp();
                    *held = *held * kept + writes[number] * x[channel] * step;
                }
                out.push((dot(own, reads) + skip[channel] * x[channel]) * silu(read[at][INNER + channel]));
            }
            added.push(self.through(&name("ssm_out.weight"), &out));
        }
        added
    }
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn sum(a: &[f64], b: &[f64]) -> Vector {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
