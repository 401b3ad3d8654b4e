//! What the tour says in figures, each read from the pass on display.
//!
//! Invariant: a sentence comes back only if what it says holds; else the step stays with its plain one.

use super::{Act, HEAD, STEPS, Tour};
use crate::app::{ChatView, Display, ModelState, ModelStatus};
use crate::command::Command;
use crate::inspect::trace::{Attribution, Component, ForwardTrace, HeadRow, LensRow};
use crate::token::{Candidate, TokenId};

/// The built-in model whose figures the tour's sentences were written for.
const KNOWN: &str = "smollm2-135m-instruct";
/// Capitals that the model falls back on without the head.
const CAPITALS: [&str; 5] = [" London", " Tokyo", " Madrid", " Berlin", " Rome"];
/// A token at a lower place than this is nowhere.
const NOWHERE: u32 = 500;

impl<'a> Display<'a> {
    /// The head that the tour switches off: the known one, else the one that pushed the word most.
    pub(in crate::app) fn tour_head(&self) -> Option<(u32, u32)> {
        let attribution = self.tour_trace()?.attribution.as_ref()?;
        if self.view.model.is_toured() && head_push(attribution, HEAD).is_some() {
            return Some(HEAD);
        }
        let heads = attribution.heads.iter().filter(|part| part.logit_difference > 0.0);
        let strongest = heads.max_by(|a, b| a.logit_difference.total_cmp(&b.logit_difference))?;
        match strongest.part {
            Component::Head(layer, head) => Some((layer, head)),
            _ => None,
        }
    }

    fn tour_trace(&self) -> Option<&'a ForwardTrace> {
        self.shown_inside().map(|seen| &seen.trace)
    }

    /// That this model has no such part, where it has none.
    fn tour_lacks(&self, act: Act) -> Option<String> {
        let missing = &self.tour_trace()?.missing;
        if act != Act::Show && self.tour_head().is_none() {
            let known = self.tour_trace()?.attribution.is_some();
            return known.then(|| "No head pushed this word, so none is switched off.".to_owned());
        }
        missing.first().map(|missing| format!("This model does not show all of it: {missing}."))
    }

    /// A token as the tour spells it.
    fn tour_token(&self, id: TokenId) -> Option<String> {
        Some(spelt(&self.tour_bytes(id)?))
    }

    fn tour_bytes(&self, id: TokenId) -> Option<Vec<u8>> {
        let vocabulary = self.view.vocabularies.get(self.shown_step()?.vocabulary.as_ref()?)?;
        vocabulary.bytes(id).map(<[u8]>::to_vec)
    }

    fn is_token(&self, id: TokenId, text: &str) -> bool {
        self.tour_bytes(id).as_deref() == Some(text.as_bytes())
    }

    /// The word of the tour, spelt.
    fn tour_word(&self) -> Option<String> {
        self.tour_token(self.shown_step()?.step.id?)
    }
}

impl ModelState {
    /// Whether this is the model that the tour's sentences speak of.
    pub(in crate::app) fn is_toured(&self) -> bool {
        self.name == KNOWN
    }

    fn tour_fetches(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let Some(fetch) = self.fetch() else { return "The model is being fetched.".to_owned() };
        let row = fetch.stages.iter().find(|(stage, ..)| *stage == fetch.stage);
        match row {
            Some((_, done, all)) if *all > 0 => {
                format!("The model is being fetched, once: {:.0} of {:.0} MiB.", mib(*done), mib(*all))
            }
            _ => "The model is being fetched, once.".to_owned(),
        }
    }
}

impl Tour {
    /// What the tour says now: what it waits for, or the step's sentence and what its figures bear out.
    pub fn words(&self, display: Display<'_>) -> String {
        let step = &STEPS[self.at];
        let said = match self.waits(display.view) {
            Some(waits) => Some(waits),
            None if display.view.model.is_toured() => (step.claim)(display),
            None => None,
        };
        match said.or_else(|| display.tour_lacks(step.act)) {
            Some(said) => format!("{} {said}", step.plain),
            None => step.plain.to_owned(),
        }
    }

