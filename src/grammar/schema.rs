//! JSON schemas as grammars, after llama.cpp's common/json-schema-to-grammar.cpp, which the engine's crate leaves out
//! unless it builds all of llama.cpp's tools.
//!
//! Invariant: every sentence of the grammar is a JSON text that the schema allows. Not every text that it allows is a
//! sentence: keys come in the schema's order, and there are none that it does not name unless it says so. A keyword
//! that the grammar could not hold a reply to is refused; annotations are left out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::gbnf::quoted;
use super::numbers::Range;
use super::place::{Step, line_of};
use super::{Problem, pattern};

mod objects;

/// Keywords that say nothing about which texts are allowed.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentMediaType",
    "contentEncoding",
    "discriminator",
    "nullable",
];

const SPACE: &str = r#"| " " | "\n"{1,2} [ \t]{0,20}"#;
const CHARACTER: &str = r#"[^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})"#;
const VALUE: &str = "object | array | string | number | boolean | null";
const OBJECT: &str =
    r#""{" space (string space ":" space value space ("," space string space ":" space value space)*)? "}""#;
const ARRAY: &str = r#""[" space (value space ("," space value space)*)? "]""#;
const NUMBER: &str = r#"integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?"#;
const INTEGER: &str = r#""-"? ("0" | [1-9] [0-9]{0,15})"#;
/// Without the 29th of February, which only some years have.
const DATE: &str = r#"[0-9]{4} "-" (("0" [13578] | "10" | "12") "-" ("0" [1-9] | [12] [0-9] | "3" [01]) | ("0" [469] | "11") "-" ("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))"#;
const TIME: &str = r#"([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{3})? ("Z" | [-+] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])"#;
const UUID: &str =
    r#"[0-9a-fA-F]{8} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{4} "-" [0-9a-fA-F]{12}"#;

