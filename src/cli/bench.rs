//! `glassbox bench`: speed and memory of the engine on this machine, each claim as a ratio of two things
//! measured side by side in one run.

#[cfg(feature = "llama")]
mod beside;
#[cfg(feature = "llama")]
mod drafted;
#[cfg(feature = "llama")]
mod inside;
#[cfg(feature = "llama")]
mod whole;

use serde_json::{Value, json};

use super::args::BenchArgs;

/// One figure: name, value with its unit, and what it is to be compared with.
struct Row {
    name: &'static str,
    shown: String,
    aim: &'static str,
    value: Value,
}

/// What is measured, and how.
#[cfg(feature = "llama")]
#[derive(Clone, Copy)]
struct Ground<'a> {
    setup: &'a super::setup::Setup,
    entry: &'a crate::model_entry::ModelEntry,
    /// Which engine runs.
    engine: &'a str,
    args: &'a BenchArgs,
    /// Bans on the tokens that would end a reply before it was measured.
    no_end: &'a [crate::sampling::LogitBias],
}

/// Runs the command.
///
/// # Errors
/// When the model is not here or an engine fails.
#[cfg(feature = "llama")]
pub async fn run(args: BenchArgs, engine: &str) -> anyhow::Result<u8> {
    let setup = super::setup::Setup::read(args.common.config.as_deref(), args.common.model.as_deref(), None)?;
    setup.print_warnings();
    let entry = setup.entry()?;
    setup.fetch_if_missing(&entry, engine).await?;
    if let Some(which) = &args.memory_of {
        return real::memory_of(&setup, &entry, which, args.tokens);
    }
    let (mut rows, no_end) = real::token_loop(&setup, &entry, &args)?;
    let ground = Ground { setup: &setup, entry: &entry, engine, args: &args, no_end: &no_end };
    rows.extend(whole::rows(ground).await?);
    rows.extend(inside::token_loop(&setup, &entry, &args)?);
    rows.extend(beside::speeds(ground).await?);
    rows.extend(drafted::rows(ground).await?);
    rows.extend(real::conversation(ground).await?);
    rows.extend(inside::first_tokens(ground).await?);
    rows.extend(inside::past_tokens(ground).await?);
    rows.extend(real::memory(&entry, &args)?);
    show(&entry.name, &args, &rows);
    Ok(0)
}

/// Without an engine there is nothing to measure.
///
/// # Errors
/// Always.
#[cfg(not(feature = "llama"))]
pub fn run(_args: BenchArgs, _engine: &str) -> std::future::Ready<anyhow::Result<u8>> {
    let why = "this build has no engine to measure: it was built without the feature `llama`";
    std::future::ready(Err(anyhow::anyhow!(why)))
}

#[cfg_attr(not(feature = "llama"), expect(dead_code, reason = "the rows come from the engine"))]
fn show(model: &str, args: &BenchArgs, rows: &[Row]) {
    let BenchArgs { tokens, rounds, long, .. } = args;
    if args.json {
        let map: serde_json::Map<_, _> =
            rows.iter().map(|row| (row.name.to_owned(), row.value.clone())).collect();
        super::print(
            &json!({"model": model, "tokens": tokens, "rounds": rounds, "long": long, "measurements": map})
                .to_string(),
        );
        return;
    }
    let mut lines = vec![format!("{model}: {rounds} rounds of {tokens} tokens; {long} in the long chat")];
    lines.extend(rows.iter().map(|row| format!("  {:<44} {:>16}   {}", row.name, row.shown, row.aim)));
    super::print(&lines.join("\n"));
}

#[cfg(feature = "llama")]
mod real {
    use std::time::{Duration, Instant};

    use anyhow::{Context as _, bail};
    use serde_json::json;

    use super::super::args::BenchArgs;
    use super::super::models::mib;
    use super::super::session::Session;
    use super::super::setup::Setup;
    use super::{Ground, Row};
    use crate::chat::{Role, Usage};
    use crate::engine::bench::{self, Loop};
    use crate::engine::protocol::{
        Event, Generate, Immediate, Job, Loaded, Message, Prompt, Request, StoredTokens, TemplateSetting,
    };
    use crate::model_entry::{LoadParams, ModelEntry};
    use crate::sampling::{LogitBias, Sampling};
    use crate::token::Step;

    /// Candidates listed for each token.
    pub const CANDIDATES: u32 = 20;

