//! What a reply is conditioned on: the branch as messages, with the tokens that replies were made of.
//!
//! Invariant: tokens are given only where they cover the message exactly, under one vocabulary; the text beside them is
//! without what is left of a character where a reply was cut.

use std::collections::BTreeMap;

use crate::app::ChatView;
use crate::chat::{self, Conversation, ConversationId, Piece, Role, Run, RunId, Turn, TurnId, Vocabularies};
use crate::engine::protocol::{Message, Prompt, Reasoned, StoredTokens, TemplateSetting};
use crate::reasoning::{Kind, Split};
use crate::token::whole_characters;

/// The sentence that the tour opens.
pub(in crate::app) const TOUR_SENTENCE: &str = "The capital of France is";

/// What the tour's reply is conditioned on: its sentence as it is, without a template.
pub(in crate::app) fn of_tour() -> Prompt {
    Prompt::Raw { text: TOUR_SENTENCE.to_owned() }
}

impl ChatView<'_> {
    /// The messages before a turn that is being written, and what it has already if it is continued.
    pub(crate) fn messages(&self, chat: ConversationId, turn: TurnId) -> Vec<Message> {
        let Some(conversation) = self.conversation(chat) else { return Vec::new() };
        let mut messages = Vec::new();
        let system = match self.config.model_named(&self.model.name) {
            Some(entry) => self.config.system_for(&entry, &conversation.settings),
            None => conversation.settings.system.clone().unwrap_or_default(),
        };
        if !system.is_empty() {
            messages.push(Message::new(Role::System, system));
        }
        let left_out = self.left_out(chat, Some(turn));
        for ancestor in branch_to(conversation, turn) {
            let begun = ancestor.id != turn || ancestor.spans.len() > 1;
            if begun && !left_out.is_some_and(|gone| gone.contains(&ancestor.id)) {
                messages.push(self.message(conversation, ancestor));
            }
        }
        messages
    }

    pub(crate) fn message(&self, conversation: &Conversation, turn: &Turn) -> Message {
        message_of(conversation, self.runs, self.vocabularies, turn)
    }
}

/// A turn as a message, with the tokens that it was generated as.
#[must_use]
pub fn message_of(
    conversation: &Conversation,
    runs: &BTreeMap<RunId, Run>,
    vocabularies: &Vocabularies,
    turn: &Turn,
) -> Message {
    let bytes = conversation.bytes(turn);
    let split = chat::split_of(conversation, runs, vocabularies, turn);
    // A reply that was cut inside a character goes back by its tokens; places behind the cut would be others in the text.
    let whole = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let reasoned = split.is_split().then(|| reasoned(&split, &bytes));
    let reasoned = reasoned.filter(|reasoned| reasoned.answer_from as usize <= whole);
    let stored = stored_tokens(conversation, runs, turn);
    Message { stored, reasoned, ..Message::new(turn.role, whole_characters(&bytes)) }
}

fn reasoned(split: &Split, bytes: &[u8]) -> Reasoned {
    let thought = whole_characters(&split.text(bytes, Kind::Thought));
    let last = split.parts.last().filter(|part| part.kind == Kind::Answer);
    let answer_from = last.map_or(split.bytes, |part| part.at);
    let answer_from = u32::try_from(answer_from).unwrap_or(u32::MAX);
    Reasoned { thought, answer_from, marks_are_text: chat::marks_are_text(split) }
}

fn stored_tokens(
    conversation: &Conversation,
    runs: &BTreeMap<RunId, Run>,
    turn: &Turn,
) -> Option<StoredTokens> {
    let mut vocabulary: Option<&String> = None;
    let mut tokens = Vec::new();
    for piece in conversation.pieces(turn) {
        let Piece::Step { run, step } = piece else { return None };
        let of_run = runs.get(&run)?.vocabulary.as_ref()?;
        if *vocabulary.get_or_insert(of_run) != of_run {
            return None;
        }
        tokens.push((step.id?, u32::try_from(step.bytes.len()).ok()?));
    }
    Some(StoredTokens { vocabulary: vocabulary?.clone(), tokens })
}

/// What the template was given for a run, beside the messages.
pub(in crate::app) fn setting_of(run: &Run) -> TemplateSetting {
    TemplateSetting {
        clock_ms: run.template_clock_ms.unwrap_or_default(),
        offset_minutes: run.template_offset_minutes,
        values: run.template_values.clone(),
    }
}

/// The turns from the first to this one.
pub(crate) fn branch_to(conversation: &Conversation, turn: TurnId) -> Vec<&Turn> {
    let mut path = Vec::new();
    let mut next = Some(turn);
    while let Some(turn) = next.and_then(|id| conversation.turn(id)) {
        if path.len() > conversation.turns.len() {
            break;
        }
        next = turn.parent;
        path.push(turn);
    }
    path.reverse();
    path
}

/// The messages without the oldest so many; the system message and the last one always stay.
#[must_use]
pub fn without_oldest(messages: Vec<Message>, left_out: usize) -> Vec<Message> {
    let first = usize::from(messages.first().is_some_and(|message| message.role == Role::System));
    let most = messages.len().saturating_sub(first + 1);
    let end = first + left_out.min(most);
    let mut messages = messages;
    messages.drain(first..end);
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_the_system_message_and_the_last_one_stay() {
        let check = |texts: &[&str], left_out, expected: &[&str]| {
            let role = |text: &&str| if *text == "system" { Role::System } else { Role::User };
            let messages = texts.iter().map(|text| Message::new(role(text), *text)).collect();
            let left: Vec<String> =
                without_oldest(messages, left_out).into_iter().map(|message| message.text).collect();
            assert_eq!(left, expected, "{texts:?} without {left_out}");
        };
        check(&["system", "a", "b", "c"], 0, &["system", "a", "b", "c"]);
        check(&["system", "a", "b", "c"], 2, &["system", "c"]);
        check(&["system", "a", "b", "c"], 9, &["system", "c"]);
        check(&["a", "b", "c"], 1, &["b", "c"]);
        check(&["a", "b", "c"], 9, &["c"]);
        check(&["system"], 1, &["system"]);
        check(&[], 1, &[]);
    }
}
