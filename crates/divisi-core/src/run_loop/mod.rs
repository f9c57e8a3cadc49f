//! The loop that drives a run, without IO: it groups decisions into batches, and decides what may
//! follow once a batch is durable, in which order a flow is answered, and when to stop.
//!
//! Its driver passes all queued inputs ([`RunLoop::submit`], [`RunLoop::ask`], [`RunLoop::input`]
//! and others), then calls [settle](RunLoop::settle), makes the [batch](RunLoop::take_batch)
//! durable, and only then performs the [effects](RunLoop::committed) and gives the flow its
//! [answers](RunLoop::answers). The engine does this with a store and async tasks, the simulator
//! with a journal in memory and seeded crashes.
//!
//! During an append the state is ahead of the journal. Only the flow may see it
//! ([`RunLoop::answers_ahead`]), and what the flow requests then is part of the same batch. If the
//! append fails, the loop ends and its state is dropped.

mod delivery;

#[cfg(test)]
mod tests;

use crate::attempt::Owed;
use crate::budget::Unanswered;
use crate::event::{Awaited, GroupBegan, Recorded, Refusal, Wait};
use crate::retry::QuotaWait;
use crate::run::{AttemptEnd, Stage, Submission, TaskStage, TaskState};
use crate::{
    AttemptId, Content, Event, Failure, FailureClass, IllegalEvent, Input, Millis, PicoUsd,
    Position, Run, TaskId, Timestamp,
};
use delivery::Delivery;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Drives one run. `W` waits for the outcome of a task, `A` answers an attempt, and `O` observes
/// every event.
#[derive(Clone, Debug)]
pub struct RunLoop<W, A, O = ()> {
    run: Run,
    position: Position,
    latest: Timestamp,
    /// Delays of the wait for quota, if it waits.
    quota_wait: Option<QuotaWait>,
    /// Whether questions can be answered.
    attendance: Attendance,
    batch: Vec<Recorded>,
    /// Index of each refusal in the batch: equal refusals are one event.
    refusals: BTreeMap<Refusal, usize>,
    /// Answers for attempts, given once the batch is durable.
    granted: Vec<Effect<A>>,
    delivery: Delivery<W>,
    /// Number of answers after which the flow last reported that it waits.
    flow_waits_after: Option<u64>,
    /// Groups that have begun since the last new task.
    groups: Vec<GroupBegan>,
    /// Suspended attempts whose results this process asks for.
    polled: BTreeSet<AttemptId>,
    observer: O,
}

/// Whether a person answers the questions of a run while it is driven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attendance {
    /// A question with a default takes it at once, and for others the run parks.
    #[default]
    Unattended,
    /// The run parks only for these attempts, whose questions were put off.
    Attended(BTreeSet<AttemptId>),
}

impl Attendance {
    /// Attended or not, with no question put off.
    pub fn of(is_attended: bool) -> Self {
        match is_attended {
            true => Self::Attended(BTreeSet::new()),
            false => Self::Unattended,
        }
    }
}

/// Observes every event as it is decided.
pub trait Observer {
    /// Before an event is applied.
    fn before(&mut self, run: &Run, now: Timestamp, event: &Event);
    /// After it has been applied.
    fn after(&mut self, run: &Run, event: &Event);
}

impl Observer for () {
    fn before(&mut self, _: &Run, _: Timestamp, _: &Event) {}
    fn after(&mut self, _: &Run, _: &Event) {}
}

/// The result of submitting a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted<W> {
    /// The run has it. Its waiter gets the outcome.
    Taken {
        /// Which one it is.
        task: TaskId,
        /// Whether the journal did not know it.
        is_new: bool,
    },
    /// The run accepts no more tasks: it has ended, or has reached their number.
    Refused(W),
}

