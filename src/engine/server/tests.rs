//! The engine against servers on this machine that answer as each test tells them: plain threads over TCP.

mod bad;
mod held;
mod kinds;
mod known;
mod matrix;
mod odd;
mod real;
mod recorded;
mod refused;
mod served;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{Connect, Limits, make};
use crate::chat::Role;
use crate::engine::Engine as _;
use crate::engine::protocol::{
    Envelope, Event, Generate, Immediate, Job, Loaded, Message, Prompt, PromptFacts, Request, RequestId,
    TemplateSetting, Written,
};
use crate::engine::transport::thread::ThreadEngine;
use crate::model_entry::{Api, Key, LoadParams, ModelEntry, Server, Source};
use crate::sampling::Sampling;
use crate::token::TokenId;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as the server got it.
#[derive(Clone, Debug)]
struct Asked {
    path: String,
    head: String,
    body: Value,
}

/// What a server does with the connection after its answer.
enum Then {
    Close,
    /// Says nothing more.
    Hold,
}

/// An answer: status line, more headers, body.
struct Reply {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    then: Then,
}

fn reply(kind: &str, body: impl Into<Vec<u8>>) -> Reply {
    let headers = format!("Content-Type: {kind}\r\n");
    Reply { status: "200 OK", headers, body: body.into(), then: Then::Close }
}

fn json(body: impl Into<Vec<u8>>) -> Reply {
    reply("application/json; charset=utf-8", body)
}

fn stream(body: impl Into<Vec<u8>>) -> Reply {
    reply("text/event-stream", body)
}

fn status(status: &'static str, body: &str) -> Reply {
    Reply { status, ..json(body) }
}

fn not_found() -> Reply {
    status("404 Not Found", r#"{"detail":"Not Found"}"#)
}

/// A server of a test.
struct Stand {
    address: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Stand {
    fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&log), Arc::new(answer));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                thread::spawn(move || serve(connection.unwrap(), &kept, answer.as_ref()));
            }
        });
        Self { address, log }
    }

    fn asked(&self, path: &str) -> Vec<Asked> {
        self.log.lock().unwrap().iter().filter(|asked| asked.path == path).cloned().collect()
    }
}

fn serve(connection: TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let mut connection = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.to_lowercase();
    let length = length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    connection.read_exact(&mut body).unwrap();
    let path = head.split_whitespace().nth(1).unwrap().to_owned();
    let asked = Asked { path, head, body: serde_json::from_slice(&body).unwrap_or_default() };
    log.lock().unwrap().push(asked.clone());
    let Reply { status, headers, body, then } = answer(&asked);
    // The engine may have gone away, which some tests are about.
    let _ = write!(connection.get_mut(), "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    let _ = connection.get_mut().write_all(&body);
    if matches!(then, Then::Hold) {
        let _ = connection.read_line(&mut String::new());
    }
}

/// An engine of a test, and what it says.
struct Bench {
    engine: ThreadEngine,
    events: Receiver<Envelope>,
    last: u64,
    /// All that was met so far.
    words: Vec<(TokenId, Vec<u8>)>,
}

fn quick() -> Limits {
    Limits {
        idle: Duration::from_millis(700),
        short: Duration::from_millis(700),
        tries: 3,
        wait: Duration::from_millis(10),
        longest_wait: Duration::from_secs(1),
        loading: Duration::from_millis(300),
    }
}

fn entry(address: &str, api: Api) -> ModelEntry {
    let server = Server { api, ..Server::at(address).unwrap() };
    ModelEntry::new("served", Source::Server(server))
}

fn with_key(entry: ModelEntry, path: &std::path::Path) -> ModelEntry {
    let Source::Server(server) = entry.source else { panic!() };
    let key = Some(Key::File(path.to_owned()));
    ModelEntry { source: Source::Server(Server { key, ..server }), ..entry }
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self::by(Box::new(crate::models::client_for), limits)
    }

    fn by(connect: Connect, limits: Limits) -> Self {
        let (out, events) = channel();
        let sink = Box::new(move |envelope| drop(out.send(envelope)));
        let engine = ThreadEngine::start(sink, make(connect, limits)).unwrap();
        Self { engine, events, last: 0, words: Vec::new() }
    }

    fn send(&mut self, request: Request) -> RequestId {
        self.last += 1;
        self.engine.send(RequestId(self.last), request).unwrap();
        RequestId(self.last)
    }

    /// The next event of a request, or of none.
    fn next(&self, id: RequestId) -> Event {
        loop {
            let envelope = self.events.recv_timeout(PATIENCE).expect("an event in time");
            if envelope.id == id {
                return envelope.event;
            }
        }
    }

    fn all(&self, id: RequestId) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            events.push(self.next(id));
            if events.last().is_some_and(Event::is_final) {
                return events;
            }
        }
    }

    fn last_of(&mut self, request: Request) -> Event {
        let id = self.send(request);
        self.all(id).pop().unwrap()
    }

    fn try_load(&mut self, entry: ModelEntry) -> Result<Loaded, String> {
        let load = Job::Load { entry: Box::new(entry), params: LoadParams::default() };
        match self.last_of(Request::Job(load)) {
            Event::Loaded(loaded) => Ok(*loaded),
            Event::Failed(failure) => Err(failure.message),
            other => panic!("{other:?}"),
        }
    }

    fn generate(&mut self, generate: Generate) -> Answer {
        let id = self.send(Request::Job(Job::Generate(Box::new(generate))));
        let answer = Answer::of(self.all(id), self.words.clone());
        self.words.clone_from(&answer.words);
        answer
    }

    fn ask(&mut self, immediate: Immediate) -> Event {
        self.last_of(Request::Immediate(immediate))
    }
}

