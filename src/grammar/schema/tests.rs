//! Sentences of schemas' grammars against what the schemas mean.

use super::super::gbnf::tests::accepts;
use super::*;

fn check(schema: &str, fits: &[&str], others: &[&str]) {
    let (grammar, _) = to_grammar(schema).unwrap_or_else(|problem| panic!("{problem}\n{schema}"));
    for text in fits {
        assert!(accepts(&grammar, text), "{text}\n{schema}\n{grammar}");
    }
    for text in others {
        assert!(!accepts(&grammar, text), "{text}\n{schema}\n{grammar}");
    }
}

#[test]
fn an_object_has_its_keys_in_order_the_required_ones_always() {
    let schema = r#"{"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"},
        "c": {"type": "boolean"}, "d": {"type": "null"}}, "required": ["b", "d"]}"#;
    check(
        schema,
        &[
            r#"{"a": 1, "b": "x", "c": true, "d": null}"#,
            r#"{"b":"","d":null}"#,
            "{\n  \"a\": -7,\n  \"b\": \"é \\n \\u00e9\",\n  \"d\": null\n}",
        ],
        &[
            "{}",
            r#"{"b":"x"}"#,
            r#"{"d":null,"b":"x"}"#,
            r#"{"b":"x","d":null,}"#,
            r#"{,"b":"x","d":null}"#,
            r#"{"b":"x","d":null,"e":1}"#,
            r#"{"b":"x" "d":null}"#,
            r#"{"a":1.5,"b":"x","d":null}"#,
        ],
    );
    let optional = r#"{"properties": {"a": {}, "b": {"const": 2}}}"#;
    check(
        optional,
        &["{}", r#"{"a":[1]}"#, r#"{"b":2}"#, r#"{"a":{},"b":2}"#],
        &[r#"{"b":2,"a":1}"#, r#"{"a":1 "b":2}"#],
    );
    check(r#"{"type": "object"}"#, &["{}", r#"{"x": [true, {"y": null}]}"#], &["[]", "{x:1}"]);
    check(r#"{"type":"object","additionalProperties":false}"#, &["{}", "{ }"], &[r#"{"a":1}"#]);
}

#[test]
fn keys_that_a_schema_does_not_name_come_last_and_are_others() {
    let schema = r#"{"type": "object", "properties": {"and": {"const": 1}, "also": {"const": 2}}, "required": ["and"],
        "additionalProperties": {"type": "integer"}}"#;
    check(
        schema,
        &[r#"{"and":1}"#, r#"{"and":1,"also":2,"an":3,"":4,"ands":5,"b":6}"#, r#"{"and":1,"x":0}"#],
        &[
            r#"{"and":1,"and":3}"#,
            r#"{"and":1,"also":3}"#,
            r#"{"x":1,"and":1}"#,
            r#"{"and":1,"x":"y"}"#,
            r#"{"and":1,"\":3}"#,
        ],
    );
    check(
        r#"{"additionalProperties": {"type": "boolean"}}"#,
        &["{}", r#"{"x":true,"y":false}"#],
        &[r#"{"x":1}"#],
    );
}

#[test]
fn lists_hold_as_many_as_they_may() {
    check(r#"{"type":"array"}"#, &["[]", "[1, \"a\", [null]]"], &["{}", "[1,]", "[,1]"]);
    let some = r#"{"type":"array","items":{"enum":["a","b"]},"minItems":2,"maxItems":3}"#;
    check(
        some,
        &[r#"["a","b"]"#, r#"["a", "a", "b"]"#],
        &["[]", r#"["a"]"#, r#"["a","a","a","a"]"#, r#"["c","a"]"#],
    );
    check(r#"{"items":{"type":"null"},"maxItems":1}"#, &["[]", "[null]"], &["[null,null]"]);
    check(
        r#"{"prefixItems":[{"type":"integer"},{"type":"string"}]}"#,
        &[r#"[1, "x"]"#],
        &["[1]", r#"[1,"x",2]"#],
    );
}

#[test]
fn texts_and_numbers_keep_to_their_bounds() {
    check(
        r#"{"type":"string","minLength":2,"maxLength":3}"#,
        &[r#""ab""#, r#""a\n""#],
        &[r#""a""#, r#""abcd""#],
    );
    check(r#"{"type":"string","pattern":"^a+$"}"#, &[r#""aa""#], &[r#""b""#, "aa"]);
    check(
        r#"{"type":"string","format":"date-time"}"#,
        &[r#""2026-02-28T23:59:00Z""#],
        &[r#""2026-13-01T00:00:00Z""#],
    );
    check(r#"{"type":"integer","minimum":1,"maximum":12}"#, &["1", "12"], &["0", "13", "1.0"]);
    check(r#"{"type":"integer","exclusiveMinimum":0.5}"#, &["1", "77"], &["0"]);
    check(r#"{"type":"number","minimum":0,"maximum":1}"#, &["0", "0.25", "1", "1.0"], &["1.5", "-0.1"]);
    check(r#"{"type":["integer","null"],"minimum":3}"#, &["3", "null"], &["2"]);
    check(r#"{"type":"number"}"#, &["-1.5e-3", "0"], &["01", ".5", "+1", "1."]);
}

#[test]
fn choices_constants_and_references_are_followed() {
    let schema = r##"{"$defs": {"node": {"type": "object", "properties": {"value": {"$ref": "#/$defs/kind"},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}, "required": ["value", "next"]},
        "kind": {"enum": ["a\"b", 1, null, {"x": [1]}]}}, "$ref": "#/$defs/node", "title": "List"}"##;
    check(
        schema,
        &[r#"{"value":1,"next":{"value":"a\"b","next":null}}"#, r#"{"value":{"x":[1]},"next":null}"#],
        &[r#"{"value":2,"next":null}"#, r#"{"value":1}"#],
    );
    check(r#"{"allOf":[{"type":"boolean"}],"description":"x"}"#, &["true"], &["1"]);
    check("true", &["1", "[]"], &["x"]);
}

#[test]
fn what_cannot_be_held_is_refused_with_its_line() {
    for (schema, said) in [
        (
            "{\n  \"type\": \"object\",\n  \"minProperties\": 2\n}",
            "line 3: minProperties has no grammar beside type",
        ),
        (
            "{\"type\": \"object\",\n \"properties\": {\n  \"a\": {\"type\": \"strnig\"}}}",
            "line 3: there is no type strnig",
        ),
        (
            "{\"type\":\n \"array\",\n \"uniqueItems\": true}",
            "line 3: uniqueItems has no grammar beside type",
        ),
        ("{\"type\": \"number\",\n \"minimum\": 0.5}", "line 2: a bound with a fraction has no grammar"),
        (
            "{\"type\": \"integer\", \"minimum\": 3, \"maximum\": 2}",
            "line 1: no number lies within these bounds",
        ),
        ("{\n\"$ref\": \"http://x/y\"}", "line 2: a $ref begins with #: schemas elsewhere are not read"),
        ("{\n\"$ref\": \"#/$defs/x\"}", "line 2: there is nothing at #/$defs/x"),
        ("{\"$ref\": \"#\"}", "line 1: this $ref leads to itself"),
        (
            "{\"type\": \"string\",\n\"pattern\": \"(?=x)\"}",
            "line 2: this pattern has no grammar, for it has a group that begins with (? and is no (?: )",
        ),
        ("{\"type\": \"string\", \n \"maxLength\": 1e6}", "line 2: maxLength can be 2000 at most"),
        ("{\"anyOf\": [\n{\"type\": \"null\"},\nfalse]}", "line 3: false allows no value at all"),
        ("{\n\"type\": \"object\",\n}", "line 3: this is no JSON: trailing comma"),
        ("", "line 1: this is no JSON: EOF while parsing a value"),
        ("3", "line 1: a schema is an object, true or false"),
    ] {
        let problem = to_grammar(schema).map_err(|problem| problem.to_string());
        assert_eq!(problem.map(drop), Err(said.to_owned()), "{schema}");
    }
    let (_, notes) = to_grammar(r#"{"type":"string","format":"email"}"#).unwrap();
    assert_eq!(notes, ["the reply is not held to the format email"]);
}
