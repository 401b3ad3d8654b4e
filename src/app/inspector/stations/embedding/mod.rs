//! The embedding station: rows of the table, their neighbours, and maps of them.
//!
//! Invariant: it shows the table alone; nothing here knows of context.

pub(crate) mod state;
mod table;

use super::{About, Hints, Keys, StationUnit};
use crate::app::Station;
use crate::app::inspector::{Exported, Wish};
use crate::app::{App, Display};
use crate::command::{Command, Context};
use crate::engine::protocol::Capability;
pub use state::EmbeddingView;

/// 2
pub(crate) struct Embedding;

impl StationUnit for Embedding {
    fn about(&self) -> About {
        About {
            name: "embedding",
            title: "Embedding",
            strip: "emb",
            shows: "a piece as numbers",
            contexts: &[Context::Embedding],
            page: include_str!("embedding.md"),
        }
    }

    fn shows_own_pass(&self, _on: &Display<'_>) -> bool {
        true
    }

    fn asks_beside_reply(&self) -> bool {
        true
    }

    fn needs(&self) -> Option<Capability> {
        Some(Capability::Embeddings)
    }

    fn wants(&self, on: &Display<'_>) -> Option<Wish> {
        on.table_wish()
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::EmbeddingSpan => {
                app.inspector.choose_span(view!(app), &mut app.out);
                app.station(Station::Embedding);
            }
            Command::EmbeddingAdd => app.inspector.add_to_map(view!(app)),
            Command::EmbeddingMap => app.inspector.other_map(&mut app.out),
            Command::EmbeddingCentred => app.inspector.embedding.centred = !app.inspector.embedding.centred,
            Command::WatchToken => app.inspector.watch_selected(view!(app)),
            _ => return app.inspector.row_command(view!(app), command, usize::MAX),
        }
        true
    }

    fn hints(&self, on: &Display<'_>) -> Hints {
        let keys = Keys(on.view.keymap);
        vec![
            (keys.rows(), "neighbour"),
            (keys.of(Command::EmbeddingAdd), "add to map"),
            (keys.of(Command::EmbeddingArithmetic), "king - man + woman"),
            (keys.of(Command::EmbeddingSpan), "span"),
            (keys.of(Command::EmbeddingCentred), "centred"),
            (keys.of(Command::EmbeddingMap), "other map"),
        ]
    }

    fn export(&self, on: &Display<'_>, file: &mut Exported) {
        file.embedding = on.shown_embedding().map(|facts| (facts.clone(), on.embedding_span()));
    }
}
