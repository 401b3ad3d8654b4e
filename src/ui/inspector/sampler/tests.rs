//! The sampler station against the design's drawing of "The capital of France is".

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use super::table::tests::paris;
use crate::app::{App, Focus, Msg, Now, Record, Sandbox, Station, TokenCursor};
use crate::chat::{RunId, Span, TurnId};
use crate::inspect::stages::{SamplerTrace, StageName, StageTrace};
use crate::sampling::{SamplingOverrides, Stage};
use crate::theme::{Role, Theme};
use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};
use crate::ui::cache::Cache;
use crate::ui::render;
use crate::ui::testing::design::{bare_theme, capitals, rows, theme};

const NAMES: [&str; 12] =
    [" Paris", " the", " London", " Le", " New", " La", " ", " not", " Mon", " capital", " a", " L"];

/// The cursor stands on ␣Paris, whose stages were recorded.
fn paris_app() -> App {
    let mut app = capitals();
    let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    for name in NAMES {
        vocabulary.push(name.as_bytes(), TokenKind::Normal);
    }
    while vocabulary.len() < 49_152 {
        vocabulary.push(b"x", TokenKind::Normal);
    }
    app.talk.vocabularies.insert("v".into(), Arc::new(vocabulary));
    let trace = paris();
    let candidates = trace.tokens.iter().zip(&trace.model);
    let candidates = candidates.map(|(id, p)| Candidate { id: *id, logprob: p.ln() }).collect();
    let step = Step {
        id: Some(TokenId(0)),
        bytes: b" Paris".to_vec(),
        logprob: 0.7725_f32.ln(),
        rank: 1,
        entropy: trace.entropy,
        candidates,
        ms: 6.0,
        survivors: 2,
    };
    app.talk.run = None;
    app.talk.chat.turns[1].spans = vec![
        Span::Written { text: "The capital of France is".into() },
        Span::Generated { run: RunId(1), steps: vec![step] },
    ];
    app.talk.chat.turns[1].parent = None;
    app.transcript.selected = Some(TurnId(2));
    app.transcript.cursor = Some(TokenCursor { turn: TurnId(2), index: 0 });
    app.inspector.station = Station::Sampler;
    app.inspector.watch.clear();
    record(&mut app, trace);
    // Another plan has no price yet: this one was measured since.
    app.inspector.price_ms = Some(0.02);
    app
}

fn record(app: &mut App, trace: SamplerTrace) {
    let at = TokenCursor { turn: TurnId(2), index: 0 };
    let record = Record { trace: Some(Arc::new(trace)), watched: Vec::new() };
    app.inspector.looks.keep_record(at, record);
    app.update(Now::default(), Msg::Tick);
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    let screen = buf.area;
    render(app, theme, &mut Cache::default(), screen, &mut buf);
    buf
}

fn part(buf: &Buffer, rows_of: std::ops::Range<usize>, from: usize, width: usize) -> Vec<String> {
    let cut = |row: &String| row.chars().skip(from).take(width).collect::<String>().trim_end().to_owned();
    rows(buf)[rows_of].iter().map(cut).collect()
}

fn check(seen: &[String], expected: &[&str]) {
    let expected: Vec<&str> = expected.iter().map(|row| row.trim_end()).collect();
    assert_eq!(seen, expected, "\n{}", seen.join("\n"));
}

