//! `agent()` and `agent.outcome()`: results, nulls, exceptions.

use crate::play::{failed, ok, play, result_of};
use divisi_core::FailureClass;
use divisi_script::TaskAnswer;
use serde_json::json;

#[test]
fn without_schema_the_result_is_a_text() {
    let played = play("return await agent('x')")
        .agent(|_, _| TaskAnswer::ok("\"  line\\n\""))
        .run();
    assert_eq!(played.result(), "\"  line\\n\"");
}

#[test]
fn with_schema_the_result_is_an_object() {
    let source = "const r = await agent('x', { schema: { type: 'object', properties: { n: { type: 'number' } } } }); return r.n + 1";
    assert_eq!(result_of(source), "8");
}

#[test]
fn a_task_that_has_no_result_is_null() {
    for answer in [
        failed(FailureClass::Server, "boom"),
        TaskAnswer::skipped("a person said so"),
        TaskAnswer::cancelled(),
    ] {
        let played = play("return await agent('x')")
            .agent(move |_, _| answer.clone())
            .run();
        assert_eq!(played.result(), "null");
    }
}

#[test]
fn a_required_task_throws() {
    let played = play("\nawait agent('Read\\nit', { required: true })")
        .agent(|_, _| failed(FailureClass::Timeout, "no answer in 30 s"))
        .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 2: Error: `Read` failed: no answer in 30 s");
    let played = play("await agent('x', { required: true, label: 'read' })")
        .agent(|_, _| TaskAnswer::skipped("it is late"))
        .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 1: Error: `read` was skipped: it is late");
}

#[test]
fn a_schema_that_no_answer_met_throws() {
    let played = play("await agent('x', { label: 'read' })")
        .agent(|_, _| failed(FailureClass::Schema, "5 answers did not fit"))
        .run();
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 1: Error: `read` failed: 5 answers did not fit");
}

#[test]
fn a_schema_that_contradicts_itself_throws_before_the_start() {
    let played = play("return agent('x', { schema: { type: 'object', required: ['a'], properties: {}, additionalProperties: false } })").run();
    assert!(played.tasks().is_empty());
    insta::assert_snapshot!(played.error(), @"script `flow.js` failed at line 1: TypeError: `schema` requires `a`, which is none of its properties, and allows no others");
}

#[test]
fn an_empty_prompt_throws() {
    insta::assert_snapshot!(play("\n\nawait agent(' \\n')").run().error(), @"script `flow.js` failed at line 3: TypeError: the prompt is empty");
    insta::assert_snapshot!(play("await agent()").run().error(), @"script `flow.js` failed at line 1: TypeError: the first argument has to be the prompt, a string; it is nothing");
    insta::assert_snapshot!(play("await agent({ prompt: 'x' })").run().error(), @"script `flow.js` failed at line 1: TypeError: the first argument has to be the prompt, a string; it is object");
    insta::assert_snapshot!(play("await agent('x', 'opus')").run().error(), @"script `flow.js` failed at line 1: TypeError: the second argument has to be an object of options, not string");
}

#[test]
fn refusals_reject_rather_than_throw_at_once() {
    assert_eq!(
        result_of("return await agent('').catch(error => error.name)"),
        "\"TypeError\""
    );
}

#[test]
fn a_spent_budget_throws() {
    let source = "const a = await agent('a'); const b = agent('b').catch(error => error.message); return [a, await b, budget.spent(), budget.remaining(), budget.total]";
    let played = play(source)
        .options(|options| options.budget_total = Some(10))
        .run();
    assert_eq!(
        played.result(),
        r#"["a","the token budget is spent: 10 of 10 output tokens",10,0,10]"#
    );
}

