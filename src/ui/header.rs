//! The header: name, model and quantisation, device, what is fetched, context, speed, state.
//!
//! Invariant: parts are dropped in a fixed order as the terminal narrows, the state last; the state keeps
//! its column while a reply is written.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::app::{ActiveRun, App, Fetch, FetchState, ModelStatus, Phase};
use crate::chat::{Role as Speaker, Span};
use crate::engine::protocol::Loaded;
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::ui::transcript::short;
use crate::ui::widgets::{bar, number, text};

/// Cells of the context gauge.
const GAUGE: u16 = 12;
/// Cells of the name of what is fetched, at most.
const FETCHED: u16 = 30;

/// Draws the header row.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let (state, state_role) = state(app, theme);
    let loaded = loaded(app);
    let facts = Facts::new(app, loaded, area.width);
    let drop = facts.dropped(&state, area.width);
    let (left, right) = (facts.left(drop), facts.right(drop, &state));
    let shown = text::cut(&left, area.width.saturating_sub(text::width(&right) + 1));
    text::put(buf, area, &shown, theme.style(Role::Text));
    if let Some(at) = shown.find(&facts.off).filter(|_| !facts.off.is_empty()) {
        let at = text::row(area, 0, text::width(&shown[..at]));
        text::put(buf, at, &facts.off, theme.style(Role::Warn));
    }
    if facts.wide && drop < Facts::WITHOUT_NAME {
        text::put(buf, area, " glassbox", theme.style(Role::Strong));
    }
    let x = area.width.saturating_sub(text::width(&right));
    text::put(buf, text::row(area, 0, x), &right, theme.style(Role::Muted));
    if let Some(at) = right.find(BUSY) {
        let at = text::row(area, 0, x + text::width(&right[..at]));
        text::put(buf, at, BUSY, theme.style(Role::Warn));
    }
    let cells = facts.state_cells(&state);
    let at = text::row(area, 0, area.width.saturating_sub(cells));
    text::put(buf, at, &state, theme.style(state_role));
    if let (Some(at), Some(loaded)) = (right.find('▕'), loaded) {
        gauge(buf, theme, text::row(area, 0, x + text::width(&right[..at]) + 1), app, loaded);
    }
}

/// What is fetched beside the chat, where a header of that width has no room to say it.
pub fn fetched_unsaid(app: &App, theme: &Theme, width: u16) -> Option<String> {
    let facts = Facts::new(app, loaded(app), width);
    let (state, _) = state(app, theme);
    let dropped = facts.dropped(&state, width) >= Facts::WITHOUT_FETCHED;
    Some(facts.fetched).filter(|fetched| dropped && !fetched.is_empty())
}

/// The models that are fetched beside the chat: `fetching Qwen3 4B 42 %`, and how many more there are.
fn fetched(app: &App) -> String {
    let wanted = app.model.status == ModelStatus::Fetching;
    let beside = |fetch: &&Fetch| fetch.failed().is_none() && !(wanted && fetch.entry.name == app.model.name);
    let mut all = app.model.fetches.iter().filter(beside);
    let Some(first) = all.next() else { return String::new() };
    let name = sanitize::for_display(&app.config.model_title(&first.entry.name));
    let name = text::cut(&name, FETCHED);
    let share = match first.state {
        FetchState::Waiting => " waits".to_owned(),
        // What is not whole is not shown as 100 %.
        _ => first.share().map_or_else(String::new, |share| format!(" {:.0} %", (share * 100.0).floor())),
    };
    let more = match all.count() {
        0 => String::new(),
        more => format!(", {more} more"),
    };
    format!("fetching {name}{share}{more}")
}

fn loaded(app: &App) -> Option<&Loaded> {
    match &app.model.status {
        ModelStatus::Ready(loaded) => Some(loaded),
        _ => None,
    }
}

fn gauge(buf: &mut Buffer, theme: &Theme, at: Rect, app: &App, loaded: &Loaded) {
    let share = f64::from(app.model.used) / f64::from(loaded.context.max(1));
    bar::draw(buf, at, share, GAUGE, &theme.symbols.bar, theme.style(Role::ProbBar));
}

