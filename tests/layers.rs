//! The layering of `src/lib.rs`, read from the sources: a module names only lower layers; engine types,
//! SQLite, tokio and `unsafe` stay where they belong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Layer of each top-level module.
const LAYERS: &[(&str, u8)] = &[
    ("token", 0),
    ("chat", 0),
    ("sampling", 0),
    ("model_entry", 0),
    ("command", 0),
    ("sanitize", 0),
    ("inspect", 0),
    ("engine", 1),
    ("models", 1),
    ("store", 1),
    ("export", 1),
    ("config", 1),
    ("theme", 1),
    ("app", 2),
    ("ui", 3),
    ("runtime", 4),
    ("cli", 5),
];

/// Inside a layer: who may name whom.
const EQUALS: &[(&str, &str)] = &[
    ("chat", "token"),
    ("chat", "sampling"),
    ("sampling", "token"),
    ("model_entry", "sampling"),
    ("inspect", "token"),
    ("inspect", "sampling"),
    ("theme", "config"),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                out.push((path, text));
            }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut out);
    out
}

/// A file's path below `src/`, with `/` between the parts.
fn below_src(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/")
}

fn module_of(file: &str) -> String {
    file.split(['/', '.']).next().unwrap().to_owned()
}

/// The code of a file: no comments, no test module.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap();
    before_tests
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(file: &str) -> bool {
    file.contains("test")
}

/// Top-level modules that a piece of code names through `crate::`.
fn named(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in code.split("crate::").skip(1) {
        if let Some(list) = part.strip_prefix('{') {
            let mut depth = 1;
            let mut item = String::new();
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => {
                        names.push(std::mem::take(&mut item));
                        continue;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                item.push(c);
            }
            names.push(item);
        } else {
            names.push(part.to_owned());
        }
    }
    names
        .iter()
        .map(|name| name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .filter(|name: &String| !name.is_empty())
        .collect()
}

#[test]
fn a_module_names_only_lower_layers() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let file = below_src(&path);
        let module = module_of(&file);
        let Some(own) = layers.get(module.as_str()) else { continue };
        if is_test_file(&file) {
            continue;
        }
        for other in named(&code(&text)) {
            let Some(layer) = layers.get(other.as_str()) else { continue };
            let allowed =
                other == module || layer < own || EQUALS.contains(&(module.as_str(), other.as_str()));
            if !allowed {
                wrong.push(format!("{file} names {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_module_has_a_layer() {
    for (path, _) in sources() {
        let module = module_of(&below_src(&path));
        let known = module == "lib" || module == "main" || LAYERS.iter().any(|(name, _)| *name == module);
        assert!(known, "{module} has no layer");
    }
}

#[test]
fn foreign_types_stay_where_they_belong() {
    let rules: &[(&str, &[&str])] = &[
        ("llama_cpp", &["engine/"]),
        ("rusqlite", &["store/"]),
        ("tokio", &["runtime/", "models/", "cli/"]),
        ("ratatui", &["ui/", "theme/", "runtime/"]),
    ];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let file = below_src(&path);
        let code = code(&text);
        for (name, places) in rules {
            let uses = code.contains(&format!("{name}::")) || code.contains(&format!("{name}_2::"));
            if uses && !places.iter().any(|place| file.starts_with(place)) {
                wrong.push(format!("{file} names {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn unsafe_code_stays_in_the_files_meant_for_it() {
    let meant =
        ["engine/probe.rs", "engine/graph.rs", "engine/native.rs", "engine/weights.rs", "runtime/native.rs"];
    for (path, text) in sources() {
        let file = below_src(&path);
        let code = code(&text);
        let uses =
            ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"].iter().any(|word| code.contains(word));
        assert!(
            !uses || meant.contains(&file.as_str()) || file.starts_with("engine/probe/"),
            "{file} holds unsafe code"
        );
    }
}

#[test]
fn the_app_reads_no_clock_and_does_no_io() {
    let forbidden =
        ["std::fs", "std::io", "std::net", "std::process", "std::thread", "Instant::now", "SystemTime"];
    for (path, text) in sources() {
        let file = below_src(&path);
        if file.starts_with("app/") {
            let code = code(&text);
            let found: Vec<_> = forbidden.iter().filter(|word| code.contains(**word)).collect();
            assert!(found.is_empty(), "{file} names {found:?}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not open with what it is for", below_src(&path));
    }
}
