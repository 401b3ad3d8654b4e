//! Fetching models with the real binary, from a server on this machine that sends slowly and goes on in the middle.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use termlens::{Key, Terminal};

use crate::harness::{Start, home, press, ready, see};

/// Bytes of each file.
const LENGTH: usize = 4 << 20;
/// Bytes sent at once, with a pause after them: about 2 MiB a second.
const PIECE: usize = 64 << 10;
const PAUSE: Duration = Duration::from_millis(30);
/// Bytes after which a closed gate lets no more through.
const HELD: usize = 1 << 20;

/// Opened, it lets whole files through.
type Gate = Arc<AtomicBool>;

/// What the file of a path holds: the beginning of a model and then bytes that differ from place to place.
fn body(path: &str) -> Vec<u8> {
    let salt = path.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let noise = (0..LENGTH as u32 - 8).map(|at| (at.wrapping_mul(2_654_435_761) ^ salt).to_le_bytes()[2]);
    b"GGUF\x09\0\0\0".iter().copied().chain(noise).collect()
}

/// Starts the server; gives its address.
fn serve(gate: &Gate) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let gate = Arc::clone(gate);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let gate = Arc::clone(&gate);
            std::thread::spawn(move || answer(stream, &gate));
        }
    });
    address
}

/// Answers one request; that the client goes away in the middle is what the tests are about.
fn answer(mut stream: TcpStream, gate: &Gate) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let range = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let line = line.to_ascii_lowercase();
        line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse::<usize>().ok()
    });
    let (body, from) = (body(&path), range.unwrap_or(0));
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let last = LENGTH - 1;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\netag: \"1\"\r\ncontent-length: {}\r\ncontent-range: bytes \
         {from}-{last}/{LENGTH}\r\n\r\n",
        LENGTH - from
    )
    .ok()?;
    for (number, piece) in body[from..].chunks(PIECE).enumerate() {
        while number * PIECE >= HELD && !gate.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
        stream.write_all(piece).ok()?;
        std::thread::sleep(PAUSE);
    }
    Some(())
}

/// A home whose configuration has two models of the server.
fn with_models(home: &Path) {
    with_models_behind(home, &Gate::new(true.into()));
}

fn with_models_behind(home: &Path, gate: &Gate) {
    let address = serve(gate);
    let entry = |name: &str| format!("[[models]]\nname = \"{name}\"\nurl = \"{address}/{name}.gguf\"\n");
    std::fs::create_dir_all(home.join("config")).unwrap();
    std::fs::write(home.join("config/config.toml"), entry("one") + &entry("two")).unwrap();
}

fn pull(home: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.env("GLASSBOX_HOME", home).env("NO_PROXY", "127.0.0.1").args(["models", "pull", "one", "two"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The files of a model whose names end so.
fn files(home: &Path, ending: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(home.join("data/models")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = folder.map(|file| file.path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

/// Waits until so much of both has arrived.
fn arrived(home: &Path, bytes: u64) {
    let since = Instant::now();
    let has = |file: &PathBuf| std::fs::metadata(file).is_ok_and(|about| about.len() >= bytes);
    while files(home, ".part").iter().filter(|file| has(file)).count() < 2 {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", files(home, ""));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn both_are_right(home: &Path) {
    let files = files(home, ".gguf");
    assert_eq!(files.len(), 2, "{files:?}");
    for (file, name) in files.iter().zip(["one", "two"]) {
        assert!(std::fs::read(file).unwrap() == body(&format!("/{name}.gguf")), "{name} is another file");
    }
}

#[test]
fn pulling_that_was_killed_or_interrupted_goes_on_to_the_same_bytes() {
    let home = home();
    with_models(home.path());
    let mut killed = pull(home.path());
    arrived(home.path(), 256 << 10);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let stopped = pull(home.path());
    arrived(home.path(), 1 << 20);
    Command::new("kill").args(["-INT", &stopped.id().to_string()]).status().unwrap();
    let stopped = stopped.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!(stopped.status.code(), Some(130), "{said}");
    assert!(said.contains("what has arrived is kept") && said.contains("glassbox models pull"), "{said}");
    assert!(files(home.path(), ".part").iter().all(|part| part.metadata().unwrap().len() >= 1 << 20));
    let done = pull(home.path()).wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!String::from_utf8_lossy(&done.stderr).contains("starts again"));
    both_are_right(home.path());
}

#[test]
fn two_processes_that_pull_the_same_file_do_not_meet() {
    let home = home();
    with_models(home.path());
    let first = pull(home.path());
    arrived(home.path(), 64 << 10);
    let second = pull(home.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    for name in ["one", "two"] {
        assert!(said.contains(&format!("{name} is being fetched by another glassbox already")), "{said}");
    }
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    both_are_right(home.path());
}

/// In the picker, Tab on the one model of this name.
fn tab_on(app: &mut Terminal, name: &str) {
    app.send_str(name).unwrap();
    see(app, "1 of ");
    press(app, Key::Tab);
}

#[test]
fn models_are_fetched_beside_the_chat_and_go_on_after_a_restart() {
    let home = home();
    let gate = Gate::default();
    with_models_behind(home.path(), &gate);
    let start = || Start::default().env("NO_PROXY", "127.0.0.1");
    let mut app = ready(start(), home.path());
    press(&mut app, Key::Ctrl('l'));
    see(&mut app, "not fetched");
    for name in ["one", "two"] {
        tab_on(&mut app, name);
        see(&mut app, "/s");
        for _ in 0..3 {
            press(&mut app, Key::Backspace);
        }
    }
    arrived(home.path(), 256 << 10);
    tab_on(&mut app, "one");
    see(&mut app, "paused at");
    // It is left as if the machine had lost its power.
    drop(app);
    gate.store(true, Ordering::Relaxed);
    let mut app = ready(start(), home.path());
    press(&mut app, Key::Ctrl('l'));
    see(&mut app, "paused at");
    for name in ["one", "two"] {
        tab_on(&mut app, name);
        for _ in 0..3 {
            press(&mut app, Key::Backspace);
        }
    }
    let since = Instant::now();
    while files(home.path(), ".gguf").len() < 2 {
        assert!(since.elapsed() < Duration::from_secs(30), "{}", app.screen().text());
        std::thread::sleep(Duration::from_millis(20));
    }
    both_are_right(home.path());
}
