//! A model that a server has: how its texts become tokens.
//!
//! Invariant: every id that an event names is in [`Model::words`] before, with its bytes as the server says them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::detect::Found;
use super::http::{Http, Path, other};
use super::refusal::most_candidates;
use super::settings::Dialect;
use super::told::Choice;
use super::words::Words;
use super::{llama, sglang, vllm};
use crate::engine::protocol::{
    Failure, Loaded, Memory, Message, Runner, Switches, TemplateKind, TemplateSetting,
};
use crate::model_entry::{Api, ModelFacts};
use crate::token::{TokenId, TokenKind};

/// A model that a server has.
#[derive(Debug)]
pub struct Model {
    /// The way there.
    pub http: Http,
    /// What the server is.
    pub found: Found,
    /// What is told of it.
    pub loaded: Loaded,
    words: Mutex<Words>,
    /// Sentences that were said already.
    said: Mutex<BTreeSet<String>>,
    /// A token of one letter, after which another's text stands whole.
    pub anchor: Option<(TokenId, String)>,
    /// The most candidates that it gives.
    most: AtomicU32,
    /// Parameters that were refused for it, and are left out since.
    refused: Mutex<BTreeSet<&'static str>>,
}

impl Model {
    /// The model that was found.
    pub async fn new(
        http: Http,
        found: Found,
        name: &str,
        begun: Instant,
        cancel: &CancellationToken,
    ) -> Self {
        let loaded = loaded(&http, &found, name, begun);
        let words = Mutex::new(Words::of(loaded.vocabulary.clone()));
        let most = AtomicU32::new(loaded.odds.most().unwrap_or(u32::MAX));
        let (said, refused) = (Mutex::default(), Mutex::default());
        let mut model = Self { http, found, loaded, words, said, anchor: None, most, refused };
        if matches!(model.found.api, Api::Vllm | Api::SgLang) && model.found.tokenizes {
            model.anchor = model.find_anchor(cancel).await;
        }
        model
    }

