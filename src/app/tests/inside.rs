//! Looking inside: what the open station asks of the engine, and what it keeps.

use super::stations::{put_cursor, reading};
use super::*;
use crate::app::{Focus, Station, Wish};
use crate::chat::Intervention;
use crate::engine::protocol::{Failure, FailureKind, Inspect, Inspected, Patch, Want};
use crate::inspect::feed_forward::FfnLayer;
use crate::inspect::trace::{
    Attribution, AttributionPart, Component, FeedForward, Followed, Lens, LensRow, Neuron,
};

/// The inspection among these effects.
fn asked(effects: &[Effect]) -> Option<Inspect> {
    asked_in!(effects, _, Request::Inspection(Inspection::Inspect(inspect)) => (**inspect).clone())
}

fn answer(bench: &mut Bench, seen: Inspected) -> Vec<Effect> {
    let id = bench.app.out.requests.of(crate::app::Asker::Station).expect("a pass is being opened");
    bench.event(id.0, Event::Inspected(Box::new(seen)))
}

fn lens(request: &Inspect) -> Inspected {
    let followed =
        request.want.follow.iter().map(|id| Followed { id: *id, logprob: -1.0, rank: 1 }).collect();
    let row = LensRow { layer: Some(0), followed, ..LensRow::default() };
    let mut seen = Inspected::default();
    seen.trace.lens = Some(Lens { rows: vec![row], ..Lens::default() });
    seen
}

fn attribution(request: &Inspect) -> Inspected {
    let (token, rival) = request.want.attribution.unwrap();
    let part = |part, logit_difference| AttributionPart { part, logit_difference };
    let mut seen = Inspected::default();
    seen.trace.layers = 6;
    seen.trace.heads = 4;
    seen.trace.attribution = Some(Attribution {
        token,
        rival,
        parts: vec![
            part(Component::Embedding, 0.1),
            part(Component::Ffn(3), -2.0),
            part(Component::Attention(2), 1.0),
        ],
        heads: vec![part(Component::Head(2, 1), 1.0)],
        neurons: Vec::new(),
        difference: -0.9,
        closure_error: 0.0,
    });
    seen
}

#[test]
fn an_open_station_has_its_pass_opened_once() {
    let mut bench = reading();
    assert_eq!(asked(&bench.send(Msg::Tick)), None, "the softmax needs no pass");
    bench.app.inspector.station = Station::Layers;
    let request = asked(&bench.send(Msg::Tick)).unwrap();
    assert_eq!(request.ids, [0, 2, 1].map(TokenId));
    assert!(request.want.lens && !request.want.overview && request.want.ffn.is_empty());
    assert_eq!(request.want.follow.first(), Some(&TokenId(1)));
    assert!(bench.app.display().inside_missing().is_some());
    answer(&mut bench, lens(&request));
    assert!(bench.app.display().shown_inside().is_some());
    assert_eq!(asked(&bench.send(Msg::Tick)), None);
}

#[test]
fn the_newest_wish_cancels_the_one_before_and_a_reply_goes_before_any() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Layers;
    bench.send(Msg::Tick);
    assert_eq!(brief(&put_cursor(&mut bench, 2)), ["ask Cancel", "ask Inspect"]);
    bench.app.focus = Focus::Composer;
    let said = brief(&bench.say("more"));
    assert!(said.contains(&"ask Cancel".into()) && !said.contains(&"ask Inspect".into()), "{said:?}");
    assert!(bench.app.inspector.inside.asking.pending().is_none());
}

#[test]
fn what_failed_is_said_and_not_asked_again() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Ffn;
    bench.send(Msg::Tick);
    let id = bench.app.out.requests.of(crate::app::Asker::Station).unwrap();
    let failure = Failure { kind: FailureKind::Other, message: "no such thing".into() };
    assert_eq!(asked(&bench.event(id.0, Event::Failed(failure))), None);
    assert_eq!(bench.app.display().inside_missing().as_deref(), Some("no such thing"));
}

