//! The few calls the runtime makes to the operating system directly.
//!
//! Invariant: what a signal handler does here is async-signal-safe: `poll`, `write`, `tcsetattr`, `signal`, `raise`.

#[cfg(feature = "llama")]
use std::os::fd::{FromRawFd as _, OwnedFd};
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
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = give_back;
        // SAFETY: `sigaction` is plain data; `give_back` is async-signal-safe and has the signature that SA_SIGINFO wants.
        // On the stack for signals, which Rust gives each of its threads: where the usual one has ended, none else is left.
        unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// How long a terminal that takes nothing is waited for, ms.
const WAIT_MS: libc::c_int = 300;

/// What is said then; the log is named by what the app says of it elsewhere.
const SAID: &[u8] =
    b"\r\nglassbox was ended by a fault of its own. What was written half a second before is saved; \
    `glassbox --resume` opens the chat again.\r\n";

extern "C" fn give_back(signal: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: only async-signal-safe calls; BEFORE was set before this handler was installed.
    unsafe {
        let mut out = libc::pollfd { fd: libc::STDOUT_FILENO, events: libc::POLLOUT, revents: 0 };
        if libc::poll(&raw mut out, 1, WAIT_MS) == 1 {
            libc::write(libc::STDOUT_FILENO, RESTORE.as_ptr().cast(), RESTORE.len());
            libc::write(libc::STDERR_FILENO, SAID.as_ptr().cast(), SAID.len());
        }
        if let Some(settings) = BEFORE.get() {
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, settings);
        }
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Whether the terminal would take something now, or is gone, which writing tells.
pub fn terminal_takes() -> bool {
    let mut out = libc::pollfd { fd: libc::STDOUT_FILENO, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one descriptor is given and one is counted.
    unsafe { libc::poll(&raw mut out, 1, 0) == 1 }
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

/// Has a command start in a session of its own: what it runs has no terminal, so it can neither ask for a password there
/// nor be reached by the terminal's keys.
pub fn without_terminal(command: &mut std::process::Command) {
    // SAFETY: setsid takes no arguments, touches no memory and may be called between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, || {
            libc::setsid();
            Ok(())
        });
    }
}

/// A new terminal of that size: the end that reads what is drawn and writes what is typed, and the end for a program.
///
/// # Errors
/// Where the system has none left.
#[cfg(feature = "llama")]
pub fn new_terminal(columns: u16, rows: u16) -> std::io::Result<(OwnedFd, OwnedFd)> {
    let mut ours = -1;
    let mut theirs = -1;
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: openpty writes the two descriptors, and of the rest it reads the size alone.
    let made = unsafe {
        libc::openpty(
            &raw mut ours,
            &raw mut theirs,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            (&raw const size).cast_mut(),
        )
    };
    if made != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: both were just made and belong to no one else.
    Ok(unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) })
}

/// Has a command take its standard input for its terminal, in a session of its own.
#[cfg(feature = "llama")]
pub fn within_terminal(command: &mut std::process::Command) {
    // SAFETY: setsid and this ioctl touch no memory and may be called between fork and exec.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(command, || {
            libc::setsid();
            libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY as _, 0);
            Ok(())
        });
    }
}
