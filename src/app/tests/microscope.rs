//! Another model held against the loaded one: what is asked for it, what it shows, and what it gives way to.

use super::*;
use crate::app::MicroscopePanel;
use crate::engine::protocol::{Capabilities, Capability, Contrasting, Failure, FailureKind};
use crate::inspect::contrast::Contrast;
use crate::token::Candidate;

fn talked() -> Bench {
    let mut bench = Bench::ready();
    bench.say("Hello");
    let ids = vec![TokenId(0), TokenId(2)];
    bench.reply(Event::Prompt(PromptFacts { ids, seed: 7, ..PromptFacts::default() }));
    for word in ["a", "b", "c"] {
        bench.write(word);
    }
    bench.done(StopReason::Eos);
    bench
}

fn asked(effects: &[Effect]) -> Option<Contrasting> {
    asked_in!(effects, _, Request::Job(Job::Contrast(request)) => (**request).clone())
}

fn token(kl: f32, logprob: [f32; 2]) -> Contrast {
    let first = Candidate { id: TokenId(0), logprob: -0.5 };
    Contrast { kl, logprob, first: [first, first] }
}

fn open(bench: &mut Bench) -> Vec<Effect> {
    bench.say("/microscope large")
}

fn request(bench: &Bench) -> u64 {
    bench.app.out.requests.of(Asker::Microscope).expect("the comparison is under way").0
}

#[test]
fn another_model_reads_the_replies_and_the_tokens_are_in_the_order_of_their_divergence() {
    let mut bench = talked();
    let before = bench.branch();
    let request_sent = asked(&open(&mut bench)).unwrap();
    assert_eq!((request_sent.other.name.as_str(), request_sent.parts.len()), ("large", 1));
    assert_eq!((request_sent.parts[0].from, request_sent.parts[0].ids.len()), (2, 5));
    let id = request(&bench);
    let tokens = vec![token(0.1, [-1.0, -1.0]), token(0.5, [-1.0, -3.0])];
    bench.event(id, Event::Contrasts { part: 0, first: 2, tokens });
    bench.event(id, Event::Contrasts { part: 0, first: 4, tokens: vec![token(0.3, [-2.0, -0.5])] });
    assert_eq!(bench.app.microscope.as_ref().map(|open| open.is_done), Some(false));
    bench.event(id, Event::Contrasted(Box::default()));
    let open = bench.app.microscope.as_ref().unwrap();
    assert!(open.is_done && (open.summary(None).unwrap().mean_kl - 0.3).abs() < 1e-6);
    let order: Vec<usize> = open.apart().iter().map(|row| row.index).collect();
    assert_eq!(order, [1, 2, 0]);
    let turn = bench.app.talk.chat.branch()[1].id;
    let ink: Vec<i8> = bench.app.signed_ink(turn).into_iter().map(|(.., step)| step).collect();
    assert_eq!(ink, [0, -3, 2], "in bits: the other finds the second less likely, the third more");
    bench.press(&["down"]);
    assert_eq!(bench.app.transcript.cursor.map(|at| at.index), Some(2));
    bench.press(&["esc"]);
    assert!(bench.app.microscope.is_none() && bench.app.overlays.top::<MicroscopePanel>().is_none());
    assert_eq!(bench.branch(), before);
}