#[test]
fn a_part_switched_off_is_asked_for_beside_what_is_known() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Why;
    bench.app.inspector.inside.rival = Some(TokenId(2));
    let request = asked(&bench.send(Msg::Tick)).unwrap();
    answer(&mut bench, attribution(&request));
    assert_eq!(bench.app.display().ranked_parts().first().map(|part| part.part), Some(Component::Ffn(3)));
    bench.app.focus = Focus::Inspector;
    let request = asked(&bench.press(&["x"])).unwrap();
    assert_eq!(request.ablations, [Intervention::ZeroFfn { layer: 3 }]);
    assert!(!request.everywhere);
    answer(&mut bench, Inspected::default());
    assert!(bench.app.display().shown_card().is_some());
    assert!(
        bench.app.display().shown_inside().unwrap().trace.attribution.is_some(),
        "the pass itself stays known"
    );
    assert_eq!(asked(&bench.press(&["x"])), None, "on again needs nothing");
    assert!(bench.app.display().shown_card().is_none());
}

#[test]
fn what_is_kept_off_is_in_the_next_reply() {
    let mut bench = why();
    bench.press(&["x"]);
    bench.press(&["K"]);
    let off = [Intervention::ZeroFfn { layer: 3 }];
    assert_eq!(bench.app.talk.chat.settings.interventions, off);
    bench.app.focus = Focus::Composer;
    let effects = bench.say("more");
    assert_eq!(generated(&effects).interventions, off);
}

/// The why station with the attribution of the pass on display known.
fn why() -> Bench {
    let mut bench = reading();
    bench.app.inspector.station = Station::Why;
    bench.app.inspector.inside.rival = Some(TokenId(2));
    let request = asked(&bench.send(Msg::Tick)).unwrap();
    answer(&mut bench, attribution(&request));
    bench.app.focus = Focus::Inspector;
    bench
}

#[test]
fn a_part_is_patched_from_the_position_that_was_picked() {
    let mut bench = why();
    assert_eq!(asked(&bench.press(&["p"])), None, "picking asks for nothing");
    assert_eq!(bench.app.inspector.why.picking.as_ref().map(|picking| picking.source.position), Some(1));
    bench.press(&["left", "left", "right", "left"]);
    let request = asked(&bench.press(&["p"])).unwrap();
    assert_eq!(request.patches, [Patch { part: Component::Ffn(3), position: 0, text: Vec::new() }]);
    assert!(request.ablations.is_empty());
    answer(&mut bench, Inspected::default());
    assert!(bench.app.display().shown_card().is_some());
    assert_eq!(asked(&bench.press(&["p"])), None, "its own again");
    assert!(bench.app.inspector.why.tried.is_empty());
    bench.press(&["p", "esc"]);
    assert!(bench.app.inspector.why.picking.is_none() && bench.app.inspector.why.tried.is_empty());
}

#[test]
fn the_stream_after_a_block_is_patched_when_asked() {
    let mut bench = why();
    let request = asked(&bench.press(&["p", "s", "enter"])).unwrap();
    assert_eq!(request.patches, [Patch { part: Component::Stream(3), position: 1, text: Vec::new() }]);
}

#[test]
fn what_was_changed_last_is_taken_back_first() {
    let mut bench = why();
    bench.press(&["x", "down", "x"]);
    let off = |bench: &Bench| bench.app.inspector.why.tried.off.iter().copied().collect::<Vec<_>>();
    assert_eq!(off(&bench), [Component::Attention(2), Component::Ffn(3)]);
    bench.press(&["u"]);
    assert_eq!(off(&bench), [Component::Ffn(3)]);
    bench.press(&["u"]);
    assert!(off(&bench).is_empty());
    bench.press(&["u"]);
    assert!(off(&bench).is_empty());
}

#[test]
fn the_off_column_is_asked_for_at_once_and_only_once() {
    let mut bench = why();
    let request = asked(&bench.press(&["a"])).unwrap();
    assert_eq!(request.want.off, [Component::Ffn(3), Component::Attention(2)], "the embedding cannot be off");
    assert!(request.ablations.is_empty());
    let followed = vec![Followed { id: TokenId(1), logprob: -2.0, rank: 3 }];
    let off = request.want.off.iter().map(|part| (*part, followed.clone())).collect();
    assert_eq!(asked(&answer(&mut bench, Inspected { off, ..Inspected::default() })), None);
    assert_eq!(bench.app.display().off_logprob(Component::Ffn(3)), Some(-2.0));
    assert_eq!(bench.app.display().off_logprob(Component::Head(2, 1)), None);
    let request = asked(&bench.press(&["s"])).unwrap();
    assert_eq!(request.want.off, [Component::Head(2, 1)], "other parts are listed now");
}

