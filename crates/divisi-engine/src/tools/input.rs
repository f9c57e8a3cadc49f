//! A model's arguments for a tool: bounded, normalised, and checked against the tool's schema.
//!
//! All tool calls pass through here, so their arguments are small enough for any compiler or
//! algorithm of a tool.

use super::file;
use divisi_providers::INVALID_INPUT;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

/// Most problems reported at once: more would not help to repair the call.
const PROBLEMS_MAX: usize = 5;

/// Most bytes of one problem, which may quote the model's text.
const PROBLEM_BYTES_MAX: usize = 400;

/// Most bytes of a text, by the name of its field.
///
/// Paths have the limit of Linux. Patterns are compiled, and useful ones are short. A command is
/// one argument of a program, limited to 128 KiB by Linux. The content of a file may be as large as
/// a file that can be read.
fn bytes_max(field: &str) -> usize {
    match field {
        "path" => 4_096,
        "glob" => 1_024,
        "pattern" => 4_096,
        "command" => 128 * 1024 - 1,
        _ => file::FILE_BYTES_MAX as usize,
    }
}

/// Normalises and checks the input; the error names each wrong field.
///
/// Models write numbers as strings, `null` for omitted fields, and the whole input as a string: the
/// meaning is clear, so these are accepted.
pub(super) fn checked(name: &str, schema: &Value, input: &Value) -> Result<Value, String> {
    let input = Value::Object(formed(schema, input));
    if let Some(written) = input.get(INVALID_INPUT).and_then(Value::as_str) {
        let why = match serde_json::from_str::<Value>(written) {
            Ok(other) => format!("they are {other}"),
            Err(error) => error.to_string(),
        };
        return Err(cut(format!(
            "the arguments of `{name}` are no JSON object: {why}"
        )));
    }
    let mut problems = too_long(&input);
    if problems.is_empty() {
        let validator = jsonschema::validator_for(schema).map_err(|e| e.to_string())?;
        problems.extend(
            validator
                .iter_errors(&input)
                .take(PROBLEMS_MAX)
                .map(
                    |error| match error.instance_path().as_str().trim_start_matches('/') {
                        "" => cut(format!("- {error}")),
                        field => cut(format!("- {field}: {error}")),
                    },
                ),
        );
    }
    match problems.is_empty() {
        true => Ok(input),
        false => Err(format!(
            "the input does not fit `{name}`:\n{}",
            problems.join("\n")
        )),
    }
}

/// Deserialises checked input.
pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, String> {
    serde_json::from_value(input).map_err(|error| format!("the input cannot be read: {error}"))
}

fn too_long(input: &Value) -> Vec<String> {
    let fields = input.as_object().into_iter().flatten();
    let problem = |(field, value): (&String, &Value)| {
        let (length, most) = (value.as_str()?.len(), bytes_max(field));
        (length > most).then(|| {
            cut(format!(
                "- {field}: is {length} bytes long, {most} are allowed"
            ))
        })
    };
    fields.filter_map(problem).take(PROBLEMS_MAX).collect()
}

fn formed(schema: &Value, input: &Value) -> Map<String, Value> {
    let mut fields = match input {
        Value::Object(fields) => match fields.get(INVALID_INPUT) {
            Some(Value::String(text)) if fields.len() == 1 => {
                object_in(text).unwrap_or_else(|| fields.clone())
            }
            _ => fields.clone(),
        },
        Value::String(text) => object_in(text).unwrap_or_else(|| invalid(text)),
        Value::Null => Map::new(),
        Value::Array(items) if items.is_empty() => Map::new(),
        other => invalid(&other.to_string()),
    };
    let known = &schema["properties"];
    fields.retain(|field, value| !value.is_null() || known[field].is_null());
    for (field, value) in &mut fields {
        let meant = match known[field]["type"].as_str() {
            Some("integer") => whole(value),
            Some("boolean") => truth(value),
            _ => None,
        };
        if let Some(meant) = meant {
            *value = meant;
        }
    }
    fields
}

/// The object encoded in a text, possibly several times; an empty text means no arguments.
fn object_in(text: &str) -> Option<Map<String, Value>> {
    /// More encodings are no accident.
    const ENCODINGS_MAX: usize = 3;
    let mut text = text.to_owned();
    for _ in 0..ENCODINGS_MAX {
        if text.trim().is_empty() {
            return Some(Map::new());
        }
        match serde_json::from_str(&text).ok()? {
            Value::Object(fields) => return Some(fields),
            Value::Null => return Some(Map::new()),
            Value::Array(items) if items.is_empty() => return Some(Map::new()),
            Value::String(inner) => text = inner,
            Value::Array(_) | Value::Bool(_) | Value::Number(_) => return None,
        }
    }
    None
}

fn invalid(text: &str) -> Map<String, Value> {
    Map::from_iter([(INVALID_INPUT.to_owned(), text.into())])
}

/// The integer that a string or a fraction represents.
fn whole(value: &Value) -> Option<Value> {
    /// Larger integers are not exact in floating point.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::String(text) => text.trim().parse::<i64>().ok().map(Value::from),
        Value::Number(number) if number.is_f64() => {
            let number = number
                .as_f64()
                .filter(|n| n.fract() == 0.0 && n.abs() <= MOST)?;
            Some(Value::Number(Number::from(number as i64)))
        }
        _ => None,
    }
}

