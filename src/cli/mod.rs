//! The command line: the chat, and the commands that work without a terminal of their own.
//!
//! Invariant: output that is piped carries no escape codes; errors go to standard error as one clear
//! sentence; exit codes are 0 done, 1 failed, 2 usage, 101 panic, 128 + n ended by signal n.

mod adapter_args;
mod args;
mod ask;
mod bench;
mod chat;
mod chats;
mod compare;
mod config;
mod doctor;
mod ending;
mod engine;
mod export;
mod import;
mod inspect;
mod models;
mod plain;
mod progress;
mod reading;
mod rpc_worker;
mod sampler_args;
mod score;
mod session;
mod setup;
mod tokenize;
#[cfg(test)]
mod versions_tests;
mod windows;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};

use crate::engine::transport::child;
use crate::model_entry::{Server, without_secrets};
use args::{Cli, Command};

/// Parses the arguments and runs.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => refuse(&error),
    };
    let done = dispatch(cli);
    ending::wait_where_it_ends();
    // Before anything is said: an engine that is stuck would outlive this process, and be nobody's.
    child::end_all();
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the arguments and what may have been meant.
fn refuse(error: &clap::Error) -> ! {
    let hint = args::hint(error, std::env::args().skip(1));
    let text = error.render().to_string();
    let safe = without_secrets(text.as_str());
    if error.use_stderr() && safe != text {
        // What was typed stands in it, with what an address should not hold.
        let _ = write!(std::io::stderr().lock(), "{}", crate::sanitize::for_copy(&safe));
    } else {
        let _ = error.print();
    }
    if let Some(hint) = hint {
        note(&hint);
    }
    std::process::exit(error.exit_code())
}

/// The address behind `--server`, where nothing but the scheme may be left out.
fn address(given: Option<String>) -> Option<String> {
    given.map(|given| Server::with_scheme(&given))
}

fn dispatch(mut cli: Cli) -> anyhow::Result<u8> {
    cli.chat.model = address(cli.chat.server.take()).or(cli.chat.model);
    let engine = cli.chat.engine.clone();
    setup::insist_on_large_models(cli.chat.larger_than_memory);
    match cli.command {
        None if chat::is_plain(&cli.chat) => block_on(plain::run(&cli.chat)),
        None => chat::run(cli.chat, false),
        Some(Command::Tour(args)) => chat::run(args.into_chat(engine), true),
        Some(Command::Engine(args)) => engine::run(&args, &engine),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "glassbox", &mut std::io::stdout());
            Ok(0)
        }
        Some(Command::Man { folder }) => man(&folder),
        Some(Command::Config(args)) => config::run(&args),
        Some(Command::Ask(mut args)) => {
            args.common.model = address(args.server.take()).or(args.common.model);
            block_on(ask::run(*args, &engine))
        }
        Some(Command::Tokenize(args)) => block_on(tokenize::run(args, &engine)),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Import(args)) => import::run(&args),
        Some(Command::Inspect(args)) => block_on(inspect::run(args, &engine)),
        Some(Command::Score(mut args)) => {
            args.common.model = address(args.server.take()).or(args.common.model);
            block_on(score::run(args, &engine))
        }
        Some(Command::Compare(args)) => block_on(compare::run(args, &engine)),
        Some(Command::Models(args)) => block_on(models::run(args, &engine)),
        Some(Command::Bench(args)) => block_on(bench::run(args, &engine)),
        Some(Command::RpcWorker(args)) => rpc_worker::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args, &engine),
    }
}

/// Writes the manual pages, from what the command line is made of.
fn man(folder: &Path) -> anyhow::Result<u8> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    clap_mangen::generate_to(Cli::command(), folder)
        .with_context(|| format!("the pages cannot be written into {}", folder.display()))?;
    Ok(0)
}

/// An error with its causes, but none that was said already.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said.as_str() {
        "" => cause,
        text if text.contains(&cause) => said,
        _ => format!("{said}: {cause}"),
    })
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
    };
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

/// The text itself, or standard input for `-`.
fn text_or_stdin(text: &str, last: LastLineEnd) -> anyhow::Result<String> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
    text_of(bytes, last)
}

/// What becomes of the line end that programs write behind a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastLineEnd {
    /// It is of the text.
    Kept,
    /// It only ended the line on which a prompt was written.
    Dropped,
}

/// Bytes as text.
fn text_of(bytes: Vec<u8>, last: LastLineEnd) -> anyhow::Result<String> {
    let mut text = String::from_utf8(bytes).context("standard input is not UTF-8 text")?;
    if last == LastLineEnd::Kept {
        return Ok(text);
    }
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

/// Prints a line to standard output.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe ends the program's use, not with an error.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints a text to standard error as it is but for what acts on a terminal.
fn print_error(text: &str) {
    let safe =
        if std::io::stderr().is_terminal() { crate::sanitize::for_copy(text) } else { text.to_owned() };
    let end = if safe.ends_with('\n') { "" } else { "\n" };
    let _ = write!(std::io::stderr().lock(), "{safe}{end}");
}

/// Prints a line to standard error, made safe for a terminal.
fn note(text: &str) {
    let text = without_secrets(text);
    let safe = crate::sanitize::for_copy(&text);
    let _ = writeln!(std::io::stderr().lock(), "glassbox: {safe}");
}

/// Milliseconds since 1970, UTC.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// By how many minutes local time is ahead of UTC.
fn offset_minutes() -> i32 {
    jiff::tz::TimeZone::system().to_offset(jiff::Timestamp::now()).seconds() / 60
}

/// Whether there is a terminal to draw on and to read keys from.
fn has_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_last_line_end_is_a_text_s_own_and_not_a_prompt_s() {
        let of = |last| text_of(b"a\r\nb\r\n".to_vec(), last).unwrap();
        assert_eq!([of(LastLineEnd::Kept), of(LastLineEnd::Dropped)], ["a\r\nb\r\n", "a\r\nb"]);
    }

    #[test]
    fn a_cause_is_said_once() {
        let denied = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let file = crate::models::gguf::GgufError::Io { path: "m.gguf".into(), source: denied() };
        let error = anyhow::Error::new(crate::models::ResolveError::Bad(file));
        let said = "m.gguf cannot be read (permission denied). Check its permissions and the disk.";
        assert_eq!(sentence(&error), said);
        let error = Err::<(), _>(denied()).context("the engine cannot be started").unwrap_err();
        assert_eq!(sentence(&error), "the engine cannot be started: permission denied");
    }
}
