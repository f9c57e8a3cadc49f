//! Makes text from outside safe for a terminal.
//!
//! Labels, logs, results, sources and error messages may come from a model, and file names from
//! anywhere. Everything shown on a terminal goes through here, so that no text can move the cursor,
//! change colours, set the title, reverse the reading direction or hide other text.

use console::{measure_text_width, truncate_str};
use divisi_providers::redact;
use std::borrow::Cow;
use std::fmt::Write;
use unicode_width::UnicodeWidthChar;

/// The text on one line: line breaks and runs of blanks become one blank.
pub(crate) fn line(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for word in plain(text).split_whitespace() {
        if !safe.is_empty() {
            safe.push(' ');
        }
        each(word, |c, next| push(&mut safe, c, next));
    }
    safe
}

/// The text on one line with its blanks kept: each line break becomes a blank.
pub(crate) fn flat(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    each(&plain(text), |c, next| match c {
        '\n' | '\r' | '\t' => safe.push(' '),
        c => push(&mut safe, c, next),
    });
    safe
}

/// The text with its line breaks; tabs become blanks.
pub(crate) fn block(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    each(
        plain(text).replace("\r\n", "\n").trim_end(),
        |c, next| match c {
            '\n' => safe.push('\n'),
            '\t' => safe.push_str("    "),
            c => push(&mut safe, c, next),
        },
    );
    safe
}

/// A safe text cut to `columns` of a terminal.
pub(crate) fn cut(safe: &str, columns: usize, ellipsis: &str) -> String {
    let ellipsis = if measure_text_width(ellipsis) > columns {
        ""
    } else {
        ellipsis
    };
    truncate_str(safe, columns, ellipsis).into_owned()
}

/// A safe text cut in its middle to `columns` of a terminal: names that begin alike often differ at
/// their ends.
pub(crate) fn cut_middle(safe: &str, columns: usize, ellipsis: &str) -> String {
    let room = columns.saturating_sub(measure_text_width(ellipsis));
    if measure_text_width(safe) <= columns || room < 2 {
        return cut(safe, columns, ellipsis);
    }
    let (mut tail, mut left) = (safe.len(), room / 2);
    for (at, c) in safe.char_indices().rev() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        (tail, left) = (at, left - width);
    }
    // What combines with a character that was cut off goes with it.
    let tail = safe[tail..].trim_start_matches(|c: char| c.width() == Some(0));
    let head = cut(safe, room - measure_text_width(tail), "");
    head + ellipsis + tail
}

/// Columns of a safe text.
pub(crate) fn width(safe: &str) -> usize {
    measure_text_width(safe)
}

/// A page with divisi's own colours as its only control sequences: the last check before the
/// terminal, for text that bypassed the functions above.
pub(crate) fn printed(page: &str) -> Cow<'_, str> {
    if !page.chars().any(|c| acts(c) && !matches!(c, '\n' | '\t')) {
        return page.into();
    }
    let mut safe = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(c) = rest.chars().next() {
        let length = match sequence(rest) {
            Some(length) if rest[..length].ends_with('m') => {
                safe.push_str(&rest[..length]);
                length
            }
            _ => {
                match c {
                    '\n' | '\t' => safe.push(c),
                    c => push(&mut safe, c, rest[c.len_utf8()..].chars().next()),
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    safe.into()
}

/// A text of the same length in bytes, so that offsets into it stay valid: characters that would
/// act become a question mark or a replacement of equal length.
pub(crate) fn in_place(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    each(text, |c, next| match c {
        '\n' | '\t' => safe.push(c),
        '\r' if next == Some('\n') => safe.push(' '),
        c if is_harmless(&safe, c, next) => safe.push(c),
        c => safe.push_str(match c.len_utf8() {
            1 => "?",
            2 => "\u{bf}",
            3 => "\u{fffd}",
            _ => "\u{fffd}?",
        }),
    });
    safe
}

/// The text without colours and cursor moves, and redacted. Text between control sequences stays.
fn plain(text: &str) -> Cow<'_, str> {
    match stripped(text) {
        Cow::Borrowed(text) => redact(text),
        Cow::Owned(text) => redact(&text).into_owned().into(),
    }
}

fn stripped(text: &str) -> Cow<'_, str> {
    if !text.contains(ESCAPE) {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(ESCAPE) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        // An escape that begins no short control sequence is shown: to remove more could remove the
        // rest of the text.
        let length = sequence(rest).unwrap_or_else(|| {
            plain.push(ESCAPE);
            ESCAPE.len_utf8()
        });
        rest = &rest[length..];
    }
    (plain + rest).into()
}

const ESCAPE: char = '\u{1b}';

/// The length of the control sequence (`CSI`) at the beginning of `text`.
fn sequence(text: &str) -> Option<usize> {
    /// No terminal knows longer sequences.
    const BYTES_MAX: usize = 32;
    let inner = text.strip_prefix("\u{1b}[")?.as_bytes();
    let end = inner
        .iter()
        .take(BYTES_MAX)
        .position(|byte| !(0x20..=0x3f).contains(byte))?;
    (0x40..=0x7e).contains(&inner[end]).then_some(2 + end + 1)
}

fn each(text: &str, mut take: impl FnMut(char, Option<char>)) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        take(c, chars.peek().copied());
    }
}

