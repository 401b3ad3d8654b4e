//! Settings in use and where they come from: the chat, the model, or the default; and what they do.
//!
//! Invariants: rows are indices into [`entries`], in the order of [`crate::app::setting_keys`]; what a sampler
//! setting does is shown only where it follows from the odds that were kept.

use ratatui::layout::Rect;
use serde_json::Value;

use super::{Canvas, Draw, body, count};
use crate::app::{
    App, Keys, Picker, Settings, setting_choices, setting_keys, setting_label, setting_meaning, setting_note,
    setting_range, setting_section,
};
use crate::command::Command;
use crate::config::{ColorDepth, Config};
use crate::inspect::chain::{self, Fate};
use crate::sampling::SamplingOverrides;
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::token::Step;
use crate::ui::inspector::live::Live;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{edit, number, text};

/// Column before which values end, and at which what stands beside them begins.
const VALUE_END: u16 = 34;
const BESIDE: u16 = 37;
/// Columns before which the three sources end; the first is as wide as its head.
const SOURCES: [u16; 3] = [72, 79, 88];
const FIRST_SOURCE: u16 = SOURCES[0] - 9;
/// Cells of a slider between its arrows.
const SLIDER: u16 = 19;
/// Lines on the selected setting, below the list.
const ABOUT: u16 = 2;
/// Most lines of the list.
const MOST: u16 = 22;

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its key, dotted, as in the configuration file.
    pub key: String,
    /// The value in use.
    pub value: String,
    /// What this chat sets, by itself or by its preset.
    pub chat: Option<String>,
    /// What the model's entry sets, by itself or by its preset, or what its makers recommend.
    pub model: Option<String>,
    /// What holds without them: the configuration's for the sampler, else the built-in value.
    pub default: String,
    /// What holds where nobody sets anything.
    pub built_in: String,
    /// Where the value in use comes from, in words.
    pub source: String,
}

/// A line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Head(&'static str),
    /// A row of the picker.
    Row(usize),
    Effect,
    Blank,
}

impl Draw for Settings {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let entries = entries(canvas.app);
        let key = canvas.app.keymap.shown(Command::Settings);
        let filtered = !picker.filter.text.is_empty();
        let right = if filtered { count(picker, entries.len()) } else { key };
        let inside = canvas.frame("Settings", &right, 100, MOST + 6 + ABOUT);
        let filter = Rect { width: inside.width.min(FIRST_SOURCE - 2), ..inside };
        let mut cursor = canvas.filter(filter, &picker.filter, "type to filter");
        let table = table(canvas.theme, inside.width);
        table.heads().draw(inside, 0, canvas.buf);
        let list = body(inside, 2, 2 + ABOUT);
        if let Some(entry) = picker.rows.get(picker.selected).and_then(|row| entries.get(*row)) {
            about(canvas, inside, entry);
        }
        let lines = lines(picker, &entries);
        let selected = lines.iter().position(|line| *line == Line::Row(picker.selected)).unwrap_or(0);
        let (above, shown, below) = window(&lines, selected, list.height);
        more(canvas, text::row(inside, inside.height.saturating_sub(2 + ABOUT), 0), above, below);
        for (line, row) in shown.iter().zip(0..list.height) {
            let at = text::row(list, row, 0);
            match line {
                Line::Head(name) => canvas.cell(at, 1, at.width, name, Role::Strong),
                Line::Row(index) => {
                    let Some(entry) = picker.rows.get(*index).and_then(|row| entries.get(*row)) else {
                        continue;
                    };
                    let chosen = *index == picker.selected;
                    if chosen {
                        canvas.mark(at);
                    }
                    let typed = picker.value.as_ref().filter(|_| chosen);
                    let typed = typed.map(|value| (value.text.as_str(), value.cursor));
                    cursor = row_of(canvas, &table, at, (entry, chosen), typed).or(cursor);
                }
                Line::Effect => effect(canvas, at),
                Line::Blank => {}
            }
        }
        keys(canvas, inside, picker.value.is_some());
        cursor
    }
}

