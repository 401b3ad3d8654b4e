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

/// The keys of some commands side by side; the arrow keys as arrows.
fn keys(app: &App, commands: &[Command]) -> String {
    let shown = commands.iter().map(|command| app.keymap.shown(*command)).filter(|key| !key.is_empty());
    let shown: Vec<String> = shown.map(|key| arrow(&key).map_or(key, str::to_owned)).collect();
    let gap = if shown.iter().all(|key| "↑↓←→".contains(key.as_str())) { "" } else { " " };
    shown.join(gap)
}

fn arrow(key: &str) -> Option<&'static str> {
    let arrows = [("Up", "↑"), ("Down", "↓"), ("Left", "←"), ("Right", "→")];
    arrows.into_iter().find(|(name, _)| *name == key).map(|(_, arrow)| arrow)
}

const ROWS: &[Command] = &[Command::SelectUp, Command::SelectDown];
const COLUMNS: &[Command] = &[Command::SelectLeft, Command::SelectRight];
const CELLS: &[Command] =
    &[Command::SelectUp, Command::SelectDown, Command::SelectLeft, Command::SelectRight];

fn own(app: &App) -> Vec<(String, &'static str)> {
    let key = |command| app.keymap.shown(command);
    let keys = |commands| keys(app, commands);
    let fixed = |keys: &str| keys.to_owned();
    match app.inspector.station {
        Station::Tokens if app.inspector.inside.pieced.trying.is_some() => {
            vec![
                (fixed("Enter"), "keep it, try another"),
                (keys(ROWS), "merge step"),
                (fixed("Esc"), "end trying"),
            ]
        }
        Station::Tokens => vec![
            (keys(&[Command::TokenPrevious, Command::TokenNext]), "token"),
            (keys(&[Command::WordNext, Command::WordPrevious]), "word"),
            (keys(ROWS), "merge step"),
            (key(Command::TokensTry), "try a word"),
            (key(Command::TokensAll), "all with template"),
            (key(Command::CopyIds), "copy ids"),
        ],
        Station::Layers if app.inspector.depths.shows_grid => {
            vec![(keys(COLUMNS), "token"), (keys(ROWS), "layer"), (key(Command::LayersGrid), "one token")]
        }
        Station::Layers => vec![
            (keys(ROWS), "layer"),
            (key(Command::OpenHeads), "its heads"),
            (key(Command::OpenNeurons), "its neurons"),
            (key(Command::NextRival), "rival"),
            (key(Command::LayersGrid), "grid over tokens"),
            (key(Command::LayersRanks), "rank"),
        ],
        Station::Attention => {
            let picture = match app.inspector.attention.picture {
                AttentionPicture::Heads => "matrix",
                AttentionPicture::Matrix => "rollout",
                AttentionPicture::Rollout => "heads",
            };
            vec![
                (keys(CELLS), if picture == "matrix" { "head" } else { "cell" }),
                (key(Command::AttentionPicture), picture),
                (key(Command::AttentionReaders), "reads / is read by"),
                (key(Command::AttentionInk), "ink"),
                (key(Command::AttentionRaw), "weight / written"),
                (key(Command::AttentionFirstToken), "token 0"),
                (key(Command::SwitchOff), "switch off"),
            ]
        }
        Station::Why if app.inspector.inside.picking.is_some() => {
            let patch = app.keymap.shown_all(Command::PatchApply).pop().unwrap_or_default();
            vec![(keys(COLUMNS), "position"), (patch, "patch"), (key(Command::Escape), "leave")]
        }
        Station::Why => vec![
            (keys(ROWS), "part"),
            (key(Command::SwitchOff), "switch off"),
            (key(Command::Patch), "patch"),
            (key(Command::WhyAskOff), "all of off"),
            (key(Command::SortParts), "by heads, neurons"),
            (key(Command::UndoChange), "undo"),
            (key(Command::WhyPin), "pin"),
            (key(Command::NextRival), "rival"),
        ],
        Station::Embedding => vec![
            (keys(ROWS), "neighbour"),
            (key(Command::EmbeddingAdd), "add to map"),
            (key(Command::EmbeddingArithmetic), "king - man + woman"),
            (key(Command::EmbeddingSpan), "span"),
            (key(Command::EmbeddingCentred), "centred"),
            (key(Command::EmbeddingMap), "other map"),
        ],
        Station::Position if app.inspector.inside.picking_head => {
            vec![(keys(COLUMNS), "token read"), (keys(ROWS), "head"), (key(Command::OpenSelected), "done")]
        }
        Station::Position => vec![
            (keys(COLUMNS), "pair"),
            (keys(ROWS), "distance"),
            (key(Command::PositionPick), "head and token"),
            (key(Command::PositionDegrees), "degrees"),
        ],
        Station::Ffn => vec![
            (keys(ROWS), if app.inspector.inside.on_neurons { "neuron" } else { "layer" }),
            (key(Command::FfnList), "list"),
            (key(Command::OpenSelected), "open"),
            (key(Command::SortNeurons), "by push"),
            (key(Command::NextRival), "rival"),
            (key(Command::SwitchOff), "switch off"),
        ],
        Station::Sampler => vec![(key(Command::Hold), "hold"), (key(Command::SamplerTry), "try a setting")],
        Station::Softmax => vec![(key(Command::Hold), "hold"), (key(Command::SoftmaxLogits), "logits")],
    }
}
