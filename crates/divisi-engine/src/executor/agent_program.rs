//! What the executors of agent programs share: the program, its version, its environment, and
//! starts that follow each other at a distance.

use crate::process::Program;
use divisi_core::{Failure, FailureClass, PicoUsd};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Longest wait for a program to print its version. It takes a few hundredths of a second, or
/// seconds on a machine that reads the program from its disk for the first time.
const VERSION_MAX: Duration = Duration::from_secs(60);

/// Longest version in bytes that is read.
const VERSION_BYTES_MAX: u64 = 4096;

/// Time between two starts. Two processors start about three of the largest of these programs in a
/// second; more at once only delay each other, and their first output with them.
const STARTS_APART: Duration = Duration::from_millis(300);

/// Longest text given as one argument; Linux takes 128 KiB.
pub(super) const ARGUMENT_BYTES_MAX: usize = 100 * 1024;

/// An agent program, as in the settings.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentProgram {
    /// The program, found in `PATH` or given by its path, and its first arguments.
    pub command: Vec<String>,
    /// Variables set for it.
    pub env: BTreeMap<String, String>,
    /// What an attempt reserves, and may cost, if its task has no budget of its own; `None` if
    /// nobody pays for it.
    pub cost: Option<PicoUsd>,
}

impl AgentProgram {
    /// Default for what one attempt may cost: a change of some size by a strong model, and little
    /// enough for several at once under a usual cap.
    pub const COST: PicoUsd = PicoUsd(2 * PicoUsd::DOLLAR.0);

    /// The program of this name.
    pub fn new<A: Into<String>>(command: impl IntoIterator<Item = A>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            cost: Some(Self::COST),
        }
    }

    /// Sets its environment variables.
    pub fn env(mut self, env: BTreeMap<String, String>) -> Self {
        self.env = env;
        self
    }

    /// Sets what an attempt may cost; `None` if nobody pays for it.
    pub fn cost(mut self, cost: Option<PicoUsd>) -> Self {
        self.cost = cost;
        self
    }

    /// The part that results depend on, besides its version.
    pub(super) fn identity(&self) -> String {
        // Made of texts, so serialisation cannot fail.
        serde_json::to_string(&(&self.command, &self.env)).unwrap_or_default()
    }

    /// Whether it has a variable of this name, by the settings or from divisi's environment.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.env.contains_key(name) || std::env::var_os(name).is_some_and(|value| !value.is_empty())
    }

    /// The program to run, with divisi's environment, but of all secrets only those of `own`
    /// variables.
    pub(super) fn program(&self, own: &[&str]) -> Result<Program, Failure> {
        let Some((program, first)) = self.command.split_first() else {
            return Err(Failure::new(
                FailureClass::Unavailable,
                "the executor's `command` is empty",
            ));
        };
        let mut program = Program::new(program).args(first).without_secrets();
        for name in own {
            if let Some(value) = std::env::var_os(name) {
                program = program.env(name, value);
            }
        }
        Ok(program)
    }

    /// Sets the variables of the settings, which replace all others.
    pub(super) fn with_env(&self, program: Program) -> Program {
        self.env
            .iter()
            .fold(program, |program, (name, value)| program.env(name, value))
    }

    /// What it prints for `--version`, without keys in its environment.
    pub fn version(&self) -> Result<Arc<str>, Failure> {
        let Some((program, first)) = self.command.split_first() else {
            return Err(Failure::new(
                FailureClass::Unavailable,
                "the executor's `command` is empty",
            ));
        };
        let unavailable = |why: String| Failure::new(FailureClass::Unavailable, why);
        let mut command = Command::new(program);
        command
            .args(first)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .env_clear();
        for name in ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                unavailable(format!("program `{program}` was not found"))
            }
            _ => unavailable(format!("program `{program}` could not be started: {error}")),
        })?;
        let until = std::time::Instant::now() + VERSION_MAX;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if std::time::Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(None) | Err(_) => break None,
            }
        };
        let Some(status) = status else {
            // It may have ended in the meantime.
            let _ = child.kill();
            let _ = child.wait();
            return Err(unavailable(format!("`{program} --version` did not end")));
        };
        let mut said = vec![];
        if let Some(stdout) = child.stdout.take() {
            // What cannot be read is no version.
            let _ = stdout.take(VERSION_BYTES_MAX).read_to_end(&mut said);
        }
        let said = String::from_utf8_lossy(&said);
        match (status.success(), said.lines().next().map(str::trim)) {
            (true, Some(line)) if !line.is_empty() => Ok(line.into()),
            _ => Err(unavailable(format!(
                "`{program} --version` printed no version, and ended with {status}"
            ))),
        }
    }
}

impl fmt::Debug for AgentProgram {
    /// Shows only the names of variables, because their values may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("AgentProgram")
            .field("command", &self.command)
            .field("env", &env)
            .field("cost", &self.cost)
            .finish()
    }
}

/// The version of a program, determined once.
#[derive(Debug, Default)]
pub(super) struct Version(OnceLock<Result<Arc<str>, Failure>>);

impl Version {
    pub(super) fn of(&self, program: &AgentProgram, hint: &str) -> Result<Arc<str>, Failure> {
        self.0
            .get_or_init(|| program.version().map_err(|failure| failure.hint(hint)))
            .clone()
    }
}

/// Waits until the next agent program of this process may start.
pub(super) async fn may_start() {
    static NEXT: Mutex<Option<Instant>> = Mutex::const_new(None);
    let mut next = NEXT.lock().await;
    if let Some(next) = *next {
        sleep_until(next).await;
    }
    *next = Some(Instant::now() + STARTS_APART);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_first_line_and_what_is_missing_is_named() {
        let said = |script: &str| {
            AgentProgram::new(["sh", "-c", script])
                .version()
                .map_err(|failure| failure.message)
        };
        assert_eq!(
            said("echo '  2.1.330 (Agent)'; echo more"),
            Ok("2.1.330 (Agent)".into())
        );
        insta::assert_snapshot!(said("exit 3").unwrap_err(), @"`sh --version` printed no version, and ended with exit status: 3");
        let none = AgentProgram::new(["no-such-agent"]).version().unwrap_err();
        insta::assert_snapshot!(none.message, @"program `no-such-agent` was not found");
    }
}
