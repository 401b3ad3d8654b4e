//! The layering of `src/lib.rs`, read from the sources: a module names only lower layers; engine types,
//! SQLite, tokio and `unsafe` stay where they belong; no two files need each other.
//!
//! Invariant: every file is read whole but for what is compiled in tests alone, told by `#[cfg(test)]` and not by where
//! it stands. The sources are cut into Rust's own tokens, so a comment or a text never counts as code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Layer of each top-level module.
const LAYERS: &[(&str, u8)] = &[
    ("token", 0),
    ("bearer", 0),
    ("request_error", 0),
    ("chat", 0),
    ("sampling", 0),
    ("model_entry", 0),
    ("elsewhere", 0),
    ("command", 0),
    ("sanitize", 0),
    ("search", 0),
    ("markdown", 0),
    ("reasoning", 0),
    ("fold", 0),
    ("durable", 0),
    ("locked", 0),
    ("free_memory", 0),
    ("inspect", 0),
    ("engine", 1),
    ("grammar", 0),
    ("models", 1),
    ("store", 1),
    ("export", 1),
    ("import", 1),
    ("config", 1),
    ("theme", 1),
    ("attachment", 1),
    ("app", 2),
    ("ui", 3),
    ("runtime", 4),
    ("cli", 5),
    ("fuzzed", 6),
];

/// Inside a layer: who may name whom.
const EQUALS: &[(&str, &str)] = &[
    ("chat", "token"),
    ("chat", "sampling"),
    ("chat", "reasoning"),
    ("model_entry", "chat"),
    ("elsewhere", "model_entry"),
    ("sampling", "token"),
    ("model_entry", "sampling"),
    ("inspect", "token"),
    ("inspect", "sampling"),
    ("search", "chat"),
    ("search", "fold"),
    ("theme", "config"),
    ("markdown", "sanitize"),
    ("request_error", "sanitize"),
    ("markdown", "chat"),
];

/// The files and folders that may hold unsafe code.
const UNSAFE: &[&str] = &[
    "engine/probe/",
    "engine/threads/native.rs",
    "engine/compute/graph.rs",
    "engine/compute/trial.rs",
    "engine/model/ffi.rs",
    "engine/model/weights.rs",
    "runtime/native.rs",
];

/// Inside `engine`: what a folder must not name, since that stands above it.
const ENGINE: &[(&str, &[&str])] = &[
    ("session", &["jobs", "analysis", "transport", "prompt"]),
    ("model", &["jobs", "session", "analysis", "transport"]),
    ("probe", &["jobs", "session", "analysis", "transport"]),
    ("analysis", &["jobs", "session", "transport"]),
    ("prompt", &["jobs", "analysis", "transport"]),
    ("transport", &["jobs", "session", "analysis", "model", "probe", "prompt", "compute"]),
    ("compute", &["jobs", "session", "analysis", "model", "probe", "transport"]),
    ("threads", &["jobs", "session", "analysis", "model", "probe", "transport"]),
    ("protocol", &["jobs", "session", "analysis", "model", "probe", "transport"]),
];

/// A file of `src/`.
struct Source {
    /// Its path below `src/`, with `/` between the parts.
    file: String,
    /// The module that it is: `["engine", "probe"]`.
    module: Vec<String>,
    /// Its text.
    text: String,
    /// Its tokens without what is compiled in tests alone.
    code: Vec<String>,
}

/// A module that is compiled in tests alone.
struct Child {
    name: String,
    /// Whether an attribute says that its file stands beside the one that declares it.
    beside: bool,
}

/// Every file of `src/` that is compiled outside of tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    let mut in_tests = BTreeSet::new();
    walk(&root, &mut |path| {
        let file = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        let mut module: Vec<String> = file.trim_end_matches(".rs").split('/').map(String::from).collect();
        if module.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
            module.pop();
        }
        let text = fs::read_to_string(path).unwrap();
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut code = Vec::new();
        flatten(stream, &mut code, &mut |child| {
            let folder = if child.beside { &module[..module.len() - 1] } else { &module[..] };
            in_tests.insert([folder, &[child.name]].concat());
        });
        all.push(Source { file, module, text, code });
    });
    all.retain(|source| (1..=source.module.len()).all(|most| !in_tests.contains(&source.module[..most])));
    all
}

fn walk(folder: &Path, each: &mut impl FnMut(&Path)) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, each);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            each(&path);
        }
    }
}

/// Tokens as texts, groups opened; what `#[cfg(test)]` stands on is left out, and modules of that kind are told.
fn flatten(stream: TokenStream, out: &mut Vec<String>, test_module: &mut impl FnMut(Child)) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < trees.len() {
        if is_for_tests(&trees[at..]) {
            let end = end_of_item(&trees, at);
            let names = trees[at..end].windows(2).filter(|pair| pair[0].to_string() == "mod");
            names.for_each(|pair| test_module(Child { name: pair[1].to_string(), beside: false }));
            let attributes = trees[at..end].iter().map(ToString::to_string);
            let paths = attributes
                .filter_map(|text| Some(text.split_once("path = \"")?.1.split_once(".rs\"")?.0.to_owned()));
            paths.for_each(|name| test_module(Child { name, beside: true }));
            at = end;
            continue;
        }
        match &trees[at] {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                out.push(open.to_owned());
                flatten(group.stream(), out, test_module);
                out.push(close.to_owned());
            }
            token => out.push(token.to_string()),
        }
        at += 1;
    }
}

