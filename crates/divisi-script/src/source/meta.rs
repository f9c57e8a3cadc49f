//! `export const meta = {…}`: a script's description of itself.

use super::tokens::{Token, Tokens};
use super::{Warning, literal};
use crate::convert::dollars_of;
use crate::error::{ErrorKind, Problem};
use divisi_core::PicoUsd;
use serde_json::{Map, Value};
use std::ops::Range;

/// A script's description of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Meta {
    /// The name under which it can be called.
    pub name: String,
    /// What it does; empty when the script has no `meta`.
    pub description: String,
    /// When to use it, in words for choosing among scripts.
    pub when_to_use: Option<String>,
    /// Whether a stage of `pipeline` that gives `null` hands it on to the next stage, as in versions
    /// of Claude Code before July 2026, and does not end its item.
    pub hands_on_null: bool,
    /// Most calls that the run should be allowed to make, where the script states a number. See
    /// [`HostLimits::agents_max`](crate::HostLimits::agents_max).
    pub agents_max: Option<u32>,
    /// A JSON Schema of its arguments, which are checked before a run.
    pub args: Option<Value>,
    /// The phases it announces. Only their caps have an effect.
    pub phases: Vec<Phase>,
}

/// A phase that a script announces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phase {
    /// Its title, as passed to `phase()`.
    pub title: String,
    /// What happens in it.
    pub detail: Option<String>,
    /// The model it mostly uses, for display.
    pub model: Option<String>,
    /// Most that its tasks may spend.
    pub cap: Option<PicoUsd>,
}

/// A `meta`, or the default for a missing one.
pub(super) struct Found {
    pub(super) meta: Meta,
    pub(super) warnings: Vec<Warning>,
    /// The bytes of the word `export` before it.
    pub(super) export: Option<Range<usize>>,
}

/// Finds the `meta` of the script `name`.
pub(super) fn read(name: &str, text: &str, tokens: &Tokens) -> Result<Found, Problem> {
    let Some(at) = position(text, &tokens.list) else {
        let message = super::NO_META.to_owned();
        return Ok(Found {
            meta: Meta {
                name: stem(name).to_owned(),
                ..Meta::default()
            },
            warnings: vec![Warning { message, line: 1 }],
            export: None,
        });
    };
    if let Some(before) = first_statement(text, &tokens.list[..at]) {
        return Err(wrong(
            before.line,
            "`meta` has to come first, but there is code before it",
        )
        .hint("move `export const meta = {…}` to the top; only comments may precede it"));
    }
    let line = tokens.list[at].line;
    let (value, after) = literal::read(text, &tokens.list, at + 4)?;
    check_end(text, &tokens.list, after)?;
    let mut warnings = Vec::new();
    let meta = from_value(value, line, &mut warnings)?;
    Ok(Found {
        meta,
        warnings,
        export: Some(tokens.list[at].span.clone()),
    })
}

/// The index of the token `export` of `export const meta =`.
fn position(text: &str, tokens: &[Token]) -> Option<usize> {
    tokens.windows(4).position(|window| {
        let words: Vec<&str> = window.iter().map(|token| token.text(text)).collect();
        words[0] == "export"
            && matches!(words[1], "const" | "let" | "var")
            && words[2..] == ["meta", "="]
    })
}

/// The first token that is neither a directive such as `'use strict'` nor a semicolon.
fn first_statement<'t>(text: &str, tokens: &'t [Token]) -> Option<&'t Token> {
    tokens
        .iter()
        .find(|token| !token.is_string() && token.text(text) != ";")
}

/// The literal must be the whole statement.
fn check_end(text: &str, tokens: &[Token], after: usize) -> Result<(), Problem> {
    match tokens.get(after) {
        Some(next) if next.text(text) != ";" && next.line == tokens[after - 1].line => {
            Err(not_pure(next, text))
        }
        Some(_) | None => Ok(()),
    }
}

fn not_pure(token: &Token, text: &str) -> Problem {
    literal::not_pure(token.line, &format!("`{}` after it", token.text(text)))
}

