//! `hf` and `url` sources: which addresses to fetch, with which client and token.
//!
//! Invariant: the token goes to the hub alone: never to a `url` source, never to another host that the hub
//! sends us to (reqwest drops it there), never over plain HTTP to another machine.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url};

use super::FetchError;
use super::address::{HUB, hub_addresses, may_carry_token, plain_addresses, shown};
use super::http::{Download, size_of, with_token};
use super::job::Job;
pub use super::proxies::Proxies;
use super::refusal::{Asked, once_more, refused, unreached};
pub use super::token::Token;
use crate::model_entry::Source;
use crate::models::gguf::part_paths;
use crate::models::unfinished::part_of;
use crate::request_error::{Through, reason};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection may say nothing. There is no limit on the whole: models are large.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_REDIRECTS: usize = 10;
/// The longest list of files that is read, bytes.
const LARGEST_ANSWER: usize = 16 << 20;

/// How `hf` and `url` sources are reached.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The hub's address.
    pub endpoint: String,
    /// For gated repositories.
    pub token: Option<Token>,
    /// What stands where a token belongs and is none, in a sentence.
    pub token_note: Option<String>,
    /// What addresses go through.
    pub proxies: Proxies,
    /// Tries without a single new byte before giving up.
    pub tries: u32,
    /// Wait before the second try; doubles each time.
    pub wait: Duration,
}

impl Remote {
    /// The hub of `HF_ENDPOINT`, the token of `HF_TOKEN` or of the hub's own file.
    pub fn from_env() -> Self {
        let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|value| !value.is_empty());
        let found = Token::from_env();
        Self {
            endpoint: endpoint.unwrap_or_else(|| HUB.to_owned()),
            token: found.token,
            token_note: found.note,
            proxies: Proxies::from_env(),
            tries: 5,
            wait: Duration::from_millis(500),
        }
    }

    /// Downloads every part's `.part`.
    pub(super) async fn fill(&self, job: &Job<'_>, path: &Path) -> Result<(), FetchError> {
        let bad = |what: String| FetchError::BadSource { name: job.name(), what };
        let (urls, token) = match &job.entry.source {
            Source::Hf(source) => (hub_addresses(&self.endpoint, source).map_err(bad)?, self.token.as_ref()),
            Source::Url(source) => (plain_addresses(source).map_err(bad)?, None),
            Source::Path(_) | Source::Pip(_) | Source::Server(_) => return Ok(()),
        };
        urls.iter().try_for_each(|url| self.check_proxy(url))?;
        if let (Source::Hf(_), Some(note)) = (&job.entry.source, &self.token_note) {
            job.note(format!("{}: {note}", job.name()));
        }
        let client = self.client().map_err(|error| bad(format!("no connection can be set up ({error})")))?;
        let mut download = Download {
            job,
            client,
            token: None,
            refused: AtomicBool::new(false),
            proxies: &self.proxies,
            tries: self.tries,
            wait: self.wait,
            before: 0,
            total: None,
            alone: urls.len() == 1,
        };
        download.total = match job.entry.size {
            Some(size) => Some(size.download),
            None if urls.len() > 1 => download.sum_of_lengths(&urls, token).await,
            None => None,
        };
        if let Some(total) = download.total.filter(|_| urls.len() > 1) {
            let here: u64 = part_paths(path).iter().map(|file| size_of(file) + size_of(&part_of(file))).sum();
            job.has_room(total.saturating_sub(here), path)?;
        }
        for (url, file) in urls.iter().zip(part_paths(path)) {
            download.token = token.filter(|_| may_carry_token(url));
            download.before += download.fetch(url, &file).await?;
        }
        Ok(())
    }

    /// What the hub answers to a path, as JSON, and the path of the next page if there is one; `name` is for the messages.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or says something else than JSON.
    pub(in crate::models) async fn json(
        &self,
        path: &str,
        name: &str,
    ) -> Result<(serde_json::Value, Option<String>), FetchError> {
        let bad = |what: String| FetchError::BadSource { name: name.to_owned(), what };
        let endpoint = self.endpoint.trim_end_matches('/');
        let url = Url::parse(&format!("{endpoint}{path}"))
            .map_err(|_| bad("HF_ENDPOINT is not an address like https://example.org".to_owned()))?;
        self.check_proxy(&url)?;
        let client = self.client().map_err(|error| bad(format!("no connection can be set up ({error})")))?;
        let token = self.token.as_ref().filter(|_| may_carry_token(&url));
        let mut response = self.answer(&client, &url, token).await?;
        let next = next_page(response.headers(), endpoint);
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(bad("the hub's answer is too long".to_owned()));
            }
        }
        let json =
            serde_json::from_slice(&body).map_err(|_| bad("the hub's answer is no JSON".to_owned()))?;
        Ok((json, next))
    }

    /// The hub's answer, without the token where it does not accept that.
    async fn answer(
        &self,
        client: &Client,
        url: &Url,
        token: Option<&Token>,
    ) -> Result<Response, FetchError> {
        let send = |token| with_token(client.get(url.clone()), token).send();
        let unreachable = |error: reqwest::Error| unreached(url, &error, &self.proxies);
        let mut response = send(token).await.map_err(unreachable)?;
        let mut asked = token.map_or(Asked::WithoutToken, Asked::With);
        if let (StatusCode::UNAUTHORIZED, Some(token)) = (response.status(), token) {
            tracing::warn!("{}", once_more(token));
            response = send(None).await.map_err(unreachable)?;
            asked = Asked::TokenRefused(token);
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(url, &response, asked, &self.proxies))
    }

    /// An error where an address has a proxy that cannot be used.
    fn check_proxy(&self, url: &Url) -> Result<(), FetchError> {
        match self.proxies.refuse(url) {
            Some(why) => Err(FetchError::Proxy { address: shown(url), why: why.to_owned() }),
            None => Ok(()),
        }
    }

    fn client(&self) -> reqwest::Result<Client> {
        let proxies = self.proxies.clone();
        let builder = builder()
            .read_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::custom(move |attempt| redirect(attempt, &proxies)));
        self.proxies.of_client(builder).build()
    }
}

