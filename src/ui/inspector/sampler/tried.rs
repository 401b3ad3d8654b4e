//! Settings that are tried: what they make of this token, and how likely they make the whole reply.
//!
//! Invariant: only figures that the kept numbers determine are shown; how many tokens they leave open is said.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Shown, ruler};
use crate::app::{ReplyOdds, SANDBOX_KEYS, Sandbox};
use crate::inspect::chain::{Fate, Last};
use crate::inspect::stages::SamplerTrace;
use crate::sampling::Stage;
use crate::theme::Role;
use crate::token::{TokenId, TokenKind};
use crate::ui::widgets::{number, text, token};

/// Draws one row, or four while the settings are edited.
pub fn draw(shown: &Shown<'_>, area: Rect, (at, lines): (u16, u16), buf: &mut Buffer) {
    let theme = shown.theme;
    let muted = theme.style(Role::Muted);
    let row = |row: u16| text::row(area, at + row, 1);
    let label = |buf: &mut Buffer, at: Rect, words: &str| {
        text::put(buf, at, words, theme.style(Role::Text));
        text::row(at, 0, 11)
    };
    let Some(sandbox) = &shown.app.inspector.sandbox else {
        if shown.app.display().drawing_run().is_some() {
            let at = label(buf, row(0), "what if");
            let long = "t tries other settings on this token";
            let fits = text::width(long) < at.width;
            text::put(buf, at, if fits { long } else { "t tries other settings" }, muted);
        }
        return;
    };
    let at = label(buf, row(0), "what if");
    if lines == 1 {
        let words = format!("{}  →  {}", changes(shown, sandbox), outcome(shown, sandbox));
        text::put(buf, at, &text::cut(&words, at.width), theme.style(Role::Text));
        return;
    }
    let x = text::put(buf, at, &edited(shown, sandbox), theme.style(Role::Strong));
    let long = "  ↑↓ setting  ←→ value  Enter use  Esc leave";
    let keys = if x + text::width(long) <= at.width { long } else { "  ↑↓ ←→ Enter Esc" };
    text::put(buf, text::row(at, 0, x), keys, muted);
    let at = label(buf, row(1), "this token");
    text::put(buf, at, &text::cut(&outcome(shown, sandbox), at.width), theme.style(Role::Text));
    let Some((_, odds)) = &sandbox.reply else {
        let at = label(buf, row(2), "the reply");
        text::put(buf, at, "its prompt or vocabulary is not there", muted);
        return;
    };
    for (line, (name, words)) in
        (2..).zip([("the reply", cuts(shown, odds)), ("how likely", likelihood(odds))])
    {
        let at = label(buf, row(line), name);
        text::put(buf, at, &text::cut(&words, at.width), theme.style(Role::Text));
    }
}

/// `temperature` → `temp`, `top_k` → `top-k`.
fn short(key: &str) -> String {
    let stage = Stage::DEFAULT_ORDER.iter().find(|stage| stage.about().name == key);
    stage.map_or_else(|| key.replace('_', "-"), |stage| stage.about().wide.to_owned())
}

/// A value as the column heads write it.
fn written(value: &str) -> String {
    match value.parse::<f64>() {
        Ok(number) if value.contains('.') => number::decimals(number, 2),
        _ => value.to_owned(),
    }
}

/// `‹temp 1.20›`, with what is typed.
fn edited(shown: &Shown<'_>, sandbox: &Sandbox) -> String {
    let key = SANDBOX_KEYS[sandbox.key];
    let value = if sandbox.typed.is_empty() {
        written(&shown.app.display().tried_value(key))
    } else {
        format!("{}▏", sandbox.typed)
    };
    format!("‹{} {value}›", short(key))
}

/// `temp 1.20 top-k 5`: what differs from the run's settings.
fn changes(shown: &Shown<'_>, sandbox: &Sandbox) -> String {
    let changed = serde_json::to_value(&sandbox.changed).unwrap_or_default();
    let keys = SANDBOX_KEYS.iter().filter(|key| changed.get(**key).is_some_and(|value| !value.is_null()));
    let words: Vec<String> = keys
        .map(|key| format!("{} {}", short(key), written(&shown.app.display().tried_value(key))))
        .collect();
    words.join(" ")
}

