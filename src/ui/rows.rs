//! The rows that every screen keeps: titles, lines between panes, notices, keys.
//!
//! Invariant: they keep their rows whatever they say, so no message moves the text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{App, ChatList, Find, Focus, Level, LineOf, Offers, Origin, SplitCharacter, TOUR, Tour};
use crate::chat::Teller;
use crate::command::Command;
use crate::sanitize;
use crate::theme::{Role, Symbols, Theme};
use crate::token::TokenId;
use crate::ui::cache::Cache;
use crate::ui::chats;
use crate::ui::header;
use crate::ui::inspector;
use crate::ui::layout::Layout;
use crate::ui::widgets::{self, number, text};

/// Draws the rule with the panes' titles; the focused pane's part is heavy and its title bold.
pub fn titles(app: &App, theme: &Theme, cache: &Cache, layout: &Layout, buf: &mut Buffer) {
    let Some(row) = layout.titles else { return };
    let on = |pane: Rect| Rect { y: row.y, height: 1, ..pane };
    let chat = if app.talk.chat.head.title.is_empty() { "New chat" } else { &app.talk.chat.head.title };
    if let Some(pane) = layout.chats {
        let name = match app.talk.chats.list {
            ChatList::Chats => "Chats",
            ChatList::Archive => "Archive",
            ChatList::Bin => "Bin",
        };
        title(buf, theme, on(pane), name, "", app.focus == Focus::Chats);
    }
    if let Some(pane) = layout.transcript {
        let focused = matches!(app.focus, Focus::Composer | Focus::Transcript);
        let reads = app.focus == Focus::Transcript && app.transcript.cursor.is_none();
        let right = if reads { "keys are commands; Esc writes".to_owned() } else { token_count(app, cache) };
        title(buf, theme, on(pane), &sanitize::for_display(chat), &right, focused);
    }
    if let Some(pane) = layout.station {
        let key = app.keymap.shown(Command::ToggleInspector);
        title(buf, theme, on(pane), inspector::title(app), &key, app.focus == Focus::Inspector);
    }
}

/// `token 12 of 57` while a token is under the cursor.
fn token_count(app: &App, cache: &Cache) -> String {
    let Some(at) = app.transcript.cursor else { return String::new() };
    let of = cache.marks(at.turn).map_or(0, |marks| marks.tokens.len());
    if at.index < of {
        format!("token {} of {}", at.index + 1, number::grouped(of as u64))
    } else {
        String::new()
    }
}

/// One pane's part of a title rule.
pub fn title(buf: &mut Buffer, theme: &Theme, at: Rect, name: &str, right: &str, focused: bool) {
    let (glyph, rule, label) = if focused {
        (theme.symbols.heavy_rule, Role::FocusBorder, Role::Strong)
    } else {
        (theme.symbols.rule, Role::Rule, Role::Text)
    };
    text::put(buf, at, &glyph.repeat(usize::from(at.width)), theme.style(rule));
    let name = text::cut(name, at.width.saturating_sub(4));
    text::put(buf, text::row(at, 0, 1), &format!(" {name} "), theme.style(label));
    let needed = text::width(&name) + text::width(right) + 8;
    if !right.is_empty() && needed <= at.width {
        let x = at.width - text::width(right) - 3;
        text::put(buf, text::row(at, 0, x), &format!(" {right} "), theme.style(Role::Muted));
    }
}

/// Draws the lines between panes, joined to the title rule.
pub fn separators(theme: &Theme, layout: &Layout, buf: &mut Buffer) {
    for line in layout.separators.iter().flatten() {
        let style = theme.style(Role::Rule);
        for row in 0..line.height {
            text::put(buf, text::row(*line, row, 0), theme.symbols.vertical, style);
        }
        if let Some(titles) = layout.titles {
            let joint = if theme.symbols.ascii { "+" } else { "┬" };
            text::put(buf, Rect { y: titles.y, height: 1, ..*line }, joint, style);
        }
    }
}