const WIDE: [&str; 34] = [
    " read \"…France is\" → chose ␣Paris     temp 0.80, seed 7     0.02 ms",
    " From the model's odds to the draw: × marks the stage that threw a ",
    " token out. Each column adds up to 100.                            ",
    "                                                                   ",
    "   token       model   top-k   top-p   min-p    temp  draw         ",
    "                   %      40    0.95    0.05    0.80  u = 0.4127   ",
    " ▶ ␣Paris      77.25   81.50   85.59   92.29   95.70  0.000–0.957  ",
    "   ␣the         6.45    6.81    7.15    7.71    4.30  0.957–1.000  ",
    "   ␣London      1.25    1.32    1.38       ×                       ",
    "   ␣Le          0.99    1.04    1.09       ×                       ",
    "   ␣New         0.93    0.98    1.03       ×                       ",
    "   ␣La          0.89    0.94    0.98       ×                       ",
    "   ␣            0.73    0.77    0.81       ×                       ",
    "   ␣not         0.72    0.76    0.80       ×                       ",
    "   ␣Mon         0.64    0.68    0.71       ×                       ",
    "   ␣capital     0.41    0.43    0.45       ×                       ",
    "   ␣a           0.40    0.42       ×                               ",
    "   ␣L           0.33    0.35       ×                               ",
    "   ‹28 more›    3.80    4.00       ×                               ",
    "   ‹others›     5.21       ×                                       ",
    "                                                                   ",
    "   left       49 152      40      10       2       2  tokens       ",
    "   thrown out      –    5.21    4.78    7.26       –  % of column  ",
    "   model's own 100.00  94.79   90.26   83.70   83.70  % still in  ",
    "   uncertainty  2.14    1.41    0.95    0.39    0.26  bit          ",
    "                                                                   ",
    "                                                                   ",
    " the draw   0 ─────────────────────▲──────────────────────────┼── 1",
    "              ␣Paris               u 0.4127                  ␣the  ",
    "                                                                   ",
    " what if    t tries other settings on this token                   ",
    "                                                                   ",
    "                                                                   ",
    "                                                                   ",
];

#[test]
fn the_screen_of_120_columns_is_as_drawn() {
    let mut app = paris_app();
    app.focus = Focus::Inspector;
    let buf = drawn(&app, &theme(), 120, 40);
    check(&part(&buf, 3..37, 53, 67), &WIDE);
    let on = [Stage::TopK, Stage::TopP, Stage::MinP, Stage::Temperature];
    let off = Stage::DEFAULT_ORDER.iter().filter(|stage| !on.contains(stage));
    let off: Vec<&str> = off.map(|stage| stage.about().wide).collect();
    assert!(part(&buf, 37..38, 53, 67)[0].starts_with(&format!(" off: {} ", off.join(" "))));
    assert_eq!(part(&buf, 1..2, 54, 9), [" Sampler"]);
}

#[test]
fn cut_rows_are_struck_in_the_first_column_and_marked_by_the_stage() {
    let mut app = paris_app();
    app.focus = Focus::Inspector;
    let buf = drawn(&app, &theme(), 120, 40);
    let ink = |x: u16, y: u16| buf[(53 + x, 2 + y)].fg;
    let of = |role: Role| Color::Indexed(role as u8);
    assert_eq!((ink(3, 7), ink(16, 7)), (of(Role::TokenChosen), of(Role::TokenChosen)));
    assert_eq!((ink(3, 9), ink(17, 9), ink(43, 9)), (of(Role::TokenCut), of(Role::Text), of(Role::TokenCut)));
    assert_eq!((ink(16, 5), ink(5, 22)), (of(Role::Muted), of(Role::Text)));
}

#[test]
fn the_narrow_form_has_all_four_stages_beside_the_chat() {
    let buf = drawn(&paris_app(), &theme(), 120, 40);
    let seen = part(&buf, 3..38, 74, 46);
    check(
        &seen[..12],
        &[
            " read \"…France is\" → chose ␣Paris      0.02 ms",
            " From the model's odds to the draw: × marks",
            " the stage that threw a token out. Each",
            " column adds up to 100.",
            "",
            "   token    model  top-k  top-p  min-p   temp",
            "                %     40   0.95   0.05   0.80",
            " ▶ ␣Paris   77.25  81.50  85.59  92.29  95.70",
            "   ␣the      6.45   6.81   7.15   7.71   4.30",
            "   ␣London   1.25   1.32   1.38      ×",
            "   ␣Le       0.99   1.04   1.09      ×",
            "   ␣New      0.93   0.98   1.03      ×",
        ],
    );
    assert!(
        seen.iter().any(|row| row.starts_with(" left      49 152     40     10      2      2")),
        "{seen:#?}"
    );
}

