//! The sampler sandbox: other settings tried on the shown token and on its whole reply, nothing decoded.
//!
//! Invariant: what is tried changes nothing until Enter makes it the chat's; a figure that the kept numbers
//! do not determine is not given.

use std::sync::{Arc, LazyLock};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::look::looks_back;
use crate::app::view::With;
use crate::app::{
    App, ChatView, Display, Inspector, LiveStep, Origin, Outbox, ReplyOdds, Sandbox, Talk, TokenCursor,
    settings,
};
use crate::chat::{Run, RunId};
use crate::command::{Command, Context};
use crate::inspect::chain::{self, Input, Last, Likelihood, Outcome, Reply, StepLikelihood};
use crate::inspect::stages::SamplerTrace;
use crate::sampling::{SAMPLING, Sampling, SamplingOverrides};
use crate::token::{Step, TokenId};

/// The settings that can be tried, in the order of the editor.
pub static SANDBOX_KEYS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let mut tried: Vec<_> = SAMPLING.iter().filter_map(|one| Some((one.about.tried?, one.name))).collect();
    tried.sort_unstable();
    tried.into_iter().map(|(_, name)| name).collect()
});

/// What tried settings make of a token.
enum Tried {
    /// Every column.
    Stages(SamplerTrace),
    /// The last column alone, and why no more.
    Last(Last, String),
}

