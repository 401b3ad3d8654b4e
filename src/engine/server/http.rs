//! Requests to one server: tried again where that helps, ended at once when they are cancelled.
//!
//! Invariants: nothing is ever sent to another host than the configured one (a redirect is an error, so the key goes
//! nowhere else); every wait has an end and hears of a cancel; a failure is a sentence that names machine and port, never
//! a key or the rest of an address.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::key::Key;
use super::sse::{self, Events};
use crate::engine::protocol::{Failure, FailureKind};
use crate::model_entry::Server;
use crate::request_error::{Through, reason, retry_after};
use crate::sanitize::for_display;

/// The longest answer that is read whole, bytes.
const LARGEST_ANSWER: usize = 64 << 20;
/// The longest stretch of a server's own words that is repeated, characters.
const QUOTED: usize = 300;

/// Makes the client for an address, and says through which proxy that goes; a sentence where it cannot be asked.
pub type Connect = Box<dyn Fn(&Url) -> Result<(Client, Option<Through>), String> + Send + Sync>;

/// How long is waited, and how often tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a word of a reply, the first included: a long prompt is read before.
    pub idle: Duration,
    /// For the answer to a question that costs the server nothing.
    pub short: Duration,
    /// How often a request is made that fails in a way that passes.
    pub tries: u32,
    /// Before the second try; doubles each time.
    pub wait: Duration,
    /// The longest wait that a server may ask for.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_mins(10),
            short: Duration::from_secs(20),
            tries: 4,
            wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
        }
    }
}

/// Below which part of the address something is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Path<'a> {
    /// Below the address without its `/v1`: what is a server's own.
    Root(&'a str),
    /// Below the address itself: what is `OpenAI`'s.
    Base(&'a str),
}

/// A request.
#[derive(Clone, Copy)]
struct Question<'a> {
    path: Path<'a>,
    /// What is sent with it, by POST; without, it is a GET.
    body: Option<&'a Value>,
    /// How long its answer may take to begin.
    patience: Duration,
}

/// One server.
#[derive(Debug)]
pub struct Http {
    client: Client,
    root: String,
    base: String,
    /// Machine and port.
    pub host: String,
    /// The proxy on the way there.
    through: Option<Through>,
    key: Option<Key>,
    is_overheard: bool,
    limits: Limits,
}

