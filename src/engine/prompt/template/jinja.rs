//! Rendering a chat with a Jinja template as Python's transformers would.
//!
//! Invariant: a render is bounded in steps (fuel), output and recursion, so a template from a stranger can
//! fail but not hang. One thing is left to the process boundary: a namespace that holds itself, printed,
//! overflows any stack, which ends the engine and never the chat.

use std::borrow::Cow;
use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind};

use super::{clock, json};
use crate::chat::Role;
use crate::engine::protocol::{Message, StoredTokens};

/// Most steps a render may take.
const FUEL: u64 = 1_000_000;

/// Steps besides those for each message and its text. Templates of models take some hundred, and sixty a
/// message; the less there are, the less deep can a hostile loop nest a value.
const SPARE_FUEL: u64 = 50_000;

/// Nested macro calls and includes. Templates of models stay under ten.
const RECURSION: usize = 50;

/// A value that a loop nests one level a round is freed recursively; this holds the levels that the fuel lets
/// be made. Only the part that is touched takes memory.
const STACK: usize = 256 << 20;

/// Bytes a render may write besides twice the messages' own.
const OUTPUT: usize = 1 << 20;

/// One message as a template sees it.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) role: Role,
    pub(super) text: Cow<'a, str>,
    /// The tokens of this very text.
    pub(super) stored: Option<&'a StoredTokens>,
}

impl<'a> From<&'a Message> for Line<'a> {
    fn from(message: &'a Message) -> Self {
        let text = Cow::Borrowed(message.text.as_str());
        Self { role: message.role, text, stored: message.stored.as_ref() }
    }
}

impl Line<'_> {
    fn plain(role: Role, text: &str) -> Self {
        Self { role, text: Cow::Owned(text.to_owned()), stored: None }
    }
}

/// A template with its environment.
#[derive(Debug)]
pub(super) struct Jinja {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
}

impl Jinja {
    pub(super) fn new(source: &str, bos: &str, eos: &str) -> Self {
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .expect("the default delimiters are valid"),
        );
        environment.set_recursion_limit(RECURSION);
        environment.set_debug(false);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", json::tojson);
        environment.add_function("raise_exception", |reason: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        let source = without_training_marks(&source.replace("\r\n", "\n"));
        Self { environment, source, bos: bos.into(), eos: eos.into() }
    }

    /// Whether the template renders the simplest chats.
    pub(super) fn trial(&self) -> Result<(), String> {
        let question = Line::plain(Role::User, "Glass?");
        let answer = Line::plain(Role::Assistant, "Box.");
        let short = self.render(std::slice::from_ref(&question), 0)?;
        if !short.contains("Glass?") {
            return Err("it leaves out what the user wrote".into());
        }
        self.render(&[question.clone(), answer, question], 0).map(drop)
    }

    /// Whether a system message is rendered, not refused or left out.
    pub(super) fn takes_system(&self) -> bool {
        let chat = [Line::plain(Role::System, "Be clear."), Line::plain(Role::User, "Glass?")];
        self.render(&chat, 0).is_ok_and(|text| text.contains("Be clear."))
    }

    /// The prompt for a reply to these messages, or in words why there is none.
    pub(super) fn render(&self, messages: &[Line<'_>], clock_ms: i64) -> Result<String, String> {
        let context = serde_json::json!({
            "messages": messages
                .iter()
                .map(|line| serde_json::json!({ "role": line.role, "content": line.text }))
                .collect::<Vec<_>>(),
            "add_generation_prompt": true,
            "bos_token": self.bos,
            "eos_token": self.eos,
            "tools": null,
            "documents": null,
        });
        let input: usize = messages.iter().map(|line| line.text.len()).sum();
        let fuel = SPARE_FUEL + 200 * messages.len() as u64 + input as u64 / 4;
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel.min(FUEL)));
        environment.add_function("strftime_now", move |format: String| clock::strftime(clock_ms, &format));
        let render = || {
            let mut output = Capped { bytes: Vec::new(), room: OUTPUT + 2 * input };
            environment.template_from_str(&self.source)?.render_captured_to(Serde(context), &mut output)?;
            String::from_utf8(output.bytes)
                .map_err(|_| Error::new(ErrorKind::WriteFailure, "the output is not UTF-8"))
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("template".into()).stack_size(STACK);
            thread
                // An error can hold values of the template, so it must not leave the large stack.
                .spawn_scoped(scope, || render().map_err(|error| in_words(&error)))
                .map_err(|_| "there is no memory to run it in".to_owned())?
                .join()
                .unwrap_or_else(|_| Err("it failed inside".into()))
        })
    }
}

/// The system text put in front of the first message of the user, which is made if there is none.
pub(super) fn system_folded(messages: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let (system, mut rest): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|line| line.role == Role::System);
    let system: Vec<&str> =
        system.iter().map(|line| line.text.as_ref()).filter(|text| !text.is_empty()).collect();
    if system.is_empty() {
        return rest;
    }
    let system = system.join("\n\n");
    match rest.iter_mut().find(|line| line.role == Role::User) {
        Some(first) => {
            first.text = Cow::Owned(format!("{system}\n\n{}", first.text));
            first.stored = None;
        }
        None => rest.insert(0, Line::plain(Role::User, &system)),
    }
    rest
}

/// Neighbours of the same role as one message, with a blank line between.
pub(super) fn same_roles_joined<'a>(messages: &[Line<'a>]) -> Vec<Line<'a>> {
    let mut joined: Vec<Line<'a>> = Vec::new();
    for line in messages {
        match joined.last_mut().filter(|last| last.role == line.role) {
            Some(last) => {
                last.text = Cow::Owned(format!("{}\n\n{}", last.text, line.text));
                last.stored = None;
            }
            None => joined.push(line.clone()),
        }
    }
    joined
}

/// An error without the template's text or line art.
fn in_words(error: &Error) -> String {
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let reason: String = reason.chars().take(200).collect();
    match error.line() {
        Some(line) => format!("{reason} (line {line})"),
        None => reason,
    }
}

/// `{% generation %}` only marks what to train on, and minijinja does not know it.
fn without_training_marks(source: &str) -> String {
    let mut text = source.to_owned();
    for (tag, neutral) in [("generation", "if true"), ("endgeneration", "endif")] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            text = text.replace(&format!("{open} {tag} {close}"), &format!("{open} {neutral} {close}"));
        }
    }
    text
}

struct Capped {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.room {
            return Err(io::Error::other("the output is too long"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
