//! What a repository of the hub offers: its model files with size and checksum, its licence, and the sampler settings
//! that its makers recommend.
//!
//! Invariant: names and numbers of the hub are data to show; a file is fetched by the same way as every other model.

#[cfg(feature = "remote")]
use serde_json::Value;

#[cfg(feature = "remote")]
use super::fetch::{FetchError, Remote};
#[cfg(feature = "remote")]
use super::gguf::part_names;
use super::machine;
use crate::model_entry::{Licence, ModelEntry, Source};
use crate::sampling::SamplingOverrides;

/// A page of the hub's list has a thousand files; more pages than this are not read.
#[cfg(feature = "remote")]
const MOST_PAGES: usize = 10;
/// Quantisations by how well they suit a machine that any of them fits: near the whole model at a quarter of its size.
const PREFERRED: &[&str] = &["Q4_K_M", "Q5_K_M", "Q4_K_S", "Q4_0", "Q4_1", "IQ4_XS", "Q6_K", "Q8_0"];

/// What a repository offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repository {
    /// `owner/name`.
    pub name: String,
    /// Its model files, smallest first.
    pub files: Vec<HubFile>,
    /// Its licence, as it names it.
    pub licence: Option<String>,
    /// Sampler settings that its makers recommend.
    pub sampling: SamplingOverrides,
}

/// A model file of a repository; of a split one, all parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HubFile {
    /// Its path in the repository; of a split model, the first part's.
    pub path: String,
    /// Bytes of all parts.
    pub bytes: u64,
    /// SHA-256 of a file that is not split.
    pub sha256: Option<String>,
}

impl HubFile {
    /// The quantisation that its name says, or an empty text.
    #[must_use]
    pub fn quantisation(&self) -> String {
        let name = self.path.rsplit('/').next().unwrap_or_default().to_uppercase();
        let name = name.trim_end_matches(".GGUF");
        let is_quantisation = |word: &&str| {
            let plain = matches!(*word, "F16" | "BF16" | "F32" | "MXFP4" | "FP16");
            let digit = word.trim_start_matches("TQ").trim_start_matches("IQ").trim_start_matches('Q');
            plain
                || (word.len() > 1
                    && digit.len() < word.len()
                    && digit.starts_with(|c: char| c.is_ascii_digit()))
        };
        name.rsplit(['-', '.']).find(is_quantisation).unwrap_or_default().to_owned()
    }
}

impl Repository {
    /// The file that suits a machine with so much free memory, by its place in the list.
    #[must_use]
    pub fn recommended(&self, free: u64) -> Option<usize> {
        let fitting = || self.files.iter().enumerate().filter(|(_, file)| machine::fits(file.bytes, free));
        let preferred =
            PREFERRED.iter().find_map(|name| fitting().find(|(_, file)| file.quantisation() == *name));
        preferred.or_else(|| fitting().next_back()).map(|(index, _)| index)
    }
}

/// Whether a text has the form `owner/name`, with `:file` behind it or without; gives both.
#[must_use]
pub fn address(text: &str) -> Option<(&str, Option<&str>)> {
    let (repository, file) =
        text.split_once(':').map_or((text, None), |(repository, file)| (repository, Some(file)));
    let (owner, name) = repository.split_once('/')?;
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let is_model =
        std::path::Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    (is_name(owner) && is_name(name) && !is_model).then_some((repository, file))
}

/// What a repository offers, and how this machine would bear each file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offer {
    /// The repository.
    pub repository: Repository,
    /// Free memory, bytes, where the system says.
    pub free: Option<u64>,
    /// How fast this machine reads memory, bytes a second.
    pub bandwidth: f64,
}

impl Offer {
    /// Measures this machine; takes a moment the first time.
    #[must_use]
    pub fn of(repository: Repository) -> Self {
        Self { repository, free: crate::free_memory::bytes(), bandwidth: machine::bandwidth() }
    }

    /// The file that suits this machine, by its place in the list.
    #[must_use]
    pub fn recommended(&self) -> Option<usize> {
        self.free.and_then(|free| self.repository.recommended(free))
    }

