//! Texts that others wrote, made safe and fitting for a terminal.
//!
//! Labels, logs, results and error messages may come from a model. Whatever is
//! shown to a person goes through here, so that none of them can move the
//! cursor, change colours, set the title or turn the reading direction.

use console::{AnsiCodeIterator, measure_text_width, truncate_str};
use divisi_providers::redact;
use std::fmt::Write;

/// The text on one line: line breaks and runs of blanks become one blank.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for word in without_ansi(text).split_whitespace() {
        if !safe.is_empty() {
            safe.push(' ');
        }
        word.chars().for_each(|c| push(&mut safe, c));
    }
    safe
}

/// The text on one line with its blanks: what breaks a line becomes a blank.
pub(crate) fn flat(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in without_ansi(text).chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c => push(&mut safe, c),
        }
    }
    safe
}

/// The text with its line breaks; tabs become blanks.
pub(crate) fn block(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in without_ansi(text).replace("\r\n", "\n").trim_end().chars() {
        match c {
            '\n' => safe.push('\n'),
            '\t' => safe.push_str("    "),
            c => push(&mut safe, c),
        }
    }
    safe
}

/// A safe text cut to `columns` of a terminal.
pub(crate) fn cut(safe: &str, columns: usize, ellipsis: &str) -> String {
    let ellipsis = if measure_text_width(ellipsis) > columns { "" } else { ellipsis };
    truncate_str(safe, columns, ellipsis).into_owned()
}

/// How many columns a safe text takes.
pub(crate) fn width(safe: &str) -> usize {
    measure_text_width(safe)
}

/// Colours, cursor moves and secrets have no place in a text; what they enclose does.
fn without_ansi(text: &str) -> String {
    let plain = AnsiCodeIterator::new(text).filter(|(_, is_ansi)| !is_ansi).map(|(plain, _)| plain);
    redact(&plain.collect::<String>()).into_owned()
}

/// Writes what would act on the terminal as what it is: `\u{1b}`.
fn push(safe: &mut String, c: char) {
    if acts(c) {
        // Writing to a string cannot fail.
        let _ = write!(safe, "{}", c.escape_unicode());
    } else {
        safe.push(c);
    }
}

/// Controls of both sets, and the marks that reverse the reading direction.
pub(crate) fn acts(c: char) -> bool {
    let directs = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || directs || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_acts_on_the_terminal() {
        let hostile = [
            "\u{1b}[2J\u{1b}[1;1Hgone",
            "\u{1b}]0;title\u{7}x",
            "\u{1b}]52;c;c2VjcmV0\u{1b}\\x",
            "\u{1b}P1$r\u{1b}\\x",
            "\u{9b}31mx",
            "\u{1b}[\u{1b}[31m31mx",
            "over\rwritten\u{8}\u{8}",
            "bell\u{7}",
            "\u{202e}drowssap",
            "\u{1b}",
        ];
        for text in hostile {
            for safe in [line(text), flat(text), block(text)] {
                assert!(!safe.chars().any(acts), "{text:?} became {safe:?}");
            }
        }
    }

    #[test]
    fn what_is_left_is_readable() {
        assert_eq!(line("\u{1b}[31mred\u{1b}[0m  and\n\tplain "), "red and plain");
        assert_eq!(flat("a  b\n c"), "a  b  c");
        assert_eq!(line("a\u{7}b"), "a\\u{7}b");
        assert_eq!(block("one\r\n\ttwo\n\n"), "one\n    two");
    }

    #[test]
    fn cuts_by_columns_not_by_characters() {
        assert_eq!(cut("abcdef", 4, "…"), "abc…");
        assert_eq!(cut("日本語テキスト", 5, "…"), "日本…");
        assert_eq!(cut("abc", 3, "…"), "abc");
        assert_eq!(cut("abcdef", 2, "..."), "ab");
    }
}
