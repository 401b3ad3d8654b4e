//! Settings in use and where they come from: the chat, the model, the configuration or the default.
//!
//! Invariant: rows are indices into [`entries`], whose order is that of the configuration file.

use serde_json::Value;

use super::{Canvas, body, count, rows_for};
use crate::app::{App, Picker};
use crate::config::{EngineConfig, InspectorConfig, UiConfig};
use crate::sampling::Sampling;
use crate::sanitize;
use crate::theme::Role;

/// One setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its key, dotted, as in the configuration file.
    pub key: String,
    /// The value in use.
    pub value: String,
    /// What this chat sets.
    pub chat: Option<String>,
    /// What the model's entry sets.
    pub model: Option<String>,
    /// The built-in default.
    pub default: String,
}

pub(super) fn draw(mut canvas: Canvas<'_>, picker: &Picker) -> Option<(u16, u16)> {
    let entries = entries(canvas.app);
    let inside =
        canvas.frame("Settings", &count(picker, entries.len()), 100, rows_for(entries.len(), 18) + 6);
    let mut cursor = canvas.filter(inside, &picker.filter, "type to filter");
    let ends = [inside.width.saturating_sub(26), inside.width.saturating_sub(14), inside.width];
    let sources = inside.width >= 84;
    let heads = crate::ui::widgets::text::row(inside, 1, 0);
    if sources {
        for (head, end) in ["this chat", "model", "default"].into_iter().zip(ends) {
            canvas.cell_right(heads, end, head, Role::Muted);
        }
    }
    for (index, at, _) in canvas.list(body(inside, 2, 2), picker.rows.len(), picker.selected) {
        let Some(entry) = entries.get(picker.rows[index]) else { continue };
        canvas.cell(at, 3, 32, &entry.key, Role::Text);
        let most = if sources { ends[0].saturating_sub(50) } else { at.width };
        match picker.value.as_ref().filter(|_| index == picker.selected) {
            Some(typed) => {
                let before = sanitize::cell_width(&typed.text[..typed.cursor]) as u16;
                canvas.cell(at, 36, most, &sanitize::for_display(&typed.text), Role::TokenChosen);
                cursor = Some((at.x + 36 + before.min(most), at.y));
            }
            None => canvas.cell(at, 36, most, &sanitize::for_display(&entry.value), Role::Strong),
        }
        if sources {
            let dash = || "–".to_owned();
            let values = [
                entry.chat.clone().unwrap_or_else(dash),
                entry.model.clone().unwrap_or_else(dash),
                entry.default.clone(),
            ];
            for (value, end) in values.iter().zip(ends) {
                let shown = crate::ui::widgets::text::cut(&sanitize::for_display(value), 11);
                canvas.cell_right(at, end, &shown, Role::Muted);
            }
        }
    }
    let keys: &[(&str, &str)] = match picker.value {
        Some(_) => &[("Enter", "take the value"), ("Esc", "leave it as it was")],
        None => &[
            ("←→", "change"),
            ("Enter", "type a value"),
            ("Backspace", "back to default"),
            ("↑↓", "choose"),
            ("Esc", "close"),
        ],
    };
    canvas.keys(inside, keys);
    cursor
}

/// All settings, in the order of the configuration file.
#[must_use]
pub fn entries(app: &App) -> Vec<Entry> {
    let config = &app.config;
    let mut all = Vec::new();
    let chat = json(&app.chat.settings.sampling);
    let entry = config.models.iter().find(|entry| entry.name == app.model.name);
    let model = entry.map(|entry| json(&entry.sampling)).unwrap_or_default();
    let sampling = match entry {
        Some(entry) => config.sampling_for(entry, &app.chat.settings),
        None => config.sampling.clone(),
    };
    section(&mut all, "sampling", &json(&sampling), &json(&Sampling::default()), [&chat, &model]);
    let none = Value::Null;
    let sections = [
        ("engine", json(&config.engine), json(&EngineConfig::default())),
        ("ui", json(&config.ui), json(&UiConfig::default())),
        ("inspector", json(&config.inspector), json(&InspectorConfig::default())),
    ];
    for (name, used, default) in sections {
        section(&mut all, name, &used, &default, [&none, &none]);
    }
    all
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain settings become JSON")
}

fn section(all: &mut Vec<Entry>, name: &str, used: &Value, default: &Value, set: [&Value; 2]) {
    let Value::Object(keys) = used else { return };
    for (key, value) in keys {
        let layer = |layer: &Value| layer.get(key).filter(|value| !value.is_null()).map(show);
        all.push(Entry {
            key: format!("{name}.{key}"),
            value: show(value),
            chat: layer(set[0]),
            model: layer(set[1]),
            default: show(default.get(key).unwrap_or(&Value::Null)),
        });
    }
}

/// A value as people read it: no quotes, few digits, `auto` where unset.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "auto".into(),
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        Value::String(text) if text.is_empty() => "none".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => {
                format!("{float:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            _ => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(show).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| format!("{key} {}", show(value))).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::frame_testing::capitals;

    #[test]
    fn rows_are_those_that_the_app_changes() {
        let app = capitals();
        let shown: Vec<String> = entries(&app).into_iter().map(|entry| entry.key).collect();
        assert_eq!(shown, crate::app::setting_keys(&app));
    }

    #[test]
    fn a_value_says_where_it_comes_from() {
        let mut app = capitals();
        app.chat.settings.sampling.temperature = Some(0.5);
        let entries = entries(&app);
        let expected = Entry {
            key: "sampling.temperature".into(),
            value: "0.5".into(),
            chat: Some("0.5".into()),
            model: None,
            default: "0.8".into(),
        };
        assert_eq!(entries[0], expected);
        assert!(entries.iter().any(|entry| entry.key == "ui.theme"));
        assert!(entries.iter().any(|entry| entry.key == "engine.context"));
    }
}
