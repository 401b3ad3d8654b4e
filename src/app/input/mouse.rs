//! The mouse, while it is on: a click gives the focus and selects, the wheel scrolls the transcript.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use crate::app::{App, Area, Focus};

/// Rows that one notch of the wheel scrolls.
const WHEEL_ROWS: i32 = 3;

impl Area {
    /// Whether a cell lies in it.
    pub fn holds(self, column: u16, row: u16) -> bool {
        (self.x..self.x.saturating_add(self.width)).contains(&column)
            && (self.y..self.y.saturating_add(self.height)).contains(&row)
    }
}

impl App {
    /// The mouse did something.
    pub(crate) fn mouse(&mut self, event: MouseEvent) {
        if !self.config.ui.mouse || !self.overlays.is_empty() || self.tour.is_some() {
            return;
        }
        match event.kind {
            MouseEventKind::ScrollUp => self.transcript.scroll_rows(-WHEEL_ROWS),
            MouseEventKind::ScrollDown => self.transcript.scroll_rows(WHEEL_ROWS),
            MouseEventKind::Down(MouseButton::Left) => self.click(event.column, event.row),
            _ => {}
        }
    }

    fn click(&mut self, column: u16, row: u16) {
        let chat = self.geometry.chats.iter().find(|(_, area)| area.holds(column, row)).map(|(id, _)| *id);
        let turn = self.geometry.turns.iter().find(|(_, area)| area.holds(column, row)).map(|(id, _)| *id);
        let token = self.geometry.tokens.iter().find(|(_, area)| area.holds(column, row)).map(|(at, _)| *at);
        let fold = self.geometry.folds.iter().find(|(_, area)| area.holds(column, row)).map(|(id, _)| *id);
        let pane = self.geometry.areas.iter().find(|(_, area)| area.holds(column, row)).map(|(id, _)| *id);
        if let Some(chat) = chat {
            self.open_chat(chat, None);
        } else if let Some(turn) = fold {
            self.focus = Focus::Transcript;
            self.transcript.selected = Some(turn);
            self.transcript.toggle_thoughts(view!(self), self.focus, &mut self.out);
        } else if let Some(at) = token.filter(|at| self.view().shown_turn(at.turn).is_some()) {
            self.focus = Focus::Transcript;
            self.transcript.point_at(&mut self.focus, at);
        } else if let Some(turn) = turn.filter(|turn| self.talk.chat.turn(*turn).is_some()) {
            self.focus = Focus::Transcript;
            self.transcript.selected = Some(turn);
        } else if let Some(pane) = pane {
            self.set_focus(pane);
        }
    }
}
