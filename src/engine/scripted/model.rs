//! The made-up model once it is loaded: prompts, the remembered prefix, the token loop.
//!
//! Invariant: `cache` holds exactly the ids that a real model's KV cache would hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::draw::{Chain, Wanted};
use super::inside::{HEADS, LAYERS, Pass};
use super::reading::Reading;
use super::vocabulary::{self, MARKS, Pieces};
use super::{ScriptedOptions, cancelled, no_token, other};
use crate::chat::{Intervention, StopReason, Timings, Usage};
use crate::engine::milliseconds;
use crate::engine::prompt::stop::HoldBack;
use crate::engine::prompt::template::{Encoded, Template};
use crate::engine::protocol::{
    Capabilities, Capability, CapturePlan, Event, Failure, FailureKind, Generate, LiveInside, Loaded, Memory,
    Prompt, PromptFacts, Written,
};
use crate::inspect::distribution::Distribution;
use crate::inspect::stages::TraceSource;
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts};
use crate::token::{Candidate, Step, TokenId, TokenKind};

const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] \
    + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}\
    {% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}";

/// What the made-up file says. Names that hold `missing`, `broken` or `huge` fail accordingly; `base` has no
/// chat template and another vocabulary.
pub(super) fn facts(entry: &ModelEntry, options: &ScriptedOptions) -> Result<ModelFacts, Failure> {
    let name = &entry.name;
    let trouble = [
        ("missing", FailureKind::NotFetched, "is not on this machine yet; fetch it first"),
        ("broken", FailureKind::BadModel, "is no GGUF file"),
        ("huge", FailureKind::Memory, "needs more memory than there is; choose a smaller quantisation"),
    ];
    if let Some((_, kind, message)) = trouble.into_iter().find(|(word, ..)| name.contains(word)) {
        return Err(Failure { message: format!("The model {name} {message}."), kind });
    }
    let base = name.contains("base");
    Ok(ModelFacts {
        name: name.clone(),
        architecture: "scripted".into(),
        quantisation: "none".into(),
        file_size: 94 << 20,
        parameters: 135_000_000,
        context_length: options.context,
        layers: LAYERS,
        heads: HEADS,
        kv_heads: HEADS,
        embedding_length: 64,
        head_dim: 16,
        vocabulary_size: pieces_for(base).vocabulary.len() as u32,
        licence: Some("MIT".into()),
        chat_template: (!base).then(|| TEMPLATE.into()),
        kv_bytes_per_token: 4 * 2 * 2 * 16 * 2,
        ..ModelFacts::default()
    })
}

fn pieces_for(base: bool) -> Pieces {
    Pieces::new(if base { "base" } else { "" })
}

/// What a request in progress may use of the rest of the engine.
pub(super) struct Control<'a> {
    /// Sends an event of this request.
    pub(super) emit: &'a dyn Fn(Event),
    /// Waits until a moment; whether the request was cancelled meanwhile.
    pub(super) pause: &'a dyn Fn(Instant) -> bool,
    /// Waits until one more token may be written; whether the request was cancelled meanwhile.
    pub(super) permit: &'a dyn Fn() -> bool,
    /// What is recorded now.
    pub(super) plan: &'a dyn Fn() -> CapturePlan,
    /// How the model behaves.
    pub(super) options: &'a ScriptedOptions,
}

impl Control<'_> {
    /// Takes the time that a slice of a text takes. Fails when the request was cancelled meanwhile.
    pub(super) fn slice(&self) -> Result<(), Failure> {
        let until = Instant::now() + Duration::from_millis(self.options.slice_ms);
        if (self.pause)(until) { Err(cancelled()) } else { Ok(()) }
    }
}

/// A reply that is being written.
struct Writer {
    reading: Reading,
    /// What `reading` has read.
    ids: Vec<TokenId>,
    /// How many of `ids` are the run's prompt.
    prompt: usize,
    /// Tokens drawn.
    written: usize,
    hold: HoldBack,
    chain: Chain,
}

