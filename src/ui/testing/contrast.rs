//! Whether what a drawing test draws can be read in every bundled theme: each text at least 4.5 : 1 from what lies behind
//! it (WCAG 2.2, 1.4.3).
//!
//! Invariant: bars, lines and marks are no text; the terminal's own background may be any of those that a theme is for.
//! The 16 colours of a terminal are its own, and no theme chooses them: there glassbox keeps the terminal's own ink and
//! draws in colour nothing but bars, so that theme and depth are left out. It is drawn once, in colours that name the role
//! or the step that they stand for; those are then seen as each theme has them.

use std::collections::BTreeMap;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier, Style};

use crate::config::ColorDepth;
use crate::theme::{self, Paint, ROWS, Rgb, Role, Swatch, Symbols, Theme, ThemeFile, contrast};

/// What text needs.
const LEAST: f64 = 4.5;
/// Backgrounds that terminals have, beside a theme's own.
const DARK: [Rgb; 3] = [Rgb(0, 0, 0), Rgb(0x1e, 0x1e, 0x2e), Rgb(0x28, 0x2c, 0x34)];
const LIGHT: [Rgb; 3] = [Rgb(255, 255, 255), Rgb(0xfb, 0xfa, 0xf7), Rgb(0xfd, 0xf6, 0xe3)];

/// What a colour of the drawing stands for, in its last part.
const ROLE: u8 = 1;
const MAG: u8 = 2;
const DIV: u8 = 3;
/// Added: the ink on it instead.
const INK: u8 = 16;

/// Draws and fails at the first text that is hard to read in a bundled theme.
pub fn check(draw: impl FnOnce(&Theme) -> Buffer) {
    let buf = draw(&coded());
    let mut pairs: BTreeMap<String, (&Cell, (u16, u16))> = BTreeMap::new();
    for (at, cell) in buf.content.iter().enumerate().filter(|(_, cell)| is_text(cell.symbol())) {
        let turned = cell.modifier.contains(Modifier::REVERSED);
        pairs.entry(format!("{:?} {:?} {turned}", cell.fg, cell.bg)).or_insert((cell, buf.pos_of(at)));
    }
    let themes = theme::list(None).into_iter().map(|name| theme::load(&name, None).0);
    for file in themes.filter(|file| !file.terminal) {
        for is_256 in [false, true] {
            for (cell, place) in pairs.values() {
                let (found, ink, behind) = lowest(&file, is_256, cell);
                let (name, what) = (&file.name, cell.symbol());
                let depth = if is_256 { "256 colours" } else { "true colour" };
                assert!(
                    found >= LEAST,
                    "{name}, {depth}: {what:?} at {place:?}, {ink} on {behind}: {found:.2}"
                );
            }
        }
    }
}

/// A theme whose colours say what they are.
fn coded() -> Theme {
    let role = |row: &theme::Row| {
        let [own, ink] = [ROLE, ROLE + INK].map(|part| Color::Rgb(row.role as u8, 0, part));
        let style = Style::new().add_modifier(row.always);
        match row.paint {
            Paint::Ink | Paint::Mark | Paint::Line => style.fg(own),
            Paint::Fill => style.bg(own),
            Paint::Cursor => style.bg(own).fg(ink),
        }
    };
    let step = |ramp: u8| {
        move |at: usize| {
            let [own, ink] = [ramp, ramp + INK].map(|part| Color::Rgb(at as u8, 0, part));
            Style::new().bg(own).fg(ink)
        }
    };
    Theme {
        name: "coded".into(),
        light: false,
        depth: ColorDepth::TrueColor,
        styles: ROWS.iter().map(role).collect(),
        mag: std::array::from_fn(step(MAG)),
        div: std::array::from_fn(step(DIV)),
        symbols: Symbols::FULL,
    }
}

/// Letters, figures and what stands among them; not what bars, lines, curves and marks are drawn with.
fn is_text(symbol: &str) -> bool {
    let drawn = |c: char| matches!(c, ' ' | '·' | '\u{2500}'..='\u{25ff}' | '\u{2800}'..='\u{28ff}');
    !symbol.chars().all(drawn)
}

/// The least contrast of a cell over the backgrounds that the terminal may have.
fn lowest(file: &ThemeFile, is_256: bool, cell: &Cell) -> (f64, Rgb, Rgb) {
    let usual = if file.light { LIGHT } else { DARK };
    let text = file.swatch(Role::Text).rgb;
    let of = |own: Rgb| {
        let ink = seen(file, is_256, cell.fg).unwrap_or(text);
        let behind = seen(file, is_256, cell.bg).unwrap_or(own);
        let turned = cell.modifier.contains(Modifier::REVERSED);
        let (ink, behind) = if turned { (behind, ink) } else { (ink, behind) };
        (contrast(ink, behind), ink, behind)
    };
    let lower = |one: (f64, Rgb, Rgb), other: (f64, Rgb, Rgb)| if other.0 < one.0 { other } else { one };
    usual.into_iter().chain([file.background]).map(of).reduce(lower).expect("there are backgrounds")
}

/// A colour as a theme has it; `None` for the terminal's own.
fn seen(file: &ThemeFile, is_256: bool, color: Color) -> Option<Rgb> {
    let Color::Rgb(at, _, what) = color else { return None };
    let swatch: Swatch = match what % INK {
        MAG => file.mag[usize::from(at)],
        DIV => file.div[usize::from(at)],
        _ => file.roles[usize::from(at)],
    };
    let shown = if is_256 { Rgb::of_256(swatch.indexed) } else { swatch.rgb };
    Some(if what > INK { shown.ink() } else { shown })
}

#[test]
#[should_panic(expected = "\"r\" at")]
fn a_text_that_is_hard_to_read_is_found() {
    check(|theme| {
        let mut buf = super::buffer(4, 1);
        buf.set_string(0, 0, "rule", theme.style(Role::Rule));
        buf
    });
}

#[test]
fn the_colours_are_those_of_the_themes() {
    let file = theme::load("dark", None).0;
    let theme = theme::resolve(&file, ColorDepth::TrueColor, crate::config::SymbolSet::Full);
    let coded = coded();
    let same = |one: Option<Color>, coded: Option<Color>| {
        assert_eq!(one, coded.and_then(|color| seen(&file, false, color)).map(Color::from));
    };
    let styles = theme.styles.iter().chain(&theme.mag).chain(&theme.div);
    for (one, coded) in styles.zip(coded.styles.iter().chain(&coded.mag).chain(&coded.div)) {
        same(one.fg, coded.fg);
        same(one.bg, coded.bg);
    }
}
