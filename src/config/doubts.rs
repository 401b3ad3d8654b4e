//! What a user has written that does nothing as the rest is, or spoils every reply: each with its line.
//!
//! Invariant: only what stands in the file and differs from the built-in value is told, and only where no preset and no
//! model gives it a meaning.

use toml::de::{DeTable, DeValue};

use super::document::position;
use super::{Config, Warning};
use crate::chat::ChatSettings;
use crate::model_entry::{LoadParams, ModelEntry, RopeScaling};
use crate::sampling::{SAMPLING_KEYS, Sampling};

const LOCKED: &str = "holds the whole model in memory, which larger_than_memory is there to do without";
const COPIED: &str = "copies the whole model into memory, which larger_than_memory is there to do without";
const DRAFTS_ITSELF: &str =
    "is the model itself, which gains nothing: a smaller one of the same vocabulary is meant";

/// What is in doubt in a file of that name and text, which is in force.
pub(super) fn warnings(config: &Config, file: Option<&(String, String)>) -> Vec<Warning> {
    let Some((name, text)) = file else { return Vec::new() };
    let Ok(document) = DeTable::parse(text) else { return Vec::new() };
    let mut found = Found { name, text, warnings: Vec::new() };
    let top = document.get_ref();
    let of_entry = |entry: &ModelEntry| config.sampling_for(entry, &ChatSettings::default());
    if let Some(table) = inside(top, "sampling") {
        let presets = config.presets.values().map(|preset| {
            let mut sampling = config.sampling.clone();
            preset.apply(&mut sampling);
            sampling
        });
        let uses: Vec<Sampling> = presets.chain(config.models.iter().map(of_entry)).collect();
        found.sampling("sampling", table, &config.sampling, &uses);
    }
    for (preset, overrides) in &config.presets {
        let Some(table) = inside(top, "presets").and_then(|presets| inside(presets, preset)) else {
            continue;
        };
        let mut sampling = config.sampling.clone();
        overrides.apply(&mut sampling);
        let users = config.models.iter().filter(|model| model.preset.as_ref() == Some(preset));
        found.sampling(
            &format!("presets.{preset}"),
            table,
            &sampling,
            &users.map(of_entry).collect::<Vec<_>>(),
        );
    }
    if let Some(table) = inside(top, "engine") {
        found.memory("engine", table, &config.engine.load);
    }
    if let Some(table) = inside(top, "engine").and_then(|engine| inside(engine, "rope")) {
        found.rope("engine.rope", table, &config.engine.load.rope);
    }
    for (entry, table) in entries(config, top) {
        if let Some(table) = inside(table, "sampling") {
            found.sampling("models.sampling", table, &of_entry(entry), &[]);
        }
        if let Some(table) = inside(table, "load") {
            found.memory("models.load", table, &config.load_params_for(entry));
        }
        let rope = inside(table, "load").and_then(|load| inside(load, "rope"));
        if let Some(table) = rope {
            found.rope("models.load.rope", table, &config.load_params_for(entry).rope);
        }
        if entry
            .draft_model
            .as_ref()
            .is_some_and(|draft| draft.name == entry.name || draft.source == entry.source)
        {
            found.tell("models.draft_model".into(), start(table, "draft_model"), DRAFTS_ITSELF);
        }
    }
    found.warnings.sort_by_key(|warning| warning.line);
    found.warnings
}

/// What was found so far.
struct Found<'a> {
    name: &'a str,
    text: &'a str,
    warnings: Vec<Warning>,
}

