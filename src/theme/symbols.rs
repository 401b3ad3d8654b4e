//! The three sets of glyphs.
//!
//! Invariant: every glyph is one cell wide, but for the ASCII marks of a newline and a tab (`\n`, `\t`), which
//! are two.

use super::Symbols;
use crate::config::SymbolSet;

impl Symbols {
    /// All glyphs.
    pub const FULL: Self = Self {
        ascii: false,
        drawn: "▶",
        here: "›",
        cut: "×",
        decided: "◆",
        other: "•",
        writing: "●",
        ready: "○",
        reading: "◐",
        space: "␣",
        newline: "↵",
        tab: "⇥",
        rule: "─",
        heavy_rule: "━",
        vertical: "│",
        bar: [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"],
        column: [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    };

    /// Without the glyph that some terminals draw as an emoji.
    pub const PLAIN: Self = Self { drawn: "►", ..Self::FULL };

    /// ASCII. A cell of a bar is `#` from a half on, so that a bar's length is its rounded value.
    pub const ASCII: Self = Self {
        ascii: true,
        drawn: ">",
        here: ">",
        cut: "x",
        decided: "*",
        other: "o",
        writing: "*",
        ready: "o",
        reading: ":",
        space: "_",
        newline: "\\n",
        tab: "\\t",
        rule: "-",
        heavy_rule: "=",
        vertical: "|",
        bar: [" ", " ", " ", " ", "#", "#", "#", "#", "#"],
        column: ["0", "1", "2", "3", "4", "5", "6", "7", "8"],
    };

    /// The glyphs of a set; `Auto` is all of them (see [`super::detect_symbols`]).
    #[must_use]
    pub fn of(set: SymbolSet) -> Self {
        match set {
            SymbolSet::Auto | SymbolSet::Full => Self::FULL,
            SymbolSet::Plain => Self::PLAIN,
            SymbolSet::Ascii => Self::ASCII,
        }
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;

    fn glyphs(symbols: &Symbols) -> Vec<&'static str> {
        let Symbols { ascii: _, drawn, here, cut, decided, other, writing, ready, reading, .. } = *symbols;
        let Symbols { space, rule, heavy_rule, vertical, bar, column, .. } = *symbols;
        let single =
            [drawn, here, cut, decided, other, writing, ready, reading, space, rule, heavy_rule, vertical];
        single.into_iter().chain(bar).chain(column).collect()
    }

    #[test]
    fn glyphs_are_one_cell_wide() {
        for set in [SymbolSet::Full, SymbolSet::Plain, SymbolSet::Ascii] {
            for glyph in glyphs(&Symbols::of(set)) {
                assert_eq!(glyph.width(), 1, "{glyph}");
            }
        }
        assert_eq!((Symbols::FULL.newline.width(), Symbols::FULL.tab.width()), (1, 1));
    }

    #[test]
    fn the_ascii_set_is_ascii() {
        assert!(glyphs(&Symbols::ASCII).iter().all(|glyph| glyph.is_ascii()));
    }
}
