//! The reference of all settings, for users ([`markdown`]) and for editors ([`schema`]), generated
//! from the types.

use super::claims::OF_THE_USER;
use super::shape::Settings;
use super::shorthand::SHORTHANDS;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;
use std::fmt::Write as _;

/// Address of the schema of settings files, for editors.
pub const SCHEMA_URL: &str = concat!(
    env!("CARGO_PKG_REPOSITORY"),
    "/raw/main/docs/divisi.schema.json"
);

/// The JSON schema of settings files.
///
/// In the draft that most editors support, and without references, so that each setting is shown
/// with all its values.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(WithoutNull)
        .into_generator();
    let mut schema = generator.into_root_schema_for::<Settings>().to_value();
    schema["$id"] = SCHEMA_URL.into();
    schema["title"] = "divisi.toml".into();
    schema["description"] = "Settings of divisi.".into();
    // Its default depends on the user.
    schema["properties"]["store"]
        .as_object_mut()
        .map(|store| store.remove("default"));
    schema
}

/// Removes `null`, which TOML does not have: optional settings are omitted instead.
#[derive(Clone, Debug)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [one] = &types[..] {
                let one = one.clone();
                object.insert("type".into(), one);
            }
        }
        if let Some(Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        if let Some(Value::Array(forms)) = object.get_mut("anyOf") {
            forms.retain(|form| form["type"] != "null");
            if let [Value::Object(_)] = &forms[..]
                && let Some(Value::Object(form)) = forms.pop()
            {
                object.remove("anyOf");
                for (name, value) in form {
                    object.entry(name).or_insert(value);
                }
            }
        }
        if object.get("default").is_some_and(Value::is_null) {
            object.remove("default");
        }
    }
}

/// A page with every setting, its type, its default and its description.
pub fn markdown() -> String {
    let schema = schema();
    let mut page = Page(INTRODUCTION.to_owned());
    page.table(&[], &schema);
    page.shorthands();
    page.0
}

const INTRODUCTION: &str = "\
# Settings

`divisi settings` prints this page; it is generated from the code. `divisi doctor` shows the values in
effect here, and where each comes from. Later layers override earlier ones: defaults, your file
(`~/.config/divisi/config.toml`), the project's `divisi.toml`, [variables and flags](#flags-and-variables).

Editors with TOML support check a file and complete its names by the schema named in its first line, as
in the file that `divisi init` writes:

```toml
#:schema https://github.com/divisi-dev/divisi/raw/main/docs/divisi.schema.json
```

`divisi settings --schema -o FILE` writes that schema; the line may also name that file.

Settings marked with (trust) decide what is executed, where prompts and keys go and how money is counted.
In a project's file they apply for each user only after `divisi trust`, and after each change again.

Spans of time are written with their unit: `\"90s\"`, `\"10m\"`, `\"1h30m\"`. Dollars are numbers or texts:
`0.35`, `\"0.35\"`. Paths are relative to the file's directory.
";

struct Page(String);

impl Page {
    /// Appends the settings of a table, and then its sub-tables. `path` is its path.
    fn table(&mut self, path: &[&str], schema: &Value) {
        let settings = || schema["properties"].as_object().into_iter().flatten();
        let mut head = "\n| Setting | Type | Default | |\n|---|---|---|---|\n";
        for (name, setting) in settings().filter(|(_, setting)| inner(setting).is_none()) {
            self.0.push_str(std::mem::take(&mut head));
            let about = about(setting).replace('\n', " ");
            let (form, default, trust) = (form(setting), default(name, schema), trust(path, name));
            let _ = writeln!(self.0, "| `{name}` | {form} | {default} | {about}{trust} |");
        }
        for (name, setting) in settings() {
            let Some((place, inner)) = inner(setting) else {
                continue;
            };
            let path: Vec<&str> = path
                .iter()
                .copied()
                .chain([name.as_str()])
                .chain(place)
                .collect();
            let (about, trust) = (
                about(setting),
                trust(&path[..path.len() - 1 - place.iter().len()], name),
            );
            let _ = write!(self.0, "\n## `[{}]`\n\n{about}{trust}\n", path.join("."));
            self.table(&path, inner);
        }
    }

    fn shorthands(&mut self) {
        self.0
            .push_str("\n## Flags and variables\n\n| Setting | Flag | Variable |\n|---|---|---|\n");
        let code = |name: Option<&str>| name.map(|name| format!("`{name}`")).unwrap_or_default();
        for known in &SHORTHANDS {
            let (flag, variable) = (code(known.flag), code(known.variable.map(|(name, _)| name)));
            let _ = writeln!(
                self.0,
                "| `{}` | {flag} | {variable} |",
                known.path.join(".")
            );
        }
    }
}

/// The sub-table of a setting that gets a section of its own; with a placeholder for the name if
/// there may be several.
fn inner(setting: &Value) -> Option<(Option<&'static str>, &Value)> {
    let is_section = |schema: &Value| {
        let settings = schema["properties"].as_object();
        settings.is_some_and(|settings| settings.values().any(|setting| !about(setting).is_empty()))
    };
    let each = &setting["additionalProperties"];
    match setting {
        _ if is_section(setting) => Some((None, setting)),
        _ if is_section(each) => Some((Some("NAME"), each)),
        _ => None,
    }
}

fn about(setting: &Value) -> &str {
    setting["description"].as_str().unwrap_or_default()
}

fn trust(path: &[&str], name: &str) -> &'static str {
    let name = [path, &[name]].concat().join(".");
    if OF_THE_USER.contains(&&*name) {
        " (trust)"
    } else {
        ""
    }
}

