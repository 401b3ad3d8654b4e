//! Faults of the store that need processes of their own: killed outright, several at once, a full disk.
//!
//! Invariant: whatever was acknowledged (read back from the database before the fault) is there afterwards,
//! and the file passes the check that follows an unclean end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use glassbox::chat::{ConversationId, Role, RunId, Span, Turn, TurnId, TurnState};
use glassbox::store::{Command, Event, Store};
use glassbox::token::{Step, TokenId};

const PATH: &str = "GLASSBOX_STORE_PATH";
const TASK: &str = "GLASSBOX_STORE_TASK";

fn open(path: &Path) -> (Store, Receiver<Event>) {
    let (sender, events) = channel();
    (Store::open(path, Box::new(move |event| drop(sender.send(event)))), events)
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(Duration::from_secs(30)).expect("the store answers")
}

/// Notes of a start that went well, and how many turns it found interrupted.
fn ready(events: &Receiver<Event>) -> (usize, Vec<String>) {
    match next(events) {
        Event::Ready { interrupted, notes, .. } => (interrupted, notes),
        other => panic!("{other:?}"),
    }
}

/// The turns of a conversation; `None` if it is not there, or trouble came first.
fn turns(store: &Store, events: &Receiver<Event>, id: i64) -> Option<Vec<Turn>> {
    store.send(Command::Open(ConversationId(id)));
    match next(events) {
        Event::Opened(_, Some(conversation)) => {
            next(events);
            Some(conversation.turns)
        }
        _ => None,
    }
}

fn message(id: i64, size: usize) -> Turn {
    Turn {
        id: TurnId(id),
        parent: None,
        role: Role::User,
        spans: vec![Span::Written { text: format!("message {id} {}", "x".repeat(size)) }],
        state: TurnState::Done,
        deleted: false,
        note: None,
        model: None,
        created_ms: 0,
        inserts: Vec::new(),
    }
}

fn reply(id: i64) -> Turn {
    Turn {
        role: Role::Assistant,
        spans: vec![Span::Generated { run: RunId(id), steps: Vec::new() }],
        state: TurnState::Streaming,
        ..message(id, 0)
    }
}

/// What the children do; not a test of its own.
#[test]
fn child() {
    let (Some(path), Ok(task)) = (std::env::var_os(PATH), std::env::var(TASK)) else { return };
    let (store, events) = open(Path::new(&path));
    ready(&events);
    let first = i64::from(std::process::id()) << 20;
    let size = if task == "fill" { 2000 } else { 20 };
    let most = if task == "insert" { 300 } else { 1_000_000 };
    for id in (first..).step_by(2).take(most) {
        store.send(Command::PutTurn(ConversationId(id), Box::new(message(id, size))));
        if task == "stream" {
            store.send(Command::PutTurn(ConversationId(id), Box::new(reply(id + 1))));
            let step = Step { id: Some(TokenId(1)), bytes: b"word".to_vec(), ..Step::default() };
            store.send(Command::AppendSteps(TurnId(id + 1), vec![step]));
        }
        let mut kept = turns(&store, &events, id);
        if kept.is_none() && task == "fill" {
            // Until the trouble is told, the message may only be in memory.
            while !matches!(next(&events), Event::Trouble { lost: false, .. }) {}
            kept = turns(&store, &events, first);
            println!("\nfull {}", kept.map_or(0, |turns| turns.len()));
            std::process::exit(3);
        }
        if kept.is_some_and(|turns| turns.iter().any(|turn| turn.id.0 == id)) {
            println!("\nkept {id}");
        }
    }
    assert_eq!(store.close(), Ok(()));
}

fn start(path: &Path, task: &str, wrap: Option<&str>) -> Child {
    let exe = std::env::current_exe().expect("a running test has a file");
    let mut process = match wrap {
        Some(script) => {
            let mut shell = Process::new("sh");
            shell.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]).arg(exe);
            shell
        }
        None => Process::new(exe),
    };
    process
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test starts itself")
}

fn kept_id(line: &str) -> Option<i64> {
    line.strip_prefix("kept ")?.parse().ok()
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut acknowledged = Vec::new();
    for round in 0..10 {
        let mut child = start(&path, "stream", None);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            let Some(id) = kept_id(&line) else { continue };
            acknowledged.push(id);
            seen += 1;
            if seen == 1 + round * 3 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (store, events) = open(&path);
        let (interrupted, notes) = ready(&events);
        assert!(interrupted >= seen && notes.is_empty(), "{interrupted} of {seen}, {notes:?}");
        assert_eq!(store.close(), Ok(()));
    }
    let (store, events) = open(&path);
    assert_eq!(ready(&events), (0, Vec::new()));
    for id in acknowledged {
        let turns = turns(&store, &events, id).expect("an acknowledged message");
        assert_eq!(turns[0], message(id, 20));
        assert!(turns[1..].iter().all(|turn| turn.state == TurnState::Interrupted));
    }
}

#[test]
fn four_processes_at_once_lose_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let children: Vec<Child> = (0..4).map(|_| start(&path, "insert", None)).collect();
    let mut kept = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        kept +=
            String::from_utf8_lossy(&output.stdout).lines().filter(|line| kept_id(line).is_some()).count();
    }
    let (store, events) = open(&path);
    assert_eq!(ready(&events), (0, Vec::new()));
    store.send(Command::List);
    let Event::Listed(all) = next(&events) else { panic!("no list") };
    assert_eq!(all.len(), 1200);
    assert!(kept <= 1200);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    // Files may not grow past 1 MB; the signal for that is ignored, so that writing fails instead.
    let child = start(&path, "fill", Some("trap '' XFSZ; ulimit -f 2000"));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.lines().any(|line| line == "full 1"), "reading goes on: {said}");
    let kept: Vec<i64> = said.lines().filter_map(kept_id).collect();
    assert!(kept.len() > 3, "{said}");
    let (store, events) = open(&path);
    assert_eq!(ready(&events), (0, Vec::new()));
    for id in kept {
        assert_eq!(turns(&store, &events, id).expect("an acknowledged message"), [message(id, 2000)]);
    }
}
