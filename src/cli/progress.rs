//! Progress of fetches on standard error: a line each that changes on a terminal, a line a stage elsewhere.
//!
//! Invariant: what was drawn is erased before anything else is written, and at the end.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::app::{Fetch, FetchState};
use crate::model_entry::ModelEntry;
use crate::models::{FetchEvent, FetchStage};

/// Time between two drawings.
const REDRAW_EVERY: Duration = Duration::from_millis(100);

/// The fetches of one command.
pub struct Progress {
    terminal: bool,
    started: Instant,
    shown: Mutex<Shown>,
}

struct Shown {
    fetches: Vec<Fetch>,
    /// Lines that stand on the terminal.
    drawn: usize,
    drawn_at: Option<Instant>,
}

impl Progress {
    /// Nothing is shown before something is told.
    pub fn new(entries: &[ModelEntry]) -> Self {
        let fetches = entries.iter().cloned().map(Fetch::new).collect();
        Self {
            terminal: std::io::stderr().is_terminal(),
            started: Instant::now(),
            shown: Mutex::new(Shown { fetches, drawn: 0, drawn_at: None }),
        }
    }

    /// A fetch went on.
    pub fn show(&self, event: FetchEvent) {
        let mut shown = self.shown();
        match event {
            FetchEvent::Progress { name, stage, done, total } => {
                let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                let Some(fetch) = shown.fetches.iter_mut().find(|fetch| fetch.entry.name == name) else {
                    return;
                };
                let new = fetch.state == FetchState::Waiting || fetch.stage != stage;
                fetch.state = FetchState::Running;
                fetch.progress(now, stage, done, total);
                if self.terminal {
                    shown.redraw(new);
                } else if new {
                    crate::cli::note(&format!("{} {name} …", doing(stage)));
                }
            }
            FetchEvent::Noted { message, .. } => {
                shown.erase();
                crate::cli::note(&message);
            }
            FetchEvent::Finished { name, .. } | FetchEvent::Failed { name, .. } => {
                shown.erase();
                shown.fetches.retain(|fetch| fetch.entry.name != name);
            }
        }
    }

    /// Takes the lines away.
    pub fn end(&self) {
        self.shown().erase();
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shown {
    fn redraw(&mut self, at_once: bool) {
        if !at_once && self.drawn_at.is_some_and(|at| at.elapsed() < REDRAW_EVERY) {
            return;
        }
        let width = crossterm::terminal::size().map_or(80, |(width, _)| usize::from(width));
        let under_way = self.fetches.iter().filter(|fetch| fetch.state == FetchState::Running);
        let lines: Vec<String> =
            under_way.map(|fetch| line(fetch).chars().take(width.saturating_sub(1)).collect()).collect();
        self.erase();
        let _ = std::io::stderr().write_all(lines.join("\n").as_bytes());
        (self.drawn, self.drawn_at) = (lines.len(), Some(Instant::now()));
    }

    fn erase(&mut self) {
        let up = match std::mem::take(&mut self.drawn) {
            0 => return,
            1 => String::new(),
            lines => format!("\x1b[{}A", lines - 1),
        };
        let _ = std::io::stderr().write_all(format!("{up}\r\x1b[J").as_bytes());
    }
}

fn line(fetch: &Fetch) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (_, done, total) =
        fetch.stages.iter().find(|row| row.0 == fetch.stage).copied().unwrap_or(fetch.stages[0]);
    let name = crate::sanitize::for_display(&fetch.entry.name);
    let rest = fetch.seconds_left().map_or_else(String::new, |left| {
        format!("  {:.1} MiB/s, about {left} s more", mib(fetch.speed as u64))
    });
    match fetch.share() {
        Some(share) => format!(
            "{} {name}  {:>3.0} %  {:.1} of {:.1} MiB{rest}",
            doing(fetch.stage),
            share * 100.0,
            mib(done),
            mib(total)
        ),
        None => format!("{} {name}  {:.1} MiB", doing(fetch.stage), mib(done)),
    }
}

fn doing(stage: FetchStage) -> &'static str {
    match stage {
        FetchStage::Download => "fetching",
        FetchStage::Unpack => "unpacking",
        FetchStage::Check => "checking",
    }
}
