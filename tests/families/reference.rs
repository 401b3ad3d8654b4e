//! A transformer written out plainly in 64-bit floats: an outside way to compute every figure.
//!
//! Invariant: it shares nothing with the program but the weights in the file.

use crate::family::{EPSILON, Experts, Family, Order, Position, QueryNorm};
use crate::gguf::Tensors;

pub type Vector = Vec<f64>;

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

/// A family with its weights.
pub struct Reference {
    pub family: Family,
    weights: std::collections::BTreeMap<String, (usize, Vector)>,
}

impl Reference {
    pub fn new(family: Family, tensors: &Tensors) -> Self {
        let wide = |(shape, values): &(Vec<usize>, Vec<f32>)| {
            (shape[0], values.iter().map(|value| f64::from(*value)).collect())
        };
        Self { family, weights: tensors.iter().map(|(name, tensor)| (name.clone(), wide(tensor))).collect() }
    }

    pub fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    pub fn row(&self, name: &str, row: usize) -> &[f64] {
        let (length, values) = &self.weights[name];
        &values[row * length..(row + 1) * length]
    }

    pub fn vector(&self, name: &str) -> &[f64] {
        &self.weights[name].1
    }

    pub fn output_name(&self) -> &'static str {
        if self.family.tied { "token_embd.weight" } else { "output.weight" }
    }

    /// A matrix times a vector, with its bias.
    fn linear(&self, name: &str, x: &[f64]) -> Vector {
        let mut out = self.expert(name, 0, self.weights[&format!("{name}.weight")].1.len() / x.len(), x);
        if let Some((_, bias)) = self.weights.get(&format!("{name}.bias")) {
            out.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        out
    }

    /// `rows` rows of a matrix from those of an expert on.
    fn expert(&self, name: &str, expert: usize, rows: usize, x: &[f64]) -> Vector {
        let (length, values) = &self.weights[&format!("{name}.weight")];
        assert_eq!(*length, x.len(), "{name}");
        let own = &values[expert * rows * length..(expert + 1) * rows * length];
        own.chunks(*length).map(|row| dot(row, x)).collect()
    }

    /// The model's norm with these weights.
    pub fn norm(&self, name: &str, x: &[f64]) -> Vector {
        let weight = self.vector(&format!("{name}.weight"));
        let mut out = if self.family.layer_norm { centred(x) } else { x.to_vec() };
        let root = (dot(&out, &out) / out.len() as f64 + EPSILON).sqrt();
        out.iter_mut().zip(weight).for_each(|(value, weight)| *value *= weight / root);
        if let Some((_, bias)) = self.weights.get(&format!("{name}.bias")) {
            out.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        }
        out
    }

    /// Logits of a stream, before the final soft-cap and after it.
    pub fn unembed(&self, stream: &[f64]) -> (Vector, Vector) {
        let normed = self.norm("output_norm", stream);
        let (length, values) = &self.weights[self.output_name()];
        let raw: Vector =
            values.chunks(*length).map(|row| dot(row, &normed) / self.family.logit_scale).collect();
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
        let read: Vec<[Vec<Vector>; 3]> = read.collect();
        let mut last = Block::default();
        let mut after = Vec::new();
        for (position, stream) in streams.iter().enumerate() {
            let mut block = self.attend(layer, position, &read, off);
            block.attention_added = self.added("post_attention_norm", layer, &block.attention_out);
            let between = sum(stream, &block.attention_added);
            let input = match self.family.order {
                Order::After => pre("ffn_norm", &between),
                Order::Beside => pre("ffn_norm", stream),
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
    fn read(&self, layer: usize, position: usize, x: &[f64]) -> [Vec<Vector>; 3] {
        let family = &self.family;
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (queries, keys) = (family.heads * family.head, family.kv_heads * family.head);
        let [mut q, mut k, v] = if family.fused_attention {
            let all = self.linear(&name("attn_qkv"), x);
            [all[..queries].to_vec(), all[queries..queries + keys].to_vec(), all[queries + keys..].to_vec()]
        } else {
            ["attn_q", "attn_k", "attn_v"].map(|part| self.linear(&name(part), x))
        };
        if family.query_norm == QueryNorm::Whole {
            (q, k) = (self.norm(&name("attn_q_norm"), &q), self.norm(&name("attn_k_norm"), &k));
        }
        let turn = |part: &str, x: &[f64]| {
            let x =
                if family.query_norm == QueryNorm::Heads { self.norm(&name(part), x) } else { x.to_vec() };
            rotate(family.position, family.base(layer), position, &x)
        };
        let heads = |x: &[f64]| x.chunks(family.head).map(<[f64]>::to_vec).collect::<Vec<_>>();
        [
            heads(&q).iter().map(|q| turn("attn_q_norm", q)).collect(),
            heads(&k).iter().map(|k| turn("attn_k_norm", k)).collect(),
            heads(&v),
        ]
    }

    fn attend(
        &self,
        layer: usize,
        position: usize,
        read: &[[Vec<Vector>; 3]],
        off: &dyn Fn(usize, Off) -> bool,
    ) -> Block {
        let family = &self.family;
        let mut block = Block::default();
        let projection = format!("blk.{layer}.attn_output.weight");
        let mut out = vec![0.0; family.width];
        for head in 0..family.heads {
            let of = head / family.group();
            let first = family.window(layer).map_or(0, |window| (position + 1).saturating_sub(window));
            let score = |at: usize| {
                let score = family.scale() * dot(&read[position][0][head], &read[at][1][of]);
                family.score_cap.map_or(score, |cap| cap * (score / cap).tanh())
            };
            let scores: Vector = (0..=position).map(|at| if at < first { 0.0 } else { score(at) }).collect();
            let slope = if family.position == Position::Alibi { slope(head, family.heads) } else { 0.0 };
            let biased = |at: usize| scores[at] - slope * (position - at) as f64;
            let weights =
                softmax((0..=position).map(|at| if at < first { f64::NEG_INFINITY } else { biased(at) }));
            let mut mixed = vec![0.0; family.head];
            let through = |x: &[f64]| -> Vector {
                let (length, values) = &self.weights[&projection];
                values
                    .chunks(*length)
                    .map(|row| dot(&row[head * family.head..(head + 1) * family.head], x))
                    .collect()
            };
            for (at, weight) in weights.iter().enumerate() {
                mixed.iter_mut().zip(&read[at][2][of]).for_each(|(sum, value)| *sum += weight * value);
            }
            if off(position, Off::Head(layer, head)) {
                mixed.fill(0.0);
            }
            if position + 1 == read.len() {
                let norms = weights
                    .iter()
                    .enumerate()
                    .map(|(at, weight)| length(&scaled(&through(&read[at][2][of]), *weight)));
                block.value_norms.push(norms.collect());
            }
            let added = through(&mixed);
            out = sum(&out, &added);
            block.heads.push(added);
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

    /// The activation function.
    fn bent(&self, x: f64) -> f64 {
        if self.family.gelu {
            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
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
