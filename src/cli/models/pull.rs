//! `models pull` of what has no entry yet: a repository of the hub, with a choice of its files, or an address.
//!
//! Invariant: what is fetched this way has an entry in the configuration first, so that it can be named, gone on with
//! and removed like every other model.

use anyhow::anyhow;

use crate::cli::setup::Setup;
use crate::config;
use crate::model_entry::{ModelEntry, Source};
use crate::models::hub;

/// An entry for what is named, put into the configuration; `None` where it is the name of a model.
///
/// # Errors
/// When the repository cannot be read, several files are there and none was chosen, the entry cannot be written, or what it
/// is to be called is the name of another model.
pub(super) async fn new_entry(
    setup: &Setup,
    name: &str,
    called: Option<&str>,
) -> anyhow::Result<Option<ModelEntry>> {
    let models = &setup.config.models;
    if called.is_none() && models.iter().any(|entry| entry.name == name) {
        return Ok(None);
    }
    let entry = if name.starts_with("https://") || name.starts_with("http://") {
        #[cfg(feature = "remote")]
        crate::models::fetch::plain_addresses(name)
            .map_err(|why| anyhow!("this cannot be fetched: {why}"))?;
        let path = name.split(['?', '#']).next().unwrap_or_default();
        Some(hub::named(Source::Url(name.to_owned()), path, models))
    } else {
        from_hub(setup, name).await?
    };
    let entry = match called {
        Some(called) => Some(renamed(setup, entry, name, called)?),
        None => entry,
    };
    entry.map(|entry| add(setup, entry)).transpose()
}

/// The entry under another name: the one that has it already, if that is of the same source.
fn renamed(setup: &Setup, entry: Option<ModelEntry>, name: &str, called: &str) -> anyhow::Result<ModelEntry> {
    let entry = entry.ok_or_else(|| {
        anyhow!("--as gives a name to owner/repo:FILE or to an address, and {name} is neither")
    })?;
    match setup.config.models.iter().find(|other| other.name == called) {
        Some(there) if there.source == entry.source => Ok(there.clone()),
        Some(_) => Err(anyhow!("{called} is the name of another model in the configuration")),
        None => Ok(ModelEntry { name: called.to_owned(), ..entry }),
    }
}

#[cfg(not(feature = "remote"))]
#[allow(clippy::unused_async)] // as its other form
async fn from_hub(_: &Setup, _: &str) -> anyhow::Result<Option<ModelEntry>> {
    Ok(None)
}

#[cfg(feature = "remote")]
async fn from_hub(setup: &Setup, name: &str) -> anyhow::Result<Option<ModelEntry>> {
    use crate::models::fetch::Remote;
    let Some((repository, file)) = hub::address(name).filter(|_| !std::path::Path::new(name).exists()) else {
        return Ok(None);
    };
    let offer = hub::Offer::of(hub::repository(&Remote::from_env(), repository).await?);
    let files = &offer.repository.files;
    let file = match file {
        Some(file) => files
            .iter()
            .find(|other| other.path == file)
            .ok_or_else(|| anyhow!("{repository} has no file {file}. It has:\n{}", listed(&offer)))?,
        None if files.len() == 1 => &files[0],
        None => &files[chosen(&offer)?],
    };
    Ok(Some(offer.entry(file, &setup.config.models)))
}

/// The files as a table: size, quantisation, whether it fits, how fast it would be.
#[cfg(feature = "remote")]
fn listed(offer: &hub::Offer) -> String {
    let recommended = offer.recommended();
    let row = |(index, file): (usize, &hub::HubFile)| {
        let fits = match offer.fits(file) {
            Some(false) => "too large",
            Some(true) => "fits",
            None => "",
        };
        let mark = if recommended == Some(index) { "  suits this machine" } else { "" };
        format!(
            "{:>3}  {:<8} {:>9}  {fits:<9} {:>10} tokens/s  {}{mark}",
            index + 1,
            file.quantisation(),
            super::mib(file.bytes),
            offer.speed_in_words(file),
            file.path
        )
    };
    let rows: Vec<String> = offer.repository.files.iter().enumerate().map(row).collect();
    crate::sanitize::for_copy(&rows.join("\n"))
}

/// Asks which of several files; without a terminal that is an error that lists them.
#[cfg(feature = "remote")]
fn chosen(offer: &hub::Offer) -> anyhow::Result<usize> {
    use std::io::{BufRead as _, Write as _};
    let (recommended, found) = (offer.recommended(), &offer.repository);
    let example = &found.files[recommended.unwrap_or(0)].path;
    if !crate::cli::has_terminal() {
        anyhow::bail!(
            "{} has several files; name one, such as: glassbox models pull {}:{example}\n{}",
            found.name,
            found.name,
            listed(offer)
        );
    }
    let licence = found.licence.as_deref().unwrap_or("not stated");
    let mut out = std::io::stderr().lock();
    writeln!(out, "{}, licence {}\n{}", found.name, crate::sanitize::for_display(licence), listed(offer))?;
    let offered = recommended.map_or_else(String::new, |index| format!(" [{}]", index + 1));
    write!(out, "Which file?{offered} ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let number = match (answer.trim(), recommended) {
        ("", Some(index)) => index + 1,
        (answer, _) => answer.parse().unwrap_or(0),
    };
    let index = number.checked_sub(1).filter(|index| *index < found.files.len());
    index.ok_or_else(|| anyhow!("nothing was fetched: {:?} is none of these files", answer.trim()))
}

/// Puts an entry into the configuration file, unless it is there.
fn add(setup: &Setup, entry: ModelEntry) -> anyhow::Result<ModelEntry> {
    if setup.config.models.contains(&entry) {
        return Ok(entry);
    }
    let file = &setup.config_file;
    config::add_model_to(file, &entry).map_err(|problem| anyhow!(problem))?;
    crate::cli::note(&format!("{} is in {} from now on", entry.name, file.display()));
    Ok(entry)
}
