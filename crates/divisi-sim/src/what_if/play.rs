//! One run of the tasks, event by event.

use super::work::{Leg, Works};
use super::{Limits, Tasks};
use divisi_core::budget::{Budget, Headroom};
use divisi_core::governor::{
    Decision, Ending, Estimate, Governor, Next, PermitId, Queue, RateLimits,
};
use divisi_core::plan::Startable;
use divisi_core::{Millis, PicoUsd, Run, Timestamp, Usage};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The outcome of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Played {
    /// When the last task ended.
    pub(super) took: Millis,
    /// Total cost.
    pub(super) cost: PicoUsd,
    /// Number of tasks that ended.
    pub(super) done: u64,
    /// Whether tasks were left that the cap did not permit.
    pub(super) parked: bool,
}

/// One run in progress.
pub(super) struct Play<'a> {
    tasks: &'a Tasks,
    works: &'a Works,
    in_flight_max: usize,
    programs_max: usize,
    gates: Vec<Gate>,
    budget: Budget,
    /// The least first reservation of any task: with less left, no task need be tried.
    least: PicoUsd,
    now: Timestamp,
    /// Number of unfinished dependencies of each task.
    waits: Vec<u32>,
    at: Vec<At>,
    /// Tasks that may start, longest chain first.
    ready: Startable<u32>,
    /// Future replies.
    due: BinaryHeap<Reverse<(Timestamp, u32)>>,
    in_flight: usize,
    /// Number of programs in flight.
    programs: usize,
    played: Played,
}

/// The progress of a task.
#[derive(Clone, Copy, Debug, Default)]
struct At {
    leg: u32,
    /// Finished requests of this leg.
    request: u32,
    permit: Option<PermitId>,
    reserved: PicoUsd,
}

struct Gate {
    queue: Queue<(), u32>,
    wake_at: Option<Timestamp>,
}

impl<'a> Play<'a> {
    pub(super) fn new(tasks: &'a Tasks, works: &'a Works, limits: &Limits) -> Self {
        let gate = |rate: &usize| {
            let settings = limits.rates.get(*rate).copied().unwrap_or_default();
            Gate {
                queue: Queue::new(Governor::new(&settings)),
                wake_at: None,
            }
        };
        let mut play = Self {
            gates: limits.families.iter().map(gate).collect(),
            in_flight_max: limits.in_flight_max.max(1) as usize,
            programs_max: limits.programs_max.max(1) as usize,
            budget: Budget::new(limits.cap),
            least: works.least(tasks.count()),
            now: Timestamp(0),
            waits: tasks.waits.clone(),
            at: vec![At::default(); tasks.count()],
            ready: Startable::default(),
            due: BinaryHeap::new(),
            in_flight: 0,
            programs: 0,
            played: Played::default(),
            tasks,
            works,
        };
        for task in 0..tasks.count() as u32 {
            if play.waits[task as usize] == 0 {
                play.may_start(task);
            }
        }
        play
    }

    /// Plays it to its end.
    pub(super) fn play(mut self) -> Played {
        loop {
            self.start();
            let reply = self.due.peek().map(|Reverse((at, _))| *at);
            let wake = self.gates.iter().filter_map(|gate| gate.wake_at).min();
            let Some(now) = reply.into_iter().chain(wake).min() else {
                // Nothing is in flight, so no reservation will be released.
                if self.squeeze() {
                    continue;
                }
                self.played.parked = !self.ready.is_empty();
                return self.played;
            };
            self.now = now;
            for gate in 0..self.gates.len() {
                if self.gates[gate].wake_at.is_some_and(|at| at <= now) {
                    self.let_through(gate);
                }
            }
            while let Some(Reverse((at, task))) = self.due.peek().copied()
                && at <= now
            {
                self.due.pop();
                self.answered(task);
            }
        }
    }

    fn may_start(&mut self, task: u32) {
        let place = task as usize;
        let (priority, is_program) = (self.tasks.priority[place], self.tasks.is_program(place));
        self.ready.push(task, priority, is_program);
    }

    /// Starts the tasks that can start, skipping programs without a slot.
    fn start(&mut self) {
        let mut too_dear = vec![];
        while self.in_flight < self.in_flight_max
            && too_dear.len() < Run::BUDGET_SCAN_MAX
            && self.least <= self.budget.left()
            && let Some(task) = self.ready.pop(self.programs < self.programs_max)
        {
            match self.leg(task).map(|leg| self.grant(leg)) {
                None => self.end(task),
                Some(None) => too_dear.push(task),
                Some(Some(reserved)) => self.begin(task, reserved),
            }
        }
        too_dear.into_iter().for_each(|task| self.may_start(task));
    }

    /// The reservation of the next request, as in a run; `None` while too little is left.
    fn grant(&self, leg: &Leg) -> Option<PicoUsd> {
        let left = self.budget.left();
        let open = self.in_flight + self.ready.len();
        let headroom = Headroom {
            left,
            unspent: PicoUsd(left.0.saturating_add(self.budget.reserved.0)),
            at_once: open.clamp(1, self.in_flight_max),
        };
        let wanted = leg.bound.with_room(u32::MAX);
        let grant = headroom.grant(leg.bound, wanted, || leg.usual())?;
        Some(grant.reserved)
    }

