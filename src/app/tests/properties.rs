//! Any order of messages leaves a state that holds together.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::engine::protocol::{Exit, Failure, FailureKind};

/// Something that can happen at any time.
#[derive(Clone, Debug)]
enum Act {
    Key(&'static str),
    Type(String),
    Paste(String),
    Token(String),
    Done(StopReason),
    Full,
    Die,
    Load,
    Wait(u64),
    Resize(u16, u16),
    OpenAny(usize),
    Late,
}

fn acts() -> impl Strategy<Value = Act> {
    let keys = prop::sample::select(vec![
        "enter",
        "esc",
        "tab",
        "up",
        "down",
        "left",
        "right",
        "backspace",
        "f1",
        "f2",
        "f3",
        "f4",
        "f5",
        "f6",
        "=",
        "L",
        "1",
        "b",
        "+",
        "ctrl+c",
        "ctrl+n",
        "ctrl+r",
        "ctrl+f",
        "ctrl+g",
        "ctrl+l",
        "ctrl+p",
        "ctrl+z",
        "ctrl+y",
        "alt+enter",
        "j",
        "k",
        "l",
        "h",
        "w",
        "b",
        "n",
        "N",
        "m",
        "s",
        "d",
        "u",
        "e",
        "c",
        "r",
        "y",
        "z",
        "t",
        " ",
        "/",
        "7",
        "?",
    ]);
    prop_oneof![
        8 => keys.prop_map(Act::Key),
        4 => "[a-z/ ä👍🏽é\n]{0,6}".prop_map(Act::Type),
        1 => any::<String>().prop_map(Act::Paste),
        6 => "[a-z ]{1,3}".prop_map(Act::Token),
        2 => prop::sample::select(vec![StopReason::Eos, StopReason::Cancelled, StopReason::Length])
            .prop_map(Act::Done),
        1 => Just(Act::Full),
        1 => Just(Act::Die),
        3 => Just(Act::Load),
        3 => (0_u64..2000).prop_map(Act::Wait),
        1 => (0_u16..200, 0_u16..60).prop_map(|(width, height)| Act::Resize(width, height)),
        2 => (0_usize..4).prop_map(Act::OpenAny),
        1 => Just(Act::Late),
    ]
}

/// Keeps what the app stores, and gives it back when asked.
#[derive(Default)]
struct Kept {
    chats: BTreeMap<ConversationId, crate::chat::Conversation>,
}

impl Kept {
    fn take(&mut self, effects: &[Effect]) -> Vec<Msg> {
        let mut answers = Vec::new();
        for effect in effects {
            let Effect::Store(command) = effect else { continue };
            match command {
                store::Command::PutConversation { head, settings, leaf } => {
                    let chat = self
                        .chats
                        .entry(head.id)
                        .or_insert_with(|| crate::app::chat::chats::empty_chat(head.id));
                    let draft = std::mem::take(&mut chat.head.draft);
                    (chat.head, chat.settings, chat.leaf) = (head.clone(), settings.clone(), *leaf);
                    chat.head.draft = draft;
                }
                store::Command::PutTurn(id, turn) => {
                    let chat = self.chats.get_mut(id).expect("a chat is stored before its turns");
                    match chat.turn_mut(turn.id) {
                        Some(old) => *old = (**turn).clone(),
                        None => chat.turns.push((**turn).clone()),
                    }
                }
                store::Command::AppendSteps(id, steps) => {
                    let turn = self.chats.values_mut().find_map(|chat| chat.turn_mut(*id));
                    let turn = turn.expect("a turn is stored before its steps");
                    let Some(Span::Generated { steps: all, .. }) = turn.spans.last_mut() else {
                        panic!("steps go to a generated span")
                    };
                    all.extend(steps.iter().cloned());
                }
                store::Command::FinishTurn(id, state, note) => {
                    let turn = self.chats.values_mut().find_map(|chat| chat.turn_mut(*id));
                    let turn = turn.expect("a turn is stored before it ends");
                    (turn.state, turn.note) = (*state, note.clone());
                }
                store::Command::SetDeleted(id, deleted) => {
                    let turn = self.chats.values_mut().find_map(|chat| chat.turn_mut(*id));
                    turn.expect("a turn is stored before it is hidden").deleted = *deleted;
                }
                store::Command::PutDraft(Some(id), text) => {
                    self.chats.get_mut(id).expect("a chat has a draft").head.draft.clone_from(text);
                }
                store::Command::Open(id) => {
                    let chat = self.chats.get(id).cloned().map(Box::new);
                    answers.push(Msg::Store(store::Event::Opened(*id, chat)));
                }
                _ => {}
            }
        }
        answers
    }
}

fn run_act(bench: &mut Bench, act: Act) -> Vec<Effect> {
    match act {
        Act::Key(name) => bench.press(&[name]),
        Act::Type(text) => bench.type_text(&text),
        Act::Paste(text) => bench.send(Msg::Paste(text)),
        Act::Token(text) if bench.app.talk.run.is_some() => bench.write(&text),
        Act::Done(stop) if bench.app.talk.run.is_some() => bench.done(stop),
        Act::Full if bench.app.talk.run.is_some() => {
            let full = Failure { message: "full".into(), kind: FailureKind::ContextFull };
            bench.reply(Event::Failed(full))
        }
        Act::Die => bench.event(0, Event::Exited(Exit { how: "died".into(), ..Exit::default() })),
        Act::Load => match bench.app.model.status {
            ModelStatus::Loading(_) if bench.app.out.requests.of(Asker::Load).is_none() => {
                bench.event(0, Event::ready())
            }
            ModelStatus::Loading(_) => {
                let request = bench.app.out.requests.of(Asker::Load).map_or(0, |request| request.0);
                bench.event(request, Event::Loaded(Box::new(loaded())))
            }
            ModelStatus::None => bench.send(Msg::Catalogue(catalogue(&bench.app.config))),
            _ => Vec::new(),
        },
        Act::Wait(ms) => bench.wait(ms),
        Act::Resize(width, height) => bench.send(Msg::Resize(width, height)),
        Act::OpenAny(at) => match bench.app.talk.chats.heads.get(at).map(|head| head.id) {
            Some(id) => bench.app.open(id),
            None => Vec::new(),
        },
        Act::Late => bench.event(1, Event::Token(Box::new(step("late", 9.0).into()))),
        Act::Token(_) | Act::Done(_) | Act::Full => Vec::new(),
    }
}

fn holds_together(app: &App) {
    for chat in app.talk.others.values().chain([&app.talk.chat]) {
        assert!(chat.leaf.is_none_or(|leaf| chat.turn(leaf).is_some()), "the leaf is a turn");
        assert!(chat.branch().iter().all(|turn| !turn.deleted), "the branch shows nothing hidden");
    }
    if let Some(run) = &app.talk.run {
        let turn = app.view().conversation(run.chat).and_then(|chat| chat.turn(run.turn));
        assert!(
            turn.is_some_and(|turn| turn.state == crate::chat::TurnState::Streaming),
            "a run has its turn"
        );
        assert!(app.talk.runs.contains_key(&run.run), "a run is recorded");
    }
    if let Some(selected) = app.transcript.selected {
        assert!(
            app.talk.chat.branch().iter().any(|turn| turn.id == selected),
            "the selection is on the branch"
        );
    }
    if let Some(at) = app.wakes_at() {
        assert!(at > app.out.now.mono_ms, "nothing that is due is left: {at} at {}", app.out.now.mono_ms);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_messages_keeps_the_state_whole(all in prop::collection::vec(acts(), 0..120)) {
        let mut bench = Bench::ready();
        let mut kept = Kept::default();
        let mut lengths: BTreeMap<TurnId, usize> = BTreeMap::new();
        for act in all {
            let mut effects = run_act(&mut bench, act);
            while !effects.is_empty() {
                let answers = kept.take(&effects);
                effects = answers.into_iter().flat_map(|msg| bench.send(msg)).collect();
            }
            if bench.app.quitting {
                break;
            }
            holds_together(&bench.app);
            for turn in &bench.app.talk.chat.turns {
                let steps = turn.steps().count();
                let before = lengths.insert(turn.id, steps).unwrap_or(0);
                prop_assert!(steps >= before, "the steps of a turn only grow");
            }
        }
        // What is shown and what is stored are the same once everything is written.
        bench.app.talk.end_run(with!(bench.app), &mut bench.app.out, "over");
        kept.take(&bench.app.out.take_effects());
        if let Some(stored) = kept.chats.get(&bench.app.talk.chat.head.id) {
            prop_assert_eq!(&stored.turns, &bench.app.talk.chat.turns);
            prop_assert_eq!(stored.leaf, bench.app.talk.chat.leaf);
        }
    }
}
