//! Workers that hold layers of a model on other machines, by llama.cpp's RPC: whether one answers, before anything is
//! loaded, and which one failed. llama.cpp itself ends the process where one fails. For one whose machine is off it would
//! wait without an end, so the system is told to notice that.
//!
//! Invariant: nothing here waits longer than `PATIENCE` for one address, and what is read is of a known length.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a worker may take to take a connection, and to greet.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often, and after which pause, it is looked again for who is gone where nobody seems to be.
const DYING: u32 = 5;
const DYING_PAUSE: Duration = Duration::from_millis(200);

/// What this build speaks, as ggml-rpc.h has it: the first number must be a worker's own, the second may be smaller there.
const SPOKEN: (u8, u8) = (7, 0);

/// The greeting of ggml's RPC, the only part of it that never changes, and what both sides add to it.
const HELLO: u8 = 14;
const ADDED: usize = 24;

/// Those that this process uses.
static IN_USE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// What a worker may say of its version: of an older or newer one more or less stands behind the three numbers.
const VERSION: usize = 3;
const LONGEST: usize = 256;

/// Greets a worker; its version, or why it is none, as a sentence for the user.
///
/// # Errors
/// Where it does not answer as one, or speaks another version.
pub fn greet(worker: &str) -> Result<String, String> {
    let start = "is `glassbox rpc-worker` running there?";
    let mut stream = connect(worker, PATIENCE)
        .map_err(|error| format!("The worker {worker} does not answer ({}): {start}", plain(&error)))?;
    let mut hello = vec![HELLO];
    hello.extend((ADDED as u64).to_le_bytes());
    hello.extend([0; ADDED]);
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(&hello))
        .and_then(|()| answer(&mut stream));
    match asked {
        Ok(answer) if speaks_this(&answer) => Ok(format!("{}.{}.{}", answer[0], answer[1], answer[2])),
        Ok(answer) => Err(format!(
            "The worker {worker} speaks version {}.{}.{} of llama.cpp's RPC, this glassbox {}.{}: install the same glassbox \
             on both machines, and start `glassbox rpc-worker` there.",
            answer[0], answer[1], answer[2], SPOKEN.0, SPOKEN.1
        )),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Err(format!(
                "The worker {worker} takes connections and does not greet: it serves one engine at a time, so another may \
                 have it; or something else listens there."
            ))
        }
        _ => Err(format!("What answers at {worker} is no worker of this version: {start}")),
    }
}

