//! Random inputs in random order: every decision is consistent, the journal rebuilds the same run,
//! the money adds up, and every count is right.

use divisi_core::budget::{Budget, Spent, TurnBound, Unanswered};
use divisi_core::estimate::{Estimate, Spread};
use divisi_core::event::{
    AnsweredBy, Caps, FlowSource, ParkReason, Recorded, RunLabel, RunStatus, Suspension, TaskFacts,
    Times, Turn,
};
use divisi_core::retry::QuotaWait;
use divisi_core::run::{AttemptEnd, Bill, Counts, Report, Stage, Submission, TaskStage, TaskState};
use divisi_core::view::Status;
use divisi_core::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Input, Key, Ledger, Limits, Millis,
    Outcome, PicoUsd, Position, Run, RunView, TaskId, Timestamp, Usage,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that happens. Numbers name attempts and tasks modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Submit {
        prompt: u8,
        cost: u64,
        priority: u32,
        known: bool,
        phase: Option<u8>,
        own: Option<u64>,
        unbounded: bool,
    },
    TurnWanted {
        attempt: usize,
        cost: u64,
        results: bool,
    },
    Hedge(usize),
    HedgeEnded(usize, u64),
    TurnEnded {
        attempt: usize,
        cost: u64,
    },
    AttemptEnded {
        attempt: usize,
        class: Option<FailureClass>,
        cost: u64,
        /// What is known of a request without a reply: its cost, and how much more it may be.
        unanswered: Option<(u64, u64)>,
        last_turn: bool,
        cut: bool,
    },
    /// A program says what it has cost; `None` where it says nothing of that.
    Report {
        attempt: usize,
        cost: Option<u64>,
    },
    /// A question waits for its answer.
    Suspend {
        attempt: usize,
        default: bool,
        timeout: Option<u64>,
        /// What it keeps of its reservation.
        reserved: u64,
        /// Whether the answer leads to another attempt.
        goes_on: bool,
    },
    Answer(usize),
    TakeDefault(usize),
    FlowWaits,
    Cap(u64),
    Width(u32),
    Phase(u8, Option<u64>),
    Log(u8),
    Estimate(u64),
    FlowEnded(bool),
    CaughtUp,
    Park,
    Cancel,
    Start,
    Resume {
        cap: Option<u64>,
        phase_cap: Option<u64>,
        in_flight_max: u32,
        reopen_failed: bool,
        /// Some of these numbers no task has.
        reopen: Vec<u32>,
    },
    Wait(u64),
    /// The process that drives the run waits if there is no quota.
    WaitForQuota,
}

fn step() -> impl Strategy<Value = Step> {
    use FailureClass as C;
    let class = prop::sample::select(vec![
        C::RateLimited,
        C::Quota,
        C::Server,
        C::Network,
        C::Lost,
        C::Auth,
        C::Declined,
        C::Turns,
        C::Check,
        C::Check,
        C::Overloaded,
        C::Interrupted,
    ]);
    let attempt = 0..8usize;
    prop_oneof![
        12 => (0..12u8, 0..60u64, 0..3u32, prop::bool::weighted(0.1), prop::option::of(0..3u8), prop::option::weighted(0.3, 0..150u64), prop::bool::weighted(0.1))
            .prop_map(|(prompt, cost, priority, known, phase, own, unbounded)| Step::Submit { prompt, cost, priority, known, phase, own, unbounded }),
        8 => (attempt.clone(), 0..60u64, any::<bool>())
            .prop_map(|(attempt, cost, results)| Step::TurnWanted { attempt, cost, results }),
        8 => (attempt.clone(), 0..60u64).prop_map(|(attempt, cost)| Step::TurnEnded { attempt, cost }),
        12 => (attempt.clone(), prop::option::weighted(0.6, class), 0..60u64, prop::option::of((0..20u64, 0..60u64)), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(attempt, class, cost, unanswered, last_turn, cut)| Step::AttemptEnded { attempt, class, cost, unanswered, last_turn, cut }
        ),
        6 => attempt.clone().prop_map(Step::Hedge),
        2 => (attempt.clone(), 0..60u64).prop_map(|(attempt, most)| Step::HedgeEnded(attempt, most)),
        4 => (attempt.clone(), any::<bool>(), prop::option::of(0..3_000u64), 0..60u64, any::<bool>())
            .prop_map(|(attempt, default, timeout, reserved, goes_on)| Step::Suspend { attempt, default, timeout, reserved, goes_on }),
        2 => (0..20usize).prop_map(Step::Answer),
        2 => (0..20usize).prop_map(Step::TakeDefault),
        2 => Just(Step::FlowWaits),
        2 => (0..300u64).prop_map(Step::Cap),
        2 => (0..6u32).prop_map(Step::Width),
        6 => (attempt, prop::option::weighted(0.8, 0..60u64)).prop_map(|(attempt, cost)| Step::Report { attempt, cost }),
        2 => (0..4u8, prop::option::of(0..150u64)).prop_map(|(title, cap)| Step::Phase(title, cap)),
        2 => (0..4u8).prop_map(Step::Log),
        1 => (0..60u64).prop_map(Step::Estimate),
        1 => any::<bool>().prop_map(Step::FlowEnded),
        4 => Just(Step::CaughtUp),
        1 => Just(Step::Park),
        1 => Just(Step::Cancel),
        1 => Just(Step::Start),
        4 => (prop::option::of(0..300u64), prop::option::of(0..150u64), 0..6u32, any::<bool>(), prop::collection::vec(0..10u32, 0..3))
            .prop_map(|(cap, phase_cap, in_flight_max, reopen_failed, reopen)| Step::Resume { cap, phase_cap, in_flight_max, reopen_failed, reopen }),
        4 => (0..3_000u64).prop_map(Step::Wait),
        1 => (0..2_000_000u64).prop_map(Step::Wait),
        2 => Just(Step::WaitForQuota),
    ]
}

