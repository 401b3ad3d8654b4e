//! Two models of one vocabulary: token by token, over the whole distributions.
//!
//! Invariant: every token but the first is held against once, with the same tokens before it for both.

use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::super::args::CompareArgs;
use super::super::ask::{rounded, write};
use super::super::score::place;
use super::super::tokenize::{counted, entry, piece};
use super::super::windows::windows;
use super::sources::{Source, Tokens};
use super::{Model, SHOWN};
use crate::config::Config;
use crate::engine::protocol::{Contrasting, Event, Job, Part, Request};
use crate::export::json::number;
use crate::inspect::contrast::{Contrast, Summary};
use crate::model_entry::ModelEntry;
use crate::sanitize;
use crate::token::{Candidate, TokenId, Vocabulary};

/// Compares on every text, with the reference loaded.
///
/// # Errors
/// With a sentence for the user, or the engine's failure.
pub async fn compare(
    mut model: Model,
    other: &ModelEntry,
    args: &CompareArgs,
    config: &Config,
    sources: &[Source],
) -> anyhow::Result<()> {
    let vocabulary = model.session.vocabulary().await?;
    for (index, source) in sources.iter().enumerate() {
        let read = source.read(&mut model.session, &vocabulary, args.reading).await?;
        let (parts, starts) = parts(&read, args.window, model.loaded.context as usize)?;
        let started = Instant::now();
        let request = Contrasting {
            other: Box::new(other.clone()),
            params: config.load_params_for(other),
            parts,
            interventions: Vec::new(),
        };
        let mut found = Found { tokens: Vec::new(), read: &read, vocabulary: &vocabulary };
        let id = model.session.begin(Request::Job(Job::Contrast(Box::new(request)))).await?;
        let done = loop {
            match model.session.next(id).await? {
                Event::Contrasts { part, first, tokens } => {
                    let first = starts[part as usize] + first as usize;
                    let new = (first..).zip(tokens);
                    if args.json {
                        write(&new.clone().map(|(at, token)| found.line(at, &token)).collect::<String>())?;
                    }
                    found.tokens.extend(new);
                }
                Event::Contrasted(done) => break done,
                _ => {}
            }
        };
        done.notes.iter().for_each(|note| super::super::note(&format!("{}: {note}", other.name)));
        let ms = started.elapsed().as_secs_f32() * 1000.0;
        let end = found.end(source, args, ms)?;
        write(&if index > 0 && !args.json { format!("\n{end}") } else { end })?;
    }
    Ok(())
}

/// The stretches that are read, and where in the text each begins: the first token of a part stands at that place, less
/// what was put before it.
fn parts(read: &Tokens, window: Option<u32>, context: usize) -> anyhow::Result<(Vec<Part>, Vec<usize>)> {
    let ids: Vec<TokenId> = read.all[..read.end].iter().map(|(id, _)| *id).collect();
    let first = *ids.first().context("there are no tokens to compare on")?;
    if let Some(window) = window {
        return windows_apart(&ids, read.begins.then_some(first), window as usize, context);
    }
    let plan = windows(ids.len(), read.begins, context, (context / 2).max(1));
    let of = |window: &super::super::windows::Window| {
        let again = (read.begins && window.start > 0).then_some(first);
        let from = (window.from - window.start + usize::from(again.is_some())) as u32;
        let ids = again.into_iter().chain(ids[window.start..window.end].iter().copied()).collect();
        (Part { ids, from }, window.start.wrapping_sub(usize::from(again.is_some())))
    };
    Ok(plan.iter().map(of).unzip())
}

/// As `llama-perplexity` reads a text: windows that do not overlap, of which the second half counts; what is left over at
/// the end is not read.
fn windows_apart(
    ids: &[TokenId],
    begin: Option<TokenId>,
    window: usize,
    context: usize,
) -> anyhow::Result<(Vec<Part>, Vec<usize>)> {
    if window > context {
        bail!("--window {window} is longer than the context of this model, {context} tokens");
    }
    if ids.len() < window {
        bail!("--window {window} is longer than the text, which has {}", counted(ids.len()));
    }
    let of = |(index, chunk): (usize, &[TokenId])| {
        let mut ids = chunk.to_vec();
        if let (Some(begin), Some(first)) = (begin, ids.first_mut()) {
            *first = begin;
        }
        (Part { ids, from: (window / 2 + 1) as u32 }, index * window)
    };
    Ok(ids.chunks_exact(window).enumerate().map(of).unzip())
}

/// What was found of one text.
struct Found<'a> {
    tokens: Vec<(usize, Contrast)>,
    read: &'a Tokens,
    vocabulary: &'a Vocabulary,
}

