//! The last step on terminals that draw ASCII only: marks of the frame become their ASCII twins.
//!
//! Invariant: one cell becomes one cell, so nothing moves.

use ratatui::buffer::Buffer;

/// Replaces every mark that the screens use and that has a twin.
pub fn fold(buf: &mut Buffer) {
    for cell in &mut buf.content {
        if let Some(twin) = twin(cell.symbol()) {
            cell.set_symbol(twin);
        }
    }
}

/// What is drawn in place of a symbol.
pub fn shown(symbol: &str) -> &str {
    twin(symbol).unwrap_or(symbol)
}

fn twin(symbol: &str) -> Option<&'static str> {
    let mut characters = symbol.chars();
    if let (Some('\u{2400}'..='\u{2421}'), None) = (characters.next(), characters.next()) {
        return Some("^"); // a control character made visible
    }
    Some(match symbol {
        "\u{FFFD}" | "◌" => "?", // bytes that are no text, a mark without a letter
        "·" | "┈" => ".",
        "⟨" | "‹" | "←" | "◂" | "≤" => "<",
        "⟩" | "›" | "→" | "▶" | "▸" | "≥" => ">",
        "–" | "−" | "─" | "▒" => "-",
        "×" => "x",
        "÷" | "↗" | "↙" => "/",
        "↖" | "↘" => "\\",
        "₁" => "1",
        "₀" => "0",
        "₂" => "2",
        "α" => "a",
        "d\u{302}" => "d",
        "′" => "'",
        "τ" | "θ" => "t",
        "σ" => "s",
        "φ" => "p",
        "γ" => "g",
        "ℓ" => "l",
        "ⱼ" => "j",
        "ᵢ" => "i",
        "↓" => "v",
        "↑" | "▲" => "^",
        "▕" | "▏" | "│" | "‖" | "▐" => "|",
        "┊" => ":",
        "█" => "#",
        "◆" | "•" | "⊙" => "*",
        "±" | "…" => "~", // a cut never becomes a point: −24…8 is a range
        "“" | "”" => "\"",
        "Σ" => "S",
        "━" => "=",
        "┬" | "┿" | "┼" | "├" | "└" | "┤" => "+",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Parser};

    use super::*;
    use crate::markdown::corpus::CORPUS;
    use crate::ui::testing;

    #[test]
    fn what_is_drawn_of_markdown_is_ascii_but_for_the_text_itself() {
        for (name, text) in CORPUS {
            let mut app = testing::app();
            testing::reply(&mut app, &[text]);
            // A character that is written as an entity is in the text too.
            let read: String = Parser::new(text)
                .filter_map(|event| match event {
                    Event::Text(text) | Event::Code(text) => Some(text.into_string()),
                    _ => None,
                })
                .collect();
            let drawn = testing::screen(&app, &testing::theme(true), 90, 120);
            let other: Vec<char> = testing::rows(&drawn)
                .join("")
                .chars()
                .filter(|c| !c.is_ascii() && !text.contains(*c) && !read.contains(*c))
                .collect();
            assert!(other.is_empty(), "{name}: {other:?} in {:?}", testing::rows(&drawn));
        }
    }

    #[test]
    fn marks_and_control_pictures_have_one_cell_twins() {
        let twins: Vec<&str> = ["▶", "…", "\u{2401}", "\u{241b}"].into_iter().filter_map(twin).collect();
        assert_eq!(twins, [">", "~", "^", "^"]);
        assert_eq!(twin("é"), None);
    }
}
