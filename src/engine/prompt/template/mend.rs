//! Chats as templates take them: a system text without a place, turns that do not alternate, a chat that the model
//! begins.
//!
//! Invariant: no text is lost; what was moved has no tokens of its own any more.

use std::borrow::Cow;

use super::jinja::Line;
use crate::chat::Role;

/// The system text put in front of the first message of the user, which is made if there is none.
pub(super) fn system_folded(messages: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let (system, mut rest): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|line| line.role == Role::System);
    let system: Vec<&str> =
        system.iter().map(|line| line.text.as_ref()).filter(|text| !text.is_empty()).collect();
    if system.is_empty() {
        return rest;
    }
    let system = system.join("\n\n");
    match rest.iter_mut().find(|line| line.role == Role::User) {
        Some(first) => {
            first.text = Cow::Owned(format!("{system}\n\n{}", first.text));
            first.stored = None;
        }
        None => rest.insert(0, Line::plain(Role::User, &system)),
    }
    rest
}

/// Neighbours of the same role as one message, with a blank line between.
pub(super) fn same_roles_joined<'a>(messages: &[Line<'a>]) -> Vec<Line<'a>> {
    let mut joined: Vec<Line<'a>> = Vec::new();
    for line in messages {
        match joined.last_mut().filter(|last| last.role == line.role) {
            Some(last) => {
                last.text = Cow::Owned(format!("{}\n\n{}", last.text, line.text));
                last.stored = None;
            }
            None => joined.push(line.clone()),
        }
    }
    joined
}

/// The messages with an empty one of the user first, where the model's came first.
pub(super) fn user_first<'a>(messages: &[Line<'a>]) -> Vec<Line<'a>> {
    let mut lines = messages.to_vec();
    let first = lines.iter().position(|line| line.role != Role::System);
    if let Some(first) = first.filter(|first| lines[*first].role == Role::Assistant) {
        lines.insert(first, Line::plain(Role::User, ""));
    }
    lines
}
