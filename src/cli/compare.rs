//! `glassbox compare`: two models, or two files of one, on the same texts.
//!
//! Invariant: where both have the same vocabulary they read the same ids, and the divergence is over all of it; where they
//! do not, each reads the text as its own tokens, and nothing finer is told than the stretches that both cut off.

mod by_spans;
mod by_tokens;
mod sources;

use anyhow::bail;

use self::sources::Source;
use super::args::CompareArgs;
use super::session::Session;
use super::setup::Setup;
use crate::config::Config;
use crate::engine::protocol::{Failure, FailureKind, Loaded};
use crate::model_entry::ModelEntry;

/// How many of the places where the models part most are shown.
const SHOWN: usize = 10;

/// Runs the command; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: CompareArgs, engine: &str) -> anyhow::Result<u8> {
    let setup = Setup::read(args.config.as_deref(), None, None)?;
    setup.print_warnings();
    let entries = [setup.entry_named(&args.reference)?, setup.entry_named(&args.other)?];
    let sources = sources::all(&args, &setup)?;
    for entry in &entries {
        setup.fetch_if_missing(entry, engine).await?;
    }
    compare(&args, &setup.config, engine, entries, &sources).await.map(|()| 0)
}

async fn compare(
    args: &CompareArgs,
    config: &Config,
    engine: &str,
    entries: [ModelEntry; 2],
    sources: &[Source],
) -> anyhow::Result<()> {
    let [reference, other] = &entries;
    if let Some(server) = entries.iter().find(|entry| entry.server().is_some()) {
        super::note(&format!(
            "a server runs {}, which gives no whole distributions: the models are held against each other by stretches \
             of the text, in bits a byte",
            server.name
        ));
        return by_spans::compare(entries, args, config, engine, sources).await;
    }
    let by_tokens = {
        let templated = templated(args, sources);
        let model = Model::load(reference, std::slice::from_ref(other), engine, config, templated).await?;
        by_tokens::compare(model, other, args, config, sources).await
    };
    match by_tokens {
        Err(error) if has_other_vocabulary(&error) => {
            if args.window.is_some() {
                bail!("--window reads tokens, and these models have different ones");
            }
            super::note(&format!(
                "{} and {} have different vocabularies: they are held against each other by stretches of the text, \
                 in bits a byte",
                reference.name, other.name
            ));
            by_spans::compare(entries, args, config, engine, sources).await
        }
        done => done,
    }
}

/// Whether a template is put around what is read.
fn templated(args: &CompareArgs, sources: &[Source]) -> bool {
    args.reading.as_message || sources.iter().any(|source| matches!(source, Source::Chat { .. }))
}

fn has_other_vocabulary(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<Failure>();
    failure.is_some_and(|failure| failure.kind == FailureKind::OtherVocabulary)
}

/// A loaded model.
struct Model {
    session: Session,
    loaded: Loaded,
}

impl Model {
    /// Loads a model in an engine of its own, which may also read the files of `beside`; what is to be known of its
    /// template is said where one is used.
    async fn load(
        entry: &ModelEntry,
        beside: &[ModelEntry],
        engine: &str,
        config: &Config,
        templated: bool,
    ) -> anyhow::Result<Self> {
        let mut session = Session::start_beside(entry, beside, engine, config)?;
        let loaded = session.load(entry, &config.load_params_for(entry)).await?;
        loaded.notes_for(templated).for_each(|note| super::note(&format!("{}: {note}", entry.name)));
        Ok(Self { session, loaded })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::{Cli, Command};

    #[test]
    fn what_is_to_be_known_of_a_template_is_said_where_one_is_used() {
        let args = |more: &[&str]| {
            let line = ["glassbox", "compare", "a", "b", "t.txt"].iter().chain(more);
            match Cli::try_parse_from(line).unwrap().command {
                Some(Command::Compare(args)) => args,
                _ => panic!("compare is what was asked for"),
            }
        };
        assert!(!templated(&args(&[]), &[]));
        assert!(templated(&args(&["--as-message"]), &[]));
        let chat = Source::Chat { title: String::new(), messages: Vec::new() };
        assert!(templated(&args(&[]), &[chat]));
    }
}
