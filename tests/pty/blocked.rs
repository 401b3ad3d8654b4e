//! A terminal that takes nothing: Ctrl+S, a stalled connection. The app goes on behind it.

use std::time::Duration;

use crate::harness::{alive, children, home, signal, until};
use crate::killed::exported;
use crate::raw::Raw;

#[test]
fn a_terminal_that_takes_nothing_stops_neither_reply_nor_store_nor_signals() {
    let home = home();
    let mut app = Raw::start(home.path(), "scripted:token_ms=2,load_ms=1");
    app.see("ready");
    app.send("count");
    app.see("› count");
    app.send("\r");
    app.see("1, 2,");
    // From here on nobody reads.
    let before = app.memory();
    until("the reply is written and saved behind it", || exported(home.path()).contains("99, 100,"));
    app.send("typed meanwhile");
    std::thread::sleep(Duration::from_secs(1));
    let grown = app.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    // Somebody reads again.
    app.see("120,");
    app.see("› typed meanwhile");
    // Nobody reads once more, and it is asked to end.
    std::thread::sleep(Duration::from_secs(2));
    let engine = children(app.app.id())[0];
    signal(app.app.id(), "TERM");
    assert_eq!(app.ended(Duration::from_secs(5)).code(), Some(143));
    until("the engine ends", || !alive(engine));
    until("what was written is there", || exported(home.path()).contains("100, 101,"));
}

#[test]
fn a_slow_terminal_is_given_back_all_the_same() {
    let home = home();
    let mut app = Raw::start(home.path(), "scripted:token_ms=2,load_ms=1");
    app.see("ready");
    app.send("long");
    app.see("› long");
    app.send("\r");
    // Nobody reads: the line fills, and stays full for a while after the end was asked for.
    std::thread::sleep(Duration::from_secs(4));
    app.send("\x11");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(app.given_back(), "the alternate screen was left");
}
