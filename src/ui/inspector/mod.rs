//! The inspector: strip of stations, the open station, and the rail that stands for it on narrow screens.
//!
//! Invariant: a station that is not open computes nothing and shows no figure; scales never follow the data.

pub mod attention;
pub mod embedding;
pub mod ffn;
pub mod frame;
pub mod hints;
pub mod layers;
pub mod live;
mod plan;
pub mod position;
pub mod rail;
pub mod rows;
pub mod sampler;
pub mod softmax;
pub mod tokens;
pub mod why;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Station};
use crate::theme::{Role, Theme};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::text;

/// Columns of a station: everything that differs between the 46-column form and the full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Columns in all, the edges included.
    pub width: u16,
    /// Whether this is the form of 67 columns.
    pub full: bool,
    /// Column before which the figures end.
    pub figure: u16,
    /// Cells of a bar of 100 %.
    pub bar: u16,
    /// Cells of a bar of 16 bit.
    pub bits: u16,
}

impl Form {
    /// The form for so many columns.
    pub fn of(width: u16) -> Self {
        if width >= INSPECTOR.0 {
            Self { width: INSPECTOR.0, full: true, figure: 26, bar: 32, bits: 22 }
        } else {
            Self { width: INSPECTOR.1, full: false, figure: 21, bar: 16, bits: 11 }
        }
    }
}

/// Where the open station's name stands in a narrow strip: two cells behind the digits.
const NAME_AT: u16 = 20;

/// How a station is drawn under the strip.
type Draw = fn(&App, &Theme, Rect, &mut Buffer);

/// How each station is drawn, in the order of [`Station::ALL`].
const DRAWN: [Draw; Station::ALL.len()] = [
    tokens::draw,
    embedding::draw,
    position::draw,
    attention::draw,
    ffn::draw,
    layers::draw,
    softmax::draw,
    sampler::draw,
    why::draw,
];

/// Draws the strip and the open station.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let form = Form::of(area.width);
    let narrow = Rect { width: form.width.min(area.width), ..area };
    strip(app, theme, form, text::row(narrow, 0, 0), buf);
    let under = |area: Rect| Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    DRAWN[app.inspector.station as usize](app, theme, under(area), buf);
}

/// The title of the open station.
pub fn title(app: &App) -> &'static str {
    app.inspector.station.about().title
}

/// The strip: brackets stand in gaps that exist anyway, so it never shifts. Where there is no room for names, the open
/// station's stands behind the digits, and the keys that open the others.
fn strip(app: &App, theme: &Theme, form: Form, at: Rect, buf: &mut Buffer) {
    let opened = app.inspector.station;
    let mut x = 0;
    let mut before = false;
    for (digit, station) in (1..).zip(Station::ALL) {
        let open = station == opened;
        let gap = if open {
            "["
        } else if before {
            "]"
        } else {
            " "
        };
        let role = if open { Role::Strong } else { Role::Muted };
        x += text::put(buf, text::row(at, 0, x), gap, theme.style(Role::Strong));
        let name = format!("{digit}{}", if form.full { station.about().strip } else { "" });
        x += text::put(buf, text::row(at, 0, x), &name, theme.style(role));
        before = open;
    }
    if before {
        text::put(buf, text::row(at, 0, x), "]", theme.style(Role::Strong));
    }
    if !form.full {
        let name = text::row(at, 0, NAME_AT);
        let end = NAME_AT + text::put(buf, name, &title(app).to_lowercase(), theme.style(Role::Strong));
        let keys = hints::stations(app);
        let room = at.width.saturating_sub(end + 2) >= text::width(&keys);
        text::put_right(buf, at, if room { &keys } else { "" }, theme.style(Role::Muted));
    }
}

#[cfg(test)]
mod untold_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::testing::design::{capitals, theme};
    use crate::ui::testing::drawn;

    #[test]
    fn the_strip_brackets_the_open_station_and_never_shifts() {
        let mut app = capitals();
        let mut strip = |station, width| {
            app.inspector.station = station;
            drawn(draw, &app, &theme(), (width, 3)).remove(0)
        };
        assert_eq!(strip(Station::Softmax, 46), " 1 2 3 4 5 6[7]8 9  softmax            Alt+1…9");
        assert_eq!(strip(Station::Why, 46), " 1 2 3 4 5 6 7 8[9] why                Alt+1…9");
        assert_eq!(strip(Station::Ffn, 46), " 1 2 3 4[5]6 7 8 9  feed-forward       Alt+1…9");
        assert_eq!(
            strip(Station::Sampler, 67),
            " 1tokens 2emb 3pos 4attn 5ffn 6layers 7softmax[8sampler]9why"
        );
    }
}