    /// The engine's token loop against bare decoding, and what keeps a reply from ending by itself.
    pub fn token_loop(
        setup: &Setup,
        entry: &ModelEntry,
        args: &BenchArgs,
    ) -> anyhow::Result<(Vec<Row>, Vec<LogitBias>)> {
        let (path, facts) = setup.models().resolve(entry)?;
        let report = bench::token_loop_ratio(&path, &facts, args.tokens, args.rounds)?;
        let bare = median(&report.bare_tokens_per_second);
        let full = median(&report.full_tokens_per_second);
        let speed = |name, value: f64| Row {
            name,
            shown: format!("{value:.1} tok/s"),
            aim: "",
            value: json!(round(value)),
        };
        let rows = vec![
            speed("bare llama_decode with greedy choice", bare),
            speed("the engine's loop, 20 candidates, events", full),
            Row {
                name: "engine ÷ bare, median of the rounds",
                shown: format!("{:.3}", report.ratio()),
                aim: "at least 0.97",
                value: json!(round(report.ratio())),
            },
            Row {
                name: "sampler stages recorded ÷ not recorded",
                shown: format!("{:.3}", report.recording_ratio()),
                aim: "at least 0.97",
                value: json!(round(report.recording_ratio())),
            },
        ];
        Ok((rows, report.no_end))
    }

    /// Two turns through the child process: reuse of the cache, speed with events, and stopping.
    pub async fn conversation(ground: Ground<'_>) -> anyhow::Result<Vec<Row>> {
        let Ground { setup, entry, engine, no_end, .. } = ground;
        let params = setup.config.load_params_for(entry);
        let (mut session, loaded) = started(setup, entry, engine, &params).await?;
        let mut messages = vec![message(Role::User, "Tell me about the sea in a few sentences.")];
        let (steps, _, _) = reply(&mut session, &messages, no_end).await?;
        messages.push(said(&steps, &loaded.vocabulary));
        messages.push(message(Role::User, "And the mountains?"));
        let (written, usage, elapsed) = reply(&mut session, &messages, no_end).await?;
        let decoded = usage.prompt_tokens - usage.reused_tokens;
        let new = new_tokens(&mut session).await?;
        let long = "The quick brown fox jumps over the lazy dog. ".repeat(400);
        let reading = stop_after(&mut session, &long, no_end, Duration::from_millis(150)).await?;
        let writing =
            stop_after(&mut session, "One, two, three,", no_end, Duration::from_millis(400)).await?;
        let ms = |name, taken: Duration, aim| Row {
            name,
            shown: format!("{:.1} ms", taken.as_secs_f64() * 1000.0),
            aim,
            value: json!(round(taken.as_secs_f64() * 1000.0)),
        };
        Ok(vec![
            ms("loading", Duration::from_secs_f32(loaded.load_ms / 1000.0), ""),
            Row {
                name: "second turn: prompt tokens read of all",
                shown: format!("{decoded} of {}", usage.prompt_tokens),
                aim: "the new message and the template's marks",
                value: json!({"read": decoded, "prompt": usage.prompt_tokens, "message": new}),
            },
            Row {
                shown: format!("{:.1} ms, {} tokens", elapsed.as_secs_f64() * 1000.0, written.len()),
                ..ms("second turn: until its last token", elapsed, "")
            },
            ms("stop while reading a prompt", reading, "under 100 ms"),
            ms("stop while writing", writing, "under 100 ms"),
        ])
    }

    /// An engine with the model loaded.
    pub async fn started(
        setup: &Setup,
        entry: &ModelEntry,
        engine: &str,
        params: &LoadParams,
    ) -> anyhow::Result<(Session, Loaded)> {
        let mut session = Session::start(entry, engine, &setup.config)?;
        let loaded = session.load(entry, params).await?;
        Ok((session, loaded))
    }

    async fn new_tokens(session: &mut Session) -> anyhow::Result<usize> {
        let text = "And the mountains?".to_owned();
        match session
            .call(Request::Immediate(Immediate::Tokenize { text, special: false, begin: false }), |_| {})
            .await?
        {
            Event::Tokenized { tokens } => Ok(tokens.len()),
            _ => bail!("the engine did not tokenise"),
        }
    }