/// The default of a setting of this table.
fn default(name: &str, table: &Value) -> String {
    let mut required = table["required"].as_array().into_iter().flatten();
    match &table["properties"][name]["default"] {
        Value::Null if required.any(|required| required == name) => "required".to_owned(),
        Value::Null => String::new(),
        Value::Object(none) if none.is_empty() => String::new(),
        default => format!("`{default}`"),
    }
}

/// The type of a setting, in words.
fn form(setting: &Value) -> String {
    let words = |words: Vec<&Value>| {
        let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    match (setting["type"].as_str(), setting["format"].as_str()) {
        _ if setting["enum"].is_array() => {
            words(setting["enum"].as_array().into_iter().flatten().collect())
        }
        _ if setting["oneOf"].is_array() => words(
            setting["oneOf"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| one.get("const").unwrap_or(&one["title"]))
                .collect(),
        ),
        (_, Some("span")) => "span of time".to_owned(),
        (_, Some("dollars")) => "dollars".to_owned(),
        (Some("boolean"), _) => "`true`, `false`".to_owned(),
        (Some("integer" | "number"), _) => "number".to_owned(),
        (Some("array"), _) => format!("list of {}", form(&setting["items"])),
        (Some("object"), _) => match setting["properties"].as_object() {
            Some(named) => {
                let names: Vec<String> = named.keys().map(|name| format!("`{name}`")).collect();
                let value = named.values().next().map(form).unwrap_or_default();
                format!("table of {value} by {}", names.join(", "))
            }
            None => format!(
                "table of {} by name",
                form(&setting["additionalProperties"])
            ),
        },
        _ => "text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Checks that a generated file is up to date.
    fn is_fresh(name: &str, made: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../docs")
            .join(name);
        if std::env::var_os("DIVISI_WRITE_DOCS").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "docs/{name} is stale: `just docs` writes it anew"
        );
    }

    #[test]
    fn the_files_of_the_repository_are_what_the_code_says() {
        is_fresh("settings.md", &markdown());
        is_fresh("divisi.schema.json", &format!("{:#}\n", schema()));
    }

    #[test]
    fn every_setting_says_what_it_is() {
        fn silent(name: &str, schema: &Value, found: &mut Vec<String>) {
            for (inner, setting) in schema["properties"].as_object().into_iter().flatten() {
                let is_tier = divisi_core::Tier::ALL
                    .iter()
                    .any(|tier| tier.as_str() == inner);
                if about(setting).is_empty() && !is_tier {
                    found.push(format!("{name}.{inner}"));
                }
                silent(inner, setting, found);
                silent(inner, &setting["additionalProperties"], found);
            }
        }
        let mut found = vec![];
        silent("", &schema(), &mut found);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn the_schema_takes_and_refuses_what_we_do() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let is_valid = |text: &str| {
            let file: Value = toml::from_str(text).unwrap();
            (
                validator.is_valid(&file),
                toml::from_str::<Settings>(text).is_ok(),
            )
        };
        for taken in [
            "",
            "model = 'opus'\ncost_max = 5\nallow = ['write', 'run']\ntimeout = '1h30m'\nhedge = true",
            "cost_max = 0.35\n[budget]\ntask_cost_max = '$1.50'\nphases = { Audit = 2 }\nwarn_percent = 0",
            "[limits]\nin_flight_max = 3\n[retry]\nrest_first = '250ms'\nretries_max = 0",
            "[tiers]\nhaiku = 'x'\n[kinds.ledger]\ntier = 'opus'\nneeds = 'read'\nasks = ['x']",
            "[providers.corp]\nkind = 'openai-chat'\nkey_env = 'KEY'\nmodels = ['*']\ntiers = { fable = 'x' }\n\
             kinds = { search = 'sonnet' }\nrate = { burst = 5 }\ndialect = { omit = ['effort'], max_tokens = 'max_tokens' }",
            "[prices.'x*']\ninput = 1\noutput = '2.5'\ncache_read = 0.1",
            "executor = 'claude'\n[tier_executors]\nhaiku = 'api'\n[executors.claude]\nenv = { A = 'b' }\ncost = '$0.50'",
            "[executors.claude]\nkind = 'command'\ncommand = ['claude', '{model}']\nenv = { A = 'b' }",
            "[executors.x]\ncommand = ['x']\ncost = '$0.50'\nreports = { result = 'text' }",
        ] {
            assert_eq!(is_valid(taken), (true, true), "{taken}");
        }
        for refused in [
            "modl = 'x'",
            "cost_max = 'much'",
            "allow = ['wirte']",
            "timeout = 10",
            "timeout = '10'",
            "[limits]\nin_flight = 3",
            "[limits]\nin_flight_max = -1",
            "[tiers]\nhiaku = 'x'",
            "[kinds.search]\nteir = 'opus'",
            "[kinds.search]\ntier = 'large'",
            "[providers.corp]\nkind = 'openai-caht'",
            "[providers.corp]\nkind = 'openai'\nkey_env = 'sk-1'",
            "[providers.corp]\nkind = 'openai'\ntiers = { small = 'x' }",
            "[providers.corp]\nkind = 'openai'\nrate = { burst = 0 }",
            "[providers.corp]\nkind = 'openai'\ndialect = { omit = ['shcema'] }",
            "[prices.x]\ninput = 1",
            "[executors.x]\ncomand = ['x']",
            "[executors.x]\ncommand = ['x']\ncost = 'much'",
        ] {
            assert_eq!(is_valid(refused), (false, false), "{refused}");
        }
    }
}
