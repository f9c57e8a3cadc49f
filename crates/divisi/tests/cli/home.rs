//! A separate home directory for each test: only the binary is shared with the machine.

use assert_cmd::Command;
use std::path::PathBuf;
use tempfile::TempDir;

/// A home with a folder to work in.
pub(crate) struct Home {
    root: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a command has said.
pub(crate) struct Said {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Three tasks at once, and one over their results.
pub(crate) const FLOW: &str = "\
export const meta = { name: 'audit', description: 'Audits modules' };
phase('Audit');
const parts = await parallel(['auth', 'payment', 'user'].map((m) => () => agent(`Audit ${m}`, { label: m, tools: [] })));
phase('Report');
return gather('Write a report', parts, { tools: [] });
";

/// One task that succeeds, and one whose executor does not exist.
pub(crate) const HALF: &str = "\
export const meta = { name: 'half', description: 'Half of it fails' };
const good = await agent('Say something', { label: 'good', tools: [] });
const bad = await agent('Say it again', { label: 'bad', executor: 'echo' });
return { good, bad };
";

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self {
            root: tempfile::tempdir().unwrap(),
            variables: vec![],
        };
        std::fs::create_dir_all(home.folder()).unwrap();
        home
    }

    /// A home with a file in the folder to work in.
    pub(crate) fn with(path: &str, text: &str) -> Self {
        let home = Self::new();
        home.write(path, text);
        home
    }

    /// The same with a variable of the environment.
    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The folder to work in.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (is_edit, now) = (path.exists(), std::time::SystemTime::now());
        std::fs::write(&path, text).unwrap();
        // An edit is after all that has been run by the clock of the file system, too,
        // which lags behind by some milliseconds.
        while is_edit && std::fs::metadata(&path).unwrap().modified().unwrap() <= now {
            std::fs::write(&path, text).unwrap();
        }
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder().join(path)).unwrap()
    }

    /// The command, ready to be run.
    pub(crate) fn divisi(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_divisi"));
        command
            .args(args)
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", path())
            .env("HOME", self.root.path())
            .env("DIVISI_LOCAL", "false")
            .env("DIVISI_ESTIMATE", "false")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the command, which has to end with `code`.
    pub(crate) fn ends(&self, code: i32, args: &[&str]) -> Said {
        self.ends_with(code, args, "")
    }

    /// The same in another folder.
    pub(crate) fn ends_in(&self, folder: &std::path::Path, code: i32, args: &[&str]) -> Said {
        let mut command = self.divisi(args);
        command.current_dir(folder);
        self.said(command, code, args, "")
    }

    /// The same with `stdin` to read.
    pub(crate) fn ends_with(&self, code: i32, args: &[&str], stdin: &str) -> Said {
        self.said(self.divisi(args), code, args, stdin)
    }

    fn said(&self, command: std::process::Command, code: i32, args: &[&str], stdin: &str) -> Said {
        let output = Command::from_std(command)
            .write_stdin(stdin)
            .output()
            .unwrap();
        let said = Said {
            stdout: self.shown(&output.stdout),
            stderr: self.shown(&output.stderr),
        };
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}\n{}\n{}",
            said.stdout,
            said.stderr
        );
        said
    }

    /// The id of the latest run.
    pub(crate) fn last(&self) -> String {
        let runs: serde_json::Value =
            serde_json::from_str(&self.ends(0, &["runs", "--json"]).stdout).unwrap();
        runs[0]["id"].as_str().unwrap().to_owned()
    }

    fn shown(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        text.replace(&self.root.path().display().to_string(), "~")
            .trim_end()
            .to_owned()
    }
}

/// The folders of this machine's programs, without those of agent programs.
fn path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_none = |folder: &PathBuf| {
        let has = |name: &&str| folder.join(name).exists();
        !["claude", "codex"].iter().any(has)
    };
    std::env::join_paths(std::env::split_paths(&path).filter(has_none)).unwrap()
}

impl Said {
    /// The lines of stdout, each a JSON value.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}
