//! Samples values for a JSON Schema, for providers without a model.
//!
//! Equal seeds give equal values. Keywords that cannot be sampled sensibly are ignored: `not`,
//! `if`, `dependentSchemas`, `contains`, `patternProperties` and `propertyNames`.

mod pattern;

pub use pattern::matching;

use divisi_core::Digest;
use serde_json::{Map, Value, json};

/// Nesting below which only required properties are filled in, which ends recursive schemas.
const DEPTH_FULL: usize = 5;

/// Deepest nesting. Only a schema that requires itself reaches it, and no finite value fits one.
const DEPTH_MAX: usize = 24;

/// Number of values after which only required ones are filled in, because nested arrays would
/// multiply.
const VALUES_FULL: usize = 500;

/// Most values: a schema can require more than fits into memory.
const VALUES_MAX: usize = 100_000;

/// Longest array and text, whatever the schema requires.
const LENGTH_MAX: u64 = 10_000;

/// Returns a value that fits `schema`, the same for the same `seed`.
pub fn sample(schema: &Value, seed: &Digest) -> Value {
    sample_by(schema, &mut Dice::new(seed))
}

/// Returns a value that fits `schema`, with choices by `taste`.
pub fn sample_by(schema: &Value, taste: &mut dyn Taste) -> Value {
    let mut sampler = Sampler {
        root: schema,
        taste,
        path: String::new(),
        element: 0,
        values: 0,
    };
    sampler.value(schema, "sample", 0)
}

/// Makes the choices that a schema leaves open.
pub trait Taste {
    /// A short text, where neither format nor pattern restricts it. `name` is its property; it may
    /// be extended or cut.
    fn text(&mut self, name: &str, element: usize) -> String;

    /// A boolean.
    fn boolean(&mut self, name: &str) -> bool;

    /// The index of one of several values, for an element of the innermost list. Too large indices
    /// wrap around.
    fn choice(&mut self, element: usize) -> usize;

    /// The index of an allowed number, counted from the smallest, below `count`. `has_max` says
    /// whether the schema gives a maximum.
    fn number(&mut self, count: u64, has_max: bool) -> u64;

    /// The length of the list at `path`, within the schema's limits.
    fn elements(&mut self, path: &str) -> u64;

    /// Any number, for texts such as dates.
    fn any(&mut self) -> u64;
}

/// Makes all choices from a seed.
struct Dice {
    seed: [u8; 32],
    /// Number of random numbers drawn.
    drawn: u64,
}

impl Dice {
    /// Most elements of a list, unless more are required.
    const ELEMENTS_MAX: u64 = 3;

    fn new(seed: &Digest) -> Self {
        Self {
            seed: *seed.as_bytes(),
            drawn: 0,
        }
    }

    /// The next random number, below 2³².
    fn draw(&mut self) -> u64 {
        let mut mixed = self
            .drawn
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for part in self.seed.chunks_exact(8) {
            let part = part
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte));
            mixed = (mixed ^ part)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .rotate_left(31);
        }
        self.drawn += 1;
        mixed >> 32
    }
}

impl Taste for Dice {
    /// A text that contains its property's name: `title 3fa9`.
    fn text(&mut self, name: &str, _element: usize) -> String {
        format!("{name} {:04x}", self.draw() % 0x1_0000)
    }

    fn boolean(&mut self, _name: &str) -> bool {
        self.draw().is_multiple_of(2)
    }

    fn choice(&mut self, element: usize) -> usize {
        element
    }

    fn number(&mut self, count: u64, _has_max: bool) -> u64 {
        self.draw() % count
    }

    fn elements(&mut self, _path: &str) -> u64 {
        1 + self.draw() % Self::ELEMENTS_MAX
    }

    fn any(&mut self) -> u64 {
        self.draw()
    }
}

struct Sampler<'a> {
    root: &'a Value,
    taste: &'a mut dyn Taste,
    /// The path of properties to the present value, separated by dots.
    path: String,
    /// Index of the present element in the innermost array.
    element: usize,
    values: usize,
}

