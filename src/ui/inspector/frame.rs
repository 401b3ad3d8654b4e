//! The frame of a station: its subject with what it cost, its caption, the area under both; and how what is on display is
//! named.
//!
//! Invariant: a caption is there or not by the height and the configuration alone; what is not known is said in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::App;
use crate::engine::protocol::Inspected;
use crate::theme::{Role, Theme};
use crate::token::{TokenId, TokenKind, Vocabulary};
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::row::{self, Row};
use crate::ui::widgets::{number, text, token};

/// Stations are drawn at most this wide.
pub const WIDEST: u16 = 120;

/// Where a station is drawn, and under which caption.
pub struct Frame<'a> {
    app: &'a App,
    theme: &'a Theme,
    /// Its area, subject and caption included.
    pub area: Rect,
    caption: Vec<Row>,
}

impl<'a> Frame<'a> {
    /// `None` where there is no room for a station. Where captions are off or the screen is low there is no caption.
    pub fn of(app: &'a App, theme: &'a Theme, area: Rect, caption: &str) -> Option<Self> {
        let area = Rect { width: area.width.min(WIDEST), ..area };
        let captioned = app.config.inspector.captions && area.height > 14;
        let words = if captioned { caption } else { "" };
        let caption = row::wrapped(words, 1, area.width, theme.style(Role::Muted));
        (area.height >= 4 && area.width >= 20).then_some(Self { app, theme, area, caption })
    }

    /// Draws the caption; gives the area under it, after a blank row where the screen is high.
    pub fn under(&self, buf: &mut Buffer) -> Rect {
        let under = self.close_under(buf);
        text::below(under, u16::from(self.area.height > 20))
    }

    /// The area that [`Frame::under`] gives, with nothing drawn.
    pub fn room(&self) -> Rect {
        let taken = 1 + self.caption.len() as u16 + u16::from(self.area.height > 20);
        text::below(self.area, taken)
    }

    /// The same without the blank row.
    pub fn close_under(&self, buf: &mut Buffer) -> Rect {
        text::below(self.area, 1 + row::stack(&self.caption, self.area, 1, buf))
    }

    /// Draws what the station would show where nothing is known, and why it does not.
    pub fn empty(&self, subject: &str, why: &str, buf: &mut Buffer) {
        let style = self.theme.style(Role::Text);
        Row::of(1, subject, style).draw(self.area, 0, buf);
        let under = self.close_under(buf);
        let gap = u16::from(under.height > 2);
        row::stack(&row::wrapped(why, 1, self.area.width, style), under, gap, buf);
    }

    /// The same for a station on one token, whose name completes the words: `attention at ␣is`, `␣is itself`.
    pub fn empty_of_token(&self, before: &str, after: &str, why: &str, buf: &mut Buffer) {
        let subject = match self.app.display().shown_step() {
            Some(_) => format!("{before}{}{after}", shown_name(self.app, self.theme)),
            None => "no token on display".into(),
        };
        self.empty(&subject, why, buf);
    }
}

/// The subject of a station, and at the right end what it costs, where there is room.
pub fn subject(theme: &Theme, area: Rect, words: &[(&str, Role)], price: &str, buf: &mut Buffer) {
    let at = text::row(area, 0, 1);
    let pieces: Vec<_> = words.iter().map(|(words, role)| (*words, theme.style(*role))).collect();
    let taken = text::put_all(buf, at, &pieces);
    if taken + text::width(price) + 3 <= at.width {
        let until = Rect { width: at.width - 1, ..at };
        text::put_right(buf, until, price, theme.style(Role::Muted));
    }
}

/// What the pass on display cost: read again, or opened while it was written.
pub fn price(app: &App, seen: &Inspected) -> String {
    // A pass that was opened as it was written needed no decoding of its own.
    if let Some(otherwise) = read_otherwise(app) {
        return otherwise;
    }
    if seen.decoded > 0 {
        return format!("read again {:.0} ms", seen.ms);
    }
    live_price(app).unwrap_or_else(|| format!("{:.1} ms as it was written", seen.ms))
}

