//! The options of `agent()`.

use crate::play::play;
use serde_json::json;

fn task(options: &str) -> serde_json::Value {
    json!(play(&format!("await agent('x', {options})")).run().task())
}

fn refusal(options: &str) -> String {
    play(&format!("await agent('x', {options})"))
        .run()
        .error()
        .detail()
        .to_owned()
}

#[test]
fn every_option_reaches_the_task() {
    let options = "{ label: 'l', phase: 'p', schema: { type: 'object' }, model: 'opus', kind: 'review', effort: 'xhigh', isolation: 'worktree', \
        fallback: 'sonnet', check: 'npm test', maxCost: 0.35, agentType: 'Explore', executor: 'claude', tools: ['read', 'grep'], disallowedTools: 'bash, write', context: 'c', \
        inputs: ['a.rs'], timeout: '5m', stallMs: 1500, retries: 0, overloadWait: '8h', hedge: true,
        maxTurns: 7, required: true }";
    assert_eq!(
        task(options),
        json!({
            "prompt": "x", "context": "c", "label": "l", "phase": "p", "kind": "review", "model": "opus", "fallback": ["sonnet"],
            "check": [{ "command": "npm test" }], "maxCost": 350_000_000_000_u64, "effort": "xhigh",
            "schema": { "type": "object" }, "agentType": "Explore", "executor": "claude", "tools": ["read", "grep"],
            "disallowedTools": ["bash", "write"], "isolation": "worktree", "inputs": ["a.rs"], "timeout": 300_000,
            "idleTimeout": 1500, "retries": 0, "overloadWait": 28_800_000, "hedge": true, "maxTurns": 7, "required": true
        })
    );
}

#[test]
fn what_is_not_given_is_left_to_the_run() {
    assert_eq!(
        task("{ label: undefined, model: null }"),
        json!({ "prompt": "x" })
    );
    assert_eq!(
        json!(play("await agent('x', null)").run().task()),
        json!({ "prompt": "x" })
    );
}

#[test]
fn a_label_may_be_a_number() {
    assert_eq!(task("{ label: 3 }")["label"], "3");
}