impl Found<'_> {
    fn tell(&mut self, key: String, at: Option<usize>, message: &str) {
        let line = at.map_or(0, |at| position(self.text, at).0);
        self.warnings.push(Warning { file: self.name.to_owned(), line, key, message: message.to_owned() });
    }

    /// Sampler settings under `path`, what they come to there, and where else they count.
    fn sampling(&mut self, path: &str, table: &DeTable<'_>, sampling: &Sampling, uses: &[Sampling]) {
        let mut told: Vec<&str> = Vec::new();
        // Of two settings with one fault between them, the later one stands for both.
        for key in SAMPLING_KEYS.iter().rev().filter(|key| table.contains_key(**key)) {
            let Some(why) =
                sampling.misfit(key).filter(|_| value(sampling, key) != value(&Sampling::default(), key))
            else {
                continue;
            };
            let means_something =
                |other: &Sampling| value(other, key) == value(sampling, key) && other.misfit(key).is_none();
            let names_its_stage = !why.starts_with("does nothing");
            if uses.iter().any(means_something) || (names_its_stage && told.contains(&why)) {
                continue;
            }
            told.push(why);
            self.tell(format!("{path}.{key}"), start(table, key), why);
        }
    }

    /// How a model that is larger than the memory may be read: from the disk, as it is wanted.
    fn memory(&mut self, path: &str, table: &DeTable<'_>, params: &LoadParams) {
        let wrong = [("mlock", params.mlock, LOCKED), ("mmap", !params.mmap, COPIED)];
        for (key, wrong, why) in wrong {
            let stands = table.contains_key(key) || table.contains_key("larger_than_memory");
            if params.larger_than_memory && wrong && stands {
                let at = start(table, key).or_else(|| start(table, "larger_than_memory"));
                self.tell(format!("{path}.{key}"), at, why);
            }
        }
    }

    fn rope(&mut self, path: &str, table: &DeTable<'_>, rope: &RopeScaling) {
        if let Some((key, why)) = rope.doubt() {
            let at = start(table, key).or_else(|| start(table, "method"));
            self.tell(path.to_owned(), at, why);
        }
    }
}

fn value(sampling: &Sampling, key: &str) -> Option<serde_json::Value> {
    serde_json::to_value(sampling).ok()?.get_mut(key).map(serde_json::Value::take)
}

fn inside<'t, 'a>(table: &'a DeTable<'t>, key: &str) -> Option<&'a DeTable<'t>> {
    table.get(key)?.get_ref().as_table()
}

/// Where a key begins, in bytes of the file.
fn start(table: &DeTable<'_>, key: &str) -> Option<usize> {
    table.keys().find(|other| other.get_ref() == key).map(|key| key.span().start)
}

