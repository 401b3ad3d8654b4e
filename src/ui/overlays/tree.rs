//! The branches at one token, over the whole screen but the header; beside them, or instead, a comparison.
//!
//! Invariant: bars are shares of the whole distribution unless they are renormalised; the column adds up
//! to 100 with ‹others›.

use ratatui::layout::Rect;

use super::{Canvas, Draw, compare};
use crate::app::{Keys, TREE_LETTERS, TokenCursor, Tree, TreeRow};
use crate::chat::whole_text;
use crate::command::Command;
use crate::theme::{Role, Theme};
use crate::ui::rows;
use crate::ui::widgets::{bar, number, popup, text, token};

/// Columns of the tree where the comparison stands beside it.
const BESIDE: u16 = 60;
/// From this width on both are shown.
const WIDE: u16 = 110;
/// Cells of a bar of 100 %.
const BAR: u16 = 8;
/// Column before which the odds end.
const FIGURE: u16 = 22;
/// Column of what follows the token.
const TAIL: u16 = 32;

impl Draw for Tree {
    fn draw(&self, canvas: &mut Canvas<'_>) -> Option<(u16, u16)> {
        let screen = canvas.screen;
        let area = Rect { y: screen.y + 1, height: screen.height.saturating_sub(1), ..screen };
        popup::clear(canvas.buf, area);
        if area.height < 6 {
            return None;
        }
        let listed = canvas.app.view().tree_rows(self);
        let body = Rect { height: area.height - 2, ..area };
        let wide = area.width >= WIDE;
        let (left, right) = if wide {
            let right = Rect { x: body.x + BESIDE + 1, width: body.width - BESIDE - 1, ..body };
            (Rect { width: BESIDE, ..body }, right)
        } else {
            (body, body)
        };
        if wide || !self.comparing {
            branches(canvas, self, &listed, left);
        }
        if wide || self.comparing {
            compare::draw(canvas, self, &listed, right, wide);
        }
        if wide {
            line_between(canvas, Rect { x: left.right(), width: 1, ..body });
        }
        let notice = text::row(area, area.height - 2, 0);
        if canvas.app.out.notice.is_some() {
            rows::notice(canvas.app, canvas.theme, notice, 0, canvas.buf);
        } else {
            let said = "nothing is lost: every branch stays in the chat; going to one reuses the tokens before it \
                        and decodes only what is new";
            canvas.cell(notice, 1, notice.width.saturating_sub(2), said, Role::Muted);
        }
        keys(canvas, area);
        None
    }
}

fn keys(canvas: &mut Canvas<'_>, area: Rect) {
    let key = Keys(&canvas.app.keymap);
    let ways: Vec<String> = [Command::TreeUp, Command::TreeDown].map(|way| key.of(way)).into();
    let delete = format!("delete, {} undo", key.of(Command::RestoreBranch));
    let offered = vec![
        (key.list(), "branch"),
        (key.of(Command::Choose), "go"),
        ("1…9 a…y".to_owned(), "take"),
        (key.of(Command::Compare), "compare"),
        (ways.join(" ").trim().to_owned(), "up, down"),
        (key.of(Command::LookAhead), "look ahead"),
        (key.of(Command::TreeScale), "scale"),
        (key.of(Command::DeleteBranch), delete.as_str()),
        (key.of(Command::Escape), "close"),
    ];
    canvas.keys(area, offered);
}

fn line_between(canvas: &mut Canvas<'_>, at: Rect) {
    let style = canvas.theme.style(Role::Rule);
    let ascii = canvas.theme.symbols.ascii;
    text::put(canvas.buf, text::row(at, 0, 0), if ascii { "+" } else { "┬" }, style);
    for line in 1..at.height {
        text::put(canvas.buf, text::row(at, line, 0), canvas.theme.symbols.vertical, style);
    }
}

fn branches(canvas: &mut Canvas<'_>, tree: &Tree, listed: &[TreeRow], area: Rect) {
    let (app, theme) = (canvas.app, canvas.theme);
    let read = app.view().pass(tree.at).map_or(0, |pass| pass.ids.len());
    let kept = listed.iter().filter(|row| row.turn.is_some()).count();
    let right = format!("{kept} kept");
    let name = format!("Branches at token #{read}");
    rows::title(canvas.buf, theme, text::row(area, 0, 0), &name, &right, true);
    let before = app.view().text_before(tree.at).0;
    let before = text::tail(&token::one_line(&before, &theme.symbols), area.width.saturating_sub(4));
    canvas.cell(text::row(area, 2, 0), 2, area.width, &before, Role::Text);
    canvas.cell(text::row(area, 3, 0), 2, 1, "│", Role::Rule);
    heads(canvas, text::row(area, 4, 0));
    let room = usize::from(area.height.saturating_sub(9)).max(1);
    let first = (tree.selected + 1).saturating_sub(room);
    let mut line = 5;
    for index in (first..listed.len()).take(room) {
        branch(canvas, tree, listed, index, text::row(area, line, 0));
        line += 1;
    }
    others(canvas, tree, listed, text::row(area, line, 0));
    legend(canvas, tree, listed, kept, area, line + 2);
}

