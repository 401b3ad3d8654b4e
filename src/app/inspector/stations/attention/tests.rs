//! The attention station beyond one pass: what it asks of the engine and of the kept records.

use std::sync::Arc;

use crate::app::tests::stations::{put_cursor, reading};
use crate::app::tests::*;
use crate::app::{AttentionPicture, Focus, Station, Wish};
use crate::engine::protocol::{
    Attend, Attended, Attending, Failure, FailureKind, Inspect, Inspected, RequestId,
};
use crate::inspect::scores::{HeadScore, HeadScores};
use crate::inspect::trace::{Attention, AttentionLayer, HeadClass, HeadLogits, HeadReading, HeadRow};

/// The station with its pass opened: two blocks of two heads, the second's first head writes most.
fn begun() -> Bench {
    let mut bench = reading();
    bench.app.inspector.station = Station::Attention;
    bench.app.focus = Focus::Inspector;
    bench.send(Msg::Tick);
    let id = bench.app.out.requests.of(crate::app::Asker::Station).expect("the pass is being opened");
    let row =
        HeadRow { weights: vec![0.2, 0.3, 0.5], value_norms: vec![0.0, 1.0, 3.0], ..HeadRow::default() };
    let reading = |written| HeadReading { written: Some(written), strength: 0.9, ..HeadReading::default() };
    let mut seen = Inspected::default();
    (seen.trace.layers, seen.trace.heads, seen.trace.kv_heads, seen.trace.position) = (6, 4, 2, 2);
    let layer = |layer| AttentionLayer { layer, heads: vec![row.clone(); 4], window: None };
    seen.trace.attention = Some(Attention {
        overview: vec![vec![reading(0.1), reading(0.02)], vec![reading(0.2), reading(0.01)]],
        layers: (0..6).map(layer).collect(),
        ..Attention::default()
    });
    bench.event(id.0, Event::Inspected(Box::new(seen)));
    bench
}

/// What is asked of the opened head, if anything is.
fn head_asked(bench: &Bench) -> Option<(RequestId, Inspect)> {
    match bench.app.inspector.inside.asking.pending()? {
        Wish::Pass(_, request) => Some((bench.app.out.requests.of(Asker::Station)?, (**request).clone())),
        _ => None,
    }
}

/// The answer to that.
fn told(request: &Inspect) -> Inspected {
    let (layer, head) = request.want.head.expect("a head is asked");
    let followed = request.want.follow.iter().map(|id| (*id, 0.5)).collect();
    let mut seen = Inspected::default();
    (seen.trace.layers, seen.trace.heads, seen.trace.kv_heads, seen.trace.position) = (6, 4, 2, 2);
    let told = HeadLogits { layer, head, followed, ..HeadLogits::default() };
    seen.trace.attention = Some(Attention { head_logits: vec![told], ..Attention::default() });
    seen
}

/// The station with everything that stands under its head.
fn opened() -> Bench {
    let mut bench = begun();
    let (id, request) = head_asked(&bench).expect("what the head writes is asked");
    bench.event(id.0, Event::Inspected(Box::new(told(&request))));
    answer(&mut bench, Event::Attended(Box::new(rows())));
    bench
}

#[test]
fn what_the_head_writes_and_its_small_matrix_are_asked_once() {
    let mut bench = begun();
    let (id, request) = head_asked(&bench).expect("what the head writes is asked");
    assert_eq!(request.want.head, Some((1, 0)));
    assert!(!request.want.overview && request.want.attention.is_empty());
    assert!(bench.app.display().told_head().is_none());
    let effects = bench.event(id.0, Event::Inspected(Box::new(told(&request))));
    assert!(bench.app.display().told_head().is_some() && head_asked(&bench).is_none());
    assert_eq!(asked(&effects).map(|rows| rows.of), Some(Attending::Head(1, 0)));
    answer(&mut bench, Event::Attended(Box::new(rows())));
    assert!(bench.send(Msg::Tick).is_empty());
    bench.app.inspector.inside.head = 1;
    bench.send(Msg::Tick);
    assert_eq!(head_asked(&bench).map(|(_, request)| request.want.head), Some(Some((1, 1))));
}

#[test]
fn an_answer_without_what_was_asked_is_not_asked_for_again() {
    let mut bench = begun();
    let (id, request) = head_asked(&bench).expect("what the head writes is asked");
    let mut seen = told(&request);
    seen.trace.attention = None;
    seen.trace.missing = vec!["what the head writes: the output matrix was not seen".into()];
    bench.event(id.0, Event::Inspected(Box::new(seen)));
    assert!(head_asked(&bench).is_none());
    let why = bench.app.display().inside_missing().unwrap();
    assert!(why.contains("the output matrix was not seen"), "{why}");
}

fn asked(effects: &[Effect]) -> Option<Attend> {
    asked_in!(effects, _, Request::Job(Job::Attend(attend)) => (**attend).clone())
}

fn answer(bench: &mut Bench, event: Event) -> Vec<Effect> {
    let id = bench.app.out.requests.of(crate::app::Asker::Attention).expect("something is being read");
    bench.event(id.0, event)
}

