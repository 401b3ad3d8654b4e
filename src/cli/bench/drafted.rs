//! What drafting gains: the same reply with drafts out of its prompt and without, with those of a smaller model where the
//! entry names one, and with those of the file's own layer where it holds one.
//!
//! Invariant: both write the same text greedily, one after the other in each round, each from an engine of its own that
//! has the prompt in its cache.

use anyhow::bail;
use serde_json::json;

use super::real::{CANDIDATES, generate, median, round, started};
use super::{Ground, Row};
use crate::cli::args::BenchArgs;
use crate::cli::session::Session;
use crate::engine::protocol::{Event, Prompt};
use crate::model_entry::{LoadParams, ModelEntry, Speculative};
use crate::sampling::LogitBias;

/// What models go on with once they have seen it twice.
const POEM: &str = "Seven grey herons stood beside the mill, and none of them would move until the bell had rung. \
                    Then one by one they rose, turned over the orchard wall, and followed the river down to the sea.\n";

/// What no model has seen before.
const STORY: &str = "Once upon a time, in a small town by the sea, there lived an old clockmaker who";

/// The rows of a story that is drafted by a smaller model, and by the file's own layer.
const BY_MODEL: [&str; 2] =
    ["a story, drafted by the smaller model ÷ not", "drafted of the story's tokens, by that model"];
const BY_LAYER: [&str; 2] =
    ["a story, drafted by the file's own layer ÷ not", "drafted of the story's tokens, by that layer"];

/// A reply that quotes its prompt, drafted and not; where there is a smaller model, or a layer that foresees, a story too.
pub async fn rows(ground: Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let Ground { setup, entry, engine, args, no_end } = ground;
    let params = setup.config.load_params_for(entry);
    let with = |speculative| LoadParams { speculative, ..params.clone() };
    let alone = ModelEntry { draft_model: None, ..entry.clone() };
    let (mut plain, loaded) = started(setup, &alone, engine, &with(Speculative::Off)).await?;
    let (mut looking, _) = started(setup, &alone, engine, &with(Speculative::Prompt)).await?;
    let quoting = format!("{POEM}{POEM}Seven grey herons");
    let (ratio, share) = gain(&mut plain, &mut looking, &quoting, args, no_end).await?;
    let row = |name, shown: String, aim, value: f64| Row { name, shown, aim, value: json!(round(value)) };
    let per_cent = |share: f64| format!("{:.0} %", share * 100.0);
    let mut rows = vec![
        row("a quoting reply, drafted ÷ not drafted", format!("{ratio:.2}"), "at least 1.5", ratio),
        row("drafted of its tokens", per_cent(share), "", share),
    ];
    let smaller = (entry, Speculative::Off, BY_MODEL, entry.draft_model.is_some());
    let foreseeing = (&alone, Speculative::Mtp, BY_LAYER, loaded.facts.mtp_layers > 0);
    for (entry, speculative, [gained, drafted], _) in [smaller, foreseeing].into_iter().filter(|way| way.3) {
        let (mut drafting, _) = started(setup, entry, engine, &with(speculative)).await?;
        let (ratio, share) = gain(&mut plain, &mut drafting, STORY, args, no_end).await?;
        rows.push(row(gained, format!("{ratio:.2}"), "", ratio));
        rows.push(row(drafted, per_cent(share), "", share));
    }
    Ok(rows)
}

/// How many times faster the second writes the same text, and which part of it was drafted.
async fn gain(
    plain: &mut Session,
    drafting: &mut Session,
    text: &str,
    args: &BenchArgs,
    no_end: &[LogitBias],
) -> anyhow::Result<(f64, f64)> {
    for session in [&mut *plain, &mut *drafting] {
        write(session, text, 1, no_end).await?;
    }
    let (mut ratios, mut share) = (Vec::new(), 0.0);
    for _ in 0..args.rounds {
        let (alone, _) = write(plain, text, args.tokens, no_end).await?;
        let (speed, drafted) = write(drafting, text, args.tokens, no_end).await?;
        ratios.push(speed / alone);
        share = drafted as f64 / f64::from(args.tokens);
    }
    Ok((median(&ratios), share))
}

/// Tokens a second, and how many of them were drafted.
async fn write(
    session: &mut Session,
    text: &str,
    tokens: u32,
    no_end: &[LogitBias],
) -> anyhow::Result<(f64, usize)> {
    let prompt = Prompt::Raw { text: text.to_owned() };
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
