//! Tasks carried out by other programs: a shell command, or a program that
//! takes a prompt on its standard input and prints its result.

use super::schema::Checked;
use super::{Attempt, AttemptResult, Executor};
use crate::framing;
use crate::process::{Exit, Limits, ProcessError, Program, Status, Stop};
use async_trait::async_trait;
use divisi_core::{Failure, FailureClass, Task};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A program and its arguments, as the settings name them.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CommandLine {
    /// The program and its arguments. `{model}` stands for the model the task
    /// asks for.
    pub command: Vec<String>,
    /// Variables set for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl fmt::Debug for CommandLine {
    /// Names the variables that are set: their values may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("CommandLine").field("command", &self.command).field("env", &env).finish()
    }
}

/// Carries out attempts with a program: prompt in, result out. The program has our
/// variables, keys among them, so that it can ask models of its own.
///
/// Exit code 0 is success; with a schema, what it prints must fit.
#[derive(Clone, Debug)]
pub struct CommandExecutor {
    line: CommandLine,
}

impl CommandExecutor {
    /// An executor for this program.
    pub fn new(line: CommandLine) -> Self {
        Self { line }
    }
}

#[async_trait]
impl Executor for CommandExecutor {
    async fn run(&self, attempt: &Attempt, root: &Path) -> AttemptResult {
        let task = &attempt.assignment.task;
        let Some((program, args)) = self.line.command.split_first() else {
            return Failure::new(FailureClass::Unavailable, "the executor's `command` is empty").into();
        };
        let rung = attempt.rung.min(task.model.0.len().saturating_sub(1));
        let model = task.model.0.get(rung).map_or("", |model| model);
        let findings = attempt.findings.as_deref().map(framing::refused);
        let parts = task.context.as_deref().into_iter().chain([&*task.prompt]).chain(findings.as_deref());
        let prompt = parts.collect::<Vec<_>>().join("\n\n");
        let mut run =
            Program::new(program).args(args.iter().map(|arg| arg.replace("{model}", model))).stdin(prompt);
        for (name, value) in &self.line.env {
            run = run.env(name, value);
        }
        match run_in(root, run, attempt).await {
            Ok(exit) => self.result(program, task, &exit),
            Err(failure) => failure.into(),
        }
    }
}

impl CommandExecutor {
    fn result(&self, program: &str, task: &Task, exit: &Exit) -> AttemptResult {
        let (said, complaint) = (exit.stdout.text(), exit.stderr.text());
        if !exit.status.is_ok() {
            let last = complaint.trim().lines().last().unwrap_or("it said nothing on stderr");
            let message = format!("`{program}` ended with {}: {last}", exit.status);
            return Failure::new(FailureClass::Program, message).into();
        }
        let value = match task.schema.as_deref().map(Checked::new).transpose() {
            Ok(None) => Ok(Value::from(said.trim())),
            Ok(Some(checked)) => checked.check(&said).map_err(|violations| {
                let message = format!("what `{program}` printed does not fit the schema: {violations}");
                Failure::new(FailureClass::Schema, message)
            }),
            Err(failure) => Err(failure),
        };
        AttemptResult::of(value.map(|value| Arc::from(value.to_string())))
    }
}

/// Carries out `shell(command)`: any exit code is a result.
#[derive(Clone, Copy, Debug)]
pub struct ShellExecutor;

#[async_trait]
impl Executor for ShellExecutor {
    async fn run(&self, attempt: &Attempt, root: &Path) -> AttemptResult {
        // What it prints goes into the journal and into prompts: it gets no keys.
        let run = Program::shell(&*attempt.assignment.task.prompt).without_secrets();
        match run_in(root, run, attempt).await {
            Ok(exit) => {
                let code = match exit.status {
                    Status::Code(code) => code,
                    // As shells count it.
                    Status::Signal(signal) => 128 + signal,
                };
                let value = json!({"code": code, "stdout": exit.stdout.text(), "stderr": exit.stderr.text()});
                AttemptResult::of(Ok(value.to_string().into()))
            }
            Err(failure) => failure.into(),
        }
    }
}

/// Runs the program where the task works and within its times.
async fn run_in(root: &Path, program: Program, attempt: &Attempt) -> Result<Exit, Failure> {
    let assignment = &attempt.assignment;
    let limits = Limits {
        timeout: Some(Duration::from_millis(assignment.timeout.0)),
        // Programs may compute in silence as long as they may run at all.
        idle_timeout: assignment.task.idle_timeout.map(|idle| Duration::from_millis(idle.0)),
        ..Limits::default()
    };
    program.cwd(root).limits(limits).run(attempt.line.stop()).await.map_err(failure)
}

fn failure(error: ProcessError) -> Failure {
    let class = match &error {
        ProcessError::NotFound { .. } | ProcessError::NoFolder { .. } => FailureClass::Unavailable,
        ProcessError::NotStarted { .. } | ProcessError::Lost { .. } => FailureClass::Program,
        ProcessError::Stopped { why: Stop::Timeout(_), .. } => FailureClass::Timeout,
        ProcessError::Stopped { why: Stop::Stalled(_), .. } => FailureClass::Stalled,
        ProcessError::Stopped { why: Stop::Cancelled, .. } => FailureClass::Interrupted,
    };
    let failure = Failure::new(class, error.to_string());
    match error {
        ProcessError::NotFound { .. } => {
            failure.hint("install it, or name another in `command` of its executor, in divisi.toml")
        }
        ProcessError::NoFolder { .. }
        | ProcessError::NotStarted { .. }
        | ProcessError::Lost { .. }
        | ProcessError::Stopped { .. } => failure,
    }
}
