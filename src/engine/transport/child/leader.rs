//! The process that was started, at the head of the group of all that it starts in turn: a script's commands, what ssh
//! runs to get through.
//!
//! Invariant: the group ends before the leader is waited for, since its number may be another process's afterwards.

use std::io;
use std::process::{Child, ExitStatus};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// See the module.
#[derive(Debug)]
pub(super) struct Leader {
    child: Child,
    /// Whether it was waited for.
    is_reaped: bool,
}

impl Leader {
    pub(super) fn new(child: Child) -> Self {
        Self { child, is_reaped: false }
    }

    /// How it ended, if it has: what it left behind has ended then too.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if !self.is_reaped {
            if !self.has_ended() {
                return Ok(None);
            }
            self.kill_group();
        }
        let status = self.child.try_wait()?;
        self.is_reaped |= status.is_some();
        Ok(status)
    }

    /// Ends it and its group.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        if !self.is_reaped {
            self.kill_group();
        }
        self.child.kill()
    }

    /// Where that cannot be told, waiting for it says why.
    fn has_ended(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.pid().is_none_or(|pid| !matches!(waitid(WaitId::Pid(pid), look), Ok(None)))
    }

    /// Ends the group, if it has opened one.
    fn kill_group(&self) {
        let killed = self.pid().map(|pid| kill_process_group(pid, Signal::KILL));
        if let Some(Err(error)) = killed.filter(|killed| *killed != Err(Errno::SRCH)) {
            tracing::debug!(%error, "what the engine's process started could not be killed");
        }
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}
