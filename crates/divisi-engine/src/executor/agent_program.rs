//! What the executors of agent programs share: the program, its version, its environment, the
//! reading of its output, and starts that follow each other at a distance.

use super::command::run_in;
use super::lines::Lines;
use super::{Context, Cost, Ending, ExecutorSpec, ModelUse};
use crate::answer::Checked;
use crate::process::{Exit, Limits, ProcessError, Program};
use divisi_core::{Failure, FailureClass, PicoUsd, Usage};
use divisi_providers::redact;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Longest wait for a program to print its version. It takes a few hundredths of a second, or
/// seconds on a machine that reads the program from its disk for the first time.
const VERSION_MAX: Duration = Duration::from_secs(60);

/// Bytes kept of what it prints with its version, which is the first line.
const VERSION_BYTES_MAX: usize = 8192;

/// Variables without which a program may not be found or may not start.
const VERSION_VARIABLES: [&str; 4] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"];

/// Longest text shown as progress, in characters.
const SHOWN_CHARS_MAX: usize = 80;

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

    /// Its variable of this name, by the settings or from divisi's environment.
    pub(super) fn variable(&self, name: &str) -> Option<OsString> {
        let own = self.env.get(name).map(OsString::from);
        own.or_else(|| std::env::var_os(name))
    }

    /// Whether it has a variable of this name.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| !value.is_empty())
    }

    /// The program to run, with divisi's environment, but of all secrets only those of `own`
    /// variables.
    pub(super) fn program(&self, own: &[&str]) -> Result<Program, Failure> {
        let mut program = self.start()?.1.without_secrets();
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

    /// What it prints for `--version`, without keys in its environment. Blocks until it has ended.
    pub fn version(&self) -> Result<Arc<str>, Failure> {
        // On a thread of its own, because the caller may be a thread of a runtime.
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| unavailable(error.to_string()))?;
                runtime.block_on(self.asked_version())
            });
            asked.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    async fn asked_version(&self) -> Result<Arc<str>, Failure> {
        let (name, mut program) = self.start()?;
        program = program.arg("--version").with_empty_env().limits(Limits {
            timeout: Some(VERSION_MAX),
            output_bytes_max: VERSION_BYTES_MAX,
            ..Limits::default()
        });
        for name in VERSION_VARIABLES {
            if let Some(value) = self.variable(name) {
                program = program.env(name, value);
            }
        }
        let exit = program.run(&CancellationToken::new()).await;
        let exit = exit.map_err(|error| match error {
            ProcessError::NotStarted { program, source } => unavailable(format!(
                "program `{program}` could not be started: {source}"
            )),
            ProcessError::Stopped { .. } => unavailable(format!("`{name} --version` did not end")),
            other => unavailable(other.to_string()),
        })?;
        let said = exit.stdout.text();
        match (exit.status.is_ok(), said.lines().next().map(str::trim)) {
            (true, Some(line)) if !line.is_empty() => Ok(line.into()),
            _ => Err(unavailable(format!(
                "`{name} --version` printed no version, and ended with {}",
                exit.status
            ))),
        }
    }

    /// Its name, and the program with its first arguments.
    fn start(&self) -> Result<(&str, Program), Failure> {
        let Some((program, first)) = self.command.split_first() else {
            return Err(unavailable("the executor's `command` is empty".into()));
        };
        Ok((program, Program::new(program).args(first)))
    }
}

