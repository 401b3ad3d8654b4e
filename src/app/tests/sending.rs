//! From the composer to the engine.

use super::*;
use crate::app::Focus;
use crate::app::{Phase, Queued};
use crate::engine::protocol::{Exit, Failure, FailureKind, Rescored, StoredTokens};

#[test]
fn everything_is_stored_before_the_reply_is_asked_for() {
    let mut bench = Bench::ready();
    let effects = bench.say("Hello there");
    let expected = [
        "put chat Hello there",
        "Title",
        "put User Done",
        "put chat Hello there",
        "history Hello there",
        "put Assistant Streaming",
        "put run None",
        "put chat Hello there",
        "generate",
    ];
    assert_eq!(brief(&effects), expected);
    assert_eq!(bench.draft(), "");
    assert_eq!(bench.branch(), ["User: Hello there", "Assistant: "]);
    let run = bench.app.talk.run.as_ref().unwrap();
    assert_eq!((&run.phase, run.written, run.turn), (&Phase::Asked, 0, bench.app.talk.chat.leaf.unwrap()));
}

#[test]
fn a_kept_draft_is_cleared_when_its_message_is_sent() {
    let mut bench = Bench::ready();
    bench.type_text("Hello");
    assert_eq!(brief(&bench.wait(300)), ["draft new \"Hello\""]);
    let effects = brief(&bench.press(&["enter"]));
    let draft = effects.iter().position(|effect| effect == "draft new \"\"").unwrap();
    assert!(draft < effects.iter().position(|effect| effect == "generate").unwrap());
}

#[test]
fn the_drawn_seed_is_asked_for_and_recorded() {
    let mut bench = Bench::ready();
    let effects = bench.say("Hello");
    let run = &bench.app.talk.runs[&bench.app.talk.run.as_ref().unwrap().run];
    assert_eq!(run.sampling.seed, None);
    assert_eq!(generated(&effects).sampling.seed, Some(run.seed));
}

#[test]
fn an_empty_message_is_not_sent() {
    let mut bench = Bench::ready();
    assert_eq!(bench.say("  "), []);
    assert_eq!(bench.app.talk.chat.turns, []);
}

#[test]
fn a_second_turn_carries_the_tokens_of_the_first_reply() {
    let mut bench = Bench::answered("Hi", "Hello!");
    let effects = bench.say("More");
    let Prompt::Chat { messages, continue_last, setting } = &generated(&effects).prompt else { panic!() };
    let stored = StoredTokens { vocabulary: "words".into(), tokens: vec![(TokenId(1), 6)] };
    let message = |role, text: &str, stored| Message { stored, ..Message::new(role, text) };
    assert_eq!(
        *messages,
        [
            message(Role::User, "Hi", None),
            message(Role::Assistant, "Hello!", Some(stored)),
            message(Role::User, "More", None),
        ]
    );
    assert_eq!((*continue_last, setting.clock_ms), (false, bench.now.wall_ms));
}

#[test]
fn a_message_typed_while_writing_is_sent_when_the_reply_is_done() {
    let mut bench = Bench::asked("One");
    bench.write("first");
    let effects = brief(&bench.say("Two"));
    assert_eq!(effects, ["history Two", "draft chat \"Two\""]);
    let waits =
        Queued { chat: bench.app.talk.chat.head.id, reply_to: None, texts: vec!["Two".to_owned().into()] };
    assert_eq!(bench.app.talk.queued, Some(waits));
    let effects = bench.done(StopReason::Eos);
    let expected = [
        "append 1",
        "finish Done -",
        "put run Some(Eos)",
        "put User Done",
        "put chat One",
        "draft chat \"\"",
        "put Assistant Streaming",
        "put run None",
        "put chat One",
        "generate",
    ];
    assert_eq!(brief(&effects), expected);
    assert_eq!(bench.branch(), ["User: One", "Assistant: first", "User: Two", "Assistant: "]);
    assert_eq!(bench.app.talk.queued, None);
}

