//! The facts of a run, as they stand in its journal.
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

/// Version of the vocabulary below; a store of a later one is not opened.
pub const FORMAT: u32 = 5;

/// One event with its place and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// How many events stand before it in the journal.
    pub position: Position,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run exists. Always the first event.
    RunStarted(Box<RunStarted>),
    /// The flow is executed again from its start; what it asks for is answered
    /// from the journal where it can be.
    RunResumed(Box<RunResumed>),
    /// The flow has asked for all it can without new results; from here on
    /// attempts start.
    CaughtUp {
        /// Tasks answered from the journal.
        reused: u32,
        /// What their results cost when they were made.
        saved: PicoUsd,
        /// Tasks that will run.
        to_run: u32,
    },
    /// A progress group has begun.
    PhaseStarted {
        /// Its title.
        title: Arc<str>,
        /// Most that its tasks may spend from here on, what they have spent included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cap: Option<PicoUsd>,
    },
    /// The flow has said something.
    Logged {
        /// One line or more.
        message: Arc<str>,
    },
    /// What the whole run was expected to cost and take when this execution
    /// began; once in each at most.
    Estimated {
        /// The expectation.
        estimate: Box<Estimate>,
    },
    /// The flow asks for a task that the run has not seen.
    TaskSubmitted(Box<TaskSubmitted>),
    /// The flow asks, in a later execution, for a task that the run knows.
    TaskClaimed {
        /// The known task.
        task: TaskId,
        /// What is now said of it, where that differs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Arc<TaskFacts>>,
    },
    /// An attempt is to start; once this is durable it does.
    AttemptScheduled {
        /// Which one.
        attempt: AttemptId,
        /// The model id it runs on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Arc<str>>,
        /// Set aside for its first turn.
        reserved: PicoUsd,
        /// Longest reply of that turn, where the budget holds less than was wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_tokens: Option<u32>,
    },
    /// A further request is to be sent; once this is durable it is.
    TurnScheduled {
        /// In which attempt.
        attempt: AttemptId,
        /// Results of the tools that the reply before it called: JSON text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_results: Option<Content>,
        /// The calls that those are of.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tools: Vec<ToolCall>,
        /// Set aside for it.
        reserved: PicoUsd,
        /// Longest reply, where the budget holds less than was wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_tokens: Option<u32>,
    },
    /// The request under way is to be sent a second time, because it takes far
    /// longer than others; once this is durable it is.
    TurnHedged {
        /// In which attempt.
        attempt: AttemptId,
        /// Set aside for it, beside what the first one has.
        reserved: PicoUsd,
    },
    /// Of two requests for the same, one has ended without its reply being used.
    HedgeEnded {
        /// In which attempt.
        attempt: AttemptId,
        /// What it costs: what was set aside for it, if it may be billed.
        #[serde(default, skip_serializing_if = "is_default")]
        cost: PicoUsd,
    },
    /// A reply has arrived.
    TurnEnded {
        /// In which attempt.
        attempt: AttemptId,
        /// What was asked and answered.
        turn: Box<Turn>,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// Which one.
        attempt: AttemptId,
        /// Why it failed; `None` when it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<Box<Failure>>,
        /// What it used besides its recorded turns.
        #[serde(default, skip_serializing_if = "is_default")]
        usage: Usage,
        /// What that cost, what was set aside for a request without a reply included.
        #[serde(default, skip_serializing_if = "is_default")]
        cost: PicoUsd,
        /// The part of it that was set aside for such a request, and may or may
        /// not be billed.
        #[serde(default, skip_serializing_if = "is_default")]
        unconfirmed: PicoUsd,
        /// What its next turn may cost, where the budget did not hold that.
        #[serde(
            default,
            rename = "next_turn_max",
            skip_serializing_if = "Option::is_none"
        )]
        next_turn: Option<TurnBound>,
        /// What its check has against its result, where that was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        findings: Option<Content>,
        /// Results of the tools that its last reply called, where it was ended
        /// before it could send them: JSON text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool_results: Option<Content>,
        /// How long it waited for its turn to send requests, for a limit or for
        /// a prefix to be cached.
        #[serde(default, skip_serializing_if = "is_default")]
        waited: Millis,
        /// What for, as far as none of its turns says it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waits: Vec<Wait>,
        /// The copy of the repository that it worked in and that was kept, because
        /// it has changed something there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worktree: Option<Box<Worktree>>,
    },
    /// What carries out an attempt has said how far it is: what it has used since it last
    /// said so, and by what an attempt that follows a lost one finds its work again.
    AttemptReported {
        /// Which attempt.
        attempt: AttemptId,
        /// Tokens.
        #[serde(default, skip_serializing_if = "is_default")]
        usage: Usage,
        /// What they cost. What was set aside for the attempt is less by as much.
        #[serde(default, skip_serializing_if = "is_default")]
        cost: PicoUsd,
        /// The part of it that was set aside and of which no bill is known.
        #[serde(default, skip_serializing_if = "is_default")]
        unconfirmed: PicoUsd,
        /// By what its work is found again: JSON text that only its executor reads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        handle: Option<Content>,
    },
    /// An attempt waits for something outside of the process, by a handle that outlives
    /// it. It holds no slot and no timeout, and a resume does not call it lost. It ends
    /// with `AttemptEnded`, from whatever source the answer comes.
    AttemptSuspended {
        /// Which attempt.
        attempt: AttemptId,
        /// What it waits for.
        suspension: Box<Suspension>,
    },
    /// The question of a suspended attempt has an answer, which is not its result: another
    /// attempt is given it, and goes on where this one stands.
    SuspensionAnswered {
        /// Which attempt.
        attempt: AttemptId,
        /// The answer: JSON text.
        answer: Content,
    },
    /// Something that the flow or an agent asked for was not done. Alike ones
    /// that come together are one event.
    Refused {
        /// What, and why not.
        refusal: Refusal,
        /// How often.
        count: u32,
    },
    /// The flow has ended, and exceptions in it had no handler, so that what was to
    /// come of them is missing.
    Uncaught {
        /// The first of them, with the line where it was thrown.
        message: Arc<str>,
        /// How many there were.
        count: u32,
    },
    /// A task rests and is tried again.
    RetryPlanned {
        /// Which one.
        task: TaskId,
        /// Not before this moment.
        due: Timestamp,
    },
    /// A task has its outcome.
    TaskEnded {
        /// Which one.
        task: TaskId,
        /// How it ended.
        outcome: Outcome,
    },
    /// Most of the budget is spent; said once in each execution.
    SoftLimitReached {
        /// So much is spent.
        spent: PicoUsd,
        /// Of this.
        cap: PicoUsd,
    },
    /// Nothing new starts any more; what is in flight finishes.
    ParkingStarted {
        /// Why.
        reason: ParkReason,
    },
    /// The run rests; everything is kept and it can be resumed. After
    /// `WaitStarted` it says that nobody waits any more.
    RunParked {
        /// Why.
        reason: ParkReason,
    },
    /// The process that drives the parked run waits, to go on by itself. If it
    /// dies meanwhile, the run is parked like any other.
    WaitStarted {
        /// When it goes on.
        until: Timestamp,
    },
    /// The parked run goes on in the same execution: what it rested for may be
    /// there again.
    RunWoken,
    /// The flow has returned or thrown.
    FlowEnded {
        /// The JSON text it returned, or why it failed.
        result: Result<Content, Box<Failure>>,
    },
    /// The run is over.
    RunEnded {
        /// How it ended.
        status: RunStatus,
    },
}

