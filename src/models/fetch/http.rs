//! One file over HTTP, in as many tries as it takes.
//!
//! Invariant: what arrived stays in the `.part` whatever goes wrong, except when the server has another
//! version now; a try that brought bytes makes the count of tries start again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, IF_RANGE, RANGE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::FetchError;
use super::address::{may_carry_token, shown};
use super::job::Job;
use super::proxies::Proxies;
use super::resume::{Answer, State, length, read_answer};
use super::token::Token;
use crate::model_entry::Source;
use crate::models::FetchStage;
use crate::models::gguf::MAGIC;
use crate::models::unfinished::{part_of, state_of};
use crate::request_error::reason;

/// Time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// The downloads of one model.
pub(super) struct Download<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) client: Client,
    pub(super) token: Option<&'a Token>,
    /// Whether the hub has refused the token, so that it is not sent again.
    pub(super) refused: AtomicBool,
    /// What addresses go through.
    pub(super) proxies: &'a Proxies,
    /// Tries without a single new byte before giving up.
    pub(super) tries: u32,
    /// Wait before the second try; doubles each time.
    pub(super) wait: Duration,
    /// Bytes of the parts before this one.
    pub(super) before: u64,
    /// Bytes of all parts, where known.
    pub(super) total: Option<u64>,
    /// Whether this is the model's only file.
    pub(super) alone: bool,
}

/// How one try ended.
enum Try {
    /// The file is whole, and this long.
    Done(u64),
    /// Ask again at once: the server has another version.
    Again,
    /// Ask again at once, without the token that was refused.
    Anonymous,
    /// Ask again after a while.
    Failed { what: String, reached: bool },
}

