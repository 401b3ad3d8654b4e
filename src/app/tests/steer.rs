//! Steering: from two texts to a direction, a preview, and a chat whose replies are pushed.

use super::stations::reading;
use super::*;
use crate::app::{Help, SteerField, SteerPanel, SteerWish};
use crate::chat::Intervention;
use crate::engine::protocol::{Directed, Distance, Inspect, Inspected};

/// What the panel asks, answered: the request by name.
fn pending(bench: &Bench) -> Option<&SteerWish> {
    bench.app.inspector.steer.asking.pending()
}

fn answer(bench: &mut Bench, event: Event) {
    let id = bench.app.out.requests.of(Asker::Steering).expect("the panel asks for something");
    bench.event(id.0, event);
}

/// The pass that is asked for.
fn inspected(effects: &[Effect]) -> Inspect {
    let asked =
        asked_in!(effects, _, Request::Inspection(Inspection::Inspect(inspect)) => (**inspect).clone());
    asked.expect("a preview is asked for")
}

fn cut(ids: &[i32]) -> Event {
    let tokens = ids.iter().map(|id| (TokenId(*id), serde_bytes::ByteBuf::new())).collect();
    Event::Tokenized { tokens }
}

/// The panel with two texts whose direction is known.
fn directed() -> Bench {
    let mut bench = reading();
    bench.app.open_steer();
    let steer = &mut bench.app.inspector.steer;
    steer.towards.text = "warm".into();
    steer.away.text = "cold".into();
    bench.send(Msg::Tick);
    answer(&mut bench, cut(&[1]));
    answer(&mut bench, cut(&[2]));
    let Some(SteerWish::Direct(direction)) = pending(&bench) else { panic!("{:?}", pending(&bench)) };
    assert_eq!(
        (direction.towards.as_slice(), direction.away.as_slice()),
        (&[TokenId(1)][..], &[TokenId(2)][..])
    );
    let found = Directed { direction: vec![0.6, 0.8], distance: 3.0, ..Directed::default() };
    answer(&mut bench, Event::Directed(Box::new(found)));
    bench
}

#[test]
fn two_texts_give_a_direction_and_a_strength_its_preview() {
    let mut bench = directed();
    assert_eq!(pending(&bench), None, "at strength 0 there is nothing to see");
    bench.app.inspector.steer.field = SteerField::Strength;
    let inspect = inspected(&bench.press(&["right"]));
    let push = inspect.ablations[0].steering().unwrap().clone();
    assert_eq!((push.strength, push.direction, inspect.everywhere), (0.05, vec![0.6, 0.8], true));
    assert!(!push.first_position, "the first token's state is left as it is");
    answer(&mut bench, Event::Inspected(Box::default()));
    assert_eq!(bench.app.display().shown_preview(), Some(&Inspected::default()));
    let Some(SteerWish::Yardstick(_)) = pending(&bench) else { panic!("{:?}", pending(&bench)) };
    let mut seen = Inspected::default();
    seen.trace.kl_from_original = Some(0.03);
    answer(&mut bench, Event::Inspected(Box::new(seen)));
    assert_eq!((bench.app.display().shown_yardstick(), pending(&bench)), (Some(0.03), None));
    bench.press(&["right"]);
    assert_eq!(bench.app.display().shown_preview(), None, "a preview is of one strength");
}

#[test]
fn a_steered_chat_says_so_in_its_next_reply_until_it_is_ended() {
    let mut bench = directed();
    bench.press(&["enter"]);
    assert!(bench.app.view().steering().is_none(), "a push of no strength is none");
    bench.app.inspector.steer.field = SteerField::Strength;
    bench.press(&["left", "left", "enter"]);
    let push = bench.app.view().steering().unwrap().clone();
    assert_eq!((push.name.as_str(), push.strength), ("warm − cold", -0.1));
    assert!(bench.app.talk.chat.settings.twin && bench.app.overlays.find::<SteerPanel>().is_none());
    bench.app.focus = crate::app::Focus::Composer;
    let effects = bench.say("more");
    assert_eq!(generated(&effects).interventions, [Intervention::Steer(push)]);
    bench.app.talk.steer_off(with!(bench.app), &mut bench.app.out);
    assert!(bench.app.view().steering().is_none() && bench.app.talk.chat.settings.interventions.is_empty());
}

#[test]
fn after_a_restart_the_strength_of_what_is_in_force_can_be_changed() {
    let mut bench = reading();
    let push = crate::chat::Steering {
        name: "warm − cold".into(),
        layers: vec![0],
        strength: 0.2,
        direction: vec![0.6, 0.8],
        first_position: false,
        stream: 0.0,
    };
    bench.app.talk.chat.settings.interventions.push(Intervention::Steer(push.clone()));
    bench.app.transcript.selected = None;
    bench.app.open_steer();
    assert_eq!(bench.app.inspector.steer.percent, 20);
    let inspect = inspected(&bench.send(Msg::Tick));
    assert_eq!(inspect.ablations, [Intervention::Steer(push.clone())]);
    bench.app.inspector.steer.field = SteerField::Strength;
    bench.press(&["left", "left", "enter"]);
    assert_eq!(bench.app.view().steering(), Some(&crate::chat::Steering { strength: 0.1, ..push }));
}

#[test]
fn what_the_engine_refuses_is_said_and_not_asked_again() {
    let mut bench = reading();
    bench.app.open_steer();
    bench.app.inspector.steer.towards.text = "same".into();
    bench.app.inspector.steer.away.text = "same".into();
    bench.send(Msg::Tick);
    answer(&mut bench, cut(&[1]));
    let failure = crate::engine::protocol::Failure {
        message: "The two texts have the same mean here.".into(),
        kind: crate::engine::protocol::FailureKind::Other,
    };
    answer(&mut bench, Event::Failed(failure));
    assert_eq!(pending(&bench), None);
    assert_eq!(bench.app.display().steer_refused(), Some("The two texts have the same mean here."));
}

#[test]
fn the_twin_s_figures_are_those_of_the_newest_reply() {
    let mut bench = reading();
    bench.app.inspector.steer.twin_told(0, Distance { kl: Some(1.0), ms: 5.0 });
    bench.app.inspector.steer.twin_told(2, Distance { kl: Some(2.0), ms: 5.0 });
    assert_eq!(bench.app.inspector.steer.kls, [Some(1.0), None, Some(2.0)]);
    assert_eq!(bench.app.inspector.steer.steered_kl(), Some((1.5, 2)));
    bench.app.inspector.steer.twin_told(0, Distance { kl: Some(4.0), ms: 6.0 });
    assert_eq!(bench.app.inspector.steer.steered_kl(), Some((4.0, 1)));
}

#[test]
fn help_in_the_panel_is_the_panels_own_page() {
    let mut bench = directed();
    bench.press(&["f1"]);
    let Some(Help { page, .. }) = bench.app.overlays.top() else { panic!("no help") };
    assert_eq!(crate::app::HelpPage::at(*page), crate::app::HelpPage::Steering);
    bench.press(&["esc"]);
    assert_eq!(bench.app.overlays[..], [SteerPanel.into()]);
}