/// How a run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStarted {
    /// Version of the vocabulary it is written in.
    pub format: u32,
    /// The flow's name, for people.
    pub name: Arc<str>,
    /// What is executed.
    pub flow: FlowSource,
    /// How large it may grow.
    pub limits: Limits,
    /// How much may be spent.
    #[serde(flatten)]
    pub caps: Caps,
}

/// How much may be spent, in all executions together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caps {
    /// By the run.
    #[serde(rename = "cap", skip_serializing_if = "Option::is_none")]
    pub run: Option<PicoUsd>,
    /// By the tasks of a phase, of those phases that the flow itself gives no cap.
    #[serde(rename = "phase_caps", skip_serializing_if = "BTreeMap::is_empty")]
    pub phases: BTreeMap<Arc<str>, PicoUsd>,
    /// Where to warn: a share of the run's cap in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_percent: Option<u8>,
}

impl Event {
    /// The end of an attempt at this cost, of which `unconfirmed` was set aside for a request
    /// without a reply. Nothing else is to be said of it.
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
            next_turn: None,
            findings: None,
            tool_results: None,
            waited: Millis(0),
            waits: vec![],
            worktree: None,
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

/// How a run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResumed {
    /// What is executed now; it may have been edited since.
    pub flow: FlowSource,
    /// How large it may grow now.
    pub limits: Limits,
    /// How much may be spent now.
    #[serde(flatten)]
    pub caps: Caps,
    /// Whether tasks that have failed are tried again.
    #[serde(default)]
    pub reopen_failed: bool,
}

