//! The embedding station: rows of the table, their neighbours, and maps of them.
//!
//! Invariant: it shows the table alone; nothing here knows of context.

mod state;
mod table;

use super::{Hints, Keys, StationUnit};
use crate::app::App;
use crate::app::inspector::{Exported, Wish};
use crate::command::{Command, Context};
pub use state::{Arithmetic, EmbeddingView};

/// 2
pub(crate) struct Embedding;

impl StationUnit for Embedding {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn title(&self) -> &'static str {
        "Embedding"
    }

    fn strip(&self) -> [&'static str; 2] {
        ["emb", "emb"]
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Embedding]
    }

    fn shows_own_pass(&self, _app: &App) -> bool {
        true
    }

    fn asks_beside_reply(&self) -> bool {
        true
    }

    fn wants(&self, app: &App) -> Option<Wish> {
        app.display().table_wish()
    }

    fn command(&self, app: &mut App, command: Command) -> bool {
        match command {
            Command::EmbeddingSpan => app.choose_span(),
            Command::EmbeddingAdd => app.add_to_map(),
            Command::EmbeddingMap => app.other_map(),
            Command::EmbeddingCentred => app.inspector.embedding.centred = !app.inspector.embedding.centred,
            Command::WatchToken => app.watch_selected(),
            _ => return app.row_command(command, usize::MAX),
        }
        true
    }

    fn hints(&self, app: &App) -> Hints {
        let keys = Keys(app);
        vec![
            (keys.rows(), "neighbour"),
            (keys.of(Command::EmbeddingAdd), "add to map"),
            (keys.of(Command::EmbeddingArithmetic), "king - man + woman"),
            (keys.of(Command::EmbeddingSpan), "span"),
            (keys.of(Command::EmbeddingCentred), "centred"),
            (keys.of(Command::EmbeddingMap), "other map"),
        ]
    }

    fn page(&self) -> &'static str {
        include_str!("embedding.md")
    }

    fn export(&self, app: &App, file: &mut Exported) {
        file.embedding =
            app.display().shown_embedding().map(|facts| (facts.clone(), app.display().embedding_span()));
    }
}
