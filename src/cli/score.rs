//! `glassbox score`: how likely texts are, token by token and as a whole.
//!
//! Invariant: every number is over the whole vocabulary, in natural logarithms, and of the text exactly as it
//! is in the file; the first token has no probability and counts in no mean.

use std::io::Read as _;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::adapter_args::of_entry;
use super::args::ScoreArgs;
use super::ask::{rounded, token_line, write};
use super::reading::{Read, read};
use super::session::Session;
use super::setup::Setup;
use super::tokenize::{entry, piece};
use super::windows::windows;
use crate::attachment;
use crate::chat::Intervention;
use crate::engine::protocol::{Event, Job, Request, Score};
use crate::export::json::number;
use crate::sanitize;
use crate::token::{Candidate, Step, TokenId, Vocabulary};

/// How many of the most surprising tokens are shown.
const SHOWN: usize = 10;

/// Runs the command; gives the exit code.
///
/// # Errors
/// With a sentence for the user.
pub async fn run(args: ScoreArgs, engine: &str) -> anyhow::Result<u8> {
    let texts =
        args.files.iter().map(|file| Text::read(file, "score")).collect::<anyhow::Result<Vec<_>>>()?;
    let setup = Setup::read(args.common.config.as_deref(), args.common.model.as_deref(), None)?;
    setup.print_warnings();
    let mut entry = setup.entry()?;
    args.adapters.apply(&mut entry);
    setup.fetch_if_missing(&entry, engine).await?;
    let mut session = Session::start(&entry, engine, &setup.config)?;
    let loaded = session.load(&entry, &setup.config.load_params_for(&entry)).await?;
    args.adapters.check(&loaded)?;
    loaded.notes_for(args.reading.as_message).for_each(super::note);
    let interventions = of_entry(&entry, &loaded);
    let vocabulary = session.vocabulary().await?;
    let context = loaded.context as usize;
    let stride = args.stride.map_or(context / 2, |stride| stride as usize);
    if stride + 1 >= context {
        bail!("--stride {stride} leaves no overlap: the context of this model is {context} tokens");
    }
    let mut scorer =
        Scorer { session, vocabulary, args, context, stride, load_ms: loaded.load_ms, interventions };
    for (index, text) in texts.iter().enumerate() {
        if index > 0 && !scorer.args.json {
            write("\n")?;
        }
        scorer.text(text).await?;
    }
    Ok(0)
}

/// A text and where it is from.
pub(super) struct Text {
    file: String,
    /// What stands in it.
    pub(super) text: String,
}

impl Text {
    /// Reads a file, or standard input for `-`; `command` is who asks for it.
    pub(super) fn read(file: &str, command: &str) -> anyhow::Result<Self> {
        let (name, bytes) = if file == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
            ("standard input", bytes)
        } else {
            if !std::path::Path::new(file).exists() {
                bail!("{file} is not there; {command} reads a file, or - for standard input");
            }
            (file, std::fs::read(file).with_context(|| format!("{file} cannot be read"))?)
        };
        let text = attachment::as_it_is(name, bytes)?;
        if text.is_empty() {
            bail!("{name} is empty: there is nothing to {command}");
        }
        Ok(Self { file: file.to_owned(), text })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        if self.file == "-" { "standard input" } else { &self.file }
    }
}

/// The engine and how it is asked.
struct Scorer {
    session: Session,
    vocabulary: Vocabulary,
    args: ScoreArgs,
    context: usize,
    stride: usize,
    load_ms: f32,
    interventions: Vec<Intervention>,
}

