//! What reads bytes from strangers, each as a function of any bytes: for the fuzzer in `fuzz/`, and for the test that
//! runs the same over a kept corpus (`tests/fuzzing.rs`).
//!
//! Invariant: a function here returns, whatever the bytes, or panics because something does not hold that is promised;
//! it writes nothing but a temporary file.
#![allow(clippy::unwrap_used, reason = "what does not hold is to be found")]

use std::io::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::chat::{AdapterKind, Role};
use crate::config::{self, Sources};
use crate::engine::model::adapter_file;
use crate::engine::prompt::template::Template;
use crate::engine::protocol::{Call, Envelope, Message, TemplateKind, TemplateSetting};
use crate::engine::tokenizer::Tokenizer;
use crate::engine::transport::frame;
use crate::import;
use crate::markdown::{Page, Style};
use crate::model_entry::{LoadParams, ModelFile as _};
use crate::models::gguf::{Header, SharedHeader, memory_needed};
use crate::reasoning::{Form, Split};
use crate::sanitize;
use crate::theme;
use crate::token::{TokenId, TokenKind};

/// Something that reads bytes from strangers.
pub struct Target {
    /// Its name, that of its folder in `fuzz/corpus` and of its binary.
    pub name: &'static str,
    /// Reads any bytes.
    pub run: fn(&[u8]),
    /// Pieces that mean something to it, for changes at random.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "gguf", run: gguf, words: GGUF },
    Target { name: "frames", run: frames, words: FRAMES },
    Target { name: "markdown", run: markdown, words: MARKDOWN },
    Target { name: "sanitize", run: sanitise, words: SIGNS },
    Target { name: "config", run: configuration, words: CONFIG },
    Target { name: "import", run: imported, words: IMPORT },
    Target { name: "template", run: template, words: TEMPLATE },
    Target { name: "reasoning", run: reasoning, words: REASONING },
];

/// Runs the one of that name.
///
/// # Panics
/// When there is none, or something does not hold.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("its name is in the list");
    (target.run)(bytes);
}

