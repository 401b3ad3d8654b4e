//! Theme files: a colour for each role and step, with what is missing taken from `dark` or `light`.
//!
//! Invariant: reading never fails; a key that cannot be used is a warning that names it and its line.

use std::path::Path;

use toml::de::DeValue;

use super::Role;
use super::color::{BLACK, Rgb, contrast};
use super::role::{Paint, ROWS};
use crate::config::document::{Report, Section, did_you_mean};
use crate::config::setting::integer;
use crate::config::{Warning, read_file};

/// A colour of a theme: 24 bits, and the entry of the 256 palette that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swatch {
    /// For true colour.
    pub rgb: Rgb,
    /// For 256 colours.
    pub indexed: u8,
}

/// A theme as a file says it, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThemeFile {
    /// Its name: the file's, without `.toml`.
    pub name: String,
    /// Made for light backgrounds.
    pub light: bool,
    /// Uses the terminal's own 16 colours at any depth.
    pub terminal: bool,
    /// The background that its colours were chosen on. Only measured against, never painted.
    pub background: Rgb,
    /// One colour a role, in the order of [`ROWS`].
    pub roles: [Swatch; 25],
    /// `mag.0` to `mag.8`.
    pub mag: [Swatch; 9],
    /// `div.−4` to `div.+4`.
    pub div: [Swatch; 9],
}

/// The themes that are compiled in, in the order of the picker.
const BUILT_IN: [(&str, &str); 8] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("high-contrast-light", include_str!("../../themes/high-contrast-light.toml")),
    ("terminal", include_str!("../../themes/terminal.toml")),
    ("catppuccin-mocha", include_str!("../../themes/catppuccin-mocha.toml")),
    ("gruvbox-dark", include_str!("../../themes/gruvbox-dark.toml")),
    ("solarized-light", include_str!("../../themes/solarized-light.toml")),
];

/// Names of all themes: built-in ones, then those of the user's folder by name.
#[must_use]
pub fn list(user_dir: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|(name, _)| (*name).into()).collect();
    let files = user_dir.and_then(|folder| std::fs::read_dir(folder).ok());
    let mut own: Vec<String> = files
        .into_iter()
        .flatten()
        .filter_map(|file| file.ok()?.file_name().into_string().ok()?.strip_suffix(".toml").map(String::from))
        .filter(|name| !names.contains(name))
        .collect();
    own.sort();
    names.append(&mut own);
    names
}

/// The theme for a setting: `auto` is `dark` or `light`, as the terminal's background.
#[must_use]
pub fn name_for(setting: &str, light: bool) -> &str {
    match (setting, light) {
        ("auto", false) => "dark",
        ("auto", true) => "light",
        _ => setting,
    }
}

/// Reads a theme by name; the user's own wins over a built-in one of the same name. `auto` is `dark` here
/// (see [`name_for`]), and so is a name that does not exist, with a warning.
pub fn load(name: &str, user_dir: Option<&Path>) -> (ThemeFile, Vec<Warning>) {
    let name = name_for(name, false);
    let mut warnings = Vec::new();
    // A name is one of the folder's, never a way out of it.
    if let Some(folder) = user_dir.filter(|_| !name.contains(['/', '\\'])) {
        match read_file(&folder.join(format!("{name}.toml"))) {
            Ok(Some((file, text))) => return parse(name, &file, &text),
            Ok(None) => {}
            Err(warning) => warnings.push(warning),
        }
    }
    if let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return (parse(name, name, text).0, warnings);
    }
    if warnings.is_empty() {
        let names = list(user_dir);
        let hint = did_you_mean(name, names.iter().map(String::as_str));
        let message = format!("no theme is named \"{name}\"{hint}; \"dark\" is used");
        warnings.push(Warning { file: "theme".into(), line: 0, key: "ui.theme".into(), message });
    }
    (complete("dark"), warnings)
}

/// Reads a theme's text. `file` is what warnings call it. What it leaves out is as in `dark` or `light`.
#[must_use]
pub fn parse(name: &str, file: &str, text: &str) -> (ThemeFile, Vec<Warning>) {
    let mut report = Report::of_file(file, text);
    let table = report.parse();
    let light = table.as_ref().and_then(|table| table.get("light")?.get_ref().as_bool()).unwrap_or(false);
    let mut theme = ThemeFile { name: name.into(), ..complete(if light { "light" } else { "dark" }) };
    if let Some(table) = &table {
        read(Section::new(table, "", &mut report), &mut theme);
    }
    (theme, report.into_warnings())
}

