//! Whether a model fits into memory, and what has to give if not: layers move from the GPU, the context
//! becomes shorter, and at last the model is refused before anything is loaded, unless the user insists and its file
//! can be read from the disk again and again.
//!
//! Invariant: pure arithmetic on estimates. It errs towards loading: only what clearly exceeds the memory
//! that is there is refused.

use crate::engine::protocol::{Failure, FailureKind};
use crate::model_entry::{CacheType, FlashAttention, LoadParams, ModelFacts, amount};

/// How a model that does not fit can be run all the same.
const BY_INSISTING: &str = "It can be run all the same, read from the disk again and again, which is slow: give \
                            --larger-than-memory, or set larger_than_memory = true under [engine]. ";
/// The same, where the settings keep it from being mapped.
const BY_MAPPING: &str = "With mmap = true under [engine] (and mlock = false) it could be read from the disk as it runs, \
                          slowly, on --larger-than-memory. ";

/// Sequences of the unified cache: the chat's and scratch ones.
pub const SEQUENCES: u32 = 16;
/// Cells beside the chat's, for inspection, look-ahead and twins.
pub const SCRATCH_CELLS: u32 = 512;
/// Rows of logits that one batch may ask for; a whole batch's would reserve half a gigabyte on large
/// vocabularies.
pub const OUTPUT_ROWS: u32 = 64;
/// Most tokens that a file's own layer for multi-token prediction guesses: each further one rests on its own guess, and
/// such a layer is trained for the first.
pub const MTP_MOST: u32 = 3;
/// Tokens that it reads at once.
pub const MTP_BATCH: u32 = 64;
/// A context below this is of no use.
const SMALLEST_CONTEXT: u32 = 512;
/// What llama.cpp takes beside its buffers.
const OVERHEAD: u64 = 48 << 20;

/// Memory that can be used, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Of the computer.
    pub host: u64,
    /// Free on all GPUs together; 0 without one.
    pub gpu: u64,
}

/// How to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Tokens a chat may use.
    pub context: u32,
    /// Layers to put on the GPU, the output counted as one.
    pub gpu_layers: u32,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Decides.
///
/// # Errors
/// [`FailureKind::Memory`] when even the smallest context does not fit.
pub fn fit(facts: &ModelFacts, params: &LoadParams, machine: Machine) -> Result<Fit, Failure> {
    let mut notes = Vec::new();
    let wanted = wanted_context(facts, params, &mut notes);
    let cost = Cost::new(facts, params);
    let room = machine.host.saturating_add(machine.gpu / 20 * 19);
    let (context, slow) = match cost.longest(room, wanted) {
        Some(context) => (context, None),
        None => larger_than_memory(facts, params, &cost, (room, wanted))?,
    };
    notes.extend(slow);
    if context < wanted {
        notes.push(format!("Context shortened from {wanted} to {context} tokens to fit into memory."));
    }
    let gpu_layers = cost.gpu_layers(facts, params, machine.gpu / 20 * 19, context);
    Ok(Fit { context, gpu_layers, notes })
}

/// A context for a model that does not fit, with what is then said: its weights stay in the file, of which the system
/// keeps what there is room for. An error unless that can be and the user insists.
fn larger_than_memory(
    facts: &ModelFacts,
    params: &LoadParams,
    cost: &Cost,
    (room, wanted): (u64, u32),
) -> Result<(u32, Option<String>), Failure> {
    let sizes = Sizes { name: &facts.name, needed: cost.total(SMALLEST_CONTEXT.min(wanted)), room };
    match cost.without_weights().longest(room, wanted) {
        None => Err(sizes.refused("")),
        Some(_) if !params.mmap || params.mlock || facts.unaligned => Err(sizes.refused(BY_MAPPING)),
        Some(_) if !params.larger_than_memory => Err(sizes.refused(BY_INSISTING)),
        Some(context) => Ok((context, Some(sizes.slow()))),
    }
}

/// What was asked for, capped by what the model was trained for (or stretched to by scaling its positions).
fn wanted_context(facts: &ModelFacts, params: &LoadParams, notes: &mut Vec<String>) -> u32 {
    let context = params.context_for(facts);
    if params.context > context && params.context != LoadParams::default().context {
        notes.push(format!("Context is {context} tokens: the model was made for no more."));
    }
    context
}

