//! A theme made ready for one terminal: its colour depth and its glyphs.
//!
//! Invariant: what a colour says with true colour, a modifier or a glyph says without.

use std::collections::BTreeMap;

use ratatui::style::{Color, Style};
use termprofile::{DetectorSettings, IsTerminal, TermProfile, TermVars};

use super::color::Rgb;
use super::file::{Swatch, ThemeFile};
use super::role::{Paint, ROWS, Row};
use super::{Symbols, Theme};
use crate::config::{ColorDepth, SymbolSet};

/// Makes a theme ready. [`ColorDepth::Auto`] is read as 256 colours, which nearly every terminal has; what
/// the terminal really has is [`detect_depth`]'s to say.
#[must_use]
pub fn resolve(spec: &ThemeFile, depth: ColorDepth, symbols: SymbolSet) -> Theme {
    let depth = match depth {
        ColorDepth::None => ColorDepth::None,
        _ if spec.terminal => ColorDepth::C16,
        ColorDepth::Auto => ColorDepth::C256,
        known => known,
    };
    Theme {
        name: spec.name.clone(),
        light: spec.light,
        depth,
        styles: ROWS.iter().map(|row| style(row, spec.swatch(row.role), depth)).collect(),
        mag: spec.mag.map(|step| step_style(step, depth)),
        div: spec.div.map(|step| step_style(step, depth)),
        symbols: Symbols::of(symbols),
    }
}

fn style(row: &Row, swatch: Swatch, depth: ColorDepth) -> Style {
    let style = Style::new().add_modifier(row.always);
    let Some((color, shown)) = colored(swatch, depth) else {
        let style = style.add_modifier(row.instead);
        let tint = row.tint.filter(|_| depth == ColorDepth::C16);
        return tint.map_or(style, |tint| style.fg(tint));
    };
    match row.paint {
        Paint::Ink | Paint::Mark | Paint::Line => style.fg(color),
        Paint::Fill => style.bg(color),
        Paint::Cursor => style.bg(color).fg(ink(shown, depth)),
    }
}

/// A step of a ramp: fill and ink; plain where the cell is drawn as a shade or a digit instead.
fn step_style(swatch: Swatch, depth: ColorDepth) -> Style {
    colored(swatch, depth)
        .map_or_else(Style::new, |(color, shown)| Style::new().bg(color).fg(ink(shown, depth)))
}

/// The colour as it is sent, and as it is seen; `None` with 16 colours or none.
fn colored(swatch: Swatch, depth: ColorDepth) -> Option<(Color, Rgb)> {
    match depth {
        ColorDepth::TrueColor => Some((swatch.rgb.into(), swatch.rgb)),
        ColorDepth::C256 => Some((Color::Indexed(swatch.indexed), Rgb::of_256(swatch.indexed))),
        ColorDepth::Auto | ColorDepth::C16 | ColorDepth::None => None,
    }
}

/// Pure white or black. Of the 256 palette 231 and 16 are those; 15 and 0 are the user's own.
fn ink(fill: Rgb, depth: ColorDepth) -> Color {
    let ink = fill.ink();
    if depth == ColorDepth::TrueColor { ink.into() } else { Color::Indexed(ink.nearest_256()) }
}

/// The depth to use: the setting, or with `auto` what the environment says of the terminal. `NO_COLOR` and a
/// dumb terminal have none. Never [`ColorDepth::Auto`].
#[must_use]
pub fn detect_depth(setting: ColorDepth, env: &BTreeMap<String, String>, is_terminal: bool) -> ColorDepth {
    if setting != ColorDepth::Auto {
        return setting;
    }
    // Asking tmux would start another program, and the start must not wait for one.
    let settings = DetectorSettings::new().enable_tmux_info(false);
    let vars = TermVars::from_source(env, &Output(is_terminal), settings);
    match TermProfile::detect_with_vars(vars) {
        TermProfile::NoTty | TermProfile::NoColor => ColorDepth::None,
        TermProfile::Ansi16 => ColorDepth::C16,
        TermProfile::Ansi256 => ColorDepth::C256,
        TermProfile::TrueColor => ColorDepth::TrueColor,
    }
}

/// The glyphs to use: the setting, or with `auto` all of them where the locale is UTF-8, else ASCII. Never
/// [`SymbolSet::Auto`].
#[must_use]
pub fn detect_symbols(setting: SymbolSet, env: &BTreeMap<String, String>) -> SymbolSet {
    if setting != SymbolSet::Auto {
        return setting;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| env.get(name).filter(|value| !value.is_empty()));
    let locale = locale.map(|locale| locale.to_lowercase().replace('-', "")).unwrap_or_default();
    if locale.contains("utf8") { SymbolSet::Full } else { SymbolSet::Ascii }
}

struct Output(bool);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        self.0
    }
}