fn heads(canvas: &mut Canvas<'_>, at: Rect) {
    canvas.cell(at, 2, 1, "│", Role::Rule);
    canvas.cell(at, 7, 5, "token", Role::Muted);
    canvas.cell_right(at, FIGURE - 1, "%", Role::Muted);
    canvas.cell_right(at, at.width.saturating_sub(6), "tokens", Role::Muted);
    canvas.cell_right(at, at.width, "bit/t", Role::Muted);
}

fn branch(canvas: &mut Canvas<'_>, tree: &Tree, listed: &[TreeRow], index: usize, at: Rect) {
    let theme = canvas.theme;
    let row = &listed[index];
    let shown = row.turn == Some(tree.at.turn);
    let role = match row.turn {
        Some(_) if shown => Role::TokenChosen,
        Some(turn) if tree.compare == Some(turn) => Role::TokenRival,
        _ => Role::Text,
    };
    if index == tree.selected {
        let label = Rect { width: 15.min(at.width.saturating_sub(4)), ..text::row(at, 0, 4) };
        canvas.buf.set_style(label, theme.style(Role::Select));
        canvas.cell(at, 0, 1, theme.symbols.here, Role::Strong);
    }
    let mark = match row.turn {
        Some(_) if shown => theme.symbols.drawn,
        Some(_) => theme.symbols.rule,
        None => "┈",
    };
    canvas.cell(at, 2, 1, "├", Role::Rule);
    canvas.cell(at, 3, 1, mark, if shown { role } else { Role::Rule });
    canvas.cell(at, 5, 1, &compare::label(listed, index), Role::Muted);
    canvas.cell(at, 7, FIGURE - 14, &name(canvas, tree.at, row), role);
    figure(canvas, tree, listed, row.logprob, at, role);
    if row.turn.is_some() {
        let (tokens, mean) = (at.width.saturating_sub(8), at.width.saturating_sub(1));
        let several =
            if row.versions > 1 { format!("{}{} ", row.versions, theme.symbols.cut) } else { String::new() };
        let tail = format!("{several}{}", stretch(&row.tail, theme));
        canvas.cell(at, TAIL, tokens.saturating_sub(TAIL + 4), &tail, Role::Text);
        canvas.cell_right(at, tokens, &number::grouped(row.tokens as u64), Role::Text);
        canvas.cell_right(at, mean, &number::decimals(mean_bits(row), 2), Role::Text);
    }
}

fn figure(canvas: &mut Canvas<'_>, tree: &Tree, listed: &[TreeRow], logprob: f32, at: Rect, role: Role) {
    let share = f64::from(logprob).exp();
    canvas.cell_right(at, FIGURE, &number::percent(share), role);
    let largest = listed.iter().map(|row| f64::from(row.logprob).exp()).fold(0.0, f64::max);
    let scale = if tree.renormalised && largest > 0.0 { largest } else { 1.0 };
    let style = canvas.theme.style(Role::ProbBar);
    let to = text::row(at, 0, FIGURE + 1);
    bar::draw(canvas.buf, to, share / scale, BAR, &canvas.theme.symbols.bar, style);
}

fn others(canvas: &mut Canvas<'_>, tree: &Tree, listed: &[TreeRow], at: Rect) {
    let rest = (1.0 - listed.iter().map(|row| f64::from(row.logprob).exp()).sum::<f64>()).max(0.0);
    canvas.cell(at, 2, 2, "└┈", Role::Rule);
    canvas.cell(at, 7, FIGURE - 14, "‹others›", Role::Muted);
    figure(canvas, tree, listed, rest.ln() as f32, at, Role::Muted);
    let entries = entries(canvas, tree.at);
    if entries > 0 {
        let count = number::grouped(entries.saturating_sub(listed.len() as u64));
        canvas.cell(at, TAIL, at.width.saturating_sub(TAIL), &format!("{count} tokens"), Role::Muted);
    }
}