#[test]
fn what_was_typed_is_read_too_and_a_row_of_it_leads_to_its_place() {
    let mut bench = super::tokens::answered();
    let sent = asked(&open(&mut bench)).unwrap();
    let prompt = sent.parts[0].ids.len() as u32 - 1;
    assert_eq!((sent.parts.len(), sent.parts[0].from), (1, 6), "from the first token of the message on");
    let id = request(&bench);
    let apart = |kl: f32| token(kl, [-1.0, -2.0]);
    bench.event(id, Event::Contrasts { part: 0, first: 6, tokens: vec![apart(0.2), apart(0.4), apart(9.0)] });
    let between = (9..prompt).map(|_| apart(9.0)).collect();
    bench.event(id, Event::Contrasts { part: 0, first: 9, tokens: between });
    bench.event(id, Event::Contrasts { part: 0, first: prompt, tokens: vec![apart(0.3)] });
    bench.event(id, Event::Contrasted(Box::default()));
    let open = bench.app.microscope.as_ref().unwrap();
    let mean = |only| open.summary(only).map(|all| (all.tokens, (all.mean_kl * 100.0).round() as i32));
    assert_eq!(
        [mean(None), mean(Some(true)), mean(Some(false))],
        [Some((3, 30)), Some((1, 30)), Some((2, 30))],
        "a template's own tokens are no part of the chat"
    );
    let rows: Vec<_> = open.apart().iter().map(|row| (row.is_reply, row.start)).collect();
    assert_eq!(rows, [(false, 1), (true, 0), (false, 0)]);
    let branch: Vec<_> = bench.app.talk.chat.branch().iter().map(|turn| turn.id).collect();
    let [typed, reply] = branch[..] else { panic!("a question and its answer") };
    let ink: Vec<_> = bench.app.signed_ink(typed).into_iter().map(|(from, to, _)| (from, to)).collect();
    assert_eq!(ink, [(0, 1), (1, 2)]);
    bench.press(&["down"]);
    assert_eq!(bench.app.transcript.cursor, Some(crate::app::TokenCursor { turn: reply, index: 0 }));
    bench.press(&["down"]);
    assert_eq!(bench.app.transcript.selected, Some(typed));
    bench.press(&["up", "up"]);
    assert_eq!(bench.app.transcript.cursor, None, "the model has not been asked for its words yet");
    let chat = bench.app.talk.chat.head.id;
    let effects = bench.send(Msg::Store(store::Event::Scores(chat, Vec::new())));
    let score = asked_in!(effects, id, Request::Job(Job::Score(_)) => id.0).unwrap();
    bench.event(score, Event::Scores { first: 6, steps: vec![step("H", 1.0), step("i", 1.0)] });
    assert_eq!(bench.app.transcript.cursor, Some(crate::app::TokenCursor { turn: typed, index: 1 }));
}

#[test]
fn a_reply_goes_before_it_and_it_begins_anew() {
    let mut bench = talked();
    open(&mut bench);
    let id = request(&bench);
    bench.event(id, Event::Contrasts { part: 0, first: 2, tokens: vec![token(0.1, [-1.0, -1.0])] });
    bench.app.focus = crate::app::Focus::Composer;
    bench.app.overlays.remove::<MicroscopePanel>();
    bench.say("And?");
    assert!(bench.app.out.requests.of(Asker::Microscope).is_none());
    bench.write("x");
    let again = asked(&bench.done(StopReason::Eos)).unwrap();
    assert_eq!(again.parts.len(), 1, "the new reply has no prompt that is known here");
    let read = &bench.app.microscope.as_ref().unwrap().texts[0];
    assert_eq!((read.tokens.len(), read.tokens.iter().any(|token| token.found.is_some())), (3, false));
}

#[test]
fn why_there_is_nothing_to_hold_against_is_said() {
    let mut bench = Bench::ready();
    open(&mut bench);
    assert!(bench.notice().contains("no reply is here yet"), "{}", bench.notice());
    let mut bench = talked();
    bench.say("/microscope nobody");
    assert!(bench.notice().contains("there is no model nobody"), "{}", bench.notice());
    bench.press(&["ctrl+u"]);
    let large = bench.app.config.models.iter().position(|model| model.name == "large").unwrap();
    bench.app.config.models[large].rpc = vec!["10.0.0.9:50052".into()];
    open(&mut bench);
    let own = bench.app.model.name.clone();
    let said = format!(
        "large has layers on machines that {own} does not use; chat with large and hold {own} against it"
    );
    assert!(bench.notice().contains(&said), "{}", bench.notice());
    bench.app.config.models[large].rpc.clear();
    bench.press(&["ctrl+u"]);
    open(&mut bench);
    let id = request(&bench);
    let message = "large has another vocabulary".to_owned();
    bench.event(id, Event::Failed(Failure { message, kind: FailureKind::OtherVocabulary }));
    let open_now = bench.app.microscope.as_ref().unwrap();
    assert_eq!(open_now.missing(), Some("large has another vocabulary"));
    let ModelStatus::Ready(loaded) = &mut bench.app.model.status else { panic!("the model is loaded") };
    loaded.capabilities = Capabilities::all().without(Capability::Contrast);
    bench.press(&["esc"]);
    open(&mut bench);
    assert!(bench.notice().contains("hold another model's whole distributions"), "{}", bench.notice());
}