/// Draws the newest notice, and at the right how much is hidden below someone who reads above.
pub fn notice(app: &App, theme: &Theme, at: Rect, rows_below: usize, buf: &mut Buffer) {
    let below = match rows_below {
        0 => String::new(),
        1 => "↓ 1 new line ".into(),
        n if app.talk.run.is_some() => format!("↓ {n} new lines "),
        n => format!("↓ {n} lines below "),
    };
    // What the header has no room for stands where nothing else has to.
    let fetched = header::fetched_unsaid(app, theme, at.width).filter(|_| below.is_empty());
    let below = fetched.map_or(below, |fetched| format!("{fetched} "));
    let room = Rect { width: at.width.saturating_sub(text::width(&below) + 1), ..at };
    let (line, role) = notice_text(app, theme);
    text::put(buf, room, &text::cut(&line, room.width), theme.style(role));
    text::put_right(buf, at, &below, theme.style(Role::Strong));
}

/// Draws what is looked for in the chat, where a notice would stand; gives the cursor's cell.
pub fn find(theme: &Theme, find: &Find, at: Rect, buf: &mut Buffer) -> Option<(u16, u16)> {
    let count = match (find.matches.len(), find.input.text.is_empty()) {
        (_, true) => String::new(),
        (0, false) => "not in this chat ".into(),
        (of, false) => format!("{} of {of} ", find.current + 1),
    };
    text::put(buf, at, &" ".repeat(usize::from(at.width)), theme.style(Role::Text));
    text::put_right(buf, at, &count, theme.style(Role::Muted));
    let taken = text::put(buf, at, " Find: ", theme.style(Role::Strong));
    let room = at.width.saturating_sub(taken + text::width(&count) + 1);
    chats::input(theme, &find.input, Rect { x: at.x + taken, width: room, ..at }, buf)
}

fn notice_text(app: &App, theme: &Theme) -> (String, Role) {
    match (&app.out.notice, &app.unsaved) {
        (Some(notice), _) => {
            let said = sanitize::for_display(&notice.text);
            match notice.level {
                Level::Info => (format!(" {said}"), Role::Muted),
                Level::Warn => (format!(" ! {said}"), Role::Warn),
                Level::Error if said.starts_with("error:") => (format!(" {said}"), Role::Error),
                Level::Error => (format!(" error: {said}"), Role::Error),
            }
        }
        (None, Some(why)) => (format!(" ! {}", sanitize::for_display(why)), Role::Warn),
        (None, None) => {
            let ink = inspector::attention::ink_line(app, theme).map(|line| format!(" {line}"));
            (ink.or_else(|| token_line(app, &theme.symbols)).unwrap_or_default(), Role::Muted)
        }
    }
}

/// What is known of the token under the cursor.
fn token_line(app: &App, symbols: &Symbols) -> Option<String> {
    let at = app.transcript.cursor?;
    let turn = app.view().shown_turn(at.turn)?;
    let token = app.view().token_at(at)?;
    let run = match token.origin {
        Origin::Written { run, .. } | Origin::Scored { run, .. } => app.talk.runs.get(&run),
    };
    let vocabulary =
        run.and_then(|run| app.talk.vocabularies.get(run.vocabulary.as_ref()?)).map(AsRef::as_ref);
    let step = token.step;
    let name = widgets::token::written(step.id, &step.bytes, vocabulary, symbols);
    let place = app
        .view()
        .place_in_context(&token)
        .map_or_else(String::new, |place| format!("#{} ", number::grouped(place as u64)));
    let mut facts = vec![format!(" {place}{name}")];
    facts.extend(step.id.and_then(TokenId::number).map(|id| format!("id {id}")));
    facts.extend(app.view().split_character(turn, &token).map(|split| split_words(&split)));
    if !step.logprob.is_nan() {
        facts.push(format!("{} %", number::percent(f64::from(step.logprob.exp()))));
    }
    if step.rank > 0 {
        facts.push(format!("rank {}", number::rank(step.rank)));
    }
    if !step.logprob.is_nan() {
        facts.push(format!("surprise {} bit", number::decimals(f64::from(step.surprisal_bits()), 2)));
    }
    if !step.entropy.is_nan() {
        facts.push(format!("uncertainty {} bit", number::decimals(f64::from(step.entropy_bits()), 2)));
    }
    facts.extend(run.and_then(|run| run.told_by.as_ref()).map(Teller::in_words));
    match app.display().decided(at) {
        Some(Some(layer)) => facts.push(format!("decided at layer {layer}")),
        Some(None) => facts.push("not the first choice".into()),
        None => {}
    }
    Some(facts.join("   "))
}

fn split_words(split: &SplitCharacter) -> String {
    let bytes = match (split.first, split.last) {
        (first, last) if first == last => format!("byte {first}"),
        (first, last) => format!("bytes {first}–{last}"),
    };
    let of = split.character.map(|whole| format!(" of {}", sanitize::for_display(&whole.to_string())));
    format!("{bytes} of {}{}", split.of, of.unwrap_or_default())
}

