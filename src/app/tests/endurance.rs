//! A thousand turns, as a long day of chatting has them: branches, cancels, other models, contexts that overflow. The app
//! with its store and the scripted engine, without a terminal.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command as Process;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::engine::Engine as _;
use crate::engine::scripted::{self, ScriptedOptions};
use crate::engine::transport::thread::ThreadEngine;
use crate::store::Store;

/// Without optimisation they would take minutes.
const TURNS: usize = if cfg!(debug_assertions) { 300 } else { 1000 };
/// A new chat is begun after so many.
const CHAT: usize = 50;
/// What the app may grow by between the first hundred turns and the last, bytes: all tokens of all turns with their
/// candidates are a tenth of it.
const GROWTH: u64 = 160 << 20;

/// The app, driven by everything that it asks for.
struct Driven {
    bench: Bench,
    engine: Option<ThreadEngine>,
    store: Store,
    messages: Receiver<Msg>,
    out: Sender<Msg>,
    begun: Instant,
}

impl Driven {
    fn start(database: &Path) -> Self {
        let (out, messages) = channel();
        let to_app = out.clone();
        let store = Store::open(database, Box::new(move |event| drop(to_app.send(Msg::Store(event)))));
        let mut driven =
            Self { bench: Bench::bare(), engine: None, store, messages, out, begun: Instant::now() };
        driven.send(Msg::Catalogue(catalogue(&driven.bench.app.config)));
        driven.until("a model is ready", |app| matches!(app.model.status, ModelStatus::Ready(_)));
        driven
    }

    fn send(&mut self, msg: Msg) {
        let effects = self.bench.send(msg);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Store(command) => self.store.send(command),
                Effect::StartEngine(id, _) => {
                    let out = self.out.clone();
                    let sink = Box::new(move |envelope| drop(out.send(Msg::Engine(id, envelope))));
                    let none = ScriptedOptions {
                        token_ms: 0,
                        load_ms: 0,
                        slice_ms: 0,
                        ..ScriptedOptions::default()
                    };
                    // Small, so that every chat outgrows it.
                    let options = ScriptedOptions { context: 512, ..none };
                    self.engine = Some(ThreadEngine::start(sink, scripted::make(options)).unwrap());
                }
                Effect::StopEngine(_) => self.engine = None,
                Effect::Engine(_, id, request) => {
                    if let Some(engine) = &self.engine {
                        let _ = engine.send(id, *request); // one that has ended says so itself
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes on until something holds; the clock goes with it.
    fn until(&mut self, what: &str, holds: impl Fn(&App) -> bool) {
        let begun = Instant::now();
        while !holds(&self.bench.app) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{what} did not come true");
            let message = self.messages.recv_timeout(Duration::from_millis(20)).unwrap_or(Msg::Tick);
            self.bench.now.mono_ms = 1000 + u64::try_from(self.begun.elapsed().as_millis()).unwrap();
            self.send(message);
        }
    }

    fn press(&mut self, name: &str) {
        self.send(Msg::Key(key(name)));
    }

    fn say(&mut self, text: &str) {
        for letter in text.chars() {
            self.send(Msg::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)));
        }
        self.press("enter");
    }

    fn answered(&mut self) {
        self.until("the reply ends", |app| {
            app.talk.run.is_none() && matches!(app.model.status, ModelStatus::Ready(_))
        });
    }
}

/// One turn; what it is depends on its number.
fn turn(driven: &mut Driven, number: usize) {
    if number.is_multiple_of(CHAT) {
        driven.press("ctrl+n");
    }
    match number % 10 {
        // Another version of the last reply, and on from there.
        3 if number % CHAT > 3 => {
            driven.say("/regenerate");
            driven.answered();
            driven.say(&format!("hello {number} on a branch"));
        }
        // Stopped in its middle.
        5 => {
            driven.say(&format!("count {number}"));
            driven.until("it is being written", |app| {
                app.talk
                    .chat
                    .branch()
                    .last()
                    .is_some_and(|turn| turn.role == Role::Assistant && turn.text().len() > 8)
                    || app.talk.run.is_none()
            });
            driven.press("ctrl+c");
        }
        // By another model.
        7 if number % 100 == 7 => {
            let other = if number % 200 == 7 { "large" } else { "small" };
            driven.say(&format!("/model {other}"));
            driven.answered();
            driven.say(&format!("hello {number} to the other one"));
        }
        _ => driven.say(&format!("hello {number}")),
    }
    driven.answered();
}

/// Bytes of memory that this process has now.
fn memory() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

const CHILD: &str = "GLASSBOX_ENDURANCE";

/// In a process of its own, whose memory no other test uses.
#[cfg(target_os = "linux")]
#[test]
fn a_thousand_turns_leave_memory_flat_and_lose_nothing() {
    if let Some(path) = std::env::var_os(CHILD) {
        return run(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let output = Process::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "app::tests::endurance::a_thousand_turns_leave_memory_flat_and_lose_nothing",
            "--nocapture",
        ])
        .env(CHILD, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    // Every message that was sent is stored, under its own chat.
    let conn = rusqlite::Connection::open(&path).unwrap();
    let whole: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let texts: Vec<String> = conn
        .prepare("SELECT text FROM texts")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for text in texts {
        *found.entry(text).or_default() += 1;
    }
    for number in 0..TURNS {
        let sent = |text: &String| {
            let rest = text.strip_prefix("hello ").or_else(|| text.strip_prefix("count "));
            rest.is_some_and(|rest| rest.split(' ').next() == Some(&number.to_string()))
        };
        assert!(found.keys().any(sent), "turn {number} is lost");
    }
}

fn run(database: &Path) {
    let mut driven = Driven::start(database);
    let mut early = 0;
    for number in 0..TURNS {
        turn(&mut driven, number);
        if number == TURNS / 10 {
            early = memory();
        }
    }
    let grown = memory().saturating_sub(early);
    println!(
        "\n{TURNS} turns in {:?}; {early} bytes after {}, {grown} more at the end",
        driven.begun.elapsed(),
        TURNS / 10
    );
    assert!(grown < GROWTH, "{grown} bytes more");
    assert_eq!(driven.store.close(), Ok(()));
}