impl Http {
    /// # Errors
    /// A sentence: the address is none, the key cannot be read, no client can be made.
    pub fn new(server: &Server, connect: &Connect, limits: Limits) -> Result<Self, Failure> {
        let host = server.host().to_owned();
        let url = Url::parse(&server.address).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
        });
        let url = url.ok_or_else(|| {
            other("The server's address is not one like http://127.0.0.1:8080/v1 or https://example.org/v1.")
        })?;
        let key = server.key.as_ref().map(Key::read).transpose().map_err(other)?;
        let (client, through) = connect(&url).map_err(|why| other(format!("{host} is not asked: {why}.")))?;
        let address = server.address.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let (root, base) = match address.strip_suffix("/v1") {
            Some(root) => (root.to_owned(), address.to_owned()),
            None if url.path().trim_end_matches('/').is_empty() => {
                (address.to_owned(), format!("{address}/v1"))
            }
            None => (address.to_owned(), address.to_owned()),
        };
        let is_overheard = server.is_overheard();
        Ok(Self { client, root, base, host, through, key, is_overheard, limits })
    }

    /// What should be known of the way there.
    pub fn note(&self) -> Option<String> {
        let key = if self.key.is_some() { ", the key too" } else { "" };
        self.is_overheard.then(|| {
            format!(
                "{} is asked without encryption: chats can be read on the way{key}. Use https://.",
                self.host
            )
        })
    }

    /// The answer to a question that costs the server nothing; `None` where nothing of use comes: for finding out what a
    /// server is.
    pub async fn probe(&self, path: Path<'_>, cancel: &CancellationToken) -> Result<Option<Value>, Failure> {
        let asked = Question { path, body: None, patience: self.limits.short };
        let response = match self.attempt(asked, cancel).await {
            Ok(response) if response.status().is_success() => response,
            Ok(response) if matches!(response.status().as_u16(), 401 | 403 | 407 | 300..=399) => {
                return Err(self.refused(response, cancel).await);
            }
            Ok(_) => return Ok(None),
            Err(Broken { failure, .. }) => return Err(failure),
        };
        Ok(self.json(response, self.limits.short, cancel).await.ok())
    }

    /// The answer to a small question, asked once; `None` where nothing of use comes.
    pub async fn ask_once(&self, path: Path<'_>, body: &Value, cancel: &CancellationToken) -> Option<Value> {
        let asked = Question { path, body: Some(body), patience: self.limits.short };
        let sent = self.attempt(asked, cancel).await.ok()?;
        let response = sent.status().is_success().then_some(sent)?;
        self.json(response, self.limits.short, cancel).await.ok()
    }

    /// The whole answer to a request.
    pub async fn post(
        &self,
        path: Path<'_>,
        body: &Value,
        cancel: &CancellationToken,
    ) -> Result<Value, Failure> {
        let response = self.send(path, body, cancel).await?;
        self.json(response, self.limits.idle, cancel).await
    }

    /// The answer to a request, piece by piece.
    pub async fn stream<'a>(
        &'a self,
        path: Path<'_>,
        body: &Value,
        cancel: &CancellationToken,
    ) -> Result<Stream<'a>, Failure> {
        let response = self.send(path, body, cancel).await?;
        let kind = kind_of(&response);
        let mut stream = Stream {
            http: self,
            response: None,
            events: Events::new(sse::LONGEST),
            waiting: VecDeque::new(),
            done: false,
        };
        if kind.contains("json") {
            stream.waiting.push_back(self.body(response, self.limits.idle, cancel).await?);
        } else if kind.contains("html") {
            return Err(self.no_answer("a web page"));
        } else {
            stream.response = Some(response);
        }
        Ok(stream)
    }

    /// What a text of the server's is shown as.
    pub fn quoted(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.hidden_in(text));
        let line = for_display(text.trim()).split_whitespace().collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(QUOTED) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// A request, made again where the failure may pass.
    async fn send(
        &self,
        path: Path<'_>,
        body: &Value,
        cancel: &CancellationToken,
    ) -> Result<Response, Failure> {
        let question = Question { path, body: Some(body), patience: self.limits.idle };
        let mut failures = 0;
        loop {
            let (failure, asked) = match self.attempt(question, cancel).await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) if may_pass(response.status()) => {
                    let asked = retry_after(response.headers());
                    (self.refused(response, cancel).await, asked)
                }
                Ok(response) => return Err(self.refused(response, cancel).await),
                Err(Broken { failure, passes: true }) => (failure, None),
                Err(Broken { failure, passes: false }) => return Err(failure),
            };
            failures += 1;
            if let Some(asked) = asked.filter(|asked| *asked > self.limits.longest_wait) {
                let message =
                    format!("{} It asks to come back in {} seconds.", failure.message, asked.as_secs());
                return Err(Failure { message, ..failure });
            }
            if failures >= self.limits.tries {
                return Err(failure);
            }
            let wait = asked.unwrap_or_else(|| self.limits.wait * 2_u32.pow(failures - 1));
            tracing::info!(failures, ?wait, "{} {} Trying again.", self.host, failure.message);
            tokio::select! {
                () = cancel.cancelled() => return Err(cancelled()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn attempt(
        &self,
        Question { path, body, patience }: Question<'_>,
        cancel: &CancellationToken,
    ) -> Result<Response, Broken> {
        let address = match path {
            Path::Root(path) => format!("{}{path}", self.root),
            Path::Base(path) => format!("{}{path}", self.base),
        };
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, address);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.header());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let sent = tokio::select! {
            () = cancel.cancelled() => return Err(Broken { failure: cancelled(), passes: false }),
            sent = tokio::time::timeout(patience, request.send()) => sent,
        };
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Broken {
                failure: self.unreachable(&error),
                passes: !error.is_connect() && !error.is_builder(),
            }),
            Err(_) => Err(Broken { failure: self.silent(patience), passes: false }),
        }
    }

    async fn json(
        &self,
        response: Response,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Value, Failure> {
        let is_page = kind_of(&response).contains("html");
        let body = self.body(response, patience, cancel).await?;
        serde_json::from_slice(&body)
            .map_err(|_| self.no_answer(if is_page { "a web page" } else { "something that is no JSON" }))
    }

    async fn body(
        &self,
        mut response: Response,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk(&mut response, patience, cancel).await? {
            body.extend_from_slice(&bytes);
            if body.len() > LARGEST_ANSWER {
                return Err(self.too_long());
            }
        }
        Ok(body)
    }

    async fn chunk(
        &self,
        response: &mut Response,
        patience: Duration,
        cancel: &CancellationToken,
    ) -> Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]> + use<>>, Failure> {
        let came = tokio::select! {
            () = cancel.cancelled() => return Err(cancelled()),
            came = tokio::time::timeout(patience, response.chunk()) => came,
        };
        match came {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => Err(other(format!(
                "The connection to {} broke off in the middle of its answer ({}).",
                self.host,
                reason(&error)
            ))),
            Err(_) => Err(self.silent(patience)),
        }
    }

    /// What an answer means that is no success.
    async fn refused(&self, response: Response, cancel: &CancellationToken) -> Failure {
        let (status, host) = (response.status(), &self.host);
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            let to = response
                .url()
                .join(to)
                .map_or_else(|_| "elsewhere".to_owned(), |url| self.quoted(&said_of(&url)));
            return other(format!(
                "{host} sends on to {to}, and nothing is sent there: put the address that answers into the model's entry."
            ));
        }
        let body = self.body(response, self.limits.short, cancel).await.unwrap_or_default();
        let json: Option<Value> = serde_json::from_slice(&body).ok();
        let said = json.as_ref().and_then(message_of).map(|said| self.quoted(&said)).unwrap_or_default();
        let colon = |said: &str| if said.is_empty() { String::new() } else { format!(": {said}") };
        let number = status.as_u16();
        let message = match (number, &self.key) {
            (401 | 403, None) => {
                format!(
                    "{host} wants a key (HTTP {number}): name one in the model's entry, as key_env or key_file."
                )
            }
            (401 | 403, Some(key)) => {
                format!("{host} does not accept the key of {} (HTTP {number}){}.", key.origin(), colon(&said))
            }
            (407, _) => self.wants_password(),
            (404, _) => {
                format!("{host} has nothing at this address or under this name (HTTP 404){}.", colon(&said))
            }
            (429, _) => format!("{host} has had too many requests (HTTP 429){}.", colon(&said)),
            (500..=599, _) => format!("{host} failed (HTTP {number}){}.", colon(&said)),
            _ => format!("{host} refuses this (HTTP {number}){}.", colon(&said)),
        };
        let kind = json.as_ref().map_or(FailureKind::Other, kind_of_error);
        Failure { message: message.replace("..", "."), kind }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let (host, why) = (&self.host, reason(error));
        other(if why.contains("certificate") {
            format!("{host} is not trusted: its certificate is not valid here ({why}). Nothing was sent.")
        } else if let Some(refusal) = self.through.as_ref().and_then(|through| through.refusal(&why)) {
            format!("{host} cannot be reached: {refusal}")
        } else if let (true, Some(through)) = (error.is_connect(), &self.through) {
            format!(
                "{host} cannot be reached through {through} ({why}). Is that proxy running? A host that needs none goes \
                 into NO_PROXY."
            )
        } else if error.is_connect() {
            format!("{host} cannot be reached ({why}). Is the server running?")
        } else {
            format!("The request to {host} failed ({why}).")
        })
    }

    /// What a proxy's refusal means (HTTP 407).
    fn wants_password(&self) -> String {
        let host = &self.host;
        match &self.through {
            Some(through) => format!("{host} cannot be reached: {}", through.wants_password()),
            None => format!(
                "{host} answers as a proxy that wants a name and a password (HTTP 407), and no proxy is set here: is the \
                 address right?"
            ),
        }
    }

    fn silent(&self, patience: Duration) -> Failure {
        other(format!("{} said nothing for {} seconds.", self.host, patience.as_secs().max(1)))
    }

    fn no_answer(&self, what: &str) -> Failure {
        other(format!("{} answers with {what}: is the address right?", self.host))
    }

    fn too_long(&self) -> Failure {
        other(format!("{} sends a line or an answer without end; it was left there.", self.host))
    }
}

