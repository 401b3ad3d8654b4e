//! How much the context of a server has room for.
//!
//! Invariant: nothing is said of a context that the server does not tell.

use super::model::Model;
use super::prompt::Prepared;
use crate::chat::{StopReason, Usage};
use crate::engine::protocol::{Failure, FailureKind};
use crate::model_entry::Api::{SgLang, Vllm};

/// Why a prompt of so many tokens cannot be gone on from, if the context has no room for another one.
pub fn full(model: &Model, length: usize) -> Option<Failure> {
    let (host, context) = (&model.http.host, model.loaded.context as usize);
    (context > 0 && length >= context).then(|| Failure {
        message: format!(
            "The prompt is {length} tokens long, {} more than the context of {context} at {host} has room for. Shorten \
             the chat, or give the server a longer context.",
            length + 1 - context
        ),
        kind: FailureKind::ContextFull,
    })
}

/// The limit of a reply. Servers that have one of their own where none is named are told what the context has room for.
pub fn most(model: &Model, prepared: &Prepared<'_>, asked: u32) -> u32 {
    let taken = prepared.taken as u32;
    let limited = matches!(model.found.api, Vllm | SgLang) && !prepared.ids.is_empty();
    let room = model.loaded.context.saturating_sub(prepared.ids.len() as u32);
    let room = if limited { room } else { 0 };
    if asked == 0 {
        return room;
    }
    let asked = asked.saturating_sub(taken).max(1);
    // SGLang refuses a limit that does not fit, rather than to end there.
    if model.found.api == SgLang && room > 0 { asked.min(room) } else { asked }
}

/// Why a reply ended. A limit that was met is the context's where the reply had not all that was asked for.
pub fn met(model: &Model, stop: StopReason, usage: Usage, has_less: bool) -> StopReason {
    let (used, context) = (usage.prompt_tokens + usage.completion_tokens, model.loaded.context);
    let is_full = context > 0 && used >= context && has_less;
    if stop == StopReason::Length && is_full { StopReason::Context } else { stop }
}