fn keys(canvas: &mut Canvas<'_>, inside: Rect, typing: bool) {
    let key = Keys(&canvas.app.keymap);
    let (choose, leave) = (key.of(Command::Choose), key.of(Command::Escape));
    let offered = if typing {
        vec![(choose, "take the value"), (leave, "leave it as it was")]
    } else {
        vec![
            (key.together(&[Command::ValueLess, Command::ValueMore]), "change"),
            (choose, "type one"),
            (key.of(Command::SaveSetting), "for all chats"),
            (key.of(Command::ValueDefault), "default"),
            (key.of(Command::Undo), "undo"),
            (leave, "close"),
        ]
    };
    canvas.keys(inside, offered);
}

/// What the selected setting means, where its value comes from, what it can be; or why it does nothing, or harm, as it is.
fn about(canvas: &mut Canvas<'_>, inside: Rect, entry: &Entry) {
    let doubt = match entry.key.strip_prefix("sampling.") {
        Some(key) => canvas.app.view().sampling().doubt(key),
        None if entry.key == "engine.rope" => canvas.app.config.engine.load.rope.doubt().map(|(_, why)| why),
        None => None,
    };
    let range =
        setting_range(&entry.key).map(|range| format!("{} to {}", plain(range.least), plain(range.most)));
    let facts = [Some(format!("from {}", entry.source)), range, Some(format!("default {}", entry.built_in))];
    let facts = facts.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let lines =
        text::wrap(&sanitize::for_display(setting_meaning(&entry.key)), inside.width.saturating_sub(2));
    let first = inside.height.saturating_sub(1 + ABOUT);
    let said = lines.first().map_or("", String::as_str);
    canvas.cell(text::row(inside, first, 0), 1, inside.width.saturating_sub(2), said, Role::Text);
    let (second, role) = doubt.map_or((facts, Role::Muted), |why| (format!("! {why}"), Role::Warn));
    canvas.cell(text::row(inside, first + 1, 0), 1, inside.width.saturating_sub(2), &second, role);
}

/// The table: label, value, and what chat, model and default set, which go from the right where there is no room.
fn table(theme: &Theme, width: u16) -> Table<'_, 5> {
    let [chat, model, default] = SOURCES;
    let source = |head: &str, end: u16| Column::right(head, end).when(end < width);
    let columns = [
        Column::left("", 3, width.saturating_sub(3)),
        Column::right("", VALUE_END.min(width)),
        source("this chat", chat),
        source("model", model),
        source("default", default),
    ];
    Table::of(theme, columns)
}

/// The list with its sections; the line on what the samplers do closes the first one.
fn lines(picker: &Picker, entries: &[Entry]) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut section = "";
    for (index, row) in picker.rows.iter().enumerate() {
        let Some(entry) = entries.get(*row) else { continue };
        let next = setting_section(&entry.key);
        if next != section {
            close(&mut lines, section);
            lines.push(Line::Head(next));
            section = next;
        }
        lines.push(Line::Row(index));
    }
    if section == "Sampling" {
        lines.push(Line::Effect);
    }
    lines
}

fn close(lines: &mut Vec<Line>, section: &str) {
    match section {
        "" => {}
        "Sampling" => lines.extend([Line::Effect, Line::Blank]),
        _ => lines.push(Line::Blank),
    }
}

/// The lines in view: the selected one with its section's head, as long as both fit; and whether there are settings above
/// and below them.
fn window(lines: &[Line], selected: usize, height: u16) -> (bool, &[Line], bool) {
    let height = usize::from(height);
    let most = lines.len().saturating_sub(height);
    let first = (selected + 3).saturating_sub(height).min(most);
    let last = (first + height).min(lines.len());
    let settings = |lines: &[Line]| lines.iter().any(|line| matches!(line, Line::Row(_)));
    (settings(&lines[..first]), &lines[first..last], settings(&lines[last..]))
}

