//! An engine's process gives up what it does not need, before a model's file is opened and before any thread starts.
//!
//! llama.cpp reads files from strangers and has had faults in that; a file made to harm would run as the engine. So
//! the engine keeps what a model needs and no more:
//!
//! - Files, by Landlock. It writes in its own folders alone ([`Allowed::own`]: snapshots, dequantised copies, drivers'
//!   caches), so models are read-only. It reads the system and the files that it was given. The app's own reads what lies
//!   openly too, in the user's folder and beside: a chat can name an adapter there at any time, and a process that has
//!   given up a right cannot take it back. Folders hidden in the home itself (keys, browsers, mail, the database of chats)
//!   it cannot read; a right to a folder is one to all in it, so one that is hidden further down it can.
//! - System calls, by seccomp: a list of what can do harm is refused with `EPERM`. A list of what is allowed would be
//!   stronger, and would break with the next C library, compiler or GPU driver: what ends a chat is turned off, and then
//!   holds nothing. Refusing rather than killing leaves a library its own way out.
//! - Both are refused to Linux without them, and other systems have none that is used here; what holds is told
//!   ([`Containment`]).
//!
//! Crates: `landlock` is kept by those who keep it in the kernel, and knows which kernel has what. `seccompiler` is that
//! of the virtual machine monitors, 2,000 lines without dependencies but `libc`; writing the filter by hand would be
//! 60 lines with `unsafe` and no tests but ours. `libseccomp` would need a C library to be installed.
//!
//! Invariant: nothing here fails a start. What cannot be had is said, and the engine goes on.

#[cfg(feature = "testing")]
pub mod faults;
#[cfg(target_os = "linux")]
mod files;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod system_calls;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::protocol::{Containment, Held, Measure};

/// The first of the folders that this process was given to write in.
static OWN: OnceLock<PathBuf> = OnceLock::new();

/// What an engine may touch, given when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// What it may read.
    pub reading: Reading,
    /// The folders that it may write in, made if they are not there. The first is for whatever is passing.
    pub own: Vec<PathBuf>,
    /// Whether it may speak over a network.
    pub network: Network,
}

/// What an engine may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Everything: started without a list, as on another machine.
    Everything,
    /// These files and folders, beside the system.
    These(Vec<PathBuf>),
    /// These, the system and what lies openly.
    Openly(Vec<PathBuf>),
}

/// Whether an engine may speak over a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Not at all: its model is on this machine.
    None,
    /// Anywhere: parts of its model are on other machines.
    Any,
}

/// The folder that this process may write in, where it is held to one.
#[must_use]
pub fn own_folder() -> Option<&'static Path> {
    OWN.get().map(PathBuf::as_path)
}

/// Why a file that is there cannot be read, where this process gave that up; as the rest of a sentence about it.
#[must_use]
pub fn kept_from(path: &Path) -> Option<&'static str> {
    let refused =
        std::fs::File::open(path).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
    (refused && own_folder().is_some()).then_some(
        "the engine was not told of it when it started, and does not read there: name it in the model's entry, or put it \
         where it lies openly, and load the model again",
    )
}

/// Where GPU drivers keep what they compile, as variables of the environment: elsewhere they could not.
#[must_use]
pub fn driver_caches(own: &Path) -> Vec<(&'static str, PathBuf)> {
    let folder = own.join("drivers");
    let names =
        ["CUDA_CACHE_PATH", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH", "AMD_COMGR_CACHE_DIR"];
    names.map(|name| (name, folder.clone())).into()
}

/// Holds this process to what is allowed, for good; gives what came of it. To be called before any other thread starts.
#[must_use]
pub fn contain(allowed: &Allowed) -> Containment {
    Containment::Measures(measures(allowed))
}

#[cfg(target_os = "linux")]
fn measures(allowed: &Allowed) -> Vec<(Measure, Held)> {
    for folder in &allowed.own {
        match private_folder(folder) {
            Ok(()) => drop(OWN.set(folder.clone())),
            Err(error) => tracing::warn!(%error, "{} could not be made", folder.display()),
        }
    }
    // A measure holds for the thread that takes it, and for those that it starts.
    if threads().is_some_and(|count| count > 1) {
        let why = || Held::Not("threads had started already".to_owned());
        return Measure::ALL.map(|measure| (measure, why())).into();
    }
    let (writing, reading, connecting) = files::restrict(allowed);
    let calls = calls(allowed);
    let network = match (allowed.network, &calls, connecting) {
        (Network::Any, _, _) => Held::Not("it asks other machines".to_owned()),
        (Network::None, Held::Not(_), Held::By(means)) => Held::By(format!("TCP alone, {means}")),
        (Network::None, _, _) => calls.clone(),
    };
    vec![
        (Measure::NoNewPrivileges, no_new_privileges()),
        (Measure::Writing, writing),
        (Measure::Reading, reading),
        (Measure::Network, network),
        (Measure::SystemCalls, calls),
    ]
}

/// A folder that only the user may read.
#[cfg(target_os = "linux")]
fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut folder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn calls(allowed: &Allowed) -> Held {
    system_calls::restrict(allowed.network)
}

#[cfg(all(target_os = "linux", not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn calls(_: &Allowed) -> Held {
    Held::Not("the calls of this processor are not listed".to_owned())
}

/// What the system says of this process now.
#[cfg(target_os = "linux")]
fn no_new_privileges() -> Held {
    match status("NoNewPrivs:").as_deref() {
        Some("1") => Held::By(String::new()),
        _ => Held::Not("the system does not say so".to_owned()),
    }
}

/// A line of what the system says of this process.
#[cfg(target_os = "linux")]
fn status(name: &str) -> Option<String> {
    let all = std::fs::read_to_string("/proc/self/status").ok()?;
    all.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
}

#[cfg(target_os = "linux")]
fn threads() -> Option<usize> {
    status("Threads:")?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn measures(_: &Allowed) -> Vec<(Measure, Held)> {
    let why = || Held::Not("glassbox knows no means on this system".to_owned());
    Measure::ALL.map(|measure| (measure, why())).into()
}
