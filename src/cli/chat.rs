//! `glassbox`: the chat.

use anyhow::bail;

use super::args::ChatArgs;
use super::setup::{Setup, read_config};
use crate::runtime::{self, Options};

/// Whether the chat goes by lines: where that is asked for, and on a terminal that only prints.
pub fn is_plain(args: &ChatArgs) -> bool {
    args.plain || (super::has_terminal() && is_dumb())
}

fn is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// Opens the chat, with the tour begun if wanted; gives the exit code.
///
/// # Errors
/// Without a terminal, or when it cannot be drawn on.
pub fn run(args: ChatArgs, tour: bool) -> anyhow::Result<u8> {
    if !super::has_terminal() {
        bail!(
            "the chat needs a terminal. For a single reply: glassbox ask \"…\" (or `glassbox ask -` for a pipe); for a chat \
             by lines: glassbox --plain"
        );
    }
    if is_dumb() {
        bail!("this terminal (TERM=dumb) cannot show the tour. A chat by lines: glassbox --plain");
    }
    let setup = Setup::read(args.config.as_deref(), args.model.as_deref(), args.theme.as_deref())?;
    if setup.flags.model.is_some() {
        setup.entry()?; // no other model answers in its place
    }
    if let Some(name) = &args.persona {
        setup.config.persona_named(name).map_err(anyhow::Error::msg)?;
    }
    let flags = setup.flags.clone();
    let file = setup.config_file.clone();
    runtime::run(Options {
        folders: setup.folders,
        config: setup.config,
        warnings: setup.warnings,
        config_file: setup.config_file,
        read_config: Box::new(move || read_config(&file, &flags)),
        resume: args.resume,
        model_named: setup.flags.model.is_some(),
        persona: args.persona,
        tour,
        engine: args.engine,
        #[cfg(feature = "testing")]
        fault: args.fault,
        #[cfg(not(feature = "testing"))]
        fault: None,
    })
}
