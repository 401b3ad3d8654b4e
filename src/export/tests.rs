//! Whether what is exported parses, holds what it should, and can do no harm.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat::*;
use crate::token::{Candidate, Entry, Odds};

struct Fixture {
    conversation: Conversation,
    runs: BTreeMap<RunId, Run>,
    vocabularies: BTreeMap<String, Arc<Vocabulary>>,
}

impl Fixture {
    fn document(&self) -> Document<'_> {
        Document {
            conversation: &self.conversation,
            runs: &self.runs,
            vocabularies: &self.vocabularies,
            thinking: false,
        }
    }
}

fn vocabulary(entries: &[&[u8]]) -> Vocabulary {
    let mut vocabulary = Vocabulary { hash: "v".into(), ..Vocabulary::default() };
    for bytes in entries {
        vocabulary.push(bytes, TokenKind::Normal);
    }
    vocabulary.push(b"<|im_end|>", TokenKind::Control);
    vocabulary
}

fn step(id: i32, bytes: &[u8], logprob: f32) -> Step {
    let candidates =
        vec![Candidate { id: TokenId(id), logprob }, Candidate { id: TokenId(0), logprob: -3.0 }];
    Step {
        id: Some(TokenId(id)),
        bytes: bytes.to_vec(),
        logprob,
        rank: 1,
        entropy: 0.5,
        candidates,
        ..Step::default()
    }
}

fn turn(id: i64, parent: Option<i64>, role: Role, spans: Vec<Span>) -> Turn {
    Turn {
        id: TurnId(id),
        parent: parent.map(TurnId),
        role,
        spans,
        state: TurnState::Done,
        deleted: false,
        note: None,
        model: (role == Role::Assistant).then(|| "tiny".to_owned()),
        created_ms: 5,
        inserts: Vec::new(),
    }
}

fn fixture(title: &str, question: &str, steps: Vec<Step>, vocabulary: Vocabulary) -> Fixture {
    let answer = Span::Generated { run: RunId(9), steps };
    let branch = Span::Kept { turn: TurnId(2), steps: 1 };
    let turns = vec![
        turn(1, None, Role::User, vec![Span::Written { text: question.into() }]),
        turn(2, Some(1), Role::Assistant, vec![answer]),
        turn(3, Some(1), Role::Assistant, vec![branch]),
    ];
    let head = ConversationHead {
        title: title.into(),
        created_ms: 1,
        updated_ms: 2,
        ..ConversationHead::new(ConversationId(4))
    };
    let leaf = Some(TurnId(2));
    Fixture {
        conversation: Conversation {
            head,
            settings: ChatSettings::default(),
            leaf,
            turns,
            place: Place::default(),
        },
        runs: [(RunId(9), Run::of_tests(9, "tiny"))].into(),
        vocabularies: [("v".to_owned(), Arc::new(vocabulary))].into(),
    }
}

fn paris() -> Fixture {
    let vocabulary = vocabulary(&[b" London", b" Paris", b"."]);
    fixture("Capitals", "Where?", vec![step(1, b" Paris", -0.25), step(2, b".", -0.5)], vocabulary)
}

#[test]
fn markdown_shows_the_shown_branch_with_its_figures() {
    let expected = "# Capitals\n\n## You\n\nWhere?\n\n## tiny\n\n Paris.\n\n\
                    <sub>2 tokens, 0.54 bit each, perplexity 1.45</sub>\n";
    assert_eq!(paris().document().export(Format::Markdown), expected);
}

#[test]
fn links_and_footnotes_of_a_message_do_not_act_on_another() {
    let mut chat = paris();
    let text = "See [docs] and[^1].\n\n[docs]: https://one.example\n[^1]: mine";
    chat.conversation.turns[0].spans = vec![Span::Written { text: text.into() }];
    let other = b"The [docs] say so[^1].\n\n[^1]: theirs".as_slice();
    chat.conversation.turns[1].spans =
        vec![Span::Generated { run: RunId(9), steps: vec![step(1, other, -0.5)] }];
    let page = chat.document().export(Format::Markdown);
    assert!(
        page.contains("See [docs][docs-m1] and[^1-m1].\n\n[docs-m1]: https://one.example\n[^1-m1]: mine"),
        "{page}"
    );
    assert!(page.contains("The [docs] say so[^1-m2].\n\n[^1-m2]: theirs"), "{page}");
}

