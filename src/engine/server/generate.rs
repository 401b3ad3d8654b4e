//! A reply, from a server's answer to the events of the protocol.
//!
//! A server cannot be held after each token. What it sent is held back here instead: while a reply waits nothing more is
//! read, so that the connection's own buffers bound what lies between.
//!
//! Invariants: a token's words are told before it; no figure is given that the server did not send; what came before a
//! failure has been given.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Shared;
use super::begun::{self, Begun};
use super::model::Model;
use super::prompt::{self, Prepared};
use super::room;
use super::settings::{self, Ask};
use super::steps::{self, unknown};
use super::told::{Part, Told};
use super::watched::Read;
use crate::chat::{StopReason, Timings, Usage};
use crate::engine::milliseconds;
use crate::engine::prompt::stop::HoldBack;
use crate::engine::protocol::{Event, Failure, FailureKind, Generate, PromptFacts, RequestId, Written};
use crate::model_entry::Api;
use crate::token::{Step, TokenKind};

/// How long a server may take to count after the reply has ended.
const COUNTING: Duration = Duration::from_secs(2);
/// Marks around what came apart from the answer, since it was thought.
const THOUGHT: (&str, &str) = ("<think>\n", "\n</think>\n\n");

/// Writes a reply; gives its final event.
///
/// # Errors
/// What the server refuses or breaks off; what came before that has been given.
pub async fn generate(
    shared: &Shared,
    id: RequestId,
    model: &Model,
    generate: &Generate,
    cancel: &CancellationToken,
) -> Result<Event, Failure> {
    let prepared = match prompt::prepare(model, &generate.prompt, cancel).await {
        Err(failure) if failure.kind == FailureKind::Cancelled => return Ok(nothing_written()),
        prepared => prepared?,
    };
    if let Some(full) = room::full(model, prepared.ids.len()) {
        return Err(full);
    }
    let watch = shared.watched();
    let ask = Ask {
        sampling: &generate.sampling,
        seed: seed(generate.sampling.seed),
        top: generate.top_logprobs,
        watch: &watch,
        most: room::most(model, &prepared, generate.sampling.max_tokens),
    };
    let mut writer = Writer::new(shared, id, model, &prepared, &ask, cancel);
    let stop = match writer.read(&prepared, &ask).await {
        Ok(stop) => stop,
        Err(failure) if failure.kind == FailureKind::Cancelled => StopReason::Cancelled,
        Err(failure) => {
            writer.flush();
            return Err(failure);
        }
    };
    Ok(writer.done(stop))
}

fn nothing_written() -> Event {
    Event::Done { stop: StopReason::Cancelled, usage: Usage::default(), timings: Timings::default() }
}

fn seed(asked: Option<u32>) -> u32 {
    // Some servers take it for a signed number.
    asked.unwrap_or_else(|| RandomState::new().hash_one(Instant::now()) as u32 >> 1)
}

struct Writer<'a> {
    shared: &'a Shared,
    id: RequestId,
    model: &'a Model,
    cancel: &'a CancellationToken,
    /// Told with the first word of the answer.
    facts: Option<PromptFacts>,
    hold: HoldBack,
    /// How many candidates were asked for.
    top: usize,
    /// The most tokens that were asked for; 0 is no limit.
    most: u32,
    /// What was read, for questions about the watched tokens.
    read: Read,
    /// Steps so far, those that the user took included.
    index: u32,
    taken: u32,
    thinking: bool,
    /// Whether a part of the answer has come.
    answers: bool,
    /// What tokens gave of a character that the text does not have yet.
    half: Vec<u8>,
    /// How much of the prompt came from the cache.
    usage: Usage,
    begun: Instant,
    first: Option<Instant>,
    last: Instant,
}

