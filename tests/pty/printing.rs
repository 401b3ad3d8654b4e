//! What is printed on a terminal rather than drawn: replies of `ask`, and the chat's text for the terminal's own selection.

use termlens::{Color, Key, Screen};

use crate::harness::{Start, answered, home, press, quit, ready, say};

/// What stands there when `ask` has ended.
fn asked(start: Start, arguments: &[&str]) -> Screen {
    let home = home();
    let start = arguments.iter().fold(start.size(80, 40).arg("ask"), |start, argument| start.arg(argument));
    let mut app = start.within(home.path());
    let status = app.wait_exit().unwrap();
    assert!(status.success(), "{status:?}");
    app.screen()
}

#[test]
fn a_reply_is_laid_out_on_a_terminal_and_as_it_was_written_where_that_is_asked_for() {
    let laid_out = asked(Start::default(), &["some markdown"]);
    for part in [
        "A heading",
        "Some bold, italic, code and a link (https://example.com).",
        "• one item",
        "◦ a nested one",
        "fn main() {",
        "│ A quotation, and the end.",
    ] {
        assert!(laid_out.contains(part), "{part}");
    }
    assert!(!laid_out.contains("**") && !laid_out.contains("```"));
    for start in [Start::default().arg("--plain"), Start::default().env("TERM", "dumb")] {
        let (args, start) = (start.args.clone(), Start { args: Vec::new(), ..start });
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let plain = asked(start, &[&args[..], &["some markdown"]].concat());
        assert!(plain.contains("Some **bold**, *italic*, `code` and a [link](https://example.com)."));
        assert!(plain.contains("```rust"));
    }
    let bare = asked(Start::default().env("NO_COLOR", "1").env("LANG", "C"), &["some markdown"]);
    assert!(bare.contains("* one item") && bare.contains("o a nested one"));
    let row = (0..40).find(|row| bare.row_text(*row).contains("Some bold")).unwrap();
    assert!(
        (0..80).all(|column| bare.cell(row, column).is_none_or(|cell| cell.style().fg == Color::Default))
    );
}

#[test]
fn what_was_thought_stands_before_the_answer_on_a_terminal() {
    let screen = asked(Start::default(), &["please think"]);
    let row = |text: &str| (0..40).find(|row| screen.row_text(*row).contains(text));
    let (thought, answer) = (row("They ask me to think. One moment."), row("“please think”"));
    assert!(thought.unwrap() + 2 == answer.unwrap(), "{thought:?} {answer:?}");
    assert!(!screen.contains("think>"));
}

#[test]
fn the_text_alone_stands_outside_of_the_alternate_screen_until_a_key_comes() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "some markdown");
    answered(&mut app, 1);
    press(&mut app, Key::F(8));
    app.wait_until(|screen| !screen.alternate_screen() && screen.contains("any key leads back")).unwrap();
    let screen = app.screen();
    assert!(screen.contains("Some **bold**, *italic*, `code`") && !screen.contains("ready"));
    assert!(screen.mouse_modes().is_empty() && screen.cursor_visible());
    press(&mut app, Key::Char('x'));
    app.wait_until(|screen| screen.alternate_screen() && screen.contains("ready")).unwrap();
    assert!(!app.screen().contains("› x"), "the key only leads back");
    quit(app);
}
