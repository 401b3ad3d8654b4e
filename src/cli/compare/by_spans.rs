//! Two models with different vocabularies: by the stretches of the text that both tokenizers cut off, in bits.
//!
//! Invariant: one model is loaded at a time; a stretch for which either has no figure counts for neither.

use anyhow::bail;
use serde_json::json;

use super::super::args::CompareArgs;
use super::super::ask::write;
use super::super::score::place;
use super::sources::{Piece, Source, Tokens};
use super::{Model, SHOWN};
use crate::config::Config;
use crate::engine::protocol::{Capability, Event, Job, Request, Score};
use crate::export::json::number;
use crate::inspect::contrast::{Ended, Span, spans};
use crate::model_entry::ModelEntry;
use crate::sanitize;

/// Compares on every text, one model after the other.
///
/// # Errors
/// With a sentence for the user, or an engine's failure.
pub async fn compare(
    entries: [ModelEntry; 2],
    args: &CompareArgs,
    config: &Config,
    engine: &str,
    sources: &[Source],
) -> anyhow::Result<()> {
    if let Some(blank) =
        sources.iter().find(|source| source.texts().iter().all(|text| text.trim().is_empty()))
    {
        bail!("{} holds nothing but blank space, on which there is nothing to compare", blank.name());
    }
    let mut both: Vec<Vec<Vec<Scored>>> = Vec::new();
    for entry in &entries {
        let mut model = Model::load(entry, &[], engine, config, super::templated(args, sources)).await?;
        if !model.loaded.capabilities.has(Capability::Scores) {
            bail!(
                "what runs {} does not tell how likely a text is; a glassbox engine, vLLM and SGLang do",
                entry.name
            );
        }
        let mut of_model = Vec::new();
        for source in sources {
            of_model.push(scored(&mut model, source, args).await?);
        }
        both.push(of_model);
    }
    for (index, source) in sources.iter().enumerate() {
        let texts = source.texts();
        let mut all = Vec::new();
        for (at, (mine, its)) in both[0][index].iter().zip(&both[1][index]).enumerate() {
            let spans = spans([mine.from, its.from], [&mine.tokens, &its.tokens]);
            all.extend(spans.into_iter().map(|span| (at, span)));
        }
        let untold = all.extract_if(.., |(_, span)| span.bits.iter().any(|bits| bits.is_nan())).count();
        if untold > 0 {
            super::super::note(&format!(
                "{}: {untold} stretches are left out, since a model's server does not tell the bytes of a token there",
                sanitize::for_display(source.name())
            ));
        }
        let found = Found { texts: &texts, spans: all, is_file: source.text().is_some() };
        let end = found.end(source.name(), args)?;
        write(&if index > 0 && !args.json { format!("\n{end}") } else { end })?;
    }
    Ok(())
}

/// A text's tokens under one model.
#[derive(Default)]
struct Scored {
    /// Where the first token begins that has a figure, bytes of the trimmed text.
    from: usize,
    tokens: Vec<Ended>,
}

async fn scored(model: &mut Model, source: &Source, args: &CompareArgs) -> anyhow::Result<Vec<Scored>> {
    let vocabulary = model.session.vocabulary().await?;
    let read = source.read(&mut model.session, &vocabulary, args.reading).await?;
    let logprobs = logprobs(model, &read).await?;
    let texts = source.texts();
    let places = read.places(&texts);
    let mut all = Vec::new();
    for (text, place) in texts.iter().zip(places) {
        let Some(place) = place else {
            let begin = sanitize::for_display(&text.trim().chars().take(40).collect::<String>());
            super::super::note(&match (begin.is_empty(), read.has_untold()) {
                (true, _) => "a message is left out, since it holds nothing but blank space".to_owned(),
                (_, true) => {
                    format!("left out, since a model's server does not tell the bytes of its tokens: {begin}")
                }
                (_, false) => format!("left out, since a template changes it: {begin}"),
            });
            all.push(Scored::default());
            continue;
        };
        all.push(figures(&place, &logprobs));
    }
    Ok(all)
}

/// The figures of a text's tokens. One whose bytes are not told has none, so that no stretch with it has one.
fn figures(pieces: &[Piece], logprobs: &[f32]) -> Scored {
    let mut scored = Scored::default();
    for piece in pieces {
        let logprob = piece.token.checked_sub(1).and_then(|before| logprobs.get(before));
        let Some(logprob) = logprob else {
            scored.from = piece.to;
            continue;
        };
        if scored.tokens.is_empty() {
            scored.from = piece.from;
        }
        let bits = if piece.is_told { -f64::from(*logprob) / std::f64::consts::LN_2 } else { f64::NAN };
        match scored.tokens.last_mut() {
            Some((end, sum)) if *end == piece.to => *sum += bits,
            _ => scored.tokens.push((piece.to, bits)),
        }
    }
    scored
}

