//! Steering (Turner et al. 2023): the panel that finds a direction between two texts, tries it, and keeps it.
//!
//! Invariant: what is kept stands in the chat's settings with its direction, so it outlives the panel and the app; the
//! panel asks for one thing at a time, and the newest wish cancels the one before.

use std::sync::Arc;

use crate::app::missing::NOT_STORED;
use crate::app::requests::Answer;
use crate::app::view::With;
use crate::app::{
    App, ChatView, Display, Inspector, LineEdit, Outbox, Preview, Steer, SteerField, SteerPanel, SteerWish,
    Talk,
};
use crate::chat::{Intervention, Steering};
use crate::engine::protocol::{
    Direction, Distance, Event, Immediate, Inspect, Inspection, Job, Request, RequestId,
};
use crate::inspect::direction;

/// Most of a message that is taken as a text, characters.
const TEXT: usize = 1_000;
/// Which of the random directions is the yardstick: the same one always, so that figures can be compared.
const SEED: u64 = 1;

impl Steer {
    /// The engine answered the panel.
    pub(crate) fn steer_event(&mut self, id: RequestId, event: Event) {
        let steer = self;
        let Some(Answer::Whole(wish, event)) = steer.asking.event(id, event) else { return };
        match (event, wish) {
            (Event::Tokenized { tokens }, SteerWish::Cut(text)) => {
                let ids = tokens.into_iter().map(|(id, _)| id).collect();
                steer.texts.retain(|(known, _)| [&steer.towards.text, &steer.away.text].contains(&known));
                steer.texts.push((text, ids));
            }
            (Event::Directed(found), SteerWish::Direct(direction)) => {
                steer.found = Some((direction, Arc::from(found)));
            }
            (Event::Inspected(seen), SteerWish::Preview(of)) => {
                steer.preview = Some((of, Arc::from(seen)));
            }
            (Event::Inspected(seen), SteerWish::Yardstick(of)) => {
                steer.yardstick = seen.trace.kl_from_original.map(|kl| (of, kl));
            }
            _ => {}
        }
    }

    pub(in crate::app) fn steer_field(&mut self, by: usize) {
        const FIELDS: [SteerField; 4] =
            [SteerField::Towards, SteerField::Away, SteerField::Layer, SteerField::Strength];
        let field = &mut self.field;
        let now = FIELDS.iter().position(|one| one == field).unwrap_or(0);
        *field = FIELDS[(now + by) % FIELDS.len()];
    }

    pub(in crate::app) fn swap_texts(&mut self) {
        let Self { towards, away, .. } = self;
        std::mem::swap(towards, away);
    }

    /// The twin told how far a token of the reply lies from the plain network's.
    pub(crate) fn twin_told(&mut self, index: u32, unchanged: Distance) {
        let steer = self;
        let index = index as usize;
        if index < steer.kls.len() {
            steer.kls.clear();
        }
        steer.kls.resize(index, None);
        steer.kls.push(unchanged.kl);
        steer.twin_ms = unchanged.ms;
    }

    /// Mean distance of the newest steered reply from the plain network, nats a token, and how many tokens were measured.
    pub fn steered_kl(&self) -> Option<(f32, usize)> {
        let told: Vec<f32> = self.kls.iter().flatten().copied().collect();
        (!told.is_empty()).then(|| (told.iter().sum::<f32>() / told.len() as f32, told.len()))
    }
}

impl<'a> Display<'a> {
    /// What the panel lacks next, where it is open.
    fn steer_wish(&self) -> Option<SteerWish> {
        let steer = &self.inspector.steer;
        if self.view.run.is_some() || self.view.ready().is_none() {
            return None;
        }
        if self.kept_push().is_none() {
            for text in [&steer.towards.text, &steer.away.text] {
                if text.trim().is_empty() {
                    return None;
                }
                if !steer.texts.iter().any(|(known, _)| known == text) {
                    return Some(SteerWish::Cut(text.clone()));
                }
            }
            let direction = self.steer_direction()?;
            if steer.found.as_ref().is_none_or(|(known, _)| *known != direction) {
                return Some(SteerWish::Direct(direction));
            }
        }
        let preview = self.steer_preview().filter(|_| steer.percent != 0)?;
        if steer.preview.as_ref().is_none_or(|(known, _)| *known != preview) {
            return Some(SteerWish::Preview(preview));
        }
        let known = steer.yardstick.as_ref().is_some_and(|(known, _)| *known == preview);
        (!known).then_some(SteerWish::Yardstick(preview))
    }

    /// Why the loaded model cannot tell what the panel lacks, if it was asked.
    pub fn steer_refused(&self) -> Option<&'a str> {
        self.inspector.steer.asking.refusal(&self.steer_wish()?)
    }
}

