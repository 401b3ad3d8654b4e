//! The handle against real child processes: a shell that behaves badly in one way each.

use std::sync::mpsc::Receiver;

use super::*;
use crate::engine::protocol::Containment;
use crate::engine::testing;

fn shell(script: &str) -> (ChildEngine, Receiver<Envelope>) {
    let (sink, events) = testing::events();
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    (ChildEngine::spawn(command, sink, None).unwrap(), events)
}

/// A shell command that writes the first frame, then `then`.
fn ready_then(version: u32, then: &str) -> String {
    let frame = frame::encode(&Envelope {
        id: RequestId(0),
        event: Event::Ready { version, containment: Containment::default() },
    })
    .unwrap();
    let octal: Vec<String> =
        greeting::MARK.iter().chain(&frame).map(|byte| format!("\\{byte:03o}")).collect();
    let octal = octal.concat();
    format!("printf '{octal}'; {then}")
}

fn exit_of(events: &Receiver<Envelope>) -> Exit {
    let all: Vec<Envelope> = events.iter().collect();
    let exits = all.iter().filter(|envelope| matches!(envelope.event, Event::Exited(_))).count();
    assert_eq!(exits, 1, "{all:?}");
    match all.into_iter().next_back() {
        Some(Envelope { id: RequestId(0), event: Event::Exited(exit) }) => exit,
        other => panic!("the last event is {other:?}"),
    }
}

#[test]
fn an_exit_code_and_the_last_lines_are_reported() {
    let (_engine, events) = shell(&ready_then(VERSION, "echo first >&2; echo last >&2; exit 1"));
    let how = "exit code 1".into();
    assert_eq!(
        exit_of(&events),
        Exit { expected: false, how, log_tail: vec!["first".into(), "last".into()], told: None }
    );
}

#[test]
fn signals_are_named() {
    for (signal, how) in [(9, "ended by signal 9 (killed)"), (6, "ended by signal 6 (aborted)")] {
        let (_engine, events) = shell(&ready_then(VERSION, &format!("kill -{signal} $$")));
        assert_eq!(exit_of(&events).how, how);
    }
}

#[test]
fn after_the_exit_sending_says_gone() {
    let (engine, events) = shell("exit 0");
    exit_of(&events);
    assert!(engine.send(RequestId(1), Request::Immediate(Immediate::Vocabulary)).is_err());
}

/// A shell on another machine.
fn shell_at(patience: Duration, script: &str) -> (ChildEngine, Receiver<Envelope>) {
    let (sink, events) = testing::events();
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    let place = Elsewhere { host: "box".into(), model: "big".into(), connect: Some("ssh box".into()) };
    let expected = Expected { place: Some(place), patience: Some(patience) };
    (ChildEngine::start(command, expected, sink, None).unwrap(), events)
}

#[test]
fn what_a_login_shell_prints_before_the_first_frame_is_passed_over() {
    let noise = r"printf 'Welcome!\n\005\000\000\000\377\377\377\377'; sleep 0.1; printf 'more'; ";
    let (engine, events) = shell(&format!("{noise}{}", ready_then(VERSION, "exec sleep 60")));
    assert!(matches!(events.recv().unwrap().event, Event::Ready { .. }));
    drop(engine);
    assert!(exit_of(&events).expected);
}

#[test]
fn a_child_elsewhere_that_never_greets_is_ended_with_a_word() {
    let (_engine, events) = shell_at(Duration::from_millis(300), "echo hello; exec sleep 60");
    let told = exit_of(&events).told.unwrap();
    assert!(told.starts_with("the engine on box did not greet"), "{told}");
}

/// A script that starts a command and waits for it, as one that does not end in `exec`; the number of what it started comes
/// in the last line that it writes to standard error.
fn script(folder: &std::path::Path, lines: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let path = folder.join("engine.sh");
    std::fs::write(&path, format!("{lines}\n")).unwrap();
    let mut command = Command::new("sh");
    command.arg(path).process_group(0);
    command
}