fn truth(value: &Value) -> Option<Value> {
    match value.as_str()?.trim() {
        "true" | "True" => Some(true.into()),
        "false" | "False" => Some(false.into()),
        _ => None,
    }
}

fn cut(mut problem: String) -> String {
    if problem.len() > PROBLEM_BYTES_MAX {
        problem.truncate(problem.floor_char_boundary(PROBLEM_BYTES_MAX));
        problem.push('…');
    }
    problem
}

#[cfg(test)]
mod tests {
    use crate::tools::fixture::Fixture;
    use serde_json::{Value, json};

    #[tokio::test]
    async fn what_is_plainly_meant_is_taken() {
        let fixture = Fixture::new().file("a", "one\ntwo\n");
        for nothing in [
            json!(null),
            json!(""),
            json!([]),
            json!("{}"),
            json!("\"{}\""),
            json!("null"),
            json!(" "),
            json!({"invalid_json": "null"}),
            json!({"invalid_json": "\"{}\""}),
            json!({"glob": null}),
        ] {
            assert_eq!(
                fixture.ok("list_files", nothing.clone()).await,
                "a",
                "{nothing}"
            );
        }
        for second in [
            json!({"path": "a", "offset": "2", "limit": 1.0}),
            json!("{\"path\": \"a\", \"offset\": 2}"),
            json!({"invalid_json": "\"{\\\"path\\\": \\\"a\\\", \\\"offset\\\": 2}\""}),
        ] {
            assert_eq!(
                fixture.ok("read_file", second.clone()).await,
                "2\ttwo",
                "{second}"
            );
        }
        let edit = json!({"path": "a", "old_text": "o", "new_text": "0", "replace_all": "true"});
        assert_eq!(
            fixture.ok("edit_file", edit).await,
            "changed `a` on lines 1, 2"
        );
    }

    #[tokio::test]
    async fn what_is_no_input_is_named() {
        let fixture = Fixture::new();
        for (input, problem) in [
            (
                json!({"path": "a", "offset": "two"}),
                "offset: \"two\" is not of type \"integer\"",
            ),
            (json!({"path": "a", "offset": 1e300}), "the input"),
            (
                json!({"path": "a", "limit": -1}),
                "limit: -1 is less than the minimum of 1",
            ),
            (json!({"path": null}), "\"path\" is a required property"),
            (
                json!("{\"path\": "),
                "are no JSON object: EOF while parsing",
            ),
            (json!([1]), "are no JSON object: they are [1]"),
            (
                json!({"path": ["a"]}),
                "path: [\"a\"] is not of type \"string\"",
            ),
        ] {
            let error = fixture.error("read_file", input.clone()).await;
            assert!(error.contains(problem), "{input}: {error}");
        }
    }

    #[tokio::test]
    async fn every_text_of_every_tool_has_a_bound() {
        let fixture = Fixture::new().file("a", "x");
        let long = "a".repeat(17 * 1024 * 1024);
        for definition in fixture.toolbox().definitions() {
            let properties = definition.input_schema["properties"]
                .as_object()
                .unwrap()
                .clone();
            let texts = properties
                .iter()
                .filter(|(_, schema)| schema["type"] == "string");
            for (field, _) in texts {
                let filled = properties
                    .iter()
                    .filter(|(_, schema)| schema["type"] == "string");
                let mut input: serde_json::Map<String, Value> =
                    filled.map(|(name, _)| (name.clone(), json!("a"))).collect();
                input.insert(field.clone(), json!(long));
                let error = fixture.error(definition.name, Value::Object(input)).await;
                assert!(
                    error.contains(&format!("{field}: is {} bytes long", long.len())),
                    "{error:.200}"
                );
                assert!(error.len() < 1_000, "{field}");
            }
        }
    }

    #[tokio::test]
    async fn patterns_that_blow_up_are_refused_in_words() {
        let fixture = Fixture::new().file("a", &"a".repeat(100_000));
        let braces = |depth| format!("{}a{}", "{".repeat(depth), "}".repeat(depth));
        for tool in ["list_files", "search_files"] {
            for (glob, why) in [
                (
                    braces(500),
                    "the glob has more than 32 braces in each other",
                ),
                (
                    braces(20_000),
                    "glob: is 40001 bytes long, 1024 are allowed",
                ),
                (format!("{{{}", "a,".repeat(500)), "the glob is not valid"),
            ] {
                let error = fixture
                    .error(tool, json!({"glob": glob, "pattern": "a"}))
                    .await;
                assert!(
                    error.contains(why) || error.contains("'pattern' was unexpected"),
                    "{tool}: {error:.200}"
                );
            }
        }
        for pattern in [
            r"\w{200}{200}",
            r"(?:\w{50}){50}",
            &format!("{}a{}", "(".repeat(100), ")".repeat(100)),
        ] {
            let error = fixture
                .error("search_files", json!({"pattern": pattern}))
                .await;
            assert!(
                error.contains("the pattern is not valid"),
                "{pattern}: {error:.200}"
            );
        }
        // Slow for backtracking engines; this one takes one pass.
        assert_eq!(
            fixture
                .ok("search_files", json!({"pattern": "(a*)*b"}))
                .await,
            "no matches"
        );
    }
}
