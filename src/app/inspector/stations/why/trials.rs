//! The why station: which parts it lists, what of them it asks for, and the cards of what was changed.
//!
//! Invariant: a figure of the `off` column is asked for part by part; nothing is asked for that is not listed.

use std::sync::Arc;

use super::state::{Picking, Pin, Source, Trial, Unit};
use crate::app::inspector::stations::{Station, named};
use crate::app::view::With;
use crate::app::{App, ChatView, Display, Inspector, Outbox, Talk, TokenCursor};
use crate::chat::Intervention;
use crate::engine::protocol::{Inspect, Inspected, Patch, Want, site, switched_off};
use crate::inspect::trace::{Attribution, AttributionPart, Component};
use crate::token::TokenId;

/// Parts that the station lists.
const PARTS: usize = 10;
/// Cards that can be pinned.
const PINS: usize = 6;
/// Changes that can be taken back.
const STEPS: usize = 32;

impl<'a> Display<'a> {
    fn attribution(&self) -> Option<&'a Attribution> {
        self.shown_inside()?.trace.attribution.as_ref()
    }

    /// The parts that pushed the token on display most, for or against, strongest first.
    pub fn ranked_parts(&self) -> Vec<AttributionPart> {
        let Some(attribution) = self.attribution() else { return Vec::new() };
        let mut parts = match self.inspector.why.unit {
            Unit::Blocks => attribution.parts.clone(),
            Unit::Heads => attribution.heads.clone(),
            Unit::Neurons => attribution.neurons.clone(),
        };
        parts.sort_by(|a, b| b.logit_difference.abs().total_cmp(&a.logit_difference.abs()));
        parts.truncate(PARTS);
        parts
    }

    /// The pass on display with what is tried on it.
    pub fn shown_card(&self) -> Option<&'a Arc<Inspected>> {
        let tried = &self.inspector.why.tried;
        self.inside_pass()?.cards.iter().find(|(of, _)| of == tried).map(|(_, card)| card)
    }

    /// ln p of the token on display with that part alone off at the pass's own position, where it has been asked.
    pub fn off_logprob(&self, part: Component) -> Option<f32> {
        let pass = self.inside_pass()?;
        let asked = pass.seen.off.iter().find(|(of, _)| *of == part).map(|(_, followed)| followed);
        let card = || {
            let card = pass.cards.iter().find(|(tried, _)| tried.is_off_alone(part));
            card.map(|(_, card)| &card.trace.followed)
        };
        asked.or_else(card)?.first().map(|chosen| chosen.logprob)
    }

    /// What the station lacks of a pass, given what it is held against.
    pub(crate) fn why_wanted(&self, ids: Vec<TokenId>, follow: Vec<TokenId>) -> Option<Inspect> {
        let [token, rival] = follow.get(..2)?.try_into().ok()?;
        let want = Want { follow, ..Want::default() };
        let known = self.attribution().filter(|known| (known.token, known.rival) == (token, rival));
        let neurons = self.inspector.why.unit == Unit::Neurons;
        if known.is_none_or(|known| neurons && known.neurons.is_empty()) {
            let pushing_neurons = if neurons { PARTS as u32 } else { 0 };
            let want = Want { attribution: Some((token, rival)), pushing_neurons, ..want };
            return Some(Inspect { ids, want, ..Inspect::default() });
        }
        let tried = &self.inspector.why.tried;
        if !tried.is_empty() && self.shown_card().is_none() {
            let patches = tried.patches.iter().map(|(part, source)| Patch {
                part: *part,
                position: source.position,
                text: source.text.clone(),
            });
            return Some(Inspect {
                ids,
                ablations: tried.off.iter().filter_map(|part| switched_off(*part)).collect(),
                everywhere: tried.everywhere,
                patches: patches.collect(),
                want,
                ..Inspect::default()
            });
        }
        let off = if self.inspector.why.asks_off { self.without_off() } else { Vec::new() };
        (!off.is_empty()).then(|| Inspect { ids, want: Want { off, ..want }, ..Inspect::default() })
    }

    /// Listed parts whose `off` figure is not known.
    fn without_off(&self) -> Vec<Component> {
        let parts = self.ranked_parts().into_iter().map(|part| part.part);
        parts.filter(|part| switched_off(*part).is_some() && self.off_logprob(*part).is_none()).collect()
    }

    /// What one token took in the last reply, ms.
    fn decode_ms(&self) -> Option<f32> {
        let timings =
            self.run_on_display().and_then(|run| self.view.runs.get(&run)).map(|run| run.timings)?;
        (timings.tokens_per_second > 0.0).then(|| 1000.0 / timings.tokens_per_second)
    }

    fn run_on_display(&self) -> Option<crate::chat::RunId> {
        self.view.run_at(self.shown_step()?.cursor())
    }

    /// What is tried, in words: `L23 head 4 off at this position only`.
    pub fn tried_in_words(&self) -> String {
        in_words(&self.inspector.why.tried, true)
    }

    /// What was read before the replies to other versions of the message that was answered.
    fn other_texts(&self) -> Vec<Vec<TokenId>> {
        let at = self.shown_step().map(crate::app::LiveStep::cursor);
        let Some(asked) = at.and_then(|at| self.view.chat.turn(at.turn)).and_then(|turn| turn.parent) else {
            return Vec::new();
        };
        let others = self.view.chat.versions(asked).into_iter().filter(|version| *version != asked);
        let read = |version| {
            let replies = self.view.chat.turns.iter().filter(move |turn| turn.parent == Some(version));
            let first = replies.into_iter().find(|turn| turn.steps().next().is_some())?;
            let pass = self.view.run_at(TokenCursor { turn: first.id, index: 0 })?;
            self.view.prompt_of(pass).filter(|ids| !ids.is_empty() && self.view.can_read_again(pass))
        };
        others.filter_map(read).collect()
    }

    /// The position of the pass on display.
    fn last_position(&self) -> Option<u32> {
        let pass = self.view.pass(self.shown_step()?.cursor())?;
        let own = u32::from(self.own_pass());
        Some((pass.ids.len() as u32 + own).saturating_sub(1))
    }

    /// The text that a patch's source is chosen from, and the position that is chosen.
    pub fn source_text(&self, source: &Source) -> Option<Vec<TokenId>> {
        if !source.text.is_empty() {
            return Some(source.text.clone());
        }
        let pass = self.view.pass(self.shown_step()?.cursor())?;
        let mut ids = pass.ids.to_vec();
        ids.extend(Some(pass.chosen).filter(|_| self.own_pass()));
        Some(ids)
    }
}

