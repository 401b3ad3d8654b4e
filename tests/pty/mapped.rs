//! The file of a loaded model, deleted, replaced and cut under it. With the real engine, on a copy of a test's model.

use std::path::Path;
use std::time::Duration;

use termlens::{Key, Terminal};

use crate::harness::{Start, home, is_ready, quit, say, see};

/// A real model may take its time.
const LONG: Duration = Duration::from_mins(2);

/// The chat with a copy of the model, which is loaded and has answered once.
fn loaded(home: &Path, model: &str) -> Terminal {
    let copy = home.join("copy.gguf");
    std::fs::copy(model, &copy).unwrap();
    let start = Start { engine: "llama".into(), ..Start::default() };
    let start = start.env("OMP_WAIT_POLICY", "passive").env("GLASSBOX__SAMPLING__MAX_TOKENS", "24");
    let mut app = start.arg("--model").arg(&copy.display().to_string()).within(home);
    app.wait_until_for(is_ready, LONG).unwrap();
    asked(&mut app, "Count from one to ten.");
    app
}

fn asked(app: &mut Terminal, message: &str) {
    say(app, message);
    app.wait_until_for(|screen| !is_ready(screen), LONG).unwrap();
    app.wait_until_for(|screen| is_ready(screen) || screen.contains("F5"), LONG).unwrap();
}

fn model() -> Option<String> {
    let model = std::env::var("GLASSBOX_TEST_MODEL").ok().filter(|_| cfg!(feature = "llama"));
    if model.is_none() {
        eprintln!("skipped: there is no real engine, or GLASSBOX_TEST_MODEL names no model");
    }
    model
}

#[test]
fn a_model_file_that_is_deleted_or_replaced_costs_nothing() {
    let Some(model) = model() else { return };
    let home = home();
    let mut app = loaded(home.path(), &model);
    let copy = home.path().join("copy.gguf");
    std::fs::remove_file(&copy).unwrap();
    asked(&mut app, "And on to twenty.");
    assert!(is_ready(&app.screen()), "{:?}", app.screen());
    // Another file takes its name, as a newer download does.
    std::fs::write(home.path().join("new"), "not a model").unwrap();
    std::fs::rename(home.path().join("new"), &copy).unwrap();
    asked(&mut app, "And on to thirty.");
    assert!(is_ready(&app.screen()), "{:?}", app.screen());
    quit(app);
}

#[test]
fn a_model_file_that_is_cut_costs_the_model_and_not_the_chat() {
    let Some(model) = model() else { return };
    let home = home();
    let mut app = loaded(home.path(), &model);
    std::fs::File::options().write(true).open(home.path().join("copy.gguf")).unwrap().set_len(4096).unwrap();
    asked(&mut app, "And on to twenty.");
    let screen = see(&mut app, "F5");
    assert!(screen.alternate_screen() && screen.contains("Count from one to ten."), "{screen:?}");
    // What is left of the file is no model, and that is said in a sentence.
    app.send(Key::F(5)).unwrap();
    app.wait_until_for(|screen| screen.contains("copy.gguf"), LONG).unwrap();
    quit(app);
}
