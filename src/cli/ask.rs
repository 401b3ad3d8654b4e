//! `glassbox ask`: one reply to standard output, streamed as text or as one JSON object a line.
//!
//! Invariant: probabilities are over the whole vocabulary and before the samplers, in natural logarithms;
//! text goes out in whole characters, and a terminal never sees a control character of the model's.

use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::args::AskArgs;
use super::session::Session;
use super::setup::Setup;
use crate::chat::{ChatSettings, Role, StopReason, unfinished_tail};
use crate::engine::protocol::{Event, Generate, Immediate, Job, Message, Prompt, Request};
use crate::export;
use crate::sampling::{Sampling, SamplingOverrides};
use crate::sanitize;
use crate::token::{Step, Vocabulary};

/// Runs the command; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: AskArgs, engine: &str) -> anyhow::Result<u8> {
    let prompt = super::text_or_stdin(&args.prompt)?;
    if prompt.is_empty() {
        bail!("there is no prompt: give a text, or `-` and something on standard input");
    }
    let setup = Setup::read(args.common.config.as_deref(), args.common.model.as_deref(), None)?;
    setup.print_warnings();
    let entry = setup.entry()?;
    setup.fetch_if_missing(&entry, engine).await?;
    let sampling = sampling(&args, &setup.config.sampling_for(&entry, &ChatSettings::default()));
    let system = match &args.system {
        Some(text) => text.clone(),
        None => setup.config.system_for(&entry, &ChatSettings::default()),
    };

    let mut session = Session::start(&entry, engine)?;
    let loaded = session.load(&entry, &setup.config.load_params_for(&entry)).await?;
    for note in &loaded.notes {
        super::note(note);
    }
    let mut vocabulary = None;
    if args.json
        && let Event::Vocabulary(read) =
            session.call(Request::Immediate(Immediate::Vocabulary), |_| {}).await?
    {
        vocabulary = Some(read);
    }

    let request = Request::Job(Job::Generate(Box::new(Generate {
        prompt: if args.raw { Prompt::Raw { text: prompt } } else { chat(prompt, &system) },
        sampling,
        top_logprobs: if args.json { args.top_logprobs } else { 0 },
        interventions: Vec::new(),
        allow: None,
    })));
    let mut out = Output::new(vocabulary.as_deref());
    let id = session.begin(request)?;
    let mut interrupted = false;
    loop {
        let event = tokio::select! {
            event = session.next(id) => event?,
            _ = tokio::signal::ctrl_c(), if !interrupted => {
                interrupted = true;
                session.cancel(id);
                continue;
            }
        };
        match event {
            Event::Prompt(facts) => facts.notes.iter().for_each(|note| super::note(note)),
            Event::Token(written) => out.token(&written.step)?,
            Event::Done { stop, usage, mut timings } => {
                timings.load_ms = loaded.load_ms;
                let timings = json!({
                    "load_ms": rounded(timings.load_ms),
                    "prompt_ms": rounded(timings.prompt_ms),
                    "decode_ms": rounded(timings.decode_ms),
                    "tokens_per_second": rounded(timings.tokens_per_second),
                });
                let end = json!({"type": "done", "stop_reason": stop, "usage": usage, "timings": timings});
                out.done(&end)?;
                return Ok(match stop {
                    StopReason::Cancelled => 130,
                    StopReason::Error => 1,
                    _ => 0,
                });
            }
            _ => {}
        }
    }
}

fn chat(prompt: String, system: &str) -> Prompt {
    let message = |role, text| Message { role, text, stored: None };
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(message(Role::System, system.to_owned()));
    }
    messages.push(message(Role::User, prompt));
    Prompt::Chat { messages, continue_last: false, clock_ms: super::wall_ms() }
}

fn sampling(args: &AskArgs, base: &Sampling) -> Sampling {
    let flags = SamplingOverrides {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        seed: args.seed.map(Some),
        max_tokens: args.max_tokens,
        ..SamplingOverrides::default()
    };
    let mut sampling = base.clone();
    flags.apply(&mut sampling);
    sampling
}

/// Where the reply goes.
struct Output<'a> {
    /// Set for JSON.
    vocabulary: Option<&'a Vocabulary>,
    /// Bytes of an unfinished character.
    held: Vec<u8>,
    /// Number of the next token.
    index: u32,
    /// Whether standard output is a terminal.
    terminal: bool,
}

impl<'a> Output<'a> {
    fn new(vocabulary: Option<&'a Vocabulary>) -> Self {
        Self { vocabulary, held: Vec::new(), index: 0, terminal: std::io::stdout().is_terminal() }
    }

    fn token(&mut self, step: &Step) -> anyhow::Result<()> {
        if let Some(vocabulary) = self.vocabulary {
            let line = token_line(self.index, step, vocabulary);
            self.index += 1;
            return write(&format!("{line}\n"));
        }
        self.held.extend_from_slice(&step.bytes);
        let whole = self.held.len() - unfinished_tail(&self.held);
        let text = String::from_utf8_lossy(&self.held[..whole]).into_owned();
        self.held.drain(..whole);
        self.text(&text)
    }

    fn text(&self, text: &str) -> anyhow::Result<()> {
        if self.terminal { write(&sanitize::for_copy(text)) } else { write(text) }
    }

    fn done(&mut self, end: &Value) -> anyhow::Result<()> {
        if self.vocabulary.is_some() {
            return write(&format!("{end}\n"));
        }
        let rest = String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned();
        self.text(&rest)?;
        write("\n")
    }
}

/// One token as the JSON object that the README lays down.
pub(super) fn token_line(index: u32, step: &Step, vocabulary: &Vocabulary) -> Value {
    let mut line = serde_json::Map::new();
    line.insert("type".into(), json!("token"));
    line.insert("index".into(), json!(index));
    line.extend(export::json::step(step, |id| vocabulary.bytes(id)));
    Value::Object(line)
}

/// A measured time or speed, to a tenth.
pub(super) fn rounded(value: f32) -> Value {
    export::json::number((value * 10.0).round() / 10.0)
}

pub(super) fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output was closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Candidate, TokenId, TokenKind};

    #[test]
    fn a_token_line_has_exactly_the_fields_of_the_format() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.push(b" Paris", TokenKind::Normal);
        let step = Step {
            id: Some(TokenId(0)),
            bytes: b" Paris".to_vec(),
            logprob: -0.25,
            rank: 1,
            entropy: 1.5,
            candidates: vec![Candidate { id: TokenId(0), logprob: -0.25 }],
            ..Step::default()
        };
        assert_eq!(
            token_line(3, &step, &vocabulary).to_string(),
            concat!(
                r#"{"type":"token","index":3,"id":0,"token":" Paris","bytes":[32,80,97,114,105,115],"#,
                r#""logprob":-0.25,"rank":1,"entropy":1.5,"top_logprobs":["#,
                r#"{"id":0,"token":" Paris","bytes":[32,80,97,114,105,115],"logprob":-0.25}]}"#
            )
        );
    }

    #[test]
    fn a_character_split_over_tokens_goes_out_whole() {
        let mut held = vec![0xf0, 0x9f];
        assert_eq!(unfinished_tail(&held), 2);
        held.extend_from_slice(&[0x98, 0x80]);
        assert_eq!(unfinished_tail(&held), 0);
    }
}
