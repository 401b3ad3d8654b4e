//! The colours of code, found beside the screen: a line is asked for once, and what comes is drawn with the next frame.
//!
//! Invariant: where a thread of its own is wanted, nothing is coloured on the screen's; without one, which is for tests
//! and measurements, each line is coloured at once.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::chat::TurnId;
use crate::markdown::{CodeLine, Highlighter, Spans};

/// Lines that are coloured before the screen is woken.
const BATCH: usize = 64;

/// A line's colours: the message, where the line begins, its parts.
type Come = (TurnId, usize, Spans);

/// A line that is asked for.
type Asked = (TurnId, CodeLine);

/// Who colours.
#[derive(Default)]
pub(super) struct Colours {
    here: Highlighter,
    aside: Option<(Sender<Asked>, Receiver<Come>)>,
}

impl std::fmt::Debug for Colours {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Colours").field("aside", &self.aside.is_some()).finish_non_exhaustive()
    }
}

impl Colours {
    /// On a thread of its own, which ends with this; `wake` is called when colours have come.
    pub fn aside(wake: impl Fn() + Send + 'static) -> Self {
        let (ask, asked) = channel::<Asked>();
        let (give, come) = channel();
        let work = move || {
            let mut highlighter = Highlighter::default();
            while let Ok(first) = asked.recv() {
                for (turn, line) in std::iter::once(first).chain(asked.try_iter().take(BATCH)) {
                    let spans = highlighter.line(turn.0.unsigned_abs(), &line);
                    if give.send((turn, line.at, spans)).is_err() {
                        return;
                    }
                }
                wake();
            }
        };
        match thread::Builder::new().name("colours".into()).spawn(work) {
            Ok(_) => Self { aside: Some((ask, come)), ..Self::default() },
            Err(_) => Self::default(),
        }
    }

    /// The parts of a line, if they are known at once; otherwise they come later.
    pub fn line(&mut self, turn: TurnId, line: CodeLine) -> Option<Spans> {
        match &self.aside {
            // Without the thread code stays without colours.
            Some((ask, _)) => {
                ask.send((turn, line)).ok();
                None
            }
            None => Some(self.here.line(turn.0.unsigned_abs(), &line)),
        }
    }

    /// What has come since.
    pub fn come(&mut self) -> Vec<Come> {
        self.aside.as_ref().map(|(_, come)| come.try_iter().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_coloured_aside_is_what_is_coloured_here() {
        let line = CodeLine { block: 0, number: 0, at: 8, language: "rust".into(), code: "let x;\n".into() };
        let (woken, wakes) = channel();
        let mut aside = Colours::aside(move || woken.send(()).unwrap());
        assert_eq!(aside.line(TurnId(1), line.clone()), None);
        wakes.recv().unwrap();
        let here = Colours::default().line(TurnId(1), line).unwrap();
        assert_eq!(aside.come(), [(TurnId(1), 8, here)]);
    }
}