/// Writes a character that would act on the terminal, or be invisible, as its escape: `\u{1b}`.
fn push(safe: &mut String, c: char, next: Option<char>) {
    if is_harmless(safe, c, next) {
        safe.push(c);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(safe, "{}", c.escape_unicode());
    }
}

/// Combining marks on one letter. Written languages need five; a hundred cover other lines.
const MARKS_MAX: usize = 8;

/// Whether `c` is safe between `before` and `next`.
pub(crate) fn is_harmless(before: &str, c: char, next: Option<char>) -> bool {
    let is_written = |c: char| !c.is_ascii() && !acts(c) && !joins(c);
    match c {
        ' '..='~' => true,
        // Emoji and some scripts need these joiners. Elsewhere they only hide text.
        '\u{200c}' | '\u{200d}' => {
            let last = before.chars().next_back();
            last.is_some_and(|last| is_written(last) || last == '\u{fe0f}')
                && next.is_some_and(is_written)
        }
        '\u{fe0e}' | '\u{fe0f}' => before
            .chars()
            .next_back()
            .is_some_and(|c| is_written(c) || matches!(c, '0'..='9' | '#' | '*')),
        c if acts(c) => false,
        c if c.width() == Some(0) => {
            before
                .chars()
                .rev()
                .take_while(|c| c.width() == Some(0))
                .take(MARKS_MAX)
                .count()
                < MARKS_MAX
        }
        _ => true,
    }
}

fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}')
}

/// Whether a character acts on the terminal or is invisible by itself: control characters of both
/// sets; marks that change the reading direction; line separators; and invisible characters in
/// which a text can hide another: zero-width blanks, fillers, variation selectors, tags. Excluded
/// are the four that emoji and some scripts need, which depend on their neighbours.
pub(crate) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_in_its_middle() {
        let cut = |text, columns| cut_middle(text, columns, "…");
        assert_eq!(cut("audit module 17", 15), "audit module 17");
        assert_eq!(cut("audit module 17", 10), "audit…e 17");
        assert_eq!(cut("audit module 17", 3), "a…7");
        assert_eq!(cut("audit module 17", 2), "a…");
        assert_eq!(cut("二つの穴がある", 8), "二つ…る");
        assert_eq!(cut("abcdefe\u{301}", 4), "ab…e\u{301}");
    }

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
            "\u{61c}a\u{e0041}\u{e007f}\u{e0100}",
            "a\u{200b}b\u{ad}c\u{3164}d\u{2063}e\u{fe01}f\u{34f}",
            "a\u{2028}b\u{2029}c\u{85}d",
            "\u{1b}",
        ];
        for text in hostile {
            let printed = printed(text).replace("\u{1b}[31m", "");
            for safe in [line(text), flat(text), block(text), in_place(text), printed] {
                assert!(!safe.chars().any(acts), "{text:?} became {safe:?}");
            }
            assert_eq!(in_place(text).len(), text.len());
        }
    }

    #[test]
    fn what_is_left_is_readable() {
        assert_eq!(
            line("\u{1b}[31mred\u{1b}[0m  and\n\tplain "),
            "red and plain"
        );
        assert_eq!(flat("a  b\n c"), "a  b  c");
        assert_eq!(line("a\u{7}b"), "a\\u{7}b");
        assert_eq!(block("one\r\n\ttwo\n\n"), "one\n    two");
    }

    #[test]
    fn nothing_disappears_behind_a_sequence_that_does_not_end() {
        assert_eq!(line("a \u{1b}]0;b and c"), "a \\u{1b}]0;b and c");
        assert_eq!(line("a \u{1b}[1;xb"), "a b");
        assert_eq!(
            line(&format!("a \u{1b}[{}b", "1;".repeat(99))),
            format!("a \\u{{1b}}[{}b", "1;".repeat(99))
        );
        // In one pass, however many begin.
        assert_eq!(line(&"\u{1b}]".repeat(1 << 20)).len(), 7 << 20);
    }

    #[test]
    fn only_our_colours_pass_the_last_look() {
        assert_eq!(
            printed("\u{1b}[1;31mred\u{1b}[0m\n\tx"),
            "\u{1b}[1;31mred\u{1b}[0m\n\tx"
        );
        assert_eq!(
            printed("\u{1b}[2Jx\u{1b}]0;t\u{7}\r"),
            "\\u{1b}[2Jx\\u{1b}]0;t\\u{7}\\u{d}"
        );
    }

    #[test]
    fn scripts_and_emoji_stay_whole() {
        for text in [
            "👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}\u{200d}🔥",
            "1\u{fe0f}\u{20e3}",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ệ",
            "e\u{302}\u{323}",
        ] {
            assert_eq!(line(text), text);
        }
        assert_eq!(line("a\u{200d}b"), "a\\u{200d}b");
        assert_eq!(line("é\u{200d}\u{200d}é"), "é\\u{200d}\\u{200d}é");
        assert_eq!(line("b\u{fe0f}"), "b\\u{fe0f}");
        assert_eq!(
            line(&format!("a{}", "\u{301}".repeat(9))),
            format!("a{}\\u{{301}}", "\u{301}".repeat(8))
        );
    }

    #[test]
    fn cuts_by_columns_not_by_characters() {
        assert_eq!(cut("abcdef", 4, "…"), "abc…");
        assert_eq!(cut("日本語テキスト", 5, "…"), "日本…");
        assert_eq!(cut("abc", 3, "…"), "abc");
        assert_eq!(cut("abcdef", 2, "..."), "ab");
    }
}
