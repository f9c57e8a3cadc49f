//! A value that fits a schema, the same one for the same prompt.
//!
//! Supports what schemas for models contain: objects, arrays, enumerations, unions, references and
//! bounds. Not supported are `pattern`, `not` and conditions.

use crate::digest::Dice;
use serde_json::{Map, Value, json};

/// Deeper than this only what a schema requires is filled in, so that recursive schemas end.
const OPTIONAL_DEPTH_MAX: usize = 6;

/// Deeper than this everything is null: the schema requires infinite recursion.
const DEPTH_MAX: usize = 32;

/// Draws a value that fits `schema`.
pub(crate) fn sample(schema: &Value, dice: &mut Dice) -> Value {
    Sampler { root: schema, dice }.value(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    dice: &'a mut Dice,
}

impl<'a> Sampler<'a> {
    fn value(&mut self, schema: &'a Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        if let Some(choices) = list(schema, "enum") {
            return choices[self.dice.below(choices.len() as u64) as usize].clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self
                .referred(target)
                .map_or(Value::Null, |schema| self.value(schema, depth + 1));
        }
        if let Some(choices) = list(schema, "anyOf").or_else(|| list(schema, "oneOf")) {
            return self.value(&choices[0], depth + 1);
        }
        if let Some(parts) = list(schema, "allOf") {
            return self.all_of(schema, parts, depth);
        }
        match kind(schema) {
            "object" => Value::Object(self.object(schema, depth)),
            "array" => self.array(schema, depth),
            "integer" => self.integer(schema).into(),
            "number" => self.number(schema),
            "boolean" => (self.dice.below(2) == 1).into(),
            "null" => Value::Null,
            _ => self.string(schema).into(),
        }
    }

    fn referred(&self, target: &str) -> Option<&'a Value> {
        self.root.pointer(target.strip_prefix('#')?)
    }

    /// Only objects can be merged; of anything else the first part is used.
    fn all_of(&mut self, schema: &'a Value, parts: &'a [Value], depth: usize) -> Value {
        let mut merged = self.object(schema, depth);
        for part in parts {
            match self.value(part, depth + 1) {
                Value::Object(map) => merged.extend(map),
                other => return other,
            }
        }
        Value::Object(merged)
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Map<String, Value> {
        let required = list(schema, "required").unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let wanted = |name: &str| {
            depth < OPTIONAL_DEPTH_MAX || required.iter().any(|required| required == name)
        };
        properties
            .into_iter()
            .flatten()
            .filter(|(name, _)| wanted(name))
            .map(|(name, schema)| (name.clone(), self.value(schema, depth + 1)))
            .collect()
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let min = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let max = schema
            .get("maxItems")
            .and_then(Value::as_u64)
            .unwrap_or(u64::MAX);
        let usual = if depth < OPTIONAL_DEPTH_MAX {
            1 + self.dice.below(3)
        } else {
            0
        };
        let count = usual.clamp(min, max.max(min));
        match schema.get("items") {
            Some(items) => (0..count).map(|_| self.value(items, depth + 1)).collect(),
            None => (0..count).map(|_| Value::from(self.dice.word())).collect(),
        }
    }

    fn integer(&mut self, schema: &Value) -> i64 {
        let step = bound(schema, "multipleOf").unwrap_or(1.0).max(1.0);
        let (min, max) = bounds(schema, step);
        let (first, last) = ((min / step).ceil() as i64, (max / step).floor() as i64);
        let choices = last.saturating_sub(first).max(0) as u64 + 1;
        (first + self.dice.below(choices) as i64) * step as i64
    }

    /// Steps of a half between the bounds look like measurements and compare exactly.
    fn number(&mut self, schema: &Value) -> Value {
        let step = bound(schema, "multipleOf").unwrap_or(0.5);
        let (min, max) = bounds(schema, step);
        let (first, last) = ((min / step).ceil(), (max / step).floor());
        if last < first {
            return json!((min + max) / 2.0);
        }
        json!((first + self.dice.below((last - first) as u64 + 1) as f64) * step)
    }

    fn string(&mut self, schema: &Value) -> String {
        if let Some(text) = schema
            .get("format")
            .and_then(Value::as_str)
            .and_then(|format| self.formatted(format))
        {
            return text;
        }
        let limit = |name| {
            schema
                .get(name)
                .and_then(Value::as_u64)
                .map(|limit| limit as usize)
        };
        let mut text = self.dice.words(2);
        while text.len() < limit("minLength").unwrap_or(0) {
            text = text + " " + self.dice.word();
        }
        text.truncate(limit("maxLength").unwrap_or(usize::MAX));
        text
    }

    fn formatted(&mut self, format: &str) -> Option<String> {
        let number = self.dice.roll();
        let day = 1 + number % 28;
        Some(match format {
            "date-time" => format!("2026-01-{day:02}T12:00:00Z"),
            "date" => format!("2026-01-{day:02}"),
            "time" => format!("{:02}:00:00Z", number % 24),
            "email" => format!("{}@example.com", self.dice.word()),
            "uri" => format!("https://example.com/{}", self.dice.word()),
            "hostname" => format!("{}.example.com", self.dice.word()),
            "ipv4" => format!("192.0.2.{}", number % 256),
            "uuid" => format!("00000000-0000-4000-8000-{:012x}", number >> 16),
            _ => return None,
        })
    }
}

