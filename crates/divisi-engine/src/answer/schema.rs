//! Structured results: finds them in a model's answer and checks them against the schema.

use divisi_core::{Failure, FailureClass};
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Most violations shown to the model at once; it needs the first few.
const VIOLATIONS_MAX: usize = 8;

/// Most places in an answer at which JSON is searched for. Without it, an answer full of brackets
/// would take quadratic time.
const PLACES_MAX: usize = 64;

/// Bytes shown around the place at which JSON is broken.
const SHOWN_BYTES: usize = 40;

/// Longest schema in bytes. Vendors accept less than a tenth of it.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Most patterns of a schema, and memory for each compiled one: together they bound the time of
/// compiling.
const PATTERNS_MAX: usize = 200;
const PATTERN_MEMORY_BYTES: usize = 1024 * 1024;

/// Most backtracking steps for a pattern with look-around.
const STEPS_MAX: usize = 100_000;

/// Checks results against the full schema, of which vendors enforce only a part.
pub(crate) struct Checked {
    validator: Validator,
}

impl Checked {
    /// Fails if `schema` is invalid.
    pub(crate) fn new(schema: &Value) -> Result<Self, Failure> {
        Self::build(schema).map_err(|why| {
            Failure::new(FailureClass::BadRequest, format!("the task's schema {why}"))
        })
    }

    /// The error is a phrase that follows "the schema".
    fn build(schema: &Value) -> Result<Self, String> {
        bounded(schema)?;
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(STEPS_MAX)
            .size_limit(PATTERN_MEMORY_BYTES)
            .dfa_size_limit(PATTERN_MEMORY_BYTES);
        match jsonschema::options()
            .with_pattern_options(patterns)
            .build(schema)
        {
            Ok(validator) => Ok(Self { validator }),
            Err(error) => Err(format!("is no JSON Schema: {error}")),
        }
    }

    /// The first value in `said` that fits the schema, or the reason why none does, in words for
    /// the model.
    ///
    /// The reason is about the most likely value; if that is not valid JSON, it names the place of
    /// the error.
    pub(crate) fn check(&self, said: &str) -> Result<Value, String> {
        let said = super::of(said);
        let mut problem = None;
        for found in values(said) {
            let complaint = match found {
                Ok(value) => match self.violations(&value) {
                    None => return Ok(value),
                    Some(violations) => violations,
                },
                Err(broken) => broken,
            };
            problem.get_or_insert(complaint);
        }
        Err(problem.unwrap_or_else(|| "The answer holds no JSON value.".to_owned()))
    }

    fn violations(&self, value: &Value) -> Option<String> {
        let violations: Vec<String> = self
            .validator
            .iter_errors(value)
            .take(VIOLATIONS_MAX)
            .map(|error| match error.instance_path().to_string() {
                path if path.is_empty() => error.to_string(),
                path => format!("at {path}: {error}"),
            })
            .collect();
        (!violations.is_empty()).then(|| violations.join("\n"))
    }
}

/// The violations of a schema by a result; `None` if it is valid.
pub(crate) fn misfit(schema: &Value, value: &str) -> Result<Option<String>, Failure> {
    Ok(Checked::new(schema)?.check(value).err())
}

/// The violations of a schema by a value, one on each line; `None` if it is valid. Fails with a
/// phrase that follows "the schema" if that is invalid or too large to check.
pub fn violations(schema: &Value, value: &Value) -> Result<Option<String>, String> {
    Ok(Checked::build(schema)?.violations(value))
}

/// Whether a schema is small enough to compile: a flow may have got it from a model.
fn bounded(schema: &Value) -> Result<(), String> {
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        return Err(format!(
            "is {bytes} bytes long, {SCHEMA_BYTES_MAX} are allowed"
        ));
    }
    match patterns(schema) {
        0..=PATTERNS_MAX => Ok(()),
        count => Err(format!("has {count} patterns, {PATTERNS_MAX} are allowed")),
    }
}

fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(fields) => {
            let own = fields
                .iter()
                .map(|(name, value)| match (name.as_str(), value) {
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

/// The JSON values in a text, most likely first: the whole text, the contents of code fences, then
/// text between brackets. An error is an incomplete or broken value.
fn values(said: &str) -> Vec<Result<Value, String>> {
    let whole = said.trim();
    if let Ok(value) = serde_json::from_str(whole) {
        return match &value {
            // JSON within a JSON string.
            Value::String(text) => match serde_json::from_str(text) {
                Ok(inner) => vec![Ok(value), Ok(inner)],
                Err(_) => vec![Ok(value)],
            },
            _ => vec![Ok(value)],
        };
    }
    let mut found: Vec<_> = fenced(whole).into_iter().map(parsed).collect();
    found.extend(bracketed(whole));
    found
}

fn parsed(json: &str) -> Result<Value, String> {
    serde_json::from_str(json).map_err(|error| {
        let line_start = json
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1))
            .map(str::len)
            .sum::<usize>();
        let end = json.ceil_char_boundary((line_start + error.column()).min(json.len()));
        let start = json.floor_char_boundary(end.saturating_sub(SHOWN_BYTES));
        format!(
            "The answer is no JSON: {error}, after `{}`.",
            json[start..end].trim()
        )
    })
}

/// The contents of code fences marked or looking like JSON.
fn fenced(said: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for block in said.split("```").skip(1).step_by(2).take(PLACES_MAX) {
        let (info, content) = block.split_once('\n').unwrap_or(("", block));
        let info = info.trim();
        let content = if info.starts_with(['{', '[']) {
            block
        } else {
            content
        };
        let content = content.trim();
        let bare = content
            .strip_prefix("json")
            .map_or(content, str::trim_start);
        if info.to_ascii_lowercase().starts_with("json") || bare.starts_with(['{', '[', '"']) {
            found.push(bare);
        }
    }
    found
}

/// The text between matching brackets. An incomplete value ends the search, because a value inside
/// it is not the answer.
fn bracketed(said: &str) -> Vec<Result<Value, String>> {
    let mut found = Vec::new();
    let mut from = 0;
    for _ in 0..PLACES_MAX {
        let Some(start) = said[from..].find(['{', '[']).map(|start| from + start) else {
            break;
        };
        let rest = &said[start..];
        match balanced(rest) {
            Some(len) => {
                let value = parsed(&rest[..len]);
                if value.is_ok() || is_like_json(rest) {
                    found.push(value);
                }
                from = start + len;
            }
            None if is_like_json(rest) => {
                found.push(parsed(rest));
                break;
            }
            None => from = start + 1,
        }
    }
    // Brackets in prose come before the answer more often than after it.
    found.sort_by_key(|value| !matches!(value, Ok(Value::Object(_))));
    found
}

/// Whether the text after a bracket continues like JSON.
fn is_like_json(text: &str) -> bool {
    let next = text[1..].trim_start();
    match text.starts_with('{') {
        true => next.starts_with(['"', '}']),
        false => next.starts_with(['"', '{', '[']),
    }
}

/// The length of the value that the bracket at the start of `text` encloses.
fn balanced(text: &str) -> Option<usize> {
    let (mut depth, mut in_text, mut after_escape) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if after_escape => after_escape = false,
            b'\\' if in_text => after_escape = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked() -> Checked {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"type": "integer", "minimum": 1}, "list": {"type": "array"}},
            "required": ["a"],
        });
        Checked::new(&schema).unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[test]
    fn json_is_found_where_models_put_it() {
        for said in [
            "{\"a\": 1}",
            "Here you are:\n```json\n{\"a\": 1}\n```\nDone.",
            "```JSON\n{\"a\": 1}\n```",
            "I ran:\n```sh\nls {x}\n```\n\n```json\n{\"a\": 1}\n```",
            "```{\"a\": 1}```",
            "The result is {\"a\": 1}, I think.",
            "As said in [1], here it is:\n{\"a\": 1}",
            "Of the form {\"a\": number}, so {x} or: {\"a\": 1}",
            "<think>Like {\"b\": 2}? [1] it is.</think>\n\n{\"a\": 1}",
            "<think>```json\n{\"b\": 2}\n``` would be wrong</think>\n```json\n{\"a\": 1}\n```",
            "\"{\\\"a\\\": 1}\"",
            "First {\"b\": 2}, then {\"a\": 1}.",
        ] {
            assert_eq!(checked().check(said), Ok(json!({"a": 1})), "{said}");
        }
    }

    #[test]
    fn schemas_that_blow_up_are_refused_in_words() {
        let refusal = |schema: Value| match Checked::new(&schema) {
            Ok(_) => panic!("compiled"),
            Err(failure) => failure.message,
        };
        let many: serde_json::Map<String, Value> = (0..300)
            .map(|n| (format!("p{n}"), json!({"pattern": "a"})))
            .collect();
        insta::assert_snapshot!(refusal(json!({"properties": many})), @"the task's schema has 300 patterns, 200 are allowed");
        insta::assert_snapshot!(refusal(json!({"description": "x".repeat(300_000)})), @"the task's schema is 300018 bytes long, 262144 are allowed");
        let huge = refusal(json!({"properties": {"a": {"pattern": r"(?:\p{L}{100}){100}"}}}));
        assert!(
            huge.starts_with("the task's schema is no JSON Schema: "),
            "{huge}"
        );
        // Takes exponential time by backtracking, so the step limit ends it.
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
    fn the_model_is_told_what_is_wrong_and_where() {
        let told = |said: &str| checked().check(said).unwrap_err();
        insta::assert_snapshot!([
            told("{\"a\": 0}"),
            told("{}"),
            told("{\"a\": 1, \"list\": \"[1, 2]\"}"),
            told("no value here"),
            told("{\"a\": \"grep \\| sed\"}"),
            told("{\"a\": 1,}"),
            told("{\"a\": 1, \"list\": [1"),
            told("{\"a\": \"one\ntwo\"}"),
            told("{\"list\": [NaN], \"a\": 1}"),
            told("Here: {\"list\": [{\"a\": 1}, {\"a\": 1"),
            told("```json\n{\"a\": 1\n```"),
        ].join("\n"), @r#"
        at /a: 0 is less than the minimum of 1
        "a" is a required property
        at /list: "[1, 2]" is not of type "array"
        The answer holds no JSON value.
        The answer is no JSON: invalid escape at line 1 column 14, after `{"a": "grep \|`.
        The answer is no JSON: trailing comma at line 1 column 9, after `{"a": 1,}`.
        The answer is no JSON: EOF while parsing a list at line 1 column 19, after `{"a": 1, "list": [1`.
        The answer is no JSON: control character (\u0000-\u001F) found while parsing a string at line 2 column 0, after `{"a": "one`.
        The answer is no JSON: expected value at line 1 column 11, after `{"list": [N`.
        The answer is no JSON: EOF while parsing an object at line 1 column 27, after `{"list": [{"a": 1}, {"a": 1`.
        The answer is no JSON: EOF while parsing an object at line 1 column 7, after `{"a": 1`.
        "#);
    }

    #[test]
    fn brackets_without_end_are_looked_at_a_few_times_only() {
        let told = |bracket: &str| checked().check(&bracket.repeat(1 << 19)).unwrap_err();
        assert_eq!(told("[x"), "The answer holds no JSON value.");
        assert!(
            told("[").contains("recursion limit exceeded"),
            "{}",
            told("[")
        );
    }
}
