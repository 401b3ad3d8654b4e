//! Filters, tests and functions of Jinja2 that minijinja lacks or means otherwise, and how values are printed.
//!
//! Invariant: a value is printed as Python's `str` would print it.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};

/// Values nested deeper are printed as `…`; they may be nested in themselves.
const DEPTH: usize = 50;

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.set_formatter(print);
    environment.add_filter("string", |value: &Value| printed(value));
    environment.add_filter("forceescape", |text: String| escaped(&text));
    environment.add_filter("striptags", |text: String| without_tags(&text));
    environment.add_filter("wordcount", |text: String| {
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).count()
    });
    environment.add_filter("indent", indented);
    environment.add_filter("truncate", minijinja_contrib::filters::truncate);
    environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
    environment.add_filter("pprint", |value: &Value| represented(value));
    environment
        .add_filter("center", |text: String, width: Option<usize>| centred(&text, width.unwrap_or(80)));
    environment.add_filter(super::percent::FILTER, formatted);
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::String | ValueKind::Map)
    });
    environment
        .add_test("iterable", |value: &Value| value.kind() == ValueKind::String || value.try_iter().is_ok());
    // A truth value is a number in Python.
    environment
        .add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment.add_test("callable", |value: &Value| {
        value.as_object().is_some() && matches!(value.kind(), ValueKind::Plain)
    });
    environment.add_function("joiner", |separator: Option<String>| {
        let joiner = Joiner { separator: separator.unwrap_or_else(|| ", ".into()), used: false.into() };
        Value::from_object(joiner)
    });
}

/// `"…" % value`, which fills a text's directives, or the remainder of two numbers.
fn formatted(state: &mut State, left: &Value, right: &Value) -> Result<Value, Error> {
    if left.kind() == ValueKind::String {
        let mut values: Vec<Value> = match right.kind() {
            ValueKind::Seq => right.try_iter()?.collect(),
            _ => vec![right.clone()],
        };
        let format = with_representations(left.as_str().unwrap_or_default(), &mut values);
        let args: Vec<Value> =
            std::iter::once(Value::from(format)).chain(values.iter().map(python_none)).collect();
        return state.apply_filter("format", &args);
    }
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        let rest =
            left.checked_rem_euclid(right.saturating_abs()).ok_or_else(|| refuse("division by zero"))?;
        return Ok(Value::from(if right < 0 && rest != 0 { rest + right } else { rest }));
    }
    match (f64::try_from(left.clone()), f64::try_from(right.clone())) {
        (Ok(left), Ok(right)) if right != 0.0 => Ok(Value::from(left - right * (left / right).floor())),
        _ => Err(refuse("% takes two numbers, or a text and what fills it")),
    }
}

/// `%r` as `%s` of what Python's `repr` gives.
fn with_representations(format: &str, values: &mut [Value]) -> String {
    let (mut out, mut value) = (String::new(), 0);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        let length = rest.find(|c: char| c.is_ascii_alphabetic() || c == '%').unwrap_or(rest.len());
        out.push_str(&rest[..length]);
        rest = &rest[length..];
        if rest.starts_with('r')
            && let Some(value) = values.get_mut(value)
        {
            *value = Value::from(represented(value));
            (out, rest) = (out + "s", &rest[1..]);
        } else if let Some(letter) = rest.chars().next() {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
            value = if letter == '%' { value } else { value + 1 };
            continue;
        }
        value += 1;
    }
    out + rest
}

/// Lines moved to the right, the first and blank ones only where that is asked for.
#[expect(clippy::needless_pass_by_value, reason = "what the template engine hands a filter")]
fn indented(text: String, width: Option<Value>, options: Kwargs) -> Result<String, Error> {
    let first = options.get::<Option<bool>>("first")?.unwrap_or(false);
    let blank = options.get::<Option<bool>>("blank")?.unwrap_or(false);
    let width = options.get::<Option<Value>>("width")?.or(width);
    options.assert_all_used()?;
    let indent = match width {
        Some(width) if width.as_str().is_some() => width.as_str().unwrap_or_default().to_owned(),
        Some(width) => " ".repeat(usize::try_from(width)?.min(200)),
        None => " ".repeat(4),
    };
    let lines = text.split('\n').enumerate();
    let moved = lines.map(|(index, line)| match line {
        line if index == 0 && !first || line.is_empty() && !blank => line.to_owned(),
        line => format!("{indent}{line}"),
    });
    Ok(moved.collect::<Vec<_>>().join("\n"))
}

/// What `%s` would print otherwise than Python.
fn python_none(value: &Value) -> Value {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Seq => Value::from(printed(value)),
        _ => value.clone(),
    }
}

fn refuse(why: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.to_owned())
}

fn print(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_undefined() {
        return Ok(());
    }
    match value.as_str() {
        Some(text) => out.write_str(text).map_err(Error::from),
        None => out.write_str(&printed(value)).map_err(Error::from),
    }
}

/// Python's `str`.
fn printed(value: &Value) -> String {
    match (value.as_str(), value.is_undefined()) {
        (Some(text), _) => text.to_owned(),
        (None, true) => String::new(),
        (None, false) => represented(value),
    }
}

/// Python's `repr`.
fn represented(value: &Value) -> String {
    let mut out = String::new();
    represent(value, 0, &mut out);
    out
}

fn represent(value: &Value, depth: usize, out: &mut String) {
    if depth > DEPTH {
        out.push('…');
        return;
    }
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => quote(value.as_str().unwrap_or_default(), out),
        ValueKind::Seq => {
            out.push('[');
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                represent(&item, depth + 1, out);
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                represent(&key, depth + 1, out);
                out.push_str(": ");
                represent(&value.get_item(&key).unwrap_or_default(), depth + 1, out);
            }
            out.push('}');
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other == mark => out.extend(['\\', other]),
            other if other.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(other));
            }
            other => out.push(other),
        }
    }
    out.push(mark);
}

fn escaped(text: &str) -> String {
    let pairs = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('\'', "&#39;"), ('"', "&#34;")];
    pairs.into_iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn without_tags(text: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for character in text.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => inside = false,
            other if !inside => out.push(other),
            _ => {}
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn centred(text: &str, width: usize) -> Result<String, Error> {
    let missing = width.saturating_sub(text.chars().count());
    if missing > 10_000 {
        return Err(refuse("a text is centred in at most 10,000 characters"));
    }
    let before = missing / 2 + (missing & width & 1);
    Ok(format!("{}{text}{}", " ".repeat(before), " ".repeat(missing - before)))
}

/// Gives nothing the first time it is called, and its separator from then on.
#[derive(Debug)]
struct Joiner {
    separator: String,
    used: std::sync::atomic::AtomicBool,
}

impl minijinja::value::Object for Joiner {
    fn call(self: &std::sync::Arc<Self>, _: &mut State<'_, '_>, _: &[Value]) -> Result<Value, Error> {
        let used = self.used.swap(true, std::sync::atomic::Ordering::Relaxed);
        Ok(Value::from(if used { self.separator.as_str() } else { "" }))
    }
}
