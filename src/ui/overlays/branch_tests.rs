//! The tree, the comparison, the alternatives and the look ahead against the design's drawing.
//!
//! Invariant: figures of the tree are the default model's own, as drawn.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::app::{Ahead, Alternatives, App, LineEdit, Query, StepMode, TokenCursor, Tree};
use crate::chat::{Role as Speaker, RunId, Span, Turn, TurnId, TurnState};
use crate::engine::protocol::{LookedAhead, Path};
use crate::theme::{Role, Theme};
use crate::token::{Candidate, Step, TokenId, TokenKind, Vocabulary};
use crate::ui::cache::Cache;
use crate::ui::render;
use crate::ui::testing::design::{bare_theme, capitals, rows, theme};

/// The first branch of the drawing and its second: each token with its surprise in bits.
const PARIS: [(&str, f32); 19] = [
    (" Paris", 0.37),
    (".", 0.55),
    ("\n", 1.46),
    ("\n", 1.27),
    ("The", 2.79),
    (" answer", 4.63),
    (" is", 0.51),
    (":", 0.67),
    (" ", 1.0),
    ("2", 1.78),
    ("0", 2.54),
    ("1", 2.29),
    ("8", 2.07),
    ("-", 0.86),
    ("0", 0.46),
    ("1", 2.7),
    ("-", 0.0),
    ("2", 1.42),
    ("2", 2.53),
];
const THE: [(&str, f32); 19] = [
    (" the", 3.95),
    (" capital", 0.42),
    (" of", 0.10),
    (" the", 1.38),
    (" French", 2.99),
    (" Republic", 1.37),
    (".", 0.52),
    ("\n", 1.83),
    ("\n", 0.92),
    ("The", 2.75),
    (" French", 3.77),
    (" language", 3.18),
    (" is", 0.91),
    (" a", 2.32),
    (" language", 3.11),
    (" spoken", 1.44),
    (" primarily", 1.60),
    (" in", 1.04),
    (" France", 0.45),
];
const CANDIDATES: [(&str, f32); 11] = [
    (" Paris", 77.25),
    (" the", 6.45),
    (" London", 1.25),
    (" Le", 0.99),
    (" New", 0.93),
    (" La", 0.89),
    (" ", 0.73),
    (" not", 0.72),
    (" Mon", 0.64),
    (" capital", 0.41),
    (" a", 0.40),
];

fn vocabulary() -> Vocabulary {
    let mut all = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    let texts = CANDIDATES.iter().chain(&PARIS).chain(&THE).map(|(text, _)| *text);
    let mut seen: Vec<&str> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
            all.push(text.as_bytes(), TokenKind::Normal);
        }
    }
    while all.len() < 49_152 {
        all.push(b"x", TokenKind::Normal);
    }
    all
}

fn id(all: &Vocabulary, text: &str) -> TokenId {
    (0..49_152).map(TokenId).find(|id| all.bytes(*id) == Some(text.as_bytes())).unwrap()
}

fn steps(all: &Vocabulary, tokens: &[(&str, f32)]) -> Vec<Step> {
    let first: Vec<Candidate> = CANDIDATES
        .iter()
        .map(|(text, percent)| Candidate { id: id(all, text), logprob: (percent / 100.0).ln() })
        .collect();
    let mut candidates = first;
    tokens
        .iter()
        .map(|(text, bits)| Step {
            id: Some(id(all, text)),
            bytes: text.as_bytes().to_vec(),
            logprob: -bits * std::f32::consts::LN_2,
            rank: 1,
            entropy: 2.14 * std::f32::consts::LN_2,
            candidates: std::mem::take(&mut candidates),
            ..Step::default()
        })
        .collect()
}

