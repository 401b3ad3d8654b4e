//! Several chats, and what the store says.

use super::*;
use crate::app::{Focus, Level};
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
fn a_list_that_was_read_before_a_chat_was_written_does_not_hide_it() {
    let mut bench = Bench::asked("One");
    let first = bench.app.talk.chat.head.id;
    let listed = |bench: &Bench| bench.app.talk.chats.heads.iter().map(|head| head.id).collect::<Vec<_>>();
    bench.send(Msg::Store(store::Event::Listed(Vec::new())));
    assert_eq!(listed(&bench), [first]);
    bench.press(&["ctrl+n"]);
    bench.send(Msg::Store(store::Event::Listed(Vec::new())));
    assert_eq!(listed(&bench), [first]);
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
        role: Role::User,
        at: 0,
        created_ms: 0,
    };
    bench.send(Msg::Store(store::Event::Found { query: "on".into(), hits: vec![hit] }));
    assert_eq!(bench.press(&["enter"]), [Effect::Store(store::Command::Open(kept.head.id))]);
    bench.send(Msg::Store(store::Event::Opened(kept.head.id, Some(kept))));
    assert_eq!(bench.app.transcript.selected, Some(turn));
}

#[test]
fn a_deleted_chat_lies_in_the_bin_and_is_opened_when_it_is_taken_back() {
    let mut bench = Bench::answered("One", "a");
    let id = bench.app.talk.chat.head.id;
    bench.press(&["backtab", "backtab"]);
    let effects = bench.press(&["d"]);
    assert_eq!(effects[0], Effect::Store(store::Command::DeleteConversation(id, true)));
    assert!(bench.app.talk.chats.heads.is_empty() && bench.app.talk.chat.turns.is_empty());
    assert_eq!(bench.app.talk.chats.bin.len(), 1);
    let effects = bench.press(&["u"]);
    let expected = [store::Command::DeleteConversation(id, false), store::Command::Open(id)];
    assert_eq!(effects, expected.map(Effect::Store));
    assert_eq!((bench.app.talk.chats.heads.len(), bench.app.talk.chats.bin.len()), (1, 0));
}

#[test]
fn a_deletion_is_taken_back_after_a_restart() {
    let mut bench = Bench::ready();
    let head = |id, binned_ms| crate::chat::ConversationHead {
        title: format!("chat {id}"),
        binned_ms,
        ..crate::chat::ConversationHead::new(ConversationId(id))
    };
    let heads = vec![head(1, Some(5)), head(2, Some(9)), head(3, None)];
    bench.send(Msg::Store(store::Event::Listed(heads)));
    assert_eq!(bench.app.talk.chats.heads.len(), 1);
    let effects = bench.say("/restore-chat");
    assert!(effects.contains(&Effect::Store(store::Command::DeleteConversation(ConversationId(2), false))));
    // In the bin, a deletion is for good, and asked for first.
    bench.app.show_chats().show_list(crate::app::ChatList::Bin);
    assert!(bench.press(&["d"]).is_empty());
    let purge = store::Command::PurgeConversation(ConversationId(1));
    assert_eq!(bench.press(&["y"]), [purge, store::Command::History].map(Effect::Store));
    assert!(bench.app.talk.chats.bin.is_empty());
}

/// Goes to the list of chats by the keyboard.
fn to_chats(bench: &mut Bench) {
    for _ in 0..3 {
        if bench.app.focus != Focus::Chats {
            bench.press(&["backtab"]);
        }
    }
    assert_eq!(bench.app.focus, Focus::Chats);
}

#[test]
fn the_list_is_narrowed_by_what_is_typed_and_the_rest_of_the_keys_are_letters() {
    let mut bench = Bench::answered("One", "a");
    bench.press(&["ctrl+n"]);
    bench.exchange("Two", "b");
    let second = bench.app.talk.chat.head.id;
    to_chats(&mut bench);
    bench.press(&["/"]);
    assert!(bench.type_text("one").is_empty(), "no letter is a command");
    assert_eq!(bench.app.talk.chats.rows().len(), 1);
    let effects = bench.press(&["enter"]);
    assert!(matches!(effects.last(), Some(Effect::Store(store::Command::Open(id))) if *id != second));
    assert!(bench.app.talk.chats.filter.is_none());
}

