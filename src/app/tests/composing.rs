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

fn read(name: &str, text: &str) -> crate::app::FileRead {
    let file = crate::attachment::Attachment { name: name.into(), text: text.into() };
    crate::app::FileRead { name: name.into(), file: Some(Ok(file)) }
}

#[test]
fn a_file_named_in_the_draft_goes_with_the_message_as_a_label() {
    use crate::app::{FilesWanted, PathOffer};
    let mut bench = Bench::ready();
    let effects = bench.type_text("see @no");
    assert_eq!(effects.last(), Some(&Effect::ListPaths("no".into())));
    let offers = ["nested/", "notes.txt"].map(|path| PathOffer { path: path.into(), size: Some(9) });
    bench.send(Msg::Paths("no".into(), offers.to_vec()));
    assert_eq!(bench.app.composer.completion.as_ref().unwrap().items.len(), 2);
    bench.press(&["down"]);
    let effects = bench.press(&["enter"]);
    assert!(effects.contains(&Effect::ReadFiles(vec!["notes.txt".into()], FilesWanted::Named)));
    bench.send(Msg::FilesRead(vec![read("notes.txt", "a\nb\n")], FilesWanted::Named));
    assert_eq!(bench.app.composer.area.lines(), ["see [notes.txt, 2 lines]"]);
    bench.type_text(" please");
    assert_eq!(bench.draft(), "see \nnotes.txt:\n```\na\nb\n```\nplease");
    bench.press(&["enter"]);
    assert_eq!(bench.branch()[0], "User: see \nnotes.txt:\n```\na\nb\n```\nplease");
}

#[test]
fn a_file_that_is_named_is_read_before_the_message_goes_and_a_refused_one_holds_it_back() {
    use crate::app::{FileRead, FilesWanted};
    use crate::attachment::{Refused, Why};
    let mut bench = Bench::ready();
    let effects = bench.say("what is in @a.bin and @b.txt, @alice?");
    let names = ["a.bin", "b.txt,", "alice?"].map(String::from).to_vec();
    assert!(effects.contains(&Effect::ReadFiles(names, FilesWanted::Sent)) && bench.branch().is_empty());
    let refused = FileRead {
        name: "a.bin".into(),
        file: Some(Err(Refused { name: "a.bin".into(), why: Why::Binary })),
    };
    let none = || FileRead { name: "alice?".into(), file: None };
    bench.send(Msg::FilesRead(vec![refused, read("b.txt", "x"), none()], FilesWanted::Sent));
    assert!(bench.notice().starts_with("not sent: a.bin is not a text"), "{}", bench.notice());
    assert!(bench.branch().is_empty() && bench.draft().contains("b.txt:\n```\nx\n```\n, @alice?"));
    bench.press(&["ctrl+c", "ctrl+c"]);
    bench.say("hello @alice?");
    bench.send(Msg::FilesRead(vec![none()], FilesWanted::Sent));
    assert_eq!(bench.branch()[0], "User: hello @alice?");
}

#[test]
fn attach_puts_a_file_in_and_a_kept_draft_shows_it_as_a_label_again() {
    use crate::app::FilesWanted;
    let mut bench = Bench::ready();
    let effects = bench.say("/attach my notes.txt");
    assert_eq!(effects.last(), Some(&Effect::ReadFiles(vec!["my notes.txt".into()], FilesWanted::Attached)));
    bench.send(Msg::FilesRead(vec![read("my notes.txt", "a\n")], FilesWanted::Attached));
    assert_eq!(bench.app.composer.area.lines(), ["[my notes.txt, 1 line] "]);
    let kept = bench.draft();
    bench.app.composer.set(&kept);
    assert_eq!((bench.app.composer.pastes.len(), bench.draft()), (1, kept));
}