/// Draws the keys that do something now. Under an open station of a low screen a notice takes their place.
pub fn hints(app: &App, theme: &Theme, layout: &Layout, buf: &mut Buffer) {
    let Some(at) = layout.hints else { return };
    if layout.notice.is_none() && app.out.notice.is_some() && app.transcript.find.is_none() {
        return notice(app, theme, at, 0, buf);
    }
    keys(buf, theme, at, &offered(app, layout));
}

/// Keys with what they do, left to right; what does not fit goes from the middle, help stays.
pub fn keys(buf: &mut Buffer, theme: &Theme, at: Rect, offered: &[(String, &str)]) {
    let mut kept: Vec<&(String, &str)> = offered.iter().filter(|(key, _)| !key.is_empty()).collect();
    let needed = |kept: &[&(String, &str)]| {
        kept.iter().map(|(key, does)| text::width(key) + text::width(does) + 4).sum::<u16>()
    };
    while needed(&kept) > at.width + 2 && kept.len() > 1 {
        kept.remove((kept.len() - 1).saturating_sub(2).max(1).min(kept.len() - 1));
    }
    let mut x = 1;
    for (key, does) in kept {
        x += text::put(buf, text::row(at, 0, x), key, theme.style(Role::Strong)) + 1;
        x += text::put(buf, text::row(at, 0, x), does, theme.style(Role::Muted)) + 3;
    }
}

/// The keys of the tour, most useful first.
fn tour_keys(app: &App, tour: &Tour) -> Vec<(String, &'static str)> {
    let next = &TOUR[tour.at];
    let key = |command| app.keymap.shown(command);
    let mut keys = vec![(key(Command::TourNext), next.next)];
    if tour.at > 0 {
        keys.push((key(Command::TourPrevious), "back"));
    }
    keys.push((key(Command::TourEnd), "end the tour"));
    keys.push((key(Command::Explain), "explain this station"));
    keys
}

