//! Repairs JSON that is nearly valid.
//!
//! Servers split texts between the halves of a surrogate pair, write `NaN`, repeat keys, omit the
//! blank line between two events and forget to escape. These have an obvious meaning and are
//! repaired; ambiguous errors are not.

use crate::frames::is_done;
use serde_json::Value;
use std::borrow::Cow;

/// Offset of lone surrogate halves until the other half arrives: they are no characters, and the
/// end of this private-use plane is practically unused.
const HALVES: u32 = 0x10_0000;

/// The JSON values in event data that is not valid JSON: one, or one per line. `None` if any of it
/// cannot be repaired.
///
/// Lone surrogate halves stay in it as marks, for [`joined`].
pub(crate) fn values(data: &str) -> Option<Vec<Value>> {
    if let Some(value) = value_keeping_halves(data) {
        return Some(vec![value]);
    }
    let lines: Vec<_> = data
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.len() < 2 {
        return None;
    }
    let is_end = |line: &&str| !is_done(line);
    lines
        .into_iter()
        .filter(is_end)
        .map(value_keeping_halves)
        .collect()
}

/// Parses `json`, with repairs where they are unambiguous.
pub(crate) fn value(json: &str) -> Result<Value, serde_json::Error> {
    match serde_json::from_str(json) {
        Ok(value) => Ok(value),
        Err(error) => value_keeping_halves(json).map(clean).ok_or(error),
    }
}

fn value_keeping_halves(json: &str) -> Option<Value> {
    serde_json::from_str(json)
        .ok()
        .or_else(|| serde_json::from_str(&mended(json)).ok())
}

/// `text` with surrogate halves joined; an unmatched half becomes the replacement character.
pub(crate) fn joined(text: &str) -> Cow<'_, str> {
    // The first byte of every mark.
    if !text.as_bytes().contains(&0xF4) {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(one) = chars.next() {
        let pair = half(one).zip(chars.peek().copied().and_then(half));
        let character = pair
            .and_then(|(high, low)| char::decode_utf16([high, low]).next().and_then(Result::ok));
        match (character, half(one)) {
            (Some(character), _) => {
                chars.next();
                whole.push(character);
            }
            (None, Some(_)) => whole.push(char::REPLACEMENT_CHARACTER),
            (None, None) => whole.push(one),
        }
    }
    Cow::Owned(whole)
}

fn half(mark: char) -> Option<u16> {
    let unit = u16::try_from(u32::from(mark).checked_sub(HALVES)?).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => joined(&text).into_owned().into(),
        Value::Array(items) => items.into_iter().map(clean).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, clean(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

/// `json` with control characters in texts escaped, lone surrogate halves marked, and numbers
/// unknown to JSON as `null`.
fn mended(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 16);
    let mut rest = json;
    let mut in_text = false;
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '\\' if in_text => escape(rest, &mut out),
            '"' => {
                in_text = !in_text;
                out.push('"');
                1
            }
            '\u{0}'..='\u{1f}' if in_text => {
                out.push_str(&format!("\\u{:04x}", u32::from(next)));
                1
            }
            'N' | 'I' | '-' if !in_text => match no_number(rest) {
                Some(len) => {
                    out.push_str("null");
                    len
                }
                None => {
                    out.push(next);
                    1
                }
            },
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    out
}

fn no_number(rest: &str) -> Option<usize> {
    ["NaN", "Infinity", "-Infinity", "-NaN"]
        .into_iter()
        .find(|word| rest.starts_with(word))
        .map(str::len)
}

/// Copies the escape at the start of `rest`, and returns its length.
fn escape(rest: &str, out: &mut String) -> usize {
    let unit = |at: usize| {
        let digits = rest.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let is_low = |unit: u32| (0xDC00..=0xDFFF).contains(&unit);
    match unit(0) {
        Some(high @ 0xD800..=0xDBFF) if !unit(6).is_some_and(is_low) => {
            out.extend(char::from_u32(HALVES + high));
            6
        }
        Some(0xD800..=0xDBFF) => {
            out.push_str(&rest[..12]);
            12
        }
        Some(low) if is_low(low) => {
            out.extend(char::from_u32(HALVES + low));
            6
        }
        _ => {
            let escaped = rest.chars().nth(1).map_or(0, char::len_utf8);
            out.push_str(&rest[..1 + escaped]);
            1 + escaped
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_needs_no_guess_is_mended() {
        for (odd, right) in [
            (
                r#"{"a": NaN, "b": [-Infinity, -1], "c": "NaN"}"#,
                json!({"a": null, "b": [null, -1], "c": "NaN"}),
            ),
            (
                "{\"a\": \"one\ttwo\nthree\"}",
                json!({"a": "one\ttwo\nthree"}),
            ),
            (
                r#"{"a": "\ud83d", "b": "\ude00x", "c": "\ud83d\ude00\n"}"#,
                json!({"a": "\u{fffd}", "b": "\u{fffd}x", "c": "😀\n"}),
            ),
            (r#"{"a": 1, "a": 2}"#, json!({"a": 2})),
        ] {
            assert_eq!(value(odd).unwrap(), right, "{odd}");
        }
        for broken in [
            r#"{"a": 1"#,
            r#"{"a": "\q"}"#,
            "{a: 1}",
            "",
            r#"{"a": "\ud8"#,
            r#"{"a": "\"#,
        ] {
            assert!(value(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn events_without_a_blank_line_between_them_are_several() {
        assert_eq!(
            values("{\"a\": 1}\n{\"b\": NaN}\n[DONE]"),
            Some(vec![json!({"a": 1}), json!({"b": null})])
        );
        assert_eq!(values("{\"a\":\n1}"), Some(vec![json!({"a": 1})]));
        assert_eq!(values("{\"a\": 1}\n{\"b\""), None);
    }

    #[test]
    fn halves_find_each_other() {
        let halves = values(r#"["\ud83d", "\ude00", "\ude00\ud83d"]"#).unwrap();
        let said: String = halves[0]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(joined(&said), "😀\u{fffd}\u{fffd}");
        assert_eq!(joined("plain 𝄞"), "plain 𝄞");
    }
}