impl<'a> Writer<'a> {
    fn new(
        shared: &'a Shared,
        id: RequestId,
        model: &'a Model,
        prepared: &Prepared<'_>,
        ask: &Ask<'_>,
        cancel: &'a CancellationToken,
    ) -> Self {
        let left_out = settings::left_out(ask.sampling, prepared.dialect(model));
        let note = (!left_out.is_empty()).then(|| {
            format!(
                "{} does not take these settings, so they do nothing: {}.",
                model.http.host,
                left_out.join(", ")
            )
        });
        let facts = PromptFacts {
            ids: prepared.given().to_vec(),
            seed: ask.seed,
            text: prepared.text.clone(),
            notes: note.and_then(|note| model.once(note)).into_iter().collect(),
            ..PromptFacts::default()
        };
        let usage = Usage { prompt_tokens: prepared.given().len() as u32, ..Usage::default() };
        let (taken, now) = (prepared.taken as u32, Instant::now());
        Self {
            shared,
            id,
            model,
            cancel,
            facts: Some(facts),
            hold: HoldBack::new(ask.sampling.stop.iter().cloned()),
            top: ask.top as usize,
            most: ask.sampling.max_tokens,
            read: Read::after(&prepared.ids),
            index: taken,
            taken,
            thinking: false,
            answers: false,
            half: Vec::new(),
            usage,
            begun: now,
            first: None,
            last: now,
        }
    }

    /// Reads the answer to its end; gives why that came.
    async fn read(&mut self, prepared: &Prepared<'_>, ask: &Ask<'_>) -> Result<StopReason, Failure> {
        let mut begun = Begun::of(self.model, prepared, ask, self.cancel).await?;
        if let Some(facts) = &mut self.facts {
            facts.notes.append(&mut begun.notes);
        }
        self.top = begun.top as usize;
        let mut ended = None;
        loop {
            let next = begun.next(self.cancel);
            let next = match ended {
                None => next.await?,
                // Only what was counted can come.
                Some(_) => tokio::time::timeout(COUNTING, next).await.unwrap_or(Ok(None)).unwrap_or(None),
            };
            let Some(parts) = next else { break };
            for part in parts {
                match part {
                    Part::Ended(stop) => ended = Some(stop),
                    part => {
                        if let Some(stop) = self.take(part).await? {
                            return Ok(stop);
                        }
                    }
                }
            }
        }
        match ended {
            Some(stop) => Ok(stop),
            None if begun.said_done() && self.first.is_some() => Ok(StopReason::Eos),
            None => Err(super::http::other(format!(
                "{} ended its answer before the reply had ended.",
                self.model.http.host
            ))),
        }
    }

    /// Takes a piece; why the reply ends with it, where it does.
    async fn take(&mut self, part: Part) -> Result<Option<StopReason>, Failure> {
        match part {
            Part::Read { done, total, cached } => {
                self.usage.reused_tokens = cached;
                self.begin();
                self.emit(Event::PromptProgress {
                    done: done.saturating_sub(cached),
                    total: total.saturating_sub(cached),
                });
                self.last = Instant::now();
                Ok(None)
            }
            Part::Counted { prompt, written, cached } => {
                self.usage =
                    Usage { prompt_tokens: prompt, completion_tokens: written, reused_tokens: cached };
                Ok(None)
            }
            Part::Trouble(answer) => Err(begun::trouble(self.model, &answer)),
            Part::Text { text, thought, tokens } => self.text(text, thought, tokens).await,
            Part::Ended(stop) => Ok(Some(stop)),
        }
    }

    async fn text(
        &mut self,
        text: Vec<u8>,
        thought: bool,
        mut tokens: Vec<Told>,
    ) -> Result<Option<StopReason>, Failure> {
        let asked = Instant::now();
        let watched = self.read.on(self.model, &mut tokens, &self.shared.watched(), self.cancel).await;
        let recording_ms = watched.then(|| milliseconds(asked) / tokens.len() as f32);
        let has_odds = tokens.iter().any(|told| !told.chosen.logprob.is_nan());
        if !text.is_empty() || !tokens.is_empty() {
            self.note(thought, has_odds);
            self.begin();
        }
        if thought != self.thinking && !text.is_empty() {
            self.thinking = thought;
            let mark = if thought { THOUGHT.0 } else { THOUGHT.1 };
            let mark = if thought && self.answers {
                // In the middle of an answer only a token that is a mark begins a thought.
                Step { id: Some(self.model.words().mark(THOUGHT.0.trim_end())), ..unknown() }
            } else {
                Step { bytes: mark.into(), ..unknown() }
            };
            if let Some(stop) = self.put(mark.into()).await? {
                return Ok(Some(stop));
            }
        }
        self.answers |= !thought && !text.is_empty();
        if self.model.found.api == Api::SgLang {
            self.know(&mut tokens).await;
        }
        for (bytes, told) in shared_out(text, tokens, &mut self.half, self.first.is_none()) {
            let (step, watched) = match &told {
                Some(told) => {
                    let (step, watched) = steps::step(self.model, told, self.top, self.cancel).await;
                    (Step { bytes, ..step }, watched)
                }
                None => (Step { bytes, ..unknown() }, Vec::new()),
            };
            if let Some(stop) = self.put(Written { watched, recording_ms, ..Written::from(step) }).await? {
                return Ok(Some(stop));
            }
        }
        Ok(None)
    }

