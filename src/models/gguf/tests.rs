//! The reader against sound, broken and hostile files.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use super::craft::{self, Craft, decimal, empty_list, number, numbers, short, text, texts};
use super::*;
use crate::model_entry::{CacheType, FlashAttention, LoadParams, RopeMethod, RopeScaling};
use crate::sampling::SamplingOverrides;

pub(super) fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

pub(super) fn read(bytes: &[u8]) -> Result<Header, GgufError> {
    let (_folder, path) = written("m.gguf", bytes);
    Header::read(&path)
}

/// Reading `bytes` fails with a sentence that holds `expected` and the file's name.
fn check_refused(bytes: &[u8], expected: &str) {
    let message = read(bytes).unwrap_err().to_string();
    assert!(message.contains(expected), "{message:?} does not say {expected:?}");
    assert!(message.contains("m.gguf"), "{message:?} does not name the file");
}

#[test]
fn a_sound_header_gives_its_facts() {
    let bytes = Craft::new().bytes();
    let header = read(&bytes).unwrap();
    let expected = ModelFacts {
        name: "Tiny".to_owned(),
        architecture: "llama".to_owned(),
        quantisation: "Q4_1".to_owned(),
        file_size: bytes.len() as u64,
        parameters: 32 * 5 + 32,
        context_length: 64,
        rope_method: RopeMethod::Model,
        rope_factor: 0.0,
        layers: 2,
        mtp_layers: 0,
        unaligned: false,
        heads: 4,
        kv_heads: 2,
        embedding_length: 32,
        head_dim: 8,
        vocabulary_size: 5,
        licence: Some("mit".to_owned()),
        chat_template: Some("{{ messages }}".to_owned()),
        // 2 bytes × 2 layers × 2 heads × (8 + 8).
        kv_bytes_per_token: 128,
        files: header.files().to_vec(),
        doubts: Vec::new(),
        makers: SamplingOverrides::default(),
    };
    assert_eq!(header.facts(), &expected);
}

#[test]
fn what_a_file_recommends_of_the_sampler_is_read_where_it_makes_sense() {
    let bytes = Craft::new()
        .with("general.sampling.temp", decimal(0.6))
        .with("general.sampling.top_k", number(20))
        .with("general.sampling.top_p", decimal(7.0))
        .with("general.sampling.min_p", super::craft::text("none"))
        .bytes();
    let expected =
        SamplingOverrides { temperature: Some(0.6), top_k: Some(20), ..SamplingOverrides::default() };
    assert_eq!(read(&bytes).unwrap().facts().makers, expected);
}

#[test]
fn lists_are_read_on_request() {
    let header = read(&Craft::new().bytes()).unwrap();
    let tokens = ["<s>", "</s>", "a", "b", "c"].map(str::to_owned).to_vec();
    let key = "tokenizer.ggml.tokens";
    assert_eq!(header.list_len(key), Some(5));
    assert_eq!(header.metadata(key).unwrap(), Some(Value::Array(Array::Text(tokens))));
    assert_eq!(header.metadata("llama.block_count").unwrap(), Some(Value::Unsigned(2)));
    assert_eq!(header.metadata("nothing").unwrap(), None);
}

#[test]
fn tensors_have_their_place_in_the_file() {
    let mut bytes = Craft::new().bytes();
    let header = read(&bytes).unwrap();
    let norm = header.tensor("output_norm.weight").unwrap().clone();
    assert_eq!((norm.shape.clone(), norm.kind.name(), norm.bytes), (vec![32], "F32", 128));
    assert_eq!(norm.offset + norm.bytes, bytes.len() as u64);
    bytes.truncate(bytes.len() - 1);
    check_refused(&bytes, "cut short");
}

#[test]
fn heads_may_differ_from_layer_to_layer() {
    let craft = Craft::new().with("llama.attention.head_count_kv", numbers(&[2, 4]));
    let header = read(&craft.bytes()).unwrap();
    assert_eq!((header.facts().kv_heads, header.facts().kv_bytes_per_token), (4, 2 * (2 + 4) * 16));
}