/// Whether an attribute begins here that keeps what follows out of a build without tests.
fn is_for_tests(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return false };
    let words: Vec<String> = attribute.stream().to_string().split_whitespace().map(String::from).collect();
    let text = words.concat();
    hash.as_char() == '#'
        && (text == "cfg(test)" || text.starts_with("cfg(any(test,") || text.starts_with("cfg(all(test,"))
}

/// The place after the item whose first attribute stands at `at`.
fn end_of_item(trees: &[TokenTree], mut at: usize) -> usize {
    let punct = |tree: &TokenTree, is: char| matches!(tree, TokenTree::Punct(p) if p.as_char() == is);
    while at + 1 < trees.len() && punct(&trees[at], '#') {
        at += 2;
    }
    let import = trees[at..].iter().take(3).any(|tree| tree.to_string() == "use");
    while at < trees.len() {
        let braces = matches!(&trees[at], TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        let ends = punct(&trees[at], ';') || punct(&trees[at], ',') || (braces && !import);
        at += 1;
        if ends {
            break;
        }
    }
    at
}

/// All paths that begin with `crate`, `super` or `self`, those of a `use` with braces one by one.
fn paths(code: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let begins = matches!(code[at].as_str(), "crate" | "super" | "self")
            && !(at > 1 && code[at - 1] == ":" && code[at - 2] == ":");
        if begins { at = path_at(code, at, Vec::new(), &mut found) } else { at += 1 }
    }
    found.retain(|path| path.len() > 1 || path[0] == "super");
    found
}

/// Reads one path, which may end in a group of paths; gives the place after it.
fn path_at(code: &[String], mut at: usize, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let is = |at: usize, text: &str| code.get(at).is_some_and(|token| token == text);
    loop {
        if is(at, "{") {
            at += 1;
            while at < code.len() && !is(at, "}") {
                at = path_at(code, at, path.clone(), found);
                while at < code.len() && !is(at, ",") && !is(at, "}") {
                    at += 1; // `as NAME`
                }
                at += usize::from(is(at, ","));
            }
            return at + 1;
        }
        let Some(word) = code.get(at) else { break };
        path.push(word.clone());
        at += 1;
        if !(is(at, ":") && is(at + 1, ":")) {
            break;
        }
        at += 2;
    }
    found.push(path);
    at
}

/// The file that a path of a file means, by its module.
fn resolve(me: &[String], path: &[String], files: &BTreeSet<Vec<String>>) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match path[0].as_str() {
        "crate" => (&me[..0], &path[1..]),
        "super" => (&me[..me.len().checked_sub(ups)?], &path[ups..]),
        _ => (me, &path[1..]),
    };
    let full: Vec<String> = base.iter().chain(rest).cloned().collect();
    (1..=full.len()).rev().map(|most| full[..most].to_vec()).find(|module| files.contains(module))
}

/// Which files each file names, by module; a folder's index and its own files aside.
fn graph(all: &[Source]) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files: BTreeSet<Vec<String>> = all.iter().map(|source| source.module.clone()).collect();
    let named = |source: &Source| {
        let me = &source.module;
        let paths = paths(&source.code).into_iter();
        paths
            .filter_map(|path| resolve(me, &path, &files))
            .filter(|other| !other.starts_with(me) && !me.starts_with(other))
            .collect()
    };
    all.iter().map(|source| (source.module.clone(), named(source))).collect()
}

/// What can be reached from a file.
fn reached<'a>(
    graph: &'a BTreeMap<Vec<String>, BTreeSet<Vec<String>>>,
    from: &'a Vec<String>,
) -> BTreeSet<&'a Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        next.extend(graph[module].iter().filter(|other| seen.insert(*other)));
    }
    seen
}

#[test]
fn no_two_files_need_each_other() {
    let all = sources();
    let graph = graph(&all);
    let in_circle = graph.keys().filter(|module| reached(&graph, module).contains(module));
    let found: Vec<String> = in_circle.map(|module| module.join("/")).collect();
    assert!(found.is_empty(), "these files name each other in a circle: {found:#?}");
}

