//! Strange surroundings: terminals that say little or late, odd pastes, configurations that change, replies without end.

use std::time::{Duration, Instant};

use termlens::{Color, Key};

use crate::harness::{Start, answered, given_back, home, is_ready, press, quit, ready, say, see};

#[test]
fn any_terminal_and_locale_gets_a_chat_or_a_plain_word() {
    for (term, language) in [
        (None, None),
        (Some("linux"), Some("C")),
        (Some("xterm"), None),
        (Some("no-such-terminal"), Some("POSIX")),
    ] {
        let home = home();
        let mut start = Start::default().without("COLORTERM").without("TERM").without("LANG");
        if let Some(term) = term {
            start = start.env("TERM", term);
        }
        if let Some(language) = language {
            start = start.env("LC_ALL", language);
        }
        let mut app = start.within(home.path());
        let begun = app.wait_until(|screen| is_ready(screen) || screen.contains("You:"));
        assert!(begun.is_ok(), "TERM {term:?}, LC_ALL {language:?}: {}", app.screen().full_text());
        if app.screen().alternate_screen() {
            say(&mut app, "hello");
            let screen = answered(&mut app, 1);
            let exact = screen.find_by(|cell| {
                let style = cell.style();
                [style.fg, style.bg].iter().any(|color| matches!(color, Color::Rgb(..)))
            });
            assert!(term != Some("linux") || exact.is_none(), "a terminal of 16 colours was sent others");
            quit(app);
        } else {
            app.send_str("hello\r").unwrap();
            see(&mut app, "bit each");
        }
    }
}

