//! The key of a server goes to that server alone: it is in nothing that is drawn, printed, logged, stored or exported,
//! and no other host gets it, whatever the server answers and however much is logged.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::harness::home;
use crate::raw::Raw;
use crate::stand::{Answer, Asked, Stand, answer, models, not_found, reply};

const KEY: &str = "sk-9f+Q/x=7bTw";
/// The key as it may be written: itself, as Base64 (alone and with what stands before it in the header), in an address.
const FORMS: [&str; 6] = [
    KEY,
    "c2stOWYrUS94PTdiVHc",
    "QmVhcmVyIHNrLTlmK1EveD03YlR3",
    "sk-9f%2BQ%2Fx%3D7bTw",
    "sk-9f%2bQ%2fx%3d7bTw",
    "sk-9f+Q\\/x",
];
const VARIABLE: &str = "STAND_KEY";

/// Servers that answer well and badly.
struct Servers {
    good: Stand,
    /// Where others send on to.
    elsewhere: Stand,
    /// Each by the name of its model.
    bad: Vec<(&'static str, Stand)>,
}

fn servers() -> Servers {
    let chats = |chat: fn(&Asked) -> Answer| {
        Stand::start(move |asked| match asked.path.as_str() {
            "/v1/models" => models(&["m"]),
            "/v1/chat/completions" => chat(asked),
            _ => not_found(),
        })
    };
    let elsewhere = Stand::start(|_| models(&["m"]));
    let to = elsewhere.address.clone();
    let bad = vec![
        ("wrong", Stand::start(refuses)),
        ("wrong-later", chats(refuses)),
        ("echo", chats(|asked| answer("400 Bad Request", "application/json", echo(asked)))),
        ("page", chats(|asked| answer("500 Oh", "text/html", format!("<pre>{}</pre>", asked.head)))),
        (
            "stream",
            chats(|asked| answer("200 OK", "text/event-stream", format!("data: {}\n\n", echo(asked)))),
        ),
        (
            "noise",
            chats(|asked| answer("200 OK", "text/event-stream", format!("data: <{}>\n\n", key_of(asked)))),
        ),
        (
            "moved",
            Stand::start(move |asked| Answer {
                headers: format!("Location: {to}/{0}?key={0}\r\n", key_of(asked)),
                ..answer("307 Temporary Redirect", "text/plain", "")
            }),
        ),
    ];
    Servers { good: chats(|_| reply(&["Well", " met."])), elsewhere, bad }
}

fn refuses(asked: &Asked) -> Answer {
    let said = format!("Incorrect key: {}, {}, {}", key_of(asked), FORMS[1], FORMS[3]);
    answer(
        "401 Unauthorized",
        "application/json",
        serde_json::json!({"error": {"message": said}}).to_string(),
    )
}

/// An error that shows the request.
fn echo(asked: &Asked) -> String {
    serde_json::json!({"error": {"message": asked.head, "code": 400}}).to_string()
}

fn key_of(asked: &Asked) -> String {
    let line = asked.head.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization: "));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

/// A configuration with each server twice: the key in the environment, and in a file outside of the home.
fn configure(home: &Path, keys: &Path, servers: &Servers) -> Vec<String> {
    let file = keys.join("key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let (mut text, mut names) = (Vec::new(), Vec::new());
    let all = servers.bad.iter().map(|(name, stand)| (*name, stand));
    for (name, stand) in [("good", &servers.good)].into_iter().chain(all) {
        for key in
            [format!("key_env = \"{VARIABLE}\""), format!("key_file = {:?}", file.display().to_string())]
        {
            let name = format!("{name}-{}", if key.contains("env") { "env" } else { "file" });
            let server = format!("server = \"{}/v1\"", stand.address);
            text.push(["[[models]]".to_owned(), format!("name = \"{name}\""), server, key].join("\n"));
            names.push(name);
        }
    }
    fs::create_dir_all(home.join("config")).unwrap();
    fs::write(home.join("config/config.toml"), text.join("\n")).unwrap();
    names
}

/// What a command prints, on both streams.
fn printed(home: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.env("GLASSBOX_HOME", home).env("GLASSBOX_LOG", "trace").env("NO_PROXY", "127.0.0.1");
    let output = command.env(VARIABLE, KEY).args(arguments).output().unwrap();
    [output.stdout, output.stderr].concat()
}

/// Panics where the key is in there.
fn assert_without_key(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for form in FORMS {
        if let Some(at) = text.find(form) {
            let from = text[..at].char_indices().rev().nth(200).map_or(0, |(at, _)| at);
            panic!("{what} holds {form}: {}", &text[from..at + form.len()]);
        }
    }
}

/// All files of a folder, those of its folders too.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_key_is_in_nothing_that_is_drawn_printed_logged_stored_or_exported() {
    let (home, keys, servers) = (home(), home(), servers());
    let (home, names) = (home.path(), configure(home.path(), keys.path(), &servers));
    let environment = [(VARIABLE, KEY), ("GLASSBOX_LOG", "trace"), ("NO_PROXY", "127.0.0.1")];
    for name in &names {
        let mut app = Raw::start_with(home, &["--model", name], &environment);
        let ends: &str = if name.starts_with("good") { "met." } else { "127.0.0.1:" };
        app.see(name);
        app.send("hello there");
        app.see("hello there");
        app.enter();
        app.see(ends);
        app.settle();
        app.send("\x11");
        app.ended(crate::harness::PATIENCE);
        assert_without_key(&format!("the screen of {name}"), app.came());
    }
    let mut app = Raw::start_with(home, &["--model", "good-env", "--fault", "panic:draw"], &environment);
    app.ended(crate::harness::PATIENCE);
    app.settle();
    assert_without_key("a crash", app.came());

    for name in &names {
        for arguments in [
            &["ask", "hello", "--json", "--model", name][..],
            &["models", "info", name],
            &["models", "info", name, "--json"],
        ] {
            assert_without_key(&format!("{arguments:?}"), &printed(home, arguments));
        }
    }
    for arguments in [
        &["doctor"][..],
        &["doctor", "--json"],
        &["models", "list"],
        &["models", "list", "--json"],
        &["config", "check"],
        &["export"],
    ] {
        assert_without_key(&format!("{arguments:?}"), &printed(home, arguments));
    }
    let chats = String::from_utf8(printed(home, &["export"])).unwrap();
    let ids: Vec<&str> = chats.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(ids.len() > names.len() / 2, "{chats}");
    for id in ids {
        for format in ["md", "json", "jsonl", "html"] {
            assert_without_key(format, &printed(home, &["export", id, "--format", format]));
        }
    }

    let files = files(home);
    let logged: usize = files
        .iter()
        .filter(|file| file.to_string_lossy().contains("log"))
        .map(|file| fs::read(file).unwrap().len())
        .sum();
    assert!(logged > 50_000 && files.iter().any(|file| file.ends_with("glassbox.db")), "{logged}: {files:?}");
    for file in files {
        assert_without_key(&file.display().to_string(), &fs::read(&file).unwrap());
    }
    assert_eq!(servers.elsewhere.asked().len(), 0, "another host was asked");
    let sent = servers.good.asked().iter().filter(|asked| key_of(asked) == KEY).count();
    assert!(sent > 4, "the server gets the key");
}

/// Addresses with a password or a key in them, none of which is taken.
const BAD: [&str; 4] = [
    "https://me:hunter2@box.invalid/v1",
    "https://hunter2@box.invalid/v1",
    "http://127.0.0.1:9/v1?key=hunter2",
    "me:hunter2@box.invalid:8080",
];

#[test]
fn a_secret_in_an_address_is_repeated_by_no_message() {
    for bad in BAD {
        repeated_by_no_message(bad);
    }
}

fn repeated_by_no_message(bad: &str) {
    let home = home();
    let home = home.path();
    let run = |arguments: &[&str], environment: &[(&str, &str)], config: &str| {
        fs::create_dir_all(home.join("config")).unwrap();
        fs::write(home.join("config/config.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
        command.env("GLASSBOX_HOME", home).env("GLASSBOX_LOG", "debug").envs(environment.iter().copied());
        let output = command.args(arguments).stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains("hunter2"), "{arguments:?} {environment:?} {config}: {said}");
        said
    };
    let (entry, url) = (
        format!("[[models]]\nname = \"x\"\nserver = \"{bad}\"\n"),
        format!("[[models]]\nname = \"x\"\nurl = \"{bad}\"\n"),
    );
    for said in [
        run(&["ask", "hi", "--model", bad], &[], ""),
        run(&["ask", "hi", "--server", bad], &[], ""),
        run(&["models", "list"], &[("GLASSBOX_MODEL", bad)], ""),
        run(&["config", "check"], &[], &format!("model = \"{bad}\"\n")),
        run(&["models", "info", bad], &[], ""),
        run(&[bad], &[], ""),
    ] {
        assert!(said.contains('…') || said.contains("an address of a server must"), "{bad}: {said}");
    }
    for arguments in [&["config", "check"][..], &["models", "info", "x"], &["models", "pull", "x"]] {
        run(arguments, &[], &entry);
        run(arguments, &[], &url);
    }
    run(
        &["config", "check"],
        &[],
        &format!("[ui]\ntheme = \"{bad}\"\n[[models]]\nname = \"{bad}\"\nserver = {{ a = \"{bad}\" }}\n"),
    );
    run(&["models", "pull", bad], &[], "");

    let mut app = Raw::start_with(home, &["--engine", "scripted"], &[("GLASSBOX_MODEL", bad)]);
    app.see("ready");
    assert!(!String::from_utf8_lossy(app.came()).contains("hunter2"), "the screen, of {bad}");
    // What is typed stays to be mended; what is said of it is without the secret.
    app.send(&format!("/model {bad}"));
    app.see("hunter2");
    app.enter();
    app.see("there is no model");
    let said = app.line_with("there is no model");
    assert!(said.contains('…') && !said.contains("hunter2"), "{said}");
    app.settle();
    app.send("\x11");
    app.ended(crate::harness::PATIENCE);
    for file in files(&home.join("state")) {
        let text = fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&text).contains("hunter2"), "{}", file.display());
    }
}
