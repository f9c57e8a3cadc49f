//! What `show` gives to programs. Money is in picodollars, time in milliseconds
//! since the Unix epoch, as in the journal.

use super::history::{Execution, attempts};
use super::page::{TaskPage, reply, result, tools, value_of};
use super::status;
use super::texts::Texts;
use divisi_core::event::{ParkReason, Refusal, Worktree};
use divisi_core::run::{Counts, Stage, TaskState};
use divisi_core::{Failure, Millis, Outcome, PicoUsd, Run, RunId, TaskId, Timestamp, Usage};
use serde::Serialize;
use serde_json::Value;

/// A run with all its tasks.
#[derive(Serialize)]
pub(crate) struct RunForm<'a> {
    id: &'a RunId,
    name: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<&'a ParkReason>,
    ok: u32,
    failed: u32,
    skipped: u32,
    cancelled: u32,
    open: u32,
    reused: u32,
    usage: Usage,
    /// Up to what was set aside for each request.
    cost: PicoUsd,
    /// The part of it that was set aside for requests whose reply never came.
    unconfirmed: PicoUsd,
    /// What replies have cost above what was set aside for them.
    over: PicoUsd,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<PicoUsd>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    /// At work, up to its latest event.
    took: Millis,
    /// At rest since it began: between executions, parked, or waiting for a quota.
    rested: Millis,
    /// What the flow returned.
    result: Option<Value>,
    /// What the flow asked for and was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedForm<'a>>,
    /// The first exception in the flow that had no handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncaught: Option<&'a str>,
    /// Why the flow failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    tasks: Vec<TaskForm<'a>>,
    /// Tasks of earlier executions that the latest one has not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<TaskForm<'a>>,
    /// What earlier executions came to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier_results: Vec<EarlierForm<'a>>,
}

/// What an earlier execution of the flow came to.
#[derive(Serialize)]
struct EarlierForm<'a> {
    execution: u32,
    status: &'static str,
    at: Timestamp,
    /// What the flow returned.
    result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
}

impl<'a> RunForm<'a> {
    /// The form of a run that stands at `status`; `texts` holds what its flow returned.
    pub(crate) fn new(
        id: &'a RunId,
        run: &'a Run,
        status: &'a str,
        earlier: &'a [Execution],
        texts: &Texts,
    ) -> Self {
        let Counts { ok, failed, skipped, cancelled, open } = run.counts();
        let parked = match run.stage() {
            Stage::Parking(reason) | Stage::Parked(reason) => Some(reason),
            Stage::Unstarted | Stage::Replaying | Stage::Running | Stage::Ended(_) => None,
        };
        let over = matches!(run.stage(), Stage::Ended(_) | Stage::Parked(_));
        let json = |content| texts.get(content).and_then(|json| serde_json::from_str(json).ok());
        let earlier_results = earlier.iter().map(|before| EarlierForm {
            execution: before.number,
            status: before.status,
            at: before.at,
            result: before.result.as_ref().ok().and_then(json),
            failure: before.result.as_ref().err().map(|failure| &**failure),
        });
        Self {
            id,
            name: run.name(),
            status,
            parked,
            ok,
            failed,
            skipped,
            cancelled,
            open,
            reused: run.reused(),
            usage: run.usage(),
            cost: run.budget().settled,
            unconfirmed: run.budget().unconfirmed,
            over: run.budget().over,
            cap: run.budget().cap,
            started_at: run.started_at(),
            ended_at: over.then(|| run.ended_at()),
            took: run.span().worked(run.span().latest()),
            rested: run.span().rested(run.span().latest()),
            result: run.result().and_then(Result::ok).and_then(json),
            refused: run.refused().map(|(refusal, count)| RefusedForm { refusal, count }).collect(),
            uncaught: run.uncaught().map(|(message, _)| message),
            failure: run.result().and_then(Result::err),
            tasks: run.tasks().map(|(id, task)| TaskForm::new(id, task)).collect(),
            earlier: run.earlier_tasks().map(|(id, task)| TaskForm::new(id, task)).collect(),
            earlier_results: earlier_results.collect(),
        }
    }
}

/// Something that was refused, and how often.
#[derive(Serialize)]
struct RefusedForm<'a> {
    #[serde(flatten)]
    refusal: &'a Refusal,
    count: u64,
}

/// A tool that an agent called and the run does not permit.
#[derive(Serialize)]
struct RefusedTool<'a> {
    tool: &'a str,
    permission: &'a str,
    count: u32,
}

