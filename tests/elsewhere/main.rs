//! The engine on another machine, on this one: through programs that fail as ssh does, over lines that are slow, late and
//! cut, and through a real sshd where there is one.
//!
//! Invariant: nothing of the user's is touched: homes, keys, ports and configurations of ssh are of each test's own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "a test that cannot be tried says why")]

mod failing;
mod line;
mod sshd;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What stands behind the host in an entry's command: an engine with a folder of its own.
fn engine(home: &Path) -> Vec<String> {
    let home = format!("GLASSBOX_HOME={}", home.join("there").display());
    [
        "env",
        &home,
        env!("CARGO_BIN_EXE_glassbox"),
        "engine",
        "--engine",
        "scripted:token_ms=2,load_ms=5,seed=1",
    ]
    .map(str::to_owned)
    .into()
}

/// A home whose only model is run by that command.
fn home_with(command: &[String]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    write_config(home.path(), command);
    home
}

/// Writes the configuration of such a home.
fn write_config(home: &Path, command: &[String]) {
    fs::create_dir_all(home.join("config")).unwrap();
    let text = format!(
        "model = \"far\"\n[[models]]\nname = \"far\"\npath = \"/there/far.gguf\"\nengine = {command:?}\n"
    );
    fs::write(home.join("config/config.toml"), text).unwrap();
}

/// A program of that name in a folder, as a script.
fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    // Written by another process: a file that a thread of this one has open for writing when another thread starts a
    // program cannot be run until that program has begun ("text file busy").
    let mut install = Command::new("install");
    install.args(["-m", "700", "/dev/stdin"]).arg(&path).stdin(Stdio::piped());
    let mut install = install.spawn().unwrap();
    write!(install.stdin.take().unwrap(), "#!/bin/sh\n{script}\n").unwrap();
    assert!(install.wait().unwrap().success());
    path
}

/// `glassbox` in a home, without the user's environment of it.
fn glassbox(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.args(arguments).env("GLASSBOX_HOME", home).env("HOME", home).output().unwrap()
}

/// What a reply says, or the error.
fn ask(home: &Path) -> Result<String, String> {
    let output = glassbox(home, &["ask", "--model", "far", "Hello"]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
