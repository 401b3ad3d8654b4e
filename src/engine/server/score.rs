//! Log-probabilities of a given text: vLLM's `prompt_logprobs`, SGLang's `logprob_start_len`.
//!
//! Invariant: a token that the server says nothing of has NaN, never a figure.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::Shared;
use super::http::{Path, other};
use super::model::Model;
use super::prompt;
use super::{sglang, steps, vllm};
use crate::engine::milliseconds;
use crate::engine::protocol::{Event, Failure, RequestId, Rescore, Rescored, Score};
use crate::model_entry::Api;
use crate::token::{Step, TokenId};

/// Scores a text's own tokens.
///
/// # Errors
/// What the server refuses, and ids that are not its own.
pub async fn score(
    shared: &Shared,
    id: RequestId,
    model: &Model,
    score: &Score,
    cancel: &CancellationToken,
) -> Result<Event, Failure> {
    let begun = Instant::now();
    let from = (score.from as usize).max(1);
    let steps = steps(model, &score.ids, from, score.top_logprobs, cancel).await?;
    shared.words(id, model);
    shared.emit(id, Event::Scores { first: from as u32, steps });
    Ok(Event::Scored { decoded: score.ids.len() as u32, ms: milliseconds(begun) })
}

/// Scores a reply after another prompt.
///
/// # Errors
/// As [`score`], and where the prompt's ids are not known.
pub async fn rescore(
    shared: &Shared,
    id: RequestId,
    model: &Model,
    rescore: &Rescore,
    cancel: &CancellationToken,
) -> Result<Event, Failure> {
    let begun = Instant::now();
    let prepared = prompt::prepare(model, &rescore.prompt, cancel).await?;
    if prepared.ids.is_empty() {
        let host = &model.http.host;
        return Err(other(format!(
            "{host} does not tell the prompt that a chat becomes, so a reply cannot be read after it."
        )));
    }
    let prompt = prepared.ids;
    let mut ids = prompt.clone();
    ids.extend(&rescore.reply);
    let steps = steps(model, &ids, prompt.len(), rescore.top_logprobs, cancel).await?;
    shared.words(id, model);
    let decoded = ids.len() as u32;
    Ok(Event::Rescored(Box::new(Rescored { prompt, steps, decoded, displaced: 0, ms: milliseconds(begun) })))
}

/// One step for each token from `from` on.
async fn steps(
    model: &Model,
    ids: &[TokenId],
    from: usize,
    top: u32,
    cancel: &CancellationToken,
) -> Result<Vec<Step>, Failure> {
    let host = &model.http.host;
    if ids.iter().any(|id| id.is_stand_in()) {
        return Err(prompt::unknown_ids(host));
    }
    let told = match model.found.api {
        Api::Vllm => {
            let body = |top| vllm::score(model.id(), ids, model.loaded.context, top);
            let (path, top) = (Path::Base("/completions"), model.candidates(top));
            let answer = match model.http.post(path, &body(top), cancel).await {
                Err(refused) => {
                    let fewer = model.fewer_candidates(refused, top)?;
                    model.http.post(path, &body(fewer), cancel).await?
                }
                Ok(answer) => answer,
            };
            vllm::scored(&answer, ids)
        }
        Api::SgLang => {
            let body = sglang::score(ids, from - 1, top, model.found.sglang);
            sglang::scored(&model.http.post(Path::Root("/generate"), &body, cancel).await?, ids)
        }
        _ => return Err(other(format!("{host} gives no log-probabilities of a given text."))),
    };
    let told = told.ok_or_else(|| {
        other(format!("{host} sent no log-probabilities of the text, or those of another one."))
    })?;
    let skip = (from + told.len())
        .checked_sub(ids.len())
        .ok_or_else(|| other(format!("{host} sent the log-probabilities of a part of the text alone.")))?;
    let mut steps = Vec::new();
    for told in &told[skip..] {
        let (step, _) = steps::step(model, told, top as usize, cancel).await;
        let bytes = step.id.and_then(|id| model.words().vocabulary().bytes(id).map(<[u8]>::to_vec));
        steps.push(Step { bytes: bytes.unwrap_or_default(), ..step });
    }
    Ok(steps)
}
