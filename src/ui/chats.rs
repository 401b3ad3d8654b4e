//! The list of chats, by day; which is open, which writes, which has something new.
//!
//! Invariant: the row under the cursor is always in view. The area is the whole pane: one blank column at
//! the left, then the mark, a blank, the title, and at the right end what goes on there.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, Area, ChatList, Focus, LineEdit, LineOf, Now};
use crate::chat::{ConversationHead, ConversationId};
use crate::theme::{Role, Theme};
use crate::ui::text;

/// Columns before a title: blank, `›`, blank.
const INDENT: u16 = 3;
/// Cells of a row from which on it says what is typed into it.
const LABELLED: u16 = 16;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// One row of the list.
enum Row<'a> {
    Day(&'static str),
    Chat(usize, &'a ConversationHead),
    Blank,
}

/// Draws the list; gives back the chats in view, for the mouse.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer, now: Now) -> Vec<(ConversationId, Area)> {
    let area = area.intersection(buf.area);
    if area.width <= INDENT || area.height == 0 {
        return Vec::new();
    }
    let area = filter(app, theme, area, buf);
    let heads = app.talk.chats.rows();
    if heads.is_empty() {
        let none = nothing(app);
        text::put(buf, area.x + 1, area.y, none, area.width - 1, theme.style(Role::Muted));
        return Vec::new();
    }
    let here = here(app, &heads);
    let rows = rows(&heads, grouping(app), now);
    let mut shown = Vec::new();
    let top = top(&rows, here, usize::from(area.height));
    for (y, row) in (area.y..area.bottom()).zip(rows.iter().skip(top)) {
        match row {
            Row::Day(day) => {
                text::put(buf, area.x + 1, y, day, area.width - 1, theme.style(Role::Muted));
            }
            Row::Chat(index, head) => {
                let line = Rect::new(area.x, y, area.width, 1);
                chat(app, theme, head, here == Some(*index), line, buf);
                shown.push((head.id, Area { x: area.x, y, width: area.width, height: 1 }));
            }
            Row::Blank => {}
        }
    }
    shown
}

/// The line that narrows the list, while there is one; gives what is left below.
fn filter(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) -> Rect {
    let Some(typed) = &app.talk.chats.filter else { return area };
    text::put(buf, area.x + 1, area.y, "/", 1, theme.style(Role::Strong));
    let line = Rect { x: area.x + INDENT, width: area.width - INDENT, height: 1, ..area };
    let _ = input(theme, typed, line, buf); // the cell itself marks the cursor
    let above = area.height.min(2);
    Rect { y: area.y + above, height: area.height - above, ..area }
}

fn nothing(app: &App) -> &'static str {
    match app.talk.chats.list {
        _ if app.talk.chats.filter.as_ref().is_some_and(|typed| !typed.text.is_empty()) => {
            "none is called so"
        }
        ChatList::Chats => "no chats yet",
        ChatList::Archive => "nothing archived",
        ChatList::Bin => "the bin is empty",
    }
}

/// Where `›` stands: at the cursor while the list has the focus, otherwise at the open chat.
fn here(app: &App, heads: &[&ConversationHead]) -> Option<usize> {
    match app.focus {
        Focus::Chats => Some(app.talk.chats.selected.min(heads.len().saturating_sub(1))),
        _ => heads.iter().position(|head| head.id == app.talk.chat.head.id),
    }
}

/// What the rows are grouped by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grouping {
    /// The pinned ones, then by the day of the last message.
    Day,
    /// By the day of the deletion.
    Deletion,
    /// Not at all: a filter has put the best first.
    None,
}

fn grouping(app: &App) -> Grouping {
    match &app.talk.chats.filter {
        Some(typed) if !typed.text.trim().is_empty() => Grouping::None,
        _ if app.talk.chats.list == ChatList::Bin => Grouping::Deletion,
        _ => Grouping::Day,
    }
}

fn rows<'a>(heads: &[&'a ConversationHead], grouping: Grouping, now: Now) -> Vec<Row<'a>> {
    // What a clock or an import says may be any number.
    let day = |ms: i64| ms.saturating_add(i64::from(now.offset_minutes) * 60_000).div_euclid(DAY_MS);
    let today = day(now.wall_ms);
    let mut rows = Vec::with_capacity(heads.len() + 5);
    let mut group = "";
    for (index, head) in heads.iter().enumerate() {
        let ms = head.binned_ms.filter(|_| grouping == Grouping::Deletion).unwrap_or(head.updated_ms);
        let name = match today - day(ms) {
            _ if grouping == Grouping::None => "",
            _ if grouping == Grouping::Day && head.marks.pinned => "Pinned",
            ..=0 => "Today",
            1 => "Yesterday",
            _ => "Older",
        };
        if name != group {
            if index > 0 {
                rows.push(Row::Blank);
            }
            rows.push(Row::Day(name));
            group = name;
        }
        rows.push(Row::Chat(index, head));
    }
    rows
}

