//! `glassbox models`: the catalogue, and what is on disk.

mod offers;
mod pull;
mod served;
mod template;

use std::fmt::Write as _;

use anyhow::{anyhow, bail};
use serde_json::json;

use super::args::{ModelsArgs, ModelsCommand};
use super::setup::Setup;
use crate::elsewhere::Elsewhere;
pub(super) use crate::model_entry::amount as mib;
use crate::model_entry::{Key, ModelEntry, ModelFacts, Server, Source, at_home};
use crate::models::machine::Machine;
use crate::models::{FetchError, ModelsFolder, Places, gguf};

/// Exit status where Ctrl+C stopped a fetch, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs the command.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: ModelsArgs, engine_choice: &str) -> anyhow::Result<u8> {
    let mut setup = Setup::read(args.config.as_deref(), None, None)?;
    setup.print_warnings();
    match args.command {
        ModelsCommand::List { server: Some(name), json } => {
            served::list(&setup, &name, json, engine_choice).await?;
        }
        ModelsCommand::List { server: None, json } => list(&setup, json),
        ModelsCommand::Pull { names, called, accept_licence } => {
            return pull(&mut setup, &names, called.as_deref(), accept_licence).await;
        }
        ModelsCommand::Rm { name } => remove(&setup, &name)?,
        ModelsCommand::Info { name, json } => info(&setup, &name, json)?,
    }
    Ok(0)
}

fn list(setup: &Setup, as_json: bool) {
    let places = Places::of(&setup.config.model_folders, setup.config.other_apps);
    let items = setup.models().catalogue_with(&setup.config.models, places.scan());
    let machine = Machine::measured();
    let offers = offers::of(&machine, &setup.config.models);
    if as_json {
        let rows: Vec<_> = items
            .iter()
            .map(|item| {
                let facts = item.facts.as_ref().ok().and_then(Option::as_ref);
                json!({
                    "name": item.entry.name,
                    "title": item.entry.title,
                    "path": item.path,
                    "host": Elsewhere::of(&item.entry).map(|place| place.host),
                    "quantisation": facts.map(|f| &f.quantisation),
                    "file_size": facts.map(|f| f.file_size),
                    "context_length": facts.map(|f| f.context_length),
                    "default": item.entry.name == setup.config.model,
                    "server": item.entry.server().map(server_json),
                    "problem": item.facts.as_ref().err(),
                })
            })
            .collect();
        let all = json!({ "models": rows, "recommended": offers::json(&offers) });
        return super::print(&all.to_string());
    }
    let mut table = format!("  {:<24} {:<8} {:>9} {:>8}  state", "name", "quant", "file", "context");
    for item in &items {
        let mark = if item.entry.name == setup.config.model { "*" } else { " " };
        let place = Elsewhere::of(&item.entry);
        let (quant, size, context, state) = match &item.facts {
            Ok(Some(facts)) => (
                facts.quantisation.clone(),
                mib(facts.file_size),
                if facts.context_length == 0 { "–".to_owned() } else { facts.context_length.to_string() },
                "here".to_owned(),
            ),
            Ok(None) => {
                let size = item.entry.size.map_or_else(|| "–".to_owned(), |size| mib(size.file));
                let terms = item.entry.licence.as_ref().filter(|licence| licence.terms.is_some());
                let state = terms.map_or_else(
                    || "not fetched".to_owned(),
                    |licence| format!("not fetched; {} terms", licence.name),
                );
                ("–".to_owned(), size, "–".to_owned(), state)
            }
            Err(problem) => ("–".to_owned(), "–".to_owned(), "–".to_owned(), problem.clone()),
        };
        let name = crate::sanitize::for_display(match &item.entry.source {
            // Its name is its path, which stands in the state.
            Source::Path(_) => item.entry.title.as_deref().unwrap_or(&item.entry.name),
            _ => &item.entry.name,
        });
        let state = match &item.entry.source {
            _ if let Some(place) = &place => format!("on {}", crate::sanitize::for_display(&place.host)),
            Source::Path(path) if item.facts.is_ok() => {
                crate::sanitize::for_display(&path.display().to_string())
            }
            Source::Server(server) => crate::sanitize::for_display(&format!("server at {}", server.host())),
            _ => state,
        };
        let _ = write!(table, "\n{mark} {name:<24} {quant:<8} {size:>9} {context:>8}  {state}");
    }
    let offers = offers::table(&machine, &offers);
    super::print(table.trim_end());
    if items.iter().any(|item| item.entry.server().is_some()) {
        super::print("\n  what a server has: glassbox models list --server NAME");
    }
    if !offers.is_empty() {
        super::print(&format!("\n{offers}"));
    }
}

