//! The inside while a reply is written: what is asked for, what is shown, and what a pause allows.

use super::stations::put_cursor;
use super::*;
use crate::app::Station;
use crate::engine::protocol::{CapturePlan, Inspected, Live, LiveInside, Written};
use crate::inspect::trace::{Followed, Lens, LensRow};

fn plan(effects: &[Effect]) -> Option<CapturePlan> {
    asked_in!(effects, _, Request::Immediate(Immediate::SetCapture(plan)) => plan.clone())
}

fn live(effects: &[Effect]) -> Option<Live> {
    plan(effects).and_then(|plan| plan.inside).map(|live| *live)
}

fn inspects(effects: &[Effect]) -> bool {
    brief(effects).iter().any(|said| said == "ask Inspect")
}

/// A reply at its beginning, with the layers open.
fn begun() -> Bench {
    let mut bench = Bench::ready();
    bench.app.inspector.shown = true;
    bench.app.inspector.station = Station::Layers;
    bench.say("Hi");
    bench.reply(Event::Prompt(PromptFacts {
        ids: vec![TokenId(0), TokenId(2)],
        seed: 7,
        ..PromptFacts::default()
    }));
    bench
}

/// A token whose pass was opened.
fn looked(index: u32, text: &str, every: u32) -> Event {
    let step = step(text, 1.0);
    let id = step.id.unwrap();
    let followed = vec![Followed { id, logprob: -1.0, rank: 1 }];
    let mut seen = Inspected::default();
    let row = LensRow { followed: followed.clone(), ..LensRow::default() };
    seen.trace.followed = followed;
    seen.trace.lens = Some(Lens { rows: vec![row], ..Lens::default() });
    seen.trace.position = index + 1;
    let inside = Some(Box::new(LiveInside { seen, ms: 2.0, every }));
    Event::Token(Box::new(Written { index, inside, ..step.into() }))
}

#[test]
fn only_an_open_station_that_follows_the_reply_is_looked_at() {
    let mut bench = begun();
    let given = bench.app.inspector.looks.plan.clone().and_then(|(_, plan)| plan.inside);
    let asked = given.expect("the layers are looked at");
    assert!(asked.want.lens && !asked.want.overview && (asked.budget - 0.25).abs() < 1e-6);
    bench.write("a");
    bench.app.inspector.station = Station::Why;
    assert!(live(&bench.send(Msg::Tick)).is_some_and(|live| live.attribution && !live.want.lens));
    bench.app.inspector.station = Station::Softmax;
    assert!(plan(&bench.send(Msg::Tick)).is_some_and(|plan| plan.inside.is_none()));
    bench.app.inspector.station = Station::Ffn;
    assert!(live(&bench.send(Msg::Tick)).is_some_and(|live| live.want.ffn.len() == 1));
    bench.app.inspector.held = true;
    assert!(
        plan(&bench.send(Msg::Tick)).is_some_and(|plan| plan.inside.is_none()),
        "what is held is not followed"
    );
    bench.app.inspector.held = false;
    bench.app.inspector.shown = false;
    assert!(plan(&bench.send(Msg::Tick)).is_none_or(|plan| plan.inside.is_none()));
}

#[test]
fn the_display_goes_from_one_opened_pass_to_the_next_and_each_is_kept() {
    let mut bench = begun();
    bench.reply(looked(0, "a", 2));
    assert!(bench.app.display().shown_inside().is_some_and(|seen| seen.trace.position == 1));
    assert_eq!(bench.app.display().live_price(), Some((2.0, 2)));
    bench.write("b");
    bench.reply(looked(2, "c", 2));
    bench.wait(200);
    assert_eq!(bench.app.display().shown_step().unwrap().index, 2, "the token without a look is passed over");
    assert!(bench.app.display().shown_inside().is_some_and(|seen| seen.trace.position == 3));
    bench.done(StopReason::Eos);
    assert_eq!(bench.app.display().live_price(), None);
    let effects = put_cursor(&mut bench, 0);
    assert!(
        bench.app.display().shown_inside().is_some_and(|seen| seen.trace.position == 1),
        "going back is free"
    );
    assert!(!inspects(&effects));
}

#[test]
fn a_pass_is_not_shown_for_the_token_after_it() {
    let mut bench = begun();
    bench.reply(looked(0, "a", 2));
    bench.write("b");
    put_cursor(&mut bench, 1);
    assert!(bench.app.display().shown_inside().is_none());
    put_cursor(&mut bench, 0);
    assert!(bench.app.display().shown_inside().is_some());
}

#[test]
fn while_a_reply_waits_every_station_may_ask() {
    let mut bench = begun();
    bench.write("a");
    assert!(!inspects(&bench.send(Msg::Tick)), "a reply that runs is looked at by the way");
    assert!(inspects(&bench.reply(Event::Paused)));
    bench.app.inspector.station = Station::Attention;
    assert!(inspects(&bench.send(Msg::Tick)));
}

#[test]
fn what_was_refused_for_the_replys_sake_is_asked_again_afterwards() {
    let mut bench = begun();
    bench.write("a");
    bench.reply(Event::Paused);
    let id = bench.app.out.requests.of(crate::app::Asker::Station).unwrap();
    let failure = crate::engine::protocol::Failure {
        message: "Later.".into(),
        kind: crate::engine::protocol::FailureKind::Busy,
    };
    assert!(!inspects(&bench.event(id.0, Event::Failed(failure))));
    assert_eq!(bench.app.display().inside_missing().as_deref(), Some("Later."));
    assert!(inspects(&bench.done(StopReason::Cancelled)));
}

/// Answers the question to the table that stands.
fn told_by_table(bench: &mut Bench) -> Vec<Effect> {
    let id = bench.app.out.requests.of(crate::app::Asker::Station).expect("the table was asked");
    bench.event(id.0, Event::Embedded(Box::default()))
}

#[test]
fn a_fast_reply_does_not_outrun_what_the_table_says() {
    let asked = |effects: &[Effect]| brief(effects).iter().filter(|said| *said == "ask Embed").count();
    let mut bench = begun();
    bench.app.inspector.station = Station::Embedding;
    assert_eq!(asked(&bench.write("a")), 1, "the table is asked of the first token");
    for text in ["b", "c", "d"] {
        let effects = bench.write(text);
        assert!(!brief(&effects).iter().any(|said| said == "ask Cancel"), "the question stands");
    }
    bench.wait(1000);
    assert_eq!(
        bench.app.display().shown_step().map(|shown| shown.index),
        Some(0),
        "the display waits for the answer"
    );
    let effects = told_by_table(&mut bench);
    assert!(bench.app.display().shown_embedding().is_some(), "the first token's answer is shown");
    assert_eq!(asked(&effects), 1, "then the next one is asked about");
    bench.wait(1000);
    assert_eq!(
        bench.app.display().shown_step().map(|shown| shown.index),
        Some(0),
        "and shown once it is answered"
    );
    told_by_table(&mut bench);
    bench.wait(1000);
    assert_ne!(bench.app.display().shown_step().map(|shown| shown.index), Some(0));
    assert!(bench.app.display().shown_embedding().is_some());
}
