//! Codex.

use crate::{Scene, calls, failed, is_done};
use divisi_mock::{ErrorKind, Reply, Rule, When};
use serde_json::json;

/// A scene in which Codex asks the mock: it takes no address from its environment.
pub(crate) fn scene(rules: impl IntoIterator<Item = Rule>) -> Scene {
    let scene = Scene::new(rules);
    let provider = provider(&scene);
    let settings = format!(
        "[executors.codex]\ncommand = [\"codex\", \"-c\", \"model_provider=mock\", \"-c\", \"{provider}\"]\n"
    );
    let folder = scene.root.path().join(".config/divisi");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), settings).unwrap();
    scene
}

/// The setting of Codex that makes the mock of a scene a provider.
pub(crate) fn provider(scene: &Scene) -> String {
    let address = scene.mock.url();
    format!(
        "model_providers.mock={{name='mock',base_url='{address}/v1',env_key='CODEX_API_KEY',\
         wire_api='responses',request_max_retries=0,stream_max_retries=0}}"
    )
}

/// What Codex calls to run this command.
fn command(cmd: &str) -> [Rule; 2] {
    calls("exec_command", json!({"cmd": cmd}))
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn commands_change_files_only_with_permission_and_only_in_its_folder() {
    for (flags, is_made) in [(&["--allow", "write,run"][..], true), (&[][..], false)] {
        let scene = scene(command(
            "mktemp && echo hi > made.txt; echo hi > ../made.txt",
        ));
        is_done(&scene.run("codex", "TASK", "model: 'haiku'", flags));
        assert_eq!(
            scene.folder().join("made.txt").exists(),
            is_made,
            "{flags:?}"
        );
        assert!(!scene.root.path().join("made.txt").exists());
    }
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn its_bill_is_that_of_the_vendor_and_it_names_its_model() {
    let scene = scene([Rule::new(When::prompt("TASK"), Reply::text("it is done"))]);
    let ended = scene.run("codex", "TASK", "model: 'haiku'", &[]);
    is_done(&ended);
    let bill = scene.divisi(&["cost", "last"]).output().unwrap().stdout;
    let bill = String::from_utf8_lossy(&bill).into_owned();
    assert!(bill.contains("gpt-"), "{bill}");
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn it_answers_by_a_schema() {
    let scene = scene([Rule::new(When::prompt("TASK"), Reply::text("{\"n\": 7}"))]);
    let schema =
        "schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }";
    let ended = scene.run("codex", "TASK", &format!("model: 'haiku', {schema}"), &[]);
    assert_eq!(ended.result["value"], json!({"n": 7}), "{}", ended.said);
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn it_fails_with_the_vendors_reason() {
    let refused = |error: ErrorKind| {
        let scene = scene([Rule::fault(When::prompt("TASK"), error)]);
        scene.run(
            "codex",
            "TASK",
            "model: 'haiku'",
            &["--overload-wait", "1s"],
        )
    };
    failed(&refused(ErrorKind::Authentication), "not authorised");
    failed(&refused(ErrorKind::Overloaded), "overloaded");
}
