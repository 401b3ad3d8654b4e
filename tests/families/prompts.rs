//! Prompts of chats on vocabularies that the models of the other tests do not have.
//!
//! Invariant: what is expected comes from the vocabulary's own way with the whole text.

use glassbox::chat::Role;
use glassbox::engine::protocol::{
    Event, Generate, Job, Message, Prompt, Request, StoredTokens, TemplateSetting,
};
use glassbox::sampling::Sampling;
use glassbox::token::TokenId;

use crate::family::LLAMA;
use crate::fixture::Fixture;
use crate::{exact, gguf};

fn ids_of(model: &mut Fixture, prompt: Prompt) -> Vec<TokenId> {
    let sampling = Sampling { temperature: 0.0, max_tokens: 1, ..Sampling::default() };
    let generate =
        Generate { prompt, sampling, top_logprobs: 1, begun: 0, interventions: Vec::new(), allow: None };
    let events = model.handle(Request::Job(Job::Generate(Box::new(generate))));
    let facts = events.into_iter().find_map(|event| match event {
        Event::Prompt(facts) => Some(facts),
        Event::Failed(failure) => panic!("{}", failure.message),
        _ => None,
    });
    let facts = facts.unwrap();
    assert_eq!(facts.notes, [""; 0]);
    facts.ids
}

#[test]
fn where_texts_begin_with_a_blank_what_follows_a_reply_is_tokenised_in_place() {
    let meta = [gguf::metadata(&LLAMA), gguf::sentencepiece()].concat();
    let mut model = Fixture::new(LLAMA.architecture, meta, &gguf::tensors(&LLAMA), &exact());
    let vocabulary = model.shared.vocabulary().unwrap();
    let stored = |text: &str| {
        let letter = |letter: char| {
            let spelt = letter.to_string();
            let id =
                (0..320).map(TokenId).find(|id| vocabulary.bytes(*id) == Some(spelt.as_bytes())).unwrap();
            (id, 1)
        };
        let tokens = text.chars().map(letter).collect();
        Some(StoredTokens { vocabulary: vocabulary.hash.clone(), tokens })
    };
    let reply = |text: &str| Message { stored: stored(text), ..Message::new(Role::Assistant, text) };
    let asked = |text: &str| Message::new(Role::User, text);
    for (first, second) in [("Hi", "and so on"), ("so", "so"), (" so it is", "  so")] {
        let messages = vec![asked(first), reply("yes"), asked(second), reply("no"), asked("a")];
        let setting = TemplateSetting::default();
        let prompt = Prompt::Chat { messages, continue_last: false, setting };
        let ids = ids_of(&mut model, prompt);
        let text = vocabulary.spelt(&ids[1..]);
        // One blank in front of the whole, none within it; and token for token as the whole text is cut.
        let whole = text.strip_prefix(' ').unwrap().to_owned();
        assert!(whole.starts_with("User:"), "{whole:?}");
        let read: Vec<TokenId> =
            model.shared.tokenize(&whole, false, true).unwrap().into_iter().map(|(id, _)| id).collect();
        assert_eq!((ids[0], text), (TokenId(1), vocabulary.spelt(&read[1..])));
        let behind = |ids: &[TokenId]| {
            ids.split(|id| vocabulary.bytes(*id) == Some(b"o")).next_back().unwrap().to_vec()
        };
        assert_eq!(behind(&ids), behind(&read), "{whole:?}");
    }
}

#[test]
fn a_text_with_the_vocabularys_sign_for_blanks_keeps_its_places_and_is_doubted() {
    let meta = [gguf::metadata(&LLAMA), gguf::sentencepiece()].concat();
    let model = Fixture::new(LLAMA.architecture, meta, &gguf::tensors(&LLAMA), &exact());
    let vocabulary = model.shared.vocabulary().unwrap();
    for (text, doubted) in
        [("so ▁▂▃ so", true), ("▁", true), ("a▁▁b ▁", true), ("so ▂ so", false), ("", false)]
    {
        for inside in [false, true] {
            let pieces = model.shared.pieces(text, false, inside).unwrap();
            let doubt = pieces.doubt.clone().unwrap_or_default();
            assert_eq!(doubt.contains("spells blanks with ▁"), doubted, "{text:?} {inside}: {doubt:?}");
            // Each byte of the text belongs to one token, and each token shows what it spells.
            let mut at = 0;
            for (id, (from, to)) in pieces.tokens() {
                assert_eq!(*from as usize, at, "{text:?} {inside}: {pieces:?}");
                at = *to as usize;
                let (spelt, shown) = (vocabulary.bytes(*id).unwrap(), &text.as_bytes()[*from as usize..at]);
                let shown = String::from_utf8_lossy(shown).replace('▁', " ").into_bytes();
                let is_byte = spelt.len() == 1 && !spelt.is_ascii();
                assert!(is_byte || spelt.ends_with(&shown), "{text:?}: {spelt:?} shows {shown:?}");
            }
            assert_eq!(at, text.len(), "{text:?} {inside}: {pieces:?}");
        }
    }
}
