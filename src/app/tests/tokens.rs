//! The token cursor, colouring, and scores of typed text.

use proptest::prelude::*;

use super::*;
use crate::app::{Colouring, Focus, TokenCursor};
use crate::engine::protocol::{Failure, FailureKind, Score};
use crate::token::TokenKind;

/// A bench whose chat holds "Hi" and a reply of these tokens, with the focus in the transcript.
fn replied(tokens: &[&str]) -> Bench {
    let mut bench = Bench::asked("Hi");
    for token in tokens {
        bench.write(token);
    }
    bench.done(StopReason::Eos);
    bench.press(&["tab"]);
    bench
}

fn index(bench: &Bench) -> Option<usize> {
    bench.app.transcript.cursor.map(|at| at.index)
}

#[test]
fn tokens_and_words_are_walked_and_the_ends_hold() {
    let mut bench = replied(&["The", " cap", "ital", " is", ",", " Par", "is"]);
    let check = |bench: &mut Bench, key: &str, expected: usize| {
        bench.press(&[key]);
        assert_eq!(index(bench), Some(expected), "after {key}");
    };
    for (key, expected) in [
        ("l", 0),
        ("h", 0),
        ("l", 1),
        ("w", 3),
        ("w", 5),
        ("w", 6),
        ("l", 6),
        ("b", 5),
        ("b", 3),
        ("b", 1),
        ("b", 0),
    ] {
        check(&mut bench, key, expected);
    }
    bench.send(Msg::Key(KeyEvent::new(KeyCode::End, KeyModifiers::NONE)));
    assert_eq!(index(&bench), Some(6));
    bench.send(Msg::Key(KeyEvent::new(KeyCode::Home, KeyModifiers::NONE)));
    assert_eq!(index(&bench), Some(0));
    assert_eq!(bench.app.focus, Focus::Transcript);
}

/// What a key has copied.
fn copied(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text.clone()),
        _ => None,
    })
}

#[test]
fn text_is_marked_by_keys_and_copied_in_either_direction() {
    let mut bench = replied(&["The", " cap", "ital", " is", ",", " Par", "is"]);
    bench.press(&["l", "w", "w", "space", "l", "l"]);
    assert_eq!(copied(&bench.press(&["y"])).as_deref(), Some(" is, Par"));
    assert_eq!(copied(&bench.press(&["y"])).as_deref(), Some("The capital is, Paris"), "the mark is gone");
    bench.press(&["space", "b"]);
    assert_eq!(copied(&bench.press(&["y"])).as_deref(), Some(" is, Par"));
    // Esc gives the mark up before the cursor; the key itself takes it back.
    bench.press(&["space", "esc"]);
    assert_eq!((bench.app.transcript.mark, index(&bench)), (None, Some(3)));
    bench.press(&["space", "space"]);
    assert_eq!(bench.app.transcript.mark, None);
    bench.press(&["space", "esc", "esc"]);
    assert_eq!(index(&bench), None);
    // Without a cursor it begins where one would.
    bench.press(&["space"]);
    assert_eq!((copied(&bench.press(&["y"])).as_deref(), index(&bench)), (Some("The"), Some(0)));
}

#[test]
fn marked_text_goes_over_messages_and_keeps_characters_whole() {
    let mut bench = replied(&["a", " \u{e9}", "b"]);
    bench.say("More");
    for token in ["c", "\u{1b}[2J", "d"] {
        bench.write(token);
    }
    bench.done(StopReason::Eos);
    bench.press(&["tab", "k", "k"]);
    bench.app.transcript.selected = Some(bench.app.talk.chat.turns[1].id);
    bench.press(&["l", "l", "space"]);
    bench.app.transcript.selected = Some(bench.app.talk.chat.turns[3].id);
    let last = TokenCursor { turn: bench.app.talk.chat.turns[3].id, index: 1 };
    bench.app.transcript.cursor = Some(last);
    // What can act on a terminal is left out, as from every copy.
    assert_eq!(copied(&bench.press(&["y"])).as_deref(), Some(" \u{e9}b\n\nMore\n\nc\u{241b}[2J"));
    bench.press(&["space"]);
    bench.press(&["ctrl+n"]);
    assert_eq!(bench.app.transcript.mark, None, "a mark stays with its chat");
}

