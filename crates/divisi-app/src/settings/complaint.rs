//! Explains errors in settings, and what was probably meant.

use super::Settings;
use crate::slip;
use toml::Value;

/// Rewrites an error about a value, with advice.
pub(super) fn told(complaint: &str) -> (String, Option<String>) {
    slip::told(complaint, "setting")
}

/// The same for an error in `line` of a file.
pub(super) fn told_of(line: &str, complaint: &str) -> (String, Option<String>) {
    let (message, hint) = told(complaint);
    (message, hint.or_else(|| of_the_other_form(line, complaint)))
}

/// Advice if the name in `line` is a table where a value was expected, or the other way round:
/// `[provider.corp]` for `[providers.corp]`.
fn of_the_other_form(line: &str, complaint: &str) -> Option<String> {
    let is_table = match complaint
        .strip_prefix("invalid type: ")?
        .split_once(", expected ")?
    {
        ("map", _) => true,
        (_, expected) if expected.contains("map") || expected.starts_with("struct ") => false,
        _ => return None,
    };
    let name = line.trim_start_matches([' ', '\t', '[']);
    let name = name
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()?;
    let top = toml::Table::try_from(Settings::default()).ok()?;
    top.get(name)?;
    let form = |(_, value): &(&String, &Value)| value.is_table() == is_table;
    let others = top.iter().filter(form).map(|(other, _)| other.as_str());
    slip::nearest(name, others).map(|near| match is_table {
        true => format!("did you mean `[{near}]`? `{name}` is a single value"),
        false => format!("did you mean `{near}`? `[{name}]` is a table"),
    })
}
