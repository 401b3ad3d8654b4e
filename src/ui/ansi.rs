//! Styles as escape sequences, for what is printed rather than drawn.
//!
//! Invariant: what a style says that a terminal may lack (a fill, a colour) is only left out, never another.

use anstyle::{Ansi256Color, AnsiColor, Effects, RgbColor};
use ratatui::style::{Color, Modifier, Style};

/// The same style; it prints as its escape sequence, and with `#` as that which ends it.
pub fn style(style: Style) -> anstyle::Style {
    let effects = [
        (Modifier::BOLD, Effects::BOLD),
        (Modifier::ITALIC, Effects::ITALIC),
        (Modifier::UNDERLINED, Effects::UNDERLINE),
        (Modifier::REVERSED, Effects::INVERT),
        (Modifier::CROSSED_OUT, Effects::STRIKETHROUGH),
    ];
    let set = effects.into_iter().filter(|(modifier, _)| style.add_modifier.contains(*modifier));
    let effects = set.fold(Effects::new(), |all, (_, effect)| all | effect);
    let fg = style.fg.and_then(color);
    anstyle::Style::new().fg_color(fg).bg_color(style.bg.and_then(color)).effects(effects)
}

/// The same colour; `None` for the terminal's own.
fn color(color: Color) -> Option<anstyle::Color> {
    let ansi = match color {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => return Some(RgbColor(r, g, b).into()),
        Color::Indexed(index) => return Some(Ansi256Color(index).into()),
        Color::Black => AnsiColor::Black,
        Color::Red => AnsiColor::Red,
        Color::Green => AnsiColor::Green,
        Color::Yellow => AnsiColor::Yellow,
        Color::Blue => AnsiColor::Blue,
        Color::Magenta => AnsiColor::Magenta,
        Color::Cyan => AnsiColor::Cyan,
        Color::Gray => AnsiColor::White,
        Color::DarkGray => AnsiColor::BrightBlack,
        Color::LightRed => AnsiColor::BrightRed,
        Color::LightGreen => AnsiColor::BrightGreen,
        Color::LightYellow => AnsiColor::BrightYellow,
        Color::LightBlue => AnsiColor::BrightBlue,
        Color::LightMagenta => AnsiColor::BrightMagenta,
        Color::LightCyan => AnsiColor::BrightCyan,
        Color::White => AnsiColor::BrightWhite,
    };
    Some(ansi.into())
}
