//! The model picker: what is there, what each needs, and the facts of the selected one.
//!
//! Invariant: what stops a model from loading stands in its row, before it is chosen. Rows are indices into
//! the catalogue.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{App, Keys, ModelStatus, Models};
use crate::command::Command;
use crate::engine::protocol::{Loaded, TemplateKind};
use crate::model_entry::{ModelEntry, ModelFacts, Source};
use crate::models::CatalogueItem;
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::ui::header;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{number, text};

impl Draw for Models {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let app = canvas.app;
        let all = app.model.catalogue.len();
        let inside = canvas.frame("Models", &count(picker, all), 100, rows_for(all, 10) + 11);
        let cursor = canvas.filter(inside, &picker.filter, "type to filter, or owner/repo of Hugging Face");
        let table = table(canvas.theme, inside.width);
        let rows = body(inside, 3, 6);
        if inside.height > 9 {
            table.heads().draw(inside, 2, canvas.buf);
        }
        for (index, at, _) in canvas.list(rows, picker.rows.len(), picker.selected) {
            if let Some(item) = app.model.catalogue.get(picker.rows[index]) {
                row(app, &table, item).draw(at, 0, canvas.buf);
            }
        }
        let selected = picker.rows.get(picker.selected).and_then(|index| app.model.catalogue.get(*index));
        if let Some(item) = selected {
            let facts =
                Rect { y: rows.bottom() + 1, height: 3.min(inside.bottom() - rows.bottom()), ..inside };
            for (line, row) in facts_lines(app, item).iter().zip(0..facts.height.min(3)) {
                let at = text::row(facts, row, 0);
                canvas.cell(at, 3, at.width, line, if row == 0 { Role::Text } else { Role::Muted });
            }
        }
        let key = Keys(&canvas.app.keymap);
        let offered = vec![
            (key.of(Command::Choose), "switch; the chat goes on"),
            (key.of(Command::FetchModel), "fetch"),
            (key.of(Command::RemoveModel), "remove"),
            (key.of(Command::Escape), "close"),
        ];
        canvas.keys(inside, offered);
        cursor
    }
}

/// The table: name, quantisation, file, context, speed, state. Columns go from the right, but for the state.
fn table(theme: &Theme, width: u16) -> Table<'_, 6> {
    let state = match width {
        92.. => 63,
        84.. => 55,
        72.. => 46,
        62.. => 37,
        _ => 28,
    };
    let columns = [
        Column::left("name", 3, 24),
        Column::left("quant", 28, 8).when(width >= 62),
        Column::right("file", 43).when(width >= 72),
        Column::right("context", 52).when(width >= 84),
        Column::right("speed", 60).when(width >= 92),
        Column::left("state", state, width.saturating_sub(state)),
    ];
    Table::of(theme, columns)
}

fn row(app: &App, table: &Table<'_, 6>, item: &CatalogueItem) -> Row {
    let facts = facts(app, item);
    let unknown = || "–".to_owned();
    let size = facts.map(|f| f.file_size).or(item.entry.size.map(|size| size.file));
    let speed = header::speed(app).filter(|_| loaded(app, item).is_some());
    let (state, caution) = state(app, item);
    let text = |words: String| Cell::of(words, table.theme.style(Role::Text));
    table.row([
        text(sanitize::for_display(called(item))),
        text(facts.map_or_else(unknown, |f| sanitize::for_display(&f.quantisation))),
        text(size.map_or_else(unknown, number::bytes)),
        text(facts.map_or_else(unknown, |f| f.context_length.to_string())),
        text(speed.map_or_else(unknown, |speed| format!("{speed:.0}/s"))),
        if caution { Cell::of(format!("! {state}"), table.theme.style(Role::Warn)) } else { text(state) },
    ])
}

/// What a model is called in its row: a file by its title, since its name is its path.
fn called(item: &CatalogueItem) -> &str {
    match &item.entry.source {
        Source::Path(_) => item.entry.title.as_deref().unwrap_or(&item.entry.name),
        _ => &item.entry.name,
    }
}

fn loaded<'a>(app: &'a App, item: &CatalogueItem) -> Option<&'a Loaded> {
    match &app.model.status {
        ModelStatus::Ready(loaded) if app.model.name == item.entry.name => Some(loaded),
        _ => None,
    }
}

fn facts<'a>(app: &'a App, item: &'a CatalogueItem) -> Option<&'a ModelFacts> {
    let read = item.facts.as_ref().ok().and_then(Option::as_ref);
    read.or_else(|| loaded(app, item).map(|loaded| &loaded.facts))
}