#[test]
fn the_screen_of_80_columns_keeps_what_the_design_keeps() {
    let mut app = paris_app();
    app.focus = Focus::Inspector;
    let buf = drawn(&app, &theme(), 80, 24);
    check(
        &part(&buf, 5..23, 0, 80),
        &[
            " From the model's odds to the draw: × marks the stage that threw a token out.",
            "   token       model   top-k   top-p   min-p    temp  draw",
            "                   %      40    0.95    0.05    0.80  u = 0.4127",
            " ▶ ␣Paris      77.25   81.50   85.59   92.29   95.70  0.000–0.957",
            "   ␣the         6.45    6.81    7.15    7.71    4.30  0.957–1.000",
            "   ␣London      1.25    1.32    1.38       ×",
            "   ␣Le          0.99    1.04    1.09       ×",
            "   ␣New         0.93    0.98    1.03       ×",
            "   ␣La          0.89    0.94    0.98       ×",
            "   ‹34 more›    7.03    7.41    2.78       ×",
            "   ‹others›     5.21       ×",
            "   left       49 152      40      10       2       2  tokens",
            "   thrown out      –    5.21    4.78    7.26       –  % of column",
            "   uncertainty  2.14    1.41    0.95    0.39    0.26  bit",
            "",
            " 0 ──────────────────────────────▲────────────────────────────────────────┼─── 1",
            "   ␣Paris                        u 0.4127                                 ␣the",
            "",
        ],
    );
}

#[test]
fn without_colour_and_unicode_nothing_is_lost() {
    let mut app = paris_app();
    app.focus = Focus::Inspector;
    let seen = part(&drawn(&app, &bare_theme(), 120, 40), 9..34, 53, 67);
    assert_eq!(seen[0], " > _Paris      77.25   81.50   85.59   92.29   95.70  0.000-0.957");
    assert_eq!(seen[2], "   _London      1.25    1.32    1.38       x");
    assert_eq!(seen[12], "   <28 more>    3.80    4.00       x");
    assert_eq!(seen[21], " the draw   0 ---------------------^--------------------------+-- 1");
}

#[test]
fn a_narrow_screen_has_the_sampler_in_the_rail() {
    let seen = part(&drawn(&paris_app(), &theme(), 80, 24), 17..20, 0, 80);
    assert_eq!(
        seen[0].trim_matches('─').trim(),
        "Sampler ───────────────────── left 2 of 49 152   uncertainty 2.14 → 0.26 bit"
    );
    assert!(
        seen[1].starts_with(" ▶ ␣Paris 77.25 → 95.70     ␣the 6.45 → 4.30     ␣London 1.25 ×min-p"),
        "{}",
        seen[1]
    );
    assert!(seen[2].contains('▲') && seen[2].ends_with(" 1"), "{}", seen[2]);
}

#[test]
fn a_greedy_choice_has_no_draw() {
    let mut app = paris_app();
    let mut trace = paris();
    let top: Vec<Option<f32>> = std::iter::once(Some(1.0)).chain(std::iter::repeat(None)).take(12).collect();
    trace.stages = vec![StageTrace {
        name: StageName::Greedy,
        left: 1,
        probabilities: top,
        removed: 0.2275,
        kept: 0.7725,
        entropy: 0.0,
    }];
    (trace.u, trace.interval) = (None, None);
    record(&mut app, trace);
    app.focus = Focus::Inspector;
    let seen = part(&drawn(&app, &theme(), 120, 40), 3..38, 53, 67);
    assert!(seen[0].contains("     greedy     "), "{}", seen[0]);
    assert_eq!(seen[5], "                   %          the likeliest");
    assert_eq!(seen[6], " ▶ ␣Paris      77.25  100.00");
    assert!(seen[27].starts_with(" greedy: the likeliest"), "{}", seen[27]);
}

