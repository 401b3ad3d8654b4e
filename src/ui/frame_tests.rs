//! The whole frame against the design's drawings, at many sizes, and without colour and Unicode.

use proptest::prelude::*;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use unicode_width::UnicodeWidthStr;

use super::cache::Cache;
use super::render;
use super::testing::design::{bare_theme, capitals, empty, facts, theme};
use super::testing::{any_screen, as_drawn, buffer, holds, ink, overlay, part, rows, screen};
use crate::app::{
    App, Completion, Confirm, ConfirmAction, Fetch, FetchState, Find, Focus, Help, Licence, LineEdit,
    ModelStatus, Models, Overlay, Palette, Picker, PromptAction, Search, Settings, TextBox, TextEdit, Themes,
    WeightsPanel, WhatIfPanel,
};
use crate::model_entry::{self, KnownSize, ModelEntry, Source};
use crate::models::machine::Machine;
use crate::models::{CatalogueItem, FetchStage, recommended};
use crate::store::Hit;
use crate::theme::Role;

/// The inspector beside the chat, of so many columns.
fn station(width: u16, inspector: u16) -> Vec<String> {
    part(&screen(&capitals(), &theme(), width, 40), Rect::new(width - inspector, 2, inspector, 36))
}

#[test]
fn the_screen_of_120_columns_is_as_drawn() {
    as_drawn!("softmax", station(120, 46));
    let rows = rows(&screen(&capitals(), &theme(), 120, 40));
    as_drawn!("edges", [&rows[..2], &rows[38..]].concat());
    let column = |row: &String, at| row.chars().nth(at);
    assert!(rows[2..38].iter().all(|row| [20, 73].map(|at| column(row, at)) == [Some('│'); 2]));
}

#[test]
fn roles_are_as_named_for_the_rows() {
    let buf = screen(&capitals(), &theme(), 120, 40);
    let check = |at: (u16, u16), role: Role| assert_eq!(buf[at].fg, ink(role), "{at:?}");
    check((77, 9), Role::TokenChosen);
    assert!(buf[(77, 9)].modifier.contains(Modifier::BOLD));
    check((96, 8), Role::ProbBar);
    check((77, 11), Role::TokenCut);
    check((77, 20), Role::Muted);
    check((21, 1), Role::FocusBorder);
    check((23, 1), Role::Strong);
}

#[test]
fn a_drawn_token_that_is_not_listed_marks_the_others() {
    let mut app = capitals();
    let live = app.inspector.live.as_mut().unwrap();
    live.step.id = Some(crate::token::TokenId(40_000));
    let buf = screen(&app, &theme(), 120, 40);
    assert_eq!(part(&buf, Rect::new(74, 20, 12, 1)), [" ! ‹others›"]);
    assert_eq!(buf[(77, 20)].fg, ink(Role::Warn));
}

#[test]
fn the_screen_of_80_columns_has_the_rail() {
    let rows = rows(&screen(&capitals(), &theme(), 80, 24));
    as_drawn!("rail", [&rows[..1], &rows[17..20], &rows[23..]].concat());
}

#[test]
fn the_wide_form_has_bars_of_32_cells() {
    as_drawn!("softmax_wide", station(180, 67));
}

#[test]
fn ascii_without_colour_keeps_every_fact() {
    let screen = screen(&capitals(), &bare_theme(), 120, 40);
    as_drawn!("softmax_ascii", part(&screen, Rect::new(74, 2, 46, 36)));
    assert!(rows(&screen).iter().all(|row| row.is_ascii()));
}

#[test]
fn before_the_first_token_it_says_what_will_be_there() {
    as_drawn!("softmax_idle", part(&screen(&empty(), &theme(), 120, 40), Rect::new(74, 2, 46, 12)));
}

#[test]
fn a_small_terminal_says_what_it_needs() {
    let rows = rows(&screen(&capitals(), &theme(), 52, 14));
    assert_eq!(rows[0], "glassbox needs 60 × 16; this is 52 × 14");
}

#[test]
fn while_a_message_is_edited_the_keys_are_those_of_the_edit() {
    let mut app = capitals();
    app.composer.editing = Some(crate::chat::TurnId(1));
    let seen = rows(&screen(&app, &theme(), 120, 40));
    holds(&seen[39..], " Enter send as another version   Esc give up   Ctrl+C stop the reply   ");
}

