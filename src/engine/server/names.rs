//! How tokens get their names: from how the server's tokenizer writes a text's, or by asking for each one's text.
//!
//! Invariant: a token's bytes are what the server says; where it says them in part only (halves of characters), they stay
//! unknown.

use std::collections::BTreeMap;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::Path;
use super::model::Model;
use super::told::bytes_of;
use super::{llama, sglang, vllm};
use crate::model_entry::Api;
use crate::token::{TokenId, TokenKind};

impl Model {
    /// Asks for the bytes of tokens that were not met yet.
    pub async fn name(
        &self,
        ids: impl IntoIterator<Item = (TokenId, TokenKind)>,
        cancel: &CancellationToken,
    ) {
        const AT_ONCE: usize = 16;
        let unknown: BTreeMap<TokenId, TokenKind> = {
            let words = self.words();
            ids.into_iter().filter(|(id, _)| !words.knows(*id)).collect()
        };
        let mut unknown: Vec<(TokenId, TokenKind)> = unknown.into_iter().collect();
        if self.found.api == Api::SgLang && !unknown.is_empty() {
            self.name_together(&mut unknown, cancel).await;
        }
        for some in unknown.chunks(AT_ONCE) {
            let mut asked: FuturesUnordered<_> =
                some.iter().map(|(id, kind)| async { (*id, *kind, self.bytes(*id, cancel).await) }).collect();
            while let Some((id, kind, bytes)) = asked.next().await {
                let is_mark = kind == TokenKind::Control || self.is_mark(id, &bytes, cancel).await;
                self.words().met(id, &bytes, if is_mark { TokenKind::Control } else { kind });
            }
        }
    }

    /// Asks for all of them in one question; what that did not tell stays in the list.
    async fn name_together(&self, unknown: &mut Vec<(TokenId, TokenKind)>, cancel: &CancellationToken) {
        let Some((anchor, before)) = &self.anchor else { return };
        let lists: Vec<[TokenId; 2]> = unknown.iter().map(|(id, _)| [*anchor, *id]).collect();
        let told = async |without_marks| {
            let body = sglang::detokenize_all(self.id(), &lists, without_marks);
            let answer = self.http.ask_once(Path::Root("/detokenize"), &body, cancel).await?;
            sglang::texts(&answer, lists.len())
        };
        let (Some(all), Some(without_marks)) = (told(false).await, told(true).await) else { return };
        let mut left = Vec::new();
        for ((id, kind), (text, unmarked)) in unknown.drain(..).zip(all.iter().zip(without_marks)) {
            let bytes = text.strip_prefix(before.as_str()).and_then(bytes_of).unwrap_or_default();
            if bytes.is_empty() {
                left.push((id, kind));
            } else {
                let is_mark = unmarked == *before;
                self.words().met(id, &bytes, if is_mark { TokenKind::Control } else { kind });
            }
        }
        *unknown = left;
    }

    /// Learns a text's tokens where the answer shows how they are written.
    pub async fn read_bytes(&self, ids: &[TokenId], answer: &Value, text: &str, cancel: &CancellationToken) {
        if let Some(bytes) = vllm::bytes(answer, text).filter(|bytes| bytes.len() == ids.len()) {
            let tokens: Vec<_> = ids.iter().copied().zip(bytes).collect();
            self.meet(&tokens, cancel).await;
        }
    }

    /// A token's bytes; none where its text says nothing of them.
    async fn bytes(&self, id: TokenId, cancel: &CancellationToken) -> Vec<u8> {
        let (ids, before) = match &self.anchor {
            Some((anchor, text)) => (vec![*anchor, id], text.as_str()),
            None => (vec![id], ""),
        };
        let text = self.detokenize(&ids, cancel).await.unwrap_or_default();
        let Some(own) = text.strip_prefix(before) else { return Vec::new() };
        match bytes_of(own) {
            None if self.found.api == Api::SgLang && self.found.tokenizes_chats => {
                self.half(id, cancel).await.unwrap_or_default()
            }
            bytes => bytes.unwrap_or_default(),
        }
    }

    /// The bytes of a part of a character, where the server tells them with its log-probabilities.
    async fn half(&self, id: TokenId, cancel: &CancellationToken) -> Option<Vec<u8>> {
        let body = sglang::half(self.id(), id);
        sglang::half_told(&self.http.ask_once(Path::Base("/chat/completions"), &body, cancel).await?)
    }

    /// A token of one letter whose text is that letter.
    pub async fn find_anchor(&self, cancel: &CancellationToken) -> Option<(TokenId, String)> {
        let body = vllm::tokenize(self.id(), "a", false);
        let answer = self.http.ask_once(Path::Root("/tokenize"), &body, cancel).await?;
        let id = vllm::tokens(&answer)?.pop()?;
        let text = self.detokenize(&[id], cancel).await?;
        (text == "a").then_some((id, text))
    }

    /// Learns tokens of a prompt.
    pub async fn meet(&self, tokens: &[(TokenId, Vec<u8>)], cancel: &CancellationToken) {
        for (id, bytes) in tokens {
            let is_mark = !self.words().knows(*id) && self.is_mark(*id, bytes, cancel).await;
            let kind = if is_mark { TokenKind::Control } else { TokenKind::Normal };
            self.words().met(*id, bytes, kind);
        }
    }

    /// Whether a token that is spelt as marks are is one: if the text alone is not that token (llama.cpp), or if it is
    /// written as no text (vLLM).
    async fn is_mark(&self, id: TokenId, bytes: &[u8], cancel: &CancellationToken) -> bool {
        let ends = (bytes.first(), bytes.last());
        let like_mark = matches!(ends, (Some(b'<'), Some(b'>')) | (Some(b'['), Some(b']')));
        if bytes.len() <= 2 || !like_mark {
            return false;
        }
        match self.found.api {
            Api::Llama => {
                let question = llama::tokenize(&String::from_utf8_lossy(bytes), false, false);
                let answer = self.http.ask_once(Path::Root("/tokenize"), &question, cancel).await;
                let as_text = answer.as_ref().and_then(llama::tokens).unwrap_or_default();
                !as_text.iter().any(|(other, _)| *other == id)
            }
            Api::Vllm => {
                let question = vllm::writes(self.id(), id);
                let answer = self.http.ask_once(Path::Base("/completions"), &question, cancel).await;
                answer.as_ref().and_then(vllm::text).is_some_and(str::is_empty)
            }
            Api::SgLang => {
                let lists = [[id]];
                let question = sglang::detokenize_all(self.id(), &lists, true);
                let answer = self.http.ask_once(Path::Root("/detokenize"), &question, cancel).await;
                answer.and_then(|answer| sglang::texts(&answer, 1)).is_some_and(|texts| texts[0].is_empty())
            }
            Api::Auto | Api::OpenAi | Api::Ollama => false,
        }
    }
}
