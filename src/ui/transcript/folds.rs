//! The lines that stand for what was thought, for files and for long pastes: how much it is, and how it is opened.
//!
//! Invariant: such a line says the same folded and open, but for its mark.

use crate::app::App;
use crate::chat::Turn;
use crate::command::Command;
use crate::theme::Symbols;
use crate::ui::text::{Folded, Title};
use crate::ui::widgets::{number, text};

/// The line's words; the key that opens it only where that fits.
pub(super) fn words(app: &App, symbols: &Symbols, turn: &Turn, title: Title, width: u16) -> String {
    let mark = match (symbols.ascii, title.open) {
        (false, true) => "▾",
        (false, false) => "▸",
        (true, true) => "v",
        (true, false) => ">",
    };
    let of = match title.of {
        Folded::Thought { live, tokens, ms } => thought(live, tokens, ms),
        Folded::Insert { index, bytes, lines } => insert(turn, index, bytes, lines),
    };
    let mut words = format!("{mark} {of}");
    let key = app.keymap.shown(Command::Thoughts);
    let live = matches!(title.of, Folded::Thought { live: true, .. });
    let does = format!("   {key} {}", if title.open { "folds" } else { "opens" });
    if !live && !key.is_empty() && text::width(&words) + text::width(&does) <= width {
        words.push_str(&does);
    }
    words
}

fn thought(live: bool, tokens: usize, ms: f32) -> String {
    let verb = if live { "thinking" } else { "thought" };
    let mut words = format!("{verb}: {}", number::counted(tokens, "token"));
    if ms > 0.0 {
        words.extend([", ", &seconds(ms)]);
    }
    words
}

/// `[notes.txt]  12 KiB, 310 lines, 3 120 tokens`, as the composer names it.
fn insert(turn: &Turn, index: usize, bytes: usize, lines: usize) -> String {
    let insert = turn.inserts.get(index);
    let file = insert.and_then(|insert| insert.file.as_deref());
    let name = file.map_or("pasted", |path| path.rsplit(['/', '\\']).next().unwrap_or(path));
    let mut words = format!("[{name}]  {}, {}", number::bytes(bytes as u64), number::counted(lines, "line"));
    if let Some(tokens) = insert.and_then(|insert| insert.tokens) {
        words.extend([", ", &number::counted(tokens as usize, "token")]);
    }
    words
}

