//! A message on trial and the weights of sentences, drawn beside the transcript that they ink.
//!
//! Invariant: a step of the ramp is told by its colour, and where there are no fills by a sign and a digit.

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::app::{App, Part, Query, RereadReply, TokenCursor, Weights, WeightsPanel, WhatIf, WhatIfPanel};
use crate::chat::{Role as Speaker, TurnId};
use crate::engine::protocol::{Event, RequestId, Rescored};
use crate::theme::Theme;
use crate::token::{Candidate, Step, TokenId};
use crate::ui::cache::Cache;
use crate::ui::testing::design::{bare_theme, rows, theme};
use crate::ui::{render, testing};

const QUESTION: &str = "I live in France. What is my capital?";

fn asked() -> (App, TurnId, TurnId) {
    let mut app = testing::app();
    let question = testing::user(&mut app, QUESTION);
    let reply = testing::reply(&mut app, &["It is", " Paris", "."]);
    (app, question, reply)
}

fn scored(percents: [f32; 3]) -> Arc<Rescored> {
    let step = |percent: f32| Step {
        id: Some(TokenId(1)),
        logprob: (percent / 100.0).ln(),
        rank: 7,
        candidates: vec![Candidate { id: TokenId(2), logprob: 0.5_f32.ln() }],
        ..Step::default()
    };
    Arc::new(Rescored { steps: percents.map(step).to_vec(), ..Rescored::default() })
}

fn on_trial() -> App {
    let (mut app, question, reply) = asked();
    app.what_if = Some(Box::new(WhatIf {
        chat: app.talk.chat.head.id,
        turn: question,
        role: Speaker::User,
        before: QUESTION.into(),
        text: "I live in Italy. What is my capital?".into(),
        replies: vec![RereadReply {
            turn: reply,
            before: Some(scored([50.0, 80.0, 90.0])),
            after: Some(scored([50.0, 2.5, 99.0])),
        }],
        selected: 0,
        reading: Query::default(),
    }));
    app.overlays.push(WhatIfPanel);
    app
}

fn weighed() -> App {
    let (mut app, question, reply) = asked();
    let part = |cut: std::ops::Range<usize>, text: &str, without: [f32; 3]| Part {
        turn: question,
        role: Speaker::User,
        cut,
        text: text.into(),
        tokens: 20,
        without: Some(Arc::new(scored(without).steps.iter().map(|step| step.logprob).collect())),
    };
    app.weights = Some(Box::new(Weights {
        chat: app.talk.chat.head.id,
        reply,
        by_message: false,
        started: true,
        parts: vec![
            part(0..18, "I live in France.", [50.0, 1.25, 90.0]),
            part(17..37, "What is my capital?", [0.05, 80.0, 90.0]),
        ],
        whole: Some(scored([50.0, 80.0, 90.0])),
        selected: 0,
        spent: (40, 100.0),
        displaced: 0,
        reading: Query::default(),
    }));
    app.overlays.push(WeightsPanel);
    app
}

fn drawn(app: &App, theme: &Theme, width: u16, height: u16) -> Buffer {
    let screen = Rect::new(0, 0, width, height);
    let mut buf = Buffer::empty(screen);
    render(app, theme, &mut Cache::default(), screen, &mut buf);
    buf
}

fn shown(app: &App, theme: &Theme, width: u16, height: u16) -> String {
    rows(&drawn(app, theme, width, height)).join("\n")
}

/// A theme whose steps of the signed ramp are fills 100 to 108.
fn inked() -> Theme {
    let mut theme = theme();
    for (step, style) in (100..).zip(&mut theme.div) {
        *style = Style::new().bg(Color::Indexed(step));
    }
    theme
}

#[test]
fn an_edit_shows_what_was_changed_and_what_became_of_the_reply() {
    let rows = shown(&on_trial(), &theme(), 120, 40);
    for said in [
        "What if ━",
        "nothing is sent",
        "− France.",
        "+ Italy.",
        "The reply became 4.9 bit less likely.",
        "␣Paris           80.00    2.50    −5.00 ◂",
        ".                90.00   99.00    +0.14",
        "now rank 7 here; likeliest is #2 with 50.00 %",
        "e send as a version",
        "E edit on",
    ] {
        assert!(rows.contains(said), "{said}\n{rows}");
    }
}

