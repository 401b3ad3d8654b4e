//! A transformer written out plainly in 64-bit floats: an outside way to compute every figure.
//!
//! Where llama.cpp rounds to halves, it does the same: GELU always, attention under flash attention, what is multiplied
//! with weights in halves. The rest of the difference is that of 32-bit floats.
//!
//! Invariant: it shares nothing with the program but the weights in the file.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::family::{EPSILON, Experts, Family, Order, Position, QueryNorm};
use crate::gguf::{Tensor, Tensors};

pub type Vector = Vec<f64>;

/// From so many tokens at once on, flash attention sums in 32 bits (ggml's `GGML_FA_TILE_Q`).
pub const TILE: usize = 64;

/// A part that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    Head(usize, usize),
    Attention(usize),
    Ffn(usize),
    Neuron(usize, usize),
}

/// What a pass did at its last position.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    pub embedding: Vector,
    pub blocks: Vec<Block>,
    /// Before the final soft-cap, and after it.
    pub raw: Vector,
    pub logits: Vector,
}

/// What a block did at the last position.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// What attention and feed-forward add to the stream.
    pub attention_added: Vector,
    pub ffn_added: Vector,
    pub after: Vector,
    /// What the projections give, biases included.
    pub attention_out: Vector,
    pub ffn_out: Vector,
    /// What each head adds through the output projection, before any norm.
    pub heads: Vec<Vector>,
    /// `[head][position]`.
    pub weights: Vec<Vector>,
    pub scores: Vec<Vector>,
    pub value_norms: Vec<Vector>,
    /// Inputs of the down projection: of each used expert, with its number, or of the whole feed-forward.
    pub neurons: Vec<(Option<usize>, Vector)>,
    pub shared: Vector,
    pub experts: Vec<(usize, f64)>,
}

/// What attention reads of a position, a vector a head.
struct Read {
    queries: Vec<Vector>,
    keys: Vec<Vector>,
    values: Vec<Vector>,
    /// None where heads are not gated.
    gates: Vec<Vector>,
}

/// A family with its weights.
pub struct Reference {
    pub family: Family,
    /// Whether attention is llama.cpp's flash attention on the CPU: keys and values are rounded to halves, and for fewer
    /// tokens than [`TILE`] queries, and the sum of values after each addition, too. Weights are told of the queries
    /// before that.
    pub flash: bool,
    weights: BTreeMap<String, Weights>,
}

struct Weights {
    /// Of a row.
    length: usize,
    values: Vector,
    /// Whether what is multiplied with them is rounded to halves, as they are.
    halves: bool,
}

impl Weights {
    fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks(self.length)
    }

    fn operand<'a>(&self, x: &'a [f64]) -> Cow<'a, [f64]> {
        if self.halves { halved(x).into() } else { x.into() }
    }
}

impl Reference {
    pub fn new(family: Family, tensors: &Tensors) -> Self {
        let wide = |Tensor { shape, values, halves }: &Tensor| Weights {
            length: shape[0],
            values: values.iter().map(|value| f64::from(*value)).collect(),
            halves: *halves,
        };
        let weights = tensors.iter().map(|(name, tensor)| (name.clone(), wide(tensor))).collect();
        Self { family, flash: false, weights }
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    pub fn row(&self, name: &str, row: usize) -> &[f64] {
        let Weights { length, values, .. } = &self.weights[name];
        &values[row * length..(row + 1) * length]
    }

    pub fn vector(&self, name: &str) -> &[f64] {
        &self.weights[name].values
    }

    pub fn output_name(&self) -> &'static str {
        if self.family.tied { "token_embd.weight" } else { "output.weight" }
    }

    /// A matrix times a vector, with its bias.
    fn linear(&self, name: &str, x: &[f64]) -> Vector {
        let mut out = self.expert(name, 0, self.weights[&format!("{name}.weight")].values.len() / x.len(), x);
        if let Some(bias) = self.weights.get(&format!("{name}.bias")) {
            out.iter_mut().zip(&bias.values).for_each(|(value, bias)| *value += bias);
        }
        out
    }