#[test]
fn missing_keys_have_defaults() {
    let craft = Craft::new()
        .without("general.name")
        .without("general.file_type")
        .without("llama.attention.head_count_kv")
        .without("tokenizer.chat_template");
    let facts = read(&craft.bytes()).unwrap().facts().clone();
    assert_eq!((facts.name.as_str(), facts.quantisation.as_str(), facts.kv_heads), ("m", "Q4_1", 4));
    assert_eq!(facts.chat_template, None);
}

#[test]
fn broken_headers_are_refused_with_the_reason() {
    let craft = Craft::new;
    check_refused(b"", "is empty");
    check_refused(b"GG", "not a GGUF file");
    check_refused(b"To be, or not to be", "not a GGUF file");
    check_refused(b"GGUF", "cut short");
    check_refused(&Craft { version: 1, ..craft() }.bytes(), "version 1");
    check_refused(&Craft { version: 0x0300_0000, ..craft() }.bytes(), "other byte order");
    check_refused(&craft().without("general.architecture").bytes(), "no architecture");
    check_refused(&craft().with("general.architecture", number(1)).bytes(), "is not a text");
    check_refused(&craft().with("llama.block_count", text("two")).bytes(), "is not a whole number");
    check_refused(&craft().with("general.alignment", number(3)).bytes(), "power of two");
    check_refused(&craft().with("odd", 77_u32.to_le_bytes().to_vec()).bytes(), "unknown value type 77");
    check_refused(&craft().with("nested", empty_list(9, 1)).bytes(), "list of lists");
    check_refused(&craft().with("long", empty_list(0, (1 << 24) + 1)).bytes(), "cut short");
    check_refused(&craft().with("long", empty_list(8, u64::MAX)).bytes(), "cut short");
    check_refused(&craft().with("short", empty_list(8, 1 << 24)).bytes(), "cut short");
    let mut twice = craft();
    twice.metadata.push(("general.name".to_owned(), text("Again")));
    check_refused(&twice.bytes(), "there twice");
}

#[test]
fn broken_tensors_are_refused_with_the_reason() {
    let with = |name: &str, shape: Vec<u64>, kind| {
        let mut craft = Craft::new();
        craft.tensors.push((name.to_owned(), shape, kind));
        craft.bytes()
    };
    check_refused(&with("output_norm.weight", vec![32], 0), "two tensors are called output_norm.weight");
    check_refused(&with("x", vec![32, 1, 1, 1, 1], 0), "5 dimensions");
    check_refused(&with("x", vec![33], 2), "impossible shape");
    check_refused(&with("x", vec![1], 4), "number format 4");
    check_refused(&with(&"x".repeat(64), vec![1], 0), "64 bytes long");
}

#[test]
fn counts_and_lengths_beyond_the_limits_are_refused() {
    let mut bytes = Craft::new().bytes();
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    check_refused(&bytes, "tensors, the limit is 100000");
    let mut bytes = Craft::new().bytes();
    bytes[24..32].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    check_refused(&bytes, "a metadata key is said to be");
}

