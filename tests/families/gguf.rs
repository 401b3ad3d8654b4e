//! A family as a GGUF file that llama.cpp loads, with random weights from a fixed seed.
//!
//! Invariant: the weights in the file are the weights the reference reads, bit by bit.

use std::path::Path;

use crate::family::{CONTEXT, EPSILON, Family, Order, Position, QueryNorm, VOCABULARY};
use crate::file;
pub use crate::file::{Meta, Tensor, Tensors};
use crate::reference::half;

/// Numbers from a normal distribution.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Makes weights.
pub struct Maker {
    random: Random,
    pub tensors: Tensors,
}

impl Maker {
    /// The name is the seed.
    pub fn new(name: &str) -> Self {
        let seed =
            name.bytes().fold(17_u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self { random: Random(seed), tensors: Tensors::new() }
    }

    pub fn put(&mut self, name: &str, shape: &[usize], middle: f64, spread: f64) {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|_| (middle + spread * self.random.normal()) as f32).collect();
        let tensor = Tensor { shape: shape.to_vec(), values, halves: false };
        self.tensors.insert(name.to_owned(), tensor);
    }

    /// A matrix whose products are about as long as what goes in, times `gain`.
    pub fn matrix(&mut self, name: &str, shape: &[usize], gain: f64) {
        self.put(&format!("{name}.weight"), shape, 0.0, gain / (shape[0] as f64).sqrt());
    }

    pub fn bias(&mut self, name: &str, count: usize, wanted: bool) {
        if wanted {
            self.put(&format!("{name}.bias"), &[count], 0.0, 0.2);
        }
    }

    pub fn norm(&mut self, name: &str, count: usize, bias: bool) {
        self.put(&format!("{name}.weight"), &[count], 1.0, 0.2);
        self.bias(name, count, bias);
    }
}

/// The weights of a family.
pub fn tensors(family: &Family) -> Tensors {
    let mut maker = Maker::new(family.name);
    let width = family.width;
    maker.put("token_embd.weight", &[width, VOCABULARY], 0.0, 0.7 / family.embedding_scale.sqrt());
    if family.position == Position::Learned {
        maker.put("position_embd.weight", &[width, CONTEXT], 0.0, 0.4);
    }
    if family.embedding_norm {
        maker.norm("token_embd_norm", width, true);
    }
    maker.norm("output_norm", width, family.layer_norm);
    if !family.tied {
        maker.matrix("output", &[width, VOCABULARY], 2.0);
    }
    for layer in 0..family.blocks() {
        block(&mut maker, family, layer);
    }
    for layer in family.layers..family.blocks() {
        let name = |part: &str| format!("blk.{layer}.nextn.{part}");
        maker.matrix(&name("eh_proj"), &[2 * width, width], 1.0);
        for part in ["enorm", "hnorm", "shared_head_norm"] {
            maker.norm(&name(part), width, false);
        }
    }
    maker.tensors
}

fn block(maker: &mut Maker, family: &Family, layer: usize) {
    let name = |part: &str| format!("blk.{layer}.{part}");
    let width = family.width;
    let (queries, keys) = (family.heads * family.head, family.kv_heads * family.head);
    if family.pre_norm {
        maker.norm(&name("attn_norm"), width, family.layer_norm);
        if family.order != Order::Shared {
            maker.norm(&name(family.ffn_norm()), width, family.layer_norm);
        }
    }
    if family.fused_attention {
        maker.matrix(&name("attn_qkv"), &[width, queries + 2 * keys], 1.6);
        maker.bias(&name("attn_qkv"), queries + 2 * keys, family.query_bias);
    } else {
        let with_gates = if family.gated_attention { 2 * queries } else { queries };
        for (part, count) in [("attn_q", with_gates), ("attn_k", keys), ("attn_v", keys)] {
            maker.matrix(&name(part), &[width, count], 1.6);
            maker.bias(&name(part), count, family.query_bias);
        }
    }
    let (of_query, of_key) = match family.query_norm {
        QueryNorm::None => (0, 0),
        QueryNorm::Heads => (family.head, family.head),
        QueryNorm::Whole => (queries, keys),
    };
    if of_query > 0 {
        maker.norm(&name("attn_q_norm"), of_query, false);
        maker.norm(&name("attn_k_norm"), of_key, false);
    }
    maker.matrix(&name("attn_output"), &[queries, width], 1.0);
    maker.bias(&name("attn_output"), width, family.bias);
    if family.post_norm {
        maker.norm(&name("post_attention_norm"), width, false);
        maker.norm(&name("post_ffw_norm"), width, false);
    }
    feed_forward(maker, family, &name);
}

