//! Checks decide whether a result is good enough.
//!
//! They run within the attempt, in its folder, so that a judge is paid from its reservation and a
//! command sees its files. Their findings go to the next attempt. The core decides which checks are
//! made and what follows.

use super::assignment::Assignment;
use super::dialogue::{Dialogue, FINDINGS_BYTES_MAX, end_of, last_of};
use crate::executor::{Line, Signal};
use crate::framing;
use crate::models::Model;
use crate::process::{Exit, Limits, ProcessError, Program, Stop as ProgramStop};
use divisi_core::attempt::{Reading, VERDICT_TRIES_MAX};
use divisi_core::check::Judge;
use divisi_core::{Failure, FailureClass};
use divisi_providers::{Reply, Request, Stop, SystemBlock};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Longest part of the command shown before its output.
const COMMAND_BYTES_MAX: usize = 512;

/// Exit codes of the shell for a command that it may not run, and for one that it does not find.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Longest verdict of a judge in tokens, thinking included.
const VERDICT_TOKENS_MAX: u32 = 4_096;

/// The findings of a command: its output, if it fails.
pub(super) async fn run(
    command: &str,
    assignment: &Assignment,
    value: &str,
    root: &Path,
    line: &Line,
) -> Result<Option<String>, Failure> {
    let most = Duration::from_millis(assignment.setup.check_timeout.0);
    let limits = Limits {
        timeout: Some(most),
        ..Limits::default()
    };
    let at_work = format!("check {}", command.lines().next().unwrap_or_default());
    line.signal(|attempt| Signal::Tool {
        attempt,
        what: at_work.into(),
    });
    // Its output goes into prompts, so it gets no keys.
    let program = Program::shell(command)
        .without_secrets()
        .stdin(plain(value))
        .cwd(root)
        .limits(limits);
    let exit = program
        .run(line.stop())
        .await
        .map_err(|error| did_not_run(command, &error))?;
    if exit.status.is_ok() {
        return Ok(None);
    }
    if let Some(CANNOT_RUN | NOT_FOUND) = exit.status.code() {
        return Err(no_command(command, &exit));
    }
    let said = format!(
        "{}\n{}",
        exit.stdout.text().trim(),
        exit.stderr.text().trim()
    );
    let shown = &command[..command.floor_char_boundary(COMMAND_BYTES_MAX)];
    let head = format!("`{shown}` ended with {}:\n", exit.status);
    let left = FINDINGS_BYTES_MAX.saturating_sub(head.len());
    Ok(Some(head + end_of(said.trim(), left)))
}

/// The shell has not found the command, or may not run it. That is no verdict, and a stronger model
/// would meet the same.
fn no_command(command: &str, exit: &Exit) -> Failure {
    let said = exit.stderr.text();
    let said = said.lines().next_back().unwrap_or("it cannot be started");
    let message = format!("the check `{command}` cannot run: {said}");
    Failure::new(FailureClass::Unavailable, message)
        .hint("install it, correct its name, or name it by its path")
}

/// The conversation with one judge.
pub(super) struct Verdicts {
    /// Index of its check.
    pub(super) place: usize,
    pub(super) model: Model,
    pub(super) dialogue: Dialogue,
    threshold: u8,
    /// Its findings, if it gave any.
    pub(super) findings: String,
}

impl Verdicts {
    /// Prepares the question to `judge` about a result.
    pub(super) fn of(
        place: usize,
        judge: &Judge,
        model: &Model,
        assignment: &Assignment,
        value: &str,
    ) -> Result<Self, Failure> {
        let task = &assignment.task;
        let context = task.context.as_deref().unwrap_or_default();
        let prompt = framing::verdict(
            &judge.rubric,
            &format!("{context}\n{}", task.prompt),
            &plain(value),
        );
        let most = assignment.setup.reply_tokens_max.min(VERDICT_TOKENS_MAX);
        let schema = verdict_schema();
        let request = Request {
            system: vec![SystemBlock {
                text: framing::JUDGE.trim().into(),
                cache: false,
            }],
            schema: Some(schema.clone().into()),
            ..Request::new(model.id.clone(), prompt, most)
        };
        let dialogue = Dialogue::new(request, Some(&schema))?;
        let (model, threshold) = (model.clone(), judge.threshold);
        Ok(Self {
            place,
            model,
            dialogue,
            threshold,
            findings: String::new(),
        })
    }

    /// Reads its reply; `is_short` if that had less room than was asked for.
    pub(super) fn read(&mut self, reply: &Reply, is_short: bool) -> Reading {
        if is_short && reply.stop == Stop::MaxTokens {
            return Reading::Truncated;
        }
        // The text counts, whatever stop reason the vendor gives.
        let reply = Reply {
            stop: Stop::EndTurn,
            ..reply.clone()
        };
        if self.dialogue.read(&reply) != Reading::Answers {
            return Reading::NoVerdict;
        }
        let verdict = self
            .dialogue
            .value()
            .and_then(|value| serde_json::from_str::<Verdict>(value).ok());
        match verdict {
            Some(verdict) if verdict.score >= self.threshold => Reading::Passes,
            Some(Verdict { score, findings }) => {
                let needed = self.threshold;
                self.findings =
                    format!("{score} of 10, {needed} are needed: {}", last_of(&findings));
                Reading::Refuses
            }
            None => Reading::NoVerdict,
        }
    }

    /// The findings when the judge gives no verdict: then the result counts as refused.
    pub(super) fn no_verdict(&self) -> String {
        format!(
            "the judge `{}` gave no verdict in {VERDICT_TRIES_MAX} tries",
            self.model.id
        )
    }
}

/// A judge's answer.
#[derive(Deserialize)]
struct Verdict {
    score: u8,
    findings: String,
}

fn verdict_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "findings": {"type": "string", "description": "What is wrong and how to mend it; empty if nothing is."},
            "score": {"type": "integer", "minimum": 0, "maximum": 10},
        },
        "required": ["findings", "score"],
        "additionalProperties": false,
    })
}

/// The check itself failed, which is no evidence against the result.
fn did_not_run(command: &str, error: &ProcessError) -> Failure {
    match error {
        ProcessError::Stopped {
            why: ProgramStop::Timeout(most),
            ..
        } => {
            let message = format!("the check `{command}` took longer than {most:?}");
            Failure::new(FailureClass::Timeout, message)
                .hint("raise `check_timeout`, or check less")
        }
        ProcessError::Stopped {
            why: ProgramStop::Cancelled,
            ..
        } => Failure::new(
            FailureClass::Interrupted,
            format!("the check `{command}` was stopped"),
        ),
        ProcessError::NotFound { .. }
        | ProcessError::NoFolder { .. }
        | ProcessError::NotStarted { .. }
        | ProcessError::Lost { .. }
        | ProcessError::Stopped {
            why: ProgramStop::Stalled(_),
            ..
        } => Failure::new(
            FailureClass::Program,
            format!("the check `{command}` did not run: {error}"),
        ),
    }
}

/// A result as plain text: a JSON string without its quotes.
fn plain(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Value::String(text)) => text,
        Ok(_) | Err(_) => value.to_owned(),
    }
}
