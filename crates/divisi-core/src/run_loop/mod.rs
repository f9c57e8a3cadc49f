//! The loop that drives a run, without IO: what is decided together, what may follow
//! once it is durable, in which order a flow is answered, and when to stop.
//!
//! Its driver takes in what has queued up ([`RunLoop::submit`], [`RunLoop::ask`],
//! [`RunLoop::input`] and their like), then lets it [settle](RunLoop::settle), makes the
//! [batch](RunLoop::take_batch) durable, and only then carries out the
//! [effects](RunLoop::committed) and gives the flow its [answers](RunLoop::answers). The
//! engine does so with a store and tasks of a runtime, the simulator with a journal in
//! memory and seeded deaths.
//!
//! State is ahead of the journal for the length of one append. Nothing outside sees it:
//! if the append fails, the loop ends and the state with it.

mod delivery;

#[cfg(test)]
mod tests;

use crate::attempt::Owed;
use crate::event::{Awaited, GroupBegan, Recorded, Refusal, Wait};
use crate::retry::QuotaWait;
use crate::run::{AttemptEnd, Stage, Submission};
use crate::{
    AttemptId, Content, Event, Failure, FailureClass, IllegalEvent, Input, Millis, Position, Run,
    TaskId, Timestamp,
};
use delivery::Delivery;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Drives one run. `W` is what waits for the outcome of a task, `A` what an attempt is
/// answered by, `O` what looks at every event.
#[derive(Clone, Debug)]
pub struct RunLoop<W, A, O = ()> {
    run: Run,
    position: Position,
    latest: Timestamp,
    /// How it waits for quota, if it does.
    quota_wait: Option<QuotaWait>,
    batch: Vec<Recorded>,
    /// Where the refusals of the batch stand among its events: alike ones are one event.
    refusals: BTreeMap<Refusal, usize>,
    /// What attempts are answered once the batch is durable.
    granted: Vec<Effect<A>>,
    delivery: Delivery<W>,
    /// After how many answers the flow has last said that it waits.
    flow_waits_after: Option<u64>,
    /// Groups that have begun and that no new task has told the journal of.
    groups: Vec<GroupBegan>,
    observer: O,
}

/// Looks at every event as it is decided.
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

/// What has become of a task that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted<W> {
    /// The run has it. Its waiter is answered once it has an outcome.
    Taken {
        /// Which one it is.
        task: TaskId,
        /// Whether the journal did not know it.
        is_new: bool,
    },
    /// The run takes no more tasks: it is over, or has as many as it may have.
    Refused(W),
}

/// What follows from a batch that is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect<A> {
    /// An attempt is to start.
    Start {
        /// Which one.
        attempt: AttemptId,
        /// The model that it asks.
        model: Option<Arc<str>>,
        /// Longest reply to its first request, where the budget leaves less than was wanted.
        room: Option<u32>,
    },
    /// An attempt may send a further request.
    Granted(A, Option<u32>),
    /// What an attempt has said is durable: a reply, or that a request is sent twice.
    Recorded(A),
    /// An attempt has ended, from whatever source, or is suspended.
    Ended(AttemptId),
    /// A task has its outcome.
    TaskEnded(TaskId),
    /// The run parks: what has not left stays.
    Park,
    /// The run goes on by itself.
    Wake,
    /// It waits, and goes on by itself then.
    Wait(Timestamp),
}

