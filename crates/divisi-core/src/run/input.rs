//! The inputs of a run.

use crate::budget::{TurnBound, Unanswered};
use crate::estimate::Estimate;
use crate::event::{
    AnsweredBy, Caps, Edges, FlowSource, Refusal, Suspension, TaskFacts, ToolCall, Turn, Wait,
    Worktree,
};
use crate::retry::QuotaWait;
use crate::{AttemptId, Content, Failure, Key, Limits, Millis, Outcome, PicoUsd, TaskId, Usage};
use std::sync::Arc;

/// Something that happened to a run.
#[derive(Clone, Debug)]
pub enum Input {
    /// The run begins.
    Start {
        /// The flow's name.
        name: Arc<str>,
        /// The flow to execute.
        flow: FlowSource,
        /// Limits on its size.
        limits: Limits,
        /// Limits on its cost.
        caps: Caps,
    },
    /// The run continues, in another process or after an edit. Attempts still in flight are lost
    /// with the process that carried them out.
    Resume {
        /// The flow to execute now.
        flow: FlowSource,
        /// Limits on its size from now on.
        limits: Limits,
        /// Limits on its cost from now on.
        caps: Caps,
        /// Whether failed tasks are tried again.
        reopen_failed: bool,
        /// Tasks that are carried out again, whatever their outcome.
        reopen: Vec<TaskId>,
    },
    /// The flow waits, and the journal has no further answer for it.
    CaughtUp,
    /// The flow requests a task. The first event decided is `TaskSubmitted` or `TaskClaimed`; it is
    /// `Refused` if the run has reached its number of tasks, and there is none after its end.
    Submit(Box<Submission>),
    /// An attempt orders a further request. Decides `TurnScheduled`, or ends the attempt if the run
    /// is parking or a budget is too small. The attempt's present reservation is released, so the
    /// previous request must have been answered, or never sent.
    TurnWanted {
        /// Which attempt.
        attempt: AttemptId,
        /// Results of the tools called by the last reply; `None` if they are kept already.
        tool_results: Option<Content>,
        /// The calls that gave these results.
        tools: Vec<ToolCall>,
        /// Bound of the request.
        bound: TurnBound,
    },
    /// An attempt orders a hedge of its request, because that takes far longer than comparable
    /// ones. Decides `TurnHedged`, or nothing if the run is parking, a budget is too small, the
    /// request is hedged already, or it has been answered.
    HedgeWanted {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// One of the two copies of a request has ended and its reply is not used. Without this input
    /// it ends together with the other copy, as billed.
    HedgeEnded {
        /// Which attempt.
        attempt: AttemptId,
        /// What it may be billed at most; no more than its reservation counts.
        most: PicoUsd,
    },
    /// A reply has been received that is not the attempt's last.
    TurnEnded {
        /// Which attempt.
        attempt: AttemptId,
        /// The request and its reply.
        turn: Box<Turn>,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// Which one.
        attempt: AttemptId,
        /// How.
        end: Box<AttemptEnd>,
    },
    /// An executor reports usage or a handle. Decides `AttemptReported`, and the end of the task if
    /// the cost exceeds the attempt's reservation; nothing, if the report is empty.
    AttemptReports {
        /// Which attempt.
        attempt: AttemptId,
        /// The report.
        report: Box<Report>,
    },
    /// An attempt suspends: it waits for something outside of the process.
    AttemptSuspended {
        /// Which attempt.
        attempt: AttemptId,
        /// What it waits for.
        suspension: Box<Suspension>,
    },
    /// The answer for a suspended task. Decides the end of its attempt, even if the run is parked
    /// and nothing drives it; nothing, if the task does not wait.
    Resolve {
        /// Which task.
        task: TaskId,
        /// How its attempt ends.
        end: Box<AttemptEnd>,
    },
    /// The answer to a question of a suspended attempt, with which its executor continues in a
    /// further attempt. Decides nothing if the task does not wait for such an answer.
    Answer {
        /// Which task.
        task: TaskId,
        /// The answer: JSON text.
        answer: Content,
    },
    /// The run is unattended: a suspended task with a default takes it. Decides nothing for any
    /// other task.
    TakeDefault {
        /// Which task.
        task: TaskId,
    },
    /// The flow waits and has been given every answer, or has ended: if all remaining tasks are
    /// suspended, the run parks. Not given while the process asks for the result of any of them.
    FlowWaits,
    /// A phase begins.
    Phase {
        /// Its title.
        title: Arc<str>,
        /// Cap of its tasks, if the flow sets one.
        cap: Option<PicoUsd>,
    },
    /// Something was requested and not done, outside of the run's own limits.
    Refused {
        /// What was refused, and why.
        refusal: Refusal,
        /// How often.
        count: u32,
    },
    /// The flow has ended with exceptions that no handler caught.
    Uncaught {
        /// The first of them, with the line where it was thrown.
        message: Arc<str>,
        /// How many there were.
        count: u32,
    },
    /// The flow logs a message.
    Log(Arc<str>),
    /// The estimate of the run, made as its execution begins. A second one in the same execution is
    /// ignored.
    Estimate(Box<Estimate>),
    /// The flow has returned JSON text, or has failed.
    FlowEnded(Result<Content, Box<Failure>>),
    /// The user parks the run. A run that waits to continue by itself stays parked instead.
    Park,
    /// The driving process stays, and continues once quota may be available again. Ignored unless
    /// the run is parked for want of quota.
    Wait(QuotaWait),
    /// The user sets another cap of the run.
    Cap(PicoUsd),
    /// The user sets how many attempts may be in flight at a time.
    Width(u32),
    /// The user ends the run at once.
    Cancel,
    /// Time has passed, or other inputs have been applied: start what may start.
    Tick,
}

/// A task that a flow requests.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its identity.
    pub key: Key,
    /// Its facts for the scheduler and the display.
    pub facts: TaskFacts,
    /// The whole task: JSON text.
    pub spec: Content,
    /// Its outcome, if known without an attempt: it asks for something that does not exist, or a
    /// task it needs has failed.
    pub outcome: Option<Outcome>,
    /// Number of answers after which the flow requested it; `None` if unknown, as for programs that
    /// request several tasks at once.
    pub asked_after: Option<u64>,
    /// Its relation to earlier tasks, as far as the flow knows it.
    /// [`RunLoop`](crate::run_loop::RunLoop) adds the number of outcomes given.
    pub edges: Edges,
}