    /// Whether a file fits into the free memory; `None` where that is not known.
    #[must_use]
    pub fn fits(&self, file: &HubFile) -> Option<bool> {
        self.free.map(|free| machine::fits(file.bytes, free))
    }

    /// Tokens a second that a file can be expected to write, at most.
    #[must_use]
    pub fn speed(&self, file: &HubFile) -> f64 {
        machine::predicted_speed(file.bytes, self.bandwidth)
    }

    /// The same in words.
    #[must_use]
    pub fn speed_in_words(&self, file: &HubFile) -> String {
        let speed = self.speed(file);
        if speed < 10.0 { format!("about {speed:.1}") } else { format!("about {speed:.0}") }
    }

    /// An entry for a file, under a name that is not among `taken`.
    #[must_use]
    pub fn entry(&self, file: &HubFile, taken: &[ModelEntry]) -> ModelEntry {
        let source = Source::Hf(format!("{}:{}", self.repository.name, file.path));
        let mut entry = named(source, &file.path, taken);
        if entry.sha256.is_none() {
            entry.sha256.clone_from(&file.sha256);
            entry.licence = self.repository.licence.clone().map(|name| Licence { name, terms: None });
            entry.makers = self.repository.sampling.clone();
        }
        entry
    }
}

/// An entry for a source, named after its file; the one that has this source already, if there is one.
#[must_use]
pub fn named(source: Source, file: &str, taken: &[ModelEntry]) -> ModelEntry {
    if let Some(there) = taken.iter().find(|other| other.source == source) {
        return there.clone();
    }
    let plain = plain_name(file);
    let free = |name: &String| taken.iter().all(|other| other.name != *name);
    let others = (2..).map(|number| format!("{plain}-{number}"));
    let name = std::iter::once(plain.clone()).chain(others).find(free).unwrap_or(plain);
    ModelEntry::new(name, source)
}

/// A file's name as an entry's: without folder, part and ending, in small letters.
fn plain_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let stem = file.strip_suffix(".gguf").unwrap_or(&file);
    let stem = stem.find("-00001-of-").map_or(stem, |at| &stem[..at]);
    let name: String = stem.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

/// Asks the hub what a repository offers.
///
/// # Errors
/// When it cannot be reached, is not there or wants a token, or has no model files.
#[cfg(feature = "remote")]
pub async fn repository(remote: &Remote, name: &str) -> Result<Repository, FetchError> {
    let bad = |what: &str| FetchError::BadSource { name: name.to_owned(), what: what.to_owned() };
    let mut entries = Vec::new();
    let mut next = Some(format!("/api/models/{name}/tree/main?recursive=true"));
    while let Some(page) = next.take().filter(|_| entries.len() < MOST_PAGES * 1000) {
        let (found, more) = remote.json(&page, name).await?;
        entries.extend(found.as_array().cloned().unwrap_or_default());
        next = more;
    }
    let files = model_files(&entries);
    if files.is_empty() {
        return Err(bad("it has no .gguf files; look for a repository with GGUF in its name"));
    }
    // What is missing here costs a line, not the model.
    let card =
        remote.json(&format!("/api/models/{name}"), name).await.map(|(card, _)| card).unwrap_or_default();
    let licence = card["cardData"]["license"].as_str().map(str::to_owned);
    let base = match &card["cardData"]["base_model"] {
        Value::Array(list) => list.first().and_then(Value::as_str),
        other => other.as_str(),
    };
    let mut sampling = SamplingOverrides::default();
    for of in std::iter::once(name).chain(base.filter(|base| address(base).is_some())) {
        if let Ok((config, _)) = remote.json(&format!("/{of}/resolve/main/generation_config.json"), of).await
        {
            sampling = recommended_sampling(&config);
            break;
        }
    }
    Ok(Repository { name: name.to_owned(), files, licence, sampling })
}

