//! A machine for end-to-end tests: the built binary, the mock over HTTP, and a
//! home of their own.

use divisi_mock::{Config, Latency, MockThread, Reply, Rule, When};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Files of this repository that agents read in the whole flow.
pub(crate) const FILES: usize = 40;

/// The built binary with a separate home directory, and its mock.
pub(crate) struct Machine {
    pub(crate) mock: MockThread,
    home: TempDir,
}

impl Machine {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            mock: MockThread::start(config),
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// The same with an empty home and the same mock.
    pub(crate) fn fresh_home(&mut self) {
        self.home = tempfile::tempdir().unwrap();
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.home().join("divisi.db")
    }

    /// A command of the binary, in the root of this repository.
    pub(crate) fn divisi(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_divisi"));
        command
            .args(args)
            .current_dir(repository())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DIVISI_STORE", self.store())
            .env("DIVISI_LOCAL", "false")
            .env("DIVISI_ESTIMATE", "false")
            .env("ANTHROPIC_API_KEY", SECRET)
            .env("ANTHROPIC_BASE_URL", self.mock.url())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.divisi(args).output().unwrap()
    }

    /// Starts it and lets it go on.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.divisi(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// How many requests the mock has had.
    pub(crate) fn requests(&self) -> u64 {
        self.mock.stats().requests.values().sum()
    }

    /// How many replies the journal holds.
    pub(crate) fn replies_recorded(&self) -> u64 {
        self.count(
            "SELECT count(*) FROM events WHERE json_extract(event, '$.event') = 'turn_ended'",
        )
    }

    /// A number out of the store; zero while there is no store.
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let open = || rusqlite::Connection::open(self.store()).ok();
        let number =
            |store: rusqlite::Connection| store.query_row(sql, [], |row| row.get::<_, i64>(0)).ok();
        self.store()
            .exists()
            .then(open)
            .flatten()
            .and_then(number)
            .unwrap_or(0) as u64
    }
}

/// The key that must never appear.
pub(crate) const SECRET: &str = "sk-ant-must-not-be-seen";

/// The root of this repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// Source files of this repository, as agents name them.
pub(crate) fn files() -> Vec<String> {
    let core = repository().join("crates/divisi-core/src");
    let mut files = vec![];
    collect(&core, &mut files);
    collect(&repository().join("crates/divisi-engine/src"), &mut files);
    let root = repository();
    let mut files: Vec<String> = files
        .iter()
        .map(|path| path.strip_prefix(&root).unwrap().display().to_string())
        .collect();
    files.sort();
    files.truncate(FILES);
    assert_eq!(files.len(), FILES);
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// What the mock answers to the whole flow: auditors read their file first and
/// answer with a digest of what they have read; the planner hands in a plan.
pub(crate) fn whole_flow(latency_ms: u64) -> Config {
    let audit = |file: &String| {
        let when = When::prompt(format!("Audit the file {file}.")).tool_result(false);
        Rule::new(
            when,
            Reply::tool_call("read_file", serde_json::json!({ "path": file })),
        )
    };
    let mut rules: Vec<Rule> = files().iter().map(audit).collect();
    rules.push(Rule::new(
        When::prompt("Audit the file").tool_result(true),
        Reply::text("read {tool_result_digest}"),
    ));
    let part = |id: &str, prompt: &str, needs: &[&str]| serde_json::json!({"id": id, "prompt": prompt, "needs": needs, "label": null, "model": null});
    let plan = serde_json::json!({"tasks": [
        part("names", "Compare the names.", &[]),
        part("errors", "Compare the errors.", &[]),
        part("both", "Join {{names}} and {{errors}}.", &["names", "errors"]),
    ]});
    rules.push(Rule::new(
        When {
            schema: Some(true),
            ..When::prompt("have in common")
        },
        Reply::Json(plan),
    ));
    Config {
        rules,
        latency: Latency {
            first_byte_ms: latency_ms,
            ..Latency::default()
        },
        requests_kept_max: 10_000,
        ..Config::default()
    }
}

/// The arguments of the whole flow.
pub(crate) fn whole_args() -> String {
    serde_json::json!({ "files": files() }).to_string()
}
