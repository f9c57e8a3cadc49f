//! The part of a JSON Schema that vendors can hold a model to.
//!
//! They refuse a request whose schema uses a keyword outside of a small set, and
//! want every object closed. What they cannot enforce is moved into descriptions,
//! where the model at least reads it; whether an answer fits the whole schema is
//! checked by whoever asked. Beyond a size they refuse a schema altogether.

use serde_json::{Map, Value, json};

/// Whose rules a schema has to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcer {
    /// Anthropic's structured outputs.
    Anthropic,
    /// OpenAI's strict mode, and whoever took it over.
    OpenAi,
}

/// Keywords that are enforced, and kept as they are.
const ENFORCED: [&str; 4] = ["type", "required", "title", "description"];

/// Keywords that say nothing about what fits.
const SILENT: [&str; 8] =
    ["$schema", "$id", "$anchor", "$comment", "examples", "readOnly", "writeOnly", "deprecated"];

/// Keywords whose meaning is lost where an object or a list is closed: what they
/// let in or keep out, no description can make good.
const SHAPING: [&str; 15] = [
    "patternProperties",
    "prefixItems",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "propertyNames",
    "additionalItems",
    "$dynamicRef",
];

/// Formats that both enforce.
const FORMATS: [&str; 9] =
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];

/// Deepest nesting. Vendors allow about ten levels; a schema beyond this is no
/// schema for an answer.
const DEPTH_MAX: usize = 32;

/// OpenAI's documented limits: levels of objects, properties in all, values of
/// enums in all, characters of all names and values.
const NESTING_MAX: usize = 10;
const PROPERTIES_MAX: usize = 5_000;
const ENUM_VALUES_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 120_000;

/// Anthropic's documented limits: properties that may be missing, and properties
/// of more than one type.
const OPTIONALS_MAX: usize = 24;
const UNIONS_MAX: usize = 16;

/// What can be enforced of `schema`, or `None` where enforcing it would forbid
/// answers that fit (maps with free keys, tuples, references to itself) or would be refused.
pub(crate) fn enforceable(schema: &Value, enforcer: Enforcer) -> Option<Value> {
    let mut references = References { root: schema, open: Vec::new(), closed: Vec::new() };
    if references.loop_from(schema, 0) {
        return None;
    }
    let reduced = reduce(schema, 0)?;
    let mut size = Size::default();
    size.measure(&reduced, 0);
    let fits = match enforcer {
        Enforcer::Anthropic => size.optionals <= OPTIONALS_MAX && size.unions <= UNIONS_MAX,
        Enforcer::OpenAi => {
            size.optionals == 0
                && !size.has_untyped
                && reduced.get("anyOf").is_none()
                && size.nesting <= NESTING_MAX
                && size.properties <= PROPERTIES_MAX
                && size.enum_values <= ENUM_VALUES_MAX
                && size.name_chars <= NAME_CHARS_MAX
        }
    };
    fits.then_some(reduced)
}

/// How large a reduced schema is, in what vendors count.
#[derive(Default)]
struct Size {
    nesting: usize,
    properties: usize,
    optionals: usize,
    unions: usize,
    enum_values: usize,
    name_chars: usize,
    /// Whether something in it has no type, or is a list of nobody knows what.
    has_untyped: bool,
}

impl Size {
    fn measure(&mut self, schema: &Value, depth: usize) {
        let Value::Object(fields) = schema else { return };
        let list = |name: &str| fields.get(name).and_then(Value::as_array);
        let nested = |name: &str| fields.get(name).and_then(Value::as_object);
        let depth = depth + usize::from(fields.contains_key("properties"));
        self.nesting = self.nesting.max(depth);
        let types = fields.get("type");
        self.unions += usize::from(list("anyOf").is_some() || types.is_some_and(Value::is_array));
        self.has_untyped |= types.is_none() && !fields.contains_key("anyOf") && !fields.contains_key("$ref");
        self.has_untyped |= may_be(fields, "array") && !fields.contains_key("items");
        if let Some(properties) = nested("properties") {
            let required = list("required").map_or(&[][..], Vec::as_slice);
            let is_required = |name: &String| required.iter().any(|one| one == name.as_str());
            self.properties += properties.len();
            self.optionals += properties.keys().filter(|name| !is_required(name)).count();
        }
        for value in list("enum").into_iter().flatten() {
            self.enum_values += 1;
            self.name_chars += value.as_str().map_or(0, str::len);
        }
        for (name, inner) in ["properties", "$defs", "definitions"].into_iter().filter_map(nested).flatten() {
            self.name_chars += name.len();
            self.measure(inner, depth);
        }
        let listed = list("anyOf").into_iter().flatten();
        listed.chain(fields.get("items")).for_each(|inner| self.measure(inner, depth));
    }
}