/// The model files among the entries of a repository's tree.
#[cfg(feature = "remote")]
fn model_files(entries: &[Value]) -> Vec<HubFile> {
    let size = |entry: &Value| entry["lfs"]["size"].as_u64().or(entry["size"].as_u64()).unwrap_or(0);
    let by_path = |path: &str| entries.iter().find(|entry| entry["path"] == path);
    let mut files = Vec::new();
    for entry in entries {
        let Some(path) = entry["path"].as_str() else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        let lower = name.to_lowercase();
        if entry["type"] != "file" || !is_gguf(name) || lower.contains("mmproj") || lower.contains("imatrix")
        {
            continue;
        }
        let parts = part_names(name);
        if parts.first().is_some_and(|first| first != name) {
            continue;
        }
        let folder = &path[..path.len() - name.len()];
        let split = parts.len() > 1;
        let bytes = parts.iter().filter_map(|part| by_path(&format!("{folder}{part}"))).map(size).sum();
        let sha256 = entry["lfs"]["oid"].as_str().filter(|oid| !split && oid.len() == 64).map(str::to_owned);
        files.push(HubFile { path: path.to_owned(), bytes, sha256 });
    }
    files.sort_by_key(|file| file.bytes);
    files
}

#[cfg(feature = "remote")]
fn is_gguf(name: &str) -> bool {
    std::path::Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// What a `generation_config.json` says of the sampler.
#[cfg(feature = "remote")]
fn recommended_sampling(config: &Value) -> SamplingOverrides {
    let number = |key: &str, range: std::ops::RangeInclusive<f64>| {
        config[key].as_f64().filter(|number| range.contains(number)).map(|number| number as f32)
    };
    let greedy = config["do_sample"] == false;
    SamplingOverrides {
        temperature: if greedy { Some(0.0) } else { number("temperature", 0.0..=5.0) },
        top_k: config["top_k"].as_u64().and_then(|k| u32::try_from(k).ok()),
        top_p: number("top_p", 0.0..=1.0),
        min_p: number("min_p", 0.0..=1.0),
        repeat_penalty: number("repetition_penalty", 0.05..=10.0),
        ..SamplingOverrides::default()
    }
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_is_an_owner_and_a_name() {
        assert_eq!(address("owner/Model-1.5_GGUF"), Some(("owner/Model-1.5_GGUF", None)));
        assert_eq!(address("a/b:q/m.gguf"), Some(("a/b", Some("q/m.gguf"))));
        for other in
            ["name", "/abs/path", "./a/b", "~/m", "a/b/c", "a/", "models/m.gguf", "https://x/y", ".a/b"]
        {
            assert_eq!(address(other), None, "{other}");
        }
    }

    #[test]
    fn files_are_models_with_their_parts_together() {
        let oid = "a".repeat(64);
        let entries = [
            json!({"type": "file", "path": "README.md", "size": 10}),
            json!({"type": "file", "path": "m-Q8_0.gguf", "size": 800, "lfs": {"oid": oid, "size": 800}}),
            json!({"type": "file", "path": "m-q4_k_m.gguf", "size": 400}),
            json!({"type": "file", "path": "mmproj-m-f16.gguf", "size": 40}),
            json!({"type": "directory", "path": "BF16"}),
            json!({"type": "file", "path": "BF16/m-BF16-00001-of-00002.gguf", "size": 900}),
            json!({"type": "file", "path": "BF16/m-BF16-00002-of-00002.gguf", "size": 700}),
            json!({"type": "file", "path": "m.UD-IQ2_XXS.gguf", "size": 200}),
        ];
        let files = model_files(&entries);
        let seen: Vec<_> = files.iter().map(|file| (file.bytes, file.quantisation())).collect();
        let expected = [(200, "IQ2_XXS"), (400, "Q4_K_M"), (800, "Q8_0"), (1600, "BF16")];
        assert_eq!(seen, expected.map(|(bytes, name)| (bytes, name.to_owned())));
        assert_eq!(files[2].sha256.as_ref(), Some(&oid));
        let repository = Repository { files, ..Repository::default() };
        assert_eq!(repository.recommended(1 << 40), Some(1));
        assert_eq!(repository.recommended(0), None);
    }

    #[test]
    fn a_makers_settings_are_taken_where_they_make_sense() {
        let config =
            json!({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 7, "repetition_penalty": 1.1});
        let expected = SamplingOverrides {
            temperature: Some(0.6),
            top_k: Some(20),
            top_p: Some(0.95),
            repeat_penalty: Some(1.1),
            ..SamplingOverrides::default()
        };
        assert_eq!(recommended_sampling(&config), expected);
    }
}