fn feed_forward(maker: &mut Maker, family: &Family, name: &dyn Fn(&str) -> String) {
    let (width, neurons) = (family.width, family.neurons);
    let Some(experts) = family.experts else {
        let rows = if family.fused_gate { 2 * neurons } else { neurons };
        maker.matrix(&name("ffn_up"), &[width, rows], 1.4);
        maker.bias(&name("ffn_up"), rows, family.bias);
        if family.gated && !family.fused_gate {
            maker.matrix(&name("ffn_gate"), &[width, neurons], 1.4);
        }
        maker.matrix(&name("ffn_down"), &[neurons, width], 1.4);
        maker.bias(&name("ffn_down"), width, family.bias);
        return;
    };
    maker.matrix(&name("ffn_gate_inp"), &[width, experts.count], 1.0);
    maker.matrix(&name("ffn_gate_exps"), &[width, neurons, experts.count], 1.4);
    maker.matrix(&name("ffn_up_exps"), &[width, neurons, experts.count], 1.4);
    maker.matrix(&name("ffn_down_exps"), &[neurons, width, experts.count], 1.4);
    if let Some(shared) = experts.shared {
        maker.matrix(&name("ffn_gate_inp_shexp"), &[width], 1.0);
        maker.matrix(&name("ffn_gate_shexp"), &[width, shared], 1.4);
        maker.matrix(&name("ffn_up_shexp"), &[width, shared], 1.4);
        maker.matrix(&name("ffn_down_shexp"), &[shared, width], 1.4);
    }
}

/// Rounds the matrices to halves, as such files have them; what routes to experts stays.
pub fn in_halves(tensors: &mut Tensors) {
    for (name, tensor) in tensors {
        if tensor.shape.len() > 1 && !name.contains("ffn_gate_inp") && name != "position_embd.weight" {
            tensor.values.iter_mut().for_each(|value| *value = half(f64::from(*value)) as f32);
            tensor.halves = true;
        }
    }
}

/// The metadata of a family.
pub fn metadata(family: &Family) -> Vec<(String, Meta)> {
    let mut list = Vec::new();
    let mut put = |name: &str, value: Meta| list.push((format!("{}.{name}", family.architecture), value));
    put("context_length", Meta::Count(CONTEXT));
    put("embedding_length", Meta::Count(family.width));
    put("block_count", Meta::Count(family.blocks()));
    if family.foreseeing > 0 {
        put("nextn_predict_layers", Meta::Count(family.foreseeing.into()));
    }
    put("feed_forward_length", Meta::Count(family.neurons));
    put("attention.head_count", Meta::Count(family.heads));
    put("attention.head_count_kv", Meta::Count(family.kv_heads));
    put("attention.key_length", Meta::Count(family.head));
    put("attention.value_length", Meta::Count(family.head));
    let epsilon = if family.layer_norm { "layer_norm_epsilon" } else { "layer_norm_rms_epsilon" };
    put(&format!("attention.{epsilon}"), Meta::Float(EPSILON));
    if let Position::RopeNormal(base) | Position::RopeNeox(base) = family.position {
        put("rope.freq_base", Meta::Float(base));
        put("rope.dimension_count", Meta::Count(family.head));
    }
    if family.architecture == "hy_v3" {
        put("expert_feed_forward_length", Meta::Count(family.neurons));
    }
    if family.architecture == "qwen35" {
        // Every block attends; what its recurrent blocks would be shaped like has to be said all the same.
        put("full_attention_interval", Meta::Count(1));
        put("rope.dimension_sections", Meta::Counts(vec![3, 3, 2, 0]));
        for (name, count) in [
            ("conv_kernel", 4),
            ("inner_size", 32),
            ("state_size", 16),
            ("time_step_rank", 2),
            ("group_count", 2),
        ] {
            put(&format!("ssm.{name}"), Meta::Count(count));
        }
    }
    if family.architecture == "gptneox" {
        put("use_parallel_residual", Meta::Bool(family.order == Order::Beside));
    }
    if let Some((window, of)) = family.window {
        put("attention.sliding_window", Meta::Count(window));
        put("attention.sliding_window_pattern", Meta::Bools(of.to_vec()));
    }
    if let Some(cap) = family.score_cap {
        put("attn_logit_softcapping", Meta::Float(cap));
    }
    if let Some(cap) = family.final_cap {
        put("final_logit_softcapping", Meta::Float(cap));
    }
    if let Some(scale) = family.attention_scale {
        put("attention.scale", Meta::Float(scale));
        put("embedding_scale", Meta::Float(family.embedding_scale));
        put("residual_scale", Meta::Float(family.residual_scale));
        put("logit_scale", Meta::Float(family.logit_scale));
    }
    if let Some(experts) = family.experts {
        put("expert_count", Meta::Count(experts.count));
        put("expert_used_count", Meta::Count(experts.used));
        put("expert_feed_forward_length", Meta::Count(family.neurons));
        if let Some(shared) = experts.shared {
            put("expert_shared_feed_forward_length", Meta::Count(shared));
        }
    }
    list
}