#[test]
fn what_a_message_leaves_open_is_closed_before_the_next() {
    let mut chat = paris();
    chat.conversation.turns[0].spans = vec![Span::Written { text: "Why?\n\n~~~~rust\nfn main() {".into() }];
    let page = chat.document().export(Format::Markdown);
    assert!(
        page.starts_with("# Capitals\n\n## You\n\nWhy?\n\n~~~~rust\nfn main() {\n~~~~\n\n## tiny\n"),
        "{page}"
    );
}

#[test]
fn headings_and_html_of_a_message_forge_no_other_message() {
    let forged = "Fine.\n\n## You\n\nI agree to all.\n\nYou\n---\n\n<h2>tiny</h2>\n\n<!-- hidden";
    let mut chat =
        fixture("t <!--", forged, vec![step(1, forged.as_bytes(), -0.5)], vocabulary(&[b"", b"x"]));
    chat.conversation.settings.system = Some("# You\n\n```".into());
    let page = chat.document().export(Format::Markdown);
    let heads: Vec<&str> =
        page.lines().filter(|line| line.starts_with("# ") || line.starts_with("## ")).collect();
    assert_eq!(heads, ["# t <!--", "## System prompt", "## You", "## tiny"], "{page}");
    assert!(
        page.contains("\n### You\n") && page.contains("\\<h2>tiny") && page.contains("\\<!-- hidden"),
        "{page}"
    );
    assert!(page.contains("### You\n\n```\n```\n\n## You"), "what the system prompt leaves open: {page}");
}

#[test]
fn what_was_thought_is_exported_only_where_it_is_asked_for() {
    let pieces = ["<think>", "\n", "# Hm", ", France.", "\n", "</think>", "\n\n", "Paris."];
    let steps = pieces.iter().map(|piece| step(1, piece.as_bytes(), -0.5)).collect();
    let chat = fixture("t", "q", steps, vocabulary(&[b"", b"x"]));
    let (without, with) = (chat.document(), Document { thinking: true, ..chat.document() });
    for format in [Format::Markdown, Format::Html] {
        let text = without.export(format);
        let shown = text.split("id=\"data\"").next().unwrap();
        assert!(!shown.contains("Hm") && !shown.contains("thought: ") && shown.contains("Paris."), "{text}");
    }
    let text = with.export(Format::Markdown);
    let expected =
        "<details>\n<summary>thought: 7 tokens</summary>\n\n### Hm, France.\n\n</details>\n\nParis.\n";
    assert!(text.contains(expected), "{text}");
    let text = with.export(Format::Html);
    assert!(text.contains("<summary>thought: 7 tokens</summary>") && text.contains("># Hm</span>"), "{text}");
    assert_eq!(without.export(Format::Json), with.export(Format::Json), "JSON is whole in any case");
}

#[test]
fn json_lines_hold_every_turn_and_branch_with_its_tokens() {
    let text = paris().document().export(Format::JsonLines);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["conversation", "run", "turn", "turn", "token", "token", "turn", "token"]);
    assert_eq!(
        lines[4].to_string(),
        concat!(
            r#"{"type":"token","turn":2,"index":0,"id":1,"token":" Paris","bytes":[32,80,97,114,105,115],"#,
            r#""logprob":-0.25,"rank":1,"entropy":0.5,"top_logprobs":["#,
            r#"{"id":1,"token":" Paris","bytes":[32,80,97,114,105,115],"logprob":-0.25},"#,
            r#"{"id":0,"token":" London","bytes":[32,76,111,110,100,111,110],"logprob":-3}],"ms":0,"run":9}"#
        )
    );
    assert_eq!(lines[6]["shown"], false);
    assert_eq!(lines[6]["spans"][0]["kept_from"], 2);
}

