//! Parses literals of JavaScript without executing anything.

use super::tokens::{Token, TokenKind};
use crate::error::{ErrorKind, Problem};
use serde_json::{Map, Number, Value};

/// Deepest nesting; known scripts have three levels in `meta`.
const DEPTH_MAX: u32 = 32;

/// Reads the literal that starts at token `at`; also returns the index of the token after it.
pub(super) fn read(source: &str, tokens: &[Token], at: usize) -> Result<(Value, usize), Problem> {
    let mut reader = Reader {
        source,
        tokens,
        at,
        depth: 0,
    };
    let value = reader.value()?;
    Ok((value, reader.at))
}

/// The error for a `meta` that contains `what`, which is not a literal.
pub(super) fn not_pure(line: u32, what: &str) -> Problem {
    Problem::new(
        ErrorKind::Meta,
        format!("`meta` has to be a plain literal, but there is {what}"),
    )
    .line(line)
    .hint("write out texts, numbers, lists and objects; it is read before anything runs")
}

struct Reader<'s> {
    source: &'s str,
    tokens: &'s [Token],
    at: usize,
    depth: u32,
}

impl<'s> Reader<'s> {
    fn value(&mut self) -> Result<Value, Problem> {
        let (token, text) = self.next()?;
        match (token.kind, text) {
            (TokenKind::String, _) => Ok(unquote(text).into()),
            (TokenKind::Template, _) if text.ends_with('`') => Ok(unquote(text).into()),
            (TokenKind::Template, _) => Err(not_pure(token.line, "a template with `${…}`")),
            (TokenKind::Number, _) => number(text, token.line),
            (TokenKind::Punctuator, "-") => self.negative(),
            (TokenKind::Punctuator, "{") => self.nested(Self::object),
            (TokenKind::Punctuator, "[") => self.nested(Self::list),
            (TokenKind::Punctuator, "...") => Err(not_pure(token.line, "a spread")),
            (TokenKind::Word, "true") => Ok(true.into()),
            (TokenKind::Word, "false") => Ok(false.into()),
            (TokenKind::Word, "null") => Ok(Value::Null),
            (TokenKind::Word, _) if self.peek() == "(" => {
                Err(not_pure(token.line, &format!("a call of `{text}`")))
            }
            (TokenKind::Word, _) => Err(not_pure(token.line, &format!("the variable `{text}`"))),
            (TokenKind::Regex | TokenKind::Punctuator, _) => {
                Err(not_pure(token.line, &format!("`{text}`")))
            }
        }
    }

    fn negative(&mut self) -> Result<Value, Problem> {
        let (token, text) = self.next()?;
        match token.kind {
            TokenKind::Number => number(&format!("-{text}"), token.line),
            _ => Err(not_pure(token.line, "an expression")),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Problem>) -> Result<Value, Problem> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(not_pure(self.tokens[self.at - 1].line, "too much nesting"));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        while self.peek() != "]" {
            items.push(self.value()?);
            self.comma("]")?;
        }
        self.next()?;
        Ok(Value::Array(items))
    }

    fn object(&mut self) -> Result<Value, Problem> {
        let mut fields = Map::new();
        while self.peek() != "}" {
            let key = self.key()?;
            let (token, text) = self.next()?;
            match text {
                ":" => fields.insert(key, self.value()?),
                "," | "}" => return Err(not_pure(token.line, &format!("the variable `{key}`"))),
                _ => return Err(not_pure(token.line, &format!("the method `{key}`"))),
            };
            self.comma("}")?;
        }
        self.next()?;
        Ok(Value::Object(fields))
    }

    fn key(&mut self) -> Result<String, Problem> {
        let (token, text) = self.next()?;
        match token.kind {
            TokenKind::Word | TokenKind::Number => Ok(text.to_owned()),
            TokenKind::String => Ok(unquote(text)),
            TokenKind::Punctuator if text == "..." => Err(not_pure(token.line, "a spread")),
            TokenKind::Punctuator if text == "[" => Err(not_pure(token.line, "a computed key")),
            TokenKind::Template | TokenKind::Regex | TokenKind::Punctuator => {
                Err(not_pure(token.line, &format!("`{text}` for a key")))
            }
        }
    }

