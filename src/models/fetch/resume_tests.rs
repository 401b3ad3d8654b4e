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

/// A 206 of this body with these headers beside the tag.
fn slice(tag: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Reply {
    let all = [("etag", tag)].into_iter().chain(headers.iter().copied());
    let headers = all.map(|(name, value)| (name, value.to_owned())).collect();
    Reply { headers, body: body.to_vec(), ..status(206) }
}

/// The `Content-Range` of all after the first 100 bytes.
fn rest() -> String {
    format!("bytes 100-{}/{}", model().len() - 1, model().len())
}

fn page() -> Reply {
    let headers = vec![("content-type", "text/html".to_owned())];
    Reply { headers, body: b"<html>Please sign in".to_vec(), ..status(200) }
}

fn no_range(said: &str) -> Reply {
    Reply { headers: vec![("content-range", said.to_owned())], ..status(416) }
}

#[tokio::test]
async fn what_is_here_gives_its_place_to_nothing_but_a_model() {
    let ranged: [fn() -> Reply; 4] = [
        || status(416),
        || no_range("bytes */50"),
        || slice("\"v1\"", &[], b"<html>"),
        || Reply { status: 206, ..page() },
    ];
    let whole: [fn() -> Reply; 5] =
        [page, || status(403), || status(503), || no_range("bytes */50"), || slice("\"v1\"", &[], b"GGUF")];
    for (first, second) in ranged.iter().flat_map(|first| whole.iter().map(move |second| (*first, *second))) {
        let (bench, server) =
            begun(move |asked| if asked.headers.contains_key("range") { first() } else { second() }).await;
        let message = bench.fetch(&hf()).await.unwrap_err().to_string();
        assert_eq!(std::fs::read(bench.part(&hf())).unwrap(), model()[..100], "{message}");
        assert_eq!(bench.folder.unfinished(&hf()).unwrap().done, 100, "{message}");
        assert_eq!(notes(&bench), [""; 0], "{message}");
        assert!(server.asked().len() <= 9, "{message}");
    }
}

#[tokio::test]
async fn what_goes_on_with_nothing_is_an_ordinary_failure() {
    let (bench, server) = begun(|_| no_range("bytes */100")).await;
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("broke off (HTTP 416). 100 bytes are kept"), "{message}");
    // Once with the range, and then as often as anything that fails.
    assert_eq!(server.asked().len(), 3 + 4);
}

#[tokio::test]
async fn what_is_not_the_slice_is_asked_for_whole() {
    let (range, rest_of) = (rest(), model()[100..].to_vec());
    let junk = [rest_of.as_slice(), b"junkjunk"].concat();
    let kind = |kind| slice("\"v1\"", &[("content-type", kind), ("content-range", &range)], &rest_of);
    let replies = [
        status(416),
        // As many as are here, but not as many as there are.
        no_range("bytes */100"),
        slice("\"v1\"", &[], &rest_of),
        slice("\"v1\"", &[("content-range", "bytes 0-9/10")], &rest_of),
        slice("\"v1\"", &[("content-range", &range)], &junk),
        slice("\"v1\"", &[("content-range", &range), ("content-encoding", "gzip")], &rest_of),
        kind("multipart/byteranges; boundary=X"),
        kind("text/html; charset=utf-8"),
        kind("application/json"),
    ];
    for reply in replies {
        let shown = format!("{} {:?}", reply.status, reply.headers);
        let (bench, server) = begun(move |asked| match asked.headers.get("range") {
            Some(_) => reply.clone(),
            None => whole(&model(), "v1"),
        })
        .await;
        let path = bench.fetch(&hf()).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(std::fs::read(path).unwrap(), model(), "{shown}");
        let said = ["m: the server does not go on in the middle; it starts again, 100 bytes are dropped"];
        assert_eq!(notes(&bench), said, "{shown}");
        assert_eq!(server.asked().len(), 5, "{shown}");
    }
}

#[tokio::test]
async fn a_slice_is_known_by_a_unit_in_any_letters_and_a_text_by_its_tag() {
    for kind in ["application/octet-stream", "text/plain"] {
        let range = rest().replace("bytes", "Bytes");
        let headers = [("content-type", kind), ("content-range", range.as_str())];
        let reply = slice("\"v1\"", &headers, &model()[100..]);
        let (bench, server) = begun(move |_| reply.clone()).await;
        let path = bench.fetch(&hf()).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_eq!((std::fs::read(path).unwrap(), server.asked().len()), (model(), 4));
    }
}

#[tokio::test]
async fn a_weak_tag_of_another_version_is_never_joined() {
    let other = || Craft { tensors: vec![("b".to_owned(), vec![32, 512], 0)], ..Craft::new() }.bytes();
    let (bench, _server) = begun(move |asked| match asked.headers.get("range") {
        Some(_) => slice("W/\"v2\"", &[("content-range", &rest())], &other()[100..]),
        None => whole(&other(), "v2"),
    })
    .await;
    assert_eq!(std::fs::read(bench.fetch(&hf()).await.unwrap()).unwrap(), other());
    assert_eq!(notes(&bench), ["m: the file there has changed; it starts again, 100 bytes are dropped"]);
}

