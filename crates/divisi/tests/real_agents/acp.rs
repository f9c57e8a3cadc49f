//! Agents that speak the Agent Client Protocol: the adapters of Claude Code and Codex, and opencode.

use crate::{Ended, Scene, calls, failed, is_done};
use divisi_mock::{Config, ErrorKind, MockThread, Reply, Rule, When};
use serde_json::{Value, json};
use std::path::Path;

/// The result and the messages of a task that calls a tool of this name by the adapter of Claude.
fn by_claude_adapter(tool: &str, input: Value, flags: &[&str]) -> (Scene, Ended) {
    let scene = Scene::new(calls(tool, input));
    let ended = scene.run("acp:claude", "TASK", "model: 'haiku'", flags);
    is_done(&ended);
    (scene, ended)
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn an_adapter_writes_and_runs_only_with_permission_and_only_in_its_folder() {
    let write = |path: &str| json!({"file_path": path, "content": "made"});
    let made = |scene: &Scene| scene.folder().join("made.txt").exists();
    let (scene, _) = by_claude_adapter("Write", write("made.txt"), &["--allow", "write"]);
    assert!(made(&scene));
    let (scene, ended) = by_claude_adapter("Bash", json!({"command": "touch made.txt"}), &[]);
    assert!(!made(&scene), "without the permission it has no such tool");
    assert!(ended.cost > 0.0);
    let run = json!({"command": "touch made.txt", "description": "makes a file"});
    let (scene, _) = by_claude_adapter("Bash", run, &["--allow", "run"]);
    assert!(made(&scene));

    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("made.txt");
    let path = path.to_str().unwrap();
    let (_, ended) = by_claude_adapter("Write", write(path), &["--allow", "write"]);
    assert!(!Path::new(path).exists());
    assert!(
        ended.said.contains("outside the workspace"),
        "{}",
        ended.said
    );
    let (scene, ended) = by_claude_adapter("Write", write("divisi.toml"), &["--allow", "write"]);
    assert!(!scene.folder().join("divisi.toml").exists());
    assert!(ended.said.contains("is protected"), "{}", ended.said);
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn an_adapter_answers_by_a_schema_and_its_model_is_on_the_bill() {
    let scene = Scene::new([Rule::new(
        When::prompt("TASK"),
        Reply::text("```json\n{\"n\": 7}\n```"),
    )]);
    let schema =
        "schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";
    let options = format!("model: 'opus', effort: 'low', {schema}");
    let ended = scene.run("acp:claude", "TASK", &options, &[]);
    assert_eq!(ended.result["value"], json!({"n": 7}), "{}", ended.said);
    let bill = scene.divisi(&["cost", "last"]).output().unwrap().stdout;
    let bill = String::from_utf8_lossy(&bill).into_owned();
    assert!(bill.contains("claude-opus-5-5"), "{bill}");
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn an_adapter_stops_at_turns_and_at_money_and_fails_with_the_vendors_reason() {
    let loops = || {
        let reply = Reply::tool_call("Read", json!({"file_path": "flow.js"}));
        Scene::new([Rule::new(When::prompt("TASK"), reply)])
    };
    let by = |scene: &Scene, options: &str, flags: &[&str]| {
        scene.run("acp:claude", "TASK", options, flags)
    };
    failed(
        &by(&loops(), "model: 'haiku', maxTurns: 3", &[]),
        "in 3 turns",
    );
    failed(
        &by(
            &loops(),
            "model: 'opus', maxCost: 0.0001",
            &["--max-cost", "1"],
        ),
        "cost",
    );
    let refused = |error: ErrorKind| {
        let scene = Scene::new([Rule::fault(When::prompt("TASK"), error)]);
        by(&scene, "model: 'haiku'", &["--overload-wait", "1s"])
    };
    failed(&refused(ErrorKind::Authentication), "not logged in");
    failed(&refused(ErrorKind::Overloaded), "Overloaded");
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn the_adapter_of_codex_works_in_its_sandbox_and_stops_when_it_is_refused() {
    let run = |command: Value, flags: &[&str]| {
        let scene = Scene::new(calls("exec_command", command));
        let home = scene.root.path().join(".codex");
        std::fs::create_dir(&home).unwrap();
        let provider = format!(
            "model_provider = 'p'\n[model_providers.p]\nname = 'p'\nbase_url = '{}/v1'\n\
             env_key = 'CODEX_API_KEY'\nwire_api = 'responses'\n",
            scene.mock.url()
        );
        std::fs::write(home.join("config.toml"), provider).unwrap();
        let ended = scene.run("acp:codex", "TASK", "model: 'haiku'", flags);
        (scene, ended)
    };
    let plain = json!({"cmd": "echo hi > made.txt"});
    let (scene, ended) = run(plain, &[]);
    is_done(&ended);
    assert!(!scene.folder().join("made.txt").exists(), "{}", ended.said);
    let beyond = json!({"cmd": "echo hi > made.txt", "justification": "it is needed",
        "sandbox_permissions": "require_escalated"});
    let (scene, ended) = run(beyond.clone(), &[]);
    failed(&ended, "was not allowed");
    assert!(ended.said.contains("--allow run"), "{}", ended.said);
    assert!(!scene.folder().join("made.txt").exists());
    let (scene, ended) = run(beyond, &["--allow", "run"]);
    is_done(&ended);
    assert!(scene.folder().join("made.txt").exists(), "{}", ended.said);
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn opencode_asks_before_it_writes() {
    let run = |flags: &[&str]| {
        let mut scene = Scene::new([]);
        let path = scene.folder().join("made.txt");
        let input = json!({"filePath": path, "content": "made"});
        // It also asks for a title, with the same prompt.
        let config = Config::default()
            .rule(Rule::new(
                When::prompt("TASK").tool_result(false),
                Reply::tool_call("write", input),
            ))
            .rule(Rule::new(When::any(), Reply::text("it is done")));
        scene.mock = MockThread::start(config);
        let config = scene.root.path().join(".config/opencode");
        std::fs::create_dir_all(&config).unwrap();
        let provider = json!({"autoupdate": false, "share": "disabled",
            "enabled_providers": ["anthropic"],
            "provider": {"anthropic": {"options": {"baseURL": format!("{}/v1", scene.mock.url())}}}});
        std::fs::write(config.join("opencode.json"), provider.to_string()).unwrap();
        let options = "model: 'anthropic/claude-haiku-4-5'";
        let ended = scene.run("acp:opencode", "TASK", options, flags);
        (path.exists(), ended)
    };
    let (is_made, ended) = run(&["--allow", "write"]);
    is_done(&ended);
    assert!(is_made, "{}", ended.said);
    let (is_made, ended) = run(&[]);
    assert!(!is_made);
    failed(&ended, "--allow write");
}
