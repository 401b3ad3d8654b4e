//! An engine's command that runs on another machine: where that is, what keeps ssh from asking and from waiting for
//! ever, and what its end means. Plain data and arithmetic.
//!
//! Invariant: what the user wrote stays as it is and goes before; a sentence here says what happened, to which host, and
//! what to do next, without a full stop, since who shows it adds how to connect again.

use serde::{Deserialize, Serialize};

use crate::model_entry::{ModelEntry, Source};

/// Options of ssh that are given unless the command has them: it never asks, and a dead line ends it within half a minute.
const OPTIONS: [&str; 4] =
    ["BatchMode=yes", "ConnectTimeout=20", "ServerAliveInterval=10", "ServerAliveCountMax=3"];

/// ssh's options of one letter that take a value.
const WITH_VALUE: &str = "BbcDEeFIiJLlmOoPpQRSWw";

/// ssh's own exit status, where its line broke or never stood.
const LINE: i32 = 255;

/// Where an engine runs that is not started here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// The host as people call it; for other programs than ssh, the program.
    pub host: String,
    /// The model's name.
    pub model: String,
    /// `ssh -p 2222 me@host`, to be typed by hand; `None` for other programs.
    pub connect: Option<String>,
}

/// How a command that ran an engine elsewhere ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// What the handle itself objected to, as the rest of a sentence about the engine.
    pub trouble: Option<&'a str>,
    /// Its exit status, where it was not a signal.
    pub code: Option<i32>,
    /// Whether the engine had answered.
    pub greeted: bool,
    /// The last lines of what it wrote, newest last.
    pub said: &'a [String],
}

impl Elsewhere {
    /// Where an entry's engine runs; `None` where it is this program's own, or a `glassbox` of this machine.
    #[must_use]
    pub fn of(entry: &ModelEntry) -> Option<Self> {
        let command = entry.engine.as_deref()?;
        let program = program(command).filter(|_| Self::by(command))?;
        let destination = if program == "ssh" { destination(command) } else { None };
        Some(Self {
            host: destination.map_or_else(|| program.to_owned(), |at| host(&command[at]).to_owned()),
            model: entry.name.clone(),
            connect: destination.map(|at| command[..=at].join(" ")),
        })
    }

    /// Whether a command runs an engine elsewhere: all do but a `glassbox` of this machine.
    #[must_use]
    pub fn by(command: &[String]) -> bool {
        program(command).is_some_and(|program| program != "glassbox")
    }

    /// What is said where such an engine could not load its model: where, and for a file that was not fetched there, how
    /// that is done.
    #[must_use]
    pub fn not_loaded(&self, entry: &ModelEntry, not_fetched: bool, said: &str) -> String {
        let host = &self.host;
        if !not_fetched {
            return format!("on {host}: {said}");
        }
        // Its file lies under the name of this entry; by the address alone it would get one of its own there.
        let (name, shell) = (entry.name.as_str(), self.connect.is_some());
        let what = match &entry.source {
            Source::Hf(address) | Source::Url(address) => {
                format!("models pull {} --as {}", word(address, shell), word(name, shell))
            }
            Source::Path(_) | Source::Pip(_) | Source::Server(_) => {
                format!("models pull {}", word(name, shell))
            }
        };
        let fetch = self.by_hand(entry, &what);
        format!("The model {} is not on {host} yet. Fetch it there: {fetch}.", self.model)
    }

    /// How a command of glassbox is given there: as the entry starts its engine, where that can be told.
    #[must_use]
    pub fn by_hand(&self, entry: &ModelEntry, what: &str) -> String {
        let command = entry.engine.as_deref().unwrap_or_default();
        let engine = command.iter().position(|word| word == "engine");
        let before = engine.and_then(|at| command[..at].split_last());
        if let Some((last, before)) = before.filter(|(last, _)| last.ends_with("glassbox")) {
            let words: Vec<&str> = before.iter().chain([last]).map(String::as_str).collect();
            return format!("`{} {what}`", words.join(" "));
        }
        match &self.connect {
            Some(connect) => format!("`{connect} glassbox {what}`"),
            None => format!("`glassbox {what}`, typed there"),
        }
    }

