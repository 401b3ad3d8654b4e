//! Signals as messages.
//!
//! Invariant: SIGTERM, SIGINT and SIGHUP save and end the app within two seconds; SIGTSTP and SIGCONT leave
//! and take the terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// End, with that signal's exit code. After a hang-up there is no terminal to draw on.
    End {
        /// The signal's number.
        number: u8,
        /// Whether the terminal is gone.
        hung_up: bool,
    },
    /// Go to the background.
    Stop,
}

/// All signals the app listens to.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    stop: Signal,
}

impl Signals {
    /// Starts listening.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(libc::SIGTSTP))?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::End { number: 15, hung_up: false },
            _ = self.interrupt.recv() => Asked::End { number: 2, hung_up: false },
            _ = self.hangup.recv() => Asked::End { number: 1, hung_up: true },
            _ = self.stop.recv() => Asked::Stop,
        }
    }
}
