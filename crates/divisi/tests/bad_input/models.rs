//! Models that go astray.

use crate::support::Machine;
use crate::tools::{flow, runs, told};
use divisi_mock::{Config, Reply, Rule, ToolCall, When};
use insta::assert_snapshot;
use serde_json::json;

#[test]
fn a_tool_loop_that_never_ends() {
    let again = Rule::new(When::any(), Reply::tool_call("list_files", json!({})));
    let machine = Machine::new(Config::default().rule(again));
    flow(
        &machine,
        "turns",
        "return await agent('look around', {maxTurns: 3})",
    );
    assert_snapshot!(told(&machine, &["run", "turns.js"]), @"
    exit 1
    [m:ss] turns [run-id] started
    [m:ss] ✗ look around · out of turns: did not finish in 3 turns

    error: task `look around` failed
      caused by: out of turns: did not finish in 3 turns
      hint: raise `maxTurns` of the task or `turns_max` of the settings, or ask for less
    warning: there is no result, because `look around` failed: out of turns: did not finish in 3 turns

    turns [run-id] failed: no task succeeded
    0 ok · 1 failed · [time] · [tokens] · [cost]
      divisi show [run-id]            what each task did
      divisi rerun [run-id] --failed  try the failed tasks again, keep the others
    ");
    assert_eq!(machine.requests(), 3);
    // Without its own limit it has the default one.
    told(&machine, &["map", "look at {}", "a"]);
    assert_eq!(machine.requests(), 3 + 50);
    assert_eq!(
        runs(&machine),
        ["map failed, 1 failed", "turns failed, 1 failed"]
    );
}

#[test]
fn a_tool_that_reaches_out_of_the_workspace() {
    let call = |name: &str, input| ToolCall {
        name: name.into(),
        input,
    };
    let calls = vec![
        call("read_file", json!({"path": "../../../../../../etc/passwd"})),
        call("read_file", json!({"path": "/etc/passwd"})),
        call("read_file", json!({"path": "link/passwd"})),
        call("list_files", json!({"path": ".."})),
        call("search_files", json!({"pattern": "root", "path": "/etc"})),
        call(
            "write_file",
            json!({"path": "../escaped.txt", "content": "x"}),
        ),
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
    [m:ss] warning: `look around` called `run_command`, which the run does not permit; `--allow run` does
    [m:ss] ✓ look around · claude-sonnet-5-5 · [time] · [tokens] · [cost]

    warning: agents were refused `run_command` (1 call): it takes `--allow run`

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
    assert!(
        results.iter().all(|result| result["is_error"] == true),
        "{results:?}"
    );
    assert_eq!(runs(&machine), ["reach ok, 1 ok"]);
    assert!(
        !machine
            .home()
            .parent()
            .unwrap()
            .join("escaped.txt")
            .exists()
    );
}