    /// What an end that nobody asked for means.
    #[must_use]
    pub fn told(&self, ended: &Ended<'_>) -> String {
        let Self { host, model, .. } = self;
        if let Some(trouble) = ended.trouble {
            return format!("the engine on {host} {trouble}");
        }
        if let Some(told) = self.of_program(ended) {
            return told;
        }
        if self.connect.is_some() {
            if let Some(told) = self.of_ssh(ended) {
                return told;
            }
        } else if !ended.greeted && ended.code == Some(127) {
            return format!("{host} found no program to start: check `engine` in the entry of {model}");
        }
        let what = if ended.greeted { "ended" } else { "did not start" };
        let how = ended.code.map_or_else(|| "by a signal".to_owned(), |code| format!("exit code {code}"));
        format!("the engine on {host} {what} ({how}{})", last(ended.said))
    }

    /// Why a program that is there cannot run, in the words of shells and loaders.
    fn of_program(&self, ended: &Ended<'_>) -> Option<String> {
        if ended.greeted || !matches!(ended.code, Some(126 | 127)) {
            return None;
        }
        let said = ended.said.join("\n").to_lowercase();
        let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
        let (host, why) = (&self.host, last(ended.said));
        if has(LIBRARY) {
            Some(format!("`glassbox` on {host} lacks a library: install that there{why}"))
        } else if has(FOREIGN) {
            Some(format!(
                "`glassbox` on {host} is built for another kind of machine: install the one for it{why}"
            ))
        } else {
            None
        }
    }

    /// What ssh means by how it ended; its texts are those of OpenSSH 7 to 10.
    fn of_ssh(&self, ended: &Ended<'_>) -> Option<String> {
        let Self { host, model, .. } = self;
        let connect = self.connect.as_deref().unwrap_or_default();
        let said = ended.said.join("\n").to_lowercase();
        let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
        let why = last(ended.said);
        match ended.code {
            Some(LINE) if ended.greeted => {}
            Some(127) if !ended.greeted => {
                return Some(format!(
                    "on {host} there is no `glassbox` where a command's shell looks for programs: install it there, or \
                     write its whole path into `engine` of {model}{why}"
                ));
            }
            Some(126) if !ended.greeted => {
                return Some(format!("`glassbox` on {host} may not be started: check its rights there{why}"));
            }
            Some(LINE) => return Some(self.no_connection(connect, &has, &why)),
            _ => return None,
        }
        Some(if has(&["native code gave up"]) {
            format!("the engine on {host} was ended there{why}")
        } else if has(LOST) {
            format!("the line to {host} was lost{why}; what came of the reply is kept")
        } else {
            format!("the line to {host} was lost, or the engine was ended there{why}")
        })
    }

    fn no_connection(&self, connect: &str, has: &dyn Fn(&[&str]) -> bool, why: &str) -> String {
        let Self { host, model, .. } = self;
        if has(&["remote host identification has changed", "host key for "]) && has(&["changed"]) {
            format!(
                "{host} shows another host key than before, so ssh refused it: somebody may sit in between, or it was set up \
                 anew; where you know why, `ssh-keygen -R {host}` forgets the old key, then `{connect}` shows the new one"
            )
        } else if has(&["host key verification failed", "host key is known"]) {
            format!("ssh does not know {host} yet: run `{connect}` once in a terminal and check its key")
        } else if has(&["permission denied", "too many authentication failures", "no more authentication"]) {
            format!(
                "{host} wants a password or a key that ssh does not have here, and glassbox cannot ask for it: load your key \
                 (ssh-add), or give it yours (ssh-copy-id); `{connect}` must work without a question{why}"
            )
        } else if has(&["could not resolve hostname"]) {
            format!("there is no host named {host}: check `engine` in the entry of {model}{why}")
        } else if has(&["connection refused"]) {
            format!("{host} refuses connections: does sshd run there, and is the port right?{why}")
        } else if has(&["no route to host", "network is unreachable", "timed out"]) {
            format!("{host} does not answer: is it on, and can it be reached from here?{why}")
        } else {
            format!("ssh did not get through to {host}: `{connect}` shows more{why}")
        }
    }
}