impl Scorer {
    async fn text(&mut self, text: &Text) -> anyhow::Result<()> {
        let read = read(&mut self.session, &self.vocabulary, &text.text, self.args.reading).await?;
        // What comes after a message is the model's to write.
        let (tokens, begin) = (&read.tokens[..read.own.end], read.begins);
        let ids: Vec<TokenId> = tokens.iter().map(|(id, _)| *id).collect();
        let Some(&first) = ids.first() else { bail!("{} has no tokens to score", text.file) };
        let begin_bytes = if begin || read.own.start > 0 { &[][..] } else { tokens[0].1.as_slice() };
        let mut tally = Tally::new(&text.text, &read);
        if self.args.json {
            write(&format!("{}\n", first_line(first, &tokens[0].1, begin_bytes)))?;
        }

        let started = Instant::now();
        let plan = windows(ids.len(), begin, self.context, self.stride);
        for window in &plan {
            let again = (begin && window.start > 0).then_some(first);
            let part = again.into_iter().chain(ids[window.start..window.end].iter().copied());
            let from = window.from - window.start + usize::from(again.is_some());
            let request = Score {
                ids: part.collect(),
                from: from as u32,
                top_logprobs: if self.args.json { self.args.top_logprobs } else { 1 },
                interventions: self.interventions.clone(),
            };
            let id = self.session.begin(Request::Job(Job::Score(Box::new(request)))).await?;
            loop {
                let event = self.session.next(id).await?;
                self.session.teach(&mut self.vocabulary);
                match event {
                    Event::Scores { steps, .. } => self.steps(&mut tally, &steps)?,
                    Event::Scored { .. } => break,
                    _ => {}
                }
            }
        }
        let ms = started.elapsed().as_secs_f32() * 1000.0;
        let end = if self.args.json {
            format!("{}\n", self.done(text, &tally, plan.len(), ms))
        } else {
            self.report(text, &tally, plan.len(), ms, begin)
        };
        write(&end)
    }

    fn steps(&self, tally: &mut Tally<'_>, steps: &[Step]) -> anyhow::Result<()> {
        let mut lines = String::new();
        for step in steps {
            if self.args.json {
                lines.push_str(&token_line(tally.index, step, &self.vocabulary));
            }
            tally.add(step);
        }
        tally.settle();
        if lines.is_empty() { Ok(()) } else { write(&lines) }
    }

    fn done(&self, text: &Text, tally: &Tally<'_>, windows: usize, ms: f32) -> Value {
        json!({
            "type": "done",
            "file": text.file,
            "tokens": tally.tokens,
            "scored": tally.scored,
            "bytes": tally.bytes,
            "windows": windows,
            "mean_logprob": number(tally.mean()),
            "perplexity": number((-tally.mean()).exp()),
            "bits_per_byte": number(tally.bits_per_byte()),
            "timings": {
                "load_ms": rounded(self.load_ms),
                "score_ms": rounded(ms),
                "tokens_per_second": rounded(speed(tally, ms)),
            },
        })
    }

    fn report(&self, text: &Text, tally: &Tally<'_>, windows: usize, ms: f32, begin: bool) -> String {
        let name = text.name();
        let mut lines = vec![sanitize::for_display(name)];
        let mut row = |name: &str, value: String| lines.push(format!("  {name:<14} {value}"));
        row("tokens", format!("{} ({} scored, {} bytes)", tally.tokens, tally.scored, tally.bytes));
        if tally.scored == 0 {
            row("perplexity", "none: a text's first token has no probability".to_owned());
        } else {
            let mean = tally.mean();
            row("perplexity", format!("{:.3}", (-mean).exp()));
            let bits = -mean / std::f32::consts::LN_2;
            row("mean", format!("ln p {mean:.4} a token, {bits:.3} bits"));
            row("bits per byte", format!("{:.4}", tally.bits_per_byte()));
            row("time", format!("{:.1} s, {:.0} tokens/s", ms / 1000.0, speed(tally, ms)));
        }
        if windows > 1 {
            let least = self.context - usize::from(begin) - self.stride;
            let (context, all) = (self.context, tally.tokens);
            row(
                "windows",
                format!(
                    "{windows} of {context} tokens, since {all} do not fit; each token has {least} or more before it, as far as there are"
                ),
            );
        }
        if !tally.worst.is_empty() {
            lines.push("  most surprising (line:column)".to_owned());
        }
        lines.extend(tally.worst.iter().map(|found| self.surprise(found, tally.text)));
        lines.push(String::new());
        lines.join("\n")
    }