#[test]
fn messages_that_wait_are_sent_one_after_the_other_and_can_be_edited() {
    let mut bench = Bench::asked("One");
    bench.write("first");
    for text in ["Two", "Three", "Four"] {
        bench.say(text);
    }
    let waiting = |bench: &Bench| -> Vec<String> {
        let queued = bench.app.talk.queued.iter().flat_map(|queued| &queued.texts);
        queued.map(|typed| typed.text.clone()).collect()
    };
    assert_eq!(waiting(&bench), ["Two", "Three", "Four"]);
    bench.press(&["up"]);
    assert_eq!((bench.draft().as_str(), waiting(&bench).len()), ("Four", 2));
    bench.type_text("!");
    bench.press(&["enter", "up"]);
    assert_eq!(bench.draft(), "Four!");
    bench.press(&["ctrl+c"]);
    assert!(bench.app.talk.run.as_ref().unwrap().stopping, "Ctrl+C stops first");
    let mut bench = Bench::asked("One");
    bench.write("first");
    bench.say("Two");
    bench.say("Three");
    bench.done(StopReason::Eos);
    assert_eq!((bench.branch()[2].as_str(), waiting(&bench)), ("User: Two", vec!["Three".to_owned()]));
    bench.write("second");
    bench.done(StopReason::Eos);
    assert_eq!((bench.branch()[4].as_str(), waiting(&bench).len()), ("User: Three", 0));
}

#[test]
fn a_message_whose_reply_has_no_word_is_given_back() {
    use crate::engine::protocol::FailureKind;
    let failed = |kind| Event::Failed(crate::engine::protocol::Failure { kind, message: "no".into() });
    let mut bench = Bench::asked("One");
    bench.press(&["esc"]);
    bench.reply(failed(FailureKind::Cancelled));
    assert_eq!(bench.draft(), "One");
    bench.type_text("!");
    bench.press(&["enter"]);
    assert_eq!(bench.branch()[0], "User: One!", "as another version");
    bench.write("some");
    bench.reply(failed(FailureKind::Cancelled));
    assert_eq!(bench.draft(), "", "a reply that has begun stays");
}

#[test]
fn a_message_whose_reply_is_stopped_before_its_first_word_is_given_back() {
    let mut bench = Bench::asked("One");
    bench.press(&["esc"]);
    bench.done(StopReason::Cancelled);
    assert_eq!(bench.draft(), "One");
    bench.type_text("!");
    bench.press(&["enter"]);
    assert_eq!(bench.branch()[0], "User: One!", "as another version");
    bench.press(&["esc"]);
    bench.type_text("Two");
    bench.done(StopReason::Cancelled);
    assert_eq!(bench.draft(), "Two", "what is typed meanwhile stays");
    let mut bench = Bench::asked("One");
    bench.write("some");
    bench.press(&["esc"]);
    bench.done(StopReason::Cancelled);
    assert_eq!(bench.draft(), "", "a reply that has begun stays");
}

#[test]
fn a_reply_that_comes_takes_back_what_was_said_of_the_one_that_failed() {
    let refused = || Failure { message: "box cannot be reached".into(), kind: FailureKind::Other };
    let mut bench = Bench::asked("One");
    bench.reply(Event::Failed(refused()));
    bench.press(&["enter"]);
    assert_eq!(bench.notice(), "box cannot be reached");
    bench.write("some");
    assert_ne!(bench.notice(), "box cannot be reached");
    // What failed elsewhere stays.
    let mut bench = Bench::asked("One");
    bench.app.out.fail("the disk is full");
    bench.write("some");
    assert_eq!(bench.notice(), "the disk is full");
}

#[test]
fn a_message_sent_while_loading_is_stored_at_once_and_generated_when_ready() {
    let mut bench = Bench::bare();
    bench.send(Msg::Catalogue(catalogue(&bench.app.config)));
    let effects = brief(&bench.say("Early"));
    assert!(effects.contains(&"put User Done".to_owned()) && !effects.contains(&"generate".to_owned()));
    bench.event(0, Event::ready());
    let request = bench.app.out.requests.of(Asker::Load).unwrap().0;
    let effects = bench.event(request, Event::Loaded(Box::new(loaded())));
    assert_eq!(messages(&effects), [(Role::User, "Early".into())]);
}

