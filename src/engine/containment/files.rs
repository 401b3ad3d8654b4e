//! Which files an engine reaches, by Landlock: a right that no rule gives is gone.
//!
//! Invariant: rights to write are given to the engine's own folders and to devices alone.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, RestrictionStatus, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::{Allowed, Network, Reading};
use crate::engine::protocol::Held;

/// The newest version whose rights are named here. Where the kernel has an older one, it holds what that one can.
const NEWEST: ABI = ABI::V6;

/// Beside the folders of [`open_roots`]: what libraries, threads and the clock read.
const SYSTEM: &[&str] = &[
    "/proc",
    "/sys",
    "/etc/alternatives",
    "/etc/glvnd",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/OpenCL",
    "/etc/timezone",
    "/etc/vulkan",
    "/run/opengl-driver",
    "/dev/random",
    "/dev/urandom",
];

/// Where programs, libraries and drivers are, which may be loaded late.
const PROGRAMS: &[&str] = &[
    "/bin",
    "/gnu/store",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/opt",
    "/sbin",
    "/usr",
    "/var/lib/snapd/lib",
];

/// What finding a machine by its name and checking its certificate read, where a network is allowed.
const NETWORK: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/var/lib/ca-certificates",
];

/// Folders of `/` that hold more than programs, or what is listed one by one.
const NOT_OPEN: &[&str] =
    &["/boot", "/dev", "/etc", "/home", "/lost+found", "/proc", "/root", "/run", "/sys", "/var"];

/// Devices that are read and written: nothing is lost in them.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full"];

/// Beginnings of the names below `/dev` that GPU drivers open.
const GPU_DEVICES: &[&str] = &["nvidia", "dri", "kfd", "dxg", "mali", "shm"];

/// Restricts this thread and those that it will start. Gives whether writing, reading and TCP are held.
pub(super) fn restrict(allowed: &Allowed) -> (Held, Held, Held) {
    let status = match rules(allowed) {
        Ok(status) => status,
        Err(error) => {
            let why = || Held::Not(format!("Landlock: {error}"));
            return (why(), why(), why());
        }
    };
    let abi = match (status.landlock, status.ruleset) {
        (LandlockStatus::NotImplemented, _) => return none("this kernel has no Landlock"),
        (LandlockStatus::NotEnabled, _) => return none("Landlock is off in this kernel"),
        (_, RulesetStatus::NotEnforced) => return none("Landlock took no rules"),
        (LandlockStatus::Available { effective_abi, kernel_abi }, _) => {
            kernel_abi.unwrap_or(effective_abi as i32)
        }
    };
    let held = || Held::By(format!("Landlock ABI {abi}"));
    let reading = match allowed.reading {
        Reading::Everything => Held::Not("what it needs was not known when it started".to_owned()),
        Reading::Openly(_) => held(),
        Reading::These(_) => Held::By(format!("the system and what it was given alone, Landlock ABI {abi}")),
    };
    (held(), reading, if abi >= ABI::V4 as i32 { held() } else { Held::Not(String::new()) })
}

fn none(why: &str) -> (Held, Held, Held) {
    let held = || Held::Not(why.to_owned());
    (held(), held(), held())
}

fn rules(allowed: &Allowed) -> Result<RestrictionStatus, RulesetError> {
    let read = BitFlags::from(AccessFs::ReadFile) | AccessFs::ReadDir;
    let device = read | AccessFs::WriteFile | AccessFs::IoctlDev | AccessFs::Truncate;
    let made = AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::RemoveFile | AccessFs::RemoveDir;
    let own = read | made | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::Refer;
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(NEWEST))?;
    ruleset = ruleset.scope(Scope::from_all(NEWEST))?;
    if allowed.network == Network::None {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    // What is not there is passed over.
    ruleset
        .create()?
        .add_rules(path_beneath_rules(readable(allowed), read))?
        .add_rules(path_beneath_rules(devices(), device))?
        .add_rules(path_beneath_rules(&allowed.own, own))?
        .restrict_self()
}

/// Every file and folder that may be read.
fn readable(allowed: &Allowed) -> Vec<PathBuf> {
    let (mut all, openly) = match &allowed.reading {
        Reading::Everything => return vec![PathBuf::from("/")],
        Reading::These(given) => (given.clone(), false),
        Reading::Openly(given) => (given.clone(), true),
    };
    all.extend(SYSTEM.iter().map(PathBuf::from));
    if allowed.network == Network::Any {
        all.extend(NETWORK.iter().map(PathBuf::from));
    }
    all.extend(PROGRAMS.iter().map(PathBuf::from));
    all.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    all.extend(program_folder());
    #[cfg(feature = "dynamic-backends")]
    all.extend(llama_cpp_sys_2::BACKENDS_DIR.map(PathBuf::from));
    if openly {
        all.extend(lying_openly());
    }
    all
}

/// What a chat may name at any time.
fn lying_openly() -> Vec<PathBuf> {
    let home = directories::BaseDirs::new().map(|folders| folders.home_dir().to_owned());
    let mut all = open_roots();
    all.extend(home.as_deref().into_iter().flat_map(open_in));
    // Where the app was started files are named without a folder; it must not open a whole home.
    let here = std::env::current_dir().ok();
    all.extend(here.filter(|here| home.as_deref().is_none_or(|home| !home.starts_with(here))));
    all
}

/// Backends that are libraries lie beside the program.
fn program_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().and_then(std::fs::canonicalize).ok()?;
    program.parent().map(Path::to_path_buf)
}

fn open_roots() -> Vec<PathBuf> {
    let closed = |path: &PathBuf| NOT_OPEN.iter().any(|closed| path == Path::new(closed));
    open_in(Path::new("/")).into_iter().filter(|path| !closed(path)).collect()
}

/// What lies in a folder and is not hidden.
fn open_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let open = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    open.map(|entry| entry.path()).collect()
}

fn devices() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = DEVICES.iter().map(PathBuf::from).collect();
    if has_gpu_backends() {
        let of_gpus = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            GPU_DEVICES.iter().any(|begin| name.starts_with(begin.as_bytes()))
        };
        all.extend(open_in(Path::new("/dev")).into_iter().filter(of_gpus));
    }
    all
}

fn has_gpu_backends() -> bool {
    cfg!(any(feature = "cuda", feature = "vulkan", feature = "rocm", feature = "dynamic-backends"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_entries_are_not_open() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".ssh", "models", ".x.gguf", "y.gguf"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut open = open_in(folder.path());
        open.sort();
        assert_eq!(open, [folder.path().join("models"), folder.path().join("y.gguf")]);
    }

    #[test]
    fn homes_and_what_the_system_keeps_are_no_open_roots() {
        let open = open_roots();
        assert!(open.contains(&PathBuf::from("/usr")), "{open:?}");
        let closed = |path: &&PathBuf| NOT_OPEN.iter().any(|closed| path.starts_with(closed));
        assert_eq!(open.iter().find(closed), None);
    }
}