#[test]
fn the_reply_is_inked_by_the_change_on_a_printed_scale() {
    let buf = drawn(&on_trial(), &inked(), 120, 40);
    let all = rows(&buf);
    let y = all.iter().position(|row| row.contains("It is Paris.")).unwrap();
    let x = all[y].chars().position(|c| c == 'I').unwrap();
    let fill = |x: usize| buf[(x as u16, y as u16)].bg;
    assert_eq!([fill(x), fill(x + 6), fill(x + 11)], [104, 100, 104].map(Color::Indexed));
    let legend = all.iter().find(|row| row.contains("change, bit")).unwrap();
    assert!(legend.contains("−4") && legend.contains("+4"), "{legend}");
}

#[test]
fn without_fills_signs_and_digits_stand_under_the_words() {
    let rows = shown(&on_trial(), &bare_theme(), 120, 40);
    let at = rows.lines().position(|row| row.contains("It is Paris.")).unwrap();
    let under = rows.lines().nth(at + 1).unwrap();
    assert!(under.contains("00000-444440"), "{under}\n{rows}");
}

#[test]
fn on_a_narrow_screen_the_text_stays_above() {
    let rows = shown(&on_trial(), &theme(), 80, 24);
    for said in ["It is Paris.", "less likely", "␣Paris", "Esc leave"] {
        assert!(rows.contains(said), "{said}\n{rows}");
    }
}

#[test]
fn what_is_still_read_and_what_failed_is_said() {
    let mut app = on_trial();
    let what_if = app.what_if.as_mut().unwrap();
    what_if.replies[0].after = None;
    let (id, next) = (RequestId(1), what_if.next().unwrap());
    what_if.reading.asked(next, id);
    what_if.reading.event(id, Event::PromptProgress { done: 1200, total: 2400 });
    let rows = shown(&app, &theme(), 120, 40);
    assert!(rows.contains("the model reads the reply again: 1 200 of 2 400 tokens"), "{rows}");
    app.what_if.as_mut().unwrap().reading.refuse(next, "The text is too long.".into());
    assert!(shown(&app, &theme(), 120, 40).contains("The text is too long."));
}

#[test]
fn the_weightiest_sentence_stands_first_with_its_bits() {
    let rows = shown(&weighed(), &theme(), 120, 40);
    let place = |said: &str| {
        rows.lines().position(|row| row.contains(said)).unwrap_or_else(|| panic!("{said}\n{rows}"))
    };
    assert!(place("+9.97") < place("+6.00"), "{rows}");
    assert!(rows.contains("for the whole reply: 3 tokens, 1.5 bit"), "{rows}");
    assert!(rows.contains("−16") && rows.contains("+16"), "{rows}");
}

#[test]
fn with_the_cursor_on_a_token_the_list_is_about_that_token() {
    let mut app = weighed();
    let reply = app.weights.as_ref().unwrap().reply;
    app.transcript.selected = Some(reply);
    app.transcript.cursor = Some(TokenCursor { turn: reply, index: 1 });
    let rows = shown(&app, &theme(), 120, 40);
    assert!(rows.contains("for ␣Paris alone"), "{rows}");
    let first = rows.lines().find(|row| row.contains("+6.00")).unwrap();
    assert!(first.contains("I live in France."), "{rows}");
}

#[test]
fn the_cost_is_said_before_anything_is_read() {
    let mut app = weighed();
    let weights = app.weights.as_mut().unwrap();
    weights.started = false;
    weights.whole = None;
    weights.parts.iter_mut().for_each(|part| part.without = None);
    let rows = shown(&app, &theme(), 120, 40);
    assert!(rows.contains("That takes 3 passes, 40 tokens in all, about 1 s."), "{rows}");
    assert!(rows.contains("Enter read"), "{rows}");
}
