//! Where the loader finds llama.cpp, in a build that has it as libraries: beside the program, or where it was built.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let set = |name: &str| std::env::var(name).ok();
    let (Some(backends), Some(system)) = (set("DEP_LLAMA_BACKENDS_DIR"), set("CARGO_CFG_TARGET_OS")) else {
        return;
    };
    let beside = match system.as_str() {
        "windows" => return,
        "macos" => "@loader_path",
        _ => "$ORIGIN",
    };
    for folder in [beside.to_owned(), format!("{backends}/../lib"), format!("{backends}/../lib64")] {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
