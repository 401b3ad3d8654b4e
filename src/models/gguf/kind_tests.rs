//! What files are that are no models to chat with, and why tokens of a model may be wrong.

use super::craft::{Craft, number, numbers, text, texts};
use super::tests::{read, written};
use super::{Header, Path};

fn said(craft: &Craft) -> Option<String> {
    read(&craft.bytes()).unwrap_or_else(|error| panic!("{error}")).not_a_chat()
}

fn check(craft: &Craft, expected: &str) {
    let what = said(craft).unwrap_or_else(|| panic!("nothing is said where {expected:?} should be"));
    assert!(what.contains(expected), "{what:?} does not say {expected:?}");
    assert!(what.ends_with('.') && what.contains("ame ") | what.contains("ake "), "{what:?} gives no way on");
}

fn of(architecture: &str) -> Craft {
    Craft::new().with("general.architecture", text(architecture))
}

#[test]
fn a_model_to_chat_with_is_none_of_these() {
    assert_eq!(said(&Craft::new()), None);
    assert_eq!(said(&Craft::new().with("general.type", text("model"))), None);
    for architecture in ["gemma3", "qwen3moe", "mamba", "rwkv7", "gpt-oss", "pangu-embedded", "cogvlm"] {
        assert_eq!(said(&of(architecture)), None, "{architecture}");
    }
}

#[test]
fn models_that_give_vectors_are_called_that() {
    for architecture in [
        "bert",
        "modern-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "neo-bert",
        "jina-bert-v2",
        "jina-bert-v3",
        "eurobert",
        "gemma-embedding",
        "llama-embed",
    ] {
        check(&of(architecture), "is an embedding model");
    }
    check(&Craft::new().with("llama.pooling_type", number(3)), "is an embedding model");
}

#[test]
fn rerankers_and_classifiers_are_called_that() {
    check(&of("bert").with("bert.pooling_type", number(4)), "is a reranker");
    check(&Craft::new().with("llama.pooling_type", number(4)), "is a reranker");
    check(&Craft::new().with("llama.classifier.output_labels", texts(&["yes", "no"])), "is a reranker");
    let mut head = Craft::new();
    head.tensors.push(("cls.output.weight".to_owned(), vec![32, 1], 0));
    check(&head, "is a reranker");
}

#[test]
fn parts_of_models_are_called_what_they_are() {
    check(&Craft::new().with("general.type", text("adapter")), "is a LoRA adapter");
    check(&Craft::new().with("adapter.type", text("lora")), "is a LoRA adapter");
    let mut lora = Craft::new();
    lora.tensors = vec![
        ("blk.0.attn_q.weight.lora_a".to_owned(), vec![32, 4], 0),
        ("blk.0.attn_q.weight.lora_b".to_owned(), vec![4, 32], 0),
    ];
    check(&lora, "is a LoRA adapter");
    check(&of("controlvector"), "is a control vector");
    let directions = Craft { tensors: vec![("direction.1".to_owned(), vec![32], 0)], ..Craft::new() };
    check(&directions, "is a control vector");
    check(&Craft::new().with("general.type", text("mmproj")), "is a projector");
    check(&of("clip"), "is a projector");
    for architecture in ["eagle3", "dflash", "gemma4-assistant"] {
        check(&of(architecture), "only drafts");
    }
    let mut heads =
        Craft::new().with("llama.block_count", number(3)).with("llama.nextn_predict_layers", number(1));
    heads.tensors.push(("blk.2.nextn.eh_proj.weight".to_owned(), vec![64, 32], 0));
    check(&heads, "only drafts");
    heads.tensors.push(("blk.0.attn_norm.weight".to_owned(), vec![32], 0));
    assert_eq!(said(&heads), None, "the model is in the same file");
}

#[test]
fn what_reads_or_writes_otherwise_is_called_what_it_is() {
    for architecture in ["t5", "t5encoder"] {
        check(&of(architecture), "is an encoder-decoder");
    }
    for architecture in ["dream", "llada", "llada-moe", "rnd1"] {
        check(&of(architecture), "by diffusion");
    }
    for architecture in ["wavtokenizer-dec", "qwen3tts", "pockettts", "whisper"] {
        check(&of(architecture), "sound");
    }
    for architecture in ["flux", "sd1", "sdxl", "sd3", "wan", "qwen_image"] {
        check(&of(architecture), "pictures");
    }
    for none in ["none", "no_vocab"] {
        check(&Craft::new().with("tokenizer.ggml.model", text(none)), "has no vocabulary");
    }
}

