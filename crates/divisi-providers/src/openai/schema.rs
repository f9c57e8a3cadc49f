//! Schemas that OpenAI's strict mode can enforce.

use crate::strict;
use serde_json::{Value, json};

/// The documented limits: nesting of objects, total properties, total enum values, total characters
/// of names and values.
const NESTING_MAX: usize = 10;
const PROPERTIES_MAX: usize = 5_000;
const ENUM_VALUES_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 120_000;

/// The part of `schema` that strict mode can enforce; `None` if that would forbid valid answers, or
/// be refused.
pub(crate) fn enforceable(schema: &Value) -> Option<Value> {
    let (reduced, size) = strict::reduced(schema)?;
    let fits = size.optionals == 0
        && !size.has_untyped
        && reduced.get("anyOf").is_none()
        && size.nesting <= NESTING_MAX
        && size.properties <= PROPERTIES_MAX
        && size.enum_values <= ENUM_VALUES_MAX
        && size.name_chars <= NAME_CHARS_MAX;
    fits.then_some(reduced)
}

/// Name, schema and strictness of the answer; `None` if only an instruction helps, because the
/// answer is not an object.
///
/// Strict mode requires every property. A schema with optional ones is sent in full instead and not
/// enforced: a model forced to fill in an optional `error` would invent one.
///
/// Without `strictly` nothing is enforced.
pub(crate) fn answer_format(schema: &Value, strictly: bool) -> Option<Value> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return None;
    }
    let enforceable = strictly.then(|| enforceable(schema)).flatten();
    Some(match enforceable {
        Some(schema) => json!({"name": "answer", "strict": true, "schema": schema}),
        None => json!({"name": "answer", "strict": false, "schema": schema}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(properties: Value) -> Value {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({"type": "object", "required": required, "properties": properties})
    }

    /// What OpenAI documents, or was reported, to refuse in strict mode.
    fn faults(schema: &Value, path: &str, found: &mut Vec<String>) {
        match schema {
            Value::Array(items) => items.iter().for_each(|item| faults(item, path, found)),
            Value::Object(fields) => {
                let mut fault = |what: &str| found.push(format!("{path}: {what}"));
                if fields.contains_key("$ref") && fields.len() > 1 {
                    fault("$ref cannot have keywords");
                }
                if strict::may_be(fields, "object") {
                    let names: Vec<_> = fields["properties"].as_object().unwrap().keys().collect();
                    let required: Vec<_> = fields["required"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|v| v.as_str().unwrap())
                        .collect();
                    if fields.get("additionalProperties") != Some(&json!(false))
                        || names != required
                    {
                        fault("is not closed");
                    }
                }
                if strict::may_be(fields, "array") && !fields.contains_key("items") {
                    fault("array schema missing items");
                }
                if fields
                    .get("format")
                    .is_some_and(|format| !strict::FORMATS.contains(&format.as_str().unwrap()))
                {
                    fault("is not a valid format");
                }
                if !["type", "$ref", "anyOf"]
                    .iter()
                    .any(|name| fields.contains_key(*name))
                {
                    fault("schema must have a 'type' key");
                }
                for (name, value) in fields {
                    let known = [
                        "type",
                        "enum",
                        "required",
                        "$ref",
                        "title",
                        "description",
                        "properties",
                        "$defs",
                        "definitions",
                        "items",
                        "anyOf",
                        "additionalProperties",
                        "minItems",
                        "format",
                    ];
                    match name.as_str() {
                        "properties" | "$defs" | "definitions" => {
                            value
                                .as_object()
                                .unwrap()
                                .iter()
                                .for_each(|(name, inner)| faults(inner, name, found));
                        }
                        "items" | "anyOf" => faults(value, name, found),
                        name if known.contains(&name) => {}
                        name => found.push(format!("{path}: '{name}' is not permitted")),
                    }
                }
            }
            _ => {}
        }
    }

    #[test]
    fn nothing_that_strict_mode_refuses_is_left() {
        let word = json!({"word": {"type": "string", "maxLength": 9}});
        let with_defs = |property: Value| {
            let mut schema = object(json!({"a": property}));
            schema["$defs"] = word.clone();
            schema
        };
        for schema in [
            with_defs(json!({"$ref": "#/$defs/word", "description": "one word"})),
            with_defs(json!({"$ref": "#/$defs/word", "minLength": 1})),
            with_defs(json!({"$ref": "#/$defs/word", "default": "x", "title": "Word"})),
            with_defs(
                json!({"oneOf": [{"$ref": "#/$defs/word", "deprecated": true}, {"type": "null"}]}),
            ),
            object(json!({"a": {"type": "string", "format": "uri"}})),
            object(json!({"a": {"type": "string", "format": "date", "pattern": "^2"}})),
            object(
                json!({"a": {"type": "integer", "default": 3, "multipleOf": 2, "exclusiveMinimum": 0}}),
            ),
            object(
                json!({"a": {"enum": ["x", "y", "x"]}, "b": {"const": 1}, "c": {"enum": ["x", null]}}),
            ),
            object(json!({"a": {"type": ["string", "null"], "nullable": true, "examples": ["x"]}})),
            object(
                json!({"a": {"type": "array", "items": object(json!({"b": {"type": "number"}})), "uniqueItems": true, "maxItems": 3}}),
            ),
            object(json!({"default": {"type": "string"}, "$ref": {"type": "string"}})),
        ] {
            let mut found = vec![];
            let reduced = enforceable(&schema).unwrap_or_else(|| panic!("{schema}"));
            faults(&reduced, "root", &mut found);
            assert_eq!(found, [""; 0], "{schema} became {reduced}");
        }
    }

    #[test]
    fn what_strict_mode_would_refuse_as_a_whole_is_not_sent_strictly() {
        let text = || json!({"type": "string"});
        let deep = |levels: usize| {
            (1..levels).fold(object(json!({"a": text()})), |inner, _| {
                object(json!({"a": inner}))
            })
        };
        let values = |count: usize| object(json!({"a": {"enum": (0..count).collect::<Vec<_>>()}}));
        for (allowed, refused) in [
            (deep(NESTING_MAX), deep(NESTING_MAX + 1)),
            (values(ENUM_VALUES_MAX), values(ENUM_VALUES_MAX + 1)),
            (
                object(json!({"a": text()})),
                json!({"type": "object", "properties": {"a": text()}}),
            ),
            (
                object(json!({"a": text()})),
                json!({"type": "object", "properties": {"a": text()}, "required": ["a", "b"]}),
            ),
            (object(json!({"a": text()})), object(json!({"a": {}}))),
            (
                object(json!({"a": text()})),
                object(json!({"a": {"type": "array"}})),
            ),
            (
                object(json!({"a": {"anyOf": [text(), {"type": "null"}]}})),
                json!({"type": "object", "properties": {"a": text()}, "required": ["a"], "anyOf": [text()]}),
            ),
            (
                object(json!({"a": {"enum": ["x"]}})),
                object(json!({"a": {"enum": []}})),
            ),
        ] {
            assert!(enforceable(&allowed).is_some(), "{allowed}");
            assert_eq!(enforceable(&refused), None);
        }
    }
}
