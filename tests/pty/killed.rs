//! Killed outright, ended by signals, cut off: nothing that was acknowledged is lost, no process stays behind.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use termlens::{Key, Screen, Signal, Terminal};

use crate::harness::{
    Start, alive, answered, children, given_back, home, is_ready, kill, press, quit, ready, say, see, signal,
    until,
};
use crate::raw::Raw;

/// How much may be lost of what was on the screen: half a second, and as much again for a busy machine.
const BEHIND: Duration = Duration::from_secs(1);

/// A chat of that home as Markdown, as another program of ours reads it: the one looked at last.
pub fn exported(home: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home)
        .args(["export", "last", "--format", "md", "-o", "-"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The database is whole: pages, references, the index of the search.
pub fn whole(home: &Path) {
    let path = home.join("data/glassbox.db");
    let conn =
        rusqlite::Connection::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let said: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
    let dangling =
        conn.prepare("PRAGMA foreign_key_check").unwrap().query([]).unwrap().next().unwrap().is_some();
    assert!(!dangling, "a row refers to one that is gone");
    let indices: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(!indices.is_empty());
    for index in indices {
        conn.execute(&format!("INSERT INTO {index}({index}) VALUES ('integrity-check')"), []).unwrap();
    }
}

/// The number that a counting reply has come to on that screen, from the one seen before.
fn counted(screen: &Screen, from: u32) -> u32 {
    let text = screen.text();
    (from + 1..from + 60).rev().find(|number| text.contains(&format!(" {number},"))).unwrap_or(from)
}

/// Watches a counting reply for a while; what was on the screen [`BEHIND`] before its end.
fn watched(app: &mut Terminal, time: Duration) -> u32 {
    let (begun, mut seen) = (Instant::now(), VecDeque::from([(Instant::now(), 1)]));
    while begun.elapsed() < time {
        let last = seen.back().map_or(1, |(_, number)| *number);
        seen.push_back((Instant::now(), counted(&app.screen(), last)));
        std::thread::sleep(Duration::from_millis(10));
    }
    let end = Instant::now();
    seen.into_iter().rfind(|(at, _)| end - *at >= BEHIND).map_or(1, |(_, number)| number)
}

/// Does `rounds` of something in four homes at once.
fn in_four_homes(rounds: u64, round: impl Fn(&Path, u64) + Sync) {
    std::thread::scope(|scope| {
        for number in 0..4 {
            let round = &round;
            scope.spawn(move || {
                let home = home();
                (number..rounds).step_by(4).for_each(|at| round(home.path(), at));
                whole(home.path());
            });
        }
    });
}

#[test]
fn killed_at_sixty_moments_of_a_reply_all_but_the_last_half_second_is_there() {
    in_four_homes(60, |home, round| {
        let start = Start { engine: "scripted:token_ms=8,load_ms=1".into(), ..Start::default() };
        let mut app = ready(start.size(80, 24), home);
        let message = format!("count, for the {round}th time");
        say(&mut app, &message);
        app.wait_until(|screen| screen.contains("1,")).unwrap();
        // From at once to well after the first words were stored.
        let time = Duration::from_millis((round * 37) % 60 * 25);
        let number = watched(&mut app, time);
        let engines = children(app.pid().unwrap());
        kill(app.pid().unwrap());
        app.wait_exit().unwrap();
        let text = exported(home);
        assert!(text.contains(&message), "round {round}: the message is lost:\n{text}");
        assert!(
            number == 1 || text.contains(&format!("{number},")),
            "{number} is lost after {time:?}:\n{text}"
        );
        until("the engine of a killed app ends", || engines.iter().all(|engine| !alive(*engine)));
    });
}

#[test]
fn quitting_fifty_times_in_the_middle_of_a_reply_leaves_no_engine_behind() {
    in_four_homes(50, |home, round| {
        let start =
            Start { engine: format!("scripted:token_ms={},load_ms=1", 1 + round % 7), ..Start::default() };
        let mut app = ready(start.size(80, 24), home);
        say(&mut app, &format!("count to {round}"));
        app.wait_until(|screen| screen.contains("1,")).unwrap();
        let engines = children(app.pid().unwrap());
        app.send(Key::Ctrl('q')).unwrap();
        let status = app.wait_exit().unwrap();
        assert!(status.success() && engines.len() == 1, "{status:?}, {engines:?}");
        // Of what it wrote last, some may still be on its way to the screen.
        let _ = app.wait_until(|screen| !screen.alternate_screen());
        given_back(&app.screen());
        until("the engine ends", || !alive(engines[0]));
    });
}

/// An engine that takes a minute for every token.
fn stalled() -> Start {
    Start { engine: "scripted:token_ms=60000,load_ms=1".into(), ..Start::default() }
}

/// How long ending may take: two seconds, and as much again for a busy machine.
const SOON: Duration = Duration::from_secs(4);

#[test]
fn signals_end_the_app_at_once_though_the_engine_is_in_the_middle_of_a_token() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let home = home();
        let mut app = ready(stalled(), home.path());
        say(&mut app, "count");
        app.wait_until(|screen| !is_ready(screen)).unwrap();
        app.send_str("a draft beside it").unwrap();
        see(&mut app, "a draft beside it");
        let engine = children(app.pid().unwrap())[0];
        let begun = Instant::now();
        signal(app.pid().unwrap(), name);
        assert_eq!(app.wait_exit().unwrap().code(), Some(code));
        assert!(begun.elapsed() < SOON, "{name} took {:?}", begun.elapsed());
        given_back(&app.screen());
        until("the engine ends", || !alive(engine));
        assert!(exported(home.path()).contains("count"));
        let mut app = ready(Start::default().arg("--resume"), home.path());
        see(&mut app, "a draft beside it");
        quit(app);
    }
}

