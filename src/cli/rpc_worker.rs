//! `glassbox rpc-worker`: this machine's devices for an engine on another one, by llama.cpp's RPC.
//!
//! Invariant: who reaches the port can use the devices and this process's memory, since the protocol asks for no name; so
//! it listens on this machine alone unless told otherwise, and says then what that means.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, bail};

use super::args::RpcWorkerArgs;
use crate::config::Folders;
use crate::engine::containment::{self, Allowed, Network, Reading};

/// Serves until it is stopped.
///
/// # Errors
/// When the address cannot be listened on, or this build has no engine.
pub fn run(args: &RpcWorkerArgs) -> anyhow::Result<u8> {
    let host = if args.host == "localhost" { "127.0.0.1" } else { &args.host };
    let host: Ipv4Addr = host.parse().with_context(|| format!("--host {host}: an IPv4 address is needed"))?;
    let address = SocketAddr::from((host, args.port));
    // llama.cpp says of a port that is taken only that it could not be had.
    drop(TcpListener::bind(address).with_context(|| format!("{address} cannot be listened on"))?);
    for line in said(host, args.port) {
        super::note(&line);
    }
    let allowed = Allowed {
        reading: Reading::These(Vec::new()),
        own: Folders::find().map(|folders| folders.engine().into()).unwrap_or_default(),
        network: Network::Any,
    };
    super::note(&format!("held: {}", containment::contain(&allowed).in_words()));
    serve(&address.to_string(), args.threads)?;
    bail!("{address} is served no more; what llama.cpp said above tells why")
}

/// What a user should know before it listens.
fn said(host: Ipv4Addr, port: u16) -> Vec<String> {
    let entry = format!("in the model's entry on the other machine: rpc = [\"127.0.0.1:{port}\"]");
    // A tunnel to a machine that has lost its power would stand for hours.
    let tunnel = format!("ssh -N -o ServerAliveInterval=10 -L {port}:127.0.0.1:{port} THIS-HOST");
    if host.is_loopback() {
        return vec![format!(
            "listening on {host}:{port}, for this machine alone. From another one through a tunnel: {tunnel}; {entry}"
        )];
    }
    vec![format!(
        "warning: whoever reaches {host}:{port} can use this machine's devices and read and write this process's memory: \
         the protocol has no authentication and no encryption. Safer: listen on 127.0.0.1 (the default), and from the \
         other machine {tunnel}; {entry}"
    )]
}

#[cfg(feature = "llama")]
fn serve(address: &str, threads: Option<u32>) -> anyhow::Result<()> {
    use crate::engine::model::{ffi, load};
    ffi::install_abort_hook();
    load::backend()?;
    let threads = threads.unwrap_or_else(load::cores);
    ffi::serve_devices(address, threads).map_err(|why| anyhow::anyhow!(why))
}

#[cfg(not(feature = "llama"))]
fn serve(_: &str, _: Option<u32>) -> anyhow::Result<()> {
    bail!("this build has no engine: it was built without the feature `llama`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_for_others_is_told_what_that_means_and_how_to_tunnel() {
        let [open] = said(Ipv4Addr::UNSPECIFIED, 50_052).try_into().unwrap();
        assert!(open.starts_with("warning: ") && open.contains("no authentication"), "{open}");
        assert!(open.contains("ServerAliveInterval=10 -L 50052:127.0.0.1:50052 THIS-HOST"), "{open}");
        let [closed] = said(Ipv4Addr::LOCALHOST, 5).try_into().unwrap();
        assert!(!closed.contains("warning") && closed.contains("-L 5:127.0.0.1:5"), "{closed}");
    }
}