/// Says where there are settings beyond those in view.
fn more(canvas: &mut Canvas<'_>, at: Rect, above: bool, below: bool) {
    let said = match (above, below) {
        (false, false) => "",
        (false, true) => "more below",
        (true, false) => "more above",
        (true, true) => "more above and below",
    };
    canvas.cell(at, 3, at.width, said, Role::Muted);
}

/// One setting; gives the cursor's cell while its value is typed.
fn row_of(
    canvas: &mut Canvas<'_>,
    table: &Table<'_, 5>,
    at: Rect,
    (entry, chosen): (&Entry, bool),
    typed: Option<(&str, usize)>,
) -> Option<(u16, u16)> {
    let label = setting_label(&entry.key);
    let value = sanitize::for_display(&entry.value);
    let sampling = entry.key.starts_with("sampling.");
    let muted = canvas.theme.style(Role::Muted);
    let source = |set: Option<&str>| {
        let set = sanitize::for_display(set.unwrap_or("–"));
        Cell::maybe(sampling.then(|| text::cut(&set, 8)), muted)
    };
    let fits = text::width(&label) + text::width(&value) + 5 <= VALUE_END;
    let cells = [
        Cell::of(label, canvas.theme.style(Role::Text)),
        Cell::maybe(fits.then(|| value.clone()), canvas.theme.style(Role::Strong)),
        source(entry.chat.as_deref()),
        source(entry.model.as_deref()),
        source(Some(&entry.default)),
    ];
    table.row(cells).draw(at, 0, canvas.buf);
    let beside_end =
        if sampling && SOURCES[0] < at.width { FIRST_SOURCE } else { at.width.saturating_sub(1) };
    let beside = Rect { width: beside_end.saturating_sub(BESIDE).min(at.width), ..text::row(at, 0, BESIDE) };
    let mut cursor = None;
    if let Some(typed) = typed {
        let style = canvas.theme.style(Role::TokenChosen);
        cursor = edit::draw(canvas.buf, beside, typed, ("default", canvas.theme.style(Role::Muted)), style);
    } else if !fits {
        canvas.cell(beside, 0, beside.width, &value, Role::Strong);
    } else if !chosen || !slider(canvas, beside, entry) {
        canvas.cell(beside, 0, beside.width, &note(canvas, entry), Role::Muted);
    }
    cursor
}

/// `◂━━━━━━━┿━━━━━━━━━━━▸  0–2`; says whether it was drawn.
fn slider(canvas: &mut Canvas<'_>, at: Rect, entry: &Entry) -> bool {
    let range = setting_range(&entry.key).and_then(|range| range.slider);
    let (Some((from, to)), Ok(value)) = (range, entry.value.replace('−', "-").parse::<f64>()) else {
        return false;
    };
    if at.width < SLIDER + 2 {
        return false;
    }
    let share = ((value - from) / (to - from)).clamp(0.0, 1.0);
    let before = (share * f64::from(SLIDER - 1)).round() as usize;
    let after = usize::from(SLIDER) - 1 - before;
    let drawn = format!("◂{}┿{}▸", "━".repeat(before), "━".repeat(after));
    canvas.cell(at, 0, SLIDER + 2, &drawn, Role::ProbBar);
    let ends = format!("{}–{}", plain(from), plain(to));
    if at.width >= SLIDER + 4 + text::width(&ends) {
        canvas.cell(at, SLIDER + 4, at.width, &ends, Role::Muted);
    }
    true
}

fn plain(figure: f64) -> String {
    figure.to_string().replace('-', "−")
}

/// What a setting can be, what was found, or what it is for.
fn note(canvas: &Canvas<'_>, entry: &Entry) -> String {
    let (key, value) = (entry.key.as_str(), entry.value.as_str());
    let others = |names: &mut dyn Iterator<Item = &str>| {
        let others: Vec<String> = names.filter(|name| *name != value).map(sanitize::for_display).collect();
        others.join(", ")
    };
    match key {
        "ui.theme" => others(&mut canvas.app.themes.iter().map(String::as_str)),
        "ui.color" if value == "auto" => format!("found: {}", depth(canvas.theme)),
        "ui.symbols" if value == "auto" => {
            format!("found: {}", if canvas.theme.symbols.ascii { "ascii" } else { "full" })
        }
        "ui.mouse" if value == "on" => "on: Shift selects text".into(),
        _ if setting_choices(key).is_empty() => setting_note(key).into(),
        _ => others(&mut setting_choices(key).iter().copied()),
    }
}

