//! One file over HTTP, in as many tries as it takes.
//!
//! Invariant: what arrived stays in the `.part` whatever goes wrong, until an answer has proved to be the beginning of a
//! model; a try that brought it further makes the count of tries start again, and only so often one that began anew.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, IF_RANGE, RANGE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::FetchError;
use super::address::{may_carry_token, shown};
use super::job::Job;
use super::proxies::Proxies;
use super::refusal::{Asked, LATER, kind_of, once_more, refused, unreached};
use super::resume::{Answer, State, length, read_answer};
use super::token::Token;
use super::tries::{Failure, How, Tries, given_up, pause};
use crate::model_entry::Source;
use crate::models::FetchStage;
use crate::models::gguf::MAGIC;
use crate::models::unfinished::{part_of, state_of};
use crate::request_error::reason;

/// Time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// The wait from which on it is said, so that nobody takes it for a standstill.
const SAID_WAIT: Duration = Duration::from_secs(5);

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
    /// Ask again at once: for the whole, or without the token that was refused.
    Again,
    /// Ask again after a while.
    Failed(Failure),
}

impl Download<'_> {
    /// Brings the `.part` of `file` to its full length, which it gives.
    pub(super) async fn fetch(&self, url: &Url, file: &Path) -> Result<u64, FetchError> {
        let mut tries = Tries::from(size_of(&part_of(file)));
        loop {
            let outcome = self.attempt(url, file, &mut tries).await?;
            tries.came_to(size_of(&part_of(file)));
            let failure = match outcome {
                Try::Done(bytes) => return Ok(bytes),
                Try::Again => continue,
                Try::Failed(failure) => failure,
            };
            tries.failures += 1;
            if tries.failures >= self.tries {
                let can_go_on = State::read(&state_of(file), url).is_some();
                return Err(given_up(url, size_of(&part_of(file)), can_go_on, failure));
            }
            let wait = pause(self.wait, tries.failures, failure.wait);
            tracing::info!(what = failure.what, tries.failures, ?wait, "download broke off, trying again");
            if failure.wait.is_some() && wait >= SAID_WAIT {
                let (what, wait) = (&failure.what, wait.as_secs());
                self.job.note(format!(
                    "{}: the server is busy ({what}); asked again in {wait} seconds",
                    self.job.name()
                ));
            }
            tokio::select! {
                () = self.job.cancel.cancelled() => return Err(self.job.cancelled()),
                () = tokio::time::sleep(wait) => {}
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

    async fn attempt(&self, url: &Url, file: &Path, tries: &mut Tries) -> Result<Try, FetchError> {
        let (part, state) = (part_of(file), State::read(&state_of(file), url));
        let have = if state.is_some() { size_of(&part) } else { 0 };
        let from = if tries.whole { 0 } else { have };
        let token = self.token.filter(|_| !self.refused.load(Ordering::Relaxed));
        let mut request = with_token(self.client.get(url.clone()), token).header(ACCEPT_ENCODING, "identity");
        if let (Some(state), 1..) = (&state, from) {
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, &state.validator);
        }
        let response = tokio::select! {
            () = self.job.cancel.cancelled() => return Err(self.job.cancelled()),
            response = request.send() => response,
        };
        let response = match response {
            Ok(response) => response,
            Err(error) => return self.unanswered(url, &error),
        };
        let status = response.status();
        if !status.is_success() && status != StatusCode::RANGE_NOT_SATISFIABLE {
            return self.refused(url, &response);
        }
        let answer = read_answer(status, response.headers(), from, state.as_ref());
        if let Answer::GoesOn { total: Some(total), .. } | Answer::Whole { total: Some(total), .. } = &answer
        {
            // What is there already is gone on with, or gives its place.
            self.job.has_room(total.saturating_sub(size_of(&part)), file)?;
        }
        match answer {
            Answer::Complete => Ok(Try::Done(have)),
            Answer::GoesOn { end, total } => {
                let slice = Slice { start: Vec::new(), have, end: Some(end), total };
                self.receive(response, &part, slice).await
            }
            Answer::Whole { total, same } => {
                self.begin(url, response, file, (have, same), total, tries).await
            }
            Answer::Useless if from > 0 => {
                tries.whole = true;
                Ok(Try::Again)
            }
            Answer::Useless => {
                let number = status.as_u16();
                let advice = "That is no answer to a request for the whole file: try again later.";
                Ok(Try::Failed(Failure::refused(format!("HTTP {number}"), &response, advice)))
            }
        }
    }

    /// Takes the body as the whole file, in the place of the `have` bytes that are there, once it has proved to be a model.
    async fn begin(
        &self,
        url: &Url,
        mut response: Response,
        file: &Path,
        (have, same): (u64, bool),
        total: Option<u64>,
        tries: &mut Tries,
    ) -> Result<Try, FetchError> {
        let (part, state_file) = (part_of(file), state_of(file));
        let io = |source| FetchError::io(&part, source);
        let start = match first_bytes(&mut response).await {
            Ok(start) => start,
            Err(error) => return Ok(Try::Failed(Failure::cut(reason(&error)))),
        };
        if !start.starts_with(&MAGIC) {
            return no_model(url, &response, &start, total);
        }
        if have > 0 {
            self.starts_again(have, same);
        }
        tries.begin_anew();
        // The old state goes first: it must not vouch for the new bytes.
        remove(&state_file).map_err(io)?;
        File::create(&part).await.map_err(io)?;
        State::of(url, response.headers(), total).write(&state_file).map_err(io)?;
        self.receive(response, &part, Slice { start, have: 0, end: total, total }).await
    }

    /// A request that got no answer.
    fn unanswered(&self, url: &Url, error: &reqwest::Error) -> Result<Try, FetchError> {
        match unreached(url, error, self.proxies) {
            FetchError::Unreachable { what, through, .. } if !error.is_redirect() && !error.is_builder() => {
                Ok(Try::Failed(Failure { what, how: How::Unreached { through }, wait: None }))
            }
            // It would be the same again.
            error => Err(error),
        }
    }

    /// Says why what had arrived is of no use.
    fn starts_again(&self, have: u64, same: bool) {
        let why = if same { "the server does not go on in the middle" } else { "the file there has changed" };
        self.job.note(format!("{}: {why}; it starts again, {have} bytes are dropped", self.job.name()));
    }

    /// Appends a slice to the part.
    async fn receive(
        &self,
        mut response: Response,
        part: &Path,
        Slice { start, have, end, total }: Slice,
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
                    done += bytes.len() as u64;
                    if end.is_some_and(|end| done > end) {
                        // Nobody can tell where in it the slice is.
                        file.set_len(have).await.map_err(io)?;
                        return Ok(Try::Failed(Failure::cut("more came than was promised")));
                    }
                    file.write_all(&bytes).await.map_err(io)?;
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
        Ok(match (ended, total.or(end)) {
            (None, Some(total)) if done < total => Try::Failed(Failure::cut("the connection was cut")),
            (None, _) => Try::Done(done),
            (Some(what), _) => Try::Failed(Failure::cut(what)),
        })
    }

    fn report(&self, done: u64, total: Option<u64>) {
        // With one part, its own length is the whole; with several it would jump from part to part.
        let total = self.total.or(total.filter(|_| self.alone)).unwrap_or(0);
        self.job.report(FetchStage::Download, self.before + done, total);
    }

    fn refused(&self, url: &Url, response: &Response) -> Result<Try, FetchError> {
        let was_refused = self.refused.load(Ordering::Relaxed);
        let elsewhere = response.url().origin() != url.origin();
        match (response.status().as_u16(), self.token) {
            (number @ (408 | 425 | 429 | 500..=599), _) => {
                Ok(Try::Failed(Failure::refused(format!("HTTP {number}"), response, LATER)))
            }
            // The hub gives out addresses of its stores that are good for a while.
            (number @ (401 | 403), _) if elsewhere && self.is_hubs() => {
                let what = format!("HTTP {number} from the store of the file");
                let advice = "It is the store of the file that refuses, not the hub: try again later.";
                Ok(Try::Failed(Failure::refused(what, response, advice)))
            }
            (401, Some(token)) if !was_refused => {
                self.refused.store(true, Ordering::Relaxed);
                self.job.note(format!("{}: {}", self.job.name(), once_more(token)));
                Ok(Try::Again)
            }
            (_, token) => {
                Err(refused(url, response, Asked::of(self.is_hubs(), token, was_refused), self.proxies))
            }
        }
    }

    fn is_hubs(&self) -> bool {
        matches!(self.job.entry.source, Source::Hf(_))
    }
}

/// What is appended to a `.part`.
struct Slice {
    /// The body's beginning, which was read already.
    start: Vec<u8>,
    /// Bytes before it.
    have: u64,
    /// Where it ends, if that was told.
    end: Option<u64>,
    /// Bytes of the whole file, if that was told.
    total: Option<u64>,
}

/// An answer that does not begin as a model does: cut before that could be told, or something else.
fn no_model(url: &Url, response: &Response, start: &[u8], total: Option<u64>) -> Result<Try, FetchError> {
    let (status, address) = (response.status(), shown(url));
    let has_no_body = matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    if start.is_empty() && (has_no_body || total == Some(0)) {
        return Err(FetchError::Nothing { address, status: status.as_u16() });
    }
    let is_all = total == Some(start.len() as u64);
    if MAGIC.starts_with(start) && !is_all {
        return Ok(Try::Failed(Failure::cut("the connection was cut")));
    }
    Err(FetchError::NoModel { address, kind: kind_of(response.headers()) })
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
