//! The tokenizer that tells how it cuts and merges, held against llama.cpp's own ids: on both default models, and on
//! vocabularies of every other family written by the tests from theirs.
//!
//! Invariant: three readings must agree on every text: llama.cpp's, the `tokenizers` crate's, and our own merging.

use crate::kit;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use glassbox::engine::model::load::backend;
use glassbox::engine::model::vocabulary;
use glassbox::engine::tokenizer::{Tokenizer, cuts};
use glassbox::inspect::pieces::{TokenizerKind, Word};
use glassbox::model_entry::ModelFile;
use glassbox::models::gguf::SharedHeader;
use glassbox::token::{TokenId, Vocabulary};
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// A vocabulary twice: as llama.cpp has it, and as told from its file.
struct Pair {
    model: LlamaModel,
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
}

impl Pair {
    fn open(path: &Path) -> Self {
        let params = LlamaModelParams::default().with_vocab_only(true);
        let _alone = kit::loading();
        let model = LlamaModel::load_from_file(backend().unwrap(), path, &params).unwrap();
        let vocabulary = vocabulary::read(&model.vocab());
        let file = SharedHeader::open(path).unwrap();
        let begun = Instant::now();
        let tokenizer = Tokenizer::build(&file, &vocabulary.kinds).unwrap();
        println!("built in {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        Self { model, vocabulary, tokenizer }
    }

    fn in_use(&self, text: &str, special: bool) -> Vec<TokenId> {
        vocabulary::tokenize(&self.model.vocab(), text, special)
    }

    /// Why the three readings do not agree, or spans and merges are not sound.
    fn disagreement(&self, text: &str, special: bool) -> Option<String> {
        let told = match self.tokenizer.tell(text, special, false) {
            Ok(told) => told,
            Err(why) => return Some(why),
        };
        let ids = self.in_use(text, special);
        let ours: Vec<_> = told.words.iter().flat_map(|word| &word.tokens).map(|(id, _)| *id).collect();
        if told.second != ids || ours != ids {
            let spelt = |ids: &[TokenId]| {
                let name = |id: &TokenId| {
                    String::from_utf8_lossy(self.vocabulary.bytes(*id).unwrap_or_default()).into_owned()
                };
                ids.iter().map(name).collect::<Vec<_>>().join("|")
            };
            let (used, second, ours) = (spelt(&ids), spelt(&told.second), spelt(&ours));
            return Some(format!(
                "{text:?}\n  llama.cpp  {used:?}\n  tokenizers {second:?}\n  ours       {ours:?}"
            ));
        }
        told.words.iter().find_map(|word| unsound(word).map(|why| format!("{text:?}: {why}: {word:?}")))
    }

    fn agrees(&self, text: &str) {
        for special in [false, true] {
            if let Some(why) = self.disagreement(text, special) {
                panic!("{why}");
            }
        }
    }
}

/// Merges join two neighbours each, and replayed on the start pieces end in the tokens.
fn unsound(word: &Word) -> Option<String> {
    let mut ends: Vec<(u32, u32)> = word.start.clone();
    for merge in &word.merges {
        let (from, meet, to) = merge.span;
        let at = ends.windows(2).position(|pair| pair[0] == (from, meet) && pair[1] == (meet, to));
        let Some(at) = at else { return Some(format!("{merge:?} joins no neighbours")) };
        ends[at].1 = to;
        ends.remove(at + 1);
    }
    let tokens: Vec<_> = word.tokens.iter().map(|(_, span)| *span).collect();
    let whole = |(from, to): &(u32, u32)| ends.iter().any(|(start, end)| start <= from && to <= end);
    if word.start.is_empty() || tokens.iter().all(whole) { None } else { Some("other ends".into()) }
}

static SMOL: LazyLock<Mutex<Pair>> = LazyLock::new(|| Mutex::new(Pair::open(&kit::file(kit::SMOLLM))));
static GEMMA: LazyLock<Mutex<Pair>> = LazyLock::new(|| Mutex::new(Pair::open(&kit::file(kit::GEMMA))));

fn locked(pair: &Mutex<Pair>) -> MutexGuard<'_, Pair> {
    pair.lock().unwrap_or_else(PoisonError::into_inner)
}

