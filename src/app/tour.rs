//! The guided tour: one sentence through the nine stations, on the user's own model.
//!
//! Invariants: the tour lives in a chat of its own that the store never sees, and what was there before (chat,
//! draft, station, cursor) comes back as it was; a figure is said only after it was found in the live pass.

mod claims;
mod steps;

use crossterm::event::KeyEvent;

use super::chat::prompt::TOUR_SENTENCE;
use super::view::With;
use super::{
    App, Asker, ChatView, Effect, Focus, Inspector, Level, ModelState, ModelStatus, Notice, Outbox, StepMode,
    Talk, TokenCursor, Transcript, Trial, Unit,
};
use crate::chat::{Conversation, ConversationId, Role, Span, Turn, TurnId};
use crate::command::{Command, Context, Group};
use crate::config::keymap::Keymap;
use crate::inspect::trace::Component;
use crate::sampling::Sampling;

pub use steps::STEPS;

/// The seed of its one draw.
const SEED: u32 = 7;
/// How long the offer of the tour stays in the notice row, ms.
const OFFER_MS: u64 = 20_000;

/// The head of the default model that carries France to the answer: block, head.
const HEAD: (u32, u32) = (23, 4);

/// What a step does besides showing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    Show,
    /// It offers to switch the head off.
    SwitchOff,
    /// The head is off.
    SwitchedOff,
}

/// The tour under way.
pub struct Tour {
    /// Which of [`STEPS`] is shown.
    pub at: usize,
    /// The text that the model goes on with.
    text: TurnId,
    /// Whether the next word was asked for.
    asked: bool,
    /// Whether the selection of this step has been put where the step wants it.
    placed: bool,
    /// What was there before.
    before: Before,
}

/// What comes back when the tour ends.
struct Before {
    chat: Conversation,
    transcript: Transcript,
    inspector: Inspector,
    focus: Focus,
    steps: StepMode,
}

/// Whether a command can be run without leaving the tour; else it ends first.
pub(crate) fn fits(command: Command) -> bool {
    let entry = command.entry();
    let of_inspector = entry.group == Group::Inspector
        && !matches!(command, Command::ToggleInspector | Command::Zoom | Command::KeepOff);
    of_inspector
        || matches!(
            command,
            Command::Escape
                | Command::Palette
                | Command::Help
                | Command::Themes
                | Command::Mouse
                | Command::Redraw
                | Command::Suspend
                | Command::Reload
                | Command::ReloadConfig
                | Command::PageUp
                | Command::PageDown
                | Command::Top
                | Command::Bottom
                | Command::FocusNext
                | Command::FocusPrevious
        )
}

impl App {
    /// Begins the tour at start.
    pub fn open_tour(&mut self) -> Vec<Effect> {
        self.begin_tour();
        self.out.take_effects()
    }

    /// Begins the tour, or says why not.
    pub(crate) fn begin_tour(&mut self) {
        if self.tour.is_some() {
            return;
        }
        if self.talk.run.is_some() || self.talk.queued.is_some() {
            self.out.say("a reply is being written; the tour begins when it is done: /tour");
            return;
        }
        while !self.overlays.is_empty() {
            self.close_overlay();
        }
        self.talk.keep_draft(&mut self.composer, &mut self.out);
        self.talk.leave_scores(&mut self.out);
        self.inspector.give_up_requests(&mut self.out);
        let text = TurnId(self.out.id());
        let chat = sentence_alone(ConversationId(self.out.id()), text, self.out.now.wall_ms);
        let inspector =
            Inspector { shown: true, watch: self.inspector.watch.clone(), ..Inspector::default() };
        let transcript = Transcript { colouring: self.transcript.colouring, ..Transcript::default() };
        let before = Before {
            chat: std::mem::replace(&mut self.talk.chat, chat),
            transcript: std::mem::replace(&mut self.transcript, transcript),
            inspector: std::mem::replace(&mut self.inspector, inspector),
            focus: std::mem::replace(&mut self.focus, Focus::Inspector),
            steps: std::mem::take(&mut self.talk.steps),
        };
        self.inspector.looks.plan.clone_from(&before.inspector.looks.plan);
        self.out.on_tour = true;
        let mut tour = Tour::new(text, before);
        tour.enter(0, &self.model, &mut self.inspector);
        self.tour = Some(Box::new(tour));
        self.out.notice = None;
        self.talk.opening.forget();
        self.out.show_title(view!(self));
        self.model.used = self.view().context_used();
    }

