//! The made-up model once it is loaded: prompts, the remembered prefix, the token loop.
//!
//! Invariant: `cache` holds exactly the ids that a real model's KV cache would hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::vocabulary::{self, MARKS, Pieces};
use super::{ScriptedOptions, numbers, replies};
use crate::chat::{Role, StopReason, Timings, Usage};
use crate::engine::protocol::{Event, Failure, FailureKind, Generate, Loaded, Memory, Prompt, PromptFacts};
use crate::engine::template::{Encoded, Template, hexadecimal};
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts};
use crate::token::TokenId;

const TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] \
    + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

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
        layers: 4,
        heads: 4,
        kv_heads: 2,
        embedding_length: 64,
        head_dim: 16,
        vocabulary_size: pieces_for(base).vocabulary.len() as u32,
        licence: Some("MIT".into()),
        chat_template: (!base).then(|| TEMPLATE.into()),
        kv_bytes_per_token: 4 * 2 * 2 * 16 * 2,
        files: Vec::new(),
    })
}

fn pieces_for(base: bool) -> Pieces {
    Pieces::new(if base { "base" } else { "" })
}

/// A loaded made-up model.
pub(super) struct Model {
    pub(super) loaded: Loaded,
    pub(super) pieces: Arc<Pieces>,
    template: Template,
    batch: usize,
    cache: Vec<TokenId>,
}

impl Model {
    pub(super) fn new(facts: ModelFacts, params: &LoadParams, took: Duration) -> Self {
        let pieces = Arc::new(pieces_for(facts.chat_template.is_none()));
        let specials = match facts.chat_template {
            Some(_) => MARKS.map(String::from).to_vec(),
            None => vec![MARKS[0].into(), MARKS[3].into()],
        };
        let template = Template::new(facts.chat_template.as_deref(), "", MARKS[2], specials);
        let context = params.context.min(facts.context_length);
        let loaded = Loaded {
            vocabulary: pieces.vocabulary.hash.clone(),
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
            template: template.kind,
            template_hash: template.hash.clone(),
            takes_system: template.takes_system,
            notes: template.notes.clone(),
            facts,
        };
        Self { loaded, pieces, template, batch: params.batch.max(1) as usize, cache: Vec::new() }
    }

    pub(super) fn file_hash(&self) -> String {
        hexadecimal(&Sha256::digest(self.loaded.facts.name.as_bytes()))
    }

    /// Reads the prompt and writes the reply. `pause` waits until a moment and tells whether the request was
    /// cancelled meanwhile.
    pub(super) fn generate(
        &mut self,
        generate: &Generate,
        options: &ScriptedOptions,
        emit: &dyn Fn(Event),
        pause: &dyn Fn(Instant) -> bool,
    ) -> Result<Event, Failure> {
        let begun = Instant::now();
        let Encoded { ids, text, notes } = self.encode(&generate.prompt)?;
        let context = self.loaded.context as usize;
        if ids.len() >= context {
            let message = format!(
                "The prompt has {} tokens, the context {context}: shorten it, or load the model with a longer context.",
                ids.len()
            );
            return Err(Failure { message, kind: FailureKind::ContextFull });
        }
        let shared = self.cache.iter().zip(&ids).take_while(|(a, b)| a == b).count();
        // The last token is always read again: its logits are needed.
        let reused = shared.min(ids.len().saturating_sub(1));
        let seed = generate.sampling.seed.unwrap_or(options.seed);
        emit(Event::Prompt(PromptFacts { ids: ids.clone(), reused: reused as u32, seed, text, notes }));
        self.cache.truncate(reused);
        let usage = |written: usize| Usage {
            prompt_tokens: ids.len() as u32,
            completion_tokens: written as u32,
            reused_tokens: reused as u32,
        };
        let total = (ids.len() - reused) as u32;
        for slice in ids[reused..].chunks(self.batch) {
            if pause(Instant::now() + Duration::from_millis(options.slice_ms)) {
                let timings = self.timings(begun.elapsed(), Duration::ZERO, 0);
                return Ok(Event::Done { stop: StopReason::Cancelled, usage: usage(0), timings });
            }
            self.cache.extend(slice);
            emit(Event::PromptProgress { done: (self.cache.len() - reused) as u32, total });
        }
        let prompt_took = begun.elapsed();
        let decoding = Instant::now();
        let (reply, end) = self.script(generate, seed);
        let mut reason = end;
        let mut written = 0;
        for (index, id) in reply.into_iter().enumerate() {
            let last = Instant::now();
            if pause(decoding + Duration::from_millis(options.token_ms) * (index as u32 + 1)) {
                reason = StopReason::Cancelled;
                break;
            }
            let position = self.cache.len();
            let size = self.pieces.vocabulary.len();
            let mut step = numbers::step(id, position, seed, size, generate.top_logprobs, &generate.sampling);
            step.bytes = self.pieces.written(id).to_vec();
            step.ms = last.elapsed().as_secs_f32() * 1000.0;
            emit(Event::Token(Box::new(step)));
            self.cache.push(id);
            written += 1;
            if self.cache.len() >= context {
                reason = StopReason::Context;
                break;
            }
        }
        let timings = self.timings(prompt_took, decoding.elapsed(), written);
        Ok(Event::Done { stop: reason, usage: usage(written), timings })
    }

