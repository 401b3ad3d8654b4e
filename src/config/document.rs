//! One TOML text read key by key: what is right is taken, what is wrong becomes a warning with its line.
//!
//! Invariant: reading never fails as a whole once the text is TOML; a key that cannot be used leaves the
//! value it would have replaced.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Warning;
use super::near::key_meant;
pub(crate) use super::near::{begins, did_you_mean, nearest, nearest_or_begun};
use super::setting::Setting;
use crate::model_entry::without_secrets;

/// What becomes of a `[[models]]` entry that is not sure to mean what its author meant.
pub(super) const MODEL_LEFT_OUT: &str = "this model is left out";

/// A path as the configuration's author meant it: beside the configuration, unless it says from where.
pub(super) fn beside(configuration: &str, file: &str) -> PathBuf {
    match Path::new(configuration).parent() {
        Some(folder) if !file.starts_with('~') => folder.join(file),
        _ => PathBuf::from(file),
    }
}

/// What was found wrong in one text, and where.
pub(crate) struct Report<'t> {
    file: &'t str,
    text: &'t str,
    numbered: bool,
    /// In the order of reading; [`Report::into_warnings`] sorts them.
    pub(crate) warnings: Vec<Warning>,
}

impl<'t> Report<'t> {
    /// A report on a file, whose lines are counted.
    pub(crate) fn of_file(file: &'t str, text: &'t str) -> Self {
        Self { file, text, numbered: true, warnings: Vec::new() }
    }

    /// A report on something without lines, such as one environment variable.
    pub(crate) fn without_lines(name: &'t str, text: &'t str) -> Self {
        Self { file: name, text, numbered: false, warnings: Vec::new() }
    }

    /// The file, as the user knows it.
    pub(crate) fn file(&self) -> &'t str {
        self.file
    }

    /// The warnings in the order of their lines.
    pub(crate) fn into_warnings(mut self) -> Vec<Warning> {
        self.warnings.sort_by_key(|warning| warning.line);
        self.warnings
    }

    /// Adds a warning about the key that begins at byte `at`.
    pub(crate) fn warn(&mut self, at: usize, key: &str, message: String) {
        let line = if self.numbered { position(self.text, at).0 } else { 0 };
        let message = without_secrets(message);
        self.warnings.push(Warning { file: self.file.into(), line, key: key.into(), message });
    }

    /// The text as TOML, or one warning that says where it is not.
    pub(crate) fn parse(&mut self) -> Option<DeTable<'t>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table.into_inner()),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let place = if self.numbered {
                    format!("column {}: ", position(self.text, at).1)
                } else {
                    String::new()
                };
                self.warn(
                    at,
                    "",
                    format!("{place}this is not TOML: {}; nothing of it is used", error.message()),
                );
                None
            }
        }
    }

    fn source(&self, span: std::ops::Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }
}

/// Line and column of a byte, both from 1; the column counts characters.
pub(crate) fn position(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// What a check says: nothing, or what the value must be.
pub(crate) type Verdict = Result<(), String>;

/// A table being read. Every key that is asked for counts as known; [`Section::finish`] warns about the rest.
pub(crate) struct Section<'r, 't> {
    table: &'r DeTable<'t>,
    path: String,
    known: Vec<&'static str>,
    /// Where warnings go.
    pub(crate) report: &'r mut Report<'t>,
}

impl<'r, 't> Section<'r, 't> {
    /// A table to read; `path` is its dotted name, empty for the whole document.
    pub(crate) fn new(table: &'r DeTable<'t>, path: &str, report: &'r mut Report<'t>) -> Self {
        Self { table, path: path.into(), known: Vec::new(), report }
    }

    /// The dotted name of a key of this table.
    pub(crate) fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the table has this key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The raw value of a key.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// The value of a key if it is there, of the right type and passes the check; else a warning that says
    /// `instead`, what is used.
    pub(crate) fn take<T: Setting>(
        &mut self,
        key: &'static str,
        instead: &str,
        check: impl Fn(&T) -> Verdict,
    ) -> Option<T> {
        let value = self.raw(key)?;
        let read = T::read(value.get_ref()).and_then(|read| check(&read).map(|()| read));
        match read {
            Ok(read) => Some(read),
            Err(problem) => {
                self.refuse(key, value, &problem, instead);
                None
            }
        }
    }

    /// Puts a key's value into `target`, which keeps its own where the key is absent or wrong.
    pub(crate) fn put<T: Setting>(
        &mut self,
        key: &'static str,
        target: &mut T,
        check: impl Fn(&T) -> Verdict,
    ) {
        let instead = format!("{} is used", target.show());
        if let Some(value) = self.take(key, &instead, check) {
            *target = value;
        }
    }

    /// The table under a key; a warning if it is something else.
    pub(crate) fn table(&mut self, key: &'static str) -> Option<Section<'_, 't>> {
        let value = self.raw(key)?;
        if let DeValue::Table(table) = value.get_ref() {
            let path = self.dotted(key);
            Some(Section { table, path, known: Vec::new(), report: self.report })
        } else {
            self.refuse(key, value, "must be a table", "it is left out");
            None
        }
    }

    /// Every key of this table with where it begins, for tables whose keys are names of the user's.
    pub(crate) fn entries(
        &self,
    ) -> impl Iterator<Item = (&'r str, usize, &'r Spanned<DeValue<'t>>)> + use<'r, 't> {
        let table = self.table;
        table.iter().map(|(key, value)| (key.get_ref().as_ref(), key.span().start, value))
    }

    /// Where a key of this table begins.
    pub(crate) fn start_of(&self, key: &str) -> usize {
        self.table.get_key_value(key).map_or(0, |(key, _)| key.span().start)
    }

    /// Warns that a key's value cannot be used: what it must be, what it is, what is used instead.
    pub(crate) fn refuse(&mut self, key: &str, value: &Spanned<DeValue<'t>>, problem: &str, instead: &str) {
        // Before it is shortened, which could take away by what an address is told.
        let found = shortened(&without_secrets(self.report.source(value.span())));
        let dotted = self.dotted(key);
        let at = self.start_of(key);
        self.report.warn(at, &dotted, format!("{problem}, not {found}; {instead}"));
    }

    /// Warns about every key that nobody asked for, with the nearest name that exists.
    pub(crate) fn finish(self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !self.known.contains(&name) {
                let shown = self.dotted(self.report.source(key.span()));
                let hint = key_meant(&self.path, name, &self.known);
                self.report.warn(
                    key.span().start,
                    &shown,
                    format!("no setting has this name{hint}; it is left out"),
                );
            }
        }
    }
}

fn shortened(source: &str) -> String {
    let line: String = source.split('\n').next().unwrap_or_default().chars().take(41).collect();
    if line.chars().count() > 40 || source.contains('\n') {
        format!("{}…", line.chars().take(40).collect::<String>())
    } else {
        line
    }
}
