//! Tasks that are shell commands.

use super::command::run_in;
use super::{Context, Ending, Executor, ExecutorSpec};
use crate::process::{Program, Status};
use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::{Failure, Task};
use serde_json::json;

/// Carries out `shell(command)`. Any exit code is a result.
#[derive(Clone, Copy, Debug)]
pub struct ShellExecutor;

#[async_trait]
impl Executor for ShellExecutor {
    fn spec(&self) -> ExecutorSpec {
        ExecutorSpec::new("")
    }

    fn accepts(&self, _: &Task, permissions: &Permissions) -> Result<(), Failure> {
        permissions.to_run("the flow wants to run a shell command, which is not allowed")
    }

    async fn run(&self, context: &Context) -> Ending {
        // Its output goes into the journal and into prompts, so it gets no keys.
        let run = Program::shell(&*context.task().prompt).without_secrets();
        match run_in(run, context).await {
            Ok(exit) => {
                let code = match exit.status {
                    Status::Code(code) => code,
                    // The exit code that shells report for a signal.
                    Status::Signal(signal) => 128 + signal,
                };
                let (stdout, stderr) = (exit.stdout.text(), exit.stderr.text());
                Ending::ok(json!({"code": code, "stdout": stdout, "stderr": stderr}))
            }
            Err(failure) => failure.into(),
        }
    }
}
