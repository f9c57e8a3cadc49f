//! Reads cost and result from a program's output, as lines of JSON.

use super::Context;
use super::lines::Lines;
use divisi_core::{PicoUsd, Usage};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

/// Fields of the JSON lines in a program's output that report its cost so far and its result. Each
/// is the name of a field, or several with dots between them: `usage.cost`.
///
/// Lines that are not JSON objects, or lack these fields, are ignored. Figures count from the start
/// of the program; the largest one is taken as the latest.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Reports {
    /// Dollars, as a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// Tokens of all prompts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<String>,
    /// Tokens of all replies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<String>,
    /// The result; the last one counts. Without it, the whole output is the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// Reads a program's output as it arrives.
pub(super) struct Reader {
    reports: Reports,
    context: Context,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    lines: Lines,
    cost: PicoUsd,
    usage: Usage,
    result: Option<Value>,
}

impl Reader {
    pub(super) fn new(reports: &Reports, context: &Context) -> Self {
        Self {
            reports: reports.clone(),
            context: context.clone(),
            read: Mutex::default(),
        }
    }

    /// Adds a chunk of output.
    pub(super) fn take(&self, chunk: &[u8]) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for line in read.lines.take(chunk) {
            self.read_line(&mut read, &line);
        }
    }

    /// The last result printed.
    pub(super) fn result(&self) -> Option<Value> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = read.lines.rest() {
            self.read_line(&mut read, &line);
        }
        read.result.take()
    }

    fn read_line(&self, read: &mut Read, line: &[u8]) {
        let Ok(line @ Value::Object(_)) = serde_json::from_slice(line) else {
            return;
        };
        let field = |path: &Option<String>| at(&line, path.as_deref()?);
        let tokens = |path: &Option<String>| field(path).and_then(Value::as_u64);
        let cost = field(&self.reports.cost).and_then(dollars);
        let (input, output) = (
            tokens(&self.reports.input_tokens),
            tokens(&self.reports.output_tokens),
        );
        if cost.is_some() || input.is_some() || output.is_some() {
            let usage = &mut read.usage;
            usage.input = usage.input.max(input.unwrap_or_default());
            usage.output = usage.output.max(output.unwrap_or_default());
            read.cost = read.cost.max(cost.unwrap_or_default());
            match cost {
                Some(_) => self.context.spent_in_all(read.usage, read.cost),
                None => self.context.used_in_all(read.usage),
            }
        }
        if let Some(result) = field(&self.reports.result) {
            read.result = Some(result.clone());
        }
    }
}

/// The value at this path of an object.
fn at<'v>(object: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(object, |value, name| value.get(name))
}

/// A dollar amount; negative values and other types are ignored.
pub(super) fn dollars(value: &Value) -> Option<PicoUsd> {
    let dollars = value.as_f64().filter(|dollars| *dollars >= 0.0)?;
    // Saturates, like every amount.
    Some(PicoUsd((dollars * PicoUsd::DOLLAR.0 as f64).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_found_by_their_path_and_dollars_are_read() {
        let line = json!({"usage": {"cost": 0.000151, "n": 3}, "total": "1"});
        assert_eq!(
            at(&line, "usage.cost").and_then(dollars),
            Some(PicoUsd(151_000_000))
        );
        assert_eq!(at(&line, "usage.n").and_then(Value::as_u64), Some(3));
        assert_eq!(
            (at(&line, "usage.none"), at(&line, "total.x")),
            (None, None)
        );
        assert_eq!(dollars(&json!("1")), None);
        assert_eq!(dollars(&json!(-1)), None);
        assert_eq!(dollars(&json!(1e300)), Some(PicoUsd::MAX));
    }
}
