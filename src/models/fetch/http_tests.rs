//! `hf` and `url` sources against a server on this machine that does as each test tells it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::remote::{Proxies, Token};
use super::{FetchError, Fetcher, Remote};
use crate::model_entry::{ModelEntry, Source};
use crate::models::folder_tests::entry;
use crate::models::gguf::{craft::Craft, part_paths};
use crate::models::hash::hash_bytes;
use crate::models::unfinished::with_suffix;
use crate::models::{FetchEvent, ModelsFolder, hub};

/// A request as the server got it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: HashMap<String, String>,
}

/// What the server answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
    /// Bytes of the body that are sent before the connection is cut.
    pub(super) cut: Option<usize>,
    /// The connection is not cut there but says nothing more.
    pub(super) holds: bool,
    /// Its length is not told.
    pub(super) without_length: bool,
    /// The body is sent once so many requests are there.
    pub(super) meets: Option<Arc<tokio::sync::Barrier>>,
}

pub(super) struct Server {
    pub(super) address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` is given the number of the request, from 0, and the request.
    pub(super) async fn start(answer: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&log), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let Some(asked) = read_request(&mut stream).await else { return };
                    let number = {
                        let mut log = kept.lock().unwrap();
                        log.push(asked.clone());
                        log.len() - 1
                    };
                    send(&mut stream, &asked, answer(number, &asked)).await;
                });
            }
        });
        Self { address, log }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let mut asked = Asked { method: words.next()?, path: words.next()?, ..Asked::default() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { return Some(asked) };
        asked.headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
}

async fn send(stream: &mut BufReader<TcpStream>, asked: &Asked, reply: Reply) {
    let mut head = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    if !reply.without_length {
        let _ = write!(head, "content-length: {}\r\n", reply.body.len());
    }
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    let end = if asked.method == "HEAD" { 0 } else { reply.cut.unwrap_or(reply.body.len()) };
    // The client may have gone away, which some tests are about.
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
    if let Some(others) = reply.meets {
        others.wait().await;
    }
    let _ = stream.write_all(&reply.body[..end]).await;
    let _ = stream.flush().await;
    if reply.holds {
        // Until the client has gone away.
        let _ = stream.read_line(&mut String::new()).await;
    }
}

pub(super) fn whole(body: &[u8], tag: &str) -> Reply {
    Reply { headers: vec![("etag", format!("\"{tag}\""))], body: body.to_vec(), ..status(200) }
}

/// As a good server: the range asked for if the version is still that one, else all.
pub(super) fn ranged(asked: &Asked, body: &[u8], tag: &str) -> Reply {
    let start = asked
        .headers
        .get("range")
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match start {
        Some(start) if asked.headers.get("if-range") == Some(&format!("\"{tag}\"")) => Reply {
            headers: vec![
                ("etag", format!("\"{tag}\"")),
                ("content-range", format!("bytes {start}-{}/{}", body.len() - 1, body.len())),
            ],
            body: body[start..].to_vec(),
            ..status(206)
        },
        _ => whole(body, tag),
    }
}

pub(super) fn status(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

pub(super) struct Bench {
    _home: TempDir,
    pub(super) folder: ModelsFolder,
    pub(super) fetcher: Fetcher,
    pub(super) events: Mutex<Vec<FetchEvent>>,
}

impl Bench {
    pub(super) fn new(server: &Server) -> Self {
        let home = tempfile::tempdir().unwrap();
        let remote = Remote {
            endpoint: server.address.clone(),
            token: Token::new("hf_secret", "HF_TOKEN"),
            token_note: None,
            proxies: Proxies::none(),
            tries: 3,
            wait: Duration::from_millis(1),
        };
        Self {
            folder: ModelsFolder::new(home.path().join("models")),
            _home: home,
            fetcher: Fetcher { python: "none".into(), remote },
            events: Mutex::default(),
        }
    }

    pub(super) async fn fetch(&self, entry: &ModelEntry) -> Result<PathBuf, FetchError> {
        let progress = |event| self.events.lock().unwrap().push(event);
        self.fetcher.fetch(entry, &self.folder, progress, CancellationToken::new()).await
    }

    pub(super) fn part(&self, entry: &ModelEntry) -> PathBuf {
        with_suffix(&self.folder.path_of(entry), ".part")
    }
}

pub(super) fn hf() -> ModelEntry {
    entry("m", Source::Hf("owner/repo:m.gguf".to_owned()))
}

#[tokio::test]
async fn a_file_of_the_hub_is_fetched_with_the_token() {
    let model = Craft::new().bytes();
    let body = model.clone();
    let server = Server::start(move |_, _| whole(&body, "v1")).await;
    let bench = Bench::new(&server);
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), model);
    let asked = server.asked();
    assert_eq!(asked[0].path, "/owner/repo/resolve/main/m.gguf");
    assert_eq!(asked[0].headers["authorization"], "Bearer hf_secret");
    let total = model.len() as u64;
    let reports = bench.events.lock().unwrap();
    assert!(
        reports.iter().any(
            |e| matches!(e, FetchEvent::Progress { done, total: t, .. } if *done == total && *t == total)
        )
    );
    assert!(!with_suffix(&path, ".part.toml").exists());
}

#[tokio::test]
async fn a_cut_connection_is_resumed_by_itself() {
    let model = Craft::new().bytes();
    let body = model.clone();
    let server = Server::start(move |number, asked| Reply {
        cut: (number == 0).then_some(100),
        ..ranged(asked, &body, "v1")
    })
    .await;
    let entry = ModelEntry { sha256: Some(hash_bytes(&model)), ..hf() };
    let path = Bench::new(&server).fetch(&entry).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(path.to_str().is_some());
    let asked = server.asked();
    assert_eq!((asked.len(), asked[1].headers["range"].as_str()), (2, "bytes=100-"));
    assert_eq!(asked[1].headers["if-range"], "\"v1\"");
}

#[tokio::test]
async fn a_later_pull_goes_on_where_the_first_gave_up() {
    let model = Craft::new().bytes();
    let body = model.clone();
    let server = Server::start(move |number, asked| match number {
        0 => Reply { cut: Some(100), ..ranged(asked, &body, "v1") },
        1..=3 => status(503),
        _ => ranged(asked, &body, "v1"),
    })
    .await;
    let bench = Bench::new(&server);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("100 bytes are kept: pull again"), "{message}");
    assert_eq!(std::fs::metadata(bench.part(&hf())).unwrap().len(), 100);
    let path = bench.fetch(&hf()).await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), model);
    assert_eq!(server.asked().last().unwrap().headers["range"], "bytes=100-");
}

#[tokio::test]
async fn a_server_that_ignores_ranges_starts_again() {
    let model = Craft::new().bytes();
    let body = model.clone();
    let server =
        Server::start(move |number, _| Reply { cut: (number == 0).then_some(100), ..whole(&body, "v1") })
            .await;
    let path = Bench::new(&server).fetch(&hf()).await;
    assert!(path.is_ok_and(|path| path.extension().is_some()));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn another_version_is_never_joined_to_the_old_one() {
    let model = Craft::new().bytes();
    let body = model.clone();
    // The second answer goes on from byte 100, but of another version.
    let server = Server::start(move |number, asked| match number {
        0 => Reply { cut: Some(100), ..whole(&[b"GGUF".as_slice(), &[7; 5000]].concat(), "old") },
        1 => Reply {
            headers: vec![("etag", "\"new\"".to_owned()), ("content-range", "bytes 100-199/200".to_owned())],
            body: vec![8; 100],
            ..status(206)
        },
        _ => ranged(asked, &body, "new"),
    })
    .await;
    let bench = Bench::new(&server);
    assert_eq!(std::fs::read(bench.fetch(&hf()).await.unwrap()).unwrap(), model);
    assert_eq!(server.asked()[2].headers.get("range"), None);
}

#[tokio::test]
async fn a_wrong_checksum_throws_the_download_away() {
    let body = Craft::new().bytes();
    let server = Server::start(move |_, _| whole(&body, "v1")).await;
    let bench = Bench::new(&server);
    let wrong = ModelEntry { sha256: Some("00".to_owned()), ..hf() };
    assert!(matches!(bench.fetch(&wrong).await, Err(FetchError::WrongHash { .. })));
    assert!(!bench.part(&wrong).exists());
}

#[tokio::test]
async fn refusals_say_what_to_do_and_keep_the_token_secret() {
    let server = Server::start(|_, asked| status(if asked.path.contains("gated") { 401 } else { 404 })).await;
    let bench = Bench::new(&server);
    let gated = entry("m", Source::Hf("owner/gated:m.gguf".to_owned()));
    let message = bench.fetch(&gated).await.unwrap_err().to_string();
    assert!(message.contains("gated") && message.contains("HF_TOKEN"), "{message}");
    assert!(!message.contains("hf_secret"), "{message}");
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("does not exist (HTTP 404)"), "{message}");
    // The first with the token and without it.
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_redirect_to_another_host_does_not_take_the_token_along() {
    let body = Craft::new().bytes();
    let store = Server::start(move |_, _| whole(&body, "v1")).await;
    let target = format!("{}/blob?signature=x", store.address);
    let hub =
        Server::start(move |_, _| Reply { headers: vec![("location", target.clone())], ..status(302) }).await;
    Bench::new(&hub).fetch(&hf()).await.unwrap();
    assert!(hub.asked()[0].headers.contains_key("authorization"));
    assert!(!store.asked()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_plain_address_never_gets_the_token() {
    let body = Craft::new().bytes();
    let server = Server::start(move |_, _| whole(&body, "v1")).await;
    let plain = entry("m", Source::Url(format!("{}/x/m.gguf?key=1", server.address)));
    Bench::new(&server).fetch(&plain).await.unwrap();
    assert_eq!(server.asked()[0].path, "/x/m.gguf?key=1");
    assert!(!server.asked()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_split_model_is_fetched_whole() {
    let first = Craft { tensors: vec![("a".to_owned(), vec![32], 0)], ..Craft::new() }.bytes();
    let second =
        Craft { metadata: Vec::new(), tensors: vec![("b".to_owned(), vec![32], 0)], ..Craft::new() }.bytes();
    let total = (first.len() + second.len()) as u64;
    let bodies = (first, second);
    let server = Server::start(move |_, asked| {
        whole(if asked.path.contains("-00001-") { &bodies.0 } else { &bodies.1 }, "v1")
    })
    .await;
    let bench = Bench::new(&server);
    let split = entry("m", Source::Hf("owner/repo:q/m-00001-of-00002.gguf".to_owned()));
    let path = bench.fetch(&split).await.unwrap();
    assert!(part_paths(&path).iter().all(|part| part.exists()));
    assert_eq!(bench.folder.resolve(&split).unwrap().1.files.len(), 2);
    let events = bench.events.lock().unwrap();
    assert!(
        events.iter().any(
            |e| matches!(e, FetchEvent::Progress { done, total: t, .. } if *done == total && *t == total)
        )
    );
}

/// An answer that claims to be so long.
fn long(bytes: u64) -> Reply {
    let headers = vec![("content-length", bytes.to_string()), ("etag", "\"a\"".to_owned())];
    Reply { without_length: true, headers, body: Craft::new().bytes(), ..status(200) }
}

#[tokio::test]
async fn what_cannot_fit_on_the_disk_is_not_begun() {
    let server = Server::start(|_, _| long(1 << 50)).await;
    let bench = Bench::new(&server);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.starts_with("m does not fit on the disk: it takes 1048576.0 GiB more"), "{message}");
    assert!(!bench.part(&hf()).exists() && server.asked().len() == 1);
}

#[tokio::test]
async fn parts_that_fit_only_one_by_one_are_not_begun() {
    let home = tempfile::tempdir().unwrap();
    let most = crate::models::disk::free(&home.path().join("x")).unwrap() / 4 * 3;
    let server = Server::start(move |_, _| long(most)).await;
    let bench = Bench::new(&server);
    let entry = entry("m", Source::Hf("owner/repo:m-00001-of-00002.gguf".to_owned()));
    let message = bench.fetch(&entry).await.unwrap_err().to_string();
    assert!(message.contains("does not fit on the disk"), "{message}");
    assert!(server.asked().iter().all(|asked| asked.method == "HEAD"));
}

#[tokio::test]
async fn cancelling_keeps_what_arrived() {
    let body = Craft::new().bytes();
    let server = Server::start(move |number, asked| match number {
        0 => Reply { cut: Some(100), ..ranged(asked, &body, "v1") },
        _ => status(503),
    })
    .await;
    let mut bench = Bench::new(&server);
    bench.fetcher.remote.wait = Duration::from_secs(1000);
    let cancel = CancellationToken::new();
    let progress = |event| {
        if matches!(event, FetchEvent::Progress { done: 100, .. }) {
            cancel.cancel();
        }
    };
    let result = bench.fetcher.fetch(&hf(), &bench.folder, progress, cancel.clone()).await;
    assert!(matches!(result, Err(FetchError::Cancelled { .. })), "{result:?}");
    assert_eq!(std::fs::metadata(bench.part(&hf())).unwrap().len(), 100);
}

#[tokio::test]
async fn nobody_listening_is_said_plainly() {
    let server = Server::start(|_, _| status(200)).await;
    let mut bench = Bench::new(&server);
    // A port that was free a moment ago and is closed again.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    bench.fetcher.remote.endpoint = format!("http://{closed}");
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("cannot be reached"), "{message}");
}

#[tokio::test]
async fn a_repository_lists_its_models_page_by_page_with_what_its_makers_recommend() {
    let server = Server::start(|_, asked| {
        let json = |text: &str, headers| Reply { headers, body: text.as_bytes().to_vec(), ..status(200) };
        let host = asked.headers.get("host").cloned().unwrap_or_default();
        match asked.path.as_str() {
            "/api/models/o/m-GGUF/tree/main?recursive=true" => json(
                r#"[{"type":"file","path":"m-Q8_0.gguf","size":800,"lfs":{"oid":"00","size":800}}]"#,
                vec![("link", format!("<http://{host}/page2>; rel=\"next\""))],
            ),
            "/page2" => json(r#"[{"type":"file","path":"m-Q4_K_M.gguf","size":400}]"#, vec![]),
            "/api/models/o/m-GGUF" => {
                json(r#"{"cardData":{"license":"mit","base_model":["base/m"]}}"#, vec![])
            }
            "/base/m/resolve/main/generation_config.json" => {
                json(r#"{"temperature":0.6,"top_k":20}"#, vec![])
            }
            _ => status(404),
        }
    })
    .await;
    let remote = Bench::new(&server).fetcher.remote;
    let found = hub::repository(&remote, "o/m-GGUF").await.unwrap();
    let files: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    assert_eq!(files, [("m-Q4_K_M.gguf", 400), ("m-Q8_0.gguf", 800)]);
    assert_eq!(found.licence.as_deref(), Some("mit"));
    assert_eq!((found.sampling.temperature, found.sampling.top_k), (Some(0.6), Some(20)));
    assert_eq!(server.asked()[0].headers["authorization"], "Bearer hf_secret");
    let message = hub::repository(&remote, "o/none").await.unwrap_err().to_string();
    assert!(message.contains("does not exist (HTTP 404)") && !message.contains("hf_secret"), "{message}");
}

#[tokio::test]
async fn a_hub_that_sends_something_else_is_told_from_one_without_models() {
    let server = Server::start(|_, asked| {
        let body = if asked.path.contains("/html/") { "<html>" } else { "[]" };
        Reply { body: body.as_bytes().to_vec(), ..status(200) }
    })
    .await;
    let remote = Bench::new(&server).fetcher.remote;
    for (name, said) in [("a/html", "the hub's answer is no JSON"), ("a/b", "it has no .gguf files")] {
        let message = hub::repository(&remote, name).await.unwrap_err().to_string();
        assert!(message.contains(said), "{message}");
    }
}
