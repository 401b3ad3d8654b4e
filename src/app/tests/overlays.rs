//! Palette, pickers, settings, help, mouse.

use super::*;
use crate::app::{
    Area, Confirm, Focus, Help, HelpPage, HelpPart, Item, Licence, Models, Palette, Settings, Themes,
    setting_keys,
};
use crate::command::TABLE;
use crate::config::Warning;
use crate::config::keymap::Keymap;
use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

#[test]
fn the_palette_runs_the_chosen_command() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+p"]);
    bench.type_text("mouse");
    assert_eq!(bench.press(&["enter"]), [Effect::Mouse(true)]);
    assert!(bench.app.overlays.is_empty());
}

#[test]
fn the_palette_offers_the_command_of_that_name_first() {
    for typed in ["steer", "/steer", "set", "/tour"] {
        let mut bench = Bench::ready();
        bench.press(&["ctrl+p"]);
        bench.type_text(typed);
        let Some(Palette { picker }) = bench.app.overlays.top() else { panic!("{typed}") };
        let first = crate::command::TABLE[picker.rows[0]].name;
        assert_eq!(first, typed.trim_start_matches('/'));
    }
}

#[test]
fn themes_are_previewed_and_esc_brings_the_old_one_back() {
    let mut bench = Bench::ready();
    bench.app.themes = ["auto", "dark", "light"].map(String::from).to_vec();
    bench.say("/theme");
    bench.press(&["down"]);
    assert_eq!(bench.app.config.ui.theme, "dark");
    bench.press(&["esc"]);
    assert_eq!(bench.app.config.ui.theme, "auto");
    bench.say("/theme");
    bench.press(&["down", "down"]);
    let written = Effect::WriteConfig { key: "ui.theme".into(), value: "\"light\"".into() };
    assert_eq!(bench.press(&["enter"]), [written]);
    assert_eq!(bench.app.config.ui.theme, "light");
}

