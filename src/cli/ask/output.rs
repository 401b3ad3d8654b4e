//! Where a reply goes: laid out on a terminal, as text, or as one JSON object a line.
//!
//! Invariant: what is piped is the answer as it was written, and what was thought only where that was asked for; a terminal
//! never sees a control character of the model's.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::parts::{Parts, Stretch};
use crate::export;
use crate::export::json::OneStep;
use crate::reasoning::Form;
use crate::runtime;
use crate::sanitize;
use crate::theme::{Role, Theme};
use crate::token::{Step, Vocabulary};
use crate::ui::ansi;
use crate::ui::printed::Printed;

/// The last block is drawn so often at most.
const FRAME: Duration = Duration::from_millis(33);

/// How a reply is to be shown.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// As JSON.
    pub json: bool,
    /// The theme to lay it out in, where that is wanted and standard output is a terminal.
    pub theme: Option<Theme>,
    /// What was thought goes to standard output too.
    pub thinking: bool,
    /// Whether links can be clicked.
    pub links: bool,
    /// The model goes on with a text, which is not taken apart.
    pub raw: bool,
}

impl Wish {
    /// The theme for this terminal. None where only text goes, or it only prints.
    pub fn theme_of(setup: &super::super::setup::Setup) -> Option<Theme> {
        let prints = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let draws = std::io::stdout().is_terminal() && !prints;
        draws.then(|| runtime::printing_theme(&setup.config.ui, &setup.folders.themes()))
    }
}

/// Where the reply goes.
pub struct Output {
    wish: Wish,
    parts: Parts,
    /// Number of the next token.
    index: u32,
    /// The answer so far, and what was thought, which go into the last line of JSON.
    answer: String,
    thought: String,
    /// The answer as it is laid out, since it began or since something else was printed.
    printed: Option<Printed>,
    /// What waits for the next frame.
    waiting: String,
    drawn: Option<Instant>,
    /// Whether what was thought is being printed.
    thinks: bool,
    /// Whether standard output and standard error are terminals.
    terminals: (bool, bool),
}

impl Output {
    /// For one reply.
    pub fn new(wish: Wish) -> Self {
        Self {
            wish,
            parts: Parts::whole(),
            index: 0,
            answer: String::new(),
            thought: String::new(),
            printed: None,
            waiting: String::new(),
            drawn: None,
            thinks: false,
            terminals: (std::io::stdout().is_terminal(), std::io::stderr().is_terminal()),
        }
    }

    /// The prompt that the reply follows.
    pub fn prompt(&mut self, text: &str) {
        if !self.wish.raw {
            self.parts = Parts::of_reply(Form::opened_by(text));
        }
    }

    /// Whether anything is written of a reply that needs the vocabulary: a text that is only gone on with needs none.
    pub fn has_names(&self) -> bool {
        self.wish.json || !self.wish.raw
    }

    /// Whether a token can only be written once the vocabulary is there: as JSON, and one without text of its own, which
    /// may end what is thought.
    pub fn waits_for_names(&self, step: &Step) -> bool {
        self.wish.json || (!self.wish.raw && step.bytes.is_empty())
    }

    /// The answer so far.
    pub fn answer(&self) -> &str {
        &self.answer
    }

    /// Writes a token, as far as its characters are whole.
    ///
    /// # Errors
    /// When standard output was closed.
    pub fn token(&mut self, step: &Step, vocabulary: Option<&Vocabulary>) -> anyhow::Result<()> {
        if let Some(vocabulary) = vocabulary.filter(|_| self.wish.json) {
            write(&token_line(self.index, step, vocabulary))?;
        }
        self.index += 1;
        let control = step.id.filter(|_| step.bytes.is_empty());
        let name = vocabulary.zip(control).and_then(|(vocabulary, id)| vocabulary.bytes(id));
        let stretches = self.parts.push(&step.bytes, name);
        self.take(stretches)
    }

    /// Writes how it ended.
    ///
    /// # Errors
    /// When standard output was closed.
    pub fn done(&mut self, mut end: Value) -> anyhow::Result<()> {
        let rest = self.parts.finish();
        self.take(rest)?;
        if self.wish.json {
            end["answer"] = json!(self.answer);
            end["reasoning"] = json!(Some(&self.thought).filter(|text| !text.is_empty()));
            return write(&format!("{end}\n"));
        }
        self.end_thought()?;
        match self.wish.theme {
            Some(_) => self.end_page(),
            None => write("\n"),
        }
    }

    /// The reply broke off: what is said of it stands on a line of its own.
    pub fn broken(&mut self) {
        if self.index > 0 && !self.wish.json {
            let _ = self.done(Value::Null); // what broke is said in any case
        }
    }

