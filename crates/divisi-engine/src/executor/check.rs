//! Checks: what decides whether a result is good enough.
//!
//! They run within the attempt, where it worked, so that a judge is paid from
//! its reservation and a command sees its files. What they have against a
//! result goes to the next attempt.

use super::ask::{Answer, Asker, Halt, Wanted, request_bytes};
use super::schema::Checked;
use super::{Attempt, AttemptResult, Signal};
use crate::framing;
use crate::process::{Limits, ProcessError, Program, Stop};
use crate::resolve::Assignment;
use crate::setup::Model;
use divisi_core::check::{Check, Judge};
use divisi_core::content::Content;
use divisi_core::{Failure, FailureClass};
use divisi_providers::{Message, Reply, Request, SystemBlock};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest findings that go to the next attempt. The end of what a command
/// prints says most.
pub(crate) const FINDINGS_BYTES_MAX: u64 = 8 * 1024;

/// Longest verdict of a judge in tokens, thinking included.
const VERDICT_TOKENS_MAX: u32 = 4_096;

/// Verdicts that may miss their form before the judge is given up.
const VERDICT_TRIES_MAX: u32 = 3;

/// Lets the checks of a task decide over the results of an attempt.
pub(super) struct Checks {
    assignment: Arc<Assignment>,
    asker: Asker,
    can_climb: bool,
}

impl Checks {
    /// The checks of an attempt's task; `None` where it has none.
    pub(super) fn of(attempt: &Attempt) -> Option<Self> {
        let assignment = attempt.assignment.clone();
        (!assignment.task.check.is_empty()).then(|| Self {
            asker: Asker {
                line: attempt.line.clone(),
                setup: assignment.setup.clone(),
                kept: attempt.kept.clone(),
                hedge: None,
                idle_timeout: assignment.idle_timeout,
            },
            can_climb: attempt.can_climb,
            assignment,
        })
    }

    /// The result as it is after all checks. Those that need files find them in `root`.
    pub(super) async fn stand(mut self, mut result: AttemptResult, root: &Path) -> AttemptResult {
        let Ok(value) = &result.result else { return result };
        let value = value.clone();
        // Checks may take their time: what has been paid for is written down first.
        if self.asker.record(result.last_turn.take()).await.is_err() {
            return stopped();
        }
        match self.first_refusal(&value, root).await {
            Ok(None) => result,
            Ok(Some(findings)) => refused(result, &value, &findings),
            Err(Halt::Failed(failed)) => *failed,
            Err(Halt::Stopped) => stopped(),
        }
    }

    async fn first_refusal(&mut self, value: &Arc<str>, root: &Path) -> Result<Option<String>, Halt> {
        let assignment = self.assignment.clone();
        let are_opinions = assignment.task.check.iter().all(|check| matches!(check, Check::Judge(_)));
        for (check, judge) in assignment.task.check.iter().zip(&assignment.judges) {
            let findings = match (check, judge) {
                // An opinion is asked for where it decides something: where there are
                // only opinions and no stronger model, the result stands all the same.
                (Check::Judge(_), _) if !self.can_climb && are_opinions => None,
                (Check::Schema(schema), _) => misfit(schema, value).map_err(failed)?,
                (Check::Command(command), _) => self.run(command, value, root).await.map_err(failed)?,
                (Check::Judge(judge), Some(model)) => self.judge(judge, model, value).await?,
                (Check::Judge(_), None) => None,
            };
            if findings.is_some() {
                return Ok(findings);
            }
        }
        Ok(None)
    }

    /// What a command has against the result: what it prints when it fails.
    async fn run(&self, command: &str, value: &str, root: &Path) -> Result<Option<String>, Failure> {
        let most = Duration::from_millis(self.assignment.setup.check_timeout.0);
        let limits = Limits { timeout: Some(most), ..Limits::default() };
        let at_work = format!("check {}", command.lines().next().unwrap_or_default());
        self.asker.line.signal(|attempt| Signal::Tool { attempt, what: at_work.into() });
        // What it prints goes into prompts: it gets no keys.
        let program = Program::shell(command).without_secrets().stdin(plain(value)).cwd(root).limits(limits);
        let exit = program.run(self.asker.line.stop()).await.map_err(|error| did_not_run(command, &error))?;
        if exit.status.is_ok() {
            return Ok(None);
        }
        let said = format!("{}\n{}", exit.stdout.text().trim(), exit.stderr.text().trim());
        Ok(Some(format!("`{command}` ended with {}:\n{}", exit.status, last(said.trim()))))
    }

