//! From a request's prompt to ids, and what else a reply needs to know before it begins.
//!
//! Invariant: ids that the app names are taken as they are; only text is tokenised.

use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use crate::engine::model::loaded::LoadedModel;
use crate::engine::model::vocabulary;
use crate::engine::protocol::{Failure, FailureKind, Generate, Prompt};
use crate::engine::sampler::{Chain, Setting};
use crate::engine::session::Session;
use crate::sampling::Sampling;
use crate::token::TokenId;

/// A prompt as ids.
pub struct Encoded {
    /// What is conditioned on; ends with the taken tokens.
    pub ids: Vec<TokenId>,
    /// How many of the last ids the user took; they count as written.
    pub taken: usize,
    /// The text of what comes before them.
    pub text: String,
    /// Things the user should know.
    pub notes: Vec<String>,
    /// Texts that end the reply, beside those of its settings.
    pub stops: Vec<String>,
}

impl Encoded {
    /// What the reply is conditioned on, without the taken tokens.
    pub fn given(&self) -> &[TokenId] {
        &self.ids[..self.ids.len() - self.taken]
    }
}

/// The prompt's ids, checked against the vocabulary and the room there is. Fails when the prompt is empty, too long,
/// names tokens that the model does not have, or the template fails.
pub fn prompt(model: &LoadedModel, prompt: &Prompt, limit: usize) -> Result<Encoded, Failure> {
    let encoded = to_ids(model, prompt)?;
    if encoded.given().is_empty() {
        let message = "There is nothing to go on from: the prompt is empty.".to_string();
        return Err(Failure { message, kind: FailureKind::Other });
    }
    check(model, &encoded.ids)?;
    if encoded.ids.len() >= limit {
        return Err(too_long(encoded.ids.len(), limit));
    }
    Ok(encoded)
}

/// Refuses ids that the model does not have; llama.cpp would refuse the whole batch without a reason.
///
/// # Errors
/// Names the first such id.
pub fn check(model: &LoadedModel, ids: &[TokenId]) -> Result<(), Failure> {
    let entries = model.vocabulary.len();
    let known = |id: &TokenId| usize::try_from(id.0).is_ok_and(|index| index < entries);
    let Some(TokenId(unknown)) = ids.iter().find(|id| !known(id)) else { return Ok(()) };
    let message = format!(
        "This model has no token {unknown}; its vocabulary has {entries}. The tokens belong to another model."
    );
    Err(Failure { message, kind: FailureKind::Other })
}

/// Refuses a text that cannot be read: one that is too long, or has ids that the model does not have.
///
/// # Errors
/// Says which of the two.
pub fn readable(session: &Session, ids: &[TokenId]) -> Result<(), Failure> {
    if ids.len() > session.limit() {
        return Err(too_long(ids.len(), session.limit()));
    }
    check(session.model(), ids)
}

/// What is said of a prompt without room for another token.
pub fn too_long(length: usize, limit: usize) -> Failure {
    let over = length + 1 - limit;
    let message = format!(
        "The prompt is {length} tokens long, {over} more than the context of {limit} has room for. \
         Shorten the chat or raise `context`."
    );
    Failure { message, kind: FailureKind::ContextFull }
}

/// The chain of these settings on this model, and what the user should know about it.
///
/// # Errors
/// When the grammar cannot be used.
pub fn chain(
    model: &LoadedModel,
    sampling: &Sampling,
    seed: u32,
    limit: usize,
) -> Result<(Chain, Vec<String>), Failure> {
    let setting = Setting { model: Some(&model.model), vocabulary: &model.vocabulary, context: limit as u32 };
    let (mut chain, notes) = Chain::new(sampling, seed, &setting);
    if !sampling.grammar.trim().is_empty() {
        let problem = |message| Failure { message, kind: FailureKind::Other };
        // Read here first: llama.cpp names no line.
        crate::grammar::gbnf::check(&sampling.grammar)
            .map_err(|wrong| problem(format!("The grammar is wrong in {wrong}.")))?;
        chain
            .constrain(&model.model, &model.vocabulary, &sampling.grammar)
            .map_err(|wrong| problem(format!("{wrong}.")))?;
    }
    Ok((chain, notes))
}

/// The texts that end a reply to an encoded prompt.
pub fn stops(request: &Generate, encoded: &[String]) -> Vec<String> {
    request.sampling.stop.iter().chain(encoded).cloned().collect()
}

/// The seed to use. llama.cpp takes the largest number to mean "random", so it stands for its neighbour.
pub fn seed(asked: Option<u32>) -> u32 {
    asked.unwrap_or_else(|| RandomState::new().hash_one(Instant::now()) as u32).min(u32::MAX - 1)
}

fn to_ids(model: &LoadedModel, prompt: &Prompt) -> Result<Encoded, Failure> {
    let vocabulary = &model.vocabulary;
    let spelt = |ids: &[TokenId]| vocabulary.spelt(ids);
    let (mut ids, text, notes, stops) = match prompt {
        Prompt::Raw { text } => (model.tokenize(text, false), text.clone(), Vec::new(), Vec::new()),
        Prompt::Ids { ids, taken, chat } => {
            return Ok(Encoded {
                ids: ids.iter().chain(taken).copied().collect(),
                taken: taken.len(),
                text: spelt(ids),
                notes: Vec::new(),
                stops: if *chat { model.template.stop_texts() } else { Vec::new() },
            });
        }
        Prompt::Chat { messages, continue_last, setting } => {
            let encoded = model.template.encode(
                messages,
                *continue_last,
                setting,
                &vocabulary.hash,
                &mut |text, special, after| Ok(model.tokenize_after(text, special, after)),
                &|id| vocabulary::text_bytes(vocabulary, id).to_vec(),
            )?;
            let text = if encoded.holds_marks { spelt(&encoded.ids) } else { encoded.text };
            (encoded.ids, text, encoded.notes, encoded.stops)
        }
    };
    model.begin(&mut ids);
    Ok(Encoded { ids, taken: 0, text, notes, stops })
}
