//! The real agent programs, against the mock on this machine.
//!
//! `scripts/agents` installs them; `./test` runs this afterwards. Each runs in an emptied
//! environment with a home of its own, and its vendor's address is that of the mock, so nothing
//! leaves the machine.
#![allow(clippy::unwrap_used, missing_docs)]

mod acp;
mod claude;
mod codex;
mod sessions;

use divisi_mock::{Config, MockThread, Reply, Rule, When};
use serde_json::Value;
use std::ffi::OsStr;
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
        self.command(env!("CARGO_BIN_EXE_divisi"), args)
    }

    /// An agent program itself, in the same environment.
    fn program(&self, name: &str, args: &[&str]) -> Command {
        self.command(Path::new(&programs()).join(name), args)
    }

    fn command(&self, program: impl AsRef<OsStr>, args: &[&str]) -> Command {
        let programs = programs();
        let address = self.mock.url();
        assert!(address.starts_with("http://127.0.0.1:"), "{address}");
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("HOME", self.root.path())
            .env("DIVISI_LOCAL", "false")
            .env("DIVISI_ESTIMATE", "false")
            .env("ANTHROPIC_BASE_URL", address)
            .env("ANTHROPIC_API_KEY", "sk-ant-0123456789abcdef")
            .env("CODEX_API_KEY", "sk-0123456789abcdefghij");
        command
    }

    /// Runs one task on this executor with these options, as a script writes them.
    fn run(&self, executor: &str, prompt: &str, options: &str, flags: &[&str]) -> Ended {
        let flow = format!(
            "export const meta = {{ name: 'real', description: 'One task' }};\n\
             return agent.outcome({}, {{ label: 'one', {options} }});\n",
            Value::from(prompt)
        );
        std::fs::write(self.folder().join("flow.js"), flow).unwrap();
        let args = ["run", "flow.js", "--executor", executor, "--retries", "0"];
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

/// The folder of the programs.
fn programs() -> String {
    std::env::var("DIVISI_AGENTS").expect("`scripts/agents` says where they are")
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