impl Submission {
    /// A submission without further edges.
    pub fn new(key: Key, facts: TaskFacts, spec: Content, outcome: Option<Outcome>) -> Self {
        Self {
            key,
            facts,
            spec,
            outcome,
            asked_after: None,
            edges: Edges::default(),
        }
    }
}

/// A report of an executor about its attempt.
#[derive(Clone, Debug)]
pub struct Report {
    /// The model that used the tokens, if the executor knows it.
    pub model: Option<Arc<str>>,
    /// Tokens since the last report.
    pub usage: Usage,
    /// What they cost.
    pub bill: Bill,
    /// Handle of its work: JSON text.
    pub handle: Option<Content>,
}

/// The bill for reported usage, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bill {
    /// This amount.
    Of(PicoUsd),
    /// Unknown: it may be the whole reservation.
    Unknown,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// The result as JSON text, or why there is none.
    pub result: Result<Content, Failure>,
    /// Its last reply, if that has not been reported separately.
    pub last_turn: Option<Box<Turn>>,
    /// Tokens beyond its turns.
    pub usage: Usage,
    /// What those cost.
    pub cost: PicoUsd,
    /// Set if a request without a reply was sent: it may be billed.
    pub unanswered: Option<Unanswered>,
    /// Time that the vendor asks to wait.
    pub retry_after: Option<Millis>,
    /// The vendor's statement on whether to retry.
    pub should_retry: Option<bool>,
    /// Bound of its last request with full room for the reply, if the reply was cut off because the
    /// budget allowed less.
    pub next_turn: Option<TurnBound>,
    /// Findings of the check that refused the result.
    pub findings: Option<Content>,
    /// Total time it waited for permits.
    pub waited: Millis,
    /// The waits that none of its turns records.
    pub waits: Vec<Wait>,
    /// Its worktree, if that was kept.
    pub worktree: Option<Box<Worktree>>,
    /// What answered its question, if it was suspended with one.
    pub answered_by: Option<AnsweredBy>,
}

impl AttemptEnd {
    /// An end with this result and empty fields otherwise.
    pub fn of(result: Result<Content, Failure>) -> Self {
        Self {
            result,
            last_turn: None,
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            unanswered: None,
            retry_after: None,
            should_retry: None,
            next_turn: None,
            findings: None,
            waited: Millis(0),
            waits: vec![],
            worktree: None,
            answered_by: None,
        }
    }
}
