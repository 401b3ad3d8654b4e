//! Faults: whatever ends, the terminal comes back and nothing that was written is lost.

use termlens::{Key, Signal};

use crate::harness::{
    Start, answered, children, given_back, home, is_ready, kill, quit, ready, say, see, signal, until,
};

#[test]
fn a_killed_engine_costs_the_model_and_not_the_chat() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "4, 5, 6");
    kill(children(app.pid().unwrap())[0]);
    let screen = see(&mut app, "F5");
    assert!(screen.contains("4, 5, 6"), "the partial reply is kept");
    app.send(Key::F(5)).unwrap();
    app.wait_until(is_ready).unwrap();
    say(&mut app, "hello");
    answered(&mut app, 2);
    quit(app);
}

#[test]
fn a_panic_gives_the_terminal_back_and_names_the_log() {
    let home = home();
    let mut app = Start::default().arg("--fault").arg("panic:draw").within(home.path());
    let status = app.wait_exit().unwrap();
    assert_eq!(status.code(), Some(101));
    let screen = app.screen();
    given_back(&screen);
    assert!(screen.full_text().contains("the log is"), "{}", screen.full_text());
}

#[test]
fn a_termination_saves_and_ends_with_the_signals_code() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "4, 5, 6");
    app.signal(Signal::Term).unwrap();
    assert_eq!(app.wait_exit().unwrap().code(), Some(143));
    given_back(&app.screen());
    let mut app = ready(Start::default().arg("--resume"), home.path());
    see(&mut app, "count");
    quit(app);
}

#[test]
fn a_closed_terminal_ends_the_app_and_its_engine() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "2, 3, 4");
    let pid = app.pid().unwrap();
    let engine = children(pid)[0];
    signal(pid, "HUP");
    app.wait_exit().unwrap();
    until("the engine ends", || !crate::harness::alive(engine));
}

#[test]
fn hostile_text_reaches_neither_clipboard_nor_title() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    let title = app.screen().title().to_owned();
    say(&mut app, "hostile");
    let screen = answered(&mut app, 1);
    assert!(screen.clipboard().is_none());
    assert!(
        !screen.title().contains("pwned") && (screen.title() == title || screen.title().contains("glassbox"))
    );
    // What the app itself sends and the emulator does not know: wheel and title kept for later, wheel, keyboard flags,
    // underline colour.
    let own = ["^[[22;0t", "^[[?1007s", "^[[?1007l", "^[[>1u", "^[[59m"];
    let foreign: Vec<&str> = screen.unsupported().iter().filter(|sequence| !own.contains(sequence)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    quit(app);
}

#[test]
fn three_hundred_resizes_during_a_reply_end_in_the_right_picture() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "2, 3, 4");
    for step in 0..300_u16 {
        app.resize(2 + (step * 37) % 220, 2 + (step * 13) % 70).unwrap();
    }
    app.resize(120, 40).unwrap();
    app.wait_until(|screen| screen.size() == (120, 40) && screen.contains("Softmax")).unwrap();
    quit(app);
}

#[test]
fn a_suspended_app_comes_back_with_the_right_picture() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello");
    answered(&mut app, 1);
    let pid = app.pid().unwrap();
    signal(pid, "TSTP");
    let stopped = || {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('T'))
    };
    until("the app stops", stopped);
    // What it wrote before it stopped may still be on its way to the screen.
    app.wait_until(|screen| !screen.alternate_screen() && screen.cursor_visible()).unwrap();
    given_back(&app.screen());
    app.resize(100, 30).unwrap();
    signal(pid, "CONT");
    app.wait_until(|screen| screen.alternate_screen() && screen.contains("hello")).unwrap();
    quit(app);
}

/// An editor that adds a word to the draft.
fn editor(home: &std::path::Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let script = home.join("editor.sh");
    std::fs::write(&script, "#!/bin/sh\nprintf ' appended' >> \"$1\"\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

#[test]
fn the_editor_comes_back_with_its_text_where_the_terminal_answers_nothing() {
    let home = home();
    let mut app =
        ready(Start { answers: false, ..Start::default() }.env("EDITOR", &editor(home.path())), home.path());
    app.send_str("draft").unwrap();
    see(&mut app, "draft");
    app.send(Key::Ctrl('o')).unwrap();
    see(&mut app, "draft appended");
    app.send_str(", and typed").unwrap();
    see(&mut app, "draft appended, and typed");
    quit(app);
}

/// A script as an editor.
fn editor_of(home: &std::path::Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = home.join("other-editor.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn an_editor_that_comes_back_at_once_is_noticed_and_what_it_saves_later_is_taken() {
    let home = home();
    let editor = editor_of(home.path(), "(sleep 2; printf 'saved later' > \"$1\") > /dev/null 2>&1 &");
    let mut app = ready(Start::default().env("EDITOR", &editor).env("VISUAL", ""), home.path());
    app.send_str("draft").unwrap();
    see(&mut app, "draft");
    app.send(Key::Ctrl('o')).unwrap();
    see(&mut app, "came back at once");
    assert!(app.screen().contains("› draft"));
    std::thread::sleep(std::time::Duration::from_millis(3500));
    app.send(Key::Ctrl('o')).unwrap();
    see(&mut app, "› saved later");
    quit(app);
}

#[test]
fn an_editor_gets_the_terminal_without_the_chats_title() {
    let home = home();
    let editor = editor_of(home.path(), "sleep 3; printf '\\351' >> \"$1\"");
    let mut app = ready(Start::default().env("EDITOR", &editor), home.path());
    say(&mut app, "hello");
    answered(&mut app, 1);
    app.wait_until(|screen| screen.title().contains("hello")).unwrap();
    app.send_str("caf").unwrap();
    see(&mut app, "› caf");
    app.send(Key::Ctrl('o')).unwrap();
    app.wait_until(|screen| !screen.alternate_screen()).unwrap();
    app.wait_until(|screen| screen.title().is_empty()).unwrap();
    see(&mut app, "› café");
    app.wait_until(|screen| screen.title().contains("hello")).unwrap();
    quit(app);
}

#[test]
fn an_editor_that_is_not_there_costs_no_draft() {
    let home = home();
    let mut app = ready(Start::default().env("EDITOR", "/nowhere/editor"), home.path());
    app.send_str("draft").unwrap();
    see(&mut app, "draft");
    app.send(Key::Ctrl('o')).unwrap();
    see(&mut app, "$EDITOR is /nowhere/editor, which is not there; the draft is as it was");
    assert!(app.screen().contains("› draft"));
    quit(app);
}

#[test]
fn redrawing_asks_the_terminal_nothing() {
    let home = home();
    let mut app = ready(Start { answers: false, ..Start::default() }, home.path());
    say(&mut app, "/redraw");
    app.wait_until(|screen| !screen.contains("/redraw")).unwrap();
    say(&mut app, "hello");
    answered(&mut app, 1);
    quit(app);
}

#[test]
fn without_a_terminal_there_is_one_line_that_names_ask() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home().path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("glassbox ask") && text.lines().count() == 1, "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_model_that_the_command_line_names_is_not_replaced_by_another() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home().path())
        .args(["ask", "--model", "nope", "hello"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("there is no model named nope. There are: smollm2-135m-instruct"), "{text}");
    assert!(output.stdout.is_empty());
}