/// A setting's value as text.
fn value_of(sampling: &Sampling, key: &str) -> String {
    let values = serde_json::to_value(sampling).expect("plain settings become JSON");
    match values.get(key) {
        Some(serde_json::Value::Number(number)) if number.is_f64() => {
            format!("{}", number.as_f64().unwrap_or_default() as f32)
        }
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

impl<'a> Display<'a> {
    /// The run whose token is shown, if it was drawn by that run, and its index there.
    pub fn drawing_run(&self) -> Option<(&'a Run, usize)> {
        let Origin::Written { run, index } = self.view.origin(self.shown_step()?.cursor())? else {
            return None;
        };
        self.view.runs.get(&run).filter(|run| index >= run.taken as usize).map(|run| (run, index))
    }

    /// The settings that are tried on the shown token: those of its run, with what was changed.
    pub fn tried_sampling(&self) -> Option<Sampling> {
        let (run, _) = self.drawing_run()?;
        let mut sampling = run.sampling.clone();
        self.inspector.sandbox.as_ref()?.changed.apply(&mut sampling);
        Some(sampling)
    }

    /// The value that is tried for a setting, as text.
    pub fn tried_value(&self, key: &str) -> String {
        self.tried_sampling().map(|sampling| value_of(&sampling, key)).unwrap_or_default()
    }

    fn selected_key(&self) -> Option<&'static str> {
        SANDBOX_KEYS.get(self.inspector.sandbox.as_ref()?.key).copied()
    }

    /// The shown token's way through the tried settings, or why it cannot be known.
    fn tried(&self) -> Result<Tried, String> {
        let (Some(shown), Some((run, index)), Some(sampling)) =
            (self.shown_step(), self.drawing_run(), self.tried_sampling())
        else {
            return Err("no sampler drew this token".into());
        };
        if run.odds().are_sampled() {
            return Err(
                "these odds are after the server's own samplers, so that no others can be tried on them"
                    .into(),
            );
        }
        let vocabulary = shown.vocabulary.as_ref().and_then(|hash| self.view.vocabularies.get(hash));
        let vocabulary = vocabulary.ok_or("the vocabulary is not there")?;
        let pass = self.view.pass(shown.cursor());
        if pass.is_none() && looks_back(&sampling) {
            return Err("penalties need what was read before, which is not stored".into());
        }
        let read = pass.as_ref().map(|pass| pass.ids.as_slice()).unwrap_or_default();
        let recent = &*chain::looked_back(read, &sampling, vocabulary);
        let biases = chain::biases(&sampling, vocabulary);
        let drawn = shown.step.id.ok_or("the token has no id")?;
        let input = match self.shown_distribution() {
            Some(whole) => Some(Input { recent, ..Input::whole(whole, drawn) }),
            None => Input::kept(&shown.step, vocabulary.len(), recent),
        };
        let mut input = input.ok_or("this step keeps no candidates")?;
        input.index = index as u32;
        input.biases = &biases;
        input.u = self.shown_trace().and_then(|trace| trace.u);
        match chain::run(&input, &sampling) {
            Outcome::Exact(trace) => Ok(Tried::Stages(*trace)),
            Outcome::NotDetermined(why) => match chain::last(&input, &sampling) {
                Ok(last) => Ok(Tried::Last(last, why.to_string())),
                Err(why) => Err(why.to_string()),
            },
        }
    }

    /// How likely the whole reply is under the settings of its run and under the tried ones.
    fn reply_odds(&self, run: RunId, at: TokenCursor) -> Option<ReplyOdds> {
        let record = self.view.runs.get(&run).filter(|run| !run.odds().are_sampled())?;
        let vocabulary = self.view.vocabularies.get(record.vocabulary.as_ref()?)?;
        let tried = self.tried_sampling()?;
        let tokens = self.view.turn_tokens(self.view.chat.turn(at.turn)?);
        let own = |origin: &Origin| matches!(origin, Origin::Written { run: of, .. } if *of == run);
        let places: Vec<usize> = tokens
            .iter()
            .enumerate()
            .filter(|(_, token)| own(&token.origin))
            .map(|(index, _)| index)
            .collect();
        let steps: Vec<Step> = places.iter().map(|index| tokens[*index].step.clone()).collect();
        let prompt: Vec<TokenId> = self.view.prompt_of(run).unwrap_or_default();
        let judged = |sampling: &Sampling| {
            let biases = chain::biases(sampling, vocabulary);
            let reply = Reply {
                prompt: &chain::looked_back(&prompt, sampling, vocabulary),
                steps: &steps,
                taken: record.taken as usize,
                vocabulary: vocabulary.len(),
                biases: &biases,
            };
            chain::reply_likelihood(&reply, sampling)
        };
        if prompt.is_empty() && (looks_back(&tried) || looks_back(&record.sampling)) {
            return None;
        }
        Some(compared(&judged(&record.sampling), &judged(&tried), &steps, &places))
    }
}

impl Inspector {
    /// Opens the editor, with what was tried before.
    pub(crate) fn open_sandbox(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if self.display(view).drawing_run().is_none() {
            out.say("no sampler drew this token; put the cursor on one that the model wrote");
            return;
        }
        self.sandbox.get_or_insert_default().open = true;
    }

    fn step_tried(&mut self, view: ChatView<'_>, direction: f64) {
        let Some(key) = self.display(view).selected_key() else { return };
        let Some(range) = settings::range(&format!("sampling.{key}")) else { return };
        let now: f64 = self.display(view).tried_value(key).parse().unwrap_or_default();
        // Two decimals keep repeated steps from drifting.
        let value = ((now + range.step * direction).clamp(range.least, range.most) * 100.0).round() / 100.0;
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.typed.clear();
        }
        self.try_value(view, &value.to_string());
    }

    /// Tries a value; one that is not complete or not possible yet changes nothing.
    fn try_value(&mut self, view: ChatView<'_>, value: &str) {
        let Some(key) = self.display(view).selected_key() else { return };
        let whole = value.trim_end_matches('.');
        let whole = if whole.starts_with('.') { format!("0{whole}") } else { whole.to_owned() };
        let Some(sandbox) = &mut self.sandbox else { return };
        if let Ok(changed) = settings::put(&sandbox.changed, key, Some(&whole)) {
            sandbox.change(changed);
        }
    }

    fn forget_tried(&mut self, view: ChatView<'_>) {
        let Some(key) = self.display(view).selected_key() else { return };
        let Some(sandbox) = &mut self.sandbox else { return };
        if let Ok(changed) = settings::put(&sandbox.changed, key, None) {
            sandbox.change(changed);
        }
    }

    /// Works out what the tried settings make of the shown token and its reply, if that is not known yet.
    pub(crate) fn sync_sandbox(&mut self, view: ChatView<'_>) {
        let Some(sandbox) = &self.sandbox else { return };
        let Some((run, at)) = self
            .display(view)
            .drawing_run()
            .map(|(run, _)| run.id)
            .zip(self.display(view).shown_step().map(LiveStep::cursor))
        else {
            return;
        };
        let whole = self.display(view).shown_distribution().is_some();
        let known = sandbox.tried.as_ref().is_some_and(|(of, was_whole, _)| *of == at && *was_whole == whole);
        let judged = sandbox.reply.as_ref().is_some_and(|(of, _)| *of == run);
        let tried = (!known).then(|| self.display(view).tried());
        let odds = if judged { None } else { self.display(view).reply_odds(run, at) };
        let Some(sandbox) = &mut self.sandbox else { return };
        if let Some(tried) = tried {
            (sandbox.tried, sandbox.last) = match tried {
                Ok(Tried::Stages(trace)) => (Some((at, whole, Ok(Arc::new(trace)))), None),
                Ok(Tried::Last(last, why)) => (Some((at, whole, Err(why))), Some(last)),
                Err(why) => (Some((at, whole, Err(why))), None),
            };
        }
        if let Some(odds) = odds {
            sandbox.reply = Some((run, odds));
        }
    }
}

