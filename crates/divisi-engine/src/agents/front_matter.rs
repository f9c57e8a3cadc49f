//! The front matter of a definition file.
//!
//! It should be YAML, but in practice one file of twenty is not, mostly because of a colon in the
//! description. Such front matter is parsed line by line.

use serde_json::Value;
use std::collections::BTreeMap;

/// Deepest nesting of brackets. Parsing time grows with the product of their depth and their
/// number; known files need two.
const DEPTH_MAX: usize = 32;

/// The value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A text, a number or a truth value, as written.
    Text(String),
    /// Several of them.
    List(Vec<String>),
    /// Anything else.
    Other,
}

/// Splits a file into the fields of its front matter and its body.
///
/// Accepts any line ends, and blank lines at the start.
pub(super) fn split(text: &str) -> Result<(BTreeMap<String, Field>, &str), String> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut lines = lines(text);
    let opening = lines
        .next()
        .filter(|line| line.trim_end() == "---")
        .ok_or("no front matter")?;
    let mut end = opening.len();
    for line in lines {
        if line.trim_end() == "---" {
            let (head, body) = (&text[opening.len()..end], &text[end + line.len()..]);
            if depth(head) > DEPTH_MAX {
                return Err(format!(
                    "front matter with brackets more than {DEPTH_MAX} deep"
                ));
            }
            let head = head.replace("\r\n", "\n").replace('\r', "\n");
            return Ok((read(&head), body));
        }
        end += line.len();
    }
    Err("front matter without an end".to_owned())
}

