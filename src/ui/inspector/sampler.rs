//! The sampler station: the model's odds through every stage of the chain to the draw, one column a stage.
//!
//! Invariants: each column adds up to 100; places depend on the size and on what is switched on, never on the
//! token; it says where its figures come from.

mod columns;
mod plan;
mod ruler;
mod table;
#[cfg(test)]
mod tests;
mod tried;

use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::live::Live;
use crate::app::{App, LiveStep, Origin};
use crate::inspect::stages::{SamplerTrace, StageName, TraceSource};
use crate::sampling::{Parameter, Sampling, Stage};
use crate::theme::{Role, Theme};
use crate::token::TokenId;
use crate::ui::layout::INSPECTOR;
use crate::ui::widgets::{number, text, token};
use columns::StageColumns;

/// The station is drawn at most this wide.
const WIDEST: u16 = 120;

/// What is on display.
struct Shown<'a> {
    app: &'a App,
    theme: &'a Theme,
    live: Live<'a>,
    trace: Arc<SamplerTrace>,
    /// The settings of the columns: the run's, or those that are tried.
    sampling: Option<Sampling>,
    seed: Option<u32>,
    /// Whether part of the prompt came from the cache, so that the same seed may write another reply.
    cached: bool,
    /// Whether the columns are those of tried settings.
    trying: bool,
    /// What is missing, and how to get it.
    note: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(app: &'a App, theme: &'a Theme) -> Option<Self> {
        let live = Live::of(app)?;
        let run = app.display().drawing_run().map(|(run, _)| run);
        let mut shown = Self {
            app,
            theme,
            trace: Arc::new(without_stages(live.step, live.entries)),
            sampling: run.map(|run| run.sampling.clone()),
            seed: run.map(|run| run.seed),
            cached: !app.config.engine.load.reproducible
                && run.is_some_and(|run| run.usage.reused_tokens > 0),
            trying: false,
            note: None,
            live,
        };
        if let Some(sandbox) = app.inspector.sandbox.as_ref().filter(|sandbox| sandbox.open) {
            let tried = sandbox.tried.as_ref().filter(|(at, ..)| *at == shown.live.step.cursor());
            match tried.map(|(_, _, tried)| tried) {
                Some(Ok(trace)) => {
                    shown.trace = Arc::clone(trace);
                    shown.sampling = app.display().tried_sampling();
                    shown.trying = true;
                    return Some(shown);
                }
                Some(Err(why)) => shown.note = Some(format!("not known from the kept tokens: {why}")),
                None => {}
            }
        }
        match app.display().shown_trace() {
            Some(trace) => {
                shown.note = trace.redrawn.map(|id| moved(&trace, &shown.live.listed(id, &theme.symbols)));
                shown.trace = trace;
            }
            None if shown.note.is_none() => shown.note = Some(missing(app, shown.live.step)),
            None => {}
        }
        Some(shown)
    }

    fn name(&self, at: usize) -> String {
        self.trace.tokens.get(at).map_or_else(String::new, |id| self.live.listed(*id, &self.theme.symbols))
    }

    fn narrow(area: Rect) -> bool {
        area.width < INSPECTOR.0
    }
}

/// Read again, the odds differ in their last digits, and the number fell on a neighbour.
fn moved(trace: &SamplerTrace, other: &str) -> String {
    let u = trace.u.map_or_else(|| "the draw".to_owned(), |u| format!("u {u:.4}"));
    format!("read again, the odds differ in their last digits: {u} would now draw {other}")
}

/// The model's own odds alone, from what the step keeps.
fn without_stages(live: &LiveStep, entries: u64) -> SamplerTrace {
    let step = &live.step;
    let mut tokens: Vec<_> = step.candidates.iter().map(|c| (c.id, c.logprob.exp())).collect();
    if let Some(id) = step.id.filter(|_| step.chosen_index().is_none()) {
        tokens.push((id, step.logprob.exp()));
    }
    SamplerTrace {
        index: 0,
        model: tokens.iter().map(|(_, probability)| *probability).collect(),
        tokens: tokens.iter().map(|(id, _)| *id).collect(),
        vocabulary: u32::try_from(entries).unwrap_or(u32::MAX),
        entropy: step.entropy,
        stages: Vec::new(),
        drawn: step.id.unwrap_or(TokenId(-1)),
        u: None,
        interval: None,
        source: TraceSource::Candidates,
        redrawn: None,
    }
}