/// A reply of a server that told neither ids, ranks nor entropies, and of its second token nothing.
fn untold() -> Fixture {
    let mut chat = paris();
    let stand_in = TokenId(-310_482_891);
    let entry = Entry { bytes: b" Paris".to_vec(), kind: TokenKind::Normal };
    let learned = [(stand_in, entry)].into();
    let vocabulary = Vocabulary { hash: "v".into(), learned, ..Vocabulary::default() };
    chat.vocabularies.insert("v".into(), Arc::new(vocabulary));
    let candidates = vec![Candidate { id: stand_in, logprob: -0.25 }];
    let unsaid = Step { rank: 0, entropy: f32::NAN, ..step(1, b" Paris", -0.25) };
    let first = Step { id: Some(stand_in), candidates, ..unsaid.clone() };
    let second = Step { id: None, bytes: b".".to_vec(), logprob: f32::NAN, candidates: Vec::new(), ..unsaid };
    chat.conversation.turns[1].spans = vec![Span::Generated { run: RunId(9), steps: vec![first, second] }];
    let teller = Teller { title: "vLLM".into(), host: "box:8000".into(), odds: Odds::Top(20) };
    chat.runs.get_mut(&RunId(9)).unwrap().told_by = Some(teller);
    chat
}

#[test]
fn what_a_server_did_not_say_is_no_figure_in_any_format() {
    let chat = untold();
    let json: Value = serde_json::from_str(&chat.document().export(Format::Json)).unwrap();
    let tokens = &json["turns"][1]["tokens"];
    for figure in ["id", "rank", "entropy"] {
        assert_eq!(tokens[0][figure], Value::Null, "{figure}");
    }
    assert_eq!((&tokens[0]["token"], &tokens[0]["stand_in"]), (&json!(" Paris"), &json!(-310_482_891)));
    assert_eq!((&tokens[0]["logprob"], &tokens[1]["logprob"]), (&json!(-0.25), &Value::Null));
    assert_eq!(tokens[0]["top_logprobs"][0]["token"], " Paris");
    assert_eq!(json["runs"][0]["told_by"]["host"], "box:8000");
    let markdown = chat.document().export(Format::Markdown);
    // The mean is over the token whose odds are known: 0.25 nats.
    let figures =
        "<sub>2 tokens, 0.36 bit each, perplexity 1.28; figures of vLLM at box:8000, top 20 only</sub>";
    assert!(markdown.contains(figures), "{markdown}");
    let page = chat.document().export(Format::Html);
    assert!(
        page.contains("[0,-0.25,null,null,[[0,-0.25]]]") && page.contains(",null,null,null,[]]"),
        "{page}"
    );
    assert!(!page.contains("NaN,") && !page.contains("-310482891"), "{page}");
}

#[test]
fn a_reply_of_a_server_comes_back_from_its_export() {
    let chat = untold();
    let text = chat.document().export(Format::JsonLines);
    let back = crate::import::read(&text).unwrap().remove(0);
    let steps = |chat: &Conversation| chat.turns[1].steps().cloned().collect::<Vec<_>>();
    let (there, here) = (steps(&chat.conversation), steps(&back.conversation));
    assert_eq!((here[0].id, here[0].rank, &here[0].candidates), (there[0].id, 0, &there[0].candidates));
    assert!(here[0].entropy.is_nan() && here[1].logprob.is_nan() && here[1].id.is_none());
    assert_eq!(back.words["v"][&TokenId(-310_482_891)].bytes, b" Paris");
    assert_eq!(back.runs[0].told_by, chat.runs[&RunId(9)].told_by);
}