impl Download<'_> {
    /// Brings the `.part` of `file` to its full length, which it gives.
    pub(super) async fn fetch(&self, url: &Url, file: &Path) -> Result<u64, FetchError> {
        let (mut failures, mut stale, mut best) = (0, 0, size_of(&part_of(file)));
        loop {
            let outcome = self.attempt(url, file).await?;
            let have = size_of(&part_of(file));
            if have > best {
                failures = 0;
            }
            best = have;
            let (what, reached) = match outcome {
                Try::Done(bytes) => return Ok(bytes),
                Try::Anonymous => continue,
                Try::Again if stale < 3 => {
                    stale += 1;
                    continue;
                }
                Try::Again => ("the file keeps changing".to_owned(), true),
                Try::Failed { what, reached } => (what, reached),
            };
            failures += 1;
            if failures >= self.tries {
                let address = shown(url);
                return Err(if reached || have > 0 {
                    FetchError::Interrupted { address, what, kept: have }
                } else {
                    FetchError::Unreachable { address, what, through: through(self.proxies, url) }
                });
            }
            tracing::info!(%what, failures, "download broke off, trying again");
            tokio::select! {
                () = self.job.cancel.cancelled() => return Err(self.job.cancelled()),
                () = tokio::time::sleep(self.wait * 2_u32.pow(failures - 1)) => {}
            }
        }
    }

    /// Lengths of all parts together, if every one is told.
    pub(super) async fn sum_of_lengths(&self, urls: &[Url], token: Option<&Token>) -> Option<u64> {
        let mut sum = 0;
        for url in urls {
            let token = token.filter(|_| may_carry_token(url));
            let request = with_token(self.client.request(Method::HEAD, url.clone()), token).send();
            let answer = tokio::select! {
                () = self.job.cancel.cancelled() => return None,
                answer = request => answer.ok()?,
            };
            sum += length(answer.headers()).filter(|_| answer.status().is_success())?;
        }
        Some(sum)
    }

    async fn attempt(&self, url: &Url, file: &Path) -> Result<Try, FetchError> {
        let (part, state_file) = (part_of(file), state_of(file));
        let state = State::read(&state_file, url);
        let have = if state.is_some() { size_of(&part) } else { 0 };
        let token = self.token.filter(|_| !self.refused.load(Ordering::Relaxed));
        let mut request = with_token(self.client.get(url.clone()), token).header(ACCEPT_ENCODING, "identity");
        if let (Some(state), 1..) = (&state, have) {
            request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, &state.validator);
        }
        let response = tokio::select! {
            () = self.job.cancel.cancelled() => return Err(self.job.cancelled()),
            response = request.send() => response,
        };
        let response = match response {
            Ok(response) => response,
            // It would be the same again.
            Err(error) if error.is_redirect() || error.is_builder() => {
                let (address, through) = (shown(url), through(self.proxies, url));
                return Err(FetchError::Unreachable { address, what: reason(&error), through });
            }
            Err(error) => return Ok(Try::Failed { what: reason(&error), reached: false }),
        };
        let status = response.status();
        if !status.is_success() && status != StatusCode::RANGE_NOT_SATISFIABLE {
            let elsewhere = response.url().origin() != url.origin();
            return self.refused(url, status, elsewhere);
        }
        let io = |source| FetchError::io(&part, source);
        let answer = read_answer(status, response.headers(), have, state.as_ref());
        if let Answer::GoesOn { total: Some(total) } | Answer::Whole { total: Some(total), .. } = &answer {
            // What is there already is gone on with, or gives its place.
            self.job.has_room(total.saturating_sub(size_of(&part)), file)?;
        }
        match answer {
            Answer::Complete => Ok(Try::Done(have)),
            Answer::GoesOn { total } => self.receive(response, &part, Vec::new(), (have, total)).await,
            Answer::Whole { total, same } => {
                let mut response = response;
                let start = match first_bytes(&mut response).await {
                    Ok(start) => start,
                    Err(error) => return Ok(Try::Failed { what: reason(&error), reached: true }),
                };
                if !start.starts_with(&MAGIC) {
                    return no_model(url, &response, &start);
                }
                if have > 0 {
                    self.starts_again(have, same);
                }
                // The old state goes first: it must not vouch for the new bytes.
                remove(&state_file).map_err(io)?;
                File::create(&part).await.map_err(io)?;
                if let Some(state) = State::of(url, response.headers(), total) {
                    state.write(&state_file).map_err(io)?;
                }
                self.receive(response, &part, start, (0, total)).await
            }
            Answer::Stale => {
                self.starts_again(have, false);
                remove(&state_file).map_err(io)?;
                remove(&part).map_err(io)?;
                Ok(Try::Again)
            }
        }
    }

    /// Says why what had arrived is of no use.
    fn starts_again(&self, have: u64, same: bool) {
        let why = if same { "the server does not go on in the middle" } else { "the file there has changed" };
        self.job.note(format!("{}: {why}; it starts again, {have} bytes are dropped", self.job.name()));
    }

    /// Appends `start` and the body to the first `have` bytes of the part.
    async fn receive(
        &self,
        mut response: Response,
        part: &Path,
        start: Vec<u8>,
        (have, total): (u64, Option<u64>),
    ) -> Result<Try, FetchError> {
        let io = |source| FetchError::io(part, source);
        let mut file = File::options().write(true).open(part).await.map_err(io)?;
        file.seek(std::io::SeekFrom::Start(have)).await.map_err(io)?;
        file.write_all(&start).await.map_err(io)?;
        let mut done = have + start.len() as u64;
        self.report(done, total);
        let mut reported = Instant::now();
        let ended = loop {
            // Stopping here and not from outside, so that what was written is flushed first.
            let chunk = tokio::select! {
                () = self.job.cancel.cancelled() => {
                    file.flush().await.map_err(io)?;
                    return Err(self.job.cancelled());
                }
                chunk = response.chunk() => chunk,
            };
            match chunk {
                Ok(Some(bytes)) => {
                    file.write_all(&bytes).await.map_err(io)?;
                    done += bytes.len() as u64;
                }
                Ok(None) => break None,
                Err(error) => break Some(reason(&error)),
            }
            if reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                self.report(done, total);
            }
        };
        file.flush().await.map_err(io)?;
        self.report(done, total);
        match (ended, total) {
            (None, Some(total)) if done < total => {
                Ok(Try::Failed { what: "the connection was cut".to_owned(), reached: true })
            }
            (None, _) => Ok(Try::Done(done)),
            (Some(what), _) => Ok(Try::Failed { what, reached: true }),
        }
    }

    fn report(&self, done: u64, total: Option<u64>) {
        // With one part, its own length is the whole; with several it would jump from part to part.
        let total = self.total.or(total.filter(|_| self.alone)).unwrap_or(0);
        self.job.report(FetchStage::Download, self.before + done, total);
    }

    fn refused(&self, url: &Url, status: StatusCode, elsewhere: bool) -> Result<Try, FetchError> {
        let was_refused = self.refused.load(Ordering::Relaxed);
        match (status.as_u16(), self.token) {
            (number @ (408 | 425 | 429 | 500..=599), _) => {
                Ok(Try::Failed { what: format!("HTTP {number}"), reached: false })
            }
            // The hub gives out addresses of its stores that are good for a while.
            (number @ (401 | 403), _) if elsewhere && self.is_hubs() => {
                Ok(Try::Failed { what: format!("HTTP {number} from the store of the file"), reached: false })
            }
            (401, Some(token)) if !was_refused => {
                self.refused.store(true, Ordering::Relaxed);
                self.job.note(format!("{}: {}", self.job.name(), once_more(token)));
                Ok(Try::Anonymous)
            }
            (_, token) => Err(refused(url, status, Asked::of(self.is_hubs(), token, was_refused))),
        }
    }

    fn is_hubs(&self) -> bool {
        matches!(self.job.entry.source, Source::Hf(_))
    }
}