    /// What a judge has against the result. One that gives no verdict has said
    /// nothing for it, so the result counts as refused.
    async fn judge(&mut self, judge: &Judge, model: &Model, value: &str) -> Result<Option<String>, Halt> {
        let mut request = self.verdict_request(judge, model, value);
        for _ in 0..VERDICT_TRIES_MAX {
            let reply = self.verdict(&request, model).await?;
            match read_verdict(&reply) {
                Ok(verdict) if verdict.score >= judge.threshold => return Ok(None),
                Ok(Verdict { score, findings }) => {
                    let needed = judge.threshold;
                    return Ok(Some(format!("{score} of 10, {needed} are needed: {}", last(&findings))));
                }
                Err(violations) => {
                    request.messages.push(reply.into_message());
                    request.messages.push(Message::user(framing::repair(&violations)));
                }
            }
        }
        Ok(Some(format!("the judge `{}` gave no verdict in {VERDICT_TRIES_MAX} tries", model.id)))
    }

    /// A judge's reply, made durable.
    async fn verdict(&mut self, request: &Request, model: &Model) -> Result<Reply, Halt> {
        let wanted = Wanted {
            bytes: request_bytes(request),
            request,
            model,
            ordered: None,
            tool_results: None,
            judges: true,
        };
        let Answer { reply, turn, cut, .. } = self.asker.ask(wanted).await?;
        self.asker.record(turn).await?;
        match cut {
            None => Ok(reply),
            Some(next_turn) => {
                let message = "the judge was cut off for want of money";
                let failed = Failure::new(FailureClass::Interrupted, message);
                let result = AttemptResult { next_turn: Some(next_turn), ..failed.into() };
                Err(Halt::Failed(Box::new(result)))
            }
        }
    }

    fn verdict_request(&self, judge: &Judge, model: &Model, value: &str) -> Request {
        let task = &self.assignment.task;
        let context = task.context.as_deref().unwrap_or_default();
        let prompt = framing::verdict(&judge.rubric, &format!("{context}\n{}", task.prompt), &plain(value));
        let most = self.assignment.setup.reply_tokens_max.min(VERDICT_TOKENS_MAX);
        Request {
            system: vec![SystemBlock { text: framing::JUDGE.trim().into(), cache: false }],
            schema: Some(verdict_schema().into()),
            ..Request::new(model.id.clone(), prompt, most)
        }
    }
}

/// The end of an attempt whose result a check has something against.
fn refused(result: AttemptResult, value: &Arc<str>, findings: &str) -> AttemptResult {
    let first = findings.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let mut failure = Failure::new(FailureClass::Check, first.trim_end_matches(':'))
        .hint("look at the result and at what the check says, with `divisi show`");
    failure.partial = Some(match value.len() {
        0..=Content::INLINE_BYTES_MAX => Content::Inline(value.clone()),
        _ => {
            let most = value.floor_char_boundary(Content::INLINE_BYTES_MAX / 2);
            Content::Inline(Value::from(&value[..most]).to_string().into())
        }
    });
    AttemptResult { result: Err(failure), findings: Some(findings.into()), ..result }
}

/// A judge's answer.
#[derive(Deserialize)]
struct Verdict {
    score: u8,
    findings: String,
}

/// The verdict in a reply, or what is wrong with it, in words for the judge.
fn read_verdict(reply: &Reply) -> Result<Verdict, String> {
    let checked = Checked::new(&verdict_schema()).map_err(|failure| failure.message)?;
    serde_json::from_value(checked.check(&reply.text())?).map_err(|error| error.to_string())
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

fn misfit(schema: &Value, value: &str) -> Result<Option<String>, Failure> {
    Ok(Checked::new(schema)?.check(value).err())
}

/// Says nothing against the result: the check itself has come to nothing.
fn did_not_run(command: &str, error: &ProcessError) -> Failure {
    match error {
        ProcessError::Stopped { why: Stop::Timeout(most), .. } => {
            let message = format!("the check `{command}` took longer than {most:?}");
            Failure::new(FailureClass::Timeout, message).hint("raise `check_timeout`, or check less")
        }
        ProcessError::Stopped { why: Stop::Cancelled, .. } => {
            Failure::new(FailureClass::Interrupted, format!("the check `{command}` was stopped"))
        }
        ProcessError::NotFound { .. }
        | ProcessError::NoFolder { .. }
        | ProcessError::NotStarted { .. }
        | ProcessError::Lost { .. }
        | ProcessError::Stopped { why: Stop::Stalled(_), .. } => {
            Failure::new(FailureClass::Program, format!("the check `{command}` did not run: {error}"))
        }
    }
}

/// A result as people and programs read it: a text without its quotes.
fn plain(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Value::String(text)) => text,
        Ok(_) | Err(_) => value.to_owned(),
    }
}

fn last(text: &str) -> &str {
    let from = text.len().saturating_sub(FINDINGS_BYTES_MAX as usize);
    &text[text.ceil_char_boundary(from)..]
}

fn stopped() -> AttemptResult {
    Failure::new(FailureClass::Interrupted, "the run stopped").into()
}

fn failed(failure: Failure) -> Halt {
    Halt::Failed(Box::new(failure.into()))
}
