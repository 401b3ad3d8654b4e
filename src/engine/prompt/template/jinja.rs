//! Rendering a chat with a Jinja template as Python's transformers would.
//!
//! Invariant: a render is bounded in steps (fuel), output and recursion, so a template from a stranger can
//! fail but not hang. One thing is left to the process boundary: a namespace that holds itself, printed,
//! overflows any stack, which ends the engine and never the chat.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, Write};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind};
use serde_json::{Value, json};

use super::clock::Clock;
use super::{filters, json, percent, python};
use crate::chat::{Role, TemplateValues};
use crate::engine::protocol::{StoredTokens, TemplateSetting};

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

/// Begins what a template says itself, so that it is told from what cannot be followed.
const RAISED: &str = "\u{1}";

/// One message as a template sees it.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) role: Role,
    pub(super) text: Cow<'a, str>,
    /// What was thought before it, where the template takes that apart from the text.
    pub(super) reasoning: Option<Cow<'a, str>>,
    /// The tokens of this very text.
    pub(super) stored: Option<Cow<'a, StoredTokens>>,
}

impl Line<'_> {
    pub(super) fn plain(role: Role, text: &str) -> Self {
        Self { role, text: Cow::Owned(text.to_owned()), reasoning: None, stored: None }
    }
}

/// What a template wants of what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// A message's content as a list of parts instead of a text.
    parts: bool,
    /// Tools and documents not there at all, instead of none.
    absent: bool,
}

impl Dialect {
    /// What is tried, the commonest first.
    const ALL: [Self; 4] = [
        Self { parts: false, absent: false },
        Self { parts: true, absent: false },
        Self { parts: false, absent: true },
        Self { parts: true, absent: true },
    ];

    fn message(self, line: &Line<'_>) -> Value {
        let content =
            if self.parts { json!([{ "type": "text", "text": line.text }]) } else { json!(line.text) };
        let mut message = json!({ "role": line.role, "content": content });
        if let Some(reasoning) = &line.reasoning {
            message["reasoning_content"] = json!(reasoning);
            message["thinking"] = json!(reasoning);
        }
        message
    }
}

/// Why there is no prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Whether the template says so itself; otherwise it cannot be followed.
    pub(super) meant: bool,
    /// Whether nothing that it is given would change that.
    hopeless: bool,
    /// In words.
    pub(super) why: String,
}

