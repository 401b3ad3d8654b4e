//! Replies read again on trial: what is asked for it, what it shows, and that the chat stays what it was.

use super::*;
use crate::app::{Focus, TextBox, TokenCursor, WhatIfPanel};
use crate::engine::protocol::{Failure, FailureKind, Rescore, Rescored};

/// A question, a reply of three tokens, a second question and a reply of one.
fn talked() -> Bench {
    let mut bench = Bench::ready();
    for (message, words) in [("I live in Rome. It rains.", &["a", "b", "c"][..]), ("And now?", &["a"])] {
        bench.say(message);
        let ids = vec![TokenId(0), TokenId(2)];
        bench.reply(Event::Prompt(PromptFacts { ids, seed: 7, ..PromptFacts::default() }));
        for word in words {
            bench.write(word);
        }
        bench.done(StopReason::Eos);
    }
    bench.app.focus = Focus::Transcript;
    bench
}

fn turns(bench: &Bench) -> Vec<TurnId> {
    bench.app.talk.chat.branch().iter().map(|turn| turn.id).collect()
}

/// The request that reads a reply again.
fn rereading(bench: &Bench) -> u64 {
    let requests = &bench.app.out.requests;
    requests.of(Asker::WhatIf).or(requests.of(Asker::Weights)).map_or(0, |id| id.0)
}

fn asked(effects: &[Effect]) -> Option<Rescore> {
    asked_in!(effects, _, Request::Job(Job::Rescore(reread)) => (**reread).clone())
}

fn texts(reread: &Rescore) -> Vec<(Role, String)> {
    let Prompt::Chat { messages, continue_last: false, .. } = &reread.prompt else { panic!("{reread:?}") };
    messages.iter().map(|message| (message.role, message.text.clone())).collect()
}

/// Answers the request under way with these ln p.
fn answer(bench: &mut Bench, prompt: i32, logprobs: &[f32]) -> Vec<Effect> {
    let id = rereading(bench);
    let steps = logprobs.iter().map(|logprob| Step { logprob: *logprob, ..step("a", 1.0) }).collect();
    let prompt = vec![TokenId(prompt)];
    bench.event(id, Event::Rescored(Box::new(Rescored { prompt, steps, ..Rescored::default() })))
}

/// Opens the first message on trial and puts another text in its place.
fn edit(bench: &mut Bench, text: &str) -> Vec<Effect> {
    bench.app.transcript.selected = Some(turns(bench)[0]);
    bench.press(&["E"]);
    bench.press(&["ctrl+u"]);
    bench.type_text(text);
    bench.press(&["enter"])
}

#[test]
fn an_edit_on_trial_reads_the_replies_after_it_again_and_changes_nothing() {
    let mut bench = talked();
    let before = bench.branch();
    let effects = edit(&mut bench, "I live in Paris.");
    let own = asked(&effects).unwrap();
    assert_eq!(texts(&own), [(Role::User, "I live in Rome. It rains.".into())]);
    assert_eq!((own.reply.len(), own.interventions.len()), (3, 0));
    let edited = asked(&answer(&mut bench, 1, &[-1.0, -1.0, -1.0])).unwrap();
    assert_eq!(texts(&edited), [(Role::User, "I live in Paris.".into())]);
    let next = asked(&answer(&mut bench, 2, &[-1.0, -4.0, -0.5])).unwrap();
    assert_eq!(next.reply.len(), 1, "the reply after that");
    answer(&mut bench, 3, &[-2.0]);
    let all: Vec<Role> = texts(&next).into_iter().map(|(role, _)| role).collect();
    assert_eq!(all, [Role::User, Role::Assistant, Role::User]);
    assert_eq!(asked(&answer(&mut bench, 4, &[-2.0])), None);

    let what_if = bench.app.what_if.as_ref().unwrap();
    assert_eq!(what_if.edit(), ("Rome. It rains.", "Paris."));
    let bits = what_if.replies[0].bits().unwrap();
    assert!((bits + 2.5 / std::f64::consts::LN_2).abs() < 1e-6, "{bits}");
    let changes = what_if.changes();
    assert_eq!(changes[0].at, TokenCursor { turn: turns(&bench)[1], index: 1 }, "the most changed one first");
    assert_eq!(bench.app.signed_ink(turns(&bench)[1]), [(0, 1, 0), (1, 2, -4), (2, 3, 1)]);
    assert_eq!(bench.branch(), before);
    bench.press(&["esc"]);
    assert!(bench.app.what_if.is_none() && bench.app.overlays.is_empty());
    assert_eq!(bench.app.signed_ink(turns(&bench)[1]), []);
}

