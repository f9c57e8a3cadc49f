//! The built binary with a separate home directory.

use crate::bench::{Bench, this_program};
use crate::floor::http::NUMBER;
use crate::stand::mock::MockProcess;
use crate::stand::process::{Spent, spend};
use anyhow::{Context, Result, ensure};
use divisi_mock::{Config, MockThread, Received};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The built binary with a separate home directory.
pub(crate) struct Machine {
    divisi: PathBuf,
    home: TempDir,
    url: String,
    /// A file with the certificate to trust, where the server is encrypted.
    certificate: Option<String>,
}

impl Machine {
    /// A machine without traces of earlier runs, and the server that it uses.
    pub(crate) fn new(bench: &Bench, url: String) -> Result<Self> {
        Ok(Self {
            divisi: bench.divisi().to_owned(),
            home: bench.scratch()?,
            url,
            certificate: None,
        })
    }

    /// A machine that uses a mock over HTTP/2.
    pub(crate) fn over_http2(bench: &Bench, mock: &MockProcess) -> Result<Self> {
        let mut machine = Self::new(bench, mock.encrypted_url())?;
        machine.certificate = Some(machine.file("mock.pem", mock.certificate())?);
        Ok(machine)
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Uses another server from now on.
    pub(crate) fn ask(&mut self, url: String) {
        self.url = url;
    }

    /// Writes a file into its home; returns the path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.home().join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// A command of the binary with default settings.
    pub(crate) fn divisi(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.divisi);
        command
            .args(args)
            .current_dir(self.home())
            .env_clear()
            .env("HOME", self.home())
            .env("DIVISI_STORE", self.store())
            .env("DIVISI_LOCAL", "false")
            .env("ANTHROPIC_API_KEY", "bench")
            .env("ANTHROPIC_BASE_URL", &self.url)
            .envs(self.certificate.iter().map(|path| ("SSL_CERT_FILE", path)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a script with a number as its arguments.
    pub(crate) fn try_run(&self, script: &str, number: usize, args: &[&str]) -> Result<Spent> {
        let flow = self.file("flow.js", script)?;
        let number = number.to_string();
        spend(
            self.divisi(&["run", &flow, "--args", &number, "--quiet"])
                .args(args),
        )
    }

    /// The same; fails unless the script returns the number and the run succeeds.
    pub(crate) fn run(&self, script: &str, number: usize, args: &[&str]) -> Result<Spent> {
        let spent = self.try_run(script, number, args)?.well()?;
        let result = String::from_utf8_lossy(&spent.stdout);
        ensure!(
            result.trim() == number.to_string(),
            "the run returned {result:?}, not {number}"
        );
        Ok(spent)
    }

    /// A number from the store; zero if there is no store.
    pub(crate) fn count(&self, sql: &str) -> u64 {
        let open = || rusqlite::Connection::open(self.store()).ok();
        let number =
            |store: rusqlite::Connection| store.query_row(sql, [], |row| row.get::<_, i64>(0)).ok();
        self.store()
            .exists()
            .then(open)
            .flatten()
            .and_then(number)
            .unwrap_or(0)
            .unsigned_abs()
    }

    fn store(&self) -> PathBuf {
        self.home().join("divisi.db")
    }
}

/// The body of a request as the binary sends it, for a loop that sends an equal one.
pub(crate) struct Body {
    folder: TempDir,
}

impl Body {
    /// Runs a script with one task, whose prompt contains `task 0`, and keeps the body of its
    /// request.
    pub(crate) fn of(bench: &Bench, script: &str) -> Result<Self> {
        let mock = MockThread::start(Config {
            requests_kept_max: 1,
            ..Config::default()
        });
        Machine::new(bench, mock.url())?.run(script, 1, &[])?;
        let requests = mock.requests();
        let Received { body, .. } = requests.last().context("the binary has sent nothing")?;
        let body = serde_json::to_string(body)?.replacen("task 0", &format!("task {NUMBER}"), 1);
        let folder = bench.scratch()?;
        std::fs::write(folder.path().join("body.json"), body)?;
        Ok(Self { folder })
    }

    /// Runs a loop that sends it in stages, `at_once` at a time; fails unless all are answered.
    pub(crate) fn send(&self, url: &str, stages: &[usize], at_once: usize) -> Result<Spent> {
        let (spent, statuses) = self.try_send(url, stages, at_once)?;
        ensure!(
            statuses.keys().eq([&200]),
            "the bare loop was not answered: {statuses:?}"
        );
        Ok(spent)
    }

    /// The same without that condition; returns the number of answers by status.
    pub(crate) fn try_send(
        &self,
        url: &str,
        stages: &[usize],
        at_once: usize,
    ) -> Result<(Spent, BTreeMap<u16, u64>)> {
        let stages: Vec<_> = stages.iter().map(usize::to_string).collect();
        let mut command = Command::new(this_program()?);
        command
            .args([
                "loop",
                "--url",
                url,
                "--stages",
                &stages.join(","),
                "--at-once",
                &at_once.to_string(),
            ])
            .arg("--body")
            .arg(self.folder.path().join("body.json"));
        let spent = spend(&mut command)?.well()?;
        let statuses = serde_json::from_slice(&spent.stdout)?;
        Ok((spent, statuses))
    }
}
