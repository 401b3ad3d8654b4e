//! Answers that refuse: what the token has to do with it, and what is done about it.

use std::time::Duration;

use super::http_tests::{Asked, Bench, Reply, Server, hf, status, whole};
use super::resume_tests::notes;
use crate::model_entry::Source;
use crate::models::folder_tests::entry;
use crate::models::gguf::craft::Craft;
use crate::models::hub;

fn with_token(asked: &Asked) -> bool {
    asked.headers.contains_key("authorization")
}

/// A hub that shows its file to everybody but those whose token is not one.
async fn public() -> Server {
    let body = Craft::new().bytes();
    Server::start(move |_, asked| if with_token(asked) { status(401) } else { whole(&body, "v1") }).await
}

/// What a download says where the hub answers `first` with the token and `second` without.
async fn refused(first: u16, second: u16) -> (String, Vec<Asked>) {
    let server = Server::start(move |_, asked| status(if with_token(asked) { first } else { second })).await;
    let message = Bench::new(&server).fetch(&hf()).await.unwrap_err().to_string();
    assert!(!message.contains("hf_secret"), "{message}");
    (message, server.asked())
}

#[tokio::test]
async fn a_public_file_is_fetched_without_a_token_that_the_hub_does_not_take() {
    let server = public().await;
    let bench = Bench::new(&server);
    let path = bench.fetch(&hf()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(std::fs::read(path).unwrap(), Craft::new().bytes());
    assert_eq!(server.asked().iter().map(with_token).collect::<Vec<_>>(), [true, false]);
    let said = notes(&bench);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("the access token of HF_TOKEN was not accepted (HTTP 401)"), "{said:?}");
    assert!(!said[0].contains("hf_secret"), "{said:?}");
}

#[tokio::test]
async fn a_split_public_file_is_asked_for_with_that_token_only_once() {
    let first = Craft { tensors: vec![("a".to_owned(), vec![32], 0)], ..Craft::new() }.bytes();
    let second = Craft { metadata: Vec::new(), tensors: vec![("b".to_owned(), vec![32], 0)], ..Craft::new() };
    let second = second.bytes();
    let server = Server::start(move |_, asked| match asked.path.contains("-00001-") {
        _ if with_token(asked) => status(401),
        true => whole(&first, "v1"),
        false => whole(&second, "v1"),
    })
    .await;
    let bench = Bench::new(&server);
    bench.fetch(&entry("m", Source::Hf("o/r:m-00001-of-00002.gguf".to_owned()))).await.unwrap();
    assert_eq!(notes(&bench).len(), 1);
    let got = server.asked().iter().filter(|asked| asked.method == "GET" && with_token(asked)).count();
    assert_eq!(got, 1);
}

#[tokio::test]
async fn what_a_public_repository_offers_is_read_without_that_token_too() {
    let list = r#"[{"type":"file","path":"m.gguf","size":400}]"#;
    let server = Server::start(move |_, asked| {
        if with_token(asked) { status(401) } else { Reply { body: list.into(), ..status(200) } }
    })
    .await;
    let remote = Bench::new(&server).fetcher.remote;
    let found = hub::repository(&remote, "o/m").await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(found.files.len(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_one_is_told_from_one_that_may_not() {
    let (expired, asked) = refused(401, 401).await;
    assert_eq!(asked.len(), 2);
    assert!(expired.contains("access token of HF_TOKEN was not accepted"), "{expired}");
    assert!(expired.contains("expired"), "{expired}");

    // The token is good; asking once more without it would only hide what is missing.
    let (may_not, asked) = refused(403, 200).await;
    assert_eq!(asked.len(), 1);
    assert!(may_not.contains("HTTP 403") && may_not.contains("Accept its terms"), "{may_not}");
    assert!(may_not.contains("access token of HF_TOKEN"), "{may_not}");
    assert_ne!(expired, may_not);
}

#[tokio::test]
async fn without_a_token_the_sentence_says_how_to_give_one() {
    let server = Server::start(|_, _| status(401)).await;
    let mut bench = Bench::new(&server);
    bench.fetcher.remote.token = None;
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("gated or private") && message.contains("put an access token"), "{message}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn what_is_not_found_may_be_private() {
    let (message, _) = refused(404, 404).await;
    assert!(message.contains("does not exist (HTTP 404)"), "{message}");
    assert!(message.contains("private") && message.contains("token of HF_TOKEN"), "{message}");

    let server = Server::start(|_, _| status(404)).await;
    let mut bench = Bench::new(&server);
    bench.fetcher.remote.token = None;
    let message = bench.fetch(&hf()).await.unwrap_err().to_string();
    assert!(message.contains("private") && message.contains("no access token was sent"), "{message}");
    // A plain address never gets a token, so nothing is said of one.
    let plain = entry("m", Source::Url(format!("{}/x/m.gguf", server.address)));
    let message = bench.fetch(&plain).await.unwrap_err().to_string();
    assert!(message.contains("does not exist (HTTP 404)") && !message.contains("token"), "{message}");
}

#[tokio::test]
async fn a_plain_address_that_wants_a_sign_in_is_not_the_hubs() {
    for number in [401, 403] {
        let server = Server::start(move |_, _| status(number)).await;
        let plain = entry("m", Source::Url(format!("{}/x/m.gguf", server.address)));
        let message = Bench::new(&server).fetch(&plain).await.unwrap_err().to_string();
        assert!(message.contains(&format!("HTTP {number}")) && message.contains("sign in"), "{message}");
        assert!(!message.contains("HF_TOKEN"), "{message}");
    }
}

#[tokio::test]
async fn a_store_that_the_hub_sends_us_to_is_asked_again_with_a_new_address() {
    let body = Craft::new().bytes();
    // Its address was signed for a while that is over.
    let store =
        Server::start(move |number, _| if number == 0 { status(403) } else { whole(&body, "v1") }).await;
    let target = format!("{}/blob", store.address);
    let hub =
        Server::start(move |_, _| Reply { headers: vec![("location", target.clone())], ..status(302) }).await;
    Bench::new(&hub).fetch(&hf()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((hub.asked().len(), store.asked().len()), (2, 2));
}

#[tokio::test]
async fn a_server_that_is_busy_is_not_called_out_of_reach() {
    for number in [408, 429, 500, 503] {
        let server = Server::start(move |_, _| status(number)).await;
        let message = Bench::new(&server).fetch(&hf()).await.unwrap_err().to_string();
        let said = format!("answered with HTTP {number}. Try again later.");
        assert!(message.ends_with(&said), "{message}");
        assert_eq!(server.asked().len(), 3);
    }
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    for when in ["0", "Mon, 01 Jan 2024 00:00:00 GMT"] {
        let body = Craft::new().bytes();
        let server = Server::start(move |number, _| match number {
            0 => Reply { headers: vec![("retry-after", when.to_owned())], ..status(429) },
            _ => whole(&body, "v1"),
        })
        .await;
        let mut bench = Bench::new(&server);
        bench.fetcher.remote.wait = Duration::from_secs(1000);
        let ended = tokio::time::timeout(Duration::from_secs(20), bench.fetch(&hf())).await;
        assert!(ended.is_ok_and(|ended| ended.is_ok()), "{when}");
    }
}

#[tokio::test]
async fn what_no_other_address_mends_is_not_laid_to_the_address() {
    for (number, advice) in [(402, "paid"), (451, "legal reasons"), (418, "Check the address")] {
        let (message, _) = refused(number, number).await;
        assert!(message.contains(advice), "{message}");
        assert_eq!(message.contains("Check the address"), number == 418, "{message}");
    }
}
