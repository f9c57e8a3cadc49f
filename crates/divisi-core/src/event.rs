//! The events of a run, as recorded in its journal.
//!
//! This is one of divisi's two contracts: journals written by older versions
//! stay readable. Fields may be added with a default; none may change meaning.

use crate::budget::TurnBound;
use crate::check::OneOrMany;
use crate::estimate::Estimate;
use crate::{
    AttemptId, Content, Digest, Failure, FailureClass, Key, Limits, Millis, Outcome, PicoUsd,
    Position, RetryPolicy, TaskId, Timestamp, Usage,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Version of the events below; a store with a later one is not opened.
pub const FORMAT: u32 = 6;

/// One event with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recorded {
    /// The number of events before it in the journal.
    pub position: Position,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run exists. Always the first event.
    RunStarted(Box<RunStarted>),
    /// The flow is executed again from its start; tasks that the journal knows are answered from
    /// it.
    RunResumed(Box<RunResumed>),
    /// The flow waits and the journal has no further answers for it; from here on attempts start.
    CaughtUp {
        /// Tasks answered from the journal.
        reused: u32,
        /// The cost of their results when they were made.
        saved: PicoUsd,
        /// Tasks that will run.
        to_run: u32,
    },
    /// A phase has begun.
    PhaseStarted {
        /// Its title.
        title: Arc<str>,
        /// Most its tasks may spend in all, including what they have spent before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap: Option<PicoUsd>,
    },
    /// The flow has logged a message.
    Logged {
        /// One line or more.
        message: Arc<str>,
    },
    /// The estimate for the whole run, made when this execution began; at most one per execution.
    Estimated {
        /// The expectation.
        estimate: Box<Estimate>,
    },
    /// The flow requests a task that the run does not know.
    TaskSubmitted(Box<TaskSubmitted>),
    /// The flow requests, in a later execution, a task that the run knows.
    TaskClaimed {
        /// The known task.
        task: TaskId,
        /// Its new facts, where they differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Arc<TaskFacts>>,
    },
    /// An attempt is to start; it starts once this is durable.
    AttemptScheduled {
        /// Which one.
        attempt: AttemptId,
        /// The model id it runs on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Arc<str>>,
        /// Reserved for its first turn.
        reserved: PicoUsd,
        /// Longest reply of that turn in tokens, where the budget allows less than was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_tokens: Option<u32>,
    },
    /// A further request is to be sent; it is sent once this is durable.
    TurnScheduled {
        /// In which attempt.
        attempt: AttemptId,
        /// Results of the tools called by the previous reply: JSON text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_results: Option<Content>,
        /// The calls that gave these results.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tools: Vec<ToolCall>,
        /// Reserved for the request.
        reserved: PicoUsd,
        /// Longest reply in tokens, where the budget allows less than was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_tokens: Option<u32>,
    },
    /// The request under way is to be sent a second time because it takes far longer than
    /// comparable ones; it is sent once this is durable.
    TurnHedged {
        /// In which attempt.
        attempt: AttemptId,
        /// Reserved for the second copy, in addition to the first.
        reserved: PicoUsd,
    },
    /// One of the two copies of a request has ended and its reply is not used.
    HedgeEnded {
        /// In which attempt.
        attempt: AttemptId,
        /// Its cost: what it may be billed at most.
        #[serde(default, skip_serializing_if = "is_default")]
        cost: PicoUsd,
    },
    /// A reply has been received.
    TurnEnded {
        /// In which attempt.
        attempt: AttemptId,
        /// The request and its reply.
        turn: Box<Turn>,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// Which one.
        attempt: AttemptId,
        /// Why it failed; `None` when it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
        /// Usage beyond its recorded turns.
        #[serde(default, skip_serializing_if = "is_default")]
        usage: Usage,
        /// Cost of that usage, including what a request without a reply may cost at most.
        #[serde(default, skip_serializing_if = "is_default")]
        cost: PicoUsd,
        /// The part of the cost that a request without a reply may be billed besides what is known
        /// of it: its reservation, or less.
        #[serde(default, skip_serializing_if = "is_default")]
        unconfirmed: PicoUsd,
        /// Whether usage and the rest of the cost are those of a reply that broke off: what the
        /// vendor had counted, and what had arrived.
        #[serde(default, skip_serializing_if = "is_default")]
        estimated: bool,
        /// Bound of its next turn, where the budget did not allow it.
        #[serde(
            default,
            rename = "next_turn_max",
            skip_serializing_if = "Option::is_none"
        )]
        next_turn: Option<TurnBound>,
        /// The findings of the check that refused its result.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        findings: Option<Content>,
        /// Results of the tools called by its last reply, where it ended before it could send them:
        /// JSON text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_results: Option<Content>,
        /// Total time it waited for permits or for a prefix to be cached.
        #[serde(default, skip_serializing_if = "is_default")]
        waited: Millis,
        /// The waits that none of its turns records.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waits: Vec<Wait>,
        /// The copy of the repository that it worked in, kept because files in it have changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worktree: Option<Box<Worktree>>,
        /// What answered the question that it was suspended with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answered_by: Option<AnsweredBy>,
    },
    /// An executor has reported usage since its last report, or a handle by which a later attempt
    /// finds its work.
    AttemptReported {
        /// Which attempt.
        attempt: AttemptId,
        /// The model that used them, if the executor knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Arc<str>>,
        /// Tokens.
        #[serde(default, skip_serializing_if = "is_default")]
        usage: Usage,
        /// Cost of that usage. The attempt's reservation shrinks by as much.
        #[serde(default, skip_serializing_if = "is_default")]
        cost: PicoUsd,
        /// The part of the cost that was reserved and that no bill confirms.
        #[serde(default, skip_serializing_if = "is_default")]
        unconfirmed: PicoUsd,
        /// Handle of its work: JSON text that only its executor reads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<Content>,
    },
    /// An attempt waits for something outside of the process, by a handle that outlives the
    /// process. It holds no slot and no timeout, and a resume does not count it as lost. It ends
    /// with `AttemptEnded`, wherever its answer comes from.
    AttemptSuspended {
        /// Which attempt.
        attempt: AttemptId,
        /// What it waits for.
        suspension: Box<Suspension>,
    },
    /// The question of a suspended attempt has been answered, but the answer is not its result: the
    /// next attempt gets it and continues the work.
    SuspensionAnswered {
        /// Which attempt.
        attempt: AttemptId,
        /// The answer: JSON text.
        answer: Content,
    },
    /// Something that the flow or an agent requested was not done. Equal refusals in one batch are
    /// one event.
    Refused {
        /// What was refused, and why.
        refusal: Refusal,
        /// How often.
        count: u32,
    },
    /// The flow has ended with exceptions that no handler caught, so work that depended on them is
    /// missing.
    Uncaught {
        /// The first of them, with the line where it was thrown.
        message: Arc<str>,
        /// How many there were.
        count: u32,
    },
    /// A task is to be tried again after a delay.
    RetryPlanned {
        /// The task.
        task: TaskId,
        /// The earliest moment of the next attempt.
        due: Timestamp,
    },
    /// A task has its outcome.
    TaskEnded {
        /// Which one.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The user has set another cap while the run was under way.
    CapChanged {
        /// The cap from now on, until a resume states another.
        cap: PicoUsd,
    },
    /// The user has set another number of attempts at a time while the run was under way.
    WidthChanged {
        /// Most attempts in flight from now on; a resume states its own.
        in_flight_max: u32,
    },
    /// Most of the budget is spent; recorded at most once per execution.
    SoftLimitReached {
        /// Amount spent.
        spent: PicoUsd,
        /// The run's cap.
        cap: PicoUsd,
    },
    /// Nothing new starts; attempts in flight finish.
    ParkingStarted {
        /// Why.
        reason: ParkReason,
    },
    /// The run is parked: everything is kept, and it can be resumed. After `WaitStarted` it ends
    /// that wait.
    RunParked {
        /// Why.
        reason: ParkReason,
    },
    /// The process that drives the parked run waits and will continue by itself. If the process
    /// dies meanwhile, the run stays parked.
    WaitStarted {
        /// When it continues.
        until: Timestamp,
    },
    /// The parked run continues in the same execution: what it waited for may be available again.
    RunWoken,
    /// The flow has returned or thrown.
    FlowEnded {
        /// The JSON text it returned, or its failure.
        result: Result<Content, Box<Failure>>,
    },
    /// The run is over.
    RunEnded {
        /// How it ended.
        status: RunStatus,
    },
}