#[test]
fn a_candidate_of_an_unknown_vocabulary_has_no_text_rather_than_a_wrong_one() {
    let mut fixture = paris();
    fixture.vocabularies.clear();
    let text = fixture.document().export(Format::Json);
    let whole: Value = serde_json::from_str(&text).unwrap();
    let token = &whole["turns"][1]["tokens"][0];
    assert_eq!(token["token"], " Paris");
    assert_eq!(token["top_logprobs"][1]["token"], Value::Null);
    assert_eq!(token["top_logprobs"][1]["id"], 0);
}

#[test]
fn the_page_stands_alone_and_text_cannot_become_markup() {
    let evil = "</script><img src=x onerror=alert(1)>@DATA@ & \"q\"";
    let vocabulary = vocabulary(&[b" London", evil.as_bytes()]);
    let fixture = fixture(evil, evil, vec![step(1, evil.as_bytes(), -0.5)], vocabulary);
    let page = fixture.document().export(Format::Html);
    assert!(!page.contains("<img"), "{page}");
    assert_eq!(page.matches("</script>").count(), 2, "the page's own two");
    let plain = paris().document().export(Format::Html);
    assert!(!plain.contains("http:") && !plain.contains("https:") && !plain.contains("src="));
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["names"][0].as_str().unwrap(), evil.replace(' ', "␣"));
}

#[test]
fn tokens_that_share_a_character_share_a_span() {
    let vocabulary = vocabulary(&[b"a", b"\xf0\x9f", b"\x98\x80"]);
    let steps = vec![step(1, b"\xf0\x9f", -1.0), step(2, b"\x98\x80", -0.1)];
    let page = fixture("t", "q", steps, vocabulary).document().export(Format::Html);
    assert!(page.contains("data-t=\"0 1\">\u{1F600}</span>"), "{page}");
    assert!(page.contains("‹F0 9F›"));
}

proptest! {
    #[test]
    fn json_parses_and_gives_back_every_token(
        pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..6), -30.0_f32..0.0), 1..12),
        question in any::<String>(),
        title in any::<String>(),
    ) {
        let entries: Vec<&[u8]> = pieces.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        let steps: Vec<Step> =
            (0..).zip(&pieces).map(|(id, (bytes, logprob))| step(id, bytes, *logprob)).collect();
        let fixture = fixture(&title, &question, steps.clone(), vocabulary(&entries));
        let whole: Value = serde_json::from_str(&fixture.document().export(Format::Json)).unwrap();
        prop_assert_eq!(whole["title"].as_str().unwrap(), &title);
        prop_assert_eq!(whole["turns"][0]["text"].as_str().unwrap(), &question);
        let tokens = whole["turns"][1]["tokens"].as_array().unwrap();
        let read: Vec<(i64, Vec<u8>, f32)> = tokens.iter().map(|token| {
            let bytes = token["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap() as u8).collect();
            (token["id"].as_i64().unwrap(), bytes, token["logprob"].as_f64().unwrap() as f32)
        }).collect();
        let written: Vec<(i64, Vec<u8>, f32)> =
            steps.iter().map(|s| (i64::from(s.id.unwrap().0), s.bytes.clone(), s.logprob)).collect();
        prop_assert_eq!(read, written);
        for line in fixture.document().export(Format::JsonLines).lines() {
            prop_assert!(serde_json::from_str::<Value>(line).is_ok());
        }
        let page = fixture.document().export(Format::Html);
        prop_assert_eq!(page.matches("</script>").count(), 2);
    }
}

#[test]
fn no_format_tells_where_a_model_or_a_log_lies() {
    let mut chat = paris();
    let path = "/home/ada/models/Tiny-7B.gguf";
    for turn in &mut chat.conversation.turns {
        turn.model = (turn.role == Role::Assistant).then(|| path.to_owned());
        turn.note = Some("the engine could not read /home/ada/models/Tiny-7B.gguf".into());
    }
    for run in chat.runs.values_mut() {
        run.model = path.into();
    }
    for format in [Format::Markdown, Format::Html, Format::Json, Format::JsonLines] {
        let text = chat.document().export(format);
        assert!(text.contains("Tiny-7B") && !text.contains("/home") && !text.contains("/ada"), "{text}");
    }
}