/// A loaded made-up model.
pub(super) struct Model {
    pub(super) loaded: Loaded,
    pub(super) pieces: Arc<Pieces>,
    pub(super) template: Arc<Template>,
    pub(super) batch: usize,
    pub(super) cache: Vec<TokenId>,
}

impl Model {
    pub(super) fn new(facts: ModelFacts, params: &LoadParams, took: Duration) -> Self {
        let pieces = Arc::new(pieces_for(facts.chat_template.is_none()));
        let specials = match facts.chat_template {
            Some(_) => MARKS.map(String::from).to_vec(),
            None => vec![MARKS[0].into(), MARKS[3].into()],
        };
        let template = Arc::new(Template::new(facts.chat_template.as_deref(), "", MARKS[2], specials));
        let context = params.context_for(&facts);
        let loaded = Loaded {
            vocabulary: pieces.vocabulary.hash.clone(),
            marks: pieces.vocabulary.marks.clone(),
            suppressed: pieces.vocabulary.suppressed.clone(),
            device: "scripted".into(),
            gpu_layers: 0,
            context,
            flash_attention: false,
            threads: 1,
            memory: Memory {
                weights: facts.file_size,
                context: u64::from(context) * facts.kv_bytes_per_token,
                compute: 1 << 20,
            },
            load_ms: took.as_secs_f32() * 1000.0,
            dequantized: false,
            template: template.kind,
            template_hash: template.hash.clone(),
            takes_system: template.takes_system,
            switches: template.switches.clone(),
            runner: crate::engine::protocol::Runner::Glassbox,
            odds: crate::engine::protocol::Odds::Whole,
            capabilities: Capabilities::all().without(Capability::Steering),
            notes: facts.doubts.clone(),
            template_notes: template.notes.clone(),
            left_out: Vec::new(),
            keeps_states: false,
            facts,
        };
        Self { loaded, pieces, template, batch: params.batch.max(1) as usize, cache: Vec::new() }
    }

    pub(super) fn file_hash(&self) -> String {
        hex::encode(Sha256::digest(self.loaded.facts.name.as_bytes()))
    }

    /// Reads the prompt and writes the reply.
    pub(super) fn generate(&mut self, generate: &Generate, control: &Control<'_>) -> Result<Event, Failure> {
        let begun = Instant::now();
        let Encoded { mut ids, text, mut notes, .. } = self.encode(&generate.prompt)?;
        let prompt = ids.len();
        let taken: &[TokenId] = match &generate.prompt {
            Prompt::Ids { taken, .. } => taken,
            _ => &[],
        };
        ids.extend(taken);
        self.can_begin(&ids)?;
        let seed = generate.sampling.seed.unwrap_or(control.options.seed);
        let (chain, left_out) = Chain::new(&generate.sampling, seed, &self.pieces.vocabulary);
        notes.extend(left_out);
        let shared = self.cache.iter().zip(&ids).take_while(|(a, b)| a == b).count();
        // The last token is always read again: its logits are needed.
        let reused = shared.min(ids.len() - 1);
        let adapters = generate.interventions.iter().filter_map(Intervention::adapter);
        let left_out: Vec<_> = adapters.filter(|adapter| !adapter.path.is_file()).cloned().collect();
        notes.extend(left_out.iter().map(|adapter| format!("There is no {}.", adapter.path.display())));
        let facts = PromptFacts {
            ids: ids[..prompt].to_vec(),
            reused: reused as u32,
            recalled: false,
            seed,
            text,
            notes,
            left_out,
        };
        (control.emit)(Event::Prompt(facts));
        let read = self.read(&ids, reused, control);
        let prompt_took = begun.elapsed();
        let decoding = Instant::now();
        let mut writer = Writer {
            reading: Reading::of(&self.pieces, &ids),
            ids,
            prompt,
            written: 0,
            hold: HoldBack::new(self.stops(generate)),
            chain,
        };
        let stop = if read { self.write(&mut writer, generate, control) } else { StopReason::Cancelled };
        for written in writer.hold.finish() {
            (control.emit)(Event::Token(Box::new(written)));
        }
        let usage = Usage {
            prompt_tokens: prompt as u32,
            completion_tokens: (taken.len() + writer.written) as u32,
            reused_tokens: reused as u32,
        };
        let timings = self.timings(prompt_took, decoding.elapsed(), writer.written);
        Ok(Event::Done { stop, usage, timings })
    }