    /// What must be there first, in a sentence.
    fn waits(&self, view: ChatView<'_>) -> Option<String> {
        let name = || view.config.model_title(&view.model.name);
        let key = view.keymap.shown(Command::Reload);
        match &view.model.status {
            ModelStatus::Ready(_) => {}
            ModelStatus::Loading(done) => {
                return Some(format!("{} is being loaded: {:.0} %.", name(), done * 100.0));
            }
            ModelStatus::Fetching => return Some(view.model.tour_fetches()),
            ModelStatus::Failed { message, .. } => return Some(format!("{message} ({key} tries again)")),
            ModelStatus::None | ModelStatus::Unloaded => return Some("The model is being started.".into()),
        }
        if view.run.is_some() {
            return Some("The model is reading it.".to_owned());
        }
        let turn = view.chat.turn(self.text).filter(|_| self.asked)?;
        let nothing = turn.steps().next().is_none();
        nothing.then(|| "The model wrote nothing here, so there is no word to open.".to_owned())
    }
}

fn spelt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(' ', "␣").replace('\n', "↵")
}

/// A share in whole percent.
fn percent(share: f32) -> String {
    format!("{:.0}\u{a0}%", share * 100.0)
}

/// `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `49 152`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join("\u{a0}")
}

fn head_push(attribution: &Attribution, (layer, head): (u32, u32)) -> Option<f32> {
    let part = Component::Head(layer, head);
    attribution.heads.iter().find(|push| push.part == part).map(|push| push.logit_difference)
}

/// Three in four, and what else it could have been.
pub(super) fn softmax(display: Display<'_>) -> Option<String> {
    let step = &display.shown_step()?.step;
    let share = step.logprob.exp();
    if step.rank != 1 || !(0.7..0.8).contains(&share) {
        return None;
    }
    let others = step.candidates.iter().filter(|c| Some(c.id) != step.id).take(3);
    let others: Option<Vec<String>> = others.map(|c| display.tour_token(c.id)).collect();
    Some(format!(
        "{} gets {}: three in four. {} could have come too.",
        display.tour_word()?,
        percent(share),
        listed(&others?)
    ))
}

/// So many become so few, then the draw.
pub(super) fn sampler(display: Display<'_>) -> Option<String> {
    let trace = display.shown_trace()?;
    let left = trace.stages.last()?.left;
    let (from, to) = trace.interval?;
    if left == 0 || !(from..to).contains(&trace.u?) {
        return None;
    }
    Some(format!(
        "{} tokens become {left}, then the random number u = {:.2} falls on {}.",
        grouped(trace.vocabulary.into()),
        trace.u?,
        display.tour_token(trace.drawn)?
    ))
}

/// One piece, one number.
pub(super) fn tokens(display: Display<'_>) -> Option<String> {
    let id = display.shown_step()?.step.id?;
    let (text, range) = display.word_on_display()?;
    let vocabulary = display.view.vocabularies.get(display.shown_step()?.vocabulary.as_ref()?)?;
    let whole = range.len() == 1 && vocabulary.bytes(id) == Some(text.as_bytes());
    whole.then(|| {
        let of = grouped(vocabulary.len() as u64);
        format!("{} is common enough to be one piece: number {} of {of}.", spelt(text.as_bytes()), id.0)
    })
}

/// The nearest other words.
pub(super) fn embedding(display: Display<'_>) -> Option<String> {
    let facts = display.shown_embedding()?;
    let bytes = display.tour_bytes(display.shown_step()?.step.id?)?;
    let own = String::from_utf8_lossy(&bytes).trim().to_lowercase();
    let other = |(id, cosine): &(TokenId, f32)| {
        let bytes = display.tour_bytes(*id)?;
        let text = String::from_utf8_lossy(&bytes);
        (text.starts_with(' ') && text.trim().to_lowercase() != own).then(|| (spelt(&bytes), *cosine))
    };
    let near: Vec<(String, f32)> = facts.neighbours.iter().filter_map(other).take(3).collect();
    let least = near.last()?.1;
    if near.len() < 3 || least < 0.4 {
        return None;
    }
    let words: Vec<String> = near.into_iter().map(|(word, _)| word).collect();
    Some(format!("Nearest to {} are {}, before a word of context is read.", spelt(&bytes), listed(&words)))
}

/// The fastest and the slowest hand.
pub(super) fn position(display: Display<'_>) -> Option<String> {
    let rotation = display.tour_trace()?.rotation.as_ref()?;
    let (first, last) = (rotation.frequencies.first()?, rotation.frequencies.last()?);
    let context = display.view.ready()?.context;
    let whole = last.to_degrees() * context as f32;
    (*first > 0.5 && whole < 90.0).then(|| {
        format!(
            "Of {} hands the fastest turns {:.0} degrees a token, the slowest {whole:.0} in all {}.",
            rotation.frequencies.len(),
            first.to_degrees(),
            grouped(context.into())
        )
    })
}

