//! The real agent programs, against the mock on this machine.
//!
//! `scripts/agents` installs them; `./test` runs this afterwards. Each runs in an emptied
//! environment with a home of its own, and its vendor's address is that of the mock, so nothing
//! leaves the machine.
#![allow(clippy::unwrap_used, missing_docs)]

use divisi_mock::{Config, ErrorKind, MockThread, Reply, Rule, When};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A folder with a flow, and the programs in `PATH`.
struct Scene {
    root: TempDir,
    mock: MockThread,
}

/// How a run of one task ended.
struct Ended {
    result: Value,
    said: String,
    cost: f64,
}

impl Scene {
    fn new(rules: impl IntoIterator<Item = Rule>) -> Self {
        let config = rules.into_iter().fold(Config::default(), Config::rule);
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("work")).unwrap();
        Self {
            mock: MockThread::start(config),
            root,
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    fn divisi(&self, args: &[&str]) -> Command {
        let programs =
            std::env::var("DIVISI_AGENTS").expect("`scripts/agents` says where they are");
        let address = self.mock.url();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_divisi"));
        command
            .args(args)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("HOME", self.root.path())
            .env("DIVISI_LOCAL", "false")
            .env("DIVISI_ESTIMATE", "false")
            .env("ANTHROPIC_BASE_URL", address)
            .env("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef");
        command
    }

    /// Runs one task with these options, as a script writes them.
    fn run(&self, prompt: &str, options: &str, flags: &[&str]) -> Ended {
        let flow = format!(
            "export const meta = {{ name: 'real', description: 'One task' }};\n\
             return agent.outcome({}, {{ label: 'one', {options} }});\n",
            Value::from(prompt)
        );
        std::fs::write(self.folder().join("flow.js"), flow).unwrap();
        let args = ["run", "flow.js", "--executor", "claude", "--retries", "0"];
        let output = self.divisi(&[&args, flags].concat()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let listed = self.divisi(&["runs", "--json"]).output().unwrap().stdout;
        let listed: Value = serde_json::from_slice(&listed).unwrap();
        Ended {
            result: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            cost: listed[0]["cost"].as_f64().unwrap(),
            said,
        }
    }
}

/// A call of a tool as the first reply, then a text.
fn calls(tool: &str, input: Value) -> [Rule; 2] {
    [
        Rule::new(When::prompt("TASK"), Reply::tool_call(tool, input)).times(1),
        Rule::new(When::prompt("TASK"), Reply::text("it is done")),
    ]
}

fn is_done(ended: &Ended) {
    assert_eq!(
        ended.result["status"], "ok",
        "{} {}",
        ended.result, ended.said
    );
    assert_eq!(ended.result["value"], "it is done", "{}", ended.said);
    assert!(ended.cost > 0.0, "{}", ended.said);
}

fn failed(ended: &Ended, part: &str) {
    assert_ne!(ended.result["status"], "ok", "{}", ended.said);
    let all = format!("{} {}", ended.result, ended.said);
    assert!(all.contains(part), "{part}: {all}");
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn claude_writes_only_with_permission_and_only_in_its_folder() {
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
        let ended = scene.run("TASK", "model: 'haiku'", allow);
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
    is_done(&scene.run("TASK", "model: 'haiku'", &["--allow", "write"]));
    assert!(!path.exists());
    let scene = Scene::new(calls("Write", write(Path::new("divisi.toml"))));
    is_done(&scene.run("TASK", "model: 'haiku'", &["--allow", "write"]));
    assert!(
        !scene.folder().join("divisi.toml").exists(),
        "it decides over rights"
    );
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn claude_runs_commands_with_permission() {
    let command = json!({"command": "echo hi > made.txt", "description": "makes a file"});
    for (flags, is_made) in [(&["--allow", "run"][..], true), (&[][..], false)] {
        let scene = Scene::new(calls("Bash", command.clone()));
        is_done(&scene.run("TASK", "model: 'haiku'", flags));
        assert_eq!(
            scene.folder().join("made.txt").exists(),
            is_made,
            "{flags:?}"
        );
    }
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn claude_answers_by_a_schema_and_its_model_is_on_the_bill() {
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
fn claude_stops_at_turns_and_at_money() {
    let loops = || {
        let reply = Reply::tool_call("Read", json!({"file_path": "flow.js"}));
        Scene::new([Rule::new(When::prompt("TASK"), reply)])
    };
    failed(
        &loops().run("TASK", "model: 'haiku', maxTurns: 3", &[]),
        "in 3 turns",
    );
    failed(
        &loops().run(
            "TASK",
            "model: 'opus', maxCost: 0.0001",
            &["--max-cost", "1"],
        ),
        "had cost",
    );
}

#[test]
#[ignore = "needs the programs that scripts/agents installs"]
fn claude_fails_with_the_vendors_reason() {
    let refused = |error: ErrorKind| {
        let scene = Scene::new([Rule::fault(When::prompt("TASK"), error)]);
        scene.run("TASK", "model: 'haiku'", &["--overload-wait", "1s"])
    };
    failed(&refused(ErrorKind::Authentication), "not authorised");
    failed(&refused(ErrorKind::Overloaded), "overloaded");
    failed(&refused(ErrorKind::NotFound), "not available");
}
