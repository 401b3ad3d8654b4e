//! Where nothing can be written, or not now: full disks, foreign folders, a database that somebody else holds or shares.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use termlens::{Key, Terminal};

use crate::harness::{Start, answered, home, kill, press, quit, ready, say, see};
use crate::killed::{exported, whole};

/// Lets the app's files grow (`None`), or no further than so many bytes.
fn limit_files(pid: u32, bytes: Option<u64>) {
    let soft = bytes.unwrap_or(libc::RLIM_INFINITY);
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: only reads the new limit, of a process that this test started.
    let set = unsafe {
        libc::prlimit(pid.cast_signed(), libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut())
    };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn on_a_full_disk_the_chat_goes_on_and_everything_is_saved_once_there_is_room() {
    let home = home();
    std::fs::create_dir_all(home.path().join("config")).unwrap();
    let config = home.path().join("config/config.toml");
    std::fs::write(&config, "# mine\n[ui]\nmouse = false\n").unwrap();
    // Without the signal, writing fails as it does on a full disk.
    let mut app = ready(Start::default().after("trap '' XFSZ"), home.path());
    say(&mut app, "hello one");
    answered(&mut app, 1);
    let pid = app.pid().unwrap();
    limit_files(pid, Some(0));
    say(&mut app, "hello two");
    see(&mut app, "Not saved yet");
    say(&mut app, "/theme light");
    // A configuration that could not be written is the old one, not half of one.
    app.wait_until(|screen| screen.contains("was not written")).unwrap();
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "# mine\n[ui]\nmouse = false\n");
    answered(&mut app, 2);
    limit_files(pid, None);
    see(&mut app, "saving works again");
    kill(pid);
    app.wait_exit().unwrap();
    let text = exported(home.path());
    assert!(text.contains("hello one") && text.contains("hello two"), "{text}");
    whole(home.path());
}

/// A user who owns nothing here, and the app where that user may run it; `None`, with the reason printed, where this
/// cannot be tried.
struct Stranger {
    through: Vec<String>,
    _copy: Option<tempfile::TempDir>,
}

const STRANGER: u32 = 65534;

fn stranger() -> Option<Stranger> {
    // SAFETY: has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return Some(Stranger { through: Vec::new(), _copy: None }); // modes hold for whoever is not root
    }
    let through: Vec<String> =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
            .map(String::from)
            .into();
    let may = |program: &Path| {
        Command::new(&through[0])
            .args(&through[1..])
            .args(["test", "-x"])
            .arg(program)
            .status()
            .is_ok_and(|status| status.success())
    };
    if !may(Path::new("/bin/sh")) {
        eprintln!("skipped: root ignores modes, and there is no setpriv to become somebody else");
        return None;
    }
    let app = Path::new(env!("CARGO_BIN_EXE_glassbox"));
    if may(app) {
        return Some(Stranger { through, _copy: None });
    }
    eprintln!("skipped: {} cannot be run by another user", app.display());
    None
}

/// A folder that the stranger may enter, with a home in it that is the stranger's, and its database if there is one.
fn home_of_a_stranger() -> (tempfile::TempDir, PathBuf) {
    let folder = home();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    (folder, home)
}

/// Gives everything in a folder to the stranger, with those modes for folders and files.
fn give(folder: &Path, folders: u32, files: u32) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            give(&entry.path(), folders, files);
        } else {
            let _ = chown(entry.path(), Some(STRANGER), Some(STRANGER)); // refused where it is ours anyway
            std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(files)).unwrap();
        }
    }
    let _ = chown(folder, Some(STRANGER), Some(STRANGER));
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(folders)).unwrap();
}

#[test]
fn a_home_that_cannot_be_written_means_that_nothing_is_saved_and_says_so() {
    let Some(stranger) = stranger() else { return };
    for mode in [0o555, 0o000] {
        let (_folder, home) = home_of_a_stranger();
        give(&home, mode, 0o444);
        let start = Start { through: stranger.through.clone(), ..Start::default() };
        let mut app = ready(start, &home);
        see(&mut app, "Nothing is saved");
        say(&mut app, "hello");
        answered(&mut app, 1);
        // It is a mode, and not only a notice.
        std::thread::sleep(Duration::from_secs(1));
        see(&mut app, "Nothing is saved");
        app.send(Key::Ctrl('q')).unwrap();
        assert!(app.wait_exit().unwrap().success());
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0);
    }
}

