//! `glassbox import`: chats of other programs, and exports of our own, into the database.
//!
//! Invariant: what is stored already is never changed; a chat that is here gets the turns that it lacks, so importing a
//! file twice adds nothing.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::ImportArgs;
use super::chats::Chats;
use crate::chat::{Conversation, ConversationHead};
use crate::config::Folders;
use crate::import::{self, Imported};
use crate::store::Command;

/// Imports files; gives the exit code: 1 if one of them could not be imported.
///
/// # Errors
/// When the database cannot be opened or written.
pub fn run(args: &ImportArgs) -> anyhow::Result<u8> {
    let folders = Folders::find().context("there is no home folder; set GLASSBOX_HOME to a folder")?;
    let chats = Chats::open(&folders.database())?;
    let mut code = 0;
    for file in &args.files {
        let name = file.display();
        match read(file).and_then(|found| add(&chats, &found)) {
            Ok(added) => super::print(&format!("{name}: {}", added.in_words())),
            Err(error) => {
                super::note(&format!("error: {name} {error}"));
                code = 1;
            }
        }
    }
    if let Err(why) = chats.close() {
        anyhow::bail!("{why}; import the files again");
    }
    Ok(code)
}

fn read(file: &PathBuf) -> anyhow::Result<Vec<Imported>> {
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut bytes).context("cannot be read")?;
        bytes
    } else {
        std::fs::read(file).map_err(|error| anyhow::anyhow!("cannot be read: {error}"))?
    };
    let text = String::from_utf8(bytes).ok().context("is not UTF-8 text")?;
    let found = import::read(&text)?;
    if let Some(said) = replaced(import::halves_alone(&text)) {
        super::note(&format!("{} {said}", file.display()));
    }
    Ok(found)
}

/// What is said of halves of characters.
fn replaced(halves: usize) -> Option<String> {
    match halves {
        0 => None,
        1 => Some("holds half a character without the other half; U+FFFD (�) stands in its place".into()),
        halves => Some(format!(
            "holds {halves} halves of characters without the other half; U+FFFD (�) stands in their place"
        )),
    }
}

/// What came of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Added {
    chats: usize,
    messages: usize,
    here: usize,
}

impl Added {
    fn in_words(self) -> String {
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let here = match self.here {
            0 => String::new(),
            here => format!("; {} here already", count(here, "chat")),
        };
        format!("{} with {}{here}", count(self.chats, "chat"), count(self.messages, "message"))
    }
}

fn add(chats: &Chats, found: &[Imported]) -> anyhow::Result<Added> {
    let heads = chats.with_bin()?;
    for binned in heads.iter().filter(|head| head.binned_ms.is_some()) {
        // What is imported again is wanted again.
        if found.iter().any(|imported| imported.conversation.head.id == binned.id) {
            chats.store.send(Command::DeleteConversation(binned.id, false));
        }
    }
    let mut added = Added::default();
    for Imported { conversation, runs, words } in found {
        let stored = match heads.iter().find(|head| head.id == conversation.head.id) {
            Some(head) => Some(chats.conversation(head.id)?.0),
            None => None,
        };
        let known = |id| stored.as_ref().is_some_and(|stored| stored.turn(id).is_some());
        let new: Vec<_> = conversation.turns.iter().filter(|turn| !known(turn.id)).collect();
        if new.is_empty() && stored.is_some() {
            added.here += 1;
            continue;
        }
        added.chats += 1;
        added.messages += new.len();
        let (head, leaf) = kept(stored.as_ref(), conversation);
        let settings = stored.as_ref().unwrap_or(conversation).settings.clone();
        chats.store.send(Command::PutConversation { head, settings, leaf });
        for (vocabulary, entries) in words {
            let entries = entries.iter().map(|(id, entry)| (*id, entry.clone())).collect();
            chats.store.send(Command::PutWords(vocabulary.clone(), entries));
        }
        for run in runs {
            chats.store.send(Command::PutRun(Box::new(run.clone())));
        }
        for turn in new {
            chats.store.send(Command::PutTurn(conversation.head.id, Box::new(turn.clone())));
        }
    }
    Ok(added)
}

/// A chat that is here keeps its entry and its branch.
fn kept(
    stored: Option<&Conversation>,
    found: &Conversation,
) -> (ConversationHead, Option<crate::chat::TurnId>) {
    let of = stored.unwrap_or(found);
    (of.head.clone(), of.leaf)
}