/// A client for a server that is asked at this address alone, and the proxy that it goes through: it follows no redirect,
/// and how long it waits is the caller's. This machine is asked directly, others as the environment says.
///
/// # Errors
/// A part of a sentence: a proxy cannot be used, or no connection can be set up.
pub fn client_for(url: &Url) -> Result<(Client, Option<Through>), String> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = match host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    let proxies = if is_here { Proxies::none() } else { Proxies::from_env() };
    if let Some(why) = proxies.refuse(url) {
        return Err(why.to_owned());
    }
    let builder = builder().redirect(reqwest::redirect::Policy::none());
    match proxies.of_client(builder).build() {
        Ok(client) => Ok((client, proxies.through(url))),
        Err(error) => Err(format!("no connection can be set up ({})", reason(&error))),
    }
}

fn builder() -> reqwest::ClientBuilder {
    // Fails only if one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("glassbox/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .referer(false)
}

/// The path of the next page, as the `Link` header gives it; never another host's.
fn next_page(headers: &reqwest::header::HeaderMap, endpoint: &str) -> Option<String> {
    let links = headers.get(reqwest::header::LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    let address = next.split(['<', '>']).nth(1)?;
    address.strip_prefix(endpoint).filter(|path| path.starts_with('/')).map(str::to_owned)
}

/// Follows a redirect unless there were too many, it leaves HTTPS or it would go past a proxy.
fn redirect(attempt: reqwest::redirect::Attempt<'_>, proxies: &Proxies) -> reqwest::redirect::Action {
    let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else if was_safe && attempt.url().scheme() != "https" {
        attempt.error("redirected away from HTTPS")
    } else if let Some(why) = proxies.refuse(attempt.url()).map(str::to_owned) {
        attempt.error(why)
    } else {
        attempt.follow()
    }
}
