//! What was read of a chat comes back from the disk, and what is no sound snapshot of it never does; the same reply
//! again, whatever was cached.
//!
//! Invariant: what comes back is held against the same chat that was never left, bit by bit, and against a fresh read
//! within the tolerance of a batch.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::kit::{GEMMA, Model, SMOLLM, file, plain};
use crate::noise::ROUNDING;
use glassbox::chat::{ConversationId, Intervention};
use glassbox::engine::protocol::{Event, Generate, Job, Prompt, PromptFacts, Request, Want};
use glassbox::engine::snapshot::{Folder, Header};
use glassbox::model_entry::{CacheType, LoadParams};
use glassbox::sampling::Sampling;
use glassbox::token::{Step, TokenId};

const CHAT: ConversationId = ConversationId(11);
const OTHER: ConversationId = ConversationId(12);

/// A turn: what it was read from, and what was written.
#[derive(Debug)]
struct Turn {
    facts: PromptFacts,
    steps: Vec<Step>,
}

impl Turn {
    /// What the next turn begins with.
    fn ids(&self) -> Vec<TokenId> {
        self.facts.ids.iter().copied().chain(self.steps.iter().filter_map(|step| step.id)).collect()
    }

    /// What was written, and how likely each token of it was: bit by bit.
    fn written(&self) -> Vec<(Option<TokenId>, f32)> {
        self.steps.iter().map(|step| (step.id, step.logprob)).collect()
    }
}

fn keeping(model: &str, folder: &Path) -> Model {
    Model::keeping(&file(model), plain(), Some(folder))
}

impl Model {
    fn goes_on(&mut self, chat: Option<ConversationId>) {
        assert_eq!(self.answer(Request::Job(Job::Chat(chat))), Event::Acknowledged);
    }

    fn turn(&mut self, ids: &[TokenId], sampling: Sampling, interventions: Vec<Intervention>) -> Turn {
        let prompt = Prompt::Ids { ids: ids.to_vec(), taken: Vec::new(), chat: false };
        let request = Generate { prompt, sampling, top_logprobs: 20, begun: 0, interventions, allow: None };
        let mut turn = Turn { facts: PromptFacts::default(), steps: Vec::new() };
        for event in self.handle(Request::Job(Job::Generate(Box::new(request)))) {
            match event {
                Event::Prompt(facts) => turn.facts = facts,
                Event::Token(written) => turn.steps.push(written.step),
                Event::Failed(failure) => panic!("{failure}"),
                _ => {}
            }
        }
        turn
    }

    fn writes(&mut self, ids: &[TokenId]) -> Turn {
        self.turn(ids, greedy(), Vec::new())
    }

    /// The first turn of the chat: so many tokens are read and a few written.
    fn first_turn(&mut self, tokens: usize) -> Turn {
        self.goes_on(Some(CHAT));
        let ids = self.miles(tokens);
        self.writes(&ids)
    }

    /// The next turn of the chat after another chat was in the cache.
    fn after_another(&mut self, ids: &[TokenId]) -> Turn {
        self.goes_on(Some(OTHER));
        let other = self.ids("Quite another text, which shares nothing with the first.");
        self.writes(&other);
        self.goes_on(Some(CHAT));
        self.writes(ids)
    }

    fn miles(&self, tokens: usize) -> Vec<TokenId> {
        let sentences =
            (1..).map(|mile| format!("Sentence {mile} says the sea is {} miles wide. ", mile * 7));
        let ids = self.ids(&sentences.take(tokens / 4).collect::<String>());
        ids[..tokens].to_vec()
    }

    /// What the user writes next.
    fn asked_after(&self, turn: &Turn) -> Vec<TokenId> {
        [turn.ids(), self.ids(" And how wide is the river in the end? It is")].concat()
    }
}

fn greedy() -> Sampling {
    Sampling { temperature: 0.0, max_tokens: 8, ..Sampling::default() }
}

fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The likeliest token is the same wherever its lead is more than the noise, and every number is near.
fn agrees(turn: &Turn, fresh: &Turn) {
    let (ours, theirs) = (&turn.steps[0], &fresh.steps[0]);
    let lead = theirs.candidates[0].logprob - theirs.candidates[1].logprob;
    assert!(lead > ROUNDING.margin(), "the text must have a clear next token: {lead}");
    assert_eq!(ours.id, theirs.id);
    let difference = (ours.logprob - theirs.logprob).abs();
    assert!(difference < ROUNDING.nats(), "{difference}");
}

