//! The keys of the table of a message's tokens; the table is worked out in `app/transcript/ledger.rs`.

use crossterm::event::KeyEvent;

use super::{Opens, OverlayUnit, list};
use crate::app::{App, Edit, Focus, Ledger, TokenCursor};
use crate::command::{Command, Context};

impl OverlayUnit for Ledger {
    const CONTEXTS: &'static [Context] = &[Context::Ledger, Context::Overlay];
    const OPENS: Opens = &[(Command::Ledger, App::open_ledger)];

    fn types(&self, _app: &App) -> bool {
        true
    }

    fn command(app: &mut App, command: Command) -> bool {
        let Some(ledger) = app.overlays.top_mut::<Self>() else { return false };
        if let Some(to) = list::moved(command, ledger.selected, ledger.rows.len()) {
            ledger.selected = to;
            return true;
        }
        match command {
            Command::LedgerOrderPrevious | Command::LedgerOrderNext => {
                ledger.order = ledger.order.next(command == Command::LedgerOrderNext);
                ledger.selected = 0;
                ledger.refill(view!(app));
            }
            Command::LedgerCopy => ledger.copy(view!(app), &mut app.out),
            Command::Choose => app.leave_ledger(),
            _ => return false,
        }
        true
    }

    fn key(app: &mut App, key: KeyEvent) -> bool {
        let Some(ledger) = app.overlays.top_mut::<Self>() else { return false };
        let edit = ledger.filter.key(key);
        if edit == Edit::Changed {
            ledger.selected = 0;
            ledger.refill(view!(app));
        }
        edit != Edit::Ignored
    }

    fn paste(app: &mut App, text: &str) {
        if let Some(ledger) = app.overlays.top_mut::<Self>() {
            ledger.filter.insert(&text.replace('\n', " "));
            ledger.refill(view!(app));
        }
    }
}

impl App {
    /// Puts the cursor on the selected row's token.
    fn leave_ledger(&mut self) {
        let Some(ledger) = self.overlays.top::<Ledger>() else { return };
        let (turn, chosen) = (ledger.turn, ledger.rows.get(ledger.selected).copied());
        self.overlays.pop();
        if let Some(index) = chosen {
            self.focus = Focus::Transcript;
            self.transcript.selected = Some(turn);
            self.transcript.cursor = Some(TokenCursor { turn, index });
            self.transcript.reveal = true;
        }
    }
}
