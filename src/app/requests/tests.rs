//! One question at a time, whatever happens around it.

use super::*;
use crate::engine::protocol::{CapturePlan, Failure, FailureKind};

#[derive(Clone, Debug, PartialEq)]
struct Number(u32);

impl Question for Number {
    const ASKER: Asker = Asker::Station;
}

/// A question, and the table that it is asked through.
#[derive(Default)]
struct Asked {
    query: Query<Number>,
    requests: Requests,
}

impl Asked {
    fn want(&mut self, number: Option<u32>) -> Vec<String> {
        if let Some(key) = self.query.sync(number.map(Number), &mut self.requests) {
            let id = self.requests.ask(Number::ASKER, Request::Job(Job::Calibrate));
            self.query.asked(key, id);
        }
        self.sent()
    }

    /// What was sent, in short.
    fn sent(&mut self) -> Vec<String> {
        let short = |effect| match effect {
            Effect::Engine(_, id, request) => match *request {
                Request::Immediate(Immediate::Cancel { target }) => format!("cancel {}", target.0),
                _ => format!("ask {}", id.0),
            },
            other => format!("{other:?}"),
        };
        std::mem::take(&mut self.requests.out).into_iter().map(short).collect()
    }

    fn hear(&mut self, id: u64, event: Event) -> Option<Answer<Number>> {
        let id = RequestId(id);
        let asker = self.requests.answered(id, &event)?;
        assert_eq!(asker, Asker::Station);
        self.query.event(id, event)
    }

    fn fail(&mut self, id: u64, kind: FailureKind) -> Option<Answer<Number>> {
        self.hear(id, Event::Failed(Failure { kind, message: "no".into() }))
    }

    fn status(&self, number: u32) -> Status<'_> {
        self.query.status(&Number(number))
    }
}

#[test]
fn a_question_is_asked_once_and_its_answer_names_it() {
    let mut asked = Asked::default();
    assert_eq!(asked.want(Some(7)), ["ask 1"]);
    assert!(asked.want(Some(7)).is_empty());
    assert_eq!(asked.status(7), Status::Reading(None));
    assert_eq!(asked.hear(1, Event::PromptProgress { done: 2, total: 5 }), None);
    assert_eq!(asked.status(7), Status::Reading(Some((2, 5))));
    let part = Event::Scores { first: 0, steps: Vec::new() };
    assert_eq!(asked.hear(1, part.clone()), Some(Answer::Part(Number(7), part)));
    assert_eq!(asked.hear(1, Event::Acknowledged), Some(Answer::Whole(Number(7), Event::Acknowledged)));
    assert_eq!(asked.status(7), Status::Unasked);
    assert_eq!(asked.hear(1, Event::Acknowledged), None);
}

#[test]
fn what_is_not_wanted_any_more_is_cancelled_and_its_answer_not_heard() {
    let mut asked = Asked::default();
    asked.want(Some(7));
    assert_eq!(asked.want(Some(8)), ["cancel 1", "ask 3"]);
    assert_eq!(asked.hear(1, Event::Acknowledged), None);
    assert_eq!(asked.query.pending(), Some(&Number(8)));
    assert_eq!(asked.want(None), ["cancel 3"]);
    assert_eq!(asked.query.pending(), None);
}

#[test]
fn a_refusal_is_not_repeated_until_another_load_of_the_engine() {
    let mut asked = Asked::default();
    asked.want(Some(7));
    assert_eq!(asked.fail(1, FailureKind::Other), Some(Answer::Refused(Number(7), "no".into())));
    assert!(asked.want(Some(7)).is_empty());
    assert_eq!(asked.want(Some(8)), ["ask 2"], "another question is free");
    assert_eq!(asked.want(Some(7)), ["cancel 2"], "a refusal is remembered beside others");
    assert_eq!(asked.status(7), Status::Refused("no"));
    asked.requests.next_engine();
    assert_eq!(asked.want(Some(7)), ["ask 4"]);
    assert_eq!(asked.status(7), Status::Reading(None));
}

#[test]
fn what_was_refused_for_a_reply_is_asked_again_after_it() {
    let mut asked = Asked::default();
    let reply = asked.requests.ask(Asker::Reply, Request::Job(Job::Calibrate));
    assert_eq!(asked.want(Some(7)), ["ask 1", "ask 2"]);
    asked.fail(2, FailureKind::Busy);
    assert!(asked.want(Some(7)).is_empty());
    asked.requests.forget(reply);
    assert_eq!(asked.want(Some(7)), ["ask 3"]);
}

#[test]
fn a_cancelled_answer_is_no_refusal() {
    let mut asked = Asked::default();
    asked.want(Some(7));
    assert_eq!(asked.fail(1, FailureKind::Cancelled), None);
    assert_eq!(asked.want(Some(7)), ["ask 2"]);
}

#[test]
fn an_engine_that_is_gone_takes_what_it_was_asked_with_it() {
    let mut asked = Asked::default();
    asked.want(Some(7));
    asked.requests.engine_is_gone();
    assert_eq!(asked.hear(1, Event::Acknowledged), None);
    assert!(asked.want(None).is_empty(), "nobody is there to be told to stop");
    assert_eq!(asked.query.pending(), None);
}

#[test]
fn the_background_gives_way_to_what_runs_on_the_model_and_to_nothing_else() {
    let mut requests = Requests::default();
    let weights = requests.ask(Asker::Weights, Request::Job(Job::Calibrate));
    requests.tell(Request::Immediate(Immediate::SetCapture(CapturePlan::default())));
    requests.ask(Asker::DraftCount, Request::Immediate(Immediate::Vocabulary));
    assert!(requests.is_in_flight(weights));
    requests.ask(Asker::Look, Request::Job(Job::Calibrate));
    assert!(!requests.is_in_flight(weights));
    assert_eq!(requests.of(Asker::Look), Some(RequestId(5)), "the cancel went before");
}