/// Through the disk with the same engine, with a new one, and never left.
fn comes_back(model: &str, tokens: usize) {
    let [never, switched, ended] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut engine = keeping(model, never.path());
    assert!(engine.loaded.keeps_states);
    let first = engine.first_turn(tokens);
    let (held, ids) = (first.ids().len() - 1, engine.asked_after(&first));
    let stayed = engine.writes(&ids);
    assert_eq!((stayed.facts.recalled, stayed.facts.reused as usize), (false, held));
    assert_eq!(kept(never.path()), Vec::<PathBuf>::new());
    drop(engine);

    let mut engine = keeping(model, switched.path());
    engine.first_turn(tokens);
    let back = engine.after_another(&ids);
    assert_eq!((back.facts.recalled, back.facts.reused as usize), (true, held));
    assert_eq!(back.written(), stayed.written(), "as if it had never been left");
    drop(engine);

    let mut engine = keeping(model, ended.path());
    engine.first_turn(tokens);
    engine.end();
    drop(engine);
    let mut engine = keeping(model, ended.path());
    engine.goes_on(Some(CHAT));
    let resumed = engine.writes(&ids);
    assert_eq!((resumed.facts.recalled, resumed.facts.reused as usize), (true, held));
    assert_eq!(resumed.written(), stayed.written(), "with a new engine too");
    // What was put back can be cut like what was read here.
    assert_eq!(engine.writes(&ids[..tokens / 2]).facts.reused as usize, tokens / 2 - 1);
    drop(engine);

    let fresh = keeping(model, ended.path()).writes(&ids);
    assert_eq!(fresh.facts.reused, 0, "no chat was named");
    agrees(&resumed, &fresh);
}

#[test]
fn a_chat_comes_back_from_the_disk_as_it_was() {
    comes_back(SMOLLM, 400);
}

#[test]
fn a_chat_longer_than_the_sliding_window_comes_back_as_it_was() {
    comes_back(GEMMA, 700);
}

/// A snapshot of the chat in a folder, its file, the next prompt and what follows on a fresh read.
fn left(home: &Path) -> (PathBuf, Vec<TokenId>, Turn) {
    let mut engine = keeping(SMOLLM, home);
    let first = engine.first_turn(300);
    engine.end();
    let ids = engine.asked_after(&first);
    drop(engine);
    let [place] = &kept(home)[..] else { panic!("{:?}", kept(home)) };
    let mut engine = keeping(SMOLLM, home);
    let fresh = engine.writes(&ids);
    (place.clone(), ids, fresh)
}

fn is_read_anew(engine: &mut Model, ids: &[TokenId], fresh: &Turn, why: &str) {
    engine.goes_on(Some(CHAT));
    let turn = engine.writes(ids);
    assert_eq!((turn.facts.recalled, turn.facts.reused), (false, 0), "{why}");
    assert_eq!(turn.written(), fresh.written(), "{why}");
}

