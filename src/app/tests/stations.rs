//! The stations: what they show, what they ask of the engine for it, and the settings that are tried.

use std::sync::Arc;

use super::*;
use crate::app::{Focus, Sandbox, Station, TokenCursor, Watched};
use crate::engine::protocol::{Failure, FailureKind, Replayed, Written};
use crate::inspect::stages::{SamplerTrace, TraceSource};

/// A reply of three tokens, its prompt known, and the cursor on its second.
pub(crate) fn reading() -> Bench {
    let mut bench = Bench::asked("Hi");
    bench.reply(Event::Prompt(PromptFacts {
        ids: vec![TokenId(0), TokenId(2)],
        seed: 7,
        ..PromptFacts::default()
    }));
    for word in ["a", "b", "c"] {
        bench.write(word);
    }
    bench.done(StopReason::Eos);
    put_cursor(&mut bench, 1);
    bench
}

pub(crate) fn put_cursor(bench: &mut Bench, index: usize) -> Vec<Effect> {
    let turn = bench.app.talk.chat.leaf.unwrap();
    bench.app.transcript.selected = Some(turn);
    bench.app.transcript.cursor = Some(TokenCursor { turn, index });
    bench.send(Msg::Tick)
}

fn trace() -> SamplerTrace {
    SamplerTrace {
        index: 1,
        tokens: vec![TokenId(1)],
        model: vec![0.4],
        vocabulary: 3,
        entropy: 1.0,
        stages: Vec::new(),
        drawn: TokenId(1),
        u: None,
        interval: None,
        source: TraceSource::Replayed,
        redrawn: None,
    }
}

fn answer(bench: &mut Bench) {
    let id = bench.app.out.requests.of(Asker::Look).expect("a look is under way");
    let looked = Replayed {
        logits: Replayed::pack(&[0.0, 2.0, 1.0]),
        stages: Some(Box::new(trace())),
        decoded: 1,
        ms: 8.0,
    };
    bench.event(id.0, Event::Replayed(Box::new(looked)));
}

#[test]
fn the_inspector_follows_the_cursor_and_comes_back_to_the_live_step() {
    let mut bench = reading();
    let shown = |bench: &Bench| {
        let shown = bench.app.display().shown_step().unwrap();
        (shown.index, shown.context_tail.clone())
    };
    assert_eq!(shown(&bench), (1, "Hi\na".into()));
    bench.app.transcript.cursor = None;
    bench.send(Msg::Tick);
    assert_eq!(bench.app.display().shown_step(), bench.app.inspector.live.as_ref());
}

#[test]
fn closed_stations_ask_for_nothing() {
    let mut bench = reading();
    assert!(bench.send(Msg::Tick).is_empty());
    bench.app.inspector.shown = false;
    bench.app.inspector.station = Station::Sampler;
    assert!(bench.send(Msg::Tick).is_empty());
}

#[test]
fn the_sampler_station_has_its_token_read_again_once() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    let effects = bench.send(Msg::Tick);
    assert_eq!(brief(&effects), ["ask SetCapture", "ask Replay"]);
    let Effect::Engine(_, _, request) = &effects[1] else { panic!("it is asked of the engine") };
    let Request::Job(Job::Replay(look)) = &**request else { panic!("it is a look") };
    let replay = look.chain.as_ref().unwrap();
    assert_eq!(look.ids, [0, 2, 1].map(TokenId));
    assert_eq!((replay.prompt, replay.taken, replay.drawn, replay.seed), (2, 0, TokenId(1), 7));
    answer(&mut bench);
    assert_eq!(bench.app.display().shown_trace().map(|trace| trace.source), Some(TraceSource::Replayed));
    assert_eq!(bench.app.display().shown_distribution().map(|whole| whole.len()), Some(3));
    assert!(bench.send(Msg::Tick).is_empty());
    put_cursor(&mut bench, 0);
    answer(&mut bench);
    assert!(put_cursor(&mut bench, 1).is_empty(), "what was read again is kept");
}

#[test]
fn a_draw_that_falls_elsewhere_when_it_is_read_again_stays_what_was_written() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    bench.send(Msg::Tick);
    let id = bench.app.out.requests.of(Asker::Look).unwrap();
    let moved = SamplerTrace { drawn: TokenId(2), interval: Some((0.2, 0.4)), ..trace() };
    let looked = Replayed { stages: Some(Box::new(moved)), ..Replayed::default() };
    bench.event(id.0, Event::Replayed(Box::new(looked)));
    let trace = bench.app.display().shown_trace().unwrap();
    assert_eq!((trace.drawn, trace.redrawn, trace.interval), (TokenId(1), Some(TokenId(2)), None));
}