    /// `rows` rows of a matrix from those of an expert on.
    fn expert(&self, name: &str, expert: usize, rows: usize, x: &[f64]) -> Vector {
        let weights = &self.weights[&format!("{name}.weight")];
        assert_eq!(weights.length, x.len(), "{name}");
        let x = weights.operand(x);
        weights.rows().skip(expert * rows).take(rows).map(|row| dot(row, &x)).collect()
    }

    /// The model's norm with these weights.
    pub fn norm(&self, name: &str, x: &[f64]) -> Vector {
        let weight = self.vector(&format!("{name}.weight"));
        let mut out = if self.family.layer_norm { centred(x) } else { x.to_vec() };
        let root = (dot(&out, &out) / out.len() as f64 + EPSILON).sqrt();
        out.iter_mut().zip(weight).for_each(|(value, weight)| *value *= weight / root);
        if let Some(bias) = self.weights.get(&format!("{name}.bias")) {
            out.iter_mut().zip(&bias.values).for_each(|(value, bias)| *value += bias);
        }
        out
    }

    /// Logits of a stream, before the final soft-cap and after it.
    pub fn unembed(&self, stream: &[f64]) -> (Vector, Vector) {
        let normed = self.norm("output_norm", stream);
        let weights = &self.weights[self.output_name()];
        let normed = weights.operand(&normed);
        let raw: Vector = weights.rows().map(|row| dot(row, &normed) / self.family.logit_scale).collect();
        let cap = |z: &f64| self.family.final_cap.map_or(*z, |cap| cap * (z / cap).tanh());
        let logits = raw.iter().map(cap).collect();
        (raw, logits)
    }

    fn embed(&self, token: usize, position: usize) -> Vector {
        let mut x = scaled(self.row("token_embd.weight", token), self.family.embedding_scale);
        if self.family.position == Position::Learned {
            x = sum(&x, self.row("position_embd.weight", position));
        }
        if self.family.embedding_norm { self.norm("token_embd_norm", &x) } else { x }
    }

    /// The pass at the last of `tokens`; `off` says what is switched off at which position.
    pub fn pass(&self, tokens: &[usize], off: &dyn Fn(usize, Off) -> bool) -> Pass {
        let mut streams: Vec<Vector> =
            tokens.iter().enumerate().map(|(position, token)| self.embed(*token, position)).collect();
        let mut pass = Pass { embedding: streams.last().unwrap().clone(), ..Pass::default() };
        for layer in 0..self.family.layers {
            let (after, block) = self.block(layer, &streams, off);
            streams = after;
            pass.blocks.push(block);
        }
        (pass.raw, pass.logits) = self.unembed(streams.last().unwrap());
        pass
    }

    fn block(
        &self,
        layer: usize,
        streams: &[Vector],
        off: &dyn Fn(usize, Off) -> bool,
    ) -> (Vec<Vector>, Block) {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let pre =
            |part: &str, x: &Vector| if self.family.pre_norm { self.norm(&name(part), x) } else { x.clone() };
        let inputs: Vec<Vector> = streams.iter().map(|stream| pre("attn_norm", stream)).collect();
        let read = inputs.iter().enumerate().map(|(position, x)| self.read(layer, position, x));
        let read: Vec<Read> = read.collect();
        let mut last = Block::default();
        let mut after = Vec::new();
        for (position, stream) in streams.iter().enumerate() {
            let mut block = self.attend(layer, position, &read, off);
            block.attention_added = self.added("post_attention_norm", layer, &block.attention_out);
            let between = sum(stream, &block.attention_added);
            let input = match self.family.order {
                Order::After => pre(self.family.ffn_norm(), &between),
                Order::Beside => pre(self.family.ffn_norm(), stream),
                Order::Shared => inputs[position].clone(),
            };
            let quiet = |neuron| off(position, Off::Neuron(layer, neuron));
            self.feed_forward(layer, &input, &quiet, &mut block);
            if off(position, Off::Ffn(layer)) {
                block.ffn_out.fill(0.0);
            }
            block.ffn_added = self.added("post_ffw_norm", layer, &block.ffn_out);
            block.after = sum(&between, &block.ffn_added);
            after.push(block.after.clone());
            last = block;
        }
        (after, last)
    }

