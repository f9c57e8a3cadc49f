//! The machine form: one JSON value on each line.
//!
//! JSON needs to escape few controls only. Here all are, because a person may
//! well look at it on a terminal.

use serde::Serialize;
use serde_json::ser::Formatter;
use std::io::{self, Write};

/// Writes `value` on one line.
pub(crate) fn write_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Harmless))?;
    out.write_all(b"\n")
}

/// The compact form, without a character that acts on a terminal.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_escaped(out, fragment)
    }

    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_escaped(out, fragment)
    }
}

/// Such characters stand in strings only, so an escape may replace each.
fn write_escaped<W: ?Sized + Write>(out: &mut W, mut text: &str) -> io::Result<()> {
    while let Some((at, c)) = text.char_indices().find(|(_, c)| *c >= '\u{7f}' && super::text::acts(*c)) {
        out.write_all(&text.as_bytes()[..at])?;
        // All of them are in the first plane.
        write!(out, "\\u{:04x}", u32::from(c))?;
        text = &text[at + c.len_utf8()..];
    }
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_acts_on_the_terminal() {
        let mut out = vec![];
        let text = "a\u{9b}31m\u{1b}[2J\u{7f}\u{202e}é";
        write_line(&mut out, &[text]).expect("memory takes it");
        let line = String::from_utf8(out).expect("UTF-8");
        assert_eq!(line, "[\"a\\u009b31m\\u001b[2J\\u007f\\u202eé\"]\n");
        assert_eq!(serde_json::from_str::<Vec<String>>(&line).expect("JSON"), [text]);
    }
}
