//! The model picker: what is there, what each needs, and the facts of the selected one.
//!
//! Invariant: what stops a model from loading stands in its row, before it is chosen. Rows are indices into
//! the catalogue.

use ratatui::layout::Rect;

use super::{Canvas, Draw, body, count, rows_for};
use crate::app::{App, Fetch, FetchState, Keys, ModelStatus, Models, Picker, Typed};
use crate::command::Command;
use crate::elsewhere::Elsewhere;
use crate::engine::protocol::{Loaded, Runner, TemplateKind};
use crate::model_entry::{Key, ModelEntry, ModelFacts, Server, Source};
use crate::models::recommended::Offered;
use crate::models::{CatalogueItem, FetchStage};
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::ui::header;
use crate::ui::widgets::row::Row;
use crate::ui::widgets::table::{Cell, Column, Table};
use crate::ui::widgets::{bar, number, text};

/// From this width on the speed has a column.
const SPEED: u16 = 92;
/// Cells of a full bar in a row.
const BAR: u16 = 8;

impl Draw for Models {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let picker = &self.picker;
        let app = canvas.app;
        let all = app.model.catalogue.len();
        let offers = app.model.catalogue.iter().filter(|item| item.offered.is_some()).count();
        let heads = u16::from(offers > 0);
        let inside = canvas.frame("Models", &count(picker, all), 100, rows_for(all, 18) + heads + 11);
        let cursor = canvas.filter(inside, &picker.filter, "type to filter, or owner/repo of Hugging Face");
        let table = table(canvas.theme, inside.width);
        let rows = body(inside, 3, 6);
        if inside.height > 9 {
            table.heads().draw(inside, 2, canvas.buf);
        }
        let lines = lines(app, picker);
        let selected = lines.iter().position(|line| *line == Line::Row(picker.selected)).unwrap_or(0);
        let first = (selected + 1).saturating_sub(rows.height.into());
        for (line, y) in lines.iter().skip(first).zip(0..rows.height) {
            let at = text::row(rows, y, 0);
            match line {
                Line::Head => canvas.cell(at, 1, at.width, offers_head(inside.width), Role::Strong),
                Line::Row(index) => {
                    if *index == picker.selected {
                        canvas.mark(at);
                    }
                    if let Some(item) = picker.rows.get(*index).and_then(|row| app.model.catalogue.get(*row))
                    {
                        row(app, &table, (item, inside.width)).draw(at, 0, canvas.buf);
                    }
                }
            }
        }
        if picker.rows.is_empty() {
            canvas.cell(rows, 3, rows.width, nothing_matches(&picker.filter.text), Role::Muted);
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
        let mut offered = match (picker.rows.is_empty(), Typed::of(&picker.filter.text)) {
            (true, None) => Vec::new(),
            (true, Some(typed)) => vec![(key.of(Command::Choose), what_typed_does(typed))],
            (false, _) => {
                let (choose, fetch, remove) = what_keys_do(app, selected);
                if selected.is_some_and(|item| item.entry.server().is_some()) {
                    // There is no file to fetch or to remove.
                    let models = (key.of(Command::FetchModel), "the server's models");
                    vec![(key.of(Command::Choose), choose), models]
                } else if selected.is_some_and(|item| Elsewhere::of(&item.entry).is_some()) {
                    // Its file is fetched and removed there.
                    vec![(key.of(Command::Choose), choose)]
                } else {
                    vec![
                        (key.of(Command::Choose), choose),
                        (key.of(Command::FetchModel), fetch),
                        (key.of(Command::RemoveModel), remove),
                    ]
                }
            }
        };
        offered.push((key.of(Command::Escape), "close"));
        canvas.keys(inside, offered);
        cursor
    }
}

/// What is said where no row has what was typed.
fn nothing_matches(filter: &str) -> &'static str {
    match Typed::of(filter) {
        Some(Typed::Repository(_)) => "none of this name here; Hugging Face may have it",
        Some(Typed::File(_)) => "none of this name here; Hugging Face may have this file",
        Some(Typed::Address(_)) => "an address: the file is fetched from there",
        None => "none of this name here; owner/repo of Hugging Face, or an address, is fetched",
    }
}

/// What choosing does where the filter names something to fetch.
fn what_typed_does(typed: Typed<'_>) -> &'static str {
    match typed {
        Typed::Repository(_) => "ask Hugging Face for its files",
        Typed::File(_) | Typed::Address(_) => "fetch it beside the chat",
    }
}

/// A line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// What stands over the models to recommend.
    Head,
    /// A row of the picker.
    Row(usize),
}