#[test]
fn a_damaged_cut_or_foreign_snapshot_is_read_over_and_costs_nothing_but_time() {
    let home = tempfile::tempdir().unwrap();
    let (place, ids, fresh) = left(home.path());
    let sound = std::fs::read(&place).unwrap();
    let with = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damaged = [
        ("a bit of the state", with(sound.len() - 1000)),
        ("a bit of the header", with(40)),
        ("cut", sound[..sound.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("no snapshot", b"something else".repeat(100)),
    ];
    for (why, bytes) in damaged {
        std::fs::write(&place, bytes).unwrap();
        is_read_anew(&mut keeping(SMOLLM, home.path()), &ids, &fresh, why);
    }
    std::fs::write(&place, &sound).unwrap();
    // Made under another cache type: another shape, so another name; and under that name, refused by its header.
    let other = LoadParams { cache_type_k: CacheType::F32, ..plain() };
    let mut engine = Model::keeping(&file(SMOLLM), other.clone(), Some(home.path()));
    engine.goes_on(Some(CHAT));
    assert_eq!(engine.writes(&ids).facts.reused, 0, "another cache type");
    engine.end();
    drop(engine);
    let foreign = kept(home.path()).into_iter().find(|path| *path != place).unwrap();
    std::fs::copy(&place, &foreign).unwrap();
    let mut engine = Model::keeping(&file(SMOLLM), other, Some(home.path()));
    engine.goes_on(Some(CHAT));
    let turn = engine.writes(&ids);
    assert_eq!((turn.facts.recalled, turn.facts.reused), (false, 0), "a foreign one under the right name");
}

/// With the right checksum and the right shape: what only llama.cpp can refuse.
#[test]
fn a_state_that_llama_refuses_leaves_an_empty_cache() {
    let home = tempfile::tempdir().unwrap();
    let (place, ids, fresh) = left(home.path());
    let sound = std::fs::read(&place).unwrap();
    let length = u32::from_le_bytes(sound[8..12].try_into().unwrap()) as usize;
    let header: Header = rmp_serde::from_slice(&sound[16..16 + length]).unwrap();
    let state = &sound[16 + length..];
    let folder = Folder::new(home.path().to_owned(), 1 << 40);
    let fewer = &header.ids[..header.ids.len() - 1];
    let states: [(&str, &[TokenId], Vec<u8>); 5] = [
        ("noise", &header.ids, (0..state.len()).map(|at| (at * 31 % 251) as u8).collect()),
        ("cut within", &header.ids, state[..state.len() - 7].to_vec()),
        ("only its beginning", &header.ids, state[..30].to_vec()),
        ("longer", &header.ids, [state, &[0; 8]].concat()),
        ("of another number of tokens", fewer, state.to_vec()),
    ];
    for (why, claimed, state) in states {
        folder.write(CHAT, &header.shape, claimed, 0, &state).unwrap();
        is_read_anew(&mut keeping(SMOLLM, home.path()), &ids, &fresh, why);
    }
}

#[test]
fn nothing_is_kept_under_changes_of_no_chat_or_of_one_that_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = keeping(SMOLLM, home.path());
    engine.goes_on(Some(CHAT));
    let ids = engine.miles(200);
    let change = Intervention::ZeroHead { layer: 3, head: 1 };
    engine.turn(&ids, greedy(), vec![change]);
    engine.end();
    assert_eq!(kept(home.path()), Vec::<PathBuf>::new(), "under a change");
    engine.goes_on(None);
    engine.writes(&ids);
    engine.end();
    assert_eq!(kept(home.path()), Vec::<PathBuf>::new(), "of no chat");
    engine.first_turn(200);
    engine.end();
    assert_eq!(kept(home.path()).len(), 1);
    assert_eq!(engine.answer(Request::Job(Job::Forget(CHAT))), Event::Acknowledged);
    assert_eq!(kept(home.path()), Vec::<PathBuf>::new(), "forgotten");
    engine.end();
    assert_eq!(kept(home.path()), Vec::<PathBuf>::new(), "and not written again at the end");
}

/// The reply to a second turn, whose first is in the cache as it was written, against a fresh read.
fn second_turn(params: &LoadParams) -> (Turn, Turn) {
    let sampling = Sampling { max_tokens: 48, seed: Some(7), ..Sampling::default() };
    let mut engine = Model::open(&file(SMOLLM), params.clone());
    let ids = engine.miles(600);
    let first = engine.turn(&ids, sampling.clone(), Vec::new());
    let ids = engine.asked_after(&first);
    let cached = engine.turn(&ids, sampling.clone(), Vec::new());
    let mut engine = Model::open(&file(SMOLLM), params.clone());
    let fresh = engine.turn(&ids, sampling, Vec::new());
    assert_eq!(fresh.facts.reused, 0);
    (cached, fresh)
}

#[test]
fn the_same_seed_writes_the_same_reply_whatever_was_cached_where_that_is_asked_for() {
    let (cached, fresh) = second_turn(&LoadParams { reproducible: true, ..plain() });
    assert_eq!(cached.facts.reused, 512, "one whole batch need not be read again");
    assert_eq!(cached.written(), fresh.written());
}

#[test]
fn coming_back_is_many_times_sooner_than_reading() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = keeping(SMOLLM, home.path());
    let begun = Instant::now();
    let first = engine.first_turn(1500);
    let reading = begun.elapsed();
    engine.end();
    let ids = first.ids();
    drop(engine);
    let mut engine = keeping(SMOLLM, home.path());
    engine.goes_on(Some(CHAT));
    let sampling = Sampling { max_tokens: 1, ..greedy() };
    let begun = Instant::now();
    let back = engine.turn(&ids, sampling, Vec::new());
    let took = begun.elapsed();
    println!("1,500 tokens: read in {reading:?}, from a snapshot in {took:?}");
    assert!(back.facts.recalled && took * 5 < reading, "{took:?} against {reading:?}");
}

/// Where the keys of a chat lie is not in its state; what is shown of attention afterwards must not depend on having
/// seen them stored.
#[test]
fn attention_over_what_came_back_is_that_over_what_was_read() {
    for model in [SMOLLM, GEMMA] {
        let home = tempfile::tempdir().unwrap();
        let mut engine = keeping(model, home.path());
        let first = engine.first_turn(700);
        let ids = first.ids();
        let want = || Want { overview: true, attention: vec![0, 5, 17], lens: true, ..Want::default() };
        let read = engine.inspect(&ids, want()).trace.attention.unwrap();
        engine.end();
        drop(engine);
        let mut engine = keeping(model, home.path());
        engine.goes_on(Some(CHAT));
        assert!(engine.turn(&ids, Sampling { max_tokens: 1, ..greedy() }, Vec::new()).facts.recalled);
        let back = engine.inspect(&ids, want());
        assert!(back.decoded < 8, "most of it is held: {}", back.decoded);
        let back = back.trace.attention.unwrap();
        assert_eq!(back.overview.len(), read.overview.len());
        for (back, read) in back.layers.iter().zip(&read.layers) {
            for (back, read) in back.heads.iter().zip(&read.heads) {
                let sum: f32 = back.weights.iter().sum();
                assert!((sum - 1.0).abs() < 1e-4, "{model}: the weights sum to {sum}");
                let apart = back.weights.iter().zip(&read.weights).map(|(a, b)| (a - b).abs());
                assert_eq!(back.weights.len(), read.weights.len());
                assert!(apart.fold(0.0, f32::max) < 0.01, "{model}");
            }
        }
    }
}