/// What the labels mean, the selected branch in all, and where the tree goes on below it.
fn legend(canvas: &mut Canvas<'_>, tree: &Tree, listed: &[TreeRow], kept: usize, area: Rect, from: u16) {
    let (app, theme) = (canvas.app, canvas.theme);
    let most = area.width.saturating_sub(4);
    let mut line = from;
    let mut put = |canvas: &mut Canvas<'_>, words: &str, role: Role| {
        canvas.cell(text::row(area, line, 0), 2, most, words, role);
        line += 1;
    };
    let untaken = listed.len() - kept;
    let letters: String = TREE_LETTERS.chars().take(untaken).collect();
    let letters = match (letters.chars().next(), letters.chars().last()) {
        (Some(first), Some(last)) if untaken > 1 => format!("{first}–{last} not yet taken"),
        (Some(only), _) => format!("{only} not yet taken"),
        _ => String::new(),
    };
    let numbers = if kept > 1 { format!("1–{kept} kept branches") } else { "1 kept branch".into() };
    put(canvas, &format!("{numbers}   {letters}"), Role::Muted);
    put(canvas, "bit/t: mean surprise, lower reads likelier to the model", Role::Muted);
    if let Some(row) = listed.get(tree.selected).filter(|row| row.turn.is_some()) {
        let bits = -row.total / std::f32::consts::LN_2;
        let words = format!(
            "branch {} from here on: ln p {}, {} bit",
            tree.selected + 1,
            number::decimals(row.total.into(), 2),
            number::decimals(bits.into(), 2)
        );
        put(canvas, &words, Role::Muted);
        put(canvas, "", Role::Muted);
        let turn = row.turn.unwrap_or(tree.at.turn);
        if let Some(next) = app.view().further_down(turn, tree.at.index) {
            put(canvas, &format!("further down branch {}", tree.selected + 1), Role::Text);
            let between =
                app.talk.chat.turn(turn).map(|turn| app.view().turn_tokens(turn)).unwrap_or_default();
            let between = between.get(tree.at.index..next.index).unwrap_or_default();
            let bytes: Vec<u8> = between.iter().flat_map(|token| token.step.bytes.iter().copied()).collect();
            let between = text::tail(&stretch(&bytes, theme), most);
            put(canvas, &between, Role::Text);
            let below = Tree { at: next, selected: usize::MAX, compare: None, ..tree.clone() };
            let rows = app.view().tree_rows(&below);
            let taken: Vec<&TreeRow> = rows.iter().filter(|row| row.turn.is_some()).collect();
            for row in &taken {
                further(canvas, &below, row, text::row(area, line, 0));
                line += 1;
            }
            let at = text::row(area, line, 0);
            canvas.cell(at, 2, 2, "└┈", Role::Rule);
            let more = entries(canvas, next).saturating_sub(taken.len() as u64);
            canvas.cell(at, 7, most, &format!("{} more", number::grouped(more)), Role::Muted);
            line += 1;
        }
        line += 1;
    }
    let config = &app.config.inspector;
    let words = format!("L looks ahead: {} wide, {} deep", config.look_ahead_width, config.look_ahead_depth);
    canvas.cell(text::row(area, line, 0), 2, most, &words, Role::Muted);
}

/// A branch at the place below, in the same columns.
fn further(canvas: &mut Canvas<'_>, below: &Tree, row: &TreeRow, at: Rect) {
    let theme = canvas.theme;
    canvas.cell(at, 2, 1, "├", Role::Rule);
    let shown = row.turn == Some(below.at.turn);
    canvas.cell(at, 3, 1, if shown { theme.symbols.drawn } else { theme.symbols.rule }, Role::Rule);
    canvas.cell(at, 7, FIGURE - 14, &name(canvas, below.at, row), Role::Text);
    figure(canvas, below, std::slice::from_ref(row), row.logprob, at, Role::Text);
    let most = at.width.saturating_sub(TAIL + 12);
    canvas.cell(at, TAIL, most, &stretch(&row.tail, theme), Role::Text);
}

/// Mean surprise of a branch's tokens, bits.
fn mean_bits(row: &TreeRow) -> f64 {
    f64::from(-row.total / std::f32::consts::LN_2) / row.tokens.max(1) as f64
}

/// A stretch of text on one line; a blank at its start is made visible.
fn stretch(bytes: &[u8], theme: &Theme) -> String {
    let line = token::one_line(&whole_text(bytes, true), &theme.symbols);
    match line.strip_prefix(' ') {
        Some(rest) => format!("{}{rest}", theme.symbols.space),
        None => line,
    }
}

fn name(canvas: &Canvas<'_>, at: TokenCursor, row: &TreeRow) -> String {
    let hash = canvas.app.view().vocabulary_at(at);
    let vocabulary = hash.and_then(|hash| canvas.app.talk.vocabularies.get(&hash));
    token::named(row.id, vocabulary.map(AsRef::as_ref), &canvas.theme.symbols)
}

/// Entries of the vocabulary that a place's ids belong to; 0 where it is not there.
fn entries(canvas: &Canvas<'_>, at: TokenCursor) -> u64 {
    let hash = canvas.app.view().vocabulary_at(at);
    hash.and_then(|hash| canvas.app.talk.vocabularies.get(&hash)).map_or(0, |all| all.len() as u64)
}
