//! `glassbox doctor`: what this build and this machine can do, and where things are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::args::DoctorArgs;
use super::models::mib;
use super::session::Session;
use super::setup::Setup;
use crate::elsewhere::Elsewhere;
use crate::engine::workers;
use crate::model_entry::{ModelEntry, Source};
use crate::{runtime, store};

/// How long an engine may take to say what it is held to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command.
///
/// # Errors
/// When there is no home folder.
pub fn run(args: &DoctorArgs, engine_choice: &str) -> anyhow::Result<u8> {
    if args.reset_terminal {
        runtime::reset_terminal();
        return Ok(0);
    }
    let setup = Setup::read(args.config.as_deref(), None, None)?;
    let (free, total) = runtime::memory().unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cores = sysinfo::System::physical_core_count().unwrap_or(threads);
    let terminal = runtime::terminal_facts(&setup.config);
    let mut rows = vec![
        ("glassbox", env!("CARGO_PKG_VERSION").to_owned()),
        ("engine", engine().to_owned()),
        ("model runs", runs_where(&setup)),
        ("engine held", contained(&setup, engine_choice)),
        ("instructions", instructions()),
        ("devices", devices()),
        ("processor", format!("{cores} cores, {threads} threads")),
        ("memory", format!("{} of {} free", mib(free), mib(total))),
        ("database", format!("SQLite {}", store::sqlite_version())),
        ("configuration", setup.config_file.display().to_string()),
        ("data", setup.folders.data.display().to_string()),
        ("models", setup.folders.models().display().to_string()),
        ("log", setup.folders.state.display().to_string()),
        ("terminal", terminal),
        (
            "Option, Alt",
            "Alt+1 to Alt+9 open stations; where Option types ¡ ™ £, let the terminal send it as Meta (Esc+)"
                .to_owned(),
        ),
    ];
    rows.splice(3..3, asked_workers(&setup));
    if args.json {
        let map: serde_json::Map<_, _> =
            rows.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        super::print(&serde_json::Value::Object(map).to_string());
    } else {
        let lines: Vec<String> = rows.iter().map(|(name, value)| format!("{name:<14} {value}")).collect();
        super::print(&lines.join("\n"));
    }
    setup.print_warnings();
    if let Some(warning) = runtime::missing_instructions() {
        super::note(&warning);
    }
    Ok(0)
}

fn engine() -> &'static str {
    if cfg!(feature = "llama") {
        "llama.cpp through llama-cpp-2 0.1.160"
    } else {
        "none (built without `llama`)"
    }
}

/// Where the configured model runs; of one that runs elsewhere, whether its engine answers from there.
fn runs_where(setup: &Setup) -> String {
    let Ok(entry) = setup.entry() else { return "nowhere: no model is named".to_owned() };
    let place = match (entry.server(), Elsewhere::of(&entry)) {
        (Some(server), _) => format!("on the server at {}", server.host()),
        (None, Some(place)) => format!("on {}, {}", place.host, answers(setup, &entry)),
        (None, None) => match entry.engine.as_deref().and_then(<[String]>::first) {
            Some(program) => format!("on this machine, by {program}"),
            None => "on this machine".to_owned(),
        },
    };
    crate::sanitize::for_display(&format!("{place} ({})", setup.config.model_title(&entry.name)))
}

/// Whether an engine elsewhere answers, and what it is held to there.
fn answers(setup: &Setup, entry: &ModelEntry) -> String {
    let greeted = Session::start(entry, "llama", &setup.config)
        .and_then(|mut session| super::block_on(async { session.greeting().await }));
    match greeted {
        Ok(held) => format!("which answers; its engine is held: {}", held.in_words()),
        Err(error) => format!("which does not answer: {error}"),
    }
}

/// What the engine's process gives up, as one says that was started for this.
fn contained(setup: &Setup, engine_choice: &str) -> String {
    // Of a model that has an engine elsewhere, or of none, this program's own engine is asked all the same.
    let here = setup.entry().ok().filter(|entry| entry.engine.is_none() && entry.server().is_none());
    let entry = here.unwrap_or_else(|| ModelEntry::new("none", Source::Path(PathBuf::from("/"))));
    let choice = if cfg!(feature = "llama") { engine_choice } else { "scripted" };
    let started = Session::start(&entry, choice, &setup.config).and_then(|mut session| {
        super::block_on(async { tokio::time::timeout(PATIENCE, session.greeting()).await? })
    });
    started.map_or_else(|error| format!("not known: {error}"), |containment| containment.in_words())
}

/// The workers that hold layers of the configured model, and whether they answer.
fn asked_workers(setup: &Setup) -> Option<(&'static str, String)> {
    let entry = setup.entry().ok()?;
    let answers = entry.rpc.iter().map(|worker| match workers::greet(worker) {
        Ok(version) => format!("{worker} answers (RPC {version})"),
        Err(why) => why,
    });
    let answers: Vec<String> = answers.collect();
    (!answers.is_empty()).then(|| ("workers", format!("of {}: {}", entry.name, answers.join("; "))))
}

/// What this build was compiled for; ggml follows it.
fn instructions() -> String {
    if cfg!(feature = "dynamic-backends") {
        return "chosen at start".to_owned();
    }
    let known = [
        ("AVX-512", cfg!(target_feature = "avx512f")),
        ("AVX2", cfg!(target_feature = "avx2")),
        ("FMA", cfg!(target_feature = "fma")),
        ("F16C", cfg!(target_feature = "f16c")),
        ("AVX", cfg!(target_feature = "avx")),
        ("NEON", cfg!(target_feature = "neon")),
        ("dot product", cfg!(target_feature = "dotprod")),
    ];
    let used: Vec<&str> = known.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    if used.is_empty() { "baseline only".to_owned() } else { used.join(" ") }
}

#[cfg(feature = "llama")]
fn devices() -> String {
    crate::engine::model::load::devices().join(", ")
}

#[cfg(not(feature = "llama"))]
fn devices() -> String {
    "none".to_owned()
}
