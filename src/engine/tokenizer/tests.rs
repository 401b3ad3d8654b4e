//! Small vocabularies of every kind, whose tokens were worked out by hand.

use std::collections::HashMap;

use super::*;
use crate::inspect::pieces::Merge;
use crate::model_entry::TensorPlace;

/// Metadata as a file would have it.
#[derive(Default)]
struct Small {
    texts: HashMap<&'static str, String>,
    lists: HashMap<&'static str, Vec<String>>,
    numbers: HashMap<&'static str, Vec<f64>>,
}

impl ModelFile for Small {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    fn tensor(&self, _: &str) -> Option<TensorPlace> {
        None
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.numbers.get(key).and_then(|numbers| numbers.first().copied())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.texts.get(key).cloned()
    }

    fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        self.numbers.get(key).cloned()
    }

    fn texts(&self, key: &str) -> Option<Vec<String>> {
        self.lists.get(key).cloned()
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|each| (*each).to_owned()).collect()
}

fn file(model: &str, pieces: &[&str]) -> Small {
    let mut small = Small::default();
    small.texts.insert("tokenizer.ggml.model", model.into());
    small.lists.insert("tokenizer.ggml.tokens", owned(pieces));
    small
}

fn byte_level(pre: &str, pieces: &[&str], merges: &[&str]) -> Small {
    let mut small = file("gpt2", pieces);
    small.texts.insert("tokenizer.ggml.pre", pre.into());
    small.lists.insert("tokenizer.ggml.merges", owned(merges));
    small
}

fn built(small: &Small, special: &[(usize, TokenKind)]) -> Tokenizer {
    let mut kinds = vec![TokenKind::Normal; small.lists["tokenizer.ggml.tokens"].len()];
    for (id, kind) in special {
        kinds[*id] = *kind;
    }
    Tokenizer::build(small, &kinds).unwrap()
}

/// Both readings, which must agree.
fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<i32> {
    let told = tokenizer.tell(text, false, false).unwrap();
    let ours: Vec<TokenId> = told.words.iter().flat_map(|word| &word.tokens).map(|(id, _)| *id).collect();
    assert_eq!(ours, told.second, "{text:?}");
    ours.into_iter().map(|id| id.0).collect()
}

const LOW: [&str; 12] = ["l", "o", "w", "e", "r", "Ġ", "er", "lo", "low", "Ġlow", "<end>", "Ċ"];
const LOW_MERGES: [&str; 4] = ["e r", "l o", "lo w", "Ġ low"];

#[test]
fn bytes_merge_in_the_order_of_the_rules() {
    let tokenizer = built(&byte_level("gpt-2", &LOW, &LOW_MERGES), &[(10, TokenKind::Control)]);
    let told = tokenizer.tell("low lower", false, false).unwrap();
    let spans: Vec<_> = told.words.iter().map(|word| word.span).collect();
    assert_eq!(spans, [(0, 3), (3, 9)]);
    let merge = |rank, from, meet, to| Merge { rank: Some(rank), score: None, span: (from, meet, to) };
    let expected = [merge(0, 7, 8, 9), merge(1, 4, 5, 6), merge(2, 4, 6, 7), merge(3, 3, 4, 7)];
    assert_eq!(told.words[1].merges, expected);
    assert_eq!(told.words[1].tokens, [(TokenId(9), (3, 7)), (TokenId(6), (7, 9))]);
    assert_eq!(told.words[1].start.len(), 6);
    assert_eq!(told.second, [8, 9, 6].map(TokenId));
}

#[test]
fn a_mark_in_typed_text_is_text_and_a_user_defined_token_is_found_first() {
    let mut small = byte_level("gpt-2", &LOW, &LOW_MERGES);
    small.lists.get_mut("tokenizer.ggml.tokens").unwrap().push("ow".into());
    let tokenizer = built(&small, &[(10, TokenKind::Control), (12, TokenKind::UserDefined)]);
    assert_eq!(ids(&tokenizer, "low"), [0, 12]);
    let marked = tokenizer.tell("low<end>", true, false).unwrap();
    assert_eq!(marked.second, [0, 12, 10].map(TokenId));
    assert_eq!(marked.words[2].span, (3, 8));
}

#[test]
fn a_word_of_the_vocabulary_is_taken_whole_where_the_family_does_so() {
    let merges = &LOW_MERGES[..2];
    assert_eq!(ids(&built(&byte_level("gpt-2", &LOW, merges), &[]), "low"), [7, 2]);
    let tokenizer = built(&byte_level("llama-bpe", &LOW, merges), &[]);
    assert_eq!(ids(&tokenizer, "low"), [8]);
    assert!(tokenizer.tell("low", false, false).unwrap().words[0].merges.is_empty());
}

fn sentence_piece(scores: &[f64], pieces: &[&str]) -> Small {
    let mut small = file("llama", pieces);
    small.numbers.insert("tokenizer.ggml.scores", scores.to_vec());
    small
}

