//! Measurements of replies as the app gets them, over the engine's process: alone, beside other programs that want the
//! processors, and against a llama.cpp server.
//!
//! Invariant: in each round everything is measured once, one after the other, on texts of the same length that no cache
//! holds; each claim is the median of the rounds' ratios.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::real::{CANDIDATES, median, round, started};
use super::{Ground, Row};
use crate::cli::session::Session;
use crate::engine::protocol::{Event, Generate, Job, Prompt, Request};
use crate::sampling::{LogitBias, Sampling};

/// Sentences of a prompt that is read: some 500 tokens.
const SENTENCES: usize = 36;
/// How long a load is on before anything is measured beside it.
const SETTLE: Duration = Duration::from_millis(500);
/// A server that answers nothing for so long is not waited for.
const ANSWER: Duration = Duration::from_mins(10);

/// Tokens a second.
#[derive(Clone, Copy, Debug)]
pub struct Speed {
    read: f64,
    /// Of a reply, its first token aside.
    pub written: f64,
}

/// What a reply is measured beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// As many programs as there are processors, which do nothing but want them.
    Programs,
    /// A second engine that writes.
    Engine,
}

/// Replies alone and beside others, and what a server makes of the same where one is named.
pub async fn speeds(ground: Ground<'_>) -> anyhow::Result<Vec<Row>> {
    let Ground { setup, entry, engine, args, no_end } = ground;
    let params = setup.config.load_params_for(entry);
    let (mut session, _) = started(setup, entry, engine, &params).await?;
    let (mut other, _) = started(setup, entry, engine, &params).await?;
    let (mut alone, mut programs, mut engines, mut served) = (vec![], vec![], vec![], vec![]);
    reply(&mut session, 0, 8, no_end).await?;
    for number in 0..args.rounds as usize {
        let first = 1 + 5 * number;
        for (beside, into) in
            [(Beside::Nothing, &mut alone), (Beside::Programs, &mut programs), (Beside::Engine, &mut engines)]
        {
            let text = first + beside as usize;
            into.push(under(&mut session, &mut other, beside, text, args.tokens, no_end).await?);
        }
        if let Some(address) = &args.server {
            served.push(ask_server(address, text(first + 4), args.tokens).await?);
        }
    }
    let mut rows = vec![
        speed("a reply over the engine's process, alone", &alone, |speed| speed.written),
        speed("a prompt of some 500 tokens read, alone", &alone, |speed| speed.read),
        speed("a reply beside a busy program a processor", &programs, |speed| speed.written),
        share("the same ÷ alone", &programs, &alone, |speed| speed.written),
        share("prompt read beside them ÷ alone", &programs, &alone, |speed| speed.read),
        speed("a reply beside a second engine that writes", &engines, |speed| speed.written),
        share("beside a second engine ÷ alone", &engines, &alone, |speed| speed.written),
        share("prompt read beside it ÷ alone", &engines, &alone, |speed| speed.read),
    ];
    if args.server.is_some() {
        let row = share("a reply ÷ the server's, 20 candidates", &alone, &served, |speed| speed.written);
        rows.push(speed("the llama.cpp server: a reply", &served, |speed| speed.written));
        rows.push(Row { aim: "at least 1.05", ..row });
        rows.push(speed("the llama.cpp server: a prompt read", &served, |speed| speed.read));
    }
    Ok(rows)
}

fn speed(name: &'static str, speeds: &[Speed], of: fn(&Speed) -> f64) -> Row {
    let value = median(&speeds.iter().map(of).collect::<Vec<_>>());
    Row { name, shown: format!("{value:.1} tok/s"), aim: "", value: json!(round(value)) }
}

fn share(name: &'static str, above: &[Speed], below: &[Speed], of: fn(&Speed) -> f64) -> Row {
    let ratios: Vec<f64> = above.iter().zip(below).map(|(above, below)| of(above) / of(below)).collect();
    let value = median(&ratios);
    Row { name, shown: format!("{value:.3}"), aim: "at least 0.4", value: json!(round(value)) }
}

