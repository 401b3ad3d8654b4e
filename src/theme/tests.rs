//! The themes against the tables they were designed by.

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};

use super::color::{BLACK, WHITE};
use super::*;
use crate::config::SymbolSet;

const DARK: [&str; 4] = ["#000000", "#15181c", "#1e1e2e", "#282c34"];
const LIGHT: [&str; 3] = ["#ffffff", "#fbfaf7", "#fdf6e3"];

fn rgb(text: &str) -> Rgb {
    Rgb::parse(text).unwrap()
}

fn built_in(name: &str) -> ThemeFile {
    let (theme, warnings) = load(name, None);
    assert_eq!(warnings, []);
    assert_eq!(theme.name, name);
    theme
}

/// The backgrounds a theme is made for, its own among them.
fn backgrounds(theme: &ThemeFile) -> Vec<Rgb> {
    let usual: &[&str] = if theme.light { &LIGHT } else { &DARK };
    usual.iter().map(|text| rgb(text)).chain([theme.background]).collect()
}

fn lowest(theme: &ThemeFile, role: Role) -> f64 {
    let on = |background| contrast(theme.swatch(role).rgb, background);
    backgrounds(theme).into_iter().map(on).fold(f64::INFINITY, f64::min)
}

#[test]
fn rows_are_in_the_order_of_the_roles() {
    for (index, row) in ROWS.iter().enumerate() {
        assert_eq!(row.role as usize, index, "{}", row.name);
    }
}

