//! What holds an engine's process: each deed that could do harm is tried in a real one, by a fault of test builds, and
//! tried again in one that is held to nothing, so that a refusal is known to come from what holds it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use glassbox::engine::Engine as _;
use glassbox::engine::protocol::{Containment, Envelope, Event, Immediate, Job, Measure, Request, RequestId};
use glassbox::engine::transport::child::ChildEngine;
use glassbox::model_entry::{LoadParams, ModelEntry, Source};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// A user's folder with a model, a hidden folder and one that lies openly, and two who listen.
struct Place {
    home: TempDir,
    tcp: TcpListener,
    udp: UdpSocket,
    _socket: UnixListener,
}

impl Place {
    /// Not in the folder for temporary files, all of which lies openly.
    fn new() -> Self {
        let home = tempfile::tempdir_in("/var/tmp").unwrap();
        for folder in [".keys", ".models", "open"] {
            fs::create_dir(home.path().join(folder)).unwrap();
        }
        for file in [".keys/key", ".models/x.gguf", "open/adapter.gguf"] {
            fs::write(home.path().join(file), "x").unwrap();
        }
        let socket = UnixListener::bind(home.path().join("open/listening")).unwrap();
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        Self { home, tcp, udp, _socket: socket }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn deed(&self, deed: &str, name: &str) -> String {
        format!("{deed} {}", self.at(name).display())
    }

    /// What must be refused. None of it does harm where it is not.
    fn harm(&self) -> Vec<String> {
        let (tcp, udp) = (self.tcp.local_addr().unwrap(), self.udp.local_addr().unwrap());
        vec![
            self.deed("write", "new"),
            self.deed("write", "open/new"),
            self.deed("write", ".models/x.gguf"),
            self.deed("mode", ".models/x.gguf"),
            self.deed("list", ".keys"),
            self.deed("read", ".keys/key"),
            self.deed("read", ".glassbox/data/glassbox.db"),
            self.deed("socket", "open/listening"),
            self.deed("remove", "open/adapter.gguf"),
            format!("connect {tcp}"),
            format!("send {udp}"),
            format!("signal {}", std::process::id()),
            "start /bin/true".to_owned(),
            "become /bin/true".to_owned(),
        ]
    }

    /// What a model needs.
    fn needed(&self) -> Vec<String> {
        let mut all = vec![
            self.deed("read", ".models/x.gguf"),
            self.deed("read", "open/adapter.gguf"),
            self.deed("write", ".glassbox/cache/engine/copy"),
            self.deed("remove", ".glassbox/cache/engine/copy"),
            self.deed("write", ".glassbox/cache/snapshots/1"),
        ];
        let system =
            ["read /proc/self/status", "read /proc/meminfo", "read /proc/loadavg", "list /sys", "thread"];
        all.extend(system.map(str::to_owned));
        all
    }
}

struct Running {
    engine: ChildEngine,
    events: Receiver<Envelope>,
    containment: Containment,
    last: u64,
}

impl Running {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let home = place.at(".glassbox");
        fs::create_dir_all(home.join("data")).unwrap();
        fs::write(home.join("data/glassbox.db"), "x").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command.args(["engine", "--engine", "scripted:token_ms=0,load_ms=0"]).args(arguments);
        command.env("HOME", place.home.path()).env("GLASSBOX_HOME", home).current_dir("/");
        let (sender, events) = mpsc::channel();
        let engine =
            ChildEngine::spawn(command, Box::new(move |event| drop(sender.send(event))), None).unwrap();
        let first = events.recv_timeout(PATIENCE).unwrap().event;
        let Event::Ready { containment, .. } = first else { panic!("{first:?}") };
        Self { engine, events, containment, last: 0 }
    }

    fn contained(place: &Place) -> Self {
        let model = place.at(".models/x.gguf");
        Self::start(place, &["--read-openly", "--read", model.to_str().unwrap()])
    }

    fn ask(&mut self, request: Request) -> Event {
        self.last += 1;
        let id = RequestId(self.last);
        self.engine.send(id, request).unwrap();
        loop {
            let envelope = self.events.recv_timeout(PATIENCE).unwrap();
            if matches!(envelope.event, Event::Exited(_)) || envelope.id == id && envelope.event.is_final() {
                return envelope.event;
            }
        }
    }

    fn try_to(&mut self, deed: &str) -> Event {
        self.ask(Request::Immediate(Immediate::Fault(deed.to_owned())))
    }

    /// Whether the system refused: what fails for another reason was no test.
    fn refuses(&mut self, deed: &str) -> bool {
        match self.try_to(deed) {
            Event::Acknowledged => false,
            Event::Failed(failure) => {
                let refused =
                    ["os error 1)", "os error 13)"].iter().any(|code| failure.message.contains(code));
                assert!(refused, "{}", failure.message);
                true
            }
            other => panic!("{deed}: {other:?}"),
        }
    }

    fn holds(&self, measure: Measure) -> bool {
        self.containment.holds(measure)
    }
}

/// Which measure a deed is held by.
fn measure(deed: &str) -> Measure {
    match deed.split(' ').next().unwrap() {
        "write" | "remove" => Measure::Writing,
        "read" | "list" => Measure::Reading,
        "connect" | "send" | "socket" => Measure::Network,
        _ => Measure::SystemCalls,
    }
}

