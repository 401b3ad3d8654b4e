//! Starts glassbox in a terminal with a home of its own.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use termlens::{Key, Screen, Terminal};

/// How long a test waits for what it expects. Generous: a failing wait shows the screen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How a test starts the app.
pub struct Start {
    pub size: (u16, u16),
    pub engine: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub light: bool,
    pub answers: bool,
    /// Variables that are not set at all.
    pub without: Vec<String>,
    /// A program that starts the app: itself, and what stands before the app in its arguments.
    pub through: Vec<String>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            size: (120, 40),
            engine: "scripted:token_ms=2,load_ms=5".to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            light: false,
            answers: true,
            without: Vec::new(),
            through: Vec::new(),
        }
    }
}

impl Start {
    /// With a slow engine, so that a test can act in the middle of a reply.
    pub fn slow() -> Self {
        Self { engine: "scripted:token_ms=40,load_ms=5".to_owned(), ..Self::default() }
    }

    pub fn size(mut self, columns: u16, rows: u16) -> Self {
        self.size = (columns, rows);
        self
    }

    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.without.push(name.to_owned());
        self
    }

    /// Started by a line of shell, which ends in the app.
    pub fn after(mut self, line: &str) -> Self {
        self.through = vec!["sh".to_owned(), "-c".to_owned(), format!("{line}; exec \"$0\" \"$@\"")];
        self
    }

    /// Starts it in that home.
    pub fn within(self, home: &Path) -> Terminal {
        let usual = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("GLASSBOX_HOME", home.display().to_string()),
            ("TERM", "xterm-256color".to_owned()),
            ("COLORTERM", "truecolor".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ];
        let usual = usual
            .into_iter()
            .filter(|(name, _)| !self.without.iter().any(|without| without.as_str() == *name));
        let mut command = self.through;
        command.push(env!("CARGO_BIN_EXE_glassbox").to_owned());
        let mut builder = Terminal::builder()
            .size(self.size.0, self.size.1)
            .env_clear()
            .envs(usual)
            .envs(self.env)
            .args(&command[1..])
            .args(self.args)
            .args(["--engine", &self.engine]) // after a subcommand, which takes it too
            .answer_queries(self.answers)
            .timeout(PATIENCE);
        if self.light {
            builder = builder.background_rgb(251, 250, 247).foreground_rgb(34, 39, 44);
        }
        builder.spawn(&command[0]).unwrap()
    }
}

/// A home of its own for a test.
pub fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Starts the app and waits until the model is ready.
pub fn ready(start: Start, home: &Path) -> Terminal {
    let mut app = start.within(home);
    app.wait_until(is_ready).unwrap();
    app
}

/// The header says that the model is ready.
pub fn is_ready(screen: &Screen) -> bool {
    let header = screen.row_text(0);
    header.contains("○ ready") || header.contains("o ready")
}

/// Waits until so many replies are there and none is being written.
pub fn answered(app: &mut Terminal, replies: usize) -> Screen {
    app.snapshot_after(|screen| is_ready(screen) && screen.find_all("bit each").len() == replies).unwrap()
}

/// Types a message and sends it.
pub fn say(app: &mut Terminal, text: &str) {
    app.send_str(text).unwrap();
    app.wait_until(|screen| screen.contains(text)).unwrap();
    press(app, Key::Enter);
    // On a busy machine what is sent next could come in one read with the line end, as a paste does.
    if text.starts_with('/') {
        let line = format!("› {text}");
        app.wait_until(|screen| !screen.contains(&line)).unwrap();
    }
}

/// Presses a key as a hand does: what comes within milliseconds of other keys is a paste.
pub fn press(app: &mut Terminal, key: Key) {
    std::thread::sleep(Duration::from_millis(20));
    app.send(key).unwrap();
    std::thread::sleep(Duration::from_millis(20));
}

/// Waits for a text; the screen may go on changing.
pub fn see(app: &mut Terminal, text: &str) -> Screen {
    app.wait_until(|screen| screen.contains(text)).unwrap();
    app.screen()
}

/// Quits with Ctrl+Q and checks that the terminal is as before.
pub fn quit(mut app: Terminal) {
    app.send(Key::Ctrl('q')).unwrap();
    let status = app.wait_exit().unwrap();
    assert!(status.success(), "{status:?}");
    given_back(&app.screen());
}

/// The terminal is as it was before the app took it.
pub fn given_back(screen: &Screen) {
    assert!(!screen.alternate_screen(), "the alternate screen was left");
    assert!(screen.cursor_visible(), "the cursor is shown");
    assert!(!screen.bracketed_paste(), "bracketed paste is off");
    assert!(!screen.focus_events(), "focus reports are off");
    assert!(screen.mouse_modes().is_empty(), "mouse reports are off");
    assert_eq!(screen.title(), "", "the chat's title is taken away");
}

/// The children of a process, by /proc.
#[cfg(target_os = "linux")]
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = format!("/proc/{pid}/task");
    let mut found = Vec::new();
    for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    found
}

/// Whether a process is there (and not just waiting to be reaped).
#[cfg(target_os = "linux")]
pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not come true");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a process that this test started, at once.
pub fn kill(pid: u32) {
    signal(pid, "KILL");
}

/// Sends a signal to a process that this test started.
pub fn signal(pid: u32, name: &str) {
    let status =
        std::process::Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}