#[test]
fn what_is_typed_into_a_line_of_the_list_is_text_and_no_row_of_commands() {
    let mut bench = Bench::answered("One", "a");
    to_chats(&mut bench);
    let typed = |bench: &Bench| bench.app.letter(key("d")) == crate::app::Letter::Typed;
    assert!(!typed(&bench), "d is a command in the list");
    for begin in ["t", "r", "/"] {
        bench.press(&[begin]);
        assert!(typed(&bench), "after {begin}");
        bench.press(&["esc"]);
        assert!(!typed(&bench), "the line of {begin} is left");
    }
}

#[test]
fn marks_are_stored_and_a_message_brings_an_archived_chat_back() {
    let mut bench = Bench::answered("One", "a");
    to_chats(&mut bench);
    bench.press(&["p", "t"]);
    bench.type_text("Work ideas");
    let effects = bench.press(&["enter"]);
    let id = bench.app.talk.chat.head.id;
    let tags = vec!["ideas".to_owned(), "work".to_owned()];
    let marks = crate::chat::Marks { pinned: true, archived: false, tags };
    assert_eq!(effects, [Effect::Store(store::Command::PutMarks(id, marks.clone()))]);
    bench.press(&["a"]);
    assert_eq!((bench.app.talk.chats.heads.len(), bench.app.talk.chats.archived.len()), (0, 1));
    bench.press(&["esc"]);
    bench.say("Two");
    assert_eq!(bench.app.talk.chats.heads[0].marks, marks);
}

#[test]
fn nothing_of_a_temporary_chat_is_stored_until_it_is_kept() {
    let mut bench = Bench::ready();
    bench.say("/temporary");
    let first = bench.app.talk.chat.head.id;
    let writes = |effects: &[Effect]| {
        let stored = effects.iter().filter_map(|effect| match effect {
            Effect::Store(store::Command::Open(_) | store::Command::Scores(_)) => None,
            Effect::Store(command) => Some(format!("{command:?}")),
            _ => None,
        });
        stored.collect::<Vec<_>>()
    };
    let mut effects = bench.say("secret");
    effects.extend(bench.write("hidden"));
    effects.extend(bench.wait(600));
    effects.extend(bench.done(StopReason::Eos));
    effects.extend(bench.type_text("half a thought"));
    effects.extend(bench.wait(600));
    effects.extend(bench.press(&["ctrl+n"]));
    assert_eq!(writes(&effects), Vec::<String>::new());
    assert_eq!(bench.draft(), "", "what was typed there stays there");
    bench.exchange("Two", "b");
    // It is in the list until the app ends, and can be kept.
    bench.send(Msg::Store(store::Event::Listed(Vec::new())));
    let shown = bench.app.talk.chat.head.id;
    let listed: Vec<_> = bench.app.talk.chats.heads.iter().map(|head| head.id).collect();
    assert_eq!(listed, [shown, first]);
    bench.app.open_chat(first, None);
    assert_eq!((bench.branch().len(), bench.draft().as_str()), (2, "half a thought"));
    bench.press(&["ctrl+c"]);
    let effects = brief(&bench.say("/temporary"));
    let kept: Vec<&str> =
        effects.iter().map(String::as_str).filter(|effect| effect.starts_with("put")).collect();
    assert_eq!(kept, ["put chat secret", "put User Done", "put run Some(Eos)", "put Assistant Done"]);
    assert!(brief(&bench.say("more")).contains(&"put User Done".to_owned()));
}

#[test]
fn a_chat_is_gone_on_with_where_it_was_left() {
    let mut bench = Bench::answered("One", "a");
    let mut kept = stored(&bench);
    let turn = kept.turns[0].id;
    bench.app.transcript.scroll = crate::app::Scroll::Anchor { turn, row: 2, moved: 0 };
    bench.app.inspector.station = crate::app::Station::Why;
    let effects = bench.press(&["ctrl+n"]);
    let Some(place) = effects.iter().find_map(|effect| match effect {
        Effect::Store(store::Command::PutPlace(_, place)) => Some(place.clone()),
        _ => None,
    }) else {
        panic!("{effects:?}")
    };
    assert_eq!(place, crate::chat::Place { top: Some((turn, 2)), station: Some("why".into()) });

    kept.head.id = ConversationId(77); // one that the next app does not have
    let mut bench = Bench::bare();
    bench.app.talk.opening.resume(false);
    bench.app.open_chat(kept.head.id, None);
    kept.place = place;
    kept.turns[1].model = Some("large".into());
    bench.send(Msg::Store(store::Event::Opened(kept.head.id, Some(kept.clone()))));
    assert_eq!(bench.app.transcript.scroll, crate::app::Scroll::Anchor { turn, row: 2, moved: 0 });
    assert_eq!(bench.app.inspector.station, crate::app::Station::Why);
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    assert_eq!(bench.app.model.name, "large", "the model that wrote it is the one that is loaded");

    // A model that the user names goes before the chat's.
    let mut bench = Bench::bare();
    bench.app.talk.opening.resume(true);
    bench.app.open_chat(kept.head.id, None);
    bench.send(Msg::Store(store::Event::Opened(kept.head.id, Some(kept))));
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    assert_eq!(bench.app.model.name, "small");
}

