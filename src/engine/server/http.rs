//! Requests to one server: tried again where that helps, ended at once when they are cancelled.
//!
//! Invariants: nothing is ever sent to another host than the configured one (a redirect is an error, so the key goes
//! nowhere else); every wait has an end and hears of a cancel; a failure is a sentence that names machine and port, never
//! a key or, but for the path that a redirect goes to, the rest of an address.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Response, Url};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::key::Key;
use super::mend::mended;
use super::refusal::{Refusal, in_own_terms, kind_of_error, message_of, said};
use super::sse::{self, Event, Events, Kind};
use super::told;
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
    /// For a server that says that it is loading its model.
    pub loading: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            idle: Duration::from_mins(10),
            short: Duration::from_secs(20),
            tries: 4,
            wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(30),
            loading: Duration::from_mins(5),
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
    /// Whether a failure that may pass is worth another try; having too many requests and loading are in any case.
    persists: bool,
}

/// What a question came to that costs the server nothing.
#[derive(Debug)]
pub enum Probed {
    /// An answer.
    Told(Value),
    /// Nothing of use.
    Nothing,
    /// It does not want to answer, or cannot.
    Refused(Refusal),
}

impl Probed {
    /// The answer, where it is one.
    pub fn told(self) -> Option<Value> {
        match self {
            Self::Told(answer) => Some(answer),
            Self::Nothing | Self::Refused(_) => None,
        }
    }
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

    /// Asks for what costs the server nothing: for finding out what it is.
    ///
    /// # Errors
    /// It cannot be reached, is loading for too long or has had too many requests.
    pub async fn probe(&self, path: Path<'_>, cancel: &CancellationToken) -> Result<Probed, Failure> {
        let persists = matches!(path, Path::Base(_));
        let asked = Question { path, body: None, patience: self.limits.short, persists };
        match self.ask(asked, cancel).await {
            Ok(response) => {
                let answer = self.json(response, self.limits.short, cancel).await;
                Ok(answer.map_or(Probed::Nothing, Probed::Told))
            }
            Err(refusal) => match refusal.status {
                Some(300..=399 | 401 | 403 | 407 | 500..) => Ok(Probed::Refused(refusal)),
                Some(429) | None => Err(refusal.failure),
                Some(_) => Ok(Probed::Nothing),
            },
        }
    }