/// What is said of a program whose libraries, or what loads them, are not there.
const LIBRARY: &[&str] = &[
    "error while loading shared libraries",
    "error loading shared library",
    "library not loaded",
    "required file not found",
];

/// What is said of a program for another processor or system.
const FOREIGN: &[&str] = &["exec format error", "cannot execute binary file", "bad cpu type"];

/// What ssh says of a line that broke.
const LOST: &[&str] = &[
    "closed by remote host",
    "connection reset",
    "broken pipe",
    "not responding",
    "timed out",
    "connection to ",
    "client_loop",
    "read from remote host",
];

/// The command with ssh's options behind the program, where it is ssh.
#[must_use]
pub fn without_questions(command: &[String]) -> Vec<String> {
    let [first, rest @ ..] = command else { return Vec::new() };
    let mut all = vec![first.clone()];
    if program(command) == Some("ssh") {
        let own = &rest[..destination(command).map_or(0, |at| at - 1)];
        if !own.iter().any(|word| word.starts_with("-t") || word.eq_ignore_ascii_case("-T")) {
            all.push("-T".to_owned());
        }
        let given = own.concat().to_lowercase();
        let missing = OPTIONS.iter().filter(|option| {
            let name = option.split('=').next().unwrap_or_default().to_lowercase();
            !given.contains(&name)
        });
        all.extend(missing.flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
    }
    all.extend_from_slice(rest);
    all
}

/// Whether this can be the address of a worker: `host:port`.
#[must_use]
pub fn is_address(worker: &str) -> bool {
    worker.rsplit_once(':').is_some_and(|(host, port)| {
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || letter == '/';
        !host.is_empty() && !host.contains(odd) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// The name of a command's program, without its folder.
fn program(command: &[String]) -> Option<&str> {
    let name = command.first()?.rsplit(['/', '\\']).next()?;
    Some(name.strip_suffix(".exe").unwrap_or(name))
}

/// Where the destination stands in a command of ssh.
fn destination(command: &[String]) -> Option<usize> {
    let mut at = 1;
    while let Some(word) = command.get(at) {
        let Some(letters) = word.strip_prefix('-') else { return Some(at) };
        // `-p 22`, `-4p 22`; the value may stand in the same word: `-p22`.
        let valued = letters.find(|letter| WITH_VALUE.contains(letter));
        at += if valued.is_some_and(|place| place + 1 == letters.len()) { 2 } else { 1 };
    }
    None
}

/// The host of `user@host`, `ssh://user@host:port`.
fn host(destination: &str) -> &str {
    let (address, is_url) = match destination.strip_prefix("ssh://") {
        Some(address) => (address.trim_end_matches('/'), true),
        None => (destination, false),
    };
    let host = address.rsplit('@').next().unwrap_or(address);
    match host.rsplit_once(':') {
        Some((name, _)) if is_url && !host.ends_with(']') => name,
        _ => host,
    }
}

/// A word as it is typed; behind ssh two shells read it.
fn word(text: &str, twice: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+=,".contains(c);
    match (text.chars().all(plain), twice) {
        (true, _) => text.to_owned(),
        (false, false) => format!("'{text}'"),
        (false, true) => format!("\"'{text}'\""),
    }
}

/// The last line that says something, in brackets after a blank; empty where there is none.
fn last(said: &[String]) -> String {
    let telling = |line: &&String| {
        let line = line.trim_start();
        !line.is_empty() && !["INFO ", "WARN ", "DEBUG "].iter().any(|level| line.contains(level))
    };
    let line = said.iter().rev().find(telling);
    line.map_or_else(String::new, |line| format!(" ({})", line.trim().trim_end_matches('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(command: &[&str]) -> ModelEntry {
        ModelEntry {
            engine: Some(command.iter().map(|word| (*word).to_owned()).collect()),
            ..ModelEntry::new("big", Source::Path("/m/big.gguf".into()))
        }
    }

    fn ssh() -> Elsewhere {
        Elsewhere::of(&entry(&["ssh", "-p", "2222", "me@box", "glassbox", "engine"])).unwrap()
    }

    fn told(code: i32, greeted: bool, said: &str) -> String {
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        ssh().told(&Ended { trouble: None, code: Some(code), greeted, said: &said })
    }

    #[test]
    fn the_host_is_found_behind_sshs_options() {
        let host = |command: &[&str]| Elsewhere::of(&entry(command)).map(|there| (there.host, there.connect));
        assert_eq!(host(&["ssh", "box", "glassbox"]), Some(("box".into(), Some("ssh box".into()))));
        let with = host(&["/usr/bin/ssh", "-4Cp", "22", "-oX=1", "-i", "key", "me@box", "glassbox"]);
        assert_eq!(with, Some(("box".into(), Some("/usr/bin/ssh -4Cp 22 -oX=1 -i key me@box".into()))));
        assert_eq!(host(&["ssh", "ssh://me@[::1]:22/", "x"]).unwrap().0, "[::1]");
        assert_eq!(host(&["ssh", "ssh://box:22"]).unwrap().0, "box");
        assert_eq!(host(&["docker", "exec", "-i", "c", "glassbox"]), Some(("docker".into(), None)));
        assert_eq!(host(&["glassbox", "engine"]), None);
        assert_eq!(host(&["/opt/glassbox", "engine"]), None);
    }

    #[test]
    fn ssh_is_kept_from_asking_and_what_the_user_wrote_stands() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            without_questions(&words("ssh box glassbox engine")).join(" "),
            "ssh -T -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=10 -o ServerAliveCountMax=3 box \
             glassbox engine"
        );
        let own = without_questions(&words("ssh -o connecttimeout=3 -tt box glassbox engine")).join(" ");
        assert!(
            !own.contains("ConnectTimeout") && !own.contains(" -T ") && own.contains("BatchMode=yes"),
            "{own}"
        );
        // Only what stands before the host is ssh's.
        let far = without_questions(&words("ssh box env BatchMode=no glassbox -t")).join(" ");
        assert!(far.contains("BatchMode=yes") && far.contains(" -T "), "{far}");
        assert_eq!(without_questions(&words("nice glassbox engine")), words("nice glassbox engine"));
    }

    #[test]
    fn each_way_in_which_ssh_fails_has_its_sentence() {
        let check = |said: &str, expected: &[&str]| {
            let sentence = told(255, false, said);
            for part in expected {
                assert!(sentence.contains(part), "{said}: {sentence}");
            }
            assert!(!sentence.ends_with('.'), "{sentence}");
        };
        check(
            "ssh: Could not resolve hostname box: Name or service not known",
            &["no host named box", "entry of big"],
        );
        check("ssh: connect to host box port 22: Connection refused", &["box refuses", "sshd"]);
        check("ssh: connect to host box port 22: Connection timed out", &["box does not answer"]);
        check("ssh: connect to host box port 22: No route to host", &["box does not answer"]);
        check(
            "Connection timed out during banner exchange\nConnection to 10.0.0.1 port 22 timed out",
            &["box does not answer"],
        );
        check(
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key for box has changed and you have \
             requested strict checking.\nHost key verification failed.",
            &["another host key", "ssh-keygen -R box"],
        );
        check(
            "No ED25519 host key is known for box and you have requested strict checking.\nHost key verification failed.",
            &["does not know box yet", "`ssh -p 2222 me@box`"],
        );
        check(
            "me@box: Permission denied (publickey,password).",
            &["wants a password", "ssh-add", "ssh-copy-id"],
        );
        check("kex_exchange_identification: read: Connection reset by peer", &["did not get through to box"]);
        check("", &["did not get through to box"]);
        // What to do is read first where a row is short.
        let refused = told(255, false, "ssh: connect to host box port 22: Connection refused");
        assert!(refused.starts_with("box refuses connections: does sshd run there"), "{refused}");
    }

    #[test]
    fn a_host_without_glassbox_a_lost_line_and_an_engine_that_died_are_told_apart() {
        let missing = told(127, false, "bash: line 1: glassbox: command not found");
        assert!(
            missing.starts_with("on box there is no `glassbox`") && missing.contains("command not found"),
            "{missing}"
        );
        assert!(told(126, false, "").contains("may not be started"));
        let library =
            "glassbox: error while loading shared libraries: libgomp.so.1: cannot open shared object file";
        assert_eq!(
            told(127, false, library),
            format!("`glassbox` on box lacks a library: install that there ({library})")
        );
        let foreign =
            told(126, false, "bash: line 1: /opt/glassbox: cannot execute binary file: Exec format error");
        assert!(foreign.starts_with("`glassbox` on box is built for another kind of machine"), "{foreign}");
        let here = Elsewhere::of(&entry(&["docker", "exec", "c", "glassbox"])).unwrap();
        let said = [library.to_owned()];
        let ended = Ended { trouble: None, code: Some(127), greeted: false, said: &said };
        assert!(here.told(&ended).contains("lacks a library"));
        let lost = told(255, true, "Connection to box closed by remote host.");
        assert!(
            lost.starts_with("the line to box was lost (Connection to box closed by remote host)"),
            "{lost}"
        );
        assert!(told(255, true, "Timeout, server box not responding.").contains("line to box was lost"));
        let died = told(255, true, "native code gave up: GGML_ASSERT(x)");
        assert!(died.contains("was ended there") && died.contains("GGML_ASSERT"), "{died}");
        assert_eq!(
            told(2, false, "error: unrecognized subcommand"),
            "the engine on box did not start (exit code 2 (error: unrecognized subcommand))"
        );
        let trouble = Ended { trouble: Some("said nothing"), code: Some(255), greeted: false, said: &[] };
        assert_eq!(ssh().told(&trouble), "the engine on box said nothing");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_the_host() {
        let mut entry = entry(&["ssh", "box", "glassbox", "engine"]);
        let there = Elsewhere::of(&entry).unwrap();
        assert_eq!(
            there.not_loaded(&entry, false, "/m/big.gguf is not there."),
            "on box: /m/big.gguf is not there."
        );
        entry.source = Source::Hf("o/r:f.gguf".into());
        assert_eq!(
            there.not_loaded(&entry, true, "x"),
            "The model big is not on box yet. Fetch it there: `ssh box glassbox models pull o/r:f.gguf --as big`."
        );
        let said = |command: &[&str], name: &str| {
            let entry =
                ModelEntry { name: name.into(), engine: self::entry(command).engine, ..entry.clone() };
            let said = Elsewhere::of(&entry).unwrap().not_loaded(&entry, true, "");
            said.split('`').nth(1).unwrap().to_owned()
        };
        assert_eq!(
            said(&["ssh", "-p", "22", "box", "/opt/bin/glassbox", "engine"], "my model"),
            "ssh -p 22 box /opt/bin/glassbox models pull o/r:f.gguf --as \"'my model'\""
        );
        assert_eq!(
            said(&["docker", "exec", "-i", "c", "glassbox", "engine"], "my model"),
            "docker exec -i c glassbox models pull o/r:f.gguf --as 'my model'"
        );
        assert_eq!(said(&["ssh", "box", "./start"], "m"), "ssh box glassbox models pull o/r:f.gguf --as m");
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert!(["box:50052", "10.0.0.2:1", "[::1]:5"].iter().all(|address| is_address(address)));
        assert!(
            !["box", ":5", "box:", "box:0", "box:99999", "b x:1", "http://box:1"]
                .iter()
                .any(|no| is_address(no))
        );
    }
}