#[test]
fn settings_step_type_and_go_back_to_the_default() {
    let mut bench = Bench::ready();
    bench.press(&["f4"]);
    assert_eq!(setting_keys(&bench.app)[0], "sampling.temperature");
    bench.press(&["right"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, Some(0.85));
    bench.press(&["enter", "backspace", "5", "enter"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, Some(0.85));
    bench.press(&["backspace"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, None);
    bench.type_text("ui.color");
    let written = Effect::WriteConfig { key: "ui.color".into(), value: "\"truecolor\"".into() };
    assert_eq!(bench.press(&["right"]), [written]);
    assert_eq!(bench.app.config.ui.color, crate::config::ColorDepth::TrueColor);
}

#[test]
fn the_model_picker_switches_fetches_and_removes() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l", "down"]);
    assert_eq!(brief(&bench.press(&["enter"])), ["start 2 large"]);
    bench.loaded();
    bench.press(&["ctrl+l", "delete"]);
    assert!(bench.app.overlays.top::<Confirm>().is_some());
    assert_eq!(brief(&bench.press(&["y"])), ["stop 2", "RemoveModel", "ReadCatalogue"]);
}

#[test]
fn a_filter_of_models_can_begin_with_any_letter() {
    let mut bench = Bench::ready();
    bench.press(&["ctrl+l"]);
    bench.type_text("pr");
    assert!(bench.app.overlays.top::<Models>().is_some_and(|open| open.picker.filter.text == "pr"));
    bench.press(&["esc", "ctrl+l"]);
    bench.type_text("gem");
    bench.press(&["tab"]);
    assert!(bench.app.overlays.top::<Licence>().is_some());
}

#[test]
fn terms_accepted_at_an_earlier_time_are_not_asked_again() {
    let mut bench = Bench::ready();
    let mut items = catalogue(&bench.app.config);
    items[2].terms_accepted = true;
    bench.send(Msg::Catalogue(items));
    assert!(brief(&bench.say("/model gemma")).contains(&"fetch gemma".to_owned()));
    assert!(bench.app.overlays.is_empty());
}

#[test]
fn changes_of_settings_are_taken_back_one_by_one() {
    let mut bench = Bench::ready();
    bench.press(&["f4", "right", "right"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, Some(0.9));
    bench.press(&["ctrl+z"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, Some(0.85));
    bench.press(&["ctrl+z"]);
    assert_eq!(bench.app.talk.chat.settings.sampling.temperature, None);
    bench.press(&["ctrl+z"]);
    assert_eq!(bench.notice(), "nothing to undo");
    bench.type_text("engine.threads");
    let written = |value: &str| Effect::WriteConfig { key: "engine.threads".into(), value: value.into() };
    assert_eq!(bench.press(&["enter", "3", "enter"]), [written("3")]);
    assert_eq!(bench.press(&["ctrl+z"]), [written("")]);
    assert_eq!(bench.app.config.engine.load.threads, None);
}

#[test]
fn a_setting_out_of_range_is_refused() {
    let mut bench = Bench::ready();
    bench.press(&["f4"]);
    bench.type_text("frame_rate");
    assert_eq!(bench.press(&["enter", "0", "enter"]), []);
    assert_eq!(bench.notice(), "frame rate goes from 1 to 60");
    assert_eq!(bench.app.config.ui.frame_rate, 30);
}

#[test]
fn a_filter_of_settings_keeps_the_sections_and_goes_to_the_best_match() {
    let mut bench = Bench::ready();
    bench.press(&["f4"]);
    bench.type_text("mouse");
    let Some(Settings { picker }) = bench.app.overlays.top() else { panic!("settings are open") };
    assert!(picker.rows.is_sorted());
    assert_eq!(setting_keys(&bench.app)[picker.rows[picker.selected]], "ui.mouse");
}

#[test]
fn a_system_prompt_has_lines_and_is_kept_on_enter_only() {
    let mut bench = Bench::asked("/system");
    bench.type_text("Be brief.");
    bench.press(&["alt+enter"]);
    bench.type_text("Never guess.");
    bench.press(&["esc"]);
    assert_eq!(bench.app.talk.chat.settings.system, None);
    bench.say("/system");
    bench.type_text("Be brief.");
    bench.press(&["alt+enter"]);
    bench.send(Msg::Paste("Never\nguess.".into()));
    bench.press(&["enter"]);
    assert_eq!(bench.app.talk.chat.settings.system.as_deref(), Some("Be brief.\nNever\nguess."));
}

#[test]
fn the_editor_gives_its_text_back_to_the_system_prompt() {
    let mut bench = Bench::asked("/system Be brief.");
    bench.say("/system");
    assert_eq!(bench.press(&["ctrl+o"]), [Effect::Edit("Be brief.".into())]);
    bench.send(Msg::Edited(Ok("Be\nkind.\n".into())));
    assert_eq!(bench.draft(), "");
    bench.press(&["enter"]);
    assert_eq!(bench.app.talk.chat.settings.system.as_deref(), Some("Be\nkind."));
}

#[test]
fn help_scrolls_no_further_than_its_text() {
    let mut bench = Bench::ready();
    bench.app.geometry.overlay_rows = 2;
    bench.press(&["f1", "down", "down", "down", "down", "up"]);
    assert_eq!(bench.app.overlays[..], [Help { scroll: 1, ..Help::default() }.into()]);
}

#[test]
fn help_turns_its_pages_round() {
    let mut bench = Bench::ready();
    bench.press(&["?", "left"]);
    let last = Help::at_page(crate::app::HelpPage::count() - 1).into();
    assert_eq!(bench.app.overlays[..], [last]);
    bench.press(&["esc"]);
    assert!(bench.app.overlays.is_empty());
}

/// What the help shows of a search: labels of terms, names of commands, pages of the rest.
fn found(bench: &Bench) -> Vec<String> {
    let Some(open) = bench.app.overlays.top::<Help>() else { panic!("no help") };
    let name = |(page, part): (usize, HelpPart)| match part {
        HelpPart::Command(entry) => entry.name.to_owned(),
        HelpPart::Term(term, _) => term,
        _ => HelpPage::at(page).title().to_owned(),
    };
    open.found(&bench.app).into_iter().map(name).collect()
}

#[test]
fn what_is_typed_in_the_help_searches_keys_commands_and_pages() {
    let check = |typed: &str, first: &str| {
        let mut bench = Bench::ready();
        bench.press(&["f1"]);
        bench.type_text(typed);
        assert_eq!(found(&bench).first().map(String::as_str), Some(first), "{typed}: {:?}", found(&bench));
    };
    check("ctrl+r", "Ctrl+R");
    check("f6", "step");
    check("regenerate-here", "regenerate-here");
    check("/quit", "quit");
    check("Thinking", "Thinking");
    check("halves odds", "surprise");
    check("softmax bridle", "Softmax");
}

#[test]
fn a_search_in_the_help_is_left_first_and_enter_opens_the_page_of_the_best() {
    let mut bench = Bench::ready();
    bench.press(&["f1", "right", "/"]);
    bench.type_text("bridle");
    bench.press(&["left", "tab"]);
    let Some(open) = bench.app.overlays.top::<Help>() else { panic!("no help") };
    assert_eq!((open.page, open.search.text.as_str()), (1, "bridle"));
    bench.press(&["enter"]);
    let softmax = HelpPage::Station(crate::app::Station::Softmax).number();
    assert_eq!(bench.app.overlays[..], [Help::at_page(softmax).into()]);
    bench.type_text("zzz");
    bench.press(&["enter", "esc"]);
    assert_eq!(bench.app.overlays[..], [Help::at_page(softmax).into()]);
    bench.press(&["esc"]);
    assert!(bench.app.overlays.is_empty());
}

#[test]
fn the_help_names_what_is_wrong_with_the_keys() {
    let mut bench = Bench::ready();
    let warning = Warning {
        file: "config.toml".into(),
        line: 3,
        key: "keys.edit".into(),
        message: "r is \"edit\" already".into(),
    };
    bench.app.tell_config(&[warning]);
    let first = HelpPage::Start.parts(&bench.app).remove(0);
    assert_eq!(first, HelpPart::Text("! config.toml:3: keys.edit: r is \"edit\" already".into()));
    bench.send(Msg::Config(Box::new(bench.app.config.clone()), Vec::new()));
    assert!(matches!(HelpPage::Start.parts(&bench.app)[0], HelpPart::Term(..)));
}

#[test]
fn a_system_prompt_is_sent_before_the_messages() {
    let mut bench = Bench::asked("/system Be brief.");
    let effects = bench.say("Hi");
    assert_eq!(messages(&effects)[0], (Role::System, "Be brief.".into()));
}

#[test]
fn a_preset_holds_for_the_chat() {
    let mut bench = Bench::ready();
    let cold = SamplingOverrides { top_k: Some(1), ..SamplingOverrides::default() };
    bench.app.config.presets.insert("cold".into(), cold);
    bench.say("/preset cold");
    assert_eq!(generated(&bench.say("Hi")).sampling.top_k, 1);
}

#[test]
fn a_changed_configuration_is_used_and_said() {
    let mut bench = Bench::ready();
    let keys = [("help".to_owned(), vec!["f6".to_owned()])].into();
    let changed = Config { keys, ..config() };
    assert_eq!(bench.send(Msg::Config(Box::new(changed), Vec::new())), [Effect::ReadCatalogue]);
    assert_eq!(bench.notice(), "configuration read again");
    bench.press(&["f1"]);
    assert!(bench.app.overlays.is_empty());
}

#[test]
fn a_mended_configuration_and_another_model_in_it_are_said() {
    let mut bench = Bench::ready();
    let fault =
        Warning { file: "config.toml".into(), line: 3, key: "ui.mouse".into(), message: "is not".into() };
    bench.app.tell_config(&[fault]);
    assert_eq!(bench.notice(), "config.toml:3: ui.mouse: is not");
    bench.send(Msg::Config(Box::new(config()), Vec::new()));
    assert_eq!(bench.notice(), "configuration read again", "the warning does not stay");
    let changed = Config { model: "large".into(), ..config() };
    bench.send(Msg::Config(Box::new(changed), Vec::new()));
    assert_eq!(bench.notice(), "model = \"large\" is for the next start; Ctrl+L switches this chat now");
}

#[test]
fn an_export_asks_where_to() {
    let mut bench = Bench::answered("One", "1");
    bench.app.folder = "/home/ada".into();
    assert!(brief(&bench.say("/export")).iter().all(|effect| effect != "WriteFile"));
    let effects = bench.press(&["enter"]);
    let [Effect::WriteFile { name, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(name, "/home/ada/One.html");
}

#[test]
fn an_unchanged_configuration_says_nothing() {
    let mut bench = Bench::ready();
    assert_eq!(bench.send(Msg::Focus(true)), [Effect::ReadConfig]);
    assert_eq!(bench.send(Msg::Config(Box::new(config()), Vec::new())), []);
    assert_eq!(bench.notice(), "");
}

#[test]
fn a_configuration_with_several_faults_says_how_many_before_the_row_ends() {
    let mut bench = Bench::ready();
    let fault = |line, key: &str| Warning {
        file: "/a/long/way/to/config.toml".into(),
        line,
        key: key.into(),
        message: "no setting has this name".into(),
    };
    bench.app.out.tell(&[fault(2, "ui.them")]);
    assert_eq!(bench.notice(), "config.toml:2: ui.them: no setting has this name");
    bench.app.out.tell(&[fault(2, "ui.them"), fault(3, "x")]);
    let said = "1 of 2 (all: `glassbox config check`): config.toml:2: ui.them: no setting has this name";
    assert_eq!(bench.notice(), said);
}

#[test]
fn a_click_gives_the_focus_and_selects_while_the_mouse_is_on() {
    let mut bench = Bench::answered("Hi", "one");
    let turn = bench.app.talk.chat.turns[0].id;
    let area = Area { x: 20, y: 2, width: 50, height: 3 };
    bench.app.geometry.turns = vec![(turn, area)];
    let click = || MouseEvent {
        kind: MouseEventKind::Down(MouseButton::Left),
        column: 30,
        row: 3,
        modifiers: KeyModifiers::NONE,
    };
    bench.send(Msg::Mouse(click()));
    assert_eq!(bench.app.transcript.selected, None);
    bench.app.config.ui.mouse = true;
    bench.send(Msg::Mouse(click()));
    assert_eq!((bench.app.transcript.selected, bench.app.focus), (Some(turn), Focus::Transcript));
}

#[test]
fn tab_goes_between_message_and_transcript_and_shift_tab_to_the_panes_at_the_sides() {
    use Focus::{Chats, Composer, Inspector, Transcript};
    let mut bench = Bench::answered("Hi", "one");
    let walk = |bench: &mut Bench, keys: &[&str]| -> Vec<Focus> {
        let step = |key: &&str| {
            bench.press(&[key]);
            bench.app.focus
        };
        keys.iter().map(step).collect()
    };
    assert_eq!(walk(&mut bench, &["tab", "tab"]), [Transcript, Composer]);
    assert_eq!(walk(&mut bench, &["backtab", "tab"]), [Inspector, Composer]);
    assert_eq!(walk(&mut bench, &["backtab", "backtab", "backtab"]), [Inspector, Chats, Composer]);
    assert_eq!(
        walk(&mut bench, &["tab", "backtab", "backtab", "tab"]),
        [Transcript, Inspector, Chats, Composer]
    );
    bench.press(&["f2", "f3"]);
    assert_eq!(walk(&mut bench, &["tab", "backtab", "backtab"]), [Transcript, Composer, Composer]);
}

#[test]
fn a_letter_that_means_nothing_in_a_pane_is_the_beginning_of_a_message() {
    let mut bench = Bench::answered("Hi", "one");
    for pane in [&["tab"][..], &["backtab"], &["backtab", "backtab"]] {
        bench.press(pane);
        bench.type_text("q");
        assert_eq!((bench.app.focus, bench.draft().as_str()), (Focus::Composer, "q"));
        bench.press(&["backspace"]);
    }
}

#[test]
fn text_that_comes_all_at_once_goes_into_the_message_from_any_pane_and_sends_nothing() {
    for pane in [&[][..], &["tab"], &["backtab"], &["backtab", "backtab"]] {
        let mut bench = Bench::answered("Hi", "one");
        bench.press(pane);
        assert_eq!(bench.send(Msg::Burst("first line\n\tsecond line\n/quit".into())), bench.press(&[]));
        assert_eq!(bench.draft(), "first line\n\tsecond line\n/quit");
        assert_eq!((bench.app.focus, bench.branch().len()), (Focus::Composer, 2));
        assert_eq!(bench.notice(), "what comes all at once is a paste: Enter sends it");
    }
    let mut bench = Bench::answered("Hi", "one");
    bench.press(&["ctrl+p"]);
    bench.send(Msg::Burst("quit\n".into()));
    assert!(!bench.app.quitting && bench.draft().is_empty());
}

#[test]
fn on_a_narrow_terminal_f2_opens_the_station_alone() {
    let mut bench = Bench::ready();
    bench.send(Msg::Resize(80, 24));
    bench.press(&["f2"]);
    assert_eq!((bench.app.focus, bench.app.inspector.zoomed), (Focus::Inspector, true));
    bench.press(&["esc"]);
    assert_eq!((bench.app.focus, bench.app.inspector.zoomed), (Focus::Composer, false));
}

fn with_keys(bench: &mut Bench, changed: &[(&str, &str)]) {
    let keys = changed.iter().map(|(name, key)| ((*name).to_owned(), vec![(*key).to_owned()]));
    bench.app.keymap = Keymap::build(TABLE, &keys.collect()).0;
}

#[test]
fn keys_inside_a_list_follow_the_configuration_and_characters_are_typed() {
    let mut bench = Bench::ready();
    with_keys(&mut bench, &[("list-down", "ctrl+n"), ("list-up", "d"), ("choose", "ctrl+t")]);
    bench.app.themes = ["auto", "dark", "light"].map(String::from).to_vec();
    bench.say("/theme");
    bench.press(&["down"]);
    assert_eq!(bench.app.config.ui.theme, "auto");
    bench.press(&["ctrl+n"]);
    assert_eq!(bench.app.config.ui.theme, "dark");
    bench.press(&["d"]);
    assert_eq!(bench.app.overlays.top::<Themes>().unwrap().picker.filter.text, "d");
    let written = Effect::WriteConfig { key: "ui.theme".into(), value: "\"dark\"".into() };
    assert_eq!(bench.press(&["ctrl+t"]), [written]);
}

#[test]
fn a_text_is_taken_with_the_key_that_sends_where_enter_is_a_new_line() {
    let mut bench = Bench::asked("/system");
    with_keys(&mut bench, &[("newline", "enter"), ("send", "ctrl+t")]);
    bench.type_text("Be brief.");
    bench.press(&["enter"]);
    bench.type_text("Never guess.");
    bench.press(&["ctrl+t"]);
    assert!(bench.app.overlays.is_empty());
    assert_eq!(bench.app.talk.chat.settings.system.as_deref(), Some("Be brief.\nNever guess."));
}

#[test]
fn what_is_inside_a_list_is_not_offered_outside_and_says_where_it_works() {
    let bench = Bench::asked("/tree-scale");
    assert!(bench.notice().contains("its key works in the tree of branches"), "{}", bench.notice());
}

#[test]
fn the_palette_finds_chats_models_themes_and_settings() {
    let mut bench = Bench::answered("About Dácha gardens", "1");
    let chat = bench.app.talk.chat.head.id;
    bench.press(&["ctrl+n"]);
    bench.app.themes = vec!["auto".into(), "solar".into()];
    let mut found = |text: &str| {
        bench.press(&["ctrl+p"]);
        bench.type_text(text);
        let Some(Palette { picker }) = bench.app.overlays.top() else { panic!("{text}") };
        let item = Item::at(&bench.app, picker.rows[0]);
        bench.press(&["esc"]);
        item
    };
    assert_eq!(found("dacha"), Some(Item::Chat(chat, "About Dácha gardens".into())));
    assert_eq!(found("large"), Some(Item::Model("large".into())));
    assert_eq!(found("solar theme"), Some(Item::Theme("solar".into())));
    assert_eq!(found("dynatemp-range"), Some(Item::Setting("sampling.dynatemp_range".into())));
    bench.press(&["ctrl+p"]);
    bench.type_text("dacha");
    assert_eq!(bench.press(&["enter"]), [Effect::Store(store::Command::Open(chat))]);
    bench.press(&["ctrl+p"]);
    bench.type_text("frame rate");
    bench.press(&["enter"]);
    let Some(Settings { picker }) = bench.app.overlays.top() else { panic!("settings") };
    assert_eq!(setting_keys(&bench.app)[picker.rows[picker.selected]], "ui.frame_rate");
}

#[test]
fn a_persona_brings_its_prompt_settings_and_model() {
    let mut bench = Bench::ready();
    let persona = crate::config::Persona {
        system: Some("Arr.".into()),
        model: Some("large".into()),
        sampling: SamplingOverrides { top_k: Some(3), ..SamplingOverrides::default() },
        ..crate::config::Persona::default()
    };
    bench.app.config.personas.insert("pirate".into(), persona);
    assert!(!bench.app.persona_named("pirat"));
    assert_eq!(bench.notice(), "there is no persona pirat; did you mean pirate?");
    bench.say("/persona pirate");
    assert_eq!(bench.app.model.name, "large");
    bench.loaded();
    let effects = bench.say("Hi");
    assert_eq!(messages(&effects)[0], (Role::System, "Arr.".into()));
    assert_eq!(generated(&effects).sampling.top_k, 3);
    bench.done(StopReason::Eos);
    bench.say("/persona none");
    assert_eq!(messages(&bench.say("Hi"))[0].0, Role::User);
}

#[test]
fn a_chats_settings_become_everybodys_or_a_preset() {
    let mut bench = Bench::ready();
    bench.say("/set top_k 7");
    bench.say("/set temperature 0.25");
    bench.press(&["f4"]);
    bench.type_text("top-k");
    let effects = bench.press(&["ctrl+k"]);
    let written = |key: &str, value: &str| Effect::WriteConfig { key: key.into(), value: value.into() };
    assert_eq!(effects, [written("sampling.top_k", "7")]);
    assert_eq!((bench.app.config.sampling.top_k, bench.app.talk.chat.settings.sampling.top_k), (7, None));
    bench.press(&["esc"]);
    let effects = bench.say("/save-preset cool-one");
    assert!(effects.contains(&written("presets.cool-one.temperature", "0.25")), "{effects:?}");
    assert_eq!(bench.app.talk.chat.settings.preset.as_deref(), Some("cool-one"));
    assert!((generated(&bench.say("Hi")).sampling.temperature - 0.25).abs() < 1e-6);
    bench.say("/save-preset a.b");
    assert_eq!(bench.notice(), "a preset's name is made of letters, digits, - and _, and is not none");
}

#[test]
fn a_setting_that_does_nothing_says_so_when_it_is_set() {
    let mut bench = Bench::ready();
    bench.say("/set xtc_probability 0.5");
    bench.say("/set xtc_threshold 0.7");
    let said = "xtc_threshold is 0.7 in this chat: XTC does nothing above one half: no two tokens can both be likelier";
    assert_eq!(bench.notice(), said);
}

#[test]
fn the_name_of_a_file_stays_one_line() {
    let mut bench = Bench::answered("Hi", "one");
    bench.say("/export");
    bench.press(&["ctrl+u", "ctrl+j"]);
    bench.send(Msg::Paste("a chat.html\n".into()));
    let typed = bench.app.overlays.top::<crate::app::TextBox>().map(|open| open.input.text());
    assert_eq!(typed.as_deref(), Some("a chat.html"));
}

#[test]
fn an_unknown_persona_is_answered_with_those_there_are_and_where_they_are_kept() {
    let mut bench = Bench::ready();
    bench.say("/persona zork");
    assert_eq!(
        bench.notice(),
        "there is no persona zork; one is a file personas/NAME.toml beside the configuration"
    );
    bench.app.config.personas.insert("pirate".into(), crate::config::Persona::default());
    bench.press(&["ctrl+u"]);
    bench.say("/persona zork");
    assert_eq!(bench.notice(), "there is no persona zork; there are: pirate");
}