#[test]
fn without_the_model_the_station_says_what_is_missing_and_how_to_get_it() {
    let mut app = paris_app();
    app.inspector.looks = crate::app::Looks::default();
    app.talk.runs.get_mut(&RunId(1)).unwrap().model_hash = Some("another".into());
    app.model.hash = Some("this".into());
    app.focus = Focus::Inspector;
    let seen = part(&drawn(&app, &theme(), 120, 40), 3..38, 53, 67);
    assert_eq!(seen[6], " ▶ ␣Paris      77.25");
    assert!(seen[27].starts_with(" ! the kept tokens do not settle the stages; "), "{}", seen[27]);
    assert!(seen[28].contains("Ctrl+L"), "{}", seen[28]);
}

#[test]
fn tried_settings_change_the_columns_and_closed_they_say_what_came_out() {
    let mut app = paris_app();
    let hot = SamplingOverrides { temperature: Some(1.2), top_k: Some(12), ..SamplingOverrides::default() };
    app.inspector.sandbox = Some(Sandbox { open: true, changed: hot, ..Sandbox::default() });
    app.update(Now::default(), Msg::Tick);
    app.focus = Focus::Inspector;
    let seen = part(&drawn(&app, &theme(), 120, 40), 3..38, 53, 67);
    assert!(seen[0].ends_with("temp 1.20, seed 7       tried"), "{}", seen[0]);
    assert_eq!(seen[6], " ▶ ␣Paris      77.25   84.90   88.93   92.29   88.79  0.000–0.888", "{seen:#?}");
    check(
        &seen[30..34],
        &[
            " what if    ‹temp 1.20›  ↑↓ setting  ←→ value  Enter use  Esc leave",
            " this token ␣Paris 88.79   ␣the 11.21    same draw",
            " the reply  0 of 1 tokens would have been cut",
            " how likely −0.04 → −0.12 nats   −0.04 → −0.12 a token",
        ],
    );
    app.inspector.sandbox.as_mut().unwrap().open = false;
    let seen = part(&drawn(&app, &theme(), 120, 40), 33..34, 53, 67);
    assert_eq!(seen, [" what if    temp 1.20 top-k 12  →  ␣Paris 88.79   ␣the 11.21    sa…"]);
}

#[test]
fn where_the_kept_tokens_settle_only_the_last_column_that_is_said() {
    let mut app = paris_app();
    app.talk.chat.turns[1].spans[1..].iter_mut().for_each(|span| {
        if let Span::Generated { steps, .. } = span {
            steps[0].survivors = 0;
        }
    });
    let cool = SamplingOverrides { min_p: Some(0.06), ..SamplingOverrides::default() };
    app.inspector.sandbox = Some(Sandbox { open: true, changed: cool, ..Sandbox::default() });
    app.update(Now::default(), Msg::Tick);
    app.focus = Focus::Inspector;
    let seen = part(&drawn(&app, &theme(), 120, 40), 34..35, 53, 67);
    assert_eq!(seen, [" this token ␣Paris 95.70   ␣the 4.30   2 left"]);
}

#[test]
fn a_draw_that_would_fall_elsewhere_now_is_said_in_the_place_of_the_line() {
    let mut app = paris_app();
    record(&mut app, SamplerTrace { drawn: TokenId(1), ..paris() }.of_draw(TokenId(0)));
    let seen = part(&drawn(&app, &theme(), 120, 40), 3..38, 53, 67).join("\n");
    assert!(seen.contains("▶ ␣Paris"), "{seen}");
    assert!(seen.contains("! read again, the odds differ in their last"), "{seen}");
    assert!(seen.contains("u 0.4127 would now draw ␣the"), "{seen}");
}