    /// The answer to a small question, asked once; `None` where nothing of use comes.
    pub async fn ask_once(&self, path: Path<'_>, body: &Value, cancel: &CancellationToken) -> Option<Value> {
        let asked = Question { path, body: Some(body), patience: self.limits.short, persists: false };
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
    ) -> Result<Stream<'a>, Refusal> {
        let response = self.send(path, body, cancel).await?;
        let kind = kind_of(&response);
        let mut stream = Stream {
            http: self,
            response: None,
            events: Events::new(sse::LONGEST),
            waiting: VecDeque::new(),
            begun: false,
            done: false,
        };
        if kind.contains("html") {
            return Err(self.no_answer("a web page").into());
        }
        if kind.contains("json") {
            let whole = self.body(response, self.limits.idle, cancel).await?;
            if [&b"data:"[..], b"event:", b":"].iter().any(|form| whole.starts_with(form)) {
                stream.waiting.extend(stream.events.feed(&whole).map_err(|_| self.too_long())?);
                stream.waiting.extend(std::mem::take(&mut stream.events).finish());
            } else {
                stream.waiting.push_back(Event { data: whole, kind: Kind::Bare });
            }
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

    /// A request.
    async fn send(
        &self,
        path: Path<'_>,
        body: &Value,
        cancel: &CancellationToken,
    ) -> Result<Response, Refusal> {
        let asked = Question { path, body: Some(body), patience: self.limits.idle, persists: true };
        self.ask(asked, cancel).await
    }

    /// Asks, and again where the failure may pass.
    async fn ask(&self, question: Question<'_>, cancel: &CancellationToken) -> Result<Response, Refusal> {
        let (mut failures, mut loading, mut loads_since) = (0, 0, None);
        loop {
            let (refusal, asked) = match self.attempt(question, cancel).await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let asked = retry_after(response.headers());
                    (self.refused(response, cancel).await, asked)
                }
                Err(Broken { failure, passes: true }) if question.persists => (failure.into(), None),
                Err(Broken { failure, .. }) => return Err(failure.into()),
            };
            if refusal.is_loading() {
                if loads_since.get_or_insert_with(Instant::now).elapsed() >= self.limits.loading {
                    return Err(self.still_loading().into());
                }
                // Seconds at the most, so that a model that is there is not waited for.
                self.pause(self.limits.wait * 2_u32.pow(loading), cancel).await?;
                loading = (loading + 1).min(3);
                continue;
            }
            if !refusal.may_pass(question.persists) {
                return Err(refusal);
            }
            failures += 1;
            if let Some(asked) = asked.filter(|asked| *asked > self.limits.longest_wait) {
                let message = format!(
                    "{} It asks to come back in {} seconds.",
                    refusal.failure.message,
                    asked.as_secs()
                );
                return Err(Refusal { failure: Failure { message, ..refusal.failure }, ..refusal });
            }
            if failures >= self.limits.tries {
                return Err(refusal);
            }
            let wait = asked.unwrap_or_else(|| self.limits.wait * 2_u32.pow(failures - 1));
            tracing::info!(failures, ?wait, "{} {} Trying again.", self.host, refusal.failure.message);
            self.pause(wait, cancel).await?;
        }
    }

    async fn pause(&self, wait: Duration, cancel: &CancellationToken) -> Result<(), Failure> {
        tokio::select! {
            () = cancel.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    async fn attempt(
        &self,
        Question { path, body, patience, .. }: Question<'_>,
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
            Ok(Err(error)) if self.is_plain_there(&error) => Err(Broken {
                failure: other(format!(
                    "{} speaks http, not https: begin its address with http://.",
                    self.host
                )),
                passes: false,
            }),
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
            .or_else(|_| serde_json::from_slice(&mended(&body)))
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
    async fn refused(&self, response: Response, cancel: &CancellationToken) -> Refusal {
        let (status, host) = (response.status(), &self.host);
        let number = status.as_u16();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("elsewhere");
            let to = response
                .url()
                .join(to)
                .map_or_else(|_| "elsewhere".to_owned(), |url| self.quoted(&said_of(&url)));
            let failure = other(format!(
                "{host} sends on to {to}, and nothing is sent there: put the address that answers into the model's entry."
            ));
            return Refusal { failure, status: Some(number), answer: Value::Null };
        }
        let is_page = kind_of(&response).contains("html");
        let body = self.body(response, self.limits.short, cancel).await.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&body).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&body);
            if is_page || text.trim_start().starts_with('<') { Value::Null } else { text.into() }
        });
        let reason =
            message_of(&answer).map(|reason| self.quoted(&in_own_terms(&reason))).unwrap_or_default();
        let key_wanted = "name one in the model's entry, as key_env or key_file.";
        let message = match (number, &self.key) {
            (403, None) if !reason.is_empty() => {
                let refused = said(&format!("{host} refuses this (HTTP 403)"), &reason);
                format!("{refused} If it wants a key, {key_wanted}")
            }
            (401 | 403, None) => {
                let it_says = if reason.is_empty() { String::new() } else { said(" It says", &reason) };
                format!("{host} wants a key (HTTP {number}): {key_wanted}{it_says}")
            }
            (401 | 403, Some(key)) => {
                said(&format!("{host} does not accept the key of {} (HTTP {number})", key.origin()), &reason)
            }
            (407, _) => self.wants_password(),
            (404, _) => {
                said(&format!("{host} has nothing at this address or under this name (HTTP 404)"), &reason)
            }
            (429, _) => said(&format!("{host} has had too many requests (HTTP 429)"), &reason),
            (500..=599, _) => said(&format!("{host} failed (HTTP {number})"), &reason),
            _ => said(&format!("{host} refuses this (HTTP {number})"), &reason),
        };
        Refusal { failure: Failure { message, kind: kind_of_error(&answer) }, status: Some(number), answer }
    }

    /// Whether a handshake failed since the other side speaks no TLS.
    fn is_plain_there(&self, error: &reqwest::Error) -> bool {
        self.base.starts_with("https://") && reason(error).contains("InvalidContentType")
    }

    fn still_loading(&self) -> Failure {
        let seconds = self.limits.loading.as_secs();
        let long = if seconds >= 120 {
            format!("{} minutes", seconds / 60)
        } else {
            format!("{} seconds", seconds.max(1))
        };
        other(format!("{} is still loading its model, after {long} of waiting: try again later.", self.host))
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
    waiting: VecDeque<Event>,
    /// Whether an event came.
    begun: bool,
    done: bool,
}

impl Stream<'_> {
    /// The next event, whose data should be JSON; `None` at the end. What came without the form of events is one where there
    /// is no other, or where it reports an error.
    ///
    /// # Errors
    /// A sentence: it broke off or is silent, or what came is no answer.
    pub async fn next(&mut self, cancel: &CancellationToken) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                if event.kind == Kind::Bare {
                    match self.bare(event)? {
                        Some(event) => return Ok(Some(event)),
                        None => continue,
                    }
                }
                self.begun = true;
                if event.data.trim_ascii() == b"[DONE]" {
                    self.done = true;
                    return Ok(None);
                }
                return Ok(Some(event));
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

    /// What came without the form of events, where it counts as one.
    fn bare(&mut self, event: Event) -> Result<Option<Event>, Failure> {
        let json: Option<Value> = serde_json::from_slice(&event.data).ok();
        let is_trouble = json.as_ref().is_some_and(|json| told::trouble(json).is_some());
        if is_trouble || (json.is_some() && !self.begun) {
            return Ok(Some(event));
        }
        if self.begun {
            return Ok(None);
        }
        Err(self.no_reply(&event.data))
    }

    /// What is said of an answer that is no reply.
    pub fn no_reply(&self, data: &[u8]) -> Failure {
        let text = String::from_utf8_lossy(data);
        if text.trim_start().starts_with('<') {
            return self.http.no_answer("a web page");
        }
        other(format!("{} answers with what is no reply: {}", self.http.host, self.http.quoted(&text)))
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

fn kind_of(response: &Response) -> String {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.unwrap_or_default().to_ascii_lowercase()
}

/// Scheme, machine, port and path; a question behind it may be secret.
fn said_of(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// A failure of no special kind.
pub fn other(message: impl Into<String>) -> Failure {
    Failure { message: message.into(), kind: FailureKind::Other }
}

/// A request was ended before it had an answer.
pub fn cancelled() -> Failure {
    Failure { message: "Cancelled before anything was made.".into(), kind: FailureKind::Cancelled }
}