/// Why there are no stages to show.
fn missing(app: &App, live: &LiveStep) -> String {
    let run = |run| app.talk.runs.get(&run);
    match app.view().origin(live.cursor()) {
        Some(Origin::Scored { .. }) => return "typed, not drawn: no sampler took part".into(),
        Some(Origin::Written { run: of, index }) if run(of).is_some_and(|run| index < run.taken as usize) => {
            return "taken by you, not drawn: no sampler took part".into();
        }
        _ => {}
    }
    if live.step.candidates.is_empty() && live.step.entropy.is_nan() {
        return "no odds came from this server, so there is nothing for the samplers to be shown on".into();
    }
    if app.view().run_at(live.cursor()).and_then(run).is_some_and(|run| run.odds().are_sampled()) {
        return "these odds are after the server's own samplers: through which stages they came is not told"
            .into();
    }
    let kept = "the kept tokens do not settle the stages";
    match app.display().look_missing() {
        Some(missing) => format!("{kept}; {missing}"),
        None => "nothing was recorded of the samplers here".into(),
    }
}

/// Draws the station under the strip.
pub fn draw(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = Rect { width: area.width.min(WIDEST), ..area };
    if area.height < 4 {
        return;
    }
    let caption = caption(app, area);
    let Some(shown) = Shown::of(app, theme) else { return idle(theme, area, buf) };
    let open = app.inspector.sandbox.as_ref().is_some_and(|sandbox| sandbox.open);
    let plan = plan::plan(area.height, caption.len() as u16, open);
    subject(&shown, text::row(area, 0, 1), buf);
    if let Some((at, lines)) = plan.caption {
        for (line, row) in caption.iter().zip(at..at + lines) {
            text::put(buf, text::row(area, row, 1), line, theme.style(Role::Muted));
        }
    }
    let columns = StageColumns::of(&shown.trace, area.width);
    table::heads(&shown, &columns, area, plan.heads, buf);
    table::rows(&shown, &columns, area, plan.tokens, buf);
    if let Some((at, lines)) = plan.summary {
        table::summary(&shown, &columns, area, (at, lines), buf);
    }
    if let Some(at) = plan.ruler {
        ruler::draw(&shown, area, at, buf);
    }
    if let Some((at, lines)) = plan.tried {
        tried::draw(&shown, area, (at, lines), buf);
    }
    if let Some(at) = plan.off {
        off(&shown, text::row(area, at, 1), Shown::narrow(area), buf);
    }
}

fn caption(app: &App, area: Rect) -> Vec<String> {
    if !app.config.inspector.captions {
        return Vec::new();
    }
    let words = "From the model's odds to the draw: × marks the stage that threw a token out. Each column \
                 adds up to 100.";
    text::wrap(words, area.width.saturating_sub(2))
}

fn idle(theme: &Theme, area: Rect, buf: &mut Buffer) {
    let room = text::row(area, 0, 1);
    text::put(buf, room, "no token written yet", theme.style(Role::Text));
    let words = "Each time the model writes a token, this follows its odds through the samplers: what each \
                 one threw out, and how the draw fell among what was left.";
    for (line, row) in text::wrap(words, room.width.saturating_sub(1)).iter().zip(2..area.height) {
        text::put(buf, text::row(area, row, 1), line, theme.style(Role::Muted));
    }
}

/// `read "…France is" → chose ␣Paris     temp 0.80, seed 7     0.02 ms`
fn subject(shown: &Shown<'_>, at: Rect, buf: &mut Buffer) {
    let (theme, live) = (shown.theme, &shown.live);
    let muted = theme.style(Role::Muted);
    let chosen = text::cut(&live.chosen(&theme.symbols), 14);
    let settings = if at.width + 1 < INSPECTOR.0 { String::new() } else { settings(shown) };
    let from = source(shown);
    let gap = |words: &str| if words.is_empty() { 0 } else { text::width(words) + 5 };
    let fixed = text::width("read \"\" → chose ") + text::width(&chosen) + gap(&settings) + gap(&from);
    let read = token::one_line(&live.step.context_tail, &theme.symbols);
    let read = text::tail(&read, at.width.saturating_sub(fixed));
    let before = format!("read \"{read}\" → chose ");
    let settings = format!("     {settings}");
    let pieces = [
        (before.as_str(), theme.style(Role::Text)),
        (chosen.as_str(), theme.style(Role::TokenChosen)),
        (settings.as_str(), muted),
    ];
    text::put_all(buf, at, &pieces);
    text::put_right(buf, at, &from, muted);
}

