//! The composer: editing, pasting, history, typed commands, Ctrl+C.

use super::*;
use crate::app::chat::composer::clean;
use crate::chat::title_of;

#[test]
fn backspace_takes_a_joined_emoji_as_one_and_undo_brings_it_back_whole() {
    let mut bench = Bench::ready();
    bench.send(Msg::Paste("a👨‍👩‍👧".into()));
    bench.press(&["backspace"]);
    assert_eq!(bench.draft(), "a");
    bench.press(&["ctrl+z"]);
    assert_eq!(bench.draft(), "a👨‍👩‍👧");
}

#[test]
fn backspace_takes_one_mark_of_a_thai_or_devanagari_cluster() {
    let check = |before: &str, after: &str| {
        let mut bench = Bench::ready();
        bench.send(Msg::Paste(before.into()));
        bench.press(&["backspace"]);
        assert_eq!(bench.draft(), after);
    };
    check("กำ", "ก");
    check("कि", "क");
    check("🇩🇪🇫🇷", "🇩🇪");
    check("👍🏽", "");
    check("e\u{301}", "e");
}

#[test]
fn pastes_are_made_harmless() {
    let check = |text: &str, expected: &str| assert_eq!(clean(text), (expected.into(), false));
    check("a\r\nb\rc\nd", "a\nb\nc\nd");
    check("\u{1b}[2J\u{7}x\ty", "[2Jx\ty");
    check("a\u{202e}b\u{2028}c", "ab\nc");
    let (text, cut) = clean(&"ä".repeat(600_000));
    assert_eq!((text.len(), cut), (1_000_000, true));
}

#[test]
fn a_long_paste_is_one_label_that_stands_for_its_text() {
    let mut bench = Bench::ready();
    let long = (0..30).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
    bench.type_text("see ");
    bench.send(Msg::Paste(long.clone()));
    bench.type_text("!");
    assert_eq!(bench.app.composer.area.lines(), ["see [pasted 30 lines]!"]);
    assert_eq!(bench.app.composer.area.atomic_ranges().len(), 1);
    assert_eq!(bench.draft(), format!("see {long}!"));
    bench.press(&["backspace", "backspace"]);
    assert_eq!(bench.draft(), "see ");
}

#[test]
fn the_arrows_walk_the_history_only_from_the_edges_of_the_draft() {
    let mut bench = Bench::answered("first", "a");
    bench.exchange("second", "b");
    bench.type_text("x");
    bench.press(&["alt+enter"]);
    bench.type_text("y");
    bench.press(&["up"]);
    assert_eq!(bench.draft(), "x\ny");
    bench.press(&["up"]);
    assert_eq!(bench.draft(), "second");
    bench.press(&["up", "up"]);
    assert_eq!(bench.draft(), "first");
    bench.press(&["down", "down"]);
    assert_eq!(bench.draft(), "x\ny");
}

#[test]
fn ctrl_c_stops_then_clears_then_asks_then_quits() {
    let mut bench = Bench::asked("Hi");
    bench.type_text("draft");
    assert!(brief(&bench.press(&["ctrl+c"])).contains(&"ask Cancel".to_owned()));
    assert_eq!(brief(&bench.press(&["ctrl+c"]))[0], "history draft");
    assert_eq!((bench.draft().as_str(), bench.app.composer.history[0].as_str()), ("", "draft"));
    bench.press(&["ctrl+c"]);
    assert_eq!(bench.notice(), "Ctrl+C again quits");
    assert_eq!(brief(&bench.press(&["ctrl+c"])).last().unwrap(), "Quit");
}

#[test]
fn the_question_about_quitting_is_forgotten_when_its_notice_goes() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+c"]);
    bench.wait(4000);
    assert_eq!(bench.press(&["ctrl+c"]), []);
    assert!(!bench.app.quitting);
}

#[test]
fn an_unknown_command_stays_in_the_composer_and_names_the_nearest() {
    let bench = Bench::asked("/quti");
    assert_eq!(bench.draft(), "/quti");
    assert_eq!(bench.notice(), "there is no command /quti; did you mean /quit? (// sends it as text)");
}

#[test]
fn two_slashes_or_a_line_break_make_a_message() {
    let mut bench = Bench::ready();
    let effects = bench.say("//quit");
    assert_eq!(messages(&effects), [(Role::User, "//quit".into())]);
}

#[test]
fn completion_offers_commands_and_then_their_arguments() {
    let mut bench = Bench::ready();
    bench.type_text("/mode");
    let items = &bench.app.composer.completion.as_ref().unwrap().items;
    assert_eq!(items[0].0, "/model");
    bench.press(&["enter"]);
    assert_eq!(bench.draft(), "/model ");
    bench.type_text("lar");
    assert_eq!(bench.app.composer.completion.as_ref().unwrap().items[0].0, "/model large");
    assert_eq!(brief(&bench.press(&["enter"])), ["start 2 large"]);
    assert_eq!(bench.draft(), "");
}

#[test]
fn a_setting_is_set_for_the_chat_and_refused_out_of_range() {
    let mut bench = Bench::asked("/set temperature 1.5");
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, Some(1.5));
    bench.say("/set top_k 20");
    let effects = bench.say("Hi");
    let sampling = &generated(&effects).sampling;
    assert_eq!((sampling.temperature, sampling.top_k), (1.5, 20));
    bench.say("/set temperature -3");
    assert_eq!(bench.notice(), "temperature must be 0 or more, not -3");
    bench.press(&["ctrl+c", "ctrl+c"]);
    bench.say("/set temprature 1");
    assert_eq!(bench.notice(), "there is no setting temprature; did you mean temperature?");
    bench.press(&["ctrl+c"]);
    bench.say("/set temperature default");
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, None);
}

#[test]
fn the_draft_is_counted_by_one_question_at_a_time() {
    let mut bench = Bench::ready();
    assert_eq!(brief(&bench.type_text("ab")), ["ask Tokenize"]);
    let request = bench.app.out.requests.of(Asker::DraftCount).unwrap();
    let effects = bench.event(request.0, Event::Tokenized { tokens: Vec::new() });
    assert_eq!(brief(&effects), ["ask Tokenize"]);
    let request = bench.app.out.requests.of(Asker::DraftCount).unwrap();
    let tokens = vec![(TokenId(1), serde_bytes::ByteBuf::new())];
    assert_eq!(bench.event(request.0, Event::Tokenized { tokens }), []);
    assert_eq!(bench.app.composer.tokens, Some(1));
}

#[test]
fn titles_are_one_line_of_at_most_sixty_characters() {
    assert_eq!(title_of("\n  a  b\nc"), "a b");
    let long = title_of(&"word ".repeat(40));
    assert!(long.chars().count() <= 60 && long.ends_with('…'));
}

#[test]
fn idle_means_idle() {
    let mut bench = Bench::ready();
    assert_eq!(bench.app.wakes_at(), None);
    bench.type_text("a");
    assert_eq!(bench.app.wakes_at(), Some(1200));
    bench.wait(200);
    assert_eq!(bench.app.wakes_at(), None);
}
