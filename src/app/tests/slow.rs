//! Slow motion: one token at a time by the clock, held by hand, over with a word.

use super::*;
use crate::app::Focus;

fn paces(effects: &[Effect]) -> Vec<Option<u32>> {
    let pace = |effect: &Effect| match effect {
        Effect::Engine(_, _, request) => match **request {
            Request::Immediate(Immediate::Pace { allow, .. }) => Some(allow),
            _ => None,
        },
        _ => None,
    };
    effects.iter().filter_map(pace).collect()
}

/// A reply at two tokens a second, its first token written and the engine waiting.
fn slow() -> Bench {
    let mut bench = Bench::asked("/slow 2");
    let effects = bench.say("hello");
    assert_eq!(generated(&effects).allow, Some(1));
    bench.write("a");
    assert_eq!(paces(&bench.reply(Event::Paused)), []);
    bench
}

#[test]
fn a_slow_reply_is_let_go_one_token_at_a_time() {
    let mut bench = slow();
    assert_eq!(bench.app.wakes_at().map(|at| at <= bench.now.mono_ms + 500), Some(true));
    assert_eq!(paces(&bench.wait(499)), []);
    assert!(!bench.app.view().paused_here(), "it waits for the clock, not for a key");
    assert_eq!(paces(&bench.wait(1)), [Some(1)]);
    bench.write("b");
    bench.reply(Event::Paused);
    assert_eq!(paces(&bench.wait(500)), [Some(1)]);
}

#[test]
fn what_is_held_is_not_written_on() {
    let mut bench = slow();
    bench.app.focus = Focus::Inspector;
    bench.press(&[" "]);
    assert_eq!(paces(&bench.wait(5000)), []);
    assert_eq!(paces(&bench.press(&[" "])), [Some(1)]);
}

#[test]
fn step_mode_takes_over_and_gives_back() {
    let mut bench = slow();
    assert_eq!(paces(&bench.press(&["f6"])), [], "the engine waits already");
    assert!(bench.app.view().paused_here());
    assert_eq!(paces(&bench.wait(5000)), []);
    assert_eq!(paces(&bench.press(&["g"])), [Some(1)], "and goes on slowly");
    bench.write("b");
    bench.reply(Event::Paused);
    assert_eq!(paces(&bench.wait(500)), [Some(1)]);
}

#[test]
fn the_pace_outlives_its_reply_and_ends_when_told() {
    let mut bench = slow();
    bench.done(StopReason::Eos);
    assert_eq!(generated(&bench.say("more")).allow, Some(1));
    bench.write("a");
    assert_eq!(paces(&bench.say("/slow off")), [None]);
    bench.done(StopReason::Eos);
    assert_eq!(generated(&bench.say("again")).allow, None);
}

#[test]
fn a_pace_out_of_reach_is_refused_with_a_sentence() {
    let mut bench = Bench::ready();
    for bad in ["0", "-1", "1000", "fast", "NaN"] {
        bench.say(&format!("/slow {bad}"));
        assert!(bench.notice().contains("0.1 to 50"), "{bad}: {}", bench.notice());
        assert_eq!(bench.app.talk.steps.every_ms, None);
    }
}