/// Whether a process is gone, or will never run again.
fn is_gone(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

fn comes_true(is: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is() && begun.elapsed() < Duration::from_secs(10) {
        thread::sleep(LOOK);
    }
    is()
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_silent_script_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, events) = testing::events();
    let command = script(folder.path(), "echo hello\nsleep 1000 &\necho $! >&2\nwait");
    let place = Elsewhere { host: "box".into(), model: "big".into(), connect: None };
    let expected = Expected { place: Some(place), patience: Some(Duration::from_millis(300)) };
    let _engine = ChildEngine::start(command, expected, sink, None).unwrap();
    let Event::Exited(exit) = events.recv_timeout(Duration::from_secs(10)).unwrap().event else { panic!() };
    assert!(exit.told.unwrap().starts_with("the engine on box did not greet"));
    assert!(comes_true(|| is_gone(exit.log_tail.last().unwrap())));
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_script_left_behind_ends_as_the_script_does_or_the_handle_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let ready = |then: &str| ready_then(VERSION, &format!("sleep 1000 >&- 2>&- &\necho $! >&2\n{then}"));
    for (then, code) in [("exit 3", "exit code 3"), ("wait", "ended by signal 9 (killed)")] {
        let (sink, events) = testing::events();
        let engine = ChildEngine::spawn(script(folder.path(), &ready(then)), sink, None).unwrap();
        assert!(matches!(events.recv().unwrap().event, Event::Ready { .. }));
        drop(engine);
        let exit = exit_of(&events);
        assert_eq!(exit.how, code);
        assert!(comes_true(|| is_gone(exit.log_tail.last().unwrap())), "{then}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_is_held_open_elsewhere_is_not_read_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, events) = testing::events();
    let held = "setsid sleep 30 2>&- & exec sleep 30";
    let engine = ChildEngine::spawn(script(folder.path(), &ready_then(VERSION, held)), sink, None).unwrap();
    assert!(matches!(events.recv().unwrap().event, Event::Ready { .. }));
    drop(engine);
    let exit = events.recv_timeout(Duration::from_secs(10)).unwrap().event;
    assert!(matches!(exit, Event::Exited(Exit { expected: true, .. })), "{exit:?}");
}

#[test]
fn a_flood_before_the_greeting_ends_the_child() {
    let (_engine, events) = shell("yes noise | head -c 200000; exec sleep 60");
    let how = exit_of(&events).how;
    assert!(how.starts_with("prints so much before `glassbox engine`"), "{how}");
}

#[test]
fn what_was_printed_instead_of_a_greeting_is_told_and_the_exit_status_is_the_childs_own() {
    let (_engine, events) = shell_at(PATIENCE, "echo This account is shut.; exit 1");
    let exit = exit_of(&events);
    assert_eq!(exit.how, "exit code 1");
    assert_eq!(exit.told.unwrap(), "the engine on box did not start (exit code 1 (This account is shut))");
}

#[test]
fn a_frame_of_a_version_without_the_mark_is_known_by_its_number() {
    let script = ready_then(9, "exec sleep 60");
    let mark: Vec<String> = greeting::MARK.iter().map(|byte| format!("\\{byte:03o}")).collect();
    let (_engine, events) = shell(&script.replace(&mark.concat(), ""));
    assert!(exit_of(&events).how.starts_with("speaks version 9 of the protocol"));
}

#[test]
fn a_child_that_takes_nothing_is_ended_before_memory_is_full() {
    let (engine, events) = shell(&ready_then(VERSION, "exec sleep 60"));
    let text = "x".repeat(8 << 20);
    let ask = |id| {
        let request = Immediate::Tokenize { text: text.clone(), special: false, begin: false };
        engine.send(RequestId(id), Request::Immediate(request)).is_ok()
    };
    let taken = (1..100).filter(|id| ask(*id)).count();
    assert!((20..50).contains(&taken), "{taken}");
    assert!(!exit_of(&events).expected);
}

#[test]
fn a_garbled_frame_after_the_greeting_ends_the_child() {
    let (_engine, events) = shell(&ready_then(VERSION, r"printf '\001\000\000\000\301'; exec sleep 60"));
    let how = exit_of(&events).how;
    assert!(how.starts_with("sent something unreadable"), "{how}");
}

#[test]
fn another_version_is_refused_by_name() {
    let (_engine, events) = shell(&ready_then(VERSION + 6, "exec sleep 60"));
    let expected =
        format!("speaks version {} of the protocol, this glassbox version {VERSION}:", VERSION + 6);
    assert!(exit_of(&events).how.starts_with(&expected));
}

#[test]
fn a_child_that_ignores_everything_is_killed_on_drop_within_seconds() {
    let begun = Instant::now();
    let (engine, events) = shell(&ready_then(VERSION, "trap '' TERM HUP; exec sleep 60"));
    let pid = engine.pid().unwrap();
    drop(engine);
    assert!(begun.elapsed() < Duration::from_millis(500), "dropping must not wait");
    let exit = exit_of(&events);
    assert_eq!((exit.expected, exit.how.as_str()), (true, "ended by signal 9 (killed)"));
    assert!(begun.elapsed() < Duration::from_secs(4));
    if cfg!(target_os = "linux") {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "no zombie stays");
    }
}

#[test]
fn a_child_that_reads_nothing_does_not_block_the_sender() {
    let (engine, _events) = shell(&ready_then(VERSION, "exec sleep 60"));
    let begun = Instant::now();
    for id in 1..20 {
        let text = "x".repeat(1 << 20);
        engine
            .send(
                RequestId(id),
                Request::Immediate(Immediate::Tokenize { text, special: false, begin: false }),
            )
            .unwrap();
    }
    drop(engine);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[test]
fn all_of_standard_error_goes_into_the_log() {
    let log = testing::Output::default();
    let (sink, events) = testing::events();
    let mut command = Command::new("sh");
    command.arg("-c").arg("i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done");
    let _engine = ChildEngine::spawn(command, sink, Some(Box::new(log.clone()))).unwrap();
    let exit = exit_of(&events);
    assert_eq!(exit.log_tail.last().unwrap(), "line 499");
    assert_eq!(String::from_utf8(log.written()).unwrap().lines().count(), 500);
}

#[test]
fn a_command_that_does_not_exist_is_an_error() {
    let sink: EventSink = Box::new(|_| {});
    assert!(ChildEngine::spawn(Command::new("/nowhere/glassbox"), sink, None).is_err());
}
