//! Lines that are late, slow and cut: this test program once more, between the handle and a scripted engine.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use glassbox::elsewhere::Elsewhere;
use glassbox::engine::Engine as _;
use glassbox::engine::protocol::{
    CapturePlan, Envelope, Event, Exit, Generate, Immediate, Job, Message, Prompt, Request, RequestId,
    TemplateSetting,
};
use glassbox::engine::transport::child::ChildEngine;
use glassbox::model_entry::{LoadParams, ModelEntry, Source};
use glassbox::sampling::Sampling;

const PATIENCE: Duration = Duration::from_mins(1);

/// What lies between.
#[derive(Clone, Copy, Default)]
struct Line {
    /// Each way.
    delay_ms: u64,
    /// Bytes a second towards the app; 0 is as fast as it goes.
    rate: u64,
    /// It breaks after so many bytes towards the app; 0 is never.
    cut: u64,
}

/// Not a test of its own: the program between, started by the others.
#[test]
#[ignore = "started by the other tests"]
fn the_line_itself() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0_u64);
    let line = Line { delay_ms: number("LINE_DELAY"), rate: number("LINE_RATE"), cut: number("LINE_CUT") };
    let mut engine = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .args(["engine", "--engine", &std::env::var("LINE_ENGINE").unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (input, output) = (engine.stdin.take().unwrap(), engine.stdout.take().unwrap());
    thread::spawn(move || carry(std::io::stdin(), input, Line { rate: 0, cut: 0, ..line }));
    carry(output, std::io::stdout(), line);
    if line.cut > 0 {
        eprintln!("Connection to box closed by remote host.");
        engine.kill().unwrap();
        engine.wait().unwrap();
        std::process::exit(255);
    }
    let _ = engine.wait();
    std::process::exit(0);
}

/// Shovels bytes; few of them are on the way at once, as on a real line.
fn carry(mut from: impl Read + Send + 'static, mut to: impl Write, line: Line) {
    let (sent, arriving) = mpsc::sync_channel::<(Instant, Vec<u8>)>(64);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let due = Instant::now() + Duration::from_millis(line.delay_ms);
            if sent.send((due, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    let mut carried = 0;
    for (due, bytes) in arriving {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if line.rate > 0 {
            thread::sleep(Duration::from_secs_f64(bytes.len() as f64 / line.rate as f64));
        }
        if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
        carried += bytes.len() as u64;
        if line.cut > 0 && carried > line.cut {
            return;
        }
    }
}

struct Far {
    engine: ChildEngine,
    events: Receiver<Envelope>,
    last: u64,
}

impl Far {
    fn through(line: Line, token_ms: u32) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "line::the_line_itself", "--nocapture"]);
        command.env("LINE_DELAY", line.delay_ms.to_string()).env("LINE_RATE", line.rate.to_string());
        command.env("LINE_CUT", line.cut.to_string());
        command.env("LINE_ENGINE", format!("scripted:token_ms={token_ms},load_ms=0,slice_ms=0,seed=1"));
        let (sender, events) = mpsc::channel();
        let place = Elsewhere { host: "box".into(), model: "far".into(), connect: Some("ssh box".into()) };
        let sink = Box::new(move |event| drop(sender.send(event)));
        let engine = ChildEngine::spawn_at(command, Some(place), sink, None).unwrap();
        let mut far = Self { engine, events, last: 0 };
        assert!(matches!(far.next().event, Event::Ready { .. }));
        let entry = Box::new(ModelEntry::new("far", Source::Path("/there/far.gguf".into())));
        let id = far.ask(Request::Job(Job::Load { entry, params: LoadParams::default() }));
        while !matches!(far.next(), Envelope { id: of, event: Event::Loaded(_) } if of == id) {}
        far
    }

    fn next(&self) -> Envelope {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    fn ask(&mut self, request: Request) -> RequestId {
        self.last += 1;
        self.engine.send(RequestId(self.last), request).unwrap();
        RequestId(self.last)
    }

    /// Begins a reply of so many tokens as with the softmax open.
    fn reply(&mut self, tokens: u32) -> RequestId {
        self.reply_to("count", tokens)
    }

    fn reply_to(&mut self, message: &str, tokens: u32) -> RequestId {
        self.ask(Request::Immediate(Immediate::SetCapture(CapturePlan::default())));
        let sampling = Sampling { max_tokens: tokens, ..Sampling::default() };
        let messages = vec![Message::new(glassbox::chat::Role::User, message)];
        let setting = TemplateSetting::default();
        let prompt = Prompt::Chat { messages, continue_last: false, setting };
        let interventions = Vec::new();
        self.ask(Request::Job(Job::Generate(Box::new(Generate {
            prompt,
            sampling,
            top_logprobs: 20,
            begun: 0,
            interventions,
            allow: None,
        }))))
    }

    /// The text of a reply, what its event was in the end, and how many tokens it had.
    fn read(&self, id: RequestId) -> (Vec<u8>, Event, u32) {
        let (mut text, mut tokens) = (Vec::new(), 0);
        loop {
            let envelope = self.next();
            match envelope.event {
                Event::Token(written) => {
                    text.extend(&written.step.bytes);
                    tokens += 1;
                }
                event @ Event::Exited(_) => return (text, event, tokens),
                event if envelope.id == id && event.is_final() => return (text, event, tokens),
                _ => {}
            }
        }
    }
}

#[test]
fn a_line_that_takes_a_fifth_of_a_second_changes_nothing_but_the_wait() {
    let mut near = Far::through(Line::default(), 2);
    let id = near.reply(60);
    let (text, ..) = near.read(id);
    let mut late = Far::through(Line { delay_ms: 200, ..Line::default() }, 2);
    let begun = Instant::now();
    let id = late.reply(60);
    let (late_text, event, _) = late.read(id);
    assert!(matches!(event, Event::Done { .. }), "{event:?}");
    assert_eq!(String::from_utf8_lossy(&late_text), String::from_utf8_lossy(&text));
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "tokens do not wait for each other: {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_cancel_goes_through_a_late_line_in_the_middle_of_a_reply() {
    let mut far = Far::through(Line { delay_ms: 200, ..Line::default() }, 20);
    let id = far.reply(400);
    while !matches!(far.next().event, Event::Token(_)) {}
    let begun = Instant::now();
    far.ask(Request::Immediate(Immediate::Cancel { target: id }));
    far.read(id);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

#[test]
fn a_megabyte_a_second_holds_no_reply_up() {
    let mut far = Far::through(Line { rate: 1_000_000, ..Line::default() }, 10);
    let id = far.reply(100);
    let (_, event, tokens) = far.read(id);
    let Event::Done { timings, .. } = event else { panic!("{event:?}") };
    assert!(tokens > 50, "{tokens} tokens");
    // The engine's own clock: it would wait for a line that takes less than it writes.
    let plain = {
        let mut near = Far::through(Line::default(), 10);
        let id = near.reply(100);
        near.read(id)
    };
    let Event::Done { timings: direct, .. } = plain.1 else { panic!("{:?}", plain.1) };
    assert!(timings.decode_ms < 1.5 * direct.decode_ms + 500.0, "{timings:?} {direct:?}");
}

#[test]
fn a_line_that_takes_less_than_is_written_is_told_of_once_with_what_it_takes() {
    const RATE: u64 = 40_000;
    let mut far = Far::through(Line { rate: RATE, ..Line::default() }, 1);
    let id = far.reply_to("long", 100_000);
    let (waited, taken) = loop {
        if let Event::SlowLine { waited, taken } = far.next().event {
            break (waited, taken);
        }
    };
    assert!(waited > 0.3 && taken > 0.0, "{waited} {taken}");
    // What lies in the buffers between was taken too.
    assert!(taken < 5.0 * RATE as f32, "{taken} bytes a second");
    far.ask(Request::Immediate(Immediate::Cancel { target: id }));
    loop {
        match far.next() {
            Envelope { event: Event::SlowLine { .. }, .. } => panic!("it was told twice"),
            Envelope { id: of, event } if of == id && event.is_final() => break,
            _ => {}
        }
    }
}

#[test]
fn a_line_that_breaks_in_the_middle_of_a_reply_is_told_of_by_its_host() {
    let mut far = Far::through(Line { cut: 30_000, ..Line::default() }, 2);
    let id = far.reply(4000);
    let (text, event, tokens) = far.read(id);
    let Event::Exited(Exit { expected: false, told: Some(told), .. }) = event else { panic!("{event:?}") };
    assert!(told.starts_with("the line to box was lost (Connection to box closed by remote host)"), "{told}");
    assert!(tokens > 3 && !text.is_empty(), "what came before is there");
    assert!(far.engine.send(RequestId(99), Request::Immediate(Immediate::Vocabulary)).is_err());
}
