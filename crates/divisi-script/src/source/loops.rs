//! Finds the loop in which a script was stopped.
//!
//! When the engine stops a loop without calls, the position it reports is that of the last call
//! before the loop. So the loop is the first one after that position, unless the enclosing block
//! ends before. If the loop contains calls, the position is inside of it, and an inner loop may be
//! reported instead, which is close enough.

use super::tokens;

/// The line of the loop that runs after `line` and `column`, or else `line`.
pub(crate) fn line(text: &str, line: u32, column: u32) -> u32 {
    let mut depth = 0;
    let list = tokens::read(text).list;
    let from = list
        .iter()
        .skip_while(|token| (token.line, token.column(text)) < (line, column));
    for token in from {
        match token.text(text) {
            "for" | "while" | "do" if token.kind == tokens::TokenKind::Word => return token.line,
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::line as loop_line;

    #[test]
    fn the_loop_is_the_next_one() {
        assert_eq!(loop_line("let n = 0\n\nwhile (n < 1) {}", 1, 9), 3);
        assert_eq!(loop_line("f(1,\n  2)\nfor (;;) {}", 1, 1), 3);
        assert_eq!(loop_line("try {\n  do {} while (1)\n} catch {}", 1, 1), 2);
    }

    #[test]
    fn a_place_without_a_loop_after_it_stays() {
        assert_eq!(loop_line("while (true) {\n  f()\n}\nreturn 1", 2, 3), 2);
        assert_eq!(loop_line("{ {\n  f()\n} }\nfor (;;) {}", 2, 3), 2);
    }
}