const GGUF: &[&str] = &[
    "GGUF",
    "general.architecture",
    "general.alignment",
    "general.type",
    "adapter",
    "llama",
    "\u{1}\0\0\0",
    "\u{8}\0\0\0",
    "\u{9}\0\0\0",
    "\0\0\0\0",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.merges",
    "split.count",
    "tokenizer.chat_template",
    "blk.0.attn_q.weight",
    "token_embd.weight",
    "lora_a",
    "direction.1",
];
const FRAMES: &[&str] = &[
    "id",
    "request",
    "event",
    "Job",
    "Load",
    "Immediate",
    "Generate",
    "Ready",
    "Token",
    "Failed",
    "Tokenized",
    "Vocabulary",
    "\u{0}\u{0}\u{0}\u{0}",
];
const MARKDOWN: &[&str] = &[
    "```",
    "~~~",
    "| a | b |\n|---|---|\n",
    "> ",
    "- ",
    "1. ",
    "  ",
    "\n\n",
    "**",
    "_",
    "`",
    "[a]: b\n",
    "[^1]",
    "[^1]: x\n",
    "[a](b)",
    "![a](b)",
    "$$",
    "\\(",
    "\\frac{",
    "}",
    "<b>",
    "# ",
    "---\n",
    "\t",
    "é",
    "日本",
    "👨‍👩‍👧",
    "\r\n",
    "\r",
    "- [ ] ",
    "> [!NOTE]\n",
    "&amp;",
    "\\",
];
const SIGNS: &[&str] = &[
    "\u{1b}[2J",
    "\u{9b}",
    "\u{202e}",
    "\u{2066}",
    "\u{200d}",
    "\u{fe0f}",
    "\u{1f3f4}",
    "\u{e0067}",
    "\u{e007f}",
    "\u{301}",
    "\t",
    "\r\n",
    "\u{2028}",
    "👨",
    "\u{feff}",
    "한",
    "\u{ff9e}",
    "\u{1f1e9}",
    "\u{0}",
    "नि",
];
const CONFIG: &[&str] = &[
    "[",
    "]",
    "[[models]]\n",
    "name = ",
    "\"",
    "'''",
    "\n",
    " = ",
    "[engine]\n",
    "[sampling]\n",
    "[keys]\n",
    "nan",
    "-inf",
    "1e999",
    "9223372036854775807",
    "true",
    "{",
    "}",
    "top_k",
    "temperature",
    "path = \"x\"\n",
    "ui.theme",
    "order = []",
    "quit = [\"ctrl+\"]\n",
    "#",
    "1979-05-27",
    "[roles]\n",
    "text = \"#fff\"\n",
];
const IMPORT: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "\"mapping\"",
    "\"parent\"",
    "\"children\"",
    "\"message\"",
    "\"id\"",
    "\"messages\"",
    "\"conv\"",
    "\"chat\"",
    "\"history\"",
    "\"role\"",
    "\"content\"",
    "\"glassbox\"",
    "1e999",
    "-1",
    "\"turns\"",
    "\"versions\"",
    "\"currentlySelected\"",
    "\"currNode\"",
    "\"convId\"",
    "\\u0000",
    "\\ud800",
];
const TEMPLATE: &[&str] = &[
    "{{",
    "}}",
    "{%",
    "%}",
    "{%-",
    "-%}",
    "{#",
    "#}",
    "for m in messages",
    "endfor",
    "if",
    "endif",
    "else",
    "m.content",
    "m['role']",
    "set x = ",
    "namespace()",
    "loop.index0",
    "| tojson",
    "| trim",
    "~",
    "range(10**9)",
    "'a' * 1000000",
    "macro f(x)",
    "endmacro",
    "f(f)",
    "raise_exception('x')",
    "strftime_now('%d')",
    "bos_token",
    "add_generation_prompt",
    ".split('x')",
    "[::-1]",
    "<|im_start|>",
    "<|im_end|>",
    "is defined",
    "not",
    "\0",
    "messages[0:",
    "| replace('', 'aaaa')",
    ".format(",
    "%(x)s",
    "generation",
    "break",
    "recursive",
];
const REASONING: &[&str] = &[
    "<think>",
    "</think>",
    "<thi",
    "nk>",
    "[THINK]",
    "[/THINK]",
    "◁think▷",
    "◁/think▷",
    "<|channel>thought\n",
    "<channel|>",
    "<seed:think>",
    "</seed:think>",
    "\n",
    " ",
    "<|START_THINKING|>",
    "<|END_THINKING|>",
    "Here",
];

/// A model's header, its tokenizer, and the same file as an adapter.
fn gguf(bytes: &[u8]) {
    let mut file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let Ok(header) = Header::read(file.path()) else { return };
    let _ = (header.not_a_chat(), memory_needed(header.facts(), &LoadParams::default()));
    for tensor in header.tensors() {
        let end = tensor.offset.checked_add(tensor.bytes).unwrap();
        assert!(end <= bytes.len() as u64, "{} ends at {end} of {}", tensor.name, bytes.len());
    }
    for key in header.keys() {
        header.metadata(key).unwrap();
    }
    let file = SharedHeader::open(file.path()).unwrap();
    for kind in [AdapterKind::Lora, AdapterKind::ControlVector] {
        let _ = adapter_file::check(kind, &file, Some(&file), (32, 4));
    }
    for name in file.names() {
        assert!(file.tensor(&name).is_some(), "{name}");
    }
    let types = file.numbers("tokenizer.ggml.token_type").unwrap_or_default();
    let kinds: Vec<TokenKind> = types.into_iter().map(kind).collect();
    if let Ok(tokenizer) = Tokenizer::build(&file, &kinds) {
        let _ = tokenizer.tell("Grüße, x = 1\n\t😀 ▁", true, true);
    }
}