/// "The capital of France is", answered five times.
fn branched() -> App {
    let mut app = capitals();
    (app.talk.run, app.out.notice, app.inspector.live) = (None, None, None);
    let all = vocabulary();
    let prompt: Vec<TokenId> = (100..105).map(TokenId).collect();
    let made = app.talk.runs[&RunId(1)].clone();
    app.talk.chat.turns[0].spans = vec![Span::Written { text: "The capital of France is".into() }];
    let reply = app.talk.chat.turns.remove(1);
    let others: [&[(&str, f32)]; 5] = [
        &PARIS,
        &THE,
        &[(" London", 6.32), (".", 0.2), ("\n", 0.1), ("\n", 0.1)],
        &[(" Le", 6.66), (".", 1.9)],
        &[(" New", 6.75), (" ", 0.02), (".", 0.02), ("\n", 1.93)],
    ];
    for (number, tokens) in (1..).zip(others) {
        let run = crate::chat::Run { id: RunId(number), prompt_ids: prompt.clone(), ..made.clone() };
        app.talk.runs.insert(run.id, run);
        let mut steps = steps(&all, tokens);
        let odds = steps[0].candidates.iter().find(|candidate| Some(candidate.id) == steps[0].id);
        steps[0].logprob = odds.unwrap().logprob;
        let mut spans = vec![Span::Generated { run: RunId(number), steps }];
        if number > 1 {
            spans.insert(0, Span::Kept { turn: TurnId(2), steps: 0 });
        }
        let id = TurnId(1 + number);
        let state = TurnState::Done;
        app.talk.chat.turns.push(Turn { id, role: Speaker::Assistant, spans, state, ..reply.clone() });
    }
    app.model.used = 24;
    app.talk.vocabularies.insert("v".into(), Arc::new(all));
    app
}