/// One reply beside that.
async fn under(
    session: &mut Session,
    other: &mut Session,
    beside: Beside,
    text: usize,
    tokens: u32,
    no_end: &[LogitBias],
) -> anyhow::Result<Speed> {
    let programs = (beside == Beside::Programs).then(Programs::start);
    let second = match beside {
        Beside::Engine => Some(other.begin(request(text + 1, 1_000_000, no_end)).await?),
        Beside::Nothing | Beside::Programs => None,
    };
    tokio::time::sleep(SETTLE).await;
    let speed = reply(session, text, tokens, no_end).await;
    drop(programs);
    if let Some(id) = second {
        other.cancel(id);
        while !other.next(id).await?.is_final() {}
    }
    speed
}

/// Threads of this process that count for nothing, until dropped.
struct Programs(Arc<AtomicBool>);

impl Programs {
    fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::black_box(0);
                }
            });
        }
        Self(over)
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A text that begins unlike any other number's, so that no cache has its beginning.
fn text(number: usize) -> String {
    let sentence = |at: usize| format!("In the year {number}{at:03} the sea was {} miles wide. ", 7 * at);
    (0..SENTENCES).map(sentence).collect()
}

fn request(number: usize, tokens: u32, no_end: &[LogitBias]) -> Request {
    Request::Job(Job::Generate(Box::new(Generate {
        prompt: Prompt::Raw { text: text(number) },
        sampling: Sampling { max_tokens: tokens, logit_bias: no_end.to_vec(), ..Sampling::default() },
        top_logprobs: CANDIDATES,
        begun: 0,
        interventions: Vec::new(),
        allow: None,
    })))
}

async fn reply(
    session: &mut Session,
    number: usize,
    tokens: u32,
    no_end: &[LogitBias],
) -> anyhow::Result<Speed> {
    match session.call(request(number, tokens, no_end), |_| {}).await? {
        Event::Done { usage, timings, .. } => {
            let read = f64::from(usage.prompt_tokens - usage.reused_tokens);
            Ok(Speed {
                read: 1000.0 * read / f64::from(timings.prompt_ms),
                written: f64::from(timings.tokens_per_second),
            })
        }
        other => bail!("a reply ended with {other:?}"),
    }
}

/// What a llama.cpp server makes of a text, by its own figures.
pub async fn ask_server(address: &str, text: String, tokens: u32) -> anyhow::Result<Speed> {
    let host = address.trim_start_matches("http://").trim_end_matches('/');
    let body = json!({
        "prompt": text, "n_predict": tokens, "n_probs": CANDIDATES, "ignore_eos": true,
        "cache_prompt": false,
    });
    let (to, body) = (host.to_owned(), body.to_string());
    let said = tokio::task::spawn_blocking(move || post(&to, &body)).await?;
    let said = said.with_context(|| format!("the server at {host} could not be asked"))?;
    let figure = |name: &str| {
        let found = said["timings"][name].as_f64();
        found.with_context(|| format!("the server at {host} gave no timings; is it llama.cpp's?"))
    };
    Ok(Speed { read: figure("prompt_per_second")?, written: figure("predicted_per_second")? })
}

/// What `/completion` answers.
fn post(host: &str, body: &str) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER))?;
    let head = format!(
        "POST /completion HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, rest) = answer.split_once("\r\n\r\n").context("the answer is cut")?;
    let status = head.lines().next().unwrap_or_default();
    anyhow::ensure!(status.contains(" 200 "), "it answered {status}");
    // In one piece or in chunks: the object is what stands between the braces.
    let object = rest.find('{').zip(rest.rfind('}')).and_then(|(first, last)| rest.get(first..=last));
    Ok(serde_json::from_str(object.unwrap_or_default())?)
}