#[test]
fn the_edit_is_sent_as_a_version_only_when_asked_for() {
    let mut bench = talked();
    edit(&mut bench, "I live in Paris.");
    answer(&mut bench, 1, &[-1.0; 3]);
    let effects = bench.press(&["e"]);
    assert_eq!(messages(&effects), [(Role::User, "I live in Paris.".into())]);
    assert!(bench.app.what_if.is_none() && !bench.app.overlays.dock());
    let first = turns(&bench)[0];
    assert_eq!(bench.app.talk.chat.versions(first).len(), 2);
}

#[test]
fn a_second_edit_does_not_read_the_unedited_reply_again() {
    let mut bench = talked();
    edit(&mut bench, "I live in Paris.");
    answer(&mut bench, 1, &[-1.0; 3]);
    bench.press(&["E"]);
    bench.type_text(" Still.");
    let edited = asked(&bench.press(&["enter"])).unwrap();
    assert_eq!(texts(&edited), [(Role::User, "I live in Paris. Still.".into())]);
    assert_eq!(bench.app.overlays.iter().filter(|overlay| **overlay == WhatIfPanel.into()).count(), 1);
}

#[test]
fn what_cannot_be_tried_is_said() {
    let mut bench = Bench::ready();
    bench.app.focus = Focus::Transcript;
    bench.press(&["E"]);
    assert_eq!(bench.notice(), "there is no message yet to change");
    bench.press(&["W"]);
    assert_eq!(bench.notice(), "there is no reply yet");
    let mut bench = talked();
    edit(&mut bench, "I live in Rome. It rains.");
    assert_eq!(bench.notice(), "nothing was changed: edit or delete words first");
    let last = *turns(&bench).last().unwrap();
    bench.app.transcript.selected = Some(last);
    bench.press(&["E"]);
    assert_eq!(bench.notice(), "no reply follows this message yet; select an earlier one");
    bench.app.model.name = "large".into();
    for run in bench.app.talk.runs.values_mut() {
        run.vocabulary = Some("other".into());
    }
    bench.press(&["W"]);
    assert_eq!(bench.notice(), "small made this; Ctrl+L loads it to read it again");
}

#[test]
fn a_failure_is_said_and_not_tried_for_ever() {
    let mut bench = talked();
    edit(&mut bench, "I live in Paris.");
    let failure = Failure { kind: FailureKind::ContextFull, message: "It is too long.".into() };
    let id = rereading(&bench);
    assert_eq!(asked(&bench.event(id, Event::Failed(failure))), None);
    assert_eq!(
        bench.app.what_if.as_ref().and_then(|what_if| what_if.missing(bench.app.view())).as_deref(),
        Some("It is too long.")
    );
}

fn weigh(bench: &mut Bench) -> Vec<Effect> {
    bench.app.transcript.selected = Some(turns(bench)[1]);
    bench.press(&["W"]);
    bench.press(&["enter"])
}

#[test]
fn weights_are_read_one_sentence_at_a_time_after_their_cost_was_seen() {
    let mut bench = talked();
    bench.app.transcript.selected = Some(turns(&bench)[1]);
    assert_eq!(asked(&bench.press(&["W"])), None, "nothing is read before Enter");
    let weights = bench.app.weights.as_ref().unwrap();
    let parts: Vec<&str> = weights.parts.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(parts, ["I live in Rome.", "It rains."]);
    assert_eq!(weights.left().0, 3);
    let whole = asked(&bench.press(&["enter"])).unwrap();
    assert_eq!(texts(&whole), [(Role::User, "I live in Rome. It rains.".into())]);
    let first = asked(&answer(&mut bench, 1, &[-1.0, -1.0, -1.0])).unwrap();
    assert_eq!(texts(&first), [(Role::User, "It rains.".into())]);
    let second = asked(&answer(&mut bench, 2, &[-1.0, -0.9, -1.0])).unwrap();
    assert_eq!(texts(&second), [(Role::User, "I live in Rome.".into())]);
    assert_eq!(asked(&answer(&mut bench, 3, &[-1.0, -9.0, -1.0])), None);
    let order: Vec<usize> = weighed(&bench).into_iter().map(|(at, _)| at).collect();
    assert_eq!(order, [1, 0], "the weightiest first");
    let bits = weighed(&bench)[0].1.unwrap();
    assert!((bits - 8.0 / std::f64::consts::LN_2).abs() < 1e-6, "{bits}");
    bench.press(&["l"]);
    let of_first = weighed(&bench);
    assert_eq!(bench.app.weights.as_ref().and_then(|weights| weights.token(&bench.app.transcript)), Some(0));
    assert!(of_first.iter().all(|(_, bits)| *bits == Some(0.0)), "{of_first:?}");
    bench.press(&["h"]);
    assert_eq!(
        bench.app.weights.as_ref().and_then(|weights| weights.token(&bench.app.transcript)),
        None,
        "before the first token stands the whole reply"
    );
    assert_eq!(bench.app.signed_ink(turns(&bench)[0]), [(0, 16, 0), (15, 25, 3)]);
}

