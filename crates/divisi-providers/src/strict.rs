//! The part of a JSON Schema that vendors can hold a model to.
//!
//! They refuse a request whose schema uses a keyword outside of a small set, and
//! want every object closed. What they cannot enforce is moved into descriptions,
//! where the model at least reads it; whether an answer fits the whole schema is
//! checked by whoever asked.

use serde_json::{Map, Value, json};

/// Keywords that are enforced, and kept as they are.
const ENFORCED: [&str; 8] = ["type", "enum", "const", "required", "$ref", "title", "description", "default"];

/// Keywords that say nothing about what fits.
const SILENT: [&str; 6] = ["$schema", "$id", "$comment", "examples", "readOnly", "writeOnly"];

/// Formats that are enforced.
const FORMATS: [&str; 9] =
    ["date-time", "date", "time", "duration", "email", "hostname", "uri", "ipv4", "ipv6"];

/// Deepest nesting. Vendors allow about ten levels; a schema beyond this is no
/// schema for an answer.
const DEPTH_MAX: usize = 32;

/// What can be enforced of `schema`, or `None` where enforcing it would forbid
/// answers that fit: maps with free keys, tuples, references to itself.
pub(crate) fn enforceable(schema: &Value) -> Option<Value> {
    let mut references = References { root: schema, open: Vec::new(), closed: Vec::new() };
    if references.loop_from(schema, 0) { None } else { reduce(schema, 0) }
}

/// Whether some object in `schema` has a property that may be missing.
pub(crate) fn has_optional(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let required = fields.get("required").and_then(Value::as_array).map_or(0, Vec::len);
            let declared = fields.get("properties").and_then(Value::as_object).map_or(0, Map::len);
            declared > required || fields.values().any(has_optional)
        }
        Value::Array(items) => items.iter().any(has_optional),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What a model is told where its vendor cannot enforce `schema`.
pub(crate) fn instruction(schema: &Value) -> String {
    format!(
        "Your final answer must be one JSON value that fits this JSON Schema, with nothing before or after it:\n{schema}"
    )
}

fn reduce(schema: &Value, depth: usize) -> Option<Value> {
    let Value::Object(fields) = schema else { return None };
    if depth > DEPTH_MAX {
        return None;
    }
    let mut kept = Map::new();
    let mut told = Vec::new();
    for (keyword, value) in fields {
        match keyword.as_str() {
            "properties" | "$defs" | "definitions" => {
                kept.insert(keyword.clone(), reduce_each(value.as_object()?, depth)?);
            }
            "items" => {
                kept.insert(keyword.clone(), reduce(value, depth + 1)?);
            }
            "anyOf" | "oneOf" => {
                let reduced: Option<Vec<_>> =
                    value.as_array()?.iter().map(|v| reduce(v, depth + 1)).collect();
                kept.insert("anyOf".into(), reduced?.into());
            }
            "additionalProperties" if value == &Value::Bool(false) => {}
            // An object that names its properties can be closed: whoever wrote
            // `true`, or nothing, did not ask for more of them.
            "additionalProperties" if value == &Value::Bool(true) && fields.contains_key("properties") => {}
            "additionalProperties" | "patternProperties" | "prefixItems" | "allOf" | "not" | "if" => {
                return None;
            }
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                kept.insert(keyword.clone(), value.clone());
            }
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                kept.insert(keyword.clone(), value.clone());
            }
            "enum" if value.as_array()?.iter().any(|one| one.is_object() || one.is_array()) => return None,
            keyword if ENFORCED.contains(&keyword) => {
                kept.insert(keyword.into(), value.clone());
            }
            keyword if SILENT.contains(&keyword) => {}
            keyword => told.push(format!("{keyword}: {value}")),
        }
    }
    if is_object(fields) {
        kept.get("properties")?;
        kept.insert("additionalProperties".into(), json!(false));
    }
    if !told.is_empty() {
        let told = format!("({})", told.join(", "));
        let description = match kept.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description} {told}"),
            None => told,
        };
        kept.insert("description".into(), description.into());
    }
    Some(kept.into())
}

