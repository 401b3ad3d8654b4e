//! Measurements of looking inside: what it costs the token loop, and how soon a past token's station is there.
//!
//! Invariant: each claim is a ratio or a difference of neighbours in time; a past token is measured over the real
//! engine process, from the request to its whole answer.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::real::{generate, median, round, started};
use super::{Ground, Row};
use crate::chat::ConversationId;
use crate::cli::args::BenchArgs;
use crate::cli::session::Session;
use crate::cli::setup::Setup;
use crate::engine::bench;
use crate::engine::protocol::{
    Attend, Embed, Event, Immediate, Inspect, Inspected, Inspection, Job, Loaded, Prompt, ROWS, Request, Want,
};
use crate::inspect::feed_forward::NeuronOrder;
use crate::model_entry::ModelEntry;
use crate::models::gguf::SharedHeader;
use crate::sampling::LogitBias;
use crate::token::TokenId;

/// The default model, for which some aims are stated.
const SMALL_VOCABULARY: u32 = 100_000;

/// The probe, its copies and the lens against plain decoding.
pub fn token_loop(setup: &Setup, entry: &ModelEntry, args: &BenchArgs) -> anyhow::Result<Vec<Row>> {
    let (path, facts) = setup.models().resolve(entry)?;
    let file = open(&path)?;
    let report = bench::inside(&path, &facts, file, args.tokens, args.rounds)?;
    let small = facts.vocabulary_size < SMALL_VOCABULARY;
    let ratio =
        |name, value: f64, aim| Row { name, shown: format!("{value:.3}"), aim, value: json!(round(value)) };
    Ok(vec![
        ratio("probe with an empty plan ÷ without probe", report.empty_ratio(), "at least 0.99"),
        ratio("all layers copied each token ÷ without", report.captured_ratio(), "at least 0.93"),
        Row {
            name: "lens of all layers for one token",
            shown: format!("{:.1} ms", median(&report.lens_ms)),
            aim: "",
            value: json!(round(median(&report.lens_ms))),
        },
        ratio("lens ÷ decode step", report.lens_ratio(), if small { "at most 3" } else { "at most 6" }),
    ])
}

fn open(path: &Path) -> anyhow::Result<std::sync::Arc<dyn crate::model_entry::ModelFile>> {
    Ok(std::sync::Arc::new(SharedHeader::open(path).context("the model's file cannot be read")?))
}

/// A station and what it asks of the engine.
struct Station {
    name: &'static str,
    want: Want,
    aim: &'static str,
}

fn stations(layers: u32) -> Vec<Station> {
    let middle = layers / 2;
    let [chosen, rival] = [TokenId(300), TokenId(400)];
    let follow = vec![chosen, rival];
    let station = |name, want| Station { name, want, aim: "at most 40 ms" };
    let neurons = Want {
        ffn: vec![middle],
        neurons: 16,
        neuron_order: NeuronOrder::Write,
        follow: follow.clone(),
        ..Want::default()
    };
    vec![
        station(
            "past token: attention − step",
            Want { overview: true, attention: vec![middle], follow: follow.clone(), ..Want::default() },
        ),
        station("past token: ffn − step", Want { ffn_layers: true, ..neurons.clone() }),
        Station {
            aim: "",
            ..station("its neurons' words, after the list − step", Want { words: true, ..neurons })
        },
        station(
            "past token: layers − lens − step",
            Want { lens: true, follow: follow.clone(), ..Want::default() },
        ),
        station(
            "past token: why − step",
            Want { attribution: Some((chosen, rival)), follow, ..Want::default() },
        ),
    ]
}

