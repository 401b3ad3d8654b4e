//! What the drawing tests share: a small app made by hand, a theme whose roles can be told apart.
//!
//! Invariant: each role is one colour of its own, so that a cell's colour names its role; what is drawn here is drawn
//! with every bundled theme as well, and can be read in each.

pub mod contrast;
pub mod design;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

use crate::app::{ActiveRun, App, Now, Overlay, Phase, Writing};
use crate::chat::{ConversationHead, ConversationId, Role as Speaker, RunId, Span, Turn, TurnId, TurnState};
use crate::config::keymap::Keymap;
use crate::config::{ColorDepth, Config};
use crate::engine::protocol::RequestId;
use crate::theme::{Role, Symbols, Theme};
use crate::token::Step;
use crate::ui::{ascii, cache::Cache, overlays, render};

/// 2024-05-06 14:02 UTC.
pub const WALL_MS: i64 = 1_715_004_120_000;

/// An app with an empty chat.
pub fn app() -> App {
    let (mut app, _) = App::new(Config::default(), Keymap::defaults(), 1, (80, 24));
    app.talk.chat.head = head(1, "", WALL_MS);
    app.composer.tokens = Some(0);
    app.out.now = Now { mono_ms: 0, wall_ms: WALL_MS, offset_minutes: 0 };
    app.out.dirty = false;
    app
}

/// An entry of the list of chats.
pub fn head(id: i64, title: &str, updated_ms: i64) -> ConversationHead {
    ConversationHead {
        title: title.into(),
        created_ms: updated_ms,
        updated_ms,
        ..ConversationHead::new(ConversationId(id))
    }
}

/// Adds a message of the user to the branch.
pub fn user(app: &mut App, text: &str) -> TurnId {
    add(app, Speaker::User, vec![Span::Written { text: text.into() }], TurnState::Done)
}

/// Adds a finished reply made of these tokens, each of one bit of surprise.
pub fn reply(app: &mut App, tokens: &[&str]) -> TurnId {
    add(app, Speaker::Assistant, vec![generated(tokens)], TurnState::Done)
}

/// Adds a reply that is still written.
pub fn streaming(app: &mut App, tokens: &[&str]) -> TurnId {
    add(app, Speaker::Assistant, vec![generated(tokens)], TurnState::Streaming)
}

/// Adds tokens to a reply.
pub fn write(app: &mut App, turn: TurnId, tokens: &[&str]) {
    let turn = app.talk.chat.turn_mut(turn).unwrap();
    if let Some(Span::Generated { steps, .. }) = turn.spans.last_mut() {
        steps.extend(tokens.iter().map(|token| step(token)));
    }
}

/// A reply being written in a chat.
pub fn run(chat: ConversationId) -> ActiveRun {
    ActiveRun {
        chat,
        turn: TurnId(1),
        run: RunId(1),
        request: RequestId(1),
        phase: Phase::Writing(Writing::default()),
        prompt: None,
        written: 0,
        started_at: 0,
        stopping: false,
        made_room: false,
    }
}

fn add(app: &mut App, role: Speaker, spans: Vec<Span>, state: TurnState) -> TurnId {
    let id = TurnId(1 + i64::try_from(app.talk.chat.turns.len()).unwrap());
    app.talk.chat.turns.push(Turn {
        id,
        parent: app.talk.chat.leaf,
        role,
        spans,
        state,
        deleted: false,
        note: None,
        model: (role == Speaker::Assistant).then(|| "SmolLM2-135M-Instruct".into()),
        created_ms: WALL_MS,
        inserts: Vec::new(),
    });
    app.talk.chat.leaf = Some(id);
    id
}

fn generated(tokens: &[&str]) -> Span {
    Span::Generated { run: RunId(1), steps: tokens.iter().map(|token| step(token)).collect() }
}

fn step(token: &str) -> Step {
    Step { bytes: token.as_bytes().to_vec(), logprob: -std::f32::consts::LN_2, ..Step::default() }
}