/// A request that got no answer, and whether that may pass.
struct Broken {
    failure: Failure,
    passes: bool,
}

/// An answer that comes piece by piece. Dropping it ends the request.
#[derive(Debug)]
pub struct Stream<'a> {
    http: &'a Http,
    /// Gone once it has ended.
    response: Option<Response>,
    events: Events,
    waiting: VecDeque<Vec<u8>>,
    done: bool,
}

impl Stream<'_> {
    /// The next piece, which should be JSON; `None` at the end.
    ///
    /// # Errors
    /// A sentence: it broke off or is silent.
    pub async fn next(&mut self, cancel: &CancellationToken) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(data) = self.waiting.pop_front() {
                if data.trim_ascii() == b"[DONE]" {
                    self.done = true;
                    return Ok(None);
                }
                return Ok(Some(data));
            }
            let Some(response) = &mut self.response else { return Ok(None) };
            if let Some(bytes) = self.http.chunk(response, self.http.limits.idle, cancel).await? {
                let events = self.events.feed(&bytes).map_err(|_| self.http.too_long())?;
                self.waiting.extend(events);
            } else {
                self.response = None;
                self.waiting.extend(std::mem::take(&mut self.events).finish());
            }
        }
    }

    /// Whether the server said that nothing more comes.
    pub fn said_done(&self) -> bool {
        self.done
    }

    /// What is said of a piece that could not be read.
    pub fn unread(&self, data: &[u8], error: &serde_json::Error) -> Failure {
        if self.response.is_none() && error.is_eof() {
            let host = &self.http.host;
            return other(format!("The connection to {host} ended in the middle of a line."));
        }
        let said = self.http.quoted(&String::from_utf8_lossy(data));
        other(format!("{} sends something that cannot be read: {said}", self.http.host))
    }
}

