//! Methods of Python's texts, lists and dicts that published templates call, beside those that minijinja's own
//! compatibility has.
//!
//! Invariant: what a method makes is paid for from the render's fuel before it is made; a method that changes its
//! value does not exist, as in the sandbox that transformers renders in.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Python's methods, for values that have none of that name.
pub(super) fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match value.kind() {
        ValueKind::String => text(state, value.as_str().unwrap_or_default(), name, args)?,
        ValueKind::Seq => list(value, name, args)?,
        ValueKind::Map => dict(value, name, args)?,
        _ => None,
    };
    match own {
        Some(made) => Ok(made),
        None => pycompat::unknown_method_callback(state, value, name, args),
    }
}

fn text(state: &State, text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let made = match name {
        "split" => split(text, args)?,
        "rsplit" => rsplit(text, args)?,
        "splitlines" => splitlines(text, args)?,
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            partition(text, separator, name == "rpartition")?
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Value::from(text.strip_prefix(prefix).unwrap_or(text))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Value::from(text.strip_suffix(suffix).unwrap_or(text))
        }
        "find" | "rfind" | "index" | "rindex" => find(text, name, args)?,
        "count" => {
            let (wanted, from, to): (&str, Option<i64>, Option<i64>) = from_args(args)?;
            let (_, part) = between(text, from, to);
            let empty = part.chars().count() + 1;
            Value::from(if wanted.is_empty() { empty } else { part.matches(wanted).count() })
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            pay(state, width)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
            Value::from(format!("{sign}{zeros}{digits}"))
        }
        "ljust" | "rjust" | "center" => justified(state, text, name, args)?,
        "swapcase" => Value::from(text.chars().flat_map(swapped).collect::<String>()),
        "casefold" => Value::from(text.to_lowercase().replace('ß', "ss")),
        "capitalize" => {
            let mut rest = text.chars();
            let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
            Value::from(first + &rest.as_str().to_lowercase())
        }
        "expandtabs" => {
            let (width,): (Option<usize>,) = from_args(args)?;
            let width = width.unwrap_or(8).min(64);
            pay(state, text.matches('\t').count() * width)?;
            Value::from(without_tabs(text, width))
        }
        "isdecimal" => Value::from(!text.is_empty() && text.chars().all(|c| c.is_ascii_digit())),
        "isprintable" => Value::from(text.chars().all(|c| !c.is_control())),
        "isidentifier" => Value::from(
            !text.is_empty()
                && !text.starts_with(|c: char| c.is_numeric())
                && text.chars().all(|c| c.is_alphanumeric() || c == '_'),
        ),
        "encode" | "decode" | "__str__" => Value::from(text),
        _ => return Ok(None),
    };
    Ok(Some(made))
}

fn list(value: &Value, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match name {
        "copy" => Ok(Some(value.clone())),
        "index" => {
            let (wanted,): (Value,) = from_args(args)?;
            let place = value.try_iter()?.position(|item| item == wanted);
            place.map(|place| Some(Value::from(place))).ok_or_else(|| missing("the value is not in the list"))
        }
        _ => Ok(None),
    }
}

fn dict(value: &Value, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match name {
        "copy" => Ok(Some(value.clone())),
        // A key that is there is what `get` gives whatever its default, also where it is none.
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let known = value.try_iter()?.any(|other| other == key);
            Ok(Some(if known { value.get_item(&key)? } else { default.unwrap_or(Value::from(())) }))
        }
        _ => Ok(None),
    }
}

/// A separator and a number of cuts, each by place or by name.
fn separator(args: &[Value]) -> Result<(Option<String>, Option<usize>), Error> {
    let (by_place, most, named): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let by_name = named.get::<Option<Value>>("sep")?;
    let most = named.get::<Option<i64>>("maxsplit")?.or(most);
    named.assert_all_used()?;
    let separator = by_place.or(by_name).filter(|value| !value.is_none() && !value.is_undefined());
    let separator = separator.map(|value| value.as_str().unwrap_or_default().to_owned());
    if separator.as_ref().is_some_and(String::is_empty) {
        return Err(missing("empty separator"));
    }
    Ok((separator, most.and_then(|most| usize::try_from(most).ok())))
}

fn split(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most) = separator(args)?;
    let most = most.map_or(usize::MAX, |most| most.saturating_add(1));
    let Some(separator) = separator else { return Ok(words(text, most)) };
    Ok(text.splitn(most, separator.as_str()).map(Value::from).collect())
}