fn seconds(ms: f32) -> String {
    match ms / 1000.0 {
        short if short < 9.95 => format!("{short:.1} s"),
        long if long < 119.5 => format!("{long:.0} s"),
        longer => format!("{:.0} min", longer / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

    use super::super::{TranscriptGeometry, draw};
    use crate::app::{App, Focus, Msg, Now, TokenCursor};
    use crate::chat::{Insert, TurnId, TurnState};
    use crate::ui::cache::Cache;
    use crate::ui::testing::{app, buffer, reply, rows, streaming, theme, user, write};

    const REPLY: &[&str] = &["<think>", "\n", "Hm", ", France.", "\n", "</think>", "\n\n", "**Paris**", "."];

    fn drawn(app: &App, ascii: bool) -> Vec<String> {
        let mut buf = buffer(46, 8);
        let _: TranscriptGeometry = draw(app, &theme(ascii), &mut Cache::default(), buf.area, &mut buf);
        rows(&buf)
    }

    #[test]
    fn thoughts_are_a_line_until_they_are_opened() {
        let mut app = app();
        reply(&mut app, REPLY);
        let head = " SmolLM2-135M        9 tokens   1.00 bit each";
        let folded = " ▸ thought: 7 tokens   Ctrl+T opens";
        assert_eq!(drawn(&app, false)[..4], [head, folded, "", " Paris."]);
        assert_eq!(drawn(&app, true)[1], " > thought: 7 tokens   Ctrl+T opens");
        let opened = [" ▾ thought: 7 tokens   Ctrl+T folds", "   Hm, France.", "", " Paris."];
        app.transcript.thoughts = true;
        assert_eq!(drawn(&app, false)[1..5], opened);
        app.transcript.thoughts = false;
        for index in 0..7 {
            app.focus = Focus::Transcript;
            app.transcript.selected = Some(TurnId(1));
            app.transcript.cursor = Some(TokenCursor { turn: TurnId(1), index });
            assert!(drawn(&app, false)[1].contains("folds"), "a token of what was thought can be opened");
        }
        app.transcript.cursor = Some(TokenCursor { turn: TurnId(1), index: 7 });
        assert_eq!(drawn(&app, false)[3], " Paris.");
        // As it was written, everything stands there.
        app.transcript.raw = true;
        app.transcript.cursor = None;
        assert_eq!(drawn(&app, false)[1..6], [" <think>", " Hm, France.", " </think>", "", " **Paris**."]);
    }

    const FILED: &str = "Look at\ndir/a.rs:\n```\nfn one() {}\nfn two() {}\n```\nwhy? or at pasted words";

    /// A message with a file and a paste, whose words are tokens.
    fn filed() -> App {
        let mut app = app();
        let id = user(&mut app, FILED);
        let at = |part: &str| FILED.find(part).unwrap();
        let file =
            Insert { start: at("dir/"), end: at("\nwhy"), file: Some("dir/a.rs".into()), tokens: Some(1234) };
        let paste = Insert { start: at("pasted"), end: FILED.len(), file: None, tokens: None };
        app.talk.chat.turn_mut(id).unwrap().inserts = vec![file, paste];
        let mut tokens = Vec::new();
        let mut from = 0;
        for word in FILED.split_inclusive([' ', '\n']) {
            let step = crate::token::Step { bytes: word.into(), ..Default::default() };
            tokens.push((from, from + word.len(), tokens.len(), step));
            from += word.len();
        }
        let run = crate::chat::RunId(1);
        app.talk.scores.insert(id, crate::app::TurnScore { run, tokens });
        app.focus = Focus::Transcript;
        app.transcript.selected = Some(id);
        app
    }

    fn press(app: &mut App, keys: &[KeyCode]) {
        for key in keys {
            app.update(Now::default(), Msg::Key(KeyEvent::from(*key)));
        }
    }

    const FOLDED: [&str; 4] = [
        " Look at",
        " ▸ [a.rs]  24 B, 2 lines, 1 234 tokens   Ctrl+T opens",
        " why? or at",
        " ▸ [pasted]  12 B, 1 line   Ctrl+T opens",
    ];

    fn drawn_wide(app: &App) -> (Vec<String>, TranscriptGeometry) {
        let mut buf = buffer(70, 14);
        let geometry = draw(app, &theme(false), &mut Cache::default(), buf.area, &mut buf);
        (rows(&buf), geometry)
    }

    #[test]
    fn a_file_in_a_message_is_a_line_until_it_is_opened() {
        let mut app = filed();
        assert_eq!(drawn_wide(&app).0[1..5], FOLDED);
        app.transcript.thoughts = true;
        let (opened, _) = drawn_wide(&app);
        let file = [" ▾ [a.rs]  24 B, 2 lines, 1 234 tokens   Ctrl+T folds", "   dir/a.rs:", "   ```"];
        assert_eq!(opened[2..5], file);
        assert_eq!(opened[5..9], ["   fn one() {}", "   fn two() {}", "   ```", " why? or at"]);
        assert_eq!(opened[10], "   pasted words");
        let mut narrow = buffer(46, 14);
        app.transcript.thoughts = false;
        draw(&app, &theme(false), &mut Cache::default(), narrow.area, &mut narrow);
        assert_eq!(rows(&narrow)[2], " ▸ [a.rs]  24 B, 2 lines, 1 234 tokens");
        // As it was written, all of it stands there.
        (app.transcript.thoughts, app.transcript.raw) = (false, true);
        assert_eq!(drawn_wide(&app).0[1..4], [" Look at", " dir/a.rs:", " ```"]);
        // What an earlier version sent says nothing of its files.
        let mut app = crate::ui::testing::app();
        user(&mut app, FILED);
        assert_eq!(drawn_wide(&app).0[2], " dir/a.rs:");
    }

    #[test]
    fn a_file_opens_for_what_is_found_in_it_and_for_the_cursor_but_the_cursor_passes_over_it() {
        let mut app = filed();
        let find = |app: &mut App, text: &str| {
            app.update(Now::default(), Msg::Key(KeyEvent::new(KeyCode::Char('f'), KeyModifiers::CONTROL)));
            press(app, &text.chars().map(KeyCode::Char).collect::<Vec<_>>());
        };
        find(&mut app, "two");
        assert_eq!(drawn_wide(&app).0[6], "   fn two() {}");
        press(&mut app, &[KeyCode::Esc]);
        assert_eq!(drawn_wide(&app).0[6], "   fn two() {}", "what was found stays open");
        press(&mut app, &[KeyCode::Esc]);
        (app.transcript.selected, app.transcript.cursor) = (Some(TurnId(1)), None);
        app.transcript.other_thoughts.clear();
        find(&mut app, "why");
        assert_eq!(drawn_wide(&app).0[1..5], FOLDED);
        (app.transcript.find, app.focus) = (None, Focus::Transcript);
        app.transcript.cursor = Some(TokenCursor { turn: TurnId(1), index: 4 });
        assert_eq!(drawn_wide(&app).0[3], "   dir/a.rs:");
        app.transcript.cursor = Some(TokenCursor { turn: TurnId(1), index: 1 });
        let mut walked = Vec::new();
        let (l, h) = (KeyCode::Char('l'), KeyCode::Char('h'));
        for key in [l, l, h, h, KeyCode::Home, KeyCode::End] {
            press(&mut app, &[key]);
            walked.push(app.transcript.cursor.unwrap().index);
        }
        assert_eq!(walked, [11, 12, 11, 1, 0, 13]);
    }

    #[test]
    fn a_click_on_the_line_opens_and_folds() {
        let mut app = filed();
        app.config.ui.mouse = true;
        for open in [true, false] {
            let (_, geometry) = drawn_wide(&app);
            let (turn, area) = geometry.folds[0];
            app.geometry.folds = vec![(turn, area)];
            let (column, row) = (area.x + 2, area.y);
            let kind = MouseEventKind::Down(MouseButton::Left);
            let click = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
            app.update(Now::default(), Msg::Mouse(click));
            assert_eq!(app.transcript.shows_thoughts(turn), open);
        }
    }

    #[test]
    fn thoughts_are_read_while_they_come_and_fold_when_the_answer_begins() {
        let mut app = app();
        let turn = streaming(&mut app, &REPLY[..3]);
        let live = drawn(&app, false);
        assert_eq!(live[1], " ▾ thinking: 3 tokens");
        assert!(live[2].starts_with("   Hm"), "{live:?}");
        write(&mut app, turn, &REPLY[3..8]);
        assert_eq!(drawn(&app, false)[1], " ▸ thought: 7 tokens   Ctrl+T opens");
        // One that was cut while it thought has nothing else to read.
        let mut app = crate::ui::testing::app();
        reply(&mut app, &REPLY[..4]);
        assert_eq!(drawn(&app, false)[1..3], [" ▾ thought: 4 tokens   Ctrl+T folds", "   Hm, France."]);
        app.transcript.thoughts = true;
        assert_eq!(drawn(&app, false)[2], "   Hm, France.");
    }

    #[test]
    fn a_reply_that_comes_byte_by_byte_ends_as_one_that_is_laid_out_at_once() {
        let text = "<think>\nHm é.\n\nYes\n</think>\n\n# Paris\n\n```rust\nlet x = 1;\n```\n- one\n";
        let mut app = app();
        let turn = streaming(&mut app, &[]);
        let mut cache = Cache::default();
        for open in [false, true] {
            app.transcript.thoughts = open;
            app.talk.chat.turn_mut(turn).unwrap().spans.clear();
            app.talk.chat.turn_mut(turn).unwrap().state = TurnState::Streaming;
            let run = crate::chat::RunId(1);
            app.talk
                .chat
                .turn_mut(turn)
                .unwrap()
                .spans
                .push(crate::chat::Span::Generated { run, steps: Vec::new() });
            for byte in text.as_bytes() {
                let step = crate::token::Step { bytes: vec![*byte], ..Default::default() };
                let span = app.talk.chat.turn_mut(turn).unwrap().spans.last_mut();
                let Some(crate::chat::Span::Generated { steps, .. }) = span else { panic!() };
                steps.push(step);
                app.out.touch(turn);
                let mut buf = buffer(46, 14);
                draw(&app, &theme(false), &mut cache, buf.area, &mut buf);
            }
            app.talk.chat.turn_mut(turn).unwrap().state = TurnState::Done;
            app.out.touch(turn);
            let mut grown = buffer(46, 14);
            draw(&app, &theme(false), &mut cache, grown.area, &mut grown);
            let mut fresh = buffer(46, 14);
            draw(&app, &theme(false), &mut Cache::default(), fresh.area, &mut fresh);
            assert_eq!(rows(&grown), rows(&fresh));
        }
    }
}
