//! A text that matches a regular expression.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest text, because nested repetitions multiply.
const BYTES_MAX: usize = 4_096;

/// A text of at least `chars_min` characters that matches `pattern`, as short as possible; `None`
/// for unsupported patterns, such as look-around.
pub fn matching(pattern: &str, chars_min: usize) -> Option<String> {
    let expression = regex_syntax::parse(pattern).ok()?;
    for more in 0..=chars_min {
        let mut text = String::new();
        write(&expression, more as u32, &mut text)?;
        if text.chars().count() >= chars_min {
            return Some(text);
        }
    }
    None
}

/// Appends a match of `expression`, with `more` repetitions than the minimum.
fn write(expression: &Hir, more: u32, text: &mut String) -> Option<()> {
    match expression.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(class) => text.push(member(class)?),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            for _ in 0..repetition.min.saturating_add(more).min(most) {
                let before = text.len();
                write(&repetition.sub, more, text)?;
                // A repetition that adds nothing once never adds anything.
                if text.len() == before {
                    break;
                }
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, more, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, more, text))?,
        HirKind::Alternation(parts) => write(parts.first()?, more, text)?,
    }
    (text.len() <= BYTES_MAX).then_some(())
}

/// A readable character of the class, if it has one.
fn member(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let mut readable = ('a'..='z')
        .chain('A'..='Z')
        .chain('0'..='9')
        .chain('!'..='~')
        .chain([' ']);
    let is_in = |c: &char| {
        class
            .ranges()
            .iter()
            .any(|range| (range.start()..=range.end()).contains(c))
    };
    readable
        .find(is_in)
        .or_else(|| class.ranges().first().map(|range| range.start()))
}

#[cfg(test)]
mod tests {
    use super::matching;

    #[test]
    fn matches_as_briefly_as_it_may() {
        assert_eq!(matching("^[a-z]+$", 1).as_deref(), Some("a"));
        assert_eq!(matching("^[a-z]+$", 4).as_deref(), Some("aaaa"));
        assert_eq!(matching(r"^v\d+\.\d+(-rc)?$", 0).as_deref(), Some("v0.0"));
        assert_eq!(matching("^(?:high|low)$", 0).as_deref(), Some("high"));
    }

    #[test]
    fn gives_up_on_what_it_cannot_read_or_reach() {
        assert_eq!(matching("(?=x)y", 0), None);
        assert_eq!(matching("^a$", 2), None);
        assert_eq!(matching("((((a{99}){99}){99}){99})", 0), None);
        assert_eq!(matching("(?:b?){4000000000}", 0).as_deref(), Some(""));
    }
}