    fn take(&mut self, stretches: Vec<Stretch>) -> anyhow::Result<()> {
        for Stretch { thought, text } in stretches {
            if !thought {
                self.answer.push_str(&text);
            }
            match (thought, self.wish.json) {
                (true, true) => self.thought.push_str(&text),
                (false, true) => {}
                (true, false) => self.think(&text)?,
                (false, false) => {
                    self.end_thought()?;
                    self.say(&text)?;
                }
            }
        }
        Ok(())
    }

    /// A stretch of the answer.
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let Some(theme) = &self.wish.theme else {
            return if self.terminals.0 { write(&sanitize::for_copy(text)) } else { write(text) };
        };
        self.waiting.push_str(text);
        if self.drawn.is_some_and(|at| at.elapsed() < FRAME) {
            return Ok(());
        }
        let printed = self.printed.get_or_insert_with(|| Printed::new(theme.clone(), self.wish.links));
        let drawn = printed.append(std::mem::take(&mut self.waiting).as_bytes(), runtime::screen_size());
        write(&drawn)?;
        self.drawn = Some(Instant::now());
        Ok(())
    }

    /// The answer as it is laid out ends here.
    fn end_page(&mut self) -> anyhow::Result<()> {
        let (Some(theme), size) = (&self.wish.theme, runtime::screen_size()) else { return Ok(()) };
        let mut printed = self.printed.take().unwrap_or_else(|| Printed::new(theme.clone(), self.wish.links));
        write(&printed.append(std::mem::take(&mut self.waiting).as_bytes(), size))?;
        write(&printed.finish(size))
    }

    /// A stretch of what was thought: to standard output if that was asked for, else where somebody looks on.
    fn think(&mut self, text: &str) -> anyhow::Result<()> {
        let begins = !std::mem::replace(&mut self.thinks, true);
        if begins && (self.printed.is_some() || !self.waiting.is_empty()) {
            self.end_page()?;
        }
        match self.thought_style() {
            Some(style) => {
                let safe = sanitize::for_copy(text);
                self.beside(&format!("{style}{safe}{style:#}"))
            }
            None if self.wish.thinking => {
                let safe = if self.terminals.0 { sanitize::for_copy(text) } else { text.to_owned() };
                write(&format!("{}{safe}", if begins { "<think>\n" } else { "" }))
            }
            None => Ok(()),
        }
    }

    fn end_thought(&mut self) -> anyhow::Result<()> {
        if !std::mem::take(&mut self.thinks) {
            return Ok(());
        }
        match self.thought_style() {
            Some(_) => self.beside("\n\n"),
            None if self.wish.thinking => write("\n</think>\n\n"),
            None => Ok(()),
        }
    }

    /// How what was thought is told from the answer on a terminal; none where it is not shown, or between marks.
    fn thought_style(&self) -> Option<anstyle::Style> {
        let theme = self.wish.theme.as_ref()?;
        let seen = self.wish.thinking || self.terminals.1;
        // Without colours, faint is all there is.
        let faint = ansi::style(theme.style(Role::Muted)).effects(anstyle::Effects::DIMMED);
        let muted = ansi::style(theme.style(Role::Muted));
        seen.then_some(if theme.has_fills() { muted } else { faint })
    }

    /// To standard output if it was asked for, else to standard error.
    fn beside(&self, text: &str) -> anyhow::Result<()> {
        if self.wish.thinking {
            return write(text);
        }
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush()); // nobody looks on any more
        Ok(())
    }
}

/// One token as the JSON object that the README lays down, with the end of its line.
pub fn token_line(index: u32, step: &Step, vocabulary: &Vocabulary) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        r#type: &'static str,
        index: u32,
        #[serde(flatten)]
        step: OneStep<'a>,
    }
    let step = OneStep::new(step, |id| vocabulary.bytes(id));
    let line = serde_json::to_string(&Line { r#type: "token", index, step });
    line.expect("plain data becomes JSON") + "\n"
}

/// A measured time or speed, to a tenth.
pub fn rounded(value: f32) -> Value {
    export::json::number((value * 10.0).round() / 10.0)
}

/// Writes to standard output at once.
///
/// # Errors
/// When it was closed.
pub fn write(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output was closed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Candidate, TokenId, TokenKind};

    #[test]
    fn a_token_line_has_exactly_the_fields_of_the_format() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.push(b" Paris", TokenKind::Normal);
        let step = Step {
            id: Some(TokenId(0)),
            bytes: b" Paris".to_vec(),
            logprob: -0.25,
            rank: 1,
            entropy: 1.5,
            candidates: vec![Candidate { id: TokenId(0), logprob: -0.25 }],
            ..Step::default()
        };
        assert_eq!(
            token_line(3, &step, &vocabulary).trim_end(),
            concat!(
                r#"{"type":"token","index":3,"id":0,"token":" Paris","bytes":[32,80,97,114,105,115],"#,
                r#""logprob":-0.25,"rank":1,"entropy":1.5,"top_logprobs":["#,
                r#"{"id":0,"token":" Paris","bytes":[32,80,97,114,105,115],"logprob":-0.25}]}"#
            )
        );
    }
}
