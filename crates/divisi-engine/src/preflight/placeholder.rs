//! Placeholders for results.
//!
//! Their values lead a flow along the branch with the most tasks: lists are not empty, conditions
//! hold, nothing has failed. If a flow repeats something until a result says that it is enough,
//! results say so after some rounds.

use super::mark;
use super::mood::{self, Mood, Turn};
use divisi_core::Plan;
use divisi_core::approval::{Approval, Choices};
use divisi_providers::sample::{Taste, sample_by};
use divisi_script::{Expect, TaskAnswer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Length of lists without an expected length. Few enough that nested lists stay small, and more
/// than two, so that a plan shows what happens in between.
pub const WIDTH: usize = 3;

/// Words in property names that say that nothing is left to do.
const DONE: [&str; 10] = [
    "done",
    "finished",
    "complete",
    "dry",
    "exhausted",
    "stop",
    "converged",
    "resolved",
    "enough",
    "final",
];

/// Words in property names that say that something is wrong.
const WRONG: [&str; 12] = [
    "fail",
    "error",
    "block",
    "broken",
    "refuted",
    "invalid",
    "duplicate",
    "skip",
    "empty",
    "missing",
    "reject",
    "false",
];

/// Words in property names that say that all is well. Their values are the same in every round.
const WELL: [&str; 8] = [
    "ok",
    "success",
    "succeeded",
    "pass",
    "passed",
    "approved",
    "green",
    "clean",
];

/// Options of a placeholder.
pub(super) struct Looks<'a> {
    /// Index of its task.
    pub(super) place: usize,
    /// The repeated request, and its prompt.
    pub(super) same: &'a Arc<str>,
    pub(super) prompt: &'a str,
    /// How it differs from usual ones.
    pub(super) mood: &'a Mood,
    /// Lengths of lists that the flow expects.
    pub(super) expect: &'a Expect,
    /// Length of lists without an expectation.
    pub(super) width: usize,
    /// Number of equal requests before it, one after the other.
    pub(super) round: usize,
    /// Whether it says that nothing is left to do.
    pub(super) is_last: bool,
}

/// A placeholder, and whether its use can be traced.
pub(super) struct Placeholder {
    pub(super) answer: TaskAnswer,
    pub(super) is_marked: bool,
}

/// The placeholder for the result of a command.
pub(super) fn of_command(looks: &Looks<'_>) -> Placeholder {
    let output = mark::of(looks.place, "output");
    Placeholder::marked(&json!({ "code": 0, "stdout": output, "stderr": "" }))
}

/// The placeholder for the answer of a person: yes, whatever the default, because what follows a yes
/// is what a plan is read for; of other choices the default, or else the first. Other runs of the flow
/// get the other answers, and a question that is repeated until its answer changes gets another one at
/// last.
pub(super) fn of_question(approval: &Approval, looks: &Looks<'_>) -> Placeholder {
    if approval.choices == Choices::Any {
        return match &approval.default {
            Some(default) => Placeholder::unmarked(default),
            None => of(None, looks),
        };
    }
    let words = approval.words();
    let results: Vec<Value> = words
        .iter()
        .filter_map(|word| approval.answer(word))
        .collect();
    let default = approval
        .default
        .as_ref()
        .filter(|_| approval.choices != Choices::YesOrNo);
    let usual = default.and_then(|default| results.iter().position(|result| result == default));
    let further = match looks.turn() {
        Some(Turn::Choice(further)) => further,
        Some(Turn::Otherwise | Turn::Low | Turn::Empty) => 1,
        Some(Turn::Fails) | None => usize::from(looks.is_last),
    };
    let place = (usual.unwrap_or_default() + further) % results.len().max(1);
    Placeholder::unmarked(results.get(place).unwrap_or(&Value::Null))
}

/// The placeholder for a result with this schema, or for a text.
pub(super) fn of(schema: Option<&Value>, looks: &Looks<'_>) -> Placeholder {
    let Some(schema) = schema else {
        let words = if looks.is_last {
            "DONE done NONE none"
        } else {
            mood::WHOLE
        };
        let mark = mark::of(looks.place, words);
        let text = looks.mood.text(looks.same, words, looks.round, &mark);
        return Placeholder {
            is_marked: !mark::is_free_of(&text),
            ..Placeholder::marked(&json!(text))
        };
    };
    if is_of_plans(schema) {
        return Placeholder::marked(&plan(looks));
    }
    let mut filling = Filling {
        looks,
        seen: BTreeMap::new(),
        is_marked: false,
    };
    let value = sample_by(schema, &mut filling);
    Placeholder {
        is_marked: filling.is_marked,
        answer: TaskAnswer::ok(value.to_string()),
    }
}

/// Whether a result with this schema is a plan.
pub(super) fn is_of_plans(schema: &Value) -> bool {
    *schema == Plan::json_schema()
}

/// A plan of independent tasks.
fn plan(looks: &Looks<'_>) -> Value {
    let task = |number: usize| {
        json!({
            "id": format!("part-{number}"),
            "prompt": mark::of(looks.place, &format!("prompt {number}")),
            "needs": [],
            "label": null,
            "model": null,
        })
    };
    json!({ "tasks": (1..=looks.elements("tasks").max(1)).map(task).collect::<Vec<_>>() })
}

impl Placeholder {
    /// Whether it has parts, at which a look is noticed.
    pub(super) fn has_fields(&self) -> bool {
        let json = self.answer.value_json.as_deref();
        json.is_some_and(|json| json.starts_with(['{', '[']))
    }

    fn unmarked(value: &Value) -> Self {
        Self {
            is_marked: false,
            ..Self::marked(value)
        }
    }

