//! The whole app as people use it: in a terminal of its own, where the softmax of each token is drawn as it comes,
//! against decoding alone and against a llama.cpp server.
//!
//! Invariant: what is compared is measured one right after the other in each round, as many tokens each; the app keeps a
//! home of its own, and the user's chats are not touched.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use tempfile::TempDir;

use super::beside::ask_server;
use super::real::{median, round};
use super::{Ground, Row};
use crate::chat::TurnState;
use crate::cli::chats::Chats;
use crate::cli::setup::Setup;
use crate::config::Folders;
use crate::engine::bench::Bare;
use crate::runtime::{new_terminal, within_terminal};
use crate::sampling::LogitBias;

/// The terminal's size: the one at which chats, transcript and inspector stand side by side.
const SIZE: (u16, u16) = (120, 40);
/// What is asked; each time as a chat of its own.
const QUESTION: &str = "Write a long story about a lighthouse.";
/// How long a reply may take, loading the model included.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often it is looked whether the reply is there.
const LOOK: Duration = Duration::from_millis(500);

/// The app's speed on the screen.
pub async fn rows(ground: Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let Ground { setup, entry, args, .. } = ground;
    let (path, facts) = setup.models().resolve(entry)?;
    let mut bare = Bare::load(&path, &facts)?;
    bare.run(args.tokens.min(8))?;
    let (mut shown, mut of_bare, mut of_server) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let alone = bare.run(args.tokens)?;
        let screen = Screen::start(ground)?;
        let speed = tokio::task::spawn_blocking(move || screen.reply()).await??;
        shown.push(speed);
        of_bare.push(speed / alone);
        if let Some(address) = &args.server {
            of_server.push(speed / ask_server(address, QUESTION.to_owned(), args.tokens).await?.written);
        }
    }
    let ratio = |name, ratios: &[f64], aim| {
        let value = median(ratios);
        Row { name, shown: format!("{value:.3}"), aim, value: json!(round(value)) }
    };
    let speed = median(&shown);
    let mut rows = vec![
        Row {
            name: "the whole app, the softmax on the screen",
            shown: format!("{speed:.1} tok/s"),
            aim: "",
            value: json!(round(speed)),
        },
        ratio("the whole app ÷ bare", &of_bare, "at least 0.97"),
    ];
    if args.server.is_some() {
        rows.push(ratio("the whole app ÷ the server, 20 candidates", &of_server, "at least 1.05"));
    }
    Ok(rows)
}

/// The app in a terminal of its own.
struct Screen {
    app: Child,
    keyboard: File,
    /// Bytes drawn so far.
    drawn: Arc<AtomicUsize>,
    reader: Option<JoinHandle<()>>,
    home: TempDir,
}

impl Screen {
    fn start(Ground { setup, entry, engine, args, no_end }: Ground<'_>) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let folders = Folders::under(home.path());
        std::fs::create_dir_all(folders.database().parent().context("the database is in a folder")?)?;
        std::os::unix::fs::symlink(setup.models().path(), folders.models())?;
        let config = folders.config_file();
        std::fs::create_dir_all(config.parent().context("the configuration is in a folder")?)?;
        std::fs::write(&config, configuration(setup, args.tokens, no_end)?)?;

        let (ours, theirs) = new_terminal(SIZE.0, SIZE.1)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["--model", &entry.name, "--engine", engine])
            .env("GLASSBOX_HOME", home.path())
            .envs([("TERM", "xterm-256color"), ("COLORTERM", "truecolor")])
            .env_remove("GLASSBOX_CONFIG")
            .env_remove("NO_COLOR");
        command.stdin(theirs.try_clone()?).stdout(theirs.try_clone()?).stderr(theirs);
        within_terminal(&mut command);
        let app = command.spawn()?;
        drop(command); // holds the program's end, at whose closing the reader ends
        let keyboard = File::from(ours.try_clone()?);
        let drawn = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&drawn);
        let reader = Some(std::thread::spawn(move || drain(ours, &count)));
        Ok(Self { app, keyboard, drawn, reader, home })
    }

    /// Asks, waits for the whole reply and quits; tokens a second.
    fn reply(mut self) -> anyhow::Result<f64> {
        let database = Folders::under(self.home.path()).database();
        let begun = Instant::now();
        // Nothing is drawn any more once the model is ready.
        let mut before = 0;
        while before == 0 || self.drawn.load(Ordering::Relaxed) != before {
            before = self.drawn.load(Ordering::Relaxed);
            self.still_runs(begun)?;
            std::thread::sleep(2 * LOOK);
        }
        // A line end that came with the text would be part of a paste.
        for typed in [QUESTION, "\r"] {
            self.keyboard.write_all(typed.as_bytes())?;
            std::thread::sleep(LOOK);
        }
        loop {
            self.still_runs(begun)?;
            std::thread::sleep(2 * LOOK);
            if let Some(speed) = written(&database)? {
                self.keyboard.write_all(b"\x11")?; // Ctrl+Q
                return Ok(speed);
            }
        }
    }

    fn still_runs(&mut self, begun: Instant) -> anyhow::Result<()> {
        if let Some(status) = self.app.try_wait()? {
            bail!("the app ended before its reply was there ({status})");
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "the app had no reply after {PATIENCE:?}");
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let begun = Instant::now();
        while matches!(self.app.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.app.kill(); // it has ended unless it hangs
        let _ = self.app.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Takes what is drawn, as a terminal that is quick enough does, until the app has ended.
fn drain(terminal: OwnedFd, drawn: &AtomicUsize) {
    let mut terminal = File::from(terminal);
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = terminal.read(&mut bytes) {
        drawn.fetch_add(count, Ordering::Relaxed);
    }
}

/// How fast the reply was written, if it is there and whole.
fn written(database: &std::path::Path) -> anyhow::Result<Option<f64>> {
    let chats = Chats::existing(database)?;
    let Some(head) = chats.heads()?.into_iter().next() else { return Ok(None) };
    let (conversation, runs) = chats.conversation(head.id)?;
    if conversation.turns.iter().any(|turn| turn.state == TurnState::Interrupted) {
        bail!("the engine of the app ended in the middle of its reply");
    }
    let ended = runs.values().find(|run| run.stop.is_some());
    Ok(ended.map(|run| f64::from(run.timings.tokens_per_second)))
}

/// The user's configuration, with replies of so many tokens that do not end by themselves.
fn configuration(setup: &Setup, tokens: u32, no_end: &[LogitBias]) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(&setup.config_file).unwrap_or_default();
    let mut document: toml_edit::DocumentMut =
        text.parse().with_context(|| format!("{} cannot be read", setup.config_file.display()))?;
    let sampling = &mut document["sampling"];
    sampling["max_tokens"] = toml_edit::value(i64::from(tokens) + 1);
    let bans = no_end.iter().filter_map(|bias| {
        let mut ban = toml_edit::InlineTable::new();
        ban.insert("id", i64::from(bias.id?).into());
        ban.insert("ban", true.into());
        Some(ban)
    });
    sampling["logit_bias"] = toml_edit::value(bans.collect::<toml_edit::Array>());
    Ok(document.to_string())
}
