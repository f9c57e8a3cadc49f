//! References in prompts: `{{id}}` is replaced by the result of task `id`.
//!
//! The braces must contain a whole id, except for blanks around it. Other text in double braces
//! (`{{ a | b }}`, `${{ matrix.os }}`) belongs to other template languages and stays.

/// Longest id; a longer one would not fit a line of a report.
const ID_CHARS_MAX: usize = 64;

/// Whether `text` is a valid id.
pub(super) fn is_id(text: &str) -> bool {
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_id_byte)
}

/// The ids in `prompt`, in order, with repetitions.
pub fn references(prompt: &str) -> impl Iterator<Item = &str> {
    pieces(prompt).filter_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Reference { id, .. } => Some(id),
    })
}

/// Replaces references by results.
///
/// A reference without a result stays. Results are not searched for references.
pub fn render<'r>(prompt: &str, result: impl Fn(&str) -> Option<&'r str>) -> String {
    pieces(prompt)
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Reference { id, written } => result(id).unwrap_or(written),
        })
        .collect()
}

enum Piece<'p> {
    Text(&'p str),
    Reference { id: &'p str, written: &'p str },
}

fn pieces(prompt: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = prompt;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = match first_reference(rest) {
            Some((0, id, end)) => (
                Piece::Reference {
                    id,
                    written: &rest[..end],
                },
                end,
            ),
            Some((start, ..)) => (Piece::Text(&rest[..start]), start),
            None => (Piece::Text(rest), rest.len()),
        };
        rest = &rest[after..];
        Some(piece)
    })
}

/// Finds the first reference of `text`: its start, its id and its end.
fn first_reference(text: &str) -> Option<(usize, &str, usize)> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{{").map(|at| from + at) {
        if let Some((id, end)) = reference_at(text, open + 2) {
            return Some((open, id, end));
        }
        // Advances by one brace, so that the reference in `{{{a}}` is found.
        from = open + 1;
    }
    None
}

/// Parses an id at `inner`, after two braces, and returns where its reference ends.
///
/// Reads no further than the id and the blanks around it, so that a text full of braces takes
/// linear time.
fn reference_at(text: &str, inner: usize) -> Option<(&str, usize)> {
    let rest = text[inner..].trim_start();
    let length = rest
        .bytes()
        .take(ID_CHARS_MAX + 1)
        .take_while(|&byte| is_id_byte(byte))
        .count();
    let (id, after) = rest.split_at(length);
    let end = after.trim_start().strip_prefix("}}")?;
    is_id(id).then(|| (id, text.len() - end.len()))
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_whole_ids_in_double_braces() {
        let found = |prompt| references(prompt).collect::<Vec<_>>();
        assert_eq!(
            found("Join {{a}} and {{ b-2 }}, {{a}} first."),
            ["a", "b-2", "a"]
        );
        assert_eq!(found("{{{a}}}"), ["a"]);
        for other in [
            "",
            "{a}",
            "{{}}",
            "{{a",
            "a}}",
            "{{ a | b }}",
            "${{ matrix.os }}",
            "{{é}}",
        ] {
            assert_eq!(found(other), [""; 0], "{other}");
        }
    }

    #[test]
    fn a_text_full_of_braces_is_read_in_one_pass() {
        for text in [
            "{".repeat(1 << 17),
            "{{ ".repeat(1 << 17),
            format!("{}}}}}", "{{a".repeat(1 << 17)),
        ] {
            assert_eq!(references(&text).filter(|id| *id != "a").count(), 0);
        }
        assert_eq!(
            references(&format!("{{{{{}}}}}", "a".repeat(65))).count(),
            0
        );
    }

    #[test]
    fn results_take_the_place_of_references() {
        let results = |id: &str| match id {
            "a" => Some("the {{b}}"),
            _ => None,
        };
        assert_eq!(
            render("1 {{a}} 2 {{ b }} 3 {{{a}}}", results),
            "1 the {{b}} 2 {{ b }} 3 {the {{b}}}"
        );
        assert_eq!(render("näh {{a}}", results), "näh the {{b}}");
    }
}
