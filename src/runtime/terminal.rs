//! The terminal, taken and given back.
//!
//! Invariant: whatever ends the app (return, panic, signal), [`restore`] runs once and leaves the terminal as
//! it was: no alternate screen, cursor shown, mouse, paste and focus reports off, the wheel and the title as they
//! were, cooked mode.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::SetCursorStyle;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::style::{Print, ResetColor};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, SetTitle,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::Terminal;

use super::backend::Placed;
use super::links::{self, Links};
use super::output::{self, Output};
use super::{faults, native};
use crate::app::Area;

static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether the cursor was told not to blink.
static STEADY: AtomicBool = AtomicBool::new(false);
/// Whether the alternate screen and its modes are on, while the terminal is taken.
static DRAWN_ON: AtomicBool = AtomicBool::new(false);

/// Alternate scroll: the wheel would send arrows, which must not walk the prompt history. What it was is kept.
const ALTERNATE_SCROLL_OFF: &str = "\x1b[?1007s\x1b[?1007l";
/// On, as nearly every terminal has it at first, then as it was, for those that keep that.
const ALTERNATE_SCROLL_BACK: &str = "\x1b[?1007h\x1b[?1007r";
/// The window's title is put on the terminal's stack.
const KEEP_TITLE: &str = "\x1b[22;0t";
/// None of ours stays where there is no stack; elsewhere it is what it was.
const TITLE_BACK: &str = "\x1b]0;\x1b\\\x1b[23;0t";

/// How long giving the terminal back waits for one that takes nothing, with what was written before. The system has it
/// take tens of kilobytes before it lets anything more in, which a slow one needs a while for.
const LAST_WAIT: Duration = Duration::from_millis(900);
/// The same where the user quits, and nobody has asked for an end within two seconds.
const QUIT_WAIT: Duration = Duration::from_secs(3);

/// ratatui's terminal over standard output, written to by a thread of its own.
pub type Screen = Terminal<Placed<Output>>;

/// Takes the terminal and gives a screen to draw on.
///
/// # Errors
/// When the terminal refuses raw mode or cannot be written to.
pub fn take(mouse: bool) -> io::Result<Screen> {
    native::remember_terminal();
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    output::open()?;
    enter(mouse)?;
    Terminal::new(Placed::new(Output::default()))
}

fn enter(mouse: bool) -> io::Result<()> {
    let mut out = Output::default();
    queue!(
        out,
        Print(KEEP_TITLE),
        EnterAlternateScreen,
        Print(ALTERNATE_SCROLL_OFF),
        EnableBracketedPaste,
        EnableFocusChange,
        // Pushed without asking: the question may wait two seconds for an answer.
        PushKeyboardEnhancementFlags(KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES),
        cursor::Hide
    )?;
    if mouse {
        queue!(out, EnableMouseCapture)?;
    }
    DRAWN_ON.store(true, Ordering::SeqCst);
    out.flush()
}

/// Gives the alternate screen and its modes back and prints a text in their place; keys still come one by one.
///
/// # Errors
/// When the terminal cannot be written to.
pub fn show_text(text: &str) -> io::Result<()> {
    let mut out = Output::default();
    give_back(&mut out)?;
    out.write_all(text.replace('\n', "\r\n").as_bytes())?;
    out.flush()
}

/// Tells the cursor not to blink, or gives it its own shape back, where that is news.
pub fn steady_cursor(on: bool) {
    if STEADY.swap(on, Ordering::SeqCst) != on {
        let style = if on { SetCursorStyle::SteadyBlock } else { SetCursorStyle::DefaultUserShape };
        let _ = execute!(Output::default(), style); // a terminal that is gone is noticed by the next frame
    }
}

/// What [`enter`] changed, as it was.
fn give_back(out: &mut Output) -> io::Result<()> {
    if !DRAWN_ON.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    steady_cursor(false);
    queue!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        DisableFocusChange,
        PopKeyboardEnhancementFlags,
        Print(ALTERNATE_SCROLL_BACK),
        cursor::Show,
        ResetColor,
        LeaveAlternateScreen,
        Print(TITLE_BACK)
    )
}

/// Sets the window's title, while the terminal is drawn on.
pub fn set_title(title: &str) {
    if DRAWN_ON.load(Ordering::SeqCst) {
        let _ = execute!(Output::default(), SetTitle(title)); // a terminal that is gone is noticed by the next frame
    }
}

/// Turns mouse reports on or off, while the terminal is drawn on.
pub fn set_mouse(on: bool) {
    if !DRAWN_ON.load(Ordering::SeqCst) {
        return;
    }
    let mut out = Output::default();
    // A terminal that cannot be written to is noticed by the next frame.
    let _ = if on { execute!(out, EnableMouseCapture) } else { execute!(out, DisableMouseCapture) };
}

/// Gives the terminal back; again and again does no harm. One that takes nothing is not waited for long.
pub fn restore() {
    restore_within(LAST_WAIT);
}

/// The same at the end that the user asked for, which has more time.
pub fn restore_at_leisure() {
    restore_within(QUIT_WAIT);
}

fn restore_within(patience: Duration) {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = Output::default();
    let _ = give_back(&mut out); // a terminal that is gone needs nothing back
    let _ = out.flush();
    output::drain(patience);
    output::close();
    let _ = disable_raw_mode();
}

/// Gives a terminal back that another process left taken.
pub fn reset() {
    TAKEN.store(true, Ordering::SeqCst);
    DRAWN_ON.store(true, Ordering::SeqCst);
    restore();
}

/// Takes the terminal again after [`restore`], for the same screen.
///
/// # Errors
/// As [`take`].
pub fn retake(screen: &mut Screen, mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    output::open()?;
    enter(mouse)?;
    wipe(screen)
}

/// Clears the screen, so that the next frame is drawn whole. ratatui's own `clear` asks the terminal where its
/// cursor is, and whoever reads keys meanwhile may take the answer.
///
/// # Errors
/// When the terminal cannot be written to.
pub fn wipe(screen: &mut Screen) -> io::Result<()> {
    let area = screen.size()?.into();
    screen.resize(area)
}

/// Draws one frame inside a synchronised update, so that terminals show it whole; `paint` says which cells link.
///
/// # Errors
/// When the terminal cannot be written to.
pub fn draw(
    screen: &mut Screen,
    links: &mut Links,
    paint: impl FnOnce(&mut ratatui::Frame<'_>) -> Vec<(Area, String)>,
) -> io::Result<()> {
    queue!(screen.backend_mut(), BeginSynchronizedUpdate)?;
    let mut linked = Vec::new();
    let drawn = screen.draw(|frame| linked = paint(frame))?;
    let changes = links.changes(drawn.buffer, &linked);
    links::write(screen.backend_mut(), &changes)?;
    queue!(screen.backend_mut(), EndSynchronizedUpdate)?;
    io::Write::flush(screen.backend_mut())
}

/// Makes a panic give the terminal back before it is reported, and names the log. On another thread than the loop's it
/// ends the loop, which would go on without what that thread was for.
pub fn install_panic_hook(log: String) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        restore();
        tracing::error!(%info, "panic");
        before(info);
        let _ = writeln!(
            io::stderr(),
            "glassbox stopped on a fault of its own. Chats and drafts are saved; the log is {log}."
        );
        faults::note();
    }));
}
