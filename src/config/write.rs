//! Writing one key into the configuration file, and files that are whole or not there.
//!
//! Invariant: comments, order and every other key stay as they are; a reader never sees half a file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

use super::document::position;
use crate::durable;
use crate::model_entry::{ModelEntry, Source};
use crate::sampling::{SAMPLING_KEYS, SamplingOverrides};

/// Why a key could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The file is not TOML, so writing into it could lose what its author meant.
    #[error("line {line}, column {column}: the file is not TOML ({message}); mend it first")]
    NotToml {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// The value is not one TOML value.
    #[error("{0} is not a TOML value")]
    BadValue(String),
    /// A part of the dotted name is empty, or holds something that is not a table.
    #[error("{0} cannot hold this key")]
    NotATable(String),
}

/// Sets one key of a TOML text, e.g. `ui.theme` to `"light"`; `value` is a TOML value, or empty to take the key
/// out.
///
/// # Errors
/// See [`WriteError`]; the text is then to be left as it is.
pub fn set_key(text: &str, dotted: &str, value: &str) -> Result<String, WriteError> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        WriteError::NotToml { line, column, message: error.message().into() }
    })?;
    if value.is_empty() {
        remove(document.as_item_mut(), dotted);
        return Ok(document.to_string());
    }
    let mut value: Value = value.trim().parse().map_err(|_| WriteError::BadValue(value.into()))?;
    let (tables, key) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    if dotted.split('.').any(str::is_empty) {
        return Err(WriteError::NotATable(dotted.into()));
    }
    let mut item = document.as_item_mut();
    for name in tables.split('.').filter(|name| !name.is_empty()) {
        let table = item.as_table_like_mut().ok_or_else(|| WriteError::NotATable(name.into()))?;
        item = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
    }
    let holder = item.as_table_like_mut().ok_or_else(|| WriteError::NotATable(tables.into()))?;
    match holder.get_mut(key) {
        Some(Item::Value(old)) => {
            // The trailing comment of the line belongs to the value that goes.
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        Some(Item::None) | None => {
            holder.insert(key, Item::Value(value));
        }
        Some(_) => return Err(WriteError::NotATable(dotted.into())),
    }
    Ok(document.to_string())
}

/// Adds a `[[models]]` entry at the end of a TOML text: name, source, checksum, licence with its terms, and the
/// numbers among the sampler settings of its makers.
///
/// # Errors
/// Where the text is not TOML, or has its models in another form.
pub fn add_model(text: &str, entry: &ModelEntry) -> Result<String, WriteError> {
    // What is there is checked first, so that the error is about that.
    let mut whole = set_key(text, "model", "").map(|_| text.trim_end().to_owned())?;
    if !whole.is_empty() {
        whole += "\n\n";
    }
    whole += "[[models]]\n";
    let mut line = |key: &str, value: &str| {
        whole.extend([key, " = ", &Value::from(value).to_string(), "\n"]);
    };
    line("name", &entry.name);
    match &entry.source {
        Source::Path(path) => line("path", &path.to_string_lossy()),
        Source::Hf(address) => line("hf", address),
        Source::Url(address) => line("url", address),
        // A package or a server is configured by hand.
        Source::Pip(_) | Source::Server(_) => return Err(WriteError::NotATable("models".into())),
    }
    if let Some(sha256) = &entry.sha256 {
        line("sha256", sha256);
    }
    match entry.licence.as_ref().map(|licence| (&licence.name, licence.terms.as_ref())) {
        Some((name, None)) => line("licence", name),
        Some((name, Some(terms))) => {
            let (name, terms) = (Value::from(name), Value::from(terms));
            whole.extend([
                "licence = { name = ",
                &name.to_string(),
                ", terms = ",
                &terms.to_string(),
                " }\n",
            ]);
        }
        None => {}
    }
    let makers = numbers(&entry.makers);
    if !makers.is_empty() {
        whole += "# As its makers recommend; [models.sampling] goes over it.\n[models.makers]\n";
        for (key, value) in &makers {
            whole.extend([key, " = ", value, "\n"]);
        }
    }
    match whole.parse::<DocumentMut>() {
        Ok(_) => Ok(whole),
        Err(_) => Err(WriteError::NotATable("models".into())),
    }
}

/// [`add_model`] to a file, which is made if it is not there.
///
/// # Errors
/// With a sentence that names the file.
pub fn add_model_to(file: &Path, entry: &ModelEntry) -> Result<(), String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(format!("{} cannot be read: {error}", file.display())),
    };
    let text =
        add_model(&text, entry).map_err(|error| format!("{} was not changed: {error}", file.display()))?;
    write_atomically(file, &text).map_err(|error| format!("{} was not written: {error}", file.display()))
}

/// The numbers of a layer of sampler settings, as TOML.
fn numbers(layer: &SamplingOverrides) -> Vec<(&'static str, String)> {
    let values = serde_json::to_value(layer).unwrap_or_default();
    let number = |key: &&'static str| match values.get(*key) {
        Some(serde_json::Value::Number(number)) if number.is_f64() => {
            Some((*key, format!("{:?}", number.as_f64().unwrap_or_default() as f32)))
        }
        Some(serde_json::Value::Number(number)) => Some((*key, number.to_string())),
        _ => None,
    };
    SAMPLING_KEYS.iter().filter_map(number).collect()
}

/// Takes a key out if it is there.
fn remove(mut item: &mut Item, dotted: &str) {
    let (tables, key) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    for name in tables.split('.').filter(|name| !name.is_empty()) {
        match item.get_mut(name) {
            Some(inner) => item = inner,
            None => return,
        }
    }
    if let Some(table) = item.as_table_like_mut() {
        table.remove(key);
    }
}