#[test]
fn scores_say_which_neighbours_merge_and_bytes_stand_in_for_what_is_unknown() {
    let pieces = ["<unk>", "<0xC3>", "<0xA9>", "▁", "l", "o", "w", "lo", "ow", "▁low", "low", "▁l"];
    let scores = [0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -9.0, -2.0, -1.0, -4.0, -3.0, -5.0];
    let mut small = sentence_piece(&scores, &pieces);
    let special = [(0, TokenKind::Unused), (1, TokenKind::Byte), (2, TokenKind::Byte)];
    let tokenizer = built(&small, &special);
    let told = tokenizer.tell("low é", false, false).unwrap();
    assert_eq!(told.second, [9, 3, 1, 2].map(TokenId));
    let [word] = told.words.as_slice() else { panic!("{told:?}") };
    assert_eq!(word.start, [(0, 0), (0, 1), (1, 2), (2, 3), (3, 4), (4, 6)]);
    let merge = |score, from, meet, to| Merge { rank: None, score: Some(score), span: (from, meet, to) };
    assert_eq!(word.merges, [merge(-1.0, 1, 2, 3), merge(-3.0, 0, 1, 3), merge(-4.0, 0, 0, 3)]);
    let tokens = [(9, (0, 3)), (3, (3, 4)), (1, (4, 5)), (2, (5, 6))];
    assert_eq!(word.tokens, tokens.map(|(id, span)| (TokenId(id), span)));
    assert_eq!(tokenizer.tell("low", false, true).unwrap().second, [TokenId(10)]);
    small.numbers.insert("tokenizer.ggml.add_space_prefix", vec![0.0]);
    assert_eq!(ids(&built(&small, &special), "low"), [10]);
}

#[test]
fn word_piece_takes_the_longest_piece_from_the_left() {
    let pieces = ["[PAD]", "[UNK]", "▁un", "aff", "able", "▁play", "ing", "▁!", "▁a"];
    let mut small = file("bert", &pieces);
    small.numbers.insert("tokenizer.ggml.unknown_token_id", vec![1.0]);
    let tokenizer = built(&small, &[(0, TokenKind::Control), (1, TokenKind::Unused)]);
    assert_eq!(ids(&tokenizer, "Unaffable playing!"), [2, 3, 4, 5, 6, 7]);
    assert_eq!(ids(&tokenizer, "á zebra a"), [8, 1, 8]);
    let told = tokenizer.tell("un playing", false, false).unwrap();
    assert_eq!(told.words[1].span, (3, 10));
    assert_eq!(told.words[1].tokens, [(TokenId(5), (3, 7)), (TokenId(6), (7, 10))]);
    assert!(told.words.iter().all(|word| word.merges.is_empty() && word.start.is_empty()));
}

#[test]
fn unigram_takes_the_likeliest_cut() {
    let pieces = ["<pad>", "</s>", "<unk>", "▁low", "er", "▁lo", "wer", "▁", "l", "o", "w", "e", "r"];
    let scores = [0.0, 0.0, 0.0, -3.0, -2.5, -4.0, -2.0, -8.0, -9.0, -9.0, -9.0, -9.0, -9.0];
    let mut small = file("t5", &pieces);
    small.numbers.insert("tokenizer.ggml.scores", scores.to_vec());
    small.numbers.insert("tokenizer.ggml.add_space_prefix", vec![1.0]);
    let marks = [(0, TokenKind::Control), (1, TokenKind::Control), (2, TokenKind::Unused)];
    let tokenizer = built(&small, &marks);
    assert_eq!(ids(&tokenizer, "lower"), [3, 4]);
    assert_eq!(ids(&tokenizer, "lower low"), [3, 4, 3]);
    assert_eq!(ids(&tokenizer, "low7"), [3, 2]);
}

#[test]
fn what_is_not_known_is_said() {
    let kinds = [TokenKind::Normal; 12];
    let check = |small: &Small, says: &str| match Tokenizer::build(
        small,
        &kinds[..small.lists["tokenizer.ggml.tokens"].len()],
    ) {
        Err(why) => assert!(why.contains(says), "{why}"),
        Ok(_) => panic!("{says}"),
    };
    check(&file("rwkv", &["a"]), "of the kind \"rwkv\" are not known");
    check(&byte_level("klingon", &LOW, &LOW_MERGES), "\"klingon\"");
    check(&file("llama", &["a"]), "no scores");
    let mut small = byte_level("gpt-2", &LOW, &LOW_MERGES);
    small.lists.remove("tokenizer.ggml.merges");
    check(&small, "no merges");
}

#[test]
fn every_familys_expressions_can_be_read() {
    for pre in cuts::FAMILIES {
        let tokenizer = built(&byte_level(pre, &LOW, &LOW_MERGES), &[]);
        assert!(tokenizer.tell("low 1234 lower\n\n  é", false, false).is_ok(), "{pre}");
    }
}

#[test]
fn a_merge_of_what_is_no_piece_is_left_out() {
    let tokenizer = built(&byte_level("gpt-2", &LOW, &["l x", "l o"]), &[]);
    assert_eq!((ids(&tokenizer, "lo"), tokenizer.merges()), (vec![7], 2));
}
