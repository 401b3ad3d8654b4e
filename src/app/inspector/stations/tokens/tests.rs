//! The tokens station: what is asked of the tokenizer, and when.

use crate::app::tests::stations::{put_cursor, reading};
use crate::app::tests::*;
use crate::app::{Focus, Station};
use crate::inspect::pieces::{Pieces, Word};

/// The text that the tokenizer is asked about, among these effects.
fn asked(effects: &[Effect]) -> Option<String> {
    asked_in!(effects, _, Request::Immediate(Immediate::Pieces { text, special: false, inside: true }) => text.clone())
}

/// Told as one token for each byte.
fn answer(bench: &mut Bench, text: &str) -> Vec<Effect> {
    let id = bench.app.out.requests.of(crate::app::Asker::Station).expect("the tokenizer was asked");
    let tokens = (0..text.len() as u32).map(|at| (TokenId(at.cast_signed()), (at, at + 1))).collect();
    let words = vec![Word { span: (0, text.len() as u32), tokens, ..Word::default() }];
    bench.event(id.0, Event::Pieces(Box::new(Pieces { words, ..Pieces::default() })))
}

fn open(bench: &mut Bench) -> Vec<Effect> {
    bench.app.inspector.shown = true;
    bench.app.inspector.station = Station::Tokens;
    bench.send(Msg::Tick)
}

#[test]
fn the_open_station_asks_about_the_line_once() {
    let mut bench = reading();
    assert_eq!(asked(&bench.send(Msg::Tick)), None, "a station that is not open asks nothing");
    let text = asked(&open(&mut bench)).unwrap();
    assert_eq!(text, "abc");
    answer(&mut bench, &text);
    assert!(bench.app.display().known_pieces("abc").is_some());
    assert_eq!(asked(&bench.send(Msg::Tick)), None);
    assert_eq!(asked(&put_cursor(&mut bench, 0)), None, "the same line");
}

#[test]
fn the_file_of_the_station_has_what_was_told_of_the_line() {
    let mut bench = Bench::asked("Hi");
    bench.reply(Event::Prompt(PromptFacts { ids: vec![TokenId(0)], ..PromptFacts::default() }));
    bench.write("one");
    bench.write(" two");
    bench.done(StopReason::Eos);
    assert_eq!(asked(&open(&mut bench)).as_deref(), Some("one two"));
    answer(&mut bench, "one two");
    let effects = bench.say("/export-station cut.json");
    let text = effects.iter().find_map(|effect| match effect {
        Effect::WriteFile { text, .. } => Some(text),
        _ => None,
    });
    let read: serde_json::Value = serde_json::from_str(text.expect("a file is written")).unwrap();
    assert_eq!(read["text"], "one two");
    assert_eq!(read["tokenizer"]["words"][0]["tokens"].as_array().map(Vec::len), Some(7));
}

#[test]
fn it_works_while_a_reply_is_written() {
    let mut bench = Bench::asked("Hi");
    bench.reply(Event::Prompt(PromptFacts { ids: vec![TokenId(0)], ..PromptFacts::default() }));
    bench.write("one");
    assert_eq!(asked(&open(&mut bench)).as_deref(), Some("one"));
    assert!(bench.app.talk.run.is_some());
    answer(&mut bench, "one");
    assert!(bench.app.display().known_pieces("one").is_some());
}

#[test]
fn the_draft_is_followed_while_the_station_is_open() {
    let mut bench = Bench::ready();
    assert_eq!(asked(&bench.type_text("a b")), None);
    assert_eq!(asked(&open(&mut bench)).as_deref(), Some("a b"));
    answer(&mut bench, "a b");
    let (text, pieces, word) = bench.app.display().draft_on_display().unwrap();
    assert_eq!((text, pieces.tokens().count(), word), ("a b", 3, 1..3));
    assert_eq!(asked(&bench.type_text("c")).as_deref(), Some("a bc"));
    assert_eq!(bench.app.display().draft_on_display().unwrap().0, "a b", "as it was told last");
    answer(&mut bench, "a bc");
    bench.press(&["left", "left", "left"]);
    assert_eq!(bench.app.display().draft_on_display().unwrap().2, 0..1);
    bench.app.focus = Focus::Transcript;
    assert!(bench.app.display().draft_on_display().is_none());
}

#[test]
fn a_word_is_tried_and_kept() {
    let mut bench = Bench::ready();
    open(&mut bench);
    bench.app.focus = Focus::Inspector;
    assert_eq!(asked(&bench.press(&["t"])).as_deref(), Some(" "));
    answer(&mut bench, " ");
    assert_eq!(asked(&bench.press(&["H"])).as_deref(), Some(" H"), "a letter is typed, not a command");
    answer(&mut bench, " H");
    bench.press(&["enter"]);
    let pieced = &bench.app.inspector.tokens;
    let tried: Vec<&str> = pieced.tried.iter().map(|(_, word, _)| word.as_str()).collect();
    assert_eq!((tried, pieced.trying.as_ref().unwrap().text.as_str()), (vec![" H"], " "));
    bench.press(&["esc"]);
    assert!(bench.app.inspector.tokens.trying.is_none());
    assert_eq!(bench.app.focus, Focus::Inspector);
}

#[test]
fn ids_of_the_message_are_copied() {
    let mut bench = reading();
    open(&mut bench);
    bench.app.focus = Focus::Inspector;
    let copied = bench.press(&["y"]).into_iter().find_map(|effect| match effect {
        Effect::Copy(text) => Some(text),
        _ => None,
    });
    assert_eq!(copied.as_deref(), Some("[1, 1, 1]"));
}

#[test]
fn merge_steps_end_with_the_last_merge() {
    let mut bench = reading();
    let text = asked(&open(&mut bench)).unwrap();
    answer(&mut bench, &text);
    bench.app.focus = Focus::Inspector;
    bench.press(&["down", "down", "down"]);
    assert_eq!(bench.app.inspector.inside.row, 0, "this word has no merges");
}
