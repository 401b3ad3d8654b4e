//! Tokens, versions, the inspector.

use super::*;
use crate::app::{ActiveRun, Focus, Scroll};
use crate::chat::{ThreadCount, TurnState};
use crate::engine::protocol::Written;

#[test]
fn tokens_reach_the_store_in_batches_of_a_fifth_of_a_second() {
    let mut bench = Bench::asked("Hi");
    assert_eq!(brief(&bench.write("a")), Vec::<String>::new());
    bench.now.mono_ms += 160;
    bench.write("b");
    assert_eq!(bench.app.wakes_at(), Some(1200));
    assert_eq!(brief(&bench.wait(40)), ["append 2"]);
    assert_eq!(bench.branch()[1], "Assistant: ab");
}

#[test]
fn what_waits_in_the_app_and_in_the_store_is_less_than_the_half_second_that_may_be_lost() {
    let behind = u64::try_from(crate::store::BEHIND.as_millis()).unwrap();
    assert!(crate::app::chat::reply::FLUSH_MS + behind < 500);
    assert!(crate::app::chat::composer::DRAFT_MS + behind < 500);
}

#[test]
fn when_a_reply_has_ended_its_last_word_is_on_display() {
    let mut bench = Bench::asked("Hi");
    for (text, entropy) in [("a", 2.0), ("b", 0.1), ("\n", 0.1)] {
        bench.reply(Event::Token(Box::new(step(text, entropy).into())));
    }
    assert_eq!(bench.app.inspector.live.as_ref().unwrap().index, 0, "the least certain so far");
    bench.done(StopReason::Eos);
    assert_eq!(bench.app.inspector.live.as_ref().unwrap().index, 1, "a line's end cannot be seen");
}

#[test]
fn that_the_machine_is_busy_holds_for_the_reply_being_written_and_the_threads_are_kept_with_its_run() {
    let mut bench = Bench::asked("Hi");
    let busy = |bench: &Bench| bench.app.talk.run.as_ref().is_some_and(ActiveRun::machine_busy);
    for machine_busy in [false, true, false, true] {
        let written = Written { machine_busy, ..step("a", 1.0).into() };
        bench.reply(Event::Token(Box::new(written)));
        assert_eq!(busy(&bench), machine_busy);
    }
    let run = bench.app.talk.run.as_ref().unwrap().run;
    let timings = Timings { threads: Some(ThreadCount { least: 1, most: 2 }), ..Timings::default() };
    bench.reply(Event::Done { stop: StopReason::Eos, usage: Usage::default(), timings });
    assert!(!busy(&bench));
    assert_eq!(bench.app.talk.runs[&run].timings, timings);
}

#[test]
fn cancelled_run_ignores_late_tokens() {
    let mut bench = Bench::asked("Hi");
    bench.write("a");
    let request = bench.app.talk.run.as_ref().unwrap().request.0;
    bench.press(&["esc"]);
    bench.done(StopReason::Cancelled);
    assert_eq!(bench.event(request, Event::Token(Box::new(step("late", 1.0).into()))), []);
    assert_eq!(bench.branch()[1], "Assistant: a");
}

#[test]
fn events_of_an_old_engine_are_ignored() {
    let mut bench = Bench::asked("Hi");
    let request = bench.app.talk.run.as_ref().unwrap().request;
    let late = Envelope { id: request, event: Event::Token(Box::new(step("late", 1.0).into())) };
    assert_eq!(bench.send(Msg::Engine(EngineId(0), late)), []);
    assert_eq!(bench.branch()[1], "Assistant: ");
}

#[test]
fn esc_stops_the_reply_only_from_the_composer() {
    let mut bench = Bench::asked("Hi");
    bench.write("a");
    bench.press(&["tab"]);
    assert_eq!(bench.app.focus, Focus::Transcript);
    assert_eq!(brief(&bench.press(&["esc"])), Vec::<String>::new());
    assert_eq!(bench.app.focus, Focus::Composer);
    assert_eq!(brief(&bench.press(&["esc"])), ["ask Cancel"]);
    assert_eq!(bench.press(&["esc"]), []);
}

#[test]
fn the_first_token_says_what_was_reused() {
    let mut bench = Bench::asked("Hi");
    let facts = PromptFacts { ids: vec![TokenId(0); 62], reused: 45, seed: 7, ..PromptFacts::default() };
    bench.reply(Event::Prompt(facts));
    bench.now.mono_ms += 60;
    bench.write("a");
    assert_eq!(bench.notice(), "reused 45 tokens of 62, read 17 in 0.06 s");
    assert_eq!(bench.app.model.used, 63);
}

