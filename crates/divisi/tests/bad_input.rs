//! Bad input and bad luck, against the built binary: what a person is told,
//! what the process ends with, and what is left behind.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "not every file of tests uses all of it")]
mod support;

use divisi_mock::{Breakage, Config, ErrorKind, Fault, Quota, QuotaAnswer, Reply, Rule, ToolCall, When};
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use support::{Machine, SECRET};

// Before there is a run: nothing is written, and the exit code is 2, or 1
// where something outside the command line is missing.

#[test]
fn a_file_that_is_not_there() {
    let machine = machine();
    assert_snapshot!(told(&machine, &["run", "nothing.js"]), @"
    exit 2
    error: there is no file nothing.js
    ");
    assert_snapshot!(told(&machine, &["run", "nothing"]), @"
    exit 2
    error: there is no flow `nothing` in flows, .divisi/flows, .claude/workflows here, further up, or in your home folder
    ");
    assert_untouched(&machine, &[]);
}

#[test]
fn a_syntax_error() {
    let machine = machine();
    file(&machine, "wrong.js", "const a = 1\nconst b = = 2\nreturn a");
    assert_snapshot!(told(&machine, &["run", "wrong.js"]), @"
    exit 2
    script::syntax

      × script `[home]/wrong.js` cannot be read at line 2: unexpected token in expression: '='
       ╭─[[home]/wrong.js:2:1]
     1 │ const a = 1
     2 │ const b = = 2
       · ──────┬──────
       ·       ╰── unexpected token in expression: '='
     3 │ return a
       ╰────
    ");
    assert_untouched(&machine, &["wrong.js"]);
}

#[test]
fn an_import() {
    let machine = machine();
    file(&machine, "wrong.js", "const a = 1\nimport fs from 'fs'\nreturn a");
    assert_snapshot!(told(&machine, &["run", "wrong.js"]), @"
    exit 2
    script::import

      × script `[home]/wrong.js` cannot be read at line 2: `import` loads a module
       ╭─[[home]/wrong.js:2:1]
     1 │ const a = 1
     2 │ import fs from 'fs'
       · ─────────┬─────────
       ·          ╰── `import` loads a module
     3 │ return a
       ╰────
      help: a script is one file; let an agent do what the module would have done
    ");
    assert_untouched(&machine, &["wrong.js"]);
}

#[test]
fn a_script_that_is_too_long() {
    let machine = machine();
    file(&machine, "long.js", format!("// {}\nreturn 1", "x".repeat(3_000_000)));
    assert_snapshot!(told(&machine, &["run", "long.js"]), @"
    exit 2
    script::length

      × script `[home]/long.js` is too long: 3000012 bytes, 1048576 are allowed
      help: split it; `workflow()` runs the parts
    ");
    assert_untouched(&machine, &["long.js"]);
}

#[test]
fn a_script_that_is_no_text() {
    let machine = machine();
    file(&machine, "image.js", b"\xff\xfe\x00");
    assert_snapshot!(told(&machine, &["run", "image.js"]), @"
    exit 2
    error: cannot read [home]/image.js: stream did not contain valid UTF-8
    ");
    assert_untouched(&machine, &["image.js"]);
}

#[test]
fn an_empty_prompt_on_the_command_line() {
    let machine = machine();
    assert_snapshot!(told(&machine, &["map", " ", "a", "b"]), @"
    exit 2
    error: the prompt is empty
    ");
    assert_snapshot!(told(&machine, &["map", "look at {}", ""]), @"
    exit 2
    error: there are no items
    ");
    assert_snapshot!(told(&machine, &["pipe", "build", ""]), @"
    exit 2
    error: step 2 is empty
    ");
    assert_snapshot!(told(&machine, &["decompose", ""]), @"
    exit 2
    error: the goal is empty
    ");
    assert_untouched(&machine, &[]);
}

#[test]
fn a_model_that_nobody_knows() {
    let machine = machine();
    flow(&machine, "ok", "return await agent('hello')");
    assert_snapshot!(told(&machine, &["run", "ok.js", "--model", "gpt-0"]), @"
    exit 2
    error: provider `anthropic` knows no model `gpt-0`
      hint: it has fable (claude-fable-5-2), haiku (claude-haiku-5-5), opus (claude-opus-5-5), sonnet (claude-sonnet-5-5), and ids like claude-*
    ");
    assert_untouched(&machine, &["ok.js"]);
}

#[test]
fn no_key() {
    let machine = machine();
    flow(&machine, "ok", "return (await agent('hello')).length > 0");
    let without_key = |args: &[&str]| tell(&machine, divisi(&machine, args).env_remove("ANTHROPIC_API_KEY"));
    assert_snapshot!(without_key(&["run", "ok.js"]), @"
    exit 1
    error: there is no model to ask
      caused by: no key is set, and the settings say not to look for a model server on this machine
      hint: set one of ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENROUTER_API_KEY
      hint: or add `--demo` to see the same run without a model: its answers are scripted
    ");
    assert_snapshot!(without_key(&["run", "ok.js", "--provider", "openai"]), @"
    exit 1
    error: provider `openai` has no key
      hint: set OPENAI_API_KEY, or add `--demo` to see the same run without a model
    ");
    assert_untouched(&machine, &["ok.js"]);
    assert_snapshot!(without_key(&["run", "ok.js", "--demo"]), @"
    exit 0
    [m:ss] DEMO · answers are scripted, no model is asked
    [m:ss] ok [run-id] started
    [m:ss] ✓ hello · demo-sonnet · [time] · [tokens] · [cost]

    DEMO · answers are scripted, no model is asked
    ok [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    true
    ");
}

#[test]
fn an_address_that_is_none() {
    let machine = machine();
    let command = &mut divisi(&machine, &["map", "look at {}", "a"]);
    assert_snapshot!(tell(&machine, command.env("ANTHROPIC_BASE_URL", "here")), @"
    exit 2
    error: provider `anthropic` cannot be set up: its address is wrong: relative URL without a base
    ");
    assert_untouched(&machine, &[]);
}

#[test]
fn settings_with_an_unknown_key() {
    let machine = machine();
    file(&machine, "divisi.toml", "model = 'haiku'\n\n[limits]\n  in_flight_maks = 3\n");
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 2
    error: [home]/divisi.toml, line 4, column 3: there is no setting `in_flight_maks`
      hint: did you mean `in_flight_max`?
    ");
    assert_snapshot!(told(&machine, &["runs"]), @"
    exit 2
    error: [home]/divisi.toml, line 4, column 3: there is no setting `in_flight_maks`
      hint: did you mean `in_flight_max`?
    ");
    file(&machine, "divisi.toml", "[providers.mine]\nkind = 'openai-chat'\nsecret = 'hush'\n");
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 2
    error: [home]/divisi.toml, line 3, column 1: there is no setting `secret`
      hint: there are kind, base_url, key_env, models, tiers
    ");
    std::fs::remove_file(machine.home().join("divisi.toml")).unwrap();
    let command = &mut divisi(&machine, &["map", "look at {}", "a"]);
    assert_snapshot!(tell(&machine, command.env("DIVISI_JOBS", "many")), @r#"
    exit 2
    error: the environment variable DIVISI_JOBS: invalid type: string "many", expected u32
    "#);
    assert_untouched(&machine, &[]);
}

#[test]
fn a_store_of_a_later_version() {
    let machine = machine();
    told(&machine, &["map", "look at {}", "a"]);
    let store = rusqlite::Connection::open(machine.store()).unwrap();
    store.execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
    drop(store);
    let (there, before) = (files(&machine), std::fs::read(machine.store()).unwrap());
    assert_snapshot!(told(&machine, &["map", "look at {}", "b"]), @"
    exit 1
    error: the store [home]/divisi.db has format 99; this divisi reads formats up to 1
      hint: update divisi, or name another store with `--store`
    ");
    assert_snapshot!(told(&machine, &["runs"]), @"
    exit 1
    error: the store [home]/divisi.db has format 99; this divisi reads formats up to 1
      hint: update divisi, or name another store with `--store`
    ");
    assert_eq!(files(&machine), there);
    assert_eq!(std::fs::read(machine.store()).unwrap(), before);
    assert_eq!(machine.requests(), 1);
}

#[test]
fn a_store_that_is_something_else() {
    let machine = machine();
    let text = "not a store, but long enough to be looked at\n".repeat(200);
    file(&machine, "notes.txt", &text);
    std::fs::create_dir(machine.home().join("folder")).unwrap();
    rusqlite::Connection::open(machine.home().join("other.db"))
        .unwrap()
        .execute_batch("CREATE TABLE mine (x)")
        .unwrap();
    let map = |store| told(&machine, &["map", "look at {}", "a", "--store", store]);
    assert_snapshot!(map("notes.txt"), @"
    exit 1
    error: notes.txt is not a divisi store
      hint: name another file with `--store`
    ");
    assert_snapshot!(map("other.db"), @"
    exit 1
    error: other.db is not a divisi store
      hint: name another file with `--store`
    ");
    assert_snapshot!(map("folder"), @"
    exit 1
    error: cannot open the store folder
      caused by: Is a directory (os error 21)
      hint: name another file with `--store`
    ");
    assert_snapshot!(map("notes.txt/runs.db"), @"
    exit 1
    error: cannot open the store notes.txt/runs.db
      caused by: File exists (os error 17)
      hint: name another file with `--store`
    ");
    assert_eq!(std::fs::read_to_string(machine.home().join("notes.txt")).unwrap(), text);
    assert_untouched(&machine, &["notes.txt", "other.db"]);
}

#[test]
fn a_run_that_is_not_there() {
    let machine = machine();
    assert_snapshot!(told(&machine, &["resume", "last"]), @"
    exit 2
    error: there are no runs yet
      hint: start one with `divisi run`
    ");
    assert_snapshot!(told(&machine, &["resume", "k3f9"]), @"
    exit 2
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    ");
    assert_snapshot!(told(&machine, &["rerun", "k3f9", "--failed"]), @"
    exit 2
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    ");
    assert_snapshot!(told(&machine, &["show", "k3f9"]), @"
    exit 2
    error: there is no run `k3f9`
      hint: `divisi runs` lists them
    ");
}

#[test]
fn an_abbreviated_id_that_fits_several() {
    let machine = machine();
    told(&machine, &["map", "look at {}", "a"]);
    let store = rusqlite::Connection::open(machine.store()).unwrap();
    let copy = "INSERT INTO runs SELECT ?1, position, name, status, ok, failed, skipped, open, tokens,
                cost_pico_usd, started_at, updated_at FROM runs LIMIT 1";
    for id in ["k3f90000", "k3f91111"] {
        store.execute(copy, [id]).unwrap();
    }
    drop(store);
    assert_snapshot!(told(&machine, &["resume", "k3f9"]), @"
    exit 2
    error: 2 runs begin with `k3f9`
      hint: say more of the id: k3f91111 (map), k3f90000 (map)
    ");
    assert_snapshot!(told(&machine, &["show", "k3f9"]), @"
    exit 2
    error: 2 runs begin with `k3f9`
      hint: say more of the id: k3f91111 (map), k3f90000 (map)
    ");
}

// In a run: the run is told as failed, and so is its exit code.

#[test]
fn an_endless_loop() {
    let machine = machine();
    flow(&machine, "endless", "const a = await agent('one')\nlet n = 0\nwhile (true) {\n  n += 1\n}");
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
      divisi resume [run-id]  once the flow is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["endless failed, 1 ok"]);
}

#[test]
fn a_memory_hog() {
    let machine = machine();
    // Memory that is asked for and never used costs the test no time.
    flow(&machine, "hog", "const all = []\nfor (;;) all.push(new ArrayBuffer(2 ** 27))");
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
      divisi resume [run-id]  once the flow is mended; what is finished is kept
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
      divisi resume [run-id]  once the flow is mended; what is finished is kept
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
      divisi resume [run-id]  once the flow is mended; what is finished is kept
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
      divisi resume [run-id]  once the flow is mended; what is finished is kept
    ");
    assert_eq!(runs(&machine), ["many failed"]);
    assert_eq!(machine.requests(), 0);
}

#[test]
fn tasks_that_ask_for_what_is_not_there() {
    let machine = machine();
    file(&machine, "divisi.toml", "[executors.gone]\ncommand = ['no-such-program']\n");
    flow(
        &machine,
        "missing",
        "const options = [{model: 'gpt-0'}, {executor: 'nobody'}, {executor: 'gone'}, {agentType: 'nobody'},\n\
           {inputs: ['no/such/file']}]\n\
         for (const [i, option] of options.entries()) await agent('task ' + i, option)\n\
         await agent('hello')",
    );
    assert_snapshot!(told(&machine, &["run", "missing.js"]), @"
    exit 3
    [m:ss] missing [run-id] started
    [m:ss] ✗ task 0 · not available: provider `anthropic` knows no model `gpt-0`
    [m:ss] ✗ task 1 · not available: there is no executor `nobody`
    [m:ss] ✗ task 2 · not available: program `no-such-program` was not found
    [m:ss] ✗ task 3 · not available: there is no agent `nobody`
    [m:ss] ✗ task 4 · not available: cannot read `no/such/file`, which the task names as an input: No such file or directory (os error 2)
    [m:ss] ✓ hello · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    error: task `task 0` could not start
      caused by: not available: provider `anthropic` knows no model `gpt-0`
      hint: it has fable (claude-fable-5-2), haiku (claude-haiku-5-5), opus (claude-opus-5-5), sonnet (claude-sonnet-5-5), and ids like claude-*
    error: task `task 1` could not start
      caused by: not available: there is no executor `nobody`
      hint: there are api, shell, gone; add others as [executors.NAME] in divisi.toml
    error: task `task 2` failed
      caused by: not available: program `no-such-program` was not found
      hint: install it, or name another in `command` of its executor, in divisi.toml
    error: task `task 3` could not start
      caused by: not available: there is no agent `nobody`
      hint: known agents: Explore, Plan, general-purpose
    error: task `task 4` could not start
      caused by: not available: cannot read `no/such/file`, which the task names as an input: No such file or directory (os error 2)

    missing [run-id] partial: some tasks did not succeed
    1 ok · 5 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    ");
    assert_eq!(runs(&machine), ["missing partial, 1 ok, 5 failed"]);
}

#[test]
fn a_shell_command_that_is_not_allowed() {
    let machine = machine();
    flow(&machine, "build", "await shell('touch built')\nreturn 'built'");
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
    [m:ss] 0 reused, 1 to run
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
fn arguments_that_are_no_json_are_text() {
    let machine = machine();
    flow(&machine, "args", "return typeof args + ' ' + args");
    assert_snapshot!(told(&machine, &["run", "args.js", "--args", "{\"a\": "]), @r#"
    exit 0
    [m:ss] args [run-id] started

    args [run-id] ok
    0 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    string {"a":
    "#);
}

#[test]
fn a_prompt_of_two_megabytes() {
    let machine = machine();
    flow(&machine, "big", "const said = await agent('x '.repeat(1e6))\nreturn said.length > 0");
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
        request.pointer("/messages/0/content/0/text").and_then(Value::as_str).map(str::len),
        Some(2_000_000)
    );
    assert_eq!(runs(&machine), ["big ok, 1 ok"]);
}

// Vendors that refuse.

#[test]
fn a_key_that_is_refused() {
    let machine = Machine::new(Config { keys: vec!["another".to_owned()], ..Config::default() });
    assert_snapshot!(told(&machine, &["map", "look at {}", "a", "b", "--jobs", "1"]), @"
    exit 1
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✗ a · not authorised: provider `anthropic` answered 401: invalid API key
    [m:ss] ✗ b · not authorised: provider `anthropic` answered 401: invalid API key

    error: 2 tasks failed alike: `a`, `b`
      caused by: not authorised: provider `anthropic` answered 401: invalid API key
      hint: check ANTHROPIC_API_KEY: the key in it was refused

    map [run-id] failed: no task succeeded
    0 ok · 2 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    stdout:
    ## a

    (no result: provider `anthropic` answered 401: invalid API key)

    ## b

    (no result: provider `anthropic` answered 401: invalid API key)
    ");
    assert_eq!(runs(&machine), ["map failed, 2 failed"]);
    assert_eq!(machine.requests(), 2);
}

#[test]
fn money_that_runs_out_parks_the_run() {
    assert_snapshot!(parked_by(QuotaAnswer::Billing), @"
    exit 4
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✓ a · claude-sonnet-5-5 · [time] · [tokens] · [cost]
    [m:ss] parking: the account's quota is used up: provider `anthropic` answered 402: The credit balance is too low to answer this request.

    map [run-id] parked: the account's quota is used up: provider `anthropic` answered 402: The credit balance is too low to answer this request.
    1 ok · 2 waiting · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  go on once there is quota again
    ");
}

#[test]
fn a_spend_limit_parks_the_run() {
    assert_snapshot!(parked_by(QuotaAnswer::SpendLimit), @"
    exit 4
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✓ a · claude-sonnet-5-5 · [time] · [tokens] · [cost]
    [m:ss] parking: the account's quota is used up: provider `anthropic` answered 429: The spend limit of the organization has been reached.

    map [run-id] parked: the account's quota is used up: provider `anthropic` answered 429: The spend limit of the organization has been reached.
    1 ok · 2 waiting · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  go on once there is quota again
    ");
}

/// What is told when money runs out after the first of three tasks. The run
/// goes on once there is some again.
fn parked_by(answer: QuotaAnswer) -> String {
    let quota = Quota { after: 1, answer, closed_ms: None };
    let machine = Machine::new(Config { quota: Some(quota), ..Config::default() });
    let parked = told(&machine, &["map", "look at {}", "a", "b", "c", "--jobs", "1"]);
    assert_eq!(runs(&machine), ["map parked, 1 ok"]);
    machine.mock.set_quota(true);
    let resumed = told(&machine, &["resume", "last"]);
    assert!(resumed.starts_with("exit 0\n"), "{resumed}");
    assert_eq!(runs(&machine), ["map ok, 3 ok"]);
    // What had its answer is not asked again; what was refused is.
    assert_eq!(machine.requests(), 4);
    parked
}

#[test]
fn a_rate_limit_is_waited_for() {
    let limited = Rule::fault(When::any(), ErrorKind::RateLimit).times(1);
    let machine = Machine::new(Config { retry_after_ms: 1_100, ..Config::default().rule(limited) });
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 0
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ○ a waits: rate limited, next try in 2 s
    [m:ss] ✓ a · claude-sonnet-5-5 · [time] · [tokens] · [cost] · 2 attempts

    map [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    ## a

    echo 285c6d78e527b366: sonata viola lyre presto alto flute cello presto opus flute piano oboe
    ");
    let rest = machine.count(
        "SELECT json_extract(event, '$.due') - at FROM events
         WHERE json_extract(event, '$.event') = 'retry_planned'",
    );
    // Our own first rest is 500 ms at most.
    assert!((1_100..=2_000).contains(&rest), "rested {rest} ms");
}

#[test]
fn what_may_succeed_is_tried_again() {
    let faults: [(&str, Fault); 6] = [
        ("overloaded", ErrorKind::Overloaded.into()),
        ("internal", ErrorKind::Internal.into()),
        ("dropped", Breakage::DropStream.into()),
        ("cut", Breakage::EndEarly.into()),
        ("error-event", Breakage::ErrorMidStream.into()),
        ("malformed", Breakage::MalformedChunk.into()),
    ];
    let rule = |(name, fault): &(&str, Fault)| Rule::fault(When::prompt(*name), *fault).times(1);
    let config = Config { rules: faults.iter().map(rule).collect(), ..Config::default() };
    let machine = Machine::new(config);
    let mut args = vec!["map", "try {}"];
    args.extend(faults.iter().map(|(name, _)| *name));
    let told = told(&machine, &args);
    let mut waits: Vec<&str> = told.lines().filter(|line| line.contains(" waits: ")).collect();
    waits.sort_unstable();
    assert_snapshot!(waits.join("\n"), @"
    [m:ss] ○ cut waits: connection lost, next try in 1 s
    [m:ss] ○ dropped waits: connection lost, next try in 1 s
    [m:ss] ○ error-event waits: overloaded, next try in 1 s
    [m:ss] ○ internal waits: server error, next try in 1 s
    [m:ss] ○ malformed waits: server error, next try in 1 s
    [m:ss] ○ overloaded waits: overloaded, next try in 1 s
    ");
    assert!(told.starts_with("exit 0\n"), "{told}");
    assert_eq!(runs(&machine), ["map ok, 6 ok"]);
    assert_eq!(machine.requests(), 12);
}

#[test]
fn an_answer_by_another_model_is_shown() {
    let machine = Machine::new(Config::default().rule(Rule::fault(When::any(), Breakage::WrongModel)));
    let told_of = told(&machine, &["map", "look at {}", "a"]);
    assert!(told_of.contains("✓ a · not-claude-sonnet-5-5"), "{told_of}");
    let shown = told(&machine, &["show", "last", "t0"]);
    assert!(shown.contains("not-claude-sonnet-5-5 (asked for claude-sonnet-5-5)"), "{shown}");
}

// Models that go astray.

#[test]
fn a_tool_loop_that_never_ends() {
    let again = Rule::new(When::any(), Reply::tool_call("list_files", json!({})));
    let machine = Machine::new(Config::default().rule(again));
    flow(&machine, "turns", "return await agent('look around', {maxTurns: 3})");
    assert_snapshot!(told(&machine, &["run", "turns.js"]), @"
    exit 1
    [m:ss] turns [run-id] started
    [m:ss] ✗ look around · out of turns: did not finish in 3 turns

    error: task `look around` failed
      caused by: out of turns: did not finish in 3 turns
      hint: raise `maxTurns` of the task or `max_turns` of the settings, or ask for less

    turns [run-id] failed: no task succeeded
    0 ok · 1 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    ");
    assert_eq!(machine.requests(), 3);
    // Without a limit of its own it has the usual one.
    told(&machine, &["map", "look at {}", "a"]);
    assert_eq!(machine.requests(), 3 + 50);
    assert_eq!(runs(&machine), ["map failed, 1 failed", "turns failed, 1 failed"]);
}

#[test]
fn a_tool_that_reaches_out_of_the_workspace() {
    let call = |name: &str, input| ToolCall { name: name.into(), input };
    let calls = vec![
        call("read_file", json!({"path": "../../../../../../etc/passwd"})),
        call("read_file", json!({"path": "/etc/passwd"})),
        call("read_file", json!({"path": "link/passwd"})),
        call("list_files", json!({"path": ".."})),
        call("search_files", json!({"pattern": "root", "path": "/etc"})),
        call("write_file", json!({"path": "../escaped.txt", "content": "x"})),
        call("run_command", json!({"command": "cat /etc/passwd"})),
        call("format_disk", json!({})),
    ];
    let reaches = Rule::new(When::any().tool_result(false), Reply::ToolCalls(calls));
    let gives_up = Rule::new(When::any().tool_result(true), Reply::text("{tool_result}"));
    let machine = Machine::new(Config::default().rule(reaches).rule(gives_up));
    std::os::unix::fs::symlink("/etc", machine.home().join("link")).unwrap();
    flow(&machine, "reach", "return await agent('look around')");
    assert_snapshot!(told(&machine, &["run", "reach.js", "--allow", "write"]), @"
    exit 0
    [m:ss] reach [run-id] started
    [m:ss] ✓ look around · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    reach [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    `../../../../../../etc/passwd` is outside the workspace; paths are relative to its root
    `/etc/passwd` is outside the workspace; paths are relative to its root
    `link/passwd` is outside the workspace; paths are relative to its root
    `..` is outside the workspace; paths are relative to its root
    `/etc` is outside the workspace; paths are relative to its root
    `../escaped.txt` is outside the workspace; paths are relative to its root
    tool `run_command` is not allowed here; use one of: list_files, search_files, read_file, write_file, edit_file
    tool `format_disk` does not exist; use one of: list_files, search_files, read_file, write_file, edit_file
    ");
    let results = machine.mock.requests()[1].body["messages"][2]["content"].clone();
    let results = results.as_array().unwrap();
    assert_eq!(results.len(), 8);
    assert!(results.iter().all(|result| result["is_error"] == true), "{results:?}");
    assert_eq!(runs(&machine), ["reach ok, 1 ok"]);
    assert!(!machine.home().parent().unwrap().join("escaped.txt").exists());
}

// Machines that fail.

#[test]
fn a_reader_that_has_gone() {
    let machine = machine();
    flow(&machine, "ok", "return (await agent('hello')).length > 0");
    let gone = |args: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        tell(&machine, divisi(&machine, args).stdout(writer))
    };
    assert_snapshot!(gone(&["run", "ok.js"]), @"
    exit 0
    [m:ss] ok [run-id] started
    [m:ss] ✓ hello · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    ok [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    ");
    assert_snapshot!(gone(&["run", "ok.js", "--json"]), @"exit 0");
    assert_eq!(runs(&machine), ["ok ok, 1 ok", "ok ok, 1 ok"]);
    for quiet in [
        &["runs"][..],
        &["runs", "--json"],
        &["show", "last"],
        &["show", "last", "--json"],
        &["show", "last", "t0"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["types"],
        &["completions", "bash"],
        &["man"],
    ] {
        assert_eq!(gone(quiet), "exit 0\n", "{quiet:?}");
    }

    // A reader that has had enough in the middle of it.
    let run = ["run", "ok.js", "--json"];
    let mut run = divisi(&machine, &run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("run_started"), "{line}");
    assert_eq!(tell_of(&machine, &run.wait_with_output().unwrap()), "exit 0\n");

    // Nobody to talk to either.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_snapshot!(tell(&machine, divisi(&machine, &["run", "ok.js"]).stderr(writer)), @"
    exit 0
    stdout:
    true
    ");
    assert_eq!(runs(&machine), ["ok ok, 1 ok"; 4]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let machine = machine();
    let Some(disk) = Disk::mount(machine.home().join("disk"), "20k") else { return };
    let on_disk = |args: &[&str]| {
        tell(&machine, divisi(&machine, args).env("DIVISI_STORE", disk.path.join("divisi.db")))
    };
    let steps = 300;
    flow(
        &machine,
        "fill",
        format!(
            "for (let i = 0; i < {steps}; i++) await agent('step ' + i + ' x'.repeat(4000), {{label: 'step ' + i}})"
        ),
    );

    // Not even room for a store.
    assert_snapshot!(on_disk(&["run", "fill.js"]), @"
    exit 1
    error: no room left to write the store [home]/disk/divisi.db
      hint: make room, then resume the run; what had been written is kept
    ");
    assert_eq!(machine.requests(), 0);

    // Room for a part of the run.
    disk.grow("800k");
    let told = on_disk(&["run", "fill.js"]);
    assert!(told.starts_with("exit 1\n"), "{told}");
    assert_snapshot!(told[told.find("error: ").unwrap()..], @"
    error: no room left to write the store [home]/disk/divisi.db
      hint: make room, then resume the run; what had been written is kept
    ");
    let store = rusqlite::Connection::open(disk.path.join("divisi.db")).unwrap();
    let number = |sql| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
    let kept = number("SELECT ok FROM runs");
    assert!((1..steps).contains(&kept), "{kept} steps were kept");
    // The disk was full before a request was written down, or before its reply was.
    let lost = machine.requests() - kept;
    assert!(lost <= 1, "{lost} replies were lost");
    assert!(on_disk(&["runs"]).contains("fill"));
    assert!(on_disk(&["show", "last"]).contains(&format!("{kept} ok")));

    // With room again it goes on where it was.
    disk.grow("40m");
    let resumed = on_disk(&["resume", "last"]);
    assert!(resumed.starts_with("exit 0\n"), "{resumed}");
    assert_eq!(number("SELECT ok FROM runs"), steps);
    assert_eq!(machine.requests(), steps + lost);
}

#[test]
fn a_secret_is_shown_nowhere() {
    let machine = machine();
    flow(&machine, "leak", "const {stdout} = await shell('env')\nreturn stdout.includes('PATH=')");
    // Every text of a command is searched by `tell`.
    assert_snapshot!(told(&machine, &["run", "leak.js", "--allow", "run"]), @"
    exit 0
    [m:ss] leak [run-id] started
    [m:ss] ✓ env · [time]

    leak [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    true
    ");
    for args in [&["-vv", "map", "look at {}", "a"][..], &["map", "look at {}", "a", "--json"], &["doctor"]] {
        let told = tell(&machine, divisi(&machine, args).env("DIVISI_LOG", "trace"));
        assert!(told.starts_with("exit 0\n"), "{told}");
    }
    let unreachable = "http://me:hush@127.0.0.1:1/?token=hush";
    let command = &mut divisi(&machine, &["map", "look at {}", "a", "--retries", "0"]);
    assert_snapshot!(tell(&machine, command.env("ANTHROPIC_BASE_URL", unreachable)), @"
    exit 1
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✗ a · connection lost: provider `anthropic` cannot be reached: Connection refused (os error 111)

    error: task `a` failed
      caused by: connection lost: provider `anthropic` cannot be reached: Connection refused (os error 111)
      hint: is a server running at http://127.0.0.1:1, and is this machine online?

    map [run-id] failed: no task succeeded
    0 ok · 1 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    stdout:
    ## a

    (no result: provider `anthropic` cannot be reached: Connection refused (os error 111))
    ");
    told(&machine, &["show", "last", "t0"]);
    for path in files(&machine) {
        let bytes = std::fs::read(machine.home().join(&path)).unwrap();
        assert!(!shows_secret(&bytes), "a secret is in {path}");
    }
}

// How the above is done.

/// A machine with a mock that answers everything.
fn machine() -> Machine {
    Machine::new(Config::default())
}

/// A file in the folder where commands are typed.
fn file(machine: &Machine, name: &str, text: impl AsRef<[u8]>) {
    std::fs::write(machine.home().join(name), text).unwrap();
}

/// A flow with its `meta` on its first line.
fn flow(machine: &Machine, name: &str, body: impl AsRef<str>) {
    let meta = format!("export const meta = {{name: '{name}', description: 'a test'}}");
    file(machine, &format!("{name}.js"), format!("{meta}\n{}", body.as_ref()));
}

/// A command typed at home, where no settings are but those of the test.
fn divisi(machine: &Machine, args: &[&str]) -> Command {
    let mut command = machine.divisi(args);
    command.current_dir(machine.home());
    command
}

/// What a command says, and what it ends with.
fn told(machine: &Machine, args: &[&str]) -> String {
    tell(machine, &mut divisi(machine, args))
}

/// The same for a command that was changed.
fn tell(machine: &Machine, command: &mut Command) -> String {
    tell_of(machine, &command.output().unwrap())
}

/// The exit code, stderr and stdout, without what differs from run to run.
///
/// Whatever is said is searched for secrets and signs of a panic.
fn tell_of(machine: &Machine, output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| {
        assert!(!shows_secret(bytes), "{}", String::from_utf8_lossy(bytes));
        String::from_utf8(bytes.clone()).unwrap()
    });
    assert!(!err.contains("panicked"), "{err}");
    let mut told = format!("exit {}\n", output.status.code().expect("no signal ended it"));
    told += &steady(machine, &err);
    if !out.is_empty() {
        told += "stdout:\n";
        told += &steady(machine, &out);
    }
    told
}

fn shows_secret(bytes: &[u8]) -> bool {
    [SECRET, "hush"].iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
}

/// The text with the same word for every run, place, time and amount.
fn steady(machine: &Machine, text: &str) -> String {
    let home = machine.home().canonicalize().unwrap();
    let mut text = text.replace(&*home.to_string_lossy(), "[home]");
    // Where a long message is broken depends on the length of the place.
    text = text.replace("\n  │ ", " ");
    for store in [machine.store(), machine.home().join("disk/divisi.db")] {
        for id in ids(&store) {
            text = text.replace(&id, "[run-id]");
        }
    }
    let mut steady = String::new();
    for line in text.lines() {
        let line = match line.split_once("] ") {
            Some((clock, rest)) if clock.starts_with('[') && clock.contains(':') => format!("[m:ss] {rest}"),
            _ => line.to_owned(),
        };
        let parts: Vec<&str> = line.split(" · ").map(amount).collect();
        writeln!(steady, "{}", parts.join(" · ")).unwrap();
    }
    steady
}

/// The word for an amount of time, money or tokens; any other text as it is.
fn amount(part: &str) -> &str {
    let counts = |unit| part.strip_suffix(unit).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
    let is_clock = part.split_once(':').is_some_and(|(m, s)| [m, s].iter().all(|n| n.parse::<u32>().is_ok()));
    match part {
        _ if counts(" tokens") => "[tokens]",
        _ if counts(" ms") || counts(" s") || is_clock => "[time]",
        _ if part.starts_with('$') => "[cost]",
        other => other,
    }
}

fn ids(store: &Path) -> Vec<String> {
    if !store.is_file() {
        return vec![];
    }
    let read = || -> rusqlite::Result<Vec<String>> {
        let store = rusqlite::Connection::open(store)?;
        // Names that a test has given itself are steady.
        store
            .prepare("SELECT id FROM runs WHERE id NOT LIKE 'k3f9%'")?
            .query_map([], |row| row.get(0))?
            .collect()
    };
    // What is no store has no runs.
    read().unwrap_or_default()
}

/// The runs as the store has them, latest first: name, status and counts.
fn runs(machine: &Machine) -> Vec<String> {
    let output = divisi(machine, &["runs", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", tell_of(machine, &output));
    let runs: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let told = |run: &Value| {
        let word = |name: &str| run[name].as_str().unwrap().to_owned();
        let mut told = format!("{} {}", word("name"), word("status"));
        for name in ["ok", "failed"] {
            let count = run[name].as_u64().unwrap();
            if count > 0 {
                write!(told, ", {count} {name}").unwrap();
            }
        }
        told
    };
    runs.iter().map(told).collect()
}

/// Nothing was written: neither a store nor anything else.
fn assert_untouched(machine: &Machine, expected: &[&str]) {
    assert_eq!(files(machine), expected);
    assert_eq!(machine.requests(), 0);
}

/// The files at home, by their paths.
fn files(machine: &Machine) -> Vec<String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => collect(&path, files),
                false => files.push(path),
            }
        }
    }
    let mut files = vec![];
    collect(machine.home(), &mut files);
    let relative = |path: &PathBuf| path.strip_prefix(machine.home()).unwrap().display().to_string();
    let mut files: Vec<String> = files.iter().map(relative).collect();
    files.sort();
    files
}

/// A small disk of its own.
#[cfg(target_os = "linux")]
struct Disk {
    path: PathBuf,
}

#[cfg(target_os = "linux")]
impl Disk {
    /// Mounts a disk of this size; `None`, said loudly, where that is not allowed.
    fn mount(path: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self { path }),
            refused => {
                // Past the capture of the test runner, which hides what a passing test prints.
                use std::io::Write;
                let mut stderr = std::io::stderr().lock();
                writeln!(stderr, "\nSKIPPED: a_full_disk cannot mount a small disk: {refused:?}\n").unwrap();
                None
            }
        }
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let mount = Command::new("mount").args(["-o", &options]).arg(&self.path).status();
        assert!(mount.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for Disk {
    fn drop(&mut self) {
        // A failing test may hold a file; then the disk goes with its last user.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
