//! JSON output of `show`. Money is in dollars, time in milliseconds since the Unix epoch.

use super::history::{Execution, attempts};
use super::page::{TaskPage, reply, tools, value_of};
use super::texts::Texts;
use divisi_core::event::GroupKind;
use divisi_core::event::{Awaited, CallSite, ParkReason, Refusal, Times, ToolCall, Worktree};
use divisi_core::run::{Counts, Stage};
use divisi_core::view::{Again, GroupView, Ref, RefusedTool, Status, TaskView, WaitView};
use divisi_core::{
    Failure, Millis, Outcome, PicoUsd, RunId, RunView, Task, TaskId, Timestamp, Usage,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// A run with all its tasks.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RunForm<'a> {
    /// Its id.
    id: &'a RunId,
    /// The flow's name.
    flow: &'a str,
    /// The name that it was given.
    name: Option<&'a str>,
    /// `running`, `parked`, `ok`, `partial`, `failed`, `cancelled`, `unstarted`, or `interrupted`
    /// if its process died.
    status: &'a str,
    /// Why it is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<&'a ParkReason>,
    /// Tasks with a result.
    ok: u32,
    /// Tasks that failed.
    failed: u32,
    /// Tasks that were never started.
    skipped: u32,
    /// Tasks that the user stopped.
    cancelled: u32,
    /// Tasks without an outcome.
    open: u32,
    /// Tasks whose results are those of an earlier execution.
    reused: u32,
    /// Tokens.
    usage: Usage,
    /// The cost of each request, counted up to its reservation; the excess is in `over`.
    cost: PicoUsd,
    /// The part reserved for requests whose reply never came.
    unconfirmed: PicoUsd,
    /// The cost of replies beyond their reservations.
    over: PicoUsd,
    /// The part that is estimated from texts, because replies had no counts.
    #[serde(skip_serializing_if = "is_zero")]
    estimated: PicoUsd,
    /// Its cap.
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<PicoUsd>,
    /// When it started.
    started_at: Timestamp,
    /// When it ended or parked.
    ended_at: Option<Timestamp>,
    /// Time at work, up to the latest event.
    took: Millis,
    /// Time not at work since the start: between executions, parked, or waiting for a quota.
    rested: Millis,
    /// What the flow returned.
    result: Option<Value>,
    /// Requests of the flow that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<RefusedForm<'a>>,
    /// The first exception in the flow that had no handler.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncaught: Option<&'a str>,
    /// Why the flow failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    /// Tasks that the flow requested together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<GroupForm<'a>>,
    /// The tasks of the latest execution.
    tasks: Vec<TaskForm<'a>>,
    /// Tasks of earlier executions that the latest one has not requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<TaskForm<'a>>,
    /// Results of earlier executions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier_results: Vec<EarlierForm<'a>>,
}

/// The result of an earlier execution of the flow.
#[derive(Serialize, JsonSchema)]
struct EarlierForm<'a> {
    /// Its number, from 1.
    execution: u32,
    /// How it ended.
    status: &'static str,
    /// When.
    at: Timestamp,
    /// What the flow returned.
    result: Option<Value>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
}

impl<'a> RunForm<'a> {
    /// The form of a run with this status; `texts` holds the result of its flow.
    pub(crate) fn new(
        id: &'a RunId,
        view: &'a RunView,
        status: &'a str,
        earlier: &'a [Execution],
        texts: &Texts,
    ) -> Self {
        let Counts {
            ok,
            failed,
            skipped,
            cancelled,
            open,
        } = view.counts;
        let parked = match &view.stage {
            Stage::Parking(reason) | Stage::Parked(reason) => Some(reason),
            Stage::Unstarted | Stage::Replaying | Stage::Running | Stage::Ended(_) => None,
        };
        let over = matches!(view.stage, Stage::Ended(_) | Stage::Parked(_));
        let json = |content| {
            texts
                .get(content)
                .and_then(|json| serde_json::from_str(json).ok())
        };
        let earlier_results = earlier.iter().map(|before| EarlierForm {
            execution: before.number,
            status: before.status,
            at: before.at,
            result: before.result.as_ref().ok().and_then(json),
            failure: before.result.as_ref().err().map(|failure| &**failure),
        });
        Self {
            id,
            flow: &view.name,
            name: view
                .flow
                .as_ref()
                .and_then(|flow| flow.label.name.as_deref()),
            status,
            parked,
            ok,
            failed,
            skipped,
            cancelled,
            open,
            reused: view.reused,
            usage: view.usage,
            cost: view.money.settled,
            unconfirmed: view.money.unconfirmed,
            over: view.money.over,
            estimated: view.money.estimated,
            cap: view.money.cap,
            started_at: view.started_at,
            ended_at: over.then_some(view.ended_at),
            took: view.span.worked(view.span.latest()),
            rested: view.span.rested(view.span.latest()),
            result: view
                .result
                .as_ref()
                .and_then(|result| json(result.as_ref().ok()?)),
            refused: view
                .refused
                .iter()
                .map(|(refusal, count)| RefusedForm {
                    refusal,
                    count: *count,
                })
                .collect(),
            uncaught: view.uncaught.as_ref().map(|(message, _)| &**message),
            failure: view
                .result
                .as_ref()
                .and_then(|result| Some(&**result.as_ref().err()?)),
            groups: view
                .groups
                .iter()
                .map(|group| GroupForm::new(group, view))
                .collect(),
            tasks: view
                .current()
                .map(|(id, task)| TaskForm::new(id, view, task))
                .collect(),
            earlier: view
                .earlier()
                .map(|(id, task)| TaskForm::new(id, view, task))
                .collect(),
            earlier_results: earlier_results.collect(),
        }
    }
}