/// Fetches models; the exit status.
async fn pull(setup: &mut Setup, names: &[String], called: Option<&str>, accept: bool) -> anyhow::Result<u8> {
    if called.is_some() && names.len() > 1 {
        bail!("--as gives one model its name, and {} are to be fetched", names.len());
    }
    let folder = setup.models();
    let mut wanted: Vec<ModelEntry> = Vec::new();
    for name in names {
        let entry = match pull::new_entry(setup, name, called).await? {
            Some(entry) => entry,
            None => setup.entry_named(name)?,
        };
        if let Some(server) = entry.server() {
            super::print(&format!(
                "{name} runs on the server at {}: there is nothing to fetch",
                server.host()
            ));
            continue;
        }
        if !setup.config.models.iter().any(|other| other.name == entry.name) {
            setup.config.models.push(entry.clone());
        }
        if let Some(place) = Elsewhere::of(&entry) {
            bail!(place.not_loaded(&entry, true, ""));
        }
        if let Some(path) = folder.locate(&entry) {
            super::print(&format!("{name} is here already: {}", path.display()));
        } else if wanted.iter().all(|other| other.name != entry.name) {
            accept_terms(&folder, &entry, accept)?;
            wanted.push(entry);
        }
    }
    let mut fetched = setup.fetch_all(&wanted).await;
    for (entry, path) in fetched.extract_if(.., |(_, result)| result.is_ok()) {
        super::print(&format!("{}: {}", entry.name, path.unwrap_or_default().display()));
    }
    let stopped = |(_, result): &&(&ModelEntry, Result<_, FetchError>)| {
        matches!(result, Err(FetchError::Cancelled { .. }))
    };
    let names: Vec<&str> = fetched.iter().filter(stopped).map(|(entry, _)| entry.name.as_str()).collect();
    let failed = fetched.iter().filter(|one| !stopped(one)).filter_map(|(_, result)| result.as_ref().err());
    failed.for_each(|error| super::note(&error.to_string()));
    if !names.is_empty() {
        let what = "stopped; what has arrived is kept (but for pip packages). To go on:";
        super::note(&format!("{what} glassbox models pull {}", names.join(" ")));
        return Ok(INTERRUPTED);
    }
    Ok(u8::from(!fetched.is_empty()))
}

/// Shows an entry's terms, if it has any that were not accepted, and asks.
fn accept_terms(folder: &ModelsFolder, entry: &ModelEntry, accept: bool) -> anyhow::Result<()> {
    let name = &entry.name;
    if let Some(licence) = &entry.licence
        && let Some(terms) = &licence.terms
        && !folder.licence_accepted(entry)
    {
        super::note(&format!("{name} is under the {} terms:\n\n{terms}\n", licence.name));
        if !accept && !asked_and_accepted()? {
            bail!("{name} was not fetched: its terms were not accepted (--accept-licence accepts them)");
        }
        folder.accept_licence(entry)?;
        super::note(&format!("terms of {name} accepted"));
    }
    Ok(())
}