fn depth(theme: &Theme) -> &'static str {
    match theme.depth {
        ColorDepth::Auto | ColorDepth::TrueColor => "true colour",
        ColorDepth::C256 => "256 colours",
        ColorDepth::C16 => "16 colours",
        ColorDepth::None => "no colour",
    }
}

/// What the samplers in use make of the step on display, where that can be told.
fn effect(canvas: &mut Canvas<'_>, at: Rect) {
    let Some(live) = Live::of(canvas.app) else { return };
    let narrow = at.width < 84;
    let words = if narrow { "On the token shown" } else { "What this does, on the token on display" };
    canvas.cell(at, 1, at.width, words, Role::Muted);
    let from = if narrow { 22 } else { 52 };
    let room = at.width.saturating_sub(from + 1);
    let Some(kept) = kept(canvas.app, &live) else {
        return canvas.cell(at, from, room, "cannot be told from the odds kept", Role::Muted);
    };
    let left = format!("{} left", kept.len());
    let mut x = from;
    for (index, share) in kept.iter().enumerate() {
        let shown = format!("{} {}", live.candidate(index, &canvas.theme.symbols), number::percent(*share));
        if x + text::width(&shown) + 3 + text::width(&left) > from + room {
            break;
        }
        let drawn = live.step.step.candidates.get(index).map(|candidate| candidate.id);
        let role = if drawn == live.step.step.id { Role::TokenChosen } else { Role::Text };
        canvas.cell(at, x, room, &shown, role);
        x += text::width(&shown) + 3;
    }
    canvas.cell(at, x, room, &left, Role::Muted);
}

/// The probabilities of the tokens that the samplers in use leave, likeliest first.
fn kept(app: &App, live: &Live<'_>) -> Option<Vec<f64>> {
    let sampling = app.view().sampling();
    let run = app.display().shown_step().and_then(|shown| app.view().run_at(shown.cursor()));
    let made_by = run.and_then(|run| app.talk.runs.get(&run)).map(|run| &run.sampling);
    // How many survived was recorded under the run's own settings and says nothing about others.
    let same = made_by == Some(&sampling);
    let step = &live.step.step;
    let step = if same { step.clone() } else { Step { survivors: 0, ..step.clone() } };
    if live.odds.are_sampled() {
        return None;
    }
    let fates = chain::fates(&step, &sampling, live.entries as usize, live.suppressed())?;
    let shares = fates.into_iter().map_while(|fate| match fate {
        Fate::Kept(share) => Some(share),
        Fate::Cut(_) => None,
    });
    Some(shares.collect())
}