/// Tasks that the flow requested together.
#[derive(Serialize, JsonSchema)]
struct GroupForm<'a> {
    /// The function that requests them.
    kind: GroupKind,
    /// The group that contains this one: an index into those of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Ref>,
    /// Number of functions or items it was given.
    width: u32,
    /// Its place in the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a CallSite>,
}

impl<'a> GroupForm<'a> {
    fn new(group: &'a GroupView, view: &'a RunView) -> Self {
        let GroupView {
            kind,
            parent,
            width,
            site,
        } = *group;
        Self {
            kind,
            parent,
            width,
            site: site.and_then(|site| view.sites.get(site)),
        }
    }
}

/// A refusal and its count.
#[derive(Serialize, JsonSchema)]
struct RefusedForm<'a> {
    #[serde(flatten)]
    refusal: &'a Refusal,
    /// How often.
    count: u64,
}

/// One task without its texts.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TaskForm<'a> {
    /// Its number: `t7`.
    task: TaskId,
    /// Its name.
    label: &'a str,
    /// Its phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'a str>,
    /// Its state.
    status: Status,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<&'a str>,
    /// The model that answered, or is asked.
    model: Option<&'a str>,
    /// Attempts so far.
    attempts: u32,
    /// Replies so far.
    turns: u32,
    /// Tokens.
    usage: Usage,
    /// Of all its attempts, with what may be billed at most for requests without a reply.
    cost: PicoUsd,
    /// The part reserved for requests whose reply never came.
    unconfirmed: PicoUsd,
    /// The part that is estimated from texts, because replies had no counts.
    #[serde(skip_serializing_if = "is_zero")]
    estimated: PicoUsd,
    /// Tools that it called without permission.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    refused_tools: &'a [RefusedTool],
    /// Copies of the repository that were kept with the task's changes.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    worktrees: &'a [Worktree],
    /// When its first attempt began.
    started_at: Option<Timestamp>,
    /// When it had its outcome.
    ended_at: Option<Timestamp>,
    /// Number of the first outcome that the flow had not been given when it requested the task.
    #[serde(skip_serializing_if = "is_nothing")]
    given: u32,
    /// What the flow had waited for before the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<Awaited>,
    /// The tasks whose results are part of the prompt.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reads: &'a [TaskId],
    /// Its group, an index into those of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Ref>,
    /// Where the flow requests it.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<&'a CallSite>,
}

fn is_zero(amount: &PicoUsd) -> bool {
    *amount == PicoUsd::ZERO
}

fn is_nothing(count: &u32) -> bool {
    *count == 0
}

fn is_default(times: &&Times) -> bool {
    **times == Times::default()
}

impl<'a> TaskForm<'a> {
    fn new(id: TaskId, view: &'a RunView, task: &'a TaskView) -> Self {
        Self {
            task: id,
            label: &task.label,
            phase: view.phase_of(task).map(|phase| &**phase),
            status: task.status,
            failure: view.failure_of(task),
            skipped: view.skipped_because(task).map(|reason| &**reason),
            model: view.model_of(task).map(|model| &**model),
            attempts: task.attempts,
            turns: task.turns,
            usage: task.usage,
            cost: task.spent.total(),
            unconfirmed: task.spent.unconfirmed,
            estimated: task.spent.estimated,
            refused_tools: task.refused_tools(),
            worktrees: task.worktrees(),
            started_at: task.started_at,
            ended_at: task.ended_at,
            given: task.given,
            waits: task.waits,
            reads: &task.reads,
            group: task.group,
            site: task.site.and_then(|site| view.sites.get(site)),
        }
    }
}

/// One task with its texts and its attempts.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TaskPageForm<'a> {
    /// The run.
    run: &'a RunId,
    #[serde(flatten)]
    task: TaskForm<'a>,
    /// Its identity: a digest of its request and its model.
    key: String,
    /// Its number among tasks with the same key, from 0.
    occurrence: u32,
    /// Its executor.
    executor: &'a str,
    /// Its models, in climbing order.
    models: Vec<&'a str>,
    /// The flow's request: prompt, schema, options.
    spec: Option<Task>,
    /// Its attempts.
    history: Vec<AttemptForm<'a>>,
    /// The waits of the task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waited: Vec<&'a WaitView>,
    /// Its result, whole or partial.
    result: Option<Value>,
    /// Its outcomes before it was tried again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier_outcomes: Vec<OutcomeForm<'a>>,
}

