//! Several chats, and what the store says.

use super::*;
use crate::app::Level;
use crate::chat::Conversation;

/// What the store would give back for the shown chat.
fn stored(bench: &Bench) -> Box<Conversation> {
    Box::new(bench.app.talk.chat.clone())
}

#[test]
fn a_reply_goes_on_while_another_chat_is_shown() {
    let mut bench = Bench::asked("One");
    bench.write("a");
    let first = bench.app.talk.chat.head.id;
    bench.press(&["ctrl+n"]);
    assert_eq!(bench.branch(), Vec::<String>::new());
    bench.write("b");
    assert_eq!(bench.app.talk.others[&first].turns[1].text(), "ab");
    let effects = brief(&bench.done(StopReason::Eos));
    assert_eq!(effects, ["append 2", "finish Done -", "put run Some(Eos)", "Notify"]);
    assert!(bench.app.talk.chats.unseen.contains(&first) && bench.app.talk.others.is_empty());
}

#[test]
fn returning_to_a_writing_chat_shows_it_at_once() {
    let mut bench = Bench::asked("One");
    let first = bench.app.talk.chat.head.id;
    bench.press(&["ctrl+n"]);
    bench.write("a");
    bench.app.open_chat(first, None);
    assert_eq!(bench.branch(), ["User: One", "Assistant: a"]);
    assert!(bench.app.talk.others.is_empty());
}

#[test]
fn a_message_of_another_chat_waits_for_the_reply_there() {
    let mut bench = Bench::asked("One");
    bench.press(&["ctrl+n"]);
    let effects = brief(&bench.say("Two"));
    assert!(effects.contains(&"put User Done".to_owned()) && !effects.contains(&"generate".to_owned()));
    let effects = bench.done(StopReason::Eos);
    assert_eq!(messages(&effects), [(Role::User, "Two".into())]);
    assert_eq!(bench.branch(), ["User: Two", "Assistant: "]);
}

#[test]
fn every_chat_keeps_its_draft() {
    let mut bench = Bench::answered("One", "a");
    bench.type_text("half a thought");
    let first = bench.app.talk.chat.head.id;
    let effects = brief(&bench.press(&["ctrl+n"]));
    assert_eq!(effects[0], "draft chat \"half a thought\"");
    assert_eq!(bench.draft(), "");
    bench.type_text("new");
    bench.app.open_chat(first, None);
    let mut conversation = Box::new(crate::app::chat::chats::empty_chat(first));
    conversation.head.draft = "half a thought".into();
    bench.send(Msg::Store(store::Event::Opened(first, Some(conversation))));
    assert_eq!(bench.draft(), "half a thought");
}

#[test]
fn a_chat_that_was_not_asked_for_is_not_shown() {
    let mut bench = Bench::answered("One", "a");
    let late = stored(&bench);
    bench.press(&["ctrl+n"]);
    bench.send(Msg::Store(store::Event::Opened(late.head.id, Some(late))));
    assert_eq!(bench.branch(), Vec::<String>::new());
}

#[test]
fn a_search_opens_the_chat_at_the_turn_found() {
    let mut bench = Bench::answered("One", "a");
    let kept = stored(&bench);
    let turn = kept.turns[0].id;
    bench.press(&["ctrl+n", "ctrl+g"]);
    let effects = bench.type_text("on");
    assert_eq!(
        effects,
        [
            Effect::Store(store::Command::Search("o".into())),
            Effect::Store(store::Command::Search("on".into()))
        ]
    );
    let hit = store::Hit {
        conversation: kept.head.id,
        turn,
        title: "One".into(),
        snippet: "One".into(),
        matched: 0..3,
        created_ms: 0,
    };
    bench.send(Msg::Store(store::Event::Found { query: "on".into(), hits: vec![hit] }));
    assert_eq!(bench.press(&["enter"]), [Effect::Store(store::Command::Open(kept.head.id))]);
    bench.send(Msg::Store(store::Event::Opened(kept.head.id, Some(kept))));
    assert_eq!(bench.app.transcript.selected, Some(turn));
}

#[test]
fn a_deleted_chat_can_be_taken_back() {
    let mut bench = Bench::answered("One", "a");
    let id = bench.app.talk.chat.head.id;
    bench.press(&["tab", "tab"]);
    let effects = bench.press(&["d"]);
    assert_eq!(effects[0], Effect::Store(store::Command::DeleteConversation(id, true)));
    assert!(bench.app.talk.chats.heads.is_empty() && bench.app.talk.chat.turns.is_empty());
    let effects = bench.press(&["u"]);
    assert_eq!(effects, [Effect::Store(store::Command::DeleteConversation(id, false))]);
    assert_eq!(bench.app.talk.chats.heads.len(), 1);
}

#[test]
fn renaming_takes_the_new_title() {
    let mut bench = Bench::answered("One", "a");
    bench.press(&["tab", "tab", "r"]);
    bench.type_text(" more");
    assert_eq!(brief(&bench.press(&["enter"])), ["put chat One more", "Title"]);
    assert_eq!(bench.app.talk.chats.heads[0].title, "One more");
}

#[test]
fn a_chat_that_is_not_in_memory_is_read_before_it_is_renamed() {
    let mut bench = Bench::answered("One", "a");
    let kept = stored(&bench);
    let id = kept.head.id;
    bench.press(&["ctrl+n"]);
    bench.app.talk.rename(with!(bench.app), &mut bench.app.out, id, "Other");
    let effects = bench.send(Msg::Store(store::Event::Opened(id, Some(kept))));
    assert!(brief(&effects).contains(&"put chat Other".to_owned()));
    assert_eq!(bench.branch(), Vec::<String>::new());
}

#[test]
fn the_newest_chat_is_opened_when_asked_for_at_start() {
    let mut bench = Bench::answered("One", "a");
    let head = crate::chat::ConversationHead { id: ConversationId(7), ..bench.app.talk.chat.head.clone() };
    bench.app.open_newest();
    let effects = bench.send(Msg::Store(store::Event::Listed(vec![head.clone()])));
    assert_eq!(effects, [Effect::Store(store::Command::Open(head.id))]);
}

#[test]
fn trouble_with_the_store_is_said_and_taken_back() {
    let mut bench = Bench::ready();
    let trouble = store::Event::Trouble { message: "the disk is full".into(), lost: true };
    bench.send(Msg::Store(trouble));
    assert_eq!(bench.app.unsaved.as_deref(), Some("the disk is full"));
    assert_eq!(bench.app.out.notice.as_ref().unwrap().level, Level::Error);
    bench.send(Msg::Store(store::Event::Recovered));
    assert_eq!((bench.app.unsaved.clone(), bench.notice()), (None, "saving works again"));
}

#[test]
fn replies_cut_off_by_the_end_are_said_at_start() {
    let mut bench = Bench::ready();
    let ready = store::Event::Ready { interrupted: 1, draft: "half".into(), notes: Vec::new() };
    bench.send(Msg::Store(ready));
    assert_eq!(bench.notice(), "1 reply was cut off when glassbox ended; what was written is kept");
    assert_eq!(bench.draft(), "half");
}

#[test]
fn old_tokens_get_their_vocabulary_from_the_store() {
    let mut bench = Bench::answered("One", "a");
    let id = bench.app.talk.chat.head.id;
    let mut run = bench.app.talk.runs.values().next().unwrap().clone();
    (run.id, run.vocabulary) = (crate::chat::RunId(5), Some("old words".into()));
    let effects = bench.send(Msg::Store(store::Event::Runs(id, vec![run])));
    assert_eq!(effects, [Effect::Store(store::Command::Vocabulary("old words".into()))]);
}