/// All settings, in the order of the overlay.
pub fn entries(app: &App) -> Vec<Entry> {
    let config = &app.config;
    let model = app.model.entry(config);
    let makers = model.as_ref().map(|entry| json(&entry.makers)).unwrap_or_default();
    let layered = |preset: Option<&String>, own: &SamplingOverrides| {
        let mut layer = preset.and_then(|name| config.presets.get(name)).cloned().unwrap_or_default();
        layer.merge(own);
        json(&layer)
    };
    let chat = layered(app.talk.chat.settings.preset.as_ref(), &app.talk.chat.settings.sampling);
    let model = model.map(|entry| layered(entry.preset.as_ref(), &entry.sampling)).unwrap_or_default();
    let built_in = Config::default();
    let built_in_sampling = json(&built_in.sampling);
    let own = json(&app.talk.chat.settings.sampling);
    let preset = app.talk.chat.settings.preset.clone().unwrap_or_default();
    let tables = [
        ("sampling", json(&app.view().sampling()), json(&config.sampling)),
        ("ui", json(&config.ui), json(&built_in.ui)),
        ("inspector", json(&config.inspector), json(&built_in.inspector)),
        ("engine", json(&config.engine), json(&built_in.engine)),
    ];
    let all = setting_keys(app).into_iter().filter_map(|dotted| {
        let (table, key) = dotted.split_once('.')?;
        let (_, used, default) = tables.iter().find(|(name, ..)| *name == table)?;
        let shown = |values: &Value| show(key, values.get(key).unwrap_or(&Value::Null));
        let layer = |values: &Value| {
            (table == "sampling" && values.get(key).is_some_and(|value| !value.is_null()))
                .then(|| shown(values))
        };
        let built_in = if table == "sampling" { &built_in_sampling } else { default };
        let unset = shown(default) == shown(built_in);
        let source = match table {
            "sampling" if layer(&own).is_some() => "this chat".to_owned(),
            "sampling" if layer(&chat).is_some() => format!("this chat's preset {preset}"),
            "sampling" if layer(&model).is_some() => "the model's entry".to_owned(),
            "sampling" if layer(&makers).is_some() => "the model's makers".to_owned(),
            "sampling" if unset => "the built-in default".to_owned(),
            "sampling" => "config.toml".to_owned(),
            _ if shown(used) == shown(default) => "the built-in default".to_owned(),
            _ => "config.toml".to_owned(),
        };
        Some(Entry {
            value: shown(used),
            chat: layer(&chat),
            model: layer(&model).or_else(|| layer(&makers)),
            default: shown(default),
            built_in: shown(built_in),
            source,
            key: dotted,
        })
    });
    all.collect()
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain settings become JSON")
}