impl Inspector {
    /// Asks for the `off` column of all listed parts, or leaves it to what is asked one by one.
    pub(crate) fn ask_off(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        self.why.asks_off = !self.why.asks_off;
        let (asks, count) = (self.why.asks_off, self.display(view).without_off().len());
        let price =
            self.display(view).decode_ms().map(|ms| format!(", about {:.2} s", ms * count as f32 / 1000.0));
        out.say(if !asks {
            "off is asked for one part at a time".to_owned()
        } else if count == 0 {
            "off is asked for whatever is listed".to_owned()
        } else {
            format!("{count} parts are switched off one by one: {count} decodes{}", price.unwrap_or_default())
        });
    }

    /// Other parts: blocks, heads, single neurons.
    pub(crate) fn next_unit(&mut self) {
        let inside = &mut self.inside;
        self.why.unit = self.why.unit.next();
        inside.row = 0;
    }

    /// Changes what is tried, so that it can be taken back.
    pub(crate) fn try_out(&mut self, change: impl FnOnce(&mut Trial)) {
        let before = self.why.tried.clone();
        change(&mut self.why.tried);
        self.why.before.push(before);
        let surplus = self.why.before.len().saturating_sub(STEPS);
        self.why.before.drain(..surplus);
    }

    /// Takes the last change of what is tried back.
    pub(crate) fn undo_change(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        match self.why.before.pop() {
            Some(before) => self.why.tried = before,
            None if !self.why.tried.is_empty() => self.why.tried = Trial::default(),
            None => return out.say("nothing is changed here"),
        }
        let said = self.display(view).tried_in_words();
        out.say(if said.is_empty() { "the network as it is".to_owned() } else { said });
    }

