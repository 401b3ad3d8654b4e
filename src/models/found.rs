//! Models that are on this machine already: in folders the user names, and where other apps keep theirs.
//!
//! Invariant: it only reads, so far and no further: so many folders deep, so many files. A file is found once.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::gguf::part_names;

const DEEPEST: usize = 6;
const MOST_FILES: usize = 1000;

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Folders, and whose they are; empty for the user's own.
    folders: Vec<(PathBuf, &'static str)>,
    /// Folders of Ollama, which keeps models as blobs with manifests.
    ollama: Vec<PathBuf>,
}

/// A model that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundModel {
    /// Its file.
    pub path: PathBuf,
    /// What it is called there.
    pub title: String,
    /// The app that keeps it; empty where it lies in a folder of the user's.
    pub app: &'static str,
}

impl Places {
    /// The user's own folders.
    #[must_use]
    pub fn of_user(folders: &[String]) -> Self {
        let home = directories::BaseDirs::new();
        let expand = |folder: &String| match (folder.strip_prefix("~/"), &home) {
            (Some(rest), Some(home)) => home.home_dir().join(rest),
            _ => PathBuf::from(folder),
        };
        Self { folders: folders.iter().map(|folder| (expand(folder), "")).collect(), ollama: Vec::new() }
    }

    /// Adds where other apps keep models, by their own rules: variables of the environment first, then the home folder.
    #[must_use]
    pub fn and_of_apps(mut self, home: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache"));
        let hub = variable("HF_HUB_CACHE")
            .or_else(|| variable("HF_HOME").map(|folder| folder.join("hub")))
            .unwrap_or_else(|| cache.join("huggingface/hub"));
        self.folders.push((hub, "Hugging Face"));
        for folder in [".lmstudio/models", ".cache/lm-studio/models"] {
            self.folders.push((home.join(folder), "LM Studio"));
        }
        match variable("LLAMA_CACHE") {
            Some(folder) => self.folders.push((folder, "llama.cpp")),
            None => {
                for folder in [cache.join("llama.cpp"), home.join("Library/Caches/llama.cpp")] {
                    self.folders.push((folder, "llama.cpp"));
                }
            }
        }
        self.ollama = match variable("OLLAMA_MODELS") {
            Some(folder) => vec![folder],
            None => vec![home.join(".ollama/models"), "/usr/share/ollama/.ollama/models".into()],
        };
        self
    }

    /// Where these settings say to look. With `GLASSBOX_HOME` nothing outside that folder is looked at unasked.
    #[must_use]
    pub fn of(folders: &[String], other_apps: bool) -> Self {
        let places = Self::of_user(folders);
        let alone = std::env::var_os("GLASSBOX_HOME").is_some_and(|home| !home.is_empty());
        match directories::BaseDirs::new().filter(|_| other_apps && !alone) {
            Some(home) => places.and_of_apps(home.home_dir(), |name| std::env::var_os(name)),
            None => places,
        }
    }

    /// The models there, by title.
    #[must_use]
    pub fn scan(&self) -> Vec<FoundModel> {
        let mut search = Search::default();
        for (folder, app) in &self.folders {
            search.folder(folder, folder, app, 0);
        }
        for folder in &self.ollama {
            search.manifests(folder, &folder.join("manifests"), 0);
        }
        search.found.sort_by_key(|model| model.title.to_lowercase());
        search.found
    }
}

#[derive(Default)]
struct Search {
    found: Vec<FoundModel>,
    /// What links lead to, so that nothing is listed twice.
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn add(&mut self, path: PathBuf, title: String, app: &'static str) {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if self.found.len() < MOST_FILES && self.seen.insert(real) {
            self.found.push(FoundModel { path, title, app });
        }
    }

    fn folder(&mut self, top: &Path, folder: &Path, app: &'static str, depth: usize) {
        for path in entries(folder) {
            if path.is_dir() {
                if depth < DEEPEST {
                    self.folder(top, &path, app, depth + 1);
                }
            } else if is_model(&path) {
                let title = title(top, &path);
                self.add(path, title, app);
            }
        }
    }

    /// A manifest says which blob is the model; its place says what it is called.
    fn manifests(&mut self, top: &Path, folder: &Path, depth: usize) {
        for path in entries(folder) {
            if path.is_dir() {
                if depth < DEEPEST {
                    self.manifests(top, &path, depth + 1);
                }
            } else if let Some(blob) = model_blob(&path).map(|digest| top.join("blobs").join(digest))
                && blob.is_file()
            {
                let parts: Vec<String> =
                    path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                let title = match parts.as_slice() {
                    [.., owner, name, tag] if owner != "library" => format!("{owner}/{name}:{tag}"),
                    [.., name, tag] => format!("{name}:{tag}"),
                    _ => continue,
                };
                self.add(blob, title, "Ollama");
            }
        }
    }
}