/// The models of the file that are in the list, with their tables.
fn entries<'c, 't, 'a>(
    config: &'c Config,
    top: &'a DeTable<'t>,
) -> impl Iterator<Item = (&'c ModelEntry, &'a DeTable<'t>)> {
    let list = top.get("models").and_then(|models| models.get_ref().as_array()).map_or(&[][..], |list| list);
    let tables = list.iter().filter_map(|item| match item.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    });
    tables.filter_map(|table| {
        let name = table.get("name")?.get_ref().as_str()?;
        Some((config.models.iter().find(|model| model.name == name)?, table))
    })
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, load};

    fn check(text: &str, expected: &[&str]) {
        let file = Some(("config.toml".to_owned(), text.to_owned()));
        let (_, warnings) = load(&Sources { file, ..Sources::default() });
        let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn settings_that_do_nothing_together_are_told_with_their_lines() {
        check(
            "[sampling]\ndynatemp_exponent = 2.0\ndry_base = 2.0\nmirostat_tau = 3.0\nxtc_threshold = 0.2\n",
            &[
                "config.toml:2: sampling.dynatemp_exponent: does nothing while dynatemp_range is 0",
                "config.toml:3: sampling.dry_base: does nothing while dry_multiplier is 0",
                "config.toml:4: sampling.mirostat_tau: does nothing while mirostat is 0",
                "config.toml:5: sampling.xtc_threshold: does nothing while xtc_probability is 0",
            ],
        );
        check(
            "sampling.mirostat = 2\nsampling.top_k = 20\n",
            &[
                "config.toml:2: sampling.top_k: does nothing under mirostat, which replaces every cutting stage",
            ],
        );
        // A default that stands in the file is nobody's wish.
        check("[sampling]\nmirostat = 2\ntop_k = 40\ndry_base = 1.75\npenalty_last_n = 64\n", &[]);
        check("[sampling]\ntemperature = 0.0\nseed = 7\ntop_k = 20\n", &[]);
    }

    #[test]
    fn what_spoils_every_reply_names_what_was_meant() {
        check(
            "[sampling]\ntemperature = 80.0\ntop_p = 0.0\nrepeat_penalty = 0.1\n",
            &[
                "config.toml:2: sampling.temperature: makes all tokens nearly equally likely; if percent were meant, 80 is 0.8",
                "config.toml:3: sampling.top_p: 0 leaves the likeliest token alone; 1 is off",
                "config.toml:4: sampling.repeat_penalty: below 1 rewards every repetition; 1 is off, 1.1 is usual",
            ],
        );
    }

    #[test]
    fn a_blank_as_a_stop_text_is_told() {
        check(
            "[sampling]\nstop = [\" \"]\n",
            &["config.toml:2: sampling.stop: a blank ends every reply behind its first word"],
        );
    }

    #[test]
    fn a_preset_or_a_model_can_give_a_setting_its_meaning() {
        let shared = "[sampling]\ndry_base = 2.0\n";
        check(&format!("{shared}[presets.loud]\ndry_multiplier = 0.8\n"), &[]);
        let model = "[[models]]\nname = \"a\"\npath = \"a.gguf\"\n";
        check(&format!("model = \"a\"\n{shared}{model}sampling.dry_multiplier = 0.8\n"), &[]);
        check(
            &format!("model = \"a\"\n{model}sampling.dry_base = 2.0\nload.rope.scale = 4.0\n"),
            &[
                "config.toml:5: models.sampling.dry_base: does nothing while dry_multiplier is 0",
                "config.toml:6: models.load.rope: the scale is 1 / factor: above 1 it shortens the context; 4 times as long is 0.25",
            ],
        );
        check(
            "[presets.odd]\nxtc_probability = 0.5\nxtc_threshold = 0.6\n[presets.even]\nxtc_probability = 0.5\n",
            &[
                "config.toml:3: presets.odd.xtc_threshold: XTC does nothing above one half: no two tokens can both be likelier",
            ],
        );
        // A preset that puts another value in its place gives no meaning to this one.
        check(
            "[sampling]\ntemperature = 80.0\n[presets.calm]\ntemperature = 0.2\n",
            &[
                "config.toml:2: sampling.temperature: makes all tokens nearly equally likely; if percent were meant, 80 is 0.8",
            ],
        );
    }

    #[test]
    fn a_model_larger_than_memory_cannot_be_held_in_it() {
        let held = "holds the whole model in memory, which larger_than_memory is there to do without";
        let copied = "copies the whole model into memory, which larger_than_memory is there to do without";
        check(
            "[engine]\nlarger_than_memory = true\nmlock = true\nmmap = false\n",
            &[
                &format!("config.toml:3: engine.mlock: {held}"),
                &format!("config.toml:4: engine.mmap: {copied}"),
            ],
        );
        let model = "model = \"a\"\n[[models]]\nname = \"a\"\npath = \"a.gguf\"\n";
        check(
            &format!("{model}load.larger_than_memory = true\n[engine]\nmlock = true\n"),
            &[&format!("config.toml:5: models.load.mlock: {held}")],
        );
        check("[engine]\nmlock = true\n", &[]);
        check("[engine]\nlarger_than_memory = true\n", &[]);
    }

    #[test]
    fn a_model_that_drafts_for_itself_is_told() {
        let model = "model = \"a\"\n[[models]]\nname = \"a\"\npath = \"a.gguf\"\n";
        let other = "[[models]]\nname = \"b\"\npath = \"b.gguf\"\n";
        let said = "config.toml:5: models.draft_model: is the model itself, which gains nothing: a smaller one of the same \
                    vocabulary is meant";
        check(&format!("{model}draft_model = \"a\"\n"), &[said]);
        check(&format!("{model}draft_model = \"a.gguf\"\n"), &[said]);
        check(&format!("{model}draft_model = \"b\"\n{other}"), &[]);
    }

    #[test]
    fn positions_that_are_not_stretched_or_beyond_reading_are_told() {
        let check = |rope: &str, begins: &str| {
            let file = Some(("config.toml".to_owned(), format!("[engine.rope]\n{rope}\n")));
            let (_, warnings) = load(&Sources { file, ..Sources::default() });
            let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            match begins {
                "" => assert!(said.is_empty(), "{rope}: {said:?}"),
                _ => assert!(said.len() == 1 && said[0].starts_with(begins), "{rope}: {said:?}"),
            }
        };
        check("method = \"linear\"\nscale = 4.0", "config.toml:3: engine.rope: the scale is 1 / factor");
        check("method = \"yarn\"", "config.toml:2: engine.rope: a method without a scale");
        check("method = \"linear\"", "config.toml:2: engine.rope: a method without a scale");
        check(
            "method = \"linear\"\nscale = 1.0",
            "config.toml:3: engine.rope: a scale of 1 stretches nothing",
        );
        check("scale = 0.001", "config.toml:2: engine.rope: no model reads a context stretched");
        check("base = 4.0", "config.toml:2: engine.rope: the base is a number");
        check("method = \"none\"\nscale = 0.5", "config.toml:3: engine.rope: with the method \"none\"");
        check("method = \"linear\"\nscale = 0.25", "");
        check("base = 1000000.0", "");
        check("method = \"none\"", "");
    }
}