#[test]
fn the_live_list_changes_at_most_every_150_ms_and_then_to_the_least_certain_step() {
    let mut bench = Bench::asked("Hi");
    bench.reply(Event::Token(Box::new(step("a", 1.0).into())));
    for (text, entropy) in [("b", 0.5), ("c", 3.0), ("d", 2.0)] {
        bench.now.mono_ms += 10;
        bench.reply(Event::Token(Box::new(step(text, entropy).into())));
    }
    let shown = |bench: &Bench| {
        let live = bench.app.inspector.live.as_ref().unwrap();
        (live.index, live.of, live.context_tail.clone())
    };
    assert_eq!(shown(&bench), (0, 1, "Hi\n".into()));
    assert_eq!(bench.app.wakes_at(), Some(1150));
    bench.wait(120);
    assert_eq!(shown(&bench), (2, 3, "Hi\nab".into()));
}

#[test]
fn a_held_step_stays_until_it_is_let_go() {
    let mut bench = Bench::asked("Hi");
    bench.write("a");
    bench.press(&["backtab", " "]);
    assert!(bench.app.inspector.held);
    bench.write("b");
    bench.wait(1000);
    assert_eq!(bench.app.inspector.live.as_ref().unwrap().index, 0);
    bench.press(&["esc"]);
    assert!(!bench.app.inspector.held);
}

#[test]
fn the_arrows_walk_versions_where_nothing_is_written() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["left"]);
    assert_eq!(bench.notice(), "this message has one version; /regenerate-here writes another");
    bench.press(&["ctrl+r"]);
    bench.write("two");
    bench.done(StopReason::Eos);
    bench.press(&["left"]);
    assert_eq!(
        (bench.branch()[1].as_str(), bench.app.focus),
        ("Assistant: one", crate::app::Focus::Composer)
    );
    bench.press(&["right"]);
    assert_eq!(bench.branch()[1], "Assistant: two");
    bench.type_text("ab");
    bench.press(&["left"]);
    bench.type_text("c");
    assert_eq!(bench.draft(), "acb");
}

#[test]
fn regenerating_adds_a_version_and_the_arrows_walk_them() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["ctrl+r"]);
    bench.write("two");
    bench.done(StopReason::Eos);
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: two"]);
    bench.press(&["tab", "left"]);
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: one"]);
    bench.press(&["left"]);
    assert_eq!(bench.notice(), "version 1 of 2");
    bench.press(&["right"]);
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: two"]);
}

#[test]
fn editing_sends_a_sibling_and_brings_the_draft_back() {
    let mut bench = Bench::answered("Hi", "one");
    bench.type_text("draft");
    bench.press(&["tab", "k", "e"]);
    assert_eq!((bench.draft().as_str(), bench.app.focus), ("Hi", Focus::Composer));
    bench.type_text("!");
    let effects = bench.press(&["enter"]);
    assert_eq!(messages(&effects), [(Role::User, "Hi!".into())]);
    assert_eq!(bench.draft(), "draft");
    let users: Vec<&Turn> = bench.app.talk.chat.turns.iter().filter(|turn| turn.role == Role::User).collect();
    assert_eq!((users[0].parent, users[1].parent), (None, None));
}

#[test]
fn giving_an_edit_up_brings_the_draft_back() {
    let mut bench = Bench::answered("Hi", "one");
    bench.type_text("draft");
    bench.press(&["tab", "k", "e", "esc"]);
    assert_eq!((bench.draft().as_str(), bench.app.composer.editing), ("draft", None));
}

#[test]
fn continuing_appends_a_span_to_the_same_reply() {
    let mut bench = Bench::answered("Hi", "one");
    let effects = bench.press(&["tab", "c"]);
    let Prompt::Chat { messages, continue_last, .. } = &generated(&effects).prompt else { panic!() };
    assert_eq!((messages.last().unwrap().text.as_str(), *continue_last), ("one", true));
    bench.write(" two");
    bench.done(StopReason::Length);
    let turn = bench.app.talk.chat.turns.last().unwrap();
    assert_eq!((turn.text().as_str(), turn.spans.len(), turn.state), ("one two", 2, TurnState::Done));
    assert_eq!(turn.note.as_deref(), Some("ended at max_tokens"));
}

