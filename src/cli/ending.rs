//! Ctrl+C and the other signals that end a command.
//!
//! Invariants: from the first engine on, no signal that can be heard ends this process before its engines. Ctrl+C ends it
//! unless somebody has taken it: then it is theirs alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::engine::transport::child;

/// Who has taken Ctrl+C.
static TAKEN: Mutex<Option<UnboundedSender<()>>> = Mutex::new(None);

/// Ctrl+C, for as long as this is kept. One at a time has it.
pub(super) struct CtrlC(UnboundedReceiver<()>);

impl CtrlC {
    /// Takes it.
    pub(super) fn take() -> Self {
        listen();
        let (sender, pressed) = mpsc::unbounded_channel();
        *taken() = Some(sender);
        Self(pressed)
    }

    /// Waits until it is pressed.
    pub(super) async fn pressed(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await; // another has taken it
        }
    }
}

/// Waits until it is pressed by whom has it, who has it no longer then.
pub(super) async fn pressed(ctrl_c: &mut Option<CtrlC>) {
    match ctrl_c {
        Some(taken) => taken.pressed().await,
        None => std::future::pending().await,
    }
    *ctrl_c = None;
}

/// Whether a signal ends this process, which waits for its engines alone.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Waits for the end, where a signal has brought it: what a command says of its engine then, or which code it gives, is not
/// why it ends.
pub(super) fn wait_where_it_ends() {
    while ENDS.load(Ordering::Acquire) {
        std::thread::park();
    }
}

/// Begins to listen, where that has not begun. Whatever a command waits for, it is heard.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let thread = std::thread::Builder::new().name("signals".into());
        let (begun, begins) = std::sync::mpsc::channel();
        if let Err(error) = thread.spawn(|| super::block_on(hear(begun))) {
            tracing::warn!(%error, "signals cannot be listened to");
        }
        let _ = begins.recv(); // nothing comes where it could not begin
    });
}

/// Hears signals until one ends the process.
async fn hear(begun: std::sync::mpsc::Sender<()>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let _ = begun.send(());
    let number = loop {
        tokio::select! {
            _ = terminate.recv() => break 15,
            _ = hangup.recv() => break 1,
            _ = interrupt.recv() => {
                if taken().as_ref().is_none_or(|by| by.send(()).is_err()) {
                    break 2;
                }
            }
        }
    };
    ENDS.store(true, Ordering::Release);
    child::end_all();
    std::process::exit(128 + number)
}

fn taken() -> std::sync::MutexGuard<'static, Option<UnboundedSender<()>>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}