/// Writes a file so that it is the old one or the new one at any moment, also after a crash. Missing folders
/// are made; a symbolic link stays and its target is written; the file's permissions stay.
///
/// # Errors
/// What the system says, with the file as it was.
pub fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let target = follow(path)?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let mut file = new_file(folder)?;
    file.write_all(text.as_bytes())?;
    if let Ok(metadata) = std::fs::metadata(&target) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    durable::file(file.path())?;
    file.persist(&target).map_err(|error| error.error)?;
    durable::name(&target)
}

/// A new file with the permissions any program would give it; a temporary file's own are narrower.
fn new_file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".glassbox-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Where the links end, also where the last target is not there yet.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other(format!("{} is a loop of links", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::Licence;

    fn check(before: &str, key: &str, value: &str, after: &str) {
        assert_eq!(set_key(before, key, value).as_deref(), Ok(after));
    }

    #[test]
    fn comments_and_order_stay() {
        check(
            "# mine\n[ui]\ntheme = \"dark\"   # at night\nmouse = true\n",
            "ui.theme",
            "\"light\"",
            "# mine\n[ui]\ntheme = \"light\"   # at night\nmouse = true\n",
        );
    }

    #[test]
    fn an_empty_value_takes_the_key_out() {
        check("[engine]\nthreads = 2\nmmap = true\n", "engine.threads", "", "[engine]\nmmap = true\n");
        check("[ui]\n", "engine.threads", "", "[ui]\n");
    }

    #[test]
    fn new_keys_land_in_their_table() {
        check(
            "[ui]\nmouse = true\n[engine]\n",
            "ui.theme",
            "\"a\"",
            "[ui]\nmouse = true\ntheme = \"a\"\n[engine]\n",
        );
        check("", "ui.theme", "\"a\"", "[ui]\ntheme = \"a\"\n");
        check("", "model", "\"a\"", "model = \"a\"\n");
        check("[ui]\n", "model", "\"a\"", "model = \"a\"\n[ui]\n");
        check("ui = { mouse = true }\n", "ui.theme", "\"a\"", "ui = { mouse = true , theme = \"a\" }\n");
    }

    #[test]
    fn a_text_that_is_not_toml_is_left_alone() {
        let error = set_key("a = 1\nb = = 2\n", "ui.theme", "1").unwrap_err();
        assert!(matches!(error, WriteError::NotToml { line: 2, .. }), "{error}");
        assert_eq!(set_key("", "a", "1 2"), Err(WriteError::BadValue("1 2".into())));
        assert_eq!(set_key("ui = 3", "ui.theme", "1"), Err(WriteError::NotATable("ui".into())));
        assert_eq!(set_key("", "ui..theme", "1"), Err(WriteError::NotATable("ui..theme".into())));
    }

    #[test]
    fn a_link_stays_and_its_target_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("config.toml"), folder.path().join("dotfiles.toml"));
        std::os::unix::fs::symlink("dotfiles.toml", &link).unwrap();
        write_atomically(&link, "a = 1\n").unwrap();
        write_atomically(&link, "a = 2\n").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "a = 2\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn the_folder_is_written_through_too() {
        let folder = tempfile::tempdir().unwrap();
        write_atomically(&folder.path().join("config.toml"), "a = 1\n").unwrap();
        assert_eq!(durable::times(folder.path()), 1);
    }

    #[test]
    fn permissions_stay_and_folders_are_made() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/config.toml");
        write_atomically(&path, "a = 1\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        write_atomically(&path, "a = 2\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomically(&path, "a = 1\n").is_err());
        assert!(path.is_dir());
    }

    #[test]
    fn an_added_model_is_read_again_and_what_was_there_stays() {
        let text = "# mine\nmodel = \"a\"\n\n[ui]\nmouse = true # yes\n";
        let plain = ModelEntry::new("b", Source::Hf("o/r:b.gguf".into()));
        let mut entry = plain.clone();
        entry.makers.temperature = Some(0.6);
        let terms = Licence { name: "L".into(), terms: Some("Say \"yes\".\nOr no.".into()) };
        let asking =
            ModelEntry { licence: Some(terms), ..ModelEntry::new("c", Source::Hf("o/r:c.gguf".into())) };
        let asked = add_model("", &asking).unwrap();
        let expected = "[[models]]\nname = \"c\"\nhf = \"o/r:c.gguf\"\nlicence = { name = \"L\", terms = ";
        assert!(asked.starts_with(expected), "{asked}");
        let read: toml::Table = toml::from_str(&asked).unwrap();
        assert_eq!(read["models"][0]["licence"]["terms"].as_str(), Some("Say \"yes\".\nOr no."));
        let added = add_model(text, &entry).unwrap();
        let expected = "\n[[models]]\nname = \"b\"\nhf = \"o/r:b.gguf\"\n\
                        # As its makers recommend; [models.sampling] goes over it.\n\
                        [models.makers]\ntemperature = 0.6\n";
        assert_eq!(added, format!("{text}{expected}"));
        let twice = add_model(&added, &plain).unwrap();
        assert_eq!(twice.matches("[[models]]").count(), 2);
        assert_eq!(add_model("", &plain).unwrap(), "[[models]]\nname = \"b\"\nhf = \"o/r:b.gguf\"\n");
        assert!(add_model("models = []\n", &plain).is_err());
        assert!(add_model("[[models\n", &plain).is_err());
    }
}