fn lines(app: &App, picker: &Picker) -> Vec<Line> {
    let is_offer = |row: &usize| app.model.catalogue.get(*row).is_some_and(|item| item.offered.is_some());
    let first = picker.rows.iter().position(is_offer);
    let rows = (0..picker.rows.len())
        .flat_map(|index| [(first == Some(index)).then_some(Line::Head), Some(Line::Row(index))]);
    rows.flatten().collect()
}

fn offers_head(width: u16) -> &'static str {
    if width < 62 {
        "to fetch from Hugging Face"
    } else {
        "to fetch from Hugging Face, as this machine would run them"
    }
}

/// What the keys do to the selected model.
fn what_keys_do(app: &App, selected: Option<&CatalogueItem>) -> (&'static str, &'static str, &'static str) {
    let switch = "switch; the chat goes on";
    let Some(item) = selected else { return (switch, "fetch", "remove") };
    match app.model.fetch_of(&item.entry.name).map(|fetch| &fetch.state) {
        Some(FetchState::Failed(_)) => (switch, "try again", "give up"),
        Some(FetchState::Stopping(_)) => (switch, "go on", "give up"),
        Some(_) => (switch, "pause", "give up"),
        None if item.unfinished.is_some() => (switch, "go on", "give up"),
        None if item.offered.is_some() => ("fetch beside the chat", "fetch", "remove"),
        None => (switch, "fetch", "remove"),
    }
}

/// The table: name, quantisation, file, context, speed, state. Columns go from the right, but for the state.
fn table(theme: &Theme, width: u16) -> Table<'_, 6> {
    let state = match width {
        SPEED.. => 63,
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
        Column::right("speed", 60).when(width >= SPEED),
        Column::left("state", state, width.saturating_sub(state)),
    ];
    Table::of(theme, columns)
}

/// A model's row. Where the speed has no column, what is offered says it with its state.
fn row(app: &App, table: &Table<'_, 6>, (item, width): (&CatalogueItem, u16)) -> Row {
    let facts = facts(app, item);
    let unknown = || "–".to_owned();
    let size = facts.map(|f| f.file_size).or(item.entry.size.map(|size| size.file));
    let speed = header::speed(app).filter(|_| loaded(app, item).is_some());
    let speed = speed.map(|speed| format!("{speed:.0}/s"));
    let offer = item.offered.as_deref();
    let speed = speed.or(offer.map(|offer| format!("~{}/s", speed_of(offer))));
    let quantisation =
        facts.map(|f| sanitize::for_display(&f.quantisation)).or(offer.map(Offered::quantisation));
    let (state, caution) = match app.model.fetch_of(&item.entry.name) {
        Some(fetch) => fetch_state(fetch, table.theme),
        None => match (state(app, item), &speed) {
            ((state, false), Some(speed)) if offer.is_some() && width < SPEED => {
                (format!("{state}, {speed}"), false)
            }
            (known, _) => known,
        },
    };
    let text = |words: String| Cell::of(words, table.theme.style(Role::Text));
    table.row([
        text(sanitize::for_display(called(item))),
        text(quantisation.unwrap_or_else(unknown)),
        text(size.map_or_else(unknown, number::bytes)),
        text(
            facts
                .map(|f| f.context_length)
                .filter(|length| *length > 0)
                .map_or_else(unknown, |length| length.to_string()),
        ),
        text(speed.unwrap_or_else(unknown)),
        if caution { Cell::of(format!("! {state}"), table.theme.style(Role::Warn)) } else { text(state) },
    ])
}

/// What a model is called in its row: a file by its title, since its name is its path.
fn called(item: &CatalogueItem) -> &str {
    if let Some(offer) = &item.offered {
        return &offer.model.title;
    }
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
    if let Some(left) = item.unfinished {
        // What is not whole is not shown as whole.
        let share = (left.done as f64 / left.total as f64 * 100.0).floor();
        let done = number::bytes(left.done);
        let kept = if left.total > 0 { format!("{share:.0} %, {done} here") } else { format!("{done} here") };
        return (format!("paused at {kept}"), false);
    }
    if let Some(offer) = &item.offered {
        return match offer.fits() {
            _ if offer.recommended => ("recommended here".into(), false),
            Some(false) => (needs_more(offer.needs, offer.free.unwrap_or_default()), true),
            Some(true) => ("fits".into(), false),
            None => (String::new(), false),
        };
    }
    if let Some(server) = item.entry.server() {
        return (format!("server at {}", sanitize::for_display(server.host())), false);
    }
    if let Err(why) = &item.facts {
        return (sanitize::for_display(why), true);
    }
    if let Some(place) = Elsewhere::of(&item.entry) {
        return (format!("on {}", sanitize::for_display(&place.host)), false);
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
        Some(free) if needs > free => (needs_more(needs, free), true),
        _ => ("on this machine".into(), false),
    }
}