#[test]
fn neurons_are_asked_for_when_they_are_listed() {
    let mut bench = why();
    let request = asked(&bench.press(&["s", "s"])).unwrap();
    assert!(request.want.pushing_neurons > 0 && request.want.attribution.is_some());
    let mut seen = attribution(&request);
    let neuron = AttributionPart { part: Component::Neuron(3, 7), logit_difference: 0.5 };
    seen.trace.attribution.as_mut().unwrap().neurons = vec![neuron];
    answer(&mut bench, seen);
    let request = asked(&bench.press(&["x"])).unwrap();
    assert_eq!(request.ablations, [Intervention::ZeroNeuron { layer: 3, neuron: 7 }]);
    bench.press(&["s"]);
    assert_eq!(bench.app.display().ranked_parts().first().map(|part| part.part), Some(Component::Ffn(3)));
}

#[test]
fn a_pinned_card_stays_while_something_else_is_tried() {
    let mut bench = why();
    bench.press(&["enter"]);
    assert!(bench.app.inspector.why.pins.is_empty(), "there is no card yet");
    bench.press(&["x"]);
    answer(&mut bench, Inspected::default());
    bench.press(&["enter", "x", "down", "x"]);
    answer(&mut bench, Inspected::default());
    bench.press(&["enter"]);
    let pinned: Vec<Vec<Component>> =
        bench.app.inspector.why.pins.iter().map(|pin| pin.tried.off.iter().copied().collect()).collect();
    assert_eq!(pinned, [vec![Component::Ffn(3)], vec![Component::Attention(2)]]);
    bench.press(&["enter"]);
    assert_eq!(bench.app.inspector.why.pins.len(), 1);
}

#[test]
fn the_selected_neuron_is_what_x_switches_at_the_feed_forward() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Ffn;
    let request = asked(&bench.send(Msg::Tick)).unwrap();
    let layer = request.want.ffn[0];
    let neurons = [4, 9].map(|index| Neuron { index, ..Neuron::default() }).to_vec();
    let ffns = vec![FeedForward { layer, width: 16, neurons, words: true, ..FeedForward::default() }];
    answer(&mut bench, Inspected { ffns, ..Inspected::default() });
    bench.app.focus = Focus::Inspector;
    bench.press(&["tab", "down", "x"]);
    assert!(bench.app.inspector.why.tried.off.contains(&Component::Neuron(layer, 9)));
}

#[test]
fn a_blocks_neurons_are_listed_before_their_words_are_asked_for() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Ffn;
    let first = asked(&bench.send(Msg::Tick)).unwrap();
    assert!(first.want.ffn_layers && !first.want.words);
    let told = |want: &Want| {
        let (layer, words, order) = (want.ffn[0], want.words, want.neuron_order);
        let ffn = FeedForward { layer, words, order, ..FeedForward::default() };
        let lines = if want.ffn_layers { vec![FfnLayer::default()] } else { Vec::new() };
        let pushes_of = want.follow.first().copied().zip(want.follow.get(1).copied());
        Inspected { ffns: vec![ffn], ffn_layers: lines, pushes_of, ..Inspected::default() }
    };
    let second = asked(&answer(&mut bench, told(&first.want))).unwrap();
    assert_eq!((second.want.ffn_layers, second.want.words, &second.want.ffn), (false, true, &first.want.ffn));
    let effects = answer(&mut bench, told(&second.want));
    assert!(asked(&effects).is_none(), "all is known");
    let ffns = &bench.app.display().shown_inside().unwrap().ffns;
    assert!(ffns.len() == 1 && ffns[0].words);
}

#[test]
fn position_begins_with_the_tokens_own_pass_and_the_dot_shows_the_other() {
    let mut bench = reading();
    bench.app.inspector.station = Station::Position;
    let own = asked(&bench.send(Msg::Tick)).unwrap();
    assert_eq!(own.ids, [0, 2, 1, 1].map(TokenId), "what was read, and the token itself");
    bench.app.focus = Focus::Inspector;
    bench.press(&["."]);
    assert_eq!(pending(&bench).unwrap().ids, [0, 2, 1].map(TokenId));
    bench.app.inspector.station = Station::Layers;
    bench.send(Msg::Tick);
    assert_eq!(pending(&bench).unwrap().ids, [0, 2, 1, 1].map(TokenId), "the other one there too");
}

/// The inspection that is waited for.
fn pending(bench: &Bench) -> Option<Inspect> {
    match bench.app.inspector.inside.asking.pending() {
        Some(Wish::Pass(_, request)) => Some((**request).clone()),
        _ => None,
    }
}