/// The rules that schemas have in common.
const COMMON: &[(&str, &str)] = &[
    ("space", SPACE),
    ("char", CHARACTER),
    ("string", r#""\"" char* "\"""#),
    ("value", VALUE),
    ("object", OBJECT),
    ("array", ARRAY),
    ("number", NUMBER),
    ("integer", INTEGER),
    ("boolean", r#""true" | "false""#),
    ("null", r#""null""#),
    ("date", DATE),
    ("time", TIME),
    ("uuid", UUID),
];

/// The grammar of a schema's text, and what of it is not held to.
///
/// # Errors
/// When the text is no JSON, or the schema asks for what no grammar can hold a reply to; names the line.
pub fn to_grammar(text: &str) -> Result<(String, Vec<String>), Problem> {
    let root: Value = serde_json::from_str(text).map_err(|error| {
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what).to_owned();
        Problem::new(error.line().max(1), format!("this is no JSON: {what}"))
    })?;
    let mut writer =
        Writer { text, root: &root, rules: BTreeMap::new(), references: BTreeMap::new(), notes: Vec::new() };
    let body = writer.visit(&root, &Way::default(), "root")?;
    let mut grammar = format!("root ::= {body}\n");
    for (name, rule) in &writer.rules {
        grammar.extend([name, " ::= ", rule, "\n"]);
    }
    grammar += &common_rules(&grammar);
    // What is repeated too often and the like.
    super::gbnf::check(&grammar)
        .map_err(|problem| Problem::new(1, format!("its grammar would be refused: {}", problem.what)))?;
    Ok((grammar, writer.notes))
}

/// Those of the common rules that a grammar names, and those that they name.
fn common_rules(grammar: &str) -> String {
    let names = |text: &str, name: &str| {
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == name)
    };
    let mut text = grammar.to_owned();
    let mut added = String::new();
    loop {
        let is_missing = |name: &str| names(&text, name) && !text.contains(&format!("\n{name} ::="));
        let Some((name, rule)) = COMMON.iter().find(|(name, _)| is_missing(name)) else { return added };
        let line = format!("{name} ::= {rule}\n");
        added += &line;
        text += &line;
    }
}

/// The way to a part of the schema.
#[derive(Clone, Debug, Default)]
struct Way(Vec<Step>);

impl Way {
    fn key(&self, key: &str) -> Self {
        Self([self.0.clone(), vec![Step::Key(key.to_owned())]].concat())
    }

    fn entry(&self, index: usize) -> Self {
        Self([self.0.clone(), vec![Step::Entry(index)]].concat())
    }
}

/// Writes the rules.
struct Writer<'a> {
    text: &'a str,
    root: &'a Value,
    rules: BTreeMap<String, String>,
    /// By what a `$ref` says: the rule that stands for it.
    references: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl<'a> Writer<'a> {
    fn wrong(&self, way: &Way, what: impl Into<String>) -> Problem {
        Problem::new(line_of(self.text, &way.0), what)
    }

    /// Adds a rule; its name, changed where another rule has it.
    fn add(&mut self, name: &str, body: String) -> String {
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let mut free = plain.clone();
        let mut count = 1;
        while self.rules.get(&free).is_some_and(|other| *other != body) {
            count += 1;
            free = format!("{plain}-{count}");
        }
        self.rules.insert(free.clone(), body);
        free
    }

    /// What a schema allows, as the right side of a rule.
    fn visit(&mut self, schema: &'a Value, way: &Way, name: &str) -> Result<String, Problem> {
        let schema = match schema {
            Value::Bool(true) => return Ok("value".into()),
            Value::Object(schema) => schema,
            Value::Bool(false) => return Err(self.wrong(way, "false allows no value at all")),
            _ => return Err(self.wrong(way, "a schema is an object, true or false")),
        };
        if let Some(of) = schema.get("$ref") {
            self.only(schema, way, &["$ref"])?;
            return self.reference(of, &way.key("$ref"));
        }
        if let Some(value) = schema.get("const") {
            return Ok(quoted(&value.to_string()));
        }
        if let Some(values) = schema.get("enum") {
            let values = values.as_array().filter(|values| !values.is_empty());
            let values = values.ok_or_else(|| self.wrong(&way.key("enum"), "enum is a list of values"))?;
            return Ok(values.iter().map(|value| quoted(&value.to_string())).collect::<Vec<_>>().join(" | "));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(keyword) {
                self.only(schema, way, &[keyword, "type"])?;
                return self.choices(choices, &way.key(keyword), name);
            }
        }
        if let Some(parts) = schema.get("allOf") {
            return self.all_of(schema, parts, way, name);
        }
        self.of_type(schema, way, name)
    }

    /// Refuses what a rule would have to hold as well.
    fn only(&self, schema: &Map<String, Value>, way: &Way, known: &[&str]) -> Result<(), Problem> {
        let is_known =
            |key: &str| known.contains(&key) || ANNOTATIONS.contains(&key) || key.starts_with("x-");
        match schema.keys().find(|key| !is_known(key)) {
            None => Ok(()),
            Some(key) => {
                let beside = known.first().map_or_else(String::new, |first| format!(" beside {first}"));
                Err(self.wrong(&way.key(key), format!("{key} has no grammar{beside}")))
            }
        }
    }

    fn choices(&mut self, choices: &'a Value, way: &Way, name: &str) -> Result<String, Problem> {
        let list = choices.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| self.wrong(way, "this is a list of schemas"))?;
        let mut names = Vec::new();
        for (index, choice) in list.iter().enumerate() {
            let name = format!("{name}-{index}");
            let body = self.visit(choice, &way.entry(index), &name)?;
            names.push(self.named(&name, body));
        }
        Ok(names.join(" | "))
    }

    /// A body as it can stand in another: by a rule's name unless it is one word.
    fn named(&mut self, name: &str, body: String) -> String {
        let is_word = body.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if is_word { body } else { self.add(name, body) }
    }

    fn reference(&mut self, of: &Value, way: &Way) -> Result<String, Problem> {
        let Some(path) = of.as_str().and_then(|path| path.strip_prefix('#')) else {
            return Err(self.wrong(way, "a $ref begins with #: schemas elsewhere are not read"));
        };
        if let Some(name) = self.references.get(path) {
            return Ok(name.clone());
        }
        let mut target = self.root;
        let mut to = Way::default();
        for part in path.split('/').skip(1) {
            let part = part.replace("~1", "/").replace("~0", "~");
            let next = match target {
                Value::Array(list) => part
                    .parse()
                    .ok()
                    .and_then(|index: usize| list.get(index).inspect(|_| to = to.entry(index))),
                other => other.get(&part).inspect(|_| to = to.key(&part)),
            };
            target = next.ok_or_else(|| self.wrong(way, format!("there is nothing at #{path}")))?;
        }
        // Named first, so that a schema can hold itself.
        let last = path.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or("root");
        let name = format!(
            "ref{}-{}",
            self.references.len() + 1,
            last.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        );
        self.references.insert(path.to_owned(), name.clone());
        let body = self.visit(target, &to, &name)?;
        if body == name {
            return Err(self.wrong(way, "this $ref leads to itself"));
        }
        self.rules.insert(name.clone(), body);
        Ok(name)
    }

    fn of_type(&mut self, schema: &'a Map<String, Value>, way: &Way, name: &str) -> Result<String, Problem> {
        let types = match schema.get("type") {
            None => vec![implied_type(schema)],
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) if !several.is_empty() => {
                several.iter().filter_map(Value::as_str).collect()
            }
            Some(_) => return Err(self.wrong(&way.key("type"), "type is a name or a list of names")),
        };
        if let [one] = types.as_slice() {
            return self.one_type(one, schema, way, name);
        }
        let mut names = Vec::new();
        for one in types {
            let name = format!("{name}-{one}");
            let body = self.one_type(one, schema, way, &name)?;
            names.push(self.named(&name, body));
        }
        Ok(names.join(" | "))
    }

    fn one_type(
        &mut self,
        one: &str,
        schema: &'a Map<String, Value>,
        way: &Way,
        name: &str,
    ) -> Result<String, Problem> {
        // With several types, each keyword counts for its own.
        let several = schema.get("type").is_some_and(Value::is_array);
        let known: &[&str] = match one {
            _ if several => &[OBJECTS, ARRAYS, STRINGS, NUMBERS].concat(),
            "object" => OBJECTS,
            "array" => ARRAYS,
            "string" => STRINGS,
            "number" | "integer" => NUMBERS,
            _ => &["type"],
        };
        self.only(schema, way, known)?;
        match one {
            "object" => self.object(schema, way, name),
            "array" => self.array(schema, way, name),
            "string" => self.string(schema, way),
            "integer" | "number" => self.number(one, schema, way),
            "boolean" | "null" => Ok(one.into()),
            "value" => Ok("value".into()),
            other => Err(self.wrong(&way.key("type"), format!("there is no type {other}"))),
        }
    }

    fn string(&mut self, schema: &Map<String, Value>, way: &Way) -> Result<String, Problem> {
        let counts = self.counts(schema, way, "minLength", "maxLength")?;
        if let Some(pattern) = schema.get("pattern") {
            let way = way.key("pattern");
            if counts.is_some() || schema.contains_key("format") {
                return Err(self.wrong(&way, "a pattern has no grammar beside a length or a format"));
            }
            let pattern = pattern.as_str().ok_or_else(|| self.wrong(&way, "pattern is a text"))?;
            let inside = pattern::to_rule(pattern, "char").map_err(|what| {
                self.wrong(&way, format!("this pattern has no grammar, for it has {what}"))
            })?;
            return Ok(format!(r#""\"" {inside} "\"""#));
        }
        let format = schema.get("format").and_then(Value::as_str);
        let inside = match format {
            Some(of @ ("date" | "time" | "uuid")) => of.to_owned(),
            Some("date-time") => r#"date "T" time"#.to_owned(),
            other => {
                if let Some(other) = other {
                    self.notes.push(format!("the reply is not held to the format {other}"));
                }
                return Ok(match counts {
                    None => "string".to_owned(),
                    Some((least, most)) => format!(r#""\"" char{{{least},{most}}} "\"""#),
                });
            }
        };
        if counts.is_some() {
            return Err(self.wrong(&way.key("format"), "a format has no grammar beside a length"));
        }
        Ok(format!(r#""\"" {inside} "\"""#))
    }

    fn number(&mut self, one: &str, schema: &Map<String, Value>, way: &Way) -> Result<String, Problem> {
        let mut range = Range::default();
        for (keyword, is_least, is_open) in [
            ("minimum", true, false),
            ("maximum", false, false),
            ("exclusiveMinimum", true, true),
            ("exclusiveMaximum", false, true),
        ] {
            let Some(value) = schema.get(keyword) else { continue };
            let bound = self.bound(value, &way.key(keyword), keyword, one == "integer")?;
            let (end, open) = if is_least {
                (&mut range.least, &mut range.open.0)
            } else {
                (&mut range.most, &mut range.open.1)
            };
            let is_closer = match *end {
                None => true,
                Some(other) => {
                    if is_least {
                        bound >= other
                    } else {
                        bound <= other
                    }
                }
            };
            if is_closer {
                (*end, *open) = (Some(bound), is_open);
            }
        }
        if range == Range::default() {
            return Ok(one.into());
        }
        let rule = if one == "integer" { range.whole() } else { range.any() };
        rule.ok_or_else(|| self.wrong(way, "no number lies within these bounds"))
    }

    /// A bound as a whole number; of whole numbers, one with a fraction means the next whole one inside.
    fn bound(&self, value: &Value, way: &Way, keyword: &str, whole: bool) -> Result<i64, Problem> {
        if let Some(bound) = value.as_i64() {
            return Ok(bound);
        }
        let bound = value.as_f64().filter(|bound| bound.abs() < 1e15);
        let bound =
            bound.ok_or_else(|| self.wrong(way, format!("{keyword} is a number of up to 15 digits")))?;
        match (bound.fract() == 0.0, whole, keyword) {
            (true, ..) => Ok(bound as i64),
            (false, true, "minimum" | "exclusiveMaximum") => Ok(bound.ceil() as i64),
            (false, true, _) => Ok(bound.floor() as i64),
            (false, false, _) => Err(self.wrong(way, "a bound with a fraction has no grammar")),
        }
    }

    /// Least and most of something that is counted, as `3` and `5` or nothing.
    fn counts(
        &self,
        schema: &Map<String, Value>,
        way: &Way,
        least: &str,
        most: &str,
    ) -> Result<Option<(String, String)>, Problem> {
        let read = |key: &str| match schema.get(key) {
            None => Ok(None),
            Some(value) => match value.as_u64().or_else(|| {
                value.as_f64().filter(|count| count.fract() == 0.0 && *count >= 0.0).map(|count| count as u64)
            }) {
                Some(count) if count <= 2000 => Ok(Some(count)),
                Some(_) => Err(self.wrong(&way.key(key), format!("{key} can be 2000 at most"))),
                None => Err(self.wrong(&way.key(key), format!("{key} is a whole number"))),
            },
        };
        let (from, to) = (read(least)?, read(most)?);
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            return Err(self.wrong(&way.key(most), format!("{most} is less than {least}")));
        }
        Ok((from.is_some() || to.is_some())
            .then(|| (from.unwrap_or(0).to_string(), to.map_or_else(String::new, |to| to.to_string()))))
    }
}

const OBJECTS: &[&str] = &["type", "properties", "required", "additionalProperties", "propertyOrdering"];
const ARRAYS: &[&str] = &["type", "items", "prefixItems", "minItems", "maxItems", "additionalItems"];
const STRINGS: &[&str] = &["type", "minLength", "maxLength", "pattern", "format"];
const NUMBERS: &[&str] = &["type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"];

/// The type that a schema without one is about: keywords of another type would say nothing.
fn implied_type(schema: &Map<String, Value>) -> &'static str {
    let has = |keys: &[&str]| keys.iter().any(|key| *key != "type" && schema.contains_key(*key));
    match () {
        () if has(OBJECTS) => "object",
        () if has(ARRAYS) => "array",
        () if has(STRINGS) => "string",
        () if has(NUMBERS) => "number",
        () => "value",
    }
}

#[cfg(test)]
mod tests;