/// `␣Paris 88.79   ␣the 11.21    same draw`
fn outcome(shown: &Shown<'_>, sandbox: &Sandbox) -> String {
    let tried = sandbox.tried.as_ref().filter(|(at, ..)| *at == shown.live.step.cursor());
    let trace = match tried.map(|(_, _, tried)| tried) {
        Some(Ok(trace)) => trace,
        Some(Err(why)) => {
            return match &sandbox.last {
                Some(last) => last_alone(shown, last),
                None => format!("not known from the kept tokens: {why}"),
            };
        }
        None => return String::new(),
    };
    let Some(last) = trace.stages.last() else { return "no stage is on".into() };
    let name = |at: usize| shown.live.listed(trace.tokens[at], &shown.theme.symbols);
    let mut alive: Vec<(usize, f32)> =
        last.probabilities.iter().enumerate().filter_map(|(at, p)| Some((at, (*p)?))).collect();
    alive.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut words: Vec<String> = alive
        .iter()
        .take(2)
        .map(|(at, p)| format!("{} {}", text::cut(&name(*at), 12), number::percent((*p).into())))
        .collect();
    let more = last.left as usize - alive.len().min(2).min(last.left as usize);
    if more > 0 {
        words.push(format!("{} more", number::grouped(more as u64)));
    }
    format!("{}    {}", words.join("   "), draw_of(trace))
}

/// The likeliest of a last column that is known without those before it.
fn last_alone(shown: &Shown<'_>, last: &Last) -> String {
    let mut alive: Vec<(TokenId, f64)> = last
        .fates
        .iter()
        .filter_map(|(id, fate)| match fate {
            Fate::Kept(probability) => Some((*id, *probability)),
            Fate::Cut(_) => None,
        })
        .collect();
    alive.sort_by(|a, b| b.1.total_cmp(&a.1));
    let words: Vec<String> = alive
        .iter()
        .take(2)
        .map(|(id, probability)| {
            let name = shown.live.listed(*id, &shown.theme.symbols);
            format!("{} {}", text::cut(&name, 12), number::percent(*probability))
        })
        .collect();
    let is_left = alive.iter().any(|(id, _)| *id == shown.trace.drawn);
    let out = if is_left { "" } else { "    the written token is out" };
    format!("{}   {} left{out}", words.join("   "), last.left)
}

/// Whether the same number would have drawn the same token.
fn draw_of(trace: &SamplerTrace) -> &'static str {
    let drawn = trace.tokens.iter().position(|id| *id == trace.drawn);
    let last = trace.stages.last();
    let is_left =
        drawn.zip(last).is_some_and(|(at, last)| last.probabilities.get(at).is_some_and(Option::is_some));
    let place =
        ruler::places(trace).and_then(|places| places.into_iter().find(|(at, ..)| Some(*at) == drawn));
    match (is_left, trace.u, place) {
        (false, ..) => "the written token is out",
        (true, Some(u), Some((_, from, to))) if (from..to).contains(&u) => "same draw",
        (true, Some(_), Some(_)) => "another draw",
        (true, ..) => "",
    }
}

/// `3 of 19 tokens would have been cut, the first #5 ␣Paris by top-p`
fn cuts(shown: &Shown<'_>, odds: &ReplyOdds) -> String {
    let open = if odds.open > 0 { format!("; {} not known", odds.open) } else { String::new() };
    let Some((at, bytes, stage)) = &odds.first_cut else {
        return format!("0 of {} tokens would have been cut{open}", odds.tokens);
    };
    let name = token::shown(bytes, TokenKind::Normal, &shown.theme.symbols);
    let by = stage.map_or(String::new(), |stage| format!(" by {}", stage.label()));
    format!("{} of {} cut, first #{} {}{by}{open}", odds.cut, odds.tokens, at + 1, text::cut(&name, 12))
}

/// `−12.34 → −13.20 nats   −0.65 → −0.69 a token`, over the tokens that both settings allow.
fn likelihood(odds: &ReplyOdds) -> String {
    if odds.both == 0 {
        return "not known from the kept tokens".into();
    }
    let (before, after) = odds.logprob;
    let two = |number: f64| number::decimals(number, 2);
    let each = |sum: f64| two(sum / odds.both as f64);
    let of = if odds.both < odds.tokens { format!(" (of {})", odds.both) } else { String::new() };
    format!("{} → {} nats   {} → {} a token{of}", two(before), two(after), each(before), each(after))
}
