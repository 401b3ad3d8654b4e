//! What the made-up model says.
//!
//! Invariant: the reply follows from the last message and the seed.

use std::fmt::Write;
use std::sync::Arc;

/// How many replies a message may have; a seed picks one.
pub(super) const VARIANTS: u32 = 16;

/// All replies to a message, each with its number; one alone where all are the same.
pub(super) fn replies(message: &[u8]) -> Vec<(u32, Arc<[u8]>)> {
    let message = String::from_utf8_lossy(message);
    let first: Arc<[u8]> = reply(&message, 0).into();
    let second: Arc<[u8]> = reply(&message, 1).into();
    if first == second {
        return vec![(0, first)];
    }
    let rest = (2..VARIANTS).map(|variant| (variant, reply(&message, variant).into()));
    [(0, first), (1, second)].into_iter().chain(rest).collect()
}

/// What is written after a token that is not the script's, picked by what was read.
pub(super) fn detour(key: u64) -> Vec<u8> {
    const TURNS: [&str; 4] = [" on another path", " in other words", " from here", " as you like"];
    const ENDINGS: [&str; 4] = [
        ", and every number is another one.",
        ", one token after the other. Look back at the first reply!",
        ". This is where the two replies part.",
        ", until the next word is chosen. And so on.",
    ];
    let pick = |shift: u32| (key >> shift) as usize % 4;
    format!("{}{}", TURNS[pick(8)], ENDINGS[pick(16)]).into_bytes()
}

/// The bytes of the reply to a message; not always valid UTF-8 (`hostile`).
fn reply(message: &str, seed: u32) -> Vec<u8> {
    let lower = message.to_lowercase();
    let has = |word: &str| lower.contains(word);
    if has("empty") {
        Vec::new()
    } else if has("hostile") {
        hostile()
    } else if has("count") {
        count().into_bytes()
    } else if has("markdown") {
        MARKDOWN.into()
    } else if has("wide") {
        WIDE.into()
    } else if has("long") {
        long().into_bytes()
    } else if has("think") {
        format!("<think>\nThey ask me to think. One moment.\n</think>\n\n{}", friendly(message, seed))
            .into_bytes()
    } else {
        friendly(message, seed).into_bytes()
    }
}

fn friendly(message: &str, seed: u32) -> String {
    const OPENINGS: [&str; 4] = ["You wrote:", "You said:", "Here is what you asked me:", "I see:"];
    const ENDINGS: [&str; 4] = [
        "Every word of this reply can be opened. Look closely!",
        "There is nothing in the box but numbers, and here they are.",
        "So this is the answer of a small model that is not there.",
        "What would you like to see next?",
    ];
    let first: String = message.trim().chars().take(200).collect();
    if first.is_empty() {
        return "Hello! Write me a sentence, and look at every token of the answer.".into();
    }
    let (opening, ending) = (OPENINGS[seed as usize % 4], ENDINGS[(seed as usize / 4) % 4]);
    format!("{opening} “{first}” {ending}")
}

fn count() -> String {
    (1..=500).fold(String::new(), |mut text, number| {
        let _ = write!(text, "{}{number}", if number == 1 { "" } else { ", " });
        text
    }) + "."
}

fn long() -> String {
    (1..=120).fold(String::new(), |mut text, number| {
        let _ = write!(
            text,
            "This is paragraph {number} of a long reply. Each sentence says what it is for: to fill the window, to be \
             looked through, and to be scrolled back over. Nothing in here is clear at first; look again.{}",
            if number % 3 == 0 { "\n\n" } else { " " }
        );
        text
    })
}

fn hostile() -> Vec<u8> {
    let mut bytes =
        b"Before \x1b[2J\x1b[H\x1b]0;owned\x07\x1b]52;c;ZXZpbA==\x07\x1b[?1049l\x1b[31mred".to_vec();
    bytes.extend(
        " C1 \u{9b}2J\u{9d}0;t\u{9c} bidi \u{202e}txt.exe\u{202c} isolate \u{2066}x\u{2069}".as_bytes(),
    );
    bytes.extend(" zero\u{200b}width\u{feff} tags \u{e0048}\u{e0049}\u{e007f} line\u{2028}break".as_bytes());
    bytes.extend(b" NUL \0 BS ab\x08\x08c CR one\rtwo DEL \x7f TAB a\tb ");
    bytes.extend(format!("zalgo Z{} ", "\u{301}\u{316}\u{335}".repeat(60)).as_bytes());
    bytes.extend(b"broken \xff\xfe \xf0\x9f\x99 \xc3 ");
    bytes.extend(
        "marks <|im_start|>system <|im_end|> \x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\ after."
            .as_bytes(),
    );
    bytes
}

const WIDE: &str = "世界你好,日本語の文章です。한국어도 있습니다. สวัสดีครับ. Привет! 🙂🙃 🦀 👩‍👩‍👧‍👦 👍🏽 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇫🇷 \
    e\u{301}cole, cafe\u{301}, naïve, ﷽, ｆｕｌｌ, क्षि, 中文字符一个接一个地排列直到这一行必须换行为止。";

const MARKDOWN: &str = "# A heading\n\nSome **bold**, *italic*, `code` and a [link](https://example.com).\n\n\
    - one item\n- another\n  - a nested one\n1. first\n2. second\n\n\
    ```rust\nfn main() {\n    let answer = 6 * 7;\n    println!(\"{answer}\");\n}\n```\n\n\
    | token | probability |\n|---|---:|\n| glass | 0.62 |\n| box | 0.21 |\n\n> A quotation, and the end.\n\n---\n";
