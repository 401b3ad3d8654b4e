//! The guided tour: what it asks of the engine, what it leaves to the store, and how it ends.

use super::stations::reading;
use super::*;
use crate::app::{Focus, Picture, Station, TOUR};

/// The tour's word is drawn.
fn word(bench: &mut Bench, text: &str) {
    bench.reply(Event::Prompt(PromptFacts { ids: vec![TokenId(0), TokenId(2)], ..PromptFacts::default() }));
    bench.write(text);
    bench.done(StopReason::Length);
}

fn words(bench: &Bench) -> String {
    bench.app.tour.as_ref().map_or_else(String::new, |tour| tour.words(bench.app.display()))
}

fn station(bench: &Bench) -> Station {
    bench.app.inspector.station
}

#[test]
fn the_tour_reads_one_sentence_as_it_is_and_draws_one_word() {
    let mut bench = Bench::ready();
    bench.type_text("/tour");
    assert!(bench.app.talk.run.is_none(), "nothing is asked before the first key");
    bench.press(&["enter"]);
    assert!(bench.app.tour.is_some() && bench.draft().is_empty());
    let effects = bench.press(&["enter"]);
    let asked = generated(&effects);
    assert_eq!(asked.prompt, Prompt::Raw { text: "The capital of France is".into() });
    assert_eq!((asked.sampling.max_tokens, asked.sampling.seed), (1, Some(7)));
    word(&mut bench, " Paris");
    assert_eq!(bench.branch(), ["Assistant: The capital of France is Paris"]);
    assert_eq!(bench.app.transcript.cursor.map(|at| at.index), Some(0), "the cursor is on the word");
}

#[test]
fn every_key_opens_the_next_station_and_backspace_the_one_before() {
    let mut bench = Bench::ready();
    bench.app.begin_tour();
    bench.press(&["enter"]);
    word(&mut bench, " Paris");
    let mut seen = vec![station(&bench)];
    for _ in 2..TOUR.len() {
        bench.press(&[" "]);
        seen.push(station(&bench));
    }
    let wanted: Vec<Station> = TOUR[1..].iter().map(|step| step.station).collect();
    assert_eq!(seen, wanted);
    let all: std::collections::BTreeSet<Station> = seen.into_iter().collect();
    assert_eq!(all.len(), Station::ALL.len(), "the tour passes every station");
    bench.press(&["backspace"]);
    assert_eq!(bench.app.tour.as_ref().map(|tour| tour.at), Some(TOUR.len() - 2));
    bench.press(&["enter", "enter"]);
    assert!(bench.app.tour.is_none(), "the last key goes back to the chat");
}

#[test]
fn after_the_tour_everything_is_as_it_was() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    bench.app.focus = Focus::Composer;
    bench.type_text("a draft");
    bench.app.focus = Focus::Transcript;
    let (branch, cursor) = (bench.branch(), bench.app.transcript.cursor);
    let runs = bench.app.talk.runs.clone();
    bench.press(&["T", "enter"]);
    word(&mut bench, " Paris");
    bench.press(&["enter", "enter", "x", "4", "esc"]);
    assert!(bench.app.tour.is_none());
    assert_eq!((bench.branch(), bench.app.transcript.cursor), (branch, cursor));
    assert_eq!((bench.draft().as_str(), station(&bench)), ("a draft", Station::Sampler));
    assert_eq!(bench.app.focus, Focus::Transcript);
    assert_eq!((bench.app.talk.runs.len(), bench.app.talk.chats.heads.len()), (runs.len(), 1));
    assert_eq!(bench.app.talk.runs, runs);
}

#[test]
fn the_store_never_hears_of_the_tour() {
    let mut bench = Bench::ready();
    let mut effects = Vec::new();
    bench.app.begin_tour();
    effects.extend(bench.press(&["enter"]));
    effects
        .extend(bench.reply(Event::Prompt(PromptFacts { ids: vec![TokenId(0)], ..PromptFacts::default() })));
    effects.extend(bench.write(" Paris"));
    effects.extend(bench.wait(1000));
    effects.extend(bench.done(StopReason::Length));
    effects.extend(bench.press(&["esc"]));
    let stored: Vec<String> = brief(&effects)
        .into_iter()
        .filter(|effect| ["put", "append", "finish", "draft"].iter().any(|verb| effect.starts_with(verb)))
        .collect();
    assert_eq!(stored, [] as [&str; 0]);
    assert!(bench.app.talk.chats.heads.is_empty());
}

