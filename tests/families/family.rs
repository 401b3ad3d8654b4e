//! What distinguishes the families: one description that both the file writer and the reference transformer follow.
//!
//! Invariant: a description says everything; neither reader of it knows a family's name.

/// How positions enter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    /// Rotary, pairs (2i, 2i+1).
    RopeNormal(f64),
    /// Rotary, pairs (i, i + n/2).
    RopeNeox(f64),
    /// A learned vector a position, added to the embedding.
    Learned,
    /// A slope a head on the distance; the largest bias is 8.
    Alibi,
}

/// What the feed-forward reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The stream after attention.
    After,
    /// The stream before attention, through a norm of its own.
    Beside,
    /// What attention reads.
    Shared,
}

/// A norm on queries and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryNorm {
    None,
    Heads,
    Whole,
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experts {
    pub count: usize,
    pub used: usize,
    /// Whether the used experts' weights are scaled to add up to 1.
    pub normed: bool,
    /// Neurons of a shared expert, with a gate of its own.
    pub shared: Option<usize>,
}

/// A family, as small as it can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub architecture: &'static str,
    pub layers: usize,
    pub width: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head: usize,
    pub neurons: usize,
    pub position: Position,
    pub order: Order,
    pub query_norm: QueryNorm,
    pub layer_norm: bool,
    pub bias: bool,
    pub query_bias: bool,
    /// Whether what each head gives is gated, elementwise, by what its query is read with.
    pub gated_attention: bool,
    pub fused_attention: bool,
    pub fused_gate: bool,
    pub gated: bool,
    pub gelu: bool,
    pub pre_norm: bool,
    pub post_norm: bool,
    pub embedding_norm: bool,
    pub embedding_scale: f64,
    pub residual_scale: f64,
    /// The logits are divided by it.
    pub logit_scale: f64,
    pub attention_scale: Option<f64>,
    pub score_cap: Option<f64>,
    pub final_cap: Option<f64>,
    /// Tokens that a window holds, and in which blocks it is.
    pub window: Option<(usize, [bool; 3])>,
    /// Base of the rotation in blocks with a window.
    pub window_base: Option<f64>,
    pub experts: Option<Experts>,
    pub tied: bool,
    /// Blocks behind the last that only guess tokens further on (multi-token prediction).
    pub foreseeing: u8,
}

/// Entries of every vocabulary here.
pub const VOCABULARY: usize = 320;
/// Positions that the models were "trained" on.
pub const CONTEXT: usize = 256;
pub const EPSILON: f64 = 1e-5;

/// The llama family's shape, from which the others differ.
pub const LLAMA: Family = Family {
    name: "llama",
    architecture: "llama",
    layers: 3,
    width: 48,
    heads: 4,
    kv_heads: 2,
    head: 12,
    neurons: 80,
    position: Position::RopeNormal(10_000.0),
    order: Order::After,
    query_norm: QueryNorm::None,
    layer_norm: false,
    bias: false,
    query_bias: false,
    gated_attention: false,
    fused_attention: false,
    fused_gate: false,
    gated: true,
    gelu: false,
    pre_norm: true,
    post_norm: false,
    embedding_norm: false,
    embedding_scale: 1.0,
    residual_scale: 1.0,
    logit_scale: 1.0,
    attention_scale: None,
    score_cap: None,
    final_cap: None,
    window: None,
    window_base: None,
    experts: None,
    tied: true,
    foreseeing: 0,
};

const NEOX: Position = Position::RopeNeox(10_000.0);

