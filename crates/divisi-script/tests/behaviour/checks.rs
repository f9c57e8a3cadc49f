//! Functions as checks, which are carried out in the script.

use crate::play::{Play, failed, ok, play};
use divisi_core::{FailureClass, PicoUsd};
use divisi_script::TaskAnswer;

/// Every answer is the place of its task, from 0; each costs a cent.
fn counted(source: &str) -> Play {
    play(source).agent(|turn, task| TaskAnswer {
        value_json: Some(turn.to_string().into()),
        model: task.model.first().map(str::to_owned),
        ..ok(task)
    })
}

#[test]
fn a_result_that_is_accepted_is_the_result() {
    let played = counted(
        "return agent('x', { model: ['haiku', 'opus'], label: 'l', check: async (n) => n === 0 })",
    )
    .run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:1 x {"label":"l","model":"haiku"}
    = 0
    "#);
}

#[test]
fn a_refusal_climbs_and_tells_the_next_model_why() {
    let source = "\nreturn agent('x', { model: ['haiku', 'sonnet', 'opus'], phase: 'P', check: (n) => n === 2 || `${n} is not 2` })";
    let played = counted(source).run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:2 x {"phase":"P","model":"haiku"}
    c1 flow.js:2 x⏎⏎Another agent has tried this before you, and its result was refused. What was wrong with it:⏎⏎0 is not 2 {"label":"x (try 2)","phase":"P","model":"sonnet"}
    c2 flow.js:2 x⏎⏎Another agent has tried this before you, and its result was refused. What was wrong with it:⏎⏎1 is not 2 {"label":"x (try 3)","phase":"P","model":"opus"}
    = 2
    "#);
    insta::assert_snapshot!(played.prompts()[2], @r"
    x

    Another agent has tried this before you, and its result was refused. What was wrong with it:

    1 is not 2
    ");
}

#[test]
fn one_model_may_mend_it_once() {
    let played = counted("return agent('x', { check: (n) => n > 4 })").run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:1 x {}
    c1 flow.js:1 x⏎⏎Another agent has tried this before you, and its result was refused. What was wrong with it:⏎⏎a check of the flow says no {"label":"x (try 2)"}
    warning flow.js:1 `x` has no result, its check failed: a check of the flow says no
    = null
    "#);
}

#[test]
fn nobody_stronger_is_left() {
    let options = "{ model: ['haiku', 'opus'], check: () => 'too\\nshort' }";
    let played = counted(&format!("return agent.outcome('x', {options})")).run();
    assert_eq!(
        played.result(),
        r#"{"status":"failed","value":null,"reason":"check failed: too","model":"opus","attempts":2,"cost":0.02}"#
    );
    insta::assert_snapshot!(played.warnings().join("\n"), @"warning flow.js:1 `x` has no result, its check failed: too");
    let required = options.replace('{', "{ required: true,");
    insta::assert_snapshot!(counted(&format!("\nawait agent('x', {required})")).run().error(), @"script `flow.js` failed at line 2: Error: `x` failed: check failed: too");
}

#[test]
fn what_a_check_throws_is_what_it_has_against_the_result() {
    let played = counted(
        "return agent('x', { check: (n) => { if (n === 0) throw new Error('no zero'); return true } })",
    )
    .run();
    assert_eq!(played.result(), "1");
    assert!(
        played.prompts()[1].ends_with("no zero"),
        "{}",
        played.prompts()[1]
    );
    let blank = counted("return agent('x', { check: () => { throw new Error(' ') } })").run();
    assert_eq!((blank.result().as_str(), blank.tasks().len()), ("null", 2));
}

#[test]
fn an_empty_text_says_that_nothing_is_wrong() {
    assert_eq!(
        counted("return agent('x', { check: () => [].join() })")
            .run()
            .result(),
        "0"
    );
}

#[test]
fn a_check_that_says_nothing_is_a_mistake_and_costs_nothing_more() {
    let played = counted("await agent('x', { check: (n) => { n > 1 } })").run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 1: TypeError: a function of `check` has to return true, false or what is wrong, not undefined");
    assert_eq!(played.tasks().len(), 1);
    let played = counted("return agent.outcome('x', { check: () => 1 })").run();
    insta::assert_snapshot!(played.result(), @r#"{"status":"failed","value":null,"reason":"a function of `check` has to return true, false or what is wrong, not number","model":null,"attempts":1,"cost":0.01}"#);
}

#[test]
fn a_try_that_fails_by_itself_ends_the_task() {
    let played = play("return agent.outcome('x', { model: ['haiku', 'opus'], check: () => 'no' })")
        .agent(|turn, task| {
            if turn == 0 {
                ok(task)
            } else {
                failed(FailureClass::Timeout, "no answer in 30 s")
            }
        })
        .run();
    insta::assert_snapshot!(played.result(), @r#"{"status":"failed","value":null,"reason":"no answer in 30 s","model":null,"attempts":2,"cost":0.01}"#);
}

#[test]
fn other_checks_are_left_to_the_engine_and_come_first() {
    let source = "return agent('x', { model: ['haiku', 'opus'], maxCost: 0.05, check: [(n) => n === 1, 'npm test', () => true] })";
    insta::assert_snapshot!(counted(source).run(), @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:1 x {"model":["haiku","opus"],"check":[{"command":"npm test"}],"maxCost":50000000000}
    c1 flow.js:1 x⏎⏎Another agent has tried this before you, and its result was refused. What was wrong with it:⏎⏎a check of the flow says no {"label":"x (try 2)","model":"opus","check":[{"command":"npm test"}],"maxCost":40000000000}
    = 1
    "#);
}

#[test]
fn a_check_cannot_change_the_result() {
    let source = "return agent('x', { check: (r) => { r.n = 2; return true } })";
    let played = play(source)
        .agent(|_, _| TaskAnswer::ok(r#"{"n":1}"#))
        .run();
    assert_eq!(played.result(), r#"{"n":1}"#);
}

#[test]
fn a_check_may_ask_agents_and_stays_in_its_group() {
    let source = "const look = async (n) => (await agent(`look at ${n}`)) > 1\nreturn parallel([() => agent('x', { check: look }), () => agent('y')])";
    let played = counted(source).run();
    insta::assert_snapshot!(played.groups(), @r"
    g0 flow.js:2 Parallel of 2
    c0 x in g0
    c1 y in g0
    c2 look at 0 in g0
    g0 ended
    ");
}

#[test]
fn helpers_take_checks_too() {
    let played = counted("return gather('Join', ['a'], { check: (n) => n === 1 })").run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:1 Join⏎⏎## part 1⏎⏎a {"label":"gather"}
    c1 flow.js:1 Join⏎⏎## part 1⏎⏎a⏎⏎Another agent has tried this before you, and its result was refused. What was wrong with it:⏎⏎a check of the flow says no {"label":"gather (try 2)"}
    = 1
    "#);
}

#[test]
fn limits_hold_for_every_try() {
    let source = "return agent.outcome('x', { check: () => false })";
    let played = counted(source)
        .options(|options| options.budget_total = Some(5))
        .run();
    insta::assert_snapshot!(played.result(), @r#"{"status":"failed","value":null,"reason":"the token budget is spent: 10 of 5 output tokens","model":null,"attempts":1,"cost":0.01}"#);
    let played = counted("await agent('x', { check: () => false })")
        .options(|o| o.limits.agents_max = 1)
        .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 1: RangeError: this run has made 1 calls, which is as many as it may make; if it is meant to make more, write for example `maxAgents: 10` in `meta`, or raise `agents_max` in the settings");
}

#[test]
fn a_plan_takes_checks_as_satisfied() {
    let source = "return agent('x', { model: ['haiku', 'opus'], check: () => { throw new Error('never called') } })";
    let played = counted(source)
        .options(|options| options.assumes_checks = true)
        .run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:1 x {"model":["haiku","opus"]}
    = 0
    "#);
}

#[test]
fn commands_are_not_told_what_is_wrong() {
    insta::assert_snapshot!(counted("\nawait shell('ls', { check: () => true })").run().error(), @"script `flow.js` failed at line 2: TypeError: the option `check` of a command cannot be a function: look at its result instead");
}

#[test]
fn what_was_spent_on_all_tries_counts() {
    let source = "await agent('x', { check: () => false }); return budget.usd.spent()";
    let played = play(source)
        .agent(|_, task| TaskAnswer {
            cost: PicoUsd(PicoUsd::DOLLAR.0),
            ..ok(task)
        })
        .run();
    assert_eq!(played.result(), "2");
}
