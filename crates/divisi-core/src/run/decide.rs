//! Decides what follows from inputs.

use super::{AttemptEnd, Bill, InFlight, Input, Report, Run, Stage, Submission};
use crate::budget::{Grant, TurnBound, Unanswered};
use crate::event::{
    ParkReason, Refusal, RunResumed, RunStarted, RunStatus, Suspension, TaskSubmitted, ToolCall,
    Turn,
};
use crate::retry::{Told, Verdict};
use crate::run::TaskStage;
use crate::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Millis, Outcome, PicoUsd, TaskId,
    Timestamp, Usage,
};
use std::sync::Arc;

impl Run {
    /// Decides which events follow from `input`. The state changes only when they are applied.
    pub fn decide(&self, now: Timestamp, input: Input) -> Vec<Event> {
        match input {
            Input::Start { .. } if self.stage != Stage::Unstarted => vec![],
            Input::Start {
                name,
                flow,
                limits,
                caps,
            } => {
                let format = crate::event::FORMAT;
                vec![Event::RunStarted(Box::new(RunStarted {
                    format,
                    name,
                    flow,
                    limits,
                    caps,
                }))]
            }
            Input::Resume { .. } if self.stage == Stage::Unstarted => vec![],
            Input::Resume {
                flow,
                limits,
                caps,
                reopen_failed,
                reopen,
            } => {
                // Attempts of the dead process end first, so that an execution begins with none in
                // flight.
                let mut events = self.lost();
                events.push(Event::RunResumed(Box::new(RunResumed {
                    flow,
                    limits,
                    caps,
                    reopen_failed,
                    reopen,
                })));
                events
            }
            Input::CaughtUp => match self.stage {
                Stage::Replaying => vec![self.caught_up()],
                _ => vec![],
            },
            // Ignored before the start and after the end of the run.
            Input::Submit(_)
            | Input::Phase { .. }
            | Input::Log(_)
            | Input::Refused { .. }
            | Input::Uncaught { .. }
            | Input::Estimate(_)
            | Input::FlowEnded(_)
                if !self.is_alive() =>
            {
                vec![]
            }
            Input::Submit(submission) => self.submit(*submission),
            Input::TurnWanted {
                attempt,
                tool_results,
                tools,
                bound,
            } => self.after_hedge(
                attempt,
                self.turn(attempt, (tool_results, tools), bound, now),
            ),
            Input::HedgeWanted { attempt } => self.hedge(attempt),
            Input::HedgeEnded { attempt, most } => {
                self.end_hedge(attempt, most).into_iter().collect()
            }
            Input::TurnEnded { attempt, turn } => self.turn_ended(attempt, turn),
            Input::AttemptEnded { attempt, end } if self.in_flight.contains_key(&attempt) => {
                self.attempt_ended(attempt, *end, now)
            }
            // A suspended one, whose result was asked for. An answer may have ended it before.
            Input::AttemptEnded { attempt, end } => match self.task(attempt.task) {
                Some(task) if task.stage == TaskStage::Suspended(attempt) => {
                    self.resolve(attempt.task, *end, now)
                }
                _ => vec![],
            },
            Input::Phase { title, cap } => self.phase(title, cap),
            Input::Log(message) => self.log(message),
            Input::Uncaught { message, count } => vec![Event::Uncaught {
                message: self.cut(message),
                count,
            }],
            Input::Refused { refusal, count } => vec![Event::Refused { refusal, count }],
            Input::Estimate(estimate) => match self.is_estimated() {
                true => vec![],
                false => vec![Event::Estimated { estimate }],
            },
            Input::FlowEnded(result) => match self.flow_ended {
                Some(_) => vec![],
                // A flow that ends while replaying waits for nothing, so it has caught up.
                None if self.stage == Stage::Replaying => {
                    vec![self.caught_up(), Event::FlowEnded { result }]
                }
                None => vec![Event::FlowEnded { result }],
            },
            Input::AttemptReports { attempt, report } => self.reported(attempt, *report),
            Input::AttemptSuspended {
                attempt,
                suspension,
            } => self.suspend(attempt, suspension),
            Input::Answer { task, answer } => self.answer(task, answer, now),
            Input::Resolve { task, end } => self.resolve(task, *end, now),
            Input::TakeDefault { task } => self.take_default(task, now),
            Input::FlowWaits => self.rests_for_answers().unwrap_or_default(),
            Input::Park => match &self.stage {
                Stage::Replaying | Stage::Running => {
                    vec![Event::ParkingStarted {
                        reason: ParkReason::Asked,
                    }]
                }
                // Stays parked, but no longer continues by itself.
                Stage::Parked(reason) if self.waits_until().is_some() => {
                    vec![Event::RunParked {
                        reason: reason.clone(),
                    }]
                }
                _ => vec![],
            },
            Input::Cap(cap) if self.is_alive() && self.caps.run != Some(cap) => {
                vec![Event::CapChanged { cap }]
            }
            Input::Width(in_flight_max)
                if self.is_alive() && self.limits.in_flight_max != in_flight_max =>
            {
                vec![Event::WidthChanged { in_flight_max }]
            }
            // Nothing changes.
            Input::Cap(_) | Input::Width(_) => vec![],
            Input::Wait(wait) => self.wait(now, wait),
            Input::Cancel => self.cancel(),
            Input::Tick => self.tick(now),
        }
    }