/// Content of the first event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunStarted {
    /// Version of the events it is written in.
    pub format: u32,
    /// Name of the flow, for display.
    pub name: Arc<str>,
    /// The flow that is executed.
    pub flow: FlowSource,
    /// Limits on its size.
    pub limits: Limits,
    /// Limits on its cost.
    #[serde(flatten)]
    pub caps: Caps,
}

/// Limits on cost, over all executions together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Caps {
    /// Cap of the run.
    #[serde(rename = "cap", skip_serializing_if = "Option::is_none")]
    pub run: Option<PicoUsd>,
    /// Caps of phases that the flow itself does not cap.
    #[serde(rename = "phase_caps", skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<Arc<str>, PicoUsd>,
    /// Share of the run's cap in percent at which to warn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_percent: Option<u8>,
}

impl Event {
    /// Creates an `AttemptEnded` with this cost, of which `unconfirmed` is for a request without a
    /// reply. Its other fields are empty.
    pub fn attempt_ended(
        attempt: AttemptId,
        failure: Option<Failure>,
        cost: PicoUsd,
        unconfirmed: PicoUsd,
    ) -> Self {
        Self::AttemptEnded {
            attempt,
            failure: failure.map(Box::new),
            usage: Usage::default(),
            cost,
            unconfirmed,
            estimated: false,
            next_turn: None,
            findings: None,
            tool_results: None,
            waited: Millis(0),
            waits: vec![],
            worktree: None,
            answered_by: None,
        }
    }
}