    fn encode(&self, prompt: &Prompt) -> Result<Encoded, Failure> {
        match prompt {
            Prompt::Raw { text } => {
                let mut ids = vec![vocabulary::BEGIN];
                ids.extend(self.pieces.tokenize(text.as_bytes(), false));
                Ok(Encoded { ids, text: text.clone(), notes: Vec::new() })
            }
            Prompt::Ids { ids, taken, .. } => {
                let ids: Vec<TokenId> = ids.iter().chain(taken).copied().collect();
                let bytes: Vec<u8> = ids.iter().flat_map(|id| self.pieces.written(*id).to_vec()).collect();
                Ok(Encoded { ids, text: String::from_utf8_lossy(&bytes).into_owned(), notes: Vec::new() })
            }
            Prompt::Chat { messages, continue_last, clock_ms } => self.template.encode(
                messages,
                *continue_last,
                *clock_ms,
                &self.pieces.vocabulary.hash,
                &mut |text, special| Ok(self.pieces.tokenize(text.as_bytes(), special)),
                &|id| self.pieces.vocabulary.bytes(id).unwrap_or_default().to_vec(),
            ),
        }
    }

    /// The tokens to write and why they end.
    fn script(&self, generate: &Generate, seed: u32) -> (Vec<TokenId>, StopReason) {
        let (question, begun) = match &generate.prompt {
            Prompt::Raw { text } => (text.as_str(), ""),
            Prompt::Ids { .. } => ("", ""),
            Prompt::Chat { messages, continue_last, .. } => {
                let question = messages.iter().rev().find(|message| message.role == Role::User);
                let last = messages.last().filter(|last| *continue_last && last.role == Role::Assistant);
                (question.map_or("", |message| &message.text), last.map_or("", |message| &message.text))
            }
        };
        let whole = replies::reply(question, seed);
        let reply = whole.strip_prefix(begun.as_bytes()).unwrap_or(&whole);
        let mut stops = generate.sampling.stop.clone();
        stops.extend(self.template.stop_texts());
        let cut = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| find(reply, stop.as_bytes()))
            .min();
        let mut end = if cut.is_some() { StopReason::Stop } else { StopReason::Eos };
        let mut ids = self.pieces.tokenize(reply, false);
        let mut length = 0;
        ids.retain(|id| {
            length += self.pieces.written(*id).len();
            cut.is_none_or(|cut| length <= cut)
        });
        let most = generate.sampling.max_tokens as usize;
        if most > 0 && ids.len() >= most {
            ids.truncate(most);
            end = StopReason::Length;
        }
        (ids, end)
    }

    fn timings(&self, prompt: Duration, decode: Duration, written: usize) -> Timings {
        let seconds = decode.as_secs_f32();
        Timings {
            load_ms: self.loaded.load_ms,
            prompt_ms: prompt.as_secs_f32() * 1000.0,
            decode_ms: seconds * 1000.0,
            tokens_per_second: if seconds > 0.0 { written as f32 / seconds } else { 0.0 },
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
