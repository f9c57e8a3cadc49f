//! The tool that runs a command.

use super::path::Root;
use super::{Answer, CommandRules, ToolDefinition, ToolLimits, ToolOutput, input};
use crate::process::{Limits, Output, ProcessError, Program};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) const NAME: &str = "run_command";

/// Bytes of the answer reserved for the text around the two outputs.
const FRAME_BYTES: usize = 200;

pub(super) fn definition(rules: &CommandRules, limits: &ToolLimits) -> ToolDefinition {
    let description = "Run a shell command in the workspace. Answers with its exit code and what it wrote. \
                       It has no input and no terminal, and what it leaves running is stopped.";
    ToolDefinition {
        name: NAME,
        description: match rules.describe() {
            Some(rules) => format!("{description} {rules}").into(),
            None => description.into(),
        },
        input_schema: json!({
            "type": "object",
            "properties": {
                "command": { "type": "string", "minLength": 1, "description": "The command, for sh." },
                "timeout_s": {
                    "type": "integer", "minimum": 1, "maximum": limits.command_timeout_max.as_secs(),
                    "description": format!(
                        "After how many seconds to stop it. {} if absent.",
                        limits.command_timeout.as_secs()
                    )
                }
            },
            "required": ["command"],
            "additionalProperties": false
        }),
    }
}

#[derive(Deserialize)]
struct Input {
    command: String,
    timeout_s: Option<u64>,
}

pub(super) async fn run(
    root: &Root,
    rules: &CommandRules,
    limits: &ToolLimits,
    input: Value,
    cancel: &CancellationToken,
) -> ToolOutput {
    let mut exit = None;
    let answer = answer(root, rules, limits, input, cancel, &mut exit).await;
    ToolOutput {
        exit,
        ..answer.into()
    }
}

/// Its answer; `exit` is set to the exit code, if it has one.
async fn answer(
    root: &Root,
    rules: &CommandRules,
    limits: &ToolLimits,
    input: Value,
    cancel: &CancellationToken,
    exit: &mut Option<i32>,
) -> Answer {
    let Input { command, timeout_s } = input::read(input)?;
    rules.check(&command)?;
    let program = Program::shell(command)
        .cwd(root.path())
        .without_secrets()
        .limits(Limits {
            timeout: Some(timeout_s.map_or(limits.command_timeout, Duration::from_secs)),
            idle_timeout: None,
            output_bytes_max: limits.output_bytes_max.saturating_sub(FRAME_BYTES) / 2,
        });
    match program.run(cancel).await {
        Ok(ended) => {
            *exit = ended.status.code();
            let said = said(ended.status, &ended.stdout, &ended.stderr);
            if ended.status.is_ok() {
                Ok(said)
            } else {
                Err(said)
            }
        }
        Err(ProcessError::Stopped {
            why, said: until, ..
        }) => Err(said(
            format!("stopped: {why}"),
            &until.stdout,
            &until.stderr,
        )),
        Err(error) => Err(error.to_string()),
    }
}

fn said(end: impl std::fmt::Display, stdout: &Output, stderr: &Output) -> String {
    let mut text = end.to_string();
    for (heading, output) in [("", stdout), ("\n[stderr]", stderr)] {
        let output = output.text();
        if !output.trim().is_empty() {
            text.push_str(heading);
            text.push('\n');
            text.push_str(output.trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::tools::Selection;
    use crate::tools::fixture::Fixture;
    use serde_json::{Value, json};

    fn command(line: &str) -> Value {
        json!({"command": line})
    }

    #[tokio::test]
    async fn it_runs_in_the_workspace_and_tells_how_it_went() {
        let fixture = Fixture::new().file("a", "content");
        assert_eq!(
            fixture.ok("run_command", command("cat a")).await,
            "exit code 0\ncontent"
        );
        assert_eq!(
            fixture.ok("run_command", command("true")).await,
            "exit code 0"
        );
        assert_eq!(
            fixture
                .error("run_command", command("echo out; echo err >&2; exit 2"))
                .await,
            "exit code 2\nout\n[stderr]\nerr"
        );
    }

    #[tokio::test]
    async fn a_timeout_keeps_what_was_said() {
        let input = json!({"command": "echo working; sleep 1000", "timeout_s": 2});
        assert_eq!(
            Fixture::new().error("run_command", input).await,
            "stopped: timeout after 2s\nworking"
        );
    }

    #[tokio::test]
    async fn cancelling_stops_it() {
        let fixture = Fixture::new();
        fixture.cancel.cancel();
        assert_eq!(
            fixture.error("run_command", command("sleep 1000")).await,
            "stopped: cancelled"
        );
    }

    #[tokio::test]
    async fn of_long_output_the_middle_is_left_out() {
        let fixture = Fixture::new().output_bytes_max(240);
        let text = fixture
            .ok("run_command", command("printf 0123456789abcdefghijklmnop"))
            .await;
        assert_eq!(
            text,
            "exit code 0\n0123456789\n… 6 bytes left out …\nghijklmnop"
        );
    }

    #[tokio::test]
    async fn the_time_it_may_ask_for_has_a_limit() {
        let input = json!({"command": "true", "timeout_s": 100_000});
        let error = Fixture::new().error("run_command", input).await;
        assert!(
            error.contains("timeout_s: 100000 is greater than the maximum"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn rules_are_told_and_kept() {
        let fixture = Fixture::new().select(Selection::of(Some(&["Bash(echo *)"]), &[]));
        let rules =
            "Only these may run: `echo *`. One plain command at a time, without shell operators.";
        assert!(
            fixture.toolbox().definitions()[0]
                .description
                .ends_with(rules)
        );
        assert_eq!(
            fixture.ok("run_command", command("echo hello")).await,
            "exit code 0\nhello"
        );
        for line in ["rm -rf .", "echo $(rm x)", "echo a; rm x"] {
            assert_eq!(
                fixture.error("run_command", command(line)).await,
                format!("this command is not allowed. {rules}")
            );
        }
    }
}
