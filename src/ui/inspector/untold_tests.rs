//! What a server did not tell is no figure on the screen, and what is only a part is marked.

use std::sync::Arc;

use super::{rail, sampler, softmax};
use crate::app::App;
use crate::chat::{RunId, Teller};
use crate::token::{Candidate, Entry, Odds, Step, TokenId, TokenKind, Vocabulary};
use crate::ui::testing::design::{capitals, notre, theme};
use crate::ui::testing::{drawn, holds};

/// The token on display, as a server told it: without ids, rank and entropy.
fn served(odds: Odds) -> App {
    let mut app = capitals();
    let known = Arc::clone(&app.talk.vocabularies["v"]);
    let stand_in = |id: TokenId| TokenId(-100 - id.0);
    let mut told = notre();
    let word = |id: TokenId| {
        let bytes = known.bytes(id).unwrap_or_default().to_vec();
        (stand_in(id), Entry { bytes, kind: TokenKind::Normal })
    };
    let learned = told.candidates.iter().map(|candidate| word(candidate.id)).collect();
    let candidates = told.candidates.iter();
    told.candidates = candidates.map(|c| Candidate { id: stand_in(c.id), logprob: c.logprob }).collect();
    told = Step { id: told.id.map(stand_in), rank: 0, entropy: f32::NAN, survivors: 0, ..told };
    if odds == Odds::None {
        told = Step { logprob: f32::NAN, candidates: Vec::new(), ..told };
    }
    let vocabulary = Vocabulary { hash: "v".into(), learned, ..Vocabulary::default() };
    app.talk.vocabularies.insert("v".into(), Arc::new(vocabulary));
    app.model.status = crate::app::ModelStatus::Unloaded;
    let teller = Teller { title: "vLLM".into(), host: "box:8000".into(), odds };
    for run in app.talk.runs.values_mut() {
        run.told_by = Some(teller.clone());
    }
    let live = app.inspector.live.as_mut().unwrap();
    live.step = told.clone();
    let turn = app.talk.chat.turn_mut(live.turn).unwrap();
    for span in &mut turn.spans {
        if let crate::chat::Span::Generated { run, steps } = span {
            *run = RunId(run.0);
            for step in steps.iter_mut() {
                *step = Step { bytes: step.bytes.clone(), ..told.clone() };
            }
        }
    }
    app
}

fn has_no_made_up_figure(rows: &[String]) {
    let all = rows.join("\n");
    assert!(!all.contains("NaN") && !all.contains("inf") && !all.contains("-101"), "{all}");
    assert!(!all.contains("of 49 152") && !all.contains("rank 0"), "{all}");
}

#[test]
fn of_the_likeliest_alone_nothing_is_said_of_the_whole() {
    let app = served(Odds::Top(12));
    let softmax = drawn(softmax::draw, &app, &theme(), (67, 34));
    has_no_made_up_figure(&softmax);
    holds(&softmax, "top 12 only");
    holds(&softmax, "uncertainty H       not told by this server");
    holds(&softmax, "␣Notre");
    holds(&softmax, "25.26");
    let rail = drawn(rail::draw, &app, &theme(), (100, 3));
    has_no_made_up_figure(&rail);
    holds(&rail, "top 12 only");
    let sampler = drawn(sampler::draw, &app, &theme(), (67, 34));
    has_no_made_up_figure(&sampler);
    holds(&sampler, "from the 12 that came");
}

#[test]
fn without_odds_the_station_says_what_would_tell_them() {
    let app = served(Odds::None);
    for (width, height) in [(67, 34), (46, 20)] {
        let softmax = drawn(softmax::draw, &app, &theme(), (width, height));
        has_no_made_up_figure(&softmax);
        holds(&softmax, "no odds came with this token");
        assert!(!softmax.join("").contains('%'), "{softmax:?}");
        has_no_made_up_figure(&drawn(sampler::draw, &app, &theme(), (width, height)));
    }
    has_no_made_up_figure(&drawn(rail::draw, &app, &theme(), (100, 3)));
}
