//! Finds schemas that no result can satisfy, before an agent is paid to try.
//!
//! This does not validate schemas: it finds definite contradictions and accepts everything it does
//! not know.

use serde_json::{Map, Value};
use std::fmt;

/// What is wrong with a schema, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadSchema {
    path: String,
    what: String,
}

impl fmt::Display for BadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.what)
    }
}

/// Checks the schema of a result: an object at the root, no contradictions.
pub(crate) fn check(schema: &Value) -> Result<(), BadSchema> {
    let at = Path("schema".to_owned());
    let root = schema.as_object().ok_or_else(|| at.wrong("is no object"))?;
    if root.contains_key("type") && !types(root).contains(&"object") {
        return Err(
            at.wrong("has to describe an object; put lists and texts into a property of one")
        );
    }
    at.check(root)
}

/// The current position in the schema.
struct Path(String);

impl Path {
    fn below(&self, step: &str) -> Self {
        Self(format!("{}.{step}", self.0))
    }

    fn wrong(&self, what: impl Into<String>) -> BadSchema {
        BadSchema {
            path: self.0.clone(),
            what: what.into(),
        }
    }

    fn check(&self, schema: &Map<String, Value>) -> Result<(), BadSchema> {
        self.check_types(schema)?;
        self.check_required(schema)?;
        self.check_values(schema)?;
        for (least, most) in BOUNDS {
            self.check_bounds(schema, least, most)?;
        }
        self.check_below(schema)
    }

    fn check_types(&self, schema: &Map<String, Value>) -> Result<(), BadSchema> {
        match types(schema).iter().find(|name| !TYPES.contains(name)) {
            Some(name) => {
                Err(self.wrong(format!("has the type `{name}`, which JSON Schema has not")))
            }
            None => Ok(()),
        }
    }

    fn check_required(&self, schema: &Map<String, Value>) -> Result<(), BadSchema> {
        let Some(required) = schema.get("required") else {
            return Ok(());
        };
        let names: Option<Vec<&str>> = required
            .as_array()
            .and_then(|names| names.iter().map(Value::as_str).collect());
        let names = names.ok_or_else(|| self.wrong("has a `required` that is no list of names"))?;
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
            && !schema.contains_key("patternProperties");
        let known = |name| {
            schema
                .get("properties")
                .and_then(|all| all.get(name))
                .is_some()
        };
        match names.into_iter().find(|&name| closed && !known(name)) {
            Some(name) => Err(self.wrong(format!(
                "requires `{name}`, which is none of its properties, and allows no others"
            ))),
            None => Ok(()),
        }
    }

    fn check_values(&self, schema: &Map<String, Value>) -> Result<(), BadSchema> {
        let Some(values) = schema.get("enum") else {
            return Ok(());
        };
        let values = values
            .as_array()
            .ok_or_else(|| self.wrong("has an `enum` that is no list"))?;
        if values.is_empty() {
            return Err(self.wrong("has an empty `enum`: no value fits"));
        }
        let types = types(schema);
        if !types.is_empty()
            && !values
                .iter()
                .any(|value| types.iter().any(|name| fits(value, name)))
        {
            return Err(self.wrong(format!(
                "has no value in its `enum` that is {}",
                types.join(" or ")
            )));
        }
        Ok(())
    }

    fn check_bounds(
        &self,
        schema: &Map<String, Value>,
        least: &str,
        most: &str,
    ) -> Result<(), BadSchema> {
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        match (bound(least), bound(most)) {
            (Some(low), Some(high)) if low > high => Err(self.wrong(format!(
                "has `{least}` {low} above `{most}` {high}: no value fits"
            ))),
            _ => Ok(()),
        }
    }

    fn check_below(&self, schema: &Map<String, Value>) -> Result<(), BadSchema> {
        for keyword in ["properties", "patternProperties", "$defs", "definitions"] {
            let Some(below) = schema.get(keyword) else {
                continue;
            };
            let at = self.below(keyword);
            let below = below.as_object().ok_or_else(|| at.wrong("is no object"))?;
            below
                .iter()
                .try_for_each(|(name, schema)| at.below(name).check_any(schema))?;
        }
        for keyword in [
            "items",
            "prefixItems",
            "anyOf",
            "oneOf",
            "allOf",
            "additionalProperties",
        ] {
            match schema.get(keyword) {
                Some(Value::Array(all)) => {
                    all.iter().enumerate().try_for_each(|(place, one)| {
                        self.below(&format!("{keyword}[{place}]")).check_any(one)
                    })?;
                }
                Some(one) => self.below(keyword).check_any(one)?,
                None => {}
            }
        }
        Ok(())
    }

    fn check_any(&self, schema: &Value) -> Result<(), BadSchema> {
        match schema {
            Value::Object(schema) => self.check(schema),
            Value::Bool(_) => Ok(()),
            _ => Err(self.wrong("is no schema")),
        }
    }
}

const TYPES: [&str; 7] = [
    "object", "array", "string", "number", "integer", "boolean", "null",
];

const BOUNDS: [(&str, &str); 4] = [
    ("minItems", "maxItems"),
    ("minLength", "maxLength"),
    ("minimum", "maximum"),
    ("minProperties", "maxProperties"),
];

/// The types that a schema permits; empty if it permits all.
fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn fits(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_that_can_be_met_pass() {
        for schema in [
            json!({}),
            json!({ "type": "object", "properties": { "a": { "type": ["string", "null"], "enum": ["x", null] } },
                "required": ["a"], "additionalProperties": false }),
            json!({ "type": "object", "required": ["later"] }),
            json!({ "properties": { "list": { "type": "array", "minItems": 1, "maxItems": 1, "items": true } } }),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn schemas_that_nothing_meets_are_named() {
        let complaint = |schema: Value| check(&schema).unwrap_err().to_string();
        let inside =
            |schema: Value| complaint(json!({ "type": "object", "properties": { "a": schema } }));
        insta::assert_snapshot!(complaint(json!({ "type": "array" })), @"`schema` has to describe an object; put lists and texts into a property of one");
        insta::assert_snapshot!(
            inside(json!({ "required": ["b"], "additionalProperties": false })),
            @"`schema.properties.a` requires `b`, which is none of its properties, and allows no others"
        );
        insta::assert_snapshot!(inside(json!({ "minItems": 3, "maxItems": 2 })), @"`schema.properties.a` has `minItems` 3 above `maxItems` 2: no value fits");
        insta::assert_snapshot!(inside(json!({ "enum": [] })), @"`schema.properties.a` has an empty `enum`: no value fits");
        insta::assert_snapshot!(inside(json!({ "type": "string", "enum": [1] })), @"`schema.properties.a` has no value in its `enum` that is string");
        insta::assert_snapshot!(inside(json!({ "type": "text" })), @"`schema.properties.a` has the type `text`, which JSON Schema has not");
        insta::assert_snapshot!(inside(json!({ "required": "b" })), @"`schema.properties.a` has a `required` that is no list of names");
        insta::assert_snapshot!(inside(json!("string")), @"`schema.properties.a` is no schema");
        insta::assert_snapshot!(inside(json!({ "anyOf": [{ "items": { "type": 1, "enum": 2 } }] })), @"`schema.properties.a.anyOf[0].items` has an `enum` that is no list");
    }
}