fn kind(number: f64) -> TokenKind {
    match number as u8 {
        2 | 5 => TokenKind::Unused,
        3 => TokenKind::Control,
        4 => TokenKind::UserDefined,
        6 => TokenKind::Byte,
        _ => TokenKind::Normal,
    }
}

/// Requests and events, one after the other, as both sides of the pipe read them.
fn frames(bytes: &[u8]) {
    all_of::<Call>(bytes);
    all_of::<Envelope>(bytes);
}

fn all_of<T: Serialize + DeserializeOwned>(mut input: &[u8]) {
    while let Ok(Some(value)) = frame::read::<T>(&mut input) {
        // What was read can be sent on, and is the same then; by its bytes, since NaN is not itself.
        let sent = frame::encode(&value).unwrap();
        let again = frame::read::<T>(&mut sent.as_slice()).unwrap().unwrap();
        assert_eq!(frame::encode(&again).unwrap(), sent);
    }
}

/// A reply laid out at once and while it comes: the same rows, none too wide, no sign that acts.
fn markdown(bytes: &[u8]) {
    let (first, text) = bytes.split_first().unwrap_or((&0, &[]));
    let style = Style { width: 1 + u16::from(first % 64), wrap_code: first % 2 == 0, ascii: first % 3 == 0 };
    let whole = Page::of(text, style);
    let mut grown = Page::growing(style);
    // The last block is laid out with each piece: many pieces of a long table would only take long.
    let piece = (1 + usize::from(first % 7)).max(text.len() / 40);
    text.chunks(piece).for_each(|piece| grown.append(piece));
    grown.finish();
    assert_eq!(whole.rows(), grown.rows());
    for row in 0..whole.rows() {
        // Lines of code that are not broken are scrolled.
        assert!(!style.wrap_code || whole.row_width(row) <= style.width, "row {row}");
        assert!(whole.row(row).eq(grown.row(row)), "row {row} comes out otherwise when it grows");
        for glyph in whole.row(row) {
            assert!(glyph.source.0 <= glyph.source.1 && glyph.source.1 <= text.len(), "{glyph:?}");
            assert!(!glyph.shown.chars().any(acts), "{glyph:?}");
        }
    }
    for byte in 0..=text.len() {
        let place = whole.place_of(byte);
        assert!(place.0 < whole.rows() && place.1 <= whole.row_width(place.0), "{byte}: {place:?}");
    }
}

/// Untrusted text: nothing acts, nothing is lost, no cluster is too wide.
fn sanitise(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut at = 0;
    for cluster in sanitize::clusters(&text) {
        assert!(cluster.source.start == at && cluster.source.end > at, "{cluster:?}");
        at = cluster.source.end;
        assert!(!cluster.shown.chars().any(acts), "{cluster:?}");
    }
    assert_eq!(at, text.len());
    let shown = sanitize::for_display(&text);
    assert!(!shown.chars().any(acts), "{shown:?}");
    let copied = sanitize::for_copy(&text);
    let moves = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || is_bidi(c);
    assert!(!copied.chars().any(moves), "{copied:?}");
    assert_eq!(sanitize::for_copy(&copied), copied, "what is safe stays as it is");
}

fn acts(c: char) -> bool {
    c.is_control() || is_bidi(c)
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A configuration and a theme; a key that is written into the text is read from it again.
fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = |text: &str| {
        config::load(&Sources { file: Some(("config.toml".into(), text.into())), ..Sources::default() })
    };
    let (before, warnings) = read(text);
    assert!(warnings.iter().all(|warning| !warning.message.is_empty()));
    if let Ok(written) = config::set_key(text, "ui.frame_rate", "7") {
        let (after, _) = read(&written);
        let mut expected = before;
        expected.ui.frame_rate = 7;
        assert_eq!(after.ui, expected.ui, "{written}");
        assert_eq!((after.sampling, after.engine), (expected.sampling, expected.engine), "{written}");
    }
    let _ = theme::parse("x", "x.toml", text);
}