    fn added(&self, norm: &str, layer: usize, out: &[f64]) -> Vector {
        let normed =
            if self.family.post_norm { self.norm(&format!("blk.{layer}.{norm}"), out) } else { out.to_vec() };
        scaled(&normed, self.family.residual_scale)
    }

    /// Queries, keys and values of a position, a vector a head.
    fn read(&self, layer: usize, position: usize, x: &[f64]) -> Read {
        let family = &self.family;
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (queries, keys) = (family.heads * family.head, family.kv_heads * family.head);
        let [mut q, mut k, v] = if family.fused_attention {
            let all = self.linear(&name("attn_qkv"), x);
            [all[..queries].to_vec(), all[queries..queries + keys].to_vec(), all[queries + keys..].to_vec()]
        } else {
            ["attn_q", "attn_k", "attn_v"].map(|part| self.linear(&name(part), x))
        };
        let mut gates = Vec::new();
        if family.gated_attention {
            let both = q.chunks(2 * family.head).map(|both| both.split_at(family.head));
            let (queries, given): (Vec<_>, Vec<_>) = both.unzip();
            gates =
                given.iter().map(|gate| gate.iter().map(|x| 1.0 / (1.0 + (-x).exp())).collect()).collect();
            q = queries.concat();
        }
        if family.query_norm == QueryNorm::Whole {
            (q, k) = (self.norm(&name("attn_q_norm"), &q), self.norm(&name("attn_k_norm"), &k));
        }
        let turn = |part: &str, x: &[f64]| {
            let x =
                if family.query_norm == QueryNorm::Heads { self.norm(&name(part), x) } else { x.to_vec() };
            rotate(family.position, family.base(layer), position, &x)
        };
        let heads = |x: &[f64]| x.chunks(family.head).map(<[f64]>::to_vec).collect::<Vec<_>>();
        let kept = |x: Vector| if self.flash { halved(&x) } else { x };
        Read {
            queries: heads(&q).iter().map(|q| turn("attn_q_norm", q)).collect(),
            keys: heads(&k).iter().map(|k| kept(turn("attn_k_norm", k))).collect(),
            values: heads(&v).into_iter().map(kept).collect(),
            gates,
        }
    }

