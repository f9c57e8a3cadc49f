//! Structured results: found in what a model says, and held to their schema.

use divisi_core::{Failure, FailureClass};
use jsonschema::Validator;
use serde_json::Value;

/// Most violations told to the model at once; the first few are what it needs.
const VIOLATIONS_MAX: usize = 8;

/// Holds results to the full schema, of which vendors enforce a part only.
pub(super) struct Checked {
    validator: Validator,
}

impl Checked {
    /// Fails when `schema` is none.
    pub(super) fn new(schema: &Value) -> Result<Self, Failure> {
        match jsonschema::validator_for(schema) {
            Ok(validator) => Ok(Self { validator }),
            Err(error) => Err(Failure::new(
                FailureClass::BadRequest,
                format!("the task's schema is no JSON Schema: {error}"),
            )),
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