#[test]
fn stopping_takes_an_unsent_message_back_into_the_composer() {
    let mut bench = Bench::asked("One");
    bench.say("Two");
    bench.type_text("Three");
    let effects = bench.press(&["esc"]);
    assert!(brief(&effects).contains(&"ask Cancel".to_owned()));
    assert_eq!(bench.draft(), "Two\n\nThree");
    assert_eq!(bench.app.talk.queued, None);
    bench.done(StopReason::Cancelled);
    assert_eq!(bench.app.talk.run, None);
    assert_eq!(bench.app.talk.chat.turns.last().unwrap().note.as_deref(), Some("stopped by you"));
}

#[test]
fn a_full_context_leaves_the_oldest_pair_out_and_says_so() {
    let mut bench = Bench::answered("One", "1");
    bench.exchange("Two", "2");
    bench.say("Three");
    let full = || Failure { message: "too long".into(), kind: FailureKind::ContextFull };
    let effects = bench.reply(Event::Failed(full()));
    assert_eq!(messages(&effects)[0], (Role::User, "Two".into()));
    assert_eq!(bench.notice(), "context is full: the 2 oldest messages are left out");
    let effects = bench.reply(Event::Failed(full()));
    assert_eq!(messages(&effects), [(Role::User, "Three".into())]);
    bench.reply(Event::Failed(full()));
    assert_eq!(bench.app.talk.run, None);
    assert_eq!(bench.app.talk.chat.turns.last().unwrap().note.as_deref(), Some("too long"));
}

/// What a prompt of so many tokens is answered with.
fn prompt_of(tokens: usize) -> Event {
    let ids = vec![crate::token::TokenId(1); tokens];
    Event::Prompt(PromptFacts { ids, ..PromptFacts::default() })
}

fn with_context(context: u32) -> Bench {
    let mut bench = Bench::answered("One", "1");
    if let ModelStatus::Ready(loaded) = &mut bench.app.model.status {
        loaded.context = context;
    }
    for (question, answer) in [("Two", "2"), ("Three", "3"), ("Four", "4")] {
        bench.exchange(question, answer);
    }
    bench
}

#[test]
fn room_for_an_answer_is_made_before_it_is_asked_for() {
    let mut bench = with_context(160);
    bench.say("Five");
    let effects = bench.reply(prompt_of(153));
    assert_eq!(brief(&effects), ["ask Cancel", "generate"]);
    assert_eq!(messages(&effects)[0], (Role::User, "Two".into()));
    // Enough for this answer, but the next would read everything anew.
    let effects = bench.reply(prompt_of(110));
    assert_eq!(messages(&effects)[0], (Role::User, "Three".into()));
    let effects = bench.reply(prompt_of(70));
    assert!(brief(&effects).iter().all(|effect| effect != "generate"), "{effects:?}");
    assert_eq!(bench.notice(), "context is full: the 4 oldest messages are left out");
    bench.write("5");
    bench.done(StopReason::Eos);
    let first = bench.app.talk.chat.turns[0].id;
    assert!(bench.app.view().left_out_here().is_some_and(|gone| gone.contains(&first)));
    // The next answer reads the same messages; another branch reads all of its own.
    let effects = bench.say("Six");
    assert_eq!(messages(&effects)[0], (Role::User, "Three".into()));
    bench.reply(prompt_of(90));
    bench.done(StopReason::Eos);
    let second = bench.app.talk.chat.turns[2].id;
    bench.app.transcript.selected = Some(second);
    bench.app.focus = crate::app::Focus::Transcript;
    bench.press(&["e"]);
    let effects = bench.say(" more");
    assert_eq!(messages(&effects)[0], (Role::User, "One".into()));
    assert!(!bench.app.view().left_out_here().is_some_and(|gone| gone.contains(&first)));
}

#[test]
fn what_cannot_be_left_out_is_no_reason_to_ask_again() {
    let mut bench = Bench::ready();
    if let ModelStatus::Ready(loaded) = &mut bench.app.model.status {
        loaded.context = 160;
    }
    bench.say("One");
    let effects = bench.reply(prompt_of(155));
    assert!(brief(&effects).iter().all(|effect| effect != "generate"), "{effects:?}");
    bench.write("1");
    bench.done(StopReason::Context);
    let last = bench.app.talk.chat.turns.last().unwrap();
    assert_eq!(last.note.as_deref(), Some("context is full: the reply ends here"));
}