    fn marked(value: &Value) -> Self {
        Self {
            answer: TaskAnswer::ok(Arc::from(value.to_string())),
            is_marked: true,
        }
    }
}

impl Looks<'_> {
    fn turn(&self) -> Option<Turn> {
        self.mood.turn(self.same)
    }

    fn elements(&self, path: &str) -> usize {
        let elements = self.expect.elements(path);
        let named = self.mood.widths.get(self.same).copied();
        let elements = elements.or(named).unwrap_or(self.width);
        let is_empty = self.is_last || self.turn() == Some(Turn::Empty);
        let elements = if is_empty { 0 } else { elements };
        elements.min(self.expect.max.unwrap_or(usize::MAX))
    }
}

/// Builds values for a schema.
struct Filling<'a> {
    looks: &'a Looks<'a>,
    /// Number of texts with each property name.
    seen: BTreeMap<String, usize>,
    is_marked: bool,
}

impl Taste for Filling<'_> {
    fn text(&mut self, name: &str, _element: usize) -> String {
        let number = self.seen.entry(name.to_owned()).or_default();
        *number += 1;
        let (number, looks) = (*number, self.looks);
        if looks.mood.echoes
            && let known = mood::echoed(looks.prompt, name)
            && !known.is_empty()
        {
            return known[(number - 1) % known.len()].clone();
        }
        let mark = mark::of(looks.place, &format!("{name}·{number}"));
        let text = looks.mood.text(looks.same, name, number - 1, &mark);
        self.is_marked |= !mark::is_free_of(&text);
        text
    }

    fn boolean(&mut self, name: &str) -> bool {
        let words = words(name);
        let has = |list: &[&str]| {
            words
                .iter()
                .any(|word| list.iter().any(|known| word.starts_with(known)))
        };
        let is_negated = words
            .iter()
            .any(|word| matches!(word.as_str(), "not" | "no" | "un"));
        let usual = match () {
            () if has(&DONE) => self.looks.is_last,
            () if has(&WRONG) => self.looks.is_last,
            () if has(&WELL) => !is_negated,
            () => !self.looks.is_last,
        };
        usual != (self.looks.turn() == Some(Turn::Otherwise))
    }

    /// A different enum value in each round, so that a loop gets all of them.
    fn choice(&mut self, element: usize) -> usize {
        let further = match self.looks.turn() {
            Some(Turn::Choice(further)) => further,
            _ => 0,
        };
        element + self.looks.round + further
    }

    /// Scores are high; numbers without a maximum are counts.
    fn number(&mut self, count: u64, has_max: bool) -> u64 {
        let is_low = self.looks.is_last || self.looks.turn() == Some(Turn::Low);
        match (is_low, has_max) {
            (true, _) => 0,
            (false, true) => count - 1,
            (false, false) => self.looks.width as u64,
        }
    }

    fn elements(&mut self, path: &str) -> u64 {
        self.looks.elements(path) as u64
    }

    fn any(&mut self) -> u64 {
        (self.looks.place + 1) as u64 * 7 + self.seen.len() as u64
    }
}

/// The words of a property's name in lower case: `hasMore_left` has three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c.is_ascii_uppercase() || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(schema: &Value, expect: &Expect, round: usize, is_last: bool) -> Value {
        let (same, mood) = (Arc::from("same"), Mood::default());
        let looks = Looks {
            place: 4,
            same: &same,
            prompt: "",
            mood: &mood,
            expect,
            width: WIDTH,
            round,
            is_last,
        };
        let placeholder = of(Some(schema), &looks);
        let value = serde_json::from_str(&placeholder.answer.value_json.unwrap()).unwrap();
        assert_eq!(
            placeholder.is_marked,
            !mark::found(&format!("{value}")).is_empty()
        );
        jsonschema::validate(schema, &value).unwrap();
        value
    }

    #[test]
    fn placeholders_fit_and_lead_on() {
        let schema = json!({
            "type": "object",
            "properties": {
                "files": {"type": "array", "items": {"type": "object",
                    "properties": {"path": {"type": "string"}, "severity": {"enum": ["low", "high"]}}}},
                "score": {"type": "integer", "minimum": 0, "maximum": 10},
                "holds": {"type": "boolean"},
                "isDone": {"type": "boolean"},
                "passed": {"type": "boolean"},
                "hasErrors": {"type": "boolean"},
                "date": {"type": "string", "format": "date"},
            },
        });
        let expect = Expect {
            by_path: [("files".to_owned(), 2)].into(),
            ..Expect::default()
        };
        insta::assert_snapshot!(value(&schema, &expect, 0, false), @r#"{"files":[{"path":"⟦t4·path·1⟧","severity":"low"},{"path":"⟦t4·path·2⟧","severity":"high"}],"score":10,"holds":true,"isDone":false,"passed":true,"hasErrors":false,"date":"2026-01-09"}"#);
        insta::assert_snapshot!(value(&schema, &expect, 3, true), @r#"{"files":[],"score":0,"holds":false,"isDone":true,"passed":true,"hasErrors":true,"date":"2026-01-08"}"#);
    }

    #[test]
    fn a_planner_makes_a_plan_that_is_one() {
        let expect = Expect {
            max: Some(2),
            ..Expect::default()
        };
        let plan = value(&Plan::json_schema(), &expect, 0, false);
        assert_eq!(Plan::from_value(&plan).unwrap().tasks().len(), 2);
        let last = value(&Plan::json_schema(), &expect, 9, true);
        assert_eq!(Plan::from_value(&last).unwrap().tasks().len(), 1);
    }

    #[test]
    fn numbers_and_choices_cannot_be_followed() {
        let schema = json!({"type": "object", "properties": {"n": {"type": "number"}, "v": {"enum": ["a"]}}});
        value(&schema, &Expect::default(), 0, false);
    }
}