/// What is shown is what the run is.
fn agree(view: &RunView, run: &Run) -> Result<(), TestCaseError> {
    prop_assert_eq!(&view.stage, run.stage());
    prop_assert_eq!(
        (view.counts, view.usage, view.reused),
        (run.counts(), run.usage(), run.reused())
    );
    prop_assert_eq!((&view.money, &view.span), (run.budget(), run.span()));
    prop_assert_eq!(
        (view.execution, view.overcharged()),
        (run.execution(), run.overcharged())
    );
    prop_assert_eq!(view.waits_until(), run.waits_until());
    prop_assert_eq!(
        (view.started_at, view.ended_at),
        (run.started_at(), run.ended_at())
    );
    prop_assert_eq!(view.under_way.len(), run.in_flight());
    prop_assert_eq!(
        view.questions().collect::<Vec<_>>(),
        run.suspended().collect::<Vec<_>>()
    );
    prop_assert_eq!(view.estimate.as_ref(), run.estimate());
    prop_assert_eq!(
        view.result.as_ref().map(|r| r.as_ref().map_err(|f| &**f)),
        run.result()
    );
    let refused: Vec<_> = view
        .refused
        .iter()
        .map(|(refusal, count)| (refusal, *count))
        .collect();
    prop_assert_eq!(refused, run.refused().collect::<Vec<_>>());
    for (title, budget) in run.phase_budgets() {
        let phase = view.phases.iter().find(|phase| phase.title == *title);
        prop_assert_eq!(phase.map(|phase| &phase.money), Some(budget));
    }
    for ((id, task), state) in view
        .tasks
        .iter()
        .enumerate()
        .zip(run.all_tasks().map(|(_, task)| task))
    {
        let told = (
            view.phase_of(task),
            view.model_of(task),
            task.spent,
            task.usage,
            task.attempts,
            task.turns,
        );
        let facts = (
            state.facts().phase.as_ref(),
            state.model(),
            state.spent(),
            state.usage(),
        );
        prop_assert_eq!(
            told,
            (
                facts.0,
                facts.1,
                facts.2,
                facts.3,
                state.attempts(),
                state.turns_total()
            )
        );
        prop_assert_eq!(
            (task.started_at, task.ended_at, task.answered_by()),
            (state.started_at(), state.ended_at(), state.answered_by())
        );
        prop_assert_eq!(
            view.failure_of(task).map(|f| &f.message),
            failed(state).map(|f| &f.message)
        );
        prop_assert_eq!(
            task.execution == view.execution,
            run.tasks().any(|(of, _)| of.index() == id)
        );
        prop_assert_eq!(task.status, status(state));
    }
    let of_models = view.models.iter().fold(Spent::default(), |mut sum, model| {
        sum += model.spent;
        sum
    });
    prop_assert_eq!(of_models.over, run.budget().over);
    Ok(())
}

fn failed(state: &TaskState) -> Option<&Failure> {
    match state.outcome()? {
        Outcome::Failed(failure) => Some(failure),
        Outcome::Ok { .. } | Outcome::Skipped { .. } | Outcome::Cancelled => None,
    }
}

