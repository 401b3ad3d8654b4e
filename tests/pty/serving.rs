//! Models that a server runs: the list of those it has, and the choice of one.

use std::process::Command;

use termlens::Key;

use crate::harness::{Start, home, press, quit, say, see};
use crate::stand::{Stand, models, not_found, reply};

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
