//! What is asked: the words on the command line, files, and what is piped in, joined.
//!
//! Invariant: nothing that was given is dropped without a word, and standard input is read only where something can
//! come from it.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::super::LastLineEnd;
use crate::attachment::Attachment;

/// After so long without an end of standard input it is said that it is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The question with the files and what is piped in below it. A question `-`, or none, is standard input itself.
///
/// # Errors
/// When a file cannot be taken, or nothing was given at all.
pub fn question(words: Option<&str>, files: &[PathBuf]) -> anyhow::Result<String> {
    let attachments = files.iter().map(|file| Attachment::read_given(file)).collect::<Result<Vec<_>, _>>()?;
    let piped = match words {
        Some("-") => Some(stdin()?),
        _ if can_read() => Some(stdin()?),
        _ => None,
    };
    let words = words.filter(|words| *words != "-").unwrap_or_default();
    let asked = joined(words, &attachments, piped.as_deref().unwrap_or_default());
    if asked.is_empty() {
        bail!("there is no prompt: give a text, a file with -f, or something on standard input");
    }
    Ok(asked)
}

/// The parts that say something, an empty line between them.
fn joined(words: &str, files: &[Attachment], piped: &str) -> String {
    let mut parts = Vec::new();
    if !words.is_empty() {
        parts.push(words.to_owned());
    }
    parts.extend(files.iter().map(Attachment::block));
    if !piped.trim().is_empty() {
        parts.push(piped.to_owned());
    }
    parts.join("\n\n")
}

/// Whether something can come from standard input: it is a pipe, a file or a socket, not a terminal or a device.
fn can_read() -> bool {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return false;
    }
    #[cfg(unix)]
    {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::FileTypeExt as _;
        let Ok(copy) = stdin.as_fd().try_clone_to_owned() else { return false };
        let kind = std::fs::File::from(copy).metadata().map(|metadata| metadata.file_type());
        kind.is_ok_and(|kind| kind.is_fifo() || kind.is_file() || kind.is_socket())
    }
    #[cfg(not(unix))]
    true
}

/// All of standard input, one line end at the end dropped.
fn stdin() -> anyhow::Result<String> {
    let (sender, bytes) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes)); // the command may have ended already
    });
    let read = bytes.recv_timeout(PATIENCE).or_else(|_| {
        if !std::io::stdin().is_terminal() {
            super::super::note("waiting for the end of standard input (`< /dev/null` leaves it out)");
        }
        bytes.recv()
    });
    let bytes = read.context("standard input cannot be read")?.context("standard input cannot be read")?;
    super::super::text_of(bytes, LastLineEnd::Dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_joined_with_empty_lines_between() {
        let file = Attachment { name: "a.txt".into(), text: "one\n".into() };
        let all = joined("Compare.", std::slice::from_ref(&file), "The cat sat.");
        assert_eq!(all, "Compare.\n\na.txt:\n```\none\n```\n\nThe cat sat.");
        assert_eq!(joined("Summarise the text", &[], "The cat sat."), "Summarise the text\n\nThe cat sat.");
        assert_eq!(joined("Hi", &[], " \n"), "Hi");
        assert_eq!(joined("", &[], "  indented"), "  indented");
        assert_eq!(joined("", &[], ""), "");
    }
}
