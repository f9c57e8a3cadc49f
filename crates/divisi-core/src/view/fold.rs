//! Applies events to the view.

use super::table::Ref;
use super::task::{
    Again, AttemptView, Cause, RefusedTool, Rest, Status, TaskView, ToolView, TurnView, UnderWay,
    WaitView,
};
use super::{FAILURES_COMPARED_MAX, GroupView, RunView};
use crate::budget::Spent;
use crate::event::{
    Awaited, Caps, Edges, FlowSource, Refusal, Suspension, TaskFacts, TaskSubmitted,
};
use crate::event::{Times, ToolCall, Turn, Wait};
use crate::outcome::Remedy;
use crate::run::{Counts, Stage};
use crate::{
    AttemptId, Event, Failure, FailureClass, Limits, Outcome, PicoUsd, Recorded, TaskId, Timestamp,
    Usage,
};
use std::collections::BTreeSet;
use std::sync::Arc;

impl RunView {
    /// Applies the next event. One that was applied before changes nothing, so that parts of a
    /// journal may overlap.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Recorded {
            position,
            at,
            event,
        } = recorded;
        if *position >= self.position {
            self.position = position.after(1);
            self.fold(*at, event);
        }
    }

    /// Counts attempts in flight as lost, as a resume will record: for displaying a run whose
    /// process has died.
    pub fn assume_dead(&mut self) {
        let at = self.span.latest();
        for (attempt, under_way) in self.in_flight() {
            let UnderWay {
                reserved, hedged, ..
            } = under_way;
            self.hedge_ended(attempt, hedged);
            let lost = Failure::new(FailureClass::Lost, "the process that ran it died");
            self.attempt_ended(
                at,
                attempt,
                Some(&lost),
                Usage::default(),
                (reserved, reserved, false),
            );
        }
    }

    /// The attempts in flight.
    pub(crate) fn in_flight(&self) -> Vec<(AttemptId, UnderWay)> {
        let of = |(&task, under_way): (&TaskId, &UnderWay)| {
            let attempt = self.attempts.get(under_way.attempt.index());
            let number = attempt.map_or(0, |attempt| attempt.id.number);
            (AttemptId { task, number }, *under_way)
        };
        self.under_way.iter().map(of).collect()
    }

    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) {
        self.span.record(at, event);
        match event {
            Event::RunStarted(started) => {
                self.name = started.name.clone();
                (self.started_at, self.ended_at) = (at, at);
                self.stage = Stage::Running;
                self.running_since = at;
                self.begin(at, &started.flow, &started.limits, &started.caps);
            }
            Event::RunResumed(resumed) => {
                self.stage = Stage::Replaying;
                self.begin(at, &resumed.flow, &resumed.limits, &resumed.caps);
                self.reopen(resumed.reopen_failed, &resumed.reopen);
            }
            Event::CaughtUp { .. } => {
                self.stage = Stage::Running;
                self.running_since = at;
            }
            Event::PhaseStarted { title, cap } => {
                let phase = self.phases.of(title);
                let execution = self.execution;
                if let Some(phase) = self.phases.get_mut(phase) {
                    phase.execution = execution;
                    phase.money.cap = cap.or(phase.money.cap);
                }
                self.announced.insert(title.clone());
            }
            Event::Estimated { estimate } => self.estimate = Some(**estimate),
            Event::TaskSubmitted(submitted) => self.submitted(at, submitted),
            Event::TaskClaimed { task, facts } => self.claimed(at, *task, facts.as_deref()),
            Event::AttemptScheduled {
                attempt,
                model,
                reserved,
                ..
            } => {
                self.scheduled(at, *attempt, model.as_ref(), *reserved);
            }
            Event::TurnScheduled {
                attempt,
                reserved,
                tools,
                ..
            } => {
                self.called(*attempt, tools);
                if let Some(under_way) = self.under_way.get_mut(&attempt.task) {
                    // The reservation of the next request replaces what is left of the previous
                    // one.
                    let released = std::mem::replace(&mut under_way.reserved, *reserved);
                    self.settle(attempt.task, released, Spent::default());
                    self.reserve(attempt.task, *reserved);
                }
            }
            Event::TurnHedged { attempt, reserved } => {
                if let Some(under_way) = self.under_way.get_mut(&attempt.task) {
                    under_way.hedged = *reserved;
                    self.reserve(attempt.task, *reserved);
                }
            }
            Event::HedgeEnded { attempt, cost } => self.hedge_ended(*attempt, *cost),
            Event::TurnEnded { attempt, turn } => self.turn_ended(at, *attempt, turn),
            Event::AttemptEnded {
                attempt,
                failure,
                usage,
                cost,
                unconfirmed,
                estimated,
                worktree,
                waits,
                answered_by,
                ..
            } => {
                self.waited(*attempt, waits);
                self.attempt_ended(
                    at,
                    *attempt,
                    failure.as_deref(),
                    *usage,
                    (*cost, *unconfirmed, *estimated),
                );
                if let (Some(worktree), Some(task)) =
                    (worktree, self.tasks.get_mut(attempt.task.index()))
                {
                    task.rare().worktrees.push((**worktree).clone());
                }
                if let (Some(by), Some(task)) =
                    (answered_by, self.tasks.get_mut(attempt.task.index()))
                {
                    task.rare().answered_by = Some(*by);
                }
            }
            Event::AttemptReported {
                attempt,
                model,
                usage,
                cost,
                unconfirmed,
                ..
            } => {
                self.reported(*attempt, model.as_ref(), *usage, (*cost, *unconfirmed));
            }
            Event::SuspensionAnswered { .. } => {}
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => self.suspended(at, *attempt, suspension),
            Event::Refused { refusal, count } => self.refused(refusal, *count),
            Event::Uncaught { message, count } => self.uncaught = Some((message.clone(), *count)),
            Event::RetryPlanned { task, due } => self.retry_planned(at, *task, *due),
            Event::TaskEnded { task, outcome } => self.task_ended(at, *task, outcome),
            Event::ParkingStarted { reason } => self.stage = Stage::Parking(reason.clone()),
            Event::RunParked { reason } => {
                self.stage = Stage::Parked(reason.clone());
                self.wakes_at = None;
                self.ended_at = at;
            }
            Event::WaitStarted { until } => self.wakes_at = Some(*until),
            Event::RunWoken => {
                self.stage = Stage::Running;
                self.running_since = at;
                self.wakes_at = None;
            }
            Event::FlowEnded { result } => self.result = Some(result.clone()),
            Event::RunEnded { status } => {
                self.stage = Stage::Ended(*status);
                self.ended_at = at;
            }
            Event::CapChanged { cap } => self.money.cap = Some(*cap),
            Event::WidthChanged { in_flight_max } => {
                self.in_flight_max = *in_flight_max;
                self.note_slots(at);
            }
            Event::Logged { .. } | Event::SoftLimitReached { .. } => {}
        }
    }

    fn begin(&mut self, at: Timestamp, flow: &FlowSource, limits: &Limits, caps: &Caps) {
        self.execution += 1;
        self.began_at = at;
        self.flow = Some(flow.clone());
        (self.in_flight_max, self.programs_max) = (limits.in_flight_max, limits.programs_max);
        self.spent_before = self.money.spent();
        // Counts are those of one execution; money and history are those of all.
        self.counts = Counts::default();
        (self.reused, self.saved) = (0, PicoUsd::ZERO);
        self.refused.clear();
        (self.uncaught, self.result, self.wakes_at) = (None, None, None);
        self.resting.clear();
        self.failing.clear();
        self.note_slots(at);
        self.money.cap = caps.run;
        for phase in self.phases.iter_mut() {
            phase.money.cap = None;
            (phase.total, phase.ended, phase.failed) = (0, 0, 0);
        }
        for (title, cap) in &caps.phases {
            let phase = self.phases.of(title);
            if let Some(phase) = self.phases.get_mut(phase) {
                phase.money.cap = Some(*cap);
            }
        }
    }

    /// Tasks without finished work are requested again.
    fn reopen(&mut self, reopen_failed: bool, reopen: &[TaskId]) {
        let reopen: BTreeSet<&TaskId> = reopen.iter().collect();
        for (index, task) in self.tasks.iter_mut().enumerate() {
            let is_named = reopen.contains(&TaskId(index as u32));
            let is_kept = match task.status {
                Status::Suspended => true,
                status if is_named && status.has_ended() => false,
                Status::Ok => true,
                Status::Failed => !reopen_failed,
                Status::Skipped
                | Status::Cancelled
                | Status::Unclaimed
                | Status::Waiting
                | Status::Resting
                | Status::Running
                | Status::Between => false,
            };
            if !is_kept {
                if let Some(rare) = task.rare.as_mut().filter(|_| task.status.has_ended()) {
                    rare.refused_tools.clear();
                }
                task.is_reopened =
                    task.status == Status::Failed || (is_named && task.status.has_ended());
                (task.status, task.ended_at, task.why) = (Status::Unclaimed, None, None);
                // Its next outcome gets a new number.
                task.order = None;
            }
        }
    }

    fn submitted(&mut self, at: Timestamp, submitted: &TaskSubmitted) {
        // A view cannot refuse an event, so one that does not fit is skipped.
        if submitted.task.index() != self.tasks.len() {
            return;
        }
        let status = Status::Waiting;
        let (asked_at, ready_at, execution) = (at, at, self.execution);
        self.tasks.push(TaskView {
            status,
            asked_at,
            ready_at,
            execution,
            ..TaskView::default()
        });
        self.describe(submitted.task, &submitted.facts);
        self.connect(submitted.task, &submitted.edges);
        self.counts.open += 1;
        self.join_phase(submitted.task);
    }

    fn connect(&mut self, id: TaskId, edges: &Edges) {
        for began in &edges.groups {
            let parent = began
                .parent
                .and_then(|parent| self.numbers.get(&parent))
                .copied();
            let site = began.site.as_ref().map(|site| self.sites.of(site));
            self.groups.push(GroupView {
                kind: began.kind,
                parent,
                width: began.width,
                site,
            });
            self.numbers
                .insert(began.group, Ref::last(self.groups.len()));
        }
        let site = edges.site.as_ref().map(|site| self.sites.of(site));
        let place = |number: u32| self.numbers.get(&number).copied();
        let (group, waits) = (edges.group.and_then(place), edges.waits);
        let waits = waits.and_then(|waits| match waits {
            Awaited::Task(task) => Some(Awaited::Task(task)),
            Awaited::Group(number) => Some(Awaited::Group(place(number)?.into())),
        });
        let Some(task) = self.tasks.get_mut(id.index()) else {
            return;
        };
        (task.given, task.waits, task.group, task.site) = (edges.given, waits, group, site);
        task.reads = edges.reads.as_slice().into();
    }

    fn claimed(&mut self, at: Timestamp, id: TaskId, facts: Option<&TaskFacts>) {
        if let Some(facts) = facts {
            self.describe(id, facts);
        }
        let execution = self.execution;
        let Some(task) = self.tasks.get_mut(id.index()) else {
            return;
        };
        task.execution = execution;
        if task.status.has_ended() {
            if !task.is_timer {
                self.reused += 1;
                self.saved += task.spent.total();
                count(&mut self.counts, task.status);
            }
        } else {
            if task.status != Status::Suspended {
                (task.status, task.ready_at) = (Status::Waiting, at);
            }
            self.counts.open += 1;
        }
        self.join_phase(id);
    }

    /// Counts a task in its phase, for the current execution.
    fn join_phase(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get(id.index()) else {
            return;
        };
        let Some(phase) = task.phase.and_then(|phase| self.phases.get_mut(phase)) else {
            return;
        };
        phase.execution = self.execution;
        phase.total += 1;
        phase.ended += u32::from(task.status.has_ended());
        phase.failed += u32::from(task.status == Status::Failed);
    }

    fn describe(&mut self, id: TaskId, facts: &TaskFacts) {
        let phase = facts.phase.as_ref().map(|title| self.phases.of(title));
        let executor = Some(self.words.of(&facts.executor));
        let kind = facts.kind.as_ref().map(|kind| self.words.of(kind));
        let ladder = facts
            .models
            .iter()
            .map(|model| self.models.of(model))
            .collect();
        if let Some(task) = self.tasks.get_mut(id.index()) {
            task.label = facts.label.clone();
            task.is_timer = facts.wait.is_some();
            (task.is_open_ended, task.is_program) = (facts.is_open_ended(), facts.is_program);
            (task.phase, task.executor, task.kind, task.ladder) = (phase, executor, kind, ladder);
        }
    }

    fn scheduled(
        &mut self,
        at: Timestamp,
        id: AttemptId,
        model: Option<&Arc<str>>,
        reserved: PicoUsd,
    ) {
        let model = model.map(|model| self.models.of(model));
        let Some(task) = self.tasks.get_mut(id.task.index()) else {
            return;
        };
        let (before, ready_at) = (task.latest, task.ready_at);
        let is_reopened = std::mem::take(&mut task.is_reopened);
        let again = before.map(|before| match self.attempts.get(before.index()) {
            _ if is_reopened => Again::Reopened,
            None => Again::Retry,
            Some(before) => again(before, model, &self.failures),
        });
        self.attempts.push(AttemptView {
            id,
            model,
            began_at: at,
            ended_at: None,
            failure: None,
            cost: PicoUsd::ZERO,
            before,
            again,
        });
        let attempt = Ref::last(self.attempts.len());
        (task.status, task.attempts, task.model) = (Status::Running, id.number, model);
        (task.latest, task.started_at) = (Some(attempt), Some(at));
        self.resting.remove(&id.task);
        let under_way = UnderWay {
            attempt,
            since: at,
            reserved,
            hedged: PicoUsd::ZERO,
        };
        self.waited_to_start(id.task, ready_at, at);
        self.takes_slot(at, id.task, under_way);
        self.reserve(id.task, reserved);
    }

    /// Adds the waits of an attempt since its last reply.
    fn waited(&mut self, attempt: AttemptId, waits: &[Wait]) {
        let Some((_, begun)) = self.latest(attempt.task) else {
            return;
        };
        self.waits.extend(waits.iter().map(|wait| WaitView {
            task: attempt.task,
            cause: wait.cause.into(),
            from: begun + wait.from,
            until: begun + wait.until(),
        }));
    }

    fn called(&mut self, attempt: AttemptId, tools: &[ToolCall]) {
        let Some((place, begun)) = self.latest(attempt.task) else {
            return;
        };
        for ToolCall {
            name,
            from,
            took,
            bytes,
            failed,
            exit,
        } in tools
        {
            let name = self.words.of(name);
            let (from, took, bytes) = (begun + *from, *took, *bytes);
            self.tools.push(ToolView {
                attempt: place,
                name,
                from,
                took,
                bytes,
                failed: *failed,
                exit: *exit,
            });
        }
    }

    /// The latest attempt of a task, and its beginning.
    fn latest(&self, task: TaskId) -> Option<(Ref, Timestamp)> {
        let place = self.task(task)?.latest?;
        Some((place, self.attempts.get(place.index())?.began_at))
    }

    /// Derives why a task did not start earlier: all slots were taken, or else the budget did not
    /// allow it.
    fn waited_to_start(&mut self, id: TaskId, ready_at: Timestamp, at: Timestamp) {
        let Some(task) = self.task(id) else { return };
        let phase = task.phase.and_then(|phase| self.phases.get(phase));
        let is_capped = self
            .money
            .cap
            .or(phase.and_then(|phase| phase.money.cap))
            .is_some();
        let full = if task.is_program {
            &self.full_of_programs
        } else {
            &self.full
        };
        let waits = full
            .waits(ready_at.max(self.running_since), at, is_capped)
            .into_iter();
        self.waits
            .extend(waits.map(|(cause, from, until)| WaitView {
                task: id,
                cause,
                from,
                until,
            }));
    }

    /// Records whether all slots are taken.
    fn note_slots(&mut self, at: Timestamp) {
        let is_full = self.under_way.len() >= self.in_flight_max.max(1) as usize;
        self.full.note(at, is_full);
        self.full_of_programs
            .note(at, is_full || self.programs >= self.programs_max.max(1));
    }

    /// An attempt takes a slot.
    fn takes_slot(&mut self, at: Timestamp, task: TaskId, under_way: UnderWay) {
        self.under_way.insert(task, under_way);
        self.programs += self.of_programs(task);
        self.note_slots(at);
    }

    /// An attempt leaves its slot.
    fn leaves_slot(&mut self, at: Timestamp, task: TaskId) -> Option<UnderWay> {
        let left = self.under_way.remove(&task)?;
        self.programs = self.programs.saturating_sub(self.of_programs(task));
        self.note_slots(at);
        Some(left)
    }

    fn of_programs(&self, task: TaskId) -> u32 {
        self.task(task).map_or(0, |task| u32::from(task.is_program))
    }

    fn hedge_ended(&mut self, attempt: AttemptId, cost: PicoUsd) {
        let Some(under_way) = self.under_way.get_mut(&attempt.task) else {
            return;
        };
        let (place, reserved) = (under_way.attempt, std::mem::take(&mut under_way.hedged));
        let spent = Spent::of(reserved, cost, cost);
        self.spend(
            attempt.task,
            place,
            self.model_asked(place),
            (reserved, spent),
        );
    }

    fn turn_ended(&mut self, at: Timestamp, attempt: AttemptId, turn: &Turn) {
        let suspended = &mut self.suspended;
        let Some(under_way) = self
            .under_way
            .get_mut(&attempt.task)
            .or_else(|| suspended.get_mut(&attempt.task))
        else {
            return;
        };
        let (place, reserved) = (under_way.attempt, std::mem::take(&mut under_way.reserved));
        let model = self.models.of(&turn.model);
        let spent = self
            .spends(attempt.task, reserved, turn.cost, PicoUsd::ZERO)
            .if_estimated(turn.estimated);
        self.settle(attempt.task, reserved, spent);
        self.use_tokens(attempt.task, Some(model), turn.usage);
        if let Some(model) = self.models.get_mut(model) {
            model.replies += 1;
            model.spent += spent;
        }
        if let Some(attempt) = self.attempts.get_mut(place.index()) {
            attempt.cost += spent.total();
        }
        if let Some(task) = self.tasks.get_mut(attempt.task.index()) {
            task.turns += 1;
            if !turn.judges {
                task.model = Some(model);
            }
        }
        self.waited(attempt, &turn.times.waits);
        let Times { sent, began, .. } = turn.times;
        let begun = self
            .attempts
            .get(place.index())
            .map_or(at, |attempt| attempt.began_at);
        let sent_at = begun + sent;
        self.turns.push(TurnView {
            attempt: place,
            model,
            judges: turn.judges,
            sent_at,
            began_at: began.map(|began| sent_at + began),
            ended_at: at,
            took: turn.took,
            cost: turn.cost,
            estimated: turn.estimated,
        });
    }

    fn attempt_ended(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        failure: Option<&Failure>,
        usage: Usage,
        (cost, unconfirmed, estimated): (PicoUsd, PicoUsd, bool),
    ) {
        if let Some(UnderWay { since, .. }) = self.suspended.get(&attempt.task) {
            let (task, cause) = (attempt.task, Cause::Question);
            self.waits.push(WaitView {
                task,
                cause,
                from: *since,
                until: at,
            });
        }
        let ended = self
            .leaves_slot(at, attempt.task)
            .or_else(|| self.suspended.remove(&attempt.task));
        let Some(UnderWay {
            attempt: place,
            reserved,
            ..
        }) = ended
        else {
            return;
        };
        let spent = self.spends(attempt.task, reserved, cost, unconfirmed.min(reserved));
        let (model, spent) = (self.model_asked(place), spent.if_estimated(estimated));
        self.spend(attempt.task, place, model, (reserved, spent));
        self.use_tokens(attempt.task, model, usage);
        let failure = failure.map(|failure| self.failure(failure));
        if let Some(attempt) = self.attempts.get_mut(place.index()) {
            (attempt.ended_at, attempt.failure) = (Some(at), failure);
        }
        if let Some(task) = self.tasks.get_mut(attempt.task.index()) {
            task.status = Status::Between;
            if let Some(rare) = &mut task.rare {
                (rare.suspension, rare.answered_by) = (None, None);
            }
        }
        if let Some(failure) = failure {
            self.failing.insert(attempt.task, failure);
        }
    }

    fn reported(
        &mut self,
        attempt: AttemptId,
        model: Option<&Arc<str>>,
        usage: Usage,
        (cost, unconfirmed): (PicoUsd, PicoUsd),
    ) {
        let Some(under_way) = self.under_way.get_mut(&attempt.task) else {
            return;
        };
        let released = cost.min(under_way.reserved);
        under_way.reserved = under_way.reserved.saturating_sub(released);
        let place = under_way.attempt;
        let spent = self.spends(attempt.task, released, cost, unconfirmed.min(released));
        // An agent program may ask other models than the one it was started with.
        let model = match model {
            Some(model) => Some(self.models.of(model)),
            None => self.model_asked(place),
        };
        self.spend(attempt.task, place, model, (released, spent));
        self.use_tokens(attempt.task, model, usage);
    }

    fn model_asked(&self, attempt: Ref) -> Option<Ref> {
        self.attempts.get(attempt.index())?.model
    }

    /// Splits a cost at its reservation, as the run does.
    fn spends(&self, id: TaskId, reserved: PicoUsd, cost: PicoUsd, unconfirmed: PicoUsd) -> Spent {
        let is_open_ended = self
            .tasks
            .get(id.index())
            .is_some_and(|task| task.is_open_ended);
        Spent::of_attempt(is_open_ended, reserved, cost, unconfirmed)
    }

    fn suspended(&mut self, at: Timestamp, attempt: AttemptId, suspension: &Suspension) {
        let Some(under_way) = self.leaves_slot(at, attempt.task) else {
            return;
        };
        let (before, reserved) = (under_way.reserved, suspension.reserved);
        self.settle(
            attempt.task,
            before.saturating_sub(reserved),
            Spent::default(),
        );
        self.suspended.insert(
            attempt.task,
            UnderWay {
                reserved,
                since: at,
                ..under_way
            },
        );
        if let Some(task) = self.tasks.get_mut(attempt.task.index()) {
            task.status = Status::Suspended;
            task.rare().suspension = Some(suspension.clone());
        }
    }

    fn refused(&mut self, refusal: &Refusal, count: u32) {
        if let Refusal::Tool {
            task,
            tool,
            permission,
        } = refusal
        {
            let Some(task) = self.tasks.get_mut(task.index()) else {
                return;
            };
            let refused = &mut task.rare().refused_tools;
            match refused.iter_mut().find(|known| known.tool == *tool) {
                Some(known) => known.count = known.count.saturating_add(count),
                None => {
                    refused.push(RefusedTool {
                        tool: tool.clone(),
                        permission: permission.clone(),
                        count,
                    });
                }
            }
            return;
        }
        match self
            .refused
            .binary_search_by(|(known, _)| known.cmp(refusal))
        {
            Ok(place) => self.refused[place].1 += u64::from(count),
            Err(place) => self.refused.insert(place, (refusal.clone(), count.into())),
        }
    }

    fn retry_planned(&mut self, at: Timestamp, id: TaskId, due: Timestamp) {
        let why = self
            .failing
            .remove(&id)
            .and_then(|why| self.failures.get(why.index()));
        let Some(task) = self.tasks.get_mut(id.index()) else {
            return;
        };
        (task.status, task.ready_at) = (Status::Resting, due.max(at));
        if due > at {
            self.waits.push(WaitView {
                task: id,
                cause: Cause::Rest,
                from: at,
                until: due,
            });
        }
        let Some(why) = why.map(|failure| failure.class) else {
            return;
        };
        match why.remedy() {
            Remedy::Retry | Remedy::Wait => _ = self.resting.insert(id, Rest { due, why }),
            // These failures cause no delay.
            Remedy::Repeat | Remedy::Park | Remedy::GiveUp => {}
        }
    }

    fn task_ended(&mut self, at: Timestamp, id: TaskId, outcome: &Outcome) {
        self.failing.remove(&id);
        self.resting.remove(&id);
        let (status, why) = match outcome {
            Outcome::Ok { .. } => (Status::Ok, None),
            Outcome::Failed(failure) => (Status::Failed, Some(self.failure(failure))),
            Outcome::Skipped { reason } => (
                Status::Skipped,
                Some(self.words.of(&reason.as_str().into())),
            ),
            Outcome::Cancelled => (Status::Cancelled, None),
        };
        let Some(task) = self.tasks.get_mut(id.index()) else {
            return;
        };
        (task.status, task.why, task.ended_at) = (status, why, Some(at));
        let is_timer = task.is_timer;
        task.order = Some(self.outcomes);
        self.outcomes += 1;
        if let Some(phase) = task.phase.and_then(|phase| self.phases.get_mut(phase)) {
            phase.ended += 1;
            phase.failed += u32::from(status == Status::Failed);
        }
        self.counts.open = self.counts.open.saturating_sub(1);
        if !is_timer {
            count(&mut self.counts, status);
        }
    }

    /// Index of a failure, which is kept without its partial result.
    fn failure(&mut self, failure: &Failure) -> Ref {
        let is_it = |known: &Failure| {
            known.class == failure.class
                && known.message == failure.message
                && known.hint == failure.hint
        };
        let from = self.failures.len().saturating_sub(FAILURES_COMPARED_MAX);
        if let Some(place) = self.failures[from..].iter().rposition(is_it) {
            return Ref::last(from + place + 1);
        }
        self.failures.push(Failure {
            partial: None,
            ..failure.clone()
        });
        Ref::last(self.failures.len())
    }

    fn reserve(&mut self, id: TaskId, amount: PicoUsd) {
        self.money.reserve(amount);
        let phase = self.tasks.get(id.index()).and_then(|task| task.phase);
        if let Some(phase) = phase.and_then(|phase| self.phases.get_mut(phase)) {
            phase.money.reserve(amount);
        }
    }

    fn settle(&mut self, id: TaskId, released: PicoUsd, spent: Spent) {
        self.money.settle(released, spent);
        let Some(task) = self.tasks.get_mut(id.index()) else {
            return;
        };
        task.spent += spent;
        if let Some(phase) = task.phase.and_then(|phase| self.phases.get_mut(phase)) {
            phase.money.settle(released, spent);
        }
    }

    /// Books the cost of an attempt besides its replies.
    fn spend(
        &mut self,
        id: TaskId,
        attempt: Ref,
        model: Option<Ref>,
        (released, spent): (PicoUsd, Spent),
    ) {
        self.settle(id, released, spent);
        if let Some(attempt) = self.attempts.get_mut(attempt.index()) {
            attempt.cost += spent.total();
        }
        if let Some(model) = model.and_then(|model| self.models.get_mut(model)) {
            model.spent += spent;
        }
    }

    fn use_tokens(&mut self, id: TaskId, model: Option<Ref>, usage: Usage) {
        self.usage += usage;
        if let Some(model) = model.and_then(|model| self.models.get_mut(model)) {
            model.usage += usage;
        }
        let Some(task) = self.tasks.get_mut(id.index()) else {
            return;
        };
        task.usage += usage;
        if let Some(phase) = task.phase.and_then(|phase| self.phases.get_mut(phase)) {
            phase.usage += usage;
        }
    }
}

/// Why a further attempt follows this one, on this model.
fn again(before: &AttemptView, model: Option<Ref>, failures: &[Failure]) -> Again {
    let failure = before
        .failure
        .and_then(|failure| failures.get(failure.index()));
    match failure.map(|failure| failure.class) {
        Some(FailureClass::Check) => Again::Refused,
        Some(FailureClass::Lost) => Again::Lost,
        Some(FailureClass::Interrupted) | None => Again::Interrupted,
        Some(class) if class.is_outage() && before.model != model => Again::StandIn,
        Some(_) => Again::Retry,
    }
}

/// Counts a task with an outcome.
fn count(counts: &mut Counts, status: Status) {
    match status {
        Status::Ok => counts.ok += 1,
        Status::Failed => counts.failed += 1,
        Status::Skipped => counts.skipped += 1,
        Status::Cancelled => counts.cancelled += 1,
        Status::Unclaimed
        | Status::Waiting
        | Status::Resting
        | Status::Running
        | Status::Suspended
        | Status::Between => {}
    }
}
