//! Claude Code.

use crate::{Scene, calls, failed, is_done};
use divisi_mock::{Config, ErrorKind, MockThread, Reply, Rule, When};
use serde_json::json;
use std::path::Path;

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn writes_only_with_permission_and_only_in_its_folder() {
    let write = |path: &Path| json!({"file_path": path, "content": "made"});
    let made = |scene: &Scene| scene.folder().join("made.txt").exists();
    let inside = |allow: &[&str]| {
        let mut scene = Scene::new([]);
        let path = scene.folder().join("made.txt");
        scene.mock = MockThread::start(
            calls("Write", write(&path))
                .into_iter()
                .fold(Config::default(), Config::rule),
        );
        let ended = scene.run("claude", "TASK", "model: 'haiku'", allow);
        is_done(&ended);
        (made(&scene), ended.said)
    };
    assert!(inside(&["--allow", "write"]).0);
    let (is_made, said) = inside(&[]);
    assert!(!is_made);
    assert!(said.contains("--allow write"), "{said}");

    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("made.txt");
    let scene = Scene::new(calls("Write", write(&path)));
    is_done(&scene.run("claude", "TASK", "model: 'haiku'", &["--allow", "write"]));
    assert!(!path.exists());
    let scene = Scene::new(calls("Write", write(Path::new("divisi.toml"))));
    is_done(&scene.run("claude", "TASK", "model: 'haiku'", &["--allow", "write"]));
    assert!(
        !scene.folder().join("divisi.toml").exists(),
        "it decides over rights"
    );
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn runs_commands_with_permission() {
    let command = json!({"command": "echo hi > made.txt", "description": "makes a file"});
    for (flags, is_made) in [(&["--allow", "run"][..], true), (&[][..], false)] {
        let scene = Scene::new(calls("Bash", command.clone()));
        is_done(&scene.run("claude", "TASK", "model: 'haiku'", flags));
        assert_eq!(
            scene.folder().join("made.txt").exists(),
            is_made,
            "{flags:?}"
        );
    }
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn answers_by_a_schema_and_its_model_is_on_the_bill() {
    let scene = Scene::new([
        Rule::new(
            When::prompt("TASK"),
            Reply::tool_call("StructuredOutput", json!({"n": 7})),
        )
        .times(1),
        Rule::new(When::prompt("TASK"), Reply::text("it is done")),
    ]);
    let schema =
        "schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";
    let ended = scene.run(
        "claude",
        "TASK",
        &format!("model: 'opus', effort: 'low', {schema}"),
        &[],
    );
    assert_eq!(ended.result["value"], json!({"n": 7}), "{}", ended.said);
    let bill = scene.divisi(&["cost", "last"]).output().unwrap().stdout;
    let bill = String::from_utf8_lossy(&bill).into_owned();
    assert!(bill.contains("claude-opus-5-5"), "{bill}");
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn stops_at_turns_and_at_money() {
    let loops = || {
        let reply = Reply::tool_call("Read", json!({"file_path": "flow.js"}));
        Scene::new([Rule::new(When::prompt("TASK"), reply)])
    };
    failed(
        &loops().run("claude", "TASK", "model: 'haiku', maxTurns: 3", &[]),
        "in 3 turns",
    );
    failed(
        &loops().run(
            "claude",
            "TASK",
            "model: 'opus', maxCost: 0.0001",
            &["--max-cost", "1"],
        ),
        "had cost",
    );
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn fails_with_the_vendors_reason() {
    let refused = |error: ErrorKind| {
        let scene = Scene::new([Rule::fault(When::prompt("TASK"), error)]);
        scene.run(
            "claude",
            "TASK",
            "model: 'haiku'",
            &["--overload-wait", "1s"],
        )
    };
    failed(&refused(ErrorKind::Authentication), "not authorised");
    failed(&refused(ErrorKind::Overloaded), "overloaded");
    failed(&refused(ErrorKind::NotFound), "not available");
}