/// The first row in view: the first of all, or so far down that the marked chat is the last.
fn top(rows: &[Row], here: Option<usize>, height: usize) -> usize {
    let marked = rows.iter().position(|row| matches!(row, Row::Chat(index, _) if Some(*index) == here));
    marked.map_or(0, |row| (row + 1).saturating_sub(height))
}

fn chat(app: &App, theme: &Theme, head: &ConversationHead, here: bool, line: Rect, buf: &mut Buffer) {
    let open = head.id == app.talk.chat.head.id;
    let style = theme.style(if open { Role::Strong } else { Role::Text });
    let x = line.x + INDENT;
    let room = line.width - INDENT;
    if here {
        text::put(buf, line.x + 1, line.y, theme.symbols.here, 1, theme.style(Role::Strong));
    }
    if let Some(typed) = app.talk.chats.line.as_ref().filter(|typed| typed.chat == head.id) {
        let label = match typed.of {
            _ if room < LABELLED => "",
            LineOf::Title => "name ",
            LineOf::Tags => "tags ",
        };
        let taken = text::put(buf, x, line.y, label, room, theme.style(Role::Muted));
        let room = Rect::new(x + taken, line.y, room - taken, 1);
        let _ = input(theme, &typed.input, room, buf); // the cell itself marks the cursor
        return;
    }
    let writing = app.talk.run.as_ref().is_some_and(|run| run.chat == head.id);
    let mark = match () {
        () if writing => Some((theme.symbols.writing, Role::TokenChosen)),
        () if app.talk.chats.unseen.contains(&head.id) => Some((theme.symbols.other, Role::TokenChosen)),
        () => None,
    };
    let title_room = room.saturating_sub(if mark.is_some() { 3 } else { 1 });
    let title = if head.title.is_empty() { "new chat" } else { &head.title };
    let title = text::fit(title, usize::from(title_room), theme.symbols.ascii);
    let taken = text::put(buf, x, line.y, &title, title_room, style);
    let beside = notes(app, head);
    if !beside.is_empty() && taken + 3 < title_room {
        let room = title_room - taken - 2;
        let beside = text::fit(&beside, usize::from(room), theme.symbols.ascii);
        text::put(buf, x + taken + 2, line.y, &beside, room, theme.style(Role::Muted));
    }
    if let Some((symbol, role)) = mark {
        text::put(buf, line.right() - 2, line.y, symbol, 1, theme.style(role));
    }
    if here && app.focus == Focus::Chats {
        buf.set_style(line, theme.style(Role::Select));
    }
}

/// What stands beside a title where there is room: that the chat is temporary, its tags.
fn notes(app: &App, head: &ConversationHead) -> String {
    if app.out.unstored.has(head.id) {
        return "temporary".to_owned();
    }
    head.marks.tags.iter().map(|tag| format!("#{tag}")).collect::<Vec<_>>().join(" ")
}

