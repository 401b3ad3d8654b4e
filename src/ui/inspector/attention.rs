//! The attention station: which earlier tokens each head reads at this pass.
//!
//! Invariants: the grid's order never changes; its bars are shares of the stream's length, 0 to 24 %, and all others
//! shares of one head's reading, 0 to 100 %, whatever the data; what was not read is said, never drawn.

mod grid;
mod head;
mod ink;
mod matrix;
mod reading;
#[cfg(test)]
mod tests;

pub use ink::line as ink_line;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, AttentionPicture};
use crate::engine::protocol::Inspected;
use crate::inspect::trace::{Attention, AttentionLayer, HeadClass, HeadReading, HeadRow};
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::inspector::frame::{self, Frame};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text};

/// Least columns of the opened head beside the grid.
const HEAD: u16 = 33;

/// What is drawn of the attention.
#[derive(Clone, Copy)]
enum Drawn {
    /// One head at all tokens, or the rollout.
    Matrix,
    /// The opened head alone.
    Head,
    /// The grid, with the opened head beside it or below.
    Grid(Cells),
}

/// What a head is in the grid.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cells {
    /// A letter and a bar.
    Lettered,
    /// A bar, or the letter of the opened one.
    Bars,
    /// Half a cell: two blocks share a row.
    Halves,
}

impl Drawn {
    fn of(shown: &Shown<'_>, room: Rect, wide: bool) -> Self {
        if shown.app.inspector.attention.picture != AttentionPicture::Heads {
            return Self::Matrix;
        }
        if shown.attention.overview.is_empty() || !wide && shown.app.inspector.inside.opened {
            return Self::Head;
        }
        let (width, below) = if wide { (grid_width(shown, room), 2) } else { (room.width, 3) };
        Self::Grid(grid::cells(shown, Rect { width, height: room.height.saturating_sub(below), ..room }))
    }

    fn caption(self) -> &'static str {
        match self {
            Self::Matrix => "A row is a token that reads, a column one that it reads.",
            Self::Head => "How much the head reads of each token, and what that brings.",
            Self::Grid(Cells::Lettered) => LETTERED,
            Self::Grid(Cells::Bars) => "A cell is a head: its bar is how much it writes.",
            Self::Grid(Cells::Halves) => "Half a cell is a head: its fill is how much it writes.",
        }
    }
}

/// The longest caption, by which it is told what there is room for.
const LETTERED: &str = "A cell is a head: letter, how it reads; bar, how much it writes.";

/// Columns of the grid beside the opened head.
fn grid_width(shown: &Shown<'_>, under: Rect) -> u16 {
    let room = under.width - HEAD;
    grid::width(shown, room).max(24).min(room)
}

/// What is on display.
struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    seen: &'a Inspected,
    attention: &'a Attention,
    /// Everything the pass has read, and what was chosen after it.
    ids: Vec<TokenId>,
    /// The opened block and head, within what the model has.
    opened: (u32, u32),
}

impl<'a> Shown<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let seen = app.display().shown_inside()?.as_ref();
        let attention = seen.trace.attention.as_ref()?;
        if attention.overview.is_empty() && attention.layers.is_empty() {
            return None;
        }
        let inside = &app.inspector.inside;
        let layers = seen.trace.layers.max(attention.overview.len() as u32);
        let layer = app.display().opened_layer().min(layers.saturating_sub(1));
        let given = attention.overview.get(layer as usize).map_or(0, Vec::len) as u32;
        let head = inside.head.min(seen.trace.heads.max(given).saturating_sub(1));
        Some(Self { app, theme, seen, attention, ids: frame::read_ids(app), opened: (layer, head) })
    }

    /// Query heads that share a key-value head.
    fn group(&self) -> u32 {
        let trace = &self.seen.trace;
        trace.heads.checked_div(trace.kv_heads).unwrap_or(1).max(1)
    }

    /// `␣France`
    fn token(&self, position: usize) -> String {
        let id = self.ids.get(position);
        id.map_or_else(|| "?".into(), |id| frame::name(self.app, self.theme, *id))
    }

    fn here(&self) -> usize {
        self.seen.trace.position as usize
    }

    fn reading(&self) -> Option<&HeadReading> {
        self.attention.overview.get(self.opened.0 as usize)?.get(self.opened.1 as usize)
    }

    fn layer(&self) -> Option<&AttentionLayer> {
        self.attention.layers.iter().find(|layer| layer.layer == self.opened.0)
    }

    fn row(&self) -> Option<&HeadRow> {
        self.layer()?.heads.get(self.opened.1 as usize)
    }

    /// `L23 head 4, keys 1`
    fn title(&self) -> String {
        let (layer, head) = self.opened;
        format!("L{layer} head {head}, keys {}", head / self.group())
    }

    /// What the opened head usually does, and what it does here, in words.
    fn words(&self) -> Option<String> {
        let here = self.does()?;
        Some(self.usually().map_or_else(|| here.clone(), |usually| format!("{usually}; here it {here}")))
    }

    /// What the opened head usually does, in words, once it is known.
    fn usually(&self) -> Option<String> {
        let (class, strength) = self.app.display().usual_head(self.opened.0, self.opened.1)?.class();
        let usually = match class {
            HeadClass::Local | HeadClass::Other => return Some("usually no one thing".to_owned()),
            class => deed(class),
        };
        Some(format!("usually {usually} ({})", share(strength)))
    }

    /// What the opened head does here, in words.
    fn does(&self) -> Option<String> {
        let reading = self.reading()?;
        if reading.class == HeadClass::Other {
            let most = reading.top.iter().find(|(position, _)| *position > 0);
            let most = most.map_or_else(|| "no one token".into(), |(at, _)| self.token(*at as usize));
            return Some(format!("reads {} {}", text::cut(&most, 16), share(reading.strength)));
        }
        Some(format!("{} {}", deed(reading.class), share(reading.strength)))
    }
}

