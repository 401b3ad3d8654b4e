//! Which rows of the sampler station fit, and where.
//!
//! Invariants: places depend on the height and on what is switched on, never on the token that is shown; on
//! short screens blank rows go first, the tokens last.

/// Rows of the station, from its first row under the strip. `None` where there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// First row of the caption, and its rows.
    pub caption: Option<(u16, u16)>,
    /// Column heads, two rows.
    pub heads: u16,
    /// First token, and how many have a row; ‹more› and ‹others› follow them.
    pub tokens: (u16, u16),
    /// What is left, thrown out, still in, uncertain: four rows, or three without what is still in.
    pub summary: Option<(u16, u16)>,
    /// The draw, two rows.
    pub ruler: Option<u16>,
    /// Tried settings: one row, or four while they are edited.
    pub tried: Option<(u16, u16)>,
    /// Stages that are off.
    pub off: Option<u16>,
}

#[derive(Clone, Copy)]
struct Sizes {
    caption: u16,
    gaps: u16,
    tokens: u16,
    summary: u16,
    ruler: u16,
    ruler_gap: u16,
    tried: u16,
    off: u16,
}

impl Sizes {
    fn total(self) -> u16 {
        let block = |rows: u16, gap: u16| if rows > 0 { rows + gap } else { 0 };
        1 + self.caption
            + self.gaps
            + 2
            + self.tokens
            + 2
            + block(self.summary, self.gaps)
            + block(self.ruler, self.ruler_gap)
            + block(self.tried, 1)
            + self.off
    }
}

/// Places what fits into so many rows; `open` while tried settings are edited.
pub fn plan(height: u16, caption: u16, open: bool) -> Plan {
    let tried = if open { 4 } else { 1 };
    let mut sizes = Sizes { caption, gaps: 1, tokens: 12, summary: 4, ruler: 2, ruler_gap: 2, tried, off: 1 };
    let steps: [&dyn Fn(&mut Sizes); 13] = [
        &|s| s.ruler_gap = 1,
        &|s| s.off = 0,
        &|s| s.caption = s.caption.min(1),
        &|s| s.gaps = 0,
        &|s| s.summary = 3,
        &|s| s.tokens = 8,
        &|s| s.tried = if open { 4 } else { 0 },
        &|s| s.tokens = 6,
        &|s| s.ruler = if open { 0 } else { 2 },
        &|s| s.caption = 0,
        &|s| s.tokens = 4,
        &|s| s.ruler = 0,
        &|s| s.summary = 0,
    ];
    for step in steps {
        if sizes.total() > height {
            step(&mut sizes);
        }
    }
    if sizes.total() > height {
        sizes.tried = 0;
    }
    sizes.tokens = sizes.tokens.min(height.saturating_sub(5));
    let heads = 1 + sizes.caption + sizes.gaps;
    let mut next = heads + 2 + sizes.tokens + 2;
    let mut take = |rows: u16, gap: u16| {
        (rows > 0).then(|| {
            let at = next + gap;
            next = at + rows;
            at
        })
    };
    Plan {
        caption: (sizes.caption > 0).then_some((1, sizes.caption)),
        heads,
        tokens: (heads + 2, sizes.tokens),
        summary: take(sizes.summary, sizes.gaps).map(|at| (at, sizes.summary)),
        ruler: take(sizes.ruler, sizes.ruler_gap),
        tried: take(sizes.tried, 1).map(|at| (at, sizes.tried)),
        off: (sizes.off > 0).then(|| height - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawn_screens_have_everything_where_it_is_drawn() {
        let wide = Plan {
            caption: Some((1, 2)),
            heads: 4,
            tokens: (6, 12),
            summary: Some((21, 4)),
            ruler: Some(27),
            tried: Some((30, 1)),
            off: Some(34),
        };
        assert_eq!(plan(35, 2, false), wide);
        assert_eq!(plan(35, 2, true), Plan { tried: Some((30, 4)), ..wide });
        let low = plan(19, 2, false);
        assert_eq!((low.heads, low.tokens, low.summary, low.ruler), (2, (4, 6), Some((12, 3)), Some(16)));
        assert_eq!((low.tried, low.off), (None, None));
    }

    #[test]
    fn nothing_is_placed_below_the_last_row() {
        for height in 4..60 {
            for caption in 0..5 {
                for open in [false, true] {
                    let plan = plan(height, caption, open);
                    let ends = [
                        Some(plan.heads + 2),
                        plan.summary.map(|(at, rows)| at + rows),
                        plan.ruler.map(|at| at + 2),
                        plan.tried.map(|(at, rows)| at + rows),
                    ];
                    let last = ends.into_iter().flatten().max().unwrap_or(0);
                    assert!(height < 9 || last <= plan.off.unwrap_or(height), "{height} {open}: {plan:?}");
                }
            }
        }
    }
}