/// A theme in which every role has its own colour.
pub fn theme(ascii: bool) -> Theme {
    let symbols = if ascii { Symbols::ASCII } else { Symbols::FULL };
    Theme { depth: ColorDepth::TrueColor, symbols, ..design::theme() }
}

/// A buffer to draw on.
pub fn buffer(width: u16, height: u16) -> Buffer {
    Buffer::empty(Rect::new(0, 0, width, height))
}

/// The rows of a buffer as text, without blanks at the end; a wide character counts once.
pub fn rows(buf: &Buffer) -> Vec<String> {
    part(buf, buf.area)
}

/// The same of a part of it, and of what is within the buffer of that.
pub fn part(buf: &Buffer, area: Rect) -> Vec<String> {
    let area = area.intersection(buf.area);
    let row = |y: u16| {
        let mut row = String::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buf[(x, y)].symbol();
            row.push_str(symbol);
            x += crate::sanitize::cell_width(symbol).max(1) as u16;
        }
        row.trim_end().to_owned()
    };
    (area.top()..area.bottom()).map(row).collect()
}

/// The whole screen.
pub fn screen(app: &App, theme: &Theme, width: u16, height: u16) -> Buffer {
    contrast::check(|theme| any_screen(app, theme, width, height));
    any_screen(app, theme, width, height)
}

/// The whole screen, where it is drawn too often to be looked at in every theme.
pub fn any_screen(app: &App, theme: &Theme, width: u16, height: u16) -> Buffer {
    let mut buf = buffer(width, height);
    render(app, theme, &mut Cache::default(), buf.area, &mut buf);
    buf
}

/// An overlay alone, over the whole of a screen.
pub fn overlay(app: &App, theme: &Theme, open: impl Into<Overlay>, width: u16, height: u16) -> Vec<String> {
    let open = open.into();
    let draw = |theme: &Theme| {
        let mut buf = buffer(width, height);
        let area = buf.area;
        overlays::draw(app, theme, &open, (area, area), &mut buf);
        buf
    };
    contrast::check(draw);
    let mut buf = draw(theme);
    if theme.symbols.ascii {
        ascii::fold(&mut buf);
    }
    rows(&buf)
}

/// A station, or another part of the screen, drawn alone.
pub fn drawn(
    draw: impl Fn(&App, &Theme, Rect, &mut Buffer),
    app: &App,
    theme: &Theme,
    (width, height): (u16, u16),
) -> Vec<String> {
    contrast::check(|theme| part_drawn(&draw, app, theme, (width, height)));
    rows(&part_drawn(draw, app, theme, (width, height)))
}

fn part_drawn(
    draw: impl Fn(&App, &Theme, Rect, &mut Buffer),
    app: &App,
    theme: &Theme,
    (width, height): (u16, u16),
) -> Buffer {
    let mut buf = buffer(width, height);
    let area = buf.area;
    draw(app, theme, area, &mut buf);
    buf
}

/// Draws at sizes from nothing to more than the largest form: none may be too small, nothing may panic.
pub fn at_every_size(draw: impl Fn(&App, &Theme, Rect, &mut Buffer), apps: Vec<App>) {
    for app in apps {
        for width in [0, 1, 19, 20, 33, 46, 65, 66, 67, 80, 106, 113, 114, 200] {
            for height in 0..42 {
                part_drawn(&draw, &app, &design::theme(), (width, height));
            }
        }
    }
}

/// Fails with what was drawn unless a row holds a text: for what no drawing can say, such as every size.
pub fn holds(seen: &[String], what: &str) {
    assert!(seen.iter().any(|row| row.contains(what)), "{what}\n{}", seen.join("\n"));
}

/// Holds what was drawn against the snapshot of that name beside the test.
macro_rules! as_drawn {
    ($name:literal, $rows:expr) => {
        insta::assert_snapshot!($name, $rows.join("\n"))
    };
}
pub(crate) use as_drawn;

/// The colour that [`theme`] gives to a role.
pub fn ink(role: Role) -> Color {
    Color::Indexed(role as u8)
}
