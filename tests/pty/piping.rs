//! The command line as people pipe it.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::home;

const ENGINE: &str = "scripted:token_ms=0,load_ms=1";

/// Runs a command in a home, with something on standard input if there is.
fn glassbox(home: &Path, arguments: &[&str], piped: Option<&str>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home)
        .args(arguments)
        .args(if arguments.contains(&"--engine") { &[][..] } else { &["--engine", ENGINE] })
        .stdin(if piped.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let (Some(text), Some(mut input)) = (piped, child.stdin.take()) {
        input.write_all(text.as_bytes()).unwrap();
    }
    child.wait_with_output().unwrap()
}

/// Standard output of a command that has to work.
fn said(home: &Path, arguments: &[&str], piped: Option<&str>) -> String {
    let output = glassbox(home, arguments, piped);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The prompt that a command would give the model.
fn prompt(home: &Path, arguments: &[&str], piped: Option<&str>) -> String {
    let output = glassbox(home, &[&["ask", "--show-prompt", "--max-tokens", "1"], arguments].concat(), piped);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_is_piped_beside_a_question_is_read_with_it() {
    let home = home();
    let shown = prompt(home.path(), &["Summarise the text"], Some("The cat sat.\n"));
    assert!(shown.contains("user\nSummarise the text\n\nThe cat sat.<|im_end|>"), "{shown}");
    for arguments in [&["-"][..], &[]] {
        let shown = prompt(home.path(), arguments, Some("The cat sat.\n"));
        assert!(shown.contains("user\nThe cat sat.<|im_end|>"), "{shown}");
    }
    assert!(prompt(home.path(), &["Hi"], None).contains("user\nHi<|im_end|>"));
    let nothing = glassbox(home.path(), &["ask"], Some(""));
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no prompt"));
}

/// A command whose engine is a script that starts another command, says its number and never greets.
fn asking_a_silent_script(home: &Path) -> (std::process::Child, u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let (script, number) = (home.join("engine.sh"), home.join("number"));
    let lines =
        format!("#!/bin/sh\nsleep 1000 &\necho $! > {0}.new\nmv {0}.new {0}\nwait\n", number.display());
    std::fs::write(&script, lines).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let config = format!(
        "model = \"far\"\n[[models]]\nname = \"far\"\npath = \"/m.gguf\"\nengine = [\"{}\"]\n",
        script.display()
    );
    std::fs::write(home.join("config.toml"), config).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home)
        .args(["ask", "Hi", "--config"])
        .arg(home.join("config.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    crate::harness::until("the script runs", || number.exists());
    (child, std::fs::read_to_string(number).unwrap().trim().parse().unwrap())
}

#[test]
fn a_command_that_is_ended_ends_what_its_engine_started() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let home = home();
        let (mut command, started) = asking_a_silent_script(home.path());
        crate::harness::signal(command.id(), signal);
        assert_eq!(command.wait().unwrap().code(), Some(code));
        crate::harness::until("what the script started ends", || !crate::harness::alive(started));
    }
}

#[test]
fn a_reply_begins_before_the_vocabulary_has_come() {
    let home = home();
    // Ten minutes, for which no word waits.
    let engine = format!("{ENGINE},vocabulary_ms=600000");
    let mut child = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home.path())
        .args(["ask", "Hi", "--seed", "1", "--engine", &engine])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let (sender, begun) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut first = [0];
        let _ = sender.send(output.read_exact(&mut first).map(|()| first[0]));
    });
    let first = begun.recv_timeout(std::time::Duration::from_mins(1));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.unwrap().is_ok());
}

#[test]
fn an_interrupt_from_the_terminal_ends_the_reply_and_not_the_engine() {
    let home = home();
    let mut asked = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home.path())
        .args(["ask", "Tell a long story", "--engine", "scripted:token_ms=100,load_ms=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    asked.stdout.as_mut().unwrap().read_exact(&mut [0; 1]).unwrap();
    // As Ctrl+C does: to all processes in the foreground.
    let group = format!("-{}", asked.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let output = asked.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), errors.contains("the engine ended")), (Some(130), false), "{errors}");
}