    /// Pins the card on display, or takes its pin away.
    pub(crate) fn pin(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(seen) = self.display(view).shown_card().cloned() else {
            return out.say("x or p changes something first; this keeps what came of it");
        };
        let tried = self.why.tried.clone();
        let before = self.why.pins.len();
        self.why.pins.retain(|pin| !(pin.tried == tried && Arc::ptr_eq(&pin.seen, &seen)));
        if self.why.pins.len() < before {
            return out.say("no longer pinned");
        }
        self.why.pins.push(Pin { tried, seen });
        let surplus = self.why.pins.len().saturating_sub(PINS);
        self.why.pins.drain(..surplus);
        out.say("pinned: it stays while you try something else");
    }

    fn apply_patch(&mut self) {
        let Some(Picking { part, source }) = self.why.picking.take() else { return };
        self.try_out(|tried| {
            tried.off.remove(&part);
            tried.patches.insert(part, source);
        });
    }

    /// Moves the source of a patch along its text.
    pub(crate) fn move_source(&mut self, view: ChatView<'_>, by: i32) {
        let Some(own) = self.display(view).last_position() else { return };
        let Some(picking) = &mut self.why.picking else { return };
        let source = &mut picking.source;
        let last = if source.text.is_empty() { own } else { (source.text.len() as u32).saturating_sub(1) };
        source.position = source.position.saturating_add_signed(by).min(last);
    }

    /// The source is the text of another version of the message that was answered, or the pass's own again.
    pub(crate) fn other_text(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        let Some(picking) = &self.why.picking else { return };
        let texts = self.display(view).other_texts();
        let now = texts.iter().position(|text| *text == picking.source.text);
        let next = now.map_or(0, |now| now + 1);
        let Some(own) = self.display(view).last_position() else { return };
        let text = texts.into_iter().nth(next).unwrap_or_default();
        if text.is_empty() && now.is_none() {
            return out.say("the message has no other version that was answered; e edits it into one");
        }
        let position = if text.is_empty() { own } else { text.len() as u32 - 1 };
        if let Some(picking) = &mut self.why.picking {
            picking.source = Source { position, text };
        }
    }
}

impl App {
    /// Opens the selected part at the station that shows it.
    pub(crate) fn open_part(&mut self, station: Station) {
        let (layer, head) = match self.display().selected_part() {
            Some(Component::Head(layer, head)) => (Some(layer), Some(head)),
            Some(
                Component::Attention(layer)
                | Component::Ffn(layer)
                | Component::Neuron(layer, _)
                | Component::Stream(layer)
                | Component::AttentionBias(layer),
            ) => (Some(layer), None),
            Some(Component::Embedding | Component::NormBias | Component::OutputBias) | None => (None, None),
        };
        self.open_at(station, layer, head);
    }
}

impl Inspector {
    /// Keeps what is switched off for this chat's replies, or switches it on again.
    pub(crate) fn keep_off(&self, talk: &mut Talk, with: With<'_>, out: &mut Outbox) {
        let off = &self.why.tried.off;
        let chosen: Vec<Intervention> = off.iter().filter_map(|part| switched_off(*part)).collect();
        let stays = |change: &&Intervention| change.steering().is_some() || change.adapter().is_some();
        let now = &talk.chat.settings.interventions;
        let others: Vec<Intervention> = now.iter().filter(stays).cloned().collect();
        let kept: Vec<Intervention> = now.iter().filter(|change| !stays(change)).cloned().collect();
        if chosen.is_empty() && kept.is_empty() {
            return out.say("x switches a part off first; this keeps it off in this chat");
        }
        let kept = if kept == chosen { Vec::new() } else { chosen };
        let count = kept.len();
        talk.chat.settings.interventions = kept.into_iter().chain(others).collect();
        talk.put_conversation(with, out, talk.chat.head.id);
        out.say(match count {
            0 => "no part is kept off in this chat any more".to_owned(),
            1 => "1 part stays off in this chat's replies".to_owned(),
            count => format!("{count} parts stay off in this chat's replies"),
        });
    }

