//! Proxies of the environment, against a SOCKS server and an HTTP proxy on this machine.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::FetchError;
use super::http_tests::{Bench, Reply, Server, hf, status, whole};
use super::remote::Proxies;
use crate::models::gguf::craft::Craft;
use crate::models::hub;

/// A SOCKS server that takes every name for this machine; remembers the names it was asked for.
struct Socks {
    port: u16,
    names: Arc<Mutex<Vec<String>>>,
}

impl Socks {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let names = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&names);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(socks(stream, Arc::clone(&kept)));
            }
        });
        Self { port, names }
    }
}

/// Serves one connection after RFC 1928.
async fn socks(mut client: TcpStream, names: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    assert_eq!(client.read_u8().await?, 5);
    let methods = client.read_u8().await?;
    client.read_exact(&mut vec![0; methods.into()]).await?;
    client.write_all(&[5, 0]).await?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let name = if head[3] == 1 {
        let mut address = [0; 4];
        client.read_exact(&mut address).await?;
        address.map(|part| part.to_string()).join(".")
    } else {
        let mut name = vec![0; client.read_u8().await?.into()];
        client.read_exact(&mut name).await?;
        String::from_utf8_lossy(&name).into_owned()
    };
    let port = client.read_u16().await?;
    names.lock().unwrap().push(name);
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// What the environment would say with these variables.
fn proxies(variables: &[(&str, &str)]) -> Proxies {
    Proxies::of(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

async fn model() -> Server {
    let body = Craft::new().bytes();
    Server::start(move |_, _| whole(&body, "v1")).await
}

#[tokio::test]
async fn a_socks_proxy_is_used_whichever_way_it_is_given() {
    let (server, socks) = (model().await, Socks::start().await);
    // With the `h` the proxy looks the name up, which only it knows here.
    for (variable, scheme, host) in [
        ("ALL_PROXY", "socks5h", "hub.invalid"),
        ("all_proxy", "socks5h", "hub.invalid"),
        ("HTTP_PROXY", "socks5h", "hub.invalid"),
        ("http_proxy", "socks5", "127.0.0.1"),
    ] {
        let mut bench = Bench::new(&server);
        bench.fetcher.remote.endpoint = server.address.replace("127.0.0.1", host);
        let address = format!(" {scheme}://127.0.0.1:{} ", socks.port);
        bench.fetcher.remote.proxies = proxies(&[(variable, address.as_str())]);
        bench.fetch(&hf()).await.unwrap_or_else(|error| panic!("{variable}: {error}"));
        assert_eq!(socks.names.lock().unwrap().pop().as_deref(), Some(host), "{variable}");
    }
}

#[tokio::test]
async fn an_http_proxy_without_a_scheme_is_used() {
    let proxy = model().await;
    let mut bench = Bench::new(&proxy);
    bench.fetcher.remote.endpoint = "http://hub.invalid".to_owned();
    let address = proxy.address.trim_start_matches("http://");
    bench.fetcher.remote.proxies = proxies(&[("http_proxy", address)]);
    bench.fetch(&hf()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(proxy.asked()[0].path, "http://hub.invalid/owner/repo/resolve/main/m.gguf");
}

#[tokio::test]
async fn what_is_no_proxy_is_said_at_once_and_never_gone_past() {
    let server = model().await;
    for (variable, value, said) in [
        ("ALL_PROXY", "foo://127.0.0.1:1", "foo:// is not known"),
        ("all_proxy", "foo://127.0.0.1:1", "foo:// is not known"),
        ("HTTP_PROXY", "ftp://127.0.0.1:1", "ftp:// is not known"),
        ("http_proxy", "socks://127.0.0.1:1", "socks:// is not known"),
        ("ALL_PROXY", "socks5://me:se cret@bad host:1", "names no proxy that can be used"),
        ("ALL_PROXY", "http://", "names no proxy that can be used"),
        ("ALL_PROXY", "http://127.0.0.1:99999", "names no proxy that can be used"),
    ] {
        let mut bench = Bench::new(&server);
        bench.fetcher.remote.wait = Duration::from_secs(100);
        bench.fetcher.remote.proxies = proxies(&[(variable, value)]);
        let begun = Instant::now();
        let error = bench.fetch(&hf()).await.unwrap_err();
        let list = hub::repository(&bench.fetcher.remote, "o/m").await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5), "{value}");
        for error in [error, list] {
            let message = error.to_string();
            assert!(matches!(error, FetchError::Proxy { .. }), "{value}: {message}");
            assert!(message.contains(variable) && message.contains(said), "{message}");
            assert!(!message.contains("cret"), "{message}");
        }
    }
    assert_eq!(server.asked().len(), 0, "nothing was asked for directly");
}

#[tokio::test]
async fn one_variable_that_is_wrong_is_not_passed_over_for_another() {
    let (server, socks) = (model().await, Socks::start().await);
    let mut bench = Bench::new(&server);
    let good = format!("socks5h://127.0.0.1:{}", socks.port);
    bench.fetcher.remote.proxies = proxies(&[("HTTP_PROXY", "foo://x"), ("ALL_PROXY", &good)]);
    assert!(matches!(bench.fetch(&hf()).await, Err(FetchError::Proxy { .. })));
    // For HTTPS alone it is of no concern here.
    bench.fetcher.remote.proxies = proxies(&[("HTTPS_PROXY", "foo://x"), ("ALL_PROXY", &good)]);
    bench.fetch(&hf()).await.unwrap();
    assert_eq!(socks.names.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_no_proxy_names_is_asked_directly() {
    let server = model().await;
    for hosts in [
        "127.0.0.1",
        "example.org, 127.0.0.1",
        "example.org 127.0.0.1",
        "example.org\t,127.0.0.0/8",
        "*",
        "example.org *",
    ] {
        for value in ["foo://x", "socks5h://127.0.0.1:1"] {
            let mut bench = Bench::new(&server);
            bench.fetcher.remote.proxies = proxies(&[("ALL_PROXY", value), ("no_proxy", hosts)]);
            bench.fetch(&hf()).await.unwrap_or_else(|error| panic!("{hosts} {value}: {error}"));
        }
    }
    for hosts in ["localhost", "0.0.1", "27.0.0.1", "127.0.0.128/25", "127.0.0.1/33", "::/0", ""] {
        let mut bench = Bench::new(&server);
        bench.fetcher.remote.proxies = proxies(&[("ALL_PROXY", "foo://x"), ("NO_PROXY", hosts)]);
        assert!(matches!(bench.fetch(&hf()).await, Err(FetchError::Proxy { .. })), "{hosts}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_go_past_a_proxy() {
    let store = model().await;
    let target = store.address.replace("127.0.0.1", "localhost");
    let hub = Server::start(move |_, _| Reply {
        headers: vec![("location", format!("{target}/blob"))],
        ..status(302)
    })
    .await;
    let mut bench = Bench::new(&hub);
    bench.fetcher.remote.proxies = proxies(&[("ALL_PROXY", "foo://x"), ("NO_PROXY", "127.0.0.1")]);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("ALL_PROXY"), "{message}");
    assert_eq!(store.asked().len(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named_without_its_password() {
    let server = model().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut bench = Bench::new(&server);
    let address = format!("socks5h://me:secret@{closed}");
    bench.fetcher.remote.proxies = proxies(&[("ALL_PROXY", address.as_str())]);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains(&format!("through the proxy socks5h://{closed} of ALL_PROXY")), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn no_proxy_names_hosts_and_networks_as_curl_reads_it() {
    for (hosts, address, is_direct) in [
        ("example.org.", "http://example.org/", true),
        ("example.org", "http://example.org./", true),
        (".example.org", "http://a.EXAMPLE.org/", true),
        ("a.test example.org", "http://www.example.org/", true),
        ("example.org", "http://notexample.org/", false),
        ("10.0.0.0/8", "http://10.1.2.3/", true),
        ("10.0.0.0/8", "http://11.1.2.3/", false),
        ("10.1.2.3/32", "http://10.1.2.3/", true),
        ("0.0.0.0/0", "http://10.1.2.3/", true),
        ("fd00::/8", "http://[fd12::1]/", true),
        ("fd00::/8", "http://[fe12::1]/", false),
        ("[::1]", "http://[::1]/", true),
        ("10.0.0.0/8", "http://10.example.org/", false),
    ] {
        let proxies = proxies(&[("ALL_PROXY", "foo://x"), ("NO_PROXY", hosts)]);
        assert_eq!(proxies.refuse(&address.parse().unwrap()).is_none(), is_direct, "{hosts} {address}");
    }
}

/// What a pull says that goes to `endpoint` with these variables.
async fn refusal(endpoint: &str, variables: &[(&str, &str)]) -> String {
    let mut bench = Bench::new(&model().await);
    bench.fetcher.remote.endpoint = endpoint.to_owned();
    bench.fetcher.remote.proxies = proxies(variables);
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    let list = hub::repository(&bench.fetcher.remote, "o/m").await.unwrap_err().to_string();
    for said in [&message, &list] {
        assert!(!said.contains("cret"), "{said}");
    }
    message
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_is_named_with_its_variable() {
    for endpoint in ["http://hub.invalid", "https://hub.invalid"] {
        for variable in ["ALL_PROXY", if endpoint.contains("https") { "HTTPS_PROXY" } else { "http_proxy" }] {
            let proxy = Server::start(|_, _| status(407)).await;
            let at = proxy.address.trim_start_matches("http://");
            let none = refusal(endpoint, &[(variable, at)]).await;
            let said = format!("the proxy http://{at} of {variable} wants a name and a password");
            assert!(none.contains(&said), "{none}");
            let wrong = refusal(endpoint, &[(variable, &format!("http://me:secret@{at}"))]).await;
            let said = format!("the proxy http://{at} of {variable} does not accept the name and password");
            assert!(wrong.contains(&said), "{wrong}");
            // Each pull and each list once: it would be the same again.
            assert_eq!(proxy.asked().len(), 4);
        }
    }
}

#[tokio::test]
async fn a_password_that_is_wanted_where_no_proxy_is_set_is_said_plainly() {
    let server = Server::start(|_, _| status(407)).await;
    let message = refusal(&server.address, &[]).await;
    assert!(message.contains("HTTP 407") && message.contains("no proxy is set here"), "{message}");
}

#[tokio::test]
async fn a_socks_proxy_that_lets_nobody_in_without_a_password_is_told_the_right_way_round() {
    // None of the ways in that were offered, and a password that is wrong (RFC 1928 and 1929).
    for (first, second, given, said) in [
        (0xff, None, "", "wants a name and a password"),
        (2, Some([1, 1]), "me:secret@", "does not accept the name and password"),
        (0xff, None, "me:secret@", "takes no name and password"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut asked = [0; 256];
                let _ = client.read(&mut asked).await;
                let _ = client.write_all(&[5, first]).await;
                if let Some(second) = second {
                    let _ = client.read(&mut asked).await;
                    let _ = client.write_all(&second).await;
                }
                let _ = client.read(&mut asked).await;
            }
        });
        let message =
            refusal("https://hub.invalid", &[("ALL_PROXY", &format!("socks5h://{given}{at}"))]).await;
        assert!(message.contains(&format!("the proxy socks5h://{at} of ALL_PROXY {said}")), "{message}");
        assert!(!message.contains("does not support"), "{message}");
    }
}