    /// Resident memory of the engine and of bare decoding, each in a process of its own.
    pub fn memory(entry: &ModelEntry, args: &BenchArgs) -> anyhow::Result<Vec<Row>> {
        let measure = |which: &str| -> anyhow::Result<u64> {
            let mut command = std::process::Command::new(std::env::current_exe()?);
            command.args(["bench", "--model", &entry.name, "--memory-of", which]);
            command.args(["--tokens", &args.tokens.to_string()]);
            if let Some(config) = &args.common.config {
                command.arg("--config").arg(config);
            }
            let output = command.output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            text.trim().parse().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (bare, full) = (measure("bare")?, measure("full")?);
        let more = full.saturating_sub(bare);
        let row = |name, bytes: u64, aim| Row { name, shown: mib(bytes), aim, value: json!(bytes) };
        Ok(vec![
            row("resident: bare decoding", bare, ""),
            row("resident: the engine", full, ""),
            row("resident: the engine's own part", more, "under 40 MB"),
        ])
    }

    /// The hidden part of the above that runs in a process of its own.
    pub fn memory_of(setup: &Setup, entry: &ModelEntry, which: &str, tokens: u32) -> anyhow::Result<u8> {
        let (path, facts) = setup.models().resolve(entry)?;
        let which = if which == "bare" { Loop::Bare } else { Loop::Full };
        let bytes = bench::memory(&path, &facts, &setup.config.load_params_for(entry), tokens, which)?;
        super::super::print(&bytes.to_string());
        Ok(0)
    }

    fn message(role: Role, text: &str) -> Message {
        Message::new(role, text)
    }

    /// A reply as the next turn hands it back: its text with the tokens it was written as.
    fn said(steps: &[Step], vocabulary: &str) -> Message {
        let bytes: Vec<u8> = steps.iter().flat_map(|step| step.bytes.clone()).collect();
        let tokens = steps.iter().filter_map(|step| Some((step.id?, step.bytes.len() as u32))).collect();
        let stored = Some(StoredTokens { vocabulary: vocabulary.to_owned(), tokens });
        Message { stored, ..Message::new(Role::Assistant, String::from_utf8_lossy(&bytes)) }
    }

    /// The request for a greedy reply of so many tokens, each with so many candidates.
    pub fn generate(prompt: Prompt, most: u32, top: u32, no_end: &[LogitBias]) -> Request {
        Request::Job(Job::Generate(Box::new(Generate {
            prompt,
            sampling: Sampling {
                temperature: 0.0,
                max_tokens: most,
                logit_bias: no_end.to_vec(),
                ..Sampling::default()
            },
            top_logprobs: top,
            begun: 0,
            interventions: Vec::new(),
            allow: None,
        })))
    }

    /// A reply of 64 tokens, or of fewer where the model's template ends it at what looks like the next turn.
    async fn reply(
        session: &mut Session,
        messages: &[Message],
        no_end: &[LogitBias],
    ) -> anyhow::Result<(Vec<Step>, Usage, Duration)> {
        let begun = Instant::now();
        let mut steps = Vec::new();
        let prompt = Prompt::Chat {
            messages: messages.to_vec(),
            continue_last: false,
            setting: TemplateSetting::default(),
        };
        let end = session
            .call(generate(prompt, 64, CANDIDATES, no_end), |event| {
                if let Event::Token(written) = event {
                    steps.push(written.step.clone());
                }
            })
            .await?;
        match end {
            Event::Done { usage, .. } => Ok((steps, usage, begun.elapsed())),
            other => bail!("a reply ended with {other:?}"),
        }
    }

    /// How long the engine takes to end a reply that is stopped after a while and would not end before.
    async fn stop_after(
        session: &mut Session,
        text: &str,
        no_end: &[LogitBias],
        after: Duration,
    ) -> anyhow::Result<Duration> {
        let id = session
            .begin(generate(Prompt::Raw { text: text.to_owned() }, 100_000, CANDIDATES, no_end))
            .await?;
        let deadline = Instant::now() + after;
        let mut stopped = None;
        loop {
            let event = tokio::select! {
                event = session.next(id) => event?,
                () = tokio::time::sleep_until(deadline.into()), if stopped.is_none() => {
                    session.cancel(id);
                    stopped = Some(Instant::now());
                    continue;
                }
            };
            if event.is_final() {
                return stopped.map(|at| at.elapsed()).context("the reply ended before it was stopped");
            }
        }
    }

    pub fn median(values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub fn round(value: f64) -> f64 {
        (value * 1000.0).round() / 1000.0
    }
}
