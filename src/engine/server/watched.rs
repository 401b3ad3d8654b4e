//! The odds of watched tokens where they cost a question of their own: vLLM tells them in the place of the likeliest ones.
//!
//! Invariant: what is asked for is what the reply's own tokens were drawn from, by ids; where one of them has none, nothing
//! more is asked.

use tokio_util::sync::CancellationToken;

use super::http::Path;
use super::model::Model;
use super::told::Told;
use super::vllm;
use crate::model_entry::Api;
use crate::token::TokenId;

/// The tokens that a reply has been read up to.
#[derive(Debug)]
pub struct Read {
    /// `None` once one of them had no id.
    ids: Option<Vec<TokenId>>,
}

impl Read {
    /// Begins after a prompt; empty where its ids are not known.
    pub fn after(prompt: &[TokenId]) -> Self {
        Self { ids: (!prompt.is_empty()).then(|| prompt.to_vec()) }
    }

    /// Reads on, and gives the tokens the odds of those that are watched. Whether a question was asked.
    pub async fn on(
        &mut self,
        model: &Model,
        tokens: &mut [Told],
        watch: &[TokenId],
        cancel: &CancellationToken,
    ) -> bool {
        let Some(mut before) = self.ids.take() else { return false };
        let watch: Vec<TokenId> = watch.iter().copied().filter(|id| !id.is_stand_in()).collect();
        let is_wanted = model.found.api == Api::Vllm && model.found.watches && !watch.is_empty();
        let mut places = Vec::new();
        for told in &*tokens {
            if is_wanted {
                places.push(before.clone());
            }
            let Some(id) = told.chosen.id else { return false };
            before.push(id);
        }
        self.ids = Some(before);
        if places.is_empty() {
            return false;
        }
        let question = vllm::odds(model.id(), &places, &watch);
        let answer = model.http.ask_once(Path::Base("/completions"), &question, cancel).await;
        let odds = answer.as_ref().map(vllm::odds_told).unwrap_or_default();
        for (told, odds) in tokens.iter_mut().zip(odds) {
            let is_watched = |id: Option<TokenId>| id.is_some_and(|id| watch.contains(&id));
            told.watched = odds.into_iter().filter(|choice| is_watched(choice.id)).collect();
        }
        true
    }
}