fn unavailable(why: String) -> Failure {
    Failure::new(FailureClass::Unavailable, why)
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

/// Carries out an attempt with the program of `command`, which reads into `printed`. `book` books
/// what it has used, and `ending` gives the end of the attempt if the program has ended.
pub(super) async fn carry_out<P: Printed>(
    command: Result<Program, Failure>,
    printed: P,
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
    let reader = Arc::new(std::sync::Mutex::new((Lines::default(), printed)));
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

/// The first line of a text that has words, without secrets and short enough for a display.
pub(super) fn shown(text: &str) -> String {
    // Before it is cut, because half a key is not recognised.
    let text = redact(text);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or_default();
    line.chars().take(SHOWN_CHARS_MAX).collect()
}

/// The value in what a program, called `name`, said at its end. Fails if it does not fit the schema.
pub(super) fn value_of(name: &str, schema: &Value, said: &str) -> Result<Value, Failure> {
    Checked::new(schema)?.check(said).map_err(|violations| {
        let message = format!("`{name}` ended without a value of the schema: {violations}");
        Failure::new(FailureClass::Schema, message)
    })
}

/// The failure of a program, called `name`, that ended without a result.
pub(super) fn no_result(name: &str, exit: &Exit) -> Failure {
    let (status, complaint) = (exit.status, exit.complaint());
    let message = format!("`{name}` ended without a result, with {status}: {complaint}");
    Failure::new(FailureClass::Program, message)
}

/// Logs that a subscription has paid for an attempt.
pub(super) fn log_plan(context: &Context, at_list_price: PicoUsd) {
    let title = context.task().title();
    context.log(format!(
        "{title}: in your plan; at list price it would have cost {at_list_price}"
    ));
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

/// The whole prompt, for programs that have no other place for the agent definition and the schema.
pub(super) fn whole_prompt(context: &Context) -> String {
    let schema = context.task().schema.as_deref();
    let parts = [
        context.agent_prompt().map(str::to_owned),
        Some(context.prompt()),
        schema.map(|schema| {
            format!("Your last message must be JSON alone, of this schema:\n{schema}")
        }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_providers::redact::add_secret;

    fn said(script: &str) -> Result<Arc<str>, String> {
        AgentProgram::new(["sh", "-c", script])
            .version()
            .map_err(|failure| failure.message)
    }

    #[test]
    fn a_version_is_the_first_line_and_what_is_missing_is_named() {
        assert_eq!(
            said("echo '  2.1.330 (Agent)'; echo more"),
            Ok("2.1.330 (Agent)".into())
        );
        insta::assert_snapshot!(said("exit 3").unwrap_err(), @"`sh --version` printed no version, and ended with exit code 3");
        let none = AgentProgram::new(["no-such-agent"]).version().unwrap_err();
        insta::assert_snapshot!(none.message, @"program `no-such-agent` was not found");
    }

    #[test]
    fn a_version_needs_no_reader_of_the_rest_and_no_end_of_what_it_started() {
        // More than a pipe holds, and a process that keeps the pipe open.
        assert_eq!(
            said("echo 1.0; head -c 200000 /dev/zero; sleep 300 & exit 0"),
            Ok("1.0".into())
        );
    }

    #[tokio::test]
    async fn a_version_can_be_asked_for_on_a_thread_of_a_runtime() {
        assert_eq!(said("echo 1.0"), Ok("1.0".into()));
    }

    #[test]
    fn its_own_path_counts_for_its_version_too() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent-of-this-test");
        std::fs::write(&file, "#!/bin/sh\necho 3.0\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = folder.path().display().to_string();
        let program =
            AgentProgram::new(["agent-of-this-test"]).env(BTreeMap::from([("PATH".into(), path)]));
        assert_eq!(program.version().unwrap(), "3.0".into());
    }

    #[test]
    fn a_secret_across_the_cut_is_not_shown() {
        const KEY: &str = "shown-key-0123456789abcdef";
        add_secret(KEY);
        for at in SHOWN_CHARS_MAX - KEY.len()..=SHOWN_CHARS_MAX {
            let text = format!("\n  {}{KEY} and more\nsecond", "x".repeat(at));
            let shown = shown(&text);
            assert!(!shown.contains(&KEY[..4]), "{shown}");
            assert!(shown.chars().count() <= SHOWN_CHARS_MAX, "{shown}");
        }
    }
}