#[test]
fn folded_thoughts_are_left_out_of_what_is_marked() {
    let mut bench = replied(&["<think>", "hm", "</think>", "Paris", "."]);
    bench.press(&["end", "space", "home"]);
    assert_eq!(copied(&bench.press(&["y"])).as_deref(), Some("Paris."));
    bench.press(&["ctrl+t", "end", "space", "home"]);
    assert!(copied(&bench.press(&["y"])).unwrap().contains("hm"));
}

#[test]
fn esc_leaves_the_cursor_first_and_never_stops_the_reply_with_it() {
    let mut bench = Bench::asked("Hi");
    bench.write("a");
    bench.press(&["tab", "h"]);
    assert_eq!(index(&bench), Some(0));
    bench.write("b");
    assert_eq!(index(&bench), Some(0));
    assert_eq!(brief(&bench.press(&["esc"])), Vec::<String>::new());
    assert_eq!((index(&bench), bench.app.focus), (None, Focus::Transcript));
    assert_eq!(brief(&bench.press(&["esc", "esc"])), ["ask Cancel"]);
}

#[test]
fn uncertain_tokens_are_found_across_messages() {
    let mut bench = replied(&["a", "b", "c"]);
    let sure = |bench: &mut Bench, at: usize, bits: f32| {
        let turn = bench.app.talk.chat.turns.last_mut().unwrap();
        let Some(Span::Generated { steps, .. }) = turn.spans.last_mut() else { panic!() };
        steps[at].logprob = -bits * std::f32::consts::LN_2;
    };
    sure(&mut bench, 1, 3.0);
    bench.press(&["esc"]);
    bench.exchange("more", "x");
    sure(&mut bench, 0, 9.0);
    bench.press(&["tab", "k", "k", "n"]);
    let first = bench.app.transcript.cursor.unwrap();
    assert_eq!((first.turn, first.index), (bench.app.talk.chat.turns[1].id, 1));
    bench.press(&["n"]);
    assert_eq!(bench.app.transcript.cursor.unwrap().turn, bench.app.talk.chat.turns[3].id);
    bench.press(&["n"]);
    assert_eq!(bench.notice(), "no token of 2 bit surprise or more after here");
    bench.press(&["N"]);
    assert_eq!(bench.app.transcript.cursor, Some(first));
}

#[test]
fn a_message_without_tokens_is_sought_and_the_cursor_goes_on_with_the_next() {
    let mut bench = replied(&["a"]);
    bench.press(&["l", "k"]);
    assert_eq!((index(&bench), bench.app.transcript.seeking), (None, Some(bench.app.talk.chat.turns[0].id)));
    bench.press(&["j"]);
    assert_eq!((index(&bench), bench.app.transcript.seeking), (Some(0), None));
    bench.press(&["e"]);
    assert_eq!(bench.app.transcript.cursor.is_some(), bench.app.transcript.selected.is_some());
}

#[test]
fn colours_cycle_and_are_named() {
    let mut bench = replied(&["a"]);
    let mut seen = Vec::new();
    for _ in 0..6 {
        bench.press(&["m"]);
        seen.push(bench.app.transcript.colouring.name());
    }
    assert_eq!(seen, ["surprise", "probability", "rank", "uncertainty", "layer", "off"]);
    bench.press(&["esc"]);
    bench.say("/colour entropy");
    assert_eq!(bench.app.transcript.colouring, Colouring::Entropy);
    bench.say("/colour layers");
    assert_eq!(
        bench.notice(),
        "there is no colouring layers; there are off, surprise, probability, rank, uncertainty, layer"
    );
    bench.press(&["ctrl+n"]);
    assert_eq!(bench.app.transcript.colouring, Colouring::Entropy);
}