fn rows() -> Attended {
    Attended::new(0, &[vec![1.0], vec![0.4, 0.6], vec![0.2, 0.3, 0.5]], vec![0; 3])
}

#[test]
fn the_head_that_writes_most_is_opened() {
    let bench = opened();
    let inside = &bench.app.inspector.inside;
    assert_eq!((inside.layer, inside.head), (1, 0));
}

#[test]
fn a_matrix_is_asked_once_and_the_rollout_after_it() {
    let mut bench = opened();
    assert_eq!(asked(&bench.press(&["g"])), None, "the one under the head is the same");
    assert!(bench.app.display().shown_matrix().is_some());
    bench.app.inspector.attention.stretches.clear();
    let request = asked(&bench.send(Msg::Tick)).unwrap();
    assert_eq!((request.of, request.ids.len()), (Attending::Head(1, 0), 3));
    answer(&mut bench, Event::Attended(Box::new(rows())));
    assert!(bench.app.display().shown_matrix().is_some());
    assert_eq!(asked(&bench.send(Msg::Tick)), None);
    bench.press(&["up", "left"]);
    assert_eq!(bench.app.inspector.attention.cell, Some((1, 0)));
    assert_eq!(asked(&bench.press(&["g"])).unwrap().of, Attending::Rollout);
    bench.press(&["esc"]);
    assert_eq!(bench.app.inspector.attention.picture, AttentionPicture::Heads);
    assert!(bench.app.inspector.attention.asking.pending().is_none(), "what is not shown is not read");
}

#[test]
fn who_reads_a_token_is_asked_over_what_follows_it() {
    let mut bench = opened();
    let request = asked(&bench.press(&["f"])).unwrap();
    // The prompt of two and the three tokens of the reply.
    assert_eq!(request.ids.len(), 5);
    put_cursor(&mut bench, 2);
    assert!(bench.app.inspector.attention.asking.pending().is_none(), "the pass on display goes first");
}

#[test]
fn the_ink_is_of_what_is_written_or_of_the_weights() {
    let mut bench = opened();
    assert_eq!(bench.app.ink().unwrap().shares, [0.0, 0.25, 0.75]);
    bench.press(&["t"]);
    assert_eq!(bench.app.ink().unwrap().shares, [0.2, 0.3, 0.5]);
    bench.press(&["0"]);
    let ink = bench.app.ink().unwrap();
    assert_eq!((ink.first, ink.shares), (Some(0.2), vec![0.0, 0.3, 0.5]));
    let asked = asked(&bench.press(&["i", "i"])).unwrap();
    assert_eq!(asked.of, Attending::Rollout, "all layers are the rollout");
    answer(&mut bench, Event::Attended(Box::new(rows())));
    assert!(bench.app.ink().unwrap().whose.contains("rollout"));
    bench.press(&["i"]);
    assert_eq!(bench.app.ink(), None);
}

#[test]
fn what_heads_usually_do_is_looked_up_then_worked_out_and_kept() {
    let scores =
        HeadScores { layers: vec![vec![HeadScore { sink: 0.5, ..HeadScore::default() }; 4]; 6], ms: 1.0 };
    let foreign = HeadScores { layers: vec![Vec::new(); 77], ms: 1.0 };
    let own = |bench: &Bench| {
        let facts = &bench.app.view().ready().unwrap().facts;
        let heads = vec![HeadScore::default(); facts.heads as usize];
        HeadScores { layers: vec![heads; facts.layers as usize], ms: 1.0 }
    };
    let mut bench = opened();
    let effects = bench.event(0, Event::ModelHash("abc".into()));
    assert!(effects.contains(&Effect::RecallHeads("abc".into())), "{effects:?}");
    assert!(bench.app.inspector.attention.asking.pending().is_none(), "the records are looked up first");
    let effects = bench.send(Msg::Heads("abc".into(), Some(Box::new(foreign))));
    assert!(brief(&effects).contains(&"ask Calibrate".into()), "one of another shape is none: {effects:?}");
    let effects = answer(&mut bench, Event::Calibrated(Box::new(scores.clone())));
    assert!(effects.contains(&Effect::KeepHeads("abc".into(), Arc::new(scores.clone()))), "{effects:?}");
    assert_eq!(bench.app.display().usual_head(1, 0).map(|score| score.class().0), Some(HeadClass::Sink));
    let mut again = opened();
    again.event(0, Event::ModelHash("abc".into()));
    let kept = own(&again);
    let effects = again.send(Msg::Heads("abc".into(), Some(Box::new(kept))));
    assert!(!brief(&effects).contains(&"ask Calibrate".into()), "{effects:?}");
    assert!(again.app.inspector.attention.heads.is_some());
}

#[test]
fn what_was_refused_is_said_and_not_asked_again() {
    let mut bench = opened();
    bench.app.inspector.attention.stretches.clear();
    bench.press(&["g"]);
    let failure = Failure { kind: FailureKind::Other, message: "no such thing".into() };
    assert_eq!(asked(&answer(&mut bench, Event::Failed(failure))), None);
    assert_eq!(bench.app.display().rows_missing(), "no such thing");
}
