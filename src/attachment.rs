//! A text file that goes to the model with a message.
//!
//! Invariant: a file goes in whole or not at all; what is refused says why, and which file it was.

use std::fmt;
use std::fs::FileType;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

use crate::chat::{Insert, Typed};
use crate::grammar::{self, Form};

/// The largest file that is taken, bytes. A model reads about a quarter as many tokens, more than most contexts hold.
pub const LARGEST: u64 = 1 << 20;

/// How much of a file is looked at to tell text from other things, bytes.
const SAMPLE: usize = 8 << 10;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The file as it was named.
    pub name: String,
    /// Its text, with line feeds as line ends and without a byte order mark.
    pub text: String,
}

/// The grammar in a file that was read, or that of the JSON schema in it, and what of a schema replies are not held to. Without a form,
/// a text that begins with a brace is a schema.
///
/// # Errors
/// With a sentence: the file is not there, is no text, or its line so and so is wrong.
pub fn grammar(
    file: Result<Attachment, Refused>,
    form: Option<Form>,
) -> Result<(String, Vec<String>), String> {
    let Attachment { name, text } = file.map_err(|refused| refused.to_string())?;
    let form = form.unwrap_or(if text.trim_start().starts_with('{') { Form::Schema } else { Form::Grammar });
    grammar::read(&text, form).map_err(|problem| format!("{name}, {problem}"))
}

/// Why a file does not go with a message.
#[derive(Debug)]
pub struct Refused {
    /// The file as it was named.
    pub name: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Why {
    /// The system does not give it.
    Unreadable(io::Error),
    /// A folder, a device, a pipe.
    NotAFile,
    /// More than [`LARGEST`].
    TooLarge,
    /// It has nothing in it.
    Empty,
    /// It holds bytes that no text has.
    Binary,
    /// A byte order mark says that it is UTF-16 or UTF-32.
    Wide,
    /// From this byte on, counted from 1, it is no UTF-8.
    NotUtf8(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.why {
            Why::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "{name} is not there")
            }
            Why::Unreadable(error) => write!(f, "{name} cannot be read: {error}"),
            Why::NotAFile => write!(f, "{name} is not a plain file; name the files in it one by one"),
            Why::TooLarge => {
                let largest = LARGEST >> 20;
                write!(
                    f,
                    "{name} is larger than {largest} MiB, more than a model can read; give a part of it"
                )
            }
            Why::Empty => write!(f, "{name} is empty"),
            Why::Binary => write!(f, "{name} is not a text: it holds zero bytes"),
            Why::Wide => {
                write!(f, "{name} is UTF-16 or UTF-32; save it as UTF-8 first, for example with iconv")
            }
            Why::NotUtf8(at) => write!(
                f,
                "{name} is not UTF-8 text: what starts at byte {at} is not a character. Convert it first, for \
                 example with iconv"
            ),
        }
    }
}

impl std::error::Error for Refused {}

impl Attachment {
    /// Reads a file.
    ///
    /// # Errors
    /// With the file's name and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Refused> {
        // Reading a pipe could wait for ever.
        Self::of(path, read(path, |kind| kind.is_file()))
    }

    /// Reads what a command line names: a file, or a pipe such as that of `<(command)` in a shell, whose end is waited for.
    ///
    /// # Errors
    /// As [`Attachment::read`].
    pub fn read_given(path: &Path) -> Result<Self, Refused> {
        Self::of(path, read(path, |kind| kind.is_file() || is_pipe(kind)))
    }

    fn of(path: &Path, text: Result<String, Why>) -> Result<Self, Refused> {
        let name = path.display().to_string();
        match text {
            Ok(text) => Ok(Self { name, text }),
            Err(why) => Err(Refused { name, why }),
        }
    }

    /// The file as it stands in a message: its name, and its text between fences that it does not hold itself.
    #[must_use]
    pub fn block(&self) -> String {
        let longest =
            self.text.lines().map(|line| line.trim_start().chars().take_while(|c| *c == '`').count());
        let fence = "`".repeat(longest.max().unwrap_or_default().max(2) + 1);
        let end = if self.text.ends_with('\n') { "" } else { "\n" };
        format!("{}:\n{fence}\n{}{end}{fence}", self.name, self.text)
    }
}

/// Where files stand in a message, as [`Attachment::block`] puts them there: a line that ends with a colon, and behind it
/// a block between fences.
#[must_use]
pub fn blocks(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut name: Option<usize> = None; // where the line before begins, if it may be a name
    let mut open: Option<(usize, &str)> = None;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end_matches('\n');
        let is_fence = bare.len() >= 3 && bare.bytes().all(|byte| byte == b'`');
        match open {
            Some((from, fence)) if bare == fence => {
                found.push(from..start + bare.len());
                (open, name) = (None, None);
            }
            Some(_) => {}
            None => match name.take() {
                Some(from) if is_fence => open = Some((from, bare)),
                _ => name = (bare.len() > 1 && bare.ends_with(':')).then_some(start),
            },
        }
        start += line.len();
    }
    found
}

/// A text with the files that stand in it.
#[must_use]
pub fn typed(text: String) -> Typed {
    let blocks = blocks(&text).into_iter();
    let inserts = blocks.map(|Range { start, end }| {
        let file = Some(name(&text[start..end]).to_owned());
        Insert { start, end, file, tokens: None }
    });
    let inserts = inserts.collect();
    Typed { text, inserts }
}

/// The name in front of a file's block.
#[must_use]
pub fn name(block: &str) -> &str {
    block.lines().next().unwrap_or_default().trim_end_matches(':')
}