#[test]
fn unknown_options_are_warned_of_once() {
    let source = "for (const n of [1, 2]) {\n  await agent('x', { authority: n })\n}\nawait agent('y', { authority: 1, other: 2 })";
    let played = play(source).run();
    insta::assert_snapshot!(played.warnings().join("\n"), @r"
    warning flow.js:2 `authority` is no option of agent() and does nothing
    warning flow.js:4 `other` is no option of agent() and does nothing
    ");
}

#[test]
fn a_misspelt_option_is_told_apart_from_metadata() {
    let played = play("phase('a', { maxCosts: 1 })\nawait agent('x', { modle: 'opus' })").run();
    insta::assert_snapshot!(played.warnings().join("\n"), @r"
    warning flow.js:1 `maxCosts` is no option of phase() and does nothing; did you mean `maxCost`?
    warning flow.js:2 `modle` is no option of agent() and does nothing; did you mean `model`?
    ");
}

#[test]
fn models_may_be_one_or_several() {
    assert_eq!(
        task("{ model: ['haiku', 'opus'] }")["model"],
        json!(["haiku", "opus"])
    );
    assert_eq!(task("{ model: ['haiku'] }")["model"], "haiku");
    assert_eq!(
        task("{ fallback: ['haiku', 'gpt-5'] }")["fallback"],
        json!(["haiku", "gpt-5"])
    );
    insta::assert_snapshot!(refusal("{ model: [] }"), @"TypeError: the option `model` has to be a model, or a list of them, not []");
    insta::assert_snapshot!(refusal("{ fallback: 3 }"), @"TypeError: the option `fallback` has to be a string, not 3");
}

#[test]
fn dollars_are_what_is_written_to_the_last_digit() {
    for (written, pico) in [
        ("0.1", 100_000_000_000_u64),
        ("'$0.50'", 500_000_000_000),
        ("' 2 '", 2_000_000_000_000),
        ("0.000000000001", 1),
        ("1e-7", 100_000),
        ("0", 0),
        ("4.35", 4_350_000_000_000),
        // What was computed is cut below a picodollar.
        ("0.1 + 0.2", 300_000_000_000),
        ("2 / 3", 666_666_666_666),
    ] {
        assert_eq!(
            task(&format!("{{ maxCost: {written} }}"))["maxCost"],
            pico,
            "{written}"
        );
    }
    insta::assert_snapshot!(refusal("{ maxCost: -1 }"), @"TypeError: the option `maxCost` has to be dollars, a number from 0 to 18 million or a text such as '$0.50', not -1");
    insta::assert_snapshot!(refusal("{ maxCost: NaN }"), @"TypeError: the option `maxCost` has to be dollars, a number from 0 to 18 million or a text such as '$0.50', not NaN");
    insta::assert_snapshot!(refusal("{ maxCost: 1e9 }"), @"TypeError: the option `maxCost` has to be dollars, a number from 0 to 18 million or a text such as '$0.50', not 1000000000");
    assert_eq!(
        task("{ maxCost: budget.usd.remaining() / 2 }"),
        json!({ "prompt": "x" }),
        "no limit"
    );
    insta::assert_snapshot!(refusal("{ maxCost: 'five' }"), @r#"TypeError: the option `maxCost` has to be dollars, a number from 0 to 18 million or a text such as '$0.50', not "five""#);
}

#[test]
fn checks_are_commands_schemas_and_judges() {
    let checks = |given: &str| task(&format!("{{ check: {given} }}"))["check"].to_string();
    assert_eq!(checks("'npm test'"), r#"[{"command":"npm test"}]"#);
    assert_eq!(
        checks("{ schema: { type: 'string', maxLength: 9 } }"),
        r#"[{"schema":{"type":"string","maxLength":9}}]"#
    );
    assert_eq!(
        checks("{ judge: 'short?' }"),
        r#"[{"judge":{"rubric":"short?","threshold":7}}]"#
    );
    assert_eq!(
        checks("[{ command: 'make' }, { judge: 'short?', model: 'opus', threshold: 9 }]"),
        r#"[{"command":"make"},{"judge":{"rubric":"short?","model":"opus","threshold":9}}]"#
    );
    insta::assert_snapshot!(refusal("{ check: true }"), @"TypeError: the option `check` has to be a shell command, a function, or one of `{command}`, `{schema}`, `{judge, model?, threshold?}`, not true");
    insta::assert_snapshot!(refusal("{ check: '' }"), @r#"TypeError: the option `check` has to be a text that is not empty, not """#);
    insta::assert_snapshot!(refusal("{ check: { judge: 'a', command: 'b' } }"), @r#"TypeError: the option `check` has to be a shell command, a function, or one of `{command}`, `{schema}`, `{judge, model?, threshold?}`, not {"judge":"a","command":"b"}"#);
    insta::assert_snapshot!(refusal("{ check: { command: 'b', model: 'opus' } }"), @r#"TypeError: the option `check` has to be a shell command, a function, or one of `{command}`, `{schema}`, `{judge, model?, threshold?}`, not {"command":"b","model":"opus"}"#);
    insta::assert_snapshot!(refusal("{ check: [{ rubric: 'a' }] }"), @r#"TypeError: the option `check` has to be a shell command, a function, or one of `{command}`, `{schema}`, `{judge, model?, threshold?}`, not {"rubric":"a"}"#);
    insta::assert_snapshot!(refusal("{ check: { judge: 'a', threshold: 11 } }"), @"TypeError: the option `check.threshold` has to be a whole number from 0 to 10, not 11");
    insta::assert_snapshot!(refusal("{ check: { schema: 3 } }"), @"TypeError: the option `check.schema` has to be a JSON Schema, an object, not 3");
}

#[test]
fn a_value_that_cannot_be_meant_throws() {
    insta::assert_snapshot!(refusal("{ effort: 'extreme' }"), @r#"TypeError: the option `effort` has to be one of low, medium, high, xhigh, max, not "extreme""#);
    insta::assert_snapshot!(refusal("{ isolation: 'docker' }"), @r#"TypeError: the option `isolation` has to be 'worktree' or 'none', not "docker""#);
    insta::assert_snapshot!(refusal("{ timeout: '5 days' }"), @"TypeError: the option `timeout`: `5 days` is no span of time: write it with its unit, like 90s, 10m or 1h30m");
    insta::assert_snapshot!(refusal("{ timeout: '0s' }"), @"TypeError: the option `timeout`: `0s` is no span of time: it must be a millisecond or more");
    insta::assert_snapshot!(refusal("{ timeout: 0 }"), @"TypeError: the option `timeout` has to be milliseconds, or a text such as '90s' or '1h30m', not 0");
    insta::assert_snapshot!(refusal("{ timeout: Infinity }"), @"TypeError: the option `timeout` has to be milliseconds, or a text such as '90s' or '1h30m', not inf");
    insta::assert_snapshot!(refusal("{ retries: -1 }"), @"TypeError: the option `retries` has to be a whole number from 0, not -1");
    insta::assert_snapshot!(refusal("{ model: 3 }"), @"TypeError: the option `model` has to be a string, not 3");
    insta::assert_snapshot!(refusal("{ tools: [1] }"), @"TypeError: the option `tools` has to be a string, not 1");
    insta::assert_snapshot!(refusal("{ required: 'yes' }"), @r#"TypeError: the option `required` has to be true or false, not "yes""#);
    insta::assert_snapshot!(refusal("{ schema: [] }"), @"TypeError: the option `schema` has to be a JSON Schema, an object, not []");
    insta::assert_snapshot!(refusal("{ schema: { type: 'array', items: {} } }"), @"TypeError: `schema` has to describe an object; put lists and texts into a property of one");
}

#[test]
fn the_phase_is_the_one_at_the_time_of_the_call() {
    let source = "phase('One'); const a = agent('a'); phase('Two'); const b = agent('b', { phase: 'Own' }); const c = agent('c'); await Promise.all([a, b, c])";
    let played = play(source).run();
    let phases: Vec<_> = played
        .tasks()
        .iter()
        .map(|task| task.phase.as_deref())
        .collect();
    assert_eq!(phases, [Some("One"), Some("Own"), Some("Two")]);
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    phase One
    c0 flow.js:1 a {"phase":"One"}
    phase Two
    c1 flow.js:1 b {"phase":"Own"}
    c2 flow.js:1 c {"phase":"Two"}
    = null
    "#);
}

#[test]
fn tasks_share_a_schema_they_have_in_common() {
    let played = play("const schema = { type: 'object' }; await Promise.all([agent('a', { schema }), agent('b', { schema })])").run();
    let schemas: Vec<_> = played
        .tasks()
        .iter()
        .map(|task| task.schema.clone().unwrap())
        .collect();
    assert!(std::sync::Arc::ptr_eq(&schemas[0], &schemas[1]));
}

#[test]
fn a_question_is_a_task_for_a_person() {
    let asked = |source: &str| json!(play(&format!("await approve({source})")).run().task());
    assert_eq!(
        asked("'Go on?'"),
        json!({
            "prompt": "Go on?", "executor": "person", "schema": { "type": "boolean" }, "approval": {}, "required": true
        })
    );
    assert_eq!(
        asked(
            "'Where?', { choices: ['a', 'b'], default: 'b', timeout: '10m', show: { n: 1 }, label: 'l', phase: 'p', required: false }"
        ),
        json!({
            "prompt": "Where?", "executor": "person", "label": "l", "phase": "p", "context": "{\n  \"n\": 1\n}",
            "schema": { "enum": ["a", "b"] }, "timeout": 600_000,
            "approval": { "choices": { "one_of": ["a", "b"] }, "default": "b" }
        })
    );
    assert_eq!(
        asked("'Why?', { choices: null }"),
        json!({ "prompt": "Why?", "executor": "person", "approval": { "choices": "any" }, "required": true })
    );
    let refused = |options: &str| {
        play(&format!("await approve('x', {options})"))
            .run()
            .error()
            .detail()
            .to_owned()
    };
    for (options, told) in [
        (
            "{ choices: 'a' }",
            "the option `choices` has to be a list of strings, or null for any text, not \"a\"",
        ),
        (
            "{ default: 'perhaps' }",
            "the default \"perhaps\" is none of yes, no",
        ),
        (
            "{ default: 1 }",
            "the option `default` has to be one of the choices, not 1",
        ),
        (
            "'x'",
            "the second argument has to be an object of options, not string",
        ),
    ] {
        let said = refused(options);
        assert!(said.contains(told), "{options}: {said}");
    }
    let warned = play("await approve('x', { model: 'opus', choises: ['a'] })").run();
    insta::assert_snapshot!(warned.warnings().join("\n"), @r"
    warning flow.js:1 `model` is no option of approve() and does nothing
    warning flow.js:1 `choises` is no option of approve() and does nothing; did you mean `choices`?
    ");
}
