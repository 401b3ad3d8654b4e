//! What a person feels: start to first frame, and a key to its letter on the screen while a reply is written.
//! The real binary in a real pseudo-terminal with the scripted engine, and long chats drawn without one; medians
//! of many, printed as a table.
//!
//! `cargo bench --bench app`
#![allow(clippy::print_stdout, reason = "the table is what it is run for")]

use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use glassbox::app::{App, Msg, Now};
use glassbox::chat::{ConversationId, Role, RunId, Span, Turn, TurnId, TurnState};
use glassbox::config::keymap::Keymap;
use glassbox::config::{ColorDepth, Config, SymbolSet};
use glassbox::store::{self, Store};
use glassbox::theme::{self, Theme};
use glassbox::token::{Step, TokenId};
use glassbox::ui::{self, cache::Cache};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use termlens::{Key, Terminal};

const STARTS: usize = 15;
const KEYS: usize = 60;

fn main() {
    if std::env::args().any(|argument| argument == "search") {
        return search_all_chats();
    }
    long_transcript();
    markdown_frames();
    streaming_frames();
    let starts: Vec<Duration> = (0..STARTS).map(|_| start_to_first_frame()).collect();
    report("start to first frame", starts, 50.0);
    report("a key while a reply is written", keys_while_writing(), 16.0);
    memory();
    search_all_chats();
}

fn launch(home: &std::path::Path, engine: &str) -> Terminal {
    Terminal::builder()
        .size(120, 40)
        .env_clear()
        .env("GLASSBOX_HOME", home)
        .env("TERM", "xterm-256color")
        .env("COLORTERM", "truecolor")
        .env("LANG", "C.UTF-8")
        .args(["--engine", engine])
        .timeout(Duration::from_secs(20))
        .spawn(env!("CARGO_BIN_EXE_glassbox"))
        .expect("the binary starts")
}

fn start_to_first_frame() -> Duration {
    let home = tempfile::tempdir().expect("a temporary folder");
    let begun = Instant::now();
    let mut app = launch(home.path(), "scripted:load_ms=200");
    app.wait_until(|screen| screen.contains("glassbox")).expect("a first frame");
    let taken = begun.elapsed();
    app.send(Key::Ctrl('q')).expect("a key");
    app.wait_exit().expect("an end");
    taken
}

/// Sends a message as a hand does: a line end that comes with other keys is part of a paste.
fn say(app: &mut Terminal, text: &str) {
    app.send_str(text).expect("keys");
    app.wait_until(|screen| screen.contains(text)).expect("the text");
    std::thread::sleep(Duration::from_millis(20));
    app.send(Key::Enter).expect("a key");
}

/// The time from a key to its letter on the screen; half the poll interval of the emulator is in it.
fn keys_while_writing() -> Vec<Duration> {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut app = launch(home.path(), "scripted:token_ms=6");
    app.wait_until(|screen| screen.contains("ready")).expect("a model");
    say(&mut app, "count");
    app.wait_until(|screen| screen.contains("writing")).expect("a reply");
    let mut typed = String::new();
    let taken = (0..KEYS)
        .map(|index| {
            let letter = char::from(b'a' + u8::try_from(index % 26).expect("a letter"));
            typed.push(letter);
            let wanted = typed[typed.len().saturating_sub(12)..].to_owned();
            let begun = Instant::now();
            app.send(Key::Char(letter)).expect("a key");
            app.wait_until(|screen| screen.contains(&wanted)).expect("the letter");
            begun.elapsed()
        })
        .collect();
    app.send(Key::Ctrl('q')).expect("a key");
    app.wait_exit().expect("an end");
    taken
}

/// Resident memory of the app itself after a long reply.
fn memory() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut app = launch(home.path(), "scripted:token_ms=0");
    app.wait_until(|screen| screen.contains("ready")).expect("a model");
    say(&mut app, "long");
    app.wait_until(|screen| screen.contains("bit each")).expect("a reply");
    let pid = app.pid().expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
    println!("{:<34} {}", "the app's resident memory", resident.trim_start_matches("VmRSS:").trim());
    app.send(Key::Ctrl('q')).expect("a key");
    app.wait_exit().expect("an end");
}

