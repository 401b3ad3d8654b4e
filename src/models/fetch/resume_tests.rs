//! Several downloads at once, pausing, going on, and answers that are not the file that was begun.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

use super::FetchError;
use super::http_tests::{Asked, Bench, Reply, Server, hf, ranged, status, whole};
use crate::model_entry::{ModelEntry, Source};
use crate::models::folder_tests::entry;
use crate::models::gguf::craft::Craft;
use crate::models::hash::hash_bytes;
use crate::models::{FetchEvent, Unfinished};

/// A model with so much of weights that it comes in several pieces.
fn model() -> Vec<u8> {
    Craft { tensors: vec![("a".to_owned(), vec![32, 512], 0)], ..Craft::new() }.bytes()
}

pub(super) fn notes(bench: &Bench) -> Vec<String> {
    let events = bench.events.lock().unwrap();
    let note = |event: &FetchEvent| match event {
        FetchEvent::Noted { message, .. } => Some(message.clone()),
        _ => None,
    };
    events.iter().filter_map(note).collect()
}

/// Begins a download of which 100 bytes arrive, against a server that then does as `answer` says.
async fn begun(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Bench, Server) {
    let body = model();
    let server = Server::start(move |number, asked| match number {
        0 => Reply { cut: Some(100), ..whole(&body, "v1") },
        1..=2 => status(503),
        _ => answer(asked),
    })
    .await;
    let bench = Bench::new(&server);
    assert!(matches!(bench.fetch(&hf()).await, Err(FetchError::Interrupted { kept: 100, .. })));
    (bench, server)
}

#[tokio::test]
async fn two_models_are_fetched_at_once() {
    let (body, meets) = (model(), Arc::new(Barrier::new(2)));
    let expected = hash_bytes(&body);
    // Nothing is sent of either before both were asked for.
    let server =
        Server::start(move |_, _| Reply { meets: Some(Arc::clone(&meets)), ..whole(&body, "v1") }).await;
    let bench = Bench::new(&server);
    let other = entry("n", Source::Hf("owner/repo:n.gguf".to_owned()));
    let (one, two) = (hf(), other);
    let both = async { tokio::join!(bench.fetch(&one), bench.fetch(&two)) };
    let (one, two) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    for path in [one.unwrap(), two.unwrap()] {
        assert_eq!(hash_bytes(&std::fs::read(path).unwrap()), expected);
    }
}

#[tokio::test]
async fn a_paused_download_goes_on_to_the_same_bytes() {
    let body = model();
    let (expected, total) = (hash_bytes(&body), body.len() as u64);
    let server = Server::start(move |number, asked| {
        let first = number == 0;
        Reply { cut: first.then_some(300), holds: first, ..ranged(asked, &body, "v1") }
    })
    .await;
    let bench = Bench::new(&server);
    let pause = CancellationToken::new();
    let progress = |event| {
        if matches!(event, FetchEvent::Progress { done: 300.., .. }) {
            pause.cancel();
        }
    };
    let paused = bench.fetcher.fetch(&hf(), &bench.folder, progress, pause.clone()).await;
    assert!(matches!(paused, Err(FetchError::Cancelled { .. })), "{paused:?}");
    assert_eq!(bench.folder.unfinished(&hf()), Some(Unfinished { done: 300, total }));
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(server.asked()[1].headers["range"], "bytes=300-");
    assert_eq!(hash_bytes(&std::fs::read(path).unwrap()), expected);
    assert_eq!(bench.folder.unfinished(&hf()), None);
}

#[tokio::test]
async fn one_that_died_in_the_middle_goes_on() {
    let body = model();
    let expected = hash_bytes(&body);
    let server = Server::start(move |number, asked| {
        let first = number == 0;
        Reply { cut: first.then_some(300), holds: first, ..ranged(asked, &body, "v1") }
    })
    .await;
    let bench = Arc::new(Bench::new(&server));
    let dies = tokio::spawn({
        let bench = Arc::clone(&bench);
        async move { bench.fetch(&hf()).await }
    });
    while std::fs::metadata(bench.part(&hf())).map_or(0, |about| about.len()) < 300 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    dies.abort(); // without a chance to tidy up
    let _ = dies.await;
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(server.asked()[1].headers["range"], "bytes=300-");
    assert_eq!(hash_bytes(&std::fs::read(path).unwrap()), expected);
}

