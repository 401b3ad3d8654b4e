//! Help pages: one a group of commands, made of the command table, and one for the softmax station.
//!
//! Invariant: keys shown are those in use, never the defaults.

use super::{Canvas, body};
use crate::app::App;
use crate::command::{Command, Group, offered};
use crate::theme::Role;
use crate::ui::inspector::live::Live;
use crate::ui::widgets::{number, text};

/// The groups in the order of their pages.
const GROUPS: [(Group, &str); 6] = [
    (Group::Writing, "Writing and sending"),
    (Group::Replies, "Replies"),
    (Group::Chats, "Chats"),
    (Group::Inspector, "The inspector"),
    (Group::Models, "Models"),
    (Group::App, "The app"),
];

/// How many pages there are; the last explains the softmax.
pub const PAGES: usize = GROUPS.len() + 1;

pub(super) fn draw(mut canvas: Canvas<'_>, page: usize, scroll: u16) -> Option<(u16, u16)> {
    let page = page.min(PAGES - 1);
    let lines = match GROUPS.get(page) {
        Some((group, title)) => group_page(canvas.app, *group, title),
        None => softmax_page(canvas.app),
    };
    let right = format!("page {} of {PAGES}", page + 1);
    let inside = canvas.frame("Help", &right, 112, 26);
    let list = body(inside, 0, 2);
    let first = usize::from(scroll).min(lines.len().saturating_sub(list.height.into()));
    for ((key, words), row) in lines.iter().skip(first).zip(0..list.height) {
        let at = text::row(list, row, 1);
        let left = if key.is_empty() { 0 } else { 24 };
        canvas.cell(at, 0, 23, key, Role::Strong);
        canvas.cell(
            at,
            left,
            at.width,
            words,
            if first == 0 && row == 0 { Role::Strong } else { Role::Text },
        );
    }
    canvas.keys(inside, &[("←→", "page"), ("↑↓", "scroll"), ("Esc", "close")]);
    None
}

fn group_page(app: &App, group: Group, title: &str) -> Vec<(String, String)> {
    let mut lines = vec![(String::new(), title.to_owned()), (String::new(), String::new())];
    for entry in offered().filter(|entry| entry.group == group) {
        let key = app.keymap.shown(entry.command);
        let key = if key.is_empty() { format!("/{}", entry.name) } else { key };
        lines.push((key, format!("{:<52} /{}", entry.help(), entry.name)));
    }
    lines
}

fn softmax_page(app: &App) -> Vec<(String, String)> {
    let entries = Live::of(app).map_or(0, |live| live.entries);
    let (all, even) = match entries {
        0 => ("tokens of the vocabulary".to_owned(), "its most when all are even".to_owned()),
        n => {
            let count = number::grouped(n);
            (format!("{count} tokens"), format!("{:.1} when all {count} are even", (n as f64).log2()))
        }
    };
    let key = |command| app.keymap.shown(command);
    let words = [
        "What am I looking at? Softmax".to_owned(),
        format!("Before each token the network gives every one of its {all} a score (a logit)."),
        "Softmax turns the scores into shares that add up to 1. The bar is that share.".into(),
        "One token is then drawn.".into(),
        "    p(v) = exp(z_v − m) ÷ Σ exp(z_u − m),  m = max z             Bridle 1990".into(),
        String::new(),
        format!("uncertainty   H = −Σ p log₂ p, in bits: 0 when sure, {even}"),
        "surprise      −log₂ p(drawn), in bits: each bit halves the odds".into(),
        "rank          1 + how many tokens had a larger score than the drawn one".into(),
        "‹others›      everything not listed, so that the column adds up to 100".into(),
        "after         the odds once the samplers cut; × names the stage that threw a token out".into(),
        String::new(),
        "Not shown: why the scores are what they are. Odds are not truth; a sure model can be wrong.".into(),
        String::new(),
        format!(
            "Keys here     {} hold   {} logits   {} alone   {} this page",
            key(Command::Hold),
            key(Command::Logits),
            key(Command::Zoom),
            key(Command::Explain)
        ),
        format!(
            "Everywhere    {} send   {} stop, close   {} focus   {} commands   {} help",
            key(Command::Send),
            key(Command::Escape),
            key(Command::FocusNext),
            key(Command::Palette),
            key(Command::Help)
        ),
    ];
    words.into_iter().map(|line| (String::new(), line)).collect()
}