#[test]
fn a_reply_that_meets_the_end_of_the_context_goes_on() {
    let mut bench = with_context(160);
    bench.say("Five");
    bench.reply(prompt_of(100));
    bench.write("begun");
    let effects = bench.done(StopReason::Context);
    assert!(brief(&effects).contains(&"generate".to_owned()));
    let effects = bench.reply(prompt_of(161 - 1));
    assert_eq!(messages(&effects)[0], (Role::User, "Two".into()));
    assert_eq!(messages(&effects).last().unwrap(), &(Role::Assistant, "begun".into()));
    bench.reply(prompt_of(60));
    bench.write(" and ended");
    bench.done(StopReason::Eos);
    let last = bench.app.talk.chat.turns.last().unwrap();
    assert_eq!((last.text().as_str(), last.note.as_deref()), ("begun and ended", None));
}

#[test]
fn with_the_rule_stop_a_full_context_is_a_failure() {
    let mut bench = Bench::ready();
    bench.app.config.engine.overflow = crate::config::Overflow::Stop;
    bench.exchange("One", "1");
    bench.say("Two");
    let full = Failure { message: "too long".into(), kind: FailureKind::ContextFull };
    bench.reply(Event::Failed(full));
    assert_eq!((&bench.app.talk.run, bench.notice()), (&None, "too long"));
}

#[test]
fn a_dead_engine_costs_the_model_and_never_the_reply() {
    let mut bench = Bench::asked("Hi");
    bench.write("half");
    let exit = Exit {
        expected: false,
        how: "ended by signal 9 (killed)".into(),
        log_tail: vec!["loading".into(), "out of memory".into()],
        told: None,
    };
    let effects = bench.event(0, Event::Exited(exit));
    let why = "the engine ended by signal 9 (killed) (its last line: out of memory)";
    assert_eq!(
        brief(&effects),
        ["append 1".into(), format!("finish Interrupted {why}"), "put run Some(Error)".into()]
    );
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: half"]);
    let notice = "the engine ended by signal 9 (killed); F5 (or /reload) loads it again (its last line: out of memory)";
    assert_eq!(bench.notice(), notice);
    assert_eq!(brief(&bench.press(&["f5"])), ["start 2 small"]);
    bench.loaded();
    let effects = bench.press(&["ctrl+r"]);
    assert_eq!(messages(&effects), [(Role::User, "Hi".into())]);
}

#[test]
fn quitting_saves_first_and_then_ends_engine_and_app() {
    let mut bench = Bench::asked("Hi");
    bench.write("half");
    bench.type_text("draft");
    let expected = [
        "append 1",
        "finish Interrupted glassbox was closed",
        "put run Some(Cancelled)",
        "draft chat \"draft\"",
        "store PutPlace",
        "store Close",
        "stop 1",
        "Quit",
    ];
    assert_eq!(brief(&bench.press(&["ctrl+q"])), expected);
    assert_eq!(bench.send(Msg::Tick), []);
    assert_eq!(bench.app.wakes_at(), None);
}

#[test]
fn being_asked_to_end_is_quitting() {
    let mut bench = Bench::ready();
    assert_eq!(brief(&bench.send(Msg::Terminate)), ["store Close", "stop 1", "Quit"]);
}

/// A chat of so many short exchanges, each prompt all that went before; gives the ids that all runs hold.
fn ids_held_after(exchanges: usize) -> usize {
    let mut bench = Bench::ready();
    let mut read: Vec<TokenId> = Vec::new();
    for number in 0..exchanges {
        bench.say("word");
        read.extend((0..10).map(|at| TokenId(i32::try_from(number * 10 + at).unwrap())));
        bench.reply(Event::Prompt(PromptFacts { ids: read.clone(), ..PromptFacts::default() }));
        let run = bench.app.talk.run.as_ref().unwrap().run;
        assert_eq!(bench.app.view().prompt_of(run), Some(read.clone()));
        bench.write(" word");
        bench.done(StopReason::Eos);
        read.push(TokenId(1));
    }
    bench.app.talk.runs.values().map(|run| run.prompt_ids.len()).sum()
}

#[test]
fn what_is_kept_of_prompts_grows_with_a_chat_not_with_its_square() {
    let (short, long) = (ids_held_after(10), ids_held_after(40));
    assert!(long <= 4 * short + 40, "{short} ids after 10 exchanges, {long} after 40");
}