fn with_tree(compare: bool) -> App {
    let mut app = branched();
    let tree = Tree {
        at: TokenCursor { turn: TurnId(2), index: 0 },
        selected: 1,
        compare: compare.then_some(TurnId(3)),
        comparing: compare,
        scroll: 0,
        renormalised: false,
    };
    app.overlays.push(tree);
    app
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Buffer {
    let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
    let screen = buf.area;
    render(app, theme, &mut Cache::default(), screen, &mut buf);
    buf
}

fn check(buf: &Buffer, expected: &[&str]) {
    let seen: Vec<String> = rows(buf).iter().map(|row| row.trim_end().to_owned()).collect();
    assert_eq!(seen, expected, "\n{}", seen.join("\n"));
}

#[test]
fn tree_and_comparison_stand_side_by_side_as_drawn() {
    check(
        &drawn(&with_tree(true), &theme(), 120, 40),
        &[
            " glassbox   SmolLM2-135M-Instruct Q4_1   CPU ×2                               ctx ▕            ▏    24/8192  ○ ready",
            "━ Branches at token #5 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 5 kept ━┬─ Compare 1 and 2 ─────────────────────────────────────────",
            "                                                            │  1 as it is now               2 beside it",
            "  The capital of France is↵                                 │  token        bit  so far     token        bit  so far",
            "  │                                                         │",
            "  │    token        %                           tokens bit/t│  ␣Paris      0.37    0.37     ␣the        3.95    3.95",
            "  ├▶ 1 ␣Paris    77.25 ██████▏  .↵↵The answer i…  19   1.57 │                               ␣capital    0.42    4.37",
            "› ├─ 2 ␣the       6.45 ▌        ␣capital of the…  19   1.79 │                               ␣of         0.10    4.47",
            "  ├─ 3 ␣London    1.25 ▏        .↵↵                4   1.68 │                               ␣the        1.38    5.85",
            "  ├─ 4 ␣Le        0.99 ▏        .                  2   4.28 │                               ␣French     2.99    8.84",
            "  ├─ 5 ␣New       0.93 ▏        ␣.↵                4   2.18 │                               ␣Republic   1.37   10.21",
            "  ├┈ a ␣La        0.89 ▏                                    │  .           0.55    0.92  =  .           0.52   10.73",
            "  ├┈ b ␣          0.73                                      │  ↵           1.46    2.38  =  ↵           1.83   12.56",
            "  ├┈ c ␣not       0.72                                      │  ↵           1.27    3.65  =  ↵           0.92   13.48",
            "  ├┈ e ␣Mon       0.64                                      │  The         2.79    6.44  =  The         2.75   16.23",
            "  ├┈ f ␣capital   0.41                                      │  ␣answer     4.63   11.07     ␣French     3.77   20.00",
            "  ├┈ g ␣a         0.40                                      │                               ␣language   3.18   23.18",
            "  └┈   ‹others›   9.34 ▊        49 141 tokens               │  ␣is         0.51   11.58  =  ␣is         0.91   24.09",
            "                                                            │  :           0.67   12.25     ␣a          2.32   26.41",
            "  1–5 kept branches   a–g not yet taken                     │  ␣           1.00   13.25     ␣language   3.11   29.52",
            "  bit/t: mean surprise, lower reads likelier to the model   │  2           1.78   15.03     ␣spoken     1.44   30.96",
            "  branch 2 from here on: ln p −23.60, 34.05 bit             │  0           2.54   17.57     ␣primarily  1.60   32.56",
            "                                                            │  1           2.29   19.86     ␣in         1.04   33.60",
            "  further down branch 2                                     │  8           2.07   21.93     ␣France     0.45   34.05",
            "  ␣the capital of the                                       │  -           0.86   22.79",
            "  ├▶   ␣French   12.59 █        ␣Republic.↵↵The…            │  0           0.46   23.25",
            "  └┈   49 151 more                                          │  1           2.70   25.95",
            "                                                            │  -           0.00   25.95",
            "  L looks ahead: 4 wide, 6 deep                             │  2           1.42   27.37",
            "                                                            │  2           2.53   29.90",
            "                                                            │",
            "                                                            │  mean 1.57 bit                mean 1.79 bit",
            "                                                            │  5 of 19 tokens shared   both read the same 5 before",
            "                                                            │",
            "                                                            │",
            "                                                            │",
            "                                                            │",
            "                                                            │",
            " nothing is lost: every branch stays in the chat; going to one reuses the tokens before it and decodes only what is new",
            " ↑↓ branch   Enter go   1…9 a…y take   = compare   ← → up, down   L look ahead   z scale   d delete, u undo   Esc close",
        ],
    );
}

#[test]
fn at_80_columns_the_tree_stands_alone() {
    check(
        &drawn(&with_tree(false), &theme(), 80, 24),
        &[
            " SmolLM2-135M Q4_1  CPU ×2                                ctx   24/8k  ○ ready",
            "━ Branches at token #5 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ 5 kept ━",
            "",
            "  The capital of France is↵",
            "  │",
            "  │    token        %                                               tokens bit/t",
            "  ├▶ 1 ␣Paris    77.25 ██████▏  .↵↵The answer is: 2018-01-22          19   1.57",
            "› ├─ 2 ␣the       6.45 ▌        ␣capital of the French Republic.↵↵T…  19   1.79",
            "  ├─ 3 ␣London    1.25 ▏        .↵↵                                    4   1.68",
            "  ├─ 4 ␣Le        0.99 ▏        .                                      2   4.28",
            "  ├─ 5 ␣New       0.93 ▏        ␣.↵                                    4   2.18",
            "  ├┈ a ␣La        0.89 ▏",
            "  ├┈ b ␣          0.73",
            "  ├┈ c ␣not       0.72",
            "  ├┈ e ␣Mon       0.64",
            "  ├┈ f ␣capital   0.41",
            "  ├┈ g ␣a         0.40",
            "  └┈   ‹others›   9.34 ▊        49 141 tokens",
            "",
            "  1–5 kept branches   a–g not yet taken",
            "  bit/t: mean surprise, lower reads likelier to the model",
            "  branch 2 from here on: ln p −23.60, 34.05 bit",
            " nothing is lost: every branch stays in the chat; going to one reuses the toke…",
            " ↑↓ branch   Enter go   1…9 a…y take   = compare   d delete, u undo   Esc close",
        ],
    );
}

#[test]
fn at_80_columns_the_comparison_takes_the_trees_place() {
    check(
        &drawn(&with_tree(true), &theme(), 80, 24),
        &[
            " SmolLM2-135M Q4_1  CPU ×2                                ctx   24/8k  ○ ready",
            "━ Compare 1 and 2 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
            "  1 as it is now                         2 beside it",
            "  token                  bit  so far     token                  bit  so far",
            "",
            "  ␣Paris                0.37    0.37     ␣the                  3.95    3.95",
            "                                         ␣capital              0.42    4.37",
            "                                         ␣of                   0.10    4.47",
            "                                         ␣the                  1.38    5.85",
            "                                         ␣French               2.99    8.84",
            "                                         ␣Republic             1.37   10.21",
            "  .                     0.55    0.92  =  .                     0.52   10.73",
            "  ↵                     1.46    2.38  =  ↵                     1.83   12.56",
            "  ↵                     1.27    3.65  =  ↵                     0.92   13.48",
            "  The                   2.79    6.44  =  The                   2.75   16.23",
            "  ␣answer               4.63   11.07     ␣French               3.77   20.00",
            "                                         ␣language             3.18   23.18",
            "  ␣is                   0.51   11.58  =  ␣is                   0.91   24.09",
            "",
            "  mean 1.57 bit                          mean 1.79 bit",
            "  5 of 19 tokens shared   both read the same 5 before",
            "",
            " nothing is lost: every branch stays in the chat; going to one reuses the toke…",
            " ↑↓ branch   Enter go   1…9 a…y take   = compare   d delete, u undo   Esc close",
        ],
    );
}

#[test]
fn in_ascii_the_tree_is_all_ascii() {
    for compare in [false, true] {
        for (width, height) in [(120, 40), (80, 24), (60, 16)] {
            let drawn = rows(&drawn(&with_tree(compare), &bare_theme(), width, height)).join("\n");
            assert!(drawn.is_ascii(), "{drawn}");
        }
    }
}

#[test]
fn the_paths_have_their_roles() {
    let buf = drawn(&with_tree(true), &theme(), 120, 40);
    let of = |role: Role| Color::Indexed(role as u8);
    assert_eq!(
        (buf[(7, 6)].fg, buf[(8, 7)].fg, buf[(7, 8)].fg),
        (of(Role::TokenChosen), of(Role::TokenRival), of(Role::Text))
    );
    assert_eq!((buf[(63, 5)].fg, buf[(92, 5)].fg), (of(Role::TokenChosen), of(Role::TokenRival)));
    assert_eq!((buf[(63, 11)].fg, buf[(89, 11)].symbol()), (of(Role::Muted), "="));
}

fn alternatives() -> App {
    let mut app = branched();
    let at = TokenCursor { turn: TurnId(2), index: 0 };
    let step = app.view().step_at(at).unwrap().clone();
    let mut rows: Vec<TokenId> = step.candidates.iter().map(|candidate| candidate.id).collect();
    rows.push(TokenId(40_000));
    app.talk.chat.settings.sampling.logit_bias =
        Some(vec![crate::sampling::LogitBias { text: None, id: Some(rows[2].0), bias: f32::NEG_INFINITY }]);
    let open = Alternatives {
        at,
        step,
        vocabulary: Some("v".into()),
        versions: app.view().versions_at(at),
        whole: None,
        asking: Query::default(),
        wanted: None,
        filter: LineEdit::default(),
        typing: false,
        rows,
        selected: 1,
    };
    app.overlays.push(open);
    app
}

#[test]
fn alternatives_say_what_is_here_taken_banned_and_unknown() {
    check(
        &drawn(&alternatives(), &theme(), 80, 24),
        &[
            "┍━ Instead of ␣Paris ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━ token 1 of 19 ━┑",
            "│  › type to filter all 49 152 tokens                                          │",
            "│        token             model % 0          50        100                    │",
            "│    1 ▶ ␣Paris              77.25 ██████████████████▌      here               │",
            "│  ▶ 2   ␣the                 6.45 █▌                       branch             │",
            "│    3   ␣London              1.25 ▎                        branch, banned     │",
            "│    4   ␣Le                  0.99 ▎                        branch             │",
            "│    5   ␣New                 0.93 ▎                        branch             │",
            "│    6   ␣La                  0.89 ▎                                           │",
            "│    7   ␣                    0.73 ▏                                           │",
            "│    8   ␣not                 0.72 ▏                                           │",
            "│    9   ␣Mon                 0.64 ▏                                           │",
            "│        ␣capital             0.41 ▏                                           │",
            "│        ␣a                   0.40 ▏                                           │",
            "│        x                       –                                             │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│    the 11 likeliest are kept; – is not known yet                             │",
            "│  1…9 take   ↑↓ Enter take   b ban   + - boost   L look ahead   Esc close     │",
            "└──────────────────────────────────────────────────────────────────────────────┘",
        ],
    );
}

fn ahead() -> App {
    let mut app = branched();
    let all = app.talk.vocabularies["v"].clone();
    let path = |tokens: &[(&str, f32)]| Path {
        tokens: tokens
            .iter()
            .map(|(text, percent)| Candidate { id: id(&all, text), logprob: (percent / 100.0).ln() })
            .collect(),
    };
    let paths = vec![
        path(&[(" Paris", 77.25), (".", 68.0), ("\n", 36.0)]),
        path(
            &[(" Paris", 77.25), (".", 68.0), (" The", 20.0)]
                .map(|(text, p)| (if text == " The" { "The" } else { text }, p)),
        ),
        path(&[(" the", 6.45), (" capital", 75.0), (" of", 93.0)]),
    ];
    let open = Ahead {
        at: TokenCursor { turn: TurnId(2), index: 0 },
        vocabulary: Some("v".into()),
        ids: Arc::new(Vec::new()),
        asking: Query::default(),
        looked: true,
        found: LookedAhead { paths, decoded: 12, ms: 310.0 },
        selected: 1,
        taking: None,
    };
    app.overlays.push(open);
    app
}

#[test]
fn a_look_ahead_draws_what_paths_share_once() {
    check(
        &drawn(&ahead(), &theme(), 80, 24),
        &[
            "┍━ Look ahead ━━━━━━━━━━━━━━━━━━━━━ 4 wide, 6 deep   12 tokens read in 0.31 s ━┑",
            "│  The capital of France is↵                                                   │",
            "│                                                         %          so far %  │",
            "│  ├▶ ␣Paris.                                         77.25 ██████▏     52.53  │",
            "│  │  ├─ 1 ↵                                          36.00 ██▉         18.91  │",
            "│  │  └▶ 2 The                                        20.00 █▋          10.51  │",
            "│  └─ 3 ␣the␣capital␣of                                6.45 ▌            4.50  │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│                                                                              │",
            "│  1…9 take   ↑↓ path   Enter take it   Esc close                              │",
            "└──────────────────────────────────────────────────────────────────────────────┘",
        ],
    );
}

#[test]
fn a_reply_that_waits_says_so_and_names_its_keys() {
    let mut app = capitals();
    app.talk.steps = StepMode { on: true, paused: true, ..StepMode::default() };
    app.focus = crate::app::Focus::Transcript;
    let rows = rows(&drawn(&app, &theme(), 120, 40));
    assert!(rows[0].contains("◐ paused"), "{}", rows[0]);
    assert_eq!(rows[39].trim_end(), " Space next token   1…9 another   b ban, draw again   g let it run");
}