/// An action that follows from a durable batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<A> {
    /// An attempt is to start.
    Start {
        /// Which one.
        attempt: AttemptId,
        /// Its model.
        model: Option<Arc<str>>,
        /// Longest reply to its first request in tokens, where the budget allows less than was
        /// asked for.
        room: Option<u32>,
    },
    /// An attempt may send a further request.
    Granted(A, Option<u32>),
    /// An attempt's message is durable: a reply, or the order of a hedge.
    Recorded(A),
    /// An attempt has ended, from whatever source, or has been suspended.
    Ended(AttemptId),
    /// A task has its outcome.
    TaskEnded(TaskId),
    /// The run parks: requests that have not been sent are withdrawn.
    Park,
    /// The run continues by itself.
    Wake,
    /// The run waits until then, and continues by itself.
    Wait(Timestamp),
}

/// An attempt in flight when the run is cancelled.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// Which one.
    pub attempt: AttemptId,
    /// Its requests that may be billed; all others have been withdrawn.
    pub owed: Owed,
    /// What is known of the first of them.
    pub first: Unanswered,
    /// What the hedge may be billed at most.
    pub second_most: PicoUsd,
    /// Total time it waited for permits.
    pub waited: Millis,
    /// The waits that none of its turns records.
    pub waits: Vec<Wait>,
}

impl<W, A, O: Observer> RunLoop<W, A, O> {
    /// A loop for `run`, whose journal ends at `position`.
    pub fn new(run: Run, position: Position, quota_wait: Option<QuotaWait>, observer: O) -> Self {
        Self {
            run,
            position,
            latest: Timestamp::default(),
            quota_wait,
            attendance: Attendance::Unattended,
            batch: vec![],
            refusals: BTreeMap::new(),
            granted: vec![],
            delivery: Delivery::new(),
            flow_waits_after: None,
            groups: vec![],
            polled: BTreeSet::new(),
            observer,
        }
    }

    /// Sets whether questions can be answered; by default they cannot.
    pub fn attended(mut self, attendance: Attendance) -> Self {
        self.attendance = attendance;
        self
    }

    /// Puts a question off: the run may park for it. Changes nothing in an unattended run.
    pub fn put_off(&mut self, task: TaskId) {
        let attempt = self.attempt_of(task);
        if let Attendance::Attended(put_off) = &mut self.attendance {
            put_off.extend(attempt);
        }
    }

    /// The run, including decisions that are not durable yet.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The run, once it is no longer driven.
    pub fn into_run(self) -> Run {
        self.run
    }

    /// Time of the latest decision.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The observer.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// The observer, mutable.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Events decided and not durable yet.
    pub fn batch(&self) -> &[Recorded] {
        &self.batch
    }

    /// Begins an execution, with [`Input::Start`] or [`Input::Resume`].
    pub fn begin(&mut self, now: Timestamp, first: Input) -> Result<(), IllegalEvent> {
        self.decide(now, first)?;
        self.delivery.remember(&self.run);
        Ok(())
    }

    /// Applies an input without an answer.
    pub fn input(&mut self, now: Timestamp, input: Input) -> Result<(), IllegalEvent> {
        self.decide(now, input).map(drop)
    }

    /// The flow requests a task.
    pub fn submit(
        &mut self,
        now: Timestamp,
        mut submission: Submission,
        waiter: W,
    ) -> Result<Submitted<W>, IllegalEvent> {
        self.connect(&mut submission);
        let from = self.decide(now, Input::Submit(Box::new(submission)))?;
        let (task, is_new) = match self.batch.get(from).map(|recorded| &recorded.event) {
            Some(Event::TaskSubmitted(submitted)) => (submitted.task, true),
            Some(Event::TaskClaimed { task, .. }) => (*task, false),
            _ => {
                self.delivery.refused();
                return Ok(Submitted::Refused(waiter));
            }
        };
        // An outcome decided in this batch is given with the others of the batch, in order.
        let ends_now = |recorded: &Recorded| matches!(recorded.event, Event::TaskEnded { task: of, .. } if of == task);
        let is_known = !self.batch[from..].iter().any(ends_now);
        self.delivery.wait(&self.run, task, waiter, is_known);
        Ok(Submitted::Taken { task, is_new })
    }