/// A flow as it was when an execution of it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowSource {
    /// Where it was read from; `None` for one that is part of divisi, or that
    /// a program feeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Arc<str>>,
    /// Its text.
    pub source: Content,
    /// Its arguments: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Content>,
    /// The folder that the run belongs to: where it was started. Only for
    /// people and lists; what agents see is the caller's to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<Arc<str>>,
    /// What else the caller needs to execute it again (workspace, settings
    /// given on the command line): JSON text that the core does not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Content>,
}

/// A task as the run first saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSubmitted {
    /// Its number: one more than the last.
    pub task: TaskId,
    /// Its identity.
    pub key: Key,
    /// Which one it is among tasks with the same key, from 0.
    pub occurrence: u32,
    /// What people and the scheduler need to know of it.
    pub facts: Arc<TaskFacts>,
    /// The whole [`Task`](crate::Task): JSON text.
    pub spec: Content,
    /// How it hangs together with what the flow had asked for before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub edges: Edges,
}

/// How a task hangs together with what its flow had asked for before. Nothing is decided
/// by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Edges {
    /// Of the run's outcomes in recorded order, the flow had been given none from this one
    /// on, counted from 0. Of those before it, the flow knew what it had asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub given: u32,
    /// What made the flow ask for it; `None` where it had waited for nothing, or where
    /// that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Awaited>,
    /// The tasks whose results stand in its prompt or context, as far as their texts show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<TaskId>,
    /// The innermost group that it is part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Where the flow asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<CallSite>,
    /// The groups that have begun since the last new task and that the journal does not
    /// have like this.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupBegan>,
}

/// What a flow has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// The outcome of this task.
    Task(TaskId),
    /// All members of this group.
    Group(u32),
}

/// Tasks that a flow asks for together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupBegan {
    /// Its number in its execution of the flow: the same in each, as long as the flow and
    /// its answers are.
    pub group: u32,
    /// What asks for them.
    pub kind: GroupKind,
    /// The group that this one is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Functions or items it was given.
    pub width: u32,
    /// Where the flow does so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<CallSite>,
}

/// What asks for tasks together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// `parallel()`: all at once, and a wait for all.
    Parallel,
    /// `pipeline()`: stages in order for each item, no wait between items.
    Pipeline,
    /// `decompose()`: a planner's tasks.
    Decompose,
}

