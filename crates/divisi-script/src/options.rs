//! The options of `agent()`: from a JavaScript object to a task.
//!
//! Scripts pass metadata of their own along and were written for engines that
//! know more, or less. So an unknown option is a warning; a known one with a
//! value that cannot be meant is an error, because to run anyway would spend
//! money on something else than was asked for.

use crate::globals::{Refusal, json, text};
use crate::state::Shared;
use crate::{Expect, Site, schema};
use divisi_core::task::Isolation;
use divisi_core::{Effort, Millis, Task};
use rquickjs::{Ctx, Object, Value};
use std::sync::Arc;

type Result<T> = std::result::Result<T, Refusal>;

/// Reads `options` into `task`, and what is no part of it into `expect`.
pub(crate) fn read<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    site: &Option<Site>,
    options: &Object<'js>,
    task: &mut Task,
    expect: &mut Expect,
) -> Result<()> {
    for option in options.props::<String, Value<'js>>() {
        let (name, value) = option?;
        if value.is_undefined() || value.is_null() {
            continue;
        }
        let given = Given { ctx, name: &name, value };
        match name.as_str() {
            "label" => task.label = Some(given.words()?),
            "phase" => task.phase = Some(given.words()?),
            "kind" => task.kind = Some(given.string()?),
            "context" => task.context = Some(given.string()?),
            "model" => task.model = given.model(shared, site)?.into(),
            "agentType" => task.agent_type = Some(given.string()?),
            "executor" => task.executor = Some(given.string()?),
            "effort" => task.effort = Some(given.effort()?),
            "isolation" => task.isolation = given.isolation()?,
            "schema" => task.schema = Some(given.schema(shared)?),
            "tools" => task.tools = Some(given.names()?),
            "disallowedTools" => task.disallowed_tools = given.names()?,
            "inputs" => task.inputs = given.names()?,
            "timeout" => task.timeout = Some(given.span()?),
            "stallMs" => task.idle_timeout = Some(given.span()?),
            "retries" => task.retries = Some(given.count(0)?),
            "maxTurns" => task.max_turns = Some(given.count(1)?),
            "required" => task.required = given.switch()?,
            "expect" => *expect = given.expect()?,
            "check" | "maxCost" | "bashCommandClamp" => {
                warn(
                    shared,
                    site,
                    &name,
                    format!("the option `{name}` is not supported yet and does nothing"),
                );
            }
            _ => warn(shared, site, &name, format!("`{name}` is no option of agent() and does nothing")),
        }
    }
    Ok(())
}

/// Once for each option and script.
fn warn(shared: &Shared, site: &Option<Site>, name: &str, message: String) {
    let script = site.as_ref().map_or("", |site| &site.script);
    shared.borrow_mut().warn_once(format!("option {name} {script}"), message, site.clone());
}

/// One option as the script gave it.
struct Given<'a, 'js> {
    ctx: &'a Ctx<'js>,
    name: &'a str,
    value: Value<'js>,
}