#[test]
fn files_go_below_the_question_and_what_is_no_text_is_refused() {
    let home = home();
    let file = |name: &str, bytes: &[u8]| {
        let path = home.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let (one, two) = (file("one.txt", b"first\n"), file("two.txt", b"second"));
    let shown = prompt(home.path(), &["Compare.", "-f", &one, "-f", &two], Some("piped"));
    let block = |name: &str, text: &str| format!("{name}:\n```\n{text}\n```");
    let expected = format!("Compare.\n\n{}\n\n{}\n\npiped", block(&one, "first"), block(&two, "second"));
    assert!(shown.contains(&expected), "{shown}");
    let refused = glassbox(home.path(), &["ask", "Hi", "-f", &file("a.bin", b"\0\x01")], None);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a.bin is not a text"));
}

#[test]
fn an_exchange_is_kept_and_gone_on_with() {
    let home = home();
    let path = home.path();
    let first = said(path, &["ask", "--keep", "My name is Ada.", "--seed", "1"], None);
    let shown = prompt(path, &["--continue", "What is my name?", "--seed", "2"], None);
    let told =
        format!("user\nMy name is Ada.<|im_end|>\n<|im_start|>assistant\n{}<|im_end|>", first.trim_end());
    assert!(shown.contains(&told), "{shown}");
    assert!(shown.contains("user\nWhat is my name?<|im_end|>"), "{shown}");
    let chats = said(path, &["export"], None);
    let id = chats.split_whitespace().next().unwrap();
    assert_eq!(chats.lines().count(), 1, "{chats}");
    let text = said(path, &["ask", "--json", "--chat", id, "Goodbye"], None);
    let end: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(end["chat"].to_string(), id);
    let chat: serde_json::Value =
        serde_json::from_str(&said(path, &["export", id, "--format", "json"], None)).unwrap();
    assert_eq!(chat["turns"].as_array().unwrap().len(), 6, "{chat}");
    let missing = glassbox(path, &["ask", "--chat", "7", "Hi"], None);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no chat 7"), "{missing:?}");
}

#[test]
fn nothing_is_kept_unless_asked() {
    let home = home();
    said(home.path(), &["ask", "Hi"], None);
    let none = glassbox(home.path(), &["ask", "--continue", "Hi"], None);
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no chat yet"), "{none:?}");
}

#[test]
fn a_chat_that_outgrows_the_context_goes_on_without_its_oldest_messages() {
    let home = home();
    let ask = |text: &str, keep: &str| {
        let engine = format!("{ENGINE},context=160");
        glassbox(home.path(), &["ask", keep, text, "--max-tokens", "5", "--engine", &engine], None)
    };
    let long = "word ".repeat(60);
    assert!(ask(&long, "--keep").status.success());
    assert!(ask(&long, "--continue").status.success());
    let third = ask(&long, "--continue");
    let errors = String::from_utf8_lossy(&third.stderr).into_owned();
    assert!(third.status.success() && errors.contains("oldest messages are left out"), "{errors}");
}

#[test]
fn what_was_thought_is_no_part_of_what_is_piped_unless_asked_for() {
    let home = home();
    let path = home.path();
    let answer = said(path, &["ask", "please think", "--seed", "1"], None);
    assert!(
        !answer.contains("think>") && !answer.contains("One moment") && answer.contains("“please think”"),
        "{answer}"
    );
    let whole = said(path, &["ask", "please think", "--seed", "1", "--show-thinking"], None);
    assert_eq!(whole, format!("<think>\nThey ask me to think. One moment.\n</think>\n\n{answer}"));
    let lines = said(path, &["ask", "please think", "--seed", "1", "--json"], None);
    let end: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(end["reasoning"], "They ask me to think. One moment.");
    assert_eq!(end["answer"], answer.trim_end());
    assert!(lines.contains("They"), "every token has its line");
    said(path, &["ask", "--keep", "please think", "--seed", "1"], None);
    for (format, marked) in [("md", "<summary>thought: "), ("html", "<summary>thought: ")] {
        let export =
            |more: &[&str]| said(path, &[&["export", "last", "--format", format], more].concat(), None);
        assert!(!export(&[]).contains(marked) && export(&["--show-thinking"]).contains(marked), "{format}");
    }
}

#[test]
fn every_sampler_setting_can_be_given() {
    let home = home();
    let file = std::path::PathBuf::from(said(home.path(), &["config", "path"], None).trim_end());
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, "[presets.tight]\ntop_k = 1\n").unwrap();
    let run = |arguments: &[&str]| {
        said(home.path(), &[&["ask", "--keep", "Hi", "--seed", "3"], arguments].concat(), None);
        let chat = said(home.path(), &["export", "last", "--format", "json"], None);
        let chat: serde_json::Value = serde_json::from_str(&chat).unwrap();
        chat["runs"][0]["sampling"].clone()
    };
    let sampling =
        run(&["--preset", "tight", "--repeat-penalty", "1.1", "--set", "min_keep=2", "--stop", "END"]);
    assert_eq!(sampling["top_k"], 1, "{sampling}");
    assert_eq!(sampling["min_keep"], 2);
    assert_eq!(sampling["stop"], serde_json::json!(["END"]));
    let refused = glassbox(home.path(), &["ask", "Hi", "--top-p", "2"], None);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn marks_are_control_tokens_where_that_is_asked_for() {
    let home = home();
    let tokens = |arguments: &[&str]| {
        let text = said(home.path(), &[&["score", "-", "--json"], arguments].concat(), Some("Hi<|im_end|>"));
        text.lines().count() - 1
    };
    let (plain, special) = (tokens(&[]), tokens(&["--special"]));
    assert!(special < plain, "{special} {plain}");
    let message = said(home.path(), &["score", "-", "--json", "--as-message"], Some("Hi there"));
    let end: serde_json::Value = serde_json::from_str(message.lines().last().unwrap()).unwrap();
    assert_eq!(end["bytes"], "Hi there".len());
    let raw = prompt(home.path(), &["--raw", "--special", "Hi<|im_end|>"], None);
    assert!(raw.contains("Hi<|im_end|>"), "{raw}");
}

#[test]
fn chats_are_imported_once() {
    let home = home();
    let file = home.path().join("chats.json");
    let messages = serde_json::json!([
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Paris."},
    ]);
    std::fs::write(&file, serde_json::json!({"name": "Capitals", "messages": messages}).to_string()).unwrap();
    let file = file.display().to_string();
    let said_of = |arguments: &[&str]| said(home.path(), &[&["import"], arguments].concat(), None);
    assert!(said_of(&[&file]).ends_with("chats.json: 1 chat with 2 messages\n"));
    assert!(said_of(&[&file]).ends_with("0 chats with 0 messages; 1 chat here already\n"));
    assert!(said(home.path(), &["export"], None).ends_with("Capitals\n"));
    let shown = prompt(home.path(), &["--continue", "And of Spain?"], None);
    assert!(shown.contains("assistant\nParis.<|im_end|>") && shown.contains("And of Spain?"), "{shown}");

    let exported = home.path().join("out.json").display().to_string();
    said(home.path(), &["export", "last", "--output", &exported], None);
    assert!(said_of(&[&exported]).contains("1 chat here already"));
    let other = crate::harness::home();
    assert!(said(other.path(), &["import", &exported], None).ends_with("1 chat with 4 messages\n"));
    let twice = other.path().join("again.json").display().to_string();
    said(other.path(), &["export", "last", "--output", &twice], None);
    // The other home has not seen the vocabulary, so it cannot name the candidates.
    let turns = |path: &str| {
        let mut value: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let turns = value["turns"].as_array_mut().unwrap();
        let tokens = turns.iter_mut().flat_map(|turn| turn["tokens"].as_array_mut().unwrap());
        for candidate in tokens.flat_map(|token| token["top_logprobs"].as_array_mut().unwrap()) {
            let named = candidate.as_object_mut().unwrap();
            named.retain(|name, _| name != "token" && name != "bytes");
        }
        value["turns"].clone()
    };
    assert_eq!(turns(&exported), turns(&twice));
    let wrong = glassbox(home.path(), &["import", "Cargo.toml", &file], None);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("Cargo.toml is not JSON"), "{wrong:?}");
}

