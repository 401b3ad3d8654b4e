//! The decision held against made-up machines: what runs beside it, what a step takes there, what the system would say.

use super::*;
use crate::engine::threads::traces::{Machine, TOLD, UNTOLD};

fn full(most: u32) -> Way {
    Way { threads: most, waiting: Waiting::Spinning }
}

#[test]
fn a_calm_machine_is_left_as_it_is() {
    for told in [TOLD, UNTOLD] {
        let mut machine = Machine::new(2, told);
        machine.run(30_000.0, |_, way| assert_eq!(way, full(2)));
        assert!(machine.speed() > 0.999, "{}", machine.speed());
    }
}

#[test]
fn beside_two_busy_programs_two_processors_write_at_four_tenths() {
    let mut machine = Machine::new(2, TOLD).beside(2);
    machine.run(700.0, |_, _| {});
    assert_ne!(machine.way(), full(2), "within 0.7 s");
    machine.forget().run(20_000.0, |_, _| {});
    assert!(machine.speed() >= 0.4, "{}", machine.speed());
}

#[test]
fn beside_a_second_engine_the_number_of_threads_falls() {
    let mut machine = Machine::new(2, TOLD).beside_engine();
    machine.run(2_500.0, |_, _| {});
    assert_eq!(machine.way(), Way { threads: 1, waiting: Waiting::Spinning });
    machine.forget().run(20_000.0, |_, _| {});
    assert!(machine.speed() >= 0.38, "{}", machine.speed());
}

#[test]
fn when_it_is_calm_again_all_threads_are_back_within_a_second() {
    let mut machine = Machine::new(2, TOLD).beside(2);
    machine.run(3_000.0, |_, _| {});
    assert_ne!(machine.way(), full(2));
    machine = machine.beside(0);
    machine.run(1_000.0, |_, _| {});
    assert_eq!(machine.way(), full(2));
}

#[test]
fn programs_that_only_take_what_is_left_do_not_keep_it_from_all_threads() {
    let mut machine = Machine::new(2, TOLD).before_background().beside(2);
    machine.run(3_000.0, |_, _| {});
    assert_ne!(machine.way(), full(2));
    // Nothing is ever idle.
    machine = machine.beside(0);
    machine.run(10_000.0, |_, _| {});
    assert_eq!(machine.way(), full(2));
    machine.forget().run(60_000.0, |_, _| {});
    assert!(machine.speed() > 0.999, "{}", machine.speed());
}

#[test]
fn on_many_processors_as_many_threads_are_used_as_there_is_room_for() {
    let mut machine = Machine::new(16, TOLD).beside(3);
    machine.run(5_000.0, |_, _| {});
    assert_eq!(machine.way(), Way { threads: 13, waiting: Waiting::Spinning });
    machine = machine.beside(6);
    machine.run(5_000.0, |_, _| {});
    assert_eq!(machine.way().threads, 10);
    machine = machine.beside(0);
    machine.run(2_000.0, |_, _| {});
    assert_eq!(machine.way(), full(16));
}

#[test]
fn two_engines_that_both_give_way_do_not_take_turns() {
    // The other one has given way: one processor each, nothing idle.
    let mut machine = Machine::new(2, TOLD).beside(1);
    machine.run(5_000.0, |_, _| {});
    let mut changes = 0;
    let mut before = machine.way();
    machine.run(60_000.0, |_, way| {
        changes += u32::from(way != before);
        before = way;
    });
    // Only trials, fewer and fewer of them.
    assert!(changes <= 18, "{changes}");
    assert_eq!(machine.way().threads, 1);
}

#[test]
fn where_the_system_says_nothing_slow_steps_do() {
    let mut machine = Machine::new(2, UNTOLD);
    machine.run(2_000.0, |_, _| {});
    machine = machine.beside(2);
    machine.run(3_000.0, |_, _| {});
    assert_ne!(machine.way(), full(2));
    machine = machine.beside(0);
    machine.run(40_000.0, |_, _| {});
    assert_eq!(machine.way(), full(2));
}

#[test]
fn a_context_that_grows_is_no_busy_machine() {
    let mut machine = Machine::new(2, UNTOLD);
    machine.run(120_000.0, |machine, way| {
        machine.slower_by(1.0005);
        assert_eq!(way, full(2));
    });
}

#[test]
fn an_app_of_its_own_beside_it_costs_one_trial_and_no_more() {
    // The waits are there, but giving way makes nothing better.
    let mut machine = Machine::new(2, TOLD).disturbed(0.35);
    machine.run(60_000.0, |_, _| {});
    assert_eq!(machine.way(), full(2));
    assert!(machine.speed() > 0.98, "{}", machine.speed());
}

#[test]
fn where_sums_would_be_divided_otherwise_the_number_stays() {
    let mut machine = Machine::new(4, TOLD).without_fewer().beside(4);
    machine.run(20_000.0, |_, way| assert_eq!(way.threads, 4));
    assert_eq!(machine.way().waiting, Waiting::Sleeping);
}

#[test]
fn a_way_that_is_hopeless_is_tried_no_longer_than_it_takes_to_see_that() {
    let mut decides = GivingWay::new(2, true);
    let share = |waited| Some(Share { waited, got: 1.0, idle: None });
    let mut step =
        |ms, waited| decides.observe(&Sample { span_ms: 100.0, step_ms: Some(ms), share: share(waited) });
    assert_eq!(step(10.0, 0.0), full(2));
    step(50.0, 0.5);
    let fewer = Way { threads: 1, waiting: Waiting::Spinning };
    assert_eq!(step(50.0, 0.5), fewer);
    step(20.0, 0.5);
    step(20.0, 0.5);
    let asleep = Way { threads: 2, waiting: Waiting::Sleeping };
    assert_eq!(step(20.0, 0.5), asleep);
    assert_eq!(step(100.0, 0.5), fewer);
}

#[test]
fn one_thread_has_nothing_to_decide() {
    let mut machine = Machine::new(1, TOLD).beside(2);
    machine.run(5_000.0, |_, way| assert_eq!(way, full(1)));
    assert!(!GivingWay::never(8).gives_way());
}

proptest::proptest! {
    /// Whatever is measured, there is always a thread and never one too many; steps without a word of the system, absurd
    /// figures and none at all included.
    #[test]
    fn any_sample_leaves_a_way_within_bounds(
        most in 0_u32..40,
        samples in proptest::collection::vec(
            (0.0_f32..2000.0, proptest::option::of(0.0_f32..5000.0),
             proptest::option::of((0.0_f32..1.0, 0.0_f32..64.0, proptest::option::of(0.0_f32..64.0)))),
            0..200,
        ),
        fixed: bool,
    ) {
        let mut decides = GivingWay::new(most, !fixed);
        for (span_ms, step_ms, share) in samples {
            let share = share.map(|(waited, got, idle)| Share { waited, got, idle });
            let way = decides.observe(&Sample { span_ms, step_ms, share });
            proptest::prop_assert!((1..=decides.most()).contains(&way.threads));
            proptest::prop_assert!(!fixed || way.threads == decides.most());
            proptest::prop_assert_eq!(way, decides.way());
        }
    }
}
