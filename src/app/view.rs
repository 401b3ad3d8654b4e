//! Read-only views of the state: queries that need several parts of it, and none of the rest.
//!
//! Invariant: a view borrows field by field (see the macro `view!`), so the part that is not in it can be changed meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    ActiveRun, App, Composer, Focus, Inspector, LeftOut, ModelState, Queued, StepMode, Talk, TurnScore,
};
use crate::chat::{Conversation, ConversationId, Run, RunId, Turn, TurnId};
use crate::config::Config;
use crate::config::keymap::Keymap;
use crate::token::Vocabulary;

/// The chats in memory, the shown one first, with what is known of their tokens and the model that can read them.
#[derive(Clone, Copy)]
pub struct ChatView<'a> {
    pub(super) chat: &'a Conversation,
    pub(super) others: &'a BTreeMap<ConversationId, Conversation>,
    pub(super) system: &'a Option<Turn>,
    pub(super) scores: &'a BTreeMap<TurnId, TurnScore>,
    pub(super) runs: &'a BTreeMap<RunId, Run>,
    pub(super) vocabularies: &'a BTreeMap<String, Arc<Vocabulary>>,
    pub(super) model: &'a ModelState,
    pub(super) config: &'a Config,
    pub(super) keymap: &'a Keymap,
    pub(super) run: &'a Option<ActiveRun>,
    pub(super) steps: &'a StepMode,
    pub(super) queued: &'a Option<Queued>,
    pub(super) left_out: &'a BTreeMap<ConversationId, LeftOut>,
    pub(super) composer: &'a Composer,
    pub(super) focus: Focus,
}

/// What chats are read and written with: the model, the configuration, the keys, the draft.
#[derive(Clone, Copy)]
pub(crate) struct With<'a> {
    pub(super) model: &'a ModelState,
    pub(super) config: &'a Config,
    pub(super) keymap: &'a Keymap,
    pub(super) composer: &'a Composer,
    pub(super) focus: Focus,
}

/// The [`With`] of an app whose chats stay free.
macro_rules! with {
    ($app:expr) => {
        $crate::app::view::With {
            model: &$app.model,
            config: &$app.config,
            keymap: &$app.keymap,
            composer: &$app.composer,
            focus: $app.focus,
        }
    };
}

/// The [`ChatView`] of an app whose other parts stay free.
macro_rules! view {
    ($app:expr) => {
        $app.talk.view(with!($app))
    };
}

impl Talk {
    /// The chats, to be read with these.
    pub(crate) fn view<'a>(&'a self, with: With<'a>) -> ChatView<'a> {
        let With { model, config, keymap, composer, focus } = with;
        ChatView {
            chat: &self.chat,
            others: &self.others,
            system: &self.system,
            scores: &self.scores,
            runs: &self.runs,
            vocabularies: &self.vocabularies,
            run: &self.run,
            steps: &self.steps,
            queued: &self.queued,
            left_out: &self.left_out,
            model,
            config,
            keymap,
            composer,
            focus,
        }
    }
}

/// The token on display: what the inspector shows of it.
#[derive(Clone, Copy)]
pub struct Display<'a> {
    pub(super) view: ChatView<'a>,
    pub(super) inspector: &'a Inspector,
}

impl Inspector {
    /// What is on display of these chats.
    pub fn display<'a>(&'a self, view: ChatView<'a>) -> Display<'a> {
        Display { view, inspector: self }
    }
}

impl App {
    /// The chats, to be read.
    pub fn view(&self) -> ChatView<'_> {
        view!(self)
    }

    /// The token on display.
    pub fn display(&self) -> Display<'_> {
        self.inspector.display(self.view())
    }
}