/// A one-line input with its cursor in view; gives the cursor's cell.
pub(super) fn input(theme: &Theme, edit: &LineEdit, area: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
    let before = edit.text.get(..edit.cursor).unwrap_or(&edit.text);
    let after = &edit.text[before.len()..];
    let room = usize::from(area.width.saturating_sub(1));
    let mut skipped = 0;
    let width = |from: usize| crate::sanitize::cell_width(&crate::sanitize::for_display(&before[from..]));
    for cluster in crate::sanitize::clusters(before) {
        if width(skipped) <= room {
            break;
        }
        skipped = cluster.source.end;
    }
    let style = theme.style(Role::Text);
    let x = area.x + text::put(buf, area.x, area.y, &before[skipped..], area.width, style);
    text::put(buf, x, area.y, after, area.right() - x, style);
    (x < area.right()).then(|| {
        buf[(x, area.y)].set_style(theme.style(Role::Cursor));
        (x, area.y)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ChatLine;
    use crate::ui::testing::{self, WALL_MS, buffer, head, ink, rows, theme};

    fn app() -> App {
        let mut app = testing::app();
        app.talk.chats.heads = vec![
            head(1, "Capitals", WALL_MS),
            head(2, "Rust lifetimes and more", WALL_MS - 60_000),
            head(3, "日本の首都について", WALL_MS - DAY_MS),
            head(4, "Cap\u{1B}[2Jital", WALL_MS - 3 * DAY_MS),
        ];
        app
    }

    fn drawn(app: &App, width: u16, height: u16, ascii: bool) -> Vec<String> {
        let mut buf = buffer(width, height);
        draw(app, &theme(ascii), buf.area, &mut buf, app.out.now);
        rows(&buf)
    }

    #[test]
    fn chats_are_grouped_by_day_and_cut() {
        assert_eq!(
            drawn(&app(), 20, 10, false),
            [
                " Today",
                " › Capitals",
                "   Rust lifetimes…",
                "",
                " Yesterday",
                "   日本の首都につ…",
                "",
                " Older",
                "   Cap␛[2Jital",
                ""
            ]
        );
    }

    #[test]
    fn what_goes_on_elsewhere_is_marked() {
        let mut app = app();
        app.talk.chats.unseen.insert(ConversationId(3));
        app.talk.run = Some(testing::run(ConversationId(2)));
        let shown = drawn(&app, 20, 10, false);
        assert_eq!(shown[2], "   Rust lifetime… ●");
        assert_eq!(shown[5], "   日本の首都に…  •");
        let shown = drawn(&app, 20, 10, true);
        assert_eq!((shown[1].as_str(), shown[2].as_str()), (" > Capitals", "   Rust lifetime~ *"));
    }

    #[test]
    fn the_cursor_stays_in_view_and_is_marked() {
        let mut app = app();
        app.focus = Focus::Chats;
        app.talk.chats.selected = 3;
        let mut buf = buffer(20, 3);
        let areas = draw(&app, &theme(false), buf.area, &mut buf, app.out.now);
        assert_eq!(rows(&buf), ["", " Older", " › Cap␛[2Jital"]);
        assert_eq!(buf[(5, 2)].fg, ink(Role::Select));
        assert_eq!(areas, [(ConversationId(4), Area { x: 0, y: 2, width: 20, height: 1 })]);
    }

    #[test]
    fn what_is_typed_into_a_row_says_what_it_is() {
        let mut app = app();
        for (of, expected) in [(LineOf::Title, " › name Capitals"), (LineOf::Tags, " › tags Capitals")] {
            let input = LineEdit::new("Capitals");
            app.talk.chats.line = Some(ChatLine { chat: ConversationId(1), of, input });
            assert_eq!(drawn(&app, 20, 3, false)[1], expected);
        }
    }

    #[test]
    fn a_title_is_edited_in_place_with_its_cursor_in_view() {
        let mut app = app();
        let edit = |text: &str, cursor| {
            let input = LineEdit { text: text.into(), cursor };
            Some(ChatLine { chat: ConversationId(1), of: LineOf::Title, input })
        };
        app.talk.chats.line = edit("Capitals", 3);
        let mut buf = buffer(14, 3);
        draw(&app, &theme(false), buf.area, &mut buf, app.out.now);
        assert_eq!(rows(&buf)[1], " › Capitals");
        assert_eq!(buf[(6, 1)].fg, ink(Role::Cursor));
        app.talk.chats.line = edit("Capitals of the world", 21);
        let mut buf = buffer(14, 3);
        draw(&app, &theme(false), buf.area, &mut buf, app.out.now);
        assert_eq!(rows(&buf)[1], " ›  the world");
        assert_eq!(buf[(13, 1)].fg, ink(Role::Cursor));
    }

    #[test]
    fn days_are_those_of_the_users_clock() {
        let heads = [head(1, "late", WALL_MS - 10 * 3_600_000)];
        let group = |offset_minutes| {
            let now = Now { mono_ms: 0, wall_ms: WALL_MS, offset_minutes };
            match super::rows(&heads.iter().collect::<Vec<_>>(), Grouping::Day, now).first() {
                Some(Row::Day(day)) => *day,
                _ => "",
            }
        };
        assert_eq!((group(0), group(-8 * 60)), ("Today", "Yesterday"));
    }

    #[test]
    fn pins_tags_the_bin_and_the_filter_are_seen() {
        let mut app = app();
        let mut pinned = head(2, "Rust", WALL_MS - 60_000);
        (pinned.marks.pinned, pinned.marks.tags) = (true, vec!["work".into()]);
        app.talk.chats.put(pinned);
        let shown = drawn(&app, 20, 5, false);
        assert_eq!(shown, [" Pinned", "   Rust  #work", "", " Today", " › Capitals"]);
        app.talk.chats.put(ConversationHead { binned_ms: Some(WALL_MS), ..head(3, "Tokyo", 5) });
        app.talk.chats.list = ChatList::Bin;
        assert_eq!(drawn(&app, 20, 3, false), [" Today", "   Tokyo", ""]);
        app.talk.chats.list = ChatList::Chats;
        app.talk.chats.filter = Some(LineEdit::new("wor"));
        assert_eq!(drawn(&app, 20, 3, false), [" / wor", "", "   Rust  #work"]);
        app.talk.chats.filter = Some(LineEdit::new("zzz"));
        assert_eq!(drawn(&app, 20, 3, false)[2], " none is called so");
    }
}
