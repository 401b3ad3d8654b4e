//! The real binary in a real pseudo-terminal, with the scripted engine: what a person would see.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stderr, reason = "a test that cannot be tried says why")]

mod blocked;
mod chatting;
mod elsewhere;
mod faults;
#[cfg(feature = "remote")]
mod fetching;
mod film;
mod harness;
mod killed;
mod looks;
mod mapped;
mod piping;
mod printing;
mod raw;
#[cfg(feature = "remote")]
mod secret;
#[cfg(feature = "remote")]
mod serving;
#[cfg(feature = "remote")]
mod stand;
mod strange;
mod touring;
mod unsaved;
