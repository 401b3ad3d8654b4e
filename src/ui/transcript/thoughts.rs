//! The line that stands for what was thought: how much, how long, and how it is opened.
//!
//! Invariant: it says the same folded and open, but for its mark.

use crate::app::App;
use crate::command::Command;
use crate::theme::Symbols;
use crate::ui::text::Title;
use crate::ui::widgets::number;

/// The line's words.
pub(super) fn words(app: &App, symbols: &Symbols, title: Title) -> String {
    let mark = match (symbols.ascii, title.open) {
        (false, true) => "▾",
        (false, false) => "▸",
        (true, true) => "v",
        (true, false) => ">",
    };
    let verb = if title.live { "thinking" } else { "thought" };
    let mut words = format!("{mark} {verb}: {}", number::counted(title.tokens, "token"));
    if title.ms > 0.0 {
        words.extend([", ", &seconds(title.ms)]);
    }
    let key = app.keymap.shown(Command::Thoughts);
    if !title.live && !key.is_empty() {
        words.extend(["   ", &key, if title.open { " folds" } else { " opens" }]);
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
    use super::super::{TranscriptGeometry, draw};
    use crate::app::{App, Focus, TokenCursor};
    use crate::chat::{TurnId, TurnState};
    use crate::ui::cache::Cache;
    use crate::ui::testing::{app, buffer, reply, rows, streaming, theme, write};

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
