//! The tables of the configuration, key by key: names, types and ranges.
//!
//! Invariant: every field of [`Config`] is read here or in `model_list`, under its own name; the example
//! file's test holds them together.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::DeValue;

use super::checks::{
    above, anything, at_least, between, every_stage_once, grammar, mirostat, no_empty_text, not_empty,
    probability,
};
use super::document::{Section, did_you_mean};
use super::setting::{Setting, integer, number};
use super::{Config, InspectorConfig, UiConfig, chord};
use crate::chat::TemplateValues;
use crate::command::{Renamed, TABLE};
use crate::model_entry::{LoadOverrides, LoadParams};
use crate::sampling::{LogitBias, Sampling, SamplingOverrides, sampling_table};

pub(super) fn engine(mut section: Section, config: &mut Config) {
    let overrides = load(&mut section, Some(&config.engine.load));
    config.engine.load = overrides.over(&config.engine.load);
    section.put("unload_after_minutes", &mut config.engine.unload_after_minutes, anything);
    section.put("contain", &mut config.engine.contain, anything);
    section.put("overflow", &mut config.engine.overflow, anything);
    section.put("snapshot_mib", &mut config.engine.load.snapshot_mib, anything);
    section.put("reproducible", &mut config.engine.load.reproducible, anything);
    section.finish();
}

pub(super) fn ui(mut section: Section, ui: &mut UiConfig) {
    section.put("theme", &mut ui.theme, not_empty);
    section.put("color", &mut ui.color, anything);
    section.put("symbols", &mut ui.symbols, anything);
    section.put("mouse", &mut ui.mouse, anything);
    section.put("chats", &mut ui.chats, anything);
    section.put("inspector", &mut ui.inspector, anything);
    section.put("notify", &mut ui.notify, anything);
    section.put("frame_rate", &mut ui.frame_rate, between(1, 60));
    section.put("markdown", &mut ui.markdown, anything);
    section.put("wrap_code", &mut ui.wrap_code, anything);
    section.put("motion", &mut ui.motion, anything);
    section.put("links", &mut ui.links, anything);
    section.finish();
}

pub(super) fn inspector(mut section: Section, inspector: &mut InspectorConfig) {
    section.put("candidates", &mut inspector.candidates, between(1, 100));
    section.put("refresh_ms", &mut inspector.refresh_ms, between(16, 10_000));
    section.put("live_budget", &mut inspector.live_budget, between(0.0, 1.0));
    section.put("uncertain_bits", &mut inspector.uncertain_bits, at_least(0.0));
    section.put("watch", &mut inspector.watch, no_empty_text);
    section.put("captions", &mut inspector.captions, anything);
    section.put("look_ahead_width", &mut inspector.look_ahead_width, between(1, 8));
    section.put("look_ahead_depth", &mut inspector.look_ahead_depth, between(1, 16));
    section.finish();
}

pub(super) fn presets(section: &mut Section, presets: &mut BTreeMap<String, SamplingOverrides>) {
    for (name, at, value) in section.entries() {
        let path = section.dotted(name);
        if let DeValue::Table(table) = value.get_ref() {
            let mut preset = Section::new(table, &path, section.report);
            let overrides = sampling(&mut preset, None);
            preset.finish();
            presets.entry(name.into()).or_default().merge(&overrides);
        } else {
            section.report.warn(at, &path, "must be a table of sampler settings; it is left out".into());
        }
    }
}

pub(super) fn keys(section: &mut Section, keys: &mut BTreeMap<String, Vec<String>>) {
    for (name, at, value) in section.entries() {
        let path = section.dotted(name);
        if let Some(renamed) = Renamed::of(name) {
            let message = format!("is called {} now; the old name still works", renamed.names());
            section.report.warn(at, &path, message);
        } else if !TABLE.iter().any(|entry| entry.name == name) {
            let hint = did_you_mean(name, TABLE.iter().map(|entry| entry.name));
            section.report.warn(at, &path, format!("no command has this name{hint}; it is left out"));
            continue;
        }
        let texts =
            String::read(value.get_ref()).map(|one| vec![one]).or_else(|_| Vec::read(value.get_ref()));
        let Ok(texts) = texts else {
            let message = "must be a list of keys such as [\"ctrl+r\"]; the command keeps its own";
            section.report.warn(at, &path, message.into());
            continue;
        };
        let problem = texts.iter().find_map(|text| chord::parse(text).err());
        if let Some(problem) = problem {
            section.report.warn(at, &path, format!("{problem}; the command keeps its own keys"));
        } else {
            keys.insert(name.into(), texts);
        }
    }
}

/// What is used instead of a wrong key: the value below, or in a layer that stands alone the other layers'.
fn instead<T: Setting>(below: Option<&T>) -> String {
    below.map_or_else(|| "it is left out".into(), |value| format!("{} is used", value.show()))
}

