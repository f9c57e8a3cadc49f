//! Finds the expression that a script called although it is no function.
//!
//! The engine says only `not a function`. The position it reports is that of the last token for
//! which it kept one: the last name of what was called, or the first token of the arguments. If
//! another call among the arguments may have left that position, nothing is named: a wrong name
//! costs its reader more than none.

use super::tokens::{self, Token, TokenKind};

/// Longest text of an expression in a message.
const CHARS_MAX: usize = 60;

/// The text of what was called at `line` and `column`, if it is certain.
pub(crate) fn name(source: &str, line: u32, column: u32) -> Option<String> {
    let list = tokens::read(source).list;
    let code = Code {
        source,
        list: &list,
    };
    let at = list
        .iter()
        .position(|token| (token.line, token.column(source)) == (line, column))?;
    let open = code.call_after(at).or_else(|| code.around(at))?;
    let start = code.start(open)?;
    // What another call returns, or what is passed to one, leaves the same position.
    if code.text(code.closing(open)? + 1) == "(" || code.around(start).is_some() {
        return None;
    }
    let text = code.written(start, open)?;
    (text.chars().count() <= CHARS_MAX).then_some(text)
}

struct Code<'t> {
    source: &'t str,
    list: &'t [Token],
}

impl Code<'_> {
    fn text(&self, at: usize) -> &str {
        self.list
            .get(at)
            .map_or("", |token| token.text(self.source))
    }

    /// Whether the bracket at `open` begins arguments.
    fn is_call(&self, open: usize) -> bool {
        self.text(open) == "("
            && open
                .checked_sub(1)
                .is_some_and(|last| self.ends_value(last))
    }

    /// Whether a value may end with this token.
    fn ends_value(&self, at: usize) -> bool {
        match self.list.get(at).map(|token| token.kind) {
            Some(TokenKind::Word) => !is_keyword(self.text(at)),
            Some(TokenKind::Punctuator) => matches!(self.text(at), ")" | "]" | "."),
            _ => false,
        }
    }

    /// The bracket of the arguments, if the name at `at` is called.
    fn call_after(&self, at: usize) -> Option<usize> {
        let is_name = self.list.get(at)?.kind == TokenKind::Word && !is_keyword(self.text(at));
        let skipped = usize::from(self.text(at + 1) == "?" && self.text(at + 2) == ".") * 2;
        (is_name && self.text(at + 1 + skipped) == "(").then_some(at + 1 + skipped)
    }

    /// The first token of what is called with the arguments at `open`.
    fn start(&self, open: usize) -> Option<usize> {
        let mut at = open.checked_sub(1)?;
        loop {
            at = match self.text(at) {
                // The dot of `f?.()`.
                "." => self.before_dot(at + 1)?,
                ")" | "]" => {
                    let bracket = self.opening(at)?;
                    let before = bracket.checked_sub(1);
                    match before.filter(|last| self.ends_value(*last)) {
                        Some(before) => before,
                        None => return Some(bracket),
                    }
                }
                _ => match self.before_dot(at) {
                    Some(before) => before,
                    None => return Some(at),
                },
            };
        }
    }

    /// The last token before `.` or `?.`, which is before `at`.
    fn before_dot(&self, at: usize) -> Option<usize> {
        let dot = at.checked_sub(1).filter(|dot| self.text(*dot) == ".")?;
        let before = dot.checked_sub(1)?;
        match self.text(before) {
            "?" => before.checked_sub(1),
            _ => Some(before),
        }
    }

    /// The partner of an opening bracket.
    fn closing(&self, open: usize) -> Option<usize> {
        (open..self.list.len()).find(|close| {
            matches!(self.text(*close), ")" | "]" | "}") && self.opening(*close) == Some(open)
        })
    }

    /// The partner of a closing bracket.
    fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in (0..=close).rev() {
            match self.text(at) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" => depth = depth.checked_sub(1)?,
                _ => {}
            }
            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// The bracket of the arguments that contain the token at `at`, within the same function.
    fn around(&self, at: usize) -> Option<usize> {
        let mut at = at;
        while let Some(before) = at.checked_sub(1) {
            at = before;
            match self.text(at) {
                ")" | "]" | "}" => at = self.opening(at)?,
                "(" if self.is_call(at) => return Some(at),
                "=>" => return None,
                "{" if matches!(
                    at.checked_sub(1).map(|last| self.text(last)),
                    Some(")" | "=>")
                ) =>
                {
                    return None;
                }
                _ => {}
            }
        }
        None
    }

    /// The expression from `start` to `end`; arguments are left out.
    fn written(&self, start: usize, end: usize) -> Option<String> {
        let mut text = String::new();
        let mut at = start;
        while at < end {
            if self.is_call(at) {
                at = self.closing(at)?;
                text.push_str("(...)");
            } else {
                text.push_str(self.text(at));
            }
            at += 1;
        }
        Some(text.trim_end_matches("?.").to_owned())
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "if" | "for"
            | "while"
            | "switch"
            | "catch"
            | "with"
            | "return"
            | "await"
            | "yield"
            | "typeof"
            | "void"
            | "delete"
            | "throw"
            | "new"
            | "in"
            | "of"
            | "case"
            | "do"
            | "else"
            | "instanceof"
            | "function"
            | "async"
    )
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn the_whole_chain_before_the_arguments_is_named() {
        let named = |source, column| name(source, 1, column);
        assert_eq!(
            named("files.map((f) => f)", 7).as_deref(),
            Some("files.map")
        );
        assert_eq!(named("files.map(f => f)", 11).as_deref(), Some("files.map"));
        assert_eq!(
            named("get(1).list[0].map(x)", 16).as_deref(),
            Some("get(...).list[0].map")
        );
        assert_eq!(named("a?.b?.(x)", 4).as_deref(), Some("a?.b"));
        assert_eq!(named("`${a.b(1)}`", 6).as_deref(), Some("a.b"));
    }

    #[test]
    fn a_call_that_may_be_another_is_not_named() {
        assert_eq!(name("a.map(b.trim())", 1, 9), None);
        assert_eq!(name("get()()", 1, 1), None);
        assert_eq!(name("a", 1, 1), None);
        assert_eq!(
            name("a.map(x => b.trim())", 1, 14).as_deref(),
            Some("b.trim")
        );
    }
}