#[test]
fn built_in_themes_have_no_warning() {
    for name in list(None) {
        let text =
            std::fs::read_to_string(format!("{}/themes/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(parse(&name, &name, &text).1, [], "{name}");
    }
}

#[test]
fn every_built_in_theme_reads_well_on_its_backgrounds_and_when_selected() {
    for theme in list(None).iter().map(|name| built_in(name)) {
        let text = if theme.name.starts_with("high-contrast") { 7.0 } else { 4.5 };
        for row in ROWS {
            let contrast_here = lowest(&theme, row.role);
            let selected = contrast(theme.swatch(row.role).rgb, theme.swatch(Role::Select).rgb);
            let message = format!("{} {}: {contrast_here:.2}, selected {selected:.2}", theme.name, row.name);
            match row.paint {
                Paint::Ink => assert!(contrast_here >= text && selected >= 4.5, "{message}"),
                Paint::Mark | Paint::Cursor => assert!(contrast_here >= 3.0, "{message}"),
                Paint::Line | Paint::Fill => {}
            }
        }
    }
}

#[test]
fn text_stays_readable_with_256_colours() {
    for theme in list(None).iter().map(|name| built_in(name)) {
        for row in ROWS.iter().filter(|row| row.paint == Paint::Ink) {
            let seen = Rgb::of_256(theme.swatch(row.role).indexed);
            for background in backgrounds(&theme) {
                let contrast = contrast(seen, background);
                assert!(contrast >= 4.5, "{} {} on {background}: {contrast:.2}", theme.name, row.name);
            }
        }
    }
}

#[test]
fn text_reads_on_what_is_selected_and_on_code_at_every_depth() {
    for theme in list(None).iter().map(|name| built_in(name)).filter(|theme| !theme.terminal) {
        let seen = |role| {
            let swatch = theme.swatch(role);
            [swatch.rgb, Rgb::of_256(swatch.indexed)]
        };
        // What kinds of words code has is said in `attn.strong` too.
        let inks = ROWS.iter().filter(|row| row.paint == Paint::Ink || row.role == Role::AttnStrong);
        for (row, fill) in inks.flat_map(|row| [Role::Select, Role::Code].map(|fill| (row, fill))) {
            for (ink, behind) in seen(row.role).into_iter().zip(seen(fill)) {
                let found = contrast(ink, behind);
                assert!(
                    found >= 4.5,
                    "{} {} on {fill:?}, {ink} on {behind}: {found:.2}",
                    theme.name,
                    row.name
                );
            }
        }
    }
}

#[test]
fn dark_and_light_have_the_contrasts_of_the_design() {
    let expected = [
        (Role::Text, 10.4, 14.0),
        (Role::Strong, 13.0, 17.9),
        (Role::Muted, 5.8, 5.6),
        (Role::Rule, 1.7, 1.9),
        (Role::ProbBar, 5.3, 3.6),
        (Role::TokenChosen, 7.6, 6.6),
        (Role::TokenRival, 7.3, 6.4),
        (Role::RivalBar, 5.4, 3.5),
        (Role::AttnStrong, 9.2, 7.8),
        (Role::PartAttn, 7.5, 6.9),
        (Role::PartFfn, 3.2, 3.1),
        (Role::KlBar, 4.5, 4.5),
        (Role::Warn, 9.2, 6.4),
        (Role::Error, 6.2, 6.6),
    ];
    let (dark, light) = (built_in("dark"), built_in("light"));
    for (role, on_dark, on_light) in expected {
        for (theme, expected) in [(&dark, on_dark), (&light, on_light)] {
            let found = lowest(theme, role);
            assert!((found - expected).abs() < 0.06, "{} {role:?}: {found:.3}, not {expected}", theme.name);
        }
    }
}

#[test]
fn inks_on_every_step_are_readable() {
    for theme in list(None).iter().map(|name| built_in(name)) {
        for (steps, least, least_256) in [(theme.mag, 4.85, 5.35), (theme.div, 4.55, 4.5)] {
            for step in steps {
                let ink = contrast(step.rgb, step.rgb.ink());
                assert!(ink >= least, "{} {}: {ink:.2}", theme.name, step.rgb);
                let seen = Rgb::of_256(step.indexed);
                let ink = contrast(seen, seen.ink());
                assert!(ink >= least_256, "{} {}: {ink:.2}", theme.name, step.indexed);
            }
        }
    }
}

#[test]
fn inks_are_those_of_the_design() {
    let inks = |name: &str| built_in(name).mag.map(|step| step.rgb.ink() == WHITE);
    assert_eq!(inks("dark"), [true, true, true, true, true, false, false, false, false]);
    assert_eq!(inks("light"), [false, false, false, false, false, false, true, true, true]);
}

/// `OKLab` (Ottosson 2020).
fn oklab(color: Rgb) -> [f64; 3] {
    let [red, green, blue] = color.linear();
    let long = (0.412_221_470_8 * red + 0.536_332_536_3 * green + 0.051_445_992_9 * blue).cbrt();
    let medium = (0.211_903_498_2 * red + 0.680_699_545_1 * green + 0.107_396_956_6 * blue).cbrt();
    let short = (0.088_302_461_9 * red + 0.281_718_837_6 * green + 0.629_978_700_5 * blue).cbrt();
    [
        0.210_454_255_3 * long + 0.793_617_785_0 * medium - 0.004_072_046_8 * short,
        1.977_998_495_1 * long - 2.428_592_205_0 * medium + 0.450_593_709_9 * short,
        0.025_904_037_1 * long + 0.782_771_766_2 * medium - 0.808_675_766_0 * short,
    ]
}

fn distances(steps: [Swatch; 9]) -> Vec<f64> {
    let points = steps.map(|step| oklab(step.rgb));
    let apart =
        |pair: &[[f64; 3]]| (0..3).map(|axis| (pair[0][axis] - pair[1][axis]).powi(2)).sum::<f64>().sqrt();
    points.windows(2).map(apart).collect()
}

#[test]
fn steps_are_evenly_spaced() {
    for theme in ["dark", "light"].map(built_in) {
        for distance in distances(theme.mag) {
            assert!((distance - 0.080).abs() <= 0.0035, "{} mag {distance:.4}", theme.name);
        }
        for distance in distances(theme.div) {
            assert!((0.1105..=0.1275).contains(&distance), "{} div {distance:.4}", theme.name);
        }
    }
}

#[test]
fn with_256_colours_the_indices_are_the_tables() {
    let theme = resolve(&built_in("dark"), ColorDepth::C256, SymbolSet::Full);
    assert_eq!(theme.style(Role::Text), Style::new().fg(Color::Indexed(253)));
    assert_eq!(theme.style(Role::Select), Style::new().bg(Color::Indexed(236)));
    assert_eq!(theme.style(Role::Cursor), Style::new().bg(Color::Indexed(253)).fg(Color::Indexed(16)));
    let fills = |steps: [Style; 9]| steps.map(|style| style.bg);
    assert_eq!(fills(theme.mag), [234, 236, 24, 24, 32, 32, 74, 153, 153].map(|i| Some(Color::Indexed(i))));
    assert_eq!(fills(theme.div), [215, 173, 95, 239, 236, 239, 67, 74, 117].map(|i| Some(Color::Indexed(i))));
    let theme = resolve(&built_in("light"), ColorDepth::C256, SymbolSet::Full);
    assert_eq!(fills(theme.mag), [255, 153, 75, 75, 32, 32, 25, 19, 19].map(|i| Some(Color::Indexed(i))));
    assert_eq!(fills(theme.div), [94, 137, 173, 251, 254, 251, 110, 67, 25].map(|i| Some(Color::Indexed(i))));
    assert_eq!(theme.mag(0).fg, Some(Color::Indexed(16)));
    assert_eq!(theme.mag(8).fg, Some(Color::Indexed(231)));
}

#[test]
fn with_16_colours_text_keeps_the_terminals_own() {
    for name in list(None) {
        let theme = resolve(&built_in(&name), ColorDepth::C16, SymbolSet::Full);
        for row in ROWS {
            let style = theme.style(row.role);
            assert_eq!(style.bg, None, "{name} {}", row.name);
            let tint = match row.role {
                Role::ProbBar => Some(Color::Blue),
                Role::RivalBar => Some(Color::Yellow),
                _ => None,
            };
            assert_eq!(style.fg, tint, "{name} {}", row.name);
        }
        assert_eq!(theme.style(Role::Strong), Style::new().add_modifier(Modifier::BOLD));
        assert_eq!(theme.style(Role::Cursor), Style::new().add_modifier(Modifier::REVERSED));
        assert_eq!(theme.style(Role::TokenCut), Style::new().add_modifier(Modifier::CROSSED_OUT));
        assert_eq!(theme.style(Role::TokenSpecial), Style::new().add_modifier(Modifier::ITALIC));
        assert_eq!(theme.style(Role::TokenRival), Style::new().add_modifier(Modifier::UNDERLINED));
        assert_eq!(theme.mag, [Style::new(); 9]);
    }
}

#[test]
fn without_colour_no_style_has_one() {
    for name in list(None) {
        let theme = resolve(&built_in(&name), ColorDepth::None, SymbolSet::Full);
        assert_eq!(theme.depth, ColorDepth::None);
        for style in theme.styles.iter().chain(&theme.mag).chain(&theme.div) {
            assert_eq!((style.fg, style.bg), (None, None), "{name}");
            assert!(!style.add_modifier.contains(Modifier::DIM), "the faint attribute is not used");
        }
        assert_eq!(theme.style(Role::TokenChosen), Style::new().add_modifier(Modifier::BOLD));
    }
}

#[test]
fn the_terminal_theme_uses_16_colours_at_any_depth() {
    let spec = built_in("terminal");
    assert_eq!(resolve(&spec, ColorDepth::TrueColor, SymbolSet::Full).depth, ColorDepth::C16);
    assert_eq!(resolve(&spec, ColorDepth::None, SymbolSet::Full).depth, ColorDepth::None);
}

#[test]
fn depth_follows_the_environment_and_the_setting_wins() {
    let check = |env: &[(&str, &str)], is_terminal, expected| {
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(detect_depth(ColorDepth::Auto, &env, is_terminal), expected, "{env:?}");
        assert_eq!(detect_depth(ColorDepth::C16, &env, is_terminal), ColorDepth::C16);
    };
    check(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")], true, ColorDepth::TrueColor);
    check(&[("TERM", "xterm-256color")], true, ColorDepth::C256);
    check(&[("TERM", "tmux-256color"), ("COLORTERM", "truecolor")], true, ColorDepth::C256);
    check(&[("TERM", "linux")], true, ColorDepth::C16);
    check(&[("TERM", "dumb")], true, ColorDepth::None);
    check(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")], true, ColorDepth::None);
    check(&[("TERM", "xterm-256color")], false, ColorDepth::None);
}

#[test]
fn symbols_follow_the_locale() {
    let check = |env: &[(&str, &str)], expected| {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(detect_symbols(SymbolSet::Auto, &env), expected);
    };
    check(&[("LANG", "en_GB.UTF-8")], SymbolSet::Full);
    check(&[("LC_ALL", "C.utf8"), ("LANG", "C")], SymbolSet::Full);
    check(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")], SymbolSet::Ascii);
    check(&[("LC_ALL", ""), ("LANG", "en_GB.UTF-8")], SymbolSet::Full);
    check(&[], SymbolSet::Ascii);
}

#[test]
fn a_broken_theme_warns_and_is_used() {
    let text = "light = false\n[roles]\ntxt = \"#ffffff\"\ntoken.chosn = \"#ffffff\"\nmuted = \"#333333\"\nwarn = 3\n";
    let (theme, warnings) = parse("mine", "mine.toml", text);
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "mine.toml:3: txt: no role has this name (did you mean \"text\"?); it is left out",
            "mine.toml:4: token.chosn: no role has this name (did you mean \"token.chosen\"?); it is left out",
            "mine.toml:5: muted: #333333 on #15181c has a contrast of 1.4; text needs 4.5 to be read well",
            "mine.toml:6: warn: must be like \"#dbdee2\" or [\"#dbdee2\", 253]; the base theme's is used",
        ]
    );
    assert_eq!(theme.swatch(Role::Muted).rgb, rgb("#333333"), "the user's choice stands");
    assert_eq!(theme.swatch(Role::Warn), built_in("dark").swatch(Role::Warn));
    assert_eq!(theme.mag, built_in("dark").mag);
}

#[test]
fn a_users_theme_starts_from_light_where_it_says_so_and_wins_over_a_built_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("paper.toml", "light = true\nbackground = \"#ffffff\"\n[roles]\ntext = [\"#000000\", 16]\n");
    write("dark.toml", "[roles]\ntext = \"#ffffff\"\n");
    write("broken.toml", "[roles\n");
    let user = Some(folder.path());
    let (paper, warnings) = load("paper", user);
    assert_eq!((paper.swatch(Role::Text).rgb, paper.mag, warnings), (BLACK, built_in("light").mag, vec![]));
    assert_eq!(load("dark", user).0.swatch(Role::Text).rgb, WHITE);
    let (broken, warnings) = load("broken", user);
    assert_eq!((broken.roles, warnings.len(), warnings[0].line), (built_in("dark").roles, 1, 1));
    assert_eq!(list(user)[8..], ["broken", "paper"]);
}

#[test]
fn dark_and_light_leave_nothing_out() {
    for name in ["dark", "light"] {
        let text =
            std::fs::read_to_string(format!("{}/themes/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let rest = text.lines().map(|line| line.split(" = ").next().unwrap_or_default());
        let named: Vec<&str> = rest.collect();
        for key in ROWS.iter().map(|row| row.name).chain(["light", "background", "mag", "div"]) {
            assert!(named.contains(&key), "{name} leaves out {key}");
        }
    }
}

#[test]
fn an_unknown_theme_is_dark_with_the_nearest_name() {
    let (theme, warnings) = load("gruvbox_drak", None);
    assert_eq!(theme.name, "dark");
    assert!(warnings[0].message.contains("\"gruvbox-dark\""), "{warnings:?}");
    assert_eq!(load("auto", None), (built_in("dark"), vec![]));
    assert_eq!(name_for("auto", true), "light");
}
