//! Templates in the shapes that published models use, and what no trial of a template comes across.

use serde_json::Value;

use super::marks::After;
use super::*;
use crate::engine::protocol::Reasoned;

/// `corpus.json` holds templates, chats, values and what Python 3.11 with Jinja2 3.1.6 renders them to, set up as
/// transformers sets it up, in UTC.
fn corpus() -> Value {
    serde_json::from_str(include_str!("corpus.json")).unwrap()
}

fn message(message: &Value) -> Message {
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    let reasoned = (!message["thinking"].is_null()).then(|| Reasoned {
        thought: text("thinking"),
        answer_from: 0,
        marks_are_text: false,
    });
    let role = serde_json::from_value(message["role"].clone()).unwrap();
    Message { reasoned, ..Message::new(role, text("content")) }
}

#[test]
fn published_shapes_render_as_in_python() {
    let corpus = corpus();
    let chats: Vec<Vec<Message>> = corpus["chats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|chat| chat.as_array().unwrap().iter().map(message).collect())
        .collect();
    let mut wrong = Vec::new();
    for sample in corpus["templates"].as_array().unwrap() {
        let name = sample["name"].as_str().unwrap();
        let template = Template::new(sample["template"].as_str(), "<bos>", "</s>", Vec::new());
        if template.kind != TemplateKind::Model {
            wrong.push(format!("{name}: {:?}", template.notes));
            continue;
        }
        let mut expected = sample["expected"].as_array().unwrap().iter();
        for chat in &chats {
            for values in corpus["values"].as_array().unwrap() {
                let setting = TemplateSetting {
                    clock_ms: corpus["clock_ms"].as_i64().unwrap(),
                    values: serde_json::from_value(values.clone()).unwrap(),
                    ..TemplateSetting::default()
                };
                let lines: Vec<Line<'_>> = chat.iter().map(|message| Wants::Beside.line(message)).collect();
                let rendered = template.jinja.render(&lines, &setting).map_err(|refusal| refusal.why);
                let expected = expected.next().unwrap().as_str();
                if rendered.as_deref().ok() != expected {
                    wrong.push(format!("{name} {values}:\n ours {rendered:?}\nJinja {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[expect(clippy::unnecessary_wraps, reason = "the form of a tokenizer")]
fn spell(text: &str, _: bool, _: After) -> Result<Vec<TokenId>, Failure> {
    Ok(text.chars().map(|c| TokenId(c as i32)).collect())
}

fn encode(template: &Template, messages: &[Message]) -> Result<Encoded, Failure> {
    let bytes_of =
        |id: TokenId| char::from_u32(id.0.unsigned_abs()).map_or(Vec::new(), |c| c.to_string().into_bytes());
    template.encode(messages, false, &TemplateSetting::default(), "here", &mut spell, &bytes_of)
}

fn of_model(source: &str) -> Template {
    let template = Template::new(Some(source), "", "", vec!["<|im_start|>".into(), "<|im_end|>".into()]);
    assert_eq!(template.kind, TemplateKind::Model, "{:?}", template.notes);
    template
}

#[test]
fn an_error_in_a_branch_that_the_trial_did_not_take_does_not_end_the_chat() {
    let template = of_model(
        "{% for m in messages %}{% if m.content == 'Odd' %}{{ m.content.frobnicate() }}{% endif %}{{ m.content }}{% endfor %}",
    );
    let chat = [Message::new(Role::User, "Odd")];
    let encoded = encode(&template, &chat).unwrap();
    assert_eq!(encoded.text, "<|im_start|>user\nOdd<|im_end|>\n<|im_start|>assistant\n");
    assert!(encoded.notes[0].contains("fails on this chat"), "{:?}", encoded.notes);
    assert_eq!(encoded.stops, ["<|im_end|>"]);
    // What a template says itself stands.
    let template = of_model(
        "{% for m in messages %}{% if m.content == 'Odd' %}{{ raise_exception('no odd') }}{% endif %}{{ m.content }}{% endfor %}",
    );
    let failure = encode(&template, &chat).unwrap_err();
    assert!(failure.message.contains("refuses this chat: no odd"), "{}", failure.message);
}

#[test]
fn what_a_template_refuses_is_mended_and_said() {
    let strict = "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
    let template = of_model(strict);
    let check = |chat: &[(Role, &str)], expected: &str, said: &str| {
        let chat: Vec<Message> = chat.iter().map(|(role, text)| Message::new(*role, *text)).collect();
        let encoded = encode(&template, &chat).unwrap();
        assert_eq!(encoded.text, expected);
        assert!(encoded.notes.iter().any(|note| note.contains(said)), "{:?}", encoded.notes);
    };
    check(&[(Role::Assistant, "Hi")], "[user:][assistant:Hi]", "user to begin");
    check(&[(Role::User, "a"), (Role::User, "b")], "[user:a\n\nb]", "joined");
    let late = "{% for m in messages %}{% if m.role == 'system' and messages|length > 3 %}{{ raise_exception('no system') }}{% endif %}[{{ m.role }}:{{ m.content }}]{% endfor %}";
    let template = of_model(late);
    let roles = [Role::System, Role::User, Role::Assistant, Role::User];
    let chat: Vec<Message> = roles.into_iter().map(|role| Message::new(role, "x")).collect();
    let encoded = encode(&template, &chat).unwrap();
    assert_eq!(encoded.text, "[user:x\n\nx][assistant:x][user:x]");
    assert!(encoded.notes[0].contains("system message"), "{:?}", encoded.notes);
}

fn thoughtful(source: &str, text: &str, answer_from: u32, marks_are_text: bool) -> String {
    let reasoned = Some(Reasoned { thought: "Hm".into(), answer_from, marks_are_text });
    let reply = Message { reasoned, ..Message::new(Role::Assistant, text) };
    let chat = [Message::new(Role::User, "Q"), reply, Message::new(Role::User, "R")];
    encode(&of_model(source), &chat).unwrap().text
}

#[test]
fn what_was_thought_is_left_out_as_the_template_says() {
    let each = |content: &str| format!("{{% for m in messages %}}[{{{{ {content} }}}}]{{% endfor %}}");
    let text = "<think>\nHm\n</think>\n\nYes";
    // The template takes it away itself, beside the text, or knows nothing of it.
    assert_eq!(thoughtful(&each("m.content.split('</think>')[-1]"), text, 21, true), "[Q][\n\nYes][R]");
    let beside = each("m.content ~ (m.reasoning_content if m.reasoning_content is string)");
    assert_eq!(thoughtful(&beside, text, 21, true), "[Q][YesHm][R]");
    assert_eq!(thoughtful(&each("m.content"), text, 21, true), "[Q][Yes][R]");
    // Marks of control tokens have no text, so nothing could take them away.
    assert_eq!(thoughtful(&each("m.content.split('</think>')[-1]"), "HmYes", 2, false), "[Q][Yes][R]");
}

#[test]
fn what_a_template_can_be_told_is_found_in_it() {
    let corpus = corpus();
    let switches = |name: &str| {
        let all = corpus["templates"].as_array().unwrap();
        let sample = all.iter().find(|sample| sample["name"] == name).unwrap();
        Template::new(sample["template"].as_str(), "", "", Vec::new()).switches
    };
    assert!(switches("qwen3").values.contains(&"enable_thinking".to_owned()));
    assert!(switches("gpt-oss").values.contains(&"reasoning_effort".to_owned()), "{:?}", switches("gpt-oss"));
    assert!(switches("granite-3.3").values.contains(&"thinking".to_owned()));
    let words = switches("smollm3").words;
    assert!(
        ["/no_think", "/think", "/system_override"].iter().all(|word| words.contains(&(*word).to_owned())),
        "{words:?}"
    );
    assert_eq!(switches("gemma3").words, Vec::<String>::new());
}
