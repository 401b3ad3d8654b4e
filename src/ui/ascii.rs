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

fn twin(symbol: &str) -> Option<&'static str> {
    let mut characters = symbol.chars();
    if let (Some('\u{2400}'..='\u{2421}'), None) = (characters.next(), characters.next()) {
        return Some("^"); // a control character made visible
    }
    Some(match symbol {
        "·" | "┈" => ".",
        "‹" | "←" | "◂" | "≤" => "<",
        "›" | "→" | "▶" | "▸" | "≥" => ">",
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
    use super::*;

    #[test]
    fn marks_and_control_pictures_have_one_cell_twins() {
        let twins: Vec<&str> = ["▶", "…", "\u{2401}", "\u{241b}"].into_iter().filter_map(twin).collect();
        assert_eq!(twins, [">", "~", "^", "^"]);
        assert_eq!(twin("é"), None);
    }
}