#[test]
fn the_newest_wish_cancels_the_one_before_and_a_reply_cancels_any() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    bench.send(Msg::Tick);
    assert_eq!(brief(&put_cursor(&mut bench, 2)), ["ask Cancel", "ask Replay"]);
    bench.app.focus = Focus::Composer;
    let asked = brief(&bench.say("more"));
    assert!(asked.contains(&"generate".into()) && asked.contains(&"ask Cancel".into()), "{asked:?}");
    assert!(!asked.contains(&"ask Replay".into()));
    assert_eq!(bench.app.inspector.looks.asking.pending(), None);
    let asked = brief(&bench.done(StopReason::Eos));
    assert!(asked.contains(&"ask Replay".into()), "{asked:?}");
}

#[test]
fn what_could_not_be_read_again_is_said_and_not_asked_again() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    bench.send(Msg::Tick);
    let id = bench.app.out.requests.of(Asker::Look).unwrap();
    let failure = Failure { kind: FailureKind::ContextFull, message: "too long".into() };
    let asked = bench.event(id.0, Event::Failed(failure));
    assert!(asked.is_empty());
    assert_eq!(bench.app.display().look_missing().as_deref(), Some("too long"));
}

#[test]
fn stages_and_watched_tokens_are_kept_with_the_token_they_came_with() {
    let mut bench = Bench::ready();
    bench.app.inspector.station = Station::Sampler;
    bench.say("Hi");
    let stages = Some(Box::new(SamplerTrace { source: TraceSource::Live, ..trace() }));
    bench.reply(Event::Token(Box::new(Written { stages, ..step("a", 1.0).into() })));
    assert_eq!(bench.app.display().shown_trace().map(|trace| trace.source), Some(TraceSource::Live));
    bench.write("b");
    bench.wait(500);
    assert_eq!(bench.app.display().shown_trace(), None);
    bench.app.inspector.station = Station::Softmax;
    bench.app.inspector.watch_selected(view!(bench.app));
    let asked = brief(&bench.send(Msg::Tick));
    assert_eq!(asked, ["ask SetCapture"]);
    bench.app.inspector.watch[0].id = TokenId(2);
    let candidate = Candidate { id: TokenId(2), logprob: 0.25_f32.ln() };
    let written = Written { index: 2, watched: vec![(candidate, 3)], ..step("c", 1.0).into() };
    bench.reply(Event::Token(Box::new(written)));
    bench.wait(500);
    let watched = &bench.app.inspector.watch[0];
    assert_eq!((watched.rank, watched.now.map(|p| (p * 100.0).round())), (Some(3), Some(25.0)));
}

#[test]
fn a_watched_token_whose_rank_is_not_told_has_that_of_its_place_or_none() {
    let mut bench = Bench::ready();
    bench.app.inspector.station = Station::Softmax;
    bench.say("Hi");
    let watched = |id| Watched { id: TokenId(id), now: None, peak: 0.0, rank: None };
    let candidate = |id| Candidate { id: TokenId(id), logprob: 0.25_f32.ln() };
    bench.app.inspector.watch = vec![watched(1), watched(2)];
    let shown = Step { candidates: vec![candidate(1)], ..step("c", 1.0) };
    let told = [candidate(1), candidate(2)].map(|candidate| (candidate, 0)).to_vec();
    bench.reply(Event::Token(Box::new(Written { watched: told, ..shown.into() })));
    bench.wait(500);
    let ranks: Vec<_> =
        bench.app.inspector.watch.iter().map(|watched| (watched.now.is_some(), watched.rank)).collect();
    assert_eq!(ranks, [(true, Some(1)), (true, None)]);
}

#[test]
fn scrolling_past_the_kept_candidates_reads_the_whole_vocabulary() {
    let mut bench = reading();
    bench.app.focus = Focus::Inspector;
    assert_eq!(bench.app.display().list_len(), 1);
    assert_eq!(brief(&bench.press(&["down"])), ["ask Replay"]);
    answer(&mut bench);
    assert_eq!(bench.app.display().list_len(), 3);
    bench.press(&["down", "down"]);
    assert_eq!(bench.app.display().selected_token(), Some(TokenId(0)));
    bench.press(&["/", "c"]);
    assert_eq!(
        (bench.app.display().list_len(), bench.app.inspector.list.matches.clone()),
        (1, vec![TokenId(2)])
    );
    bench.press(&["enter", "down", "w"]);
    assert_eq!(bench.app.inspector.watch.iter().map(|watched| watched.id).collect::<Vec<_>>(), [TokenId(2)]);
    assert_eq!(bench.app.inspector.watch[0].rank, Some(2));
    bench.press(&["esc"]);
    assert!(bench.app.inspector.list.filter.is_none() && bench.app.focus == Focus::Inspector);
}