/// A value as people read it: no quotes, few digits, `auto` or `random` where unset.
fn show(key: &str, value: &Value) -> String {
    match value {
        Value::Null if key == "seed" => "random".into(),
        Value::Null => "auto".into(),
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        Value::String(text) if text.is_empty() => "none".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                let figure = format!("{float:.3}");
                // Two decimals, as the columns have them, and a third where it says something.
                figure.strip_suffix('0').unwrap_or(&figure).replace('-', "−")
            }
            _ => number.to_string().replace('-', "−"),
        },
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(|item| show("", item)).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            let set = fields.iter().filter(|(_, value)| !value.is_null());
            set.map(|(key, value)| format!("{key} {}", show(key, value))).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{LineEdit, ModelStatus};
    use crate::ui::testing::design::{bare_theme, capitals, theme};
    use crate::ui::testing::{as_drawn, overlay};

    /// The overlay with every row, one of them selected.
    fn drawn(app: &App, theme: &Theme, selected: usize, width: u16, height: u16) -> Vec<String> {
        let all = (0..entries(app).len()).collect();
        overlay(
            app,
            theme,
            Settings { picker: Picker { rows: all, selected, ..Picker::default() } },
            width,
            height,
        )
    }

    fn figures() -> App {
        let mut app = capitals();
        app.talk.chat.settings.sampling.temperature = Some(0.8);
        app
    }

    #[test]
    fn the_settings_are_as_drawn() {
        as_drawn!("settings", drawn(&figures(), &theme(), 0, 100, 20));
        // Columns go from the right.
        as_drawn!("settings_80x24", drawn(&figures(), &theme(), 0, 80, 24));
        // A value is typed beside the one in use.
        let value = Some(LineEdit::new("0.25"));
        let picker = Picker { rows: vec![0], value, ..Picker::default() };
        as_drawn!("value_typed", overlay(&figures(), &bare_theme(), Settings { picker }, 100, 20));
    }

    #[test]
    fn settings_below_the_fold_and_the_key_that_keeps_a_value_are_shown() {
        let first = drawn(&figures(), &theme(), 0, 120, 40);
        assert!(first.iter().any(|row| row.contains("Ctrl+K for all chats")), "{first:#?}");
        assert!(first.iter().any(|row| row.contains("  more below ")), "{first:#?}");
        let all = entries(&figures()).len();
        let last = drawn(&figures(), &theme(), all - 1, 80, 24);
        assert!(last.iter().any(|row| row.contains("  more above ")), "{last:#?}");
        assert!(!last.iter().any(|row| row.contains("below  ")), "{last:#?}");
    }

    #[test]
    fn another_temperature_moves_the_line_on_what_it_does() {
        let mut app = capitals();
        let line = |app: &App| drawn(app, &theme(), 0, 100, 20)[9].trim_matches(['│', ' ']).to_owned();
        let said = |what: &str| format!("What this does, on the token on display            {what}");
        app.talk.chat.settings.sampling.temperature = Some(0.0);
        assert_eq!(line(&app), said("␣Lou 100.00   1 left"));
        app.talk.chat.settings.sampling.dry_multiplier = Some(0.8);
        assert_eq!(line(&app), said("cannot be told from the odds kept"));
        app.inspector.live = None;
        assert_eq!(line(&app), "");
    }

    #[test]
    fn a_setting_that_does_nothing_as_it_is_says_so() {
        let mut app = figures();
        app.talk.chat.settings.sampling.xtc_probability = Some(0.5);
        app.talk.chat.settings.sampling.xtc_threshold = Some(0.6);
        let row = entries(&app).iter().position(|entry| entry.key == "sampling.xtc_threshold").unwrap();
        let seen = drawn(&app, &theme(), row, 100, 30).join("\n");
        assert!(seen.contains("! XTC does nothing above one half"), "{seen}");
        app.talk.chat.settings.sampling.xtc_threshold = Some(0.4);
        let seen = drawn(&app, &theme(), row, 100, 30).join("\n");
        assert!(seen.contains("from this chat  0 to 1  default 0.10"), "{seen}");
    }

    #[test]
    fn every_row_can_be_reached() {
        let app = figures();
        for (width, height) in [(80, 24), (60, 16)] {
            for (selected, entry) in entries(&app).iter().enumerate() {
                let seen = drawn(&app, &theme(), selected, width, height).join("\n");
                assert!(seen.contains(&format!("▶ {}", setting_label(&entry.key))), "{seen}");
            }
        }
    }

    #[test]
    fn rows_are_those_that_the_app_changes() {
        let app = capitals();
        let shown: Vec<String> = entries(&app).into_iter().map(|entry| entry.key).collect();
        assert_eq!(shown, setting_keys(&app));
    }

    #[test]
    fn a_value_says_where_it_comes_from() {
        let mut app = capitals();
        app.config.sampling.top_k = 20;
        let cold = SamplingOverrides { min_p: Some(0.1), ..SamplingOverrides::default() };
        app.config.presets.insert("cold".into(), cold);
        app.talk.chat.settings.preset = Some("cold".into());
        app.talk.chat.settings.sampling.temperature = Some(0.5);
        let ModelStatus::Ready(loaded) = &mut app.model.status else { panic!("a model is loaded") };
        loaded.facts.makers.repeat_penalty = Some(1.5);
        let entries = entries(&app);
        let named = |key: &str| entries.iter().find(|entry| entry.key == key).cloned().unwrap();
        let expected = Entry {
            key: "sampling.temperature".into(),
            value: "0.50".into(),
            chat: Some("0.50".into()),
            model: None,
            default: "0.80".into(),
            built_in: "0.80".into(),
            source: "this chat".into(),
        };
        assert_eq!(entries[0], expected);
        assert_eq!(named("sampling.top_k").default, "20");
        assert_eq!(named("sampling.top_k").source, "config.toml");
        assert_eq!(named("sampling.top_p").source, "the built-in default");
        assert_eq!(named("sampling.min_p").source, "this chat's preset cold");
        assert_eq!(named("sampling.min_p").chat.as_deref(), Some("0.10"));
        let penalty = named("sampling.repeat_penalty");
        assert_eq!((penalty.value.as_str(), penalty.model.as_deref()), ("1.50", Some("1.50")));
        assert_eq!(penalty.source, "the model's makers");
        assert_eq!(named("engine.gpu_layers").value, "auto");
    }
}