/// Writes a model file; one whose metadata has no tokenizer gets the usual one.
pub fn write(path: &Path, architecture: &str, mut meta: Vec<(String, Meta)>, tensors: &Tensors) {
    meta.insert(0, ("general.architecture".to_owned(), Meta::Text(architecture.to_owned())));
    meta.push((format!("{architecture}.vocab_size"), Meta::Count(VOCABULARY)));
    if !meta.iter().any(|(name, _)| name == "tokenizer.ggml.model") {
        meta.extend(tokenizer());
    }
    file::write(path, &meta, tensors);
}

/// Writes a LoRA adapter for models of an architecture.
pub fn write_adapter(path: &Path, architecture: &str, alpha: Meta, tensors: &Tensors) {
    let text = |key: &str, value: &str| (key.to_owned(), Meta::Text(value.to_owned()));
    let meta = vec![
        text("general.architecture", architecture),
        text("general.type", "adapter"),
        text("adapter.type", "lora"),
        ("adapter.lora.alpha".to_owned(), alpha),
    ];
    file::write(path, &meta, tensors);
}

/// The marks that a model thinks between.
pub const THINK: [(usize, &str); 2] = [(VOCABULARY - 4, "<think>"), (VOCABULARY - 3, "</think>")];
/// What ends a reply.
pub const END: usize = VOCABULARY - 1;

/// Byte-level BPE: the 256 bytes, some pairs of letters, control tokens, among them the marks of thoughts as published
/// files have them, which are text.
fn tokenizer() -> Vec<(String, Meta)> {
    let mut tokens: Vec<String> = bytes().into_iter().map(String::from).collect();
    let mut merges = Vec::new();
    for first in "aeiou".chars() {
        for second in "bcdlmnrst".chars() {
            merges.push(format!("{first} {second}"));
            tokens.push(format!("{first}{second}"));
        }
    }
    let mut kinds = vec![1; tokens.len()];
    while tokens.len() < VOCABULARY {
        tokens.push(format!("<|{}|>", tokens.len()));
        kinds.push(3);
    }
    for (id, name) in THINK {
        (tokens[id], kinds[id]) = (name.into(), 4);
    }
    let name = |key: &str| format!("tokenizer.ggml.{key}");
    vec![
        (name("model"), Meta::Text("gpt2".into())),
        (name("pre"), Meta::Text("gpt-2".into())),
        (name("tokens"), Meta::Texts(tokens)),
        (name("token_type"), Meta::Counts(kinds)),
        (name("merges"), Meta::Texts(merges)),
        (name("bos_token_id"), Meta::Count(VOCABULARY - 2)),
        (name("eos_token_id"), Meta::Count(END)),
        (name("add_bos_token"), Meta::Bool(false)),
    ]
}

/// SentencePiece that puts a blank in front of a text: the bytes, letters, some with their blank.
pub fn sentencepiece() -> Vec<(String, Meta)> {
    let marks = ["<unk>", "<s>", "</s>"].map(String::from);
    let mut tokens: Vec<String> =
        marks.into_iter().chain((0..256).map(|byte| format!("<0x{byte:02X}>"))).collect();
    let mut kinds = vec![6; tokens.len()];
    kinds[..3].copy_from_slice(&[2, 3, 3]);
    let pieces = ('a'..='z').chain('A'..='Z').chain(['▁']).map(String::from);
    tokens.extend(pieces.chain(["▁s", "▁so", "so", "▁a"].map(String::from)));
    kinds.resize(tokens.len(), 1);
    while tokens.len() < VOCABULARY {
        tokens.push(format!("<|{}|>", tokens.len()));
        kinds.push(3);
    }
    let scores = (0..tokens.len()).map(|index| -(index as f32)).collect();
    let name = |key: &str| format!("tokenizer.ggml.{key}");
    vec![
        (name("model"), Meta::Text("llama".into())),
        (name("tokens"), Meta::Texts(tokens)),
        (name("scores"), Meta::Floats(scores)),
        (name("token_type"), Meta::Counts(kinds)),
        (name("unknown_token_id"), Meta::Count(0)),
        (name("bos_token_id"), Meta::Count(1)),
        (name("eos_token_id"), Meta::Count(2)),
        (name("add_bos_token"), Meta::Bool(true)),
        (name("add_space_prefix"), Meta::Bool(true)),
    ]
}

/// The characters that byte-level BPE writes for the bytes, in the order of GPT-2's vocabulary.
fn bytes() -> Vec<char> {
    let plain =
        |byte: u32| (33..=126).contains(&byte) || (161..=172).contains(&byte) || (174..=255).contains(&byte);
    let mut beyond = 0;
    let each = (0..256_u32).map(|byte| {
        if plain(byte) {
            return byte;
        }
        beyond += 1;
        255 + beyond
    });
    each.map(|code| char::from_u32(code).unwrap()).collect()
}