fn reduce_each(schemas: &Map<String, Value>, depth: usize) -> Option<Value> {
    schemas
        .iter()
        .map(|(name, schema)| Some((name.clone(), reduce(schema, depth + 1)?)))
        .collect::<Option<Map<_, _>>>()
        .map(Value::Object)
}

fn is_object(fields: &Map<String, Value>) -> bool {
    match fields.get("type") {
        Some(Value::String(name)) => name == "object",
        Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
        _ => fields.contains_key("properties"),
    }
}

/// Follows references to see whether one leads back to itself.
struct References<'a> {
    root: &'a Value,
    /// Those being followed now.
    open: Vec<&'a str>,
    /// Those that were followed to their ends, so that each is followed once.
    closed: Vec<&'a str>,
}

impl<'a> References<'a> {
    fn loop_from(&mut self, at: &'a Value, depth: usize) -> bool {
        match at {
            _ if depth > DEPTH_MAX => true,
            Value::Object(fields) => fields.iter().any(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(target)) => self.loop_through(target, depth),
                _ => self.loop_from(value, depth + 1),
            }),
            Value::Array(items) => items.iter().any(|item| self.loop_from(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// What cannot be followed counts as a loop: it cannot be enforced either.
    fn loop_through(&mut self, target: &'a str, depth: usize) -> bool {
        if self.closed.contains(&target) {
            return false;
        }
        let Some(referred) = target.strip_prefix('#').and_then(|path| self.root.pointer(path)) else {
            return true;
        };
        if self.open.contains(&target) {
            return true;
        }
        self.open.push(target);
        let is_loop = self.loop_from(referred, depth + 1);
        self.open.pop();
        self.closed.push(target);
        is_loop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_enforced_and_tells_the_rest() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "title": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$", "description": "a name"},
                "score": {"type": "integer", "minimum": 0, "maximum": 10},
                "when": {"type": "string", "format": "date"},
                "tags": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/tag"}},
                "more": {"type": "array", "minItems": 2, "items": {"type": "object", "properties": {}}}
            },
            "required": ["title"],
            "$defs": {"tag": {"enum": ["a", "b"]}}
        });
        insta::assert_json_snapshot!(enforceable(&schema).unwrap(), @r##"
        {
          "type": "object",
          "properties": {
            "title": {
              "type": "string",
              "description": "a name (minLength: 3, pattern: \"^[a-z]+$\")"
            },
            "score": {
              "type": "integer",
              "description": "(minimum: 0, maximum: 10)"
            },
            "when": {
              "type": "string",
              "format": "date"
            },
            "tags": {
              "type": "array",
              "minItems": 1,
              "items": {
                "$ref": "#/$defs/tag"
              },
              "description": "(maxItems: 3)"
            },
            "more": {
              "type": "array",
              "items": {
                "type": "object",
                "properties": {},
                "additionalProperties": false
              },
              "description": "(minItems: 2)"
            }
          },
          "required": [
            "title"
          ],
          "$defs": {
            "tag": {
              "enum": [
                "a",
                "b"
              ]
            }
          },
          "additionalProperties": false
        }
        "##);
    }

    #[test]
    fn gives_up_where_it_would_forbid_what_fits() {
        for schema in [
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "object"}),
            json!({"type": "array", "prefixItems": [{"type": "string"}]}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"next": {"$ref": "#/$defs/a"}}}}}),
            json!({"$ref": "https://example.com/elsewhere.json"}),
            json!({"enum": [{"a": 1}]}),
            json!(true),
        ] {
            assert_eq!(enforceable(&schema), None, "{schema}");
        }
    }

    #[test]
    fn finds_optional_properties() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        let open =
            json!({"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}});
        assert!(!has_optional(&closed));
        assert!(has_optional(&open));
    }
}