    /// Adds the edges of a task, and its depth.
    fn connect(
        &mut self,
        Submission {
            key,
            asked_after,
            edges,
            facts,
            ..
        }: &mut Submission,
    ) {
        let (last, given) = self
            .delivery
            .after(asked_after.unwrap_or(self.delivery.answered()));
        edges.given = given;
        let led_to_it = asked_after.and(last);
        let before = led_to_it.and_then(|task| self.run.task(task));
        facts.depth = before.map_or(0, |before| before.facts().depth.saturating_add(1));
        edges.waits = edges.waits.or(led_to_it.map(Awaited::Task));
        let is_news = |began: &GroupBegan| self.run.group(began.group) != Some(began);
        self.groups.extend(edges.groups.drain(..).filter(is_news));
        if !self.run.knows(key) {
            edges.groups = std::mem::take(&mut self.groups);
        }
    }

    /// An attempt sends [`Input::TurnWanted`], [`Input::TurnEnded`] or [`Input::HedgeWanted`] and
    /// waits for an answer, which comes as an effect. If the input is refused, `answer` is returned
    /// at once.
    pub fn ask(
        &mut self,
        now: Timestamp,
        input: Input,
        answer: A,
    ) -> Result<Option<A>, IllegalEvent> {
        let from = self.decide(now, input)?;
        let granted = match self.batch.get(from).map(|recorded| &recorded.event) {
            Some(Event::TurnScheduled { reply_tokens, .. }) => {
                Effect::Granted(answer, *reply_tokens)
            }
            Some(Event::TurnEnded { .. } | Event::TurnHedged { .. }) => Effect::Recorded(answer),
            // A budget that is too small ends the attempt instead.
            _ => return Ok(Some(answer)),
        };
        self.granted.push(granted);
        Ok(None)
    }

    /// The flow waits, after this number of answers. If the journal has none for it either, the run
    /// has caught up.
    pub fn flow_waits(&mut self, now: Timestamp, answered: u64) -> Result<(), IllegalEvent> {
        self.flow_waits_after = Some(answered);
        if *self.run.stage() == Stage::Replaying && self.delivery.is_quiet(answered) {
            self.decide(now, Input::CaughtUp)?;
        }
        Ok(())
    }

    /// The flow has ended. A flow that needed nothing new has caught up by ending.
    pub fn flow_ended(
        &mut self,
        now: Timestamp,
        result: Result<Content, Box<Failure>>,
    ) -> Result<(), IllegalEvent> {
        self.decide(now, Input::CaughtUp)?;
        self.decide(now, Input::FlowEnded(result)).map(drop)
    }

    /// The user parks the run, which then does not continue by itself.
    pub fn park(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        self.quota_wait = None;
        self.decide(now, Input::Park).map(drop)
    }

    /// The user ends the run. Attempts in flight that are not given are settled at their
    /// reservations.
    pub fn cancel(
        &mut self,
        now: Timestamp,
        under_way: impl IntoIterator<Item = UnderWay>,
    ) -> Result<(), IllegalEvent> {
        for UnderWay {
            attempt,
            owed,
            first,
            second_most,
            waited,
            waits,
        } in under_way
        {
            let most = match owed.second {
                true => second_most,
                false => PicoUsd::ZERO,
            };
            self.decide(now, Input::HedgeEnded { attempt, most })?;
            let cancelled = Failure::new(FailureClass::Interrupted, "the run was cancelled");
            let end = AttemptEnd {
                unanswered: owed.first.then_some(first),
                waited,
                waits,
                ..AttemptEnd::of(Err(cancelled))
            };
            self.decide(
                now,
                Input::AttemptEnded {
                    attempt,
                    end: Box::new(end),
                },
            )?;
        }
        self.decide(now, Input::Cancel).map(drop)
    }

    /// Starts all tasks that may start, until no further event follows.
    pub fn settle(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        // Each tick sees the state after the previous one, so it is repeated until it decides
        // nothing.
        while self.decide(now, Input::Tick)? < self.batch.len() {}
        self.take_defaults(now)?;
        let is_quiet = self.polled.is_empty() && self.waits_for_outcomes();
        if is_quiet && !self.is_being_asked() {
            self.decide(now, Input::FlowWaits)?;
        }
        if let Some(wait) = self.quota_wait {
            self.decide(now, Input::Wait(wait))?;
        }
        Ok(())
    }

