//! The README tells the truth: its table of keys is the command table's, its pictures exist.
//! `make tables` writes the table.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use glassbox::command;
use glassbox::config::keymap::Keymap;

const BEGIN: &str = "<!-- keys: generated from src/command.rs -->\n";
const END: &str = "<!-- /keys -->";

fn readme() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")
}

fn table() -> String {
    let keymap = Keymap::defaults();
    let mut table = String::from("| key | does | command |\n|---|---|---|\n");
    for entry in command::TABLE {
        let keys = keymap.shown_all(entry.command).join(", ");
        let _ = writeln!(table, "| {keys} | {} | `/{}` |", entry.help(), entry.name);
    }
    table
}

#[test]
fn the_table_of_keys_is_the_command_tables() {
    let text = fs::read_to_string(readme()).expect("there is a README");
    let begin = text.find(BEGIN).expect("the table has its marks") + BEGIN.len();
    let end = text.find(END).expect("the table has its marks");
    if std::env::var("GLASSBOX_DOCS").as_deref() == Ok("write") {
        let new = format!("{}{}{}", &text[..begin], table(), &text[end..]);
        fs::write(readme(), new).expect("the README can be written");
        return;
    }
    assert_eq!(&text[begin..end], table(), "run `make tables`");
}

#[test]
fn every_picture_is_there() {
    let text = fs::read_to_string(readme()).expect("there is a README");
    let pictures: Vec<&str> = text
        .split("](")
        .skip(1)
        .filter_map(|part| part.split(')').next())
        .filter(|link| link.starts_with("docs/"))
        .collect();
    assert!(!pictures.is_empty());
    if std::env::var("GLASSBOX_PICTURES").as_deref() == Ok("write") {
        return; // they are being made
    }
    for picture in pictures {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(picture);
        assert!(path.is_file(), "{picture} is missing: run `make pictures`");
    }
}

/// Pieces of text in backticks, each with the text that stands before it.
fn code_of(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

#[test]
fn files_and_what_is_in_them_are_where_the_guides_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for guide in ["docs/architecture.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root.join(guide)).expect("the guide is there");
        let mut file: Option<String> = None;
        for (before, code) in code_of(&text) {
            let is_file = Path::new(code).extension().is_some_and(|extension| extension == "rs");
            let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "/_.".contains(c));
            if plain && (code.contains('/') || is_file) {
                let found =
                    [root.join(code), root.join("src").join(code)].into_iter().find(|path| path.exists());
                let path = found.unwrap_or_else(|| panic!("{guide} names {code}, which is not there"));
                file = path.is_file().then(|| fs::read_to_string(path).expect("a source is text"));
                named += 1;
            } else if let Some(file) = file.as_ref().filter(|_| matches!(before.trim(), ":" | ",")) {
                let name = code.rsplit("::").next().unwrap_or(code);
                assert!(file.contains(name), "{guide} looks for {code} in another file than it is in");
                named += 1;
            } else {
                file = None;
            }
        }
    }
    assert!(named > 40, "only {named} places were read");
}

#[test]
fn every_promise_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/promises.md")).expect("the page is there");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |"));
    let mut numbers = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        numbers.push(cells[0].parse::<u32>().expect("a row has its number"));
        let mut file = None;
        let mut tests = 0;
        for (_, code) in code_of(&format!("{} ", cells.last().expect("a row has cells"))) {
            if Path::new(code).extension().is_some_and(|extension| extension == "rs") {
                let there = fs::read_to_string(root.join(code));
                file = Some(there.unwrap_or_else(|error| panic!("{code} is named in {row}: {error}")));
            } else if let Some(text) = file.as_ref().filter(|_| !code.contains(' ')) {
                assert!(text.contains(&format!("fn {code}(")), "{code} is named in {row} and not there");
                tests += 1;
            }
        }
        assert!(tests > 0 || row.contains("Not promised yet"), "no test holds {row}");
    }
    assert_eq!(numbers, (1..=41).collect::<Vec<u32>>());
}