/// One of the two built-in themes that leave nothing out.
fn complete(name: &str) -> ThemeFile {
    let (_, text) = BUILT_IN.iter().find(|(other, _)| *other == name).expect("asked for by constants alone");
    let plain = Swatch { rgb: BLACK, indexed: 16 };
    let mut theme = ThemeFile {
        name: name.into(),
        light: false,
        terminal: false,
        background: BLACK,
        roles: [plain; 25],
        mag: [plain; 9],
        div: [plain; 9],
    };
    let mut report = Report::of_file(name, text);
    let table = report.parse().expect("the built-in themes are tested");
    read(Section::new(&table, "", &mut report), &mut theme);
    theme
}

fn read(mut section: Section, theme: &mut ThemeFile) {
    section.put("light", &mut theme.light, |_| Ok(()));
    section.put("terminal", &mut theme.terminal, |_| Ok(()));
    if let Some(value) = section.raw("background") {
        match value.get_ref().as_str().and_then(Rgb::parse) {
            Some(color) => theme.background = color,
            None => {
                section.refuse("background", value, "must be like \"#15181c\"", "the base theme's is used");
            }
        }
    }
    ramp(&mut section, "mag", &mut theme.mag);
    ramp(&mut section, "div", &mut theme.div);
    if let Some(mut table) = section.table("roles") {
        roles(&mut table, "", theme);
    }
    section.finish();
}

/// Reads the roles; the dots of a name are tables to TOML.
fn roles(section: &mut Section, prefix: &str, theme: &mut ThemeFile) {
    for (key, at, value) in section.entries() {
        let name = format!("{prefix}{key}");
        let index = ROWS.iter().position(|row| row.name == name);
        match (index, value.get_ref()) {
            (Some(index), value) => {
                if let Some(swatch) = swatch(value) {
                    theme.roles[index] = swatch;
                    if let Some(message) = faint(index, theme) {
                        section.report.warn(at, &name, message);
                    }
                } else {
                    let message = "must be like \"#dbdee2\" or [\"#dbdee2\", 253]; the base theme's is used";
                    section.report.warn(at, &name, message.into());
                }
            }
            (None, DeValue::Table(table)) => {
                roles(&mut Section::new(table, &name, section.report), &format!("{name}."), theme);
            }
            (None, _) => {
                let hint = did_you_mean(&name, ROWS.iter().map(|row| row.name));
                section.report.warn(at, &name, format!("no role has this name{hint}; it is left out"));
            }
        }
    }
}

/// What is wrong with a text role that is hard to read on the theme's own background.
fn faint(index: usize, theme: &ThemeFile) -> Option<String> {
    let contrast = contrast(theme.roles[index].rgb, theme.background);
    (ROWS[index].paint == Paint::Ink && contrast < 4.5).then(|| {
        format!(
            "{} on {} has a contrast of {contrast:.1}; text needs 4.5 to be read well",
            theme.roles[index].rgb, theme.background
        )
    })
}

fn ramp(section: &mut Section, key: &'static str, steps: &mut [Swatch; 9]) {
    let Some(value) = section.raw(key) else { return };
    let items = value.get_ref().as_array().filter(|items| items.len() == 9);
    let read: Option<Vec<Swatch>> =
        items.and_then(|items| items.iter().map(|item| swatch(item.get_ref())).collect());
    match read.and_then(|read| <[Swatch; 9]>::try_from(read).ok()) {
        Some(read) => *steps = read,
        None => section.refuse(key, value, "must be nine colours", "the base theme's are used"),
    }
}

/// `"#dbdee2"`, or `["#dbdee2", 253]` with its entry of the 256 palette.
fn swatch(value: &DeValue) -> Option<Swatch> {
    if let Some(items) = value.as_array() {
        let [color, index] = items.as_ref() else { return None };
        let rgb = Rgb::parse(color.get_ref().as_str()?)?;
        return Some(Swatch { rgb, indexed: u8::try_from(integer(index.get_ref())?).ok()? });
    }
    let rgb = Rgb::parse(value.as_str()?)?;
    Some(Swatch { rgb, indexed: rgb.nearest_256() })
}

impl ThemeFile {
    /// The colour of a role.
    #[must_use]
    pub fn swatch(&self, role: Role) -> Swatch {
        self.roles[role as usize]
    }
}
