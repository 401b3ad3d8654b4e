//! Which rows of a station fit, and where.
//!
//! Invariants: places depend on the height and on what is switched on, never on the step that is shown; on
//! short screens blank rows go first, the candidates last.

/// Rows of a station, from its first row under the strip. `None` where there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// First row of the caption, and its rows.
    pub caption: Option<(u16, u16)>,
    /// Column heads.
    pub heads: u16,
    /// First candidate, and how many have a row; ‹others› follows them.
    pub candidates: (u16, u16),
    /// Margin, where there is room for it.
    pub margin: Option<u16>,
    /// Uncertainty, surprise, rank.
    pub summary: Option<u16>,
    /// Label of the strip chart, and rows of the chart after it.
    pub chart: Option<(u16, u16)>,
    /// The same of a second chart.
    pub second_chart: Option<(u16, u16)>,
    /// Head of the watch list, and its rows.
    pub watch: Option<(u16, u16)>,
    /// "showing 1 step of 25".
    pub showing: Option<u16>,
}

/// Sizes of the blocks, before they are placed.
#[derive(Clone, Copy)]
struct Sizes {
    caption: u16,
    gap: u16,
    candidates: u16,
    summary: u16,
    chart: u16,
    second: u16,
    watch: u16,
    showing: u16,
}

impl Sizes {
    fn total(self) -> u16 {
        let block = |rows: u16, gap: u16| if rows > 0 { rows + gap } else { 0 };
        let after_caption = self.gap.min(1);
        let chart = if self.chart > 0 { 1 + self.chart } else { 0 };
        let watch = if self.watch > 0 { 1 + self.watch } else { 0 };
        1 + self.caption
            + after_caption
            + 1
            + self.candidates
            + 1
            + block(self.summary, self.gap)
            + block(chart, self.gap)
            + if self.second > 0 { 2 + self.second } else { 0 }
            + block(watch, after_caption)
            + block(self.showing, after_caption)
    }
}

/// Places what fits into so many rows under the strip.
pub fn plan(height: u16, caption: u16, watched: u16) -> Plan {
    let mut sizes = Sizes {
        caption,
        gap: 2,
        candidates: 12,
        summary: 3,
        chart: 2,
        second: 2,
        watch: watched.min(4),
        showing: 1,
    };
    let steps: [fn(&mut Sizes); 11] = [
        |s| s.second = 0,
        |s| s.gap = 1,
        |s| s.gap = 0,
        |s| s.watch = 0,
        |s| s.chart = 1,
        |s| s.chart = 0,
        |s| s.showing = 0,
        |s| s.candidates = 8,
        |s| s.caption = 0,
        |s| s.candidates = 5,
        |s| s.summary = 0,
    ];
    for step in steps {
        if sizes.total() > height {
            step(&mut sizes);
        }
    }
    sizes.candidates = sizes.candidates.min(height.saturating_sub(3));
    place(sizes, height)
}

fn place(sizes: Sizes, height: u16) -> Plan {
    let small_gap = sizes.gap.min(1);
    let heads = 1 + sizes.caption + small_gap;
    let candidates = (heads + 1, sizes.candidates);
    let mut next = heads + 1 + sizes.candidates + 1;
    let mut take = |rows: u16, gap: u16| {
        (rows > 0).then(|| {
            let at = next + gap;
            next = at + rows;
            at
        })
    };
    let summary = take(sizes.summary, sizes.gap);
    let chart = take(if sizes.chart > 0 { 1 + sizes.chart } else { 0 }, sizes.gap);
    let second = take(if sizes.second > 0 { 1 + sizes.second } else { 0 }, 1);
    let watch = take(if sizes.watch > 0 { 1 + sizes.watch } else { 0 }, small_gap);
    Plan {
        caption: (sizes.caption > 0).then_some((1, sizes.caption)),
        heads,
        candidates,
        // It stands in the gap over the summary.
        margin: summary.filter(|_| sizes.gap > 0).map(|at| at - 1),
        summary,
        chart: chart.map(|at| (at, sizes.chart)),
        second_chart: second.map(|at| (at, sizes.second)),
        watch: watch.map(|at| (at, sizes.watch)),
        showing: (sizes.showing > 0).then(|| height - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_screen_has_everything_where_it_is_drawn() {
        let expected = Plan {
            caption: Some((1, 2)),
            heads: 4,
            candidates: (5, 12),
            margin: Some(19),
            summary: Some(20),
            chart: Some((25, 2)),
            second_chart: None,
            watch: Some((29, 2)),
            showing: Some(34),
        };
        assert_eq!(plan(35, 2, 2), expected);
    }

    #[test]
    fn nothing_is_placed_below_the_last_row() {
        let mut compared = 0;
        for height in 0..60 {
            for caption in 0..3 {
                for watched in 0..6 {
                    let plan = plan(height, caption, watched);
                    let ends = [
                        plan.summary.map(|at| at + 3),
                        plan.chart.map(|(at, rows)| at + 1 + rows),
                        plan.second_chart.map(|(at, rows)| at + 1 + rows),
                        plan.watch.map(|(at, rows)| at + 1 + rows),
                        plan.showing.map(|at| at + 1),
                    ];
                    let last = ends.into_iter().flatten().max().unwrap_or(0);
                    assert!(last <= height, "{height} {caption} {watched}: {plan:?}");
                    if let (Some(showing), Some((watch, rows))) = (plan.showing, plan.watch) {
                        assert!(watch + 1 + rows <= showing, "{height}: {plan:?}");
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 200, "{compared} plans have a watch list");
    }

    #[test]
    fn a_low_screen_keeps_candidates_and_summary() {
        let low = plan(12, 2, 0);
        assert_eq!((low.candidates.1, low.summary.is_some(), low.caption), (5, true, None));
    }
}