impl Inspector {
    /// Brings what is asked of the engine in line with what the panel shows, while it is open.
    pub(crate) fn sync_steer(&mut self, view: ChatView<'_>, out: &mut Outbox, open: bool) {
        self.steer.forget_other_loads(out.requests.engine());
        let wish = self.display(view).steer_wish().filter(|_| open);
        let mut asking = std::mem::take(&mut self.steer.asking);
        asking.follow(wish, &mut out.requests, |wish| self.display(view).steer_request(wish));
        self.steer.asking = asking;
    }
}

impl App {
    /// Opens the panel. The selected message goes into the first text that is empty, so two openings take two messages.
    pub(crate) fn open_steer(&mut self) {
        if self.view().ready().is_none() {
            return self.out.say("steering needs a loaded model");
        }
        let kept = self.display().kept_push().map(|push| (push.layers.first().copied(), push.strength));
        if let Some((layer, strength)) = kept {
            self.inspector.steer.layer = layer;
            self.inspector.steer.percent = (strength * 100.0).round() as i32;
        }
        let selected = self.transcript.selected.and_then(|id| self.talk.chat.turn(id));
        let text = selected.map(|turn| crate::chat::whole_text(&self.talk.chat.bytes(turn), false));
        let steer = &mut self.inspector.steer;
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            let text: String =
                text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TEXT).collect();
            if steer.towards.text.is_empty() {
                steer.towards = LineEdit::new(text);
                self.out.say("towards this message; select another and open this again for the other text");
            } else if steer.away.text.is_empty() && steer.towards.text != text {
                steer.away = LineEdit::new(text);
            }
        }
        if self.overlays.find::<SteerPanel>().is_none() {
            self.overlays.push(SteerPanel);
        }
    }

    /// Steers this chat's replies from now on.
    pub(in crate::app) fn keep_steering(&mut self) {
        let Some(push) = self.display().push() else {
            return self.out.say("two texts give the direction first");
        };
        if push.strength == 0.0 {
            return self.out.say("the strength is 0: ↓ to it, then → pushes towards the first text");
        }
        let said = format!(
            "replies are steered at {} of ‖h‖ after L{}",
            push.strength,
            self.display().steer_layer()
        );
        let settings = &mut self.talk.chat.settings;
        let first = settings.interventions.iter().all(|change| change.steering().is_none());
        settings.interventions.retain(|change| change.steering().is_none());
        settings.interventions.push(Intervention::Steer(push));
        settings.twin |= first;
        self.inspector.steer.kls.clear();
        self.talk.put_conversation(with!(self), &mut self.out, self.talk.chat.head.id);
        self.close_overlay();
        self.out.say(format!("{said}; the chat is read again under it, /steer-off ends it"));
    }
}

impl Talk {
    /// The twin reads along, or no longer.
    pub(in crate::app) fn toggle_twin(&mut self, with: With<'_>, out: &mut Outbox) {
        let twin = &mut self.chat.settings.twin;
        *twin = !*twin;
        let said = if *twin {
            "a twin reads along unsteered: each token is computed twice"
        } else {
            "no twin: how far the steered network goes is not measured"
        };
        self.put_conversation(with, out, self.chat.head.id);
        out.say(said);
    }

    /// Ends steering in this chat.
    pub(crate) fn steer_off(&mut self, with: With<'_>, out: &mut Outbox) {
        if self.view(with).steering().is_none() {
            return out.say("this chat is not steered");
        }
        self.chat.settings.interventions.retain(|change| change.steering().is_none());
        self.put_conversation(with, out, self.chat.head.id);
        out.say(if self.run.is_some() {
            "the next reply is not steered any more; this one goes on as it began"
        } else {
            "this chat is not steered any more"
        });
    }
}

impl<'a> Display<'a> {
    /// The block that is pushed: as chosen, else the middle one.
    pub fn steer_layer(&self) -> u32 {
        let layers = self.view.ready().map_or(1, |loaded| loaded.facts.layers).max(1);
        self.inspector.steer.layer.unwrap_or(layers / 2).min(layers - 1)
    }