/// Nowhere for most of the stack, first only at the end.
pub(super) fn layers(display: Display<'_>) -> Option<String> {
    let lens = display.tour_trace()?.lens.as_ref()?;
    let rank = |row: &LensRow| row.followed.first().map(|followed| followed.rank);
    let rows: Option<Vec<(u32, u32)>> = lens
        .rows
        .iter()
        .filter_map(|row| row.layer.map(|layer| rank(row).map(|rank| (layer, rank))))
        .collect();
    let rows = rows?;
    let (last, _) = *rows.last()?;
    let seen = rows.iter().rposition(|(_, rank)| *rank > NOWHERE)? + 1;
    let (layer, _) = *rows.get(seen)?;
    let best_before = rows[..seen].iter().map(|(_, rank)| *rank).min()?;
    if lens.decided != Some(last) || best_before <= NOWHERE || u32::try_from(seen).ok()? < last / 2 {
        return None;
    }
    Some(format!(
        "{} is nowhere until layer {layer} and first only in the last, {last}.",
        display.tour_word()?
    ))
}

/// One head reads the country.
pub(super) fn attention(display: Display<'_>) -> Option<String> {
    let (layer, head) = HEAD;
    let attention = display.tour_trace()?.attention.as_ref()?;
    let opened = attention.layers.iter().find(|opened| opened.layer == layer)?;
    let (at, weight) = strongest(opened.heads.get(head as usize)?)?;
    let pass = display.view.pass(display.shown_step()?.cursor())?;
    let read = *pass.ids.get(at)?;
    if weight < 0.85 || !display.is_token(read, " France") {
        return None;
    }
    let tenths = (weight * 10.0).round();
    Some(format!(
        "Head {head} of layer {layer} reads {} with {tenths:.0} tenths of its weight.",
        display.tour_token(read)?
    ))
}

fn strongest(row: &HeadRow) -> Option<(usize, f32)> {
    row.weights.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The neuron that answers to capitals.
pub(super) fn ffn(display: Display<'_>) -> Option<String> {
    let opened = display.shown_inside()?.ffns.iter().find(|ffn| ffn.layer == display.opened_layer())?;
    let neuron = opened.neurons.first()?;
    let about = neuron.promotes.iter().find_map(|(id, _)| {
        let word = display.tour_token(*id)?;
        word.to_lowercase().contains("capital").then_some(word)
    })?;
    Some(format!(
        "The one of layer {} that writes most, neuron {}, pushes toward {about}.",
        opened.layer, neuron.index
    ))
}

/// The head's own push.
pub(super) fn why(display: Display<'_>) -> Option<String> {
    let attribution = display.tour_trace()?.attribution.as_ref()?;
    let push = head_push(attribution, HEAD)?;
    let (layer, head) = HEAD;
    let most = attribution.heads.iter().all(|other| other.logit_difference <= push);
    (push > 0.0 && most).then(|| {
        format!(
            "Of all heads, head {head} of layer {layer} pushed most: +{push:.1} logits. x switches it off."
        )
    })
}

/// Still a capital, no longer France's.
pub(super) fn switched_off(display: Display<'_>) -> Option<String> {
    let trace = &display.shown_card()?.trace;
    let (likely_before, followed_before) = trace.original.as_ref()?;
    let before = followed_before.first()?.logprob.exp();
    let after = trace.followed.first()?.logprob.exp();
    if before - after < 0.3 {
        return None;
    }
    let rose: Vec<String> =
        CAPITALS.iter().filter_map(|capital| rises(display, capital, &trace.next, likely_before)).collect();
    let change = format!("{} becomes {}", percent(before), percent(after));
    if rose.len() < 3 {
        return Some(format!("{change} for {}.", display.tour_word()?));
    }
    Some(format!("{change}, and {} rise: still a capital, no longer France's.", listed(&rose)))
}

/// A word that is likelier now than it was, spelt.
fn rises(display: Display<'_>, word: &str, now: &[Candidate], then: &[Candidate]) -> Option<String> {
    let of = |list: &[Candidate]| list.iter().find(|c| display.is_token(c.id, word)).map(|c| c.logprob);
    let least_then = then.last()?.logprob;
    let after = of(now)?;
    (after > of(then).unwrap_or(least_then)).then(|| spelt(word.as_bytes()))
}
