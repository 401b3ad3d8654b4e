//! What a configuration asks for that does not fit this machine, or the files of its models.
//!
//! Invariant: nothing is loaded; of a model only the header is read, and only where its file is here.

use crate::cli::setup::Setup;
use crate::config::{Lines, Warning};
use crate::model_entry::{LoadParams, ModelEntry, ModelFacts, RopeMethod};

/// What does not fit, by the configuration's text.
pub fn warnings(setup: &Setup, text: &str) -> Vec<Warning> {
    let lines = Lines::of(text);
    let cores = std::thread::available_parallelism().map_or(u32::MAX, |cores| cores.get() as u32);
    let config = &setup.config;
    let mut found = Vec::new();
    let mut tell = |line: usize, key: &str, message: String| {
        let file = setup.config_file.display().to_string();
        found.push(Warning { file, line, key: key.to_owned(), message });
    };
    if let Some(why) = too_many(config.engine.load.threads, cores) {
        tell(lines.key("engine.threads"), "engine.threads", why);
    }
    for entry in config.models.iter().filter(|entry| entry.engine.is_none() && entry.server().is_none()) {
        if let Some(why) = too_many(entry.load.threads, cores) {
            tell(lines.of_model(&entry.name, "load"), "models.load.threads", why);
        }
        let (own, used) = (entry.load.rope.is_some(), entry.name == config.model);
        // A scale for all models is held against the one that is used.
        if let Some(why) = (own || used).then(|| stretched(setup, entry)).flatten() {
            let of_engine = ("engine.rope", lines.key("engine.rope"));
            let of_entry = ("models.load.rope", lines.of_model(&entry.name, "load"));
            let (key, line) = if own { of_entry } else { of_engine };
            tell(line, key, why);
        }
    }
    found.sort_by_key(|warning| warning.line);
    found
}

fn too_many(threads: Option<u32>, cores: u32) -> Option<String> {
    let threads = threads.filter(|threads| *threads > cores)?;
    Some(format!("{threads} threads share this machine's {cores} cores and wait for each other"))
}

fn stretched(setup: &Setup, entry: &ModelEntry) -> Option<String> {
    let params = setup.config.load_params_for(entry);
    params.rope.scale?;
    let (_, facts) = setup.models().resolve(entry).ok()?;
    needless(&params, &facts).map(|why| format!("{why} (model \"{}\")", entry.name))
}

/// Whether positions are stretched for a context that the model was trained for anyway.
fn needless(params: &LoadParams, facts: &ModelFacts) -> Option<String> {
    let stretches =
        params.rope.scale.is_some_and(|scale| scale < 1.0) && params.rope.method != RopeMethod::None;
    let (context, trained) = (params.context, facts.context_length);
    (stretches && context > 0 && context <= trained).then(|| {
        format!(
            "the context asked for, {context} tokens, is within the {trained} that the model was trained for: positions \
             are stretched for nothing, and it reads worse; context = 0 asks for all that the scale gives"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::RopeScaling;

    #[test]
    fn more_threads_than_cores_wait_for_each_other() {
        assert_eq!([None, Some(1), Some(8)].map(|threads| too_many(threads, 8)), [None, None, None]);
        let said = "9 threads share this machine's 8 cores and wait for each other";
        assert_eq!(too_many(Some(9), 8).as_deref(), Some(said));
    }

    #[test]
    fn a_context_that_needs_no_stretching_is_told() {
        let facts = ModelFacts { context_length: 2048, ..ModelFacts::default() };
        let with = |context, method, scale| LoadParams {
            context,
            rope: RopeScaling { method, base: None, scale },
            ..LoadParams::default()
        };
        for (context, method, scale, told) in [
            (2048, RopeMethod::Linear, Some(0.25), true),
            (1024, RopeMethod::Yarn, Some(0.5), true),
            (1024, RopeMethod::Model, Some(0.5), true),
            (4096, RopeMethod::Linear, Some(0.25), false),
            (0, RopeMethod::Linear, Some(0.25), false),
            (1024, RopeMethod::None, Some(0.25), false),
            (1024, RopeMethod::Linear, None, false),
        ] {
            assert_eq!(
                needless(&with(context, method, scale), &facts).is_some(),
                told,
                "{context} {method:?}"
            );
        }
    }

    #[test]
    fn both_are_told_with_their_lines_when_a_configuration_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("m.gguf");
        std::fs::write(&model, crate::models::gguf::craft::Craft::new().bytes()).unwrap();
        let file = folder.path().join("config.toml");
        let text = format!(
            "model = \"m\"\n[engine]\nthreads = 1024\ncontext = 64\n[engine.rope]\nmethod = \"linear\"\nscale = 0.5\n\
             [[models]]\nname = \"m\"\npath = \"{}\"\n",
            model.display()
        );
        std::fs::write(&file, &text).unwrap();
        let setup = Setup::read(Some(&file), None, None).unwrap();
        let said: Vec<(usize, String)> =
            warnings(&setup, &text).into_iter().map(|warning| (warning.line, warning.key)).collect();
        assert_eq!(said, [(3, "engine.threads".to_owned()), (5, "engine.rope".to_owned())]);
    }
}
