//! What was recorded of a token stays with that token, whatever the engine holds back for a stop text. The app is
//! driven by the scripted engine, message by message.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::app::{Record, Station, TokenCursor, Watched};
use crate::engine::Engine as _;
use crate::engine::scripted::{self, ScriptedOptions};
use crate::engine::transport::thread::ThreadEngine;

/// The app with an engine that answers.
struct Driven {
    bench: Bench,
    engine: ThreadEngine,
    events: Receiver<Envelope>,
}

impl Driven {
    /// With a model of that name loaded; `base` has the plain template, others a template of their own.
    fn load(model: &str) -> Self {
        let config = Config { model: model.into(), models: vec![entry(model, None)], ..Config::default() };
        let (out, events) = channel();
        let sink = Box::new(move |envelope| drop(out.send(envelope)));
        let options = ScriptedOptions { token_ms: 0, load_ms: 0, slice_ms: 0, ..ScriptedOptions::default() };
        let engine = ThreadEngine::start(sink, scripted::make(options)).unwrap();
        let mut driven = Self { bench: Bench::with(config), engine, events };
        let effects = driven.bench.send(Msg::Catalogue(catalogue(&driven.bench.app.config)));
        driven.perform(effects);
        driven.until(|app| {
            matches!(app.model.status, ModelStatus::Ready(_)) && !app.talk.vocabularies.is_empty()
        });
        driven
    }

    /// With a stop text, and a station that is open while the reply is written.
    fn watching(model: &str, stop: &str, station: Station) -> Self {
        let mut driven = Self::load(model);
        driven.bench.app.talk.chat.settings.sampling.stop = Some(vec![stop.into()]);
        driven.bench.app.inspector.shown = true;
        driven.bench.app.inspector.station = station;
        driven
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Engine(_, id, request) = effect {
                self.engine.send(id, *request).unwrap();
            }
        }
    }

    fn until(&mut self, done: impl Fn(&App) -> bool) {
        while !done(&self.bench.app) {
            let Envelope { id, event } =
                self.events.recv_timeout(Duration::from_secs(20)).expect("the engine goes on");
            let effects = self.bench.event(id.0, event);
            self.perform(effects);
        }
    }

    /// The tokens of a reply to that message, each with its cursor.
    fn reply(&mut self, message: &str) -> Vec<(TokenCursor, Step)> {
        for effects in [self.bench.send(Msg::Tick), self.bench.say(message)] {
            self.perform(effects);
        }
        self.until(|app| app.talk.run.is_none());
        let turn = self.bench.app.talk.chat.branch().last().copied().cloned().expect("there is a reply");
        let at = |index| TokenCursor { turn: turn.id, index };
        turn.steps().cloned().enumerate().map(|(index, step)| (at(index), step)).collect()
    }
}

/// A model and a stop text that holds some of its tokens back, and a message that it answers so.
const HELD: [(&str, &str, &str); 2] = [("small", "e!!", "Good day"), ("base", "\nUser:", "markdown")];

#[test]
fn stages_are_those_of_their_own_token() {
    for (model, stop, message) in HELD {
        let mut driven = Driven::watching(model, stop, Station::Sampler);
        let steps = driven.reply(message);
        assert!(steps.len() > 5);
        for (at, step) in steps {
            let record = driven.bench.app.inspector.looks.record(at).cloned().unwrap_or_default();
            let Record { trace: Some(trace), .. } = record else { panic!("{model}: {at:?} has no stages") };
            assert_eq!((trace.index as usize, Some(trace.drawn)), (at.index, step.id));
            assert!((trace.entropy - step.entropy).abs() < 1e-4);
        }
    }
}

#[test]
fn watched_probabilities_are_those_of_their_own_token() {
    for (model, stop, message) in HELD {
        let mut driven = Driven::watching(model, stop, Station::Softmax);
        let watched = |id| Watched { id: TokenId(id), now: None, peak: 0.0, rank: None };
        driven.bench.app.inspector.watch = (290..310).map(watched).collect();
        let steps = driven.reply(message);
        let mut compared = 0;
        for (at, step) in steps {
            let record = driven.bench.app.inspector.looks.record(at).cloned().unwrap_or_default();
            assert_eq!(record.watched.len(), 20, "{model}: {at:?}");
            for (candidate, rank) in record.watched {
                if let Some(listed) = step.candidates.get(rank as usize - 1) {
                    assert_eq!(*listed, candidate, "{model}: {at:?}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 5, "{compared} watched tokens were among the likeliest");
    }
}

#[test]
fn an_opened_pass_is_the_one_that_chose_its_own_token() {
    for (model, stop, message) in HELD {
        let mut driven = Driven::watching(model, stop, Station::Layers);
        let steps = driven.reply(message);
        let passes = &driven.bench.app.inspector.inside.passes;
        let mut compared = 0;
        for pass in passes.iter().filter(|pass| !pass.own) {
            let (_, step) = &steps[pass.at.index];
            let followed = pass.seen.trace.followed[0];
            assert_eq!(
                (Some(followed.id), followed.logprob),
                (step.id, step.logprob),
                "{model}: {:?}",
                pass.at
            );
            compared += 1;
        }
        assert!(compared >= steps.len().min(60), "{compared} passes of {} tokens", steps.len());
    }
}
