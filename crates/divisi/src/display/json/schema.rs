//! JSON schemas of output, made from its types.

use crate::display::readable;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The schema of a type, among the definitions of a generator.
pub(crate) type Part = fn(&mut SchemaGenerator) -> Schema;

/// Where the schemas are published.
const ADDRESS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/main/docs/json");

/// The name of amounts in the program, and in schemas.
const UNIT: (&str, &str) = ("PicoUsd", "Dollars");

/// The schema of values that fit one of `parts`.
///
/// It permits further fields: programs that validate output should not fail when a field is added.
pub(crate) fn schema(name: &str, title: &str, about: &str, parts: &[Part]) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator = settings.into_generator();
    let parts: Vec<Schema> = parts.iter().map(|part| part(&mut generator)).collect();
    let mut definitions = generator.take_definitions(true);
    readable::schema(&mut definitions);
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("{ADDRESS}/{name}.schema.json"),
        "title": title,
        "description": about,
    });
    if let Some(amount) = definitions.shift_remove(UNIT.0) {
        definitions.insert(UNIT.1.to_owned(), amount);
    }
    match <[Schema; 1]>::try_from(parts) {
        Ok([part]) => {
            let part = part.to_value();
            for (key, value) in part.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
        }
        Err(parts) => whole["anyOf"] = json!(parts),
    }
    if !definitions.is_empty() {
        whole["$defs"] = Value::Object(definitions);
    }
    shorten(&mut whole);
    whole
}

/// Leaves out what says nothing of output: defaults, formats of numbers, which fields are refused in
/// input, all but the first paragraph of descriptions, and links to code in them.
fn shorten(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.shift_remove("format");
            fields.shift_remove("default");
            if fields.get("additionalProperties") == Some(&json!(false)) {
                fields.shift_remove("additionalProperties");
            }
            if let Some(Value::String(target)) = fields.get_mut("$ref") {
                *target = target.replace(UNIT.0, UNIT.1);
            }
            if let Some(Value::String(about)) = fields.get_mut("description") {
                *about = plain(about);
            }
            for (name, inner) in fields.iter_mut() {
                match (&**name, inner) {
                    // Their names are those of fields and types.
                    ("properties" | "$defs", Value::Object(schemas)) => {
                        schemas.values_mut().for_each(shorten);
                    }
                    (_, inner) => shorten(inner),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}

/// The first paragraph of a doc comment, on one line.
fn plain(about: &str) -> String {
    let paragraph = about.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace("`None`", "`null`");
    let mut text = String::new();
    for (place, part) in line.split("[`").enumerate() {
        if place == 0 {
            text.push_str(part);
            continue;
        }
        let (name, rest) = part.split_once("`]").unwrap_or((part, ""));
        let rest = match rest.strip_prefix('(').and_then(|link| link.split_once(')')) {
            Some((_, rest)) => rest,
            None => rest,
        };
        text.push_str(&format!("`{name}`{rest}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_one_paragraph_without_links() {
        assert_eq!(
            plain("The whole [`Task`](crate::Task): JSON\ntext of [`Graph`].\n\nMore."),
            "The whole `Task`: JSON text of `Graph`."
        );
    }
}