impl App {
    /// A key of the sampler station.
    pub(crate) fn sandbox_key(&mut self, key: KeyEvent) -> bool {
        let plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        let Some(sandbox) = self.inspector.sandbox.as_mut().filter(|sandbox| sandbox.open && plain) else {
            return false;
        };
        let count = SANDBOX_KEYS.len();
        let closes = self.keymap.lookup(Context::Sampler, key) == Some(Command::SamplerTry);
        match key.code {
            KeyCode::Down => sandbox.select((sandbox.key + 1) % count),
            KeyCode::Up => sandbox.select((sandbox.key + count - 1) % count),
            KeyCode::Left => self.inspector.step_tried(view!(self), -1.0),
            KeyCode::Right => self.inspector.step_tried(view!(self), 1.0),
            KeyCode::Char(character) if character.is_ascii_digit() || ".-".contains(character) => {
                sandbox.typed.push(character);
                let typed = sandbox.typed.clone();
                self.inspector.try_value(view!(self), &typed);
            }
            KeyCode::Backspace if sandbox.typed.is_empty() => self.inspector.forget_tried(view!(self)),
            KeyCode::Backspace => {
                sandbox.typed.pop();
                let typed = sandbox.typed.clone();
                if typed.is_empty() {
                    self.inspector.forget_tried(view!(self));
                } else {
                    self.inspector.try_value(view!(self), &typed);
                }
            }
            KeyCode::Enter => {
                if let Some(tried) = self.display().tried_sampling() {
                    self.inspector.sandbox = None;
                    self.talk.adopt(with!(self), &mut self.out, &tried);
                }
            }
            code if closes || code == KeyCode::Esc => {
                sandbox.open = false;
                sandbox.typed.clear();
                if sandbox.changed.is_empty() {
                    self.inspector.sandbox = None;
                }
            }
            _ => return false,
        }
        true
    }
}

impl Talk {
    /// Makes what was tried the chat's own settings, where it differs from those in use.
    fn adopt(&mut self, with: With<'_>, out: &mut Outbox, tried: &Sampling) {
        let used = self.view(with).sampling();
        let mut layer = self.chat.settings.sampling.clone();
        let mut adopted = Vec::new();
        for key in SANDBOX_KEYS.iter().copied() {
            let value = value_of(tried, key);
            if value != value_of(&used, key)
                && let Ok(changed) = settings::put(&layer, key, Some(&value))
            {
                layer = changed;
                adopted.push(format!("{key} {value}"));
            }
        }
        self.chat.settings.sampling = layer;
        self.settings_changed(with, out);
        out.say(match adopted.as_slice() {
            [] => "these settings are in use already".to_owned(),
            some => format!("{} in this chat from now on", some.join(", ")),
        });
    }
}

/// Puts the two judgements of one reply side by side; `places` are the steps' indices in their turn.
fn compared(before: &Likelihood, after: &Likelihood, steps: &[Step], places: &[usize]) -> ReplyOdds {
    let mut odds =
        ReplyOdds { tokens: 0, cut: after.cut, open: 0, first_cut: None, logprob: (0.0, 0.0), both: 0 };
    let pairs = before.steps.iter().zip(&after.steps).zip(steps.iter().zip(places));
    for ((before, after), (step, place)) in pairs {
        odds.tokens += usize::from(!matches!(after, StepLikelihood::Taken));
        match (before, after) {
            (_, StepLikelihood::Cut(stage)) => {
                odds.first_cut.get_or_insert_with(|| (*place, step.bytes.clone(), *stage));
            }
            (StepLikelihood::Kept(before), StepLikelihood::Kept(after)) => {
                odds.both += 1;
                odds.logprob.0 += before.ln();
                odds.logprob.1 += after.ln();
            }
            (StepLikelihood::Taken, _) => {}
            _ => odds.open += 1,
        }
    }
    odds
}

impl Sandbox {
    fn select(&mut self, key: usize) {
        self.key = key;
        self.typed.clear();
    }

    /// Takes other settings; what came out of those before is void.
    fn change(&mut self, changed: SamplingOverrides) {
        self.changed = changed;
        self.tried = None;
        self.reply = None;
    }
}
