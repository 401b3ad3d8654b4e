//! Replies of many models, cut into every kind of pieces.

use proptest::prelude::*;

use super::*;

/// Kinds and texts of the parts of a reply whose control tokens stand in `⟦…⟧`.
fn parts(opened: Option<&str>, pieces: &[&str]) -> Vec<(Kind, String)> {
    let opened = opened.and_then(Form::opened_by);
    let split = Split::of(opened, pieces.iter().map(|piece| piece_of(piece)));
    let text: Vec<u8> = pieces.iter().flat_map(|piece| piece_of(piece).0).copied().collect();
    assert_eq!(split.bytes, text.len());
    let all = split.parts.iter().enumerate().map(|(index, part)| {
        let end = split.parts.get(index + 1).map_or(split.bytes, |next| next.at);
        (part.kind, String::from_utf8_lossy(&text[part.at..end]).into_owned())
    });
    all.collect()
}

fn piece_of(piece: &str) -> (&[u8], Option<&[u8]>) {
    match piece.strip_prefix('⟦').and_then(|rest| rest.strip_suffix('⟧')) {
        Some(name) => (b"", Some(name.as_bytes())),
        None => (piece.as_bytes(), None),
    }
}

fn check(opened: Option<&str>, pieces: &[&str], thought: &str, answer: &str) {
    let parts = parts(opened, pieces);
    let of = |kind| {
        parts.iter().filter(|(other, _)| *other == kind).map(|(_, text)| text.as_str()).collect::<String>()
    };
    assert_eq!(
        (of(Kind::Thought).as_str(), of(Kind::Answer).as_str()),
        (thought, answer),
        "{pieces:?}: {parts:?}"
    );
}

#[test]
fn marks_of_many_models_are_told_from_text() {
    check(None, &["<think>", "\n", "Hm", ".", "\n", "</think>", "\n\n", "Paris", "."], "Hm.", "Paris.");
    check(None, &["<", "th", "ink", ">Hm</thi", "nk>Yes"], "Hm", "Yes");
    check(Some("assistant\n<think>\n"), &["Hm", "\n</think>\n\n", "Yes"], "Hm", "Yes");
    check(None, &["⟦[THINK]⟧", "Hm", "⟦[/THINK]⟧", "Yes"], "Hm", "Yes");
    check(
        None,
        &["⟦<|START_THINKING|>⟧", "Hm", "⟦<|END_THINKING|>⟧", "⟦<|START_RESPONSE|>⟧", "Yes"],
        "Hm",
        "Yes",
    );
    check(None, &["◁think▷Hm◁/think▷Yes"], "Hm", "Yes");
    check(None, &["<seed:think>Hm</seed:think>Yes"], "Hm", "Yes");
    check(None, &["<thought>", "Hm", "</thought>", "Yes"], "Hm", "Yes");
    check(None, &["<|channel>thought", "\n", "Hm", "<channel|>", "Yes"], "Hm", "Yes");
    check(None, &["Here is my thought process: Hm\n\nHere is my response: Yes"], " Hm", " Yes");
}

#[test]
fn channels_of_gpt_oss_are_followed() {
    let analysis = ["⟦<|channel|>⟧", "analysis", "⟦<|message|>⟧", "Hm", "⟦<|end|>⟧"];
    let last = ["⟦<|start|>⟧", "assistant", "⟦<|channel|>⟧", "final", "⟦<|message|>⟧", "Yes"];
    check(None, &[&analysis[..], &last].concat(), "Hm", "Yes");
    check(None, &last[2..], "", "Yes");
    check(None, &analysis, "Hm", "");
    let twice = [&analysis[..], &["⟦<|start|>⟧", "assistant"], &analysis, &last].concat();
    check(None, &twice, "HmHm", "Yes");
    assert_eq!(parts(None, &analysis[..2]), [(Kind::Answer, "analysis".to_owned())]);
}

#[test]
fn what_only_looks_like_a_mark_is_the_answer() {
    for answer in [
        "<b>bold</b>",
        "Use <think> to think.</think>",
        "<",
        "<think",
        "[1] a",
        "",
        "Here is my cat",
        "\n\nHi",
    ] {
        check(None, &[answer], "", answer);
    }
    check(None, &["<think>\n\n</think>\n\n", "Yes <think>no</think>"], "", "Yes <think>no</think>");
    check(None, &["<think>", "cut"], "cut", "");
    check(None, &["<think>", "cut\n\n</th"], "cut\n\n</th", "");
}

#[test]
fn an_open_mark_at_the_end_of_a_prompt_is_found() {
    let open = |prompt: &str| Form::opened_by(prompt).map(|form| form.open.into_owned());
    assert_eq!(open("<|im_start|>assistant\n<think>\n").as_deref(), Some("<think>"));
    assert_eq!(open("<|Assistant|><think>").as_deref(), Some("<think>"));
    assert_eq!(open("x<seed:think>").as_deref(), Some("<seed:think>"));
    for closed in ["assistant\n<think>\n\n</think>\n\n", "assistant\n", "say <b>", ""] {
        assert_eq!(open(closed), None, "{closed}");
    }
}

#[test]
fn tokens_are_counted_with_their_marks() {
    let pieces = ["<think>", "\n", "Hm", ".", "\n", "</think>", "\n\n", "Paris", "."];
    let split = Split::of(None, pieces.iter().map(|piece| piece_of(piece)));
    assert_eq!((split.thought_pieces(), split.pieces), (7, 9));
}

#[test]
fn an_answer_is_told_from_text_alone() {
    assert_eq!(answer_of("<think>\nHm\n</think>\n\nYes"), "Yes");
    assert_eq!(answer_of("[1] is a reference"), "[1] is a reference");
    assert_eq!(answer_of("<think>\n\n</think>\n\nYes"), "<think>\n\n</think>\n\nYes");
}

proptest! {
    #[test]
    fn how_a_reply_is_cut_changes_nothing(
        text in "(<think>|</think>|<thi|nk>|\n|[a-c<>]|\\[THINK\\]|\\[/THINK\\]|é)*",
        cuts in prop::collection::vec(1..6_usize, 0..60),
    ) {
        let whole = Split::of(None, [(text.as_bytes(), None)]);
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest = text.as_bytes();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let cut = Split::of(None, pieces.iter().map(|piece| (*piece, None)));
        let places = |split: &Split| split.parts.iter().map(|part| (part.kind, part.at)).collect::<Vec<_>>();
        prop_assert_eq!(places(&whole), places(&cut));
        prop_assert_eq!(whole.bytes, text.len());
        for pair in cut.parts.windows(2) {
            prop_assert!(pair[0].at <= pair[1].at && pair[0].piece <= pair[1].piece && pair[0].kind != pair[1].kind);
        }
    }
}
