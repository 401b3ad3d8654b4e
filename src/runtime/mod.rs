//! The imperative shell around the pure app: one select loop that turns what happens into messages, performs
//! the effects, and draws.
//!
//! Invariants: nothing is redrawn unless state changed, and at most `frame_rate` times a second, but for what answers
//! a hand; idle means that no timer runs; the terminal is given back on every way out.

mod backend;
mod clipboard;
mod config_file;
mod editor;
mod effects;
mod engine_process;
mod faults;
mod files;
mod heads;
mod input;
mod links;
mod log;
mod look;
mod native;
mod open_file;
mod output;
mod served;
mod shell;
mod signals;
mod terminal;
mod typing;

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Config, Folders, Warning};

pub use engine_process::engine_command;
pub use links::knows as knows_links;
pub use look::{printing_theme, terminal_facts};
#[cfg(feature = "llama")]
pub use native::{new_terminal, within_terminal};

/// What the chat starts with.
pub struct Options {
    /// Where things are kept.
    pub folders: Folders,
    /// The configuration.
    pub config: Config,
    /// What was wrong with it.
    pub warnings: Vec<Warning>,
    /// Its file.
    pub config_file: PathBuf,
    /// Reads the configuration again.
    pub read_config: Box<dyn Fn() -> (Config, Vec<Warning>) + Send>,
    /// Open the last chat (`last`) or the one of that id.
    pub resume: Option<String>,
    /// Whether the user named a model, which then goes before the chat's own.
    pub model_named: bool,
    /// The persona to begin with.
    pub persona: Option<String>,
    /// Begin with the guided tour.
    pub tour: bool,
    /// Which engine runs.
    pub engine: String,
    /// A fault to provoke, in test builds.
    pub fault: Option<String>,
}

/// Runs the chat until it ends; gives the exit code.
///
/// # Errors
/// When the terminal cannot be used at all.
pub fn run(options: Options) -> anyhow::Result<u8> {
    let logging = log::start(&options.folders.state);
    terminal::install_panic_hook(options.folders.state.display().to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(shell::run(options));
    terminal::restore();
    // A fetch or an editor that will not end must not hold the app back.
    runtime.shutdown_timeout(Duration::from_millis(200));
    drop(logging);
    result
}

/// Bytes of memory that are free, and in all.
pub fn memory() -> Option<(u64, u64)> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory();
    Some((system.available_memory(), system.total_memory()))
}

/// Columns and rows of the terminal that standard output is.
pub fn screen_size() -> (u16, u16) {
    crossterm::terminal::size().ok().filter(|(width, height)| *width > 0 && *height > 0).unwrap_or((80, 24))
}

/// Gives a terminal back that a crash left in a bad state.
pub fn reset_terminal() {
    terminal::reset();
}

/// A sentence for a build without the machine's own vector instructions, which is several times slower.
pub fn missing_instructions() -> Option<String> {
    // Backends that are libraries are chosen by what the machine has, whatever the program was built for.
    #[cfg(all(target_arch = "x86_64", not(feature = "dynamic-backends")))]
    {
        let machine = std::arch::is_x86_feature_detected!("avx2");
        if machine && !cfg!(target_feature = "avx2") {
            return Some(
                "this build does not use AVX2, which this machine has; replies are several times slower than they \
                 could be. Build with RUSTFLAGS=\"-C target-cpu=native\", as the repository's own settings do."
                    .to_owned(),
            );
        }
    }
    None
}