fn settings(shown: &Shown<'_>) -> String {
    let Some(sampling) = &shown.sampling else { return String::new() };
    let from = if shown.cached { " (partly cached)" } else { "" };
    let seed = shown.seed.map_or_else(String::new, |seed| format!(", seed {seed}{from}"));
    match shown.trace.stages.last().map(|stage| stage.name) {
        Some(StageName::Greedy) => "greedy".into(),
        Some(StageName::Mirostat) => format!("mirostat τ {:.1}{seed}", sampling.mirostat_tau),
        _ => format!("temp {:.2}{seed}", sampling.temperature),
    }
}

/// Where the figures come from: the price of a recording, or in words.
fn source(shown: &Shown<'_>) -> String {
    if shown.trying {
        return "tried".into();
    }
    if shown.trace.stages.is_empty() {
        return String::new();
    }
    match (shown.trace.source, shown.app.inspector.price_ms) {
        (TraceSource::Live, Some(price)) => number::milliseconds(price),
        (TraceSource::Live, None) => "recorded".into(),
        (TraceSource::Candidates, _) => "from kept odds".into(),
        (TraceSource::Came, _) => format!("from the {} that came", shown.trace.tokens.len()),
        (TraceSource::Replayed, _) => "recomputed".into(),
    }
}

/// The stages that are off, in one line.
fn off(shown: &Shown<'_>, at: Rect, narrow: bool, buf: &mut Buffer) {
    if shown.trace.stages.is_empty() {
        return;
    }
    let is_on = |stage: StageName| shown.trace.stages.iter().any(|other| other.name == stage);
    let name = |stage: &Stage| if narrow { stage.about().label } else { stage.about().wide };
    let is_off = |stage: &&Stage| !is_on(StageName::Chain(**stage));
    let off: Vec<&str> = Stage::DEFAULT_ORDER.iter().filter(is_off).map(name).collect();
    let style = shown.theme.style(Role::Muted);
    let words =
        if off.is_empty() { "all stages are on".to_owned() } else { format!("off: {}", off.join(" ")) };
    let words = match about_marks(shown) {
        Some(marks) => format!("{marks}   {words}"),
        None => words,
    };
    let used = text::put(buf, at, &text::cut(&words, at.width), style);
    if !is_on(StageName::Grammar) && used + 14 <= at.width {
        let until = Rect { width: at.width.saturating_sub(2), ..at };
        text::put_right(buf, until, "grammar none", style);
    }
}

/// Whether the stages that look back act on marks, where one of them is on.
fn about_marks(shown: &Shown<'_>) -> Option<&'static str> {
    let looks_back = [Stage::Penalties, Stage::Dry].map(StageName::Chain);
    shown.trace.stages.iter().find(|stage| looks_back.contains(&stage.name))?;
    let acts = shown.sampling.as_ref()?.penalties_on_marks;
    Some(if acts { "end marks are penalised too" } else { "end marks are not penalised" })
}

/// What a stage was set to, as the second row of the heads.
fn parameter(sampling: &Sampling, stage: StageName) -> String {
    let parameter = match stage {
        StageName::Chain(stage) => (stage.about().parameter)(sampling),
        StageName::Mirostat => Parameter::Number(sampling.mirostat_tau),
        StageName::Greedy | StageName::Grammar => return String::new(),
    };
    match parameter {
        Parameter::Number(value) => number::decimals(value.into(), 2),
        Parameter::Count(count) => count.to_string(),
    }
}

/// The rail: the station in three rows, over the composer of a narrow screen.
pub fn rail(app: &App, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let head = text::row(area, 0, 0);
    crate::ui::rows::title(buf, theme, head, "Sampler", "", false);
    let Some(shown) = Shown::of(app, theme) else {
        let words = "how the samplers choose the next token stands here while the model writes";
        text::put(buf, text::row(area, 1, 1), words, theme.style(Role::Muted));
        return;
    };
    if let Some(last) = shown.trace.stages.last() {
        let bits = |nats: f32| number::decimals(f64::from(nats) / std::f64::consts::LN_2, 2);
        let words = format!(
            " left {} of {}   uncertainty {} → {} bit ",
            number::grouped(last.left.into()),
            number::grouped(shown.trace.vocabulary.into()),
            bits(shown.trace.entropy),
            bits(last.entropy)
        );
        let until = Rect { width: head.width.saturating_sub(1), ..head };
        text::put_right(buf, until, &words, theme.style(Role::Text));
    }
    table::in_one_row(&shown, text::row(area, 1, 1), buf);
    ruler::line(&shown, text::row(area, 2, 1), buf);
}
