//! How things look on this terminal: theme, colour depth, glyphs, light or dark background.
//!
//! Invariant: the terminal is asked once, before the first frame, and never longer than a blink.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};

use crate::app::App;
use crate::config::{ColorDepth, Config, SymbolSet, UiConfig, Warning};
use crate::theme::{self, Theme};

/// How long the terminal may take to tell its background: at hand, and over a network.
const PATIENCE: Duration = Duration::from_millis(150);
const PATIENCE_REMOTE: Duration = Duration::from_millis(250);

/// What was found out about the terminal.
#[derive(Clone, Debug)]
pub struct Look {
    /// Whether its background is light.
    pub light: bool,
    /// The themes of the user.
    pub user_themes: PathBuf,
    /// What it was resolved from, to see whether a change matters.
    resolved: Option<(String, ColorDepth, SymbolSet)>,
}

impl Look {
    /// Asks the terminal if the configuration leaves the choice to it.
    pub fn find(ui: &UiConfig, user_themes: PathBuf) -> Self {
        let light = ui.theme == "auto" && background_is_light();
        Self { light, user_themes, resolved: None }
    }

    /// The theme for these settings; `None` when nothing changed since the last call.
    pub fn resolve(&mut self, ui: &UiConfig) -> Option<(Theme, Vec<Warning>)> {
        let wanted = (ui.theme.clone(), ui.color, ui.symbols);
        if self.resolved.as_ref() == Some(&wanted) {
            return None;
        }
        self.resolved = Some(wanted);
        let (file, warnings) = theme::load(theme::name_for(&ui.theme, self.light), Some(&self.user_themes));
        let (depth, symbols) = found(ui);
        Some((theme::resolve(&file, depth, symbols), warnings))
    }

    /// The theme that the app's settings ask for, if it is another now. What is wrong with it is said in the app.
    pub fn follow(&mut self, app: &mut App) -> Option<Theme> {
        let (theme, warnings) = self.resolve(&app.config.ui)?;
        app.out.tell(&warnings);
        app.out.dirty = true;
        Some(theme)
    }

    /// Names of all themes: built in, and the user's.
    pub fn names(&self) -> Vec<String> {
        let mut names = vec!["auto".to_owned()];
        names.extend(theme::list(Some(&self.user_themes)));
        names
    }

    /// Forgets what was resolved, so that a theme file that changed is read again.
    pub fn forget(&mut self) {
        self.resolved = None;
    }
}

/// The theme for what is printed on a terminal. Only a program in the foreground may ask that for its background: another
/// would be stopped; without an answer, text has the terminal's own colours.
pub fn printing_theme(ui: &UiConfig, user_themes: &Path) -> Theme {
    let asked = super::native::in_foreground();
    let light = ui.theme == "auto"
        && if asked { background_is_light() } else { is_light_by_variable() == Some(true) };
    let told = asked || is_light_by_variable().is_some();
    let (file, _) = theme::load(theme::name_for(&ui.theme, light), Some(user_themes));
    let (depth, symbols) = found(ui);
    let unknown = ui.theme == "auto" && !told && depth != ColorDepth::None;
    theme::resolve(&file, if unknown { ColorDepth::C16 } else { depth }, symbols)
}

/// Colour depth and glyphs: as configured, or as the terminal says.
fn found(ui: &UiConfig) -> (ColorDepth, SymbolSet) {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let terminal = std::io::stdout().is_terminal();
    (theme::detect_depth(ui.color, &env, terminal), theme::detect_symbols(ui.symbols, &env))
}

fn background_is_light() -> bool {
    let remote = std::env::var_os("SSH_CONNECTION").is_some();
    let mut options = QueryOptions::default();
    options.timeout = if remote { PATIENCE_REMOTE } else { PATIENCE };
    match theme_mode(options) {
        Ok(mode) => mode == ThemeMode::Light,
        Err(_) => is_light_by_variable().unwrap_or(false),
    }
}

/// `COLORFGBG` ends in the background's number: 7 and 15 are light.
fn is_light_by_variable() -> Option<bool> {
    let value = std::env::var("COLORFGBG").ok()?;
    value.rsplit(';').next().map(|last| matches!(last, "7" | "15"))
}

/// What this terminal can show, in a line for `doctor`.
pub fn terminal_facts(config: &Config) -> String {
    let term = std::env::var("TERM").unwrap_or_else(|_| "unset".to_owned());
    let (depth, symbols) = found(&config.ui);
    let colours = match depth {
        ColorDepth::TrueColor => "true colour",
        ColorDepth::C256 => "256 colours",
        ColorDepth::C16 => "16 colours",
        ColorDepth::None | ColorDepth::Auto => "no colour",
    };
    let glyphs = match symbols {
        SymbolSet::Ascii => "ASCII only",
        SymbolSet::Plain => "plain symbols",
        SymbolSet::Full | SymbolSet::Auto => "all symbols",
    };
    format!("TERM={term}, {colours}, {glyphs}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keymap::Keymap;

    #[test]
    fn what_is_wrong_with_a_theme_is_said_whenever_it_is_read() {
        let themes = tempfile::tempdir().unwrap();
        std::fs::write(themes.path().join("mine.toml"), "[roles]\ntxet = \"#ffffff\"\n").unwrap();
        let mut look = Look { light: false, user_themes: themes.path().to_owned(), resolved: None };
        let (mut app, _) = App::new(Config::default(), Keymap::defaults(), 1, (80, 24));
        look.follow(&mut app).expect("the first theme");
        assert_eq!(app.out.notice, None);
        app.config.ui.theme = "mine".to_owned();
        look.follow(&mut app).expect("another theme");
        let said = app.out.notice.expect("a notice").text;
        assert!(said.starts_with("mine.toml:2: txet: "), "{said}");
    }
}