#[tokio::test]
async fn bytes_beyond_the_slice_are_cut_back() {
    let junk = || [&model()[100..], b"junkjunk"].concat();
    let (bench, _server) = begun(move |_| Reply {
        without_length: true,
        ..slice("\"v1\"", &[("content-range", &rest())], &junk())
    })
    .await;
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("more came than was promised") && message.contains("100 bytes are kept"));
    assert_eq!(std::fs::read(bench.part(&hf())).unwrap(), model()[..100]);
}

#[tokio::test]
async fn a_file_that_is_another_one_at_every_try_is_given_up() {
    let server = Server::start(|number, _| Reply {
        cut: Some(100 + number % 500),
        ..whole(&model(), &format!("v{number}"))
    })
    .await;
    let bench = Bench::new(&server);
    let ended = tokio::time::timeout(Duration::from_secs(20), bench.fetch(&hf())).await.unwrap();
    assert!(matches!(ended, Err(FetchError::Interrupted { .. })), "{ended:?}");
    assert!(server.asked().len() < 12, "{}", server.asked().len());
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

#[tokio::test]
async fn one_of_a_known_checksum_that_ends_early_is_gone_on_with() {
    let body = model();
    let server = Server::start(move |number, asked| {
        let cut = (number == 0).then_some(body.len() - 1000);
        Reply { cut, without_length: true, ..ranged(asked, &body, "v1") }
    })
    .await;
    let bench = Bench::new(&server);
    let entry = ModelEntry { sha256: Some(hash_bytes(&model())), ..hf() };
    let message = bench.fetch(&entry).await.unwrap_err().to_string();
    assert!(message.contains("ended early") && message.contains("Pull again to go on"), "{message}");
    let path = bench.fetch(&entry).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), model());
    assert_eq!(server.asked()[1].headers["range"], format!("bytes={}-", model().len() - 1000));
}

#[tokio::test]
async fn a_copy_that_is_short_itself_is_said_to_be() {
    for headers in [vec![("etag", "\"v1\"".to_owned())], Vec::new()] {
        let server = Server::start(move |_, asked| match asked.headers.get("range") {
            Some(_) => no_range(&format!("bytes */{}", model().len() - 1000)),
            None => Reply {
                headers: headers.clone(),
                body: model()[..model().len() - 1000].to_vec(),
                ..status(200)
            },
        })
        .await;
        let bench = Bench::new(&server);
        // It is so the second time, too.
        for _ in 0..2 {
            let message = bench.fetch(&hf()).await.unwrap_err().to_string();
            assert!(message.contains("the source's own copy is that short"), "{message}");
            assert!(!message.contains("ull again"), "{message}");
        }
        // With a checksum it is a wrong one, whatever its header says.
        let wrong = ModelEntry { sha256: Some(hash_bytes(&model())), ..hf() };
        assert!(matches!(bench.fetch(&wrong).await, Err(FetchError::WrongHash { .. })));
        assert!(!bench.part(&hf()).exists());
    }
}

#[tokio::test]
async fn what_cannot_be_gone_on_with_is_not_promised() {
    let body = model();
    let server = Server::start(move |number, _| match number {
        0 => Reply { cut: Some(100), headers: Vec::new(), ..whole(&body, "") },
        1..=2 => status(503),
        _ => Reply {
            cut: Some(body.len() - 1000),
            without_length: true,
            headers: Vec::new(),
            ..whole(&body, "")
        },
    })
    .await;
    let bench = Bench::new(&server);
    for _ in 0..2 {
        let message = bench.fetch(&hf()).await.unwrap_err().to_string();
        assert!(message.contains("cannot go on in the middle, so another pull starts over"), "{message}");
        assert!(!message.contains("kept") && !message.contains("Pull again"), "{message}");
        assert_eq!(bench.folder.unfinished(&hf()), None);
    }
}

#[tokio::test]
async fn nothing_is_not_called_bytes_that_are_kept() {
    let server = Server::start(|_, _| Reply { cut: Some(0), ..whole(&model(), "v1") }).await;
    let bench = Bench::new(&server);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("broke off") && !message.contains("0 bytes"), "{message}");
}

#[tokio::test]
async fn an_answer_of_nothing_is_said_at_once() {
    for number in [200, 204, 205] {
        let server = Server::start(move |_, _| status(number)).await;
        let message = Bench::new(&server).fetch(&hf()).await.unwrap_err().to_string();
        assert!(message.contains(&format!("answers with nothing (HTTP {number})")), "{message}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_model_that_comes_compressed_is_said_to() {
    let headers = vec![("content-encoding", "gzip".to_owned())];
    let reply = Reply { headers, body: vec![0x1f, 0x8b, 8, 0, 0], ..status(200) };
    let server = Server::start(move |_, _| reply.clone()).await;
    let message = Bench::new(&server).fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("compressed with gzip"), "{message}");
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
