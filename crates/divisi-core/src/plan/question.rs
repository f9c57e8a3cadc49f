//! A question to a person as a task of a plan.

use crate::approval::{Approval, Choices};
use crate::{Millis, Task};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// A question to a person. What depends on one that is answered with no does not run.
///
/// Written as a text, or as a map with `question`, `choices`, `default`, `timeout` and `show`.
/// Without `choices` it is answered by yes or no; `choices: null` accepts any text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Value", try_from = "Value")]
pub struct Question {
    /// The question. `{{id}}` is replaced by the result of another task.
    pub question: String,
    /// The answers.
    pub approval: Approval,
    /// How long it waits for an answer.
    pub timeout: Option<Millis>,
    /// A text that is shown with it; `{{id}}` is replaced.
    pub show: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    question: String,
    #[serde(default, deserialize_with = "given")]
    choices: Option<Value>,
    default: Option<Value>,
    #[serde(default, with = "super::written::span")]
    timeout: Option<Millis>,
    show: Option<Value>,
}

/// A value that is there, also if it is null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl TryFrom<Value> for Question {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        const FORMS: &str = "it is a question, or a map with `question` and what belongs to it";
        let value = match value {
            Value::String(question) => json!({ "question": question }),
            value @ Value::Object(_) => value,
            _ => return Err(FORMS.to_owned()),
        };
        let Written {
            question,
            choices,
            default,
            timeout,
            show,
        } = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if question.trim().is_empty() {
            return Err("the question is empty".to_owned());
        }
        let choices = match choices {
            None => Choices::YesOrNo,
            Some(Value::Null) => Choices::Any,
            Some(choices) => Choices::OneOf(
                serde_json::from_value::<Vec<Arc<str>>>(choices)
                    .map_err(|_| "`choices` is a list of texts, or null for any text")?,
            ),
        };
        let approval = Approval::new(choices, default).map_err(|bad| bad.to_string())?;
        let show = show.map(|show| match show {
            Value::String(text) => text,
            other => format!("{other:#}"),
        });
        Ok(Self {
            question,
            approval,
            timeout,
            show,
        })
    }
}

impl From<Question> for Value {
    fn from(question: Question) -> Self {
        let Question {
            question,
            approval: Approval { choices, default },
            timeout,
            show,
        } = question;
        let mut written = json!({ "question": question });
        match choices {
            Choices::YesOrNo => {}
            Choices::Any => written["choices"] = Self::Null,
            Choices::OneOf(choices) => written["choices"] = json!(choices),
        }
        let others = [
            ("default", default),
            ("timeout", timeout.map(|timeout| json!(timeout.to_string()))),
            ("show", show.map(Self::String)),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                written[name] = value;
            }
        }
        written
    }
}

impl Question {
    /// The task that asks it, with its texts rendered.
    pub fn task(&self, question: impl Into<Arc<str>>, show: Option<Arc<str>>) -> Task {
        Task {
            context: show,
            timeout: self.timeout,
            ..Task::question(question, self.approval.clone())
        }
    }
}
