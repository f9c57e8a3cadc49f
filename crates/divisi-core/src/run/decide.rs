//! What follows from what happens.

use super::{Run, Stage, TaskStage};
use crate::budget::{Budgets, Grant, TurnBound};
use crate::event::{
    Caps, FlowSource, ParkReason, RunResumed, RunStarted, RunStatus, TaskFacts, TaskSubmitted, Turn,
};
use crate::preflight::Estimate;
use crate::retry::{QuotaWait, Told, Verdict};
use crate::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Key, Limits, Millis, Outcome, PicoUsd, TaskId,
    Timestamp, Usage,
};
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
    /// `TaskClaimed`; none is when the run has as many tasks as it may
    /// have, or is over.
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
    /// A progress group begins.
    Phase {
        /// Its title.
        title: Arc<str>,
        /// Most that its tasks may spend, where the flow says so.
        cap: Option<PicoUsd>,
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
        }
    }
}

impl Run {
    /// Waiting tasks looked at in one decision for those that fit what is left
    /// of the budget. Enough that smaller work behind larger goes in order, little
    /// enough that a decision stays cheap.
    pub(super) const BUDGET_SCAN_MAX: usize = 1_024;

    /// Decides what follows from `input`. Nothing is true until applied.
    pub fn decide(&self, now: Timestamp, input: Input) -> Vec<Event> {
        match input {
            Input::Start { .. } if self.stage != Stage::Unstarted => vec![],
            Input::Start { name, flow, limits, caps } => {
                let format = crate::event::FORMAT;
                vec![Event::RunStarted(Box::new(RunStarted { format, name, flow, limits, caps }))]
            }
            Input::Resume { .. } if self.stage == Stage::Unstarted => vec![],
            Input::Resume { flow, limits, caps, reopen_failed } => {
                let mut events = self.end_in_flight(FailureClass::Lost, "the process that ran it died");
                events.push(Event::RunResumed(Box::new(RunResumed { flow, limits, caps, reopen_failed })));
                events
            }
            Input::CaughtUp => match self.stage {
                Stage::Replaying => vec![self.caught_up()],
                _ => vec![],
            },
            // Nothing is said or asked for before the start and after the end.
            Input::Submit(_)
            | Input::Phase { .. }
            | Input::Log(_)
            | Input::Estimate(_)
            | Input::FlowEnded(_)
                if !self.is_alive() =>
            {
                vec![]
            }
            Input::Submit(submission) => self.submit(*submission),
            Input::TurnWanted { attempt, tool_results, bound } => {
                let hedge = self.end_hedge(attempt, true).into_iter();
                hedge.chain(self.turn(attempt, tool_results, bound, now)).collect()
            }
            Input::HedgeWanted { attempt } => self.hedge(attempt),
            Input::HedgeEnded { attempt, billed } => self.end_hedge(attempt, billed).into_iter().collect(),
            Input::TurnEnded { attempt, turn } => match self.in_flight.contains_key(&attempt) {
                true => self
                    .end_hedge(attempt, true)
                    .into_iter()
                    .chain([Event::TurnEnded { attempt, turn }])
                    .collect(),
                false => vec![],
            },
            Input::AttemptEnded { attempt, end } => self.attempt_ended(attempt, *end, now),
            Input::Phase { title, cap } => self.phase(title, cap),
            Input::Log(message) => self.log(message),
            Input::Estimate(estimate) => match self.is_estimated() {
                true => vec![],
                false => vec![Event::Estimated { estimate }],
            },
            Input::FlowEnded(result) => match self.flow_ended {
                Some(_) => vec![],
                // It waits for nothing more, so it has caught up.
                None if self.stage == Stage::Replaying => vec![self.caught_up(), Event::FlowEnded { result }],
                None => vec![Event::FlowEnded { result }],
            },
            Input::Park => match &self.stage {
                Stage::Replaying | Stage::Running => {
                    vec![Event::ParkingStarted { reason: ParkReason::Asked }]
                }
                // Parked it is; from now on it does not go on by itself.
                Stage::Parked(reason) if self.waits_until().is_some() => {
                    vec![Event::RunParked { reason: reason.clone() }]
                }
                _ => vec![],
            },
            Input::Wait(wait) => self.wait(now, wait),
            Input::Cancel => self.cancel(),
            Input::Tick => self.tick(now),
        }
    }