fn looking_for(text: &str) -> App {
    let mut app = capitals();
    let mut matches: Vec<_> = app.talk.chat.branch().iter().map(|turn| (turn.id, 0..text.len())).collect();
    matches.truncate(if text == "nowhere" { 0 } else { 2 });
    app.transcript.find = Some(Find { input: LineEdit::new(text), current: 1, matches });
    app
}

#[test]
fn what_is_looked_for_stands_where_notices_do_with_its_place_among_the_matches() {
    let seen = rows(&screen(&looking_for("Paris"), &theme(), 80, 24));
    assert_eq!(seen[22], format!(" Find: Paris{}2 of 2", " ".repeat(61)));
    assert_eq!(seen[23], " Enter ↑ match before   ↓ match after   Esc close");
    let seen = rows(&screen(&looking_for("nowhere"), &theme(), 120, 40));
    assert_eq!(seen[38], format!(" Find: nowhere{}not in this chat", " ".repeat(89)));
}

#[test]
fn the_cursor_stands_behind_what_is_looked_for() {
    let app = looking_for("Paris");
    let mut buf = buffer(80, 24);
    assert_eq!(render(&app, &theme(), &mut Cache::default(), buf.area, &mut buf).1, Some((12, 22)));
}

#[test]
fn under_an_open_station_of_a_low_screen_the_search_takes_the_row_of_keys() {
    let mut app = looking_for("Paris");
    app.focus = Focus::Inspector;
    let seen = rows(&screen(&app, &theme(), 80, 24));
    assert!(seen[23].starts_with(" Find: Paris  "), "{}", seen[23]);
}

fn entry(name: &str) -> ModelEntry {
    ModelEntry {
        licence: Some(model_entry::Licence { name: "Apache-2.0".into(), terms: None }),
        size: Some(KnownSize { download: 92_903_833, file: 98_356_429 }),
        built_in: true,
        ..ModelEntry::new(name, Source::Path("/models/x.gguf".into()))
    }
}

fn with_models() -> App {
    let mut app = capitals();
    let gemma = model_entry::Licence { name: "Gemma".into(), terms: Some("Be good.\nSee the terms.".into()) };
    let gemma_size = Some(KnownSize { download: 241 << 20, file: 241 << 20 });
    let big = crate::model_entry::ModelFacts {
        quantisation: "Q5_K_M".into(),
        file_size: 5_153_960_755,
        context_length: 32_768,
        kv_bytes_per_token: 144_180,
        ..facts()
    };
    app.model.catalogue = vec![
        CatalogueItem {
            entry: entry("smollm2-135m-instruct"),
            path: Some("/x".into()),
            facts: Ok(Some(facts())),
            terms_accepted: false,
            unfinished: None,
            offered: None,
        },
        CatalogueItem {
            entry: ModelEntry { licence: Some(gemma), size: gemma_size, ..entry("gemma-3-270m") },
            path: None,
            facts: Ok(None),
            terms_accepted: false,
            unfinished: None,
            offered: None,
        },
        CatalogueItem {
            entry: entry("my-notes-7b"),
            path: Some("/y".into()),
            facts: Ok(Some(big)),
            terms_accepted: false,
            unfinished: None,
            offered: None,
        },
    ];
    app.free_memory = Some(3_328_599_654);
    app.model.hash = Some("b179c9523d0e6a0f".into());
    app
}

fn all_rows(len: usize) -> Picker {
    Picker { rows: (0..len).collect(), ..Picker::default() }
}

#[test]
fn the_model_picker_is_as_drawn() {
    as_drawn!("models", overlay(&with_models(), &theme(), Models { picker: all_rows(3) }, 100, 14));
}

#[test]
fn keys_that_do_nothing_for_a_model_on_another_machine_are_not_offered() {
    let mut app = with_models();
    let command = ["ssh", "box", "glassbox", "engine"].map(str::to_owned);
    app.model.catalogue[2].entry.engine = Some(command.to_vec());
    let drawn = |selected| {
        overlay(&app, &theme(), Models { picker: Picker { selected, ..all_rows(3) } }, 100, 14).join("\n")
    };
    assert!(drawn(0).contains("Delete remove"), "{}", drawn(0));
    assert!(!drawn(2).contains("Delete remove") && !drawn(2).contains("Tab fetch"), "{}", drawn(2));
    assert!(drawn(2).contains("Enter switch"), "{}", drawn(2));
}