impl Caps {
    /// A cap for the run and nothing else.
    pub fn of(run: Option<PicoUsd>) -> Self {
        Self {
            run,
            ..Self::default()
        }
    }
}

/// Content of the event that begins a later execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunResumed {
    /// The flow that is executed now; it may have been edited.
    pub flow: FlowSource,
    /// Limits on its size from now on.
    pub limits: Limits,
    /// Limits on its cost from now on.
    #[serde(flatten)]
    pub caps: Caps,
    /// Whether failed tasks are tried again.
    #[serde(default)]
    pub reopen_failed: bool,
    /// Tasks that are carried out again, whatever their outcome. Suspended ones keep waiting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reopen: Vec<TaskId>,
}

/// How people find a run again: in lists and in a search. A resume does not change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RunLabel {
    /// The name that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// Its tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Arc<str>>,
    /// What it is about, in one line: the beginning of its prompt, or of its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Arc<str>>,
}

/// A flow as it was at the beginning of an execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlowSource {
    /// The file it was read from; `None` for a built-in flow or one fed by a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Arc<str>>,
    /// Its text.
    pub source: Content,
    /// Its arguments: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Content>,
    /// The folder that the run belongs to: where it was started. For display and lists only; the
    /// caller decides what agents may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Arc<str>>,
    /// The run's name and tags. For display and lists only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub label: RunLabel,
    /// Other values that the caller needs for a resume (workspace, command-line settings): JSON
    /// text that the core does not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Content>,
}

