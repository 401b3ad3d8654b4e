//! ssh's ways to fail, by a program of its name that says what OpenSSH says, and noise before the first frame.

use super::{ask, engine, glassbox, home_with, program, write_config};

/// A home whose ssh runs that script with what stands behind the host as `"$@"`, and what a reply gives.
fn asked(script: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let skip = "while [ \"$1\" != box ]; do shift; done; shift";
    let ssh = program(folder.path(), "ssh", &format!("{skip}\n{script}"));
    let mut command = vec![ssh.display().to_string(), "box".to_owned()];
    command.extend(engine(folder.path()));
    ask(home_with(&command).path())
}

#[test]
fn each_failure_of_ssh_ends_in_one_clear_sentence() {
    let failures = [
        ("ssh: Could not resolve hostname box: Name or service not known", 255, "there is no host named box"),
        ("ssh: connect to host box port 22: Connection refused", 255, "box refuses connections"),
        ("ssh: connect to host box port 22: Connection timed out", 255, "box does not answer"),
        (
            "Host key for box has changed and you have requested strict checking.",
            255,
            "another host key than before",
        ),
        ("Host key verification failed.", 255, "ssh does not know box yet"),
        ("me@box: Permission denied (publickey,password).", 255, "box wants a password or a key"),
        ("bash: line 1: glassbox: command not found", 127, "on box there is no `glassbox`"),
        ("error: unrecognized subcommand 'engine'", 2, "the engine on box did not start (exit code 2"),
    ];
    for (said, code, sentence) in failures {
        let error = asked(&format!("echo \"{said}\" >&2; exit {code}")).unwrap_err();
        assert!(error.contains(sentence), "{said}: {error}");
        assert_eq!(error.trim().lines().count(), 1, "{error}");
    }
}

#[test]
fn what_a_shell_prints_before_the_engine_is_passed_over() {
    let quiet = asked("exec \"$@\"").unwrap();
    let noise = r"echo 'Welcome to box!'; printf '\005\000\000\000\377\377\377\377\000'; cat /proc/cpuinfo | head -c 20000";
    assert_eq!(asked(&format!("{noise}; exec \"$@\"")).unwrap(), quiet);
}

#[test]
fn ssh_asks_nothing_and_has_no_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let seen = folder.path().join("seen");
    let ssh = program(
        folder.path(),
        "ssh",
        &format!("echo \"$@\" > {0}; ps -o sid= -p $$ >> {0}; echo $$ >> {0}; exit 255", seen.display()),
    );
    let home = home_with(&[ssh.display().to_string(), "box".into(), "glassbox".into(), "engine".into()]);
    ask(home.path()).unwrap_err();
    let seen = std::fs::read_to_string(seen).unwrap();
    let lines: Vec<&str> = seen.lines().map(str::trim).collect();
    assert!(lines[0].contains("-o BatchMode=yes") && lines[0].ends_with("box glassbox engine"), "{seen}");
    assert_eq!(lines[1], lines[2], "it leads a session of its own");
}

#[test]
fn a_model_elsewhere_needs_no_file_here() {
    let home = home_with(&["ssh".into(), "box".into(), "glassbox".into(), "engine".into()]);
    let list = glassbox(home.path(), &["models", "list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    let row = list.lines().find(|line| line.contains("far")).unwrap();
    assert!(row.ends_with("on box"), "{list}");
    let info = glassbox(home.path(), &["models", "info", "far"]);
    let said = String::from_utf8(info.stderr).unwrap();
    assert!(said.contains("far is on box") && said.contains("`ssh box glassbox models list`"), "{said}");
}

#[test]
fn doctor_says_whether_the_engine_elsewhere_answers() {
    let folder = tempfile::tempdir().unwrap();
    let ssh = program(folder.path(), "ssh", "while [ \"$1\" != box ]; do shift; done; shift; exec \"$@\"");
    let mut command = vec![ssh.display().to_string(), "box".to_owned()];
    command.extend(engine(folder.path()));
    let home = home_with(&command);
    let said = |home: &std::path::Path| String::from_utf8(glassbox(home, &["doctor"]).stdout).unwrap();
    let answers = said(home.path());
    assert!(answers.contains("model runs     on box, which answers; its engine is held: "), "{answers}");
    assert!(!answers.lines().any(|line| line.starts_with("elsewhere")), "one row says it: {answers}");
    program(folder.path(), "ssh", "echo 'Host key verification failed.' >&2; exit 255");
    assert!(
        said(home.path()).contains("on box, which does not answer: ssh does not know box yet"),
        "{}",
        said(home.path())
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    write_config(home.path(), &["/nowhere/ssh".into(), "box".into(), "glassbox".into(), "engine".into()]);
    let error = ask(home.path()).unwrap_err();
    assert!(error.contains("the engine of far could not be started: /nowhere/ssh"), "{error}");
}
