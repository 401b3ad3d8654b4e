//! What a chat took: messages, tokens read and written, time, by model.
//!
//! Invariant: every run of the chat counts once, also where several versions build on what it wrote.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::{App, ChatView, Sheet};
use crate::chat::{Role, Run, RunId};

impl App {
    /// Shows what the chat took.
    pub(crate) fn open_usage(&mut self) {
        if self.talk.chat.turns.is_empty() {
            self.out.say("there is no message here yet");
            return;
        }
        let rows = self.view().usage();
        self.overlays.push(Sheet { title: "What this chat took".into(), rows, scroll: 0 });
    }
}

impl ChatView<'_> {
    /// What the shown chat took, as rows of a name and its figure.
    pub(crate) fn usage(&self) -> Vec<(String, String)> {
        let mut rows = vec![("messages".to_owned(), self.messages_counted())];
        let ids: BTreeSet<RunId> = self
            .chat
            .turns
            .iter()
            .flat_map(|turn| &turn.spans)
            .filter_map(crate::app::inspector::run_of)
            .collect();
        let runs: Vec<&Run> = ids.iter().filter_map(|id| self.runs.get(id)).collect();
        rows.extend(figures(&runs));
        let mut models: BTreeMap<String, Vec<&Run>> = BTreeMap::new();
        for run in &runs {
            models.entry(self.config.model_title(&run.model)).or_default().push(run);
        }
        for (model, runs) in models {
            let written: u64 = runs.iter().map(|run| u64::from(run.usage.completion_tokens)).sum();
            rows.push((
                model,
                format!("{}, {written} tokens written", counted(runs.len(), "reply", "replies")),
            ));
        }
        rows
    }

    fn messages_counted(&self) -> String {
        let of = |role| self.chat.turns.iter().filter(|turn| turn.role == role && !turn.deleted).count();
        let parents: BTreeSet<_> = self.chat.turns.iter().filter_map(|turn| turn.parent).collect();
        let ends = self.chat.turns.iter().filter(|turn| !turn.deleted && !parents.contains(&turn.id)).count();
        let branches = match ends {
            0 | 1 => String::new(),
            ends => format!(", in {ends} branches"),
        };
        let replies = counted(of(Role::Assistant), "reply", "replies");
        format!("{} of yours, {replies}{branches}", of(Role::User))
    }
}

fn figures(runs: &[&Run]) -> Vec<(String, String)> {
    let sum = |of: fn(&Run) -> u32| runs.iter().map(|run| u64::from(of(run))).sum::<u64>();
    let seconds = |of: fn(&Run) -> f32| runs.iter().map(|run| f64::from(of(run))).sum::<f64>() / 1000.0;
    let (read, again) = (sum(|run| run.usage.prompt_tokens), sum(|run| run.usage.reused_tokens));
    let written = sum(|run| run.usage.completion_tokens);
    let (reading, writing) = (seconds(|run| run.timings.prompt_ms), seconds(|run| run.timings.decode_ms));
    let speed =
        if writing > 0.0 { format!(", {:.1} a second", written as f64 / writing) } else { String::new() };
    let row = |name: &str, figure: String| (name.to_owned(), figure);
    vec![
        row("tokens in prompts", format!("{read}, of which {again} were still in memory")),
        row("tokens written", format!("{written}{speed}")),
        row("time", format!("{reading:.1} s reading, {writing:.1} s writing")),
    ]
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