/// A task when the run first knew it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TaskSubmitted {
    /// Its number, one more than the last.
    pub task: TaskId,
    /// Its identity.
    pub key: Key,
    /// Its number among tasks with the same key, from 0.
    pub occurrence: u32,
    /// Its facts for the scheduler and the display.
    pub facts: Arc<TaskFacts>,
    /// The whole [`Task`](crate::Task): JSON text.
    pub spec: Content,
    /// Its relation to earlier tasks.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edges: Edges,
}

/// How a task relates to what its flow requested before. No decision depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Edges {
    /// Number of outcomes, in recorded order, that the flow had been given by then. It had been
    /// given all those before this number that it had requested.
    #[serde(skip_serializing_if = "is_default")]
    pub given: u32,
    /// What the flow had waited for when it requested the task; `None` for nothing, or if that is
    /// unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Awaited>,
    /// The tasks whose results its prompt or context contains, as far as the texts show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<TaskId>,
    /// The innermost group that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Its place in the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<CallSite>,
    /// The groups that began since the last new task and that the journal does not have in this
    /// form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupBegan>,
}

/// Something that a flow waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// The outcome of this task.
    Task(TaskId),
    /// All members of this group.
    Group(u32),
}

/// Tasks that a flow requests together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupBegan {
    /// Its number in its execution of the flow: the same in each execution, as long as the flow and
    /// its answers stay the same.
    pub group: u32,
    /// The function that requests them.
    pub kind: GroupKind,
    /// The group that contains this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Number of functions or items it was given.
    pub width: u32,
    /// Its place in the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<CallSite>,
}

/// A function that requests tasks together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// `parallel()`: all at once, and a wait for all.
    Parallel,
    /// `pipeline()`: stages in order for each item, no wait between items.
    Pipeline,
    /// `decompose()`: the tasks of a planner.
    Decompose,
}

impl GroupKind {
    /// The name of the function.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Pipeline => "pipeline",
            Self::Decompose => "decompose",
        }
    }
}

/// A place in a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CallSite {
    /// The script, if it is not the flow's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Arc<str>>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 where that is not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub column: u32,
}

/// Facts of a task for the scheduler and the display.
///
/// None of them is part of the task's identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TaskFacts {
    /// A short name.
    pub label: Arc<str>,
    /// The phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// Name of its executor.
    pub executor: Arc<str>,
    /// Whether the executor is a program on this machine, which takes a program slot.
    #[serde(rename = "program", skip_serializing_if = "is_default")]
    pub is_program: bool,
    /// The kind of work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// Why its first model was chosen, where the task left that open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Arc<str>>,
    /// The model ids of its ladder, in climbing order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Arc<str>>,
    /// The model ids that replace an overloaded one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Arc<str>>,
    /// Whether its results are checked.
    #[serde(skip_serializing_if = "is_default")]
    pub checked: bool,
    /// Its retry policy, where it differs from the run's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Arc<RetryPolicy>>,
    /// Length of the longest chain of tasks known to wait for it; longer chains go first.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: u32,
    /// Length of the chain of tasks that led to it: each was requested once the one before had
    /// ended. Deeper tasks go first, so that the first items of a pipeline are through it while the
    /// last ones have not begun.
    #[serde(skip_serializing_if = "is_default")]
    pub depth: u32,
    /// Bounds of its first turn on each of `models`, then on each of `fallbacks`.
    #[serde(
        alias = "first_turn_max",
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub first_turns: Vec<TurnBound>,
    /// Most that all its attempts together may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_max: Option<PicoUsd>,
    /// Whether the cost of an attempt has no bound: all that is left of the task's own budget is
    /// reserved for it, or nothing if it has no budget.
    #[serde(skip_serializing_if = "is_default")]
    pub unbounded: bool,
    /// Whether `models` are words that only the executor understands.
    #[serde(skip_serializing_if = "is_default")]
    pub words: bool,
    /// For a timer of a flow: it has its outcome this long after it was first requested. No attempt
    /// carries it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Millis>,
}