    fn attend(
        &self,
        layer: usize,
        position: usize,
        read: &[Read],
        off: &dyn Fn(usize, Off) -> bool,
    ) -> Block {
        let family = &self.family;
        let mut block = Block::default();
        let projection = &self.weights[&format!("blk.{layer}.attn_output.weight")];
        let mut out = vec![0.0; family.width];
        for head in 0..family.heads {
            let of = head / family.group();
            let first = family.window(layer).map_or(0, |window| (position + 1).saturating_sub(window));
            let query = &read[position].queries[head];
            let score = |query: &[f64], at: usize| {
                let score = family.scale() * dot(query, &read[at].keys[of]);
                family.score_cap.map_or(score, |cap| cap * (score / cap).tanh())
            };
            let scores = (0..=position).map(|at| if at < first { 0.0 } else { score(query, at) }).collect();
            let slope = if family.position == Position::Alibi { slope(head, family.heads) } else { 0.0 };
            let seen = |query: &[f64], at: usize| {
                if at < first { f64::NEG_INFINITY } else { score(query, at) - slope * (position - at) as f64 }
            };
            let weights = softmax((0..=position).map(|at| seen(query, at)));
            let values: Vec<&Vector> = read.iter().map(|read| &read.values[of]).collect();
            // The last token is read alone, those before it together.
            let together = if position + 1 < read.len() { read.len() - 1 } else { 1 };
            let mut mixed = if self.flash && together < TILE {
                let query = halved(query);
                summed_in_halves((0..=position).map(|at| seen(&query, at)), &values)
            } else {
                let mut mixed = vec![0.0; family.head];
                for (weight, values) in weights.iter().zip(&values) {
                    mixed.iter_mut().zip(*values).for_each(|(sum, value)| *sum += weight * value);
                }
                mixed
            };
            let gated = |x: &[f64]| -> Vector {
                match read[position].gates.get(head) {
                    Some(gate) => x.iter().zip(gate).map(|(x, gate)| x * gate).collect(),
                    None => x.to_vec(),
                }
            };
            let through = |x: &[f64]| -> Vector {
                projection
                    .rows()
                    .map(|row| dot(&row[head * family.head..(head + 1) * family.head], x))
                    .collect()
            };
            if off(position, Off::Head(layer, head)) {
                mixed.fill(0.0);
            }
            if position + 1 == read.len() {
                let norms = weights
                    .iter()
                    .enumerate()
                    .map(|(at, weight)| length(&scaled(&through(&gated(&read[at].values[of])), *weight)));
                block.value_norms.push(norms.collect());
            }
            mixed = gated(&mixed);
            out = sum(&out, &through(&projection.operand(&mixed)));
            block.heads.push(through(&mixed));
            block.scores.push(scores);
            block.weights.push(weights);
        }
        if self.has(&format!("blk.{layer}.attn_output.bias")) {
            out = sum(&out, self.vector(&format!("blk.{layer}.attn_output.bias")));
        }
        if off(position, Off::Attention(layer)) {
            out.fill(0.0);
        }
        block.attention_out = out;
        block
    }

    fn feed_forward(&self, layer: usize, x: &[f64], quiet: &dyn Fn(usize) -> bool, block: &mut Block) {
        let name = |part: &str| format!("blk.{layer}.{part}");
        if let Some(experts) = self.family.experts {
            return self.mixture(layer, experts, x, block);
        }
        let up = self.linear(&name("ffn_up"), x);
        let mut neurons = if self.family.fused_gate {
            let (gate, up) = up.split_at(self.family.neurons);
            self.gated(gate, up)
        } else if self.family.gated {
            self.gated(&self.linear(&name("ffn_gate"), x), &up)
        } else {
            up.iter().map(|x| self.bent(*x)).collect()
        };
        neurons
            .iter_mut()
            .enumerate()
            .filter(|(neuron, _)| quiet(*neuron))
            .for_each(|(_, value)| *value = 0.0);
        block.ffn_out = self.linear(&name("ffn_down"), &neurons);
        block.neurons = vec![(None, neurons)];
    }

    fn mixture(&self, layer: usize, experts: Experts, x: &[f64], block: &mut Block) {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (width, neurons) = (self.family.width, self.family.neurons);
        let shares = softmax(self.linear(&name("ffn_gate_inp"), x).into_iter());
        let mut order: Vec<usize> = (0..experts.count).collect();
        order.sort_by(|a, b| shares[*b].total_cmp(&shares[*a]));
        order.truncate(experts.used);
        let all: f64 = if experts.normed { order.iter().map(|expert| shares[*expert]).sum() } else { 1.0 };
        block.ffn_out = vec![0.0; width];
        for expert in order {
            let gate = self.expert(&name("ffn_gate_exps"), expert, neurons, x);
            let up = self.expert(&name("ffn_up_exps"), expert, neurons, x);
            let inputs = self.gated(&gate, &up);
            let weight = shares[expert] / all;
            let out = self.expert(&name("ffn_down_exps"), expert, width, &inputs);
            block.ffn_out = sum(&block.ffn_out, &scaled(&out, weight));
            block.experts.push((expert, weight));
            block.neurons.push((Some(expert), inputs));
        }
        if experts.shared.is_some() {
            let [gate, up] = ["ffn_gate_shexp", "ffn_up_shexp"].map(|part| self.linear(&name(part), x));
            block.shared = self.gated(&gate, &up);
            let share = dot(self.vector(&name("ffn_gate_inp_shexp.weight")), x);
            let out = self.linear(&name("ffn_down_shexp"), &block.shared);
            block.ffn_out = sum(&block.ffn_out, &scaled(&out, 1.0 / (1.0 + (-share).exp())));
        }
    }