    /// Gives questions their default in an unattended run.
    fn take_defaults(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        if self.attendance != Attendance::Unattended || *self.run.stage() != Stage::Running {
            return Ok(());
        }
        let has_default = |task: &TaskId| {
            let state = self.run.task(*task);
            let suspension = state.and_then(TaskState::suspension);
            suspension.is_some_and(|suspension| suspension.default.is_some())
        };
        let is_polled = |task: &TaskId| {
            self.attempt_of(*task)
                .is_some_and(|it| self.polled.contains(&it))
        };
        let defaults: Vec<TaskId> = self
            .run
            .suspended()
            .filter(|task| has_default(task) && !is_polled(task))
            .collect();
        for &task in &defaults {
            self.decide(now, Input::TakeDefault { task })?;
        }
        // An outcome may have ended the run.
        while !defaults.is_empty() && self.decide(now, Input::Tick)? < self.batch.len() {}
        Ok(())
    }

    /// The suspended attempt of a task.
    fn attempt_of(&self, task: TaskId) -> Option<AttemptId> {
        match self.run.task(task)?.stage() {
            TaskStage::Suspended(attempt) => Some(*attempt),
            _ => None,
        }
    }

    /// Whether a question may still be answered now.
    fn is_being_asked(&self) -> bool {
        match &self.attendance {
            Attendance::Unattended => false,
            Attendance::Attended(put_off) => {
                let mut attempts = self
                    .run
                    .suspended()
                    .filter_map(|task| self.attempt_of(task));
                attempts.any(|attempt| !put_off.contains(&attempt))
            }
        }
    }

    /// This process asks for the result of a suspended attempt until it has ended, so the run does
    /// not park for want of it.
    pub fn polls(&mut self, attempt: AttemptId) {
        self.polled.insert(attempt);
    }

    /// Whether nothing happens until a task has its outcome: the flow has ended, or waits and has
    /// been given all outcomes.
    fn waits_for_outcomes(&self) -> bool {
        let has_told_all = |answered| self.delivery.has_told_all(answered);
        let waits = self.flow_waits_after.is_some_and(has_told_all) && !self.has_outcomes();
        waits || self.run.result().is_some()
    }

    /// Answers that the flow may get before the batch is durable, so that an outcome and what it
    /// leads to are appended together and each step of a chain takes one append. Only while the
    /// flow alone can continue, because it has no effects outside of this loop.
    pub fn answers_ahead(&mut self) -> Vec<(W, TaskId)> {
        let is_heard = self.run.result().is_none();
        if *self.run.stage() != Stage::Running || self.run.in_flight() > 0 || !is_heard {
            return vec![];
        }
        for recorded in &self.batch {
            if let Event::TaskEnded { task, .. } = &recorded.event {
                self.delivery.ended(&self.run, *task);
            }
        }
        self.answers()
    }

    /// Whether the batch has an outcome that the flow has not been given.
    fn has_outcomes(&self) -> bool {
        let is_untold = |recorded: &Recorded| match recorded.event {
            Event::TaskEnded { task, .. } => self.delivery.is_waited_for(task),
            _ => false,
        };
        self.batch.iter().any(is_untold)
    }

    /// The events decided since the last batch, and the position of the first. They must be durable
    /// before any further input; then [`RunLoop::committed`] gives the actions that follow.
    pub fn take_batch(&mut self) -> (Position, Vec<Recorded>) {
        self.refusals.clear();
        let (first, batch) = (self.position, std::mem::take(&mut self.batch));
        self.position = first.after(batch.len());
        (first, batch)
    }

