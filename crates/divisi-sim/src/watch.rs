//! What must hold, whatever happens.
//!
//! The watcher keeps books of its own, from events alone, and compares.

use divisi_core::event::{ParkReason, Recorded};
use divisi_core::run::{Counts, Stage, TaskStage, TaskState};
use divisi_core::{AttemptId, Digest, Event, Outcome, PicoUsd, Run, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Fails with the text unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use ensure;

/// Watches one process of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    reserved: BTreeMap<AttemptId, PicoUsd>,
    settled: PicoUsd,
    /// What the next turn of a task may cost, where the budget did not hold it.
    next_turn_max: BTreeMap<TaskId, PicoUsd>,
    /// Whether the cap was lowered below what had been spent.
    lowered: bool,
    /// Replies that are durable and must not be asked for again.
    recorded: BTreeSet<(TaskId, Digest)>,
    /// Tasks of the execution before, which a replay must ask for again.
    expected: Option<BTreeSet<TaskId>>,
}

impl Watch {
    /// Takes up the books where the journal has left them.
    pub(crate) fn of(journal: &[Recorded], expected: Option<BTreeSet<TaskId>>) -> Self {
        let mut watch = Self { expected, ..Self::default() };
        for Recorded { event, .. } in journal {
            watch.book(event);
        }
        watch.durable(journal);
        watch
    }

    /// Before an event is applied.
    pub(crate) fn before(&mut self, run: &Run, now: Timestamp, event: &Event) -> Result<(), String> {
        match event {
            Event::AttemptScheduled { attempt, .. } => {
                let flow_failed = matches!(run.result(), Some(Err(_)));
                ensure!(!flow_failed, "{attempt} starts although nobody waits for it");
                ensure!(
                    *run.stage() == Stage::Running,
                    "{attempt} starts in a run that is {:?}",
                    run.stage()
                );
                let most = run.limits().in_flight_max.max(1) as usize;
                ensure!(self.reserved.len() < most, "{attempt} starts beside {} others", self.reserved.len());
                match run.task(attempt.task).map(|task| task.stage()) {
                    Some(TaskStage::Ready) => {}
                    Some(TaskStage::Resting(due)) => {
                        ensure!(*due <= now, "{attempt} starts before its rest is over");
                    }
                    stage => return Err(format!("{attempt} starts although its task is {stage:?}")),
                }
            }
            Event::TurnScheduled { attempt, .. } => {
                ensure!(
                    *run.stage() == Stage::Running,
                    "a turn of {attempt} in a run that is {:?}",
                    run.stage()
                );
            }
            Event::CaughtUp { .. } => self.all_are_claimed(run)?,
            Event::RunParked { reason: ParkReason::Budget } => {
                let waits =
                    |task: &TaskState| matches!(task.stage(), TaskStage::Ready | TaskStage::Resting(_));
                let fits =
                    run.tasks().find(|(id, task)| waits(task) && run.budget().fits(self.needs(*id, task)));
                ensure!(fits.is_none(), "it parks although the budget holds {:?}", fits.map(|(id, _)| id));
            }
            Event::RunEnded { .. } => {
                ensure!(
                    run.tasks().all(|(_, task)| task.outcome().is_some()),
                    "it is over without an outcome of each"
                );
            }
            _ => {}
        }
        self.book(event);
        Ok(())
    }

    /// After an event has been applied.
    pub(crate) fn after(&self, run: &Run) -> Result<(), String> {
        let budget = run.budget();
        let reserved: PicoUsd = self.reserved.values().copied().sum();
        ensure!(
            budget.settled == self.settled,
            "{} are booked as settled, not {}",
            budget.settled.0,
            self.settled.0
        );
        ensure!(
            budget.reserved == reserved,
            "{} are booked as reserved, not {}",
            budget.reserved.0,
            reserved.0
        );
        if let (Some(cap), false) = (budget.cap, self.lowered) {
            ensure!(self.settled + reserved <= cap, "{budget:?} is over its cap");
        }
        Ok(())
    }