#[test]
fn a_picker_without_a_row_says_what_would_be_fetched() {
    let drawn = |typed: &str| {
        let filter = LineEdit { text: typed.into(), cursor: typed.len() };
        let picker = Picker { filter, ..Picker::default() };
        overlay(&with_models(), &theme(), Models { picker }, 100, 14)
    };
    let repository = drawn("owner/tiny");
    holds(&repository, "none of this name here; Hugging Face may have it");
    holds(&repository, "Enter ask Hugging Face for its files   Esc close");
    let word = drawn("tiny");
    holds(&word, "owner/repo of Hugging Face, or an address, is fetched");
    assert!(!word.iter().any(|row| row.contains("switch")), "{word:#?}");
}

#[test]
fn a_palette_without_a_row_says_so() {
    let filter = LineEdit { text: "xyzzy".into(), cursor: 5 };
    let palette = Palette { picker: Picker { filter, ..Picker::default() } };
    holds(&overlay(&capitals(), &theme(), palette, 80, 18), "nothing of this name");
}

#[test]
fn a_filtered_overlay_keeps_its_size() {
    let frame = |picker: Picker| {
        let mut app = with_models();
        app.overlays.push(Palette { picker });
        let rows = rows(&screen(&app, &theme(), 120, 40));
        let edge = |mark: char| rows.iter().position(|row| row.contains(mark));
        (edge('┍'), edge('└'))
    };
    assert_eq!(frame(all_rows(60)), frame(Picker { rows: vec![5], ..Picker::default() }));
}

#[test]
fn the_palette_shows_key_and_typed_form() {
    let picker = Picker {
        filter: LineEdit { text: "quit".into(), cursor: 4 },
        rows: vec![crate::command::TABLE.len() - 1],
        ..Picker::default()
    };
    as_drawn!("palette", overlay(&capitals(), &theme(), Palette { picker }, 80, 18)[1..]);
}

#[test]
fn the_palette_says_what_the_selected_command_costs() {
    let row = crate::command::TABLE.iter().position(|entry| entry.name == "regenerate").unwrap();
    let picker = Picker { rows: vec![row], ..Picker::default() };
    as_drawn!("palette_cost", overlay(&capitals(), &theme(), Palette { picker }, 80, 18)[1..]);
}

#[test]
fn a_system_prompt_of_several_lines_is_shown_in_lines() {
    let open = TextBox {
        title: "System prompt of this chat".into(),
        input: TextEdit::new("Be brief.\n\nNever guess."),
        action: PromptAction::System,
    };
    as_drawn!("system_prompt", overlay(&capitals(), &theme(), open, 80, 16));
}

fn fetching() -> App {
    let mut app = empty();
    app.model.status = ModelStatus::Fetching;
    app.model.name = "SmolLM2-135M-Instruct".into();
    app.model.catalogue = vec![CatalogueItem {
        entry: entry("SmolLM2-135M-Instruct"),
        path: None,
        facts: Ok(None),
        terms_accepted: false,
        unfinished: None,
        offered: None,
    }];
    let mut fetch = Fetch::new(entry("SmolLM2-135M-Instruct"));
    fetch.stages[0] = (FetchStage::Download, 65_431_142, 92_903_833);
    fetch.speed = 11_744_051.0;
    fetch.state = FetchState::Running;
    app.model.fetches = vec![fetch];
    app
}

#[test]
fn the_first_run_is_as_drawn() {
    as_drawn!("first_run", rows(&screen(&fetching(), &theme(), 80, 24)));
}

#[test]
fn the_first_run_says_what_else_this_machine_can_run() {
    let mut app = fetching();
    app.model.machine = Some(Machine { free: Some(6 << 30), bandwidth: 40e9 });
    let machine = app.model.machine.unwrap();
    app.model.catalogue.extend(recommended::offered(&machine, &[]));
    let low = rows(&screen(&app, &theme(), 80, 24)).join("\n");
    assert!(low.contains("Ctrl+L, better here: Qwen3 4B, 2.3 GiB, about 11 tokens/s, Apache-2.0"), "{low}");
    as_drawn!("first_run_120x40", rows(&screen(&app, &theme(), 120, 40)));
}

