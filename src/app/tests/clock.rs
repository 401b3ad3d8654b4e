//! Clocks that jump: back, to 1970 and before, over an hour at the change of the season, over a night asleep.

use super::*;
use crate::ui::testing;

#[test]
fn a_clock_that_jumps_breaks_neither_order_nor_drawing() {
    let mut bench = Bench::ready();
    let day = 86_400_000;
    let times =
        [1_700_000_000_000, 1_700_000_000_000 - 3_600_000, 0, -day, i64::MAX, 1_600_000_000_000, i64::MIN];
    for (at, (wall_ms, offset_minutes)) in times.into_iter().zip([60, 120, 0, -720, 840, 0, 0]).enumerate() {
        bench.now = Now { wall_ms, offset_minutes, ..bench.now };
        bench.exchange(&format!("question {at}"), &format!("answer {at}"));
        for (width, height) in [(120, 40), (80, 24)] {
            testing::any_screen(&bench.app, &testing::theme(false), width, height);
        }
    }
    let expected: Vec<String> = (0..times.len())
        .flat_map(|at| [format!("User: question {at}"), format!("Assistant: answer {at}")])
        .collect();
    assert_eq!(bench.branch(), expected);
    bench.app.config.ui.chats = true;
    bench.say("/chats");
    testing::any_screen(&bench.app, &testing::theme(false), 120, 40);
}

#[test]
fn hours_asleep_make_nothing_spin() {
    let mut bench = Bench::asked("a question");
    bench.write("so ");
    for asleep in [1_000, 3_600_000, 30 * 86_400_000] {
        bench.wait(asleep);
        bench.write("and ");
        bench.type_text("d");
        // Whatever was due meanwhile is done once; what comes next lies ahead.
        let mut woken = 0;
        while let Some(at) = bench.app.wakes_at().filter(|at| *at < bench.now.mono_ms + 100) {
            bench.now.mono_ms = bench.now.mono_ms.max(at);
            bench.send(Msg::Tick);
            woken += 1;
            assert!(woken < 20, "woken {woken} times within a tenth of a second, after {asleep} ms asleep");
        }
    }
    bench.done(StopReason::Eos);
    assert_eq!(bench.app.talk.chat.branch().last().unwrap().text(), "so and and and ");
}