    /// With nothing in flight, starts the first task that fits with less room for its reply.
    fn squeeze(&mut self) -> bool {
        let left = self.budget.left();
        let mut passed = vec![];
        let mut found = None;
        while let Some(task) = self.ready.pop(true) {
            match self.leg(task).and_then(|leg| leg.bound.fit(left)) {
                Some(grant) => {
                    found = Some((task, grant.reserved));
                    break;
                }
                None => passed.push(task),
            }
        }
        passed.into_iter().for_each(|task| self.may_start(task));
        if let Some((task, reserved)) = found {
            self.begin(task, reserved);
        }
        found.is_some()
    }

    fn begin(&mut self, task: u32, reserved: PicoUsd) {
        self.in_flight += 1;
        self.programs += usize::from(self.tasks.is_program(task as usize));
        self.ask(task, reserved);
    }

    /// Releases the slots of a task.
    fn rest(&mut self, task: u32) {
        self.in_flight -= 1;
        self.programs -= usize::from(self.tasks.is_program(task as usize));
    }

    /// Sends or queues the next request of a task.
    fn ask(&mut self, task: u32, reserved: PicoUsd) {
        self.budget.reserved += reserved;
        self.at[task as usize].reserved = reserved;
        let Some(leg) = self.leg(task).copied() else {
            return;
        };
        let Some(family) = leg
            .family
            .map(usize::from)
            .filter(|family| *family < self.gates.len())
        else {
            return self.leave(task, None);
        };
        let estimate = Estimate {
            input: u64::from(leg.input / leg.requests),
            output: u64::from(leg.bound.reply_tokens_max).max(u64::from(leg.output / leg.requests)),
        };
        let gate = &mut self.gates[family];
        let decision = gate.queue.ask(self.now, estimate);
        if let Some(Decision::Go(permit)) = decision {
            return self.leave(task, Some(permit));
        }
        gate.queue
            .enter((), self.tasks.priority[task as usize], estimate, task);
        match decision {
            Some(Decision::Wait(until)) => gate.wake_at = Some(until),
            // Gates do not close here.
            Some(Decision::Go(_) | Decision::Full | Decision::Closed(_)) => {}
            None => self.let_through(family),
        }
    }

    fn leave(&mut self, task: u32, permit: Option<PermitId>) {
        self.at[task as usize].permit = permit;
        let At { request, .. } = self.at[task as usize];
        let took = self.leg(task).map_or(0, |leg| part(leg.took, leg, request));
        self.due
            .push(Reverse((self.now + Millis(took.into()), task)));
    }

    fn let_through(&mut self, family: usize) {
        loop {
            let gate = &mut self.gates[family];
            gate.wake_at = None;
            match gate.queue.next_through(self.now) {
                Next::Through(task, permit) => self.leave(task, Some(permit)),
                Next::Wait(until) => {
                    gate.wake_at = Some(until);
                    return;
                }
                Next::Full | Next::Nobody | Next::Closed(..) => return,
            }
        }
    }

    /// Handles the reply to a request.
    fn answered(&mut self, task: u32) {
        let At {
            leg: place,
            request,
            permit,
            reserved,
        } = self.at[task as usize];
        let Some(leg) = self.works.leg(task as usize, place).copied() else {
            return;
        };
        let cost = PicoUsd(leg.cost.0 / u64::from(leg.requests));
        let cost = if reserved > PicoUsd::ZERO {
            cost.min(reserved)
        } else {
            cost
        };
        self.budget.reserved = self.budget.reserved.saturating_sub(reserved);
        self.budget.settled += cost;
        self.played.cost += cost;
        let at = &mut self.at[task as usize];
        (at.permit, at.reserved) = (None, PicoUsd::ZERO);
        (at.leg, at.request) = if request + 1 == leg.requests {
            (place + 1, 0)
        } else {
            (place, request + 1)
        };
        if let (Some(permit), Some(family)) = (permit, leg.family) {
            let usage = Usage {
                input: part(leg.input, &leg, request).into(),
                output: part(leg.output, &leg, request).into(),
                ..Usage::default()
            };
            let queue = &mut self.gates[usize::from(family)].queue;
            queue.done(
                self.now,
                permit,
                Some(&usage),
                Ending::Ok,
                &RateLimits::default(),
            );
            if !queue.is_empty() {
                self.let_through(family.into());
            }
        }
        match self.leg(task).map(|leg| self.grant(leg)) {
            None => {
                self.rest(task);
                self.end(task);
            }
            Some(Some(reserved)) => self.ask(task, reserved),
            // It waits until there is money for its reservation.
            Some(None) => {
                self.rest(task);
                self.may_start(task);
            }
        }
    }

    fn end(&mut self, task: u32) {
        self.played.done += 1;
        self.played.took = Millis(self.now.0);
        for &next in self.tasks.followers(task as usize) {
            let waits = &mut self.waits[next as usize];
            *waits -= 1;
            if *waits == 0 {
                self.may_start(next);
            }
        }
    }

    fn leg(&self, task: u32) -> Option<&'a Leg> {
        self.works.leg(task as usize, self.at[task as usize].leg)
    }
}

/// The share of one request in a leg's total; the first one takes the remainder.
fn part(of: u32, leg: &Leg, request: u32) -> u32 {
    of / leg.requests + if request == 0 { of % leg.requests } else { 0 }
}
