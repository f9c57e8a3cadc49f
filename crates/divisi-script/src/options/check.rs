//! The option `check`: checks of a result.

use super::Result;
use super::given::Given;
use crate::refusal::Refusal;
use divisi_core::check::{Check, Judge};
use rquickjs::{Function, Object, Value};

/// The permitted forms of a check, in words.
const FORMS: &str =
    "a shell command, a function, or one of `{command}`, `{schema}`, `{judge, model?, threshold?}`";

impl<'js> Given<'_, 'js> {
    /// One check, or a list of them: built-in ones, and functions.
    pub(super) fn checks(
        &self,
        checks: &mut Vec<Check>,
        functions: &mut Vec<Function<'js>>,
    ) -> Result<()> {
        let Some(list) = self.value.as_array() else {
            return self.check(checks, functions);
        };
        for value in list.iter::<Value<'js>>() {
            Given {
                value: value?,
                ..*self
            }
            .check(checks, functions)?;
        }
        Ok(())
    }

    fn check(&self, checks: &mut Vec<Check>, functions: &mut Vec<Function<'js>>) -> Result<()> {
        match (self.value.as_function(), self.value.as_object()) {
            (Some(function), _) => functions.push(function.clone()),
            (None, Some(object)) if !self.value.is_array() => checks.push(self.check_of(object)?),
            (None, _) if self.value.is_string() => checks.push(Check::Command(self.statement()?)),
            (None, _) => return Err(self.wrong(FORMS)),
        }
        Ok(())
    }

    fn check_of(&self, object: &Object<'js>) -> Result<Check> {
        let (mut found, mut model, mut threshold) = (None, None, None);
        for field in object.props::<String, Value<'js>>() {
            let (key, value) = field?;
            if value.is_undefined() || value.is_null() {
                continue;
            }
            let name = format!("{}.{key}", self.name);
            let given = Given {
                ctx: self.ctx,
                name: &name,
                value,
            };
            let check = match key.as_str() {
                "command" => Check::Command(given.statement()?),
                "schema" => Check::Schema(given.any_schema()?),
                "judge" => Check::Judge(Judge::new(given.statement()?)),
                "model" => {
                    model = Some(given.statement()?);
                    continue;
                }
                "threshold" => {
                    threshold = Some(given.marks()?);
                    continue;
                }
                _ => return Err(self.wrong(FORMS)),
            };
            if found.replace(check).is_some() {
                return Err(self.wrong(FORMS));
            }
        }
        match found {
            Some(Check::Judge(judge)) => {
                let threshold = threshold.unwrap_or(judge.threshold);
                Ok(Check::Judge(Judge {
                    model,
                    threshold,
                    ..judge
                }))
            }
            // Only judges have further options.
            Some(check) if model.is_none() && threshold.is_none() => Ok(check),
            Some(_) | None => Err(self.wrong(FORMS)),
        }
    }

    fn marks(&self) -> std::result::Result<u8, Refusal> {
        let marks = self
            .number(0, Judge::MARKS_MAX.into())
            .and_then(|marks| u8::try_from(marks).ok());
        marks.ok_or_else(|| self.wrong("a whole number from 0 to 10"))
    }
}