fn list<'a>(schema: &'a Value, name: &str) -> Option<&'a [Value]> {
    schema
        .get(name)?
        .as_array()
        .map(Vec::as_slice)
        .filter(|list| !list.is_empty())
}

/// The type to sample: the first that is not null, or the one implied by other keywords.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

fn bound(schema: &Value, name: &str) -> Option<f64> {
    schema.get(name).and_then(Value::as_f64)
}

/// The inclusive bounds of a number whose values are `step` apart.
fn bounds(schema: &Value, step: f64) -> (f64, f64) {
    const SPAN: f64 = 100.0;
    let min = bound(schema, "minimum").or_else(|| Some(bound(schema, "exclusiveMinimum")? + step));
    let max = bound(schema, "maximum").or_else(|| Some(bound(schema, "exclusiveMaximum")? - step));
    match (min, max) {
        (Some(min), Some(max)) => (min, max),
        (Some(min), None) => (min, min + SPAN * step),
        (None, Some(max)) => (max - SPAN * step, max),
        (None, None) => (0.0, SPAN * step),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::digest::Digest;

    fn assert_fits(schema: &Value) {
        for prompt in ["a", "b", "c", "d", "e"] {
            let value = sample(schema, &mut Digest::of(prompt.as_bytes()).dice());
            if let Err(error) = jsonschema::validate(schema, &value) {
                panic!("{value} does not fit {schema}: {error}");
            }
        }
    }

    #[test]
    fn samples_fit_their_schemas() {
        assert_fits(&json!({
            "type": "object",
            "properties": {
                "title": {"type": "string", "minLength": 20, "maxLength": 24},
                "score": {"type": "integer", "minimum": 3, "maximum": 4},
                "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "even": {"type": "integer", "multipleOf": 2, "minimum": 1},
                "severity": {"enum": ["low", "high"]},
                "kind": {"const": "finding"},
                "note": {"type": ["null", "string"]},
                "at": {"type": "string", "format": "date-time"},
                "files": {"type": "array", "items": {"type": "string"}, "minItems": 4, "maxItems": 5},
                "any": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
            },
            "required": ["title", "score", "files"],
            "additionalProperties": false,
        }));
    }

    #[test]
    fn recursive_schemas_end() {
        assert_fits(&json!({
            "$defs": {"node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["name", "children"],
            }},
            "$ref": "#/$defs/node",
        }));
    }

    #[test]
    fn parts_of_an_object_are_put_together() {
        assert_fits(&json!({"allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]}));
    }

    #[test]
    fn another_prompt_gives_another_sample() {
        let schema = json!({"type": "string"});
        let of = |prompt: &str| sample(&schema, &mut Digest::of(prompt.as_bytes()).dice());
        assert_eq!(of("a"), of("a"));
        assert_ne!(of("a"), of("b"));
    }
}