#[test]
fn what_nobody_asks_for_may_be_as_long_as_the_specification_allows() {
    let long = text(&"x".repeat(5 << 20));
    let numbers = |count: u64| [empty_list(0, count), vec![7; count as usize]].concat();
    let mut many = Craft::new();
    many.metadata.extend((0..150_000).map(|index| (format!("notes.{index}"), number(1))));
    for (what, craft) in [
        ("a long text", Craft::new().with("tokenizer.huggingface.json", long.clone())),
        ("a long text in a list", Craft::new().with("notes", texts(&[&"x".repeat(5 << 20)]))),
        ("a long list", Craft::new().with("notes", numbers((1 << 24) + 1))),
        ("a long key", Craft::new().with(&"k".repeat(2000), number(1))),
        ("many keys", many),
    ] {
        let bytes = craft.bytes();
        let header = read(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(header.facts().layers, 2, "{what}");
    }
    // A template is asked for, and may be long too.
    let template = read(&Craft::new().with("tokenizer.chat_template", long).bytes()).unwrap();
    assert_eq!(template.facts().chat_template.as_ref().map(String::len), Some(5 << 20));
}

#[test]
fn blocks_that_only_foresee_are_not_counted_as_layers() {
    let plain = read(&Craft::new().bytes()).unwrap();
    let foreseeing =
        Craft::new().with("llama.block_count", number(3)).with("llama.nextn_predict_layers", number(1));
    let each = foreseeing.clone().with("llama.attention.head_count_kv", numbers(&[2, 2, 2]));
    for craft in [foreseeing, each] {
        let header = read(&craft.bytes()).unwrap();
        assert_eq!(header.facts().layers, 2);
        assert_eq!(header.facts().kv_bytes_per_token, plain.facts().kv_bytes_per_token);
    }
    let none_left = Craft::new().with("llama.nextn_predict_layers", number(5));
    assert_eq!(read(&none_left.bytes()).unwrap().facts().layers, 0);
}

#[test]
fn weights_that_llama_cpp_cannot_use_in_place_are_told() {
    for (alignment, unaligned) in [(8, true), (16, true), (32, false)] {
        let header = read(&Craft::new().with("general.alignment", number(alignment)).bytes()).unwrap();
        assert_eq!(header.facts().unaligned, unaligned, "{alignment}");
    }
}

#[test]
fn what_is_asked_for_still_has_limits() {
    let longer = empty_list(0, (1 << 24) + 1);
    let bytes = Craft::new().with("llama.block_count", [longer, vec![1; (1 << 24) + 1]].concat()).bytes();
    check_refused(&bytes, "the limit is");
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_skipped_is_not_read_into_memory() {
    let (_folder, path) = written("m.gguf", &[]);
    // Its last entry claims a list as long as the file, which is sparse.
    let size: u64 = 1 << 40;
    let mut head =
        Craft { tensors: Vec::new(), ..Craft::new() }.with("x", empty_list(0, size - 4096)).bytes();
    head.truncate(head.len() - head.len() % 32);
    let mut file = File::create(&path).unwrap();
    file.write_all(&head).unwrap();
    file.set_len(size).unwrap();
    let begun = Instant::now();
    let header = Header::read(&path).unwrap();
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(header.list_len("x"), Some(size - 4096));
}

#[test]
fn a_name_in_a_message_cannot_reach_the_terminal() {
    let message = read(&Craft::new().with("\u{1b}[2J", empty_list(9, 1)).bytes()).unwrap_err().to_string();
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| Header::read(path).unwrap_err().to_string();
    assert!(message(folder.path()).contains("a folder"));
    assert!(message(&folder.path().join("absent.gguf")).contains("does not exist"));
    let pipe = folder.path().join("pipe.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(message(&pipe).contains("a pipe"));
}

#[test]
fn a_sparse_terabyte_is_refused_quickly() {
    let (_folder, path) = written("m.gguf", &[]);
    let mut file = File::create(&path).unwrap();
    // As many metadata entries as are allowed, the first a list of as many texts as are allowed.
    file.write_all(
        &Craft { tensors: Vec::new(), ..Craft::new() }.with("zeros", empty_list(8, 1 << 20)).bytes(),
    )
    .unwrap();
    file.set_len(1 << 40).unwrap();
    let begun = Instant::now();
    let result = Header::read(&path);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // Its texts are all empty, which is allowed; nothing else of it is read.
    assert_eq!(result.unwrap().facts().file_size, 1 << 40);

    std::fs::write(&path, []).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(Header::read(&path).unwrap_err().to_string().contains("not a GGUF file"));
}

#[test]
fn a_split_model_is_read_whole_or_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let part = |number: usize| folder.path().join(format!("m-{number:05}-of-00002.gguf"));
    let first =
        Craft { tensors: vec![("a".to_owned(), vec![32], 0)], ..Craft::new() }.with("split.count", short(2));
    let second =
        Craft { metadata: Vec::new(), tensors: vec![("b".to_owned(), vec![32, 2], 1)], ..Craft::new() };
    std::fs::write(part(1), first.bytes()).unwrap();
    let message = Header::read(&part(1)).unwrap_err().to_string();
    assert!(message.contains("m-00002-of-00002.gguf"), "{message}");

    std::fs::write(part(2), second.bytes()).unwrap();
    let header = Header::read(&part(1)).unwrap();
    assert_eq!(header.files(), [part(1), part(2)]);
    assert_eq!(header.facts().parameters, 32 + 64);
    assert_eq!(header.facts().file_size, (first.bytes().len() + second.bytes().len()) as u64);
    assert_eq!(header.tensor("b").unwrap().file, 1);

    let message = Header::read(&part(2)).unwrap_err().to_string();
    assert!(message.contains("Name its first part"), "{message}");
    let renamed = folder.path().join("m.gguf");
    std::fs::rename(part(1), &renamed).unwrap();
    let message = Header::read(&renamed).unwrap_err().to_string();
    assert!(message.contains("one of 2 parts"), "{message}");
}

#[test]
fn memory_follows_context_cache_type_and_batch() {
    let facts = ModelFacts {
        file_size: 1000,
        context_length: 2048,
        heads: 4,
        embedding_length: 32,
        vocabulary_size: 100,
        kv_bytes_per_token: 128,
        ..ModelFacts::default()
    };
    let params = LoadParams { context: 1536, flash_attention: FlashAttention::On, ..LoadParams::default() };
    let compute = 512 * (100 + 12 * 32) * 4;
    let f16 = memory_needed(&facts, &params);
    assert_eq!(f16, MemoryNeed { weights: 1000, context: 2048 * 128, compute });
    let q8 = LoadParams { cache_type_k: CacheType::Q8_0, cache_type_v: CacheType::Q8_0, ..params.clone() };
    assert_eq!(memory_needed(&facts, &q8).context, 2048 * 68);
    let capped = LoadParams { context: 1 << 20, ..params.clone() };
    assert_eq!(memory_needed(&facts, &capped).context, (2048 + 512) * 128);
    let plain = LoadParams { flash_attention: FlashAttention::Off, ..params };
    assert_eq!(memory_needed(&facts, &plain).compute, compute + 512 * 4 * 2048 * 4);
}

/// The context of a file for 64 tokens whose metadata has these keys, under these settings, and the memory for it.
fn check_context(keys: &[(&str, Vec<u8>)], rope: RopeScaling, expected: u32) {
    let craft = keys.iter().fold(Craft::new(), |craft, (key, value)| craft.with(key, value.clone()));
    let facts = read(&craft.bytes()).unwrap().facts().clone();
    let params = LoadParams { context: 100_000, rope, ..LoadParams::default() };
    assert_eq!(params.context_for(&facts), expected, "{keys:?} {rope:?}");
    let memory = memory_needed(&facts, &params);
    assert_eq!(memory.context, u64::from(expected + 512) * 128, "{keys:?} {rope:?}");
}

#[test]
fn the_context_is_stretched_only_by_what_scales_positions_beyond_the_file() {
    let scaled = |method, scale| RopeScaling { method, scale, ..RopeScaling::default() };
    let none = ("llama.rope.scaling.type", craft::text("none"));
    let linear = ("llama.rope.scaling.type", craft::text("linear"));
    let factor = ("llama.rope.scaling.factor", craft::decimal(4.0));
    check_context(&[], scaled(RopeMethod::Model, None), 64);
    check_context(&[], scaled(RopeMethod::Model, Some(0.25)), 256);
    check_context(&[], scaled(RopeMethod::None, Some(0.25)), 64);
    check_context(&[], scaled(RopeMethod::Model, Some(4.0)), 64);
    check_context(std::slice::from_ref(&none), scaled(RopeMethod::Model, Some(0.25)), 64);
    check_context(&[none], scaled(RopeMethod::Linear, Some(0.25)), 256);
    // The file's own context is what its own factor reaches.
    check_context(&[linear.clone(), factor.clone()], scaled(RopeMethod::Model, Some(0.25)), 64);
    check_context(&[linear, factor], scaled(RopeMethod::Model, Some(0.125)), 128);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_give_a_header_or_a_sentence(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
        let _ = read(&[b"GGUF\x03\0\0\0", &bytes[..]].concat());
    }

    #[test]
    fn any_mutation_gives_a_header_or_a_sentence(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut bytes = Craft::new().bytes();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(header) = read(&bytes) {
            let size = header.facts().file_size;
            prop_assert!(header.tensors().iter().all(|tensor| tensor.offset + tensor.bytes <= size));
        }
    }
}