    /// After a batch of events: what is too slow to look at each time.
    pub(crate) fn at_rest(&self, run: &Run, now: Timestamp) -> Result<(), String> {
        let mut counts = Counts::default();
        let (mut waiting, mut cost) = (0, PicoUsd::ZERO);
        for (_, task) in run.tasks() {
            match task.outcome() {
                Some(Outcome::Ok { .. }) => counts.ok += 1,
                Some(Outcome::Failed(_)) => counts.failed += 1,
                Some(Outcome::Skipped { .. }) => counts.skipped += 1,
                Some(Outcome::Cancelled) => counts.cancelled += 1,
                None => counts.open += 1,
            }
            waiting += usize::from(matches!(task.stage(), TaskStage::Ready | TaskStage::Resting(_)));
            ensure!(*task.stage() != TaskStage::Between, "a task was left between two stages");
        }
        for (_, task) in run.all_tasks() {
            cost += task.cost();
        }
        ensure!(counts == run.counts(), "{counts:?} are counted as {:?}", run.counts());
        ensure!(cost == self.settled, "tasks cost {} and the run {}", cost.0, self.settled.0);
        ensure!(run.in_flight() == self.reserved.len(), "{} attempts are in flight", run.in_flight());
        ensure!(
            run.all_tasks().count() <= run.limits().tasks_max as usize,
            "there are more tasks than there may be"
        );
        let wake_at = run.wake_at();
        ensure!(wake_at.is_none_or(|due| due > now), "it wants to be woken at {wake_at:?}, which is past");
        let stuck =
            *run.stage() == Stage::Running && waiting > 0 && run.in_flight() == 0 && wake_at.is_none();
        ensure!(!stuck, "{waiting} tasks wait, and nothing will ever happen");
        Ok(())
    }

    /// A request leaves.
    pub(crate) fn request(&self, run: &Run, attempt: AttemptId, request: Digest) -> Result<(), String> {
        let again = self.recorded.contains(&(attempt.task, request));
        ensure!(!again, "{attempt} asks for a reply that is recorded");
        ensure!(run.is_under_way(attempt), "{attempt} asks although it has ended");
        Ok(())
    }

    /// What the vendor will bill is covered, and within the cap.
    pub(crate) fn billed(&self, billed: PicoUsd, run: &Run) -> Result<(), String> {
        let covered = run.budget().settled + run.budget().reserved;
        ensure!(billed <= covered, "{} will be billed, and only {} are booked", billed.0, covered.0);
        let over = !self.lowered && run.budget().cap.is_some_and(|cap| billed > cap);
        ensure!(!over, "{} will be billed, over the cap", billed.0);
        Ok(())
    }

    /// These events have become durable.
    pub(crate) fn durable(&mut self, events: &[Recorded]) {
        for Recorded { event, .. } in events {
            match event {
                Event::TurnEnded { attempt, turn } => {
                    self.recorded.insert((attempt.task, turn.request));
                }
                // Reopened, such a conversation starts afresh.
                Event::TaskEnded { task, outcome: Outcome::Failed(failure) }
                    if failure.class.would_repeat() =>
                {
                    self.recorded.retain(|(of, _)| of != task);
                }
                _ => {}
            }
        }
    }

    fn book(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled { attempt, reserved, .. }
            | Event::TurnScheduled { attempt, reserved, .. } => {
                self.reserved.insert(*attempt, *reserved);
            }
            Event::TurnEnded { attempt, turn } => {
                self.reserved.insert(*attempt, PicoUsd::ZERO);
                self.settled += turn.cost;
            }
            Event::AttemptEnded { attempt, cost, next_turn_max, .. } => {
                self.next_turn_max.insert(attempt.task, *next_turn_max);
                self.reserved.remove(attempt);
                self.settled += *cost;
            }
            Event::RunResumed(resumed) => self.lowered = resumed.cap.is_some_and(|cap| self.settled > cap),
            _ => {}
        }
    }

    /// What the next attempt of a task has to reserve.
    fn needs(&self, id: TaskId, task: &TaskState) -> PicoUsd {
        self.next_turn_max.get(&id).copied().unwrap_or_default().max(task.facts().first_turn_max)
    }

    fn all_are_claimed(&self, run: &Run) -> Result<(), String> {
        let stopped = |outcome: Option<&Outcome>| {
            matches!(outcome, None | Some(Outcome::Skipped { .. } | Outcome::Cancelled))
        };
        let open = run.tasks().filter(|(_, task)| stopped(task.outcome())).count();
        ensure!(open == run.counts().open as usize, "what was cancelled is not taken up again");
        let Some(expected) = &self.expected else { return Ok(()) };
        let claimed: BTreeSet<_> = run.tasks().map(|(id, _)| id).collect();
        let missing: Vec<_> = expected.difference(&claimed).collect();
        ensure!(missing.is_empty(), "the same flow no longer asks for {missing:?}");
        Ok(())
    }
}