    /// Reads what is not cached; false when cancelled.
    fn read(&mut self, ids: &[TokenId], reused: usize, control: &Control<'_>) -> bool {
        self.cache.truncate(reused);
        let total = (ids.len() - reused) as u32;
        for slice in ids[reused..].chunks(self.batch) {
            if control.slice().is_err() {
                return false;
            }
            self.cache.extend(slice);
            (control.emit)(Event::PromptProgress { done: (self.cache.len() - reused) as u32, total });
        }
        true
    }

    /// The token loop.
    fn write(&mut self, writer: &mut Writer, generate: &Generate, control: &Control<'_>) -> StopReason {
        let most = generate.sampling.max_tokens as usize;
        let token = Duration::from_millis(control.options.token_ms);
        let mut due = Instant::now();
        let mut last = due;
        loop {
            let run_length = writer.ids.len() - writer.prompt;
            if most > 0 && run_length >= most {
                return StopReason::Length;
            }
            if self.cache.len() >= self.loaded.context as usize {
                return StopReason::Context;
            }
            if (control.permit)() {
                return StopReason::Cancelled;
            }
            // After a wait the pace starts over; else it is kept whatever the work took.
            due = (due + token).max(Instant::now());
            if (control.pause)(due) {
                return StopReason::Cancelled;
            }
            let distribution = writer.reading.distribution();
            let drawn = writer.chain.draw(&writer.reading, &distribution, &writer.ids);
            if self.ends(drawn.id) {
                return StopReason::Eos;
            }
            let bytes = self.pieces.written(drawn.id);
            let mut step = distribution
                .step(drawn.id, bytes, generate.top_logprobs as usize)
                .expect("the drawn token is in the vocabulary");
            step.survivors = drawn.survivors;
            step.ms = milliseconds(last);
            last = Instant::now();
            let written = observe(writer, &distribution, step, drawn.id, &(control.plan)());
            writer.ids.push(drawn.id);
            writer.reading.push(drawn.id);
            writer.written += 1;
            self.cache.push(drawn.id);
            let name = self.pieces.vocabulary.bytes(drawn.id).unwrap_or_default();
            let released = writer.hold.push(written, name);
            for written in released.steps {
                (control.emit)(Event::Token(Box::new(written)));
            }
            if released.stopped {
                return StopReason::Stop;
            }
        }
    }

    fn can_begin(&self, ids: &[TokenId]) -> Result<(), Failure> {
        self.fits(ids)?;
        if ids.len() < self.loaded.context as usize { Ok(()) } else { Err(self.too_long("prompt", ids)) }
    }

    /// Whether these tokens can be read at all.
    pub(super) fn fits(&self, ids: &[TokenId]) -> Result<(), Failure> {
        if ids.is_empty() {
            return Err(other("There is nothing to read.".into()));
        }
        if let Some(id) = ids.iter().find(|id| self.pieces.vocabulary.bytes(**id).is_none()) {
            return Err(no_token(*id));
        }
        if ids.len() > self.loaded.context as usize { Err(self.too_long("text", ids)) } else { Ok(()) }
    }

    fn too_long(&self, what: &str, ids: &[TokenId]) -> Failure {
        let message = format!(
            "The {what} has {} tokens, the context {}: shorten it, or load the model with a longer context.",
            ids.len(),
            self.loaded.context
        );
        Failure { message, kind: FailureKind::ContextFull }
    }

