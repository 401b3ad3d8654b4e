//! Chatting: sending, stopping, versions, several chats, what is kept.

use termlens::Key;

use crate::harness::{Start, answered, children, home, is_ready, kill, press, quit, ready, say, see, until};

#[test]
fn two_turns_are_answered_and_the_softmax_is_seen() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello there");
    see(&mut app, "tokens");
    app.wait_until(|screen| is_ready(screen) && screen.contains("chose")).unwrap();
    let screen = app.screen();
    assert!(screen.contains("6[7]8 9  softmax"), "the softmax station is open");
    assert!(screen.contains("‹others›"), "the rest of the vocabulary has its row");
    say(&mut app, "and once more");
    app.wait_until(|screen| screen.contains("reused")).unwrap();
    quit(app);
}

#[test]
fn esc_stops_a_reply_and_what_was_written_stays() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "4, 5, 6");
    app.send(Key::Esc).unwrap();
    let screen = see(&mut app, "stopped by you");
    assert!(screen.contains("4, 5, 6"));
    quit(app);
}

#[test]
fn regenerating_adds_a_version() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello");
    answered(&mut app, 1);
    app.send(Key::Ctrl('r')).unwrap();
    see(&mut app, "‹2/2›");
    quit(app);
}

#[test]
fn a_message_typed_during_a_reply_is_sent_after_it() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "hello");
    see(&mut app, "writing");
    say(&mut app, "second message");
    answered(&mut app, 2);
    quit(app);
}

#[test]
fn another_chat_can_be_opened_while_one_is_written() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "2, 3, 4");
    app.send(Key::Ctrl('n')).unwrap();
    app.wait_until(|screen| screen.find_all("count").len() == 1).unwrap();
    say(&mut app, "a second chat");
    press(&mut app, Key::Tab);
    app.wait_until(|screen| screen.contains("a second chat")).unwrap();
    quit(app);
}

#[test]
fn a_reply_cut_off_by_a_kill_is_found_at_the_next_start() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "19, 20, 21");
    kill(app.pid().unwrap());
    app.wait_exit().unwrap();
    let mut app = ready(Start::default().arg("--resume"), home.path());
    let screen = see(&mut app, "ended while this was written");
    assert!(screen.contains("9, 10"), "all but the last half second is there");
    quit(app);
}

#[test]
fn a_draft_is_there_again_after_a_kill() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    app.send_str("half a thought").unwrap();
    see(&mut app, "half a thought");
    app.wait_idle(std::time::Duration::from_millis(900)).unwrap();
    kill(app.pid().unwrap());
    app.wait_exit().unwrap();
    let mut app = ready(Start::default(), home.path());
    see(&mut app, "half a thought");
    quit(app);
}

#[test]
fn quitting_in_the_middle_of_a_reply_leaves_no_engine_behind() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "2, 3, 4");
    let engines = children(app.pid().unwrap());
    assert_eq!(engines.len(), 1);
    app.send(Key::Ctrl('q')).unwrap();
    assert!(app.wait_exit().unwrap().success());
    until("the engine ends", || !crate::harness::alive(engines[0]));
}

#[test]
fn ctrl_c_stops_then_clears_then_asks_then_quits() {
    let home = home();
    let mut app = ready(Start::slow(), home.path());
    say(&mut app, "count");
    see(&mut app, "2, 3, 4");
    app.send_str("draft").unwrap();
    see(&mut app, "draft");
    let interrupt = || Key::Ctrl('c');
    app.send(interrupt()).unwrap();
    see(&mut app, "stopped by you");
    app.send(interrupt()).unwrap();
    app.wait_until(|screen| !screen.contains("draft")).unwrap();
    app.send(interrupt()).unwrap();
    app.wait_until(|screen| screen.contains("again")).unwrap();
    app.send(interrupt()).unwrap();
    assert!(app.wait_exit().unwrap().success());
}

#[test]
fn a_burst_of_keys_without_the_marks_of_a_paste_is_one_draft() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello");
    answered(&mut app, 1);
    for pane in [&[][..], &[Key::Tab], &[Key::BackTab]] {
        for key in pane {
            app.send(*key).unwrap();
        }
        app.wait_idle(std::time::Duration::from_millis(100)).unwrap();
        app.send_str("first line\rsecond line\rd\t/quit\r").unwrap();
        let screen = see(&mut app, "/quit");
        assert!(screen.contains("› first line") && screen.contains("  second line"), "{screen:?}");
        assert_eq!(screen.find_all("bit each").len(), 1, "nothing was sent");
        app.send(Key::Ctrl('c')).unwrap();
        app.wait_until(|screen| !screen.contains("second line")).unwrap();
    }
    quit(app);
}
