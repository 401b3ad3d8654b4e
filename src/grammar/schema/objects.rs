//! Objects, lists and what joins schemas.
//!
//! Invariant: keys come in the schema's order, each once.

use serde_json::{Map, Value};

use super::super::Problem;
use super::super::gbnf::quoted;
use super::{Way, Writer};

/// Characters of a key beyond those that a schema names: none that JSON writes with an escape.
const KEY: &str = r#"[^"\\\x7F\x00-\x1F]"#;

/// A key of an object.
struct Key {
    /// The rule of key, colon and value.
    rule: String,
    required: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn object(
        &mut self,
        schema: &'a Map<String, Value>,
        way: &Way,
        name: &str,
    ) -> Result<String, Problem> {
        let none = Map::new();
        let properties = match schema.get("properties") {
            None => None,
            Some(Value::Object(properties)) => Some(properties),
            Some(_) => return Err(self.wrong(&way.key("properties"), "properties is an object of schemas")),
        };
        let required = self.required(schema, way)?;
        let extra = schema.get("additionalProperties");
        if properties.is_none_or(Map::is_empty)
            && required.is_empty()
            && matches!(extra, None | Some(Value::Bool(true)))
        {
            return Ok("object".into());
        }
        let mut keys = Vec::new();
        for (key, value) in properties.into_iter().flatten() {
            let is_required = required.contains(&key.as_str());
            let body = self.visit(value, &way.key("properties").key(key), &format!("{name}-{key}"))?;
            keys.push(self.key(name, key, body, is_required));
        }
        for key in required.iter().filter(|key| !properties.unwrap_or(&none).contains_key(**key)) {
            let body = match extra {
                Some(extra) => {
                    self.visit(extra, &way.key("additionalProperties"), &format!("{name}-{key}"))?
                }
                None => "value".to_owned(),
            };
            keys.push(self.key(name, key, body, true));
        }
        let others = self.others(extra, properties, &required, way, name)?;
        Ok(self.in_order(&keys, others.as_deref(), name))
    }

