//! Conditions that must hold in every simulation.
//!
//! The watcher keeps its own accounts, from events alone, and compares.

mod books;
mod circuit;
mod deaths;
mod edges;
mod gate;
mod timers;

pub(crate) use gate::{GateWatch, Known};

use books::{Account, Books};
use circuit::Circuit;
use deaths::Deaths;
use divisi_core::budget::TurnBound;
use divisi_core::event::{ParkReason, Recorded, RunStatus};
use divisi_core::run::{Counts, Stage, TaskStage, TaskState};
use divisi_core::{
    AttemptId, Budget, Content, Digest, Event, FailureClass, Outcome, PicoUsd, Run, TaskId,
    Timestamp,
};
use edges::Edges;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use timers::Timers;

/// The text of a reply that was cut.
pub(crate) const CUT: &str = "a reply that";

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
    books: Books,
    circuit: Circuit,
    deaths: Deaths,
    edges: Edges,
    timers: Timers,
    /// Digests of durable replies, which must not be requested again.
    recorded: BTreeMap<TaskId, BTreeSet<Digest>>,
    /// Room for the reply of each request, as last sent.
    rooms: BTreeMap<(TaskId, Digest), u32>,
    /// Requests whose replies were cut off, with their room; a retry needs several times as much.
    cut: BTreeMap<TaskId, BTreeMap<Digest, u32>>,
    /// Tasks of the previous execution, which a replay must request again.
    expected: Option<BTreeSet<TaskId>>,
    /// When the parked run has announced to resume.
    wakes_at: Option<Timestamp>,
    /// Whether the vendor may bill more than the bound of a request.
    may_overcharge: bool,
    /// Whether a reply of this execution cost more than its reservation.
    overcharged: bool,
}

impl Watch {
    /// A watcher with the accounts of a journal.
    pub(crate) fn of(
        journal: &[Recorded],
        expected: Option<BTreeSet<TaskId>>,
        may_overcharge: bool,
    ) -> Self {
        let mut watch = Self {
            expected,
            may_overcharge,
            ..Self::default()
        };
        for Recorded { at, event, .. } in journal {
            watch.books.book(event);
            watch.deaths.book(event);
            // Violations in the journal were reported when it was written.
            let _ = (
                watch.circuit.book(event),
                watch.edges.book(*at, event),
                watch.timers.book(*at, event),
            );
        }
        watch.durable(journal);
        watch
    }

    /// Whether the flow is that of the previous execution, which a replay must answer in the same
    /// order.
    pub(crate) fn is_same_flow(&self) -> bool {
        self.expected.is_some()
    }

    /// Whether the parked run has announced to resume by itself.
    pub(crate) fn goes_on_by_itself(&self) -> bool {
        self.wakes_at.is_some()
    }