    fn gated(&self, gate: &[f64], up: &[f64]) -> Vector {
        gate.iter().zip(up).map(|(gate, up)| self.bent(*gate) * up).collect()
    }

    /// The activation function. GELU comes from a table of halves, looked up at a half (ggml's `GGML_GELU_FP16`),
    /// between -10 and 10.
    fn bent(&self, x: f64) -> f64 {
        if self.family.gelu {
            let gelu = |x: f64| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            };
            if x <= -10.0 {
                0.0
            } else if x >= 10.0 {
                x
            } else {
                half(gelu(half(x)))
            }
        } else {
            x / (1.0 + (-x).exp())
        }
    }
}

/// Turns a head's vector to its position (`RoPE`).
fn rotate(kind: Position, base: f64, position: usize, x: &[f64]) -> Vector {
    let half = x.len() / 2;
    let mut out = x.to_vec();
    for pair in 0..half {
        let (a, b) = match kind {
            Position::RopeNormal(_) => (2 * pair, 2 * pair + 1),
            Position::RopeNeox(_) => (pair, pair + half),
            Position::Learned | Position::Alibi => return out,
        };
        let angle = position as f64 * base.powf(-2.0 * pair as f64 / x.len() as f64);
        out[a] = x[a] * angle.cos() - x[b] * angle.sin();
        out[b] = x[a] * angle.sin() + x[b] * angle.cos();
    }
    out
}

/// A head's slope (Press et al. 2022), the number of heads a power of two.
fn slope(head: usize, heads: usize) -> f64 {
    2.0_f64.powf(-8.0 / heads as f64 * (head + 1) as f64)
}

/// Nearest number that a half holds.
pub fn half(x: f64) -> f64 {
    // 11 significant bits, 10 after the point; below 2^-14 they become fewer.
    let step = 2.0_f64.powi((x.abs().log2().floor().max(-14.0) as i32) - 10);
    (x / step).round_ties_even() * step
}

pub fn halved(x: &[f64]) -> Vector {
    x.iter().map(|x| half(*x)).collect()
}

/// What attention with these scores gives when, position by position, the sum so far is rounded to halves, as
/// unnormalised weights under the largest score so far (Rabe & Staats 2021).
fn summed_in_halves(scores: impl Iterator<Item = f64>, values: &[&Vector]) -> Vector {
    let (mut most, mut all) = (f64::NEG_INFINITY, 0.0);
    let mut sum = vec![0.0; values[0].len()];
    for (score, value) in scores.zip(values).filter(|(score, _)| score.is_finite()) {
        let mut weight = 1.0;
        if score > most {
            let shrunk = (most - score).exp();
            all *= shrunk;
            sum = sum.iter().map(|sum| half(sum * shrunk)).collect();
            most = score;
        } else {
            weight = (score - most).exp();
        }
        sum.iter_mut().zip(*value).for_each(|(sum, value)| *sum = half(*sum + weight * value));
        all += weight;
    }
    scaled(&sum, 1.0 / all)
}

pub fn softmax(values: impl Iterator<Item = f64>) -> Vector {
    let values: Vector = values.collect();
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vector = values.iter().map(|value| (value - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn length(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

pub fn scaled(x: &[f64], factor: f64) -> Vector {
    x.iter().map(|x| x * factor).collect()
}

pub fn centred(x: &[f64]) -> Vector {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    x.iter().map(|x| x - mean).collect()
}

fn sum(a: &[f64], b: &[f64]) -> Vector {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