#[test]
fn a_summary_takes_the_place_of_old_messages_and_can_be_taken_back() {
    let mut bench = Bench::answered("One", "1");
    for (question, answer) in [("Two", "2"), ("Three", "3"), ("Four", "4")] {
        bench.exchange(question, answer);
    }
    let before = bench.branch();
    let effects = bench.say("/compact");
    let asked = messages(&effects);
    assert_eq!((asked.len(), asked[0].clone()), (5, (Role::User, "One".into())));
    let id = bench.app.out.requests.of(Asker::Compact).unwrap().0;
    bench.event(id, prompt_of(90));
    bench.event(id, Event::Token(Box::new(step("numbers", 1.0).into())));
    let done = Event::Done { stop: StopReason::Eos, usage: Usage::default(), timings: Timings::default() };
    let effects = bench.event(id, done);
    assert_eq!(brief(&effects), ["ask Rescore"]);
    let id = bench.app.out.requests.of(Asker::Compact).unwrap().0;
    let scored = Rescored {
        prompt: Vec::new(),
        steps: vec![Step { logprob: -3.0, ..step("4", 1.0) }],
        decoded: 1,
        displaced: 0,
        ms: 1.0,
    };
    bench.event(id, Event::Rescored(Box::new(scored)));
    let Some(crate::app::Confirm { question, .. }) = bench.app.overlays.top() else { panic!("it asks") };
    assert!(question.starts_with("1 tokens in place of 4 messages"), "{question}");
    assert!(question.contains("costs +2.9 bit"), "{question}");
    assert_eq!(bench.branch(), before, "nothing is changed before a yes");
    bench.press(&["y"]);
    let chat = &bench.app.talk.chat;
    let texts: Vec<String> =
        chat.branch().iter().map(|turn| String::from_utf8(chat.bytes(turn)).unwrap()).collect();
    assert_eq!(texts[1..], ["numbers", "Three", "3", "Four", "4"]);
    assert_eq!(messages(&bench.say("Five"))[1], (Role::Assistant, "numbers".into()));
    bench.done(StopReason::Eos);
    let first = bench.app.talk.chat.branch()[0].id;
    bench.app.transcript.selected = Some(first);
    bench.app.focus = Focus::Transcript;
    bench.press(&["left"]);
    assert_eq!(bench.branch()[..], before[..]);
}

#[test]
fn a_summary_that_is_done_while_somebody_types_waits_until_it_is_asked_for() {
    let mut bench = Bench::answered("One", "1");
    for (question, answer) in [("Two", "2"), ("Three", "3"), ("Four", "4")] {
        bench.exchange(question, answer);
    }
    let before = bench.branch();
    bench.say("/compact");
    bench.type_text("wh");
    let id = bench.app.out.requests.of(Asker::Compact).unwrap().0;
    bench.event(id, Event::Token(Box::new(step("numbers", 1.0).into())));
    let done = Event::Done { stop: StopReason::Eos, usage: Usage::default(), timings: Timings::default() };
    bench.event(id, done);
    let id = bench.app.out.requests.of(Asker::Compact).unwrap().0;
    let steps = vec![Step { logprob: -3.0, ..step("4", 1.0) }];
    bench.event(
        id,
        Event::Rescored(Box::new(Rescored { prompt: Vec::new(), steps, decoded: 1, displaced: 0, ms: 1.0 })),
    );
    assert_eq!(bench.notice(), "the summary is written; /compact shows it");
    bench.type_text("y not");
    assert_eq!((bench.draft().as_str(), bench.branch()), ("why not", before.clone()));
    bench.press(&["ctrl+u"]);
    bench.say("/compact");
    let Some(crate::app::Confirm { question, .. }) = bench.app.overlays.top() else { panic!("it asks") };
    assert!(question.starts_with("1 tokens in place of 4 messages"), "{question}");
    bench.press(&["y"]);
    assert_ne!(bench.branch(), before);
}

#[test]
fn a_message_that_waited_and_comes_back_is_said_not_to_be_sent() {
    let mut bench = Bench::asked("One");
    bench.write("first");
    bench.say("Two");
    bench.press(&["ctrl+c"]);
    assert_eq!(
        (bench.draft().as_str(), bench.notice()),
        ("Two", "not sent: what waited is back in the line")
    );
}
