//! `glassbox bench` on a base model named by its path: one that would end a reply before it was measured.
//!
//! Invariant: only whether every figure is there is looked at, never how fast the machine is.

use std::path::Path;
use std::process::{Command, Output};

fn glassbox(home: &Path, model: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.arg("bench").args(args).arg("--model").arg(model).env("GLASSBOX_HOME", home);
    command.output().unwrap()
}

fn gemma() -> std::ffi::OsString {
    std::env::var_os("GLASSBOX_TEST_GEMMA").expect("run the tests with `make test`")
}

#[test]
fn every_figure_is_there_for_a_base_model_too() {
    let home = tempfile::tempdir().unwrap();
    let output =
        glassbox(home.path(), gemma(), &["--tokens", "4", "--rounds", "1", "--long", "300", "--json"]);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{said}"));
    let figures = report["measurements"].as_object().unwrap();
    let missing: Vec<_> = figures.iter().filter(|(_, value)| value.is_null()).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let beside = ["beside a busy program", "beside a second engine ÷ alone", "prompt read beside them"];
    let parts = [
        "engine ÷ bare",
        "the whole app ÷ bare",
        "all layers copied",
        "drafted ÷ not drafted",
        "stop while writing",
        "from a snapshot",
        "past token",
        "rollout",
        "resident",
    ];
    for part in parts.into_iter().chain(beside) {
        assert!(figures.keys().any(|name| name.contains(part)), "{part} is not in {out}");
    }
}

#[test]
fn terms_are_asked_for_only_where_the_file_is_missing_and_the_folder_is_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data/models");
    let args = ["--memory-of", "bare", "--tokens", "2"];
    let output = glassbox(home.path(), "gemma-3-270m", &args);
    let said = String::from_utf8_lossy(&output.stderr);
    let missing = format!("gemma-3-270m is not in {}, and it comes with terms of use", folder.display());
    assert!(!output.status.success() && said.contains(&missing), "{said}");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(gemma(), folder.join("gemma-3-270m.gguf")).unwrap();
    let output = glassbox(home.path(), "gemma-3-270m", &args);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(out.trim().parse::<u64>().is_ok_and(|bytes| bytes > 100_000_000), "{out}");
}
