//! What a person may answer to the question of a task.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The answers to a question, and the one that holds without an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Approval {
    /// What may be answered.
    #[serde(default, skip_serializing_if = "Choices::is_yes_or_no")]
    pub choices: Choices,
    /// The result in an unattended run, or without an answer in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// What may be answered to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Choices {
    /// Yes or no; the result is a boolean.
    #[default]
    YesOrNo,
    /// One of these; the result is that text.
    OneOf(Vec<Arc<str>>),
    /// Any text.
    Any,
}

impl Choices {
    fn is_yes_or_no(&self) -> bool {
        *self == Self::YesOrNo
    }
}

/// Choices or a default that make no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadApproval {
    /// There are no choices.
    #[error("there is nothing to choose from: name at least one of `choices`")]
    NoChoice,
    /// There are too many choices.
    #[error("there are {0} choices, and {max} are allowed", max = Approval::CHOICES_MAX)]
    TooMany(usize),
    /// A choice is empty, too long, or has several lines.
    #[error("the choice `{0}` is no short text on one line")]
    BadChoice(Arc<str>),
    /// A choice occurs twice.
    #[error("the choice `{0}` is there twice")]
    SameChoice(Arc<str>),
    /// A choice has the word that puts the question off.
    #[error(
        "`{}` puts the question off, so it cannot be a choice",
        Approval::LATER
    )]
    Later,
    /// The default is none of the choices.
    #[error("the default {default} is none of {choices}")]
    BadDefault {
        /// The default as JSON.
        default: String,
        /// The choices.
        choices: String,
    },
}

impl Approval {
    /// Most choices of a question: more than a person would read.
    pub const CHOICES_MAX: usize = 50;

    /// Longest choice in bytes.
    pub const CHOICE_BYTES_MAX: usize = 200;

    /// The word that puts a question off.
    pub const LATER: &'static str = "later";

    /// A question with these answers.
    ///
    /// `default` is one of them, as the flow gets it or as a person says it.
    pub fn new(choices: Choices, default: Option<Value>) -> Result<Self, BadApproval> {
        if let Choices::OneOf(choices) = &choices {
            check(choices)?;
        }
        let open = Self {
            choices,
            default: None,
        };
        let default = match default {
            None => None,
            Some(default) => Some(open.meant(&default).ok_or_else(|| {
                let choices = open.words().join(", ");
                BadApproval::BadDefault {
                    default: default.to_string(),
                    choices: if choices.is_empty() {
                        "the texts".to_owned()
                    } else {
                        choices
                    },
                }
            })?),
        };
        Ok(Self { default, ..open })
    }

    /// The JSON Schema of the result; `None` for a text.
    pub fn schema(&self) -> Option<Value> {
        match &self.choices {
            Choices::YesOrNo => Some(json!({ "type": "boolean" })),
            Choices::OneOf(choices) => Some(json!({ "enum": choices })),
            Choices::Any => None,
        }
    }

    /// The words for a person; none where any text is an answer.
    pub fn words(&self) -> Vec<&str> {
        match &self.choices {
            Choices::YesOrNo => vec!["yes", "no"],
            Choices::OneOf(choices) => choices.iter().map(AsRef::as_ref).collect(),
            Choices::Any => vec![],
        }
    }

    /// The result for what a person has said; `None` if it is no answer.
    ///
    /// A choice may be shortened as far as only one begins with it, and written in any case.
    pub fn answer(&self, said: &str) -> Option<Value> {
        let said = said.trim();
        if said.is_empty() {
            return None;
        }
        let yes_or_no = |word: &str| json!(word == "yes");
        let result = match &self.choices {
            Choices::Any => return Some(json!(said)),
            Choices::YesOrNo => yes_or_no,
            Choices::OneOf(_) => |word: &str| json!(word),
        };
        let words = self.words();
        if words.contains(&said) {
            return Some(result(said));
        }
        if let Ok(given @ (Value::Bool(_) | Value::String(_))) = serde_json::from_str(said)
            && let Some(meant) = self.meant(&given)
        {
            return Some(meant);
        }
        let said = said.to_lowercase();
        let mut near = words
            .iter()
            .filter(|word| word.to_lowercase().starts_with(&said));
        match (near.next(), near.next()) {
            (Some(only), None) => Some(result(only)),
            _ => words
                .iter()
                .find(|word| word.to_lowercase() == said)
                .map(|word| result(word)),
        }
    }

