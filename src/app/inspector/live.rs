//! The open station while a reply is written: what the engine opens of each token, and which of them is shown.
//!
//! Invariant: nothing is asked for unless the display follows the reply; what comes is kept by token, so that going
//! back to it costs nothing.

use crate::app::{ChatView, Display, Inspector, TokenCursor};
use crate::engine::protocol::{Capability, Live, LiveInside};

impl Inspector {
    /// Keeps what was opened of the pass that chose a token.
    pub(crate) fn keep_live(&mut self, view: ChatView<'_>, at: TokenCursor, opened: LiveInside) {
        self.inside.live_price = Some((opened.ms, opened.every));
        self.keep_seen(view, at, false, opened.seen);
    }
}

impl Display<'_> {
    /// What the engine is to open of each token from now on.
    pub(crate) fn live_wanted(&self) -> Option<Box<Live>> {
        let elsewhere = self.view.run.as_ref().is_some_and(|run| run.chat != self.view.chat.head.id);
        let follows = self.inspector.past.is_none() && !self.inspector.held && !elsewhere;
        let opens = self.view.lacking(Capability::OpensPasses).is_none();
        if !self.inspector.shown || !follows || !opens || self.own_pass() {
            return None;
        }
        let inside = &self.inspector.inside;
        let mut live =
            Live { rival: inside.rival, budget: self.view.config.inspector.live_budget, ..Live::default() };
        let wanted = self.inspector.station.unit().wants_live(self, &mut live);
        wanted.then(|| Box::new(live))
    }

    /// Whether the display waits for tokens whose passes were opened, instead of taking every one.
    pub(crate) fn follows_looks(&self) -> bool {
        self.view.run.is_some() && self.inspector.inside.live_price.is_some() && self.live_wanted().is_some()
    }

    /// What looking costs now: ms a token, and every how many tokens the engine looks. `None` while no reply is
    /// looked into.
    pub fn live_price(&self) -> Option<(f32, u32)> {
        self.view.run.as_ref().and(self.inspector.inside.live_price)
    }

    /// Whether a pass can be asked for now: without a reply, or where the display stands still beside one.
    pub(crate) fn may_ask(&self) -> bool {
        let Some(run) = self.view.run else { return true };
        let stands = self.inspector.past.is_some() || self.inspector.held || self.view.paused_here();
        run.chat == self.view.chat.head.id && (stands || self.inspector.station.unit().asks_beside_reply())
    }
}
