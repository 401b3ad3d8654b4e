//! The keys of the tree of branches; the tree itself is in `app/tree.rs`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{OverlayUnit, list};
use crate::app::{App, TREE_LETTERS, Tree};
use crate::command::{Command, Context};

impl OverlayUnit for Tree {
    const CONTEXTS: &'static [Context] = &[Context::Tree, Context::Overlay];

    fn open(app: &mut App, command: Command) -> bool {
        match command {
            Command::Tree => app.open_tree(false),
            Command::Compare => app.open_tree(true),
            _ => return false,
        }
        true
    }

    fn command(app: &mut App, command: Command) -> bool {
        let Some(tree) = app.overlays.top::<Self>() else { return false };
        let at = tree.at;
        let rows = app.view().tree_rows(tree);
        let selected = rows.get(tree.selected);
        match command {
            Command::ListUp | Command::ListDown => {
                app.move_in_tree(|tree| {
                    tree.selected = list::moved(command, tree.selected, rows.len()).unwrap_or(tree.selected);
                });
            }
            Command::ListPageDown => app.move_in_tree(|tree| tree.scroll += 10),
            Command::ListPageUp => app.move_in_tree(|tree| tree.scroll = tree.scroll.saturating_sub(10)),
            Command::Choose => app.take_row(at, selected),
            Command::TreeDown => app.tree_down(at, selected),
            Command::TreeUp => app.tree_up(at),
            Command::TreeSide => {
                app.move_in_tree(|tree| tree.comparing = !tree.comparing && tree.compare.is_some());
            }
            Command::TreeScale => app.move_in_tree(|tree| tree.renormalised = !tree.renormalised),
            Command::Compare => app.compare_with(at, selected),
            Command::LookAhead => {
                app.overlays.pop();
                app.open_look_ahead(at);
            }
            Command::DeleteBranch => {
                if let Some(turn) = selected.and_then(|row| row.turn) {
                    app.delete_branch(turn);
                }
            }
            Command::RestoreBranch => app.undelete_branch(),
            _ => return false,
        }
        true
    }

    /// Digits are the labels of branches, letters those of candidates that were not taken.
    fn key(app: &mut App, key: KeyEvent) -> bool {
        let Some(tree) = app.overlays.top::<Self>() else { return false };
        let (at, rows) = (tree.at, app.view().tree_rows(tree));
        if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
            return false;
        }
        let row = match key.code {
            KeyCode::Char(digit @ '1'..='9') => {
                rows.get(digit as usize - '1' as usize).filter(|row| row.turn.is_some())
            }
            KeyCode::Char(letter) => {
                let Some(place) = TREE_LETTERS.find(letter) else { return false };
                rows.iter().filter(|row| row.turn.is_none()).nth(place)
            }
            _ => return false,
        };
        app.take_row(at, row);
        true
    }
}
