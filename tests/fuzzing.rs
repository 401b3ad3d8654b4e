//! What reads bytes from strangers, over a kept corpus and over changes to it that follow from a seed.
//!
//! The same functions as in `fuzz/`, where a fuzzer looks for inputs by what they reach; this runs on the stable
//! toolchain. `GLASSBOX_FUZZ_SECONDS=60` gives each that long, `GLASSBOX_FUZZ_SEED` another seed, `GLASSBOX_FUZZ_ONLY`
//! one by its name; whatever falls is written to the folder for temporary files, for `fuzz/corpus`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, reason = "how many were tried is what a run is for")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;
use glassbox::fuzzed::{TARGETS, Target};

/// Changed inputs of each, where no time is given.
const CHANGED: u32 = 300;
/// The time that each may take for them: on a busy machine fewer are tried.
const TIME: Duration = Duration::from_secs(4);
/// What takes longer hangs: a thousand times what the slowest of the corpus takes.
const LONGEST: Duration = Duration::from_secs(10);
/// Changed inputs grow no longer than this, bytes.
const MOST: usize = 16 << 10;

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Runs it; what falls or hangs is kept and named.
fn run(target: &Target, input: &[u8], what: &str) {
    let begun = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = begun.elapsed();
    if result.is_ok() && took < LONGEST {
        return;
    }
    let kept = std::env::temp_dir().join(format!("glassbox-{}-{:016x}", target.name, hash(input)));
    let _ = fs::write(&kept, input);
    panic!("{} on {what} ({} bytes, {took:?}); the input is {}", target.name, input.len(), kept.display());
}

fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn wanted() -> impl Iterator<Item = &'static Target> {
    let only: Option<String> = setting("GLASSBOX_FUZZ_ONLY");
    TARGETS.iter().filter(move |target| only.as_ref().is_none_or(|only| only == target.name))
}

#[test]
fn every_input_of_the_corpus_is_read() {
    for target in wanted() {
        let all = corpus(target.name);
        assert!(!all.is_empty(), "{} has no corpus", target.name);
        for (path, input) in &all {
            run(target, input, &path.display().to_string());
        }
    }
}

#[test]
fn nothing_falls_over_changed_inputs() {
    let seconds: Option<u64> = setting("GLASSBOX_FUZZ_SECONDS");
    let seed: u64 = setting("GLASSBOX_FUZZ_SEED").unwrap_or(7);
    for target in wanted() {
        let inputs: Vec<Vec<u8>> = corpus(target.name).into_iter().map(|(_, input)| input).collect();
        let mut random = Rng::with_seed(seed ^ hash(target.name.as_bytes()));
        let (begun, mut count) = (Instant::now(), 0);
        let goes_on = |count: u32| match seconds {
            Some(seconds) => begun.elapsed() < Duration::from_secs(seconds),
            None => count < CHANGED && begun.elapsed() < TIME,
        };
        while goes_on(count) {
            let input = changed(&mut random, &inputs, target.words);
            run(target, &input, &format!("change {count} of the seed {seed}"));
            count += 1;
        }
        println!("{}: {count} changed inputs in {:.1} s", target.name, begun.elapsed().as_secs_f32());
    }
}

/// An input of the corpus, changed in a few places.
fn changed(random: &mut Rng, inputs: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = random.choice(inputs).unwrap().clone();
    for _ in 0..=random.u32(0..8) {
        change(random, &mut input, inputs, words);
    }
    input.truncate(MOST);
    input
}

fn change(random: &mut Rng, input: &mut Vec<u8>, inputs: &[Vec<u8>], words: &[&str]) {
    let at = random.usize(0..=input.len());
    let end = (at + random.usize(0..32)).min(input.len());
    match random.u8(0..10) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(0..8),
        1 if at < input.len() => input[at] = random.choice([0, 1, 0x7f, 0x80, 0xff, b'"', b'\n']).unwrap(),
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].to_vec();
            let to = random.usize(0..=input.len());
            let times = random.choice([1, 1, 2, 50]).unwrap();
            input.splice(to..to, copy.repeat(times));
        }
        4 => {
            let other = random.choice(inputs).unwrap();
            let from = random.usize(0..=other.len());
            let to = (from + random.usize(0..200)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        5 => {
            let value =
                random.choice([0_u64, 1, 0xffff_ffff, 0x7fff_ffff, u64::MAX, 1 << 32, 1 << 40]).unwrap();
            let width = random.choice([1, 2, 4, 8]).unwrap();
            let end = (at + width).min(input.len());
            input.splice(at..end, value.to_le_bytes()[..width].iter().copied());
        }
        6 => input.truncate(at),
        _ => {
            let word = random.choice(words).unwrap();
            let times = random.choice([1, 1, 1, 1, 3, 200]).unwrap();
            input.splice(at..at, word.repeat(times).bytes());
        }
    }
}
