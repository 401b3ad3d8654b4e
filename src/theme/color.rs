//! Colours as numbers: hexadecimal, the 256 palette, contrast.
//!
//! Invariant: contrast is WCAG 2's, (lighter + 0.05) ÷ (darker + 0.05) over relative luminance.

use ratatui::style::Color;
use termprofile::anstyle::{Ansi256Color, RgbColor};

/// A colour of 24 bits: red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// White.
pub const WHITE: Rgb = Rgb(255, 255, 255);
/// Black.
pub const BLACK: Rgb = Rgb(0, 0, 0);

impl Rgb {
    /// Reads `#rrggbb`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
        let part = |at: usize| digits.get(at..at + 2).filter(|part| !part.starts_with('+'));
        let part = |at: usize| part(at).and_then(|part| u8::from_str_radix(part, 16).ok());
        Some(Self(part(0)?, part(2)?, part(4)?))
    }

    /// The colour of an entry of the 256 palette, as xterm has it. The first 16 are the user's own.
    #[must_use]
    pub fn of_256(index: u8) -> Self {
        let color = termprofile::ansi256_to_rgb(Ansi256Color(index));
        Self(color.r(), color.g(), color.b())
    }

    /// The nearest entry of the 256 palette.
    #[must_use]
    pub fn nearest_256(self) -> u8 {
        termprofile::rgb_to_ansi256(RgbColor(self.0, self.1, self.2))
    }

    /// White or black, whichever is easier to read on this colour.
    #[must_use]
    pub fn ink(self) -> Self {
        if contrast(self, WHITE) >= contrast(self, BLACK) { WHITE } else { BLACK }
    }

    /// Relative luminance, 0 to 1.
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.linear();
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// The three parts as amounts of light, 0 to 1.
    pub(crate) fn linear(self) -> [f64; 3] {
        [self.0, self.1, self.2].map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        })
    }
}

impl From<Rgb> for Color {
    fn from(color: Rgb) -> Self {
        Self::Rgb(color.0, color.1, color.2)
    }
}

impl std::fmt::Display for Rgb {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// Contrast of two colours, 1 to 21.
#[must_use]
pub fn contrast(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (one.luminance(), other.luminance());
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_reads_back() {
        assert_eq!(Rgb::parse("#0b0e11").map(|color| color.to_string()).as_deref(), Some("#0b0e11"));
        for wrong in ["0b0e11", "#0b0e1", "#0b0e1g", "#+b0e11", "#é0e11", ""] {
            assert_eq!(Rgb::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn contrast_is_wcags() {
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 1e-9);
        assert!((contrast(Rgb(0x77, 0x77, 0x77), WHITE) - 4.48).abs() < 0.01);
    }
}