#[test]
fn tried_settings_are_adopted_with_enter_and_forgotten_with_esc() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    bench.app.focus = Focus::Inspector;
    bench.press(&["t", "right", "right"]);
    assert_eq!(bench.app.display().tried_value("temperature"), "0.9");
    bench.press(&["down", "7"]);
    assert_eq!(bench.app.display().tried_value("top_k"), "7");
    bench.press(&["backspace"]);
    assert_eq!(bench.app.display().tried_value("top_k"), "40");
    assert_eq!(bench.app.view().sampling().top_k, 40);
    bench.press(&["enter"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, Some(0.9));
    assert_eq!(bench.notice(), "temperature 0.9 in this chat from now on");
    bench.press(&["t", "esc"]);
    assert_eq!(bench.app.inspector.sandbox, None);
}

#[test]
fn a_tried_chain_works_on_the_whole_distribution_once_it_is_there() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Sampler;
    bench.app.focus = Focus::Inspector;
    bench.press(&["t"]);
    answer(&mut bench);
    let tried = |bench: &Bench| {
        let sandbox: &Sandbox = bench.app.inspector.sandbox.as_ref().unwrap();
        let (_, whole, tried) = sandbox.tried.clone().unwrap();
        (whole, tried.map(|trace: Arc<SamplerTrace>| trace.stages.last().unwrap().left))
    };
    assert_eq!(tried(&bench), (true, Ok(3)));
    bench.press(&["down", "1"]);
    assert_eq!(tried(&bench), (true, Ok(1)));
}

#[test]
fn every_station_is_opened_by_its_typed_command() {
    let mut bench = reading();
    bench.app.focus = Focus::Composer;
    for station in Station::ALL {
        for line in [station.about().name.to_owned(), format!("station {}", station.about().name)] {
            bench.app.inspector.station = Station::Softmax;
            bench.say(&format!("/{line}"));
            assert_eq!((bench.app.inspector.station, bench.draft().as_str()), (station, ""));
        }
    }
    bench.say("/station 4");
    assert_eq!(bench.app.inspector.station, Station::Attention);
    bench.say("/station engine");
    assert_eq!(bench.app.inspector.station, Station::Attention);
    assert_eq!(bench.draft(), "/station engine", "what was typed is still there");
    assert!(bench.notice().starts_with("there is no station engine; there are tokens,"));
}

#[test]
fn where_neither_pane_nor_rail_shows_a_station_its_key_opens_it_alone() {
    let mut bench = Bench::ready();
    bench.send(Msg::Resize(80, 24));
    bench.press(&["alt+8"]);
    assert!(!bench.app.inspector.zoomed, "the rail shows the samplers");
    bench.press(&["alt+6"]);
    assert!(bench.app.inspector.zoomed && bench.app.focus == Focus::Inspector);
    bench.press(&["alt+4"]);
    assert!(bench.app.inspector.zoomed, "going on to another one stays there");
    bench.press(&["esc"]);
    assert!(!bench.app.inspector.zoomed);
    bench.send(Msg::Resize(60, 16));
    bench.press(&["alt+7"]);
    assert!(bench.app.inspector.zoomed, "there are no rows for the rail");
    bench.press(&["esc"]);
    bench.send(Msg::Resize(120, 40));
    bench.press(&["alt+6"]);
    assert!(!bench.app.inspector.zoomed, "a pane shows it");
}

#[test]
fn escape_goes_from_the_grid_back_to_the_layers() {
    let mut bench = Bench::answered("Hi", "Hello");
    bench.send(Msg::Resize(80, 24));
    bench.press(&["alt+6", "g"]);
    assert!(bench.app.inspector.depths.shows_grid);
    bench.press(&["esc"]);
    assert!(!bench.app.inspector.depths.shows_grid && bench.app.inspector.zoomed);
    bench.press(&["esc"]);
    assert!(!bench.app.inspector.zoomed);
}