impl TaskFacts {
    /// What decides its place among tasks that may start and requests that may be sent: largest
    /// first. A task's successor has one less behind it and one more before it, and goes before
    /// tasks of its predecessor's stage; a chain that is longer by more than its depth still goes
    /// before both.
    pub fn rank(&self) -> u32 {
        self.depth.saturating_mul(2).saturating_add(self.priority)
    }

    /// Whether nothing bounds the cost of an attempt: then it starts only if no cap applies.
    pub fn is_open_ended(&self) -> bool {
        self.unbounded && self.cost_max.is_none()
    }

    /// Its retry policy, or the run's.
    pub fn retry_policy(&self) -> &RetryPolicy {
        static DEFAULT: LazyLock<RetryPolicy> = LazyLock::new(RetryPolicy::default);
        self.retry.as_deref().unwrap_or(&DEFAULT)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(given: D) -> Result<Vec<TurnBound>, D::Error> {
    OneOrMany::deserialize(given).map(Vec::from)
}

/// What a suspended attempt waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Suspension {
    /// Its kind in a word: `person`.
    pub kind: Arc<str>,
    /// Handle of what it waits for: JSON text that only its executor reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Content>,
    /// Reservation kept for its further cost; no more than the attempt has reserved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reserved: PicoUsd,
    /// The question, where it is not the task's prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Arc<str>>,
    /// Whether the answer is for the executor, which continues with it, rather than the result of
    /// the task.
    #[serde(default, skip_serializing_if = "is_default")]
    pub goes_on: bool,
    /// The words to choose from; none where any text is an answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Arc<str>>,
    /// The result without an answer: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Content>,
    /// How long it waits for an answer, from this event on. Then it takes its default, or fails if
    /// it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
}

impl Suspension {
    /// A suspension of this kind, without a handle and without a reservation.
    pub fn of(kind: impl Into<Arc<str>>) -> Self {
        Self {
            kind: kind.into(),
            handle: None,
            reserved: PicoUsd::ZERO,
            question: None,
            goes_on: false,
            choices: vec![],
            default: None,
            timeout: None,
        }
    }
}

/// What answered a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnsweredBy {
    /// A person.
    Person,
    /// Its default, because the run was unattended.
    Default,
    /// The end of its time: with its default, or as a failure.
    Timeout,
}

/// A git worktree with changes, kept for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Worktree {
    /// Where it is.
    pub path: Arc<str>,
    /// The commit it was made from. It is on no branch unless an agent made one.
    pub base: Arc<str>,
    /// Files in it that differ from that commit.
    pub changed: u64,
}

/// One request and its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Turn {
    /// Identity of the request. A later attempt that would send the same request uses this reply
    /// instead.
    pub request: Digest,
    /// The reply: JSON text.
    pub reply: Content,
    /// The model that the reply names.
    pub model: Arc<str>,
    /// Whether it is a judge's verdict rather than a turn of the conversation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub judges: bool,
    /// Tokens.
    pub usage: Usage,
    /// What it cost.
    pub cost: PicoUsd,
    /// Whether tokens and cost are estimates, because the reply had no counts, or impossible ones.
    #[serde(default, skip_serializing_if = "is_default")]
    pub estimated: bool,
    /// From sending to the last byte.
    pub took: Millis,
    /// When it was sent and when its reply began, and the waits before it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: Times,
}

/// When a request was sent and when its reply began, and the attempt's waits since its previous
/// request. Moments are counted from the attempt's beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Times {
    /// When it was sent.
    #[serde(skip_serializing_if = "is_default")]
    pub sent: Millis,
    /// Time from sending to the first byte of the reply; `None` if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Millis>,
    /// The waits before it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
}

/// A wait of an attempt before its request could be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Wait {
    /// Its cause.
    #[serde(rename = "for")]
    pub cause: WaitCause,
    /// Its beginning, counted from the attempt's beginning.
    pub from: Millis,
    /// How long.
    pub took: Millis,
}

