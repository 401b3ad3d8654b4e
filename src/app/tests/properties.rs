//! Any order of messages leaves a state that holds together.

use std::collections::{BTreeMap, BTreeSet};

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
    /// One after the other.
    All(Vec<Act>),
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
        Act::Token(_) | Act::Done(_) | Act::Full | Act::All(_) => Vec::new(),
    }
}

/// Each turn is there once, and answers one that came before it.
fn is_a_tree(chat: &crate::chat::Conversation) {
    let mut before = BTreeSet::new();
    for turn in &chat.turns {
        assert!(
            turn.parent.is_none_or(|parent| before.contains(&parent)),
            "{:?} comes before what it answers",
            turn.id
        );
        assert!(before.insert(turn.id), "{:?} is there twice", turn.id);
    }
    // What answers a deleted message is hidden with it, and stays as it is, to be there when that is taken back.
    let mut hidden = BTreeSet::new();
    for turn in &chat.turns {
        if turn.deleted || turn.parent.is_some_and(|parent| hidden.contains(&parent)) {
            hidden.insert(turn.id);
        }
    }
    assert!(chat.leaf.is_some() || hidden.len() == chat.turns.len(), "something is shown of what is there");
}

fn holds_together(app: &App) {
    for chat in app.talk.others.values().chain([&app.talk.chat]) {
        assert!(chat.leaf.is_none_or(|leaf| chat.turn(leaf).is_some()), "the leaf is a turn");
        assert!(chat.branch().iter().all(|turn| !turn.deleted), "the branch shows nothing hidden");
        is_a_tree(chat);
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

/// What happens in a chat with many versions: sent, branched, edited, deleted and taken back, walked to and fro.
fn acts_on_a_tree() -> impl Strategy<Value = Act> {
    let keys = prop::sample::select(vec![
        "esc", "esc", "tab", "up", "down", "left", "right", "j", "k", "h", "l", "e", "r", "c", "d", "u", "n",
        "N", "b", "=", "enter", "enter", "1", "2", "ctrl+z", "ctrl+n",
    ]);
    let turn = ("[a-c]{1,2}", "[a-c]{1,3}").prop_map(|(asked, said)| {
        vec![
            Act::Key("esc"),
            Act::Type(asked),
            Act::Key("enter"),
            Act::Token(said),
            Act::Done(StopReason::Eos),
        ]
    });
    let one = prop_oneof![
        12 => keys.prop_map(Act::Key),
        3 => "[a-c]{1,2}".prop_map(Act::Type),
        4 => "[a-c]{1,2}".prop_map(Act::Token),
        3 => prop::sample::select(vec![StopReason::Eos, StopReason::Cancelled]).prop_map(Act::Done),
        1 => (0_usize..3).prop_map(Act::OpenAny),
    ];
    prop_oneof![1 => turn, 6 => one.prop_map(|act| vec![act])].prop_map(Act::All)
}

/// Does all of it, with a store beside; what is shown and what is stored are the same once everything is written.
fn run_all(all: impl IntoIterator<Item = Act>) {
    let mut bench = Bench::ready();
    let mut kept = Kept::default();
    let mut lengths: BTreeMap<TurnId, usize> = BTreeMap::new();
    let each = all.into_iter().flat_map(|act| match act {
        Act::All(acts) => acts,
        act => vec![act],
    });
    for act in each {
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
            assert!(steps >= before, "the steps of a turn only grow");
        }
    }
    bench.app.talk.end_run(with!(bench.app), &mut bench.app.out, "over");
    kept.take(&bench.app.out.take_effects());
    for shown in bench.app.talk.others.values().chain([&bench.app.talk.chat]) {
        if let Some(stored) = kept.chats.get(&shown.head.id) {
            assert_eq!(stored.turns, shown.turns);
            assert_eq!(stored.leaf, shown.leaf);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_messages_keeps_the_state_whole(all in prop::collection::vec(acts(), 0..120)) {
        run_all(all);
    }

    #[test]
    fn any_order_of_branches_edits_and_deletions_keeps_the_tree(all in prop::collection::vec(acts_on_a_tree(), 0..80)) {
        run_all(all);
    }
}