fn needs_more(needs: u64, free: u64) -> String {
    let (needs, free) = (number::bytes(needs), number::bytes(free));
    let free = free
        .split_once(' ')
        .map_or(free.as_str(), |(figure, unit)| if needs.ends_with(unit) { figure } else { free.as_str() });
    format!("needs {needs}, {free} free")
}

/// How far a fetch is, how fast and how long still; and whether it failed.
fn fetch_state(fetch: &Fetch, theme: &Theme) -> (String, bool) {
    let doing = match (&fetch.state, fetch.stage) {
        (FetchState::Failed(why), _) => {
            return (format!("not fetched: {}", sanitize::for_display(why)), true);
        }
        (FetchState::Waiting, _) => return ("waits for its turn".into(), false),
        (FetchState::Stopping(_), _) => return ("being stopped".into(), false),
        (FetchState::Running, FetchStage::Download) => "",
        (FetchState::Running, FetchStage::Unpack) => " unpacked",
        (FetchState::Running, FetchStage::Check) => " checked",
    };
    let Some(share) = fetch.share() else {
        let done = fetch.stages.iter().find(|row| row.0 == fetch.stage).map_or(0, |row| row.1);
        return (format!("{} fetched", number::bytes(done)), false);
    };
    let bar = bar::glyphs(share, BAR, &theme.symbols.bar);
    let blank = usize::from(BAR.saturating_sub(text::width(&bar)));
    let rest = fetch.seconds_left().map_or_else(String::new, |seconds| {
        let left = match seconds {
            0..=99 => format!("{} s", seconds.max(1)),
            100..=5999 => format!("{} min", seconds.div_ceil(60)),
            _ => format!("{} h", seconds.div_ceil(3600)),
        };
        format!("  {}/s  {left}", number::bytes(fetch.speed as u64))
    });
    (format!("{bar}{:blank$} {:>3.0} %{doing}{rest}", "", share * 100.0), false)
}

fn speed_of(offer: &Offered) -> String {
    if offer.speed < 10.0 { format!("{:.1}", offer.speed) } else { format!("{:.0}", offer.speed) }
}

/// Where a server is, how it is asked, and what came of it.
fn server_lines(server: &Server, loaded: Option<&Loaded>) -> Vec<String> {
    let id = server.id.as_deref().map_or("its first model".into(), sanitize::for_display);
    let key = match &server.key {
        None => "no key".to_owned(),
        Some(Key::Env(name)) => format!("key in ${}", sanitize::for_display(name)),
        Some(Key::File(path)) => format!("key in {}", sanitize::for_display(&path.to_string_lossy())),
    };
    let api = match loaded.map(|loaded| &loaded.runner) {
        Some(Runner::Server { api, .. }) => api.title(),
        _ => server.api.title(),
    };
    let first = format!("{id}   {api} at {}", sanitize::for_display(server.host()));
    let context = loaded.filter(|loaded| loaded.context > 0);
    let context = context.map_or_else(String::new, |loaded| format!("   context {}", loaded.context));
    vec![first, format!("{key}{context}   no file on this machine")]
}

/// Why a model is recommended, or why not.
fn offer_lines(offer: &Offered) -> Vec<String> {
    let model = offer.model;
    let free = offer.free.map_or_else(String::new, |free| format!(", {} free", number::bytes(free)));
    let why = match offer.fits() {
        _ if offer.recommended => "   recommended: the largest that can be read along",
        Some(false) => "   too large for now",
        _ => "",
    };
    vec![
        format!("{} parameters   good at {}", model.parameters, model.good_at),
        format!(
            "memory   needs {}{free}   about {} tokens/s by the memory's speed",
            number::bytes(offer.needs),
            speed_of(offer)
        ),
        format!("licence {}{why}   {}", model.licence, model.repository),
    ]
}

fn facts_lines(app: &App, item: &CatalogueItem) -> Vec<String> {
    if let Some(offer) = &item.offered {
        return offer_lines(offer);
    }
    if let Some(server) = item.entry.server() {
        return server_lines(server, loaded(app, item));
    }
    if let Some(why) = app.model.fetch_of(&item.entry.name).and_then(Fetch::failed) {
        return text::wrap(&sanitize::for_display(why), 92);
    }
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
    let has_own = facts.chat_template.is_some();
    let template = match loaded.map(|loaded| loaded.template) {
        Some(TemplateKind::ChatMl) if has_own => "template ChatML in place of its own",
        Some(TemplateKind::ChatMl) => "template none, ChatML",
        Some(TemplateKind::Plain) if has_own => "plain transcript in place of its template",
        Some(TemplateKind::Model) => "template built in",
        None if has_own => "template built in",
        Some(TemplateKind::Plain) => "template none, plain transcript",
        None => "template none",
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