/// What the focused part offers, most useful first.
fn offered(app: &App, layout: &Layout) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let pair = |first, second| join(&app.keymap.shown(first), &app.keymap.shown(second));
    let writing = app.talk.run.as_ref().is_some_and(|run| run.chat == app.talk.chat.head.id);
    if !app.overlays.is_empty() {
        return vec![(key(Command::Escape), "close")];
    }
    if let Some(tour) = app.tour.as_deref() {
        return tour_keys(app, tour);
    }
    if app.view().paused_here() {
        return paused(app);
    }
    if app.transcript.find.is_some() {
        return vec![
            ("Enter ↑".into(), "match before"),
            ("↓".into(), "match after"),
            ("Esc".into(), "close"),
        ];
    }
    match app.talk.chats.line.as_ref().map(|line| line.of) {
        Some(LineOf::Title) => {
            return vec![("Enter".into(), "keep the name"), ("Esc".into(), "leave it as it was")];
        }
        Some(LineOf::Tags) => {
            return vec![
                ("Enter".into(), "keep the tags: words with blanks between"),
                ("Esc".into(), "as it was"),
            ];
        }
        None => {}
    }
    if app.focus == Focus::Chats && app.talk.chats.filter.is_some() {
        return vec![("↑↓".into(), "chat"), ("Enter".into(), "open"), ("Esc".into(), "all chats")];
    }
    let mut keys = match app.focus {
        Focus::Composer if app.composer.completion.is_some() => {
            let runs = app.composer.completion.as_ref().is_some_and(|open| open.of == Offers::Lines);
            let mut keys = vec![("↑↓".into(), "choose"), (key(Command::FocusNext), "take")];
            keys.extend(runs.then(|| (key(Command::Send), "run")));
            keys.push((key(Command::Escape), "close"));
            return keys;
        }
        Focus::Composer if app.composer.editing.is_some() => {
            let mut keys =
                vec![(key(Command::Send), "send as another version"), (key(Command::Escape), "give up")];
            keys.extend(writing.then(|| (key(Command::Interrupt), "stop the reply")));
            keys
        }
        Focus::Composer if writing => {
            vec![(key(Command::Escape), "stop"), (key(Command::FocusNext), "focus")]
        }
        Focus::Composer => vec![(key(Command::Send), "send"), (key(Command::FocusNext), "focus")],
        Focus::Transcript if app.transcript.mark.is_some() => vec![
            (key(Command::Copy), "copy what is marked"),
            (pair(Command::TokenPrevious, Command::TokenNext), "token"),
            (pair(Command::WordNext, Command::WordPrevious), "word"),
            (pair(Command::MessageDown, Command::MessageUp), "message"),
            (key(Command::Escape), "give up"),
        ],
        Focus::Transcript if app.transcript.cursor.is_some() => vec![
            (pair(Command::TokenPrevious, Command::TokenNext), "token"),
            (pair(Command::UncertainNext, Command::UncertainPrevious), "uncertain"),
            (key(Command::Alternatives), "alternatives"),
            (key(Command::Tree), "tree"),
            (key(Command::Compare), "compare"),
            (key(Command::WhatIf), "what if"),
            (key(Command::Weights), "weights"),
            (key(Command::Ledger), "ledger"),
            (key(Command::Colour), "colour"),
            (pair(Command::VersionBack, Command::VersionForward), "version"),
            (pair(Command::WordNext, Command::WordPrevious), "word"),
            (pair(Command::MessageDown, Command::MessageUp), "message"),
        ],
        Focus::Transcript => vec![
            (pair(Command::MessageDown, Command::MessageUp), "message"),
            (pair(Command::TokenPrevious, Command::TokenNext), "token"),
            (pair(Command::WordNext, Command::WordPrevious), "word"),
            (pair(Command::UncertainNext, Command::UncertainPrevious), "uncertain"),
            (key(Command::Colour), "colour"),
            (key(Command::Copy), "copy"),
            (key(Command::Mark), "mark"),
            (key(Command::Edit), "edit"),
            (key(Command::WhatIf), "what if"),
            (key(Command::Weights), "weights"),
            (key(Command::RegenerateHere), "again"),
            (key(Command::Continue), "continue"),
            (pair(Command::VersionBack, Command::VersionForward), "version"),
            (key(Command::DeleteTurn), "delete"),
        ],
        Focus::Chats if app.talk.chats.list == ChatList::Bin => vec![
            (pair(Command::ChatUp, Command::ChatDown), "chat"),
            (key(Command::OpenChat), "take back"),
            (key(Command::DeleteChat), "remove for good"),
            (key(Command::Escape), "back to the list"),
        ],
        Focus::Chats => vec![
            (pair(Command::ChatUp, Command::ChatDown), "chat"),
            (key(Command::OpenChat), "open"),
            (key(Command::NewChat), "new"),
            (key(Command::Rename), "rename"),
            (key(Command::FilterChats), "find"),
            (key(Command::DeleteChat), "delete"),
            (key(Command::RestoreChat), "undo"),
            (key(Command::PinChat), "pin"),
            (key(Command::TagChat), "tags"),
            (key(Command::ArchiveChat), "archive"),
            (key(Command::DuplicateChat), "copy"),
            (pair(Command::Archive, Command::Bin), "archive, bin"),
        ],
        Focus::Inspector => inspector::hints::offered(app),
    };
    if app.focus == Focus::Composer {
        keys.extend(panes(app, layout));
    }
    keys.push((key(Command::Palette), "commands"));
    keys.push((key(Command::Help), "help"));
    keys
}

/// Keys while the reply waits after each token.
fn paused(app: &App) -> Vec<(String, &'static str)> {
    if matches!(app.focus, Focus::Transcript | Focus::Inspector) {
        let key = |command| app.keymap.shown(command);
        vec![
            (key(Command::AcceptToken), "next token"),
            ("1…9".to_owned(), "another"),
            (key(Command::BanAndDraw), "ban, draw again"),
            (key(Command::LetRun), "let it run"),
        ]
    } else {
        vec![
            (app.keymap.shown(Command::FocusNext), "step through the reply, which is paused"),
            (app.keymap.shown(Command::Step), "let it run"),
        ]
    }
}

/// Keys that open and close panes.
fn panes(app: &App, layout: &Layout) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    if layout.titles.is_none() {
        return vec![(key(Command::ToggleInspector), "open the softmax")];
    }
    vec![
        (inspector::hints::stations(app), "station"),
        (key(Command::ToggleInspector), "inspector"),
        (key(Command::ToggleChats), "chats"),
    ]
}

fn join(first: &str, second: &str) -> String {
    format!("{first} {second}").trim().to_owned()
}
