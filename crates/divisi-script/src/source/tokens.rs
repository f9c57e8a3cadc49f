//! A tokenizer for JavaScript that tells code from comments and texts.
//!
//! This is no parser: the engine decides what is valid. It answers what the engine cannot in
//! advance: where `meta` is, whether a word such as `import` is code, and which bracket was never
//! closed.

use std::ops::Range;

/// The tokens of a script, and the first bracket that has no partner.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    pub(super) list: Vec<Token>,
    pub(super) unbalanced: Option<Unbalanced>,
}

/// One token. Each text part of a template is a separate token.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
    pub(super) line: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Word,
    Number,
    String,
    /// A template without `${`, or one of its parts.
    Template,
    Regex,
    Punctuator,
}

/// A bracket without a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unbalanced {
    pub(super) bracket: char,
    pub(super) line: u32,
    /// Whether it is an opening one.
    pub(super) opens: bool,
}

impl Token {
    pub(super) fn text<'t>(&self, source: &'t str) -> &'t str {
        &source[self.span.clone()]
    }

    /// Its byte column in its line, from 1.
    pub(super) fn column(&self, source: &str) -> u32 {
        let before = &source[..self.span.start];
        (before.len() - before.rfind('\n').map_or(0, |at| at + 1)) as u32 + 1
    }

    pub(super) fn is_string(&self) -> bool {
        self.kind == TokenKind::String
    }
}

/// Splits `source` into tokens. Invalid text becomes arbitrary tokens; the engine will report it.
pub(super) fn read(source: &str) -> Tokens {
    let mut reader = Reader {
        source,
        bytes: source.as_bytes(),
        at: 0,
        line: 1,
        open: Vec::new(),
        tokens: Tokens::default(),
    };
    reader.skip_hashbang();
    while reader.skip_blanks() {
        reader.token();
    }
    reader.finish()
}

struct Reader<'s> {
    source: &'s str,
    bytes: &'s [u8],
    at: usize,
    line: u32,
    open: Vec<Open>,
    tokens: Tokens,
}

struct Open {
    bracket: u8,
    line: u32,
}

/// Marks a `{` opened by `${` in a template.
const TEMPLATE_HOLE: u8 = b'$';

