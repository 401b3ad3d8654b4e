//! Every setting as the overlay lists it: its section, its name there, how far an arrow moves it, what it can be.
//!
//! Invariant: each key of the configuration's `sampling`, `ui`, `inspector` and `engine` is listed once, in
//! the configuration's order within its section.

use crate::app::App;
use crate::sampling::setting;

/// The sections, in the order of the overlay.
const SECTIONS: [&str; 5] = ["Sampling", "Look", "Inspector", "Engine", "More sampling"];

/// How a number is changed by the arrows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// How far one press moves it.
    pub step: f64,
    /// The least it can be.
    pub least: f64,
    /// The most it can be.
    pub most: f64,
    /// The ends of its slider, where a slider says something; values outside stand at the ends.
    pub slider: Option<(f64, f64)>,
}

/// The keys of all settings, dotted, in the order of the overlay.
pub fn keys(app: &App) -> Vec<String> {
    let tables = [
        ("sampling", super::json(&app.config.sampling)),
        ("ui", super::json(&app.config.ui)),
        ("inspector", super::json(&app.config.inspector)),
        ("engine", super::json(&app.config.engine)),
    ];
    let mut all = Vec::new();
    for (table, values) in tables {
        if let serde_json::Value::Object(fields) = values {
            all.extend(fields.keys().map(|key| format!("{table}.{key}")));
        }
    }
    all.sort_by_key(|key| SECTIONS.iter().position(|name| *name == section(key)));
    all
}

/// The section of a dotted key.
pub fn section(key: &str) -> &'static str {
    match key.split_once('.') {
        Some(("sampling", name)) if setting(name).is_some_and(|setting| setting.about.is_first) => {
            SECTIONS[0]
        }
        Some(("ui", _)) => SECTIONS[1],
        Some(("inspector", _)) => SECTIONS[2],
        Some(("engine", _)) => SECTIONS[3],
        _ => SECTIONS[4],
    }
}

/// The name of a dotted key as people read it, e.g. `top-k`.
pub fn label(key: &str) -> String {
    match key.split_once('.') {
        Some(("ui", "color")) => "colours".into(),
        Some(("sampling", name)) => name.replace('_', "-"),
        Some((_, name)) => name.replace('_', " "),
        None => key.into(),
    }
}

/// The names that a setting can have, if it is one of a few.
pub fn choices(key: &str) -> &'static [&'static str] {
    match key {
        "ui.color" => &["auto", "truecolor", "256", "16", "none"],
        "ui.symbols" => &["auto", "full", "plain", "ascii"],
        "ui.markdown" => &["replies", "all", "off"],
        "ui.motion" => &["auto", "full", "reduced"],
        "ui.notify" => &["none", "title", "bell", "osc9"],
        "engine.overflow" => &["drop-oldest", "stop"],
        "engine.flash_attention" => &["auto", "on", "off"],
        "engine.speculative" => &["off", "prompt", "mtp"],
        "engine.cache_type_k" | "engine.cache_type_v" => &["f32", "f16", "bf16", "q8_0", "q5_1", "q4_0"],
        _ => &[],
    }
}

/// How a setting that is a number is changed; `None` for all others.
pub fn range(key: &str) -> Option<Range> {
    let range = |step, least, most| Range { step, least, most, slider: None };
    let slider = |step, least, most, ends| Range { slider: Some(ends), ..range(step, least, most) };
    if let Some(setting) = key.strip_prefix("sampling.").and_then(setting) {
        let (step, least, most) = setting.about.range?;
        return Some(Range { slider: setting.about.slider, ..range(step, least, most) });
    }
    Some(match key {
        "ui.frame_rate" => slider(5.0, 1.0, 60.0, (1.0, 60.0)),
        "inspector.candidates" => slider(5.0, 1.0, 100.0, (1.0, 100.0)),
        "inspector.live_budget" => slider(0.05, 0.0, 1.0, (0.0, 1.0)),
        "inspector.refresh_ms" => range(50.0, 16.0, 10_000.0),
        "inspector.look_ahead_width" => range(1.0, 1.0, 8.0),
        "inspector.look_ahead_depth" => range(1.0, 1.0, 16.0),
        "inspector.uncertain_bits" => slider(0.5, 0.0, 64.0, (0.0, 16.0)),
        "engine.context" => range(1024.0, 16.0, 1e8),
        "engine.batch" => range(128.0, 1.0, 65_536.0),
        "engine.gpu_layers" => range(1.0, 0.0, 1e6),
        "engine.threads" => range(1.0, 1.0, 1024.0),
        "engine.unload_after_minutes" => range(5.0, 0.0, 1e6),
        "engine.snapshot_mib" => range(1024.0, 0.0, 1e8),
        _ => return None,
    })
}

/// What stands beside a setting in few words; empty where nothing is to be said.
pub fn note(key: &str) -> &'static str {
    match key {
        "ui.mouse" => "off: the terminal can select text",
        "ui.markdown" => "messages laid out as Markdown",
        "ui.wrap_code" => "off: < and > scroll long lines of code",
        "ui.motion" => "reduced: replies in steps, a still cursor",
        "ui.links" => "links can be clicked, where the terminal knows how",
        "ui.chats" => "the list of chats at start",
        "ui.inspector" => "the inspector at start",
        "ui.frame_rate" => "frames a second at most",
        "inspector.candidates" => "kept of each token",
        "inspector.refresh_ms" => "ms between two lists",
        "inspector.live_budget" => "of decoding time, for looking inside",
        "inspector.uncertain_bits" => "bits of surprise",
        "inspector.watch" => "tokens always shown",
        "inspector.captions" => "stations in plain words",
        "engine.context" => "tokens; at the next load",
        "engine.gpu_layers"
        | "engine.threads"
        | "engine.batch"
        | "engine.mmap"
        | "engine.mlock"
        | "engine.larger_than_memory"
        | "engine.rope" => "at the next load",
        "engine.speculative" => "prompt: what is quoted comes at once; mtp: more, where the file can guess",
        "engine.unload_after_minutes" => "0 is never",
        "engine.snapshot_mib" => "on disk, of chats that were read; 0 keeps nothing",
        "engine.reproducible" => "the same seed, the same reply; at the next load",
        "engine.contain" => "its process gives up what it does not need; at the next load",
        _ => key.strip_prefix("sampling.").and_then(setting).map_or("", |setting| setting.about.note),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_people_read() {
        let check = |key: &str, expected: &str| assert_eq!(label(key), expected);
        check("sampling.top_k", "top-k");
        check("ui.color", "colours");
        check("inspector.refresh_ms", "refresh ms");
    }

    #[test]
    fn sliders_lie_inside_what_is_allowed() {
        let keymap = crate::config::keymap::Keymap::defaults();
        let (app, _) = App::new(crate::config::Config::default(), keymap, 1, (80, 24));
        for key in keys(&app) {
            let Some(Range { least, most, slider: Some((from, to)), .. }) = range(&key) else { continue };
            assert!(least <= from && from < to && to <= most, "{key}");
        }
    }

    #[test]
    fn every_number_has_a_range() {
        let keymap = crate::config::keymap::Keymap::defaults();
        let (app, _) = App::new(crate::config::Config::default(), keymap, 1, (80, 24));
        let number = |key: &str| {
            let (table, name) = key.split_once('.').unwrap();
            let config = super::super::json(&app.config);
            config[table].get(name).is_some_and(serde_json::Value::is_number)
        };
        let without: Vec<String> =
            keys(&app).into_iter().filter(|key| number(key) && range(key).is_none()).collect();
        assert!(without.is_empty(), "numbers that may be anything: {without:?}");
    }
}
