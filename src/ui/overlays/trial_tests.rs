//! A message on trial and the weights of sentences, drawn beside the transcript that they ink.
//!
//! Invariant: a step of the ramp is told by its colour, and where there are no fills by a sign and a digit.

use std::sync::Arc;

use ratatui::style::{Color, Style};

use crate::app::{App, Part, Query, RereadReply, TokenCursor, Weights, WeightsPanel, WhatIf, WhatIfPanel};
use crate::chat::{Role as Speaker, TurnId};
use crate::engine::protocol::{Event, RequestId, Rescored};
use crate::theme::Theme;
use crate::token::{Candidate, Step, TokenId};
use crate::ui::testing::design::{bare_theme, theme};
use crate::ui::testing::{self, as_drawn, holds, rows, screen};

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

fn shown(app: &App, theme: &Theme, width: u16, height: u16) -> Vec<String> {
    rows(&screen(app, theme, width, height))
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
    as_drawn!("what_if", shown(&on_trial(), &theme(), 120, 40));
    // On a narrow screen the text stays above.
    as_drawn!("what_if_80x24", shown(&on_trial(), &theme(), 80, 24));
    // Without fills signs and digits stand under the words.
    as_drawn!("what_if_bare", shown(&on_trial(), &bare_theme(), 120, 40));
}

#[test]
fn the_reply_is_inked_by_the_change_on_a_printed_scale() {
    let buf = screen(&on_trial(), &inked(), 120, 40);
    let all = rows(&buf);
    let y = all.iter().position(|row| row.contains("It is Paris.")).unwrap();
    let x = all[y].chars().position(|c| c == 'I').unwrap();
    let fill = |x: usize| buf[(x as u16, y as u16)].bg;
    assert_eq!([fill(x), fill(x + 6), fill(x + 11)], [104, 100, 104].map(Color::Indexed));
}

#[test]
fn what_is_still_read_and_what_failed_is_said() {
    let mut app = on_trial();
    let what_if = app.what_if.as_mut().unwrap();
    what_if.replies[0].after = None;
    let (id, next) = (RequestId(1), what_if.next().unwrap());
    what_if.reading.asked(next, id);
    what_if.reading.event(id, Event::PromptProgress { done: 1200, total: 2400 });
    holds(&shown(&app, &theme(), 120, 40), "the model reads the reply again: 1 200 of 2 400 tokens");
    app.what_if.as_mut().unwrap().reading.refuse(next, "The text is too long.".into());
    holds(&shown(&app, &theme(), 120, 40), "The text is too long.");
}

#[test]
fn the_weightiest_sentence_stands_first_with_its_bits() {
    as_drawn!("weights", shown(&weighed(), &theme(), 120, 40));
    as_drawn!("weights_80x24", shown(&weighed(), &bare_theme(), 80, 24));
}

#[test]
fn with_the_cursor_on_a_token_the_list_is_about_that_token() {
    let mut app = weighed();
    let reply = app.weights.as_ref().unwrap().reply;
    app.transcript.selected = Some(reply);
    app.transcript.cursor = Some(TokenCursor { turn: reply, index: 1 });
    as_drawn!("weights_of_a_token", shown(&app, &theme(), 120, 40));
}

#[test]
fn the_cost_is_said_before_anything_is_read() {
    let mut app = weighed();
    let weights = app.weights.as_mut().unwrap();
    weights.started = false;
    weights.whole = None;
    weights.parts.iter_mut().for_each(|part| part.without = None);
    as_drawn!("weights_cost", shown(&app, &theme(), 120, 40));
}
