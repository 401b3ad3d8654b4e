//! A terminal that a test reads itself: it can stop reading, as one held by Ctrl+S does, and be closed, as a window is.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::harness::PATIENCE;

/// The app, and the terminal's own end.
pub struct Raw {
    pub app: Child,
    terminal: Option<File>,
    screen: vt100::Parser,
    /// All that came.
    came: Vec<u8>,
}

impl Raw {
    /// Starts the app in that home with that engine.
    pub fn start(home: &Path, engine: &str) -> Self {
        Self::start_with(home, &["--engine", engine], &[])
    }

    /// Starts it with arguments, and variables of the environment.
    pub fn start_with(home: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (columns, rows) = (120, 40);
        let (terminal, line) = pair(columns, rows);
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command
            .args(arguments)
            .env_clear()
            .envs(environment.iter().copied())
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("GLASSBOX_HOME", home)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::from(line.try_clone().unwrap()))
            .stdout(Stdio::from(line.try_clone().unwrap()))
            .stderr(Stdio::from(line));
        // SAFETY: both calls are async-signal-safe; descriptor 0 is the terminal by then.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let app = command.spawn().unwrap();
        let screen = vt100::Parser::new(cell(rows), cell(columns), 0);
        Self { app, terminal: Some(terminal), screen, came: Vec::new() }
    }

    /// Reads what there is until the screen holds the text.
    pub fn see(&mut self, text: &str) {
        let begun = Instant::now();
        while !self.shows(text) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{text:?} is not on the screen:\n{}",
                self.screen.screen().contents()
            );
            self.read();
        }
    }

    /// The row of the screen that holds the text.
    pub fn line_with(&self, text: &str) -> String {
        let screen = self.screen.screen().contents();
        screen.lines().find(|line| line.contains(text)).unwrap_or_default().to_owned()
    }

    /// Whether the screen holds the text now.
    pub fn shows(&self, text: &str) -> bool {
        self.screen.screen().contents().contains(text)
    }

    /// Reads once; waits a moment where there is nothing.
    fn read(&mut self) {
        let Some(terminal) = &mut self.terminal else { return };
        let mut bytes = [0; 1 << 13];
        match terminal.read(&mut bytes) {
            Ok(count) => {
                self.came.extend_from_slice(&bytes[..count]);
                self.screen.process(&bytes[..count]);
                // What was drawn over in pieces is whole here alone.
                self.came.extend_from_slice(self.screen.screen().contents().as_bytes());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }

    /// Reads all until the app has ended; whether the screen is as before.
    pub fn given_back(&mut self) -> bool {
        let begun = Instant::now();
        let mut bytes = [0; 1 << 13];
        while begun.elapsed() < PATIENCE {
            match self.terminal.as_mut().unwrap().read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => self.screen.process(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => break, // nobody has its other end any more
            }
        }
        self.app.wait().unwrap().success() && !self.screen.screen().alternate_screen()
    }

    /// Reads until the app is gone or has drawn nothing for a while.
    pub fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 60 {
            let before = self.came.len();
            self.read();
            quiet = if self.came.len() == before { quiet + 1 } else { 0 };
        }
    }

    /// Every byte that came, and after each read what the screen showed.
    pub fn came(&self) -> &[u8] {
        &self.came
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.terminal.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Presses Enter as a hand does: what comes within milliseconds of other keys is a paste.
    pub fn enter(&mut self) {
        std::thread::sleep(Duration::from_millis(100));
        self.send("\r");
    }

    /// Closes the window.
    pub fn hang_up(&mut self) {
        self.terminal = None;
    }

    /// How the app ended; nothing is read meanwhile.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.app.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < within, "the app is still there after {within:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Bytes of memory that the app has now.
    pub fn memory(&self) -> u64 {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.app.id())).unwrap();
        pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // One that a failed test leaves behind.
        let _ = self.app.kill();
        let _ = self.app.wait();
    }
}

/// A pseudo-terminal: its own end, which never waits, and the app's.
fn pair(columns: u16, rows: u16) -> (File, OwnedFd) {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut terminal, mut line) = (-1, -1);
    // SAFETY: openpty fills both descriptors, which nobody else has; names and settings may be null.
    unsafe {
        let made = libc::openpty(
            &raw mut terminal,
            &raw mut line,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        );
        assert_eq!(made, 0, "no pseudo-terminal");
        let (terminal, line) = (File::from_raw_fd(terminal), OwnedFd::from_raw_fd(line));
        libc::fcntl(terminal.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK);
        libc::fcntl(terminal.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
        (terminal, line)
    }
}

fn cell(count: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(count).expect("a screen has cells")
}