/// From which difference on a pass that was read again is another one than the reply's own, nats: more than the order of
/// sums makes of it.
const OTHERWISE: f32 = 0.01;

/// That the pass on display, read again, gives the token other odds than it was drawn with; `None` where it does not. A
/// prompt is read through other kernels than a reply is written by, and 8-bit activations round otherwise there.
pub fn read_otherwise(app: &App) -> Option<String> {
    let display = app.display();
    let (shown, seen) = (display.shown_step()?, display.shown_inside()?);
    let id = shown.step.id.filter(|_| !display.own_pass())?;
    let here = seen.trace.followed.iter().find(|followed| followed.id == id)?.logprob;
    let percent = |logprob: f32| number::percent(f64::from(logprob.exp()));
    let apart = (here - shown.step.logprob).abs() > OTHERWISE;
    apart.then(|| format!("read again {} %, drawn at {} %", percent(here), percent(shown.step.logprob)))
}

/// What looking costs while a reply is written.
pub fn live_price(app: &App) -> Option<String> {
    app.display().live_price().map(|(ms, every)| match every {
        0 | 1 => format!("{ms:.1} ms a token"),
        every => format!("{ms:.1} ms, looks every {every} tokens"),
    })
}

/// Why there is nothing to show of the token on display.
pub fn missing(app: &App) -> String {
    app.display().inside_missing().unwrap_or_else(|| "not read yet".into())
}

/// The same, but for the model's own reason where the pass gave one for what the station shows.
pub fn missing_of(app: &App, what: &str) -> String {
    let said = app
        .display()
        .shown_inside()
        .and_then(|seen| seen.trace.missing.iter().find(|said| said.contains(what)));
    said.map_or_else(|| missing(app), |said| format!("not known: {said}"))
}

/// The vocabulary of the token on display.
pub fn vocabulary(app: &App) -> Option<&Vocabulary> {
    let hash = app.display().shown_step()?.vocabulary.as_ref()?;
    app.talk.vocabularies.get(hash).map(AsRef::as_ref)
}

/// The text of an entry of that vocabulary.
pub fn name(app: &App, theme: &Theme, id: TokenId) -> String {
    token::named(id, vocabulary(app), &theme.symbols)
}

/// The text of the token on display: by its recorded bytes where its vocabulary is not there.
pub fn shown_name(app: &App, theme: &Theme) -> String {
    let Some(shown) = app.display().shown_step() else { return String::new() };
    let step = &shown.step;
    match step.id.filter(|_| vocabulary(app).is_some() || step.bytes.is_empty()) {
        Some(id) => name(app, theme, id),
        None => token::shown(&step.bytes, TokenKind::Normal, &theme.symbols),
    }
}

/// Which pass is on display: `read "…France is" → chose ␣Paris`, or the pass at the token itself.
pub fn chose(app: &App, theme: &Theme, width: u16) -> String {
    let Some(shown) = app.display().shown_step() else { return "no token on display".into() };
    let name = text::cut(&shown_name(app, theme), 14);
    if app.display().own_pass() {
        return format!("reading {name} itself");
    }
    if width < INSPECTOR.0 {
        return format!("chose {name}");
    }
    let read = token::one_line(&shown.context_tail, &theme.symbols);
    format!("read \"{}\" → chose {name}", text::tail(&read, 12))
}

/// The place of the token on display in what was read, as counted from 0; `None` where it is not known.
pub fn place(app: &App) -> Option<usize> {
    let at = app.display().shown_step().filter(|shown| shown.chat == app.talk.chat.head.id)?.cursor();
    app.view().place_in_context(&app.view().token_at(at)?)
}

/// Everything that the pass on display has read, and what was chosen after it.
pub fn read_ids(app: &App) -> Vec<TokenId> {
    let pass = app.display().shown_step().and_then(|shown| app.view().pass(shown.cursor()));
    pass.map_or_else(Vec::new, |pass| [&pass.ids[..], &[pass.chosen]].concat())
}