/// Ids 0 to 255 are bytes, 256 and 257 begin and end a message.
fn bytes_vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary { hash: "words".into(), ..Vocabulary::default() };
    for byte in 0..=255_u8 {
        vocabulary.push(&[byte], TokenKind::Normal);
    }
    vocabulary.push(b"<|im_start|>", TokenKind::Control);
    vocabulary.push(b"<|im_end|>", TokenKind::Control);
    vocabulary
}

fn prompt(text: &str) -> Vec<TokenId> {
    let bytes = |text: &str| text.bytes().map(|byte| TokenId(i32::from(byte))).collect::<Vec<_>>();
    let mut ids = vec![TokenId(256)];
    ids.extend(bytes(&format!("user\n{text}")));
    ids.push(TokenId(257));
    ids.push(TokenId(256));
    ids.extend(bytes("assistant\n"));
    ids
}

/// "Hi" was answered; nothing was scored yet.
pub(super) fn answered() -> Bench {
    let mut bench = Bench::ready();
    bench.app.talk.vocabularies.insert("words".into(), std::sync::Arc::new(bytes_vocabulary()));
    bench.say("Hi");
    bench.reply(Event::Prompt(PromptFacts { ids: prompt("Hi"), ..PromptFacts::default() }));
    bench.write("a");
    bench.done(StopReason::Eos);
    bench
}

fn score_of(effects: &[Effect]) -> Option<(u64, Score)> {
    asked_in!(effects, id, Request::Job(Job::Score(score)) => (id.0, (**score).clone()))
}

/// Colours on, and what the store holds (nothing) read.
fn asked(bench: &mut Bench) -> (u64, Score) {
    let chat = bench.app.talk.chat.head.id;
    bench.press(&["tab"]);
    assert!(brief(&bench.press(&["m"])).contains(&"store Scores".to_owned()));
    score_of(&bench.send(Msg::Store(store::Event::Scores(chat, Vec::new())))).expect("a score is asked for")
}

#[test]
fn colouring_asks_for_the_scores_of_typed_text_once_and_keeps_them() {
    let mut bench = answered();
    let (request, score) = asked(&mut bench);
    assert_eq!((score.from, score.ids.len()), (6, 8));
    let effects = bench.event(request, Event::Scores { first: 6, steps: vec![step("H", 1.0)] });
    assert_eq!(brief(&effects), Vec::<String>::new());
    let effects = bench.event(request, Event::Scores { first: 7, steps: vec![step("i", 2.0)] });
    assert_eq!(brief(&effects), ["store PutScores"]);
    bench.event(request, Event::Scored { decoded: 8, ms: 1.0 });
    let turn = bench.app.talk.chat.turns[0].id;
    let tokens: Vec<(usize, usize)> = bench
        .app
        .view()
        .turn_tokens(&bench.app.talk.chat.turns[0])
        .iter()
        .map(|token| (token.start, token.end))
        .collect();
    assert_eq!(tokens, [(0, 1), (1, 2)]);
    let pass = bench.app.view().pass(TokenCursor { turn, index: 1 }).unwrap();
    assert_eq!((pass.ids.len(), pass.drawn), (7, false));
    assert_eq!(score_of(&bench.press(&["m", "m", "m", "m", "m"])), None);
}

#[test]
fn the_cursor_waits_for_the_scores_of_the_message_it_went_to() {
    let mut bench = answered();
    let chat = bench.app.talk.chat.head.id;
    bench.press(&["tab", "l"]);
    assert!(brief(&bench.press(&["k"])).contains(&"store Scores".to_owned()));
    let (request, _) = score_of(&bench.send(Msg::Store(store::Event::Scores(chat, Vec::new())))).unwrap();
    assert_eq!(index(&bench), None);
    bench.event(request, Event::Scores { first: 6, steps: vec![step("H", 1.0), step("i", 1.0)] });
    assert_eq!(
        bench.app.transcript.cursor,
        Some(TokenCursor { turn: bench.app.talk.chat.turns[0].id, index: 0 })
    );
}

