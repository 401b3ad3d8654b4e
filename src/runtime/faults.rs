//! Faults of the app's own: noted wherever they happen, so that the loop ends; and provoked, in the tests of them.
//!
//! Invariant: after a panic, on whatever thread, nothing is drawn any more, and what can be saved is saved.

use tokio::sync::Notify;

/// What the app ends with after a fault of its own, as any Rust program does.
pub const EXIT: u8 = 101;

static NOTED: Notify = Notify::const_new();

/// A panic happened, and the terminal was given back.
pub fn note() {
    NOTED.notify_one();
}

/// Waits for a panic on another thread.
pub async fn noted() {
    NOTED.notified().await;
}

/// Does what `--fault` names, where that is nothing that happens while a frame is drawn.
pub fn provoke(name: &str) {
    match name {
        "panic:update" => panic!("asked for by --fault panic:update"),
        "panic:task" => drop(tokio::spawn(async { provoke("panic:update") })),
        "panic:thread" => drop(std::thread::spawn(|| provoke("panic:update"))),
        "overflow" => assert_ne!(deeper(1), 0),
        _ => {}
    }
}

/// Calls itself until the stack ends.
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { depth } else { deeper(depth + 1) + room[7] }
}