    /// Reads a comma between two entries; after the last one it is optional.
    fn comma(&mut self, end: &str) -> Result<(), Problem> {
        if self.peek() == end {
            return Ok(());
        }
        let (token, text) = self.next()?;
        match text {
            "," => Ok(()),
            _ => Err(not_pure(token.line, "an expression")),
        }
    }

    fn next(&mut self) -> Result<(&'s Token, &'s str), Problem> {
        let last = self.tokens.last().map_or(1, |token| token.line);
        let token = self
            .tokens
            .get(self.at)
            .ok_or_else(|| not_pure(last, "no end"))?;
        self.at += 1;
        Ok((token, token.text(self.source)))
    }

    fn peek(&self) -> &'s str {
        self.tokens
            .get(self.at)
            .map_or("", |token| token.text(self.source))
    }
}

fn number(text: &str, line: u32) -> Result<Value, Problem> {
    let plain = text.replace('_', "");
    let whole = plain.parse::<i64>().ok().map(Number::from);
    whole
        .or_else(|| plain.parse::<f64>().ok().and_then(Number::from_f64))
        .map(Value::Number)
        .ok_or_else(|| not_pure(line, &format!("the number `{text}`")))
}

/// The value of a quoted text.
pub(super) fn unquote(quoted: &str) -> String {
    let mut inner = quoted.chars();
    inner.next();
    inner.next_back();
    let mut units = Vec::new();
    let mut rest = inner.as_str();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\\' {
            rest = escape(rest, &mut units);
        } else {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    String::from_utf16_lossy(&units)
}

/// Reads the characters after a backslash; returns the rest.
fn escape<'t>(text: &'t str, units: &mut Vec<u16>) -> &'t str {
    let Some(c) = text.chars().next() else {
        return text;
    };
    let rest = &text[c.len_utf8()..];
    let code = match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        '0' => '\0',
        '\n' => return rest,
        'x' | 'u' => match hex(c, rest) {
            Some((unit, rest)) => {
                units.extend(unit);
                return rest;
            }
            None => c,
        },
        other => other,
    };
    units.extend(code.encode_utf16(&mut [0; 2]).iter());
    rest
}

/// `\x41`, `\u0041` and `\u{41}`, read from after their letter.
fn hex(letter: char, text: &str) -> Option<(Vec<u16>, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (digits, rest) = braced.split_once('}')?;
        let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
        return Some((c.encode_utf16(&mut [0; 2]).to_vec(), rest));
    }
    let digits = text.get(..if letter == 'x' { 2 } else { 4 })?;
    Some((
        vec![u16::from_str_radix(digits, 16).ok()?],
        &text[digits.len()..],
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;

    fn value(source: &str) -> Result<String, String> {
        let list = tokens::read(source).list;
        read(source, &list, 0)
            .map(|(value, _)| value.to_string())
            .map_err(|problem| problem.detail)
    }

    #[test]
    fn literals_are_read_as_the_engine_would() {
        let source = r#"{ a: 'it\'s', "b": [1, -2.5, 1_000, true, null,], c: `x`, 'd-e': { f: "\u00e9\x41\u{1F600}\ud83d\ude00" }, }"#;
        assert_eq!(
            value(source).unwrap(),
            r#"{"a":"it's","b":[1,-2.5,1000,true,null],"c":"x","d-e":{"f":"éA😀😀"}}"#
        );
    }

    #[test]
    fn whatever_would_have_to_run_is_named() {
        let complaint = |source| {
            value(source)
                .unwrap_err()
                .split_once("there is ")
                .unwrap()
                .1
                .to_owned()
        };
        for (source, what) in [
            ("{ a: b }", "the variable `b`"),
            ("{ a: f() }", "a call of `f`"),
            ("{ a: 'x' + 'y' }", "an expression"),
            ("{ a }", "the variable `a`"),
            ("{ a() {} }", "the method `a`"),
            ("{ ...a }", "a spread"),
            ("[...a]", "a spread"),
            ("{ [a]: 1 }", "a computed key"),
            ("{ a: `x${1}` }", "a template with `${…}`"),
            ("{ a: /x/ }", "`/x/`"),
            ("{ a: 1", "no end"),
        ] {
            assert_eq!(complaint(source), what, "{source}");
        }
    }
}