#[test]
fn scores_give_way_to_a_reply_and_are_asked_for_after_it() {
    let mut bench = answered();
    let (request, _) = asked(&mut bench);
    let effects = bench.press(&["ctrl+r"]);
    let order: Vec<String> =
        brief(&effects).into_iter().filter(|brief| brief.contains("ask") || brief == "generate").collect();
    assert_eq!(order, ["ask Cancel", "generate"]);
    bench.event(request, Event::Scores { first: 6, steps: vec![step("H", 1.0), step("i", 1.0)] });
    assert!(bench.app.talk.scores.is_empty());
    bench.reply(Event::Prompt(PromptFacts { ids: prompt("Hi"), ..PromptFacts::default() }));
    assert_eq!(score_of(&bench.write("b")), None);
    assert!(score_of(&bench.done(StopReason::Eos)).is_some());
}

#[test]
fn a_score_that_fails_is_said_and_not_asked_again() {
    let mut bench = answered();
    let (request, _) = asked(&mut bench);
    let failure = Failure { kind: FailureKind::Other, message: "no memory".into() };
    assert_eq!(score_of(&bench.event(request, Event::Failed(failure))), None);
    assert_eq!(bench.notice(), "typed text could not be scored: no memory");
    assert_eq!(score_of(&bench.press(&["m"])), None);
}

#[test]
fn kept_scores_are_used_without_asking_the_engine() {
    let mut bench = answered();
    let (chat, turn) = (bench.app.talk.chat.head.id, bench.app.talk.chat.turns[0].id);
    let run = *bench.app.talk.runs.keys().next().unwrap();
    bench.press(&["tab", "m"]);
    let kept = |model: &str| store::Scores {
        turn,
        model: model.into(),
        run,
        tokens: vec![(0, 1, 6, step("H", 1.0)), (1, 2, 7, step("i", 1.0))],
    };
    let effects = bench.send(Msg::Store(store::Event::Scores(chat, vec![kept("other"), kept("small")])));
    assert_eq!(score_of(&effects), None);
    assert_eq!(bench.app.view().turn_tokens(&bench.app.talk.chat.turns[0]).len(), 2);
}

#[test]
fn special_tokens_bring_the_system_prompt_as_a_message() {
    let mut bench = answered();
    bench.say("/system Be brief.");
    bench.press(&["tab", "s"]);
    let system = bench.app.talk.system.clone().expect("it is shown");
    assert_eq!(bench.app.view().turn_text(system.id), "Be brief.");
    bench.press(&["k", "k", "k"]);
    assert_eq!(bench.app.transcript.selected, Some(system.id));
    bench.press(&["s"]);
    assert_eq!(bench.app.talk.system, None);
}

proptest! {
    #[test]
    fn every_token_is_reached_from_the_first_and_back(
        text in "[a 字é\n🦀👍🏽.]{1,20}",
        cuts in proptest::collection::btree_set(0_usize..60, 0..20),
    ) {
        let bytes = text.as_bytes();
        let mut bench = replied(&[]);
        let mut ends: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
        ends.push(bytes.len());
        let turn = bench.app.talk.chat.turns.last_mut().unwrap();
        let Some(Span::Generated { steps, .. }) = turn.spans.last_mut() else { panic!() };
        let mut start = 0;
        for end in &ends {
            steps.push(Step { bytes: bytes[start..*end].to_vec(), ..step("", 1.0) });
            start = *end;
        }
        bench.send(Msg::Key(KeyEvent::new(KeyCode::Home, KeyModifiers::NONE)));
        for at in 0..ends.len() {
            prop_assert_eq!(index(&bench), Some(at));
            bench.press(&["l"]);
            if at + 1 < ends.len() {
                bench.press(&["h"]);
                prop_assert_eq!(index(&bench), Some(at));
                bench.press(&["l"]);
            }
        }
        let mut last = None;
        while index(&bench) != last {
            last = index(&bench);
            bench.press(&["b"]);
            prop_assert!(index(&bench) <= last);
        }
        prop_assert_eq!(last, Some(0));
    }
}