/// What lies in a folder, in order; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(read) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).take(10 * MOST_FILES).collect();
    paths.sort();
    paths
}

/// Whether a file is a model by its name: of a split one the first part, and no projector that belongs to another file.
fn is_model(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let is_first = part_names(&name).first().is_none_or(|first| *first == name);
    let is_gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    is_gguf && is_first && !name.starts_with("mmproj")
}

/// The file's name without its ending, with the hub's repository where it lies in one.
fn title(top: &Path, path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let inside = path.strip_prefix(top).unwrap_or(path);
    let first = inside.iter().next().unwrap_or_default().to_string_lossy();
    match first.strip_prefix("models--") {
        Some(repository) => format!("{}: {stem}", repository.replacen("--", "/", 1)),
        None => stem,
    }
}

/// The file name of the blob that a manifest calls its model.
fn model_blob(manifest: &Path) -> Option<String> {
    let size = std::fs::metadata(manifest).ok()?.len();
    let text = (size < 1 << 20).then(|| std::fs::read_to_string(manifest).ok()).flatten()?;
    let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
    let layers = manifest.get("layers")?.as_array()?;
    let model = layers.iter().find(|layer| layer["mediaType"] == "application/vnd.ollama.image.model")?;
    let digest = model.get("digest")?.as_str()?.replacen(':', "-", 1);
    // Only a name: a manifest must not lead out of the folder.
    digest.chars().all(|c| c.is_ascii_alphanumeric() || c == '-').then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(home: &Path, path: &str, text: &str) {
        let path = home.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn scan(home: &Path, variables: &[(&str, PathBuf)]) -> Vec<(String, &'static str)> {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value.clone().into_os_string())
        };
        let places = Places::of_user(&[home.join("mine").display().to_string()]).and_of_apps(home, variable);
        places.scan().into_iter().map(|model| (model.title, model.app)).collect()
    }

    #[test]
    fn models_of_other_apps_are_found_where_they_keep_them() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let snapshot = ".cache/huggingface/hub/models--owner--repo/snapshots/abc";
        file(home, &format!("{snapshot}/m-q4.gguf"), "");
        file(home, &format!("{snapshot}/mmproj-m.gguf"), "");
        file(home, ".lmstudio/models/pub/repo/Big-00001-of-00002.gguf", "");
        file(home, ".lmstudio/models/pub/repo/Big-00002-of-00002.gguf", "");
        file(home, ".cache/llama.cpp/tiny.gguf", "");
        file(home, "mine/deep/er/own.GGUF", "");
        file(home, "mine/readme.txt", "");
        let manifest = r#"{"layers":[{"mediaType":"application/vnd.ollama.image.license","digest":"sha256:11"},
            {"mediaType":"application/vnd.ollama.image.model","digest":"sha256:22"}]}"#;
        file(home, ".ollama/models/manifests/registry.ollama.ai/library/llama3.2/3b", manifest);
        file(
            home,
            ".ollama/models/manifests/registry.ollama.ai/someone/tuned/latest",
            &manifest.replace("22", "33"),
        );
        file(
            home,
            ".ollama/models/manifests/registry.ollama.ai/library/gone/1b",
            &manifest.replace("22", "44"),
        );
        file(
            home,
            ".ollama/models/manifests/registry.ollama.ai/library/evil/1b",
            &manifest.replace("22", "../../x"),
        );
        file(home, ".ollama/models/blobs/sha256-22", "");
        file(home, ".ollama/models/blobs/sha256-33", "");
        let found = scan(home, &[]);
        let expected = [
            ("Big-00001-of-00002", "LM Studio"),
            ("llama3.2:3b", "Ollama"),
            ("own", ""),
            ("owner/repo: m-q4", "Hugging Face"),
            ("someone/tuned:latest", "Ollama"),
            ("tiny", "llama.cpp"),
        ];
        assert_eq!(found, expected.map(|(title, app)| (title.to_owned(), app)));
    }

    #[test]
    fn an_app_that_was_told_another_folder_keeps_its_models_there() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        file(home, "hf/hub/models--a--b/snapshots/1/x.gguf", "");
        file(home, "llama/y.gguf", "");
        file(home, ".cache/llama.cpp/not.gguf", "");
        let variables = [("HF_HOME", home.join("hf")), ("LLAMA_CACHE", home.join("llama"))];
        let found: Vec<String> = scan(home, &variables).into_iter().map(|(title, _)| title).collect();
        assert_eq!(found, ["a/b: x", "y"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end_and_what_two_names_lead_to_is_listed_once() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        file(home, "mine/blob.gguf", "");
        std::os::unix::fs::symlink(home.join("mine"), home.join("mine/again")).unwrap();
        std::os::unix::fs::symlink(home.join("mine/blob.gguf"), home.join("mine/link.gguf")).unwrap();
        assert_eq!(scan(home, &[]).len(), 1);
    }
}
