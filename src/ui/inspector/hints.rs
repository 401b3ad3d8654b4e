//! What the keys do at the open station, for the hint line.
//!
//! Invariant: only keys that do something there, the station's own first.

use crate::app::{App, AttentionPicture, Station};
use crate::command::Command;

/// Keys with what they do, most useful first.
#[must_use]
pub fn offered(app: &App) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let mut keys = own(app);
    if app.run.as_ref().is_some_and(|run| run.chat == app.chat.head.id) {
        keys.retain(|(own, _)| *own != key(Command::Hold));
        keys.splice(0..0, pace(app));
    }
    keys.push((key(Command::Zoom), "zoom"));
    keys.push((key(Command::Escape), "back to the chat"));
    keys.push((key(Command::Explain), "explain"));
    keys
}

/// How the reply that is being written is slowed down.
fn pace(app: &App) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let hold = if app.steps.every_ms.is_some() { "pause, go on" } else { "hold" };
    vec![(key(Command::Hold), hold), (key(Command::Step), "step by step"), ("/slow".to_owned(), "pace")]
}

fn own(app: &App) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let fixed = |keys: &str| keys.to_owned();
    match app.inspector.station {
        Station::Tokens if app.inspector.inside.pieced.trying.is_some() => {
            vec![
                (fixed("Enter"), "keep it, try another"),
                (fixed("↑↓"), "merge step"),
                (fixed("Esc"), "end trying"),
            ]
        }
        Station::Tokens => vec![
            (app.keymap.shown(Command::TokenPrevious) + " " + &app.keymap.shown(Command::TokenNext), "token"),
            (key(Command::Watch) + " " + &key(Command::WordPrevious), "word"),
            (fixed("↑↓"), "merge step"),
            (key(Command::Logits), "try a word"),
            (key(Command::All), "all with template"),
            (key(Command::CopyIds), "copy ids"),
        ],
        Station::Layers if app.inspector.depths.shows_grid => {
            vec![(fixed("←→"), "token"), (fixed("↑↓"), "layer"), (key(Command::LogScale), "one token")]
        }
        Station::Layers => vec![
            (fixed("↑↓"), "layer"),
            (fixed("4"), "its heads"),
            (fixed("5"), "its neurons"),
            (key(Command::Watch), "rival"),
            (key(Command::LogScale), "grid over tokens"),
            (key(Command::Logits), "rank"),
        ],
        Station::Attention => {
            let picture = match app.inspector.attention.picture {
                AttentionPicture::Heads => "matrix",
                AttentionPicture::Matrix => "rollout",
                AttentionPicture::Rollout => "heads",
            };
            vec![
                (fixed("↑↓←→"), if picture == "matrix" { "head" } else { "cell" }),
                (key(Command::LogScale), picture),
                (key(Command::Flip), "reads / is read by"),
                (key(Command::Ink), "ink"),
                (key(Command::Logits), "weight / written"),
                (key(Command::FirstToken), "token 0"),
                (key(Command::SwitchOff), "switch off"),
            ]
        }
        Station::Why if app.inspector.inside.picking.is_some() => {
            vec![(fixed("←→"), "position"), (key(Command::Patch), "patch"), (fixed("Esc"), "leave")]
        }
        Station::Why => vec![
            (fixed("↑↓"), "part"),
            (key(Command::SwitchOff), "switch off"),
            (key(Command::Patch), "patch"),
            (fixed("a"), "all of off"),
            (key(Command::Sort), "by heads, neurons"),
            (key(Command::UndoChange), "undo"),
            (fixed("Enter"), "pin"),
            (key(Command::Watch), "rival"),
        ],
        Station::Embedding => vec![
            (fixed("↑↓"), "neighbour"),
            (fixed("Enter"), "add to map"),
            (key(Command::Arithmetic), "king - man + woman"),
            (fixed("v"), "span"),
            (key(Command::Logits), "centred"),
            (key(Command::LogScale), "other map"),
        ],
        Station::Position if app.inspector.inside.picking_head => {
            vec![(fixed("←→"), "token read"), (fixed("↑↓"), "head"), (fixed("Enter"), "done")]
        }
        Station::Position => vec![
            (fixed("←→"), "pair"),
            (fixed("↑↓"), "distance"),
            (fixed("p"), "head and token"),
            (key(Command::Logits), "degrees"),
        ],
        Station::Ffn => vec![
            (fixed("↑↓"), if app.inspector.inside.on_neurons { "neuron" } else { "layer" }),
            (fixed("Tab"), "list"),
            (fixed("Enter"), "open"),
            (key(Command::Sort), "by push"),
            (key(Command::Watch), "rival"),
            (key(Command::SwitchOff), "switch off"),
        ],
        Station::Sampler => vec![(key(Command::Hold), "hold"), (key(Command::Logits), "try a setting")],
        Station::Softmax => vec![(key(Command::Hold), "hold"), (key(Command::Logits), "logits")],
    }
}