/// The deepest nesting of brackets.
fn depth(head: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for character in head.chars() {
        match character {
            '[' | '{' => open += 1,
            ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// The lines with their ends: LF, CR LF or CR.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = match rest.find(['\n', '\r']) {
            Some(at) if rest[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

fn read(head: &str) -> BTreeMap<String, Field> {
    // In a description `yes` and `on` are words, not booleans.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let yaml = serde_saphyr::from_str_with_options::<BTreeMap<String, Value>>(head, options);
    yaml.map_or_else(
        |_| by_lines(head),
        |head| head.into_iter().map(|(key, v)| (key, field(v))).collect(),
    )
}

fn field(value: Value) -> Field {
    match value {
        Value::Array(items) => {
            let items: Option<Vec<_>> = items.into_iter().map(scalar).collect();
            items.map_or(Field::Other, Field::List)
        }
        value => scalar(value).map_or(Field::Other, Field::Text),
    }
}

fn scalar(value: Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value.trim().to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Parses `key: value` lines and what is indented below them, as plain text or a list. Deeper
/// structure becomes text, which no known key uses.
fn by_lines(head: &str) -> BTreeMap<String, Field> {
    let mut fields: BTreeMap<String, Field> = BTreeMap::new();
    let mut current = None;
    for line in head
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some((key, value)) = key_line(line) {
            current = Some(key.to_owned());
            fields.insert(key.to_owned(), inline(value));
        } else if let Some(field) = current.as_ref().and_then(|key| fields.get_mut(key)) {
            go_on(field, line.trim());
        }
    }
    fields
}

/// The key and the value of a line that begins with a key.
fn key_line(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    let is_key = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    is_key.then_some((key, value.trim()))
}

fn inline(value: &str) -> Field {
    match value
        .strip_prefix('[')
        .and_then(|value| value.strip_suffix(']'))
    {
        Some("") => Field::List(Vec::new()),
        Some(items) => Field::List(items.split(',').map(unquoted).collect()),
        // Block scalar marks: the text is on the lines below.
        None if matches!(value, "|" | ">" | "|-" | ">-" | "|+" | ">+") => {
            Field::Text(String::new())
        }
        None => Field::Text(unquoted(value)),
    }
}

fn go_on(field: &mut Field, line: &str) {
    match (&mut *field, line.strip_prefix("- ")) {
        (Field::List(items), Some(item)) => items.push(unquoted(item)),
        (Field::Text(text), Some(item)) if text.is_empty() => {
            *field = Field::List(vec![unquoted(item)]);
        }
        (Field::Text(text), _) => {
            text.push_str(if text.is_empty() { "" } else { " " });
            text.push_str(line);
        }
        (Field::List(_) | Field::Other, _) => {}
    }
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"')
        .or_else(|| inner('\''))
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> BTreeMap<String, Field> {
        split(&format!("---\n{text}---\nbody")).unwrap().0
    }

    fn text(value: &str) -> Field {
        Field::Text(value.to_owned())
    }

    fn list(items: &[&str]) -> Field {
        Field::List(items.iter().map(|&item| item.to_owned()).collect())
    }

    #[test]
    fn head_and_body_are_told_apart() {
        for file in [
            "---\nname: a\n---\nbody\n---\n",
            "\u{feff}---\r\nname: a\r\n---\r\nbody\n---\n",
        ] {
            let (head, body) = split(file).unwrap();
            assert_eq!(head, BTreeMap::from([("name".to_owned(), text("a"))]));
            assert_eq!(body, "body\n---\n");
        }
        for ends in ["\r", "\r\n"] {
            let file = "\n---\nname: a\ntools:\n  - x\n---\nbody".replace('\n', ends);
            let (head, body) = split(&file).unwrap();
            assert_eq!(
                head,
                BTreeMap::from([
                    ("name".to_owned(), text("a")),
                    ("tools".to_owned(), list(&["x"]))
                ])
            );
            assert_eq!(body, "body");
        }
        let (head, _) = split("---\rname: a\r\ntools: [x\n---\r").unwrap();
        assert_eq!(head["name"], text("a"));
        assert_eq!(split("---\nname: a\n---").unwrap().1, "");
        assert_eq!(split("# Notes\n").unwrap_err(), "no front matter");
        assert_eq!(split("").unwrap_err(), "no front matter");
        assert_eq!(
            split("---\nname: a\n").unwrap_err(),
            "front matter without an end"
        );
    }

    #[test]
    fn a_head_that_would_take_for_ever_is_refused() {
        for nested in ["[".repeat(100_000), "{a: ".repeat(50_000)] {
            let refused = split(&format!("---\nx: {nested}\n---\nbody")).unwrap_err();
            assert_eq!(refused, "front matter with brackets more than 32 deep");
        }
        // Names for names for names: not more than can be held.
        let bomb: String = (1..30)
            .map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1))
            .collect();
        split(&format!("---\na0: &a0 [x, x]\n{bomb}---\nbody")).unwrap();
    }

    #[test]
    fn valid_yaml_gives_texts_and_lists() {
        let head = head("a: 'x: y'\nb: 3\nc: [1, two]\nd: {x: 1}\ne: |\n  one\n  two\nf:\n");
        let expected = [
            ("a", text("x: y")),
            ("b", text("3")),
            ("c", list(&["1", "two"])),
            ("d", Field::Other),
            ("e", text("one\ntwo")),
            ("f", text("")),
        ];
        assert_eq!(
            head,
            expected.map(|(key, field)| (key.to_owned(), field)).into()
        );
    }

    #[test]
    fn invalid_yaml_is_read_line_by_line() {
        let head = head(
            "name: \"helper\"\n\
             description: Use when: the user asks. Example: user: hi\n\
             \x20 and goes on: here\n\
             # a comment\n\
             tools: *\n\
             model: [sonnet, 'opus']\n\
             skills:\n\
             \x20 - one\n\
             - 'two'\n\
             note: >-\n\
             \x20 folded\n\
             \x20 text\n",
        );
        let expected = [
            ("name", text("helper")),
            (
                "description",
                text("Use when: the user asks. Example: user: hi and goes on: here"),
            ),
            ("tools", text("*")),
            ("model", list(&["sonnet", "opus"])),
            ("skills", list(&["one", "two"])),
            ("note", text("folded text")),
        ];
        assert_eq!(
            head,
            expected.map(|(key, field)| (key.to_owned(), field)).into()
        );
    }
}