    /// What steers this chat, where the panel has no texts of its own (after a restart): its direction stays in use.
    pub fn kept_push(&self) -> Option<&'a Steering> {
        let steer = &self.inspector.steer;
        self.view.steering().filter(|_| steer.towards.text.is_empty() && steer.away.text.is_empty())
    }

    /// What the panel would push with, where its direction is known.
    pub(super) fn push(&self) -> Option<Steering> {
        let steer = &self.inspector.steer;
        if let Some(kept) = self.kept_push() {
            let layers = vec![self.steer_layer()];
            let strength = steer.strength();
            // The length of the stream was measured after the block that was pushed then.
            let stream = if kept.layers == layers { kept.stream } else { 0.0 };
            return Some(Steering { layers, strength, first_position: false, stream, ..kept.clone() });
        }
        let (request, found) = steer.found.as_ref()?;
        (Some(request) == self.steer_direction().as_ref()).then(|| Steering {
            name: steer.name(),
            layers: vec![request.layer],
            strength: steer.strength(),
            direction: found.direction.clone(),
            first_position: false,
            stream: found.stream,
        })
    }

    /// The direction that the panel's texts ask for, once both are cut.
    pub fn steer_direction(&self) -> Option<Direction> {
        let steer = &self.inspector.steer;
        let cut = |text: &str| {
            let known = steer.texts.iter().find(|(known, _)| known == text);
            known.map(|(_, ids)| ids.clone()).filter(|ids| !ids.is_empty())
        };
        let (towards, away) = (cut(&steer.towards.text)?, cut(&steer.away.text)?);
        Some(Direction { towards, away, layer: self.steer_layer() })
    }

    /// What a preview of the pass on display with the push is of, once the direction is known.
    fn steer_preview(&self) -> Option<Preview> {
        let at = self.shown_step()?.cursor();
        let run =
            self.view.run_at(at).filter(|run| self.view.can_read_again(*run) && self.view.has_pass(at))?;
        let name = self.push_name()?;
        let texts = self.kept_push().is_none().then(|| {
            let steer = &self.inspector.steer;
            (steer.towards.text.clone(), steer.away.text.clone())
        });
        let (layer, percent) = (self.steer_layer(), self.inspector.steer.percent);
        Some(Preview { at, run, name, layer, percent, texts, beside: self.view.changes_beside() })
    }

    /// What the panel's push is called, where its direction is known.
    fn push_name(&self) -> Option<String> {
        if let Some(kept) = self.kept_push() {
            return Some(kept.name.clone());
        }
        let (known, _) = self.inspector.steer.found.as_ref()?;
        (Some(known) == self.steer_direction().as_ref()).then(|| self.inspector.steer.name())
    }

    fn preview_request(&self, of: &Preview, push: Steering) -> Option<Inspect> {
        Some(Inspect {
            ids: self.view.pass(of.at)?.ids.to_vec(),
            interventions: of.beside.clone(),
            ablations: vec![Intervention::Steer(push)],
            everywhere: true,
            ..Inspect::default()
        })
    }

    /// The preview of what the panel shows now.
    pub fn shown_preview(&self) -> Option<&'a crate::engine::protocol::Inspected> {
        let wanted = self.steer_preview()?;
        self.inspector.steer.preview.as_ref().filter(|(of, _)| *of == wanted).map(|(_, seen)| &**seen)
    }

    fn pushed(&self, of: &Preview, push: Option<Steering>) -> Result<Request, String> {
        let inspect = push.and_then(|push| self.preview_request(of, push)).ok_or(NOT_STORED)?;
        Ok(Request::Inspection(Inspection::Inspect(Box::new(inspect))))
    }

    /// How far as hard a push along a random direction takes the pass on display, nats.
    pub fn shown_yardstick(&self) -> Option<f32> {
        let wanted = self.steer_preview()?;
        self.inspector.steer.yardstick.as_ref().filter(|(of, _)| *of == wanted).map(|(_, kl)| *kl)
    }

    fn steer_request(&self, wish: &SteerWish) -> Result<Request, String> {
        Ok(match wish {
            SteerWish::Cut(text) => {
                Request::Immediate(Immediate::Tokenize { text: text.clone(), special: false, begin: true })
            }
            SteerWish::Direct(direction) => Request::Job(Job::Direction(Box::new(direction.clone()))),
            SteerWish::Preview(of) => self.pushed(of, self.push())?,
            SteerWish::Yardstick(of) => self.pushed(of, self.push().map(at_random))?,
        })
    }
}

/// As hard a push, along a direction that means nothing.
fn at_random(push: Steering) -> Steering {
    Steering { direction: direction::random(push.direction.len(), SEED), ..push }
}

impl<'a> ChatView<'a> {
    /// What steers this chat's replies.
    pub fn steering(&self) -> Option<&'a Steering> {
        self.chat.settings.interventions.iter().find_map(Intervention::steering)
    }

    /// What changes this chat's replies besides steering.
    fn changes_beside(&self) -> Vec<Intervention> {
        self.interventions().into_iter().filter(|change| change.steering().is_none()).collect()
    }
}
