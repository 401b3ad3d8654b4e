//! How strongly a token is coloured, and the scale that says so.
//!
//! Invariant: scales are fixed and printed; 0 to 8 on the magnitude ramp. Where the terminal has no fills, a
//! level is a bar of eighths or, in ASCII, a digit.

use ratatui::buffer::Buffer;

use super::marks::Mark;
use crate::app::Colouring;
use crate::theme::{Role, Theme};
use crate::ui::text;

/// Level 0 to 8 of a token; `None` where its number is not known. `depth` says at which eighth of the layers it was
/// decided, 1 to 8; 0 for one that was not the first choice.
pub fn level(colouring: Colouring, mark: &Mark, depth: impl FnOnce() -> Option<u8>) -> Option<usize> {
    let rounded = |value: f32| value.is_finite().then(|| value.round().clamp(0.0, 8.0) as usize);
    match colouring {
        Colouring::Off => None,
        Colouring::Surprisal if mark.logprob == f32::NEG_INFINITY => Some(8),
        Colouring::Surprisal => rounded(mark.surprisal_bits()),
        Colouring::Probability => rounded(mark.logprob.exp() * 8.0),
        Colouring::Entropy => rounded(mark.entropy / std::f32::consts::LN_2),
        Colouring::Layer => depth().filter(|eighth| *eighth > 0).map(usize::from),
        Colouring::Rank => match mark.rank {
            0 => None,
            1 => Some(0),
            2..=10 => Some(2),
            11..=100 => Some(4),
            101..=1000 => Some(6),
            _ => Some(8),
        },
    }
}

/// What to call a level of a cell that several tokens share: the most surprising one's.
pub fn stronger(colouring: Colouring, one: usize, other: usize) -> usize {
    if colouring == Colouring::Probability { one.min(other) } else { one.max(other) }
}

/// Whether the levels are drawn as a row of bars or digits under the text, since there are no fills.
pub fn needs_row(colouring: Colouring, theme: &Theme) -> bool {
    colouring != Colouring::Off && !theme.has_fills()
}

/// The scale: name, unit and each level with its label.
fn scale(colouring: Colouring) -> Option<(&'static str, Vec<(usize, &'static str)>)> {
    let bits = ["0", "1", "2", "3", "4", "5", "6", "7", "8+"];
    let percent = ["0", "12", "25", "38", "50", "62", "75", "88", "100"];
    Some(match colouring {
        Colouring::Off => return None,
        Colouring::Surprisal => ("surprise, bit", (0..).zip(bits).collect()),
        Colouring::Entropy => ("uncertainty, bit", (0..).zip(bits).collect()),
        Colouring::Probability => ("probability, %", (0..).zip(percent).collect()),
        Colouring::Layer => (
            "decided at eighth of the layers",
            (1..).zip(&bits[1..8]).map(|(level, label)| (level, *label)).chain([(8, "8")]).collect(),
        ),
        Colouring::Rank => ("rank to", vec![(0, "1"), (2, "10"), (4, "100"), (6, "1000"), (8, "beyond")]),
    })
}

/// Draws the scale at a place, in at most so many cells; gives the cells it took.
pub fn legend(colouring: Colouring, theme: &Theme, buf: &mut Buffer, x: u16, y: u16, most: u16) -> u16 {
    let Some((name, steps)) = scale(colouring) else { return 0 };
    let row = needs_row(colouring, theme);
    let label = |(level, label): &(usize, &str)| {
        if row { format!("{}{label} ", theme.symbols.column[*level]) } else { format!(" {label} ") }
    };
    let name = format!(" {name} ");
    let labels: Vec<String> = steps.iter().map(label).collect();
    let cells = name.chars().count() + labels.iter().map(|label| label.chars().count()).sum::<usize>();
    if cells + 1 > usize::from(most) {
        return 0;
    }
    let muted = theme.style(Role::Muted);
    let mut taken = text::put(buf, x, y, &name, most, muted);
    for ((level, _), label) in steps.iter().zip(&labels) {
        let style = if row { muted } else { theme.mag(*level) };
        taken += text::put(buf, x + taken, y, label, most - taken, style);
    }
    taken + text::put(buf, x + taken, y, " ", most - taken, muted)
}

/// What stands under a cell of text where there are no fills: the sign first, then how large it is.
pub fn signed_glyph(step: i8, first: bool) -> &'static str {
    match (step, first) {
        (0, _) => "0",
        (1.., true) => "+",
        (_, true) => "-",
        _ => ["0", "1", "2", "3", "4"][usize::from(step.unsigned_abs().min(4))],
    }
}

/// Draws the scale of the signed ramp at a place, in at most so many cells; gives the cells it took.
pub fn signed_legend(
    (name, a_step): (&str, u32),
    theme: &Theme,
    buf: &mut Buffer,
    (x, y): (u16, u16),
    most: u16,
) -> u16 {
    let row = !theme.has_fills();
    let label = |step: i8| match (step, i64::from(step) * i64::from(a_step)) {
        (0, _) => " 0 ".to_owned(),
        (-4, bits) => format!(" −{} ", -bits),
        (4, bits) => format!(" +{bits} "),
        (_, bits) => format!(" {bits} ").replace('-', "−"),
    };
    // Where all figures have no room, the ends and the middle do.
    let short = |step: i8| if matches!(step, -4 | 0 | 4) { label(step) } else { "  ".to_owned() };
    let all = |label: &dyn Fn(i8) -> String| (-4..=4).map(|step| (step, label(step))).collect::<Vec<_>>();
    let name = format!(" {name} ");
    let fits = |labels: &Vec<(i8, String)>| {
        let cells = labels.iter().map(|(_, label)| label.chars().count()).sum::<usize>();
        name.chars().count() + cells < usize::from(most)
    };
    let Some(labels) = [all(&label), all(&short)].into_iter().find(fits) else { return 0 };
    let muted = theme.style(Role::Muted);
    let mut taken = text::put(buf, x, y, &name, most, muted);
    for (step, label) in &labels {
        let style = if row { muted } else { theme.div(*step) };
        taken += text::put(buf, x + taken, y, label, most - taken, style);
    }
    taken
}

/// A strip of surprises, 0 to 8 bit, in at most so many cells: the largest of each cell's tokens.
pub fn strip(marks: &[Mark], theme: &Theme, most: usize) -> String {
    let cells = marks.len().min(most);
    let cell = |cell: usize| {
        let tokens = &marks[cell * marks.len() / cells..(cell + 1) * marks.len() / cells];
        let level = tokens.iter().filter_map(|mark| level(Colouring::Surprisal, mark, || None)).max();
        // The lowest bar stands for "next to nothing", so that every token is seen.
        level.map_or(theme.symbols.column[0], |level| theme.symbols.column[shown_least(theme, level)])
    };
    (0..cells).map(cell).collect()
}

fn shown_least(theme: &Theme, level: usize) -> usize {
    if theme.symbols.ascii { level } else { level.max(1) }
}