/// What it greets with, its version first.
fn answer(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
    if !(VERSION..=LONGEST).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn speaks_this(answer: &[u8]) -> bool {
    answer.len() == 4 + ADDED && answer[0] == SPOKEN.0 && answer[1] <= SPOKEN.1
}

fn connect(worker: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in worker.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The system's words without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Remembers which ones are used.
pub fn use_these(workers: &[String]) {
    workers.clone_into(&mut IN_USE.lock().unwrap_or_else(PoisonError::into_inner));
}

/// Where those that are used are.
pub fn addresses() -> Vec<SocketAddr> {
    let used = IN_USE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    used.iter().flat_map(|worker| worker.to_socket_addrs().into_iter().flatten()).collect()
}

/// What is said as native code gives the process up over a worker; nothing where none is used.
#[must_use]
pub fn last_words() -> Option<String> {
    // Whoever holds the list is not waited for.
    let used = IN_USE.try_lock().ok()?.clone();
    let gone_now = |silence_counts: bool| -> Vec<&str> {
        let is_gone = |worker: &&str| match connect(worker, Duration::from_secs(1)) {
            Ok(_) => false,
            Err(error) => silence_counts || error.kind() != io::ErrorKind::TimedOut,
        };
        used.iter().map(String::as_str).filter(is_gone).collect()
    };
    let mut gone = gone_now(true);
    // A process that is being ended may close its connections before it stops to listen. One that works holds two calls
    // at its door and lets further ones wait, so that silence means nothing any more.
    for _ in 0..DYING {
        if used.is_empty() || !gone.is_empty() {
            break;
        }
        std::thread::sleep(DYING_PAUSE);
        gone = gone_now(false);
    }
    match (used.as_slice(), gone.as_slice()) {
        ([], _) => None,
        (_, []) => Some(format!("a worker failed, one of {}", used.join(", "))),
        (_, [one]) => Some(format!("the worker {one} is gone: start `glassbox rpc-worker` there again")),
        (_, several) => Some(format!("the workers {} are gone", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Someone who listens and answers one connection with these bytes.
    fn answering(bytes: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 9 + ADDED];
            stream.read_exact(&mut hello).unwrap();
            assert_eq!((hello[0], hello[1]), (HELLO, ADDED as u8));
            stream.write_all(&bytes).unwrap();
        });
        address
    }

    #[test]
    fn a_worker_greets_with_its_version_and_others_are_named() {
        let mut greeting = (28_u64).to_le_bytes().to_vec();
        greeting.extend([7, 0, 1, 0]);
        greeting.extend([0; ADDED]);
        assert_eq!(greet(&answering(greeting)).unwrap(), "7.0.1");
        let other = answering(b"HTTP/1.1 400 Bad Request\r\nServer: other\r\n\r\n".to_vec());
        assert!(greet(&other).unwrap_err().starts_with(&format!("What answers at {other} is no worker")));
        let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let gone = greet(&unused).unwrap_err();
        assert_eq!(
            gone,
            format!(
                "The worker {unused} does not answer (connection refused): is `glassbox rpc-worker` running there?"
            )
        );
        assert!(greet("no-such-host.invalid:1").unwrap_err().contains("does not answer"));
    }

    #[test]
    fn a_worker_of_another_version_is_refused_by_both() {
        let check = |version: [u8; 3], length: usize| {
            let mut greeting = (length as u64).to_le_bytes().to_vec();
            greeting.extend(version);
            greeting.resize(8 + length, 0);
            let worker = answering(greeting);
            let [major, minor, patch] = version;
            let said = greet(&worker).unwrap_err();
            let expected = format!(
                "The worker {worker} speaks version {major}.{minor}.{patch} of llama.cpp's RPC, this glassbox 7.0: install"
            );
            assert!(said.starts_with(&expected), "{said}");
        };
        check([8, 0, 0], 28);
        check([6, 0, 0], 28);
        check([7, 1, 0], 28);
        check([3, 6, 0], 3);
    }

    #[test]
    fn a_machine_that_goes_without_a_word_is_noticed() {
        use rustix::net::sockopt;

        use crate::engine::model::ffi;
        let worker = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = worker.local_addr().unwrap();
        let [to_worker, to_other] =
            [&worker, &other].map(|to| TcpStream::connect(to.local_addr().unwrap()).unwrap());
        ffi::notice_lost_machines(&[address]);
        assert!(
            sockopt::socket_keepalive(&to_worker).unwrap() && !sockopt::socket_keepalive(&to_other).unwrap()
        );
        let asked = sockopt::tcp_keepintvl(&to_worker).unwrap() * sockopt::tcp_keepcnt(&to_worker).unwrap();
        assert!(sockopt::tcp_keepidle(&to_worker).unwrap() + asked <= Duration::from_secs(30));
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&to_worker).unwrap(), 30_000);
    }

    #[test]
    fn the_last_words_name_the_worker_that_is_gone() {
        let alive = TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = (alive.local_addr().unwrap().to_string(), alive);
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert_eq!(last_words(), None);
        use_these(&[alive.0.clone(), gone.clone()]);
        assert_eq!(
            last_words().unwrap(),
            format!("the worker {gone} is gone: start `glassbox rpc-worker` there again")
        );
        use_these(std::slice::from_ref(&alive.0));
        assert_eq!(last_words().unwrap(), format!("a worker failed, one of {}", alive.0));
        // One that still listens while it is being ended.
        let dying = TcpListener::bind("127.0.0.1:0").unwrap();
        let named = dying.local_addr().unwrap().to_string();
        use_these(&[alive.0.clone(), named.clone()]);
        let listening = std::thread::spawn(move || {
            std::thread::sleep(DYING_PAUSE / 2);
            drop(dying);
        });
        assert!(last_words().unwrap().starts_with(&format!("the worker {named} is gone")));
        listening.join().unwrap();
        use_these(&[]);
    }
}