/// An answer that does not begin as a model does: cut before that could be told, or something else.
fn no_model(url: &Url, response: &Response, start: &[u8]) -> Result<Try, FetchError> {
    if MAGIC.starts_with(start) {
        return Ok(Try::Failed { what: "the connection was cut".to_owned(), reached: true });
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or("of no named kind");
    Err(FetchError::NoModel { address: shown(url), kind: crate::sanitize::for_display(kind) })
}

/// With what a request was made that was refused.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// A plain address, which gets no token.
    Plainly,
    /// The hub, and there is no token.
    WithoutToken,
    /// The hub, with a token.
    With(&'a Token),
    /// The hub, which has refused the token, once more without it.
    TokenRefused(&'a Token),
}

impl<'a> Asked<'a> {
    fn of(is_hubs: bool, token: Option<&'a Token>, was_refused: bool) -> Self {
        match token {
            _ if !is_hubs => Self::Plainly,
            None => Self::WithoutToken,
            Some(token) if was_refused => Self::TokenRefused(token),
            Some(token) => Self::With(token),
        }
    }
}

/// What is said before a file is asked for without the token that was refused.
pub(super) fn once_more(token: &Token) -> String {
    format!("the access token of {} was not accepted (HTTP 401); asked once more without it", token.origin())
}

/// Through which proxy an address is asked for, as a part of a sentence.
pub(super) fn through(proxies: &Proxies, url: &Url) -> String {
    proxies.shown(url).map(|through| format!(" {through}")).unwrap_or_default()
}

/// What a refusal means.
pub(super) fn refused(url: &Url, status: StatusCode, asked: Asked<'_>) -> FetchError {
    let address = shown(url);
    let number = status.as_u16();
    let origin = |token: &Token| token.origin().to_owned();
    let advice = match (number, asked) {
        (401 | 403, Asked::Plainly) => return FetchError::SignIn { address, status: number },
        (401 | 403, Asked::WithoutToken) => return FetchError::NoToken { address, status: number },
        (401 | 403, Asked::TokenRefused(token)) => {
            return FetchError::TokenRefused { address, status: number, origin: origin(token) };
        }
        (401 | 403, Asked::With(token)) => {
            return FetchError::Forbidden { address, status: number, origin: origin(token) };
        }
        (404 | 410, asked) => {
            let private = match asked {
                Asked::Plainly => String::new(),
                Asked::WithoutToken => ", or it is private, and no access token was sent".to_owned(),
                Asked::With(token) => format!(", or it is private to the access token of {}", token.origin()),
                Asked::TokenRefused(token) => {
                    format!(", or it is private, and the access token of {} was not accepted", token.origin())
                }
            };
            return FetchError::NotFound { address, status: number, private };
        }
        (407, _) => "The proxy wants a password: set it in HTTPS_PROXY.",
        (408 | 425 | 429 | 500..=599, _) => "Try again later.",
        _ => "Check the address in the entry.",
    };
    FetchError::Status { address, status: number, advice }
}

pub(super) fn with_token(request: RequestBuilder, token: Option<&Token>) -> RequestBuilder {
    match token {
        Some(token) => request.header(AUTHORIZATION, token.header()),
        None => request,
    }
}

/// The body's beginning, as long as it takes to tell a model from something else; less only where it ends before.
async fn first_bytes(response: &mut Response) -> reqwest::Result<Vec<u8>> {
    let mut start = Vec::new();
    while start.len() < MAGIC.len()
        && let Some(bytes) = response.chunk().await?
    {
        start.extend_from_slice(&bytes);
    }
    Ok(start)
}

/// Bytes of a file; 0 where there is none.
pub(super) fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