fn status(state: &TaskState) -> Status {
    match state.stage() {
        TaskStage::Unclaimed => Status::Unclaimed,
        TaskStage::Ready => Status::Waiting,
        TaskStage::Resting(_) => Status::Resting,
        TaskStage::InFlight(_) => Status::Running,
        TaskStage::Suspended(_) => Status::Suspended,
        TaskStage::Between => Status::Between,
        TaskStage::Ended {
            outcome: Outcome::Ok { .. },
            ..
        } => Status::Ok,
        TaskStage::Ended {
            outcome: Outcome::Failed(_),
            ..
        } => Status::Failed,
        TaskStage::Ended {
            outcome: Outcome::Skipped { .. },
            ..
        } => Status::Skipped,
        TaskStage::Ended {
            outcome: Outcome::Cancelled,
            ..
        } => Status::Cancelled,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(steps in prop::collection::vec(step(), 1..120)) {
        let mut live = Live::default();
        live.take(Input::Start { name: "fuzz".into(), flow: flow(), limits: limits(3), caps: Caps::of(Some(PicoUsd(200))) });
        for step in steps {
            live.step(step);
        }
        let (mut replayed, mut view) = (Run::new(), RunView::default());
        let mut ledger = Ledger::default();
        let middle = live.journal.len() / 2;
        for recorded in &live.journal {
            let written = serde_json::to_string(recorded).expect("an event can be written");
            let read: Recorded = serde_json::from_str(&written).expect("what was written can be read");
            prop_assert_eq!(&read, recorded);
            ledger.record(read.at, &read.event);
            replayed.apply(read.at, &read.event).expect("a journal can be replayed");
            view.apply(&read);
            agree(&view, &replayed)?;
            if read.position.0 as usize == middle {
                let written = serde_json::to_string(&view).expect("a view can be written");
                let again: RunView = serde_json::from_str(&written).expect("what was written can be read");
                prop_assert_eq!(&again, &view);
                view = again;
            }
        }
        prop_assert_eq!(&RunView::of(&live.journal), &view);
        if replayed.in_flight() > 0 {
            replayed.assume_dead().expect("what is under way can be lost");
            view.assume_dead();
            agree(&view, &replayed)?;
        }
        let mut replayed = Run::new();
        for Recorded { at, event, .. } in &live.journal {
            replayed.apply(*at, event).expect("a journal can be replayed");
        }
        prop_assert_eq!(&replayed, &live.run);
        prop_assert_eq!(ledger.spent(), live.run.budget().spent());
        prop_assert_eq!(ledger.total().usage, live.run.usage());
        let booked = ledger.total().cost + ledger.total().unconfirmed;
        prop_assert_eq!(booked, ledger.spent().total());
    }

    /// The same tasks in another order are the same tasks.
    #[test]
    fn identity_does_not_depend_on_order(
        (prompts, shuffled) in prop::collection::vec(0..6u8, 0..20)
            .prop_flat_map(|prompts| (Just(prompts.clone()), Just(prompts).prop_shuffle()))
    ) {
        let identities = |prompts: Vec<u8>| {
            let mut live = Live::default();
            live.take(Input::Start { name: "order".into(), flow: flow(), limits: limits(3), caps: Caps::default() });
            for prompt in prompts {
                live.step(Step::Submit {
                    prompt,
                    cost: 1,
                    priority: 0,
                    known: false,
                    phase: None,
                    own: None,
                    unbounded: false,
                });
            }
            let mut all: Vec<_> = live.run.all_tasks().map(|(_, task)| (task.key(), task.occurrence())).collect();
            all.sort();
            all
        };
        prop_assert_eq!(identities(prompts), identities(shuffled));
    }
}

/// A run with all that is needed to check on it.
#[derive(Default)]
struct Live {
    run: Run,
    now: Timestamp,
    journal: Vec<Recorded>,
    /// Attempts in flight and their reservations, computed from events.
    under_way: BTreeMap<AttemptId, PicoUsd>,
    /// Attempts that wait for an answer.
    suspended: BTreeMap<AttemptId, PicoUsd>,
    /// The same for requests that were sent a second time.
    hedges: BTreeMap<AttemptId, PicoUsd>,
    spent: Spent,
    spent_by_phase: BTreeMap<Arc<str>, Spent>,
    /// Whether a reply of this execution has cost more than was reserved for it.
    overcharged: bool,
    /// What was spent and reserved when the run's cap was set: a cap below that
    /// takes nothing back.
    in_hand: PicoUsd,
    /// The same of phases.
    in_hand_of_phase: BTreeMap<Arc<str>, PicoUsd>,
    /// The same of tasks whose own budget was changed.
    in_hand_of_task: BTreeMap<TaskId, PicoUsd>,
}

impl Live {
    fn step(&mut self, step: Step) {
        match step {
            Step::Submit {
                prompt,
                cost,
                priority,
                known,
                phase,
                own,
                unbounded,
            } => {
                let key = Key(Digest::of(&[prompt, u8::from(unbounded)]));
                let first_turns = match unbounded {
                    true => vec![],
                    false => vec![bound(cost), bound(cost * 2), bound(cost)],
                };
                let facts = TaskFacts {
                    priority,
                    phase: phase.map(|title| title.to_string().into()),
                    models: vec!["haiku".into(), "opus".into()],
                    fallbacks: vec!["sonnet".into()],
                    first_turns,
                    unbounded,
                    cost_max: own.map(PicoUsd),
                    is_program: prompt % 3 == 0,
                    ..TaskFacts::default()
                };
                let reason = "it is known to be of no use".into();
                let outcome = known.then_some(Outcome::Skipped { reason });
                self.take(Input::Submit(Box::new(Submission::new(
                    key,
                    facts,
                    text("{}"),
                    outcome,
                ))));
            }
            Step::TurnWanted {
                attempt,
                cost,
                results,
            } => {
                let attempt = self.attempt(attempt);
                let tool_results = results.then(|| text("results"));
                self.take(Input::TurnWanted {
                    attempt,
                    tool_results,
                    bound: bound(cost),
                    tools: vec![],
                });
            }
            Step::Hedge(attempt) => {
                let attempt = self.attempt(attempt);
                self.take(Input::HedgeWanted { attempt });
            }
            Step::HedgeEnded(attempt, most) => {
                let attempt = self.attempt(attempt);
                self.take(Input::HedgeEnded {
                    attempt,
                    most: PicoUsd(most),
                });
            }
            Step::TurnEnded { attempt, cost } => {
                let attempt = self.attempt(attempt);
                let turn = Box::new(turn(self.charge(attempt, cost)));
                self.take(Input::TurnEnded { attempt, turn });
            }
            Step::AttemptEnded {
                attempt,
                class,
                cost,
                unanswered,
                last_turn,
                cut,
            } => {
                let attempt = self.attempt(attempt);
                let cost = self.charge(attempt, cost);
                let beside = match unanswered.is_some() || last_turn {
                    true => 0,
                    false => cost,
                };
                let before = self.journal.len();
                let unanswered = unanswered.map(|(known, more)| Unanswered {
                    known: PicoUsd(known),
                    most: PicoUsd(known + more),
                    usage: Usage {
                        input: known,
                        ..Usage::default()
                    },
                });
                let reserved = self.under_way.get(&attempt).copied();
                let end = AttemptEnd {
                    result: class.map_or(Ok(text("{}")), |class| {
                        Err(Failure::new(class, "it failed"))
                    }),
                    last_turn: last_turn.then(|| Box::new(turn(cost))),
                    usage: Usage {
                        output: beside,
                        ..Usage::default()
                    },
                    cost: PicoUsd(beside),
                    unanswered,
                    retry_after: (cost.is_multiple_of(2)).then_some(Millis(cost * 100)),
                    should_retry: None,
                    next_turn: (cut && class.is_some()).then(|| bound(cost).whole()),
                    findings: (class == Some(FailureClass::Check)).then(|| text("it is wrong")),
                    worktree: None,
                    answered_by: None,
                    waited: Millis(0),
                    waits: vec![],
                };
                self.take(Input::AttemptEnded {
                    attempt,
                    end: Box::new(end),
                });
                if let (Some(unanswered), false, Some(reserved)) = (unanswered, last_turn, reserved)
                {
                    let ended =
                        self.journal[before..]
                            .iter()
                            .find_map(|recorded| match recorded.event {
                                Event::AttemptEnded { cost, .. } => Some(cost),
                                _ => None,
                            });
                    let most = unanswered.most.min(reserved).max(unanswered.known);
                    assert_eq!(ended, Some(most), "whatever is billed of it is booked");
                }
            }
            Step::Report { attempt, cost } => {
                let attempt = self.attempt(attempt);
                let bill = match cost.map(|cost| self.charge(attempt, cost)) {
                    Some(cost) => Bill::Of(PicoUsd(cost)),
                    None => Bill::Unknown,
                };
                let usage = Usage {
                    output: cost.unwrap_or_default(),
                    ..Usage::default()
                };
                let report = Box::new(Report {
                    model: None,
                    usage,
                    bill,
                    handle: Some(text("a session")),
                });
                self.take(Input::AttemptReports { attempt, report });
            }
            Step::Suspend {
                attempt,
                default,
                timeout,
                reserved,
                goes_on,
            } => {
                let attempt = self.attempt(attempt);
                let suspension = Box::new(Suspension {
                    default: default.then(|| text("false")),
                    timeout: timeout.map(Millis),
                    reserved: PicoUsd(reserved),
                    goes_on,
                    ..Suspension::of("person")
                });
                self.take(Input::AttemptSuspended {
                    attempt,
                    suspension,
                });
            }
            Step::Answer(task) => {
                let task = self.waiting(task);
                let end = Box::new(AttemptEnd {
                    answered_by: Some(AnsweredBy::Person),
                    ..AttemptEnd::of(Ok(text("true")))
                });
                self.take(Input::Resolve { task, end });
            }
            Step::TakeDefault(task) => {
                let task = self.waiting(task);
                self.take(Input::TakeDefault { task });
            }
            Step::FlowWaits => self.take(Input::FlowWaits),
            Step::Cap(cap) => self.take(Input::Cap(PicoUsd(cap))),
            Step::Width(in_flight_max) => self.take(Input::Width(in_flight_max)),
            Step::Phase(title, cap) => {
                self.take(Input::Phase {
                    title: title.to_string().into(),
                    cap: cap.map(PicoUsd),
                });
            }
            Step::Log(line) => self.take(Input::Log(line.to_string().into())),
            Step::Estimate(cost) => {
                let cost = Spread {
                    p50: PicoUsd(cost),
                    ..Spread::default()
                };
                let estimate = Estimate {
                    cost,
                    ceiling: None,
                    took: Spread::default(),
                    tasks: 1,
                    guessed: 0,
                    plan: None,
                };
                self.take(Input::Estimate(Box::new(estimate)));
            }
            Step::FlowEnded(true) => self.take(Input::FlowEnded(Ok(text("null")))),
            Step::FlowEnded(false) => {
                let failure = Failure::new(FailureClass::Program, "x is not a function");
                self.take(Input::FlowEnded(Err(Box::new(failure))));
            }
            Step::CaughtUp => self.take(Input::CaughtUp),
            Step::Park => self.take(Input::Park),
            Step::Cancel => self.take(Input::Cancel),
            Step::Start => {
                self.take(Input::Start {
                    name: "again".into(),
                    flow: flow(),
                    limits: limits(1),
                    caps: Caps::default(),
                });
            }
            Step::Resume {
                cap,
                phase_cap,
                in_flight_max,
                reopen_failed,
                reopen,
            } => {
                let phases = phase_cap
                    .map(|cap| ("1".into(), PicoUsd(cap)))
                    .into_iter()
                    .collect();
                let caps = Caps {
                    run: cap.map(PicoUsd),
                    phases,
                    warn_percent: Some(80),
                };
                self.take(Input::Resume {
                    flow: flow(),
                    limits: limits(in_flight_max),
                    caps,
                    reopen_failed,
                    reopen: reopen.into_iter().map(TaskId).collect(),
                });
            }
            Step::WaitForQuota => self.take(Input::Wait(QuotaWait::default())),
            Step::Wait(millis) => self.now = self.now + Millis(millis),
        }
        self.settle_down();
    }

    /// An attempt that was scheduled at some time.
    fn attempt(&self, number: usize) -> AttemptId {
        let none = AttemptId {
            task: TaskId(0),
            number: 1,
        };
        match self.under_way.len() {
            0 => none,
            count => *self.under_way.keys().nth(number % count).unwrap_or(&none),
        }
    }

    /// A suspended task, if there is one.
    fn waiting(&self, number: usize) -> TaskId {
        let suspended: Vec<TaskId> = self.run.suspended().collect();
        match suspended.len() {
            0 => TaskId(number as u32),
            count => suspended[number % count],
        }
    }

    /// Vendors mostly charge no more than was reserved, and sometimes absurdly much.
    fn charge(&self, attempt: AttemptId, cost: u64) -> u64 {
        let reserved = self.under_way.get(&attempt).copied().unwrap_or_default();
        match cost {
            59 => u64::MAX / 100,
            57.. => cost + reserved.0,
            _ => cost.min(reserved.0),
        }
    }

    /// Ticks until nothing follows, which must not take long.
    fn settle_down(&mut self) {
        let ticks = (0..100).take_while(|_| {
            let before = self.journal.len();
            self.take(Input::Tick);
            self.journal.len() > before
        });
        assert!(ticks.count() < 100, "ticks never come to an end");
        let waiting = self
            .run
            .tasks()
            .any(|(_, task)| matches!(task.stage(), TaskStage::Ready | TaskStage::Resting(_)));
        let wake_at = self.run.wake_at();
        assert!(
            wake_at.is_none_or(|due| due > self.now),
            "it wants to be woken in the past"
        );
        if waiting && *self.run.stage() == Stage::Running && self.run.in_flight() == 0 {
            assert!(
                wake_at.is_some(),
                "tasks wait, and nothing will ever happen"
            );
        }
        self.recount();
    }

    fn take(&mut self, input: Input) {
        for event in self.run.decide(self.now, input) {
            self.check(&event);
            self.run
                .apply(self.now, &event)
                .unwrap_or_else(|illegal| panic!("decided {event:?}, but {illegal}"));
            let position = Position(self.journal.len() as u64);
            self.journal.push(Recorded {
                position,
                at: self.now,
                event,
            });
            self.audit();
        }
    }

    /// Checks an event against separately kept accounts.
    fn check(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled {
                attempt, reserved, ..
            } => {
                assert!(!self.overcharged, "{attempt} starts after an overcharge");
                let task = self.run.task(attempt.task).expect("a task");
                assert!(
                    !task.facts().is_open_ended() || self.run.budget().cap.is_none(),
                    "{attempt} has no bound, and there is a cap"
                );
                assert_eq!(
                    *self.run.stage(),
                    Stage::Running,
                    "a start while {:?}",
                    self.run.stage()
                );
                let rests = self.run.task(attempt.task).map(|task| task.stage().clone());
                assert!(
                    !matches!(rests, Some(TaskStage::Resting(due)) if due > self.now),
                    "a start before its time"
                );
                assert_eq!(
                    self.under_way.insert(*attempt, *reserved),
                    None,
                    "{attempt} starts twice"
                );
                let most = self.run.limits().in_flight_max.max(1) as usize;
                assert!(
                    self.under_way.len() <= most,
                    "{} are in flight",
                    self.under_way.len()
                );
                let is_program = |attempt: &AttemptId| {
                    self.run
                        .task(attempt.task)
                        .is_some_and(|task| task.facts().is_program)
                };
                let programs = self
                    .under_way
                    .keys()
                    .filter(|attempt| is_program(attempt))
                    .count();
                let most = self.run.limits().programs_max.max(1) as usize;
                assert!(
                    !is_program(attempt) || programs <= most,
                    "{programs} programs are in flight"
                );
            }
            Event::TurnScheduled {
                attempt, reserved, ..
            } => {
                assert!(!self.overcharged, "{attempt} goes on after an overcharge");
                assert_eq!(*self.run.stage(), Stage::Running);
                assert!(self.under_way.insert(*attempt, *reserved).is_some());
            }
            Event::TurnHedged { attempt, reserved } => {
                assert!(!self.overcharged, "{attempt} is hedged after an overcharge");
                assert_eq!(*self.run.stage(), Stage::Running);
                assert_eq!(
                    self.under_way.get(attempt),
                    Some(reserved),
                    "it may cost as much as the first"
                );
                assert_eq!(
                    self.hedges.insert(*attempt, *reserved),
                    None,
                    "{attempt} is hedged twice"
                );
            }
            Event::HedgeEnded { attempt, cost } => {
                let reserved = self.hedges.remove(attempt).expect("a second request");
                assert!(*cost <= reserved, "{cost} of {reserved}");
                self.book(
                    *attempt,
                    Spent {
                        unconfirmed: *cost,
                        ..Spent::default()
                    },
                );
            }
            Event::TurnEnded { attempt, turn } => {
                assert!(
                    !self.hedges.contains_key(attempt),
                    "two requests, and one reply for both"
                );
                let reserved = self
                    .under_way
                    .insert(*attempt, PicoUsd::ZERO)
                    .expect("in flight");
                let over = turn.cost.saturating_sub(reserved);
                self.book(
                    *attempt,
                    Spent {
                        billed: turn.cost.min(reserved),
                        over,
                        ..Spent::default()
                    },
                );
            }
            Event::AttemptReported {
                attempt,
                cost,
                unconfirmed,
                ..
            } => {
                let reserved = self.under_way.get_mut(attempt).expect("in flight");
                let within = (*cost).min(*reserved);
                *reserved = reserved.saturating_sub(within);
                let over = cost.saturating_sub(within);
                let billed = within.saturating_sub(*unconfirmed);
                self.book(
                    *attempt,
                    Spent {
                        billed,
                        unconfirmed: *unconfirmed,
                        over,
                        ..Spent::default()
                    },
                );
            }
            Event::AttemptEnded {
                attempt,
                failure,
                cost,
                unconfirmed,
                estimated,
                answered_by,
                ..
            } => {
                assert!(
                    !self.hedges.contains_key(attempt),
                    "a second request is left"
                );
                let kept = self.suspended.remove(attempt);
                let reserved = kept
                    .or_else(|| self.under_way.remove(attempt))
                    .expect("in flight or suspended");
                let is_abandoned = match answered_by {
                    Some(by) => *by != AnsweredBy::Person,
                    None => failure
                        .as_ref()
                        .is_some_and(|failure| failure.message.contains("its outcome is known")),
                };
                if kept.is_some() && is_abandoned {
                    assert_eq!(*unconfirmed, reserved, "abandoned work may still be billed");
                }
                assert!(*unconfirmed <= reserved, "no more than was set aside");
                let (left, billed) = (
                    reserved.saturating_sub(*unconfirmed),
                    cost.saturating_sub(*unconfirmed),
                );
                let over = billed.saturating_sub(left);
                self.book(
                    *attempt,
                    Spent {
                        billed: billed.min(left),
                        unconfirmed: *unconfirmed,
                        over,
                        estimated: match estimated {
                            true => billed,
                            false => PicoUsd::ZERO,
                        },
                    },
                );
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => {
                let reserved = self.under_way.remove(attempt).expect("in flight");
                assert!(suspension.reserved <= reserved, "no more than it had");
                assert_eq!(
                    self.suspended.insert(*attempt, suspension.reserved),
                    None,
                    "{attempt} is suspended twice"
                );
            }
            Event::CapChanged { .. } => self.in_hand = held(self.run.budget()),
            Event::RunResumed(_) => {
                self.overcharged = false;
                self.in_hand = held(self.run.budget());
                let phases = self
                    .run
                    .phase_budgets()
                    .map(|(phase, budget)| (phase.clone(), held(budget)));
                self.in_hand_of_phase = phases.collect();
            }
            Event::PhaseStarted {
                title,
                cap: Some(_),
            } => {
                let budget = self.run.phase_budgets().find(|(phase, _)| *phase == title);
                let in_hand = budget.map_or(PicoUsd::ZERO, |(_, budget)| held(budget));
                self.in_hand_of_phase.insert(title.clone(), in_hand);
            }
            Event::TaskClaimed { task, .. } => {
                self.in_hand_of_task.insert(*task, self.held_of(*task));
            }
            Event::RunEnded { status } => {
                assert!(
                    *status != RunStatus::Ok || !self.overcharged,
                    "it is not ok after an overcharge"
                );
                assert!(
                    self.run.tasks().all(|(_, task)| task.outcome().is_some()),
                    "a task without outcome"
                );
            }
            Event::WaitStarted { until } => {
                assert!(matches!(
                    self.run.stage(),
                    Stage::Parked(ParkReason::Quota { .. })
                ));
                assert!(*until >= self.now && self.run.waits_until().is_none());
            }
            Event::RunWoken => {
                assert!(
                    !self.overcharged,
                    "it goes on by itself after an overcharge"
                );
                let until = self.run.waits_until().expect("it waits");
                assert!(
                    until <= self.now,
                    "it goes on at {}, not at {}",
                    self.now.0,
                    until.0
                );
            }
            Event::ParkingStarted {
                reason: ParkReason::Hopeless { failed, .. },
            } => {
                assert!(*failed >= self.run.limits().hopeless_after && self.run.counts().open > 0);
            }
            Event::RunParked {
                reason: ParkReason::Budget { .. },
            } => {
                let first =
                    |task: &TaskState| *task.stage() == TaskStage::Ready && task.attempts() == 0;
                let fits = |task: &TaskState| {
                    let own = task
                        .facts()
                        .cost_max
                        .map_or(PicoUsd::MAX, |most| most.saturating_sub(task.cost()));
                    let held = self.held(task.facts().phase.as_ref()).min(own);
                    let least = match task.facts().first_turns.first() {
                        Some(first) => first.least(),
                        // A task without a known bound reserves all of its own budget, or nothing.
                        None => {
                            if own == PicoUsd::MAX {
                                PicoUsd::ZERO
                            } else {
                                own.max(PicoUsd(1))
                            }
                        }
                    };
                    task.rung() == 0 && least <= held
                };
                let mut tasks = self.run.tasks();
                assert!(
                    !tasks.any(|(_, task)| first(task) && fits(task)),
                    "parked although something fits"
                );
            }
            _ => {}
        }
    }

    fn phase_of(&self, task: TaskId) -> Option<Arc<str>> {
        self.run
            .task(task)
            .and_then(|task| task.facts().phase.clone())
    }

    fn book(&mut self, attempt: AttemptId, spent: Spent) {
        // Where nothing could be set aside, all of it is what the attempt may cost.
        let is_open_ended = self
            .run
            .task(attempt.task)
            .is_some_and(|task| task.facts().is_open_ended());
        let spent = match is_open_ended {
            true => Spent {
                billed: spent.billed + spent.over,
                over: PicoUsd::ZERO,
                ..spent
            },
            false => spent,
        };
        // One without a bound starts only without a cap. A cap that is set later cannot hold it.
        if is_open_ended {
            let cost = spent.billed + spent.unconfirmed;
            self.in_hand += cost;
            if let Some(phase) = self.phase_of(attempt.task) {
                *self.in_hand_of_phase.entry(phase).or_default() += cost;
            }
        }
        self.spent += spent;
        self.overcharged |= spent.over > PicoUsd::ZERO;
        let phase = self.phase_of(attempt.task);
        if let Some(phase) = phase.filter(|_| spent.total() > PicoUsd::ZERO) {
            *self.spent_by_phase.entry(phase).or_default() += spent;
        }
    }

    /// What the run and this phase may still reserve.
    fn held(&self, phase: Option<&Arc<str>>) -> PicoUsd {
        let of_phase = self
            .run
            .phase_budgets()
            .find(|(title, _)| Some(*title) == phase);
        self.run
            .budget()
            .left()
            .min(of_phase.map_or(PicoUsd::MAX, |(_, budget)| budget.left()))
    }

    /// What a task has spent within its reservations, and has reserved.
    fn held_of(&self, id: TaskId) -> PicoUsd {
        let attempts = self
            .under_way
            .iter()
            .chain(&self.hedges)
            .chain(&self.suspended)
            .filter(|(attempt, _)| attempt.task == id);
        let reserved = attempts.map(|(_, reserved)| *reserved).sum();
        let spent = self
            .run
            .task(id)
            .map(|task| task.spent())
            .unwrap_or_default();
        spent.billed + spent.unconfirmed + reserved
    }

    /// What must hold at every event.
    fn audit(&self) {
        let by_phase: BTreeMap<_, _> = self
            .run
            .phase_budgets()
            .filter(|(_, budget)| budget.spent().total() > PicoUsd::ZERO)
            .map(|(phase, budget)| (phase.clone(), budget.spent()))
            .collect();
        assert_eq!(by_phase, self.spent_by_phase);
        for (phase, budget) in self.run.phase_budgets() {
            let in_hand = self
                .in_hand_of_phase
                .get(phase)
                .copied()
                .unwrap_or_default();
            let most = budget.cap.unwrap_or(PicoUsd::MAX).max(in_hand);
            assert!(held(budget) <= most, "{phase}: {budget:?} of {most}");
        }
        for (id, task) in self.run.all_tasks() {
            let held = self.held_of(id);
            let in_hand = self.in_hand_of_task.get(&id).copied().unwrap_or_default();
            let most = task.facts().cost_max.unwrap_or(PicoUsd::MAX).max(in_hand);
            assert!(held <= most, "{id}: {held} of {most}");
        }
        let budget = self.run.budget();
        assert_eq!(budget.spent(), self.spent);
        let reserved = self
            .under_way
            .values()
            .chain(self.hedges.values())
            .chain(self.suspended.values());
        assert_eq!(budget.reserved, reserved.copied().sum());
        let most = budget.cap.unwrap_or(PicoUsd::MAX).max(self.in_hand);
        assert!(held(budget) <= most, "{budget:?} of {most}");
    }

    /// What must hold whenever the run has settled down.
    fn recount(&self) {
        let mut counts = Counts::default();
        let (mut usage, mut cost, mut orders) = (Usage::default(), PicoUsd::ZERO, vec![]);
        for (_, task) in self.run.all_tasks() {
            usage += task.usage();
            cost += task.cost();
            orders.extend(match task.stage() {
                TaskStage::Ended { order, .. } => Some(*order),
                _ => None,
            });
        }
        for (_, task) in self.run.tasks() {
            match task.outcome() {
                Some(Outcome::Ok { .. }) => counts.ok += 1,
                Some(Outcome::Failed(_)) => counts.failed += 1,
                Some(Outcome::Skipped { .. }) => counts.skipped += 1,
                Some(Outcome::Cancelled) => counts.cancelled += 1,
                None => counts.open += 1,
            }
        }
        assert_eq!(
            (counts, usage, cost),
            (
                self.run.counts(),
                self.run.usage(),
                self.run.budget().spent().total()
            )
        );
        let outcomes = orders.len();
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(orders.len(), outcomes, "two outcomes have the same place");
        let in_flight = self
            .run
            .tasks()
            .filter(|(_, task)| matches!(task.stage(), TaskStage::InFlight(_)));
        assert_eq!(in_flight.count(), self.run.in_flight());
        assert!(
            self.run
                .all_tasks()
                .all(|(_, task)| *task.stage() != TaskStage::Between)
        );
    }
}

/// What a budget has spent within its reservations, and has reserved.
fn held(budget: &Budget) -> PicoUsd {
    budget.settled + budget.reserved
}

/// A bound of which half depends on the reply.
fn bound(cost: u64) -> TurnBound {
    let reply = cost / 2;
    TurnBound {
        prompt: PicoUsd(cost - reply),
        reply_token: PicoUsd(1),
        reply_tokens_max: reply as u32,
        reply_tokens_min: reply as u32 / 4,
    }
}

fn turn(cost: u64) -> Turn {
    Turn {
        request: Digest::of(b"request"),
        reply: text("reply"),
        model: "haiku".into(),
        usage: Usage {
            input: cost,
            ..Usage::default()
        },
        cost: PicoUsd(cost),
        judges: false,
        estimated: false,
        took: Millis(1),
        times: Times::default(),
    }
}

fn limits(in_flight_max: u32) -> Limits {
    let programs_max = in_flight_max / 2;
    Limits {
        in_flight_max,
        programs_max,
        tasks_max: 20,
        logs_max: 10,
        hopeless_after: 2,
        ..Limits::default()
    }
}

fn flow() -> FlowSource {
    FlowSource {
        label: RunLabel::default(),
        path: None,
        source: text("// fuzz"),
        args: None,
        folder: None,
        options: None,
    }
}

fn text(text: &str) -> Content {
    Content::Inline(text.into())
}