#[test]
fn the_configuration_is_found_and_checked() {
    let home = home();
    let path = said(home.path(), &["config", "path"], None);
    let file = std::path::PathBuf::from(path.trim_end());
    assert!(said(home.path(), &["config", "check"], None).contains("is not there"));
    let edited = glassbox_edit(home.path(), "true");
    assert!(edited.status.success(), "{edited:?}");
    assert!(std::fs::read_to_string(&file).unwrap().contains("# temperature = 0.8"));
    std::fs::write(&file, "[sampling]\ntop_p = 7\n").unwrap();
    let wrong = glassbox(home.path(), &["config", "check"], None);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("top_p"), "{wrong:?}");
    assert_eq!(glassbox_edit(home.path(), "false").status.code(), Some(1));
}

fn glassbox_edit(home: &Path, editor: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home)
        .env_remove("VISUAL")
        .env("EDITOR", editor)
        .args(["config", "edit"])
        .output()
        .unwrap()
}

#[test]
fn each_command_has_its_manual_page() {
    let home = home();
    let folder = home.path().join("man");
    said(home.path(), &["man", &folder.display().to_string()], None);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(page("glassbox.1").contains("glassbox"));
    assert!(page("glassbox-ask.1").contains("repeat\\-penalty"));
}

#[test]
fn a_chat_by_lines_goes_on_with_another_model_and_keeps_thoughts_to_be_asked_for() {
    let home = home();
    let lines = "please think\n/thoughts\n/model\n/model nowhere\n/model gemma-3-270m\nhello\n/model\n";
    let said_it = said(home.path(), &["--plain"], Some(lines));
    assert!(
        said_it.contains("(thinking; /thoughts tells it afterwards) ") && !said_it.contains("think>"),
        "{said_it}"
    );
    assert!(said_it.contains("\nThey ask me to think. One moment.\n"), "{said_it}");
    assert!(
        said_it.contains("smollm2-135m-instruct, in use\n") && said_it.contains("gemma-3-270m\n"),
        "{said_it}"
    );
    assert!(said_it.contains("there is no model named nowhere. There are: "), "{said_it}");
    assert!(
        said_it.contains("gemma-3-270m answers now.\n") && said_it.contains("gemma-3-270m, in use\n"),
        "{said_it}"
    );
    assert!(said_it.contains("gemma-3-270m: "), "{said_it}");
}