/// How a model is loaded, as in `[engine]` and `[models.load]`.
pub(super) fn load(section: &mut Section, below: Option<&LoadParams>) -> LoadOverrides {
    let mut out = LoadOverrides::default();
    macro_rules! key {
        ($name:ident, $check:expr) => {
            let otherwise = instead(below.map(|below| &below.$name));
            out.$name = section.take(stringify!($name), &otherwise, $check);
        };
    }
    key!(context, at_least(16));
    out.gpu_layers = section.take("gpu_layers", "all that fit go to the GPU", anything);
    out.threads = section.take("threads", "one a physical core is used", between(1, 1024));
    key!(batch, between(1, 65_536));
    key!(flash_attention, anything);
    key!(cache_type_k, anything);
    key!(cache_type_v, anything);
    key!(mmap, anything);
    key!(mlock, anything);
    key!(speculative, anything);
    key!(larger_than_memory, anything);
    if let Some(mut rope) = section.table("rope") {
        let mut scaling = below.map(|below| below.rope).unwrap_or_default();
        rope.put("method", &mut scaling.method, anything);
        scaling.base = rope.take("base", "the model's own is used", above(0.0)).or(scaling.base);
        scaling.scale = rope.take("scale", "the model's own is used", above(0.0)).or(scaling.scale);
        rope.finish();
        out.rope = Some(scaling);
    }
    out
}

/// Sampler settings, as in `[sampling]`, `[presets.NAME]` and `[models.sampling]`.
pub(super) fn sampling(section: &mut Section, below: Option<&Sampling>) -> SamplingOverrides {
    let mut out = SamplingOverrides::default();
    macro_rules! read {
        (@ $name:ident by hand) => {};
        (@ $name:ident $check:expr) => {
            let otherwise = instead(below.map(|below| &below.$name));
            out.$name = section.take(stringify!($name), &otherwise, $check);
        };
        ($( $(#[doc = $doc:literal])+ $(@ $missing:literal)? $name:ident : $ty:ty = $default:expr, [$($check:tt)+], $about:expr; )+) => {
            $( read!(@ $name $($check)+); )+
        };
    }
    sampling_table!(read);
    out.seed = section.take("seed", "a random seed is used", anything).map(Some);
    out.logit_bias = logit_bias(section);
    out
}

fn logit_bias(section: &mut Section) -> Option<Vec<LogitBias>> {
    let value = section.raw("logit_bias")?;
    let Some(items) = value.get_ref().as_array() else {
        section.refuse(
            "logit_bias",
            value,
            "must be a list of { text or id, bias or ban }",
            "it is left out",
        );
        return None;
    };
    let mut biases = Vec::new();
    for item in items {
        match one_bias(item) {
            Ok(bias) => biases.push(bias),
            Err(problem) => section.refuse("logit_bias", item, problem, "this entry is left out"),
        }
    }
    Some(biases)
}

fn one_bias(item: &Spanned<DeValue>) -> Result<LogitBias, &'static str> {
    const SHAPE: &str = "an entry must be like { text = \"…\", bias = -5.0 } or { id = 12, ban = true }";
    let table = item.get_ref().as_table().ok_or(SHAPE)?;
    if table.keys().any(|key| !matches!(key.get_ref().as_ref(), "text" | "id" | "bias" | "ban")) {
        return Err(SHAPE);
    }
    let get = |key: &str| table.get(key).map(Spanned::get_ref);
    let (text, id) = match (get("text"), get("id")) {
        (Some(text), None) => (Some(text.as_str().filter(|text| !text.is_empty()).ok_or(SHAPE)?), None),
        (None, Some(id)) => {
            let id = integer(id).and_then(|id| i32::try_from(id).ok()).filter(|id| *id >= 0);
            (None, Some(id.ok_or("the id of an entry must be a token's number")?))
        }
        _ => return Err("an entry must have either text or id"),
    };
    let bias = match (get("bias"), get("ban")) {
        (None, Some(DeValue::Boolean(true))) => f32::NEG_INFINITY,
        (Some(bias), None | Some(DeValue::Boolean(false))) => number(bias)
            .map(|bias| bias as f32)
            .filter(|bias| bias.is_finite() || *bias == f32::NEG_INFINITY)
            .ok_or("the bias of an entry must be a finite number")?,
        _ => return Err("an entry must have either bias or ban = true"),
    };
    Ok(LogitBias { text: text.map(String::from), id, bias })
}

/// Values for chat templates: names of the user's, any value but a date.
pub(super) fn template_values(section: &mut Section, values: &mut TemplateValues) {
    for (name, _, value) in section.entries() {
        match json(value.get_ref()) {
            Some(read) => {
                values.insert(name.into(), read);
            }
            None => section.refuse(
                name,
                value,
                "must be a text, number, truth value, list or table",
                "it is left out",
            ),
        }
    }
}

fn json(value: &DeValue) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => serde_json::Value::from(text.as_ref()),
        DeValue::Integer(_) => serde_json::Value::from(i64::try_from(integer(value)?).ok()?),
        DeValue::Float(_) => serde_json::Value::from(number(value)?),
        DeValue::Boolean(truth) => serde_json::Value::from(*truth),
        DeValue::Datetime(_) => return None,
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect::<Option<_>>()?,
        DeValue::Table(table) => {
            let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue>)| {
                Some((key.get_ref().to_string(), json(value.get_ref())?))
            };
            serde_json::Value::Object(table.iter().map(entry).collect::<Option<_>>()?)
        }
    })
}