fn corpus() -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tokenizer/corpus.json");
    let mut texts: Vec<String> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    texts.push(texts.join("\n"));
    texts.push(texts.concat());
    texts
}

fn corpus_agrees(pair: &Mutex<Pair>) {
    let pair = locked(pair);
    for text in corpus() {
        pair.agrees(&text);
    }
}

/// Texts of any characters, of blanks and marks, and of cuts through the corpus.
fn texts() -> impl Strategy<Value = String> {
    let corpus = Arc::new(corpus().concat().chars().collect::<Vec<char>>());
    let cut = (0..corpus.len(), 0..60_usize).prop_map(move |(from, count)| {
        corpus[from..(from + count).min(corpus.len())].iter().collect::<String>()
    });
    prop_oneof![
        cut,
        "[ \t\r\n'a-zA-Z0-9.,;:!?_<>|#-]{0,40}",
        "[ \u{a0}\u{3000}\u{301}éß中の가🙂👍\u{200d}\u{fe0f}١२a1\n]{0,30}",
        "\\PC{0,30}",
    ]
}

fn random_texts_agree(pair: &Mutex<Pair>, cases: u32) {
    let pair = locked(pair);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let checked = runner.run(&texts(), |text| match pair.disagreement(&text, false) {
        None => Ok(()),
        Some(why) => Err(TestCaseError::fail(why)),
    });
    checked.unwrap();
}

#[test]
fn the_default_models_corpus_agrees() {
    corpus_agrees(&SMOL);
}

#[test]
fn gemmas_corpus_agrees() {
    corpus_agrees(&GEMMA);
}

#[test]
fn the_default_models_random_texts_agree() {
    random_texts_agree(&SMOL, 400);
}

#[test]
fn gemmas_random_texts_agree() {
    random_texts_agree(&GEMMA, 400);
}

/// A file that holds a vocabulary and nothing else.
struct Craft(Vec<(String, Vec<u8>)>);

impl Craft {
    fn new() -> Self {
        let mut craft = Self(Vec::new());
        craft.text("general.architecture", "llama");
        for (key, number) in [
            ("llama.block_count", 1),
            ("llama.context_length", 64),
            ("llama.embedding_length", 32),
            ("llama.attention.head_count", 4),
        ] {
            craft.put(key, 4, &u32::to_le_bytes(number));
        }
        craft
    }

    fn put(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.0.push((key.to_owned(), [&kind.to_le_bytes(), value].concat()));
    }

    fn text(&mut self, key: &str, text: &str) {
        self.put(key, 8, &plain(text));
    }

    fn yes(&mut self, key: &str, yes: bool) {
        self.put(key, 7, &[u8::from(yes)]);
    }

    fn list(&mut self, key: &str, kind: u32, count: usize, values: Vec<u8>) {
        let head = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat();
        self.put(key, 9, &[head, values].concat());
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        self.list(key, 8, texts.len(), texts.iter().flat_map(|text| plain(text)).collect());
    }

    fn types(&mut self, types: &[i32]) {
        let bytes = types.iter().flat_map(|kind| kind.to_le_bytes()).collect();
        self.list("tokenizer.ggml.token_type", 5, types.len(), bytes);
    }

    fn scores(&mut self, scores: &[f32]) {
        let bytes = scores.iter().flat_map(|score| score.to_le_bytes()).collect();
        self.list("tokenizer.ggml.scores", 6, scores.len(), bytes);
    }

