//! What happens to a run.

use crate::budget::TurnBound;
use crate::estimate::Estimate;
use crate::event::{
    Caps, Edges, FlowSource, Refusal, Suspension, TaskFacts, ToolCall, Turn, Wait, Worktree,
};
use crate::retry::QuotaWait;
use crate::{AttemptId, Content, Failure, Key, Limits, Millis, Outcome, PicoUsd, TaskId, Usage};
use std::sync::Arc;

/// Something that happens to a run.
#[derive(Clone, Debug)]
pub enum Input {
    /// The run begins.
    Start {
        /// The flow's name.
        name: Arc<str>,
        /// What is executed.
        flow: FlowSource,
        /// How large it may grow.
        limits: Limits,
        /// How much may be spent.
        caps: Caps,
    },
    /// The run goes on, in another process or after an edit. Attempts still in
    /// flight are lost: whoever carried them out is gone.
    Resume {
        /// What is executed now.
        flow: FlowSource,
        /// How large it may grow now.
        limits: Limits,
        /// How much may be spent now.
        caps: Caps,
        /// Whether tasks that have failed are tried again.
        reopen_failed: bool,
    },
    /// The flow waits, and the journal can answer none of what it waits for.
    CaughtUp,
    /// The flow asks for a task. The first event decided is `TaskSubmitted` or
    /// `TaskClaimed`; `Refused` is when the run has as many tasks as it may
    /// have, and there is none when it is over.
    Submit(Box<Submission>),
    /// An attempt wants to send a further request. Decides `TurnScheduled`, or
    /// ends the attempt when the run is parking or a budget is too small.
    /// What is still reserved for the attempt is released, so the request
    /// before must have been answered, or never sent.
    TurnWanted {
        /// Which attempt.
        attempt: AttemptId,
        /// Results of the tools that the last reply called; `None` where they are kept.
        tool_results: Option<Content>,
        /// The calls that those are of.
        tools: Vec<ToolCall>,
        /// What the request may cost.
        bound: TurnBound,
    },
    /// An attempt wants to send its request a second time, because the first
    /// takes far longer than others. Decides `TurnHedged`; nothing, when the run
    /// is parking, a budget is too small, that was done already, or the request
    /// has been answered.
    HedgeWanted {
        /// Which attempt.
        attempt: AttemptId,
    },
    /// One of an attempt's two requests for the same has ended, and its reply is
    /// not used. Where nobody says so, it ends with the other one, as billed.
    HedgeEnded {
        /// Which attempt.
        attempt: AttemptId,
        /// Whether it may be billed.
        billed: bool,
    },
    /// A reply has arrived that is not the attempt's last.
    TurnEnded {
        /// Which attempt.
        attempt: AttemptId,
        /// What was asked and answered.
        turn: Box<Turn>,
    },
    /// An attempt has ended.
    AttemptEnded {
        /// Which one.
        attempt: AttemptId,
        /// How.
        end: Box<AttemptEnd>,
    },
    /// What carries out an attempt says how far it is. Decides `AttemptReported`, and the
    /// end of the task where it costs more than was set aside for the attempt; nothing,
    /// where it says nothing new.
    AttemptReports {
        /// Which attempt.
        attempt: AttemptId,
        /// What it says.
        report: Box<Report>,
    },
    /// An attempt waits from now on for something outside of the process.
    AttemptSuspended {
        /// Which attempt.
        attempt: AttemptId,
        /// For what.
        suspension: Box<Suspension>,
    },
    /// What a suspended task waits for has come. Decides how its attempt ends, also where
    /// the run is parked and nothing drives it; nothing, where the task waits for nothing.
    Resolve {
        /// Which task.
        task: TaskId,
        /// How its attempt ends.
        end: Box<AttemptEnd>,
    },
    /// What a suspended attempt has asked is answered, and its executor goes on with that
    /// in another attempt. Decides nothing where the task does not wait for such an answer.
    Answer {
        /// Which task.
        task: TaskId,
        /// The answer: JSON text.
        answer: Content,
    },
    /// The flow waits, and has been given every answer there is: a run of which all the
    /// rest is suspended parks.
    FlowWaits,
    /// A progress group begins.
    Phase {
        /// Its title.
        title: Arc<str>,
        /// Most that its tasks may spend, where the flow says so.
        cap: Option<PicoUsd>,
    },
    /// Something that was asked for was not done, which the run could not see.
    Refused {
        /// What, and why not.
        refusal: Refusal,
        /// How often.
        count: u32,
    },
    /// The flow has ended, and exceptions in it had no handler.
    Uncaught {
        /// The first of them, with the line where it was thrown.
        message: Arc<str>,
        /// How many there were.
        count: u32,
    },
    /// The flow says something.
    Log(Arc<str>),
    /// What the run is expected to cost and take, as its execution begins. What
    /// an execution has been told already stands.
    Estimate(Box<Estimate>),
    /// The flow has returned JSON text, or has failed.
    FlowEnded(Result<Content, Box<Failure>>),
    /// A person wants the run to rest. One that waits to go on by itself stays
    /// parked, whatever the time.
    Park,
    /// The process that drives the run stays, and goes on by itself once there
    /// may be quota again. Means nothing unless the run is parked for want of it.
    Wait(QuotaWait),
    /// A person wants the run to end at once.
    Cancel,
    /// Time has passed, or other inputs have been applied: start what may start.
    Tick,
}