/// ln p of every token but the first.
async fn logprobs(model: &mut Model, read: &Tokens) -> anyhow::Result<Vec<f32>> {
    let ids: Vec<_> = read.all[..read.end].iter().map(|(id, _)| *id).collect();
    let request = Score { ids, from: 1, top_logprobs: 1, interventions: Vec::new() };
    let id = model.session.begin(Request::Job(Job::Score(Box::new(request)))).await?;
    let mut all = Vec::new();
    loop {
        match model.session.next(id).await? {
            Event::Scores { steps, .. } => all.extend(steps.iter().map(|step| step.logprob)),
            Event::Scored { .. } => return Ok(all),
            _ => {}
        }
    }
}

struct Found<'a> {
    texts: &'a [&'a str],
    /// Each with the text that it stands in.
    spans: Vec<(usize, Span)>,
    is_file: bool,
}

impl Found<'_> {
    fn end(&self, name: &str, args: &CompareArgs) -> anyhow::Result<String> {
        let bytes: usize = self.spans.iter().map(|(_, span)| span.to - span.from).sum();
        let bits = [0, 1].map(|which| self.spans.iter().map(|(_, span)| span.bits[which]).sum::<f64>());
        if bytes == 0 {
            bail!("{name} has no stretch that both models have a figure for");
        }
        let a_byte = bits.map(|bits| bits / bytes as f64);
        if args.json {
            return Ok(self.lines(name, args, bytes, a_byte));
        }
        let mut lines = vec![sanitize::for_display(name)];
        let mut row = |name: &str, value: String| lines.push(format!("  {name:<14} {value}"));
        row("reference", sanitize::for_display(&args.reference));
        row("against it", sanitize::for_display(&args.other));
        row("text", format!("{bytes} bytes in {} stretches that both cut off", self.spans.len()));
        row("bits per byte", format!("{:.4} and {:.4}, {:+.4}", a_byte[0], a_byte[1], a_byte[1] - a_byte[0]));
        lines.push("  where they part most".to_owned());
        let mut order: Vec<&(usize, Span)> = self.spans.iter().collect();
        let apart = |span: &Span| (span.bits[1] - span.bits[0]).abs();
        order.sort_by(|a, b| apart(&b.1).total_cmp(&apart(&a.1)));
        for (text, span) in order.into_iter().take(SHOWN) {
            let (place, shown) = (self.place(*text, span), self.shown(*text, span));
            let [mine, its] = span.bits;
            lines.push(format!("    {place:<9} {:>+8.2} bits  ({mine:.2} → {its:.2})  {shown}", its - mine));
        }
        lines.push(String::new());
        Ok(lines.join("\n"))
    }

    fn lines(&self, name: &str, args: &CompareArgs, bytes: usize, a_byte: [f64; 2]) -> String {
        let double = |value: f64| number(value as f32);
        let line = |(text, span): &(usize, Span)| {
            let part = self.texts[*text].trim().as_bytes().get(span.from..span.to).unwrap_or_default();
            let line = json!({
                "type": "span",
                "text": text,
                "from": span.from,
                "to": span.to,
                "token": String::from_utf8_lossy(part),
                "bits": span.bits.map(double),
            });
            format!("{line}\n")
        };
        let spans: String = self.spans.iter().map(line).collect();
        let done = json!({
            "type": "done",
            "text": name,
            "models": [args.reference, args.other],
            "bytes": bytes,
            "spans": self.spans.len(),
            "bits_per_byte": a_byte.map(double),
        });
        format!("{spans}{done}\n")
    }

    fn shown(&self, text: usize, span: &Span) -> String {
        let part = self.texts[text].trim().as_bytes().get(span.from..span.to).unwrap_or_default();
        let short: Vec<u8> = part.iter().copied().take(40).collect();
        super::super::tokenize::piece(String::from_utf8_lossy(&short).as_bytes())
    }

    fn place(&self, text: usize, span: &Span) -> String {
        if !self.is_file {
            return format!("{}. message", text + 1);
        }
        let whole = self.texts[text];
        let skipped = whole.len() - whole.trim_start().len();
        let (line, column) = place(whole.as_bytes(), span.from + skipped);
        format!("{line}:{column}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_not_told_takes_its_own_stretch_alone() {
        let piece = |token, from, to, is_told| Piece { token, from, to, is_told };
        // "Hi 🦀 you", whose crab is two tokens of one model.
        let mine =
            [piece(1, 0, 3, true), piece(2, 3, 7, false), piece(3, 3, 7, false), piece(4, 7, 11, true)];
        let its = [piece(1, 0, 3, true), piece(2, 3, 7, true), piece(3, 7, 11, true)];
        let [mine, its] = [&mine[..], &its].map(|pieces| figures(pieces, &[-std::f32::consts::LN_2; 4]));
        assert_eq!(mine.tokens.iter().map(|(end, _)| *end).collect::<Vec<_>>(), [3, 7, 11]);
        let all = spans([mine.from, its.from], [&mine.tokens, &its.tokens]);
        let known: Vec<_> = all.iter().filter(|span| span.bits[0].is_finite()).collect();
        assert_eq!(known.iter().map(|span| (span.from, span.to)).collect::<Vec<_>>(), [(0, 3), (7, 11)]);
        assert!(known.iter().all(|span| span.bits.iter().all(|bits| (bits - 1.0).abs() < 1e-6)));
    }
}
