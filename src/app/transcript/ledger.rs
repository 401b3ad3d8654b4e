//! The ledger overlay, and export of the shown chat.
//!
//! Invariant: sorting is stable, so equal figures stay in the order they were written in.

use crate::app::state::{Ledger, LedgerOrder};
use crate::app::{App, ChatView, Effect, LineEdit, Outbox};
use crate::export::{Document, Format};
use crate::sanitize;
use crate::token::{Step, TokenId};

impl Ledger {
    /// Works out the rows of the table.
    pub(crate) fn refill(&mut self, view: ChatView<'_>) {
        let Some(turn) = view.chat.turn(self.turn) else { return };
        let needle = self.filter.text.to_lowercase();
        let tokens = view.turn_tokens(turn);
        let holds = |step: &Step| {
            let text = String::from_utf8_lossy(&step.bytes).to_lowercase();
            needle.is_empty()
                || text.contains(&needle)
                || step.id.is_some_and(|id| id.0.to_string() == needle)
        };
        let mut rows: Vec<usize> = (0..tokens.len()).filter(|at| holds(tokens[*at].step)).collect();
        let falling = |key: fn(&Step) -> f32| {
            let tokens = &tokens;
            // What is not known comes last.
            let known = |value: f32| if value.is_nan() { f32::NEG_INFINITY } else { value };
            move |a: &usize, b: &usize| known(key(tokens[*b].step)).total_cmp(&known(key(tokens[*a].step)))
        };
        match self.order {
            LedgerOrder::Position => {}
            LedgerOrder::Surprise => rows.sort_by(falling(Step::surprisal_bits)),
            LedgerOrder::Rank => rows.sort_by_key(|at| std::cmp::Reverse(tokens[*at].step.rank)),
            LedgerOrder::Uncertainty => rows.sort_by(falling(|step| step.entropy)),
            LedgerOrder::Time => rows.sort_by(falling(|step| step.ms)),
        }
        self.selected = self.selected.min(rows.len().saturating_sub(1));
        self.rows = rows;
    }

    /// The rows as tab-separated text with a line of heads.
    pub(crate) fn copy(&self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(turn) = view.chat.turn(self.turn) else { return };
        let tokens = view.turn_tokens(turn);
        let mut text =
            String::from("position\tid\ttoken\tlogprob\tprobability\trank\tentropy_nats\tms\tbytes\n");
        for at in &self.rows {
            let step = tokens[*at].step;
            let id = step.id.and_then(TokenId::number).map_or_else(String::new, |id| id.to_string());
            let token = serde_json::to_string(&String::from_utf8_lossy(&step.bytes)).unwrap_or_default();
            let bytes: Vec<String> = step.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let bytes = bytes.join(" ");
            let rank = if step.rank == 0 { String::new() } else { step.rank.to_string() };
            let line = format!(
                "{at}\t{id}\t{token}\t{}\t{}\t{rank}\t{}\t{:.1}\t{bytes}\n",
                told(step.logprob),
                told(step.logprob.exp()),
                told(step.entropy),
                step.ms
            );
            text.push_str(&sanitize::for_copy(&line));
        }
        out.emit(Effect::Copy(text));
    }
}

impl App {
    /// Opens the table of the selected message's tokens, else of the last reply's.
    pub(crate) fn open_ledger(&mut self) {
        let Some(turn) = self.transcript.selected_or_last(view!(self)) else {
            self.out.say("there is no message yet");
            return;
        };
        let known = self.talk.chat.turn(turn).is_some_and(|turn| !self.view().turn_tokens(turn).is_empty());
        if !known {
            self.out.say("the tokens of this message are not known yet; m colours it, which asks the model");
            return;
        }
        let filter = LineEdit::default();
        let at = self.transcript.cursor.filter(|cursor| cursor.turn == turn).map_or(0, |cursor| cursor.index);
        let mut ledger =
            Ledger { turn, filter, order: LedgerOrder::Position, rows: Vec::new(), selected: at };
        ledger.refill(self.view());
        self.overlays.push(ledger);
    }
}

impl Outbox {
    /// Copies the shown chat as Markdown.
    pub(crate) fn copy_chat(&mut self, view: ChatView<'_>, thinking: bool) {
        if view.chat.turns.is_empty() {
            self.say("there is nothing to copy yet");
            return;
        }
        let document =
            Document { conversation: view.chat, runs: view.runs, vocabularies: view.vocabularies, thinking };
        self.emit(Effect::Copy(document.export(Format::Markdown)));
    }

    /// Writes the shown chat to a file: its format by the ending, by default one HTML page. With `thinking`, so what was
    /// thought.
    pub(crate) fn export(&mut self, view: ChatView<'_>, name: &str, thinking: bool) {
        if view.chat.turns.is_empty() {
            self.say("there is nothing to export yet");
            return;
        }
        let title = file_name(&view.chat.head.title);
        let name = if name.is_empty() { format!("{title}.html") } else { name.to_owned() };
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        let Some(format) = ending.and_then(Format::named) else {
            self.warn(format!("{name}: the ending must be .html, .md, .json or .jsonl"));
            return;
        };
        let document =
            Document { conversation: view.chat, runs: view.runs, vocabularies: view.vocabularies, thinking };
        let text = document.export(format);
        self.emit(Effect::WriteFile { name, text });
    }
}

/// A figure; nothing where it is not known.
fn told(value: f32) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}

/// A chat's title as the name of a file.
pub(crate) fn file_name(title: &str) -> String {
    let plain: String = title.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).take(60).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    if words.is_empty() { "chat".into() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_a_name_that_any_system_takes() {
        assert_eq!(file_name("What's the capital of France?"), "What-s-the-capital-of-France");
        assert_eq!(file_name("../../etc"), "etc");
        assert_eq!(file_name("??"), "chat");
        assert_eq!(file_name("東京 タワー"), "東京-タワー");
    }
}