/// A task on its way into a run.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its identity.
    pub key: Key,
    /// What the scheduler and the display need to know of it.
    pub facts: TaskFacts,
    /// The whole task: JSON text.
    pub spec: Content,
    /// Its outcome, where that is known without trying: it asks for what is not
    /// there, or what it needs has failed.
    pub outcome: Option<Outcome>,
    /// After how many answers the flow asked for it; `None` where nothing tells, as of a
    /// program that asks for several things at once.
    pub asked_after: Option<u64>,
    /// How it hangs together with what the flow asked for before, as far as the flow
    /// tells. [`RunLoop`](crate::run_loop::RunLoop) adds which outcomes it had been given.
    pub edges: Edges,
}

impl Submission {
    /// A task of which nothing else is to be said.
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

/// What carries out an attempt says of it while it works.
#[derive(Clone, Debug)]
pub struct Report {
    /// Tokens since it last said so.
    pub usage: Usage,
    /// What they cost.
    pub bill: Bill,
    /// By what its work is found again: JSON text.
    pub handle: Option<Content>,
}

/// What is known of the bill for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bill {
    /// So much.
    Of(PicoUsd),
    /// Nothing: it may be all that is set aside.
    Unknown,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// The result as JSON text, or why there is none.
    pub result: Result<Content, Failure>,
    /// Its last reply, where that has not been reported by itself.
    pub last_turn: Option<Box<Turn>>,
    /// Tokens that stand in none of its turns.
    pub usage: Usage,
    /// What those cost.
    pub cost: PicoUsd,
    /// Whether a request was sent whose reply never came: it may be billed.
    pub unanswered: bool,
    /// How long the vendor wants us to wait.
    pub retry_after: Option<Millis>,
    /// What the vendor says about trying again.
    pub should_retry: Option<bool>,
    /// What its last request may cost with all the room it wants, where the
    /// reply was cut off because the budget gave it less.
    pub next_turn: Option<TurnBound>,
    /// What its check has against the result.
    pub findings: Option<Content>,
    /// How long it waited for its turn to send requests.
    pub waited: Millis,
    /// What for, as far as none of its turns says it.
    pub waits: Vec<Wait>,
    /// The worktree of it that was kept.
    pub worktree: Option<Box<Worktree>>,
}

impl AttemptEnd {
    /// An end of which nothing else is to be said.
    pub fn of(result: Result<Content, Failure>) -> Self {
        Self {
            result,
            last_turn: None,
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            unanswered: false,
            retry_after: None,
            should_retry: None,
            next_turn: None,
            findings: None,
            waited: Millis(0),
            waits: vec![],
            worktree: None,
        }
    }
}
