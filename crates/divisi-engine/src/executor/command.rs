//! Tasks carried out by a program from the settings, which gets the prompt on stdin and prints its
//! result.

use super::reports::{Reader, Reports};
use super::{Context, Cost, Ending, Executor, ExecutorSpec, ModelUse};
use crate::answer::Checked;
use crate::process::{Exit, Limits, ProcessError, Program, Stop};
use async_trait::async_trait;
use divisi_core::{Failure, FailureClass, PicoUsd, Usage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Placeholder in an argument for the task's model.
const MODEL: &str = "{model}";

/// A program and its arguments, as in the settings.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandLine {
    /// The program and its arguments. `{model}` is replaced by the task's model.
    pub command: Vec<String>,
    /// Variables set for it.
    pub env: BTreeMap<String, String>,
    /// Most that one attempt costs; `None` if it is free, or reports its cost.
    pub cost_max: Option<PicoUsd>,
    /// How its output reports its cost and its result.
    pub reports: Reports,
}

/// The part that its results depend on.
#[derive(serde::Serialize)]
struct Identity<'a> {
    command: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a str>,
}

impl CommandLine {
    /// A program with its arguments, free of cost.
    pub fn new<A: Into<String>>(command: impl IntoIterator<Item = A>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self {
            command,
            env: BTreeMap::new(),
            cost_max: None,
            reports: Reports::default(),
        }
    }

    /// Sets its environment variables.
    pub fn env(mut self, env: BTreeMap<String, String>) -> Self {
        self.env = env;
        self
    }

    /// Sets the most that one attempt costs.
    pub fn cost_max(mut self, most: PicoUsd) -> Self {
        self.cost_max = Some(most);
        self
    }

    /// Sets how its output is read.
    pub fn reports(mut self, reports: Reports) -> Self {
        self.reports = reports;
        self
    }
}

impl fmt::Debug for CommandLine {
    /// Shows only the names of variables, because their values may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("CommandLine")
            .field("command", &self.command)
            .field("env", &env)
            .finish_non_exhaustive()
    }
}

/// Carries out attempts with a program: prompt in, result out. The program gets divisi's
/// environment with its keys, so that it can ask models itself.
///
/// Exit code 0 is success; with a schema, the output must fit it.
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
    fn spec(&self) -> ExecutorSpec {
        let CommandLine {
            command,
            env,
            cost_max,
            reports,
        } = &self.line;
        let identity = Identity {
            command,
            env,
            result: reports.result.as_deref(),
        };
        // Made of texts, so serialisation cannot fail.
        let spec = ExecutorSpec::new(serde_json::to_string(&identity).unwrap_or_default());
        let names = command
            .iter()
            .skip(1)
            .any(|argument| argument.contains(MODEL));
        spec.models(if names {
            ModelUse::Names
        } else {
            ModelUse::None
        })
        .cost(match cost_max {
            Some(most) => Cost::UpTo(*most),
            None if reports.cost.is_some() => Cost::Reported,
            None => Cost::Free,
        })
    }

    async fn run(&self, context: &Context) -> Ending {
        let Some((program, args)) = self.line.command.split_first() else {
            return Failure::new(
                FailureClass::Unavailable,
                "the executor's `command` is empty",
            )
            .into();
        };
        let model = context.model().unwrap_or_default();
        let args = args.iter().map(|argument| argument.replace(MODEL, model));
        let mut run = Program::new(program).args(args).stdin(context.prompt());
        for (name, value) in &self.line.env {
            run = run.env(name, value);
        }
        let reader = Arc::new(Reader::new(&self.line.reports, context));
        if self.line.reports != Reports::default() {
            let reader = reader.clone();
            run = run.on_stdout(move |chunk| reader.take(chunk));
        }
        match run_in(run, context).await {
            Ok(exit) => self.result(program, context, &exit, &reader),
            Err(failure) => failure.into(),
        }
    }
}

impl CommandExecutor {
    fn result(&self, program: &str, context: &Context, exit: &Exit, reader: &Reader) -> Ending {
        let printed = reader.result();
        if !exit.status.is_ok() {
            let complaint = exit.complaint();
            let message = format!("`{program}` ended with {}: {complaint}", exit.status);
            return Failure::new(FailureClass::Program, message).into();
        }
        let value = match (&self.line.reports.result, printed) {
            (None, _) => Value::from(exit.stdout.text().trim()),
            (Some(_), Some(value)) => value,
            (Some(field), None) => {
                let message =
                    format!("`{program}` printed no line of JSON with `{field}`, its result");
                return Failure::new(FailureClass::Program, message).into();
            }
        };
        let said = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let Some(schema) = context.task().schema.as_deref() else {
            return Ending::ok(said);
        };
        let value = Checked::new(schema).and_then(|checked| {
            checked.check(&said).map_err(|violations| {
                let message =
                    format!("what `{program}` printed does not fit the schema: {violations}");
                Failure::new(FailureClass::Schema, message)
            })
        });
        value.into()
    }
}

/// Runs the program in the task's folder and within its time limits.
pub(super) async fn run_in(program: Program, context: &Context) -> Result<Exit, Failure> {
    run_until(program, context, context.stop()).await
}

/// The same until `stop` is cancelled.
pub(super) async fn run_until(
    program: Program,
    context: &Context,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let limits = Limits {
        timeout: Some(Duration::from_millis(context.timeout().0)),
        // Programs may compute without output for their whole time limit.
        idle_timeout: context
            .task()
            .idle_timeout
            .map(|idle| Duration::from_millis(idle.0)),
        ..Limits::default()
    };
    let ran = program.cwd(context.root()).limits(limits).run(stop).await;
    if let Err(
        ProcessError::NotFound { .. }
        | ProcessError::NoFolder { .. }
        | ProcessError::NotStarted { .. },
    ) = &ran
    {
        context.spent(Usage::default(), PicoUsd::ZERO);
    }
    ran.map_err(failure)
}

fn failure(error: ProcessError) -> Failure {
    let class = match &error {
        ProcessError::NotFound { .. } | ProcessError::NoFolder { .. } => FailureClass::Unavailable,
        ProcessError::NotStarted { .. } | ProcessError::Lost { .. } => FailureClass::Program,
        ProcessError::Stopped {
            why: Stop::Timeout(_),
            ..
        } => FailureClass::Timeout,
        ProcessError::Stopped {
            why: Stop::Stalled(_),
            ..
        } => FailureClass::Stalled,
        ProcessError::Stopped {
            why: Stop::Cancelled,
            ..
        } => FailureClass::Interrupted,
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