    fn surprise(&self, found: &Found, text: &str) -> String {
        let (line, column) = place(text.as_bytes(), found.offset);
        let bits = -found.logprob / std::f32::consts::LN_2;
        let expected = found.expected.map_or(String::new(), |candidate| {
            let shown = entry(candidate.id, &self.vocabulary);
            format!("instead of {shown} {:.0} %", candidate.logprob.exp() * 100.0)
        });
        let (at, shown) = (format!("{line}:{column}"), piece(&found.bytes));
        let rank = if found.rank == 0 { "–".to_owned() } else { found.rank.to_string() };
        format!("    {at:<9} {bits:>5.1} bits  rank {rank:<6} {shown:<16} {expected}")
    }
}

/// What a text adds up to.
struct Tally<'a> {
    text: &'a str,
    tokens: usize,
    /// Of the next token.
    index: u32,
    /// Where in the text each token ends, bytes.
    ends: Vec<usize>,
    /// The first token that counts; those before it are a template's.
    from: usize,
    scored: usize,
    /// Of the scored tokens.
    bytes: usize,
    logprob: f64,
    /// The most surprising tokens, the worst first.
    worst: Vec<Found>,
}

/// A surprising token.
struct Found {
    offset: usize,
    bytes: Vec<u8>,
    logprob: f32,
    rank: u32,
    expected: Option<Candidate>,
}

impl<'a> Tally<'a> {
    /// Of a text and how it is read, from behind its first token on.
    fn new(text: &'a str, read: &Read) -> Self {
        let (ends, from, worst) = (read.ends(text), read.own.start, Vec::new());
        Self { text, tokens: read.own.end, index: 1, ends, from, scored: 0, bytes: 0, logprob: 0.0, worst }
    }

    fn add(&mut self, step: &Step) {
        let index = self.index as usize;
        self.index += 1;
        if index < self.from || step.logprob.is_nan() {
            return;
        }
        let [offset, end] =
            [index - 1, index].map(|at| self.ends.get(at).map_or(self.text.len(), |end| *end));
        self.worst.push(Found {
            offset,
            bytes: step.bytes.clone(),
            logprob: step.logprob,
            rank: step.rank,
            expected: step.candidates.first().copied(),
        });
        self.scored += 1;
        self.bytes += end - offset;
        self.logprob += f64::from(step.logprob);
    }

    /// Forgets all but the most surprising.
    fn settle(&mut self) {
        self.worst.sort_by(|a, b| a.logprob.total_cmp(&b.logprob));
        self.worst.truncate(SHOWN);
    }

    /// Not a number where nothing was scored.
    fn mean(&self) -> f32 {
        (self.logprob / self.scored as f64) as f32
    }

    fn bits_per_byte(&self) -> f32 {
        (-self.logprob / std::f64::consts::LN_2 / self.bytes as f64) as f32
    }
}

fn speed(tally: &Tally<'_>, ms: f32) -> f32 {
    if ms > 0.0 { tally.scored as f32 * 1000.0 / ms } else { 0.0 }
}

/// The line of a text's first token, which has no probability. A token that is not of the text has no bytes.
fn first_line(id: TokenId, name: &[u8], bytes: &[u8]) -> Value {
    json!({
        "type": "token",
        "index": 0,
        "id": id,
        "token": String::from_utf8_lossy(name),
        "bytes": bytes,
        "logprob": null,
        "rank": null,
        "entropy": null,
        "top_logprobs": [],
    })
}

