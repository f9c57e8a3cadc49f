//! Classifies a task by everything a flow says about it.

use crate::agents::AgentDefinition;
use divisi_core::choice::{Choice, Evidence, Needs};
use divisi_core::{Failure, FailureClass, Kinds, Task};

/// Chooses the kind of `task` and the tier that suffices for it at `provider`.
///
/// Tools count only if the task or its agent names them: the run's permissions are no evidence
/// about a single task. Fails if the task declares an unknown kind.
pub fn choose(
    kinds: &Kinds,
    task: &Task,
    agent: Option<&AgentDefinition>,
    provider: &str,
) -> Result<Choice, Failure> {
    let by_task = task
        .tools
        .as_ref()
        .map(|tools| Needs::of_tools(tools.iter().map(AsRef::as_ref)));
    let by_agent = || {
        let tools = agent?.tools.as_ref()?;
        Some(Needs::of_tools(tools.iter().map(String::as_str)))
    };
    let evidence = Evidence {
        prompt: &task.prompt,
        declared: task.kind.as_deref(),
        provider: Some(provider),
        agent: task.agent_type.as_deref(),
        agent_about: agent.map(|agent| agent.description.as_str()),
        schema: task.schema.as_deref(),
        tools: by_task.or_else(by_agent),
        effort: task.effort.or(agent.and_then(|agent| agent.effort)),
    };
    kinds.choose(&evidence).map_err(|unknown| {
        Failure::new(FailureClass::Unavailable, unknown.to_string()).hint(unknown.hint())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{AUTO, Models};
    use crate::resolve::{Resolved, Resolver};
    use crate::setup::Setup;
    use divisi_core::{Outcome, Tier};
    use divisi_providers::{Provider, Scripted};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn setup(default: &str) -> Setup {
        let tiers = [("haiku", "small"), ("sonnet", "middle"), ("opus", "large")];
        let models = Models::one(Arc::new(Scripted::new()), &tiers, &["own-*"]);
        Setup::new(
            Models {
                default: default.into(),
                ..models
            },
            std::env::temp_dir(),
        )
    }

    fn resolve(setup: Setup, task: Task) -> Resolved {
        Resolver::new(Arc::new(setup)).resolve(task, 0)
    }

    /// The kind and the model of a task.
    fn assigned(default: &str, task: Task) -> (String, String) {
        let assigned = Resolver::new(Arc::new(setup(default)))
            .assigned(&task)
            .unwrap();
        (
            assigned.kind.to_string(),
            assigned.rungs[0].model.to_string(),
        )
    }

    fn pair(kind: &str, model: &str) -> (String, String) {
        (kind.to_owned(), model.to_owned())
    }

    #[test]
    fn auto_takes_the_tier_that_suffices() {
        let task = |prompt: &str| Task::new(prompt).model(AUTO);
        assert_eq!(
            assigned("opus", task("Find all callers of `open`.")),
            pair("search", "small")
        );
        assert_eq!(
            assigned("opus", task("Fix the crash at start.")),
            pair("bug", "middle")
        );
        assert_eq!(
            assigned("haiku", task("Design the architecture of a job scheduler.")),
            pair("architecture", "large")
        );
    }

    #[test]
    fn the_default_may_be_auto_and_a_named_model_wins() {
        let task = || Task::new("Find all callers of `open`.");
        assert_eq!(assigned(AUTO, task()), pair("search", "small"));
        assert_eq!(
            assigned(AUTO, task().model("inherit")),
            pair("search", "small")
        );
        assert_eq!(
            assigned(AUTO, task().model("opus")),
            pair("search", "large")
        );
        assert_eq!(assigned("sonnet", task()), pair("search", "middle"));
    }

    #[test]
    fn a_declared_kind_decides_only_where_the_model_is_open() {
        let task = || Task {
            kind: Some("architecture".into()),
            ..Task::new("Find all callers.")
        };
        assert_eq!(assigned(AUTO, task()), pair("architecture", "large"));
        assert_eq!(assigned("sonnet", task()), pair("architecture", "middle"));
    }

    #[test]
    fn agents_and_tools_are_evidence() {
        let task = Task {
            agent_type: Some("Explore".into()),
            ..Task::new("The pool?")
        };
        // The definition names its own model.
        assert_eq!(assigned(AUTO, task), pair("search", "small"));
        let reads = Task {
            tools: Some(vec!["read_file".into()]),
            ..Task::new("The import crashes; bug. Findings?")
        };
        assert_eq!(assigned(AUTO, reads).0, "review");
    }

    #[test]
    fn tiers_of_kinds_hold_at_their_provider() {
        let name = Scripted::new().name().to_owned();
        let tiers = BTreeMap::from([("search".to_owned(), Tier::Opus)]);
        let kinds = Kinds::new(&BTreeMap::new(), BTreeMap::from([(name, tiers)])).unwrap();
        let setup = Setup {
            kinds: kinds.into(),
            ..setup(AUTO)
        };
        let assignment = resolve(setup, Task::new("Find all callers."))
            .assignment
            .unwrap();
        assert_eq!(&*assignment.models[0].id, "large");
    }

    #[test]
    fn an_unknown_kind_is_a_failure_with_advice() {
        let task = Task {
            kind: Some("serach".into()),
            ..Task::new("x").model("opus")
        };
        let Some(Outcome::Failed(failure)) = resolve(setup("sonnet"), task).submission.outcome
        else {
            panic!()
        };
        assert_eq!(failure.message, "there is no kind of task `serach`");
        assert_eq!(
            failure.hint.as_deref(),
            Some("did you mean `search` or `research`?")
        );
    }
}
