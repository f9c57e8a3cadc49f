//! What a plan accepts and refuses.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn plan(tasks: &[(&str, &str, &[&str])]) -> Result<Plan, PlanError> {
    let tasks = tasks
        .iter()
        .map(|&(id, prompt, needs)| PlanTask::new(id, prompt).after(needs.to_vec()));
    Plan::new(None, tasks.collect())
}

fn refusal(tasks: &[(&str, &str, &[&str])]) -> String {
    let error = plan(tasks).expect_err("this is no plan");
    match error.hint() {
        Some(hint) => format!("{error}\n  hint: {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn needs_are_named_or_referred_to() {
    let plan = plan(&[
        ("read", "Read it", &[]),
        ("list", "List it", &[]),
        ("join", "Join {{read}} and {{ list }}", &["read"]),
        ("check", "Check", &["join"]),
    ])
    .unwrap();
    assert_eq!(plan.needs(2), [0, 1]);
    assert_eq!(plan.depths(), [0, 0, 1, 2]);
    assert_eq!(plan.chains(), [2, 2, 1, 0]);
    assert_eq!(plan.waves(), [vec![0, 1], vec![2], vec![3]]);
}

#[test]
fn what_is_wrong_is_said_by_name() {
    insta::assert_snapshot!(refusal(&[]), @r"
    the plan has no tasks
      hint: name at least one task
    ");
    insta::assert_snapshot!(refusal(&[("a", " \n", &[])]), @"task `a` has an empty prompt");
    insta::assert_snapshot!(refusal(&[("a", "x", &[]), ("", "x", &[])]), @r"
    task 1 has the id ``, which is no name
      hint: an id has letters, digits, `-` and `_`, 64 at most
    ");
    insta::assert_snapshot!(refusal(&[("a", "x", &[]), ("a", "y", &[])]), @r"
    two tasks have the id `a`
      hint: give each task an id of its own
    ");
    insta::assert_snapshot!(refusal(&[("a", "x", &[]), ("b", "y", &["c"])]), @r"
    task `b` needs `c`, which is not in the plan
      hint: the ids are a, b
    ");
    insta::assert_snapshot!(refusal(&[("a", "x {{c}}", &[])]), @r"
    task `a` needs `c`, which is not in the plan
      hint: the ids are a
    ");
    insta::assert_snapshot!(refusal(&[("a", "x {{a}}", &[])]), @r"
    task `a` needs itself
      hint: take `a` out of its `needs` and `{{a}}` out of its prompt
    ");
    insta::assert_snapshot!(refusal(&[("x", "x", &["a"]), ("a", "x", &["b"]), ("b", "{{a}}", &[])]), @r"
    tasks wait for each other: a → b → a
      hint: take out the need that matters least
    ");
}

#[test]
fn a_cap_that_would_hold_nothing_is_refused() {
    let refusal = |phases: Value, phase: Option<&str>| {
        let task = json!({ "id": "a", "prompt": "A", "phase": phase });
        let error = Plan::from_value(&json!({ "phases": phases, "tasks": [task] })).unwrap_err();
        format!("{error}\n  hint: {}", error.hint().unwrap_or_default())
    };
    let audit = json!({ "title": "Audit", "maxCost": 1 });
    insta::assert_snapshot!(refusal(json!([audit]), Some("Audits")), @r"
    the phase `Audit` has a cap, and no task is in it
      hint: tasks are in Audits
    ");
    insta::assert_snapshot!(refusal(json!([audit]), None), @r"
    the phase `Audit` has a cap, and no task is in it
      hint: say of tasks which `phase` they are in
    ");
    insta::assert_snapshot!(refusal(json!([audit, audit]), Some("Audit")), @r"
    the phase `Audit` has two caps
      hint: keep one of them
    ");
}

#[test]
fn too_many_tasks_are_refused_before_they_are_read() {
    let tasks = vec![Value::Null; Plan::TASKS_MAX + 1];
    let error = Plan::from_value(&json!({ "tasks": tasks })).unwrap_err();
    insta::assert_snapshot!(error, @"the plan has 10001 tasks, 10000 are allowed");
}

#[test]
fn the_written_form_is_strict() {
    let refusal = |value: Value| Plan::from_value(&value).unwrap_err().to_string();
    insta::assert_snapshot!(refusal(json!([])), @"the plan cannot be read: it is a list");
    insta::assert_snapshot!(refusal(json!({})), @"the plan cannot be read: it has no `tasks`");
    insta::assert_snapshot!(refusal(json!({ "tasks": {} })), @"the plan cannot be read: `tasks` is an object, not a list");
    insta::assert_snapshot!(refusal(json!({ "task": [] })), @"the plan cannot be read: unknown field `task`");
    insta::assert_snapshot!(
        refusal(json!({ "tasks": [{ "id": "a", "prompt": "x", "need": ["b"] }] })),
        @"the plan cannot be read: task 0: unknown field `need`, expected one of `id`, `prompt`, `needs`, `label`, `kind`, `model`, `fallback`, `check`, `maxCost`, `effort`, `schema`, `agentType`, `executor`, `tools`, `disallowedTools`, `context`, `phase`, `inputs`, `isolation`, `timeout`, `stallMs`, `retries`, `overloadWait`, `hedge`, `maxTurns`, `approve`"
    );
}

#[test]
fn what_is_written_is_read_again() {
    let written = json!({
        "goal": "Audit",
        "tasks": [
            { "id": "a", "prompt": "x", "effort": "low", "agentType": "Explore", "tools": ["read"] },
            { "id": "b", "prompt": "y {{a}}", "needs": ["a"], "model": "opus", "schema": { "type": "object" } },
        ]
    });
    let plan: Plan = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&plan).unwrap(), written);
    assert!(serde_json::from_value::<Plan>(json!({ "tasks": [] })).is_err());
}

#[test]
fn limits_are_written_as_people_write_them() {
    let plan = Plan::from_value(&json!({
        "name": "audit", "maxCost": 2.5, "gather": "Sum it up",
        "tasks": [{
            "id": "a", "prompt": "x", "model": ["haiku", "opus"], "fallback": "sonnet", "maxCost": "0.35",
            "timeout": "90s", "retries": 2, "check": { "command": "true" }, "isolation": "worktree",
        }]
    }))
    .unwrap();
    let task = plan.tasks()[0].task("x");
    assert_eq!(task.max_cost, PicoUsd::parse_dollars("0.35"));
    assert_eq!(
        (task.timeout, task.retries, task.isolation),
        (Some(Millis(90_000)), Some(2), Isolation::Worktree)
    );
    assert_eq!((task.model.0.len(), task.check.len()), (2, 1));
    assert_eq!(plan.head().max_cost, PicoUsd::parse_dollars("2.5"));
    let again: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
    assert_eq!(again, plan);
    insta::assert_snapshot!(serde_json::to_value(&plan).unwrap(), @r#"{"name":"audit","maxCost":2.5,"gather":{"prompt":"Sum it up"},"tasks":[{"id":"a","prompt":"x","model":["haiku","opus"],"fallback":["sonnet"],"check":{"command":"true"},"maxCost":0.35,"isolation":"worktree","timeout":"1m 30s","retries":2}]}"#);
}

#[test]
fn a_planners_nulls_are_read() {
    let answer = json!({ "tasks": [{ "id": "a", "prompt": "x", "needs": [], "label": null, "model": null }] });
    assert!(Plan::from_value(&answer).is_ok());
}

#[test]
fn a_task_is_known_by_its_label_or_its_id() {
    let task = PlanTask {
        model: "haiku".into(),
        ..PlanTask::new("a", "x {{b}}")
    };
    let asked = task.task("x y");
    assert_eq!(
        (asked.prompt.as_ref(), asked.label.as_deref()),
        ("x y", Some("a"))
    );
    assert_eq!(asked.model.first(), Some("haiku"));
}

proptest! {
    /// Dependencies on earlier tasks only make a valid plan; one on a later task of a chain makes a
    /// cycle.
    #[test]
    fn acyclic_graphs_are_plans_and_cyclic_ones_are_not(
        edges in prop::collection::vec((1usize..40, 0.0f64..1.0), 1..120),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut tasks: Vec<PlanTask> = (0..40).map(|i| PlanTask::new(format!("t{i}"), "x")).collect();
        let edges: Vec<(usize, usize)> =
            edges.into_iter().map(|(from, to)| (from, (to * from as f64) as usize)).collect();
        for &(from, to) in &edges {
            tasks[from].needs.push(format!("t{to}"));
        }
        let plan = Plan::new(None, tasks.clone()).unwrap();
        for (place, depth) in plan.depths().into_iter().enumerate() {
            prop_assert!(plan.needs(place).iter().all(|&need| plan.depths()[need] < depth));
        }

        let (from, to) = edges[pick.index(edges.len())];
        tasks[to].needs.push(format!("t{from}"));
        let refused = Plan::new(None, tasks.clone());
        let Err(PlanError::Cycle(ids)) = refused else { panic!("{refused:?} has a cycle") };
        for (id, next) in ids.iter().zip(ids.iter().cycle().skip(1)) {
            let task = tasks.iter().find(|task| task.id == *id).unwrap();
            prop_assert!(task.needs.contains(next));
        }
    }
}