    /// The word for a result.
    pub fn word(result: &Value) -> String {
        match result {
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The result that a value stands for: the result itself, or `'yes'` and `'no'`.
    fn meant(&self, value: &Value) -> Option<Value> {
        match (&self.choices, value) {
            (Choices::YesOrNo, Value::Bool(_)) => Some(value.clone()),
            (Choices::YesOrNo, Value::String(word)) => match word.as_str() {
                "yes" => Some(json!(true)),
                "no" => Some(json!(false)),
                _ => None,
            },
            (Choices::OneOf(choices), Value::String(word)) => choices
                .iter()
                .any(|choice| **choice == **word)
                .then(|| value.clone()),
            (Choices::Any, Value::String(_)) => Some(value.clone()),
            _ => None,
        }
    }
}

fn check(choices: &[Arc<str>]) -> Result<(), BadApproval> {
    if choices.is_empty() {
        return Err(BadApproval::NoChoice);
    }
    if choices.len() > Approval::CHOICES_MAX {
        return Err(BadApproval::TooMany(choices.len()));
    }
    for (place, choice) in choices.iter().enumerate() {
        let is_plain = choice.trim() == &**choice && !choice.contains(char::is_control);
        if choice.is_empty() || choice.len() > Approval::CHOICE_BYTES_MAX || !is_plain {
            let short = &choice[..choice.floor_char_boundary(40)];
            return Err(BadApproval::BadChoice(short.into()));
        }
        if choices[..place].contains(choice) {
            return Err(BadApproval::SameChoice(choice.clone()));
        }
        if choice.eq_ignore_ascii_case(Approval::LATER) {
            return Err(BadApproval::Later);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(choices: &[&str]) -> Choices {
        Choices::OneOf(choices.iter().map(|choice| Arc::from(*choice)).collect())
    }

    #[test]
    fn an_answer_is_a_choice_in_any_form_that_only_means_one() {
        let yes_or_no = Approval::default();
        for (said, meant) in [
            ("yes", Some(json!(true))),
            (" Y ", Some(json!(true))),
            ("true", Some(json!(true))),
            ("NO", Some(json!(false))),
            ("\"no\"", Some(json!(false))),
            ("perhaps", None),
            ("", None),
        ] {
            assert_eq!(yes_or_no.answer(said), meant, "{said}");
        }
        let places = Approval::new(of(&["staging", "stage", "production"]), None).unwrap();
        for (said, meant) in [
            ("stage", Some(json!("stage"))),
            ("Stage", Some(json!("stage"))),
            ("stagi", Some(json!("staging"))),
            ("p", Some(json!("production"))),
            ("sta", None),
            ("\"production\"", Some(json!("production"))),
        ] {
            assert_eq!(places.answer(said), meant, "{said}");
        }
        let any = Approval::new(Choices::Any, None).unwrap();
        assert_eq!(any.answer(" true "), Some(json!("true")));
        assert_eq!(any.answer("  "), None);
    }

    #[test]
    fn a_default_is_one_of_the_choices() {
        let default = |choices, default| Approval::new(choices, Some(default)).map(|of| of.default);
        assert_eq!(
            default(Choices::YesOrNo, json!("no")),
            Ok(Some(json!(false)))
        );
        assert_eq!(default(of(&["a", "b"]), json!("b")), Ok(Some(json!("b"))));
        let refused = default(of(&["a", "b"]), json!("c"))
            .unwrap_err()
            .to_string();
        assert_eq!(refused, "the default \"c\" is none of a, b");
        let refused = default(Choices::YesOrNo, json!(1)).unwrap_err().to_string();
        assert_eq!(refused, "the default 1 is none of yes, no");
        assert!(default(Choices::Any, json!(1)).is_err());
    }

    #[test]
    fn choices_are_short_and_differ() {
        let refused = |choices: &[&str]| Approval::new(of(choices), None).unwrap_err();
        assert_eq!(refused(&[]), BadApproval::NoChoice);
        assert_eq!(refused(&["a", "a"]), BadApproval::SameChoice("a".into()));
        assert_eq!(refused(&["a", "Later"]), BadApproval::Later);
        for bad in ["", " a", "a\nb"] {
            assert_eq!(refused(&[bad]), BadApproval::BadChoice(bad.into()));
        }
        let many: Vec<String> = (0..=Approval::CHOICES_MAX).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refused(&many), BadApproval::TooMany(many.len()));
    }
}
