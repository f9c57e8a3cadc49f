//! What a model hands to a tool, checked against what the tool said it takes.

use super::ToolDefinition;
use divisi_providers::request::INVALID_INPUT;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Problems named at once: more would not help to repair the call.
const PROBLEMS_MAX: usize = 5;

/// Checks `input` against the schema of the tool; the error names each field.
pub(super) fn check(definition: &ToolDefinition, input: &Value) -> Result<(), String> {
    if let Some(written) = input.get(INVALID_INPUT).and_then(Value::as_str) {
        let why = match serde_json::from_str::<Value>(written) {
            Ok(other) => format!("they are {other}"),
            Err(error) => error.to_string(),
        };
        return Err(format!("the arguments of `{}` are no JSON object: {why}", definition.name));
    }
    let validator = jsonschema::validator_for(&definition.input_schema).map_err(|e| e.to_string())?;
    let problems: Vec<_> = validator
        .iter_errors(input)
        .take(PROBLEMS_MAX)
        .map(|error| match error.instance_path().as_str().trim_start_matches('/') {
            "" => format!("- {error}"),
            field => format!("- {field}: {error}"),
        })
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(format!("the input does not fit `{}`:\n{}", definition.name, problems.join("\n"))),
    }
}

/// Reads checked input.
pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, String> {
    serde_json::from_value(input).map_err(|error| format!("the input cannot be read: {error}"))
}