/// Bytes.
struct Cost {
    weights: u64,
    /// Whatever the context.
    fixed: u64,
    /// Per token of context.
    per_cell: u64,
    /// Of these, the KV cache.
    kv_per_cell: u64,
}

impl Cost {
    fn new(facts: &ModelFacts, params: &LoadParams) -> Self {
        let bits = bits(params.cache_type_k) + bits(params.cache_type_v);
        let kv_per_cell = facts.kv_bytes_per_token * bits / 320;
        let plain_attention = params.flash_attention != FlashAttention::On;
        let scores = if plain_attention { u64::from(facts.heads) * u64::from(params.batch) * 4 } else { 0 };
        let logits = u64::from(facts.vocabulary_size) * u64::from(OUTPUT_ROWS) * 4;
        let streams = u64::from(facts.embedding_length) * u64::from(params.batch) * 4 * 8;
        Self {
            weights: facts.file_size,
            fixed: logits + streams + OVERHEAD,
            per_cell: kv_per_cell + scores,
            kv_per_cell,
        }
    }

    /// The same where the weights take no memory that others could not have.
    fn without_weights(&self) -> Self {
        Self { weights: 0, ..*self }
    }

    fn total(&self, context: u32) -> u64 {
        self.weights + self.fixed + self.per_cell * u64::from(context + SCRATCH_CELLS)
    }

    /// The longest context up to `wanted` that fits, a multiple of 256 if shortened.
    fn longest(&self, room: u64, wanted: u32) -> Option<u32> {
        if self.total(wanted) <= room {
            return Some(wanted);
        }
        let left = room.checked_sub(self.weights + self.fixed)?;
        let cells = left.checked_div(self.per_cell)?.checked_sub(u64::from(SCRATCH_CELLS))?;
        let context = u32::try_from(cells / 256 * 256).unwrap_or(wanted).min(wanted);
        (context >= SMALLEST_CONTEXT.min(wanted)).then_some(context)
    }

    fn gpu_layers(&self, facts: &ModelFacts, params: &LoadParams, gpu: u64, context: u32) -> u32 {
        let all = facts.layers + 1;
        if gpu == 0 {
            return 0;
        }
        if let Some(asked) = params.gpu_layers {
            return asked.min(all);
        }
        let working = self.total(context) - self.weights - self.kv(context);
        let per_layer = (self.weights + self.kv(context)) / u64::from(all);
        let fitting = gpu.saturating_sub(working).checked_div(per_layer).unwrap_or(u64::from(all));
        u32::try_from(fitting).unwrap_or(all).min(all)
    }

    fn kv(&self, context: u32) -> u64 {
        self.kv_per_cell * u64::from(context + SCRATCH_CELLS)
    }
}

/// Bits of one value, times ten.
fn bits(cache: CacheType) -> u64 {
    match cache {
        CacheType::F32 => 320,
        CacheType::F16 | CacheType::Bf16 => 160,
        CacheType::Q8_0 => 85,
        CacheType::Q5_1 => 60,
        CacheType::Q4_0 => 45,
    }
}

/// What is said of a model that does not fit.
struct Sizes<'a> {
    name: &'a str,
    needed: u64,
    room: u64,
}