impl GroupKind {
    /// The function that asks.
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
pub struct CallSite {
    /// The script, where it is another than the flow's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Arc<str>>,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1; 0 where that is not known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub column: u32,
}

/// What the scheduler and the display need to know of a task.
///
/// None of it is part of the task's identity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFacts {
    /// A short name.
    pub label: Arc<str>,
    /// The progress group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// What carries it out.
    pub executor: Arc<str>,
    /// Whether that is a program on this machine, which takes one of the slots of programs.
    #[serde(rename = "program", skip_serializing_if = "is_default")]
    pub is_program: bool,
    /// The sort of work it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// Why it begins with the model that it begins with, where that was left open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Arc<str>>,
    /// The model ids of its ladder, in the order in which they are climbed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Arc<str>>,
    /// The model ids that take the place of one that is out of order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Arc<str>>,
    /// Whether a check decides over its results.
    #[serde(skip_serializing_if = "is_default")]
    pub checked: bool,
    /// Where it differs from the run's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Arc<RetryPolicy>>,
    /// Length of the longest chain of tasks known to wait for it; longer goes first.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: u32,
    /// What its first turn may cost on each of `models`, then on each of `fallbacks`.
    #[serde(
        alias = "first_turn_max",
        deserialize_with = "one_or_many",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub first_turns: Vec<TurnBound>,
    /// Most that all its attempts together may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_max: Option<PicoUsd>,
    /// Whether an attempt may cost anything: all that is left of the task's own budget is
    /// set aside for it, or nothing where it has none.
    #[serde(skip_serializing_if = "is_default")]
    pub unbounded: bool,
    /// Whether `models` are words that only what carries it out understands.
    #[serde(skip_serializing_if = "is_default")]
    pub words: bool,
}

impl TaskFacts {
    /// Whether nothing bounds what an attempt may cost: it starts only where there is no cap.
    pub fn is_open_ended(&self) -> bool {
        self.unbounded && self.cost_max.is_none()
    }

    /// How often and how soon the task is tried again.
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
pub struct Suspension {
    /// What sort of thing that is, in a word: `person`.
    pub kind: Arc<str>,
    /// By what it is found again: JSON text that only its executor reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Content>,
    /// Most that it may cost from now on, which stays reserved; no more than the
    /// attempt has reserved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reserved: PicoUsd,
    /// What is asked, where that is not the task's prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Arc<str>>,
    /// Whether the answer is for its executor, which goes on with it, rather than the
    /// result of the task.
    #[serde(default, skip_serializing_if = "is_default")]
    pub goes_on: bool,
}

impl Suspension {
    /// Something of this kind, by no handle, for which nothing stays reserved.
    pub fn of(kind: impl Into<Arc<str>>) -> Self {
        Self {
            kind: kind.into(),
            handle: None,
            reserved: PicoUsd::ZERO,
            question: None,
            goes_on: false,
        }
    }
}

/// A git worktree with work in it, which was kept for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worktree {
    /// Where it is.
    pub path: Arc<str>,
    /// The commit that it was made of. It is on no branch, unless an agent made one.
    pub base: Arc<str>,
    /// Files in it that differ from that commit.
    pub changed: u64,
}

/// One request and its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Identity of the request. A later attempt that would send the same is
    /// answered with this reply.
    pub request: Digest,
    /// The reply: JSON text.
    pub reply: Content,
    /// The model that the reply names.
    pub model: Arc<str>,
    /// Whether it judges the attempt's result rather than works on it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub judges: bool,
    /// Tokens.
    pub usage: Usage,
    /// What it cost.
    pub cost: PicoUsd,
    /// From sending to the last byte.
    pub took: Millis,
    /// When it left and began to be answered, and what it had waited for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: Times,
}

/// When a request left and began to be answered, and what the attempt had waited for since
/// its request before. Moments are counted from the attempt's beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// When it was sent.
    #[serde(skip_serializing_if = "is_default")]
    pub sent: Millis,
    /// How long after that the reply began; `None` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began: Option<Millis>,
    /// Waits before it, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
}