/// An outcome before a task was tried again.
#[derive(Serialize, JsonSchema)]
struct OutcomeForm<'a> {
    /// When.
    at: Timestamp,
    /// `ok`, `failed`, `skipped` or `cancelled`.
    status: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    /// The result, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
}

/// One attempt at a task.
#[derive(Serialize, JsonSchema)]
struct AttemptForm<'a> {
    /// Its number, from 1.
    number: u32,
    /// The model it was to ask.
    model: Option<&'a str>,
    /// Why there is a further attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    again: Option<Again>,
    /// When it began.
    started_at: Timestamp,
    /// When it ended.
    ended_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    /// Tokens.
    usage: Usage,
    /// What it cost.
    cost: PicoUsd,
    /// Its requests and replies.
    turns: Vec<TurnForm<'a>>,
    /// Calls of tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<&'a ToolCall>,
}

/// One request and its reply.
#[derive(Serialize, JsonSchema)]
struct TurnForm<'a> {
    /// The model that the reply names.
    model: &'a str,
    /// Tokens.
    usage: Usage,
    /// What it cost.
    cost: PicoUsd,
    /// Whether tokens and cost are estimated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    /// From sending to the last byte.
    took: Millis,
    /// When it was sent and when its reply began, and the waits before it.
    #[serde(skip_serializing_if = "is_default")]
    times: &'a Times,
    /// What the model said.
    text: Option<String>,
    /// The tools that it called.
    tools: Vec<CalledForm>,
}

/// A tool that a model called.
#[derive(Serialize, JsonSchema)]
struct CalledForm {
    /// The tool.
    name: String,
    /// What the model gave it.
    input: Value,
}

impl<'a> TaskPageForm<'a> {
    /// The form of a page; `None` if the run has no such task.
    pub(crate) fn new(page: &TaskPage<'a>, texts: &Texts) -> Option<Self> {
        let (task, submitted) = (page.view.task(page.task)?, page.submitted()?);
        let json = |content| {
            texts
                .get(content)
                .and_then(|json| serde_json::from_str(json).ok())
        };
        let history = attempts(page.events, page.task)
            .into_iter()
            .map(|attempt| AttemptForm {
                number: attempt.number,
                model: attempt.model,
                again: page.again(attempt.number),
                started_at: attempt.started_at,
                ended_at: attempt.end.map(|(at, _)| at),
                failure: attempt.end.and_then(|(_, failure)| failure),
                usage: attempt.usage,
                cost: attempt.cost,
                turns: attempt
                    .turns
                    .into_iter()
                    .map(|turn| TurnForm::new(turn, texts))
                    .collect(),
                tools: attempt.tools,
            });
        let earlier = page
            .earlier_outcomes()
            .into_iter()
            .map(|(at, outcome)| OutcomeForm {
                at,
                status: outcome.status(),
                failure: match outcome {
                    Outcome::Failed(failure) => Some(failure),
                    Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled => None,
                },
                result: value_of(outcome).and_then(json),
            });
        let earlier_outcomes = earlier.collect();
        let failure = match page.outcome() {
            Some(Outcome::Failed(failure)) => Some(failure),
            Some(Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled) | None => None,
        };
        Some(Self {
            earlier_outcomes,
            run: page.id,
            task: TaskForm {
                failure,
                ..TaskForm::new(page.task, page.view, task)
            },
            key: submitted.key.0.to_string(),
            occurrence: submitted.occurrence,
            executor: page.executor(),
            models: page
                .view
                .ladder_of(task)
                .into_iter()
                .map(|model| &**model)
                .collect(),
            spec: texts
                .get(&submitted.spec)
                .and_then(|spec| serde_json::from_str(spec).ok()),
            history: history.collect(),
            waited: page.view.waits_of(page.task).collect(),
            result: page.outcome().and_then(value_of).and_then(json),
        })
    }
}

impl<'a> TurnForm<'a> {
    fn new(turn: &'a divisi_core::event::Turn, texts: &Texts) -> Self {
        let reply = reply(turn, texts);
        let called = |(name, input): (&str, &Value)| CalledForm {
            name: name.to_owned(),
            input: input.clone(),
        };
        Self {
            model: &turn.model,
            usage: turn.usage,
            cost: turn.cost,
            estimated: turn.estimated,
            took: turn.took,
            times: &turn.times,
            text: reply.as_ref().map(|reply| reply.text()),
            tools: reply.iter().flat_map(tools).map(called).collect(),
        }
    }
}