#[test]
fn the_engine_names_nothing_above_itself() {
    let all = sources();
    let mut wrong = Vec::new();
    for (module, others) in graph(&all) {
        let [engine, folder, ..] = module.as_slice() else { continue };
        let Some((_, above)) = ENGINE.iter().find(|(name, _)| engine == "engine" && folder == name) else {
            continue;
        };
        let named = others.iter().filter(|other| other.len() > 1 && other[0] == "engine");
        let named = named.filter(|other| above.contains(&other[1].as_str()));
        wrong.extend(named.map(|other| format!("{} names {}", module.join("/"), other.join("/"))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_file_is_read_to_its_end_and_its_tests_are_not() {
    let text = "#[cfg(test)] mod tests; #[cfg(test)] use crate::{a}; #[cfg(test)]\n#[must_use] fn f() { crate::b::c }\n\
                // crate::comment\nconst T: &str = \"crate::text\"; use crate::{d::{E, f as g}, h}; fn k() { super::m() }";
    let (mut code, mut modules) = (Vec::new(), Vec::new());
    flatten(text.parse().unwrap(), &mut code, &mut |child| modules.push(child.name));
    let found: Vec<String> = paths(&code).iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["crate::d::E", "crate::d::f", "crate::h", "super::m"]);
    assert_eq!(modules, ["tests"]);
}

#[test]
fn a_module_names_only_lower_layers() {
    let layers: BTreeMap<&str, u8> = LAYERS.iter().copied().collect();
    let all = sources();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (module, others) in graph(&all) {
        let Some(module) = module.first() else { continue };
        let Some(own) = layers.get(module.as_str()) else { continue };
        for other in others.iter().filter_map(|other| other.first()) {
            let Some(layer) = layers.get(other.as_str()) else { continue };
            compared += 1;
            let equal = EQUALS.contains(&(module.as_str(), other.as_str()));
            if !(other == module || layer < own || equal) {
                wrong.push(format!("{module} names {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(compared > 1000, "only {compared} were compared");
}

#[test]
fn every_module_has_a_layer() {
    for Source { module, .. } in sources() {
        let Some(module) = module.first() else { continue };
        assert!(LAYERS.iter().any(|(name, _)| name == module), "{module} has no layer");
    }
}

/// Whether a path such as `std::fs` stands in the code.
fn holds(code: &[String], path: &str) -> bool {
    let words: Vec<String> = path.replace("::", " : : ").split_whitespace().map(String::from).collect();
    code.windows(words.len()).any(|window| window == words)
}

#[test]
fn foreign_types_stay_where_they_belong() {
    let rules: &[(&str, &[&str])] = &[
        ("llama_cpp_2", &["engine/"]),
        ("llama_cpp_sys_2", &["engine/"]),
        ("rusqlite", &["store/"]),
        ("tokio", &["runtime/", "models/", "cli/", "engine/server/"]),
        ("ratatui", &["ui/", "theme/", "runtime/"]),
    ];
    let all = sources();
    for (name, places) in rules {
        let users = all.iter().filter(|source| holds(&source.code, name));
        let (right, wrong): (Vec<&str>, Vec<&str>) = users
            .map(|source| source.file.as_str())
            .partition(|file| places.iter().any(|place| file.starts_with(place)));
        assert!(wrong.is_empty(), "{name} is named in {wrong:#?}");
        assert!(!right.is_empty(), "{name} is named nowhere");
    }
}

#[test]
fn unsafe_code_stays_in_the_files_meant_for_it() {
    for Source { file, code, .. } in sources() {
        let uses = ["{", "impl", "fn", "extern"].iter().any(|next| holds(&code, &format!("unsafe {next}")));
        assert!(!uses || UNSAFE.iter().any(|place| file.starts_with(place)), "{file} holds unsafe code");
    }
}

#[test]
fn the_app_reads_no_clock_and_does_no_io() {
    let forbidden =
        ["std::fs", "std::io", "std::net", "std::process", "std::thread", "Instant::now", "SystemTime"];
    for Source { file, code, .. } in sources().into_iter().filter(|source| source.file.starts_with("app/")) {
        let found: Vec<_> = forbidden.iter().filter(|path| holds(&code, path)).collect();
        assert!(found.is_empty(), "{file} names {found:?}");
    }
}

#[test]
fn every_file_says_what_it_is_for() {
    for Source { file, text, .. } in sources() {
        assert!(text.starts_with("//!"), "{file} does not open with what it is for");
    }
}

/// Crates with the features that a build takes them with, as `name version|features`.
fn crates(build: &[&str]) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}|{f}"]).args(build);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)").to_owned());
    lines.filter(|line| !line.starts_with("glassbox ")).collect()
}

#[test]
fn what_one_build_compiled_the_others_take() {
    let name = |line: &String| line.split('|').next().unwrap().to_owned();
    let tests = crates(&["--edges", "normal,build,dev", "--features", "testing"]);
    let run = crates(&["--edges", "normal,build"]);
    let names: BTreeSet<String> = run.iter().map(name).collect();
    let of_run: BTreeSet<String> = tests.iter().filter(|line| names.contains(&name(line))).cloned().collect();
    let apart: Vec<_> = of_run.symmetric_difference(&run).collect();
    assert!(apart.is_empty(), "`make test` compiles again what `make run` has: {apart:#?}");
    let minimal = crates(&["--edges", "normal,build", "--no-default-features"]);
    let apart: Vec<_> = minimal.difference(&tests).collect();
    assert!(apart.is_empty(), "without llama.cpp these are compiled once more: {apart:#?}");
    assert!(minimal.len() > 100 && minimal.len() < run.len());
}
