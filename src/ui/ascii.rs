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
    Some(match symbol {
        "…" | "·" => ".",
        "‹" | "←" | "◂" => "<",
        "›" | "→" | "▶" | "▸" => ">",
        "–" | "−" | "─" => "-",
        "×" => "x",
        "÷" => "/",
        "↓" => "v",
        "↑" => "^",
        "▕" | "▏" | "│" => "|",
        "“" | "”" => "\"",
        "Σ" => "S",
        "₂" => "2",
        "━" => "=",
        "┬" => "+",
        _ => return None,
    })
}