impl Sampler<'_> {
    /// A value for `schema`, whose property or container is `name`.
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        self.values += 1;
        let Value::Object(fields) = schema else {
            return self.taste.text(name, self.element).into();
        };
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Value::Null;
        }
        if let Some(value) = fields.get("const") {
            return value.clone();
        }
        if let Some(values) = fields
            .get("enum")
            .and_then(Value::as_array)
            .filter(|values| !values.is_empty())
        {
            return values[self.taste.choice(self.element) % values.len()].clone();
        }
        if let Some(whole) = self.resolved(fields) {
            return self.value(&whole, name, depth + 1);
        }
        match kind(fields) {
            "object" => self.object(fields, depth),
            "array" => self.array(fields, name, depth),
            "string" => self.string(fields, name).into(),
            "integer" => self.number(fields, true),
            "number" => self.number(fields, false),
            "boolean" => self.taste.boolean(name).into(),
            _ => Value::Null,
        }
    }

    /// The schema without references and alternatives, of which the first is used; `None` if it has
    /// none.
    fn resolved(&self, fields: &Map<String, Value>) -> Option<Value> {
        if !["$ref", "anyOf", "oneOf", "allOf"]
            .iter()
            .any(|keyword| fields.contains_key(*keyword))
        {
            return None;
        }
        let mut whole = fields.clone();
        let mut parts = Vec::new();
        if let Some(Value::String(target)) = whole.shift_remove("$ref") {
            parts.extend(
                target
                    .strip_prefix('#')
                    .and_then(|path| self.root.pointer(path)),
            );
        }
        let alternatives = ["anyOf", "oneOf"].map(|keyword| whole.shift_remove(keyword));
        parts.extend(
            alternatives
                .iter()
                .flatten()
                .filter_map(|schemas| schemas.get(0)),
        );
        let all = whole.shift_remove("allOf");
        parts.extend(all.iter().filter_map(Value::as_array).flatten());
        parts
            .into_iter()
            .filter_map(Value::as_object)
            .for_each(|part| merge(&mut whole, part));
        Some(whole.into())
    }

    fn object(&mut self, fields: &Map<String, Value>, depth: usize) -> Value {
        let none = Map::new();
        let properties = fields
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let required: Vec<_> = fields
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is_full = self.is_full(depth);
        let mut object = Map::new();
        for (name, schema) in properties {
            if is_full || required.contains(&name.as_str()) {
                object.insert(name.clone(), self.property(schema, name, depth));
            }
        }
        let any = json!({});
        let other = fields.get("additionalProperties").unwrap_or(&any);
        for name in required {
            if !object.contains_key(name) {
                object.insert(name.to_owned(), self.property(other, name, depth));
            }
        }
        let free = if other.is_object() && other != &any && is_full {
            1
        } else {
            0
        };
        let wanted = fields
            .get("minProperties")
            .and_then(Value::as_u64)
            .unwrap_or(0)
            .clamp(free, LENGTH_MAX);
        while (object.len() as u64) < wanted {
            let name = format!("{} {}", self.taste.text("key", object.len()), object.len());
            object.insert(name, self.value(other, "value", depth + 1));
        }
        object.into()
    }

    /// A value for the property `name`.
    fn property(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        let value = self.value(schema, name, depth + 1);
        self.path.truncate(outer);
        value
    }

    fn array(&mut self, fields: &Map<String, Value>, name: &str, depth: usize) -> Value {
        let min = fields
            .get("minItems")
            .and_then(Value::as_u64)
            .unwrap_or(0)
            .min(LENGTH_MAX);
        let max = fields
            .get("maxItems")
            .and_then(Value::as_u64)
            .unwrap_or(u64::MAX);
        let drawn = if self.is_full(depth) {
            self.taste.elements(&self.path).min(LENGTH_MAX)
        } else {
            0
        };
        let count = drawn.clamp(min, max.max(min)) as usize;
        let first = fields
            .get("prefixItems")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let rest = fields.get("items").unwrap_or(&Value::Null);
        // If further items are forbidden or have another kind of schema, only the first ones are
        // made.
        let count = if rest == &Value::Bool(false) {
            count.min(first.len())
        } else {
            count
        };
        let is_unique = fields.get("uniqueItems") == Some(&Value::Bool(true));
        let outer = self.element;
        let mut elements: Vec<Value> = Vec::with_capacity(count);
        for element in 0..count {
            self.element = element;
            let value = self.value(first.get(element).unwrap_or(rest), name, depth + 1);
            if !is_unique || !elements.contains(&value) {
                elements.push(value);
            }
        }
        self.element = outer;
        elements.into()
    }

    fn string(&mut self, fields: &Map<String, Value>, name: &str) -> String {
        let limit = |keyword| fields.get(keyword).and_then(Value::as_u64);
        let min = limit("minLength").unwrap_or(0).min(LENGTH_MAX) as usize;
        let max = limit("maxLength").map_or(usize::MAX, |max| max as usize);
        let format = fields.get("format").and_then(Value::as_str);
        if let Some(text) = format.and_then(|format| self.formatted(format)) {
            return text;
        }
        let pattern = fields.get("pattern").and_then(Value::as_str);
        if let Some(text) = pattern.and_then(|pattern| pattern::matching(pattern, min)) {
            return text;
        }
        let mut text = self.taste.text(name, self.element);
        while text.chars().count() < min {
            text.push(' ');
            text.push_str(&self.taste.text(name, self.element));
        }
        // Longer than the shortest allowed text only within the maximum.
        text.chars().take(max).collect()
    }

    fn formatted(&mut self, format: &str) -> Option<String> {
        let n = self.taste.any();
        Some(match format {
            "date-time" => format!("2026-01-{:02}T{:02}:00:00Z", 1 + n % 28, n % 24),
            "date" => format!("2026-01-{:02}", 1 + n % 28),
            "time" => format!("{:02}:00:00Z", n % 24),
            "duration" => format!("PT{}M", 1 + n % 59),
            "email" => format!("sample-{:04x}@example.com", n % 0x1_0000),
            "hostname" => format!("sample-{:04x}.example.com", n % 0x1_0000),
            "uri" | "uri-reference" | "iri" => format!("https://example.com/{:04x}", n % 0x1_0000),
            "uuid" => format!("{n:08x}-0000-4000-8000-{:012x}", n ^ 0xd1b1),
            "ipv4" => format!("192.0.2.{}", n % 256),
            "ipv6" => format!("2001:db8::{:x}", n % 0x1_0000),
            _ => return None,
        })
    }

    fn number(&mut self, fields: &Map<String, Value>, is_integer: bool) -> Value {
        let limit = |keyword| fields.get(keyword).and_then(Value::as_f64);
        let step = limit("multipleOf").filter(|step| *step > 0.0);
        let grain = step.unwrap_or(1.0);
        let above = limit("exclusiveMinimum").map(|min| (min / grain).floor() * grain + grain);
        let below = limit("exclusiveMaximum").map(|max| (max / grain).ceil() * grain - grain);
        let min = limit("minimum")
            .map(|min| (min / grain).ceil() * grain)
            .into_iter()
            .chain(above)
            .reduce(f64::max);
        let max = limit("maximum")
            .map(|max| (max / grain).floor() * grain)
            .into_iter()
            .chain(below)
            .reduce(f64::min);
        let (min, max) = match (min, max) {
            (Some(min), Some(max)) => (min, max),
            (Some(min), None) => (min, min + 99.0 * grain),
            (None, Some(max)) => (max - 99.0 * grain, max),
            (None, None) => (grain, 100.0 * grain),
        };
        if min > max && !is_integer {
            // No integer is within the limits, so the middle is used.
            let low = limit("minimum")
                .or(limit("exclusiveMinimum"))
                .unwrap_or(max);
            let high = limit("maximum")
                .or(limit("exclusiveMaximum"))
                .unwrap_or(min);
            return json!((low + high) / 2.0);
        }
        let grains = ((max - min) / grain).floor().clamp(0.0, 99.0) as u64 + 1;
        let has_max = limit("maximum").or(limit("exclusiveMaximum")).is_some();
        let value = min + (self.taste.number(grains, has_max) % grains) as f64 * grain;
        if value.fract() == 0.0 {
            json!(value as i64)
        } else {
            json!(value)
        }
    }

    fn is_full(&self, depth: usize) -> bool {
        depth < DEPTH_FULL && self.values < VALUES_FULL
    }
}

