//! Looks: sizes, light terminals, few colours, no colour, ASCII, terminals that answer no question.

use termlens::Key;

use crate::film;
use crate::harness::{Start, answered, home, is_ready, press, quit, ready, say, see};

#[test]
fn a_terminal_that_is_too_small_says_so_and_keeps_the_composer() {
    let home = home();
    let mut app = Start::default().size(52, 14).within(home.path());
    see(&mut app, "glassbox needs 60 × 16; this is 52 × 14");
    app.resize(80, 24).unwrap();
    app.wait_until(is_ready).unwrap();
    quit(app);
}

#[test]
fn a_narrow_terminal_has_the_rail() {
    let home = home();
    let mut app = ready(Start::default().size(80, 24), home.path());
    say(&mut app, "hello");
    app.wait_until(|screen| screen.contains("bit each") && screen.contains("uncertainty")).unwrap();
    app.send(Key::F(2)).unwrap();
    see(&mut app, "7softmax");
    quit(app);
}

#[test]
fn nothing_is_lost_without_colour() {
    let home = home();
    let mut app = ready(Start::default().env("NO_COLOR", "1"), home.path());
    say(&mut app, "hello");
    let screen = answered(&mut app, 1);
    assert!(screen.contains("▶"), "the drawn token is marked by a glyph");
    let coloured = screen.find_by(|cell| {
        let style = cell.style();
        style.fg != termlens::Color::Default || style.bg != termlens::Color::Default
    });
    assert_eq!(coloured, None);
    quit(app);
}

#[test]
fn an_ascii_locale_gets_ascii() {
    let home = home();
    let mut app = ready(Start::default().env("LANG", "C").env("LC_ALL", "C"), home.path());
    say(&mut app, "hello");
    let text = answered(&mut app, 1).text();
    // What the app draws itself is ASCII; the letters of the conversation stay what they are, and the made-up model
    // has words of other alphabets among its candidates.
    let strange: Vec<char> = text.chars().filter(|c| !c.is_ascii() && !c.is_alphanumeric()).collect();
    assert!(strange.is_empty(), "{strange:?} in\n{text}");
    quit(app);
}

#[test]
fn a_light_terminal_gets_dark_text() {
    let home = home();
    let start = Start { light: true, ..Start::default() };
    let mut app = ready(start, home.path());
    say(&mut app, "hello");
    let screen = answered(&mut app, 1);
    let (row, column) = screen.find("You").unwrap();
    let style = *screen.cell(row, column).unwrap().style();
    assert_eq!(style.fg, termlens::Color::Rgb(0x0b, 0x0e, 0x11));
    quit(app);
}

#[test]
fn a_terminal_that_answers_no_question_starts_all_the_same() {
    // Measured against one that answers, whatever else the machine does.
    let takes = |answers: bool| {
        let (home, begun) = (home(), std::time::Instant::now());
        let app = ready(Start { answers, ..Start::default() }, home.path());
        let took = begun.elapsed();
        quit(app);
        took
    };
    let (usual, silent) = (takes(true), takes(false));
    assert!(silent < usual + std::time::Duration::from_secs(1), "{silent:?}, and {usual:?} with answers");
}

#[test]
fn the_palette_runs_a_command() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    app.send(Key::Ctrl('p')).unwrap();
    see(&mut app, "Commands");
    app.send_str("help").unwrap();
    press(&mut app, Key::Enter);
    see(&mut app, "Help");
    app.send(Key::Esc).unwrap();
    app.wait_until(|screen| !screen.contains("Help")).unwrap();
    quit(app);
}

#[test]
fn a_terminal_that_only_prints_gets_a_chat_by_lines() {
    let home = home();
    let mut app = Start::default().env("TERM", "dumb").within(home.path());
    app.wait_until(|screen| screen.contains("You:")).unwrap();
    assert!(!app.screen().alternate_screen());
    app.send_str("hello\n").unwrap();
    app.wait_until(|screen| screen.find_all("You:").len() == 2).unwrap();
    app.send_str("/quit\n").unwrap();
    assert!(app.wait_exit().unwrap().success());
}

#[test]
fn the_readmes_film_plays_from_the_question_to_the_stations() {
    let home = home();
    let start = Start { engine: "scripted:token_ms=90,load_ms=5".to_owned(), ..Start::default() };
    let mut app = ready(start.size(120, 34), home.path());
    say(&mut app, "/colour surprise");
    say(&mut app, "/new");
    let done = |screen: &termlens::Screen| is_ready(screen) && screen.contains("bit each");
    let film = film::demo(&mut app, "Why glass?", done).svg("A question, its answer and what made it");
    quit(app);
    // Told apart from pictures that do not move: more screens than one, each row in the file once for its time.
    assert!(film.matches("@keyframes").count() > 20, "{}", film.len());
    assert_eq!(film.matches("<g ").count(), film.matches("</g>").count());
    for what in ["Why glass?", "Instead of", "Sampler", "Layers", "Attention", "prefers-reduced-motion"] {
        assert!(film.contains(what), "{what}");
    }
    assert!(film.len() < 700_000, "{} bytes", film.len());
    if std::env::var("GLASSBOX_PICTURES").as_deref() == Ok("scripted") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/img/demo.svg"), film).unwrap();
    }
}

#[test]
fn thoughts_are_folded_and_markdown_is_laid_out() {
    let home = home();
    let mut app = ready(Start::default().size(120, 44), home.path());
    say(&mut app, "think of glass");
    answered(&mut app, 1);
    say(&mut app, "show me markdown");
    let screen = answered(&mut app, 2);
    let text = screen.text();
    // Beside it the inspector lists candidates, which may be signs of Markdown themselves.
    let edge =
        text.lines().nth(1).and_then(|row| row.chars().collect::<Vec<_>>().iter().rposition(|c| *c == '┬'));
    let own = |row: &str| row.chars().take(edge.unwrap()).collect::<String>();
    let shown: String = text.lines().map(own).collect::<Vec<_>>().join("\n");
    assert!(shown.contains("thought") && !shown.contains("One moment."), "{text}");
    assert!(shown.contains("• one item") && !shown.contains("|---|") && !shown.contains("```"), "{text}");
    if std::env::var("GLASSBOX_PICTURES").as_deref() == Ok("scripted") {
        let picture = film::picture(&screen);
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/img/markdown.svg"), picture).unwrap();
    }
    quit(app);
}