#[test]
fn agents_that_run_when_the_budget_is_spent_go_on() {
    let source = "return await Promise.all([agent('a'), agent('b'), agent('c')])";
    let played = play(source)
        .options(|options| options.budget_total = Some(10))
        .run();
    assert_eq!(played.result(), r#"["a","b","c"]"#);
}

#[test]
fn without_a_total_the_budget_is_endless() {
    let source =
        "await agent('a'); return [budget.total, budget.spent(), budget.remaining() === Infinity]";
    assert_eq!(result_of(source), "[null,10,true]");
}

#[test]
fn an_outcome_tells_all_and_never_throws() {
    let source = "return [await agent.outcome('x'), await agent.outcome('y', { required: true }), await agent.outcome('')]";
    let played = play(source)
        .agent(|turn, task| match turn {
            0 => TaskAnswer {
                attempts: 2,
                ..ok(task)
            },
            _ => failed(FailureClass::Schema, "no fit"),
        })
        .run();
    let outcomes: serde_json::Value = serde_json::from_str(&played.result()).unwrap();
    assert_eq!(
        outcomes,
        json!([
            { "status": "ok", "value": "x", "reason": null, "model": "fake", "attempts": 2, "cost": 0.01 },
            { "status": "failed", "value": null, "reason": "no fit", "model": null, "attempts": 1, "cost": 0 },
            { "status": "failed", "value": null, "reason": "the prompt is empty", "model": null, "attempts": 0, "cost": 0 },
        ])
    );
}

#[test]
fn halves_of_characters_do_not_stop_a_run() {
    let played = play("return [await agent('😀'.slice(0, 1) + 'x'), '😀'.slice(1)]").run();
    assert_eq!(played.prompts(), ["\u{fffd}x"]);
    assert_eq!(played.result(), "[\"\u{fffd}x\",\"\\ufffd\"]");
}

#[test]
fn a_rejection_that_nobody_awaits_ends_nothing_and_is_told() {
    let source = "agent('a', { required: true }); Promise.reject(new Error('never awaited')); const late = agent('b', { required: true }); await agent('c'); return await late.catch(() => 'late')";
    let played = play(source)
        .agent(|turn, task| {
            if turn < 2 {
                failed(FailureClass::Server, "boom")
            } else {
                ok(task)
            }
        })
        .run();
    assert_eq!(played.result(), "\"late\"");
    // Failed tasks are reported by the run, even if the script ignores them.
    insta::assert_snapshot!(played.uncaught(), @"uncaught flow.js:1 Error: never awaited, 1 in all");
}

#[test]
fn a_call_has_the_line_it_was_made_on() {
    let played = play("const f = () =>\n  agent('a')\nawait parallel([f,\n  () => agent('b')])\nawait Promise.resolve()\nawait agent.outcome('c')\nawait gather('d', [1])").run();
    insta::assert_snapshot!(played, @r#"
    warning flow.js:1 the script has no `meta`
    c0 flow.js:2 a {}
    c1 flow.js:4 b {}
    c2 flow.js:6 c {}
    c3 flow.js:7 d⏎⏎## part 1⏎⏎1 {"label":"gather"}
    = null
    "#);
}

#[test]
fn the_same_answers_make_the_same_calls() {
    let source = "const found = await parallel([1, 2, 3].map(n => () => agent(`find ${n}`))); return parallel(found.map(f => () => agent(`check ${f}`)))";
    assert_eq!(
        play(source).run().to_string(),
        play(source).run().to_string()
    );
}

#[test]
fn a_prompt_with_a_converted_object_is_refused_unless_the_words_are_meant() {
    insta::assert_snapshot!(play("const a = agent('read')\nreturn agent(`use ${a}`)").run().error(), @"script `flow.js` failed at line 2: TypeError: the prompt says `[object Promise]`: write `await` before the call whose result it needs");
    insta::assert_snapshot!(play("return agent('use ' + { a: 1 })").run().error(), @"script `flow.js` failed at line 1: TypeError: the prompt says `[object Object]`: put a field of the object into it, or the text of `JSON.stringify()`");
    insta::assert_snapshot!(play("const a = agent('read')\nreturn agent('use it', { context: `${a}` })").run().error(), @"script `flow.js` failed at line 2: TypeError: the option `context` says `[object Promise]`: write `await` before the call whose result it needs");
    let meant = play("return agent('find where the page says [object Object]')").run();
    assert!(meant.result.is_ok());
    let quoted = play("return agent('mend ' + await agent('what is wrong?'))")
        .agent(|_, _| TaskAnswer::ok("\"it says [object Object]\""))
        .run();
    assert_eq!(quoted.prompts().len(), 2);
}