#[test]
fn a_closed_window_ends_app_and_engine_and_keeps_what_was_written() {
    let home = home();
    // So quickly that what is on the screen is not in the store yet.
    let mut app = Raw::start(home.path(), "scripted:token_ms=8,load_ms=1");
    app.see("ready");
    app.send("count");
    app.see("› count");
    app.send("\r");
    app.see("5, 6,");
    let engine = children(app.app.id())[0];
    app.hang_up();
    app.ended(SOON);
    until("the engine ends", || !alive(engine));
    let text = exported(home.path());
    assert!(text.contains("count") && text.contains("5, 6,"), "{text}");
    whole(home.path());
}

#[test]
fn an_engine_that_dies_of_any_signal_costs_the_model_and_one_key_brings_it_back() {
    for (name, how) in
        [("KILL", "killed"), ("ABRT", "aborted"), ("SEGV", "segmentation fault"), ("BUS", "bus error")]
    {
        let home = home();
        let mut app = ready(Start::slow(), home.path());
        say(&mut app, "count");
        see(&mut app, "4, 5, 6");
        let engine = children(app.pid().unwrap())[0];
        // Rust takes the first of two kinds for a stack that has ended, looks, and lets it be.
        until("the engine ends", || {
            if alive(engine) {
                let _ = Command::new("kill").args([format!("-{name}"), engine.to_string()]).output();
            }
            !alive(engine)
        });
        let screen = see(&mut app, "F5");
        assert!(screen.contains("4, 5, 6") && screen.alternate_screen(), "after {name}: {screen:?}");
        // The reason, in the notice and under the reply.
        let said = screen.find_all("ended by signal").len();
        assert!(said >= 2 && screen.contains(how), "after {name}: {screen:?}");
        app.send(Key::F(5)).unwrap();
        app.wait_until(is_ready).unwrap();
        say(&mut app, "hello");
        answered(&mut app, 2);
        quit(app);
    }
}