#[test]
fn a_deleted_message_can_be_taken_back() {
    let mut bench = Bench::answered("Hi", "one");
    bench.exchange("More", "two");
    bench.press(&["tab", "k", "d"]);
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: one"]);
    bench.press(&["u"]);
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: one", "User: More", "Assistant: two"]);
}

#[test]
fn a_message_after_a_deleted_reply_is_read_behind_the_one_before_and_neither_branch_is_lost() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["tab", "j", "d", "tab"]);
    let effects = bench.say("More");
    assert_eq!(messages(&effects), [(Role::User, "Hi".into()), (Role::User, "More".into())]);
    bench.write("two");
    bench.done(StopReason::Eos);
    bench.say("/restore");
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: one"]);
    assert_eq!(bench.notice(), "taken back; what was written since is another branch, which t shows");
    // Nothing came since: nothing to say.
    bench.press(&["d"]);
    bench.press(&["u"]);
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: one"]);
}

#[test]
fn a_chat_without_messages_names_the_command_that_takes_them_back() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["tab", "j", "d"]);
    assert_eq!(bench.notice(), "deleted; u takes it back, r writes another; the next message joins yours");
    bench.press(&["u", "k", "d"]);
    assert_eq!((bench.app.focus, bench.notice()), (Focus::Composer, "deleted; /restore takes it back"));
    bench.say("/restore");
    assert_eq!(bench.branch(), ["User: Hi", "Assistant: one"]);
}

#[test]
fn an_edit_during_a_reply_names_the_key_that_stops_the_reply_and_not_the_edit() {
    let mut bench = Bench::answered("Hi", "one");
    bench.say("More");
    bench.press(&["tab", "k", "e"]);
    bench.type_text("!");
    bench.press(&["enter"]);
    assert_eq!(bench.notice(), "a reply is being written; Ctrl+C stops it");
    bench.press(&["ctrl+c"]);
    assert!(bench.app.composer.editing.is_some());
    assert_eq!(bench.draft(), "More!");
}

#[test]
fn an_edit_given_up_is_in_the_prompt_history() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["tab", "k", "e"]);
    bench.type_text(" there");
    bench.press(&["esc"]);
    assert_eq!(bench.draft(), "");
    bench.press(&["up"]);
    assert_eq!(bench.draft(), "Hi there");
}

#[test]
fn one_version_says_how_another_is_made_of_it() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["tab", "left"]);
    assert_eq!(bench.notice(), "this message has one version; r writes another");
    bench.press(&["k", "left"]);
    assert_eq!(bench.notice(), "this message has one version; e writes another");
}

#[test]
fn finding_ignores_case_and_composition_in_every_script() {
    let mut bench = Bench::answered("Да и café", "cafe\u{301}");
    bench.press(&["ctrl+f"]);
    bench.type_text("да");
    assert_eq!(bench.app.transcript.find.as_ref().unwrap().matches.len(), 1);
    bench.press(&["esc", "ctrl+f"]);
    bench.type_text("CAFÉ");
    assert_eq!(bench.app.transcript.find.as_ref().unwrap().matches.len(), 2);
    bench.press(&["esc"]);
    let last = bench.app.talk.chat.branch().last().map(|turn| turn.id);
    assert_eq!(bench.app.transcript.selected, last, "Esc stays at the match");
}

#[test]
fn finding_walks_the_matches_from_the_last() {
    let mut bench = Bench::answered("apple", "Apple pie");
    bench.press(&["ctrl+f"]);
    bench.type_text("apple");
    let turns: Vec<TurnId> = bench.app.talk.chat.branch().iter().map(|turn| turn.id).collect();
    let find = bench.app.transcript.find.as_ref().unwrap();
    assert_eq!(find.matches, [(turns[0], 0..5), (turns[1], 0..5)]);
    assert_eq!(bench.app.transcript.selected, Some(turns[1]));
    bench.press(&["enter"]);
    assert_eq!(bench.app.transcript.selected, Some(turns[0]));
    bench.press(&["esc"]);
    assert_eq!((&bench.app.transcript.find, bench.app.focus), (&None, Focus::Transcript));
}