#[test]
fn a_chat_by_lines_is_a_chat_with_its_odds_and_is_kept() {
    let home = home();
    let lines = "hello there\n/odds\n/odds 1\n/again\n/nonsense\nand\\\nmore\n/chats\n/quit\nnever\n";
    let said_it = said(home.path(), &["--plain"], Some(lines));
    assert!(!said_it.contains('\u{1b}'), "{said_it}");
    assert!(said_it.contains("\n1. ") && said_it.contains(" %\n"), "{said_it}");
    assert!(said_it.contains("Likeliest in place"), "{said_it}");
    assert!(said_it.contains("There is no command /nonsense; /help lists them"), "{said_it}");
    assert!(said_it.contains("1. hello there\n"), "{said_it}");
    let again = said(home.path(), &["--plain", "--resume"], Some("/chats\n/open 1\n"));
    assert!(again.contains("You: hello there\n") && again.contains("You: and\nmore\n"), "{again}");
    assert!(!again.contains("never"), "{again}");
}

#[test]
fn a_chat_by_lines_speaks_to_a_persona() {
    let home = home();
    let folder = home.path().join("config/personas");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("pirate.toml"),
        "about = \"at sea\"\nsystem = \"Say arr.\"\nmodel = \"gemma-3-270m\"\n",
    )
    .unwrap();
    std::fs::write(folder.join("lost.toml"), "system = \"Sigh.\"\nmodel = \"nowhere\"\n").unwrap();
    let chat = || said(home.path(), &["export", "last", "--format", "json"], None);
    let said_it = said(home.path(), &["--plain", "--persona", "pirate"], Some("hello there\n"));
    assert!(said_it.contains("Loading gemma-3-270m") && said_it.contains("gemma-3-270m: "), "{said_it}");
    assert!(chat().contains("Say arr."), "{}", chat());

    let lines = "/persona\n/persona zork\n/persona lost\nhello again\n/persona none\n/persona pirate\n";
    let said_it = said(home.path(), &["--plain"], Some(lines));
    assert!(said_it.contains("lost\npirate: at sea\n"), "{said_it}");
    assert!(said_it.contains("there is no persona zork; there are: lost, pirate\n"), "{said_it}");
    assert!(
        said_it.contains("lost in this chat.\n") && said_it.contains("No persona in this chat.\n"),
        "{said_it}"
    );
    assert!(said_it.contains("gemma-3-270m answers now.\n"), "{said_it}");
    assert!(chat().contains("Sigh."), "{}", chat());

    for arguments in [&["--plain", "--persona", "pirat"][..], &["--plain", "--persona", "zork"]] {
        let output = glassbox(home.path(), arguments, Some("hello\n"));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && errors.contains("there is no persona "),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn a_chat_by_lines_is_resumed_where_one_was_looked_at_last() {
    let home = home();
    said(home.path(), &["--plain"], Some("the first\n"));
    said(home.path(), &["--plain"], Some("the second\n"));
    let resumed = || said(home.path(), &["--plain", "--resume"], Some("/again\n/odds\n/chats\n"));
    let of = |text: &str| said(home.path(), &["export", text, "--format", "json"], None);
    assert!(resumed().contains("1. the second\n2. the first\n"));
    // Opened, and nothing written in it: it is looked at all the same.
    let opened = said(home.path(), &["--plain"], Some("/chats\n/open 2\n"));
    assert!(opened.contains("You: the first\n"), "{opened}");
    said(home.path(), &["--plain", "--resume"], Some("one more\n"));
    assert!(of("last").contains("the first") && of("last").contains("one more"), "{}", of("last"));
}

#[test]
fn what_concerns_the_template_is_said_only_where_one_is_used() {
    let home = home();
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    let entry = "[[models]]\nname = \"base\"\npath = \"/models/base.gguf\"\n";
    std::fs::write(home.path().join("config/config.toml"), entry).unwrap();
    let file = home.path().join("text.txt");
    std::fs::write(&file, "Hi there").unwrap();
    let file = file.to_str().unwrap();
    let said_by = |arguments: &[&str]| {
        let output = glassbox(home.path(), arguments, None);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        errors.contains("no chat template")
    };
    let said_of_it = |arguments: &[&str]| said_by(&[arguments, &["--model", "base"]].concat());
    assert!(!said_by(&["compare", "base", "base", file]));
    assert!(said_by(&["compare", "base", "base", file, "--as-message"]));
    for bare in [
        &["ask", "--raw", "--max-tokens", "1", "Hi"][..],
        &["score", file],
        &["inspect", "Hi"],
        &["tokenize", "Hi"],
    ] {
        assert!(!said_of_it(bare), "{bare:?} uses no template");
    }
    for chat in [
        &["ask", "--max-tokens", "1", "Hi"][..],
        &["score", "--as-message", file],
        &["inspect", "--as-message", "Hi"],
    ] {
        assert!(said_of_it(chat), "{chat:?} uses a template");
    }
}
