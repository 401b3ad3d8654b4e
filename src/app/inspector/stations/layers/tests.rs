//! The depths of many passes: colours by layer of decision, and the grid.

use crate::app::tests::stations::{put_cursor, reading};
use crate::app::tests::*;
use crate::app::{Colouring, Focus, Station, TokenCursor};
use crate::engine::protocol::{Depths, Failure, FailureKind};
use crate::inspect::depth::{Depth, DepthCell};

/// The reading among these effects.
fn asked(effects: &[Effect]) -> Option<Depths> {
    asked_in!(effects, _, Request::Job(Job::Depths(depths)) => (**depths).clone())
}

fn answer(bench: &mut Bench, event: Event) -> Vec<Effect> {
    let id = bench.app.inspector.depths.pending.as_ref().expect("something is being read").request;
    bench.event(id.0, event)
}

fn token(id: i32, decided: Option<u32>) -> Depth {
    let cell = DepthCell { best: TokenId(id), best_logprob: -0.1, logprob: -0.1 };
    Depth { id: TokenId(id), decided, cells: vec![cell; 7] }
}

/// The reply's tokens are at the places 2, 3 and 4 of what was read.
fn colour(bench: &mut Bench) -> Vec<Effect> {
    bench.say("/colour layer")
}

#[test]
fn colouring_by_layer_reads_each_message_once_and_keeps_what_came() {
    let mut bench = reading();
    let effects = colour(&mut bench);
    assert!(bench.notice().contains("tokens are read again, about"), "{}", bench.notice());
    let request = asked(&effects).unwrap();
    assert_eq!((request.from, request.cells), (2, false));
    assert_eq!(request.ids.len(), 5);
    let turn = bench.app.talk.chat.leaf.unwrap();
    let at = |index| TokenCursor { turn, index };
    answer(&mut bench, Event::Depths { first: 2, tokens: vec![token(0, Some(3)), token(1, None)] });
    assert_eq!(
        [0, 1, 2].map(|index| bench.app.display().decided(at(index))),
        [Some(Some(3)), Some(None), None]
    );
    answer(&mut bench, Event::Depths { first: 4, tokens: vec![token(2, Some(0))] });
    let effects = answer(&mut bench, Event::DepthsDone { decoded: 5, ms: 30.0 });
    assert_eq!(asked(&effects), None);
    assert_eq!(bench.app.inspector.depths.price.0, Some(10.0));
    bench.say("/colour off");
    assert_eq!(asked(&colour(&mut bench)), None, "all is known");
}

#[test]
fn a_reply_goes_first_and_the_reading_goes_on_after_it() {
    let mut bench = reading();
    colour(&mut bench);
    answer(&mut bench, Event::Depths { first: 2, tokens: vec![token(0, Some(3))] });
    bench.app.focus = Focus::Composer;
    let effects = bench.say("more");
    assert!(brief(&effects).contains(&"ask Cancel".to_owned()), "{:?}", brief(&effects));
    assert!(bench.app.inspector.depths.pending.is_none());
    bench.write("a");
    bench.done(StopReason::Eos);
    let request = asked(&bench.send(Msg::Tick));
    let pending = bench.app.inspector.depths.pending.is_some();
    assert!(pending || request.is_some());
}

#[test]
fn another_colour_ends_the_reading_and_what_failed_is_not_asked_again() {
    let mut bench = reading();
    colour(&mut bench);
    assert!(brief(&bench.say("/colour rank")).contains(&"ask Cancel".to_owned()));
    colour(&mut bench);
    let failure = Failure { kind: FailureKind::Other, message: "no stream".into() };
    let effects = answer(&mut bench, Event::Failed(failure));
    assert_eq!(asked(&effects), None);
    assert_eq!(bench.notice(), "not coloured: no stream");
    assert_eq!(asked(&bench.send(Msg::Tick)), None);
}

#[test]
fn a_long_reading_is_asked_before() {
    let mut bench = reading();
    bench.app.inspector.depths.price.0 = Some(5000.0);
    assert_eq!(asked(&colour(&mut bench)), None);
    assert_eq!(bench.app.transcript.colouring, Colouring::Layer);
    assert!(asked(&bench.press(&["y"])).is_some());
}

#[test]
fn the_grid_reads_the_last_tokens_and_follows_the_cursor_within_them() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Layers;
    bench.app.focus = Focus::Inspector;
    bench.send(Msg::Tick);
    let effects = bench.press(&["g"]);
    assert!(brief(&effects).contains(&"ask Cancel".to_owned()), "the lens of one token is not needed then");
    let request = asked(&effects).unwrap();
    assert_eq!((request.from, request.cells, request.ids.len()), (1, true, 5));
    let tokens = vec![token(2, None), token(0, Some(1)), token(1, Some(2)), token(2, None)];
    answer(&mut bench, Event::Depths { first: 1, tokens });
    answer(&mut bench, Event::DepthsDone { decoded: 5, ms: 60.0 });
    assert_eq!(bench.app.display().shown_grid().map(|(_, column)| column), Some(2));
    assert_eq!(asked(&bench.press(&["right"])), None);
    assert_eq!(bench.app.display().shown_grid().map(|(_, column)| column), Some(3));
    assert_eq!(asked(&put_cursor(&mut bench, 0)), None);
    assert_eq!(bench.app.display().shown_grid().map(|(_, column)| column), Some(1));
}