    fn open(self) -> Pair {
        let mut bytes = [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &0_u64.to_le_bytes()].concat();
        bytes.extend((self.0.len() as u64).to_le_bytes());
        for (key, value) in self.0 {
            bytes.extend(plain(&key));
            bytes.extend(value);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vocabulary.gguf");
        std::fs::write(&path, bytes).unwrap();
        Pair::open(&path)
    }
}

fn plain(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// What a default model's file says of its tokenizer.
struct Source {
    pieces: Vec<String>,
    types: Vec<i32>,
    scores: Vec<f32>,
    merges: Vec<String>,
}

impl Source {
    fn of(variable: &str) -> Self {
        let file = SharedHeader::open(&kit::file(variable)).unwrap();
        let numbers = |key| file.numbers(key).unwrap_or_default();
        Self {
            pieces: file.texts("tokenizer.ggml.tokens").unwrap(),
            types: numbers("tokenizer.ggml.token_type").into_iter().map(|kind| kind as i32).collect(),
            scores: numbers("tokenizer.ggml.scores").into_iter().map(|score| score as f32).collect(),
            merges: file.texts("tokenizer.ggml.merges").unwrap_or_default(),
        }
    }

    fn craft(&self, model: &str) -> Craft {
        let mut craft = Craft::new();
        craft.text("tokenizer.ggml.model", model);
        craft.texts("tokenizer.ggml.tokens", &self.pieces);
        craft.types(&self.types);
        if !self.scores.is_empty() {
            craft.scores(&self.scores);
        }
        if !self.merges.is_empty() {
            craft.texts("tokenizer.ggml.merges", &self.merges);
        }
        craft
    }
}

/// Lines alone: some families' expressions take llama.cpp's library too deep on long texts.
fn lines_agree(pair: &Pair, name: &str) -> usize {
    lines_agree_where(pair, name, |_| true)
}

fn lines_agree_where(pair: &Pair, name: &str, of: impl Fn(&str) -> bool) -> usize {
    let texts: Vec<String> = corpus().into_iter().filter(|text| text.len() < 1000 && of(text)).collect();
    let found: Vec<String> = texts.iter().filter_map(|text| pair.disagreement(text, false)).collect();
    for why in &found {
        println!("{name}: {why}");
    }
    found.len()
}

#[test]
fn every_family_of_pre_tokenizers_agrees() {
    let source = Source::of(kit::SMOLLM);
    let mut wrong = 0;
    for pre in cuts::FAMILIES.iter().filter(|pre| !cuts::is_over_characters(pre)) {
        let mut craft = source.craft("gpt2");
        craft.text("tokenizer.ggml.pre", pre);
        wrong += lines_agree(&craft.open(), pre);
    }
    assert_eq!(wrong, 0);
}

#[test]
fn scored_pieces_with_a_blank_before_agree() {
    let mut craft = Source::of(kit::GEMMA).craft("llama");
    craft.yes("tokenizer.ggml.add_space_prefix", true);
    let pair = craft.open();
    assert_eq!(pair.tokenizer.kind(), TokenizerKind::SentencePiece);
    for text in corpus() {
        pair.agrees(&text);
    }
}

#[test]
fn characters_with_numbered_merges_agree() {
    let mut source = Source::of(kit::GEMMA);
    let known: HashSet<&str> = source.pieces.iter().map(String::as_str).collect();
    let is_plain = |piece: &&String| !piece.contains([' ', '\n']);
    // Each piece out of the two longest-first halves that are pieces themselves.
    let halves = source.pieces.iter().filter(is_plain).filter_map(|piece| {
        let cuts = piece.char_indices().skip(1).map(|(at, _)| piece.split_at(at));
        cuts.filter(|(left, right)| known.contains(left) && known.contains(right)).last()
    });
    let merges: Vec<String> = halves.map(|(left, right)| format!("{left} {right}")).collect();
    source.merges = merges;
    source.scores.clear();
    let pair = source.craft("gemma4").open();
    assert_eq!(pair.tokenizer.kind(), TokenizerKind::Characters);
    assert_eq!(lines_agree(&pair, "gemma4"), 0);
}

#[test]
fn word_pieces_agree() {
    let source = Source::of(kit::GEMMA);
    let mut pieces: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(String::from).into();
    let letters = |text: &str| {
        !text.is_empty() && text.chars().all(|each| each.is_alphanumeric() && !each.is_uppercase())
    };
    for piece in source.pieces.iter().take(120_000) {
        let text = piece.strip_prefix('▁').unwrap_or(piece);
        if letters(text) || (text.chars().count() == 1 && text.is_ascii() && !text.trim().is_empty()) {
            pieces.push(piece.clone());
        }
    }
    let marks = (33..127_u8).map(|byte| format!("▁{}", char::from(byte)));
    pieces.extend(marks);
    let mut seen = HashSet::new();
    pieces.retain(|piece| seen.insert(piece.clone()));
    let mut types = vec![1; pieces.len()];
    types[..4].copy_from_slice(&[3, 2, 3, 3]);
    let source = Source { pieces, types, scores: Vec::new(), merges: Vec::new() };
    let mut craft = source.craft("bert");
    for (key, id) in
        [("unknown", 1_u32), ("padding", 0), ("cls", 2), ("seperator", 3), ("bos", 2), ("eos", 3)]
    {
        craft.put(&format!("tokenizer.ggml.{key}_token_id"), 4, &id.to_le_bytes());
    }
    let pair = craft.open();
    assert_eq!(pair.tokenizer.kind(), TokenizerKind::WordPiece);
    // llama.cpp takes the vowel signs of Indic scripts for accents, and knows more control characters as blanks; there
    // the ids differ, and the app says so.
    let differs = |each| matches!(each, '\u{900}'..='\u{dff}' | '\u{20e3}' | '\u{85}' | '\u{b}' | '\u{c}');
    assert_eq!(lines_agree_where(&pair, "bert", |text| !text.chars().any(differs)), 0);
}

#[test]
fn unigram_pieces_agree() {
    let source = Source::of(kit::GEMMA);
    let entries = source.pieces.iter().zip(&source.types).take(100_000);
    let (mut pieces, mut types) = (Vec::new(), Vec::new());
    for (piece, kind) in entries {
        pieces.push(piece.clone());
        types.push(if piece == "<unk>" { 2 } else { *kind });
    }
    let scores = (0..pieces.len()).map(|id| -3.0 - (id as f32 + 1.0).ln()).collect();
    let unknown = pieces.iter().position(|piece| piece == "<unk>").unwrap() as u32;
    let source = Source { pieces, types, scores, merges: Vec::new() };
    let mut craft = source.craft("t5");
    craft.put("tokenizer.ggml.unknown_token_id", 4, &unknown.to_le_bytes());
    craft.yes("tokenizer.ggml.add_space_prefix", true);
    let pair = craft.open();
    assert_eq!(pair.tokenizer.kind(), TokenizerKind::Unigram);
    assert_eq!(lines_agree(&pair, "t5"), 0);
}

/// Between letters and digits, so that each class of characters shows in the cuts.
#[test]
fn every_character_is_classed_as_in_llama_cpp() {
    let pair = locked(&SMOL);
    let differs = |character: char| {
        pair.disagreement(&format!("a{character}b 1{character}2 {character}"), false).is_some()
    };
    // The planes in which characters are assigned; of the others no table says anything.
    let all: Vec<char> = (0..0x4_0000).chain(0xE_0000..0xE_0200).filter_map(char::from_u32).collect();
    let mut found = Vec::new();
    for block in all.chunks(64) {
        let words: Vec<String> =
            block.iter().map(|character| format!("a{character}b 1{character}2 {character}")).collect();
        let text = words.join(" ") + " ";
        if pair.disagreement(&text, false).is_some() {
            found.extend(block.iter().copied().filter(|character| differs(*character)));
        }
    }
    let codes: Vec<String> = found.iter().map(|character| format!("{:04X}", u32::from(*character))).collect();
    assert!(codes.is_empty(), "{} characters are classed otherwise: {}", codes.len(), codes.join(" "));
}