/// Words with what is left after the last cut, its outer white space gone in front only.
fn words(text: &str, most: usize) -> Value {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let cut = rest.find(char::is_whitespace).filter(|_| parts.len() + 1 < most);
        let (word, after) = rest.split_at(cut.unwrap_or(rest.len()));
        parts.push(Value::from(if cut.is_none() && parts.len() + 1 < most { word.trim_end() } else { word }));
        rest = after.trim_start();
    }
    parts.into_iter().collect()
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most) = separator(args)?;
    let most = most.map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<Value> = if let Some(separator) = separator {
        text.rsplitn(most, separator.as_str()).map(Value::from).collect()
    } else {
        let mut parts = Vec::new();
        let mut rest = text.trim_end();
        while !rest.is_empty() {
            let cut = rest.rfind(char::is_whitespace).filter(|_| parts.len() + 1 < most);
            let from = cut.map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
            parts.push(Value::from(&rest[from..]));
            rest = rest[..cut.unwrap_or(0)].trim_end();
        }
        parts
    };
    parts.reverse();
    Ok(parts.into_iter().collect())
}

fn splitlines(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (keep, named): (Option<bool>, Kwargs) = from_args(args)?;
    let keep = named.get::<Option<bool>>("keepends")?.or(keep).unwrap_or(false);
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let at =
            rest.find(['\n', '\r', '\x0b', '\x0c', '\x1c', '\x1d', '\x1e', '\u{85}', '\u{2028}', '\u{2029}']);
        let Some(at) = at else {
            lines.push(Value::from(rest));
            break;
        };
        let end = at
            + if rest[at..].starts_with("\r\n") {
                2
            } else {
                rest[at..].chars().next().map_or(1, char::len_utf8)
            };
        lines.push(Value::from(&rest[..if keep { end } else { at }]));
        rest = &rest[end..];
    }
    Ok(lines.into_iter().collect())
}

fn partition(text: &str, separator: &str, last: bool) -> Result<Value, Error> {
    if separator.is_empty() {
        return Err(missing("empty separator"));
    }
    let at = if last { text.rfind(separator) } else { text.find(separator) };
    let parts = match at {
        Some(at) => [&text[..at], separator, &text[at + separator.len()..]],
        None if last => ["", "", text],
        None => [text, "", ""],
    };
    Ok(parts.into_iter().map(Value::from).collect())
}

fn find(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, from, to): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let (before, part) = between(text, from, to);
    let at = if name.starts_with('r') { part.rfind(wanted) } else { part.find(wanted) };
    match at {
        Some(at) => Ok(Value::from(before + part[..at].chars().count())),
        None if name.ends_with("find") => Ok(Value::from(-1)),
        None => Err(missing("substring not found")),
    }
}

/// A stretch by characters as Python counts them, and how many come before it.
fn between(text: &str, from: Option<i64>, to: Option<i64>) -> (usize, &str) {
    let count = text.chars().count();
    let place = |at: i64| {
        let from_end = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 { count.saturating_sub(from_end) } else { from_end.min(count) }
    };
    let (from, to) = (from.map_or(0, place), to.map_or(count, place));
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    (from, if from < to { &text[byte(from)..byte(to)] } else { "" })
}

fn justified(state: &State, text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    let fill = fill.unwrap_or(" ");
    let count = text.chars().count();
    let missing = width.saturating_sub(count);
    pay(state, missing.saturating_mul(fill.len()))?;
    let before = match name {
        "ljust" => 0,
        "rjust" => missing,
        // As Python rounds: the odd one goes left where the width is odd.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(Value::from(format!("{}{text}{}", fill.repeat(before), fill.repeat(missing - before))))
}

fn swapped(character: char) -> Vec<char> {
    if character.is_uppercase() {
        character.to_lowercase().collect()
    } else {
        character.to_uppercase().collect()
    }
}

fn without_tabs(text: &str, width: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for character in text.chars() {
        match character {
            '\t' => {
                let spaces = if width == 0 { 0 } else { width - column % width };
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            other => {
                out.push(other);
                column = if matches!(other, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    out
}

/// Takes the fuel for so many bytes, as minijinja counts them.
fn pay(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel((bytes / 64) as u64)
}

fn missing(what: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.to_owned())
}
