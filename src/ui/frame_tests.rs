//! The whole frame against the design's drawings, at many sizes, and without colour and Unicode.

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

use super::cache::Cache;
use super::render;
use super::testing::design::{bare_theme, capitals, empty, facts, rows, theme};
use super::testing::strip;
use crate::app::{
    App, Completion, Confirm, ConfirmAction, Fetch, Find, Focus, Help, Licence, LineEdit, ModelStatus,
    Models, Overlay, Palette, Picker, PromptAction, Search, Settings, Station, TextBox, TextEdit, Themes,
    WeightsPanel, WhatIfPanel,
};
use crate::model_entry::{self, KnownSize, ModelEntry, Source};
use crate::models::{CatalogueItem, FetchStage};
use crate::store::Hit;
use crate::theme::{Role, Theme};

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    let screen = buf.area;
    render(app, theme, &mut Cache::default(), screen, &mut buf);
    buf
}

fn columns(row: &str, from: usize, to: usize) -> String {
    row.chars().skip(from).take(to - from).collect()
}

fn check(seen: &[String], expected: &[&str]) {
    let seen: Vec<&str> = seen.iter().map(|row| row.trim_end()).collect();
    let expected: Vec<&str> = expected.iter().map(|row| row.trim_end()).collect();
    assert_eq!(seen, expected, "\n{}", seen.join("\n"));
}

/// The inspector of the drawing under its strip, with the margin in a row that is blank there; and a probability of 0.0001 %
/// says `<.01`: it is never 0.
const STATION: [&str; 35] = [
    " read \"…Tower,\" → chose ␣Notre   % of 49 152  ",
    " What could come next. model: the odds the    ",
    " network gave; after: once samplers cut.      ",
    "                                              ",
    "   token        model 0      50     100  after",
    "   ␣Lou         54.84 ████████▊         63.41 ",
    " ▶ ␣Notre       25.26 ████              24.06 ",
    "   ␣the         14.99 ██▍               12.53 ",
    "   ␣not          0.55 ▏                ×top-p ",
    "   ␣La           0.54 ▏                ×top-p ",
    "   ␣Le           0.32                  ×top-p ",
    "   ␣as           0.22                  ×top-p ",
    "   ␣iconic       0.22                  ×top-p ",
    "   ␣majestic     0.18                  ×top-p ",
    "   ␣famous       0.16                  ×top-p ",
    "   ␣The          0.15                  ×top-p ",
    "   ␣Arc          0.15                  ×top-p ",
    "   ‹others›      2.42 ▍                49 140 ",
    "                                              ",
    " margin         29.58 %   p₁ − p₂             ",
    " uncertainty H   1.90 bit █▎           0–16   ",
    " surprise s      1.99 bit █▍           0–16   ",
    " rank               2    like 3.7 even choices",
    "                                              ",
    "                                              ",
    " surprise of each token so far         0–8 bit",
    "                                              ",
    " ▁▁▅▁▁▂▁▂▂▁▁▁▁▁▄                              ",
    "                                              ",
    " watch          model          peak       rank",
    "   ‹end›         <.01          <.01     39 062",
    "   ␣not          0.55          0.55          4",
    "                                              ",
    "                                              ",
    " showing 1 step of 25   0.06 ms/token (1 %)   ",
];

#[test]
fn the_screen_of_120_columns_is_as_drawn() {
    let rows = rows(&drawn(&capitals(), &theme(), 120, 40));
    let station: Vec<String> = rows[2..38].iter().map(|row| columns(row, 74, 120)).collect();
    assert_eq!(station[0].trim_end(), strip(Station::Softmax, 46));
    check(&station[1..], &STATION);
    let frame = [rows[0].clone(), rows[1].clone(), rows[38].clone(), rows[39].clone()];
    check(
        &frame,
        &[
            " glassbox   SmolLM2-135M-Instruct Q4_1   CPU ×2                 ctx ▕▏           ▏    77/8192    168 tok/s   ● writing  ",
            "─ Chats ────────────┬━ Capitals ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┬─ Softmax ─────────────────────────────── F2 ─",
            " reused 45 tokens of 62, read 17 in 0.06 s",
            " Esc stop   Tab focus   Alt+1…9 station   F2 inspector   F3 chats   Ctrl+P commands   F1 help",
        ],
    );
    assert!(rows[2..38].iter().all(|row| columns(row, 20, 21) == "│" && columns(row, 73, 74) == "│"));
}