/// What is changed in the network that this chat runs: `+lora pirate ×0.5  steered KL 0.42  2 parts off`.
fn changed(app: &App) -> String {
    let adapters = app.view().adapters().into_iter().map(|(adapter, usable)| {
        let sign = if usable { "+" } else { "!" };
        sanitize::for_display(&format!("{sign}{}", adapter.label()))
    });
    let others = Some(parts_changed(app)).filter(|others| !others.is_empty());
    adapters.chain(others).collect::<Vec<_>>().join("  ")
}

fn parts_changed(app: &App) -> String {
    let changes = app.talk.chat.settings.interventions.iter().filter(|change| change.adapter().is_none());
    let steered = changes.clone().filter(|change| change.steering().is_some()).count();
    let off = match changes.count() - steered {
        0 => String::new(),
        1 => "1 part off".to_owned(),
        count => format!("{count} parts off"),
    };
    let kl = app.inspector.steer.steered_kl().map_or_else(String::new, |(kl, _)| format!(" KL {kl:.2}"));
    match (steered > 0, off.is_empty()) {
        (false, _) => off,
        (true, true) => format!("steered{kl}"),
        (true, false) => format!("steered{kl}  {off}"),
    }
}

/// What the header can say, ready as text.
struct Facts {
    wide: bool,
    name: String,
    short_name: String,
    device: String,
    /// What of the network is switched off in this chat, in words.
    off: String,
    /// How the model is told to think, where that is told.
    thinking: String,
    /// What is fetched beside the chat.
    fetched: String,
    context: Option<(u32, u32)>,
    speed: Option<f32>,
    /// Whether the reply is written beside other programs that keep the machine busy.
    busy: bool,
}

/// What is said of that.
const BUSY: &str = "machine busy";

impl Facts {
    /// From this many dropped parts on, the app's own name is gone.
    const WITHOUT_NAME: usize = 3;
    /// From this many on, what is fetched is not said here.
    const WITHOUT_FETCHED: usize = 4;
    /// How many parts can be dropped.
    const MOST: usize = 6;

    fn new(app: &App, loaded: Option<&Loaded>, width: u16) -> Self {
        let name = app.config.model_title(&app.model.name);
        let quantisation = loaded.map_or("", |loaded| loaded.facts.quantisation.as_str());
        let join = |name: &str| sanitize::for_display(format!("{name} {quantisation}").trim());
        let temporary = app.out.unstored.has(app.talk.chat.head.id).then(|| "temporary chat".to_owned());
        let off = temporary.into_iter().chain(Some(changed(app)).filter(|off| !off.is_empty()));
        let off = off.collect::<Vec<_>>().join("  ");
        Self {
            wide: width >= 110,
            off,
            fetched: fetched(app),
            thinking: app
                .view()
                .thinking()
                .map_or_else(String::new, |how| sanitize::for_display(&format!("thinking {how}"))),
            name: join(&name),
            short_name: join(short(&name)),
            device: loaded.map(|loaded| sanitize::for_display(&loaded.device)).unwrap_or_default(),
            // A server need not say how long its context is.
            context: loaded
                .filter(|loaded| loaded.context > 0)
                .map(|loaded| (app.model.used.min(loaded.context), loaded.context)),
            speed: speed(app),
            busy: app.talk.run.as_ref().is_some_and(ActiveRun::machine_busy),
        }
    }

    /// How many parts have to go for the rest to fit.
    fn dropped(&self, state: &str, width: u16) -> usize {
        let needed = |drop| text::width(&self.left(drop)) + text::width(&self.right(drop, state)) + 2;
        (0..Self::MOST).find(|drop| needed(*drop) <= width).unwrap_or(Self::MOST)
    }

