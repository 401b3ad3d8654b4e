//! What an engine must not be able to do, done on request: for the tests of what holds it.
//!
//! Invariant: whatever succeeds here harms nothing; it reaches only for what the test names, or for nothing at all.

use std::io;
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

/// Tries what `deed` names, `write PATH`, `read PATH`, `connect ADDRESS` and the like; `None` where it names none.
pub fn attempt(deed: &str) -> Option<io::Result<()>> {
    let (deed, what) = deed.split_once(' ').unwrap_or((deed, ""));
    Some(match deed {
        "write" => std::fs::OpenOptions::new().create(true).append(true).open(what).map(drop),
        "read" => std::fs::File::open(what).map(drop),
        "list" => std::fs::read_dir(what).map(drop),
        "remove" => std::fs::remove_file(what),
        "mode" => {
            std::fs::metadata(what).and_then(|about| std::fs::set_permissions(what, about.permissions()))
        }
        "connect" => TcpStream::connect(what).map(drop),
        "send" => UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"x", what)).map(drop),
        "socket" => connect_to_socket(what),
        "start" => Command::new(what).status().map(drop),
        "become" => become_program(what),
        "signal" => signal(what),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(drop),
        _ => return None,
    })
}

#[cfg(unix)]
fn connect_to_socket(path: &str) -> io::Result<()> {
    std::os::unix::net::UnixStream::connect(path).map(drop)
}

#[cfg(unix)]
fn become_program(program: &str) -> io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(&mut Command::new(program)))
}

/// Asks for the signal that does nothing to be sent to the process of that id.
#[cfg(unix)]
fn signal(process: &str) -> io::Result<()> {
    let process = process.parse().ok().and_then(rustix::process::Pid::from_raw);
    Ok(rustix::process::test_kill_process(process.ok_or(io::ErrorKind::InvalidInput)?)?)
}

#[cfg(not(unix))]
fn connect_to_socket(_: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn become_program(_: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(unix))]
fn signal(_: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
