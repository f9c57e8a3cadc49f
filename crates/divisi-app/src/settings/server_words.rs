//! Names of MCP servers, and the variables in what is said of them.

/// Longest name of a server: with it and the name of a tool a model calls the tool, and vendors
/// limit that name to 64 bytes.
pub(super) const NAME_BYTES_MAX: usize = 32;

/// The name of a server with characters that no name of a tool may have replaced, as Claude Code
/// does; `None` if nothing is left.
pub(super) fn usable_name(name: &str) -> Option<String> {
    let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' {
        true => c,
        false => '_',
    };
    let mut plain: String = name.chars().map(plain).take(NAME_BYTES_MAX).collect();
    while plain.contains("__") {
        plain = plain.replace("__", "_");
    }
    let plain = plain.trim_matches('_');
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Whether a server may have this name in the settings.
pub(super) fn is_name(name: &str) -> bool {
    usable_name(name).as_deref() == Some(name)
}

/// Parts of a text: words as they are, and variables with their defaults.
enum Part<'a> {
    Text(&'a str),
    Variable(&'a str, Option<&'a str>),
}

/// Splits a text at `${NAME}` and `${NAME:-DEFAULT}`.
fn parts(mut text: &str) -> Vec<Part<'_>> {
    let mut parts = vec![];
    while let Some((before, after)) = text.split_once("${") {
        let Some((inner, rest)) = after.split_once('}') else {
            break;
        };
        parts.push(Part::Text(before));
        parts.push(match inner.split_once(":-") {
            Some((name, default)) => Part::Variable(name, Some(default)),
            None => Part::Variable(inner, None),
        });
        text = rest;
    }
    parts.push(Part::Text(text));
    parts
}

/// The text with the values of its variables; the error names one that is not set.
pub(super) fn fill<'a>(
    text: &str,
    value: impl Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    let filled = |part: Part<'_>| match part {
        Part::Text(text) => Ok(text.to_owned()),
        Part::Variable(name, default) => value(name)
            .map(str::to_owned)
            .or(default.map(str::to_owned))
            .ok_or_else(|| format!("the variable {name}, which it needs, is not set")),
    };
    parts(text).into_iter().map(filled).collect()
}

/// The variables that a text names.
pub(super) fn variables(text: &str) -> Vec<String> {
    let name = |part: Part<'_>| match part {
        Part::Variable(name, _) => Some(name.to_owned()),
        Part::Text(_) => None,
    };
    parts(text).into_iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_such_that_a_tool_can_have_them() {
        for (name, usable) in [
            ("git-hub_1", Some("git-hub_1")),
            ("a b.c", Some("a_b_c")),
            ("a__b_", Some("a_b")),
            ("__", None),
            ("", None),
        ] {
            assert_eq!(usable_name(name).as_deref(), usable, "{name}");
        }
        assert!(is_name("a-b") && !is_name("a__b") && !is_name(&"a".repeat(33)));
    }

    #[test]
    fn variables_are_filled_in_or_named() {
        let none = |_: &str| None;
        assert_eq!(fill("a ${B:-c} $D }", none).unwrap(), "a c $D }");
        assert_eq!(fill("${unclosed", none).unwrap(), "${unclosed");
        assert_eq!(
            fill("${NOT_SET_4711}", none).unwrap_err(),
            "the variable NOT_SET_4711, which it needs, is not set"
        );
        assert_eq!(variables("${A}b${C:-d}"), ["A", "C"]);
    }
}