/// What is in a file's block: the text between its fences.
#[must_use]
pub fn inside(block: &str) -> &str {
    let mut lines = block.splitn(3, '\n');
    let rest = (lines.next(), lines.next(), lines.next()).2.unwrap_or_default();
    rest.rsplit_once('\n').map_or("", |(text, _)| text)
}

fn read(path: &Path, takes: fn(FileType) -> bool) -> Result<String, Why> {
    let metadata = std::fs::metadata(path).map_err(Why::Unreadable)?;
    if !takes(metadata.file_type()) {
        return Err(Why::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(Why::Unreadable)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(Why::Unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Why::TooLarge);
    }
    text(bytes)
}

#[cfg(unix)]
fn is_pipe(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&kind)
}

#[cfg(not(unix))]
fn is_pipe(_kind: FileType) -> bool {
    false
}

/// Bytes as the text that they are.
fn text(mut bytes: Vec<u8>) -> Result<String, Why> {
    if bytes.starts_with(&[0xef, 0xbb, 0xbf]) {
        bytes.drain(..3);
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Why::Wide);
    }
    if bytes.is_empty() {
        return Err(Why::Empty);
    }
    if bytes[..bytes.len().min(SAMPLE)].contains(&0) {
        return Err(Why::Binary);
    }
    let text = characters(bytes)?;
    if text.contains('\0') {
        return Err(Why::Binary);
    }
    Ok(text.replace("\r\n", "\n"))
}

fn characters(bytes: Vec<u8>) -> Result<String, Why> {
    String::from_utf8(bytes).map_err(|error| Why::NotUtf8(error.utf8_error().valid_up_to() + 1))
}

/// The bytes of a file as the text that they are, nothing in it changed.
///
/// # Errors
/// Where they are not UTF-8; says from which byte on.
pub fn as_it_is(name: &str, bytes: Vec<u8>) -> Result<String, Refused> {
    characters(bytes).map_err(|why| Refused { name: name.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        std::fs::write(&path, bytes).unwrap();
        let read = Attachment::read(&path);
        read.map(|read| read.text)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "a.txt"))
    }

    #[test]
    fn a_text_is_taken_whole_with_one_kind_of_line_end() {
        assert_eq!(of(b"one\r\ntwo").unwrap(), "one\ntwo");
        assert_eq!(of("\u{feff}ña".as_bytes()).unwrap(), "ña");
    }

    #[test]
    fn what_is_not_a_text_is_refused_with_its_name_and_the_reason() {
        for (bytes, said) in [
            (&b""[..], "a.txt is empty"),
            (b"\xef\xbb\xbf", "a.txt is empty"),
            (b"\x7fELF\0\0", "a.txt is not a text: it holds zero bytes"),
            (b"\xff\xfeh\0i\0", "a.txt is UTF-16 or UTF-32"),
            (b"caf\xe9", "a.txt is not UTF-8 text: what starts at byte 4"),
        ] {
            let error = of(bytes).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        assert!(of(&vec![b'a'; LARGEST as usize]).is_ok());
        assert!(of(&vec![b'a'; LARGEST as usize + 1]).unwrap_err().contains("larger than 1 MiB"));
        let mut late = vec![b'a'; SAMPLE * 2];
        late.push(0);
        assert_eq!(of(&late).unwrap_err(), "a.txt is not a text: it holds zero bytes");
    }

    #[test]
    fn folders_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| Attachment::read(path).unwrap_err().to_string();
        assert!(said(folder.path()).ends_with("is not a plain file; name the files in it one by one"));
        assert!(said(&folder.path().join("none")).ends_with("none is not there"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_where_a_command_line_names_it_and_refused_in_a_chat() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"+ added\n").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let refused = Attachment::read(Path::new(&path)).unwrap_err();
        assert!(matches!(refused.why, Why::NotAFile), "{refused}");
        assert_eq!(Attachment::read_given(Path::new(&path)).unwrap().text, "+ added\n");
        let folder = tempfile::tempdir().unwrap();
        assert!(Attachment::read_given(folder.path()).is_err());
    }

    #[test]
    fn blocks_are_found_in_a_message_as_they_were_put_there() {
        let file = Attachment { name: "a b.md".into(), text: "```\nx\n```\n".into() }.block();
        let other = Attachment { name: "c".into(), text: "y".into() }.block();
        let text = format!("look:\n{file}\n{other}\nend:\n```\nopen");
        let found: Vec<&str> = blocks(&text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, [file.as_str(), other.as_str()]);
        assert!(blocks("no file:\n\n```\nx\n```").is_empty());
    }

    #[test]
    fn a_file_in_a_text_has_its_name_and_its_own_text() {
        let file = Attachment { name: "dir/a b.md".into(), text: "```\nx\n```\n".into() }.block();
        let typed = typed(format!("see\n{file}\nend"));
        assert_eq!(&typed.text[typed.inserts[0].bytes()], file);
        assert_eq!(typed.inserts[0].file.as_deref(), Some("dir/a b.md"));
        assert_eq!((name(&file), inside(&file)), ("dir/a b.md", "```\nx\n```"));
        assert_eq!(inside(""), "");
    }

    #[test]
    fn a_block_has_a_fence_that_its_text_does_not_hold() {
        let file = |text: &str| Attachment { name: "a.md".into(), text: text.into() }.block();
        assert_eq!(file("x\n"), "a.md:\n```\nx\n```");
        assert_eq!(file("````\nx\n````"), "a.md:\n`````\n````\nx\n````\n`````");
    }
}
