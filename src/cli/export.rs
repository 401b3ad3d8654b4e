//! `glassbox export`: a chat as Markdown, JSON, JSON Lines or one HTML page; without an id, the list of chats.
//!
//! Invariant: the database is only read from, and never made by asking for an export.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};

use super::args::ExportArgs;
use super::chats::Chats;
use crate::chat::ConversationHead;
use crate::config::{self, Folders};
use crate::export::{Document, Format};

/// Exports a chat; gives the exit code.
///
/// # Errors
/// When there is no such chat, or the file cannot be written.
pub fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    let folders = Folders::find().context("there is no home folder; set GLASSBOX_HOME to a folder")?;
    let reader = Chats::existing(&folders.database())?;
    let Some(wanted) = &args.id else {
        list(&reader.heads()?);
        return Ok(0);
    };
    let format = args.format();
    let id = reader.find(wanted)?;
    let (conversation, runs) = reader.conversation(id)?;
    let vocabularies = reader.vocabularies(&runs)?;
    let (runs, vocabularies, thinking) = (&runs, &vocabularies, args.show_thinking);
    let document = Document { conversation: &conversation, runs, vocabularies, thinking };
    let text = document.export(format);
    if let Some(path) = args.output.as_deref().filter(|path| *path != Path::new("-")) {
        write_new(path, &text, args.force)?;
        super::note(&format!("wrote {}", path.display()));
    } else {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("standard output was closed")?;
    }
    Ok(0)
}

/// Writes a file that is not there yet, or any with `force`.
fn write_new(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    if force && path.is_file() {
        // What is there stays until all of the new one is.
        return config::write_atomically(path, text)
            .with_context(|| format!("{} cannot be written", path.display()));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let file = options.open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            anyhow!("{} is there already; --force writes over it", path.display())
        }
        _ => anyhow!("{} cannot be written: {error}", path.display()),
    });
    file?.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
}

fn list(heads: &[ConversationHead]) {
    if heads.is_empty() {
        super::note("there is no chat yet");
    }
    for head in heads {
        let title = crate::sanitize::for_copy(&head.title).replace('\n', " ");
        super::print(&format!("{:>20}  {title}", head.id.0));
    }
}

impl ExportArgs {
    /// The format asked for; else the one of the file's ending, else Markdown.
    fn format(&self) -> Format {
        let by_ending = || {
            let ending = self.output.as_deref()?.extension()?.to_str()?;
            Format::named(ending)
        };
        self.format.or_else(by_ending).unwrap_or(Format::Markdown)
    }
}