    /// Whether a token ends a reply.
    pub(super) fn ends(&self, id: TokenId) -> bool {
        use super::vocabulary::{END_OF_TEXT, END_OF_TURN};
        self.pieces.vocabulary.kind(id) == TokenKind::Control && [END_OF_TURN, END_OF_TEXT].contains(&id)
    }

    fn stops(&self, generate: &Generate) -> Vec<String> {
        let mut stops = generate.sampling.stop.clone();
        if matches!(generate.prompt, Prompt::Chat { .. } | Prompt::Ids { chat: true, .. }) {
            stops.extend(self.template.stop_texts());
        }
        stops
    }

    pub(super) fn encode(&self, prompt: &Prompt) -> Result<Encoded, Failure> {
        encode(&self.pieces, &self.template, prompt)
    }

    fn timings(&self, prompt: Duration, decode: Duration, written: usize) -> Timings {
        let seconds = decode.as_secs_f32();
        Timings {
            load_ms: self.loaded.load_ms,
            prompt_ms: prompt.as_secs_f32() * 1000.0,
            decode_ms: seconds * 1000.0,
            tokens_per_second: if seconds > 0.0 { written as f32 / seconds } else { 0.0 },
            threads: None,
        }
    }
}

/// A prompt as tokens.
pub(super) fn encode(pieces: &Pieces, template: &Template, prompt: &Prompt) -> Result<Encoded, Failure> {
    match prompt {
        Prompt::Raw { text } => {
            let mut ids = vec![vocabulary::BEGIN];
            ids.extend(pieces.tokenize(text.as_bytes(), false));
            Ok(Encoded { ids, text: text.clone(), ..Encoded::default() })
        }
        Prompt::Ids { ids, .. } => {
            let bytes: Vec<u8> =
                ids.iter().flat_map(|id| pieces.vocabulary.bytes(*id).unwrap_or_default()).copied().collect();
            let ids = ids.clone();
            Ok(Encoded { ids, text: String::from_utf8_lossy(&bytes).into_owned(), ..Encoded::default() })
        }
        Prompt::Chat { messages, continue_last, setting } => template.encode(
            messages,
            *continue_last,
            setting,
            &pieces.vocabulary.hash,
            &mut |text, special, _| Ok(pieces.tokenize(text.as_bytes(), special)),
            &|id| pieces.vocabulary.bytes(id).unwrap_or_default().to_vec(),
        ),
    }
}

/// A drawn step with what the plan wants recorded of it.
fn observe(
    writer: &Writer,
    distribution: &Distribution,
    step: Step,
    drawn: TokenId,
    plan: &CapturePlan,
) -> Written {
    let started = Instant::now();
    let index = (writer.ids.len() - writer.prompt) as u32;
    let stages = (plan.stages > 0).then(|| {
        let wanted = Wanted { drawn, index, list: plan.stages, source: TraceSource::Live };
        writer.chain.trace(&writer.reading, distribution, &writer.ids, &wanted).map(Box::new)
    });
    let told = |id: &TokenId| {
        let candidate = Candidate { id: *id, logprob: distribution.logprob(*id)? };
        Some((candidate, distribution.rank(*id)?))
    };
    let watched: Vec<_> = plan.watch.iter().filter_map(told).collect();
    let recording_ms = (stages.is_some() || !watched.is_empty()).then(|| milliseconds(started));
    let inside = plan.inside.as_ref().filter(|live| !live.is_empty()).map(|live| {
        let next = distribution.order().iter().find(|id| **id != drawn).copied();
        let want = live.of(drawn, next, writer.ids.len() as u32 - 1);
        let seen = Pass::after(&writer.reading, &writer.ids).open(&want);
        Box::new(LiveInside { ms: seen.ms, every: 1, seen })
    });
    Written {
        step,
        index,
        forced: false,
        drafted: false,
        stages: stages.flatten(),
        watched,
        recording_ms,
        inside,
        unchanged: None,
        machine_busy: false,
    }
}