    fn left(&self, drop: usize) -> String {
        let fetched = if drop < Self::WITHOUT_FETCHED { self.fetched.as_str() } else { "" };
        let device = if drop < 2 { self.device.as_str() } else { "" };
        let thinking = if drop < 4 { self.thinking.as_str() } else { "" };
        let parts = if self.wide && drop < Self::WITHOUT_NAME {
            vec!["glassbox", &self.name, &self.off, thinking, device, fetched]
        } else {
            vec![if self.wide { &self.name } else { &self.short_name }, &self.off, thinking, device, fetched]
        };
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!(" {}", parts.join(if self.wide { "   " } else { "  " }))
    }

    fn right(&self, drop: usize, state: &str) -> String {
        let mut out = String::new();
        if let Some((used, most)) = self.context.filter(|_| drop < 5) {
            if self.wide {
                let gauge =
                    if drop < 1 { format!("▕{}▏", " ".repeat(GAUGE.into())) } else { String::new() };
                out = format!("ctx {gauge} {used:>5}/{most}");
            } else {
                out = format!("ctx{used:>5}/{}", number::short_context(most));
            }
        }
        if let Some(speed) = self.speed.filter(|_| drop < 4) {
            let speed = if speed < 10.0 { format!("{speed:.1}") } else { format!("{speed:.0}") };
            let end = if self.wide { " " } else { "" };
            let busy = if self.busy { format!("  {BUSY}") } else { String::new() };
            out = format!("{out}{busy}{end}{speed:>6} tok/s{end}");
        }
        let cells = usize::from(self.state_cells(state));
        let padding = cells - usize::from(text::width(state));
        format!("{out}  {state}{}", " ".repeat(padding))
    }

    /// The state's cells: the longest of those that come and go with a reply, and the edge.
    fn state_cells(&self, state: &str) -> u16 {
        let edge = u16::from(self.wide);
        text::width(state).max(if self.wide { 10 } else { 9 }) + edge
    }
}

/// Tokens a second: of the reply being written, else of the last one that the shown branch has.
pub fn speed(app: &App) -> Option<f32> {
    if let Some(speed) = app.talk.run.as_ref().and_then(ActiveRun::speed) {
        return Some(speed);
    }
    let last = app.talk.chat.upwards().find(|turn| turn.role == Speaker::Assistant)?;
    let run = last.spans.iter().rev().find_map(|span| match span {
        Span::Generated { run, .. } => Some(run),
        Span::Written { .. } | Span::Kept { .. } => None,
    })?;
    Some(app.talk.runs.get(run)?.timings.tokens_per_second).filter(|speed| *speed > 0.0)
}

/// The state in a word, and its role.
fn state(app: &App, theme: &Theme) -> (String, Role) {
    let symbols = &theme.symbols;
    if let Some(run) = &app.talk.run {
        return match &run.phase {
            _ if run.stopping => (format!("{} stopping", symbols.writing), Role::Strong),
            _ if app.talk.steps.paused => (format!("{} paused", symbols.reading), Role::Strong),
            Phase::Writing(_) => (format!("{} writing", symbols.writing), Role::Strong),
            Phase::Asked | Phase::Reading { .. } => (format!("{} reading", symbols.reading), Role::Strong),
        };
    }
    match &app.model.status {
        ModelStatus::None => ("no model".into(), Role::Muted),
        ModelStatus::Fetching => (fetching(app), Role::Strong),
        ModelStatus::Loading(share) => (format!("loading {:.0} %", share * 100.0), Role::Strong),
        ModelStatus::Ready(_) => (format!("{} ready", symbols.ready), Role::Text),
        ModelStatus::Unloaded => ("unloaded".into(), Role::Muted),
        ModelStatus::Failed { .. } => ("error".into(), Role::Error),
    }
}

