//! Where llama.cpp's backends are, in a build that loads them as libraries, and which of them this machine can run.
//!
//! ggml's CPU backend comes in variants by instruction set, and ggml takes the richest that the processor names. That a
//! processor names instructions does not mean that they run: a virtual machine may not let them through, a compiler may
//! have made them wrong. So before anything is loaded, the program has itself started once more to multiply a little in
//! every arithmetic of the variant (`backend_trial`); where that ends by a signal, the next variant has its turn.
//!
//! Invariant: they are of one folder: the program's own where there are any in it, else the one they were built in;
//! the folder that the program happens to be started in is never searched.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use llama_cpp_2::llama_backend;

/// What stands before the folder in the engine's name that asks for a trial: `--engine try-backends:FOLDER`.
pub const TRIAL: &str = "try-backends:";

/// Whether they were loaded before they were asked for, since some of them had to be left out.
static LOADED: OnceLock<()> = OnceLock::new();

/// Loads them. Fails in words, where there are none.
pub(crate) fn load() -> Result<(), String> {
    if LOADED.get().is_none() {
        load_from(&folder()?);
    }
    Ok(())
}

/// Loads those of one folder.
pub fn load_from(folder: &Path) {
    llama_backend::load_backends_from_path(folder);
}

/// Tries the CPU's variants, the richest first, and loads the others where one traps. To be called by the engine's process
/// before any other thread and before it gives up starting programs and writing. Where nothing can be started, nothing is
/// left out.
pub fn leave_out_what_traps() {
    let (Ok(folder), Ok(program)) = (folder(), std::env::current_exe()) else { return };
    let mut trapping: Vec<String> = Vec::new();
    while variants(&folder).len() > trapping.len() {
        let Ok(kept) = without(&folder, &trapping) else { return };
        let Some((ended, variant)) = tried(&program, kept.path()) else { return };
        match variant {
            Some(variant) if !ended.success() && !trapping.contains(&variant) => {
                tracing::warn!(
                    "{variant} does not run on this machine ({ended}); the next of its kind is used"
                );
                trapping.push(variant);
            }
            _ => break,
        }
    }
    // With none left there is nothing to lose by the first.
    if trapping.is_empty() || trapping.len() == variants(&folder).len() {
        return;
    }
    if let Ok(kept) = without(&folder, &trapping) {
        load_from(kept.path());
        LOADED.get_or_init(|| ());
    }
}

/// How a trial of what a folder holds ended, and which variant it loaded; `None` where it could not be started.
fn tried(program: &Path, folder: &Path) -> Option<(ExitStatus, Option<String>)> {
    let engine = format!("{TRIAL}{}", folder.to_str()?);
    let mut command = Command::new(program);
    // What it says goes into the engine's log; a pipe for its input, since frames for the engine wait in the other.
    command.args(["engine", "--engine", &engine]).stdin(Stdio::piped()).stderr(Stdio::inherit());
    let output = command.output().ok()?;
    let variant = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some((output.status, Some(variant).filter(|variant| !variant.is_empty())))
}

/// Where they are.
fn folder() -> Result<PathBuf, String> {
    let program = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let beside = program.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let built = llama_cpp_sys_2::BACKENDS_DIR.map(PathBuf::from);
    let folders: Vec<PathBuf> = beside.into_iter().chain(built).collect();
    let found = folders.iter().find(|folder| folder.to_str().is_some() && !variants(folder).is_empty());
    found.cloned().ok_or_else(|| format!("its libraries (libggml-cpu-….so) are not in {}", either(&folders)))
}

/// The files of the backend that every build has: that of the CPU, by whatever instructions it is made for.
fn variants(folder: &Path) -> Vec<String> {
    names(folder).filter(|name| name.trim_start_matches("lib").starts_with("ggml-cpu")).collect()
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.file_name().into_string().ok())
}

/// A folder of links to a folder's libraries but those that are left out.
fn without(folder: &Path, left_out: &[String]) -> std::io::Result<tempfile::TempDir> {
    let links = tempfile::Builder::new().prefix("glassbox-backends-").tempdir()?;
    for name in names(folder).filter(|name| name.contains("ggml-") && !left_out.contains(name)) {
        std::os::unix::fs::symlink(folder.join(&name), links.path().join(&name))?;
    }
    Ok(links)
}

fn either(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_of_the_cpus_backend_are_found_and_left_out_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert!(variants(folder.path()).is_empty() && variants(&folder.path().join("nothing")).is_empty());
        for name in ["libggml-cuda.so", "libggml-cpu-haswell.so", "libggml-cpu-x64.so", "libllama.so"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(variants(folder.path()).len(), 2);
        let links = without(folder.path(), &["libggml-cpu-haswell.so".to_owned()]).unwrap();
        assert_eq!(variants(links.path()), ["libggml-cpu-x64.so"]);
        assert!(links.path().join("libggml-cuda.so").exists() && !links.path().join("libllama.so").exists());
    }

    /// A program that says which variant it loaded and, where that is the richest, ends by a trap.
    #[test]
    fn a_variant_that_traps_is_told_from_one_that_runs() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let script = "#!/bin/sh\necho libggml-cpu-rich.so\nkill -ILL $$\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let (ended, variant) = tried(&program, folder.path()).unwrap();
        assert!(!ended.success());
        assert_eq!(variant.as_deref(), Some("libggml-cpu-rich.so"));
        assert!(tried(&folder.path().join("nothing"), folder.path()).is_none());
    }

    #[test]
    fn the_backends_of_this_build_are_found() {
        crate::engine::model::load::backend().unwrap();
        assert!(!llama_cpp_2::list_llama_ggml_backend_devices().is_empty());
    }
}