#[test]
fn roles_are_as_named_for_the_rows() {
    let buf = drawn(&capitals(), &theme(), 120, 40);
    let of = |role: Role| Color::Indexed(role as u8);
    let ink = |x: u16, y: u16| buf[(x, y)].fg;
    assert_eq!(ink(77, 9), of(Role::TokenChosen));
    assert!(buf[(77, 9)].modifier.contains(Modifier::BOLD));
    assert_eq!(ink(96, 8), of(Role::ProbBar));
    assert_eq!(ink(77, 11), of(Role::TokenCut));
    assert_eq!(ink(77, 20), of(Role::Muted));
    assert_eq!((ink(21, 1), ink(23, 1)), (of(Role::FocusBorder), of(Role::Strong)));
}

#[test]
fn a_drawn_token_that_is_not_listed_marks_the_others() {
    let mut app = capitals();
    let live = app.inspector.live.as_mut().unwrap();
    live.step.id = Some(crate::token::TokenId(40_000));
    let buf = drawn(&app, &theme(), 120, 40);
    assert_eq!(columns(&rows(&buf)[20], 74, 86), " ! ‹others› ");
    assert_eq!(buf[(77, 20)].fg, Color::Indexed(Role::Warn as u8));
}

#[test]
fn the_screen_of_80_columns_has_the_rail() {
    let rows = rows(&drawn(&capitals(), &theme(), 80, 24));
    let seen = [&rows[0..1], &rows[17..20], &rows[23..24]].concat();
    check(
        &seen,
        &[
            " SmolLM2-135M Q4_1  CPU ×2                    ctx   77/8k   168 tok/s  ● writing",
            "─ Softmax ────────────────── uncertainty 1.90 bit   surprise 1.99 bit   rank 2 ─",
            "   ␣Lou 54.84 ████▍     ▶ ␣Notre 25.26 ██         ␣the 14.99 █▎    ‹others› 4.91",
            " ▁▁▂▁▁▁▁▁▁▁▁▁▁▁▂                          surprise of each token so far, 0–8 bit",
            " Esc stop   Tab focus   F2 open the softmax   Ctrl+P commands   F1 help",
        ],
    );
}

#[test]
fn the_wide_form_has_bars_of_32_cells() {
    let rows = rows(&drawn(&capitals(), &theme(), 180, 40));
    let station: Vec<String> = rows[2..10].iter().map(|row| columns(row, 113, 180)).collect();
    assert_eq!(station[0].trim_end(), strip(Station::Softmax, 67));
    check(
        &station[1..],
        &[
            " read \"including the Eiffel Tower,\" → chose ␣Notre   % of 49 152",
            " What could come next: the network's odds, and after the samplers.",
            "",
            "   token             model 0              50             100  after",
            "   ␣Lou              54.84 █████████████████▌                63.41",
            " ▶ ␣Notre            25.26 ████████▏                         24.06",
            "   ␣the              14.99 ████▊                             12.53",
        ],
    );
}

#[test]
fn ascii_without_colour_keeps_every_fact() {
    let rows = rows(&drawn(&capitals(), &bare_theme(), 120, 40));
    let station: Vec<String> = rows[7..12].iter().map(|row| columns(row, 74, 120)).collect();
    check(
        &station,
        &[
            "   token        model 0      50     100  after",
            "   _Lou         54.84 #########         63.41 ",
            " > _Notre       25.26 ####              24.06 ",
            "   _the         14.99 ##                12.53 ",
            "   _not          0.55                  xtop-p ",
        ],
    );
    assert!(rows.iter().all(|row| row.is_ascii()), "{}", rows.join("\n"));
}

#[test]
fn before_the_first_token_it_says_what_will_be_there() {
    let rows = rows(&drawn(&empty(), &theme(), 120, 40)).join("\n");
    assert!(rows.contains("no token written yet") && rows.contains("twelve likeliest"));
}

#[test]
fn a_small_terminal_says_what_it_needs() {
    let rows = rows(&drawn(&capitals(), &theme(), 52, 14));
    assert_eq!(rows[0].trim_end(), "glassbox needs 60 × 16; this is 52 × 14");
}

#[test]
fn while_a_message_is_edited_the_keys_are_those_of_the_edit() {
    let mut app = capitals();
    app.composer.editing = Some(crate::chat::TurnId(1));
    let seen = rows(&drawn(&app, &theme(), 120, 40));
    let keys = " Enter send as another version   Esc give up   Ctrl+C stop the reply   ";
    assert!(seen[39].starts_with(keys), "{}", seen[39]);
}