    /// What was met of its vocabulary.
    pub fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sentence, the first time.
    pub fn once(&self, sentence: String) -> Option<String> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.insert(sentence.clone()).then_some(sentence)
    }

    /// How many candidates can be asked for, of those that are wanted.
    pub fn candidates(&self, wanted: u32) -> u32 {
        wanted.min(self.most.load(Ordering::Relaxed))
    }

    /// Where a refusal names a limit: how many to ask for instead, always fewer than before.
    ///
    /// # Errors
    /// The refusal, where it is about something else.
    pub fn fewer_candidates(&self, refused: Failure, asked: u32) -> Result<u32, Failure> {
        let most = most_candidates(&refused, asked).ok_or(refused)?;
        self.most.store(most, Ordering::Relaxed);
        Ok(most)
    }

    /// What is to be known, once, where it gives fewer candidates than it was taken for.
    pub fn fewer(&self, asked: u32, given: u32) -> Option<String> {
        let expected = given >= self.loaded.odds.most().map_or(asked, |most| asked.min(most));
        let note = || format!("{} gives the {given} likeliest tokens at most, not {asked}.", self.http.host);
        (!expected).then(note).and_then(|note| self.once(note))
    }

    fn refused(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a parameter out from now on, since it was refused; what is to be known of that.
    pub fn refuses(&self, name: &'static str) -> Option<String> {
        let mut refused = self.refused();
        let is_new = refused.insert(name);
        let (host, id) = (&self.http.host, self.id().unwrap_or("this model"));
        let sentence = match name {
            "logprobs" => format!(
                "{host} gives no log-probabilities of {id}: its replies come without figures, colours and softmax."
            ),
            "top_logprobs" => format!("{host} gives no other candidates than the written token of {id}."),
            // It goes by its other name then.
            _ if LIMITS.contains(&name) && !LIMITS.iter().all(|limit| refused.contains(limit)) => {
                return None;
            }
            _ => format!("{host} does not take {name} for {id}, so it is left out and does nothing."),
        };
        is_new.then_some(sentence)
    }

    /// Whether tokens come with their odds, as far as is known.
    pub fn gives_figures(&self) -> bool {
        !self.refused().iter().any(|name| matches!(*name, "logprobs" | "top_logprobs"))
    }

    /// Takes what was refused out of a request.
    pub fn leave_out_refused(&self, body: &mut Value) {
        let refused = self.refused();
        for name in refused.iter() {
            let limit = take(body, name);
            if *name == "logprobs" {
                take(body, "top_logprobs");
            }
            let other =
                LIMITS.iter().filter(|_| LIMITS.contains(name)).find(|other| !refused.contains(*other));
            if let (Some(limit), Some(other)) = (limit, other) {
                body[*other] = limit;
            }
        }
    }

    /// Whose settings it takes in its `OpenAI` form.
    pub fn dialect(&self) -> Dialect {
        match self.found.api {
            Api::Vllm | Api::SgLang => Dialect::Vllm,
            _ if self.http.host == "api.openai.com" => Dialect::Hosted,
            _ => Dialect::OpenAi,
        }
    }

    /// The name that the server knows it by.
    pub fn id(&self) -> Option<&str> {
        self.found.id.as_deref()
    }

    /// A text's tokens, with their bytes.
    pub async fn tokenize(
        &self,
        text: &str,
        special: bool,
        begin: bool,
        cancel: &CancellationToken,
    ) -> Result<Vec<(TokenId, Vec<u8>)>, Failure> {
        let unread = || other(format!("{} did not tell the tokens of a text.", self.http.host));
        let path = Path::Root("/tokenize");
        match self.found.api {
            Api::Llama => {
                let answer = self.http.post(path, &llama::tokenize(text, special, begin), cancel).await?;
                let tokens = llama::tokens(&answer).ok_or_else(unread)?;
                self.meet(&tokens, cancel).await;
                Ok(tokens)
            }
            Api::Vllm | Api::SgLang if self.found.tokenizes => {
                let answer = self.http.post(path, &vllm::tokenize(self.id(), text, begin), cancel).await?;
                let ids = vllm::tokens(&answer).ok_or_else(unread)?;
                self.read_bytes(&ids, &answer, text, cancel).await;
                self.name(ids.iter().map(|id| (*id, TokenKind::Normal)), cancel).await;
                let words = self.words();
                let bytes = |id: &TokenId| words.vocabulary().bytes(*id).unwrap_or_default().to_vec();
                Ok(ids.iter().map(|id| (*id, bytes(id))).collect())
            }
            _ => Err(other(format!("{} does not tell how a text is cut into tokens.", self.http.host))),
        }
    }

    /// The prompt that a chat becomes, by ids and as text; `None` where the server keeps that to itself.
    pub async fn chat_prompt(
        &self,
        messages: &[Message],
        continue_last: bool,
        setting: &TemplateSetting,
        cancel: &CancellationToken,
    ) -> Result<Option<(Vec<TokenId>, String)>, Failure> {
        match self.found.api {
            Api::Llama => {
                let body = llama::template(messages, &setting.values);
                let answer = self.http.post(Path::Root("/apply-template"), &body, cancel).await?;
                let text = answer["prompt"].as_str();
                let text =
                    text.ok_or_else(|| other(format!("{} did not tell the prompt.", self.http.host)))?;
                let tokens = self.tokenize(text, true, true, cancel).await?;
                Ok(Some((tokens.iter().map(|(id, _)| *id).collect(), text.to_owned())))
            }
            Api::Vllm | Api::SgLang
                if self.found.tokenizes_chats
                    && (self.found.api == Api::Vllm || !continue_last || self.found.sglang.continues) =>
            {
                let chat_tokens =
                    if self.found.api == Api::Vllm { vllm::chat_tokens } else { sglang::chat_tokens };
                let body = chat_tokens(self.id(), messages, continue_last, &setting.values);
                let answer = self.http.post(Path::Root("/tokenize"), &body, cancel).await?;
                let ids = vllm::tokens(&answer)
                    .ok_or_else(|| other(format!("{} did not tell the prompt.", self.http.host)))?;
                let text = self.detokenize(&ids, cancel).await.unwrap_or_default();
                self.read_bytes(&ids, &answer, &text, cancel).await;
                if self.found.api == Api::SgLang {
                    // It does not say how its tokenizer writes them, but many are named at once.
                    self.name(ids.iter().map(|id| (*id, TokenKind::Normal)), cancel).await;
                }
                Ok(Some((ids, text)))
            }
            _ => Ok(None),
        }
    }

    /// What ids spell.
    pub async fn detokenize(&self, ids: &[TokenId], cancel: &CancellationToken) -> Option<String> {
        let mut body = match self.found.api {
            Api::Llama => json!({"tokens": ids.iter().map(|id| id.0).collect::<Vec<_>>()}),
            _ => vllm::detokenize(self.id(), ids),
        };
        if self.found.api == Api::SgLang {
            // Else it leaves marks out.
            body["skip_special_tokens"] = false.into();
        }
        let answer = self.http.ask_once(Path::Root("/detokenize"), &body, cancel).await?;
        [&answer["content"], &answer["prompt"], &answer["text"]]
            .into_iter()
            .find_map(Value::as_str)
            .map(str::to_owned)
    }

    /// The tokens of a piece of an answer, each by its id, or a stand-in where only its bytes are known.
    pub async fn settle(&self, choices: &[&Choice], cancel: &CancellationToken) -> Vec<Option<TokenId>> {
        let unnamed = choices.iter().filter(|choice| choice.bytes.as_ref().is_none_or(Vec::is_empty));
        // llama.cpp's server lists no bytes for marks alone; of what it did not list at all nothing is known.
        let is_mark = |choice: &Choice| choice.bytes.is_some() && self.found.api == Api::Llama;
        let kind = |choice: &Choice| if is_mark(choice) { TokenKind::Control } else { TokenKind::Normal };
        let unnamed: Vec<_> = unnamed.filter_map(|choice| Some((choice.id?, kind(choice)))).collect();
        // What has bytes needs no question; it comes first, so that the others are asked only for what is new.
        for choice in choices {
            if let (Some(id), Some(bytes)) =
                (choice.id, choice.bytes.as_ref().filter(|bytes| !bytes.is_empty()))
            {
                self.words().met(id, bytes, TokenKind::Normal);
            }
        }
        self.name(unnamed, cancel).await;
        let mut words = self.words();
        let mut place = |choice: &Choice| match (choice.id, &choice.bytes) {
            (Some(id), _) => Some(id),
            (None, Some(bytes)) if !bytes.is_empty() => Some(words.stand_in(bytes)),
            (None, _) => None,
        };
        choices.iter().map(|choice| place(choice)).collect()
    }
}