#[test]
fn chats_in_a_home_that_became_read_only_can_be_read() {
    let Some(stranger) = stranger() else { return };
    let (_folder, home) = home_of_a_stranger();
    give(&home, 0o755, 0o644);
    let start = || Start { through: stranger.through.clone(), ..Start::default() };
    let mut app = ready(start(), &home);
    say(&mut app, "hello from before");
    answered(&mut app, 1);
    quit(app);
    give(&home, 0o555, 0o444);
    let mut app = ready(start().arg("--resume"), &home);
    see(&mut app, "hello from before");
    see(&mut app, "othing is ");
    app.send(Key::Ctrl('q')).unwrap();
    app.wait_exit().unwrap();
    give(&home, 0o755, 0o644);
}

#[test]
fn without_any_home_there_is_one_plain_line() {
    let Some(mut stranger) = stranger() else { return };
    if stranger.through.is_empty() {
        return eprintln!("skipped: whoever is in the list of users has a home");
    }
    // Somebody whom the list of users does not know.
    stranger.through[1] = "--reuid=54321".to_owned();
    let start = Start { through: stranger.through, ..Start::default() };
    let mut app = start.without("GLASSBOX_HOME").within(Path::new("/"));
    assert!(!app.wait_exit().unwrap().success());
    let text = app.screen().full_text();
    assert!(text.contains("there is no home folder; set GLASSBOX_HOME"), "{text}");
}

#[test]
fn a_database_that_another_program_holds_stops_no_key_and_loses_no_message() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello one");
    answered(&mut app, 1);
    let other = rusqlite::Connection::open(home.path().join("data/glassbox.db")).unwrap();
    other.busy_timeout(Duration::from_secs(10)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    say(&mut app, "hello two");
    see(&mut app, "Not saved yet");
    app.send_str("typed meanwhile").unwrap();
    see(&mut app, "› typed meanwhile");
    other.execute_batch("COMMIT").unwrap();
    see(&mut app, "saving works again");
    answered(&mut app, 2);
    kill(app.pid().unwrap());
    app.wait_exit().unwrap();
    let text = exported(home.path());
    assert!(text.contains("hello one") && text.contains("hello two"), "{text}");
    whole(home.path());
}

#[test]
fn who_quits_while_nothing_can_be_written_waits_for_it_or_says_not_to() {
    let home = home();
    let hold = || {
        let other = rusqlite::Connection::open(home.path().join("data/glassbox.db")).unwrap();
        other.busy_timeout(Duration::from_secs(10)).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        other
    };
    let quit_with = |app: &mut Terminal, message: &str| {
        say(app, message);
        app.send(Key::Ctrl('q')).unwrap();
        see(app, "saving what is left");
    };
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello one");
    answered(&mut app, 1);
    let other = hold();
    quit_with(&mut app, "hello two");
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(app.wait_exit().unwrap().code(), Some(0));
    let text = exported(home.path());
    assert!(text.contains("hello one") && text.contains("hello two"), "{text}");

    let mut app = ready(Start::default().arg("--resume"), home.path());
    see(&mut app, "hello two");
    let other = hold();
    quit_with(&mut app, "hello three");
    app.send(Key::Ctrl('c')).unwrap();
    assert_eq!(app.wait_exit().unwrap().code(), Some(1));
    let screen = app.screen().text();
    assert!(screen.contains("could not be saved: another program holds the database"), "{screen}");
    other.execute_batch("COMMIT").unwrap();
    whole(home.path());
}

#[test]
fn two_windows_on_one_database_see_each_others_messages() {
    let home = home();
    let mut one = ready(Start::default(), home.path());
    say(&mut one, "hello from one");
    answered(&mut one, 1);
    let mut two = ready(Start::default().arg("--resume"), home.path());
    see(&mut two, "hello from one");
    say(&mut two, "hello from two");
    answered(&mut two, 2);
    // The first window opens the chat anew.
    quit(one);
    let mut one = ready(Start::default().arg("--resume"), home.path());
    see(&mut one, "hello from two");
    press(&mut one, Key::End);
    say(&mut one, "and back");
    answered(&mut one, 3);
    quit(one);
    quit(two);
    let text = exported(home.path());
    assert!(
        ["hello from one", "hello from two", "and back"].iter().all(|part| text.contains(part)),
        "{text}"
    );
    whole(home.path());
}

#[test]
fn a_newer_database_is_refused_by_one_sentence_and_stays_as_it_is() {
    let home = home();
    let mut app = ready(Start::default(), home.path());
    say(&mut app, "hello");
    answered(&mut app, 1);
    quit(app);
    let path = home.path().join("data/glassbox.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(
        "PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE;",
    )
    .unwrap();
    drop(conn);
    let before = std::fs::read(&path).unwrap();
    let mut app = ready(Start::default(), home.path());
    see(&mut app, "written by a newer glassbox");
    say(&mut app, "hello");
    answered(&mut app, 1);
    app.send(Key::Ctrl('q')).unwrap();
    app.wait_exit().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .env("GLASSBOX_HOME", home.path())
        .args(["export", "last"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("newer"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), before, "nothing was written to it");
}
