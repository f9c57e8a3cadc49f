//! What the executors of agent programs share: the program, its version, its environment, the
//! reading of its output, and starts that follow each other at a distance.

use super::command::run_in;
use super::lines::Lines;
use super::{Context, Cost, Ending, ExecutorSpec, ModelUse};
use crate::process::{Exit, Program};
use divisi_core::{Failure, FailureClass, PicoUsd, Usage};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock, PoisonError};
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
    /// it is free.
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

    /// Sets what an attempt may cost; `None` if it is free.
    pub fn cost(mut self, cost: Option<PicoUsd>) -> Self {
        self.cost = cost;
        self
    }

    /// What its executor declares.
    pub(super) fn spec(&self) -> ExecutorSpec {
        // The part that results depend on, besides its version. Made of texts, so serialisation
        // cannot fail.
        let identity = serde_json::to_string(&(&self.command, &self.env)).unwrap_or_default();
        let spec = ExecutorSpec::new(identity)
            .models(ModelUse::Tiers)
            .writes_nothing();
        spec.cost(match self.cost {
            Some(most) => Cost::Limited(most),
            None => Cost::Free,
        })
    }

    /// The part of a cost that is billed; a subscription is not.
    pub(super) fn billed(&self, cost: PicoUsd, is_in_plan: bool) -> PicoUsd {
        match self.cost.is_none() || is_in_plan {
            true => PicoUsd::ZERO,
            false => cost,
        }
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

/// What an agent program has printed so far.
pub(super) trait Printed: Default + Send + 'static {
    /// Reads one line, and shows what follows from it.
    fn line(&mut self, line: &[u8], context: &Context);
}

/// Carries out an attempt with the program of `command`. `book` books what it has used, and
/// `ending` gives the end of the attempt if the program has ended.
pub(super) async fn carry_out<P: Printed>(
    command: Result<Program, Failure>,
    install: &str,
    context: &Context,
    book: impl Fn(&P) + Send + Sync,
    ending: impl Fn(&P, &Exit) -> Ending + Send + Sync,
) -> Ending {
    let program = match command {
        Ok(program) => program,
        Err(failure) => {
            context.spent(Usage::default(), PicoUsd::ZERO);
            return failure.into();
        }
    };
    context.waits(may_start()).await;
    let reader = Arc::new(std::sync::Mutex::new((Lines::default(), P::default())));
    let (listening, shown) = (reader.clone(), context.clone());
    let program = program.on_stdout(move |chunk| {
        let mut reader = listening.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, printed) = &mut *reader;
        for line in lines.take(chunk) {
            printed.line(&line, &shown);
        }
    });
    let ran = run_in(program, context).await;
    let printed = {
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, printed) = &mut *reader;
        if let Some(line) = lines.rest() {
            printed.line(&line, context);
        }
        std::mem::take(printed)
    };
    match ran {
        Ok(exit) => {
            book(&printed);
            ending(&printed, &exit)
        }
        Err(failure) if failure.class == FailureClass::Unavailable => failure.hint(install).into(),
        Err(failure) => {
            book(&printed);
            failure.into()
        }
    }
}

/// Logs that a subscription has paid for an attempt.
pub(super) fn log_plan(context: &Context, at_list_price: PicoUsd) {
    let title = context.task().title();
    context.log(format!(
        "{title}: in your plan; at list price it would have cost {at_list_price}"
    ));
}

/// Waits until the next agent program of this process may start.
async fn may_start() {
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