#[test]
fn a_command_that_leaves_the_tour_ends_it_first() {
    let mut bench = Bench::answered("hello", "hi");
    let branch = bench.branch();
    bench.app.begin_tour();
    bench.press(&["enter", "ctrl+r"]);
    assert!(bench.app.tour.is_none());
    assert_eq!(bench.branch().first(), branch.first(), "the chat itself is asked again");
    let mut bench = Bench::ready();
    bench.type_text("kept");
    bench.app.begin_tour();
    bench.press(&["ctrl+c"]);
    assert!(bench.app.tour.is_none() && bench.draft() == "kept" && !bench.app.quitting);
    bench.app.begin_tour();
    let effects = brief(&bench.press(&["ctrl+q"]));
    assert!(effects.contains(&"Quit".to_owned()), "{effects:?}");
}

#[test]
fn a_reply_is_not_stopped_for_the_tour() {
    let mut bench = Bench::asked("hello");
    bench.app.begin_tour();
    assert!(bench.app.tour.is_none() && bench.app.talk.run.is_some());
    assert!(bench.notice().contains("when it is done"), "{}", bench.notice());
}

#[test]
fn the_tour_waits_for_its_model_and_says_so() {
    let mut bench = Bench::bare();
    bench.app.begin_tour();
    bench.send(Msg::Catalogue(catalogue(&config())));
    bench.press(&["enter"]);
    assert!(bench.app.talk.run.is_none());
    assert!(words(&bench).contains("is being loaded"), "{}", words(&bench));
    bench.loaded();
    assert!(bench.app.talk.run.is_some(), "as soon as it is there the word is asked for");
}

#[test]
fn the_tour_is_offered_after_the_first_reply_only() {
    let mut bench = Bench::answered("hello", "hi");
    assert!(bench.notice().contains("/tour"), "{}", bench.notice());
    bench.app.out.notice = None;
    bench.exchange("again", "hi");
    assert!(!bench.notice().contains("/tour"));
}

#[test]
fn another_model_gets_no_claims() {
    let mut bench = Bench::ready();
    bench.app.begin_tour();
    bench.press(&["enter"]);
    word(&mut bench, " Paris");
    assert_eq!(words(&bench), TOUR[1].plain);
}

#[test]
fn an_open_station_is_written_as_drawn_or_as_figures() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Softmax;
    bench.app.focus = Focus::Inspector;
    let effects = bench.press(&["O"]);
    let drawn = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::DrawStation { name, picture, size } => Some((name.clone(), *picture, *size)),
            _ => None,
        })
    };
    assert_eq!(drawn(&effects), Some(("softmax-b.svg".to_owned(), Picture::Svg, (67, 36))));
    bench.app.focus = Focus::Composer;
    let effects = bench.say("/export-station a folder/x.txt 80x24");
    assert_eq!(drawn(&effects), Some(("a folder/x.txt".to_owned(), Picture::Text, (80, 24))));
    let effects = bench.say("/export-station odds.json");
    let written = effects.iter().find_map(|effect| match effect {
        Effect::WriteFile { name, text } => Some((name.as_str(), text)),
        _ => None,
    });
    let (name, text) = written.expect("a file is written");
    let read: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!((name, read["station"].as_str()), ("odds.json", Some("softmax")));
    assert_eq!(read["ids"], serde_json::json!([0, 2, 1]));
    assert_eq!(read["token"]["rank"], 1);
    bench.say("/export-station odds.pdf");
    assert!(bench.notice().contains("must be .txt, .json or .svg"), "{}", bench.notice());
    bench.say("/export-station odds.svg 9x9");
    assert!(bench.notice().contains("columns x rows"), "{}", bench.notice());
}