fn looking_for(text: &str) -> App {
    let mut app = capitals();
    let mut matches: Vec<_> = app.talk.chat.branch().iter().map(|turn| (turn.id, 0)).collect();
    matches.truncate(if text == "nowhere" { 0 } else { 2 });
    app.transcript.find = Some(Find { input: LineEdit::new(text), current: 1, matches });
    app
}

#[test]
fn what_is_looked_for_stands_where_notices_do_with_its_place_among_the_matches() {
    let seen = rows(&drawn(&looking_for("Paris"), &theme(), 80, 24));
    assert_eq!(seen[22].trim_end(), format!(" Find: Paris{}2 of 2", " ".repeat(61)));
    assert_eq!(seen[23].trim_end(), " Enter ↑ match before   ↓ match after   Esc close");
    let seen = rows(&drawn(&looking_for("nowhere"), &theme(), 120, 40));
    assert_eq!(seen[38].trim_end(), format!(" Find: nowhere{}not in this chat", " ".repeat(89)));
}

#[test]
fn the_cursor_stands_behind_what_is_looked_for() {
    let app = looking_for("Paris");
    let mut buf = Buffer::empty(Rect::new(0, 0, 80, 24));
    let screen = buf.area;
    assert_eq!(render(&app, &theme(), &mut Cache::default(), screen, &mut buf).1, Some((12, 22)));
}

#[test]
fn under_an_open_station_of_a_low_screen_the_search_takes_the_row_of_keys() {
    let mut app = looking_for("Paris");
    app.focus = Focus::Inspector;
    let seen = rows(&drawn(&app, &theme(), 80, 24));
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
        },
        CatalogueItem {
            entry: ModelEntry { licence: Some(gemma), size: gemma_size, ..entry("gemma-3-270m") },
            path: None,
            facts: Ok(None),
            terms_accepted: false,
        },
        CatalogueItem {
            entry: entry("my-notes-7b"),
            path: Some("/y".into()),
            facts: Ok(Some(big)),
            terms_accepted: false,
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
    let mut app = with_models();
    app.overlays.push(Models { picker: all_rows(3) });
    let rows = rows(&drawn(&app, &theme(), 100, 40));
    let top = rows.iter().position(|row| row.starts_with('┍')).unwrap();
    check(
        &rows[top..top + 14],
        &[
            "┍━ Models ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 3 of 3 ━┑",
            "│  › type to filter                                                                                │",
            "│                                                                                                  │",
            "│    name                     quant      file  context   speed   state                             │",
            "│  ▶ smollm2-135m-instruct    Q4_1     94 MiB     8192   168/s   loaded                            │",
            "│    gemma-3-270m             –       241 MiB        –       –   not fetched; Gemma terms          │",
            "│    my-notes-7b              Q5_K_M  4.8 GiB    32768       –   ! needs 5.9 GiB, 3.1 free         │",
            "│                                                                                                  │",
            "│    SmolLM2-135M-Instruct   134.5 M parameters   llama   30 layers of 9 heads, width 576          │",
            "│    memory   weights 94 MiB   context 180 MiB at 8192 (22.5 KiB a token)   working 12 MiB         │",
            "│    template built in   licence Apache-2.0   file checked b179c952…                               │",
            "│                                                                                                  │",
            "│  Enter switch; the chat goes on   Tab fetch   Delete remove   Esc close                          │",
            "└──────────────────────────────────────────────────────────────────────────────────────────────────┘",
        ],
    );
}

#[test]
fn a_filtered_overlay_keeps_its_size() {
    let frame = |picker: Picker| {
        let mut app = with_models();
        app.overlays.push(Palette { picker });
        let rows = rows(&drawn(&app, &theme(), 120, 40));
        let edge = |mark: char| rows.iter().position(|row| row.contains(mark));
        (edge('┍'), edge('└'))
    };
    assert_eq!(frame(all_rows(60)), frame(Picker { rows: vec![5], ..Picker::default() }));
}

#[test]
fn the_palette_shows_key_and_typed_form() {
    let mut app = capitals();
    let picker = Picker {
        filter: LineEdit { text: "quit".into(), cursor: 4 },
        rows: vec![crate::command::TABLE.len() - 1],
        ..Picker::default()
    };
    app.overlays.push(Palette { picker });
    let rows = rows(&drawn(&app, &theme(), 120, 40)).join("\n");
    assert!(rows.contains("│  › quit ") && rows.contains("│  ▶ Quit "), "{rows}");
    assert!(rows.contains("Ctrl+Q      /quit"), "{rows}");
}

