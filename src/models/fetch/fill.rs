//! Every part of an `hf` or `url` source, one after the other.
//!
//! Invariant: a redirect never leaves HTTPS; there is no limit on the time of a whole download, only on silence.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;

use super::FetchError;
use super::address::{hub_addresses, plain_addresses};
use super::http::Download;
use super::job::Job;
use super::remote::{Remote, may_carry_token};
use crate::model_entry::Source;
use crate::models::gguf::part_paths;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection may say nothing. There is no limit on the whole: models are large.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
const MAX_REDIRECTS: usize = 10;

impl Remote {
    /// Downloads every part's `.part`.
    pub(super) async fn fill(&self, job: &Job<'_>, path: &Path) -> Result<(), FetchError> {
        let bad = |what: String| FetchError::BadSource { name: job.name(), what };
        let (urls, token) = match &job.entry.source {
            Source::Hf(source) => (hub_addresses(&self.endpoint, source).map_err(bad)?, self.token.as_ref()),
            Source::Url(source) => (plain_addresses(source, job.entry.sha256.is_some()).map_err(bad)?, None),
            Source::Path(_) | Source::Pip(_) => return Ok(()),
        };
        let client = self.client().map_err(|error| bad(format!("no connection can be set up ({error})")))?;
        let mut download = Download {
            job,
            client,
            token: None,
            remote: self,
            before: 0,
            total: None,
            alone: urls.len() == 1,
        };
        download.total = match job.entry.size {
            Some(size) => Some(size.download),
            None if urls.len() > 1 => download.sum_of_lengths(&urls, token).await,
            None => None,
        };
        for (url, file) in urls.iter().zip(part_paths(path)) {
            download.token = token.filter(|_| may_carry_token(url));
            download.before += download.fetch(url, &file).await?;
        }
        Ok(())
    }

    fn client(&self) -> reqwest::Result<Client> {
        // Fails only if one is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("glassbox/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(IDLE_TIMEOUT)
            .referer(false)
            .redirect(reqwest::redirect::Policy::custom(redirect));
        if !self.proxy {
            builder = builder.no_proxy();
        }
        builder.build()
    }
}

/// Follows a redirect unless there were too many or it leaves HTTPS.
fn redirect(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else if was_safe && attempt.url().scheme() != "https" {
        attempt.error("redirected away from HTTPS")
    } else {
        attempt.follow()
    }
}