    fn submit(
        &self,
        Submission {
            key,
            facts,
            spec,
            outcome,
            edges,
            ..
        }: Submission,
    ) -> Vec<Event> {
        let ended = |task, outcome: Option<Outcome>| {
            outcome.map(|outcome| Event::TaskEnded { task, outcome })
        };
        let (occurrence, known) = self.keys.next(&key);
        if let Some(task) = known {
            let known = &self.tasks[task];
            // A suspended task keeps the phase in which its reservation is booked.
            let suspended = match known.stage {
                TaskStage::Suspended(attempt) => Some(attempt),
                _ => None,
            };
            let facts = (*known.facts != facts && suspended.is_none()).then(|| Arc::new(facts));
            let mut events = vec![Event::TaskClaimed { task, facts }];
            let outcome = outcome.filter(|_| known.outcome().is_none());
            // What it waited for is no longer needed.
            if let (Some(attempt), Some(_)) = (suspended, &outcome) {
                let failure = Failure::new(FailureClass::Interrupted, "its outcome is known");
                events.push(self.ended_unanswered(attempt, failure));
            }
            events.extend(ended(task, outcome));
            return events;
        }
        let tasks_max = self.limits.tasks_max;
        if self.tasks.len() >= tasks_max as usize {
            return vec![Event::Refused {
                refusal: Refusal::Task { tasks_max },
                count: 1,
            }];
        }
        let task = TaskId(self.tasks.len() as u32);
        let submitted = TaskSubmitted {
            task,
            key,
            occurrence,
            facts: Arc::new(facts),
            spec,
            edges,
        };
        let mut events = vec![Event::TaskSubmitted(Box::new(submitted))];
        events.extend(ended(task, outcome));
        events
    }