/// Context that a chat with this model would have, tokens.
fn context(app: &App, entry: &ModelEntry, facts: &ModelFacts) -> u32 {
    entry.load.over(&app.config.engine.load).context_for(facts)
}

/// How a model stands, and whether that stops it from loading.
fn state(app: &App, item: &CatalogueItem) -> (String, bool) {
    let current = app.model.name == item.entry.name;
    match &app.model.status {
        ModelStatus::Ready(_) if current => return ("loaded".into(), false),
        ModelStatus::Loading(share) if current => return (format!("loading {:.0} %", share * 100.0), false),
        ModelStatus::Failed { .. } if current => return ("could not be loaded".into(), true),
        _ => {}
    }
    if let Some(fetch) = app.model.fetch.as_ref().filter(|fetch| fetch.name == item.entry.name) {
        return match &fetch.failed {
            Some(_) => ("could not be fetched".into(), true),
            None => ("being fetched".into(), false),
        };
    }
    if let Err(why) = &item.facts {
        return (sanitize::for_display(why), true);
    }
    let Some(facts) = facts(app, item) else {
        let terms = item.entry.licence.as_ref().filter(|licence| licence.terms.is_some());
        let accepted = if item.terms_accepted { " accepted" } else { "" };
        let terms =
            terms.map(|licence| format!("; {} terms{accepted}", sanitize::for_display(&licence.name)));
        return (format!("not fetched{}", terms.unwrap_or_default()), false);
    };
    let context = u64::from(context(app, &item.entry, facts));
    let needs = facts.file_size + facts.kv_bytes_per_token * context;
    match app.free_memory {
        Some(free) if needs > free => {
            let free = number::bytes(free);
            let free = free.split_once(' ').map_or(free.as_str(), |(figure, unit)| {
                if number::bytes(needs).ends_with(unit) { figure } else { free.as_str() }
            });
            (format!("needs {}, {free} free", number::bytes(needs)), true)
        }
        _ => ("on this machine".into(), false),
    }
}

fn facts_lines(app: &App, item: &CatalogueItem) -> Vec<String> {
    let Some(facts) = facts(app, item) else {
        let size = item.entry.size.map(|size| format!("to fetch {}   ", number::bytes(size.download)));
        return vec![format!("{}{}", size.unwrap_or_default(), licence(&item.entry, None))];
    };
    let loaded = loaded(app, item);
    let first = format!(
        "{}   {} parameters   {}   {} layers of {} heads, width {}",
        sanitize::for_display(
            item.entry.title.as_deref().unwrap_or(&app.config.model_title(&item.entry.name))
        ),
        number::parameters(facts.parameters),
        sanitize::for_display(&facts.architecture),
        facts.layers,
        facts.heads,
        facts.embedding_length
    );
    let context = loaded.map_or_else(|| context(app, &item.entry, facts), |loaded| loaded.context);
    let estimate = facts.kv_bytes_per_token * u64::from(context);
    let (weights, cache) = match loaded {
        Some(loaded) => (loaded.memory.weights, loaded.memory.context),
        None => (facts.file_size, estimate),
    };
    let working = loaded.map(|loaded| format!("   working {}", number::bytes(loaded.memory.compute)));
    let second = format!(
        "memory   weights {}   context {} at {context} ({} a token){}",
        number::bytes(weights),
        number::bytes(cache),
        number::bytes(facts.kv_bytes_per_token),
        working.unwrap_or_default()
    );
    let template = match loaded.map(|loaded| loaded.template) {
        Some(TemplateKind::ChatMl) => "template ChatML in place of its own",
        Some(TemplateKind::Model) => "template built in",
        None if facts.chat_template.is_some() => "template built in",
        Some(TemplateKind::Plain) | None => "template none, plain transcript",
    };
    let hash = app.model.hash.as_ref().filter(|_| loaded.is_some());
    let hash = hash.map(|hash| format!("   file checked {}…", hash.chars().take(8).collect::<String>()));
    let third = format!(
        "{template}   {}{}",
        licence(&item.entry, facts.licence.as_deref()),
        hash.unwrap_or_default()
    );
    vec![first, second, third]
}

fn licence(entry: &ModelEntry, file: Option<&str>) -> String {
    let named = entry.licence.as_ref().map(|licence| licence.name.as_str()).or(file);
    named.map_or("licence not stated".into(), |name| format!("licence {}", sanitize::for_display(name)))
}