    /// The actions that follow from a batch, now that it is durable.
    pub fn committed(&mut self, batch: &[Recorded]) -> Vec<Effect<A>> {
        let mut effects = std::mem::take(&mut self.granted);
        for Recorded { event, .. } in batch {
            effects.extend(match event {
                Event::AttemptScheduled {
                    attempt,
                    model,
                    reply_tokens,
                    ..
                } => Some(Effect::Start {
                    attempt: *attempt,
                    model: model.clone(),
                    room: *reply_tokens,
                }),
                // A suspended attempt is not in flight here.
                Event::AttemptSuspended { attempt, .. } | Event::AttemptEnded { attempt, .. } => {
                    Some(Effect::Ended(*attempt))
                }
                Event::TaskEnded { task, .. } => {
                    self.delivery.ended(&self.run, *task);
                    Some(Effect::TaskEnded(*task))
                }
                // A request that has not been sent is withdrawn, whatever the reason.
                Event::ParkingStarted { .. } => Some(Effect::Park),
                Event::WaitStarted { until } => Some(Effect::Wait(*until)),
                Event::RunWoken => Some(Effect::Wake),
                Event::RunStarted(_)
                | Event::RunResumed(_)
                | Event::CaughtUp { .. }
                | Event::PhaseStarted { .. }
                | Event::Logged { .. }
                | Event::Refused { .. }
                | Event::Uncaught { .. }
                | Event::TaskSubmitted(_)
                | Event::TaskClaimed { .. }
                | Event::TurnScheduled { .. }
                | Event::TurnHedged { .. }
                | Event::HedgeEnded { .. }
                | Event::AttemptReported { .. }
                | Event::SuspensionAnswered { .. }
                | Event::CapChanged { .. }
                | Event::WidthChanged { .. }
                | Event::TurnEnded { .. }
                | Event::RetryPlanned { .. }
                | Event::Estimated { .. }
                | Event::SoftLimitReached { .. }
                | Event::RunParked { .. }
                | Event::FlowEnded { .. }
                | Event::RunEnded { .. } => None,
            });
        }
        effects
    }

    /// The outcomes to give now, in order, with their waiters.
    pub fn answers(&mut self) -> Vec<(W, TaskId)> {
        self.delivery.answers(&self.run)
    }

    /// Number of answers given.
    pub fn answered(&self) -> u64 {
        self.delivery.answered()
    }

    /// Whether nothing is left to drive: the run has ended, or is parked and does not wait.
    pub fn is_over(&self) -> bool {
        let waits = self.quota_wait.is_some() && self.run.waits_until().is_some();
        !waits && matches!(self.run.stage(), Stage::Parked(_) | Stage::Ended(_))
    }

    /// When to call [`Self::settle`] again, if nothing else happens.
    pub fn wake_at(&self) -> Option<Timestamp> {
        // Moments up to the latest decision have been handled.
        self.run.wake_at().filter(|due| *due > self.latest)
    }

    /// Decides and applies; returns the index in the batch of its first event.
    fn decide(&mut self, now: Timestamp, input: Input) -> Result<usize, IllegalEvent> {
        // Wall clocks can be set back, but the times of a journal never decrease.
        self.latest = self.latest.max(now);
        let at = self.latest;
        let from = self.batch.len();
        for event in self.run.decide(at, input) {
            self.observer.before(&self.run, at, &event);
            self.run.apply(at, &event)?;
            self.observer.after(&self.run, &event);
            if let Event::AttemptEnded { attempt, .. } = &event {
                self.polled.remove(attempt);
            }
            self.add(at, event);
        }
        Ok(from)
    }

    /// Adds an event to the batch with its position; an equal refusal is only counted.
    fn add(&mut self, at: Timestamp, event: Event) {
        if let Event::Refused { refusal, count } = &event {
            let place = self
                .refusals
                .get(refusal)
                .and_then(|place| self.batch.get_mut(*place));
            if let Some(Recorded {
                event: Event::Refused { count: before, .. },
                ..
            }) = place
            {
                *before = before.saturating_add(*count);
                return;
            }
            self.refusals.insert(refusal.clone(), self.batch.len());
        }
        let position = self.position.after(self.batch.len());
        self.batch.push(Recorded {
            position,
            at,
            event,
        });
    }
}