#[test]
fn finding_takes_no_notice_of_case_or_accents_and_leaves_the_cursor_at_the_match() {
    let mut bench = Bench::answered("Да, cafe\u{301}", "one");
    bench.press(&["ctrl+r"]);
    bench.write("un ");
    bench.write("CAFÉ");
    bench.done(StopReason::Eos);
    for (text, found) in [("да", 1), ("café", 2), ("cafe", 2)] {
        bench.press(&["ctrl+f"]);
        bench.type_text(text);
        assert_eq!(bench.app.transcript.find.as_ref().unwrap().matches.len(), found, "{text}");
        bench.press(&["esc"]);
    }
    assert_eq!(bench.app.transcript.cursor.map(|at| at.index), Some(1), "the token that was found");
}

#[test]
fn copying_takes_the_reply_or_its_code() {
    let mut bench = Bench::answered("Hi", "so:\n```\ncode\n```");
    bench.press(&["tab"]);
    assert_eq!(bench.press(&["y"]), [Effect::Copy("so:\n```\ncode\n```".into())]);
    assert_eq!(bench.press(&["Y"]), [Effect::Copy("code".into())]);
}

#[test]
fn a_whole_chat_is_copied_and_shown_as_nothing_but_text() {
    let mut bench = Bench::answered("Hi", "<think>\nHm\n</think>\n\n# So\n");
    let copied = |bench: &mut Bench| {
        let copies = bench.say("/copy-chat").into_iter().filter_map(|effect| match effect {
            Effect::Copy(text) => Some(text),
            _ => None,
        });
        copies.collect::<String>()
    };
    let text = copied(&mut bench);
    assert!(text.starts_with("# Hi\n\n## You\n\nHi\n\n## ") && text.contains("\n### So\n"), "{text}");
    assert!(!text.contains("Hm"), "{text}");
    let shown = |effects: Vec<Effect>| match &effects[..] {
        [Effect::ShowText(messages)] => messages.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(shown(bench.press(&["f8"])), ["Hi", "# So"]);
    bench.press(&["ctrl+t"]);
    assert_eq!(shown(bench.press(&["f8"])), ["Hi", "<think>\nHm\n</think>\n\n# So"]);
    assert!(copied(&mut bench).contains("<summary>thought: "));
}

#[test]
fn scrolling_up_leaves_the_end_and_sending_returns_to_it() {
    let mut bench = Bench::answered("Hi", "one");
    bench.app.scroll_page(false);
    assert!(matches!(bench.app.transcript.scroll, Scroll::Anchor { moved: -1, .. }));
    bench.say("More");
    assert_eq!(bench.app.transcript.scroll, Scroll::Bottom);
}

#[test]
fn a_reply_that_is_cut_under_a_grammar_says_that_it_is_not_whole() {
    for (stop, said) in [
        (StopReason::Eos, None),
        (StopReason::Length, Some("ended at max_tokens, before the grammar's end: not whole")),
        (StopReason::Stop, Some("ended at a stop text, before the grammar's end: not whole")),
    ] {
        let mut bench = Bench::ready();
        bench.send(Msg::Grammar(Ok(("root ::= \"a\"".into(), "follows it".into()))));
        assert_eq!(bench.notice(), "follows it");
        bench.type_text("Hi");
        let effects = bench.press(&["enter"]);
        assert_eq!(generated(&effects).sampling.grammar, "root ::= \"a\"");
        bench.write("a");
        bench.done(stop);
        assert_eq!(bench.app.talk.chat.turns.last().unwrap().note.as_deref(), said);
    }
}

#[test]
fn a_grammar_is_read_from_a_file_and_taken_away_again() {
    let mut bench = Bench::ready();
    bench.type_text("/grammar some.gbnf");
    assert_eq!(bench.press(&["enter"]), [Effect::ReadGrammar("some.gbnf".into())]);
    bench.send(Msg::Grammar(Err("some.gbnf, line 3: there is no rule x".into())));
    assert_eq!(bench.notice(), "some.gbnf, line 3: there is no rule x");
    assert_eq!(bench.app.talk.chat.settings.sampling.grammar, None);
    bench.send(Msg::Grammar(Ok(("root ::= \"a\"".into(), String::new()))));
    bench.type_text("/grammar off");
    bench.press(&["enter"]);
    assert_eq!(bench.app.view().sampling().grammar, "");
}

#[test]
fn what_stands_of_a_reply_is_counted_in_where_it_goes_on() {
    let mut bench = Bench::answered("Hi", "one");
    assert_eq!(generated(&bench.press(&["tab", "c"])).begun, 1);
}
