//! The tour, a station written to a file, and slow motion, in a real terminal with the scripted engine.

use termlens::Key;

use crate::harness::{Start, answered, home, is_ready, press, quit, ready, say, see, until};

/// Walks the tour to its end, one step back, and out of it.
fn walk(size: (u16, u16), start: Start) {
    let home = home();
    let mut app = start.size(size.0, size.1).arg("tour").within(home.path());
    app.wait_until(|screen| is_ready(screen) && screen.contains("1 of 12")).unwrap();
    for step in 2..=12 {
        press(&mut app, Key::Enter);
        let screen = see(&mut app, &format!("{step} of 12"));
        assert!(screen.contains("Tour"), "{}", screen.text());
    }
    app.send(Key::Backspace).unwrap();
    see(&mut app, "11 of 12");
    app.send(Key::Esc).unwrap();
    app.wait_until(|screen| !screen.contains("11 of 12") && screen.contains("ask anything")).unwrap();
    quit(app);
}

#[test]
fn the_tour_is_walked_from_the_command_line() {
    walk((120, 40), Start::default());
}

#[test]
fn the_tour_fits_a_small_terminal_without_colour() {
    walk((80, 24), Start::default().env("NO_COLOR", "1").env("LANG", "C"));
}

#[test]
fn esc_in_the_tour_gives_chat_and_draft_back() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello there");
    answered(&mut app, 1);
    see(&mut app, "/tour");
    app.send_str("half a thought").unwrap();
    see(&mut app, "half a thought");
    app.send(Key::Ctrl('p')).unwrap();
    see(&mut app, "Commands");
    app.send_str("tour").unwrap();
    see(&mut app, "Guided tour");
    press(&mut app, Key::Enter);
    let screen = see(&mut app, "1 of 12");
    assert!(!screen.contains("hello there"), "{}", screen.text());
    press(&mut app, Key::Enter);
    see(&mut app, "2 of 12");
    app.send(Key::Esc).unwrap();
    app.wait_until(|screen| screen.contains("hello there") && screen.contains("half a thought")).unwrap();
    quit(app);
}

#[test]
fn a_station_is_written_to_a_file_and_none_is_overwritten() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello there");
    answered(&mut app, 1);
    for ending in ["txt", "svg", "json"] {
        let file = home.path().join(format!("odds.{ending}"));
        say(&mut app, &format!("/export-station {}", file.display()));
        see(&mut app, "wrote");
        until(ending, || std::fs::metadata(&file).is_ok_and(|file| file.len() > 100));
    }
    let text = std::fs::read_to_string(home.path().join("odds.txt")).unwrap();
    assert!(text.contains("Softmax") && text.contains("‹others›") && !text.contains('\u{1b}'), "{text}");
    let file = home.path().join("odds.txt");
    say(&mut app, &format!("/export-station {}", file.display()));
    until("the second file", || home.path().join("odds-2.txt").is_file());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    say(&mut app, "/export-station /no/such/folder/x.svg");
    see(&mut app, "was not written");
    quit(app);
}

#[test]
fn a_slow_reply_goes_by_key_and_on_by_the_clock() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "/slow 20");
    see(&mut app, "20 tokens a second");
    say(&mut app, "count");
    see(&mut app, "1, 2");
    app.send(Key::F(6)).unwrap();
    see(&mut app, "next token");
    app.send_str("g").unwrap();
    app.wait_until(|screen| !screen.contains("next token") && screen.contains("writing")).unwrap();
    quit(app);
}
