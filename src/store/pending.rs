//! Writes that wait for their transaction, in order.
//!
//! Invariant: merging never changes what the database holds in the end, so what waits through a full disk
//! grows with the text and not with the number of commands.

use super::Command;

/// The queue.
#[derive(Default)]
pub(super) struct Pending {
    commands: Vec<Command>,
}

impl Pending {
    /// Puts a command after the others, or merges it into one that waits.
    pub(super) fn push(&mut self, command: Command) {
        match command {
            Command::PutDraft(conversation, text) => {
                let waiting = self.commands.iter_mut().find_map(|waiting| match waiting {
                    Command::PutDraft(other, old) if *other == conversation => Some(old),
                    _ => None,
                });
                match waiting {
                    Some(old) => *old = text,
                    None => self.commands.push(Command::PutDraft(conversation, text)),
                }
            }
            Command::AppendSteps(turn, mut steps) => match self.commands.last_mut() {
                Some(Command::AppendSteps(last, waiting)) if *last == turn => waiting.append(&mut steps),
                _ => self.commands.push(Command::AppendSteps(turn, steps)),
            },
            other => self.commands.push(other),
        }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// How many commands wait.
    pub(super) fn len(&self) -> usize {
        self.commands.len()
    }

    /// What waits, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Command> {
        self.commands.iter()
    }

    /// Forgets everything, once it is on disk.
    pub(super) fn clear(&mut self) {
        self.commands.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{ConversationId, TurnId};
    use crate::token::Step;

    #[test]
    fn drafts_and_steps_merge_and_nothing_else_moves() {
        let step = |rank| Step { rank, ..Step::default() };
        let mut pending = Pending::default();
        for command in [
            Command::PutDraft(None, "a".to_owned()),
            Command::AppendSteps(TurnId(1), vec![step(1)]),
            Command::AppendSteps(TurnId(1), vec![step(2)]),
            Command::PutDraft(None, "ab".to_owned()),
            Command::SetDeleted(TurnId(1), true),
            Command::AppendSteps(TurnId(1), vec![step(3)]),
            Command::AppendSteps(TurnId(2), vec![step(4)]),
            Command::PutDraft(Some(ConversationId(5)), "of another chat".to_owned()),
        ] {
            pending.push(command);
        }
        let expected = [
            Command::PutDraft(None, "ab".to_owned()),
            Command::AppendSteps(TurnId(1), vec![step(1), step(2)]),
            Command::SetDeleted(TurnId(1), true),
            Command::AppendSteps(TurnId(1), vec![step(3)]),
            Command::AppendSteps(TurnId(2), vec![step(4)]),
            Command::PutDraft(Some(ConversationId(5)), "of another chat".to_owned()),
        ];
        assert_eq!(pending.iter().cloned().collect::<Vec<_>>(), expected);
        assert_eq!((pending.len(), pending.is_empty()), (6, false));
        pending.clear();
        assert_eq!((pending.len(), pending.is_empty()), (0, true));
    }
}