#[test]
fn a_fault_in_the_app_gives_the_terminal_back_and_keeps_draft_and_reply() {
    for fault in ["panic:update", "panic:task", "panic:thread"] {
        let home = home();
        let mut app = ready(Start::slow().arg("--fault").arg(fault), home.path());
        say(&mut app, "count");
        see(&mut app, "4, 5, 6");
        app.send_str("a draft beside it").unwrap();
        see(&mut app, "a draft beside it");
        let engine = children(app.pid().unwrap())[0];
        app.focus_out().unwrap();
        assert_eq!(app.wait_exit().unwrap().code(), Some(101), "{fault}");
        let screen = app.screen();
        given_back(&screen);
        assert!(screen.full_text().contains("the log is"), "{fault}: {}", screen.full_text());
        until("the engine ends", || !alive(engine));
        assert!(exported(home.path()).contains("4, 5, 6"), "{fault}");
        let mut app = ready(Start::default().arg("--resume"), home.path());
        see(&mut app, "a draft beside it");
        quit(app);
    }
}

#[test]
fn a_crash_of_the_app_itself_gives_the_terminal_back() {
    let home = home();
    for name in ["SEGV", "BUS", "ABRT"] {
        let mut app = ready(Start::default(), home.path());
        signal(app.pid().unwrap(), name);
        let status = app.wait_exit().unwrap();
        assert!(!status.success(), "{name}: {status:?}");
        given_back(&app.screen());
    }
    // Where the stack has ended there is none left to give it back on, but the one for signals.
    let mut app = ready(Start::default().arg("--fault").arg("overflow"), home.path());
    app.focus_out().unwrap();
    let status = app.wait_exit().unwrap();
    assert!(!status.success(), "{status:?}");
    given_back(&app.screen());
}

/// Whether a process is stopped.
fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('T'))
}

#[test]
fn a_reply_goes_on_after_a_stop_in_its_middle_and_the_picture_is_right() {
    for by_command in [true, false] {
        let home = home();
        let mut app =
            ready(Start { engine: "scripted:token_ms=3,load_ms=1".into(), ..Start::default() }, home.path());
        say(&mut app, "count");
        app.wait_until(|screen| screen.contains("1, 2,")).unwrap();
        let pid = app.pid().unwrap();
        if by_command {
            app.send_str("/suspend").unwrap();
            see(&mut app, "/suspend");
            press(&mut app, Key::Enter);
        } else {
            signal(pid, "TSTP");
        }
        until("the app stops", || is_stopped(pid));
        app.wait_until(|screen| !screen.alternate_screen() && screen.cursor_visible()).unwrap();
        given_back(&app.screen());
        app.resize(90, 30).unwrap();
        signal(pid, "CONT");
        // The engine may have gone on meanwhile or not; the reply goes on now.
        app.wait_until(|screen| screen.alternate_screen() && screen.contains("39, 40,")).unwrap();
        quit(app);
    }
}

#[test]
fn a_signal_is_heard_and_the_reply_saved_while_an_editor_has_the_terminal() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = home();
    let script = home.path().join("editor.sh");
    std::fs::write(&script, "#!/bin/sh\necho open\nexec sleep 30\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let start = Start { engine: "scripted:token_ms=3,load_ms=1".into(), ..Start::default() };
    let mut app = ready(start.env("EDITOR", &script.display().to_string()), home.path());
    say(&mut app, "count");
    app.wait_until(|screen| screen.contains("1, 2,")).unwrap();
    app.send(Key::Ctrl('o')).unwrap();
    app.wait_until(|screen| screen.contains("open") && !screen.alternate_screen()).unwrap();
    until("the reply is saved behind the editor", || exported(home.path()).contains("59, 60,"));
    app.signal(Signal::Term).unwrap();
    let begun = Instant::now();
    assert_eq!(app.wait_exit().unwrap().code(), Some(143));
    assert!(begun.elapsed() < SOON);
}