fn fetching(app: &App) -> String {
    let download = app.model.fetch().and_then(|fetch| fetch.stages.first());
    match download {
        Some((_, done, total)) if *total > 0 => {
            format!("fetching {:.0} %", *done as f64 / *total as f64 * 100.0)
        }
        _ => "fetching".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model_entry::{ModelEntry, Source};
    use crate::models::FetchStage;
    use crate::ui::testing::design::{capitals, theme};
    use crate::ui::testing::drawn;

    fn header(app: &App, width: u16) -> String {
        drawn(draw, app, &theme(), (width, 1)).remove(0)
    }

    #[test]
    fn at_120_and_80_columns_it_is_as_drawn() {
        let app = capitals();
        let wide = " glassbox   SmolLM2-135M-Instruct Q4_1   CPU ×2                 \
                    ctx ▕▏           ▏    77/8192    168 tok/s   ● writing";
        assert_eq!(header(&app, 120), wide);
        let narrow = " SmolLM2-135M Q4_1  CPU ×2                    ctx   77/8k   168 tok/s  ● writing";
        assert_eq!(header(&app, 80), narrow);
    }

    #[test]
    fn parts_go_in_order_and_the_state_stays() {
        let mut app = capitals();
        if let ModelStatus::Ready(loaded) = &mut app.model.status {
            loaded.device = "NVIDIA H100 80GB HBM3, 30 of 30 layers".into();
        }
        assert!(!header(&app, 120).contains('▕'));
        assert!(header(&app, 60).starts_with(" SmolLM2-135M Q4_1 "));
        for width in 60..200 {
            assert!(header(&app, width).contains("● writing"), "{width}");
        }
    }

    #[test]
    fn two_words_beside_the_speed_say_that_the_machine_is_busy() {
        let mut app = capitals();
        if let Some(Phase::Writing(writing)) = app.talk.run.as_mut().map(|run| &mut run.phase) {
            writing.machine_busy = true;
        }
        for width in [120, 80] {
            let seen = header(&app, width);
            assert!(seen.contains("8192  machine busy  ") || seen.contains("8k  machine busy  "), "{seen}");
            assert!(
                seen.ends_with("168 tok/s   ● writing") || seen.ends_with("168 tok/s  ● writing"),
                "{seen}"
            );
        }
        app.talk.run = None;
        assert!(!header(&app, 120).contains("busy"));
    }

    #[test]
    fn what_is_fetched_beside_the_chat_is_said_until_it_is_there() {
        let mut app = capitals();
        let entry = |name: &str| ModelEntry::new(name, Source::Url(format!("https://example.org/{name}")));
        let mut fetch = Fetch::new(entry("tiny"));
        fetch.state = FetchState::Running;
        fetch.stages[0] = (FetchStage::Download, 999, 1000);
        app.model.fetches.push(fetch);
        assert!(header(&app, 120).contains("   fetching tiny 99 %   "), "{}", header(&app, 120));
        assert!(header(&app, 80).contains("  fetching tiny 99 %  "), "{}", header(&app, 80));
        app.model.fetches.push(Fetch::new(entry("other")));
        assert!(header(&app, 120).contains("fetching tiny 99 %, 1 more"));
        // Where the header has no room, the row of notices says it.
        app.model.fetches[0].entry = entry("a-model-with-a-long-name.Q4_K_M.gguf");
        let row = |app: &App| {
            let notice = |app: &App, theme: &Theme, area: Rect, buf: &mut Buffer| {
                crate::ui::rows::notice(app, theme, area, 0, buf);
            };
            drawn(notice, app, &theme(), (80, 1)).remove(0)
        };
        assert!(!header(&app, 80).contains("fetching"), "{}", header(&app, 80));
        assert!(
            row(&app).ends_with(" fetching a-model-with-a-long-name.Q4_K… 99 %, 1 more"),
            "{}",
            row(&app)
        );
        app.model.fetches.clear();
        assert!(!header(&app, 120).contains("fetching") && !row(&app).contains("fetching"));
    }

    #[test]
    fn every_state_has_a_word() {
        let mut app = capitals();
        app.talk.run = None;
        let mut check = |status: ModelStatus, expected: &str| {
            app.model.status = status;
            let seen = header(&app, 120);
            assert!(seen.ends_with(expected), "{seen}");
        };
        check(ModelStatus::None, "no model");
        check(ModelStatus::Fetching, "fetching");
        check(ModelStatus::Loading(0.43), "loading 43 %");
        check(ModelStatus::Unloaded, "unloaded");
        check(ModelStatus::Failed { message: String::new(), log_tail: Vec::new() }, "error");
    }
}