    fn submit(&self, Submission { key, facts, spec, outcome }: Submission) -> Vec<Event> {
        let ended =
            |task, outcome: Option<Outcome>| outcome.map(|outcome| Event::TaskEnded { task, outcome });
        let (occurrence, known) = self.keys.next(&key);
        if let Some(task) = known {
            let known = &self.tasks[task.index()];
            let facts = (*known.facts != facts).then(|| Arc::new(facts));
            let mut events = vec![Event::TaskClaimed { task, facts }];
            events.extend(ended(task, outcome.filter(|_| known.outcome().is_none())));
            return events;
        }
        if self.tasks.len() >= self.limits.tasks_max as usize {
            return vec![];
        }
        let task = TaskId(self.tasks.len() as u32);
        let submitted = TaskSubmitted { task, key, occurrence, facts: Arc::new(facts), spec };
        let mut events = vec![Event::TaskSubmitted(Box::new(submitted))];
        events.extend(ended(task, outcome));
        events
    }

    fn turn(
        &self,
        attempt: AttemptId,
        tool_results: Option<Content>,
        bound: TurnBound,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else { return vec![] };
        let task = &self.tasks[attempt.task.index()];
        // What is given up with this may be billed.
        let own_left = task.own_left().saturating_sub(in_flight.hedged.unwrap_or_default());
        let left = self.left_without(attempt);
        let granted = match bound.fit(own_left) {
            None => return self.out_of_own_budget(attempt, tool_results, bound),
            Some(wanted) if wanted.reserved <= left => Some(wanted),
            // Others under way may leave more than they have set aside.
            Some(_) if self.in_flight.len() > 1 => None,
            Some(_) => bound.fit(left.min(own_left)),
        };
        if let (Stage::Running, Some(Grant { reserved, reply_tokens })) = (&self.stage, granted) {
            return vec![Event::TurnScheduled { attempt, tool_results, reserved, reply_tokens }];
        }
        let message = match self.stage {
            Stage::Running => "what is left of the budget does not hold its next turn",
            _ => "the run is parking",
        };
        vec![
            self.interrupted(attempt, FailureClass::Interrupted, message, bound, tool_results),
            Event::RetryPlanned { task: attempt.task, due: now },
        ]
    }

    /// The end of a task whose own budget does not hold its next turn.
    fn out_of_own_budget(
        &self,
        attempt: AttemptId,
        tool_results: Option<Content>,
        bound: TurnBound,
    ) -> Vec<Event> {
        let failure = self.over_own_budget(attempt.task, bound);
        let ended = self.interrupted(attempt, failure.class, &failure.message, bound, tool_results);
        let mut events = vec![ended];
        self.give_up(attempt.task, failure, &mut events);
        events
    }

    /// The end of a task whose attempt has failed for good, and of the wait of
    /// its siblings where there is no hope for them either.
    fn give_up(&self, id: TaskId, failure: Failure, events: &mut Vec<Event>) {
        let hopeless = self.hopeless(&self.tasks[id.index()], &failure);
        events.push(Event::TaskEnded { task: id, outcome: Outcome::Failed(failure) });
        events.extend(hopeless.map(|reason| Event::ParkingStarted { reason }));
    }

    fn over_own_budget(&self, id: TaskId, bound: TurnBound) -> Failure {
        let task = &self.tasks[id.index()];
        let most = task.facts.cost_max.unwrap_or_default();
        let (spent, least) = (task.cost, bound.least());
        let message =
            format!("of its own {most} it has spent {spent}, and its next request may cost {least}");
        Failure::new(FailureClass::Budget, message).hint("raise `maxCost` of the task, or ask for less")
    }

    /// The end of an attempt whose next turn some budget does not hold.
    fn interrupted(
        &self,
        attempt: AttemptId,
        class: FailureClass,
        message: &str,
        bound: TurnBound,
        tool_results: Option<Content>,
    ) -> Event {
        Event::AttemptEnded {
            attempt,
            failure: Some(Box::new(Failure::new(class, message))),
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            next_turn: Some(bound),
            findings: None,
            tool_results,
            waited: Millis(0),
        }
    }