    /// Called before an event is applied.
    pub(crate) fn before(
        &mut self,
        run: &Run,
        now: Timestamp,
        event: &Event,
    ) -> Result<(), String> {
        match event {
            Event::AttemptScheduled { attempt, model, .. } => {
                ensure!(!self.overcharged, "{attempt} starts after an overcharge");
                self.may_start(run, now, *attempt)?;
                self.is_its_turn(*attempt, model.as_ref())?;
            }
            Event::TurnScheduled { attempt, .. } => {
                ensure!(!self.overcharged, "{attempt} goes on after an overcharge");
                ensure!(
                    *run.stage() == Stage::Running,
                    "a turn of {attempt} in a run that is {:?}",
                    run.stage()
                );
            }
            Event::TurnHedged { attempt, reserved } => {
                let first = self.books.in_flight.get(attempt);
                ensure!(
                    !self.overcharged,
                    "{attempt} is sent twice after an overcharge"
                );
                ensure!(
                    *run.stage() == Stage::Running,
                    "{attempt} is sent twice, {:?}",
                    run.stage()
                );
                ensure!(
                    first == Some(reserved),
                    "a second request of {attempt} is worth {}",
                    reserved.0
                );
                ensure!(
                    !self.books.hedged.contains_key(attempt),
                    "{attempt} is sent three times"
                );
            }
            Event::HedgeEnded { attempt, cost } => {
                let whole = self.books.hedged.get(attempt);
                ensure!(whole.is_some(), "{attempt} gives up what it has not sent");
                ensure!(
                    *cost == PicoUsd::ZERO || Some(cost) == whole,
                    "{attempt} gives up {}",
                    cost.0
                );
            }
            Event::WaitStarted { until } => self.wakes_at = Some(*until),
            Event::RunWoken => {
                let due = self.wakes_at.take();
                ensure!(!self.overcharged, "it wakes after an overcharge");
                ensure!(
                    due.is_some_and(|due| due <= now),
                    "it wakes at {}, and said {due:?}",
                    now.0
                );
            }
            Event::TurnEnded { attempt, turn } => {
                ensure!(
                    !self.books.hedged.contains_key(attempt),
                    "{attempt} is answered, and asks twice"
                );
                let reserved = self
                    .books
                    .in_flight
                    .get(attempt)
                    .copied()
                    .unwrap_or_default();
                self.costs(turn.cost, reserved)?;
            }
            Event::AttemptReported { attempt, cost, .. } => {
                let reserved = self.books.in_flight.get(attempt).copied();
                ensure!(
                    reserved.is_some(),
                    "{attempt} reports, and is not under way"
                );
                self.costs(*cost, reserved.unwrap_or_default())?;
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => {
                let reserved = self.books.in_flight.get(attempt).copied();
                ensure!(
                    reserved >= Some(suspension.reserved),
                    "{attempt} keeps more than it has"
                );
            }
            Event::AttemptEnded { attempt, cost, .. } => {
                let known = self
                    .books
                    .in_flight
                    .get(attempt)
                    .or_else(|| self.books.suspended.get(attempt));
                ensure!(known.is_some(), "{attempt} ends twice");
                let reserved = known.copied().unwrap_or_default();
                self.costs(*cost, reserved)?;
            }
            Event::TaskEnded { task, outcome } if outcome.is_ok() => {
                let fires = self.timers.due(*task).is_some();
                ensure!(
                    !fires || *run.stage() == Stage::Running,
                    "the timer {task} fires in a run that is {:?}",
                    run.stage()
                );
            }
            Event::CaughtUp { .. } => self.all_are_claimed(run)?,
            Event::SoftLimitReached { spent, cap } => {
                let (most, settled) = (self.books.run.cap, self.books.run.spent());
                ensure!(!self.books.warned, "it warns twice");
                ensure!(self.is_mostly_spent(), "it warns too early");
                ensure!(
                    (*spent, Some(*cap)) == (settled, most),
                    "it warns of {} of {}",
                    spent.0,
                    cap.0
                );
            }
            Event::RunParked {
                reason: ParkReason::Budget { phase },
            } => {
                self.holds_nothing(run)?;
                self.is_to_blame(run, phase.as_ref())?;
            }
            Event::RunParked { .. } => self.wakes_at = None,
            Event::RunResumed(_) => (self.wakes_at, self.overcharged) = (None, false),
            Event::RunEnded { status } => {
                ensure!(
                    *status != RunStatus::Ok || !self.overcharged,
                    "it is ok after an overcharge"
                );
                ensure!(
                    run.tasks().all(|(_, task)| task.outcome().is_some()),
                    "it is over without an outcome of each"
                );
            }
            _ => {}
        }
        self.books.book(event);
        self.deaths.book(event);
        self.circuit.book(event)?;
        self.edges.book(now, event)?;
        self.timers.book(now, event)?;
        self.forget(event);
        Ok(())
    }

    /// Called after an event was applied.
    pub(crate) fn after(&self, run: &Run, event: &Event) -> Result<(), String> {
        agree("the run", &self.books.run, run.budget())?;
        let mut known = 0;
        for (phase, budget) in run.phase_budgets() {
            let Some(account) = self.books.phases.get(phase) else {
                return Err(format!("nothing was spent in {phase}"));
            };
            agree(phase, account, budget)?;
            known += 1;
        }
        let due = |account: &Account| account.held() > PicoUsd::ZERO || account.cap.is_some();
        let due = self
            .books
            .phases
            .values()
            .filter(|account| due(account))
            .count();
        ensure!(due <= known, "{due} phases have money in hand, not {known}");
        let (Event::AttemptScheduled { attempt, .. }
        | Event::TurnScheduled { attempt, .. }
        | Event::TurnHedged { attempt, .. }
        | Event::HedgeEnded { attempt, .. }
        | Event::AttemptReported { attempt, .. }
        | Event::TurnEnded { attempt, .. }
        | Event::AttemptEnded { attempt, .. }) = event
        else {
            return Ok(());
        };
        self.deaths.agree(run, attempt.task)?;
        let own = self.books.task(attempt.task).own;
        ensure!(own.keeps(), "{attempt}: {own:?} is over its cap");
        Ok(())
    }

    /// Called after a batch of events: checks that are too slow for each event.
    pub(crate) fn at_rest(&self, run: &Run, now: Timestamp) -> Result<(), String> {
        let mut counts = Counts::default();
        let (mut waiting, mut cost) = (0, PicoUsd::ZERO);
        for (_, task) in run.tasks() {
            match task.outcome() {
                Some(_) if is_timer(task) => {}
                Some(Outcome::Ok { .. }) => counts.ok += 1,
                Some(Outcome::Failed(_)) => counts.failed += 1,
                Some(Outcome::Skipped { .. }) => counts.skipped += 1,
                Some(Outcome::Cancelled) => counts.cancelled += 1,
                None => counts.open += 1,
            }
            waiting += usize::from(waits(task) || is_timer(task) && task.outcome().is_none());
            ensure!(
                *task.stage() != TaskStage::Between,
                "a task was left between two stages"
            );
        }
        for (_, task) in run.all_tasks() {
            cost += task.cost();
        }
        ensure!(
            counts == run.counts(),
            "{counts:?} are counted as {:?}",
            run.counts()
        );
        ensure!(
            cost == self.books.run.spent(),
            "tasks cost {}, the run {}",
            cost.0,
            self.books.run.spent().0
        );
        ensure!(
            run.in_flight() == self.books.in_flight.len(),
            "{} attempts are in flight",
            run.in_flight()
        );
        ensure!(
            run.all_tasks().count() <= run.limits().tasks_max as usize,
            "there are more tasks than there may be"
        );
        let wake_at = run.wake_at();
        ensure!(
            wake_at.is_none_or(|due| due > now),
            "it wants to be woken at {wake_at:?}, which is past"
        );
        self.timers.at_rest(run, now)?;
        self.slots_are_used(run)?;
        let stuck = *run.stage() == Stage::Running
            && waiting > 0
            && run.in_flight() == 0
            && wake_at.is_none();
        ensure!(!stuck, "{waiting} tasks wait, and nothing will ever happen");
        let untold = *run.stage() == Stage::Running && self.is_mostly_spent() && !self.books.warned;
        ensure!(!untold, "most of the budget is spent without a warning");
        Ok(())
    }

    /// A request leaves, with this room for its reply.
    pub(crate) fn request(
        &mut self,
        attempt: AttemptId,
        request: Digest,
        room: u32,
        bound: TurnBound,
    ) -> Result<(), String> {
        let holds = |known: &BTreeMap<TaskId, BTreeSet<Digest>>| {
            known
                .get(&attempt.task)
                .is_some_and(|known| known.contains(&request))
        };
        ensure!(
            !holds(&self.recorded),
            "{attempt} asks for a reply that is recorded"
        );
        let cut = self.cut.get(&attempt.task);
        let least = cut
            .and_then(|cut| cut.get(&request))
            .map_or(0, |room| room.saturating_mul(4).max(room + 1));
        ensure!(
            room >= least.min(bound.reply_tokens_max),
            "{attempt} asks again for a reply that was cut, with {room} tokens"
        );
        self.rooms.insert((attempt.task, request), room);
        Ok(())
    }

    /// The vendor's bill is reserved, and within the cap.
    pub(crate) fn billed(
        &self,
        attempt: AttemptId,
        bill: PicoUsd,
        all: PicoUsd,
    ) -> Result<(), String> {
        let reserved = self
            .books
            .in_flight
            .get(&attempt)
            .copied()
            .unwrap_or_default();
        ensure!(
            bill <= reserved,
            "{attempt} will be billed {}, and {} are set aside",
            bill.0,
            reserved.0
        );
        self.covered(all)
    }

    /// The same for a hedge. One that was abandoned before it arrives is booked already.
    pub(crate) fn second_billed(
        &self,
        attempt: AttemptId,
        bill: PicoUsd,
        all: PicoUsd,
    ) -> Result<(), String> {
        if let Some(reserved) = self.books.hedged.get(&attempt) {
            ensure!(
                bill <= *reserved,
                "{attempt} will be billed {} twice, of {}",
                bill.0,
                reserved.0
            );
        }
        self.covered(all)
    }

    fn covered(&self, all: PicoUsd) -> Result<(), String> {
        let covered = self.books.run.held();
        ensure!(
            all <= covered,
            "{} will be billed, and only {} are booked",
            all.0,
            covered.0
        );
        Ok(())
    }

    /// These events have become durable.
    pub(crate) fn durable(&mut self, events: &[Recorded]) {
        for Recorded { event, .. } in events {
            if let Event::TurnEnded { attempt, turn } = event {
                let (task, request) = (attempt.task, turn.request);
                if is_cut(&turn.reply) {
                    let room = self.rooms.get(&(task, request)).copied();
                    let room = room.unwrap_or_default();
                    self.cut.entry(task).or_default().insert(request, room);
                } else {
                    self.recorded.entry(task).or_default().insert(request);
                }
            }
            self.forget(event);
        }
    }

    /// Conversations that start afresh may repeat their requests.
    fn forget(&mut self, event: &Event) {
        match event {
            Event::AttemptEnded {
                attempt,
                failure: Some(failure),
                ..
            } if failure.class == FailureClass::Check => {
                self.recorded.remove(&attempt.task);
                self.cut.remove(&attempt.task);
            }
            Event::TaskEnded {
                task,
                outcome: Outcome::Failed(failure),
            } if failure.class.would_repeat() => {
                self.recorded.remove(task);
                self.cut.remove(task);
            }
            // The lowest model of the ladder is used again.
            Event::RunResumed(_) => self.cut.clear(),
            _ => {}
        }
    }

    /// Checks the cost of a reply against its reservation: it exceeds it only if the vendor
    /// overcharges.
    fn costs(&mut self, cost: PicoUsd, reserved: PicoUsd) -> Result<(), String> {
        self.overcharged |= cost > reserved;
        ensure!(
            cost <= reserved || self.may_overcharge,
            "{} is paid of {}",
            cost.0,
            reserved.0
        );
        Ok(())
    }

    fn may_start(&self, run: &Run, now: Timestamp, attempt: AttemptId) -> Result<(), String> {
        let flow_failed = matches!(run.result(), Some(Err(_)));
        ensure!(
            !flow_failed,
            "{attempt} starts although the flow has failed"
        );
        ensure!(
            *run.stage() == Stage::Running,
            "{attempt} starts in a run that is {:?}",
            run.stage()
        );
        let (most, beside) = (
            run.limits().in_flight_max.max(1) as usize,
            self.books.in_flight.len(),
        );
        ensure!(beside < most, "{attempt} starts beside {beside} others");
        let is_program = |attempt: &AttemptId| {
            run.task(attempt.task)
                .is_some_and(|task| task.facts().is_program)
        };
        if is_program(&attempt) {
            let most = run.limits().programs_max.max(1) as usize;
            let beside = self
                .books
                .in_flight
                .keys()
                .filter(|attempt| is_program(attempt))
                .count();
            ensure!(
                beside < most,
                "{attempt} starts beside {beside} other programs"
            );
        }
        match run.task(attempt.task).map(|task| task.stage()) {
            Some(TaskStage::Ready) => {}
            Some(TaskStage::Resting(due)) => {
                ensure!(*due <= now, "{attempt} starts before its rest is over");
            }
            stage => return Err(format!("{attempt} starts although its task is {stage:?}")),
        }
        Ok(())
    }

    /// Checks that no task waits for a slot while one is free and no cap applies.
    fn slots_are_used(&self, run: &Run) -> Result<(), String> {
        let (most, beside) = (
            run.limits().in_flight_max.max(1) as usize,
            self.books.in_flight.len(),
        );
        let flow_failed = matches!(run.result(), Some(Err(_)));
        if *run.stage() != Stage::Running || flow_failed || beside >= most {
            return Ok(());
        }
        let is_free = |id: TaskId, task: &TaskState| {
            let left = self.books.left(id).min(self.books.task(id).own.left());
            let is_slot_sure = !task.facts().is_program || beside == 0;
            *task.stage() == TaskStage::Ready && left == PicoUsd::MAX && is_slot_sure
        };
        let waiting = run.tasks().find(|(id, task)| is_free(*id, task));
        ensure!(
            waiting.is_none(),
            "{:?} waits, and {beside} of {most} slots are taken",
            waiting.map(|(id, _)| id)
        );
        Ok(())
    }

    /// When this timer was due.
    pub(crate) fn timer_due(&self, timer: TaskId) -> Option<Timestamp> {
        self.timers.due(timer)
    }

    /// An attempt runs on the rung that its task has reached, or on a fallback if that model proved
    /// unavailable.
    fn is_its_turn(&self, attempt: AttemptId, model: Option<&Arc<str>>) -> Result<(), String> {
        let task = self.books.task(attempt.task);
        let mut models = task.facts.models.iter().chain(&task.facts.fallbacks);
        let right = models.nth(task.place());
        ensure!(
            model == right,
            "{attempt} runs on {model:?}, not on {right:?}: rung {}, {} outages",
            task.rung,
            task.outages
        );
        Ok(())
    }

    /// Checks that no waiting task fits, even with the shortest reply.
    fn holds_nothing(&self, run: &Run) -> Result<(), String> {
        for (id, _) in run.tasks().filter(|(_, task)| waits(task)) {
            let task = self.books.task(id);
            let (least, left) = (
                task.needs().least(),
                self.books.left(id).min(task.own.left()),
            );
            ensure!(
                least > left,
                "it parks although {} hold {id}, which needs {}",
                left.0,
                least.0
            );
        }
        Ok(())
    }

    /// Checks that a phase blamed for a park blocks a task that the run itself would not.
    fn is_to_blame(&self, run: &Run, phase: Option<&Arc<str>>) -> Result<(), String> {
        let Some(phase) = phase else { return Ok(()) };
        let left = self.books.run.left();
        let held_up = run.tasks().any(|(id, task)| {
            let book = self.books.task(id);
            waits(task) && book.facts.phase.as_ref() == Some(phase) && book.needs().least() <= left
        });
        ensure!(
            held_up,
            "it parks because of {phase}, which holds up no task"
        );
        Ok(())
    }

    fn is_mostly_spent(&self) -> bool {
        let (Some(percent), Some(cap)) = (self.books.warn_percent, self.books.run.cap) else {
            return false;
        };
        let spent = self.books.run.spent().0;
        // Of a cap of nothing, nothing is no share to warn of.
        spent > 0 && u128::from(spent) * 100 >= u128::from(cap.0) * u128::from(percent)
    }

    fn all_are_claimed(&self, run: &Run) -> Result<(), String> {
        let stopped = |outcome: Option<&Outcome>| {
            matches!(
                outcome,
                None | Some(Outcome::Skipped { .. } | Outcome::Cancelled)
            )
        };
        let open = run
            .tasks()
            .filter(|(_, task)| stopped(task.outcome()))
            .count();
        ensure!(
            open == run.counts().open as usize,
            "what was cancelled is not taken up again"
        );
        let Some(expected) = &self.expected else {
            return Ok(());
        };
        let claimed: BTreeSet<_> = run.tasks().map(|(id, _)| id).collect();
        let missing: Vec<_> = expected.difference(&claimed).collect();
        ensure!(
            missing.is_empty(),
            "the same flow no longer asks for {missing:?}"
        );
        Ok(())
    }
}

/// Whether this reply was cut for lack of room.
pub(crate) fn is_cut(reply: &Content) -> bool {
    matches!(reply, Content::Inline(reply) if **reply == *CUT)
}

/// Whether it waits for a slot or for money.
fn waits(task: &TaskState) -> bool {
    matches!(task.stage(), TaskStage::Ready | TaskStage::Resting(_)) && !is_timer(task)
}

fn is_timer(task: &TaskState) -> bool {
    task.facts().wait.is_some()
}

/// Checks that the run's account equals the watcher's, and that the cap is kept.
fn agree(whose: &str, account: &Account, budget: &Budget) -> Result<(), String> {
    let Account {
        cap,
        settled,
        unconfirmed,
        over,
        reserved,
        ..
    } = *account;
    let same = *budget
        == Budget {
            cap,
            reserved,
            settled,
            unconfirmed,
            over,
            ..Budget::default()
        };
    ensure!(same, "{whose} has booked {budget:?}, not {account:?}");
    ensure!(account.keeps(), "{whose} is over its cap: {account:?}");
    Ok(())
}
