//! The name that was meant: of those that exist, the one nearest to what was written; a key of another section, or one
//! that other programs call so.
//!
//! Invariant: a name that is far from all others has no nearest one.

use super::Config;

/// `, did you mean "x"?` for the candidate nearest to `name`, or nothing if none is near.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!(" (did you mean \"{near}\"?)"))
}

/// The candidate nearest to `name`: one that it abbreviates, else the one nearest by edits, counting a swap of
/// neighbours as one.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted: String = plain(name).chars().take(80).collect();
    let allowed = 1 + wanted.chars().count() / 4;
    candidates
        .filter_map(|candidate| {
            let other = plain(candidate);
            let distance = strsim::damerau_levenshtein(&wanted, &other);
            let abbreviates = wanted.len() >= 3 && other.starts_with(&wanted);
            (distance <= allowed || abbreviates).then_some((!abbreviates, distance, candidate))
        })
        .min_by_key(|(other, distance, _)| (*other, *distance))
        .map(|(.., candidate)| candidate)
}

/// The same, else one that the name begins, however short it is.
pub(crate) fn nearest_or_begun<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.collect();
    let begun = || candidates.iter().copied().find(|candidate| !name.is_empty() && begins(candidate, name));
    nearest(name, candidates.iter().copied()).or_else(begun)
}

/// Whether a text begins so, in whatever case.
pub(crate) fn begins(text: &str, beginning: &str) -> bool {
    let mut rest = text.chars().flat_map(char::to_lowercase);
    beginning.chars().flat_map(char::to_lowercase).all(|wanted| rest.next() == Some(wanted))
}

/// What llama.cpp, Ollama and others call a setting, and its name here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("ctx", "context"),
    ("ctx_size", "context"),
    ("flash_attn", "flash_attention"),
    ("n_batch", "batch"),
    ("n_ctx", "context"),
    ("n_gpu_layers", "gpu_layers"),
    ("n_predict", "max_tokens"),
    ("n_threads", "threads"),
    ("ngl", "gpu_layers"),
    ("num_ctx", "context"),
    ("num_predict", "max_tokens"),
    ("repetition_penalty", "repeat_penalty"),
    ("sampler", "sampling"),
    ("temp", "temperature"),
];

/// What a setting is called here that has this name elsewhere.
pub(super) fn called_here(name: &str) -> Option<&'static str> {
    let plain = name.to_lowercase().replace('-', "_");
    ELSEWHERE.into_iter().find(|(other, _)| *other == plain).map(|(_, here)| here)
}

/// [`did_you_mean`] for a key of the table `path` that has the keys `known`: one of them, or one of another table.
pub(super) fn key_meant(path: &str, name: &str, known: &[&str]) -> String {
    let meant = called_here(name).unwrap_or(name);
    if meant != name && known.contains(&meant) {
        return format!(" (did you mean \"{meant}\"?)");
    }
    match section(path, meant, known) {
        Some(section) => format!(" (did you mean \"{meant}\" under [{section}]?)"),
        None => did_you_mean(name, known.iter().copied()),
    }
}

/// The table that a key belongs into, seen from another: at the top from those that are there, in a model's entry from
/// its own.
fn section(path: &str, key: &str, known: &[&str]) -> Option<&'static str> {
    let all = serde_json::to_value(Config::default()).ok()?;
    let has = |section: &str| all[section].get(key).is_some();
    match path.split('.').next()? {
        "" => ["engine", "sampling", "ui", "inspector"]
            .into_iter()
            .find(|section| known.contains(section) && has(section)),
        "engine" | "sampling" | "ui" | "inspector" => ["engine", "sampling", "ui", "inspector"]
            .into_iter()
            .find(|section| *section != path && has(section)),
        "models" => [("load", "models.load"), ("sampling", "models.sampling")]
            .into_iter()
            .find(|(own, table)| *table != path && has(if *own == "load" { "engine" } else { own }))
            .map(|(_, table)| table),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn what_a_name_abbreviates_is_nearer_than_what_is_spelt_alike() {
        let near = |name, candidates: &[&'static str]| nearest(name, candidates.iter().copied());
        assert_eq!(near("drop", &["drop-oldest", "stop"]), Some("drop-oldest"));
        assert_eq!(near("stp", &["drop-oldest", "stop"]), Some("stop"));
        assert_eq!(near("model_", &["models", "model_folders"]), Some("model_folders"));
        assert_eq!(near("on", &["auto", "on", "off"]), Some("on"));
        assert_eq!(near("elephant", &["drop-oldest", "stop"]), None);
    }

    fn check(text: &str, expected: &str) {
        let file = Some(("config.toml".to_owned(), text.to_owned()));
        let (_, warnings) = load(&Sources { file, ..Sources::default() });
        let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert!(said.len() == 1 && said[0].contains(expected), "{text}: {said:?}");
    }

    #[test]
    fn a_key_in_the_wrong_place_or_of_another_program_is_told_its_own() {
        for (text, expected) in [
            ("[sampler]\ntemperature = 1.0\n", "(did you mean \"sampling\"?)"),
            ("temperature = 0.5\n", "(did you mean \"temperature\" under [sampling]?)"),
            ("top_p = 0.5\n", "(did you mean \"top_p\" under [sampling]?)"),
            ("context = 4096\n", "(did you mean \"context\" under [engine]?)"),
            ("threads = 4\n", "(did you mean \"threads\" under [engine]?)"),
            ("theme = \"dark\"\n", "(did you mean \"theme\" under [ui]?)"),
            ("n_ctx = 4096\n", "(did you mean \"context\" under [engine]?)"),
            ("[sampling]\nn_predict = 100\n", "(did you mean \"max_tokens\"?)"),
            ("[engine]\nn_predict = 100\n", "(did you mean \"max_tokens\" under [sampling]?)"),
            ("[engine]\nctx = 4096\n", "(did you mean \"context\"?)"),
            ("[engine]\nctx-size = 4096\n", "(did you mean \"context\"?)"),
            ("[engine]\nngl = 99\n", "(did you mean \"gpu_layers\"?)"),
            ("[engine]\nn_gpu_layers = 99\n", "(did you mean \"gpu_layers\"?)"),
            ("[engine]\nflash_attn = true\n", "(did you mean \"flash_attention\"?)"),
            ("[engine]\noverflow = \"drop\"\n", "(did you mean \"drop-oldest\"?)"),
            (
                "[[models]]\nname = \"a\"\npath = \"a.gguf\"\ncontext = 64\n",
                "\"context\" under [models.load]?",
            ),
            (
                "[[models]]\nname = \"a\"\npath = \"a.gguf\"\ntop_k = 4\n",
                "\"top_k\" under [models.sampling]?",
            ),
            ("[[models]]\nname = \"a\"\npath = \"a.gguf\"\nload.ngl = 4\n", "(did you mean \"gpu_layers\"?)"),
            ("[[model]]\nname = \"a\"\npath = \"a.gguf\"\n", "under [[models]]"),
        ] {
            let model = if text.contains("[[models]]") { "model = \"a\"\n" } else { "" };
            check(&format!("{model}{text}"), expected);
        }
    }
}
