//! One option of a script, read as the required type.

use super::Result;
use crate::convert::{dollars_of, json, text};
use crate::refusal::Refusal;
use crate::state::Shared;
use crate::{Expect, schema};
use divisi_core::check::Ladder;
use divisi_core::task::Isolation;
use divisi_core::time::BadSpan;
use divisi_core::{Effort, Millis, PicoUsd};
use rquickjs::{Ctx, Value};
use std::sync::Arc;

/// One option as the script gave it.
pub(super) struct Given<'a, 'js> {
    pub(super) ctx: &'a Ctx<'js>,
    pub(super) name: &'a str,
    pub(super) value: Value<'js>,
}

impl<'js> Given<'_, 'js> {
    pub(super) fn string(&self) -> Result<Arc<str>> {
        let string = self
            .value
            .as_string()
            .ok_or_else(|| self.wrong("a string"))?;
        Ok(text(self.ctx, string)?.into())
    }

    /// A text that is not blank.
    pub(super) fn statement(&self) -> Result<Arc<str>> {
        let text = self.string()?;
        if text.trim().is_empty() {
            Err(self.wrong("a text that is not empty"))
        } else {
            Ok(text)
        }
    }

    /// A text for display; a number is accepted.
    pub(super) fn words(&self) -> Result<Arc<str>> {
        match self.value.as_number() {
            Some(number) => Ok(number.to_string().into()),
            None => self.string(),
        }
    }

    /// A list of strings, or one string with commas.
    pub(super) fn names(&self) -> Result<Vec<Arc<str>>> {
        if self.value.is_string() {
            let names = self.string()?;
            return Ok(names.split(',').map(|name| name.trim().into()).collect());
        }
        self.list()?.ok_or_else(|| self.wrong("a list of strings"))
    }

    /// One model, or a list of models.
    pub(super) fn models(&self) -> Result<Vec<Arc<str>>> {
        match self.list()? {
            Some(models) if models.is_empty() => Err(self.wrong("a model, or a list of them")),
            Some(models) => Ok(models),
            None => Ok(vec![self.string()?]),
        }
    }

    pub(super) fn ladder(&self) -> Result<Ladder> {
        self.models().map(Ladder)
    }

    fn list(&self) -> Result<Option<Vec<Arc<str>>>> {
        let Some(list) = self.value.as_array() else {
            return Ok(None);
        };
        let strings = list.iter::<Value<'js>>();
        strings
            .map(|string| {
                Given {
                    value: string?,
                    ..*self
                }
                .string()
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    /// The choices of a question.
    pub(super) fn choices(&self) -> Result<Vec<Arc<str>>> {
        self.list()?
            .ok_or_else(|| self.wrong("a list of strings, or null for any text"))
    }

    /// The answer to a question that holds without one.
    pub(super) fn answer(&self) -> Result<serde_json::Value> {
        match self.value.as_bool() {
            Some(answer) => Ok(answer.into()),
            None if self.value.is_string() => Ok(self.string()?.to_string().into()),
            None => Err(self.wrong("one of the choices")),
        }
    }

    /// A text to show; anything else is shown as JSON.
    pub(super) fn shown(&self) -> Result<Arc<str>> {
        if self.value.is_string() {
            return self.string();
        }
        let json = json(self.ctx, self.value.clone())?
            .ok_or_else(|| self.wrong("a text, or a value that JSON has a form for"))?;
        let value: serde_json::Value = serde_json::from_str(&json)
            .map_err(|error| Refusal::Type(format!("`{}`: {error}", self.name)))?;
        Ok(format!("{value:#}").into())
    }

    pub(super) fn effort(&self) -> Result<Effort> {
        self.string()?
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| self.wrong("one of low, medium, high, xhigh, max"))
    }

    pub(super) fn isolation(&self) -> Result<Isolation> {
        match self.string()?.as_ref() {
            "worktree" => Ok(Isolation::Worktree),
            "none" => Ok(Isolation::None),
            _ => Err(self.wrong("'worktree' or 'none'")),
        }
    }

    pub(super) fn switch(&self) -> Result<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wrong("true or false"))
    }

    pub(super) fn count(&self, least: u32) -> Result<u32> {
        self.number(least, u32::MAX)
            .ok_or_else(|| self.wrong(&format!("a whole number from {least}")))
    }

    /// A whole number in this range.
    pub(super) fn number(&self, least: u32, most: u32) -> Option<u32> {
        let number = self.value.as_number().filter(|n| n.fract() == 0.0)?;
        (f64::from(least)..=f64::from(most))
            .contains(&number)
            .then_some(number as u32)
    }

    /// A number, or a text such as `'$0.50'`. `None` is no limit: `Infinity`, as in
    /// `budget.usd.remaining() / 2` if the run has no cap.
    pub(super) fn dollars(&self) -> Result<Option<PicoUsd>> {
        let amount = match (self.value.as_number(), self.value.as_string()) {
            (Some(f64::INFINITY), _) => return Ok(None),
            (Some(number), _) => dollars_of(number),
            (None, Some(string)) => PicoUsd::parse_dollars(text(self.ctx, string)?.trim()),
            (None, None) => None,
        };
        let wanted = "dollars, a number from 0 to 18 million or a text such as '$0.50'";
        amount.map(Some).ok_or_else(|| self.wrong(wanted))
    }

    /// One width for all lists, or an object of widths by path.
    pub(super) fn expect(&self) -> Result<Expect> {
        let Some(widths) = self.value.as_object().filter(|_| !self.value.is_array()) else {
            return Ok(Expect {
                all: Some(self.count(0)? as usize),
                ..Expect::default()
            });
        };
        let mut expect = Expect::default();
        for width in widths.props::<String, Value<'js>>() {
            let (path, value) = width?;
            let name = format!("expect.{path}");
            let elements = Given {
                ctx: self.ctx,
                name: &name,
                value,
            }
            .count(0)?;
            expect.by_path.insert(path, elements as usize);
        }
        Ok(expect)
    }

    /// Milliseconds as a number, or a text with a unit: `'90s'`, `'1h30m'`.
    pub(super) fn span(&self) -> Result<Millis> {
        if let Some(string) = self.value.as_string() {
            let wrong = |bad: BadSpan| Refusal::Type(format!("the option `{}`: {bad}", self.name));
            return text(self.ctx, string)?.parse().map_err(wrong);
        }
        // A fraction of a millisecond is cut; a negative or invalid number becomes zero, which is refused.
        let span = self
            .value
            .as_number()
            .and_then(|millis| Millis::asked(millis as u64).ok());
        span.ok_or_else(|| self.wrong("milliseconds, or a text such as '90s' or '1h30m'"))
    }

    /// The schema of a result.
    pub(super) fn schema(&self, shared: &Shared) -> Result<Arc<serde_json::Value>> {
        let written = self.schema_text()?;
        if let Some(known) = shared.borrow().schema(&written) {
            return Ok(known);
        }
        let schema = self.parsed(&written)?;
        schema::check(&schema).map_err(|wrong| Refusal::Type(wrong.to_string()))?;
        let schema = Arc::new(schema);
        shared.borrow_mut().add_schema(written, schema.clone());
        Ok(schema)
    }

    /// Any JSON Schema.
    pub(super) fn any_schema(&self) -> Result<Arc<serde_json::Value>> {
        Ok(Arc::new(self.parsed(&self.schema_text()?)?))
    }

    fn schema_text(&self) -> Result<String> {
        if !self.value.is_object() || self.value.is_array() || self.value.is_function() {
            return Err(self.wrong("a JSON Schema, an object"));
        }
        Ok(json(self.ctx, self.value.clone())?.unwrap_or_default())
    }

    fn parsed(&self, written: &str) -> Result<serde_json::Value> {
        serde_json::from_str(written)
            .map_err(|error| Refusal::Type(format!("`{}`: {error}", self.name)))
    }

    pub(super) fn wrong(&self, wanted: &str) -> Refusal {
        let given = match (self.value.as_number(), json(self.ctx, self.value.clone())) {
            // JSON has no form for these numbers.
            (Some(number), _) if !number.is_finite() => number.to_string(),
            (_, Ok(Some(given))) if given.len() <= 60 => given,
            _ => self.value.type_name().to_owned(),
        };
        Refusal::Type(format!(
            "the option `{}` has to be {wanted}, not {given}",
            self.name
        ))
    }
}