    /// Ends the tour; everything is as it was before.
    pub(crate) fn end_tour(&mut self) {
        if self.tour.is_none() {
            return;
        }
        self.talk.stop_for_branch(with!(self), &mut self.out);
        self.talk.leave_scores(&mut self.out);
        self.inspector.give_up_requests(&mut self.out);
        // What is stored from here on is the user's again.
        let Some(tour) = self.tour.take() else { return };
        self.out.on_tour = false;
        let Before { chat, transcript, inspector, focus, steps } = tour.before;
        for turn in &self.talk.chat.turns {
            self.talk
                .runs
                .retain(|run, _| !turn.spans.iter().any(|span| super::inspector::run_of(span) == Some(*run)));
        }
        let plan = std::mem::take(&mut self.inspector.looks.plan);
        self.talk.chat = chat;
        self.transcript = transcript;
        self.inspector = inspector;
        self.inspector.looks.plan = plan;
        self.focus = focus;
        self.talk.steps = steps;
        self.out.notice = None;
        if self.talk.chat.turns.is_empty() && self.composer.is_empty() && !self.talk.new_draft.is_empty() {
            let draft = self.talk.new_draft.clone();
            self.composer.set(&draft);
            self.composer.count(&self.model, &mut self.out);
        }
        self.out.show_title(view!(self));
        self.model.used = self.view().context_used();
    }

    /// A key of the tour; whether it was one. The stations keep theirs.
    pub(crate) fn tour_key(&mut self, key: KeyEvent) -> bool {
        let typing = self.inspector.list.typing || self.inspector.sandbox.as_ref().is_some_and(|s| s.open);
        let Some(tour) = self.tour.as_mut().filter(|_| !typing) else { return false };
        let acts = STEPS[tour.at].act == Act::SwitchOff
            && self.keymap.lookup(Context::Inspector, key) == Some(Command::SwitchOff);
        let to = match self.keymap.lookup(Context::Tour, key) {
            Some(Command::TourNext) => tour.at + 1,
            Some(Command::TourPrevious) if tour.at == 0 => return true,
            Some(Command::TourPrevious) => tour.at - 1,
            Some(Command::TourEnd) => STEPS.len(),
            _ if acts => tour.at + 1,
            _ => return false,
        };
        if to < STEPS.len() {
            tour.enter(to, &self.model, &mut self.inspector);
            self.focus = Focus::Inspector;
        } else {
            self.end_tour();
        }
        true
    }

    /// Brings the tour on as far as it can go: asks for the word, puts the cursor on it, places the selection.
    pub(crate) fn sync_tour(&mut self) {
        let Some(tour) = &mut self.tour else { return };
        if tour.asked && self.talk.run.is_none() {
            tour.point_at_word(&mut self.talk, with!(self), &mut self.out, &mut self.transcript);
        } else if !tour.asked && self.model.status == ModelStatus::Unloaded {
            self.wake_model();
        } else if !tour.asked && tour.at > 0 && self.model.ready().is_some() {
            tour.ask_word(&mut self.talk, with!(self), &mut self.out);
        }
        if let Some(tour) = &mut self.tour {
            tour.place_selection(view!(self), &mut self.out, &mut self.inspector);
        }
    }
}

impl Tour {
    /// The tour before its first step, in a chat of its own.
    fn new(text: TurnId, before: Before) -> Self {
        Self { at: 0, text, asked: false, placed: false, before }
    }

    /// Opens a step's station with its own choices.
    fn enter(&mut self, at: usize, model: &ModelState, inspector: &mut Inspector) {
        let step = &STEPS[at];
        (self.at, self.placed) = (at, false);
        inspector.shown = true;
        inspector.zoomed = false;
        inspector.station = step.station;
        inspector.sandbox = None;
        let switches = matches!(step.act, Act::SwitchOff | Act::SwitchedOff);
        inspector.why.tried = Trial::default();
        inspector.why.unit = if switches { Unit::Heads } else { Unit::Blocks };
        let inside = &mut inspector.inside;
        inside.other_pass = false;
        inside.opened = false;
        inside.row = 0;
        inside.rival = None;
        let known = step.layer.filter(|_| model.is_toured());
        inside.aimed = known.is_some();
        if let Some((layer, head)) = known {
            (inside.layer, inside.head) = (layer, head);
        }
    }

