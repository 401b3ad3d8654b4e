//! Servers that hang, break off or send nonsense: each ends in one clear sentence, and what came stays.

use super::*;
use crate::chat::StopReason;
use crate::request_error::Through;
use std::time::Instant;

const WORD: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";

/// A server whose chat answers so.
fn stand(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Stand {
    Stand::start(move |asked| match asked.path.as_str() {
        "/v1/models" => json(r#"{"data":[{"id":"m"}]}"#),
        "/v1/chat/completions" => answer(asked),
        _ => not_found(),
    })
}

/// What a reply from such a server ends with, and what of it was kept.
fn end_of(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (String, String) {
    end_within(quick(), answer)
}

fn end_within(limits: Limits, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (String, String) {
    let stand = stand(answer);
    let mut bench = Bench::new(limits);
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let answer = bench.generate(chat("Hello"));
    (answer.text(), answer.failure().to_owned())
}

fn hold(reply: Reply) -> Reply {
    Reply { then: Then::Hold, ..reply }
}

#[test]
fn each_bad_server_ends_in_a_sentence_and_what_came_is_kept() {
    let cases: Vec<(&str, &str, (String, String))> = vec![
        ("", "said nothing for", end_of(|_| hold(Reply { body: Vec::new(), ..stream("") }))),
        ("Hi", "said nothing for", end_of(|_| hold(stream(WORD)))),
        ("Hi", "ended its answer before", end_of(|_| stream(WORD))),
        ("Hi", "in the middle of a line", end_of(|_| stream(format!("{WORD}data: {{\"choices\":[{{\"del")))),
        ("", "a web page", end_of(|_| reply("text/html", "<html><body>Sign in</body></html>"))),
        (
            "",
            "failed (HTTP 502)",
            end_of(|_| Reply { status: "502 Bad Gateway", ..reply("text/html", "<html>") }),
        ),
        (
            "Hi",
            "reports an error: out of memory",
            end_of(|_| {
                stream(format!(
                    "{WORD}data: {{\"error\":{{\"message\":\"out of memory\",\"code\":500}}}}\n\n"
                ))
            }),
        ),
        (
            "",
            "refuses this (HTTP 400): no such field",
            end_of(|_| status("400 Bad Request", r#"{"error":{"message":"no such field"}}"#)),
        ),
        ("", "wants a key", end_of(|_| status("401 Unauthorized", r#"{"error":{"message":"no key"}}"#))),
        ("Hi", "cannot be read", end_of(|_| stream(format!("{WORD}data: <html>\n\n{WORD}")))),
    ];
    for (kept, sentence, (text, said)) in cases {
        assert_eq!(text, kept, "{said}");
        assert!(said.contains(sentence) && said.contains("127.0.0.1:"), "{sentence}: {said}");
        assert!(said.chars().count() < 400, "{said}");
    }
}

#[test]
fn a_line_of_a_hundred_million_bytes_is_left() {
    let begun = Instant::now();
    // On a busy machine it takes a while to make so many.
    let limits = Limits { idle: Duration::from_secs(9), short: Duration::from_secs(9), ..quick() };
    let answer = |_: &Asked| stream([WORD.as_bytes(), b"data: ", &vec![b'x'; 100 << 20]].concat());
    let (text, said) = end_within(limits, answer);
    assert_eq!(text, "Hi");
    assert!(said.contains("without end"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_busy_server_is_asked_again_after_the_wait_that_it_names() {
    let tries = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&tries);
    let stand = stand(move |_| {
        let mut tries = log.lock().unwrap();
        tries.push(Instant::now());
        match tries.len() {
            1 => Reply {
                headers: "Content-Type: application/json\r\nRetry-After: 0.3\r\n".into(),
                ..status("429 Too Many Requests", r#"{"error":{"message":"slow down"}}"#)
            },
            2 => status("503 Service Unavailable", r#"{"error":{"message":"Loading model"}}"#),
            _ => stream(format!("{WORD}data: [DONE]\n\n")),
        }
    });
    let mut bench = Bench::new(quick());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let answer = bench.generate(chat("Hello"));
    assert_eq!(answer.text(), "Hi");
    let tries = tries.lock().unwrap();
    assert!(tries[1] - tries[0] >= Duration::from_millis(300) && tries.len() == 3);
}

#[test]
fn a_server_that_asks_for_a_long_wait_is_not_waited_for() {
    let (_, said) = end_of(|_| Reply {
        headers: "Content-Type: application/json\r\nRetry-After: 3600\r\n".into(),
        ..status("429 Too Many Requests", r#"{"error":{"message":"quota"}}"#)
    });
    assert!(said.contains("quota") && said.contains("3600 seconds"), "{said}");
}

#[test]
fn a_reply_is_cancelled_at_once() {
    let stand = stand(|_| hold(stream(WORD)));
    let mut bench = Bench::new(Limits::default());
    bench.try_load(entry(&stand.address, Api::OpenAi)).unwrap();
    let id = bench.send(Request::Job(Job::Generate(Box::new(chat("a")))));
    while !matches!(bench.next(id), Event::Token(_)) {}
    let begun = Instant::now();
    bench.send(Request::Immediate(Immediate::Cancel { target: id }));
    assert!(matches!(bench.next(id), Event::Done { stop: StopReason::Cancelled, .. }));
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[test]
fn a_machine_that_does_not_answer_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bench = Bench::new(quick());
    let said = bench.try_load(entry(&format!("http://{free}/v1"), Api::Auto)).unwrap_err();
    assert!(said.contains(&free.to_string()) && said.contains("cannot be reached"), "{said}");
    let said = bench.try_load(entry("http://no-such-machine.invalid/v1", Api::Auto)).unwrap_err();
    assert!(said.contains("no-such-machine.invalid cannot be reached"), "{said}");
}

/// What loading says of a server behind this proxy.
fn behind(proxy: &str) -> String {
    let proxy = reqwest::Url::parse(proxy).unwrap();
    let connect = move |_: &reqwest::Url| {
        let client = reqwest::Client::builder().proxy(reqwest::Proxy::http(proxy.clone()).unwrap()).build();
        Ok((client.unwrap(), Some(Through::new("HTTP_PROXY", &proxy))))
    };
    let mut bench = Bench::by(Box::new(connect), quick());
    let said = bench.try_load(entry("http://model.test:8000/v1", Api::Auto)).unwrap_err();
    assert!(said.starts_with("model.test:8000 cannot be reached") && !said.contains("cret"), "{said}");
    assert!(!said.contains("Is the server running"), "{said}");
    said
}

#[test]
fn a_proxy_on_the_way_is_named_with_its_variable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = behind(&format!("http://{free}"));
    assert!(said.contains(&format!("through the proxy http://{free} of HTTP_PROXY")), "{said}");
    let stand = Stand::start(|_| status("407 Proxy Authentication Required", "{}"));
    let said = behind(&stand.address);
    let named = format!("the proxy {} of HTTP_PROXY", stand.address);
    assert!(said.contains(&named) && said.contains("wants a name and a password"), "{said}");
    let said = behind(&stand.address.replace("http://", "http://me:secret@"));
    assert!(said.contains(&named) && said.contains("does not accept the name and password"), "{said}");
    // Where none is set, it is not laid to one.
    let said = Bench::new(quick()).try_load(entry(&stand.address, Api::Auto)).unwrap_err();
    assert!(said.contains("HTTP 407") && said.contains("no proxy is set here"), "{said}");
}

fn key_file(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("key");
    std::fs::write(&path, "sk-secret-key\n").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

#[test]
fn a_key_goes_to_its_server_and_comes_back_in_no_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let stand = stand(|asked| {
        assert!(asked.head.to_lowercase().contains("authorization: bearer sk-secret-key"), "{}", asked.head);
        status("401 Unauthorized", r#"{"error":{"message":"Incorrect API key provided: sk-secret-key."}}"#)
    });
    let mut bench = Bench::new(quick());
    let entry = with_key(entry(&stand.address, Api::OpenAi), &key_file(&folder));
    let loaded = bench.try_load(entry).unwrap();
    assert!(!format!("{loaded:?}").contains("sk-secret"));
    let answer = bench.generate(chat("a"));
    let said = answer.failure();
    assert!(said.contains("does not accept the key of") && said.contains("HTTP 401"), "{said}");
    assert!(!format!("{answer:?}").contains("sk-secret"), "{answer:?}");
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let other = Stand::start(|_| json("{}"));
    let to = other.address.clone();
    let stand = stand(move |_| Reply {
        headers: format!("Location: {to}/v1/chat/completions?key=1\r\n"),
        ..status("307 Temporary Redirect", "")
    });
    let mut bench = Bench::new(quick());
    bench.try_load(with_key(entry(&stand.address, Api::OpenAi), &key_file(&folder))).unwrap();
    let answer = bench.generate(chat("a"));
    assert!(answer.failure().contains(&format!("sends on to {}", other.address)), "{}", answer.failure());
    assert!(other.log.lock().unwrap().is_empty(), "nothing was sent there");
}

/// Speaks TLS with a certificate that it signed itself; gives what arrived before the connection ended, decrypted.
fn self_signed() -> (String, Arc<Mutex<Vec<u8>>>) {
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = CertificateDer::from(include_bytes!("self_signed.crt.der").to_vec());
    let key = PrivatePkcs8KeyDer::from(include_bytes!("self_signed.key.der").to_vec());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key.into()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}/v1", listener.local_addr().unwrap());
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&arrived);
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut connection);
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut bytes) {
                kept.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        }
    });
    (address, arrived)
}

#[test]
fn a_certificate_that_is_not_valid_ends_in_a_sentence_and_nothing_is_sent() {
    let (address, arrived) = self_signed();
    let mut bench = Bench::new(quick());
    let said = bench.try_load(entry(&address, Api::OpenAi)).unwrap_err();
    assert!(
        said.contains("its certificate is not valid here") && said.contains("Nothing was sent"),
        "{said}"
    );
    assert!(said.contains("127.0.0.1:"), "{said}");
    assert!(arrived.lock().unwrap().is_empty(), "a request crossed");
}