/// What a head of this class does, in words.
fn deed(class: HeadClass) -> &'static str {
    match class {
        HeadClass::Previous => "reads the token before",
        HeadClass::Sink => "rests on token 0",
        HeadClass::Induction => "reads what followed an earlier copy",
        HeadClass::Duplicate => "reads an earlier copy",
        HeadClass::Own => "reads the token itself",
        HeadClass::Local => "reads the tokens just before",
        HeadClass::Other => "reads no one token",
    }
}

/// `.49`: a share in three cells, `1` for all of it.
fn share(value: f32) -> String {
    let text = number::decimals(value.into(), 2);
    if text == "1.00" { "1".into() } else { text.replacen("0.", ".", 1) }
}

/// Steps 0 to 8 of how much a head writes, 3 % of the stream's length each.
fn strength(written: f32) -> usize {
    if written.is_finite() { (written.clamp(0.0, 0.24) / 0.03).round() as usize } else { 0 }
}

/// Steps 0 to 8 of a share.
fn level(share: f32) -> usize {
    if share.is_finite() { (share.clamp(0.0, 1.0) * 8.0).round() as usize } else { 0 }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some(frame) = Frame::of(app, theme, area, LETTERED) else { return };
    let Some(shown) = Shown::of(app, theme) else {
        return frame.empty_of_token("attention at ", "", &frame::missing_of(app, "attention"), buf);
    };
    let wide = frame.area.width + 1 >= INSPECTOR.0;
    let drawn = Drawn::of(&shown, frame.room(), wide);
    let Some(frame) = Frame::of(app, theme, area, drawn.caption()) else { return };
    subject(&shown, frame.area, buf);
    let under = frame.under(buf);
    match drawn {
        Drawn::Matrix => matrix::draw(&shown, under, buf),
        Drawn::Head => head::draw(&shown, under, buf),
        Drawn::Grid(cells) if wide => beside(&shown, under, cells == Cells::Halves, buf),
        Drawn::Grid(cells) => narrow(&shown, under, cells == Cells::Halves, buf),
    }
}

/// The grid and the opened head beside it.
fn beside(shown: &Shown<'_>, under: Rect, folded: bool, buf: &mut Buffer) {
    let legend = grid::legend(shown, under.width, folded);
    let least = if under.height > 12 { legend.len() as u16 } else { 0 };
    let upper = Rect { height: under.height - least, ..under };
    let (left, right) = text::split(upper, grid_width(shown, under));
    grid::draw(shown, left, folded, buf);
    head::draw(shown, right, buf);
    row::stack(&legend[..usize::from(least)], under, upper.height, buf);
}

/// The grid alone, and in a row or two what the opened head does.
fn narrow(shown: &Shown<'_>, area: Rect, folded: bool, buf: &mut Buffer) {
    let theme = shown.theme;
    let legend = grid::legend(shown, area.width, folded);
    let legend = if area.height > 12 { legend } else { Vec::new() };
    let (title, here) = (shown.title(), shown.does().unwrap_or_default());
    let after = 2 + text::width(&title);
    let does = Row::of(1, title, theme.style(Role::Strong)).and(after, here, theme.style(Role::Text));
    let mut below = vec![does];
    below.extend(shown.usually().map(|usually| Row::of(1, usually, theme.style(Role::Muted))));
    below.extend(legend);
    let above = area.height.saturating_sub(below.len() as u16);
    grid::draw(shown, Rect { height: above, ..area }, folded, buf);
    row::stack(&below, area, above, buf);
}

/// `#4 ␣is reads 4 tokens before it → chose ␣Paris`
fn subject(shown: &Shown<'_>, area: Rect, buf: &mut Buffer) {
    let here = shown.here();
    let words = match here {
        0 => " is the first".to_owned(),
        _ if area.width + 1 < INSPECTOR.0 => format!(" reads {here} before it"),
        _ => format!(" reads the {here} before it"),
    };
    let room = area.width.saturating_sub(12 + text::width(&words)).max(12);
    let this = format!("#{here} {}", shown.token(here));
    let chose = shown.ids.get(here + 1).map_or_else(String::new, |_| shown.token(here + 1));
    // What one does not take is the other's.
    let chose = text::cut(&chose, (room / 2).max(room.saturating_sub(text::width(&this))));
    let this = text::cut(&this, room - text::width(&chose));
    let mut pieces = vec![(this.as_str(), Role::Strong), (words.as_str(), Role::Text)];
    if !chose.is_empty() {
        let arrow = if shown.theme.symbols.ascii { ", chose " } else { " → chose " };
        pieces.extend([(arrow, Role::Text), (chose.as_str(), Role::TokenChosen)]);
    }
    let price = frame::price(shown.app, shown.seen);
    let price = if shown.attention.flash { format!("flash attention on, {price}") } else { price };
    frame::subject(shown.theme, area, &pieces, &price, buf);
}