/// Line and column of the character that the byte belongs to, from 1.
pub(super) fn place(text: &[u8], offset: usize) -> (usize, usize) {
    let begun = &text[..text.len().min(offset + 1)];
    let before = &text[..text.len().min(offset)];
    let line = before.split(|byte| *byte == b'\n').count();
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let characters = begun[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
    (line, characters.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the same figure for every token that has one.
    fn tallied<'a>(text: &'a str, read: &Read) -> Tally<'a> {
        let mut tally = Tally::new(text, read);
        for (_, bytes) in &read.tokens[1..read.own.end] {
            tally.add(&Step { bytes: bytes.to_vec(), logprob: -1.0, rank: 1, ..Step::default() });
        }
        tally
    }

    #[test]
    fn places_count_lines_and_characters() {
        let text = "ab\näöü x\n\n".as_bytes();
        for (offset, expected) in
            [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (2, 1)), (5, (2, 2)), (10, (2, 5)), (12, (3, 1))]
        {
            assert_eq!(place(text, offset), expected, "{offset}");
        }
    }

    #[test]
    fn the_blank_that_a_vocabulary_puts_in_front_moves_no_place() {
        for (tokens, begins) in
            [(&["<s>", " Oh", " no"][..], true), (&[" Oh", " no"], false), (&["Oh", " no"], false)]
        {
            let read = Read::whole("Oh no", tokens, begins);
            assert_eq!(read.ends("Oh no")[tokens.len() - 2..], [2, 5], "{tokens:?}");
        }
    }

    #[test]
    fn a_message_keeps_its_place_where_a_blank_before_it_and_a_line_end_behind_it_cancel() {
        let check = |text: &str, tokens: &[&str], expected: &[usize]| {
            let read = Read::of_message(text, tokens);
            let tally = tallied(text, &read);
            let offsets: Vec<usize> = tally.worst.iter().map(|found| found.offset).collect();
            assert_eq!((&offsets[..], tally.bytes), (expected, text.trim().len()), "{text:?}");
        };
        check("some text here\n", &["<s>", "<user>", " some", " text", " here", "<end>"], &[0, 4, 9]);
        check("\n some text\n\n", &["<s>", "<user>", "\n", "some", " text", "<end>"], &[2, 6]);
        // A plain transcript goes on in the message's last token.
        check("Oh no", &["User", ":", " Oh", " no\n\n", "Assistant", ":"], &[0, 2]);
        // The last place is the message's.
        check("user", &["<user>", "user", "\n", "user"], &[0]);
    }

    #[test]
    fn a_sign_for_a_blank_that_became_one_keeps_its_bytes_and_place() {
        let read = Read::whole("a▁▂ b", &["<s>", " a", " ", "▂", " b"], true);
        let tally = tallied("a▁▂ b", &read);
        let offsets: Vec<usize> = tally.worst.iter().map(|found| found.offset).collect();
        assert_eq!((offsets, tally.bytes), (vec![0, 1, 4, 7], "a▁▂ b".len()));
        // One that the vocabulary keeps is no blank.
        assert_eq!(Read::whole("a▁b", &["<s>", "a▁", "b"], true).ends("a▁b"), [0, 4, 5]);
    }

    #[test]
    fn a_template_around_a_message_counts_in_no_mean() {
        let read = Read::of_message("Oh no", &["<|im_start|>", "user\n", "Oh", " no"]);
        let tally = tallied("Oh no", &read);
        assert_eq!((tally.tokens, tally.scored, tally.bytes, tally.index), (4, 2, 5, 4));
        assert_eq!(tally.worst[0].offset, 0);
    }

    #[test]
    fn means_are_over_scored_tokens_and_their_bytes() {
        let read = Read::whole("a b c", &["a", " b", " c"], false);
        let mut tally = Tally::new("a b c", &read);
        for logprob in [-1.0_f32, -2.0] {
            tally.add(&Step { bytes: b" b".to_vec(), logprob, rank: 3, ..Step::default() });
        }
        tally.settle();
        assert_eq!((tally.tokens, tally.scored, tally.bytes), (3, 2, 4));
        assert!((tally.mean() + 1.5).abs() < 1e-6);
        assert!((tally.bits_per_byte() - 3.0 / std::f32::consts::LN_2 / 4.0).abs() < 1e-6);
        assert!(tally.worst[0].logprob < tally.worst[1].logprob);
    }

    #[test]
    fn the_first_token_has_no_numbers() {
        assert_eq!(
            first_line(TokenId(2), b"<bos>", b"").to_string(),
            concat!(
                r#"{"type":"token","index":0,"id":2,"token":"<bos>","bytes":[],"logprob":null,"#,
                r#""rank":null,"entropy":null,"top_logprobs":[]}"#
            )
        );
    }
}
