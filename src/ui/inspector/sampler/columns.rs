//! Where the columns of the sampler station stand, and which stages have one.
//!
//! Invariant: stages keep their order; where there is no room for all, the last and those that threw most out
//! stay, and the number of the others is said.

use crate::inspect::stages::SamplerTrace;
use crate::ui::layout::INSPECTOR;

/// Cells of the draw's column, its gap included.
const DRAW: u16 = 15;
/// Cells of `+3`.
const FOLDED: u16 = 4;

/// The columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageColumns {
    /// Cells of a token's name, from column 3 on.
    pub name: u16,
    /// Column before which the model's figures end.
    pub model: u16,
    /// Stages with a column, by index, and the column before which each one's figures end.
    pub stages: Vec<(usize, u16)>,
    /// How many stages have none, and where that is said.
    pub folded: Option<(usize, u16)>,
    /// Column at which the draw stands, where there is room.
    pub draw: Option<u16>,
    /// Column at which the units of the summary stand, likewise.
    pub units: Option<u16>,
}

impl StageColumns {
    /// Those of a trace in so many columns.
    pub fn of(trace: &SamplerTrace, width: u16) -> Self {
        let narrow = width < INSPECTOR.0;
        let (model, each) = if narrow { (17, 7) } else { (20, 8) };
        let draw = if narrow { 0 } else { DRAW };
        let room = |reserved: u16| usize::from(width.saturating_sub(model + draw + reserved) / each);
        let count = trace.stages.len();
        let mut kept: Vec<usize> = (0..count).collect();
        if count > room(0) {
            kept.sort_by(|a, b| {
                let weight = |at: usize| if at + 1 == count { 2.0 } else { trace.stages[at].removed };
                weight(*b).total_cmp(&weight(*a))
            });
            kept.truncate(room(FOLDED));
            kept.sort_unstable();
        }
        let stages: Vec<(usize, u16)> =
            kept.into_iter().zip(1..).map(|(stage, nth)| (stage, model + nth * each)).collect();
        let end = stages.last().map_or(model, |(_, end)| *end);
        let missing = count - stages.len();
        let folded = (missing > 0).then_some((missing, end + FOLDED));
        let after = folded.map_or(end, |(_, end)| end) + 2;
        Self {
            name: model - if narrow { 10 } else { 11 },
            model,
            stages,
            folded,
            draw: (!narrow).then_some(after),
            units: (!narrow).then_some(after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::inspector::sampler::table::tests::paris;

    #[test]
    fn four_stages_fit_in_both_forms() {
        let of = |width: u16| {
            let columns = StageColumns::of(&paris(), width);
            (columns.stages.iter().map(|(_, end)| *end).collect::<Vec<u16>>(), columns.folded, columns.draw)
        };
        assert_eq!(of(67), (vec![28, 36, 44, 52], None, Some(54)));
        assert_eq!(of(46), (vec![24, 31, 38, 45], None, None));
    }

    #[test]
    fn of_many_stages_the_last_and_those_that_cut_most_stay() {
        let mut trace = paris();
        let mild = crate::inspect::stages::StageTrace { removed: 0.0, ..trace.stages[0].clone() };
        trace.stages.splice(0..0, [mild.clone(), mild.clone(), mild]);
        let columns = StageColumns::of(&trace, 67);
        assert_eq!(columns.stages.iter().map(|(stage, _)| *stage).collect::<Vec<_>>(), [3, 5, 6]);
        assert_eq!(columns.folded, Some((4, 48)));
    }
}
