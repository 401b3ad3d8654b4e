//! The real binary with the real models in a real pseudo-terminal: the journey of a first evening, and the
//! README's pictures, which are taken on the way (`make pictures`).

#[path = "../pty/film.rs"]
mod film;
#[path = "../pty/harness.rs"]
#[allow(dead_code)]
mod harness;

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Start, children, home, is_ready, kill, press, quit, ready, say, see, until};
use termlens::{Key, Screen, Terminal};

/// Its greedy answer is "The capital of France is Paris.", and every token of it is the likeliest by more than a nat:
/// rounding, which differs from one processor to the next by up to a tenth, does not change it.
const CAPITAL: &str = "Name the capital of France.";

/// A home whose models folder is the one that `make models` filled.
fn home_with_models() -> tempfile::TempDir {
    let model = std::env::var_os("GLASSBOX_TEST_MODEL")
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .expect("GLASSBOX_TEST_MODEL names no file: run `make test`, which fetches the models first");
    let home = home();
    std::fs::create_dir_all(home.path().join("data")).unwrap();
    std::os::unix::fs::symlink(model.parent().unwrap(), home.path().join("data/models")).unwrap();
    home
}

fn real() -> Start {
    Start { engine: "llama".to_owned(), ..Start::default() }
}

fn settings(home: &Path, text: &str) {
    let folder = home.join("config");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), text).unwrap();
}

/// A configuration in which every draw is the likeliest token.
fn greedy(home: &Path, more: &str) {
    settings(home, &format!("{more}\n[sampling]\ntemperature = 0\nmax_tokens = 60\n"));
}

/// A short answer about France, with the cursor on the word that answers: the last but the full stop.
fn on_the_answer(home: &Path) -> Terminal {
    settings(home, "[sampling]\ntemperature = 0.0\nmax_tokens = 12\n");
    let mut app = ready(real(), home);
    say(&mut app, CAPITAL);
    answered(&mut app);
    press(&mut app, Key::Tab);
    app.send(Key::End).unwrap();
    app.send_str("h").unwrap();
    app
}

/// Writes a picture for the README when asked to.
fn picture(screen: &Screen, name: &str) {
    if std::env::var("GLASSBOX_PICTURES").as_deref() == Ok("write") {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/img");
        std::fs::create_dir_all(&folder).unwrap();
        let mut svg = film::picture(screen);
        if name == "light" {
            svg = svg.replace("#1e1e1e", "#fbfaf7"); // the terminal's own background
        }
        std::fs::write(folder.join(format!("{name}.svg")), svg).unwrap();
    }
}

/// Waits until what was sent is answered. How long the answer is differs from one processor to the next, so what stands
/// above it may have left the screen, its own first line with it.
fn answered(app: &mut Terminal) -> Screen {
    let done = |screen: &Screen| {
        is_ready(screen) && screen.contains("› ask anything") && !screen.contains("when this reply is done")
    };
    app.wait_until_for(done, Duration::from_mins(1)).unwrap();
    app.wait_stable(Duration::from_millis(300)).unwrap()
}

#[test]
fn an_evening_with_the_default_model() {
    let home = home_with_models();
    greedy(home.path(), "");
    let mut app = ready(real(), home.path());
    say(&mut app, CAPITAL);
    let screen = answered(&mut app);
    assert!(screen.contains("Paris"), "{}", screen.text());
    assert!(
        screen.contains("6[7]8 9  softmax") && screen.contains("‹others›"),
        "the softmax is beside the reply"
    );

    say(&mut app, "And what is it known for?");
    let screen = answered(&mut app);
    assert!(screen.contains("Eiffel") || screen.contains("Louvre") || screen.contains("Paris"));
    picture(&screen, "chat");

    app.send(Key::Ctrl('l')).unwrap();
    let screen = see(&mut app, "Models");
    picture(&screen, "models");
    app.send_str("gemma").unwrap();
    app.wait_until(|screen| screen.contains("1 of 2")).unwrap();
    press(&mut app, Key::Enter);
    app.wait_until_for(|s| s.contains("Gemma") && is_ready(s), Duration::from_mins(1)).unwrap();
    say(&mut app, "Name one more city.");
    answered(&mut app);

    say(&mut app, "/model smollm2-135m-instruct");
    app.wait_until_for(|s| s.contains("SmolLM2-135M") && is_ready(s), Duration::from_mins(1)).unwrap();
    quit(app);
}

#[test]
fn the_readmes_film_is_made_with_the_default_model() {
    let home = home_with_models();
    settings(home.path(), "[sampling]\ntemperature = 0.0\nmax_tokens = 60\n");
    let mut app = ready(real().size(120, 34), home.path());
    say(&mut app, "/colour surprise");
    say(&mut app, "/slow 12");
    see(&mut app, "12 tokens a second");
    say(&mut app, "/new");
    let done = |screen: &Screen| is_ready(screen) && screen.contains("bit each");
    let film = film::demo(&mut app, CAPITAL, done)
        .svg("A question, its answer word by word, and what made one of them");
    assert!(film.contains("Paris") && film.contains("Instead of") && film.contains("Attention"));
    if std::env::var("GLASSBOX_PICTURES").as_deref() == Ok("write") {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/img/demo.svg"), film).unwrap();
    }
    quit(app);
}