#[test]
fn renaming_takes_the_new_title() {
    let mut bench = Bench::answered("One", "a");
    bench.press(&["backtab", "backtab", "r"]);
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
fn the_chat_looked_at_last_is_opened_when_asked_for_at_start() {
    let mut bench = Bench::ready();
    let head = |id, looked, updated_ms| crate::chat::ConversationHead {
        updated_ms,
        looked,
        ..crate::chat::ConversationHead::new(ConversationId(id))
    };
    bench.app.talk.opening.open_last();
    let heads = vec![head(1, 3, 900), head(2, 8, 100), head(3, 0, 950)];
    let effects = bench.send(Msg::Store(store::Event::Listed(heads)));
    assert_eq!(effects, [Effect::Store(store::Command::Open(ConversationId(2)))]);
}

#[test]
fn a_chat_says_what_it_took() {
    let mut bench = Bench::answered("One", "a");
    bench.say("/usage");
    let Some(sheet) = bench.app.overlays.top::<crate::app::Sheet>() else { panic!("nothing is shown") };
    assert_eq!(sheet.rows[0], ("messages".to_owned(), "1 of yours, 1 reply".to_owned()));
    assert_eq!(sheet.rows.last().unwrap().0, "small");
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

/// What the engine is told of whom it reads for, and what it is to forget.
fn named(effects: &[Effect]) -> Vec<Job> {
    let about = |effect: &Effect| match effect {
        Effect::Engine(_, _, request) => match &**request {
            Request::Job(job @ (Job::Chat(_) | Job::Forget(_) | Job::Generate(_))) => Some(job.clone()),
            _ => None,
        },
        _ => None,
    };
    let short = |job: Job| if let Job::Generate(_) = job { Job::Calibrate } else { job };
    effects.iter().filter_map(about).map(short).collect()
}

#[test]
fn an_engine_that_keeps_what_it_reads_is_told_for_which_chat_that_is() {
    let mut bench = Bench::ready();
    let (unasked, reply) = (bench.app.talk.chat.head.id, Job::Calibrate);
    assert_eq!(
        named(&bench.say("Hi")),
        std::slice::from_ref(&reply),
        "one that keeps nothing is told nothing"
    );
    bench.done(StopReason::Eos);
    let ModelStatus::Ready(loaded) = &mut bench.app.model.status else { panic!() };
    loaded.keeps_states = true;
    assert_eq!(named(&bench.say("And")), [Job::Chat(Some(unasked)), reply.clone()]);
    bench.done(StopReason::Eos);
    let effects = bench.press(&["ctrl+n"]);
    let second = bench.app.talk.chat.head.id;
    assert_eq!(named(&effects), [Job::Chat(Some(second))], "the chat is left");
    bench.say("/temporary");
    assert_eq!(named(&bench.say("Secret")), [Job::Chat(None), reply]);
    bench.done(StopReason::Eos);
    let binned =
        crate::chat::ConversationHead { binned_ms: Some(5), ..crate::chat::ConversationHead::new(unasked) };
    bench.send(Msg::Store(store::Event::Listed(vec![binned])));
    bench.app.show_chats().show_list(crate::app::ChatList::Bin);
    bench.press(&["d"]);
    assert_eq!(named(&bench.press(&["y"])), [Job::Forget(unasked)]);
}

#[test]
fn the_first_token_says_that_the_chat_came_from_a_snapshot() {
    let mut bench = Bench::asked("Hi");
    let ids = vec![TokenId(0); 62];
    bench.reply(Event::Prompt(PromptFacts { ids, reused: 45, recalled: true, ..PromptFacts::default() }));
    bench.now.mono_ms += 60;
    bench.write("a");
    assert_eq!(bench.notice(), "45 tokens of 62 read from a snapshot, 17 read anew, 0.06 s in all");
}