/// Past tokens of a long chat, and neighbours in the embedding table, over the engine process.
pub async fn past_tokens(ground: Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let Ground { setup, entry, engine, args, no_end } = ground;
    let params = setup.config.load_params_for(entry);
    let (mut session, loaded) = started(setup, entry, engine, &params).await?;
    let length = long(args, &loaded);
    let ids = long_text(&mut session, length).await?;
    // As in a chat that is that short: the cache's every cell is attended to, whoever's it is.
    let scored = timed(&mut session, Request::Job(Job::Calibrate)).await?;
    let short = Attend { ids: ids[..ROWS.min(length)].to_vec(), ..Attend::default() };
    let rollout = timed(&mut session, Request::Job(Job::Attend(Box::new(short)))).await?;
    let stations = stations(loaded.facts.layers);
    let mut took: Vec<Vec<f64>> = vec![Vec::new(); stations.len()];
    let mut neighbours = Vec::new();
    write(&mut session, &ids, 2, no_end).await?;
    let mut firsts = Vec::new();
    for station in &stations {
        firsts.push(inspect(&mut session, &ids[..length - 1], &station.want).await?.0);
    }
    let first = ask_table(&mut session, ids[length / 2]).await?;
    for round in 0..args.rounds as usize {
        let end = length - 1 - round * 37 % (length / 2);
        let step = write(&mut session, &ids, 16, no_end).await?;
        for (station, took) in stations.iter().zip(&mut took) {
            let (ms, seen) = inspect(&mut session, &ids[..end], &station.want).await?;
            let lens = seen.trace.lens.map_or(0.0, |lens| f64::from(lens.ms));
            took.push(ms - lens - step);
        }
        neighbours.push(ask_table(&mut session, ids[end]).await?);
    }
    let ms = |name, value: f64, aim| Row {
        name,
        shown: format!("{value:.1} ms"),
        aim,
        value: json!(round(value)),
    };
    let mut rows: Vec<Row> = stations
        .iter()
        .zip(&took)
        .map(|(station, took)| ms(station.name, median(took), station.aim))
        .collect();
    rows.push(ms("past token: attention, first opening", firsts[0], ""));
    rows.push(ms("heads scored on random text, once a model", scored, ""));
    rows.push(ms("rollout of 512 tokens", rollout, ""));
    rows.push(ms("nearest tokens, first question", first, ""));
    rows.push(ms("nearest tokens of a token", median(&neighbours), "at most 100 ms"));
    Ok(rows)
}

/// Tokens of the long chat: what was asked for, or what there is room for.
fn long(args: &BenchArgs, loaded: &Loaded) -> usize {
    (args.long as usize).min(loaded.context as usize - 64)
}

/// How soon the first token of a long chat is there: read anew, with the chat in the cache, and with its state on disk.
pub async fn first_tokens(ground: Ground<'_>) -> anyhow::Result<Vec<Row>> {
    /// No chat of the store has a negative number.
    const CHAT: ConversationId = ConversationId(-1);
    let Ground { setup, entry, engine, args, no_end } = ground;
    let params = setup.config.load_params_for(entry);
    let (mut session, loaded) = started(setup, entry, engine, &params).await?;
    if !loaded.keeps_states {
        return Ok(Vec::new());
    }
    let ids = long_text(&mut session, long(args, &loaded)).await?;
    let (last, before) = (ids.len() - 1, [ids[1]; 40]);
    let mut took = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..args.rounds {
        session.call(Request::Job(Job::Chat(Some(CHAT))), |_| {}).await?;
        took[0].push(first_token(&mut session, &ids[..last], false, no_end).await?);
        took[1].push(first_token(&mut session, &ids, false, no_end).await?);
        // Another text comes, and the state is on disk before it has been read.
        session.call(Request::Job(Job::Chat(None)), |_| {}).await?;
        write(&mut session, &before, 64, no_end).await?;
        session.call(Request::Job(Job::Chat(Some(CHAT))), |_| {}).await?;
        took[2].push(first_token(&mut session, &ids, true, no_end).await?);
        session.call(Request::Job(Job::Forget(CHAT)), |_| {}).await?;
        write(&mut session, &before, 1, no_end).await?;
    }
    let ratio = |from: usize| {
        median(&took[0].iter().zip(&took[from]).map(|(cold, other)| cold / other).collect::<Vec<_>>())
    };
    let ms = |name, of: usize| Row {
        name,
        shown: format!("{:.1} ms", median(&took[of])),
        aim: "",
        value: json!(round(median(&took[of]))),
    };
    Ok(vec![
        ms("first token of the long chat, read anew", 0),
        ms("first token of the long chat, in the cache", 1),
        ms("first token of the long chat, from a snapshot", 2),
        Row {
            name: "read anew ÷ from a snapshot",
            shown: format!("{:.0}", ratio(2)),
            aim: "at least 40",
            value: json!(round(ratio(2))),
        },
    ])
}