#[test]
fn a_long_reply_is_stopped_regenerated_and_survives_its_engine() {
    let home = home_with_models();
    let mut app = ready(real(), home.path());
    say(&mut app, "Write a long story about a lighthouse.");
    app.wait_until(|screen| screen.contains("writing")).unwrap();
    app.wait_until(|screen| screen.contains("chose")).unwrap();
    app.send(Key::Esc).unwrap();
    see(&mut app, "stopped by you");
    app.send(Key::Ctrl('r')).unwrap();
    app.wait_until(|screen| screen.contains("‹2/2›") && screen.contains("writing")).unwrap();
    kill(children(app.pid().unwrap())[0]);
    see(&mut app, "F5");
    app.send(Key::F(5)).unwrap();
    app.wait_until(is_ready).unwrap();
    quit(app);
}

#[test]
fn the_configuration_chooses_the_model() {
    let home = home_with_models();
    greedy(home.path(), "model = \"gemma-3-270m\"");
    let mut app = real().within(home.path());
    app.wait_until_for(is_ready, Duration::from_mins(1)).unwrap();
    let screen = app.screen();
    assert!(screen.text().to_lowercase().contains("gemma"), "{}", screen.text());
    say(&mut app, "The sky is");
    answered(&mut app);
    quit(app);
}

#[test]
fn a_word_is_looked_into_another_is_taken_and_the_two_replies_are_compared() {
    let home = home_with_models();
    settings(home.path(), "[sampling]\nseed = 7\nmax_tokens = 40\n");
    let mut app = ready(real(), home.path());
    say(&mut app, "Write one sentence about the sea.");
    answered(&mut app);

    press(&mut app, Key::Tab);
    app.send_str("m").unwrap();
    see(&mut app, "coloured by surprise");
    app.send_str("hn").unwrap();
    app.send(Key::Alt('8')).unwrap();
    see(&mut app, "the draw");
    let scored = |screen: &Screen| is_ready(screen) && screen.find_all("bit each").len() == 2;
    app.wait_until_for(scored, Duration::from_mins(1)).unwrap();
    // The stages of a word that was not recorded are read again.
    let filled = |screen: &Screen| screen.contains("top-k") && screen.contains("still in");
    app.wait_until_for(filled, Duration::from_mins(1)).unwrap_or_else(|_| panic!("{}", app.screen().text()));
    let screen = app.wait_stable(Duration::from_millis(500)).unwrap();
    picture(&screen, "sampler");

    press(&mut app, Key::Enter);
    see(&mut app, "odds of every token are known");
    let screen = app.wait_stable(Duration::from_millis(300)).unwrap();
    picture(&screen, "alternatives");
    let text = screen.text();
    let first = text.lines().find(|row| row.contains("▶ 1 ")).expect("the likeliest token is selected");
    app.send_str(if first.contains("here") { "2" } else { "1" }).unwrap();
    app.wait_until_for(|s| is_ready(s) && s.contains("‹2/2›"), Duration::from_mins(1)).unwrap();
    app.wait_stable(Duration::from_millis(300)).unwrap();

    app.send_str("=").unwrap();
    see(&mut app, "so far");
    let screen = app.wait_stable(Duration::from_millis(500)).unwrap();
    assert!(screen.contains("Branches at token") && screen.contains("beside it"), "{}", screen.text());
    picture(&screen, "branches");
    // A key right after Esc would be one with Alt.
    app.send(Key::Esc).unwrap();
    app.wait_until(|screen| !screen.contains("beside it")).unwrap();
    if app.screen().contains("Branches at token") {
        app.send(Key::Esc).unwrap();
        app.wait_until(|screen| !screen.contains("Branches at token")).unwrap();
    }

    app.send_str("#").unwrap();
    see(&mut app, "Tokens of this message");
    app.send(Key::Esc).unwrap();
    app.wait_until(|screen| !screen.contains("Tokens of this message")).unwrap();
    for _ in 0..3 {
        if app.screen().contains("Enter send") {
            break;
        }
        app.send(Key::Esc).unwrap();
        app.wait_stable(Duration::from_millis(300)).unwrap();
    }
    app.wait_until(|screen| screen.contains("Enter send")).unwrap();
    let page = home.path().join("page.html");
    say(&mut app, &format!("/export {}", page.display()));
    until("the page", || std::fs::read_to_string(&page).is_ok_and(|page| page.contains("</html>")));
    quit(app);
}

