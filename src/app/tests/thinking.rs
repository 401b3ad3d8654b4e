//! Thinking models in the app: switches, words of the model, what goes into the next prompt, copies.

use serde_json::json;

use super::*;
use crate::app::ModelStatus;
use crate::engine::protocol::{Reasoned, Switches, TemplateSetting};

/// A bench whose model's template has these values and words.
fn bench(values: &[&str], words: &[&str]) -> Bench {
    let mut bench = Bench::ready();
    let ModelStatus::Ready(loaded) = &mut bench.app.model.status else { panic!("it is ready") };
    let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
    loaded.switches = Switches { values: owned(values), words: owned(words) };
    bench
}

fn setting(effects: &[Effect]) -> TemplateSetting {
    let Prompt::Chat { setting, .. } = &generated(effects).prompt else { panic!("a chat is a chat") };
    setting.clone()
}

#[test]
fn a_switch_of_the_template_is_turned_for_a_chat_and_recorded_with_the_run() {
    let mut bench = bench(&["enable_thinking", "reasoning_effort"], &[]);
    bench.say("/thinking off");
    assert_eq!(bench.app.view().thinking().as_deref(), Some("off"));
    let effects = bench.say("Hi");
    assert_eq!(setting(&effects).values, [("enable_thinking".to_owned(), json!(false))].into());
    let run = bench.app.talk.runs.values().next().unwrap();
    assert_eq!(run.template_values["enable_thinking"], json!(false));
    bench.say("/thinking low");
    assert_eq!(bench.app.talk.chat.settings.template_values["reasoning_effort"], json!("low"));
    bench.say("/thinking default");
    assert!(bench.app.talk.chat.settings.template_values.is_empty());
    bench.say("/template-value reasoning_effort high");
    bench.say("/template-value count 3");
    assert_eq!(bench.app.talk.chat.settings.template_values["count"], json!(3));
    assert_eq!(bench.app.view().thinking().as_deref(), Some("high"));
}

#[test]
fn a_template_without_a_switch_says_so() {
    let mut bench = bench(&[], &[]);
    bench.say("/thinking off");
    assert!(bench.notice().contains("no switch"));
    assert!(bench.app.talk.chat.settings.template_values.is_empty());
}

#[test]
fn a_message_may_begin_with_a_word_that_the_model_knows() {
    let mut bench = bench(&[], &["/no_think", "/think"]);
    let effects = bench.say("/no_think hello");
    assert_eq!(messages(&effects).last().unwrap().1, "/no_think hello");
    let mut other = Bench::ready();
    assert_eq!(other.say("/no_think hello"), []);
    assert_eq!(other.draft(), "/no_think hello");
}

#[test]
fn what_was_thought_is_told_apart_in_the_next_prompt_and_left_out_of_copies() {
    let text = "<think>\nHm\n</think>\n\nYes";
    let mut bench = Bench::answered("Hi", text);
    let effects = bench.say("More");
    let Prompt::Chat { messages, .. } = &generated(&effects).prompt else { panic!("a chat is a chat") };
    let reasoned = Reasoned { thought: "Hm".into(), answer_from: 21, marks_are_text: true };
    assert_eq!((messages[1].text.as_str(), &messages[1].reasoned), (text, &Some(reasoned)));
    let reply = bench.app.talk.chat.turns[1].id;
    assert_eq!(bench.app.view().answer_text(reply), "Yes");
    assert_eq!(crate::reasoning::answer_of(text), "Yes");
}