#[tokio::test]
async fn a_server_that_cannot_go_on_is_said_and_the_file_is_right() {
    let (bench, _server) = begun(|_| whole(&model(), "v1")).await;
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), model());
    let said = ["m: the server does not go on in the middle; it starts again, 100 bytes are dropped"];
    assert_eq!(notes(&bench), said);
}

#[tokio::test]
async fn another_size_or_version_is_said_and_starts_again() {
    let longer = || Craft { tensors: vec![("a".to_owned(), vec![32, 600], 0)], ..Craft::new() }.bytes();
    // The same tag, but another length in the range; another tag.
    for (tag, first_range) in [("v1", true), ("v2", false)] {
        let (bench, _server) = begun(move |asked| match asked.headers.get("range") {
            Some(_) if first_range => Reply {
                headers: vec![
                    ("etag", format!("\"{tag}\"")),
                    ("content-range", format!("bytes 100-{}/{}", longer().len() - 1, longer().len())),
                ],
                body: longer()[100..].to_vec(),
                ..status(206)
            },
            _ => whole(&longer(), tag),
        })
        .await;
        let path = bench.fetch(&hf()).await.unwrap();
        assert_eq!(std::fs::read(path).unwrap(), longer());
        assert_eq!(notes(&bench), ["m: the file there has changed; it starts again, 100 bytes are dropped"]);
    }
}

#[tokio::test]
async fn an_answer_that_is_no_model_leaves_what_arrived_alone() {
    for html in [true, false] {
        let (bench, _server) = begun(move |_| Reply {
            headers: vec![(
                "content-type",
                if html { "text/html; charset=utf-8" } else { "image/png" }.into(),
            )],
            body: b"<html>Please sign in".to_vec(),
            ..status(200)
        })
        .await;
        let message = bench.fetch(&hf()).await.unwrap_err().to_string();
        assert!(message.contains("is not a GGUF file") && message.contains("nothing that was here is lost"));
        assert_eq!(std::fs::metadata(bench.part(&hf())).unwrap().len(), 100);
        assert_eq!(bench.folder.unfinished(&hf()).unwrap().done, 100);
    }
}

#[tokio::test]
async fn a_slice_that_comes_as_a_whole_answer_is_taken_as_the_slice() {
    let (bench, server) = begun(|asked| Reply { status: 200, ..ranged(asked, &model(), "v1") }).await;
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), model());
    assert_eq!(server.asked().len(), 4);
    assert_eq!(notes(&bench), [""; 0]);
}

#[tokio::test]
async fn one_without_a_length_that_ends_early_is_never_final() {
    let body = model();
    let server = Server::start(move |number, _| {
        let cut = (number == 0).then_some(body.len() - 1000);
        Reply { cut, without_length: true, headers: Vec::new(), ..whole(&body, "v1") }
    })
    .await;
    let bench = Bench::new(&server);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("ended early"), "{message}");
    assert_eq!(bench.folder.locate(&hf()), None);
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), model());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_said_and_keeps_what_is_there() {
    let server = Server::start(|_, _| whole(&model(), "v1")).await;
    let bench = Bench::new(&server);
    let part = bench.part(&hf());
    std::fs::create_dir_all(bench.folder.path()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = bench.fetch(&hf()).await.unwrap_err();
    assert!(matches!(error, FetchError::DiskFull { .. }), "{error}");
    assert!(part.is_symlink());
}

#[tokio::test]
async fn what_was_begun_can_be_dropped() {
    let (bench, _server) = begun(|asked| ranged(asked, &model(), "v1")).await;
    assert!(bench.folder.discard(&hf()).unwrap() > 100);
    assert!(!bench.part(&hf()).exists());
    assert_eq!(bench.folder.unfinished(&hf()), None);
    let again: ModelEntry = hf();
    assert_eq!(std::fs::read(bench.fetch(&again).await.unwrap()).unwrap(), model());
}
