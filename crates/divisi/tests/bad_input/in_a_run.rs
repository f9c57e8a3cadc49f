//! Bad input during a run: the run is reported as failed, also by its exit code.

use crate::tools::{divisi, file, flow, machine, runs, told};
use insta::assert_snapshot;
use serde_json::Value;

#[test]
fn an_endless_loop() {
    let machine = machine();
    flow(
        &machine,
        "endless",
        "const a = await agent('one')\nlet n = 0\nwhile (true) {\n  n += 1\n}",
    );
    assert_snapshot!(told(&machine, &["run", "endless.js"]), @"
    exit 1
    [m:ss] endless [run-id] started
    [m:ss] ✓ one · claude-sonnet-5-5 · [time] · [tokens] · [cost]
    script::busy

      × script `[home]/endless.js` was stopped at line 4: it computed for more than 5s without waiting
       ╭─[[home]/endless.js:4:1]
     3 │ let n = 0
     4 │ while (true) {
       · ───────┬──────
       ·        ╰── it computed for more than 5s without waiting
     5 │   n += 1
       ╰────
      help: look for a loop that does not end

    endless [run-id] failed: the flow did not come to its end
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  once its cause is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["endless failed, 1 ok"]);
}

#[test]
fn a_memory_hog() {
    let machine = machine();
    // Memory that is allocated and never used costs the test no time.
    flow(
        &machine,
        "hog",
        "const all = []\nfor (;;) all.push(new ArrayBuffer(2 ** 27))",
    );
    assert_snapshot!(told(&machine, &["run", "hog.js"]), @"
    exit 1
    [m:ss] hog [run-id] started
    script::memory

      × script `[home]/hog.js` was stopped at line 3: it used more than 1024 MiB of memory
       ╭─[[home]/hog.js:3:1]
     2 │ const all = []
     3 │ for (;;) all.push(new ArrayBuffer(2 ** 27))
       · ─────────────────────┬─────────────────────
       ·                      ╰── it used more than 1024 MiB of memory
       ╰────
      help: let agents write large results to files and return their names

    hog [run-id] failed: the flow did not come to its end
    0 ok · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  once its cause is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["hog failed"]);
}

#[test]
fn a_schema_that_contradicts_itself() {
    let machine = machine();
    flow(
        &machine,
        "schema",
        "const schema = {type: 'object', properties: {stars: {type: 'integer', minimum: 3, maximum: 2}}}\n\
         return await agent('rate it', {schema})",
    );
    assert_snapshot!(told(&machine, &["run", "schema.js"]), @"
    exit 1
    [m:ss] schema [run-id] started
    script::runtime

      × script `[home]/schema.js` failed at line 3: TypeError: `schema.properties.stars` has `minimum` 3 above `maximum` 2: no value fits
       ╭─[[home]/schema.js:3:1]
     2 │ const schema = {type: 'object', properties: {stars: {type: 'integer', minimum: 3, maximum: 2}}}
     3 │ return await agent('rate it', {schema})
       · ───────────────────┬───────────────────
       ·                    ╰── TypeError: `schema.properties.stars` has `minimum` 3 above `maximum` 2: no value fits
       ╰────

    schema [run-id] failed: the flow did not come to its end
    0 ok · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  once its cause is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["schema failed"]);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn an_empty_prompt_in_a_script() {
    let machine = machine();
    flow(&machine, "empty", "return await agent('  ')");
    assert_snapshot!(told(&machine, &["run", "empty.js"]), @"
    exit 1
    [m:ss] empty [run-id] started
    script::runtime

      × script `[home]/empty.js` failed at line 2: TypeError: the prompt is empty
       ╭─[[home]/empty.js:2:1]
     1 │ export const meta = {name: 'empty', description: 'a test'}
     2 │ return await agent('  ')
       · ────────────┬───────────
       ·             ╰── TypeError: the prompt is empty
       ╰────

    empty [run-id] failed: the flow did not come to its end
    0 ok · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  once its cause is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["empty failed"]);
}

#[test]
fn five_thousand_items() {
    let machine = machine();
    flow(
        &machine,
        "many",
        "const items = Array.from({length: 5000}, (_, i) => i)\n\
         return await parallel(items.map(i => () => agent('item ' + i)))",
    );
    assert_snapshot!(told(&machine, &["run", "many.js"]), @"
    exit 1
    [m:ss] many [run-id] started
    script::runtime

      × script `[home]/many.js` failed at line 3: RangeError: parallel() takes 4096 functions at most, not 5000
       ╭─[[home]/many.js:3:1]
     2 │ const items = Array.from({length: 5000}, (_, i) => i)
     3 │ return await parallel(items.map(i => () => agent('item ' + i)))
       · ───────────────────────────────┬───────────────────────────────
       ·                                ╰── RangeError: parallel() takes 4096 functions at most, not 5000
       ╰────

    many [run-id] failed: the flow did not come to its end
    0 ok · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  once its cause is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["many failed"]);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn tasks_that_ask_for_what_is_not_there() {
    let machine = machine();
    file(
        &machine,
        "divisi.toml",
        "[executors.gone]\ncommand = ['no-such-program']\n",
    );
    assert!(
        divisi(&machine, &["trust", "-q"])
            .status()
            .unwrap()
            .success()
    );
    flow(
        &machine,
        "missing",
        "const options = [{executor: 'nobody'}, {executor: 'gone'}, {agentType: 'nobody'},\n\
           {inputs: ['no/such/file']}]\n\
         for (const [i, option] of options.entries()) await agent('task ' + (i + 1), option)\n\
         await agent('hello')",
    );
    assert_snapshot!(told(&machine, &["run", "missing.js"]), @"
    exit 3
    [m:ss] missing [run-id] started
    [m:ss] ✗ task 1 · not available: there is no executor `nobody`
    [m:ss] ✗ task 2 · not available: program `no-such-program` was not found
    [m:ss] ✗ task 3 · not available: there is no agent `nobody`
    [m:ss] ✗ task 4 · not available: cannot read `no/such/file`, which the task names as an input: No such file or directory (os error 2)
    [m:ss] ✓ hello · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    error: task `task 1` could not start
      caused by: not available: there is no executor `nobody`
      hint: there are acp:claude, acp:codex, acp:gemini, acp:goose, acp:opencode, api, claude, codex, gone, person, shell; add others as [executors.NAME] in divisi.toml
    error: task `task 2` failed
      caused by: not available: program `no-such-program` was not found
      hint: install it, or name another in `command` of its executor, in divisi.toml
    error: task `task 3` could not start
      caused by: not available: there is no agent `nobody`
      hint: known agents: Explore, Plan, general-purpose
    error: task `task 4` could not start
      caused by: not available: cannot read `no/such/file`, which the task names as an input: No such file or directory (os error 2)
    warning: there is no result: the flow returned nothing

    missing [run-id] partial: some tasks did not succeed
    1 ok · 4 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    ");
    assert_eq!(runs(&machine), ["missing partial, 1 ok, 4 failed"]);
}

#[test]
fn a_shell_command_that_is_not_allowed() {
    let machine = machine();
    flow(
        &machine,
        "build",
        "await shell('touch built')\nreturn 'built'",
    );
    assert_snapshot!(told(&machine, &["run", "build.js"]), @r#"
    exit 1
    [m:ss] build [run-id] started
    [m:ss] ✗ touch built · not available: the flow wants to run a shell command, which is not allowed
    script::runtime

      × script `[home]/build.js` failed at line 2: Error: `touch built` failed: the flow wants to run a shell command, which is not allowed
       ╭─[[home]/build.js:2:1]
     1 │ export const meta = {name: 'build', description: 'a test'}
     2 │ await shell('touch built')
       · ─────────────┬────────────
       ·              ╰── Error: `touch built` failed: the flow wants to run a shell command, which is not allowed
     3 │ return 'built'
       ╰────

    error: task `touch built` could not start
      caused by: not available: the flow wants to run a shell command, which is not allowed
      hint: allow it with `--allow run`, or `allow = ["run"]` in divisi.toml

    build [run-id] failed: the flow did not come to its end
    0 ok · 1 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    "#);
    assert!(!machine.home().join("built").exists());
    assert_eq!(runs(&machine), ["build failed, 1 failed"]);
    // What it advises helps.
    assert_snapshot!(told(&machine, &["rerun", "last", "--failed", "--allow", "run"]), @"
    exit 0
    [m:ss] build [run-id] resumed
    [m:ss] 0 reused, at least 1 to run
    [m:ss] ✓ touch built · [time]

    build [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    built
    ");
    assert!(machine.home().join("built").exists());
}

#[test]
fn arguments_that_are_broken_json_are_refused() {
    let machine = machine();
    flow(&machine, "args", "return typeof args + ' ' + args");
    assert_snapshot!(told(&machine, &["run", "args.js", "--args", "{\"a\": "]), @r#"
    exit 2
    error: `--args` begins like JSON and cannot be read as JSON: EOF while parsing a value at line 1 column 6
      hint: put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'
      hint: a text that begins with `{` is given as a JSON string: '"a text"'
    "#);
}

#[test]
fn a_prompt_of_two_megabytes() {
    let machine = machine();
    flow(
        &machine,
        "big",
        "const said = await agent('x '.repeat(1e6))\nreturn said.length > 0",
    );
    assert_snapshot!(told(&machine, &["run", "big.js"]), @"
    exit 0
    [m:ss] big [run-id] started
    [m:ss] ✓ x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x… · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    big [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    true
    ");
    let request = &machine.mock.requests()[0].body;
    assert_eq!(
        request
            .pointer("/messages/0/content/0/text")
            .and_then(Value::as_str)
            .map(str::len),
        Some(2_000_000)
    );
    assert_eq!(runs(&machine), ["big ok, 1 ok"]);
}