/// How long the first token after a text takes, ms; whether its beginning came from a snapshot is as said.
async fn first_token(
    session: &mut Session,
    ids: &[TokenId],
    recalled: bool,
    no_end: &[LogitBias],
) -> anyhow::Result<f64> {
    let (begun, mut first, mut came) = (Instant::now(), None, false);
    let end = session
        .call(going_on(ids, 1, no_end), |event| match event {
            Event::Prompt(facts) => came = facts.recalled,
            Event::Token(_) => first = first.or_else(|| Some(begun.elapsed())),
            _ => {}
        })
        .await?;
    match (end, first) {
        (Event::Done { .. }, Some(first)) if came == recalled => Ok(first.as_secs_f64() * 1000.0),
        (Event::Done { .. }, Some(_)) => bail!("whether the chat came from a snapshot is not as expected"),
        _ => bail!("the reply did not end"),
    }
}

/// A request to go on with a text.
fn going_on(ids: &[TokenId], tokens: u32, no_end: &[LogitBias]) -> Request {
    let prompt = Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false };
    generate(prompt, tokens, 1, no_end)
}

/// The ids of a text of that many tokens.
async fn long_text(session: &mut Session, length: usize) -> anyhow::Result<Vec<TokenId>> {
    let sentences = (0..length)
        .map(|number| format!("Sentence {number} says that the sea is {} miles wide. ", number * 7));
    let text = sentences.take(length / 4).collect();
    match session
        .call(Request::Immediate(Immediate::Tokenize { text, special: false, begin: true }), |_| {})
        .await?
    {
        Event::Tokenized { tokens } if tokens.len() >= length => {
            Ok(tokens.into_iter().take(length).map(|(id, _)| id).collect())
        }
        _ => bail!("the long text could not be tokenised"),
    }
}

/// Goes on with a text for so many tokens; gives the time of a decode step, ms.
async fn write(
    session: &mut Session,
    ids: &[TokenId],
    tokens: u32,
    no_end: &[LogitBias],
) -> anyhow::Result<f64> {
    let mut steps = Vec::new();
    let end = session
        .call(going_on(ids, tokens, no_end), |event| {
            if let Event::Token(written) = event {
                steps.push(f64::from(written.step.ms));
            }
        })
        .await?;
    if !matches!(end, Event::Done { .. }) {
        bail!("the reply did not end");
    }
    // The first token's time is that of drawing it alone.
    Ok(median(steps.get(1..).unwrap_or_default()))
}

async fn inspect(
    session: &mut Session,
    ids: &[TokenId],
    want: &Want,
) -> anyhow::Result<(f64, Box<Inspected>)> {
    let request = Inspect { ids: ids.to_vec(), want: want.clone(), ..Inspect::default() };
    let begun = Instant::now();
    match session.call(Request::Inspection(Inspection::Inspect(Box::new(request))), |_| {}).await? {
        Event::Inspected(seen) => Ok((begun.elapsed().as_secs_f64() * 1000.0, seen)),
        _ => bail!("a pass was not opened"),
    }
}

/// The time of a request that is answered by figures about attention, ms.
async fn timed(session: &mut Session, request: Request) -> anyhow::Result<f64> {
    let begun = Instant::now();
    match session.call(request, |_| {}).await? {
        Event::Attended(_) | Event::Calibrated(_) => Ok(begun.elapsed().as_secs_f64() * 1000.0),
        Event::Failed(failure) => bail!(failure.message),
        _ => bail!("attention was not read"),
    }
}

/// The nearest tokens of a token, ms.
async fn ask_table(session: &mut Session, id: TokenId) -> anyhow::Result<f64> {
    let request = Embed { sum: vec![(id, 1.0)], neighbours: 12, ..Embed::default() };
    let begun = Instant::now();
    match session.call(Request::Inspection(Inspection::Embed(Box::new(request))), |_| {}).await? {
        Event::Embedded(_) => Ok(begun.elapsed().as_secs_f64() * 1000.0),
        _ => bail!("the embedding table gave no answer"),
    }
}