    fn phase(&self, title: Arc<str>, cap: Option<PicoUsd>) -> Vec<Event> {
        let known = self.phases.contains(&title);
        let recapped = cap.is_some() && self.budgets.phases.get(&title).and_then(|budget| budget.cap) != cap;
        match known {
            true if recapped => vec![Event::PhaseStarted { title, cap }],
            false if self.phases.len() < Self::PHASES_MAX => vec![Event::PhaseStarted { title, cap }],
            true | false => vec![],
        }
    }

    fn attempt_ended(&self, attempt: AttemptId, end: AttemptEnd, now: Timestamp) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else { return vec![] };
        let task = &self.tasks[attempt.task.index()];
        let mut events = Vec::with_capacity(3);
        events.extend(self.end_hedge(attempt, true));
        let unanswered = match end.last_turn {
            Some(turn) => {
                events.push(Event::TurnEnded { attempt, turn });
                PicoUsd::ZERO
            }
            None if end.unanswered => in_flight.reserved,
            None => PicoUsd::ZERO,
        };
        let (failure, outcome) = match end.result {
            Ok(value) => (None, Ok(Outcome::Ok { value })),
            Err(failure) => (Some(Box::new(failure.clone())), Err(failure)),
        };
        events.push(Event::AttemptEnded {
            attempt,
            failure,
            usage: end.usage,
            cost: end.cost + unanswered,
            next_turn: end.next_turn,
            findings: end.findings,
            tool_results: None,
            waited: end.waited,
        });
        let id = attempt.task;
        match outcome {
            Ok(outcome) => events.push(Event::TaskEnded { task: id, outcome }),
            // It waits for money, or for a stronger model.
            Err(_) if end.next_turn.is_some() => events.push(Event::RetryPlanned { task: id, due: now }),
            Err(failure) if failure.class == FailureClass::Check && task.can_climb() => {
                events.push(Event::RetryPlanned { task: id, due: now });
            }
            Err(failure) => {
                let told = Told { retry_after: end.retry_after, should_retry: end.should_retry };
                match task.facts.retry_policy().verdict(attempt, failure.class, task.tries, told, now) {
                    Verdict::Retry(rest) => events.push(Event::RetryPlanned { task: id, due: now + rest }),
                    Verdict::GiveUp => self.give_up(id, failure, &mut events),
                    Verdict::Park => {
                        events.push(Event::RetryPlanned { task: id, due: now });
                        if matches!(self.stage, Stage::Running | Stage::Replaying) {
                            let until = end.retry_after.map(|wait| now + wait);
                            let reason = ParkReason::Quota { message: failure.message, until };
                            events.push(Event::ParkingStarted { reason });
                        }
                    }
                }
            }
        }
        events
    }

    fn log(&self, message: Arc<str>) -> Vec<Event> {
        let most = self.limits.log_bytes_max as usize;
        let message = match message.len() > most {
            true => format!("{}…", &message[..message.floor_char_boundary(most)]).into(),
            false => message,
        };
        let full = self.logs >= self.limits.logs_max;
        let known = self.stage == Stage::Replaying && self.logged.contains(&Digest::of(message.as_bytes()));
        if full || known { vec![] } else { vec![Event::Logged { message }] }
    }

    fn tick(&self, now: Timestamp) -> Vec<Event> {
        if let Some(events) = self.ending() {
            return events;
        }
        if let Some(warning) = self.soft_limit() {
            return vec![warning];
        }
        match &self.stage {
            Stage::Running => self.schedule(now),
            Stage::Parking(reason) if self.in_flight.is_empty() => {
                vec![Event::RunParked { reason: reason.clone() }]
            }
            Stage::Parked(_) => self.wake(now),
            _ => vec![],
        }
    }

    /// The end of a run whose flow has ended, once nothing is under way.
    ///
    /// When the flow has returned, its last tasks still get their turn. When it
    /// has failed, nobody waits for them: those not yet started are skipped, and
    /// the run does not sit out its wait for quota.
    fn ending(&self) -> Option<Vec<Event>> {
        let ended = self.flow_ended.as_ref()?;
        let goes_on = match self.stage {
            Stage::Replaying | Stage::Running | Stage::Parking(_) => true,
            Stage::Parked(_) => self.waits_until().is_some(),
            Stage::Unstarted | Stage::Ended(_) => false,
        };
        if !goes_on {
            return None;
        }
        let mut events = vec![];
        if ended.is_err() {
            let skip = |task: TaskId| {
                let reason = match self.tasks[task.index()].attempts {
                    0 => "the flow failed before it started",
                    _ => "the flow failed before it was tried again",
                };
                Event::TaskEnded { task, outcome: Outcome::Skipped { reason: reason.into() } }
            };
            events.extend(self.waiting.all().map(skip));
        }
        if self.counts.open as usize > events.len() || !self.in_flight.is_empty() {
            return if events.is_empty() { None } else { Some(events) };
        }
        let unsuccessful = self.counts.failed + self.counts.skipped + self.counts.cancelled;
        let status = match ended {
            Err(_) => RunStatus::Failed,
            Ok(_) if unsuccessful == 0 => RunStatus::Ok,
            Ok(_) if self.counts.ok == 0 => RunStatus::Failed,
            Ok(_) => RunStatus::Partial,
        };
        events.push(Event::RunEnded { status });
        Some(events)
    }

    /// Says once that most of the budget is spent.
    fn soft_limit(&self) -> Option<Event> {
        let (cap, percent) = (self.caps.run?, self.caps.warn_percent?);
        let spent = self.budgets.run.settled;
        let reached = u128::from(spent.0) * 100 >= u128::from(cap.0) * u128::from(percent);
        (reached && !self.warned && self.stage == Stage::Running)
            .then_some(Event::SoftLimitReached { spent, cap })
    }

    /// Starts what may start, in order; what is too dear is passed by.
    ///
    /// With nothing under way, no money will come free: then the first that
    /// fits with less room for its reply goes. When none does, nothing ever
    /// will: the run parks.
    fn schedule(&self, now: Timestamp) -> Vec<Event> {
        let slots_free = self.slots_free();
        if slots_free == 0 {
            return vec![];
        }
        let mut events = vec![];
        let mut budgets = self.budgets.capped();
        let (mut started, mut too_dear) = (0, 0);
        for id in self.waiting.startable(now, &self.budgets) {
            let out_of_budget = too_dear == Self::BUDGET_SCAN_MAX || !self.waiting.any_fits(&budgets);
            if started == slots_free || out_of_budget {
                break;
            }
            let task = &self.tasks[id.index()];
            match task.wanted() {
                None => {
                    let outcome = Outcome::Failed(self.over_own_budget(id, task.bound()));
                    events.push(Event::TaskEnded { task: id, outcome });
                }
                Some(wanted) if wanted.reserved <= budgets.left(task.facts.phase.as_ref()) => {
                    events.push(self.attempt(id, wanted, &mut budgets));
                    started += 1;
                }
                Some(_) => too_dear += 1,
            }
        }
        if events.is_empty() && too_dear == Self::BUDGET_SCAN_MAX {
            // Small work may stand further behind; the smallest goes first.
            let rests =
                |id: TaskId| matches!(self.tasks[id.index()].stage, TaskStage::Resting(due) if due > now);
            let smallest = self.waiting.cheapest(&self.budgets).take(Self::BUDGET_SCAN_MAX);
            let start = smallest.filter(|id| !rests(*id)).find_map(|id| {
                let wanted = self.tasks[id.index()].wanted()?;
                Some(self.attempt(id, wanted, &mut budgets))
            });
            events.extend(start);
        }
        if events.is_empty() && self.in_flight.is_empty() && !self.waiting.is_empty() {
            return self.squeeze_or_park(now);
        }
        events
    }

    /// What follows when nothing is under way and nothing fits as it is.
    fn squeeze_or_park(&self, now: Timestamp) -> Vec<Event> {
        let rests = |id: TaskId| matches!(self.tasks[id.index()].stage, TaskStage::Resting(due) if due > now);
        let mut waiting = self.waiting.all().filter(|id| !rests(*id));
        if let Some((id, grant)) = waiting.find_map(|id| Some((id, self.squeezed(id)?))) {
            return vec![self.attempt(id, grant, &mut self.budgets.capped())];
        }
        if self.waiting.all().any(|id| self.is_hopeful(id)) {
            return vec![];
        }
        let reason = ParkReason::Budget { phase: self.exhausted_phase() };
        vec![Event::ParkingStarted { reason: reason.clone() }, Event::RunParked { reason }]
    }

    /// The phase whose cap stops the first of those that wait, where the run's would not.
    fn exhausted_phase(&self) -> Option<Arc<str>> {
        let first = &self.tasks[self.waiting.all().next()?.index()];
        first.bound().fit(self.budgets.run.left())?;
        first.facts.phase.clone()
    }

    /// A start with as much room for the reply as the budgets hold.
    fn squeezed(&self, id: TaskId) -> Option<Grant> {
        let task = &self.tasks[id.index()];
        task.bound().fit(task.own_left().min(self.budgets.left(task.facts.phase.as_ref())))
    }

    /// Whether a waiting task can start, or be ended, as the budgets are.
    pub(super) fn is_hopeful(&self, id: TaskId) -> bool {
        self.squeezed(id).is_some() || self.tasks[id.index()].wanted().is_none()
    }

    /// The start of the next attempt, reserved in `budgets`.
    fn attempt(&self, id: TaskId, grant: Grant, budgets: &mut Budgets) -> Event {
        let task = &self.tasks[id.index()];
        let Grant { reserved, reply_tokens } = grant;
        budgets.reserve(task.facts.phase.as_ref(), reserved);
        let (attempt, model) = (task.next_attempt(id), task.next_model().cloned());
        Event::AttemptScheduled { attempt, model, reserved, reply_tokens }
    }

    fn caught_up(&self) -> Event {
        Event::CaughtUp { reused: self.reused, saved: self.saved, to_run: self.counts.open }
    }

    fn cancel(&self) -> Vec<Event> {
        if !self.is_alive() {
            return vec![];
        }
        let mut events = self.end_in_flight(FailureClass::Interrupted, "the run was cancelled");
        let open = self.tasks().filter(|(_, task)| task.outcome().is_none());
        events.extend(open.map(|(task, _)| Event::TaskEnded { task, outcome: Outcome::Cancelled }));
        events.push(Event::RunEnded { status: RunStatus::Cancelled });
        events
    }

    /// Ends every attempt under way. Each may have a request out, so each is
    /// settled at its reservation.
    fn end_in_flight(&self, class: FailureClass, message: &str) -> Vec<Event> {
        let end = |(&attempt, in_flight): (&AttemptId, &super::InFlight)| {
            let ended = Event::AttemptEnded {
                attempt,
                failure: Some(Box::new(Failure::new(class, message))),
                usage: Usage::default(),
                cost: in_flight.reserved,
                next_turn: None,
                findings: None,
                tool_results: None,
                waited: Millis(0),
            };
            self.end_hedge(attempt, true).into_iter().chain([ended])
        };
        self.in_flight.iter().flat_map(end).collect()
    }

    /// What the budgets hold for the next turn of `attempt`: what is still
    /// reserved for its last one is free again with this one.
    pub(super) fn left_without(&self, attempt: AttemptId) -> PicoUsd {
        let reserved = self.in_flight.get(&attempt).map_or(PicoUsd::ZERO, |in_flight| in_flight.reserved);
        let phase = self.tasks[attempt.task.index()].facts.phase.as_ref();
        self.budgets.left_without(phase, reserved)
    }

    /// Whether it has begun and is not over.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.stage, Stage::Unstarted | Stage::Ended(_))
    }

    /// Whether the current execution has its estimate.
    pub(super) fn is_estimated(&self) -> bool {
        self.estimate.is_some_and(|(execution, _)| execution == self.execution)
    }

    /// Whether this task of the current execution can get its outcome now.
    pub(super) fn is_open(&self, id: TaskId) -> bool {
        self.task(id).is_some_and(|task| {
            task.claimed_in == self.execution
                && !matches!(task.stage, TaskStage::InFlight(_) | TaskStage::Ended { .. })
        })
    }
}
