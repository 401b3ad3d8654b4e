//! The guided tour: one sentence through the nine stations, on the user's own model.
//!
//! Invariants: the tour lives in a chat of its own that the store never sees, and what was there before (chat,
//! draft, station, cursor) comes back as it was; a figure is said only after it was found in the live pass.

mod claims;
mod steps;

use crossterm::event::KeyEvent;

use super::chat::prompt::TOUR_SENTENCE;
use super::{
    App, Asker, Effect, Focus, Inspector, Level, ModelStatus, Notice, StepMode, TokenCursor, Transcript,
    Trial, Unit,
};
use crate::chat::{Conversation, ConversationId, Role, Span, Turn, TurnId};
use crate::command::{Command, Context, Group};
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
        self.close_station_requests();
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
        self.tour = Some(Box::new(Tour { at: 0, text, asked: false, placed: false, before }));
        self.out.notice = None;
        self.talk.opening.forget();
        self.out.show_title(view!(self));
        self.model.used = self.view().context_used();
        self.enter_step(0);
    }

    /// Ends the tour; everything is as it was before.
    pub(crate) fn end_tour(&mut self) {
        if self.tour.is_none() {
            return;
        }
        self.talk.stop_for_branch(with!(self), &mut self.out);
        self.talk.leave_scores(&mut self.out);
        self.close_station_requests();
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

    /// Offers the tour once: after the first reply of the first chat.
    pub(crate) fn offer_tour(&mut self) {
        let replies = self.talk.chat.turns.iter().filter(|turn| turn.role == Role::Assistant).count();
        let told = self.out.notice.as_ref().is_some_and(|notice| notice.level != Level::Info);
        if self.tour.is_some() || self.talk.chats.heads.len() > 1 || replies != 1 || told {
            return;
        }
        let key = self.keymap.shown(Command::Tour);
        self.out.notice = Some(Notice {
            text: if self.size.0 >= 80 {
                format!("new here? /tour (or {key} in the transcript) walks one sentence through the model")
            } else {
                "new here? /tour walks one sentence through the model".into()
            },
            level: Level::Info,
            until: Some(self.out.now.mono_ms + OFFER_MS),
        });
    }

    /// A key of the tour; whether it was one. The stations keep theirs.
    pub(crate) fn tour_key(&mut self, key: KeyEvent) -> bool {
        let typing = self.inspector.list.typing || self.inspector.sandbox.as_ref().is_some_and(|s| s.open);
        let Some(tour) = self.tour.as_ref().filter(|_| !typing) else { return false };
        let acts = STEPS[tour.at].act == Act::SwitchOff
            && self.keymap.lookup(Context::Inspector, key) == Some(Command::SwitchOff);
        match self.keymap.lookup(Context::Tour, key) {
            Some(Command::TourNext) => self.move_tour(true),
            Some(Command::TourPrevious) => self.move_tour(false),
            Some(Command::TourEnd) => self.end_tour(),
            _ if acts => self.move_tour(true),
            _ => return false,
        }
        true
    }

    fn move_tour(&mut self, on: bool) {
        let Some(at) = self.tour.as_ref().map(|tour| tour.at) else { return };
        match (on, at) {
            (true, at) if at + 1 == STEPS.len() => self.end_tour(),
            (true, at) => self.enter_step(at + 1),
            (false, 0) => {}
            (false, at) => self.enter_step(at - 1),
        }
    }

    /// Opens a step's station with its own choices.
    fn enter_step(&mut self, at: usize) {
        let step = &STEPS[at];
        let Some(tour) = &mut self.tour else { return };
        tour.at = at;
        tour.placed = false;
        self.focus = Focus::Inspector;
        self.inspector.shown = true;
        self.inspector.zoomed = false;
        self.inspector.station = step.station;
        self.inspector.sandbox = None;
        let inside = &mut self.inspector.inside;
        self.inspector.why.tried = Trial::default();
        inside.other_pass = false;
        inside.opened = false;
        inside.row = 0;
        inside.rival = None;
        self.inspector.why.unit =
            if matches!(step.act, Act::SwitchOff | Act::SwitchedOff) { Unit::Heads } else { Unit::Blocks };
        match step.layer.filter(|_| self.display().tour_knows_model()) {
            Some((layer, head)) => {
                let inside = &mut self.inspector.inside;
                (inside.layer, inside.head, inside.aimed) = (layer, head, true);
            }
            None => self.inspector.inside.aimed = false,
        }
    }

    /// Brings the tour on as far as it can go: asks for the word, puts the cursor on it, places the selection.
    pub(crate) fn sync_tour(&mut self) {
        let Some(tour) = &self.tour else { return };
        let (at, text, asked, placed) = (tour.at, tour.text, tour.asked, tour.placed);
        if asked && self.talk.run.is_none() {
            self.point_at_word(text);
        } else if !asked && self.model.status == ModelStatus::Unloaded {
            self.wake_model();
        } else if !asked && at > 0 && self.view().ready().is_some() {
            self.ask_tour_word(text);
        }
        if !placed
            && self.place_selection(STEPS[at].act)
            && let Some(tour) = &mut self.tour
        {
            tour.placed = true;
            self.out.dirty = true;
        }
    }

    /// Lets the model read the sentence and draw one word, under the default settings.
    fn ask_tour_word(&mut self, text: TurnId) {
        let chat = self.talk.chat.head.id;
        let mut run = self.talk.begin(with!(self), &mut self.out, chat);
        run.seed = SEED;
        run.sampling = Sampling { seed: Some(SEED), max_tokens: 1, ..Sampling::default() };
        let Some(turn) = self.talk.begin_span(chat, text, run.id) else { return };
        if let Some(tour) = &mut self.tour {
            tour.asked = true;
        }
        self.talk.begin_run(with!(self), &mut self.out, chat, &turn, run);
    }

    fn point_at_word(&mut self, turn: TurnId) {
        if let Some(turn) =
            self.talk.chat.turn_mut(turn).filter(|turn| turn.note.is_some() && turn.steps().count() > 0)
        {
            turn.note = None; // that it ends after one word is the tour's own doing
            let id = turn.id;
            self.out.touch(id);
        }
        let at = TokenCursor { turn, index: 0 };
        if self.transcript.cursor.is_none() && self.view().token_at(at).is_some() {
            self.transcript.selected = Some(turn);
            self.transcript.cursor = Some(at);
            self.out.dirty = true;
        }
    }

    /// Selects the head that the step is about once the pass is known; says whether there is no more to do.
    fn place_selection(&mut self, act: Act) -> bool {
        if act == Act::Show {
            return true;
        }
        let Some((layer, head)) = self.display().tour_head() else { return false };
        let part = Component::Head(layer, head);
        let row = self.display().ranked_parts().iter().position(|ranked| ranked.part == part);
        let inside = &mut self.inspector.inside;
        inside.row = row.unwrap_or(inside.row);
        if act == Act::SwitchedOff {
            self.inspector.why.tried.off = [part].into();
        }
        true
    }

    /// Stops what the stations ask of the engine: its answer would be another chat's.
    fn close_station_requests(&mut self) {
        for asker in [Asker::Station, Asker::Look, Asker::Depths] {
            self.out.requests.give_up_all(asker);
        }
        self.inspector.looks.asking.forget_gone(&self.out.requests);
        self.inspector.inside.asking.forget_gone(&self.out.requests);
        self.inspector.depths.pending = None;
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
