//! The real binary in a real pseudo-terminal, with the scripted engine: what a person would see.

mod chatting;
mod faults;
mod harness;
mod looks;
