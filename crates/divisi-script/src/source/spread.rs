//! Finds what is spread into objects: the `x` of `{ ...x }`.
//!
//! The engine takes nothing from a string there, where the standard takes its characters. So what
//! is spread is passed through `Object()`, which makes objects of strings and other primitives and
//! returns objects as they are.
//!
//! `...` within braces can also collect the rest of a pattern, as in `const { a, ...rest } = x`,
//! which must stay as it is. What cannot be told from a pattern counts as one.

use super::tokens::{Token, TokenKind};
use std::ops::Range;

/// The bytes of every value that is spread into an object.
pub(super) fn operands(text: &str, tokens: &[Token]) -> Vec<Range<usize>> {
    let code = Code::of(text, tokens);
    let spreads = (0..tokens.len()).filter(|at| {
        let around = code.around[*at];
        code.text(*at) == "..."
            && around.is_some_and(|open| code.text(open) == "{" && !code.is_pattern(open))
    });
    spreads.filter_map(|at| code.operand(at + 1)).collect()
}

struct Code<'t> {
    text: &'t str,
    tokens: &'t [Token],
    /// For each token the bracket that contains it.
    around: Vec<Option<usize>>,
    /// For each opening bracket its partner.
    partner: Vec<Option<usize>>,
}

impl<'t> Code<'t> {
    fn of(text: &'t str, tokens: &'t [Token]) -> Self {
        let mut open: Vec<usize> = Vec::new();
        let mut around = vec![None; tokens.len()];
        let mut partner = vec![None; tokens.len()];
        for (at, token) in tokens.iter().enumerate() {
            let written = token.text(text);
            let is_template = token.kind == TokenKind::Template;
            let is_bracket = token.kind == TokenKind::Punctuator;
            // A part of a template may close one hole and open the next.
            let closes = (is_template && written.starts_with('}'))
                || (is_bracket && matches!(written, ")" | "]" | "}"));
            if let Some(opened) = closes.then(|| open.pop()).flatten() {
                partner[opened] = Some(at);
            }
            around[at] = open.last().copied();
            let opens = (is_template && written.ends_with("${"))
                || (is_bracket && matches!(written, "(" | "[" | "{"));
            if opens {
                open.push(at);
            }
        }
        Self {
            text,
            tokens,
            around,
            partner,
        }
    }

    fn text(&self, at: usize) -> &str {
        self.tokens
            .get(at)
            .map_or("", |token| token.text(self.text))
    }

    fn before(&self, at: usize) -> &str {
        at.checked_sub(1).map_or("", |at| self.text(at))
    }

    /// The value that begins at `first` and ends before the next comma, or at the end of the object.
    fn operand(&self, first: usize) -> Option<Range<usize>> {
        let open = self.around.get(first).copied().flatten()?;
        let end = self.partner[open]?;
        let is_end =
            |at: &usize| *at == end || (self.text(*at) == "," && self.around[*at] == Some(open));
        let after = (first..=end).find(is_end)?;
        let last = after.checked_sub(1).filter(|last| *last >= first)?;
        Some(self.tokens[first].span.start..self.tokens[last].span.end)
    }

    /// Whether the brace or bracket at `open` is a pattern to which something is assigned.
    fn is_pattern(&self, open: usize) -> bool {
        let Some(close) = self.partner[open] else {
            return true;
        };
        let is_assigned = self.text(close + 1) == "=" && !self.touches(close + 1, "=");
        is_assigned || self.is_loop_variable(open, close) || self.is_in_pattern(open)
    }

    /// Whether the token after `at` has this text and follows without a gap: `==` is two tokens.
    fn touches(&self, at: usize, next: &str) -> bool {
        let ends = self.tokens.get(at).map(|token| token.span.end);
        let starts = self.tokens.get(at + 1).map(|token| token.span.start);
        ends == starts && self.text(at + 1) == next
    }

    fn is_loop_variable(&self, open: usize, close: usize) -> bool {
        let is_declared = matches!(self.before(open), "const" | "let" | "var");
        self.text(close + 1) == "of" || (self.text(close + 1) == "in" && is_declared)
    }

    /// Whether it is a parameter, or a target within a larger pattern.
    fn is_in_pattern(&self, open: usize) -> bool {
        let Some(outer) = self.around[open] else {
            return false;
        };
        // After `=` it is a default value.
        let is_target = matches!(self.before(open), "(" | "[" | "," | ":" | "...");
        is_target
            && match self.text(outer) {
                "(" => self.is_parameters(outer),
                "[" | "{" => self.is_pattern(outer),
                _ => false,
            }
    }

    /// Whether the bracket at `open` begins the parameters of a function or a `catch`.
    fn is_parameters(&self, open: usize) -> bool {
        let after = self.partner[open].map_or("", |close| self.text(close + 1));
        let is_statement = matches!(
            self.before(open),
            "if" | "for" | "while" | "switch" | "with"
        );
        after == "=>" || (after == "{" && !is_statement)
    }
}

#[cfg(test)]
mod tests {
    use crate::source::tokens;

    fn operands(source: &str) -> Vec<&str> {
        let found = super::operands(source, &tokens::read(source).list);
        found.into_iter().map(|span| &source[span]).collect()
    }

    #[test]
    fn what_is_spread_into_objects_is_found() {
        assert_eq!(operands("x = { ...a, b: 1, ...f(1, 2) }"), ["a", "f(1, 2)"]);
        assert_eq!(
            operands("({ ...(a ? { ...b } : c), })"),
            ["(a ? { ...b } : c)", "b"]
        );
        assert_eq!(
            operands("f(`${g({ ...a })}`, { ...await h() })"),
            ["a", "await h()"]
        );
        assert_eq!(operands("if (f({ ...a })) { g({ ...b }) }"), ["a", "b"]);
        assert_eq!(
            operands("const f = ({ a = { ...b } } = { ...c }) => ({ ...d })"),
            ["b", "c", "d"]
        );
        assert_eq!(operands("x = { ...a } == y"), ["a"]);
    }

    #[test]
    fn rests_of_patterns_and_other_spreads_are_not() {
        for source in [
            "const { a, ...r } = x",
            "({ a, ...r } = x)",
            "const [{ ...r }] = x",
            "const { a: { b: [{ ...r }] } } = x",
            "for (const { a, ...r } of xs) {}",
            "const f = ({ a, ...r }) => r",
            "const f = (a, { ...r } = {}) => r",
            "function f({ ...r }) {}",
            "class A { m({ ...r }) {} }",
            "try {} catch ({ ...r }) {}",
            "f(...a); [...b]",
        ] {
            assert!(operands(source).is_empty(), "{source}");
        }
    }
}