    fn turn_ended(&self, attempt: AttemptId, turn: Box<Turn>) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else {
            return vec![];
        };
        let overcharge = self.overcharge(attempt, in_flight.reserved, turn.cost, Some(&turn.model));
        let mut events = self.after_hedge(attempt, [Event::TurnEnded { attempt, turn }]);
        events.extend(overcharge);
        events
    }

    /// Parks the run when a reply costs more than its reservation: the bounds of other requests may
    /// be wrong as well.
    fn overcharge(
        &self,
        attempt: AttemptId,
        reserved: PicoUsd,
        cost: PicoUsd,
        model: Option<&Arc<str>>,
    ) -> Option<Event> {
        if self.tasks[attempt.task].facts.is_open_ended() {
            return None;
        }
        let model = model.filter(|model| !model.is_empty()).cloned();
        let reason = ParkReason::Overcharged {
            task: attempt.task,
            model,
            reserved,
            cost,
        };
        let event = Event::ParkingStarted { reason };
        (cost > reserved && self.can_follow(&event)).then_some(event)
    }

    /// Applies a report of an executor. An attempt that costs more than its reservation ends, and
    /// so does its task, because another attempt would cost as much.
    fn reported(
        &self,
        attempt: AttemptId,
        Report {
            model,
            usage,
            bill,
            handle,
        }: Report,
    ) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else {
            return vec![];
        };
        let InFlight {
            reserved, reported, ..
        } = *in_flight;
        let (cost, unconfirmed) = match bill {
            Bill::Of(cost) => (cost, PicoUsd::ZERO),
            Bill::Unknown => (reserved, reserved),
        };
        if usage == Usage::default() && cost == PicoUsd::ZERO && handle.is_none() {
            return vec![];
        }
        let mut events = vec![Event::AttemptReported {
            attempt,
            model,
            usage,
            cost,
            unconfirmed,
            handle,
        }];
        let facts = &self.tasks[attempt.task].facts;
        if cost <= reserved || facts.is_open_ended() {
            return events;
        }
        let (most, cost) = (reserved + reported, cost + reported);
        let message = format!(
            "it had cost {cost} when it was ended, of {most} that were set aside for an attempt"
        );
        let failure = Failure::new(FailureClass::Budget, message).hint(match facts.unbounded {
            true => "raise `maxCost` of the task, or ask for less",
            false => "raise `cost` of its executor in divisi.toml, or ask for less",
        });
        let ended = ended_at_reservation(attempt, PicoUsd::ZERO, failure.clone());
        events.extend(self.after_hedge(attempt, [ended]));
        events.push(Event::TaskEnded {
            task: attempt.task,
            outcome: Outcome::Failed(failure),
        });
        events.extend(self.overcharge(attempt, most, cost, None));
        events
    }

    fn turn(
        &self,
        attempt: AttemptId,
        (tool_results, tools): (Option<Content>, Vec<ToolCall>),
        bound: TurnBound,
        now: Timestamp,
    ) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else {
            return vec![];
        };
        let task = &self.tasks[attempt.task];
        // The hedge given up with this order may still be billed.
        let own_left = task
            .own_left()
            .saturating_sub(in_flight.hedged.unwrap_or_default());
        let left = self.left_without(attempt);
        let bound = bound.as_wide_as(task.next_turn);
        let Some(wanted) = bound.fit(own_left) else {
            return self.out_of_own_budget(attempt, tool_results, bound);
        };
        let granted = match self.grant_turn(task, bound, wanted, left) {
            // Other attempts in flight may release part of their reservations.
            None if self.in_flight.len() > 1 => None,
            None => bound.fit(left.min(own_left)),
            granted => granted,
        };
        if let (
            Stage::Running,
            Some(Grant {
                reserved,
                reply_tokens,
            }),
        ) = (&self.stage, granted)
        {
            return vec![Event::TurnScheduled {
                attempt,
                tool_results,
                tools,
                reserved,
                reply_tokens,
            }];
        }
        let message = match self.stage {
            Stage::Running => "what is left of the budget does not hold its next turn",
            _ => "the run is parking",
        };
        vec![
            self.interrupted(
                attempt,
                FailureClass::Interrupted,
                message,
                bound,
                tool_results,
            ),
            Event::RetryPlanned {
                task: attempt.task,
                due: now,
            },
        ]
    }

    /// Ends a task whose own budget does not allow its next turn.
    fn out_of_own_budget(
        &self,
        attempt: AttemptId,
        tool_results: Option<Content>,
        bound: TurnBound,
    ) -> Vec<Event> {
        let failure = self.over_own_budget(attempt.task, bound);
        let ended = self.interrupted(
            attempt,
            failure.class,
            &failure.message,
            bound,
            tool_results,
        );
        let mut events = vec![ended];
        self.give_up(attempt.task, failure, &mut events);
        events
    }

    /// Ends a task that has failed for good, and parks the run if its cohort has no prospects
    /// either.
    fn give_up(&self, id: TaskId, failure: Failure, events: &mut Vec<Event>) {
        let hopeless = self.hopeless(&self.tasks[id], &failure);
        events.push(Event::TaskEnded {
            task: id,
            outcome: Outcome::Failed(failure),
        });
        events.extend(hopeless.map(|reason| Event::ParkingStarted { reason }));
    }

    pub(super) fn over_own_budget(&self, id: TaskId, bound: TurnBound) -> Failure {
        let task = &self.tasks[id];
        let most = task.facts.cost_max.unwrap_or_default();
        let (spent, least) = (task.cost(), bound.least());
        let message = format!(
            "of its own {most} it has spent {spent}, and its next request may cost {least}"
        );
        Failure::new(FailureClass::Budget, message)
            .hint("raise `maxCost` of the task, or ask for less")
    }

    /// Ends an attempt whose next turn exceeds a budget.
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
            unconfirmed: PicoUsd::ZERO,
            estimated: false,
            next_turn: Some(bound),
            findings: None,
            tool_results,
            waited: Millis(0),
            waits: vec![],
            worktree: None,
            answered_by: None,
        }
    }

    fn phase(&self, title: Arc<str>, cap: Option<PicoUsd>) -> Vec<Event> {
        let known = self.phases.contains(&title);
        let recapped = cap.is_some()
            && self
                .budgets
                .phases
                .get(&title)
                .and_then(|budget| budget.cap)
                != cap;
        match known {
            true if recapped => vec![Event::PhaseStarted { title, cap }],
            true => vec![],
            false if self.phases.len() < Self::PHASES_MAX => {
                vec![Event::PhaseStarted { title, cap }]
            }
            false => {
                let is_it = |known: &Refusal| matches!(known, Refusal::Phase { .. });
                self.said_once(
                    Refusal::Phase {
                        title,
                        phases_max: Self::PHASES_MAX as u32,
                    },
                    is_it,
                )
            }
        }
    }

    fn suspend(&self, attempt: AttemptId, mut suspension: Box<Suspension>) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else {
            return vec![];
        };
        suspension.reserved = suspension.reserved.min(in_flight.reserved);
        self.after_hedge(
            attempt,
            [Event::AttemptSuspended {
                attempt,
                suspension,
            }],
        )
    }

    pub(super) fn answer(&self, task: TaskId, answer: Content, now: Timestamp) -> Vec<Event> {
        let Some(state) = self
            .task(task)
            .filter(|_| self.is_alive() && self.is_open(task))
        else {
            return vec![];
        };
        match state.stage {
            TaskStage::Suspended(attempt)
                if state.suspension.as_ref().is_some_and(|s| s.goes_on) =>
            {
                let failure = Failure::new(
                    FailureClass::Interrupted,
                    "it is answered in another attempt",
                );
                vec![
                    Event::SuspensionAnswered { attempt, answer },
                    ended_at_reservation(attempt, PicoUsd::ZERO, failure),
                    Event::RetryPlanned { task, due: now },
                ]
            }
            _ => vec![],
        }
    }

    fn resolve(&self, task: TaskId, mut end: AttemptEnd, now: Timestamp) -> Vec<Event> {
        match self.task(task).map(|task| &task.stage) {
            Some(TaskStage::Suspended(attempt)) if self.is_alive() && self.is_open(task) => {
                // Nothing is in flight that a reply could belong to, so it is booked with the end.
                if let Some(turn) = end.last_turn.take() {
                    match turn.estimated {
                        true => end.unanswered = Some(Unanswered::exactly(turn.cost, turn.usage)),
                        false => {
                            end.cost += turn.cost;
                            end.usage += turn.usage;
                        }
                    }
                }
                self.attempt_ended(*attempt, end, now)
            }
            _ => vec![],
        }
    }

    pub(super) fn attempt_ended(
        &self,
        attempt: AttemptId,
        end: AttemptEnd,
        now: Timestamp,
    ) -> Vec<Event> {
        let suspended = || {
            let reserved = self.suspended.get(&attempt)?.reserved;
            Some(InFlight {
                reserved,
                ..InFlight::default()
            })
        };
        let Some(in_flight) = self.in_flight.get(&attempt).copied().or_else(suspended) else {
            return vec![];
        };
        let task = &self.tasks[attempt.task];
        let mut events = Vec::with_capacity(3);
        events.extend(self.end_hedge(attempt, PicoUsd::MAX));
        // The reservation for any other cost of the attempt.
        let mut left = in_flight.reserved;
        let mut overcharge = None;
        let mut broken = Unanswered {
            most: PicoUsd::ZERO,
            ..Unanswered::UNKNOWN
        };
        let unconfirmed = match end.last_turn {
            Some(turn) => {
                let reserved = std::mem::take(&mut left);
                overcharge = self.overcharge(attempt, reserved, turn.cost, Some(&turn.model));
                // In the same decision as the end: no crash can separate the last reply from the
                // outcome.
                events.push(Event::TurnEnded { attempt, turn });
                PicoUsd::ZERO
            }
            None => {
                broken = end.unanswered.unwrap_or(broken);
                let unconfirmed = broken.unconfirmed(left);
                left = left.saturating_sub(unconfirmed);
                unconfirmed
            }
        };
        let known = end.cost + broken.known;
        let overcharge = overcharge.or_else(|| self.overcharge(attempt, left, known, None));
        let (failure, outcome) = match end.result {
            Ok(value) => (None, Ok(Outcome::Ok { value })),
            Err(failure) => (Some(Box::new(failure.clone())), Err(failure)),
        };
        events.push(Event::AttemptEnded {
            attempt,
            failure,
            usage: end.usage + broken.usage,
            cost: known + unconfirmed,
            unconfirmed,
            estimated: broken.known > PicoUsd::ZERO || broken.usage != Usage::default(),
            next_turn: end.next_turn,
            findings: end.findings,
            tool_results: None,
            waited: end.waited,
            waits: end.waits,
            worktree: end.worktree,
            answered_by: end.answered_by,
        });
        let id = attempt.task;
        match outcome {
            Ok(outcome) => events.push(Event::TaskEnded { task: id, outcome }),
            // It continues when there is budget, or on a stronger model.
            Err(_) if end.next_turn.is_some() => {
                events.push(Event::RetryPlanned { task: id, due: now });
            }
            Err(failure) if failure.class == FailureClass::Check && task.can_climb() => {
                events.push(Event::RetryPlanned { task: id, due: now });
            }
            Err(failure) => {
                let told = Told {
                    retry_after: end.retry_after,
                    should_retry: end.should_retry,
                };
                match task.facts.retry_policy().verdict(
                    attempt,
                    failure.class,
                    task.tries,
                    told,
                    now,
                ) {
                    Verdict::Retry(rest) => events.push(Event::RetryPlanned {
                        task: id,
                        due: now + rest,
                    }),
                    Verdict::GiveUp => self.give_up(id, failure, &mut events),
                    Verdict::Park => {
                        events.push(Event::RetryPlanned { task: id, due: now });
                        if matches!(self.stage, Stage::Running | Stage::Replaying) {
                            let until = end.retry_after.map(|wait| now + wait);
                            let reason = ParkReason::Quota {
                                message: failure.message,
                                until,
                            };
                            events.push(Event::ParkingStarted { reason });
                        }
                    }
                }
            }
        }
        if overcharge.is_some() {
            // Of several reasons to park, the overcharge is the one the user must know.
            events.retain(|event| !matches!(event, Event::ParkingStarted { .. }));
        }
        events.extend(overcharge);
        events
    }

    /// A refusal that is recorded only once per execution.
    fn said_once(&self, refusal: Refusal, is_it: impl Fn(&Refusal) -> bool) -> Vec<Event> {
        match self.refused.keys().any(is_it) {
            true => vec![],
            false => vec![Event::Refused { refusal, count: 1 }],
        }
    }

    /// Cuts a text of the flow to the permitted length.
    fn cut(&self, message: Arc<str>) -> Arc<str> {
        let most = self.limits.log_bytes_max as usize;
        match message.len() > most {
            true => format!("{}…", &message[..message.floor_char_boundary(most)]).into(),
            false => message,
        }
    }

    fn log(&self, message: Arc<str>) -> Vec<Event> {
        let message = self.cut(message);
        // A replay repeats the lines of earlier executions; each is recorded once.
        let logs_max = self.limits.logs_max;
        let known =
            self.stage == Stage::Replaying && self.logged.contains(&Digest::of(message.as_bytes()));
        match self.logs >= logs_max {
            _ if known => vec![],
            false => vec![Event::Logged { message }],
            true => {
                let is_it = |known: &Refusal| matches!(known, Refusal::Log { .. });
                self.said_once(Refusal::Log { logs_max }, is_it)
            }
        }
    }

    fn caught_up(&self) -> Event {
        Event::CaughtUp {
            reused: self.reused,
            saved: self.saved,
            to_run: self.counts.open,
        }
    }

    fn cancel(&self) -> Vec<Event> {
        if !self.is_alive() {
            return vec![];
        }
        let mut events = self.end_in_flight(FailureClass::Interrupted, "the run was cancelled");
        // The suspended work is abandoned, so it counts as its remaining reservation.
        let outside = self
            .suspended
            .iter()
            .filter(|(attempt, _)| self.is_claimed(attempt.task));
        events.extend(outside.map(|(attempt, suspended)| {
            let failure = Failure::new(FailureClass::Interrupted, "the run was cancelled");
            ended_at_reservation(*attempt, suspended.reserved, failure)
        }));
        let open = self.tasks().filter(|(_, task)| task.outcome().is_none());
        events.extend(open.map(|(task, _)| Event::TaskEnded {
            task,
            outcome: Outcome::Cancelled,
        }));
        events.push(Event::RunEnded {
            status: RunStatus::Cancelled,
        });
        events
    }

    /// The end of a suspended attempt without an answer: what it may still cost is booked.
    pub(super) fn ended_unanswered(&self, attempt: AttemptId, failure: Failure) -> Event {
        let suspended = self.suspended.get(&attempt);
        let reserved = suspended.map(|it| it.reserved).unwrap_or_default();
        ended_at_reservation(attempt, reserved, failure)
    }

    /// The events by which a resume ends attempts that were in flight when the process died.
    pub(super) fn lost(&self) -> Vec<Event> {
        self.end_in_flight(FailureClass::Lost, "the process that ran it died")
    }

    /// Ends every attempt in flight at its reservation, because each may have a request out.
    fn end_in_flight(&self, class: FailureClass, message: &str) -> Vec<Event> {
        let end = |(&attempt, in_flight): (&AttemptId, &super::InFlight)| {
            let ended =
                ended_at_reservation(attempt, in_flight.reserved, Failure::new(class, message));
            self.after_hedge(attempt, [ended])
        };
        self.in_flight.iter().flat_map(end).collect()
    }

    /// The budget for the next turn of `attempt`: its present reservation is released by the order
    /// of that turn.
    pub(super) fn left_without(&self, attempt: AttemptId) -> PicoUsd {
        let reserved = self
            .in_flight
            .get(&attempt)
            .map_or(PicoUsd::ZERO, |in_flight| in_flight.reserved);
        let phase = self.tasks[attempt.task].facts.phase.as_ref();
        self.budgets.left_without(phase, reserved)
    }

    /// Whether the run has begun and not ended.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.stage, Stage::Unstarted | Stage::Ended(_))
    }

    /// Whether the current execution has its estimate.
    pub(super) fn is_estimated(&self) -> bool {
        self.estimate
            .is_some_and(|(execution, _)| execution == self.execution)
    }

    /// Whether this task of the current execution can get its outcome now.
    pub(super) fn is_open(&self, id: TaskId) -> bool {
        self.task(id).is_some_and(|task| {
            task.claimed_in == self.execution
                && !matches!(task.stage, TaskStage::InFlight(_) | TaskStage::Ended { .. })
        })
    }
}

/// The end of an attempt whose reservation is booked in full.
fn ended_at_reservation(attempt: AttemptId, reserved: PicoUsd, failure: Failure) -> Event {
    Event::attempt_ended(attempt, Some(failure), reserved, reserved)
}