/// The type to sample, of those that `fields` allow or suggest.
fn kind(fields: &Map<String, Value>) -> &str {
    match fields.get("type") {
        Some(Value::String(name)) => return name,
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            return names.find(|name| *name != "null").unwrap_or("null");
        }
        _ => {}
    }
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| fields.contains_key(*keyword));
    if has(&[
        "properties",
        "required",
        "additionalProperties",
        "minProperties",
    ]) {
        "object"
    } else if has(&["items", "prefixItems", "minItems"]) {
        "array"
    } else if has(&[
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    ]) {
        "number"
    } else {
        "string"
    }
}

/// Adds the requirements of `part` to `whole`.
fn merge(whole: &mut Map<String, Value>, part: &Map<String, Value>) {
    for (keyword, value) in part {
        match (whole.get_mut(keyword), value) {
            (Some(Value::Object(have)), Value::Object(more)) if keyword == "properties" => {
                have.extend(
                    more.iter()
                        .map(|(name, schema)| (name.clone(), schema.clone())),
                );
            }
            (Some(Value::Array(have)), Value::Array(more)) if keyword == "required" => {
                have.extend(more.iter().cloned());
            }
            (Some(_), _) => {}
            (None, value) => {
                whole.insert(keyword.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample, checked against the schema.
    fn fitting(schema: Value, seed: &str) -> Value {
        let value = sample(&schema, &Digest::of(seed.as_bytes()));
        let check = jsonschema::options()
            .should_validate_formats(true)
            .build(&schema)
            .unwrap();
        let errors: Vec<_> = check
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert!(
            errors.is_empty(),
            "{value} does not fit {schema}: {errors:?}"
        );
        value
    }

    #[test]
    fn fits_whatever_is_usual_in_schemas() {
        for schema in [
            json!({}),
            json!({"type": "string", "minLength": 40}),
            json!({"type": "string", "maxLength": 3}),
            json!({"type": "string", "pattern": "^[A-Z]{2,4}-\\d+(\\.\\w+)?$", "minLength": 9}),
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "string", "format": "email"}),
            json!({"type": "string", "format": "uuid"}),
            json!({"type": ["null", "integer"], "minimum": 3, "exclusiveMaximum": 5}),
            json!({"type": "integer", "multipleOf": 7, "minimum": 50}),
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!({"type": "number", "minimum": 0, "maximum": 1}),
            json!({"type": "integer", "maximum": -5}),
            json!({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": true, "minItems": 3}),
            json!({"type": "array", "minItems": 5, "items": {"type": "boolean"}}),
            json!({"type": "array", "maxItems": 0}),
            json!({"prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false, "minItems": 2}),
            json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}),
            json!({"type": "object", "required": ["a"]}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"allOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]},
                             {"properties": {"b": {"const": 3}}, "required": ["b"]}]}),
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                   "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"$ref": "#/$defs/node", "$defs": {"node": {
                "type": "object",
                "properties": {"name": {"type": "string"},
                               "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
                "required": ["name", "children"], "additionalProperties": false}}}),
        ] {
            for seed in ["one", "two", "three", "four"] {
                fitting(schema.clone(), seed);
            }
        }
    }

    #[test]
    fn is_the_same_for_the_same_seed_only() {
        let schema = json!({
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "severity": {"enum": ["high", "medium", "low"]},
                "findings": {"type": "array", "items": {
                    "type": "object",
                    "properties": {"severity": {"enum": ["high", "low"]}, "line": {"type": "integer"}},
                    "required": ["line"]
                }}
            }
        });
        assert_eq!(fitting(schema.clone(), "a"), fitting(schema.clone(), "a"));
        assert_ne!(fitting(schema.clone(), "a"), fitting(schema.clone(), "b"));
        insta::assert_json_snapshot!(fitting(schema, "a"), @r#"
        {
          "title": "title 9601",
          "severity": "high",
          "findings": [
            {
              "severity": "high",
              "line": 29
            },
            {
              "severity": "low",
              "line": 60
            }
          ]
        }
        "#);
    }

    #[test]
    fn ends_for_schemas_that_do_not() {
        let unsatisfiable = json!({"$ref": "#/$defs/a", "$defs": {"a": {
            "type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]
        }}});
        sample(&unsatisfiable, &Digest::of(b""));
        let mut wide = json!({"type": "integer"});
        for _ in 0..10 {
            wide = json!({"type": "array", "items": wide, "minItems": 1_000});
        }
        sample(&wide, &Digest::of(b""));
    }
}
