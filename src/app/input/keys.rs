//! Keys and commands: the ladder of layers that a key falls through, and the index of commands.
//!
//! Invariant: a key is taken by exactly one layer: overlay, line input, completion, focused pane, everywhere.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use crate::app::transcript::cursor::Move;
use crate::app::{App, ChatList, Composer, Effect, Focus, Letter, LineOf, ModelStatus, WIDE};
use crate::chat::AdapterKind;
use crate::command::{Command, Context};
use crate::config::keymap::is_plain;
use crate::config::{chord, layout};

impl App {
    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        let key = layout::chorded(key);
        if self.overlays.is_empty() {
            if self.tour_key(key) || self.line_key(key) || self.completion_key(key) {
                return;
            }
            self.pane_key(key);
        } else {
            self.overlay_key(key);
        }
    }

    fn pane_key(&mut self, key: KeyEvent) {
        if (self.focus == Focus::Inspector && self.station_input(key)) || self.step_row(key) {
            return;
        }
        if self.version_key(key) {
            return;
        }
        let plain = is_plain(chord::of(key));
        // A character is a command of the composer only while nothing is written there.
        let types = self.focus == Focus::Composer && plain && !self.composer.is_empty();
        let found = self.contexts().into_iter().find_map(|context| self.keymap.lookup(context, key));
        match found.filter(|_| !types) {
            Some(command) => self.run_command(command),
            None if plain && self.focus == Focus::Composer => {
                self.hint_option_digit(key);
                self.edit_draft(|composer| composer.compose(key));
            }
            None => match self.keymap.lookup(Context::Global, key) {
                Some(command) => self.run_command(command),
                None if self.focus == Focus::Composer => self.edit_draft(|composer| composer.compose(key)),
                // A letter that means nothing where it was typed is the beginning of a message.
                None if self.letter(key) == Letter::Nothing => {
                    self.set_focus(Focus::Composer);
                    self.edit_draft(|composer| composer.compose(key));
                }
                None => {}
            },
        }
    }

    /// Says once what to do where Option and a digit type a character instead of opening a station.
    fn hint_option_digit(&mut self, key: KeyEvent) {
        let KeyCode::Char(character) = key.code else { return };
        let digit = layout::option_digit(character).filter(|_| self.composer.is_empty());
        if let Some(digit) = digit.filter(|_| !std::mem::replace(&mut self.book.option_said, true)) {
            self.out.say(format!(
                "if this was Option+{digit} on a Mac: let the terminal send Option as Meta (Esc+), or type /station {digit}"
            ));
        }
    }

    /// ← and → where nothing is written walk the last reply's versions; whether the key did.
    fn version_key(&mut self, key: KeyEvent) -> bool {
        let free = self.focus == Focus::Composer && self.composer.is_empty() && key.modifiers.is_empty();
        let later = match key.code {
            KeyCode::Left => false,
            KeyCode::Right => true,
            _ => return false,
        };
        let walks = free && self.composer.editing.is_none() && !self.talk.chat.turns.is_empty();
        if walks {
            self.version(later);
        }
        walks
    }

    /// The contexts in which a key of the focused pane is looked up, innermost first; [`Context::Global`] comes after.
    pub(in crate::app) fn contexts(&self) -> Vec<Context> {
        let pane = match self.focus {
            Focus::Composer => vec![Context::Composer],
            Focus::Transcript => vec![Context::Transcript],
            Focus::Chats => vec![Context::Chats],
            Focus::Inspector => self.inspector.station_contexts(),
        };
        self.view().steps_here().then_some(Context::StepMode).into_iter().chain(pane).collect()
    }

    /// Does what a command says.
    pub(crate) fn run_command(&mut self, command: Command) {
        if command != Command::Interrupt {
            self.out.quit_asked = false;
        }
        if self.tour.is_some() && !crate::app::tour::fits(command) {
            self.end_tour();
            if command == Command::Interrupt {
                return;
            }
        }
        if let Some(why) = self.view().lacking_for(command) {
            self.out.say(why);
            return;
        }
        match command {
            Command::Send => self.submit(),
            Command::Newline => self.edit_draft(|composer| {
                composer.area.insert_newline();
                true
            }),
            Command::Escape => self.escape(),
            Command::Interrupt => self.interrupt(),
            Command::Editor => self.out.emit(Effect::Edit(self.composer.text())),
            Command::Undo => self.edit_draft(|composer| composer.undo(false)),
            Command::Redo => self.edit_draft(Composer::redo_or_yank),
            Command::HistoryBack if self.edit_waiting() => {}
            Command::HistoryBack => self.composer.history_back(&self.model, &mut self.out),
            Command::HistoryForward => self.composer.history_forward(&self.model, &mut self.out),
            Command::Stop => self.stop_any(),
            Command::Regenerate => self.regenerate(None),
            Command::RegenerateHere => self.regenerate(self.transcript.selected),
            Command::Edit => self.edit_selected(),
            Command::Continue => self.continue_selected(),
            Command::VersionBack => self.version(false),
            Command::VersionForward => self.version(true),
            Command::DeleteTurn => self.delete_selected(),
            Command::Restore => self.restore_turn(),
            Command::Copy => self.transcript.copy(view!(self), &mut self.out),
            Command::Mark => self.transcript.toggle_mark(view!(self), &mut self.out, &mut self.focus),
            Command::CopyCode => self.transcript.copy_code(view!(self), &mut self.out),
            Command::MessageDown => self.transcript.select_message(view!(self), &mut self.focus, true),
            Command::MessageUp => self.transcript.select_message(view!(self), &mut self.focus, false),
            Command::TokenNext => {
                self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, Move::Next);
            }
            Command::TokenPrevious => {
                self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, Move::Previous);
            }
            Command::TokenFirst => {
                self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, Move::First);
            }
            Command::TokenLast => {
                self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, Move::Last);
            }
            Command::WordNext => {
                self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, Move::NextWord);
            }
            Command::WordPrevious => {
                self.transcript.move_token(view!(self), &mut self.out, &mut self.focus, Move::PreviousWord);
            }
            Command::UncertainNext => {
                self.transcript.seek_uncertain(view!(self), &mut self.out, &mut self.focus, true);
            }
            Command::UncertainPrevious => {
                self.transcript.seek_uncertain(view!(self), &mut self.out, &mut self.focus, false);
            }
            Command::Colour => self.next_colouring(),
            Command::Raw => self.transcript.toggle_raw(view!(self), &mut self.out),
            Command::Thinking => self.talk.say_thinking(with!(self), &mut self.out),
            Command::TemplateValue => self.talk.say_template_values(with!(self), &mut self.out),
            Command::Lora => self.talk.say_adapters(with!(self), &mut self.out, AdapterKind::Lora),
            Command::ControlVector => {
                self.talk.say_adapters(with!(self), &mut self.out, AdapterKind::ControlVector);
            }
            Command::CopyChat => self.out.copy_chat(view!(self), self.transcript.thoughts),
            Command::BareText => self.transcript.show_bare(view!(self), &mut self.out),
            Command::Thoughts => self.transcript.toggle_thoughts(view!(self), self.focus, &mut self.out),
            Command::RawAll => self.transcript.toggle_raw_all(&mut self.out),
            Command::CodeLeft => self.transcript.scroll_sideways(false),
            Command::CodeRight => self.transcript.scroll_sideways(true),
            Command::Special => self.transcript.toggle_special(&mut self.out),
            Command::Step => self.toggle_step_mode(),
            Command::Slow => self.talk.toggle_slow(with!(self), &mut self.out),
            Command::ExportStation => self.export_station(""),
            Command::Tour => self.begin_tour(),
            Command::Find => self.transcript.find(view!(self), ""),
            Command::NewChat => self.new_chat(),
            Command::ToggleChats => self.toggle_chats(),
            Command::OpenChat => self.open_selected(),
            Command::ChatDown => self.talk.chats.select_chat(true),
            Command::ChatUp => self.talk.chats.select_chat(false),
            Command::Rename => self.begin_chat_line(LineOf::Title),
            Command::DeleteChat => self.delete_chat(),
            Command::RestoreChat => self.restore_chat(),
            Command::PinChat => self.talk.pin_chat(with!(self), &mut self.out),
            Command::TagChat => self.begin_chat_line(LineOf::Tags),
            Command::ArchiveChat => self.talk.archive_chat(with!(self), &mut self.out),
            Command::DuplicateChat => self.duplicate_chat(),
            Command::FilterChats => self.show_chats().begin_filter(),
            Command::Archive => self.show_chats().show_list(ChatList::Archive),
            Command::Bin => self.show_chats().show_list(ChatList::Bin),
            Command::Compact => self.compact(),
            Command::Temporary => self.temporary_chat(),
            Command::ToggleInspector => self.toggle_inspector(),
            Command::Zoom => self.zoom(),
            Command::Station => self.station(self.inspector.station),
            Command::Hold => self.inspector.hold(),
            Command::AttentionInk => self.inspector.next_ink(&mut self.out),
            Command::EmbeddingArithmetic => self.open_arithmetic(),
            Command::SwitchOff => self.inspector.switch_off(view!(self), &mut self.out, false),
            Command::SwitchOffEverywhere => self.inspector.switch_off(view!(self), &mut self.out, true),
            Command::KeepOff => self.inspector.keep_off(&mut self.talk, with!(self), &mut self.out),
            Command::Patch => self.inspector.patch(view!(self), &mut self.out),
            Command::UndoChange => self.inspector.undo_change(view!(self), &mut self.out),
            Command::SteerOff => self.talk.steer_off(with!(self), &mut self.out),
            Command::OtherPass => self.inspector.other_pass(view!(self), &mut self.out),
            Command::CopyIds => self.inspector.copy_ids(view!(self), &mut self.out),
            Command::Reload => self.reload(),
            Command::Unload => self.unload(),
            Command::ReloadConfig => self.reload_config(),
            Command::Mouse => self.config.toggle_mouse(&mut self.out),
            Command::FocusNext | Command::FocusPrevious if self.tour.is_some() => {}
            Command::FocusNext => self.focus_next(true),
            Command::FocusPrevious => self.focus_next(false),
            Command::PageUp => self.scroll_page(false),
            Command::PageDown => self.scroll_page(true),
            Command::Top => self.transcript.scroll_top(view!(self)),
            Command::Bottom => self.transcript.scroll_bottom(),
            Command::Redraw => self.out.emit(Effect::Redraw),
            Command::Suspend => self.suspend(),
            Command::Quit => self.quit(),
            Command::AcceptToken if self.view().steps_here() => self.talk.accept_token(&mut self.out),
            Command::BanAndDraw if self.view().steps_here() => self.ban_and_draw(),
            Command::LetRun if self.view().steps_here() => self.talk.let_run(&mut self.out),
            command if !command.entry().is_offered() => self.out.say(command.entry().said()),
            command if self.open_overlay(command) => {}
            command => self.station_command(command),
        }
    }

    /// Closes the innermost open thing; the reply is stopped only from the composer.
    fn escape(&mut self) {
        if !self.overlays.is_empty() {
            self.leave_overlay();
        } else if self.focus == Focus::Inspector && self.leave_in_station() {
        } else if self.transcript.find.is_some() {
            self.transcript.find = None;
        } else if self.focus == Focus::Chats && self.talk.chats.list != ChatList::Chats {
            self.talk.chats.show_list(ChatList::Chats);
        } else if self.composer.completion.is_some() {
            self.composer.completion = None;
        } else if self.transcript.mark.is_some() {
            self.transcript.mark = None;
        } else if self.focus != Focus::Inspector && self.transcript.has_cursor() {
            self.transcript.leave_cursor();
        } else if self.inspector.held {
            self.inspector.hold();
        } else if self.inspector.zoomed {
            self.zoom();
        } else if self.transcript.has_cursor() {
            self.transcript.leave_cursor();
        } else if self.focus != Focus::Composer {
            self.transcript.selected = None;
            self.set_focus(Focus::Composer);
        } else if self.composer.editing.is_some() {
            self.cancel_edit();
        } else if self.view().busy_here() {
            self.stop_here();
        } else if self.model.status == ModelStatus::Fetching {
            let name = self.model.name.clone();
            self.pause_fetch(&name);
        }
    }

    /// Ctrl+C: stop, then clear the draft, then ask, then quit.
    fn interrupt(&mut self) {
        if self.out.quit_asked {
            self.quit();
        } else if self.view().busy_here() && !self.talk.run.as_ref().is_some_and(|run| run.stopping) {
            self.stop_here();
        } else if !self.composer.is_empty() {
            let text = self.composer.text();
            if !text.trim().is_empty() {
                self.composer.remember(&mut self.out, &text);
            }
            self.composer.give_up_edit();
            self.composer.replace(&self.model, &mut self.out, "");
            self.talk.keep_draft(&mut self.composer, &mut self.out);
            self.out.say("draft cleared; ↑ brings it back");
        } else {
            self.out.quit_asked = true;
            self.out.say("Ctrl+C again quits");
        }
    }

    fn suspend(&mut self) {
        self.keep_draft_and_place();
        self.out.emit(Effect::Suspend);
    }

    /// Gives a pane the focus.
    pub(crate) fn set_focus(&mut self, focus: Focus) {
        self.focus = focus;
        self.composer.completion = None;
        if focus == Focus::Transcript && self.transcript.selected.is_none() {
            self.transcript.selected = self.talk.chat.leaf;
            self.transcript.reveal = true;
        }
        if focus == Focus::Chats {
            let shown = self.talk.chat.head.id;
            self.talk.chats.selected = 0;
            self.talk.chats.point_at(shown);
        }
    }

    fn focus_next(&mut self, forward: bool) {
        use Focus::{Chats, Composer, Inspector, Transcript};
        let (wide, alone) = (self.size.0 >= WIDE, self.inspector.zoomed);
        let there = |focus: &Focus| match focus {
            Focus::Composer => !alone,
            Focus::Transcript => !self.talk.chat.turns.is_empty() && !alone,
            Focus::Chats => self.talk.chats.shown && wide && !alone,
            Focus::Inspector => alone || (self.inspector.shown && wide),
        };
        // Forward leads from wherever one looks back to where one writes.
        let wanted: &[Focus] = match (self.focus, forward) {
            (Composer, true) => &[Transcript, Inspector, Chats],
            (Transcript | Chats | Inspector, true) | (Chats, false) => &[Composer],
            (Composer | Transcript, false) => &[Inspector, Chats, Composer],
            (Inspector, false) => &[Chats, Composer],
        };
        if let Some(focus) = wanted.iter().find(|focus| there(focus)) {
            self.set_focus(*focus);
        }
    }

    fn toggle_chats(&mut self) {
        let narrow = self.size.0 < WIDE;
        if self.talk.chats.shown && (!narrow || self.focus == Focus::Chats) {
            self.talk.chats.shown = narrow;
            if self.focus == Focus::Chats {
                self.set_focus(Focus::Composer);
            }
        } else {
            self.talk.chats.shown = true;
            if narrow {
                self.set_focus(Focus::Chats);
            }
        }
    }

    fn toggle_inspector(&mut self) {
        if self.size.0 < WIDE {
            self.inspector.shown = true;
            self.zoom();
            return;
        }
        self.inspector.shown = !self.inspector.shown;
        if !self.inspector.shown {
            self.inspector.zoomed = false;
            if self.focus == Focus::Inspector {
                self.set_focus(Focus::Composer);
            }
        }
    }

    pub(in crate::app) fn zoom(&mut self) {
        self.inspector.zoomed = !self.inspector.zoomed;
        let beside = self.size.0 >= WIDE;
        let focus = if self.inspector.zoomed || beside { Focus::Inspector } else { Focus::Composer };
        self.set_focus(focus);
    }

    fn reload_config(&mut self) {
        self.book.config_asked = true;
        self.out.emit(Effect::ReadConfig);
    }

    /// Ends the app: what is unwritten goes to the store first, then the engine, then the end.
    pub(crate) fn quit(&mut self) {
        self.end_tour();
        self.talk.end_run(with!(self), &mut self.out, "glassbox was closed");
        self.keep_draft_and_place();
        self.out.store(crate::store::Command::Close);
        if self.out.requests.engine() != crate::app::EngineId::default() {
            self.out.emit(Effect::StopEngine(self.out.requests.engine()));
        }
        self.out.emit(Effect::Quit);
        self.quitting = true;
    }
}
