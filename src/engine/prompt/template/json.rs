//! `tojson` as Python's `json.dumps` writes it: `", "` and `": "`, `indent`, `ensure_ascii`.
//!
//! Invariant: ends with an error on values nested deeper than [`DEPTH`], which may be nested in themselves.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

const DEPTH: usize = 100;

/// The filter. Where transformers and Python differ, as transformers: `ensure_ascii` is off by default.
#[allow(clippy::needless_pass_by_value)] // minijinja hands options over by value
pub(super) fn tojson(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<Value, Error> {
    let indent = match options.get::<Option<usize>>("indent")? {
        Some(width) => Some(width),
        None => indent,
    };
    let writer = Writer {
        indent: indent.map(|width| width.min(16)),
        ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    let _ = options.get::<Option<Value>>("separators")?;
    options.assert_all_used()?;
    let mut out = String::new();
    writer.write(value, 0, &mut out)?;
    Ok(Value::from_safe_string(out))
}

struct Writer {
    indent: Option<usize>,
    ensure_ascii: bool,
    sort_keys: bool,
}

impl Writer {
    fn write(&self, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "a value is nested too deep for tojson"));
        }
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => {
                let _ = write!(out, "{value}");
            }
            ValueKind::String => self.text(value.as_str().unwrap_or_default(), out),
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.list(keys.into_iter(), ['{', '}'], depth, out, |key, out| {
                    self.text(&key.to_string(), out);
                    out.push_str(": ");
                    self.write(&value.get_item(&key)?, depth + 1, out)
                })?;
            }
            ValueKind::Seq | ValueKind::Iterable => {
                self.list(value.try_iter()?, ['[', ']'], depth, out, |item, out| {
                    self.write(&item, depth + 1, out)
                })?;
            }
            kind => {
                return Err(Error::new(ErrorKind::InvalidOperation, format!("{kind} is not JSON")));
            }
        }
        Ok(())
    }

    fn list(
        &self,
        items: impl Iterator<Item = Value>,
        [open, close]: [char; 2],
        depth: usize,
        out: &mut String,
        mut item: impl FnMut(Value, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        out.push(open);
        let mut any = false;
        for value in items {
            if any {
                out.push_str(if self.indent.is_some() { "," } else { ", " });
            }
            any = true;
            self.new_line(depth + 1, out);
            item(value, out)?;
        }
        if any {
            self.new_line(depth, out);
        }
        out.push(close);
        Ok(())
    }

    fn new_line(&self, depth: usize, out: &mut String) {
        if let Some(width) = self.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', width * depth));
        }
    }

    fn text(&self, text: &str, out: &mut String) {
        let quoted = serde_json::Value::from(text).to_string();
        for character in quoted.chars() {
            if !self.ensure_ascii || character.is_ascii() {
                out.push(character);
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    fn check(expression: &str, expected: &str) {
        let mut environment = Environment::new();
        environment.add_filter("tojson", super::tojson);
        let data = serde_json::json!({ "b": [1, 2.0, true, null], "a": "é😀\"\n" });
        let value = minijinja::value::Serde(data);
        let source = format!("{{{{ {expression} }}}}");
        assert_eq!(
            environment.render_str(&source, context! { v => minijinja::Value::from(value) }).unwrap(),
            expected
        );
    }

    // Expected texts are those of Python 3.11's json.dumps.
    #[test]
    fn spacing_is_pythons() {
        check("v | tojson", "{\"b\": [1, 2.0, true, null], \"a\": \"é😀\\\"\\n\"}");
    }

    #[test]
    fn ascii_is_escaped_on_request() {
        check("v.a | tojson(ensure_ascii=true)", r#""\u00e9\ud83d\ude00\"\n""#);
        check("v.a | tojson(ensure_ascii=false)", "\"é😀\\\"\\n\"");
    }

    #[test]
    fn indent_puts_each_item_on_a_line() {
        let expected =
            "{\n  \"a\": \"é😀\\\"\\n\",\n  \"b\": [\n    1,\n    2.0,\n    true,\n    null\n  ]\n}";
        check("v | tojson(indent=2, sort_keys=true)", expected);
        check("[] | tojson(indent=4)", "[]");
        check("{} | tojson", "{}");
    }
}