    fn required<'b>(&self, schema: &'b Map<String, Value>, way: &Way) -> Result<Vec<&'b str>, Problem> {
        let Some(required) = schema.get("required") else { return Ok(Vec::new()) };
        let names = required.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        names.ok_or_else(|| self.wrong(&way.key("required"), "required is a list of keys"))
    }

    fn key(&mut self, object: &str, key: &str, body: String, required: bool) -> Key {
        let value = self.named(&format!("{object}-{key}"), body);
        let name = quoted(&Value::from(key).to_string());
        Key {
            rule: self.add(&format!("{object}-{key}-kv"), format!("{name} space \":\" space {value}")),
            required,
        }
    }

    /// The rule of keys that the schema does not name, where it allows them.
    fn others(
        &mut self,
        extra: Option<&'a Value>,
        properties: Option<&Map<String, Value>>,
        required: &[&str],
        way: &Way,
        name: &str,
    ) -> Result<Option<String>, Problem> {
        let Some(extra) = extra.filter(|extra| **extra != Value::Bool(false)) else { return Ok(None) };
        let body = self.visit(extra, &way.key("additionalProperties"), &format!("{name}-other"))?;
        let value = self.named(&format!("{name}-other"), body);
        let named = properties.into_iter().flat_map(Map::keys).map(String::as_str);
        let mut keys: Vec<Vec<char>> =
            named.chain(required.iter().copied()).map(|key| key.chars().collect()).collect();
        keys.sort();
        keys.dedup();
        let key = none_of(&keys, 0);
        Ok(Some(
            self.add(
                &format!("{name}-other-kv"),
                format!("\"\\\"\" {key} \"\\\"\" space \":\" space {value}"),
            ),
        ))
    }

    /// The object with these keys, the others behind them.
    fn in_order(&mut self, keys: &[Key], others: Option<&str>, name: &str) -> String {
        let more = |rule: &str| format!("(\",\" space {rule} space)");
        let tail = others.map(|others| format!("{}*", more(others)));
        // From the last key to the first: what may follow where a key stands already, and what where none does.
        let mut after = tail.unwrap_or_default();
        let mut first = others.map(|others| format!("({others} space {after})?")).unwrap_or_default();
        for (index, key) in keys.iter().enumerate().rev() {
            let this = &key.rule;
            let rest = if after.is_empty() {
                after.clone()
            } else {
                self.add(&format!("{name}-after-{}", index + 1), after.clone())
            };
            let with = format!("{this} space {rest}");
            let with = with.trim_end().to_owned();
            first = match (key.required, first.is_empty()) {
                (true, _) => with,
                (false, true) => format!("({with})?"),
                (false, false) => {
                    let without = self.add(&format!("{name}-from-{}", index + 2), first.clone());
                    format!("{with} | {without}")
                }
            };
            let next = more(this);
            after = match (key.required, rest.is_empty()) {
                (true, true) => next,
                (true, false) => format!("{next} {rest}"),
                (false, true) => format!("{next}?"),
                (false, false) => format!("{next}? {rest}"),
            };
        }
        if first.is_empty() {
            return "\"{\" space \"}\"".into();
        }
        let inside = self.add(&format!("{name}-keys"), first);
        format!("\"{{\" space {inside} \"}}\"")
    }

    pub(super) fn array(
        &mut self,
        schema: &'a Map<String, Value>,
        way: &Way,
        name: &str,
    ) -> Result<String, Problem> {
        let counts = self.counts(schema, way, "minItems", "maxItems")?;
        let fixed = schema.get("prefixItems").map(|list| ("prefixItems", list));
        let fixed = fixed
            .or_else(|| schema.get("items").filter(|items| items.is_array()).map(|list| ("items", list)));
        if let Some((keyword, list)) = fixed {
            return self.tuple(list, counts, &way.key(keyword), name);
        }
        let body = match schema.get("items") {
            None => "value".to_owned(),
            Some(items) => self.visit(items, &way.key("items"), &format!("{name}-item"))?,
        };
        let item = self.named(&format!("{name}-item"), body);
        let (least, most) = counts.unwrap_or_else(|| ("0".into(), String::new()));
        let (least, most): (u64, Option<u64>) = (least.parse().unwrap_or(0), most.parse().ok());
        if most == Some(0) {
            return Ok("\"[\" space \"]\"".into());
        }
        let more = format!("(\",\" space {item} space)");
        let limit = most.map_or_else(String::new, |most| (most - 1).to_string());
        let items = format!("{item} space {more}{{{},{limit}}}", least.saturating_sub(1));
        let items = if least == 0 { format!("({items})?") } else { items };
        Ok(format!("\"[\" space {items} \"]\""))
    }

    /// A list of so many entries, each with a schema of its own.
    fn tuple(
        &mut self,
        list: &'a Value,
        counts: Option<(String, String)>,
        way: &Way,
        name: &str,
    ) -> Result<String, Problem> {
        let list = list.as_array().ok_or_else(|| self.wrong(way, "this is a list of schemas"))?;
        let (least, most) = counts.unwrap_or_default();
        let fits = least.parse().is_ok_and(|least: usize| least > list.len())
            || most.parse().is_ok_and(|most: usize| most < list.len());
        if fits {
            return Err(self.wrong(
                way,
                "as many entries as there are schemas here are not allowed by minItems or maxItems",
            ));
        }
        let mut items = Vec::new();
        for (index, item) in list.iter().enumerate() {
            let name = format!("{name}-{index}");
            let body = self.visit(item, &way.entry(index), &name)?;
            items.push(self.named(&name, body));
        }
        Ok(format!("\"[\" space {} \"]\"", items.join(" space \",\" space ") + " space"))
    }

    /// Several schemas at once: one alone, or objects, whose keys are put together.
    pub(super) fn all_of(
        &mut self,
        schema: &'a Map<String, Value>,
        parts: &'a Value,
        way: &Way,
        name: &str,
    ) -> Result<String, Problem> {
        let way_to_parts = way.key("allOf");
        let list = parts.as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| self.wrong(&way_to_parts, "allOf is a list of schemas"))?;
        if let [one] = list.as_slice() {
            self.only(schema, way, &["allOf", "type"])?;
            return self.visit(one, &way_to_parts.entry(0), name);
        }
        Err(self
            .wrong(&way_to_parts, "several schemas at once have no grammar; write one object with all keys"))
    }
}

/// The inside of a string that is none of these keys.
fn none_of(keys: &[Vec<char>], depth: usize) -> String {
    let mut nexts: Vec<char> = keys.iter().filter_map(|key| key.get(depth).copied()).collect();
    nexts.dedup();
    let is_plain = |c: &char| !matches!(c, '"' | '\\') && !c.is_control();
    nexts.retain(is_plain);
    let ends_here = keys.iter().any(|key| key.len() == depth);
    let in_class = |c: char| {
        if matches!(c, '[' | ']' | '-' | '^') {
            format!("\\{c}").replace("\\^", "\\x5E")
        } else {
            c.to_string()
        }
    };
    let mut alternatives = Vec::new();
    for next in &nexts {
        let under: Vec<Vec<char>> = keys.iter().filter(|key| key.get(depth) == Some(next)).cloned().collect();
        alternatives.push(format!("{} {}", quoted(&next.to_string()), none_of(&under, depth + 1)));
    }
    let taken: String = nexts.iter().map(|c| in_class(*c)).collect();
    alternatives.push(format!("[^{taken}\"\\\\\\x7F\\x00-\\x1F] {KEY}*"));
    let inside = format!("({})", alternatives.join(" | "));
    if ends_here { inside } else { format!("{inside}?") }
}
