//! What drafting gains: the same reply with drafts out of its prompt and without.
//!
//! Invariant: both write the same text greedily, one after the other in each round, each from an engine of its own that
//! has the prompt in its cache.

use anyhow::bail;
use serde_json::json;

use super::Row;
use super::real::{CANDIDATES, generate, median, round, started};
use crate::cli::args::BenchArgs;
use crate::cli::session::Session;
use crate::cli::setup::Setup;
use crate::engine::protocol::{Event, Prompt};
use crate::model_entry::{LoadParams, ModelEntry, Speculative};
use crate::sampling::LogitBias;

/// What models go on with once they have seen it twice.
const POEM: &str = "Seven grey herons stood beside the mill, and none of them would move until the bell had rung. \
                    Then one by one they rose, turned over the orchard wall, and followed the river down to the sea.\n";

/// A reply that quotes its prompt, drafted and not.
pub async fn rows(
    setup: &Setup,
    entry: &ModelEntry,
    engine: &str,
    args: &BenchArgs,
    no_end: &[LogitBias],
) -> anyhow::Result<Vec<Row>> {
    let params = setup.config.load_params_for(entry);
    let with = |speculative| LoadParams { speculative, ..params.clone() };
    let (mut plain, _) = started(setup, entry, engine, &with(Speculative::Off)).await?;
    let (mut drafting, _) = started(setup, entry, engine, &with(Speculative::Prompt)).await?;
    for session in [&mut plain, &mut drafting] {
        quote(session, 1, no_end).await?;
    }
    let (mut ratios, mut share) = (Vec::new(), 0.0);
    for _ in 0..args.rounds {
        let (alone, _) = quote(&mut plain, args.tokens, no_end).await?;
        let (speed, drafted) = quote(&mut drafting, args.tokens, no_end).await?;
        ratios.push(speed / alone);
        share = drafted as f64 / f64::from(args.tokens);
    }
    let ratio = median(&ratios);
    Ok(vec![
        Row {
            name: "a quoting reply, drafted ÷ not drafted",
            shown: format!("{ratio:.2}"),
            aim: "at least 1.5",
            value: json!(round(ratio)),
        },
        Row {
            name: "drafted of its tokens",
            shown: format!("{:.0} %", share * 100.0),
            aim: "",
            value: json!(round(share)),
        },
    ])
}

/// Tokens a second, and how many of them were drafted.
async fn quote(session: &mut Session, tokens: u32, no_end: &[LogitBias]) -> anyhow::Result<(f64, usize)> {
    let prompt = Prompt::Raw { text: format!("{POEM}{POEM}Seven grey herons") };
    let mut drafted = 0;
    let end = session
        .call(generate(prompt, tokens, CANDIDATES, no_end), |event| {
            if let Event::Token(written) = event {
                drafted += usize::from(written.drafted);
            }
        })
        .await?;
    match end {
        Event::Done { timings, .. } => {
            Ok((1000.0 * f64::from(tokens) / f64::from(timings.decode_ms), drafted))
        }
        other => bail!("a reply ended with {other:?}"),
    }
}