    /// Gives tokens their bytes, where only their ids came; marks stand for none of the text.
    async fn know(&self, tokens: &mut [Told]) {
        let nameless = |told: &Told| told.chosen.id.filter(|_| told.chosen.bytes.is_none());
        let ids = tokens.iter().filter_map(nameless).map(|id| (id, TokenKind::Normal));
        self.model.name(ids.collect::<Vec<_>>(), self.cancel).await;
        let words = self.model.words();
        for told in tokens {
            let Some(entry) = nameless(told).and_then(|id| words.vocabulary().learned.get(&id)) else {
                continue;
            };
            let is_mark = entry.kind == TokenKind::Control;
            told.chosen.bytes = Some(if is_mark { Vec::new() } else { entry.bytes.clone() })
                .filter(|_| is_mark || !entry.bytes.is_empty());
        }
    }

    /// What is to be known of the answer as its first words show it.
    fn note(&mut self, thought: bool, has_odds: bool) {
        let host = &self.model.http.host;
        let Some(facts) = &mut self.facts else { return };
        if thought {
            facts.notes.extend(self.model.once(format!(
                "{host} sends what is thought apart from the answer; the marks around it are not the model's."
            )));
        }
        if !has_odds && self.top > 0 {
            facts.notes.extend(self.model.once(format!(
                "{host} sends no log-probabilities, though they were asked for: its replies have no colours and no softmax."
            )));
        }
    }

    /// The prompt is told with the first word of the answer.
    fn begin(&mut self) {
        let Some(mut facts) = self.facts.take() else { return };
        facts.reused = self.usage.reused_tokens;
        self.words();
        self.emit(Event::Prompt(facts));
    }

    /// Gives a step as far as it is certain and may be given.
    async fn put(&mut self, mut written: Written) -> Result<Option<StopReason>, Failure> {
        if self.shared.permit(self.id, self.cancel).await {
            return Ok(Some(StopReason::Cancelled));
        }
        let now = Instant::now();
        written.step.ms = now.duration_since(self.last).as_secs_f32() * 1000.0;
        written.index = self.index;
        (self.last, self.first) = (now, self.first.or(Some(now)));
        let name =
            written.step.id.and_then(|id| self.model.words().vocabulary().bytes(id).map(<[u8]>::to_vec));
        self.index += 1;
        let released = self.hold.push(written, &name.unwrap_or_default());
        self.words();
        for written in released.steps {
            self.emit(Event::Token(Box::new(written)));
        }
        if released.stopped {
            return Ok(Some(StopReason::Stop));
        }
        Ok(None)
    }

    /// What was held back for a stop text that did not come.
    fn flush(&mut self) {
        self.words();
        for written in self.hold.finish() {
            self.emit(Event::Token(Box::new(written)));
        }
    }

    /// Words that were met since the last time.
    fn words(&self) {
        self.shared.words(self.id, self.model);
    }

    fn done(mut self, stop: StopReason) -> Event {
        let stop = room::met(self.model, stop, self.usage, self.most == 0 || self.index < self.most);
        if stop != StopReason::Cancelled {
            self.begin();
        }
        if stop != StopReason::Stop {
            self.flush();
        }
        let written = self.index - self.taken;
        let usage = Usage {
            // What the server counted holds tokens that were cut away here.
            completion_tokens: if written > 0 { self.index } else { 0 },
            ..self.usage
        };
        let first = self.first.unwrap_or(self.last);
        let decode = self.last.duration_since(first).as_secs_f32();
        let timings = Timings {
            load_ms: self.model.loaded.load_ms,
            prompt_ms: first.duration_since(self.begun).as_secs_f32() * 1000.0,
            decode_ms: decode * 1000.0,
            // The first one came with the prompt.
            tokens_per_second: if decode > 0.0 { written.saturating_sub(1) as f32 / decode } else { 0.0 },
            threads: None,
        };
        tracing::debug!(ms = milliseconds(self.begun), ?usage, "a reply was written");
        Event::Done { stop, usage, timings }
    }

