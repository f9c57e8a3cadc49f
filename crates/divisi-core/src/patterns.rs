//! Texts of the patterns for models and users, shared by all languages.
//!
//! Texts are part of a task's identity: changing one makes its tasks new.

use crate::Plan;
use serde::Deserialize;
use serde_json::Value;

/// Plans that a planner may submit before the decomposition fails: the second and third prompt
/// contain the error of the plan before. After two corrections a further one rarely helps.
pub const PLANS_MAX: u32 = 3;

/// The request to a planner.
#[derive(Clone, Debug, Deserialize)]
pub struct Planning {
    /// What is to be divided.
    pub goal: String,
    /// Most tasks of the plan.
    pub max: usize,
    /// The previous plan, if it could not be used.
    pub complaint: Option<Complaint>,
}

/// A plan that cannot be used, and why.
#[derive(Clone, Debug, Deserialize)]
pub struct Complaint {
    /// The error.
    pub error: String,
    /// The plan as the planner wrote it: JSON text.
    pub plan: String,
}

impl Planning {
    /// The planner's prompt.
    pub fn prompt(&self) -> String {
        let Self {
            goal,
            max,
            complaint,
        } = self;
        let complaint = complaint.as_ref().map(Complaint::told).unwrap_or_default();
        format!(
            "Split this goal into tasks for agents that work at the same time:\n\n{goal}\n\n\
             Make {max} tasks at most, and only as many as help. Each agent sees its own prompt and nothing else, \
             so write down all it has to know. Name a task under `needs` only where the work cannot start without \
             its result, and write {{{{id}}}} in the prompt where that result belongs. No task may need itself, \
             directly or through others.{complaint}"
        )
    }
}

impl Complaint {
    fn told(&self) -> String {
        let Self { error, plan } = self;
        format!(
            "\n\nYour last plan could not be used: {error}\nMake a new one without this mistake. It was:\n\n{plan}"
        )
    }
}

/// Parses the planner's plan; fails with the reason why it cannot be used.
pub fn plan(value: &Value, tasks_max: usize) -> Result<Plan, String> {
    let plan = Plan::from_value(value).map_err(|error| match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    })?;
    match plan.tasks().len() {
        tasks if tasks > tasks_max => Err(format!(
            "the plan has {tasks} tasks, {tasks_max} are allowed"
        )),
        _ => Ok(plan),
    }
}

/// Why a task is skipped when a task it needs has failed.
pub fn skipped(need: &str) -> String {
    format!("it needs `{need}`, which has no result")
}

/// Why a task is skipped when an approval that it needs was answered with no.
pub fn unapproved(need: &str) -> String {
    format!("`{need}` was not approved")
}

/// The synthesis prompt where the flow gives none.
pub fn synthesis(goal: &str) -> String {
    format!("Agents have worked on this goal:\n\n{goal}\n\nMake one answer of what they found.")
}

/// A synthesis of several results.
#[derive(Clone, Debug, Deserialize)]
pub struct Gathering {
    /// What is to be made of the parts.
    pub prompt: String,
    /// Fewest results it needs.
    pub least: usize,
    /// All parts, missing ones included.
    pub parts: Vec<Part>,
}

/// A part of a synthesis.
#[derive(Clone, Debug, Deserialize)]
pub struct Part {
    /// Name of the part.
    pub name: String,
    /// The result, if there is one.
    pub text: Option<String>,
    /// Why there is no result.
    pub reason: Option<String>,
}

impl Part {
    /// Creates a part from its result or from the reason why there is none.
    pub fn new(name: impl Into<String>, made: Result<String, String>) -> Self {
        let (text, reason) = match made {
            Ok(text) => (Some(text), None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            name: name.into(),
            text,
            reason,
        }
    }

    fn why(&self) -> &str {
        self.reason.as_deref().unwrap_or("no result")
    }
}

impl Gathering {
    /// Renders the prompt: the instruction, the parts, and a list of missing ones. Fails if there
    /// are too few results.
    pub fn prompt(&self) -> Result<String, String> {
        let Self {
            prompt,
            least,
            parts,
        } = self;
        let missing: Vec<&Part> = parts.iter().filter(|part| part.text.is_none()).collect();
        let (present, of) = (parts.len() - missing.len(), parts.len());
        if present < *least {
            let why: Vec<_> = missing
                .iter()
                .map(|part| format!("{} ({})", part.name, part.why()))
                .collect();
            let why = if why.is_empty() {
                "all".to_owned()
            } else {
                why.join(", ")
            };
            return Err(format!(
                "gather() has {present} of {of} parts and needs {least}; missing: {why}"
            ));
        }
        let mut sections = vec![prompt.clone()];
        let texts = parts
            .iter()
            .filter_map(|part| Some((&part.name, part.text.as_ref()?)));
        sections.extend(texts.map(|(name, text)| format!("## {name}\n\n{text}")));
        if !missing.is_empty() {
            let lines: Vec<_> = missing
                .iter()
                .map(|part| format!("- {}: {}", part.name, part.why()))
                .collect();
            sections.push(format!(
                "## Missing\n\n{} of {of} parts could not be had:\n\n{}\n\n\
                 Do not guess what they would have said. Say in your answer that they are missing.",
                missing.len(),
                lines.join("\n")
            ));
        }
        Ok(sections.join("\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(least: usize) -> Result<String, String> {
        let parts = vec![
            Part::new("one", Ok("done".to_owned())),
            Part::new("two", Err("it timed out".to_owned())),
            Part {
                reason: None,
                ..Part::new("three", Err(String::new()))
            },
        ];
        Gathering {
            prompt: "Sum it up".to_owned(),
            least,
            parts,
        }
        .prompt()
    }

    #[test]
    fn a_synthesis_is_told_what_is_missing() {
        insta::assert_snapshot!(gathered(1).unwrap(), @"
        Sum it up

        ## one

        done

        ## Missing

        2 of 3 parts could not be had:

        - two: it timed out
        - three: no result

        Do not guess what they would have said. Say in your answer that they are missing.
        ");
        insta::assert_snapshot!(gathered(2).unwrap_err(), @"gather() has 1 of 3 parts and needs 2; missing: two (it timed out), three (no result)");
    }

    #[test]
    fn a_planner_is_told_what_was_wrong() {
        let planning = Planning {
            goal: "a goal".to_owned(),
            max: 3,
            complaint: None,
        };
        assert!(planning.prompt().contains("write {{id}} in the prompt"));
        let complaint = Complaint {
            error: "no tasks".to_owned(),
            plan: "{}".to_owned(),
        };
        let again = Planning {
            complaint: Some(complaint),
            ..planning.clone()
        }
        .prompt();
        let added = again.strip_prefix(&planning.prompt()).unwrap();
        insta::assert_snapshot!(added.trim_start(), @"
        Your last plan could not be used: no tasks
        Make a new one without this mistake. It was:

        {}
        ");
    }
}
