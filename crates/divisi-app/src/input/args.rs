//! Checks the arguments of a flow against the schema in its `meta`.

use crate::Problem;
use crate::slip::nearest;
use divisi_engine::violations;
use serde_json::{Map, Value};

/// Refuses arguments that do not fit `schema`. Returns a warning for each that it does not name.
pub(super) fn check(schema: &Value, given: Option<&Value>) -> Result<Vec<String>, Problem> {
    let none = Value::Object(Map::new());
    let misfit = violations(schema, given.unwrap_or(&none)).map_err(|why| {
        Problem::usage(format!("`meta.args` of the flow {why}"))
            .hint("write a JSON Schema, such as { type: 'object', properties: { depth: { type: 'number' } } }")
    })?;
    let properties = schema.get("properties").and_then(Value::as_object);
    match misfit {
        // A schema of something else than an object says nothing about absent arguments.
        Some(_) if given.is_none() && properties.is_none() => Ok(vec![]),
        Some(violations) => {
            let what = match given {
                None => "the flow needs arguments",
                Some(_) => "the arguments do not fit the flow",
            };
            let problem = Problem::usage(format!("{what}: {}", violations.replace('\n', "; ")));
            Err(problem.with_hints(properties.map(|known| described(known, schema))))
        }
        None => {
            let given = given.and_then(Value::as_object);
            let (Some(known), Some(given)) = (properties, given) else {
                return Ok(vec![]);
            };
            let unknown = given.keys().filter(|name| !known.contains_key(*name));
            Ok(unknown.map(|name| warning(name, known)).collect())
        }
    }
}

fn warning(name: &str, known: &Map<String, Value>) -> String {
    let advice = match nearest(name, known.keys().map(String::as_str)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    };
    format!("the flow names no argument `{name}`{advice}")
}

/// The arguments that the schema names, as advice.
fn described(known: &Map<String, Value>, schema: &Value) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| {
        let mut names = required.into_iter().flatten();
        names.any(|required| required == name)
    };
    let one = |(name, property): (&String, &Value)| {
        let kind = property.get("type").and_then(Value::as_str);
        let about = property.get("description").and_then(Value::as_str);
        let needed = is_required(name).then_some("required");
        let details: Vec<&str> = [kind, needed, about].into_iter().flatten().collect();
        match details.as_slice() {
            [] => name.clone(),
            details => format!("{name} ({})", details.join(", ")),
        }
    };
    let names: Vec<String> = known.iter().map(one).collect();
    format!("it takes {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "modules": { "type": "array", "description": "names of modules" },
                "depth": { "type": "number" },
            },
            "required": ["modules"],
        })
    }

    fn said(given: Option<Value>) -> String {
        match check(&schema(), given.as_ref()) {
            Ok(warnings) => warnings.join("\n"),
            Err(problem) => format!("{problem}\n{}", problem.hints().join("\n")),
        }
    }

    #[test]
    fn arguments_fit_the_schema_of_the_flow() {
        assert_eq!(said(Some(json!({ "modules": ["a"], "depth": 2 }))), "");
        insta::assert_snapshot!(said(None), @r#"
        the flow needs arguments: "modules" is a required property
        it takes modules (array, required, names of modules), depth (number)
        "#);
        insta::assert_snapshot!(said(Some(json!({ "modules": "auth" }))), @r#"
        the arguments do not fit the flow: at /modules: "auth" is not of type "array"
        it takes modules (array, required, names of modules), depth (number)
        "#);
        insta::assert_snapshot!(said(Some(json!({ "modules": [], "dept": 2, "x": 1 }))), @r"
        the flow names no argument `dept`; did you mean `depth`?
        the flow names no argument `x`
        ");
    }

    #[test]
    fn a_schema_that_is_none_is_named() {
        let problem = check(&json!({ "type": "sentence" }), None).unwrap_err();
        assert!(
            problem
                .to_string()
                .starts_with("`meta.args` of the flow is no JSON Schema")
        );
    }
}
