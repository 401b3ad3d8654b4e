//! The keys of the tree of branches; the tree itself is in `app/chat/tree.rs`.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Opens, OverlayUnit, list};
use crate::app::{App, TREE_LETTERS, Tree};
use crate::command::{Command, Context};

impl OverlayUnit for Tree {
    const CONTEXTS: &'static [Context] = &[Context::Tree, Context::Overlay];
    const OPENS: Opens =
        &[(Command::Tree, |app| app.open_tree(false)), (Command::Compare, |app| app.open_tree(true))];

    fn command(app: &mut App, command: Command) -> bool {
        let Some(tree) = app.overlays.top_mut::<Self>() else { return false };
        let (at, view, out) = (tree.at, view!(app), &mut app.out);
        let rows = view.tree_rows(tree);
        let selected = rows.get(tree.selected);
        match command {
            Command::ListUp | Command::ListDown => {
                tree.selected = list::moved(command, tree.selected, rows.len()).unwrap_or(tree.selected);
            }
            Command::ListPageDown => tree.scroll += 10,
            Command::ListPageUp => tree.scroll = tree.scroll.saturating_sub(10),
            Command::Choose => app.take_row(at, selected),
            Command::TreeDown => tree.down(view, out, selected),
            Command::TreeUp => tree.up(view, out),
            Command::TreeSide => tree.comparing = !tree.comparing && tree.compare.is_some(),
            Command::TreeScale => tree.renormalised = !tree.renormalised,
            Command::Compare => tree.compare_with(view, out, selected),
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
