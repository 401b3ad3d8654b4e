//! The inspector: strip of stations, the open station, and the rail that stands for it on narrow screens.
//!
//! Invariant: a station that is not open computes nothing and shows no figure; scales never follow the data.

pub mod attention;
pub mod embedding;
pub mod ffn;
pub mod hints;
pub mod layers;
pub mod live;
pub mod own;
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
    #[must_use]
    pub fn of(width: u16) -> Self {
        if width >= INSPECTOR.0 {
            Self { width: INSPECTOR.0, full: true, figure: 26, bar: 32, bits: 22 }
        } else {
            Self { width: INSPECTOR.1, full: false, figure: 21, bar: 16, bits: 11 }
        }
    }
}

/// Names of the stations in the strip, short and long.
const STATIONS: [(Station, &str, &str); 9] = [
    (Station::Tokens, "1tok", "1tokens"),
    (Station::Embedding, "2emb", "2emb"),
    (Station::Position, "3pos", "3pos"),
    (Station::Attention, "4att", "4attn"),
    (Station::Ffn, "5ffn", "5ffn"),
    (Station::Layers, "6lay", "6layers"),
    (Station::Softmax, "7sof", "7softmax"),
    (Station::Sampler, "8sam", "8sampler"),
    (Station::Why, "9why", "9why"),
];

/// Draws the strip and the open station.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let form = Form::of(area.width);
    let narrow = Rect { width: form.width.min(area.width), ..area };
    strip(theme, form, app.inspector.station, text::row(narrow, 0, 0), buf);
    let under = |area: Rect| Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    match app.inspector.station {
        Station::Tokens => tokens::draw(app, theme, under(area), buf),
        Station::Embedding => embedding::draw(app, theme, under(area), buf),
        Station::Position => position::draw(app, theme, under(area), buf),
        Station::Attention => attention::draw(app, theme, under(area), buf),
        Station::Ffn => ffn::draw(app, theme, under(area), buf),
        Station::Layers => layers::draw(app, theme, under(area), buf),
        Station::Why => why::draw(app, theme, under(area), buf),
        Station::Sampler => sampler::draw(app, theme, under(area), buf),
        Station::Softmax => softmax::draw(app, theme, form, under(narrow), buf),
    }
}

/// The title of the open station.
#[must_use]
pub fn title(app: &App) -> &'static str {
    match app.inspector.station {
        Station::Tokens => "Tokens",
        Station::Embedding => "Embedding",
        Station::Position => "Position",
        Station::Attention => "Attention",
        Station::Ffn => "Feed-forward",
        Station::Layers => "Layers",
        Station::Why => "Why",
        Station::Sampler => "Sampler",
        Station::Softmax => "Softmax",
    }
}

/// The strip: brackets stand in gaps that exist anyway, so it never shifts.
fn strip(theme: &Theme, form: Form, opened: Station, at: Rect, buf: &mut Buffer) {
    let mut x = 0;
    let mut before = false;
    for (station, short, long) in STATIONS {
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
        let name = if form.full { long } else { short };
        x += text::put(buf, text::row(at, 0, x), name, theme.style(role));
        before = open;
    }
    if before {
        text::put(buf, text::row(at, 0, x), "]", theme.style(Role::Strong));
    }
}