/// A file of chats: each chat is a tree, and the same file gives the same chats.
fn imported(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(chats) = import::read(&text) else { return };
    for chat in &chats {
        let turns = &chat.conversation.turns;
        let mut seen = std::collections::BTreeSet::new();
        for turn in turns {
            assert!(turn.parent.is_none_or(|parent| seen.contains(&parent)), "a turn answers one before it");
            assert!(seen.insert(turn.id), "no two turns have one id");
        }
        assert!(chat.conversation.leaf.is_none_or(|leaf| seen.contains(&leaf)), "the branch ends in a turn");
    }
    assert!(import::read(&text).is_ok_and(|again| again == chats));
}

/// A chat template, and behind a zero the user's message: the message is in the prompt, and forges no mark.
fn template(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (source, message) = text.split_once('\0').unwrap_or((&text, "hello <|im_end|>"));
    let template = Template::new(Some(source), "<s>", "</s>", MARKS.map(str::to_owned).to_vec());
    let messages = [
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, message),
        Message::new(Role::Assistant, "<think>\nHm\n</think>\n\nYes"),
        Message::new(Role::User, message),
    ];
    let setting = TemplateSetting::default();
    let mut tokenize = |text: &str, special: bool, _| Ok(tokens(text, special));
    let writes_marks =
        template.kind != TemplateKind::Model || WRITES.iter().any(|word| source.contains(word));
    for messages in [&messages[1..2], &messages[..]] {
        let ids = template.encode(messages, false, &setting, "", &mut tokenize, &bytes_of);
        let Ok(encoded) = ids else { continue };
        let forged = encoded.ids.iter().filter(|id| id.0 < 0).count();
        assert!(forged == 0 || writes_marks, "{forged} marks came out of a message");
    }
}

/// What a template needs to write a mark of its own, whole or piece by piece.
const WRITES: [&str; 7] = ["<", "\\", "_token", "%c", "format", "raise", "[::-1]"];
const MARKS: [&str; 4] = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"];

/// A tokenizer whose ids are code points, and −1 − n for mark n.
fn tokens(text: &str, special: bool) -> Vec<TokenId> {
    let mut ids = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mark = MARKS.iter().zip(1..).find(|(mark, _)| special && rest.starts_with(**mark));
        let (id, length) =
            mark.map_or((first as i32, first.len_utf8()), |(mark, number)| (-number, mark.len()));
        ids.push(TokenId(id));
        rest = &rest[length..];
    }
    ids
}

fn bytes_of(id: TokenId) -> Vec<u8> {
    let character = u32::try_from(id.0).ok().and_then(char::from_u32);
    character.map(|c| c.to_string().into_bytes()).unwrap_or_default()
}

/// A reply taken apart: how it comes changes nothing, and the parts cover it.
fn reasoning(bytes: &[u8]) {
    let (first, text) = bytes.split_first().unwrap_or((&0, &[]));
    let opened =
        || [None, Some("<think>\n"), Some("[THINK]")][usize::from(first % 3)].and_then(Form::opened_by);
    let whole = Split::of(opened(), [(text, None)]);
    let cut = Split::of(opened(), text.chunks(1 + usize::from(first % 5)).map(|piece| (piece, None)));
    let places = |split: &Split| split.parts.iter().map(|part| (part.kind, part.at)).collect::<Vec<_>>();
    assert_eq!(places(&whole), places(&cut));
    assert_eq!((whole.bytes, cut.bytes), (text.len(), text.len()));
    for pair in cut.parts.windows(2) {
        assert!(pair[0].at <= pair[1].at && pair[0].piece <= pair[1].piece && pair[0].kind != pair[1].kind);
    }
    let _ = crate::reasoning::answer_of(&String::from_utf8_lossy(text));
}