impl Sizes<'_> {
    fn refused(&self, all_the_same: &str) -> Failure {
        let Self { name, needed, room } = self;
        let message = format!(
            "{name} does not fit into memory: it needs about {} even with a short context, and {} is free. \
             {all_the_same}Otherwise choose a smaller model or quantisation, or close other programs.",
            amount(*needed),
            amount(*room),
        );
        Failure { message, kind: FailureKind::Memory }
    }

    fn slow(&self) -> String {
        let Self { name, needed, room } = self;
        format!(
            "{name} is larger than the free memory (it needs about {}, and {} is free): it is read from the disk again \
             and again, so replies are slow.",
            amount(*needed),
            amount(*room)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::RopeMethod;

    const GIB: u64 = 1 << 30;

    /// A model of eight billion weights at four bits.
    fn facts() -> ModelFacts {
        ModelFacts {
            name: "Example 8B".to_string(),
            file_size: 5 * GIB,
            context_length: 32768,
            layers: 32,
            heads: 32,
            kv_heads: 8,
            embedding_length: 4096,
            head_dim: 128,
            vocabulary_size: 128_000,
            kv_bytes_per_token: 131_072,
            ..ModelFacts::default()
        }
    }

    fn machine(host: u64, gpu: u64) -> Machine {
        Machine { host: host * GIB, gpu: gpu * GIB }
    }

    #[test]
    fn with_room_nothing_gives() {
        let fit = fit(&facts(), &LoadParams::default(), machine(32, 0)).unwrap();
        assert_eq!(fit, Fit { context: 8192, gpu_layers: 0, notes: Vec::new() });
    }

    #[test]
    fn the_context_is_shortened_and_it_is_said() {
        let fit = fit(&facts(), &LoadParams::default(), machine(6, 0)).unwrap();
        assert!(fit.context < 8192 && fit.context.is_multiple_of(256), "{}", fit.context);
        let said = format!("Context shortened from 8192 to {} tokens to fit into memory.", fit.context);
        assert_eq!(fit.notes, [said]);
    }

    #[test]
    fn what_cannot_fit_is_refused_with_a_way_out() {
        let failure = fit(&facts(), &LoadParams::default(), machine(4, 0)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Memory);
        assert!(
            failure.message.starts_with("Example 8B does not fit into memory: it needs about 5."),
            "{failure}"
        );
    }

    #[test]
    fn a_model_larger_than_memory_can_be_insisted_on_where_it_can_be_mapped() {
        let facts = ModelFacts { name: "Small".into(), file_size: 94 << 20, ..small() };
        let machine = Machine { host: 130 << 20, gpu: 0 };
        let failure = fit(&facts, &LoadParams::default(), machine).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Memory);
        for said in
            ["--larger-than-memory", "larger_than_memory = true", "slow", "130 MiB is free", "MiB even"]
        {
            assert!(failure.message.contains(said), "{failure} does not say {said}");
        }
        let insisted = LoadParams { larger_than_memory: true, ..LoadParams::default() };
        let slow = fit(&facts, &insisted, machine).unwrap();
        assert!(slow.context >= SMALLEST_CONTEXT, "{slow:?}");
        assert!(slow.notes[0].contains("larger than the free memory") && slow.notes[0].contains("slow"));

        // Not where it cannot be mapped, and not where the rest does not fit either.
        for unmapped in [
            LoadParams { mmap: false, ..insisted.clone() },
            LoadParams { mmap: true, mlock: true, ..insisted.clone() },
        ] {
            assert!(fit(&facts, &unmapped, machine).is_err());
        }
        let failure = fit(&facts, &LoadParams { mmap: false, ..insisted.clone() }, machine).unwrap_err();
        assert!(failure.message.contains("mmap = true"), "{failure}");
        let failure = fit(&facts, &insisted, Machine { host: 10 << 20, gpu: 0 }).unwrap_err();
        assert!(!failure.message.contains("larger"), "{failure}");
        // What fits is loaded as ever, insisted on or not.
        let with_room = Machine { host: 4 << 30, gpu: 0 };
        assert_eq!(fit(&facts, &insisted, with_room), fit(&facts, &LoadParams::default(), with_room));
    }

    /// A model of a hundred million weights at four bits, but for its size.
    fn small() -> ModelFacts {
        ModelFacts {
            context_length: 8192,
            layers: 30,
            heads: 9,
            kv_heads: 3,
            embedding_length: 576,
            head_dim: 64,
            vocabulary_size: 49152,
            kv_bytes_per_token: 23040,
            ..ModelFacts::default()
        }
    }

    #[test]
    fn layers_fill_the_gpu_and_no_more() {
        let all = |gpu| fit(&facts(), &LoadParams::default(), machine(32, gpu)).unwrap().gpu_layers;
        assert_eq!(all(80), 33);
        assert!((1..33).contains(&all(4)), "{}", all(4));
        let asked = LoadParams { gpu_layers: Some(5), ..LoadParams::default() };
        assert_eq!(fit(&facts(), &asked, machine(32, 80)).unwrap().gpu_layers, 5);
    }

    #[test]
    fn the_model_caps_the_context_unless_rope_is_scaled() {
        let facts = ModelFacts { context_length: 2048, ..facts() };
        let mut params = LoadParams { context: 6000, ..LoadParams::default() };
        assert_eq!(fit(&facts, &params, machine(32, 0)).unwrap().context, 2048);
        params.rope.scale = Some(0.25);
        assert_eq!(fit(&facts, &params, machine(32, 0)).unwrap().context, 6000);
        params.rope.method = RopeMethod::None;
        assert_eq!(fit(&facts, &params, machine(32, 0)).unwrap().context, 2048, "nothing is scaled");
    }
}