impl Reader<'_> {
    fn skip_hashbang(&mut self) {
        if self.source.starts_with('\u{feff}') {
            self.at = '\u{feff}'.len_utf8();
        }
        if self.source[self.at..].starts_with("#!") {
            self.skip_line();
        }
    }

    /// Skips to the next token; `false` at the end.
    fn skip_blanks(&mut self) -> bool {
        loop {
            match (self.peek(0), self.peek(1)) {
                (None, _) => return false,
                (Some(b'/'), Some(b'/')) => self.skip_line(),
                (Some(b'/'), Some(b'*')) => self.skip_until("*/", 2),
                (Some(byte), _) if byte.is_ascii_whitespace() || byte == 0x0b => self.step(),
                (Some(_), _) => match self.rest().chars().next() {
                    Some(c) if c.is_whitespace() || c == '\u{feff}' => self.at += c.len_utf8(),
                    _ => return true,
                },
            }
        }
    }

    fn token(&mut self) {
        let (start, line) = (self.at, self.line);
        let kind = match self.bytes[start] {
            quote @ (b'"' | b'\'') => self.string(quote),
            b'`' => self.template(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            b'/' if self.regex_may_follow() => self.regex(),
            byte if is_word(byte) => self.word(),
            byte => self.punctuator(byte),
        };
        self.tokens.list.push(Token {
            kind,
            span: start..self.at,
            line,
        });
    }

    fn string(&mut self, quote: u8) -> TokenKind {
        self.step();
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.step(),
                b'\n' => break,
                _ => {}
            }
            if self.peek(0).is_some() {
                self.step();
            }
            if byte == quote {
                break;
            }
        }
        TokenKind::String
    }

    /// Reads from a backquote, or from the `}` of a hole, to the next backquote or hole.
    fn template(&mut self) -> TokenKind {
        self.step();
        while let Some(byte) = self.peek(0) {
            if byte == b'$' && self.peek(1) == Some(b'{') {
                self.at += 2;
                self.open.push(Open {
                    bracket: TEMPLATE_HOLE,
                    line: self.line,
                });
                break;
            }
            if byte == b'\\' {
                self.step();
            }
            if self.peek(0).is_some() {
                self.step();
            }
            if byte == b'`' {
                break;
            }
        }
        TokenKind::Template
    }

    fn number(&mut self) -> TokenKind {
        while self.peek(0).is_some_and(|b| is_word(b) || b == b'.') {
            let exponent = matches!(self.peek(0), Some(b'e' | b'E'));
            self.step();
            if exponent
                && matches!(self.peek(0), Some(b'+' | b'-'))
                && self.peek(1).is_some_and(|b| b.is_ascii_digit())
            {
                self.step();
            }
        }
        TokenKind::Number
    }

    fn word(&mut self) -> TokenKind {
        while self.peek(0).is_some_and(is_word) {
            self.step();
        }
        TokenKind::Word
    }

    /// Reads a regex, or a division if no regex ends on the line.
    fn regex(&mut self) -> TokenKind {
        let mut class = false;
        let mut at = self.at + 1;
        loop {
            match self.bytes.get(at) {
                None | Some(b'\n') => return self.punctuator(b'/'),
                Some(b'\\') => at += 1,
                Some(b'[') => class = true,
                Some(b']') => class = false,
                Some(b'/') if !class => break,
                Some(_) => {}
            }
            at += 1;
        }
        self.at = at + 1;
        self.word();
        TokenKind::Regex
    }

    fn punctuator(&mut self, byte: u8) -> TokenKind {
        match byte {
            b'(' | b'[' | b'{' => {
                self.open.push(Open {
                    bracket: byte,
                    line: self.line,
                });
                self.step();
            }
            b'}' if self
                .open
                .last()
                .is_some_and(|open| open.bracket == TEMPLATE_HOLE) =>
            {
                self.open.pop();
                return self.template();
            }
            b')' | b']' | b'}' => self.close_bracket(byte),
            b'.' if self.rest().starts_with("...") => self.at += 3,
            b'+' | b'-' if self.peek(1) == Some(byte) => self.at += 2,
            b'=' if self.peek(1) == Some(b'>') => self.at += 2,
            _ => self.step(),
        }
        TokenKind::Punctuator
    }

    fn close_bracket(&mut self, bracket: u8) {
        let partner = match bracket {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        match self.open.last() {
            Some(open) if open.bracket == partner => {
                self.open.pop();
            }
            _ => self.unbalanced(bracket, self.line, false),
        }
        self.step();
    }

    /// Whether a `/` here begins a regex and is not a division.
    fn regex_may_follow(&self) -> bool {
        let Some(last) = self.tokens.list.last() else {
            return true;
        };
        let text = last.text(self.source);
        match last.kind {
            TokenKind::Number | TokenKind::String | TokenKind::Regex => false,
            TokenKind::Template => text.ends_with("${"),
            TokenKind::Word => matches!(
                text,
                "return"
                    | "typeof"
                    | "case"
                    | "in"
                    | "of"
                    | "delete"
                    | "void"
                    | "throw"
                    | "new"
                    | "do"
                    | "else"
                    | "await"
                    | "yield"
                    | "instanceof"
            ),
            TokenKind::Punctuator => !matches!(text, ")" | "]" | "++" | "--"),
        }
    }

    fn finish(mut self) -> Tokens {
        if let Some(open) = self.open.pop() {
            let bracket = if open.bracket == TEMPLATE_HOLE {
                b'{'
            } else {
                open.bracket
            };
            self.unbalanced(bracket, open.line, true);
        }
        self.tokens
    }

    fn unbalanced(&mut self, bracket: u8, line: u32, opens: bool) {
        let found = Unbalanced {
            bracket: char::from(bracket),
            line,
            opens,
        };
        self.tokens.unbalanced.get_or_insert(found);
    }

    fn skip_line(&mut self) {
        // All line ends of JavaScript: code that the engine executes must not be taken for a
        // comment here.
        let ends = ['\n', '\r', '\u{2028}', '\u{2029}'];
        self.at += self.rest().find(ends).unwrap_or(self.rest().len());
    }

    fn skip_until(&mut self, end: &str, skip: usize) {
        let from = self.at + skip;
        let to = self.source[from..]
            .find(end)
            .map_or(self.source.len(), |at| from + at + end.len());
        self.line += lines(&self.bytes[self.at..to]);
        self.at = to;
    }

    fn step(&mut self) {
        if self.bytes[self.at] == b'\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &str {
        &self.source[self.at..]
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#' | b'\\') || !byte.is_ascii()
}

fn lines(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        read(source)
            .list
            .iter()
            .map(|token| token.text(source))
            .collect()
    }

    #[test]
    fn comments_and_texts_are_not_code() {
        assert_eq!(
            texts("#!/bin/x\n// import\n/* import */ a 'import' \"x\\\"y\""),
            ["a", "'import'", "\"x\\\"y\""]
        );
    }

    #[test]
    fn templates_nest() {
        assert_eq!(
            texts("`a${ `b${c}` }d` e"),
            ["`a${", "`b${", "c", "}`", "}d`", "e"]
        );
        assert_eq!(texts("`a${{}}b`"), ["`a${", "{", "}", "}b`"]);
    }

    #[test]
    fn a_slash_divides_or_begins_a_regex() {
        assert_eq!(texts("a / b / c"), ["a", "/", "b", "/", "c"]);
        assert_eq!(
            texts("x = /[/']/g.test(y)"),
            ["x", "=", "/[/']/g", ".", "test", "(", "y", ")"]
        );
        assert_eq!(texts("return /`/"), ["return", "/`/"]);
        assert_eq!(texts("({}) / 2"), ["(", "{", "}", ")", "/", "2"]);
        assert_eq!(texts("} / 2\n/ 3"), ["}", "/", "2", "/", "3"]);
    }

    #[test]
    fn lines_are_those_of_the_first_character() {
        let lines: Vec<u32> = read("a\n`x\ny` /*\n*/ b")
            .list
            .iter()
            .map(|token| token.line)
            .collect();
        assert_eq!(lines, [1, 2, 4]);
    }

    #[test]
    fn the_first_bracket_without_partner_is_told() {
        let found = |source| {
            read(source)
                .unbalanced
                .map(|u| (u.bracket, u.line, u.opens))
        };
        assert_eq!(found("f({[1]})"), None);
        assert_eq!(found("a\n}"), Some(('}', 2, false)));
        assert_eq!(found("{\n(\n}"), Some(('}', 3, false)));
        assert_eq!(found("f(\n"), Some(('(', 1, true)));
    }

    proptest::proptest! {
        /// Tokens are in order and have the text of their spans, whatever the input.
        #[test]
        fn tokens_stand_in_order(source in "[`'\"/\\\\{}()$*.=+\\[\\]#! \n\ta1e\u{e9}\u{2028}\u{1f600}]{0,60}") {
            let mut end = 0;
            for token in read(&source).list {
                proptest::prop_assert!(token.span.start >= end && !token.text(&source).is_empty());
                end = token.span.end;
            }
        }
    }

    #[test]
    fn any_text_can_be_read() {
        for source in [
            "'",
            "`",
            "`${",
            "/",
            "/*",
            "\\",
            "'\\",
            "1e",
            "é`${é",
            "\u{feff}#!x",
            "\u{2028}",
            "`\\",
        ] {
            read(source);
        }
    }
}
