//! Text on the screen: sanitised cells, wrapping, and the map between tokens and cells.
//!
//! Invariant: whatever is drawn by this module has been through [`crate::sanitize`].

mod body;
mod lines;
mod map;
mod sections;
mod sheet;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::style::Style;

pub use body::Body;
pub use lines::Lines;
pub use sections::{Folded, Piece, Sections, Title};
pub use sheet::{Shape, Sheet};

use crate::markdown::Glyph;
use crate::sanitize;

/// Draws one line of untrusted text, cut at `most` cells; gives back the cells it took.
pub fn put(buf: &mut Buffer, x: u16, y: u16, text: &str, most: u16, style: Style) -> u16 {
    let most = most.min(buf.area.right().saturating_sub(x));
    let mut taken = 0;
    for cluster in sanitize::clusters(text) {
        match cluster.kind {
            sanitize::Kind::Hidden => {}
            sanitize::Kind::Newline | sanitize::Kind::Space => {
                taken += cell(buf, x + taken, y, " ", 1, most - taken, style);
            }
            sanitize::Kind::Revealed => {
                for c in cluster.shown.chars() {
                    taken += cell(buf, x + taken, y, c.encode_utf8(&mut [0; 4]), 1, most - taken, style);
                }
            }
            sanitize::Kind::Text => {
                let width = u16::from(cluster.width);
                if width > most - taken {
                    break;
                }
                taken += cell(buf, x + taken, y, &cluster.shown, width, most - taken, style);
            }
        }
        if taken == most {
            break;
        }
    }
    taken
}

/// Draws a glyph at a cell.
pub(crate) fn glyph(buf: &mut Buffer, (x, y): (u16, u16), glyph: &Glyph<'_>, style: Style) {
    if glyph.kind == sanitize::Kind::Space {
        for blank in 0..glyph.width {
            cell(buf, x + blank, y, " ", 1, 1, style);
        }
    } else {
        cell(buf, x, y, glyph.shown, glyph.width, glyph.width, style);
    }
}

/// Draws one sanitised symbol of `width` cells if it has room; gives back the cells it took.
pub(crate) fn cell(
    buf: &mut Buffer,
    x: u16,
    y: u16,
    shown: &str,
    width: u16,
    room: u16,
    style: Style,
) -> u16 {
    if width > room || x + width > buf.area.right() || y >= buf.area.bottom() {
        return 0;
    }
    buf[(x, y)].set_symbol(shown).set_style(style);
    for covered in x + 1..x + width {
        buf[(covered, y)].reset();
        buf[(covered, y)].set_style(style);
    }
    width
}

/// One line of untrusted text in at most `most` cells, with `…` (`~` in ASCII) where it was cut.
pub fn fit(text: &str, most: usize, ascii: bool) -> String {
    let shown = sanitize::for_display(text);
    if sanitize::cell_width(&shown) <= most {
        return shown;
    }
    let mut cut = String::new();
    let mut width = 0;
    for cluster in sanitize::clusters(&shown) {
        width += usize::from(cluster.width);
        if width + 1 > most {
            break;
        }
        cut.push_str(&cluster.shown);
    }
    if most > 0 {
        cut.truncate(cut.trim_end().len());
        cut.push(if ascii { '~' } else { '…' });
    }
    cut
}
