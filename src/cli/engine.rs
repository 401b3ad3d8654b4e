//! `glassbox engine`: the child process that loads a model and runs it. Frames on standard input and on a
//! private copy of standard output; everything printed goes to standard error, which the app keeps as a log.

use std::io;

use anyhow::{Context as _, bail};

use super::args::EngineArgs;
use crate::config::Folders;
use crate::engine::containment::{self, Allowed, Network, Reading};
#[cfg(feature = "dynamic-backends")]
use crate::engine::model::backends;
use crate::engine::model::ffi;
use crate::engine::protocol::Containment;
use crate::engine::scripted::{self, ScriptedOptions};
use crate::engine::transport::serve;
use crate::models::gguf;

/// Runs until the input ends. `choice` is `llama`, `server`, or `scripted:` with its options.
///
/// # Errors
/// When the options are wrong or the pipes break.
pub fn run(args: &EngineArgs, choice: &str) -> anyhow::Result<u8> {
    #[cfg(feature = "dynamic-backends")]
    if let Some(folder) = choice.strip_prefix(backends::TRIAL) {
        return try_backends(std::path::Path::new(folder));
    }
    // The terminal's signals are the app's: what ends this process is the end of its input, whichever engine it is.
    ffi::new_session();
    if choice == "llama" {
        llama(args)?;
    } else if choice == "server" {
        server(args)?;
    } else {
        let (options, frames) = (options(choice)?, ffi::move_stdout_aside());
        let contained = contained(args);
        serve::serve(io::stdin().lock(), frames, contained, scripted::make(options))?;
    }
    // Native threads may still run; nothing of theirs is worth waiting for.
    std::process::exit(0);
}

/// Gives up what is not needed; said in the log too.
fn contained(args: &EngineArgs) -> Containment {
    let contained = if args.free { Containment::Off } else { containment::contain(&allowed(args)) };
    tracing::info!("contained: {}", contained.in_words());
    contained
}

fn allowed(args: &EngineArgs) -> Allowed {
    Allowed {
        reading: match args.read.as_slice() {
            [] => Reading::Everything,
            files if args.read_openly => Reading::Openly(files.to_vec()),
            // A model in parts is named by its first.
            files => Reading::These(files.iter().flat_map(|file| gguf::part_paths(file)).collect()),
        },
        own: Folders::find().map(|folders| folders.engine().into()).unwrap_or_default(),
        network: if args.network { Network::Any } else { Network::None },
    }
}

/// Says which variant of the CPU's backend a folder gives here, and then runs its instructions, of which one may be the
/// last thing that this process does.
#[cfg(feature = "dynamic-backends")]
fn try_backends(folder: &std::path::Path) -> anyhow::Result<u8> {
    use crate::engine::compute::trial;
    use std::io::Write as _;

    backends::load_from(folder);
    let mut out = io::stdout();
    writeln!(out, "{}", trial::variant().unwrap_or_default())?;
    out.flush()?;
    let made = trial::multiply();
    tracing::debug!("{made} products");
    Ok(0)
}

#[cfg(feature = "llama")]
fn llama(args: &EngineArgs) -> io::Result<()> {
    use crate::engine::jobs::llama;
    use crate::engine::jobs::worker;
    use crate::engine::protocol::{Failure, FailureKind};
    use crate::engine::snapshot;
    use crate::engine::threads;
    use crate::models::gguf::{GgufError, SharedHeader};
    use crate::models::{ModelsFolder, ResolveError};
    use std::sync::Arc;

    threads::ask_for_short_slices();
    ffi::install_abort_hook();
    let frames = ffi::move_stdout_aside();
    log_to_stderr();
    #[cfg(feature = "dynamic-backends")]
    backends::leave_out_what_traps();
    let contained = contained(args);
    let hooks = worker::Hooks {
        resolve: Box::new(|entry| {
            let folders = Folders::find().ok_or_else(|| Failure {
                message: "There is no home folder; set GLASSBOX_HOME to a folder.".to_owned(),
                kind: FailureKind::Other,
            })?;
            ModelsFolder::new(folders.models()).resolve(entry).map_err(|error| Failure {
                kind: match error {
                    ResolveError::NotFetched { .. } => FailureKind::NotFetched,
                    _ => FailureKind::BadModel,
                },
                message: error.to_string(),
            })
        }),
        open: Box::new(|path| {
            let bad = |error: GgufError| Failure { message: error.to_string(), kind: FailureKind::BadModel };
            Ok(Arc::new(SharedHeader::open(path).map_err(bad)?))
        }),
        states: Folders::find().map(|folders| worker::States {
            folder: snapshot::folder(&folders.cache),
            hash: Arc::new(move |files, patient| {
                let go_on = |_| if patient { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) };
                ModelsFolder::new(folders.models()).hash_cached(files, go_on).ok()
            }),
        }),
    };
    serve::serve(io::stdin().lock(), frames, contained, llama::make(hooks))
}

#[cfg(feature = "remote")]
fn server(args: &EngineArgs) -> io::Result<()> {
    use crate::engine::server::{Limits, make};
    use crate::models::client_for;

    let frames = ffi::move_stdout_aside();
    log_to_stderr();
    let contained = contained(args);
    serve::serve(io::stdin().lock(), frames, contained, make(Box::new(client_for), Limits::default()))
}

#[cfg(not(feature = "remote"))]
fn server(_: &EngineArgs) -> io::Result<()> {
    Err(io::Error::other("this build asks no servers: it was built without the feature `remote`"))
}

/// Standard error is what the app keeps as the engine's log, and whose last lines it shows when this ends.
#[cfg(any(feature = "llama", feature = "remote"))]
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("GLASSBOX_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // Only a second subscriber could be refused, and this process has one.
    let _ =
        tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(filter).try_init();
}

#[cfg(not(feature = "llama"))]
fn llama(_: &EngineArgs) -> io::Result<()> {
    Err(io::Error::other("this build has no engine: it was built without the feature `llama`"))
}

/// `scripted`, or `scripted:token_ms=5,load_ms=10,…`.
fn options(choice: &str) -> anyhow::Result<ScriptedOptions> {
    let mut options = ScriptedOptions::default();
    let settings = match choice.split_once(':') {
        Some(("scripted", settings)) => settings,
        None if choice == "scripted" => "",
        _ => bail!("there is no engine named {choice}; there are llama, server and scripted"),
    };
    for setting in settings.split(',').filter(|setting| !setting.is_empty()) {
        let (name, value) = setting.split_once('=').context("a setting is name=number")?;
        let number: u32 = value.parse().with_context(|| format!("{setting}: not a number"))?;
        match name {
            "token_ms" => options.token_ms = number.into(),
            "vocabulary_ms" => options.vocabulary_ms = number.into(),
            "load_ms" => options.load_ms = number.into(),
            "slice_ms" => options.slice_ms = number.into(),
            "context" => options.context = number,
            "seed" => options.seed = number,
            _ => bail!("the scripted engine has no setting {name}"),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripted_settings_are_read_by_name() {
        let read = options("scripted:token_ms=5,context=64").unwrap();
        assert_eq!(read, ScriptedOptions { token_ms: 5, context: 64, ..ScriptedOptions::default() });
        assert_eq!(options("scripted").unwrap(), ScriptedOptions::default());
        for bad in ["other", "scripted:token_ms", "scripted:token_ms=x", "scripted:speed=1"] {
            assert!(options(bad).is_err(), "{bad}");
        }
    }
}
