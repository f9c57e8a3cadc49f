//! Reduces JSON Schemas to what vendors can enforce.
//!
//! They refuse a schema with keywords outside of a small set, and require every object to be
//! closed. What they cannot enforce is moved into descriptions, so that the model at least reads
//! it; the caller checks answers against the whole schema. Beyond a size they refuse a schema
//! entirely: the limits are in the folder of each vendor.

use serde_json::{Map, Value, json};

/// Keywords that are enforced, and kept.
const ENFORCED: [&str; 4] = ["type", "required", "title", "description"];

/// Keywords that do not restrict values.
const SILENT: [&str; 8] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
];

/// Keywords that cannot be reduced: closing the object or list would change which values fit, and
/// no description can compensate for that.
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

/// Formats that all vendors enforce.
pub(crate) const FORMATS: [&str; 9] = [
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
];

/// Deepest nesting. Vendors allow about ten levels; a deeper schema does not describe an answer.
const DEPTH_MAX: usize = 32;

/// The enforceable part of `schema`, with its size; `None` if enforcing it would forbid valid
/// answers: maps with free keys, tuples, recursive references.
pub(crate) fn reduced(schema: &Value) -> Option<(Value, Size)> {
    let mut references = References {
        root: schema,
        open: Vec::new(),
        closed: Vec::new(),
    };
    if references.loop_from(schema, 0) {
        return None;
    }
    let reduced = reduce(schema, 0)?;
    let mut size = Size::default();
    size.measure(&reduced, 0);
    Some((reduced, size))
}

/// The size of a reduced schema, in the vendors' measures.
#[derive(Default)]
pub(crate) struct Size {
    /// Nesting of objects.
    pub(crate) nesting: usize,
    pub(crate) properties: usize,
    /// Number of optional properties.
    pub(crate) optionals: usize,
    /// Number of properties with several types.
    pub(crate) unions: usize,
    pub(crate) enum_values: usize,
    pub(crate) name_chars: usize,
    /// Whether a part of it has no type, or is a list of unspecified items.
    pub(crate) has_untyped: bool,
}

impl Size {
    fn measure(&mut self, schema: &Value, depth: usize) {
        let Value::Object(fields) = schema else {
            return;
        };
        let list = |name: &str| fields.get(name).and_then(Value::as_array);
        let nested = |name: &str| fields.get(name).and_then(Value::as_object);
        let depth = depth + usize::from(fields.contains_key("properties"));
        self.nesting = self.nesting.max(depth);
        let types = fields.get("type");
        self.unions += usize::from(list("anyOf").is_some() || types.is_some_and(Value::is_array));
        self.has_untyped |=
            types.is_none() && !fields.contains_key("anyOf") && !fields.contains_key("$ref");
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
        for (name, inner) in ["properties", "$defs", "definitions"]
            .into_iter()
            .filter_map(nested)
            .flatten()
        {
            self.name_chars += name.len();
            self.measure(inner, depth);
        }
        let listed = list("anyOf").into_iter().flatten();
        listed
            .chain(fields.get("items"))
            .for_each(|inner| self.measure(inner, depth));
    }
}

/// The instruction for a model whose server accepts no tools, if the task has some.
pub(crate) const WITHOUT_TOOLS: &str = "There are no tools in this conversation, whatever is said of them elsewhere: you cannot read files or run anything. Where the task needs that, say that it could not be done.";

/// The instruction for a model whose vendor cannot enforce `schema`.
pub(crate) fn instruction(schema: &Value) -> String {
    format!(
        "Your final answer must be one JSON value that fits this JSON Schema, with nothing before or after it:\n{schema}"
    )
}

fn reduce(schema: &Value, depth: usize) -> Option<Value> {
    let Value::Object(fields) = schema else {
        return None;
    };
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
                let reduced: Option<Vec<_>> = value
                    .as_array()?
                    .iter()
                    .map(|v| reduce(v, depth + 1))
                    .collect();
                kept.insert("anyOf".into(), reduced?.into());
            }
            "$ref" => {
                kept.insert(keyword.clone(), value.clone());
            }
            "additionalProperties" if value == &Value::Bool(false) => {}
            // An object with named properties can be closed: its author wrote `true`, or nothing,
            // without intending further ones.
            "additionalProperties"
                if value == &Value::Bool(true) && fields.contains_key("properties") => {}
            "additionalProperties" => return None,
            keyword if SHAPING.contains(&keyword) => return None,
            "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                kept.insert(keyword.clone(), value.clone());
            }
            "format"
                if value
                    .as_str()
                    .is_some_and(|format| FORMATS.contains(&format)) =>
            {
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

/// Closes an object; all its required properties must be declared.
fn close(kept: &mut Map<String, Value>) -> Option<()> {
    let properties = kept.get("properties")?.as_object()?;
    let required = kept.get("required").and_then(Value::as_array);
    let is_there = |name: &Value| {
        name.as_str()
            .is_some_and(|name| properties.contains_key(name))
    };
    if !required.is_none_or(|required| required.iter().all(is_there)) {
        return None;
    }
    kept.insert("additionalProperties".into(), json!(false));
    Some(())
}

/// A reference may have no siblings: its annotations are put around it, in a union with a single
/// member.
fn beside_no_reference(mut kept: Map<String, Value>) -> Option<Map<String, Value>> {
    if kept.len() == 1 || !kept.contains_key("$ref") {
        return Some(kept);
    }
    let reference = kept.remove("$ref")?;
    if kept.keys().all(|name| {
        matches!(
            name.as_str(),
            "title" | "description" | "$defs" | "definitions"
        )
    }) {
        kept.insert("anyOf".into(), json!([{ "$ref": reference }]));
        return Some(kept);
    }
    // Other conditions cannot be put around a reference.
    None
}

/// The distinct values of an enum, if all are scalars.
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

/// Whether `type` allows values of type `wanted`.
pub(crate) fn may_be(fields: &Map<String, Value>, wanted: &str) -> bool {
    match fields.get("type") {
        Some(Value::String(name)) => name == wanted,
        Some(Value::Array(names)) => names.iter().any(|name| name == wanted),
        _ => false,
    }
}

/// Follows references to detect recursion.
struct References<'a> {
    root: &'a Value,
    /// References being followed.
    open: Vec<&'a str>,
    /// References followed to their ends, so that each is followed once.
    closed: Vec<&'a str>,
}

impl<'a> References<'a> {
    fn loop_from(&mut self, at: &'a Value, depth: usize) -> bool {
        match at {
            _ if depth > DEPTH_MAX => true,
            Value::Object(fields) => {
                fields
                    .iter()
                    .any(|(name, value)| match (name.as_str(), value) {
                        ("$ref", Value::String(target)) => self.loop_through(target, depth),
                        _ => self.loop_from(value, depth + 1),
                    })
            }
            Value::Array(items) => items.iter().any(|item| self.loop_from(item, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    /// A reference that cannot be followed counts as recursive, because it cannot be enforced
    /// either.
    fn loop_through(&mut self, target: &'a str, depth: usize) -> bool {
        if self.closed.contains(&target) {
            return false;
        }
        let Some(referred) = target
            .strip_prefix('#')
            .and_then(|path| self.root.pointer(path))
        else {
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
        insta::assert_json_snapshot!(reduced(&schema).unwrap().0, @r##"
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
            assert!(reduced(&schema).is_none(), "{schema}");
        }
    }
}
