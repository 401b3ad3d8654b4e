//! A model whose engine runs elsewhere: the line breaks in the middle of a reply, and is connected again.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use termlens::Key;

use crate::harness::{Start, answered, home, is_ready, quit, say, see};

/// A home whose ssh cuts the first connection after so many bytes, and lets later ones be.
fn cut_once(bytes: u32) -> tempfile::TempDir {
    let home = home();
    let at = |name: &str| home.path().join(name);
    let engine = format!(
        "env GLASSBOX_HOME={} {} engine --engine scripted:token_ms=20,load_ms=5",
        at("there").display(),
        env!("CARGO_BIN_EXE_glassbox")
    );
    let script = format!(
        "#!/bin/sh\n[ -e {0} ] && exec {engine}\ntouch {0}\ntrap 'exit 255' TERM\nexec 3<&0\n{engine} <&3 | {{ dd bs=1 \
         count={bytes} 2> /dev/null; echo 'Connection to box closed by remote host.' >&2; kill $$; }} &\nwait\n",
        at("cut").display()
    );
    fs::write(at("ssh"), script).unwrap();
    fs::set_permissions(at("ssh"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(at("config")).unwrap();
    let ssh = at("ssh").display().to_string();
    let entry = format!(
        "model = \"far\"\n[[models]]\nname = \"far\"\npath = \"/there/far.gguf\"\nengine = [{ssh:?}, \"box\", \"x\"]\n"
    );
    fs::write(at("config/config.toml"), entry).unwrap();
    home
}

#[test]
fn a_lost_line_keeps_the_chat_and_what_came_and_connecting_again_goes_on() {
    let home = cut_once(60_000);
    let mut app = Start::default().within(home.path());
    app.wait_until(is_ready).unwrap();
    say(&mut app, "count");
    see(&mut app, "2, 3, 4");
    let screen = see(&mut app, "the line to box was lost");
    assert!(screen.contains("2, 3, 4"), "the partial reply is kept");
    app.send(Key::F(5)).unwrap();
    app.wait_until(is_ready).unwrap();
    say(&mut app, "hello");
    // Nothing is cached there: the chat is read again, and its length said.
    app.wait_until(|screen| screen.contains("read ") && screen.contains(" tokens in ")).unwrap();
    answered(&mut app, 2);
    quit(app);
}
