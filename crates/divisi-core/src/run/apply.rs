//! Applies recorded events to a run: the only way its state changes.

use super::{InFlight, KeptTurn, Run, Session, Stage, Suspended, TaskStage, TaskState, Waiting};
use crate::budget::Spent;
use crate::event::Suspension;
use crate::event::{
    Caps, ParkReason, Refusal, RunResumed, RunStarted, TaskFacts, TaskSubmitted, Turn,
};
use crate::retry::Tries;
use crate::{
    AttemptId, Content, Digest, Event, Failure, FailureClass, Outcome, PicoUsd, TaskId, Timestamp,
    Usage,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An event that cannot follow the events before it.
///
/// A journal with one was not written by divisi, or is damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal holds an event that cannot follow: {0}")]
pub struct IllegalEvent(pub String);

impl Run {
    /// Applies one recorded event.
    ///
    /// Live runs and replays use the same code. `at` is when the event was decided. Fails, and
    /// changes nothing, if the event cannot follow.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), IllegalEvent> {
        if !self.can_follow(event) {
            let told = format!("{event:?}");
            let name = told
                .split(|c: char| !c.is_alphanumeric())
                .next()
                .unwrap_or_default();
            return Err(IllegalEvent(format!(
                "{name} in a run that is {:?}",
                self.stage
            )));
        }
        match event {
            Event::RunStarted(started) => self.apply_started(at, started),
            Event::RunResumed(resumed) => self.apply_resumed(resumed),
            Event::CaughtUp { .. } => self.stage = Stage::Running,
            Event::PhaseStarted { title, cap } => self.apply_phase(title, *cap),
            Event::Logged { message } => {
                self.logs += 1;
                self.logged.insert(Digest::of(message.as_bytes()));
            }
            Event::Estimated { estimate } => self.estimate = Some((self.execution, **estimate)),
            Event::TaskSubmitted(submitted) => self.apply_submitted(at, submitted)?,
            Event::TaskClaimed { task, facts } => self.apply_claimed(*task, facts.as_ref())?,
            Event::AttemptScheduled {
                attempt,
                model,
                reserved,
                ..
            } => {
                self.apply_scheduled(at, *attempt, model.as_ref(), *reserved)?;
            }
            Event::TurnScheduled {
                attempt,
                tool_results,
                reserved,
                ..
            } => {
                self.apply_turn_scheduled(*attempt, tool_results.as_ref(), *reserved)?;
            }
            Event::TurnHedged { attempt, reserved } => self.apply_hedged(*attempt, *reserved)?,
            Event::HedgeEnded { attempt, cost } => self.apply_hedge_ended(*attempt, *cost)?,
            Event::TurnEnded { attempt, turn } => self.apply_turn(*attempt, turn)?,
            Event::AttemptEnded {
                attempt,
                failure,
                usage,
                cost,
                unconfirmed,
                estimated,
                next_turn,
                findings,
                tool_results,
                worktree,
                answered_by,
                ..
            } => {
                let was_suspended = self.suspended.contains_key(attempt);
                let cost = (*cost, *unconfirmed, *estimated);
                self.apply_attempt_ended(*attempt, *usage, cost)?;
                if failure
                    .as_ref()
                    .is_none_or(|failure| failure.class == FailureClass::Check)
                {
                    self.has_quota(attempt.task);
                }
                self.count_death(attempt.task, failure.as_deref());
                if next_turn.is_some() {
                    // It was cut off, so its full length is unknown; double counts.
                    self.learn_length(attempt.task, usage.output.saturating_mul(2));
                }
                let task = &mut self.tasks[attempt.task];
                task.follow_up(
                    at,
                    failure.as_deref(),
                    *next_turn,
                    findings.as_ref(),
                    was_suspended,
                );
                task.worktrees.extend(worktree.as_deref().cloned());
                task.answered_by = *answered_by;
                self.keep_tool_results(attempt.task, tool_results.as_ref());
            }
            Event::AttemptReported {
                attempt,
                usage,
                cost,
                unconfirmed,
                handle,
                model: _,
            } => {
                self.apply_reported(*attempt, *usage, *cost, *unconfirmed)?;
                let session = &mut self.tasks[attempt.task].session;
                session.handle = handle.clone().or(session.handle.take());
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => {
                self.apply_suspended(at, *attempt, suspension)?;
            }
            Event::SuspensionAnswered { attempt, answer } => {
                if !self.suspended.contains_key(attempt) {
                    return Err(IllegalEvent(format!(
                        "an answer to {attempt}, which waits for none"
                    )));
                }
                self.tasks[attempt.task].session.answer = Some(answer.clone());
            }
            Event::Uncaught { message, count } => self.uncaught = Some((message.clone(), *count)),
            Event::Refused { refusal, count } => self.apply_refused(refusal, *count)?,
            Event::RetryPlanned { task, due } => {
                let id = *task;
                let task = self.known(id)?;
                if !matches!(task.stage, TaskStage::Between) {
                    return Err(IllegalEvent(format!(
                        "a retry of {id}, which has not just failed"
                    )));
                }
                task.stage = TaskStage::Resting(*due);
                let task = &self.tasks[id];
                self.waiting.insert(&task.stage, task.place(id));
            }
            Event::TaskEnded { task, outcome } => self.apply_ended(at, *task, outcome)?,
            Event::CapChanged { cap } => {
                self.apply_cap(*cap);
                self.changed_cap = Some(*cap);
            }
            Event::WidthChanged { in_flight_max } => self.limits.in_flight_max = *in_flight_max,
            Event::SoftLimitReached { .. } => self.warned = true,
            Event::ParkingStarted { reason } => self.stage = Stage::Parking(reason.clone()),
            Event::RunParked { reason } => {
                self.stage = Stage::Parked(reason.clone());
                self.wakes_at = None;
                self.ended_at = at;
            }
            Event::WaitStarted { until } => self.wakes_at = Some(*until),
            Event::RunWoken => {
                self.stage = Stage::Running;
                self.wakes_at = None;
                self.wakes += 1;
            }
            Event::FlowEnded { result } => self.flow_ended = Some(result.clone()),
            Event::RunEnded { status } => {
                self.stage = Stage::Ended(*status);
                self.ended_at = at;
            }
        }
        self.span.record(at, event);
        Ok(())
    }

    /// Counts attempts in flight as lost, as a resume will record. The journal does not contain these
    /// events yet. Displays use [`RunView::assume_dead`](crate::RunView::assume_dead).
    pub fn assume_dead(&mut self) -> Result<(), IllegalEvent> {
        let at = self.span.latest();
        self.lost()
            .iter()
            .try_for_each(|event| self.apply(at, event))
    }

    /// Whether an event of this sort can follow in the present stage; its task and attempt are
    /// checked where it is applied.
    pub(super) fn can_follow(&self, event: &Event) -> bool {
        let idle = self.in_flight.is_empty();
        match event {
            Event::RunStarted(_) => self.stage == Stage::Unstarted,
            Event::RunResumed(_) => self.stage != Stage::Unstarted && idle,
            Event::CaughtUp { .. } => self.stage == Stage::Replaying,
            Event::Estimated { .. } => self.is_alive() && !self.is_estimated(),
            Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::Refused { .. }
            | Event::Uncaught { .. }
            | Event::TaskSubmitted(_)
            | Event::TaskClaimed { .. }
            | Event::HedgeEnded { .. }
            | Event::AttemptReported { .. }
            | Event::SuspensionAnswered { .. }
            | Event::CapChanged { .. }
            | Event::WidthChanged { .. }
            | Event::RetryPlanned { .. }
            | Event::TaskEnded { .. } => self.is_alive(),
            // A hedge must end before its attempt does.
            Event::TurnEnded { attempt, .. }
            | Event::AttemptSuspended { attempt, .. }
            | Event::AttemptEnded { attempt, .. } => {
                self.is_alive() && self.end_hedge(*attempt, PicoUsd::MAX).is_none()
            }
            Event::TurnHedged { attempt, reserved } => {
                self.stage == Stage::Running && self.holds_hedge(*attempt, *reserved)
            }
            // A reservation above the budget would break the cap, the most important promise.
            Event::AttemptScheduled {
                attempt, reserved, ..
            }
            | Event::TurnScheduled {
                attempt, reserved, ..
            } => self.stage == Stage::Running && self.holds(*attempt, *reserved),
            Event::SoftLimitReached { .. } => self.stage == Stage::Running,
            // Replaces any other reason, so that the run does not continue by itself.
            Event::ParkingStarted {
                reason: ParkReason::Overcharged { .. },
            } => match &self.stage {
                Stage::Replaying | Stage::Running => true,
                Stage::Parking(reason) => !matches!(reason, ParkReason::Overcharged { .. }),
                Stage::Unstarted | Stage::Parked(_) | Stage::Ended(_) => false,
            },
            Event::ParkingStarted { .. } => matches!(self.stage, Stage::Replaying | Stage::Running),
            Event::RunParked { .. } => {
                matches!(self.stage, Stage::Parking(_)) && idle || self.waits_until().is_some()
            }
            Event::WaitStarted { .. } => {
                self.rests_for_quota().is_some() && self.wakes_at.is_none()
            }
            Event::RunWoken => self.waits_until().is_some(),
            Event::FlowEnded { .. } => self.is_alive() && self.flow_ended.is_none(),
            Event::RunEnded { .. } => self.is_alive() && idle && self.counts.open == 0,
        }
    }

    /// Whether all budgets allow this for an attempt. An unknown attempt is reported where the
    /// event is applied.
    fn holds(&self, attempt: AttemptId, reserved: PicoUsd) -> bool {
        let left = |task: &TaskState| task.own_left().min(self.left_without(attempt));
        self.task(attempt.task)
            .is_none_or(|task| reserved <= left(task))
    }

    fn apply_started(&mut self, at: Timestamp, started: &RunStarted) {
        self.name = started.name.clone();
        self.flow = Some(started.flow.clone());
        self.limits = started.limits.clone();
        self.apply_caps(&started.caps);
        self.execution = 1;
        self.started_at = at;
        self.ended_at = at;
        self.stage = Stage::Running;
    }

    fn apply_resumed(&mut self, resumed: &RunResumed) {
        self.flow = Some(resumed.flow.clone());
        self.limits = resumed.limits.clone();
        self.apply_caps(&resumed.caps);
        self.execution += 1;
        // Occurrences are counted anew: the flow requests all of its tasks again.
        self.keys.begin();
        self.counts = super::Counts::default();
        self.siblings.begin_again();
        self.reused = 0;
        self.saved = PicoUsd::ZERO;
        self.refused.clear();
        self.timers.clear();
        self.uncaught = None;
        // Overcharges of earlier executions do not park this one.
        self.over_before = self.budgets.run.over;
        self.flow_ended = None;
        self.wakes_at = None;
        self.wakes = 0;
        self.stage = Stage::Replaying;
        for id in &resumed.reopen {
            let task = self.tasks.get_mut(*id);
            if let Some(task) = task.filter(|task| matches!(task.stage, TaskStage::Ended { .. })) {
                // Its kept replies would lead to the same result.
                task.turns = vec![];
                task.next_turn = None;
                task.reopen();
            }
        }
        for task in self.tasks.iter_mut() {
            let kept = match &task.stage {
                TaskStage::Ended {
                    outcome: Outcome::Ok { .. },
                    ..
                }
                | TaskStage::Suspended(_) => true,
                TaskStage::Ended {
                    outcome: Outcome::Failed(_),
                    ..
                } => !resumed.reopen_failed,
                // Skipped or cancelled, so it is not finished work.
                TaskStage::Ended {
                    outcome: Outcome::Skipped { .. } | Outcome::Cancelled,
                    ..
                }
                | TaskStage::Unclaimed
                | TaskStage::Ready
                | TaskStage::Resting(_)
                | TaskStage::InFlight(_)
                | TaskStage::Between => false,
            };
            if !kept {
                task.reopen();
            }
        }
    }

    /// Sets the caps of an execution, at whose beginning no task waits.
    fn apply_caps(&mut self, caps: &Caps) {
        self.caps = caps.clone();
        self.changed_cap = None;
        self.warned = false;
        self.waiting = Waiting::empty(caps.run.is_some());
        self.budgets.run.cap = caps.run;
        for budget in self.budgets.phases.values_mut() {
            budget.cap = None;
        }
        for (phase, cap) in &caps.phases {
            self.cap_phase(phase, *cap);
        }
    }

    /// Sets the cap of a run in which tasks may wait.
    fn apply_cap(&mut self, cap: PicoUsd) {
        if self.budgets.run.cap.is_none() {
            // From now on they are also found by their cost.
            let waiting: Vec<TaskId> = self.waiting.all().collect();
            self.waiting = self.waiting.emptied(true);
            for id in waiting {
                let task = &self.tasks[id];
                self.waiting.insert(&task.stage, task.place(id));
            }
        }
        self.caps.run = Some(cap);
        self.budgets.run.cap = Some(cap);
        self.warned = false;
    }

    fn apply_phase(&mut self, title: &Arc<str>, cap: Option<PicoUsd>) {
        if !self.phases.contains(title) {
            self.phases.push(title.clone());
        }
        if let Some(cap) = cap {
            self.cap_phase(title, cap);
        }
    }

    /// Caps a phase. Tasks of it that already wait move to its own pool.
    fn cap_phase(&mut self, phase: &Arc<str>, cap: PicoUsd) {
        let is_in = |id: &TaskId| self.tasks[*id].facts.phase.as_ref() == Some(phase);
        let moving: Vec<TaskId> = match self.budgets.is_capped(Some(phase)) {
            true => vec![],
            false => self.waiting.all().filter(is_in).collect(),
        };
        for id in &moving {
            let task = &self.tasks[*id];
            self.waiting.remove(&task.stage, task.place(*id));
        }
        self.budgets.cap_phase(phase, cap);
        self.waiting.cap_phase(phase);
        for id in &moving {
            let task = &self.tasks[*id];
            self.waiting.insert(&task.stage, task.place(*id));
        }
    }

    fn apply_submitted(
        &mut self,
        at: Timestamp,
        submitted: &TaskSubmitted,
    ) -> Result<(), IllegalEvent> {
        let TaskSubmitted {
            task: id,
            key,
            occurrence,
            facts,
            spec,
            edges,
        } = submitted;
        if id.index() != self.tasks.len() || self.keys.next(key) != (*occurrence, None) {
            return Err(IllegalEvent(format!("{id} is submitted out of turn")));
        }
        self.keys.claim(*key, *id);
        self.counts.open += 1;
        self.groups.extend(
            edges
                .groups
                .iter()
                .map(|began| (began.group, began.clone())),
        );
        let task = TaskState {
            key: *key,
            occurrence: *occurrence,
            facts: facts.clone(),
            spec: spec.clone(),
            stage: TaskStage::Ready,
            claimed_in: self.execution,
            attempts: 0,
            tries: Tries::default(),
            turns: vec![],
            turns_total: 0,
            next_turn: None,
            rung: 0,
            outages: 0,
            out_of_quota: false,
            findings: None,
            model: None,
            usage: Usage::default(),
            spent: Spent::default(),
            refused_tools: BTreeMap::new(),
            worktrees: vec![],
            suspension: None,
            answered_by: None,
            session: Session::default(),
            started_at: facts.wait.map(|_| at),
            ended_at: None,
            sibling: self.siblings.join(facts),
        };
        self.tasks.push(task);
        self.wait_for(*id);
        Ok(())
    }

    /// Puts a task that is ready among those that wait: for a slot, or, for a timer, for its time.
    fn wait_for(&mut self, id: TaskId) {
        if let Some(due) = self.due(id) {
            self.tasks[id].stage = TaskStage::Resting(due);
            self.timers.insert((due, id));
        } else {
            let task = &mut self.tasks[id];
            task.stage = TaskStage::Ready;
            self.waiting.insert(&task.stage, task.place(id));
        }
    }

    fn apply_claimed(
        &mut self,
        id: TaskId,
        facts: Option<&Arc<TaskFacts>>,
    ) -> Result<(), IllegalEvent> {
        let key = self.known(id)?.key;
        if self.keys.next(&key).1 != Some(id) {
            return Err(IllegalEvent(format!("{id} is claimed out of turn")));
        }
        self.keys.claim(key, id);
        let task = &mut self.tasks[id];
        task.claimed_in = self.execution;
        if let Some(facts) = facts {
            task.facts = facts.clone();
        }
        if let TaskStage::Ended { outcome, .. } = &task.stage {
            if task.facts.wait.is_none() {
                self.reused += 1;
                self.saved += task.cost();
                self.counts.count(outcome);
            }
        } else if matches!(task.stage, TaskStage::Suspended(_)) {
            // A suspended task keeps its stage and waits for the same as before.
            task.sibling = self.siblings.join(&task.facts);
            self.siblings.started(&mut task.sibling);
            self.counts.open += 1;
        } else {
            task.sibling = self.siblings.join(&task.facts);
            self.counts.open += 1;
            self.wait_for(id);
        }
        Ok(())
    }

    fn apply_scheduled(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        model: Option<&Arc<str>>,
        reserved: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        let id = attempt.task;
        let task = self.known(id)?;
        if attempt != task.next_attempt(id) {
            return Err(IllegalEvent(format!(
                "attempt {attempt} is scheduled out of turn"
            )));
        }
        if !matches!(task.stage, TaskStage::Ready | TaskStage::Resting(_)) {
            return Err(IllegalEvent(format!(
                "attempt {attempt} of a task that does not wait"
            )));
        }
        let task = &mut self.tasks[id];
        self.waiting.remove(&task.stage, task.place(id));
        task.stage = TaskStage::InFlight(attempt);
        task.attempts = attempt.number;
        task.model = model.cloned();
        task.started_at = Some(at);
        self.siblings.started(&mut task.sibling);
        let in_flight = InFlight {
            asks: true,
            reserved,
            ..InFlight::default()
        };
        self.in_flight.insert(attempt, in_flight);
        self.programs += usize::from(task.facts.is_program);
        self.budgets.reserve(task.facts.phase.as_ref(), reserved);
        Ok(())
    }

    fn apply_turn_scheduled(
        &mut self,
        attempt: AttemptId,
        tool_results: Option<&Content>,
        reserved: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        let in_flight = self.under_way(attempt)?;
        in_flight.asks = true;
        let released = std::mem::replace(&mut in_flight.reserved, reserved);
        let phase = self.tasks[attempt.task].facts.phase.as_ref();
        self.budgets.settle(phase, released, Spent::default());
        self.budgets.reserve(phase, reserved);
        self.keep_tool_results(attempt.task, tool_results);
        Ok(())
    }

    /// Adds tool results to the reply that called them: the last one of the current model. An
    /// attempt that continued from kept replies may have none to add.
    fn keep_tool_results(&mut self, task: TaskId, results: Option<&Content>) {
        if let (Some(turn), Some(results)) = (self.last_turn(task), results) {
            turn.tool_results = Some(results.clone());
        }
    }

    /// Counts crashes for the reply whose calls have no results yet, which the next attempt
    /// executes first. Any other end shows that the calls can be executed, and resets the count.
    fn count_death(&mut self, task: TaskId, failure: Option<&Failure>) {
        let has_died = failure.is_some_and(|failure| failure.class == FailureClass::Lost);
        if let Some(turn) = self
            .last_turn(task)
            .filter(|turn| turn.tool_results.is_none())
        {
            turn.deaths = if has_died {
                turn.deaths.saturating_add(1)
            } else {
                0
            };
        }
    }

    /// The last kept reply of the current model.
    fn last_turn(&mut self, task: TaskId) -> Option<&mut KeptTurn> {
        let task = &mut self.tasks[task];
        let asked = task.next_model().cloned();
        task.turns.iter_mut().rev().find(|turn| turn.model == asked)
    }

    fn apply_turn(&mut self, attempt: AttemptId, turn: &Turn) -> Result<(), IllegalEvent> {
        let in_flight = self.under_way(attempt)?;
        in_flight.asks = false;
        let reserved = std::mem::take(&mut in_flight.reserved);
        self.has_quota(attempt.task);
        let spent = self.spends(attempt.task, reserved, turn.cost, PicoUsd::ZERO);
        let spent = spent.if_estimated(turn.estimated);
        self.book(attempt.task, turn.usage, reserved, spent);
        if !turn.judges {
            self.learn_length(attempt.task, turn.usage.output);
        }
        let task = &mut self.tasks[attempt.task];
        if !turn.judges {
            task.model = Some(turn.model.clone());
        }
        task.tries = task.tries.answered();
        task.turns_total += 1;
        task.next_turn = None;
        let (request, reply, model) =
            (turn.request, turn.reply.clone(), task.next_model().cloned());
        task.turns.push(KeptTurn {
            request,
            reply,
            model,
            tool_results: None,
            deaths: 0,
        });
        Ok(())
    }

    /// Records the length of a reply by the model that the task asks. Zero means that tokens were
    /// not counted.
    fn learn_length(&mut self, task: TaskId, tokens: u64) {
        if tokens == 0 {
            return;
        }
        let task = &self.tasks[task];
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        self.siblings
            .replied(task.sibling, task.next_place(), tokens);
    }

    /// A reply for a task that was out of quota shows that there is quota again. Replies for other
    /// tasks do not: they may come from another vendor.
    fn has_quota(&mut self, task: TaskId) {
        if std::mem::take(&mut self.tasks[task].out_of_quota) {
            self.wakes = 0;
        }
    }

    fn apply_attempt_ended(
        &mut self,
        attempt: AttemptId,
        usage: Usage,
        (cost, unconfirmed, estimated): (PicoUsd, PicoUsd, bool),
    ) -> Result<(), IllegalEvent> {
        let reserved = match self.suspended.remove(&attempt) {
            Some(Suspended { reserved, until }) => {
                if let Some(until) = until {
                    self.expiries.remove(&(until, attempt));
                }
                reserved
            }
            None => {
                let reserved = self.under_way(attempt)?.reserved;
                self.leaves_flight(attempt);
                reserved
            }
        };
        let spent = self.spends(attempt.task, reserved, cost, unconfirmed);
        self.book(attempt.task, usage, reserved, spent.if_estimated(estimated));
        let task = &mut self.tasks[attempt.task];
        task.stage = TaskStage::Between;
        task.suspension = None;
        self.siblings.stopped(task.sibling);
        Ok(())
    }

    fn apply_reported(
        &mut self,
        attempt: AttemptId,
        usage: Usage,
        cost: PicoUsd,
        unconfirmed: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        let in_flight = self.under_way(attempt)?;
        let released = cost.min(in_flight.reserved);
        in_flight.reserved = in_flight.reserved.saturating_sub(released);
        in_flight.reported += cost;
        let spent = self.spends(attempt.task, released, cost, unconfirmed);
        self.book(attempt.task, usage, released, spent);
        Ok(())
    }

    /// The cost of a task's request with this reservation, by how sure it is.
    fn spends(&self, id: TaskId, reserved: PicoUsd, cost: PicoUsd, unconfirmed: PicoUsd) -> Spent {
        Spent::of_attempt(
            self.tasks[id].facts.is_open_ended(),
            reserved,
            cost,
            unconfirmed.min(reserved),
        )
    }

    /// Books the usage and cost of a task and releases `reserved`.
    fn book(&mut self, id: TaskId, usage: Usage, reserved: PicoUsd, spent: Spent) {
        let task = &mut self.tasks[id];
        self.budgets
            .settle(task.facts.phase.as_ref(), reserved, spent);
        task.spent += spent;
        task.usage += usage;
        self.usage += usage;
    }

    fn apply_suspended(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        suspension: &Suspension,
    ) -> Result<(), IllegalEvent> {
        let before = self.under_way(attempt)?.reserved;
        let reserved = suspension.reserved;
        if reserved > before {
            return Err(IllegalEvent(format!(
                "{attempt} keeps more than it has reserved"
            )));
        }
        self.leaves_flight(attempt);
        let task = &mut self.tasks[attempt.task];
        self.budgets.settle(
            task.facts.phase.as_ref(),
            PicoUsd(before.0 - reserved.0),
            Spent::default(),
        );
        task.stage = TaskStage::Suspended(attempt);
        task.session.answer = None;
        task.session.handle = suspension.handle.clone().or(task.session.handle.take());
        task.suspension = Some(suspension.clone());
        let until = suspension.timeout.map(|timeout| at + timeout);
        self.expiries.extend(until.map(|until| (until, attempt)));
        self.suspended
            .insert(attempt, Suspended { reserved, until });
        Ok(())
    }

    fn leaves_flight(&mut self, attempt: AttemptId) {
        self.in_flight.remove(&attempt);
        self.programs -= usize::from(self.tasks[attempt.task].facts.is_program);
    }

    fn apply_ended(
        &mut self,
        at: Timestamp,
        id: TaskId,
        outcome: &Outcome,
    ) -> Result<(), IllegalEvent> {
        if !self.is_open(id) {
            return Err(IllegalEvent(format!(
                "an outcome of {id}, which is not open"
            )));
        }
        let timer = self.due(id);
        if let Some(due) = timer {
            self.timers.remove(&(due, id));
        }
        let task = &mut self.tasks[id];
        self.waiting.remove(&task.stage, task.place(id));
        let tried = matches!(task.stage, TaskStage::Between);
        self.siblings
            .ended(task.sibling, outcome, tried, self.limits.hopeless_after);
        task.stage = TaskStage::Ended {
            outcome: outcome.clone(),
            order: self.outcomes,
        };
        task.ended_at = Some(at);
        // Kept replies of other tasks are used when a later execution tries them again.
        let replies_are_done_with = match outcome {
            Outcome::Ok { .. } => true,
            Outcome::Failed(failure) => failure.class.would_repeat(),
            Outcome::Skipped { .. } | Outcome::Cancelled => false,
        };
        if replies_are_done_with {
            task.turns = vec![];
            task.session = Session::default();
        }
        self.outcomes += 1;
        self.counts.open -= 1;
        if timer.is_none() {
            self.counts.count(outcome);
        }
        Ok(())
    }

    fn apply_refused(&mut self, refusal: &Refusal, count: u32) -> Result<(), IllegalEvent> {
        match refusal {
            Refusal::Tool {
                task,
                tool,
                permission,
            } => {
                let refused = &mut self.known(*task)?.refused_tools;
                let known = refused
                    .entry(tool.clone())
                    .or_insert_with(|| (permission.clone(), 0));
                known.1 = known.1.saturating_add(count);
            }
            Refusal::Task { .. }
            | Refusal::Call { .. }
            | Refusal::Tokens { .. }
            | Refusal::Log { .. }
            | Refusal::Phase { .. }
            | Refusal::Unapproved { .. } => {
                *self.refused.entry(refusal.clone()).or_default() += u64::from(count);
            }
        }
        Ok(())
    }

    fn known(&mut self, id: TaskId) -> Result<&mut TaskState, IllegalEvent> {
        self.tasks
            .get_mut(id)
            .ok_or_else(|| IllegalEvent(format!("no task {id}")))
    }

    pub(super) fn under_way(&mut self, attempt: AttemptId) -> Result<&mut InFlight, IllegalEvent> {
        self.in_flight
            .get_mut(&attempt)
            .ok_or_else(|| IllegalEvent(format!("{attempt} is not in flight")))
    }
}
