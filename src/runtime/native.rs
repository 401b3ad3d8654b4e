//! The few calls the runtime makes to the operating system directly.
//!
//! Invariant: what a signal handler does here is async-signal-safe: `write`, `tcsetattr`, `signal`, `raise`.

use std::sync::OnceLock;

/// The terminal's settings before the app changed them.
static BEFORE: OnceLock<libc::termios> = OnceLock::new();

/// What gives the screen back when nothing else can run any more.
const RESTORE: &[u8] = b"\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[<1u\x1b[?1007h\x1b[?1007r\x1b[?25h\x1b[0m\x1b[?1049l\x1b]0;\x1b\\\x1b[23;0t";

/// Remembers the terminal's settings and gives them back on SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT.
pub fn remember_terminal() {
    // SAFETY: `termios` is plain data that tcgetattr fills; descriptor 0 is open for the process's life.
    let settings = unsafe {
        let mut settings = std::mem::zeroed::<libc::termios>();
        (libc::tcgetattr(libc::STDIN_FILENO, &raw mut settings) == 0).then_some(settings)
    };
    let Some(settings) = settings else { return };
    if BEFORE.set(settings).is_err() {
        return;
    }
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT] {
        // SAFETY: `give_back` is async-signal-safe and has the signature that `signal` wants.
        unsafe { libc::signal(signal, give_back as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

extern "C" fn give_back(signal: libc::c_int) {
    // SAFETY: only async-signal-safe calls; BEFORE was set before this handler was installed.
    unsafe {
        libc::write(libc::STDOUT_FILENO, RESTORE.as_ptr().cast(), RESTORE.len());
        if let Some(settings) = BEFORE.get() {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings);
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Stops this process as Ctrl+Z would; returns when it is continued.
pub fn stop_self() {
    // SAFETY: raise has no preconditions. SIGSTOP rather than SIGTSTP, which an orphaned process group drops.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Whether this process is the one that the terminal's keys go to.
pub fn in_foreground() -> bool {
    // SAFETY: both calls only read; descriptor 1 is open for the process's life.
    unsafe { libc::tcgetpgrp(libc::STDOUT_FILENO) == libc::getpgrp() }
}

/// Throws away what was typed but not read, so that it does not land in the composer.
pub fn flush_input() {
    // SAFETY: descriptor 0 is open for the process's life.
    unsafe { libc::tcflush(libc::STDIN_FILENO, libc::TCIFLUSH) };
}
