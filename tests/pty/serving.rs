//! Models that a server runs: the list of those it has, and the choice of one.

use std::process::Command;

use termlens::Key;

use crate::harness::{Start, home, press, quit, say, see};
use crate::stand::{Stand, answer, models, not_found, reply};

fn two_models() -> Stand {
    Stand::start(|asked| match asked.path.as_str() {
        "/v1/models" => models(&["first", "second"]),
        "/v1/chat/completions" => reply(&["Here", " I am."]),
        _ => not_found(),
    })
}

#[test]
fn a_model_of_the_server_is_chosen_from_its_list_and_chatted_with() {
    let (home, stand) = (home(), two_models());
    let start = Start { engine: "llama".to_owned(), ..Start::default() };
    let start = start.arg("--server").arg(&stand.address).env("NO_PROXY", "127.0.0.1");
    let mut app = start.within(home.path());
    see(&mut app, "ready");
    app.send(Key::Ctrl('l')).unwrap();
    see(&mut app, "the server's models");
    press(&mut app, Key::Tab);
    see(&mut app, "second");
    press(&mut app, Key::Down);
    press(&mut app, Key::Enter);
    app.wait_until(|screen| screen.row_text(0).contains("second") && screen.row_text(0).contains("ready"))
        .unwrap();
    say(&mut app, "who are you");
    see(&mut app, "Here I am.");
    let chats = stand.asked().into_iter().filter(|asked| asked.path.ends_with("completions"));
    let bodies: Vec<String> = chats.map(|asked| asked.body).collect();
    assert!(bodies.len() == 1 && bodies[0].contains("\"model\":\"second\""), "{bodies:?}");
    quit(app);
}

#[test]
fn the_list_of_a_server_is_printed_with_the_names_that_chat() {
    let (home, stand) = (home(), two_models());
    let said = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command.env("GLASSBOX_HOME", home.path()).env("NO_PROXY", "127.0.0.1").args(arguments);
        let output = command.output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let list = said(&["models", "list", "--server", &stand.address]);
    assert_eq!(list, format!("  {0}#first\n  {0}#second\n", stand.address));
    let json = said(&["models", "list", "--json", "--server", &stand.address]);
    assert!(json.contains(&format!("{{\"name\":\"{}#second\",\"id\":\"second\"}}", stand.address)), "{json}");
    let nobody = said(&["models", "list", "--server", "http://127.0.0.1:1"]);
    assert!(nobody.contains("error: 127.0.0.1:1 cannot be reached"), "{nobody}");
}

/// Asks a server that answers so; gives the exit code, what was printed and what was said beside it.
fn asked(stand: &Stand, arguments: &[&str]) -> (Option<i32>, String, String) {
    let home = home();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.env("GLASSBOX_HOME", home.path()).env("NO_PROXY", "127.0.0.1").current_dir(home.path());
    std::fs::write(home.path().join("schema.json"), r#"{"type":"object"}"#).unwrap();
    std::fs::write(home.path().join("a.gbnf"), "root ::= \"a\"\n").unwrap();
    let address = stand.address.trim_start_matches("http://");
    let output = command.args(["ask", "--server", address]).args(arguments).arg("hi").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn that_replies(body: &'static str) -> Stand {
    Stand::start(move |asked| match asked.path.as_str() {
        "/v1/models" => models(&["m"]),
        "/v1/chat/completions" => answer("200 OK", "text/event-stream", body),
        _ => not_found(),
    })
}

#[test]
fn a_reply_under_a_schema_is_json_or_the_command_fails() {
    let json =
        that_replies("data: {\"choices\":[{\"delta\":{\"content\":\"{}\"},\"finish_reason\":\"stop\"}]}\n\n");
    let (code, out, said) = asked(&json, &["--schema", "schema.json"]);
    assert_eq!((code, out.trim()), (Some(0), "{}"), "{said}");
    let chats = |stand: &Stand| {
        let all = stand.asked().into_iter().filter(|asked| asked.path.ends_with("completions"));
        all.map(|asked| asked.body).collect::<Vec<_>>()
    };
    assert!(chats(&json)[0].contains("\"json_schema\""), "{:?}", chats(&json));

    let prose = Stand::start(|asked| match asked.path.as_str() {
        "/v1/models" => models(&["m"]),
        "/v1/chat/completions" => reply(&["Sure", ", here"]),
        _ => not_found(),
    });
    let (code, _, said) = asked(&prose, &["--schema", "schema.json"]);
    assert!(code == Some(1) && said.contains("it is no JSON"), "{code:?}: {said}");
    let before = chats(&prose).len();
    let (code, out, said) = asked(&prose, &["--grammar", "a.gbnf"]);
    assert_eq!((code, out.as_str(), chats(&prose).len()), (Some(1), "", before));
    assert!(said.contains("takes JSON schemas and no grammars"), "{said}");
}

#[test]
fn why_a_server_cut_a_reply_is_said_and_stands_in_json() {
    let cut = that_replies(
        "data: {\"choices\":[{\"delta\":{\"content\":\"One\"},\"finish_reason\":\"content_filter\"}]}\n\n",
    );
    let (_, out, said) = asked(&cut, &[]);
    assert!(out.trim() == "One" && said.contains("content filter cut the reply"), "{out} {said}");
    assert!(asked(&cut, &["--json"]).1.contains("\"stop_reason\":\"content_filter\""));
    let tools = that_replies("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n");
    assert!(asked(&tools, &[]).2.contains("a call of a tool"));
}

#[test]
fn a_server_that_fails_at_its_list_of_models_is_said_to() {
    let stand =
        Stand::start(|_| answer("500 Internal Server Error", "application/json", "{\"error\":\"boom\"}"));
    let home = home();
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.env("GLASSBOX_HOME", home.path()).env("NO_PROXY", "127.0.0.1");
    let output = command.args(["models", "list", "--server", &stand.address]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("failed (HTTP 500): boom."), "{said}");
    command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    let bare = stand.address.trim_start_matches("http://");
    let output =
        command.env("GLASSBOX_HOME", home.path()).args(["models", "list", "--server", bare]).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains(&format!("write {}", stand.address)), "{said}");
}
