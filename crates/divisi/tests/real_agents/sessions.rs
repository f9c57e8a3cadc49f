//! What the programs have written about themselves, taken in as runs.

use crate::{Scene, codex};
use divisi_mock::{Reply, Rule, When};
use serde_json::{Value, json};
use std::process::{Command, Stdio};

/// The last JSON object that a program prints.
fn printed(mut program: Command) -> Value {
    let output = program.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| line.starts_with('{'));
    serde_json::from_str(last.unwrap_or_else(|| panic!("{text}{said}"))).unwrap()
}

fn whole(mut program: Command) -> Value {
    let output = program.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A call that starts an agent.
fn starts(prompt: &str, model: &str) -> Reply {
    Reply::tool_call(
        "Agent",
        json!({"description": prompt, "prompt": prompt, "model": model,
            "subagent_type": "general-purpose", "run_in_background": false}),
    )
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn a_session_of_claude_code_costs_what_it_says_itself() {
    let scene = Scene::new([
        Rule::new(
            When::prompt("PARENT"),
            starts("FIRST grep for TODO", "opus"),
        )
        .times(1),
        Rule::new(
            When::prompt("PARENT"),
            starts("SECOND read the file", "haiku"),
        )
        .times(1),
        Rule::new(
            When::prompt("FIRST"),
            Reply::tool_call("Bash", json!({"command": "ls", "description": "lists"})),
        )
        .times(1),
    ]);
    let args = [
        "-p",
        "--output-format",
        "json",
        "--model",
        "sonnet",
        "PARENT",
    ];
    let said = printed(scene.program("claude", &args));
    let imported = whole(scene.divisi(&["import", "claude", "--json"]));
    assert_eq!(
        (&imported["sessions"], &imported["agents"]),
        (&json!(1), &json!(3)),
        "{imported}"
    );
    let (ours, theirs) = (
        imported["cost"].as_f64().unwrap(),
        said["total_cost_usd"].as_f64().unwrap(),
    );
    assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}");
    assert_eq!(
        imported["dearer"][0]["label"], "FIRST grep for TODO",
        "{imported}"
    );
    assert!(
        imported["waited"].as_u64().unwrap() > 0,
        "one ran after the other"
    );

    let run = imported["runs"][0].as_str().unwrap();
    let page = scene.divisi(&["show", run]).output().unwrap().stdout;
    let page = String::from_utf8(page).unwrap();
    assert!(
        page.contains("SECOND read the file") && page.contains("claude-haiku"),
        "{page}"
    );
    let resumed = scene.divisi(&["resume", run]).output().unwrap();
    assert!(!resumed.status.success(), "there is no flow to go on with");
    assert_eq!(
        whole(scene.divisi(&["import", "claude", "--json"]))["known"],
        1
    );
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn a_session_of_codex_has_the_tokens_that_it_says_itself() {
    let calls = Reply::tool_call("exec_command", json!({"cmd": "ls"}));
    let scene = codex::scene([Rule::new(When::prompt("TASK"), calls).times(1)]);
    let provider = codex::provider(&scene);
    let args = [
        "-c",
        "model_provider=mock",
        "-c",
        &provider,
        "exec",
        "--json",
        "--skip-git-repo-check",
        "-s",
        "read-only",
        "-m",
        "gpt-6-luna",
        "TASK find the TODO",
    ];
    let usage = printed(scene.program("codex", &args))["usage"].clone();
    let imported = whole(scene.divisi(&["import", "codex", "--json"]));
    let run = imported["runs"][0]
        .as_str()
        .unwrap_or_else(|| panic!("{imported}"));
    let bill = whole(scene.divisi(&["cost", run, "--json"]));
    let ours = &bill["total"]["usage"];
    let count = |usage: &Value, name: &str| usage[name].as_u64().unwrap_or(0);
    let prompt = ["input", "cache_write_5m", "cache_read"].map(|name| count(ours, name));
    assert_eq!(
        prompt.iter().sum::<u64>(),
        count(&usage, "input_tokens"),
        "{bill} {usage}"
    );
    assert_eq!(
        count(ours, "output"),
        count(&usage, "output_tokens"),
        "{bill} {usage}"
    );
    assert_eq!(bill["total"]["replies"], 2);
}