    fn emit(&self, event: Event) {
        self.shared.emit(self.id, event);
    }
}

/// Each token with its part of the text. The text is what counts: where the tokens' own bytes are not known, or spell
/// something else, the first of them has what is left.
///
/// A server may hold a character back until it is whole: `half` is what the tokens gave of it. A reply `begins` in the
/// middle of one where its prompt ended there.
fn shared_out(
    text: Vec<u8>,
    tokens: Vec<Told>,
    half: &mut Vec<u8>,
    begins: bool,
) -> Vec<(Vec<u8>, Option<Told>)> {
    if tokens.is_empty() {
        return if text.is_empty() { Vec::new() } else { vec![(text, None)] };
    }
    let spelt: Option<Vec<u8>> = tokens
        .iter()
        .map(|told| told.chosen.bytes.clone())
        .collect::<Option<Vec<_>>>()
        .map(|all| all.concat());
    // Where halves of characters were replaced in the text, or held back, the tokens know better.
    let before = std::mem::take(half);
    let exact = spelt.is_some_and(|spelt| {
        let all = [before, spelt.clone()].concat();
        let rest = all.iter().take_while(|byte| begins && matches!(byte, 0x80..0xC0)).count();
        let whole = all.len() - begun_at_end(&all);
        if rest <= whole && String::from_utf8_lossy(&all[rest..whole]).as_bytes() == text {
            *half = all[whole..].to_vec();
            return true;
        }
        let same = |bytes: &[u8]| String::from_utf8_lossy(bytes).as_bytes() == text;
        spelt == text || same(&spelt) || same(&all[rest..])
    });
    let mut rest = text.as_slice();
    let last = tokens.len() - 1;
    let mut out = Vec::new();
    for (place, told) in tokens.into_iter().enumerate() {
        let own = told.chosen.bytes.clone().unwrap_or_default();
        let bytes = if exact {
            own
        } else if place < last && !own.is_empty() && rest.starts_with(&own) {
            rest = &rest[own.len()..];
            own
        } else {
            std::mem::take(&mut rest).to_vec()
        };
        out.push((bytes, Some(told)));
    }
    out
}

/// How many bytes at the end are the beginning of a character.
fn begun_at_end(bytes: &[u8]) -> usize {
    let error = std::str::from_utf8(&bytes[bytes.len().saturating_sub(3)..]).err();
    let begun = |back: &usize| {
        bytes.get(bytes.len() - back..).is_some_and(|end| {
            std::str::from_utf8(end)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
    };
    error.map_or(0, |_| (1..=bytes.len().min(3)).find(begun).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::server::told::Choice;

    fn tokens(all: &[&[u8]]) -> Vec<Told> {
        let told = |bytes: &&[u8]| Told {
            chosen: Choice { id: None, bytes: Some(bytes.to_vec()), logprob: -1.0 },
            rank: 0,
            top: Vec::new(),
            watched: Vec::new(),
        };
        all.iter().map(told).collect()
    }

    /// What each token gets where these come, event by event.
    fn shared(events: &[(&str, &[&[u8]])]) -> Vec<Vec<u8>> {
        let mut half = Vec::new();
        let events = events.iter().enumerate().flat_map(|(place, (text, all))| {
            shared_out(text.as_bytes().to_vec(), tokens(all), &mut half, place == 0)
        });
        events.map(|(bytes, _)| bytes).collect()
    }

    #[test]
    fn a_character_that_is_held_back_is_its_tokens() {
        let whole: [&[u8]; 3] = [b"\xF0\x9F", b"\x8E", b"\x89"];
        let one_by_one: Vec<_> = whole.iter().map(std::slice::from_ref).zip(["", "", "🎉"]).collect();
        let events: Vec<_> = one_by_one.iter().map(|(token, text)| (*text, *token)).collect();
        assert_eq!(shared(&events), whole);
        // It ends inside one, and begins inside one.
        assert_eq!(shared(&[("so", &[b"so"]), ("\u{fffd}", &[b"\xF0\x9F"])]), [&b"so"[..], b"\xF0\x9F"]);
        assert_eq!(shared(&[("", &[b"\x89"]), (" on", &[b" on"])]), [&b"\x89"[..], b" on"]);
        // Of tokens that spell something else the text counts.
        assert_eq!(shared(&[("so on", &[b"x", b"y"])]), [&b"so on"[..], b""]);
    }
}
