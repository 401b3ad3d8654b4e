//! The beginning of an answer: asked for with as many candidates as the server gives.
//!
//! Invariant: a refusal counts as one whether it comes instead of an answer or, as vLLM sends it, as its first event.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::Stream;
use super::mend::Mender;
use super::model::Model;
use super::prompt::{Prepared, Reader};
use super::refusal::{Refusal, in_own_terms, kind_of_error, message_of};
use super::settings::Ask;
use super::sse::{Event, Kind};
use super::told::{self, Part};
use crate::engine::protocol::Failure;

/// How often an answer is asked for, each time with less.
const TRIES: usize = 12;

/// An answer that has begun.
pub struct Begun<'a> {
    stream: Stream<'a>,
    reader: Reader,
    mender: Mender,
    /// What was read of it to find out whether it is one.
    first: Option<Vec<Part>>,
    /// How many candidates each token has.
    pub top: u32,
    /// What is to be known of how it was asked for.
    pub notes: Vec<String>,
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
        let (mut top, mut notes) = (model.candidates(ask.top), Vec::new());
        for _ in 1..TRIES {
            let (path, body, reader) = prepared.request(model, &Ask { top, ..ask.clone() })?;
            let begun = model.http.stream(path, &body, cancel).await;
            let refusal = match begun {
                Err(refusal) => refusal,
                Ok(stream) => match Self::with(model, stream, reader, cancel).await {
                    Ok(begun) => {
                        if model.gives_figures() {
                            notes.extend(model.fewer(ask.top, top));
                        } else {
                            top = 0;
                        }
                        return Ok(Self { top, notes, ..begun });
                    }
                    Err(refusal) => refusal,
                },
            };
            match refusal.parameter(&body) {
                Some(name) => notes.extend(model.refuses(name)),
                None => top = model.fewer_candidates(refusal.failure, top)?,
            }
        }
        Err(super::http::other(format!("{} refuses this however little is asked of it.", model.http.host)))
    }

    /// Reads the first event.
    async fn with(
        model: &'a Model,
        stream: Stream<'a>,
        reader: Reader,
        cancel: &CancellationToken,
    ) -> Result<Self, Refusal> {
        let mender = Mender::new(reader.joins());
        let mut begun = Self { stream, reader, mender, first: None, top: 0, notes: Vec::new() };
        begun.first = begun.read(cancel).await?;
        match begun.first.as_deref() {
            Some([Part::Trouble(answer)]) => {
                let answer = answer.clone();
                Err(Refusal { failure: trouble(model, &answer), status: None, answer })
            }
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
        let Some(Event { data, kind }) = self.stream.next(cancel).await? else { return Ok(None) };
        if kind == Kind::Error {
            return Ok(Some(vec![told::reported(&data)]));
        }
        let parts = self.parts(&data).map_err(|error| self.stream.unread(&data, &error))?;
        if kind == Kind::Bare && parts.is_empty() {
            return Err(self.stream.no_reply(&data));
        }
        Ok(Some(parts))
    }

    /// The pieces of an event; what is not as it should be is mended first.
    fn parts(&mut self, data: &[u8]) -> serde_json::Result<Vec<Part>> {
        if !self.mender.holds()
            && let Ok(parts) = self.reader.parts(data)
        {
            return Ok(parts);
        }
        let mended = self.mender.mend(data);
        self.reader.parts(&mended)
    }

    /// Whether the server said that nothing more comes.
    pub fn said_done(&self) -> bool {
        self.stream.said_done()
    }
}

/// What an error is that came in an answer.
pub fn trouble(model: &Model, answer: &Value) -> Failure {
    let said = message_of(answer)
        .map(|said| model.http.quoted(&in_own_terms(&without_source(&said))))
        .unwrap_or_default();
    let message = format!("{} reports an error: {said}", model.http.host);
    Failure { message, kind: kind_of_error(answer) }
}

/// A message without the time and the place in its source that a library put into it:
/// `[00:07:32] /project/cpp/grammar_parser.cc:820: `.
fn without_source(said: &str) -> String {
    let place = |text: &str| -> Option<usize> {
        let (time, rest) = text.strip_prefix('[')?.split_once("] /")?;
        let is_time = time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
        let (path, _) = rest.split_once(": ").filter(|(path, _)| is_time && !path.contains(' '))?;
        Some(1 + time.len() + 3 + path.len() + 2)
    };
    let found = said.match_indices('[').find_map(|(at, _)| Some((at, place(&said[at..])?)));
    found.map_or_else(|| said.to_owned(), |(at, length)| format!("{}{}", &said[..at], &said[at + length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_librarys_time_and_place_are_left_out() {
        let said = "Failed to compile ebnf grammar: [00:07:32] /project/cpp/grammar_parser.cc:820: EBNF parser error: no";
        assert_eq!(without_source(said), "Failed to compile ebnf grammar: EBNF parser error: no");
        for plain in ["[1] / 2: no", "a [x] /y z: w", "no"] {
            assert_eq!(without_source(plain), plain);
        }
    }
}