/// The message of an error, in the forms that servers have.
pub fn message_of(answer: &Value) -> Option<String> {
    let error = answer.get("error").unwrap_or(answer);
    let places = [error, &error["message"], &answer["message"], &answer["detail"]];
    let text = places.into_iter().find_map(Value::as_str);
    text.map(str::to_owned).or_else(|| answer.get("error").map(Value::to_string))
}

/// Whether an error says that the prompt is too long.
pub fn kind_of_error(answer: &Value) -> FailureKind {
    let text = answer.to_string().to_lowercase();
    let full = [
        "exceed_context_size",
        "context_length_exceeded",
        "maximum context length",
        "maximum model length",
        "longer than the model's context",
    ];
    if full.iter().any(|words| text.contains(words)) { FailureKind::ContextFull } else { FailureKind::Other }
}

/// How many candidates a server gives at most, in its words of refusing `asked`.
pub fn most_candidates(refused: &Failure, asked: u32) -> Option<u32> {
    let (_, said) = refused.message.split_once(": ").filter(|(_, said)| said.contains("logprobs"))?;
    let numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    numbers.filter(|number| *number < asked).max()
}

fn may_pass(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504 | 529)
}

fn kind_of(response: &Response) -> String {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().to_ascii_lowercase()
}

/// Scheme, machine and port.
fn said_of(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// A failure of no special kind.
pub fn other(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), kind: FailureKind::Other }
}

/// A request was ended before it had an answer.
pub fn cancelled() -> Failure {
    Failure { message: "Cancelled before anything was made.".into(), kind: FailureKind::Cancelled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_candidates_there_are_is_read_from_a_refusal() {
        let most =
            |said: &str| most_candidates(&other(format!("127.0.0.1:80 refuses this (HTTP 400): {said}")), 20);
        let vllm = "Requested sample logprobs of 20, which is greater than max allowed: 5 (parameter=logprobs, value=20).";
        assert_eq!(most(vllm), Some(5));
        assert_eq!(most_candidates(&other(format!("127.0.0.1:80 reports an error: {vllm}")), 20), Some(5));
        assert_eq!(
            most(
                "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 5, but got 20 instead."
            ),
            Some(5)
        );
        assert_eq!(most("Requested prompt logprobs of 20, which is greater than max allowed: 0"), Some(0));
        assert_eq!((most("logprobs are not supported"), most("temperature must be at most 2")), (None, None));
    }

    #[test]
    fn an_error_is_found_in_each_form() {
        let said = |text: &str| message_of(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(said(r#"{"error":{"message":"no","code":400}}"#), "no");
        assert_eq!(said(r#"{"error":"no"}"#), "no");
        assert_eq!(said(r#"{"object":"error","message":"no"}"#), "no");
        assert_eq!(said(r#"{"detail":"no"}"#), "no");
        assert_eq!(said(r#"{"error":{"code":5}}"#), r#"{"code":5}"#);
    }
}