/// What came of a reply.
#[derive(Debug)]
struct Answer {
    prompt: PromptFacts,
    written: Vec<Written>,
    words: Vec<(TokenId, Vec<u8>)>,
    end: Event,
}

impl Answer {
    fn of(events: Vec<Event>, words: Vec<(TokenId, Vec<u8>)>) -> Self {
        let mut answer =
            Self { prompt: PromptFacts::default(), written: Vec::new(), words, end: Event::Paused };
        for event in events {
            match event {
                Event::Prompt(facts) => answer.prompt = facts,
                Event::Words { entries, .. } => {
                    answer.words.extend(entries.into_iter().map(|(id, entry)| (id, entry.bytes)));
                }
                Event::Token(written) => {
                    let met = |id: TokenId| answer.words.iter().any(|(other, _)| *other == id);
                    let step = &written.step;
                    let named = step.candidates.iter().map(|candidate| candidate.id).chain(step.id);
                    assert!(named.into_iter().all(met), "words come first: {step:?}");
                    answer.written.push(*written);
                }
                event if event.is_final() => answer.end = event,
                _ => {}
            }
        }
        answer
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.written.iter().flat_map(|written| written.step.bytes.clone()).collect();
        String::from_utf8(bytes).unwrap()
    }

    fn failure(&self) -> &str {
        match &self.end {
            Event::Failed(failure) => &failure.message,
            other => panic!("{other:?}"),
        }
    }

    /// Each token's text, ln p in hundredths, rank and candidates' texts.
    fn figures(&self) -> Vec<(String, Option<i32>, u32, Vec<String>)> {
        let spelt = |id: &TokenId| {
            let bytes = self.words.iter().find(|(other, _)| other == id).map(|(_, bytes)| bytes.clone());
            String::from_utf8_lossy(&bytes.unwrap()).into_owned()
        };
        let figure = |value: f32| (!value.is_nan()).then(|| (value * 100.0).round() as i32);
        let all = self.written.iter().map(|written| {
            let step = &written.step;
            let candidates = step.candidates.iter().map(|candidate| spelt(&candidate.id)).collect();
            assert!(step.entropy.is_nan(), "no entropy is known");
            (String::from_utf8_lossy(&step.bytes).into_owned(), figure(step.logprob), step.rank, candidates)
        });
        all.collect()
    }
}

fn chat(text: &str) -> Generate {
    Generate {
        prompt: Prompt::Chat {
            messages: vec![Message::new(Role::User, text)],
            continue_last: false,
            setting: TemplateSetting::default(),
        },
        sampling: Sampling { seed: Some(7), ..Sampling::default() },
        top_logprobs: 3,
        begun: 0,
        interventions: Vec::new(),
        allow: None,
    }
}

fn go_on(ids: &[i32], taken: &[i32]) -> Generate {
    let ids_of = |ids: &[i32]| ids.iter().map(|id| TokenId(*id)).collect();
    Generate { prompt: Prompt::Ids { ids: ids_of(ids), taken: ids_of(taken), chat: true }, ..chat("") }
}