/// An attempt under way when the run is cancelled.
#[derive(Clone, Debug)]
pub struct UnderWay {
    /// Which one.
    pub attempt: AttemptId,
    /// What of it may be billed; it has been withdrawn.
    pub owed: Owed,
    /// How long it has waited for its turn to send requests.
    pub waited: Millis,
    /// What for, as far as none of its turns says it.
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
            batch: vec![],
            refusals: BTreeMap::new(),
            granted: vec![],
            delivery: Delivery::new(),
            flow_waits_after: None,
            groups: vec![],
            observer,
        }
    }

    /// The run, with all that has been decided.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The run, when it is no longer driven.
    pub fn into_run(self) -> Run {
        self.run
    }

    /// When something was last decided.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// What looks at every event.
    pub fn observer(&self) -> &O {
        &self.observer
    }

    /// The same, to be changed.
    pub fn observer_mut(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Events that have been decided and are not durable yet.
    pub fn batch(&self) -> &[Recorded] {
        &self.batch
    }

    /// Begins an execution, with [`Input::Start`] or [`Input::Resume`].
    pub fn begin(&mut self, now: Timestamp, first: Input) -> Result<(), IllegalEvent> {
        self.decide(now, first)?;
        self.delivery.remember(&self.run);
        Ok(())
    }

    /// Takes in something that needs no answer.
    pub fn input(&mut self, now: Timestamp, input: Input) -> Result<(), IllegalEvent> {
        self.decide(now, input).map(drop)
    }

    /// The flow asks for a task.
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
        // An outcome of this batch is given with the others of the batch, in their order.
        let ends_now = |recorded: &Recorded| matches!(recorded.event, Event::TaskEnded { task: of, .. } if of == task);
        let is_known = !self.batch[from..].iter().any(ends_now);
        self.delivery.wait(&self.run, task, waiter, is_known);
        Ok(Submitted::Taken { task, is_new })
    }

    /// Says how a task hangs together with those before it.
    fn connect(
        &mut self,
        Submission {
            key,
            asked_after,
            edges,
            ..
        }: &mut Submission,
    ) {
        let (last, given) = self
            .delivery
            .after(asked_after.unwrap_or(self.delivery.answered()));
        edges.given = given;
        edges.waits = edges.waits.or(asked_after.and(last).map(Awaited::Task));
        let is_news = |began: &GroupBegan| self.run.group(began.group) != Some(began);
        self.groups.extend(edges.groups.drain(..).filter(is_news));
        if !self.run.knows(key) {
            edges.groups = std::mem::take(&mut self.groups);
        }
    }

    /// An attempt says something and waits for the answer, which comes as an effect:
    /// [`Input::TurnWanted`], [`Input::TurnEnded`] or [`Input::HedgeWanted`]. Where it is
    /// turned down, the answer is given back at once.
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

    /// The flow waits, after so many answers. If the journal has none for it either, the
    /// run has caught up.
    pub fn flow_waits(&mut self, now: Timestamp, answered: u64) -> Result<(), IllegalEvent> {
        self.flow_waits_after = Some(answered);
        if *self.run.stage() == Stage::Replaying && self.delivery.is_quiet(answered) {
            self.decide(now, Input::CaughtUp)?;
        }
        Ok(())
    }

    /// The flow has ended. One that needed nothing new has caught up by ending.
    pub fn flow_ended(
        &mut self,
        now: Timestamp,
        result: Result<Content, Box<Failure>>,
    ) -> Result<(), IllegalEvent> {
        self.decide(now, Input::CaughtUp)?;
        self.decide(now, Input::FlowEnded(result)).map(drop)
    }

    /// A person wants the run to rest, and not to go on by itself.
    pub fn park(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        self.quota_wait = None;
        self.decide(now, Input::Park).map(drop)
    }

    /// A person wants the run to end. Each attempt under way is settled at its
    /// reservation, so those of which nothing has left end before.
    pub fn cancel(
        &mut self,
        now: Timestamp,
        under_way: impl IntoIterator<Item = UnderWay>,
    ) -> Result<(), IllegalEvent> {
        for UnderWay {
            attempt,
            owed,
            waited,
            waits,
        } in under_way
        {
            if !owed.second {
                self.decide(
                    now,
                    Input::HedgeEnded {
                        attempt,
                        billed: false,
                    },
                )?;
            }
            if !owed.first {
                let withdrawn = Failure::new(FailureClass::Interrupted, "the run was cancelled");
                let end = AttemptEnd {
                    waited,
                    waits,
                    ..AttemptEnd::of(Err(withdrawn))
                };
                self.decide(
                    now,
                    Input::AttemptEnded {
                        attempt,
                        end: Box::new(end),
                    },
                )?;
            }
        }
        self.decide(now, Input::Cancel).map(drop)
    }

    /// Starts what may start, until nothing more follows from what was taken in.
    pub fn settle(&mut self, now: Timestamp) -> Result<(), IllegalEvent> {
        while self.decide(now, Input::Tick)? < self.batch.len() {}
        if self
            .flow_waits_after
            .is_some_and(|answered| self.delivery.has_told_all(answered))
            && !self.has_outcomes()
        {
            self.decide(now, Input::FlowWaits)?;
        }
        if let Some(wait) = self.quota_wait {
            self.decide(now, Input::Wait(wait))?;
        }
        Ok(())
    }

    /// What the flow may be told before the batch is durable, so that an outcome and what
    /// it leads to are made durable together and a chain takes one append for each step:
    /// only where everything waits for the flow, which reaches nothing but this loop.
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

    /// Whether the batch holds an outcome that the flow has not been told.
    fn has_outcomes(&self) -> bool {
        let is_untold = |recorded: &Recorded| match recorded.event {
            Event::TaskEnded { task, .. } => self.delivery.is_waited_for(task),
            _ => false,
        };
        self.batch.iter().any(is_untold)
    }

    /// What has been decided since the last batch, and the position of its first event.
    /// It is to be made durable before anything else is taken in; then
    /// [`RunLoop::committed`] says what follows.
    pub fn take_batch(&mut self) -> (Position, Vec<Recorded>) {
        self.refusals.clear();
        let (first, batch) = (self.position, std::mem::take(&mut self.batch));
        self.position = first.after(batch.len());
        (first, batch)
    }

    /// What follows from a batch, now that it is durable.
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
                // What is suspended is carried out elsewhere.
                Event::AttemptSuspended { attempt, .. } | Event::AttemptEnded { attempt, .. } => {
                    Some(Effect::Ended(*attempt))
                }
                Event::TaskEnded { task, .. } => {
                    self.delivery.ended(&self.run, *task);
                    Some(Effect::TaskEnded(*task))
                }
                // What has not left stays, whatever the reason: it has not begun.
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

    /// The outcomes that are to be given now, in this order, and what waits for them.
    pub fn answers(&mut self) -> Vec<(W, TaskId)> {
        self.delivery.answers(&self.run)
    }

    /// How many answers the flow has been given.
    pub fn answered(&self) -> u64 {
        self.delivery.answered()
    }

    /// Whether there is nothing more to drive: the run is over, or parked and not waiting
    /// to go on by itself.
    pub fn is_over(&self) -> bool {
        let waits = self.quota_wait.is_some() && self.run.waits_until().is_some();
        !waits && matches!(self.run.stage(), Stage::Parked(_) | Stage::Ended(_))
    }

    /// When it wants to be settled again, if only time has to pass.
    pub fn wake_at(&self) -> Option<Timestamp> {
        // What is due has been seen to already.
        self.run.wake_at().filter(|due| *due > self.latest)
    }

    /// Decides and applies; returns where in the batch the first event of it stands.
    fn decide(&mut self, now: Timestamp, input: Input) -> Result<usize, IllegalEvent> {
        // Wall clocks can be set back; a journal's cannot.
        self.latest = self.latest.max(now);
        let at = self.latest;
        let from = self.batch.len();
        for event in self.run.decide(at, input) {
            self.observer.before(&self.run, at, &event);
            self.run.apply(at, &event)?;
            self.observer.after(&self.run, &event);
            self.add(at, event);
        }
        Ok(from)
    }

    /// Takes an event in, at the place where it stands in the journal.
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