    /// Switches the selected part off or on again, in the pass's own position or everywhere.
    pub(crate) fn switch_off(&mut self, view: ChatView<'_>, out: &mut Outbox, everywhere: bool) {
        let Some(part) = self.display(view).selected_part() else {
            return out.say("a part is switched off in the stations why, attention and ffn");
        };
        if switched_off(part).is_none() {
            return out.warn("the embedding stays: without it nothing is read");
        }
        let tried = &self.why.tried;
        let off = !(tried.off.contains(&part) && tried.everywhere == everywhere);
        self.try_out(|tried| {
            tried.everywhere = everywhere;
            tried.patches.remove(&part);
            if off {
                tried.off.insert(part);
            } else {
                tried.off.remove(&part);
            }
        });
        let name = named(part);
        let place = if everywhere { "at every position" } else { "at this position" };
        let why = self.station != Station::Why;
        let next = if why { "; the why station shows what that changes" } else { "" };
        out.say(if off { format!("{name} off {place}{next}") } else { format!("{name} on again") });
    }

    /// Begins to choose where the selected part is patched from, or applies the choice.
    pub(crate) fn patch(&mut self, view: ChatView<'_>, out: &mut Outbox) {
        if self.why.picking.is_some() {
            return self.apply_patch();
        }
        let Some(part) = self.display(view).selected_part().filter(|_| self.station == Station::Why) else {
            return out.say("a part is patched in the why station");
        };
        if self.why.tried.patches.contains_key(&part) {
            self.try_out(|tried| drop(tried.patches.remove(&part)));
            return out.say(format!("{} gives its own again", named(part)));
        }
        if site(part).is_none() {
            return out.warn("the embedding cannot be patched: change the text instead");
        }
        let Some(last) = self.display(view).last_position() else {
            return out.say("what the model had read is not stored");
        };
        let source = Source { position: last.saturating_sub(1), text: Vec::new() };
        self.why.picking = Some(Picking { part, source });
    }

    /// The part to be patched: the selected one, or the stream after its block.
    pub(crate) fn other_patch(&mut self, view: ChatView<'_>) {
        let Some(picking) = &mut self.why.picking else { return };
        let selected = match picking.part {
            Component::Stream(_) => self.display(view).selected_part(),
            Component::Embedding | Component::NormBias | Component::OutputBias => None,
            Component::Attention(layer)
            | Component::AttentionBias(layer)
            | Component::Head(layer, _)
            | Component::Ffn(layer)
            | Component::Neuron(layer, _) => Some(Component::Stream(layer)),
        };
        if let (Some(picking), Some(part)) = (&mut self.why.picking, selected) {
            picking.part = part;
        }
    }
}

/// What is tried, in words; `full` where there is room for whole ones.
pub fn in_words(tried: &Trial, full: bool) -> String {
    let mut said = Vec::new();
    if !tried.off.is_empty() {
        let names: Vec<String> = tried.off.iter().map(|part| named(*part)).collect();
        let place = match (tried.everywhere, full) {
            (true, true) => "at every position",
            (true, false) => "everywhere",
            (false, true) => "at this position only",
            (false, false) => "here",
        };
        said.push(format!("{} off {place}", names.join(", ")));
    }
    for (part, source) in &tried.patches {
        let of = if source.text.is_empty() { "" } else { " of the other version" };
        said.push(format!("{} from position {}{of}", named(*part), source.position));
    }
    said.join("; ")
}