/// What a model is told whose server takes no tools, where the task has some.
pub(crate) const WITHOUT_TOOLS: &str = "There are no tools in this conversation, whatever is said of them elsewhere: you cannot read files or run anything. Where the task needs that, say that it could not be done.";

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
            "$ref" => {
                kept.insert(keyword.clone(), value.clone());
            }
            "additionalProperties" if value == &Value::Bool(false) => {}
            // An object that names its properties can be closed: whoever wrote
            // `true`, or nothing, did not ask for more of them.
            "additionalProperties" if value == &Value::Bool(true) && fields.contains_key("properties") => {}
            "additionalProperties" => return None,
            keyword if SHAPING.contains(&keyword) => return None,
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                kept.insert(keyword.clone(), value.clone());
            }
            "format" if value.as_str().is_some_and(|format| FORMATS.contains(&format)) => {
                kept.insert(keyword.clone(), value.clone());
            }
            "enum" => _ = kept.insert(keyword.clone(), scalars(value.as_array()?)?),
            "const" => _ = kept.insert("enum".into(), scalars(std::slice::from_ref(value))?),
            keyword if ENFORCED.contains(&keyword) => {
                kept.insert(keyword.into(), value.clone());
            }
            keyword if SILENT.contains(&keyword) => {}
            keyword => told.push(format!("{keyword}: {value}")),
        }
    }
    if may_be(fields, "object") || fields.contains_key("properties") {
        close(&mut kept)?;
    }
    if let (None, Some(Value::Array(values))) = (kept.get("type"), kept.get("enum")) {
        let types = types_of(values);
        kept.insert("type".into(), types);
    }
    if !told.is_empty() {
        let told = format!("({})", told.join(", "));
        let description = match kept.get("description").and_then(Value::as_str) {
            Some(description) => format!("{description} {told}"),
            None => told,
        };
        kept.insert("description".into(), description.into());
    }
    Some(beside_no_reference(kept)?.into())
}

/// Lets no object have more than its properties, all of which that are required must be there.
fn close(kept: &mut Map<String, Value>) -> Option<()> {
    let properties = kept.get("properties")?.as_object()?;
    let required = kept.get("required").and_then(Value::as_array);
    let is_there = |name: &Value| name.as_str().is_some_and(|name| properties.contains_key(name));
    if !required.is_none_or(|required| required.iter().all(is_there)) {
        return None;
    }
    kept.insert("additionalProperties".into(), json!(false));
    Some(())
}

/// A reference stands alone: what is said beside it, a union of one says around it.
fn beside_no_reference(mut kept: Map<String, Value>) -> Option<Map<String, Value>> {
    if kept.len() == 1 || !kept.contains_key("$ref") {
        return Some(kept);
    }
    let reference = kept.remove("$ref")?;
    if kept.keys().all(|name| matches!(name.as_str(), "title" | "description" | "$defs" | "definitions")) {
        kept.insert("anyOf".into(), json!([{ "$ref": reference }]));
        return Some(kept);
    }
    // More conditions than a reference can take along.
    None
}

/// Values of an enum, each once, if all can be compared.
fn scalars(values: &[Value]) -> Option<Value> {
    let mut once: Vec<&Value> = Vec::new();
    for value in values {
        if value.is_object() || value.is_array() {
            return None;
        }
        if !once.contains(&value) {
            once.push(value);
        }
    }
    (!once.is_empty()).then(|| json!(once))
}

/// The type, or the types, of these values.
fn types_of(values: &[Value]) -> Value {
    let mut types: Vec<&str> = values
        .iter()
        .map(|value| match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            _ => "string",
        })
        .collect();
    types.sort_unstable();
    types.dedup();
    match types.as_slice() {
        [one] => json!(one),
        several => json!(several),
    }
}

fn reduce_each(schemas: &Map<String, Value>, depth: usize) -> Option<Value> {
    schemas
        .iter()
        .map(|(name, schema)| Some((name.clone(), reduce(schema, depth + 1)?)))
        .collect::<Option<Map<_, _>>>()
        .map(Value::Object)
}