/// Something that an attempt waited for until its request could leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// For what.
    #[serde(rename = "for")]
    pub cause: WaitCause,
    /// From when on, counted from the attempt's beginning.
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

/// What a request that may not leave yet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitCause {
    /// That the vendor's limits, or the user's own, allow one more.
    Limit,
    /// That one of those under way comes back.
    Room,
    /// The same, where fewer than usual may be under way because the vendor has no
    /// capacity.
    Overload,
    /// That the vendor has cached what its prompt shares with others.
    Prefix,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its name, as the model called it.
    pub name: Arc<str>,
    /// When it began, counted from the attempt's beginning.
    pub from: Millis,
    /// How long it took.
    pub took: Millis,
    /// Length of what the model was given.
    pub bytes: u64,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: bool,
    /// The exit code of the command that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

/// Why a run rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum ParkReason {
    /// A person asked for it.
    Asked,
    /// What is left of the budget holds none of the waiting tasks.
    Budget {
        /// The phase whose own cap it is, where the run's would hold more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Arc<str>>,
    },
    /// The first of several tasks of one sort have all failed alike, and others
    /// of that sort wait.
    Hopeless {
        /// How they have failed.
        class: FailureClass,
        /// How many tasks of that sort have failed.
        failed: u32,
        /// The phase they are in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<Arc<str>>,
        /// Why the last of them has failed.
        message: String,
        /// What the user can do about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// The account's quota is used up.
    Quota {
        /// What the vendor said.
        message: String,
        /// When there is quota again, where the vendor says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// All that is left waits for something outside of the process: an answer is given
    /// while the run rests, and the run is resumed then.
    Suspended {
        /// How many tasks wait for one.
        tasks: u32,
    },
    /// A reply has cost more than was set aside for its request: what the vendor
    /// bills is not what requests were allowed to cost.
    Overcharged {
        /// The task it belongs to.
        task: TaskId,
        /// The model that the reply names.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<Arc<str>>,
        /// What was set aside.
        reserved: PicoUsd,
        /// What it cost.
        cost: PicoUsd,
    },
}

/// Something that was asked for and not done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Refusal {
    /// A task, because the run has as many as it may have.
    Task {
        /// So many.
        tasks_max: u32,
    },
    /// A call of a script, because it has made as many as it may make.
    Call {
        /// So many.
        calls_max: u32,
    },
    /// A task, because the output tokens that the flow may spend are spent.
    Tokens {
        /// So many.
        total: u64,
    },
    /// A line of the log, because there are as many as are kept. Said for the
    /// first of them in an execution.
    Log {
        /// So many.
        logs_max: u32,
    },
    /// A progress group and its cap, because the run has as many as it may have.
    /// Said for the first of them in an execution.
    Phase {
        /// Its title.
        title: Arc<str>,
        /// So many.
        phases_max: u32,
    },
    /// A tool that an agent called and the run does not permit.
    Tool {
        /// Whose agent.
        task: TaskId,
        /// The tool.
        tool: Arc<str>,
        /// The permission that it takes.
        permission: Arc<str>,
    },
}

impl Refusal {
    /// Whether the flow got less than it asked for. What an agent was refused it
    /// has been told, and its task has an outcome of its own; and a line of the
    /// log is no work.
    pub fn is_of_work(&self) -> bool {
        match self {
            Self::Task { .. } | Self::Call { .. } | Self::Tokens { .. } | Self::Phase { .. } => {
                true
            }
            Self::Log { .. } | Self::Tool { .. } => false,
        }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// The flow returned, no task failed, none was refused, and no reply cost more
    /// than was set aside for it.
    Ok,
    /// The flow returned, but not all of that holds.
    Partial,
    /// The flow failed, an exception in it had no handler, or no task succeeded.
    Failed,
    /// A person ended it for good.
    Cancelled,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