    /// Lets the model read the sentence and draw one word, under the default settings.
    fn ask_word(&mut self, talk: &mut Talk, with: With<'_>, out: &mut Outbox) {
        let chat = talk.chat.head.id;
        let mut run = talk.begin(with, out, chat);
        run.seed = SEED;
        run.sampling = Sampling { seed: Some(SEED), max_tokens: 1, ..Sampling::default() };
        let Some(turn) = talk.begin_span(chat, self.text, run.id) else { return };
        self.asked = true;
        talk.begin_run(with, out, chat, &turn, run);
    }

    /// Puts the cursor on the word.
    fn point_at_word(&self, talk: &mut Talk, with: With<'_>, out: &mut Outbox, transcript: &mut Transcript) {
        let ended = |turn: &&mut Turn| turn.note.is_some() && turn.steps().count() > 0;
        if let Some(turn) = talk.chat.turn_mut(self.text).filter(ended) {
            turn.note = None; // that it ends after one word is the tour's own doing
            out.touch(self.text);
        }
        let at = TokenCursor { turn: self.text, index: 0 };
        if transcript.cursor.is_none() && talk.view(with).token_at(at).is_some() {
            transcript.selected = Some(self.text);
            transcript.cursor = Some(at);
            out.dirty = true;
        }
    }

    /// Selects the head that the step is about once the pass is known.
    fn place_selection(&mut self, view: ChatView<'_>, out: &mut Outbox, inspector: &mut Inspector) {
        let act = STEPS[self.at].act;
        if self.placed {
            return;
        }
        if act != Act::Show {
            let display = inspector.display(view);
            let Some((layer, head)) = display.tour_head() else { return };
            let part = Component::Head(layer, head);
            let row = display.ranked_parts().iter().position(|ranked| ranked.part == part);
            inspector.inside.row = row.unwrap_or(inspector.inside.row);
            if act == Act::SwitchedOff {
                inspector.why.tried.off = [part].into();
            }
        }
        self.placed = true;
        out.dirty = true;
    }
}

impl Talk {
    /// Offers the tour once: after the first reply of the first chat.
    pub(crate) fn offer_tour(&self, out: &mut Outbox, keymap: &Keymap, is_wide: bool) {
        let replies = self.chat.turns.iter().filter(|turn| turn.role == Role::Assistant).count();
        let told = out.notice.as_ref().is_some_and(|notice| notice.level != Level::Info);
        if out.on_tour || self.chats.heads.len() > 1 || replies != 1 || told {
            return;
        }
        let key = keymap.shown(Command::Tour);
        out.notice = Some(Notice {
            text: if is_wide {
                format!("new here? /tour (or {key} in the transcript) walks one sentence through the model")
            } else {
                "new here? /tour walks one sentence through the model".into()
            },
            level: Level::Info,
            until: Some(out.now.mono_ms + OFFER_MS),
        });
    }
}

impl Inspector {
    /// Stops what the stations ask of the engine: its answer would be another chat's.
    fn give_up_requests(&mut self, out: &mut Outbox) {
        for asker in [Asker::Station, Asker::Look, Asker::Depths] {
            out.requests.give_up_all(asker);
        }
        self.looks.asking.forget_gone(&out.requests);
        self.inside.asking.forget_gone(&out.requests);
        self.depths.pending = None;
    }
}

/// A chat that holds nothing but the sentence.
fn sentence_alone(id: ConversationId, text: TurnId, now: i64) -> Conversation {
    let mut chat = super::chat::chats::empty_chat(id);
    "Tour".clone_into(&mut chat.head.title);
    chat.leaf = Some(text);
    chat.turns.push(Turn {
        spans: vec![Span::Written { text: TOUR_SENTENCE.to_owned() }],
        ..Turn::new(text, None, Role::Assistant, now)
    });
    chat
}