#[test]
fn what_was_sent_says_where_its_files_and_pastes_lie_and_how_many_tokens_they_are() {
    use crate::app::FilesWanted;
    use crate::engine::protocol::Immediate;
    let mut bench = Bench::ready();
    let long = "line\n".repeat(30);
    bench.say("/attach notes.txt");
    bench.send(Msg::FilesRead(vec![read("dir/notes.txt", "a\nb\n")], FilesWanted::Attached));
    bench.send(Msg::Paste(long.clone()));
    bench.type_text(" why?");
    let effects = bench.press(&["enter"]);
    let typed = bench.app.talk.chat.turns[0].typed();
    let inside: Vec<(&str, Option<&str>)> =
        typed.inserts.iter().map(|insert| (&typed.text[insert.bytes()], insert.file.as_deref())).collect();
    assert_eq!(inside, [("dir/notes.txt:\n```\na\nb\n```", Some("dir/notes.txt")), (long.as_str(), None)]);
    // What was not counted while it was typed is counted now, one after the other, and kept.
    let tokenize = |effects: &[Effect]| asked_in!(effects, id, Request::Immediate(Immediate::Tokenize { text, .. }) => (id.0, text.clone()));
    let (id, text) = tokenize(&effects).unwrap();
    assert_eq!(text, inside[0].0);
    let effects = bench.event(id, Event::Tokenized { tokens: vec![(TokenId(1), Vec::new().into()); 7] });
    let (id, text) = tokenize(&effects).unwrap();
    assert_eq!(text, long);
    let effects = bench.event(id, Event::Tokenized { tokens: vec![(TokenId(1), Vec::new().into()); 60] });
    let stored = effects.iter().find_map(|effect| match effect {
        Effect::Store(store::Command::PutTurn(_, turn)) => Some(turn.inserts.clone()),
        _ => None,
    });
    assert_eq!(stored.unwrap().iter().map(|insert| insert.tokens).collect::<Vec<_>>(), [Some(7), Some(60)]);
    // Edited again, it stands as labels again.
    bench.done(crate::chat::StopReason::Eos);
    bench.press(&["tab"]);
    bench.app.transcript.selected = Some(bench.app.talk.chat.turns[0].id);
    bench.press(&["e"]);
    assert_eq!(bench.app.composer.area.lines(), ["[notes.txt, 2 lines]", "[pasted 30 lines] why?"]);
    assert_eq!(bench.app.composer.typed().text, typed.text);
}

#[test]
fn the_characters_that_scripts_need_survive_a_paste() {
    for text in ["ខ្ញុំ\u{200b}ចង់", "שלום\u{200f}!", "می\u{200c}خواهم", "👨\u{200d}👩", "a\u{ad}b", "\u{61c}1"]
    {
        assert_eq!(clean(text), (text.to_owned(), false));
    }
}

#[test]
fn words_are_cut_and_put_back_and_text_is_selected_by_keyboard() {
    let mut bench = Bench::ready();
    bench.type_text("one two three");
    bench.press(&["ctrl+w", "alt+b", "ctrl+k"]);
    assert_eq!(bench.draft(), "one ");
    bench.press(&["ctrl+y", "ctrl+y"]);
    assert_eq!(bench.draft(), "one two two ");
    bench.press(&["ctrl+z"]);
    assert_eq!(bench.draft(), "one two ");
    bench.press(&["ctrl+y"]);
    assert_eq!(bench.draft(), "one two two ", "redo comes first");
    let shift = |code| Msg::Key(KeyEvent::new(code, KeyModifiers::SHIFT));
    for _ in 0..4 {
        bench.send(shift(KeyCode::Left));
    }
    bench.type_text("!");
    assert_eq!(bench.draft(), "one two !");
}

#[test]
fn chords_of_other_layouts_are_those_of_their_keys() {
    let mut bench = Bench::asked("Hi");
    let ctrl = |c| Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    let effects = bench.send(ctrl('с'));
    assert!(brief(&effects).contains(&"ask Cancel".to_owned()), "Ctrl+С is Ctrl+C");
    bench.type_text("слово");
    assert_eq!(bench.draft(), "слово");
    bench.send(ctrl('ц'));
    assert_eq!(bench.draft(), "", "Ctrl+Ц is Ctrl+W");
}

#[test]
fn option_and_a_digit_on_a_mac_say_what_to_set() {
    let mut bench = Bench::ready();
    bench.type_text("™");
    assert!(bench.notice().contains("Option+2") && bench.notice().contains("/station 2"));
    assert_eq!(bench.draft(), "™");
}