/// The names that the limit of a reply goes by.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// Takes a parameter out of a request, from SGLang's own place for settings too.
fn take(body: &mut Value, name: &str) -> Option<Value> {
    let of = |body: &mut Value| body.as_object_mut()?.remove(name);
    of(body).or_else(|| of(body.get_mut("sampling_params")?))
}

fn loaded(http: &Http, found: &Found, name: &str, begun: Instant) -> Loaded {
    let thinks = found.template.as_ref().is_some_and(|text| text.contains("enable_thinking"));
    Loaded {
        facts: facts(found, name),
        vocabulary: found.vocabulary(&http.host),
        marks: Vec::new(),
        suppressed: Vec::new(),
        device: format!("{} at {}", found.api.title(), http.host),
        gpu_layers: 0,
        context: found.context,
        flash_attention: false,
        threads: 0,
        memory: Memory::default(),
        load_ms: crate::engine::milliseconds(begun),
        dequantized: false,
        template: TemplateKind::Model,
        template_hash: None,
        takes_system: true,
        switches: Switches {
            values: thinks.then(|| "enable_thinking".to_owned()).into_iter().collect(),
            words: Vec::new(),
        },
        capabilities: found.capabilities(),
        notes: http.note().into_iter().chain(found.sglang.scales.then(|| scaled(http))).collect(),
        template_notes: Vec::new(),
        left_out: Vec::new(),
        runner: Runner::Server { api: found.api, host: http.host.clone() },
        odds: found.odds(),
        keeps_states: false,
    }
}

/// What is said of odds that are not the model's own.
fn scaled(http: &Http) -> String {
    format!(
        "{} gives the odds of replies after the temperature, which makes likely tokens look likelier than they are to the \
         model (below 1). Started with SGLANG_RETURN_ORIGINAL_LOGPROB=1, it gives the model's own.",
        http.host
    )
}

/// What is known of a model; the rest stays empty.
fn facts(found: &Found, name: &str) -> ModelFacts {
    ModelFacts {
        name: found.id.clone().unwrap_or_else(|| name.to_owned()),
        context_length: found.trained.max(found.context),
        vocabulary_size: found.entries,
        parameters: found.parameters,
        file_size: found.size,
        ..ModelFacts::default()
    }
}
