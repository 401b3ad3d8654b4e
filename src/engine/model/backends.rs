//! Where llama.cpp's backends are, in a build that loads them as libraries.
//!
//! Invariant: they are of one folder: the program's own where there are any in it, else the one they were built in;
//! the folder that the program happens to be started in is never searched.

use std::path::{Path, PathBuf};

use llama_cpp_2::llama_backend;

/// Loads them. Fails in words, where there are none.
pub(crate) fn load() -> Result<(), String> {
    let program = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let beside = program.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let built = llama_cpp_sys_2::BACKENDS_DIR.map(PathBuf::from);
    let folders: Vec<PathBuf> = beside.into_iter().chain(built).collect();
    match folders.iter().find(|folder| folder.to_str().is_some() && holds_one(folder)) {
        Some(folder) => llama_backend::load_backends_from_path(folder),
        None => return Err(format!("its libraries (libggml-cpu-….so) are not in {}", either(&folders))),
    }
    Ok(())
}

/// Whether the backend that every build has is there: that of the CPU, by whatever instructions it is made for.
fn holds_one(folder: &Path) -> bool {
    let is_one = |name: &str| name.trim_start_matches("lib").starts_with("ggml-cpu");
    let mut files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.any(|file| file.file_name().to_str().is_some_and(is_one))
}

fn either(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_backends_once_one_for_the_cpu_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!holds_one(folder.path()) && !holds_one(&folder.path().join("nothing")));
        std::fs::write(folder.path().join("libggml-cuda.so"), "").unwrap();
        assert!(!holds_one(folder.path()));
        std::fs::write(folder.path().join("libggml-cpu-haswell.so"), "").unwrap();
        assert!(holds_one(folder.path()));
    }

    #[test]
    fn the_backends_of_this_build_are_found() {
        crate::engine::model::load::backend().unwrap();
        assert!(!llama_cpp_2::list_llama_ggml_backend_devices().is_empty());
    }
}