#[test]
fn answers_that_come_late_are_never_typed_into_the_message() {
    let home = home();
    let mut app = ready(Start { answers: false, ..Start::default() }, home.path());
    // The background's colour, what the terminal is, where its cursor is, its keyboard: as over a slow line.
    for answer in ["\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\", "\x1b[?62;22c", "\x1b[12;40R", "\x1b[?1u", "\x1b[0n"] {
        app.send_str(answer).unwrap();
        std::thread::sleep(Duration::from_millis(80));
    }
    app.send_str("only this").unwrap();
    let screen = see(&mut app, "only this");
    assert!(screen.contains("› only this"), "{screen:?}");
    app.send(Key::Ctrl('c')).unwrap();
    app.wait_until(|screen| !screen.contains("only this")).unwrap();
    quit(app);
}

#[test]
fn ctrl_c_leads_out_of_every_mode() {
    for opened in
        ["/help", "/settings", "/theme", "/chats", "/tree", "/models", "/search", "/tour", "/attention"]
    {
        let home = home();
        let mut app = ready(Start::default(), home.path());
        say(&mut app, "hello");
        answered(&mut app, 1);
        say(&mut app, opened);
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(60));
            let _ = app.send(Key::Ctrl('c')); // it may have ended by now
        }
        let status = app.wait_exit().unwrap_or_else(|error| panic!("{opened}: {error}"));
        assert!(status.success(), "{opened}: {status:?}");
        given_back(&app.screen());
    }
}

#[test]
fn a_configuration_that_changes_under_the_app_never_costs_what_is_in_use() {
    let home = home();
    let folder = home.path().join("config");
    std::fs::create_dir_all(&folder).unwrap();
    let (link, file) = (folder.join("config.toml"), folder.join("dotfiles.toml"));
    std::os::unix::fs::symlink("dotfiles.toml", &link).unwrap();
    std::fs::write(&file, "[sampling]\ntemperature = 0.25\n").unwrap();
    let mut app = ready(Start::default(), home.path());
    let in_use = |app: &mut termlens::Terminal| {
        say(app, "/settings");
        see(app, "temperature");
        app.send_str("temperature").unwrap();
        app.wait_until(|screen| screen.contains("0.25")).unwrap();
        app.send(Key::Esc).unwrap();
        press(app, Key::Esc);
        // An Esc that is still on its way would be read as the beginning of the next sequence.
        app.wait_until(|screen| !screen.contains("0.25")).unwrap();
    };
    // In the middle of a line; too long; of bytes that are no text; gone.
    let bad: [&[u8]; 3] =
        [b"[sampling]\ntemperature = 0.2\n[ui\n", &vec![b'#'; 10 << 20], b"a = \"\xff\xfe\"\n"];
    for text in bad {
        std::fs::write(&file, text).unwrap();
        app.focus_in().unwrap();
        see(&mut app, "the settings in use stay");
        in_use(&mut app);
    }
    std::fs::remove_file(&file).unwrap();
    app.focus_in().unwrap();
    see(&mut app, "the settings in use stay: the file is gone");
    in_use(&mut app);
    // Values that are none: the line is named, the rest is used.
    std::fs::write(&file, "[sampling]\ntemperature = 0.25\ntop_p = nan\nunknown = 1\n").unwrap();
    app.focus_in().unwrap();
    see(&mut app, "config.toml:3:");
    in_use(&mut app);
    assert!(link.is_symlink());
    quit(app);
}

#[test]
fn a_setting_is_not_written_over_a_configuration_that_cannot_be_read() {
    let home = home();
    let folder = home.path().join("config");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    let mine = b"[ui]\n# na\xefve\nmouse = false\n";
    std::fs::write(&file, mine).unwrap();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "/theme light");
    see(&mut app, "was not written");
    quit(app);
    assert_eq!(std::fs::read(&file).unwrap(), mine);
}

#[test]
fn a_reply_is_stopped_at_once_whether_a_token_takes_a_minute_or_no_time() {
    for engine in ["scripted:token_ms=60000,load_ms=1", "scripted:token_ms=0,load_ms=1"] {
        let home = home();
        let mut app = ready(Start { engine: engine.into(), ..Start::default() }, home.path());
        say(&mut app, "long");
        app.wait_until(|screen| !is_ready(screen)).unwrap();
        let begun = Instant::now();
        app.send(Key::Esc).unwrap();
        app.wait_until(is_ready).unwrap();
        // At once, and as much again as a busy machine may take.
        assert!(begun.elapsed() < Duration::from_secs(2), "{engine}: stopped after {:?}", begun.elapsed());
        app.send_str("typed").unwrap();
        see(&mut app, "typed");
        app.send(Key::Ctrl('c')).unwrap();
        quit(app);
    }
}

#[test]
fn a_flood_of_tokens_is_drawn_no_more_often_than_the_screen_shows() {
    let home = home();
    // Fewer than any machine could draw.
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    std::fs::write(home.path().join("config/config.toml"), "[ui]\nframe_rate = 5\n").unwrap();
    let mut app =
        ready(Start { engine: "scripted:token_ms=4,load_ms=1".into(), ..Start::default() }, home.path());
    let before = app.screen().repaints();
    let begun = Instant::now();
    say(&mut app, "long");
    see(&mut app, "paragraph 6 ");
    see(&mut app, "paragraph 12 ");
    let (frames, seconds) = (app.screen().repaints() - before, begun.elapsed().as_secs_f64());
    // Beside five a second those that answer keys.
    assert!((frames as f64) < 5.0 * seconds + 15.0, "{frames} frames in {seconds} s");
    quit(app);
}

#[test]
fn pastes_of_any_size_and_bytes_are_inert() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    // The end of a paste within it, as a page could hold it: nothing after it acts.
    app.send_str("\x1b[200~safe\x1b[201~/quit\r/quit\r\x1b[201~").unwrap();
    app.wait_until(|screen| screen.contains("safe")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(app.screen().alternate_screen(), "the app has quit");
    app.send(Key::Ctrl('c')).unwrap();
    app.wait_until(|screen| !screen.contains("safe")).unwrap();
    // Line ends of every kind.
    app.send_str("\x1b[200~one\r\ntwo\rthree\nfour\x1b[201~").unwrap();
    app.wait_until(|screen| screen.contains("› one") && screen.contains("  four")).unwrap();
    let (first, last) = (app.screen().find("› one").unwrap(), app.screen().find("  four").unwrap());
    assert_eq!(last.0 - first.0, 3, "four lines");
    app.send(Key::Ctrl('c')).unwrap();
    app.wait_until(|screen| !screen.contains("four")).unwrap();
    // A picture, as text: nothing of it reaches the terminal as a control character.
    app.paste("\u{89}PNG\u{1a}\u{0}\u{1b}]0;owned\u{7}\u{1b}[2J IHDR").unwrap();
    let screen = see(&mut app, "IHDR");
    assert!(!screen.title().contains("owned"));
    app.send(Key::Ctrl('c')).unwrap();
    app.wait_until(|screen| !screen.contains("IHDR")).unwrap();
    // Ten megabytes.
    app.paste(&"0123456789abcde\n".repeat(10 << 16)).unwrap();
    app.wait_until_for(|screen| screen.contains("pasted "), Duration::from_mins(1)).unwrap();
    see(&mut app, "the rest was left out");
    app.send_str(" and on").unwrap();
    see(&mut app, "and on");
    quit(app);
}

#[test]
fn a_chat_that_outgrows_a_tiny_context_goes_on() {
    let home = home();
    let engine = "scripted:token_ms=1,load_ms=1,context=64";
    let mut app = ready(Start { engine: engine.into(), ..Start::default() }, home.path());
    for turn in 0..6 {
        let message = format!("hello {turn}");
        say(&mut app, &message);
        app.wait_until(|screen| !is_ready(screen)).unwrap();
        app.wait_until(|screen| screen.contains(&message) && is_ready(screen)).unwrap();
        assert!(!app.screen().contains("could not go on"), "{:?}", app.screen());
    }
    see(&mut app, "the model no longer reads it");
    quit(app);
}

#[test]
fn no_log_holds_what_was_said() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello canary7f3a");
    answered(&mut app, 1);
    app.paste("canary7f3a once more").unwrap();
    see(&mut app, "once more");
    quit(app);
    let mut logs = 0;
    for entry in std::fs::read_dir(home.path().join("state")).unwrap().flatten() {
        let text = String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()).into_owned();
        assert!(!text.contains("canary"), "{}: {text}", entry.path().display());
        logs += 1;
    }
    assert!(logs > 0, "there is a log");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let home = home();
    std::fs::write(home.path().join("state"), "a file where the folder would be").unwrap();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello");
    answered(&mut app, 1);
    quit(app);
}