#[test]
fn weights_go_on_in_the_background_and_give_way() {
    let mut bench = talked();
    weigh(&mut bench);
    answer(&mut bench, 1, &[-1.0; 3]);
    bench.press(&["esc"]);
    assert!(bench.app.weights.is_some() && rereading(&bench) > 0);
    let effects = bench.app.update(bench.now, Msg::Tick);
    assert!(effects.is_empty(), "{effects:?}");
    bench.app.focus = Focus::Composer;
    let said = brief(&bench.say("more"));
    assert!(said.contains(&"ask Cancel".into()) && !said.contains(&"ask Rescore".into()), "{said:?}");
    bench.write("a");
    let after = bench.done(StopReason::Eos);
    let again = asked(&after);
    assert!(again.is_none() || bench.app.weights.is_some());
    assert_eq!(texts(&again.unwrap()), [(Role::User, "It rains.".into())], "asked for again");
}

#[test]
fn what_the_user_asks_for_goes_before_the_weights() {
    let mut bench = talked();
    weigh(&mut bench);
    answer(&mut bench, 1, &[-1.0; 3]);
    let id = rereading(&bench);
    bench.app.inspector.shown = true;
    bench.app.inspector.station = crate::app::Station::Layers;
    let said = brief(&bench.press(&["l"]));
    let place = |what: &str| said.iter().position(|one| one == what);
    let all = (place("ask Cancel"), place("ask Inspect"), place("ask Rescore"));
    assert!(all.0 < all.1 && all.1 < all.2, "{said:?}");
    let late = Rescored { steps: vec![step("a", 1.0); 3], ..Rescored::default() };
    bench.event(id, Event::Rescored(Box::new(late)));
    assert_eq!(bench.app.weights.as_ref().unwrap().done(), 0, "the answer of what was given up is not taken");
}

#[test]
fn trials_end_with_their_chat_and_their_branch() {
    let mut bench = talked();
    weigh(&mut bench);
    bench.press(&["esc"]);
    bench.app.focus = Focus::Transcript;
    bench.app.transcript.selected = Some(turns(&bench)[0]);
    bench.press(&["d"]);
    assert!(bench.app.weights.is_none());
    assert_eq!(rereading(&bench), 0);
    let mut bench = talked();
    weigh(&mut bench);
    bench.press(&["esc", "ctrl+n"]);
    assert!(bench.app.weights.is_none());
}

#[test]
fn a_sentence_can_be_edited_out_from_the_list() {
    let mut bench = talked();
    weigh(&mut bench);
    bench.press(&["down", "E"]);
    let Some(TextBox { input, .. }) = bench.app.overlays.top() else { panic!("an edit opens") };
    assert_eq!(input.text(), "I live in Rome.");
}

#[test]
fn another_model_does_not_go_on_with_what_one_began() {
    let mut bench = talked();
    weigh(&mut bench);
    answer(&mut bench, 1, &[-1.0; 3]);
    bench.app.model.name = "large".into();
    for run in bench.app.talk.runs.values_mut() {
        run.vocabulary = Some("other".into());
    }
    assert_eq!(asked(&bench.send(Msg::Tick)), None);
    let why = bench.app.weights.as_ref().and_then(|weights| weights.missing(bench.app.view()));
    assert_eq!(why.as_deref(), Some("small made this; Ctrl+L loads it to read it again"));
}

#[test]
fn the_words_of_the_user_and_the_system_prompt_have_passes_too() {
    let mut bench = talked();
    let (first, run) = (turns(&bench)[0], *bench.app.talk.runs.keys().next().unwrap());
    let word = (0, 1, 1, step("a", 1.0));
    let score = crate::app::TurnScore { run, tokens: vec![word] };
    bench.app.talk.scores.insert(first, score.clone());
    bench.app.talk.chat.settings.system = Some("Be brief.".into());
    bench.press(&["s"]);
    let system = bench.app.talk.system.as_ref().unwrap().id;
    bench.app.talk.scores.insert(system, score);
    bench.app.inspector.shown = true;
    bench.app.inspector.station = crate::app::Station::Layers;
    for turn in [first, system] {
        bench.app.transcript.selected = Some(turn);
        bench.app.transcript.cursor = Some(TokenCursor { turn, index: 0 });
        let said = brief(&bench.send(Msg::Tick));
        assert!(said.contains(&"ask Inspect".into()), "{turn:?} {said:?}");
    }
}

/// What each part weighs, in the order of the list.
fn weighed(bench: &Bench) -> Vec<(usize, Option<f64>)> {
    let weights = bench.app.weights.as_ref().unwrap();
    weights.ranked(weights.token(&bench.app.transcript))
}