/// One task, without its texts.
#[derive(Serialize)]
pub(crate) struct TaskForm<'a> {
    task: TaskId,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    model: Option<&'a str>,
    attempts: u32,
    turns: u32,
    usage: Usage,
    cost: PicoUsd,
    /// The part of it that was set aside for requests whose reply never came.
    unconfirmed: PicoUsd,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused_tools: Vec<RefusedTool<'a>>,
    /// Copies of the repository with its changes, which were kept.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    worktrees: &'a [Worktree],
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

impl<'a> TaskForm<'a> {
    fn new(id: TaskId, state: &'a TaskState) -> Self {
        let (failure, skipped) = match state.outcome() {
            Some(Outcome::Failed(failure)) => (Some(failure), None),
            Some(Outcome::Skipped { reason }) => (None, Some(reason.as_str())),
            Some(Outcome::Ok { .. } | Outcome::Cancelled) | None => (None, None),
        };
        Self {
            task: id,
            label: &state.facts().label,
            phase: state.facts().phase.as_deref(),
            status: status::word(state),
            failure,
            skipped,
            model: state.model().map(|model| &**model),
            attempts: state.attempts(),
            turns: state.turns_total(),
            usage: state.usage(),
            cost: state.cost(),
            unconfirmed: state.spent().unconfirmed,
            refused_tools: state
                .refused_tools()
                .map(|(tool, permission, count)| RefusedTool { tool, permission, count })
                .collect(),
            worktrees: state.worktrees(),
            started_at: state.started_at(),
            ended_at: state.ended_at(),
        }
    }
}

/// One task with its texts and its attempts.
#[derive(Serialize)]
pub(crate) struct TaskPageForm<'a> {
    run: &'a RunId,
    #[serde(flatten)]
    task: TaskForm<'a>,
    key: String,
    occurrence: u32,
    executor: &'a str,
    models: Vec<&'a str>,
    /// What the flow asked for: prompt, schema, options.
    spec: Option<Value>,
    history: Vec<AttemptForm<'a>>,
    /// What came of it, whole or in part.
    result: Option<Value>,
    /// What came of it before it was tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier_outcomes: Vec<OutcomeForm<'a>>,
}

#[derive(Serialize)]
struct OutcomeForm<'a> {
    at: Timestamp,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    /// What there was of a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
}

#[derive(Serialize)]
struct AttemptForm<'a> {
    number: u32,
    model: Option<&'a str>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    usage: Usage,
    cost: PicoUsd,
    turns: Vec<TurnForm<'a>>,
}

#[derive(Serialize)]
struct TurnForm<'a> {
    model: &'a str,
    usage: Usage,
    cost: PicoUsd,
    took: Millis,
    text: Option<String>,
    tools: Vec<Value>,
}

impl<'a> TaskPageForm<'a> {
    /// The form of a page; `None` when the run has no such task.
    pub(crate) fn new(page: &TaskPage<'a>, texts: &Texts) -> Option<Self> {
        let state = page.run.task(page.task)?;
        let json = |content| texts.get(content).and_then(|json| serde_json::from_str(json).ok());
        let history = attempts(page.events, page.task).into_iter().map(|attempt| AttemptForm {
            number: attempt.number,
            model: attempt.model,
            started_at: attempt.started_at,
            ended_at: attempt.end.map(|(at, _)| at),
            failure: attempt.end.and_then(|(_, failure)| failure),
            usage: attempt.usage,
            cost: attempt.cost,
            turns: attempt.turns.into_iter().map(|turn| TurnForm::new(turn, texts)).collect(),
        });
        let earlier = page.earlier_outcomes().into_iter().map(|(at, outcome)| OutcomeForm {
            at,
            status: outcome.status(),
            failure: match outcome {
                Outcome::Failed(failure) => Some(failure),
                Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled => None,
            },
            result: value_of(outcome).and_then(json),
        });
        let earlier_outcomes = earlier.collect();
        Some(Self {
            earlier_outcomes,
            run: page.id,
            task: TaskForm::new(page.task, state),
            key: state.key().0.to_string(),
            occurrence: state.occurrence(),
            executor: &state.facts().executor,
            models: state.facts().models.iter().map(|model| &**model).collect(),
            spec: json(state.spec()),
            history: history.collect(),
            result: result(state).and_then(json),
        })
    }
}

impl<'a> TurnForm<'a> {
    fn new(turn: &'a divisi_core::event::Turn, texts: &Texts) -> Self {
        let reply = reply(turn, texts);
        let called = |(name, input): (&str, &Value)| serde_json::json!({ "name": name, "input": input });
        Self {
            model: &turn.model,
            usage: turn.usage,
            cost: turn.cost,
            took: turn.took,
            text: reply.as_ref().map(|reply| reply.text()),
            tools: reply.iter().flat_map(tools).map(called).collect(),
        }
    }
}