/// Whether a value of type `wanted` fits, as far as `type` says.
fn may_be(fields: &Map<String, Value>, wanted: &str) -> bool {
    match fields.get("type") {
        Some(Value::String(name)) => name == wanted,
        Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
        _ => false,
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
        insta::assert_json_snapshot!(enforceable(&schema, Enforcer::Anthropic).unwrap(), @r##"
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
              ],
              "type": "string"
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
            assert_eq!(enforceable(&schema, Enforcer::Anthropic), None, "{schema}");
            assert_eq!(enforceable(&schema, Enforcer::OpenAi), None, "{schema}");
        }
    }

    fn object(properties: Value) -> Value {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({"type": "object", "required": required, "properties": properties})
    }

    fn strict(schema: &Value) -> Option<Value> {
        enforceable(schema, Enforcer::OpenAi)
    }

    /// What OpenAI is documented, or was reported, to refuse in strict mode.
    fn faults(schema: &Value, path: &str, found: &mut Vec<String>) {
        match schema {
            Value::Array(items) => items.iter().for_each(|item| faults(item, path, found)),
            Value::Object(fields) => {
                let mut fault = |what: &str| found.push(format!("{path}: {what}"));
                if fields.contains_key("$ref") && fields.len() > 1 {
                    fault("$ref cannot have keywords");
                }
                if may_be(fields, "object") {
                    let names: Vec<_> = fields["properties"].as_object().unwrap().keys().collect();
                    let required: Vec<_> =
                        fields["required"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
                    if fields.get("additionalProperties") != Some(&json!(false)) || names != required {
                        fault("is not closed");
                    }
                }
                if may_be(fields, "array") && !fields.contains_key("items") {
                    fault("array schema missing items");
                }
                if fields.get("format").is_some_and(|format| !FORMATS.contains(&format.as_str().unwrap())) {
                    fault("is not a valid format");
                }
                if !["type", "$ref", "anyOf"].iter().any(|name| fields.contains_key(*name)) {
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
            with_defs(json!({"oneOf": [{"$ref": "#/$defs/word", "deprecated": true}, {"type": "null"}]})),
            object(json!({"a": {"type": "string", "format": "uri"}})),
            object(json!({"a": {"type": "string", "format": "date", "pattern": "^2"}})),
            object(json!({"a": {"type": "integer", "default": 3, "multipleOf": 2, "exclusiveMinimum": 0}})),
            object(json!({"a": {"enum": ["x", "y", "x"]}, "b": {"const": 1}, "c": {"enum": ["x", null]}})),
            object(json!({"a": {"type": ["string", "null"], "nullable": true, "examples": ["x"]}})),
            object(
                json!({"a": {"type": "array", "items": object(json!({"b": {"type": "number"}})), "uniqueItems": true, "maxItems": 3}}),
            ),
            object(json!({"default": {"type": "string"}, "$ref": {"type": "string"}})),
        ] {
            let mut found = vec![];
            let reduced = strict(&schema).unwrap_or_else(|| panic!("{schema}"));
            faults(&reduced, "root", &mut found);
            assert_eq!(found, [""; 0], "{schema} became {reduced}");
        }
    }

    #[test]
    fn what_strict_mode_would_refuse_as_a_whole_is_not_sent_strictly() {
        let text = || json!({"type": "string"});
        let deep = |levels: usize| {
            (1..levels).fold(object(json!({"a": text()})), |inner, _| object(json!({"a": inner})))
        };
        let values = |count: usize| object(json!({"a": {"enum": (0..count).collect::<Vec<_>>()}}));
        for (allowed, refused) in [
            (deep(NESTING_MAX), deep(NESTING_MAX + 1)),
            (values(ENUM_VALUES_MAX), values(ENUM_VALUES_MAX + 1)),
            (object(json!({"a": text()})), json!({"type": "object", "properties": {"a": text()}})),
            (
                object(json!({"a": text()})),
                json!({"type": "object", "properties": {"a": text()}, "required": ["a", "b"]}),
            ),
            (object(json!({"a": text()})), object(json!({"a": {}}))),
            (object(json!({"a": text()})), object(json!({"a": {"type": "array"}}))),
            (
                object(json!({"a": {"anyOf": [text(), {"type": "null"}]}})),
                json!({"type": "object", "properties": {"a": text()}, "required": ["a"], "anyOf": [text()]}),
            ),
            (object(json!({"a": {"enum": ["x"]}})), object(json!({"a": {"enum": []}}))),
        ] {
            assert!(strict(&allowed).is_some(), "{allowed}");
            assert_eq!(strict(&refused), None);
        }
    }

    #[test]
    fn anthropic_is_not_sent_more_optionals_and_unions_than_it_takes() {
        let optionals = |count: usize| {
            let properties: Map<_, _> =
                (0..count).map(|n| (format!("f{n}"), json!({"type": "string"}))).collect();
            json!({"type": "object", "properties": properties})
        };
        let unions = |count: usize| {
            let properties: Map<_, _> =
                (0..count).map(|n| (format!("f{n}"), json!({"type": ["string", "null"]}))).collect();
            object(properties.into())
        };
        let takes = |schema: Value| enforceable(&schema, Enforcer::Anthropic).is_some();
        assert!(takes(optionals(OPTIONALS_MAX)) && !takes(optionals(OPTIONALS_MAX + 1)));
        assert!(takes(unions(UNIONS_MAX)) && !takes(unions(UNIONS_MAX + 1)));
    }
}