/// A file of another program's kind has no architecture at all.
#[test]
fn an_importance_matrix_is_called_one_and_not_damaged() {
    let matrix = Craft {
        metadata: vec![
            ("general.type".to_owned(), text("imatrix")),
            ("imatrix.datasets".to_owned(), texts(&["calibration.txt"])),
            ("imatrix.chunk_count".to_owned(), number(10)),
        ],
        tensors: vec![("blk.0.attn_q.weight.in_sum2".to_owned(), vec![32], 0)],
        ..Craft::new()
    };
    check(&matrix, "is an importance matrix");
    let message = read(&Craft::new().without("general.architecture").bytes()).unwrap_err().to_string();
    assert!(message.contains("names no architecture") && !message.contains("harm"), "{message}");
}

#[test]
fn a_vocabulary_alone_is_no_model_for_the_list_either() {
    let (_folder, path) = written("v.gguf", &Craft { tensors: Vec::new(), ..Craft::new() }.bytes());
    let folder = crate::models::ModelsFolder::new(path.with_file_name("models"));
    let entry = crate::model_entry::ModelEntry::new("v", crate::model_entry::Source::Path(path));
    let message = folder.resolve(&entry).unwrap_err().to_string();
    assert!(message.contains("holds no weights"), "{message}");
    let item = folder.catalogue(&[entry]).remove(0);
    assert!(item.facts.unwrap_err().contains("holds no weights"));
}

fn doubts(craft: &Craft) -> Vec<String> {
    let (_folder, path): (_, std::path::PathBuf) = written("m.gguf", &craft.bytes());
    let header = Header::read(Path::new(&path)).unwrap();
    assert_eq!(header.not_a_chat(), None, "it can be chatted with all the same");
    header.facts().doubts.clone()
}

/// A vocabulary of merges, as it should be.
fn byte_level() -> Craft {
    Craft::new()
        .with("tokenizer.ggml.model", text("gpt2"))
        .with("tokenizer.ggml.pre", text("smollm"))
        .with("tokenizer.ggml.merges", texts(&["a b"]))
        .with("tokenizer.ggml.token_type", numbers(&[3, 3, 1, 1, 1]))
        .with("tokenizer.ggml.eos_token_id", number(1))
}

fn truth() -> Vec<u8> {
    [&7_u32.to_le_bytes()[..], &[1]].concat()
}

/// A SentencePiece vocabulary, as it should be.
fn sentence_piece() -> Craft {
    Craft::new()
        .with("tokenizer.ggml.model", text("llama"))
        .with("tokenizer.ggml.scores", numbers(&[0; 5]))
        .with("tokenizer.ggml.token_type", numbers(&[3, 3, 1, 1, 1]))
}

#[test]
fn a_sound_vocabulary_raises_no_doubt() {
    assert_eq!(doubts(&byte_level()), [""; 0]);
    assert_eq!(doubts(&sentence_piece()), [""; 0]);
    assert_eq!(doubts(&byte_level().with("tokenizer.ggml.add_bos_token", number(1))), [""; 0]);
}

#[test]
fn what_makes_tokens_wrong_is_a_doubt_each() {
    let one = |craft: Craft, key: &str, what: &str| {
        let doubts = doubts(&craft);
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert!(doubts[0].contains(key) && doubts[0].contains(what), "{doubts:?}");
        assert!(doubts[0].ends_with('.'), "{doubts:?}");
    };
    let key = |name: &str| format!("tokenizer.ggml.{name}");
    one(byte_level().without(&key("pre")), "tokenizer.ggml.pre", "cut");
    one(byte_level().with(&key("pre"), text("")), "tokenizer.ggml.pre", "cut");
    one(byte_level().without(&key("token_type")), "token_type", "control tokens");
    one(sentence_piece().without(&key("token_type")), "token_type", "control tokens");
    one(sentence_piece().without(&key("scores")), "scores", "merged");
    one(byte_level().without(&key("eos_token_id")), "eos_token_id", "ends");
    one(byte_level().with(&key("eos_token_id"), number(99)), "eos_token_id", "99");
    one(byte_level().with(&key("add_bos_token"), truth()), "bos_token_id", "begin");
    one(byte_level().without(&key("merges")), "merges", "0 rules");
    one(byte_level().with(&key("token_type"), numbers(&[1; 5])), "token_type", "ends a reply");
    one(sentence_piece().with(&key("bos_token_id"), number(5)), "bos_token_id", "5");
    one(
        sentence_piece().with("llama.vocab_size", number(9)).with(&key("eot_token_id"), number(7)),
        "eot",
        "7",
    );
    let all = doubts(&byte_level().without(&key("pre")).without(&key("token_type")));
    assert_eq!(all.len(), 2, "{all:?}");
}
