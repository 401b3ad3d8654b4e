//! glassbox: a terminal chat with a local transformer in which every word can be opened.
//!
//! # The code map
//!
//! ```text
//! main.rs            calls cli::main
//! cli/           L5  the command line (clap) and the headless commands, a file or folder each
//! runtime/       L4  the imperative shell: select loop, frame pacing, terminal guard, signals, effects, logs; links
//!                    written over what was drawn; output (a thread that writes to the terminal); faults of its own
//! ui/            L3  &App to Buffer: one file per pane, station and overlay; widgets/ know nothing of App (row and
//!                    table are what stations and overlays are made of); inspector/frame is what a station stands in;
//!                    text/ maps tokens to cells; cache keeps wrapped rows; picture gives a station as SVG or text;
//!                    printed gives Markdown to a terminal that is not drawn on
//! app/           L2  state and update: `update(now, msg) -> Vec<Effect>`; no IO, no clock, no channel
//!                    state/: what each pane holds, as data; message: what `update` is told and what it answers;
//!                    missing: why there is nothing to see, or an engine cannot do something, in one sentence;
//!                    talk: chats, runs, the reply being written; outbox: what parts speak through; view: what they
//!                    read of each other; requests: what the engine was asked, by whom; look: a pass read again for
//!                    what was not recorded; model: the one wanted and loaded; fetches: those on their way here;
//!                    settings: what can be set, and where it is kept; tour: the guided one
//!                    chat/     chats and branches, composer, send, reply, stop, versions, the tree, step mode, pace
//!                    input/    keys and the commands they stand for, mouse, typed commands, editing of texts
//!                    transcript/ the token cursor, text marked by keys, a turn's tokens as a table, scores of typed text
//!                    experiments/ messages changed on trial, weights of sentences, the microscope (another model on this
//!                              chat), steering, control vectors
//!                    inspector/ the pass on display, what is asked for it and kept; stations/: each station a unit
//!                              in its own folder, with its state and its page
//!                    overlays/ each overlay a unit, with its keys and what Enter does; help/ what the help says
//! engine/        L1  allowed (how far a reply may go) · tokenizer (how a text is cut and merged, from the rules in the
//!                    file) · sampler (the chain, recorded stage by stage) · scripted (a made-up model: what it writes
//!                    follows a script, what it shows inside is noise in the right shapes).
//!                    server/   models that a server runs: http and sse (the way there), detect (what it is), a file for
//!                              each kind (openai, llama, vllm, sglang), words (what was met of a vocabulary), steps,
//!                              generate and score (events of what came)
//!                    protocol/ requests, events and answers, as plain data; lacking (what an engine cannot do, in a sentence)
//!                    containment/ what the engine's process gives up before a file is opened: files by Landlock,
//!                              system calls by seccomp
//!                    transport/ frame, greeting (the mark behind a shell's noise), line (whether it is slow), child (the
//!                              app's handle on a process, its log), thread, serve (the engine's side), questions,
//!                              open_requests
//!                    prompt/   encode (what a reply is conditioned on), template, stop (texts that end a reply)
//!                    model/    load, fit, loaded, weights (out of the file), changes (which ones this model can
//!                              take), adapters (LoRA and control vectors in force), adapter_file (which files are
//!                              such for this model), weights_delta (what LoRA adds to weights), dequantized (exact
//!                              arithmetic), backends (found at start), ffi (abort hook, descriptors, context)
//!                    snapshot  what was read of a chat, as a file: found, checked, written, thrown away
//!                    session/  batches and the KV prefix; recall (whose chat that is, kept on disk and taken back);
//!                              lane (a text read beside the chat, given back when it is dropped), branch_cache
//!                              (another branch, kept there), unchanged (the chat once more without changes),
//!                              swa_guard (cells that sliding windows would let go); draft (a smaller model that
//!                              guesses ahead), mtp (the file's own layer that does)
//!                    probe/    the evaluation callback: what is copied out of a pass and changed in it
//!                    jobs/     llama (the engine as the transport drives it), worker (the loop), shared and control
//!                              (what the reading thread and a running reply have in common) and one file a request:
//!                              score, rescore (a reply after an edited prompt), contrast (a second model held
//!                              against the loaded one), replay (a past pass, read again), beam, pieces (how a text
//!                              was cut and merged), inspect/ (a pass opened; ablation, patching), attention_rows
//!                              (matrices, rollout, calibration of heads), layer_grid (the depths of many passes),
//!                              steering (directions), embeddings; generate/ (a reply: pacing, interleave: what is
//!                              asked meanwhile, live_capture: looks into it, baseline: the unchanged network beside
//!                              it, drafts: tokens guessed and decoded together, budget: where thinking is ended)
//!                    analysis/ captured tensors to numbers: logit_lens, attribution, attention, mlp, residual …
//!                    workers   those that hold layers on other machines: whether one answers, which one failed
//!                    threads/  how many compute and how they wait for each other: giving_way decides from samples,
//!                              meter takes them, native tells the system
//!                    compute/  numbers (one pass over the vocabulary), parallel, graph (the model's matrices on
//!                              other inputs), trial (whether this machine runs a backend's instructions)
//!                    bench/    the engine's loop measured beside bare decoding, for `glassbox bench`
//! models/        L1  the catalogue, fetching from the sources, GGUF headers read without loading; folder (where fetched
//!                    files live), hub (what a repository offers), found (models of other apps), machine (what this
//!                    one can run), recommended (what to fetch for it), unfinished (what a broken download has left),
//!                    disk (room for it)
//! store/         L1  SQLite on its own thread: schema, migrations, search and its index, the bin
//! export/        L1  a conversation as JSON, JSON Lines, Markdown, one HTML page; a station as JSON; figures (what that and
//!                    `inspect --json` share)
//! import/        L1  chats of other programs and exports of our own, read from JSON
//! config/ theme/ L1  TOML to (value, warnings); keymap, and what is wrong with one; named colour roles
//! inspect/       L0  arithmetic on captured numbers: contrast (two models on one text), distribution, chain and stages
//!                    (samplers), trace (a pass opened), depth (of many), lens, reading and scores (what heads do, here
//!                    and usually), rollout, rotation and position, embedding, direction (steering), feed_forward,
//!                    pieces and merging (tokenizers)
//! command.rs     L0  every user intent in one table: name, keys, help
//! markdown/      L0  a reply's Markdown, laid out while it streams: units, rows of cells, each with its bytes; code's
//!                    colours; mathematics in Unicode
//! grammar/       L0  what a reply has to look like: grammars read and checked, JSON schemas as grammars
//! reasoning/     L0  a reply taken apart: what was thought, the answer, the marks between them
//! attachment.rs  L1  a text file beside a message: read whole or refused with the reason
//! durable.rs     L0  files that are still there after the power failed
//! free_memory.rs L0  what memory this process may still take
//! locked.rs      L0  files that one process at a time has locked
//! bearer.rs      L0  a secret that goes with a request and is never shown
//! request_error.rs L0 why a request over HTTP failed, for a sentence; when it may be made again; the proxy on the way
//! elsewhere.rs   L0  an engine's command that runs on another machine: where, and what its end means
//! fold.rs search.rs L0 text without case and accents; what is looked for: words and filters
//! token.rs chat.rs sampling.rs model_entry.rs sanitize.rs
//!                L0  plain data and arithmetic
//! fuzzed.rs      L6  what reads bytes from strangers, as functions of any bytes; for fuzz/ and tests/fuzzing.rs, in
//!                    test builds alone
//! ```
//!
//! # Processes
//!
//! The app starts one child process per loaded model (`glassbox engine`), since native code can abort and can
//! print where it likes: a crash costs the model, never the chat. Requests and events are length-prefixed
//! MessagePack ([`engine::protocol`]).
//!
//! # Invariants, held by `tests/layers.rs` where a test can read them
//!
//! 1. A module names only lower layers.
//! 2. `app` does no IO and reads no clock; it names neither a channel nor a ratatui drawing type.
//! 3. `ui` never changes `App`; what it learns while drawing it returns ([`app::Geometry`]).
//! 4. llama-cpp-2 appears only under `engine/`, rusqlite only under `store/`, tokio only under `runtime/`,
//!    `models/`, `cli/` and `engine/server/`, which waits for a network and for a cancel at once; `unsafe` only in
//!    `engine/model/{ffi,weights}.rs`, `engine/compute/{graph,trial}.rs`, `engine/threads/native.rs`,
//!    `engine/probe/` and `runtime/native.rs`.
//! 5. Nothing is shared with the screen by lock: everything crosses as a request, an event, a message or an
//!    effect.
//! 6. Problems in configuration and themes are warnings that name the key, never a refusal to start.
//! 7. Every probability is over the whole vocabulary and before the samplers, unless its name says otherwise.
//! 8. A message is on disk before its reply is asked for; a reply is at most half a second late.

pub mod app;
pub mod attachment;
#[cfg(feature = "remote")]
pub(crate) mod bearer;
pub mod chat;
pub mod cli;
pub mod command;
pub mod config;
pub(crate) mod durable;
pub mod elsewhere;
pub mod engine;
pub(crate) mod export;
pub mod fold;
pub(crate) mod free_memory;
#[cfg(feature = "testing")]
pub mod fuzzed;
pub mod grammar;
pub(crate) mod import;
pub mod inspect;
pub(crate) mod locked;
pub mod markdown;
pub mod model_entry;
pub mod models;
pub mod reasoning;
#[cfg(feature = "remote")]
pub(crate) mod request_error;
pub(crate) mod runtime;
pub mod sampling;
pub(crate) mod sanitize;
pub mod search;
pub mod store;
pub mod theme;
pub mod token;
pub mod ui;
