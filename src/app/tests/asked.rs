//! What was refused stays refused by that load of an engine, and by no other.

use super::stations::reading;
use super::*;
use crate::app::Station;
use crate::engine::protocol::{Capabilities, Capability, Failure, FailureKind};

/// The id of the newest request of that name among effects.
fn asked(effects: &[Effect], name: &str) -> Option<u64> {
    effects.iter().rev().find_map(|effect| match effect {
        Effect::Engine(_, id, request) if asked_for(request) == name => Some(id.0),
        _ => None,
    })
}

fn no() -> Event {
    Event::Failed(Failure { kind: FailureKind::Other, message: "no room".into() })
}

/// The model is loaded again; what is asked of it then.
fn load_again(bench: &mut Bench) -> Vec<Effect> {
    bench.app.reload();
    bench.loaded();
    bench.send(Msg::Tick)
}

/// The panel with two texts that are cut into tokens, and what comes of that.
fn steered(bench: &mut Bench) -> Vec<Effect> {
    bench.app.open_steer();
    bench.app.inspector.steer.towards.text = "warm".into();
    bench.app.inspector.steer.away.text = "cold".into();
    let mut effects = bench.send(Msg::Tick);
    while let Some(id) = asked(&effects, "Tokenize") {
        let tokens = vec![(TokenId(1), serde_bytes::ByteBuf::new())];
        effects = bench.event(id, Event::Tokenized { tokens });
    }
    effects
}

/// The same, and the request for their direction.
fn steering(bench: &mut Bench) -> u64 {
    asked(&steered(bench), "Direction").expect("both texts are cut")
}

#[test]
fn a_refused_direction_is_asked_again_after_a_reload_and_not_before() {
    let mut bench = reading();
    let id = steering(&mut bench);
    assert_eq!(asked(&bench.event(id, no()), "Direction"), None);
    assert_eq!(asked(&bench.send(Msg::Tick), "Direction"), None);
    bench.app.reload();
    bench.event(0, Event::ready());
    let id = bench.app.out.requests.of(Asker::Load).unwrap();
    let mut effects = bench.event(id.0, Event::Loaded(Box::new(loaded())));
    // Texts may have to be cut again first.
    while let Some(id) = asked(&effects, "Tokenize") {
        let tokens = vec![(TokenId(1), serde_bytes::ByteBuf::new())];
        effects = bench.event(id, Event::Tokenized { tokens });
    }
    let pending = asked(&effects, "Direction");
    assert!(pending.is_some(), "the refusal was another load's");
}

#[test]
fn a_refusal_is_not_shown_under_another_load() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    let id = asked(&bench.send(Msg::Tick), "Replay").unwrap();
    bench.event(id, no());
    assert_eq!(bench.app.display().look_missing().as_deref(), Some("no room"));
    load_again(&mut bench);
    assert_eq!(bench.app.display().look_missing().as_deref(), Some("the model reads it again…"));
}

#[test]
fn a_trial_that_was_refused_goes_on_after_a_reload() {
    let mut bench = reading();
    bench.app.transcript.cursor = None;
    let turn = bench.app.talk.chat.branch()[0].id;
    bench.app.try_edit(turn, "Ho");
    let id = asked(&bench.send(Msg::Tick), "Rescore").unwrap();
    assert_eq!(asked(&bench.event(id, no()), "Rescore"), None);
    load_again(&mut bench);
    let again = bench.app.out.requests.of(Asker::WhatIf);
    assert!(again.is_some(), "the refusal was another load's");
}

#[test]
fn what_the_engine_cannot_do_is_said_and_never_asked() {
    let mut bench = reading();
    bench.app.out.requests.engine_can(Capabilities::all().without(Capability::Steering));
    let mut effects = steered(&mut bench);
    effects.extend(bench.send(Msg::Tick));
    assert_eq!(asked(&effects, "Direction"), None);
    let said = format!("{:?}", bench.app.inspector.steer);
    assert!(said.contains("the engine that runs this model cannot find directions to steer along"), "{said}");
}