fn asked_and_accepted() -> anyhow::Result<bool> {
    use std::io::{BufRead as _, Write as _};
    if !super::has_terminal() {
        return Ok(false);
    }
    let mut out = std::io::stderr().lock();
    write!(out, "Do you accept these terms? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn remove(setup: &Setup, name: &str) -> anyhow::Result<()> {
    let entry = setup.entry_named(name)?;
    let folder = setup.models();
    if let Some(place) = Elsewhere::of(&entry) {
        bail!("{name} is on {}; its file is removed there", place.host);
    }
    if let Source::Path(path) = &entry.source {
        bail!("{name} is your own file {}; glassbox removes only what it fetched", path.display());
    }
    if let Some(server) = entry.server() {
        bail!("{name} runs on the server at {}; there is nothing here to remove", server.host());
    }
    let path = folder.locate(&entry).ok_or_else(|| anyhow!("{name} is not on this machine"))?;
    folder.remove(&entry)?;
    super::print(&format!("removed {}", path.display()));
    Ok(())
}

fn info(setup: &Setup, name: &str, as_json: bool) -> anyhow::Result<()> {
    let entry = setup.entry_named(name)?;
    if let Some(server) = entry.server() {
        server_info(&entry.name, server, as_json);
        return Ok(());
    }
    if let Some(place) = Elsewhere::of(&entry) {
        let there = place.by_hand(&entry, "models list");
        bail!("{name} is on {}, where its file can be asked about: {there}", place.host);
    }
    let (path, facts) = setup.models().resolve(&entry)?;
    let params = setup.config.load_params_for(&entry);
    let memory = gguf::memory_needed(&facts, &params);
    if as_json {
        let needed = json!({"weights": memory.weights, "context": memory.context, "compute": memory.compute});
        let value = json!({"name": entry.name, "path": path, "facts": facts, "memory": needed});
        super::print(&value.to_string());
        return Ok(());
    }
    let (template, of_template) = template::used(&entry, &path, &facts);
    let ModelFacts { architecture, layers, heads, kv_heads, embedding_length, .. } = &facts;
    let context = params.context_for(&facts);
    let ahead = match facts.mtp_layers {
        0 => String::new(),
        more => format!(", and {more} for multi-token prediction"),
    };
    let rows = [
        ("name", facts.name.clone()),
        ("file", path.display().to_string()),
        ("size", mib(facts.file_size)),
        ("quantisation", facts.quantisation.clone()),
        ("parameters", format!("{:.1} M", facts.parameters as f64 / 1e6)),
        (
            "architecture",
            format!(
                "{architecture}, {layers} layers of {heads} heads ({kv_heads} for keys and values){ahead}, width {embedding_length}"
            ),
        ),
        ("vocabulary", format!("{} tokens", facts.vocabulary_size)),
        ("context", format!("{}, {context} in use by the settings", trained(facts.context_length))),
        ("template", template),
        ("licence", facts.licence.clone().unwrap_or_else(|| "not stated in the file".to_owned())),
        (
            "memory",
            format!(
                "weights {}, context {}, working {}",
                mib(memory.weights),
                mib(memory.context),
                mib(memory.compute)
            ),
        ),
    ];
    let workers = (!entry.rpc.is_empty()).then(|| ("workers", entry.rpc.join(", ")));
    let doubts = of_template.iter().chain(&facts.doubts).map(|doubt| ("doubt", doubt.clone()));
    let rows = rows.into_iter().chain(workers).chain(doubts);
    let lines: Vec<String> = rows.map(|(name, value)| format!("{name:<13} {value}")).collect();
    super::print(&crate::sanitize::for_copy(&lines.join("\n")));
    Ok(())
}

/// How long a context a model was trained for, which a file of an architecture that is not known does not tell.
fn trained(context: u32) -> String {
    if context == 0 { "unknown".to_owned() } else { format!("{context} tokens") }
}

/// What is known of a model without asking its server.
fn server_info(name: &str, server: &Server, as_json: bool) {
    if as_json {
        return super::print(&json!({ "name": name, "server": server_json(server) }).to_string());
    }
    let id = server.id.as_deref().unwrap_or("the first that the server names");
    let rows = [
        ("name", name.to_owned()),
        ("server", format!("{} (no file here)", server.address)),
        ("model there", id.to_owned()),
        ("asked as", server.api.key().to_owned()),
        ("key", key_in_words(server.key.as_ref())),
    ];
    let lines = rows.map(|(name, value)| format!("{name:<13} {value}"));
    super::print(&crate::sanitize::for_copy(&lines.join("\n")));
}

/// Where the key is found, and whether there is one; never the key.
fn key_in_words(key: Option<&Key>) -> String {
    match key {
        None => "none".to_owned(),
        Some(Key::Env(name)) if std::env::var_os(name).is_some() => format!("in ${name}"),
        Some(Key::Env(name)) => format!("in ${name}, which is not set"),
        Some(Key::File(path)) if at_home(path).is_file() => format!("in {}", path.display()),
        Some(Key::File(path)) => format!("in {}, which is not there", path.display()),
    }
}

fn server_json(server: &Server) -> serde_json::Value {
    let key = server.key.as_ref().map(|key| match key {
        Key::Env(name) => json!({ "env": name }),
        Key::File(path) => json!({ "file": path }),
    });
    json!({ "address": server.address, "id": server.id, "api": server.api.key(), "key": key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_a_file_does_not_tell_is_unknown() {
        assert_eq!([trained(0), trained(2048)], ["unknown", "2048 tokens"]);
    }
}