impl<'js> Given<'_, 'js> {
    fn string(&self) -> Result<Arc<str>> {
        let string = self.value.as_string().ok_or_else(|| self.wrong("a string"))?;
        Ok(text(self.ctx, string)?.into())
    }

    /// A text for people, who do not mind a number.
    fn words(&self) -> Result<Arc<str>> {
        match self.value.as_number() {
            Some(number) => Ok(number.to_string().into()),
            None => self.string(),
        }
    }

    /// A list of strings, or one with commas.
    fn names(&self) -> Result<Vec<Arc<str>>> {
        if self.value.is_string() {
            let names = self.string()?;
            return Ok(names.split(',').map(|name| name.trim().into()).collect());
        }
        let list = self.value.as_array().ok_or_else(|| self.wrong("a list of strings"))?;
        let names = list.iter::<Value<'js>>();
        names.map(|name| Given { value: name?, ..*self }.string()).collect()
    }

    fn model(&self, shared: &Shared, site: &Option<Site>) -> Result<Arc<str>> {
        if !self.value.is_array() {
            return self.string();
        }
        let ladder = self.names()?;
        let message = "a ladder of models is not supported yet: the first one is used".to_owned();
        warn(shared, site, "model ladder", message);
        ladder.into_iter().next().ok_or_else(|| self.wrong("the name of a model"))
    }

    fn effort(&self) -> Result<Effort> {
        self.string()?.parse().map_err(|_| self.wrong("one of low, medium, high, xhigh, max"))
    }

    fn isolation(&self) -> Result<Isolation> {
        match self.string()?.as_ref() {
            "worktree" => Ok(Isolation::Worktree),
            "none" => Ok(Isolation::None),
            _ => Err(self.wrong("'worktree'")),
        }
    }

    fn switch(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    fn count(&self, least: u32) -> Result<u32> {
        let number = self.value.as_number().filter(|n| n.fract() == 0.0);
        number
            .filter(|&n| n >= f64::from(least) && n <= f64::from(u32::MAX))
            .map(|n| n as u32)
            .ok_or_else(|| self.wrong(&format!("a whole number from {least}")))
    }

    /// A width for all lists, or an object of widths by path.
    fn expect(&self) -> Result<Expect> {
        let Some(widths) = self.value.as_object().filter(|_| !self.value.is_array()) else {
            return Ok(Expect { all: Some(self.count(0)? as usize), ..Expect::default() });
        };
        let mut expect = Expect::default();
        for width in widths.props::<String, Value<'js>>() {
            let (path, value) = width?;
            let name = format!("expect.{path}");
            let elements = Given { ctx: self.ctx, name: &name, value }.count(0)?;
            expect.by_path.insert(path, elements as usize);
        }
        Ok(expect)
    }

    /// Milliseconds as a number, or a text with a unit: `'30s'`, `'5m'`.
    fn span(&self) -> Result<Millis> {
        let millis = match self.value.as_number() {
            Some(number) => Some(number),
            None => self.value.as_string().and_then(|string| span(&text(self.ctx, string).ok()?)),
        };
        millis
            .filter(|ms| (1.0..=SPAN_MILLIS_MAX).contains(ms))
            .map(|ms| Millis(ms as u64))
            .ok_or_else(|| self.wrong("milliseconds, or a text such as '30s' or '5m'"))
    }

    fn schema(&self, shared: &Shared) -> Result<Arc<serde_json::Value>> {
        if !self.value.is_object() || self.value.is_array() || self.value.is_function() {
            return Err(self.wrong("a JSON Schema, an object"));
        }
        let written = json(self.ctx, self.value.clone())?.unwrap_or_default();
        if let Some(known) = shared.borrow().schema(&written) {
            return Ok(known);
        }
        let schema: serde_json::Value =
            serde_json::from_str(&written).map_err(|error| Refusal::Type(format!("`schema`: {error}")))?;
        schema::check(&schema).map_err(|wrong| Refusal::Type(wrong.to_string()))?;
        let schema = Arc::new(schema);
        shared.borrow_mut().add_schema(written, schema.clone());
        Ok(schema)
    }

    fn wrong(&self, wanted: &str) -> Refusal {
        let given = match json(self.ctx, self.value.clone()) {
            Ok(Some(given)) if given.len() <= 60 => given,
            _ => self.value.type_name().to_owned(),
        };
        Refusal::Type(format!("the option `{}` has to be {wanted}, not {given}", self.name))
    }
}

/// A year: whatever is longer is a mistake in the unit.
const SPAN_MILLIS_MAX: f64 = 365.0 * 24.0 * 3_600_000.0;

/// The milliseconds of a text such as `90s`, `1.5m`, `250ms` or `2h`.
fn span(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1.0,
        "s" | "sec" => 1_000.0,
        "m" | "min" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return None,
    };
    number.trim().parse::<f64>().ok().map(|number| number * millis)
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_have_units() {
        assert_eq!(span("30s"), Some(30_000.0));
        assert_eq!(span("1.5 m"), Some(90_000.0));
        assert_eq!(span("250ms"), Some(250.0));
        assert_eq!(span("2h"), Some(7_200_000.0));
        for wrong in ["", "30", "s", "5 days", "-"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
    }
}