/// What a key costs in a chat of 100,000 coloured tokens: the update and the frame, without the terminal.
fn long_transcript() {
    for (what, turns) in [("", 200), (" in one message", 1)] {
        let mut app = long_chat(turns, 100_000 / turns);
        let theme = theme();
        let mut cache = Cache::default();
        let screen = Rect::new(0, 0, 120, 40);
        let mut press = |code: KeyCode| {
            let begun = Instant::now();
            app.update(Now::default(), Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
            let mut buf = Buffer::empty(screen);
            let (geometry, _) = ui::render(&app, &theme, &mut cache, screen, &mut buf);
            app.absorb(geometry);
            begun.elapsed()
        };
        press(KeyCode::Tab);
        press(KeyCode::Char('m'));
        let scrolls = (0..KEYS).map(|_| press(KeyCode::PageUp)).collect();
        report(&format!("100 000 tokens{what}: a page up"), scrolls, 16.0);
        let moves = (0..KEYS).map(|_| press(KeyCode::Char('h'))).collect();
        report(&format!("100 000 tokens{what}: a cursor move"), moves, 16.0);
        let words = (0..KEYS).map(|_| press(KeyCode::Char('b'))).collect();
        report(&format!("100 000 tokens{what}: a word back"), words, 16.0);
    }
}

/// What a frame costs over chats of Markdown, at the end and in the middle: the aim is that their length does not matter.
fn markdown_frames() {
    const MESSAGE: &str = "## A heading\n\nSome **bold** and *slanted* words, `code`, and a [link](https://example.org).\n\n\
        - one\n- two\n  1. three\n\n| a | b |\n|---|---|\n| 1 | two words |\n\n```rust\nlet x = \"text\"; // so\n```\n\nDone.\n";
    for messages in [100, 1_000, 10_000, 100_000] {
        let mut app = chat_of(messages, || vec![Span::Written { text: MESSAGE.into() }]);
        let theme = theme();
        let mut cache = Cache::default();
        let begun = Instant::now();
        frame(&mut app, &theme, &mut cache);
        report(&format!("{messages} messages of Markdown: first frame"), vec![begun.elapsed()], 300.0);
        let frames = (0..KEYS).map(|_| frame(&mut app, &theme, &mut cache)).collect();
        report(&format!("{messages} messages of Markdown: a frame"), frames, 1.0);
    }
}

/// What a frame costs while a reply of 10,000 rows is written: some rows of it come before each.
fn streaming_frames() {
    let step =
        |bytes: &[u8]| Step { id: Some(TokenId(1)), bytes: bytes.to_vec(), rank: 1, ..Step::default() };
    for (what, line) in [
        ("paragraphs", "Some **bold** words.\n\n"),
        ("one list", "- an *item*\n"),
        ("one block of code", "let x = 1;\n"),
    ] {
        let mut app = chat_of(1, || vec![Span::Generated { run: RunId(1), steps: vec![step(b"```rust\n")] }]);
        let turn = &mut app.talk.chat.turns[0];
        turn.state = TurnState::Streaming;
        let Some(Span::Generated { steps, .. }) = turn.spans.first_mut() else { return };
        if !what.ends_with("code") {
            steps.clear();
        }
        let rows = if what == "paragraphs" { 5_000 } else { 10_000 };
        steps.extend((0..rows).map(|_| step(line.as_bytes())));
        let theme = theme();
        let mut cache = Cache::default();
        frame(&mut app, &theme, &mut cache);
        let frames = (0..KEYS).map(|_| {
            if let Some(Span::Generated { steps, .. }) = app.talk.chat.turns[0].spans.first_mut() {
                steps.push(step(line.as_bytes()));
            }
            frame(&mut app, &theme, &mut cache)
        });
        report(&format!("a reply of 10 000 rows, {what}: a frame"), frames.collect(), 4.0);
    }
}

/// Draws a screen of 120 × 50; gives the time.
fn frame(app: &mut App, theme: &Theme, cache: &mut Cache) -> Duration {
    let screen = Rect::new(0, 0, 120, 50);
    let mut buf = Buffer::empty(screen);
    let begun = Instant::now();
    let (geometry, _) = ui::render(app, theme, cache, screen, &mut buf);
    let taken = begun.elapsed();
    app.absorb(geometry);
    taken
}

fn long_chat(turns: usize, tokens: usize) -> App {
    let step = |index: usize| Step {
        id: Some(TokenId(1)),
        bytes: b" word".to_vec(),
        logprob: -(index as f32 % 9.0),
        rank: 1,
        ..Step::default()
    };
    chat_of(turns, || vec![Span::Generated { run: RunId(1), steps: (0..tokens).map(step).collect() }])
}

/// A chat of so many replies made of these spans.
fn chat_of(turns: usize, spans: impl Fn() -> Vec<Span>) -> App {
    let (mut app, _) = App::new(Config::default(), Keymap::defaults(), 1, (120, 50));
    for number in 0..turns {
        let id = TurnId(i64::try_from(number).expect("a small number") + 1);
        app.talk.chat.turns.push(Turn {
            id,
            parent: app.talk.chat.leaf,
            role: Role::Assistant,
            spans: spans(),
            state: TurnState::Done,
            deleted: false,
            note: None,
            model: None,
            created_ms: 0,
            inserts: Vec::new(),
        });
        app.talk.chat.leaf = Some(id);
    }
    app
}

fn theme() -> Theme {
    let (file, _) = theme::load("dark", None);
    theme::resolve(&file, ColorDepth::TrueColor, SymbolSet::Full)
}

fn report(what: &str, mut taken: Vec<Duration>, aim_ms: f64) {
    taken.sort();
    let at = |share: f64| {
        let index = ((taken.len() - 1) as f64 * share).round() as usize;
        taken[index].as_secs_f64() * 1000.0
    };
    println!("{what:<34} median {:>6.1} ms   90 % {:>6.1} ms   aim under {aim_ms} ms", at(0.5), at(0.9));
}

/// Search over 100,000 messages of about 300 characters: an answer must be there before the next key.
fn search_all_chats() {
    const WORDS: [&str; 24] = [
        "the",
        "model",
        "answers",
        "with",
        "a",
        "list",
        "of",
        "things",
        "Paris",
        "is",
        "written",
        "layers",
        "слова",
        "да",
        "что",
        "東京",
        "天気",
        "ดี",
        "água",
        "straße",
        "tokens",
        "and",
        "one",
        "two",
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sender, events) = std::sync::mpsc::channel();
    let sink = Box::new(move |event| drop(sender.send(event)));
    let store = Store::open(&folder.path().join("many.db"), sink);
    let begun = Instant::now();
    let mut seed = 1_u64;
    for at in 0..100_000_i64 {
        let mut text = String::new();
        for _ in 0..48 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(WORDS[(seed >> 33) as usize % WORDS.len()]);
            text.push(' ');
        }
        if at % 20_000 == 77 {
            text.push_str("Needle in the Haystack, иё");
        }
        let turn =
            Turn { spans: vec![Span::Written { text }], ..Turn::new(TurnId(at + 1), None, Role::User, at) };
        store.send(store::Command::PutTurn(ConversationId(at / 200 + 1), Box::new(turn)));
    }
    let search = |text: &str| {
        let begun = Instant::now();
        store.send(store::Command::Search(text.to_owned()));
        loop {
            if let store::Event::Found { .. } = events.recv().expect("an answer") {
                return begun.elapsed();
            }
        }
    };
    // A reader waits a while for what is being written, which is not what is measured.
    while search("needle") > Duration::from_millis(250) {}
    println!("{:<52} {:>9.1} s", "100 000 messages: stored and indexed", begun.elapsed().as_secs_f64());
    for query in [
        "needle",
        "the",
        "haystack needle",
        "ДА",
        "иё",
        "東京",
        "й",
        "a",
        "zq",
        "the model answers",
        "straße after:1970",
        "role:user",
    ] {
        let taken = (0..10).map(|_| search(query)).collect();
        report(&format!("100 000 messages: search “{query}”"), taken, 100.0);
    }
    assert_eq!(store.close(), Ok(()), "all is saved");
}