#[test]
fn models_being_fetched_and_to_be_fetched_stand_in_the_picker() {
    let mut app = with_models();
    let machine = Machine { free: Some(6 << 30), bandwidth: 40e9 };
    app.model.catalogue.extend(recommended::offered(&machine, &[]));
    let mut fetch = Fetch::new(app.model.catalogue[1].entry.clone());
    fetch.stages[0] = (FetchStage::Download, 412 << 20, 1000 << 20);
    (fetch.speed, fetch.state) = (11_744_051.0, FetchState::Running);
    app.model.fetches = vec![fetch];
    let count = app.model.catalogue.len();
    let selected = |selected| Models { picker: Picker { selected, ..all_rows(count) } };
    as_drawn!("models_fetched", overlay(&app, &theme(), selected(1), 100, 30));
    as_drawn!("models_fetched_80x24", overlay(&app, &theme(), selected(11), 80, 24));
}

#[test]
fn a_failed_fetch_says_why_and_what_to_do() {
    let mut app = fetching();
    app.model.fetches[0].state = FetchState::Failed("the network is unreachable".into());
    as_drawn!("failed_fetch", rows(&screen(&app, &theme(), 80, 24)));
}

fn any_overlay(kind: u8, selected: usize) -> Option<Overlay> {
    let picker =
        || Picker { selected, filter: LineEdit { text: "漢字 ab".into(), cursor: 6 }, ..all_rows(90) };
    Some(match kind {
        0 => Palette { picker: picker() }.into(),
        1 => Models { picker: picker() }.into(),
        2 => Themes { picker: picker(), before: "dark".into() }.into(),
        3 => Settings { picker: picker() }.into(),
        4 => Help { scroll: 3, ..Help::at_page(selected) }.into(),
        5 => Search {
            input: LineEdit { text: "par".into(), cursor: 3 },
            hits: vec![Hit {
                conversation: crate::chat::ConversationId(1),
                turn: crate::chat::TurnId(1),
                title: "Títle 漢字".into(),
                snippet: "capital 漢字 Paris \u{1b}[2J of".into(),
                matched: 15..20,
                role: crate::chat::Role::User,
                at: 0,
                created_ms: 0,
            }],
            selected: 0,
        }
        .into(),
        6 => Licence { entry: entry("gemma"), scroll: 9 }.into(),
        7 => TextBox {
            title: "System prompt".into(),
            input: TextEdit::new(&"漢 x\n\u{1b}".repeat(100)),
            action: PromptAction::System,
        }
        .into(),
        8 => {
            Confirm { question: "Quit while a reply is written?".into(), action: ConfirmAction::Quit }.into()
        }
        9 => WhatIfPanel.into(),
        10 => WeightsPanel.into(),
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_size_focus_or_overlay_breaks_the_drawing(
        width in 1u16..320,
        height in 1u16..100,
        focus in 0usize..4,
        kind in 0u8..14,
        selected in 0usize..80,
        flags in 0u8..64,
    ) {
        let mut app = if flags & 32 > 0 { fetching() } else { with_models() };
        app.focus = [Focus::Composer, Focus::Transcript, Focus::Chats, Focus::Inspector][focus];
        app.inspector.shown = flags & 1 > 0;
        app.inspector.zoomed = flags & 2 > 0;
        app.inspector.logits = flags & 4 > 0;
        app.talk.chats.shown = flags & 8 > 0;
        if let Some(overlay) = any_overlay(kind, selected) {
            app.overlays.push(overlay);
        }
        if kind == 13 {
            let items = vec![("/model gemma".into(), "Switch".into()); 20];
            app.composer.completion = Some(Completion { items, selected: selected % 20, walked: false, of: crate::app::Offers::Lines });
        }
        let theme = if flags & 16 > 0 { bare_theme() } else { theme() };
        let buf = any_screen(&app, &theme, width, height);
        for y in 0..height {
            let mut x = 0;
            while x < width {
                let cells = buf[(x, y)].symbol().width().max(1);
                prop_assert!(cells == 1 || usize::from(x) + cells <= usize::from(width));
                x += cells as u16;
            }
        }
    }
}
