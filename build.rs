//! Where the loader finds llama.cpp, in a build that has it as libraries: beside the program, or where it was built.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GLASSBOX_PACKAGE");
    let set = |name: &str| std::env::var(name).ok();
    let (Some(backends), Some(system)) = (set("DEP_LLAMA_BACKENDS_DIR"), set("CARGO_CFG_TARGET_OS")) else {
        return;
    };
    let beside = match system.as_str() {
        "windows" => return,
        "macos" => "@loader_path",
        _ => {
            // So that its libraries find each other, and the compiler's, in the same places: they name none themselves.
            println!("cargo:rustc-link-arg=-Wl,--disable-new-dtags");
            "$ORIGIN"
        }
    };
    let mut folders = vec![beside.to_owned()];
    if set("GLASSBOX_PACKAGE").is_none() {
        folders.extend([format!("{backends}/../lib"), format!("{backends}/../lib64")]);
    }
    for folder in folders {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
}