fn from_value(value: Value, line: u32, warnings: &mut Vec<Warning>) -> Result<Meta, Problem> {
    let Value::Object(mut fields) = value else {
        return Err(literal::not_pure(line, "something that is no object"));
    };
    let meta = Meta {
        name: required(&mut fields, "name", line)?,
        description: required(&mut fields, "description", line)?,
        when_to_use: optional(&mut fields, "whenToUse"),
        hands_on_null: switch(&mut fields, "handsOnNull", line)?,
        agents_max: agents(fields.shift_remove("maxAgents"), line)?,
        args: schema(fields.shift_remove("args"), line, warnings),
        phases: phases(fields.shift_remove("phases"), line, warnings)?,
    };
    for key in fields.keys() {
        warnings.push(Warning {
            message: format!("`meta.{key}` means nothing here"),
            line,
        });
    }
    Ok(meta)
}

fn required(fields: &mut Map<String, Value>, key: &str, line: u32) -> Result<String, Problem> {
    match optional(fields, key) {
        Some(text) if !text.trim().is_empty() => Ok(text),
        Some(_) | None => Err(wrong(line, &format!("`meta.{key}` is missing"))
            .hint("`meta` needs a `name` and a `description`, both texts")),
    }
}

fn optional(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    match fields.shift_remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// An invalid switch is an error and not ignored: its author relies on it.
fn switch(fields: &mut Map<String, Value>, key: &str, line: u32) -> Result<bool, Problem> {
    match fields.shift_remove(key) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(on),
        Some(other) => Err(wrong(
            line,
            &format!("`meta.{key}` has to be true or false, not {other}"),
        )),
    }
}

/// An invalid number is an error and not ignored: its author relies on it.
fn agents(value: Option<Value>, line: u32) -> Result<Option<u32>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let number = value.as_f64().filter(|number| number.fract() == 0.0);
    let is_count = |number: &f64| (1.0..=f64::from(u32::MAX)).contains(number);
    match number.filter(is_count) {
        Some(number) => Ok(Some(number as u32)),
        None => Err(wrong(
            line,
            &format!("`meta.maxAgents` has to be a whole number from 1, not {value}"),
        )),
    }
}

/// Scripts for other programs have descriptions of another form in this place.
fn schema(value: Option<Value>, line: u32, warnings: &mut Vec<Warning>) -> Option<Value> {
    let value = value?;
    let is_schema = ["type", "properties"]
        .iter()
        .any(|keyword| value.get(keyword).is_some());
    if !is_schema {
        warnings.push(Warning {
            message: "`meta.args` is no JSON Schema, so arguments are not checked".to_owned(),
            line,
        });
    }
    is_schema.then_some(value)
}

fn phases(
    value: Option<Value>,
    line: u32,
    warnings: &mut Vec<Warning>,
) -> Result<Vec<Phase>, Problem> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let entries = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let phases = entries
        .iter()
        .filter_map(|entry| phase(entry, line).transpose());
    let phases = phases.collect::<Result<Vec<_>, _>>()?;
    if phases.len() < entries.len() || !value.is_array() {
        warnings.push(Warning {
            message: "`meta.phases` is not a list of `{title}`".to_owned(),
            line,
        });
    }
    Ok(phases)
}

fn phase(entry: &Value, line: u32) -> Result<Option<Phase>, Problem> {
    let text = |key| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    match entry {
        Value::String(title) => Ok(Some(Phase {
            title: title.clone(),
            ..Phase::default()
        })),
        _ => match text("title") {
            Some(title) => {
                let cap = entry
                    .get("maxCost")
                    .map(|cap| dollars(cap, line))
                    .transpose()?;
                Ok(Some(Phase {
                    title,
                    detail: text("detail"),
                    model: text("model"),
                    cap,
                }))
            }
            None => Ok(None),
        },
    }
}

/// An invalid cap is an error and not ignored: its author relies on it.
fn dollars(value: &Value, line: u32) -> Result<PicoUsd, Problem> {
    let amount = match value {
        Value::String(text) => PicoUsd::parse_dollars(text.trim()),
        Value::Number(number) => number.as_f64().and_then(dollars_of),
        _ => None,
    };
    amount.ok_or_else(|| {
        wrong(
            line,
            &format!("`maxCost` of a phase in `meta` is no amount of dollars: {value}"),
        )
        .hint("write a number from 0, or a text such as '$0.50'")
    })
}

fn wrong(line: u32, detail: &str) -> Problem {
    Problem::new(ErrorKind::Meta, detail).line(line)
}

/// A file name without its directories and its extension.
fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.split_once('.').map_or(file, |(stem, _)| stem)
}