#[test]
fn the_palette_says_what_the_selected_command_costs() {
    let mut app = capitals();
    let row = crate::command::TABLE.iter().position(|entry| entry.name == "regenerate").unwrap();
    app.overlays.push(Palette { picker: Picker { rows: vec![row], ..Picker::default() } });
    let rows = rows(&drawn(&app, &theme(), 80, 24));
    let bottom = rows.iter().rposition(|row| row.starts_with('└')).unwrap();
    let said = "│  the reply there is stays, as another version; about 6 ms a token.";
    assert!(rows[bottom - 1].starts_with(said), "{}", rows.join("\n"));
}

#[test]
fn a_system_prompt_of_several_lines_is_shown_in_lines() {
    let mut app = capitals();
    app.overlays.push(TextBox {
        title: "System prompt of this chat".into(),
        input: TextEdit::new("Be brief.\n\nNever guess."),
        action: PromptAction::System,
    });
    let rows = rows(&drawn(&app, &theme(), 80, 24));
    let top = rows.iter().position(|row| row.starts_with('┍')).unwrap();
    let text: Vec<&str> = rows[top + 2..top + 5].iter().map(|row| row.trim_matches(['│', ' '])).collect();
    assert_eq!(text, ["Be brief.", "", "Never guess."]);
    let keys = "Enter save   Alt+Enter new line   Ctrl+O in $EDITOR   Esc as it was";
    assert!(rows[top + 14].contains(keys), "{}", rows.join("\n"));
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
    }];
    app.model.fetch = Some(Fetch {
        name: "SmolLM2-135M-Instruct".into(),
        stages: [
            (FetchStage::Download, 65_431_142, 92_903_833),
            (FetchStage::Unpack, 0, 0),
            (FetchStage::Check, 0, 0),
        ],
        stage: FetchStage::Download,
        started_at: 0,
        speed: 11_744_051.0,
        failed: None,
    });
    app
}

#[test]
fn the_first_run_is_as_drawn() {
    let rows = rows(&drawn(&fetching(), &theme(), 80, 24));
    check(
        &[&rows[..21], &rows[23..]].concat(),
        &[
            "",
            "",
            "",
            "   glassbox",
            "",
            "   A chat with a model that runs on this machine, in which",
            "   every word can be opened.",
            "",
            "",
            "   The model to start with: SmolLM2-135M-Instruct, Apache-2.0",
            "",
            "   fetch     ████████████████████████████████▍                62.4 of  88.6 MiB",
            "   unpack                                                      0.0 of  93.8 MiB",
            "   check                                                       SHA-256",
            "",
            "   11.2 MiB/s, about 2 s more. Kept in the data folder; never fetched again.",
            "",
            "   You can type already: your first message is sent when the model is ready.",
            "",
            "   no network?  glassbox --model /path/to/file.gguf",
            "",
            " Esc stop the download   Ctrl+L another model   Ctrl+Q quit   F1 help",
        ],
    );
}

#[test]
fn a_failed_fetch_says_why_and_what_to_do() {
    let mut app = fetching();
    app.model.fetch.as_mut().unwrap().failed = Some("the network is unreachable".into());
    let rows = rows(&drawn(&app, &theme(), 80, 24)).join("\n");
    assert!(rows.contains("error: the network is unreachable. F5 tries again"), "{rows}");
}

fn overlay(kind: u8, selected: usize) -> Option<Overlay> {
    let picker =
        || Picker { selected, filter: LineEdit { text: "漢字 ab".into(), cursor: 6 }, ..all_rows(90) };
    Some(match kind {
        0 => Palette { picker: picker() }.into(),
        1 => Models { picker: picker() }.into(),
        2 => Themes { picker: picker(), before: "dark".into() }.into(),
        3 => Settings { picker: picker() }.into(),
        4 => Help { page: selected, scroll: 3 }.into(),
        5 => Search {
            input: LineEdit { text: "par".into(), cursor: 3 },
            hits: vec![Hit {
                conversation: crate::chat::ConversationId(1),
                turn: crate::chat::TurnId(1),
                title: "Títle 漢字".into(),
                snippet: "capital 漢字 Paris \u{1b}[2J of".into(),
                matched: 15..20,
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
        if let Some(overlay) = overlay(kind, selected) {
            app.overlays.push(overlay);
        }
        if kind == 13 {
            let items = vec![("/model gemma".into(), "Switch".into()); 20];
            app.composer.completion = Some(Completion { items, selected: selected % 20 });
        }
        let theme = if flags & 16 > 0 { bare_theme() } else { theme() };
        let buf = drawn(&app, &theme, width, height);
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
