//! Writing one key into the configuration file, and files that are whole or not there.
//!
//! Invariant: comments, order and every other key stay as they are; a reader never sees half a file.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, Value};

use super::document::position;

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
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    // The rename itself lies in the folder.
    std::fs::File::open(folder)?.sync_all()
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
}
