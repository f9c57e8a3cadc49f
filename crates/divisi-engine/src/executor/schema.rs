//! Structured results: found in what a model says, and held to their schema.

use divisi_core::{Failure, FailureClass};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Most violations told to the model at once; the first few are what it needs.
const VIOLATIONS_MAX: usize = 8;

/// Longest schema in bytes. Vendors take less than a tenth.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Patterns of a schema, and memory for each in its compiled form: together they
/// say how long compiling can take.
const PATTERNS_MAX: usize = 200;
const PATTERN_MEMORY_BYTES: usize = 1024 * 1024;

/// Ways that are tried to fit a text to a pattern with look-around.
const STEPS_MAX: usize = 100_000;

/// Holds results to the full schema, of which vendors enforce a part only.
pub(super) struct Checked {
    validator: Validator,
}

impl Checked {
    /// Fails when `schema` is none.
    pub(super) fn new(schema: &Value) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::new(FailureClass::BadRequest, format!("the task's schema {why}"));
        bounded(schema).map_err(wrong)?;
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(STEPS_MAX)
            .size_limit(PATTERN_MEMORY_BYTES)
            .dfa_size_limit(PATTERN_MEMORY_BYTES);
        match jsonschema::options().with_pattern_options(patterns).build(schema) {
            Ok(validator) => Ok(Self { validator }),
            Err(error) => Err(wrong(format!("is no JSON Schema: {error}"))),
        }
    }

    /// The value in `said`, or what is wrong with it, in words for the model.
    pub(super) fn check(&self, said: &str) -> Result<Value, String> {
        let value = find_json(said).ok_or("The answer holds no JSON value.")?;
        let violations: Vec<String> = self
            .validator
            .iter_errors(&value)
            .take(VIOLATIONS_MAX)
            .map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.to_string(),
                path => format!("at {path}: {error}"),
            })
            .collect();
        if violations.is_empty() { Ok(value) } else { Err(violations.join("\n")) }
    }
}

/// Whether a schema is small enough to be compiled: a flow may have taken it from
/// the words of a model.
fn bounded(schema: &Value) -> Result<(), String> {
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        return Err(format!("is {bytes} bytes long, {SCHEMA_BYTES_MAX} are allowed"));
    }
    match patterns(schema) {
        0..=PATTERNS_MAX => Ok(()),
        count => Err(format!("has {count} patterns, {PATTERNS_MAX} are allowed")),
    }
}

fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => {
            let own = fields.iter().map(|(name, value)| match (name.as_str(), value) {
                ("pattern", Value::String(_)) => 1,
                ("patternProperties", Value::Object(by_pattern)) => by_pattern.len(),
                _ => 0,
            });
            own.sum::<usize>() + fields.values().map(patterns).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(patterns).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The JSON value in a text: all of it, or what stands in a code fence, or
/// from the first brace on.
fn find_json(said: &str) -> Option<Value> {
    let whole = said.trim();
    let fenced = whole.split("```").nth(1).map(|block| block.strip_prefix("json").unwrap_or(block));
    let braced = whole.find(['{', '[']).map(|start| &whole[start..]);
    let first = |text: &str| serde_json::Deserializer::from_str(text).into_iter().next()?.ok();
    serde_json::from_str(whole)
        .ok()
        .or_else(|| fenced.and_then(|block| serde_json::from_str(block).ok()))
        .or_else(|| braced.and_then(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_found_where_models_put_it() {
        let value = Some(json!({"a": 1}));
        assert_eq!(find_json("{\"a\": 1}"), value);
        assert_eq!(find_json("Here you are:\n```json\n{\"a\": 1}\n```\nDone."), value);
        assert_eq!(find_json("The result is {\"a\": 1}, I think."), value);
        assert_eq!(find_json("no value here"), None);
    }

    #[test]
    fn schemas_that_blow_up_are_refused_in_words() {
        let refusal = |schema: Value| match Checked::new(&schema) {
            Ok(_) => panic!("compiled"),
            Err(failure) => failure.message,
        };
        let many: serde_json::Map<String, Value> =
            (0..300).map(|n| (format!("p{n}"), json!({"pattern": "a"}))).collect();
        insta::assert_snapshot!(refusal(json!({"properties": many})), @"the task's schema has 300 patterns, 200 are allowed");
        insta::assert_snapshot!(refusal(json!({"description": "x".repeat(300_000)})), @"the task's schema is 300018 bytes long, 262144 are allowed");
        let huge = refusal(json!({"properties": {"a": {"pattern": r"(?:\p{L}{100}){100}"}}}));
        assert!(huge.starts_with("the task's schema is no JSON Schema: "), "{huge}");
        // Exponential for an engine that tries all ways: it is given up.
        let slow = Checked::new(&json!({"properties": {"a": {"pattern": "^(?=a)(a|a)*$"}}}));
        let slow = slow.unwrap_or_else(|failure| panic!("{failure}"));
        let said = json!({"a": format!("{}b", "a".repeat(64))}).to_string();
        assert!(slow.check(&said).is_err());
    }

    #[test]
    fn a_schema_that_is_its_own_part_ends() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"properties": {"a": {"$ref": "#"}}}),
        ] {
            if let Ok(checked) = Checked::new(&schema) {
                let _ = checked.check("{\"a\": {\"a\": {}}}");
            }
        }
    }

    #[test]
    fn violations_are_told_with_their_place() {
        let checked = Checked::new(&json!({
            "type": "object",
            "properties": {"n": {"type": "integer", "minimum": 3}},
            "required": ["n"],
        }));
        let checked = checked.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(checked.check("{\"n\": 3}"), Ok(json!({"n": 3})));
        insta::assert_snapshot!(checked.check("{\"n\": 2}").unwrap_err(), @"at /n: 2 is less than the minimum of 3");
        insta::assert_snapshot!(checked.check("{}").unwrap_err(), @r#""n" is a required property"#);
    }
}
