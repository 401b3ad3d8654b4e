//! Each station and each command on each kind of engine: open, or one sentence that says what would give it.

use super::*;
use crate::app::Station;
use crate::command::Command;
use crate::engine::protocol::{Capabilities, Capability, CapturePlan, Immediate, Odds, Runner};
use crate::model_entry::Api;

/// A kind of engine, and what it can do.
fn kinds() -> Vec<(Runner, Odds, Capabilities)> {
    use Capability::{Continues, Ids, Renders, Scores, Tokenizes, Watches};
    let server = |api, odds, all: &[Capability]| {
        let runner = Runner::Server { api, host: "box:8000".into() };
        (runner, odds, Capabilities::of(all.iter().copied()))
    };
    vec![
        (Runner::Glassbox, Odds::Whole, Capabilities::all()),
        server(Api::Llama, Odds::Top(20), &[Ids, Continues, Tokenizes, Renders]),
        server(Api::Vllm, Odds::Top(20), &[Ids, Continues, Tokenizes, Renders, Scores, Watches]),
        server(Api::SgLang, Odds::Top(20), &[Ids, Scores, Watches, Tokenizes]),
        server(
            Api::SgLang,
            Odds::TopAfterSampling(20),
            &[Ids, Continues, Renders, Scores, Watches, Tokenizes],
        ),
        server(Api::OpenAi, Odds::Top(20), &[]),
        server(Api::Ollama, Odds::None, &[]),
    ]
}

/// A chat with a reply of such an engine, its last token on display.
fn answered(runner: &Runner, odds: Odds, capabilities: &Capabilities) -> Bench {
    let mut bench = Bench::bare();
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    bench.event(0, Event::ready());
    let request = bench.app.out.requests.of(Asker::Load).unwrap().0;
    let of = Loaded { runner: runner.clone(), odds, capabilities: capabilities.clone(), ..loaded() };
    bench.event(request, Event::Loaded(Box::new(of)));
    let request = bench.app.out.requests.of(Asker::Vocabulary).unwrap().0;
    bench.event(request, Event::Vocabulary(Box::new(vocabulary())));
    bench.say("hi");
    let token = match odds {
        Odds::Whole => step("so", 1.0),
        Odds::None => Step { logprob: f32::NAN, rank: 0, candidates: Vec::new(), ..step("so", f32::NAN) },
        _ => step("so", f32::NAN),
    };
    bench.reply(Event::Token(Box::new(token.into())));
    bench.done(StopReason::Eos);
    bench
}

fn asked(effects: &[Effect]) -> Vec<String> {
    let ask = |effect: &Effect| match effect {
        Effect::Engine(_, _, request) => match &**request {
            Request::Immediate(Immediate::SetCapture(plan)) => Some(capture(plan)),
            other => Some(asked_for(other)),
        },
        _ => None,
    };
    effects.iter().filter_map(ask).filter(|asked| !asked.is_empty()).collect()
}

