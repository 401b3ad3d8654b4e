//! The watched texts of the configuration, and their tokens.
//!
//! Invariant: a text that is no single token is not watched.

use super::{Inspector, Watched};
use crate::app::{Asker, ChatView, Outbox};
use crate::engine::protocol::{Capability, Event, Immediate, Request};
use crate::token::TokenId;

impl Inspector {
    /// Finds the watched texts in the loaded vocabulary, or asks for their tokens where that is not known as a whole.
    pub(crate) fn resolve_watch(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(vocabulary) = view.ready().and_then(|loaded| view.vocabularies.get(&loaded.vocabulary))
        else {
            return;
        };
        let texts = &view.config.inspector.watch;
        self.watch.clear();
        self.untold.clear();
        if let Some(asked) = out.requests.of(Asker::Watched) {
            out.requests.forget(asked);
        }
        if !vocabulary.is_whole() {
            let needed = [Capability::Watches, Capability::Tokenizes];
            if needed.into_iter().all(|capability| view.lacking(capability).is_none()) {
                self.untold.extend(texts.iter().cloned());
                self.ask_watched(out);
            }
            return;
        }
        let find = |text: &String| {
            (0..vocabulary.len())
                .filter_map(|at| i32::try_from(at).ok().map(TokenId))
                .find(|id| vocabulary.bytes(*id) == Some(text.as_bytes()))
        };
        self.watch = texts.iter().filter_map(find).map(watched).collect();
    }

    fn ask_watched(&self, out: &mut Outbox) {
        if let Some(text) = self.untold.front().cloned() {
            let tokenize = Immediate::Tokenize { text, special: false, begin: false };
            out.requests.ask(Asker::Watched, Request::Immediate(tokenize));
        }
    }

    /// The tokens of a watched text were told, or could not be.
    pub(crate) fn watched_told(&mut self, view: ChatView<'_>, out: &mut Outbox, event: Event) {
        self.untold.pop_front();
        if let Event::Tokenized { tokens } = event
            && let [(id, _)] = tokens.as_slice()
        {
            self.watch.push(watched(*id));
            self.fill_watch(view);
        }
        self.ask_watched(out);
    }
}

fn watched(id: TokenId) -> Watched {
    Watched { id, now: None, peak: 0.0, rank: None }
}