#[test]
fn a_word_is_opened_at_every_station_and_the_head_that_wrote_it_is_switched_off() {
    let home = home_with_models();
    let mut app = on_the_answer(home.path());
    let stations = [
        ('6', "decided at", "layers"),
        ('4', "A cell is a head", "attention"),
        ('5', "neuron", "ffn"),
        ('9', "missing", "why"),
        ('2', "nearest", "embedding"),
        ('3', "base", "position"),
        ('1', "special tokens", "tokens"),
    ];
    for (key, said, name) in stations {
        app.send(Key::Alt(key)).unwrap();
        let shown = |screen: &Screen| screen.contains(said) && !screen.contains("reads it again");
        app.wait_until_for(shown, Duration::from_mins(1))
            .unwrap_or_else(|_| panic!("{name}: {}", app.screen().text()));
        let screen = app.wait_stable(Duration::from_millis(500)).unwrap();
        picture(&screen, name);
    }
    app.send(Key::Alt('9')).unwrap();
    app.send_str("x").unwrap();
    app.wait_until_for(|screen| screen.contains("KL "), Duration::from_mins(1)).unwrap();
    let screen = app.wait_stable(Duration::from_millis(500)).unwrap();
    assert!(screen.contains("off here"), "{}", screen.text());
    picture(&screen, "why");
    app.send_str("K").unwrap();
    see(&mut app, "1 part off");
    quit(app);
}

#[test]
fn a_head_is_laid_out_layers_are_gridded_and_a_reply_is_read_behind_other_words() {
    let home = home_with_models();
    let mut app = on_the_answer(home.path());
    app.send(Key::Alt('4')).unwrap();
    see(&mut app, "writes 0");
    // What heads usually do is found once a file, which the file's hash names.
    app.wait_until_for(|screen| screen.contains("usually"), Duration::from_mins(1)).unwrap();
    press(&mut app, Key::BackTab);
    see(&mut app, "g matrix");
    app.send_str("g").unwrap();
    let laid_out = |screen: &Screen| screen.contains("every row") && screen.contains("comes later");
    app.wait_until_for(laid_out, Duration::from_mins(1)).unwrap();
    picture(&app.wait_stable(Duration::from_millis(500)).unwrap(), "matrix");

    app.send(Key::Alt('6')).unwrap();
    app.send_str("g").unwrap();
    app.wait_until_for(|screen| screen.contains("it is on top"), Duration::from_mins(1)).unwrap();
    picture(&app.wait_stable(Duration::from_millis(500)).unwrap(), "grid");

    press(&mut app, Key::Tab);
    press(&mut app, Key::Tab);
    see(&mut app, "h l token");
    app.send_str("kE").unwrap();
    see(&mut app, "What if your message were");
    for _ in "France.".chars() {
        app.send(Key::Backspace).unwrap();
    }
    say(&mut app, "Italy.");
    let read = |screen: &Screen| screen.contains("nothing is sent") && screen.contains("␣Paris");
    app.wait_until_for(read, Duration::from_mins(1)).unwrap();
    picture(&app.wait_stable(Duration::from_millis(500)).unwrap(), "whatif");
    quit(app);
}

#[test]
fn a_narrow_terminal_and_a_light_one_have_their_pictures() {
    let home = home_with_models();
    greedy(home.path(), "");
    let mut app = ready(real().size(80, 24), home.path());
    say(&mut app, CAPITAL);
    let screen = answered(&mut app);
    assert!(screen.contains("uncertainty"));
    picture(&screen, "narrow");
    quit(app);

    let start = Start { light: true, ..real() };
    let mut app = ready(start, home.path());
    say(&mut app, "Name the capital of Italy.");
    let screen = answered(&mut app);
    picture(&screen, "light");
    quit(app);
}

/// What the left side of a wide screen says, as one line.
fn left_side(screen: &Screen) -> String {
    let rows = screen.text().lines().map(|row| row.chars().take(52).collect::<String>()).collect::<Vec<_>>();
    rows.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tour_says_figures_that_hold_at_every_station() {
    let home = home_with_models();
    let mut app = real().arg("tour").within(home.path());
    app.wait_until_for(|s| is_ready(s) && s.contains("1 of 12"), Duration::from_mins(1)).unwrap();
    let claims = [
        "␣Paris gets 77 %: three in four.",
        "49 152 tokens become 2,",
        "one piece: number 7042 of 49 152.",
        "Nearest to ␣Paris are ␣London, ␣France and ␣Berlin",
        "the fastest turns 57 degrees a token, the slowest 7 in all 8 192.",
        "␣Paris is nowhere until layer 23 and first only in the last, 29.",
        "Head 4 of layer 23 reads ␣France with 9 tenths of its weight.",
        "pushes toward ␣capital",
        "head 4 of layer 23 pushed most",
        "77 % becomes 1", // 15 % in exact arithmetic, 13 % with 8-bit activations
    ];
    for (step, claim) in (2..).zip(claims) {
        press(&mut app, Key::Enter);
        let place = format!("{step} of 12");
        let said = |screen: &Screen| screen.contains(&place) && left_side(screen).contains(claim);
        app.wait_until_for(said, Duration::from_mins(1))
            .unwrap_or_else(|_| panic!("{claim}\n{}", app.screen().text()));
        if step == 8 {
            picture(&app.wait_stable(Duration::from_millis(300)).unwrap(), "tour");
        }
    }
    let said = left_side(&app.screen());
    assert!(said.contains("␣London, ␣Tokyo") && said.contains("still a capital"), "{said}");
    app.send(Key::Esc).unwrap();
    app.wait_until(|screen| screen.contains("ask anything")).unwrap();
    quit(app);
}
