//! Marks: unusual texts in placeholders that identify the task of a result.
//!
//! `⟦t3·title·2⟧` is the second title in the result of task 3. A mark is recognised by its
//! beginning, so that a script may cut it or change its case.

/// The beginning of every mark.
pub(super) const BEGINNING: &str = "⟦t";

const OPEN: char = '⟦';
const CLOSE: char = '⟧';
const DOT: char = '·';

/// Longest mark after its beginning. A longer one was cut.
const CHARS_MAX: usize = 80;

/// The mark of a part of the result of task `place`. `what` should be plain words.
pub(super) fn of(place: usize, what: &str) -> String {
    let what: String = what
        .chars()
        .filter(|c| is_inside(*c))
        .take(CHARS_MAX / 2)
        .collect();
    format!("{OPEN}t{place}{DOT}{what}{CLOSE}")
}

/// Joins the marks of a long text, so that they are known to be one.
const JOINT: char = '\u{2060}';

/// A long text of equal marks, which counts as one.
pub(super) fn repeated(mark: &str, times: usize) -> String {
    vec![mark; times].join(&JOINT.to_string())
}

/// The task and the property of the first mark in `text`.
pub(super) fn named(text: &str) -> Option<(usize, &str)> {
    let from = &text[text.find(OPEN)?..];
    let (place, _) = first(from)?;
    let name = from.split([DOT, CLOSE]).nth(1)?;
    Some((place, name))
}

/// The tasks whose marks `text` contains, ascending and unique.
pub(super) fn found(text: &str) -> Vec<usize> {
    let mut places = vec![];
    walk(text, |piece| {
        if let Piece::Mark(place) = piece {
            places.push(place);
        }
    });
    places.sort_unstable();
    places.dedup();
    places
}

/// Whether `text` has no mark, the most frequent case.
pub(super) fn is_free_of(text: &str) -> bool {
    !text.contains(OPEN)
}

/// The text with every mark replaced by `name`.
pub(super) fn replaced(text: &str, name: impl Fn(usize) -> String) -> String {
    if is_free_of(text) {
        return text.to_owned();
    }
    let mut replaced = String::with_capacity(text.len());
    walk(text, |piece| match piece {
        Piece::Text(text) => replaced.push_str(text),
        Piece::Mark(place) => replaced.push_str(&name(place)),
    });
    replaced
}

enum Piece<'t> {
    Text(&'t str),
    Mark(usize),
}

fn walk<'t>(text: &'t str, mut see: impl FnMut(Piece<'t>)) {
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let (before, from) = rest.split_at(at);
        see(Piece::Text(before));
        match first(from) {
            Some((place, length)) => {
                see(Piece::Mark(place));
                rest = &from[length..];
                while let Some((again, length)) = rest.strip_prefix(JOINT).and_then(first)
                    && again == place
                {
                    rest = &rest[JOINT.len_utf8() + length..];
                }
            }
            None => {
                see(Piece::Text(&from[..OPEN.len_utf8()]));
                rest = &from[OPEN.len_utf8()..];
            }
        }
    }
    see(Piece::Text(rest));
}

/// The task of the mark at the beginning of `text`, and its length in bytes.
fn first(text: &str) -> Option<(usize, usize)> {
    let inner = text.strip_prefix(OPEN)?.strip_prefix(['t', 'T'])?;
    let digits = inner
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(inner.len());
    let place = inner[..digits].parse().ok()?;
    let before = text.len() - inner.len() + digits;
    let inside = text[before..]
        .char_indices()
        .take(CHARS_MAX)
        .find(|(_, c)| !is_inside(*c) && *c != DOT);
    let length = match inside {
        Some((at, CLOSE)) => before + at + CLOSE.len_utf8(),
        Some((at, _)) => before + at,
        None => text.len(),
    };
    Some((place, length))
}

fn is_inside(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ' | DOT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_and_replaced_where_they_stand() {
        let text = format!("Check {}, not {}.", of(12, "file·1"), of(3, "ü\"title⟧"));
        assert_eq!(text, "Check ⟦t12·file·1⟧, not ⟦t3·title⟧.");
        assert_eq!(found(&text), [3, 12]);
        assert_eq!(
            replaced(&text, |place| format!("{{{{t{place}}}}}")),
            "Check {{t12}}, not {{t3}}."
        );
    }

    #[test]
    fn a_long_text_is_one_mark() {
        let long = repeated(&of(4, "why"), 3);
        assert_eq!(replaced(&format!("a {long} b"), |_| "x".into()), "a x b");
        assert_eq!(named(&long), Some((4, "why")));
        assert_eq!(named("no mark"), None);
    }

    #[test]
    fn what_scripts_do_to_texts_leaves_them_known() {
        let mark = of(7, "result of this task");
        assert_eq!(found(&mark.to_uppercase()), [7]);
        assert_eq!(
            replaced(&mark.chars().take(6).collect::<String>(), |_| "x".into()),
            "x"
        );
        assert_eq!(replaced("⟦t7·res\nmore", |_| "x".into()), "x\nmore");
        assert_eq!(replaced(&format!("a{mark}{mark}b"), |_| "x".into()), "axxb");
    }

    #[test]
    fn other_texts_stay() {
        for text in ["", "⟦", "⟦x⟧", "⟦t⟧", "[t3]", "⟦⟦u1⟧"] {
            assert_eq!(replaced(text, |_| "x".into()), text);
            assert_eq!(found(text), [0; 0]);
        }
    }
}