/// All of them.
pub fn families() -> Vec<Family> {
    let gpt = Family {
        layer_norm: true,
        bias: true,
        query_bias: true,
        fused_attention: true,
        gated: false,
        gelu: true,
        kv_heads: 4,
        ..LLAMA
    };
    let gemma = Family {
        position: NEOX,
        head: 16,
        gelu: true,
        post_norm: true,
        embedding_scale: (LLAMA.width as f64).sqrt(),
        ..LLAMA
    };
    let mixture = Experts { count: 6, used: 2, normed: true, shared: None };
    vec![
        LLAMA,
        Family { name: "mistral", head: 16, position: Position::RopeNormal(1e6), tied: false, ..LLAMA },
        Family { name: "qwen2", architecture: "qwen2", position: NEOX, query_bias: true, ..LLAMA },
        Family {
            name: "qwen3",
            architecture: "qwen3",
            position: Position::RopeNeox(1e6),
            head: 16,
            query_norm: QueryNorm::Heads,
            ..LLAMA
        },
        Family {
            name: "hy_v3",
            architecture: "hy_v3",
            position: Position::RopeNeox(1e6),
            head: 16,
            query_norm: QueryNorm::Heads,
            foreseeing: 1,
            ..LLAMA
        },
        Family {
            name: "gemma2",
            architecture: "gemma2",
            score_cap: Some(3.0),
            final_cap: Some(4.0),
            window: Some((12, [true, false, true])),
            ..gemma
        },
        Family {
            name: "gemma3",
            architecture: "gemma3",
            position: Position::RopeNeox(1e6),
            query_norm: QueryNorm::Heads,
            window: Some((12, [true, true, false])),
            window_base: Some(10_000.0),
            ..gemma
        },
        Family {
            name: "phi3",
            architecture: "phi3",
            position: NEOX,
            fused_attention: true,
            fused_gate: true,
            // Heads of 16: it scales queries before they are rounded, here by a power of two, so all the same.
            width: 64,
            head: 16,
            tied: false,
            ..LLAMA
        },
        Family { name: "gpt2", architecture: "gpt2", position: Position::Learned, ..gpt },
        Family { name: "mixtral", experts: Some(mixture), neurons: 32, tied: false, ..LLAMA },
        Family {
            name: "qwen2moe",
            architecture: "qwen2moe",
            position: NEOX,
            query_bias: true,
            neurons: 32,
            experts: Some(Experts { normed: false, shared: Some(40), ..mixture }),
            tied: false,
            ..LLAMA
        },
        // Not among the families that are looked for: the generic ways have to do.
        Family {
            name: "gptneox",
            architecture: "gptneox",
            position: NEOX,
            order: Order::Beside,
            tied: false,
            ..gpt
        },
        Family {
            name: "falcon",
            architecture: "falcon",
            position: NEOX,
            order: Order::Shared,
            bias: false,
            query_bias: false,
            kv_heads: 1,
            ..gpt
        },
        Family {
            name: "bloom",
            architecture: "bloom",
            position: Position::Alibi,
            embedding_norm: true,
            ..gpt
        },
        Family {
            name: "granite",
            architecture: "granite",
            embedding_scale: 3.0,
            residual_scale: 0.4,
            logit_scale: 2.5,
            attention_scale: Some(0.2),
            ..LLAMA
        },
        Family {
            name: "olmo2",
            architecture: "olmo2",
            position: NEOX,
            query_norm: QueryNorm::Whole,
            pre_norm: false,
            post_norm: true,
            tied: false,
            ..LLAMA
        },
    ]
}

impl Family {
    /// Blocks in the file.
    pub fn blocks(&self) -> usize {
        self.layers + usize::from(self.foreseeing)
    }

    /// The name of the norm before the feed-forward.
    pub fn ffn_norm(&self) -> &'static str {
        if self.gated_attention { "post_attention_norm" } else { "ffn_norm" }
    }

    /// How many query heads read one key-value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// The window of a block, in tokens.
    pub fn window(&self, layer: usize) -> Option<usize> {
        self.window.filter(|(_, of)| of[layer]).map(|(window, _)| window)
    }

    /// Base of a block's rotation.
    pub fn base(&self, layer: usize) -> f64 {
        let (Position::RopeNormal(base) | Position::RopeNeox(base)) = self.position else { return 0.0 };
        self.window_base.filter(|_| self.window(layer).is_some()).unwrap_or(base)
    }

    pub fn scale(&self) -> f64 {
        self.attention_scale.unwrap_or(1.0 / (self.head as f64).sqrt())
    }
}