impl Found<'_> {
    fn line(&self, at: usize, token: &Contrast) -> String {
        let (id, bytes) = &self.read.all[at];
        let first = token.first.map(|candidate| self.named(candidate));
        let line = json!({
            "type": "token",
            "index": at,
            "id": id,
            "token": String::from_utf8_lossy(bytes),
            "kl": number(token.kl),
            "logprob": token.logprob.map(number),
            "first": first,
        });
        format!("{line}\n")
    }

    fn named(&self, candidate: Candidate) -> Value {
        let bytes = self.vocabulary.bytes(candidate.id).unwrap_or_default();
        let token = String::from_utf8_lossy(bytes);
        json!({ "id": candidate.id, "token": token, "logprob": number(candidate.logprob) })
    }

    fn end(&self, source: &Source, args: &CompareArgs, ms: f32) -> anyhow::Result<String> {
        let all: Vec<Contrast> = self.tokens.iter().map(|(_, token)| *token).collect();
        let name = source.name();
        let summary = Summary::of(&all).with_context(|| {
            format!("{name} has no token to compare: a text's first token has no probability")
        })?;
        if args.json {
            return Ok(format!("{}\n", Self::done(name, args, &summary, ms)));
        }
        Ok(self.report(source, args, &summary, ms))
    }

    fn done(name: &str, args: &CompareArgs, summary: &Summary, ms: f32) -> Value {
        let double = |value: f64| number(value as f32);
        json!({
            "type": "done",
            "text": name,
            "models": [args.reference, args.other],
            "tokens": summary.tokens,
            "mean_kl": double(summary.mean_kl),
            "mean_kl_error": double(summary.mean_kl_error),
            "median_kl": number(summary.median_kl),
            "p90_kl": number(summary.p90_kl),
            "p99_kl": number(summary.p99_kl),
            "max_kl": number(summary.max_kl),
            "same_first": double(summary.same_first),
            "perplexity": summary.perplexity.map(double),
            "rms_difference": double(summary.rms_difference),
            "ms": rounded(ms),
        })
    }

    fn report(&self, source: &Source, args: &CompareArgs, summary: &Summary, ms: f32) -> String {
        let mut lines = vec![sanitize::for_display(source.name())];
        let mut row = |name: &str, value: String| lines.push(format!("  {name:<14} {value}"));
        row("reference", sanitize::for_display(&args.reference));
        row("against it", sanitize::for_display(&args.other));
        row("tokens", summary.tokens.to_string());
        row("KL divergence", format!("mean {:.6} ± {:.6} nats", summary.mean_kl, summary.mean_kl_error));
        row(
            "",
            format!(
                "median {:.6}, 90 % {:.6}, 99 % {:.6}, most {:.6}",
                summary.median_kl, summary.p90_kl, summary.p99_kl, summary.max_kl
            ),
        );
        row("first choice", format!("the same at {:.2} % of the tokens", summary.same_first * 100.0));
        let [mine, its] = summary.perplexity;
        row("perplexity", format!("{mine:.4} and {its:.4}, {:.5} times as much", its / mine));
        row("difference", format!("{:.3} % of probability a token (RMS)", summary.rms_difference * 100.0));
        let speed = summary.tokens as f32 * 1000.0 / ms.max(1.0);
        row("time", format!("{:.1} s, {speed:.0} tokens/s", ms / 1000.0));
        if summary.max_kl > 0.0 {
            lines.push("  where they part most".to_owned());
            lines.extend(self.apart(source));
        } else {
            lines.push("  they part nowhere".to_owned());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The tokens with the largest divergence, the largest first.
    fn apart(&self, source: &Source) -> Vec<String> {
        let mut order: Vec<&(usize, Contrast)> = self.tokens.iter().collect();
        order.sort_by(|a, b| b.1.kl.total_cmp(&a.1.kl).then(a.0.cmp(&b.0)));
        let shown = order.into_iter().take(SHOWN);
        shown
            .map(|(at, token)| {
                let choice = |candidate: Candidate| {
                    let shown = entry(candidate.id, self.vocabulary);
                    format!("{shown} {:.0} %", candidate.logprob.exp() * 100.0)
                };
                let [mine, its] = token.first.map(choice);
                let place = self.place(source, *at);
                let shown = piece(&self.read.all[*at].1);
                let more = token.more_bits();
                format!(
                    "    {place:<9} {:>8.4} nats  {more:>+6.2} bits  {shown:<16} {mine} → {its}",
                    token.kl
                )
            })
            .collect()
    }

    /// Line and column in a file, else which token.
    fn place(&self, source: &Source, at: usize) -> String {
        let from_text = source
            .text()
            .zip(self.read.offset(at))
            .and_then(|(text, offset)| text.is_char_boundary(offset).then(|| place(text.as_bytes(), offset)));
        from_text.map_or_else(|| format!("token {at}"), |(line, column)| format!("{line}:{column}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_bytes::ByteBuf;

    fn read(count: i32, begins: bool) -> Tokens {
        let tokens = (0..count).map(|id| (TokenId(id), ByteBuf::new())).collect();
        Tokens { all: tokens, begins, end: count as usize, from: 0, ends: None }
    }

    #[test]
    fn a_long_text_is_read_in_windows_and_each_token_is_held_against_once() {
        let (all, starts) = parts(&read(25, true), None, 10).unwrap();
        let mut seen = Vec::new();
        for (part, start) in all.iter().zip(starts) {
            for at in part.from as usize..part.ids.len() {
                assert_eq!(part.ids[at], TokenId(i32::try_from(start.wrapping_add(at)).unwrap()));
                seen.push(start.wrapping_add(at));
            }
            assert_eq!(part.ids[0], TokenId(0), "each begins with the mark that begins every text");
        }
        assert_eq!(seen, (1..25).collect::<Vec<_>>());
    }

    #[test]
    fn windows_apart_are_those_of_llama_perplexity() {
        let (all, starts) = parts(&read(25, true), Some(10), 64).unwrap();
        assert_eq!(starts, [0, 10]);
        assert_eq!((all[1].ids[0], all[1].ids[1], all[1].from), (TokenId(0), TokenId(11), 6));
        let without = parts(&read(25, false), Some(10), 64).unwrap().0;
        assert_eq!(without[1].ids[0], TokenId(10));
        assert!(
            parts(&read(25, true), Some(26), 64).is_err() && parts(&read(25, true), Some(20), 16).is_err()
        );
    }
}