#[test]
fn a_very_long_line_is_a_label_too() {
    let mut bench = Bench::ready();
    bench.send(Msg::Paste("a".repeat(9000)));
    assert_eq!(bench.app.composer.area.lines(), ["[pasted 9000 characters]"]);
    assert_eq!(bench.draft().len(), 9000);
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
fn enter_runs_only_what_a_line_names_or_begins() {
    for line in ["/etc", "/dc", "/model 3", "/preset e", "/theme z", "/nothing of that"] {
        let mut bench = Bench::answered("Hi", "one");
        let before = bench.app.talk.chat.settings.clone();
        let effects = bench.say(line);
        assert!(
            !brief(&effects).iter().any(|effect| effect.starts_with("start") || effect.starts_with("fetch"))
        );
        assert_eq!((bench.draft().as_str(), bench.branch().len()), (line, 2), "{line}");
        assert_eq!(bench.app.talk.chat.settings, before);
        assert!(bench.notice().starts_with("there is no "), "{line}: {}", bench.notice());
        assert_eq!(bench.app.talk.chats.heads.len(), 1);
    }
    let mut bench = Bench::answered("Hi", "one");
    bench.say("/sear");
    assert!(bench.app.overlays.top::<crate::app::Search>().is_some());
}

#[test]
fn what_takes_something_away_is_named_in_full_before_it_is_run() {
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["tab", "esc"]);
    bench.say("/delete-c");
    assert_eq!((bench.draft().as_str(), bench.branch().len()), ("/delete-chat", 2));
    bench.press(&["enter"]);
    assert_eq!(bench.branch().len(), 0);
    // The palette offers none of these for scattered letters.
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["ctrl+p"]);
    bench.type_text("etc");
    bench.press(&["enter", "enter"]);
    assert_eq!(bench.branch().len(), 2);
}

#[test]
fn an_offer_that_was_walked_to_is_taken_into_the_line() {
    let mut bench = Bench::ready();
    bench.type_text("/etc");
    bench.press(&["down"]);
    let chosen = bench.app.composer.completion.clone().unwrap();
    bench.press(&["enter"]);
    assert_eq!(bench.draft().trim_end(), chosen.items[chosen.selected].0);
}

#[test]
fn a_setting_is_completed_with_its_value_and_range() {
    let mut bench = Bench::ready();
    bench.type_text("/set temp");
    bench.press(&["enter"]);
    assert_eq!(bench.draft(), "/set temperature ");
    let offered = bench.app.composer.completion.clone().unwrap();
    assert_eq!(offered.items[0].0, "/set temperature 0.8");
    assert!(offered.items[0].1.starts_with("in use; 0 to 5; "), "{:?}", offered.items[0]);
    bench.type_text("0.5");
    bench.press(&["enter"]);
    assert_eq!((bench.draft().as_str(), bench.notice()), ("", "temperature is 0.5 in this chat"));
    bench.say("/set temp 1");
    assert_eq!(bench.notice(), "there is no setting temp; did you mean temperature?");
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
    // What a file may hold may be set here: far more than the overlay's steps go to.
    bench.say("/set frequency_penalty 50");
    assert_eq!(bench.app.talk.chat.settings.sampling.frequency_penalty, Some(50.0));
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

#[test]
fn a_word_that_begins_one_command_takes_what_stands_behind_it() {
    let mut bench = Bench::answered("Hi", "one");
    bench.say("/tag geo");
    assert_eq!((bench.draft().as_str(), bench.app.talk.chat.head.marks.tags.join(" ").as_str()), ("", "geo"));
    // One that could be several is none, and what takes something away is named in full.
    for line in ["/s hello", "/delete-c now"] {
        let mut bench = Bench::answered("Hi", "one");
        bench.say(line);
        assert_eq!((bench.draft().as_str(), bench.branch().len()), (line, 2));
    }
}

#[test]
fn words_of_other_programs_lead_to_the_command_that_is_meant() {
    for (word, meant) in [("exit", "quit"), ("bye", "quit"), ("clear", "new"), ("retry", "regenerate")] {
        let bench = Bench::asked(&format!("/{word}"));
        let said = format!("there is no command /{word}; did you mean /{meant}? (// sends it as text)");
        assert_eq!(bench.notice(), said);
    }
}

#[test]
fn what_was_said_of_the_line_before_goes_with_the_next_one() {
    let mut bench = Bench::asked("/nothing of that");
    assert!(!bench.notice().is_empty());
    bench.press(&["ctrl+u"]);
    bench.say("/help");
    assert_eq!(bench.notice(), "");
}
