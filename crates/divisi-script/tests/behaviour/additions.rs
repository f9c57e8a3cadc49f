//! What goes beyond the dialect: `gather`, `decompose`, `shell`.

use crate::play::{error_of, failed, ok, play};
use divisi_core::FailureClass;
use divisi_script::TaskAnswer;
use serde_json::json;

#[test]
fn gather_hands_all_parts_to_one_agent() {
    let played =
        play("return await gather('Join these', ['first', { second: 2 }], { model: 'opus' })")
            .run();
    insta::assert_snapshot!(played.task().prompt, @r#"
    Join these

    ## part 1

    first

    ## part 2

    {"second":2}
    "#);
    assert_eq!(played.task().model.first(), Some("opus"));
    assert_eq!(played.task().label.as_deref(), Some("gather"));
}

#[test]
fn gather_tells_what_is_missing_and_why() {
    let source = "const parts = { auth: await agent.outcome('a'), pay: await agent.outcome('b'), old: null }\nawait gather('Join', parts, { label: 'sum' })";
    let played = play(source)
        .agent(|turn, task| {
            if turn == 1 {
                failed(FailureClass::Timeout, "no answer in 30 s")
            } else {
                ok(task)
            }
        })
        .run();
    insta::assert_snapshot!(played.tasks()[2].prompt, @r"
    Join

    ## auth

    a

    ## Missing

    2 of 3 parts could not be had:

    - pay: no answer in 30 s
    - old: no result

    Do not guess what they would have said. Say in your answer that they are missing.
    ");
}

#[test]
fn gather_throws_when_too_much_is_missing() {
    insta::assert_snapshot!(error_of("\nawait gather('Join', ['a', null, null], { minParts: 2 })"), @"script `flow.js` failed at line 2: Error: gather() has 1 of 3 parts and needs 2; missing: part 2 (no result), part 3 (no result)");
    insta::assert_snapshot!(error_of("await gather('Join', [])"), @"script `flow.js` failed at line 1: Error: gather() has 0 of 0 parts and needs 1; missing: all");
    insta::assert_snapshot!(error_of("await gather('Join', 'x')"), @"script `flow.js` failed at line 1: TypeError: gather() takes an array of results second, or an object or a Map of results by name");
}

fn plan(tasks: serde_json::Value) -> TaskAnswer {
    TaskAnswer::ok(json!({ "tasks": tasks }).to_string())
}

fn diamond() -> TaskAnswer {
    plan(json!([
        { "id": "join", "prompt": "Join {{a}} and {{b}}", "needs": [], "label": null, "model": "opus" },
        { "id": "a", "prompt": "Do a", "needs": [], "label": "first", "model": null },
        { "id": "b", "prompt": "Do b", "needs": [], "label": null, "model": "haiku" },
    ]))
}

#[test]
fn decompose_runs_what_the_planner_planned() {
    let played = play(
        "return await decompose('Audit it', { worker: { tools: ['read'] }, gather: 'Sum up' })",
    )
    .agent(|turn, task| if turn == 0 { diamond() } else { ok(task) })
    .run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:1 Split this goal into tasks for agents that work at the same time:⏎⏎Audit it⏎⏎Make 20 tasks at most, and only as many as help. Each agent sees its own prompt and… {"label":"plan","model":"opus","schema":["tasks"],"required":true}
    c1 ? Do a {"label":"first","model":"auto","tools":["read"]}
    c2 ? Do b {"label":"b","model":"haiku","tools":["read"]}
    c3 ? Join Do a and Do b {"label":"join","model":"opus","tools":["read"]}
    c4 ? Sum up⏎⏎## join⏎⏎Join Do a and Do b⏎⏎## a⏎⏎Do a⏎⏎## b⏎⏎Do b {"label":"gather"}
    = {"plan":{"goal":"Audit it","tasks":[{"id":"join","prompt":"Join {{a}} and {{b}}","model":"opus","needs":["a","b"]},{"id":"a","prompt":"Do a","label":"first","needs":[]},{"id":"b","prompt":"Do b","model":"haiku","needs":[]}]},"results":{"join":"Join Do a and Do b","a":"Do a","b":"Do b"},"missing":{},"synthesis":"Sum up⏎⏎## join⏎⏎Join Do a and Do b⏎⏎## a⏎⏎Do a⏎⏎## b⏎⏎Do b"}
    "#);
}

#[test]
fn ids_of_a_planner_may_be_words_of_the_language() {
    let ids = [
        "constructor",
        "__proto__",
        "toString",
        "2",
        "valueOf",
        "hasOwnProperty",
        "1",
    ];
    let tasks = ids.map(|id| json!({"id": id, "prompt": format!("do {id}"), "needs": []}));
    let last = json!({"id": "last", "prompt": "{{__proto__}} and {{constructor}} and {{missing}}", "needs": []});
    let failing = json!({"id": "missing", "prompt": "fail", "needs": []});
    let all: Vec<_> = tasks.into_iter().chain([last, failing]).collect();
    let source = "const { results, missing } = await decompose('x', { gather: 'Sum up' });
        return { ...results, missing: Object.entries(missing), has: 'toString' in missing }";
    let played = play(source)
        .agent(move |_, task| match &*task.prompt {
            "fail" => failed(FailureClass::Declined, "no"),
            prompt if prompt.starts_with("Split") => plan(json!(all)),
            _ => ok(task),
        })
        .run();
    let result: serde_json::Value = serde_json::from_str(&played.result()).unwrap();
    for id in ids {
        assert_eq!(result[id], format!("do {id}"), "{id}: {result}");
    }
    assert_eq!(result["missing"][0][0], "last");
    assert_eq!(result["has"], false);
    let tasks = played.tasks();
    let asked = &tasks.last().unwrap().prompt;
    let sections: Vec<&str> = asked
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    // In the order of the plan, numbers too.
    assert_eq!(sections, [&ids[..], &["Missing"]].concat());
}

#[test]
fn results_by_such_ids_stand_in_prompts() {
    let tasks = json!([
        {"id": "__proto__", "prompt": "one", "needs": []},
        {"id": "constructor", "prompt": "two", "needs": []},
        {"id": "last", "prompt": "{{__proto__}} and {{constructor}} and {{toString}}", "needs": []},
        {"id": "toString", "prompt": "three", "needs": []},
    ]);
    let played = play("return (await decompose('x')).results.last")
        .agent(move |turn, task| {
            if turn == 0 {
                plan(tasks.clone())
            } else {
                ok(task)
            }
        })
        .run();
    assert_eq!(played.result(), "\"one and two and three\"");
}

#[test]
fn decompose_lets_users_choose_models() {
    let played = play("await decompose('Audit it', { planner: 'opus', worker: 'sonnet', max: 3 })")
        .agent(|turn, task| if turn == 0 { diamond() } else { ok(task) })
        .run();
    let models: Vec<_> = played
        .tasks()
        .iter()
        .map(|task| task.model.first().unwrap())
        .collect();
    assert_eq!(models, ["opus", "sonnet", "sonnet", "sonnet"]);
}

#[test]
fn decompose_asks_again_when_the_plan_is_wrong() {
    let played = play("return await decompose('Audit it', { max: 2 })")
        .agent(|turn, task| match turn {
            0 => plan(json!([{ "id": "a", "prompt": "x", "needs": ["b"] }, { "id": "b", "prompt": "x", "needs": ["a"] }])),
            1 => plan(json!([{ "id": "a", "prompt": "x" }, { "id": "b", "prompt": "x" }, { "id": "c", "prompt": "x" }])),
            2 => plan(json!([{ "id": "a", "prompt": "x" }])),
            _ => ok(task),
        })
        .run();
    insta::assert_snapshot!(played.logs().join("\n"), @r"
    plan 1 cannot be used: tasks wait for each other: a → b → a (take out the need that matters least)
    plan 2 cannot be used: the plan has 3 tasks, 2 are allowed
    ");
    assert!(
        played.tasks()[1]
            .prompt
            .contains("tasks wait for each other: a → b → a")
    );
    assert!(played.result().contains(r#""results":{"a":"x"}"#));
}

#[test]
fn decompose_gives_up_on_a_planner_that_does_not_learn() {
    let played = play("await decompose('Audit it')")
        .agent(|_, _| plan(json!([])))
        .run();
    assert_eq!(played.tasks().len(), 3);
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed: Error: no usable plan after 3 tries: the plan has no tasks (name at least one task)");
}

#[test]
fn decompose_skips_what_needs_a_failed_task() {
    let played = play("return await decompose('Audit it', { gather: true })")
        .agent(|_, task| match task.label.as_deref() {
            Some("plan") => diamond(),
            Some("b") => failed(FailureClass::Server, "boom"),
            _ => ok(task),
        })
        .run();
    let result: serde_json::Value = serde_json::from_str(&played.result()).unwrap();
    assert_eq!(
        result["results"],
        json!({ "join": null, "a": "Do a", "b": null })
    );
    assert_eq!(
        result["missing"],
        json!({ "join": "it needs `b`, which has no result", "b": "boom" })
    );
    assert!(played.tasks().last().unwrap().prompt.contains("- b: boom"));
}

#[test]
fn tasks_of_a_plan_run_only_if_it_is_approved() {
    let decided = |by: &str| {
        let source = format!("return await decompose('Audit it', {{ approve: {by} }})");
        let played = play(&source).agent(|turn, task| if turn == 0 { diamond() } else { ok(task) });
        let played = played.run();
        (
            played.tasks().len(),
            played.result().contains("the plan is not approved"),
        )
    };
    assert_eq!(decided("async plan => plan.tasks.length === 3"), (4, false));
    assert_eq!(decided("async plan => false"), (1, true));
}

#[test]
fn decompose_needs_a_goal_and_a_planner_that_answers() {
    insta::assert_snapshot!(error_of("await decompose('')"), @"script `flow.js` failed at line 1: TypeError: decompose() takes the goal first");
    insta::assert_snapshot!(error_of("await decompose('x', { max: 0 })"), @"script `flow.js` failed at line 1: TypeError: the option `max` of decompose() has to be a whole number from 1");
    insta::assert_snapshot!(error_of("await decompose('x', { approve: true })"), @"script `flow.js` failed at line 1: TypeError: the option `approve` of decompose() has to be a function");
    let played = play("\nawait decompose('x', { approves: true })")
        .agent(|_, _| failed(FailureClass::Auth, "no key"))
        .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 2: Error: `plan` failed: no key");
    insta::assert_snapshot!(played.warnings().join("\n"), @"warning flow.js:2 the option `approves` of decompose() is not supported yet and does nothing");
}

#[test]
fn a_plan_may_hold_what_looks_like_a_reference() {
    let played = play("await decompose('x')")
        .agent(|turn, task| match turn {
            0 => {
                plan(json!([{ "id": "a", "prompt": "x" }, { "id": "b", "prompt": "{{a}} ${{ matrix.os }}" }]))
            }
            1 => TaskAnswer::ok("\"say {{b}}\""),
            _ => ok(task),
        })
        .run();
    assert_eq!(played.prompts()[2], "say {{b}} ${{ matrix.os }}");
}

#[test]
fn shell_is_a_task_without_a_model() {
    let played = play("const { code, stdout } = await shell('npm test', { timeout: '2m', phase: 'Test' }); return [code, stdout]")
        .agent(|_, _| TaskAnswer::ok(r#"{"code":1,"stdout":"bad","stderr":""}"#))
        .run();
    assert_eq!(played.result(), r#"[1,"bad"]"#);
    assert_eq!(
        json!(played.task()),
        json!({ "prompt": "npm test", "phase": "Test", "executor": "shell", "timeout": 120_000, "required": true })
    );
}

#[test]
fn a_command_that_could_not_run_throws() {
    let played = play("\nawait shell('npm test')")
        .agent(|_, _| failed(FailureClass::Program, "npm is not installed"))
        .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 2: Error: `npm test` failed: npm is not installed");
}

#[test]
fn a_plan_that_is_given_needs_no_planner() {
    let source = "return (await decompose('all of it', { plan: args })).results";
    let plan = json!({"tasks": [
        {"id": "a", "prompt": "do a", "model": "opus", "tools": [], "phase": "One", "timeout": 5000},
        {"id": "b", "prompt": "use {{a}}", "context": "shared {{a}}", "label": "second"},
    ]});
    let played = play(source).args(plan).run();
    assert_eq!(played.prompts(), ["do a", "use do a"]);
    insta::assert_snapshot!(json!(played.tasks()[0]), @r#"{"prompt":"do a","label":"a","phase":"One","model":"opus","tools":[],"timeout":5000}"#);
    insta::assert_snapshot!(json!(played.tasks()[1]), @r#"{"prompt":"use do a","context":"shared do a","label":"second"}"#);
    assert_eq!(played.result(), r#"{"a":"do a","b":"use do a"}"#);
    let wrong = json!({"tasks": [{"id": "a", "prompt": "x", "needs": ["b"]}]});
    insta::assert_snapshot!(play(source).args(wrong).run().error(), @"script `flow.js` failed at line 1: TypeError: the option `plan` of decompose() is no plan: task `a` needs `b`, which is not in the plan (the ids are a)");
}

#[test]
fn what_a_given_plan_says_beside_its_tasks_is_not_ignored_silently() {
    let plan = json!({
        "name": "audit", "goal": "all of it", "maxCost": 2, "gather": { "prompt": "Sum up" },
        "phases": [{ "title": "One", "maxCost": 1 }],
        "tasks": [{ "id": "a", "prompt": "do a", "phase": "One" }],
    });
    let played = play("\nawait decompose('all of it', { plan: args })")
        .args(plan)
        .run();
    assert_eq!(played.prompts(), ["do a"]);
    insta::assert_snapshot!(played.warnings().join("\n"), @r"
    warning flow.js:2 `maxCost` of the plan given to decompose() does nothing here: it holds where the plan is run by itself
    warning flow.js:2 `phases` of the plan given to decompose() does nothing here: it holds where the plan is run by itself
    warning flow.js:2 `gather` of the plan given to decompose() does nothing here: it holds where the plan is run by itself
    ");
}

#[test]
fn a_planner_decides_on_no_more_than_the_model() {
    let plan = json!({"tasks": [{"id": "a", "prompt": "do a", "tools": ["run_command"], "maxTurns": 900, "model": "haiku"}]});
    let played = play("await decompose('goal')")
        .agent(move |_, task| match task.schema {
            Some(_) => TaskAnswer::ok(plan.to_string()),
            None => ok(task),
        })
        .run();
    insta::assert_snapshot!(json!(played.tasks()[1]), @r#"{"prompt":"do a","label":"a","model":"haiku"}"#);
}