/// A template with its environment.
#[derive(Debug)]
pub(super) struct Jinja {
    environment: Environment<'static>,
    source: String,
    bos: String,
    eos: String,
    dialect: Dialect,
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
        environment.set_unknown_method_callback(python::method);
        filters::add(&mut environment);
        environment.add_filter("tojson", json::tojson);
        environment.add_function("raise_exception", |reason: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, format!("{RAISED}{reason}")))
        });
        let source = percent::as_filters(&without_training_marks(&source.replace("\r\n", "\n")));
        Self { environment, source, bos: bos.into(), eos: eos.into(), dialect: Dialect::default() }
    }

    /// The template with what it wants of its messages found by trying.
    ///
    /// # Errors
    /// Why the simplest chats are not rendered, as texts are.
    pub(super) fn tried(mut self) -> Result<Self, String> {
        let mut first = None;
        let names = |words: &[&str]| words.iter().any(|word| self.source.contains(word));
        // What a template does not name makes no difference to it.
        let (parts, absent) = (names(&["text", "type"]), names(&["tools", "documents"]));
        for dialect in Dialect::ALL {
            if dialect.parts && !parts || dialect.absent && !absent {
                continue;
            }
            self.dialect = dialect;
            match self.trial() {
                Ok(()) => return Ok(self),
                Err(Refusal { why, hopeless: true, .. }) => return Err(first.unwrap_or(why)),
                Err(Refusal { why, .. }) => first = first.or(Some(why)),
            }
        }
        Err(first.unwrap_or_default())
    }

    /// The names of what the template reads beside the messages, the functions at hand among them.
    pub(super) fn reads(&self) -> BTreeSet<String> {
        let template = self.environment.template_from_str(&self.source);
        template
            .map(|template| template.undeclared_variables(false).into_iter().collect())
            .unwrap_or_default()
    }

    /// Its text.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the template renders the simplest chats.
    fn trial(&self) -> Result<(), Refusal> {
        let setting = TemplateSetting::default();
        let question = Line::plain(Role::User, "Glass?");
        let answer = Line::plain(Role::Assistant, "Box.");
        let short = self.render(std::slice::from_ref(&question), &setting)?;
        // A list of parts that is printed holds the text too.
        if !short.contains("Glass?") || self.dialect.parts && short.contains("'Glass?'") {
            return Err(unfollowed("it leaves out what the user wrote"));
        }
        self.render(&[question.clone(), answer, question], &setting).map(drop)
    }

    /// Whether a system message is rendered, not refused or left out.
    pub(super) fn takes_system(&self) -> bool {
        let chat = [Line::plain(Role::System, "Be clear."), Line::plain(Role::User, "Glass?")];
        self.render(&chat, &TemplateSetting::default()).is_ok_and(|text| text.contains("Be clear."))
    }

    /// The prompt for a reply to these messages, or in words why there is none.
    pub(super) fn render(&self, messages: &[Line<'_>], setting: &TemplateSetting) -> Result<String, Refusal> {
        let context = self.context(messages, &setting.values);
        let clock = Clock { ms: setting.clock_ms, offset_minutes: setting.offset_minutes };
        let length = |line: &Line<'_>| line.text.len() + line.reasoning.as_ref().map_or(0, |text| text.len());
        let input: usize = messages.iter().map(length).sum();
        let fuel = SPARE_FUEL + 200 * messages.len() as u64 + input as u64 / 4;
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel.min(FUEL)));
        environment.add_function("strftime_now", move |format: String| clock.strftime(&format));
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
                .map_err(|_| unfollowed("there is no memory to run it in"))?
                .join()
                .unwrap_or_else(|_| Err(unfollowed("it failed inside")))
        })
    }

    fn context(&self, messages: &[Line<'_>], values: &TemplateValues) -> Value {
        let mut context = json!({
            "messages": messages.iter().map(|line| self.dialect.message(line)).collect::<Vec<_>>(),
            "add_generation_prompt": true,
            "bos_token": self.bos,
            "eos_token": self.eos,
        });
        if !self.dialect.absent {
            context["tools"] = Value::Null;
            context["documents"] = Value::Null;
        }
        for (name, value) in values.iter().filter(|(name, _)| *name != "messages") {
            context[name] = value.clone();
        }
        context
    }
}

fn unfollowed(why: &str) -> Refusal {
    Refusal { meant: false, hopeless: false, why: why.to_owned() }
}

/// An error without the template's text or line art.
fn in_words(error: &Error) -> Refusal {
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let meant = reason.starts_with(RAISED);
    let hopeless =
        matches!(error.kind(), ErrorKind::SyntaxError | ErrorKind::OutOfFuel | ErrorKind::WriteFailure);
    let reason: String = reason.trim_start_matches(RAISED).chars().take(200).collect();
    let why = match error.line() {
        Some(line) => format!("{reason} (line {line})"),
        None => reason,
    };
    Refusal { meant, hopeless, why }
}

/// `{% generation %}` only marks what to train on, and minijinja does not know it.
fn without_training_marks(source: &str) -> String {
    let mut text = source.to_owned();
    for (tag, neutral) in [("generation", "if true"), ("endgeneration", "endif")] {
        for (open, close) in [("{%", "%}"), ("{%-", "%}"), ("{%", "-%}"), ("{%-", "-%}")] {
            for (before, after) in [(" ", " "), ("", ""), (" ", ""), ("", " ")] {
                let tag = format!("{open}{before}{tag}{after}{close}");
                text = text.replace(&tag, &format!("{open} {neutral} {close}"));
            }
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