#[test]
fn what_could_do_harm_is_refused() {
    let place = Place::new();
    let mut engine = Running::contained(&place);
    let mut all = place.harm();
    all.push("write /etc/passwd".to_owned());
    let missed: Vec<&String> =
        all.iter().filter(|deed| engine.holds(measure(deed)) && !engine.refuses(deed)).collect();
    assert!(missed.is_empty(), "{missed:?} under {}", engine.containment.in_words());
}

#[test]
fn an_engine_that_is_held_to_nothing_can_do_all_of_it() {
    let place = Place::new();
    let mut engine = Running::start(&place, &["--free"]);
    assert_eq!(engine.containment, Containment::Off);
    let all = place.harm();
    let (becomes, others) = all.split_last().unwrap();
    let refused: Vec<&String> = others.iter().filter(|deed| engine.refuses(deed)).collect();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(matches!(engine.try_to(becomes), Event::Exited(_)), "it became another program");
}

#[test]
fn what_a_model_needs_is_there() {
    let place = Place::new();
    let mut engine = Running::contained(&place);
    let refused: Vec<String> = place.needed().into_iter().filter(|deed| engine.refuses(deed)).collect();
    assert!(refused.is_empty(), "{refused:?} under {}", engine.containment.in_words());
}

#[test]
fn a_contained_engine_loads_a_model() {
    let place = Place::new();
    let mut engine = Running::contained(&place);
    let entry = Box::new(ModelEntry::new("x", Source::Path(place.at(".models/x.gguf"))));
    let load = Job::Load { entry, params: LoadParams::default() };
    assert!(matches!(engine.ask(Request::Job(load)), Event::Loaded(_)));
}

/// On this kernel or another: what cannot be had is said, with why.
#[test]
fn every_measure_is_in_force_or_said_not_to_be() {
    let place = Place::new();
    let engine = Running::contained(&place);
    let Containment::Measures(all) = &engine.containment else { panic!("{:?}", engine.containment) };
    assert_eq!(all.iter().map(|(measure, _)| *measure).collect::<Vec<_>>(), Measure::ALL);
    let kernel = landlock_version();
    let held = engine.holds(Measure::Writing) && engine.holds(Measure::Reading);
    assert_eq!(held, kernel > 0, "the kernel has Landlock {kernel}: {}", engine.containment.in_words());
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        assert!(engine.holds(Measure::NoNewPrivileges) && engine.holds(Measure::SystemCalls));
    }
}

/// What the kernel says itself, 0 where it has none.
fn landlock_version() -> i64 {
    let (create_ruleset, version) = (444, 1_u32);
    // SAFETY: with this flag the call reads nothing and gives a number.
    unsafe { libc::syscall(create_ruleset, std::ptr::null::<u8>(), 0_usize, version) }.max(0)
}

#[test]
fn an_engine_that_was_given_no_files_reads_everything_and_writes_nothing() {
    let place = Place::new();
    let mut engine = Running::start(&place, &[]);
    assert!(!engine.refuses(&place.deed("read", ".keys/key")));
    assert!(!engine.holds(Measure::Reading));
    if engine.holds(Measure::Writing) {
        assert!(engine.refuses(&place.deed("write", ".keys/key")));
    }
}

#[test]
fn an_engine_that_was_given_files_alone_reads_nothing_else() {
    let place = Place::new();
    let passing = tempfile::NamedTempFile::new().unwrap();
    let model = place.at(".models/x.gguf");
    let mut engine = Running::start(&place, &["--read", model.to_str().unwrap()]);
    if !engine.holds(Measure::Reading) {
        return;
    }
    assert!(!engine.refuses(&place.deed("read", ".models/x.gguf")));
    let others = [place.deed("read", "open/adapter.gguf"), format!("read {}", passing.path().display())];
    let read: Vec<&String> = others.iter().filter(|deed| !engine.refuses(deed)).collect();
    assert!(read.is_empty(), "{read:?} under {}", engine.containment.in_words());
    let needed = ["read /proc/meminfo", "list /usr", "list /sys", "thread"];
    assert!(needed.iter().all(|deed| !engine.refuses(deed)));
}

#[test]
fn a_model_on_other_machines_has_a_network_and_no_programs() {
    let place = Place::new();
    let mut engine = Running::start(&place, &["--network", "--read", "/nowhere"]);
    assert!(!engine.refuses(&format!("connect {}", place.tcp.local_addr().unwrap())));
    assert!(!engine.holds(Measure::Network));
    if engine.holds(Measure::SystemCalls) {
        assert!(engine.refuses("start /bin/true"));
    }
}

#[test]
fn doctor_says_what_is_in_force() {
    let place = Place::new();
    let said = |config: &str| {
        let file = place.at("config.toml");
        fs::write(&file, config).unwrap();
        doctor(&place, &file)
    };
    let held = Running::contained(&place).containment.in_words();
    assert!(said("").contains(&held), "{}\n{held}", said(""));
    assert!(said("[engine]\ncontain = false\n").contains("contain = false"));
}

fn doctor(place: &Place, config: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.args(["doctor", "--engine", "scripted", "--config"]).arg(config);
    command.env("HOME", place.home.path()).env("GLASSBOX_HOME", place.at(".glassbox"));
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}
