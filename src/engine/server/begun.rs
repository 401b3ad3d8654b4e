//! The beginning of an answer: asked for with as many candidates as the server gives.
//!
//! Invariant: a refusal counts as one whether it comes instead of an answer or, as vLLM sends it, as its first event.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::{Stream, kind_of_error, message_of};
use super::model::Model;
use super::prompt::{Prepared, Reader};
use super::settings::Ask;
use super::told::Part;
use crate::engine::protocol::Failure;

/// An answer that has begun.
pub struct Begun<'a> {
    stream: Stream<'a>,
    reader: Reader,
    /// What was read of it to find out whether it is one.
    first: Option<Vec<Part>>,
    /// How many candidates each token has.
    pub top: u32,
}

impl<'a> Begun<'a> {
    /// Asks for an answer.
    ///
    /// # Errors
    /// What the server refuses or breaks off.
    pub async fn of(
        model: &'a Model,
        prepared: &Prepared<'_>,
        ask: &Ask<'_>,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        let top = model.candidates(ask.top);
        match Self::with(model, prepared, ask, top, cancel).await {
            Err(refused) => {
                let fewer = model.fewer_candidates(refused, top)?;
                Self::with(model, prepared, ask, fewer, cancel).await
            }
            begun => begun,
        }
    }

    /// The same with so many candidates a token.
    async fn with(
        model: &'a Model,
        prepared: &Prepared<'_>,
        ask: &Ask<'_>,
        top: u32,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        let (path, body, reader) = prepared.request(model, &Ask { top, ..ask.clone() })?;
        let stream = model.http.stream(path, &body, cancel).await?;
        let mut begun = Self { stream, reader, first: None, top };
        begun.first = begun.read(cancel).await?;
        match begun.first.as_deref() {
            Some([Part::Trouble(answer)]) => Err(trouble(model, answer)),
            _ => Ok(begun),
        }
    }

    /// The next pieces; `None` at the end.
    ///
    /// # Errors
    /// A sentence: it broke off, is silent, or sends what cannot be read.
    pub async fn next(&mut self, cancel: &CancellationToken) -> Result<Option<Vec<Part>>, Failure> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.read(cancel).await,
        }
    }

    async fn read(&mut self, cancel: &CancellationToken) -> Result<Option<Vec<Part>>, Failure> {
        let Some(data) = self.stream.next(cancel).await? else { return Ok(None) };
        self.reader.parts(&data).map(Some).map_err(|error| self.stream.unread(&data, &error))
    }

    /// Whether the server said that nothing more comes.
    pub fn said_done(&self) -> bool {
        self.stream.said_done()
    }
}

/// What an error is that came in an answer.
pub fn trouble(model: &Model, answer: &Value) -> Failure {
    let said = message_of(answer).map(|said| model.http.quoted(&said)).unwrap_or_default();
    let message = format!("{} reports an error: {said}", model.http.host);
    Failure { message, kind: kind_of_error(answer) }
}
