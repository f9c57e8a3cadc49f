//! Where the newest releases of Claude Code differ from earlier ones, or a script could tell the
//! engine from V8. Expected values are those of Claude Code or of Node.

use crate::play::{error_of, failed, ok, play, result_of};
use divisi_core::FailureClass;
use divisi_script::Script;

#[test]
fn a_null_ends_the_item_of_a_pipeline() {
    let source = "const seen = []; const out = await pipeline([1, 2], n => n === 1 ? null : agent('do ' + n), (prev, n) => { seen.push(n); return n }, n => n); return { out, seen }";
    let played = play(source).run();
    assert_eq!(played.result(), r#"{"out":[null,2],"seen":[2]}"#);
    insta::assert_snapshot!(played.warnings()[0], @"warning flow.js:1 pipeline() left out the later stages for 1 of 2 items, for which a stage gave null; `handsOnNull: true` in `meta` hands null on instead");
}

#[test]
fn a_stage_that_leaves_out_its_own_work_does_not_end_the_item() {
    let source = "return await pipeline([1, 2, 3], x => x === 2 ? agent('do ' + x) : Promise.resolve(null), (prev, x) => `${prev}:${x}`)";
    let played = play(source).run();
    assert_eq!(played.result(), r#"["null:1","do 2:2","null:3"]"#);
    assert!(played.warnings().is_empty());
    let source = "return await pipeline([1, 2], async x => x === 2 ? null : await agent('do ' + x), (prev, x) => `${prev}:${x}`)";
    assert_eq!(result_of(source), r#"["do 1:1","null:2"]"#);
}

#[test]
fn a_failed_agent_ends_its_item() {
    let source =
        "return await pipeline(['a', 'b'], x => agent(x), (prev, x) => agent(`${x}: ${prev}`))";
    let played = play(source)
        .agent(|_, task| match &*task.prompt {
            "a" => failed(FailureClass::Server, "boom"),
            _ => ok(task),
        })
        .run();
    assert_eq!(played.prompts(), ["a", "b", "b: b"]);
    assert_eq!(played.result(), r#"[null,"b: b"]"#);
}

#[test]
fn only_a_null_before_the_last_stage_cuts_something_off() {
    let source = "return await pipeline([1, null], x => undefined, (prev, x) => x === 1 ? null : String(prev))";
    let played = play(source).run();
    assert_eq!(played.result(), r#"[null,"undefined"]"#);
    assert!(played.warnings().is_empty());
}

#[test]
fn meta_can_hand_null_on() {
    let source = "export const meta = { name: 'n', description: 'd', handsOnNull: true }\nreturn await pipeline(['a'], () => null, prev => prev === null ? 'was null' : 'was not')";
    assert_eq!(result_of(source), r#"["was null"]"#);
    let wrong = source.replace("true", "'yes'");
    insta::assert_snapshot!(error_of(&wrong), @r#"script `flow.js` cannot be read at line 1: `meta.handsOnNull` has to be true or false, not "yes""#);
}

#[test]
fn a_loop_without_end_makes_a_thousand_calls() {
    let played = play("let n = 0; while (true) { await agent(`round ${n++}`) }").run();
    assert_eq!(played.tasks().len(), 1_000);
    insta::assert_snapshot!(played.error().to_string(), @"script `flow.js` failed at line 1: RangeError: this run has made 1000 calls, which is as many as it may make; if it is meant to make more, write for example `maxAgents: 10000` in `meta`, or raise `agents_max` in the settings");
}

#[test]
fn meta_can_state_how_many_calls_are_meant() {
    let meta = |number: &str| {
        format!("export const meta = {{ name: 'n', description: 'd', maxAgents: {number} }}")
    };
    let script = Script::parse("flow.js", &meta("20_000")).unwrap();
    assert_eq!(script.meta().agents_max, Some(20_000));
    insta::assert_snapshot!(error_of(&meta("0")), @"script `flow.js` cannot be read at line 1: `meta.maxAgents` has to be a whole number from 1, not 0");
    insta::assert_snapshot!(error_of(&meta("'all'")), @r#"script `flow.js` cannot be read at line 1: `meta.maxAgents` has to be a whole number from 1, not "all""#);
}

#[test]
fn scripts_are_in_strict_mode() {
    let source = "const out = []; const f = Object.freeze({ a: 1 })\nfor (const t of [() => { undeclared = 1 }, () => { f.a = 2 }, () => { delete f.a }]) { try { t(); out.push('sloppy') } catch (e) { out.push(e.name) } }\nreturn [...out, (function () { return this === undefined })()]";
    assert_eq!(
        result_of(source),
        r#"["ReferenceError","TypeError","TypeError",true]"#
    );
    insta::assert_snapshot!(error_of("with ({}) {}"), @"script `flow.js` cannot be read at line 1: invalid keyword: with");
}

#[test]
fn strings_and_other_primitives_are_spread_into_objects() {
    let source = "const s = 'ab', r = null\nconst f = ({ 0: a, ...rest }) => rest\nconst { length, ...chars } = 'xyz'\nreturn [{ ...'abc', n: 1 }, { ...5 }, { ...new String('ab') }, { n: 0, ...s }, { ...r, ...undefined, ...true, ...10n }, { ...s && { t: 1 } }, { ...[7] }, f({ ...s }), chars, { ...await agent('hi') }, { ...{ get a() { return 1 } } }]";
    // As printed by Node 20, with an agent that answers `hi`.
    assert_eq!(
        result_of(source),
        r#"[{"0":"a","1":"b","2":"c","n":1},{},{"0":"a","1":"b"},{"0":"a","1":"b","n":0},{},{"t":1},{"0":7},{"1":"b"},{"0":"x","1":"y","2":"z"},{"0":"h","1":"i"},{"a":1}]"#
    );
}

#[test]
fn spreads_and_rests_give_what_they_give_in_node() {
    let script = include_str!("../scripts/spread.js");
    let expected = include_str!("../scripts/spread.json");
    assert_eq!(result_of(script), expected.trim());
}

#[test]
fn a_spread_leaves_lines_and_columns_as_they_are() {
    insta::assert_snapshot!(error_of("const a = {}\nreturn [{ ...'x' }, { ...'y' }, a.list.map(x => x)]"), @"script `flow.js` failed at line 2: TypeError: cannot read property 'map' of undefined");
    let played =
        play("return [{ ...1 },\n{ ...await agent('x') }]; const x = null; ({ ...x }).y.z").run();
    insta::assert_snapshot!(played.result(), @r#"[{},{"0":"x"}]"#);
    let source = "const b = 1\nreturn [{ ...1, ...{ ...2 } }, b()]";
    let played = play(source).run();
    let frame = &played.error().frames()[0];
    assert_eq!((frame.site.line, frame.column), (2, 32));
}

#[test]
fn an_effort_is_read_in_any_case() {
    let task = |effort: &str| {
        play(&format!("await agent('x', {{ effort: '{effort}' }})"))
            .run()
            .task()
            .effort
    };
    assert_eq!(task("High"), task("high"));
    assert_eq!(task("XHIGH"), task("xhigh"));
    assert!(task("Max").is_some());
}

#[test]
fn a_clamp_of_commands_is_refused_and_no_agent_starts() {
    let source = "await agent('run the tests', { bashCommandClamp: ['Bash(npm test)'] })";
    let played = play(source).run();
    assert!(played.tasks().is_empty());
    insta::assert_snapshot!(played.error().to_string(), @"script `flow.js` failed at line 1: TypeError: the option `bashCommandClamp` is not supported, so the agent does not start: write `tools: ['Read', 'Bash(npm test)']` to allow only some commands");
    assert_eq!(
        result_of("return await agent('x', { bashCommandClamp: undefined })"),
        r#""x""#
    );
}

#[test]
fn an_isolation_that_is_not_known_is_refused_and_no_agent_starts() {
    let played = play("await agent('x', { isolation: 'remote' })").run();
    assert!(played.tasks().is_empty());
    insta::assert_snapshot!(played.error().to_string(), @r#"script `flow.js` failed at line 1: TypeError: the option `isolation` has to be 'worktree' or 'none', not "remote""#);
}

#[test]
fn what_is_no_function_is_named() {
    insta::assert_snapshot!(error_of("const files = await agent('list')\nreturn files.map((f) => f.trim())"), @"script `flow.js` failed at line 2: TypeError: files.map is not a function");
    insta::assert_snapshot!(error_of("let run\nrun('x')"), @"script `flow.js` failed at line 2: TypeError: run is not a function");
    insta::assert_snapshot!(error_of("const a = {}\nreturn a.list?.[0].map(x => x) ?? a.get(1)"), @"script `flow.js` failed at line 2: TypeError: a.get is not a function");
    insta::assert_snapshot!(error_of("const a = {}\nreturn String(a.get(String(1)))"), @"script `flow.js` failed at line 2: TypeError: not a function");
    let played = play("const r = await agent('x')\nreturn await parallel([async () => r.flatMap(i => i), () => r.list()])").run();
    insta::assert_snapshot!(played.warnings().join("\n"), @r"
    warning flow.js:2 item 1 of `parallel` is null because it threw TypeError: r.list is not a function
    warning flow.js:2 item 0 of `parallel` is null because it threw TypeError: r.flatMap is not a function
    ");
}

#[test]
fn an_import_before_meta_is_told_as_what_it_is() {
    insta::assert_snapshot!(error_of("import { budget } from './_budget.js'\nexport const meta = { name: 'm', description: 'x' }\nreturn 1"), @"script `flow.js` cannot be read at line 1: `import` loads a module");
    insta::assert_snapshot!(error_of("const fs = require('fs')\nexport const meta = { name: 'm', description: 'x' }\nreturn 1"), @"script `flow.js` cannot be read at line 1: `require` loads a module");
    insta::assert_snapshot!(error_of("const a = 1\nexport const meta = { name: 'm', description: 'x' }\nreturn 1"), @"script `flow.js` cannot be read at line 1: `meta` has to come first, but there is code before it");
}