impl Wait {
    /// Its end, counted from the attempt's beginning.
    pub fn until(&self) -> Millis {
        Millis(self.from.0.saturating_add(self.took.0))
    }
}

/// Why a request may not be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitCause {
    /// A rate limit of the vendor or of the user.
    Limit,
    /// Too many requests are under way.
    Room,
    /// The same, while fewer than usual may be under way because the vendor is overloaded.
    Overload,
    /// The prefix it shares with other requests is being cached.
    Prefix,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolCall {
    /// Name of the tool, as the model gave it.
    pub name: Arc<str>,
    /// When it began, counted from the attempt's beginning.
    pub from: Millis,
    /// How long it took.
    pub took: Millis,
    /// Length of its result.
    pub bytes: u64,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: bool,
    /// The exit code of the command that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

/// Why a run is parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ParkReason {
    /// The user asked for it.
    Asked,
    /// The budget that is left allows none of the waiting tasks.
    Budget {
        /// The phase whose own cap is reached, where the run's budget would allow more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Arc<str>>,
    },
    /// The first tasks of a cohort all failed alike, and further ones wait.
    Hopeless {
        /// The class of their failures.
        class: FailureClass,
        /// Number of failed tasks of the cohort.
        failed: u32,
        /// The phase they are in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Arc<str>>,
        /// The message of the last failure.
        message: String,
        /// What the user can do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The account's quota is used up.
    Quota {
        /// Message of the vendor.
        message: String,
        /// When the quota is reset, if the vendor gave that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// All remaining tasks wait for something outside of the process. The answers are given while
    /// the run is parked; then it is resumed.
    Suspended {
        /// Number of such tasks.
        tasks: u32,
    },
    /// A reply cost more than was reserved for its request: the vendor's bills do not keep to the
    /// bounds.
    Overcharged {
        /// The task of that request.
        task: TaskId,
        /// The model that the reply names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Arc<str>>,
        /// The reservation.
        reserved: PicoUsd,
        /// The cost.
        cost: PicoUsd,
    },
}

/// Something that was requested and not done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Refusal {
    /// A task, because the run has reached its number of tasks.
    Task {
        /// That number.
        tasks_max: u32,
    },
    /// A call of a script, because it has reached its number of calls.
    Call {
        /// That number.
        calls_max: u32,
    },
    /// A task, because the output tokens of the flow are spent.
    Tokens {
        /// Their number.
        total: u64,
    },
    /// A log line, because the log is full. Recorded once per execution.
    Log {
        /// Most lines.
        logs_max: u32,
    },
    /// A phase and its cap, because the run has reached its number of phases. Recorded once per
    /// execution.
    Phase {
        /// Its title.
        title: Arc<str>,
        /// Most phases.
        phases_max: u32,
    },
    /// Tasks that need an approval which was answered with no.
    Unapproved {
        /// The approval, by the name of its task.
        approval: Arc<str>,
    },
    /// A tool that an agent called without permission.
    Tool {
        /// The task of the agent.
        task: TaskId,
        /// The tool.
        tool: Arc<str>,
        /// The permission that it needs.
        permission: Arc<str>,
    },
}

impl Refusal {
    /// Whether the flow got less than it requested. A refused tool is reported to the agent, whose
    /// task has its own outcome; a log line is not work.
    pub fn is_of_work(&self) -> bool {
        match self {
            Self::Task { .. }
            | Self::Call { .. }
            | Self::Tokens { .. }
            | Self::Phase { .. }
            | Self::Unapproved { .. } => true,
            Self::Log { .. } | Self::Tool { .. } => false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// The flow returned, all tasks succeeded, no request was refused, and no reply cost more than
    /// its reservation.
    Ok,
    /// The flow returned, but one of these conditions is not met.
    Partial,
    /// The flow failed, threw an uncaught exception, or no task succeeded.
    Failed,
    /// The user ended it for good.
    Cancelled,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