/// What is to be captured, in words.
fn capture(plan: &CapturePlan) -> String {
    let parts = [
        (plan.stages > 0, "stages"),
        (!plan.watch.is_empty(), "watch"),
        (plan.inside.is_some(), "inside"),
        (plan.baseline, "baseline"),
    ];
    parts.into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_station_on_each_kind_of_engine_is_open_or_says_what_would_open_it() {
    const OPEN_WITHOUT: [Station; 3] = [Station::Tokens, Station::Softmax, Station::Sampler];
    for (runner, odds, capabilities) in kinds() {
        let mut bench = answered(&runner, odds, &capabilities);
        for (digit, station) in (1..).zip(Station::ALL) {
            bench.app.inspector.shown = true;
            let name = station.about().name;
            let effects = bench.press(&[&format!("alt+{digit}")]);
            assert_eq!(bench.app.inspector.station, station, "{runner:?}");
            let closed = bench.app.display().closed();
            if runner == Runner::Glassbox || OPEN_WITHOUT.contains(&station) {
                assert_eq!(closed, None, "{name} on {runner:?}");
            } else {
                let why = closed.unwrap_or_else(|| panic!("{name} on {runner:?} is open"));
                assert!(
                    why.contains("box:8000") && why.contains("a glassbox engine on that machine"),
                    "{why}"
                );
                assert!(!why.contains(". "), "one sentence: {why}");
                assert_eq!(bench.app.display().inside_missing(), Some(why), "{name} on {runner:?}");
            }
            if runner != Runner::Glassbox {
                assert_eq!(asked(&effects), [""; 0], "{name} on {runner:?} asks for what is not there");
            }
        }
    }
}

#[test]
fn odds_after_a_servers_samplers_go_through_no_chain_again() {
    let server = || Runner::Server { api: Api::SgLang, host: "box:8000".into() };
    let candidates = || {
        [(0, 0.5_f32), (1, 0.3)]
            .map(|(id, p)| crate::token::Candidate { id: TokenId(id), logprob: p.ln() })
            .to_vec()
    };
    let trace = |odds| {
        let mut bench = answered(&server(), odds, &Capabilities::default());
        let turn = bench.app.talk.chat.turns.last_mut().unwrap();
        let Some(Span::Generated { steps, .. }) = turn.spans.last_mut() else { panic!("a reply") };
        (steps[0].id, steps[0].candidates) = (Some(TokenId(0)), candidates());
        bench
            .app
            .talk
            .vocabularies
            .insert("words".into(), std::sync::Arc::new(crate::token::Vocabulary::default()));
        bench.app.display().shown_trace()
    };
    assert!(trace(Odds::Top(20)).is_some() && trace(Odds::TopAfterSampling(20)).is_none());
}

#[test]
fn a_command_that_the_engine_cannot_do_says_what_could_and_asks_nothing() {
    for (runner, odds, capabilities) in kinds().into_iter().skip(1) {
        let mut bench = answered(&runner, odds, &capabilities);
        for (command, needed) in [
            (Command::Continue, Capability::Continues),
            (Command::Step, Capability::Ids),
            (Command::LookAhead, Capability::Beam),
            (Command::WhatIf, Capability::Scores),
            (Command::Weights, Capability::Scores),
            (Command::Steer, Capability::Steering),
            (Command::KeepOff, Capability::Changes),
            (Command::Lora, Capability::Changes),
            (Command::AttentionInk, Capability::Attention),
        ] {
            let lacking = bench.app.view().lacking_for(command);
            assert_eq!(lacking.is_some(), !capabilities.has(needed), "{command:?} on {runner:?}");
            let Some(why) = lacking else { continue };
            bench.app.run_command(command);
            assert_eq!(bench.notice(), why);
            assert_eq!(asked(&bench.send(Msg::Tick)), [""; 0], "{command:?} on {runner:?}");
        }
    }
}

#[test]
fn regenerate_edit_and_send_work_on_every_kind_of_engine() {
    for (runner, odds, capabilities) in kinds() {
        let mut bench = answered(&runner, odds, &capabilities);
        let effects = bench.press(&["ctrl+r"]);
        assert!(
            matches!(&generated(&effects).prompt, crate::engine::protocol::Prompt::Chat { .. }),
            "{runner:?}"
        );
        bench.reply(Event::Token(Box::new(step("now", f32::NAN).into())));
        bench.done(StopReason::Eos);
        let run = bench.app.talk.runs.values().next_back().unwrap();
        assert_eq!(run.told_by.is_some(), runner != Runner::Glassbox, "a reply says whose figures it has");
        let effects = bench.say("more");
        assert_eq!(generated(&effects).interventions, []);
    }
}

#[test]
fn watched_texts_are_asked_for_where_the_vocabulary_is_not_known_as_a_whole() {
    let mut bench = Bench::bare();
    bench.app.config.inspector.watch = [" yes", " two words", " no"].map(String::from).to_vec();
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    bench.event(0, Event::ready());
    let request = bench.app.out.requests.of(Asker::Load).unwrap().0;
    let (runner, odds, capabilities) = kinds().remove(2);
    let of = Loaded { capabilities, runner, odds, ..loaded() };
    let met = Vocabulary { hash: of.vocabulary.clone(), ..Vocabulary::default() };
    bench.event(request, Event::Loaded(Box::new(of)));
    let request = bench.app.out.requests.of(Asker::Vocabulary).unwrap().0;
    bench.event(request, Event::Vocabulary(Box::new(met)));
    for ids in [&[7][..], &[8, 9], &[5]] {
        let request = bench.app.out.requests.of(Asker::Watched).unwrap().0;
        let tokens = ids.iter().map(|id| (TokenId(*id), b" x".to_vec().into())).collect();
        bench.event(request, Event::Tokenized { tokens });
    }
    assert_eq!(bench.app.out.requests.of(Asker::Watched), None);
    let watched: Vec<i32> = bench.app.inspector.watch.iter().map(|watched| watched.id.0).collect();
    assert_eq!(watched, [7, 5], "a text of two tokens is not watched");
}
